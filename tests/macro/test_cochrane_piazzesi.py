from datetime import date

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from sklearn.decomposition import PCA

from pipeline.macro.cochrane_piazzesi import (
    FACTOR_OF_2005,
    CochranePiazzesiSettings,
    annual_excess_returns,
    cochrane_piazzesi,
    fit_return_regressions,
    forward_rates,
)
from pipeline.macro.treasury import treasury_curve
from pipeline.panel.calendar import month_range, shift

FIRST, T, YEARS = date(1980, 1, 1), 240, 6
SMALL = CochranePiazzesiSettings(longest=YEARS, min_months=40)
RECENT = CochranePiazzesiSettings(longest=5, regressors="levels", weights="average", min_months=40)


def _yields(seed: int = 0) -> np.ndarray:
    """Decimal yields of 1 to 6 years: a slow level, a slope, and noise of each maturity."""
    rng = np.random.default_rng(seed)
    level = 0.06 + 0.002 * rng.normal(size=T).cumsum()
    slope = 0.01 + 0.002 * rng.normal(size=T).cumsum()
    years = np.arange(1, YEARS + 1)
    return level[:, None] + slope[:, None] * (years - 1) / 5 + 0.001 * rng.normal(size=(T, YEARS))


YIELDS = _yields()


@pytest.fixture
def curve() -> pl.DataFrame:
    months = month_range(FIRST, shift(FIRST, T - 1))
    return pl.DataFrame({"month": months, **{f"zero_{n + 1}": 100 * YIELDS[:, n] for n in range(YEARS)}})


def test_returns_and_forwards_by_prices() -> None:
    """Buy a bond at its price, sell it a year later at the price of the shorter one, borrow for a year."""
    forwards, returns = forward_rates(YIELDS), annual_excess_returns(YIELDS)
    assert returns.shape == (T - 12, YEARS - 1)

    def price(t: int, n: int) -> float:
        return float(np.exp(-n * YIELDS[t, n - 1])) if n else 1.0

    for t in (0, 17, T - 13):
        for n in range(1, YEARS + 1):
            assert forwards[t, n - 1] == pytest.approx(np.log(price(t, n - 1) / price(t, n)), abs=1e-14)
        for n in range(2, YEARS + 1):
            earned = np.log(price(t + 12, n - 1) / price(t, n)) - np.log(1 / price(t, 1))
            assert returns[t, n - 2] == pytest.approx(earned, abs=1e-14)


def test_expected_returns_under_the_expectations_hypothesis_are_the_forwards() -> None:
    """With yields that stay as they are a bond rolls down: its excess return is its forward spread."""
    still = np.tile(YIELDS[:1], (14, 1))
    spreads = forward_rates(still)[:, 1:] - forward_rates(still)[:, :1]
    np.testing.assert_allclose(annual_excess_returns(still), spreads[:2], atol=1e-15)


@pytest.mark.parametrize("settings", [SMALL, RECENT])
def test_regressions_agree_with_statsmodels(settings: CochranePiazzesiSettings) -> None:
    fit = fit_return_regressions(YIELDS, settings)
    n = settings.longest
    f = forward_rates(YIELDS[:, :n])[: T - 12]
    X = sm.add_constant(f if settings.regressors == "levels" else f[:, 1:] - f[:, :1])
    returns = annual_excess_returns(YIELDS[:, :n])
    theirs = [sm.OLS(returns[:, k], X).fit() for k in range(n - 1)]
    np.testing.assert_allclose(fit.intercepts, [each.params[0] for each in theirs], rtol=1e-8)
    np.testing.assert_allclose(fit.slopes, [each.params[1:] for each in theirs], rtol=1e-7)
    np.testing.assert_allclose(fit.r2, [each.rsquared for each in theirs], rtol=1e-9)
    assert fit.n_months == T - 12


def test_the_factor_of_2005_is_the_fitted_average() -> None:
    fit = fit_return_regressions(YIELDS, RECENT)
    forwards = forward_rates(YIELDS[:, :5])
    average = annual_excess_returns(YIELDS[:, :5]).mean(axis=1)
    theirs = sm.OLS(average, sm.add_constant(forwards[: T - 12])).fit()
    np.testing.assert_allclose(fit.factor(forwards), theirs.predict(sm.add_constant(forwards)), atol=1e-12)
    assert fit.factor_r2 == pytest.approx(theirs.rsquared, rel=1e-9)
    assert (FACTOR_OF_2005.longest, FACTOR_OF_2005.regressors, FACTOR_OF_2005.weights) == (5, "levels", "average")


def test_the_factor_of_2008_is_the_first_component_of_expected_returns() -> None:
    fit = fit_return_regressions(YIELDS, SMALL)
    f = forward_rates(YIELDS)
    spreads = (f[:, 1:] - f[:, :1])[: T - 12]
    expected = fit.intercepts + spreads @ fit.slopes.T
    component = PCA(n_components=1, svd_solver="full").fit(expected)
    direction = component.components_[0] * np.sign(component.components_[0].sum())
    np.testing.assert_allclose(fit.weights, direction, atol=1e-10)
    assert fit.dominance == pytest.approx(component.explained_variance_ratio_[0], rel=1e-10)
    np.testing.assert_allclose(fit.factor(spreads), expected @ direction, atol=1e-12)
    # The factor is its own best forecast: a slope of one and no intercept.
    combined = annual_excess_returns(YIELDS) @ fit.weights
    theirs = sm.OLS(combined, sm.add_constant(fit.factor(spreads))).fit()
    np.testing.assert_allclose(theirs.params, [0.0, 1.0], atol=1e-9)
    assert fit.factor_r2 == pytest.approx(theirs.rsquared, rel=1e-9)


def test_a_month_uses_years_that_have_ended(curve) -> None:
    month = shift(FIRST, 100)
    row = cochrane_piazzesi(curve, [month], SMALL).row(0, named=True)
    assert row["n_months"] == 101 - 12
    fit = fit_return_regressions(YIELDS[:101], SMALL)
    f = forward_rates(YIELDS[100:101])
    spread = f[:, 1:] - f[:, :1]
    assert row["cochrane_piazzesi"] == pytest.approx(float(fit.factor(spread)[0]), rel=1e-9)
    slopes = np.array([row[f"slope_forward_{n}"] for n in range(2, YEARS + 1)])
    assert row["intercept"] + spread[0] @ slopes == pytest.approx(row["cochrane_piazzesi"], rel=1e-9)
    assert row["mean_r2"] == pytest.approx(fit.r2.mean(), rel=1e-9)


def test_keeps_the_promise(check_promise, curve) -> None:
    months = [date(1979, 5, 1), shift(FIRST, 50), shift(FIRST, 51), shift(FIRST, 52), shift(FIRST, 200)]
    for settings in (SMALL, RECENT):
        check_promise(lambda f, m, s=settings: cochrane_piazzesi(f["curve"], m, s), {"curve": curve}, months)


def test_too_short_or_absent_yields_are_nulls(curve) -> None:
    hole = pl.when(pl.col("month") != shift(FIRST, 80)).then("zero_6").alias("zero_6")
    months = [date(1979, 1, 1), shift(FIRST, 50), shift(FIRST, 51), shift(FIRST, 80), shift(FIRST, 95)]
    out = cochrane_piazzesi(curve.with_columns(hole), months, SMALL)
    assert out["n_months"].to_list() == [None, None, 40, 69, 83]
    assert out["cochrane_piazzesi"].is_null().to_list() == [True, True, False, True, False]
    assert cochrane_piazzesi(curve.head(0), months, SMALL)["factor_r2"].null_count() == 5


def test_dependent_forward_rates_make_no_factor() -> None:
    flat = np.tile(YIELDS[:, :1], (1, YEARS))
    assert fit_return_regressions(flat, SMALL) is None


@pytest.mark.parametrize("wrong", [{"regressors": "prices"}, {"weights": "first"}, {"longest": 1}, {"min_months": 5}])
def test_settings_refuse_what_cannot_be(wrong) -> None:
    with pytest.raises(ValueError, match="must be"):
        CochranePiazzesiSettings(**wrong)


def test_the_longest_bond_is_within_the_curve() -> None:
    """The asset of the curve has columns up to its longest year and no further."""
    years = sorted(int(name[5:]) for name in treasury_curve({}, None, [FIRST]).columns if name.startswith("zero_"))
    assert CochranePiazzesiSettings(longest=years[-1]).names[-1] == f"forward_{years[-1]}"
    with pytest.raises(ValueError, match=f"longest {years[-1] + 1} must be from 2 to {years[-1]}"):
        CochranePiazzesiSettings(longest=years[-1] + 1)
