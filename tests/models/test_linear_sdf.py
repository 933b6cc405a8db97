from __future__ import annotations

import warnings

import numpy as np
import pytest
from linearmodels.iv import IVGMM
from scipy.stats import chi2

from pipeline.models.linear_sdf import FIRST_WEIGHTS, UnidentifiedKernel, difference_j, estimate_linear_sdf
from pipeline.models.linear_settings import FIRST_STAGE, ITERATED, GmmSettings
from pipeline.models.linear_settings import FIRST_WEIGHTS as FIRST_WEIGHT_NAMES

T, N, NAMES = 400, 12, ("level", "slope", "noise")
TRUE_B = np.array([4.0, -3.0, 0.0])


def simulated(seed: int = 0, periods: int = T, b: np.ndarray = TRUE_B) -> tuple[np.ndarray, np.ndarray]:
    """Excess returns priced exactly by M = 1 - b'(f - E f): E R = cov(R, f) b."""
    rng = np.random.default_rng(seed)
    betas = np.random.default_rng(99).normal(size=(N, 3))
    shocks = rng.normal(0.0, 0.05, (periods, 3))
    factors = np.array([0.01, 0.0, 0.02]) + shocks
    return 0.0025 * betas @ b + shocks @ betas.T + rng.normal(0, 0.03, (periods, N)), factors


RETURNS, FACTORS = simulated()


def _theirs(settings: GmmSettings, **fit):
    F = FACTORS - FACTORS.mean(axis=0) if settings.demean_factors else FACTORS
    kernel = {"weight_type": "kernel", "kernel": "bartlett", "bandwidth": settings.lags} if settings.lags else {}
    first = np.eye(N) if settings.first_weight == "identity" else None
    model = IVGMM(np.ones(T), None, F, RETURNS, center=settings.centre_moments, **kernel)
    cov = {"cov_type": "kernel", "kernel": "bartlett", "bandwidth": settings.lags} if settings.lags else {}
    return model.fit(initial_weight=first, center=settings.centre_moments, **cov, **fit)


@pytest.mark.parametrize(
    "settings",
    [
        GmmSettings(),
        GmmSettings(first_weight="second_moments"),
        GmmSettings(demean_factors=True),
        GmmSettings(centre_moments=True),
        GmmSettings(lags=4),
        GmmSettings(stage=ITERATED),
        GmmSettings(stage=ITERATED, demean_factors=True, first_weight="second_moments"),
    ],
)
def test_agrees_with_linearmodels(settings: GmmSettings) -> None:
    ours = estimate_linear_sdf(RETURNS, FACTORS, NAMES, settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rounds = {"iter_limit": 500, "tol": 1e-16} if settings.stage == ITERATED else {"iter_limit": 2}
        theirs = _theirs(settings, **rounds)
    np.testing.assert_allclose(ours.b, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(ours.standard_errors, theirs.std_errors, rtol=1e-8)
    assert ours.j == pytest.approx(theirs.j_stat.stat, rel=1e-8)
    assert ours.p == pytest.approx(theirs.j_stat.pval, rel=1e-8)
    assert (ours.degrees_of_freedom, ours.converged) == (N - 3, True)


def test_the_first_stage_agrees_with_linearmodels() -> None:
    ours = estimate_linear_sdf(RETURNS, FACTORS, NAMES, GmmSettings(stage=FIRST_STAGE))
    theirs = _theirs(GmmSettings(), iter_limit=1)
    np.testing.assert_allclose(ours.b, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(ours.standard_errors, theirs.std_errors, rtol=1e-8)
    assert ours.iterations == 1


def test_the_first_stage_test_is_hansens_formula() -> None:
    ours = estimate_linear_sdf(RETURNS, FACTORS, NAMES, GmmSettings(stage=FIRST_STAGE))
    D = np.array([[np.mean(RETURNS[:, i] * FACTORS[:, k]) for k in range(3)] for i in range(N)])
    u = RETURNS * (1 - FACTORS @ ours.b)[:, None]
    P = np.eye(N) - D @ np.linalg.inv(D.T @ D) @ D.T
    V = P @ (u.T @ u / T) @ P
    g = u.mean(axis=0)
    np.testing.assert_allclose(ours.pricing_errors, g, atol=1e-15)
    assert ours.j == pytest.approx(T * g @ np.linalg.pinv(V, rcond=1e-10) @ g, rel=1e-8)


def test_both_tests_are_one_number() -> None:
    """With the same covariance of the moments the first stage's test is the second stage's criterion."""
    for settings in ({}, {"demean_factors": True}, {"lags": 3}):
        first = estimate_linear_sdf(RETURNS, FACTORS, NAMES, GmmSettings(stage=FIRST_STAGE, **settings))
        second = estimate_linear_sdf(RETURNS, FACTORS, NAMES, GmmSettings(**settings))
        assert first.j == pytest.approx(second.j, rel=1e-8)


def test_prices_of_the_true_kernel_are_recovered_and_j_has_its_size() -> None:
    settings = GmmSettings(demean_factors=True)
    fits = [estimate_linear_sdf(*simulated(seed), NAMES, settings) for seed in range(1, 201)]
    mean = np.mean([fit.b for fit in fits], axis=0)
    np.testing.assert_allclose(mean, TRUE_B, atol=0.2)
    covered = np.mean([np.abs(fit.b - TRUE_B) < 1.96 * fit.standard_errors for fit in fits])
    assert 0.90 < covered < 0.98
    assert 0.01 < np.mean([fit.p < 0.05 for fit in fits]) < 0.12


def test_demeaned_prices_do_not_move_with_a_constant() -> None:
    settings = GmmSettings(demean_factors=True)
    base = estimate_linear_sdf(RETURNS, FACTORS, NAMES, settings)
    elsewhere = np.array([1.0, -2.0, 3.0]) + FACTORS
    moved = estimate_linear_sdf(RETURNS, elsewhere, NAMES, settings)
    np.testing.assert_allclose(moved.b, base.b, rtol=1e-8)
    raw = estimate_linear_sdf(RETURNS, elsewhere, NAMES)
    assert np.abs(raw.b - base.b).max() > 0.1


def test_the_difference_is_the_wald_test_and_the_difference_of_criteria() -> None:
    settings = GmmSettings()
    test = difference_j(RETURNS, FACTORS, NAMES, ["level"], settings)
    first = estimate_linear_sdf(RETURNS, FACTORS, NAMES, GmmSettings(stage=FIRST_STAGE))
    u = RETURNS * (1 - FACTORS @ first.b)[:, None]
    S = u.T @ u / T
    D = RETURNS.T @ FACTORS / T
    V = np.linalg.inv(D.T @ np.linalg.inv(S) @ D) / T
    b = estimate_linear_sdf(RETURNS, FACTORS, NAMES, settings).b
    wald = b[1:] @ np.linalg.inv(V[1:, 1:]) @ b[1:]
    assert test.statistic == pytest.approx(wald, rel=1e-8)
    assert test.p == pytest.approx(chi2.sf(wald, 2), rel=1e-6)
    model = IVGMM(np.ones(T), None, FACTORS[:, :1], RETURNS)
    restricted = model.fit(iter_limit=1, initial_weight=np.linalg.inv(S))
    unrestricted = _theirs(settings, iter_limit=2)
    assert test.statistic == pytest.approx(restricted.j_stat.stat - unrestricted.j_stat.stat, rel=1e-8)


def test_the_difference_finds_what_matters_and_has_its_size() -> None:
    settings = GmmSettings(demean_factors=True)
    kept = {"noise": ["level", "slope"], "slope": ["level", "noise"]}
    rejected = {
        left_out: np.mean([difference_j(*simulated(seed), NAMES, names, settings).p < 0.05 for seed in range(1, 151)])
        for left_out, names in kept.items()
    }
    assert 0.01 < rejected["noise"] < 0.12
    assert rejected["slope"] > 0.7


def test_iterating_too_briefly_is_recorded() -> None:
    fit = estimate_linear_sdf(RETURNS, FACTORS, NAMES, GmmSettings(stage=ITERATED, max_iterations=3))
    assert (fit.iterations, fit.converged) == (3, False)


def test_fit_by_plain_loops() -> None:
    fit = estimate_linear_sdf(RETURNS, FACTORS, NAMES)
    squares, r2 = 0.0, []
    for i in range(N):
        X = np.column_stack([np.ones(T), FACTORS])
        e = RETURNS[:, i] - X @ np.linalg.solve(X.T @ X, X.T @ RETURNS[:, i])
        squares += e @ e
        r2.append(1 - e.var() / RETURNS[:, i].var())
    assert fit.explained_variation == pytest.approx(1 - squares / (RETURNS**2).sum(), rel=1e-10)
    assert fit.r2 == pytest.approx(np.mean(r2), rel=1e-10)
    kernel = FACTORS @ fit.b
    assert fit.sharpe == pytest.approx(kernel.mean() / kernel.std(ddof=1), rel=1e-10)
    mu = RETURNS.mean(axis=0)
    assert fit.cross_sectional_r2 == pytest.approx(1 - (fit.pricing_errors**2).sum() / (mu**2).sum(), rel=1e-10)


def test_as_many_factors_as_assets_leave_nothing_to_test() -> None:
    fit = estimate_linear_sdf(RETURNS[:, :3], FACTORS, NAMES)
    assert (fit.j, fit.p, fit.degrees_of_freedom) == (None, None, 0)
    np.testing.assert_allclose(fit.pricing_errors, 0.0, atol=1e-15)


def test_bad_problems_are_refused() -> None:
    twice = np.column_stack([FACTORS[:, :2], FACTORS[:, 0]])
    for arguments, words in [
        ((RETURNS[:10], FACTORS[:10]), "more months than assets"),
        ((RETURNS[:, :2], FACTORS), "no more factors than assets"),
        ((RETURNS, FACTORS[1:]), "one row a month"),
        ((RETURNS, np.full_like(FACTORS, np.nan)), "finite"),
        ((RETURNS, twice), "linearly dependent"),
    ]:
        with pytest.raises(ValueError, match=words):
            estimate_linear_sdf(*arguments, NAMES)
    for dependent in (RETURNS[:, 0], RETURNS[:, :3] @ [0.5, 2.0, -1.0], np.zeros(T)):
        with pytest.raises(UnidentifiedKernel, match=r"13 assets are linearly dependent \(rank 12\).*leave out 1"):
            estimate_linear_sdf(np.column_stack([RETURNS, dependent]), FACTORS, NAMES)
    nearly = np.column_stack([RETURNS, RETURNS[:, 0] + 1e-3 * RETURNS[:, 1:].mean(axis=1) * FACTORS[:, 0]])
    assert estimate_linear_sdf(nearly, FACTORS, NAMES).degrees_of_freedom == 10
    with pytest.raises(ValueError, match="some, not all"):
        difference_j(RETURNS, FACTORS, NAMES, NAMES)
    with pytest.raises(ValueError, match="efficient weights"):
        difference_j(RETURNS, FACTORS, NAMES, ["level"], GmmSettings(stage=FIRST_STAGE))
    for wrong in (
        {"stage": "third"},
        {"first_weight": "ones"},
        {"lags": -1},
        {"tolerance": float("nan")},
        {"tolerance": float("inf")},
        {"tolerance": -1e-9},
        {"max_iterations": 1},
    ):
        with pytest.raises(ValueError, match="must be"):
            GmmSettings(**wrong)
    assert tuple(FIRST_WEIGHTS) == FIRST_WEIGHT_NAMES


def test_data_that_cannot_tell_the_prices_have_an_error_of_their_own() -> None:
    for returns, factors in [(RETURNS[:10], FACTORS[:10]), (RETURNS[:, :2], FACTORS)]:
        with pytest.raises(UnidentifiedKernel):
            estimate_linear_sdf(returns, factors, NAMES)
    with pytest.raises(ValueError, match="finite") as refused:
        estimate_linear_sdf(RETURNS, np.full_like(FACTORS, np.nan), NAMES)
    assert not isinstance(refused.value, UnidentifiedKernel)
