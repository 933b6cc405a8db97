"""The page of stochastic discount factors: its numbers by plain NumPy, its files, what it says with little to say."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from sdf_report_frames import FIRST_SEARCH, MONTHS, sdf_report

from assets.all import MONTHLY_ASSETS
from pipeline.report import blocks
from pipeline.report.blocks import Content, Drawn
from pipeline.report.data import ReportData
from pipeline.report.numbers_sdf import INDUSTRIES, MARKETS, PUBLISHED, Market, SdfNumbers, published
from pipeline.report.page import compose
from pipeline.report.pages import SDF_PAGE as PAGE
from pipeline.report.sdf_statistics import RATIOS, UNKNOWN, attainable_sharpe, in_order

PORTFOLIOS, BONDS, STOCKS = MARKETS
_SECTIONS = (*PAGE.sections, PAGE.truth, PAGE.reference)
#: Places of blocks in the section of a market.
_PERFORMANCE, _ALPHAS, _CONFIGURATIONS = 0, 1, 3
#: Tables of the GAN, of the linear benchmarks, of the comparisons and of the states.
_OTHER_TABLES = 3 + 5 + 2 + 1
#: What the sections that are of no one market say that they lack, by anchor.
_OTHERS = {
    "gan": {"french_factors", *(name for market in MARKETS for name in (market.search, market.earned))},
    "linear": {
        "bond_portfolio_linear_sdf",
        "macro_factor_counts",
        "bond_portfolio_predictive_regressions",
        "bond_portfolio_predictive_forecasts",
        "bond_portfolios",
    },
    "compared": {
        "bond_portfolio_forecast_moments",
        "bond_forecast_moments",
        "bond_portfolio_trees",
        "bond_trees",
        "bond_portfolio_predictive_forecasts",
        "bond_portfolio_sdf",
        "bond_portfolios",
    },
    "states": {"bond_portfolios", "bond_portfolio_regimes"},
}
MALICIOUS = '"><script>alert("sector")</script>'


@pytest.fixture(scope="module")
def report() -> ReportData:
    return sdf_report()


@pytest.fixture(scope="module")
def numbers(report: ReportData) -> SdfNumbers:
    return SdfNumbers(report)


@pytest.fixture(scope="module")
def files(report: ReportData) -> dict[str, str]:
    return compose(PAGE, report)


def _csv(files: dict[str, str], name: str) -> pl.DataFrame:
    return pl.read_csv(io.StringIO(files[f"tables/{name}.csv"]), try_parse_dates=True)


def _changed(report: ReportData, **frames: pl.DataFrame | None) -> ReportData:
    """Replace frames, or leave them out where None is given; dots of names are written as double underscores."""
    given = {name.replace("__", "."): frame for name, frame in frames.items()}
    held = {name: frame for name, frame in {**report.frames, **given}.items() if frame is not None}
    return replace(report, frames=held)


def _drawn(report: ReportData, anchor: str) -> Drawn:
    (section,) = (each for each in _SECTIONS if each.anchor == anchor)
    return blocks.draw(section, SdfNumbers(report))


def _built(report: ReportData, anchor: str, *blocks: int) -> list[Content]:
    """Build some blocks of a section, without drawing them."""
    (section,) = (each for each in _SECTIONS if each.anchor == anchor)
    numbers = SdfNumbers(report)
    return [content for place in blocks for content in section.blocks[place].build(numbers)]


def _told(contents: list[Content]) -> str:
    return " ".join(content.text for content in contents if content.kind == "words")


def _missed(report: ReportData) -> dict[str, set[str]]:
    """Return the sections with the frames that they had to do without."""
    numbers = SdfNumbers(report)
    found = {
        section.anchor: {name for block in section.blocks for name in (*block.lacking(numbers), *block.missed(numbers))}
        for section in _SECTIONS
    }
    return {anchor: names for anchor, names in found.items() if names}


def _held(report: ReportData, market: Market, objective: str, environment: str) -> list[list[dict[str, Any]]]:
    """Return the rows of the weights of each month, each with the asset's return, None where there is none."""
    returns = {
        (row["month"], str(row[market.key])): row["ret_excess"]
        for row in report.table(market.returns).iter_rows(named=True)
    }
    months: dict[date, list[dict[str, Any]]] = {month: [] for month in MONTHS}
    for row in report.table(market.weights).filter(objective=objective, environment=environment).iter_rows(named=True):
        if row["target_month"] in months:
            months[row["target_month"]].append(row | {"ret": returns[row["target_month"], row["asset_id"]]})
    return list(months.values())


def _series(report: ReportData, market: Market, objective: str, environment: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns and leverage of a portfolio from weights and returns, month by month."""
    held = _held(report, market, objective, environment)
    earned = [sum(row["weight"] * row["ret"] for row in rows if row["ret"] is not None) for rows in held]
    return np.array(earned), np.array([sum(abs(row["weight"]) for row in rows) for rows in held])


# Numbers


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.name)
def test_performance_is_that_of_weights_times_returns(
    report: ReportData, files: dict[str, str], market: Market
) -> None:
    frame = _csv(files, f"{market.name}_sdf_performance")
    assert frame.height == report.table(market.earned).select("objective", "environment").n_unique()
    for row in frame.iter_rows(named=True):
        r, leverage = _series(report, market, row["objective"], row["environment"])
        value = np.concatenate([[1.0], np.cumprod(1.0 + r)])
        fall = max(1.0 - value[i] / value[: i + 1].max() for i in range(len(value)))
        expected = {
            "sharpe": r.mean() / r.std(ddof=1),
            "sortino": r.mean() / np.sqrt(np.mean(np.where(r < 0.0, r, 0.0) ** 2)),
            "calmar": r.mean() / fall,
            "maximum_drawdown": fall,
            "cagr": value[-1] ** (12.0 / len(r)) - 1.0,
            "maximum_leverage": leverage.max(),
            "mean_leverage": leverage.mean(),
        }
        assert {name: row[name] for name in RATIOS} == pytest.approx(expected, rel=1e-10)
        assert (row["first"], row["last"], row["n_months"]) == (MONTHS[0], MONTHS[-1], len(MONTHS))
        shown = f"{expected['sharpe']:.2f}".replace("-", "−")
        cells = re.findall(r"<td[^>]*>([^<]*)</td>", _table(files[PAGE.file], f"table-{market.name}-performance"))
        assert shown in cells


def _table(page: str, name: str) -> str:
    (found,) = re.findall(rf'<div id="{name}".*?</table>', page, re.S)
    return found


def _newey_west_t(y: np.ndarray, factors: np.ndarray, lags: int) -> tuple[float, float]:
    """Intercept and its t-statistic, Bartlett weights and T / (T - K - 1), every product written out."""
    X = np.column_stack([np.ones(len(y)), factors])
    beta = np.linalg.lstsq(X, y, rcond=None)[0]
    u = y - X @ beta
    middle = np.zeros((X.shape[1], X.shape[1]))
    for s in range(len(y)):
        for t in range(max(s - lags, 0), min(s + lags + 1, len(y))):
            middle += (1.0 - abs(s - t) / (lags + 1.0)) * u[s] * u[t] * np.outer(X[s], X[t])
    bread = np.linalg.inv(X.T @ X)
    covariance = bread @ middle @ bread * len(y) / (len(y) - X.shape[1])
    return float(beta[0]), float(beta[0] / np.sqrt(covariance[0, 0]))


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.name)
def test_alphas_are_those_of_plain_regressions(report: ReportData, files: dict[str, str], market: Market) -> None:
    frame = _csv(files, f"{market.name}_sdf_alphas")
    factors = report.table("french_factors").sort("month")
    index = report.table("crsp.msi").sort("month")["sprtrn"].to_numpy() - factors["rf"].to_numpy()
    portfolios = report.table("bond_portfolios").pivot("portfolio", index="month", values="ret_excess").sort("month")
    sets = {
        "sp500": index[:, None],
        "ff3": factors.select("mkt_rf", "smb", "hml").to_numpy(),
        "ff5": factors.select("mkt_rf", "smb_5", "hml", "rmw", "cma").to_numpy(),
        "portfolios": portfolios.drop("month").to_numpy(),
    }
    assert set(frame["benchmark"]) == set(sets) - (set() if market is BONDS else {"portfolios"})
    for row in frame.iter_rows(named=True):
        r, _ = _series(report, market, row["objective"], row["environment"])
        alpha, t = _newey_west_t(r, sets[row["benchmark"]], row["lags"])
        assert (row["alpha"], row["t"]) == pytest.approx((alpha, t), rel=1e-8)
        assert row["n_months"] == len(MONTHS)
        # Adding zero takes the sign off a number that is rounded to it.
        cell = f"{round(alpha, 4) + 0.0:.4f}{row['stars'] or ''} ({round(t, 2) + 0.0:.2f})".replace("-", "−")
        assert f">{cell}</td>" in _table(files[PAGE.file], f"table-{market.name}-alphas")


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.name)
def test_what_betas_explain_is_that_of_projections(report: ReportData, files: dict[str, str], market: Market) -> None:
    for row in _csv(files, f"{market.name}_sdf_pricing").iter_rows(named=True):
        errors, squares, n = [], [], 0
        by_asset: dict[str, list[tuple[float, float]]] = {}
        for held in _held(report, market, row["objective"], row["environment"]):
            kept = [(each["asset_id"], each["forecast"], each["ret"]) for each in held if each["ret"] is not None]
            b, r = np.array([each[1] for each in kept]), np.array([each[2] for each in kept])
            e = r - b * (b @ r) / (b @ b)
            errors.append(np.mean(e**2))
            squares.append(np.mean(r**2))
            n += len(kept)
            for (asset, _, value), error in zip(kept, e, strict=True):
                by_asset.setdefault(asset, []).append((value, error))
        means = [(len(each), *np.mean(each, axis=0)) for each in by_asset.values()]
        xs = 1.0 - sum(T * e**2 for T, _, e in means) / sum(T * r**2 for T, r, _ in means)
        assert row["explained_variation"] == pytest.approx(1.0 - np.mean(errors) / np.mean(squares), rel=1e-10)
        assert row["cross_sectional_r2"] == pytest.approx(xs, rel=1e-10)
        assert (row["n"], row["n_months"]) == (n, len(MONTHS))


def test_cumulative_returns_begin_at_zero(report: ReportData, numbers: SdfNumbers) -> None:
    found = numbers.cumulative(BONDS).filter(objective="sharpe").sort("month")
    r, _ = _series(report, BONDS, "sharpe", "full")
    assert found["month"].to_list() == [FIRST_SEARCH, *MONTHS]
    np.testing.assert_allclose(found["cumulative"], np.concatenate([[0.0], np.cumprod(1.0 + r) - 1.0]), atol=1e-14)


def test_industries_add_up_to_the_portfolio(report: ReportData, numbers: SdfNumbers) -> None:
    found = numbers.industries(BONDS).filter(objective="mispricing")
    r, leverage = _series(report, BONDS, "mispricing", "full")
    assert set(found["industry"]) == {
        INDUSTRIES["industry_1"],
        INDUSTRIES["industry_4"],
        INDUSTRIES["industry_7"],
        UNKNOWN,
    }
    total = found.group_by("month").agg(pl.col("contribution").sum(), pl.col("share").abs().sum()).sort("month")
    np.testing.assert_allclose(total["contribution"], r, atol=1e-14)
    np.testing.assert_allclose(total["share"], 1.0, rtol=1e-12)
    held = report.table(BONDS.weights).filter(objective="mispricing", target_month=MONTHS[3])
    own = held.filter(pl.col("asset_id").is_in(["asset_0", "asset_1"]))["weight"].to_numpy()
    expected = np.sign(own.sum()) * np.abs(own).sum() / leverage[3]
    assert found.filter(industry=UNKNOWN, month=MONTHS[3])["share"].item() == pytest.approx(expected, rel=1e-12)


def test_the_winners_of_the_newest_search_are_shown_and_all_are_in_the_file(
    report: ReportData, files: dict[str, str], numbers: SdfNumbers
) -> None:
    searched = report.table(PORTFOLIOS.search).filter(network="weights")
    assert _csv(files, "bond_portfolio_sdf_weights").height == searched.height == 2 * 5 * 6
    shown = _table(files[PAGE.file], "table-bond_portfolio-weights")
    best = (
        searched.filter(pl.col("month") > FIRST_SEARCH).group_by("objective", "environment").agg(pl.col("score").max())
    )
    assert all(f">{score:.3f}</td>" in shown for score in best["score"])
    assert "5 of 30 configurations ended without a score" in files[PAGE.file]
    lowest = report.table(BONDS.search).filter(pl.col("month") > FIRST_SEARCH, network="betas", objective="sharpe")
    assert f">{-lowest['score'].max():.3f}</td>" in _table(files[PAGE.file], "table-bond-betas")
    early = searched.filter(month=FIRST_SEARCH).sort("score", descending=True, nulls_last=True)
    assert numbers.preferred(PORTFOLIOS) == early.select("objective", "environment").row(0)


def test_every_configuration_with_a_score_is_a_mark(files: dict[str, str]) -> None:
    (chart,) = re.findall(r"All configurations.*?</svg>", files[PAGE.file].split('id="bond"')[0], re.S)
    (before,) = re.findall(r"<svg(?:(?!<svg).)*?All configurations", files[PAGE.file].split('id="bond"')[0], re.S)
    marks = re.findall(r'class="mark-rect role-mark[^"]*"[^>]*>(.*?)</g>', before + chart, re.S)
    assert sum(each.count("<path") for each in marks) == 5 * 5


def test_the_attainable_ratio_is_that_of_the_best_combination() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(0.01, 0.05, (40, 2))
    angles = np.linspace(0.0, 2.0 * np.pi, 20_001)
    tried = values @ np.vstack([np.cos(angles), np.sin(angles)])
    best = (tried.mean(axis=0) / tried.std(axis=0, ddof=1)).max()
    assert attainable_sharpe(pl.DataFrame(values, schema=["a", "b"])) == pytest.approx(best, rel=1e-6)


def test_models_stand_as_in_the_source() -> None:
    frame = pl.DataFrame(
        {
            "objective": ["sharpe", "other", "mispricing", "sharpe", "mispricing"],
            "environment": ["no_macro", "full", "no_financials", "full", "full"],
        }
    )
    assert in_order(frame).rows() == [
        ("mispricing", "full"),
        ("sharpe", "full"),
        ("other", "full"),
        ("sharpe", "no_macro"),
        ("mispricing", "no_financials"),
    ]


# What was published


def test_published_tables_are_whole() -> None:
    for number, (columns, models, cells) in PUBLISHED.items():
        assert len(cells) == len(models) == len(set(models)), number
        assert {len(row) for row in cells} == {len(columns)}, number
    assert {number for market in MARKETS for number in market.numbers.values()} - set(PUBLISHED) == set("2345") - set(
        "345"
    )
    assert published(STOCKS, "performance") is None


def test_published_numbers_agree_with_the_text_of_the_source() -> None:
    """Its text: annual ratios of 0.87 and 1.00; alphas of 1% with t 3.04 and 2.50."""
    portfolios, bonds = (published(market, "performance") for market in (PORTFOLIOS, BONDS))
    assert portfolios["sharpe"].max() * 12**0.5 == pytest.approx(0.87, abs=0.005)
    assert bonds["sharpe"].max() * 12**0.5 == pytest.approx(1.0, abs=0.005)
    best = published(BONDS, "alphas").filter(objective="sharpe", environment="no_macro").row(0, named=True)
    assert (best["sp500"], best["sp500_t"], best["ff5_t"]) == (0.010, 3.04, 2.50)
    explained = published(BONDS, "pricing").pivot("objective", index="environment", values="explained_variation")
    assert (explained["mispricing"] > explained["sharpe"]).all()


def test_what_was_published_stands_below(files: dict[str, str]) -> None:
    page = files[PAGE.file]
    assert "published, August 2008 to December 2018" in _table(page, "table-bond_portfolio-performance")
    assert ">14.09</td>" in _table(page, "table-bond_portfolio-performance")
    assert ">−0.001 (0.71)</td>" in _table(page, "table-bond-alphas")
    assert "published" not in _table(page, "table-stock-performance")


# Files and what is said


def test_every_file_is_linked_and_no_section_is_empty(report: ReportData, files: dict[str, str]) -> None:
    page, *others = files
    assert page == "sdf.html"
    assert sorted(re.findall(r'href="(tables/[^"]+)"', files[page])) == sorted(others)
    assert len(others) == 2 * (5 * len(MARKETS) + _OTHER_TABLES)
    assert "No value yet to draw" not in files[page]
    assert _missed(report) == {}
    for section in _SECTIONS[:-1]:
        (part,) = re.findall(rf'<section id="{section.anchor}">.*?</section>', files[page], re.S)
        assert "<table" in part
    assert all(text.isascii() for name, text in files.items() if name.endswith(".tex"))


def test_few_months_are_called_few(report: ReportData, files: dict[str, str]) -> None:
    assert f"{len(MONTHS)} months out of sample, 2016-01 to 2020-12" in files[PAGE.file]
    assert "so few" not in files[PAGE.file]
    fewer = report.table(BONDS.earned).filter(pl.col("month") <= MONTHS[19])
    told = _told(_built(_changed(report, bond_sdf_returns=fewer), "bond", _PERFORMANCE))
    assert "20 months out of sample, 2016-01 to 2017-08" in told
    assert "about 0.22" in told
    first = report.table(BONDS.earned).filter(pl.col("month") <= MONTHS[5])
    told = _told(_built(_changed(report, bond_sdf_returns=first), "bond", _ALPHAS))
    assert told.startswith("No alpha yet. S&P 500: 6 months are too few")
    single = first.filter(month=MONTHS[0])
    lone = _told(_built(_changed(report, bond_sdf_returns=single), "bond", _PERFORMANCE))
    assert "1 month out of sample, 2016-01: all" in lone
    assert "A ratio needs two months." in lone


def test_more_portfolios_than_months_are_not_tested_against(report: ReportData) -> None:
    held = report.table("bond_portfolios")
    many = pl.concat([held.with_columns(pl.format("{}_{}", "portfolio", pl.lit(i))) for i in range(12)])
    told = _told(_built(_changed(report, bond_portfolios=many), "bond", _ALPHAS))
    assert told.startswith(f"Not tested against 40 portfolios: {len(MONTHS)} months are too few for 60 factors")


def test_without_an_index_the_market_stands_for_it(report: ReportData) -> None:
    data = _changed(report, crsp__msi=None)
    (table,) = _built(data, "stock", _ALPHAS)
    assert "The market factor stands for the S&P 500" in table.caption
    assert _missed(data) == {anchor: {"crsp.msi"} for anchor in (*(market.name for market in MARKETS), "gan")}
    found = SdfNumbers(data).alphas(STOCKS).filter(benchmark="market").row(0, named=True)
    market = report.table("french_factors").sort("month").select("mkt_rf").to_numpy()
    alpha, t = _newey_west_t(_series(report, STOCKS, "sharpe", "full")[0], market, found["lags"])
    assert (found["alpha"], found["t"]) == pytest.approx((alpha, t), rel=1e-8)


@pytest.mark.parametrize("name", PAGE.assets)
def test_an_absent_asset_leaves_out_what_needs_it_alone(report: ReportData, name: str) -> None:
    data = _changed(report, **{name: None})
    touched = {market.name for market in MARKETS if name in (*market.assets, "french_factors")}
    touched |= {anchor for anchor, names in _OTHERS.items() if name in names}
    assert _missed(data) == {anchor: {name} for anchor in touched}
    numbers = SdfNumbers(data)
    # Charts are slow to make with Altair's checks on; those of industries are made in the whole page.
    for section in _SECTIONS:
        for block in section.blocks[: _CONFIGURATIONS if section.anchor in touched else 0]:
            assert block.lacking(numbers) or block.build(numbers) or section.anchor == "gan"


def test_a_market_that_is_not_there_is_left_out_with_the_reason(report: ReportData) -> None:
    absent = dict.fromkeys((STOCKS.search, STOCKS.weights, STOCKS.earned), "it needs a <file>")
    data = replace(_changed(report, **dict.fromkeys(absent)), absent=absent)
    drawn = _drawn(data, "stock")
    assert drawn.contents == []
    assert drawn.lacking_by_reason == [("it needs a <file>", [STOCKS.earned, STOCKS.weights, STOCKS.search])]
    assert [what for _, what, _ in PAGE.cards(SdfNumbers(data))] == [
        "Sharpe ratio a month, bond portfolios",
        "Sharpe ratio a month, bonds",
    ]


def test_nothing_at_all_makes_a_page() -> None:
    files = compose(PAGE, ReportData(market="Nothing"))
    assert list(files) == [PAGE.file]
    assert list(PAGE.cards(SdfNumbers(ReportData(market="Nothing")))) == []
    for market in MARKETS:
        assert f"<code>{market.earned}</code>" in files[PAGE.file]


def test_before_the_first_return_there_is_the_search_alone(report: ReportData) -> None:
    """In the month of the first search weights are known and nothing has been earned."""
    data = _changed(
        report,
        bond_sdf_returns=report.table(BONDS.earned).clear(),
        bond_sdf=report.table(BONDS.weights).filter(month=MONTHS[-1]),
    )
    numbers = SdfNumbers(data)
    (section,) = (each for each in PAGE.sections if each.anchor == "bond")
    there = [place for place, block in enumerate(section.blocks) if not block.lacking(numbers)]
    assert there == [_CONFIGURATIONS]
    assert _missed(data)["bond"] == {BONDS.earned}


def test_cards_are_of_the_network_that_validated_best(report: ReportData, numbers: SdfNumbers) -> None:
    cards = list(PAGE.cards(numbers))
    assert [what for _, what, _ in cards] == [f"Sharpe ratio a month, {market.title.lower()}" for market in MARKETS]
    r, _ = _series(report, PORTFOLIOS, *numbers.preferred(PORTFOLIOS))
    assert cards[0][0] == f"{r.mean() / r.std(ddof=1):.2f}".replace("-", "−")


def test_names_from_the_data_are_escaped(files: dict[str, str]) -> None:
    drawn = _drawn(_changed(sdf_report(named=MALICIOUS), bond_portfolio_sdf=None), "bond_portfolio")
    tables = [content.html for content, _ in drawn.contents if content.kind == "table"]
    svgs = [svg for _, drawings in drawn.contents for svg in drawings]
    assert len(tables) == 4
    assert len(svgs) == 2
    assert all("&lt;script&gt;alert(" in text and "<script" not in text for text in (*tables, *svgs))
    assert "a market &lt;of tests&gt;" in files[PAGE.file]


def test_the_page_reads_assets_that_exist() -> None:
    assert set(PAGE.reads) <= {asset.name for asset in MONTHLY_ASSETS}
    assert {market.earned for market in MARKETS} <= set(PAGE.reads)
