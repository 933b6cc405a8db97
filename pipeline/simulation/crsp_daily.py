"""CRSP's daily stock file in both layouts: prices, returns, volume and closing quotes.

One row a security and day with a price, in the order of days. A day without a trade shows the bid-ask midpoint, its
price negative in the SIZ layout. Neither layout has delisting returns here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.simulation.crsp_codes import ELSEWHERE, EXCHANGE_LETTERS
from pipeline.simulation.economy import Economy
from pipeline.simulation.paths import Array, stream
from pipeline.simulation.trading import DailyMonth, codes_in_month

FIRST_RETURN_CODES = np.array([-66.0, -77.0, -88.0, -99.0])
"""What stands for the return of a security's first day, in turn, in the SIZ layout."""

QUOTE_MISSING, QUOTE_CROSSED = 0.003, 0.001
"""Share of days without quotes, and of days whose ask lies below the bid."""


@dataclass(frozen=True)
class Quotes:
    """Closing quotes and the day's range, dollars, of shape (days, k); NaN where the file has none."""

    bid: Array
    ask: Array
    high: Array
    low: Array


Columns = Callable[[Economy, int, DailyMonth, Quotes], dict[str, np.ndarray]]


def daily_siz_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Daily stock file of the SIZ layout.

    Parameters
    ----------
    economy : Economy
        Securities.

    Returns
    -------
    Mapping of str to DataFrame
        crsp.dsf : permno, permco, date, prc, ret, vol (shares), shrout (thousands), bid, ask, askhi, bidlo, cfacpr,
        cfacshr; no table for a size without daily rows.
    """
    return _table(economy, "crsp.dsf", _siz_columns)


def daily_ciz_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Daily stock file of the CIZ layout.

    Parameters
    ----------
    economy : Economy
        Securities.

    Returns
    -------
    Mapping of str to DataFrame
        crsp.dsf_v2 : permno, dlycaldt, dlyprc, dlyret, dlyvol (shares), shrout (thousands), dlybid, dlyask, dlyhigh,
        dlylow, dlycumfacpr, primaryexch; no table for a size without daily rows.
    """
    return _table(economy, "crsp.dsf_v2", _ciz_columns)


def _table(economy: Economy, name: str, columns: Columns) -> Mapping[str, pl.DataFrame]:
    """Rows of all months that the size has daily rows for."""
    lead = economy.size.daily_lead
    if lead is None:
        return {}
    blocks = []
    for t in range(economy.clock.first_snapshot - lead, economy.clock.n):
        block = economy.trading.month(t)
        arrays = columns(economy, t, block, quotes(economy, t, block))
        blocks.append(pl.DataFrame({key: values[block.present] for key, values in arrays.items()}))
    return {name: pl.concat(blocks, rechunk=True).with_columns(pl.selectors.float().fill_nan(None))}


def quotes(economy: Economy, t: int, block: DailyMonth) -> Quotes:
    """Quote every day of a month around its price.

    Parameters
    ----------
    economy : Economy
        Spreads and seed.
    t : int
        Month index.
    block : DailyMonth
        Days of the month.

    Returns
    -------
    Quotes
        On days without a trade the price is the midpoint and the range is that of the quotes.
    """
    rng = stream(economy.seed, f"quotes {t}")
    shape = block.price.shape
    half = economy.trading.own["half_spread"][block.columns] * np.exp(0.3 * rng.standard_normal(shape))
    place = np.where(block.traded, rng.uniform(-1, 1, shape), 0.0)
    middle = block.price / (1 + half * place)
    bid, ask = middle * (1 - half), middle * (1 + half)
    reach = economy.trading.own["sd"][block.columns] * np.abs(rng.standard_normal((2, *shape))) / 2
    high = np.where(block.traded, block.price * (1 + reach[0]), ask)
    low = np.where(block.traded, block.price * (1 - reach[1]), bid)
    accident = rng.random(shape)
    crossed = block.traded & (accident < QUOTE_CROSSED)
    bid, ask = np.where(crossed, ask, bid), np.where(crossed, bid, ask)
    lost = block.traded & (accident > 1 - QUOTE_MISSING)
    # Some of the missing quotes are zeros.
    bid = np.where(lost, np.where(accident > 1 - QUOTE_MISSING / 2, 0.0, np.nan), bid)
    return Quotes(bid, np.where(lost, np.nan, ask), high, low)


def _keys(economy: Economy, block: DailyMonth) -> tuple[np.ndarray, np.ndarray]:
    """Session day and security position of every cell."""
    days = economy.clock.sessions[block.start : block.start + len(block.price)]
    return np.broadcast_to(days[:, None], block.price.shape), np.broadcast_to(block.columns, block.price.shape)


def _siz_columns(economy: Economy, t: int, block: DailyMonth, quoted: Quotes) -> dict[str, np.ndarray]:
    """Columns of `crsp.dsf`, each of shape (days, k)."""
    day, s = _keys(economy, block)
    first = FIRST_RETURN_CODES[block.columns % len(FIRST_RETURN_CODES)]
    return {
        "permno": economy.listings.permno[s],
        "permco": economy.listings.permco[s],
        "date": day,
        "prc": np.where(block.traded, block.price, -block.price),
        "ret": np.where(np.isnan(block.ret), first, block.ret),
        "vol": block.volume.astype(np.int64),
        "shrout": block.shrout.astype(np.int64),
        "bid": quoted.bid,
        "ask": quoted.ask,
        "askhi": quoted.high,
        "bidlo": quoted.low,
        "cfacpr": economy.shares.cfacpr[t, block.columns] * block.ahead,
        "cfacshr": economy.shares.cfacshr[t, block.columns] * _shares_ahead(economy, t, block),
    }


def _shares_ahead(economy: Economy, t: int, block: DailyMonth) -> Array:
    """Share factor of the month still to come on every day."""
    shares = economy.shares
    before = shares.cfacshr[max(t - 1, 0), block.columns] / shares.cfacshr[t, block.columns]
    return np.where(block.ahead == 1, 1.0, before)


def _ciz_columns(economy: Economy, t: int, block: DailyMonth, quoted: Quotes) -> dict[str, np.ndarray]:
    """Columns of `crsp.dsf_v2`, each of shape (days, k)."""
    day, s = _keys(economy, block)
    codes = codes_in_month(economy.clock, economy.names, t, "exchcd")[:, block.columns]
    letters = np.full(codes.shape, ELSEWHERE)
    for code, letter in EXCHANGE_LETTERS.items():
        letters[codes == code] = letter
    return {
        "permno": economy.listings.permno[s],
        "dlycaldt": day,
        "dlyprc": block.price,
        "dlyret": block.ret,
        "dlyvol": block.volume.astype(np.int64),
        "shrout": block.shrout.astype(np.int64),
        "dlybid": quoted.bid,
        "dlyask": quoted.ask,
        "dlyhigh": quoted.high,
        "dlylow": quoted.low,
        "dlycumfacpr": economy.shares.cfacpr[t, block.columns] * block.ahead,
        "primaryexch": letters,
    }
