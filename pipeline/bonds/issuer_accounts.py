"""What accounts and stock say of a bond's issuer at the end of a month: the ratios that an index vendor would deliver.

Belongs here: the numbers, through the link from bonds to stocks and companies. Does not: the link itself
(``issuer_link``), characteristics made of the numbers (``fundamentals``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from pipeline.equity import records
from pipeline.equity.timing import FISCAL_STALE, PROFILES, chosen_records
from pipeline.panel.calendar import span
from pipeline.panel.cross_section import finite

TIMING = PROFILES["lag6m"]
"""The newest fiscal year that ended at least six months and at most eighteen before the end of m."""

_MARKET_EQUITY = pl.col("me_permco")


def _growth(item: str) -> pl.Expr:
    """Percent over the fiscal year; missing where the year before was not positive, of which nothing can grow."""
    before = pl.when(pl.col(f"{item}_1") > 0.0).then(pl.col(f"{item}_1"))
    return (pl.col(item) - before) / before * 100.0


# EBITDA is operating income before depreciation: after depreciation (oiadp), plus depreciation and amortisation.
VALUES: Mapping[str, pl.Expr] = {
    "stock_price": pl.when(pl.col("cfacpr") > 0.0).then(pl.col("prc") / pl.col("cfacpr")),
    "price_to_book": _MARKET_EQUITY / pl.col("ceq"),
    "price_to_earnings": _MARKET_EQUITY / pl.col("ib"),
    "debt": pl.col("dltt") + pl.col("dlc"),
    "ebitda": pl.col("oiadp") + pl.col("dp"),
    "ebit": pl.col("ebit"),
    "ebit_margin": pl.col("ebit") / pl.col("sale"),
    "gross_margin": (pl.col("sale") - pl.col("cogs")) / pl.col("sale"),
    "revenue": pl.col("sale"),
    "ebit_growth": _growth("ebit"),
    "revenue_growth": _growth("sale"),
    "leverage_ratio": pl.col("at") / pl.col("ceq"),
    "book_equity": pl.col("ceq"),
    "marketcap": _MARKET_EQUITY,
}
"""Column of the snapshot -> expression over the annual record, its items of the year before (``<item>_1``) and the
month's row of the stock."""

_MARKET = ("prc", "cfacpr", "me_permco")
_ITEMS = [item for item in records.items_of(VALUES.values()) if item not in _MARKET]

SCHEMA = {
    "month": pl.Date(),
    "cusip": pl.String(),
    "permno": pl.Int64(),
    "sic": pl.Int64(),
    **dict.fromkeys(VALUES, pl.Float64()),
}


def lookback() -> dict[str, int]:
    """Months of each input that a month needs, itself included."""
    annual = records.lookback(records.ANNUAL, records.lags_of(VALUES.values()), FISCAL_STALE)
    return {"compustat_annual": annual, "crsp_monthly": 1, "bond_issuer_link": 1}


def _accounts(compustat_annual: pl.DataFrame, gvkeys: pl.Series, months: Sequence[date]) -> pl.DataFrame:
    """Items of the record that each company uses in each month, and of its fiscal year before: month, gvkey, items."""
    annual = span(compustat_annual, months, lookback()["compustat_annual"]).filter(
        pl.col("gvkey").is_in(gvkeys.unique().implode())
    )
    pool = annual.select("month", "gvkey", "datadate", "fyear", *_ITEMS)
    chosen = chosen_records(pool, months, TIMING)
    held = records.with_earlier_periods(chosen, pool, records.ANNUAL, records.lags_of(VALUES.values()))
    return held.drop("datadate", "fyear")


def issuer_accounts(
    compustat_annual: pl.DataFrame, crsp_monthly: pl.DataFrame, link: pl.DataFrame, months: Sequence[date]
) -> pl.DataFrame:
    """Return accounting and stock-market values of the issuers of bonds.

    Parameters
    ----------
    compustat_annual : pl.DataFrame
        The asset of that name, by month of availability; the months of :func:`lookback`.
    crsp_monthly : pl.DataFrame
        The asset of that name; of ``months``: permno, prc, cfacpr, me_permco (millions), siccd.
    link : pl.DataFrame
        ``bond_issuer_link`` of ``months``: cusip, permno, gvkey; null where unmatched.
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        month, cusip, permno, sic, and the columns of :data:`VALUES`, one row a linked bond, sorted by month and cusip.
        Accounts are those of the newest fiscal year that ended six to eighteen months before, in millions; market
        equity is that of all share classes at the end of m. ``stock_price`` is the price over CRSP's cumulative factor:
        its level is restated by every later split, so that only the ratio of two dates means something.
        ``ebit_growth`` and ``revenue_growth`` are percent over the fiscal year, missing where the base is not positive.
        Book equity, earnings and margins keep their sign. A missing item, or a division by zero, gives null.

    Notes
    -----
    Price-to-book is market equity / CEQ, price-to-earnings market equity / IB, debt DLTT + DLC, EBITDA OIADP + DP, EBIT
    margin EBIT / SALE, gross margin (SALE - COGS) / SALE, leverage ratio AT / CEQ (Compustat's mnemonics).
    """
    wanted = pl.Series(sorted(set(months)), dtype=pl.Date)
    if wanted.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    linked = link.filter(pl.col("month").is_in(wanted.implode()), pl.col("permno").is_not_null())
    linked = linked.select("month", "cusip", "permno", "gvkey")
    market = crsp_monthly.filter(pl.col("month").is_in(wanted.implode())).select(
        "month", "permno", *_MARKET, sic="siccd"
    )
    rows = (
        linked.join(market, on=["month", "permno"], how="left")
        .join(_accounts(compustat_annual, linked["gvkey"], months), on=["month", "gvkey"], how="left")
        .sort("month", "cusip")
    )
    values = rows.select(
        "month", "cusip", "permno", "sic", *(each.cast(pl.Float64).alias(name) for name, each in VALUES.items())
    )
    return values.with_columns(finite(name) for name in VALUES).select(*SCHEMA).cast(SCHEMA)  # type: ignore[arg-type]
