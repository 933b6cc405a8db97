"""Walk-forward regression of one series on its regressors.

Here belongs the single-series case, used for innovations of macro series. The regressions of a panel, one a bond or
firm, have their own module: they are vectorised over the cross-section, which one series does not need.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class WalkForward:
    """Result of a walk-forward regression over T months.

    Attributes
    ----------
    residual : (T,) float
        ``y[t]`` less its forecast from the coefficients known before t; NaN where it can't be computed.
    coef : (T, P) or (T, 1 + P) float
        Coefficients estimated on the months before t, the intercept first when there is one; NaN where there are too
        few.
    n_obs : (T,) int
        Complete months in the estimation window of t.
    """

    residual: NDArray[np.float64]
    coef: NDArray[np.float64]
    n_obs: NDArray[np.int64]


def walk_forward_residuals(
    y: NDArray[np.float64], x: NDArray[np.float64], window: int, min_obs: int, intercept: bool
) -> WalkForward:
    """Out-of-sample residuals of least squares re-estimated every month on the months before.

    The residual of row t uses coefficients estimated on rows ``t - window .. t - 1``, of which the complete ones
    count. Every window is solved on its own, so that a result depends on the rows of its window and on row t alone,
    to the last bit.

    Parameters
    ----------
    y : (T,) float
        Dependent variable on consecutive calendar months; NaN is missing.
    x : (T, P) float
        Regressors of the same months; NaN is missing.
    window : int
        Months in the estimation window.
    min_obs : int
        Fewest complete months; with fewer, coefficients and residual are NaN. They are NaN as well when the design of
        the window has not full column rank, since its coefficients would be arbitrary.
    intercept : bool
        Whether a constant is estimated.

    Returns
    -------
    WalkForward
        Residuals, coefficients and counts, T rows each.

    Raises
    ------
    ValueError
        If the shapes disagree, or ``window`` and ``min_obs`` are not ``1 <= min_obs <= window``.
    """
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"y {y.shape} and x {x.shape} must have shapes (T,) and (T, P)")
    if not 1 <= min_obs <= window:
        raise ValueError(f"min_obs {min_obs} must lie between 1 and the window of {window} months")
    design = np.column_stack([np.ones(len(y)), x]) if intercept else x
    complete = np.isfinite(y) & np.isfinite(design).all(axis=1)
    n_rows, n_coef = design.shape
    residual = np.full(n_rows, np.nan)
    coef = np.full((n_rows, n_coef), np.nan)
    n_obs = np.zeros(n_rows, dtype=np.int64)
    for t in range(n_rows):
        rows = np.flatnonzero(complete[max(0, t - window) : t]) + max(0, t - window)
        n_obs[t] = len(rows)
        if len(rows) < max(min_obs, n_coef):
            continue
        solution, _, rank, _ = np.linalg.lstsq(design[rows], y[rows], rcond=None)
        if rank == n_coef:
            coef[t] = solution
            residual[t] = y[t] - (design[t] * solution).sum()
    return WalkForward(residual=residual, coef=coef, n_obs=n_obs)
