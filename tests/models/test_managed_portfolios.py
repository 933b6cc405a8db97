from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.managed_portfolios import SufficientStatistics, instrument_matrix, managed_portfolios


def test_two_assets_by_hand():
    month = date(2020, 1, 1)
    panel = pl.DataFrame(
        {"month": [month] * 2, "isin": ["B", "A"], "ret_excess": [0.10, -0.20], "size_r": [0.25, -0.25]}
    )
    row = managed_portfolios(panel, ["size_r"], [month]).row(0, named=True)
    assert row["n"] == 2
    assert row["yy"] == pytest.approx(0.05, rel=1e-15)
    assert row["x"] == pytest.approx([0.075, -0.10], rel=1e-15)
    assert row["w"] == [0.125, 0.0, 0.0, 2.0]


def test_every_month_against_a_pandas_loop(market):
    frame = managed_portfolios(market.panel, market.instruments, market.months)
    slow = market.panel.to_pandas()
    slow["constant"] = 1.0
    for row, (_, rows) in zip(frame.iter_rows(named=True), slow.groupby("month"), strict=True):
        matrix = rows[[*market.instruments, "constant"]]
        np.testing.assert_allclose(row["x"], matrix.mul(rows["ret_excess"], axis=0).sum(), rtol=0, atol=1e-13)
        np.testing.assert_allclose(np.reshape(row["w"], (7, 7)), matrix.T.dot(matrix), rtol=0, atol=1e-12)
        assert row["n"] == len(rows)


def test_a_month_alone_and_in_a_range_agree_bit_for_bit(market):
    together = managed_portfolios(market.panel, market.instruments, market.months)
    alone = pl.concat([managed_portfolios(market.panel, market.instruments, [m]) for m in market.months])
    assert together.equals(alone)


def test_rows_of_other_months_and_their_order_do_not_matter(market):
    cut = market.months[40]
    wanted = market.months[:41]
    reference = managed_portfolios(market.panel, market.instruments, wanted)
    later = pl.col("month") > cut
    perturbed = market.panel.with_columns(pl.when(later).then(9.9).otherwise("ret_excess").alias("ret_excess"))
    deleted = market.panel.filter(~later)
    shuffled = market.panel.sample(fraction=1.0, shuffle=True, seed=1)
    for panel in (perturbed, deleted, shuffled):
        assert managed_portfolios(panel, market.instruments, wanted).equals(reference)


def test_bad_rows_of_other_months_are_not_looked_at(market):
    month = market.months[3]
    other = pl.col("month") != month
    broken = market.panel.with_columns(pl.when(other).then(float("nan")).otherwise("c0_r").alias("c0_r"))
    reference = managed_portfolios(market.panel, market.instruments, [month])
    assert managed_portfolios(broken, market.instruments, [month]).equals(reference)


def test_a_month_without_rows_is_zero(market):
    row = managed_portfolios(market.panel, market.instruments, [date(2050, 1, 1)]).row(0, named=True)
    assert (row["n"], row["yy"]) == (0, 0.0)
    assert row["x"] == [0.0] * 7
    assert row["w"] == [0.0] * 49


def test_assets_without_a_return_are_left_out(market):
    month = market.months[0]
    rows = market.panel.filter(pl.col("month") == month)
    holes = rows.with_columns(
        pl.when(pl.col("isin") == rows["isin"][0]).then(None).otherwise("ret_excess").alias("ret_excess")
    )
    expected = managed_portfolios(rows.slice(1), market.instruments, [month])
    assert managed_portfolios(holes, market.instruments, [month]).equals(expected)


def test_bad_panels_are_refused(market):
    month = market.months[0]
    panel = market.panel
    with pytest.raises(ValueError, match=r"lacks the instrument columns \['beta_r'\]"):
        managed_portfolios(panel, ["beta_r"], [month])
    with pytest.raises(ValueError, match="lacks the columns"):
        managed_portfolios(panel.drop("ret_excess"), market.instruments, [month])
    with pytest.raises(ValueError, match="has 1 rows that repeat a month and isin, first 1990-01-01 XS"):
        managed_portfolios(pl.concat([panel, panel.head(1)]), market.instruments, [month])
    infinite = panel.with_columns(pl.lit(float("inf")).alias("ret_excess"))
    with pytest.raises(ValueError, match="NaN or infinite"):
        managed_portfolios(infinite, market.instruments, [month])
    unranked = panel.with_columns(pl.lit(None, dtype=pl.Float64).alias("c2_r"))
    with pytest.raises(ValueError, match=r"null or non-finite value in \['c2_r'\]"):
        managed_portfolios(unranked, market.instruments, [month])


def test_arrays_follow_the_frame_whatever_its_order(market):
    frame = managed_portfolios(market.panel, market.instruments, market.months)
    statistics = SufficientStatistics.from_frame(frame.reverse(), market.instruments)
    assert list(statistics.months) == market.months
    assert statistics.names[-1] == "constant"
    assert statistics.W[5].ravel().tolist() == frame["w"][5].to_list()
    assert statistics.X[5].tolist() == frame["x"][5].to_list()
    early = statistics.through(market.months[9])
    assert early.months == tuple(market.months[:10])
    assert np.array_equal(early.W, statistics.W[:10])


def test_months_that_are_not_first_days_are_refused(market):
    late = market.panel.with_columns(pl.col("month").dt.month_end())
    with pytest.raises(ValueError, match="a month is named by its first day, not by"):
        managed_portfolios(late, market.instruments, market.months)


def test_lists_of_another_length_are_refused(market):
    frame = managed_portfolios(market.panel, market.instruments, market.months[:2])
    with pytest.raises(ValueError, match="rebuild them"):
        SufficientStatistics.from_frame(frame, market.instruments[:-1])
    with pytest.raises(ValueError, match="ascend"):
        SufficientStatistics.from_frame(pl.concat([frame, frame]), market.instruments)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), columns=st.integers(1, 5))
def test_loss_equals_the_loss_on_the_panel(market, seed, columns):
    rng = np.random.default_rng(seed)
    gamma, factors = rng.normal(size=(7, columns)), 0.1 * rng.normal(size=(len(market.months), columns))
    matrix = instrument_matrix(market.panel, market.instruments)
    index = np.searchsorted(np.array(market.months), market.panel["month"].to_numpy().astype(object))
    fitted = np.sum((matrix @ gamma) * factors[index], axis=1)
    panel_loss = np.sum((market.panel["ret_excess"].to_numpy() - fitted) ** 2)
    assert market.statistics().loss(gamma, factors) == pytest.approx(panel_loss, rel=1e-12)


def test_which_months_determine_the_factors(market):
    months = market.months[:5]
    rows = market.panel.filter(pl.col("month").is_in(months))
    kept = rows.group_by("month", maintain_order=True).head(4)
    first = pl.col("month") == months[0]
    collinear = kept.with_columns(pl.when(first).then(0.1).otherwise(c).alias(c) for c in market.instruments)
    two = pl.concat([collinear.filter(pl.col("month") != months[1]), rows.filter(pl.col("month") == months[1]).head(2)])
    frame = managed_portfolios(two, market.instruments, [*months, date(2050, 1, 1)])
    statistics = SufficientStatistics.from_frame(frame, market.instruments)
    assert statistics.identifies(3).tolist() == [False, False, True, True, True, False]
    assert statistics.identifies(1).tolist() == [True, True, True, True, True, False]
    assert statistics.determined(3).months == tuple(months[2:])


def test_an_instrument_that_is_missing_for_a_whole_month_does_not_cost_the_month(market):
    month = market.months[0]
    flat = market.panel.with_columns(pl.lit(0.0).alias("c0_r"), pl.lit(0.0).alias("c3_r"))
    frame = managed_portfolios(flat, market.instruments, [month])
    assert SufficientStatistics.from_frame(frame, market.instruments).identifies(5).all()
