"""Principal components of the managed portfolios: PCA and risk-premium PCA.

Here belong factors that are eigenvectors of second moments of portfolio returns. The regressions of asset returns on
them stand in :mod:`pipeline.models.observed_factors`; IPCA, whose factors answer to single assets, in
:mod:`pipeline.models.ipca`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np

from pipeline.models import ipca_steps
from pipeline.models.factor_model import AssetLoadings, AssetReturns, FactorModelResult, Sample
from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.models.observed_factors import fit_assets

COVARIANCE = -1.0
"""The weight of the squared means at which the second moments are the covariance matrix."""

MEAN_WEIGHTS: Mapping[str, float] = {"pca": COVARIANCE, "rp_pca": 10.0}
"""The weight of each model where none is given; Lettau and Pelger's applications use 10 to 20."""


class PrincipalComponents:
    """Latent factors from managed portfolios, loadings by regression of each asset on them.

    Parameters
    ----------
    n_factors : int
        K.
    model : str, optional
        Name in results and forecasts: ``pca``, ``rp_pca`` or, with `gamma` given, any other.
    gamma : float, optional
        Weight of the squared mean returns, at least -1. Without it, that of :data:`MEAN_WEIGHTS` for the model.
    asset_months : int, optional
        Months with a return that an asset needs before it has loadings.

    Raises
    ------
    ValueError
        If a number is out of range, or the model is unknown and no `gamma` is given.

    Notes
    -----
    With x_t = X_t / n_t the mean returns of the managed portfolios (sums would let the later, fuller months dominate),
    the weights V are the first eigenvectors of x'x/T + gamma xbar xbar'. At gamma = -1 this is the covariance matrix:
    PCA of Connor and Korajczyk (1988, Journal of Financial Economics 21) on characteristic-managed portfolios as in
    Kozak, Nagel and Santosh (2018, Journal of Finance 73). With a larger gamma it is RP-PCA of Lettau and Pelger (2020,
    Journal of Econometrics 218 and Review of Financial Studies 33): factors that price the portfolios weigh more.

    The factors f_t = V'x_t are returns of portfolios; loadings on them by ordinary least squares without an intercept,
    the expected factors are the means. V'V = I, eigenvalues descend, no factor has a negative mean. A portfolio that is
    zero in every month has no weight.

    Months without assets have no portfolio returns. They are left out, and the months of the result are those that
    entered, as with IPCA. Parameters: T + N for each factor, as table 10 of the source counts them.
    """

    needs: tuple[str, ...] = ("statistics", "returns")
    """Without statistics the assets are portfolios themselves."""

    def __init__(
        self, n_factors: int, *, model: str = "pca", gamma: float | None = None, asset_months: int = 60
    ) -> None:
        if n_factors < 1 or asset_months < 1:
            raise ValueError(f"n_factors ({n_factors}) and asset_months ({asset_months}) must be positive")
        if gamma is None and model not in MEAN_WEIGHTS:
            raise ValueError(f"{model} has no usual gamma, only {list(MEAN_WEIGHTS)} have; give it")
        self.n_factors = n_factors
        self.model = model
        self.gamma = MEAN_WEIGHTS[model] if gamma is None else gamma
        self.asset_months = asset_months
        if not COVARIANCE <= self.gamma < np.inf:
            raise ValueError(f"gamma is {gamma}; at least {COVARIANCE} keeps the second moments positive")

    def fit(self, sample: Sample, start: FactorModelResult | None = None) -> FactorModelResult:
        """Estimate from all months of the sample and no others.

        Parameters
        ----------
        sample : Sample
            Managed portfolios and the returns of single assets. Without the former the assets are taken for the
            portfolios: those that have a return in every month.
        start : FactorModelResult, optional
            Not used: the solution is a closed form.

        Returns
        -------
        FactorModelResult
            `parameters` holds `weights` (L, K) and `eigenvalues` (K,). Where the assets are the portfolios, L counts
            the assets of the loadings; those that lack a return have no weight.

        Raises
        ------
        ValueError
            If a part is absent, or the portfolios span fewer than K factors.
        """
        sample.require("returns")
        assert sample.returns is not None
        filled, portfolios = _portfolios(sample)
        eigenvalues, weights = self._components(portfolios, sample.months)
        factors = portfolios @ weights
        returns = sample.returns if filled.all() else sample.returns.take(filled)
        result = fit_assets(self.model, returns, factors, self.asset_months, factor_parameters=factors.size)
        if sample.statistics is None:
            narrow, weights = weights, np.zeros((len(returns.assets), self.n_factors))
            weights[_complete(returns)] = narrow
        return replace(result, parameters={"weights": weights, "eigenvalues": eigenvalues})

    def extend(self, result: FactorModelResult, sample: Sample) -> FactorModelResult:
        """Add the factors of the sample's later months, weights and loadings as they are.

        Months in which a portfolio that has a weight has no return are left out, as those without assets are. The
        expected factors are the new means.

        Raises
        ------
        ValueError
            If the sample has no returns.
        """
        sample.require("returns")
        later, weights = sample.after(result.months[-1]), result.parameters["weights"]
        if sample.statistics is None:
            assert isinstance(result.loadings, AssetLoadings)
            used = weights.any(axis=1)
            portfolios = _of_assets(later.returns, np.array(result.loadings.assets)[used])
            weights = weights[used]
            filled = np.isfinite(portfolios).all(axis=1)
            portfolios = portfolios[filled]
        else:
            filled, portfolios = _portfolios(later)
        months = tuple(month for month, there in zip(later.months, filled, strict=True) if there)
        return result.carried_on(months, portfolios @ weights)

    def _components(self, portfolios: np.ndarray, months: tuple[date, ...]) -> tuple[np.ndarray, np.ndarray]:
        present = np.flatnonzero(portfolios.any(axis=0))
        moments = second_moments(portfolios[:, present], self.gamma) if len(present) else np.empty((0, 0))
        eigenvalues, vectors = np.linalg.eigh(moments)
        rank = int(np.sum(eigenvalues > ipca_steps.COLLINEAR * eigenvalues[-1:]))
        if rank < self.n_factors:
            span = f"{months[0]:%Y-%m} to {months[-1]:%Y-%m}" if months else "no months"
            raise ValueError(
                f"{len(present)} managed portfolios in {len(portfolios)} months with assets ({span}) span {rank} "
                f"factors, {self.n_factors} are asked for; lengthen the sample or estimate fewer factors"
            )
        weights = np.zeros((portfolios.shape[1], self.n_factors))
        weights[present] = vectors[:, ::-1][:, : self.n_factors]
        weights *= np.where((portfolios @ weights).mean(axis=0) < 0.0, -1.0, 1.0)
        return eigenvalues[::-1][: self.n_factors].copy(), weights


def _portfolios(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Which months have assets, and the portfolios' returns in them."""
    assert sample.returns is not None
    if sample.statistics is None:
        values = sample.returns.values
        return np.ones(len(values), dtype=bool), values[:, _complete(sample.returns)]
    filled = sample.statistics.n > 0
    return filled, mean_portfolios(sample.statistics.take(filled))


def _complete(returns: AssetReturns) -> np.ndarray:
    """Which assets have a return in every month."""
    return ~np.isnan(returns.values).any(axis=0)


def _of_assets(returns: AssetReturns, assets: np.ndarray) -> np.ndarray:
    """Return the (T, N) returns of some assets, NaN where there is none."""
    place = {asset: column for column, asset in enumerate(returns.assets)}
    values = np.full((len(returns.months), len(assets)), np.nan)
    for column, asset in enumerate(assets):
        if asset in place:
            values[:, column] = returns.values[:, place[asset]]
    return values


def mean_portfolios(statistics: SufficientStatistics) -> np.ndarray:
    """Return the mean returns of the managed portfolios, X_t / n_t.

    Parameters
    ----------
    statistics : SufficientStatistics
        T months that all have assets.

    Returns
    -------
    np.ndarray
        (T, L) decimals.
    """
    return statistics.X / statistics.n[:, None]


def second_moments(portfolios: np.ndarray, gamma: float) -> np.ndarray:
    """Return x'x/T + gamma xbar xbar', summed as covariance + (1 + gamma) xbar xbar' because this loses no digits.

    Parameters
    ----------
    portfolios : np.ndarray
        (T, L) returns.
    gamma : float
        Weight of the squared means.

    Returns
    -------
    np.ndarray
        (L, L).
    """
    mean = portfolios.mean(axis=0)
    centred = portfolios - mean
    return centred.T @ centred / len(portfolios) + (1.0 + gamma) * np.outer(mean, mean)
