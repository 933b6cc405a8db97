"""Characteristics read off the bond itself: its age, terms, rating, spread and default probability."""

from __future__ import annotations

import polars as pl

from pipeline.bonds.definition import DG, NOTEBOOK, Characteristic

# A default probability at or below this is a missing code of the vendor, not a number.
DEFAULT_PROBABILITY_SENTINEL = -0.99
# Multiplied, not divided: Polars divides by a constant in a frame of one row and multiplies by its reciprocal in longer
# ones, so that a quotient's last bit would depend on how many rows are built together.
YEARS_A_DAY = 1.0 / 365.25

MONTH_END = pl.col("month").dt.month_end()
# A bond without an offering date counts as issued at the end of the first month whose snapshot holds it.
ISSUE_DATE = pl.coalesce("issue_date", pl.col("first_month").dt.month_end())
AGE_DAYS = (MONTH_END - ISSUE_DATE).dt.total_days().cast(pl.Float64)
LIFE_DAYS = (pl.col("maturity") - ISSUE_DATE).dt.total_days().cast(pl.Float64)
MATURITY_DAYS = (pl.col("maturity") - MONTH_END).dt.total_days().cast(pl.Float64)
_PROBABILITY = pl.col("default_probability")
DEFAULT_PROBABILITY = pl.when(_PROBABILITY > DEFAULT_PROBABILITY_SENTINEL).then(_PROBABILITY)

AGE_DEFINITION = (
    "(month end - issue date) / 365.25, the issue date FISD's offering date, else the end of the first month the bond "
    "is seen"
)
AGE_INPUTS = ("bond_snapshot.isin", "bond_snapshot.issue_date")
AGE_TIMING = "end of m; without an offering date, first month seen over the whole history to m"

CONTRACT = (
    Characteristic(
        name="bond_age_years",
        sets=(NOTEBOOK,),
        definition=AGE_DEFINITION,
        unit="years",
        inputs=AGE_INPUTS,
        timing=AGE_TIMING,
        formula=AGE_DAYS * YEARS_A_DAY,
    ),
    Characteristic(
        name="bond_age_pct",
        sets=(NOTEBOOK,),
        definition="(month end - issue date) / (maturity - issue date); missing unless the maturity is the later date",
        unit="fraction",
        inputs=(*AGE_INPUTS, "bond_snapshot.maturity"),
        timing=AGE_TIMING,
        formula=pl.when(LIFE_DAYS > 0.0).then(AGE_DAYS / LIFE_DAYS),
    ),
    Characteristic(
        name="coupon",
        sets=(NOTEBOOK, DG),
        definition="annual coupon",
        unit="percent",
        inputs=("bond_snapshot.coupon",),
        formula=pl.col("coupon"),
    ),
    Characteristic(
        name="face_value",
        sets=(NOTEBOOK, DG),
        definition="amount outstanding",
        unit="thousands of dollars",
        inputs=("bond_snapshot.face_value",),
        formula=pl.col("face_value"),
    ),
    Characteristic(
        name="duration",
        sets=(NOTEBOOK,),
        definition="effective duration; from trades +-25 basis points, the call ignored",
        unit="years",
        inputs=("bond_snapshot.duration",),
        formula=pl.col("duration"),
    ),
    Characteristic(
        name="rating",
        sets=(NOTEBOOK, DG),
        definition="ordinal rating, 1 (AAA) to 21 (C), 22 (D): the index vendor's composite, or S&P's, else Moody's; "
        "an unknown rating is missing",
        unit="notches",
        inputs=("bond_snapshot.rating",),
        formula=pl.col("rating"),
    ),
    Characteristic(
        name="spread",
        sets=(NOTEBOOK,),
        definition="option-adjusted spread of the index extract; from trades, yield less that of a Treasury with the "
        "same payments",
        unit="basis points",
        inputs=("bond_snapshot.spread",),
        formula=pl.col("spread"),
    ),
    Characteristic(
        name="default_probability",
        sets=(NOTEBOOK,),
        definition="vendor's default probability; -0.99 and below are missing codes",
        unit="percent",
        inputs=("bond_snapshot.default_probability",),
        formula=DEFAULT_PROBABILITY,
    ),
    Characteristic(
        name="spread_to_default_probability",
        sets=(NOTEBOOK,),
        definition="spread / default probability; infinite is missing",
        unit="basis points per percent",
        inputs=("bond_snapshot.spread", "bond_snapshot.default_probability"),
        formula=pl.col("spread") / DEFAULT_PROBABILITY,
    ),
)
