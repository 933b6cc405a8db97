from __future__ import annotations

import csv
import dataclasses
from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.registry import (
    CHARACTERISTICS,
    NAMES,
    RANKED,
    SETS,
    data_dictionary,
    lookback,
    ranked,
    schema,
)
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.windows import Window
from tests.bonds.slow_reference import slow_characteristics

MONTHS = [date(2013, 2, 1), date(2013, 11, 1), date(2014, 12, 1), date(2015, 4, 1), date(2015, 6, 1)]
MACRO = ("french_factors", "treasury_curve", "vix_innovation", "bond_market_factor")
INPUTS = ("bond_snapshot", "bond_returns", *MACRO, "firm_characteristics")
NOTEBOOK = SETS["notebook"]
# The extract has the default probability alone; trades have no part of it.
NOT_FROM_TRADES = ("default_probability", "spread_to_default_probability")


def _columns(names):
    """Every column of the named characteristics."""
    return [f"{name}{suffix}" for name in names for suffix in ("", "_w", "_r") if f"{name}{suffix}" in schema()]


@pytest.fixture(scope="module")
def index(market, build):
    return build(market, MONTHS)


@pytest.fixture(scope="module")
def trades(traded, build):
    return build(traded, MONTHS[1:])


@pytest.fixture(scope="module", params=["index", "trades"])
def ours(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module", params=["market", "traded"])
def tables(request):
    """The inputs of the panel, from either source."""
    found = request.getfixturevalue(request.param)
    return {name: found[name] for name in (*INPUTS, "seen") if name in found}


def _slow(tables, months):
    return slow_characteristics(*(tables.get(name) for name in INPUTS), tables["seen"], months)


@pytest.fixture(scope="module")
def slow_index(market):
    return _slow(market, MONTHS)


@pytest.fixture(scope="module")
def slow_trades(traded):
    return _slow(traded, MONTHS[1:])


def _same(mine, reference, column, fewest):
    assert mine["isin"].to_list() == reference["isin"].tolist()
    assert mine["month"].to_list() == reference["month"].tolist()
    values, expected = mine[column].to_numpy(), reference[column].to_numpy(dtype=float)
    assert np.array_equal(np.isnan(values), np.isnan(expected))
    assert np.isfinite(values).sum() >= fewest
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("column", _columns((*NOTEBOOK, *SETS["sorts"])))
def test_agrees_with_the_slow_reference_on_the_index(index, slow_index, column):
    _same(index, slow_index, column, 12)


@pytest.mark.parametrize("column", _columns(NAMES))
def test_agrees_with_the_slow_reference_on_trades(trades, slow_trades, column):
    _same(trades, slow_trades, column, 0 if column.removesuffix("_w") in NOT_FROM_TRADES else 8)


def test_what_the_index_does_not_have_is_missing(index):
    empty = {name for name in NAMES if index[name].null_count() == index.height}
    known = {"amt_out", "tau", "age", "bond_price", *SETS["sorts"]} | {f"forward_spread_{n}" for n in range(1, 11)}
    assert empty == set(NAMES) - set(NOTEBOOK) - known


def test_what_trades_do_not_have_is_missing(trades):
    assert {name for name in NAMES if trades[name].null_count() == trades.height} == set(NOT_FROM_TRADES)


def test_schema_and_order(ours):
    assert dict(ours.schema) == schema()
    assert ours.height == ours.select("month", "isin").n_unique()
    assert_frame_equal(ours, ours.sort("month", "isin"))


def test_no_value_is_nan_or_infinite(ours):
    values = ours.drop("month", "isin")
    assert values.select((pl.all().is_nan() | pl.all().is_infinite()).any()).row(0) == (False,) * values.width


def test_universe_is_the_snapshot_of_the_month(tables, build):
    snapshot = tables["bond_snapshot"].filter(pl.col("month").is_in(MONTHS)).select("month", "isin")
    assert snapshot.height > 50
    assert_frame_equal(build(tables, MONTHS).select("month", "isin"), snapshot.sort("month", "isin"))


def test_a_range_equals_its_months_one_by_one(tables, build):
    months = month_range(date(2014, 6, 1), date(2015, 6, 1))
    singly = pl.concat([build(tables, [month]) for month in months])
    assert_frame_equal(build(tables, months), singly, check_exact=True)
    assert_frame_equal(
        build(tables, months[::-3]), singly.filter(pl.col("month").is_in(months[::-3])), check_exact=True
    )


def test_a_month_of_one_bond_gets_the_same_bits_alone_and_in_a_range(tables, build):
    months = month_range(date(2014, 9, 1), date(2014, 12, 1))
    snapshot = tables["bond_snapshot"]
    isin = min(set.intersection(*(set(snapshot.filter(pl.col("month") == month)["isin"]) for month in months)))
    lone = {**tables, "bond_snapshot": snapshot.filter((pl.col("month") != months[-1]) | (pl.col("isin") == isin))}
    alone = build(lone, months[-1:])
    assert alone.height == 1
    assert_frame_equal(build(lone, months).filter(pl.col("month") == months[-1]), alone, check_exact=True)


def _perturbed_after(tables, month):
    """Every table with the rows after the month scrambled."""
    rng = np.random.default_rng(1)
    out = {}
    for name, frame in tables.items():
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
def test_nothing_after_the_month_matters(tables, build, month):
    expected = build(tables, [month])
    assert_frame_equal(build(_perturbed_after(tables, month), [month]), expected, check_exact=True)
    deleted = {name: frame.filter(pl.col("month") <= month) for name, frame in tables.items()}
    assert_frame_equal(build(deleted, [month]), expected, check_exact=True)
    shuffled = {name: frame.sample(fraction=1.0, shuffle=True, seed=3) for name, frame in tables.items()}
    assert_frame_equal(build(shuffled, [month]), expected, check_exact=True)


def _cut(tables, month, reach):
    return {
        name: frame.filter(pl.col("month") > shift(month, -reach[name])) if name in reach else frame
        for name, frame in tables.items()
    }


def test_rows_older_than_the_lookback_do_not_matter(tables, build):
    month = date(2014, 12, 1)
    assert_frame_equal(build(_cut(tables, month, lookback()), [month]), build(tables, [month]), check_exact=True)


@pytest.mark.parametrize("table", INPUTS)
def test_the_oldest_month_of_the_lookback_matters(traded, build, table):
    month, reach = date(2014, 12, 1), lookback()
    inputs = {name: traded[name] for name in (*INPUTS, "seen")}
    shorter = reach | {table: reach[table] - 1}
    assert not build(_cut(inputs, month, shorter), [month]).equals(build(inputs, [month]))


def test_lookback_follows_the_settings():
    settings = BondCharacteristicsSettings(
        industry=Window(30, 24), profitability_lag=12, stock_volatility=Window(90, 6)
    )
    assert lookback(settings) == {
        "bond_snapshot": 91,
        "bond_returns": 60,
        "french_factors": 60,
        "treasury_curve": 60,
        "vix_innovation": 61,
        "bond_market_factor": 60,
        "firm_characteristics": 1,
    }


def test_settings_reach_the_formulas(market, build):
    month = [date(2015, 6, 1)]
    changed = build(market, month, BondCharacteristicsSettings(bond_volatility=Window(12, 6)))
    expected = build(market, month)
    different = [name for name in NAMES if not changed[name].equals(expected[name])]
    assert different == ["bond_volatility"]


def test_a_bond_unknown_to_seen_is_refused(market, build):
    month = date(2014, 12, 1)
    isin = market["bond_snapshot"].filter(pl.col("month") == month)["isin"][0]
    without = {**market, "seen": market["seen"].filter(pl.col("isin") != isin)}
    with pytest.raises(ValueError, match=f"1 rows of bond_snapshot.*{isin}.*2014-12"):
        build(without, [month])


def test_no_months_and_an_empty_universe_give_no_rows(market, build):
    assert dict(build(market, []).schema) == schema()
    outside = build(market, [date(2016, 1, 1)])
    assert outside.height == 0
    assert dict(outside.schema) == schema()


def test_macro_tables_without_rows_leave_the_betas_missing(market, build):
    bare = {name: frame.clear() if name in MACRO else frame for name, frame in market.items()}
    panel = build(bare, [date(2014, 12, 1)])
    empty = {name for name in NOTEBOOK if panel[name].null_count() == panel.height}
    assert empty == {"vix_beta", "bond_beta", "mom_6m_industry_adj"}
    assert panel.select(pl.col("vix_beta_r", "bond_beta_r").abs().max()).row(0) == (0.0, 0.0)


def test_age_counts_from_the_month_end_first_seen(market, build):
    month, first = date(2014, 12, 1), date(2014, 2, 1)
    isin = "XS0000000000"
    seen = market["seen"].with_columns(month=pl.when(pl.col("isin") == isin).then(pl.lit(first)).otherwise("month"))
    row = build({**market, "seen": seen}, [month]).row(by_predicate=pl.col("isin") == isin, named=True)
    assert row["bond_age_years"] == pytest.approx(306 / 365.25, abs=1e-15)  # 28 February to 31 December


def test_age_counts_from_the_offering_where_it_is_known(traded, build):
    month = date(2014, 12, 1)
    isin, offered = "US000001AB00", date(2012, 2, 29)
    snapshot = traded["bond_snapshot"].with_columns(
        issue_date=pl.when(pl.col("isin") == isin).then(pl.lit(offered)).otherwise("issue_date"),
        maturity=pl.when(pl.col("isin") == isin).then(pl.lit(date(2019, 12, 31))).otherwise("maturity"),
    )
    row = build({**traded, "bond_snapshot": snapshot}, [month]).row(by_predicate=pl.col("isin") == isin, named=True)
    assert row["bond_age_years"] == row["age"] == pytest.approx(1036 / 365.25, abs=1e-15)
    assert row["bond_age_pct"] == pytest.approx(1036 / 2862, abs=1e-15)
    assert row["tau"] == pytest.approx(1826 / 365.25, abs=1e-15)


def test_a_stock_price_is_not_compared_with_that_of_another_stock(market, build):
    months = month_range(date(2014, 1, 1), date(2014, 12, 1))
    isin = "XS0000000001"
    prices = {month: 10.0 + k for k, month in enumerate(months)}
    own = pl.col("isin") == isin
    filled = market["bond_snapshot"].with_columns(
        stock_price=pl.when(own).then(pl.col("month").replace_strict(prices, default=None)).otherwise("stock_price")
    )

    def row(changed):
        stock = pl.when(pl.col("month") < changed).then(pl.lit(1)).otherwise(pl.lit(2))
        snapshot = filled.with_columns(permno=pl.when(own).then(stock).otherwise("permno"))
        panel = build({**market, "bond_snapshot": snapshot}, months[-1:])
        return panel.row(by_predicate=pl.col("isin") == isin, named=True)

    before, within, after = row(months[0]), row(months[7]), row(months[-1])
    assert before["mom_6m_equity"] == after["mom_6m_equity"] == pytest.approx(100 * (19 - 15) / 15)
    assert within["mom_6m_equity"] is None
    returns = [(11.0 + k) / (10.0 + k) - 1 for k in range(11)]
    assert before["stock_volatility"] == pytest.approx(np.std(returns, ddof=1), rel=1e-12)
    assert within["stock_volatility"] == pytest.approx(np.std(returns[:6] + returns[7:], ddof=1), rel=1e-12)


def test_the_notebook_is_the_spec(request):
    path = request.config.rootpath.parent / "shared" / "spec" / "bond_characteristics.csv"
    if not path.exists():
        pytest.skip("../shared/spec/bond_characteristics.csv is not there")
    with path.open() as lines:
        expected = [row["name"] for row in csv.DictReader(lines) if "notebook" in row["set"].split()]
    assert list(NOTEBOOK) == expected
    assert ranked(NOTEBOOK) == RANKED
    assert len(RANKED) == 31


def test_the_data_dictionary_is_complete():
    dictionary = data_dictionary()
    assert dictionary["name"].to_list() == list(NAMES)
    assert (
        dictionary.select(
            (pl.col("sets", "form", "definition", "unit", "inputs", "timing", "source").str.len_chars() > 0).all()
        ).row(0)
        == (True,) * 7
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
