"""Numbers from one pass over the panel of firm characteristics: coverage, persistence, long-short returns.

The panel is read a few characteristics at a time and gone through month by month. Belongs here: what a characteristic
is like and what sorting on it earns. Does not: models (``factor_statistics``), anything drawn (``charts_sorts``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform

from pipeline.report.statistics import Z_95, newey_west_mean

Floats = NDArray[np.float64]
#: Characteristics read at once: of each its ranks and whether it has a value.
CHUNK = 24
#: Months between the ranks that are correlated.
LAGS = (1, 12)
VALUE, EQUAL = "value", "equal"
#: Ranks run from -0.5 to 0.5; beyond these lie the outer tenths.
TENTH = 0.4
#: Stocks that a month must have to be sorted into tenths or correlated with an earlier one.
FEWEST = 10
#: Months without which a mean, or a correlation of two series, is not shown.
LEAST_MONTHS = 24


@dataclass(frozen=True, kw_only=True)
class Sorts:
    """What a pass over the panel gives.

    Attributes
    ----------
    missing : pl.DataFrame
        month, name, n (stocks), missing (those without a value); as ``statistics.missing_shares``.
    persistence : pl.DataFrame
        month, name, lag (months), correlation: of the ranks of a month with the same stocks' ranks ``lag`` months
        earlier, over the stocks with a value in both; null with fewer than :data:`FEWEST` or without variation.
    long_short : pl.DataFrame
        month (of the return), name, weighting (``value`` or ``equal``), ret (decimal), stocks (mean of the two legs);
        null in months that cannot be sorted. No rows without returns.
    """

    missing: pl.DataFrame
    persistence: pl.DataFrame
    long_short: pl.DataFrame


@dataclass(frozen=True)
class _Months:
    """Where the months lie in the panel, and what stands beside its rows.

    Parameters
    ----------
    labels : list of date
        Months, ascending.
    bounds : ndarray, shape (T + 1,)
        Rows of month t are ``bounds[t]`` to ``bounds[t + 1]``.
    earlier : dict of int to ndarray, shape (N,)
        Lag -> row of the same stock so many months earlier, -1 for none.
    returns, weights : ndarray, shape (N,)
        Return of the month after and market equity at its start; NaN for none.
    """

    labels: list[date]
    bounds: NDArray[np.intp]
    earlier: dict[int, NDArray[np.intp]]
    returns: Floats
    weights: Floats

    def blocks(self) -> Iterator[slice]:
        """Rows of each month."""
        for start, stop in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            yield slice(int(start), int(stop))


def sorts(panel: pl.LazyFrame, returns: pl.LazyFrame | None, names: Sequence[str], chunk: int = CHUNK) -> Sorts:
    """Go through the panel once.

    Parameters
    ----------
    panel : pl.LazyFrame
        ``firm_characteristics``: month, permno, ``<name>`` (null is missing) and ``<name>_r`` (rank from -0.5 to 0.5
        within the month); rows ordered by month.
    returns : pl.LazyFrame or None
        ``stock_returns``: month (of the return), permno, ret_excess, me_start.
    names : sequence of str
        Characteristics.
    chunk : int, optional
        How many of them are in memory at once.

    Returns
    -------
    Sorts

    Raises
    ------
    ValueError
        If the rows are not ordered by month.

    Notes
    -----
    Stocks are sorted on their rank at the end of month m - 1 and held for month m. The long-short return is that of
    the stocks ranked above 0.4, the highest tenth of those with a value, less that of those below -0.4. Where ties
    leave a tenth empty, as for an indicator, the stocks of the highest or lowest rank stand for it.
    """
    months = _months(panel, returns)
    missing, persistence, spreads, legs = [], [], [], []
    for start in range(0, len(names), chunk):
        batch = names[start : start + chunk]
        present, ranks = _values(panel, batch)
        missing.append(_by_month(months, _missing(present)))
        persistence.append([_by_month(months, _autocorrelation(present, ranks, months.earlier[lag])) for lag in LAGS])
        if returns is not None:
            both = _by_month(months, _spread(present, ranks, months.returns, months.weights))
            spreads.append(both[:, :2])
            legs.append(both[:, 2])
    sizes = np.diff(months.bounds)
    counts = np.hstack(missing) if missing else np.empty((len(months.labels), 0))
    lagged = {lag: np.hstack([each[k] for each in persistence]) for k, lag in enumerate(LAGS)}
    return Sorts(
        missing=_long(months.labels, names, counts, "missing")
        .with_columns(pl.col("missing").cast(pl.Int64), n=pl.Series(sizes.repeat(len(names))).cast(pl.Int64))
        .select("month", "name", "n", "missing"),
        persistence=pl.concat(
            _long(months.labels, names, values, "correlation").with_columns(lag=pl.lit(lag))
            for lag, values in lagged.items()
        ).select("month", "name", "lag", "correlation"),
        long_short=_spread_frame(months.labels, names, spreads, legs),
    )


def _months(panel: pl.LazyFrame, returns: pl.LazyFrame | None) -> _Months:
    keys = panel.select("month", "permno").collect().with_row_index("row")
    if not keys["month"].is_sorted():
        raise ValueError("the rows of firm_characteristics are not ordered by month; read its partitions in order")
    counts = keys.group_by("month", maintain_order=True).len()
    here = keys.select("month", "permno", before="row")

    def found(lag: int) -> NDArray[np.intp]:
        later = here.with_columns(pl.col("month").dt.offset_by(f"{lag}mo"))
        rows = keys.join(later, on=["month", "permno"], how="left", maintain_order="left")["before"]
        return rows.cast(pl.Int64).fill_null(-1).to_numpy()

    beside = {"ret_excess": np.full(keys.height, np.nan), "me_start": np.full(keys.height, np.nan)}
    if returns is not None:
        held = returns.select(pl.col("month").dt.offset_by("-1mo"), "permno", *beside).collect()
        joined = keys.join(held, on=["month", "permno"], how="left", maintain_order="left")
        beside = {name: joined[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in beside}
    return _Months(
        counts["month"].to_list(),
        np.concatenate([[0], np.cumsum(counts["len"].to_numpy())]).astype(np.intp),
        {lag: found(lag) for lag in LAGS},
        beside["ret_excess"],
        beside["me_start"],
    )


def _values(panel: pl.LazyFrame, names: Sequence[str]) -> tuple[NDArray[np.bool_], Floats]:
    """Whether there is a value, and its rank; shape (N, characteristics)."""
    frame = panel.select(*(pl.col(name).is_not_null() for name in names), *(f"{name}_r" for name in names)).collect()
    ranks = frame.select(pl.col(f"{name}_r").cast(pl.Float64) for name in names).to_numpy(order="c")
    return frame.select(names).to_numpy(order="c"), ranks


def _by_month(months: _Months, measure: Callable[[slice], NDArray]) -> NDArray:
    """Measure every month; months come first, characteristics last."""
    return np.array([measure(rows) for rows in months.blocks()])


def _missing(present: NDArray[np.bool_]) -> Callable[[slice], NDArray[np.intp]]:
    return lambda rows: (~present[rows]).sum(axis=0)


def _autocorrelation(present: NDArray[np.bool_], ranks: Floats, earlier: NDArray[np.intp]) -> Callable[[slice], Floats]:
    def measure(rows: slice) -> Floats:
        before = earlier[rows]
        known = before >= 0
        now, then = ranks[rows][known], ranks[before[known]]
        both = present[rows][known] & present[before[known]]
        count = both.sum(axis=0)
        x, y = (_centred(values, both, count) for values in (now, then))
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = (x * y).sum(axis=0) / np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
        return np.where(count >= FEWEST, correlation, np.nan)

    return measure


def _centred(values: Floats, kept: NDArray[np.bool_], count: NDArray[np.intp]) -> Floats:
    """Deviations from the mean of what is kept, zero elsewhere."""
    mean = np.where(kept, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(kept, values - mean, 0.0)


def _spread(present: NDArray[np.bool_], ranks: Floats, returns: Floats, weights: Floats) -> Callable[[slice], Floats]:
    """Value- and equally weighted long-short returns, and stocks a leg; shape (3, characteristics)."""

    def measure(rows: slice) -> Floats:
        earned = ~np.isnan(returns[rows])
        ret, weight = returns[rows][earned], np.nan_to_num(weights[rows][earned])
        rank, kept = ranks[rows][earned], present[rows][earned]
        sums = np.column_stack([weight * ret, weight, ret, np.ones(len(ret))])
        high, low = (_leg(kept, sign * rank).T.astype(float) @ sums for sign in (1, -1))
        with np.errstate(invalid="ignore", divide="ignore"):
            value = high[:, 0] / high[:, 1] - low[:, 0] / low[:, 1]
            equal = high[:, 2] / high[:, 3] - low[:, 2] / low[:, 3]
        spread = np.array([value, equal, (high[:, 3] + low[:, 3]) / 2])
        return np.where(kept.sum(axis=0) >= FEWEST, spread, np.nan)

    return measure


def _leg(kept: NDArray[np.bool_], rank: Floats) -> NDArray[np.bool_]:
    """Stocks of the highest tenth, or of the highest rank where that is below it."""
    highest = np.max(rank, axis=0, where=kept, initial=-1.0)
    return kept & ((rank > TENTH) | (rank == highest)) & (highest > 0)


def _long(labels: Sequence[date], names: Sequence[str], values: NDArray, label: str) -> pl.DataFrame:
    """Months by characteristics as rows: month, name, value; NaN as null."""
    return pl.DataFrame(
        {
            "month": pl.Series(labels, dtype=pl.Date).gather(np.arange(len(labels)).repeat(len(names))),
            "name": pl.Series(list(names) * len(labels), dtype=pl.String),
            label: pl.Series(np.ravel(values).astype(float)),
        }
    ).with_columns(pl.col(label).fill_nan(None))


def _spread_frame(
    labels: Sequence[date], names: Sequence[str], spreads: Sequence[Floats], legs: Sequence[Floats]
) -> pl.DataFrame:
    if not spreads:
        schema = {"month": pl.Date, "name": pl.String, "weighting": pl.String, "ret": pl.Float64, "stocks": pl.Float64}
        return pl.DataFrame(schema=schema)
    both, stocks = np.concatenate(spreads, axis=2), np.hstack(legs)
    held = _long(labels, names, stocks, "stocks")["stocks"]
    return (
        pl.concat(
            _long(labels, names, both[:, k], "ret").with_columns(held, weighting=pl.lit(weighting))
            for k, weighting in enumerate((VALUE, EQUAL))
        )
        .select(pl.col("month").dt.offset_by("1mo"), "name", "weighting", "ret", "stocks")
        .filter(pl.col("ret").is_not_null().any().over("month"))
    )


def average_persistence(persistence: pl.DataFrame) -> pl.DataFrame:
    """Average the autocorrelations of the ranks over months: name, lag, correlation, months; as given."""
    return (
        persistence.drop_nulls("correlation")
        .group_by("name", "lag", maintain_order=True)
        .agg(pl.col("correlation").mean(), months=pl.len().cast(pl.Int64))
    )


def long_short_summary(long_short: pl.DataFrame) -> pl.DataFrame:
    """Describe the long-short returns of every characteristic.

    Returns
    -------
    pl.DataFrame
        name, weighting, months, stocks (mean of a leg), mean, std (decimals a month), t (mean over its Newey-West
        error), low, high (95% confidence interval), sharpe (a year); descending by t. Fewer than :data:`LEAST_MONTHS`
        months, or returns that never vary, are left out.
    """
    rows = []
    held = long_short.drop_nulls("ret").sort("month")
    for (name, weighting), part in held.group_by("name", "weighting", maintain_order=True):
        values = part["ret"].to_numpy()
        if len(values) < LEAST_MONTHS or np.ptp(values) == 0.0:
            continue
        mean, error = newey_west_mean(values)
        deviation = float(values.std(ddof=1))
        rows.append(
            (name, weighting, len(values), part["stocks"].mean(), mean, deviation, mean / error, mean - Z_95 * error,
             mean + Z_95 * error, mean / deviation * 12**0.5)
        )  # fmt: skip
    floats = ("stocks", "mean", "std", "t", "low", "high", "sharpe")
    schema = {"name": pl.String, "weighting": pl.String, "months": pl.Int64, **dict.fromkeys(floats, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row").sort(["t", "name"], descending=[True, False])


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Characteristics whose long-short returns go together.

    Attributes
    ----------
    names : tuple of str
        Characteristics in the order of the tree's leaves, those of a cluster beside each other.
    cluster : tuple of int
        Cluster of each, numbered from 1 in that order.
    correlation : np.ndarray
        (L, L) in that order; NaN for pairs with too few common months.
    """

    names: tuple[str, ...]
    cluster: tuple[int, ...]
    correlation: Floats


def correlation_clusters(long_short: pl.DataFrame, weighting: str = VALUE, clusters: int = 16) -> Clusters | None:
    """Cluster characteristics by the correlation of their long-short returns.

    Parameters
    ----------
    long_short : pl.DataFrame
        As in :class:`Sorts`.
    weighting : str, optional
        Which returns.
    clusters : int, optional
        How many, at most.

    Returns
    -------
    Clusters or None
        By complete linkage on one less the absolute correlation, of pairs with at least :data:`LEAST_MONTHS` common
        months; a pair with fewer counts as uncorrelated. None with fewer than three characteristics.
    """
    wide = long_short.filter(pl.col("weighting") == weighting).pivot(on="name", index="month", values="ret")
    table = wide.drop("month").to_pandas().dropna(axis=1, thresh=LEAST_MONTHS)
    table = table.loc[:, table.std() > 0]
    if table.shape[1] < 3:
        return None
    correlation = table.corr(min_periods=LEAST_MONTHS).to_numpy()
    distance = np.clip(1 - np.abs(np.nan_to_num(correlation)), 0.0, None)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="complete")
    order = leaves_list(tree)
    group = fcluster(tree, clusters, criterion="maxclust")[order]
    places = {label: place + 1 for place, label in enumerate(dict.fromkeys(group.tolist()))}
    return Clusters(
        names=tuple(str(table.columns[k]) for k in order),
        cluster=tuple(places[label] for label in group.tolist()),
        correlation=correlation[np.ix_(order, order)],
    )


def cluster_table(clusters: Clusters, summary: pl.DataFrame) -> pl.DataFrame:
    """Describe clusters.

    Returns
    -------
    pl.DataFrame
        cluster, size, within (mean absolute correlation of its pairs, null for a single one), strongest (member with
        the largest |t|), t (of it), members.
    """
    t = dict(summary.filter(pl.col("weighting") == VALUE).select("name", "t").iter_rows())
    labels = np.array(clusters.cluster)
    rows = []
    for label in dict.fromkeys(clusters.cluster):
        inside = np.flatnonzero(labels == label)
        members = [clusters.names[k] for k in inside]
        pairs = np.abs(clusters.correlation[np.ix_(inside, inside)][np.triu_indices(len(inside), 1)])
        known = pairs[~np.isnan(pairs)]
        strongest = max(members, key=lambda name: abs(t.get(name, 0.0)))
        rows.append(
            (label, len(members), float(known.mean()) if len(known) else None, strongest, t.get(strongest),
             ", ".join(members))
        )  # fmt: skip
    schema = {"cluster": pl.Int64, "size": pl.Int64, "within": pl.Float64, "strongest": pl.String, "t": pl.Float64,
              "members": pl.String}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def strongest(summary: pl.DataFrame, each: int = 4) -> list[str]:
    """Return the characteristics with the highest and the lowest t-statistics, value-weighted."""
    names = summary.filter(pl.col("weighting") == VALUE)["name"].to_list()
    return list(dict.fromkeys([*names[:each], *names[-each:]]))
