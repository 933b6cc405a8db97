from __future__ import annotations

import io
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.models.ipca import IPCA
from pipeline.models.ipca_recursion import SCHEMA, IPCASettings, IPCAState, forecasts, ipca_month
from pipeline.models.managed_portfolios import SufficientStatistics, instrument_matrix, managed_portfolios

SETTINGS = [IPCASettings(min_months=60), IPCASettings(min_months=60, intercept=True)]


def run(statistics, months, settings, state=None):
    frames = []
    for month in months:
        frame, state = ipca_month(statistics.through(month), state, settings)
        frames.append(frame)
    return pl.concat(frames), state


@pytest.fixture(scope="module", params=SETTINGS, ids=["plain", "intercept"])
def settings(request):
    return request.param


@pytest.fixture(scope="module")
def recursion(market, settings):
    return run(market.statistics(), market.months, settings)


def test_one_row_a_month_with_a_status(market, recursion):
    frame, state = recursion
    assert frame.schema == pl.Schema(SCHEMA)
    assert frame["month"].to_list() == market.months
    assert frame["status"].to_list() == ["warming_up"] * 59 + ["estimated"] * 25
    assert frame["n_months"].to_list() == list(range(1, 85))
    estimates = ["iterations", "converged", "loss", "total_r2", "predictive_r2", "gamma", "factors_mean", "factor"]
    for column in estimates:
        assert frame[column][:59].is_null().all()
        assert frame[column][59:].is_not_null().all()
    assert frame["oos_sst"][:60].is_null().all()
    assert frame["oos_total_r2"][60:].is_not_null().all()
    assert frame["converged"][59:].all()
    assert state.month == market.months[-1]


def test_each_row_is_the_estimation_of_its_own_history(market, recursion, settings):
    frame, _ = recursion
    for index in (59, 71, 83):
        cold = IPCA(3, intercept=settings.intercept).fit(market.statistics(market.months[: index + 1]))
        row = frame.row(index, named=True)
        assert row["loss"] == pytest.approx(cold.loss, rel=1e-10)
        np.testing.assert_allclose(np.reshape(row["gamma"], (7, 3)), cold.gamma, atol=1e-9)
        np.testing.assert_allclose(row["factor"], cold.factors[-1], atol=1e-9)
        np.testing.assert_allclose(row["factors_mean"], cold.factors.mean(axis=0), atol=1e-9)
        assert (row["gamma_alpha"] is None) is not settings.intercept


def test_r2_and_out_of_sample_account_against_the_panel(market, recursion, settings):
    """Cross-sectional least squares on last month's betas, month by month, from the panel itself."""
    frame, _ = recursion
    sums = np.zeros(3)
    for index in range(60, 84):
        before, row = frame.row(index - 1, named=True), frame.row(index, named=True)
        rows = market.panel.filter(pl.col("month") == market.months[index])
        matrix, returns = instrument_matrix(rows, market.instruments), rows["ret_excess"].to_numpy()
        beta = matrix @ np.reshape(before["gamma"], (7, 3))
        alpha = matrix @ np.array(before["gamma_alpha"]) if settings.intercept else 0.0
        factor = np.linalg.lstsq(beta, returns - alpha, rcond=None)[0]
        total = np.sum((returns - alpha - beta @ factor) ** 2)
        predictive = np.sum((returns - alpha - beta @ before["factors_mean"]) ** 2)
        contributions = np.array([total, predictive, np.sum(returns**2)])
        sums += contributions
        names = ["oos_sse_total", "oos_sse_predictive", "oos_sst"]
        np.testing.assert_allclose([row[name] for name in names], contributions, rtol=1e-10)
        assert row["oos_total_r2"] == pytest.approx(1 - sums[0] / sums[2], rel=1e-10)
        assert row["oos_predictive_r2"] == pytest.approx(1 - sums[1] / sums[2], abs=1e-10)
    assert 0.3 < frame["oos_total_r2"][-1] < 1.0


def test_in_sample_r2_against_the_panel(market, recursion, settings):
    frame, state = recursion
    row, result = frame.row(83, named=True), state.result
    matrix = instrument_matrix(market.panel, market.instruments)
    index = np.searchsorted(np.array(market.months), market.panel["month"].to_numpy().astype(object))
    beta = matrix @ result.gamma
    alpha = matrix @ result.gamma_alpha if settings.intercept else 0.0
    returns = market.panel["ret_excess"].to_numpy()
    total = 1 - np.sum((returns - alpha - np.sum(beta * result.factors[index], axis=1)) ** 2) / np.sum(returns**2)
    predictive = 1 - np.sum((returns - alpha - beta @ result.factors.mean(axis=0)) ** 2) / np.sum(returns**2)
    assert row["total_r2"] == pytest.approx(total, rel=1e-12)
    assert row["predictive_r2"] == pytest.approx(predictive, rel=1e-11)


def test_stopping_and_resuming_from_the_stored_state_changes_no_bit(market, recursion, settings, tmp_path):
    frame, state = recursion
    for cut in (30, 65, 83):
        _, kept = run(market.statistics(market.months[:cut]), market.months[:cut], settings)
        kept.save(tmp_path / "state.safetensors")
        fresh = managed_portfolios(market.panel, market.instruments, market.months)
        buffer = io.BytesIO()
        fresh.write_parquet(buffer)
        buffer.seek(0)
        statistics = SufficientStatistics.from_frame(pl.read_parquet(buffer), market.instruments)
        loaded = IPCAState.load(tmp_path / "state.safetensors")
        resumed, last = run(statistics, market.months[cut:], settings, loaded)
        assert resumed.equals(frame[cut:])
        assert last.result.factors.tobytes() == state.result.factors.tobytes()
        assert last.oos_sums.tobytes() == state.oos_sums.tobytes()


def test_the_future_does_not_matter(market, recursion, settings):
    frame, _ = recursion
    cut = market.months[64]
    changed = market.panel.filter(pl.col("month") <= cut)
    portfolios = managed_portfolios(changed, market.instruments, market.months[:65])
    statistics = SufficientStatistics.from_frame(portfolios, market.instruments)
    again, _ = run(statistics, market.months[:65], settings)
    assert again.equals(frame[:65])


def test_a_month_without_assets_is_a_row_and_keeps_the_estimate(market, settings):
    gap = market.months[70]
    panel = market.panel.filter(pl.col("month") != gap)
    frame = managed_portfolios(panel, market.instruments, market.months)
    statistics = SufficientStatistics.from_frame(frame, market.instruments)
    rows, _ = run(statistics, market.months, settings)
    empty, before, after = rows.row(70, named=True), rows.row(69, named=True), rows.row(71, named=True)
    assert (empty["status"], empty["n_months"], empty["factor"]) == ("estimated", 70, None)
    assert empty["oos_sst"] is None
    assert empty["oos_total_r2"] == before["oos_total_r2"]
    np.testing.assert_allclose(empty["gamma"], before["gamma"], atol=1e-9)
    assert after["n_months"] == 71
    assert after["oos_sst"] is not None


def test_an_instrument_that_appears_late_is_picked_up(market, settings):
    """Until it has been seen in 12 months its row of Gamma is zero; afterwards warm and cold estimations agree."""
    settings = replace(settings, instrument_months=12)
    missing = pl.col("month") < market.months[60]
    late = market.panel.with_columns(pl.when(missing).then(0.0).otherwise("c1_r").alias("c1_r"))
    frame = managed_portfolios(late, market.instruments, market.months)
    statistics = SufficientStatistics.from_frame(frame, market.instruments)
    rows, state = run(statistics, market.months, settings)
    assert rows["converged"][59:].all()
    gammas = np.array(rows["gamma"][59:].to_list()).reshape(-1, 7, 3)
    assert (gammas[:12, 1] == 0.0).all()
    assert np.abs(gammas[12:, 1]).max(axis=1).min() > 1e-3
    cold = IPCA(3, intercept=settings.intercept, starts=8, instrument_months=12).fit(statistics)
    assert state.result.loss == pytest.approx(cold.loss, rel=1e-10)


def test_broken_chains_are_refused(market, settings):
    statistics = market.statistics()
    _, state = ipca_month(statistics.through(market.months[60]), None, settings)
    with pytest.raises(ValueError, match="not of the month before"):
        ipca_month(statistics.through(market.months[62]), state, settings)
    with pytest.raises(ValueError, match="not of the month before"):
        ipca_month(statistics.through(market.months[60]), state, settings)
    with pytest.raises(ValueError, match="no managed portfolios"):
        ipca_month(statistics.through(date(1900, 1, 1)), None, settings)
    other = IPCASettings(n_factors=2, min_months=60, intercept=settings.intercept)
    with pytest.raises(ValueError, match="other instruments, factors or intercept"):
        ipca_month(statistics.through(market.months[61]), state, other)


def test_the_chain_crosses_the_turn_of_the_year(market, settings):
    statistics = market.statistics()
    december = market.months.index(date(1995, 12, 1))
    _, state = ipca_month(statistics.through(market.months[december]), None, settings)
    frame, _ = ipca_month(statistics.through(market.months[december + 1]), state, settings)
    assert frame["month"].to_list() == [date(1996, 1, 1)]


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="must exceed n_factors"):
        IPCASettings(n_factors=5, min_months=5)
    with pytest.raises(ValueError, match="at least one factor"):
        IPCASettings(n_factors=0)


def test_forecasts_of_the_next_month(market, recursion):
    _, state = recursion
    month = market.months[-1]
    made = forecasts(state, market.panel.sample(fraction=1.0, shuffle=True, seed=2), month, model="ipca_3")
    rows = market.panel.filter(pl.col("month") == month).sort("isin")
    assert made.columns == ["month", "target_month", "model", "asset_id", "forecast"]
    assert made["target_month"].unique().to_list() == [date(1997, 1, 1)]
    assert made["asset_id"].to_list() == rows["isin"].to_list()
    slope = state.result.gamma @ state.result.factors.mean(axis=0)
    if state.result.gamma_alpha is not None:
        slope = slope + state.result.gamma_alpha
    expected = [
        sum(v * s for v, s in zip([*row, 1.0], slope, strict=True)) for row in rows[market.instruments].iter_rows()
    ]
    np.testing.assert_allclose(made["forecast"], expected, rtol=0, atol=1e-15)
    alone = forecasts(state, rows, month, model="ipca_3")
    assert alone.equals(made)


def test_no_forecasts_while_warming_up_or_from_another_state(market, settings):
    statistics = market.statistics()
    _, state = ipca_month(statistics.through(market.months[5]), None, settings)
    made = forecasts(state, market.panel, market.months[5])
    assert made.height == 0
    assert made.columns == ["month", "target_month", "model", "asset_id", "forecast"]
    with pytest.raises(ValueError, match="need the state of that month"):
        forecasts(state, market.panel, market.months[6])
    saved = IPCAState.from_arrays(*state.to_arrays())
    assert saved.result is None
    assert saved.month == state.month
