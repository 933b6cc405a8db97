"""Fiscal calendars of the economy's firms: the month in which each fiscal year ends.

Only calendars belong here; what a firm reports for its years is the business of the accounting tables. Every firm has
one fiscal year-end month, mostly December, and a few change it once: their first fiscal year under the new month is a
short transition year of 1 to 11 months.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.paths import stream

YEAR_ENDS = np.array([12, 6, 9, 3])
YEAR_END_SHARES = np.array([0.76, 0.11, 0.08, 0.05])

CHANGING_SHARE = 0.06
"""Share of firms that change their fiscal year end once."""


@dataclass(frozen=True)
class FiscalCalendar:
    """Fiscal year ends, by firm.

    Parameters
    ----------
    first, second : ndarray of int, shape (I,)
        Calendar month (1 to 12) in which fiscal years end before and after the change; equal where nothing changes.
    change : ndarray of int, shape (I,)
        Month index of the last fiscal year end under the first month; the clock's number of months where nothing
        changes.
    ends : ndarray of bool, shape (T, I)
        Whether a fiscal year of firm i ends with month t. Consecutive ends are 12 months apart, except once in a firm
        that changes: there they are 1 to 11 months apart.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    change: NDArray[np.intp]
    ends: NDArray[np.bool_]


def fiscal_year_end_month(firm: int, seed: int) -> tuple[int, int]:
    """Calendar months in which the fiscal years of a firm end, before and after its change.

    Parameters
    ----------
    firm : int
        Position of the firm among `Firms`.
    seed : int
        Seed of the market.

    Returns
    -------
    first, second : int
        1 to 12; equal for a firm that never changes. Firm 5 of every twenty changes for certain, so that small markets
        hold changes.
    """
    rng = stream(seed, f"fiscal {firm}")
    first = int(rng.choice(YEAR_ENDS, p=YEAR_END_SHARES))
    changes = rng.random() < CHANGING_SHARE or firm % 20 == 5
    second = int(rng.choice(YEAR_ENDS[first != YEAR_ENDS])) if changes else first
    return first, second


def fiscal_calendar(clock: Clock, n_firms: int, seed: int) -> FiscalCalendar:
    """Fiscal year ends of all firms over the months of a market.

    Parameters
    ----------
    clock : Clock
        Months of the market.
    n_firms : int
        Number of firms, private ones included.
    seed : int
        Seed of the market.

    Returns
    -------
    FiscalCalendar
        Depends on the seed, the firm's position and the clock only. The change falls between a third and two thirds of
        the clock.
    """
    months = np.array([fiscal_year_end_month(firm, seed) for firm in range(n_firms)]).reshape(n_firms, 2)
    first, second = months[:, 0], months[:, 1]
    calendar_month = clock.months.astype(int) % 12 + 1
    is_first = calendar_month[:, None] == first[None, :]
    is_second = calendar_month[:, None] == second[None, :]
    # The change is the first year end at or after a month that spreads over the middle third of the clock.
    earliest = clock.n // 3 + (np.arange(n_firms) * 7) % max(clock.n // 3 - 12, 1)
    late = np.arange(clock.n)[:, None] >= earliest[None, :]
    change = np.where(first == second, clock.n, np.argmax(is_first & late, axis=0))
    after = np.arange(clock.n)[:, None] > change[None, :]
    return FiscalCalendar(first, second, change.astype(np.intp), np.where(after, is_second, is_first))
