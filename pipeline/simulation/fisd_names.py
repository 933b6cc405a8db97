"""Names of issuers as prospectuses spell them, and whether a name leads to the issuer's stock.

The stock's name is CRSP's on the day of issue. A prospectus shows it in a spelling of its own, or the name of a
subsidiary; issuers without a stock have a name that nobody else has, and twins one that could be the other's. Every
spelling is one row of a registry that says whether a reader who ignores legal forms, punctuation and articles, and who
forgives one letter in ten, can see through it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.bond_terms import BondTerms
from pipeline.simulation.economy import Economy
from pipeline.simulation.identifiers import twins
from pipeline.simulation.paths import stream
from pipeline.simulation.stock_names import spell_days

KINDS = ("same", "abbreviated", "subsidiary", "private", "renamed", "ambiguous")

LEGAL_FORMS = {"INC": "INCORPORATED", "CORP": "CORPORATION", "& COMPANY": "AND CO", "HOLDINGS": "HLDGS"}
"""Ends of names that say nothing about who it is, and another spelling of each."""

LONG_ENOUGH = 12
"""Letters of a name without its form from which one letter more leaves it nine tenths alike."""

CUT = 5
"""Letters that are left of a name cut short."""


def stem(name: str) -> str:
    """Return a name without its legal form.

    Parameters
    ----------
    name : str
        Upper case.

    Returns
    -------
    str
    """
    return re.sub(rf" ({'|'.join(LEGAL_FORMS)})$", "", name)


def _punctuated(name: str) -> str:
    return f"{name}." if name.endswith((" INC", " CORP")) else name.replace(" ", "  ", 1)


def _other_form(name: str) -> str:
    for form, other in LEGAL_FORMS.items():
        if name.endswith(f" {form}"):
            return f"{stem(name)} {other}"
    return f"{name}, INC."


def _misprint(name: str) -> str:
    if len(stem(name)) < LONG_ENOUGH:
        return _other_form(name)
    return name[:4] + name[3:]


def _cut(name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"{first[:CUT]} {rest}"


def _partnership(name: str) -> str:
    return f"{re.sub(r' (INC|CORP)$', '', name)} LP"


@dataclass(frozen=True)
class Spelling:
    """One way to write an issuer's name.

    Parameters
    ----------
    name : str
        Key.
    kind : str
        One of `KINDS`.
    share : float
        How often it occurs among the bonds of an issuer with a stock and one name.
    visible : bool
        Whether a reader can see whose name it is.
    write : callable
        From CRSP's name to the prospectus's.
    finance : bool
        Whether the issuer is a finance company, whatever its parent is.
    """

    name: str
    kind: str
    share: float
    visible: bool
    write: Callable[[str], str]
    finance: bool = False


SPELLINGS = (
    Spelling("as_is", "same", 0.40, True, lambda name: name),
    Spelling("punctuated", "same", 0.18, True, _punctuated),
    Spelling("other_form", "abbreviated", 0.10, True, _other_form),
    Spelling("article", "abbreviated", 0.04, True, lambda name: f"THE {name}"),
    Spelling("state", "abbreviated", 0.04, True, lambda name: f"{name} /DE/"),
    Spelling("misprint", "abbreviated", 0.04, True, _misprint),
    Spelling("cut", "abbreviated", 0.04, False, _cut),
    Spelling("partnership", "subsidiary", 0.06, True, _partnership),
    Spelling("finance", "subsidiary", 0.04, False, lambda name: f"{stem(name)} FINANCE CO", finance=True),
    Spelling("capital", "subsidiary", 0.03, False, lambda name: f"{stem(name)} CAPITAL LLC", finance=True),
    Spelling("funding", "subsidiary", 0.03, False, lambda name: f"{stem(name)} FUNDING CORP", finance=True),
)
"""Spellings of the names of issuers that have a stock, one name and no twin."""

_SHARES = np.array([spelling.share for spelling in SPELLINGS])
_FIRST_ISSUER_ID = 20_000


@dataclass(frozen=True)
class IssuerNames:
    """Names on prospectuses, one entry an issue in the order of `BondTerms`.

    Parameters
    ----------
    prospectus : list of str
        Name of the issuer.
    issuer_id : ndarray of int, shape (N,)
        FISD's key of the issuer; a subsidiary has one of its own.
    kind : list of str
        One of `KINDS`; an issuer whose stock has left before is private.
    spelling : list of str
        Name of the spelling; `stock` where it is CRSP's name on the day, or would be, `delisted` where it was; or how
        it comes to be ambiguous.
    matchable : ndarray of bool, shape (N,)
        Whether the name leads to the issuer's stock and to no other.
    finance : ndarray of bool, shape (N,)
        Issued by a finance subsidiary.
    """

    prospectus: list[str]
    issuer_id: NDArray[np.intp]
    kind: list[str]
    spelling: list[str]
    matchable: NDArray[np.bool_]
    finance: NDArray[np.bool_]


@dataclass(frozen=True)
class _StockNames:
    """CRSP's names of a firm's first class: first and last day and name of every spell."""

    first: np.ndarray
    last: np.ndarray
    names: list[str]

    def on(self, day: np.datetime64) -> str:
        """Name in force on a day; before the listing the first one, after it the last one."""
        return self.names[max(int(np.searchsorted(self.first, day, side="right")) - 1, 0)]

    def known_on(self, day: np.datetime64) -> bool:
        """Whether the stock is listed on a day, or afterwards."""
        return day <= self.last[-1]


def issuer_names(economy: Economy, terms: BondTerms) -> IssuerNames:
    """Name the issuer of every issue.

    Parameters
    ----------
    economy : Economy
        Firms and their stocks' names.
    terms : BondTerms
        Issues.

    Returns
    -------
    IssuerNames
    """
    rng = stream(economy.seed, "issuer names")
    firms, n = economy.firms, terms.n
    stocks = _stock_names(economy)
    drawn = rng.choice(len(SPELLINGS), size=n, p=_SHARES / _SHARES.sum())
    # A firm has one subsidiary at most, and that one has one name.
    own = [i for i, spelling in enumerate(SPELLINGS) if spelling.kind == "subsidiary"]
    subsidiary = rng.choice(own, size=len(firms.names), p=_SHARES[own] / _SHARES[own].sum())
    twin_of = {a: b for pair in twins(len(firms.names)) for a, b in (pair, pair[::-1])}
    names, kinds, spellings = [], [], []
    matchable, is_subsidiary, finance = (np.zeros(n, bool) for _ in range(3))
    for i, (firm, day) in enumerate(zip(terms.issuer.tolist(), terms.offered, strict=True)):
        twin = stocks.get(twin_of.get(firm, -1))
        if firms.private[firm]:
            name, kind, how = firms.names[firm].upper(), "private", "stock"
        elif not stocks[firm].known_on(day):
            name, kind, how = stocks[firm].names[-1], "private", "delisted"
        elif twin is not None and twin.known_on(day) and _alike(stocks[firm].on(day), twin.on(day)):
            name, how = _ambiguous(stocks[firm].on(day), twin.on(day), first=firm < twin_of[firm])
            kind = "ambiguous"
        elif len(set(stocks[firm].names)) > 1:
            name, kind, how = stocks[firm].on(day), "renamed", "stock"
        else:
            chosen = SPELLINGS[drawn[i]]
            if chosen.kind == "subsidiary":
                chosen = SPELLINGS[subsidiary[firm]]
            name, kind, how = chosen.write(stocks[firm].on(day)), chosen.kind, chosen.name
            is_subsidiary[i], finance[i] = chosen.kind == "subsidiary", chosen.finance
            matchable[i] = chosen.visible
        matchable[i] |= kind == "renamed"
        names.append(name)
        kinds.append(kind)
        spellings.append(how)
    issuer_id = _FIRST_ISSUER_ID + 2 * terms.issuer + is_subsidiary
    return IssuerNames(names, issuer_id, kinds, spellings, matchable, finance)


def _stock_names(economy: Economy) -> dict[int, _StockNames]:
    """Names of the first classes, by firm."""
    names, listings = economy.names, economy.listings
    first, last = spell_days(economy.clock, names, listings)
    spells = {}
    for s in np.flatnonzero(~listings.second).tolist():
        rows = np.flatnonzero(names.security == s)
        texts = [names.texts["comnam"][row] for row in rows.tolist()]
        spells[int(listings.firm[s])] = _StockNames(first[rows], last[rows], texts)
    return spells


def _alike(name: str, other: str) -> bool:
    """Whether two names differ by their legal form or one letter; a twin that has a new name is none."""
    letters = sum(a != b for a, b in zip(name, other, strict=False))
    return stem(name) == stem(other) or (len(name) == len(other) and letters == 1)


def _ambiguous(name: str, twin: str, *, first: bool) -> tuple[str, str]:
    """Name that could as well be the twin's."""
    if stem(name) == stem(twin):
        return f"{stem(name)} CO", "legal_form_only"
    if first:
        # The right name to the letter; the twin's is too near to tell.
        return name, "long_name"
    word, _, rest = name.partition(" CONSOLIDATED")
    return f"{word[:-1]}Y CONSOLIDATED{rest}", "between_two"
