"""Forecasts beside what was realised: the one schema on which every evaluation works.

Joining belongs here; measuring does not (see the other modules of this package).
"""

from __future__ import annotations

import polars as pl


def with_realised(
    forecasts: pl.DataFrame, returns: pl.DataFrame, *, key: str = "isin", response: str = "ret_excess"
) -> pl.DataFrame:
    """Put the realised excess return of the target month beside each forecast.

    Parameters
    ----------
    forecasts : pl.DataFrame
        `month` (when made), `target_month`, `model`, `asset_id`, `forecast`.
    returns : pl.DataFrame
        `month` (when earned), `key` and `response`, one row an asset and month.
    key, response : str, optional
        Asset identifier and return column of `returns`.

    Returns
    -------
    pl.DataFrame
        `model`, `month` (the target), `asset_id`, `forecast`, `realised`, `made` (month of the forecast), one row a
        forecast, sorted by model, month and asset. `realised` is null where the asset has no return in the target
        month.

    Raises
    ------
    ValueError
        If an asset has two returns in a month, or a model two forecasts of one asset and month.
    """
    earned = returns.select(
        pl.col("month").alias("target_month"),
        pl.col(key).cast(pl.String).alias("asset_id"),
        pl.col(response).alias("realised"),
    )
    for name, frame, columns in (
        ("returns", earned, ["target_month", "asset_id"]),
        ("forecasts", forecasts, ["model", "target_month", "asset_id"]),
    ):
        repeated = int(frame.select(columns).is_duplicated().sum())
        if repeated:
            raise ValueError(f"the {name} have {repeated} rows that share {columns}; keep one each")
    return (
        forecasts.join(earned, on=["target_month", "asset_id"], how="left")
        .select(
            "model",
            pl.col("target_month").alias("month"),
            "asset_id",
            "forecast",
            "realised",
            pl.col("month").alias("made"),
        )
        .sort("model", "month", "asset_id")
    )
