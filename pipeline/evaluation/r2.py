"""R-squared against zero, and how far two factor spaces agree.

Excess returns are compared with zero, not with their mean: the mean is what the models are asked to explain (Kelly,
Pruitt and Su 2019; Gu, Kelly and Xiu 2020). Nothing here estimates a model.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.linalg import svdvals

from pipeline.models.managed_portfolios import SufficientStatistics


def r_squared(squared_errors: float, squared_returns: float) -> float | None:
    """Return 1 - sum of squared errors / sum of squared returns; None where the returns are all zero or absent."""
    return 1.0 - squared_errors / squared_returns if squared_returns > 0.0 else None


def r_squared_from_statistics(statistics: SufficientStatistics, gamma: np.ndarray, factors: np.ndarray) -> float | None:
    """Return the R-squared of r = C Gamma f over the months given, without the panel.

    Parameters
    ----------
    statistics : SufficientStatistics
        Managed portfolios of T months.
    gamma : np.ndarray
        (L, M) loadings, an intercept's included.
    factors : np.ndarray
        (T, M) realised factors give the total R-squared, their (M,) mean the predictive one.

    Returns
    -------
    float or None
        None where all returns are zero or absent.
    """
    return r_squared(statistics.loss(gamma, factors), float(statistics.yy.sum()))


def r_squared_from_panel(realised: np.ndarray, fitted: np.ndarray) -> float | None:
    """Return the R-squared of fitted values over all asset-months.

    Parameters
    ----------
    realised, fitted : np.ndarray
        (N,) decimals without NaN.

    Returns
    -------
    float or None
        None where all returns are zero or absent.
    """
    return r_squared(float(np.sum((realised - fitted) ** 2)), float(np.sum(realised**2)))


def out_of_sample_r_squared(evaluated: pl.DataFrame) -> pl.DataFrame:
    """Return each model's out-of-sample R-squared on the sample that all models share.

    Parameters
    ----------
    evaluated : pl.DataFrame
        `model`, `month` (the target), `asset_id`, `forecast`, `realised`. Rows without a forecast or a return do not
        count, nor do asset-months that some model does not cover.

    Returns
    -------
    pl.DataFrame
        `model`, `n`, `r2`, sorted by model; r2 is null where every return is zero.
    """
    n_models = evaluated["model"].n_unique()
    complete = evaluated.filter(pl.col("forecast").is_not_null() & pl.col("realised").is_not_null())
    shared = complete.filter(pl.col("model").n_unique().over("month", "asset_id") == n_models)
    error = (pl.col("realised") - pl.col("forecast")).pow(2).sum()
    squares = pl.col("realised").pow(2).sum()
    return (
        shared.group_by("model")
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.when(squares > 0).then(1 - error / squares).alias("r2"))
        .sort("model")
    )


def canonical_correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the canonical correlations between two sets of factors.

    Parameters
    ----------
    a, b : np.ndarray
        (T, K1) and (T, K2), observed in the same T periods, no NaN; centred here.

    Returns
    -------
    np.ndarray
        min(K1, K2) values in [0, 1], descending. They do not change under rotations of either set; the smallest says
        how well the worst recovered direction is recovered.

    Raises
    ------
    ValueError
        If the lengths differ, or a set is collinear or no longer than its number of factors.

    Notes
    -----
    Singular values of Q_a'Q_b from the QR decompositions of the centred sets (Bjorck and Golub 1973).
    """
    if len(a) != len(b):
        raise ValueError(f"the factor sets have {len(a)} and {len(b)} periods; join them on their months first")
    bases = []
    for factors in (a, b):
        centred = factors - factors.mean(axis=0)
        if np.linalg.matrix_rank(centred) < factors.shape[1]:
            raise ValueError(f"a set of {factors.shape[1]} factors over {len(factors)} periods is collinear")
        bases.append(np.linalg.qr(centred)[0])
    return np.clip(svdvals(bases[0].T @ bases[1]), 0.0, 1.0)
