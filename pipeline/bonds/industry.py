"""Value-weighted returns of the bonds' sectors, and bond returns less their exposure to them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import numpy as np
import polars as pl

from pipeline.bonds.momentum import INDUSTRY_ADJUSTED
from pipeline.panel.calendar import month_number
from pipeline.panel.dense import MonthlyPanel, MonthlySeries
from pipeline.panel.regression import WalkForwardSettings, walk_forward_month
from pipeline.panel.windows import Window


def industry_returns(returns: pl.DataFrame) -> pl.DataFrame:
    """Add the value-weighted return of each bond's sector.

    Parameters
    ----------
    returns : pl.DataFrame
        ``bond_returns``: columns month, isin, ret (decimal), sector, value_start.

    Returns
    -------
    pl.DataFrame
        The rows sorted by month and isin with ``industry_return`` (decimal): the mean return of the month over the
        bonds of the sector, the bond itself included, weighted by their value at the start of the month. A bond
        without return, or with a value missing or not positive, has no weight; a bond without sector, or in a sector
        without weight, gets null.
    """
    rows = returns.sort("month", "isin").with_columns(
        (pl.col("value_start").is_not_null() & (pl.col("value_start") > 0.0) & pl.col("ret").is_not_null()).alias("in")
    )
    weighted = rows.filter(pl.col("in") & pl.col("sector").is_not_null())
    groups = weighted.select("month", "sector").unique().sort("month", "sector").with_row_index("group")
    codes = weighted.join(groups, on=["month", "sector"], how="left", maintain_order="left")["group"].to_numpy()
    value = weighted["value_start"].to_numpy()
    # bincount adds one row after another, so that a sector's sum does not depend on what else is in the frame.
    total = np.bincount(codes, weights=value * weighted["ret"].to_numpy(), minlength=len(groups))
    weight = np.bincount(codes, weights=value, minlength=len(groups))
    means = groups.select("month", "sector").with_columns(
        pl.Series("industry_return", total / weight, dtype=pl.Float64)
    )
    return rows.drop("in").join(means, on=["month", "sector"], how="left", maintain_order="left")


def with_industry_adjusted_returns(
    panel: MonthlyPanel, series: MonthlySeries, months: Iterable[date], window: Window
) -> MonthlyPanel:
    """Add returns less the part explained by the sector, for the given months.

    Parameters
    ----------
    panel : MonthlyPanel
        Arrays ``ret`` and ``industry_return`` (decimals).
    series : MonthlySeries
        Series ``mkt`` (the market return, decimal).
    months : iterable of date
        Months t whose returns are adjusted; the panel must reach back ``window.months`` before each.
    window : Window
        Months before t, and the fewest complete observations.

    Returns
    -------
    MonthlyPanel
        With the array ``industry_adjusted``: ``ret - slope * industry_return`` of month t, the slope from a regression
        of the return on the market's and the sector's, with intercept, over the window ending at t-1. NaN where the
        return, the sector's return or the slope is missing, and in months not asked for.
    """
    returns, sectors = panel.arrays["ret"], panel.arrays["industry_return"]
    adjusted = np.full_like(returns, np.nan)
    settings = WalkForwardSettings(window=window, lag=1)
    for month in months:
        row = month_number(month) - month_number(panel.first)
        here = np.flatnonzero(~np.isnan(returns[row]) & ~np.isnan(sectors[row]))
        fit = walk_forward_month(
            panel, series, month, here, response="ret", common=("mkt",), own=("industry_return",), settings=settings
        )
        adjusted[row, here] = returns[row, here] - fit.slopes[:, 1] * sectors[row, here]
    return panel.with_array(INDUSTRY_ADJUSTED, adjusted)
