from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tools.numdiff import approx_fprime

from pipeline.models.factor_recursion import Parameters, run

T, P, K = 25, 4, 3


def drawn(recurrent: bool, seed: int = 0) -> tuple[np.ndarray, Parameters]:
    """Instruments and parameters under which tanh bends."""
    rng = np.random.default_rng(seed)
    instruments = np.column_stack([np.ones(T), rng.normal(size=(T, P - 1))])
    omega = 0.6 * rng.normal(size=(P, K))
    if not recurrent:
        return instruments, Parameters(omega)
    return instruments, Parameters(omega, 0.5 * rng.normal(size=(K, K)), rng.normal(size=K))


def factors_at(instruments: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return run(instruments, Parameters.from_vector(vector, P, K)).factors


@pytest.mark.parametrize("recurrent", [True, False])
def test_the_path_follows_equation_five(recurrent):
    instruments, parameters = drawn(recurrent)
    factors = run(instruments, parameters).factors
    last = parameters.initial
    for t in range(T):
        for k in range(K):
            expected = sum(instruments[t, p] * parameters.omega[p, k] for p in range(P))
            if recurrent:
                expected += sum(np.tanh(last[j]) * parameters.ar[j, k] for j in range(K))
            assert factors[t, k] == pytest.approx(expected, rel=1e-13, abs=1e-14)
        last = factors[t]


@pytest.mark.parametrize("recurrent", [True, False])
def test_a_step_leads_from_one_month_to_the_next(recurrent):
    instruments, parameters = drawn(recurrent)
    factors = run(instruments, parameters).factors
    np.testing.assert_allclose(parameters.step(instruments[7], factors[6]), factors[7], rtol=1e-13)


@pytest.mark.parametrize("recurrent", [True, False])
def test_the_vector_of_parameters_and_back(recurrent):
    _, parameters = drawn(recurrent)
    vector = parameters.vector()
    again = Parameters.from_vector(vector, P, K)
    assert parameters.size == len(vector) == P * K + recurrent * (K * K + K)
    assert np.array_equal(again.vector(), vector)
    assert (again.ar is None) == (parameters.ar is None)


@pytest.mark.parametrize("recurrent", [True, False])
def test_the_gradient_against_finite_differences(recurrent):
    """Of a loss that is not linear in the factors, so that each month's derivative differs."""
    instruments, parameters = drawn(recurrent)
    weights = np.random.default_rng(1).normal(size=(T, K))
    path = run(instruments, parameters)
    gradient = path.gradient(weights * np.cos(path.factors))
    vector = parameters.vector()
    numeric = approx_fprime(
        vector, lambda x: float(np.sum(weights * np.sin(factors_at(instruments, x)))), centered=True
    )
    np.testing.assert_allclose(gradient, numeric, rtol=0, atol=1e-8 * np.abs(numeric).max())


@pytest.mark.parametrize("recurrent", [True, False])
def test_sensitivities_against_finite_differences(recurrent):
    instruments, parameters = drawn(recurrent)
    numeric = approx_fprime(parameters.vector(), lambda x: factors_at(instruments, x).ravel(), centered=True)
    sensitivities = run(instruments, parameters).sensitivities()
    assert sensitivities.shape == (T, K, parameters.size)
    np.testing.assert_allclose(sensitivities.reshape(T * K, -1), numeric, rtol=0, atol=1e-8 * np.abs(numeric).max())


@pytest.mark.parametrize("recurrent", [True, False])
def test_the_bend_of_the_path_against_finite_differences(recurrent):
    """A loss that is linear in the factors has no other curvature."""
    instruments, parameters = drawn(recurrent)
    weights = np.random.default_rng(1).normal(size=(T, K))

    def gradient(vector: np.ndarray) -> np.ndarray:
        return run(instruments, Parameters.from_vector(vector, P, K)).gradient(weights)

    path = run(instruments, parameters)
    hessian = path.bending(weights, path.sensitivities())
    numeric = approx_fprime(parameters.vector(), gradient, centered=True)
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(hessian, numeric, rtol=0, atol=1e-8 * max(np.abs(numeric).max(), 1.0))


def test_later_instruments_do_not_reach_back():
    instruments, parameters = drawn(True)
    changed = instruments.copy()
    changed[15:] *= -3.0
    assert np.array_equal(run(instruments, parameters).factors[:15], run(changed, parameters).factors[:15])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_signs_and_order_are_free(seed):
    """tanh is odd and acts on each factor alone, so a signed permutation of all turns the factors and no more."""
    instruments, parameters = drawn(True, seed)
    rng = np.random.default_rng(seed)
    turn = np.diag(rng.choice([-1.0, 1.0], K))[:, rng.permutation(K)]
    turned = Parameters(parameters.omega @ turn, turn.T @ parameters.ar @ turn, parameters.initial @ turn)
    expected = run(instruments, parameters).factors @ turn
    np.testing.assert_allclose(run(instruments, turned).factors, expected, rtol=0, atol=1e-11)


def test_factors_stay_within_what_the_instruments_and_ar_allow():
    """However large AR is, tanh is below one."""
    instruments, parameters = drawn(True)
    wild = Parameters(parameters.omega, 50.0 * parameters.ar, parameters.initial)
    bound = np.abs(instruments @ wild.omega) + np.abs(wild.ar).sum(axis=0)
    assert (np.abs(run(instruments, wild).factors) <= bound).all()
