from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.portfolios import (
    BOND_SORTS,
    PORTFOLIOS,
    SCHEMA,
    SORTED_BY,
    VALUED_BY,
    BondPortfolioSettings,
    bond_portfolios,
    data_dictionary,
    lookback,
    quantile_bins,
)
from pipeline.bonds.registry import BY_NAME
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.windows import Window
from tests.bonds.slow_portfolios import slow_portfolios

FIRST, LAST = date(2009, 1, 1), date(2011, 6, 1)
BUILT = month_range(date(2010, 1, 1), LAST)
NUMBERS = ("ret", "ret_excess", "n", "value")


def _table(rng: np.random.Generator, months: list[date], isins: list[str], missing: float) -> pl.DataFrame:
    keys = pl.DataFrame({"month": months}).join(pl.DataFrame({"isin": isins}), how="cross")
    return keys.filter(pl.Series(rng.random(keys.height) > missing))


def _world(seed: int, bonds: int, step: float | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Characteristics and returns of bonds that come and go; in steps they stand still, so that their means tie."""
    rng = np.random.default_rng(seed)
    isins = [f"B{k:04d}" for k in range(bonds)]
    known = _table(rng, month_range(FIRST, LAST), isins, 0.2)
    level = dict(zip(isins, rng.normal(0.0, 3.0, bonds), strict=True))
    columns = {}
    for name in SORTED_BY:
        values = np.array([level[isin] for isin in known["isin"]])
        values = np.round(values / step) * step if step else values + rng.normal(0.0, 1.0, known.height)
        values[rng.random(known.height) < 0.3] = np.nan
        columns[name] = pl.Series(values).fill_nan(None)
    for name, highest in (("bond_price", 120.0), ("face_value", 1e6)):
        values = rng.uniform(0.0, highest, known.height)
        values[rng.random(known.height) < 0.03] = 0.0
        values[rng.random(known.height) < 0.03] = np.nan
        columns[name] = pl.Series(values).fill_nan(None)
    earned = _table(rng, month_range(FIRST, LAST), isins, 0.25)
    ret = rng.normal(0.004, 0.03, earned.height)
    ret[rng.random(earned.height) < 0.03] = np.nan
    returns = earned.with_columns(
        ret=pl.Series(ret).fill_nan(None),
        ret_excess=pl.Series(np.where(rng.random(earned.height) < 0.002, np.nan, ret - 0.001)).fill_nan(None),
    )
    shuffle = {"fraction": 1.0, "shuffle": True, "seed": seed}
    return known.with_columns(**columns).sample(**shuffle), returns.sample(**shuffle)


@pytest.fixture(scope="module", params=[(1, 60, None), (2, 45, 2.0), (3, 12, 1.0)], ids=["smooth", "ties", "few"])
def world(request):
    return _world(*request.param)


def test_agrees_with_the_slow_reference(world):
    months = BUILT[::3]
    found = bond_portfolios(*world, months)
    expected = slow_portfolios(*world, months)
    assert list(zip(found["month"], found["portfolio"], strict=True)) == [(m, p) for m in months for p in PORTFOLIOS]
    counts = [expected[key][2] for key in zip(found["month"], found["portfolio"], strict=True)]
    assert found["n"].to_list() == counts
    assert sum(count > 0 for count in counts) > 20
    for position, name in enumerate(NUMBERS):
        values = [expected[key][position] for key in zip(found["month"], found["portfolio"], strict=True)]
        reference = np.array(values, dtype=float)
        np.testing.assert_allclose(found[name].cast(pl.Float64).to_numpy(), reference, rtol=1e-12, atol=1e-15)


def test_the_worlds_hold_what_they_are_made_for():
    smooth, ties, few = (bond_portfolios(*_world(*each), BUILT) for each in ((1, 60), (2, 45, 2.0), (3, 12, 1.0)))
    assert smooth.filter(pl.col("sort") != "spread")["n"].min() > 0
    assert 0 < smooth["ret_excess"].null_count() < 60
    assert (ties.filter(pl.col("sort") == "rating")["n"] == 0).mean() > 0.05
    per_sort = few.group_by("month", "sort").agg(pl.col("n").sum())
    assert 0 in per_sort["n"].to_list()


def test_bins_are_those_of_pandas_on_a_sample_without_ties():
    rng = np.random.default_rng(5)
    for count in (5, 6, 7, 11, 50, 101, 333):
        values = rng.normal(size=count)
        np.testing.assert_array_equal(quantile_bins(values, 5), pd.qcut(values, 5, labels=False) + 1)


def test_equal_values_are_never_parted_and_lie_in_the_lower_bin():
    nan = np.nan
    # Quintiles of 11 values stand at the order statistics 3, 5, 7 and 9.
    assert quantile_bins(np.arange(11.0), 5).tolist() == [1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    tied = np.array([7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 9.0, 9.0, 12.0, 20.0, 7.0])
    assert quantile_bins(tied, 5).tolist() == [1, 1, 1, 1, 1, 1, 4, 4, 5, 5, 1]
    assert quantile_bins(np.array([3.0, nan, 1.0, 2.0]), 3).tolist() == [3, 0, 1, 2]
    assert quantile_bins(np.array([3.0, nan, 1.0]), 3).tolist() == [0, 0, 0]
    assert quantile_bins(np.full(7, 4.0), 5).tolist() == [1] * 7
    assert quantile_bins(np.arange(9.0), 5, min_bonds=2).tolist() == [0] * 9
    assert quantile_bins(np.arange(10.0), 5, min_bonds=2).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def _by_hand() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Six bonds whose spreads and maturities order them one to six; the fifth has six months, the sixth five."""
    months = month_range(date(2010, 1, 1), date(2011, 3, 1))
    built = date(2011, 2, 1)
    first, last = shift(built, -13), shift(built, -2)
    rows = []
    for k, isin in enumerate("ABCDEF", start=1):
        seen = {"E": 6, "F": 5}.get(isin, 12)
        for month in months:
            inside = first <= month <= last
            # Outside the window the order is turned round.
            value = float(k) if inside and month > shift(last, -seen) else None if inside else -100.0 * k
            before = month == shift(built, -1)
            worth = {"bond_price": 50.0 if before else 1.0, "face_value": 20.0 * k if before else 5.0}
            rows.append({"month": month, "isin": isin, **dict.fromkeys(SORTED_BY, value), **worth})
    schema = {"month": pl.Date, "isin": pl.String, **dict.fromkeys((*SORTED_BY, *VALUED_BY), pl.Float64)}
    returns = pl.DataFrame(
        {
            "month": [built] * 6,
            "isin": list("ABCDEF"),
            "ret": [0.01, 0.02, 0.03, 0.04, 0.05, 0.06],
            "ret_excess": [0.00, 0.01, 0.02, 0.03, 0.04, 0.05],
        }
    )
    return pl.DataFrame(rows, schema=schema), returns


def test_a_case_worked_by_hand():
    found = bond_portfolios(*_by_hand(), [date(2011, 2, 1)])
    rows = {row["portfolio"]: tuple(row[name] for name in NUMBERS) for row in found.iter_rows(named=True)}
    # Five bonds: F was seen five months of the twelve, E six.
    for number, (ret, value) in enumerate(zip((0.01, 0.02, 0.03, 0.04, 0.05), (10, 20, 30, 40, 50), strict=True), 1):
        for sort in ("hkm", "rating", "maturity", "idiovol", "reversal"):
            assert rows[f"{sort}_{number}"] == pytest.approx((ret, ret - 0.01, 1, value))
        assert rows[f"downside_{6 - number}"] == pytest.approx((ret, ret - 0.01, 1, value))
    assert {rows[f"spread_{number}"] for number in range(1, 11)} == {(None, None, 0, None)}

    characteristics, returns = _by_hand()
    two = BondPortfolioSettings(window=Window(12, 5))
    widest = bond_portfolios(characteristics, returns, [date(2011, 2, 1)], two).row(
        by_predicate=pl.col("portfolio") == "maturity_1", named=True
    )
    # Six bonds: the first quintile stands at the second order statistic.
    assert widest["n"] == 2
    assert widest["ret"] == pytest.approx((10 * 0.01 + 20 * 0.02) / 30)
    assert widest["value"] == 30.0


def test_bins_do_not_depend_on_which_bonds_have_a_return():
    characteristics, returns = _by_hand()
    months = [date(2011, 2, 1)]
    full = bond_portfolios(characteristics, returns, months).filter(pl.col("sort") == "rating")
    # Without the first two, which make up the lowest bins, the others stay where they were.
    fewer = bond_portfolios(characteristics, returns.slice(2), months).filter(pl.col("sort") == "rating")
    assert fewer["n"].to_list() == [0, 0, 1, 1, 1]
    assert_frame_equal(fewer.slice(2), full.slice(2), check_exact=True)
    assert fewer["ret"].to_list()[:2] == fewer["value"].to_list()[:2] == [None, None]
    blank = returns.with_columns(ret=pl.when(pl.col("isin") > "B").then("ret"))
    assert_frame_equal(bond_portfolios(characteristics, blank, months).filter(pl.col("sort") == "rating"), fewer)


@pytest.mark.parametrize(
    "change", [{"bond_price": None}, {"bond_price": 0.0}, {"face_value": None}, {"face_value": 0.0}]
)
def test_a_bond_without_a_value_when_the_month_begins_is_not_sorted(change):
    characteristics, returns = _by_hand()
    (column, value), month = next(iter(change.items())), date(2011, 2, 1)
    row = (pl.col("month") == shift(month, -1)) & (pl.col("isin") == "A")
    worthless = characteristics.with_columns(pl.when(row).then(pl.lit(value)).otherwise(column).alias(column))
    gone = characteristics.filter(~row)
    expected = bond_portfolios(gone, returns, [month])
    assert expected["n"].sum() == 0  # four bonds do not make five portfolios
    assert_frame_equal(bond_portfolios(worthless, returns, [month]), expected, check_exact=True)


def test_the_gap_moves_the_months_that_are_averaged():
    characteristics, returns = _by_hand()
    without = bond_portfolios(characteristics, returns, [date(2011, 2, 1)], BondPortfolioSettings(gap=0))
    # January 2011 holds -100 k: the means fall with k, and F has a sixth month.
    rating = without.filter(pl.col("sort") == "rating")
    assert rating["n"].to_list() == [2, 1, 1, 1, 1]
    assert rating["ret"][0] == pytest.approx((60 * 0.06 + 50 * 0.05) / 110)
    assert rating["ret"][-1] == pytest.approx(0.01)


def test_the_forty_portfolios_and_what_they_are_sorted_by():
    assert len(PORTFOLIOS) == len(set(PORTFOLIOS)) == 40
    assert PORTFOLIOS[:2] == ("spread_1", "spread_2")
    assert [sort.bins for sort in BOND_SORTS] == [10, 5, 5, 5, 5, 5, 5]
    assert {*SORTED_BY, *VALUED_BY} <= set(BY_NAME)
    dictionary = data_dictionary()
    assert dictionary.height == 7
    assert dictionary["portfolios"][0] == "spread_1 to spread_10"


def test_schema(world):
    found = bond_portfolios(*world, BUILT)
    assert dict(found.schema) == SCHEMA
    numbers = found.select("ret", "ret_excess", "value")
    assert numbers.select((pl.all().is_nan() | pl.all().is_infinite()).any()).row(0) == (False,) * 3
    assert found.filter(pl.col("n") == 0).select(pl.col("ret", "ret_excess", "value").null_count()).unique().height == 1


def test_a_range_equals_its_months_one_by_one(world):
    singly = pl.concat([bond_portfolios(*world, [month]) for month in BUILT])
    assert_frame_equal(bond_portfolios(*world, BUILT), singly, check_exact=True)
    assert_frame_equal(
        bond_portfolios(*world, BUILT[::-4]), singly.filter(pl.col("month").is_in(BUILT[::-4])), check_exact=True
    )


def test_only_the_window_matters(world):
    characteristics, returns = world
    month, reach = date(2010, 9, 1), lookback()
    assert reach == {"bond_characteristics": 14, "bond_returns": 1}
    expected = bond_portfolios(characteristics, returns, [month])
    oldest, before = shift(month, 1 - reach["bond_characteristics"]), shift(month, -1)
    inside = pl.col("month").is_between(oldest, shift(month, -2))
    scrambled = characteristics.with_columns(
        *(pl.when(inside).then(name).otherwise(pl.lit(1e6)).alias(name) for name in SORTED_BY),
        *(pl.when(pl.col("month") == before).then(name).otherwise(pl.lit(7.0)).alias(name) for name in VALUED_BY),
    )
    others = returns.with_columns(ret=pl.when(pl.col("month") == month).then("ret").otherwise(9.0))
    assert_frame_equal(bond_portfolios(scrambled, others, [month]), expected, check_exact=True)
    cut = characteristics.filter(pl.col("month").is_between(oldest, before)), returns.filter(pl.col("month") == month)
    assert_frame_equal(bond_portfolios(*cut, [month]), expected, check_exact=True)
    for end in (oldest, shift(month, -2), before):
        shorter = characteristics.filter(pl.col("month") != end)
        assert not bond_portfolios(shorter, returns, [month]).equals(expected)


def test_a_month_without_bonds_has_its_rows():
    characteristics, returns = _world(1, 60)
    empty = bond_portfolios(characteristics, returns, [date(2020, 1, 1)])
    assert empty["portfolio"].to_list() == list(PORTFOLIOS)
    assert empty["n"].to_list() == [0] * 40
    assert empty.select(pl.col("ret", "ret_excess", "value").null_count()).row(0) == (40,) * 3
    assert_frame_equal(bond_portfolios(characteristics.clear(), returns.clear(), [date(2020, 1, 1)]), empty)
    assert dict(bond_portfolios(characteristics, returns, []).schema) == SCHEMA


def test_where_the_spread_is_the_expected_return_means_increase():
    rng = np.random.default_rng(11)
    months, isins = month_range(FIRST, date(2018, 12, 1)), [f"B{k:04d}" for k in range(400)]
    spread = rng.uniform(0.0, 500.0, len(isins))  # basis points a year
    market = rng.normal(0.0, 0.005, len(months))
    ret = (
        spread / 1e4 / 12
        + market[:, None] * rng.uniform(0.5, 1.5, len(isins))
        + rng.normal(0.0, 0.01, (len(months), len(isins)))
    )
    keys = pl.DataFrame({"month": months}).join(pl.DataFrame({"isin": isins}), how="cross")
    noise = rng.normal(0.0, 5.0, ret.shape)
    known = keys.with_columns(
        pl.Series("spread", (spread + noise).ravel()),
        bond_price=pl.lit(100.0),
        face_value=pl.Series(rng.uniform(1, 3, ret.size)),
    ).with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in SORTED_BY if name != "spread")
    returns = keys.with_columns(ret=pl.Series(ret.ravel())).with_columns(ret_excess="ret")
    found = bond_portfolios(known, returns, months[13:])
    means = found.filter(pl.col("sort") == "spread").group_by("bin").agg(pl.col("ret").mean()).sort("bin")["ret"]
    expected = (np.arange(10) * 50 + 25) / 1e4 / 12
    assert np.all(np.diff(means.to_numpy()) > 0)
    # The level moves with the market, which all share; the distance between the deciles does not.
    np.testing.assert_allclose(means.to_numpy() - means.mean(), expected - expected.mean(), atol=6e-4)
    assert found.filter(pl.col("sort") != "spread")["n"].sum() == 0


@pytest.mark.parametrize(("wrong", "match"), [({"gap": -1}, "gap"), ({"min_bonds": 0}, "min_bonds")])
def test_wrong_settings_are_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        BondPortfolioSettings(**wrong)
