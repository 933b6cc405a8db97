from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.sdf.batches import TensorPanel
from pipeline.sdf.objectives import (
    NORM_RULES,
    OBJECTIVES,
    Bound,
    Rules,
    clipped_batch,
    clipped_dates,
    factor,
    linearised_sharpe,
    mispricing,
    sharpe_ratios,
)

DATES = [3, 8, 1, 15, 20, 9]


@pytest.fixture
def panel(draw):
    return draw(missing=0.0)


def batch_and_weights(panel, S=3, dates=DATES, seed=1):
    batch = TensorPanel(panel).batch(dates)
    return batch, torch.from_numpy(np.random.default_rng(seed).normal(size=(S, batch.n_rows)).astype(np.float32))


def plain_mispricing(panel, dates, weights):
    """Equation 5, one asset and one month at a time."""
    rows = {d: range(panel.bounds[d], panel.bounds[d + 1]) for d in dates}
    weight = dict(zip([row for d in dates for row in rows[d]], weights.tolist(), strict=True))
    errors = {}
    for d in dates:
        earned = sum(weight[row] * panel.returns[row] for row in rows[d])
        for row in rows[d]:
            errors.setdefault(panel.assets[row], []).append((1.0 - earned) * panel.returns[row])
    terms = [len(each) / len(dates) * (sum(each) / len(each)) ** 2 for each in errors.values()]
    return sum(terms) / len(terms)


def test_mispricing_against_a_double_loop(panel):
    batch, weights = batch_and_weights(panel)
    expected = [plain_mispricing(panel, DATES, each) for each in weights]
    np.testing.assert_allclose(mispricing(weights, batch), expected, rtol=2e-5)


def test_the_gradient_of_mispricing_against_differences(panel):
    batch, weights = batch_and_weights(panel, S=2)
    weights.requires_grad_(True)
    found = torch.autograd.grad(mispricing(weights, batch).sum(), weights)[0]
    for place in (0, 17, 40):
        high, low = (weights[1].detach().double().numpy().copy() for _ in range(2))
        high[place] += 1e-4
        low[place] -= 1e-4
        slope = (plain_mispricing(panel, DATES, high) - plain_mispricing(panel, DATES, low)) / 2e-4
        assert found[1, place].item() == pytest.approx(slope, rel=1e-3, abs=1e-9)


def test_assets_seen_once_have_no_mean(panel):
    """With one month the loss is that of realised returns, least where the factor is one whatever the weights."""
    batch, weights = batch_and_weights(panel, S=1, dates=[4])
    earned = factor(weights, batch)
    expected = ((1.0 - earned[0, 0]) * batch.returns).square().mean()
    assert mispricing(weights, batch)[0].item() == pytest.approx(expected.item(), rel=1e-5)
    assert mispricing(weights / earned[0, 0], batch)[0].item() < 1e-12


def test_the_factor_and_its_sharpe_ratio_against_numpy(panel):
    batch, weights = batch_and_weights(panel)
    splits = np.cumsum(panel.counts[DATES])[:-1]
    products = weights.double().numpy() * batch.returns.double().numpy()
    expected = np.array([[part.sum() for part in np.split(row, splits)] for row in products])
    np.testing.assert_allclose(factor(weights, batch), expected, rtol=1e-4, atol=1e-7)
    linear = expected.mean(axis=1) - 0.3 * expected.std(axis=1, ddof=1)
    np.testing.assert_allclose(linearised_sharpe(weights, batch, 0.3), linear, rtol=1e-4)
    np.testing.assert_allclose(sharpe_ratios(expected), expected.mean(axis=1) / expected.std(axis=1, ddof=1))


def test_one_month_has_no_standard_deviation(panel):
    batch, weights = batch_and_weights(panel, dates=[4])
    with pytest.raises(ValueError, match="not defined"):
        linearised_sharpe(weights, batch, 0.01)


def test_a_factor_that_does_not_vary_has_no_sharpe_ratio():
    assert np.isnan(sharpe_ratios(np.zeros((2, 5)))).all()


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("rule", sorted(NORM_RULES))
def test_gradients_are_finite_at_zero_weights(panel, objective, rule):
    batch, weights = batch_and_weights(panel)
    weights = (0.0 * weights).requires_grad_(True)
    rules = Rules(bound=Bound(size=1.0, batch_size=64), norm_rule=rule, gamma=0.01)
    loss = OBJECTIVES[objective].loss(weights, batch, rules)
    assert torch.isfinite(torch.autograd.grad(loss.sum(), weights)[0]).all()


@given(scale=st.floats(1e-4, 1e3), size=st.sampled_from([0.1, 1.0]))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bounds_clip_and_do_not_scale_up(panel, scale, size):
    batch, weights = batch_and_weights(panel)
    outputs = scale * weights
    bound = Bound(size=size, batch_size=50)
    norm = outputs.norm(dim=1, keepdim=True)
    expected = outputs * torch.clamp(size / norm, max=1.0)
    torch.testing.assert_close(clipped_batch(outputs, batch, bound), expected, rtol=1e-5, atol=0.0)
    clipped = clipped_dates(outputs, batch, bound)
    splits = panel.counts[DATES].tolist()
    for before, after, n in zip(outputs.split(splits, dim=1), clipped.split(splits, dim=1), splits, strict=True):
        limit = size * (n / 50) ** 0.5
        expected = before * torch.clamp(limit / before.norm(dim=1, keepdim=True), max=1.0)
        torch.testing.assert_close(after, expected, rtol=1e-5, atol=0.0)
        # The source's leverage, C m / sqrt(n).
        assert (after.abs().sum(dim=1) <= size * n / 50**0.5 * (1 + 1e-5)).all()


def test_months_at_their_bound_fill_the_bound_of_a_batch(panel):
    batch, weights = batch_and_weights(panel)
    clipped = clipped_dates(1e4 * weights, batch, Bound(size=0.7, batch_size=batch.n_rows))
    np.testing.assert_allclose(clipped.norm(dim=1), 0.7, rtol=1e-5)


def test_the_rule_of_a_month_does_not_see_other_months_and_that_of_a_batch_does(panel):
    batch, weights = batch_and_weights(panel)
    alone = TensorPanel(panel).batch(DATES[:1])
    own = weights[:, : alone.n_rows]
    bound = Bound(size=1.0, batch_size=64)
    torch.testing.assert_close(
        clipped_dates(weights, batch, bound)[:, : alone.n_rows], clipped_dates(own, alone, bound)
    )
    assert not torch.allclose(clipped_batch(weights, batch, bound)[:, : alone.n_rows], clipped_batch(own, alone, bound))


def test_squared_errors(panel):
    batch, outputs = batch_and_weights(panel)
    rules = Rules(bound=Bound(size=1.0, batch_size=64), norm_rule="date", gamma=0.01)
    errors = (outputs.numpy() - batch.returns.numpy()) ** 2
    objective = OBJECTIVES["squared_error"]
    np.testing.assert_allclose(objective.loss(outputs, batch, rules), errors.mean(axis=1), rtol=1e-5)
    parts = objective.parts(outputs, batch, rules).double().numpy()
    np.testing.assert_allclose(objective.score(parts, batch.counts.numpy()), -errors.mean(axis=1), rtol=1e-5)
