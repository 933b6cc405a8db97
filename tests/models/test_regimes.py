from __future__ import annotations

import warnings

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from scipy.stats import multivariate_normal

from pipeline.models.linear_settings import RegimeSettings
from pipeline.models.regimes import Regimes, estimate_regimes
from pipeline.models.storage import load_arrays, save_arrays

MEANS = np.array([[1.4, 1.8, 2.2], [0.3, 0.4, 0.5], [-1.2, -1.6, -2.0]])
DEVIATIONS = np.array([1.0, 0.4, 1.2])
TRANSITION = np.array([[0.90, 0.06, 0.04], [0.02, 0.96, 0.02], [0.05, 0.10, 0.85]])
QUICK = RegimeSettings(n_starts=4)
LIKELIHOOD = RegimeSettings(n_starts=6, prior_months=0.0, tolerance=1e-7, max_iterations=3000)


def _simulated(periods: int = 900, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three portfolios in three states, with returns correlated within a state."""
    rng = np.random.default_rng(seed)
    states = [1]
    while len(states) < periods:
        states.append(int(rng.choice(3, p=TRANSITION[states[-1]])))
    path = np.array(states)
    common, own = rng.normal(size=(periods, 1)), rng.normal(size=(periods, 3))
    return MEANS[path] + DEVIATIONS[path][:, None] * (0.6 * common + 0.8 * own), path


RETURNS, PATH = _simulated()


@pytest.fixture(scope="module")
def regimes() -> Regimes:
    return estimate_regimes(RETURNS, 3, QUICK)


def test_simulated_states_are_recovered(regimes) -> None:
    assert (regimes.converged, regimes.n_months) == (True, 900)
    np.testing.assert_allclose(regimes.means, MEANS, atol=0.2)
    np.testing.assert_allclose(regimes.transition, TRANSITION, atol=0.06)
    n = np.bincount(PATH)[:, None, None]
    truth = DEVIATIONS[:, None, None] ** 2 * (0.36 + 0.64 * np.eye(3))
    expected = (QUICK.prior_months * np.cov(RETURNS.T) + n * truth) / (QUICK.prior_months + n)
    np.testing.assert_allclose(regimes.covariances, expected, atol=0.25)
    assert (regimes.likeliest_path(RETURNS) == PATH).mean() > 0.93
    assert (regimes.filtered(RETURNS).argmax(axis=1) == PATH).mean() > 0.88


def test_two_states_separate_calm_from_storm() -> None:
    two = estimate_regimes(RETURNS, 2, RegimeSettings(n_starts=6))
    table = two.description(RETURNS)
    calm = int(table["volatility"].arg_min())
    assert table["share"][calm] == pytest.approx((PATH == 1).mean(), abs=0.1)
    assert table["mean"][0] > table["mean"][1]


def test_the_filter_by_a_plain_loop(regimes) -> None:
    ours = regimes.filtered(RETURNS[:120])
    probability = regimes.start
    for t in range(120):
        if t:
            probability = np.array([sum(probability[i] * regimes.transition[i, j] for i in range(3)) for j in range(3)])
        densities = [multivariate_normal.pdf(RETURNS[t], regimes.means[j], regimes.covariances[j]) for j in range(3)]
        probability = probability * densities
        probability = probability / probability.sum()
        np.testing.assert_allclose(ours[t], probability, atol=1e-12)


def test_filtered_probabilities_know_nothing_of_later_months(regimes) -> None:
    whole = regimes.filtered(RETURNS)
    np.testing.assert_array_equal(regimes.filtered(RETURNS[:300]), whole[:300])
    smoothed = regimes.smoothed(RETURNS)
    # The last month has no later one: there both are the same.
    np.testing.assert_allclose(smoothed[-1], whole[-1], atol=1e-10)
    assert np.abs(smoothed[:-1] - whole[:-1]).max() > 0.1
    np.testing.assert_allclose(smoothed.sum(axis=1), 1.0, atol=1e-12)


def test_likelihood_and_smoothing_agree_with_hmmlearn_from_the_same_parameters(regimes) -> None:
    theirs = GaussianHMM(3, "full")
    theirs.startprob_, theirs.transmat_ = regimes.start, regimes.transition
    theirs.means_, theirs.covars_ = regimes.means, regimes.covariances
    log_likelihood, posterior = theirs.score_samples(RETURNS)
    assert regimes.log_likelihood == pytest.approx(log_likelihood, rel=1e-10)
    np.testing.assert_allclose(regimes.smoothed(RETURNS), posterior, atol=1e-12)


def test_maximum_likelihood_agrees_with_hmmlearns_own_estimates() -> None:
    returns = RETURNS[:400]
    ours = estimate_regimes(returns, 3, LIKELIHOOD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ends = [
            GaussianHMM(3, "full", n_iter=3000, tol=1e-7, random_state=seed, covars_prior=0.0, covars_weight=0.0).fit(
                returns
            )
            for seed in range(2)
        ]
    theirs = max(ends, key=lambda end: end.score(returns))
    order = np.argsort(-theirs.means_.mean(axis=1))
    assert ours.log_likelihood == pytest.approx(theirs.score(returns), abs=1e-4)
    np.testing.assert_allclose(ours.means, theirs.means_[order], atol=1e-3)
    np.testing.assert_allclose(ours.covariances, theirs.covars_[order], atol=1e-3)
    np.testing.assert_allclose(ours.transition, theirs.transmat_[np.ix_(order, order)], atol=1e-3)


def test_at_the_end_the_prior_balances_the_scatter(regimes) -> None:
    """The fixed point of EM, by hand: each covariance is the prior's and its months' weighted squares together."""
    smoothed, overall = regimes.smoothed(RETURNS), np.cov(RETURNS.T)
    for state in range(3):
        weight = smoothed[:, state]
        mean = weight @ RETURNS / weight.sum()
        scatter = (RETURNS - mean).T @ ((RETURNS - mean) * weight[:, None])
        expected = (QUICK.prior_months * overall + scatter) / (QUICK.prior_months + weight.sum())
        np.testing.assert_allclose(regimes.covariances[state], expected, atol=2e-3)


def test_units_do_not_matter(regimes) -> None:
    decimal = estimate_regimes(RETURNS / 100, 3, QUICK)
    np.testing.assert_allclose(decimal.means, regimes.means / 100, rtol=1e-6)
    np.testing.assert_allclose(decimal.covariances, regimes.covariances / 1e4, rtol=1e-6, atol=1e-12)
    assert decimal.log_likelihood == pytest.approx(regimes.log_likelihood + 900 * 3 * np.log(100), rel=1e-9)


def test_more_portfolios_than_months_of_a_state_stay_regular() -> None:
    rng = np.random.default_rng(2)
    returns, _ = _simulated(150, seed=2)
    wide = np.repeat(returns, 10, axis=1) + 0.3 * rng.normal(size=(150, 30))
    fit = estimate_regimes(wide, 3, RegimeSettings(n_starts=4))
    assert fit.converged
    assert np.linalg.eigvalsh(fit.covariances).min() > 0.0


def test_the_likeliest_start_is_kept_and_failures_are_told() -> None:
    fit = estimate_regimes(RETURNS, 3, QUICK)
    assert fit.log_likelihoods.shape == (4,)
    assert fit.log_likelihood == pytest.approx(fit.log_likelihoods.max(), abs=1.0)
    assert fit.n_converged == 4
    brief = estimate_regimes(RETURNS, 3, RegimeSettings(n_starts=3, max_iterations=2))
    assert (brief.converged, brief.n_converged, brief.iterations) == (False, 0, 2)


def test_the_best_of_starts_that_end_apart_is_kept() -> None:
    """Without a prior the posterior density is the likelihood, so that the kept end is the likeliest."""
    for seed, n_starts, worse in [(4, 2, 0), (0, 5, -1)]:
        fit = estimate_regimes(RETURNS[:120], 3, RegimeSettings(n_starts=n_starts, prior_months=0.0, seed=seed))
        ends = fit.log_likelihoods
        assert fit.n_converged == n_starts
        assert ends.max() > ends[worse] + 5.0
        assert fit.log_likelihood == ends.max()


def test_states_are_ordered_by_means_in_the_unit_of_the_returns() -> None:
    """A volatile portfolio earns more in one state, a quiet one in the other by more of its own deviations."""
    rng = np.random.default_rng(5)
    wild = np.repeat(np.arange(8) % 2 == 0, 50)
    means = np.where(wild[:, None], [2.0, -0.2], [-2.0, 0.4])
    returns = means + rng.normal(size=(400, 2)) * [4.0, 0.1]
    fit = estimate_regimes(returns, 2, QUICK)
    np.testing.assert_allclose(fit.means, [[2.0, -0.2], [-2.0, 0.4]], atol=0.7)
    assert fit.means[0].mean() > fit.means[1].mean()
    standardised = (fit.means / returns.std(axis=0)).mean(axis=1)
    assert standardised[0] < standardised[1]
    assert (fit.smoothed(returns)[:, 0] > 0.5).tolist() == wild.tolist()


def test_estimates_repeat_and_travel(regimes, tmp_path) -> None:
    again = estimate_regimes(RETURNS, 3, QUICK)
    np.testing.assert_array_equal(again.means, regimes.means)
    save_arrays(tmp_path / "regimes.safetensors", *regimes.to_arrays())
    back = Regimes.from_arrays(*load_arrays(tmp_path / "regimes.safetensors"))
    for name, value in vars(regimes).items():
        np.testing.assert_array_equal(getattr(back, name), value)


def test_the_description(regimes) -> None:
    table = regimes.description(RETURNS)
    assert table["mean"].is_sorted(descending=True)
    assert table["share"].sum() == pytest.approx(1.0)
    for state in range(3):
        covariance = regimes.covariances[state]
        equal = np.full(3, 1 / 3)
        assert table["volatility"][state] == pytest.approx(np.sqrt(equal @ covariance @ equal))
        assert table["largest_eigenvalue"][state] == pytest.approx(np.linalg.eigvals(covariance).real.max())
        assert table["expected_months"][state] == pytest.approx(1 / (1 - regimes.transition[state, state]))


def test_bad_returns_and_settings_are_refused() -> None:
    for returns, words in [
        (RETURNS[:30], "30 months are too few"),
        (np.where(PATH[:, None] == 0, np.nan, RETURNS), "finite"),
        (np.column_stack([RETURNS, np.zeros(900)]), r"portfolios \[3\] never vary"),
    ]:
        with pytest.raises(ValueError, match=words):
            estimate_regimes(returns, 3)
    singular = np.column_stack([RETURNS, RETURNS[:, 0]])
    with pytest.raises(ValueError, match="all 2 starts broke down"):
        estimate_regimes(singular, 3, RegimeSettings(n_starts=2, prior_months=0.0))
    for wrong in (
        {"n_states": (1, 2)},
        {"refit_months": 0},
        {"min_months": 71},
        {"persistence": 1.0},
        {"tolerance": 0.0},
        {"prior_months": -1.0},
        {"prior_months": float("nan")},
        {"tolerance": float("nan")},
        {"n_states": ()},
        {"n_states": (2, 2)},
        {"seed": -1},
    ):
        with pytest.raises(ValueError, match="must"):
            RegimeSettings(**wrong)
