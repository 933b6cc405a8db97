"""The benchmark table: ``python -m benchmarks [--quick] [names]``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator

# Set before numpy is loaded: both sides of every comparison get the same threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

from benchmarks import conditional, daily, house, ipca, sdf, trace, walk_forward
from benchmarks.comparison import Comparison

BENCHMARKS: dict[str, Callable[[bool], Iterator[Comparison]]] = {
    "walk_forward": walk_forward.comparisons,
    "ipca": ipca.comparisons,
    "conditional": conditional.comparisons,
    "sdf": sdf.comparisons,
    "house": house.comparisons,
    "daily": daily.comparisons,
    "trace": trace.comparisons,
}


def main() -> None:
    """Run the benchmarks asked for and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="which; all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    arguments = parser.parse_args()
    console = Console(width=200)
    table = Table("work", "against", "ours, s", "theirs, s", "theirs / ours", "largest difference", "note")
    for name in arguments.names or BENCHMARKS:
        for row in BENCHMARKS[name](arguments.quick):
            console.print(f"[dim]done: {row.work} / {row.peer}[/]", highlight=False)
            difference = "" if row.difference is None else f"{row.difference:.1e}"
            seconds = (f"{row.ours:.3g}", f"{row.theirs:.3g}", f"{row.ratio:.3g}")
            table.add_row(row.work, row.peer, *seconds, difference, row.note)
    console.print(table)


if __name__ == "__main__":
    main()
