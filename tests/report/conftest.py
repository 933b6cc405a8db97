"""Made-up frames with the schemas of the assets: a small market whose returns follow two known factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.bonds.registry import NAMES, RANKED
from pipeline.macro.french import MONTHLY_FACTORS
from pipeline.macro.goyal_welch import PREDICTORS
from pipeline.macro.treasury import PAR_BONDS, TREASURY_SERIES
from pipeline.models.ipca_recursion import IPCASettings, forecasts, ipca_month
from pipeline.models.managed_portfolios import SufficientStatistics, managed_portfolios
from pipeline.panel.calendar import month_range
from pipeline.panel.cross_section import rank_transform, winsorise
from pipeline.report.data import ReportData

FIRST, LAST = date(2015, 1, 1), date(2019, 12, 1)
MONTHS = month_range(FIRST, LAST)
BONDS = 40
TRUE_GAMMA = {"coupon": (2.0, 0.0), "spread": (0.0, 2.0), "duration": (1.0, -1.0), "constant": (0.5, 0.2)}
MALICIOUS = '"><script>alert("sector")</script>'


def _series(columns: list[str], generator: np.random.Generator, scale: float = 0.02) -> pl.DataFrame:
    return pl.DataFrame({"month": MONTHS, **{name: generator.normal(0.003, scale, len(MONTHS)) for name in columns}})


def _characteristics(generator: np.random.Generator) -> pl.DataFrame:
    rows = len(MONTHS) * BONDS
    keys = pl.DataFrame(
        {
            "month": np.repeat(np.array(MONTHS, dtype="datetime64[D]"), BONDS),
            "isin": [f"XS{i:010d}" for i in range(BONDS)] * len(MONTHS),
        }
    )
    values = {}
    for place, name in enumerate(NAMES):
        value = generator.standard_t(3, rows) * 10.0 ** (place % 5)
        value[generator.random(rows) < 0.02 * place] = np.nan
        values[name] = value
    frame = keys.with_columns(pl.Series(name, value).fill_nan(None) for name, value in values.items())
    return rank_transform(winsorise(frame, NAMES), NAMES).sort("month", "isin")


def _returns(characteristics: pl.DataFrame, factors: np.ndarray, generator: np.random.Generator) -> pl.DataFrame:
    beta = np.array(TRUE_GAMMA["constant"]) + sum(
        np.outer(characteristics[f"{name}_r"].to_numpy(), gamma)
        for name, gamma in TRUE_GAMMA.items()
        if name != "constant"
    )
    later = characteristics.select(pl.col("month").dt.offset_by("1mo"), "isin")
    place = ((later["month"].dt.year() - FIRST.year) * 12 + later["month"].dt.month() - 1).to_numpy()
    known = place < len(MONTHS)
    excess = np.einsum("ij,ij->i", beta[known], factors[place[known]]) + generator.normal(0, 0.01, known.sum())
    sector = pl.Series("sector", ["Energy", MALICIOUS, None, "Banking"] * BONDS)
    return later.filter(pl.Series(known)).with_columns(
        ret=pl.Series(excess) + 0.001,
        ret_excess=pl.Series(excess),
        sector=sector.gather(np.arange(known.sum()) % len(sector)),
        value_start=pl.lit(1000.0),
        source=pl.lit("index"),
    )


def _recursion(portfolios: pl.DataFrame, characteristics: pl.DataFrame, settings: IPCASettings) -> list[pl.DataFrame]:
    statistics = SufficientStatistics.from_frame(portfolios, RANKED)
    state, rows, made = None, [], []
    for month in statistics.months:
        frame, state = ipca_month(statistics.through(month), state, settings)
        rows.append(frame)
        made.append(forecasts(state, characteristics, month, model="bond_ipca"))
    return [pl.concat(rows), pl.concat(made)]


def _macro(generator: np.random.Generator) -> dict[str, pl.DataFrame]:
    tenors = list(TREASURY_SERIES)
    walk = np.cumsum(generator.normal(0, 0.1, (len(MONTHS), 1)), axis=0)
    curve = pl.DataFrame(
        {"month": MONTHS, **{f"y_{tenor}": 3 + walk[:, 0] + 0.1 * place for place, tenor in enumerate(tenors)}}
    ).with_columns(term_spread=pl.col("y_10y") - pl.col("y_1m"))
    curve = curve.join(_series([f"par_return_{t}" for t in PAR_BONDS], generator), on="month")
    curve = curve.join(_series([f"forward_spread_{y}" for y in range(1, 11)], generator), on="month")
    components = _series([f"pc_{k}" for k in range(1, 9)] + [f"explained_{k}" for k in range(1, 9)], generator)
    return {
        "french_factors": _series([*MONTHLY_FACTORS, "mkt"], generator).with_columns(
            hml_devil=pl.lit(None, dtype=pl.Float64)
        ),
        "macro_factors": components.with_columns(n_series=pl.lit(100), n_bai_ng=pl.lit(4), vintage=pl.lit("2020-01")),
        "goyal_welch": _series(list(PREDICTORS), generator).with_columns(source=pl.lit("dp:crsp bm:file")),
        "treasury_curve": curve,
        "vix_innovation": _series(["vix", "vix_innovation"], generator, 5.0),
        "bond_market_factor": _series(["lqd_return", "bond_market_factor", "beta_1m", "beta_10y"], generator),
    }


@pytest.fixture(scope="session")
def full() -> ReportData:
    """Return a report with every frame."""
    generator = np.random.default_rng(3)
    characteristics = _characteristics(generator)
    factors = generator.normal(0.004, (0.02, 0.01), (len(MONTHS), 2))
    returns = _returns(characteristics, factors, generator)
    ranked = characteristics.select(pl.col("month").dt.offset_by("1mo"), "isin", *RANKED)
    training = returns.select("month", "isin", "ret_excess").join(ranked, on=["month", "isin"])
    portfolios = managed_portfolios(training, RANKED, MONTHS[1:])
    plain = _recursion(portfolios, characteristics, IPCASettings(n_factors=2, min_months=36))
    intercept = _recursion(portfolios, characteristics, IPCASettings(n_factors=2, min_months=36, intercept=True))
    names = ("factor_1", "factor_2")
    return ReportData(
        title="A report <of tests>",
        sources={"bonds.index_constituents": "constituents <one>.parquet"},
        settings={"bond_ipca": {"n_factors": 2, "window": {"months": 60, "least": (1, 2)}}},
        bond_returns=returns,
        bond_characteristics=characteristics,
        bond_training_panel=training,
        bond_managed_portfolios=portfolios,
        bond_ipca=plain[0],
        bond_ipca_intercept=intercept[0],
        bond_ipca_forecasts=plain[1],
        bond_ipca_intercept_forecasts=intercept[1],
        truth={
            "gamma": pl.DataFrame(
                {
                    "characteristic": list(TRUE_GAMMA),
                    **dict(zip(names, np.array(list(TRUE_GAMMA.values())).T, strict=True)),
                }
            ),
            "factors": pl.DataFrame({"month": MONTHS, **dict(zip(names, factors.T, strict=True))}),
            "summary": pl.DataFrame({"statistic": ["total_r2"], "value": [0.8]}),
            "total_r2": pl.DataFrame({"month": MONTHS[1:], "total_r2": [0.8] * (len(MONTHS) - 1)}),
        },
        **_macro(generator),
    )


@pytest.fixture
def without(full: ReportData) -> Callable[..., ReportData]:
    """Return the full report less the frames that are named."""
    return lambda *names, **changes: replace(full, **dict.fromkeys(names), **changes)
