from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tools.numdiff import approx_fprime

from pipeline.models.factor_chart import chart
from pipeline.models.factor_recursion import Parameters

SIZES = [(5, 1), (5, 3), (3, 3)]


def initial(P: int, K: int, recurrent: bool) -> Parameters:
    rng = np.random.default_rng(P + K)
    omega = rng.normal(size=(P, K))
    return Parameters(omega, rng.normal(size=(K, K)), rng.normal(size=K)) if recurrent else Parameters(omega)


def elsewhere(origin: np.ndarray) -> np.ndarray:
    return origin + 0.2 * np.random.default_rng(9).normal(size=len(origin))


@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize(("P", "K"), SIZES)
def test_the_origin_is_the_start(P, K, recurrent):
    start = initial(P, K, recurrent)
    coordinates = chart(start)
    np.testing.assert_allclose(coordinates.parameters(coordinates.origin).vector(), start.vector(), rtol=1e-13)


@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize(("P", "K"), SIZES)
def test_slopes_against_finite_differences(P, K, recurrent):
    coordinates = chart(initial(P, K, recurrent))
    point = elsewhere(coordinates.origin)
    slope = coordinates.slope(point)
    if not len(point):
        assert slope.shape == (P * K, 0)
        return
    numeric = approx_fprime(point, lambda x: coordinates.parameters(x).vector(), centered=True)
    np.testing.assert_allclose(slope, numeric.reshape(slope.shape), rtol=0, atol=1e-8 * np.abs(numeric).max())


@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize(("P", "K"), SIZES[:2])
def test_bends_against_finite_differences(P, K, recurrent):
    coordinates = chart(initial(P, K, recurrent))
    point = elsewhere(coordinates.origin)
    gradient = np.random.default_rng(2).normal(size=len(coordinates.parameters(point).vector()))
    bend = coordinates.bend(point, gradient)
    numeric = approx_fprime(point, lambda x: gradient @ coordinates.slope(x), centered=True)
    np.testing.assert_allclose(bend, bend.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(bend, numeric, rtol=0, atol=1e-8 * max(np.abs(numeric).max(), 1.0))


@pytest.mark.parametrize(("P", "K"), SIZES)
def test_with_memory_every_parameter_can_move(P, K):
    coordinates = chart(initial(P, K, recurrent=True))
    slope = coordinates.slope(coordinates.origin)
    assert slope.shape == (P * K + K * K + K, P * K + K * K + K)
    assert np.linalg.cond(slope) < 1e4


@pytest.mark.parametrize(("P", "K"), SIZES)
def test_without_memory_only_the_turns_of_the_factors_cannot(P, K):
    """The moves that are left and the K x K turns of Omega together are all moves."""
    start = initial(P, K, recurrent=False)
    slope = chart(start).slope(chart(start).origin)
    turns = np.kron(start.omega, np.eye(K))
    assert slope.shape == (P * K, P * K - K * K)
    assert np.linalg.matrix_rank(np.hstack([slope, turns])) == P * K


def test_the_turn_moves_omega_f0_and_ar_together():
    """R in the last coordinates: Omega R, R^-1 AR R and f_0 R."""
    start = initial(5, 3, recurrent=True)
    coordinates = chart(start)
    turn = np.eye(3) + 0.3 * np.random.default_rng(0).normal(size=(3, 3))
    moved = coordinates.origin.copy()
    moved[-9:] = turn.ravel()
    found = coordinates.parameters(moved)
    np.testing.assert_allclose(found.omega, start.omega @ turn, atol=1e-13)
    np.testing.assert_allclose(found.initial, start.initial @ turn, atol=1e-13)
    np.testing.assert_allclose(found.ar, np.linalg.inv(turn) @ start.ar @ turn, atol=1e-12)
