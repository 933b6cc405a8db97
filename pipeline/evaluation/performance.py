"""How good a portfolio was: ratios of reward to risk, drawdowns, growth and leverage of one series of monthly returns.

Here belongs what follows from the returns (and gross positions) of one portfolio alone. Benchmarks enter in
:mod:`pipeline.evaluation.alphas`, the assets of the portfolio in :mod:`pipeline.evaluation.pricing`.

Ratios are monthly, as the source of the networks prints them; growth is annual. The source defines none of them. Its
Calmar ratios are, within a unit of the last digit printed, the mean monthly return over the maximum drawdown: ours.
Its Sortino ratios (14.09 beside a Sharpe ratio of 0.25) are no ratio of mean to downside deviation: they would ask for
losses a fiftieth as large as the standard deviation. Ours are the usual ones and therefore far smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MONTHS_PER_YEAR = 12

# A deviation this small beside the returns themselves is rounding: the returns are constant.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Performance:
    """One portfolio over its months; None where a number is not defined.

    Attributes
    ----------
    n_months : int
        Months with a return.
    mean, volatility : float
        Of the monthly returns, decimals; volatility with T - 1.
    sharpe, sortino, calmar : float or None
        Monthly; see :func:`sharpe_ratio`, :func:`sortino_ratio`, :func:`calmar_ratio`.
    annual_sharpe : float or None
        The monthly Sharpe ratio times the square root of 12.
    maximum_drawdown : float
        Decimal in [0, 1]; see :func:`maximum_drawdown`.
    cagr : float
        Compound annual growth rate, decimal.
    maximum_leverage, mean_leverage : float or None
        Of the sums of absolute weights; None where no weights were given.
    """

    n_months: int
    mean: float
    volatility: float
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    annual_sharpe: float | None
    maximum_drawdown: float
    cagr: float
    maximum_leverage: float | None
    mean_leverage: float | None


def performance(returns: np.ndarray, leverage: np.ndarray | None = None) -> Performance:
    """Measure one portfolio.

    Parameters
    ----------
    returns : np.ndarray
        (T,) monthly returns, decimals, T at least 2. Excess returns are compounded as they are: the value is that of
        one dollar at stake, without the interest on cash.
    leverage : np.ndarray, optional
        (T,) gross positions, the sum of absolute weights of each month.

    Returns
    -------
    Performance
        All numbers of tables 3, 6 and A.6 of the source.

    Raises
    ------
    ValueError
        If there are fewer than two returns, one is not finite, or leverage has another length or a negative value.
    """
    returns = _checked(returns)
    if leverage is not None:
        leverage = np.asarray(leverage, dtype=np.float64)
        if leverage.shape != returns.shape or not (leverage >= 0.0).all() or not np.isfinite(leverage).all():
            raise ValueError(f"leverage must be {len(returns)} finite numbers of at least 0, one for each return")
    sharpe = sharpe_ratio(returns)
    return Performance(
        n_months=len(returns),
        mean=float(returns.mean()),
        volatility=float(returns.std(ddof=1)),
        sharpe=sharpe,
        sortino=sortino_ratio(returns),
        calmar=calmar_ratio(returns),
        annual_sharpe=None if sharpe is None else sharpe * MONTHS_PER_YEAR**0.5,
        maximum_drawdown=maximum_drawdown(returns),
        cagr=cagr(returns),
        maximum_leverage=None if leverage is None else float(leverage.max()),
        mean_leverage=None if leverage is None else float(leverage.mean()),
    )


def sharpe_ratio(returns: np.ndarray) -> float | None:
    """Return mean over standard deviation (T - 1) of (T,) excess returns, monthly; None where they do not vary."""
    returns = _checked(returns)
    deviation = float(returns.std(ddof=1))
    return float(returns.mean()) / deviation if deviation > _ROUNDING * float(np.abs(returns).max()) else None


def sortino_ratio(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Return the mean excess over a target over the downside deviation, monthly.

    The downside deviation is the root of the mean over all T months of the squared shortfall, min(r - target, 0)^2
    (Sortino and Price 1994). None where no month falls short.
    """
    excess = _checked(returns) - target
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))
    return float(excess.mean()) / downside if downside > 0.0 else None


def calmar_ratio(returns: np.ndarray) -> float | None:
    """Return the mean monthly return over the maximum drawdown; None where the value never falls."""
    depth = maximum_drawdown(returns)
    return float(np.mean(returns)) / depth if depth > 0.0 else None


def cumulative_value(returns: np.ndarray) -> np.ndarray:
    """Return the (T,) value at the end of each month of one dollar at the start, gains reinvested.

    A return of -1 or less takes all there is: the value is zero from that month on.
    """
    growth = np.maximum(1.0 + _checked(returns, at_least=1), 0.0)
    return np.cumprod(growth)


def drawdowns(returns: np.ndarray) -> np.ndarray:
    """Return the (T,) falls of the value from its highest so far, the dollar at the start included; in [0, 1]."""
    value = cumulative_value(returns)
    return 1.0 - value / np.maximum(np.maximum.accumulate(value), 1.0)


def maximum_drawdown(returns: np.ndarray) -> float:
    """Return the largest of :func:`drawdowns`."""
    return float(drawdowns(returns).max())


def cagr(returns: np.ndarray) -> float:
    """Return the compound annual growth rate of (T,) monthly returns, value^(12 / T) - 1; -1 where all is lost."""
    return float(cumulative_value(returns)[-1] ** (MONTHS_PER_YEAR / len(returns)) - 1.0)


def _checked(returns: np.ndarray, at_least: int = 2) -> np.ndarray:
    returns = np.asarray(returns, dtype=np.float64)
    if returns.ndim != 1 or len(returns) < at_least or not np.isfinite(returns).all():
        raise ValueError(
            f"the returns have shape {returns.shape} and {np.count_nonzero(~np.isfinite(returns))} that are not "
            f"finite; give a series of at least {at_least} finite monthly returns"
        )
    return returns
