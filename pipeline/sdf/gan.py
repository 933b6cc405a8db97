"""The stochastic discount factor of two competing networks: its search, its ensemble, its weights, its collapse.

After appendix A.3 of the source. Here belongs what a caller handles; layers and loss stand in
:mod:`pipeline.sdf.gan_networks`, the three steps in :mod:`pipeline.sdf.gan_training`.

Panels are handed over unscaled and with one row of macro series a month. The first eleven training months give their
macro series to the later ones and are not trained on; validation months take theirs from the training months.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, ClassVar

import numpy as np
import torch

from pipeline.models.storage import below
from pipeline.panel.calendar import shift
from pipeline.sdf.batches import TensorPanel
from pipeline.sdf.configurations import Configuration, SearchSettings
from pipeline.sdf.ensemble import before_test, refit_seed
from pipeline.sdf.gan_networks import StateNetwork, networks_for, sequenced
from pipeline.sdf.gan_settings import HISTORY, GanSearchSettings, GanTrainingSettings
from pipeline.sdf.gan_training import TrainedGan, bound_for, train_gan, train_weights_on
from pipeline.sdf.model import portfolio_returns
from pipeline.sdf.objectives import Bound, clipped_dates
from pipeline.sdf.panel import SdfPanel, Standardisation
from pipeline.sdf.search import PieceProgress, Pieces, SearchResult, Stored, fingerprint, fresh, quiet_pieces, winner
from pipeline.sdf.training import Progress, quiet

EQUAL, OFTEN = 0.01, 0.5
"""Dispersion below which a month's weights are equal, and the share of such months above which it is a collapse."""

_NETWORKS = ("weights", "moments")


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """How equal the weights of a month are: the mode collapse of the source.

    Attributes
    ----------
    dispersion : np.ndarray
        (D,) standard deviation of a month's weights (of the population) over their mean absolute value; 0 where all
        are zero, NaN where there is one asset, whose weight is equal to all others whatever it is.
    """

    dispersion: np.ndarray

    @property
    def equal_share(self) -> float:
        """Share of the months of two assets or more whose dispersion is below :data:`EQUAL`; NaN without any."""
        known = self.dispersion[np.isfinite(self.dispersion)]
        return float(np.mean(known < EQUAL)) if len(known) else float("nan")

    @property
    def collapsed(self) -> bool:
        """Whether the portfolio is a multiple of the equally weighted one in most months."""
        return self.equal_share > OFTEN


def collapse(weights: np.ndarray, panel: SdfPanel) -> Collapse:
    """Measure how equal (n,) weights are within each month of a panel."""
    found = np.full(len(panel.months), np.nan)
    for place, (a, b) in enumerate(zip(panel.bounds[:-1], panel.bounds[1:], strict=True)):
        if b - a > 1:
            size = np.abs(weights[a:b]).mean()
            found[place] = weights[a:b].std() / size if size > 0.0 else 0.0
    return Collapse(dispersion=found)


@dataclass(frozen=True, kw_only=True)
class GanResult:
    """An estimated stochastic discount factor M = 1 - kappa w'r, with the test assets it was estimated against.

    kappa is that of :func:`pipeline.sdf.model.kernel_scale`.

    Attributes
    ----------
    configuration : Configuration
        Of all members.
    settings : GanTrainingSettings
        Under which they were trained.
    standardisation : Standardisation
        Of the training months.
    first, last : date
        Months whose returns the parameters have seen, through training or early stopping.
    seeds : tuple of int
        One a member.
    members : tuple of dict
        Arrays of each member's networks ``weights`` and ``moments``.
    scores, unconditional_scores : np.ndarray
        (members,) Sharpe ratios of the validation months after step 3, and after step 1 alone.
    epochs : np.ndarray
        (members,) best epochs, over all steps.
    endings : tuple of str
        How each member's training ended.
    equality : Collapse
        Of the mean weights in the validation months of the search.
    lookback : int
        Months before a month whose macro series its weights look at.
    """

    configuration: Configuration
    settings: GanTrainingSettings
    standardisation: Standardisation
    first: date
    last: date
    seeds: tuple[int, ...]
    members: tuple[dict[str, dict[str, np.ndarray]], ...]
    scores: np.ndarray
    unconditional_scores: np.ndarray
    epochs: np.ndarray
    endings: tuple[str, ...]
    equality: Collapse
    lookback: ClassVar[int] = HISTORY - 1

    @property
    def collapsed(self) -> bool:
        """Whether weights are equal in most validation months."""
        return self.equality.collapsed

    def weights(self, panel: SdfPanel, history: SdfPanel | None = None) -> np.ndarray:
        """Return the portfolio weights: the mean of the members' weights, each bounded month by month.

        Parameters
        ----------
        panel : SdfPanel
            Unscaled; returns are not looked at and may be missing.
        history : SdfPanel or None
            Eleven months before the panel's first, or more, for their macro series alone.

        Returns
        -------
        np.ndarray
            (n,) float64. A month's weights depend on nothing but that month's rows and the macro series of the twelve
            months up to it.

        Raises
        ------
        ValueError
            If months of the panel have too short a history.
        """
        return self._outputs("weights", panel, history)[:, 0].mean(axis=0)

    def test_assets(self, panel: SdfPanel, history: SdfPanel | None = None) -> np.ndarray:
        """Return each member's test assets (members, K, n), each bounded month by month as the weights are.

        The order of the K is a member's own, so that they have no mean over members. Parameters and errors are those
        of :meth:`weights`.
        """
        return self._outputs("moments", panel, history)

    def factor(self, panel: SdfPanel, history: SdfPanel | None = None) -> np.ndarray:
        """Return F = w'r of each month, (D,) decimals; all returns must be known."""
        return portfolio_returns(self.weights(panel, history), panel)

    def _outputs(self, name: str, panel: SdfPanel, history: SdfPanel | None) -> np.ndarray:
        """Bounded outputs of one network of every member, (members, outputs, n)."""
        scaled = _with_history(self.standardisation, panel, history)
        if len(scaled.months) < len(panel.months):
            raise ValueError(
                f"{panel.months[0]:%Y-%m} has no macro series of {HISTORY} months; hand over the months before as "
                "history, or begin later"
            )
        networks = [_loaded(member, name, self.configuration, self._widths, self.settings) for member in self.members]
        return _bounded(
            networks, TensorPanel(scaled, self.settings.device), bound_for(self.configuration, self.settings)
        )

    @property
    def _widths(self) -> tuple[int, int]:
        return len(self.standardisation.names), len(self.standardisation.macro_names)

    def carried_on(self, panel: SdfPanel, epochs: int) -> GanResult:
        """Return the result with the members' weights carried on by step 3 over a panel that has become longer.

        The test assets, scaling, configuration and seeds stay those of the search: test assets that are made anew
        every month would ask for rounds of the contest and months that stop them. Batches depend on the seed and the
        panel's last month, as they do where other networks are carried on.

        Parameters
        ----------
        panel : SdfPanel
            All months whose returns are known, unscaled; the first eleven give their macro series alone.
        epochs : int
            Of each member.

        Raises
        ------
        ArithmeticError
            If a loss is not finite.
        ValueError
            If a return or a month is missing.
        """
        panel.known_returns()
        tensors = TensorPanel(sequenced(self.standardisation.apply(panel)), self.settings.device)
        members = []
        for seed, member in zip(self.seeds, self.members, strict=True):
            networks = {
                name: _loaded(member, name, self.configuration, self._widths, self.settings) for name in _NETWORKS
            }
            train_weights_on(networks, tensors, self.configuration, refit_seed(seed, panel), epochs, self.settings)
            members.append({**member, "weights": networks["weights"].arrays()})
        first = min(self.first, panel.months[0])
        return replace(self, members=tuple(members), first=first, last=panel.months[-1])

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return everything as named arrays and named strings, without loss of precision."""
        scaling = self.standardisation
        arrays = scaling.to_arrays() | {
            "scores": self.scores,
            "unconditional_scores": self.unconditional_scores,
            "epochs": self.epochs,
        }
        arrays |= {"dispersion": self.equality.dispersion}
        for place, member in enumerate(self.members):
            for network in _NETWORKS:
                arrays |= {f"member_{place}.{network}.{name}": array for name, array in member[network].items()}
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
    def from_arrays(cls, arrays: dict[str, np.ndarray], text: dict[str, str]) -> GanResult:
        """Return what :meth:`to_arrays` was called on."""
        values: dict[str, Any] = {name: json.loads(value) for name, value in text.items()}
        first, last = (date.fromisoformat(each) for each in values["months"])
        seeds = tuple(values["seeds"])
        return cls(
            configuration=Configuration(**values["configuration"]),
            settings=GanTrainingSettings(**values["settings"]),
            standardisation=Standardisation.from_arrays(arrays, *values["names"]),
            first=first,
            last=last,
            seeds=seeds,
            members=tuple(
                {network: below(arrays, f"member_{place}.{network}.") for network in _NETWORKS}
                for place in range(len(seeds))
            ),
            scores=arrays["scores"],
            unconditional_scores=arrays["unconditional_scores"],
            epochs=arrays["epochs"],
            endings=tuple(values["endings"]),
            equality=Collapse(dispersion=arrays["dispersion"]),
        )


def estimate_gan(
    training: SdfPanel,
    validation: SdfPanel,
    configuration: Configuration,
    seeds: Sequence[int],
    settings: GanTrainingSettings,
    progress: Progress = quiet,
) -> GanResult:
    """Train one configuration with several seeds, each stopped by its own validation score.

    Parameters
    ----------
    training, validation : SdfPanel
        Unscaled; scaling is fitted on the first alone.
    configuration : Configuration
        The winner of a search.
    seeds : sequence of int
        One a member.
    settings : GanTrainingSettings
        The rest.
    progress : callable
        Told after each epoch of each member.

    Raises
    ------
    ArithmeticError
        If a member is of no use: its loss was not finite, or its factor never varied.
    ValueError
        If months overlap or are missing, or a return is.
    """
    scaling, tensors = _tensors(training, validation, settings.device)
    found: list[TrainedGan] = []
    for seed in seeds:
        found.append(train_gan(*tensors, configuration, seed, settings, progress))
        if not found[-1].usable:
            raise ArithmeticError(f"the member with seed {seed} of {configuration} ended as {found[-1].ending!r}")
    result = GanResult(
        configuration=configuration,
        settings=settings,
        standardisation=scaling,
        first=training.months[0],
        last=validation.months[-1],
        seeds=tuple(seeds),
        members=tuple(each.networks for each in found),
        scores=np.array([each.score for each in found]),
        unconditional_scores=np.array([each.unconditional_score for each in found]),
        epochs=np.array([each.epoch for each in found], dtype=np.int64),
        endings=tuple(each.ending for each in found),
        equality=Collapse(dispersion=np.zeros(0)),
    )
    return replace(result, equality=collapse(result.weights(validation, training), validation))


@dataclass(frozen=True, kw_only=True)
class GanSearchResult(SearchResult):
    """The winner and all the others; scores are those of step 3.

    Attributes
    ----------
    unconditional_scores : np.ndarray
        (configurations,) Sharpe ratios of the validation months after step 1 alone, NaN where there is none.
    """

    unconditional_scores: np.ndarray


def search_gan(
    training: SdfPanel,
    validation: SdfPanel,
    settings: GanSearchSettings,
    pieces: Pieces,
    progress: PieceProgress = quiet_pieces,
) -> GanSearchResult:
    """Train every configuration of the grid, one a piece, and choose by the validation's Sharpe ratio.

    A piece that is there, of the same panels and settings, is taken; another is computed and put there. A collapsed
    configuration is a candidate like any other, as in the source; whether the winner is one stands in its result.

    Parameters
    ----------
    training, validation : SdfPanel
        Unscaled; scaling is fitted on the first alone.
    settings : GanSearchSettings
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
        If months overlap or are missing, or a return is.
    """
    _, tensors = _tensors(training, validation, settings.training.device)
    trained = asdict(settings.training)
    del trained["device"]
    origin = json.dumps([fingerprint(training, validation, SearchSettings(seed=settings.seed)), trained])
    configurations, found = settings.grid.configurations, []
    for number, configuration in enumerate(configurations, start=1):
        name = "gan_" + "_".join(str(value) for value in asdict(configuration).values())
        identity = {"origin": origin, "configuration": json.dumps(asdict(configuration))}
        stored = fresh(pieces, name, identity)
        if stored is None:
            told = progress(name, number, len(configurations))
            one = train_gan(*tensors, configuration, settings.seed, settings.training, told)
            numbers = {"scores": one.score, "unconditional_scores": one.unconditional_score}
            numbers |= {"epochs": one.epoch, "run": len(one.log)}
            numbers |= {"equal_shares": _equal_share(one, validation, tensors[1], settings.training)}
            stored = {key: np.array([value]) for key, value in numbers.items()}, {**identity, "ending": one.ending}
            pieces.put(name, *stored)
        found.append(stored)
    return _chosen(configurations, found)


def _chosen(configurations: tuple[Configuration, ...], found: Sequence[Stored]) -> GanSearchResult:
    """Join the pieces and take the best of the candidates, the first of several."""
    arrays = {name: np.concatenate([each[name] for each, _ in found]) for name in found[0][0]}
    endings = tuple(text["ending"] for _, text in found)
    best = winner(arrays["scores"], endings)
    return GanSearchResult(
        winner=configurations[best],
        score=float(arrays["scores"][best]),
        configurations=configurations,
        endings=endings,
        **arrays,
    )


def _equal_share(
    trained: TrainedGan, validation: SdfPanel, tensors: TensorPanel, settings: GanTrainingSettings
) -> float:
    """Share of the validation months in which one training's weights are equal; NaN if it is of no use."""
    if not trained.usable:
        return float("nan")
    widths = tensors.widths[0], len(validation.macro_names)
    network = _loaded(trained.networks, "weights", trained.configuration, widths, settings)
    weights = _bounded([network], tensors, bound_for(trained.configuration, settings))[0, 0]
    return collapse(weights, validation).equal_share


def _loaded(
    networks: dict[str, dict[str, np.ndarray]],
    name: str,
    configuration: Configuration,
    widths: tuple[int, int],
    settings: GanTrainingSettings,
) -> StateNetwork:
    """One of two networks from its arrays, for evaluation; torch's generator is left as it was."""
    with torch.random.fork_rng():
        network = networks_for(configuration.architecture, *widths, settings.dropout)[name]
    network.load(networks[name]).to(settings.device).train(False)
    return network


@torch.no_grad()
def _bounded(networks: Sequence[StateNetwork], tensors: TensorPanel, bound: Bound) -> np.ndarray:
    """Bounded outputs of networks, (networks, outputs, n), each month by itself: the same bits in any company."""
    found = []
    for place in range(len(tensors.counts)):
        batch = tensors.batch([place])
        each = [clipped_dates(network(batch), batch, bound) for network in networks]
        found.append(torch.stack(each).double().cpu().numpy())
    return np.concatenate(found, axis=2)


def _with_history(scaling: Standardisation, panel: SdfPanel, history: SdfPanel | None) -> SdfPanel:
    """Scale a panel and the end of the one before it, and join their macro series."""
    if history is not None:
        history = scaling.apply(history.between(shift(panel.months[0], 1 - HISTORY), panel.months[0]))
    return sequenced(scaling.apply(panel), history)


def _tensors(
    training: SdfPanel, validation: SdfPanel, device: str
) -> tuple[Standardisation, tuple[TensorPanel, TensorPanel]]:
    """Scale both panels by the first and give their months with twelve months of macro series as tensors."""
    before_test(training, validation)
    scaling = Standardisation.fit(training)
    scaled = sequenced(scaling.apply(training)), _with_history(scaling, validation, training)
    if not all(len(each.months) for each in scaled):
        raise ValueError(f"training has {len(training.months)} months; {HISTORY} or more are needed for macro series")
    return scaling, (TensorPanel(scaled[0], device), TensorPanel(scaled[1], device))
