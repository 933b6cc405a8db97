"""Command line of the simulated market: `python -m pipeline.simulation --size demo --out data/extracts --seed 7`."""

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pipeline.panel.calendar import last_closed_month
from pipeline.simulation.files import write_market
from pipeline.simulation.market import STOCK_LAYOUTS, simulate
from pipeline.simulation.sizes import SIZES


def _month(text: str) -> date:
    """Parse YYYY-MM."""
    return date.fromisoformat(f"{text}-01")


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate a market and write its extracts and its truth.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process when not given.
    """
    parser = argparse.ArgumentParser(prog="python -m pipeline.simulation", description="Write a simulated market.")
    parser.add_argument("--size", choices=list(SIZES), default="demo")
    parser.add_argument("--out", type=Path, required=True, help="folder of the extracts")
    parser.add_argument("--truth", type=Path, help="folder of the truth; default: truth beside the extracts")
    parser.add_argument("--end", type=_month, default=last_closed_month(date.today()), help="last month, YYYY-MM")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layout", choices=list(STOCK_LAYOUTS), default="siz", help="layout of the CRSP stock files")
    parser.add_argument("--csv", action="store_true", help="write the bond extract as CSV instead of Parquet")
    arguments = parser.parse_args(argv)
    market = simulate(arguments.size, seed=arguments.seed, end=arguments.end, layout=arguments.layout)
    files = write_market(market, arguments.out, arguments.truth or arguments.out.parent / "truth", csv=arguments.csv)
    rows = market.tables["bonds.index_constituents"].height
    what = f"{arguments.size} market to {arguments.end:%Y-%m}"
    print(f"{what}: {len(files)} files, {rows} bond-months in {arguments.out}")


if __name__ == "__main__":
    main()
