"""CCM's link history between CRSP securities and Compustat companies, with the links that must not be used.

Every listed firm's first class is linked from its first to its last day. Around these stand links of other types and
marks, links that overlap, that closed and came back, and companies whose primary security changed.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.firms import Firms
from pipeline.simulation.listings import FIRST_GVKEY, Listings, gvkey
from pipeline.simulation.roles import SECOND_CLASS

OPEN = None
REFUSED_TYPES = ("LS", "LN", "LD", "LX")
CLOSED_SESSIONS = 190
"""Trading days between the end of a link and the beginning of the one that follows it."""

Link = dict[str, Any]


@dataclass(frozen=True)
class Links:
    """Link history.

    Parameters
    ----------
    rows : list of dict
        gvkey, linkprim, linktype, lpermno, lpermco, linkdt, linkenddt (None while it lasts).
    used : list of bool
        Whether the row says whose accounts belong to the security.
    """

    rows: list[Link]
    used: list[bool]

    def held(self, clock: Clock, listings: Listings) -> NDArray[np.intp]:
        """Firm to which each security is linked at the end of each month, -1 where there is none; shape (T, S)."""
        position = {permno: s for s, permno in enumerate(listings.permno.tolist())}
        held = np.full((clock.n, listings.n), -1)
        for row, used in zip(self.rows, self.used, strict=True):
            if used:
                end = np.datetime64(row["linkenddt"] or date.max, "D")
                inside = (clock.month_ends >= np.datetime64(row["linkdt"], "D")) & (clock.month_ends <= end)
                held[inside, position[row["lpermno"]]] = int(row["gvkey"]) - FIRST_GVKEY
        return held


def simulate_links(clock: Clock, firms: Firms, listings: Listings) -> Links:
    """Link the securities to their companies.

    Parameters
    ----------
    clock : Clock
        Sessions.
    firms : Firms
        Private companies have rows without a security.
    listings : Listings
        Securities.

    Returns
    -------
    Links
    """
    days = clock.sessions
    second_of = {int(listings.firm[s]): s for s in np.flatnonzero(listings.second).tolist()}
    links: list[tuple[Link, bool]] = []
    for s in np.flatnonzero(~listings.second).tolist():
        firm = int(listings.firm[s])
        second = second_of.get(firm)
        if listings.roles[s].name == "fund":
            continue
        if second is not None and listings.roles[second] is SECOND_CLASS and firm % 2:
            links += _switched(clock, listings, s, second)
            continue
        if second is not None:
            until = OPEN if listings.active[second] else days[listings.delisted[second]].item()
            links.append((_link(listings, second, firm, days[listings.first[second]].item(), until, prim="J"), False))
        links += _usual(clock, len(firms.names), listings, s)
    links += [(_without_security(clock, firm), False) for firm in np.flatnonzero(firms.private).tolist()]
    return Links([row for row, _ in links], [used for _, used in links])


def _link(
    listings: Listings, s: int, firm: int, start: date, end: date | None, kind: str = "LC", prim: str = "P"
) -> Link:
    return {
        "gvkey": gvkey(firm), "linkprim": prim, "linktype": kind, "lpermno": int(listings.permno[s]),
        "lpermco": int(listings.permco[s]), "linkdt": start, "linkenddt": end,
    }  # fmt: skip


def _usual(clock: Clock, n_firms: int, listings: Listings, s: int) -> list[tuple[Link, bool]]:
    """Links of a security that is its company's primary one for good, with the traps of some."""
    firm, begin, stop = int(listings.firm[s]), int(listings.first[s]), int(listings.delisted[s])
    first, middle = clock.sessions[begin].item(), clock.sessions[(begin + stop) // 2].item()
    end = OPEN if listings.active[s] else clock.sessions[stop].item()
    kind, prim = ("LU", "C") if firm % 9 == 4 else ("LC", "P")
    if firm % 13 == 6 and listings.active[s]:
        again = clock.sessions[(begin + stop) // 2 + CLOSED_SESSIONS].item()
        return [
            (_link(listings, s, firm, first, middle, kind, prim), True),
            (_link(listings, s, firm, again, end, kind, prim), True),
        ]
    links = [(_link(listings, s, firm, first, end, kind, prim), True)]
    if firm % 11 == 3:
        # The same company again, on other grounds, from the middle on.
        links.append((_link(listings, s, firm, middle, end, "LU", "C"), True))
    if firm % 7 == 5:
        # Another company's accounts, by a link that is no link or not a primary one.
        other = (firm + 7) % n_firms
        links.append((_link(listings, s, other, first, end, REFUSED_TYPES[firm % len(REFUSED_TYPES)]), False))
        links.append((_link(listings, s, other, middle, end, prim="N"), False))
    return links


def _switched(clock: Clock, listings: Listings, first_class: int, second_class: int) -> list[tuple[Link, bool]]:
    """Links of a company whose primary security changes from the first class to the second."""
    days, firm = clock.sessions, int(listings.firm[first_class])
    turn = len(days) * 3 // 5
    start, before, after = days[0].item(), days[turn - 1].item(), days[turn].item()
    return [
        (_link(listings, first_class, firm, start, before), True),
        (_link(listings, first_class, firm, after, OPEN, prim="J"), False),
        (_link(listings, second_class, firm, start, before, prim="J"), False),
        (_link(listings, second_class, firm, after, OPEN), True),
    ]


def _without_security(clock: Clock, firm: int) -> Link:
    """Row of a private company."""
    return {
        "gvkey": gvkey(firm), "linkprim": "C", "linktype": "NR", "lpermno": None, "lpermco": None,
        "linkdt": clock.sessions[0].item(), "linkenddt": OPEN,
    }  # fmt: skip
