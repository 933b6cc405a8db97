"""Factor models with published factors, the prevailing mean and the forecast zero.

Here belong regressions of returns on factors that are given: the loadings of single assets, the loadings on
characteristics, and the benchmark models that are nothing more than these. Factors that are estimated, from
portfolios or from instruments, have modules of their own, which take the regressions from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.models import ipca_steps
from pipeline.models.concentrated_loss import CharacteristicLoss
from pipeline.models.factor_model import (
    AssetLoadings,
    AssetReturns,
    CharacteristicLoadings,
    FactorModelResult,
    Loadings,
    Sample,
)
from pipeline.models.managed_portfolios import CONSTANT, SufficientStatistics

OBSERVED: Mapping[str, tuple[str, ...]] = {
    "capm": ("mkt_rf",),
    "ff3": ("mkt_rf", "smb", "hml"),
    "carhart": ("mkt_rf", "smb", "hml", "wml"),
    "ff5": ("mkt_rf", "smb_5", "hml", "rmw", "cma"),
    "ff6": ("mkt_rf", "smb_5", "hml", "rmw", "cma", "wml"),
    "q": ("q_mkt", "q_me", "q_ia", "q_roe"),
}
"""The factors of each model, named as the columns of `french_factors`.

Sharpe (1964, Journal of Finance 19); Fama and French (1993, Journal of Financial Economics 33); Carhart (1997, Journal
of Finance 52); Fama and French (2015, Journal of Financial Economics 116), whose SMB averages over three sorts; Fama
and French (2018, Journal of Financial Economics 128); Hou, Xue and Zhang (2015, Review of Financial Studies 28).
"""


class ObservedFactorModel:
    """Regression of excess returns on factors that everybody can see.

    Parameters
    ----------
    factors : sequence of str
        Series of the observed factors, e.g. one of :data:`OBSERVED`. The series ``constant`` is made here and need not
        be observed; alone it gives the prevailing mean of every asset.
    model : str
        Name in results and forecasts.
    conditional : bool, optional
        Whether the loadings are linear in characteristics or free for each asset.
    asset_months : int, optional
        Months with a return that an asset needs before it has loadings of its own.
    instrument_months : int, optional
        Months in which a characteristic must not be zero for all assets before it has loadings; see
        :func:`characteristic_loadings`.

    Attributes
    ----------
    needs : tuple of str
        ``observed`` where a factor is read, then ``statistics`` or ``returns``.

    Raises
    ------
    ValueError
        If there is no factor, a factor is named twice, or a number of months is not positive.

    Notes
    -----
    r_it = f_t'b_i + e_it without an intercept (equation 2 of the conditional factor models); unconditional loadings by
    ordinary least squares, conditional ones by equation 13. The factors expected for the next month are their means
    over the sample. Parameters are counted as table 10 of the source does: K for each asset that has loadings, or K for
    each characteristic.
    """

    def __init__(
        self,
        factors: Sequence[str],
        *,
        model: str,
        conditional: bool = False,
        asset_months: int = 60,
        instrument_months: int = 24,
    ) -> None:
        if not factors or len(set(factors)) < len(factors):
            raise ValueError(f"{model} has the factors {list(factors)}; name at least one and each once")
        if asset_months < 1 or instrument_months < 1:
            raise ValueError(
                f"asset_months ({asset_months}) and instrument_months ({instrument_months}) must be positive"
            )
        self.factors = tuple(factors)
        self.model = model
        self.conditional = conditional
        self.asset_months = asset_months
        self.instrument_months = instrument_months
        observed = ("observed",) if set(factors) - {CONSTANT} else ()
        self.needs: tuple[str, ...] = (*observed, "statistics" if conditional else "returns")

    def fit(self, sample: Sample, start: FactorModelResult | None = None) -> FactorModelResult:
        """Estimate from all months of the sample and no others.

        Parameters
        ----------
        sample : Sample
            Holds the parts in :attr:`needs`.
        start : FactorModelResult, optional
            Not used: the solution is a closed form.

        Returns
        -------
        FactorModelResult
            Factors as observed; loadings of assets, or on characteristics.

        Raises
        ------
        ValueError
            If a part or a factor is absent, the factors are collinear over the sample, or the characteristics do not
            determine the loadings.
        """
        sample.require(*self.needs)
        factors = self._factors(sample)
        if self.conditional:
            assert sample.statistics is not None
            return self._on_characteristics(sample.statistics, factors)
        assert sample.returns is not None
        return fit_assets(self.model, sample.returns, factors, self.asset_months)

    def extend(self, result: FactorModelResult, sample: Sample) -> FactorModelResult:
        """Add the factors of the sample's later months, loadings as they are; the expected factors are the new means.

        Raises
        ------
        ValueError
            If an observed factor is absent in one of these months.
        """
        later = sample.after(result.months[-1])
        return result.carried_on(later.months, self._series(later))

    def _factors(self, sample: Sample) -> np.ndarray:
        months, factors = sample.months, self._series(sample)
        if _collinear(factors):
            span = f"{months[0]:%Y-%m} to {months[-1]:%Y-%m}" if months else "no months"
            raise ValueError(
                f"the factors {list(self.factors)} are collinear over {span} ({len(months)} months); lengthen the "
                "sample or leave a factor out"
            )
        return factors

    def _series(self, sample: Sample) -> np.ndarray:
        months = sample.months
        series = {CONSTANT: np.ones((len(months), 1))}
        if sample.observed is not None:
            read = [name for name in self.factors if name != CONSTANT]
            series |= {name: sample.observed.columns([name]).values for name in read}
        return np.hstack([series[name] for name in self.factors])

    def _on_characteristics(self, statistics: SufficientStatistics, factors: np.ndarray) -> FactorModelResult:
        loadings = characteristic_loadings(statistics, factors, self.instrument_months)
        return FactorModelResult(
            model=self.model,
            months=statistics.months,
            factors=factors,
            expected_factor=factors.mean(axis=0),
            loadings=loadings,
            n_parameters=loadings.gamma.size,
            loss=statistics.loss(loadings.gamma, factors),
            squares=float(statistics.yy.sum()),
        )


class ZeroForecast:
    """The model without factors: every asset's expected excess return is zero.

    Attributes
    ----------
    model : str
        ``zero``.
    needs : tuple of str
        None in particular: the managed portfolios, or without them the returns.
    """

    model = "zero"
    needs: tuple[str, ...] = ()

    def fit(self, sample: Sample, start: FactorModelResult | None = None) -> FactorModelResult:
        """Return the result with K = 0.

        Parameters
        ----------
        sample : Sample
            Holds the managed portfolios or the returns of single assets.
        start : FactorModelResult, optional
            Not used.

        Returns
        -------
        FactorModelResult
            No factors and no parameters; the loss equals the squares.

        Raises
        ------
        ValueError
            If the sample has neither.
        """
        loadings, squares = self._nothing(sample)
        return FactorModelResult(
            model=self.model,
            months=sample.months,
            factors=np.empty((len(sample.months), 0)),
            expected_factor=np.empty(0),
            loadings=loadings,
            n_parameters=0,
            loss=squares,
            squares=squares,
        )

    @staticmethod
    def _nothing(sample: Sample) -> tuple[Loadings, float]:
        if sample.statistics is not None:
            names = sample.statistics.names
            gamma = np.empty((len(names), 0))
            return CharacteristicLoadings(names=names, gamma=gamma), float(sample.statistics.yy.sum())
        sample.require("returns")
        assert sample.returns is not None
        betas = np.empty((len(sample.returns.assets), 0))
        return AssetLoadings(assets=sample.returns.assets, betas=betas), float(np.nansum(sample.returns.values**2))

    def extend(self, result: FactorModelResult, sample: Sample) -> FactorModelResult:
        """Add the sample's later months."""
        later = sample.after(result.months[-1]).months
        return result.carried_on(later, np.empty((len(later), 0)))


def fit_assets(
    model: str, returns: AssetReturns, factors: np.ndarray, asset_months: int, factor_parameters: int = 0
) -> FactorModelResult:
    """Return the result of a model whose factors are known and whose loadings are free for each asset.

    Parameters
    ----------
    model : str
        Name of the model.
    returns : AssetReturns
        T months.
    factors : np.ndarray
        (T, K), finite.
    asset_months : int
        Months with a return that an asset needs.
    factor_parameters : int, optional
        Parameters spent on the factors, counted besides K for each asset that has loadings.

    Returns
    -------
    FactorModelResult
        Expected factors are the means; `loss` and `squares` sum over the asset-months of assets that have loadings.

    Raises
    ------
    ValueError
        As :func:`asset_loadings`.
    """
    loadings = asset_loadings(returns, factors, asset_months)
    known = np.flatnonzero(~np.isnan(loadings.betas).any(axis=1))
    values = np.take(returns.values, known, axis=1)
    errors = values - factors @ loadings.betas[known].T
    return FactorModelResult(
        model=model,
        months=returns.months,
        factors=factors,
        expected_factor=factors.mean(axis=0),
        loadings=loadings,
        n_parameters=len(known) * factors.shape[1] + factor_parameters,
        loss=float(np.nansum(np.square(errors, out=errors))),
        squares=float(np.nansum(np.square(values, out=values))),
    )


def asset_loadings(returns: AssetReturns, factors: np.ndarray, asset_months: int = 60) -> AssetLoadings:
    """Return the least squares loadings of every asset, each over the months in which it has a return.

    Parameters
    ----------
    returns : AssetReturns
        T months of N assets, NaN where there is none.
    factors : np.ndarray
        (T, K), finite; no intercept is added.
    asset_months : int, optional
        Months with a return that an asset needs.

    Returns
    -------
    AssetLoadings
        NaN for assets with fewer months, and for assets over whose own months the factors are collinear.

    Raises
    ------
    ValueError
        If a return is infinite or the factors do not have a row a month.

    Notes
    -----
    The cross-products of all assets are two matrix products with the T x N pattern of returns. Assets with too few
    months take no part in them, so assets that only appear after the sample change no bit of the others' loadings.
    """
    if len(factors) != len(returns.months):
        raise ValueError(f"the factors have {len(factors)} rows, the returns {len(returns.months)} months")
    there = ~np.isnan(returns.values)
    used = np.flatnonzero(there.sum(axis=0) >= asset_months)
    values = np.take(returns.values, used, axis=1)
    pattern = np.take(there, used, axis=1)
    values[~pattern] = 0.0
    first, second = np.triu_indices(factors.shape[1])
    products = (factors[:, first] * factors[:, second]).T @ pattern.astype(np.float64)
    gram = np.empty((len(used), factors.shape[1], factors.shape[1]))
    gram[:, first, second] = gram[:, second, first] = products.T
    betas = np.full((len(returns.assets), factors.shape[1]), np.nan)
    betas[used] = _least_squares(gram, (factors.T @ values).T)
    return AssetLoadings(assets=returns.assets, betas=betas)


def characteristic_loadings(
    statistics: SufficientStatistics, factors: np.ndarray, instrument_months: int = 24
) -> CharacteristicLoadings:
    """Return Gamma of r_t = C_t Gamma f_t + e_t by pooled least squares, given the factors.

    Parameters
    ----------
    statistics : SufficientStatistics
        T months; those without assets say nothing.
    factors : np.ndarray
        (T, K), finite.
    instrument_months : int, optional
        An instrument that is zero for all assets of some months has loadings only when it is not in at least this many.

    Returns
    -------
    CharacteristicLoadings
        Zero rows for instruments that do not count; the solution of least norm along directions in which the others
        are collinear.

    Raises
    ------
    ValueError
        If no month has assets, the factors do not have a row a month, or they do not determine Gamma.

    Notes
    -----
    Equation 13 of the conditional factor models: vec(Gamma') = (sum_t W_t kron f_t f_t')^-1 sum_t X_t kron f_t.
    """
    if len(factors) != len(statistics.months):
        raise ValueError(
            f"the factors have {len(factors)} rows, the managed portfolios {len(statistics.months)} months"
        )
    filled = statistics.n > 0
    if not filled.any():
        raise ValueError(f"none of the {len(filled)} months has assets; begin the sample when the panel does")
    undetermined = (
        f"{factors.shape[1]} factors in {int(filled.sum())} months with assets do not determine the loadings on "
        f"{len(statistics.names)} instruments; lengthen the sample, use fewer factors or raise instrument_months"
    )
    if _collinear(factors[filled]):
        raise ValueError(undetermined)
    try:
        profile = CharacteristicLoss(statistics.take(filled), instrument_months).at(factors[filled])
    except np.linalg.LinAlgError as error:
        raise ValueError(undetermined) from error
    return CharacteristicLoadings(names=statistics.names, gamma=profile.loadings)


def _least_squares(gram: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return the (N, K) solutions of N small systems, NaN where the regressors are collinear."""
    lengths = _lengths(gram)
    scaled = gram / (lengths[:, :, None] * lengths[:, None, :])
    eigenvalues, vectors = np.linalg.eigh(scaled)
    independent = eigenvalues[:, 0] > ipca_steps.COLLINEAR * eigenvalues[:, -1]
    eigenvalues[~independent] = np.nan
    rotated = np.matmul(vectors.transpose(0, 2, 1), (moments / lengths)[:, :, None])
    return np.matmul(vectors, rotated / eigenvalues[:, :, None])[:, :, 0] / lengths


def _collinear(factors: np.ndarray) -> bool:
    """Return whether (T, K) factors are collinear over all months."""
    return bool(np.isnan(_least_squares((factors.T @ factors)[None], factors.sum(axis=0)[None])).any())


def _lengths(gram: np.ndarray) -> np.ndarray:
    """Return the norms of the regressors, one for a regressor that is zero."""
    lengths = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))
    return np.where(lengths > 0.0, lengths, 1.0)
