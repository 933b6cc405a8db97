"""Excess returns of portfolios that models are tested on: anomaly long-shorts and Ken French's sorts.

Here belong the choice of tables and how their returns become excess returns. The tables are read in
``pipeline.extracts``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

SCHEMA: dict[str, pl.DataType] = {"month": pl.Date(), "portfolio": pl.String(), "ret_excess": pl.Float64()}

# Published in percent.
_PERCENT = 0.01


@dataclass(frozen=True, kw_only=True)
class TestPortfolioSettings:
    """Which tables of portfolios models are tested on.

    Attributes
    ----------
    begin : datetime.date
        First month taken; before it few anomalies have returns.
    long_short : tuple of str
        Staged tables of long-short returns, which are excess returns as they are.
    long_only : tuple of str
        Staged tables of returns from which the bill rate is taken.
    """

    __test__ = False

    begin: date = date(1963, 7, 1)
    long_short: tuple[str, ...] = ("anomalies.predictorlsretwide",)
    long_only: tuple[str, ...] = ("french.25_portfolios_size_value_monthly",)


def test_portfolio_returns(
    tables: Mapping[str, pl.DataFrame], factors: pl.DataFrame, months: Sequence[date], settings: TestPortfolioSettings
) -> pl.DataFrame:
    """Put the portfolios of all tables into one panel of excess returns.

    Parameters
    ----------
    tables : mapping of str to pl.DataFrame
        By name of the staged table: `month`, `portfolio`, `return_pct` (percent).
    factors : pl.DataFrame
        `month` and `rf`, decimals.
    months : sequence of date
        Months to give.
    settings : TestPortfolioSettings
        Which tables hold what.

    Returns
    -------
    pl.DataFrame
        `month`, `portfolio` (table and portfolio, joined by a colon), `ret_excess` (decimals), sorted by both. A
        portfolio without a return has no row; nor has a long-only one in a month without a bill rate.
    """
    bills = factors.select("month", "rf")
    wanted = [month for month in months if month >= settings.begin]
    parts = [pl.DataFrame(schema=SCHEMA)]
    for name, frame in tables.items():
        rows = frame.filter(pl.col("month").is_in(wanted)).with_columns(
            portfolio=pl.lit(f"{name.split('.', 1)[1]}:") + pl.col("portfolio"), ret=pl.col("return_pct") * _PERCENT
        )
        if name in settings.long_only:
            rows = rows.join(bills, on="month", how="left").with_columns(ret=pl.col("ret") - pl.col("rf"))
        parts.append(rows.select("month", "portfolio", ret_excess="ret").drop_nulls())
    return pl.concat(parts).sort("month", "portfolio")


test_portfolio_returns.__test__ = False  # type: ignore[attr-defined]
