"""Building blocks against hand arithmetic and slow loops."""

from datetime import date

import numpy as np
import pytest
from scipy.stats import rankdata

from pipeline.simulation.bond_math import modified_duration, price
from pipeline.simulation.clock import make_clock
from pipeline.simulation.curve import par_yield, zero_yields
from pipeline.simulation.market import Market
from pipeline.simulation.paths import ar1, bridge, centred_ranks, daily_returns, month_means
from pipeline.simulation.sizes import market_size


def test_price_and_duration_of_annual_coupons() -> None:
    coupon, years, yields = 6.0, 8, 4.5
    flows = np.full(years, coupon) + np.eye(years)[-1] * 100

    def by_hand(y: float) -> float:
        return float((flows / (1 + y / 100) ** np.arange(1, years + 1)).sum())

    assert price(np.array(coupon), np.array(float(years)), np.array(yields)) == pytest.approx(
        by_hand(yields), rel=1e-12
    )
    slope = -(by_hand(yields + 0.005) - by_hand(yields - 0.005)) / 0.01 * 100 / by_hand(yields)
    duration = modified_duration(np.array(coupon), np.array(float(years)), np.array(yields))
    assert duration == pytest.approx(slope, rel=1e-6)
    zero = modified_duration(np.array(0.0), np.array(10.0), np.array(5.0))
    assert zero == pytest.approx(10 / 1.05, rel=1e-12)


def test_par_bond_prices_at_par() -> None:
    level, slope, curvature = np.array([4.2]), np.array([-1.5]), np.array([0.3])
    times = np.arange(0.5, 7.01, 0.5)
    zeros = zero_yields(level, slope, curvature, times)
    coupon = par_yield(level, slope, curvature, 7.0)[0]
    value = sum(coupon / 2 * np.exp(-z / 100 * t) for z, t in zip(zeros, times, strict=True))
    assert value + 100 * np.exp(-zeros[-1] / 100 * 7) == pytest.approx(100, abs=1e-10)
    bill = par_yield(level, slope, curvature, 0.25)[0]
    quarter = zero_yields(level, slope, curvature, np.array([0.25]))[0]
    assert 1 + bill / 400 == pytest.approx(np.exp(quarter / 400), rel=1e-12)


def test_yields_stay_above_zero_and_follow_the_level() -> None:
    years = np.linspace(0.1, 30, 50)
    assert (zero_yields(np.array(0.2), np.array(-3.0), np.array(-2.0), years) > 0).all()
    assert zero_yields(np.array(6.0), np.array(0.0), np.array(0.0), years) == pytest.approx(6.0, abs=1e-8)


def test_ar1_recursion_and_unit_variance() -> None:
    shocks = np.random.default_rng(3).standard_normal((20_000, 2))
    path = ar1(shocks, 0.9)
    x = shocks[0].copy()
    for t in range(1, 200):
        x = 0.9 * x + np.sqrt(1 - 0.81) * shocks[t]
        np.testing.assert_allclose(path[t], x, atol=1e-12)
    assert path.std(axis=0) == pytest.approx(1.0, abs=0.05)


def test_ranks_against_scipy_with_ties_and_gaps() -> None:
    values = np.array([3.0, np.nan, 1.0, 3.0, np.nan, -2.0])
    there = ~np.isnan(values)
    expected = np.zeros(6)
    expected[there] = (rankdata(values[there], method="average") - 0.5) / 4 - 0.5
    np.testing.assert_array_equal(centred_ranks(values), expected)
    np.testing.assert_array_equal(centred_ranks(np.full(3, np.nan)), np.zeros(3))


def test_daily_paths_meet_their_months(tiny: Market) -> None:
    clock, rng = tiny.economy.clock, np.random.default_rng(0)
    levels = np.cumsum(rng.standard_normal(clock.n))
    path = bridge(levels, clock, np.full(clock.n, 0.1), rng)
    np.testing.assert_array_equal(path[clock.starts[1:] - 1], levels)
    returns = rng.uniform(-0.3, 0.3, clock.n)
    daily = daily_returns(returns, clock, np.full(clock.n, 0.01), rng)
    compounded = [np.prod(1 + daily[clock.month_of_session == t]) - 1 for t in range(clock.n)]
    np.testing.assert_allclose(compounded, returns, atol=1e-12)
    means = [path[clock.month_of_session == t].mean() for t in range(clock.n)]
    np.testing.assert_allclose(month_means(path, clock), means, atol=1e-12)


def test_clock_knows_the_exchange_holidays() -> None:
    clock = make_clock(market_size("tiny"), date(2024, 12, 31))
    assert clock.dates[-1] == date(2024, 12, 1)
    assert clock.n == 144
    sessions = set(clock.sessions.tolist())
    assert date(2024, 3, 29) not in sessions
    assert date(2024, 11, 29) in sessions
    assert clock.last_sessions.tolist()[-9] == date(2024, 4, 30)
