"""The numbers behind the charts of the models, against the panel itself and against a truth that is known."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.bonds.registry import RANKED
from pipeline.models.ipca import IPCA
from pipeline.models.managed_portfolios import SufficientStatistics, instrument_matrix
from pipeline.report import factor_statistics
from pipeline.report.data import ReportData
from pipeline.report.factor_statistics import Recursion


def _recursion(data: ReportData, name: str = "bond_ipca", portfolios: bool = True) -> Recursion:
    managed = data.frame("bond_managed_portfolios") if portfolios else None
    recursion = Recursion.from_frames(data.frame(name), managed, RANKED)
    assert recursion is not None
    return recursion


@pytest.mark.parametrize("name", ["bond_ipca", "bond_ipca_intercept"])
def test_factors_and_r2_against_the_panel(full: ReportData, name: str) -> None:
    recursion = _recursion(full, name)
    gamma, alpha = recursion.gamma, recursion.gamma_alpha
    panel = full.panel("bond_training_panel").collect()
    errors, squares = [], []
    for month, *realised in recursion.factors.iter_rows():
        rows = panel.filter(month=month)
        matrix, returns = instrument_matrix(rows, RANKED), rows["ret_excess"].to_numpy()
        left = returns if alpha is None else returns - matrix @ alpha
        slopes = np.linalg.lstsq(matrix @ gamma, left, rcond=None)[0]
        np.testing.assert_allclose(realised, slopes, rtol=1e-7, atol=1e-10)
        errors.append(float(np.sum((left - matrix @ gamma @ slopes) ** 2)))
        squares.append(float(returns @ returns))
    in_sample = recursion.in_sample_r2
    assert in_sample is not None
    np.testing.assert_allclose(in_sample["r2"].to_numpy(), 1 - np.divide(errors, squares), rtol=1e-8)
    assert recursion.rows["total_r2"][-1] == pytest.approx(1 - sum(errors) / sum(squares), rel=1e-8)
    rolling = recursion.monthly_r2.filter(kind="in sample")["r2"].to_numpy()
    assert len(rolling) == len(errors) - 11
    assert rolling[0] == pytest.approx(1 - sum(errors[:12]) / sum(squares[:12]), rel=1e-8)
    assert rolling[-1] == pytest.approx(1 - sum(errors[-12:]) / sum(squares[-12:]), rel=1e-8)


def test_out_of_sample_r2_of_a_window_is_the_ratio_of_sums(full: ReportData) -> None:
    recursion = _recursion(full)
    last = recursion.rows.tail(12)
    out = recursion.monthly_r2.filter(kind="out of sample")
    assert out["r2"][-1] == pytest.approx(1 - last["oos_sse_total"].sum() / last["oos_sst"].sum())
    predictive = recursion.monthly_r2.filter(kind="out of sample, predictive")
    assert predictive["r2"][-1] == pytest.approx(1 - last["oos_sse_predictive"].sum() / last["oos_sst"].sum())


def test_a_window_that_lacks_a_month_is_left_out(full: ReportData) -> None:
    frame = full.frame("bond_ipca")
    gap = frame["month"][-6]
    out = Recursion.from_frames(frame.filter(pl.col("month") != gap), None, RANKED)
    assert out is not None
    assert out.monthly_r2.filter(kind="out of sample")["month"].max() < gap
    assert out.in_sample_r2 is None


def test_without_portfolios_factors_are_those_of_the_rows(full: ReportData) -> None:
    recursion = _recursion(full, portfolios=False)
    assert recursion.factors.height == recursion.rows.height
    assert list(recursion.factors.row(-1)[1:]) == recursion.rows["factor"][-1].to_list()


def test_importance_does_not_depend_on_the_rotation(full: ReportData) -> None:
    recursion = _recursion(full)
    gamma = factor_statistics.loadings(recursion)
    assert gamma["importance"].is_sorted(descending=True)
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned_rows = recursion.rows.with_columns(
        gamma=pl.lit(pl.Series([(recursion.gamma @ turn).ravel().tolist()])).first()
    )
    turned = Recursion(rows=turned_rows, statistics=recursion.statistics, names=recursion.names)
    other = dict(factor_statistics.loadings(turned).select("name", "importance").iter_rows())
    for name, importance in gamma.select("name", "importance").iter_rows():
        assert other[name] == pytest.approx(importance, rel=1e-8)


def test_gamma_paths_undo_exchanges_of_signs_and_factors(full: ReportData) -> None:
    recursion = _recursion(full)
    flipped = recursion.gamma[:, ::-1] * np.array([1.0, -1.0])
    gammas = [*recursion.rows["gamma"].to_list()]
    gammas[0] = flipped.ravel().tolist()
    rows = recursion.rows.with_columns(gamma=pl.Series(gammas))
    disturbed = Recursion(rows=rows, statistics=None, names=recursion.names)
    paths = factor_statistics.gamma_paths(disturbed, ["spread", "coupon"])
    for month in (rows["month"][0], rows["month"][-1]):
        for name in ("spread", "coupon"):
            shown = paths.filter(month=month, name=name).sort("factor")["value"].to_numpy()
            np.testing.assert_allclose(shown, recursion.gamma[recursion.names.index(name)], atol=1e-10)


def test_r2_table_holds_the_newest_row(full: ReportData) -> None:
    recursion = _recursion(full)
    (row,) = factor_statistics.r2_table({"bond_ipca": recursion}).iter_rows(named=True)
    newest = full.frame("bond_ipca").row(-1, named=True)
    assert row["total"] == newest["total_r2"]
    assert row["oos_predictive"] == newest["oos_predictive_r2"]
    assert row["estimations"] == (full.frame("bond_ipca")["status"] == "estimated").sum()
    assert row["not_converged"] == (~full.frame("bond_ipca")["converged"].drop_nulls()).sum()


def test_warming_up_gives_no_recursion(full: ReportData) -> None:
    warming = full.frame("bond_ipca").filter(status="warming_up")
    assert warming.height > 0
    assert Recursion.from_frames(warming, None, RANKED) is None


def test_other_instruments_are_refused(full: ReportData) -> None:
    with pytest.raises(ValueError, match="not 31 instruments times 2"):
        Recursion.from_frames(full.frame("bond_ipca"), None, RANKED[1:])


def test_a_truth_about_other_characteristics_is_refused(full: ReportData) -> None:
    other = full.table("truth.gamma").with_columns(pl.col("characteristic").str.replace("spread", "width"))
    with pytest.raises(ValueError, match="width"):
        factor_statistics.compare_with_truth(_recursion(full), other, full.table("truth.factors"))


def test_forecast_deciles_by_hand() -> None:
    month = date(2020, 1, 1)
    names = [f"b{i}" for i in range(8)]
    forecasts = pl.LazyFrame({"target_month": [month] * 8, "asset_id": names, "forecast": [float(i) for i in range(8)]})
    returns = pl.LazyFrame({"month": [month] * 8, "isin": names, "ret_excess": [float(i**2) for i in range(8)]})
    grouped = factor_statistics.forecast_deciles(forecasts, returns, groups=4)
    assert grouped.rows() == [(1, 0.5, 0.5, 1), (2, 6.5, 2.5, 1), (3, 20.5, 4.5, 1), (4, 42.5, 6.5, 1)]
    few = factor_statistics.forecast_deciles(forecasts.head(3), returns, groups=4)
    assert few.is_empty()


def test_forecasts_of_stocks_are_told_by_their_number() -> None:
    month = date(2020, 1, 1)
    forecasts = pl.LazyFrame({"target_month": [month] * 2, "asset_id": ["10", "11"], "forecast": [2.0, 1.0]})
    returns = pl.LazyFrame({"month": [month] * 2, "permno": [10, 11], "ret_excess": [0.5, 0.25]})
    sorted_ = factor_statistics.forecast_deciles(forecasts, returns, groups=2, key="permno")
    assert sorted_.rows() == [(1, 0.25, 1.0, 1), (2, 0.5, 2.0, 1)]


def test_truth_is_recovered(full: ReportData) -> None:
    truth = factor_statistics.compare_with_truth(
        _recursion(full), full.table("truth.gamma"), full.table("truth.factors")
    )
    assert truth.correlations.min() > 0.95
    wide = truth.factors.pivot(on="kind", index=["month", "factor"], values="value")
    for _, part in wide.group_by("factor"):
        assert part.select(pl.corr("true", "estimated")).item() > 0.95
    for _, part in truth.gamma.group_by("factor"):
        assert part.select(pl.corr("true", "estimated")).item() > 0.95
        assert (part["true"] - part["estimated"]).abs().max() < 0.5


@pytest.mark.parametrize("n_factors", [2, 3])
def test_rotation_onto_truth_is_exact_without_noise(full: ReportData, n_factors: int) -> None:
    """With returns that are exactly C Gamma f, the rotated estimates are the truth to the last digits."""
    generator = np.random.default_rng(0)
    statistics = SufficientStatistics.from_frame(full.frame("bond_managed_portfolios"), RANKED)
    size, periods = len(statistics.names), len(statistics.months)
    gamma, factors = generator.normal(size=(size, n_factors)), generator.normal(size=(periods, n_factors))
    fitted = factors @ gamma.T
    exact = pl.DataFrame(
        {
            "month": statistics.months,
            "n": statistics.n,
            "yy": np.einsum("ti,tij,tj->t", fitted, statistics.W, fitted),
            "x": np.einsum("tij,tj->ti", statistics.W, fitted).tolist(),
            "w": statistics.W.reshape(periods, -1).tolist(),
        }
    )
    result = IPCA(n_factors, tolerance=1e-9).fit(SufficientStatistics.from_frame(exact, RANKED))
    row = (
        full.frame("bond_ipca")
        .tail(1)
        .with_columns(
            n_factors=pl.lit(n_factors, dtype=pl.Int64), gamma=pl.lit(pl.Series([result.gamma.ravel().tolist()]))
        )
    )
    recursion = Recursion.from_frames(row, exact, RANKED)
    assert recursion is not None
    labels = [f"factor_{k + 1}" for k in range(n_factors)]
    truth = factor_statistics.compare_with_truth(
        recursion,
        pl.DataFrame({"characteristic": recursion.names, **dict(zip(labels, gamma.T, strict=True))}),
        pl.DataFrame({"month": statistics.months, **dict(zip(labels, factors.T, strict=True))}),
    )
    np.testing.assert_allclose(truth.correlations, 1.0, atol=1e-8)
    np.testing.assert_allclose(truth.gamma["estimated"].to_numpy(), truth.gamma["true"].to_numpy(), atol=1e-5)
