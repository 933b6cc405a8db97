"""CRSP in the SIZ layout: monthly stock file, names, delistings.

Vendor columns and units: returns are text, with letters and negative codes where there is none; negative prices are
bid-ask midpoints and 0 or nothing stands for a missing one; monthly volume in hundreds, shares in thousands.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipeline.simulation.economy import Economy
from pipeline.simulation.paths import Array
from pipeline.simulation.stock_names import spell_days

DLRET_CODES = (None, "-55.0", "S", None, "T", "-66.0", "A", "P", "-88.0", "-99.0")
"""What stands for a missing delisting return, in turn."""


def siz_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Monthly and interval tables of the SIZ layout.

    Parameters
    ----------
    economy : Economy
        Securities.

    Returns
    -------
    Mapping of str to DataFrame
        crsp.msf : permno, permco, date (last session of the month), prc, ret, retx (text), shrout, vol, cfacpr,
        cfacshr.
        crsp.msenames : permno, namedt, nameendt, shrcd, exchcd, siccd, ncusip, ticker, comnam; the last name of an
        active security ends with the data.
        crsp.msedelist : permno, dlstdt, dlstcd, dlret (text); one row a security, code 100 where it is active.
    """
    return {"crsp.msf": _msf(economy), "crsp.msenames": _msenames(economy), "crsp.msedelist": _msedelist(economy)}


def _msf(economy: Economy) -> pl.DataFrame:
    """Monthly stock file."""
    months, shares, listings = economy.stock_months, economy.shares, economy.listings
    at = np.nonzero(months.row)
    prc = np.where(months.midpoint[at], -months.prc[at], months.prc[at])
    price = pl.Series(prc, nan_to_null=True)
    # A missing price is a zero in some rows and nothing in others.
    zero = pl.Series(at[1] % 2 == 0)
    return pl.DataFrame(
        {
            "permno": listings.permno[at[1]],
            "permco": listings.permco[at[1]],
            "date": economy.clock.last_sessions[at[0]],
            "prc": pl.select(pl.when(price.is_null() & zero).then(0.0).otherwise(price)).to_series(),
            "ret": _text(months.ret[at], months.code[at]),
            "retx": _text(months.retx[at], months.code[at]),
            "shrout": shares.shrout[at].astype(np.int64),
            "vol": (months.volume[at] / 100).astype(np.int64),
            "cfacpr": shares.cfacpr[at],
            "cfacshr": shares.cfacshr[at],
        }
    )


def _text(values: Array, codes: np.ndarray) -> pl.Series:
    """Numbers as text, and codes where there is one."""
    code = pl.Series(codes)
    number = pl.Series(values, nan_to_null=True).cast(pl.String)
    return pl.select(pl.when(code != "").then(code).otherwise(number)).to_series()


def _msenames(economy: Economy) -> pl.DataFrame:
    """Name history."""
    names = economy.names
    first, last = spell_days(economy.clock, names, economy.listings)
    return pl.DataFrame(
        {
            "permno": economy.listings.permno[names.security],
            "namedt": first,
            "nameendt": last,
            **names.codes,
            **{name: names.texts[name] for name in ("ncusip", "ticker", "comnam")},
        }
    )


def _msedelist(economy: Economy) -> pl.DataFrame:
    """Delistings, and a row for each security that has none."""
    listings = economy.listings
    missing = np.flatnonzero(np.isnan(listings.dlret) & ~listings.active)
    codes: dict[int, str | None] = {s: DLRET_CODES[i % len(DLRET_CODES)] for i, s in enumerate(missing.tolist())}
    shown = [codes.get(s) if np.isnan(value) else f"{value:.6f}" for s, value in enumerate(listings.dlret.tolist())]
    return pl.DataFrame(
        {
            "permno": listings.permno,
            "dlstdt": economy.clock.sessions[listings.delisted],
            "dlstcd": listings.dlstcd,
            "dlret": pl.Series(shown, dtype=pl.String),
        }
    )
