"""Factor models of published portfolios, against scikit-learn, statsmodels and what is known of these data.

The 25 portfolios of Ken French and 212 long-short anomalies, July 1963 to November 2020 (the momentum factor on disk
ends there), forecasts out of sample from July 1973 on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from sklearn.decomposition import PCA

from pipeline.equity.test_portfolios import TestPortfolioSettings, test_portfolio_returns
from pipeline.evaluation.comparison_pairs import Specification
from pipeline.evaluation.comparisons import diebold_mariano, prediction_errors
from pipeline.evaluation.forecast_moments import forecast_moments
from pipeline.extracts import anomalies, factors, french
from pipeline.extracts.reading import read_rows
from pipeline.macro.french import french_factors
from pipeline.models.factor_instruments import instrument_series
from pipeline.models.factor_model import AssetReturns, CrossSection, Sample
from pipeline.models.families import FAMILIES, FactorModelSettings
from pipeline.models.observed_factors import OBSERVED
from pipeline.models.recursion import forecasts, model_month
from pipeline.panel.calendar import month_range

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the public data of ../shared/data are not here")

BEGIN, END = date(1963, 7, 1), date(2020, 11, 1)
OBSERVED_NAMES = tuple(dict.fromkeys(name for names in OBSERVED.values() for name in names))
SETTINGS = FactorModelSettings(n_factors=(1, 3, 5), refit_months=60)
SORTS, SIGNALS = "french.25_portfolios_size_value_monthly", "anomalies.predictorlsretwide"


def _read(reader: object, *parts: str) -> dict[str, pl.DataFrame]:
    path = DATA.joinpath(*parts)
    return reader.read(path, read_rows(path))


@pytest.fixture(scope="module")
def published() -> pl.DataFrame:
    tables = {
        **_read(french, "french", "F-F_Research_Data_Factors.CSV"),
        **_read(french, "french", "F-F_Research_Data_5_Factors_2x3.csv"),
        **_read(french, "french", "F-F_Momentum_Factor.CSV"),
        **_read(factors, "factors", "q5_factors_monthly_2023.csv"),
    }
    return french_factors(tables, month_range(BEGIN, END))


@pytest.fixture(scope="module")
def panel(published: pl.DataFrame) -> pl.DataFrame:
    tables = {
        **_read(french, "french", "25_Portfolios_size_value_monthly.csv"),
        **_read(anomalies, "anomalies", "PredictorLSretWide.csv"),
    }
    kept = {name: tables[name] for name in (SIGNALS, SORTS)}
    return test_portfolio_returns(kept, published, month_range(BEGIN, END), TestPortfolioSettings())


@pytest.fixture(scope="module")
def sample(panel: pl.DataFrame, published: pl.DataFrame) -> Sample:
    months = tuple(panel["month"].unique().sort())
    wide = panel.pivot("portfolio", index="month", values="ret_excess").sort("month").drop("month")
    wide = wide.select(sorted(wide.columns))
    returns = AssetReturns(months=months, assets=tuple(wide.columns), values=wide.to_numpy().astype(np.float64))
    return Sample(returns=returns, observed=instrument_series(published, OBSERVED_NAMES, months))


def _specification(family: str, name: str) -> object:
    return next(each.estimator for each in FAMILIES[family].specifications(SETTINGS) if each.name == name)


def test_all_portfolios_are_there(sample: Sample) -> None:
    assert len(sample.months) == 689
    names = [name.split(":")[0] for name in sample.returns.assets]
    assert names.count(SORTS.split(".")[1]) == 25
    assert names.count(SIGNALS.split(".")[1]) == 212


@pytest.mark.parametrize("model", ["capm", "ff3", "carhart", "ff5", "ff6", "q"])
def test_betas_are_those_of_statsmodels(model: str, sample: Sample) -> None:
    used = sample.begun(OBSERVED[model])
    result = _specification("observed", f"{model}.{len(OBSERVED[model])}").fit(used)
    regressors = used.observed.columns(OBSERVED[model]).values
    for place in range(0, len(result.loadings.assets), 17):
        response = used.returns.values[:, used.returns.assets.index(result.loadings.assets[place])]
        there = ~np.isnan(response)
        betas = sm.OLS(response[there], regressors[there]).fit().params
        np.testing.assert_allclose(result.loadings.betas[place], betas, rtol=0, atol=1e-10)


def test_the_market_explains_the_sorts_as_it_should(sample: Sample) -> None:
    loadings = _specification("observed", "ff3.3").fit(sample).loadings
    betas = {name.split(":")[1]: beta for name, beta in zip(loadings.assets, loadings.betas, strict=True)}
    published = _read(french, "french", "25_Portfolios_size_value_monthly.csv")[SORTS]
    first = published.filter(pl.col("month") == BEGIN)["portfolio"].to_list()
    sorts = sorted(first, key=_place)
    # Fama and French (1993), table 6: market betas near one, size and value loadings in the order of the sorts.
    assert all(0.85 < betas[name][0] < 1.25 for name in sorts)
    # The first five are the smallest stocks, in each five the first has the lowest book-to-market.
    assert min(betas[name][1] for name in sorts[:5]) > 0.9
    assert max(betas[name][1] for name in sorts[20:]) < 0.1
    assert min(betas[name][2] for name in sorts[4::5]) > 0.4
    assert max(betas[name][2] for name in sorts[0::5]) < -0.1


def _place(name: str) -> tuple[int, int]:
    """Size and value quintile in Ken French's names, where the corners are called small, big, LoBM and HiBM."""
    size, value = name.lower().replace("_", " ").split()
    sizes = {"small": 1, "big": 5}
    values = {"lobm": 1, "hibm": 5}
    return sizes.get(size) or int(size[-1]), values.get(value) or int(value[-1])


def _sorts_alone(sample: Sample) -> Sample:
    held = np.array([name.startswith(SORTS.split(".")[1]) for name in sample.returns.assets])
    names = tuple(np.array(sample.returns.assets)[held])
    return replace(sample, returns=replace(sample.returns, assets=names, values=sample.returns.values[:, held]))


def test_principal_components_are_those_of_scikit_learn(sample: Sample) -> None:
    alone = _sorts_alone(sample)
    result = _specification("pca", "pca.3").fit(alone)
    peer = PCA(3).fit(alone.returns.values)
    weights = result.parameters["weights"]
    np.testing.assert_allclose(np.abs(np.sum(weights.T * peer.components_, axis=1)), 1.0, rtol=0, atol=1e-10)
    scale = (len(alone.months) - 1) / len(alone.months)
    np.testing.assert_allclose(result.parameters["eigenvalues"], peer.explained_variance_ * scale, rtol=1e-10)
    # The first component of stock portfolios is the market.
    market = alone.observed.columns(["mkt_rf"]).values[:, 0]
    assert np.corrcoef(result.factors[:, 0], market)[0, 1] > 0.93
    # With a weight on means the components earn more for their risk.
    priced = _specification("rp_pca", "rp_pca.3").fit(alone)

    def squared_sharpe(factors: np.ndarray) -> float:
        mean = factors.mean(axis=0)
        return float(mean @ np.linalg.solve(np.cov(factors.T), mean))

    assert squared_sharpe(priced.factors) > squared_sharpe(result.factors)


@pytest.fixture(scope="module")
def made(sample: Sample) -> pl.DataFrame:
    """Forecasts of every twelfth month; the recursion itself is tested elsewhere."""
    frames = []
    for month in sample.months[119:-1:12]:
        used = sample.through(month)
        states = [
            model_month(FAMILIES[name].specifications(SETTINGS), used, None, month, SETTINGS)[1]
            for name in ("observed", "pca", "rp_pca", "naive")
        ]
        frames.append(forecasts(states, CrossSection(assets=np.array(used.returns.assets)), month))
    return pl.concat(frames)


def test_forecasts_are_compared_out_of_sample(made: pl.DataFrame, panel: pl.DataFrame) -> None:
    moments = forecast_moments(made, panel, made["target_month"].unique().sort().to_list(), key="portfolio")
    errors = prediction_errors(moments)
    assert {*OBSERVED, "pca", "rp_pca", "mean", "zero"} == set(errors["model"])
    # A month's cross-section of these portfolios varies by two to six percent.
    assert errors["mspe"].is_between(1e-4, 4e-3).all()
    found = diebold_mariano(moments, Specification("zero", 0), Specification("ff3", 3))
    series = _differences(made, panel)
    fit = sm.OLS(series, np.ones(len(series))).fit(cov_type="HAC", cov_kwds={"maxlags": found.lags})
    assert found.difference == pytest.approx(series.mean(), rel=1e-9)
    h, T = found.lags + 1, len(series)
    few_months = np.sqrt((T + 1 - 2 * h + h * (h - 1) / T) / T)
    assert found.t == pytest.approx(fit.tvalues[0] * few_months, rel=1e-9)
    assert found.n_months == len(series) == 48


def _differences(made: pl.DataFrame, panel: pl.DataFrame) -> np.ndarray:
    """Squared errors of zero less those of FF3, averaged over the portfolios of each month, plainly."""
    both = made.filter(model="ff3").join(
        panel.select(target_month="month", asset_id="portfolio", realised="ret_excess"), on=["target_month", "asset_id"]
    )
    gap = pl.col("realised") ** 2 - (pl.col("realised") - pl.col("forecast")) ** 2
    return both.group_by("target_month").agg(gap.mean().alias("gap")).sort("target_month")["gap"].to_numpy()
