"""What goes wrong, or is peculiar, in the reports of the economy's bond trades: one registry, and who is struck.

Every trade has at most one fate. Planted price errors stand apart from clean moves: `CLEAN_MOVE`, `ERROR_MOVE` and
`QUIET_MOVE` say by how much; they are properties of the simulated prices, not thresholds of anybody's filter. Which
messages tell a fate, in either reporting regime, is in `trace_messages`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.bond_trading import Trades
from pipeline.simulation.paths import Array

REGIME_DATE = np.datetime64("2012-02-06")
"""First report date on which the reporting system works in its newer way."""

CLEAN_MOVE = 0.25
"""No two consecutive clean trades of a bond within 31 days, outside the month of its default, differ by more."""

ERROR_MOVE = 0.50
"""A fat finger's price is at least so far from the clean trades beside it, a decimal shift's much farther."""

QUIET_MOVE = 0.02
"""The clean trades around a planted price error differ by no more from its right price."""

NEIGHBOURS, NEEDED, SPACING = 5, 3, 12
"""Clean trades on either side of a price error that are quiet; those that there are at least, on the right within the
month, because what comes later isn't known at its end, so that an error among its last trades could not be told from a
move; trades from one price error to the next."""

MINIMUM_VOLUME = 1e4
"""Face amount below which a trade is screened, dollars."""

HIGHEST_PRICE = 1000.0
"""Price above which a trade is screened."""

ON_TIME, SAME_MONTH, LATER_MONTH = "on time", "same month", "later month"
"""When the last messages of a fate arrive: that day, a later day of the month, or one to three months on."""

LATEST = 3
"""Months after the trade in which the last late messages arrive."""


@dataclass(frozen=True, kw_only=True)
class Fate:
    """Something that can become of a trade on its way into the file.

    Parameters
    ----------
    name : str
        Its kind in the truth.
    rate : float
        Share of trades; 0 where the place decides.
    steps : tuple of str
        Messages that tell it, in order; keys of `trace_messages.STEPS`.
    outcome : str
        What the right answer makes of its reports.
    real : bool
        Whether the trade took place.
    arrival : str
        When the last messages arrive.
    before_only : bool
        Known to the older reporting system alone.
    screen : str
        Screen that the trade rightly fails because of its fate; empty if none.
    """

    name: str
    rate: float
    steps: tuple[str, ...] = ("report",)
    outcome: str = "removed"
    real: bool = True
    arrival: str = ON_TIME
    before_only: bool = False
    screen: str = ""


FATES: tuple[Fate, ...] = (
    Fate(name="none", rate=0.0, outcome="kept"),
    Fate(name="cancelled", rate=0.010, steps=("report", "cancel"), real=False),
    Fate(name="corrected", rate=0.010, steps=("report", "correct"), outcome="corrected"),
    Fate(name="corrected_twice", rate=0.005, steps=("report", "correct", "correct"), outcome="corrected"),
    Fate(name="corrected_three_times", rate=0.004, steps=("report", *("correct",) * 3), outcome="corrected"),
    Fate(name="corrected_then_cancelled", rate=0.004, steps=("report", "correct", "cancel"), real=False),
    Fate(name="reversed", rate=0.007, steps=("report", "reverse"), real=False, arrival=SAME_MONTH),
    Fate(name="reversal_without_original", rate=0.005, steps=("reverse",), real=False, arrival=SAME_MONTH),
    Fate(name="stray_as_of", rate=0.006, steps=("stray",), real=False, before_only=True),
    Fate(name="as_of_report", rate=0.008, steps=("as_of",), outcome="kept", arrival=SAME_MONTH),
    Fate(name="late_report", rate=0.008, steps=("as_of",), outcome="kept later", arrival=LATER_MONTH),
    Fate(name="late_cancellation", rate=0.007, steps=("report", "reverse"), outcome="removed later", real=False,
         arrival=LATER_MONTH),
    Fate(name="late_correction", rate=0.008, steps=("report", "restate"), outcome="corrected later",
         arrival=LATER_MONTH),
    Fate(name="repeated_row", rate=0.005, steps=("report", "repeat"), outcome="kept once"),
    Fate(name="repeated_key", rate=0.004, steps=("report", "repeat_changed"), outcome="kept once"),
    Fate(name="when_issued", rate=0.005, screen="when_issued"),
    Fate(name="locked_in", rate=0.005, screen="locked_in"),
    Fate(name="sale_condition", rate=0.005, screen="sale_condition"),
    Fate(name="late_settlement", rate=0.006, screen="settlement"),
    Fate(name="zero_price", rate=0.003, screen="price"),
    Fate(name="high_price", rate=0.004, screen="price"),
    Fate(name="after_maturity", rate=0.0, screen="maturity"),
    Fate(name="fat_finger", rate=0.006, screen="bounce_back"),
    Fate(name="decimal_shift", rate=0.006, outcome="corrected"),
)  # fmt: skip
"""Everything that is planted; the rates are shares of all trades."""

FATE = {fate.name: place for place, fate in enumerate(FATES)}
"""Position of a fate by its name."""

PLACED = ("fat_finger", "decimal_shift")
"""Price errors that need clean neighbours, placed after everything else."""

SCREENS = ("settlement", "when_issued", "locked_in", "sale_condition", "agency", "price", "volume", "maturity",
           "bounce_back")  # fmt: skip
"""Screens in the order in which a trade meets them; the first one that it fails names the reason."""


def having(fate: NDArray[np.intp], trait: Callable[[Fate], bool]) -> NDArray[np.bool_]:
    """Trades whose fate has a trait, by their positions in `FATES`."""
    return np.array([trait(item) for item in FATES])[fate]


@dataclass(frozen=True)
class Planted:
    """Trades with what becomes of them; arrays of shape (n,) in their order.

    Parameters
    ----------
    trades : Trades
        True terms; those of trades that never were are what the last report before the end says.
    fate : ndarray of int
        Position in `FATES`.
    event : ndarray of int
        Session on which the last messages arrive.
    first_price, first_volume : ndarray
        Terms in the first report; the true ones where no fate changes them.
    screen : ndarray of str
        First of `SCREENS` that the trade rightly fails; empty if none.
    """

    trades: Trades
    fate: NDArray[np.intp]
    event: NDArray[np.intp]
    first_price: Array
    first_volume: Array
    screen: NDArray[np.str_]

    def having(self, trait: Callable[[Fate], bool]) -> NDArray[np.bool_]:
        """Trades whose fate has a trait."""
        return having(self.fate, trait)


@dataclass(frozen=True)
class Days:
    """The days on which the reports come.

    Parameters
    ----------
    sessions : ndarray of datetime64[D], shape (D,)
        Sessions of the market.
    month : ndarray of int, shape (D,)
        Month of every session, from 0.
    starts : ndarray of int, shape (T + 1,)
        First session of every month, and one past the last session.
    """

    sessions: NDArray[np.datetime64]
    month: NDArray[np.intp]
    starts: NDArray[np.intp]


def plant(trades: Trades, maturity: NDArray[np.datetime64], days: Days, rng: np.random.Generator) -> Planted:
    """Decide what becomes of every trade.

    Parameters
    ----------
    trades : Trades
        Trades as they took place.
    maturity : ndarray of datetime64[D], shape (B,)
        Maturities by bond.
    days : Days
        Sessions; messages that would arrive after the last one are not planted.
    rng : numpy.random.Generator
        Source of the fates.

    Returns
    -------
    Planted
    """
    fate = np.zeros(trades.n, np.intp)
    trades, fate = _after_maturity(trades, fate, maturity, days, rng)
    event = trades.session.copy()
    _strike(trades, fate, event, days, rng)
    _place(trades, fate, days, rng)
    # Three decimals, so that a hundredth of the price has no more than the six that a report can hold.
    mills = np.rint(trades.price * 1000) / 1000
    trades = replace(trades, price=np.where(fate == FATE["decimal_shift"], mills, trades.price))
    price, volume = _first_terms(trades, fate, rng)
    return Planted(trades, fate, event, price, volume, _screen(trades, fate))


def _after_maturity(
    trades: Trades, fate: NDArray[np.intp], maturity: NDArray[np.datetime64], days: Days, rng: np.random.Generator
) -> tuple[Trades, NDArray[np.intp]]:
    """Move every fifth trade of a bond's last quarter behind its maturity."""
    redeemed = np.searchsorted(days.sessions, maturity.astype("datetime64[D]"), side="right")[trades.bond]
    day = redeemed + rng.integers(0, 8, trades.n)
    near = trades.session >= redeemed - 63
    moved = near & (redeemed > 0) & (day < len(days.sessions)) & (rng.random(trades.n) < 0.2) & ~_bound(trades)
    trades = replace(trades, session=np.where(moved, day, trades.session))
    order = trades.order()
    return trades.take(order), np.where(moved, FATE["after_maturity"], fate)[order]


def _bound(trades: Trades) -> NDArray[np.bool_]:
    """Trades that another one goes with, whose fate it would have to share."""
    return trades.twin | trades.agent


def _strike(
    trades: Trades, fate: NDArray[np.intp], event: NDArray[np.intp], days: Days, rng: np.random.Generator
) -> None:
    """Draw the fates that need no place, and the days of their last messages."""
    drawn = [place for place, item in enumerate(FATES) if item.rate > 0 and item.name not in PLACED]
    edges = np.cumsum([FATES[place].rate for place in drawn])
    u = rng.random(trades.n)
    hit = np.array([*drawn, 0])[np.searchsorted(edges, u, side="right")]
    month = days.month[trades.session]
    later, share = month + rng.integers(1, LATEST + 1, trades.n), rng.random(trades.n)
    last = len(days.starts) - 2
    same = having(hit, lambda item: item.arrival == SAME_MONTH)
    wait = having(hit, lambda item: item.arrival == LATER_MONTH)
    first = np.where(wait, days.starts[np.minimum(later, last)], trades.session + 1)
    stop = np.where(wait, days.starts[np.minimum(later, last) + 1], days.starts[month + 1])
    newer = days.sessions[trades.session] >= REGIME_DATE
    bygone = newer & having(hit, lambda item: item.before_only)
    possible = (fate == 0) & ~_bound(trades) & ~(wait & (later > last)) & ~(same & (first >= stop)) & ~bygone
    fate[possible] = hit[possible]
    moved = possible & (same | wait)
    event[moved] = (first + np.floor(share * (stop - first)).astype(np.intp))[moved]


def _place(trades: Trades, fate: NDArray[np.intp], days: Days, rng: np.random.Generator) -> None:
    """Put price errors between clean, quiet neighbours, far from one another."""
    real = having(fate, lambda item: item.real or item.arrival == LATER_MONTH)
    clean = np.flatnonzero(real & (_screen(trades, fate) == ""))
    bond, month, price = trades.bond[clean], days.month[trades.session[clean]], trades.price[clean]
    steady = ~having(fate[clean], lambda item: item.arrival == LATER_MONTH)
    fit = (fate[clean] == 0) & ~trades.twin[clean] & (np.arange(len(clean)) % SPACING == bond % SPACING)
    for step in (*range(-NEIGHBOURS, 0), *range(1, NEIGHBOURS + 1)):
        other = np.arange(len(clean)) + step
        inside = (other >= 0) & (other < len(clean))
        other = np.where(inside, other, 0)
        same = inside & (bond[other] == bond)
        near = steady[other] & (np.abs(price[other] / price - 1) <= QUIET_MOVE)
        reach = month[other] == month if step > 0 else month[other] >= month - 1
        fit &= np.where(same, near, True)
        if abs(step) <= NEEDED:
            fit &= same & reach
    chosen = rng.permutation(clean[fit])
    wanted = [round(FATES[FATE[name]].rate * trades.n) for name in PLACED]
    most = len(chosen) // len(PLACED)
    for k, name in enumerate(PLACED):
        fate[chosen[k * most : k * most + min(wanted[k], most)]] = FATE[name]


def _screen(trades: Trades, fate: NDArray[np.intp]) -> NDArray[np.str_]:
    """First screen that each trade fails."""
    by_terms = {"agency": trades.agent & ~trades.commission, "volume": trades.volume < MINIMUM_VOLUME}
    failed = [by_terms[name] if name in by_terms else _fails(fate, name) for name in SCREENS]
    return np.select(failed, SCREENS, "")


def _fails(fate: NDArray[np.intp], screen: str) -> NDArray[np.bool_]:
    """Trades that fail a screen because of their fate."""
    return having(fate, lambda item: item.screen == screen)


def _wrong(price: Array, low: float, high: float, rng: np.random.Generator) -> Array:
    """Prices off by a share between two bounds, up or down."""
    share = (low + (high - low) * rng.random(len(price))) * rng.choice([-1.0, 1.0], len(price))
    return np.rint(price * (1 + share) * 1000) / 1000


def _fat_finger(price: Array, rng: np.random.Generator) -> Array:
    """Prices 55 to 80% away, so that `ERROR_MOVE` holds against every quiet neighbour."""
    return _wrong(price, 0.55, 0.80, rng)


def _decimal_shift(price: Array, rng: np.random.Generator) -> Array:
    """Prices over 10 or 100, or times 10 where that is no higher than `HIGHEST_PRICE`."""
    shift = rng.choice([0.1, 0.01, 10.0], len(price))
    cents = np.rint(price * 1000)
    scaled = np.select([shift == 0.01, shift == 10.0], [cents / 1e5, cents / 1e2], cents / 1e4)
    return np.where(scaled > HIGHEST_PRICE, cents / 1e4, scaled)


WRONG_PRICES: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "corrected": lambda price, rng: _wrong(price, 0.005, 0.60, rng),
    "corrected_twice": lambda price, rng: _wrong(price, 0.005, 0.60, rng),
    "corrected_three_times": lambda price, rng: _wrong(price, 0.005, 0.60, rng),
    "corrected_then_cancelled": lambda price, rng: _wrong(price, 0.005, 0.60, rng),
    # What is corrected months later passes for a clean trade until then.
    "late_correction": lambda price, rng: _wrong(price, 0.002, 0.015, rng),
    "zero_price": lambda price, rng: np.zeros(len(price)),
    "high_price": lambda price, rng: np.rint(price * rng.choice([15.0, 100.0], len(price)) * 1000 + 1e6) / 1000,
    "fat_finger": _fat_finger,
    "decimal_shift": _decimal_shift,
}
"""Price in the first report, by fate."""

WRONG_VOLUMES = ("corrected", "corrected_twice", "corrected_three_times", "corrected_then_cancelled", "late_correction")
"""Fates whose first report also has a wrong volume, every other time."""


def _first_terms(trades: Trades, fate: NDArray[np.intp], rng: np.random.Generator) -> tuple[Array, Array]:
    """Prices and volumes of the first reports."""
    price, volume = trades.price.copy(), trades.volume.copy()
    for name, wrong in WRONG_PRICES.items():
        rows = np.flatnonzero(fate == FATE[name])
        price[rows] = wrong(trades.price[rows], rng)
        if name in WRONG_VOLUMES:
            volume[rows] *= rng.choice([1.0, 2.0], len(rows))
    # A late correction changes the terms of a clean trade, not whether it is one.
    small = (fate == FATE["late_correction"]) & (trades.volume < MINIMUM_VOLUME)
    volume[small] = trades.volume[small]
    return price, volume


def kept(planted: Planted, days: Days, known: NDArray[np.intp]) -> tuple[NDArray[np.bool_], Array, Array]:
    """Clean trades as the right answer has them from the reports up to the end of a month.

    Parameters
    ----------
    planted : Planted
        Trades and fates.
    days : Days
        Sessions.
    known : ndarray of int, shape (n,)
        Month, for every trade its own, up to whose end reports are known.

    Returns
    -------
    ndarray of bool, shape (n,)
        Whether the trade counts.
    ndarray, shape (n,)
        Its clean price, mended where a decimal was shifted.
    ndarray, shape (n,)
        Its volume.
    """
    trades = planted.trades
    told = days.month[planted.event] <= known
    reported = (days.month[trades.session] <= known) & (told | ~planted.having(lambda fate: "as_of" in fate.steps))
    restated = planted.having(lambda fate: "restate" in fate.steps) & ~told
    alive = planted.having(lambda fate: fate.real or fate.arrival == LATER_MONTH)
    alive &= planted.having(lambda fate: fate.real) | ~told
    price = np.where(restated, planted.first_price, trades.price)
    return reported & alive & (planted.screen == ""), price, np.where(restated, planted.first_volume, trades.volume)
