"""The grid that a search goes through, and what else an estimation may be told.

Nothing here needs tensors: settings can be read and compared without loading a network library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

ARCHITECTURES = ("shallow", "deep", "deeper", "elastic_net")
"""Names of :data:`pipeline.sdf.networks.ARCHITECTURES`."""

NORM_RULES = ("batch", "date")
"""Names of :data:`pipeline.sdf.objectives.NORM_RULES`."""

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, kw_only=True, order=True)
class Configuration:
    """One point of the grid.

    Attributes
    ----------
    architecture : str
        Of :data:`pipeline.sdf.networks.ARCHITECTURES`.
    batch_size : int
        Rows of a batch at least.
    rate : float
        Adam's learning rate.
    l1, l2 : float
        Factors of the penalties; 0 is the source's "none".
    """

    architecture: str
    batch_size: int
    rate: float
    l1: float
    l2: float


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is searched: all combinations, in this order, the last field running fastest.

    Attributes
    ----------
    architectures : tuple of str
        By name; which there are is a matter of the search that the grid is for.
    batch_sizes : tuple of int
        Rows.
    rates : tuple of float
        Learning rates.
    l1, l2 : tuple of float
        Penalties.
    """

    architectures: tuple[str, ...] = ARCHITECTURES
    batch_sizes: tuple[int, ...] = (256, 512, 1024, 2048)
    rates: tuple[float, ...] = (1e-4, 1e-3, 5e-3)
    l1: tuple[float, ...] = (0.0, 0.001, 0.01, 0.1)
    l2: tuple[float, ...] = (0.0, 0.001, 0.01, 0.1)

    def __post_init__(self) -> None:
        """Refuse an empty grid and numbers that nothing can be trained with."""
        if not self.configurations:
            raise ValueError(f"the grid is empty: {self}")
        if min(self.batch_sizes) < 1 or not min(self.rates) > 0.0 or not min(*self.l1, *self.l2) >= 0.0:
            raise ValueError(f"batch_sizes and rates are positive, l1 and l2 not negative: {self}")

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """All points."""
        combinations = product(self.architectures, self.batch_sizes, self.rates, self.l1, self.l2)
        return tuple(
            Configuration(architecture=architecture, batch_size=size, rate=rate, l1=l1, l2=l2)
            for architecture, size, rate, l1, l2 in combinations
        )

    @property
    def pieces(self) -> dict[str, tuple[Configuration, ...]]:
        """The points that train together, one architecture and batch size each, by name."""
        found: dict[str, list[Configuration]] = {}
        for each in self.configurations:
            found.setdefault(f"{each.architecture}_{each.batch_size}", []).append(each)
        return {name: tuple(each) for name, each in found.items()}


GRID = Grid()
"""The source's 768 configurations."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How networks are trained, whatever their configuration.

    Attributes
    ----------
    objective : str
        Of :data:`pipeline.sdf.objectives.OBJECTIVES`.
    epochs : int
        At most.
    patience : int
        Epochs without a better validation score after which training stops.
    gamma : float
        Of the linearised Sharpe ratio.
    bound : float
        C, the bound on the norm of the weights: 1 for portfolios, 0.1 for single assets.
    norm_rule : str
        Of :data:`pipeline.sdf.objectives.NORM_RULES`, in training.
    fewest_dates : int
        Months of a batch at least; two is the least that makes sense.
    dropout : float
        Share of hidden outputs set to zero.
    device : str
        ``cpu``, or ``cuda`` where there is one.
    """

    objective: str = "sharpe"
    epochs: int = 50
    patience: int = 8
    gamma: float = 0.01
    bound: float = 1.0
    norm_rule: str = "batch"
    fewest_dates: int = 2
    dropout: float = 0.01
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        if min(self.epochs, self.patience) < 1 or self.bound <= 0.0:
            raise ValueError(f"epochs, patience and bound must be positive: {self}")
        refuse_training(self.dropout, self.norm_rule, self.device)


def refuse_training(dropout: float, norm_rule: str, device: str) -> None:
    """Refuse what no network can be trained with, those of the generative adversarial estimation included."""
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout is {dropout}; it is 0 or more and less than 1")
    for name, value, known in (("norm_rule", norm_rule, NORM_RULES), ("device", device, DEVICES)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}; it is one of {', '.join(known)}")


def refuse_architectures(grid: Grid, known: Sequence[str]) -> None:
    """Refuse a grid with an architecture that a search does not know."""
    unknown = [name for name in grid.architectures if name not in known]
    if unknown:
        raise ValueError(f"there is no architecture {', '.join(unknown)}; a grid takes of {', '.join(known)}")


def refuse_seeds(seeds: Sequence[int]) -> None:
    """Refuse the seeds of an ensemble that is empty or trains a member twice."""
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"the seeds {seeds} must be there and differ")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """A search and the ensemble of its winner.

    Attributes
    ----------
    grid : Grid
        What is searched.
    training : TrainingSettings
        How every point is trained.
    seed : int
        First weights, batches and masks of the search.
    ensemble : tuple of int
        Seeds of the winner's ensemble.
    """

    grid: Grid = GRID
    training: TrainingSettings = TrainingSettings()
    seed: int = 0
    ensemble: tuple[int, ...] = (1, 2, 3, 4, 5, 6)

    def __post_init__(self) -> None:
        """Refuse unknown architectures, an empty ensemble and repeated seeds."""
        refuse_architectures(self.grid, ARCHITECTURES)
        refuse_seeds(self.ensemble)
