from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch

from pipeline.sdf.adam import ModuleAdam
from pipeline.sdf.batches import TensorPanel
from pipeline.sdf.configurations import Configuration
from pipeline.sdf.gan_networks import (
    MOMENT_SHAPE,
    SDF_SHAPES,
    StateNetwork,
    generalised_mispricing,
    networks_for,
    sequenced,
)
from pipeline.sdf.gan_settings import GanTrainingSettings
from pipeline.sdf.gan_training import STEPS, bound_for, step_loss
from pipeline.sdf.objectives import mispricing

SMALL = Configuration(architecture="joined", batch_size=40, rate=1e-3, l1=0.0, l2=0.0)
SETTINGS = GanTrainingSettings(dropout=0.0)


@pytest.fixture
def batch(draw):
    return TensorPanel(sequenced(draw(D=16, missing=0.0))).batch([0, 2, 3])


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return networks_for("separate", 5, 3, 0.0)


def test_the_loss_against_a_double_loop(batch):
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=batch.n_rows), rng.normal(size=(6, batch.n_rows))
    r, codes = batch.returns.double().numpy(), batch.codes.numpy()
    of_row = np.repeat(np.arange(3), batch.counts.numpy())
    total = 0.0
    for asset in sorted(set(codes)):
        error, times = np.zeros(6), 0
        for row in range(len(r)):
            if codes[row] == asset:
                F = sum(w[other] * r[other] for other in range(len(r)) if of_row[other] == of_row[row])
                error += (1.0 - F) * r[row] * g[:, row]
                times += 1
        total += times / 3 * ((error / times) ** 2).sum()
    exact = replace(batch, returns=batch.returns.double(), indicator=batch.indicator.double())
    found = generalised_mispricing(torch.from_numpy(w), torch.from_numpy(g), exact)
    assert float(found) == pytest.approx(total / len(set(codes)), rel=1e-12)
    ones = torch.ones(1, len(r), dtype=torch.float64)
    assert float(generalised_mispricing(torch.from_numpy(w), ones, exact)) == pytest.approx(
        float(mispricing(torch.from_numpy(w)[None], exact)[0]), rel=1e-12
    )


@pytest.mark.parametrize("name", list(STEPS))
def test_gradients_reach_the_learner_alone(name, networks, batch):
    step = STEPS[name]
    step_loss(networks, batch, step, bound_for(SMALL, SETTINGS), SETTINGS).backward()
    for each, network in networks.items():
        gradients = [parameter.grad for parameter in network.parameters()]
        if each == step.learner:
            assert all(gradient is not None for gradient in gradients)
            assert any(bool(gradient.abs().max() > 0.0) for gradient in gradients)
            assert network.recurrent.weight_ih_l0.grad.abs().max() > 0.0
        else:
            assert all(gradient is None for gradient in gradients)


def test_the_steps_of_the_source():
    assert [(each.learner, each.sign, each.conditional) for each in STEPS.values()] == [
        ("weights", 1.0, False),
        ("moments", -1.0, True),
        ("weights", 1.0, True),
    ]


def test_bounded_test_assets_have_a_loss_of_the_size_of_ones(networks, batch):
    """Test assets that are equal and at their bound give the unconditional loss."""
    for parameter in networks["moments"].last.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(networks["moments"].last.bias)
    bound = bound_for(SMALL, SETTINGS)
    plain, scaled = (step_loss(networks, batch, STEPS[name], bound, SETTINGS) for name in ("unconditional", "weights"))
    torch.testing.assert_close(scaled, plain, rtol=1e-5, atol=0.0)


def test_the_layers_of_the_source():
    torch.manual_seed(0)

    def widths(network):
        return [tuple(each.shape) for name, each in network.named_parameters() if each.ndim > 1]

    recurrent = [(18, 7), (18, 6)]
    joined = StateNetwork(5, 7, SDF_SHAPES["joined"], 0.01)
    assert widths(joined) == [*recurrent, (64, 11), (32, 64), (16, 32), (8, 16), (1, 8)]
    separate = StateNetwork(5, 7, SDF_SHAPES["separate"], 0.01)
    deep = [(64, 22), (64, 64), (32, 64), (32, 32), (16, 32), (8, 16), (1, 8)]
    assert widths(separate) == [*recurrent, (32, 5), (16, 32), *deep]
    moments = StateNetwork(5, 7, MOMENT_SHAPE, 0.01)
    assert widths(moments) == [*recurrent, (32, 11), (16, 32), (8, 16), (6, 8)]
    assert {each.p for each in separate.modules() if isinstance(each, torch.nn.Dropout)} == {0.01}
    with pytest.raises(ValueError, match="no architecture"):
        networks_for("shallow", 5, 7, 0.01)
    with pytest.raises(ValueError, match="need both"):
        networks_for("joined", 5, 0, 0.01)


def test_the_state_against_the_equations_of_a_gated_unit(networks, batch):
    """The recurrence by hand, in NumPy, over the twelve months of each batch month, the oldest first."""
    unit = {name: value.detach().double().numpy() for name, value in networks["weights"].recurrent.named_parameters()}
    logistic = lambda x: 1.0 / (1.0 + np.exp(-x))  # noqa: E731
    series = batch.macro.double().numpy().reshape(3, 12, 3)
    state = np.zeros((3, 6))
    for month in range(12):
        from_series = series[:, month] @ unit["weight_ih_l0"].T + unit["bias_ih_l0"]
        from_state = state @ unit["weight_hh_l0"].T + unit["bias_hh_l0"]
        (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(from_series, 3, axis=1), np.split(from_state, 3, axis=1)
        reset, update = logistic(r_x + r_h), logistic(z_x + z_h)
        state = (1.0 - update) * np.tanh(n_x + reset * n_h) + update * state
    theirs = networks["weights"].recurrent(batch.macro.view(3, 12, 3))[1][0]
    np.testing.assert_allclose(theirs.detach().numpy(), state, atol=1e-6)


def test_macro_series_by_date(draw):
    panel = draw(D=30)
    whole = sequenced(panel)
    assert whole.months == panel.months[11:]
    assert whole.counts.tolist() == panel.counts[11:].tolist()
    for d in range(19):
        np.testing.assert_array_equal(whole.macro[d].reshape(12, 3), panel.macro[d : d + 12])
    later = sequenced(panel.take(slice(20, 30)), panel.take(slice(0, 20)))
    assert later.months == panel.months[20:]
    np.testing.assert_array_equal(later.macro, whole.macro[9:])
    # A history that is shorter than needed, and one that reaches into the panel.
    assert sequenced(panel.take(slice(20, 30)), panel.take(slice(14, 20))).months == panel.months[25:]
    np.testing.assert_array_equal(sequenced(panel.take(slice(20, 30)), panel).macro, whole.macro[9:])
    assert len(sequenced(panel.take(slice(0, 11))).months) == 0


def test_a_month_without_rows_has_its_place_in_the_macro_series(draw):
    panel = draw(D=40)
    whole = sequenced(panel)
    for idle in ([14], [3], [20], [19, 20], list(range(15, 28))):
        gap = panel.keep(~np.isin(panel.date_of_row, idle))
        kept = [d for d in range(11, 40) if d not in idle]
        found = sequenced(gap)
        assert found.months == tuple(panel.months[d] for d in kept)
        np.testing.assert_array_equal(found.macro, whole.macro[[d - 11 for d in kept]])
        first = sum(d < 28 for d in range(40) if d not in idle)
        later = sequenced(gap.take(slice(first, None)), gap.take(slice(0, first)))
        assert later.months == panel.months[28:]
        np.testing.assert_array_equal(later.macro, whole.macro[17:])


def test_macro_series_that_cannot_be(draw):
    panel = draw(D=30)
    gap = replace(panel.keep(panel.date_of_row != 14), idle={})
    with pytest.raises(ValueError, match=f'{date(1991, 3, 1):%Y-%m} is missing.*leave "gan" out of the objectives'):
        sequenced(gap)
    with pytest.raises(ValueError, match="1991-09 is missing"):
        sequenced(panel.take(slice(21, 30)), panel.take(slice(0, 20)))
    other = replace(panel, macro_names=("a", "b", "c"))
    with pytest.raises(ValueError, match="series"):
        sequenced(panel.take(slice(20, 30)), other)


def test_moments_of_evaluation_are_the_means_over_the_batches_of_an_epoch(networks, draw):
    panel = TensorPanel(sequenced(draw(D=20, missing=0.0)))
    network, batches = networks["weights"], [panel.batch([0, 1, 2]), panel.batch([3, 4])]
    for _ in range(2):
        network.begin_epoch()
        for batch in batches:
            network(batch)
    first = [batch.features @ network.own[0].weight.t() for batch in batches]
    found = network.arrays()
    expected = [
        torch.stack([kind(each) for each in first]).mean(dim=0) for kind in (lambda x: x.mean(0), lambda x: x.var(0))
    ]
    np.testing.assert_allclose(found["own.1.running_mean"], expected[0].detach().numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["own.1.running_var"], expected[1].detach().numpy(), rtol=1e-4)


def test_steps_are_those_of_torch_s_adam(batch):
    """The same losses and rates move the same module the same way."""
    ours, theirs = (networks_for("joined", 5, 3, 0.0)["weights"] for _ in range(2))
    theirs.load(ours.arrays())
    optimiser, reference = ModuleAdam(ours, 0.01), torch.optim.Adam(theirs.parameters(), lr=0.01)
    for network in (ours, theirs):
        network.train(False)
    first = ours.arrays()
    for step in range(6):
        optimiser.step((ours(batch) - 0.3 * step).square().mean())
        reference.zero_grad()
        (theirs(batch) - 0.3 * step).square().mean().backward()
        reference.step()
    for name, value in theirs.arrays().items():
        np.testing.assert_allclose(ours.arrays()[name], value, rtol=1e-4, atol=1e-5)
    assert all(np.abs(ours.arrays()[name] - first[name]).max() > 0.01 for name, _ in ours.named_parameters())
