from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.significance import BootstrapSettings, characteristic_p_values, instrument_p_values
from pipeline.models.factor_recursion import Parameters, run
from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.panel.calendar import month_of

NAMES = ("size", "beta", "constant")
INSTRUMENTS = ("constant", "mkt_rf", "smb", "hml")
DRAWS = BootstrapSettings(n_draws=99)
KINDS = pytest.mark.parametrize("other_months", [False, True])


def simulated(rng, gamma, omega, *, n_months=60, n_assets=12, ar=None, volatile=False):
    """Statistics and instruments of months with returns C Gamma f + e, f = z Omega (+ tanh(f) AR).

    Errors have a standard deviation of one, or one that grows with the factors of the month.
    """
    C = np.concatenate(
        [rng.uniform(-0.5, 0.5, (n_months, n_assets, len(NAMES) - 1)), np.ones((n_months, n_assets, 1))], axis=2
    )
    z = np.column_stack([np.ones(n_months), rng.normal(size=(n_months, len(INSTRUMENTS) - 1))])
    memory = {} if ar is None else {"ar": ar, "initial": np.zeros(len(ar))}
    factors = run(z, Parameters(omega, **memory)).factors
    deviation = 0.5 + np.abs(factors).sum(axis=1) if volatile else np.ones(n_months)
    errors = deviation[:, None] * rng.normal(size=(n_months, n_assets))
    y = np.matmul(C @ gamma, factors[:, :, None])[:, :, 0] + errors
    statistics = SufficientStatistics(
        months=tuple(month_of(24000 + t) for t in range(n_months)),
        n=np.full(n_months, n_assets),
        yy=np.sum(y**2, axis=1),
        X=np.einsum("tnl,tn->tl", C, y),
        W=np.einsum("tnl,tnm->tlm", C, C),
        names=NAMES,
    )
    return statistics, z


def gamma_given(statistics, factors):
    """Equation 13 by solving its normal equations, instrument by factor."""
    size, K = statistics.X.shape[1], factors.shape[1]
    left = np.einsum("tlm,tj,tk->ljmk", statistics.W, factors, factors).reshape(size * K, size * K)
    right = np.einsum("tl,tk->lk", statistics.X, factors).ravel()
    return np.linalg.solve(left, right).reshape(size, K)


def omega_given(statistics, z, gamma):
    """The coefficients of factors without memory, by least squares given Gamma."""
    P, K = z.shape[1], gamma.shape[1]
    WG = np.einsum("lj,tlm,mk->tjk", gamma, statistics.W, gamma)
    left = np.einsum("tp,tq,tjk->pjqk", z, z, WG).reshape(P * K, P * K)
    right = np.einsum("tp,tl,lk->pk", z, statistics.X, gamma).ravel()
    return np.linalg.solve(left, right).reshape(P, K)


def estimated(statistics, z, gamma):
    """Both sides of factors without memory by turns, from the truth on."""
    for _ in range(10):
        omega = omega_given(statistics, z, gamma)
        gamma = gamma_given(statistics, z @ omega)
    return gamma, omega


def sensitivities_without_memory(z, K):
    return run(z, Parameters(np.zeros((z.shape[1], K)))).sensitivities()


@pytest.mark.parametrize(("other_months", "replications"), [(False, 200), (True, 100)])
def test_size_and_power_for_characteristics_and_instruments(other_months, replications):
    """Both sides are estimated, so the test holds fixed what is not known."""
    rng = np.random.default_rng(3)
    gamma = np.array([[0.8], [0.0], [1.0]])
    omega = np.array([[0.2], [1.0], [0.0], [0.5]])
    settings = BootstrapSettings(n_draws=99, other_months=other_months)
    p_of_gamma, p_of_omega = np.empty((replications, 3)), np.empty((replications, 4))
    for each in range(replications):
        statistics, z = simulated(rng, gamma, omega)
        gamma_hat, omega_hat = estimated(statistics, z, gamma)
        factors = z @ omega_hat
        p_of_gamma[each] = characteristic_p_values(statistics, gamma_hat, factors, settings)["p"].to_numpy()
        p_of_omega[each] = instrument_p_values(
            statistics, gamma_hat, factors, sensitivities_without_memory(z, 1), omega_hat, INSTRUMENTS, settings
        )["p"].to_numpy()
    for p, null in ((p_of_gamma, 1), (p_of_omega, 2)):
        share = (p <= 0.05).mean(axis=0)
        assert 0.01 <= share[null] <= 0.11
        assert 0.35 < np.median(p[:, null]) < 0.65
    assert (p_of_gamma[:, [0, 2]] <= 0.05).mean() > 0.95
    assert (p_of_omega[:, [1, 3]] <= 0.05).mean() > 0.95


def test_own_months_keep_the_size_where_volatility_and_factors_move_together():
    rng = np.random.default_rng(9)
    gamma, omega = np.array([[0.8], [0.0], [1.0]]), np.array([[0.2], [1.0], [0.3], [0.5]])
    rejected = {False: 0, True: 0}
    for _ in range(100):
        statistics, z = simulated(rng, gamma, omega, n_months=120, volatile=True)
        gamma_hat, omega_hat = estimated(statistics, z, gamma)
        for other_months in rejected:
            settings = BootstrapSettings(n_draws=99, other_months=other_months)
            p = characteristic_p_values(statistics, gamma_hat, z @ omega_hat, settings)["p"]
            rejected[other_months] += p[1] <= 0.05
    assert 0.01 <= rejected[False] / 100 <= 0.11
    assert rejected[True] / 100 > 0.15


def test_statistics_by_hand():
    rng = np.random.default_rng(0)
    gamma, omega = rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    statistics, z = simulated(rng, gamma, omega)
    gamma_hat, omega_hat = estimated(statistics, z, gamma)
    factors = z @ omega_hat
    table = characteristic_p_values(statistics, gamma_hat, factors, DRAWS)
    assert table["name"].to_list() == list(NAMES)
    for row, value in zip(gamma_hat, table["statistic"], strict=True):
        assert value == pytest.approx(np.mean((factors @ row) ** 2), rel=1e-12)
    # Without memory the fitted returns are linear in Omega: the statistic is exactly what they lose with the row.
    sensitivities = sensitivities_without_memory(z, 2)
    table = instrument_p_values(statistics, gamma_hat, factors, sensitivities, omega_hat, INSTRUMENTS, DRAWS)
    assert table["name"].to_list() == list(INSTRUMENTS)
    for place, value in enumerate(table["statistic"]):
        change = np.outer(z[:, place], omega_hat[place]) @ gamma_hat.T
        assert value == pytest.approx(np.einsum("tl,tlm,tm->", change, statistics.W, change), rel=1e-10)


@KINDS
def test_draws_are_estimates_from_samples_under_the_null(other_months):
    """Gamma re-estimated from bootstrap samples that are written out gives the same p-values."""
    rng = np.random.default_rng(2)
    statistics, z = simulated(rng, np.array([[0.3], [0.1], [1.0]]), np.array([[0.2], [1.0], [0.1], [0.5]]))
    gamma, omega = estimated(statistics, z, np.ones((3, 1)))
    factors = z @ omega
    settings = BootstrapSettings(n_draws=49, other_months=other_months, seed=7)
    # Enters through the scaling of the residuals alone.
    n = np.append(0, rng.integers(1, 20, 59))
    statistics = replace(statistics, n=n)
    residuals = statistics.X - np.einsum("tlm,tm->tl", statistics.W, factors @ gamma.T)
    for place in range(3):
        restricted = gamma.copy()
        restricted[place] = 0.0
        draws = np.random.default_rng(7)
        at_least = 0
        for _ in range(49):
            q = draws.standard_t(5, 60) / np.sqrt(5 / 3)
            u = residuals
            if other_months:  # Errors of the peopled months, per asset.
                months = 1 + draws.integers(59, size=60)
                u = residuals[months] * (n / n[months])[:, None]
            X = np.einsum("tlm,tm->tl", statistics.W, factors @ restricted.T) + q[:, None] * u
            again = gamma_given(replace(statistics, X=X), factors)
            at_least += np.mean((factors @ again[place]) ** 2) >= np.mean((factors @ gamma[place]) ** 2)
        table = characteristic_p_values(statistics, gamma, factors, settings)
        assert table["p"][place] == (1 + at_least) / 50


def test_a_rotation_of_the_factors_changes_nothing():
    rng = np.random.default_rng(4)
    gamma, omega = rng.normal(size=(3, 2)) * 0.3, rng.normal(size=(4, 2)) * 0.3
    statistics, z = simulated(rng, gamma, omega)
    gamma, omega = estimated(statistics, z, gamma)
    turn = rng.normal(size=(2, 2))
    sensitivities = sensitivities_without_memory(z, 2)
    tables = []
    for G, Om in ((gamma, omega), (gamma @ np.linalg.inv(turn).T, omega @ turn)):
        tables.append(
            (
                characteristic_p_values(statistics, G, z @ Om, DRAWS),
                instrument_p_values(statistics, G, z @ Om, sensitivities, Om, INSTRUMENTS, DRAWS),
            )
        )
    for here, there in zip(*tables, strict=True):
        np.testing.assert_allclose(here["statistic"].to_numpy(), there["statistic"].to_numpy(), rtol=1e-9)
        assert here["p"].to_list() == there["p"].to_list()


def test_power_and_size_with_memory():
    """AR is estimated beside Omega: its sensitivities stand behind those of Omega."""
    rng = np.random.default_rng(6)
    gamma = np.array([[0.8], [0.3], [1.0]])
    omega, ar = np.array([[0.1], [0.5], [0.0], [0.4]]), np.array([[0.6]])
    p = []
    for _ in range(100):
        statistics, z = simulated(rng, gamma, omega, ar=ar)
        vector = np.array([0.1, 0.5, 0.0, 0.4, 0.6])
        for _ in range(4):  # Gauss-Newton from the truth, Gamma and f_0 known
            path = run(z, Parameters.from_vector(np.append(vector, 0.0), 4, 1))
            S = path.sensitivities()[:, :, :5]
            u = statistics.X - np.einsum("tlm,tm->tl", statistics.W, path.factors @ gamma.T)
            H = np.einsum("tjp,lj,tlm,mk,tkq->pq", S, gamma, statistics.W, gamma, S)
            vector = vector + np.linalg.solve(H, np.einsum("tjp,lj,tl->p", S, gamma, u))
        path = run(z, Parameters.from_vector(np.append(vector, 0.0), 4, 1))
        omega_hat, sensitivities = path.parameters.omega, path.sensitivities()[:, :, :5]
        table = instrument_p_values(statistics, gamma, path.factors, sensitivities, omega_hat, INSTRUMENTS, DRAWS)
        p.append(table["p"].to_list())
    share = (np.array(p) <= 0.05).mean(axis=0)
    assert share[1] > 0.95
    assert share[3] > 0.9
    assert 0.0 < share[2] <= 0.12


def test_an_instrument_that_is_never_there_has_no_test():
    rng = np.random.default_rng(1)
    statistics, z = simulated(rng, np.array([[0.3], [0.1], [1.0]]), np.array([[0.2], [1.0], [0.1], [0.5]]))
    gamma, omega = estimated(statistics, z, np.ones((3, 1)))
    X, W, gone = statistics.X.copy(), statistics.W.copy(), gamma.copy()
    X[:, 0], W[:, 0], W[:, :, 0], gone[0] = 0.0, 0.0, 0.0, 0.0
    table = characteristic_p_values(replace(statistics, X=X, W=W), gone, z @ omega, DRAWS)
    assert table["p"].is_null().to_list() == [True, False, False]
    assert table["statistic"].is_null().to_list() == [True, False, False]
    still = z.copy()
    still[:, 2] = 0.0
    table = instrument_p_values(
        statistics, gamma, still @ omega, sensitivities_without_memory(still, 1), omega, INSTRUMENTS, DRAWS
    )
    assert table["p"].is_null().to_list() == [False, False, True, False]


def test_the_seed_decides_and_bad_input_is_refused():
    rng = np.random.default_rng(1)
    statistics, z = simulated(rng, np.array([[0.1], [0.1], [1.0]]), np.array([[0.2], [0.4], [0.1], [0.1]]))
    gamma, omega = estimated(statistics, z, np.ones((3, 1)))
    factors = z @ omega
    first = characteristic_p_values(statistics, gamma, factors, DRAWS)
    assert first.equals(characteristic_p_values(statistics, gamma, factors, DRAWS))
    other = characteristic_p_values(statistics, gamma, factors, BootstrapSettings(n_draws=99, seed=1))
    assert not first.equals(other)
    assert first["p"].min() >= 0.01
    with pytest.raises(ValueError, match="n_draws is 0"):
        BootstrapSettings(n_draws=0)
    with pytest.raises(ValueError, match="the factors are zero in every month"):
        characteristic_p_values(statistics, gamma, np.zeros((60, 1)), DRAWS)
    with pytest.raises(ValueError, match=r"4 instruments and 1 factors over 60 months ask for \(4, 1\)"):
        instrument_p_values(
            statistics, gamma, factors, sensitivities_without_memory(z[:, :3], 1), omega, INSTRUMENTS, DRAWS
        )
