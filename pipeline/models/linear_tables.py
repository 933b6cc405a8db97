"""Columns of what the linear models leave each month.

Belongs here: names and types, read by every process. Does not: computing them.
"""

from __future__ import annotations

import polars as pl

BOND_FACTOR = "cochrane_piazzesi"
CONSTANT = "constant"

KERNELS_SCHEMA = {
    "month": pl.Date(),
    "n_factors": pl.Int64(),
    "cp": pl.Boolean(),
    "n_series": pl.Int64(),
    "n_assets": pl.Int64(),
    "n_months": pl.Int64(),
    "sharpe": pl.Float64(),
    "explained_variation": pl.Float64(),
    "r2": pl.Float64(),
    "cross_sectional_r2": pl.Float64(),
    "j": pl.Float64(),
    "degrees_of_freedom": pl.Int64(),
    "p": pl.Float64(),
    "difference": pl.Float64(),
    "p_difference": pl.Float64(),
    "converged": pl.Boolean(),
    "reason": pl.String(),
}

REGRESSIONS_SCHEMA = {
    "month": pl.Date(),
    "factors": pl.String(),
    "specification": pl.String(),
    "portfolio": pl.String(),
    "predictor": pl.String(),
    "coefficient": pl.Float64(),
    "standard_error": pl.Float64(),
    "p": pl.Float64(),
    "r2": pl.Float64(),
    "n_months": pl.Int64(),
}

REGIMES_SCHEMA = {
    "month": pl.Date(),
    "n_states": pl.Int64(),
    "state": pl.Int64(),
    "probability": pl.Float64(),
    "mean": pl.Float64(),
    "volatility": pl.Float64(),
    "largest_eigenvalue": pl.Float64(),
    "expected_months": pl.Float64(),
    "log_likelihood": pl.Float64(),
    "converged": pl.Boolean(),
    "n_months": pl.Int64(),
    "estimated_in": pl.Date(),
}
