"""Linear benchmarks, GAN, trees and states on the page of stochastic discount factors, by plain NumPy and by hand."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from sdf_report_frames import MONTHS, sdf_report
from sdf_report_linear_frames import BOND_MONTHS, ESTIMATED, TOO_MANY

from pipeline.bonds.portfolios import PORTFOLIOS as NAMES
from pipeline.models.linear_settings import RegimeSettings
from pipeline.report import blocks
from pipeline.report.blocks import Content, Figure, Table, Words
from pipeline.report.data import ReportData
from pipeline.report.linear_statistics import market_states, network_of
from pipeline.report.numbers_linear import (
    PUBLISHED_STATES,
    REAL_TIME,
    WHOLE_SAMPLE,
    published_kernels,
    published_regressions,
)
from pipeline.report.numbers_sdf import MARKETS, SdfNumbers
from pipeline.report.pages import SDF_PAGE as PAGE
from pipeline.report.tables_linear import model_words

PORTFOLIOS = MARKETS[0]
#: Means of the states as the source prints them, percent, portfolio by portfolio.
_PRINTED_MEANS = {
    1: "0.81 1.29 1.61 1.90 2.52 1.23 1.34 1.52 1.53 2.00 0.80 1.26 1.80 1.81 2.32 1.00 1.43 1.73 1.77 2.29 "
    "1.61 1.57 1.67 1.66 1.93 1.28 1.27 1.49 1.32 2.93 1.19 2.28 1.46 1.59 1.53 1.59 1.65 1.64 1.56 1.55",
    2: "0.18 0.24 0.24 0.21 0.31 0.22 0.21 0.23 0.25 0.33 0.17 0.23 0.24 0.23 0.34 0.19 0.25 0.24 0.27 0.22 "
    "0.18 0.22 0.22 0.29 0.31 0.24 0.21 0.24 0.22 0.25 0.17 0.44 0.17 0.19 0.18 0.19 0.26 0.26 0.32 0.34",
    3: "-0.20 -0.41 -0.54 -0.55 -0.36 -0.23 -0.32 -0.43 -0.49 -0.56 -0.14 -0.40 -0.52 -0.51 -0.45 -0.12 -0.36 -0.53 "
    "-0.62 -0.57 -0.50 -0.49 -0.51 -0.54 -0.21 -0.37 -0.38 -0.40 -0.43 -0.21 -0.53 0.44 -0.45 -0.43 -0.38 -0.30 -0.42 "
    "-0.41 -0.34 -0.31",
}


@pytest.fixture(scope="module")
def report() -> ReportData:
    return sdf_report()


@pytest.fixture(scope="module")
def numbers(report: ReportData) -> SdfNumbers:
    return SdfNumbers(report)


def _built(numbers: SdfNumbers, anchor: str, *places: int) -> list[Content]:
    """Build blocks of a section without drawing them, all where no place is given."""
    (section,) = (each for each in PAGE.sections if each.anchor == anchor)
    chosen = [section.blocks[place] for place in places] or section.blocks
    contents: list[Content] = []
    for block in chosen:
        built = block.build(numbers)
        contents += built if isinstance(built, Sequence) else [built]
    return contents


def _tables(contents: list[Content]) -> list[Table]:
    return [each for each in contents if isinstance(each, Table)]


def _told(contents: list[Content]) -> str:
    return " ".join(each.text for each in contents if isinstance(each, Words))


def _csv(table: Table) -> pl.DataFrame:
    return pl.read_csv(io.StringIO(table.downloads[0].text), try_parse_dates=True)


def _rows(table: Table) -> list[list[str]]:
    """Return the cells of each row of a table's body, as text."""
    body = re.findall(r"<tbody.*?</tbody>", table.html, re.S)[0]
    found = (re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in re.findall(r"<tr.*?</tr>", body, re.S))
    return [[cell.strip() for cell in row] for row in found]


def _changed(report: ReportData, **frames: pl.DataFrame | None) -> SdfNumbers:
    held = {name: frame for name, frame in {**report.frames, **frames}.items() if frame is not None}
    return SdfNumbers(replace(report, frames=held))


def _shown(value: float, places: int) -> str:
    # Adding zero takes the sign off a number that is rounded to it.
    return f"{round(value, places) + 0.0:.{places}f}".replace("-", "−")


def _returns(report: ReportData) -> dict[tuple[date, str], float]:
    frame = report.table(PORTFOLIOS.returns)
    return {(month, name): value for month, name, value in frame.select("month", "portfolio", "ret_excess").iter_rows()}


def _errors(report: ReportData, asset: str, **chosen: str) -> dict[date, dict[str, float]]:
    """Forecast errors by target month and portfolio."""
    returns = _returns(report)
    found: dict[date, dict[str, float]] = {}
    for row in report.table(asset).filter(**chosen).iter_rows(named=True):
        key = (row["target_month"], row["asset_id"])
        if key in returns:
            found.setdefault(key[0], {})[key[1]] = returns[key] - row["forecast"]
    return found


def _diebold_mariano(model: dict[date, dict[str, float]], benchmark: dict[date, dict[str, float]]) -> float:
    """Mean monthly difference over its Newey-West error, corrected for few months, every product written out."""
    months = sorted(set(model) & set(benchmark))
    series = np.array(
        [np.mean([model[month][name] ** 2 - benchmark[month][name] ** 2 for name in model[month]]) for month in months]
    )
    T, lags = len(series), int(4.0 * (len(series) / 100.0) ** (2.0 / 9.0))
    u = series - series.mean()
    variance = sum(
        (1.0 - abs(s - t) / (lags + 1.0)) * u[s] * u[t] for s in range(T) for t in range(T) if abs(s - t) <= lags
    )
    h = lags + 1
    correction = np.sqrt((T + 1 - 2 * h + h * (h - 1) / T) / T)
    return float(series.mean() / (np.sqrt(variance) / T / correction))


# What was published


def test_published_regressions_are_the_40_portfolios_and_agree_with_the_text() -> None:
    """Its text: mean R-squared of 0.03 with the bond factor, about 0.10 and 0.09 with macro factors."""
    frame = published_regressions()
    names = set(NAMES)
    for factors, macro in ((WHOLE_SAMPLE, 0.10), (REAL_TIME, 0.09)):
        own = frame.filter(factors=factors)
        assert set(own["portfolio"]) == names
        assert own.height == 40
        assert own["cp_r2"].mean() == pytest.approx(0.03, abs=0.006)
        assert own["macro_cp_r2"].mean() == pytest.approx(macro, abs=0.01)
        assert (own.select("cp_error", "macro_cp_error").min_horizontal() > 0.0).all()
    last = frame.filter(factors=REAL_TIME, portfolio="spread_10").row(0, named=True)
    assert (last["cp"], last["cp_error"], last["macro_cp"], last["macro_cp_r2"]) == (15.22, 5.02, 3.26, 0.09)


def test_published_kernels_agree_with_the_text() -> None:
    """Its text: macro factors raise R-squared and EV by an order of magnitude; CP adds a little; so does size."""
    frame = published_kernels()
    (alone,) = frame.filter(pl.col("n_factors") == 0).iter_rows(named=True)
    others = frame.filter(pl.col("n_factors") > 0)
    assert others["r2"].min() > 10 * alone["r2"]
    assert others["explained_variation"].min() > 9 * alone["explained_variation"]
    by_cp = others.pivot("cp", index="n_factors", values="r2")
    assert (by_cp["true"] >= by_cp["false"]).all()
    assert (others["p"] > alone["p"]).all()


def test_published_means_of_states_are_averages_of_those_printed() -> None:
    for state, text in _PRINTED_MEANS.items():
        printed = [float(each) for each in text.split()]
        assert len(printed) == 40
        assert PUBLISHED_STATES[state][0] == pytest.approx(np.mean(printed), abs=0.001)


# Linear kernels and predictive regressions


def test_kernels_stand_beside_those_published(report: ReportData, numbers: SdfNumbers) -> None:
    contents = _built(numbers, "linear", 0)
    (table,) = _tables(contents)
    newest = report.table("bond_portfolio_linear_sdf").filter(pl.col("month") == ESTIMATED[1])
    own = newest.filter(n_factors=7, cp=True).row(0, named=True)
    ours = [_shown(own[name], 2) for name in ("sharpe", "explained_variation", "r2")]
    rows = _rows(table)
    assert ["7", "yes", *ours, "31.4", "32", "0.25", "0.03", "0.07", "0.37", "0.36", "0.60", "0.00"] in rows
    assert ["30", "yes", *["–"] * 7, "−0.03", "0.54", "0.53", "0.99", "0.00"] in rows
    assert [row[:2] for row in rows][:4] == [["0", "yes"], ["7", "no"], ["7", "yes"], ["8", "no"]]
    assert "Iteration did not end by its tolerance with 12 macro factors and CP." in table.caption
    assert "on the 200 months to 2020-01 of 40 portfolios" in table.caption
    assert _told(contents) == f"Not estimated with 30 macro factors and CP: {TOO_MANY}."
    assert _csv(table).height == newest.height


def test_kernels_that_cannot_be_estimated_are_told_alone(report: ReportData) -> None:
    refused = report.table("bond_portfolio_linear_sdf").drop_nulls("reason")
    contents = _built(_changed(report, bond_portfolio_linear_sdf=refused), "linear", 0)
    assert [each.kind for each in contents] == ["words"]


def test_numbers_of_factors_stand_by_criterion_and_penalty(numbers: SdfNumbers) -> None:
    (table,) = _tables(_built(numbers, "linear", 1))
    rows = _rows(table)
    assert rows[0] == ["at most 39 factors"]
    assert rows[1] == ["PCp1", "10", "11", "12", "14"]
    assert rows[4] == ["ICp3", "13", "14", "15", "17"]
    assert rows[9] == ["ICp3", *["–"] * 4]
    assert re.findall(r">(\d+%)<", table.html) == ["100%", "90%", "80%", "70%"]


@pytest.mark.parametrize(("factors", "place"), [(WHOLE_SAMPLE, 2), (REAL_TIME, 3)])
def test_regressions_are_in_percent_with_the_published_beside(
    report: ReportData, numbers: SdfNumbers, factors: str, place: int
) -> None:
    (table,) = _tables(_built(numbers, "linear", place))
    held = report.table("bond_portfolio_predictive_regressions").filter(factors=factors, month=ESTIMATED[1])
    rows = _rows(table)
    assert [row[0] for row in rows] == [
        name for each in ("downside 1", "downside 2", "rating 1", "spread 2", "spread 10") for name in (each, each)
    ]
    own = held.filter(specification="macro_cp", portfolio="downside_1")
    printed = published_regressions().filter(factors=factors, portfolio="downside_1").row(0, named=True)
    cells = []
    for name in ("cochrane_piazzesi", "pc_1", "pc_2"):
        row = own.filter(predictor=name).row(0, named=True)
        stars = "*" * sum(row["p"] < level for level in (0.01, 0.05, 0.1))
        cells.append(f"{_shown(100 * row['coefficient'], 2)}{stars} ({_shown(100 * row['standard_error'], 2)})")
    theirs = f"{_shown(printed['macro_cp'], 2)} ({_shown(printed['macro_cp_error'], 2)})"
    assert rows[1] == ["downside 1", *cells, f"{own['r2'][0]:.2f}", theirs, f"{printed['macro_cp_r2']:.2f}"]
    assert rows[0][2:4] == ["–", "–"]
    means = [held.filter(specification=each, predictor="constant")["r2"].mean() for each in ("cp", "macro_cp")]
    assert f"{means[0]:.2f} with CP alone (published" in table.caption
    assert f"{means[1]:.2f} with the macro factors too" in table.caption
    assert "Newey-West, 4 lags" in table.caption
    assert _csv(table).height == held.height


def test_out_of_sample_fit_is_that_of_a_loop(report: ReportData, numbers: SdfNumbers) -> None:
    (table,) = _tables(_built(numbers, "linear", 4))
    found = _csv(table)
    assert found["model"].to_list() == ["mean", "predictive_cp", "predictive_macro", "predictive_macro_cp"]
    returns = _returns(report)
    benchmark = _errors(report, "bond_portfolio_predictive_forecasts", model="mean")
    for row in found.filter(pl.col("model") != "mean").iter_rows(named=True):
        errors = _errors(report, "bond_portfolio_predictive_forecasts", model=row["model"])
        names = sorted({name for _, name in returns})
        own, zero, mean = (
            {name: sum(each(month, name) ** 2 for month in MONTHS) for name in names}
            for each in (
                lambda month, name, errors=errors: errors[month][name],
                lambda month, name: returns[month, name],
                lambda month, name: benchmark[month][name],
            )
        )
        singles = [1.0 - own[name] / mean[name] for name in names]
        assert row["r2_zero"] == pytest.approx(1.0 - sum(own.values()) / sum(zero.values()), rel=1e-10)
        assert row["r2_mean"] == pytest.approx(1.0 - sum(own.values()) / sum(mean.values()), rel=1e-10)
        assert row["median"] == pytest.approx(np.median(singles), rel=1e-10)
        assert row["positive"] == pytest.approx(np.mean(np.array(singles) > 0.0))
        assert (row["first"], row["last"], row["n_months"]) == (MONTHS[0], MONTHS[-1], len(MONTHS))


def test_forecasts_without_returns_are_told(report: ReportData) -> None:
    last = report.table("bond_portfolio_predictive_forecasts").filter(pl.col("target_month") > MONTHS[-1])
    assert last.height
    numbers = _changed(report, bond_portfolio_predictive_forecasts=last)
    assert "no forecast of the predictive regressions has a return yet" in _told(_built(numbers, "linear", 4))
    (table,) = _tables(_built(numbers, "compared", 0))
    assert set(_csv(table)["of"]) == {"forecasts"}
    nothing = _changed(report, bond_portfolio_forecast_moments=None, bond_portfolio_sdf=None)
    assert _told(_built(nothing, "compared", 0)) == "No two of these forecasts share a month yet."


# Forecasts against each other


def test_forecast_tests_are_those_of_a_loop_below_zero_where_the_row_errs_less(
    report: ReportData, numbers: SdfNumbers
) -> None:
    (table,) = _tables(_built(numbers, "compared", 0))
    found = _csv(table).filter(of="forecasts")
    assert found.height == 5 + 1 + 5
    regression = _errors(report, "bond_portfolio_predictive_forecasts", model="predictive_macro_cp")
    for objective, environment in (("sharpe", "full"), ("gan", "full"), ("mispricing", "no_macro")):
        network = _errors(report, PORTFOLIOS.weights, objective=objective, environment=environment)
        row = found.filter(benchmark="predictive_macro_cp", model=f"sdf_{objective}_{environment}").row(0, named=True)
        assert row["statistic"] == pytest.approx(_diebold_mariano(network, regression), rel=1e-6)
        assert row["statistic"] * (row["mspe_model"] - row["mspe_benchmark"]) > 0.0
        assert row["n_months"] == len(MONTHS)
    assert found.filter(benchmark="xgboost")["n_months"].unique().to_list() == [len(MONTHS) - 6]


def test_residual_tests_are_those_of_a_loop(report: ReportData, numbers: SdfNumbers) -> None:
    (table,) = _tables(_built(numbers, "compared", 0))
    found = _csv(table).filter(of="residuals", model="sdf_sharpe_full").row(0, named=True)
    returns = _returns(report)
    held = report.table(PORTFOLIOS.weights).filter(objective="sharpe", environment="full")
    left: dict[date, dict[str, float]] = {}
    for month in MONTHS:
        rows = held.filter(target_month=month).select("asset_id", "forecast").rows()
        b, r = np.array([each[1] for each in rows]), np.array([returns[month, each[0]] for each in rows])
        residual = r - b * (b @ r) / (b @ b)
        left[month] = dict(zip((each[0] for each in rows), residual, strict=True))
    regression = _errors(report, "bond_portfolio_predictive_forecasts", model="predictive_macro_cp")
    statistic = _diebold_mariano(left, regression)
    assert found["statistic"] == pytest.approx(statistic, rel=1e-6)
    (row,) = [each for each in _rows(table) if each[0] == "Sharpe ratio, all features" and each[-1] == "−4.82"]
    assert row[3] == f"{_shown(statistic, 2)}{found['stars']}"


def test_networks_without_any_knowledge_win_by_residuals_alone(report: ReportData) -> None:
    """Constant betas in a market that moves as one: no forecast, but the projection takes the month's mean out."""
    rng = np.random.default_rng(2)
    common = dict(zip(MONTHS, rng.normal(0.0, 0.05, len(MONTHS)), strict=True))
    returns = report.table(PORTFOLIOS.returns)
    own = pl.Series(rng.normal(0.0, 0.01, returns.height))
    moved = returns.with_columns(ret_excess=pl.col("month").replace_strict(common, return_dtype=pl.Float64) + own)
    flat = report.table(PORTFOLIOS.weights).with_columns(forecast=pl.lit(1.0))
    numbers = _changed(report, bond_portfolios=moved, bond_portfolio_sdf=flat)
    found = numbers.linear.residual_tests(numbers.positions(PORTFOLIOS))
    assert (found["statistic"] < -3.0).all()


def test_few_months_are_not_tested(report: ReportData) -> None:
    few = MONTHS[10]
    moments = report.table("bond_portfolio_forecast_moments").filter(pl.col("month") < few)
    forecasts = report.table("bond_portfolio_predictive_forecasts").filter(pl.col("target_month") < few)
    numbers = _changed(report, bond_portfolio_forecast_moments=moments, bond_portfolio_predictive_forecasts=forecasts)
    contents = _built(numbers, "compared", 0)
    assert _tables(contents) == []
    told = _told(contents)
    assert "Residuals not tested against predictive regressions: 10 months are too few" in told
    assert "(mispricing, all features; Sharpe ratio, all features; GAN, all features; " in told
    assert "Forecasts not tested against boosted trees: 4 months are too few" in told


def test_trees_say_what_they_were_worth(report: ReportData, numbers: SdfNumbers) -> None:
    (table,) = _tables(_built(numbers, "compared", 1))
    rows = {row[0]: row[1:] for row in _rows(table)}
    assert rows["best R² of validation"] == ["0.041", "−0.003", "0.04", "−0.01"]
    assert rows["feature 1"] == ["y&lt;10&gt;", "rating", "med_s2p", "med_lme"]
    assert rows["feature 2"][:2] == ["slope", "–"]
    assert rows["months of test"] == [str(len(MONTHS) - 6), str(BOND_MONTHS), "–", "–"]
    moments = report.table("bond_forecast_moments").filter(
        pl.col("model_a") == "xgboost", pl.col("model_b") == "xgboost"
    )
    errors, squares = 0.0, 0.0
    for row in moments.iter_rows(named=True):
        errors += row["yy"] - 2.0 * row["ya"] + row["aa"]
        squares += row["yy"]
    assert rows["R² of test"][1] == _shown(1.0 - errors / squares, 3)
    alone = _tables(_built(_changed(report, bond_trees=None, bond_portfolio_forecast_moments=None), "compared", 1))
    assert {row[0]: row[1:] for row in _rows(alone[0])}["R² of test"] == ["–", "0.003"]


def test_names_of_forecasts() -> None:
    assert network_of("sdf_sharpe_no_macro") == ("sharpe", "no_macro")
    assert network_of("sharpe_full") is None
    assert network_of("sdf_other_full") is None
    assert model_words("sdf_gan_full") == "GAN, all features"
    assert model_words("something <new>") == "something <new>"


# The states of the market


def test_states_are_found_where_they_are_plain() -> None:
    rng = np.random.default_rng(4)
    months = [date(2000 + i // 12, i % 12 + 1, 1) for i in range(120)]
    bad = np.arange(120) // 20 % 2
    returns = np.where(bad[:, None] == 1, -0.04, 0.01) + 0.005 * rng.standard_normal((120, 3))
    frame = pl.DataFrame({"month": months, **{f"p_{k}": returns[:, k] for k in range(3)}}).unpivot(
        index="month", variable_name="portfolio", value_name="ret_excess"
    )
    young = frame.filter(portfolio="p_0").with_columns(
        portfolio=pl.lit("young"), ret_excess=pl.when(pl.col("month") >= date(2009, 1, 1)).then(0.5)
    )
    settings = RegimeSettings(min_months=60, n_starts=3, start_months=12)
    found = market_states(pl.concat([frame, young]), 2, settings)
    assert found.n_portfolios == 3
    assert found.path["month"].to_list() == months
    assert np.mean(found.path["state"].to_numpy() == bad + 1) > 0.99
    np.testing.assert_allclose(found.path["value"], np.cumprod(1.0 + returns.mean(axis=1)), rtol=1e-12)
    np.testing.assert_allclose(found.description["mean"], [0.01, -0.04], atol=0.002)
    with pytest.raises(ValueError, match="no portfolio has returns in 121 months"):
        market_states(frame, 2, RegimeSettings(min_months=121, start_months=12))


def test_states_of_picture_asset_and_source_stand_below_each_other(numbers: SdfNumbers) -> None:
    (table,) = _tables(_built(numbers, "states", 2))
    rows = _rows(table)
    headings = [row[0] for row in rows if len(row) == 1]
    assert headings == [
        "whole sample, ex post",
        "2 states, estimated in 2020-01",
        "3 states, estimated in 2020-01",
        "published, 40 portfolios",
    ]
    assert rows[5] == ["1", "0.40", "1.00", "40.00", "6.0", "–"]
    assert rows[-3] == ["1", "1.62", "–", "277.05", "–", "–"]
    whole = numbers.linear.states.description.row(2, named=True)
    assert rows[3][1:4] == [
        _shown(100 * whole["mean"], 2), _shown(100 * whole["volatility"], 2), f"{1e4 * whole['largest_eigenvalue']:.2f}"
    ]  # fmt: skip


def test_too_few_months_have_no_picture_of_states(report: ReportData) -> None:
    early = report.table(PORTFOLIOS.returns).filter(pl.col("month") < MONTHS[40])
    numbers = _changed(report, bond_portfolios=early)
    contents = _built(numbers, "states")
    assert _told(contents).startswith("No states of the whole sample: no portfolio has returns in 48 months and one")
    assert _rows(_tables(contents)[0])[0] == ["2 states, estimated in 2020-01"]


def test_pictures_of_states_hold_every_month(report: ReportData) -> None:
    (section,) = (each for each in PAGE.sections if each.anchor == "states")
    drawn = blocks.draw(section, SdfNumbers(report))
    svgs = [svg for content, drawings in drawn.contents if isinstance(content, Figure) for svg in drawings]
    assert len(svgs) == 2
    steps, bars = (re.findall(r'class="mark-r[^"]*role-mark[^"]*"[^>]*>(.*?)</g>', svg, re.S) for svg in svgs)
    assert sum(each.count("<line") for each in steps) == len(MONTHS)
    known = report.table("bond_portfolio_regimes").filter(n_states=3).drop_nulls("probability").height
    assert sum(each.count("<path") for each in bars) == known


# Generative adversarial networks


def test_gan_stands_beside_sharpe_in_the_common_months(report: ReportData) -> None:
    earned = report.table(PORTFOLIOS.earned)
    late = earned.filter((pl.col("objective") != "gan") | (pl.col("month") >= MONTHS[12]))
    numbers = _changed(report, bond_portfolio_sdf_returns=late)
    table, alphas = _tables(_built(numbers, "gan", 1, 2))
    found = _csv(table)
    assert found["objective"].to_list() == ["sharpe", "gan"]
    assert set(found["environment"]) == {"full"}
    assert found["n_months"].to_list() == [48, 48]
    for row in found.iter_rows(named=True):
        own = earned.filter(pl.col("month") >= MONTHS[12], objective=row["objective"], environment="full")
        r = own["factor"].to_numpy()
        assert row["sharpe"] == pytest.approx(r.mean() / r.std(ddof=1), rel=1e-10)
    assert "The 48 months from 2017-01 to 2020-12" in table.caption
    assert "10 industry portfolios" in table.caption
    assert ["GAN, stock portfolios", "0.14", "1.85", "0.01", "0.52", "0.07", "1.91", "0.95"] in _rows(table)
    assert ["GAN, bond portfolios", "0.001 (1.96)", "0.001 (1.74)", "0.001 (1.59)"] in _rows(alphas)
    falls = numbers.beside_gan(PORTFOLIOS)
    assert set(falls["objective"]) == {"mispricing", "sharpe", "gan"}


def test_mode_collapse_is_told(report: ReportData, numbers: SdfNumbers) -> None:
    contents = _built(numbers, "gan", 0)
    (table,) = _tables(contents)
    assert "Mode collapse (equal weights within the month" in table.caption
    assert "0 of 5 configurations" in table.caption
    assert _told(contents) == ""
    search = report.table(PORTFOLIOS.search)
    equal = search.with_columns(pl.when(pl.col("equal_share").is_not_null()).then(0.82).alias("equal_share"))
    contents = _built(_changed(report, bond_portfolio_sdf_search=equal), "gan", 0)
    assert "5 of 5 configurations" in _tables(contents)[0].caption
    assert "the winner (GAN, all features) has equal weights in 82%" in _told(contents)


def test_markets_without_a_gan_say_so(numbers: SdfNumbers) -> None:
    assert _told(_built(numbers, "gan", 3, 4, 5)) == "Bonds: no GAN is among the objectives that were searched."
