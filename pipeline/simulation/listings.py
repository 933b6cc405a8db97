"""Securities of the economy's listed firms: identifiers, first and last trading days, delistings.

A listed firm has one permco and one security, a few have two share classes. What the securities return is in `shares`,
what they are called and where they trade from day to day in `stock_names`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.firms import Firms
from pipeline.simulation.paths import Array, stream
from pipeline.simulation.roles import (
    CLOSED_CLASS,
    DEFAULTED,
    DEFAULTED_WITHOUT_DLRET,
    EVERYDAY,
    MERGER_CODES,
    NEW_CLASS,
    PLAIN,
    SCRIPTED,
    SECOND_CLASS,
    Role,
)
from pipeline.simulation.sizes import MarketSize

ACTIVE = 100
"""CRSP's delisting code of a security that still trades."""

CLASS_SHARE = 0.05
"""Share of the plain firms that have a second class of shares, eight of them at least."""

SECOND_CLASSES = (SECOND_CLASS, NEW_CLASS, CLOSED_CLASS, SECOND_CLASS)

FIRST_PERMNO, FIRST_CLASS_PERMNO, FIRST_PERMCO, FIRST_GVKEY = 10_001, 80_001, 20_001, 1_001


@dataclass(frozen=True)
class Listings:
    """Securities, one entry each: those of one class first, in the order of the firms; arrays of shape (S,).

    Parameters
    ----------
    roles : list of Role
        What is special about each security.
    permno, permco, firm : ndarray of int
        Identifiers; `firm` is the position among `Firms`.
    second : ndarray of bool
        Second share classes.
    weight : ndarray
        Share of the firm's equity that a second class is while it is listed; 0 for first classes, which are the rest.
    exchange : ndarray of int
        CRSP exchange code at the start of the listing.
    first, last : ndarray of int
        First and last session with trading, as positions among the clock's sessions.
    delisted : ndarray of int
        Session of the delisting; the last session of the clock where the security is active.
    dlstcd : ndarray of int
        Delisting code, 100 where active.
    dlret : ndarray
        Delisting return, decimals; NaN where active or missing.
    """

    roles: list[Role]
    permno: NDArray[np.intp]
    permco: NDArray[np.intp]
    firm: NDArray[np.intp]
    second: NDArray[np.bool_]
    weight: Array
    exchange: NDArray[np.intp]
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    delisted: NDArray[np.intp]
    dlstcd: NDArray[np.intp]
    dlret: Array

    @property
    def n(self) -> int:
        """Number of securities, S."""
        return len(self.permno)

    @property
    def active(self) -> NDArray[np.bool_]:
        """Securities that trade at the end of the market; shape (S,)."""
        return self.dlstcd == ACTIVE

    def plays(self, *names: str) -> NDArray[np.intp]:
        """Positions of the securities whose role is one of those named."""
        return np.array([s for s, role in enumerate(self.roles) if role.name in names], dtype=np.intp)


def gvkey(firm: int) -> str:
    """Compustat's key of a firm, six characters."""
    return f"{FIRST_GVKEY + firm:06d}"


def simulate_listings(clock: Clock, firms: Firms, size: MarketSize, seed: int) -> Listings:
    """Draw which securities are listed when.

    Parameters
    ----------
    clock : Clock
        Months and sessions of the market.
    firms : Firms
        Who is private, and who defaults.
    size : MarketSize
        Number of issuers; they stay listed unless they default.
    seed : int
        Seed of the market.

    Returns
    -------
    Listings
    """
    rng = stream(seed, "listings")
    firm = np.flatnonzero(~firms.private)
    roles = _roles(firm, firms, size, rng)
    classed = _firms_with_two_classes(firm, roles)
    roles += [SECOND_CLASSES[i % len(SECOND_CLASSES)] for i in range(len(classed))]
    n = len(roles)
    second = np.arange(n) >= len(firm)
    usual = rng.choice([1, 2, 3], size=len(firms.names), p=[0.5, 0.1, 0.4])
    owner = np.concatenate([firm, classed])
    spans = np.array([_span(s, role, owner[s], clock, firms, rng) for s, role in enumerate(roles)]).T
    given = np.array([role.dlret is not None and bool(role.codes) for role in roles])
    bounds = np.array([role.dlret or (0.0, 0.0) for role in roles])
    drawn = np.round(bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * rng.random(n), 6)
    return Listings(
        roles=roles,
        permno=np.where(second, FIRST_CLASS_PERMNO + np.arange(n) - len(firm), FIRST_PERMNO + owner),
        permco=FIRST_PERMCO + owner,
        firm=owner,
        second=second,
        weight=np.where(second, np.round(0.15 + 0.3 * rng.random(n), 2), 0.0),
        exchange=np.array([role.exchcd or usual[f] for role, f in zip(roles, owner.tolist(), strict=True)]),
        first=spans[0],
        last=spans[1],
        delisted=spans[2],
        dlstcd=np.array([role.codes[s % len(role.codes)] if role.codes else ACTIVE for s, role in enumerate(roles)]),
        dlret=np.where(given, drawn, np.nan),
    )


def _roles(firm: NDArray[np.intp], firms: Firms, size: MarketSize, rng: np.random.Generator) -> list[Role]:
    """Roles of the first classes: issuers stay or default, then every scripted role twice, then everyday ones."""
    names, shares = [role for role, _ in EVERYDAY], np.array([share for _, share in EVERYDAY])
    everyday = rng.choice(len(names), size=len(firms.names), p=shares / shares.sum())
    defaulted: NDArray[np.bool_] = np.any(firms.defaulted, axis=0)
    scripted = _scripted(firm[firm >= size.issuers], firms)
    roles = []
    for f in firm.tolist():
        if f >= size.issuers:
            roles.append(scripted.get(f, names[everyday[f]]))
        elif defaulted[f]:
            roles.append(DEFAULTED_WITHOUT_DLRET if f % 3 == 2 else DEFAULTED)
        else:
            roles.append(PLAIN)
    return roles


def _scripted(firm: NDArray[np.intp], firms: Firms) -> dict[int, Role]:
    """Firms that play the scripted roles, each twice; the smallest ones fail, so that no failure is the market's."""
    roles = sorted([*SCRIPTED, *SCRIPTED], key=lambda role: not role.codes or role.codes == MERGER_CODES)
    chosen = firm[: len(roles)]
    by_size = chosen[np.argsort(firms.marketcap[0, chosen], kind="stable")]
    return dict(zip(by_size.tolist(), roles, strict=False))


def _firms_with_two_classes(firm: NDArray[np.intp], roles: list[Role]) -> NDArray[np.intp]:
    """Firms that have a second class: an even choice among the plain ones."""
    plain = firm[np.array([role is PLAIN for role in roles])]
    wanted = min(max(8, round(CLASS_SHARE * len(plain))), len(plain))
    return plain[np.linspace(0, len(plain), wanted, endpoint=False).astype(np.intp)]


def _span(s: int, role: Role, firm: int, clock: Clock, firms: Firms, rng: np.random.Generator) -> tuple[int, int, int]:
    """First and last session with trading and the session of the delisting."""
    end = len(clock.sessions) - 1
    # Draws don't depend on the role, so that a change of one role leaves the other securities as they were.
    enter, leave, entry_day, exit_day = rng.random(4)
    first, last, gone = 0, end, end
    if role.enters:
        first = _session(clock, int(clock.n * (0.2 + 0.35 * enter)), entry_day)
    if role.codes:
        month = int(clock.n * 0.4 + (clock.n * 0.6 - 4) * leave)
        if role.name.startswith("defaulted"):
            month = max(int(np.argmax(firms.defaulted[:, firm])), 2)
        last = gone = _session(clock, month, exit_day)
        if role.row == "none":
            last = int(clock.starts[month]) - 1
        elif s % 4 == 3:
            last = gone = int(clock.starts[month + 1]) - 1
    return first, last, gone


def _session(clock: Clock, month: int, place: float) -> int:
    """Choose a session inside a month, none of its first or last four."""
    start, stop = int(clock.starts[month]) + 4, int(clock.starts[month + 1]) - 4
    return start + int(place * (stop - start))
