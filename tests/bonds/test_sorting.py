from __future__ import annotations

import dataclasses
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.bonds.definition import BondMonth
from pipeline.bonds.registry import RANKED, SETS
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.bonds.sorting import SORTING
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.dense import MonthlyPanel, MonthlySeries
from pipeline.panel.windows import Window

MONTH, MONTHS = date(2014, 12, 1), 72
FACTORS = ("mkt_rf", "smb", "hml", "default_spread", "term_spread_change", "intermediary")
FORMULAS = {entry.name: entry.formula for entry in SORTING}
SETTINGS = BondCharacteristicsSettings()


def _bonds(ret: np.ndarray, factors: np.ndarray, settings: BondCharacteristicsSettings = SETTINGS) -> BondMonth:
    """The bonds (months, N) and factors of the last months up to December 2014; excess returns are returns."""
    first = shift(MONTH, 1 - len(ret))
    isins = tuple(f"{k:03d}" for k in range(ret.shape[1]))
    return BondMonth(
        month=MONTH,
        positions=np.arange(ret.shape[1]),
        panel=MonthlyPanel(first=first, assets=isins, arrays={"ret": ret, "ret_excess": ret}),
        series=MonthlySeries(first=first, values=factors, names=FACTORS),
        settings=settings,
    )


def _factors(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factors = rng.normal(0.0, 0.04, (MONTHS, len(FACTORS)))
    factors[:, -1] += factors[:, 0]
    return factors


def test_the_set_is_the_three_and_none_enters_the_models():
    assert SETS["sorts"] == ("intermediary_beta", "idiosyncratic_volatility", "long_term_reversal")
    assert not {f"{name}_r" for name in SETS["sorts"]} & set(RANKED)


def test_intermediary_beta_is_the_slope_beside_the_market():
    factors = _factors()
    true = np.linspace(-0.5, 1.5, 9)
    ret = 0.002 + factors[:, [0]] * 0.3 + factors[:, [-1]] * true
    np.testing.assert_allclose(FORMULAS["intermediary_beta"](_bonds(ret, factors)), true, atol=1e-12)


def test_idiosyncratic_volatility_recovers_that_of_the_residuals():
    factors, rng = _factors(), np.random.default_rng(1)
    true = np.linspace(0.005, 0.05, 4000)
    ret = factors[:, :5] @ rng.normal(0.0, 1.0, (5, len(true))) + rng.normal(0.0, 1.0, (MONTHS, len(true))) * true
    found = FORMULAS["idiosyncratic_volatility"](_bonds(ret, factors))
    # The squared estimate is unbiased only with the divisor n - 6.
    assert np.mean((found / true) ** 2) == pytest.approx(1.0, abs=4 * np.sqrt(2 / 54 / len(true)))


def test_an_explained_bond_has_no_idiosyncratic_volatility_and_a_short_one_none():
    factors = _factors()
    ret = np.repeat(factors[:, :5].sum(axis=1, keepdims=True), 3, axis=1)
    ret[-60:-24, 1] = np.nan
    ret[-60:-23, 2] = np.nan
    found = FORMULAS["idiosyncratic_volatility"](_bonds(ret, factors))
    np.testing.assert_allclose(found[:2], 0.0, atol=1e-14)
    assert np.isnan(found[2])
    assert np.isnan(FORMULAS["intermediary_beta"](_bonds(ret, factors))).tolist() == [False, False, True]


def test_as_many_observations_as_coefficients_leave_no_degree_of_freedom():
    factors, rng = _factors(), np.random.default_rng(2)
    ret = rng.normal(0.0, 0.02, (MONTHS, 2))
    ret[:-6, 0] = ret[:-7, 1] = np.nan
    settings = BondCharacteristicsSettings(idiosyncratic_volatility=Window(60, 1))
    found = FORMULAS["idiosyncratic_volatility"](_bonds(ret, factors, settings))
    assert np.isnan(found).tolist() == [True, False]


def test_reversal_is_minus_the_return_over_three_years_to_a_year_before_the_predicted_month():
    months = month_range(shift(MONTH, 1 - MONTHS), MONTH)
    inside = [date(2011, 1, 1) <= month <= date(2014, 1, 1) for month in months]  # 48 to 12 months before January 2015
    assert sum(inside) == 37
    ret = np.where(np.array(inside)[:, None], 0.01, 7.0).repeat(3, axis=1)
    ret[[months.index(date(2011, 1, 1)), months.index(date(2012, 5, 1)), months.index(date(2014, 1, 1))], 0] = np.nan
    start = months.index(date(2011, 1, 1))
    ret[start : start + 13, 1] = np.nan
    ret[start : start + 14, 2] = np.nan
    found = FORMULAS["long_term_reversal"](_bonds(ret, _factors()))
    np.testing.assert_allclose(found[:2], [1 - 1.01**34, 1 - 1.01**24], rtol=1e-12)
    assert np.isnan(found[2])


@pytest.mark.parametrize("name", [entry.name for entry in SORTING])
def test_lookbacks_are_exact(name, traded, build):
    entry = next(entry for entry in SORTING if entry.name == name)
    month = date(2014, 12, 1)

    def panel(**months: int) -> list[float | None]:
        cut = {
            table: frame.filter(pl.col("month") > shift(month, -months[table])) if table in months else frame
            for table, frame in traded.items()
        }
        return build(cut, [month])[name].to_list()

    reach = dict(entry.lookback(SETTINGS))
    whole = panel()
    assert panel(**reach) == whole
    for table, length in reach.items():
        assert panel(**{table: length - 1}) != whole, table


def test_settings_reach_the_formulas(traded, build):
    month = [date(2015, 6, 1)]
    short = BondCharacteristicsSettings(
        intermediary_beta=Window(36, 24),
        idiosyncratic_volatility=Window(48, 24),
        long_term_reversal=Window(30, 24),
        reversal_near=6,
    )
    changed, expected = build(traded, month, short), build(traded, month)
    different = [name for name in expected.columns if not changed[name].equals(expected[name])]
    assert {name.removesuffix("_w").removesuffix("_r") for name in different} == set(SETS["sorts"])
    lookbacks = [dict(entry.lookback(short)) for entry in SORTING]
    assert [each["bond_returns"] for each in lookbacks] == [36, 48, 35]
    with pytest.raises(ValueError, match="reversal_near"):
        dataclasses.replace(short, reversal_near=0)
