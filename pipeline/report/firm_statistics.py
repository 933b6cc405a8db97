"""The numbers behind the charts of the firm panel: universe, links, waterfalls of filters, delistings, coverage.

Belongs here: what is counted. Does not: portfolios sorted on characteristics (``sort_statistics``), comparisons with
published factors (``replication``), anything drawn (``charts_firms``, ``tables_firms``).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from pipeline.report.data import Figures

EXCHANGES: Mapping[str, str] = {"N": "NYSE", "A": "AMEX", "Q": "NASDAQ"}
#: Figures of ``stock_returns`` that tell what became of a delisted stock's return, in words.
DELISTINGS: Mapping[str, str] = {
    "delisting_return_reported": "return in the file",
    "delisting_return_filled": "filled by the profile",
    "delisting_return_missing": "neither",
}
ALL_SECURITIES = "all securities"
_WATERFALL = {
    "asset": pl.String, "month": pl.Date, "place": pl.Int64, "step": pl.String, "rows_in": pl.Int64,
    "rows_out": pl.Int64,
}  # fmt: skip


def universe(crsp_monthly: pl.LazyFrame) -> pl.DataFrame:
    """Describe the universe by month and exchange.

    Parameters
    ----------
    crsp_monthly : pl.LazyFrame
        month, exchange, me (millions), in_universe.

    Returns
    -------
    pl.DataFrame
        month, name (of the exchange), stocks, me (trillions of dollars; stocks without one count as nothing), median
        (market equity of the median stock, millions); sorted by name and month.
    """
    return (
        crsp_monthly.filter("in_universe")
        .select("month", pl.col("exchange").replace(EXCHANGES).alias("name"), "me")
        .sort("month", "name", "me")
        .group_by("month", "name", maintain_order=True)
        .agg(
            stocks=pl.len().cast(pl.Int64),
            me=pl.col("me").sum() * 1e-6,
            median=pl.col("me").median(),
        )
        .sort("name", "month")
        .collect()
    )


def linked(crsp_monthly: pl.LazyFrame, firm_links: pl.LazyFrame) -> pl.DataFrame:
    """Return how much of the universe belongs to a company of Compustat.

    Parameters
    ----------
    crsp_monthly : pl.LazyFrame
        month, permno, me, in_universe.
    firm_links : pl.LazyFrame
        month, permno.

    Returns
    -------
    pl.DataFrame
        month, name (``stocks`` or ``market equity``), share; sorted by name and month. Months without a link in the
        file at all are left out.
    """
    links = firm_links.select("month", "permno", linked=pl.lit(1.0))
    stocks = crsp_monthly.filter("in_universe").select("month", "permno", "me").sort("month", "permno")
    shares = (
        stocks.join(links, on=["month", "permno"], how="left", maintain_order="left")
        .with_columns(pl.col("linked").fill_null(0.0), pl.col("me").fill_null(0.0))
        .group_by("month", maintain_order=True)
        .agg(
            pl.col("linked").mean().alias("stocks"),
            (pl.col("linked") * pl.col("me")).sum().alias("held"),
            pl.col("me").sum().alias("total"),
        )
        .filter((pl.col("stocks") > 0) & (pl.col("total") > 0))
        .select("month", "stocks", (pl.col("held") / pl.col("total")).alias("market equity"))
        .collect()
    )
    return shares.unpivot(index="month", variable_name="name", value_name="share").sort("name", "month")


def waterfalls(figures: Mapping[str, Figures]) -> pl.DataFrame:
    """Gather the waterfalls of assets' manifests.

    Parameters
    ----------
    figures : mapping
        Asset -> month -> figures, among them ``waterfall``: step, rows_in and rows_out of each filter in order.

    Returns
    -------
    pl.DataFrame
        asset, month, place (of the step, from 0), step, rows_in, rows_out; by asset as given, month, place.
    """
    rows = [
        (asset, month, place, step["step"], step["rows_in"], step["rows_out"])
        for asset, months in figures.items()
        for month in sorted(months)
        for place, step in enumerate(months[month].get("waterfall", ()))
    ]
    return pl.DataFrame(rows, schema=_WATERFALL, orient="row")


def waterfall_totals(steps: pl.DataFrame) -> pl.DataFrame:
    """Return each step in the newest month that had rows, and over all months.

    Parameters
    ----------
    steps : pl.DataFrame
        As :func:`waterfalls` returns it.

    Returns
    -------
    pl.DataFrame
        asset, step, newest (``YYYY-MM``: the asset's newest month in which rows went into its first step), newest_in,
        newest_out, all_in, all_out, kept (all_out / all_in, null where nothing went in).
    """
    grouped = steps.group_by("asset", "place", maintain_order=True)
    totals = grouped.agg(pl.col("step").last(), all_in=pl.col("rows_in").sum(), all_out=pl.col("rows_out").sum())
    filled = steps.filter((pl.col("place") == 0) & (pl.col("rows_in") > 0))
    newest = filled.group_by("asset", maintain_order=True).agg(pl.col("month").max())
    latest = steps.join(newest, on=["asset", "month"], maintain_order="left").select(
        "asset",
        "place",
        newest=pl.col("month").dt.strftime("%Y-%m"),
        newest_in="rows_in",
        newest_out="rows_out",
    )
    return totals.join(latest, on=["asset", "place"], how="left", maintain_order="left").select(
        "asset",
        "step",
        "newest",
        "newest_in",
        "newest_out",
        "all_in",
        "all_out",
        kept=pl.when(pl.col("all_in") > 0).then(pl.col("all_out") / pl.col("all_in")),
    )


def securities(steps: pl.DataFrame, asset: str) -> pl.DataFrame:
    """Return what each step of one waterfall leaves, month by month.

    Returns
    -------
    pl.DataFrame
        month, name (:data:`ALL_SECURITIES`, then the steps), rows; sorted by step and month.
    """
    own = steps.filter(pl.col("asset") == asset)
    start = own.filter(pl.col("place") == 0).select("month", pl.lit(-1, pl.Int64).alias("place"), name=pl.lit(
        ALL_SECURITIES), rows="rows_in")  # fmt: skip
    left = own.select("month", "place", name="step", rows="rows_out")
    return pl.concat([start, left]).sort("place", "month").drop("place")


def delistings(figures: Figures) -> pl.DataFrame:
    """Count delistings from the universe by calendar year and by what became of their return.

    Parameters
    ----------
    figures : mapping
        Month -> figures of ``stock_returns``, those of :data:`DELISTINGS` among them.

    Returns
    -------
    pl.DataFrame
        year, name (words of :data:`DELISTINGS`), stocks; sorted by year. Months whose figures do not say are left out.
    """
    rows = [
        (month.year, words, months[name])
        for month, months in sorted(figures.items())
        for name, words in DELISTINGS.items()
        if name in months
    ]
    schema = {"year": pl.Int64, "name": pl.String, "stocks": pl.Int64}
    counted = pl.DataFrame(rows, schema=schema, orient="row")
    return counted.group_by("year", "name", maintain_order=True).agg(pl.col("stocks").sum()).sort("year")


def present_by_set(missing: pl.DataFrame, sets: Mapping[str, tuple[str, ...]]) -> pl.DataFrame:
    """Return how many of the values of each set are there.

    Parameters
    ----------
    missing : pl.DataFrame
        month, name, n, missing, as :func:`pipeline.report.statistics.missing_shares` returns it.
    sets : mapping of str to tuple of str
        Set -> its characteristics.

    Returns
    -------
    pl.DataFrame
        month, name (of the set), present (share of stock-months and characteristics); by set and month.
    """
    parts = [
        missing.filter(pl.col("name").is_in(list(names)))
        .group_by("month")
        .agg(present=1 - pl.col("missing").sum() / pl.col("n").sum())
        .sort("month")
        .select("month", pl.lit(label).alias("name"), "present")
        for label, names in sets.items()
    ]
    return pl.concat(parts)
