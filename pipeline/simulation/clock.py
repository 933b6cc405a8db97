"""The simulated market's time axis: months, the first snapshot, the NYSE sessions inside the months.

Month indices count from the first month of macro history; every array of the economy is laid out on them.
"""

from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache

import exchange_calendars
import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.sizes import MarketSize


@dataclass(frozen=True)
class Clock:
    """Months and trading days of a market.

    Parameters
    ----------
    months : ndarray of datetime64[M], shape (T,)
        Every month of the economy, oldest first.
    first_snapshot : int
        Index of the first month with a bond snapshot.
    sessions : ndarray of datetime64[D], shape (D,)
        NYSE sessions of those months.
    """

    months: NDArray[np.datetime64]
    first_snapshot: int
    sessions: NDArray[np.datetime64]

    @property
    def n(self) -> int:
        """Number of months, T."""
        return len(self.months)

    @cached_property
    def dates(self) -> list[date]:
        """First day of every month."""
        return self.months.astype("datetime64[D]").tolist()

    @cached_property
    def month_of_session(self) -> NDArray[np.intp]:
        """Month index of every session."""
        return (self.sessions.astype("datetime64[M]") - self.months[0]).astype(np.intp)

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Index of the first session of every month, and one past the last session; shape (T + 1,)."""
        return np.searchsorted(self.month_of_session, np.arange(self.n + 1))

    @cached_property
    def last_sessions(self) -> NDArray[np.datetime64]:
        """Last trading day of every month."""
        return self.sessions[self.starts[1:] - 1]

    @cached_property
    def month_ends(self) -> NDArray[np.datetime64]:
        """Last calendar day of every month."""
        return (self.months + 1).astype("datetime64[D]") - 1


def make_clock(size: MarketSize, end: date) -> Clock:
    """Lay out the months of a market that ends with the month of `end`.

    Parameters
    ----------
    size : MarketSize
        Gives the number of snapshot months and the history before them.
    end : date
        Any day of the last month.

    Returns
    -------
    Clock
    """
    last = np.datetime64(end, "M")
    months = np.arange(last - (size.lead + size.months) + 1, last + 1)
    first_day, last_day = months[0].astype("datetime64[D]"), (last + 1).astype("datetime64[D]") - 1
    return Clock(months, size.lead, _sessions(str(first_day), str(last_day)))


@lru_cache(maxsize=8)
def _sessions(first_day: str, last_day: str) -> NDArray[np.datetime64]:
    """NYSE sessions between two days; making a calendar takes a second, so that markets of the same months share it."""
    calendar = exchange_calendars.get_calendar("XNYS", start=first_day, end=last_day)
    sessions = calendar.sessions.to_numpy().astype("datetime64[D]")
    sessions.flags.writeable = False
    return sessions
