from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.sdf.beta import BetaResult, estimate_betas, labels
from pipeline.sdf.configurations import Configuration, Grid, SearchSettings, TrainingSettings
from pipeline.sdf.ensemble import Ensemble, refit, train_ensemble
from pipeline.sdf.model import SdfResult, portfolio_returns
from pipeline.sdf.objectives import sharpe_ratios
from pipeline.sdf.search import PiecesInMemory, search

SMALL = Configuration(architecture="shallow", batch_size=60, rate=5e-3, l1=0.0, l2=0.001)
SETTINGS = TrainingSettings(epochs=4, bound=0.8)


@pytest.fixture
def panel(draw):
    return draw(D=48)


def fitted(panel, seeds=(1, 2, 3), settings=SETTINGS):
    return train_ensemble(panel.take(slice(0, 20)), panel.take(slice(20, 34)), SMALL, seeds, settings)


def shuffled_rows(panel, seed=0):
    """The same panel with the rows of every month in another order, and the order."""
    rng = np.random.default_rng(seed)
    pairs = zip(panel.bounds[:-1], panel.bounds[1:], strict=True)
    order = np.concatenate([a + rng.permutation(b - a) for a, b in pairs])
    columns = {name: getattr(panel, name)[order] for name in ("assets", "features", "returns", "groups")}
    return replace(panel, **columns), order


def test_weights_are_the_mean_of_bounded_members(panel):
    ensemble = fitted(panel)
    members = [
        replace(ensemble, seeds=(seed,), members=(member,))
        for seed, member in zip(ensemble.seeds, ensemble.members, strict=True)
    ]
    each = np.array([SdfResult(ensemble=one).weights(panel) for one in members])
    np.testing.assert_allclose(SdfResult(ensemble=ensemble).weights(panel), each.mean(axis=0), atol=1e-7)
    assert not np.allclose(each[0], each[1], atol=1e-3)
    for a, b in zip(panel.bounds[:-1], panel.bounds[1:], strict=True):
        limit = 0.8 * ((b - a) / 60) ** 0.5
        assert (np.linalg.norm(each[:, a:b], axis=1) <= limit * (1 + 1e-5)).all()


def test_weights_do_not_depend_on_row_order_other_months_or_returns(panel):
    result = SdfResult(ensemble=fitted(panel))
    weights = result.weights(panel)
    mixed, order = shuffled_rows(panel)
    np.testing.assert_allclose(result.weights(mixed), weights[order], rtol=1e-4, atol=1e-7)
    # To the last bit: a month is computed by itself.
    part = slice(int(panel.bounds[30]), int(panel.bounds[37]))
    np.testing.assert_array_equal(result.weights(panel.take(slice(30, 37))), weights[part])
    np.testing.assert_array_equal(result.weights(replace(panel, returns=np.full(len(weights), np.nan))), weights)


def test_a_member_does_not_depend_on_row_order_or_on_those_beside_it(panel):
    alone, together = fitted(panel, seeds=(2,)), fitted(panel)
    mixed, order = shuffled_rows(panel)
    for name, value in alone.members[0].items():
        np.testing.assert_array_equal(value, together.members[1][name])
    found = SdfResult(ensemble=fitted(mixed, seeds=(2,), settings=replace(SETTINGS, epochs=2, dropout=0.0)))
    plain = SdfResult(ensemble=fitted(panel, seeds=(2,), settings=replace(SETTINGS, epochs=2, dropout=0.0)))
    np.testing.assert_allclose(found.weights(mixed), plain.weights(panel)[order], atol=2e-4)


def test_nothing_is_fitted_on_test_months(panel):
    def estimated(everything):
        training, validation = everything.take(slice(0, 20)), everything.take(slice(20, 34))
        grid = Grid(architectures=("shallow",), batch_sizes=(60,), rates=(1e-3, 5e-3), l1=(0.0,), l2=(0.0,))
        settings = SearchSettings(grid=grid, training=SETTINGS, ensemble=(1, 2))
        chosen = search(training, validation, settings, PiecesInMemory())
        return chosen, train_ensemble(training, validation, chosen.winner, settings.ensemble, SETTINGS)

    features, macro, returns = panel.features.copy(), panel.macro.copy(), panel.returns.copy()
    test = int(panel.bounds[34])
    features[test:], macro[34:], returns[test:] = 100.0, -40.0, 3.0
    (before, one), (after, two) = (
        estimated(panel),
        estimated(replace(panel, features=features, macro=macro, returns=returns)),
    )
    assert before.winner == after.winner
    np.testing.assert_array_equal(before.scores, after.scores)
    for (name, value), other in zip(one.to_arrays()[0].items(), two.to_arrays()[0].values(), strict=True):
        np.testing.assert_array_equal(value, other, err_msg=name)
    assert one.last == panel.months[33]


def test_validation_months_choose_the_epoch_and_nothing_else(panel):
    """With one epoch there is nothing to choose: other validation months leave the networks as they are."""
    settings = replace(SETTINGS, epochs=1)
    changed = replace(panel, features=panel.features.copy(), macro=panel.macro.copy(), returns=-panel.returns)
    first = int(panel.bounds[20])
    changed.features[first:] *= 7.0
    changed.macro[20:] += 3.0
    changed.returns[:first] *= -1.0
    one, two = fitted(panel, settings=settings), fitted(changed, settings=settings)
    for mine, other in zip(one.members, two.members, strict=True):
        for name, value in mine.items():
            np.testing.assert_array_equal(value, other[name])
    assert not np.array_equal(one.scores, two.scores)


def test_an_ensemble_goes_through_a_file_unchanged(panel, tmp_path):
    ensemble = fitted(panel)
    ensemble.save(tmp_path / "sdf.safetensors")
    again = Ensemble.load(tmp_path / "sdf.safetensors")
    np.testing.assert_array_equal(SdfResult(ensemble=again).weights(panel), SdfResult(ensemble=ensemble).weights(panel))
    for name in ("configuration", "settings", "first", "last", "seeds", "endings", "design"):
        assert getattr(again, name) == getattr(ensemble, name)
    arrays, text = ensemble.to_arrays()
    arrays_again, text_again = again.to_arrays()
    assert text == text_again
    assert arrays.keys() == arrays_again.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, arrays_again[name])
        assert value.dtype == arrays_again[name].dtype


def test_a_refit_goes_on_from_the_parameters(panel):
    ensemble = fitted(panel)
    longer = panel.take(slice(0, 40))
    still, moved = refit(ensemble, longer, epochs=1, rate=0.0), refit(ensemble, longer, epochs=2)
    for before, same, after in zip(ensemble.members, still.members, moved.members, strict=True):
        for name, value in before.items():
            if "running" not in name:
                np.testing.assert_array_equal(same[name], value)
        assert not np.array_equal(after["weight_1"], before["weight_1"])
        assert np.abs(after["weight_1"] - before["weight_1"]).max() < 0.2
    assert moved.last == panel.months[39]
    assert moved.standardisation is ensemble.standardisation
    again = refit(ensemble, longer, epochs=2)
    for one, two in zip(moved.members, again.members, strict=True):
        np.testing.assert_array_equal(one["weight_0"], two["weight_0"])


def test_a_refit_improves_what_it_is_trained_for(draw):
    """After a few more epochs the factor has a higher Sharpe ratio than after one slow epoch, in the longer sample."""
    panel = draw(D=90, largest=30, smallest=20)
    slow = replace(SMALL, rate=1e-4, batch_size=256)
    settings = TrainingSettings(epochs=1, norm_rule="date")
    ensemble = train_ensemble(panel.take(slice(0, 40)), panel.take(slice(40, 60)), slow, (1, 2), settings)
    before, after = (
        sharpe_ratios(SdfResult(ensemble=one).factor(panel))
        for one in (ensemble, refit(ensemble, panel, epochs=6, rate=5e-3))
    )
    assert after > 1.5 * before


def test_refits_that_cannot_be(panel):
    ensemble = fitted(panel)
    with pytest.raises(ArithmeticError, match="lower the rate"):
        refit(ensemble, panel, epochs=3, rate=1e38)
    returns = panel.returns.copy()
    returns[-1] = np.nan
    with pytest.raises(ValueError, match="missing"):
        refit(ensemble, replace(panel, returns=returns), epochs=1)


def test_a_member_of_no_use_is_an_error(panel):
    flat = replace(panel, returns=0.0 * panel.returns)
    with pytest.raises(ArithmeticError, match="seed 1"):
        fitted(flat)


def test_the_factor_is_weights_times_returns(panel):
    result = SdfResult(ensemble=fitted(panel))
    weights = result.weights(panel)
    months = [slice(a, b) for a, b in zip(panel.bounds[:-1], panel.bounds[1:], strict=True)]
    expected = [weights[rows] @ panel.returns[rows] for rows in months]
    np.testing.assert_allclose(result.factor(panel), expected, rtol=1e-10)
    np.testing.assert_array_equal(portfolio_returns(0.0 * weights, panel), 0.0)


BETAS = SearchSettings(
    grid=Grid(architectures=("shallow", "elastic_net"), batch_sizes=(256,), rates=(5e-3,), l1=(0.0,), l2=(0.0, 0.001)),
    training=TrainingSettings(objective="squared_error", epochs=25),
    ensemble=(1, 2),
)


def test_beta_networks_forecast_the_label(draw):
    """A label that is linear in what is known is found, and the forecast has its scale."""
    panel = draw(D=150, largest=30, smallest=20, missing=0.0)
    known = 0.002 * panel.features[:, 0] + 0.001 * panel.macro[panel.date_of_row, 1]
    factor = np.where(np.arange(150) % 2, 0.5, -0.5)
    noise = 0.001 * np.random.default_rng(0).normal(size=len(known))
    panel = replace(panel, returns=(known + noise) / factor[panel.date_of_row])
    parts = panel.take(slice(0, 80)), panel.take(slice(80, 120))
    result, chosen = estimate_betas(parts, (factor[:80], factor[80:120]), BETAS, PiecesInMemory())
    test = panel.take(slice(120, 150))
    forecast, truth = result.forecast(test), known[panel.bounds[120] :]
    assert 1.0 - np.mean((forecast - truth) ** 2) / np.mean(truth**2) > 0.8
    np.testing.assert_allclose(labels(test, factor[120:]), truth + noise[panel.bounds[120] :], rtol=1e-9)
    assert chosen.score == chosen.scores.max() < 0.0
    again = BetaResult.from_arrays(*result.to_arrays())
    np.testing.assert_array_equal(again.forecast(test), forecast)


def test_beta_networks_that_cannot_be(panel):
    parts = panel.take(slice(0, 20)), panel.take(slice(20, 34))
    factors = np.zeros(20), np.zeros(14)
    with pytest.raises(ValueError, match="nothing to learn"):
        estimate_betas(parts, factors, BETAS, PiecesInMemory())
    with pytest.raises(ValueError, match="squared_error"):
        estimate_betas(parts, factors, replace(BETAS, training=SETTINGS), PiecesInMemory())
