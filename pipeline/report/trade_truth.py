"""What was made of trade reports, prices and issuers' names, held against the truth of a simulated market.

Belongs here: how often an answer is right. Does not: the answers, anything drawn.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

_DAY = ["cusip", "date"]
_VALUES = ("price", "volume", "trades")
#: Relative difference below which a day's price and volume count as right: sums are taken in another order.
RIGHT = 1e-9
ALL_DAYS, SMALL = "all days with a trade", "below the smallest volume"
#: What stands behind a bond without accounts: the match is right to name no company.
NOT_OF_THE_NAME = ("no company link", "no accounts", "no assets")


def days_by_kind(daily: pl.LazyFrame, days: pl.LazyFrame, planted: pl.LazyFrame, trades: pl.LazyFrame) -> pl.DataFrame:
    """Hold the cleaned days against the true ones, by what is planted in their reports.

    Parameters
    ----------
    daily : pl.LazyFrame
        ``trace_daily``.
    days : pl.LazyFrame
        ``bond_days`` of the truth: cusip, date, and price, volume, trades of the clean trades as known at the end of
        the month, with ``_finally`` as corrected; null where no trade counts.
    planted : pl.LazyFrame
        ``trace_planted``: kind, cusip, date, outcome.
    trades : pl.LazyFrame
        ``trace_trades``: cusip, date, screened, report_month, event_month.

    Returns
    -------
    pl.DataFrame
        kind, outcome (what the right answer makes of the reports), planted, days (with one), right (days whose price,
        volume and number of trades are the true ones, or that rightly are not there, as known at the end of the month),
        right_finally; the first row is about all days, with the true number of trades as ``planted``. Days whose last
        reports come after the panel's newest month are left out.
    """
    judged = _judged_days(daily, days, trades)
    small = trades.filter(pl.col("screened") == "volume").select(
        pl.lit(SMALL).alias("kind"), pl.lit("removed").alias("outcome"), *_DAY
    )
    kinds = pl.concat([planted.select("kind", "outcome", *_DAY), small])
    counted = (
        kinds.join(judged.lazy(), on=_DAY)
        .group_by("kind", "outcome", *_DAY)
        .agg(pl.len(), pl.col("right", "right_finally").first())
    )
    by_kind = (
        counted.group_by("kind", "outcome")
        .agg(
            planted=pl.col("len").sum().cast(pl.Int64),
            days=pl.len().cast(pl.Int64),
            right=pl.col("right").sum().cast(pl.Int64),
            right_finally=pl.col("right_finally").sum().cast(pl.Int64),
        )
        .sort("outcome", "kind")
        .collect()
    )
    whole = judged.select(
        pl.lit(ALL_DAYS).alias("kind"),
        pl.lit("clean trades").alias("outcome"),
        planted=pl.col("true_trades").sum().cast(pl.Int64),
        days=pl.len().cast(pl.Int64),
        right=pl.col("right").sum().cast(pl.Int64),
        right_finally=pl.col("right_finally").sum().cast(pl.Int64),
    )
    return pl.concat([whole, by_kind])


def _judged_days(daily: pl.LazyFrame, days: pl.LazyFrame, trades: pl.LazyFrame) -> pl.DataFrame:
    """Every bond-day of ours or the truth's: cusip, date, true_trades, right, right_finally."""
    ends = daily.select(first=pl.col("month").min(), last=pl.col("month").max()).collect()
    first, last = ends["first"].item(), ends["last"].item()
    own = daily.filter(pl.col("month") == pl.col("date").dt.month_start()).select(*_DAY, *_VALUES)
    newest = daily.sort("month").unique(_DAY, keep="last", maintain_order=True)
    finally_ = newest.select(*_DAY, *(pl.col(f"{name}_corrected").alias(f"{name}_finally") for name in _VALUES))
    made = finally_.join(own, on=_DAY, how="left")
    late = trades.filter((pl.col("report_month") > last) | (pl.col("event_month") > last)).select(_DAY).unique()
    seen = trades.select(_DAY).unique()
    truth = seen.join(days, on=_DAY, how="left")
    both = truth.join(made, on=_DAY, how="full", suffix="_own", coalesce=True)
    within = pl.col("date").dt.month_start().is_between(first, last)
    return (
        both.filter(within)
        .join(late, on=_DAY, how="anti")
        .select(*_DAY, true_trades="trades", right=_same(""), right_finally=_same("_finally"))
        .collect()
    )


def _same(ending: str) -> pl.Expr:
    """Whether price, volume and trades are the true ones, or both sides have none."""

    def close(name: str) -> pl.Expr:
        true, own = pl.col(f"{name}{ending}").cast(pl.Float64), pl.col(f"{name}{ending}_own").cast(pl.Float64)
        return ((true - own).abs() <= RIGHT * true.abs()).fill_null(true.is_null() & own.is_null())

    return pl.all_horizontal(close(name) for name in _VALUES)


def returns_beside_truth(returns: pl.LazyFrame, snapshot: pl.LazyFrame, truth: pl.LazyFrame) -> pl.DataFrame:
    """Hold returns against those between the true prices at the month ends.

    Parameters
    ----------
    returns : pl.LazyFrame
        ``bond_returns``: month, isin, ret, source.
    snapshot : pl.LazyFrame
        ``bond_snapshot``: isin, cusip.
    truth : pl.LazyFrame
        ``bond_month_prices``: month, cusip (eight characters), ret.

    Returns
    -------
    pl.DataFrame
        source (``all`` last), bond_months (with both), correlation, difference (mean), median, p95, largest (of the
        absolute differences), decimals; sorted by source.
    """
    eight = pl.col("cusip").str.slice(0, 8)
    names = snapshot.select("isin", eight).drop_nulls().unique()
    true = truth.select("month", "cusip", true="ret").drop_nulls("true")
    both = (
        returns.select("month", "isin", "ret", "source")
        .join(names, on="isin")
        .join(true, on=["month", "cusip"])
        .sort("month", "isin")
        .collect()
    )
    apart = pl.col("ret") - pl.col("true")
    figures = (
        pl.len().cast(pl.Int64).alias("bond_months"),
        pl.corr("ret", "true").alias("correlation"),
        apart.mean().alias("difference"),
        apart.abs().median().alias("median"),
        apart.abs().quantile(0.95, interpolation="linear").alias("p95"),
        apart.abs().max().alias("largest"),
    )
    by_source = both.group_by("source", maintain_order=True).agg(figures).sort("source")
    whole = both.select(pl.lit("all").alias("source"), *figures).filter(pl.col("bond_months") > 0)
    return pl.concat([by_source, whole]).with_columns(pl.col("correlation").fill_nan(None))


def issuer_match(link: pl.LazyFrame, truth: pl.LazyFrame) -> pl.DataFrame:
    """Hold issuers against the true ones, by the kind of their name.

    Parameters
    ----------
    link : pl.LazyFrame
        ``bond_issuer_link``: month, cusip, permco (null where unmatched), reason.
    truth : pl.LazyFrame
        ``bond_issuers``: cusip, permco, kind, matchable (the name leads to the stock), delisted (month).

    Returns
    -------
    pl.DataFrame
        kind (``all`` last), bond_months, matched, right (matched with the true company), findable (the name leads to a
        company whose stock trades in the month and that has accounts), found (those of them that are right), precision
        (right over matched) and recall (found over findable), null of nothing.
    """
    true = truth.select("cusip", "kind", "matchable", "delisted", true_permco="permco")
    listed = pl.col("delisted").is_null() | (pl.col("month") < pl.col("delisted"))
    faultless = ~pl.col("reason").is_in(NOT_OF_THE_NAME).fill_null(False)
    right = (pl.col("permco") == pl.col("true_permco")).fill_null(False)
    findable = pl.col("matchable") & listed & faultless
    flags: Mapping[str, pl.Expr] = {
        "matched": pl.col("permco").is_not_null(), "right": right, "findable": findable, "found": findable & right,
    }  # fmt: skip
    judged = link.select("month", "cusip", "permco", "reason").join(true, on="cusip").select("kind", **flags).collect()
    counts = (pl.len().cast(pl.Int64).alias("bond_months"), *(pl.col(name).sum().cast(pl.Int64) for name in flags))
    kinds = judged.group_by("kind").agg(counts).sort("kind")
    whole = judged.select(pl.lit("all").alias("kind"), *counts).filter(pl.col("bond_months") > 0)
    return pl.concat([kinds, whole]).with_columns(
        precision=pl.when(pl.col("matched") > 0).then(pl.col("right") / pl.col("matched")),
        recall=pl.when(pl.col("findable") > 0).then(pl.col("found") / pl.col("findable")),
    )
