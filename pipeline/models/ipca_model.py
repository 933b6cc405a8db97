"""IPCA in the shape that every factor model shares, so that it is compared with the others at any number of factors.

Here belongs the translation alone; the estimator stands in :mod:`pipeline.models.ipca`.
"""

from __future__ import annotations

import numpy as np

from pipeline.models.factor_model import CharacteristicLoadings, FactorModelResult, Sample
from pipeline.models.ipca import IPCA, IPCAResult


class InstrumentedComponents:
    """IPCA without intercept as a :class:`pipeline.models.factor_model.FactorModel`.

    Parameters
    ----------
    n_factors : int
        K.
    starts, max_iterations, instrument_months : int, optional
        See :class:`pipeline.models.ipca.IPCA`.

    Notes
    -----
    The factors expected for the next month are their means. Parameters: K (T + L), as table 10 of the source counts.
    Months that do not determine K factors are left out of the estimation; a result's months are those that entered.
    """

    needs: tuple[str, ...] = ("statistics",)

    def __init__(
        self, n_factors: int, *, starts: int = 3, max_iterations: int = 100, instrument_months: int = 24
    ) -> None:
        self.estimator = IPCA(
            n_factors, starts=starts, max_iterations=max_iterations, instrument_months=instrument_months
        )

    def fit(self, sample: Sample, start: FactorModelResult | None = None) -> FactorModelResult:
        """Estimate from all months of the sample; see :meth:`pipeline.models.ipca.IPCA.fit`."""
        sample.require("statistics")
        statistics = sample.statistics
        found = self.estimator.fit(statistics, None if start is None else _as_ipca(start))
        used = statistics.determined(self.estimator.n_factors)
        return FactorModelResult(
            model="ipca",
            months=found.months,
            factors=found.factors,
            expected_factor=found.mean_factor,
            loadings=CharacteristicLoadings(names=found.names, gamma=found.gamma),
            n_parameters=found.factors.size + found.gamma.size,
            loss=found.loss,
            squares=float(used.yy.sum()),
            iterations=found.iterations,
            converged=found.converged,
        )

    def extend(self, result: FactorModelResult, sample: Sample) -> FactorModelResult:
        """Add the factors under the result's Gamma of the sample's later months, as far as these determine them."""
        sample.require("statistics")
        later = sample.after(result.months[-1]).statistics
        factors = _as_ipca(result).realised_factors(later)
        known = np.isfinite(factors).all(axis=1)
        months = tuple(month for month, there in zip(later.months, known, strict=True) if there)
        return result.carried_on(months, factors[known])


def _as_ipca(result: FactorModelResult) -> IPCAResult:
    loadings = result.loadings
    if not isinstance(loadings, CharacteristicLoadings):
        raise ValueError(f"the starting result is of {result.model}, whose loadings are of single assets; start cold")
    return IPCAResult(
        names=loadings.names,
        months=result.months,
        gamma=loadings.gamma,
        gamma_alpha=None,
        factors=result.factors,
        iterations=result.iterations,
        converged=result.converged,
        loss=result.loss,
    )
