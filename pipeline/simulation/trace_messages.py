"""Messages that tell the fates of trades, in the older and the newer reporting system.

A step (report, cancel, correct, reverse, ...) becomes one or two messages; which ones depends on the day on which they
arrive. Before `REGIME_DATE` every message has a number of its own: C and W point to the number that they cancel or
replace, of the same day; on later days a reversal (as-of R) repeats the terms without pointing anywhere, and an as-of
report (A) brings new ones. From then on X and C repeat the number and the terms of what they take back, on whatever
day, R brings the corrected terms, Y on a later day points to the number and the day of what it reverses. Source:
Dick-Nielsen (2009, 2014).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.bond_trading import DAY, DEALER
from pipeline.simulation.trace_errors import FATES, LATER_MONTH, REGIME_DATE, Days, Planted

SLOTS = 8
"""Message numbers that one leg can take, at most."""

NOWHERE, UNKNOWN = -1, -2
"""In place of a slot: points nowhere; points to a number that no message has."""

LOST = 9_000_000
"""Numbers from here on belong to no message."""

MORNING, EVENING = 8 * 3600, 18 * 3600
"""Seconds of the day between which late messages arrive."""


@dataclass(frozen=True)
class Legs:
    """Reports that trades would have if nothing happened: two for a trade between dealers; arrays of shape (l,).

    Parameters
    ----------
    trade : ndarray of int
        Position of the trade.
    buyer : ndarray of bool
        Second leg of a trade between dealers, reported by the buyer.
    second : ndarray of int
        Second of the day at which this dealer says the trade took place.
    """

    trade: NDArray[np.intp]
    buyer: NDArray[np.bool_]
    second: NDArray[np.intp]


@dataclass(frozen=True)
class Messages:
    """Rows of the file, in the order of trades, legs and steps; arrays of shape (m,).

    Parameters
    ----------
    leg : ndarray of int
        Position in `Legs`.
    version : ndarray of int
        Which of the leg's terms are shown: 0 the first ones; see `versions`.
    status, as_of : ndarray of str
        Codes of the message; empty where there is none.
    session, second : ndarray of int
        When it arrives.
    number, refers : ndarray of int
        Message number, and the number pointed to; 0 where there is none.
    prior : ndarray of int
        Session of the report that is reversed; -1 where there is none.
    changed : ndarray of bool
        A repetition of the key with another yield.
    """

    leg: NDArray[np.intp]
    version: NDArray[np.intp]
    status: NDArray[np.str_]
    as_of: NDArray[np.str_]
    session: NDArray[np.intp]
    second: NDArray[np.intp]
    number: NDArray[np.intp]
    refers: NDArray[np.intp]
    prior: NDArray[np.intp]
    changed: NDArray[np.bool_]


@dataclass
class _Story:
    """One fate's legs on their way through its steps: where they stand, and what has been told of them."""

    leg: NDArray[np.intp]
    trade: NDArray[np.intp]
    traded: NDArray[np.intp]
    event: NDArray[np.intp]
    second: NDArray[np.intp]
    is_newer: NDArray[np.bool_]
    rng: np.random.Generator
    late: bool
    session: NDArray[np.intp] = field(init=False)
    slot: int = UNKNOWN
    version: int = 0
    step: int = 0
    rows: list[dict[str, NDArray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = self.traded

    @property
    def newer(self) -> NDArray[np.bool_]:
        """Legs whose next messages arrive in the newer system."""
        return self.is_newer[self.session]

    def tell(
        self, status: str, rows: NDArray[np.bool_] | None = None, *, as_of: str = "", slot: int | None = None,
        own: bool = True, refers: int = NOWHERE, version: int | None = None, prior: bool = False, changed: bool = False,
    ) -> None:  # fmt: skip
        """Write one message of some of the legs; without a slot it has the step's own number."""
        rows = np.ones(len(self.leg), bool) if rows is None else rows
        n = int(rows.sum())
        self.rows.append(
            {
                "leg": self.leg[rows],
                "version": np.full(n, self.version if version is None else version),
                "status": np.full(n, status, dtype="U1"),
                "as_of": np.full(n, as_of, dtype="U1"),
                "session": self.session[rows],
                "second": self.second[rows],
                "slot": np.full(n, self.step if slot is None else slot),
                "own": np.full(n, own),
                "refers": np.full(n, refers),
                "prior": self.traded[rows] if prior else np.full(n, -1),
                "changed": np.full(n, changed),
            }
        )

    def wait(self) -> None:
        """Go on a few minutes later."""
        self.second = self.second + self.rng.integers(60, 1800, len(self.leg))

    def sleep(self) -> None:
        """Go on on the day of the event."""
        self.session = self.event
        self.second = self.rng.integers(MORNING, EVENING, len(self.leg))


def _report(story: _Story) -> None:
    story.tell("T")
    story.slot = story.step


def _as_of(story: _Story) -> None:
    story.sleep()
    story.tell("T", as_of="A")
    story.slot = story.step


def _stray(story: _Story) -> None:
    """Delayed reversals and delayed disseminations, of which nothing else is in the file."""
    delayed = story.trade % 2 == 0
    story.tell("T", delayed, as_of="X")
    story.tell("T", ~delayed, as_of="D")


def _cancel(story: _Story) -> None:
    story.wait()
    newer = story.newer
    story.tell("C", ~newer, refers=story.slot)
    story.tell("X", newer, slot=story.slot, own=False)


def _correct(story: _Story) -> None:
    story.wait()
    newer = story.newer
    story.tell("W", ~newer, refers=story.slot, version=story.version + 1)
    story.tell("C", newer, slot=story.slot, own=False)
    story.tell("R", newer, refers=story.slot, version=story.version + 1)
    story.slot, story.version = story.step, story.version + 1


def _reverse(story: _Story) -> None:
    """Soon after the trade, the newer system may also take it back by X."""
    story.sleep()
    newer = story.newer
    repeatable = story.slot != UNKNOWN and not story.late
    again = newer & repeatable & (story.trade % 2 == 0)
    story.tell("T", ~newer, as_of="R")
    story.tell("X", again, slot=story.slot, own=False)
    story.tell("Y", newer & ~again, as_of="R", refers=story.slot, prior=True)


def _restate(story: _Story) -> None:
    story.sleep()
    newer = story.newer
    story.tell("T", ~newer, as_of="R")
    story.tell("C", newer, slot=story.slot, own=False, prior=True)
    story.step += 1
    story.tell("T", ~newer, as_of="A", version=story.version + 1)
    story.tell("R", newer, as_of="A", refers=story.slot, version=story.version + 1)


def _repeat(story: _Story) -> None:
    story.tell("T", slot=story.slot, own=False)


def _repeat_changed(story: _Story) -> None:
    story.tell("T", slot=story.slot, own=False, changed=True)


STEPS: dict[str, Callable[[_Story], None]] = {
    "report": _report,
    "as_of": _as_of,
    "stray": _stray,
    "cancel": _cancel,
    "correct": _correct,
    "reverse": _reverse,
    "restate": _restate,
    "repeat": _repeat,
    "repeat_changed": _repeat_changed,
}
"""Messages of every step."""


def versions() -> NDArray[np.intp]:
    """Corrections by fate, in the order of `FATES`: the number of the last version of its terms, the true one."""
    return np.array([sum(step in ("correct", "restate") for step in fate.steps) for fate in FATES])


def legs(planted: Planted, rng: np.random.Generator) -> Legs:
    """List who reports what.

    Parameters
    ----------
    planted : Planted
        Trades and fates.
    rng : numpy.random.Generator
        Source of the seconds by which two dealers differ, which they do three times in ten.

    Returns
    -------
    Legs
        In the order of trades, the seller's leg first.
    """
    trades = planted.trades
    pairs = np.flatnonzero(trades.kind == DEALER)
    apart = np.where(rng.random(len(pairs)) < 0.3, rng.integers(1, 60, len(pairs)), 0)
    trade = np.concatenate([np.arange(trades.n), pairs])
    buyer = np.repeat([False, True], [trades.n, len(pairs)])
    second = np.concatenate([trades.second, trades.second[pairs] + apart])
    order = np.lexsort((buyer, trade))
    return Legs(trade[order], buyer[order], second[order])


def messages(planted: Planted, reported: Legs, days: Days, rng: np.random.Generator, before: int = 0) -> Messages:
    """Write the messages of all legs.

    Parameters
    ----------
    planted : Planted
        Trades and fates.
    reported : Legs
        Their legs.
    days : Days
        Sessions.
    rng : numpy.random.Generator
        Source of the times at which messages arrive.
    before : int
        Numbers of every day that other messages have taken.

    Returns
    -------
    Messages
        Numbers count the messages of a day from `before` + 1 in the order of their arrival.
    """
    trades = planted.trades
    fate = planted.fate[reported.trade]
    arrives = reported.second + rng.integers(1, 900, len(reported.trade))
    is_newer = days.sessions >= REGIME_DATE
    rows: list[dict[str, NDArray]] = []
    for place, item in enumerate(FATES):
        leg = np.flatnonzero(fate == place)
        trade = reported.trade[leg]
        story = _Story(
            leg=leg, trade=trade, traded=trades.session[trade], event=planted.event[trade], second=arrives[leg],
            is_newer=is_newer, rng=rng, late=item.arrival == LATER_MONTH,
        )  # fmt: skip
        for step in item.steps:
            STEPS[step](story)
            story.step += 1
        rows += story.rows
    told = {name: np.concatenate([block[name] for block in rows]) for name in rows[0]}
    # Each leg has one fate, whose messages were written in their order.
    order = np.argsort(told["leg"], kind="stable")
    return _numbered({name: values[order] for name, values in told.items()}, len(reported.trade), before)


def _numbered(told: dict[str, NDArray], n_legs: int, before: int) -> Messages:
    """Count the messages of each day, and let the others repeat or point to the numbers."""
    key = told["leg"] * SLOTS + np.maximum(told["slot"], 0)
    own = np.flatnonzero(told["own"])
    moment = told["session"][own] * DAY + told["second"][own]
    # One integer a message, no two alike: much faster to sort than several columns.
    order = own[np.argsort(moment * (n_legs * SLOTS) + key[own])]
    session = told["session"][order]
    table = np.zeros(n_legs * SLOTS, np.intp)
    table[key[order]] = before + 1 + np.arange(len(order)) - np.searchsorted(session, session)
    target = told["refers"]
    refers = table[told["leg"] * SLOTS + np.maximum(target, 0)]
    refers = np.select([target == NOWHERE, target == UNKNOWN], [0, LOST + told["leg"] % 900_000], refers)
    return Messages(
        leg=told["leg"], version=told["version"], status=told["status"], as_of=told["as_of"], session=told["session"],
        second=told["second"], number=table[key], refers=refers, prior=told["prior"], changed=told["changed"],
    )  # fmt: skip
