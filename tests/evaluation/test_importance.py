from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.importance import (
    characteristic_importance,
    expected_characteristic_importance,
    instrument_importance,
    mean_squared_error,
)
from pipeline.models.factor_recursion import Parameters, run


def plain_error(panel, gamma, factors, characteristics=None) -> float:
    """Mean over the months with assets of the mean squared error, from the panel in a loop."""
    matrix = panel.characteristics if characteristics is None else characteristics
    errors = []
    for t in range(len(panel.months)):
        rows = slice(panel.bounds[t], panel.bounds[t + 1])
        if rows.start < rows.stop:
            errors.append(np.mean((panel.returns[rows] - matrix[rows] @ gamma @ factors[t]) ** 2))
    return float(np.mean(errors))


@pytest.fixture(scope="module")
def case(make_panel):
    return make_panel(n_months=24, seed=1)


def test_the_error_from_statistics_is_that_of_the_panel(case):
    ours = mean_squared_error(case.statistics, case.gamma, case.factors)
    assert ours == pytest.approx(plain_error(case.panel, case.gamma, case.factors), rel=1e-12)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_expectation_is_the_mean_over_every_permutation(make_panel, seed):
    # Three assets have six orders, so the mean over all of them can be written out.
    case = make_panel(n_months=2, sizes=[3, 3], seed=seed)
    table = expected_characteristic_importance(case.statistics, case.gamma, case.factors)
    assert table["name"].to_list() == list(case.panel.names[:-1])
    base = plain_error(case.panel, case.gamma, case.factors)
    assert table["mse"].to_list() == pytest.approx([base] * 3, rel=1e-12)
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    for place, row in enumerate(table.iter_rows(named=True)):
        increases = []
        for first in orders:
            for second in orders:
                shuffled = case.panel.characteristics.copy()
                shuffled[:, place] = shuffled[[*first, *(3 + each for each in second)], place]
                increases.append(plain_error(case.panel, case.gamma, case.factors, shuffled) - base)
        assert row["importance"] == pytest.approx(np.mean(increases), rel=1e-9, abs=1e-14)
        assert row["standard_deviation"] == pytest.approx(np.std(increases), rel=1e-6, abs=1e-12)


def test_sampled_permutations_agree_with_their_expectation(case):
    exact = expected_characteristic_importance(case.statistics, case.gamma, case.factors)
    draws = 400
    sampled = characteristic_importance(case.panel, case.gamma, case.factors, n_permutations=draws)
    deviation = exact["standard_deviation"].to_numpy()
    distance = np.abs((sampled["importance"] - exact["importance"]).to_numpy()) / (deviation / np.sqrt(draws))
    assert distance.max() < 4.0
    np.testing.assert_allclose(sampled["standard_deviation"].to_numpy(), deviation, rtol=0.2)
    assert sampled["mse"][0] == pytest.approx(exact["mse"][0], rel=1e-12)
    assert sampled["name"].to_list() == exact["name"].to_list()


def test_a_draw_is_a_shuffle_of_the_panel(case):
    # A month of three assets has six orders.
    two = replace(
        case.panel.take(slice(0, 1)),
        bounds=np.array([0, 3]),
        characteristics=case.panel.characteristics[:3],
        returns=case.panel.returns[:3],
    )
    base = plain_error(two, case.gamma, case.factors)
    for seed in range(5):
        table = characteristic_importance(two, case.gamma, case.factors[:1], n_permutations=1, seed=seed)
        for place, increase in enumerate(table["importance"]):
            possible = []
            for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
                shuffled = two.characteristics.copy()
                shuffled[:, place] = shuffled[list(order), place]
                possible.append(plain_error(two, case.gamma, case.factors, shuffled) - base)
            assert np.abs(np.array(possible) - increase).min() < 1e-15
        assert table["standard_deviation"].to_list() == [None] * 3


def test_the_important_characteristic_ranks_first_and_an_unused_one_does_nothing(case):
    gamma = case.gamma.copy()
    gamma[1] = 0.0
    for table in (
        expected_characteristic_importance(case.statistics, gamma, case.factors),
        characteristic_importance(case.panel, gamma, case.factors, n_permutations=10),
    ):
        assert table["importance"][1] == 0.0
        assert table["rank"].to_list()[0] == 1
        assert table["importance"][0] > 0.0


def test_draws_depend_on_the_seed_and_the_month_alone(case):
    def importance(months, **settings):
        panel = case.panel.take(months)
        return characteristic_importance(panel, case.gamma, case.factors[months], n_permutations=5, **settings)

    assert importance(slice(0, 10)).equals(importance(slice(0, 10)))
    assert not importance(slice(0, 10), seed=1).equals(importance(slice(0, 10)))
    # Means over months: the first ten, of which nine have assets, and the eleventh give the first eleven.
    parts = [importance(slice(0, 10)), importance(slice(10, 11))]
    weighted = (9 * parts[0]["importance"] + parts[1]["importance"]) / 10
    np.testing.assert_allclose(importance(slice(0, 11))["importance"].to_numpy(), weighted.to_numpy(), rtol=1e-12)


def test_shuffled_factor_instruments(case):
    rng = np.random.default_rng(8)
    names = case.instruments.names
    omega = 3.0 * rng.normal(size=(1 + len(names), 2))
    omega[2] = 0.0
    parameters = Parameters(omega, 0.3 * rng.normal(size=(2, 2)), np.zeros(2))

    def error_of(values):
        factors = run(np.column_stack([np.ones(len(values)), values]), parameters).factors
        return mean_squared_error(case.statistics, case.gamma, factors)

    table = instrument_importance(case.instruments, error_of, n_permutations=30, seed=4)
    assert table["name"].to_list() == list(names)
    assert table["importance"][1] == 0.0
    assert table["mse"].to_list() == [error_of(case.instruments.values)] * len(names)
    # The same by hand: orders from the seed, errors from the panel.
    order_rng = np.random.default_rng(4)
    increases = []
    for _ in range(30):
        values = case.instruments.values.copy()
        values[:, 0] = values[order_rng.permutation(len(values)), 0]
        factors = run(np.column_stack([np.ones(len(values)), values]), parameters).factors
        increases.append(plain_error(case.panel, case.gamma, factors) - error_of(case.instruments.values))
    assert table["importance"][0] == pytest.approx(np.mean(increases), rel=1e-10)
    assert table["standard_deviation"][0] == pytest.approx(np.std(increases, ddof=1), rel=1e-10)


def test_what_cannot_be_measured_is_refused(case):
    nobody = case.statistics.take(case.statistics.n == 0)
    with pytest.raises(ValueError, match="no month has an asset"):
        mean_squared_error(nobody, case.gamma, case.factors[:1])
    with pytest.raises(ValueError, match="n_permutations is 0"):
        characteristic_importance(case.panel, case.gamma, case.factors, n_permutations=0)
    with pytest.raises(ValueError, match="n_permutations is 0"):
        instrument_importance(case.instruments, lambda values: 0.0, n_permutations=0)
