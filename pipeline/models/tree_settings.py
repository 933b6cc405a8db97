"""What boosted trees are told, and the columns of what their searches give; nothing here needs the trees' library."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

MODEL, N_FACTORS = "xgboost", 0
"""How the forecasts of trees are called beside those of factor models: trees have no factors."""

SEARCH_SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "feature": pl.String(),
    "rank": pl.Int64(),
    "gain": pl.Float64(),
    "splits": pl.Int64(),
    "depth": pl.Int64(),
    "learning_rate": pl.Float64(),
    "rounds": pl.Int64(),
    "validation_r2": pl.Float64(),
    "training_from": pl.Date(),
    "validation_from": pl.Date(),
    "n_training": pl.Int64(),
    "n_validation": pl.Int64(),
}


@dataclass(frozen=True, kw_only=True)
class BoostedTreesSettings:
    """What is searched on the validation months, and what is fixed.

    Attributes
    ----------
    depths : tuple of int
        Depths of the trees to try.
    learning_rates : tuple of float
        Shrinkages to try.
    max_rounds, patience : int
        Most trees, and how many may follow without a better validation error.
    row_share, feature_share : float
        Drawn for each tree.
    penalty : float
        On squared leaf values.
    min_leaf_rows : float
        Fewest rows of a leaf.
    n_bins : int
        Of the histogram of each feature.
    seed : int
        Of the draws.
    n_threads : int
        Of the library. One, because sums over threads are not repeatable to the last digit.
    """

    depths: tuple[int, ...] = (1, 2, 4)
    learning_rates: tuple[float, ...] = (0.01, 0.1)
    max_rounds: int = 500
    patience: int = 30
    row_share: float = 0.5
    feature_share: float = 0.5
    penalty: float = 1.0
    min_leaf_rows: float = 20.0
    n_bins: int = 64
    seed: int = 0
    n_threads: int = 1

    def __post_init__(self) -> None:
        """Refuse an empty search and numbers that mean nothing."""
        if not self.depths or not self.learning_rates or min(self.depths) < 1 or min(self.learning_rates) <= 0.0:
            raise ValueError("depths must be at least 1 and learning_rates positive, with at least one of each")
        if min(self.max_rounds, self.patience, self.n_threads, self.seed + 1) < 1:
            raise ValueError("max_rounds, patience and n_threads must be at least 1, seed at least 0")
        if not (0.0 < self.row_share <= 1.0 and 0.0 < self.feature_share <= 1.0):
            raise ValueError("row_share and feature_share must lie above 0 and at most at 1")
        if self.n_bins < 2 or not min(self.penalty, self.min_leaf_rows) >= 0.0:
            raise ValueError("n_bins must be at least 2, penalty and min_leaf_rows must not be negative")


@dataclass(frozen=True, kw_only=True)
class TreesSettings:
    """Settings of the trees of one market.

    Attributes
    ----------
    trees : BoostedTreesSettings
        What is searched.
    min_months : int
        Months of returns before the first search.
    search_months : int
        Months from one search to the next; 0 searches once, which is the source's split: of its months 70% come before
        the search, and the rest is the test.
    training_share : float
        Share of the months up to a search that are trained on; the later ones validate. The source's 42 of 42 + 28.
    """

    trees: BoostedTreesSettings = field(default_factory=BoostedTreesSettings)
    min_months: int = 240
    search_months: int = 12
    training_share: float = 0.6

    def __post_init__(self) -> None:
        """Refuse settings under which nothing could be estimated."""
        if not 0.0 < self.training_share < 1.0:
            raise ValueError(f"training_share is {self.training_share}; it lies between 0 and 1")
        if self.search_months < 0 or self.min_months < 24:
            raise ValueError(
                f"search_months ({self.search_months}) is not negative, min_months ({self.min_months}) is at least 24"
            )
