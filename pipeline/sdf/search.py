"""The search for the configuration with the best validation score, in pieces that survive a killed process.

The functions here are given training and validation months and nothing else: the winner stands before anything of a
test month is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from pipeline.sdf.batches import TensorPanel
from pipeline.sdf.configurations import Configuration, SearchSettings
from pipeline.sdf.ensemble import before_test
from pipeline.sdf.panel import SdfPanel, Standardisation
from pipeline.sdf.training import NO_SCORE, NOT_FINITE, Progress, quiet, train

Stored = tuple[dict[str, np.ndarray], dict[str, str]]

PieceProgress = Callable[[str, int, int], Progress]
"""Told a piece's name, its number from 1 and how many there are; gives what is told each epoch."""


def quiet_pieces(name: str, number: int, n_pieces: int) -> Progress:
    """Tell nobody."""
    return quiet


class Pieces(Protocol):
    """Where finished pieces of a search are kept."""

    def get(self, name: str) -> Stored | None:
        """Return a piece, None if it is not there."""

    def put(self, name: str, arrays: dict[str, np.ndarray], text: dict[str, str]) -> None:
        """Keep a piece, all of it or nothing."""


class PiecesInMemory:
    """Pieces for one process: what a small search needs."""

    def __init__(self) -> None:
        self.kept: dict[str, Stored] = {}

    def get(self, name: str) -> Stored | None:
        """Return a piece, None if it is not there."""
        return self.kept.get(name)

    def put(self, name: str, arrays: dict[str, np.ndarray], text: dict[str, str]) -> None:
        """Keep a piece."""
        self.kept[name] = arrays, text


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The winner and all the others.

    Attributes
    ----------
    winner : Configuration
        With the best validation score; of several, the first in the grid's order.
    score : float
        Its validation score.
    configurations : tuple of Configuration
        The grid.
    scores : np.ndarray
        (configurations,) validation scores, NaN where there is none.
    epochs : np.ndarray
        (configurations,) best epochs, 0 where there is none.
    run : np.ndarray
        (configurations,) epochs that were run.
    endings : tuple of str
        How each training ended.
    equal_shares : np.ndarray
        (configurations,) share of the validation months in which weights are equal, the mode collapse; NaN where there
        is no score, and where it is not measured: it is the weights of the generative adversarial estimation's alone.
    """

    winner: Configuration
    score: float
    configurations: tuple[Configuration, ...]
    scores: np.ndarray
    epochs: np.ndarray
    run: np.ndarray
    endings: tuple[str, ...]
    equal_shares: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """(configurations,) whether each was a candidate."""
        return np.array([ending not in (NOT_FINITE, NO_SCORE) for ending in self.endings])


def search(
    training: SdfPanel,
    validation: SdfPanel,
    settings: SearchSettings,
    pieces: Pieces,
    progress: PieceProgress = quiet_pieces,
) -> SearchResult:
    """Train every configuration of the grid and choose by validation score.

    A piece that is there, of the same panels and settings, is taken; another is computed and put there.

    Parameters
    ----------
    training, validation : SdfPanel
        Unscaled; scaling is fitted on the first alone.
    settings : SearchSettings
        Grid, training and seed.
    pieces : Pieces
        What earlier runs have finished.
    progress : callable
        Told the name, number and count of every piece that is computed.

    Raises
    ------
    ArithmeticError
        If no configuration has a score.
    ValueError
        If months overlap or a return is missing.
    """
    before_test(training, validation)
    origin, scaling = fingerprint(training, validation, settings), Standardisation.fit(training)
    device, grid = settings.training.device, settings.grid.pieces
    seen, held_back = (TensorPanel(scaling.apply(each), device) for each in (training, validation))
    found: list[Stored] = []
    for number, (name, configurations) in enumerate(grid.items(), start=1):
        identity = {"origin": origin, "configurations": json.dumps([asdict(each) for each in configurations])}
        stored = fresh(pieces, name, identity)
        if stored is None:
            told = progress(name, number, len(grid))
            trained = train(seen, held_back, configurations, settings.seed, settings.training, told)
            arrays = {
                "scores": np.array([each.score for each in trained]),
                "epochs": np.array([each.epoch for each in trained], dtype=np.int64),
                "run": np.array([each.epochs for each in trained], dtype=np.int64),
            }
            stored = arrays, {**identity, "endings": json.dumps([each.ending for each in trained])}
            pieces.put(name, *stored)
        found.append(stored)
    return _chosen(tuple(each for piece in grid.values() for each in piece), found)


def fingerprint(training: SdfPanel, validation: SdfPanel, settings: SearchSettings) -> str:
    """Return a digest of what every piece depends on: both panels, how networks are trained, and the seed.

    The device is not part of it.
    """
    digest = hashlib.blake2b(digest_size=16)
    trained = asdict(settings.training)
    del trained["device"]
    digest.update(json.dumps([trained, settings.seed]).encode())
    for panel in (training, validation):
        months = [month.isoformat() for month in panel.months]
        digest.update(json.dumps([months, panel.names, panel.macro_names]).encode())
        for array in (panel.bounds, panel.asset_codes, panel.features, panel.macro, panel.returns):
            digest.update(np.ascontiguousarray(array).data)
        for month, row in sorted(panel.idle.items()):
            digest.update(month.isoformat().encode() + np.ascontiguousarray(row).data)
    return digest.hexdigest()


def fresh(pieces: Pieces, name: str, identity: Mapping[str, str]) -> Stored | None:
    """Return a piece if it is there and its text says what ``identity`` does, that is, if it is of the same search."""
    stored = pieces.get(name)
    return stored if stored is not None and identity.items() <= stored[1].items() else None


def winner(scores: np.ndarray, endings: Sequence[str]) -> int:
    """Return the place of the best score among the usable trainings; of several the first.

    Raises
    ------
    ArithmeticError
        If there is none.
    """
    candidates = np.where([ending in (NOT_FINITE, NO_SCORE) for ending in endings], -np.inf, scores)
    best = int(np.argmax(candidates))
    if not np.isfinite(candidates[best]):
        raise ArithmeticError(f"none of {len(scores)} configurations has a score; they ended as {sorted(set(endings))}")
    return best


def _chosen(configurations: tuple[Configuration, ...], found: Sequence[Stored]) -> SearchResult:
    """Join the pieces and take the best of the candidates."""
    scores, epochs, run = (np.concatenate([each[0][name] for each in found]) for name in ("scores", "epochs", "run"))
    endings = tuple(ending for _, text in found for ending in json.loads(text["endings"]))
    best = winner(scores, endings)
    return SearchResult(
        winner=configurations[best],
        score=float(scores[best]),
        configurations=configurations,
        scores=scores,
        epochs=epochs,
        run=run,
        endings=endings,
        equal_shares=np.full(len(scores), np.nan),
    )
