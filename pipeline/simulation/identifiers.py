"""Names and identifiers of made-up firms and securities: CUSIPs and ISINs with valid check digits, sectors.

Every name is put together from syllables; nothing here refers to a firm that exists.
"""

import numpy as np
from stdnum import cusip, isin

SECTORS: tuple[tuple[str, str], ...] = (
    ("Industrials", "Energy"),
    ("Financial", "Banking"),
    ("Industrials", "Healthcare"),
    ("Utility", "Utility"),
    ("Industrials", "Technology & Electronics"),
    ("Industrials", "Basic Industry"),
    ("Industrials", "Consumer Goods"),
    ("Industrials", "Capital Goods"),
    ("Industrials", "Telecommunications"),
    ("Financial", "Insurance"),
    ("Industrials", "Media"),
    ("Industrials", "Retail"),
    ("Industrials", "Transportation"),
    ("Financial", "Financial Services"),
    ("Industrials", "Automotive"),
    ("Industrials", "Leisure"),
    ("Industrials", "Real Estate"),
    ("Industrials", "Services"),
)
"""Second and third sector level of the index provider, in the order in which small markets use them."""

RATINGS: tuple[str, ...] = (
    "AAA", "AA1", "AA2", "AA3", "A1", "A2", "A3", "BBB1", "BBB2", "BBB3", "BB1", "BB2", "BB3",
    "B1", "B2", "B3", "CCC1", "CCC2", "CCC3", "CC", "C", "D",
)  # fmt: skip
"""Composite ratings; position 0 is ordinal 1, D is 22."""

_FIRST = ("Nor", "Val", "Ces", "Tim", "Mag", "Pyr", "Quin", "Ster", "Jav", "Lum", "Ost", "Bel", "Hud", "Kin", "Wex")
_MIDDLE = ("al", "en", "ir", "os", "um", "ba", "co", "de", "fi", "gu", "ly")
_LAST = (
    "vane", "shire", "tia", "rick", "mont", "gate", "leaf", "worth", "field", "brook", "stone", "lund", "port",
)  # fmt: skip
_FORMS = ("Holdings", "Group", "Inc", "Corp", "Partners", "Industries", "Systems", "& Company", "Works", "Brands")
_REGIONS = ("American", "Pacific", "Northern", "Federal", "Continental", "Prairie", "Highland", "Gulf")

TWIN_FIRST, TWIN_STEP = 8, 40
"""Position of the first of the firms that have a near twin, the firm after it, and of the firms from one to the next.

None of these positions is that of a private issuer.
"""

_ISSUE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def firm_names(n: int, rng: np.random.Generator) -> list[str]:
    """Names of firms, each of a distinct word and a form, with a few pairs that are hard to tell apart.

    The middle syllable follows from the other parts, so that two names that share one part differ in two others: except
    for the planted twins, no two names are nearly alike, with their forms or without.

    Parameters
    ----------
    n : int
        Number of firms.
    rng : numpy.random.Generator
        Draws their order.

    Returns
    -------
    list of str
        Distinct names; those of `twins` differ by one letter of a long name, or by their legal form alone, in turn.
    """
    words = [
        (first + _MIDDLE[(a + b + c) % len(_MIDDLE)] + last, form)
        for c, form in enumerate(_FORMS)
        for a, first in enumerate(_FIRST)
        for b, last in enumerate(_LAST)
    ]
    if n > len(words):
        words = [(f"{_region(copy)} {word}", form) for copy in range(n // len(words) + 1) for word, form in words]
    chosen = [words[i] for i in rng.permutation(len(words))[:n]]
    for place, (one, other) in enumerate(twins(n)):
        word = chosen[one][0]
        alike = word[:-1] + ("a" if word[-1] != "a" else "o")
        long = "Consolidated Industries"
        chosen[one], chosen[other] = ((word, "Inc"), (word, "Corp")) if place % 2 else ((word, long), (alike, long))
    return [f"{word} {form}" for word, form in chosen]


def twins(n: int) -> list[tuple[int, int]]:
    """Positions of the pairs of twins among the first `n` firms."""
    return [(one, one + 1) for one in range(TWIN_FIRST, n - 1, TWIN_STEP)]


def _region(copy: int) -> str:
    """Word before the names of markets that are too large for the others."""
    again = copy // len(_REGIONS)
    return _REGIONS[copy % len(_REGIONS)] + (f" {again + 1}" if again else "")


def issuer_codes(n: int, rng: np.random.Generator) -> list[str]:
    """Return `n` distinct six-character CUSIP issuer codes."""
    return [f"{number:06d}" for number in rng.choice(900_000, size=n, replace=False) + 10_000]


def bond_cusip(issuer_code: str, issue: int) -> str:
    """Nine-character CUSIP of an issuer's `issue`-th bond (from 0), letters in the issue code as for debt."""
    code = issuer_code + _ISSUE_LETTERS[issue // 24 % 24] + _ISSUE_LETTERS[issue % 24]
    return code + str(cusip.calc_check_digit(code))


def stock_cusip(issuer_code: str) -> str:
    """Nine-character CUSIP of an issuer's common stock, issue code 10."""
    code = issuer_code + "10"
    return code + str(cusip.calc_check_digit(code))


def domestic_isin(nine: str) -> str:
    """ISIN of a security with a CUSIP: country US, the CUSIP, a check digit."""
    return "US" + nine + str(isin.calc_check_digit("US" + nine))


def foreign_isin(number: int) -> str:
    """ISIN of an international issue (prefix XS), as some index members have beside a domestic CUSIP."""
    code = f"XS{number:09d}"
    return code + str(isin.calc_check_digit(code))
