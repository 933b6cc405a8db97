"""Characteristics from the days of one month: spreads, volatility, turnover, illiquidity.

Belongs here: what needs no day before the month. The definitions named ``gkx_`` are those of Green, Hand and Zhang
(2017), whose program groups daily rows by stock and month; windows of days have their own module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.panel.dense import Floats
from pipeline.panel.windows import window_std, window_sum

COLUMNS = ("ret", "prc", "volume", "shrout", "bid", "ask", "high", "low")
# Liu (2006) scales the inverse of one month's turnover so that it orders stocks with equally many days without trade.
LIU_DEFLATOR = 480_000.0
LIU_DAYS = 21.0
# A quoted spread of half the midpoint or more is taken for a stale or wrong quote (Chung and Zhang 2014).
WIDEST_SPREAD = 0.5


@dataclass(frozen=True, kw_only=True)
class MonthOfDays:
    """The days of one month.

    Attributes
    ----------
    columns : dict of str to ndarray of shape (days, N)
        The columns named by :data:`COLUMNS`, NaN where missing: ret decimal, prc positive, volume in shares, shrout in
        thousands, the others dollars.
    rows : ndarray of shape (N,)
        Daily rows of each stock.
    """

    columns: dict[str, Floats]
    rows: Floats

    @property
    def turnover(self) -> Floats:
        """Volume as a fraction of shares outstanding."""
        return _ratio(self.columns["volume"], self.columns["shrout"] * 1000.0)

    @property
    def dollar_volume(self) -> Floats:
        """Price times volume, NaN where it is zero."""
        dollars = self.columns["prc"] * self.columns["volume"]
        return np.where(dollars > 0.0, dollars, np.nan)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; NaN where the denominator is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0.0, numerator / denominator, np.nan)


def _mean(values: Floats) -> Floats:
    return _ratio(window_sum(values, 1), (~np.isnan(values)).sum(axis=0).astype(np.float64))


def _spread(days: MonthOfDays) -> Floats:
    bid, ask = days.columns["bid"], days.columns["ask"]
    width = _ratio(ask - bid, 0.5 * (ask + bid))
    return _mean(np.where((bid > 0.0) & (ask > bid) & (width < WIDEST_SPREAD), width, np.nan))


def _high_low_range(days: MonthOfDays) -> Floats:
    high, low = days.columns["high"], days.columns["low"]
    return _mean(np.where((low > 0.0) & (high >= low), _ratio(high - low, 0.5 * (high + low)), np.nan))


def _highest_return(days: MonthOfDays) -> Floats:
    return np.fmax.reduce(days.columns["ret"], axis=0)


def _return_volatility(days: MonthOfDays) -> Floats:
    return window_std(days.columns["ret"], 2)


def _dollar_volume_volatility(days: MonthOfDays) -> Floats:
    return window_std(np.log(days.dollar_volume), 2)


def _turnover_volatility(days: MonthOfDays) -> Floats:
    return window_std(days.turnover, 2)


def _illiquidity(days: MonthOfDays) -> Floats:
    return _mean(np.abs(days.columns["ret"]) / days.dollar_volume)


def _zero_trading_days(days: MonthOfDays) -> Floats:
    zeros = (days.columns["volume"] == 0.0).sum(axis=0).astype(np.float64)
    inverse = _ratio(np.ones(len(zeros)), window_sum(days.turnover, 1))
    return _ratio((zeros + inverse / LIU_DEFLATOR) * LIU_DAYS, days.rows)


MONTH_CHARACTERISTICS: dict[str, Callable[[MonthOfDays], Floats]] = {
    "spread": _spread,
    "gkx_maxret": _highest_return,
    "gkx_retvol": _return_volatility,
    "gkx_baspread": _high_low_range,
    "gkx_std_dolvol": _dollar_volume_volatility,
    "gkx_std_turn": _turnover_volatility,
    "gkx_ill": _illiquidity,
    "gkx_zerotrade": _zero_trading_days,
}
"""One function a characteristic, each giving (N,) values, NaN where a stock has no usable day.

``spread``: mean of (ask - bid) / midpoint over days with bid > 0, ask > bid and less than half the midpoint (Chung and
Zhang 2014). ``gkx_baspread``: mean of (high - low) / their mean, as in the authors' program. ``gkx_ill``: mean of
|ret| / dollar volume (Amihud 2002), days without volume left out. ``gkx_zerotrade``: (days of zero volume +
1 / (480,000 turnover)) 21 / days (Liu 2006); turnover is a fraction of the shares, where the authors' program divides
shares by thousands of shares; missing in a month without any volume.
"""


def month_characteristics(days: MonthOfDays) -> dict[str, Floats]:
    """Compute every characteristic of :data:`MONTH_CHARACTERISTICS` for the stocks of one month."""
    return {name: compute(days) for name, compute in MONTH_CHARACTERISTICS.items()}
