from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from linearmodels.asset_pricing import TradedFactorModel

from pipeline.evaluation.alphas import FACTOR_SETS, AlphaSettings, alpha, alphas
from pipeline.evaluation.comparisons import HacSettings, newey_west_lags
from pipeline.panel.calendar import month_of

T, K = 168, 3
RNG = np.random.default_rng(0)
FACTORS = RNG.normal(0.004, 0.03, (T, K))
RETURNS = 0.002 + FACTORS @ [0.4, -0.2, 0.1] + RNG.normal(0, 0.02, T)
RAW = AlphaSettings(small_sample=False)


def _newey_west(y: np.ndarray, X: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and standard errors, every product written out."""
    inverse = np.linalg.inv(X.T @ X)
    b = inverse @ X.T @ y
    scores = [X[t] * (y[t] - X[t] @ b) for t in range(len(y))]
    S = sum(np.outer(s, s) for s in scores)
    for lag in range(1, lags + 1):
        weight = 1 - lag / (lags + 1)
        for t in range(lag, len(y)):
            cross = np.outer(scores[t], scores[t - lag])
            S = S + weight * (cross + cross.T)
    return b, np.sqrt(np.diag(inverse @ S @ inverse))


def test_agrees_with_written_out_sums() -> None:
    X = np.column_stack([np.ones(T), FACTORS])
    lags = newey_west_lags(T)
    b, errors = _newey_west(RETURNS, X, lags)
    fit = alpha(RETURNS, FACTORS, RAW)
    assert (fit.lags, fit.n_months) == (lags, T) == (4, 168)
    assert (fit.alpha, *fit.betas) == pytest.approx(tuple(b), rel=1e-10)
    assert fit.standard_error == pytest.approx(errors[0], rel=1e-10)
    assert fit.t == pytest.approx(b[0] / errors[0], rel=1e-10)
    residual = RETURNS - X @ b
    assert fit.r2 == pytest.approx(1 - residual.var() / RETURNS.var(), rel=1e-10)


def test_agrees_with_linearmodels() -> None:
    bandwidth = 5
    theirs = TradedFactorModel(RETURNS[:, None], FACTORS).fit(cov_type="kernel", kernel="bartlett", bandwidth=bandwidth)
    ours = alpha(RETURNS, FACTORS, AlphaSettings(hac=HacSettings(lags=bandwidth)))
    assert ours.alpha == pytest.approx(float(theirs.alphas.iloc[0]), rel=1e-8)
    assert ours.t == pytest.approx(float(theirs.tstats.iloc[0, 0]), rel=1e-8)


def test_the_small_sample_correction_is_one_factor() -> None:
    ours = alpha(RETURNS, FACTORS)
    assert ours.standard_error == pytest.approx(
        alpha(RETURNS, FACTORS, RAW).standard_error * np.sqrt(T / (T - K - 1)), rel=1e-12
    )


def test_without_factors_the_intercept_is_the_mean() -> None:
    fit = alpha(RETURNS, np.empty((T, 0)))
    assert fit.alpha == pytest.approx(RETURNS.mean(), rel=1e-12)
    assert fit.betas == ()


def test_the_test_has_its_size() -> None:
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(300):
        factors = rng.normal(size=(T, 3))
        rejected += alpha(factors @ [1, 1, 0] + rng.normal(size=T), factors).p < 0.05
    assert 0.02 < rejected / 300 < 0.10


def test_a_portfolio_that_the_factors_span_has_nothing_to_test() -> None:
    fit = alpha(FACTORS @ [1.0, 2.0, 0.0], FACTORS)
    assert (fit.t, fit.p) == (None, None)
    assert fit.r2 == pytest.approx(1.0)
    assert alpha(np.zeros(T), FACTORS).r2 is None


@pytest.mark.parametrize(
    ("returns", "factors", "words"),
    [
        (RETURNS[:10], FACTORS[:10], "10 months are too few"),
        (RETURNS, np.column_stack([FACTORS, FACTORS.sum(axis=1)]), "linearly dependent"),
        (RETURNS, np.ones((T, 1)), "linearly dependent"),
        (RETURNS, FACTORS[1:], "one row a month"),
        (np.full(T, np.nan), FACTORS, "finite"),
    ],
)
def test_bad_regressions_are_refused(returns: np.ndarray, factors: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        alpha(returns, factors)


@pytest.fixture
def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
    months = [month_of(24000 + t) for t in range(T)]
    rng = np.random.default_rng(2)
    names = sorted({name for columns in FACTOR_SETS.values() for name in columns})
    factors = pl.DataFrame({"month": months, **{name: rng.normal(0.004, 0.03, T) for name in names}})
    returns = pl.concat(
        [
            pl.DataFrame({"model": model, "month": months, "ret": rng.normal(0.003, 0.02, T)})
            for model in ("sharpe", "mispricing")
        ]
    )
    return returns, factors


def test_the_table_has_every_portfolio_against_every_set(frames) -> None:
    returns, factors = frames
    early = pl.when(pl.col("month") > month_of(24009)).then("rmw").alias("rmw")
    table = alphas(returns.sample(fraction=1.0, shuffle=True, seed=0), factors.with_columns(early))
    assert table.select("model", "benchmark").rows() == [
        (model, benchmark) for model in ("mispricing", "sharpe") for benchmark in FACTOR_SETS
    ]
    assert table["n_months"].to_list() == [T, T, T - 10] * 2
    row = table.row(1, named=True)
    own = returns.filter(pl.col("model") == "mispricing")["ret"].to_numpy()
    fit = alpha(own, factors.select(FACTOR_SETS["ff3"]).to_numpy())
    assert (row["alpha"], row["t"], row["p"], row["r2"]) == (fit.alpha, fit.t, fit.p, fit.r2)


def test_bad_tables_are_refused(frames) -> None:
    returns, factors = frames
    with pytest.raises(ValueError, match=r"no columns \['hml'\]"):
        alphas(returns, factors.drop("hml"))
    with pytest.raises(ValueError, match="occurs twice"):
        alphas(pl.concat([returns, returns]), factors)
    with pytest.raises(ValueError, match="mispricing against sp500: 5 months"):
        alphas(returns, factors.head(5))
