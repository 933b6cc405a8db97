"""Networks of one configuration and several seeds, whose outputs are averaged.

Here belong the training of the members, their outputs month by month and their form as arrays. What an output means,
a portfolio weight or a forecast, stands in :mod:`pipeline.sdf.model` and :mod:`pipeline.sdf.beta`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.models.storage import below, load_arrays, save_arrays
from pipeline.sdf.batches import Batch, TensorPanel
from pipeline.sdf.configurations import Configuration, TrainingSettings
from pipeline.sdf.networks import Design, outputs, stacked
from pipeline.sdf.panel import SdfPanel, Standardisation
from pipeline.sdf.training import Progress, Trained, design_for, quiet, train, train_on


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Networks that differ by seed alone.

    Attributes
    ----------
    configuration : Configuration
        Of all members.
    settings : TrainingSettings
        Under which they were trained.
    standardisation : Standardisation
        Of the training months.
    first, last : date
        Months whose returns the parameters have seen, through training or early stopping.
    seeds : tuple of int
        One a member.
    members : tuple of dict
        Parameters and running statistics of each.
    scores : np.ndarray
        (members,) on the validation months, as :class:`~pipeline.sdf.training.Trained` has them.
    epochs : np.ndarray
        (members,) best epochs.
    endings : tuple of str
        How each member's training ended.
    """

    configuration: Configuration
    settings: TrainingSettings
    standardisation: Standardisation
    first: date
    last: date
    seeds: tuple[int, ...]
    members: tuple[dict[str, np.ndarray], ...]
    scores: np.ndarray
    epochs: np.ndarray
    endings: tuple[str, ...]

    @property
    def design(self) -> Design:
        """Sizes of the members."""
        sizes = len(self.standardisation.names), len(self.standardisation.macro_names)
        return design_for(self.configuration, *sizes, self.settings)

    def mean_output(
        self, panel: SdfPanel, rule: Callable[[torch.Tensor, Batch], torch.Tensor] | None = None
    ) -> np.ndarray:
        """Return the members' mean output for every row.

        Each month is computed by itself, so that a row's output is the same to the last bit whatever other months the
        panel has.

        Parameters
        ----------
        panel : SdfPanel
            Unscaled; returns are not looked at.
        rule : callable, optional
            Applied to each member's outputs before the mean.

        Returns
        -------
        np.ndarray
            (n,) float64.
        """
        tensors = TensorPanel(self.standardisation.apply(panel), self.settings.device)
        stack = stacked(self.design, self.members, self.settings.device)
        found = []
        with torch.no_grad():
            for place in range(len(panel.months)):
                batch = tensors.batch([place])
                each = outputs(stack, batch)
                found.append((each if rule is None else rule(each, batch)).double().mean(dim=0).cpu().numpy())
        return np.concatenate(found) if found else np.zeros(0)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return everything as named arrays and named strings, without loss of precision."""
        scaling = self.standardisation
        arrays = scaling.to_arrays() | {"scores": self.scores, "epochs": self.epochs}
        for place, member in enumerate(self.members):
            arrays |= {f"member_{place}.{name}": array for name, array in member.items()}
        text = {
            "configuration": asdict(self.configuration),
            "settings": asdict(self.settings),
            "months": [self.first.isoformat(), self.last.isoformat()],
            "names": [scaling.names, scaling.macro_names],
            "seeds": self.seeds,
            "endings": self.endings,
        }
        return arrays, {name: json.dumps(value) for name, value in text.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], text: dict[str, str]) -> Ensemble:
        """Return what :meth:`to_arrays` was called on."""
        values: dict[str, Any] = {name: json.loads(value) for name, value in text.items()}
        first, last = (date.fromisoformat(each) for each in values["months"])
        return cls(
            configuration=Configuration(**values["configuration"]),
            settings=TrainingSettings(**values["settings"]),
            standardisation=Standardisation.from_arrays(arrays, *values["names"]),
            first=first,
            last=last,
            seeds=tuple(values["seeds"]),
            members=tuple(below(arrays, f"member_{place}.") for place in range(len(values["seeds"]))),
            scores=arrays["scores"],
            epochs=arrays["epochs"],
            endings=tuple(values["endings"]),
        )

    def save(self, path: Path) -> None:
        """Write the ensemble to one safetensors file."""
        save_arrays(path, *self.to_arrays())

    @classmethod
    def load(cls, path: Path) -> Ensemble:
        """Read an ensemble that :meth:`save` wrote, bit for bit."""
        return cls.from_arrays(*load_arrays(path))


def train_ensemble(
    training: SdfPanel,
    validation: SdfPanel,
    configuration: Configuration,
    seeds: Sequence[int],
    settings: TrainingSettings,
    progress: Progress = quiet,
) -> Ensemble:
    """Train one configuration with several seeds, each stopped by its own validation score.

    Parameters
    ----------
    training, validation : SdfPanel
        Unscaled; scaling is fitted on the first alone.
    configuration : Configuration
        The winner of a search.
    seeds : sequence of int
        One a member.
    settings : TrainingSettings
        The rest.
    progress : callable
        Told after each epoch of each member.

    Raises
    ------
    ArithmeticError
        If a member is of no use: its loss was not finite, or its factor never varied.
    """
    before_test(training, validation)
    scaling = Standardisation.fit(training)
    seen, held_back = (TensorPanel(scaling.apply(each), settings.device) for each in (training, validation))
    found: list[Trained] = []
    for seed in seeds:
        found += train(seen, held_back, [configuration], seed, settings, progress)
        if not found[-1].usable:
            raise ArithmeticError(f"the member with seed {seed} of {configuration} ended as {found[-1].ending!r}")
    return Ensemble(
        configuration=configuration,
        settings=settings,
        standardisation=scaling,
        first=training.months[0],
        last=validation.months[-1],
        seeds=tuple(seeds),
        members=tuple(each.network for each in found),
        scores=np.array([each.score for each in found]),
        epochs=np.array([each.epoch for each in found], dtype=np.int64),
        endings=tuple(each.ending for each in found),
    )


def refit_seed(seed: int, panel: SdfPanel) -> int:
    """Return the seed of a member that is carried on over a panel: batches come in another order every month."""
    return seed * 100_000 + 12 * panel.months[-1].year + panel.months[-1].month


def refit(ensemble: Ensemble, panel: SdfPanel, epochs: int, rate: float | None = None) -> Ensemble:
    """Return the ensemble with its members carried on over a panel that has become longer.

    Scaling, configuration and seeds stay. Batches depend on the seed and the panel's last month, so that the walk
    forward does not go through its months in one order for ever.

    Parameters
    ----------
    ensemble : Ensemble
        Of a search, or of the refit a month before.
    panel : SdfPanel
        All months whose returns are known, unscaled.
    epochs : int
        Of each member.
    rate : float, optional
        Learning rate; the configuration's by default.

    Raises
    ------
    ArithmeticError
        If a loss is not finite.
    ValueError
        If a return is missing.
    """
    panel.known_returns()
    configuration = ensemble.configuration if rate is None else replace(ensemble.configuration, rate=rate)
    tensors = TensorPanel(ensemble.standardisation.apply(panel), ensemble.settings.device)
    members = [
        train_on(tensors, ensemble.design, member, configuration, refit_seed(seed, panel), epochs, ensemble.settings)
        for seed, member in zip(ensemble.seeds, ensemble.members, strict=True)
    ]
    return replace(ensemble, members=tuple(members), first=min(ensemble.first, panel.months[0]), last=panel.months[-1])


def before_test(training: SdfPanel, validation: SdfPanel) -> None:
    """Check that validation follows training and that all returns are known.

    Raises
    ------
    ValueError
        If not.
    """
    if not training.months or not validation.months or training.months[-1] >= validation.months[0]:
        raise ValueError("training needs months, and the validation months must follow them")
    training.known_returns()
    validation.known_returns()
