"""Networks and trees among the forecasts of a cross-section: which they are, and how they fare against factor models.

Belongs here: choosing and measuring from monthly sums. The tests stand in :mod:`pipeline.evaluation.comparisons`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.evaluation.comparison_pairs import Specification, specifications
from pipeline.evaluation.comparisons import DIEBOLD_MARIANO, HacSettings, compare, prediction_errors
from pipeline.evaluation.forecasts import NETWORKS
from pipeline.models.tree_settings import MODEL as TREES

_TESTED = ("benchmark", "n_factors_benchmark", "difference", "t", "p", "stars", "tested_months", "tested_n")


def learned(column: str) -> pl.Expr:
    """Say which rows of a column of models name a network or trees."""
    return pl.col(column).str.starts_with(NETWORKS) | (pl.col(column) == TREES)


def of_factor_models(moments: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs of forecasts neither of which is of a network or of trees."""
    return moments.filter(~learned("model_a"), ~learned("model_b"))


def learned_against(
    moments: pl.DataFrame, benchmarks: Sequence[Specification], settings: HacSettings | None = None
) -> pl.DataFrame:
    """Measure networks and trees, and test them against benchmarks.

    Parameters
    ----------
    moments : pl.DataFrame
        Monthly sums of all pairs; see :mod:`pipeline.evaluation.forecast_moments`.
    benchmarks : sequence of Specification
        Forecasts that are no network and no trees; those that are not there are passed over.
    settings : HacSettings, optional
        Lags and fewest months of the tests.

    Returns
    -------
    pl.DataFrame
        `model`, `n_factors`, `n_months`, `n`, `mspe`, `r2` of all that the model forecasts, as
        :func:`pipeline.evaluation.comparisons.prediction_errors`, and for each benchmark with which it shares months
        enough `benchmark`, `n_factors_benchmark`, `difference` (error of the benchmark less that of the model on the
        `tested_n` asset-months in `tested_months` of both), `t`, `p`, `stars` of Diebold and Mariano. Without such a
        benchmark one row in which these are null. Sorted by model, then in the order of the benchmarks.
    """
    chosen = settings or HacSettings()
    own = prediction_errors(moments).filter(learned("model"))
    models = [Specification(*row) for row in own.select("model", "n_factors").iter_rows()]
    there = [each for each in benchmarks if each in specifications(moments)]
    pairs = _sharing(moments, [(benchmark, model) for model in models for benchmark in there], chosen.min_months)
    tests = compare(moments, pairs, DIEBOLD_MARIANO, chosen).rename({"n_months": "tested_months", "n": "tested_n"})
    return own.join(
        tests.select("model", "n_factors", *_TESTED), on=["model", "n_factors"], how="left", maintain_order="left_right"
    )


def _sharing(
    moments: pl.DataFrame, pairs: Sequence[tuple[Specification, Specification]], least: int
) -> list[tuple[Specification, Specification]]:
    """Return the pairs that share so many months."""
    sides = ["model_a", "n_factors_a", "model_b", "n_factors_b"]
    counts = {row[:4]: row[4] for row in moments.group_by(sides).len().select(*sides, "len").iter_rows()}
    return [pair for pair in pairs if counts.get((*min(pair), *max(pair)), 0) >= least]
