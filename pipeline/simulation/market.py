"""`simulate`: a market of a given size, seed and last month, as vendor tables, security frames and truth.

The registry of table writers is here; files are written by `layouts`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipeline.simulation.anomaly_tables import anomaly_tables
from pipeline.simulation.bond_sources import bond_link_tables, bond_source_tables
from pipeline.simulation.bond_truth import bond_truth
from pipeline.simulation.compustat import compustat_tables
from pipeline.simulation.compustat_truth import compustat_truth
from pipeline.simulation.crsp_ciz import ciz_tables
from pipeline.simulation.crsp_daily import daily_ciz_tables, daily_siz_tables
from pipeline.simulation.crsp_links import link_tables
from pipeline.simulation.crsp_siz import siz_tables
from pipeline.simulation.economy import Economy, simulate_economy
from pipeline.simulation.factor_tables import french_tables, other_factor_tables
from pipeline.simulation.fisd import fisd_tables
from pipeline.simulation.fred_md import fred_md_tables
from pipeline.simulation.identifiers import RATINGS, SECTORS, stock_cusip
from pipeline.simulation.index_tables import bond_tables
from pipeline.simulation.listings import gvkey
from pipeline.simulation.macro_tables import (
    crsp_index_tables,
    fred_tables,
    goyal_welch_tables,
    price_tables,
    treasury_tables,
)
from pipeline.simulation.sizes import MarketSize, market_size
from pipeline.simulation.stock_truth import stock_truth
from pipeline.simulation.trace import trace_tables
from pipeline.simulation.trace_truth import trace_truth
from pipeline.simulation.truth import truth_tables

DEFAULT_END = date(2024, 12, 1)
"""Last month of a market when none is asked for; fixed, so that tests see the same market on every day."""

Writer = Callable[[Economy], Mapping[str, pl.DataFrame]]

TABLES: dict[str, Writer] = {
    "bonds": bond_tables,
    "fred_md": fred_md_tables,
    "fred": fred_tables,
    "prices": price_tables,
    "french": french_tables,
    "factors": other_factor_tables,
    "anomalies": anomaly_tables,
    "goyal_welch": goyal_welch_tables,
    "treasury": treasury_tables,
    "crsp_index": crsp_index_tables,
    "ccm": link_tables,
    "compustat": compustat_tables,
    "fisd": fisd_tables,
    "bond_sources": bond_source_tables,
    "trace": trace_tables,
}
"""Writers of vendor tables by vendor: each maps the economy to frames keyed by the file that they become."""

ON_REQUEST: dict[str, Writer] = {"bond_links": bond_link_tables}
"""Writers of tables that a market has only where they are asked for by name."""

TRUTHS: tuple[Writer, ...] = (truth_tables, stock_truth, compustat_truth, bond_truth)
"""What is true of every market."""

VENDOR_TRUTHS: dict[str, Writer] = {"trace": trace_truth}
"""What is true of one vendor's tables and as large as they are: made with them only."""

STOCK_LAYOUTS: dict[str, dict[str, Writer]] = {
    "siz": {"crsp": siz_tables, "crsp_daily": daily_siz_tables},
    "ciz": {"crsp": ciz_tables, "crsp_daily": daily_ciz_tables},
}
"""Writers of the stock files in CRSP's two layouts; a market has the one or the other."""


@dataclass(frozen=True)
class Market:
    """A simulated market.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Logical vendor frames by file stem: vendor column names and units, missing codes planted, real date columns
        (`date_column` in `layouts` names each).
    truth : dict of str to DataFrame
        What no extract shows; see the functions of `TRUTHS` and `VENDOR_TRUTHS`.
    issuers : DataFrame
        issuer (position), name, issuer_code, stock_cusip, sector, private, permno (of the first class), gvkey, n_bonds.
    stocks : DataFrame
        month, permno, permco, issuer, ret, retx, price, shares, marketcap, cfacpr, universe, book_equity, rating of
        every security with a monthly row: true returns with delistings, decimals, dollars, millions.
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


def simulate(
    size: str | MarketSize,
    seed: int = 0,
    end: date = DEFAULT_END,
    layout: str = "siz",
    vendors: Collection[str] | None = None,
) -> Market:
    """Simulate a market; deterministic in its arguments.

    Parameters
    ----------
    size : str or MarketSize
        `tiny`, `demo`, `notebook`, or dimensions of one's own.
    seed : int
        Seed of every random number.
    end : date
        Any day of the last closed month: the last bond snapshot, the last macro observations.
    layout : str
        Layout of the CRSP stock files, `siz` or `ciz`; the same history in both.
    vendors : collection of str, optional
        Keys of `TABLES`, `ON_REQUEST` and the stock layout whose tables are made; when not given all but those on
        request.

    Returns
    -------
    Market

    Raises
    ------
    ValueError
        If size, layout or a vendor is not registered, or the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"the seed must be 0 or more, got {seed}")
    if layout not in STOCK_LAYOUTS:
        raise ValueError(f"no stock layout {layout!r}; registered are {', '.join(STOCK_LAYOUTS)}")
    usual = TABLES | STOCK_LAYOUTS[layout]
    writers = usual | ON_REQUEST
    unknown = set(vendors or ()) - set(writers)
    if unknown:
        raise ValueError(f"no vendor {', '.join(sorted(unknown))}; registered are {', '.join(writers)}")
    economy = simulate_economy(market_size(size), seed, end)
    tables: dict[str, pl.DataFrame] = {}
    truth: dict[str, pl.DataFrame] = {}
    for each in TRUTHS:
        truth.update(each(economy))
    wanted = usual if vendors is None else vendors
    for vendor, writer in writers.items():
        if vendor in wanted:
            tables.update(writer(economy))
            if vendor in VENDOR_TRUTHS:
                truth.update(VENDOR_TRUTHS[vendor](economy))
    return Market(
        tables=tables,
        truth=truth,
        issuers=_issuers(economy),
        stocks=_stocks(economy),
        bonds=_bonds(economy),
        economy=economy,
    )


def _issuers(economy: Economy) -> pl.DataFrame:
    """All firms, bonds or not."""
    firms = economy.firms
    firm, permno = np.arange(len(firms.names)), np.zeros(len(firms.names), dtype=np.int64)
    main = ~economy.listings.second
    permno[economy.listings.firm[main]] = economy.listings.permno[main]
    public = pl.Series(~firms.private)
    listed = pl.Series(permno)
    return pl.DataFrame(
        {
            "issuer": np.arange(len(firms.names)),
            "name": firms.names,
            "issuer_code": firms.codes,
            "stock_cusip": [stock_cusip(code) for code in firms.codes],
            "sector": [SECTORS[i][1] for i in firms.sector.tolist()],
            "private": firms.private,
            "permno": listed.set(~public, None),
            "gvkey": [gvkey(f) for f in firm.tolist()],
            "n_bonds": np.bincount(economy.issues.issuer, minlength=len(firms.names)),
        }
    )


def _stocks(economy: Economy) -> pl.DataFrame:
    """Month by month, securities with a monthly row only."""
    firms, months, shares, listings = economy.firms, economy.stock_months, economy.shares, economy.listings
    month, security = np.nonzero(months.row)
    firm = listings.firm[security]
    columns = {
        "ret": months.total, "retx": months.total_ex, "price": months.prc, "shares": shares.shrout / 1000,
        "marketcap": months.me, "cfacpr": shares.cfacpr,
    }  # fmt: skip
    frame = pl.DataFrame(
        {
            "month": economy.clock.months.astype("datetime64[D]")[month],
            "permno": listings.permno[security],
            "permco": listings.permco[security],
            "issuer": firm,
            **{name: values[month, security] for name, values in columns.items()},
            "universe": months.universe[month, security],
            "book_equity": firms.book_equity[month, firm],
            "rating": np.array(RATINGS)[firms.rating[month, firm] - 1],
        }
    )
    return frame.with_columns(pl.selectors.float().fill_nan(None))


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
