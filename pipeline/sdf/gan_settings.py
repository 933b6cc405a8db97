"""What a generative adversarial estimation is told: its steps, its grid, its ensemble.

Nothing here needs tensors: settings can be read and compared without loading a network library.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.sdf.configurations import Grid, refuse_architectures, refuse_seeds, refuse_training

HISTORY = 12
"""Months of macro series that the recurrent layer reads: those known at the end of the 12 months before the target."""

GAN_ARCHITECTURES = ("joined", "separate")
"""Names of :data:`pipeline.sdf.gan_networks.SDF_SHAPES`."""


def gan_grid() -> Grid:
    """Return the small grid of the search; the source does not print the one it went through."""
    return Grid(
        architectures=GAN_ARCHITECTURES,
        batch_sizes=(1024, 2048),
        rates=(1e-3, 5e-3),
        l1=(0.0, 0.01),
        l2=(0.0, 0.01),
    )


@dataclass(frozen=True, kw_only=True)
class GanSchedule:
    """How long each step is trained.

    Attributes
    ----------
    unconditional_epochs : int
        Of step 1, at most; 0 leaves the step out.
    moment_epochs : int
        Of step 2, in each global epoch.
    weight_epochs : int
        Of step 3, at most, in each global epoch.
    global_epochs : int
        How often steps 2 and 3 follow each other.
    patience : int
        Epochs without a better validation score after which step 1 or step 3 stops.
    """

    unconditional_epochs: int = 50
    moment_epochs: int = 10
    weight_epochs: int = 50
    global_epochs: int = 1
    patience: int = 8


@dataclass(frozen=True, kw_only=True)
class GanTrainingSettings(GanSchedule):
    """How both networks are trained, whatever their configuration.

    Attributes
    ----------
    bound : float
        C, the bound on the norm of weights and test assets: 1 for portfolios, 0.1 for single assets.
    norm_rule : str
        Of :data:`pipeline.sdf.objectives.NORM_RULES`, in training.
    fewest_dates : int
        Months of a batch at least.
    dropout : float
        Share of hidden outputs set to zero.
    device : str
        ``cpu``, or ``cuda`` where there is one.
    """

    bound: float = 1.0
    norm_rule: str = "batch"
    fewest_dates: int = 2
    dropout: float = 0.01
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        if min(self.moment_epochs, self.weight_epochs, self.global_epochs, self.patience) < 1:
            raise ValueError(f"the epochs of steps 2 and 3, global epochs and patience must be positive: {self}")
        if self.unconditional_epochs < 0 or self.bound <= 0.0:
            raise ValueError(f"step 1 cannot have less than no epoch, and the bound must be positive: {self}")
        refuse_training(self.dropout, self.norm_rule, self.device)


@dataclass(frozen=True, kw_only=True)
class GanSteps(GanSchedule):
    """What a market's settings say of its generative adversarial estimation; the rest it shares with other networks.

    Attributes
    ----------
    grid : Grid
        What is searched; architectures of :data:`pipeline.sdf.gan_networks.SDF_SHAPES`.
    ensemble : tuple of int
        Seeds of the winner's ensemble.
    """

    grid: Grid = field(default_factory=gan_grid)
    ensemble: tuple[int, ...] = (1, 2, 3, 4, 5, 6)


@dataclass(frozen=True, kw_only=True)
class GanSearchSettings:
    """A search and the ensemble of its winner.

    Attributes
    ----------
    grid : Grid
        What is searched; architectures of :data:`pipeline.sdf.gan_networks.SDF_SHAPES`.
    training : GanTrainingSettings
        How every point is trained.
    seed : int
        First weights, batches and masks of the search.
    ensemble : tuple of int
        Seeds of the winner's ensemble.
    """

    grid: Grid = field(default_factory=gan_grid)
    training: GanTrainingSettings = GanTrainingSettings()
    seed: int = 0
    ensemble: tuple[int, ...] = (1, 2, 3, 4, 5, 6)

    def __post_init__(self) -> None:
        """Refuse unknown architectures, an empty ensemble and repeated seeds."""
        refuse_architectures(self.grid, GAN_ARCHITECTURES)
        refuse_seeds(self.ensemble)
