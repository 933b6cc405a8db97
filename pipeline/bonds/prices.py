"""The month-end price of every bond, with what accrues on it and what it says of yield, duration and credit.

Belongs here: one price a bond and month, from the first source that has one. Does not: returns, which need two prices
of one source (``trade_returns``), the mathematics (``bond_math``, ``credit_spread``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from pipeline.bonds.bond_math import (
    accrued_interest,
    convexity,
    effective_duration,
    modified_duration,
    yield_to_maturity,
)
from pipeline.bonds.carry import TERMS, Days, Floats, accrued, days_of, is_flat, numbers_of
from pipeline.bonds.coupon_calendar import BondTerms
from pipeline.bonds.credit_spread import credit_spread
from pipeline.bonds.issue_universe import FIXED_OR_ZERO_COUPON, amount_share
from pipeline.bonds.month_end import (
    PRIORITY,
    RECOVERY,
    BondPriceSettings,
    first_source,
    month_end_prices,
    recovery_prices,
)
from pipeline.equity.waterfall import waterfall

ANALYTICS = ("ytm", "modified_duration", "duration", "convexity", "spread")

SCHEMA = {
    "month": pl.Date(),
    "cusip": pl.String(),
    "isin": pl.String(),
    "date": pl.Date(),
    "price": pl.Float64(),
    "accrued_interest": pl.Float64(),
    "accrued_month_end": pl.Float64(),
    "source": pl.String(),
    "flat": pl.Boolean(),
    **dict.fromkeys(ANALYTICS, pl.Float64()),
    "volume": pl.Float64(),
}


def bond_prices(
    bond_issues: pl.DataFrame,
    trace_daily: pl.DataFrame | None,
    quotes: Mapping[str, pl.DataFrame],
    recovery: pl.DataFrame | None,
    treasury_curve: pl.DataFrame,
    months: Sequence[date],
    settings: BondPriceSettings | None = None,
) -> pl.DataFrame:
    """Return the price of every bond at the end of each month as known then, and what follows from it.

    Parameters
    ----------
    bond_issues : pl.DataFrame
        The asset of that name, rows of ``months``.
    trace_daily : pl.DataFrame or None
        The asset of that name, rows of ``months``: month, cusip, date, price_corrected, volume_corrected. A month's own
        partition is read alone, so that no later correction enters.
    quotes : mapping of str to pl.DataFrame
        ``lehman``, ``mergent``, ``datastream`` -> their rows of ``months``, those of them that are on disk: month,
        cusip, date, price, accrued_interest, coupon_paid.
    recovery : pl.DataFrame or None
        ``bonds.recovery``: month, cusip, default_date, recovery_price; the built months and
        :func:`pipeline.bonds.month_end.recovery_lookback` before.
    treasury_curve : pl.DataFrame
        month and zero_1 .. zero_11 (percent, continuously compounded), rows of ``months``.
    months : sequence of date
        The months to build.
    settings : BondPriceSettings, optional
        The window at the month's end and the bounds of prices.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, sorted by month and cusip: every issue of ``bond_issues``, in the universe or
        not, that has a price within bounds. ``source`` is the first of :data:`pipeline.bonds.month_end.PRIORITY` that
        has such a price; ``recovery`` for a bond in default that no source prices in the month in which its recovery
        price was observed, about 30 days after the default. ``price`` is clean, per 100 of face; ``accrued_interest``
        goes with it, at ``date``: the source's own figure, else by the issue's terms, 0 from the default date
        (``flat``), null where the terms do not say. ``accrued_month_end`` is what accrued by the end of the month by
        the issue's terms, 0 from the default date and from maturity, null where the terms do not say. ``ytm`` percent,
        ``modified_duration`` and ``duration`` (effective, 25 basis points up and down) years, ``convexity`` years
        squared, ``spread`` basis points over the zero curve: all with the call ignored and interest accrued by the
        terms; null for a bond in default, whose price no longer stands for the promised payments, for floating coupons,
        and where the mathematics has no answer. ``volume`` is the face value traded in the month in TRACE, dollars,
        null where nothing was.
    """
    settings = settings or BondPriceSettings()
    priced = [
        _priced(bond_issues.filter(pl.col("month") == month), trace_daily, quotes, recovery, month, settings)
        for month in sorted(set(months))
    ]
    # A bond's value has the same bits whatever bonds stand beside it, so that all months go through the mathematics
    # at once.
    return _valued(pl.concat(priced), treasury_curve) if priced else pl.DataFrame(schema=SCHEMA)


def _priced(
    issues: pl.DataFrame,
    trace_daily: pl.DataFrame | None,
    quotes: Mapping[str, pl.DataFrame],
    recovery: pl.DataFrame | None,
    month: date,
    settings: BondPriceSettings,
) -> pl.DataFrame:
    """Issues with their price and the source's own accrued interest."""
    found = month_end_prices(trace_daily, quotes, month, month, settings)
    unpriced = issues.join(found, on="cusip", how="anti")
    within = first_source(found.filter(settings.in_bounds()))
    fetched = recovery_prices(recovery, unpriced, month, settings).filter(settings.in_bounds())
    priced = issues.join(pl.concat([within, fetched]), on="cusip", how="inner")
    return priced.join(_volumes(trace_daily, month), on="cusip", how="left").sort("cusip")


def _volumes(trace_daily: pl.DataFrame | None, month: date) -> pl.DataFrame:
    """Face value traded in a month as known at its end; added in the order of days."""
    if trace_daily is None:
        return pl.DataFrame(schema={"cusip": pl.String, "volume": pl.Float64})
    own = (pl.col("month") == month) & (pl.col("date").dt.truncate("1mo") == month)
    days = trace_daily.filter(own, pl.col("volume_corrected").is_not_null()).sort("cusip", "date")
    bonds = days["cusip"].unique(maintain_order=True)
    place = days["cusip"].rle_id().to_numpy()
    total = np.bincount(place, weights=days["volume_corrected"].to_numpy(), minlength=len(bonds))
    return pl.DataFrame({"cusip": bonds, "volume": pl.Series(total, dtype=pl.Float64)})


def _valued(priced: pl.DataFrame, curve: pl.DataFrame) -> pl.DataFrame:
    """Add what accrues on the prices and what they say."""
    terms = BondTerms.from_frame(priced.select(TERMS))
    dates, default = days_of(priced["date"]), days_of(priced["default_date"])
    flat = is_flat(dates, default) | (priced["source"] == RECOVERY).to_numpy()
    interest = np.where(flat, 0.0, accrued(terms, dates, numbers_of(priced["accrued_interest"]), default))
    promised = np.flatnonzero(~flat & priced[FIXED_OR_ZERO_COUPON].to_numpy())
    values = np.full((len(ANALYTICS), priced.height), np.nan)
    values[:, promised] = _analytics(terms[promised], dates[promised], numbers_of(priced["price"])[promised], curve)
    columns = {
        "accrued_interest": interest,
        "accrued_month_end": _month_end_interest(priced, terms, default),
        **dict(zip(ANALYTICS, values, strict=True)),
    }
    return (
        priced.with_columns(pl.Series(name, column).fill_nan(None) for name, column in columns.items())
        .with_columns(flat=pl.Series(flat, dtype=pl.Boolean))
        .select(*SCHEMA)
        .cast(SCHEMA)  # type: ignore[arg-type]
    )


def _month_end_interest(priced: pl.DataFrame, terms: BondTerms, default: Days) -> Floats:
    """Interest accrued by the last day of each row's month, whatever the day of its price and its source."""
    day = days_of(priced["month"].dt.month_end())
    over = is_flat(day, default) | is_flat(day, days_of(priced["maturity"]))
    return np.where(over, 0.0, accrued_interest(terms, day))


def _analytics(terms: BondTerms, dates: np.ndarray, clean: Floats, curve: pl.DataFrame) -> Floats:
    """Values of :data:`ANALYTICS`, (5, N)."""
    ytm = yield_to_maturity(terms, dates, clean)
    return np.array(
        [
            ytm,
            modified_duration(terms, dates, ytm),
            effective_duration(terms, dates, ytm),
            convexity(terms, dates, ytm),
            credit_spread(terms, dates, clean, curve),
        ]
    )


def prices_figures(rows: pl.DataFrame, bond_issues: pl.DataFrame, month: date) -> dict[str, Any]:
    """Say how much of the universe is priced in a month, and from where.

    Parameters
    ----------
    rows : pl.DataFrame
        :func:`bond_prices` of the month.
    bond_issues : pl.DataFrame
        The asset of that name.
    month : datetime.date
        The month.

    Returns
    -------
    dict
        ``waterfall``: from the universe to the bonds with a price, and those with a spread; ``sources``: source ->
        prices of bonds in the universe; ``value_share``: share of the universe's amount outstanding that is priced,
        null where there is none; ``outside_universe``: prices of other bonds; ``flat``: prices of bonds in default.
    """
    universe = bond_issues.filter(pl.col("month") == month, pl.col("eligible")).select("cusip", "amount_outstanding")
    held = universe.join(rows.select("cusip", "source", "spread"), on="cusip", how="left")
    priced = pl.col("source").is_not_null()
    counts = dict(held.filter(priced).group_by("source").len().iter_rows())
    return {
        "waterfall": waterfall(
            held, {"a price at the month end, within bounds": priced, "a spread": pl.col("spread").is_not_null()}
        ),
        "sources": {source: counts.get(source, 0) for source in (*PRIORITY, RECOVERY)},
        "value_share": amount_share(held, priced),
        "outside_universe": rows.height - held.filter(priced).height,
        "flat": int(rows["flat"].sum()),
    }
