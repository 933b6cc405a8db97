"""Forecasts beside what was realised: the one schema on which every evaluation works.

Bringing forecasts into that schema and joining belong here; measuring does not (see the other modules of this package).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "target_month": pl.Date(),
    "model": pl.String(),
    "n_factors": pl.Int64(),
    "asset_id": pl.String(),
    "forecast": pl.Float64(),
}

NETWORKS = "sdf_"
"""Beginning of the names of the networks' forecasts."""


FACTOR_MODELS, REGRESSIONS, LEARNED = "factor_models", "regressions", ("networks", "trees")
"""What forecasts may come from; the learned ones can be left out of a comparison."""


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """Whose forecasts are compared.

    Attributes
    ----------
    leave_out : tuple of str
        Of :data:`LEARNED`: what takes long to train, so that factor models can be compared without it.
    """

    leave_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse names of nothing."""
        unknown = sorted(set(self.leave_out) - set(LEARNED))
        if unknown:
            raise ValueError(f"leave_out names {unknown}; what can be left out is {list(LEARNED)}")


def network_forecasts(weights: pl.DataFrame) -> pl.DataFrame:
    """Return what the beta networks expect, beside other models' forecasts.

    Parameters
    ----------
    weights : pl.DataFrame
        The columns of :data:`pipeline.sdf.tables.WEIGHTS_SCHEMA`; `forecast` is a decimal excess return.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA` in the order of the rows: `model` is ``sdf_<objective>_<environment>``,
        `n_factors` 1, because the stochastic discount factor is one factor.
    """
    return weights.select(
        "month",
        "target_month",
        pl.format(NETWORKS + "{}_{}", "objective", "environment").alias("model"),
        pl.lit(1, pl.Int64).alias("n_factors"),
        "asset_id",
        "forecast",
    )


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
