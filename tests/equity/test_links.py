from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.equity.links import SCHEMA, firm_links, links_figures
from pipeline.panel.calendar import month_range

MAY = date(2008, 5, 1)
EVENTS = {
    "month": pl.Date, "gvkey": pl.String, "lpermno": pl.Int64, "linkdt": pl.Date, "event": pl.String,
    "linkenddt": pl.Date, "linktype": pl.String, "linkprim": pl.String, "lpermco": pl.Int64,
}  # fmt: skip


def history(*links: tuple[str, int | None, date, date | None, str, str]) -> pl.DataFrame:
    events = []
    for gvkey, permno, start, end, kind, primary in links:
        key = {"gvkey": gvkey, "lpermno": permno, "linkdt": start}
        said = {"linktype": kind, "linkprim": primary, "lpermco": None if permno is None else 1000 + permno}
        events.append({"month": start.replace(day=1), **key, "event": "start", **said})
        if end:
            events.append({"month": end.replace(day=1), **key, "event": "end", "linkenddt": end})
    return pl.DataFrame(events, schema=EVENTS)


def chosen(*links: tuple[str, int | None, date, date | None, str, str], month: date = MAY) -> list[tuple[int, str]]:
    return firm_links(history(*links), [month]).select("permno", "gvkey").rows()


OLD = date(1990, 1, 2)


def test_by_hand():
    found = firm_links(history(("001001", 7, OLD, None, "LU", "P")), [MAY])
    assert dict(found.schema) == SCHEMA
    assert found.rows() == [(MAY, 7, 1007, "001001")]


@pytest.mark.parametrize(("kind", "there"), [("LC", 1), ("LU", 1), ("LD", 0), ("LS", 0), ("LN", 0), ("LX", 0)])
def test_link_types(kind, there):
    assert len(chosen(("A", 1, OLD, None, kind, "P"))) == there


@pytest.mark.parametrize(("primary", "there"), [("P", 1), ("C", 1), ("J", 0), ("N", 0)])
def test_primary_markers(primary, there):
    assert len(chosen(("A", 1, OLD, None, "LC", primary))) == there


@pytest.mark.parametrize(
    ("start", "end", "there"),
    [
        (date(2008, 5, 31), None, 1),
        (date(2008, 6, 1), None, 0),
        (OLD, date(2008, 5, 31), 1),
        (OLD, date(2008, 5, 30), 0),
        (OLD, date(2008, 6, 1), 1),
        (OLD, date(2007, 1, 1), 0),
        (date(2008, 5, 31), date(2008, 5, 31), 1),
    ],
)
def test_the_last_day_of_the_month_decides(start, end, there):
    assert len(chosen(("A", 1, start, end, "LC", "P"))) == there


@pytest.mark.parametrize(
    ("other", "gvkey"),
    [
        (("B", 1, date(2005, 1, 3), None, "LC", "C"), "A"),  # P before C, however late C began
        (("B", 1, date(1980, 1, 3), None, "LC", "P"), "B"),  # then LC before LU
        (("B", 1, date(2005, 1, 3), None, "LU", "P"), "B"),  # then the later start
        (("B", 1, date(1980, 1, 3), None, "LU", "P"), "A"),
        (("B", 1, date(2005, 1, 3), date(2008, 5, 30), "LC", "P"), "A"),  # a closed link prefers nothing
        (("B", 1, date(2005, 1, 3), None, "LN", "P"), "A"),
        (("A", 1, date(2005, 1, 3), None, "LC", "C"), "A"),
    ],
)
def test_one_company_a_stock(other, gvkey):
    assert chosen(("A", 1, OLD, None, "LU", "P"), other) == [(1, gvkey)]
    assert chosen(other, ("A", 1, OLD, None, "LU", "P")) == [(1, gvkey)]


def test_links_of_equal_rank_are_named():
    tied = history(("A", 1, OLD, None, "LC", "P"), ("B", 1, OLD, None, "LC", "P"), ("C", 2, OLD, None, "LC", "P"))
    with pytest.raises(ValueError, match=r"1 stocks .* end of 2008-05: permno 1: gvkey A and B since 1990-01-02"):
        firm_links(tied, [MAY])


def test_several_stocks_of_one_company_each_have_it():
    links = (("A", 2, OLD, None, "LC", "C"), ("A", 1, OLD, None, "LC", "P"), ("A", None, OLD, None, "NR", "C"))
    assert chosen(*links) == [(1, "A"), (2, "A")]


def test_figures():
    links = history(
        ("A", 1, OLD, None, "LC", "P"),
        ("B", 1, date(2005, 1, 3), None, "LC", "C"),
        ("C", 2, OLD, date(2008, 5, 2), "LC", "P"),
        ("D", 3, OLD, None, "LN", "P"),
        ("E", 4, OLD, None, "LU", "J"),
        ("F", 5, date(2008, 6, 2), None, "LC", "P"),
    )
    assert links_figures(links, MAY) == {
        "waterfall": [
            {"step": "in force at the end of the month", "rows_in": 5, "rows_out": 4},
            {"step": "linktype LC or LU", "rows_in": 4, "rows_out": 3},
            {"step": "linkprim P or C", "rows_in": 3, "rows_out": 2},
            {"step": "one company a stock", "rows_in": 2, "rows_out": 1},
        ]
    }


def _random(seed: int) -> pl.DataFrame:
    """Links of which several often hold at once, but never from the same day on."""
    rng = np.random.default_rng(seed)
    links = []
    for permno in range(1, 31):
        days = rng.choice(3000, 6, replace=False)
        for number, day in enumerate(days):
            start = date(2002, 1, 1) + (date(2002, 1, 2) - date(2002, 1, 1)) * int(day)
            end = start + (date(2002, 1, 2) - date(2002, 1, 1)) * int(rng.integers(30, 1500))
            kind, primary = str(rng.choice(["LC", "LU", "LN"])), str(rng.choice(["P", "C", "J"]))
            links.append((f"{permno}{number}", permno, start, end if rng.random() < 0.7 else None, kind, primary))
    return history(*links)


def test_a_range_equals_its_months_and_later_ends_do_not_matter():
    links, other = _random(1), _random(2)
    months = month_range(date(2005, 1, 1), date(2008, 12, 1))
    together = firm_links(links, months)
    assert together["month"].n_unique() == len(months)
    assert together.select("month", "permno").is_unique().all()
    for month in months:
        later = pl.col("month") > month
        later_end = later & (pl.col("event") == "end")
        longer = pl.when(later_end).then(pl.col("linkenddt").dt.offset_by("2y")).otherwise(pl.col("linkenddt"))
        own = together.filter(pl.col("month") == month)
        for changed in (
            links.filter(~later),
            links.with_columns(linkenddt=longer),
            pl.concat([links.filter(~later), other.filter(later & (pl.col("event") == "start"))]),
        ):
            assert_frame_equal(own, firm_links(changed, [month]), check_exact=True)
    assert dict(firm_links(links, []).schema) == SCHEMA
