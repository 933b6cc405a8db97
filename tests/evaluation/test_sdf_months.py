"""What portfolios earned, against plain loops."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.evaluation.sdf_months import SCHEMA, sdf_months

MONTHS = [date(2001, 1, 1), date(2001, 2, 1), date(2001, 3, 1)]


@pytest.fixture(scope="module")
def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(5)
    weights = [
        {
            "month": date(2000, 12, 1),
            "target_month": month,
            "objective": objective,
            "environment": "full",
            "asset_id": f"{asset}",
            "weight": rng.normal(),
            "forecast": rng.normal(),
        }
        for month in MONTHS
        for objective in ("sharpe", "mispricing")
        for asset in range(5)
    ]
    returns = [
        {"month": month, "permno": asset, "ret_excess": None if (asset, month) == (3, MONTHS[1]) else rng.normal()}
        for month in MONTHS
        for asset in range(1, 6)
    ]
    return pl.DataFrame(weights), pl.DataFrame(returns)


def test_against_plain_loops(tables):
    weights, returns = tables
    found = sdf_months(weights, returns, MONTHS, key="permno")
    assert found.schema == SCHEMA
    earned = {(row["month"], str(row["permno"])): row["ret_excess"] for row in returns.to_dicts()}
    for row in found.to_dicts():
        own = [
            each
            for each in weights.to_dicts()
            if (each["target_month"], each["objective"]) == (row["month"], row["objective"])
        ]
        known = [(each, earned.get((row["month"], each["asset_id"]))) for each in own]
        there = [(each["weight"], each["forecast"], r) for each, r in known if r is not None]
        assert (row["n"], row["n_without_return"]) == (5, 5 - len(there))
        assert row["factor"] == pytest.approx(sum(w * r for w, _, r in there), rel=1e-12)
        assert row["leverage"] == pytest.approx(sum(abs(each["weight"]) for each in own), rel=1e-12)
        assert row["net"] == pytest.approx(sum(each["weight"] for each in own), rel=1e-12)
        slope = sum(b * r for _, b, r in there) / sum(b * b for _, b, _ in there)
        errors = [(r - b * slope) ** 2 for _, b, r in there]
        assert row["squared_residual"] == pytest.approx(sum(errors) / len(errors), rel=1e-10)
        assert row["squared_return"] == pytest.approx(sum(r * r for *_, r in there) / len(there), rel=1e-12)
    assert found.filter(pl.col("month") == MONTHS[1])["n_without_return"].to_list() == [2, 2]


def test_a_month_is_the_same_alone(tables):
    whole = sdf_months(*tables, MONTHS, key="permno")
    for month in MONTHS:
        assert sdf_months(*tables, [month], key="permno").equals(whole.filter(pl.col("month") == month))


def test_no_weights_are_no_rows(tables):
    weights, returns = tables
    assert sdf_months(weights.clear(), returns, MONTHS, key="permno").is_empty()
