"""Made-up linear benchmarks, trees and market states beside the made-up stochastic discount factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from pipeline.evaluation.forecast_moments import forecast_moments
from pipeline.evaluation.forecasts import SCHEMA as FORECASTS_SCHEMA
from pipeline.evaluation.forecasts import network_forecasts
from pipeline.macro.published_factors import COUNTS_SCHEMA
from pipeline.models.linear_tables import BOND_FACTOR, CONSTANT, KERNELS_SCHEMA, REGIMES_SCHEMA, REGRESSIONS_SCHEMA
from pipeline.models.tree_settings import SEARCH_SCHEMA
from pipeline.panel.calendar import shift

#: Months of the two estimates of what is estimated once a year.
ESTIMATED = (date(2019, 1, 1), date(2020, 1, 1))
#: Months with forecasts of the trees of bonds.
BOND_MONTHS = 12
PREDICTORS = (CONSTANT, BOND_FACTOR, "pc_1", "pc_2")
_REGRESSIONS = {"zero": 0, "mean": 0, "predictive_cp": 1, "predictive_macro": 2, "predictive_macro_cp": 3}
TOO_MANY = "40 assets are too few for <31> factors"


def linear_frames(frames: Mapping[str, pl.DataFrame], months: Sequence[date]) -> dict[str, pl.DataFrame]:
    """Return the frames of the benchmarks that belong to the returns and weights of a page.

    Parameters
    ----------
    frames : mapping of str to pl.DataFrame
        Returns and weights of the portfolios and the bonds.
    months : sequence of date
        Months out of sample.
    """
    rng = np.random.default_rng(29)
    portfolios, bonds = frames["bond_portfolios"], frames["bond_returns"]
    names = portfolios["portfolio"].unique().sort().to_list()
    predicted = pl.concat(_forecasts(model, size, names, months, rng) for model, size in _REGRESSIONS.items())
    trees = {
        "bond_portfolio": _forecasts("xgboost", 0, names, months[6:], rng),
        "bond": _forecasts("xgboost", 0, bonds["isin"].unique().sort().to_list(), months[-BOND_MONTHS:], rng),
    }
    networks = network_forecasts(frames["bond_portfolio_sdf"])
    made = {
        "bond_portfolio": ([predicted, networks, trees["bond_portfolio"]], portfolios, months, "portfolio"),
        "bond": ([trees["bond"]], bonds, months[-BOND_MONTHS:], "isin"),
    }
    moments = {
        f"{market}_forecast_moments": forecast_moments(pl.concat(parts), returns, tested, key=key)
        for market, (parts, returns, tested, key) in made.items()
    }
    return {
        "bond_portfolio_linear_sdf": _kernels(rng),
        "macro_factor_counts": _counts(),
        "bond_portfolio_predictive_regressions": _regressions(names, rng),
        "bond_portfolio_predictive_forecasts": predicted,
        "bond_portfolio_regimes": _regimes(months, rng),
        "bond_portfolio_trees": _trees(("y<10>", "slope", "pc_1", "unused"), 0.0412),
        "bond_trees": _trees(("rating", "unused"), -0.003),
        **moments,
    }


def _forecasts(
    model: str, size: int, assets: Sequence[str], months: Sequence[date], rng: np.random.Generator
) -> pl.DataFrame:
    """Forecasts of every asset in every month and of the month after the last, which has no return yet."""
    targets = [*months, shift(months[-1], 1)]
    rows = pl.DataFrame({"target_month": targets}).join(pl.DataFrame({"asset_id": list(assets)}), how="cross")
    values = np.zeros(rows.height) if model == "zero" else rng.normal(0.003, 0.004, rows.height)
    return rows.select(
        pl.col("target_month").dt.offset_by("-1mo").alias("month"),
        "target_month",
        pl.lit(model).alias("model"),
        pl.lit(size, pl.Int64).alias("n_factors"),
        "asset_id",
        pl.Series("forecast", values),
    ).cast(dict(FORECASTS_SCHEMA))


def _kernels(rng: np.random.Generator) -> pl.DataFrame:
    """Two estimates of four kernels, and one that the data cannot carry."""
    rows = []
    for month in ESTIMATED:
        for size, cp in ((0, True), (7, False), (7, True), (12, True)):
            tested = size > 0 and cp
            rows.append(
                {
                    "month": month,
                    "n_factors": size,
                    "cp": cp,
                    "n_series": 126,
                    "n_assets": 40,
                    "n_months": 200,
                    **dict(zip(("sharpe", "explained_variation", "r2"), rng.uniform(0.1, 0.6, 3), strict=True)),
                    "cross_sectional_r2": 0.5,
                    "j": 31.4,
                    "degrees_of_freedom": 40 - size - cp,
                    "p": 0.25,
                    "difference": 12.0 if tested else None,
                    "p_difference": 0.03 if tested else None,
                    "converged": size != 12,
                }
            )
        rows.append({"month": month, "n_factors": 30, "cp": True, "reason": TOO_MANY})
    return pl.DataFrame(rows, schema=KERNELS_SCHEMA)


def _counts() -> pl.DataFrame:
    rows = [
        {
            "month": month,
            "criterion": criterion,
            "penalty_scale": scale,
            "most": most,
            "n_factors": None if most == 60 and criterion == "ic_p3" else round(10 / scale) + place,
            "n_series": 126,
            "n_months": 200,
        }
        for month in ESTIMATED
        for most in (39, 60)
        for place, criterion in enumerate(("pc_p1", "pc_p2", "pc_p3", "ic_p3"))
        for scale in (1.0, 0.9, 0.8, 0.7)
    ]
    return pl.DataFrame(rows, schema=COUNTS_SCHEMA)


def _regressions(portfolios: Sequence[str], rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for month in ESTIMATED:
        for factors in ("whole_sample", "real_time"):
            for specification, predictors in (("cp", PREDICTORS[:2]), ("macro_cp", PREDICTORS)):
                for portfolio in portfolios:
                    r2 = float(rng.uniform(0.01, 0.1))
                    for predictor in predictors:
                        rows.append(
                            {
                                "month": month,
                                "factors": factors,
                                "specification": specification,
                                "portfolio": portfolio,
                                "predictor": predictor,
                                "coefficient": float(rng.normal(0.0, 0.1)),
                                "standard_error": float(rng.uniform(0.02, 0.06)),
                                "p": float(rng.uniform(0.0, 0.2)),
                                "r2": r2,
                                "n_months": 180,
                            }
                        )
    return pl.DataFrame(rows, schema=REGRESSIONS_SCHEMA)


def _regimes(months: Sequence[date], rng: np.random.Generator) -> pl.DataFrame:
    """Two and three states, estimated once a year; one month lacks a return."""
    rows = []
    for place, month in enumerate(months[24:]):
        for n_states in (2, 3):
            shares = rng.dirichlet(np.ones(n_states))
            for state in range(1, n_states + 1):
                rows.append(
                    {
                        "month": month,
                        "n_states": n_states,
                        "state": state,
                        "probability": None if place == 5 else float(shares[state - 1]),
                        "mean": 0.012 - 0.008 * state,
                        "volatility": 0.01 * state,
                        "largest_eigenvalue": 0.004 * state,
                        "expected_months": 6.0 * state,
                        "log_likelihood": 100.0,
                        "converged": True,
                        "n_months": 60,
                        "estimated_in": date(month.year, 1, 1),
                    }
                )
    return pl.DataFrame(rows, schema=REGIMES_SCHEMA)


def _trees(features: Sequence[str], validation_r2: float) -> pl.DataFrame:
    """Two searches; the last feature is not used, in the first search none is."""
    rows = []
    for month, used in zip(ESTIMATED, (0, len(features) - 1), strict=True):
        for place, feature in enumerate(features):
            rows.append(
                {
                    "month": month,
                    "feature": feature,
                    "rank": place + 1,
                    "gain": 0.6 / (place + 1) if place < used else 0.0,
                    "splits": 10 if place < used else 0,
                    "depth": 2,
                    "learning_rate": 0.1,
                    "rounds": 15 if used else 0,
                    "validation_r2": validation_r2 if used else 0.0,
                    "training_from": date(2000, 1, 1),
                    "validation_from": date(2010, 1, 1),
                    "n_training": 4_000,
                    "n_validation": 2_000,
                }
            )
    return pl.DataFrame(rows, schema=SEARCH_SCHEMA)
