"""Days on which quarterly earnings are announced, and what the vendor's date says about them.

The right answer to every case is the month in which a quarter counts as known: that of the announcement, or three
months after the quarter's end where the date is missing or cannot be true.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.compustat_coverage import Coverage

CASES: dict[str, float] = {
    "on_time": 0.922,
    "missing": 0.055,
    "late": 0.017,
    "before_quarter_end": 0.006,
}
"""How a quarter's announcement date reads, and how often."""

ASSUMED_LAG = 3
"""Months after the quarter's end from which a quarter without a usable date counts as known."""

LATEST = 365
"""Days by which a late announcement is later than usual, at most; one month at least."""


@dataclass(frozen=True)
class Announcements:
    """Announcements of the statements, arrays of shape (n,).

    Parameters
    ----------
    rdq : ndarray of datetime64[D]
        Date in the table, not-a-time where missing.
    case : ndarray of str
        Key of `CASES`.
    known : ndarray of int
        Month index from which the quarter counts as known; may lie after the clock.
    """

    rdq: NDArray[np.datetime64]
    case: NDArray[np.str_]
    known: NDArray[np.intp]


def announcements(
    clock: Clock, coverage: Coverage, rows: tuple[NDArray[np.intp], NDArray[np.intp]], rng: np.random.Generator
) -> Announcements:
    """Draw announcement dates.

    Parameters
    ----------
    clock : Clock
        Months.
    coverage : Coverage
        Quarter ends, and which quarters end a fiscal year: those are announced later.
    rows : tuple of ndarray of int, shape (n,)
        Quarter and firm of every statement.
    rng : numpy.random.Generator
        Source of the dates.

    Returns
    -------
    Announcements
        Weekdays. A usual announcement comes 18 to 80 days after the quarter's end.
    """
    quarter, firm = rows
    n = len(quarter)
    habit = rng.uniform(18, 40, coverage.closing.shape[1:])
    case = rng.choice(list(CASES), size=n, p=list(CASES.values()))
    usual = habit[firm] + np.where(coverage.fqtr[rows] == 4, rng.uniform(8, 28, n), 0.0) + rng.uniform(0, 10, n)
    delay = np.where(case == "late", rng.uniform(31, LATEST, n), 0.0)
    lag = np.where(case == "before_quarter_end", -rng.uniform(5, 70, n), usual + delay).astype(np.int64)
    dates = coverage.dates[quarter]
    rdq = np.busday_offset(dates + lag, 0, roll="forward").astype("datetime64[D]")
    trusted = np.isin(case, ["on_time", "late"])
    known = np.where(trusted, rdq.astype("datetime64[M]"), dates.astype("datetime64[M]") + ASSUMED_LAG)
    rdq[case == "missing"] = np.datetime64("NaT")
    return Announcements(rdq, case, (known - clock.months[0]).astype(np.intp))
