"""Columns of what a search and a month give; nothing here needs tensors."""

from __future__ import annotations

import polars as pl

SEARCH_SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "objective": pl.String(),
    "environment": pl.String(),
    "network": pl.String(),
    "configuration": pl.Int64(),
    "architecture": pl.String(),
    "batch_size": pl.Int64(),
    "rate": pl.Float64(),
    "l1": pl.Float64(),
    "l2": pl.Float64(),
    "score": pl.Float64(),
    "best_epoch": pl.Int64(),
    "epochs": pl.Int64(),
    "ending": pl.String(),
    "winner": pl.Boolean(),
    "training_from": pl.Date(),
    "validation_from": pl.Date(),
    "equal_share": pl.Float64(),
}

WEIGHTS_SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "target_month": pl.Date(),
    "objective": pl.String(),
    "environment": pl.String(),
    "asset_id": pl.String(),
    "weight": pl.Float64(),
    "forecast": pl.Float64(),
    "kappa": pl.Float64(),
}
