"""CRSP in the CIZ layout: monthly stock file and delistings.

Names and flags stand on every row, returns contain the delisting return where there is one, prices are positive, volume
is in shares.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipeline.simulation.crsp_codes import (
    ACTIVE_FLAG,
    DELISTING_TYPES,
    ELSEWHERE,
    EXCHANGE_LETTERS,
    HALTED_FLAG,
    REGULAR_WAY,
    SHARE_TYPES,
)
from pipeline.simulation.economy import Economy
from pipeline.simulation.paths import Array
from pipeline.simulation.stock_names import HALTED

RETURN_FLAGS = {"": "", "C": "NS"}
"""Flag of a missing return by SIZ code; NT, not traded, for all the others."""


def ciz_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Monthly and delisting tables of the CIZ layout.

    Parameters
    ----------
    economy : Economy
        Securities.

    Returns
    -------
    Mapping of str to DataFrame
        crsp.msf_v2 : a row for every row of the SIZ layout, and one for a delisting month without trading whose
        delisting return is known; `mthret` and `mthretx` are null where there is none.
        crsp.stkdelists : permno, delistingdt, delret (null where missing), delreasontype, delactiontype, delstatustype
        of the delisted securities.
    """
    return {"crsp.msf_v2": _msf_v2(economy), "crsp.stkdelists": _stkdelists(economy)}


def _return_known(economy: Economy) -> tuple[np.ndarray, Array, Array]:
    """Rows of the layout, and returns with the delisting return in them."""
    clock, listings, months = economy.clock, economy.listings, economy.stock_months
    leaves = clock.month_of_session[listings.delisted] == np.arange(clock.n)[:, None]
    known = leaves & ~np.isnan(listings.dlret)
    row = months.row | known
    return row, np.where(known, months.total, months.ret), np.where(known, months.total_ex, months.retx)


def _msf_v2(economy: Economy) -> pl.DataFrame:
    """Monthly stock file."""
    months, shares, listings, names = economy.stock_months, economy.shares, economy.listings, economy.names
    row, ret, retx = _return_known(economy)
    at = np.nonzero(row)
    price = months.prc[at]
    codes = {name: values[at] for name, values in names.at_month_end.items()}
    missing = np.array([RETURN_FLAGS.get(code, "NT") for code in months.code[at].tolist()])
    flag = np.where(np.isnan(ret[at]), np.where(missing == "", "NT", missing), "")
    spell = _spell_at(economy)[at]
    texts = {name: np.array(values)[spell] for name, values in names.texts.items()}
    columns = {
        "permno": listings.permno[at[1]],
        "permco": listings.permco[at[1]],
        "mthcaldt": economy.clock.last_sessions[at[0]],
        "mthprc": price,
        "mthret": ret[at],
        "mthretx": retx[at],
        "mthretflg": flag,
        "mthvol": months.volume[at],
        "shrout": shares.shrout[at].astype(np.int64),
        "mthcap": price * shares.shrout[at],
        "mthcumfacpr": shares.cfacpr[at],
        "mthcumfacshr": shares.cfacshr[at],
        **share_flags(codes["shrcd"]),
        **trading_flags(codes["exchcd"]),
        "siccd": codes["siccd"],
        "cusip": texts["ncusip"],
        "ticker": texts["ticker"],
        "issuernm": texts["comnam"],
    }
    frame = pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))
    return frame.with_columns(pl.col("mthvol").cast(pl.Int64))


def share_flags(shrcd: np.ndarray) -> dict[str, np.ndarray]:
    """CIZ share flags of SIZ share codes, one array a flag."""
    return {
        flag: np.array([SHARE_TYPES[code][flag] for code in shrcd.tolist()])
        for flag in next(iter(SHARE_TYPES.values()))
    }


def trading_flags(exchcd: np.ndarray) -> dict[str, np.ndarray]:
    """CIZ exchange and trading flags of SIZ exchange codes; a halted security keeps no exchange letter of its own."""
    return {
        "primaryexch": np.array([EXCHANGE_LETTERS.get(code, ELSEWHERE) for code in exchcd.tolist()]),
        "conditionaltype": np.full(len(exchcd), REGULAR_WAY),
        "tradingstatusflg": np.where(exchcd == HALTED, HALTED_FLAG, ACTIVE_FLAG),
    }


def _spell_at(economy: Economy) -> np.ndarray:
    """Name spell in force at the end of every month, by security; the last one after a delisting."""
    clock, names = economy.clock, economy.names
    spell = np.zeros((clock.n, economy.listings.n), dtype=np.intp)
    for position, (s, start) in enumerate(zip(names.security.tolist(), names.start.tolist(), strict=True)):
        spell[clock.month_of_session[start] :, s] = position
    return spell


def _stkdelists(economy: Economy) -> pl.DataFrame:
    """Delistings."""
    listings = economy.listings
    gone = np.flatnonzero(~listings.active)
    action, reason, status = zip(*(DELISTING_TYPES[code] for code in listings.dlstcd[gone].tolist()), strict=True)
    return pl.DataFrame(
        {
            "permno": listings.permno[gone],
            "delistingdt": economy.clock.sessions[listings.delisted[gone]],
            "delret": pl.Series(listings.dlret[gone], nan_to_null=True),
            "delreasontype": reason,
            "delactiontype": action,
            "delstatustype": status,
        }
    )
