from __future__ import annotations

from datetime import date

import polars as pl
from polars.testing import assert_frame_equal

from pipeline.equity.firm_names import SCHEMA, firm_names
from pipeline.panel.calendar import month_range, shift

MAY = date(2008, 5, 1)
CRSP = {"month": pl.Date, "permno": pl.Int64, "permco": pl.Int64, "comnam": pl.String}


def crsp(*rows: tuple[date, int, int | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=CRSP, orient="row")


def through(rows: pl.DataFrame, months: list[date]) -> pl.DataFrame:
    known = None
    for month in months:
        known = firm_names(rows, month, known)
    assert known is not None
    return known


def test_by_hand():
    june, july = shift(MAY, 1), shift(MAY, 2)
    rows = crsp(
        (MAY, 1, 10, " NORVANE INC"), (june, 1, 10, "NORVANE INC"), (july, 1, 10, "VALDALE INC"),
        (MAY, 2, None, "CESMONT CO"), (june, 2, 20, "CESMONT CO"), (july, 2, None, "CESMONT CO"),
        (MAY, 3, 30, None), (june, 3, 30, "  "), (july, 3, 30, "TORGATE CORP"),
    )  # fmt: skip
    found = through(rows, [MAY, june, july])
    assert dict(found.schema) == SCHEMA
    assert found.rows() == [
        (july, 1, "NORVANE INC", 10, MAY, june),
        (july, 1, "VALDALE INC", 10, july, july),
        (july, 2, "CESMONT CO", 20, MAY, july),
        (july, 3, "TORGATE CORP", 30, july, july),
    ]
    assert firm_names(rows, MAY, None).rows() == [
        (MAY, 1, "NORVANE INC", 10, MAY, MAY),
        (MAY, 2, "CESMONT CO", None, MAY, MAY),
    ]


def test_a_security_that_moves_to_another_company_has_the_last_one():
    rows = crsp((MAY, 1, 10, "NORVANE INC"), (shift(MAY, 1), 1, 11, "NORVANE INC"))
    assert through(rows, [MAY, shift(MAY, 1)])["permco"].to_list() == [11]


def test_a_month_without_rows_goes_on_with_what_was_known():
    known = firm_names(crsp((MAY, 1, 10, "NORVANE INC")), MAY, None)
    later = firm_names(crsp(), shift(MAY, 1), known)
    assert later.rows() == [(shift(MAY, 1), 1, "NORVANE INC", 10, MAY, MAY)]
    assert firm_names(crsp(), MAY, None).is_empty()


def test_later_rows_do_not_matter_and_equal_a_plain_loop():
    months = month_range(MAY, shift(MAY, 11))
    rows = crsp(
        *(
            (month, permno, permno % 5, f"NAME {(permno * number // 4) % 7}")
            for number, month in enumerate(months)
            for permno in range(1, 30)
            if (permno + number) % 6
        )
    )
    for month in months:
        seen: dict[tuple[int, str], list[date]] = {}
        for when, permno, _, name in rows.rows():
            if when <= month:
                seen.setdefault((permno, name), []).append(when)
        slow = [(month, p, name, p % 5, min(when), max(when)) for (p, name), when in sorted(seen.items())]
        own = through(rows, [each for each in months if each <= month])
        assert own.rows() == slow
        last = through(rows.filter(pl.col("month") <= month), [each for each in months if each <= month])
        assert_frame_equal(own, last)
