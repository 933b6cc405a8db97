"""The numbers behind the charts of the panel: coverage, missing values, distributions, correlations, betas.

Every function takes lazy panels and reads a few of their columns at a time, so that a panel of a million rows and a
hundred columns does not have to fit in memory. Belongs here: numbers. Does not: numbers of models
(``factor_statistics``) and anything drawn (``charts_*``, ``tables``).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from statsmodels.regression.linear_model import OLS

#: Characteristics read at once; with their winsorised twins 16 columns of the panel.
BATCH = 8
#: Two-sided normal quantile of the confidence intervals.
Z_95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Distributions:
    """Pooled distributions of characteristics before and after winsorising.

    Attributes
    ----------
    summary : pl.DataFrame
        One row a characteristic: name, n, missing (share), mean, std, min, p1, p25, p50, p75, p99, max of the raw
        values, and std_w, min_w, max_w of the winsorised; null where there are too few values.
    histogram : pl.DataFrame
        name, low, high (edges of a bin), raw, winsorised (share of the values in it). The bins span the
        winsorised values; raw values beyond them are counted in the outermost bins.
    """

    summary: pl.DataFrame
    histogram: pl.DataFrame


def coverage(snapshot: pl.LazyFrame | None, returns: pl.LazyFrame | None) -> pl.DataFrame:
    """Count bonds month by month.

    Parameters
    ----------
    snapshot, returns : pl.LazyFrame or None
        ``month, isin``: bonds in the snapshot of the month, bonds with a return of the month.

    Returns
    -------
    pl.DataFrame
        month, kind (``in the snapshot`` or ``with a return``), bonds; sorted.
    """
    named = (("in the snapshot", snapshot), ("with a return", returns))
    counted = [
        panel.group_by("month").agg(pl.len().cast(pl.Int64).alias("bonds")).with_columns(pl.lit(kind).alias("kind"))
        for kind, panel in named
        if panel is not None
    ]
    return pl.concat(counted).select("month", "kind", "bonds").sort("kind", "month").collect()


def missing_shares(panel: pl.LazyFrame, names: Sequence[str]) -> pl.DataFrame:
    """Count missing raw values of every characteristic and month.

    Parameters
    ----------
    panel : pl.LazyFrame
        ``month`` and the raw columns; null is missing.
    names : sequence of str
        Characteristics.

    Returns
    -------
    pl.DataFrame
        month, name, n (bonds), missing (their number without a value); sorted by month, then as ``names``.
    """
    order = pl.Enum(list(names))
    counts = panel.group_by("month").agg(pl.len().alias("n"), *(pl.col(name).null_count() for name in names)).collect()
    return (
        counts.unpivot(list(names), index=["month", "n"], variable_name="name", value_name="missing")
        .with_columns(pl.col("name").cast(order), pl.col("n", "missing").cast(pl.Int64))
        .sort("month", "name")
        .select("month", "name", "n", "missing")
    )


def missing_by_year(shares: pl.DataFrame) -> pl.DataFrame:
    """Pool :func:`missing_shares` over calendar years.

    Returns
    -------
    pl.DataFrame
        name, year, missing (share of bond-months without a value); sorted.
    """
    return (
        shares.group_by("name", pl.col("month").dt.year().alias("year"))
        .agg(missing=pl.col("missing").sum() / pl.col("n").sum())
        .sort("name", "year")
    )


def present_by_month(shares: pl.DataFrame) -> pl.DataFrame:
    """Return the share of all characteristics that are present: month, present; sorted."""
    return shares.group_by("month").agg(present=1 - pl.col("missing").sum() / pl.col("n").sum()).sort("month")


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), BATCH):
        yield names[start : start + BATCH]


def distributions(panel: pl.LazyFrame, names: Sequence[str], bins: int = 36) -> Distributions:
    """Describe raw and winsorised values, all months pooled.

    Parameters
    ----------
    panel : pl.LazyFrame
        Columns ``<name>`` and ``<name>_w``; null is missing.
    names : sequence of str
        Characteristics.
    bins : int, optional
        Bars of a histogram.

    Returns
    -------
    Distributions
        Quantiles are linearly interpolated, deviations have n - 1 in the denominator. A characteristic without a
        value has nulls in the summary and no histogram.
    """
    summaries, histograms = [], []
    for batch in _batches(names):
        frame = panel.select([column for name in batch for column in (name, f"{name}_w")]).collect()
        for name in batch:
            raw, kept = frame[name], frame[f"{name}_w"].drop_nulls()
            summaries.append({"name": name, **_summary(raw, kept)})
            if len(kept):
                histograms.append(_histogram(name, raw.drop_nulls().to_numpy(), kept.to_numpy(), bins))
    empty = pl.DataFrame(schema={"name": pl.String, **dict.fromkeys(("low", "high", "raw", "winsorised"), pl.Float64)})
    return Distributions(summary=pl.DataFrame(summaries), histogram=pl.concat([empty, *histograms]))


def _summary(raw: pl.Series, kept: pl.Series) -> dict[str, object]:
    values = raw.drop_nulls().cast(pl.Float64).sort()
    levels = {"p1": 0.01, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p99": 0.99}
    return {
        "n": len(values),
        "missing": raw.null_count() / len(raw) if len(raw) else None,
        "mean": values.mean(),
        "std": values.std(),
        "min": values.min(),
        **{label: values.quantile(level, interpolation="linear") for label, level in levels.items()},
        "max": values.max(),
        "std_w": kept.std(),
        "min_w": kept.min(),
        "max_w": kept.max(),
    }


def _histogram(name: str, raw: np.ndarray, kept: np.ndarray, bins: int) -> pl.DataFrame:
    low, high = float(kept.min()), float(kept.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    shares = [np.histogram(np.clip(each, low, high), edges)[0] / len(each) for each in (raw, kept)]
    return pl.DataFrame(
        {"name": [name] * bins, "low": edges[:-1], "high": edges[1:], "raw": shares[0], "winsorised": shares[1]}
    )


def newey_west_lags(n: int) -> int:
    """Return floor(4 (n / 100)^(2/9)), the lags of Newey and West (1994)."""
    return int(4 * (n / 100) ** (2 / 9))


def newey_west_mean(values: np.ndarray) -> tuple[float, float]:
    """Return the mean of a series and its standard error.

    Parameters
    ----------
    values : np.ndarray
        (T,) in the order of time, no NaN, at least two.

    Returns
    -------
    tuple of float
        Mean and its Newey-West (1987) standard error, Bartlett kernel, :func:`newey_west_lags` lags, without a
        small-sample correction.
    """
    fit = OLS(values, np.ones(len(values))).fit(cov_type="HAC", cov_kwds={"maxlags": newey_west_lags(len(values))})
    return float(fit.params[0]), float(fit.bse[0])


def monthly_rank_correlations(training: pl.LazyFrame, ranked: Sequence[str]) -> pl.DataFrame:
    """Correlate the ranked returns of a month with the ranked characteristics of the month before.

    Parameters
    ----------
    training : pl.LazyFrame
        ``month, ret_excess`` and the ranked columns, in which a missing characteristic is 0, the middle.
    ranked : sequence of str
        Columns such as ``spread_r``.

    Returns
    -------
    pl.DataFrame
        month, name (without ``_r``), correlation; sorted by month. Null where a month has fewer than three bonds or
        no variation.
    """
    bonds = training.filter(pl.col("ret_excess").is_not_null()).with_columns(
        pl.col("ret_excess").rank("average").over("month").alias("_return")
    )
    return (
        bonds.group_by("month", maintain_order=True)
        .agg(
            pl.when(pl.len() > 2).then(pl.corr("_return", column)).alias(column.removesuffix("_r")) for column in ranked
        )
        .collect()
        .unpivot(index="month", variable_name="name", value_name="correlation")
        .with_columns(pl.col("correlation").fill_nan(None))
        .sort("month", "name")
    )


def average_correlations(monthly: pl.DataFrame) -> pl.DataFrame:
    """Average :func:`monthly_rank_correlations` over time with Newey-West errors.

    Returns
    -------
    pl.DataFrame
        name, months, mean, error, t, low, high (95% confidence interval); descending by mean. A characteristic with
        fewer than 12 months, or one that never varies, is left out.
    """
    rows = []
    for (name,), part in monthly.drop_nulls("correlation").sort("month").group_by("name", maintain_order=True):
        values = part["correlation"].to_numpy()
        if len(values) < 12 or np.ptp(values) == 0.0:
            continue
        mean, error = newey_west_mean(values)
        rows.append({"name": name, "months": len(values), "mean": mean, "error": error})
    schema = {"name": pl.String, "months": pl.Int64, "mean": pl.Float64, "error": pl.Float64}
    return (
        pl.DataFrame(rows, schema=schema)
        .with_columns(
            t=pl.col("mean") / pl.col("error"),
            low=pl.col("mean") - Z_95 * pl.col("error"),
            high=pl.col("mean") + Z_95 * pl.col("error"),
        )
        .sort("mean", descending=True)
    )


def cross_section_bands(panel: pl.LazyFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Describe the cross-section of each month.

    Parameters
    ----------
    panel : pl.LazyFrame
        ``month`` and ``columns``; null is missing.
    columns : sequence of str
        Winsorised characteristics such as ``vix_beta_w``.

    Returns
    -------
    pl.DataFrame
        month, name (without ``_w``), bonds (with a value), mean, p25, p50, p75; months without a value are left out.
    """
    parts = []
    for column in columns:
        value = pl.col(column)
        part = panel.group_by("month", maintain_order=True).agg(
            pl.lit(column.removesuffix("_w")).alias("name"),
            value.count().cast(pl.Int64).alias("bonds"),
            value.mean().alias("mean"),
            *(
                value.quantile(level, interpolation="linear").alias(label)
                for label, level in (("p25", 0.25), ("p50", 0.5), ("p75", 0.75))
            ),
        )
        parts.append(part.collect().filter(pl.col("bonds") > 0))
    return pl.concat(parts).sort("name", "month")


def sectors(returns: pl.LazyFrame) -> pl.DataFrame:
    """Describe sectors.

    Parameters
    ----------
    returns : pl.LazyFrame
        ``isin, sector, ret_excess`` by month.

    Returns
    -------
    pl.DataFrame
        sector, bonds (ever seen), bond_months, mean (excess return a month, decimal, every bond-month alike), std;
        the largest first. Bonds without a sector stand under null.
    """
    value = pl.col("ret_excess")
    return (
        returns.group_by("sector", maintain_order=True)
        .agg(
            bonds=pl.col("isin").n_unique().cast(pl.Int64),
            bond_months=pl.len().cast(pl.Int64),
            mean=value.mean(),
            std=value.std(),
        )
        .sort(["bond_months", "sector"], descending=[True, False])
        .collect()
    )


def factor_summary(factors: pl.DataFrame, columns: Sequence[str], innovations: Container[str] = ()) -> pl.DataFrame:
    """Describe monthly factors.

    Parameters
    ----------
    factors : pl.DataFrame
        ``month`` and ``columns``, decimals, null where missing.
    columns : sequence of str
        Factors; those without two values are left out.
    innovations : container of str, optional
        Those of them that are no excess returns and so have no Sharpe ratio.

    Returns
    -------
    pl.DataFrame
        name, first and last (``YYYY-MM`` of the first and last value), months, mean, std (a month), t (mean over its
        Newey-West error), sharpe (mean over standard deviation times the root of twelve).
    """
    rows = []
    for column in columns:
        held = factors.select("month", column).drop_nulls().sort("month")
        values = held[column].to_numpy()
        if len(values) < 2 or np.ptp(values) == 0.0:
            continue
        mean, error = newey_west_mean(values)
        deviation = float(values.std(ddof=1))
        rows.append(
            {
                "name": column,
                "first": f"{held['month'][0]:%Y-%m}",
                "last": f"{held['month'][-1]:%Y-%m}",
                "months": len(values),
                "mean": mean,
                "std": deviation,
                "t": mean / error,
                "sharpe": None if column in innovations else mean / deviation * 12**0.5,
            }
        )
    schema = {"name": pl.String, "first": pl.String, "last": pl.String, "months": pl.Int64}
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(("mean", "std", "t", "sharpe"), pl.Float64))
