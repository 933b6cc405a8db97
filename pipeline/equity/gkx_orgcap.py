"""Organisational capital of set ``gkx94``: selling, general and administrative expense, capitalised.

Belongs here: the stock of past expenses and the price index that deflates it. Does not: the entry (``gkx_health``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from pipeline.equity.gkx_form import item, joint, ratio

ORGCAP_YEARS = 10
"""Earlier fiscal years that the stock is built up from."""

DEPRECIATION = 0.15
GROWTH = 0.10
"""Yearly depreciation, and growth of real expenses before the first year (Eisfeldt and Papanikolaou 2013)."""

FIRST_CPI_YEAR = 1949
_AVERAGES = """
23.8  24.1  26.0  26.5  26.7  26.9  26.8  27.2  28.1  28.9  29.1  29.6  29.9  30.2  30.6  31.0  31.5  32.4  33.4  34.8
36.7  38.8  40.5  41.8  44.4  49.3  53.8  56.9  60.6  65.2  72.6  82.4  90.9  96.5  99.6 103.9 107.6 109.6 113.6 118.3
124.0 130.7 136.2 140.3 144.5 148.2 152.4 156.9 160.5 163.0 166.6 172.2 177.1 179.9 184.0 188.9 195.3 201.6
207.342 215.303 214.537 218.056 224.939 229.594 232.957 236.736 237.017 240.007 245.120 251.107 255.657 258.811
270.970 292.655 304.702 313.689
"""

CPI: Mapping[int, float] = MappingProxyType(
    {FIRST_CPI_YEAR + position: float(value) for position, value in enumerate(_AVERAGES.split())}
)
"""Consumer price index, all urban consumers, not seasonally adjusted, yearly averages, 1982-84 = 100 (BLS)."""


def _price_level(lag: int) -> pl.Expr:
    # The average of the fiscal year's own calendar year is not out in the December in which a June year end is used.
    year = (item("fyear", lag) - 1).clip(min(CPI), max(CPI))
    return year.replace_strict(dict(CPI), default=None, return_dtype=pl.Float64)


def _real_expense(lag: int) -> pl.Expr:
    """Expense at constant prices, depreciated; a missing expense counts as none, a missing year is null."""
    return (1.0 - DEPRECIATION) ** lag * ratio(item("xsga", lag).fill_null(0.0), _price_level(lag))


def expense_stock() -> pl.Expr:
    """Stock of the expenses of this year and up to :data:`ORGCAP_YEARS` years before, as known from the record.

    The recursion ``O_t = (1 - 0.15) O_{t-1} + xsga_t / cpi`` starts with the oldest year on record among them, at
    ``xsga / cpi / (0.10 + 0.15)``. Green, Hand and Zhang start with the firm's first year, which is the same for firms
    of no more years.
    """
    terms = [_real_expense(lag) for lag in range(ORGCAP_YEARS + 1)]
    oldest = pl.coalesce(list(reversed(terms)))
    return (
        joint([terms[0], *(term.fill_null(0.0) for term in terms[1:])]) + (1.0 / (GROWTH + DEPRECIATION) - 1.0) * oldest
    )
