"""The bonds of a month as known at its end, whichever source they come from: the index extract, or trades.

Characteristics read this frame alone, so that a formula is written once. Belongs here: which bonds are in the panel and
under which name each source's column goes. Does not: prices and yields (``prices``), terms (``issues``), the issuer's
accounts (``issuer_accounts``), anything that looks back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType

import polars as pl

from pipeline.bonds.issuer_accounts import VALUES
from pipeline.bonds.ratings import SCALES, letters
from pipeline.bonds.source import INDEX, TRADES
from pipeline.panel.cross_section import finite

_COMPOSITE = (
    "AAA",
    *(f"{grade}{step}" for grade in ("AA", "A", "BBB", "BB", "B", "CCC") for step in (1, 2, 3)),
    "CC",
    "C",
    "D",
)
# Letters that two of the scales share mean the same on both.
INDEX_RATINGS: Mapping[str, int] = MappingProxyType(
    {
        **{spelled: ordinal for scale in SCALES.values() for spelled, ordinal in scale.ordinals.items()},
        **{spelled: ordinal for ordinal, spelled in enumerate(_COMPOSITE, start=1)},
    }
)
"""Composite ratings in upper case as ordinals, 1 (AAA) to 22 (D): the index vendor's own letters (AA1), S&P's (AA+) and
Moody's (Aa1); anything else is missing."""

SCHEMA = {
    "month": pl.Date(),
    "isin": pl.String(),
    "cusip": pl.String(),
    "permno": pl.Int64(),
    "sic": pl.Int64(),
    "source": pl.String(),
    "maturity": pl.Date(),
    "issue_date": pl.Date(),
    "coupon": pl.Float64(),
    "face_value": pl.Float64(),
    "duration": pl.Float64(),
    "rating": pl.Float64(),
    "sp_rating": pl.Float64(),
    "moody_rating": pl.Float64(),
    "spread": pl.Float64(),
    "price": pl.Float64(),
    "accrued_interest": pl.Float64(),
    "ytm": pl.Float64(),
    "sector": pl.String(),
    "default_probability": pl.Float64(),
    **dict.fromkeys(VALUES, pl.Float64()),
}
"""Columns of the snapshot. Of the bond: coupon percent a year, face_value thousands of dollars, duration years
(effective), ratings ordinals from 1 (AAA) to 22 (D), spread basis points, price clean and accrued_interest (by the
month's end) per 100 of face, ytm percent, default_probability percent. Of the issuer: sic the industry code of its
stock, money in millions of dollars, margins and ratios as fractions, growths percent; from the index as in the
extract."""

_FROM_INDEX = {
    "face_value": "paramount",
    "duration": "dur",
    "spread": "oas_bom",
    "price": "price_bom",
    "sector": "sector_level_3",
    "default_probability": "pd_drisk",
    "price_to_book": "pricetobook",
    "price_to_earnings": "pricetoearnings",
    "ebit_margin": "ebitmargin",
    "gross_margin": "grossmargin",
    "ebit_growth": "ebitgrowth",
    "revenue_growth": "revenuegrowth",
    "leverage_ratio": "leverageratio",
    **{name: name for name in ("maturity", "coupon", "stock_price", "debt", "ebitda", "ebit", "marketcap")},
}

# What the extract holds as the other half of a ratio; a zero in the ratio means missing.
_IMPLIED_BY_INDEX = {
    "revenue": pl.col("ebit") / pl.when(pl.col("ebitmargin") != 0.0).then(pl.col("ebitmargin")),
    "book_equity": pl.col("marketcap") / pl.when(pl.col("pricetobook") != 0.0).then(pl.col("pricetobook")),
}

_FROM_ISSUES = {
    "issue_date": "offering_date",
    "face_value": "amount_outstanding",
    "sector": "industry_group",
    **{name: name for name in ("isin", "maturity", "coupon", "rating", "sp_rating", "moody_rating")},
}
_FROM_PRICES = {
    "accrued_interest": "accrued_month_end",
    **{name: name for name in ("duration", "spread", "price", "ytm")},
}


def _of(frame: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    return frame.filter(pl.col("month").is_in(pl.Series(sorted(set(months)), dtype=pl.Date).implode()))


def _finished(rows: pl.DataFrame) -> pl.DataFrame:
    """Bring rows to the schema; a column that the source does not have is null."""
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in SCHEMA.items() if name not in rows.columns]
    frame = rows.with_columns(absent).select(*SCHEMA).cast(SCHEMA)  # type: ignore[arg-type]
    numbers = [name for name, dtype in SCHEMA.items() if dtype == pl.Float64]
    return frame.with_columns(finite(name) for name in numbers).sort("month", "isin")


def snapshot_from_index(index_snapshot: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Return the bonds of the index extract at the end of each month.

    Parameters
    ----------
    index_snapshot : pl.DataFrame
        Staged ``bonds.index_snapshot``; rows of ``months``.
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, sorted by month and isin. Numbers are the vendor's: its zeros and the missing
        code of ``default_probability`` are for the characteristics to judge. ``revenue`` is EBIT / EBIT margin,
        ``book_equity`` market capitalisation / price-to-book, missing where the ratio is 0. Null is what the extract
        does not have: permno, sic, issue_date, ratings by agency, accrued_interest and ytm.
    """
    rows = _of(index_snapshot, months)
    return _finished(
        rows.select(
            "month",
            "isin",
            *(pl.col(theirs).alias(ours) for ours, theirs in _FROM_INDEX.items()),
            **_IMPLIED_BY_INDEX,
            cusip=pl.col("cusip").str.head(8),
            source=pl.lit(INDEX),
            rating=letters("rating").replace_strict(INDEX_RATINGS, default=None, return_dtype=pl.Float64),
        )
    )


def snapshot_from_trades(
    bond_issues: pl.DataFrame, bond_prices: pl.DataFrame, accounts: pl.DataFrame | None, months: Sequence[date]
) -> pl.DataFrame:
    """Return the bonds of the universe of FISD that have a price at the end of each month.

    Parameters
    ----------
    bond_issues : pl.DataFrame
        The asset of that name; rows of ``months``: month, cusip (8), eligible, isin, maturity, offering_date, coupon,
        amount_outstanding (thousands), rating, sp_rating, moody_rating, industry_group.
    bond_prices : pl.DataFrame
        The asset of that name; rows of ``months``: month, cusip, price, accrued_month_end, ytm, duration, spread.
    accounts : pl.DataFrame or None
        What :func:`pipeline.bonds.issuer_accounts.issuer_accounts` gives for ``months``; None where issuers are not
        linked to stocks.
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, sorted by month and isin: one row a bond that is eligible at the end of m and has
        a price then. ``sector`` is FISD's industry group. The issuer's columns are null for a bond without a linked
        stock, ``default_probability`` for all.
    """
    issues = _of(bond_issues, months).filter(pl.col("eligible")).select(
        "month", "cusip", *(pl.col(theirs).alias(ours) for ours, theirs in _FROM_ISSUES.items())
    )  # fmt: skip
    prices = _of(bond_prices, months).select(
        "month", "cusip", *(pl.col(theirs).alias(ours) for ours, theirs in _FROM_PRICES.items())
    )
    rows = issues.join(prices, on=["month", "cusip"], how="inner", validate="1:1")
    if accounts is not None:
        rows = rows.join(accounts, on=["month", "cusip"], how="left", validate="1:1")
    return _finished(rows.with_columns(source=pl.lit(TRADES)))
