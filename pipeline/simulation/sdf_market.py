"""A ragged panel whose conditional means and covariances are known, and so the portfolio that prices it.

Excess returns are r = mu + B f + e: the mean of an asset follows from few of its characteristics and one macro series,
loadings B from two other characteristics, f and e have mean zero and are normal. An estimator of the stochastic
discount factor is as good as the share it reaches of the Sharpe ratio that the true mean and covariance allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from pipeline.sdf.panel import SdfPanel
from pipeline.simulation.paths import ar1, centred_ranks, stream

# Month to month, of the characteristics behind the ranks and of the macro series.
_PERSISTENCE, _MACRO_PERSISTENCE = 0.9, 0.8

# Slopes of the mean on the first characteristics, and on the product of the first two.
_SLOPES, _INTERACTION = (1.0, -0.7, 0.5), 1.5

# The share of months in which the oldest asset leaves.
_LEAVING = 0.4


@dataclass(frozen=True, kw_only=True)
class SdfMarketSettings:
    """Sizes and strengths of the market.

    Attributes
    ----------
    n_months : int
        D.
    fewest, most : int
        Assets of a month.
    n_characteristics : int
        P, five at least: three carry the mean, the next two the loadings.
    n_macro : int
        Q, one at least: the first scales the premium.
    premium : float
        What the characteristics' part of the mean is multiplied by, decimals.
    timing : float
        How much the first macro series adds to the premium, in shares of it, for one standard deviation.
    factor_sd : float
        Standard deviation of both factors, decimals. All assets load on the first; the linearised Sharpe ratio with a
        small gamma hardly sees its risk, so that the larger it is, the less of the attainable an estimator for that
        objective reaches.
    noise : float
        Standard deviation of the idiosyncratic return, decimals.
    missing : float
        Share of characteristics that are missing; the market knows them.
    seed : int
        Of all draws.
    """

    n_months: int = 300
    fewest: int = 60
    most: int = 120
    n_characteristics: int = 10
    n_macro: int = 4
    premium: float = 0.014
    timing: float = 0.5
    factor_sd: float = 0.01
    noise: float = 0.05
    missing: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes for which there is no market."""
        if self.n_characteristics < 5 or self.n_macro < 1 or not 1 < self.fewest <= self.most:
            raise ValueError(
                f"the market needs five characteristics, a macro series and 1 < fewest <= most assets: {self}"
            )


@dataclass(frozen=True, kw_only=True)
class SdfMarket:
    """A panel and the truth behind it.

    Attributes
    ----------
    panel : SdfPanel
        What an estimator sees.
    mean : np.ndarray
        (n,) true conditional mean of every row's return.
    loadings : np.ndarray
        (n, 2) on the two factors.
    factor_sd, noise : float
        Standard deviations of the factors and of the idiosyncratic return.
    """

    panel: SdfPanel
    mean: np.ndarray
    loadings: np.ndarray
    factor_sd: float
    noise: float

    @property
    def attainable(self) -> np.ndarray:
        """(n,) the weights Sigma^-1 mu / (1 + mu' Sigma^-1 mu) of each month.

        They are (Sigma + mu mu')^-1 mu and give w'r the highest Sharpe ratio over months that a portfolio chosen on
        what is known can have.
        """
        return np.concatenate([_best(self.mean[rows], self.covariance(rows)) for rows in self.months])

    @property
    def months(self) -> list[slice]:
        """The rows of each month."""
        return [slice(int(a), int(b)) for a, b in zip(self.panel.bounds, self.panel.bounds[1:], strict=False)]

    def covariance(self, rows: slice) -> np.ndarray:
        """Return the true conditional covariance of a month's returns."""
        B = self.loadings[rows]
        return self.factor_sd**2 * B @ B.T + self.noise**2 * np.eye(len(B))

    def sharpe(self, weights: np.ndarray, months: Sequence[int]) -> float:
        """Return the Sharpe ratio that (n,) weights have in expectation over some months, without luck.

        From the true moments: mean(w'mu) over the root of mean(w'Sigma w) + variance(w'mu).
        """
        where = [self.months[month] for month in months]
        means = np.array([weights[rows] @ self.mean[rows] for rows in where])
        variances = np.array([weights[rows] @ self.covariance(rows) @ weights[rows] for rows in where])
        return float(means.mean() / np.sqrt(variances.mean() + means.var()))


def simulate_sdf_market(settings: SdfMarketSettings) -> SdfMarket:
    """Draw a market.

    Parameters
    ----------
    settings : SdfMarketSettings
        Sizes, strengths and seed.

    Returns
    -------
    SdfMarket
        Months from January 1990; assets ``A0000`` and so on, which enter and leave.
    """
    D, P = settings.n_months, settings.n_characteristics
    macro = ar1(stream(settings.seed, "macro").standard_normal((D, settings.n_macro)), _MACRO_PERSISTENCE)
    present = _present(settings)
    n_assets = max(each.stop for each in present)
    latent = ar1(stream(settings.seed, "characteristics").standard_normal((D, n_assets, P)), _PERSISTENCE)
    ranks = [np.column_stack([centred_ranks(latent[d, rows, p]) for p in range(P)]) for d, rows in enumerate(present)]
    features = np.concatenate(ranks)
    signals = np.concatenate([_signal(each) for each in ranks])
    counts = np.array([len(each) for each in ranks])
    of_row = np.repeat(np.arange(D), counts)
    mean = settings.premium * (1.0 + settings.timing * macro[of_row, 0]) * signals
    loadings = np.column_stack([1.0 + features[:, 3], features[:, 4]])
    factors = settings.factor_sd * stream(settings.seed, "factors").standard_normal((D, 2))
    noise = settings.noise * stream(settings.seed, "noise").standard_normal(len(mean))
    hidden = stream(settings.seed, "missing").random(features.shape) < settings.missing
    panel = SdfPanel(
        months=tuple(date(1990 + d // 12, d % 12 + 1, 1) for d in range(D)),
        bounds=np.concatenate([[0], np.cumsum(counts)]),
        assets=np.concatenate([[f"A{i:04d}" for i in range(each.start, each.stop)] for each in present]),
        names=tuple(f"c{p:02d}" for p in range(P)),
        features=np.where(hidden, np.nan, features).astype(np.float32),
        macro_names=tuple(f"z{q:02d}" for q in range(settings.n_macro)),
        macro=macro.astype(np.float32),
        returns=mean + (loadings * factors[of_row]).sum(axis=1) + noise,
    )
    return SdfMarket(panel=panel, mean=mean, loadings=loadings, factor_sd=settings.factor_sd, noise=settings.noise)


def _present(settings: SdfMarketSettings) -> list[slice]:
    """Assets of each month: the oldest leave one by one, and coverage reaches more or fewer of the young."""
    rng = stream(settings.seed, "lives")
    first = np.cumsum(rng.random(settings.n_months) < _LEAVING)
    reach = ar1(rng.standard_normal(settings.n_months), _PERSISTENCE)
    middle, half = (settings.most + settings.fewest) / 2.0, (settings.most - settings.fewest) / 2.0
    size = np.clip(np.round(middle + 0.6 * half * reach), settings.fewest, settings.most).astype(int)
    return [slice(int(start), int(start + n)) for start, n in zip(first, size, strict=True)]


def _signal(ranks: np.ndarray) -> np.ndarray:
    """Return what a month's characteristics say of the mean, less its cross-sectional average."""
    signal = ranks[:, :3] @ np.array(_SLOPES) + _INTERACTION * ranks[:, 0] * ranks[:, 1]
    return signal - signal.mean()


def _best(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    weights = np.linalg.solve(covariance, mean)
    return weights / (1.0 + mean @ weights)
