from __future__ import annotations

import csv
import dataclasses
from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.registry import CHARACTERISTICS, NAMES, data_dictionary, lookback, schema
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.windows import Window
from tests.bonds.slow_reference import slow_characteristics

MONTHS = [date(2013, 2, 1), date(2013, 11, 1), date(2014, 12, 1), date(2015, 4, 1), date(2015, 6, 1)]
INPUTS = ("index_snapshot", "bond_returns", "french_factors", "treasury_curve", "vix_innovation", "bond_market_factor")


@pytest.fixture(scope="module")
def ours(market, build):
    return build(market, MONTHS)


@pytest.fixture(scope="module")
def slow(market):
    return slow_characteristics(*(market[name] for name in INPUTS), market["seen"], MONTHS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["", "_w", "_r"])
def test_agrees_with_the_slow_reference(ours, slow, name, suffix):
    assert ours["isin"].to_list() == slow["isin"].tolist()
    assert ours["month"].to_list() == slow["month"].tolist()
    mine, reference = ours[name + suffix].to_numpy(), slow[name + suffix].to_numpy(dtype=float)
    assert np.array_equal(np.isnan(mine), np.isnan(reference))
    assert np.isfinite(mine).sum() >= 12
    np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-9)


def test_schema_and_order(ours):
    assert dict(ours.schema) == schema()
    assert ours.height == ours.select("month", "isin").n_unique()
    assert_frame_equal(ours, ours.sort("month", "isin"))


def test_no_value_is_nan_or_infinite(ours):
    values = ours.drop("month", "isin")
    assert values.select((pl.all().is_nan() | pl.all().is_infinite()).any()).row(0) == (False,) * values.width


def test_universe_is_the_snapshot_of_the_month(ours, market):
    snapshot = market["index_snapshot"].filter(pl.col("month").is_in(MONTHS)).select("month", "isin")
    assert_frame_equal(ours.select("month", "isin"), snapshot.sort("month", "isin"))


def test_a_range_equals_its_months_one_by_one(market, build):
    months = month_range(date(2014, 6, 1), date(2015, 6, 1))
    singly = pl.concat([build(market, [month]) for month in months])
    assert_frame_equal(build(market, months), singly, check_exact=True)
    assert_frame_equal(
        build(market, months[::-3]), singly.filter(pl.col("month").is_in(months[::-3])), check_exact=True
    )


def test_a_month_of_one_bond_gets_the_same_bits_alone_and_in_a_range(market, build):
    isins = sorted(market["index_snapshot"]["isin"].unique())
    months = month_range(date(2014, 9, 1), date(2014, 12, 1))
    lone = {
        **market,
        "index_snapshot": market["index_snapshot"].filter(
            (pl.col("month") != months[-1]) | (pl.col("isin") == isins[0])
        ),
    }
    alone = build(lone, months[-1:])
    assert alone.height == 1
    assert_frame_equal(build(lone, months).filter(pl.col("month") == months[-1]), alone, check_exact=True)


def _perturbed_after(market, month):
    """Every table with the rows after the month scrambled."""
    rng = np.random.default_rng(1)
    out = {}
    for name, frame in market.items():
        if name == "seen":
            late = frame.with_columns(
                pl.when(pl.col("month") > month).then(pl.lit(date(2030, 1, 1))).otherwise("month").alias("month")
            )
            out[name] = late
            continue
        numbers = [column for column, dtype in frame.schema.items() if dtype == pl.Float64]
        noise = pl.Series(rng.normal(1.0, 3.0, frame.height))
        out[name] = frame.with_columns(
            pl.when(pl.col("month") > month).then(pl.col(column) * noise + 7.0).otherwise(column).alias(column)
            for column in numbers
        )
    return out


@pytest.mark.parametrize("month", [date(2014, 3, 1), date(2015, 1, 1)])
def test_nothing_after_the_month_matters(market, build, month):
    expected = build(market, [month])
    assert_frame_equal(build(_perturbed_after(market, month), [month]), expected, check_exact=True)
    deleted = {name: frame.filter(pl.col("month") <= month) for name, frame in market.items() if name != "seen"}
    deleted["seen"] = market["seen"].filter(pl.col("month") <= month)
    assert_frame_equal(build(deleted, [month]), expected, check_exact=True)
    shuffled = {name: frame.sample(fraction=1.0, shuffle=True, seed=3) for name, frame in market.items()}
    assert_frame_equal(build(shuffled, [month]), expected, check_exact=True)


def _cut(market, month, reach):
    return {
        name: frame.filter(pl.col("month") > shift(month, -reach[name])) if name in reach else frame
        for name, frame in market.items()
    }


def test_rows_older_than_the_lookback_do_not_matter(market, build):
    month = date(2014, 12, 1)
    assert_frame_equal(build(_cut(market, month, lookback()), [month]), build(market, [month]), check_exact=True)


@pytest.mark.parametrize("table", INPUTS)
def test_the_oldest_month_of_the_lookback_matters(market, build, table):
    month, reach = date(2014, 12, 1), lookback()
    shorter = reach | {table: reach[table] - 1}
    assert not build(_cut(market, month, shorter), [month]).equals(build(market, [month]))


def test_lookback_follows_the_settings():
    settings = BondCharacteristicsSettings(
        industry=Window(30, 24), profitability_lag=12, stock_volatility=Window(90, 6)
    )
    assert lookback(settings) == {
        "index_snapshot": 91,
        "bond_returns": 60,
        "french_factors": 60,
        "treasury_curve": 60,
        "vix_innovation": 61,
        "bond_market_factor": 60,
    }


def test_settings_reach_the_formulas(market, build):
    month = [date(2015, 6, 1)]
    changed = build(market, month, BondCharacteristicsSettings(bond_volatility=Window(12, 6)))
    expected = build(market, month)
    different = [name for name in NAMES if not changed[name].equals(expected[name])]
    assert different == ["bond_volatility"]


def test_a_bond_unknown_to_seen_is_refused(market, build):
    month = date(2014, 12, 1)
    isin = market["index_snapshot"].filter(pl.col("month") == month)["isin"][0]
    without = {**market, "seen": market["seen"].filter(pl.col("isin") != isin)}
    with pytest.raises(ValueError, match=f"1 rows of index_snapshot.*{isin}.*2014-12"):
        build(without, [month])


def test_no_months_and_an_empty_universe_give_no_rows(market, build):
    assert dict(build(market, []).schema) == schema()
    outside = build(market, [date(2016, 1, 1)])
    assert outside.height == 0
    assert dict(outside.schema) == schema()


def test_macro_tables_without_rows_leave_the_betas_missing(market, build):
    bare = {name: frame.clear() if name in INPUTS[2:] else frame for name, frame in market.items()}
    panel = build(bare, [date(2014, 12, 1)])
    empty = {name for name in NAMES if panel[name].null_count() == panel.height}
    assert empty == {"vix_beta", "bond_beta", "mom_6m_industry_adj"}
    assert panel.select(pl.col("vix_beta_r", "bond_beta_r").abs().max()).row(0) == (0.0, 0.0)


def test_age_counts_from_the_month_end_first_seen(market, build):
    month, first = date(2014, 12, 1), date(2014, 2, 1)
    isin = "XS0000000000"
    seen = market["seen"].with_columns(month=pl.when(pl.col("isin") == isin).then(pl.lit(first)).otherwise("month"))
    row = build({**market, "seen": seen}, [month]).row(by_predicate=pl.col("isin") == isin, named=True)
    assert row["bond_age_years"] == pytest.approx(306 / 365.25, abs=1e-15)  # 28 February to 31 December


def test_the_registry_is_the_spec(request):
    spec = request.config.rootpath.parent / "shared" / "spec" / "bond_characteristics.csv"
    if not spec.exists():
        pytest.skip("../shared/spec/bond_characteristics.csv is not there")
    with spec.open() as lines:
        expected = [row["name"] for row in csv.DictReader(lines) if "notebook" in row["set"].split()]
    assert list(NAMES) == expected


def test_the_data_dictionary_is_complete():
    dictionary = data_dictionary()
    assert dictionary["name"].to_list() == list(NAMES)
    assert (
        dictionary.select((pl.col("definition", "unit", "inputs", "timing", "source").str.len_chars() > 0).all()).row(0)
        == (True,) * 5
    )
    tables = {column.split(".")[0] for entry in CHARACTERISTICS for column in entry.inputs}
    assert tables == set(lookback())


def test_every_lookback_names_the_tables_it_reads():
    settings = BondCharacteristicsSettings()
    for entry in CHARACTERISTICS:
        assert set(entry.lookback(settings)) == {column.split(".")[0] for column in entry.inputs}, entry.name


@pytest.mark.parametrize(
    "wrong",
    [{"value_at_risk_level": 1.0}, {"momentum_near": 6}, {"profitability_lag": 0}],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        dataclasses.replace(BondCharacteristicsSettings(), **wrong)
