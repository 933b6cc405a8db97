"""Tables of the page of stochastic discount factors, with what the source prints below: words and formats.

Nothing is computed here; text from the data is escaped by great-tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl
from great_tables import GT

from pipeline.report.numbers_sdf import BETAS, MARKET, SPANNING
from pipeline.report.sdf_statistics import GAN, MODEL, RATIOS
from pipeline.report.tables_factor_models import number

OBJECTIVES = {"mispricing": "mispricing", "sharpe": "Sharpe ratio", GAN: "GAN"}
ENVIRONMENTS = {"full": "all features", "no_macro": "no macro series", "no_financials": "no financials"}
BENCHMARKS = {
    "sp500": "S&P 500",
    MARKET: "market",
    "ff3": "FF3",
    "ff5": "FF5",
    SPANNING: "40 portfolios",
}
ARCHITECTURES = {
    "shallow": "1, shallow",
    "deep": "2, deep",
    "deeper": "3, deeper",
    "elastic_net": "4, elastic net",
    "joined": "GAN 1, joined",
    "separate": "GAN 2, separate",
}
_RATIOS = dict(zip(RATIOS, ("Sharpe", "Sortino", "Calmar", "Max-DD", "CAGR", "Max-lev", "Mean-lev"), strict=True))
_SMALL = ("maximum_drawdown", "cagr")
_PRICING = {"explained_variation": "EV", "cross_sectional_r2": "XS-R²"}
_OURS = "these data"


def words(objective: str, environment: str) -> str:
    """Return an objective in an environment as the page calls it; a name that it does not know as it is."""
    return f"{OBJECTIVES.get(objective, objective)}, {ENVIRONMENTS.get(environment, environment)}"


def labelled(frame: pl.DataFrame) -> pl.DataFrame:
    """Put the column ``model``, objective and environment in words, in the place of both."""
    label = pl.struct(MODEL).map_elements(lambda row: words(*row.values()), return_dtype=pl.String).alias("model")
    return frame.select(label, pl.all().exclude(MODEL))


def _beside(
    ours: pl.DataFrame, published: pl.DataFrame | None, months: str, cells: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """Put the source's rows below ours, both as text, with headings of their own."""
    parts = [labelled(cells(ours)).select(pl.lit(_OURS).alias("group"), pl.all())]
    if published is not None:
        parts.append(
            labelled(cells(published)).select(
                pl.lit(", ".join(filter(None, ("published", months)))).alias("group"), pl.all()
            )
        )
    return pl.concat(parts, how="diagonal")


def _table(shown: pl.DataFrame, name: str, columns: Mapping[str, str]) -> GT:
    grouped = "group" if shown["group"].n_unique() > 1 else None
    frame = shown if grouped else shown.drop("group")
    return (
        GT(frame, id=name, rowname_col="model", groupname_col=grouped)
        .cols_align("right", columns=list(columns))
        .cols_label(dict(columns))
    )


def decimals(columns: Sequence[str], places: int) -> list[pl.Expr]:
    """Return the columns as text with so many decimals."""
    return [
        pl.col(column).map_elements(lambda value: number(value, places), return_dtype=pl.String) for column in columns
    ]


def performance(frame: pl.DataFrame, name: str, published: pl.DataFrame | None, months: str) -> GT:
    """Show how good the portfolios were (tables 3 and 6).

    Parameters
    ----------
    frame : pl.DataFrame
        As :func:`pipeline.report.sdf_statistics.performance_table` gives it.
    name : str
        Identifier.
    published : pl.DataFrame or None
        The source's numbers in the same columns, and None where it has none.
    months : str
        Test months of the source; empty where they differ from row to row.
    """

    def cells(rows: pl.DataFrame) -> pl.DataFrame:
        # Losses and growth of portfolios with little leverage are small; the source prints two decimals of all.
        small = 3 if rows is frame else 2
        return rows.select(
            *MODEL, *(each for name in RATIOS for each in decimals([name], small if name in _SMALL else 2))
        )

    return _table(_beside(frame, published, months, cells), name, _RATIOS)


def pricing(frame: pl.DataFrame, name: str, published: pl.DataFrame | None, months: str) -> GT:
    """Show how much the betas explain (tables 5 and 8); parameters as in :func:`performance`."""

    def cells(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select(*MODEL, *decimals(list(_PRICING), 2))

    return _table(_beside(frame, published, months, cells), name, _PRICING)


def alphas(frame: pl.DataFrame, name: str, published: pl.DataFrame | None, months: str) -> GT:
    """Show intercepts with t-statistics in brackets (tables 4 and 7); parameters as in :func:`performance`."""
    benchmarks = list(dict.fromkeys(frame["benchmark"]))
    tested = frame.with_columns(
        pl.struct("alpha", "t", "stars")
        .map_elements(lambda row: _alpha(row["alpha"], row["t"], 4, 2, row["stars"] or ""), return_dtype=pl.String)
        .alias("cell")
    )
    ours = tested.pivot("benchmark", index=list(MODEL), values="cell", on_columns=benchmarks)
    columns = {each: BENCHMARKS.get(each, each) for each in benchmarks}
    parts = ours
    if published is not None:
        theirs = [
            pl.struct(alpha=each, t=f"{each}_t")
            .map_elements(lambda row: _alpha(row["alpha"], row["t"], 3, 2), return_dtype=pl.String)
            .alias(each)
            for each in benchmarks
            if each in published.columns
        ]
        published = published.select(*MODEL, *theirs)
    return _table(_beside(parts, published, months, lambda rows: rows), name, columns)


def _alpha(alpha: float | None, t: float | None, decimals: int, decimals_t: int, stars: str = "") -> str | None:
    if alpha is None:
        return None
    tested = "" if t is None else f" ({number(t, decimals_t)})"
    return f"{number(alpha, decimals, stars)}{tested}"


def configurations(frame: pl.DataFrame, name: str, network: str, published: pl.DataFrame | None, months: str) -> GT:
    """Show the winners of a search (tables A.1 to A.4).

    Parameters
    ----------
    frame : pl.DataFrame
        Rows of a search.
    name, network : str
        Identifier, and of which network: the score of betas is shown as the error that it stands for.
    published, months
        As in :func:`performance`.
    """
    sign = -1.0 if network == BETAS else 1.0
    scored = frame.with_columns(score=pl.col("score") * sign)

    def cells(rows: pl.DataFrame) -> pl.DataFrame:
        found = [
            pl.col("score").map_elements(lambda value: number(value, 3), return_dtype=pl.String),
            pl.col("best_epoch").cast(pl.String),
        ]
        return rows.select(
            *MODEL,
            pl.col("architecture").replace(ARCHITECTURES),
            pl.col("batch_size").cast(pl.String),
            *(
                pl.col(column).map_elements(lambda value: f"{value:g}" if value else "none", return_dtype=pl.String)
                for column in ("rate", "l2", "l1")
            ),
            *(found if "score" in rows.columns else ()),
        )

    columns = {
        "architecture": "model",
        "batch_size": "batch size",
        "rate": "rate",
        "l2": "L2 penalty",
        "l1": "L1 penalty",
        "score": "error in validation" if network == BETAS else "Sharpe in validation",
        "best_epoch": "epoch",
    }
    return _table(_beside(scored, published, months, cells), name, columns)
