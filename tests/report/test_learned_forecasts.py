"""Networks and trees on the page of factor models: their own table, and no trace in those of factor models."""

from __future__ import annotations

import io
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.evaluation.comparison_pairs import Specification
from pipeline.evaluation.comparisons import diebold_mariano, prediction_errors
from pipeline.evaluation.forecast_moments import forecast_moments
from pipeline.panel.calendar import month_range
from pipeline.report import blocks
from pipeline.report.data import ReportData
from pipeline.report.numbers_factor_models import MARKETS, FactorModelNumbers
from pipeline.report.pages import FACTOR_MODEL_PAGE as PAGE
from pipeline.report.sections_factor_models import SECTIONS

BONDS = MARKETS[0]
MONTHS = month_range(date(2020, 1, 1), date(2021, 3, 1))
FACTOR_MODELS = (("zero", 0), ("mean", 1), ("rdcfm", 1), ("rdcfm", 2))
LEARNED = (("sdf_sharpe_full", 1), ("sdf_gan_no_macro", 1), ("xgboost", 0))


def _moments(models) -> pl.DataFrame:
    """Fifteen months of twenty bonds; the GAN has forecasts for the last three."""
    rng = np.random.default_rng(6)
    rows = pl.DataFrame({"target_month": MONTHS}).join(
        pl.DataFrame({"asset_id": [f"b{i}" for i in range(20)]}), how="cross"
    )
    earned = rows.select(month="target_month", isin="asset_id", ret_excess=pl.Series(0.03 * rng.normal(size=300)))
    drawn = {name: 0.02 * rng.normal(size=300) * (name != "zero") for name, _ in (*FACTOR_MODELS, *LEARNED)}
    made = pl.concat(
        rows.with_columns(
            model=pl.lit(model), n_factors=pl.lit(K, pl.Int64), forecast=pl.Series(drawn[model] / (K + 1))
        )
        for model, K in models
    ).with_columns(month=pl.col("target_month").dt.offset_by("-1mo"))
    late = pl.col("target_month") >= MONTHS[-3]
    return forecast_moments(made.filter((pl.col("model") != "sdf_gan_no_macro") | late), earned, MONTHS)


def _numbers(moments: pl.DataFrame) -> FactorModelNumbers:
    return FactorModelNumbers(
        ReportData(market="m", sources={}, settings={}, states={}, frames={BONDS.moments: moments})
    )


def _drawn(anchor: str, numbers: FactorModelNumbers) -> list:
    (section,) = (each for each in SECTIONS if each.anchor == anchor)
    return [content for content, _ in blocks.draw(section, numbers).contents]


@pytest.fixture(scope="module")
def moments() -> pl.DataFrame:
    return _moments((*FACTOR_MODELS, *LEARNED))


def test_the_table_has_the_tests_of_each_against_what_there_is(moments) -> None:
    (table,) = _drawn("learned", _numbers(moments))
    zero, mean, main = Specification("zero", 0), Specification("mean", 1), Specification("rdcfm", 2)
    errors = prediction_errors(moments)
    for words in ("network: Sharpe ratio, all features", "network: GAN, no macro series", "boosted trees"):
        assert words in table.html
    assert "RDCFM, K = 2" in table.html
    for model in (Specification(*LEARNED[0]), Specification(*LEARNED[2])):
        for benchmark in (zero, mean, main):
            found = 1e4 * diebold_mariano(moments, benchmark, model).difference
            assert f"{found:.3f}".replace("-", "−") in table.html
        assert f"{1e4 * errors.filter(model=model.model)['mspe'].item():.2f}" in table.html
    (csv,) = (each.text for each in table.downloads if each.file.endswith(".csv"))
    held = pl.read_csv(io.StringIO(csv))
    # Three months of the GAN are too few to be tested.
    assert held.filter(model="sdf_gan_no_macro")["benchmark"].to_list() == [None]
    assert held.filter(model="xgboost")["n_factors_benchmark"].to_list() == [1, 0, 2]


def test_tables_of_factor_models_are_those_without_networks_and_trees(moments) -> None:
    both, alone = _numbers(moments), _numbers(_moments(FACTOR_MODELS))
    for anchor in ("errors", "number", "benchmarks"):
        one, other = _drawn(anchor, both), _drawn(anchor, alone)
        assert [(each.html, each.caption) for each in one] == [(each.html, each.caption) for each in other]


def test_the_best_factor_model_is_not_beaten_by_a_network(moments) -> None:
    """A network whose forecasts are the returns themselves would be the best of all."""
    rows = moments.with_columns(
        pl.when(pl.col("model_a") == "xgboost").then("yy").otherwise(name).alias(name) for name in ("ya", "aa")
    )
    cards = list(PAGE.cards(_numbers(rows)))
    assert cards == list(PAGE.cards(_numbers(_moments(FACTOR_MODELS))))
    assert [label for _, label, _ in cards] == ["least error, bonds"]
    assert list(PAGE.cards(_numbers(_moments(LEARNED)))) == []


def test_nothing_there_is_said() -> None:
    (told,) = _drawn("learned", _numbers(_moments(FACTOR_MODELS)))
    assert told.text == "Bonds: no network and no trees have made a forecast whose month has come."
    (told,) = _drawn("errors", _numbers(_moments(LEARNED)))
    assert told.text == "Bonds: no factor model has made a forecast whose month has come."
    (told,) = _drawn("benchmarks", _numbers(_moments(LEARNED)))
    assert told.text == "Bonds: nothing to test: no conditional factor model has made a forecast."
    (table,) = _drawn("learned", _numbers(_moments(LEARNED)))
    assert "benchmark errs</" not in table.html
