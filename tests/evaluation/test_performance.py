from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.performance import (
    cagr,
    calmar_ratio,
    cumulative_value,
    drawdowns,
    maximum_drawdown,
    performance,
    sharpe_ratio,
    sortino_ratio,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical

RETURNS = np.random.default_rng(0).normal(0.006, 0.04, 168)
ABOVE_RUIN = st.lists(st.floats(-0.99, 3.0), min_size=2, max_size=60).map(np.array)
ANY = st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=60).map(np.array)


def test_ratios_agree_with_empyrical() -> None:
    ours = performance(RETURNS)
    monthly = {"annualization": 1}
    assert ours.sharpe == pytest.approx(empyrical.sharpe_ratio(RETURNS, **monthly), rel=1e-12)
    assert ours.annual_sharpe == pytest.approx(empyrical.sharpe_ratio(RETURNS, period="monthly"), rel=1e-12)
    assert ours.sortino == pytest.approx(empyrical.sortino_ratio(RETURNS, **monthly), rel=1e-12)
    assert ours.maximum_drawdown == pytest.approx(-empyrical.max_drawdown(RETURNS), rel=1e-12)
    assert ours.cagr == pytest.approx(empyrical.cagr(RETURNS, period="monthly"), rel=1e-12)


def test_sortino_with_a_target_agrees_with_empyrical() -> None:
    theirs = empyrical.sortino_ratio(RETURNS, required_return=0.003, annualization=1)
    assert sortino_ratio(RETURNS, target=0.003) == pytest.approx(theirs, rel=1e-12)


def test_calmar_is_the_monthly_mean_over_the_drawdown() -> None:
    """empyrical divides the annual growth rate instead: the same denominator."""
    theirs = empyrical.calmar_ratio(RETURNS, period="monthly") / empyrical.cagr(RETURNS, period="monthly")
    assert calmar_ratio(RETURNS) == pytest.approx(RETURNS.mean() * theirs, rel=1e-12)


def test_drawdowns_by_a_plain_loop() -> None:
    value, highest, expected = 1.0, 1.0, []
    for each in RETURNS:
        value *= 1.0 + each
        highest = max(highest, value)
        expected.append((highest - value) / highest)
    np.testing.assert_allclose(drawdowns(RETURNS), expected, atol=1e-14)


def test_a_first_loss_is_a_drawdown() -> None:
    assert maximum_drawdown(np.array([-0.2, 0.1])) == pytest.approx(0.2)


def test_two_years_by_hand() -> None:
    returns = np.array([0.1, -0.5] + [0.0] * 22)
    assert cagr(returns) == pytest.approx(0.55**0.5 - 1.0)
    assert maximum_drawdown(returns) == pytest.approx(0.5)
    assert calmar_ratio(returns) == pytest.approx(-0.4 / 24 / 0.5)
    assert sortino_ratio(returns) == pytest.approx(-0.4 / 24 / np.sqrt(0.25 / 24))


def test_a_lost_account_stays_lost() -> None:
    returns = np.array([0.5, -1.2, 3.0])
    np.testing.assert_array_equal(cumulative_value(returns), [1.5, 0.0, 0.0])
    assert (maximum_drawdown(returns), cagr(returns)) == (1.0, -1.0)


def test_leverage() -> None:
    ours = performance(np.array([0.01, 0.02, -0.01]), np.array([1.0, 3.0, 0.5]))
    assert (ours.maximum_leverage, ours.mean_leverage) == (3.0, 1.5)
    without = performance(RETURNS)
    assert (without.maximum_leverage, without.mean_leverage) == (None, None)


def test_what_is_not_defined_is_none() -> None:
    constant = performance(np.full(5, 0.1))
    assert (constant.sharpe, constant.annual_sharpe, constant.sortino, constant.calmar) == (None, None, None, None)
    assert constant.maximum_drawdown == 0.0


@settings(max_examples=50)
@given(ABOVE_RUIN, st.floats(0.1, 10.0))
def test_scaling_leaves_the_sharpe_and_sortino_ratios(returns: np.ndarray, scale: float) -> None:
    # Squares of the tiniest numbers vanish under one scale and not under the other.
    returns = np.round(returns, 6)
    for ratio in (sharpe_ratio, sortino_ratio):
        before, after = ratio(returns), ratio(scale * returns)
        assert (before is None) == (after is None)
        if before is not None:
            assert after == pytest.approx(before, rel=1e-6, abs=1e-12)


@settings(max_examples=50)
@given(ANY)
def test_drawdowns_lie_between_none_and_all(returns: np.ndarray) -> None:
    depth = drawdowns(returns)
    assert depth.min() >= 0.0
    assert depth.max() <= 1.0


@settings(max_examples=50)
@given(ABOVE_RUIN, st.floats(0.0, 0.5))
def test_a_gain_before_the_start_never_lessens_the_drawdown(returns: np.ndarray, gain: float) -> None:
    assert maximum_drawdown(np.concatenate([[gain], returns])) >= maximum_drawdown(returns) - 1e-12


@settings(max_examples=50)
@given(ABOVE_RUIN)
def test_growth_agrees_with_the_sum_of_logarithms(returns: np.ndarray) -> None:
    assert cagr(returns) == pytest.approx(np.expm1(12 * np.log1p(returns).mean()), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("returns", "leverage"),
    [
        (np.array([0.1]), None),
        (np.array([0.1, np.nan]), None),
        (np.ones((3, 2)), None),
        (np.array([0.1, 0.2]), np.array([1.0])),
        (np.array([0.1, 0.2]), np.array([1.0, -1.0])),
        (np.array([0.1, 0.2]), np.array([1.0, np.nan])),
    ],
)
def test_bad_series_are_refused(returns: np.ndarray, leverage: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match=r"finite"):
        performance(returns, leverage)
