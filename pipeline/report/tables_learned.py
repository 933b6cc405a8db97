"""The table of networks and trees on the page of factor models: words and number formats, nothing computed."""

from __future__ import annotations

import polars as pl
from great_tables import GT

from pipeline.evaluation.comparison_pairs import CONSTANT_BENCHMARKS
from pipeline.evaluation.forecasts import NETWORKS
from pipeline.report.tables_factor_models import number, words
from pipeline.report.tables_linear import model_words

_OWN = ("model", "n_months", "n", "mspe", "r2")


def learned(frame: pl.DataFrame, name: str) -> GT:
    """Show networks and trees beside benchmarks.

    Parameters
    ----------
    frame : pl.DataFrame
        As :func:`pipeline.evaluation.learned_forecasts.learned_against` gives it, errors in percent squared.
    name : str
        Identifier.
    """
    own = frame.unique("model", keep="first", maintain_order=True).select(_OWN)
    tested = frame.drop_nulls("benchmark")
    labels = [_label(*row) for row in tested.select("benchmark", "n_factors_benchmark").iter_rows()]
    cells = [number(*row) for row in tested.select("difference", pl.lit(3), "stars").iter_rows()]
    columns = list(dict.fromkeys(labels))
    rows = tested.select("model", label=pl.Series(labels, dtype=pl.String), cell=pl.Series(cells, dtype=pl.String))
    wide = rows.pivot(on="label", index="model", values="cell", on_columns=columns)
    shown = own.join(wide, on="model", how="left", maintain_order="left").with_columns(
        pl.col("model").map_elements(_words, return_dtype=pl.String)
    )
    table = (
        GT(shown, id=name, rowname_col="model")
        .fmt_integer(["n_months", "n"])
        .fmt_number("mspe", decimals=2)
        .fmt_percent("r2", decimals=2)
        .cols_align("right", columns=columns)
        .cols_label(n_months="months", n="asset-months", mspe="squared error", r2="R² against zero")
        .tab_spanner("all that it forecasts", ["n_months", "n", "mspe", "r2"])
    )
    return table.tab_spanner("how much more the benchmark errs", columns) if columns else table


def _words(model: str) -> str:
    return f"network: {model_words(model)}" if model.startswith(NETWORKS) else model_words(model)


def _label(model: str, n_factors: int) -> str:
    return words(model) if model in CONSTANT_BENCHMARKS else f"{words(model)}, K = {n_factors}"
