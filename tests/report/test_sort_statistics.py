"""One pass over the panel, against plain loops over pandas, and its corner cases by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from statsmodels.regression.linear_model import OLS

from pipeline.equity.registry import NAMES
from pipeline.panel.calendar import month_range, shift
from pipeline.report import sort_statistics, statistics
from pipeline.report.data import ReportData
from pipeline.report.sort_statistics import Sorts

LOOKED_AT = ("beme", "gkx_convind", "suv", "gkx_ear", "gkx_bm")
JANUARY, FEBRUARY = date(2020, 1, 1), date(2020, 2, 1)


@pytest.fixture(scope="module")
def passed(firms: ReportData) -> Sorts:
    return sort_statistics.sorts(firms.panel("firm_characteristics"), firms.panel("stock_returns"), NAMES)


@pytest.fixture(scope="module")
def panel(firms: ReportData) -> pd.DataFrame:
    return firms.frame("firm_characteristics").to_pandas()


def test_missing_is_that_of_the_simple_count(firms: ReportData, passed: Sorts) -> None:
    expected = statistics.missing_shares(firms.panel("firm_characteristics"), NAMES)
    assert passed.missing.rows() == expected.with_columns(pl.col("name").cast(pl.String)).rows()


@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.parametrize("lag", sort_statistics.LAGS)
def test_persistence_against_a_loop(passed: Sorts, panel: pd.DataFrame, name: str, lag: int) -> None:
    ours = dict(passed.persistence.filter(name=name, lag=lag).select("month", "correlation").iter_rows())
    months = {stamp.date(): part.set_index("permno") for stamp, part in panel.groupby("month")}
    assert set(ours) == set(months)
    found = 0
    for month, now in months.items():
        then = months.get(shift(month, -lag))
        pairs = pd.DataFrame()
        if then is not None:
            ranks = [each[each[name].notna()][f"{name}_r"] for each in (now, then)]
            pairs = pd.concat(ranks, axis=1, join="inner")
        if len(pairs) < sort_statistics.FEWEST or (pairs.nunique() == 1).any():
            assert ours[month] is None
            continue
        assert ours[month] == pytest.approx(pairs.corr().iloc[0, 1], rel=1e-9, abs=1e-12)
        found += 1
    assert found > 20


@pytest.mark.parametrize("name", LOOKED_AT)
def test_long_short_against_a_loop(firms: ReportData, passed: Sorts, panel: pd.DataFrame, name: str) -> None:
    returns = firms.frame("stock_returns").to_pandas().set_index(["month", "permno"])
    ours = passed.long_short.filter(name=name).to_pandas().set_index(["month", "weighting"])
    checked = 0
    for stamp, part in panel.groupby("month"):
        later = stamp + pd.DateOffset(months=1)
        held = part[["permno", name, f"{name}_r"]].assign(month=later).set_index(["month", "permno"]).join(returns)
        held = held[held["ret_excess"].notna() & held[name].notna()]
        rank = held[f"{name}_r"]
        if len(held) < sort_statistics.FEWEST or rank.nunique() == 1:
            continue
        high = rank > 0.4 if (rank > 0.4).any() else rank == rank.max()
        low = rank < -0.4 if (rank < -0.4).any() else rank == rank.min()
        equal = held["ret_excess"][high].mean() - held["ret_excess"][low].mean()
        value = [np.average(held["ret_excess"][leg], weights=held["me_start"][leg]) for leg in (high, low)]
        assert ours.loc[(later, "equal"), "ret"] == pytest.approx(equal, rel=1e-9, abs=1e-12)
        assert ours.loc[(later, "value"), "ret"] == pytest.approx(value[0] - value[1], rel=1e-9, abs=1e-12)
        assert ours.loc[(later, "value"), "stocks"] == (high.sum() + low.sum()) / 2
        checked += 1
    assert checked > 25
    assert ours["ret"].notna().sum() == 2 * checked


def test_chunks_make_no_difference(firms: ReportData, passed: Sorts) -> None:
    few = NAMES[:7]
    both = firms.panel("firm_characteristics"), firms.panel("stock_returns")
    chunked = sort_statistics.sorts(*both, few, chunk=3)
    whole = passed.long_short.filter(pl.col("name").is_in(few))
    keys = ["month", "name", "weighting"]
    joined = chunked.long_short.join(whole, on=keys, suffix="_whole").drop_nulls("ret")
    np.testing.assert_allclose(joined["ret"].to_numpy(), joined["ret_whole"].to_numpy(), rtol=1e-10, atol=1e-14)
    assert joined.height == whole.drop_nulls("ret").height


def test_an_indicator_is_sorted_into_its_two_values() -> None:
    """Two of twelve stocks have it: ranks 0.417 and -0.083, so that no stock lies below -0.4."""
    ones = [1.0, 1.0] + [0.0] * 10
    ranks = [10.5 / 12 + 0.5 / 12 - 0.5] * 2 + [5.0 / 12 - 0.5] * 10
    panel = pl.LazyFrame({"month": [JANUARY] * 12, "permno": range(12), "x": ones, "x_r": ranks})
    returns = pl.LazyFrame(
        {"month": [FEBRUARY] * 12, "permno": range(12), "ret_excess": [0.1, 0.3] + [0.05] * 10,
         "me_start": [3.0, 1.0] + [1.0] * 10}
    )  # fmt: skip
    found = sort_statistics.sorts(panel, returns, ["x"]).long_short
    assert found.rows() == [
        (FEBRUARY, "x", "value", pytest.approx(0.1), 6.0),
        (FEBRUARY, "x", "equal", pytest.approx(0.15), 6.0),
    ]


def test_missing_values_are_in_no_leg_though_they_rank_in_the_middle() -> None:
    values: list[float | None] = [float(k) for k in range(10)] + [None] * 90
    ranks = [(k + 0.5) / 10 - 0.5 for k in range(10)] + [0.0] * 90
    panel = pl.LazyFrame({"month": [JANUARY] * 100, "permno": range(100), "x": values, "x_r": ranks})
    returns = pl.LazyFrame(
        {"month": [FEBRUARY] * 100, "permno": range(100), "ret_excess": [0.01] * 9 + [0.5] + [9.0] * 90,
         "me_start": [1.0] * 100}
    )  # fmt: skip
    found = sort_statistics.sorts(panel, returns, ["x"]).long_short
    assert found["ret"].to_list() == [pytest.approx(0.49)] * 2
    assert found["stocks"].to_list() == [1.0, 1.0]


def test_a_gap_in_the_months_is_no_month_earlier() -> None:
    months = [JANUARY, date(2020, 3, 1)]
    rows = [(month, permno, float(permno), permno / 20 - 0.475) for month in months for permno in range(20)]
    panel = pl.LazyFrame(rows, schema=["month", "permno", "x", "x_r"], orient="row")
    found = sort_statistics.sorts(panel, None, ["x"])
    assert found.persistence["correlation"].null_count() == found.persistence.height
    assert found.long_short.is_empty()
    assert sort_statistics.long_short_summary(found.long_short).is_empty()
    assert sort_statistics.correlation_clusters(found.long_short) is None


def test_months_out_of_order_are_refused() -> None:
    panel = pl.LazyFrame({"month": [FEBRUARY, JANUARY], "permno": [1, 1], "x": [1.0, 1.0], "x_r": [0.0, 0.0]})
    with pytest.raises(ValueError, match="not ordered by month"):
        sort_statistics.sorts(panel, None, ["x"])


def test_summary_against_statsmodels(passed: Sorts) -> None:
    summary = sort_statistics.long_short_summary(passed.long_short)
    for name in LOOKED_AT:
        for weighting in ("value", "equal"):
            held = passed.long_short.filter(name=name, weighting=weighting).drop_nulls("ret").sort("month")
            values = held["ret"].to_numpy()
            fit = OLS(values, np.ones(len(values))).fit(
                cov_type="HAC", cov_kwds={"maxlags": int(4 * (len(values) / 100) ** (2 / 9))}
            )
            row = summary.row(
                by_predicate=(pl.col("name") == name) & (pl.col("weighting") == weighting), named=True
            )  # fmt: skip
            assert row["t"] == pytest.approx(fit.tvalues[0])
            low, high = fit.conf_int()[0]
            assert (row["low"], row["high"]) == pytest.approx((low, high))
            assert (row["months"], row["mean"]) == (len(values), pytest.approx(values.mean()))
            assert row["sharpe"] == pytest.approx(values.mean() / values.std(ddof=1) * np.sqrt(12))
    assert "gkx_sin" not in set(summary["name"])


def _three_groups() -> pl.DataFrame:
    """Nine series: three common parts, of which one enters with both signs."""
    generator = np.random.default_rng(2)
    months = month_range(date(2010, 1, 1), date(2019, 12, 1))
    common = generator.normal(size=(len(months), 3))
    columns = {
        f"{'abc'[k % 3]}{k}": (1 if k != 8 else -1) * common[:, k % 3] + generator.normal(0, 0.2, len(months))
        for k in range(9)
    }
    columns["short"] = np.where(np.arange(len(months)) < 10, common[:, 0], np.nan)
    wide = pl.DataFrame({"month": months, **columns}).with_columns(pl.selectors.float().fill_nan(None))
    return wide.unpivot(index="month", variable_name="name", value_name="ret").with_columns(
        weighting=pl.lit("value"), stocks=pl.lit(1.0)
    )


def test_clusters_find_what_goes_together() -> None:
    returns = _three_groups()
    found = sort_statistics.correlation_clusters(returns, clusters=3)
    assert found is not None
    groups = {
        frozenset(name for name, label in zip(found.names, found.cluster, strict=True) if label == each)
        for each in found.cluster
    }
    assert groups == {frozenset(("a0", "a3", "a6")), frozenset(("b1", "b4", "b7")), frozenset(("c2", "c5", "c8"))}
    assert list(found.cluster) == sorted(found.cluster)
    wide = returns.pivot(on="name", index="month", values="ret").to_pandas()[list(found.names)]
    np.testing.assert_allclose(found.correlation, wide.corr().to_numpy(), atol=1e-12)
    condensed = (1 - wide.corr().abs()).to_numpy()[np.triu_indices(9, 1)]
    theirs = fcluster(linkage(condensed, method="complete"), 3, criterion="maxclust")
    assert len(set(zip(theirs.tolist(), found.cluster, strict=True))) == 3
    summary = sort_statistics.long_short_summary(returns)
    table = sort_statistics.cluster_table(found, summary)
    assert table["size"].to_list() == [3, 3, 3]
    t = dict(summary.select("name", "t").iter_rows())
    for row in table.iter_rows(named=True):
        members = row["members"].split(", ")
        assert abs(row["t"]) == max(abs(t[name]) for name in members)
        pairs = wide[members].corr().abs().to_numpy()[np.triu_indices(3, 1)]
        assert row["within"] == pytest.approx(pairs.mean())


def test_strongest_are_the_ends_of_the_ranking() -> None:
    summary = pl.DataFrame({"name": list("abcde"), "weighting": ["value"] * 5, "t": [3.0, 2.0, 0.0, -1.0, -4.0]})
    assert sort_statistics.strongest(summary, each=2) == ["a", "b", "d", "e"]
    assert sort_statistics.strongest(summary.head(3), each=2) == ["a", "b", "c"]
