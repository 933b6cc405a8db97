"""Monthly returns of bonds from their prices at two month ends, with what accrued and was paid between them.

Belongs here: the return of a month and the source that it comes from. Does not: the prices themselves (``month_end``),
coupons and accrual (``carry``), the returns that the index extract brings along (``returns``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from pipeline.bonds.carry import TERMS, accrued, days_of, numbers_of, paid
from pipeline.bonds.coupon_calendar import BondTerms
from pipeline.bonds.issue_universe import amount_share
from pipeline.bonds.month_end import (
    PRIORITY,
    RECOVERY,
    BondPriceSettings,
    first_source,
    month_end_prices,
    recovery_values,
)
from pipeline.bonds.returns import PERCENT, SCHEMA
from pipeline.equity.waterfall import waterfall
from pipeline.panel.calendar import shift

LOOKBACK = 1
"""Months before the built one of every input but ``bonds.recovery`` and the riskless rate."""


def trade_returns(
    bond_issues: pl.DataFrame,
    trace_daily: pl.DataFrame | None,
    quotes: Mapping[str, pl.DataFrame],
    recovery: pl.DataFrame | None,
    french_factors: pl.DataFrame,
    months: Sequence[date],
    settings: BondPriceSettings | None = None,
) -> pl.DataFrame:
    """Return what every bond of the universe earned in each month.

    Parameters
    ----------
    bond_issues : pl.DataFrame
        The asset of that name; the month before each built one says which bonds are in the universe and on which terms,
        the built month which of them are in default.
    trace_daily : pl.DataFrame or None
        The asset of that name, month m-1 and m: month, cusip, date, price_corrected.
    quotes : mapping of str to pl.DataFrame
        ``lehman``, ``mergent``, ``datastream`` -> their rows of m-1 and m, those of them that are on disk: month,
        cusip, date, price, accrued_interest, coupon_paid.
    recovery : pl.DataFrame or None
        ``bonds.recovery``: month, cusip, default_date, recovery_price; the built months and
        :func:`pipeline.bonds.month_end.recovery_lookback` before.
    french_factors : pl.DataFrame
        Columns month, rf (decimal).
    months : sequence of date
        The months to build.
    settings : BondPriceSettings, optional
        The window at the month's end, the bounds of prices, how far recovery dates may lie apart.

    Returns
    -------
    pl.DataFrame
        month, isin, ret and ret_excess (decimals), sector (FISD's industry group) and value_start (thousands: clean
        price times amount outstanding) of m-1, source; sorted by month and isin. A bond without both prices has no
        row. ``ret_excess`` is null where the riskless rate is. Never winsorised: the bounds on prices bind the first
        price, by which the universe is chosen, not the second.

        What chooses and weights bonds is known at the end of m-1: the bounds bind each source's price as known then,
        and ``value_start`` takes the first source's that is within them, which is the price of ``bond_prices`` of
        m-1, whichever source the return is of.

    Notes
    -----
    ``ret = (P_m + AI_m + C) / (P_{m-1} + AI_{m-1}) - 1``: P the clean price of the last day with one within the last
    sessions of the month, AI what accrued by that day, C the coupons due after the first day and up to the second.
    P_{m-1} is taken as known at the end of m, corrections that came in m included, P_m as known then; a price that was
    not known at all at the end of m-1 starts nothing. Both are of one source, the first in
    :data:`pipeline.bonds.month_end.PRIORITY` that has them. From the default date nothing accrues and no coupon is
    paid. A bond whose default becomes known in m and of which no source has both prices ends at its recovery price
    (:func:`pipeline.bonds.month_end.recovery_values`), whatever source it started from; its source is then
    ``recovery``.
    """
    settings = settings or BondPriceSettings()
    pairs = [_pairs(bond_issues, trace_daily, quotes, recovery, month, settings) for month in sorted(set(months))]
    # A bond's return has the same bits whatever bonds stand beside it, so that all months are computed at once.
    return _earned(pl.concat(pairs), french_factors) if pairs else pl.DataFrame(schema=SCHEMA)


def _universe(bond_issues: pl.DataFrame, month: date) -> pl.DataFrame:
    """Bonds in the universe at the end of the month before, with their default as known then and at the end of m."""
    before = bond_issues.filter(pl.col("month") == shift(month, -1), pl.col("eligible")).select(
        "cusip", "isin", *TERMS, "amount_outstanding", sector="industry_group", default_before="default_date"
    )
    now = bond_issues.filter(pl.col("month") == month).select("cusip", "default_date", amount_now="amount_outstanding")
    return before.join(now.with_columns(listed=True), on="cusip", how="left").sort("cusip")


def _pairs(
    bond_issues: pl.DataFrame,
    trace_daily: pl.DataFrame | None,
    quotes: Mapping[str, pl.DataFrame],
    recovery: pl.DataFrame | None,
    month: date,
    settings: BondPriceSettings,
) -> pl.DataFrame:
    """Both prices of every bond of the universe that has them, the second under names ending in ``_end``."""
    held = _universe(bond_issues, month).with_columns(month=pl.lit(month))
    before = shift(month, -1)
    known = month_end_prices(trace_daily, quotes, before, before, settings).filter(settings.in_bounds())
    start = month_end_prices(trace_daily, quotes, before, month, settings).join(
        known, on=["cusip", "source"], how="semi"
    )
    end = month_end_prices(trace_daily, quotes, month, month, settings)
    both = first_source(start.join(end, on=["cusip", "source"], how="inner", suffix="_end"))
    fetched = recovery_values(recovery, held.join(both, on="cusip", how="anti"), month, settings)
    recovered = first_source(start).join(fetched.rename({"source": "source_end"}), on="cusip", suffix="_end")
    ended = recovered.with_columns(source="source_end").select(both.columns)
    valued = held.join(first_source(known).select("cusip", price_known="price"), on="cusip", how="inner")
    return valued.join(pl.concat([both, ended]), on="cusip", how="inner").sort("cusip")


def _earned(pairs: pl.DataFrame, rate: pl.DataFrame) -> pl.DataFrame:
    """Turn pairs of prices into returns."""
    terms = BondTerms.from_frame(pairs.select(TERMS))
    start, end = days_of(pairs["date"]), days_of(pairs["date_end"])
    default = days_of(pairs["default_date"])
    # Moody's may date a default some weeks before FISD does: its price is flat on its own day.
    recovered = (pairs["source"] == RECOVERY).to_numpy()
    default = np.where(recovered, np.fmin(default, end), default)
    first = numbers_of(pairs["price"]) + accrued(
        terms, start, numbers_of(pairs["accrued_interest"]), days_of(pairs["default_before"])
    )
    last = numbers_of(pairs["price_end"]) + accrued(terms, end, numbers_of(pairs["accrued_interest_end"]), default)
    coupons = paid(terms, start, end, numbers_of(pairs["coupon_paid_end"]), default)
    ret = (last + coupons) / first - 1.0
    return (
        pairs.with_columns(ret=pl.Series(ret, dtype=pl.Float64).fill_nan(None))
        .filter(pl.col("ret").is_not_null())
        .join(rate.select("month", "rf"), on="month", how="left")
        .with_columns(
            ret_excess=pl.col("ret") - pl.col("rf"),
            value_start=pl.col("price_known") * PERCENT * pl.col("amount_outstanding"),
        )
        .select(*SCHEMA)
        .cast(SCHEMA)  # type: ignore[arg-type]
        .sort("month", "isin")
    )


def trade_returns_figures(rows: pl.DataFrame, bond_issues: pl.DataFrame, month: date) -> dict[str, Any]:
    """Say how many bonds of the universe have a return in a month, and from where.

    Parameters
    ----------
    rows : pl.DataFrame
        :func:`trade_returns` of the month.
    bond_issues : pl.DataFrame
        The asset of that name, the month and the one before.
    month : datetime.date
        Month of the returns.

    Returns
    -------
    dict
        ``waterfall``: from the universe of m-1 to the bonds with a return; ``sources``: source -> returns;
        ``value_share``: share of the universe's amount outstanding that has a return, null where there is none;
        ``defaulted``: bonds of the universe that default in the month; ``defaulted_without_return``: those of them
        without a return; ``redeemed_without_return``: bonds that matured or were called in the month, nothing of them
        being outstanding at its end, and that have no return because no price is left; ``unpriced``: all others
        without a return that are not in default.
    """
    universe = _universe(bond_issues, month).join(rows.select("isin", "source"), on="isin", how="left")
    earned = pl.col("source").is_not_null()
    struck = universe.filter(pl.col("default_date").dt.truncate("1mo") == month)
    matured = pl.col("maturity") < shift(month, 1)
    redeemed = (pl.col("listed").is_null() | (pl.col("amount_now") == 0.0) | matured).fill_null(False)
    ended = earned.not_() & redeemed & pl.col("default_date").is_null()
    counts = dict(rows.group_by("source").len().iter_rows())
    return {
        "waterfall": waterfall(universe, {"a price at both month ends": earned}),
        "sources": {source: counts.get(source, 0) for source in (*PRIORITY, RECOVERY)},
        "value_share": amount_share(universe, earned),
        "defaulted": struck.height,
        "defaulted_without_return": struck.filter(~earned).height,
        "redeemed_without_return": universe.filter(ended).height,
        "unpriced": universe.filter(~earned, ~redeemed, pl.col("default_date").is_null()).height,
    }
