"""Which names are alike: all pairs above a similarity, without comparing all pairs.

Similarity is the normalised Levenshtein similarity, 1 - edits / length of the longer name (Levenshtein 1966). Belongs
here: pairs of names. Does not: dates, companies, and which of several alike names is taken (``issuer_match``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from pipeline.bonds.issuer_names import ALPHABET

TOLERANCE = 1e-9
"""By which a similarity may miss a bound: 1 - 1/20 less 0.9 is a little below 0.05 in binary numbers."""

PAIRS_SCHEMA = {"left": pl.String(), "right": pl.String(), "similarity": pl.Float64()}

_BATCH = 1000
Places = NDArray[np.uint32]


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
        segments = _segments(length, similarity)
        last, longer = len(segments) - 1, len(name) - length
        for number, (start, stop) in enumerate(segments):
            width = stop - start
            # At most ``number`` edits lie before the first piece left whole, and so at most the others behind it.
            lowest = max(0, start - number, start + longer - (last - number))
            highest = min(len(name) - width, start + number, start + longer + (last - number))
            for place in range(lowest, highest + 1):
                yield length, number, name[place : place + width]
        length += 1


def _indexed(rows: Sequence[tuple[int, int, int, str]], place: str) -> pl.DataFrame:
    schema = {place: pl.UInt32, "length": pl.Int32, "number": pl.Int32, "piece": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


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
    it stands in the other name, moved by no more places than there are edits on either side of it (Li, Deng, Wang and
    Feng 2011, "Pass-Join"). So no pair is lost that comparing every name with every other one would find.
    """
    if not 0.5 < similarity <= 1.0:
        raise ValueError(f"names are blocked for similarities above 0.5 and up to 1, not {similarity}")
    index = _indexed(
        [
            (place, len(name), number, name[begin:end])
            for place, name in enumerate(right)
            for number, (begin, end) in enumerate(_segments(len(name), similarity))
        ],
        "theirs",
    )
    for start in range(0, len(left), _BATCH):
        batch = enumerate(left[start : start + _BATCH], start)
        wanted = _indexed([(place, *piece) for place, name in batch for piece in _pieces(name, similarity)], "ours")
        shared = wanted.join(index, on=["length", "number", "piece"]).select("ours", "theirs").unique()
        yield shared["ours"].to_numpy(), shared["theirs"].to_numpy()


def similar_texts(left: Sequence[str], right: Sequence[str], similarity: float) -> pl.DataFrame:
    """Compare texts and keep the pairs that are at least so similar.

    Parameters
    ----------
    left, right : sequence of str
        Texts in any order, of the characters of :data:`pipeline.bonds.issuer_names.ALPHABET`; repetitions and empty
        ones are left out.
    similarity : float
        Lowest similarity, above 0.5.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`PAIRS_SCHEMA`: left, right, similarity (1 - edits / length of the longer text); sorted by
        the texts.
    """
    ours, theirs = (np.array(sorted(set(texts) - {""}), dtype=object) for texts in (left, right))
    letters, other_letters = _letters(ours), _letters(theirs)
    parts = [pl.DataFrame(schema=PAIRS_SCHEMA)]
    for places, others in blocked_pairs(ours.tolist(), theirs.tolist(), similarity):
        # An edit changes the count of two letters at most, so that counts too far apart need no comparison of texts.
        apart = np.abs(letters[places] - other_letters[others]).sum(axis=1, dtype=np.int16)
        longer = np.maximum(letters[places].sum(axis=1), other_letters[others].sum(axis=1))
        near = apart <= 2.0 * (1.0 - similarity + TOLERANCE) * longer
        first, second, longer = ours[places[near]], theirs[others[near]], longer[near]
        edits = cpdist(first.tolist(), second.tolist(), scorer=Levenshtein.distance, dtype=np.int32)
        alike = 1.0 - edits / longer
        kept = alike >= similarity - TOLERANCE
        columns = {"left": first[kept].tolist(), "right": second[kept].tolist(), "similarity": alike[kept]}
        parts.append(pl.DataFrame(columns, schema=PAIRS_SCHEMA))
    return pl.concat(parts).sort("left", "right")


def sorted_words(text: str) -> str:
    """Return a name's words in the order of the alphabet: CRSP writes names of persons as LILLY ELI."""
    return " ".join(sorted(text.split()))


def _letters(texts: NDArray[np.object_]) -> NDArray[np.int8]:
    """Count every character of the alphabet in every text."""
    counts = np.zeros((len(texts), len(ALPHABET)), dtype=np.int8)
    for row, text in enumerate(texts):
        for column, letter in enumerate(ALPHABET):
            counts[row, column] = text.count(letter)
    return counts
