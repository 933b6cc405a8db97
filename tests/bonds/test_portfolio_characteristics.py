from __future__ import annotations

import csv
from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.portfolio_characteristics import (
    CREDIT_TABLES,
    NAMES,
    PORTFOLIO_CHARACTERISTICS,
    SCHEMA,
    PortfolioCharacteristicsSettings,
    bond_portfolio_characteristics,
    data_dictionary,
    lookback,
)
from pipeline.bonds.portfolios import PORTFOLIOS
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.windows import Window
from tests.bonds.slow_portfolios import slow_features

FIRST, LAST = date(2006, 1, 1), date(2014, 12, 1)
MONTHS = month_range(FIRST, LAST)
BUILT = [date(2009, 6, 1), date(2011, 1, 1), date(2013, 3, 1), LAST]
PAR = ("par_return_10y", "par_return_20y", "par_return_30y")


def _yield_table(values: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"month": MONTHS, "value": pl.Series(values).fill_nan(None)})


@pytest.fixture(scope="module")
def tables() -> dict:
    """Portfolios with missing months, a curve with maturities that end, yields with a missing one."""
    rng = np.random.default_rng(0)
    shape = len(MONTHS), len(PORTFOLIOS)
    curve = rng.normal(0.003, 0.02, (len(MONTHS), 3))
    curve[20:50, 1] = curve[:10, 2] = curve[60, :] = np.nan
    baa, treasury = 6 + np.cumsum(rng.normal(0, 0.2, len(MONTHS))), 3 + np.cumsum(rng.normal(0, 0.2, len(MONTHS)))
    baa[70] = np.nan
    riskless = rng.uniform(0.0, 0.003, len(MONTHS))
    ret = 0.4 * np.nan_to_num(curve[:, [0]]) + rng.normal(0.004, 0.02, shape)
    ret[rng.random(shape) < 0.004] = np.nan
    ret[: len(MONTHS) - 30, 7] = np.nan
    ret[:, 8] = np.nan
    excess = ret - riskless[:, None]
    keys = pl.DataFrame({"month": MONTHS}).join(pl.DataFrame({"portfolio": PORTFOLIOS}), how="cross")
    return {
        "bond_portfolios": keys.with_columns(
            ret=pl.Series(ret.ravel()).fill_nan(None), ret_excess=pl.Series(excess.ravel()).fill_nan(None)
        ),
        "treasury_curve": pl.DataFrame(
            {"month": MONTHS, **{name: pl.Series(curve[:, k]).fill_nan(None) for k, name in enumerate(PAR)}}
        ),
        "french_factors": pl.DataFrame({"month": MONTHS, "rf": riskless}),
        "fred.BAA": _yield_table(baa),
        "fred.GS10": _yield_table(treasury),
    }


def _build(tables, months, settings=None):
    yields = {name: frame for name, frame in tables.items() if name in CREDIT_TABLES}
    return bond_portfolio_characteristics(
        tables["bond_portfolios"], tables["treasury_curve"], tables["french_factors"], yields, months, settings
    )


def test_agrees_with_the_slow_reference(tables):
    found = _build(tables, BUILT)
    assert list(zip(found["month"], found["portfolio"], strict=True)) == [(m, p) for m in BUILT for p in PORTFOLIOS]
    baa, treasury = (dict(tables[name].iter_rows()) for name in ("fred.BAA", "fred.GS10"))
    rows = [
        slow_features(
            tables["bond_portfolios"],
            tables["treasury_curve"],
            tables["french_factors"],
            baa,
            treasury,
            portfolio,
            month,
        )
        for month in BUILT
        for portfolio in PORTFOLIOS
    ]
    for name in NAMES:
        expected = np.array([row[name] for row in rows], dtype=float)
        values = found[name].to_numpy()
        assert np.array_equal(np.isnan(values), np.isnan(expected)), name
        assert 30 < np.isfinite(values).sum() < len(values)
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-13, err_msg=name)


def test_a_case_worked_by_hand(tables):
    ret = np.zeros(len(MONTHS))
    ret[-1], ret[-2], ret[-11], ret[-12] = -0.10, 0.05, 0.20, 0.50
    ret[-36], ret[-37], ret[-60], ret[-61] = 0.03, 0.07, 0.02, 9.0
    own = pl.DataFrame({"month": MONTHS, "portfolio": "spread_3", "ret": ret, "ret_excess": ret})
    row = _build({**tables, "bond_portfolios": own}, [LAST]).row(
        by_predicate=pl.col("portfolio") == "spread_3", named=True
    )
    assert row["r2_1"] == pytest.approx(-0.10)
    assert row["r12_2"] == pytest.approx(1.05 * 1.20 * 1.50 - 1)
    assert row["r12_7"] == pytest.approx(1.20 * 1.50 - 1)
    assert row["r36_13"] == pytest.approx(0.03)
    assert row["lt_rev"] == pytest.approx(1.03 * 1.07 * 1.02 - 1)
    # The level of a year ago precedes the return of December 2013 + 1: the highest of the year is that after +5%.
    assert row["rel2high"] == pytest.approx(0.90)
    assert row["variance40"] == pytest.approx(np.var(ret[-40:], ddof=1))


def test_slopes_recover_the_exposures_and_do_not_mix(tables):
    rng = np.random.default_rng(3)
    treasury = rng.normal(0.0, 0.02, len(MONTHS))
    # Spreads narrow when yields rise, as in the data: a slope on one of them alone would take in the other.
    change = 0.05 * treasury + rng.normal(0.0, 0.001, len(MONTHS))
    spread = 0.02 + np.cumsum(change)
    curve = pl.DataFrame({"month": MONTHS, **dict.fromkeys(PAR, treasury)})
    true = {name: (0.1 + 0.02 * k, -5.0 + 0.1 * k) for k, name in enumerate(PORTFOLIOS)}
    parts = [
        pl.DataFrame({"month": MONTHS, "portfolio": name, "ret": a * treasury + b * change})
        for name, (a, b) in true.items()
    ]
    world = {
        "bond_portfolios": pl.concat(parts).with_columns(ret_excess="ret"),
        "treasury_curve": curve,
        "french_factors": pl.DataFrame({"month": MONTHS, "rf": [0.0] * len(MONTHS)}),
        "fred.BAA": _yield_table(100 * spread + 3.0),
        "fred.GS10": _yield_table(np.full(len(MONTHS), 3.0)),
    }
    found = _build(world, [LAST])
    np.testing.assert_allclose(found["b_treasury"], [true[name][0] for name in PORTFOLIOS], atol=1e-9)
    np.testing.assert_allclose(found["b_creditspread"], [true[name][1] for name in PORTFOLIOS], atol=1e-9)


def test_the_published_yields_serve_where_fred_is_not_there(tables):
    published = pl.DataFrame(
        {
            "month": MONTHS,
            "baa": tables["fred.BAA"]["value"] / 100,
            "lty": tables["fred.GS10"]["value"] / 100 + 0.01,
        }
    )
    expected = _build(tables, BUILT)
    rest = {name: frame for name, frame in tables.items() if not name.startswith("fred.")}
    found = _build({**rest, "goyal_welch.predictors": published}, BUILT)
    assert_frame_equal(found, expected, rel_tol=1e-7, abs_tol=1e-9)
    assert_frame_equal(_build({**tables, "goyal_welch.predictors": published}, BUILT), expected, check_exact=True)
    bare = _build({**rest, "fred.BAA": tables["fred.BAA"]}, BUILT)
    assert bare.select(pl.col("b_treasury", "b_creditspread").null_count()).row(0) == (bare.height,) * 2
    others = [name for name in NAMES if not name.startswith("b_")]
    assert_frame_equal(bare.select(others), expected.select(others), check_exact=True)


def test_a_range_equals_its_months_one_by_one(tables):
    months = month_range(date(2012, 6, 1), date(2013, 12, 1))
    singly = pl.concat([_build(tables, [month]) for month in months])
    assert_frame_equal(_build(tables, months), singly, check_exact=True)
    assert_frame_equal(_build(tables, months[::-5]), singly.filter(pl.col("month").is_in(months[::-5])))


def test_nothing_after_the_month_matters(tables):
    month = date(2013, 3, 1)
    expected = _build(tables, [month])
    deleted = {name: frame.filter(pl.col("month") <= month) for name, frame in tables.items()}
    assert_frame_equal(_build(deleted, [month]), expected, check_exact=True)
    scrambled = {
        name: frame.with_columns(
            pl.when(pl.col("month") > month).then(pl.lit(0.7)).otherwise(column).alias(column)
            for column, dtype in frame.schema.items()
            if dtype == pl.Float64
        ).sample(fraction=1.0, shuffle=True, seed=2)
        for name, frame in tables.items()
    }
    assert_frame_equal(_build(scrambled, [month]), expected, check_exact=True)


def _cut(tables, month, reach):
    return {name: frame.filter(pl.col("month") > shift(month, -reach[name])) for name, frame in tables.items()}


def test_rows_older_than_the_lookback_do_not_matter(tables):
    assert lookback() == {
        "bond_portfolios": 60,
        "treasury_curve": 60,
        "french_factors": 60,
        "fred.BAA": 61,
        "fred.GS10": 61,
        "goyal_welch.predictors": 61,
    }
    assert_frame_equal(_build(_cut(tables, LAST, lookback()), [LAST]), _build(tables, [LAST]), check_exact=True)


@pytest.mark.parametrize("table", ["bond_portfolios", "treasury_curve", "french_factors", "fred.BAA", "fred.GS10"])
def test_the_oldest_month_of_the_lookback_matters(tables, table):
    reach = lookback()
    shorter = reach | {table: reach[table] - 1}
    assert not _build(_cut(tables, LAST, shorter), [LAST]).equals(_build(tables, [LAST]))


def test_settings_reach_the_formulas(tables):
    settings = PortfolioCharacteristicsSettings(betas=Window(36, 24), variance=Window(70, 20), high=6)
    changed, expected = _build(tables, [LAST], settings), _build(tables, [LAST])
    different = {name for name in NAMES if not changed[name].equals(expected[name])}
    assert different == {"b_treasury", "b_creditspread", "rel2high", "variance40"}
    assert lookback(settings)["bond_portfolios"] == 70
    assert lookback(settings)["fred.BAA"] == 37
    with pytest.raises(ValueError, match="high"):
        PortfolioCharacteristicsSettings(high=1)


def test_every_month_has_its_rows_and_no_value_is_nan(tables):
    found = _build(tables, [FIRST, date(2020, 1, 1), *BUILT])
    assert dict(found.schema) == SCHEMA
    assert found.height == 40 * 6
    assert found.select((pl.col(NAMES).is_nan() | pl.col(NAMES).is_infinite()).any()).row(0) == (False,) * len(NAMES)
    late = found.filter(pl.col("month") == date(2020, 1, 1))
    assert late.select(pl.col(NAMES).null_count()).row(0) == (40,) * len(NAMES)
    assert dict(_build(tables, []).schema) == SCHEMA


def test_the_set_is_the_spec(request):
    path = request.config.rootpath.parent / "shared" / "spec" / "bond_characteristics.csv"
    if not path.exists():
        pytest.skip("../shared/spec/bond_characteristics.csv is not there")
    with path.open() as lines:
        rows = [row["name"].split() for row in csv.DictReader(lines) if row["set"] == "portfolio"]
    assert list(NAMES) == [name for names in rows for name in names]


def test_the_data_dictionary_names_the_tables_of_the_lookback():
    assert data_dictionary()["name"].to_list() == list(NAMES)
    settings = PortfolioCharacteristicsSettings()
    for entry in PORTFOLIO_CHARACTERISTICS:
        tables = {column.rpartition(".")[0] for column in entry.inputs}
        assert set(entry.lookback(settings)) == tables, entry.name
