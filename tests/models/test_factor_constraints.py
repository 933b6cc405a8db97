from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.outliers_influence import variance_inflation_factor
from statsmodels.tools.numdiff import approx_fprime

from pipeline.models.factor_constraints import SMALLEST, Penalty, Smallness, SquaredNorm, VarianceInflation, penalty

T, K, SIZE = 40, 3, 7


def correlated(seed: int = 0) -> np.ndarray:
    """Factors that are collinear and, but for the last, large."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(T, K)) @ np.array([[1.0, 0.9, 0.3], [0.0, 0.5, 0.4], [0.0, 0.0, 0.4]])
    return 0.5 + 2.0 * mixed


# Each with a limit that the factors above break, for all factors at once in the last case.
BROKEN = {
    "inflation": ((VarianceInflation(), 1.05),),
    "rms": ((SquaredNorm(1), 0.3),),
    "over_periods": ((SquaredNorm(2), 0.01),),
    "smallness": ((Smallness(5.0), 1.0),),
    "all": ((VarianceInflation(), 1.05), (SquaredNorm(1), 0.3), (Smallness(5.0), 1.0)),
}


def test_variance_inflation_agrees_with_statsmodels():
    factors = correlated()
    centred = factors - factors.mean(axis=0)
    design = np.column_stack([np.ones(T), factors])
    expected = [variance_inflation_factor(design, k + 1) for k in range(K)]
    assert max(expected) > 2.0
    np.testing.assert_allclose(VarianceInflation().values(centred.T @ centred / T, T), expected, rtol=1e-10)


def test_both_readings_of_the_norm():
    factors = correlated()
    moments, norms = factors.T @ factors / T, np.linalg.norm(factors, axis=0)
    np.testing.assert_allclose(SquaredNorm(1).values(moments, T), (norms / np.sqrt(T)) ** 2, rtol=1e-13)
    np.testing.assert_allclose(SquaredNorm(2).values(moments, T), (norms / T) ** 2, rtol=1e-13)
    assert penalty(1, 2.0, "over_periods", 1.0).kept(factors[:, :1])
    assert not penalty(1, 2.0, "rms", 1.0).kept(factors[:, :1])


def test_a_vanishing_factor_is_refused():
    vanishing = 0.5 * SMALLEST * np.ones((T, 1))
    assert not penalty(1, 2.0, "rms", 1.0).kept(vanishing)
    assert penalty(1, 2.0, "rms", 1.0).kept(2.0 * vanishing)
    assert penalty(1, 2.0, "rms", 1.0).at(vanishing).value == pytest.approx((4.0 - 1.0) ** 2)


@pytest.mark.parametrize("case", BROKEN)
def test_the_penalty_by_hand(case):
    limits, factors = Penalty(BROKEN[case], weight=0.7), correlated()
    expected = 0.0
    for constraint, limit in BROKEN[case]:
        moved = factors - factors.mean(axis=0) if constraint.centred else factors
        values = constraint.values(moved.T @ moved / T, T)
        expected += 0.7 * float(np.sum(np.maximum(values - limit, 0.0) ** 2))
    assert expected > 0.0
    assert limits.at(factors).value == pytest.approx(expected, rel=1e-13)
    assert not limits.kept(factors)


@pytest.mark.parametrize("case", BROKEN)
def test_the_slope_of_the_penalty_against_finite_differences(case):
    limits, factors = Penalty(BROKEN[case]), correlated()
    numeric = approx_fprime(factors.ravel(), lambda x: limits.at(x.reshape(T, K)).value, centered=True)
    np.testing.assert_allclose(limits.at(factors).by_factor.ravel(), numeric, rtol=0, atol=1e-7 * np.abs(numeric).max())


@pytest.mark.parametrize("case", BROKEN)
def test_the_curvature_of_the_penalty_against_finite_differences(case):
    limits, factors = Penalty(BROKEN[case]), correlated()
    sensitivities = np.random.default_rng(1).normal(size=(T, K, SIZE))

    def gradient(move: np.ndarray) -> np.ndarray:
        return np.einsum("tk,tkp->p", limits.at(factors + sensitivities @ move).by_factor, sensitivities)

    numeric = approx_fprime(np.zeros(SIZE), gradient, epsilon=1e-5, centered=True)
    found = limits.at(factors).curvature(sensitivities)
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-6 * np.abs(numeric).max())


def test_what_is_kept_costs_nothing():
    factors = 0.3 * np.linalg.qr(np.random.default_rng(0).normal(size=(T, K)))[0] * np.sqrt(T)
    limits = penalty(K, 2.0, "rms", 1.0)
    found = limits.at(factors)
    assert limits.kept(factors)
    assert found.value == 0.0
    assert not found.by_factor.any()
    assert not found.curvature(np.ones((T, K, SIZE))).any()


def test_a_limit_gives_way_by_a_hundredth():
    factor = np.ones((T, 1))
    assert Penalty(((SquaredNorm(1), 0.995),)).kept(factor)
    assert not Penalty(((SquaredNorm(1), 0.98),)).kept(factor)


def test_a_single_factor_has_no_variance_inflation():
    assert not any(isinstance(each, VarianceInflation) for each, _ in penalty(1, 2.0, "rms", 1.0).limits)
    assert any(isinstance(each, VarianceInflation) for each, _ in penalty(2, 2.0, "rms", 1.0).limits)
