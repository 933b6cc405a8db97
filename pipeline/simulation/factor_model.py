"""Returns from a conditional factor model whose parameters are known.

The model is that of the source, nothing else: f_t = z_t Omega + tanh(f_{t-1}) AR and r_t = B_t f_t + e_t on a ragged
panel of assets. An estimator is right when it finds the parameters drawn here; the market of the other modules has
vendors, calendars and traps, this one has none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from pipeline.models import factor_recursion
from pipeline.models.factor_model import AssetReturns, MonthlySeries, PooledPanel, Sample
from pipeline.models.factor_recursion import Parameters
from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.simulation.paths import ar1, centred_ranks, stream

# Of the characteristics behind the ranks, month to month.
_PERSISTENCE = 0.9

# Share of the months before which, and after which, an asset may be born and die.
_BORN_AND_DIED = 0.25


@dataclass(frozen=True, kw_only=True)
class FactorModelSettings:
    """Sizes and strengths of the simulated model.

    Attributes
    ----------
    n_months, n_assets, n_factors : int
        T, N and K.
    n_characteristics : int
        Ranked characteristics; the loadings' instruments are these and a constant.
    n_instruments : int
        Factor instruments without the constant; independent and standard normal.
    conditional : bool
        Whether loadings are linear in characteristics, or of each asset and constant.
    memory : float
        Length of the rows of AR; 0 gives factors without memory.
    factor_sd : float
        Standard deviation of the part of each factor that the instruments drive; near one, tanh bends.
    premium : float
        What the constant adds to each factor.
    loading : float
        Length of the first factor's column of Gamma (of a typical asset's first beta); the others are shorter. Gives
        returns their unit, decimals.
    noise : float
        Standard deviation of the idiosyncratic return, decimals.
    missing : float
        Share of the returns that are missing at random, on top of assets that begin late and end early.
    seed : int
        Of all draws.
    """

    n_months: int = 240
    n_assets: int = 40
    n_factors: int = 2
    n_characteristics: int = 4
    n_instruments: int = 3
    conditional: bool = True
    memory: float = 0.5
    factor_sd: float = 0.7
    premium: float = 0.2
    loading: float = 0.1
    noise: float = 0.05
    missing: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes for which there is no model."""
        if min(self.n_months, self.n_assets, self.n_factors) < 1 or self.n_characteristics < 0:
            raise ValueError(f"a size is not positive: {self}")
        if self.n_factors > min(self.n_characteristics, self.n_instruments) + 1:
            raise ValueError(
                f"{self.n_factors} factors need as many instruments and characteristics, constants included; there are "
                f"{self.n_instruments + 1} and {self.n_characteristics + 1}"
            )
        if not 0.0 <= self.missing < 1.0:
            raise ValueError(f"missing is {self.missing}; it is a share below 1")


@dataclass(frozen=True, kw_only=True)
class SimulatedFactorModel:
    """A sample and the truth behind it.

    Attributes
    ----------
    sample : Sample
        All parts but ``observed``: statistics, instruments, returns and panel of the same draws.
    instruments : np.ndarray
        (T, P - 1) what the sample has as factor instruments.
    parameters : Parameters
        True Omega (the constant first), AR (zeros without memory) and f_0.
    loadings : np.ndarray
        (L, K) true Gamma, or (N, K) true betas.
    factors : np.ndarray
        (T, K) true factors.
    """

    sample: Sample
    instruments: np.ndarray
    parameters: Parameters
    loadings: np.ndarray
    factors: np.ndarray

    def centred(self, n_months: int) -> Parameters:
        """Return the true parameters for instruments less their means over the first ``n_months``."""
        omega = self.parameters.omega.copy()
        omega[0] += self.instruments[:n_months].mean(axis=0) @ omega[1:]
        return replace(self.parameters, omega=omega)


def simulate_factor_model(settings: FactorModelSettings) -> SimulatedFactorModel:
    """Draw parameters, instruments, characteristics and returns.

    Parameters
    ----------
    settings : FactorModelSettings
        Sizes, strengths and seed.

    Returns
    -------
    SimulatedFactorModel
        Months from January 1960; assets ``A0000`` and so on.
    """
    months = tuple(date(1960 + i // 12, i % 12 + 1, 1) for i in range(settings.n_months))
    parameters = _parameters(settings)
    names = tuple(f"z{i:02d}" for i in range(settings.n_instruments))
    draws = stream(settings.seed, "instruments").standard_normal((settings.n_months, settings.n_instruments))
    driven = np.column_stack([np.ones(settings.n_months), draws])
    factors = factor_recursion.run(driven, parameters).factors
    alive = _alive(settings)
    characteristics = _characteristics(settings, alive)
    loadings = _loadings(settings)
    betas = (
        characteristics @ loadings
        if settings.conditional
        else np.broadcast_to(loadings, (*alive.shape, factors.shape[1]))
    )
    noise = settings.noise * stream(settings.seed, "noise").standard_normal(alive.shape)
    returns = np.where(alive, np.einsum("tnk,tk->tn", betas, factors) + noise, np.nan)
    assets = tuple(f"A{i:04d}" for i in range(settings.n_assets))
    panel = _pooled(months, assets, characteristics, returns)
    sample = Sample(
        statistics=_statistics(panel),
        instruments=MonthlySeries(months=months, names=names, values=draws),
        returns=AssetReturns(months=months, assets=assets, values=returns),
        panel=panel,
    )
    return SimulatedFactorModel(
        sample=sample, instruments=draws, parameters=parameters, loadings=loadings, factors=factors
    )


def _parameters(settings: FactorModelSettings) -> Parameters:
    """Omega whose slopes are orthogonal across factors, AR a scaled orthogonal matrix, f_0 within one."""
    rng = stream(settings.seed, "parameters")
    K = settings.n_factors
    slopes = rng.standard_normal((settings.n_instruments, K))
    if settings.n_instruments >= K:
        slopes = np.linalg.qr(slopes)[0]
    omega = np.vstack([np.full(K, settings.premium), settings.factor_sd * slopes])
    # A positive diagonal: with one factor a memory of 0.5 is AR = 0.5.
    ar, triangle = np.linalg.qr(rng.standard_normal((K, K)) + 1.5 * np.eye(K))
    return Parameters(omega, settings.memory * ar * np.sign(np.diag(triangle)), rng.uniform(-1.0, 1.0, K))


def _loadings(settings: FactorModelSettings) -> np.ndarray:
    """Orthogonal columns, each four fifths as long as the one before."""
    K = settings.n_factors
    rng = stream(settings.seed, "loadings")
    lengths = settings.loading * 0.8 ** np.arange(K)
    if not settings.conditional:
        return lengths * rng.standard_normal((settings.n_assets, K))
    return lengths * np.linalg.qr(rng.standard_normal((settings.n_characteristics + 1, K)))[0]


def _alive(settings: FactorModelSettings) -> np.ndarray:
    """Return (T, N) whether there is a return: half the assets begin late, half end early, some months are missing."""
    rng = stream(settings.seed, "lives")
    months = np.arange(settings.n_months)[:, None]
    span = _BORN_AND_DIED * settings.n_months
    late, early = (np.maximum(rng.uniform(-span, span, settings.n_assets), 0.0) for _ in range(2))
    living = (months >= late) & (months < settings.n_months - early)
    return living & (rng.random((settings.n_months, settings.n_assets)) >= settings.missing)


def _characteristics(settings: FactorModelSettings, alive: np.ndarray) -> np.ndarray:
    """Return (T, N, L) ranks among the assets that are there, the constant last."""
    shape = (*alive.shape, settings.n_characteristics)
    latent = ar1(stream(settings.seed, "characteristics").standard_normal(shape), _PERSISTENCE)
    latent[~alive] = np.nan
    matrix = np.ones((*alive.shape, settings.n_characteristics + 1))
    for t in range(settings.n_months):
        for j in range(settings.n_characteristics):
            matrix[t, :, j] = centred_ranks(latent[t, :, j])
    return matrix


def _pooled(
    months: tuple[date, ...], assets: tuple[str, ...], characteristics: np.ndarray, returns: np.ndarray
) -> PooledPanel:
    there = ~np.isnan(returns)
    names = (*(f"c{j:02d}" for j in range(characteristics.shape[2] - 1)), "constant")
    return PooledPanel(
        months=months,
        bounds=np.concatenate([[0], np.cumsum(there.sum(axis=1))]),
        characteristics=characteristics[there],
        returns=returns[there],
        assets=np.broadcast_to(np.array(assets), there.shape)[there],
        names=names,
    )


def _statistics(panel: PooledPanel) -> SufficientStatistics:
    L, periods = len(panel.names), len(panel.months)
    n, yy, X, W = np.diff(panel.bounds), np.empty(periods), np.empty((periods, L)), np.empty((periods, L, L))
    for t, (first, last) in enumerate(zip(panel.bounds, panel.bounds[1:], strict=False)):
        C, r = panel.characteristics[first:last], panel.returns[first:last]
        yy[t], X[t], W[t] = r @ r, C.T @ r, C.T @ C
    return SufficientStatistics(months=panel.months, n=n, yy=yy, X=X, W=W, names=panel.names)
