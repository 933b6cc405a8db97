"""Right answers to the simulated trade reports; no extract shows them and no panel may read them."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.simulation.bond_trading import CUSTOMER, LONE_BUY
from pipeline.simulation.economy import Economy
from pipeline.simulation.paths import Array
from pipeline.simulation.trace import Tape, tape
from pipeline.simulation.trace_errors import FATES, LATER_MONTH, kept

PEOPLE = ("inter_dealer_pair", "buy_without_sell", "agency")
"""What is planted by who reports: the buyer's report of a pair, that of a buyer alone, the agent's to the customer."""


def trace_truth(economy: Economy) -> dict[str, pl.DataFrame]:
    """Collect the truth about the trade reports.

    Parameters
    ----------
    economy : Economy
        The market as drawn.

    Returns
    -------
    dict of str to DataFrame
        trace_trades : one row a trade, and one for each report of a trade that never was but that counts until a later
        month: cusip (eight characters), date, time, side (of the report that stays), price, volume (true ones; dollars
        of face), real, screened (the screen that the trade rightly fails, null if none; see `trace_errors.SCREENS`;
        `bounce_back` for a fat finger), fate, month (of the trade), report_month (in which it is first known),
        event_month (in which it is taken back or corrected later, null if never), kept_at_once and kept_finally
        (whether it counts as a clean trade at the end of its own month, and at the end of the market),
        price_at_once, volume_at_once, price_finally, volume_finally (as the right answer has them; null where it
        doesn't count).
        trace_planted : one row a planted peculiarity: kind, cusip, date, time, msg_seq_nb, trd_rpt_dt (of its first
        message), outcome: what becomes of its reports.
        bond_days : cusip, date, and price (volume-weighted), volume, trades of the clean trades at once, the same
        finally with the ending `_finally`; null where no trade counts.
    """
    known = tape(economy)
    trades = _trades(known)
    return {"trace_trades": trades, "trace_planted": _planted(known), "bond_days": bond_days(trades)}


def _eight(tape: Tape, bond: NDArray[np.intp]) -> pl.Series:
    """First eight characters of the CUSIPs."""
    return pl.Series([cusip[:8] for cusip in tape.terms.cusips]).gather(bond)


def _time(seconds: NDArray[np.intp]) -> pl.Series:
    return (pl.Series(seconds).cast(pl.Int64) * 1_000_000_000).cast(pl.Time)


def _masked(values: Array, shown: NDArray[np.bool_]) -> pl.Series:
    return pl.Series(np.where(shown, values, np.nan), nan_to_null=True)


def _trades(tape: Tape) -> pl.DataFrame:
    """Trades and what becomes of them."""
    planted, days = tape.planted, tape.days
    trades, month = planted.trades, days.month[planted.trades.session]
    months = days.sessions[days.starts[:-1]].astype("datetime64[M]").astype("datetime64[D]")
    arrives = days.month[planted.event]
    once, price_once, volume_once = kept(planted, days, month)
    end, price_end, volume_end = kept(planted, days, np.full(trades.n, len(months) - 1))
    buys = np.where(trades.kind == CUSTOMER, trades.bought, trades.kind == LONE_BUY)
    as_of = planted.having(lambda fate: "as_of" in fate.steps)
    late = planted.having(lambda fate: fate.arrival == LATER_MONTH) & ~as_of
    real = planted.having(lambda fate: fate.real)
    frame = pl.DataFrame(
        {
            "cusip": _eight(tape, trades.bond),
            "date": pl.Series(days.sessions[trades.session]).cast(pl.Date),
            "time": _time(trades.second),
            "side": pl.Series(["S", "B"]).gather(buys.astype(np.intp)),
            "price": trades.price,
            "volume": trades.volume,
            "real": real,
            "screened": pl.Series([*np.unique(planted.screen)]).gather(
                np.unique(planted.screen, return_inverse=True)[1]
            ),
            "fate": pl.Series([fate.name for fate in FATES]).gather(planted.fate),
            "month": months[month],
            "report_month": months[np.where(as_of, arrives, month)],
            "event_month": pl.Series(months[arrives]).set(pl.Series(~late), None),
            "kept_at_once": once,
            "kept_finally": end,
            "price_at_once": _masked(price_once, once),
            "volume_at_once": _masked(volume_once, once),
            "price_finally": _masked(price_end, end),
            "volume_finally": _masked(volume_end, end),
        }
    ).with_columns(pl.col("screened").replace("", None))
    return frame.filter(pl.Series(real | once))


def _planted(tape: Tape) -> pl.DataFrame:
    """Planted peculiarities with their first messages."""
    trades, fate = tape.planted.trades, tape.planted.fate
    first = np.flatnonzero(np.diff(tape.messages.leg, prepend=-1))
    leg = tape.messages.leg[first]
    trade, buyer = tape.legs.trade[leg], tape.legs.buyer[leg]
    kinds = {
        **{item.name: (~buyer & (fate[trade] == place), item.outcome) for place, item in enumerate(FATES) if place},
        PEOPLE[0]: (buyer, "removed"),
        PEOPLE[1]: (trades.kind[trade] == LONE_BUY, "kept"),
        PEOPLE[2]: (trades.agent[trade], "removed, kept where it bears a commission"),
    }
    parts = []
    for kind, (chosen, outcome) in kinds.items():
        rows = np.flatnonzero(chosen)
        message = first[rows]
        parts.append(
            pl.DataFrame(
                {
                    "kind": pl.Series([kind]).gather(np.zeros(len(rows), np.intp)),
                    "cusip": _eight(tape, trades.bond[trade[rows]]),
                    "date": pl.Series(tape.days.sessions[trades.session[trade[rows]]]).cast(pl.Date),
                    "time": _time(tape.legs.second[leg[rows]]),
                    "msg_seq_nb": pl.Series(tape.messages.number[message]).cast(pl.String).str.zfill(7),
                    "trd_rpt_dt": pl.Series(tape.days.sessions[tape.messages.session[message]]).cast(pl.Date),
                    "outcome": pl.Series([outcome]).gather(np.zeros(len(rows), np.intp)),
                }
            )
        )
    return pl.concat(parts)


def bond_days(trades: pl.DataFrame) -> pl.DataFrame:
    """Volume-weighted prices of the days from true trades.

    Parameters
    ----------
    trades : DataFrame
        cusip, date and the columns of `trace_trades` that say what counts and at which terms.

    Returns
    -------
    DataFrame
        See `trace_truth`; sorted by cusip and date.
    """

    def side(end: str) -> list[pl.Expr]:
        price, volume, counts = pl.col(f"price_{end}"), pl.col(f"volume_{end}"), pl.col(f"kept_{end}")
        name = "" if end == "at_once" else f"_{end}"
        any_left = counts.any()
        return [
            pl.when(any_left).then((price * volume).sum() / volume.sum()).alias(f"price{name}"),
            pl.when(any_left).then(volume.sum()).alias(f"volume{name}"),
            pl.when(any_left).then(counts.sum()).alias(f"trades{name}"),
        ]

    counting = trades.filter(pl.col("kept_at_once") | pl.col("kept_finally"))
    return counting.group_by("cusip", "date").agg(*side("at_once"), *side("finally")).sort("cusip", "date")
