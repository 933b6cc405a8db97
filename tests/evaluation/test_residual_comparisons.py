from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from scipy.stats import t as student

from pipeline.evaluation.comparison_pairs import Specification
from pipeline.evaluation.comparisons import DIEBOLD_MARIANO, HacSettings, diebold_mariano
from pipeline.evaluation.forecast_moments import forecast_moments
from pipeline.evaluation.forecasts import with_realised
from pipeline.evaluation.pricing import residuals
from pipeline.evaluation.residual_comparisons import residual_comparison

NETWORK, REGRESSION = Specification("sdf_sharpe_full", 1), Specification("predictive_macro_cp", 9)


@pytest.fixture(scope="module")
def case(make_forecasts):
    return make_forecasts(models=(NETWORK, REGRESSION), n_months=36, seed=5)


def _evaluated(case, model: Specification) -> pl.DataFrame:
    return with_realised(case.forecasts.filter(model=model.model), case.returns, key="permno")


def _errors(case, model: Specification) -> pl.DataFrame:
    return _evaluated(case, model).select("month", "asset_id", residual=pl.col("realised") - pl.col("forecast"))


def _projected(case) -> pl.DataFrame:
    return residuals(_evaluated(case, NETWORK).rename({"forecast": "loading"}))


def _plain(case) -> tuple[list[float], int]:
    """Mean difference of squares of each month: the projection over all assets of the network, then the common ones."""
    series, n = [], 0
    theirs = {row[:2]: row[2] for row in _errors(case, REGRESSION).drop_nulls().rows()}
    for month in case.months:
        rows = _evaluated(case, NETWORK).filter(month=month).drop_nulls().select("asset_id", "forecast", "realised")
        beta, r = rows["forecast"].to_numpy(), rows["realised"].to_numpy()
        left = r - beta * (beta @ r) / (beta @ beta)
        pairs = [
            (theirs[month, asset], own)
            for asset, own in zip(rows["asset_id"], left, strict=True)
            if (month, asset) in theirs
        ]
        series.append(float(np.mean([theirs**2 - own**2 for theirs, own in pairs])))
        n += len(pairs)
    return series, n


@pytest.mark.parametrize("lags", [0, 3])
def test_agrees_with_a_plain_loop_and_statsmodels(case, lags) -> None:
    found = residual_comparison(
        _projected(case), _errors(case, REGRESSION), REGRESSION, NETWORK, HacSettings(lags=lags)
    )
    series, n = _plain(case)
    T, h = len(series), lags + 1
    fit = sm.OLS(series, np.ones(T)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    # Harvey, Leybourne and Newbold (1997).
    t = float(fit.tvalues[0]) * np.sqrt((T + 1 - 2 * h + h * (h - 1) / T) / T)
    assert (found.test, found.n_months, found.n, found.lags) == (DIEBOLD_MARIANO, T, n, lags)
    assert found.difference == pytest.approx(np.mean(series), rel=1e-10)
    assert found.mspe_benchmark - found.mspe_model == pytest.approx(found.difference, rel=1e-10)
    assert found.t == pytest.approx(t, rel=1e-9)
    assert found.p == pytest.approx(2.0 * student(T - 1).sf(abs(t)), rel=1e-9)


def test_errors_against_errors_are_the_test_of_the_forecasts(case) -> None:
    """Where both tables are forecast errors, the test is that from monthly sums."""
    both = residual_comparison(_errors(case, NETWORK), _errors(case, REGRESSION), REGRESSION, NETWORK)
    moments = forecast_moments(case.forecasts, case.returns, case.months, key="permno")
    peer = diebold_mariano(moments, REGRESSION, NETWORK)
    assert (both.n_months, both.n, both.lags) == (peer.n_months, peer.n, peer.lags)
    names = ("mspe_benchmark", "mspe_model", "difference", "statistic", "standard_error", "t", "p")
    assert [getattr(both, name) for name in names] == pytest.approx([getattr(peer, name) for name in names], rel=1e-8)


def test_residuals_after_the_fact_flatter_betas_that_say_nothing(make_forecasts) -> None:
    """Returns with a common part: random positive betas catch it after the fact, but forecast nothing."""
    case = make_forecasts(models=(NETWORK, ("zero", 0)), n_months=60, n_assets=40, seed=7)
    rng = np.random.default_rng(8)
    common = pl.DataFrame({"month": case.months, "common": 0.1 * rng.normal(size=60)})
    moved = case.returns.join(common, on="month").with_columns(pl.col("ret_excess") + pl.col("common"))
    forecasts = case.forecasts.with_columns(pl.col("forecast").abs())
    case = replace(case, returns=moved, forecasts=forecasts)
    zero = Specification("zero", 0)
    after = residual_comparison(_projected(case), _errors(case, zero), zero, NETWORK)
    before = diebold_mariano(forecast_moments(forecasts, moved, case.months, key="permno"), zero, NETWORK)
    assert after.t > 2.5
    assert after.difference > 0.0 > before.difference


def test_the_same_residuals_leave_nothing_to_test(case) -> None:
    same = residual_comparison(_errors(case, NETWORK), _errors(case, NETWORK), NETWORK, NETWORK)
    assert (same.difference, same.t, same.p) == (0.0, None, None)


def test_bad_tables_are_refused(case) -> None:
    own, theirs = _projected(case), _errors(case, REGRESSION)
    with pytest.raises(ValueError, match="predictive_macro_cp with 9 factors: 2 rows share"):
        residual_comparison(own, pl.concat([theirs, theirs.drop_nulls().head(1)]), REGRESSION, NETWORK)
    infinite = own.with_columns(residual=pl.lit(np.inf))
    with pytest.raises(ValueError, match="sdf_sharpe_full with 1 factors: a residual is infinite"):
        residual_comparison(infinite, theirs, REGRESSION, NETWORK)
    with pytest.raises(ValueError, match="no month in common"):
        residual_comparison(own.with_columns(pl.col("month").dt.offset_by("90y")), theirs, REGRESSION, NETWORK)
    with pytest.raises(ValueError, match="against sdf_sharpe_full with 1 factors: 5 months are too few"):
        residual_comparison(own.filter(pl.col("month").is_in(case.months[:5])), theirs, REGRESSION, NETWORK)
