from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from killed_pieces import Killed, KilledAfter

from pipeline.models.storage import load_arrays, save_arrays
from pipeline.panel.calendar import shift
from pipeline.sdf.batches import TensorPanel
from pipeline.sdf.configurations import Configuration, Grid
from pipeline.sdf.gan import GanResult, collapse, estimate_gan, search_gan
from pipeline.sdf.gan_networks import networks_for, sequenced
from pipeline.sdf.gan_settings import GanSearchSettings, GanTrainingSettings
from pipeline.sdf.gan_training import train_gan
from pipeline.sdf.objectives import sharpe_ratios
from pipeline.sdf.panel import Standardisation
from pipeline.sdf.search import PiecesInMemory
from pipeline.sdf.training import NO_SCORE, NOT_FINITE, RAN_OUT, STOPPED
from pipeline.simulation.sdf_market import SdfMarketSettings, simulate_sdf_market

SMALL = Configuration(architecture="joined", batch_size=60, rate=5e-3, l1=0.0, l2=0.001)
SHORT = GanTrainingSettings(unconditional_epochs=2, moment_epochs=1, weight_epochs=2, dropout=0.1)


@pytest.fixture
def panel(draw):
    return draw(D=60, largest=10)


def parts(panel):
    return panel.take(slice(0, 30)), panel.take(slice(30, 45)), panel.take(slice(45, 60))


def tensors(panel):
    training, validation, _ = parts(panel)
    scaling = Standardisation.fit(training)
    scaled = scaling.apply(training), scaling.apply(validation)
    return TensorPanel(sequenced(scaled[0])), TensorPanel(sequenced(scaled[1], scaled[0]))


def fitted(panel, seeds=(1,), settings=SHORT, configuration=SMALL):
    return estimate_gan(*parts(panel)[:2], configuration, seeds, settings)


def same_networks(one, other):
    for mine, yours in zip(one, other, strict=True):
        for network in ("weights", "moments"):
            assert mine[network].keys() == yours[network].keys()
            for name, value in mine[network].items():
                np.testing.assert_array_equal(value, yours[network][name])


def perturbed(panel, months, seed=3):
    """The panel with everything of some months drawn anew."""
    rng = np.random.default_rng(seed)
    rows = np.isin(panel.date_of_row, months)
    features, macro, returns = panel.features.copy(), panel.macro.copy(), panel.returns.copy()
    features[rows] = rng.normal(size=features[rows].shape)
    macro[months] = rng.normal(size=macro[months].shape)
    returns[rows] = rng.normal(size=rows.sum())
    return replace(panel, features=features, macro=macro, returns=returns)


@pytest.mark.parametrize("architecture", ["joined", "separate"])
def test_a_month_sees_its_twelve_months_and_no_other(panel, architecture):
    model = fitted(panel, configuration=replace(SMALL, architecture=architecture))
    test = panel.take(slice(44, 47))
    rows = slice(int(test.bounds[1]), int(test.bounds[2]))
    before = model.weights(test, panel)[rows]
    for shifted in (-14, -12, -11, -6, 0, 1, 3):
        macro = panel.macro.copy()
        macro[45 + shifted] += 1.0
        changed = replace(panel, macro=macro)
        after = model.weights(changed.take(slice(44, 47)), changed)[rows]
        assert np.array_equal(before, after) == (not -11 <= shifted <= 0), shifted
    for months in (np.arange(0, 34), np.arange(46, 60)):
        changed = perturbed(panel, months)
        np.testing.assert_array_equal(model.weights(changed.take(slice(44, 47)), changed)[rows], before)


def test_weights_do_not_depend_on_other_months_returns_or_row_order(panel):
    model = fitted(panel)
    test, history = panel.take(slice(45, 60)), panel.take(slice(0, 45))
    whole = model.weights(test, history)
    unknown = replace(test, returns=np.full_like(test.returns, np.nan))
    np.testing.assert_array_equal(model.weights(unknown, history), whole)
    one = panel.take(slice(50, 51))
    rows = slice(int(test.bounds[5]), int(test.bounds[6]))
    np.testing.assert_array_equal(model.weights(one, panel.take(slice(39, 50))), whole[rows])
    rng = np.random.default_rng(0)
    order = np.concatenate([a + rng.permutation(b - a) for a, b in zip(test.bounds[:-1], test.bounds[1:], strict=True)])
    moved = replace(
        test, assets=test.assets[order], features=test.features[order], returns=test.returns[order], groups=None
    )
    np.testing.assert_allclose(model.weights(moved, history), whole[order], rtol=1e-4, atol=1e-7)
    assert np.ptp(whole) > 1e-4


def test_weights_and_test_assets_are_bounded_month_by_month(panel):
    settings = replace(SHORT, bound=0.1)
    model = fitted(panel, seeds=(1, 2), settings=settings)
    test, history = panel.take(slice(45, 60)), panel.take(slice(0, 45))
    assets = model.test_assets(test, history)
    assert assets.shape == (2, 6, len(test.assets))
    limits = 0.1 * np.sqrt(test.counts / 60)
    norms = np.sqrt(np.add.reduceat(assets**2, test.bounds[:-1], axis=2))
    assert (norms <= limits * (1 + 1e-5)).all()
    assert norms.max() == pytest.approx(limits[norms.max(axis=(0, 1)).argmax()], rel=1e-4)
    weights = model.weights(test, history)
    assert (np.sqrt(np.add.reduceat(weights**2, test.bounds[:-1])) <= limits * (1 + 1e-5)).all()
    expected = [weights[test.date_of_row == d] @ test.returns[test.date_of_row == d] for d in range(15)]
    np.testing.assert_allclose(model.factor(test, history), expected, rtol=1e-12)


def test_months_without_history_are_refused(panel):
    model = fitted(panel)
    test = panel.take(slice(45, 60))
    for history in (None, panel.take(slice(35, 45))):
        with pytest.raises(ValueError, match="no macro series of 12 months"):
            model.weights(test, history)
    assert len(model.weights(test, panel.take(slice(34, 45)))) == len(test.assets)
    with pytest.raises(ValueError, match="12 or more"):
        estimate_gan(panel.take(slice(0, 11)), panel.take(slice(11, 30)), SMALL, (1,), SHORT)


def test_nothing_is_fitted_on_test_months(panel):
    before, after = fitted(panel), fitted(perturbed(panel, np.arange(45, 60)))
    same_networks(before.members, after.members)
    np.testing.assert_array_equal(before.scores, after.scores)
    np.testing.assert_array_equal(before.equality.dispersion, after.equality.dispersion)


def test_validation_months_choose_the_epoch_and_nothing_else(panel):
    one = replace(SHORT, unconditional_epochs=1, weight_epochs=1)
    before, after = fitted(panel, settings=one), fitted(perturbed(panel, np.arange(30, 45)), settings=one)
    same_networks(before.members, after.members)
    for name in ("mean", "scale", "macro_mean", "macro_scale"):
        np.testing.assert_array_equal(
            getattr(before.standardisation, name), getattr(after.standardisation, name), err_msg=name
        )
    assert not np.array_equal(before.scores, after.scores)


def test_the_first_eleven_months_give_macro_series_and_nothing_else(panel):
    """Their returns are not trained on."""
    returns = panel.returns.copy()
    rows = panel.date_of_row < 11
    returns[rows] = np.random.default_rng(1).normal(size=rows.sum())
    before = fitted(panel).members
    same_networks(before, fitted(replace(panel, returns=returns)).members)
    returns = panel.returns.copy()
    returns[panel.date_of_row == 11] *= -1.0
    changed = fitted(replace(panel, returns=returns)).members[0]["weights"]["last.weight"]
    assert not np.array_equal(before[0]["weights"]["last.weight"], changed)


def test_the_same_seed_gives_the_same_bits_and_leaves_the_generator_alone(panel):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = fitted(panel)
    assert torch.equal(torch.rand(3), expected)
    same_networks(first.members, fitted(panel).members)
    other = fitted(panel, seeds=(3,))
    assert not np.array_equal(first.members[0]["weights"]["last.weight"], other.members[0]["weights"]["last.weight"])


def test_the_result_goes_through_a_file_unchanged(panel, tmp_path):
    model = fitted(panel, seeds=(1, 2))
    save_arrays(tmp_path / "gan.safetensors", *model.to_arrays())
    again = GanResult.from_arrays(*load_arrays(tmp_path / "gan.safetensors"))
    same_networks(model.members, again.members)
    for name in ("configuration", "settings", "first", "last", "seeds", "endings"):
        assert getattr(again, name) == getattr(model, name)
    for name in ("scores", "unconditional_scores", "epochs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    np.testing.assert_array_equal(again.equality.dispersion, model.equality.dispersion)
    test, history = panel.take(slice(45, 60)), panel.take(slice(0, 45))
    np.testing.assert_array_equal(again.weights(test, history), model.weights(test, history))
    np.testing.assert_array_equal(again.test_assets(test, history), model.test_assets(test, history))


def test_steps_follow_each_other_and_each_moves_the_loss_its_way(panel):
    settings = GanTrainingSettings(
        unconditional_epochs=12, moment_epochs=12, weight_epochs=12, global_epochs=2, patience=12, dropout=0.0
    )
    found = train_gan(*tensors(panel), replace(SMALL, l2=0.0, batch_size=10_000), 0, settings)
    phases = [("unconditional", 0), ("moments", 1), ("weights", 1), ("moments", 2), ("weights", 2)]
    assert [(each.step, each.round) for each in found.log] == [phase for phase in phases for _ in range(12)]
    losses = {phase: [each.loss for each in found.log if (each.step, each.round) == phase] for phase in phases}
    first, last = ({phase: np.mean(losses[phase][part]) for phase in phases} for part in (slice(3), slice(-3, None)))
    assert last["unconditional", 0] < first["unconditional", 0]
    assert last["moments", 1] > first["moments", 1]
    assert last["weights", 1] < first["weights", 1]
    scores = [each.score if each.step == "weights" else -np.inf for each in found.log]
    assert found.epoch == int(np.argmax(scores)) + 1
    assert found.score == max(scores)
    assert found.unconditional_score == max(each.score for each in found.log[:12])
    assert found.ending == RAN_OUT


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_both_optimisers_have_the_rate_and_the_penalties_on_matrices(panel, penalty):
    """A first step of Adam has the size of the rate, and goes towards zero where a penalty outweighs the loss."""
    configuration = replace(SMALL, l2=0.0, batch_size=10_000)
    settings = replace(SHORT, unconditional_epochs=0, moment_epochs=1, weight_epochs=1, dropout=0.0)
    found = train_gan(*tensors(panel), replace(configuration, **{penalty: 1e4}), 0, settings).networks
    free = train_gan(*tensors(panel), configuration, 0, settings).networks
    torch.manual_seed(0)
    for name, network in networks_for("joined", 5, 3, 0.0).items():
        for parameter, value in network.named_parameters():
            before, after = value.detach().numpy(), found[name][parameter]
            assert np.abs(after - before).max() <= SMALL.rate * 1.001
            if before.ndim > 1:
                np.testing.assert_allclose(after, before - SMALL.rate * np.sign(before), rtol=0.0, atol=1e-5)
                assert not np.allclose(free[name][parameter], after, rtol=0.0, atol=1e-4)


def test_early_stopping_keeps_the_best_epoch(panel):
    settings = replace(SHORT, unconditional_epochs=0, weight_epochs=40, patience=3)
    found = train_gan(*tensors(panel), SMALL, 0, settings)
    assert found.ending == STOPPED
    assert np.isnan(found.unconditional_score)
    assert len(found.log) == found.epoch + 3 < 41
    # A run that ends at the best epoch has the same networks.
    short = train_gan(*tensors(panel), SMALL, 0, replace(settings, weight_epochs=found.epoch - 1))
    assert short.score == found.score
    same_networks([short.networks], [found.networks])


def test_a_step_goes_on_from_the_best_epoch_of_the_one_before(panel):
    """Test assets meet the same weights whether step 1 was stopped late or ended at its best epoch."""
    whole = replace(SMALL, batch_size=10_000)
    settings = replace(SHORT, unconditional_epochs=40, weight_epochs=1, patience=3, dropout=0.0)
    late = train_gan(*tensors(panel), whole, 0, settings)
    first = [each for each in late.log if each.step == "unconditional"]
    best = int(np.argmax([each.score for each in first])) + 1
    assert best == len(first) - 3
    ended = train_gan(*tensors(panel), whole, 0, replace(settings, unconditional_epochs=best))
    assert ended.log[best].step == late.log[best + 3].step == "moments"
    assert ended.log[best].loss == pytest.approx(late.log[best + 3].loss, rel=1e-4)


def test_a_month_without_rows_is_in_the_macro_series_of_the_later_ones(panel):
    """Its returns are not there to be trained on; what the months after it see of it is."""
    gap = panel.keep(~np.isin(panel.date_of_row, [20, 35, 40]))
    cut = gap.take(slice(0, 29)), gap.take(slice(29, 42))
    model = estimate_gan(*cut, SMALL, (1,), SHORT)
    # The window of month 46 is 35 to 46.
    place = gap.months.index(panel.months[46])
    now = gap.take(slice(place, place + 1))
    before = model.weights(now, gap)
    for month, seen in ((35, True), (40, True), (20, False)):
        moved = replace(gap, idle=gap.idle | {panel.months[month]: gap.idle[panel.months[month]] + 1.0})
        assert np.array_equal(model.weights(now, moved), before) == (not seen)
    later = model.carried_on(gap, 1)
    assert later.last == panel.months[-1]
    moved = replace(gap, idle=gap.idle | {panel.months[20]: gap.idle[panel.months[20]] + 1.0})
    other = model.carried_on(moved, 1).members[0]["weights"]["last.weight"]
    assert not np.array_equal(later.members[0]["weights"]["last.weight"], other)


def test_each_month_is_carried_on_with_batches_and_masks_of_its_own(panel):
    model = fitted(panel)
    later = replace(panel, months=tuple(shift(month, 1) for month in panel.months))
    one, again, other = (model.carried_on(each, 1).members for each in (panel, panel, later))
    same_networks(one, again)
    assert not np.array_equal(one[0]["weights"]["last.weight"], other[0]["weights"]["last.weight"])


def test_scores_are_sharpe_ratios_of_what_the_result_earns(panel):
    model = fitted(panel)
    training, validation, _ = parts(panel)
    expected = sharpe_ratios(model.factor(validation, training))
    assert model.scores[0] == pytest.approx(expected, rel=1e-4)


def test_trainings_of_no_use_are_flagged(panel):
    diverged = train_gan(*tensors(panel), replace(SMALL, rate=1e37), 0, SHORT)
    assert diverged.ending == NOT_FINITE
    training, validation, _ = parts(panel)
    still = replace(validation, returns=0.0 * validation.returns)
    with pytest.raises(ArithmeticError, match=NO_SCORE):
        estimate_gan(training, still, SMALL, (1,), SHORT)
    grid = Grid(architectures=("joined",), batch_sizes=(60,), rates=(1e37,), l1=(0.0,), l2=(0.0,))
    with pytest.raises(ArithmeticError, match="none of 1"):
        search_gan(training, validation, GanSearchSettings(grid=grid, training=SHORT), PiecesInMemory())


def test_equal_weights_are_a_collapse_and_a_normal_result_is_not(panel):
    model = fitted(panel)
    training, validation, _ = parts(panel)
    assert not model.collapsed
    assert np.median(model.equality.dispersion) > 0.1
    assert model.equality.equal_share == 0.0
    weights = model.weights(validation, training)
    place = 4
    one = weights[validation.date_of_row == place]
    assert model.equality.dispersion[place] == pytest.approx(
        np.sqrt(np.mean((one - one.mean()) ** 2)) / np.mean(abs(one))
    )
    # Networks that see no characteristic give every asset of a month the same weight, another one each month.
    for member in model.members:
        member["weights"]["merged.0.weight"][:, :5] = 0.0
    blind = model.weights(validation, training)
    assert np.ptp(blind) > 1e-4
    found = collapse(blind, validation)
    assert found.equal_share == 1.0
    assert found.collapsed


def test_dispersion_by_hand(panel):
    three = panel.take(slice(0, 4))
    rows = [three.date_of_row == d for d in range(4)]
    three = three.keep(~rows[3] | (np.arange(len(three.assets)) == three.bounds[3]))
    weights = np.ones(len(three.assets))
    weights[rows[1][: len(weights)]] = 0.0
    where = np.flatnonzero(rows[2][: len(weights)])
    weights[where] = np.where(np.arange(len(where)) % 2, -1.0, 1.0)
    found = collapse(weights, three)
    balance = weights[where].mean()
    np.testing.assert_allclose(found.dispersion, [0.0, 0.0, np.sqrt(1.0 - balance**2), np.nan])
    assert found.equal_share == pytest.approx(2 / 3)
    assert found.collapsed
    assert np.isnan(collapse(weights[-1:], three.take(slice(3, 4))).equal_share)


GRID = Grid(architectures=("joined", "separate"), batch_sizes=(60,), rates=(1e-3, 5e-3), l1=(0.0,), l2=(0.0,))
SEARCH = GanSearchSettings(grid=GRID, training=replace(SHORT, unconditional_epochs=1, weight_epochs=1))


def test_a_killed_search_goes_on_where_it_stopped(panel):
    training, validation, _ = parts(panel)
    whole = search_gan(training, validation, SEARCH, PiecesInMemory())
    assert whole.configurations == GRID.configurations
    assert whole.winner == GRID.configurations[int(np.argmax(whole.scores))]
    assert whole.usable.all()
    alone = fitted(panel, seeds=(0,), settings=SEARCH.training, configuration=GRID.configurations[1])
    assert whole.scores[1] == alone.scores[0]
    assert whole.equal_shares[1] == alone.equality.equal_share
    pieces, computed = KilledAfter(2), []
    with pytest.raises(Killed):
        search_gan(training, validation, SEARCH, pieces)

    def note(name, number, count):
        computed.append((number, count))
        return lambda epoch, running, best: None

    again = search_gan(training, validation, SEARCH, pieces, note)
    assert computed == [(3, 4), (4, 4)]
    assert (again.winner, again.score, again.endings) == (whole.winner, whole.score, whole.endings)
    for name in ("scores", "unconditional_scores", "epochs", "run", "equal_shares"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))


@pytest.mark.parametrize("change", ["a return", "a month without rows", "a setting", "the seed", "the device"])
def test_pieces_of_another_search_are_computed_anew(panel, change):
    training, validation, _ = parts(panel)
    training = training.keep(training.date_of_row != 20)
    grid = replace(GRID, architectures=("joined",), rates=(1e-3,))
    settings, pieces, computed = replace(SEARCH, grid=grid), PiecesInMemory(), []
    search_gan(training, validation, settings, pieces)
    match change:
        case "a return":
            training = replace(training, returns=training.returns + 0.01)
        case "a month without rows":
            training = replace(training, idle={month: 2.0 * row for month, row in training.idle.items()})
        case "a setting":
            settings = replace(settings, training=replace(settings.training, patience=3))
        case "the seed":
            settings = replace(settings, seed=1)
    if change == "the device":
        (kept,) = pieces.kept.values()
        assert "device" not in kept[1]["origin"]
    else:
        note = lambda name, number, count: computed.append(name) or (lambda *told: None)  # noqa: E731
        search_gan(training, validation, settings, pieces, note)
        assert len(computed) == 1


@pytest.mark.parametrize(
    "change",
    [{"unconditional_epochs": -1}, {"moment_epochs": 0}, {"weight_epochs": 0}, {"global_epochs": 0}, {"bound": 0.0}],
)
def test_settings_that_cannot_be(change):
    with pytest.raises(ValueError, match="positive"):
        GanTrainingSettings(**change)
    with pytest.raises(ValueError, match="seeds"):
        GanSearchSettings(ensemble=(1, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"dropout": 1.0}, "less than 1"), ({"norm_rule": "x"}, "batch, date"), ({"device": "x"}, "cuda")],
)
def test_settings_that_all_networks_share(change, words):
    with pytest.raises(ValueError, match=words):
        GanTrainingSettings(**change)


def shares_of_the_attainable(seed, architecture):
    """Expected Sharpe ratios in the test months over the highest there can be: of equal weights, and of the result."""
    market = simulate_sdf_market(
        SdfMarketSettings(
            n_months=160, fewest=25, most=40, n_characteristics=5, n_macro=2, premium=0.03, missing=0.0, seed=seed
        )
    )
    panel, months = market.panel, range(125, 160)
    training, validation, test = (panel.take(slice(*each)) for each in ((0, 90), (90, 125), (125, 160)))
    configuration = replace(SMALL, architecture=architecture, batch_size=512)
    settings = GanTrainingSettings(unconditional_epochs=20, moment_epochs=5, weight_epochs=20)
    model = estimate_gan(training, validation, configuration, (0,), settings)
    weights = np.zeros(len(panel.assets))
    weights[panel.bounds[125] :] = model.weights(test, validation)
    attainable = market.sharpe(market.attainable, months)
    return market.sharpe(np.ones(len(weights)), months) / attainable, market.sharpe(weights, months) / attainable


def test_the_truth_of_a_simulated_market():
    equal, ours = shares_of_the_attainable(1, "joined")
    assert equal < 0.3
    assert ours > 0.7


@pytest.mark.long
@pytest.mark.parametrize("architecture", ["joined", "separate"])
def test_the_truth_of_five_simulated_markets(architecture):
    found = np.array([shares_of_the_attainable(seed, architecture) for seed in range(5)])
    print(f"\n{architecture}: equal weights {found[:, 0].round(3)}, ours {found[:, 1].round(3)}")
    assert (found[:, 0] < 0.3).all()
    assert np.median(found[:, 1]) > 0.7
