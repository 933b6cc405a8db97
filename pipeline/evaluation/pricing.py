"""How well loadings explain a ragged panel of returns, and which industries a portfolio lived on.

Here belong measures over the assets of each month: residuals of the projection on loadings, explained variation,
cross-sectional R-squared, contributions and shares of leverage by industry. A portfolio's own series is measured in
:mod:`pipeline.evaluation.performance`. All tables are long, one row an asset and month, with the months' own assets:
no asset needs to be there in every month.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from pipeline.evaluation.r2 import r_squared

KEY = ("month", "asset_id")


def residuals(panel: pl.DataFrame, loadings: Sequence[str] = ("loading",)) -> pl.DataFrame:
    """Project the returns of each month on the loadings of its assets.

    Parameters
    ----------
    panel : pl.DataFrame
        `month` (in which the return is earned), `asset_id`, `realised` (excess return, decimal) and the loadings, known
        before the month. Rows that lack a value do not count.
    loadings : sequence of str, optional
        One column for a stochastic discount factor, which is a single factor; more for several.

    Returns
    -------
    pl.DataFrame
        `month`, `asset_id`, `realised`, `residual` = (I - B (B'B)^-1 B') r, sorted. Loadings that are all zero explain
        nothing; linearly dependent ones explain what their span does.

    Raises
    ------
    ValueError
        If an asset occurs twice in a month, or a value is not finite.

    Notes
    -----
    Equation 4 of the source.
    """
    rows = _complete(panel, "realised", *loadings)
    blocks = []
    for _, month in rows.group_by("month", maintain_order=True):
        r, B = month["realised"].to_numpy(), month.select(loadings).to_numpy()
        coefficients, *_ = np.linalg.lstsq(B, r, rcond=None)
        blocks.append(r - B @ coefficients)
    residual = np.concatenate(blocks) if blocks else np.empty(0)
    return rows.select(*KEY, "realised", pl.Series("residual", residual))


def explained_variation(errors: pl.DataFrame) -> float | None:
    """Return the explained variation of a panel.

    Parameters
    ----------
    errors : pl.DataFrame
        `month`, `asset_id`, `realised`, `residual`, as :func:`residuals` gives them.

    Returns
    -------
    float or None
        1 - mean over months of the mean over assets of squared residuals / the same of squared returns; None where
        the returns are all zero or absent.

    Notes
    -----
    Equation 8 of the source.
    """
    rows = _complete(errors, "realised", "residual")
    squares = rows.group_by("month", maintain_order=True).agg(pl.col("residual", "realised").pow(2).mean())
    return r_squared(float(squares["residual"].sum()), float(squares["realised"].sum()))


def cross_sectional_r2(errors: pl.DataFrame) -> float | None:
    """Return the cross-sectional R-squared of a panel.

    Parameters
    ----------
    errors : pl.DataFrame
        `month`, `asset_id`, `realised`, `residual`.

    Returns
    -------
    float or None
        1 - sum over assets of T_i (mean residual of i)^2 / the same of returns, T_i the months of asset i: with
        equation 9 of the source the common factor 1 / (N T) cancels. None where the mean returns are all zero.
    """
    rows = _complete(errors, "realised", "residual")
    means = (
        rows.group_by("asset_id", maintain_order=True)
        .agg(pl.len().alias("n"), pl.col("residual", "realised").mean())
        .sort("asset_id")
    )
    weighted = means.select(pl.col("residual", "realised").pow(2) * pl.col("n"))
    return r_squared(float(weighted["residual"].sum()), float(weighted["realised"].sum()))


def industry_returns(positions: pl.DataFrame) -> pl.DataFrame:
    """Split the return of a portfolio by industry.

    Parameters
    ----------
    positions : pl.DataFrame
        `month`, `asset_id`, `industry`, `weight` (held over the month, known before it), `realised`.

    Returns
    -------
    pl.DataFrame
        `month`, `industry`, `contribution` (sum of weight times return of the industry's assets; zero in a month in
        which the portfolio holds none of them) and `cumulative` (the product of 1 + contribution up to the month,
        less 1): one row for every month of the portfolio and industry, sorted by industry and month. Over industries
        the contributions of a month add up to the portfolio's return.

    Raises
    ------
    ValueError
        If an industry is missing, an asset occurs twice in a month, or a value is not finite.
    """
    rows = _complete(_with_industry(positions), "weight", "realised")
    own = rows.group_by("month", "industry", maintain_order=True).agg(
        (pl.col("weight") * pl.col("realised")).sum().alias("contribution")
    )
    return _every_month(own, "contribution").with_columns(
        ((1.0 + pl.col("contribution")).cum_prod().over("industry") - 1.0).alias("cumulative")
    )


def signed_leverage_shares(positions: pl.DataFrame) -> pl.DataFrame:
    """Return each industry's share of the gross positions, with the sign of its net position.

    Parameters
    ----------
    positions : pl.DataFrame
        `month`, `asset_id`, `industry`, `weight`.

    Returns
    -------
    pl.DataFrame
        `month`, `industry`, `share` = sign(sum of weights) * sum of absolute weights / leverage of the month; zero
        where the portfolio holds none of the industry, null in a month in which it holds nothing at all. One row for
        every month and industry, sorted by industry and month.

    Raises
    ------
    ValueError
        If an industry is missing, an asset occurs twice in a month, or a weight is not finite.

    Notes
    -----
    The formula of section 4.2 of the source.
    """
    rows = _complete(_with_industry(positions), "weight")
    gross = pl.col("weight").abs().sum()
    own = rows.group_by("month", "industry", maintain_order=True).agg(
        (pl.col("weight").sum().sign() * gross).alias("share")
    )
    total = rows.group_by("month", maintain_order=True).agg(gross.alias("leverage"))
    share = pl.when(pl.col("leverage") > 0.0).then(pl.col("share") / pl.col("leverage")).alias("share")
    return _every_month(own, "share").join(total, on="month", maintain_order="left").select("month", "industry", share)


def leverage(positions: pl.DataFrame) -> pl.DataFrame:
    """Return `month` and `leverage`, the sum of absolute weights of `month`, `asset_id`, `weight`; sorted."""
    rows = _complete(positions, "weight")
    return rows.group_by("month", maintain_order=True).agg(pl.col("weight").abs().sum().alias("leverage"))


def _complete(panel: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return the rows with all values, sorted, after the checks that every measure needs."""
    rows = panel.with_columns(pl.col(*columns).cast(pl.Float64)).drop_nulls(columns).sort(*KEY)
    if rows.select(KEY).is_duplicated().any():
        first = rows.filter(rows.select(KEY).is_duplicated()).row(0, named=True)
        raise ValueError(f"asset {first['asset_id']} occurs twice in {first['month']:%Y-%m}; keep one row")
    for column in columns:
        faulty = rows.filter(~pl.col(column).is_finite())
        if faulty.height:
            raise ValueError(f"{column} is not finite in {faulty.height} rows, first {faulty.row(0)}; make them null")
    return rows


def _with_industry(positions: pl.DataFrame) -> pl.DataFrame:
    missing = positions["industry"].null_count()
    if missing:
        raise ValueError(f"{missing} rows have no industry; give these assets an industry of their own, say 'other'")
    return positions


def _every_month(own: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return one row for each month and industry, zero where the portfolio holds none of the industry."""
    grid = own.select(pl.col("month").unique()).join(own.select(pl.col("industry").unique()), how="cross")
    filled = grid.join(own, on=["month", "industry"], how="left").with_columns(pl.col(column).fill_null(0.0))
    return filled.sort("industry", "month").select("month", "industry", column)
