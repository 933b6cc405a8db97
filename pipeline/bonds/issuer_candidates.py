"""Which names are alike: all pairs above a similarity, without comparing all pairs.

Similarity is the normalised Levenshtein similarity, 1 - edits / length of the longer name (Levenshtein 1966). Belongs
here: pairs of names. Does not: dates, companies, and which of several alike names is taken (``issuer_match``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from pipeline.bonds.issuer_names import CompanyName

TOLERANCE = 1e-9
"""By which a similarity may miss a bound: 1 - 1/20 less 0.9 is a little below 0.05 in binary numbers."""

PAIRS_SCHEMA = {"text": pl.String(), "firm_text": pl.String(), "similarity": pl.Float64()}

_BATCH = 2000
Places = NDArray[np.intp]


def most_edits(length: int, similarity: float) -> int:
    """Return how many edits two names may be apart, the longer of ``length``, to be at least so similar."""
    return int((1.0 - similarity + TOLERANCE) * length)


@cache
def _segments(length: int, similarity: float) -> tuple[tuple[int, int], ...]:
    """Cut a name of some length into more pieces than edits may touch: start and end of each."""
    longest = length
    while longest + 1 - length <= most_edits(longest + 1, similarity):
        longest += 1
    cuts = np.linspace(0, length, most_edits(longest, similarity) + 2).astype(int).tolist()
    return tuple(pairwise(cuts))


def _pieces(name: str, similarity: float) -> Iterator[tuple[int, int, str]]:
    """Give every piece of any name that one similar to ``name`` must share: its length, number, text."""
    reach = most_edits(len(name), similarity)
    length = len(name) - reach
    while length <= len(name) or length - len(name) <= most_edits(length, similarity):
        edits = most_edits(max(length, len(name)), similarity)
        for number, (start, stop) in enumerate(_segments(length, similarity)):
            width = stop - start
            for place in range(max(0, start - edits), min(len(name) - width, start + edits) + 1):
                yield length, number, name[place : place + width]
        length += 1


def blocked_pairs(left: Sequence[str], right: Sequence[str], similarity: float) -> Iterator[tuple[Places, Places]]:
    """Give the pairs among which all pairs are that are at least so similar.

    Parameters
    ----------
    left, right : sequence of str
        Names without repetition, none empty.
    similarity : float
        Above 0.5.

    Yields
    ------
    tuple of ndarray of int
        Positions in ``left`` and in ``right``, one batch of ``left`` after another.

    Notes
    -----
    Two names at least so similar are at most d edits apart. A name cut into d + 1 pieces has one that no edit touches:
    it stands in the other name, moved by d places at most (Li, Deng, Wang and Feng 2011, "Pass-Join"). So no pair is
    lost that comparing every name with every other one would find.
    """
    if not 0.5 < similarity <= 1.0:
        raise ValueError(f"names are blocked for similarities above 0.5 and up to 1, not {similarity}")
    index: defaultdict[tuple[int, int, str], list[int]] = defaultdict(list)
    for place, name in enumerate(right):
        for number, (begin, end) in enumerate(_segments(len(name), similarity)):
            index[len(name), number, name[begin:end]].append(place)
    for start in range(0, len(left), _BATCH):
        ours: list[int] = []
        theirs: list[int] = []
        for place, name in enumerate(left[start : start + _BATCH], start):
            found = {other for piece in _pieces(name, similarity) for other in index.get(piece, ())}
            theirs.extend(sorted(found))
            ours.extend([place] * len(found))
        yield np.array(ours, dtype=np.intp), np.array(theirs, dtype=np.intp)


def similar_texts(left: Sequence[str], right: Sequence[str], similarity: float) -> pl.DataFrame:
    """Compare texts and keep the pairs that are at least so similar.

    Parameters
    ----------
    left, right : sequence of str
        Texts in any order; repetitions and empty ones are left out.
    similarity : float
        Lowest similarity, above 0.5.

    Returns
    -------
    pl.DataFrame
        left, right, similarity (1 - edits / length of the longer text); sorted by the texts.
    """
    ours, theirs = (np.array(sorted(set(texts) - {""}), dtype=object) for texts in (left, right))
    parts = [pl.DataFrame(schema={"left": pl.String, "right": pl.String, "similarity": pl.Float64})]
    for places, others in blocked_pairs(ours.tolist(), theirs.tolist(), similarity):
        first, second = ours[places], theirs[others]
        edits = cpdist(first.tolist(), second.tolist(), scorer=Levenshtein.distance, dtype=np.int32)
        longer = np.maximum([len(text) for text in first], [len(text) for text in second])
        alike = 1.0 - edits / np.maximum(longer, 1)
        kept = alike >= similarity - TOLERANCE
        columns = {"left": first[kept].tolist(), "right": second[kept].tolist(), "similarity": alike[kept]}
        parts.append(pl.DataFrame(columns, schema=parts[0].schema))
    return pl.concat(parts).sort("left", "right")


def similar_names(issuers: Sequence[CompanyName], firms: Sequence[CompanyName], similarity: float) -> pl.DataFrame:
    """Compare names of issuers with names of firms and keep the pairs that are at least so similar.

    Parameters
    ----------
    issuers, firms : sequence of CompanyName
        Names; repetitions and empty ones are left out.
    similarity : float
        Lowest similarity, above 0.5.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`PAIRS_SCHEMA`, the texts of both names and their similarity, sorted by the texts. Where
        both names have a legal form, whole names are compared, so that ``INC`` and ``CORP`` tell two firms apart; where
        one of them has none, names are compared without it.
    """
    parts = []
    for with_form, firm_with_form in ((True, True), (True, False), (False, True), (False, False)):
        whole = with_form and firm_with_form
        ours = _compared([name for name in issuers if bool(name.form) == with_form], whole, "text")
        theirs = _compared([name for name in firms if bool(name.form) == firm_with_form], whole, "firm_text")
        alike = similar_texts(ours["compared"].to_list(), theirs["compared"].to_list(), similarity)
        parts.append(
            alike.join(ours, left_on="left", right_on="compared")
            .join(theirs, left_on="right", right_on="compared")
            .select(*PAIRS_SCHEMA)
        )
    return pl.concat(parts).sort("text", "firm_text")


def _compared(names: Sequence[CompanyName], whole: bool, column: str) -> pl.DataFrame:
    """Give names as texts, and what of each is compared."""
    distinct = sorted(set(names))
    texts = [name.text for name in distinct]
    compared = texts if whole else [name.core for name in distinct]
    return pl.DataFrame({"compared": compared, column: texts}, schema={"compared": pl.String, column: pl.String})
