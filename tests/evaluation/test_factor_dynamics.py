from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from statsmodels.tsa.api import VAR
from statsmodels.tsa.vector_ar.var_model import VARProcess

from pipeline.evaluation.factor_dynamics import factor_responses, granger, instrument_responses
from pipeline.models.factor_recursion import Parameters

NAMES = ("constant", "mkt_rf", "smb", "hml")


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    omega, ar = rng.normal(size=(4, 3)), 0.5 * rng.normal(size=(3, 3))
    z = np.column_stack([np.ones(50), rng.normal(size=(50, 3)) * [0.5, 1.0, 2.0]])
    return Parameters(omega, ar, np.zeros(3)), z, rng.normal(size=(50, 3))


@pytest.mark.parametrize("n_factors", [2, 3, 5])
def test_granger_is_the_var_of_statsmodels(n_factors):
    rng = np.random.default_rng(n_factors)
    factors = np.zeros((80, n_factors))
    ar = 0.3 * rng.normal(size=(n_factors, n_factors))
    for t in range(1, 80):
        factors[t] = 0.2 + factors[t - 1] @ ar + rng.normal(size=n_factors)
    fit = VAR(factors).fit(1, trend="c")
    table = granger(factors)
    assert list(table.select("response", "cause").iter_rows()) == [
        (i, j) for i in range(1, n_factors + 1) for j in range(1, n_factors + 1)
    ]
    for row in table.iter_rows(named=True):
        place = row["cause"], row["response"] - 1
        assert row["coefficient"] == pytest.approx(fit.params[place], rel=1e-9)
        assert row["standard_error"] == pytest.approx(fit.stderr[place], rel=1e-9)
        assert row["t"] == pytest.approx(fit.tvalues[place], rel=1e-9)
        # The F-test that statsmodels offers spreads its degrees of freedom over all equations.
        f_test = fit.test_causality(row["response"] - 1, row["cause"] - 1, kind="f")
        assert row["t"] ** 2 == pytest.approx(f_test.test_statistic, rel=1e-9)


def test_granger_of_one_factor_is_its_autoregression():
    rng = np.random.default_rng(1)
    factor = rng.normal(size=40)
    row = granger(factor[:, None]).row(0, named=True)
    x, y = factor[:-1] - factor[:-1].mean(), factor[1:]
    slope = x @ y / (x @ x)
    residual = y - y.mean() - slope * x
    assert row["coefficient"] == pytest.approx(slope, rel=1e-12)
    assert row["standard_error"] == pytest.approx(np.sqrt(residual @ residual / 37 / (x @ x)), rel=1e-12)


def test_granger_refuses_what_has_no_test():
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(30, 2))
    with pytest.raises(ValueError, match=r"4 months are too few .* give at least 5"):
        granger(factors[:4])
    assert granger(factors[:5])["p"].null_count() == 0
    with pytest.raises(ValueError, match="collinear or constant"):
        granger(np.column_stack([factors, factors.sum(axis=1)]))
    with pytest.raises(ValueError, match="collinear or constant"):
        granger(np.column_stack([factors, np.ones(30)]))


def test_responses_to_factors_by_a_plain_loop(case):
    parameters, _, factors = case
    mean = np.array([1.0, 0.1, 0.0, -0.2])
    table = factor_responses(parameters, mean, factors, periods=4)
    assert table.height == 3 * 3 * 4
    for shocked in range(3):
        base, moved = factors[-1].copy(), factors[-1].copy()
        moved[shocked] += np.std(factors[:, shocked], ddof=1)
        for period in range(1, 5):
            base = mean @ parameters.omega + np.tanh(base) @ parameters.ar
            moved = mean @ parameters.omega + np.tanh(moved) @ parameters.ar
            rows = table.filter(pl.col("impulse") == str(shocked + 1), pl.col("period") == period)
            assert rows["response"].to_list() == [1, 2, 3]
            np.testing.assert_allclose(rows["value"].to_numpy(), moved - base, rtol=1e-12, atol=1e-16)


def test_responses_to_instruments_by_a_plain_loop(case):
    parameters, z, factors = case
    mean = z.mean(axis=0)
    table = instrument_responses(parameters, mean, factors[-1], z, NAMES, periods=3)
    assert table["impulse"].unique(maintain_order=True).to_list() == list(NAMES[1:])
    assert table["period"].unique().sort().to_list() == [0, 1, 2, 3]
    for place, name in enumerate(NAMES[1:], 1):
        shock = np.zeros(4)
        shock[place] = np.std(z[:, place], ddof=1)
        base = moved = factors[-1]
        for period in range(4):
            base = mean @ parameters.omega + np.tanh(base) @ parameters.ar
            moved = (mean + (shock if period == 0 else 0.0)) @ parameters.omega + np.tanh(moved) @ parameters.ar
            rows = table.filter(pl.col("impulse") == name, pl.col("period") == period).sort("response")
            np.testing.assert_allclose(rows["value"].to_numpy(), moved - base, rtol=1e-10, atol=1e-14)
            if period == 0:
                np.testing.assert_allclose(rows["value"].to_numpy(), shock[place] * parameters.omega[place], rtol=1e-10)


def test_small_factors_respond_as_a_linear_var():
    rng = np.random.default_rng(3)
    ar = 0.5 * rng.normal(size=(3, 3))
    parameters = Parameters(np.zeros((1, 3)), ar, np.zeros(3))
    factors = 1e-4 * rng.normal(size=(40, 3))
    factors[-1] = 0.0
    sizes = factors.std(axis=0, ddof=1)
    expected = VARProcess(ar.T[None], None, np.eye(3)).ma_rep(5)
    table = factor_responses(parameters, np.ones(1), factors)
    for row in table.iter_rows(named=True):
        j = int(row["impulse"]) - 1
        assert row["value"] / sizes[j] == pytest.approx(expected[row["period"], row["response"] - 1, j], abs=1e-6)


def test_factors_without_memory_respond_once(case):
    parameters, z, factors = case
    static = Parameters(parameters.omega)
    assert factor_responses(static, z.mean(axis=0), factors)["value"].abs().max() == 0.0
    table = instrument_responses(static, z.mean(axis=0), factors[-1], z, NAMES)
    assert table.filter(pl.col("period") > 0)["value"].abs().max() == 0.0
    assert table.filter(pl.col("period") == 0)["value"].abs().min() > 0.0


def test_bad_input_is_refused(case):
    parameters, z, factors = case
    with pytest.raises(ValueError, match="periods is 0"):
        factor_responses(parameters, z.mean(axis=0), factors, periods=0)
    with pytest.raises(ValueError, match="1 months have no standard deviation"):
        factor_responses(parameters, z.mean(axis=0), factors[:1])
    with pytest.raises(ValueError, match="3 names for 4 instruments"):
        instrument_responses(parameters, z.mean(axis=0), factors[-1], z, NAMES[1:])
    now = instrument_responses(parameters, z.mean(axis=0), factors[-1], z, NAMES, periods=0)
    assert now["period"].unique().to_list() == [0]
    with pytest.raises(ValueError, match="periods is -1"):
        instrument_responses(parameters, z.mean(axis=0), factors[-1], z, NAMES, periods=-1)
