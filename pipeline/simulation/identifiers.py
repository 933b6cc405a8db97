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

_FIRST = ("Nor", "Val", "Ces", "Tor", "Mar", "Bel", "Quin", "Ster", "Har", "Lum", "Ost", "Per", "Rav", "Sil", "Ver")
_SECOND = ("vane", "dale", "tia", "rick", "mont", "gate", "leaf", "wick", "field", "brook", "stone", "ria", "core")
_THIRD = ("Holdings", "Group", "Inc", "Corp", "Partners", "Industries", "Systems", "Company", "Works", "Brands")
_ISSUE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def firm_names(n: int, rng: np.random.Generator) -> list[str]:
    """Return `n` distinct firm names."""
    stems = [first + second for first in _FIRST for second in _SECOND]
    names = [f"{stem} {third}" for third in _THIRD for stem in stems]
    if n > len(names):
        names = [f"{name} {number}" for number in range(1, n // len(names) + 2) for name in names]
    return [names[i] for i in rng.permutation(len(names))[:n]]


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
