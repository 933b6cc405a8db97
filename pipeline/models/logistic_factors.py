"""Conditional factor models for directions: the probability that an excess return is positive.

Here belong the logistic loss in the factors, its loadings solved out, for the two kinds of loadings, and the estimator
that puts it in the place of squared errors. Recursion, limits, search and identification are those of
:mod:`pipeline.models.conditional_factors`.

The loss is the sum over asset-months of log(1 + exp(-s f'b)), s = 1 where the excess return is positive, else -1. In
the loadings it is convex, so that Newton's method finds the best ones for any factors: each of its steps is a least
squares problem with weights (iteratively reweighted least squares), and the last of them has the loadings, the
gradient and, weights and errors being those of the solution, the exact curvature of the loss in the factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from pipeline.models.concentrated_loss import AssetProfile, CharacteristicLoss, Profile, assets_with_loadings
from pipeline.models.conditional_factors import ConditionalFactorModel, Scale, earlier
from pipeline.models.factor_constraints import STIFF
from pipeline.models.factor_model import (
    LOGISTIC,
    AssetReturns,
    CharacteristicLoadings,
    FactorModelResult,
    PooledPanel,
    Sample,
)
from pipeline.models.factor_search import Found, Search
from pipeline.models.managed_portfolios import SufficientStatistics

# Weight of half the squared index of each asset-month. An asset whose every return has the sign of one combination of
# the factors would have infinite loadings; this stops the index of the months that speak least at about 11, where
# exp(-index) falls below RIDGE * index. Elsewhere it shrinks by 4e-6. Because it is a function of the index alone, no
# turn or size of the factors is preferred.
RIDGE = 1e-6

# Newton's method in the loadings ends when a step promises less than this share of the loss of even odds. The error
# left is of the order of the square of that step, so the gradient by the factors is right to about as many digits.
_NEGLIGIBLE = 1e-13
_NEWTON_STEPS = 200

# A step that raises the loss by more than rounding is halved.
_ROUNDING = 1e-12


def logistic_losses(index: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(-signs * index)), elementwise and without overflow.

    Parameters
    ----------
    index : np.ndarray
        f'b of each asset-month.
    signs : np.ndarray
        1 where the excess return is positive, else -1; same shape.

    Returns
    -------
    np.ndarray
        Log losses; log 2 at an index of zero.
    """
    return np.logaddexp(0.0, -signs * index)


class DirectionLoss:
    """The logistic loss in the factors, the loadings solved out; a concentrated loss like that of squared errors.

    Subclasses know where the asset-months stand: one below the other, or months by assets. Sums over the first axis of
    an array of asset-months belong to one set of loadings.

    Parameters
    ----------
    signs : np.ndarray
        1 or -1 for each asset-month.
    seen : np.ndarray
        1 where there is a return, else 0; same shape.

    Attributes
    ----------
    squares : float
        The loss of even odds: asset-months times log 2.
    """

    def __init__(self, signs: np.ndarray, seen: np.ndarray) -> None:
        self._signs, self._seen = signs, seen
        self._even = np.log(2.0) * seen.sum(axis=0)
        self.squares = float(np.sum(self._even))

    @property
    def width(self) -> int:
        """Managed portfolios, or assets, that have loadings."""
        raise NotImplementedError

    def at(self, factors: np.ndarray) -> Profile:
        """Solve for the loadings given (T, K) factors.

        Returns
        -------
        Profile
            Of the loss with :data:`RIDGE` times half the squared indices added.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the factors are collinear.
        ArithmeticError
            If Newton's method does not end, which happens only where the indices overflow.
        """
        index = self._start(factors)
        values = self._values(index)
        for _ in range(_NEWTON_STEPS):
            # One half of both derivatives, as profiles are of half the loss.
            odds = expit(-self._signs * index)
            slope = 0.5 * self._seen * (RIDGE * index - self._signs * odds)
            weight = 0.5 * self._seen * (odds * (1.0 - odds) + RIDGE)
            profile = self._weighted(factors, weight, weight * index - slope)
            move = self._index(factors, profile.loadings) - index
            promised = -np.sum(slope * move, axis=0)
            if np.all(promised <= _NEGLIGIBLE * self._even):
                profile.loss = float(np.sum(values - promised))
                return profile
            index, values = self._descended(index, move, values)
        raise ArithmeticError(
            f"no loadings after {_NEWTON_STEPS} Newton steps at factors of size {np.abs(factors).max():.1e}; look for "
            "outliers in the factor instruments"
        )

    def loss(self, factors: np.ndarray, loadings: np.ndarray) -> float:
        """Return the sum of the logistic losses of some loadings, without the ridge."""
        return float(np.sum(self._seen * logistic_losses(self._index(factors, loadings), self._signs)))

    def _values(self, index: np.ndarray) -> np.ndarray:
        """Return the losses with the ridge, one for each set of loadings."""
        return np.sum(self._seen * (logistic_losses(index, self._signs) + 0.5 * RIDGE * index**2), axis=0)

    def _descended(self, index: np.ndarray, move: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the step, halved for each set of loadings until the loss does not rise."""
        length = np.ones_like(values)
        while True:
            moved = index + length * move
            reached = self._values(moved)
            worse = reached > values + _ROUNDING * self._even
            if not worse.any():
                return moved, reached
            length = np.where(worse, 0.5 * length, length)

    def _start(self, factors: np.ndarray) -> np.ndarray:
        """Return the index after one step from loadings of zero: twice the least squares fit of the signs."""
        raise NotImplementedError

    def _index(self, factors: np.ndarray, loadings: np.ndarray) -> np.ndarray:
        """Return f'b of each asset-month."""
        raise NotImplementedError

    def _weighted(self, factors: np.ndarray, weight: np.ndarray, response: np.ndarray) -> Profile:
        """Return the weighted least squares problem of one step; ``response`` is multiplied by the weights."""
        raise NotImplementedError


class PanelDirections(DirectionLoss):
    """Logistic loss with loadings on characteristics, B = C Gamma.

    The panel is read one month at a time: what is held beside it are vectors of its length and (T, L, L) sums.

    Parameters
    ----------
    panel : PooledPanel
        T months.
    statistics : SufficientStatistics
        What :func:`sign_statistics` gives of it.
    instrument_months : int
        See :class:`pipeline.models.concentrated_loss.CharacteristicLoss`.
    """

    def __init__(self, panel: PooledPanel, statistics: SufficientStatistics, instrument_months: int) -> None:
        signs = _signs(panel.returns)
        super().__init__(signs, np.ones_like(signs))
        self._panel, self._statistics, self._instrument_months = panel, statistics, instrument_months
        self._linear = CharacteristicLoss(statistics, instrument_months)

    @property
    def width(self) -> int:
        """See :class:`DirectionLoss`."""
        return self._linear.width

    def _start(self, factors: np.ndarray) -> np.ndarray:
        return 2.0 * self._index(factors, self._linear.at(factors).loadings)

    def _index(self, factors: np.ndarray, loadings: np.ndarray) -> np.ndarray:
        coefficients = factors @ loadings.T
        result = np.empty(len(self._signs))
        for t, (rows, matrix) in enumerate(_cross_sections(self._panel)):
            result[rows] = matrix @ coefficients[t]
        return result

    def _weighted(self, factors: np.ndarray, weight: np.ndarray, response: np.ndarray) -> Profile:
        X, W = np.empty_like(self._statistics.X), np.empty_like(self._statistics.W)
        roots = np.sqrt(weight)
        for t, (rows, matrix) in enumerate(_cross_sections(self._panel)):
            scaled = matrix * roots[rows, None]
            X[t], W[t] = response[rows] @ matrix, scaled.T @ scaled
        return CharacteristicLoss(replace(self._statistics, X=X, W=W), self._instrument_months).at(factors)


class AssetDirections(DirectionLoss):
    """Logistic loss with free loadings of each asset.

    Parameters
    ----------
    returns : AssetReturns
        T months by N assets, NaN where absent; only the signs matter.
    enough : np.ndarray
        (N,) bool, what :func:`pipeline.models.concentrated_loss.assets_with_loadings` gives; the others do not enter.
    """

    def __init__(self, returns: AssetReturns, enough: np.ndarray) -> None:
        there = ~np.isnan(returns.values[:, enough])
        self._enough = enough
        super().__init__(_signs(returns.values[:, enough]), there.astype(np.float64))

    @property
    def width(self) -> int:
        """See :class:`DirectionLoss`."""
        return int(self._enough.sum())

    def _start(self, factors: np.ndarray) -> np.ndarray:
        linear = AssetProfile(self._seen, self._seen * self._signs, factors, self._enough, self.squares)
        return 2.0 * self._index(factors, linear.loadings)

    def _index(self, factors: np.ndarray, loadings: np.ndarray) -> np.ndarray:
        return factors @ loadings[self._enough].T

    def _weighted(self, factors: np.ndarray, weight: np.ndarray, response: np.ndarray) -> Profile:
        return AssetProfile(weight, response, factors, self._enough, self.squares)


class LogisticFactorModel(ConditionalFactorModel):
    """Maximum likelihood estimator of P(r > 0) = 1 / (1 + exp(-f_t b')), f_t = z_t Omega + tanh(f_{t-1}) AR.

    Parameters
    ----------
    n_factors : int
        K.
    **settings
        Those of :class:`pipeline.models.conditional_factors.ConditionalFactorModel`; ``tolerance`` is of the loss over
        that of even odds, ``starts`` of the linear model below.

    Notes
    -----
    A return of zero is not positive. The first start is the least squares estimate of the same model for the signs
    (1 or -1), from which the logistic one is a few steps away as long as probabilities stay near one half; it costs
    no pass over the panel. Identification as in the linear model.
    """

    def __init__(self, n_factors: int, **settings: Any) -> None:
        super().__init__(n_factors, **settings)
        self._linear = ConditionalFactorModel(n_factors, **settings)
        self.model = f"{self._linear.model}_logit"
        self.needs = ("instruments", "panel" if self.conditional else "returns")

    def fit(self, sample: Sample, start: FactorModelResult | None = None) -> FactorModelResult:
        """Estimate from all months of the sample and no others.

        Parameters
        ----------
        sample : Sample
            Factor instruments, and the pooled panel (loadings on characteristics) or the returns of single assets.
        start : FactorModelResult, optional
            Earlier result of the same model to start from.

        Returns
        -------
        FactorModelResult
            Link ``logistic``; ``loss`` without the ridge, ``squares`` the loss of even odds, ``iterations`` those of
            the logistic search alone; the rest as
            :meth:`pipeline.models.conditional_factors.ConditionalFactorModel.fit`.

        Raises
        ------
        ValueError
            If a part of the sample is absent or not finite, an instrument does not vary, the months are too few, no
            asset has enough months, or ``start`` belongs to another model.
        """
        sample.require(*self.needs)
        signs = self._of_signs(sample)
        if start is None:
            start = replace(self._linear.fit(signs), model=self.model)
        result = super().fit(signs, start)
        held = result.loadings
        loadings = held.gamma if isinstance(held, CharacteristicLoadings) else held.betas
        instruments = Scale.of(sample.instruments).matrix(sample.instruments)
        return replace(result, link=LOGISTIC, loss=self._loss(signs, instruments).loss(result.factors, loadings))

    def _found(self, search: Search, sample: Sample, scale: Scale, start: FactorModelResult | None) -> list[Found]:
        """Search from the linear estimate or the earlier result alone: another start costs passes over the panel."""
        assert start is not None
        return [self._minimise(search, earlier(start, scale, sized=not self.recurrent), (STIFF,))]

    def _of_signs(self, sample: Sample) -> Sample:
        """Return the sample of the linear model for signs, the panel kept."""
        if self.conditional:
            assert sample.panel is not None
            statistics = sign_statistics(sample.panel)
            return Sample(instruments=sample.instruments, panel=sample.panel, statistics=statistics)
        assert sample.returns is not None
        values = sample.returns.values
        signs = np.where(np.isnan(values), np.nan, _signs(values))
        return Sample(instruments=sample.instruments, returns=replace(sample.returns, values=signs))

    def _loss(self, sample: Sample, instruments: np.ndarray) -> DirectionLoss:
        if self.conditional:
            assert sample.panel is not None
            assert sample.statistics is not None
            return PanelDirections(sample.panel, sample.statistics, self.instrument_months)
        assert sample.returns is not None
        return AssetDirections(sample.returns, assets_with_loadings(sample.returns, instruments, self.asset_months))


def sign_statistics(panel: PooledPanel) -> SufficientStatistics:
    """Return the managed portfolios of the signs: X = C's, W = C'C of each month.

    Parameters
    ----------
    panel : PooledPanel
        T months.

    Returns
    -------
    SufficientStatistics
        ``yy`` equals ``n``, the squares of the signs; zeros for a month without assets.

    Raises
    ------
    ValueError
        If a return or an instrument is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(panel.returns))
    if bad.size:
        raise ValueError(
            f"the panel has {bad.size} returns that are not finite, the first of {panel.assets[bad[0]]} in "
            f"{_month_of(panel, bad[0])}; leave those rows out"
        )
    periods, size = len(panel.months), len(panel.names)
    X, W = np.empty((periods, size)), np.empty((periods, size, size))
    signs = _signs(panel.returns)
    for t, (rows, matrix) in enumerate(_cross_sections(panel)):
        X[t], W[t] = signs[rows] @ matrix, matrix.T @ matrix
        unknown = np.flatnonzero(~np.isfinite(np.diagonal(W[t])))
        if unknown.size:
            raise ValueError(
                f"the instrument {panel.names[unknown[0]]} is not finite for an asset in {panel.months[t]:%Y-%m}; rank "
                "it, missing values at zero, before the panel is pooled"
            )
    n = np.diff(panel.bounds)
    return SufficientStatistics(
        months=panel.months, n=n.astype(np.int64), yy=n.astype(np.float64), X=X, W=W, names=panel.names
    )


def _signs(returns: np.ndarray) -> np.ndarray:
    return np.where(returns > 0.0, 1.0, -1.0)


def _cross_sections(panel: PooledPanel) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the rows and the characteristics of every month."""
    for first, last in zip(panel.bounds[:-1], panel.bounds[1:], strict=True):
        rows = slice(int(first), int(last))
        yield rows, np.asarray(panel.characteristics[rows], dtype=np.float64)


def _month_of(panel: PooledPanel, row: int) -> str:
    return f"{panel.months[int(np.searchsorted(panel.bounds, row, side='right')) - 1]:%Y-%m}"
