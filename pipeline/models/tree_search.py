"""Boosted trees as months arrive: a search on the months so far, and what the newest trees expect of the next month.

Here belong the step from a panel of months to rows of features and back. The trees themselves stand in
:mod:`pipeline.models.boosted_trees`; in which months a search is due is the caller's.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from pipeline.evaluation.forecasts import SCHEMA
from pipeline.models.boosted_trees import BoostedTrees, PanelRows, fit_boosted_trees
from pipeline.models.tree_settings import MODEL, N_FACTORS, SEARCH_SCHEMA, TreesSettings
from pipeline.sdf.assembly import with_columns, with_seen_columns
from pipeline.sdf.panel import SdfPanel, divided, refuse_later


def searched(panel: SdfPanel, month: date, settings: TreesSettings) -> tuple[pl.DataFrame, BoostedTrees]:
    """Search for trees on the months so far.

    Parameters
    ----------
    panel : SdfPanel
        All months up to ``month``, returns known. The first ``training_share`` of them train, the others validate.
    month : date
        The month of the search.
    settings : TreesSettings
        What is searched.

    Returns
    -------
    tuple of pl.DataFrame and BoostedTrees
        One row a feature with the columns of :data:`pipeline.models.tree_settings.SEARCH_SCHEMA`, the most important
        first, and the winner. A feature is a characteristic of the asset or a series that all share; one of which no
        value is there is none. The winner is not estimated again with the validation months.

    Raises
    ------
    ValueError
        If the panel goes past ``month`` or is too short to be divided.

    Notes
    -----
    Appendix A.7 of the source: one regression on all features together, macro series included.
    """
    refuse_later(panel, month)
    own = with_seen_columns(panel)
    parts = divided(own, settings.training_share)
    training, validation = (
        PanelRows(features=_features(part), returns=part.known_returns(), names=(*part.names, *part.macro_names))
        for part in parts
    )
    trees = fit_boosted_trees(training, validation, settings.trees)
    about = {
        "month": month,
        "depth": trees.depth,
        "learning_rate": trees.learning_rate,
        "rounds": trees.rounds,
        "validation_r2": trees.validation_r2,
        "training_from": parts[0].months[0],
        "validation_from": parts[1].months[0],
        "n_training": len(training.returns),
        "n_validation": len(validation.returns),
    }
    rows = trees.importance().with_row_index("rank", offset=1)
    told = rows.with_columns(pl.lit(value, SEARCH_SCHEMA[name]).alias(name) for name, value in about.items())
    return told.select(pl.col(name).cast(dtype) for name, dtype in SEARCH_SCHEMA.items()), trees


def _features(panel: SdfPanel) -> np.ndarray:
    """(n, P + Q) float32: an asset's characteristics, then the series of its month."""
    return np.column_stack([panel.features, panel.macro[panel.date_of_row]])


def forecasts(trees: BoostedTrees, assets: SdfPanel, month: date) -> pl.DataFrame:
    """Return what trees expect of the month after ``month``.

    Parameters
    ----------
    trees : BoostedTrees
        Of a search in ``month`` or before.
    assets : SdfPanel
        The assets of the one target month after ``month``; their returns are not looked at. None where it is empty.
    month : date
        The month that has ended.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`pipeline.evaluation.forecasts.SCHEMA`, one row an asset. A feature that is not there this
        month is missing, and trees send it where they sent missing values in training.
    """
    if not assets.months:
        return pl.DataFrame(schema=SCHEMA)
    there = set(assets.names)
    shared = [name for name in trees.names if name not in there]
    own = with_columns(assets, [name for name in trees.names if name in there], shared)
    return pl.DataFrame({"asset_id": own.assets.tolist(), "forecast": trees.forecast(_features(own))}).select(
        pl.lit(month).alias("month"),
        pl.lit(month).dt.offset_by("1mo").alias("target_month"),
        pl.lit(MODEL).alias("model"),
        pl.lit(N_FACTORS, pl.Int64).alias("n_factors"),
        "asset_id",
        "forecast",
    )
