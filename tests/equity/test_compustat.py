from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.equity.compustat import annual_figures, compustat_annual, compustat_quarterly, quarterly_figures
from pipeline.panel.calendar import month_range, shift

FORMAT = {"indfmt": "INDL", "datafmt": "STD", "popsrc": "D", "consol": "C"}
EQUITY = ("seq", "ceq", "pstk", "pstkrv", "pstkl", "txditc", "at", "lt")
FUNDA = {
    "month": pl.Date, "gvkey": pl.String, "datadate": pl.Date, **dict.fromkeys(FORMAT, pl.String),
    "fyear": pl.Int64, "fyr": pl.Int64, "curcd": pl.String, "sich": pl.Int64, "naicsh": pl.Int64, "cusip": pl.String,
    "conm": pl.String,
    **dict.fromkeys(EQUITY, pl.Float64),
}  # fmt: skip
FUNDQ = {
    "month": pl.Date, "gvkey": pl.String, "datadate": pl.Date, "fyr": pl.Int64, **dict.fromkeys(FORMAT, pl.String),
    "fyearq": pl.Int64, "fqtr": pl.Int64, "rdq": pl.Date, "curcdq": pl.String, "ibq": pl.Float64, "saleq": pl.Float64,
}  # fmt: skip
DECEMBER, APRIL = date(2007, 12, 31), date(2008, 4, 1)


def funda(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {"gvkey": "001001", "datadate": DECEMBER, **FORMAT, "curcd": "USD", "fyear": 2007, "fyr": 12, "at": 10.0}
    filled = [{**plain, **row} for row in rows]
    return pl.DataFrame([{"month": row["datadate"].replace(day=1), **row} for row in filled], schema=FUNDA)


def fundq(*rows: dict[str, Any]) -> pl.DataFrame:
    """Quarterly rows, staged by the month in which they became known."""
    plain = {
        "gvkey": "001001", "datadate": date(2008, 3, 31), "fyr": 12, **FORMAT, "curcdq": "USD", "fyearq": 2008,
        "fqtr": 1, "rdq": None, "ibq": 1.0,
    }  # fmt: skip
    staged = []
    for row in ({**plain, **row} for row in rows):
        reported = row["rdq"] if row["rdq"] and row["rdq"] >= row["datadate"] else None
        known = reported.replace(day=1) if reported else shift(row["datadate"].replace(day=1), 3)
        staged.append({"month": known, **row})
    return pl.DataFrame(staged, schema=FUNDQ)


def test_annual_record_by_hand():
    found = compustat_annual(funda({"sich": 3674, "naicsh": 334413, "seq": 5.0, "conm": "NOW", "cusip": "X"}), [APRIL])
    assert found.columns == ["month", "gvkey", "datadate", "fyear", "fyr", "sich", "naicsh", *EQUITY, "book_equity"]
    assert found.row(0, named=True) == {
        **dict.fromkeys(EQUITY), "month": APRIL, "gvkey": "001001", "datadate": DECEMBER, "fyear": 2007, "fyr": 12,
        "sich": 3674, "naicsh": 334413, "seq": 5.0, "at": 10.0, "book_equity": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("items", "book_equity"),
    [
        ({"seq": 5.0, "ceq": 9.0, "pstk": 9.0, "at": 9.0, "lt": 1.0}, -4.0),  # preferred at par: 5 - 9
        ({"seq": 5.0, "txditc": 0.5, "pstkrv": 1.0, "pstkl": 2.0, "pstk": 3.0}, 4.5),
        ({"seq": 5.0, "pstkl": 2.0, "pstk": 3.0}, 3.0),
        ({"seq": 5.0, "pstk": 3.0}, 2.0),
        ({"seq": 5.0, "pstkrv": 0.0, "pstk": 3.0}, 5.0),
        ({"ceq": 4.0, "pstk": 1.0, "at": 90.0, "lt": 1.0}, 4.0),
        ({"ceq": 4.0, "at": 90.0, "lt": 88.0}, 2.0),
        ({"at": 90.0, "lt": 88.0, "txditc": 0.25, "pstkrv": 0.5}, 1.75),
        ({"at": 90.0, "txditc": 1.0}, None),
        ({"at": None, "lt": 5.0, "ceq": 4.0}, None),
        ({"seq": -3.0, "txditc": 1.0}, -2.0),
    ],
)
def test_book_equity_by_hand(items, book_equity):
    assert compustat_annual(funda(items), [APRIL])["book_equity"].item() == book_equity


def test_only_one_format_in_dollars_counts():
    others = [{column: "OTHER"} for column in FORMAT]
    rows = funda({"at": 1.0}, *({**other, "at": 2.0} for other in others), {"curcd": "CAD", "gvkey": "001002"})
    assert compustat_annual(rows, [APRIL]).select("gvkey", "at").rows() == [("001001", 1.0)]
    assert annual_figures(rows, APRIL) == {
        "waterfall": [
            {"step": "indfmt INDL", "rows_in": 6, "rows_out": 5},
            {"step": "datafmt STD", "rows_in": 5, "rows_out": 4},
            {"step": "popsrc D", "rows_in": 4, "rows_out": 3},
            {"step": "consol C", "rows_in": 3, "rows_out": 2},
            {"step": "curcd USD", "rows_in": 2, "rows_out": 1},
        ]
    }
    assert annual_figures(rows, DECEMBER.replace(day=1))["waterfall"][0]["rows_in"] == 0


def test_a_repeated_record_is_named():
    rows = funda({"at": 1.0}, {"at": 2.0}, {"gvkey": "001002"})
    with pytest.raises(ValueError, match=r"comp\.funda: 1 records .* gvkey 001001, datadate 2007-12-31\. Export"):
        compustat_annual(rows, [APRIL])
    twice = fundq({"ibq": 1.0}, {"ibq": 2.0})
    with pytest.raises(ValueError, match=r"comp\.fundq: 1 records .* gvkey 001001, datadate 2008-03-31, fyr 12"):
        compustat_quarterly(twice, [date(2008, 6, 1)])


def test_a_year_is_available_four_months_after_its_end():
    rows = funda({"datadate": date(2007, 2, 28)}, {"datadate": date(2007, 11, 30)}, {"datadate": DECEMBER})
    found = compustat_annual(rows, month_range(date(2007, 6, 1), APRIL))
    assert found.select("month", "datadate").rows() == [
        (date(2007, 6, 1), date(2007, 2, 28)),
        (date(2008, 3, 1), date(2007, 11, 30)),
        (APRIL, DECEMBER),
    ]


def test_two_ends_in_one_fiscal_year_both_stay():
    rows = funda({"datadate": date(2007, 9, 30), "fyr": 9, "at": 1.0}, {"datadate": DECEMBER, "fyr": 12, "at": 2.0})
    found = compustat_annual(rows, month_range(date(2008, 1, 1), APRIL))
    assert found.select("fyear", "fyr", "at").rows() == [(2007, 9, 1.0), (2007, 12, 2.0)]


def test_quarters_by_the_month_of_their_report():
    march = date(2008, 3, 31)
    rows = fundq(
        {"gvkey": "A", "rdq": date(2008, 4, 25)},
        {"gvkey": "B", "rdq": date(2009, 1, 5)},
        {"gvkey": "C", "rdq": None},
        {"gvkey": "D", "rdq": date(2008, 2, 1)},
        {"gvkey": "E", "rdq": march},
    )
    found = compustat_quarterly(rows, month_range(date(2008, 1, 1), date(2009, 12, 1)))
    assert found.select("gvkey", "month", "rdq").sort("gvkey").rows() == [
        ("A", APRIL, date(2008, 4, 25)),
        ("B", date(2009, 1, 1), date(2009, 1, 5)),
        ("C", date(2008, 6, 1), None),
        ("D", date(2008, 6, 1), None),
        ("E", date(2008, 3, 1), march),
    ]
    assert found.columns == ["month", "gvkey", "datadate", "fyearq", "fqtr", "fyr", "rdq", "ibq", "saleq"]
    assert compustat_quarterly(rows, [date(2008, 3, 1)])["gvkey"].to_list() == ["E"]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ({"rdq": date(2008, 4, 25)}, {"rdq": date(2008, 5, 25)}, [(APRIL, 6)]),
        ({"rdq": date(2008, 5, 25)}, {"rdq": date(2008, 4, 25)}, [(APRIL, 12)]),
        ({"rdq": date(2008, 6, 25), "ibq": None}, {"saleq": 2.0}, [(date(2008, 6, 1), 6)]),
        ({"saleq": 2.0}, {}, [(date(2008, 6, 1), 6)]),
        ({}, {}, [(date(2008, 6, 1), 12)]),
        ({"rdq": date(2010, 3, 25)}, {"rdq": date(2010, 3, 25), "saleq": 1.0}, [(date(2010, 3, 1), 12)]),
        ({"rdq": date(2010, 4, 1)}, {"rdq": date(2011, 4, 1)}, []),
    ],
)
def test_a_quarter_under_two_fiscal_years_counts_once(first, second, kept):
    rows = fundq({"fyr": 6, **first}, {"fyr": 12, **second})
    months = month_range(date(2008, 1, 1), date(2011, 12, 1))
    assert compustat_quarterly(rows, months).select("month", "fyr").rows() == kept
    singly = [compustat_quarterly(rows.filter(pl.col("month") <= month), [month]) for month in months]
    assert pl.concat(singly).select("month", "fyr").rows() == kept


def test_quarterly_figures():
    june = date(2008, 6, 1)
    rows = fundq(
        {"gvkey": "A", "rdq": date(2008, 6, 2)},
        {"gvkey": "B"},
        {"gvkey": "C", "curcdq": "CAD"},
        {"gvkey": "D", "datafmt": "SUMM_STD"},
        {"gvkey": "E", "datadate": date(2005, 3, 31), "rdq": date(2008, 6, 2)},
        {"gvkey": "F", "fyr": 6},
        {"gvkey": "F", "fyr": 12, "rdq": date(2008, 5, 2)},
    )
    figures = quarterly_figures(rows, compustat_quarterly(rows, [june]), june)
    assert [(step["rows_in"], step["rows_out"]) for step in figures["waterfall"]] == [
        (6, 6), (6, 5), (5, 5), (5, 5), (5, 4), (4, 3), (3, 2)
    ]  # fmt: skip
    assert figures["without_rdq"] == 1
    assert compustat_quarterly(rows, [june])["gvkey"].to_list() == ["A", "B"]


def _random(seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    years, quarters = [], []
    for firm in range(15):
        key = {"gvkey": f"{firm:06d}"}
        for year in range(2003, 2009):
            end = date(year, 12, 28) if firm % 3 else date(year, 6, 28)
            items = {name: None if rng.random() < 0.3 else float(rng.normal(10, 5)) for name in EQUITY}
            years.append({**key, "datadate": end, "fyear": year, **items})
            years.append({**key, "datadate": end, "fyear": year, "indfmt": "FS", **items})
            for fqtr, month in enumerate((3, 6, 9, 12), start=1):
                quarter = {**key, "datadate": date(year, month, 28), "fyearq": year, "fqtr": fqtr}
                for fyr in (12, 6) if rng.random() < 0.2 else (12,):
                    late = shift(date(year, month, 1), int(rng.integers(-1, 30))).replace(day=20)
                    known = {"rdq": None if rng.random() < 0.2 else late, "ibq": float(rng.normal())}
                    quarters.append({**quarter, "fyr": fyr, **known})
    return funda(*years), fundq(*quarters)


def test_a_range_equals_its_months_and_later_rows_do_not_matter():
    months = month_range(date(2004, 6, 1), date(2008, 9, 1))
    annual, quarterly = _random(1)
    other_annual, other_quarterly = _random(2)
    years, quarters = compustat_annual(annual, months), compustat_quarterly(quarterly, months)
    assert years.height > 50
    assert quarters.height > 150
    assert quarters.select("gvkey", "datadate").is_unique().all()
    for month in months:
        later = pl.col("month") > month
        changed = pl.concat([annual.filter(~later), other_annual.filter(later)])
        own = years.filter(pl.col("month") == month)
        assert_frame_equal(own, compustat_annual(changed, [month]), check_exact=True)
        only = annual.filter(pl.col("month") == shift(month, -4))
        assert_frame_equal(own, compustat_annual(only, [month]), check_exact=True)
        changed = pl.concat([quarterly.filter(~later), other_quarterly.filter(later)])
        own = quarters.filter(pl.col("month") == month)
        assert_frame_equal(own, compustat_quarterly(changed, [month]), check_exact=True)
        window = quarterly.filter(pl.col("month").is_between(shift(month, -24), month))
        assert_frame_equal(own, compustat_quarterly(window, [month]), check_exact=True)
    assert compustat_annual(annual, []).height == compustat_quarterly(quarterly, []).height == 0
    assert compustat_annual(annual, []).schema == years.schema
    assert compustat_quarterly(quarterly, []).schema == quarters.schema
