"""TRACE Enhanced as the market's dealers reported it: the table `trace.trace_enhanced`.

Only what a report shows is made here; the trades are in `bond_trading`, what goes wrong in `trace_errors`, which
messages tell it in `trace_messages`, the right answers in `trace_truth`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.simulation.bond_trading import CUSTOMER, LONE_BUY, simulate_trades
from pipeline.simulation.economy import Economy
from pipeline.simulation.paths import Array, stream
from pipeline.simulation.trace_errors import FATE, Days, Planted, plant
from pipeline.simulation.trace_messages import Legs, Messages, legs, messages, versions

SETTLES_IN: tuple[tuple[str, int], ...] = (("2017-09-05", 3), ("2024-05-28", 2))
"""Days before which trades settle after so many business days as a rule; from the last one on, after one."""

SPECIAL_CONDITIONS = ("C", "N", "R", "Z")
"""Sale conditions of trades on special terms."""

SOON = ("", "000", "001", "002")
"""Days to settlement as reported of trades that settle as a rule."""

LATE = ("003", "005", "010", "021")
"""Days to settlement of trades that settle late."""


@dataclass(frozen=True)
class Terms:
    """What reports say of the bonds themselves, in the order of their positions.

    Parameters
    ----------
    cusips : sequence of str
        Nine-character CUSIPs.
    coupon : ndarray, shape (B,)
        Percent.
    maturity : ndarray of datetime64[D], shape (B,)
        Maturity dates.
    """

    cusips: Sequence[str]
    coupon: Array
    maturity: NDArray[np.datetime64]


@dataclass(frozen=True)
class Tape:
    """Everything between the trades and the file."""

    terms: Terms
    days: Days
    planted: Planted
    legs: Legs
    messages: Messages


def trace_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Report all trades in the market's bonds.

    Parameters
    ----------
    economy : Economy
        Bonds.

    Returns
    -------
    Mapping of str to DataFrame
        trace.trace_enhanced : one row a message that arrives by the end of the market, in the order of bond and time of
        trade. Dates are dates, times `HH:MM:SS`, codes and message numbers (seven digits, counted from 1 on every
        report date) text; prices per 100 of face, volumes dollars, yields percent; what is not there is null.
    """
    return {"trace.trace_enhanced": reports(tape(economy), stream(economy.seed, "trace fields"))}


def tape(economy: Economy) -> Tape:
    """Trades, fates and messages of a market.

    Parameters
    ----------
    economy : Economy
        Bonds.

    Returns
    -------
    Tape
        The same whenever it is asked for.
    """
    clock, issues = economy.clock, economy.issues
    trades = simulate_trades(clock, issues, economy.bonds.lives, economy.seed)
    days = Days(clock.sessions, clock.month_of_session, clock.starts)
    rng = stream(economy.seed, "trace")
    planted = plant(trades, issues.maturity, days, rng)
    reported = legs(planted, rng)
    terms = Terms(issues.cusips, issues.coupon, issues.maturity)
    return Tape(terms, days, planted, reported, messages(planted, reported, days, rng))


def reports(tape: Tape, rng: np.random.Generator) -> pl.DataFrame:
    """Write messages as rows of the file.

    Parameters
    ----------
    tape : Tape
        Trades and messages.
    rng : numpy.random.Generator
        Source of the columns that tell nothing: yields left out, plain codes, days to settlement.

    Returns
    -------
    DataFrame
        See `trace_tables`.
    """
    told, trade = tape.messages, tape.legs.trade[tape.messages.leg]
    trades, session = tape.planted.trades, tape.planted.trades.session[trade]
    price, volume = shown_terms(tape)
    settles, settlement = _settlement(tape, rng)
    yields = _yield(tape, trade, session, price) + 0.25 * told.changed
    unreported = rng.random(trades.n) < 0.05
    executed, reported = tape.days.sessions[session], tape.days.sessions[told.session]
    prior = pl.Series(tape.days.sessions[told.prior]).set(pl.Series(told.prior < 0), None)
    frame = pl.DataFrame(
        {
            "cusip_id": pl.Series(tape.terms.cusips, dtype=pl.String).gather(trades.bond[trade]),
            "trd_exctn_dt": executed,
            "trd_exctn_tm": _clock_time(tape.legs.second[told.leg]),
            "trd_rpt_dt": reported,
            "trd_rpt_tm": _clock_time(told.second),
            "msg_seq_nb": _number(told.number),
            "orig_msg_seq_nb": _number(told.refers),
            "trc_st": _text(told.status),
            "asof_cd": _text(told.as_of),
            **_codes(tape, trade, rng),
            "days_to_sttl_ct": settles.gather(trade),
            "stlmnt_dt": settlement[trade],
            "entrd_vol_qt": volume,
            "rptd_pr": price,
            "yld_pt": pl.Series(yields).set(pl.Series(unreported[trade] | ~np.isfinite(yields)), None),
            "pr_trd_dt": prior,
        }
    )
    return frame.with_columns(pl.col(pl.Datetime, pl.Date).cast(pl.Date))


def shown_terms(tape: Tape) -> tuple[Array, Array]:
    """Price and volume in every message.

    Parameters
    ----------
    tape : Tape
        Trades and messages.

    Returns
    -------
    price, volume : ndarray, shape (m,)
        Those of the first report and, after the last correction, the true ones; on the way the error shrinks.
    """
    planted, version = tape.planted, tape.messages.version
    trade = tape.legs.trade[tape.messages.leg]
    last = versions()[planted.fate[trade]]
    final = (version == last) & (last > 0)
    true, first = planted.trades.price[trade], planted.first_price[trade]
    between = np.rint((true + (first - true) / (version + 1)) * 1e6) / 1e6
    price = np.select([final, version > 0], [true, between], first)
    return price, np.where(final, planted.trades.volume[trade], planted.first_volume[trade])


def _clock_time(seconds: NDArray[np.intp]) -> pl.Series:
    """Write times of the day as text."""
    return (pl.Series(seconds).cast(pl.Int64) * 1_000_000_000).cast(pl.Time).dt.to_string("%H:%M:%S")


def _number(numbers: NDArray[np.intp]) -> pl.Series:
    """Message numbers as text, 0 as null."""
    text = pl.Series(numbers).cast(pl.String).str.zfill(7)
    return text.set(pl.Series(numbers == 0), None)


def _text(codes: NDArray[np.str_]) -> pl.Series:
    """Codes, the empty one as null."""
    return _pick(tuple(np.unique(codes).tolist()), np.unique(codes, return_inverse=True)[1])


def _pick(values: Sequence[str], place: NDArray[np.intp]) -> pl.Series:
    """Pick from a few texts; the empty one is null."""
    return pl.Series([value or None for value in values], dtype=pl.String).gather(place)


def _settlement(tape: Tape, rng: np.random.Generator) -> tuple[pl.Series, NDArray[np.datetime64]]:
    """Days to settlement and the settlement date of every trade, which is three days off for plain ones before 2017."""
    trades = tape.planted.trades
    executed = tape.days.sessions[trades.session].astype("datetime64[D]")
    late = tape.planted.fate == FATE["late_settlement"]
    soon = np.where(rng.random(trades.n) < 0.6, 0, rng.integers(1, len(SOON), trades.n))
    place = np.where(late, len(SOON) + rng.integers(0, len(LATE), trades.n), soon)
    wait = np.ones(trades.n, np.intp)
    for day, number in reversed(SETTLES_IN):
        wait[executed < np.datetime64(day)] = number
    wait += np.where(late, np.array([0] * len(SOON) + [int(text) for text in LATE])[place], 0)
    return _pick((*SOON, *LATE), place), np.busday_offset(executed, wait, roll="forward")


def _yield(tape: Tape, trade: NDArray[np.intp], session: NDArray[np.intp], price: Array) -> Array:
    """Yield in percent by the rule of thumb: coupon and yearly gain over the mean of price and face."""
    bond = tape.planted.trades.bond[trade]
    wait = tape.terms.maturity[bond].astype("datetime64[D]") - tape.days.sessions[session].astype("datetime64[D]")
    years = np.maximum(wait.astype(float) / 365.25, 0.25)
    return np.rint(1e8 * (tape.terms.coupon[bond] + (100 - price) / years) / ((100 + price) / 2)) / 1e6


def _codes(tape: Tape, trade: NDArray[np.intp], rng: np.random.Generator) -> dict[str, pl.Series]:
    """Fill in flags, conditions, sides and capacities."""
    trades, fate = tape.planted.trades, tape.planted.fate
    kind, buyer = trades.kind[trade], tape.legs.buyer[tape.messages.leg]
    customer = kind == CUSTOMER
    buys = np.where(customer, trades.bought[trade], buyer | (kind == LONE_BUY))
    # The other dealer may well be an agent; only the reporting side's capacity says what the report is.
    other = np.where(customer, 0, np.where(rng.random(trades.n)[trade] < 0.1, 2, 1))
    mine = np.where(trades.agent[trade], 2, 1)
    plain = np.where(rng.random(trades.n) < 0.2, 1, 0)
    special = fate == FATE["sale_condition"]
    condition = np.where(special, 2 + rng.integers(0, len(SPECIAL_CONDITIONS), trades.n), plain)
    return {
        "wis_fl": _pick(("N", "Y"), (fate == FATE["when_issued"])[trade].astype(np.intp)),
        "cmsn_trd": _pick(("N", "Y"), trades.commission[trade].astype(np.intp)),
        "lckd_in_ind": _pick(("", "Y"), (fate == FATE["locked_in"])[trade].astype(np.intp)),
        "sale_cndtn_cd": _pick(("", "@", *SPECIAL_CONDITIONS), condition[trade]),
        "rpt_side_cd": _pick(("S", "B"), buys.astype(np.intp)),
        "cntra_mp_id": _pick(("D", "C"), customer.astype(np.intp)),
        "buy_cpcty_cd": _pick(("", "P", "A"), np.where(buys, mine, other)),
        "sell_cpcty_cd": _pick(("", "P", "A"), np.where(buys, other, mine)),
    }
