"""Regimes month by month: when parameters change, what is filtered, and that nothing later matters."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy.stats import multivariate_normal

from pipeline.models.linear_settings import RegimeSettings
from pipeline.models.linear_tables import REGIMES_SCHEMA
from pipeline.models.regime_recursion import from_arrays, regimes_of_month, to_arrays
from pipeline.models.storage import load_arrays, save_arrays
from pipeline.panel.calendar import month_range, shift

FIRST, T = date(2000, 1, 1), 90
MONTHS = month_range(FIRST, shift(FIRST, T - 1))
SETTINGS = RegimeSettings(min_months=48, start_months=16, n_starts=2, prior_months=6.0)


def _returns() -> pl.DataFrame:
    """Two portfolios in calm and stormy years, and one begun late."""
    rng = np.random.default_rng(1)
    stormy = (np.arange(T) // 15) % 2 == 1
    common = np.where(stormy, -0.01, 0.008)[:, None] + np.where(stormy, 0.03, 0.006)[:, None] * rng.normal(size=(T, 3))
    wide = pl.DataFrame({"month": MONTHS, **{f"p{k}": common[:, k] for k in range(3)}})
    rows = wide.unpivot(index="month", variable_name="asset_id", value_name="ret")
    return rows.filter((pl.col("asset_id") != "p2") | (pl.col("month") >= MONTHS[40]))


RETURNS = _returns()
DUE = {MONTHS[60], MONTHS[75]}


def _carried_on(returns: pl.DataFrame, months: list[date]) -> list[pl.DataFrame]:
    frames, carried = [], {}
    for month in months:
        frame, carried = regimes_of_month(returns, month, carried, month in DUE, SETTINGS)
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def frames() -> dict[date, pl.DataFrame]:
    return dict(zip(MONTHS[58:78], _carried_on(RETURNS, MONTHS[58:78]), strict=True))


def test_parameters_change_when_they_are_due_and_not_else(frames) -> None:
    assert frames[MONTHS[59]].is_empty()
    for month, frame in frames.items():
        assert dict(frame.schema) == REGIMES_SCHEMA
        if month < MONTHS[60]:
            continue
        assert frame["estimated_in"].unique().to_list() == [max(due for due in DUE if due <= month)]
        assert frame["n_states"].to_list() == [2, 2, 3, 3, 3]
        sums = frame.group_by("n_states").agg(pl.col("probability").sum())["probability"]
        np.testing.assert_allclose(sums, 1.0, atol=1e-12)
        by_mean = frame.group_by("n_states", maintain_order=True).agg(pl.col("mean"))["mean"].to_list()
        assert all(means == sorted(means, reverse=True) for means in by_mean)
    assert frames[MONTHS[74]]["mean"].to_list() == frames[MONTHS[60]]["mean"].to_list()
    assert frames[MONTHS[75]]["mean"].to_list() != frames[MONTHS[74]]["mean"].to_list()
    assert frames[MONTHS[74]]["n_months"].unique().to_list() == [61]


def test_probabilities_are_those_of_a_plain_filter() -> None:
    _, carried = regimes_of_month(RETURNS, MONTHS[60], {}, True, SETTINGS)
    chain = carried[2].regimes
    assert carried[2].portfolios == ("p0", "p1")
    frame, _ = regimes_of_month(RETURNS, MONTHS[70], carried, False, SETTINGS)
    wide = RETURNS.pivot("asset_id", index="month", values="ret").sort("month").select("p0", "p1").to_numpy()[:71]
    now = chain.start * [multivariate_normal.pdf(wide[0], chain.means[s], chain.covariances[s]) for s in range(2)]
    for row in wide[1:]:
        density = [multivariate_normal.pdf(row, chain.means[s], chain.covariances[s]) for s in range(2)]
        now = (now / now.sum()) @ chain.transition * density
    two = frame.filter(pl.col("n_states") == 2)
    np.testing.assert_allclose(two["probability"], now / now.sum(), atol=1e-10)
    equal = np.array([0.5, 0.5])
    volatility = [np.sqrt(equal @ covariance @ equal) for covariance in chain.covariances]
    np.testing.assert_allclose(two["volatility"], volatility, rtol=1e-12)


def test_a_late_portfolio_joins_where_it_has_months_enough() -> None:
    lax = RegimeSettings(min_months=48, start_months=16, n_starts=1, n_states=(2,))
    _, carried = regimes_of_month(RETURNS, MONTHS[88], {}, True, lax)
    assert carried[2].portfolios == ("p0", "p1", "p2")
    assert carried[2].regimes.n_months == 49
    _, carried = regimes_of_month(RETURNS, MONTHS[86], {}, True, lax)
    assert carried[2].portfolios == ("p0", "p1")


def test_a_month_without_a_return_has_no_probability_and_too_few_leave_what_there_was() -> None:
    _, carried = regimes_of_month(RETURNS, MONTHS[60], {}, True, SETTINGS)
    gone = RETURNS.filter((pl.col("month") != MONTHS[65]) | (pl.col("asset_id") != "p1"))
    frame, same = regimes_of_month(gone, MONTHS[65], carried, False, SETTINGS)
    assert frame["probability"].is_null().all()
    assert frame["mean"].null_count() == 0
    assert same is carried
    later, _ = regimes_of_month(gone, MONTHS[66], carried, False, SETTINGS)
    assert later["probability"].null_count() == 0
    frame, nothing = regimes_of_month(RETURNS, MONTHS[30], {}, True, SETTINGS)
    assert frame.is_empty()
    assert nothing == {}


def test_a_portfolio_that_has_ended_is_left_out_after_a_year() -> None:
    lax = RegimeSettings(min_months=48, start_months=16, n_starts=1, n_states=(2,))
    returns = RETURNS.filter((pl.col("asset_id") != "p1") | (pl.col("month") <= MONTHS[60]))
    frame, carried = regimes_of_month(returns, MONTHS[71], {}, True, lax)
    assert carried[2].portfolios == ("p0", "p1")
    # Its sample ended with the portfolio, and its name is the month in which it was made.
    assert carried[2].regimes.n_months == 61
    assert frame["estimated_in"].unique().to_list() == [MONTHS[71]]
    assert frame["probability"].is_null().all()
    frame, again = regimes_of_month(returns, MONTHS[72], carried, True, lax)
    assert again[2].portfolios == ("p0",)
    assert again[2].regimes.n_months == 73
    assert frame["probability"].null_count() == 0


def test_months_around_a_gap_count_as_adjacent() -> None:
    """A gap is as if its months had never been: the same returns with the calendar closed up make the same states."""
    lax = RegimeSettings(min_months=48, start_months=16, n_starts=1, n_states=(2,))
    gap = set(MONTHS[30:36])
    gone = RETURNS.filter(~pl.col("month").is_in(gap))
    kept = [month for month in MONTHS if month not in gap]
    closed_up = gone.with_columns(pl.col("month").replace_strict(dict(zip(kept, MONTHS[6:], strict=True))))
    frame, _ = regimes_of_month(gone, MONTHS[70], {}, True, lax)
    assert frame.equals(regimes_of_month(closed_up, MONTHS[70], {}, True, lax)[0])


def test_later_returns_do_not_matter(frames) -> None:
    later = pl.col("month") > MONTHS[75]
    changed = RETURNS.with_columns(pl.when(later).then(pl.col("ret") * 2 + 0.1).otherwise("ret").alias("ret"))
    for variant in (RETURNS.filter(~later), changed, RETURNS.sample(fraction=1.0, shuffle=True, seed=1)):
        months = [MONTHS[60], MONTHS[68], MONTHS[75]]
        again = _carried_on(variant, months)
        assert all(frame.equals(frames[month]) for month, frame in zip(months, again, strict=True))


def test_what_is_carried_travels(tmp_path) -> None:
    frame, carried = regimes_of_month(RETURNS, MONTHS[60], {}, True, SETTINGS)
    save_arrays(tmp_path / "regimes.safetensors", *to_arrays(carried))
    back = from_arrays(*load_arrays(tmp_path / "regimes.safetensors"))
    again, _ = regimes_of_month(RETURNS, MONTHS[60], back, False, SETTINGS)
    assert again.equals(frame)
    assert from_arrays(*to_arrays({})) == {}
