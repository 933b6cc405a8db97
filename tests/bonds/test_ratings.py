from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.ratings import SCALES, WITHDRAWN, rating_spells, ratings_at, ratings_figures
from pipeline.panel.calendar import month_range

JUNE, JULY, AUGUST = date(2008, 6, 1), date(2008, 7, 1), date(2008, 8, 1)

# Written out from the agencies' own lists.
SP = "AAA AA+ AA AA- A+ A A- BBB+ BBB BBB- BB+ BB BB- B+ B B- CCC+ CCC CCC- CC C D".split(" ")  # noqa: SIM905
MOODYS = "Aaa Aa1 Aa2 Aa3 A1 A2 A3 Baa1 Baa2 Baa3 Ba1 Ba2 Ba3 B1 B2 B3 Caa1 Caa2 Caa3 Ca C".split(" ")  # noqa: SIM905


def history(*rows: tuple[int, str, date, str | None]) -> pl.DataFrame:
    schema = {"issue_id": pl.Int64, "rating_type": pl.String, "rating_date": pl.Date, "rating": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.select(pl.col("rating_date").dt.truncate("1mo").alias("month"), pl.all())


def at(rows: pl.DataFrame, month: date) -> dict[int, tuple]:
    found = ratings_at(rating_spells(rows), month)
    assert found["issue_id"].is_unique().all()
    return {row["issue_id"]: (row["sp_rating"], row["moody_rating"], row["rating"]) for row in found.to_dicts()}


@pytest.mark.parametrize("back", [False, True])
def test_of_several_ratings_of_one_day_the_worst_holds(back):
    day = date(2008, 6, 3)
    rows = [(1, "SPR", day, "BBB"), (1, "SPR", day, "BB+"), (1, "SPR", day, "NR"), (1, "SPR", day, "A"),
            (2, "SPR", day, "NR"), (1, "SPR", date(2008, 5, 3), "D")]  # fmt: skip
    assert at(history(*(rows[::-1] if back else rows)), JUNE) == {1: (11.0, None, 11.0), 2: (None, None, None)}


def test_scales_are_the_agencies():
    assert len(SP) == 22
    assert len(MOODYS) == 21
    day = date(2008, 6, 3)
    rows = history(
        *((ordinal, "SPR", day, letter) for ordinal, letter in enumerate(SP, start=1)),
        *((ordinal, "MR", day, letter) for ordinal, letter in enumerate(MOODYS, start=1)),
    )
    found = at(rows, JUNE)
    assert {key: values[0] for key, values in found.items()} == {k: float(k) for k in range(1, 23)}
    assert {key: values[1] for key, values in found.items()} == {**{k: float(k) for k in range(1, 22)}, 22: None}


@pytest.mark.parametrize(("letter", "ordinal"), [("Aa", 3), ("A", 6), ("Baa", 9), ("Ba", 12), ("B", 15), ("Caa", 18)])
def test_grades_without_steps_take_the_middle_one(letter, ordinal):
    assert at(history((1, "MR", date(1975, 3, 4), letter)), JUNE)[1] == (None, ordinal, ordinal)


@pytest.mark.parametrize(("text", "ordinal"), [(" bb+ ", 11), ("BB +", 11), ("SD", 22), ("D", 22)])
def test_spelling(text, ordinal):
    assert at(history((1, "SPR", JUNE, text)), JUNE)[1][0] == ordinal


def test_a_provisional_rating_is_the_rating():
    assert at(history((1, "MR", JUNE, "(P)Ba1")), JUNE)[1][1] == 11


def test_sp_goes_before_moodys_and_others_are_not_read():
    rows = history(
        (1, "SPR", JUNE, "BBB"), (1, "MR", JUNE, "Ba1"), (2, "MR", JUNE, "Ba1"), (3, "FR", JUNE, "AAA"),
        (3, "DPR", JUNE, "AAA"),
    )  # fmt: skip
    assert at(rows, JUNE) == {1: (9, 11, 9), 2: (None, 11, 11)}


def test_a_rating_holds_from_its_month_to_the_next():
    rows = history((1, "SPR", date(2008, 6, 30), "A"), (1, "SPR", date(2008, 8, 1), "BBB"))
    assert at(rows, date(2008, 5, 1)) == {}
    assert [at(rows, month)[1][2] for month in (JUNE, JULY, AUGUST, date(2020, 1, 1))] == [6, 6, 9, 9]


def test_of_one_month_the_last_day_holds_whatever_the_order_of_rows():
    rows = history((1, "SPR", date(2008, 6, 20), "D"), (1, "SPR", date(2008, 6, 3), "B"), (1, "SPR", JUNE, "BB"))
    assert at(rows, JUNE)[1][2] == 22


@pytest.mark.parametrize("text", ["NR", "WR", "NAV", "SUSP", None, "", "Aaa or so"])
def test_no_rating_from_the_date_on_which_it_goes(text):
    rows = history((1, "SPR", JUNE, "A"), (1, "SPR", date(2008, 7, 15), text), (1, "MR", JUNE, "Baa1"))
    assert at(rows, JUNE)[1] == (6, 8, 6)
    assert at(rows, JULY)[1] == (None, 8, 8)


def test_withdrawals_are_on_no_scale():
    for scale in SCALES.values():
        assert not WITHDRAWN & set(scale.ordinals)


def test_figures():
    rows = history(
        (1, "SPR", JUNE, "A"), (2, "SPR", JUNE, "NR"), (3, "SPR", JUNE, None), (4, "SPR", JUNE, "A?"),
        (1, "MR", date(2008, 6, 9), "A2"), (1, "MR", JULY, "A3"), (5, "FR", JUNE, "zzz"),
    )  # fmt: skip
    assert ratings_figures(rows, JUNE) == {
        "ratings": {
            "S&P": {"rated": 1, "not_rated": 2, "unrecognised": 1},
            "Moody's": {"rated": 1, "not_rated": 0, "unrecognised": 0},
        },
        "ratings_unrecognised": ["A?"],
    }


def test_random_histories_against_a_plain_search():
    rng = np.random.default_rng(3)
    texts = [*SP, "NR", None]
    days = {(int(rng.integers(30)), date(2008, 1, 1 + int(d)).replace(month=int(m))) for d, m in
            zip(rng.integers(0, 28, 300), rng.integers(1, 13, 300), strict=True)}  # fmt: skip
    rows = history(*((issue, "SPR", day, texts[int(rng.integers(len(texts)))]) for issue, day in sorted(days)))
    for month in month_range(date(2008, 1, 1), date(2009, 1, 1)):
        expected = {}
        for row in rows.sort("rating_date").to_dicts():
            if row["month"] <= month:
                expected[row["issue_id"]] = SP.index(row["rating"]) + 1.0 if row["rating"] in SP else None
        shuffled = at(rows.sample(fraction=1.0, shuffle=True, seed=1), month)
        found = {issue: values[0] for issue, values in shuffled.items()}
        assert found == expected
        cut = ratings_at(rating_spells(rows.filter(pl.col("month") <= month)), month).sort("issue_id")
        assert_frame_equal(cut, ratings_at(rating_spells(rows), month).sort("issue_id"), check_exact=True)
