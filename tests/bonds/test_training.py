from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.registry import NAMES, RANKED, SETS, STANDARDISED, ranked
from pipeline.bonds.training import bond_training_panel
from pipeline.panel.calendar import month_range, shift

TRAINED = ranked(STANDARDISED)
PRESENT = [f"present_{name}" for name in SETS]
MAY, JUNE, JULY = (date(2008, month, 1) for month in (5, 6, 7))


def _characteristics(rows: list[tuple[date, str, float]], lacking: dict[str, set[str]]) -> pl.DataFrame:
    """Ranks that count up from a bond's first one, and raw values of 5 but where the bond lacks them."""
    index = pl.DataFrame(rows, schema=["month", "isin", "rank"], orient="row")
    return index.select(
        "month",
        "isin",
        *(
            pl.when(~pl.col("isin").is_in([isin for isin, names in lacking.items() if name in names]))
            .then(5.0)
            .alias(name)
            for name in NAMES
        ),
        *((pl.col("rank") + k).alias(name) for k, name in enumerate(TRAINED)),
    )


def test_the_return_of_a_month_meets_the_characteristics_of_the_month_before():
    rows = [(MAY, "A", 0.1), (MAY, "B", 0.2), (MAY, "C", 0.3), (JUNE, "A", 9.0)]
    characteristics = _characteristics(rows, {})
    returns = pl.DataFrame(
        {
            "month": [JUNE, JUNE, JUNE, MAY, JULY],
            "isin": ["B", "A", "Z", "A", "B"],
            "ret_excess": [-0.01, 0.02, 0.05, 0.5, 0.7],
            "ret": [0.0] * 5,
        }
    ).vstack(pl.DataFrame({"month": [JUNE], "isin": ["C"], "ret_excess": [None], "ret": [0.1]}))
    panel = bond_training_panel(characteristics, returns, [JUNE])
    assert panel.columns == ["month", "isin", "ret_excess", *PRESENT, *TRAINED]
    assert {*RANKED, "ytm_r", "issuer_beme_r", "issuer_suv_r"} < set(TRAINED)
    assert panel.select("month", "isin", "ret_excess", "bond_age_years_r", "bond_age_pct_r").rows() == [
        (JUNE, "A", 0.02, 0.1, 1.1),
        (JUNE, "B", -0.01, 0.2, 1.2),
    ]


def test_shares_are_of_each_set_and_of_the_month_before():
    # Coupon is in the sets notebook and dg, issuer_suv in issuer alone, ytm in dg alone; the industries are not ranked.
    assert [name for name in SETS if "coupon" in SETS[name]] == ["notebook", "dg"]
    assert [name for name in SETS if "issuer_suv" in SETS[name]] == ["issuer"]
    assert [name for name in SETS if "ytm" in SETS[name]] == ["dg"]
    sorts = set(SETS["sorts"])
    lacking = {"B": {"coupon", "ytm", "industry_3", "issuer_suv", *sorts}, "C": set(NAMES)}
    characteristics = _characteristics([(MAY, "A", 0.1), (MAY, "B", 0.2), (MAY, "C", 0.3), (JUNE, "A", 0.4)], lacking)
    characteristics = characteristics.with_columns(
        pl.when(pl.col("month") == JUNE).then(None).otherwise("issuer_suv").alias("issuer_suv")
    )
    returns = pl.DataFrame({"month": [JUNE] * 3 + [JULY], "isin": ["A", "B", "C", "A"], "ret_excess": [0.01] * 4})
    shares = bond_training_panel(characteristics, returns, [JUNE, JULY]).select("month", "isin", *PRESENT)
    sizes = {name: len(members) for name, members in SETS.items()}
    gone = {
        (JUNE, "A"): {},
        (JUNE, "B"): {"notebook": 1, "dg": 3, "issuer": 1, "sorts": len(sorts)},
        (JUNE, "C"): sizes,
        (JULY, "A"): {"issuer": 1},
    }
    for row in shares.iter_rows(named=True):
        expected = [1 - gone[row["month"], row["isin"]].get(name, 0) / sizes[name] for name in SETS]
        assert [row[name] for name in PRESENT] == pytest.approx(expected)
    assert shares.height == len(gone)


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
