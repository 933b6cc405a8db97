"""Conditional factor models: factors that are functions of observed instruments, with or without memory.

One estimator with two switches gives the family CFM, RCFM, DCFM and RDCFM. Here belong the estimator, its starting
values and the fixing of signs, order and rotation. The recursion of the factors, the losses and the constraints stand
in modules of their own; so does the variant for directions (:mod:`pipeline.models.logistic_factors`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from pipeline.models import factor_recursion
from pipeline.models.concentrated_loss import (
    AssetLoss,
    CharacteristicLoss,
    ConcentratedLoss,
    Profile,
    assets_with_loadings,
)
from pipeline.models.factor_constraints import NORMS, SOFT, STIFF, Penalty, penalty
from pipeline.models.factor_model import (
    AssetLoadings,
    CharacteristicLoadings,
    FactorModelResult,
    Loadings,
    MonthlySeries,
    Sample,
)
from pipeline.models.factor_recursion import FactorPath, Parameters
from pipeline.models.factor_search import Found, Search

# Factors of a cold start: typical size, well inside the nearly straight part of tanh.
_START_SIZE = 0.3

# Value and gradient are of order one, so descent drowns in rounding at gradients of about the root of 1e-16.
_ROUNDED_GRADIENT = 1e-7

# A spread of so little beside the values themselves is none.
_ROUNDED_SPREAD = 1e-12

# Spread of the entries of AR in cold starts other than the first.
_START_MEMORY = 0.3


@dataclass(frozen=True)
class Scale:
    """How instruments enter: centred on the window and, for the optimiser, divided by their standard deviations.

    Attributes
    ----------
    centre, spread : np.ndarray
        (P - 1,) of the instruments without the constant.
    """

    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, instruments: MonthlySeries) -> Scale:
        """Measure a window.

        Raises
        ------
        ValueError
            If an instrument does not vary in it.
        """
        spread = instruments.values.std(axis=0)
        # The standard deviation of a value that does not vary is its rounding, seldom zero.
        rounding = _ROUNDED_SPREAD * np.abs(instruments.values).max(axis=0)
        constant = [name for name, flat in zip(instruments.names, spread <= rounding, strict=True) if flat]
        if constant:
            raise ValueError(f"the factor instruments {constant} do not vary in the window; leave them out")
        return cls(instruments.values.mean(axis=0), spread)

    def matrix(self, instruments: MonthlySeries) -> np.ndarray:
        """Return the (T, P) standardised instruments, the constant first."""
        scaled = (instruments.values - self.centre) / self.spread
        return np.column_stack([np.ones(len(scaled)), scaled])

    def to_units(self, parameters: Parameters) -> Parameters:
        """Return Omega for instruments that are centred but not divided."""
        return replace(parameters, omega=parameters.omega / np.r_[1.0, self.spread][:, None])

    def from_units(self, parameters: Parameters, centre: np.ndarray) -> Parameters:
        """Return the parameters of another window, centred on ``centre``, for the instruments scaled here."""
        omega = parameters.omega.copy()
        omega[0] += (self.centre - centre) @ omega[1:]
        return replace(parameters, omega=omega * np.r_[1.0, self.spread][:, None])


class ConditionalFactorModel:
    """Least squares estimator of r_t = f_t B_t' + e_t with f_t = z_t Omega + tanh(f_{t-1}) AR.

    Parameters
    ----------
    n_factors : int
        K.
    recurrent : bool
        Whether the factors have a memory (AR and f_0 are free) or AR is zero.
    conditional : bool
        Whether loadings are linear in characteristics, B_t = C_t Gamma, or free for each asset.
    starts : int, optional
        Starting values of a fit without an earlier result; the lowest loss is kept.
    max_inflation : float, optional
        Largest variance inflation factor of the factors.
    norm, max_norm : str and float, optional
        Reading of the scaled norm of a factor (:data:`pipeline.models.factor_constraints.NORMS`) and its limit.
    tolerance : float, optional
        Largest entry of the gradient of 1 - R2 by the parameters, instruments standardised.
    max_iterations : int, optional
        Steps after which a fit stops with ``converged`` False.
    instrument_months : int, optional
        Months in which a characteristic must be seen to have loadings; see :class:`pipeline.models.ipca.IPCA`.
    asset_months : int, optional
        Returns an asset needs to have loadings of its own; over these months the instruments must not be collinear.

    Notes
    -----
    Equation 11. Gamma (or each asset's betas) is solved in closed form given the factors (equation 13), so that Omega,
    AR and f_0 alone are searched. The gradient runs backward through time with the loadings held fixed (envelope
    theorem); the curvature is exact, from forward sensitivities, and the search is a trust region Newton
    (``trust-exact`` of scipy) where the paper takes BFGS: a tenth of the iterations; a warm start ends after a few.

    The factors' instruments are a constant and the sample's, centred on the window. The forecast takes their mean:
    f_{t+1} = (1, 0, ..., 0) Omega + tanh(f_t) AR (equation 15).

    Identification: with memory, sign and order alone are free (tanh is odd): factors stand in the order of what they
    explain, their means are not negative. Without, any rotation is; F'F/T is diagonal and descending, Gamma'Gamma = I
    (betas: B'B/N = I), means not negative, and the limits on the factors say nothing and are not imposed. The loss with
    memory is never above that of the nested model without, as found from the reduced rank regression: strong memory
    makes the recursion chaotic and the loss rough, so that a search from last month's parameters can get stuck.
    """

    def __init__(
        self,
        n_factors: int,
        *,
        recurrent: bool,
        conditional: bool,
        starts: int = 3,
        max_inflation: float = 2.0,
        norm: str = "rms",
        max_norm: float = 1.0,
        tolerance: float = 1e-8,
        max_iterations: int = 100,
        instrument_months: int = 24,
        asset_months: int = 60,
    ) -> None:
        if n_factors < 1 or starts < 1 or max_iterations < 1:
            raise ValueError(
                f"n_factors ({n_factors}), starts ({starts}) and max_iterations ({max_iterations}) must be positive"
            )
        if norm not in NORMS:
            raise ValueError(f"norm is {norm!r}; the readings are {', '.join(NORMS)}")
        if max_inflation <= 1.0 or max_norm <= 0.0 or tolerance <= 0.0:
            raise ValueError(
                f"max_inflation ({max_inflation}) must exceed 1, max_norm ({max_norm}) and tolerance ({tolerance}) 0"
            )
        self.n_factors = n_factors
        self.recurrent = recurrent
        self.conditional = conditional
        self.starts = starts
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.instrument_months = instrument_months
        self.asset_months = asset_months
        self.penalty = penalty(n_factors, max_inflation, norm, max_norm) if recurrent else Penalty(())
        self.model = {(False, False): "cfm", (True, False): "rcfm", (False, True): "dcfm", (True, True): "rdcfm"}[
            recurrent, conditional
        ]
        self.needs: tuple[str, ...] = ("instruments", "statistics" if conditional else "returns")

    def fit(self, sample: Sample, start: FactorModelResult | None = None) -> FactorModelResult:
        """Estimate from all months of the sample and no others.

        Parameters
        ----------
        sample : Sample
            Factor instruments, and managed portfolios or the returns of single assets.
        start : FactorModelResult, optional
            Earlier result of the same model to start from.

        Returns
        -------
        FactorModelResult
            ``parameters`` hold omega (P, K; the constant first, the others per unit of the instrument), ar (K, K) and
            initial (K,) where there is memory, and centre (P - 1,); ``converged`` is False when the search stopped
            early or a limit on the factors is not kept.

        Raises
        ------
        ValueError
            If a part of the sample is absent, an instrument does not vary, the months are too few, no asset has enough
            months, the factors come out collinear, or ``start`` belongs to another model.
        """
        sample.require(*self.needs)
        self._check(sample, start)
        scale = Scale.of(sample.instruments)
        instruments = scale.matrix(sample.instruments)
        loss = self._loss(sample, instruments)
        if not loss.squares > 0.0:
            raise ValueError(
                f"{self.model} finds no returns to explain: every asset has fewer months than are needed (or months in "
                "which the instruments are collinear), or all are zero"
            )
        if loss.width < self.n_factors:
            raise ValueError(
                f"{self.n_factors} factors need as many {self.needs[1]} with enough months; there are {loss.width}; "
                "use fewer factors"
            )
        search = Search(instruments, loss, self.n_factors, self.penalty)
        try:
            found = self._found(search, sample, scale, start)
            lowest = min(value for value, *_ in found)
            _, parameters, iterations, stopped = next(each for each in found if each[0] <= lowest + 1e-12)
            path, profile = search.visit(parameters)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"{self.n_factors} factors of {list(sample.instruments.names)} come out collinear; use fewer factors "
                "or leave out an instrument that repeats others"
            ) from error
        path, loadings = self._identified(path, profile, search)
        return self._result(sample, scale, path, loadings, profile, loss, iterations, stopped)

    def extend(self, result: FactorModelResult, sample: Sample) -> FactorModelResult:
        """Carry the factors on to the sample's last month, the parameters as they are.

        Raises
        ------
        ValueError
            If the sample has no factor instruments.
        """
        sample.require("instruments")
        stored = result.parameters
        parameters = Parameters(stored["omega"], stored.get("ar"), stored.get("initial"))
        factors = factor_recursion.run(instrument_matrix(sample.instruments, stored["centre"]), parameters).factors
        return replace(
            result,
            months=sample.months,
            factors=factors,
            expected_factor=parameters.step(np.eye(len(parameters.omega))[0], factors[-1]),
            n_carried=len(sample.months) - result.n_estimated,
        )

    def _check(self, sample: Sample, start: FactorModelResult | None) -> None:
        names = sample.instruments.names
        periods = len(sample.months)
        if periods <= len(names) + 1 + self.n_factors:
            raise ValueError(
                f"{periods} months for {len(names)} factor instruments and {self.n_factors} factors; lengthen the "
                "window or use fewer"
            )
        responses = sample.statistics.names if self.conditional else sample.returns.assets
        if self.n_factors > min(len(names) + 1, len(responses)):
            raise ValueError(
                f"{self.n_factors} factors need as many factor instruments and {self.needs[1]}; there are "
                f"{len(names) + 1}, the constant included, and {len(responses)}; use fewer factors"
            )
        if start is not None and (start.model, start.parameters["omega"].shape) != (
            self.model,
            (len(names) + 1, self.n_factors),
        ):
            raise ValueError(f"the starting result is of another model than {self.model}; start cold")

    def _loss(self, sample: Sample, instruments: np.ndarray) -> ConcentratedLoss:
        if self.conditional:
            return CharacteristicLoss(sample.statistics, self.instrument_months)
        return AssetLoss(sample.returns, assets_with_loadings(sample.returns, instruments, self.asset_months))

    def _found(self, search: Search, sample: Sample, scale: Scale, start: FactorModelResult | None) -> list[Found]:
        """Search from the earlier result, or cold."""
        if not self.recurrent:
            regressed = Parameters(search.reduced_rank(sample))
            initial = _mixtures(regressed, self.starts) if start is None else [earlier(start, scale, sized=True)]
            return [self._minimise(search, each, (STIFF,)) for each in initial]
        static = self._without_memory(search, sample)
        found = [] if start is None else [self._minimise(search, earlier(start, scale), (STIFF,))]
        # A search that stopped early is stuck where the loss is rough: it says nothing against searching anew.
        if not found or not found[0][-1]:
            found += [self._minimise(search, each, (SOFT, STIFF)) for each in _memories(static, self.starts)]
        if static.loss < min(value for value, *_ in found) * search.loss.squares:
            # From the nested model, which keeps every limit, the value can only fall.
            found += [self._minimise(search, each, (STIFF,)) for each in _memories(static, 1)]
        return found

    def _without_memory(self, search: Search, sample: Sample) -> _Static:
        """Minimise the nested model without memory, whose factors are then turned until they are uncorrelated."""
        plain = Search(search.instruments, search.loss, self.n_factors, Penalty(()))
        (regressed,) = _mixtures(Parameters(search.reduced_rank(sample)), 1)
        _, found, *_ = self._minimise(plain, regressed, (STIFF,))
        path, profile = plain.visit(found)
        moved = path.factors - path.factors.mean(axis=0)
        # Uncorrelated factors have no variance inflation, so that they keep every limit at any size.
        rotation = np.linalg.eigh(moved.T @ moved)[1][:, ::-1]
        return _Static(found.omega @ rotation, path.factors @ rotation, profile.loss)

    def _minimise(self, search: Search, initial: Parameters, weights: Sequence[float]) -> Found:
        iterations = 0
        if not search.begin(initial, STIFF).size:
            # Without memory as many factors as instruments span the same whatever Omega: there is nothing to search.
            return search.visit(initial)[1].loss / search.loss.squares, initial, 0, True
        for weight in weights:
            outcome = minimize(
                search.value_and_gradient,
                search.begin(initial, weight),
                jac=True,
                hess=search.hessian,
                method="trust-exact",
                options={"gtol": self.tolerance, "maxiter": self.max_iterations},
            )
            initial, iterations = search.parameters(outcome.x), iterations + int(outcome.nit)
        # The search also ends where rounding hides any further descent: a gradient below the root of that is as good.
        stopped = bool(np.abs(outcome.jac).max() <= max(self.tolerance, _ROUNDED_GRADIENT))
        return float(outcome.fun), initial, iterations, stopped

    def _identified(self, path: FactorPath, profile: Profile, search: Search) -> tuple[FactorPath, np.ndarray]:
        """Fix sign and order, or the rotation where there is no memory."""
        turn = _order(path, profile.loadings) if self.recurrent else self._rotation(path, profile.loadings)
        inverse = np.linalg.inv(turn)
        held = path.parameters
        turned = (
            Parameters(held.omega @ turn, inverse @ held.ar @ turn, held.initial @ turn)
            if held.ar is not None
            else Parameters(held.omega @ turn)
        )
        return factor_recursion.run(search.instruments, turned), profile.loadings @ inverse.T

    def _rotation(self, path: FactorPath, loadings: np.ndarray) -> np.ndarray:
        """Return the turn R, f R, after which loadings are orthonormal and F'F/T is diagonal and descending."""
        held = loadings[np.isfinite(loadings).all(axis=1)]
        _, triangle = np.linalg.qr(held)
        if not self.conditional:
            triangle /= np.sqrt(len(held))
        scaled = path.factors @ triangle.T
        turn = triangle.T @ np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1]
        return turn * np.where((path.factors @ turn).mean(axis=0) < 0.0, -1.0, 1.0)

    def _result(
        self,
        sample: Sample,
        scale: Scale,
        path: FactorPath,
        loadings: np.ndarray,
        profile: Profile,
        loss: ConcentratedLoss,
        iterations: int,
        stopped: bool,
    ) -> FactorModelResult:
        units = scale.to_units(path.parameters)
        arrays = {"omega": units.omega, "ar": units.ar, "initial": units.initial, "centre": scale.centre}
        constant = np.eye(len(units.omega))[0]
        held: Loadings = (
            CharacteristicLoadings(names=sample.statistics.names, gamma=loadings)
            if self.conditional
            else AssetLoadings(assets=sample.returns.assets, betas=loadings)
        )
        return FactorModelResult(
            model=self.model,
            months=sample.months,
            factors=path.factors,
            expected_factor=units.step(constant, path.factors[-1]),
            loadings=held,
            n_parameters=units.size + int(np.isfinite(loadings).sum()),
            loss=profile.loss,
            squares=loss.squares,
            iterations=iterations,
            converged=stopped and self.penalty.kept(path.factors),
            parameters={name: array for name, array in arrays.items() if array is not None},
        )


def instrument_matrix(instruments: MonthlySeries, centre: np.ndarray) -> np.ndarray:
    """Return (T, P) factor instruments, a constant first, the others less the mean of an estimation window."""
    return np.column_stack([np.ones(len(instruments.months)), instruments.values - centre])


@dataclass(frozen=True)
class _Static:
    """Factors without memory: (P, K) Omega, the (T, K) factors, and the sum of squared errors."""

    omega: np.ndarray
    factors: np.ndarray
    loss: float


def earlier(result: FactorModelResult, scale: Scale, sized: bool = False) -> Parameters:
    """Return an earlier result's parameters for the instruments as scaled now; ``sized`` where there is no memory."""
    held = result.parameters
    moved = scale.from_units(Parameters(held["omega"], held.get("ar"), held.get("initial")), held["centre"])
    # Without memory the size of the factors is free, and the search takes steps of the order of one.
    return Parameters(_sized(moved.omega)) if sized else moved


def _mixtures(regressed: Parameters, number: int) -> Iterator[Parameters]:
    """Yield the regression's Omega and random mixtures of the instruments, factors of the starting size."""
    rng = np.random.default_rng(0)
    yield Parameters(_sized(regressed.omega))
    for _ in range(number - 1):
        yield Parameters(_sized(rng.standard_normal(regressed.omega.shape)))


def _sized(omega: np.ndarray) -> np.ndarray:
    # The instruments have a mean square of one, so this is the factors' own for uncorrelated ones.
    sizes = np.linalg.norm(omega, axis=0)
    return omega * (_START_SIZE / np.where(sizes > 0.0, sizes, 1.0))


def _memories(static: _Static, number: int) -> Iterator[Parameters]:
    """Yield the factors without memory at the starting size, first with AR = 0, then with random AR."""
    rng = np.random.default_rng(0)
    sized = static.omega * (_START_SIZE / np.sqrt(np.mean(static.factors**2, axis=0)))
    K = sized.shape[1]
    for each in range(number):
        yield Parameters(sized, _START_MEMORY * rng.standard_normal((K, K)) * (each > 0), np.zeros(K))


def _order(path: FactorPath, loadings: np.ndarray) -> np.ndarray:
    """Return the signed permutation that puts factors in the order of what they explain, means not negative."""
    explained = np.mean(path.factors**2, axis=0) * np.nansum(loadings**2, axis=0)
    order = np.argsort(-explained, kind="stable")
    signs = np.where(path.factors.mean(axis=0) < 0.0, -1.0, 1.0)
    return np.diag(signs)[:, order]
