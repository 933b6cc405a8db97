"""What a stochastic discount factor portfolio earned in each month, and how much its betas explain.

Here belongs one row a month, objective and environment, from weights known before the month. Measures over many months
stand in :mod:`pipeline.evaluation.performance` and :mod:`pipeline.evaluation.pricing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipeline.evaluation.pricing import residuals

SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "objective": pl.String(),
    "environment": pl.String(),
    "n": pl.Int64(),
    "n_without_return": pl.Int64(),
    "factor": pl.Float64(),
    "leverage": pl.Float64(),
    "net": pl.Float64(),
    "squared_residual": pl.Float64(),
    "squared_return": pl.Float64(),
}

_MODEL = ("objective", "environment")


def sdf_months(weights: pl.DataFrame, returns: pl.DataFrame, months: Sequence[date], *, key: str) -> pl.DataFrame:
    """Return what each portfolio earned.

    Parameters
    ----------
    weights : pl.DataFrame
        ``target_month``, ``objective``, ``environment``, ``asset_id``, ``weight``, ``forecast`` (the expected excess
        return; its size within a month does not matter to a projection).
    returns : pl.DataFrame
        ``month``, ``key``, ``ret_excess`` (decimals).
    months : sequence of date
        Months in which the returns are earned.
    key : str
        Identifier of an asset in ``returns``.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, sorted by month and model: ``factor`` = w'r, where an asset without a return
        earned nothing (``n_without_return`` counts them), ``leverage`` the sum of absolute weights, ``net`` that of
        weights; means over the assets with a return of squared residuals (equation 4 of the source) and of squared
        returns.
    """
    wanted = sorted(set(months))
    earned = returns.select(
        "month", pl.col(key).cast(pl.String).alias("asset_id"), pl.col("ret_excess").alias("realised")
    )
    held = (
        weights.filter(pl.col("target_month").is_in(wanted))
        .select(pl.col("target_month").alias("month"), *_MODEL, "asset_id", "weight", "forecast")
        .join(earned, on=["month", "asset_id"], how="left")
        .sort("month", *_MODEL, "asset_id")
    )
    rows = [pl.DataFrame(schema=SCHEMA)]
    for (objective, environment), own in held.group_by(*_MODEL, maintain_order=True):
        errors = residuals(own.rename({"forecast": "loading"}))
        squares = errors.group_by("month", maintain_order=True).agg(
            squared_residual=pl.col("residual").pow(2).mean(), squared_return=pl.col("realised").pow(2).mean()
        )
        month = own.group_by("month", maintain_order=True).agg(
            n=pl.len().cast(pl.Int64),
            n_without_return=pl.col("realised").null_count().cast(pl.Int64),
            factor=(pl.col("weight") * pl.col("realised")).sum(),
            leverage=pl.col("weight").abs().sum(),
            net=pl.col("weight").sum(),
        )
        joined = month.join(squares, on="month", how="left", maintain_order="left")
        labelled = joined.with_columns(objective=pl.lit(objective), environment=pl.lit(environment))
        rows.append(labelled.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()))
    return pl.concat(rows).sort("month", *_MODEL)
