"""IPCA in the shape of the other factor models: the same numbers as the estimator it translates."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.models.factor_model import Sample
from pipeline.models.ipca import IPCA
from pipeline.models.ipca_model import InstrumentedComponents
from pipeline.simulation.factor_model import FactorModelSettings, simulate_factor_model


@pytest.fixture(scope="module")
def sample() -> Sample:
    return simulate_factor_model(FactorModelSettings(n_months=90, n_assets=60)).sample


def test_is_the_estimator(sample: Sample) -> None:
    result = InstrumentedComponents(2).fit(sample)
    plain = IPCA(2, starts=3).fit(sample.statistics)
    np.testing.assert_array_equal(result.factors, plain.factors)
    np.testing.assert_array_equal(result.expected_factor, plain.mean_factor)
    np.testing.assert_array_equal(result.loadings.gamma, plain.gamma)
    L = len(sample.statistics.names)
    assert result.n_parameters == 2 * (90 + L)
    assert result.total_r2 == pytest.approx(1 - plain.loss / sample.statistics.yy.sum(), abs=1e-14)


def test_starts_from_its_own_result(sample: Sample) -> None:
    model = InstrumentedComponents(2)
    earlier = model.fit(sample.first(89))
    warm, cold = model.fit(sample, earlier), model.fit(sample)
    assert warm.iterations <= cold.iterations
    assert warm.loss == pytest.approx(cold.loss, rel=1e-10)


def test_is_carried_on_under_its_gamma(sample: Sample) -> None:
    model = InstrumentedComponents(2)
    earlier = model.fit(sample.first(80))
    carried = model.extend(earlier, sample)
    assert carried.months == sample.months
    assert (carried.n_estimated, carried.n_carried, carried.loss) == (80, 10, earlier.loss)
    np.testing.assert_array_equal(carried.expected_factor, carried.factors.mean(axis=0))
    np.testing.assert_allclose(carried.factors[:80], earlier.factors, rtol=0, atol=1e-10)
    X, W, gamma = sample.statistics.X[85], sample.statistics.W[85], earlier.loadings.gamma
    np.testing.assert_allclose(carried.factors[85], np.linalg.solve(gamma.T @ W @ gamma, gamma.T @ X), rtol=1e-9)
