"""Walk-forward least squares of many assets at once, each over its own observations in a window of calendar months.

One engine serves every beta of a panel. The coefficients of an asset in a month are a function of that asset's own
window and of the regressors common to all, to the last bit: sums over months run in a fixed order, matrix products are
cut into tiles of one fixed shape (the order in which BLAS adds may depend on the shape), and the small systems are
solved by element-wise arithmetic on all assets side by side. Regressions of one series on another are in
:mod:`pipeline.panel.time_series`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.panel.dense import Floats, Integers, MonthlyPanel, MonthlySeries
from pipeline.panel.windows import Window, sum_months

# Small enough that BLAS keeps each product on one thread, and a multiple of every kernel's width.
TILE = 64
# The error of a slope is about the condition number of the regressors' correlation matrix times 2e-16.
CONDITION_LIMIT = 1e5
# Largest loss of digits accepted when an asset's own mean is taken out of a sum of squares.
CENTRING_LIMIT = 1e3
# Singular values of the standardised regressors below this fraction of the largest count as zero.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, kw_only=True)
class WalkForwardSettings:
    """How a walk-forward regression looks back.

    Attributes
    ----------
    window : Window
        Calendar months and the fewest complete observations.
    lag : int
        Months between the month asked for and the window's last: 0 ends the window at the month, 1 before it.
    intercept : bool
        Whether a constant is estimated.
    """

    window: Window
    lag: int = 0
    intercept: bool = True

    def __post_init__(self) -> None:
        if self.lag < 0:
            raise ValueError(f"a lag of {self.lag} months would look at the future")


@dataclass(frozen=True)
class WindowFit:
    """Least-squares coefficients of N assets in one window.

    Attributes
    ----------
    slopes : ndarray of shape (N, P)
        Common regressors first, then the asset's own; NaN where they cannot be estimated.
    intercepts : ndarray of shape (N,)
        NaN likewise; 0 in a regression without constant.
    n_obs : ndarray of shape (N,)
        Complete observations in the window.
    """

    slopes: Floats
    intercepts: Floats
    n_obs: Integers


@dataclass(frozen=True)
class _Moments:
    """Cross products about each asset's own means: (P, P, N), (P, N), and the means (P, N), (N,)."""

    regressors: Floats
    with_response: Floats
    trusted: NDArray[np.bool_]
    regressor_means: Floats
    response_mean: Floats


def _tiled_product(left: Floats, right: Floats) -> Floats:
    """Return ``left @ right`` for right of shape (months, multiple of TILE), one product of fixed shape a tile.

    Tiles are copied so that they lie in memory alike whatever the number of assets, and a single row is doubled: BLAS
    takes it for a matrix-vector product, whose order of addition may follow the memory layout.
    """
    months, assets = right.shape
    rows = left if len(left) > 1 else np.repeat(left, 2, axis=0)
    tiles = np.ascontiguousarray(right.reshape(months, assets // TILE, TILE).transpose(1, 0, 2))
    return np.matmul(rows, tiles).transpose(1, 0, 2).reshape(len(rows), assets)[: len(left)]


def _standard_scale(common: Floats, intercept: bool) -> tuple[Floats, Floats]:
    """Return (centre, scale) of the common regressors over the window's complete months."""
    complete = common[~np.isnan(common).any(axis=1)]
    if not len(complete):
        return np.zeros(common.shape[1]), np.ones(common.shape[1])
    centre = sum_months(complete) / len(complete) if intercept else np.zeros(common.shape[1])
    scale = np.sqrt(sum_months((complete - centre) ** 2) / len(complete))
    return centre, np.where(scale > 0.0, scale, 1.0)


def _demeaned(values: Floats, observed: Floats, count: Floats, intercept: bool) -> tuple[Floats, Floats]:
    """Return values less their own mean, zero where not observed, and the mean (N,)."""
    kept = np.where(observed > 0.0, values, 0.0)
    if not intercept:
        return kept, np.zeros(values.shape[-1])
    mean = sum_months(kept) / count
    kept -= mean
    kept *= observed
    return kept, mean


def _cross_moments(y: Floats, common: Floats, own: Sequence[Floats], observed: Floats, intercept: bool) -> _Moments:
    """Sum the cross products of each asset over its observed months.

    ``common`` is already standardised, so that its sums lose no digits; y and the own regressors are taken about the
    asset's mean directly, the common ones by ``sum(xx') - sum(x) sum(x)' / n``.
    """
    shared, size = common.shape[1], common.shape[1] + len(own)
    count = np.maximum(sum_months(observed), 1.0)
    response, response_mean = _demeaned(y, observed, count, intercept)
    centred = [_demeaned(values, observed, count, intercept) for values in own]
    squares, products = np.empty((size, size, y.shape[1])), np.empty((size, y.shape[1]))
    means = np.zeros((size, y.shape[1]))
    trusted = np.ones(y.shape[1], dtype=bool)
    if shared:
        upper = np.triu_indices(shared)
        pairs = np.concatenate([common[:, upper[0]] * common[:, upper[1]], common], axis=1).T
        sums = _tiled_product(np.ascontiguousarray(pairs), observed)
        totals = sums[len(upper[0]) :]
        for (row, column), total in zip(zip(*upper, strict=True), sums, strict=False):
            centred_total = total - totals[row] * totals[column] / count if intercept else total
            squares[row, column] = squares[column, row] = centred_total
            if row == column:
                trusted &= centred_total * CENTRING_LIMIT >= total
        if intercept:
            means[:shared] = totals / count
        # y is about its mean, so the regressors need not be.
        products[:shared] = _tiled_product(np.ascontiguousarray(common.T), response)
    for position, (values, mean) in enumerate(centred, start=shared):
        means[position] = mean
        products[position] = sum_months(values * response)
        for other in range(shared):
            squares[position, other] = squares[other, position] = sum_months(values * common[:, other, None])
        for other in range(shared, position + 1):
            cross = sum_months(values * centred[other - shared][0])
            squares[position, other] = squares[other, position] = cross
    return _Moments(squares, products, trusted, means, response_mean)


def _sweep(moments: _Moments) -> tuple[Floats, NDArray[np.bool_]]:
    """Solve the normal equations of all assets by Gauss-Jordan elimination, element-wise.

    Returns
    -------
    tuple
        Slopes (P, N), and whether they are accurate: the regressors' correlation matrix R has the condition number
        ``trace(R) trace(R^-1) = P trace(R^-1)`` at most, and the trace of its inverse falls out of the elimination.
    """
    size, assets = moments.with_response.shape
    diagonal = moments.regressors[np.arange(size), np.arange(size)]
    trusted = moments.trusted & (diagonal > 0.0).all(axis=0)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    table = np.empty((size, size + 1, assets))
    np.multiply(moments.regressors, scale[:, None], out=table[:, :size])
    table[:, :size] *= scale[None, :]
    np.multiply(moments.with_response, scale, out=table[:, size])
    for step in range(size):
        pivot = table[step, step].copy()
        trusted &= pivot > 1.0 / CONDITION_LIMIT
        inverse = 1.0 / np.where(trusted, pivot, 1.0)
        row = table[step] * inverse
        row[step] = inverse
        for other in range(size):
            if other != step:
                factor = table[other, step].copy()
                table[other, step] = 0.0
                table[other] -= factor * row
        table[step] = row
    trace = sum_months(table[np.arange(size), np.arange(size)])
    return table[:, size] * scale, trusted & (size * trace < CONDITION_LIMIT)


def _decomposed(y: Floats, regressors: Floats, observed: Floats, intercept: bool) -> Floats:
    """Solve by singular values what the normal equations cannot: (w, B), (P, w, B) -> (P, B), NaN at low rank."""
    count = np.maximum(sum_months(observed), 1.0)
    design = np.stack([_demeaned(values, observed, count, intercept)[0] for values in regressors])
    response = _demeaned(y, observed, count, intercept)[0]
    norm = np.sqrt(np.stack([sum_months(values * values) for values in design]))
    largest = np.abs(regressors * observed).max(axis=1) * np.sqrt(count)
    flat = norm <= largest * RANK_TOLERANCE
    norm = np.where(flat, 1.0, norm)
    left, singular, right = np.linalg.svd((design / norm[:, None]).transpose(2, 1, 0), full_matrices=False)
    deficient = flat.any(axis=0) | (singular[:, -1] <= singular[:, 0] * RANK_TOLERANCE)
    size = len(regressors)
    projected = [sum_months(left[:, :, k].T * response) / np.where(deficient, 1.0, singular[:, k]) for k in range(size)]
    slopes = np.stack([sum_months(np.stack([right[:, k, p] * projected[k] for k in range(size)])) for p in range(size)])
    slopes[:, deficient | (count < size + intercept)] = np.nan
    return slopes / norm


def fit_window(
    y: Floats, common: Floats, own: Sequence[Floats] = (), *, min_obs: int = 1, intercept: bool = True
) -> WindowFit:
    """Fit one least-squares regression an asset over the rows of a window.

    Parameters
    ----------
    y : ndarray of shape (w, N)
        Response; NaN where missing.
    common : ndarray of shape (w, K)
        Regressors shared by all assets; a month with a missing one is left out for all. K may be 0.
    own : sequence of ndarray of shape (w, N)
        Each asset's own regressors.
    min_obs : int
        Fewest complete observations.
    intercept : bool
        Whether a constant is estimated.

    Returns
    -------
    WindowFit
        NaN for an asset with fewer than ``min_obs`` observations or whose regressors are linearly dependent over its
        observations: a minimum-norm answer would depend on the units of the regressors.

    Notes
    -----
    The normal equations are solved about the means and on standardised regressors. Where their condition would cost
    accuracy, the asset is solved by singular values instead, so that the slopes agree with a QR or SVD solution.
    """
    assets, size = y.shape[1], common.shape[1] + len(own)
    padding = -assets % TILE
    y, *own = [np.pad(values, ((0, 0), (0, padding)), constant_values=np.nan) for values in (y, *own)]
    complete = np.asarray(~np.isnan(common).any(axis=1))
    seen = ~np.isnan(y) & complete[:, None]
    for values in own:
        seen &= ~np.isnan(values)
    observed = seen.astype(np.float64)
    n_obs = seen.sum(axis=0)
    centre, scale = _standard_scale(common, intercept)
    standard = np.where(complete[:, None], (common - centre) / scale, 0.0)
    units = np.concatenate([scale, np.ones(len(own))])
    moments = _cross_moments(y, standard, own, observed, intercept)
    slopes, accurate = _sweep(moments)
    hard = np.flatnonzero(~accurate & (n_obs >= max(min_obs, 1)))
    if len(hard):
        shape = (len(standard), len(hard))
        regressors = [np.broadcast_to(column[:, None], shape) for column in standard.T]
        regressors += [values[:, hard] for values in own]
        slopes[:, hard] = _decomposed(y[:, hard], np.stack(regressors), observed[:, hard], intercept)
    slopes[:, n_obs < max(min_obs, 1)] = np.nan
    slopes /= units[:, None]
    offsets = moments.regressor_means * units[:, None]
    offsets[: common.shape[1]] += centre[:, None]
    fitted = sum_months(slopes * offsets) if size else np.zeros(len(n_obs))
    intercepts = moments.response_mean - fitted if intercept else np.where(np.isnan(fitted), np.nan, 0.0)
    return WindowFit(slopes[:, :assets].T.copy(), intercepts[:assets], n_obs[:assets])


def walk_forward_month(
    panel: MonthlyPanel,
    series: MonthlySeries,
    month: date,
    positions: Integers,
    *,
    response: str,
    common: Sequence[str],
    own: Sequence[str] = (),
    settings: WalkForwardSettings,
) -> WindowFit:
    """Fit the assets at ``positions`` over the window of one month.

    Parameters
    ----------
    panel : MonthlyPanel
        Holds ``response`` and ``own``.
    series : MonthlySeries
        Holds ``common``.
    month : date
        The month whose window is fitted; see :class:`WalkForwardSettings`.
    positions : ndarray of shape (N,)
        Array columns of the assets asked for.
    response, common, own : str and sequences of str
        Names of the regression's variables.
    settings : WalkForwardSettings
        Window, lag, intercept.
    """
    length, lag = settings.window.months, settings.lag
    return fit_window(
        panel.window(response, month, positions, length, lag),
        series.window(common, month, length, lag),
        [panel.window(name, month, positions, length, lag) for name in own],
        min_obs=settings.window.min_obs,
        intercept=settings.intercept,
    )


def walk_forward_betas(
    panel: MonthlyPanel,
    series: MonthlySeries,
    requested: Mapping[date, Integers],
    *,
    response: str,
    common: Sequence[str],
    own: Sequence[str] = (),
    settings: WalkForwardSettings,
    key: str = "isin",
) -> pl.DataFrame:
    """Fit every requested (month, asset) and return the coefficients as a long frame.

    Parameters
    ----------
    panel, series, response, common, own, settings
        As in :func:`walk_forward_month`.
    requested : mapping of date to ndarray
        Array columns of the assets asked for, a month.
    key : str
        Name of the identifier column of the result.

    Returns
    -------
    pl.DataFrame
        Columns month, ``key``, ``intercept``, ``beta_<regressor>`` and ``n_obs``; null where not estimated.
    """
    months = sorted(requested)
    fits = [
        walk_forward_month(
            panel, series, month, requested[month], response=response, common=common, own=own, settings=settings
        )
        for month in months
    ]
    counts = [len(requested[month]) for month in months]
    positions = np.concatenate([requested[month] for month in months] or [np.empty(0, dtype=np.int64)])
    names = [f"beta_{name}" for name in (*common, *own)]
    slopes = np.concatenate([fit.slopes for fit in fits] or [np.empty((0, len(names)))])
    columns = {
        "month": pl.Series(months, dtype=pl.Date).gather(np.repeat(np.arange(len(months)), counts)),
        key: pl.Series(panel.assets, dtype=pl.String).gather(positions),
        "intercept": np.concatenate([fit.intercepts for fit in fits] or [np.empty(0)]),
        **{name: np.ascontiguousarray(values) for name, values in zip(names, slopes.T, strict=True)},
        "n_obs": np.concatenate([fit.n_obs for fit in fits] or [np.empty(0, dtype=np.int64)]),
    }
    return pl.DataFrame(columns).with_columns(pl.col("intercept", *names).fill_nan(None))
