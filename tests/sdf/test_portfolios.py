"""The generative adversarial estimation among the objectives: what a search, a month and a kill do to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from killed_pieces import Killed, KilledAfter

from pipeline.panel.calendar import shift
from pipeline.sdf import walk_forward
from pipeline.sdf.configurations import Grid
from pipeline.sdf.environments import FINANCIAL, issuer_group
from pipeline.sdf.gan import estimate_gan
from pipeline.sdf.gan_settings import GanSteps
from pipeline.sdf.model import kernel_scale
from pipeline.sdf.search import PiecesInMemory
from pipeline.sdf.settings import SdfSettings

BETAS = Grid(architectures=("elastic_net",), batch_sizes=(32,), rates=(5e-3,), l1=(0.0,), l2=(0.0,))
STEPS = GanSteps(
    grid=Grid(architectures=("joined",), batch_sizes=(60,), rates=(1e-3, 5e-3), l1=(0.0,), l2=(0.0,)),
    unconditional_epochs=1,
    moment_epochs=1,
    weight_epochs=2,
    ensemble=(1, 2),
)
SETTINGS = SdfSettings(
    objectives=("sharpe", "gan"), grid=BETAS, beta_grid=BETAS, gan=STEPS, epochs=2, ensemble=(1,), bound=1.0
)


@pytest.fixture(scope="module")
def panel(draw):
    return draw(D=44, largest=9, smallest=5)


@pytest.fixture(scope="module")
def month(panel):
    return panel.months[33]


def searched(panel, month, settings=SETTINGS, pieces=None):
    return walk_forward.searched(panel.through(month), month, settings, pieces or PiecesInMemory())


def held(models, panel, month, settings=SETTINGS):
    return walk_forward.weights(models, panel, month, settings)


@pytest.fixture(scope="module")
def found(panel, month):
    return searched(panel, month)


def disturbed(panel, places):
    """The panel with everything of some months drawn anew."""
    rng = np.random.default_rng(9)
    rows = np.isin(panel.date_of_row, places)
    macro, features, returns = panel.macro.copy(), panel.features.copy(), panel.returns.copy()
    macro[places] = rng.normal(size=macro[places].shape)
    features[rows] = rng.normal(size=features[rows].shape)
    returns[rows] = rng.normal(size=rows.sum())
    return replace(panel, macro=macro, features=features, returns=returns)


def test_a_search_has_rows_of_both_kinds_and_the_contest_none_without_macro_series(panel, month, found):
    frame, models = found
    assert set(models) == {"sharpe.full", "sharpe.no_macro", "gan.full"}
    contest = frame.filter(pl.col("objective") == "gan", pl.col("network") == "weights")
    assert contest["architecture"].to_list() == ["joined", "joined"]
    assert contest["rate"].to_list() == [1e-3, 5e-3]
    assert contest["equal_share"].to_list() == [0.0, 0.0]
    assert contest["winner"].sum() == 1
    assert frame.filter(pl.col("equal_share").is_not_null()).height == 2
    # The estimate is that of the library on the same months: 60% of 34 train.
    result = models["gan.full"].weights
    own = walk_forward.with_seen_columns(panel.through(month))
    parts = own.take(slice(0, 20)), own.take(slice(20, None))
    direct = estimate_gan(*parts, result.configuration, STEPS.ensemble, SETTINGS.of_gan().training)
    np.testing.assert_array_equal(result.weights(parts[1], parts[0]), direct.weights(parts[1], parts[0]))


def test_equal_weights_of_a_configuration_stand_in_the_frame(panel, month):
    """Assets that cannot be told apart have equal weights."""
    alike = replace(panel, features=np.ones_like(panel.features))
    frame, models = searched(alike, month, replace(SETTINGS, objectives=("gan",)))
    assert frame.filter("winner", pl.col("network") == "weights")["equal_share"].to_list() == [1.0]
    assert models["gan.full"].weights.collapsed


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_killed_search_of_the_contest_goes_on(panel, month, found, after):
    settings, pieces = replace(SETTINGS, objectives=("gan",)), KilledAfter(after)
    with pytest.raises(Killed):
        searched(panel, month, settings, pieces)
    kept = dict(pieces.kept)
    frame, models = searched(panel, month, settings, pieces)
    assert all(pieces.kept[name] is piece for name, piece in kept.items())
    contest = pl.col("objective") == "gan"
    assert frame.equals(found[0].filter(contest))
    assert held(models, panel, month, settings).equals(held(found[1], panel, month).filter(contest))


def test_weights_see_the_macro_series_of_twelve_months_and_nothing_later(panel, month, found):
    _, models = found
    rows = held(models, panel, month)
    window = panel.between(shift(month, -10), shift(month, 1))
    assert held(models, replace(window, returns=np.full_like(window.returns, np.nan)), month).equals(rows)
    assert held(models, disturbed(panel, np.arange(35, 44)), month).equals(rows)
    assert held(models, disturbed(panel, np.arange(0, 23)), month).equals(rows)
    contest = pl.col("objective") == "gan"
    for place in (23, 33):
        macro = panel.macro.copy()
        macro[place] += 1.0
        changed = held(models, replace(panel, macro=macro), month)
        assert changed.filter(~contest).equals(rows.filter(~contest))
        assert not changed.filter(contest).equals(rows.filter(contest))
    with pytest.raises(ValueError, match="no macro series of 12 months"):
        held(models, panel.between(shift(month, -9), shift(month, 1)), month)
    assert held(models, panel.through(month), month).is_empty()


def walked(models, panel, first, months, stored=False):
    """Rows of the months after a search, with models kept in memory or handed on through arrays."""
    frames = []
    for step in range(1, months + 1):
        month = shift(first, step)
        if stored:
            models = walk_forward.from_arrays(*walk_forward.to_arrays(models))
        models = walk_forward.carried_on(models, panel.through(month), SETTINGS)
        frames.append(held(models, panel, month))
    return pl.concat(frames)


def test_months_one_by_one_are_the_range_and_nothing_later_enters(panel, month, found):
    _, models = found
    whole = walked(models, panel, month, 2)
    assert walked(models, panel, month, 2, stored=True).equals(whole)
    # The last target month has the place 36, and of it no return is known.
    later = disturbed(panel, np.arange(37, 44))
    later.returns[later.bounds[36] :] = np.nan
    assert walked(models, later, month, 2).equals(whole)
    restated = walked(models, disturbed(panel, np.arange(35, 36)), month, 2)
    contest, last = pl.col("objective") == "gan", pl.col("month") == panel.months[35]
    assert not restated.filter(contest & last).equals(whole.filter(contest & last))


def test_carrying_on_moves_the_weights_and_leaves_the_test_assets(panel, month, found):
    _, models = found
    later = panel.through(shift(month, 1))
    carried = walk_forward.carried_on(models, later, SETTINGS)["gan.full"].weights
    before = models["gan.full"].weights
    assert (carried.first, carried.last) == (panel.months[0], shift(month, 1))
    for old, new in zip(before.members, carried.members, strict=True):
        assert not np.array_equal(old["weights"]["last.weight"], new["weights"]["last.weight"])
        assert all(np.array_equal(each, new["moments"][name]) for name, each in old["moments"].items())
    still = walk_forward.carried_on(models, later, replace(SETTINGS, refit_epochs=0))
    assert still["gan.full"] is models["gan.full"]


def test_kappa_prices_the_factor_and_follows_the_months(panel, month, found):
    _, models = found
    carried = walk_forward.carried_on(models, panel.through(shift(month, 1)), SETTINGS)
    for each, until in ((models, month), (carried, shift(month, 1))):
        for name, model in each.items():
            own = panel.through(until)
            own = own if name.endswith("full") else replace(own, macro_names=(), macro=own.macro[:, :0])
            F = model.weights.factor(own.take(slice(model.weights.lookback, None)), own)
            assert len(F) == len(own.months) - (11 if name.startswith("gan") else 0)
            assert np.mean((1.0 - model.kappa * F) * F) == pytest.approx(0.0, abs=1e-12 * np.mean(F**2))
    assert carried["gan.full"].kappa != models["gan.full"].kappa
    coming = panel.between(shift(month, 1), shift(month, 1))
    rows = held(models, panel, month)
    for name, model in models.items():
        objective, environment = name.split(".")
        mine = rows.filter(pl.col("objective") == objective, pl.col("environment") == environment)
        own = coming if environment == "full" else replace(coming, macro_names=(), macro=coming.macro[:, :0])
        np.testing.assert_allclose(mine["forecast"], model.kappa * model.betas.forecast(own), rtol=1e-14)
        assert mine["kappa"].unique().to_list() == [model.kappa]


def test_kappa_by_hand_and_of_nothing():
    F = np.array([0.1, -0.2, 0.4])
    assert kernel_scale(F) == pytest.approx(0.1 / 0.07)
    assert kernel_scale(3.0 * F) == pytest.approx(0.1 / 0.21)
    with pytest.raises(ArithmeticError, match="zero in all 3 months"):
        kernel_scale(np.zeros(3))


def test_financial_firms_by_code_else_by_sector():
    rows = [
        (6020, None, FINANCIAL),
        (6798, "Energy", FINANCIAL),
        (5999, "Banking", "other"),
        (7011, None, "other"),
        (None, "Insurance", FINANCIAL),
        (None, "2", FINANCIAL),
        (0, "Banking", FINANCIAL),
        (None, "1", "other"),
        (None, None, None),
        (0, None, None),
    ]
    frame = pl.DataFrame(rows, schema={"sic": pl.Int64, "sector": pl.String, "group": pl.String}, orient="row")
    assert frame.select(issuer_group()).to_series().to_list() == frame["group"].to_list()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"objectives": ("gan",), "environments": ("no_macro",)}, "nothing is left to estimate"),
        ({"objectives": ("squared_error",)}, "at least one objective"),
        ({"environments": ("everything",)}, "at least one environment"),
        ({"objectives": ("gan", "gan")}, "each once"),
        ({"gan": GanSteps(weight_epochs=0)}, "positive"),
        ({"gan": GanSteps(ensemble=(1, 1))}, "seeds"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        SdfSettings(**wrong)


def test_the_contest_takes_what_is_the_market_s_from_the_market():
    settings = SdfSettings(objectives=("sharpe", "gan"), bound=0.3, norm_rule="date", dropout=0.2)
    training = settings.of_gan().training
    assert (training.bound, training.norm_rule, training.dropout) == (0.3, "date", 0.2)
    assert settings.specifications == (("sharpe", "full"), ("sharpe", "no_macro"), ("gan", "full"))
