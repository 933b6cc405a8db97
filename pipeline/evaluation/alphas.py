"""What a portfolio earns beyond its exposure to factors: intercepts with HAC t-statistics against any set of factors.

Here belong time-series regressions of portfolio returns on published factors. How good a portfolio is by itself stands
in :mod:`pipeline.evaluation.performance`; where the factors come from is nobody's business here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import polars as pl
from scipy.stats import norm
from statsmodels.regression.linear_model import OLS

from pipeline.evaluation.comparisons import HacSettings, newey_west_lags, significance_stars

FACTOR_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sp500": ("sp500",),
        "ff3": ("mkt_rf", "smb", "hml"),
        "ff5": ("mkt_rf", "smb_5", "hml", "rmw", "cma"),
    }
)
"""Benchmark -> columns of the factor table: the index less the risk-free rate, Fama and French (1993) and (2015)."""

# Residuals this small beside the returns are rounding: the factors span the portfolio and nothing can be tested.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class AlphaSettings:
    """How intercepts are tested.

    Attributes
    ----------
    hac : HacSettings
        Lags of the Bartlett weights and fewest months.
    small_sample : bool
        Whether the covariance is multiplied by T / (T - K - 1). The source does not say what it does. Against 40
        portfolios and 168 months t-statistics without it would be too large by a sixth.
    """

    hac: HacSettings = field(default_factory=HacSettings)
    small_sample: bool = True


@dataclass(frozen=True, kw_only=True)
class Alpha:
    """One time-series regression.

    Attributes
    ----------
    alpha : float
        Intercept: monthly excess return beyond the factors, decimal.
    standard_error : float
        Newey-West.
    t, p : float or None
        Two-sided p of the standard normal distribution; None where the factors span the portfolio but for rounding.
    betas : tuple of float
        Slopes in the order of the factors.
    r2 : float or None
        Centred; None where the portfolio's return is constant.
    n_months, lags : int
        Months used and lags of the Newey-West weights.
    """

    alpha: float
    standard_error: float
    t: float | None
    p: float | None
    betas: tuple[float, ...]
    r2: float | None
    n_months: int
    lags: int


def alpha(returns: np.ndarray, factors: np.ndarray, settings: AlphaSettings | None = None) -> Alpha:
    """Regress a portfolio on traded factors and test the intercept.

    Parameters
    ----------
    returns : np.ndarray
        (T,) monthly excess returns, decimals.
    factors : np.ndarray
        (T, K) excess returns of the factors, in the same unit. K may be 0.
    settings : AlphaSettings, optional
        Lags, fewest months and small-sample correction.

    Returns
    -------
    Alpha
        Intercept, slopes and test.

    Raises
    ------
    ValueError
        If a number is not finite, there are too few months, or the factors and the constant are linearly dependent.
    """
    settings = settings or AlphaSettings()
    y, X = np.asarray(returns, dtype=np.float64), np.asarray(factors, dtype=np.float64)
    if X.ndim != 2 or y.shape != X.shape[:1] or not np.isfinite(y).all() or not np.isfinite(X).all():
        raise ValueError(f"returns {y.shape} and factors {X.shape} must be finite, with one row a month each")
    periods, K = X.shape
    lags = newey_west_lags(periods) if settings.hac.lags is None else settings.hac.lags
    needed = max(settings.hac.min_months, lags + 2, K + 3)
    if periods < needed:
        raise ValueError(f"{periods} months are too few for {K} factors and {lags} lags; give at least {needed}")
    design = np.column_stack([np.ones(periods), X])
    if np.linalg.matrix_rank(design / np.linalg.norm(design, axis=0).clip(min=np.finfo(float).tiny)) <= K:
        raise ValueError(f"the {K} factors and the constant are linearly dependent over {periods} months; drop some")
    fit = OLS(y, design).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": settings.small_sample}, use_t=False
    )
    tested = float(np.sum(fit.resid**2)) > _ROUNDING * float(np.sum(y**2))
    t = float(fit.params[0] / fit.bse[0]) if tested else None
    spread = float(np.sum((y - y.mean()) ** 2))
    return Alpha(
        alpha=float(fit.params[0]),
        standard_error=float(fit.bse[0]),
        t=t,
        p=None if t is None else float(2.0 * norm.sf(abs(t))),
        betas=tuple(float(each) for each in fit.params[1:]),
        r2=1.0 - float(np.sum(fit.resid**2)) / spread if spread > 0.0 else None,
        n_months=periods,
        lags=lags,
    )


def alphas(
    returns: pl.DataFrame,
    factors: pl.DataFrame,
    sets: Mapping[str, Sequence[str]] = FACTOR_SETS,
    settings: AlphaSettings | None = None,
) -> pl.DataFrame:
    """Return the intercepts of several portfolios against several sets of factors.

    Parameters
    ----------
    returns : pl.DataFrame
        `model`, `month`, `ret` (excess, decimals), one row a portfolio and month.
    factors : pl.DataFrame
        `month` and the columns that the sets name, decimals, one row a month. A set of test portfolios is their
        columns.
    sets : mapping of str to sequence of str, optional
        Benchmark -> columns of `factors`.
    settings : AlphaSettings, optional
        As in :func:`alpha`.

    Returns
    -------
    pl.DataFrame
        `model`, `benchmark`, `alpha`, `standard_error`, `t`, `p`, `stars`, `r2`, `n_months`, `lags`, in the order of
        the models' names and of `sets`. Each regression uses the months in which the portfolio and all factors of its
        set are there; `n_months` tells how many.

    Raises
    ------
    ValueError
        If a column is absent, a month occurs twice, or a regression cannot be run; the message names it.
    """
    absent = sorted({name for names in sets.values() for name in names} - set(factors.columns))
    if absent:
        raise ValueError(f"the factors have no columns {absent}; leave out the sets that name them")
    if factors["month"].is_duplicated().any() or returns.select("model", "month").is_duplicated().any():
        raise ValueError("a month occurs twice in the factors, or twice in the returns of a model; keep one row each")
    rows: list[dict[str, object]] = []
    for (model,), own in returns.sort("model", "month").group_by("model", maintain_order=True):
        joined = own.join(factors, on="month", how="inner", maintain_order="left")
        for benchmark, names in sets.items():
            complete = joined.select("ret", *names).cast(pl.Float64).drop_nulls()
            try:
                fit = alpha(complete["ret"].to_numpy(), complete.select(names).to_numpy(), settings)
            except ValueError as error:
                raise ValueError(f"{model} against {benchmark}: {error}") from error
            rows.append(
                {
                    "model": model,
                    "benchmark": benchmark,
                    "stars": significance_stars(fit.p),
                    **{name: getattr(fit, name) for name in _TABLE if hasattr(fit, name)},
                }
            )
    return pl.DataFrame(rows, schema=_TABLE)


_TABLE = {
    "model": pl.String(),
    "benchmark": pl.String(),
    "alpha": pl.Float64(),
    "standard_error": pl.Float64(),
    "t": pl.Float64(),
    "p": pl.Float64(),
    "stars": pl.String(),
    "r2": pl.Float64(),
    "n_months": pl.Int64(),
    "lags": pl.Int64(),
}
