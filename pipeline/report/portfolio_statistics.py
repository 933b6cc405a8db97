"""Portfolios of bonds in figures, beside those that were published.

Belongs here: moments of portfolio returns, what the highest portfolio of a sort earns over the lowest. Does not: the
sorts (``pipeline.bonds.portfolios``), anything drawn (``charts_trades``).
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import polars as pl

from pipeline.bonds.portfolios import BOND_SORTS
from pipeline.report.sort_statistics import LEAST_MONTHS
from pipeline.report.statistics import Z_95, newey_west_mean

PUBLISHED = "published_portfolios.csv"
MOMENTS = ("median", "std", "p25", "p75")
_PERCENT = 100.0


@cache
def published() -> pl.DataFrame:
    """Return Duraj and Giesecke's (2025) table A.8: portfolio, then :data:`MOMENTS` of its return, percent a month."""
    text = resources.files("pipeline.report").joinpath(PUBLISHED).read_bytes()
    return pl.read_csv(text, schema_overrides=dict.fromkeys(MOMENTS, pl.Float64))


def portfolio_summary(portfolios: pl.LazyFrame) -> pl.DataFrame:
    """Describe the returns of every portfolio.

    Parameters
    ----------
    portfolios : pl.LazyFrame
        ``bond_portfolios``: month, portfolio, sort, bin, ret (decimal; null in a month in which it is empty), n.

    Returns
    -------
    pl.DataFrame
        sort, portfolio, bonds (mean over the months with any), months (with a return), median, std (of the sample),
        p25, p75 (linearly interpolated) in percent a month, and with the ending ``_published`` the same of
        :func:`published`; in the order of the sorts.
    """
    order = {sort.name: place for place, sort in enumerate(BOND_SORTS)}
    earned = pl.col("ret") * _PERCENT
    quantiles = (
        earned.quantile(level, interpolation="linear").alias(name) for name, level in (("p25", 0.25), ("p75", 0.75))
    )
    own = (
        portfolios.group_by("sort", "bin", "portfolio")
        .agg(
            pl.col("n").filter(pl.col("n") > 0).mean().alias("bonds"),
            pl.col("ret").count().cast(pl.Int64).alias("months"),
            earned.median().alias("median"),
            earned.sort().std().alias("std"),
            *quantiles,
        )
        .collect()
        .sort(pl.col("sort").replace_strict(order, default=len(order)), "sort", "bin")
    )
    beside = own.join(published(), on="portfolio", how="left", suffix="_published", maintain_order="left")
    return beside.select(
        "sort", "portfolio", "bonds", "months", *MOMENTS, *(f"{name}_published" for name in MOMENTS)
    )  # fmt: skip


def mean_returns(portfolios: pl.DataFrame) -> pl.DataFrame:
    """Average the excess returns of every portfolio.

    Parameters
    ----------
    portfolios : pl.DataFrame
        ``bond_portfolios``: month, sort, bin, ret_excess.

    Returns
    -------
    pl.DataFrame
        sort, bin, months, mean, t (over its Newey-West error), low, high (95% confidence interval), decimals a month;
        sorted. Portfolios with fewer than :data:`LEAST_MONTHS` months, or that never vary, are left out.
    """
    return _averages(portfolios.select("month", "sort", "bin", ret="ret_excess"), ["sort", "bin"])


def high_minus_low(portfolios: pl.DataFrame) -> pl.DataFrame:
    """Average what the last portfolio of each sort earns over the first.

    Parameters
    ----------
    portfolios : pl.DataFrame
        ``bond_portfolios``: month, sort, bin, ret.

    Returns
    -------
    pl.DataFrame
        sort, months (with both), mean, t, low, high as in :func:`mean_returns`; in the order of the sorts.
    """
    ends = {sort.name: sort.bins for sort in BOND_SORTS}
    last = pl.col("sort").replace_strict(ends, default=None, return_dtype=pl.Int32)
    chosen = (pl.col("bin") == last, pl.col("bin") == 1)
    high, low = (portfolios.filter(each).select("month", "sort", "ret") for each in chosen)
    both = high.join(low, on=["month", "sort"], suffix="_low")
    spread = both.select("month", "sort", ret=pl.col("ret") - pl.col("ret_low"))
    place = pl.col("sort").replace_strict({name: k for k, name in enumerate(ends)})
    return _averages(spread, ["sort"]).sort(place)


def _averages(series: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Means of the column ``ret`` with Newey-West errors, a row a series."""
    rows = []
    for key, part in series.drop_nulls("ret").sort(*by, "month").group_by(by, maintain_order=True):
        values = part["ret"].to_numpy()
        if len(values) < LEAST_MONTHS or values.min() == values.max():
            continue
        mean, error = newey_west_mean(values)
        rows.append((*key, len(values), mean, mean / error, mean - Z_95 * error, mean + Z_95 * error))
    floats = dict.fromkeys(("mean", "t", "low", "high"), pl.Float64)
    keys = {name: series.schema[name] for name in by}
    return pl.DataFrame(rows, schema={**keys, "months": pl.Int64, **floats}, orient="row")
