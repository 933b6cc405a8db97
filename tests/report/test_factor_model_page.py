"""The page of factor models: its numbers by hand, its files, what it says while there is little."""

from __future__ import annotations

import io
import re
import runpy
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets import factor_models as factor_model_assets
from assets import reports
from assets.all import MONTHLY_ASSETS
from pipeline.bonds.registry import RANKED
from pipeline.equity.registry import SETS
from pipeline.models.factor_instruments import INSTRUMENTS as SERIES
from pipeline.models.managed_portfolios import instrument_matrix
from pipeline.report import blocks, tables_factor_models
from pipeline.report.blocks import Drawn
from pipeline.report.data import ReportData
from pipeline.report.downloads import downloads
from pipeline.report.numbers_factor_models import (
    INSTRUMENTS,
    MARKETS,
    Explained,
    FactorModelNumbers,
    published,
    published_table,
)
from pipeline.report.page import compose
from pipeline.report.pages import FACTOR_MODEL_PAGE as PAGE
from pipeline.report.sections_factor_models import SHOWN

BONDS, STOCKS, PORTFOLIOS = MARKETS
_SECTIONS = (*PAGE.sections, PAGE.truth, PAGE.reference)
Without = Callable[..., ReportData]


@pytest.fixture(scope="module")
def numbers(factor_models: ReportData) -> FactorModelNumbers:
    return FactorModelNumbers(factor_models)


@pytest.fixture(scope="module")
def explained(numbers: FactorModelNumbers) -> Explained:
    found = numbers.explained(BONDS)
    assert isinstance(found, Explained)
    return found


@pytest.fixture(scope="module")
def files(factor_models: ReportData) -> dict[str, str]:
    return compose(PAGE, factor_models)


def _drawn(anchor: str, data: ReportData) -> Drawn:
    (section,) = (each for each in _SECTIONS if each.anchor == anchor)
    return blocks.draw(section, FactorModelNumbers(data))


def _told(drawn: Drawn) -> list[str]:
    return [content.text for content, _ in drawn.contents if content.kind == "words"]


# Numbers


def test_the_error_of_the_forecast_zero_is_the_mean_square(numbers: FactorModelNumbers) -> None:
    fewest, frame = numbers.errors(BONDS)
    zero = numbers.moments(BONDS).filter(model_a="zero", model_b="zero")
    squares = [row["yy"] / row["n"] * 1e4 for row in zero.iter_rows(named=True)]
    assert frame.filter(model="zero")["mspe_own"].item() == pytest.approx(np.mean(squares), rel=1e-12)
    covered = frame.filter(model=fewest.model, n_factors=fewest.n_factors)
    assert covered["n"].item() == covered["n_own"].item() == frame["n_own"].min()
    assert frame["n"].n_unique() == 1


def test_the_newest_recursion_is_the_one_stored(explained: Explained) -> None:
    assert (explained.result.model, explained.result.n_factors) == ("rdcfm", 2)
    # The fixture's models are estimated once and carried on to the end.
    assert explained.result.n_carried > 0
    np.testing.assert_array_equal(explained.path.factors, explained.result.factors[: explained.result.n_estimated])
    assert explained.newest == explained.result.months[explained.result.n_estimated - 1]
    assert explained.statistics.months == explained.instruments.months


def test_errors_in_sample_are_those_of_the_panel(explained: Explained, full: ReportData) -> None:
    panel = full.frame("bond_training_panel").sort("month", "isin")
    error, shuffled = [], []
    for place, month in enumerate(explained.instruments.months):
        rows = panel.filter(month=month)
        loadings = instrument_matrix(rows, RANKED) @ explained.gamma
        residual = rows["ret_excess"].to_numpy() - loadings @ explained.path.factors[place]
        error.append(np.mean(residual**2))
    assert explained._error(explained.instruments.values) == pytest.approx(np.mean(error), rel=1e-9)
    # One characteristic shuffled by hand comes out near the expectation.
    most = explained.characteristics.row(0, named=True)
    column = [name.removesuffix("_r") for name in RANKED].index(most["name"])
    rng = np.random.default_rng(2)
    for place, month in enumerate(explained.instruments.months):
        rows = panel.filter(month=month)
        matrix = instrument_matrix(rows, RANKED)
        drawn = []
        for _ in range(50):
            mixed = matrix.copy()
            mixed[:, column] = rng.permutation(mixed[:, column])
            residual = rows["ret_excess"].to_numpy() - mixed @ explained.gamma @ explained.path.factors[place]
            drawn.append(np.mean(residual**2))
        shuffled.append(np.mean(drawn))
    increase = (np.mean(shuffled) - np.mean(error)) * 1e4
    assert increase == pytest.approx(most["importance"], abs=4 * most["standard_deviation"] / np.sqrt(50))


def test_errors_with_loadings_of_assets_are_those_of_the_returns(
    numbers: FactorModelNumbers, factor_models: ReportData
) -> None:
    found = numbers.explained(PORTFOLIOS)
    assert isinstance(found, Explained)
    betas = dict(zip(found.result.loadings.assets, found.result.loadings.betas, strict=True))
    errors: dict[date, list[float]] = {month: [] for month in found.instruments.months}
    for row in factor_models.table("test_portfolios").drop_nulls().iter_rows(named=True):
        beta = betas.get(row["portfolio"])
        if row["month"] in errors and beta is not None and np.isfinite(beta).all():
            fitted = float(beta @ found.path.factors[found.result.months.index(row["month"])])
            errors[row["month"]].append((row["ret_excess"] - fitted) ** 2)
    expected = np.mean([np.mean(each) for each in errors.values()])
    assert found._error(found.instruments.values) == pytest.approx(expected, rel=1e-9)
    assert set(found.factor_instruments["name"]) == set(SERIES["empirical"])
    assert found.factor_instruments["p"].is_not_null().all()


def test_importance_is_ranked_and_tested(explained: Explained) -> None:
    for frame, names in (
        (explained.characteristics, {name.removesuffix("_r") for name in RANKED}),
        (explained.factor_instruments, set(SERIES["empirical"])),
    ):
        assert set(frame["name"]) == names
        assert frame["importance"].is_sorted(descending=True)
        assert frame["p"].is_between(0.0, 1.0).all()
        stars = {3: 0.01, 2: 0.05, 1: 0.1, 0: 1.01}
        assert all(p < stars[len(mark)] for p, mark in frame.select("p", "stars").iter_rows())
    # The returns were made of the first three.
    assert set(explained.characteristics["name"][:3]) <= {"coupon", "spread", "duration"}


def test_responses_are_in_deviations_of_the_responding_factor(explained: Explained) -> None:
    """One month after an impulse to the second factor: (tanh(f + s) - tanh(f)) AR."""
    factors, ar = explained.path.factors, explained.result.parameters["ar"]
    deviations = factors.std(axis=0, ddof=1)
    last = factors[-1]
    expected = (np.tanh(last[1] + deviations[1]) - np.tanh(last[1])) * ar[1] / deviations
    first = explained.factor_responses.filter(impulse="2", period=1).sort("response")["value"].to_numpy()
    np.testing.assert_allclose(first, expected, rtol=1e-8)
    shock = explained.instruments.values[:, 0].std(ddof=1)
    arrival = explained.instrument_responses.filter(impulse="mkt_rf", period=0).sort("response")["value"].to_numpy()
    np.testing.assert_allclose(arrival, shock * explained.result.parameters["omega"][1] / deviations, rtol=1e-8)


def test_differences_are_in_percent_squared(numbers: FactorModelNumbers) -> None:
    tests = numbers.tests(BONDS, numbers.benchmark_pairs(BONDS))
    assert set(tests["benchmark"]) >= {"mean", "zero", "capm", "capm_conditional", "pca", "rp_pca", "ipca"}
    gap = tests["mspe_benchmark"] - tests["mspe_model"] - tests["difference"]
    assert gap.abs().max() < 1e-10 * tests["mspe_model"].max()
    assert 0.1 < tests["mspe_model"].min() < 100.0
    against = tests.filter(benchmark="capm")
    assert against["n_factors"].to_list() == [1]


def test_the_base_rate_loses_its_entropy(numbers: FactorModelNumbers) -> None:
    scores = numbers.scores(BONDS)
    for row in scores.iter_rows(named=True):
        p = row["base_rate"]
        assert row["base_loss"] == pytest.approx(-(p * np.log(p) + (1 - p) * np.log(1 - p)), rel=1e-12)
        assert row["model"].endswith("_logit")


def test_convergence_counts_estimations_alone(numbers: FactorModelNumbers) -> None:
    frame = numbers.convergence(BONDS)
    assert set(frame["estimations"]) <= {1, frame["months"][0]}
    rows = numbers.rows(BONDS).filter(model="rdcfm", n_factors=2)
    mine = frame.filter(model="rdcfm", n_factors=2).row(0, named=True)
    stopped = [row for row in rows.iter_rows(named=True) if row["refitted"] and not row["converged"]]
    assert (mine["stopped"], mine["months"]) == (len(stopped), rows.height)


def test_published_numbers_belong_to_things_there_are() -> None:
    assert set(published()["market"]) == {"stock"}
    assert set(published_table(STOCKS, 6)["row"]) <= set(SETS["kps36"])
    assert set(published_table(STOCKS, 7)["row"]) <= set(SERIES["empirical"])
    assert published_table(BONDS, 2).is_empty()
    errors = dict(published_table(STOCKS, 2).select(pl.format("{} {}", "row", "column"), "value").iter_rows())
    assert errors == {"rdcfm 1": 250.6, "rdcfm 5": 249.3, "dcfm 6": 250.1, "rcfm 1": 251.0, "rcfm 6": 274.0}


@pytest.mark.parametrize(
    ("value", "decimals", "stars", "text"),
    [
        (-0.0004, 3, "", "0.000"),
        (-1234.5678, 2, "**", "−1,234.57**"),
        (0.25, 1, "*", "0.2*"),
        (None, 2, "***", None),
    ],
)
def test_numbers_are_written_alike(value: float | None, decimals: int, stars: str, text: str | None) -> None:
    assert tables_factor_models.number(value, decimals, stars) == text


def test_models_stand_in_an_order() -> None:
    models = ["zero", "ipca", "ff3_conditional", "cfm", "q", "capm", "rdcfm", "mean", "rcfm_logit"]
    ordered = tables_factor_models.in_order(pl.DataFrame({"model": models}))["model"].to_list()
    assert ordered == ["rdcfm", "rcfm_logit", "cfm", "mean", "zero", "capm", "q", "ff3_conditional", "ipca"]
    assert tables_factor_models.row_of("ff3_conditional") == "CAPM and Fama-French, loadings on characteristics"
    assert tables_factor_models.words("rcfm_logit") == "RCFM, direction"


# Files


def test_every_file_is_linked_and_every_link_a_file(files: dict[str, str]) -> None:
    page, *others = files
    assert page == "factor_models.html"
    linked = re.findall(r'href="(tables/[^"]+)"', files[page])
    assert sorted(linked) == sorted(others)
    expected = {f"tables/{market.name}_table_2.{ending}" for market in MARKETS for ending in ("csv", "tex")}
    assert expected <= set(others)
    whole = {each.removeprefix("tables/bond_table_").removesuffix(".csv") for each in others if each[-4:] == ".csv"}
    assert {"2", "3", "4", "5", "6", "7", "8", "9", "10"} <= whole


def test_csv_files_hold_all_numbers_unrounded(files: dict[str, str], numbers: FactorModelNumbers) -> None:
    read = pl.read_csv(io.StringIO(files["tables/bond_table_9.csv"]), schema_overrides={"stars": pl.String})
    held = numbers.tests(BONDS, numbers.benchmark_pairs(BONDS))
    assert_frame_equal(read.with_columns(pl.col("stars").fill_null("")), held, check_exact=True)
    importance = pl.read_csv(io.StringIO(files["tables/bond_table_6.csv"]))
    assert importance.height == len(RANKED) > SHOWN


def test_latex_is_balanced_and_complete(files: dict[str, str]) -> None:
    texts = {name: text for name, text in files.items() if name.endswith(".tex")}
    assert texts
    for name, text in texts.items():
        bare = re.sub(r"\\[{}%&_#$\\]", "", text)
        assert bare.count("{") == bare.count("}"), name
        assert text.isascii(), name
        for kind in ("table", "tabular*", "longtable", "minipage"):
            assert text.count(f"\\begin{{{kind}}}") == text.count(f"\\end{{{kind}}}"), name
        rows = [line for line in re.sub(r"\\&", "", text).splitlines() if "&" in line and "multicolumn" not in line]
        assert len({line.count("&") for line in rows}) == 1, name
    assert texts["tables/bond_table_6.tex"].count("\\\\") > len(RANKED)
    assert "marketcap" in texts["tables/bond_table_6.tex"]


def test_text_in_files_is_escaped() -> None:
    frame = pl.DataFrame({"name": ["50% & x_1 #{}"], "importance": [-1.0], "standard_deviation": [0.5], "p": [0.001],
                          "stars": ["***"]})  # fmt: skip
    table = tables_factor_models.ranking(frame, "table-x", "what", published_table(BONDS, 6))
    csv, tex = downloads("x", frame, table, "Title_1", "R² at 5%")
    assert csv.text.splitlines()[1] == "50% & x_1 #{},-1.0,0.5,0.001,***"
    assert r"50\% \& x\_1 \#\{\}" in tex.text
    assert r"Title\_1" in tex.text
    assert r"R\textsuperscript{2} at 5\%" in tex.text
    assert "$-$1.000***" in tex.text


def test_page_and_files_are_written_in_place(
    factor_models: ReportData, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "report_data", lambda page, workshop: factor_models)
    monkeypatch.setattr(reports, "compose", lambda page, data: files)
    written = reports.write_report(PAGE, SimpleNamespace(home=SimpleNamespace(reports=tmp_path / "reports")))
    assert written == tmp_path / "reports" / PAGE.file
    held = {path.relative_to(written.parent).as_posix() for path in written.parent.rglob("*") if path.is_file()}
    assert held == set(files)
    assert all((written.parent / name).read_bytes() == text.encode() for name, text in files.items())


# What it says


def test_the_page_says_what_was_published_and_what_stood_in(files: dict[str, str]) -> None:
    page = files[PAGE.file]
    assert "not comparable one to one" in page
    assert "249.3" in page
    assert "*** p &lt; 1%, ** p &lt; 5%, * p &lt; 10%." in page.replace("\u00a0", " ")
    assert "In the place of what is not there" in page


def test_importance_shows_the_first_alone(factor_models: ReportData) -> None:
    drawn = _drawn("characteristics", factor_models)
    shown = [content for content, _ in drawn.contents if content.kind == "table"]
    assert [each.heading for each in shown] == ["Bonds", "Stocks"]
    assert shown[0].html.count("<tr") == SHOWN + 1
    assert f"the files have all {len(RANKED)}" in shown[0].caption


def test_markets_without_rows_are_left_out_and_named_once(factor_models_without: Without) -> None:
    absent = PORTFOLIOS.assets
    data = factor_models_without(*absent, absent=dict.fromkeys(absent, "it needs a <file>"))
    numbers = FactorModelNumbers(data)
    held = [block for section in _SECTIONS for block in section.blocks]
    assert [name for block in held for name in (*block.lacking(numbers), *block.missed(numbers))] == [
        PORTFOLIOS.moments
    ]
    drawn = _drawn("errors", data)
    assert [content.heading for content, _ in drawn.contents] == ["Bonds", "Stocks"]
    assert drawn.lacking == [(PORTFOLIOS.moments, "it needs a <file>")]


def test_frames_absent_for_one_reason_share_a_line() -> None:
    absent = dict.fromkeys(PORTFOLIOS.assets, "it needs a <file>") | {BONDS.moments: "it has not been materialised"}
    page = compose(PAGE, ReportData(market="Nothing", absent=absent))[PAGE.file]
    families = ", ".join(f"<code>{name}</code>" for name in PORTFOLIOS.families)
    assert f"{families}, which hold no rows: it needs a &lt;file&gt;</p>" in page
    assert f"<code>{BONDS.moments}</code>, which holds no rows: it has not been materialised</p>" in page


@pytest.mark.parametrize("name", [INSTRUMENTS, *(market.moments for market in MARKETS)])
def test_an_absent_frame_is_named(factor_models_without: Without, name: str) -> None:
    data = factor_models_without(name)
    numbers = FactorModelNumbers(data)
    missed = {
        each for section in _SECTIONS for block in section.blocks
        for each in (*block.lacking(numbers), *block.missed(numbers))
    }  # fmt: skip
    assert missed == {name}


def test_without_instruments_there_are_cards_of_errors_alone(factor_models_without: Without) -> None:
    cards = [what for _, what, _ in PAGE.cards(FactorModelNumbers(factor_models_without(INSTRUMENTS)))]
    assert cards == ["least error, bonds", "least error, stocks", "least error, test portfolios"]


def test_few_months_are_shown_and_not_tested(factor_models_without: Without, factor_models: ReportData) -> None:
    early = {
        market.moments: factor_models.table(market.moments).filter(pl.col("month") < date(2019, 4, 1))
        for market in MARKETS
    }
    data = factor_models_without(frames={**factor_models.frames, **early})
    assert len(_drawn("errors", data).contents) == 3
    for anchor in ("features", "number", "benchmarks"):
        assert _told(_drawn(anchor, data))[0] == (
            "Bonds: nothing to test: it takes two of these forecasts with 12 months in common; there are 4."
        )


def test_before_the_first_estimation_the_page_says_so(
    factor_models_without: Without, factor_models: ReportData
) -> None:
    empty = {
        name: frame.clear()
        for name, frame in factor_models.frames.items()
        if name in {each for market in MARKETS for each in (market.moments, market.directions, *market.families)}
    }
    data = factor_models_without(frames={**factor_models.frames, **empty}, states={})
    for anchor, markets in (("characteristics", MARKETS[:2]), ("instruments", MARKETS)):
        assert _told(_drawn(anchor, data)) == [
            f"{market.title}: still warming up: no model with memory has been estimated." for market in markets
        ]
    assert len(compose(PAGE, data)) == 1
    assert list(PAGE.cards(FactorModelNumbers(data))) == []


def test_other_instruments_than_were_estimated_on_are_not_explained(
    factor_models_without: Without, factor_models: ReportData
) -> None:
    others = {
        "fewer": pl.all().exclude("q_roe"),
        "changed": pl.when(pl.col("month") < date(2016, 1, 1)).then(0.0).otherwise("smb").alias("smb"),
        "missing": pl.when(pl.col("month") < date(2016, 1, 1)).then(None).otherwise("smb").alias("smb"),
    }
    series = factor_models.table(INSTRUMENTS)
    for name, change in others.items():
        frame = series.select(change) if name == "fewer" else series.with_columns(change)
        data = factor_models_without(frames={**factor_models.frames, INSTRUMENTS: frame})
        told = _told(_drawn("instruments", data))
        assert "no longer what bond_rdcfm was estimated on" in told[0], name


def test_collinear_factors_have_no_granger_test(factor_models_without: Without, factor_models: ReportData) -> None:
    state = factor_models.states["bond_rdcfm"]
    result = state.results["rdcfm.2"]
    omega = np.repeat(result.parameters["omega"][:, :1], 2, axis=1)
    still = {"omega": omega, "ar": np.zeros((2, 2)), "initial": np.zeros(2), "centre": result.parameters["centre"]}
    instruments = factor_models.table(INSTRUMENTS).filter(pl.col("month").is_in(list(result.months)))
    values = instruments.select(SERIES["empirical"]).to_numpy() - still["centre"]
    same = replace(result, parameters=still, factors=np.column_stack([np.ones(len(values)), values]) @ omega)
    states = {**factor_models.states, "bond_rdcfm": replace(state, results={"rdcfm.2": same})}
    drawn = _drawn("dynamics", factor_models_without(states=states))
    assert "Bonds: no Granger test: the 2 factors are collinear" in _told(drawn)[0]


def test_models_without_characteristics_are_compared_with_what_there_is(numbers: FactorModelNumbers) -> None:
    assert numbers.main(PORTFOLIOS) == "rcfm"
    assert set(numbers.features(PORTFOLIOS)["panel"]) == {"C"}
    assert {pair.model for pairs in numbers.size_pairs(PORTFOLIOS) for pair in pairs} == {"rcfm"}
    assert "portfolio_rdcfm" not in PORTFOLIOS.assets


def test_the_page_reads_assets_that_exist() -> None:
    there = {asset.name for asset in (*MONTHLY_ASSETS, *factor_model_assets.ASSETS)}
    assert set(PAGE.reads) <= there
    compared = {
        f"{market.name}_{kind}" for market in factor_model_assets.MARKETS for kind in ("forecast_moments", "rcfm")
    }
    assert compared <= set(PAGE.reads)


def test_the_code_of_the_guide_runs(full: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "factor_models.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", guide, re.S))
    panel = full.frame("bond_training_panel").select(
        "month", "isin", "ret_excess", "coupon_r", "spread_r", "duration_r"
    )
    panel.write_parquet(tmp_path / "panel.parquet")
    newest = full.frame("bond_characteristics").filter(pl.col("month") == pl.col("month").max())
    newest.select("isin", "coupon_r", "spread_r", "duration_r").write_parquet(tmp_path / "newest.parquet")
    rng = np.random.default_rng(4)
    true = full.table("truth.factors").filter(pl.col("month") >= panel["month"].min())
    noise = rng.normal(0, 0.005, (true.height, 3))
    seen = np.column_stack([true.drop("month").to_numpy(), np.zeros(true.height)]) + noise
    series = pl.DataFrame({"month": true["month"], **dict(zip(("mkt_rf", "smb", "hml"), seen.T, strict=True))})
    series.write_parquet(tmp_path / "series.parquet")
    (tmp_path / "guide.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    left = runpy.run_path("guide.py")
    assert left["result"].n_factors == 2
    assert left["expected"]["forecast"].is_not_null().all()
    assert left["errors"]["model"].unique().sort().to_list() == ["dcfm", "rdcfm"]
    assert left["test"].n_months >= 12
