"""The thresholds of the cleaning of trade reports, with their defaults from the design and their sources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

REGIME = date(2012, 2, 6)
"""The first report date of TRACE's present system, whose cancellations and corrections look otherwise than before."""


@dataclass(frozen=True, kw_only=True)
class TraceSettings:
    """What :func:`pipeline.bonds.trace_daily.trace_daily` keeps, mends and drops.

    Attributes
    ----------
    regime : datetime.date
        Reports from this day on follow the present rules, earlier ones the old ones (Dick-Nielsen 2014).
    longest_settlement : int
        Most days to settlement.
    highest_price : float
        Highest price per 100 of face; the lowest is anything above 0.
    smallest_volume : float
        Least face volume of a trade in dollars (Bessembinder, Kahle, Maxwell and Xu 2009 keep 100,000; 10,000 keeps
        all but the smallest retail trades).
    shift_factors : tuple of float
        A decimal point in the wrong place makes a price so many times too high or too low.
    shift_tolerance : float
        A mended price lies within this fraction of the median of its neighbours.
    shift_neighbours : int
        Trades before and trades after that make up the neighbours.
    shift_least : int
        Fewer neighbours in all say nothing.
    bounce_away : float
        A bounce-back is at least this fraction away from both the trade before and the trade after.
    bounce_agreement : float
        These two lie within this fraction of each other.
    correction_months : int
        Reports about trades executed more months ago change nothing.
    rows_at_once : int
        A month is cleaned in groups of bonds with about so many reports, which bounds memory. It changes no result.
    """

    regime: date = REGIME
    longest_settlement: int = 2
    highest_price: float = 1_000.0
    smallest_volume: float = 10_000.0
    shift_factors: tuple[float, ...] = (10.0, 100.0)
    shift_tolerance: float = 0.03
    shift_neighbours: int = 3
    shift_least: int = 3
    bounce_away: float = 0.35
    bounce_agreement: float = 0.05
    correction_months: int = 12
    rows_at_once: int = 500_000

    def __post_init__(self) -> None:
        for name in ("highest_price", "smallest_volume", "bounce_away"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("shift_neighbours", "shift_least", "rows_at_once"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.correction_months < 0:
            raise ValueError(f"correction_months counts months before this one, not {self.correction_months}")
        if not 0.0 < self.shift_tolerance < 1.0 or not 0.0 <= self.bounce_agreement < 1.0:
            raise ValueError(
                f"shift_tolerance and bounce_agreement are fractions, not {self.shift_tolerance} and "
                f"{self.bounce_agreement}"
            )
        if any(factor * (1.0 - self.shift_tolerance) <= 1.0 + self.shift_tolerance for factor in self.shift_factors):
            raise ValueError(f"shift_factors must be well above 1, not {self.shift_factors}")
