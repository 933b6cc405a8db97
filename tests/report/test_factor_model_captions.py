"""What the page of factor models says beside its numbers: what was estimated, how it was tested, what to doubt."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from pipeline.evaluation.comparisons import CLARK_WEST, DIEBOLD_MARIANO
from pipeline.evaluation.forecast_moments import forecast_moments
from pipeline.models.managed_portfolios import instrument_names
from pipeline.report import blocks, tables_factor_models
from pipeline.report.data import ReportData
from pipeline.report.numbers_factor_models import INSTRUMENTS, MARKETS, FactorModelNumbers
from pipeline.report.pages import FACTOR_MODEL_PAGE as PAGE

BONDS, STOCKS, PORTFOLIOS = MARKETS
Without = Callable[..., ReportData]


def _contents(anchor: str, data: ReportData) -> list[blocks.Content]:
    (section,) = (each for each in PAGE.sections if each.anchor == anchor)
    return [content for content, _ in blocks.draw(section, FactorModelNumbers(data)).contents]


def _captions(anchor: str, data: ReportData) -> list[str]:
    return [content.caption for content in _contents(anchor, data) if content.kind != "words"]


def _converged(data: ReportData, *, met: bool) -> dict[str, object]:
    """States with every result's search ended or not."""
    return {
        name: replace(state, results={key: replace(each, converged=met) for key, each in state.results.items()})
        for name, state in data.states.items()
    }


# What was estimated


@pytest.mark.parametrize("met", [True, False])
def test_a_model_that_did_not_converge_is_never_explained_without_a_word(
    factor_models_without: Without, factor_models: ReportData, met: bool
) -> None:
    data = factor_models_without(states=_converged(factor_models, met=met))
    captions = [each for anchor in ("characteristics", "instruments", "dynamics") for each in _captions(anchor, data)]
    # Tables 6 (two markets), 7, 8 and figures 2, 3 (three each).
    assert len(captions) == 14
    assert all(("not converged" in each) != met for each in captions)
    assert all(("the search stopped early" in each) != met for each in captions)
    cards = [note for _, what, note in PAGE.cards(FactorModelNumbers(data)) if "matter" in what]
    assert len(cards) == 5
    assert all(note.endswith(" (not converged)") != met for note in cards)


def test_parameters_are_counted_over_the_months_of_the_estimation(factor_models: ReportData) -> None:
    newest = FactorModelNumbers(factor_models).newest(BONDS)
    assert newest["n_months"].unique().to_list() == [46]
    assert newest["month"].n_unique() == 1
    assert newest["month"][0] < FactorModelNumbers(factor_models).rows(BONDS)["month"].max()
    components = newest.filter(model="ipca", n_factors=2).row(0, named=True)
    assert components["n_parameters"] == 2 * (components["n_months"] + len(instrument_names(BONDS.characteristics)))
    assert all("newest estimation" in each for each in _captions("parameters", factor_models)[:2])


def test_errors_are_of_the_asset_months_that_all_forecasts_cover(factor_models_without: Without) -> None:
    """The zero forecast covers three assets, the other two of them."""
    months, rows = [date(2001, month, 1) for month in (1, 2, 3)], []
    assets = {"zero": ("a", "b", "c"), "cfm": ("a", "b")}
    for month, following in itertools.pairwise(months):
        for model, covered in assets.items():
            rows += [(month, following, model, int(model == "cfm"), asset, 0.1 * (model == "cfm")) for asset in covered]
    names = ["month", "target_month", "model", "n_factors", "asset_id", "forecast"]
    made = pl.DataFrame(rows, schema=names, orient="row")
    returns = pl.DataFrame(
        {"month": months[1:] * 3, "portfolio": ["a", "a", "b", "b", "c", "c"], "ret_excess": [0.1] * 4 + [0.9] * 2}
    )
    moments = forecast_moments(made, returns, months[1:], key="portfolio")
    fewest, frame = FactorModelNumbers(factor_models_without(frames={PORTFOLIOS.moments: moments})).errors(PORTFOLIOS)
    assert fewest == ("cfm", 1)
    zero = frame.filter(model="zero").row(0, named=True)
    assert (zero["n"], zero["n_own"]) == (4, 6)
    assert (zero["mspe"], zero["mspe_own"]) == pytest.approx((100.0, (2 * 0.01 + 0.81) / 3 * 1e4), rel=1e-12)


# How it was tested


def test_nested_pairs_have_one_test_and_the_others_the_other(factor_models: ReportData) -> None:
    numbers = FactorModelNumbers(factor_models)
    features = {(row["benchmark"], row["model"]): row["test"] for row in numbers.features(BONDS).iter_rows(named=True)}
    assert features == {
        ("dcfm", "rdcfm"): CLARK_WEST, ("rcfm", "rdcfm"): DIEBOLD_MARIANO, ("cfm", "rdcfm"): DIEBOLD_MARIANO,
        ("cfm", "dcfm"): DIEBOLD_MARIANO, ("cfm", "rcfm"): CLARK_WEST,
    }  # fmt: skip
    tests = numbers.tests(BONDS, numbers.benchmark_pairs(BONDS))
    nested = set(tests.filter(test=CLARK_WEST)["benchmark"])
    assert nested == {"zero", "capm_conditional"}
    pairs = [((small, a), (large, b)) for small, a, large, b in
             tests.select("benchmark", "n_factors_benchmark", "model", "n_factors").rows()]  # fmt: skip
    assert pairs == numbers.benchmark_pairs(BONDS)
    own = numbers.tests(PORTFOLIOS, numbers.benchmark_pairs(PORTFOLIOS))
    assert set(own.filter(test=CLARK_WEST)["benchmark"]) == {"zero", "mean", "capm"}
    assert set(numbers.tests(BONDS, numbers.size_pairs(BONDS))["test"]) == {CLARK_WEST}


def test_tests_say_over_how_many_months_and_what_a_star_means(factor_models: ReportData) -> None:
    months = FactorModelNumbers(factor_models).features(BONDS)["n_months"].unique().to_list()
    for anchor in ("features", "number", "benchmarks"):
        for caption in _captions(anchor, factor_models):
            assert f" {months[0]} months; Newey-West errors, Student's t." in caption
            assert "a negative difference can have them" in caption
    assert "Not nested, so Diebold-Mariano, two-sided: RDCFM against RCFM" in _captions("features", factor_models)[0]
    assert "Clark-West, one-sided: zero return; CAPM, loadings" in _captions("benchmarks", factor_models)[0]


def test_why_nothing_is_tested_is_told(factor_models_without: Without, factor_models: ReportData) -> None:
    held = factor_models.table(PORTFOLIOS.moments)
    both = pl.col("model_a", "model_b")

    def told(anchor: str, moments: pl.DataFrame) -> str:
        data = factor_models_without(
            frames={PORTFOLIOS.moments: moments, INSTRUMENTS: factor_models.table(INSTRUMENTS)}
        )
        return _contents(anchor, data)[0].text

    one = held.filter(pl.col("n_factors_a") < 2, pl.col("n_factors_b") < 2)
    assert told("number", one) == (
        "Test portfolios: nothing to test: it takes two numbers of factors, and K = 1 alone is estimated."
    )
    alone = held.filter(pl.all_horizontal(both == "rcfm"))
    assert "of no two models that are compared here are both forecasts there" in told("benchmarks", alone)
    without = held.filter(pl.all_horizontal(both.is_in(["zero", "mean"])))
    assert "no conditional factor model has made a forecast" in told("features", without)
    first = held.filter(pl.col("month") == pl.col("month").min())
    assert "it takes two of these forecasts with 12 months in common; there are 1." in told("number", first)


# What to doubt


def test_instruments_of_one_vintage_are_called_revised(factor_models_without: Without) -> None:
    macro = {INSTRUMENTS: {"source": "macro"}}
    one = {"fred_md.2023-01": "2023-01.csv", "crsp.msf": "msf.parquet"}
    told = "one vintage, 2023-01, for all months"
    for settings, sources, expected in (
        (macro, one, True),
        (macro, {**one, "fred_md.2023-02": "2023-02.csv"}, False),
        ({INSTRUMENTS: {"source": "empirical"}}, one, False),
    ):
        first = _contents("errors", factor_models_without(settings=settings, sources=sources))[0]
        assert (first.kind == "words" and told in first.text) == expected


def test_ten_factors_stand_after_nine() -> None:
    frame = pl.DataFrame({"model": "pca", "n_factors": [10, 9, 2, 1], "value": [1.0] * 4})
    nothing = pl.DataFrame(schema={"row": pl.String, "column": pl.String, "value": pl.Float64})
    html = tables_factor_models.by_size(frame, "t", nothing, value="value", decimals=0).as_raw_html()
    places = [html.index(f'id="t-{K}"') for K in (1, 2, 9, 10)]
    assert places == sorted(places)
