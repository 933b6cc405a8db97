"""Published equity factors merged on one calendar: French, q, HML devil, liquidity, intermediary capital.

A table of where each column comes from, and the merge. Nothing is estimated here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipeline.macro.monthly import wanted_months, without_nan
from pipeline.panel.calendar import month_range
from pipeline.panel.dense import MonthlySeries

#: What one unit of a published value is as a decimal.
PERCENT = 100.0
DECIMAL = 1.0


@dataclass(frozen=True)
class FactorSource:
    """Where one published factor stands.

    Attributes
    ----------
    table : str
        Staged extract table.
    column : str
        Its column.
    per_unit : float
        Divisor that makes the value a decimal.
    """

    table: str
    column: str
    per_unit: float


def _sources(column: str, per_unit: float, *tables: str) -> tuple[FactorSource, ...]:
    return tuple(FactorSource(table, column, per_unit) for table in tables)


_THREE, _FIVE, _Q = "french.factors_3", "french.factors_5", "factors.q"

#: Factor -> its sources, the preferred first. The files of three and five factors give the same market, value and
#: bill series (from different vintages), but size portfolios of different sorts: ``smb`` and ``smb_5`` never stand in
#: for each other.
MONTHLY_FACTORS: Mapping[str, tuple[FactorSource, ...]] = {
    "mkt_rf": _sources("mkt_rf", PERCENT, _THREE, _FIVE),
    "smb": _sources("smb", PERCENT, _THREE),
    "hml": _sources("hml", PERCENT, _THREE, _FIVE),
    "rf": _sources("rf", PERCENT, _THREE, _FIVE),
    "smb_5": _sources("smb", PERCENT, _FIVE),
    "rmw": _sources("rmw", PERCENT, _FIVE),
    "cma": _sources("cma", PERCENT, _FIVE),
    "wml": _sources("wml", PERCENT, "french.momentum"),
    "q_mkt": _sources("r_mkt", PERCENT, _Q),
    "q_me": _sources("r_me", PERCENT, _Q),
    "q_ia": _sources("r_ia", PERCENT, _Q),
    "q_roe": _sources("r_roe", PERCENT, _Q),
    "q_eg": _sources("r_eg", PERCENT, _Q),
    "hml_devil": _sources("hml_devil", DECIMAL, "factors.hml_devil"),
    "liq_innov": _sources("innov_liq", DECIMAL, "factors.liquidity"),
    "liq_traded": _sources("traded_liq", DECIMAL, "factors.liquidity"),
    "intermediary": _sources("intermediary_capital_risk_factor", DECIMAL, "factors.intermediary"),
}

#: Every staged table that ``french_factors`` can use.
MONTHLY_TABLES: tuple[str, ...] = tuple(sorted({s.table for sources in MONTHLY_FACTORS.values() for s in sources}))

_DAILY_COLUMNS = ("mkt_rf", "smb", "hml", "rf")


def french_factors(tables: Mapping[str, pl.DataFrame], months: Sequence[date]) -> pl.DataFrame:
    """Merge the published monthly factors.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Staged tables by name (``french.factors_3``, ``factors.q``, ...), whichever there are; others are ignored.
    months : sequence of date
        Months wanted.

    Returns
    -------
    DataFrame
        One row a month: ``month`` and the columns of ``MONTHLY_FACTORS`` with ``mkt`` (= ``mkt_rf + rf``) after
        ``rf``, decimals. A factor takes the value of its first source that has one in the month; it is null where
        none has.
    """
    wanted = wanted_months(months)
    grid = month_range(wanted[0], wanted[-1])
    columns: dict[str, object] = {"month": grid}
    for factor, sources in MONTHLY_FACTORS.items():
        value = np.full(len(grid), np.nan)
        for source in (s for s in sources if s.table in tables):
            published = MonthlySeries.from_frame(tables[source.table], [source.column], grid[0], grid[-1])
            value = np.where(np.isnan(value), published.values[:, 0] / source.per_unit, value)
        columns[factor] = value
        if factor == "rf":
            columns["mkt"] = columns["mkt_rf"] + value
    return without_nan(pl.DataFrame(columns).filter(pl.col("month").is_in(wanted)))


def french_factors_daily(tables: Mapping[str, pl.DataFrame], months: Sequence[date]) -> pl.DataFrame:
    """Daily three factors of the months wanted.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Staged tables by name; ``french.factors_3_daily`` is used.
    months : sequence of date
        Months wanted.

    Returns
    -------
    DataFrame
        ``month, date, mkt_rf, smb, hml, rf``, decimals, sorted by date; no rows for a month without days.
    """
    wanted = wanted_months(months)
    schema = {"month": pl.Date, "date": pl.Date} | dict.fromkeys(_DAILY_COLUMNS, pl.Float64)
    daily = tables.get("french.factors_3_daily", pl.DataFrame(schema=schema))
    rows = daily.filter(pl.col("month").is_in(wanted)).sort("date")
    # numpy divides; Polars multiplies by the reciprocal unless the frame has a single row, which changes last bits.
    decimals = {c: rows[c].cast(pl.Float64).to_numpy() / PERCENT for c in _DAILY_COLUMNS}
    return without_nan(rows.select("month", "date").with_columns(pl.Series(c, v) for c, v in decimals.items()))
