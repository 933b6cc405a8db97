"""Every factor model there is: families of specifications that are estimated and compared side by side.

One entry a family: its name, what it is in words, the parts of a sample it takes and its specifications (a model with a
number of factors) under some settings. A new model is one more entry; assets, forecasts and tests enumerate these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.models.conditional_factors import ConditionalFactorModel
from pipeline.models.factor_model import FactorModel
from pipeline.models.ipca_model import InstrumentedComponents
from pipeline.models.logistic_factors import LogisticFactorModel
from pipeline.models.managed_portfolios import CONSTANT
from pipeline.models.observed_factors import OBSERVED, ObservedFactorModel, ZeroForecast
from pipeline.models.principal_components import PrincipalComponents


@dataclass(frozen=True, kw_only=True)
class FactorModelSettings:
    """Settings of all families of one market.

    Attributes
    ----------
    n_factors : tuple of int
        The numbers of factors K that are estimated.
    direction_factors : tuple of int
        The same for the models of the direction of returns, whose logistic loss takes the whole panel.
    min_months : int
        Months needed before the first estimation.
    refit_months : int
        Parameters are estimated anew every so many months; between, factors are carried on under the last ones.
    asset_months : int
        Returns an asset needs to have loadings of its own.
    instrument_months : int
        Months in which a characteristic must be seen to have loadings.
    starts : int
        Starting values of the first estimation; later ones start from last month's parameters.
    max_iterations : int
        Steps after which a search stops and says so; one without an earlier result searches twice, under soft limits on
        the factors and under stiff ones.
    max_inflation, norm, max_norm : float, str and float
        Limits on the factors with memory; see :class:`pipeline.models.conditional_factors.ConditionalFactorModel`.
    rp_gamma : float
        Weight of the squared means in RP-PCA.
    """

    n_factors: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    direction_factors: tuple[int, ...] = (1,)
    min_months: int = 120
    refit_months: int = 1
    asset_months: int = 60
    instrument_months: int = 24
    starts: int = 3
    max_iterations: int = 100
    max_inflation: float = 2.0
    norm: str = "rms"
    max_norm: float = 1.0
    rp_gamma: float = 10.0

    def __post_init__(self) -> None:
        """Refuse settings that no history could satisfy."""
        if not self.n_factors or min((*self.n_factors, *self.direction_factors)) < 1:
            raise ValueError(f"n_factors is {list(self.n_factors)}; name at least one positive number")
        if self.refit_months < 1 or self.min_months < 24:
            raise ValueError(
                f"refit_months ({self.refit_months}) must be at least 1, min_months ({self.min_months}) at least 24"
            )
        if self.asset_months > self.min_months:
            raise ValueError(
                f"asset_months ({self.asset_months}) is more than min_months ({self.min_months}), so that no asset "
                "would have loadings of its own in the first month"
            )
        for family in FAMILIES.values():
            family.specifications(self)


@dataclass(frozen=True)
class Specification:
    """A model with a number of factors, what estimates it, and the observed factors it takes."""

    model: str
    n_factors: int
    estimator: FactorModel
    observed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As states and messages name it."""
        return f"{self.model}.{self.n_factors}"


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models that are estimated together.

    Attributes
    ----------
    name : str
        Part of the asset's name.
    title : str
        What it is, to follow "Estimates of".
    needs : tuple of str
        Parts of a sample.
    needs_without : tuple of str or None
        The parts where assets have no characteristics; None where the family can't do without.
    specifications : callable
        From the settings to the specifications.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    needs_without: tuple[str, ...] | None
    specifications: Callable[[FactorModelSettings], Sequence[Specification]]


def _search(settings: FactorModelSettings) -> dict[str, Any]:
    """Give the settings that all conditional factor models share."""
    return {
        "starts": settings.starts,
        "max_inflation": settings.max_inflation,
        "norm": settings.norm,
        "max_norm": settings.max_norm,
        "max_iterations": settings.max_iterations,
        "instrument_months": settings.instrument_months,
        "asset_months": settings.asset_months,
    }


def _conditional(name: str, title: str, recurrent: bool, conditional: bool) -> Family:
    def specifications(settings: FactorModelSettings) -> list[Specification]:
        return [
            Specification(
                name,
                K,
                ConditionalFactorModel(K, recurrent=recurrent, conditional=conditional, **_search(settings)),
            )
            for K in settings.n_factors
        ]

    needs = ("instruments", "statistics" if conditional else "returns")
    without = None if conditional else needs
    return Family(name=name, title=title, needs=needs, needs_without=without, specifications=specifications)


def _direction(settings: FactorModelSettings) -> list[Specification]:
    return [
        Specification(
            f"{name}_logit",
            K,
            LogisticFactorModel(K, recurrent=recurrent, conditional=conditional, **_search(settings)),
        )
        for name, recurrent, conditional in _VARIANTS
        for K in settings.direction_factors
    ]


def _observed(conditional: bool) -> Callable[[FactorModelSettings], list[Specification]]:
    def specifications(settings: FactorModelSettings) -> list[Specification]:
        found = []
        for name, factors in OBSERVED.items():
            model = f"{name}_conditional" if conditional else name
            estimator = ObservedFactorModel(
                factors,
                model=model,
                conditional=conditional,
                asset_months=settings.asset_months,
                instrument_months=settings.instrument_months,
            )
            found.append(Specification(model, len(factors), estimator, factors))
        return found

    return specifications


def _components(model: str) -> Callable[[FactorModelSettings], list[Specification]]:
    def specifications(settings: FactorModelSettings) -> list[Specification]:
        gamma = settings.rp_gamma if model == "rp_pca" else None
        return [
            Specification(
                model, K, PrincipalComponents(K, model=model, gamma=gamma, asset_months=settings.asset_months)
            )
            for K in settings.n_factors
        ]

    return specifications


def _instrumented(settings: FactorModelSettings) -> list[Specification]:
    return [
        Specification(
            "ipca",
            K,
            InstrumentedComponents(K, starts=settings.starts, instrument_months=settings.instrument_months),
        )
        for K in settings.n_factors
    ]


def _naive(settings: FactorModelSettings) -> list[Specification]:
    mean = ObservedFactorModel((CONSTANT,), model="mean", asset_months=settings.asset_months)
    return [Specification("mean", 1, mean), Specification("zero", 0, ZeroForecast())]


_VARIANTS = (("cfm", False, False), ("rcfm", True, False), ("dcfm", False, True), ("rdcfm", True, True))

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        _conditional("cfm", "conditional factors, loadings of single assets", False, False),
        _conditional("rcfm", "conditional factors with memory, loadings of single assets", True, False),
        _conditional("dcfm", "conditional factors, loadings on characteristics", False, True),
        _conditional("rdcfm", "conditional factors with memory, loadings on characteristics", True, True),
        Family(
            name="direction",
            title="the four conditional factor models for the sign of the return, by logistic loss",
            needs=("instruments", "returns", "panel"),
            needs_without=None,
            specifications=_direction,
        ),
        Family(
            name="observed",
            title="CAPM, Fama-French, Carhart and q factors, loadings of single assets",
            needs=("observed", "returns"),
            needs_without=("observed", "returns"),
            specifications=_observed(conditional=False),
        ),
        Family(
            name="observed_conditional",
            title="CAPM, Fama-French, Carhart and q factors, loadings on characteristics",
            needs=("observed", "statistics"),
            needs_without=None,
            specifications=_observed(conditional=True),
        ),
        Family(
            name="pca",
            title="principal components of managed portfolios, loadings of single assets",
            needs=("statistics", "returns"),
            needs_without=("returns",),
            specifications=_components("pca"),
        ),
        Family(
            name="rp_pca",
            title="risk-premium principal components of managed portfolios, loadings of single assets",
            needs=("statistics", "returns"),
            needs_without=("returns",),
            specifications=_components("rp_pca"),
        ),
        Family(
            name="ipca_sizes",
            title="instrumented principal components with each number of factors",
            needs=("statistics",),
            needs_without=None,
            specifications=_instrumented,
        ),
        Family(
            name="naive",
            title="each asset's prevailing mean, and the forecast zero",
            needs=("statistics", "returns"),
            needs_without=("returns",),
            specifications=_naive,
        ),
    )
}
"""By name."""
