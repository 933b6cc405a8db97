"""Training of configurations side by side, with early stopping.

Configurations of one architecture and batch size share batches, first weights and dropout masks, all by seed, and
nothing flows from one to another. Given a seed, the same configurations, panel, device and number of threads give the
same bits; another company in the stack or another number of threads may change the last digits of sums, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.sdf.adam import StackedAdam
from pipeline.sdf.batches import TensorPanel, shuffled
from pipeline.sdf.configurations import Configuration, TrainingSettings
from pipeline.sdf.networks import ARCHITECTURES, Design, Stack, dropout_masks, first_stack, outputs, stacked
from pipeline.sdf.objectives import OBJECTIVES, Bound, Rules

STOPPED, RAN_OUT, NOT_FINITE, NO_SCORE = "stopped early", "all epochs", "not finite", "no score"
"""How a training ended; after the last two the network is no candidate."""

# Rows that are scored at once.
_EVALUATED = 8192

Progress = Callable[[int, int, float], None]
"""Told after each epoch: its number, how many configurations go on, and the best score so far."""


def quiet(epoch: int, running: int, best: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What became of one configuration.

    Attributes
    ----------
    configuration : Configuration
        That was trained.
    network : dict of str to np.ndarray
        Parameters and running statistics of the best epoch (of the last without validation).
    score : float
        Of the best epoch on the validation months: the Sharpe ratio, or minus the mean squared error; NaN without.
    epoch : int
        The best, from 1; 0 if none had a score.
    epochs : int
        That were run.
    ending : str
        ``stopped early``, ``all epochs``, ``not finite`` (a loss was not) or ``no score`` (the factor never varied).
    """

    configuration: Configuration
    network: dict[str, np.ndarray]
    score: float
    epoch: int
    epochs: int
    ending: str

    @property
    def usable(self) -> bool:
        """Whether it may be chosen."""
        return self.ending not in (NOT_FINITE, NO_SCORE)


def design_for(configuration: Configuration, n_features: int, n_macro: int, settings: TrainingSettings) -> Design:
    """Return the sizes of a configuration's network.

    Raises
    ------
    ValueError
        If there is no such architecture.
    """
    if configuration.architecture not in ARCHITECTURES:
        raise ValueError(f"there is no architecture {configuration.architecture!r}; there are {list(ARCHITECTURES)}")
    hidden = ARCHITECTURES[configuration.architecture]
    return Design(n_features=n_features, n_macro=n_macro, hidden=hidden, dropout=settings.dropout)


def rules_for(configuration: Configuration, settings: TrainingSettings) -> Rules:
    """Return what the objective is told."""
    bound = Bound(size=settings.bound, batch_size=configuration.batch_size)
    return Rules(bound=bound, norm_rule=settings.norm_rule, gamma=settings.gamma)


def train_epoch(
    optimiser: StackedAdam,
    panel: TensorPanel,
    configuration: Configuration,
    settings: TrainingSettings,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Go through the panel once and return each network's mean loss, penalties left out.

    Parameters
    ----------
    optimiser : StackedAdam
        And in it the networks.
    panel : TensorPanel
        Training months, scaled, all returns known.
    configuration : Configuration
        Gives the batch size, which all networks share.
    settings : TrainingSettings
        Gives objective, bound and batches.
    seed, epoch : int
        Of batches and masks.
    """
    objective, rules = OBJECTIVES[settings.objective], rules_for(configuration, settings)
    batches = shuffled(panel.counts, configuration.batch_size, settings.fewest_dates, seed, epoch)
    generator = np.random.default_rng([seed, epoch, 1])
    total = torch.zeros(optimiser.stack.size, device=panel.device)
    for number, dates in enumerate(batches, start=1):
        batch = panel.batch(dates)
        masks = dropout_masks(optimiser.stack.design, batch.n_rows, generator, panel.device)
        losses = objective.loss(outputs(optimiser.stack, batch, masks, number), batch, rules)
        optimiser.step(losses)
        total += losses.detach()
    return (total / len(batches)).cpu().numpy()


@torch.no_grad()
def scores(stack: Stack, panel: TensorPanel, objective: str, rules: Rules) -> np.ndarray:
    """Return each network's score over a panel, (S,); NaN where undefined."""
    chosen = OBJECTIVES[objective]
    parts = [chosen.parts(outputs(stack, batch), batch, rules) for _, batch in panel.stretches(_EVALUATED)]
    return chosen.score(torch.cat(parts, dim=1).cpu().numpy().astype(np.float64), panel.counts)


def optimiser_for(stack: Stack, configurations: Sequence[Configuration]) -> StackedAdam:
    """Return a fresh optimiser with the configurations' learning rates and penalties."""

    def column(name: str) -> Tensor:
        values = [getattr(each, name) for each in configurations]
        return torch.tensor(values, dtype=torch.float32, device=stack.parameters["bias"].device)

    return StackedAdam(stack, column("rate"), column("l1"), column("l2"))


def train(
    training: TensorPanel,
    validation: TensorPanel,
    configurations: Sequence[Configuration],
    seed: int,
    settings: TrainingSettings,
    progress: Progress = quiet,
) -> list[Trained]:
    """Train configurations that share architecture and batch size.

    Parameters
    ----------
    training, validation : TensorPanel
        Scaled by the training months, all returns known.
    configurations : sequence of Configuration
        To train together.
    seed : int
        Of first weights, batches and masks.
    settings : TrainingSettings
        The rest.
    progress : callable
        See :data:`Progress`.

    Returns
    -------
    list of Trained
        In the order of ``configurations``.

    Raises
    ------
    ValueError
        If the configurations do not share architecture and batch size.
    """
    first = configurations[0]
    if len({(each.architecture, each.batch_size) for each in configurations}) > 1:
        raise ValueError("configurations that train together share one architecture and one batch size")
    stack = first_stack(design_for(first, *training.widths, settings), len(configurations), seed, settings.device)
    optimiser, rules = optimiser_for(stack, configurations), rules_for(first, settings)
    field = _Field(configurations, settings.patience, optimiser.stack)
    for epoch in range(1, settings.epochs + 1):
        losses = train_epoch(optimiser, training, first, settings, seed, epoch)
        going_on = field.note(
            epoch, losses, scores(optimiser.stack, validation, settings.objective, rules), optimiser.stack
        )
        progress(epoch, len(going_on), field.best)
        if not len(going_on):
            break
        if len(going_on) < optimiser.stack.size:
            optimiser.keep(torch.as_tensor(going_on, device=settings.device))
    return field.results()


class _Field:
    """The configurations of one training: who still runs, and everybody's best epoch."""

    def __init__(self, configurations: Sequence[Configuration], patience: int, stack: Stack) -> None:
        self._configurations, self._patience = configurations, patience
        S = len(configurations)
        self._running = np.arange(S)
        self._scores, self._epochs, self._best_epochs = np.full(S, np.nan), np.zeros(S, int), np.zeros(S, int)
        self._endings = [RAN_OUT] * S
        self._networks = [stack.arrays(place) for place in range(S)]

    @property
    def best(self) -> float:
        """The best score so far, NaN before there is one."""
        return float(np.nanmax(self._scores)) if np.isfinite(self._scores).any() else float("nan")

    def note(self, epoch: int, losses: np.ndarray, scores: np.ndarray, stack: Stack) -> np.ndarray:
        """Take down an epoch of the networks that ran and return the places in the stack of those that go on."""
        going_on = []
        for place, (which, loss, score) in enumerate(zip(self._running, losses, scores, strict=True)):
            self._epochs[which] = epoch
            if not np.isfinite(loss):
                self._endings[which] = NOT_FINITE
                continue
            if np.isfinite(score) and not score <= self._scores[which]:
                self._scores[which], self._best_epochs[which] = score, epoch
                self._networks[which] = stack.arrays(place)
            if epoch - self._best_epochs[which] >= self._patience:
                self._endings[which] = STOPPED
                continue
            going_on.append(place)
        self._running = self._running[going_on]
        return np.array(going_on, dtype=np.int64)

    def results(self) -> list[Trained]:
        """Return what became of everybody."""
        return [
            Trained(
                configuration=configuration,
                network=self._networks[which],
                score=float(self._scores[which]),
                epoch=int(self._best_epochs[which]),
                epochs=int(self._epochs[which]),
                ending=NO_SCORE
                if self._endings[which] != NOT_FINITE and not self._best_epochs[which]
                else self._endings[which],
            )
            for which, configuration in enumerate(self._configurations)
        ]


def train_on(
    panel: TensorPanel,
    design: Design,
    network: dict[str, np.ndarray],
    configuration: Configuration,
    seed: int,
    epochs: int,
    settings: TrainingSettings,
) -> dict[str, np.ndarray]:
    """Go on with one network for a fixed number of epochs, the optimiser begun afresh.

    Parameters
    ----------
    panel : TensorPanel
        All months that may be used, scaled as before.
    design : Design
        Of the network.
    network : dict of str to np.ndarray
        Where to start.
    configuration : Configuration
        Learning rate, penalties and batch size.
    seed : int
        Of batches and masks.
    epochs : int
        To run.
    settings : TrainingSettings
        Objective, bound and device.

    Raises
    ------
    ArithmeticError
        If the loss is not finite.
    """
    optimiser = optimiser_for(stacked(design, [network], settings.device), [configuration])
    for epoch in range(1, epochs + 1):
        if not np.isfinite(train_epoch(optimiser, panel, configuration, settings, seed, epoch)).all():
            raise ArithmeticError(
                f"the loss is not finite in epoch {epoch} of the refit; lower the rate {configuration.rate:g}"
            )
    return optimiser.stack.arrays(0)
