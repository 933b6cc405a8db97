from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from pipeline.evaluation.forecasts import SCHEMA, network_forecasts, with_realised

MADE, TARGET = date(2000, 12, 1), date(2001, 1, 1)


@pytest.fixture
def forecasts() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "month": [MADE] * 3,
            "target_month": [TARGET] * 3,
            "model": ["ipca"] * 3,
            "asset_id": ["B", "A", "C"],
            "forecast": [0.02, 0.01, 0.03],
        }
    )


@pytest.fixture
def returns() -> pl.DataFrame:
    return pl.DataFrame({"month": [MADE, TARGET, TARGET], "isin": ["A", "A", "B"], "ret_excess": [9.0, -0.1, 0.2]})


def test_the_return_of_the_target_month_is_joined(forecasts, returns):
    joined = with_realised(forecasts, returns)
    assert joined.columns == ["model", "month", "asset_id", "forecast", "realised", "made"]
    assert joined["month"].to_list() == [TARGET] * 3
    assert joined["made"].to_list() == [MADE] * 3
    assert joined["asset_id"].to_list() == ["A", "B", "C"]
    assert joined["forecast"].to_list() == [0.01, 0.02, 0.03]
    assert joined["realised"].to_list() == [-0.1, 0.2, None]


def test_integer_keys_are_matched_as_text(forecasts):
    stocks = forecasts.with_columns(pl.Series("asset_id", ["10001", "10002", "10003"]))
    returns = pl.DataFrame({"month": [TARGET], "permno": [10002], "ret": [0.5]})
    joined = with_realised(stocks, returns, key="permno", response="ret")
    assert joined["realised"].to_list() == [None, 0.5, None]


def test_doubled_rows_are_refused(forecasts, returns):
    with pytest.raises(ValueError, match="the returns have 2 rows"):
        with_realised(forecasts, pl.concat([returns, returns.tail(1)]))
    with pytest.raises(ValueError, match="the forecasts have 2 rows"):
        with_realised(pl.concat([forecasts, forecasts.head(1)]), returns)


def test_networks_are_models_with_one_factor() -> None:
    made, target = date(2020, 1, 1), date(2020, 2, 1)
    weights = pl.DataFrame(
        {
            "month": [made] * 3,
            "target_month": [target] * 3,
            "objective": ["sharpe", "sharpe", "mispricing"],
            "environment": ["full", "no_macro", "full"],
            "asset_id": ["a", "a", "b"],
            "weight": [0.5, 0.4, -0.1],
            "forecast": [0.01, None, -0.02],
        }
    )
    found = network_forecasts(weights)
    assert found.schema == SCHEMA
    assert found.rows() == [
        (made, target, "sdf_sharpe_full", 1, "a", 0.01),
        (made, target, "sdf_sharpe_no_macro", 1, "a", None),
        (made, target, "sdf_mispricing_full", 1, "b", -0.02),
    ]
    assert network_forecasts(weights.clear()).schema == SCHEMA
