"""Searches and forecasts of boosted trees from the tables that they read, without a lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from assets import trees
from assets.contract import validated
from assets.reads import Inputs, Read
from assets.sdf_markets import MARKETS
from pipeline.bonds.registry import DG
from pipeline.bonds.registry import SETS as BOND_SETS
from pipeline.models import tree_search
from pipeline.models.boosted_trees import BoostedTrees, PanelRows, fit_boosted_trees
from pipeline.models.tree_settings import BoostedTreesSettings, TreesSettings
from pipeline.panel.calendar import month_range, shift
from resources.settings import Settings

MONTHS = month_range(date(2010, 1, 1), date(2013, 6, 1))
#: 30 and 34 months of returns that have characteristics of the month before.
SEARCHES = (MONTHS[30], MONTHS[34], MONTHS[38])
GRID = BoostedTreesSettings(depths=(1, 2), learning_rates=(0.3,), max_rounds=20, patience=5, min_leaf_rows=5.0)
TREES = TreesSettings(trees=GRID, min_months=30, search_months=4)
SETTINGS = replace(Settings(), bond_portfolio_trees=TREES, bond_trees=TREES)
ASSETS = {asset.name: asset for asset in trees.ASSETS}
MARKET = next(market for market in MARKETS if market.name == "bond_portfolio")
OWN, MEDIANS = MARKET.features, [name for name in BOND_SETS[DG] if name.startswith("med_")]
FORWARDS = [f"forward_spread_{year}" for year in range(1, 11)]
Tables = dict[str, pl.DataFrame]
States = dict[date, tuple[dict, dict]]


@dataclass(frozen=True)
class Window:
    """Rows, or states, of the months that a read declares."""

    read: Read
    held: pl.DataFrame | States

    def frame(self, first: date, last: date) -> pl.LazyFrame | States:
        low, high = self.read.first(first, MONTHS[0]), self.read.last(last)
        if isinstance(self.held, pl.DataFrame):
            return self.held.lazy().filter(pl.col("month").is_between(low, high))
        return {month: state for month, state in self.held.items() if low <= month <= high}


def _tables() -> Tables:
    """Twelve portfolios; a characteristic and a macro series say something of next month's returns."""
    rng = np.random.default_rng(2)
    rows = pl.DataFrame({"month": MONTHS}).join(
        pl.DataFrame({"portfolio": [f"p{i:02d}" for i in range(12)]}), how="cross"
    )
    own = {name: rng.normal(size=rows.height) for name in OWN}
    series = rng.normal(size=len(MONTHS))
    signal = 0.02 * (own[OWN[0]] > 0.0) + 0.03 * np.repeat(series > 0.5, 12)
    earned = np.concatenate([np.zeros(12), signal[:-12]]) + 0.01 * rng.normal(size=rows.height)
    shared = {name: np.repeat(rng.normal(size=len(MONTHS)), 12) for name in MEDIANS}
    months = pl.DataFrame({"month": MONTHS})
    return {
        "returns": rows.with_columns(ret_excess=pl.Series(earned)),
        "characteristics": rows.with_columns(**own),
        "medians": rows.with_columns(**shared),
        "fred_md": pl.concat(
            months.with_columns(series=pl.lit(name), value=pl.Series(values))
            for name, values in (("INDPRO", series), ("UNRATE", rng.normal(size=len(MONTHS))))
        ),
        "goyal_welch": months.with_columns(dp=pl.Series(rng.normal(size=len(MONTHS))), source=pl.lit("x")),
        "treasury_curve": months.with_columns(pl.Series(name, rng.normal(size=len(MONTHS))) for name in FORWARDS),
    }


def _inputs(asset: str, tables: Tables, months: Sequence[date], **more: States) -> Inputs:
    reads = ASSETS[asset].reads(SETTINGS)
    assert reads.keys() <= tables.keys() | more.keys()
    held = tables | more
    return Inputs({name: Window(read, held[name]) for name, read in reads.items()}, months[0], months[-1])


def _searched(tables: Tables, runs: Sequence[Sequence[date]]) -> tuple[dict[date, pl.DataFrame], States]:
    frames, states = {}, {}
    for months in runs:
        inputs = _inputs("bond_portfolio_trees", tables, months)
        for month in months:
            step = ASSETS["bond_portfolio_trees"].compute(inputs, month, SETTINGS, None)
            frames[month] = step.frame
            if step.arrays:
                states[month] = (dict(step.arrays), dict(step.text))
    return frames, states


def _forecast(tables: Tables, states: States, months: Sequence[date]) -> pl.DataFrame:
    inputs = _inputs("bond_portfolio_tree_forecasts", tables, months, trees=states)
    return ASSETS["bond_portfolio_tree_forecasts"].compute(inputs, months, SETTINGS)


def _after(tables: Tables, month: date) -> Tables:
    """The tables with every number after a month another one, one portfolio gone."""
    floats, late = pl.col(pl.Float64), pl.col("month") > month
    changed = {
        name: rows.with_columns(pl.when(late).then(floats * -3.0 + 0.5).otherwise(floats).name.keep())
        for name, rows in tables.items()
    }
    return changed | {"returns": changed["returns"].filter(~late | (pl.col("portfolio") != "p03"))}


def _same(one: States, other: States) -> bool:
    return one.keys() == other.keys() and all(
        one[month][1] == other[month][1] and one[month][0]["booster"].tobytes() == other[month][0]["booster"].tobytes()
        for month in one
    )


def _by_hand(tables: Tables, names: Sequence[str], target: date) -> dict[str, list[float]]:
    """Features of each portfolio for one target month, looked up one by one in the month before."""
    month = shift(target, -1)
    series = dict(tables["fred_md"].filter(month=month).select("series", "value").iter_rows())
    for name in ("goyal_welch", "treasury_curve"):
        series |= tables[name].filter(month=month).row(0, named=True)
    series |= tables["medians"].filter(month=month).row(0, named=True)
    rows = tables["characteristics"].filter(month=month).iter_rows(named=True)
    return {row["portfolio"]: [row[name] if name in OWN else series[name] for name in names] for row in rows}


@pytest.fixture(scope="module")
def tables() -> Tables:
    return _tables()


@pytest.fixture(scope="module")
def whole(tables) -> tuple[dict[date, pl.DataFrame], States]:
    return _searched(tables, [MONTHS[28:]])


def test_a_search_is_due_by_the_number_of_months_alone(whole) -> None:
    frames, states = whole
    assert tuple(month for month, frame in frames.items() if frame.height) == SEARCHES == tuple(states)
    schema = ASSETS["bond_portfolio_trees"].schema(SETTINGS)
    for month in SEARCHES:
        frame = validated("bond_portfolio_trees", schema, frames[month])
        assert set(frame["feature"]) == {*OWN, *MEDIANS, *FORWARDS, "INDPRO", "UNRATE", "dp"}
        assert frame["rank"].to_list() == list(range(1, frame.height + 1))
        assert frame["gain"].is_sorted(descending=True)
        assert set(frame["feature"][:2]) == {OWN[0], "INDPRO"}
        assert frame["validation_r2"][0] > 0.3
    told = ASSETS["bond_portfolio_trees"].figures(frames[SEARCHES[0]])
    assert told["most important"] == frames[SEARCHES[0]]["feature"].to_list()[:3]
    assert ASSETS["bond_portfolio_trees"].figures(frames[MONTHS[28]])["winner"] == []


def test_the_trees_are_those_of_rows_put_together_by_hand(tables, whole) -> None:
    frame, (arrays, text) = whole[0][SEARCHES[1]], whole[1][SEARCHES[1]]
    found = BoostedTrees.from_arrays(arrays, text)
    earned = {row[:2]: row[2] for row in tables["returns"].select("month", "portfolio", "ret_excess").iter_rows()}
    targets = MONTHS[1:35]
    parts = targets[: int(34 * 0.6)], targets[int(34 * 0.6) :]
    rows = []
    for months in parts:
        looked = [
            (month, asset, row) for month in months for asset, row in _by_hand(tables, found.names, month).items()
        ]
        features = np.array([row for *_, row in looked], dtype=np.float32)
        returns = np.array([earned[month, asset] for month, asset, _ in looked])
        rows.append(PanelRows(features=features, returns=returns, names=found.names))
    again = fit_boosted_trees(*rows, GRID)
    assert again.booster == found.booster
    assert (again.depth, again.rounds, again.validation_r2) == (found.depth, found.rounds, found.validation_r2)
    first = frame.row(0, named=True)
    assert (first["n_training"], first["n_validation"]) == (12 * 20, 12 * 14)
    assert (first["training_from"], first["validation_from"]) == (targets[0], targets[20])
    assert first["validation_r2"] == found.validation_r2


def test_forecasts_are_those_of_the_newest_trees(tables, whole) -> None:
    made = _forecast(tables, whole[1], MONTHS[28:])
    schema = ASSETS["bond_portfolio_tree_forecasts"].schema(SETTINGS)
    validated("bond_portfolio_tree_forecasts", schema, made)
    assert made["month"].unique().sort().to_list() == MONTHS[30:]
    assert (made["target_month"] == made["month"].dt.offset_by("1mo")).all()
    assert set(made.select("model", "n_factors").iter_rows()) == {("xgboost", 0)}
    for month, search in ((MONTHS[33], SEARCHES[0]), (MONTHS[34], SEARCHES[1]), (MONTHS[41], SEARCHES[2])):
        newest = BoostedTrees.from_arrays(*whole[1][search])
        own = _by_hand(tables, newest.names, shift(month, 1))
        expected = newest.forecast(np.array(list(own.values()), dtype=np.float32))
        assert dict(made.filter(month=month).select("asset_id", "forecast").iter_rows()) == dict(
            zip(own, expected, strict=True)
        )


def test_months_one_by_one_are_the_range(tables, whole) -> None:
    months = MONTHS[28:]
    frames, states = _searched(tables, [[month] for month in months])
    assert all(frames[month].equals(whole[0][month]) for month in months)
    assert _same(states, whole[1])
    single = pl.concat(_forecast(tables, states, [month]) for month in months)
    assert single.equals(_forecast(tables, states, months))


@pytest.mark.parametrize("place", [33, 34])
def test_nothing_later_enters(tables, whole, place) -> None:
    month = MONTHS[place]
    later = _after(tables, month)
    frames, states = _searched(later, [MONTHS[28:]])
    before = {each: state for each, state in whole[1].items() if each <= month}
    assert all(frames[each].equals(whole[0][each]) for each in MONTHS[28 : place + 1])
    assert _same({each: states[each] for each in before}, before)
    assert states[SEARCHES[2]][0]["booster"].tobytes() != whole[1][SEARCHES[2]][0]["booster"].tobytes()
    made, again = (_forecast(held, kept, MONTHS[28:]) for held, kept in ((tables, whole[1]), (later, states)))
    upto = pl.col("month") <= month
    assert made.filter(upto).equals(again.filter(upto))
    assert not made.filter(~upto).equals(again.filter(~upto))


def test_a_month_without_returns_puts_the_search_off_and_leaves_the_forecasts(tables, whole) -> None:
    earned = pl.when(pl.col("month") != MONTHS[32]).then(pl.col("ret_excess"))
    odd = tables | {"returns": tables["returns"].with_columns(ret_excess=earned)}
    months = MONTHS[28:37]
    frames, states = _searched(odd, [months])
    assert [month for month, frame in frames.items() if frame.height] == [SEARCHES[0], MONTHS[35]] == list(states)
    made = _forecast(odd, states, months)
    assert made["month"].unique().sort().to_list() == MONTHS[30:37]
    assert made.equals(pl.concat(_forecast(odd, states, [month]) for month in months))
    first = BoostedTrees.from_arrays(*states[SEARCHES[0]])
    own = _by_hand(tables, first.names, MONTHS[35])
    expected = first.forecast(np.array(list(own.values()), dtype=np.float32))
    assert made.filter(month=MONTHS[34])["forecast"].to_list() == expected.tolist()


def test_a_series_that_comes_to_be_published_later_is_not_in_a_search(tables, whole) -> None:
    born = tables["fred_md"].filter(pl.col("series") == "UNRATE", pl.col("month") > SEARCHES[0])
    wider = tables | {"fred_md": pl.concat([tables["fred_md"], born.with_columns(series=pl.lit("BORN"))])}
    frames, states = _searched(wider, [MONTHS[28:35]])
    assert frames[SEARCHES[0]].equals(whole[0][SEARCHES[0]])
    assert _same({SEARCHES[0]: states[SEARCHES[0]]}, {SEARCHES[0]: whole[1][SEARCHES[0]]})
    assert "BORN" in frames[SEARCHES[1]]["feature"]


def test_a_series_that_is_not_published_any_more_is_missing(tables, whole) -> None:
    month = MONTHS[36]
    gone = tables | {"fred_md": tables["fred_md"].filter((pl.col("series") != "INDPRO") | (pl.col("month") < month))}
    found = _forecast(gone, whole[1], MONTHS[34:38]).filter(month=month)
    newest = BoostedTrees.from_arrays(*whole[1][SEARCHES[1]])
    own = _by_hand(tables, newest.names, shift(month, 1))
    features = np.array(list(own.values()), dtype=np.float32)
    features[:, newest.names.index("INDPRO")] = np.nan
    assert found.sort("asset_id")["forecast"].to_list() == newest.forecast(features).tolist()
    assert not found.equals(_forecast(tables, whole[1], [month]))


def test_one_search_is_the_split_of_the_source(tables) -> None:
    once = replace(SETTINGS, bond_portfolio_trees=replace(TREES, search_months=0))
    search, forecasts = ASSETS["bond_portfolio_trees"], ASSETS["bond_portfolio_tree_forecasts"]
    inputs = _inputs("bond_portfolio_trees", tables, MONTHS[28:])
    steps = {month: search.compute(inputs, month, once, None) for month in MONTHS[28:]}
    states = {month: (dict(step.arrays), dict(step.text)) for month, step in steps.items() if step.arrays}
    assert list(states) == [SEARCHES[0]]
    reads = forecasts.reads(once)
    assert reads["trees"].lookback is None
    held = {name: Window(read, (tables | {"trees": states})[name]) for name, read in reads.items()}
    made = forecasts.compute(Inputs(held, MONTHS[41], MONTHS[41]), MONTHS[41:], once)
    assert made["month"].unique().to_list() == [MONTHS[41]]


def test_a_panel_that_cannot_be_searched_is_refused(tables) -> None:
    panel = trees.market_panel(MARKET, _inputs("bond_portfolio_trees", tables, MONTHS))
    with pytest.raises(ValueError, match="comes later"):
        tree_search.searched(panel, MONTHS[3], TREES)
    with pytest.raises(ValueError, match="too few to train on"):
        tree_search.searched(panel.take(slice(0, 1)), MONTHS[-1], TREES)
    with pytest.raises(ValueError, match="at least 24"):
        TreesSettings(min_months=5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        TreesSettings(training_share=1.0)


def test_no_assets_no_forecasts(tables, whole) -> None:
    none = tables | {"characteristics": tables["characteristics"].filter(pl.col("month") < MONTHS[36])}
    made = _forecast(none, whole[1], MONTHS[34:38])
    assert made["month"].unique().sort().to_list() == MONTHS[34:36]
