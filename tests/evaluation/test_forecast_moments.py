from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from pipeline.evaluation.forecast_moments import (
    CLASSIFICATION_SCHEMA,
    SCHEMA,
    classification_moments,
    forecast_moments,
)
from pipeline.panel.calendar import shift

SUMS = ("yy", "ya", "yb", "aa", "ab", "bb")


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_sums_of_every_pair_agree_with_a_plain_loop(make_forecasts, seed):
    case = make_forecasts(n_months=2, seed=seed)
    moments = forecast_moments(case.forecasts, case.returns, case.months, key="permno")
    assert dict(moments.schema) == SCHEMA
    keys = sorted(set(case.forecasts.select("model", "n_factors").iter_rows()))
    expected = [(month, *a, *b) for month in case.months for a, b in itertools.combinations_with_replacement(keys, 2)]
    assert list(moments.select(list(SCHEMA)[:5]).iter_rows()) == expected
    for row in moments.iter_rows(named=True):
        a, b = (row["model_a"], row["n_factors_a"]), (row["model_b"], row["n_factors_b"])
        y, fa, fb = case.common(row["month"], a, b)
        assert row["n"] == len(y) > 0
        plain = {"yy": y @ y, "ya": y @ fa, "yb": y @ fb, "aa": fa @ fa, "ab": fa @ fb, "bb": fb @ fb}
        for name in SUMS:
            assert row[name] == pytest.approx(plain[name], rel=1e-12, abs=1e-15), name


def test_a_forecast_with_itself_is_exactly_itself(make_forecasts):
    case = make_forecasts(n_months=3, n_assets=200)
    moments = forecast_moments(case.forecasts, case.returns, case.months, key="permno")
    own = moments.filter(pl.col("model_a") == pl.col("model_b"), pl.col("n_factors_a") == pl.col("n_factors_b"))
    assert own.height == 12
    assert own["aa"].equals(own["ab"])
    assert own["bb"].equals(own["ab"])
    assert own["ya"].equals(own["yb"])


def test_a_month_alone_is_the_month_in_a_range_bit_for_bit(make_forecasts):
    case = make_forecasts(n_months=6, n_assets=120)
    models = make_forecasts(models=(("rdcfm_logit", 1),), n_months=6, n_assets=120)
    for moments_of, forecasts in ((forecast_moments, case.forecasts), (classification_moments, models.forecasts)):
        together = moments_of(forecasts, case.returns, case.months, key="permno")
        for month in case.months:
            later = forecasts.filter(pl.col("target_month") <= month).sample(fraction=1.0, shuffle=True, seed=1)
            returns = case.returns.with_columns(
                pl.when(pl.col("month") > month).then(9.9).otherwise("ret_excess").alias("ret_excess")
            )
            alone = moments_of(later, returns, [month], key="permno")
            assert_frame_equal(alone, together.filter(pl.col("month") == month), check_exact=True)
            assert alone.height


def test_months_and_pairs_without_a_common_asset_have_no_row(make_forecasts):
    case = make_forecasts(n_months=1, models=(("a", 1), ("b", 1)))
    odd = pl.col("asset_id").cast(pl.Int64) % 2 == 1
    apart = case.forecasts.filter(pl.when(pl.col("model") == "a").then(odd).otherwise(~odd))
    wanted = [*case.months, shift(case.months[-1], 1)]
    moments = forecast_moments(apart, case.returns, wanted, key="permno")
    assert list(moments.select("model_a", "model_b").iter_rows()) == [("a", "a"), ("b", "b")]
    nothing = forecast_moments(apart, case.returns, wanted[1:], key="permno")
    assert dict(nothing.schema) == SCHEMA
    assert nothing.height == 0
    assert dict(classification_moments(apart, case.returns, wanted, key="permno").schema) == CLASSIFICATION_SCHEMA


def test_nan_and_null_forecasts_are_none(make_forecasts):
    case = make_forecasts(n_months=1, models=(("a", 1),))
    rows = case.forecasts.with_row_index()
    holes = rows.with_columns(
        pl.when(pl.col("index") == 0)
        .then(float("nan"))
        .when(pl.col("index") == 1)
        .then(None)
        .otherwise("forecast")
        .alias("forecast")
    )
    holed = forecast_moments(holes, case.returns, case.months, key="permno")
    without = forecast_moments(rows.filter(pl.col("index") > 1), case.returns, case.months, key="permno")
    assert_frame_equal(holed, without, check_exact=True)


def test_probabilities_are_scored_and_kept_out_of_the_pairs(make_forecasts):
    case = make_forecasts(models=(("rdcfm_logit", 2), ("dcfm_logit", 1), ("rdcfm", 2)), n_months=3)
    moments = forecast_moments(case.forecasts, case.returns, case.months, key="permno")
    assert set(moments["model_a"]) | set(moments["model_b"]) == {"rdcfm"}
    scores = classification_moments(case.forecasts, case.returns, case.months, key="permno")
    assert list(scores.select("month", "model", "n_factors").iter_rows()) == [
        (month, *key) for month in case.months for key in (("dcfm_logit", 1), ("rdcfm_logit", 2))
    ]
    for row in scores.iter_rows(named=True):
        y, p = case.common(row["month"], (row["model"], row["n_factors"]))
        assert row["n"] == len(y)
        assert row["positives"] == (y > 0).sum()
        assert row["hits"] == accuracy_score(y > 0, p > 0.5, normalize=False)
        assert row["log_loss"] == pytest.approx(log_loss(y > 0, p, normalize=False), rel=1e-12)
        assert row["brier"] == pytest.approx(len(y) * brier_score_loss(y > 0, p), rel=1e-12)


def test_a_certain_probability_that_is_wrong_costs_a_finite_loss(make_forecasts):
    case = make_forecasts(models=(("rdcfm_logit", 1),), n_months=1)
    certain = case.forecasts.with_columns(forecast=pl.lit(1.0))
    row = classification_moments(certain, case.returns, case.months, key="permno").row(0, named=True)
    assert row["n"] > row["positives"]
    assert row["log_loss"] == pytest.approx((row["n"] - row["positives"]) * -np.log(np.finfo(float).eps), rel=1e-12)


def test_a_return_of_zero_is_not_positive(make_forecasts):
    """As the models for directions have it; see :mod:`pipeline.models.logistic_factors`."""
    case = make_forecasts(models=(("rdcfm_logit", 1),), n_months=1)
    still = case.returns.with_columns(ret_excess=0.0 * pl.col("ret_excess"))
    sure = case.forecasts.with_columns(forecast=pl.lit(0.9))
    row = classification_moments(sure, still, case.months, key="permno").row(0, named=True)
    assert (row["positives"], row["hits"]) == (0, 0)
    assert row["log_loss"] == pytest.approx(row["n"] * -np.log(0.1), rel=1e-12)
    assert row["brier"] == pytest.approx(row["n"] * 0.81, rel=1e-12)


def test_bad_input_is_refused(make_forecasts):
    case = make_forecasts(n_months=2, models=(("a", 1), ("b_logit", 1)))

    def run(forecasts, returns=case.returns):
        return forecast_moments(forecasts, returns, case.months, key="permno")

    with pytest.raises(ValueError, match=r"forecasts of 2000-0. have 2 rows that share"):
        run(pl.concat([case.forecasts, case.forecasts.filter(pl.col("model") == "a").head(1)]))
    with pytest.raises(ValueError, match=r"returns of 2000-02 have 2 rows that share"):
        run(case.forecasts, pl.concat([case.returns, case.returns.drop_nulls().head(1)]))
    with pytest.raises(ValueError, match=r"returns of 2000-02 hold .* not finite"):
        run(case.forecasts, case.returns.with_columns(ret_excess=pl.lit(float("nan"))))
    with pytest.raises(ValueError, match=r"forecasts of 2000-02 hold .* not finite"):
        run(case.forecasts.with_columns(forecast=pl.lit(float("inf"))))
    with pytest.raises(ValueError, match="not made the month before, first a made in 1999"):
        run(case.forecasts.with_columns(pl.col("month").dt.offset_by("-1mo")))
    with pytest.raises(ValueError, match=r"the forecasts lack the columns \['n_factors'\]"):
        run(case.forecasts.drop("n_factors"))
    with pytest.raises(ValueError, match="the returns lack the columns"):
        run(case.forecasts, case.returns.rename({"permno": "isin"}))
    with pytest.raises(ValueError, match="no probabilities"):
        classification_moments(
            case.forecasts.with_columns(forecast=pl.lit(1.5)), case.returns, case.months, key="permno"
        )
