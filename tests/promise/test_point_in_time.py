"""The promise: the partition of month m is a function of raw rows dated up to m, and of nothing later.

Every monthly asset of the definitions is enumerated, so that a later one is covered without a new line here.

There are three futures. In one a third of the later rows is gone and the others are changed, which a function that
looks ahead would notice by what it counts, if not by what it reads; in another everything that can change has changed;
in the last there is no later row at all. The first begins early, where most of the months lie ahead, and is built from
nothing, two years beyond that month; the second late, when every model is estimated, so that forecasts are held to the
promise, too, and in it every month after the early one is built again. The last comes early and a month before the end
in ``test_same_files``.
"""

from __future__ import annotations

import zlib
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from promise import (
    EARLY,
    END,
    FROM_INDEX,
    INDEX,
    INDEX_ASSETS,
    SETTINGS,
    build,
    changeable,
    contents,
    later,
    with_late_returns,
)

from assets import comparisons, factor_models, linear_sdf, sdf, trees
from assets.all import MONTHLY_ASSETS
from pipeline.panel.calendar import month_range, shift
from pipeline.simulation.history import history
from pipeline.simulation.layouts import INTERVAL_ENDS, UNDATED
from resources.home import Home

LATE = date(2026, 4, 1)
# So far a range goes on behind the early month: what comes later still is in the frames of the late one.
AHEAD = shift(EARLY, 24)
NAMES = {asset.name for asset in MONTHLY_ASSETS}
MODELS = {asset.name for asset in MONTHLY_ASSETS if asset.group in ("models", "forecasts", "evaluation")}
# Nothing of these is estimated as early as that of single bonds and stocks.
LATE_ROOMS = (factor_models, sdf, linear_sdf, trees, comparisons)
LATE_MODELS = {asset.name for room in LATE_ROOMS for asset in room.ASSETS} & MODELS
# Changed numbers and words leave membership as it is: how many fiscal years there are of a firm.
MEMBERSHIP = {"compustat_history"}
# A word changed may be the type of a bond, which moves it in or out, or the name of a company considered as an issuer.
NAMED = {"bond_universe", "bond_issuer_candidates"}
# Tables in which nothing happens after a month, and the month before some of the ends that a table has.
OVER = {EARLY: set(), LATE: {"bonds.lehman", "bonds.recovery", "fisd.fisd_issue_default"}}
BEFORE_ENDS = {"crsp.msenames": EARLY, "crsp.ccmxpf_lnkhist": EARLY, "fisd.fisd_issue_default": date(2021, 1, 1)}
# Why a return is missing, in the vendor's numbers; a fraction of one is a return that can't be.
CODES = [-44.0, -55.0, -66.0, -77.0, -88.0, -99.0]


def _changed(table: str, frame: pl.DataFrame, month: date) -> pl.DataFrame:
    """Every number of a later row is another one and its words are those of other later rows; keys and dates stay."""
    generator = np.random.default_rng(zlib.crc32(f"{table} {month}".encode()))
    factors = pl.Series(generator.uniform(0.4, 0.9, frame.height))
    numbers, texts = changeable(table, frame)
    is_later = frame.select(later(table, frame, month)).to_series()
    touched = [
        pl.when(is_later & ~pl.col(name).cast(pl.Float64).is_in(CODES).fill_null(False))
        .then((pl.col(name) * factors).cast(frame.schema[name]))
        .otherwise(name)
        .alias(name)
        for name in numbers
    ]
    rows, swapped = np.flatnonzero(is_later.to_numpy()), np.arange(frame.height)
    swapped[rows] = generator.permutation(rows)
    words = [frame[name].gather(swapped) for name in texts]
    return with_late_returns(table, frame.with_columns(*touched, *words), month, lambda value: value * 0.3 - 0.2)


def _thinned(table: str, frame: pl.DataFrame, month: date) -> pl.DataFrame:
    """A third of the later rows is gone, the others are changed; late returns and ends differ in another way."""
    generator = np.random.default_rng(3)
    kept = pl.Series(generator.uniform(size=frame.height) > 1 / 3)
    thinned = _changed(table, frame, month).filter(~later(table, frame, month) | kept)
    return with_late_returns(table, thinned, month, lambda value: value + 1.5)


def _ended(table: str, frame: pl.DataFrame, month: date) -> pl.DataFrame:
    """There is no later row."""
    return history({table: frame}, month)[table]


def _home(future, month, market, factory):
    tables = {table: future(table, frame, month) for table, frame in market.items()}
    # A vintage without a row up to the month says nothing about it; it would not be a file.
    return factory.home(f"{future.__name__}-{month}", {name: frame for name, frame in tables.items() if frame.height})


def _assert_as_in(whole, found, month):
    """Whatever has a partition up to a month is there and the same, and every asset has some that has begun by then."""
    expected = {key: content for key, content in whole.items() if key[1] <= month}
    begun = {name for name in NAMES if _first(whole, name) <= month}
    assert {asset for asset, _ in expected} == begun
    assert NAMES - begun <= LATE_MODELS if month == EARLY else begun == NAMES
    assert {key: content for key, content in found.items() if key[1] <= month} == expected


def _first(whole, name):
    return min(month for asset, month in whole if asset == name)


def _different(whole, found):
    return {asset for (asset, each), content in found.items() if content != whole[asset, each]}


def test_partitions_do_not_depend_on_later_rows_of_which_some_are_gone(market, factory, request):
    # One range beyond the month: the later rows are in the frames from which the earlier partitions come. No model is
    # estimated yet, so that of the later months those of the models' inputs will do.
    home = _home(_thinned, EARLY, market, factory)
    build(home, AHEAD, names=NAMES - MODELS)
    build(home, EARLY, names=MODELS)
    # Asked for only now: another process may have built it meanwhile.
    whole, found = contents(request.getfixturevalue("baseline")), contents(home)
    _assert_as_in(whole, found, EARLY)
    assert _different(whole, found) == NAMES - MODELS


def test_partitions_do_not_depend_on_later_rows_that_are_others(market, factory, baseline):
    """Every month whose partitions are not built in the other test; so all are, and with later rows in their frames."""
    factory.copy(baseline, f"{_changed.__name__}-{LATE}")
    home = _home(_changed, LATE, market, factory)
    built = build(home, END, rebuild_from=shift(EARLY, 1))
    whole, found = contents(baseline), contents(home)
    begins = {name: max(shift(EARLY, 1), _first(whole, name)) for name in NAMES}
    assert all(set(month_range(begins[name], END)) <= set(built[name]) for name in NAMES)
    _assert_as_in(whole, found, LATE)
    assert _different(whole, found) | NAMED == NAMES - MEMBERSHIP
    _assert_rows_of_the_month_itself_matter(found, whole, shift(LATE, 1))


def _assert_rows_of_the_month_itself_matter(found, whole, month):
    different = {asset for asset in NAMES if found[asset, month] != whole[asset, month]}
    # No series of FRED-MD is published in the month it is about, no fiscal year is used in which it ends, and in this
    # month no company took another name and a portfolio has no return; the means of stocks are estimated a month later.
    quiet = {"fred_md", "macro_factors", "macro_factor_counts", "compustat_annual", "firm_names", "stock_naive"}
    quiet |= {"bond_portfolio_regimes"}
    assert different | NAMED == NAMES - MEMBERSHIP - quiet


def test_partitions_from_the_index_extract_do_not_depend_on_later_rows(market, factory, request):
    home = _home(_thinned, LATE, market, factory)
    factory.settings(home.folder.name, SETTINGS + FROM_INDEX)
    built = build(Home(home.folder), END, names=INDEX_ASSETS)
    whole, found = contents(request.getfixturevalue("index_baseline")), contents(home)
    assert {"bond_snapshot", "bond_returns", "bond_characteristics", "bond_portfolios"} < built.keys() < NAMES
    assert {key for key in found if key[1] <= LATE} == {key for key in whole if key[0] in built and key[1] <= LATE}
    assert all(content == whole[key] for key, content in found.items() if key[1] <= LATE)
    assert {name for (name, month), content in found.items() if content != whole[name, month]} == built.keys()


@pytest.mark.parametrize("month", [EARLY, LATE], ids=str)
@pytest.mark.parametrize("future", [_changed, _thinned, _ended], ids=["changed", "thinned", "ended"])
def test_the_perturbation_reaches_every_table(future, month, market):
    untouched = {table for table, frame in market.items() if future(table, frame, month).equals(frame)}
    vintages_before = {table for table in market if table.startswith("fred_md/") and table[8:] <= f"{month:%Y-%m}"}
    assert untouched == vintages_before | set(UNDATED) | OVER[month]


def test_the_perturbation_reaches_every_word_of_a_bond(market):
    bonds, changed = market[INDEX], _changed(INDEX, market[INDEX], EARLY)
    _, texts = changeable(INDEX, bonds)
    constant = {name for name in texts if bonds[name].n_unique() == 1}
    assert {name for name in texts if changed[name].equals(bonds[name])} == constant
    assert {"Sector_Level_3", "Rating", "Index_Name"} <= set(texts) - constant


def test_every_table_with_ends_is_perturbed(market):
    assert set(INTERVAL_ENDS) & set(market) == set(BEFORE_ENDS)


@pytest.mark.parametrize("table", BEFORE_ENDS)
@pytest.mark.parametrize("future", [_changed, _thinned, _ended], ids=["changed", "thinned", "ended"])
def test_the_perturbation_moves_ends_that_come_later(future, table, market):
    month = BEFORE_ENDS[table]
    column, following = INTERVAL_ENDS[table], shift(month, 1)
    frame = market[table].filter(~later(table, market[table], month))
    others = [name for name in frame.columns if name != column]
    moved = frame.join(future(table, frame, month), on=others, suffix="_moved", nulls_equal=True, validate="1:1")
    assert moved.height == frame.height
    came, comes = moved.filter(pl.col(column) < following), moved.filter(pl.col(column) >= following)
    assert came[f"{column}_moved"].equals(came[column])
    assert comes.height > 0
    after = comes[f"{column}_moved"]
    if future is not _ended:
        assert (after >= following).all()
        # What lasts to the end of the data still does where the file would else be an old one.
        lasting = (comes[column] == market[table][column].max()) & (table == "crsp.msenames")
        assert not lasting.all()
        assert ((after == comes[column]) == lasting).all()
    elif table == "crsp.msenames":
        # The vendor shows the last day of the data for a name that goes on.
        assert (after == following - timedelta(days=1)).all()
    else:
        assert after.null_count() == comes.height
