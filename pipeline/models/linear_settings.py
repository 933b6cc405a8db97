"""What the linear models of the portfolios are told: kernels, predictive regressions, regimes.

Belongs here: settings and what is allowed in them, read by every process; nothing that takes long to import. Does not:
estimating (``linear_sdf``, ``kernel_table``, ``predictive_regressions``, ``regimes``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

FIRST_STAGE, TWO_STEP, ITERATED = "first_stage", "two_step", "iterated"
STAGES = (FIRST_STAGE, TWO_STEP, ITERATED)

IDENTITY, SECOND_MOMENTS = "identity", "second_moments"
FIRST_WEIGHTS = (IDENTITY, SECOND_MOMENTS)
"""Every asset alike, or the inverse second moments of Hansen and Jagannathan (1997)."""

HAC = "HAC"
COVARIANCES = ("HC0", "HC1", "HC2", "HC3", HAC)


@dataclass(frozen=True, kw_only=True)
class GmmSettings:
    """How the kernel is estimated.

    Attributes
    ----------
    stage : str
        ``first_stage``, ``two_step`` or ``iterated``.
    first_weight : str
        Weights of the first stage: a name of ``FIRST_WEIGHTS``.
    demean_factors : bool
        Whether factors enter less their sample means, M = 1 - b'(f - mean f). The scale of excess-return moments is
        free, and with means taken out b does not move when a constant is added to a factor. The means count as known.
        The source writes its kernel with the factors as they are.
    centre_moments : bool
        Whether the covariance of the moments is taken around their means.
    lags : int
        Bartlett weights of the moments' covariance; 0 for none, moments of a true kernel being unpredictable.
    tolerance : float
        Iteration stops when b changes, in units of its first two-step covariance and squared, by no more than this.
    max_iterations : int
        Most estimates of ``iterated``; reaching it without meeting the tolerance is recorded in ``converged``.
    """

    stage: str = TWO_STEP
    first_weight: str = "identity"
    demean_factors: bool = False
    centre_moments: bool = False
    lags: int = 0
    tolerance: float = 1e-16
    max_iterations: int = 500

    def __post_init__(self) -> None:
        """Refuse unknown names and numbers that mean nothing."""
        if self.stage not in STAGES or self.first_weight not in FIRST_WEIGHTS:
            raise ValueError(
                f"stage {self.stage!r} must be one of {', '.join(STAGES)}, first_weight {self.first_weight!r} one of "
                f"{', '.join(FIRST_WEIGHTS)}"
            )
        if self.lags < 0 or self.max_iterations < 2 or not 0.0 <= self.tolerance < math.inf:
            raise ValueError(
                f"lags ({self.lags}) and tolerance ({self.tolerance}) must be numbers of at least 0, max_iterations "
                f"({self.max_iterations}) at least 2"
            )


@dataclass(frozen=True, kw_only=True)
class LinearSdfSettings:
    """Which kernels are estimated, and when.

    Attributes
    ----------
    sizes : tuple of int
        Numbers of macro factors; each is tried without and with the bond factor, and the bond factor alone.
    min_months : int
        Months of returns before the first estimate; a portfolio with fewer, or with none in the last 12 months, is
        left out.
    refit_months : int
        Months from one estimate to the next.
    counted_most : tuple of int
        Largest numbers of factors for which the criteria of Bai and Ng are asked. 39 is the source's, one fewer than
        portfolios; what it allowed when it found 45 it does not say.
    gmm : GmmSettings
        How a kernel is estimated; an efficient stage, so that kernels can be tested against each other.
    """

    sizes: tuple[int, ...] = (7, 8, 9, 30)
    min_months: int = 120
    refit_months: int = 12
    counted_most: tuple[int, ...] = (39, 60)
    gmm: GmmSettings = field(default_factory=GmmSettings)

    def __post_init__(self) -> None:
        """Refuse settings under which nothing could be estimated."""
        for name, values in {"sizes": self.sizes, "counted_most": self.counted_most}.items():
            if not values or min(values) < 1 or len(set(values)) < len(values):
                raise ValueError(f"{name} {values} must be different whole numbers from 1 on")
        if self.min_months < 3 or self.refit_months < 1:
            raise ValueError(
                f"min_months ({self.min_months}) must be at least 3, refit_months ({self.refit_months}) at least 1"
            )
        if self.gmm.stage == FIRST_STAGE:
            raise ValueError(f"the stage {FIRST_STAGE} knows no test of one kernel against another: choose another")

    @property
    def specifications(self) -> tuple[tuple[int, bool], ...]:
        """The rows of the source's table 9: the number of macro factors, and whether the bond factor is there."""
        return (0, True), *((size, cp) for size in self.sizes for cp in (False, True))


@dataclass(frozen=True, kw_only=True)
class PredictiveSettings:
    """Errors and samples of the predictive regressions.

    Attributes
    ----------
    covariance : str
        Heteroskedasticity-robust covariance, ``HC0`` to ``HC3``, or ``HAC`` for that of Newey and West. HC1 multiplies
        White's by T / (T - K - 1). The source says robust to heteroskedasticity and no more; its returns do not
        overlap.
    lags : int
        Of ``HAC``, which has no factor T / (T - K - 1).
    min_months : int
        Fewest months of an asset, in sample and before its first forecast.
    refit_months : int
        Months from one table of regressions to the next; forecasts have new coefficients every month.
    """

    covariance: str = "HC1"
    lags: int = 4
    min_months: int = 120
    refit_months: int = 12

    def __post_init__(self) -> None:
        """Refuse unknown covariances and samples that mean nothing."""
        if self.covariance not in COVARIANCES:
            raise ValueError(f"covariance {self.covariance!r} must be one of {', '.join(COVARIANCES)}")
        if self.min_months < 3 or self.lags < 0 or self.refit_months < 1:
            raise ValueError(
                f"min_months ({self.min_months}) must be at least 3, lags ({self.lags}) 0, refit_months "
                f"({self.refit_months}) 1"
            )


@dataclass(frozen=True, kw_only=True)
class RegimeSettings:
    """How the states are estimated, and when.

    Attributes
    ----------
    n_states : tuple of int
        Numbers of states of the chains that are estimated month by month.
    min_months : int
        Months of returns before the first estimate; a portfolio with fewer, or with none in the last 12 months, is
        left out of an estimate.
    refit_months : int
        Months from one estimate to the next.
    n_starts : int
        Starts of the EM algorithm; the end with the highest posterior density is kept.
    start_months : int
        Each state of a start takes its mean from so many consecutive months drawn at random, its covariance half from
        them and half from the whole sample.
    persistence : float
        Probability of staying in a state at the start.
    prior_months : float
        Weight, in months, of the whole sample's covariance in that of each state: (prior S + sum of squares) / (prior +
        months of the state). Without it a state of fewer months than portfolios has a singular covariance and, for no
        good reason, an unbounded likelihood; 40 portfolios and three states are in reach of that.
    tolerance : float
        EM stops when the log posterior density changes by less.
    max_iterations : int
        Most iterations of a start; reaching it is recorded.
    seed : int
        Of the starts.
    """

    n_states: tuple[int, ...] = (2, 3)
    min_months: int = 120
    refit_months: int = 12
    n_starts: int = 50
    start_months: int = 24
    persistence: float = 0.9
    prior_months: float = 24.0
    tolerance: float = 1e-4
    max_iterations: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not self.n_states or len(set(self.n_states)) < len(self.n_states):
            raise ValueError(f"n_states {self.n_states} must name at least one number of states, and none twice")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed} must be at least 0")
        if min(*self.n_states, self.start_months, self.max_iterations, self.n_starts + 1, self.refit_months + 1) < 2:
            raise ValueError(
                "every n_states, start_months and max_iterations must be at least 2, n_starts and refit_months at "
                "least 1"
            )
        if self.min_months < max(self.n_states) * self.start_months:
            raise ValueError(
                f"min_months {self.min_months} must hold start_months {self.start_months} for each of "
                f"{max(self.n_states)} states"
            )
        if not (
            0.0 < self.persistence < 1.0 and 0.0 <= self.prior_months < math.inf and 0.0 < self.tolerance < math.inf
        ):
            raise ValueError(
                f"persistence ({self.persistence}) must lie between 0 and 1, prior_months ({self.prior_months}) be a "
                f"number of at least 0, tolerance ({self.tolerance}) a positive one"
            )
