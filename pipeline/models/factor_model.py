"""The shape that every factor model shares: what a fit may use, and the result that forecasts.

Here belong the sample of one estimation, loadings of the two kinds (on characteristics, of single assets) and the
frozen result. How a model finds its parameters stands in its own module; which models there are in
:mod:`pipeline.models.families`; re-estimation month by month in :mod:`pipeline.models.recursion`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.special import expit

from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.models.storage import below, load_arrays, save_arrays

_EPOCH = date(1970, 1, 1)
_COUNTS = ("n_parameters", "iterations", "converged", "n_carried")

# A part of a sample that is not given. Models ask for what they need first, so the types need not say it each time.
_ABSENT: Any = None

IDENTITY, LOGISTIC = "identity", "logistic"
LINKS = {IDENTITY: lambda index: index, LOGISTIC: expit}
"""From the index f'b to the forecast: the expected return itself, or the probability that the return is positive."""


@dataclass(frozen=True, kw_only=True)
class MonthlySeries:
    """Series that all assets share: factor instruments or observed factors.

    Attributes
    ----------
    months : tuple of date
        T months, ascending.
    names : tuple of str
        The P series.
    values : np.ndarray
        (T, P) decimals; NaN where a series has no value; a sample begins where all have begun.
    """

    months: tuple[date, ...]
    names: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.values.shape != (len(self.months), len(self.names)):
            raise ValueError(f"values have shape {self.values.shape}, expected {len(self.months), len(self.names)}")

    def complete(self) -> MonthlySeries:
        """Return the series, which must have a value in every month: a factor model has no rule for one without.

        Raises
        ------
        ValueError
            If one is missing in a month.
        """
        bad = ~np.isfinite(self.values)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ValueError(
                f"{self.names[column]} of {self.months[row]:%Y-%m} is missing ({int(bad.any(axis=1).sum())} months in "
                "all); begin the sample later, end it earlier or leave the series out"
            )
        return self

    @property
    def n_before(self) -> int:
        """Months before all series have begun."""
        return int((~np.logical_or.accumulate(np.isfinite(self.values), axis=0).all(axis=1)).sum())

    def take(self, which: slice | np.ndarray) -> MonthlySeries:
        """Return the months selected by a slice or a boolean mask."""
        return replace(self, months=_selected(self.months, which), values=self.values[which])

    def columns(self, names: Sequence[str]) -> MonthlySeries:
        """Return some of the series, complete.

        Raises
        ------
        ValueError
            If one is not there, or begins late.
        """
        absent = [name for name in names if name not in self.names]
        if absent:
            raise ValueError(f"the series {absent} are not there; there are {list(self.names)}")
        places = [self.names.index(name) for name in names]
        return replace(self, names=tuple(names), values=self.values[:, places]).complete()


@dataclass(frozen=True, kw_only=True)
class AssetReturns:
    """Excess returns of single assets, for models whose loadings are free for each asset.

    Attributes
    ----------
    months : tuple of date
        T months, ascending.
    assets : tuple of str
        N identifiers.
    values : np.ndarray
        (T, N) decimals, NaN where an asset has no return.
    """

    months: tuple[date, ...]
    assets: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        """Check the shape, the identifiers and that no return is infinite."""
        if self.values.shape != (len(self.months), len(self.assets)):
            raise ValueError(f"values have shape {self.values.shape}, expected {len(self.months), len(self.assets)}")
        if len(set(map(str, self.assets)) & set(self.assets)) < len(self.assets):
            raise ValueError("assets are identified by text, each once; cast them, and keep one column an asset")
        infinite = np.argwhere(np.isinf(self.values))
        if len(infinite):
            row, column = infinite[0]
            raise ValueError(
                f"{len(infinite)} returns are infinite, the first of {self.assets[column]} in "
                f"{self.months[row]:%Y-%m}; make them missing"
            )

    def take(self, which: slice | np.ndarray) -> AssetReturns:
        """Return the months selected by a slice or a boolean mask; assets without a return in them are dropped."""
        values = self.values[which]
        seen = ~np.isnan(values).all(axis=0)
        assets = tuple(asset for asset, there in zip(self.assets, seen, strict=True) if there)
        return AssetReturns(months=_selected(self.months, which), assets=assets, values=values[:, seen])


@dataclass(frozen=True, kw_only=True)
class PooledPanel:
    """All asset-months one below the other, for losses that do not go through sufficient statistics.

    Attributes
    ----------
    months : tuple of date
        T months, ascending.
    bounds : np.ndarray
        (T + 1,) month t has the rows bounds[t] to bounds[t + 1].
    characteristics : np.ndarray
        (rows, L) instruments of the loadings, the constant last.
    returns : np.ndarray
        (rows,) excess returns, decimals, finite.
    assets : np.ndarray
        (rows,) identifiers, str.
    names : tuple of str
        The L instruments.
    """

    months: tuple[date, ...]
    bounds: np.ndarray
    characteristics: np.ndarray
    returns: np.ndarray
    assets: np.ndarray
    names: tuple[str, ...]

    def take(self, which: slice) -> PooledPanel:
        """Return consecutive months."""
        first, last, _ = which.indices(len(self.months))
        rows = slice(int(self.bounds[first]), int(self.bounds[last]))
        return replace(
            self,
            months=self.months[which],
            bounds=self.bounds[first : last + 1] - self.bounds[first],
            characteristics=self.characteristics[rows],
            returns=self.returns[rows],
            assets=self.assets[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one estimation may use; every part has the same months and a model takes the parts it needs.

    Parts that are not given are None; :meth:`require` comes before any use.

    Attributes
    ----------
    statistics : SufficientStatistics
        X = C'r, W = C'C, r'r of each month: all that a regression with loadings on characteristics needs.
    instruments : MonthlySeries
        Factor instruments, without the constant.
    observed : MonthlySeries
        Published factors.
    returns : AssetReturns
        For loadings of single assets.
    panel : PooledPanel
        For the logistic loss with loadings on characteristics.
    """

    statistics: SufficientStatistics = _ABSENT
    instruments: MonthlySeries = _ABSENT
    observed: MonthlySeries = _ABSENT
    returns: AssetReturns = _ABSENT
    panel: PooledPanel = _ABSENT

    def __post_init__(self) -> None:
        """Check that the parts have the same months."""
        given = {name: part.months for name, part in self.parts.items()}
        if not given:
            raise ValueError("the sample is empty; give it at least one part")
        first, *others = given
        for other in others:
            if given[other] != given[first]:
                raise ValueError(
                    f"{first} cover {_span(given[first])}, {other} {_span(given[other])}; give them the same months"
                )

    @property
    def parts(self) -> dict[str, Any]:
        """The parts that are there, by name."""
        return {name: part for name, part in vars(self).items() if part is not None}

    @property
    def months(self) -> tuple[date, ...]:
        """The T months."""
        return next(iter(self.parts.values())).months

    def through(self, month: date) -> Sample:
        """Return the months up to and including ``month``."""
        return self.first(sum(each <= month for each in self.months))

    def after(self, month: date) -> Sample:
        """Return the months after ``month``."""
        return self._take(slice(sum(each <= month for each in self.months), None))

    def first(self, n_months: int) -> Sample:
        """Return the first so many months."""
        return self._take(slice(0, n_months))

    def _take(self, which: slice) -> Sample:
        return Sample(**{name: part.take(which) for name, part in self.parts.items()})

    def begun(self, observed: Sequence[str]) -> Sample:
        """Return the months in which all factor instruments and the named observed factors are there."""
        late = [] if self.instruments is None else [self.instruments]
        if self.observed is not None and observed:
            places = [self.observed.names.index(name) for name in observed]
            late.append(replace(self.observed, names=tuple(observed), values=self.observed.values[:, places]))
        first = max((part.n_before for part in late), default=0)
        return self._take(slice(first, None)) if first else self

    def require(self, *names: str) -> None:
        """Refuse a fit without the parts it needs.

        Raises
        ------
        ValueError
            If one is absent, or a factor instrument is missing in a month.
        """
        absent = [name for name in names if name not in self.parts]
        if absent:
            raise ValueError(f"the model needs {', '.join(absent)}, the sample has {', '.join(self.parts)}")
        if "instruments" in names and self.instruments is not None:
            self.instruments.complete()


@dataclass(frozen=True, kw_only=True)
class CrossSection:
    """The assets of one month for which a forecast is wanted.

    Attributes
    ----------
    assets : np.ndarray
        (N,) identifiers, str.
    characteristics : np.ndarray or None
        (N, L) instruments known at the end of the month, the constant last.
    """

    assets: np.ndarray
    characteristics: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse identifiers that no loadings could have."""
        if self.assets.size and not isinstance(self.assets[0], str):
            raise ValueError(f"assets are identified by text, not by {type(self.assets[0]).__name__}; cast them")


@dataclass(frozen=True, kw_only=True)
class CharacteristicLoadings:
    """Loadings that are linear in characteristics: B_t = C_t Gamma.

    Attributes
    ----------
    names : tuple of str
        The L instruments, the constant last.
    gamma : np.ndarray
        (L, K).
    """

    names: tuple[str, ...]
    gamma: np.ndarray

    def index(self, cross_section: CrossSection, factor: np.ndarray) -> np.ndarray:
        """Return C Gamma f, (N,).

        Raises
        ------
        ValueError
            If the cross-section has no characteristics or another number of them.
        """
        matrix = cross_section.characteristics
        if matrix is None or matrix.shape[1] != len(self.names):
            found = "none" if matrix is None else str(matrix.shape[1])
            raise ValueError(f"the loadings take {len(self.names)} characteristics, the cross-section has {found}")
        return matrix @ (self.gamma @ factor)


@dataclass(frozen=True, kw_only=True)
class AssetLoadings:
    """Loadings of single assets that do not change over time.

    Attributes
    ----------
    assets : tuple of str
        N identifiers.
    betas : np.ndarray
        (N, K), NaN for an asset with too few months.
    """

    assets: tuple[str, ...]
    betas: np.ndarray

    def index(self, cross_section: CrossSection, factor: np.ndarray) -> np.ndarray:
        """Return B f, (N,), NaN for assets without loadings."""
        known, index = np.array(self.assets), np.full(len(cross_section.assets), np.nan)
        if not len(known):
            return index
        order = np.argsort(known)
        places = order[np.minimum(np.searchsorted(known, cross_section.assets, sorter=order), len(known) - 1)]
        found = known[places] == cross_section.assets
        index[found] = (self.betas @ factor)[places[found]]
        return index


Loadings = CharacteristicLoadings | AssetLoadings


@dataclass(frozen=True, kw_only=True)
class FactorModelResult:
    """Parameters and factors of one estimation, and the forecast they make.

    Attributes
    ----------
    model : str
        Name of the model, e.g. ``rdcfm``.
    months : tuple of date
        T months: those of the estimation, and those to which the factors were carried on.
    factors : np.ndarray
        (T, K).
    expected_factor : np.ndarray
        (K,) the factors expected for the month after the last.
    loadings : CharacteristicLoadings or AssetLoadings
        Of the K factors.
    n_parameters : int
        Free parameters, counted as tables 3 and 10 of the source do.
    loss : float
        Sum of squared errors, or of logistic losses, over the months of the estimation.
    squares : float
        The same loss of the forecast zero (of even odds).
    iterations : int
        Steps of the kept start; 0 for a closed form.
    converged : bool
        Whether the stopping rule was met.
    parameters : mapping of str to np.ndarray
        What else the model needs to go on from here.
    link : str
        ``identity`` or ``logistic``.
    n_carried : int
        Months, the last ones, that came after the estimation: they moved the factors and no parameter.
    """

    model: str
    months: tuple[date, ...]
    factors: np.ndarray
    expected_factor: np.ndarray
    loadings: Loadings
    n_parameters: int
    loss: float
    squares: float
    iterations: int = 0
    converged: bool = True
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    link: str = IDENTITY
    n_carried: int = 0

    @property
    def n_factors(self) -> int:
        """K."""
        return self.factors.shape[1]

    @property
    def n_estimated(self) -> int:
        """Months of the estimation."""
        return len(self.months) - self.n_carried

    def carried_on(self, months: tuple[date, ...], factors: np.ndarray) -> FactorModelResult:
        """Return the result with (S,) later months and their (S, K) factors; expected are the means over all T + S."""
        # One layout in memory, else the means of a state that was stored would differ by rounding from its own.
        every, carried = np.vstack([self.factors, factors]).copy(order="C"), self.n_carried + len(months)
        moved = replace(self, months=self.months + months, factors=every, n_carried=carried)
        return replace(moved, expected_factor=every.mean(axis=0))

    @property
    def total_r2(self) -> float | None:
        """1 - loss / loss of the forecast zero, in sample; None where the latter is zero."""
        return 1.0 - self.loss / self.squares if self.squares > 0.0 else None

    def forecast(self, cross_section: CrossSection) -> np.ndarray:
        """Return the forecasts for the month after the last.

        Parameters
        ----------
        cross_section : CrossSection
            Assets, and their characteristics at the end of the last month where the loadings need them.

        Returns
        -------
        np.ndarray
            (N,) expected excess returns, decimals, or probabilities of a positive one under the logistic link; NaN for
            an asset without loadings.
        """
        return LINKS[self.link](self.loadings.index(cross_section, self.expected_factor))

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the result as named arrays and named strings, without loss of precision."""
        arrays = {
            "factors": self.factors,
            "expected_factor": self.expected_factor,
            "months": np.array([(month - _EPOCH).days for month in self.months], dtype=np.int32),
            "numbers": np.array([self.loss, self.squares]),
            **{f"parameter.{name}": array for name, array in self.parameters.items()},
        }
        counts = json.dumps({name: getattr(self, name) for name in _COUNTS})
        text = {"model": self.model, "link": self.link, "counts": counts}
        if isinstance(self.loadings, CharacteristicLoadings):
            return arrays | {"gamma": self.loadings.gamma}, text | {"names": json.dumps(self.loadings.names)}
        return arrays | {"betas": self.loadings.betas}, text | {"assets": json.dumps(self.loadings.assets)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> FactorModelResult:
        """Rebuild what :meth:`to_arrays` gave."""
        loadings: Loadings = (
            CharacteristicLoadings(names=tuple(json.loads(text["names"])), gamma=arrays["gamma"])
            if "gamma" in arrays
            else AssetLoadings(assets=tuple(json.loads(text["assets"])), betas=arrays["betas"])
        )
        return cls(
            model=text["model"],
            months=tuple(_EPOCH + timedelta(days=int(days)) for days in arrays["months"]),
            factors=arrays["factors"],
            expected_factor=arrays["expected_factor"],
            loadings=loadings,
            loss=float(arrays["numbers"][0]),
            squares=float(arrays["numbers"][1]),
            parameters=below(arrays, "parameter."),
            link=text["link"],
            **json.loads(text["counts"]),
        )

    def save(self, path: Path) -> None:
        """Write the result to one safetensors file."""
        save_arrays(path, *self.to_arrays())

    @classmethod
    def load(cls, path: Path) -> FactorModelResult:
        """Read a result that :meth:`save` wrote, bit for bit."""
        return cls.from_arrays(*load_arrays(path))


class FactorModel(Protocol):
    """An estimator: settings in its constructor, no state of its own."""

    needs: tuple[str, ...]
    """The parts of a :class:`Sample` it takes."""

    def fit(self, sample: Sample, start: FactorModelResult | None = None) -> FactorModelResult:
        """Estimate from all months of the sample and no others, from an earlier result where that helps."""

    def extend(self, result: FactorModelResult, sample: Sample) -> FactorModelResult:
        """Return the result with its parameters as they are and its factors carried on to the sample's last month."""


def _selected(months: tuple[date, ...], which: slice | np.ndarray) -> tuple[date, ...]:
    return tuple(np.array(months, dtype=object)[which])


def _span(months: tuple[date, ...]) -> str:
    return f"{months[0]:%Y-%m} to {months[-1]:%Y-%m}, {len(months)} months" if months else "no months"
