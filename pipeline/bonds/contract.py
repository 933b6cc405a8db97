"""Characteristics read off the bond itself: its age, terms, rating, spread and default probability."""

from __future__ import annotations

import polars as pl

from pipeline.bonds.definition import Characteristic

# Composite ratings of the index vendor; AAA is 1, D is 22, anything else is missing.
RATINGS = {
    rating: ordinal
    for ordinal, rating in enumerate(
        (
            "AAA",
            *(f"{grade}{step}" for grade in ("AA", "A", "BBB", "BB", "B", "CCC") for step in (1, 2, 3)),
            "CC",
            "C",
            "D",
        ),
        start=1,
    )
}
# A default probability at or below this is a missing code of the vendor, not a number.
DEFAULT_PROBABILITY_SENTINEL = -0.99
# Multiplied, not divided: Polars divides by a constant in a frame of one row and multiplies by its reciprocal in longer
# ones, so that a quotient's last bit would depend on how many rows are built together.
YEARS_A_DAY = 1.0 / 365.25

MONTH_END = pl.col("month").dt.month_end()
# A bond is known from the end of the first month whose snapshot holds it, at which its age is zero.
ISSUE_DATE = pl.col("first_month").dt.month_end()
AGE_DAYS = (MONTH_END - ISSUE_DATE).dt.total_days().cast(pl.Float64)
LIFE_DAYS = (pl.col("maturity") - ISSUE_DATE).dt.total_days().cast(pl.Float64)
RATING = pl.col("rating").replace_strict(RATINGS, default=None, return_dtype=pl.Float64)
DEFAULT_PROBABILITY = pl.when(pl.col("pd_drisk") > DEFAULT_PROBABILITY_SENTINEL).then(pl.col("pd_drisk"))

CONTRACT = (
    Characteristic(
        name="bond_age_years",
        definition="(month end - issue date) / 365.25, the issue date the end of the first month the bond is seen",
        unit="years",
        inputs=("index_snapshot.isin",),
        timing="end of m; first month seen over the whole history to m",
        formula=AGE_DAYS * YEARS_A_DAY,
    ),
    Characteristic(
        name="bond_age_pct",
        definition="(month end - issue date) / (maturity - issue date); missing unless the maturity is the later date",
        unit="fraction",
        inputs=("index_snapshot.isin", "index_snapshot.maturity"),
        timing="end of m; first month seen over the whole history to m",
        formula=pl.when(LIFE_DAYS > 0.0).then(AGE_DAYS / LIFE_DAYS),
    ),
    Characteristic(
        name="coupon",
        definition="annual coupon",
        unit="percent",
        inputs=("index_snapshot.coupon",),
        formula=pl.col("coupon"),
    ),
    Characteristic(
        name="face_value",
        definition="amount outstanding",
        unit="thousands of dollars",
        inputs=("index_snapshot.paramount",),
        formula=pl.col("paramount"),
    ),
    Characteristic(
        name="duration",
        definition="effective duration",
        unit="years",
        inputs=("index_snapshot.dur",),
        formula=pl.col("dur"),
    ),
    Characteristic(
        name="rating",
        definition="ordinal rating, 1 (AAA) to 21 (C), 22 (D); an unknown rating is missing",
        unit="notches",
        inputs=("index_snapshot.rating",),
        formula=RATING,
    ),
    Characteristic(
        name="spread",
        definition="option-adjusted spread",
        unit="basis points",
        inputs=("index_snapshot.oas_bom",),
        formula=pl.col("oas_bom"),
    ),
    Characteristic(
        name="default_probability",
        definition="vendor's default probability; -0.99 and below are missing codes",
        unit="percent",
        inputs=("index_snapshot.pd_drisk",),
        formula=DEFAULT_PROBABILITY,
    ),
    Characteristic(
        name="spread_to_default_probability",
        definition="option-adjusted spread / default probability; infinite is missing",
        unit="basis points per percent",
        inputs=("index_snapshot.oas_bom", "index_snapshot.pd_drisk"),
        formula=pl.col("oas_bom") / DEFAULT_PROBABILITY,
    ),
)
