"""Names of the securities through time: ticker, company name, CUSIP, share and exchange code, industry, in spells.

A spell lasts from its first day to the day before the next one's; the last one ends with the delisting or the data.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.firms import Firms
from pipeline.simulation.identifiers import SECTORS
from pipeline.simulation.listings import Listings
from pipeline.simulation.paths import stream
from pipeline.simulation.roles import Role

HALTED, OVER_THE_COUNTER = -2, 20
"""Exchange codes of a halted security and of one that left for another market."""

HALT_MONTHS = 2

NEW_NAMES = (13, 11)
"""Of every so many firms, the one at this place goes on under a new name if it is plain and has one class of shares;
firms with bonds are among them."""

SIC: dict[str, tuple[int, ...]] = {
    "Energy": (1311, 2911), "Banking": (6022, 6035), "Healthcare": (2834, 8062), "Utility": (4911, 4923),
    "Technology & Electronics": (3674, 7372), "Basic Industry": (2821, 3312), "Consumer Goods": (2086, 2844),
    "Capital Goods": (3559, 3531), "Telecommunications": (4813, 4812), "Insurance": (6331, 6311),
    "Media": (2711, 4833), "Retail": (5311, 5411), "Transportation": (4213, 4512), "Financial Services": (6211, 6282),
    "Automotive": (3711, 3714), "Leisure": (7990, 7011), "Real Estate": (6512, 6552), "Services": (7389, 8711),
}  # fmt: skip
"""SIC codes of a sector's firms."""

Spell = dict[str, int | str]


@dataclass(frozen=True)
class StockNames:
    """Name spells, one entry each, in the order of securities and time.

    Parameters
    ----------
    security : ndarray of int, shape (N,)
        Position among the securities.
    start, stop : ndarray of int, shape (N,)
        First session of the spell, and of the one after it (one past the delisting where it is the last).
    codes : dict of str to ndarray of int, shape (N,)
        shrcd, exchcd, siccd.
    texts : dict of str to list of str
        ticker, comnam, ncusip (eight characters).
    at_month_end : dict of str to ndarray of int, shape (T, S)
        The codes in force at the end of the month; after the delisting those of the last spell, before the listing
        those of the first.
    """

    security: NDArray[np.intp]
    start: NDArray[np.intp]
    stop: NDArray[np.intp]
    codes: dict[str, NDArray[np.intp]]
    texts: dict[str, list[str]]
    at_month_end: dict[str, NDArray[np.intp]]


def halt_months(clock: Clock, listings: Listings, security: int) -> range:
    """Months in which a security of the role `halted` can't trade."""
    middle = clock.n // 3 + (security * 5) % (clock.n // 2)
    return range(middle, middle + HALT_MONTHS)


def move_month(clock: Clock, security: int) -> int:
    """Month in which a security of the roles `moved`, `renamed` or `reshared` changes its codes."""
    return clock.n // 4 + (security * 11) % (clock.n // 2)


def simulate_names(clock: Clock, firms: Firms, listings: Listings, seed: int) -> StockNames:
    """Write the names of every security.

    Parameters
    ----------
    clock : Clock
        Months and sessions.
    firms : Firms
        Names, CUSIP codes and sectors.
    listings : Listings
        Securities.
    seed : int
        Seed of the market.

    Returns
    -------
    StockNames
    """
    rng = stream(seed, "stock names")
    security, start, stop, spells = [], [], [], []
    for s, role in enumerate(listings.roles):
        place = rng.random()
        current = _first_name(s, firms, listings)
        events: list[tuple[int, Spell]] = [(int(listings.first[s]), current)]
        for session, change in _changes(s, role, current, clock, listings, place):
            current = current | change
            events.append((session, current))
        ends = [session for session, _ in events[1:]] + [int(listings.delisted[s]) + 1]
        for (session, spell), end in zip(events, ends, strict=True):
            security.append(s)
            start.append(session)
            stop.append(end)
            spells.append(spell)
    codes = {name: np.array([spell[name] for spell in spells], dtype=np.intp) for name in ("shrcd", "exchcd", "siccd")}
    texts = {name: [str(spell[name]) for spell in spells] for name in ("ticker", "comnam", "ncusip")}
    at_end = {name: _at_month_end(values, security, start, clock, listings.n) for name, values in codes.items()}
    return StockNames(np.array(security), np.array(start), np.array(stop), codes, texts, at_end)


def _first_name(s: int, firms: Firms, listings: Listings) -> Spell:
    """Name a security as it is called when it is listed."""
    firm, second = int(listings.firm[s]), bool(listings.second[s])
    name = firms.names[firm].upper()
    choices = SIC[SECTORS[firms.sector[firm]][1]]
    return {
        "shrcd": listings.roles[s].shrcd, "exchcd": int(listings.exchange[s]),
        "siccd": choices[firm % len(choices)] + firm % 4 // 3,
        "ticker": _ticker(firm) + ("B" if second else ""), "comnam": name + (" CL B" if second else ""),
        "ncusip": firms.codes[firm] + ("20" if second else "10"),
    }  # fmt: skip


def _ticker(firm: int) -> str:
    """Three letters that number the firms."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[firm // 676 % 26] + letters[firm // 26 % 26] + letters[firm % 26]


def _changes(
    s: int, role: Role, name: Spell, clock: Clock, listings: Listings, place: float
) -> list[tuple[int, Spell]]:
    """Sessions at which a security's name changes and what changes."""
    month_starts = clock.starts[:-1]
    month = int(clock.month_of_session[listings.delisted[s]])
    # In the delisting month, before the last trading day, or on the day of the delisting where nothing trades then.
    late = min(max(int(month_starts[month]) + 2, int(listings.first[s]) + 1), int(listings.delisted[s]))
    change = move_month(clock, s)
    early = int(month_starts[change]) + 5
    back = int(month_starts[min(change + 18, clock.n - 2)]) + 3
    halt = halt_months(clock, listings, s)
    new = {"comnam": f"NEW {name['comnam']}", "ticker": f"{name['ticker']}N", "ncusip": f"{str(name['ncusip'])[:6]}30"}
    changes: dict[str, list[tuple[int, Spell]]] = {
        "": [],
        "renamed": [(early, {**new, "siccd": 9999 if s % 2 else 3990})],
        "moved": [(early, {"exchcd": 1})],
        "reshared": [(early, {"shrcd": 12}), (back, {"shrcd": 10})],
        "flag_share": [(late, {"shrcd": 73})],
        "flag_exchange": [(late, {"exchcd": OVER_THE_COUNTER})],
        "halted": [
            (int(month_starts[halt.start]), {"exchcd": HALTED}),
            (int(month_starts[halt.stop]), {"exchcd": name["exchcd"]}),
        ],
    }
    if role.name != "plain":
        return changes[role.change]
    spell: Spell = {"siccd": int(name["siccd"]) + 1, "shrcd": 10} if place < 0.25 else {}
    if _renamed(int(listings.firm[s]), listings):
        spell |= {"comnam": new["comnam"], "ticker": new["ticker"]}
    return [(early, spell)] if spell else []


def _renamed(firm: int, listings: Listings) -> bool:
    """Whether a plain firm takes a new name."""
    every, place = NEW_NAMES
    return firm % every == place and firm not in listings.firm[listings.second]


def _at_month_end(
    values: NDArray[np.intp], security: list[int], start: list[int], clock: Clock, n: int
) -> NDArray[np.intp]:
    """Month-end values of one code; spells are in the order of time within each security."""
    table = np.empty((clock.n, n), dtype=np.intp)
    for previous, (s, begin, value) in enumerate(zip(security, start, values.tolist(), strict=True), start=-1):
        new = previous < 0 or security[previous] != s
        table[0 if new else clock.month_of_session[begin] :, s] = value
    return table


def spell_days(clock: Clock, names: StockNames, listings: Listings) -> tuple[NDArray, NDArray]:
    """First and last calendar day of every spell.

    Parameters
    ----------
    clock : Clock
        Sessions.
    names : StockNames
        Spells.
    listings : Listings
        Delisting days.

    Returns
    -------
    first, last : ndarray of datetime64[D], shape (N,)
        A spell ends the calendar day before the next one begins, or on the day of the delisting or of the last data.
    """
    first = clock.sessions[names.start]
    final = clock.sessions[listings.delisted[names.security]]
    followed = np.array([a == b for a, b in pairwise(names.security.tolist())] + [False])
    return first, np.where(followed, np.concatenate([first[1:], final[-1:]]) - 1, final)
