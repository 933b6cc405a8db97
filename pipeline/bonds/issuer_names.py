"""One spelling for the names of companies, as FISD, CRSP and prospectuses write them.

Each rule says why it is there; they are applied in the order of :data:`RULES`. Belongs here: rules for single names,
and whether two names differ by a word. Does not: how like two names are (``issuer_candidates``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

from rapidfuzz.distance import Levenshtein

LEGAL_FORMS = {
    **dict.fromkeys(("INC", "INCORPORATED"), "INC"),
    **dict.fromkeys(("CORP", "CORPORATION", "COR"), "CORP"),
    **dict.fromkeys(("CO", "COMPANY"), "CO"),
    **dict.fromkeys(("LTD", "LIMITED"), "LTD"),
    **dict.fromkeys(("LP", "LLP", "LLC", "PLC", "SA", "NV", "AG", "AB", "NA"), None),
}
"""Legal forms and their short spelling (None: as it stands). ``COR`` is what 32 characters leave of a long name."""

WORDS = {
    **dict.fromkeys(("AMERICAN", "AMERN"), "AMER"),
    **dict.fromkeys(("ASSOCIATION", "ASSOC"), "ASSN"),
    **dict.fromkeys(("BANCORPORATION", "BANCORP"), "BANCORP"),
    **dict.fromkeys(("BROTHERS",), "BROS"),
    **dict.fromkeys(("CHEMICAL", "CHEMICALS"), "CHEM"),
    **dict.fromkeys(("COMMUNICATION", "COMMUNICATIONS", "COMMUN"), "COMMS"),
    **dict.fromkeys(("COMPANIES",), "COS"),
    **dict.fromkeys(("DEPARTMENT",), "DEPT"),
    **dict.fromkeys(("DEVELOPMENT",), "DEV"),
    **dict.fromkeys(("ELECTRIC", "ELECTRICAL"), "ELEC"),
    **dict.fromkeys(("ENTERPRISE", "ENTERPRISES"), "ENTPR"),
    **dict.fromkeys(("ENTERTAINMENT",), "ENTMT"),
    **dict.fromkeys(("FINANCIAL",), "FINL"),
    **dict.fromkeys(("GENERAL",), "GENL"),
    **dict.fromkeys(("GROUP",), "GRP"),
    **dict.fromkeys(("HOLDING", "HOLDINGS", "HLDG"), "HLDGS"),
    **dict.fromkeys(("INDUSTRY", "INDUSTRIES", "IND"), "INDS"),
    **dict.fromkeys(("INSURANCE",), "INS"),
    **dict.fromkeys(("INTERNATIONAL", "INTERNATL"), "INTL"),
    **dict.fromkeys(("INVESTMENT", "INVESTMENTS"), "INVT"),
    **dict.fromkeys(("LABORATORY", "LABORATORIES"), "LABS"),
    **dict.fromkeys(("MACHINE", "MACHINES"), "MACHS"),
    **dict.fromkeys(("MANUFACTURING",), "MFG"),
    **dict.fromkeys(("MOUNTAIN",), "MTN"),
    **dict.fromkeys(("NATIONAL",), "NATL"),
    **dict.fromkeys(("PETROLEUM",), "PETE"),
    **dict.fromkeys(("PHARMACEUTICAL", "PHARMACEUTICALS"), "PHARMA"),
    **dict.fromkeys(("PRODUCT", "PRODUCTS"), "PRODS"),
    **dict.fromkeys(("PROPERTY", "PROPERTIES"), "PPTYS"),
    **dict.fromkeys(("RAILROAD",), "RR"),
    **dict.fromkeys(("RAILWAY",), "RY"),
    **dict.fromkeys(("RESOURCE", "RESOURCES"), "RES"),
    **dict.fromkeys(("SERVICE", "SERVICES", "SVC"), "SVCS"),
    **dict.fromkeys(("SYSTEM", "SYSTEMS"), "SYS"),
    **dict.fromkeys(("TECHNOLOGY", "TECHNOLOGIES", "TECHS"), "TECH"),
    **dict.fromkeys(("TELEPHONE",), "TEL"),
    **dict.fromkeys(("TRANSPORTATION", "TRANSPORT"), "TRANSN"),
    **dict.fromkeys(("TRUST",), "TR"),
    **dict.fromkeys(("UNITED",), "UTD"),
}
"""Words that vendors abbreviate, and their short spelling. Short, so that what many names share weighs little."""

# Not CO, which is a legal form far more often than Colorado.
_PLACES = [
    "DE", "DEL", "NY", "NJ", "PA", "MD", "VA", "OH", "OHIO", "CA", "CALIF", "TX", "TEX", "MA", "MASS", "MN", "MINN",
    "NV", "NEV", "FL", "FLA", "GA", "IN", "IND", "IL", "ILL", "MI", "MICH", "WA", "WASH", "WI", "WIS", "CT", "CONN",
    "MO", "TN", "TENN", "NC", "SC", "KY", "LA", "AZ", "ARIZ", "UT", "IA", "KS", "OK", "OKLA", "OR", "ORE", "AL",
    "ALA",
]  # fmt: skip
_MARKS = frozenset(["NEW", "OLD", "DEL"])
_REMARKS = frozenset([*_PLACES, *_MARKS])
_SLASHED = re.compile(rf"\s*[/(]\s*({'|'.join(sorted(_REMARKS))})\s*[/)]?\s*$")
_SHARE_CLASS = re.compile(r"\s+(CL|CLASS|SER|SERIES)\s+[A-Z0-9]$")
_SINGLE_LETTERS = re.compile(r"\b(?:[A-Z] )+[A-Z]\b")
_ARTICLE = re.compile(r"^THE (?=.)|(?<=.) THE$")


def _plain_letters(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(each for each in decomposed if not unicodedata.combining(each)).upper().strip()


def _without_slashed_remark(name: str) -> str:
    return _SLASHED.sub("", name)


def _ampersands(name: str) -> str:
    return re.sub(r"[&+]", " AND ", name)


def _punctuation(name: str) -> str:
    return " ".join(re.sub(r"[^A-Z0-9]", " ", re.sub(r"['’`]", "", name)).split())


def _without_share_class(name: str) -> str:
    return _SHARE_CLASS.sub("", name)


def _joined_letters(name: str) -> str:
    return _SINGLE_LETTERS.sub(lambda letters: letters[0].replace(" ", ""), name)


def _without_article(name: str) -> str:
    return _ARTICLE.sub("", name)


def _short_words(name: str) -> str:
    return " ".join(WORDS.get(word, LEGAL_FORMS.get(word) or word) for word in name.split())


def _without_remark(name: str) -> str:
    words = name.split()
    while len(words) > 2:
        after_form = any(word in LEGAL_FORMS for word in words[1:-1])
        if words[-1] not in (_REMARKS if after_form else _MARKS):
            break
        words.pop()
    return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A step in the spelling of names.

    Attributes
    ----------
    name : str
        What it does.
    reason : str
        Why names need it.
    apply : callable
        From a name to a name.
    """

    name: str
    reason: str
    apply: Callable[[str], str]


RULES = (
    Rule(
        name="upper case without accents",
        reason="CRSP writes capitals only, prospectuses don't",
        apply=_plain_letters,
    ),
    Rule(
        name="no place or remark after a slash or in brackets",
        reason='registers tell namesakes apart by the state of incorporation: "/DE/", "(NEW)"',
        apply=_without_slashed_remark,
    ),
    Rule(name="& is AND", reason="both spellings occur for one company", apply=_ampersands),
    Rule(
        name="no punctuation",
        reason="CRSP leaves out commas, points and hyphens; an apostrophe leaves no gap",
        apply=_punctuation,
    ),
    Rule(name="no share class", reason="a class of shares names the security, not the company",
         apply=_without_share_class),
    Rule(name="single letters joined", reason='"U.S.", "U S" and "US" are one word', apply=_joined_letters),
    Rule(name="no article", reason='"THE" comes first, last or not at all', apply=_without_article),
    Rule(
        name="short words",
        reason="vendors abbreviate words and legal forms; written short, what many names share weighs little",
        apply=_short_words,
    ),
    Rule(
        name="no place after the legal form, no NEW, OLD or DEL at the end",
        reason='CRSP appends them without a slash; where no form stands before it, a state may belong to the name',
        apply=_without_remark,
    ),
)  # fmt: skip
"""The rules in their order: each is applied to what the one before left."""


_CONNECTING = frozenset(["AND", "OF", "THE", *LEGAL_FORMS])
_COMPASS = re.compile(r"^(?=.)(NORTH|SOUTH)?(EAST|WEST)?(ERN)?$")
_NUMERAL = re.compile(r"^[IVXLC]+$")
_SHORT = 3
WORD_SIMILARITY = 0.8
"""Lowest similarity of two words that may be one word, misspelled in one of two names."""


def _same_word(one: str, other: str) -> bool:
    """Whether two different words can be one, misspelled or cut short.

    A short word, a number, a point of the compass that differs is another one, however alike: US and UST, II and III,
    NORTHEASTERN and NORTHWESTERN.
    """
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) <= _SHORT or any(letter.isdigit() for letter in one + other):
        return False
    if any(kind.match(one) and kind.match(other) for kind in (_COMPASS, _NUMERAL)):
        return False
    return longer.startswith(shorter) or Levenshtein.normalized_similarity(one, other) >= WORD_SIMILARITY


def another_word(core: str, other: str) -> bool:
    """Say whether two names differ by a whole word, which makes them names of two companies.

    Parameters
    ----------
    core, other : str
        Names in their one spelling, without legal forms.

    Returns
    -------
    bool
        True where words that stand in the same place can't be one word, or a word other than a connecting one stands
        in one name only. Words written as one or apart are no difference: WAL MART and WALMART.
    """
    ours, theirs = core.split(), other.split()
    for kind, start, stop, begin, end in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        mine, yours = ours[start:stop], theirs[begin:end]
        if kind == "equal" or "".join(mine) == "".join(yours):
            continue
        if len(mine) == len(yours):
            if not all(one == two or _same_word(one, two) for one, two in zip(mine, yours, strict=True)):
                return True
        elif mine and yours:
            if not _same_word("".join(mine), "".join(yours)):
                return True
        elif not _CONNECTING.issuperset(mine + yours):
            return True
    return False


ALPHABET = " ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
"""The characters that are left."""


@dataclass(frozen=True)
class CompanyName:
    """A name in its one spelling.

    Attributes
    ----------
    core : str
        The name without its legal form; the whole name where nothing else would be left. Empty for no name.
    form : str
        Legal form at the end, of several all; empty where none is given. It is kept apart, because one company's names
        state it, leave it out or state that of a partnership through which it borrows.
    """

    core: str
    form: str


def company_name(name: str | None) -> CompanyName:
    """Give the one spelling of a name.

    Parameters
    ----------
    name : str or None
        As a vendor writes it.

    Returns
    -------
    CompanyName
        Characters of :data:`ALPHABET`, with single blanks between words.
    """
    spelled = name or ""
    for rule in RULES:
        spelled = rule.apply(spelled)
    words = spelled.split()
    end = len(words)
    while end and (words[end - 1] in LEGAL_FORMS or (end < len(words) and words[end - 1] == "AND")):
        end -= 1
    if not end:
        return CompanyName(" ".join(words), "")
    return CompanyName(" ".join(words[:end]), " ".join(word for word in words[end:] if word != "AND"))
