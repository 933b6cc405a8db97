from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.sdf import configurations, gan_networks, gan_settings, networks, objectives
from pipeline.sdf.adam import StackedAdam
from pipeline.sdf.batches import TensorPanel
from pipeline.sdf.configurations import GRID, Configuration, Grid, TrainingSettings
from pipeline.sdf.networks import Design, first_stack, outputs
from pipeline.sdf.objectives import OBJECTIVES, sharpe_ratios
from pipeline.sdf.training import (
    NO_SCORE,
    NOT_FINITE,
    RAN_OUT,
    STOPPED,
    design_for,
    rules_for,
    scores,
    train,
)

SMALL = Configuration(architecture="shallow", batch_size=40, rate=1e-3, l1=0.0, l2=0.0)


def points(*pairs, architecture="shallow"):
    return [replace(SMALL, architecture=architecture, rate=rate, l1=l1, l2=l2) for rate, l1, l2 in pairs]


@pytest.fixture
def parts(draw):
    panel = draw(D=36, missing=0.0)
    return TensorPanel(panel.take(slice(0, 24))), TensorPanel(panel.take(slice(24, 36)))


def test_steps_against_adam_of_torch():
    """Every configuration of a stack against torch's optimiser and penalties by automatic differentiation."""
    design = Design(n_features=3, n_macro=2, hidden=(4,), dropout=0.0)
    settings = [(1e-2, 0.0, 0.0), (1e-3, 0.01, 0.0), (5e-3, 0.001, 0.1)]
    stack = first_stack(design, 3, seed=1)
    alone = [
        {name: value[i].clone().requires_grad_(True) for name, value in stack.parameters.items()} for i in range(3)
    ]
    optimiser = StackedAdam(stack, *(torch.tensor(column) for column in zip(*settings, strict=True)))

    def loss(parameters, step):
        return sum(
            (torch.sin(value * (step + 1)) + value.square()).sum(dim=tuple(range(1, value.ndim)))
            for value in parameters
        )

    theirs = [torch.optim.Adam(each.values(), lr=rate) for each, (rate, _, _) in zip(alone, settings, strict=True)]
    for step in range(40):
        optimiser.step(loss(stack.parameters.values(), step))
        for each, other, (_, l1, l2) in zip(alone, theirs, settings, strict=True):
            other.zero_grad()
            total = loss([value[None] for value in each.values()], step).sum()
            weights = [each[name] for name in design.penalised]
            total = total + l1 * sum(w.abs().sum() for w in weights) + l2 * sum(w.square().sum() for w in weights)
            total.backward()
            other.step()
    for place, each in enumerate(alone):
        for name, value in each.items():
            torch.testing.assert_close(stack.parameters[name][place], value, rtol=1e-5, atol=2e-7)


def test_the_optimiser_keeps_moments_of_those_that_go_on():
    design = Design(n_features=3, n_macro=2, hidden=(4,), dropout=0.0)
    rates, l1, l2 = torch.tensor([1e-2, 1e-3, 5e-3]), torch.tensor([0.0, 0.01, 0.0]), torch.tensor([0.0, 0.0, 0.1])

    def run(keep):
        optimiser = StackedAdam(first_stack(design, 3, seed=1), rates, l1, l2)
        for step in range(10):
            if step == 5 and keep:
                optimiser.keep(torch.tensor([0, 2]))
            parameters = optimiser.stack.parameters.values()
            optimiser.step(sum(torch.cos(value + step).sum(dim=tuple(range(1, value.ndim))) for value in parameters))
        return optimiser.stack

    whole, kept = run(False), run(True)
    for ours, place in ((0, 0), (1, 2)):
        for name, value in kept.arrays(ours).items():
            np.testing.assert_allclose(value, whole.arrays(place)[name], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("architecture", ["shallow", "elastic_net"])
def test_a_stack_against_one_at_a_time(parts, objective, architecture):
    configurations = points((1e-3, 0.0, 0.0), (5e-3, 0.0, 0.01), (1e-4, 0.01, 0.0), architecture=architecture)
    settings = TrainingSettings(objective=objective, epochs=4, dropout=0.1)
    together = train(*parts, configurations, 3, settings)
    for configuration, one in zip(configurations, together, strict=True):
        (alone,) = train(*parts, [configuration], 3, settings)
        assert alone.epoch == one.epoch
        assert alone.score == pytest.approx(one.score, rel=1e-3, abs=1e-5)
        for name, value in alone.network.items():
            np.testing.assert_allclose(one.network[name], value, rtol=2e-3, atol=2e-4, err_msg=name)


def test_the_same_seed_gives_the_same_bits(parts):
    configurations, settings = points((1e-3, 0.0, 0.0), (5e-3, 0.01, 0.0)), TrainingSettings(epochs=3)
    first, again, other = (train(*parts, configurations, seed, settings) for seed in (1, 1, 2))
    for one, two, three in zip(first, again, other, strict=True):
        for name in one.network:
            np.testing.assert_array_equal(one.network[name], two.network[name])
        assert one.score == two.score != three.score


def test_a_diverging_configuration_is_flagged_and_harms_nobody(parts):
    settings = TrainingSettings(epochs=3, objective="squared_error")
    sane, wild = points((1e-3, 0.0, 0.0), (1e37, 0.0, 0.0), architecture="elastic_net")
    beside, flagged = train(*parts, [sane, wild], 0, settings)
    (alone,) = train(*parts, [sane], 0, settings)
    assert flagged.ending == NOT_FINITE
    assert not flagged.usable
    assert flagged.epochs < 3
    assert beside.usable
    assert beside.score == pytest.approx(alone.score, rel=1e-5)


def test_a_factor_that_never_varies_has_no_score(draw):
    panel = draw(D=36, missing=0.0)
    validation = panel.take(slice(24, 36))
    still = TensorPanel(replace(validation, returns=0.0 * validation.returns))
    training = TensorPanel(panel.take(slice(0, 24)))
    (found,) = train(training, still, [SMALL], 0, TrainingSettings(epochs=10, patience=3))
    assert found.ending == NO_SCORE
    assert (found.epoch, found.epochs) == (0, 3)
    assert np.isnan(found.score)
    assert not found.usable


def test_early_stopping_keeps_the_best_epoch(parts):
    settings = TrainingSettings(epochs=30, patience=4, dropout=0.0)
    configurations = points((5e-3, 0.0, 0.0), (1e-3, 0.0, 0.0), (1e-4, 0.0, 0.0))
    seen = []
    found = train(*parts, configurations, 0, settings, lambda epoch, running, best: seen.append((epoch, running, best)))
    assert STOPPED in {each.ending for each in found}
    for each in found:
        assert each.epochs == (each.epoch + 4 if each.ending == STOPPED else 30)
        # A run that ends at the best epoch has the same network, and no epoch before it a better score.
        if each.configuration == found[0].configuration:
            short = [
                train(*parts, [each.configuration], 0, replace(settings, epochs=n))[0]
                for n in range(1, each.epochs + 1)
            ]
            best = max(short, key=lambda one: one.score)
            assert best.epoch == each.epoch
            assert each.score == pytest.approx(best.score, rel=1e-3)
    assert [epoch for epoch, _, _ in seen] == list(range(1, max(each.epochs for each in found) + 1))
    running = [count for _, count, _ in seen]
    assert running == sorted(running, reverse=True)
    assert seen[-1][2] == max(each.score for each in found)


def test_ending_words(parts):
    (found,) = train(*parts, [SMALL], 0, TrainingSettings(epochs=2))
    assert found.ending == RAN_OUT
    assert found.epochs == 2


def test_the_score_is_the_sharpe_ratio_of_months_bounded_one_by_one(parts):
    settings = TrainingSettings(bound=0.5)
    stack = first_stack(design_for(SMALL, 5, 3, settings), 2, seed=0)
    validation = parts[1]
    factors = np.zeros((2, 12))
    with torch.no_grad():
        for d in range(12):
            batch = validation.batch([d])
            weights = outputs(stack, batch)
            limit = 0.5 * (batch.n_rows / 40) ** 0.5
            weights *= torch.clamp(limit / weights.norm(dim=1, keepdim=True), max=1.0)
            factors[:, d] = (weights * batch.returns).sum(dim=1)
    found = scores(stack, validation, "sharpe", rules_for(SMALL, settings))
    np.testing.assert_allclose(found, sharpe_ratios(factors), rtol=1e-4)


def test_training_learns_what_is_there(draw):
    """Returns follow the first characteristic: a linear network's weights come to rest on it."""
    panel = draw(D=150, P=4, Q=2, largest=30, smallest=20, missing=0.0)
    parts = TensorPanel(panel.take(slice(0, 100))), TensorPanel(panel.take(slice(100, 150)))
    configuration = replace(SMALL, architecture="elastic_net", rate=5e-3, batch_size=256)
    (found,) = train(*parts, [configuration], 0, TrainingSettings(epochs=30))
    weights = found.network["weight_0"][0]
    assert weights[0] > 3 * np.abs(weights[1:]).max()
    assert found.score > 0.5


def test_configurations_of_several_shapes_do_not_train_together(parts):
    with pytest.raises(ValueError, match="share"):
        train(*parts, [SMALL, replace(SMALL, batch_size=80)], 0, TrainingSettings())
    with pytest.raises(ValueError, match="no architecture"):
        train(*parts, [replace(SMALL, architecture="wide")], 0, TrainingSettings())


def test_the_grid_of_the_source():
    assert len(GRID.configurations) == len(set(GRID.configurations)) == 768
    assert len(GRID.pieces) == 16
    assert {len(each) for each in GRID.pieces.values()} == {48}
    assert [each for piece in GRID.pieces.values() for each in piece] == list(GRID.configurations)
    with pytest.raises(ValueError, match="empty"):
        Grid(rates=())
    for wrong in ({"batch_sizes": (256, 0)}, {"rates": (0.0,)}, {"rates": (float("nan"),)}, {"l1": (-0.1,)}):
        with pytest.raises(ValueError, match="are positive"):
            Grid(**wrong)


def test_names_that_settings_know_are_those_of_the_registries():
    assert set(configurations.ARCHITECTURES) == set(networks.ARCHITECTURES)
    assert set(configurations.NORM_RULES) == set(objectives.NORM_RULES)
    assert set(gan_settings.GAN_ARCHITECTURES) == set(gan_networks.SDF_SHAPES)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"patience": 0}, {"bound": 0.0}])
def test_settings_that_cannot_be(change):
    with pytest.raises(ValueError, match="positive"):
        TrainingSettings(**change)
