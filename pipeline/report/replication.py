"""The panel held against what others publish, and against the truth of a simulated market.

Belongs here: factors built from the panel's own rows as their authors describe them, and how far they and the panel's
values are from what they should be. Does not: estimation, charts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from pipeline.equity.delisting import PROFILES, total_return

#: Series that are compared, in words: ours -> what it is held against.
MARKET, UNIVERSE, SMB, HML = "all securities", "universe", "SMB", "HML"
NYSE, JUNE = "N", 6
#: Relative difference below which a value counts as right: vendors round what they deliver.
RIGHT = 1e-6
#: Delisting profile -> column of the true returns under it.
TRUE_RETURNS: Mapping[str, str] = {"shumway30": "ret", "osap35_55": "ret_osap"}


def market_return(crsp_monthly: pl.LazyFrame, delisting: str) -> pl.DataFrame:
    """Return what all securities of CRSP earned, weighted by market equity at the end of the month before.

    Parameters
    ----------
    crsp_monthly : pl.LazyFrame
        month, permno, me, ret, layout, exchange, delisted, dlret, dlstcd.
    delisting : str
        Delisting profile, :data:`pipeline.equity.delisting.PROFILES`.

    Returns
    -------
    pl.DataFrame
        month, name (:data:`MARKET`), ret (decimal); sorted. The first month has no weights and no row.
    """
    later = pl.col("month").dt.offset_by("1mo")
    held = crsp_monthly.select(later, "permno", "exchange", weight="me").drop_nulls("weight")
    realised = crsp_monthly.select("month", "permno", "layout", "ret", "delisted", "dlret", "dlstcd")
    earned = held.join(realised, on=["month", "permno"]).with_columns(ret=total_return(PROFILES[delisting]))
    return _weighted(earned.drop_nulls("ret").collect(), []).select("month", pl.lit(MARKET).alias("name"), "ret")


def universe_return(stock_returns: pl.LazyFrame) -> pl.DataFrame:
    """Return what the universe earned, weighted by market equity at the start: month, name (:data:`UNIVERSE`), ret."""
    earned = stock_returns.select("month", "permno", "ret", weight="me_start").drop_nulls().collect()
    return _weighted(earned, []).select("month", pl.lit(UNIVERSE).alias("name"), "ret")


def _weighted(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Weighted means of ``ret``, summed in the order of month and permno."""
    ordered = rows.filter(pl.col("weight") > 0).sort("month", "permno")
    return (
        ordered.group_by("month", *by, maintain_order=True)
        .agg((pl.col("ret") * pl.col("weight")).sum().alias("sum"), pl.col("weight").sum())
        .select("month", *by, ret=pl.col("sum") / pl.col("weight"))
    )


def size_value_factors(
    crsp_monthly: pl.LazyFrame, characteristics: pl.LazyFrame, stock_returns: pl.LazyFrame
) -> pl.DataFrame:
    """Build SMB and HML of Fama and French (1993) from the panel.

    Parameters
    ----------
    crsp_monthly : pl.LazyFrame
        month, permno, me (millions), exchange.
    characteristics : pl.LazyFrame
        month, permno, beme.
    stock_returns : pl.LazyFrame
        month, permno, ret (decimal), me_start.

    Returns
    -------
    pl.DataFrame
        month, name (:data:`SMB`, :data:`HML`), ret; sorted by name and month. Months in which one of the six portfolios
        holds nothing are left out.

    Notes
    -----
    At the end of every June stocks with positive book equity are split at the NYSE median of market equity and, apart
    from it, at the NYSE 30% and 70% quantiles of book-to-market; the six portfolios are held from July to June,
    weighted by market equity at the end of the month before. With the timing ``ff_june`` the panel's ``beme`` of June
    is book equity of the fiscal year that ended in the calendar year before over that December's market equity; under
    another timing the sort is on another ratio.
    """
    groups = _june_groups(crsp_monthly, characteristics)
    formed = pl.col("month").dt.year() - (pl.col("month").dt.month() <= JUNE).cast(pl.Int32)
    held = stock_returns.select("month", "permno", "ret", weight="me_start").drop_nulls().collect()
    sorted_ = held.with_columns(year=formed).join(groups, on=["year", "permno"])
    portfolios = _weighted(sorted_, ["size", "value"])
    counted = portfolios.group_by("month").len().filter(pl.col("len") == 6)
    complete = portfolios.join(counted, on="month", how="semi", maintain_order="left")
    wide = complete.group_by("month", maintain_order=True).agg(
        _mean(size="small").sub(_mean(size="big")).alias(SMB), _mean(value="high").sub(_mean(value="low")).alias(HML)
    )
    return wide.unpivot(index="month", variable_name="name", value_name="ret").sort("name", "month")


def _mean(**group: str) -> pl.Expr:
    """Mean return of the portfolios of a group, summed in their order by size."""
    ((column, label),) = group.items()
    return pl.col("ret").filter(pl.col(column) == label).sort().mean()


def _june_groups(crsp_monthly: pl.LazyFrame, characteristics: pl.LazyFrame) -> pl.DataFrame:
    """Size and value group of every stock sorted in a June: year, permno, size, value."""
    june = pl.col("month").dt.month() == JUNE
    ratios = characteristics.filter(june).select("month", "permno", "beme").filter(pl.col("beme") > 0)
    sized = crsp_monthly.filter(june).select("month", "permno", "me", "exchange").drop_nulls("me")
    stocks = ratios.join(sized, on=["month", "permno"]).sort("month", "permno").collect()
    nyse = stocks.filter(pl.col("exchange") == NYSE)
    breaks = nyse.group_by("month").agg(
        median=pl.col("me").median(),
        low=pl.col("beme").quantile(0.3, interpolation="linear"),
        high=pl.col("beme").quantile(0.7, interpolation="linear"),
    )
    third = (
        pl.when(pl.col("beme") <= pl.col("low"))
        .then(pl.lit("low"))
        .when(pl.col("beme") <= pl.col("high"))
        .then(pl.lit("middle"))
        .otherwise(pl.lit("high"))
    )
    half = pl.when(pl.col("me") <= pl.col("median")).then(pl.lit("small")).otherwise(pl.lit("big"))
    return stocks.join(breaks, on="month").select(
        pl.col("month").dt.year().alias("year"), "permno", size=half, value=third
    )


def published(french: pl.DataFrame | None, index: pl.DataFrame | None) -> pl.DataFrame:
    """Return what the panel's series are held against: month, name, published.

    Parameters
    ----------
    french : pl.DataFrame or None
        ``french_factors``: month, mkt, smb, hml; decimals.
    index : pl.DataFrame or None
        ``crsp.msi``: month, vwretd.
    """
    columns: list[tuple[str, pl.DataFrame, str]] = []
    if index is not None:
        columns.append((MARKET, index, "vwretd"))
    if french is not None:
        columns += [(UNIVERSE, french, "mkt"), (SMB, french, "smb"), (HML, french, "hml")]
    schema = {"month": pl.Date, "name": pl.String, "published": pl.Float64}
    parts = [
        frame.select("month", pl.lit(name).alias("name"), published=pl.col(column)) for name, frame, column in columns
    ]
    return pl.concat([pl.DataFrame(schema=schema), *parts]).drop_nulls()


def compare(own: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Describe how far series are from what is published, over the months that both have.

    Parameters
    ----------
    own : pl.DataFrame
        month, name, ret.
    others : pl.DataFrame
        month, name, published.

    Returns
    -------
    pl.DataFrame
        name, first, last (``YYYY-MM``), months, mean, published_mean (decimals a month), correlation, difference (mean
        of the absolute ones), largest; by name as first seen in ``own``. Fewer than two common months are left out.
    """
    both = own.join(others, on=["month", "name"], maintain_order="left").drop_nulls()
    apart = (pl.col("ret") - pl.col("published")).abs()
    return (
        both.group_by("name", maintain_order=True)
        .agg(
            first=pl.col("month").min().dt.strftime("%Y-%m"),
            last=pl.col("month").max().dt.strftime("%Y-%m"),
            months=pl.len().cast(pl.Int64),
            mean=pl.col("ret").mean(),
            published_mean=pl.col("published").mean(),
            correlation=pl.corr("ret", "published"),
            difference=apart.mean(),
            largest=apart.max(),
        )
        .filter(pl.col("months") > 1)
    )


def true_returns(stock_returns: pl.LazyFrame, truth: pl.LazyFrame, delisting: str) -> dict[str, float | int | None]:
    """Hold the returns of the universe against the true ones.

    Parameters
    ----------
    stock_returns : pl.LazyFrame
        month, permno, ret.
    truth : pl.LazyFrame
        ``stock_returns`` of the truth: month, permno, universe_start, ret (failures without a delisting return filled
        as under ``shumway30``) and ret_osap.
    delisting : str
        Delisting profile of the panel, one of :data:`TRUE_RETURNS`.

    Returns
    -------
    dict
        ``true``: stock-months that the universe has between the panel's first and last month; ``right``: those whose
        return is the true one within :data:`RIGHT`; ``absent``: those without a row; ``extra``: rows that the truth
        does not have; ``largest``: the largest absolute difference, None without a pair.
    """
    own = stock_returns.select("month", "permno", "ret").collect()
    first, last = own["month"].min(), own["month"].max()
    right = (
        truth.filter(pl.col("universe_start") & pl.col("month").is_between(first, last))
        .select("month", "permno", true=TRUE_RETURNS[delisting])
        .drop_nulls()
        .collect()
    )
    pairs = own.join(right, on=["month", "permno"])
    apart = (pairs["ret"] - pairs["true"]).abs()
    return {
        "true": right.height,
        "right": int((apart <= RIGHT * (1 + pairs["true"].abs())).sum()),
        "absent": right.height - pairs.height,
        "extra": own.height - pairs.height,
        "largest": apart.max(),  # type: ignore[dict-item]
    }


def traps(frames: Mapping[str, pl.LazyFrame], planted: pl.LazyFrame, universe: pl.LazyFrame) -> pl.DataFrame:
    """Hold cells of the panel that were made difficult on purpose against their right values.

    Parameters
    ----------
    frames : mapping of str to pl.LazyFrame
        Column -> a frame with month, permno and that column, in which the right value should stand.
    planted : pl.LazyFrame
        trap, permno, month, column, value (null where there should be none).
    universe : pl.LazyFrame
        month, permno: the cells that the frame of ``ret`` is about, stocks held since the month before.

    Returns
    -------
    pl.DataFrame
        trap, column, planted, looked_at (in the months of the frame, and for ``ret`` in the universe), right (within
        :data:`RIGHT`, or absent where there should be no value); by trap as planted.
    """
    cells = planted.collect()
    checked = []
    for (trap, column), part in cells.group_by("trap", "column", maintain_order=True):
        if column not in frames:
            continue
        own = frames[str(column)].select("month", "permno", own=column).collect()
        months: tuple[date, date] = own["month"].min(), own["month"].max()  # type: ignore[assignment]
        seen = part.filter(pl.col("month").is_between(*months))
        if column == "ret":
            seen = seen.join(universe.collect(), on=["month", "permno"], how="semi")
        pairs = seen.join(own, on=["month", "permno"], how="left")
        close = (pairs["own"] - pairs["value"]).abs() <= RIGHT * (1 + pairs["value"].abs())
        right = close.fill_null(value=False) | (pairs["own"].is_null() & pairs["value"].is_null())
        checked.append((trap, column, part.height, seen.height, int(right.sum())))
    schema = {"trap": pl.String, "column": pl.String, **dict.fromkeys(("planted", "looked_at", "right"), pl.Int64)}
    return pl.DataFrame(checked, schema=schema, orient="row")
