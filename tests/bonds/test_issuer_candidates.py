from __future__ import annotations

import numpy as np
import pytest

from pipeline.bonds.issuer_candidates import (
    PAIRS_SCHEMA,
    blocked_pairs,
    most_edits,
    similar_texts,
)


def edits(one: str, other: str) -> int:
    """Levenshtein's distance, row by row."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def all_pairs(left: list[str], right: list[str], similarity: float) -> list[tuple[str, str, int, int]]:
    """Every pair of which the edits per hundred letters of the longer name are few enough, in whole numbers."""
    per_cent = round(100 * (1 - similarity))
    found = []
    for a in sorted(set(left)):
        for b in sorted(set(right)):
            apart, longer = edits(a, b), max(len(a), len(b))
            if 100 * apart <= per_cent * longer:
                found.append((a, b, apart, longer))
    return found


def texts(rng: np.random.Generator, n: int, letters: str, longest: int) -> list[str]:
    drawn = ("".join(rng.choice(list(letters), rng.integers(1, longest + 1))) for _ in range(n))
    return sorted({text for text in drawn if text.strip()})


def changed(rng: np.random.Generator, text: str, letters: str, at_most: int) -> str:
    letter = list(text)
    for _ in range(rng.integers(0, at_most + 1)):
        place = int(rng.integers(0, len(letter)))
        kind = rng.integers(3)
        if kind == 0:
            letter[place] = str(rng.choice(list(letters)))
        elif kind == 1:
            letter.insert(place, str(rng.choice(list(letters))))
        elif len(letter) > 1:
            del letter[place]
    return "".join(letter)


@pytest.mark.parametrize("similarity", [0.95, 0.9, 0.85, 0.75, 0.6])
@pytest.mark.parametrize(("letters", "longest"), [("AB", 12), ("ABCDEFGH ", 40), ("ABC 1", 24)])
def test_no_pair_is_lost(similarity, letters, longest):
    rng = np.random.default_rng(longest)
    right = texts(rng, 60, letters, longest)
    left = [changed(rng, str(rng.choice(right)), letters, 4) for _ in range(50)] + texts(rng, 10, letters, longest)
    slow = all_pairs([text for text in left if text], right, similarity)
    fast = similar_texts(left, right, similarity)
    assert fast.schema == PAIRS_SCHEMA
    assert fast.select("left", "right").rows() == [(a, b) for a, b, *_ in slow]
    assert fast["similarity"].to_list() == [1 - apart / longer for *_, apart, longer in slow]
    assert len(slow) > 5
    if similarity <= 0.9 and longest > 20:
        assert sum(apart > 0 for *_, apart, _ in slow) > 5


def test_blocking_leaves_most_pairs_out():
    rng = np.random.default_rng(1)
    left, right = texts(rng, 200, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ", 30), texts(rng, 200, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ", 30)
    pairs = sum(len(places) for places, _ in blocked_pairs(left, right, 0.85))
    assert pairs < 0.05 * len(left) * len(right)


@pytest.mark.parametrize(
    ("length", "similarity", "most"),
    [(10, 0.9, 1), (9, 0.9, 0), (19, 0.9, 1), (20, 0.9, 2), (30, 0.9, 3), (20, 0.95, 1), (20, 0.85, 3), (7, 1.0, 0)],
)
def test_edits_in_binary_numbers(length, similarity, most):
    assert most_edits(length, similarity) == most


def test_names_at_the_bound_are_kept():
    for length in (10, 20, 30, 40, 70):
        name = "ABCDEFGHIJ" * (length // 10)
        other = "Z" * (length // 10) + name[length // 10 :]
        assert similar_texts([name], [other], 0.9)["similarity"].to_list() == [0.9]
        assert similar_texts([name], ["Z" + other[:-1] + "Z"], 0.9).is_empty()


def test_what_is_empty():
    assert similar_texts([], ["A"], 0.9).is_empty()
    assert similar_texts(["A"], [""], 0.9).is_empty()
    assert similar_texts(["A", "A", ""], ["A", "A"], 0.9).rows() == [("A", "A", 1.0)]


@pytest.mark.parametrize("similarity", [0.5, 0.0, 1.1])
def test_a_similarity_that_cannot_be_blocked(similarity):
    with pytest.raises(ValueError, match=r"above 0\.5"):
        list(blocked_pairs(["A"], ["A"], similarity))


def test_a_pair_does_not_depend_on_the_others():
    rng = np.random.default_rng(7)
    right = texts(rng, 60, "ABCDEF ", 25)
    left = [changed(rng, text, "ABCDEF ", 3) for text in right]
    together = similar_texts(left, right, 0.85)
    for text in set(left):
        own = similar_texts([text], right, 0.85)
        assert own.rows() == [row for row in together.rows() if row[0] == text]
