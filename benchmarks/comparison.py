"""What a benchmark returns: project and peer timed alternately on the same rows, and their largest difference.

The table is printed by ``benchmarks.__main__``; each other module here offers ``comparisons()``, which yields
:class:`Comparison` rows. No benchmark asserts a bound: seconds belong to a machine, ratios to a table.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Comparison:
    """One line of the benchmark table.

    Attributes
    ----------
    work : str
        What was computed and at which size.
    peer : str
        Who else computed it.
    ours, theirs : float
        Median wall seconds of one pass.
    difference : float or None
        Largest absolute difference between the two results, None where there is nothing to compare.
    note : str
        What a reader must know: scaling of a slice, spread between repetitions, thread counts.
    """

    work: str
    peer: str
    ours: float
    theirs: float
    difference: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times the peer takes longer than the project."""
        return self.theirs / self.ours


def alternate(
    ours: Callable[[], Any], theirs: Callable[[], Any], repetitions: int = 3
) -> tuple[Any, Any, float, float, str]:
    """Run both in turn and return (our result, theirs, our median seconds, theirs, spread in words)."""
    mine: list[float] = []
    other: list[float] = []
    our_result = their_result = None
    for _ in range(repetitions):
        start = time.perf_counter()
        our_result = ours()
        mine.append(time.perf_counter() - start)
        start = time.perf_counter()
        their_result = theirs()
        other.append(time.perf_counter() - start)
    spread = f"ours {min(mine):.3g}-{max(mine):.3g} s, peer {min(other):.3g}-{max(other):.3g} s"
    return our_result, their_result, statistics.median(mine), statistics.median(other), spread
