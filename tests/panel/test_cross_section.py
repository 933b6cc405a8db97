from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import rankdata
from scipy.stats.mstats import mquantiles

from pipeline.panel.cross_section import CrossSectionSettings, rank_transform, winsorise

A, B = date(2008, 5, 1), date(2008, 6, 1)


def _frame(seed=0, rows=400):
    rng = np.random.default_rng(seed)
    x = rng.standard_t(2, rows).round(2)
    x[rng.random(rows) < 0.1] = np.nan
    return pl.DataFrame(
        {
            "month": [A if flag else B for flag in rng.random(rows) < 0.4],
            "isin": [f"X{number:04d}" for number in range(rows)],
            "x": pl.Series(x).fill_nan(None),
            "y": rng.normal(size=rows),
        }
    ).sort("month", "isin")


VALUES = st.lists(st.one_of(st.none(), st.integers(-50, 50).map(float)), min_size=1, max_size=60)


@pytest.mark.parametrize("settings", [None, CrossSectionSettings(lower=0.05, upper=0.9)])
def test_winsorising_agrees_with_numpy_and_scipy(settings):
    frame = _frame()
    levels = (settings.lower, settings.upper) if settings else (0.01, 0.99)
    result = winsorise(frame, ["x", "y"], settings)
    for month in (A, B):
        for column in ("x", "y"):
            values = frame.filter(pl.col("month") == month)[column].to_numpy()
            low, high = np.nanquantile(values, levels)
            np.testing.assert_allclose(
                [low, high], mquantiles(values[~np.isnan(values)], levels, alphap=1, betap=1), rtol=1e-12
            )
            mine = result.filter(pl.col("month") == month)[f"{column}_w"].to_numpy()
            np.testing.assert_allclose(mine, np.clip(values, low, high), rtol=1e-14)
            assert (mine != values)[~np.isnan(values)].any()


def test_ranks_agree_with_scipy():
    frame = _frame()
    result = rank_transform(frame, ["x", "y"])
    for month in (A, B):
        for column in ("x", "y"):
            part = result.filter(pl.col("month") == month)
            values = part[column].to_numpy()
            seen = ~np.isnan(values)
            expected = np.zeros(len(values))
            expected[seen] = (rankdata(values[seen]) - 0.5) / seen.sum() - 0.5
            np.testing.assert_allclose(part[f"{column}_r"].to_numpy(), expected, atol=1e-15)


@given(VALUES)
def test_ranks_are_symmetric_and_within_half(values):
    frame = pl.DataFrame({"month": [A] * len(values), "x": pl.Series(values, dtype=pl.Float64)})
    ranks = rank_transform(frame, ["x"])["x_r"].to_numpy()
    negated = rank_transform(frame.with_columns(-pl.col("x")), ["x"])["x_r"].to_numpy()
    assert (np.abs(ranks) < 0.5).all()
    np.testing.assert_allclose(ranks, -negated, atol=1e-15)
    assert abs(ranks.sum()) < 1e-12


@given(VALUES)
def test_ranks_survive_increasing_transformations(values):
    frame = pl.DataFrame({"month": [A] * len(values), "x": pl.Series(values, dtype=pl.Float64)})
    cubed = frame.with_columns(pl.col("x").pow(3) * 2 + 5)
    assert_frame_equal(rank_transform(frame, ["x"]).select("x_r"), rank_transform(cubed, ["x"]).select("x_r"))


@given(VALUES, st.floats(0.0, 0.4), st.floats(0.6, 1.0))
def test_winsorising_keeps_order_missing_and_bounds(values, lower, upper):
    frame = pl.DataFrame({"month": [A] * len(values), "x": pl.Series(values, dtype=pl.Float64)})
    result = winsorise(frame, ["x"], CrossSectionSettings(lower=lower, upper=upper))
    assert result["x_w"].null_count() == frame["x"].null_count()
    both = result.drop_nulls().sort("x")
    assert both["x_w"].is_sorted()
    if both.height:
        assert both["x"].min() <= both["x_w"].min() + 1e-9
        assert both["x_w"].max() <= both["x"].max() + 1e-9
    everything = winsorise(frame, ["x"], CrossSectionSettings(lower=0.0, upper=1.0))
    assert everything["x_w"].equals(frame["x"])


def test_a_month_alone_gets_the_same_bits():
    frame = _frame(3)
    for transform in (winsorise, rank_transform):
        together = transform(frame, ["x", "y"])
        alone = pl.concat([transform(frame.filter(pl.col("month") == month), ["x", "y"]) for month in (A, B)])
        assert_frame_equal(together, alone, check_exact=True)
        assert_frame_equal(transform(frame.reverse(), ["x", "y"]).sort("month", "isin"), together, check_exact=True)


def test_a_month_without_values_stays_missing_and_ranks_zero():
    frame = pl.DataFrame({"month": [A, A, B], "x": pl.Series([None, None, 2.0], dtype=pl.Float64)})
    assert winsorise(frame, ["x"])["x_w"].to_list() == [None, None, 2.0]
    assert rank_transform(frame, ["x"])["x_r"].to_list() == [0.0, 0.0, 0.0]
    empty = frame.clear()
    assert rank_transform(winsorise(empty, ["x"]), ["x"]).columns == ["month", "x", "x_w", "x_r"]
