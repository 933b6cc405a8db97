"""Searches and months of the stochastic discount factors from the tables that they read, without a lake."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from assets import sdf
from assets.building import Previous
from assets.contract import validated
from assets.reads import Inputs
from assets.sdf_markets import MARKETS, target_months
from pipeline.bonds.registry import DG
from pipeline.bonds.registry import SETS as BOND_SETS
from pipeline.panel.calendar import due, month_range
from pipeline.sdf.configurations import Grid
from pipeline.sdf.environments import FINANCIAL
from pipeline.sdf.gan_settings import GanSteps
from pipeline.sdf.search import PiecesInMemory
from pipeline.sdf.settings import SdfSettings
from resources.settings import Settings

MONTHS = month_range(date(2010, 1, 1), date(2012, 9, 1))
BEGIN, SEARCHES = MONTHS[27], (MONTHS[27], MONTHS[30])
GRID = Grid(architectures=("elastic_net",), batch_sizes=(64,), rates=(5e-3,), l1=(0.0,), l2=(0.0,))
SETTINGS = SdfSettings(
    objectives=("sharpe", "gan"),
    environments=("full",),
    grid=GRID,
    beta_grid=GRID,
    gan=GanSteps(
        grid=replace(GRID, architectures=("joined",)),
        unconditional_epochs=1,
        moment_epochs=1,
        weight_epochs=1,
        ensemble=(1,),
    ),
    ensemble=(1,),
    epochs=2,
    min_months=27,
    search_months=3,
)
ASSETS = {asset.name: asset for asset in sdf.ASSETS}
BY_NAME = {market.name: market for market in MARKETS}
_OWN = {"bond_portfolio": 9, "bond": 12, "stock": 9}
_GROUPS = ((6020, "Energy"), (None, "Banking"), (3711, "Banking"), (None, None))


@dataclass(frozen=True)
class Table:
    """A read whose windows reach back to the beginning."""

    rows: pl.DataFrame

    def frame(self, first: date, last: date) -> pl.LazyFrame:
        return self.rows.lazy().filter(pl.col("month") <= last)


@dataclass(frozen=True)
class Kept:
    """States of the searches so far."""

    states: dict

    def frame(self, first: date, last: date) -> dict:
        return {month: state for month, state in self.states.items() if month <= last}


def tables(name: str) -> dict[str, pl.DataFrame]:
    """Everything that one market reads: characteristics say something of next month's returns."""
    market, rng = BY_NAME[name], np.random.default_rng(4)
    ids = pl.Series(market.key, range(_OWN[name])).cast(pl.Int64 if market.key == "permno" else pl.String)
    rows = pl.DataFrame({"month": MONTHS}).join(ids.to_frame(), how="cross")
    medians = [each for each in BOND_SETS[DG] if each.startswith("med_")]
    features = {each: rng.normal(size=rows.height) for each in market.features}
    shared = {each: np.repeat(rng.normal(size=len(MONTHS)), len(ids)) for each in medians}
    signal = np.concatenate([np.zeros(len(ids)), features[market.features[0]][: -len(ids)]])
    found = {
        "returns": rows.with_columns(ret_excess=0.01 * signal + 0.02 * pl.Series(rng.normal(size=rows.height))),
        "characteristics": rows.with_columns(pl.Series(each, values) for each, values in (features | shared).items()),
        "medians": rows.with_columns(pl.Series(each, values) for each, values in shared.items()),
        "fred_md": pl.DataFrame({"month": MONTHS})
        .join(pl.DataFrame({"series": ["INDPRO", "UNRATE"]}), how="cross")
        .with_columns(value=pl.Series(rng.normal(size=2 * len(MONTHS)))),
        "goyal_welch": pl.DataFrame({"month": MONTHS, "dp": rng.normal(size=len(MONTHS)), "source": "x"}),
        "treasury_curve": pl.DataFrame(
            {"month": MONTHS} | {f"forward_spread_{year}": rng.normal(size=len(MONTHS)) for year in range(1, 11)}
        ),
    }
    if market.issuers:
        issuers = [_GROUPS[place % len(_GROUPS)] for place in range(len(ids))] * len(MONTHS)
        codes, sectors = zip(*issuers, strict=True)
        found["issuers"] = rows.with_columns(
            sic=pl.Series(codes, dtype=pl.Int64), sector=pl.Series(sectors, dtype=pl.String)
        )
    return found


def changed(frames: dict[str, pl.DataFrame], after: date) -> dict[str, pl.DataFrame]:
    """The tables with every number after a month another one."""
    floats = pl.col(pl.Float64)
    late = pl.col("month") > after
    return {
        name: rows.with_columns(pl.when(late).then(floats * -3.0 + 0.5).otherwise(floats).name.keep())
        for name, rows in frames.items()
    }


def settings_of(name: str, chosen: SdfSettings) -> Settings:
    return replace(Settings(), **{f"{name}_sdf": chosen})


def built(name, frames, months, chosen, *, one_by_one=False):
    """Frames and states of both assets by month, from inputs of the whole range or of each month alone."""
    settings = settings_of(name, chosen)
    search, estimate = ASSETS[f"{name}_sdf_search"], ASSETS[f"{name}_sdf"]
    sources = {each: Table(rows) for each, rows in frames.items()}

    def inputs(first, last, **more):
        made = Inputs({**sources, **more}, first, last)
        made.pieces = PiecesInMemory()
        return made

    states, found, previous = {}, {}, None
    for part in [[month] for month in months] if one_by_one else [months]:
        reading = inputs(part[0], part[-1])
        steps = {month: search.compute(reading, month, settings, None) for month in part}
        states |= {month: (step.arrays, step.text) for month, step in steps.items() if step.text}
        reading = inputs(part[0], part[-1], search=Kept(states))
        for month in part:
            step = estimate.compute(reading, month, settings, previous)
            previous = Previous(step.frame, step.arrays, step.text)
            found[month] = steps[month], step
    return found


def same(one, other, months):
    return all(
        mine.frame.equals(yours.frame)
        and mine.text == yours.text
        and mine.arrays.keys() == yours.arrays.keys()
        and all(np.array_equal(value, yours.arrays[key], equal_nan=True) for key, value in mine.arrays.items())
        for month in months
        for mine, yours in zip(one[month], other[month], strict=True)
    )


@pytest.fixture(scope="module")
def portfolios():
    return tables("bond_portfolio")


@pytest.fixture(scope="module")
def whole(portfolios):
    return built("bond_portfolio", portfolios, MONTHS[26:32], SETTINGS)


def test_a_search_is_due_by_the_number_of_months_alone(whole):
    settings = settings_of("bond_portfolio", SETTINGS)
    for month, (search, estimate) in whole.items():
        assert search.frame.is_empty() == (month not in SEARCHES)
        assert estimate.frame.is_empty() == (month < BEGIN)
        schema = ASSETS["bond_portfolio_sdf"].schema(settings)
        assert validated("bond_portfolio_sdf", schema, estimate.frame).height == estimate.frame.height
    searched = whole[BEGIN][0].frame
    assert searched["equal_share"].is_not_null().to_list() == [
        each == ("gan", "weights") for each in searched.select("objective", "network").iter_rows()
    ]
    validated("x", ASSETS["bond_portfolio_sdf_search"].schema(settings), searched)
    figures = ASSETS["bond_portfolio_sdf_search"].figures(searched)
    assert [each["objective"] for each in figures["winners"]] == ["sharpe", "sharpe", "gan", "gan"]
    assert [each["equal_share"] is None for each in figures["winners"]] == [True, True, False, True]
    rows = whole[MONTHS[29]][1].frame
    assert set(rows["objective"]) == {"sharpe", "gan"}
    assert rows["target_month"].unique().to_list() == [MONTHS[30]]
    assert rows.group_by("objective").agg(pl.col("kappa").n_unique())["kappa"].to_list() == [1, 1]
    assert rows["forecast"].is_finite().all()


def test_months_one_by_one_are_the_range(portfolios, whole):
    assert same(built("bond_portfolio", portfolios, MONTHS[26:32], SETTINGS, one_by_one=True), whole, MONTHS[26:32])


@pytest.mark.parametrize("place", [27, 29])
def test_nothing_later_enters(portfolios, whole, place):
    later = changed(portfolios, MONTHS[place])
    months = MONTHS[26 : place + 2]
    again = built("bond_portfolio", later, months, SETTINGS)
    assert same(again, whole, months[:-1])
    assert not again[months[-1]][1].frame.equals(whole[months[-1]][1].frame)


def without_returns(frames, month):
    return frames | {
        "returns": frames["returns"].with_columns(
            ret_excess=pl.when(pl.col("month") != month).then(pl.col("ret_excess"))
        )
    }


def test_a_month_without_returns_is_no_month_of_a_search(portfolios):
    """Twenty-seven months of returns are there at first in the month with the place 28, one later than it would be."""
    market, odd = BY_NAME["bond_portfolio"], without_returns(portfolios, MONTHS[4])
    odd = without_returns(odd, MONTHS[29])
    odd["returns"] = odd["returns"].with_columns(
        ret_excess=pl.when(month=MONTHS[31]).then(float("nan")).otherwise(pl.col("ret_excess"))
    )
    known = target_months(market, Inputs({name: Table(rows) for name, rows in odd.items()}, MONTHS[0], MONTHS[-1]))
    assert sorted(known) == [month for place, month in enumerate(MONTHS) if place not in (0, 4, 29, 31)]
    for every, expected in ((2, [28, 32]), (1, [28, 30, 32]), (0, [28])):
        schedule = replace(SETTINGS, search_months=every)
        searched = [
            place
            for place, month in enumerate(MONTHS)
            if due(known, month, schedule.min_months, schedule.search_months)
        ]
        assert searched == expected


@pytest.mark.parametrize("lacking", ["returns", "characteristics"])
def test_the_contest_goes_on_over_a_month_without_returns(portfolios, lacking):
    odd, gap = replace(SETTINGS, objectives=("gan",), search_months=12), MONTHS[20]
    if lacking == "returns":
        frames = without_returns(without_returns(portfolios, gap), MONTHS[29])
    else:
        frames = portfolios | {"characteristics": portfolios["characteristics"].filter(pl.col("month") != MONTHS[19])}
    months = MONTHS[27:31]
    found = built("bond_portfolio", frames, months, odd)
    assert [month for month in months if found[month][0].frame.height] == [MONTHS[28]]
    assert [month for month in months if found[month][1].frame.height] == MONTHS[28:31]
    assert same(built("bond_portfolio", frames, months, odd, one_by_one=True), found, months)
    # The series that were known before the month without returns are among those of the months after it.
    other = frames | {
        "goyal_welch": frames["goyal_welch"].with_columns(
            dp=pl.col("dp") + pl.when(month=MONTHS[19]).then(1).otherwise(0)
        )
    }
    again = built("bond_portfolio", other, months[:2], odd)
    assert not again[MONTHS[28]][1].frame.equals(found[MONTHS[28]][1].frame)


def test_networks_are_carried_on_with_the_returns_of_the_month_itself(portfolios, whole):
    month = MONTHS[29]
    restated = portfolios | {
        "returns": portfolios["returns"].with_columns(
            ret_excess=pl.col("ret_excess") * pl.when(month=month).then(-2.0).otherwise(1.0)
        )
    }
    again = built("bond_portfolio", restated, MONTHS[26:30], SETTINGS)
    assert same(again, whole, MONTHS[26:29])
    ours, theirs = (each[month][1].arrays for each in (whole, again))
    for model in ("sharpe.full/weights/", "sharpe.full/betas/", "gan.full/weights/", "gan.full/betas/"):
        assert any(not np.array_equal(value, theirs[name]) for name, value in ours.items() if name.startswith(model))


def test_the_market_of_bonds_without_financial_firms():
    chosen = replace(
        SETTINGS,
        objectives=("sharpe",),
        environments=("full", "no_financials"),
        financials=(FINANCIAL,),
        refit_epochs=0,
    )
    frames = tables("bond")
    rows = built("bond", frames, MONTHS[27:28], chosen)[BEGIN][1].frame
    kept = {where: set(part["asset_id"]) for (where,), part in rows.group_by("environment")}
    assert kept["full"] == {str(i) for i in range(12)}
    # By its code; by its sector where there is no code; not by its sector where a code says otherwise.
    assert kept["no_financials"] == {str(i) for i in range(12) if i % 4 in (2, 3)}
    others = frames | {"issuers": frames["issuers"].with_columns(sic=pl.lit(2000, dtype=pl.Int64))}
    assert not built("bond", others, MONTHS[27:28], chosen)[BEGIN][1].frame.equals(rows)


def test_a_market_whose_issuers_are_unknown_has_no_environment_without_financial_firms(portfolios):
    environments = ("full", "no_financials")
    chosen = replace(SETTINGS, objectives=("sharpe",), environments=environments, financials=(FINANCIAL,))
    with pytest.raises(ValueError, match="needs the groups of the rows"):
        built("bond_portfolio", portfolios, MONTHS[27:28], chosen)


def test_what_tells_financial_firms_apart_is_read_where_it_is_asked_for():
    asked = settings_of("bond", Settings().bond_sdf)
    plain = settings_of("bond", replace(Settings().bond_sdf, environments=("full",)))
    for name in ("bond_sdf_search", "bond_sdf"):
        assert ASSETS[name].reads(asked)["issuers"].source == "bond_snapshot"
        assert "issuers" not in ASSETS[name].reads(plain)
    assert "issuers" not in ASSETS["stock_sdf"].reads(settings_of("stock", Settings().stock_sdf))
