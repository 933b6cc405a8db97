from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from pipeline.evaluation.comparison_pairs import (
    Specification,
    available,
    benchmark_pairs,
    feature_pairs,
    nested,
    size_pairs,
    specifications,
)
from pipeline.evaluation.comparisons import (
    CLARK_WEST,
    DIEBOLD_MARIANO,
    HacSettings,
    clark_west,
    classification_scores,
    compare,
    diebold_mariano,
    newey_west_lags,
    prediction_errors,
    significance_stars,
)
from pipeline.evaluation.forecast_moments import SCHEMA, classification_moments, forecast_moments
from pipeline.evaluation.forecasts import with_realised
from pipeline.evaluation.r2 import out_of_sample_r_squared
from pipeline.models.concentrated_loss import AssetLoss, assets_with_loadings
from pipeline.models.conditional_factors import instrument_matrix
from pipeline.models.factor_model import Sample
from pipeline.models.observed_factors import ObservedFactorModel
from pipeline.simulation.factor_model import FactorModelSettings, simulate_factor_model

SMALL, LARGE, ZERO = Specification("rdcfm", 1), Specification("rdcfm", 2), Specification("zero", 0)


@pytest.fixture(scope="module")
def case(make_forecasts):
    return make_forecasts(n_months=40, seed=3)


@pytest.fixture(scope="module")
def moments(case):
    return forecast_moments(case.forecasts, case.returns, case.months, key="permno")


def plain_series(case, benchmark, model) -> dict[str, np.ndarray]:
    """Monthly means over the assets, each from its own loop over the panel."""
    series: dict[str, list[float]] = {CLARK_WEST: [], DIEBOLD_MARIANO: [], "benchmark": [], "model": []}
    for month in case.months:
        y, f1, f2 = case.common(month, benchmark, model)
        e1, e2 = (y - f1) ** 2, (y - f2) ** 2
        series[CLARK_WEST].append(np.mean(e1 - (e2 - (f1 - f2) ** 2)))
        series[DIEBOLD_MARIANO].append(np.mean(e1 - e2))
        series["benchmark"].append(np.mean(e1))
        series["model"].append(np.mean(e2))
    return {name: np.array(values) for name, values in series.items()}


def newey_west(series: np.ndarray, lags: int) -> float:
    """Standard error of the mean with Bartlett weights and Harvey, Leybourne and Newbold's correction, written out."""
    centred, periods = series - series.mean(), len(series)
    long_run = centred @ centred / periods
    for lag in range(1, lags + 1):
        long_run += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag]) / periods
    h = lags + 1
    return np.sqrt(long_run / periods) / np.sqrt((periods + 1 - 2 * h + h * (h - 1) / periods) / periods)


@pytest.mark.parametrize("lags", [None, 0, 6])
@pytest.mark.parametrize(("test", "run"), [(CLARK_WEST, clark_west), (DIEBOLD_MARIANO, diebold_mariano)])
@pytest.mark.parametrize("pair", [(SMALL, LARGE), (ZERO, SMALL), (SMALL, Specification("cfm", 1))])
def test_statistics_agree_with_plain_loops_over_the_panel(case, moments, test, run, pair, lags):
    result = run(moments, *pair, HacSettings(lags=lags))
    plain = plain_series(case, *pair)
    used = 3 if lags is None else lags
    assert result.lags == used
    assert result.n_months == 40
    assert result.n == sum(len(case.common(month, *pair)[0]) for month in case.months)
    assert result.mspe_benchmark == pytest.approx(plain["benchmark"].mean(), rel=1e-12)
    assert result.mspe_model == pytest.approx(plain["model"].mean(), rel=1e-12)
    scale = plain["model"].mean()
    assert result.difference == pytest.approx(plain[DIEBOLD_MARIANO].mean(), abs=1e-12 * scale)
    assert result.statistic == pytest.approx(plain[test].mean(), abs=1e-12 * scale)
    assert result.standard_error == pytest.approx(newey_west(plain[test], used), rel=1e-10)
    fit = sm.OLS(plain[test], np.ones(40)).fit(cov_type="HAC", cov_kwds={"maxlags": used})
    corrected = float(fit.tvalues[0]) * float(fit.bse[0]) / newey_west(plain[test], used)
    assert result.t == pytest.approx(corrected, rel=1e-9)
    if used == 0:
        # Without lags the correction is the variance's usual T - 1, and the test is Student's.
        peer = ttest_1samp(plain[test], 0.0, alternative="greater" if test == CLARK_WEST else "two-sided")
        assert (result.t, result.p) == pytest.approx((peer.statistic, peer.pvalue), rel=1e-8)
    two_sided = 2.0 * student(39).sf(abs(corrected))
    one_sided = two_sided / 2.0 if corrected > 0 else 1.0 - two_sided / 2.0
    assert result.p == pytest.approx(one_sided if test == CLARK_WEST else two_sided, rel=1e-8)


@pytest.mark.parametrize("n_months", [14, 23])
def test_few_months_do_not_inflate_the_stars(n_months):
    """One asset, forecasts that are constants: both series are independent normal months of mean zero."""
    rng, draws = np.random.default_rng(n_months), 500
    y, names = rng.normal(size=(draws, n_months)), [f"m{draw:04d}" for draw in range(draws)]
    months = [date(2001 + t // 12, t % 12 + 1, 1) for t in range(n_months)]
    rejected = {}
    for test, (first, second) in {CLARK_WEST: (0.0, 0.2), DIEBOLD_MARIANO: (-0.2, 0.2)}.items():
        rows = pl.DataFrame({"month": months * draws, "model_b": np.repeat(names, n_months), "r": y.ravel()})
        moments = rows.select(
            "month", model_a=pl.lit("a"), n_factors_a=1, model_b="model_b", n_factors_b=1, n=1, yy=pl.col("r") ** 2,
            ya=first * pl.col("r"), yb=second * pl.col("r"), aa=pl.lit(first**2), ab=pl.lit(first * second),
            bb=pl.lit(second**2),
        )  # fmt: skip
        pairs = [(Specification("a", 1), Specification(name, 1)) for name in names]
        p = compare(moments, pairs, test)["p"]
        rejected[test] = float((p < 0.05).mean())
    assert all(0.025 <= share <= 0.075 for share in rejected.values()), rejected


def test_a_toy_by_hand():
    # Month 1: returns 1, 2 with forecasts 1, 1 (errors 0, 1); month 2: return 3 with forecast 1 (error 2).
    rows = [
        (date(2001, 1, 1), "m", 1, "m", 1, 2, 5.0, 3.0, 3.0, 2.0, 2.0, 2.0),
        (date(2001, 2, 1), "m", 1, "m", 1, 1, 9.0, 3.0, 3.0, 1.0, 1.0, 1.0),
    ]
    table = prediction_errors(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    assert table.row(0, named=True) == {
        "model": "m",
        "n_factors": 1,
        "n_months": 2,
        "n": 3,
        "mspe": (0.5 + 4.0) / 2,
        "r2": pytest.approx(1 - 5 / 14, rel=1e-15),
    }


def test_prediction_errors_on_own_and_on_shared_assets(case, moments):
    own = prediction_errors(moments)
    assert [Specification(*row) for row in own.select("model", "n_factors").iter_rows()] == specifications(moments)
    cover = Specification("cfm", 1)
    shared = prediction_errors(moments, covered_by=cover)
    assert shared["model"].to_list() == own["model"].to_list()
    for table, with_cover in ((own, ()), (shared, (cover,))):
        for row in table.iter_rows(named=True):
            key = (row["model"], row["n_factors"])
            months = [case.common(month, key, *with_cover)[:2] for month in case.months]
            assert row["n"] == sum(len(y) for y, _ in months)
            assert row["mspe"] == pytest.approx(np.mean([np.mean((y - f) ** 2) for y, f in months]), rel=1e-12)
    with pytest.raises(ValueError, match="no forecast is of ipca with 3 factors"):
        prediction_errors(moments, covered_by=Specification("ipca", 3))


def test_the_r_squared_is_that_of_the_forecasts(case, moments):
    one = case.forecasts.filter(pl.col("model") == "rdcfm", pl.col("n_factors") == 2)
    expected = out_of_sample_r_squared(with_realised(one, case.returns, key="permno"))
    row = prediction_errors(moments).filter(pl.col("model") == "rdcfm", pl.col("n_factors") == 2)
    assert row["n"].to_list() == expected["n"].to_list()
    assert row["r2"][0] == pytest.approx(expected["r2"][0], rel=1e-11)
    zero = prediction_errors(moments).filter(pl.col("model") == "zero")
    assert zero["r2"].to_list() == [0.0]


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_exchanging_the_forecasts_changes_only_the_sign(make_forecasts, seed):
    case = make_forecasts(n_months=14, n_assets=8, models=(("a", 1), ("b", 2)), seed=seed)
    moments = forecast_moments(case.forecasts, case.returns, case.months, key="permno")
    a, b = Specification("a", 1), Specification("b", 2)
    forth, back = diebold_mariano(moments, a, b), diebold_mariano(moments, b, a)
    assert forth.statistic == pytest.approx(-back.statistic, rel=1e-14)
    assert forth.t == pytest.approx(-back.t, rel=1e-12)
    assert forth.p == pytest.approx(back.p, rel=1e-10)
    assert (forth.mspe_benchmark, forth.mspe_model) == (back.mspe_model, back.mspe_benchmark)


def test_a_forecast_against_itself_leaves_nothing_to_test(make_forecasts, moments):
    for run in (clark_west, diebold_mariano):
        same = run(moments, LARGE, LARGE)
        assert (same.statistic, same.standard_error, same.t, same.p, same.stars) == (0.0, 0.0, None, None, "")
    # The same numbers under two names differ by rounding at most, which must not look like evidence.
    one = make_forecasts(models=(("dcfm", 1),), n_months=30, n_assets=200)
    both = pl.concat([one.forecasts, one.forecasts.with_columns(model=pl.lit("rdcfm"))])
    twins = forecast_moments(both, one.returns, one.months, key="permno")
    result = clark_west(twins, Specification("dcfm", 1), Specification("rdcfm", 1))
    assert abs(result.statistic) < 1e-15
    assert (result.t, result.p) == (None, None)


def test_clark_west_finds_a_feature_that_helps_and_keeps_its_size():
    rng = np.random.default_rng(5)
    n_months, n_assets = 120, 20
    rejected = {"null": 0, "power": 0}
    for name, signal in (("null", 0.0), ("power", 0.02)):
        for _ in range(60):
            x = rng.normal(size=(n_months, n_assets))
            y = signal * x + 0.1 * rng.normal(size=x.shape)
            # The larger model's coefficient is estimated with noise around the truth.
            f2 = (signal + 0.01 * rng.normal(size=(n_months, 1))) * x
            zeros = np.zeros(n_months)
            rows = pl.DataFrame(
                {
                    "month": [date(1990 + t // 12, t % 12 + 1, 1) for t in range(n_months)],
                    "n": np.full(n_months, n_assets),
                    "yy": (y**2).sum(axis=1),
                    "ya": zeros,
                    "yb": (y * f2).sum(axis=1),
                    "aa": zeros,
                    "ab": zeros,
                    "bb": (f2**2).sum(axis=1),
                }
            ).with_columns(model_a=pl.lit("a"), n_factors_a=1, model_b=pl.lit("b"), n_factors_b=1)
            result = clark_west(rows, Specification("a", 1), Specification("b", 1))
            rejected[name] += result.p < 0.05
            # One-sided: a model that forecasts the opposite is as far from better as this one is from worse.
            opposite = clark_west(rows.with_columns(yb=-pl.col("yb")), result.benchmark, result.model)
            assert opposite.p == pytest.approx(1.0 - result.p, rel=1e-12)
    assert rejected["null"] <= 9
    assert rejected["power"] == 60


def test_the_table_holds_the_tests_in_order(moments):
    pairs = [(ZERO, LARGE), (SMALL, LARGE), (LARGE, SMALL)]
    table = compare(moments, pairs, DIEBOLD_MARIANO)
    assert table["benchmark"].to_list() == ["zero", "rdcfm", "rdcfm"]
    assert table["n_factors_benchmark"].to_list() == [0, 1, 2]
    assert table["n_factors"].to_list() == [2, 2, 1]
    single = diebold_mariano(moments, ZERO, LARGE)
    row = table.row(0, named=True)
    for name in ("n_months", "n", "mspe_benchmark", "mspe_model", "difference", "statistic", "t", "p", "lags", "stars"):
        assert row[name] == getattr(single, name), name
    assert table["t"][1] == -table["t"][2]
    assert compare(moments, [], CLARK_WEST).columns == table.columns


def test_what_cannot_be_tested_is_refused(moments):
    with pytest.raises(ValueError, match="ipca with 1 factors and rdcfm with 1 factors have no month in common"):
        clark_west(moments, Specification("ipca", 1), SMALL)
    few = moments.filter(pl.col("month") < moments["month"].unique().sort()[8])
    with pytest.raises(ValueError, match=r"rdcfm with 2 factors: 8 months are too few for a test with 2 lags; .* 12"):
        clark_west(few, SMALL, LARGE)
    with pytest.raises(ValueError, match="40 months are too few"):
        clark_west(moments, SMALL, LARGE, HacSettings(lags=39))
    with pytest.raises(ValueError, match="no test 'giacomini_white'"):
        compare(moments, [(SMALL, LARGE)], "giacomini_white")
    with pytest.raises(ValueError, match="lags is -1"):
        HacSettings(lags=-1)
    with pytest.raises(ValueError, match="min_months is 1"):
        HacSettings(min_months=1)


def test_stars_and_lags():
    assert [significance_stars(p) for p in (0.0, 0.0099, 0.01, 0.05, 0.0999, 0.1, None)] == [
        "***", "***", "**", "*", "*", "", "",
    ]  # fmt: skip
    assert [newey_west_lags(periods) for periods in (20, 100, 480)] == [2, 4, 5]


def test_the_pairs_of_the_tables(moments):
    features = feature_pairs()
    assert {panel: len(pairs) for panel, pairs in features.items()} == {"A": 18, "B": 6, "C": 6}
    assert features["A"][0] == (("dcfm", 1), ("rdcfm", 1))
    assert features["C"][-1] == (("cfm", 6), ("rcfm", 6))
    sizes = size_pairs()
    assert len(sizes) == 15
    assert all(small.n_factors < large.n_factors and small.model == large.model for small, large in sizes)
    benchmarks = benchmark_pairs()
    by_name = {name: [large.n_factors for small, large in benchmarks if small.model == name] for name in
               ("zero", "mean", "capm", "ff3", "carhart", "ff5", "ff6_conditional", "pca", "ipca")}  # fmt: skip
    every = [1, 2, 3, 4, 5, 6]
    assert by_name == {
        "zero": every, "mean": every, "capm": [1], "ff3": [3], "carhart": [4], "ff5": [5], "ff6_conditional": [6],
        "pca": every, "ipca": every,
    }  # fmt: skip
    assert all(small.n_factors == large.n_factors for small, large in benchmarks if small.model not in ("zero", "mean"))
    assert available(benchmarks, moments) == [(ZERO, SMALL), (ZERO, LARGE)]


def test_which_pairs_are_nested():
    instruments = ("mkt_rf", "smb", "hml", "wml")
    kinds = {
        ("zero", 0, "rdcfm", 1): True, ("zero", 0, "cfm", 2): True,
        ("mean", 1, "rcfm", 1): True, ("mean", 1, "rdcfm", 1): False,
        ("dcfm", 2, "rdcfm", 2): True, ("cfm", 2, "rcfm", 2): True, ("dcfm", 2, "rdcfm", 1): False,
        ("rcfm", 2, "rdcfm", 2): False, ("cfm", 1, "rdcfm", 1): False, ("cfm", 1, "dcfm", 1): False,
        ("rdcfm", 1, "rdcfm", 2): True, ("rdcfm", 2, "rdcfm", 1): False, ("rdcfm", 1, "dcfm", 1): False,
        ("capm", 1, "rcfm", 1): True, ("capm", 1, "rdcfm", 1): False, ("capm_conditional", 1, "rdcfm", 1): True,
        ("carhart", 4, "cfm", 4): True, ("ff5", 5, "cfm", 5): False, ("q_conditional", 4, "dcfm", 4): False,
        ("ipca", 1, "rdcfm", 1): False, ("pca", 1, "cfm", 1): False,
    }  # fmt: skip
    for (small, K, large, more), expected in kinds.items():
        assert nested((Specification(small, K), Specification(large, more)), instruments) == expected, (small, large)
    assert not nested((Specification("capm", 1), Specification("rcfm", 1)))


def test_observed_factors_among_the_instruments_are_a_conditional_factor_model():
    """Omega that picks them from centred instruments makes the same factors, loadings and forecasts."""
    truth = simulate_factor_model(FactorModelSettings(n_months=90, n_assets=20))
    series, returns = truth.sample.instruments, truth.sample.returns
    picked = series.columns(series.names[:2])
    observed = ObservedFactorModel(picked.names, model="observed").fit(Sample(observed=picked, returns=returns))
    centre = series.values.mean(axis=0)
    omega = np.vstack([centre[:2], np.eye(len(series.names))[:, :2]])
    factors = instrument_matrix(series, centre) @ omega
    np.testing.assert_allclose(factors, observed.factors, rtol=0, atol=1e-14)
    np.testing.assert_allclose(omega[0], observed.expected_factor, rtol=0, atol=1e-16)
    enough = assets_with_loadings(returns, instrument_matrix(series, centre), 60)
    np.testing.assert_allclose(AssetLoss(returns, enough).at(factors).loadings, observed.loadings.betas, atol=1e-12)
    assert nested((Specification("ff3", 3), Specification("cfm", 3)), ("mkt_rf", "smb", "hml"))


def test_classification_scores_are_means_of_monthly_means(make_forecasts):
    case = make_forecasts(models=(("rdcfm_logit", 1),), n_months=5)
    scores = classification_scores(classification_moments(case.forecasts, case.returns, case.months, key="permno"))
    months = [case.common(month, ("rdcfm_logit", 1)) for month in case.months]
    row = scores.row(0, named=True)
    assert row["n_months"] == 5
    assert row["n"] == sum(len(y) for y, _ in months)
    assert row["hit_rate"] == pytest.approx(np.mean([np.mean((p > 0.5) == (y > 0)) for y, p in months]), rel=1e-12)
    assert row["base_rate"] == pytest.approx(np.mean([np.mean(y > 0) for y, _ in months]), rel=1e-12)
    assert row["brier"] == pytest.approx(np.mean([np.mean((p - (y > 0)) ** 2) for y, p in months]), rel=1e-12)
    losses = [np.mean(np.where(y > 0, -np.log(p), -np.log(1 - p))) for y, p in months]
    assert row["log_loss"] == pytest.approx(np.mean(losses), rel=1e-12)
