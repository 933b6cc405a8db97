from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.evaluation.comparison_pairs import Specification, specifications
from pipeline.evaluation.comparisons import HacSettings, diebold_mariano, prediction_errors
from pipeline.evaluation.forecast_moments import forecast_moments
from pipeline.evaluation.learned_forecasts import learned_against, of_factor_models

ZERO, MEAN, MAIN = Specification("zero", 0), Specification("mean", 1), Specification("rdcfm", 2)
NETWORK, TREES = Specification("sdf_sharpe_full", 1), Specification("xgboost", 0)


@pytest.fixture(scope="module")
def case(make_forecasts):
    return make_forecasts(models=(ZERO, MAIN, NETWORK, TREES), n_months=30, seed=11)


@pytest.fixture(scope="module")
def moments(case) -> pl.DataFrame:
    """The trees forecast from the twentieth month on."""
    late = pl.col("target_month").is_in(case.months[19:])
    return forecast_moments(
        case.forecasts.filter((pl.col("model") != "xgboost") | late), case.returns, case.months, key="permno"
    )


def test_factor_models_alone_are_what_there_was_without_the_others(case, moments) -> None:
    alone = case.forecasts.filter(pl.col("model").is_in(["zero", "rdcfm"]))
    peer = forecast_moments(alone, case.returns, case.months, key="permno")
    found = of_factor_models(moments)
    assert specifications(found) == [MAIN, ZERO]
    # Sums over assets are products of matrices, whose columns may be added in another order.
    assert_frame_equal(found, peer, rel_tol=1e-12, abs_tol=1e-15)


def test_networks_and_trees_against_what_there_is(case, moments) -> None:
    found = learned_against(moments, [ZERO, MEAN, MAIN], HacSettings(lags=2))
    sides = found.select("model", "benchmark", "n_factors_benchmark").rows()
    # The trees share eleven months with each, one too few; there is no mean.
    assert sides == [("sdf_sharpe_full", "zero", 0), ("sdf_sharpe_full", "rdcfm", 2), ("xgboost", None, None)]
    own = prediction_errors(moments)
    for row in found.iter_rows(named=True):
        peer = own.filter(model=row["model"]).row(0, named=True)
        assert {name: row[name] for name in peer} == peer
    for benchmark, row in zip((ZERO, MAIN), found.iter_rows(named=True), strict=False):
        test = diebold_mariano(moments, benchmark, NETWORK, HacSettings(lags=2))
        names = ("difference", "t", "p", "stars")
        assert [row[name] for name in names] == [getattr(test, name) for name in names]
        assert (row["tested_months"], row["tested_n"]) == (test.n_months, test.n)
    zero = [case.common(month, NETWORK, ZERO) for month in case.months]
    assert found["difference"][0] == pytest.approx(np.mean([np.mean(y**2 - (y - f) ** 2) for y, f, _ in zero]))
    assert found["mspe"][0] == pytest.approx(
        np.mean([np.mean((y - f) ** 2) for y, f in (case.common(month, NETWORK) for month in case.months)])
    )


def test_fewer_months_will_do_where_they_are_asked_for(moments) -> None:
    found = learned_against(moments, [ZERO], HacSettings(min_months=11))
    assert found["tested_months"].to_list() == [30, 11]
    nothing = learned_against(of_factor_models(moments), [ZERO])
    assert nothing.is_empty()
