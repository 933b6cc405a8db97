"""The numbers behind the charts of the panel, against plain pandas, scipy and formulas written out here."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import spearmanr

from pipeline.bonds.definition import NOTEBOOK
from pipeline.bonds.registry import RANKED, SETS
from pipeline.report import statistics
from pipeline.report.data import ReportData


def _panel(rows: list[tuple[date, str, float | None, float | None]]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=["month", "isin", "a", "a_w"], orient="row")


def test_coverage_counts_each_panel() -> None:
    january, february = date(2020, 1, 1), date(2020, 2, 1)
    snapshot = pl.LazyFrame({"month": [january, january, february], "isin": ["a", "b", "a"]})
    returns = pl.LazyFrame({"month": [february], "isin": ["a"]})
    counted = statistics.coverage(snapshot, returns)
    assert counted.rows() == [
        (january, "in the snapshot", 2),
        (february, "in the snapshot", 1),
        (february, "with a return", 1),
    ]
    assert statistics.coverage(None, returns)["kind"].to_list() == ["with a return"]


def test_missing_shares_against_pandas(full: ReportData) -> None:
    shares = statistics.missing_shares(full.panel("bond_characteristics"), SETS[NOTEBOOK])
    frame = full.panel("bond_characteristics").collect().to_pandas().set_index(["month", "isin"])[list(SETS[NOTEBOOK])]
    by_year = statistics.missing_by_year(shares).to_pandas().pivot(index="year", columns="name", values="missing")
    years = pd.to_datetime(frame.index.get_level_values("month")).year
    expected = frame.isna().groupby(years).mean()
    np.testing.assert_allclose(by_year[list(SETS[NOTEBOOK])].to_numpy(), expected.to_numpy(), rtol=1e-12)
    present = statistics.present_by_month(shares)["present"].to_numpy()
    by_month = frame.notna().groupby(level="month").mean().mean(axis=1)
    np.testing.assert_allclose(present, by_month.to_numpy(), rtol=1e-12)


def test_distributions_against_pandas(full: ReportData) -> None:
    distributions = statistics.distributions(full.panel("bond_characteristics"), SETS[NOTEBOOK], bins=20)
    frame = full.panel("bond_characteristics").collect().to_pandas()
    assert distributions.summary["name"].to_list() == list(SETS[NOTEBOOK])
    for row in distributions.summary.iter_rows(named=True):
        raw, kept = frame[row["name"]], frame[f"{row['name']}_w"]
        described = raw.describe(percentiles=[0.01, 0.25, 0.5, 0.75, 0.99])
        labels = {"n": "count", "p1": "1%", "p25": "25%", "p50": "50%", "p75": "75%", "p99": "99%"}
        for ours in ("n", "mean", "std", "min", "p1", "p25", "p50", "p75", "p99", "max"):
            assert row[ours] == pytest.approx(described[labels.get(ours, ours)], rel=1e-9)
        assert row["missing"] == pytest.approx(raw.isna().mean())
        assert (row["std_w"], row["min_w"], row["max_w"]) == pytest.approx((kept.std(), kept.min(), kept.max()))
        bars = distributions.histogram.filter(name=row["name"])
        assert bars["raw"].sum() == pytest.approx(1.0)
        assert bars["winsorised"].sum() == pytest.approx(1.0)
        beyond = (raw < kept.min()).sum() + (raw < bars["high"][0]).where(raw >= kept.min(), False).sum()
        assert bars["raw"][0] == pytest.approx(beyond / raw.notna().sum())


def test_distributions_of_a_constant_and_of_nothing() -> None:
    month = date(2020, 1, 1)
    same = statistics.distributions(_panel([(month, "x", 2.0, 2.0), (month, "y", 2.0, 2.0)]), ["a"], bins=4)
    assert same.histogram["raw"].sum() == 1.0
    empty = statistics.distributions(_panel([(month, "x", None, None)]).cast({"a": float, "a_w": float}), ["a"])
    assert empty.histogram.is_empty()
    assert empty.summary.row(0, named=True)["n"] == 0
    assert empty.summary.row(0, named=True)["mean"] is None


def test_newey_west_against_the_formula() -> None:
    values = np.cumsum(np.random.default_rng(1).normal(size=90)) * 0.1
    mean, error = statistics.newey_west_mean(values)
    lags = statistics.newey_west_lags(90)
    assert lags == 3
    centred = values - values.mean()
    variance = centred @ centred / 90
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag]) / 90
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(np.sqrt(variance / 90))


def test_rank_correlations_against_scipy(full: ReportData) -> None:
    training = full.panel("bond_training_panel")
    monthly = statistics.monthly_rank_correlations(training, RANKED)
    frame = training.collect().to_pandas()
    for name in ("coupon", "vix_beta"):
        ours = monthly.filter(name=name)["correlation"].to_numpy()
        # The panel's missing values rank 0, the middle, and scipy ranks those ties again: compare as Pearson of ranks.
        expected = [
            np.corrcoef(part["ret_excess"].rank(), part[f"{name}_r"])[0, 1] for _, part in frame.groupby("month")
        ]
        np.testing.assert_allclose(ours, expected, rtol=1e-9)
    complete = frame[["month", "ret_excess", "bond_age_years_r"]]
    expected = [spearmanr(part["ret_excess"], part["bond_age_years_r"])[0] for _, part in complete.groupby("month")]
    np.testing.assert_allclose(monthly.filter(name="bond_age_years")["correlation"].to_numpy(), expected, rtol=1e-9)


def test_average_correlations(full: ReportData) -> None:
    monthly = statistics.monthly_rank_correlations(full.panel("bond_training_panel"), RANKED)
    averages = statistics.average_correlations(monthly)
    row = averages.row(by_predicate=pl.col("name") == "coupon", named=True)
    mean, error = statistics.newey_west_mean(monthly.filter(name="coupon")["correlation"].to_numpy())
    assert (row["mean"], row["error"], row["t"]) == pytest.approx((mean, error, mean / error))
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * error, rel=1e-4)
    assert averages["mean"].is_sorted(descending=True)


def test_a_month_without_variation_has_no_correlation() -> None:
    month = date(2020, 1, 1)
    training = pl.LazyFrame({"month": [month] * 3, "ret_excess": [0.1, 0.2, 0.3], "a_r": [0.0, 0.0, 0.0]})
    assert statistics.monthly_rank_correlations(training, ["a_r"])["correlation"].to_list() == [None]
    assert statistics.monthly_rank_correlations(training.head(2), ["a_r"])["correlation"].to_list() == [None]
    assert statistics.average_correlations(statistics.monthly_rank_correlations(training, ["a_r"])).is_empty()


def test_cross_section_bands_against_pandas(full: ReportData) -> None:
    bands = statistics.cross_section_bands(full.panel("bond_characteristics"), ["vix_beta_w"])
    grouped = full.panel("bond_characteristics").collect().to_pandas().groupby("month")["vix_beta_w"]
    np.testing.assert_allclose(bands["mean"].to_numpy(), grouped.mean().to_numpy(), rtol=1e-9)
    for label, level in (("p25", 0.25), ("p50", 0.5), ("p75", 0.75)):
        np.testing.assert_allclose(bands[label].to_numpy(), grouped.quantile(level).to_numpy(), rtol=1e-9)
    assert bands["bonds"].to_list() == grouped.count().to_list()


def test_sectors_against_pandas(full: ReportData) -> None:
    ours = statistics.sectors(full.panel("bond_returns"))
    frame = full.panel("bond_returns").collect().to_pandas()
    expected = frame.groupby("sector", dropna=False).agg(
        bonds=("isin", "nunique"), bond_months=("isin", "size"), mean=("ret_excess", "mean"), std=("ret_excess", "std")
    )
    for row in ours.iter_rows(named=True):
        theirs = expected.loc[row["sector"] if row["sector"] is not None else np.nan]
        assert [row[column] for column in expected.columns] == pytest.approx(theirs.to_list())


def test_factor_summary_by_hand() -> None:
    months = [date(2020, m, 1) for m in range(1, 5)]
    frame = pl.DataFrame({"month": months, "x": [None, 0.01, 0.03, None], "y": [None] * 4}).cast({"y": pl.Float64})
    (row,) = statistics.factor_summary(frame, ["x", "y"]).iter_rows(named=True)
    assert statistics.factor_summary(frame, ["x"], {"x"})["sharpe"].to_list() == [None]
    assert (row["name"], row["first"], row["last"], row["months"]) == ("x", "2020-02", "2020-03", 2)
    assert row["mean"] == pytest.approx(0.02)
    assert row["std"] == pytest.approx(np.sqrt(0.0002))
    assert row["sharpe"] == pytest.approx(0.02 / np.sqrt(0.0002) * np.sqrt(12))
