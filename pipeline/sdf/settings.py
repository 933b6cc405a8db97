"""What the stochastic discount factors of one market are told: what is searched, how often, how they are carried on.

Nothing here needs tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from pipeline.sdf.configurations import Grid, SearchSettings, TrainingSettings
from pipeline.sdf.environments import ENVIRONMENTS, FULL, GROUPS, NO_FINANCIALS, NO_MACRO
from pipeline.sdf.gan_settings import HISTORY, GanSchedule, GanSearchSettings, GanSteps, GanTrainingSettings

MISPRICING, SHARPE, GAN = "mispricing", "sharpe", "gan"
"""The objectives."""

NEEDS_MACRO = frozenset({GAN})
"""Objectives that cannot do without macro series."""

LOOKBACK = HISTORY - 1
"""Months before a target month whose macro series the weights of any objective look at."""


@dataclass(frozen=True, kw_only=True)
class SdfSettings:
    """Settings of the stochastic discount factors of one market.

    Attributes
    ----------
    objectives : tuple of str
        ``mispricing`` (equation 5), ``sharpe`` (equation 7) and ``gan`` (appendix A.3), which is left out of the
        environment without macro series: its networks are made of their state.
    environments : tuple of str
        Of :data:`pipeline.sdf.environments.ENVIRONMENTS`.
    financials : tuple of str
        Groups that the environment ``no_financials`` leaves out.
    grid, beta_grid : Grid
        What is searched for the weights, and for the betas.
    gan : GanSteps
        Grid, steps and ensemble of the objective ``gan``; bound, rule, dropout and device are the market's.
    ensemble : tuple of int
        Seeds of the winners' ensembles.
    epochs, patience, gamma, bound, norm_rule, dropout, device
        See :class:`pipeline.sdf.configurations.TrainingSettings`.
    min_months : int
        Months of returns before the first search.
    search_months : int
        Months from one search to the next; 0 searches once, which with ``refit_epochs`` 0 is the source's split: of its
        months 70% come before the search, and the rest is the test.
    training_share : float
        Share of the months up to a search that are trained on; the later ones validate. The source's 42 of 42 + 28.
    refit_epochs : int
        Epochs by which the networks are carried on with each new month; 0 keeps them as they were found.
    """

    objectives: tuple[str, ...] = (MISPRICING, SHARPE)
    environments: tuple[str, ...] = (FULL, NO_MACRO)
    financials: tuple[str, ...] = ()
    grid: Grid = field(default_factory=Grid)
    beta_grid: Grid = field(default_factory=lambda: Grid(batch_sizes=(256, 512, 1024)))
    gan: GanSteps = field(default_factory=GanSteps)
    ensemble: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    epochs: int = 50
    patience: int = 8
    gamma: float = 0.01
    bound: float = 0.1
    norm_rule: str = "batch"
    dropout: float = 0.01
    device: str = "cpu"
    min_months: int = 240
    search_months: int = 12
    training_share: float = 0.6
    refit_epochs: int = 1

    def __post_init__(self) -> None:
        """Refuse settings under which nothing could be estimated."""
        for kind, named, known in (
            ("objective", self.objectives, (MISPRICING, SHARPE, GAN)),
            ("environment", self.environments, tuple(ENVIRONMENTS)),
        ):
            if not named or set(named) - set(known) or len(set(named)) < len(named):
                raise ValueError(f"name at least one {kind}, each once, of {', '.join(known)}; got {named}")
        if not self.specifications:
            raise ValueError(
                f"nothing is left to estimate: {', '.join(self.objectives)} needs macro series, and {NO_MACRO} is the "
                f"only environment; add {FULL}"
            )
        if not 0.0 < self.training_share < 1.0:
            raise ValueError(f"training_share is {self.training_share}; it lies between 0 and 1")
        if self.search_months < 0 or self.refit_epochs < 0 or self.min_months < 24:
            raise ValueError(
                f"search_months ({self.search_months}) and refit_epochs ({self.refit_epochs}) are not negative, "
                f"min_months ({self.min_months}) is at least 24"
            )
        for objective in set(self.objectives) - {GAN}:
            self.of_weights(objective)
        self.of_gan()
        self.of_betas()
        if not set(self.financials) <= set(GROUPS):
            raise ValueError(f"financials {', '.join(self.financials)}: the groups are {', '.join(GROUPS)}")
        if NO_FINANCIALS in self.environments and not self.financials:
            raise ValueError("the environment no_financials needs the groups to leave out in financials")

    def _training(self, objective: str) -> TrainingSettings:
        return TrainingSettings(
            objective=objective,
            epochs=self.epochs,
            patience=self.patience,
            gamma=self.gamma,
            bound=self.bound,
            norm_rule=self.norm_rule,
            dropout=self.dropout,
            device=self.device,
        )

    def of_weights(self, objective: str) -> SearchSettings:
        """Give the settings of the search for weights."""
        return SearchSettings(grid=self.grid, training=self._training(objective), ensemble=self.ensemble)

    def of_gan(self) -> GanSearchSettings:
        """Give the settings of the search for the weights of the objective ``gan``."""
        schedule = {each.name: getattr(self.gan, each.name) for each in fields(GanSchedule)}
        training = GanTrainingSettings(
            **schedule, bound=self.bound, norm_rule=self.norm_rule, dropout=self.dropout, device=self.device
        )
        return GanSearchSettings(grid=self.gan.grid, training=training, ensemble=self.gan.ensemble)

    def of_betas(self) -> SearchSettings:
        """Give the settings of the search for betas."""
        return SearchSettings(grid=self.beta_grid, training=self._training("squared_error"), ensemble=self.ensemble)

    @property
    def specifications(self) -> tuple[tuple[str, str], ...]:
        """Every objective in every environment that has what it needs."""
        return tuple(
            (objective, environment)
            for objective in self.objectives
            for environment in self.environments
            if environment != NO_MACRO or objective not in NEEDS_MACRO
        )
