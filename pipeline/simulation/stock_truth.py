"""What is true of the stocks and in no vendor table: returns with delistings, the planted traps, company links.

Nothing in a panel or a model may read these tables.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from pipeline.simulation.economy import Economy
from pipeline.simulation.listings import gvkey
from pipeline.simulation.shares import CODED, SILENT
from pipeline.simulation.stock_factors import company_equity
from pipeline.simulation.stock_months import FAILED
from pipeline.simulation.trading import NASDAQ, double_counting

LONG_GAP = 10
"""Days without a trade from which a month counts as one with a gap."""

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]


def stock_truth(economy: Economy) -> dict[str, pl.DataFrame]:
    """Collect the truth about the stocks.

    Parameters
    ----------
    economy : Economy
        The market as drawn.

    Returns
    -------
    dict of str to DataFrame
        stock_returns : month, permno, ret (decimals, the delisting included, -0.30 for a failure whose delisting return
        is missing; null where there is none), ret_osap (-0.35 NYSE and AMEX, -0.55 NASDAQ instead), me_start (market
        equity at the end of the month before, millions, null where there is none), universe_start (whether the security
        was in the universe of common stocks then); a row for every monthly row and every delisting.
        stock_traps : trap, permno, month, column, value: the right value of `column` in the month, null where the right
        answer is that there is none.
        firm_links : month, permno, gvkey at the end of the month.
        securities : permno, permco, gvkey, role, second, first, last, delisted (dates, null while active), dlstcd,
        dlret.
    """
    return {
        "stock_returns": _returns(economy),
        "stock_traps": _traps(economy),
        "firm_links": _links(economy),
        "securities": _securities(economy),
    }


def _dates(economy: Economy, month: np.ndarray) -> np.ndarray:
    """First days of months."""
    return economy.clock.months.astype("datetime64[D]")[month]


def _leaves(economy: Economy) -> np.ndarray:
    """Delisting months; shape (T, S)."""
    clock, listings = economy.clock, economy.listings
    month = clock.month_of_session[listings.delisted]
    return (month == np.arange(clock.n)[:, None]) & ~listings.active


def _returns(economy: Economy) -> pl.DataFrame:
    """Collect the true returns."""
    months = economy.stock_months
    at = np.nonzero(months.row | _leaves(economy))
    before = np.maximum(at[0] - 1, 0), at[1]
    first = at[0] == 0
    return pl.DataFrame(
        {
            "month": _dates(economy, at[0]),
            "permno": economy.listings.permno[at[1]],
            "ret": months.total[at],
            "ret_osap": months.total_osap[at],
            "me_start": np.where(first, np.nan, months.me[before]),
            "universe_start": ~first & months.universe[before],
        }
    ).with_columns(pl.selectors.float().fill_nan(None))


def _where(chosen: np.ndarray, values: np.ndarray | float) -> Cells:
    """Months, securities and values of chosen cells."""
    at = np.nonzero(chosen)
    return at[0], at[1], np.broadcast_to(values, chosen.shape)[at].astype(float)


def _delisting_traps(economy: Economy) -> dict[str, tuple[str, Cells]]:
    """Delistings by what is missing."""
    listings, months = economy.listings, economy.stock_months
    leaves = _leaves(economy)
    given, failed = ~np.isnan(listings.dlret), np.isin(listings.dlstcd, FAILED)
    kinds = {
        "delisting_with_dlret": leaves & given & months.row & (months.code == ""),
        "delisting_without_dlret": leaves & ~given & failed & months.row & (months.code == ""),
        "delisting_without_dlret_not_failed": leaves & ~given & ~failed,
        "delisting_without_row": leaves & given & ~months.row,
        "delisting_without_row_or_dlret": leaves & ~given & failed & ~months.row,
        "delisting_with_coded_return": leaves & months.row & (months.code != ""),
        "total_loss": leaves & (listings.dlret == -1),
        "flags_change_when_delisted": leaves & _flags_change(economy),
    }
    return {name: ("ret", _where(chosen, months.total)) for name, chosen in kinds.items()}


def _flags_change(economy: Economy) -> np.ndarray:
    """Securities in the universe at the end of the month before whose flags of the month say otherwise."""
    universe = economy.stock_months.universe
    before = np.vstack([np.zeros((1, universe.shape[1]), bool), universe[:-1]])
    return before & ~universe & economy.stock_months.row


def _price_traps(economy: Economy) -> dict[str, tuple[str, Cells]]:
    """Prices, returns and volumes that are not what they seem."""
    months, shares, names = economy.stock_months, economy.shares, economy.names
    silent = np.vstack([np.zeros((1, months.row.shape[1]), bool), shares.silence[:-1] != 0])
    multiple = np.array([double_counting(month) for month in economy.clock.months])[:, None]
    nasdaq = names.at_month_end["exchcd"] == NASDAQ
    moved = np.vstack([np.zeros((1, nasdaq.shape[1]), bool), nasdaq[1:] != nasdaq[:-1]])
    company = company_equity(months, economy.listings)
    return {
        "negative_price": ("prc", _where(months.midpoint, months.prc)),
        "coded_return": ("ret", _where(months.row & (months.code != "") & ~_leaves(economy), np.nan)),
        "return_after_silence": ("ret", _where(months.row & silent & (shares.silence == 0), months.total)),
        "month_without_trade": ("ret", _where(shares.silence == CODED, np.nan)),
        "month_without_row": ("ret", _where(shares.silence == SILENT, np.nan)),
        "split": ("retx", _where(months.row & (shares.split != 1), months.retx)),
        "several_permnos": ("me_permco", _where(months.row & (company > months.me * 1.001), company)),
        "zero_return_gap": ("days_without_trade", _where(months.quiet_days >= LONG_GAP, months.quiet_days)),
        "monthly_volume": ("volume", _where(months.row & ~moved, months.volume / np.where(nasdaq, multiple, 1))),
        "nasdaq_volume": (
            "volume", _where(months.row & nasdaq & ~moved & (multiple > 1), months.volume / multiple),
        ),
    }  # fmt: skip


TRAPS: tuple[Callable[[Economy], dict[str, tuple[str, Cells]]], ...] = (_delisting_traps, _price_traps)


def _traps(economy: Economy) -> pl.DataFrame:
    """All planted traps."""
    frames = []
    for source in TRAPS:
        for trap, (column, (month, security, value)) in source(economy).items():
            keys = {"permno": economy.listings.permno[security], "month": _dates(economy, month)}
            frame = pl.DataFrame({**keys, "value": value}).with_columns(pl.col("value").fill_nan(None))
            frames.append(frame.select(pl.lit(trap).alias("trap"), *keys, pl.lit(column).alias("column"), "value"))
    return pl.concat(frames)


def _links(economy: Economy) -> pl.DataFrame:
    """Collect the true links."""
    held = economy.links.held(economy.clock, economy.listings)
    month, security = np.nonzero(held >= 0)
    keys = {"month": _dates(economy, month), "permno": economy.listings.permno[security]}
    codes = np.array([gvkey(firm) for firm in range(len(economy.firms.names))])
    return pl.DataFrame({**keys, "gvkey": codes[held[month, security]]})


def _securities(economy: Economy) -> pl.DataFrame:
    """Securities and their roles."""
    listings, days = economy.listings, economy.clock.sessions
    gone = pl.Series(days[listings.delisted]).set(pl.Series(listings.active), None)
    return pl.DataFrame(
        {
            "permno": listings.permno,
            "permco": listings.permco,
            "gvkey": [gvkey(firm) for firm in listings.firm.tolist()],
            "role": [role.name for role in listings.roles],
            "second": listings.second,
            "first": days[listings.first],
            "last": days[listings.last],
            "delisted": gone,
            "dlstcd": listings.dlstcd,
            "dlret": pl.Series(listings.dlret, nan_to_null=True),
        }
    )
