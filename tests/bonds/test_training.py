from __future__ import annotations

from datetime import date

import polars as pl
from polars.testing import assert_frame_equal

from pipeline.bonds.registry import RANKED, STANDARDISED, ranked
from pipeline.bonds.training import bond_training_panel
from pipeline.panel.calendar import month_range, shift

TRAINED = ranked(STANDARDISED)
MAY, JUNE, JULY = (date(2008, month, 1) for month in (5, 6, 7))


def _characteristics(rows: list[tuple[date, str, float]]) -> pl.DataFrame:
    index = pl.DataFrame(rows, schema=["month", "isin", "rank"], orient="row")
    return index.select("month", "isin", *[(pl.col("rank") + k).alias(name) for k, name in enumerate(TRAINED)])


def test_the_return_of_a_month_meets_the_characteristics_of_the_month_before():
    characteristics = _characteristics([(MAY, "A", 0.1), (MAY, "B", 0.2), (MAY, "C", 0.3), (JUNE, "A", 9.0)])
    returns = pl.DataFrame(
        {
            "month": [JUNE, JUNE, JUNE, MAY, JULY],
            "isin": ["B", "A", "Z", "A", "B"],
            "ret_excess": [-0.01, 0.02, 0.05, 0.5, 0.7],
            "ret": [0.0] * 5,
        }
    ).vstack(pl.DataFrame({"month": [JUNE], "isin": ["C"], "ret_excess": [None], "ret": [0.1]}))
    panel = bond_training_panel(characteristics, returns, [JUNE])
    assert panel.columns == ["month", "isin", "ret_excess", *TRAINED]
    assert {*RANKED, "ytm_r", "issuer_beme_r", "issuer_suv_r"} < set(TRAINED)
    assert panel.select("month", "isin", "ret_excess", "bond_age_years_r", "bond_age_pct_r").rows() == [
        (JUNE, "A", 0.02, 0.1, 1.1),
        (JUNE, "B", -0.01, 0.2, 1.2),
    ]


def test_a_range_equals_its_months(market, build):
    months = month_range(date(2014, 10, 1), date(2015, 1, 1))
    characteristics = build(market, [shift(month, -1) for month in months])
    together = bond_training_panel(characteristics, market["bond_returns"], months)
    assert together["month"].unique().sort().to_list() == months
    singly = [
        bond_training_panel(
            characteristics.filter(pl.col("month") == shift(month, -1)),
            market["bond_returns"].filter(pl.col("month") == month),
            [month],
        )
        for month in months
    ]
    assert_frame_equal(together, pl.concat(singly), check_exact=True)
    assert bond_training_panel(characteristics, market["bond_returns"], []).height == 0
