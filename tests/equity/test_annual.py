"""Accounting characteristics of sets dg41 and kps36 against firm-years worked out by hand.

Every expected number stands as the fraction that a pencil gives, its arithmetic in the comment beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from math import log

import polars as pl
import pytest

from pipeline.equity.annual import ANNUAL, net_operating_assets, split_adjusted_shares, working_capital
from pipeline.equity.definition import DG41, KPS36
from pipeline.equity.records import ANNUAL as FISCAL_YEARS
from pipeline.equity.records import lags_of, with_earlier_periods
from pipeline.panel.calendar import shift

ENTRIES = {entry.name: entry for entry in ANNUAL}
SCALED = {name for name, entry in ENTRIES.items() if entry.level == "stock"}
TWO_YEARS = {"ac", "ato", "cto", "dpi2a", "investment", "ni", "noa", "oa", "rna", "roa", "roe"}

# Working capital (50 - 10) - (30 - 5 - 3) = 40 - 22 = 18; shares 10 * 2 = 20;
# net operating assets (100 - 10 - 4) - (100 - 5 - 20 - 1 - 2 - 40) = 86 - 32 = 54.
FIRST = {
    "at": 100, "act": 50, "che": 10, "lct": 30, "dlc": 5, "txp": 3, "csho": 10, "ajex": 2, "ivao": 4, "dltt": 20,
    "mib": 1, "pstk": 2, "ceq": 40, "seq": 45, "book_equity": 40, "sale": 120, "cogs": 70, "xsga": 20, "xrd": 3,
    "xad": 1, "revt": 122, "tie": 4, "xint": 6, "oiadp": 15, "gp": 52, "ib": 8, "ni": 7, "dp": 6, "wcapch": 2,
    "capx": 9, "txdb": 5, "ppegt": 60, "invt": 12, "me_annual": 80,
}  # fmt: skip
# Working capital (60 - 15) - (36 - 8 - 4) = 45 - 24 = 21; shares 22 * 1 = 22, after a split of two for one;
# net operating assets (125 - 15 - 5) - (125 - 8 - 25 - 2 - 2 - 48) = 105 - 40 = 65.
SECOND = {
    "at": 125, "act": 60, "che": 15, "lct": 36, "dlc": 8, "txp": 4, "csho": 22, "ajex": 1, "ivao": 5, "dltt": 25,
    "mib": 2, "pstk": 2, "ceq": 48, "seq": 67, "book_equity": 50, "sale": 150, "cogs": 90, "xsga": 24, "xrd": 3,
    "xad": 6, "revt": 152, "tie": 3, "xint": 5, "oiadp": 18, "gp": 61, "ib": 10, "ni": 9, "dp": 8, "wcapch": 3,
    "capx": 4, "txdb": 6, "ppegt": 75, "invt": 10, "me_annual": 100,
}  # fmt: skip
# Working capital (40 - 8) - (30 - 10 - 1) = 32 - 19 = 13; shares 11 * 2 = 22;
# net operating assets (80 - 8 - 2) - (80 - 10 - 15 - 0 - 0 - 25) = 70 - 30 = 40.
THIRD = {
    "at": 80, "act": 40, "che": 8, "lct": 30, "dlc": 10, "txp": 1, "csho": 11, "ajex": 2, "ivao": 2, "dltt": 15,
    "mib": 0, "pstk": 0, "ceq": 25, "seq": 25, "book_equity": 20, "sale": 100, "cogs": 85, "xsga": 25, "xrd": 5,
    "xad": 0, "revt": 100, "tie": 2, "xint": 9, "oiadp": -13, "gp": 14, "ib": -20, "ni": -22, "dp": 5, "wcapch": -4,
    "capx": 2, "txdb": 4, "ppegt": 70, "invt": 7, "me_annual": 16,
}  # fmt: skip
ITEMS = [name for name in FIRST if name != "me_annual"]

# firm, datadate, fyear, items. fyear is the calendar year of a year end in June to December, else the year before.
RECORDS = [
    ("plain", date(2001, 12, 31), 2001, FIRST),
    ("plain", date(2002, 12, 31), 2002, SECOND),
    ("plain", date(2003, 12, 31), 2003, THIRD),
    ("missing", date(2001, 12, 31), 2001, FIRST),
    ("missing", date(2002, 12, 31), 2002, SECOND | {"tie": None, "gp": None, "xrd": None}),
    ("missing", date(2003, 12, 31), 2003, THIRD | {"tie": None, "xint": None, "gp": None, "cogs": None, "xad": None,
                                                   "txp": None, "me_annual": None, "ivao": None}),
    ("missing", date(2004, 12, 31), 2004, SECOND | {"xsga": None, "xrd": None, "xad": None, "dlc": None, "ceq": None}),
    ("zero", date(2001, 12, 31), 2001, FIRST | {"at": 0, "dlc": 0, "dltt": 0, "mib": 0, "pstk": 0, "ceq": 14,
                                                "book_equity": 0, "csho": 0}),
    ("zero", date(2002, 12, 31), 2002, SECOND | {"sale": 0, "me_annual": 0, "seq": -33}),
    ("zero", date(2003, 12, 31), 2003, THIRD | {"sale": 0, "cogs": 0, "at": 0, "book_equity": 0, "me_annual": 0,
                                                "ib": 0}),
    ("negative", date(2001, 12, 31), 2001, FIRST | {"book_equity": -20}),
    ("negative", date(2002, 12, 31), 2002, SECOND | {"book_equity": -25, "seq": -40}),
    ("negative", date(2003, 12, 31), 2003, THIRD | {"ceq": -50, "dltt": 20, "dlc": 10, "che": 20}),
    ("negative", date(2004, 12, 31), 2004, SECOND),
    ("moved", date(2001, 6, 30), 2001, FIRST),
    ("moved", date(2001, 12, 31), 2001, FIRST | {"at": 80, "book_equity": 25, "ppegt": 65, "invt": 10}),
    ("moved", date(2002, 12, 31), 2002, SECOND | {"at": 120}),
    ("moved", date(2003, 5, 31), 2002, SECOND | {"at": 150, "csho": 25}),
    ("moved", date(2004, 5, 31), 2003, THIRD | {"at": 180, "sale": 300}),
    ("gap", date(2001, 3, 31), 2000, FIRST),
    ("gap", date(2003, 3, 31), 2002, SECOND),
    ("gap", date(2004, 3, 31), 2003, THIRD),
    ("shares", date(2001, 12, 31), 2001, FIRST | {"csho": 40, "ajex": 1}),
    ("shares", date(2002, 12, 31), 2002, SECOND | {"csho": 18, "ajex": 2}),
    ("shares", date(2003, 12, 31), 2003, THIRD | {"csho": 0}),
    ("shares", date(2004, 12, 31), 2004, SECOND),
    ("shares", date(2005, 12, 31), 2005, SECOND | {"ajex": None}),
]  # fmt: skip

NOTHING_BEFORE = dict.fromkeys(TWO_YEARS)  # every one of them missing
EXPECTED = {
    ("plain", date(2001, 12, 31)): {
        **NOTHING_BEFORE,
        "at": 100,
        "a2me": 5 / 4,  # 100 / 80
        "beme": 1 / 2,  # 40 / 80
        "c": 1 / 10,  # 10 / 100
        "cf": 1 / 20,  # (7 + 6 - 2 - 9) / 40 = 2 / 40
        "cf2p": 19 / 80,  # (8 + 6 + 5) / 80
        "d2a": 6 / 100,
        "e2p": 1 / 10,  # 8 / 80
        "fc2y": 1 / 5,  # (20 + 3 + 1) / 120 = 24 / 120
        "lev": 5 / 14,  # (20 + 5) / (20 + 5 + 45) = 25 / 70
        "ol": 9 / 10,  # (70 + 20) / 100
        "op": 7 / 10,  # (122 - 70 - 4 - 20) / 40 = 28 / 40
        "pcm": 5 / 12,  # (120 - 70) / 120 = 50 / 120
        "pm": 1 / 8,  # 15 / 120
        "prof": 13 / 10,  # 52 / 40
        "q": 27 / 20,  # (100 + 80 - 40 - 5) / 100 = 135 / 100
        "s2p": 3 / 2,  # 120 / 80
        "sga2s": 1 / 6,  # 20 / 120
        "sga2m": 1 / 4,  # 20 / 80
    },
    ("plain", date(2002, 12, 31)): {
        "at": 125,
        "a2me": 5 / 4,  # 125 / 100
        "ac": 3 / 125,  # (21/22 - 18/20) / (50/22) = (21 - 19.8) / 50 = 1.2 / 50
        "ato": 25 / 9,  # 150 / 54
        "beme": 1 / 2,  # 50 / 100
        "c": 3 / 25,  # 15 / 125
        "cf": 1 / 5,  # (9 + 8 - 3 - 4) / 50 = 10 / 50
        "cf2p": 6 / 25,  # (10 + 8 + 6) / 100
        "cto": 3 / 2,  # 150 / 100
        "d2a": 8 / 125,
        "dpi2a": 13 / 100,  # ((75 - 60) + (10 - 12)) / 100 = (15 - 2) / 100
        "e2p": 1 / 10,  # 10 / 100
        "fc2y": 11 / 50,  # (24 + 3 + 6) / 150 = 33 / 150
        "investment": 1 / 4,  # 125 / 100 - 1
        "lev": 33 / 100,  # (25 + 8) / (25 + 8 + 67)
        "ni": log(1.1),  # 22 * 1 over 10 * 2
        "noa": 13 / 20,  # 65 / 100
        "oa": -1 / 20,  # (21 - 18 - 8) / 100
        "ol": 114 / 125,  # (90 + 24) / 125
        "op": 7 / 10,  # (152 - 90 - 3 - 24) / 50 = 35 / 50
        "pcm": 2 / 5,  # (150 - 90) / 150
        "pm": 3 / 25,  # 18 / 150
        "prof": 61 / 50,
        "q": 171 / 125,  # (125 + 100 - 48 - 6) / 125
        "rna": 1 / 3,  # 18 / 54
        "roa": 1 / 10,  # 10 / 100
        "roe": 1 / 4,  # 10 / 40
        "s2p": 3 / 2,  # 150 / 100
        "sga2s": 4 / 25,  # 24 / 150
        "sga2m": 6 / 25,  # 24 / 100
    },
    ("plain", date(2003, 12, 31)): {
        "at": 80,
        "a2me": 5,  # 80 / 16
        "ac": -2 / 5,  # shares 22 in both years: (13 - 21) / 20
        "ato": 20 / 13,  # 100 / 65
        "beme": 5 / 4,  # 20 / 16
        "c": 1 / 10,  # 8 / 80
        "cf": -3 / 4,  # (-22 + 5 + 4 - 2) / 20 = -15 / 20
        "cf2p": -11 / 16,  # (-20 + 5 + 4) / 16
        "cto": 4 / 5,  # 100 / 125
        "d2a": 1 / 16,  # 5 / 80
        "dpi2a": -8 / 125,  # ((70 - 75) + (7 - 10)) / 125
        "e2p": -5 / 4,  # -20 / 16
        "fc2y": 3 / 10,  # (25 + 5 + 0) / 100
        "investment": -9 / 25,  # 80 / 125 - 1 = -45 / 125
        "lev": 1 / 2,  # (15 + 10) / (15 + 10 + 25)
        "ni": 0,  # log(11 * 2) - log(22 * 1)
        "noa": 8 / 25,  # 40 / 125
        "oa": -13 / 125,  # (13 - 21 - 5) / 125
        "ol": 11 / 8,  # (85 + 25) / 80
        "op": -3 / 5,  # (100 - 85 - 2 - 25) / 20 = -12 / 20
        "pcm": 3 / 20,  # (100 - 85) / 100
        "pm": -13 / 100,
        "prof": 7 / 10,  # 14 / 20
        "q": 67 / 80,  # (80 + 16 - 25 - 4) / 80
        "rna": -1 / 5,  # -13 / 65
        "roa": -4 / 25,  # -20 / 125
        "roe": -2 / 5,  # -20 / 50
        "s2p": 25 / 4,  # 100 / 16
        "sga2s": 1 / 4,  # 25 / 100
        "sga2m": 25 / 16,
    },
    ("missing", date(2001, 12, 31)): {**NOTHING_BEFORE, "op": 7 / 10, "prof": 13 / 10, "fc2y": 1 / 5},  # as plain
    ("missing", date(2002, 12, 31)): {
        "op": 33 / 50,  # xint for tie: (152 - 90 - 5 - 24) / 50
        "prof": 6 / 5,  # sale - cogs for gp: (150 - 90) / 50
        "fc2y": 1 / 5,  # (24 + 0 + 6) / 150
        "ac": 3 / 125,  # as the plain firm
    },
    ("missing", date(2003, 12, 31)): {
        "op": None,  # neither tie nor xint, and no cogs
        "prof": None,  # neither gp nor cogs
        "fc2y": 3 / 10,  # (25 + 5 + 0) / 100
        "ac": None,  # no txp
        "oa": None,
        "noa": None,  # no ivao
        "ato": 20 / 13,  # lagged net operating assets are there: 100 / 65
        "rna": -1 / 5,  # -13 / 65
        "pcm": None,
        "ol": None,
        **dict.fromkeys(SCALED),  # no market equity
        "roa": -4 / 25,  # -20 / 125
    },
    ("missing", date(2004, 12, 31)): {
        "fc2y": None,  # xsga must be there
        "sga2s": None,
        "sga2m": None,
        "op": None,
        "ac": None,  # neither txp of 2003 nor dlc of 2004
        "oa": None,
        "lev": None,  # no dlc
        "noa": None,
        "ato": None,  # ivao of 2003 is missing
        "rna": None,
        "q": None,  # no ceq
        "cf2p": 6 / 25,  # (10 + 8 + 6) / 100
        "roe": 1 / 2,  # 10 / 20
        "dpi2a": 1 / 10,  # ((75 - 70) + (10 - 7)) / 80 = 8 / 80
    },
    ("zero", date(2001, 12, 31)): {
        **NOTHING_BEFORE,
        "at": 0,
        "c": None,
        "d2a": None,
        "ol": None,
        "q": None,
        "cf": None,
        "op": None,
        "prof": None,
        "lev": 0,  # (0 + 0) / (0 + 0 + 45)
        "a2me": 0,  # 0 / 80
        "beme": 0,
    },
    ("zero", date(2002, 12, 31)): {
        # Net operating assets of 2001: (0 - 10 - 4) - (0 - 0 - 0 - 0 - 0 - 14) = -14 + 14 = 0.
        **NOTHING_BEFORE,
        "pcm": None,  # sale 0
        "pm": None,
        "fc2y": None,
        "sga2s": None,
        "lev": None,  # 33 / (33 - 33)
        "cf": 1 / 5,  # book equity is 50 as in the plain firm
        "prof": 61 / 50,
        **dict.fromkeys(SCALED - {"q"}),  # market equity 0
        "q": 71 / 125,  # (125 + 0 - 48 - 6) / 125
    },
    ("zero", date(2003, 12, 31)): {
        "ato": 0,  # 0 / 65
        "cto": 0,  # 0 / 125
        "roa": 0,
        "roe": 0,
        "investment": -1,  # 0 / 125 - 1
        "pcm": None,  # 0 / 0
        "prof": None,  # 14 / 0
        "c": None,
        "s2p": None,  # 0 / 0
        "e2p": None,
    },
    ("negative", date(2001, 12, 31)): {
        **NOTHING_BEFORE,
        "beme": -1 / 4,  # -20 / 80
        "cf": -1 / 10,  # 2 / -20
        "op": -7 / 5,  # 28 / -20
        "prof": -13 / 5,  # 52 / -20
    },
    ("negative", date(2002, 12, 31)): {
        "ac": -6 / 125,  # 1.2 / -25
        "roe": -1 / 2,  # 10 / -20
        "beme": -1 / 4,  # -25 / 100
        "lev": -33 / 7,  # 33 / (33 - 40)
    },
    ("negative", date(2003, 12, 31)): {
        "roe": 4 / 5,  # -20 / -25, a loss over negative book equity
        # (80 - 20 - 2) - (80 - 10 - 20 - 0 - 0 + 50) = 58 - 100 = -42
        "noa": -42 / 125,
        "q": 71 / 40,  # (80 + 16 + 50 - 4) / 80 = 142 / 80
        "lev": 6 / 11,  # (20 + 10) / (20 + 10 + 25)
        "c": 1 / 4,  # 20 / 80
        # working capital (40 - 20) - (30 - 10 - 1) = 1
        "ac": -1,  # (1 - 21) / 20
        "oa": -1 / 5,  # (1 - 21 - 5) / 125 = -25 / 125
    },
    ("negative", date(2004, 12, 31)): {
        "ato": -25 / 7,  # 150 / -42
        "rna": -3 / 7,  # 18 / -42
    },
    ("moved", date(2001, 6, 30)): NOTHING_BEFORE,
    ("moved", date(2001, 12, 31)): {**NOTHING_BEFORE, "at": 80},  # fiscal 2001 again, and no fiscal 2000
    ("moved", date(2002, 12, 31)): {
        # The year before is the newer of the two of fiscal 2001.
        "investment": 1 / 2,  # 120 / 80 - 1
        "roe": 2 / 5,  # 10 / 25
        "dpi2a": 1 / 8,  # ((75 - 65) + (10 - 10)) / 80
        "cto": 15 / 8,  # 150 / 80
    },
    ("moved", date(2003, 5, 31)): {
        # A year end of May counts to fiscal 2002, and fiscal 2001 is 17 months back.
        "investment": 7 / 8,  # 150 / 80 - 1
        "roe": 2 / 5,  # 10 / 25
        "ni": log(1.25),  # 25 * 1 over 10 * 2
    },
    ("moved", date(2004, 5, 31)): {
        "investment": 1 / 5,  # 180 / 150 - 1
        "cto": 2,  # 300 / 150
        "ato": 60 / 13,  # 300 / 65 with at of 150 in both legs, where it cancels
        "ni": log(0.88),  # 11 * 2 over 25 * 1
        "roe": -2 / 5,  # -20 / 50
    },
    ("gap", date(2001, 3, 31)): {**NOTHING_BEFORE, "a2me": 5 / 4},
    ("gap", date(2003, 3, 31)): {**NOTHING_BEFORE, "a2me": 5 / 4, "prof": 61 / 50},  # no fiscal 2001
    ("gap", date(2004, 3, 31)): {"investment": -9 / 25, "roe": -2 / 5, "ni": 0, "ac": -2 / 5},  # as the plain firm
    ("shares", date(2001, 12, 31)): {**NOTHING_BEFORE, "s2p": 3 / 2},
    ("shares", date(2002, 12, 31)): {
        "ni": log(0.9),  # 18 * 2 over 40 * 1
        "ac": 24 / 250,  # (21/36 - 18/40) / (50/36) = (21 - 16.2) / 50 = 4.8 / 50
        "oa": -1 / 20,  # whatever the shares: (21 - 18 - 8) / 100
    },
    ("shares", date(2003, 12, 31)): {"ni": None, "ac": None, "oa": -13 / 125},  # log of 0 shares
    ("shares", date(2004, 12, 31)): {"ni": None, "ac": None, "roe": 1 / 2},  # 10 / 20
    ("shares", date(2005, 12, 31)): {"ni": None, "ac": None, "investment": 0},
}


def records(rows: Iterable[tuple[str, date, int, dict[str, float | None]]] = RECORDS) -> pl.DataFrame:
    """Firm-years in the layout of ``compustat_annual``, available four months after their end."""
    return pl.DataFrame(
        [
            {"month": shift(end.replace(day=1), 4), "gvkey": firm, "datadate": end, "fyear": fyear, **items}
            for firm, end, fyear, items in rows
        ],
        schema={
            "month": pl.Date,
            "gvkey": pl.String,
            "datadate": pl.Date,
            "fyear": pl.Int64,
            **dict.fromkeys(FIRST, pl.Float64),
        },
    )


def held(table: pl.DataFrame) -> pl.DataFrame:
    """Every firm-year as its own chosen record, items of the year before beside it."""
    formulas = [each for entry in ANNUAL for each in (*entry.carries.values(), entry.formula)]
    chosen = table.select("month", "gvkey", "datadate")
    return with_earlier_periods(chosen, table, FISCAL_YEARS, lags_of(formulas))


def evaluated(frame: pl.DataFrame) -> pl.DataFrame:
    """Key and every characteristic, what is not finite null."""
    carried = frame.with_columns(formula.alias(name) for entry in ANNUAL for name, formula in entry.carries.items())
    values = carried.select("gvkey", "datadate", *(entry.formula.alias(entry.name) for entry in ANNUAL))
    return values.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in ENTRIES)


@pytest.fixture(scope="module")
def by_hand() -> dict[tuple[str, date], dict[str, float | None]]:
    rows = evaluated(held(records())).rows(named=True)
    return {(row.pop("gvkey"), row.pop("datadate")): row for row in rows}


@pytest.mark.parametrize("firm_year", EXPECTED, ids=lambda key: f"{key[0]}-{key[1]}")
def test_firm_years_worked_out_by_hand(by_hand, firm_year):
    values = by_hand[firm_year]
    for name, expected in EXPECTED[firm_year].items():
        assert values[name] == (None if expected is None else pytest.approx(expected, rel=1e-13, abs=1e-15)), name


def test_the_cases_cover_every_record_and_every_characteristic_twice():
    assert set(EXPECTED) == {(firm, end) for firm, end, _, _ in RECORDS}
    assert len(EXPECTED) >= 20
    for name in ENTRIES:
        numbers = {values[name] for values in EXPECTED.values() if values.get(name) is not None}
        assert len(numbers) >= 2, name


def test_shared_pieces_by_hand():
    year = records([("plain", date(2001, 12, 31), 2001, FIRST)])
    pieces = year.select(wc=working_capital(), noa=net_operating_assets(), shares=split_adjusted_shares())
    assert pieces.row(0) == (18.0, 54.0, 20.0)
    before = year.rename({name: f"{name}_1" for name in ITEMS})
    pieces = before.select(wc=working_capital(1), noa=net_operating_assets(1), shares=split_adjusted_shares(1))
    assert pieces.row(0) == (18.0, 54.0, 20.0)


# An item without which the characteristic stands, by what its definition puts in its place.
REPLACED = {
    *(("fc2y", item) for item in ("xrd", "xad")),
    *(("op", item) for item in ("tie", "xint")),
    *(("prof", item) for item in ("gp", "sale", "cogs")),
}


def _value(name: str, years: Iterable[dict[str, float | None]]) -> float | None:
    rows = [("f", date(2001 + k, 12, 31), 2001 + k, items) for k, items in enumerate(years)]
    return evaluated(held(records(rows)))[name][-1]


@pytest.mark.parametrize("name", ENTRIES)
def test_inputs_are_those_that_the_value_depends_on(name):
    """Without any one of its inputs there is no value; without all the other items it is the same."""
    inputs = {column.partition(".")[2] for column in ENTRIES[name].inputs} - {"me_permco"}
    full = _value(name, [FIRST, SECOND])
    assert full is not None
    others = dict.fromkeys(set(ITEMS) - inputs)
    if "crsp_monthly.me_permco" not in ENTRIES[name].inputs:
        others["me_annual"] = None
    assert _value(name, [FIRST | others, SECOND | others]) == full
    for item in inputs:
        value = _value(name, [FIRST | {item: None}, SECOND | {item: None}])
        assert (value is None) == ((name, item) not in REPLACED), item


@pytest.mark.parametrize("name", ENTRIES)
def test_the_year_before_is_asked_for_where_it_is_needed(name):
    alone = _value(name, [SECOND])
    assert (alone is None) == (name in TWO_YEARS)
    assert ENTRIES[name].history.startswith("two fiscal years" if name in TWO_YEARS else "one fiscal year")


def test_ratios_do_not_depend_on_the_unit_of_money():
    """Four times every amount, a change of the exponent only, leaves each ratio as it is to the last bit."""
    table = records()
    money = [name for name in FIRST if name not in ("csho", "ajex")]
    before, after = evaluated(held(table)), evaluated(held(table.with_columns(pl.col(name) * 4.0 for name in money)))
    assert after.drop("at").equals(before.drop("at"))
    assert after["at"].equals(before["at"] * 4.0)


def test_a_split_changes_nothing():
    """Four shares for one from 2002 on, and four times the adjustment factor of the records before."""
    table = records()
    later = pl.col("datadate") >= date(2002, 1, 1)
    split = table.with_columns(
        csho=pl.when(later).then(pl.col("csho") * 4.0).otherwise(pl.col("csho")),
        ajex=pl.when(later).then(pl.col("ajex")).otherwise(pl.col("ajex") * 4.0),
    )
    before, after = evaluated(held(table)), evaluated(held(split))
    others = [name for name in ENTRIES if name not in ("ni", "ac")]
    assert after.select(others).equals(before.select(others))
    for name in ("ni", "ac"):
        assert after[name].is_null().equals(before[name].is_null())
        assert after[name].drop_nulls().to_list() == pytest.approx(before[name].drop_nulls().to_list(), abs=1e-14)


def test_a_record_has_the_same_bits_alone_and_among_many():
    frame = held(records())
    together = evaluated(pl.concat([frame] * 40)).tail(frame.height)
    alone = pl.concat([evaluated(frame.slice(row, 1)) for row in range(frame.height)])
    assert alone.equals(together, null_equal=True)


def test_entries():
    assert len(ENTRIES) == len(ANNUAL) == 30
    only = {(DG41,): {"ac", "cf2p", "ni", "op", "sga2s"}, (KPS36,): {"sga2m"}}
    for name, entry in ENTRIES.items():
        assert entry.sets == next((sets for sets, names in only.items() if name in names), (DG41, KPS36))
    scaled = {"a2me", "beme", "cf2p", "e2p", "q", "s2p", "sga2m"}
    for entry in ANNUAL:
        assert entry.level == ("stock" if entry.name in scaled else "annual")
        assert entry.timing == "annual"
        assert all((entry.definition, entry.unit, entry.reference, entry.history))


def test_a_stock_formula_reads_only_what_it_carries_and_market_equity():
    carried = [name for entry in ANNUAL for name in entry.carries]
    assert len(carried) == len(set(carried))
    assert not set(carried) & ({*ENTRIES} | set(ITEMS))
    for name in SCALED:
        assert set(ENTRIES[name].formula.meta.root_names()) == {*ENTRIES[name].carries, "me_annual"}
