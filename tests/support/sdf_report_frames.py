"""Made-up stochastic discount factors of bond portfolios, bonds and stocks, for the page of them."""

from __future__ import annotations

from datetime import date
from functools import cache

import numpy as np
import polars as pl
from sdf_report_linear_frames import linear_frames

from pipeline.evaluation.sdf_months import sdf_months
from pipeline.panel.calendar import month_range, shift
from pipeline.report.data import ReportData
from pipeline.report.numbers_sdf import INDUSTRIES, MARKETS, Market
from pipeline.sdf.tables import SEARCH_SCHEMA, WEIGHTS_SCHEMA

#: Months out of sample.
MONTHS = month_range(date(2016, 1, 1), date(2020, 12, 1))
FIRST_SEARCH = shift(MONTHS[0], -1)
SECOND_SEARCH = shift(FIRST_SEARCH, 12)
_ASSETS = {"bond_portfolio": 5, "bond": 14, "stock": 9}
_MODELS = {
    "bond_portfolio": [
        *(("mispricing", "full"), ("sharpe", "full"), ("gan", "full")),
        *(("mispricing", "no_macro"), ("sharpe", "no_macro")),
    ],
    "bond": [("mispricing", "full"), ("sharpe", "full")],
    "stock": [("sharpe", "full")],
}
_ARCHITECTURES = ("shallow", "deep", "elastic_net")
_GAN_ARCHITECTURES = ("joined", "separate")
_PORTFOLIOS = ("rating_1", "downside_2", "spread_10", "spread_2", "downside_1")


def _ids(market: Market) -> list[object]:
    count = _ASSETS[market.name]
    if market.key == "portfolio":
        return list(_PORTFOLIOS)
    return [10_001 + i for i in range(count)] if market.key == "permno" else [f"asset_{i}" for i in range(count)]


def _returns(market: Market, rng: np.random.Generator) -> pl.DataFrame:
    """Every asset in every month, some of the returns missing among single assets."""
    ids = _ids(market)
    rows = pl.DataFrame({"month": MONTHS}).join(pl.DataFrame({market.key: ids}), how="cross")
    values = 0.004 + 0.03 * rng.standard_normal(rows.height)
    missing = rng.random(rows.height) < (0.0 if market.name == "bond_portfolio" else 0.15)
    return rows.with_columns(ret_excess=pl.Series(np.where(missing, np.nan, values)).fill_nan(None))


def _weights(market: Market, models: list[tuple[str, str]], rng: np.random.Generator) -> pl.DataFrame:
    """Weights of every asset in every month, and for the month after the last."""
    rows = pl.DataFrame({"target_month": [*MONTHS, shift(MONTHS[-1], 1)]})
    for names in (
        pl.DataFrame(models, schema=["objective", "environment"], orient="row"),
        pl.DataFrame({"asset_id": [str(each) for each in _ids(market)]}),
    ):
        rows = rows.join(names, how="cross")
    return rows.with_columns(
        month=pl.col("target_month").dt.offset_by("-1mo"),
        weight=pl.Series(rng.normal(0.01, 0.05, rows.height)),
        forecast=pl.Series(rng.normal(0.0005, 0.001, rows.height)),
        kappa=pl.lit(2.0),
    ).select(*WEIGHTS_SCHEMA)


def _search(models: list[tuple[str, str]], rng: np.random.Generator) -> pl.DataFrame:
    """Two searches of six configurations, one of which ended without a score."""
    rows = []
    for month in (FIRST_SEARCH, SECOND_SEARCH):
        for objective, environment in models:
            for network, centre in (("weights", 0.3), ("betas", -0.5)):
                scores = rng.normal(centre, 0.1, 6)
                scores[4] = np.nan
                adversarial = objective == "gan" and network == "weights"
                shapes = _GAN_ARCHITECTURES if adversarial else _ARCHITECTURES
                for place, score in enumerate(scores):
                    rows.append(
                        {
                            "month": month,
                            "objective": objective,
                            "environment": environment,
                            "network": network,
                            "configuration": place,
                            "architecture": shapes[place % len(shapes)],
                            "batch_size": 256,
                            "rate": 0.005,
                            "l1": 0.0,
                            "l2": 0.01 * (place // 3),
                            "score": None if np.isnan(score) else float(score),
                            "best_epoch": 3 + place,
                            "epochs": 12,
                            "ending": "not finite" if np.isnan(score) else "stopped early",
                            "winner": bool(score == np.nanmax(scores)),
                            "training_from": date(2000, 1, 1),
                            "validation_from": date(2010, 1, 1),
                            "equal_share": 0.1 * place if adversarial and place != 4 else None,
                        }
                    )
    return pl.DataFrame(rows, schema=SEARCH_SCHEMA)


def _industries(market: Market) -> pl.DataFrame:
    """Bonds of three industries, the first two of none that is known."""
    ids = _ids(market)
    months = month_range(FIRST_SEARCH, MONTHS[-1])
    rows = pl.DataFrame({"month": months}).join(pl.DataFrame({market.key: ids}), how="cross")
    place = pl.col(market.key).str.strip_prefix("asset_").cast(pl.Int64)
    number = {name: int(name.removeprefix("industry_")) for name in INDUSTRIES}
    belongs = [
        pl.when(place >= 2).then(((place % 3) * 3 + 1 == each).cast(pl.Float64)).alias(name)
        for name, each in number.items()
    ]
    return rows.with_columns(belongs)


def _factors(rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    names = ("mkt_rf", "smb", "hml", "smb_5", "rmw", "cma")
    factors = pl.DataFrame({"month": MONTHS, **{name: rng.normal(0.004, 0.04, len(MONTHS)) for name in names}})
    factors = factors.with_columns(rf=pl.lit(0.001))
    index = factors.select("month", sprtrn=pl.col("mkt_rf") + 0.001 + pl.Series(rng.normal(0.0, 0.01, len(MONTHS))))
    true = pl.DataFrame({"month": MONTHS, **{f"factor_{k}": rng.normal(0.004, 0.02, len(MONTHS)) for k in (1, 2)}})
    return {"french_factors": factors, "crsp.msi": index, "truth.factors": true}


@cache
def sdf_report(*, named: str = "no_macro") -> ReportData:
    """Return a report of stochastic discount factors with every frame.

    Parameters
    ----------
    named : str, optional
        What the environment of the portfolios without macro series is called.
    """
    rng = np.random.default_rng(23)
    frames: dict[str, pl.DataFrame] = _factors(rng)
    for market in MARKETS:
        models = [(each, named if where == "no_macro" else where) for each, where in _MODELS[market.name]]
        weights, returns = _weights(market, models, rng), _returns(market, rng)
        frames[market.search] = _search(models, rng)
        frames[market.weights] = weights
        frames[market.returns] = returns
        frames[market.earned] = sdf_months(weights, returns, MONTHS, key=market.key)
        if market.industries:
            frames[market.industries] = _industries(market)
    frames |= linear_frames(frames, MONTHS)
    return ReportData(
        market="a market <of tests>",
        sources={"crsp.msf": "monthly <one>.parquet"},
        settings={
            "bond_sdf": {"min_months": 240},
            "predictive_regressions": {"covariance": "HAC", "lags": 4},
            "regimes": {"min_months": 48, "n_starts": 2, "start_months": 12},
        },
        frames=frames,
    )
