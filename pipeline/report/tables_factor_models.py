"""Tables of the page of factor models, made with great-tables: number formats, words of models, nothing computed.

Each function returns the table without title; the same table becomes HTML (``tables.html_of``) and LaTeX
(``downloads``). Text from the data is escaped by great-tables. Errors are in percent squared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from great_tables import GT

from pipeline.evaluation.comparison_pairs import CONSTANT_BENCHMARKS
from pipeline.evaluation.comparisons import significance_stars
from pipeline.evaluation.forecast_moments import CLASSIFICATION_SUFFIX

_WORDS: Mapping[str, str] = {
    "rdcfm": "RDCFM",
    "dcfm": "DCFM",
    "rcfm": "RCFM",
    "cfm": "CFM",
    "capm": "CAPM",
    "ff3": "FF3",
    "carhart": "Carhart",
    "ff5": "FF5",
    "ff6": "FF6",
    "q": "q factors",
    "pca": "PCA",
    "rp_pca": "RP-PCA",
    "ipca": "IPCA",
    "ipca_sizes": "IPCA",
    "observed": "observed",
    "naive": "no factors",
    "direction": "directions",
    "mean": "prevailing mean",
    "zero": "zero return",
}
_SUFFIXES = {"_conditional": ", loadings on characteristics", CLASSIFICATION_SUFFIX: ", direction"}

SERIES: Mapping[str, str] = {
    "mkt_rf": "Mkt",
    "smb": "SMB",
    "hml": "HML",
    "hml_devil": "HML devil",
    "rmw": "RMW",
    "cma": "CMA",
    "wml": "WML",
    "q_me": "ME",
    "q_ia": "IA",
    "q_roe": "ROE",
}
"""Factor instruments in words."""

#: Column of models without a number of factors of their own.
ANY = "any"
#: Models that share a row, each with its own number of factors.
_SHARED = ("capm", "ff3", "carhart", "ff5", "ff6")
SHARED = "CAPM and Fama-French"
_LATENT = ("rdcfm", "dcfm", "rcfm", "cfm")
_FROM_RETURNS = ("pca", "rp_pca", "ipca")
_GROUPS = ("conditional factors", "forecasts without factors", "observed factors", "factors from returns")
_CONDITIONAL = "_conditional"
_PUBLISHED = "published, stocks 1963 to 2014"


def words(model: str) -> str:
    """Return a model as the page calls it."""
    for suffix, added in _SUFFIXES.items():
        if model.endswith(suffix):
            return words(model.removesuffix(suffix)) + added
    return _WORDS.get(model, model)


def row_of(model: str) -> str:
    """Return the words of the row that a model stands in."""
    base = model.removesuffix(_CONDITIONAL)
    return SHARED + words(model).removeprefix(words(base)) if base in _SHARED else words(model)


def group(model: str) -> str:
    """Return the heading that a model stands under."""
    if model.removesuffix(CLASSIFICATION_SUFFIX) in _LATENT:
        return _GROUPS[0]
    if model in CONSTANT_BENCHMARKS:
        return _GROUPS[1]
    return _GROUPS[3] if model in _FROM_RETURNS else _GROUPS[2]


def in_order(frame: pl.DataFrame, column: str = "model") -> pl.DataFrame:
    """Sort models by group, then as the words above, the conditional ones after those without conditions."""
    base = (
        pl.col(column)
        .str.strip_suffix(_CONDITIONAL)
        .str.strip_suffix(CLASSIFICATION_SUFFIX)
        .replace_strict({name: place for place, name in enumerate(_WORDS)}, default=len(_WORDS), return_dtype=pl.Int64)
    )
    place = pl.col(column).map_elements(lambda name: _GROUPS.index(group(name)), return_dtype=pl.Int64)
    conditional = pl.col(column).str.ends_with(_CONDITIONAL)
    return frame.sort(place, conditional, base, column, maintain_order=True)


def number(value: float | None, decimals: int, stars: str = "") -> str | None:
    """Return a number with a true minus sign and stars, no sign before zero; None stays None."""
    if value is None:
        return None
    text = f"{value:,.{decimals}f}"
    rounded = text.removeprefix("-") if float(text.replace(",", "")) == 0.0 else text
    return rounded.replace("-", "−") + stars


def _wide(frame: pl.DataFrame, rows: str, columns: str, *, by: Sequence[str] = ()) -> pl.DataFrame:
    """Spread the column ``cell`` over one column a value of ``columns``, rows in their order; 10 stands after 9."""
    order = sorted(set(frame[columns]), key=lambda name: (name != ANY, len(name), name))
    return frame.pivot(on=columns, index=[*by, rows], values="cell", on_columns=order)


def _table(shown: pl.DataFrame, name: str, spanner: str, *, grouped: bool = False) -> GT:
    """Set up a table whose first column names the row."""
    row = shown.columns[1 if grouped else 0]
    cells = shown.columns[2 if grouped else 1 :]
    table = GT(shown, id=name, rowname_col=row, groupname_col=shown.columns[0] if grouped else None)
    return table.tab_spanner(spanner, cells).cols_align("right", columns=cells) if cells else table


def _column_of(model: pl.Expr, n_factors: pl.Expr) -> pl.Expr:
    return pl.when(model.is_in(list(CONSTANT_BENCHMARKS))).then(pl.lit(ANY)).otherwise(n_factors.cast(pl.String))


def by_size(frame: pl.DataFrame, name: str, published: pl.DataFrame, *, value: str, decimals: int) -> GT:
    """Show one number of each model by its number of factors, with what was published below.

    Parameters
    ----------
    frame : pl.DataFrame
        model, n_factors and the column ``value``.
    name : str
        Identifier.
    published : pl.DataFrame
        row (model), column (number of factors), value.
    value, decimals : str and int
        Column shown, and its decimals.
    """
    own = in_order(frame).select(
        pl.col("model").map_elements(group, return_dtype=pl.String).alias("group"),
        "model",
        _column_of(pl.col("model"), pl.col("n_factors")).alias("K"),
        _cells(value, decimals),
    )
    theirs = published.select(
        pl.lit(_PUBLISHED).alias("group"),
        pl.col("row").alias("model"),
        pl.col("column").alias("K"),
        _cells("value", 0 if (published["value"] % 1.0 == 0.0).all() else 1),
    )
    both = pl.concat([own, theirs.filter(pl.col("model").is_in(own["model"].to_list()))])
    both = both.with_columns(pl.col("model").map_elements(row_of, return_dtype=pl.String))
    return _table(_wide(both, "model", "K", by=["group"]), name, "number of factors", grouped=True)


def _cells(value: str, decimals: int, stars: str | None = None) -> pl.Expr:
    parts = pl.struct(value, stars) if stars else pl.struct(value)
    return parts.map_elements(
        lambda row: number(row[value], decimals, row[stars] if stars else ""), return_dtype=pl.String
    ).alias("cell")


def features(frame: pl.DataFrame, name: str) -> GT:
    """Show the differences in error between nested models by panel (table 4)."""
    shown = frame.with_columns(
        _cells("difference", 3, "stars"),
        pl.format("Panel {}", "panel").alias("panel"),
        pl.col("n_factors").cast(pl.String).alias("K"),
        pl.format(
            "{} against {}",
            pl.col("model").map_elements(words, return_dtype=pl.String),
            pl.col("benchmark").map_elements(words, return_dtype=pl.String),
        ).alias("pair"),
    )
    return _table(_wide(shown, "pair", "K", by=["panel"]), name, "number of factors", grouped=True)


def more_factors(frame: pl.DataFrame, name: str) -> GT:
    """Show the differences in error between numbers of factors (table 5)."""
    shown = frame.with_columns(
        _cells("difference", 3, "stars"),
        pl.format("K = {}", "n_factors_benchmark").alias("from"),
        pl.col("n_factors").cast(pl.String).alias("K"),
    )
    return _table(_wide(shown, "from", "K"), name, "against so many factors")


def benchmarks(frame: pl.DataFrame, name: str, main: str) -> GT:
    """Show how much more each benchmark errs, by the number of factors of the model (table 9)."""
    shown = in_order(frame, "benchmark").with_columns(
        _cells("difference", 3, "stars"),
        pl.col("benchmark").map_elements(group, return_dtype=pl.String).alias("group"),
        pl.col("benchmark").map_elements(row_of, return_dtype=pl.String),
        pl.col("n_factors").cast(pl.String).alias("K"),
    )
    spanner = f"number of factors of {words(main)}"
    return _table(_wide(shown, "benchmark", "K", by=["group"]), name, spanner, grouped=True)


def ranking(frame: pl.DataFrame, name: str, what: str, published: pl.DataFrame) -> GT:
    """Show the importance of characteristics (table 6) or factor instruments (table 7), the greatest first.

    Parameters
    ----------
    frame : pl.DataFrame
        name, importance, standard_deviation, p, stars.
    name, what : str
        Identifier, and word of the first column.
    published : pl.DataFrame
        row, column (the source's name), value; no columns are added where it has no rows.
    """
    theirs = published.select(name="row", published_name="column", published="value")
    beside = frame.with_row_index("rank", offset=1).join(theirs, on="name", how="left", maintain_order="left")
    shown = beside.select(
        "rank",
        pl.col("name").replace(dict(SERIES)),
        _cells("importance", 3, "stars").alias("importance"),
        "standard_deviation",
        "p",
        *(("published_name", "published") if published.height else ()),
    )
    table = (
        GT(shown, id=name)
        .cols_align("right", columns=["rank", "importance"])
        .fmt_number("standard_deviation", decimals=3)
        .fmt_number("p", decimals=3)
        .cols_label(
            rank="", name=what, importance="increase of the error", standard_deviation="std of a draw", p="p-value"
        )
    )
    if not published.height:
        return table
    return (
        table.fmt_number("published", decimals=2)
        .cols_align("right", columns="published_name")
        .cols_label(published_name="name", published="increase")
        .tab_spanner(_PUBLISHED, ["published_name", "published"])
    )


def granger(frame: pl.DataFrame, name: str, published: pl.DataFrame) -> GT:
    """Show the coefficients of the VAR(1) of the factors with p-values, a row a responding factor (table 8)."""
    ours = frame.select(
        pl.lit("these factors").alias("group"), "response", "cause", pl.col("coefficient").alias("value"), "p"
    )
    theirs = published.select(
        pl.lit(_PUBLISHED).alias("group"), response=pl.col("row").cast(pl.Int64), cause=pl.col("column").cast(pl.Int64),
        value="value", p="p",
    ).sort("response", "cause")  # fmt: skip
    both = pl.concat([ours, theirs]).with_columns(
        pl.struct("value", "p").map_elements(_coefficient, return_dtype=pl.String).alias("cell"),
        pl.format("factor {}", "response").alias("response"),
        pl.format("factor {}", "cause").alias("cause"),
    )
    return _table(_wide(both, "response", "cause", by=["group"]), name, "last month's", grouped=True)


def _coefficient(row: Mapping[str, float]) -> str:
    return f"{number(row['value'], 2, significance_stars(row['p']))} ({row['p']:.1%})"


def directions(frame: pl.DataFrame, name: str) -> GT:
    """Show how good forecasts of the direction were; see ``FactorModelNumbers.scores``."""
    shown = frame.select(
        pl.col("model").map_elements(words, return_dtype=pl.String), "n_factors", "n_months", "n", "log_loss",
        "base_loss", "brier", "hit_rate", "base_rate",
    )  # fmt: skip
    return (
        GT(shown, id=name, rowname_col="model")
        .fmt_integer(["n_months", "n"])
        .fmt_number(["log_loss", "base_loss", "brier"], decimals=4)
        .fmt_percent(["hit_rate", "base_rate"], decimals=1)
        .tab_spanner("log loss", ["log_loss", "base_loss"])
        .tab_spanner("share", ["hit_rate", "base_rate"])
        .cols_label(
            n_factors="K", n_months="months", n="asset-months", log_loss="model", base_loss="base rate",
            brier="Brier score", hit_rate="right", base_rate="positive",
        )
    )  # fmt: skip


def convergence(frame: pl.DataFrame, name: str) -> GT:
    """Show how estimations ended; see ``FactorModelNumbers.convergence``."""
    shown = in_order(frame).with_columns(
        pl.col("model").map_elements(words, return_dtype=pl.String),
        pl.col("first").dt.strftime("%Y-%m"),
        pl.col("newest").dt.strftime("%Y-%m"),
    )
    return (
        GT(shown, id=name, rowname_col="model")
        .fmt_integer(["months", "estimations", "stopped"])
        .fmt_number("iterations", decimals=1)
        .fmt_percent("total_r2", decimals=1)
        .tab_spanner("months", ["first", "newest", "months"])
        .tab_spanner("estimations", ["estimations", "iterations", "stopped"])
        .cols_label(
            n_factors="K", first="from", newest="to", months="number", estimations="number",
            iterations="mean iterations", stopped="not converged", total_r2="newest total R²",
        )
    )  # fmt: skip
