"""The three steps in which both networks learn, with early stopping by the validation's Sharpe ratio.

Step 1 minimises the mispricing loss over the weights, with test assets of one. Step 2 maximises the generalised loss
over the test assets, step 3 minimises it over the weights; both may be repeated. Who is not learning stands still:
normalised by running moments, without dropout and without gradients. Given a seed, the same panels, device and number
of threads give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.sdf.adam import ModuleAdam
from pipeline.sdf.batches import Batch, TensorPanel, shuffled
from pipeline.sdf.configurations import Configuration
from pipeline.sdf.gan_networks import StateNetwork, generalised_mispricing, networks_for
from pipeline.sdf.gan_settings import HISTORY, GanTrainingSettings
from pipeline.sdf.objectives import NORM_RULES, Bound, clipped_dates, factor, sharpe_ratios
from pipeline.sdf.training import NO_SCORE, NOT_FINITE, RAN_OUT, STOPPED, Progress, quiet

# Rows that are scored at once.
_EVALUATED = 8192


@dataclass(frozen=True, kw_only=True)
class Step:
    """One of the source's steps.

    Attributes
    ----------
    learner : str
        The network that moves, ``weights`` or ``moments``.
    sign : float
        1 where the loss is made small, -1 where it is made large.
    conditional : bool
        Whether the test assets are those of the network; ones if not.
    """

    learner: str
    sign: float
    conditional: bool


STEPS: dict[str, Step] = {
    "unconditional": Step(learner="weights", sign=1.0, conditional=False),
    "moments": Step(learner="moments", sign=-1.0, conditional=True),
    "weights": Step(learner="weights", sign=1.0, conditional=True),
}
"""Steps 1 to 3."""


@dataclass(frozen=True, kw_only=True)
class GanEpoch:
    """What happened in one epoch.

    Attributes
    ----------
    step : str
        Of :data:`STEPS`.
    round : int
        The global epoch, from 1; 0 in step 1.
    loss : float
        Mean over batches, penalties left out.
    score : float
        Sharpe ratio of the validation months; NaN where undefined and in step 2, which does not move the weights.
    """

    step: str
    round: int
    loss: float
    score: float


@dataclass(frozen=True, kw_only=True)
class TrainedGan:
    """What became of one configuration.

    Attributes
    ----------
    configuration : Configuration
        That was trained.
    networks : dict of str to dict
        Arrays of ``weights`` and ``moments`` at the best epoch.
    score : float
        Of the best epoch of step 3, the Sharpe ratio of the validation months; NaN without.
    unconditional_score : float
        Of the best epoch of step 1, for comparison; it is no candidate.
    epoch : int
        The best, counted from 1 over all steps; 0 if none had a score.
    log : tuple of GanEpoch
        All epochs that were run.
    ending : str
        As :class:`pipeline.sdf.training.Trained` has it; of the last step.
    """

    configuration: Configuration
    networks: dict[str, dict[str, np.ndarray]]
    score: float
    unconditional_score: float
    epoch: int
    log: tuple[GanEpoch, ...]
    ending: str

    @property
    def usable(self) -> bool:
        """Whether it may be chosen."""
        return self.ending not in (NOT_FINITE, NO_SCORE)


def bound_for(configuration: Configuration, settings: GanTrainingSettings) -> Bound:
    """Return the bound on weights and on test assets."""
    return Bound(size=settings.bound, batch_size=configuration.batch_size)


def step_loss(
    networks: dict[str, StateNetwork], batch: Batch, step: Step, bound: Bound, settings: GanTrainingSettings
) -> Tensor:
    """Return the generalised mispricing loss of a batch, through which gradients flow to the learner alone.

    Each of the K test assets is bounded as the weights are, so that its mean square is C^2 / R at most. The loss is
    multiplied by R / (C^2 K), a constant of the batch: it then has the size of the unconditional one, which penalties
    and the guard of Adam's denominator are made for.
    """

    def bounded(name: str) -> Tensor:
        with torch.set_grad_enabled(name == step.learner):
            return NORM_RULES[settings.norm_rule](networks[name](batch), batch, bound)

    weights = bounded("weights")[0]
    if not step.conditional:
        return generalised_mispricing(weights, torch.ones_like(weights)[None], batch)
    test_assets = bounded("moments")
    size = batch.n_rows / (bound.size**2 * len(test_assets))
    return size * generalised_mispricing(weights, test_assets, batch)


@torch.no_grad()
def validation_score(network: StateNetwork, panel: TensorPanel, bound: Bound) -> float:
    """Return the Sharpe ratio of weights that are bounded month by month; NaN if the factor does not vary."""
    network.train(False)
    parts = [factor(clipped_dates(network(batch), batch, bound), batch) for _, batch in panel.stretches(_EVALUATED)]
    return float(sharpe_ratios(torch.cat(parts, dim=1).cpu().numpy().astype(np.float64))[0])


def train_gan(
    training: TensorPanel,
    validation: TensorPanel,
    configuration: Configuration,
    seed: int,
    settings: GanTrainingSettings,
    progress: Progress = quiet,
) -> TrainedGan:
    """Train one configuration with one seed.

    Parameters
    ----------
    training, validation : TensorPanel
        Of panels that were scaled by the training months and :func:`~pipeline.sdf.gan_networks.sequenced`.
    configuration : Configuration
        Architecture, batch size, and the learning rate and penalties of both optimisers.
    seed : int
        Of first weights, batches and masks.
    settings : GanTrainingSettings
        The rest.
    progress : callable
        Told after each epoch.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        contest = _Contest((training, validation), configuration, seed, settings, progress)
        try:
            contest.minimise("unconditional", 0, settings.unconditional_epochs)
            for number in range(1, settings.global_epochs + 1):
                contest.maximise(number)
                contest.minimise("weights", number, settings.weight_epochs)
        except _NotFiniteError:
            contest.ending = NOT_FINITE
        return contest.result()


def gan_epoch(
    networks: dict[str, StateNetwork],
    optimiser: ModuleAdam,
    step: Step,
    panel: TensorPanel,
    configuration: Configuration,
    settings: GanTrainingSettings,
    seed: int,
    number: int,
) -> float:
    """Let the learner of a step go through the panel once and return the mean loss, penalties left out.

    Parameters
    ----------
    networks : dict of str to StateNetwork
        ``weights`` and ``moments``; the learner moves.
    optimiser : ModuleAdam
        Of the learner.
    step : Step
        Of :data:`STEPS`.
    panel : TensorPanel
        Training months, scaled and sequenced, all returns known.
    configuration : Configuration
        Batch size and penalties.
    settings : GanTrainingSettings
        Bound and batches.
    seed, number : int
        Of the batches.
    """
    learner, bound = networks[step.learner], bound_for(configuration, settings)
    for network in networks.values():
        network.train(False)
    learner.begin_epoch()
    total, batches = 0.0, shuffled(panel.counts, configuration.batch_size, settings.fewest_dates, seed, number)
    for dates in batches:
        loss = step_loss(networks, panel.batch(dates), step, bound, settings)
        penalty = sum(
            configuration.l1 * each.abs().sum() + configuration.l2 * each.square().sum() for each in learner.penalised
        )
        optimiser.step(step.sign * loss + penalty)
        total += float(loss.detach())
    return total / len(batches)


def train_weights_on(
    networks: dict[str, StateNetwork],
    panel: TensorPanel,
    configuration: Configuration,
    seed: int,
    epochs: int,
    settings: GanTrainingSettings,
) -> None:
    """Go on with step 3 for a fixed number of epochs, the optimiser begun afresh; the test assets stand still.

    Parameters
    ----------
    networks : dict of str to StateNetwork
        Where to start; ``weights`` moves.
    panel : TensorPanel
        All months that may be used, scaled as before and sequenced.
    configuration : Configuration
        Learning rate, penalties and batch size.
    seed : int
        Of batches and masks.
    epochs : int
        To run.
    settings : GanTrainingSettings
        Bound and batches.

    Raises
    ------
    ArithmeticError
        If the loss is not finite.
    """
    optimiser = ModuleAdam(networks["weights"], configuration.rate)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for epoch in range(1, epochs + 1):
            loss = gan_epoch(networks, optimiser, STEPS["weights"], panel, configuration, settings, seed, epoch)
            if not np.isfinite(loss):
                raise ArithmeticError(
                    f"the loss is not finite in epoch {epoch} of the refit; lower the rate {configuration.rate:g}"
                )
    networks["weights"].train(False)


class _NotFiniteError(ArithmeticError):
    """A loss is not finite; the training ends."""


class _Contest:
    """Both networks, both optimisers, and what has been seen of them so far."""

    def __init__(
        self,
        panels: tuple[TensorPanel, TensorPanel],
        configuration: Configuration,
        seed: int,
        settings: GanTrainingSettings,
        progress: Progress,
    ) -> None:
        self._training, self._validation = panels
        self._configuration, self._seed, self._settings, self._progress = configuration, seed, settings, progress
        self._bound = bound_for(configuration, settings)
        n_features, n_macro = self._training.widths
        made = networks_for(configuration.architecture, n_features, n_macro // HISTORY, settings.dropout)
        self.networks = {name: network.to(settings.device) for name, network in made.items()}
        self._optimisers = {name: ModuleAdam(network, configuration.rate) for name, network in self.networks.items()}
        self._log: list[GanEpoch] = []
        self._scores = dict.fromkeys(("unconditional", "weights"), float("nan"))
        self._best = 0, self._arrays()
        self.ending = RAN_OUT

    def _arrays(self) -> dict[str, dict[str, np.ndarray]]:
        return {name: network.arrays() for name, network in self.networks.items()}

    def _epoch(self, step: Step) -> float:
        """Let the learner go through the training months once and return the mean loss."""
        optimiser, number = self._optimisers[step.learner], len(self._log) + 1
        told = self._training, self._configuration, self._settings, self._seed, number
        return gan_epoch(self.networks, optimiser, step, *told)

    def _note(self, step: str, number: int, loss: float, score: float) -> None:
        self._log.append(GanEpoch(step=step, round=number, loss=loss, score=score))
        if not np.isfinite(loss):
            raise _NotFiniteError
        self._progress(len(self._log), 1, self._scores["weights"])

    def maximise(self, number: int) -> None:
        """Let the test assets learn: step 2."""
        for _ in range(self._settings.moment_epochs):
            self._note("moments", number, self._epoch(STEPS["moments"]), float("nan"))

    def minimise(self, name: str, number: int, epochs: int) -> None:
        """Let the weights learn, step 1 or 3, and go back to the step's best epoch."""
        best, since, kept = float("nan"), 0, None
        self.ending = RAN_OUT
        for _ in range(epochs):
            loss = self._epoch(STEPS[name])
            score = validation_score(self.networks["weights"], self._validation, self._bound)
            self._note(name, number, loss, score)
            since += 1
            if np.isfinite(score) and not score <= best:
                best, since, kept = score, 0, self._arrays()
                if not score <= self._scores[name]:
                    self._scores[name] = score
                    if name == "weights":
                        self._best = len(self._log), kept
            if since >= self._settings.patience:
                self.ending = STOPPED
                break
        if kept is not None:
            self.networks["weights"].load(kept["weights"])

    def result(self) -> TrainedGan:
        """Return what became of it."""
        epoch, networks = self._best
        return TrainedGan(
            configuration=self._configuration,
            networks=networks,
            score=self._scores["weights"],
            unconditional_score=self._scores["unconditional"],
            epoch=epoch,
            log=tuple(self._log),
            ending=NO_SCORE if self.ending != NOT_FINITE and not epoch else self.ending,
        )
