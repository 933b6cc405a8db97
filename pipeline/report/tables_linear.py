"""Tables of linear benchmarks, trees and market states, the source's numbers beside ours: words and formats.

Nothing is computed here; text from the data is escaped by great-tables.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from great_tables import GT

from pipeline.evaluation.comparisons import significance_stars
from pipeline.models.linear_tables import BOND_FACTOR, CONSTANT
from pipeline.report.linear_statistics import FORECASTS, REGRESSION, RESIDUALS, TREES, TreesFound, network_of
from pipeline.report.numbers_linear import (
    CP,
    KERNEL_COLUMNS,
    MACRO_CP,
    PUBLISHED_STATES,
    PUBLISHED_TESTS,
    PUBLISHED_TREES,
    TREE_MARKETS,
)
from pipeline.report.tables_factor_models import number
from pipeline.report.tables_sdf import decimals, words

OURS, THEIRS = "these data", "published"
#: Percent a decimal, and percent squared a decimal squared.
PERCENT, PERCENT_SQUARED = 100.0, 10_000.0
_KERNELS = {"sharpe": "Sharpe", "explained_variation": "EV", "r2": "R²"}
_MODELS = {
    "mean": "prevailing mean",
    "predictive_cp": "bond factor",
    "predictive_macro": "macro factors",
    REGRESSION: "macro factors and bond factor",
    TREES: "boosted trees",
}
BENCHMARKS = {REGRESSION: "predictive regressions", TREES: "boosted trees"}
_CRITERIA = {"pc_p1": "PCp1", "pc_p2": "PCp2", "pc_p3": "PCp3", "ic_p3": "ICp3"}


def model_words(model: str) -> str:
    """Return a forecast as the page calls it; a name that it does not know as it is."""
    network = network_of(model)
    return words(*network) if network else _MODELS.get(model, model)


def _text(column: str, places: int, scale: float = 1.0) -> pl.Expr:
    """Return a column as text with so many decimals."""
    return pl.col(column).map_elements(lambda value: number(value * scale, places), return_dtype=pl.String)


def kernels(frame: pl.DataFrame, published: pl.DataFrame, name: str) -> GT:
    """Show the linear kernels (table 9), the source's columns beside ours.

    Parameters
    ----------
    frame : pl.DataFrame
        Rows of the newest month: ``n_factors``, ``cp`` and the numbers of the kernels.
    published : pl.DataFrame
        As :func:`pipeline.report.numbers_linear.published_kernels` gives it.
    name : str
        Identifier.
    """
    ours = frame.select(
        "n_factors",
        "cp",
        *decimals(list(_KERNELS), 2),
        _text("j", 1),
        pl.col("degrees_of_freedom").cast(pl.String),
        *decimals(["p", "p_difference"], 2),
    )
    theirs = published.select(
        "n_factors", "cp", *(each.name.suffix("_published") for each in decimals(list(KERNEL_COLUMNS), 2))
    )
    both = ours.join(theirs, on=["n_factors", "cp"], how="full", coalesce=True).sort("n_factors", "cp")
    shown = both.with_columns(
        pl.col("n_factors").cast(pl.String), pl.when("cp").then(pl.lit("yes")).otherwise(pl.lit("no")).alias("cp")
    )
    tests = {"j": "J", "degrees_of_freedom": "dof", "p": "p of J", "p_difference": "p, CP only"}
    own = {**_KERNELS, **tests}
    printed = {f"{each}_published": own[each] for each in KERNEL_COLUMNS}
    return (
        GT(shown, id=name)
        .cols_label({"n_factors": "macro factors", "cp": "CP", **own, **printed})
        .cols_align("right", columns=[*own, *printed])
        .cols_align("center", columns=["n_factors", "cp"])
        .tab_spanner(OURS, list(own))
        .tab_spanner(THEIRS, list(printed))
    )


def counts(frame: pl.DataFrame, name: str) -> GT:
    """Show the numbers of macro factors by criterion and scale of the penalty, under the largest number allowed.

    Parameters
    ----------
    frame : pl.DataFrame
        ``criterion``, ``penalty_scale``, ``most``, ``n_factors``.
    name : str
        Identifier.
    """
    scales = [f"{each:.0%}" for each in sorted(set(frame["penalty_scale"]), reverse=True)]
    place = pl.col("criterion").replace_strict(
        {criterion: at for at, criterion in enumerate(_CRITERIA)}, default=len(_CRITERIA)
    )
    told = frame.sort("most", place, "criterion").with_columns(
        pl.format("at most {} factors", "most").alias("group"),
        pl.col("criterion").replace(_CRITERIA),
        pl.col("n_factors").cast(pl.String),
        pl.col("penalty_scale").map_elements(lambda each: f"{each:.0%}", return_dtype=pl.String),
    )
    wide = told.pivot("penalty_scale", index=["group", "criterion"], values="n_factors", on_columns=scales)
    return (
        GT(wide, id=name, rowname_col="criterion", groupname_col="group")
        .tab_spanner("share of the penalty", scales)
        .cols_align("right", columns=scales)
    )


def regressions(frame: pl.DataFrame, published: pl.DataFrame, name: str) -> GT:
    """Show the predictive regressions of every portfolio (tables A.14 to A.19), two rows a portfolio.

    Parameters
    ----------
    frame : pl.DataFrame
        A row a predictor: ``portfolio``, ``specification``, ``predictor``, ``coefficient``, ``standard_error``, ``p``,
        ``r2``; decimals.
    published : pl.DataFrame
        The source's rows with the same kind of factors, as
        :func:`pipeline.report.numbers_linear.published_regressions` gives them.
    name : str
        Identifier.
    """
    cell = pl.struct("coefficient", "standard_error", "p").map_elements(_coefficient, return_dtype=pl.String)
    held = frame.filter(pl.col("predictor") != CONSTANT).with_columns(cell.alias("cell"), _text("r2", 2))
    predictors = [BOND_FACTOR, *sorted(set(held["predictor"]) - {BOND_FACTOR}, key=lambda each: (len(each), each))]
    wide = held.pivot("predictor", index=["portfolio", "specification", "r2"], values="cell", on_columns=predictors)
    theirs = pl.concat(
        published.select(
            "portfolio",
            pl.lit(each).alias("specification"),
            pl.format("{} ({})", *decimals([each, f"{each}_error"], 2)).alias("printed"),
            _text(f"{each}_r2", 2).alias("r2_printed"),
        )
        for each in (CP, MACRO_CP)
    )
    shown = wide.join(theirs, on=["portfolio", "specification"], how="left", maintain_order="left").select(
        pl.col("portfolio").str.replace_all("_", " "), *predictors, "r2", "printed", "r2_printed"
    )
    labels = {each: each.upper().replace("_", "") for each in predictors} | {BOND_FACTOR: "CP"}
    cells = [*predictors, "r2", "printed", "r2_printed"]
    return (
        GT(shown, id=name)
        .cols_label({**labels, "r2": "R²", "printed": "CP", "r2_printed": "R²"})
        .cols_align("right", columns=cells)
        .tab_spanner(OURS, [*predictors, "r2"])
        .tab_spanner(THEIRS, ["printed", "r2_printed"])
        .opt_css(_scrolling(name))
    )


def _scrolling(name: str) -> str:
    """Return the style of a long table: it scrolls below its own heading, on paper it is whole."""
    return (
        f"#{name} {{ max-height: 36rem; overflow: auto; padding-top: 0 !important; }} "
        f"#{name} td {{ white-space: nowrap; }} "
        f"#{name} thead {{ position: sticky; top: 0; background: #fff; }} "
        f"@media print {{ #{name} {{ max-height: none; }} }}"
    )


def _coefficient(row: Mapping[str, float | None]) -> str | None:
    """Return a coefficient with stars and its standard error in brackets, returns in percent."""
    value, error = row["coefficient"], row["standard_error"]
    if value is None:
        return None
    tested = "" if error is None else f" ({number(error * PERCENT, 2)})"
    return f"{number(value * PERCENT, 2, significance_stars(row['p']))}{tested}"


def fit(frame: pl.DataFrame, name: str) -> GT:
    """Show how good the recursive forecasts were; see :func:`pipeline.report.linear_statistics.predictive_fit`."""
    shown = frame.select(
        pl.col("model").map_elements(model_words, return_dtype=pl.String),
        pl.col("n_factors").cast(pl.String),
        pl.col("n_months").cast(pl.String),
        *decimals(["r2_zero", "r2_mean", "median"], 3),
        pl.col("positive").map_elements(lambda value: f"{value:.0%}", return_dtype=pl.String),
    )
    columns = {
        "n_factors": "predictors",
        "n_months": "months",
        "r2_zero": "R² against zero",
        "r2_mean": "R² against mean",
        "median": "median portfolio",
        "positive": "portfolios above 0",
    }
    return GT(shown, id=name, rowname_col="model").cols_label(dict(columns)).cols_align("right", columns=list(columns))


def tests(frame: pl.DataFrame, name: str) -> GT:
    """Show the Diebold-Mariano tests (table 10), forecasts and residuals in columns of their own.

    Parameters
    ----------
    frame : pl.DataFrame
        As :func:`pipeline.report.linear_statistics.forecast_tests` and ``residual_tests`` give them.
    name : str
        Identifier.
    """
    cell = pl.struct("statistic", "stars").map_elements(
        lambda row: number(row["statistic"], 2, row["stars"] or ""), return_dtype=pl.String
    )
    keys = ["benchmark", "model"]
    shown = frame.select(*keys).unique(maintain_order=True)
    for of in (FORECASTS, RESIDUALS):
        own = frame.filter(of=of).select(
            *keys, cell.alias(of), pl.col("n_months").cast(pl.String).alias(f"{of}_months")
        )
        shown = shown.join(own, on=keys, how="left", maintain_order="left")
    printed = pl.DataFrame(
        {"model": list(PUBLISHED_TESTS), "published": [number(each, 2) for each in PUBLISHED_TESTS.values()]}
    ).with_columns(benchmark=pl.lit(REGRESSION))
    labelled = shown.join(printed, on=keys, how="left", maintain_order="left").select(
        pl.format("against {}", pl.col("benchmark").replace(BENCHMARKS)).alias("group"),
        pl.col("model").map_elements(model_words, return_dtype=pl.String),
        *(f"{of}{part}" for of in (FORECASTS, RESIDUALS) for part in ("", "_months")),
        "published",
    )
    return (
        GT(labelled, id=name, rowname_col="model", groupname_col="group")
        .cols_label(
            forecasts="statistic", forecasts_months="months", residuals="statistic", residuals_months="months",
            published="statistic",
        )
        .tab_spanner("forecast against forecast", [FORECASTS, f"{FORECASTS}_months"])
        .tab_spanner("residuals, as in the source", [RESIDUALS, f"{RESIDUALS}_months"])
        .tab_spanner(THEIRS, ["published"])
        .cols_align("right", columns=labelled.columns[2:])
    )  # fmt: skip


def trees(found: Mapping[str, TreesFound], name: str) -> GT:
    """Show what the trees could forecast (table A.27), a column a cross-section, the source's beside.

    Parameters
    ----------
    found : mapping of str to TreesFound
        Cross-section -> as :func:`pipeline.report.linear_statistics.tree_row` gives it.
    name : str
        Identifier.
    """
    labels = ("best R² of validation", "R² of test", "first month of test", "months of test")
    rows = [*labels, *(f"feature {place}" for place in (1, 2, 3))]
    columns: dict[str, list[str | None]] = {"row": list(rows)}
    for market, row in found.items():
        columns[market] = _tree_cells(row)
    for market in found:
        validation, test, first, features = PUBLISHED_TREES[market]
        columns[f"{market}_published"] = [validation, test, first, None, *features]
    named = {f"{market}{end}": TREE_MARKETS[market][0] for market in found for end in ("", "_published")}
    return (
        GT(pl.DataFrame(columns), id=name, rowname_col="row")
        .cols_label(dict(named))
        .cols_align("right", columns=list(named))
        .tab_spanner(OURS, list(found))
        .tab_spanner(THEIRS, [f"{market}_published" for market in found])
    )


def _tree_cells(row: TreesFound) -> list[str | None]:
    return [
        number(row.validation_r2, 3),
        number(row.r2, 3),
        None if row.first is None else f"{row.first:%Y-%m}",
        None if row.n_months is None else str(row.n_months),
        *row.features,
        *(None,) * (3 - len(row.features)),
    ]


def states(parts: Mapping[str, pl.DataFrame], name: str) -> GT:
    """Show what the market's states are like, by how they were estimated, with those of the source.

    Parameters
    ----------
    parts : mapping of str to pl.DataFrame
        Heading -> ``state``, ``mean``, ``volatility``, ``largest_eigenvalue``, ``expected_months`` and, where it is
        known, ``share``; decimals.
    name : str
        Identifier.
    """
    ours = [
        part.select(
            pl.lit(heading).alias("group"),
            pl.col("state").cast(pl.String),
            _text("mean", 2, PERCENT),
            _text("volatility", 2, PERCENT),
            _text("largest_eigenvalue", 2, PERCENT_SQUARED),
            _text("expected_months", 1),
            *([pl.col("share").map_elements(lambda value: f"{value:.0%}", return_dtype=pl.String)] * ("share" in part)),
        )
        for heading, part in parts.items()
    ]
    printed = pl.DataFrame(
        [("published, 40 portfolios", str(state), number(mean, 2), number(largest, 2))
         for state, (mean, largest) in PUBLISHED_STATES.items()],
        schema=("group", "state", "mean", "largest_eigenvalue"),
        orient="row",
    )  # fmt: skip
    labels = {
        "mean": "mean, %",
        "volatility": "volatility, %",
        "largest_eigenvalue": "largest eigenvalue, %²",
        "expected_months": "months a visit",
        "share": "share of months",
    }
    shown = pl.concat([*ours, printed], how="diagonal")
    absent = [pl.lit(None, pl.String).alias(each) for each in labels if each not in shown.columns]
    frame = shown.with_columns(absent).select("group", "state", *labels)
    return (
        GT(frame, id=name, rowname_col="state", groupname_col="group")
        .tab_stubhead("state")
        .cols_label(dict(labels))
        .cols_align("right", columns=list(labels))
    )
