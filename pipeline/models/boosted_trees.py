"""Boosted regression trees on a ragged panel: the benchmark that shows how little a month's returns can be forecast.

Here belongs the XGBoost regressor, its choice on validation months and the importance of its features. How a panel is
put together and split into months does not (:mod:`pipeline.models.tree_search`): the caller passes the rows, which were
known before the month in which they earn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
import xgboost

from pipeline.evaluation.r2 import r_squared_from_panel
from pipeline.models.tree_settings import BoostedTreesSettings


@dataclass(frozen=True, kw_only=True)
class PanelRows:
    """Rows of a ragged panel, all months one below the other.

    Attributes
    ----------
    features : np.ndarray
        (n, P) known before the month of the return, NaN where missing.
    returns : np.ndarray
        (n,) excess returns, decimals, finite.
    names : tuple of str
        The P features, each once.
    """

    features: np.ndarray
    returns: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check shapes and returns."""
        if self.features.shape != (len(self.returns), len(self.names)):
            raise ValueError(
                f"features have shape {self.features.shape}, expected {len(self.returns), len(self.names)} for "
                f"{len(self.returns)} returns and {len(self.names)} names"
            )
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise ValueError(f"the features {repeated} stand twice; a feature is known by its name")
        if not len(self.returns) or not np.isfinite(self.returns).all():
            raise ValueError("the returns must be finite and at least one")


@dataclass(frozen=True, kw_only=True)
class BoostedTrees:
    """The chosen model.

    Attributes
    ----------
    names : tuple of str
        The P features.
    depth, learning_rate, rounds : int, float, int
        As chosen: rounds are trees, 0 where no tree improves on the forecast zero.
    validation_r2 : float or None
        Of the chosen model, against zero.
    candidates : pl.DataFrame
        `depth`, `learning_rate`, `rounds`, `validation_r2` of every one tried.
    booster : bytes
        The trees, as the library's own JSON.
    """

    names: tuple[str, ...]
    depth: int
    learning_rate: float
    rounds: int
    validation_r2: float | None
    candidates: pl.DataFrame
    booster: bytes

    def forecast(self, features: np.ndarray) -> np.ndarray:
        """Return the (n,) expected excess returns of (n, P) features, NaN where missing."""
        if features.ndim != 2 or features.shape[1] != len(self.names):
            raise ValueError(f"the trees take {len(self.names)} features, the array has shape {features.shape}")
        if not self.rounds:
            return np.zeros(len(features))
        values = self._booster().predict(xgboost.DMatrix(features, nthread=1), iteration_range=(0, self.rounds))
        return values.astype(np.float64)

    def out_of_sample_r2(self, rows: PanelRows) -> float | None:
        """Return 1 - squared errors / squared returns over all rows; None where every return is zero.

        Against zero, not the mean, as Gu, Kelly and Xiu (2020) measure single assets; the source does not say.
        """
        return r_squared_from_panel(rows.returns, self.forecast(rows.features))

    def importance(self) -> pl.DataFrame:
        """Return how much each feature lowered the training error.

        Returns
        -------
        pl.DataFrame
            `feature`, `gain` (its splits' share of the gain of all), `splits` (their number), the most important
            first, features of equal gain by name; unused ones have zero.
        """
        gain, splits = (self._scores(kind) for kind in ("total_gain", "weight"))
        total = sum(gain.values())
        rows = [
            {
                "feature": name,
                "gain": gain.get(f"f{k}", 0.0) / total if total else 0.0,
                "splits": int(splits.get(f"f{k}", 0.0)),
            }
            for k, name in enumerate(self.names)
        ]
        schema = {"feature": pl.String(), "gain": pl.Float64(), "splits": pl.Int64()}
        return pl.DataFrame(rows, schema=schema).sort("gain", "feature", descending=[True, False])

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the result as named arrays and named strings, without loss of precision."""
        arrays = {"booster": np.frombuffer(self.booster, dtype=np.uint8)}
        text = {
            "names": json.dumps(self.names),
            "chosen": json.dumps([self.depth, self.learning_rate, self.rounds, self.validation_r2]),
            "candidates": json.dumps(self.candidates.rows()),
        }
        return arrays, text

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> BoostedTrees:
        """Rebuild what :meth:`to_arrays` gave."""
        depth, learning_rate, rounds, validation_r2 = json.loads(text["chosen"])
        return cls(
            names=tuple(json.loads(text["names"])),
            depth=depth,
            learning_rate=learning_rate,
            rounds=rounds,
            validation_r2=validation_r2,
            candidates=pl.DataFrame(json.loads(text["candidates"]), schema=_CANDIDATES, orient="row"),
            booster=arrays["booster"].tobytes(),
        )

    def _scores(self, kind: str) -> dict[str, float]:
        """Return the library's importance of the features that the chosen trees use, by ``f0``, ``f1``, .."""
        if not self.rounds:
            return {}
        scores = self._booster()[: self.rounds].get_score(importance_type=kind)
        return {name: float(np.sum(score)) for name, score in scores.items()}

    def _booster(self) -> xgboost.Booster:
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(self.booster))
        return booster


_CANDIDATES = {
    "depth": pl.Int64(),
    "learning_rate": pl.Float64(),
    "rounds": pl.Int64(),
    "validation_r2": pl.Float64(),
}


def fit_boosted_trees(
    training: PanelRows, validation: PanelRows, settings: BoostedTreesSettings | None = None
) -> BoostedTrees:
    """Fit trees on the training rows and choose among them on the validation rows.

    Parameters
    ----------
    training, validation : PanelRows
        Of earlier and later months, with the same features. Test months are not among them.
    settings : BoostedTreesSettings, optional
        What is tried.

    Returns
    -------
    BoostedTrees
        The candidate with the highest validation R-squared against zero, the first of equals in the order of depths,
        then of learning rates. Trees start from the forecast zero; where none beats it there are no rounds.

    Raises
    ------
    ValueError
        If the features of training and validation differ.
    """
    settings = settings or BoostedTreesSettings()
    if training.names != validation.names:
        raise ValueError("training and validation rows have different features; give both the same, in one order")
    matrices = (_matrix(training, settings), _matrix(validation, settings))
    fits = [
        _boosted(matrices, depth, learning_rate, settings)
        for depth, learning_rate in product(settings.depths, settings.learning_rates)
    ]
    tried = [
        (depth, rate, rounds, _r2(booster, rounds, matrices[1], validation))
        for (depth, rate), (booster, rounds) in zip(
            product(settings.depths, settings.learning_rates), fits, strict=True
        )
    ]
    scores = [-np.inf if r2 is None else r2 for *_, r2 in tried]
    best = int(np.argmax(scores))
    depth, learning_rate, rounds, validation_r2 = tried[best]
    return BoostedTrees(
        names=training.names,
        depth=depth,
        learning_rate=learning_rate,
        rounds=rounds,
        validation_r2=validation_r2,
        candidates=pl.DataFrame(tried, schema=_CANDIDATES, orient="row"),
        booster=bytes(fits[best][0].save_raw("json")),
    )


def _matrix(rows: PanelRows, settings: BoostedTreesSettings) -> xgboost.DMatrix:
    return xgboost.DMatrix(rows.features, label=rows.returns, nthread=settings.n_threads)


def _boosted(
    matrices: Sequence[xgboost.DMatrix], depth: int, learning_rate: float, settings: BoostedTreesSettings
) -> tuple[xgboost.Booster, int]:
    """Return the booster and the number of its trees that forecast the validation rows best."""
    training, validation = matrices
    errors: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        {
            "objective": "reg:squarederror",
            "base_score": 0.0,
            "tree_method": "hist",
            "max_depth": depth,
            "eta": learning_rate,
            "subsample": settings.row_share,
            "colsample_bytree": settings.feature_share,
            "lambda": settings.penalty,
            "min_child_weight": settings.min_leaf_rows,
            "max_bin": settings.n_bins,
            "seed": settings.seed,
            "nthread": settings.n_threads,
        },
        training,
        num_boost_round=settings.max_rounds,
        evals=[(validation, "validation")],
        early_stopping_rounds=settings.patience,
        evals_result=errors,
        verbose_eval=False,
    )
    zero = float(np.sqrt(np.mean(validation.get_label().astype(np.float64) ** 2)))
    course = errors["validation"]["rmse"]
    best = int(np.argmin(course))
    return booster, best + 1 if course[best] < zero else 0


def _r2(booster: xgboost.Booster, rounds: int, matrix: xgboost.DMatrix, rows: PanelRows) -> float | None:
    fitted = booster.predict(matrix, iteration_range=(0, rounds)) if rounds else np.zeros(len(rows.returns))
    return r_squared_from_panel(rows.returns, np.asarray(fitted, dtype=np.float64))
