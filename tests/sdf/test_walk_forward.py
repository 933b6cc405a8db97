"""Searches, months and what they hand on: nothing later enters, and what is stored goes on as what was not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.panel.calendar import shift
from pipeline.sdf import walk_forward
from pipeline.sdf.assembly import sdf_panel, with_columns, with_returns, with_seen_columns
from pipeline.sdf.configurations import Grid
from pipeline.sdf.gan_settings import GanSteps
from pipeline.sdf.panel import SdfPanel
from pipeline.sdf.search import PiecesInMemory
from pipeline.sdf.settings import SdfSettings

GRID = Grid(architectures=("shallow", "elastic_net"), batch_sizes=(32,), rates=(5e-3,), l1=(0.0,), l2=(0.0, 0.01))
SETTINGS = SdfSettings(grid=GRID, beta_grid=GRID, epochs=3, ensemble=(1, 2), bound=1.0, min_months=24)


@pytest.fixture(scope="module")
def panel() -> SdfPanel:
    rng = np.random.default_rng(3)
    counts = rng.integers(6, 12, 40)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    n = int(bounds[-1])
    return SdfPanel(
        months=tuple(date(1990 + i // 12, i % 12 + 1, 1) for i in range(40)),
        bounds=bounds,
        assets=np.array([f"A{i:02d}" for count in counts for i in range(count)]),
        names=("size", "value"),
        features=rng.normal(size=(n, 2)).astype(np.float32),
        macro_names=("growth", "spread"),
        macro=rng.normal(size=(40, 2)).astype(np.float32),
        returns=0.02 * rng.normal(size=n),
    )


@pytest.fixture(scope="module")
def month(panel) -> date:
    return panel.months[29]


@pytest.fixture(scope="module")
def found(panel, month):
    return walk_forward.searched(panel.through(month), month, SETTINGS, PiecesInMemory())


def same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return one.equals(other) and one.schema == other.schema


def test_a_search_has_a_winner_of_every_objective_environment_and_network(found):
    frame, models = found
    assert set(models) == {f"{o}.{e}" for o in ("mispricing", "sharpe") for e in ("full", "no_macro")}
    assert frame.height == 4 * 2 * len(GRID.configurations)
    winners = frame.filter("winner")
    assert winners.height == 8
    best = frame.group_by("objective", "environment", "network").agg(pl.col("score").max())
    assert same(winners.select("objective", "environment", "network", "score").sort(pl.all()), best.sort(pl.all()))
    assert frame["training_from"].unique().to_list() == [date(1990, 1, 1)]
    # 30 months of which 60% train.
    assert frame["validation_from"].unique().to_list() == [date(1991, 7, 1)]


def test_what_comes_to_be_published_later_is_not_in_a_search(panel, month, found):
    frame, models = found
    nothing = [np.full((n, 1), np.nan, np.float32) for n in (len(panel.months), len(panel.assets))]
    wider = replace(
        panel,
        macro_names=("born later", *panel.macro_names),
        macro=np.column_stack([nothing[0], panel.macro]),
        names=("known later", *panel.names),
        features=np.column_stack([nothing[1], panel.features]),
    )
    again, others = walk_forward.searched(wider.through(month), month, SETTINGS, PiecesInMemory())
    assert same(again, frame)
    (ours, ours_text), (theirs, theirs_text) = (walk_forward.to_arrays(each) for each in (models, others))
    assert ours_text == theirs_text
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value)


def test_a_search_is_refused_months_that_come_later(panel, month):
    with pytest.raises(ValueError, match="which comes later"):
        walk_forward.searched(panel, month, SETTINGS, PiecesInMemory())


def test_weights_and_forecasts_of_a_month_are_those_of_its_rows_alone(panel, month, found):
    _, models = found
    coming = panel.between(shift(month, 1), shift(month, 1))
    rows = walk_forward.weights(models, coming, month, SETTINGS)
    assert rows.height == 4 * len(coming.assets)
    assert rows["month"].unique().to_list() == [month]
    assert rows["target_month"].unique().to_list() == [coming.months[0]]
    assert rows["weight"].is_finite().all()
    assert rows["forecast"].is_finite().all()
    unknown = replace(coming, returns=np.full_like(coming.returns, np.nan))
    assert same(walk_forward.weights(models, unknown, month, SETTINGS), rows)
    turned = replace(coming, macro=coming.macro + 1.0)
    blind = rows.filter(pl.col("environment") == "no_macro")
    again = walk_forward.weights(models, turned, month, SETTINGS)
    assert same(again.filter(pl.col("environment") == "no_macro"), blind)
    assert not same(again, rows)


def test_what_is_stored_goes_on_as_what_was_not(panel, month, found):
    _, models = found
    stored = walk_forward.from_arrays(*walk_forward.to_arrays(models))
    later = panel.through(shift(month, 1))
    coming = panel.between(shift(month, 2), shift(month, 2))
    frames = [
        walk_forward.weights(walk_forward.carried_on(each, later, SETTINGS), coming, shift(month, 1), SETTINGS)
        for each in (models, stored)
    ]
    assert same(*frames)
    kept = walk_forward.weights(models, coming, shift(month, 1), SETTINGS)
    assert not same(frames[0], kept)
    as_found = replace(SETTINGS, refit_epochs=0)
    still = walk_forward.carried_on(models, later, as_found)
    assert same(walk_forward.weights(still, coming, shift(month, 1), as_found), kept)


def test_no_models_are_no_rows(panel, month):
    assert walk_forward.from_arrays(*walk_forward.to_arrays({})) == {}
    assert walk_forward.weights({}, panel.through(month), month, SETTINGS).is_empty()


def frames(panel: SdfPanel) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The panel's rows as the tables it would come from, in another order."""
    before = [shift(panel.months[place], -1) for place in panel.date_of_row]
    own = dict(zip(panel.names, panel.features.T.astype(float), strict=True))
    characteristics = pl.DataFrame({"month": before, "isin": panel.assets, **own}).reverse()
    earned = [panel.months[place] for place in panel.date_of_row]
    returns = pl.DataFrame({"month": earned, "isin": panel.assets, "ret_excess": panel.returns}).reverse()
    known = [shift(month, -1) for month in panel.months]
    macro = pl.DataFrame({"month": known, **dict(zip(panel.macro_names, panel.macro.T.astype(float), strict=True))})
    return characteristics, returns, macro


def test_a_panel_is_put_together_from_its_tables(panel):
    characteristics, returns, macro = frames(panel)
    built = sdf_panel(characteristics, returns, macro, panel.months, key="isin", names=panel.names)
    assert built.months == panel.months
    for name in ("bounds", "assets", "features", "macro", "returns"):
        np.testing.assert_array_equal(getattr(built, name), getattr(panel, name))


def test_what_is_missing_is_missing(panel):
    characteristics, returns, macro = frames(panel)
    last = panel.months[-1]
    early = returns.filter(pl.col("month") < last)
    built = sdf_panel(characteristics, early, macro[:-1], panel.months, key="isin", names=panel.names)
    assert np.isnan(built.between(last, last).returns).all()
    assert np.isnan(built.macro[-1]).all()
    assert with_returns(built).months == panel.months[:-1]


def test_a_month_without_assets_keeps_its_macro_series(panel):
    characteristics, returns, macro = frames(panel)
    before = shift(panel.months[7], -1)
    gone = characteristics.filter(pl.col("month") != before)
    built = sdf_panel(gone, returns, macro, panel.months, key="isin", names=panel.names)
    assert built.months == panel.months[:7] + panel.months[8:]
    np.testing.assert_array_equal(built.macro, np.delete(panel.macro, 7, axis=0))
    assert list(built.idle) == [panel.months[7]]
    np.testing.assert_array_equal(built.idle[panel.months[7]], panel.macro[7])


def test_columns_are_those_with_a_value_and_a_column_that_is_lacking_is_missing(panel):
    unseen = replace(panel, macro=np.column_stack([panel.macro[:, 1], np.full(len(panel.months), np.nan)]))
    seen = with_seen_columns(replace(unseen, macro_names=("spread", "unborn")))
    assert seen.macro_names == ("spread",)
    wider = with_columns(seen, panel.names[::-1], ("growth", "spread"))
    np.testing.assert_array_equal(wider.features, panel.features[:, ::-1])
    np.testing.assert_array_equal(wider.macro[:, 1], panel.macro[:, 1])
    assert np.isnan(wider.macro[:, 0]).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"objectives": ()}, "at least one objective"),
        ({"training_share": 1.0}, "between 0 and 1"),
        ({"search_months": -1}, "search_months"),
        ({"environments": ("no_financials",)}, "groups to leave out"),
        ({"financials": ("Banks",)}, "financials Banks: the groups are financial, other"),
        ({"grid": replace(GRID, architectures=("shallow", "wide"))}, "no architecture wide.*shallow, deep, deeper"),
        ({"beta_grid": replace(GRID, architectures=("joined",))}, "no architecture joined.*elastic_net"),
        ({"gan": GanSteps(grid=GRID)}, "no architecture shallow, elastic_net.*joined, separate"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": -0.1}, "less than 1"),
        ({"norm_rule": "month"}, "norm_rule is 'month'; it is one of batch, date"),
        ({"device": "gpu"}, "device is 'gpu'; it is one of cpu, cuda"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        SdfSettings(**wrong)
