from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.sdf.batches import TensorPanel
from pipeline.sdf.networks import (
    ARCHITECTURES,
    Design,
    dropout_masks,
    first_stack,
    outputs,
    stacked,
)

DATES = [3, 8, 1, 15]


class Masked(nn.Module):
    """Dropout by a given mask, (rows, units)."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, values):
        return values * self.mask if self.training else values


def plain(design, network, masks=()):
    """The same network as torch's own modules, one configuration, rows by units."""
    modules, inputs = [], design.n_features + design.n_macro
    for k, units in enumerate(design.hidden):
        linear, norm = nn.Linear(inputs, units, bias=False), nn.BatchNorm1d(units)
        with torch.no_grad():
            linear.weight.copy_(first_weight(network, k))
            norm.weight.copy_(torch.from_numpy(network[f"scale_{k}"]))
            norm.bias.copy_(torch.from_numpy(network[f"shift_{k}"]))
            norm.running_mean.copy_(torch.from_numpy(network[f"running_mean_{k}"]))
            norm.running_var.copy_(torch.from_numpy(network[f"running_variance_{k}"]))
        modules += [linear, norm, nn.SiLU(), Masked(masks[k].t()) if masks else nn.Identity()]
        inputs = units
    last = nn.Linear(inputs, 1)
    with torch.no_grad():
        last.weight.copy_(first_weight(network, len(design.hidden)))
        last.bias.copy_(torch.from_numpy(network["bias"]))
    return nn.Sequential(*modules, last)


def first_weight(network, k):
    parts = [network["weight_0"], network["macro"]] if k == 0 else [network[f"weight_{k}"]]
    return torch.from_numpy(np.concatenate(parts, axis=1))


def perturbed(design, S, seed=0):
    """Networks that differ in every parameter and running statistic."""
    rng = np.random.default_rng(seed)
    networks = []
    for place in range(S):
        network = first_stack(design, 1, seed=place).arrays(0)
        networks.append({k: (v + 0.2 * rng.random(v.shape)).astype(np.float32) for k, v in network.items()})
    return networks


@pytest.fixture
def tensors(draw):
    return TensorPanel(draw(missing=0.0))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.parametrize("training", [True, False])
def test_against_modules_of_torch(tensors, architecture, training):
    design = Design(n_features=5, n_macro=3, hidden=ARCHITECTURES[architecture], dropout=0.2)
    networks = perturbed(design, 3)
    stack, batch = stacked(design, networks), tensors.batch(DATES)
    masks = dropout_masks(design, batch.n_rows, np.random.default_rng(1)) if training else None
    for value in stack.parameters.values():
        value.requires_grad_(True)
    # The tenth batch of an epoch has a tenth of the running moments, which is what torch gives every batch.
    found = outputs(stack, batch, masks, number=10)
    target = torch.sin(torch.arange(batch.n_rows))
    (found * target).sum().backward()
    rows = torch.cat([batch.features, batch.macro.repeat_interleave(batch.counts, dim=0)], dim=1)
    for place, network in enumerate(networks):
        module = plain(design, network, masks or ()).train(training)
        expected = module(rows)[:, 0]
        (expected * target).sum().backward()
        torch.testing.assert_close(found[place], expected, rtol=2e-4, atol=2e-5)
        linears = [each for each in module if isinstance(each, nn.Linear)]
        norms = [each for each in module if isinstance(each, nn.BatchNorm1d)]
        for k, linear in enumerate(linears):
            ours = [stack.parameters[f"weight_{k}"].grad[place]]
            ours += [stack.parameters["macro"].grad[place]] if k == 0 else []
            torch.testing.assert_close(torch.cat(ours, dim=1), linear.weight.grad, rtol=2e-3, atol=2e-4)
        torch.testing.assert_close(stack.parameters["bias"].grad[place], linears[-1].bias.grad, rtol=1e-4, atol=1e-5)
        for k, norm in enumerate(norms):
            torch.testing.assert_close(
                stack.parameters[f"scale_{k}"].grad[place], norm.weight.grad, rtol=2e-3, atol=2e-4
            )
            torch.testing.assert_close(stack.parameters[f"shift_{k}"].grad[place], norm.bias.grad, rtol=2e-3, atol=2e-4)
            torch.testing.assert_close(stack.running[f"running_mean_{k}"][place], norm.running_mean)
            torch.testing.assert_close(stack.running[f"running_variance_{k}"][place], norm.running_var)


def test_running_moments_are_plain_means_over_the_batches_of_an_epoch(tensors):
    design = Design(n_features=5, n_macro=3, hidden=(4,), dropout=0.0)
    (network,) = perturbed(design, 1)
    stack, norm = stacked(design, [network]), nn.BatchNorm1d(4, momentum=None)
    for number, dates in enumerate([[0, 1], [2, 3, 4], [5, 6]], start=1):
        batch = tensors.batch(dates)
        outputs(stack, batch, [], number)
        rows = torch.cat([batch.features, batch.macro.repeat_interleave(batch.counts, dim=0)], dim=1)
        weights = torch.cat([stack.parameters["weight_0"][0], stack.parameters["macro"][0]], dim=1)
        norm(rows @ weights.t())
    torch.testing.assert_close(stack.running["running_mean_0"][0], norm.running_mean)
    torch.testing.assert_close(stack.running["running_variance_0"][0], norm.running_var)


def test_an_epoch_of_one_batch_does_not_shrink_the_differences_between_assets(tensors):
    """With a tenth of the batch's moments the networks would be near to constant where an epoch has few batches."""
    design = Design(n_features=5, n_macro=0, hidden=ARCHITECTURES["deep"], dropout=0.0)
    batch = tensors.batch(DATES)
    spread = {}
    for number in (1, 10):
        stack = first_stack(design, 1, seed=4)
        as_trained = outputs(stack, batch, [], number)
        spread[number] = float(outputs(stack, batch).std() / as_trained.std())
    # Not one: the running variances are those of a sample, which counts for a tenth in forty rows and eight layers.
    assert spread[1] > 0.8
    assert spread[10] < 0.2


def macro_moves_outputs(tensors, dates):
    """Largest change of the training outputs when the macro series of the batch become others."""
    design = Design(n_features=5, n_macro=3, hidden=(8, 4), dropout=0.0)
    batch = tensors.batch(dates)
    before = outputs(first_stack(design, 1, seed=0), batch, [])
    batch.macro.add_(torch.tensor([[2.0, -1.0, 3.0]]) * torch.arange(1.0, len(dates) + 1)[:, None])
    return (outputs(first_stack(design, 1, seed=0), batch, []) - before).abs().max().item()


def test_a_batch_of_one_month_erases_macro_series_and_several_do_not(tensors):
    """Within one month a macro series is a constant, which batch normalisation takes out."""
    assert macro_moves_outputs(tensors, [4]) < 1e-5
    assert macro_moves_outputs(tensors, [4, 5]) > 1e-2


def test_masks_are_independent_draws_of_the_share():
    design = Design(n_features=2, n_macro=0, hidden=(64, 32), dropout=0.03)
    first, second = dropout_masks(design, 3000, np.random.default_rng(3))
    assert first.shape == (64, 3000)
    assert second.shape == (32, 3000)
    for mask in (first, second):
        zeros = (mask == 0.0).double()
        assert torch.unique(mask).tolist() == pytest.approx([0.0, 1.0 / 0.97])
        n = mask.numel()
        # Within four standard errors, along rows and for neighbours.
        assert abs(zeros.mean().item() - 0.03) < 4 * (0.03 * 0.97 / n) ** 0.5
        assert abs(zeros.mean(dim=1) - 0.03).max() < 5 * (0.03 * 0.97 / 3000) ** 0.5
        both = (zeros[:, 1:] * zeros[:, :-1]).mean().item()
        assert abs(both - 0.03**2) < 4 * (0.03**2 / n) ** 0.5


def test_masks_of_any_size_are_filled_to_their_end():
    design = Design(n_features=2, n_macro=0, hidden=(2,), dropout=0.5)
    for seed in range(20):
        mask = dropout_masks(design, 400, np.random.default_rng(seed))[0]
        assert (mask.view(-1)[-60:] == 0.0).any()
    assert dropout_masks(Design(n_features=2, n_macro=0, hidden=(2,), dropout=0.0), 9, np.random.default_rng(0)) == []


@pytest.mark.parametrize(("P", "Q"), [(5, 0), (0, 3)])
def test_without_macro_series_or_without_characteristics(draw, P, Q):
    tensors = TensorPanel(draw(P=P, Q=Q, missing=0.0))
    design = Design(n_features=P, n_macro=Q, hidden=(8,), dropout=0.0)
    batch = tensors.batch(DATES)
    found = outputs(first_stack(design, 2, seed=0), batch)
    assert found.shape == (2, batch.n_rows)
    expected = plain(design, first_stack(design, 1, seed=0).arrays(0)).train(False)
    rows = torch.cat([batch.features, batch.macro.repeat_interleave(batch.counts, dim=0)], dim=1)
    torch.testing.assert_close(found[1], expected(rows)[:, 0], rtol=1e-4, atol=1e-6)


def test_first_weights_are_those_of_a_linear_layer():
    design = Design(n_features=150, n_macro=50, hidden=(64, 32), dropout=0.0)
    network = first_stack(design, 2, seed=4).arrays(1)
    for name, inputs in (("weight_0", 200), ("macro", 200), ("weight_1", 64), ("weight_2", 32)):
        limit = inputs**-0.5
        assert np.abs(network[name]).max() <= limit
        assert network[name].std() == pytest.approx(limit / 3**0.5, rel=0.2)
    np.testing.assert_array_equal(network["weight_0"], first_stack(design, 1, seed=4).arrays(0)["weight_0"])
    assert not np.array_equal(network["weight_0"], first_stack(design, 1, seed=5).arrays(0)["weight_0"])


@pytest.mark.parametrize(
    ("change", "said"), [({"n_features": 0, "n_macro": 0}, "no inputs"), ({"dropout": 1.0}, "below 1")]
)
def test_designs_that_cannot_be(change, said):
    with pytest.raises(ValueError, match=said):
        Design(**{"n_features": 2, "n_macro": 1, "hidden": (4,)} | change)
