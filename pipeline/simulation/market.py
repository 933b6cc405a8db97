"""`simulate`: a market of a given size, seed and last month, as vendor tables, security frames and truth.

The registry of table writers is here; files are written by `layouts`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipeline.simulation.economy import Economy, simulate_economy
from pipeline.simulation.factor_tables import french_tables, other_factor_tables
from pipeline.simulation.fred_md import fred_md_tables
from pipeline.simulation.identifiers import RATINGS, SECTORS, stock_cusip
from pipeline.simulation.index_tables import bond_tables
from pipeline.simulation.macro_tables import (
    crsp_index_tables,
    fred_tables,
    goyal_welch_tables,
    price_tables,
    treasury_tables,
)
from pipeline.simulation.sizes import MarketSize, market_size
from pipeline.simulation.truth import truth_tables

DEFAULT_END = date(2024, 12, 1)
"""Last month of a market when none is asked for; fixed, so that tests see the same market on every day."""

TABLES: dict[str, Callable[[Economy], Mapping[str, pl.DataFrame]]] = {
    "bonds": bond_tables,
    "fred_md": fred_md_tables,
    "fred": fred_tables,
    "prices": price_tables,
    "french": french_tables,
    "factors": other_factor_tables,
    "goyal_welch": goyal_welch_tables,
    "treasury": treasury_tables,
    "crsp_index": crsp_index_tables,
}
"""Writers of vendor tables by vendor: each maps the economy to frames keyed by the file that they become."""


@dataclass(frozen=True)
class Market:
    """A simulated market.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Logical vendor frames by file stem: vendor column names and units, missing codes planted, real date columns
        (`date_column` in `layouts` names each).
    truth : dict of str to DataFrame
        What no extract shows; see `truth.truth_tables`.
    issuers : DataFrame
        issuer (position), name, issuer_code, sector, private, permno, n_bonds.
    stocks : DataFrame
        month, permno, issuer, ret, retx, price, shares, marketcap, book_equity, rating of every listed firm: decimals,
        dollars, millions.
    bonds : DataFrame
        isin, cusip, issuer, entry (month), maturity, coupon, par: terms of every bond ever issued.
    economy : Economy
        The arrays behind the frames, for writers of further vendor tables.
    """

    tables: dict[str, pl.DataFrame]
    truth: dict[str, pl.DataFrame]
    issuers: pl.DataFrame
    stocks: pl.DataFrame
    bonds: pl.DataFrame
    economy: Economy


def simulate(size: str | MarketSize, seed: int = 0, end: date = DEFAULT_END) -> Market:
    """Simulate a market; deterministic in its arguments.

    Parameters
    ----------
    size : str or MarketSize
        `tiny`, `demo`, `notebook`, or dimensions of one's own.
    seed : int
        Seed of every random number.
    end : date
        Any day of the last closed month: the last bond snapshot, the last macro observations.

    Returns
    -------
    Market

    Raises
    ------
    ValueError
        If the size is not registered or the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"the seed must be 0 or more, got {seed}")
    economy = simulate_economy(market_size(size), seed, end)
    tables: dict[str, pl.DataFrame] = {}
    for writer in TABLES.values():
        tables.update(writer(economy))
    return Market(
        tables=tables,
        truth=truth_tables(economy),
        issuers=_issuers(economy),
        stocks=_stocks(economy),
        bonds=_bonds(economy),
        economy=economy,
    )


def permnos(economy: Economy) -> np.ndarray:
    """Return the stock identifier of every firm, 0 for private ones; shape (I,)."""
    return np.where(economy.firms.private, 0, 10_001 + np.arange(len(economy.firms.names)))


def _issuers(economy: Economy) -> pl.DataFrame:
    """All firms, bonds or not."""
    firms = economy.firms
    permno = pl.Series(permnos(economy))
    return pl.DataFrame(
        {
            "issuer": np.arange(len(firms.names)),
            "name": firms.names,
            "issuer_code": firms.codes,
            "stock_cusip": [stock_cusip(code) for code in firms.codes],
            "sector": [SECTORS[i][1] for i in firms.sector.tolist()],
            "private": firms.private,
            "permno": permno.set(permno == 0, None),
            "n_bonds": np.bincount(economy.issues.issuer, minlength=len(firms.names)),
        }
    )


def _stocks(economy: Economy) -> pl.DataFrame:
    """Month by month, listed firms only."""
    firms, clock = economy.firms, economy.clock
    month, firm = np.nonzero(np.broadcast_to(~firms.private, firms.ret.shape))
    columns = {
        "ret": firms.ret,
        "retx": firms.retx,
        "price": firms.marketcap / firms.shares,
        "shares": firms.shares,
        "marketcap": firms.marketcap,
        "book_equity": firms.book_equity,
    }
    return pl.DataFrame(
        {
            "month": clock.months.astype("datetime64[D]")[month],
            "permno": permnos(economy)[firm],
            "issuer": firm,
            **{name: values[month, firm] for name, values in columns.items()},
            "rating": np.array(RATINGS)[firms.rating[month, firm] - 1],
        }
    )


def _bonds(economy: Economy) -> pl.DataFrame:
    """Terms of every bond."""
    issues = economy.issues
    return pl.DataFrame(
        {
            "isin": issues.isins,
            "cusip": issues.cusips,
            "issuer": issues.issuer,
            "entry": economy.clock.months.astype("datetime64[D]")[issues.entry],
            "maturity": issues.maturity.astype("datetime64[D]"),
            "coupon": issues.coupon,
            "par": issues.par,
        }
    )
