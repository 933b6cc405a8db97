"""The innovation in VIX: an AR(1) re-estimated every month on the months before.

Only the VIX is here; the regression itself is in ``pipeline.panel.time_series``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipeline.macro.monthly import lagged, last_of_month, wanted_months, without_nan
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.dense import MonthlySeries
from pipeline.panel.time_series import walk_forward_residuals


@dataclass(frozen=True, kw_only=True)
class VixInnovationSettings:
    """Settings of :func:`vix_innovation`.

    Attributes
    ----------
    window : int
        Calendar months before m on which the AR(1) of m is estimated.
    min_obs : int
        Fewest complete months in that window.
    """

    window: int = 60
    min_obs: int = 36

    def __post_init__(self) -> None:
        if not 3 <= self.min_obs <= self.window:
            raise ValueError(f"min_obs {self.min_obs} must lie between 3 and the window of {self.window} months")


def vix_innovation(prices: pl.DataFrame, months: Sequence[date], settings: VixInnovationSettings) -> pl.DataFrame:
    """Innovation in the month-end VIX.

    Parameters
    ----------
    prices : DataFrame
        Daily VIX: ``date``, ``month``, ``close`` (index points; null is missing). The months ``m - window - 1 .. m``
        are used.
    months : sequence of date
        Months wanted.
    settings : VixInnovationSettings
        Window.

    Returns
    -------
    DataFrame
        As :func:`vix_innovation_of_series`, with the close of the month's last trading day as the VIX.
    """
    closes = last_of_month(prices, "close").rename({"close": "vix"})
    return vix_innovation_of_series(closes, months, settings)


def vix_innovation_of_series(
    monthly: pl.DataFrame, months: Sequence[date], settings: VixInnovationSettings
) -> pl.DataFrame:
    """Innovation in a monthly VIX series, however it was sampled.

    ``vix[m] - (intercept + slope * vix[m-1])`` with both coefficients from the regression of VIX on its value a month
    earlier over the months ``m - window .. m - 1``. The VIX of m explains returns of m: the innovation is
    contemporaneous.

    Parameters
    ----------
    monthly : DataFrame
        ``month, vix`` (index points), one row a month.
    months : sequence of date
        Months wanted.
    settings : VixInnovationSettings
        Window.

    Returns
    -------
    DataFrame
        One row a month: ``month, vix, vix_innovation, intercept, slope, n_obs``; null where a value or the window is
        missing.
    """
    wanted = wanted_months(months)
    grid = month_range(shift(wanted[0], -settings.window - 1), wanted[-1])
    level = MonthlySeries.from_frame(monthly, ["vix"], grid[0], grid[-1]).values
    fit = walk_forward_residuals(level[:, 0], lagged(level, 1), settings.window, settings.min_obs, intercept=True)
    frame = pl.DataFrame(
        {
            "month": grid,
            "vix": level[:, 0],
            "vix_innovation": fit.residual,
            "intercept": fit.coef[:, 0],
            "slope": fit.coef[:, 1],
            "n_obs": fit.n_obs,
        }
    )
    return without_nan(frame.filter(pl.col("month").is_in(wanted)))
