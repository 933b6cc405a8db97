"""Account terms that several annual entries of set ``gkx94`` share, as expressions over an annual record.

Functions of a lag give the term of the fiscal year ``lag`` before. A missing item makes a term missing, unless said
otherwise here. Belongs here: terms. Does not: entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from pipeline.equity.gkx_form import average, change, item, joint, ratio

MARKET_EQUITY = item("csho") * item("prcc_f").abs()
"""Market equity at the fiscal year end, millions."""

AVERAGE_ASSETS = average("at")

YEAR_BEFORE = item("fyear", 1).is_not_null()
"""Whether the fiscal year before is on record."""

_BALANCE_SHEET_ACCRUALS = (change("act") - change("che")) - (change("lct") - change("dlc") - change("txp")) - item("dp")

ACCRUALS = pl.when(item("oancf").is_null()).then(_BALANCE_SHEET_ACCRUALS).otherwise(item("ib") - item("oancf"))
"""Income less operating cash flow; from changes of the balance sheet (Sloan 1996) where the cash flow is missing."""

OPERATING_CASH_FLOW = pl.coalesce(item("oancf"), item("ib") - _BALANCE_SHEET_ACCRUALS)


def capital_expenditure(lag: int) -> pl.Expr:
    """Capital expenditure; the change of net property, plant and equipment where it is missing."""
    return pl.coalesce(item("capx", lag), change("ppent", lag))


def current_assets(lag: int) -> pl.Expr:
    """Return current assets; cash, receivables and inventories where they are missing."""
    return pl.coalesce(item("act", lag), item("che", lag) + item("rect", lag) + item("invt", lag))


def current_liabilities(lag: int) -> pl.Expr:
    """Return current liabilities; accounts payable where they are missing."""
    return pl.coalesce(item("lct", lag), item("ap", lag))


def current_ratio(lag: int) -> pl.Expr:
    """Return current assets over current liabilities."""
    return ratio(current_assets(lag), current_liabilities(lag))


def quick_ratio(lag: int) -> pl.Expr:
    """Return current assets less inventories, over current liabilities."""
    return ratio(current_assets(lag) - item("invt", lag), current_liabilities(lag))


def gross_margin(lag: int) -> pl.Expr:
    """Sales less cost of goods sold."""
    return item("sale", lag) - item("cogs", lag)


def net_operating_assets(lag: int) -> pl.Expr:
    """Net operating assets without cash and debt (Fairfield, Whisenant and Yohn 2003)."""
    held = joint([item(name, lag) for name in ("rect", "invt", "ppent", "aco", "intan", "ao")])
    return held - joint([item(name, lag) for name in ("ap", "lco", "lo")])


_PREFERRED_LEFT = item("dcpstk") - item("pstk").fill_null(0.0)

CONVERTIBLE_DEBT = pl.coalesce(item("dcvt"), pl.when(_PREFERRED_LEFT > 0.0).then(_PREFERRED_LEFT))
"""Convertible debt; convertible debt and preferred stock less preferred stock, if positive, where it is missing."""

MAXIMUM_TAX_RATES: Mapping[int, float] = MappingProxyType({1978: 0.48, 1986: 0.46, 1987: 0.40, 1992: 0.34, 2017: 0.35})
"""Highest federal rate on corporate income until a fiscal year, the oldest first."""

LATEST_TAX_RATE = 0.21


def tax_rate() -> pl.Expr:
    """Highest federal rate on corporate income of the fiscal year."""
    rate = pl.lit(LATEST_TAX_RATE)
    for last, earlier in sorted(MAXIMUM_TAX_RATES.items(), reverse=True):
        rate = pl.when(item("fyear") <= last).then(pl.lit(earlier)).otherwise(rate)
    return pl.when(item("fyear").is_not_null()).then(rate)


_CURRENT_TAX, _TAX_LESS_DEFERRED = item("txfo") + item("txfed"), item("txt") - item("txdi")
_TAX = pl.coalesce(_CURRENT_TAX, _TAX_LESS_DEFERRED)
_TAX_WITHOUT_INCOME = ((_CURRENT_TAX > 0.0) | (_TAX_LESS_DEFERRED > 0.0)) & (item("ib") <= 0.0)

TAX_TO_BOOK = pl.when(_TAX_WITHOUT_INCOME).then(1.0).otherwise(ratio(_TAX, tax_rate() * item("ib")))
"""Taxable income, from the tax paid at the highest rate, over income; 1 where tax is paid without income."""
