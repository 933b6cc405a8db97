"""The items that the vendor publishes, and how often each is missing: registries of the annual and quarterly tables.

Amounts come from `compustat_accounts`; a missing item is missing in the table only, the accounts hold it. Where a
missing item counts as zero by the definition of book equity (deferred taxes), or where another one takes its place
(preferred stock, shareholders' equity), the accounts are such that book equity stays what it is.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.simulation.compustat_accounts import Accounts, Amounts, Habits, whole
from pipeline.simulation.compustat_coverage import Coverage
from pipeline.simulation.paths import Array

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Item:
    """How one item is published.

    Parameters
    ----------
    source : str
        Name in the accounts.
    never : float
        Share of the firms for which the vendor never has the item.
    missing : float
        Probability that it is missing in a statement of the other firms.
    """

    source: str
    never: float = 0.0
    missing: float = 0.0


def _items(table: dict[str, tuple[float, float]], suffix: str = "") -> dict[str, Item]:
    return {name + suffix: Item(name, *rates) for name, rates in table.items()}


ANNUAL: dict[str, Item] = _items({
    "sale": (0.0, 0.002), "revt": (0.0, 0.002), "cogs": (0.0, 0.004), "gp": (0.0, 0.03), "xsga": (0.08, 0.01),
    "xrd": (0.45, 0.02), "xad": (0.55, 0.03), "dp": (0.0, 0.01), "oibdp": (0.0, 0.004), "oiadp": (0.0, 0.004),
    "xint": (0.04, 0.02), "nopi": (0.0, 0.005), "spi": (0.0, 0.04), "pi": (0.0, 0.003), "txt": (0.0, 0.003),
    "txdi": (0.05, 0.05), "txfed": (0.25, 0.05), "txfo": (0.30, 0.05), "mii": (0.0, 0.01), "ib": (0.0, 0.002),
    "ni": (0.0, 0.004), "dvc": (0.0, 0.005), "dvp": (0.0, 0.005), "dvt": (0.0, 0.005), "gdwlia": (0.80, 0.10),
    "gdwlip": (0.70, 0.10), "gwo": (0.80, 0.10), "capx": (0.0, 0.02), "oancf": (0.0, 0.04), "ivncf": (0.0, 0.04),
    "fincf": (0.0, 0.04), "chech": (0.0, 0.04), "wcapch": (0.10, 0.05), "sstk": (0.0, 0.02), "scstkc": (0.02, 0.05),
    "prstkc": (0.0, 0.03), "dv": (0.0, 0.02), "dltis": (0.0, 0.02), "dltr": (0.0, 0.02), "dlcch": (0.05, 0.10),
    "at": (0.0, 0.003), "act": (0.0, 0.01), "che": (0.0, 0.003), "ch": (0.0, 0.02), "ivst": (0.02, 0.02),
    "rect": (0.0, 0.01), "invt": (0.0, 0.01), "aco": (0.0, 0.02), "xpp": (0.20, 0.05), "ppegt": (0.05, 0.02),
    "ppent": (0.0, 0.005), "fatb": (0.45, 0.05), "fatl": (0.50, 0.05), "intan": (0.02, 0.02), "gdwl": (0.10, 0.02),
    "ivao": (0.0, 0.03), "ao": (0.0, 0.01), "dc": (0.20, 0.05), "lct": (0.0, 0.01), "dlc": (0.0, 0.004),
    "ap": (0.0, 0.01), "txp": (0.0, 0.04), "lco": (0.0, 0.02), "xacc": (0.20, 0.05), "drc": (0.0, 0.05),
    "dltt": (0.0, 0.003), "dm": (0.15, 0.05), "dcvt": (0.20, 0.05), "dcpstk": (0.0, 0.03), "txditc": (0.0, 0.0),
    "txdb": (0.02, 0.05), "lo": (0.0, 0.01), "drlt": (0.0, 0.05), "lt": (0.0, 0.003), "mib": (0.0, 0.02),
    "pstk": (0.0, 0.0), "pstkrv": (0.0, 0.0), "pstkl": (0.0, 0.0), "ceq": (0.0, 0.0), "seq": (0.0, 0.03),
    "ob": (0.0, 0.03), "emp": (0.02, 0.02), "csho": (0.0, 0.002), "cshrc": (0.30, 0.05),
})  # fmt: skip
ANNUAL |= {
    "ebit": Item("oiadp", 0.0, 0.004),
    "ebitda": Item("oibdp", 0.0, 0.004),
    "tie": Item("xint", 0.60, 0.05),
    "prcc_f": Item("prcc", 0.0, 0.002),
}
"""Items of `comp.funda` by their names there."""

QUARTERLY: dict[str, Item] = _items({
    "sale": (0.0, 0.005), "revt": (0.0, 0.005), "cogs": (0.0, 0.01), "xsga": (0.08, 0.02), "xrd": (0.50, 0.05),
    "dp": (0.04, 0.03), "oibdp": (0.0, 0.02), "oiadp": (0.0, 0.02), "xint": (0.10, 0.05), "nopi": (0.02, 0.02),
    "spi": (0.05, 0.05), "pi": (0.0, 0.01), "txt": (0.0, 0.01), "mii": (0.0, 0.02), "ib": (0.0, 0.004),
    "ni": (0.0, 0.004), "at": (0.0, 0.005), "act": (0.0, 0.015), "che": (0.0, 0.005), "rect": (0.0, 0.02),
    "invt": (0.0, 0.02), "aco": (0.05, 0.03), "ppent": (0.02, 0.02), "ppegt": (0.30, 0.05), "intan": (0.10, 0.03),
    "gdwl": (0.20, 0.03), "ivao": (0.05, 0.05), "ao": (0.05, 0.03), "lct": (0.0, 0.015), "dlc": (0.0, 0.02),
    "ap": (0.0, 0.03), "txp": (0.10, 0.05), "lco": (0.05, 0.03), "dltt": (0.0, 0.01), "txditc": (0.0, 0.05),
    "txdb": (0.10, 0.05), "lo": (0.05, 0.03), "lt": (0.0, 0.005), "mib": (0.0, 0.05), "pstk": (0.02, 0.02),
    "ceq": (0.0, 0.0), "seq": (0.0, 0.05), "drc": (0.10, 0.05), "drlt": (0.10, 0.05), "csho": (0.0, 0.005),
}, "q")  # fmt: skip
QUARTERLY |= {"pstkrq": Item("pstkrv", 0.6, 0.05), "prccq": Item("prcc", 0.0, 0.004)}
"""Items of `comp.fundq` by their names there."""

COUNTS = ("csho", "cshrc", "emp", "prcc")
"""Sources that are not amounts of money in the currency of the statement."""

CURRENT = ("act", "lct", "aco", "lco")
"""Sources that the statements of financial firms lack."""

COMMON_MISSING = 0.5
"""Of the statements without shareholders' equity, share that lack common equity too, in firms without minorities."""


def published(
    items: dict[str, Item],
    accounts: Accounts,
    coverage: Coverage,
    rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    absent: dict[str, Flags],
    minorities: Flags,
    rate: Array,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Publish items of some statements.

    Parameters
    ----------
    items : dict of str to Item
        Registry of the table.
    accounts : Accounts
        Amounts; those of a flow are summed over the fiscal year where the registry is the annual one.
    coverage : Coverage
        Fiscal years.
    rows : tuple of ndarray of int, shape (n,)
        Quarter and firm of every statement.
    absent : dict of str to ndarray of bool, shape (Q, I)
        Where the vendor lacks a source for a reason of its own (`never_reported`).
    minorities : ndarray of bool, shape (n,)
        Statements whose assets less liabilities are not shareholders' equity.
    rate : ndarray, shape (n,)
        Units of the statement's currency a US dollar.
    rng : numpy.random.Generator
        Decides what else is missing.

    Returns
    -------
    DataFrame
        One column an item, millions to three decimals; null where missing. Where both shareholders' and common equity
        are missing, assets and liabilities are there and their difference is shareholders' equity.
    """
    _, firm = rows
    missing: dict[str, Flags] = {}
    for name, item in items.items():
        never = rng.random(coverage.closing.shape[1:]) < item.never
        missing[name] = never[firm] | (rng.random(firm.shape) < item.missing)
        if item.source in absent:
            missing[name] |= absent[item.source][rows]
    equity, common, assets, owed = _balance(items)
    missing[common] = missing[equity] & ~minorities & (rng.random(firm.shape) < COMMON_MISSING)
    for name in (assets, owed):
        missing[name] &= ~missing[common]
    columns = {}
    for name, item in items.items():
        amount = _amount(item.source, accounts, coverage, rows, items is ANNUAL)
        if item.source not in COUNTS:
            amount = whole(amount * rate)
        # Division of whole thousands, so that every value is the decimal number that the vendor prints.
        columns[name] = np.where(missing[name], np.nan, amount / 1000)
    return pl.DataFrame(columns).fill_nan(None)


def _balance(items: dict[str, Item]) -> list[str]:
    """Names of shareholders' equity, common equity, assets and liabilities in a registry."""
    names = {item.source: name for name, item in items.items()}
    return [names[source] for source in ("seq", "ceq", "at", "lt")]


def _amount(
    source: str, accounts: Accounts, coverage: Coverage, rows: tuple[NDArray[np.intp], NDArray[np.intp]], annual: bool
) -> Amounts:
    """Amounts at the quarter ends, or of the quarters, or of the fiscal years that end with them."""
    if source in accounts.stocks:
        return accounts.stocks[source][rows]
    flow = accounts.flows[source]
    if not annual:
        return flow[rows]
    sums = np.cumsum(flow, axis=0)
    return sums[rows] - sums[coverage.previous[rows], rows[1]]


def never_reported(habits: Habits, coverage: Coverage, private: Flags, financial: Flags) -> dict[str, Flags]:
    """Collect what a vendor lacks by the nature of the firm, by source.

    Parameters
    ----------
    habits : Habits
        What firms have throughout.
    coverage : Coverage
        Quarters on which stocks trade.
    private, financial : ndarray of bool, shape (I,)
        Firms without a stock, and firms without current assets and liabilities in their statements.

    Returns
    -------
    dict of str to ndarray of bool, shape (Q, I)
    """
    shape = coverage.closing.shape
    by_firm = {
        "txditc": ~habits.deferred_taxes,
        "txdb": ~habits.deferred_taxes,
        "pstkrv": ~habits.redemption_value,
        "pstkl": ~habits.liquidating_value,
        "drc": ~habits.deferred_revenue,
        "drlt": ~habits.deferred_revenue,
        "ob": ~habits.backlog,
        "csho": private,
        "cshrc": private,
        **dict.fromkeys(CURRENT, financial),
    }
    return {name: np.broadcast_to(flags, shape) for name, flags in by_firm.items()} | {"prcc": ~coverage.listed}
