from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from linearmodels.iv import IV2SLS

from pipeline.evaluation.comparison_pairs import Specification
from pipeline.evaluation.comparisons import diebold_mariano
from pipeline.evaluation.forecast_moments import forecast_moments
from pipeline.evaluation.forecasts import with_realised
from pipeline.models.linear_settings import PredictiveSettings
from pipeline.models.predictive_regressions import (
    log_excess_returns,
    out_of_sample_fit,
    predictive_regressions,
    recursive_forecasts,
    regression_tables,
)
from pipeline.panel.calendar import month_of, month_range, shift

FIRST, T = date(1980, 1, 1), 180
MONTHS = month_range(FIRST, shift(FIRST, T - 1))
SPECIFICATIONS = {"mean": (), "cp": ("cp",), "cp_macro": ("cp", "pc_1", "pc_2")}
SHORT = PredictiveSettings(min_months=40)
SLOPES = {"hkm_1": 0.5, "hkm_2": 1.5, "rating_1": 0.0}


@pytest.fixture(scope="module")
def frames() -> dict[str, pl.DataFrame]:
    """Three portfolios, one begun late, whose returns depend on last month's predictors, with unequal variances."""
    rng = np.random.default_rng(0)
    cp, macro = rng.normal(size=T) * 0.01, rng.normal(size=(T, 2))
    blocks = []
    for asset, slope in SLOPES.items():
        ret = rng.normal(size=T) * 0.01 * (1 + np.abs(np.roll(macro[:, 0], 1)))
        ret[1:] += 0.002 + slope * cp[:-1] + 0.004 * macro[:-1, 0]
        begun = 60 if asset == "rating_1" else 0
        blocks.append(pl.DataFrame({"month": MONTHS, "asset_id": asset, "ret": ret})[begun:])
    predictors = pl.DataFrame({"month": MONTHS, "cp": cp, "pc_1": macro[:, 0], "pc_2": macro[:, 1]})
    hole = pl.when(pl.col("month") != MONTHS[100]).then("pc_2").alias("pc_2")
    return {"returns": pl.concat(blocks), "predictors": predictors.with_columns(hole)}


def _pairs(frames: dict[str, pl.DataFrame], asset: str, columns: tuple[str, ...], until: date) -> tuple:
    """Returns and predictors of the month before, looked up one by one."""
    known = {row["month"]: row for row in frames["predictors"].iter_rows(named=True)}
    y, X = [], []
    for month, name, ret in frames["returns"].select("month", "asset_id", "ret").sort("month").iter_rows():
        before = known.get(shift(month, -1))
        if name == asset and month <= until and before and all(before[c] is not None for c in columns):
            y.append(ret)
            X.append([1.0, *(before[c] for c in columns)])
    return np.array(y), np.array(X)


def test_in_sample_agrees_with_linearmodels_and_with_whites_formula(frames) -> None:
    table = predictive_regressions(frames["returns"], frames["predictors"], SPECIFICATIONS, SHORT)
    for (asset, name), rows in table.group_by("asset_id", "specification", maintain_order=True):
        y, X = _pairs(frames, asset, SPECIFICATIONS[name], MONTHS[-1])
        assert rows["predictor"].to_list() == ["constant", *SPECIFICATIONS[name]]
        assert rows["n_months"].unique().to_list() == [len(y)]
        theirs = IV2SLS(y, X, None, None).fit(cov_type="robust", debiased=True)
        np.testing.assert_allclose(rows["coefficient"], theirs.params, rtol=1e-8)
        np.testing.assert_allclose(rows["standard_error"], theirs.std_errors, rtol=1e-8)
        e = y - X @ rows["coefficient"].to_numpy()
        inverse = np.linalg.inv(X.T @ X)
        white = inverse @ (X.T * e**2) @ X @ inverse * len(y) / (len(y) - X.shape[1])
        np.testing.assert_allclose(rows["standard_error"], np.sqrt(np.diag(white)), rtol=1e-8)
        assert rows["r2"][0] == pytest.approx(1 - e.var() / y.var(), abs=1e-10)
    # The month before the first is missing, of the late portfolio it is there; a predictor lacks one month.
    assert sorted(table["n_months"].unique()) == [119, 120, 178, 179]


def test_the_true_predictors_are_found(frames) -> None:
    table = predictive_regressions(frames["returns"], frames["predictors"], SPECIFICATIONS, SHORT)
    macro = table.filter(pl.col("specification") == "cp_macro")
    for asset, slope in SLOPES.items():
        row = macro.filter((pl.col("asset_id") == asset) & (pl.col("predictor") == "cp")).row(0, named=True)
        assert abs(row["coefficient"] - slope) < 2.5 * row["standard_error"]
    assert (macro.filter(pl.col("predictor") == "pc_1")["p"] < 0.10).all()


def test_another_covariance_is_another_error(frames) -> None:
    errors = [
        predictive_regressions(
            frames["returns"], frames["predictors"], SPECIFICATIONS, PredictiveSettings(covariance=kind, min_months=40)
        )["standard_error"][-1]
        for kind in ("HC0", "HC1", "HC2", "HC3")
    ]
    assert len(set(errors)) == 4
    assert errors[0] < errors[1]


def test_a_short_history_is_nulls_beside_its_months(frames) -> None:
    settings = PredictiveSettings(min_months=150)
    table = predictive_regressions(frames["returns"], frames["predictors"], SPECIFICATIONS, settings)
    late = table.filter(pl.col("asset_id") == "rating_1")
    assert late["coefficient"].null_count() == len(late) == 1 + 2 + 4
    assert late["n_months"].min() > 100
    assert table.filter(pl.col("asset_id") != "rating_1")["coefficient"].null_count() == 0


def test_forecasts_are_those_of_plain_regressions_on_the_past(frames) -> None:
    months = [MONTHS[60], MONTHS[130]]
    out = recursive_forecasts(frames["returns"], frames["predictors"], months, SPECIFICATIONS, SHORT)
    assert out["target_month"].to_list() == [shift(m, 1) for m in out["month"]]
    found = {(m, s, a): f for m, s, a, f in out.select("month", "model", "asset_id", "forecast").iter_rows()}
    known = {row["month"]: row for row in frames["predictors"].iter_rows(named=True)}
    expected = 0
    for month in months:
        for name, columns in SPECIFICATIONS.items():
            for asset in SLOPES:
                y, X = _pairs(frames, asset, columns, month)
                if len(y) < 40:
                    assert (month, name, asset) not in found
                    continue
                expected += 1
                b = np.linalg.solve(X.T @ X, X.T @ y)
                today = np.array([1.0, *(known[month][c] for c in columns)])
                assert found[month, name, asset] == pytest.approx(float(today @ b), abs=1e-12)
    assert len(found) == expected == 2 * 3 + 3 * 3


def test_a_forecast_begins_with_as_many_months_as_are_asked_for(frames) -> None:
    """The late portfolio has its first return in month 60, its fortieth in month 99."""
    months = [MONTHS[98], MONTHS[99]]
    late = frames["returns"].filter(pl.col("asset_id") == "rating_1")
    assert [late.filter(pl.col("month") <= month).height for month in months] == [39, 40]
    out = recursive_forecasts(frames["returns"], frames["predictors"], months, SPECIFICATIONS, SHORT)
    own = out.filter(pl.col("asset_id") == "rating_1")
    assert own.select("month", "model").rows() == [(MONTHS[99], name) for name in SPECIFICATIONS]
    assert out.height == 2 * 2 * 3 + 3


def test_dependent_predictors_leave_their_specification_without_numbers(frames) -> None:
    """A constant predictor, and one that is twice another: the other specifications are as they were."""
    specifications = {"cp": ("cp",), "pc": ("pc_1",), "both": ("cp", "pc_1")}
    twice = frames["predictors"].with_columns(pc_1=2.0 * pl.col("cp"))
    constant = frames["predictors"].with_columns(cp=pl.lit(0.02))
    month = [MONTHS[150]]
    for predictors, dependent in [(twice, ["both"]), (constant, ["cp", "both"])]:
        table = predictive_regressions(frames["returns"], predictors, specifications, SHORT)
        left = table.filter(pl.col("specification").is_in(dependent))
        assert left.select("coefficient", "standard_error", "p", "r2").null_count().row(0) == (left.height,) * 4
        assert left["n_months"].min() > 100
        alone = {name: columns for name, columns in specifications.items() if name not in dependent}
        kept = table.filter(~pl.col("specification").is_in(dependent))
        assert kept.equals(predictive_regressions(frames["returns"], predictors, alone, SHORT))
        assert kept["coefficient"].null_count() == 0
        forecasts = recursive_forecasts(frames["returns"], predictors, month, specifications, SHORT)
        assert forecasts.equals(recursive_forecasts(frames["returns"], predictors, month, alone, SHORT))
        assert set(forecasts["model"]) == set(alone)


def test_the_forecast_of_no_predictors_is_the_mean_so_far(frames) -> None:
    out = recursive_forecasts(frames["returns"], frames["predictors"], [MONTHS[90]], {"mean": ()}, SHORT)
    past = frames["returns"].filter((pl.col("asset_id") == "hkm_1") & pl.col("month").is_between(MONTHS[1], MONTHS[90]))
    assert out["forecast"][0] == pytest.approx(past["ret"].mean(), rel=1e-12)


def test_a_missing_predictor_leaves_its_forecasts_out(frames) -> None:
    out = recursive_forecasts(frames["returns"], frames["predictors"], [MONTHS[100]], SPECIFICATIONS, SHORT)
    assert set(out["model"]) == {"mean", "cp"}
    beyond = recursive_forecasts(frames["returns"], frames["predictors"], [shift(MONTHS[-1], 1)], SPECIFICATIONS, SHORT)
    assert set(beyond["model"]) == {"mean"}
    early = recursive_forecasts(frames["returns"], frames["predictors"], [date(1960, 1, 1)], SPECIFICATIONS, SHORT)
    assert early.is_empty()


def test_months_are_the_same_alone_and_whatever_comes_later(frames) -> None:
    months = [MONTHS[50], MONTHS[110], MONTHS[150]]
    whole = recursive_forecasts(frames["returns"], frames["predictors"], months, SPECIFICATIONS, SHORT)
    for month in months:
        later = pl.col("month") > month
        floats = pl.selectors.float()
        changed = {
            name: frame.with_columns(pl.when(later).then(floats * 1.7 + 3.1).otherwise(floats))
            for name, frame in frames.items()
        }
        cut = {name: frame.filter(~later).sample(fraction=1.0, shuffle=True, seed=1) for name, frame in frames.items()}
        for variant in (frames, changed, cut):
            alone = recursive_forecasts(variant["returns"], variant["predictors"], [month], SPECIFICATIONS, SHORT)
            assert alone.equals(whole.filter(pl.col("month") == month))


@pytest.fixture(scope="module")
def forecasts(frames) -> pl.DataFrame:
    return recursive_forecasts(frames["returns"], frames["predictors"], MONTHS[50:-1:2], SPECIFICATIONS, SHORT)


def test_out_of_sample_fit_by_plain_loops(frames, forecasts) -> None:
    returns = frames["returns"].rename({"asset_id": "isin", "ret": "ret_excess"})
    evaluated = with_realised(forecasts, returns)
    table = out_of_sample_fit(evaluated, "mean")
    rows = {(r["model"], r["asset_id"], r["month"]): r for r in evaluated.iter_rows(named=True)}
    for asset, model, n, zero, benchmark in table.iter_rows():
        both = [
            (r["realised"], r["forecast"], rows["mean", asset, month]["forecast"])
            for (name, own, month), r in rows.items()
            if name == model and own == asset and ("mean", asset, month) in rows
        ]
        y, f, m = np.array(both).T
        assert n == len(both)
        assert zero == pytest.approx(1 - ((y - f) ** 2).sum() / (y**2).sum(), abs=1e-12)
        assert benchmark == pytest.approx(1 - ((y - f) ** 2).sum() / ((y - m) ** 2).sum(), abs=1e-12)
    assert set(table["model"]) == {"cp", "cp_macro"}
    assert table.filter((pl.col("model") == "cp_macro") & (pl.col("asset_id") == "hkm_2"))["r2_benchmark"][0] > 0.1
    with pytest.raises(ValueError, match="benchmark 'capm'"):
        out_of_sample_fit(evaluated, "capm")


def test_errors_go_into_the_diebold_mariano_test(frames, forecasts) -> None:
    """The statistic of table 10: the forecasts here against others, on the common asset-months."""
    returns = frames["returns"].rename({"asset_id": "isin", "ret": "ret_excess"})
    moments = forecast_moments(forecasts, returns, MONTHS[51:])
    test = diebold_mariano(moments, Specification("mean", 0), Specification("cp_macro", 3))
    evaluated = with_realised(forecasts, returns).with_columns(
        ((pl.col("realised") - pl.col("forecast")) ** 2).alias("error")
    )
    wide = evaluated.pivot(on="model", index=["month", "asset_id"], values="error").drop_nulls()
    monthly = wide.group_by("month").agg((pl.col("mean") - pl.col("cp_macro")).mean().alias("difference")).sort("month")
    assert test.n_months == len(monthly)
    assert test.difference == pytest.approx(monthly["difference"].mean(), rel=1e-9)
    assert test.t > 2.0


def test_bad_frames_are_refused(frames) -> None:
    returns, predictors = frames["returns"], frames["predictors"]
    with pytest.raises(ValueError, match=r"no columns \['pc_2'\]"):
        predictive_regressions(returns, predictors.drop("pc_2"), SPECIFICATIONS, SHORT)
    with pytest.raises(ValueError, match="two returns in one month"):
        predictive_regressions(pl.concat([returns, returns]), predictors, SPECIFICATIONS, SHORT)
    with pytest.raises(ValueError, match="NaN or infinite"):
        predictive_regressions(returns, predictors.with_columns(cp=pl.lit(float("nan"))), SPECIFICATIONS, SHORT)
    with pytest.raises(ValueError, match="NaN or infinite"):
        predictive_regressions(returns.with_columns(ret=pl.lit(float("inf"))), predictors, SPECIFICATIONS, SHORT)
    for wrong in ({"covariance": "HC4"}, {"min_months": 1}):
        with pytest.raises(ValueError, match=r"covariance|min_months"):
            PredictiveSettings(**wrong)
    empty = recursive_forecasts(returns.head(0), predictors.head(0), [month_of(24000)], SPECIFICATIONS, SHORT)
    assert empty.is_empty()


def test_newey_and_wests_errors_are_those_of_linearmodels(frames) -> None:
    settings = PredictiveSettings(covariance="HAC", lags=3, min_months=40)
    table = predictive_regressions(frames["returns"], frames["predictors"], SPECIFICATIONS, settings)
    rows = table.filter((pl.col("asset_id") == "hkm_2") & (pl.col("specification") == "cp_macro"))
    y, X = _pairs(frames, "hkm_2", SPECIFICATIONS["cp_macro"], MONTHS[-1])
    theirs = IV2SLS(y, X, None, None).fit(cov_type="kernel", kernel="bartlett", bandwidth=3, debiased=False)
    np.testing.assert_allclose(rows["standard_error"], theirs.std_errors, rtol=1e-8)
    plain = predictive_regressions(frames["returns"], frames["predictors"], SPECIFICATIONS, SHORT)
    assert not rows["standard_error"].equals(plain.filter(pl.col("asset_id") == "hkm_2")["standard_error"][-4:])


def test_log_excess_returns_by_hand() -> None:
    frame = pl.DataFrame(
        {
            "month": MONTHS[:4],
            "asset_id": ["a"] * 4,
            "ret": [0.03, -0.02, -1.0, None],
            "ret_excess": [0.02, -0.02, -1.01, 0.01],
        }
    )
    logs = log_excess_returns(frame)["ret"].to_list()
    assert logs[:2] == pytest.approx([np.log(1.03 / 1.01), np.log(0.98)], rel=1e-12)
    assert logs[2:] == [None, None]


def test_tables_of_a_month_know_nothing_later(frames) -> None:
    month = MONTHS[120]
    by_kind = {"whole_sample": frames["predictors"], "real_time": frames["predictors"].with_columns(pl.col("cp") * 2)}
    table = regression_tables(frames["returns"], by_kind, month, SPECIFICATIONS, SHORT)
    assert table["month"].unique().to_list() == [month]
    cut = frames["returns"].filter(pl.col("month") <= month)
    direct = predictive_regressions(cut, frames["predictors"], SPECIFICATIONS, SHORT)
    whole = table.filter(pl.col("factors") == "whole_sample")
    assert whole["coefficient"].to_list() == direct["coefficient"].to_list()
    # A predictor of twice the size has half the slope.
    slopes = table.filter((pl.col("predictor") == "cp") & (pl.col("portfolio") == "hkm_1"))
    by_factors = dict(slopes.filter(pl.col("specification") == "cp").select("factors", "coefficient").iter_rows())
    assert by_factors["real_time"] == pytest.approx(by_factors["whole_sample"] / 2)
