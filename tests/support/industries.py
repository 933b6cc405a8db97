"""The source's ten industry portfolios with their characteristics and macro series, from the public data.

The source does not say which months it took or which characteristics its industries have. Here: the 437 months to
2018-12, as many as its bond portfolios have and with their end, and those of the portfolio characteristics that need
nothing but the portfolio's own returns. Here belong that panel and the figures of tables A.6 and A.7; what is estimated
stands in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.evaluation.alphas import FACTOR_SETS, alpha
from pipeline.evaluation.performance import performance
from pipeline.extracts import fred_md as fred_md_reader
from pipeline.extracts import french
from pipeline.extracts import goyal_welch as goyal_welch_reader
from pipeline.extracts.reading import read_rows
from pipeline.macro.fred_md import fred_md
from pipeline.macro.french import french_factors
from pipeline.macro.goyal_welch import goyal_welch
from pipeline.panel.calendar import month_range, shift
from pipeline.sdf.assembly import sdf_panel, with_seen_columns
from pipeline.sdf.panel import SdfPanel

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

END, N_MONTHS = date(2018, 12, 1), 437


def _read(reader: object, sheets: tuple[str, ...], *parts: str) -> dict[str, pl.DataFrame]:
    path = DATA.joinpath(*parts)
    return reader.read(path, read_rows(path, sheets) if sheets else read_rows(path))


def _compounded(returns: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return over months -first to -last counted from the predicted month; row t is the end of month t."""
    found = np.full_like(returns, np.nan)
    for t in range(first - 2, len(returns)):
        found[t] = np.prod(1.0 + returns[t - first + 2 : t - last + 2], axis=0) - 1.0
    return found


def _characteristics(returns: np.ndarray) -> dict[str, np.ndarray]:
    levels = np.cumprod(1.0 + returns, axis=0)
    high = np.full_like(returns, np.nan)
    variance = np.full_like(returns, np.nan)
    for t in range(40, len(returns)):
        high[t] = levels[t] / levels[t - 11 : t + 1].max(axis=0)
        variance[t] = returns[t - 39 : t + 1].var(axis=0, ddof=1)
    past = {"lt_rev": (60, 13), "r12_2": (12, 2), "r12_7": (12, 7), "r2_1": (1, 1), "r36_13": (36, 13)}
    own = {name: _compounded(returns, *window) for name, window in past.items()}
    return {"rel2high": high, **own, "variance40": variance}


def benchmark_factors() -> pl.DataFrame:
    """Read the factors of Fama and French, decimals."""
    tables = {
        **_read(french, (), "french", "F-F_Research_Data_Factors.CSV"),
        **_read(french, (), "french", "F-F_Research_Data_5_Factors_2x3.csv"),
    }
    return french_factors(tables, month_range(date(1963, 7, 1), date(2020, 11, 1)))


def published_predictors() -> pl.DataFrame:
    """Read the predictors of Goyal and Welch as published."""
    tables = _read(goyal_welch_reader, ("monthly",), "goyal_welch", "PredictorData2022.xlsx")
    return tables["goyal_welch.predictors"]


def industry_panel(factors: pl.DataFrame, published: pl.DataFrame) -> SdfPanel:
    """Build the panel of 437 months."""
    months = month_range(shift(END, 1 - N_MONTHS), END)
    before = month_range(shift(months[0], -61), END)
    (industries,) = _read(french, (), "french", "10_Industry_Portfolios_monthly.csv").values()
    wide = industries.filter(pl.col("month").is_between(before[0], END)).pivot("portfolio", index="month").sort("month")
    names = [name for name in wide.columns if name != "month"]
    returns = wide.select(names).to_numpy() / 100.0
    assert returns.shape == (len(before), 10)
    own = {name: values.ravel() for name, values in _characteristics(returns).items()}
    stacked = {"month": [month for month in before for _ in names], "portfolio": names * len(before)}
    riskless = dict(factors.select("month", "rf").iter_rows())
    excess = returns - np.array([riskless[month] for month in before])[:, None]
    vintage = _read(fred_md_reader, (), "fred_md", "2023-01.csv")["fred_md.2023-01"]
    known = month_range(shift(months[0], -1), END)
    macro = fred_md({"2023-01": vintage}, known).pivot("series", index="month", values="value")
    predictors = goyal_welch({"goyal_welch.predictors": published}, known).drop("source")
    return with_seen_columns(
        sdf_panel(
            pl.DataFrame({**stacked, **own}),
            pl.DataFrame({**stacked, "ret_excess": excess.ravel()}),
            macro.join(predictors, on="month"),
            months,
            key="portfolio",
            names=tuple(own),
        )
    )


def figures(
    weights: np.ndarray, returns: np.ndarray, test: SdfPanel, factors: pl.DataFrame, published: pl.DataFrame
) -> Mapping[str, object]:
    """Measure (n,) weights that earned (D,) returns in the test months: ``performance``, and an alpha a factor set."""
    leverage = np.add.reduceat(np.abs(weights), test.bounds[:-1])
    index = published.select("month", sp500=pl.col("crsp_spvw") - pl.col("rfree"))
    benchmarks = factors.join(index, on="month", how="left").filter(pl.col("month").is_in(test.months)).sort("month")
    found = {name: alpha(returns, benchmarks.select(columns).to_numpy()) for name, columns in FACTOR_SETS.items()}
    return {"performance": performance(returns, leverage), **found}
