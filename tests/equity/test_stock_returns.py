from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.equity.crsp_monthly import SCHEMA as CRSP
from pipeline.equity.delisting import DROP_CODES, PROFILES, ciz_delistings, siz_delistings
from pipeline.equity.returns import SCHEMA, returns_figures, stock_returns
from pipeline.equity.settings import StockReturnsSettings
from pipeline.panel.calendar import month_range, shift

APRIL, MAY, JUNE = (date(2008, month, 1) for month in (4, 5, 6))
FACTORS = pl.DataFrame({"month": [APRIL, MAY], "rf": [0.9, 0.002]})


def crsp(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {"layout": "siz", "delisted": False, "in_universe": True, "exchange": "N", "me": 50.0}
    return pl.DataFrame([{**plain, **row} for row in rows], schema=CRSP)


def earned(now: dict[str, Any], before: dict[str, Any] | None = None, profile: str = "shumway30") -> float | None:
    rows = crsp({"month": APRIL, "permno": 1, **(before or {})}, {"month": MAY, "permno": 1, **now})
    found = stock_returns(rows, FACTORS, [MAY], StockReturnsSettings(delisting=profile))
    return found["ret"].item() if found.height else None


GONE = {"delisted": True, "in_universe": False}


@pytest.mark.parametrize(
    ("now", "ret"),
    [
        ({"ret": 0.05}, 0.05),
        ({"ret": None}, None),
        ({"ret": 0.05, **GONE, "dlret": -0.4, "dlstcd": 574}, 1.05 * 0.6 - 1),
        ({"ret": 0.05, **GONE, "dlret": 0.1, "dlstcd": 231}, 1.05 * 1.1 - 1),
        ({"ret": None, **GONE, "dlret": -0.4, "dlstcd": 574}, -0.4),
        ({"ret": -0.2, **GONE, "dlret": -1.0, "dlstcd": 574}, -1.0),
        ({"ret": -0.2, **GONE, "dlret": -1.2, "dlstcd": 574}, -1.0),
        ({"ret": None, **GONE, "dlret": -1.2, "dlstcd": 574}, -1.0),
        ({"ret": 0.05, **GONE, "dlret": None, "dlstcd": 231}, 0.05),
        ({"ret": None, **GONE, "dlret": None, "dlstcd": 231}, None),
        ({"ret": 0.05, **GONE, "dlret": None, "dlstcd": None}, 0.05),
        # A row of a month in which nothing was delisted says nothing about delistings.
        ({"ret": 0.05, "dlret": -0.4, "dlstcd": 574}, 0.05),
    ],
)
def test_siz_compounds_the_delisting(now, ret):
    assert earned(now) == (None if ret is None else pytest.approx(ret, abs=1e-15))


@pytest.mark.parametrize(("code", "fills"), [(499, 0), (500, 1), (501, 0), (519, 0), (520, 1), (584, 1), (585, 0)])
def test_only_performance_delistings_are_filled(code, fills):
    now = {"ret": 0.1, **GONE, "dlstcd": code}
    assert earned(now) == pytest.approx(1.1 * 0.7 - 1 if fills else 0.1, abs=1e-15)
    alone = earned({**now, "ret": None})
    assert alone == (pytest.approx(-0.3) if fills else None)


@pytest.mark.parametrize(
    ("profile", "exchange", "ret"),
    [
        ("shumway30", "N", -0.3), ("shumway30", "A", -0.3), ("shumway30", "Q", -0.3),
        ("osap35_55", "N", -0.35), ("osap35_55", "A", -0.35), ("osap35_55", "Q", -0.55),
        ("none", "N", None), ("none", "Q", None),
    ],
)  # fmt: skip
def test_profiles_by_the_exchange_of_the_month_before(profile, exchange, ret):
    now = {"ret": None, **GONE, "dlstcd": 574, "exchange": "R"}
    assert earned(now, {"exchange": exchange}, profile) == ret
    reported = {**now, "dlret": -0.1}
    assert earned(reported, {"exchange": exchange}, profile) == -0.1


@pytest.mark.parametrize(
    ("now", "ret"),
    [
        ({"ret": -0.4, **GONE, "dlret": -0.3, "dlstcd": 574}, -0.4),
        ({"ret": None, **GONE, "dlret": -0.3, "dlstcd": 574}, -0.3),
        ({"ret": -0.4, **GONE, "dlret": None, "dlstcd": 574}, 0.6 * 0.7 - 1),
        ({"ret": None, **GONE, "dlret": None, "dlstcd": 574}, -0.3),
        ({"ret": -0.4, **GONE, "dlret": None, "dlstcd": None}, -0.4),
    ],
)
def test_ciz_never_compounds_what_is_in_the_return(now, ret):
    assert earned({"layout": "ciz", **now}, {"layout": "ciz"}) == pytest.approx(ret, abs=1e-15)


def test_the_universe_is_that_of_the_month_before():
    rows = crsp(
        {"month": APRIL, "permno": 1, "me": 40.0},
        {"month": APRIL, "permno": 2, "in_universe": False},
        {"month": APRIL, "permno": 3},
        {"month": APRIL, "permno": 4, "me": None},
        {"month": MAY, "permno": 1, "ret": 0.01, "in_universe": False, "common": False, "exchange": "R", "me": 9.0},
        {"month": MAY, "permno": 2, "ret": 0.02},
        {"month": MAY, "permno": 4, "ret": 0.04},
        {"month": MAY, "permno": 5, "ret": 0.05},
        {"month": JUNE, "permno": 3, "ret": 0.06},
    )
    found = stock_returns(rows, FACTORS, [MAY])
    assert dict(found.schema) == SCHEMA
    expected = pl.DataFrame(
        [(MAY, 1, 0.01, 0.01 - 0.002, 40.0), (MAY, 4, 0.04, 0.04 - 0.002, None)], schema=SCHEMA, orient="row"
    )
    assert_frame_equal(found, expected, check_exact=True)
    later = stock_returns(rows, FACTORS, [JUNE])
    assert later.height == 0  # permno 3 had no row in May


def test_a_month_without_riskless_rate_keeps_its_return():
    rows = crsp({"month": MAY, "permno": 1}, {"month": JUNE, "permno": 1, "ret": 0.01})
    assert stock_returns(rows, FACTORS, [JUNE]).row(0) == (JUNE, 1, 0.01, None, 50.0)


def test_delisting_tables_in_one_form():
    gone = pl.DataFrame(
        {
            "month": [MAY] * 4,
            "permno": [1, 2, 3, 3],
            "dlstdt": [date(2008, 5, day) for day in (3, 4, 6, 5)],
            "dlstcd": [100, None, 231, 500],
            "dlret": [None, 0.1, 0.2, 0.3],
        }
    )
    found = siz_delistings(gone).select("permno", "dlstcd", "dlret", "delisted_on").rows()
    assert found == [(2, None, 0.1, date(2008, 5, 4)), (3, 231, 0.2, date(2008, 5, 6))]
    ciz = pl.DataFrame(
        {
            "month": [MAY] * 5,
            "permno": [1, 2, 3, 4, 5],
            "delistingdt": [date(2008, 5, 3)] * 5,
            "delret": [None, None, 0.1, None, None],
            "delreasontype": ["UNAV", "UNAV", "INSC", "MVNM", "NEWER"],
            "delactiontype": ["GDR", "MER", "GDR", "GDR", "GDR"],
            "delstatustype": ["VCL"] * 5,
        }
    )
    assert ciz_delistings(ciz)["dlstcd"].to_list() == [500, None, 560, 502, None]
    assert ciz_delistings(ciz)["delreason"].to_list() == ["UNAV", "UNAV", "INSC", "MVNM", "NEWER"]
    assert all(500 <= code < 600 for code in DROP_CODES.values())


def test_figures():
    rows = crsp(
        *({"month": APRIL, "permno": permno} for permno in range(1, 7)),
        {"month": MAY, "permno": 1, "ret": 0.1},
        {"month": MAY, "permno": 2, **GONE, "dlret": 0.1, "dlstcd": 231},
        {"month": MAY, "permno": 3, **GONE, "ret": 0.2, "dlstcd": 580},
        {"month": MAY, "permno": 4, **GONE, "ret": 0.2, "dlstcd": 231},
        {"month": MAY, "permno": 5, **GONE, "dlstcd": 231},
    )
    assert returns_figures(rows, MAY) == {
        "waterfall": [{"step": "a return, delisting included", "rows_in": 6, "rows_out": 4}],
        "delisted": 4,
        "delisting_return_reported": 1,
        "delisting_return_filled": 1,
        "delisting_return_missing": 2,
        "delisted_without_month_before": 0,
    }
    without = returns_figures(rows, MAY, StockReturnsSettings(delisting="none"))
    assert (without["delisting_return_filled"], without["delisting_return_missing"]) == (0, 3)


def test_a_delisting_without_a_month_before_has_no_return_and_is_counted():
    rows = crsp(
        {"month": APRIL, "permno": 1},
        {"month": MAY, "permno": 1, "dlret": -0.2, "dlstcd": 574, **GONE},
        {"month": MAY, "permno": 2, "ret": 0.1, "dlret": -0.5, "dlstcd": 574, **GONE},
        {"month": MAY, "permno": 3, "ret": 0.1},
        {"month": JUNE, "permno": 4, **GONE},
    )
    assert stock_returns(rows, FACTORS, [MAY])["permno"].to_list() == [1]
    figures = returns_figures(rows, MAY)
    assert (figures["delisted"], figures["delisted_without_month_before"]) == (1, 1)


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="delisting is 'shumway'; the profiles are shumway30, osap35_55, none"):
        StockReturnsSettings(delisting="shumway")
    assert all(-1.0 <= value < 0.0 for profile in PROFILES.values() for value in profile.returns.values())


@pytest.mark.parametrize("layout", ["siz", "ciz"])
@pytest.mark.parametrize("profile", list(PROFILES))
def test_a_range_equals_its_months_and_a_plain_loop(layout, profile):
    rng = np.random.default_rng(7)
    months = month_range(date(2007, 12, 1), date(2008, 12, 1))
    rows = []
    for month in months:
        for permno in range(1, 31):
            gone = bool(rng.random() < 0.3)
            rows.append(
                {
                    "month": month, "permno": permno, "layout": layout, "delisted": gone,
                    "in_universe": bool(rng.random() < 0.8), "exchange": str(rng.choice(["N", "A", "Q"])),
                    "ret": None if rng.random() < 0.3 else float(rng.normal(0, 0.2)),
                    "dlret": None if not gone or rng.random() < 0.5 else float(rng.normal(-0.2, 0.2)),
                    "dlstcd": int(rng.choice([231, 500, 574, 510])) if gone else None,
                }
            )  # fmt: skip
    table = crsp(*rows)
    factors = pl.DataFrame({"month": months, "rf": rng.uniform(0, 0.01, len(months))})
    settings = StockReturnsSettings(delisting=profile)
    together = stock_returns(table, factors, months[1:], settings)
    singly = [
        stock_returns(
            table.filter(pl.col("month").is_between(shift(month, -1), month)),
            factors.filter(pl.col("month") == month),
            [month],
            settings,
        )
        for month in months[1:]
    ]
    assert_frame_equal(together, pl.concat(singly), check_exact=True)
    by_key = {(row["month"], row["permno"]): row for row in rows}
    expected = {}
    for month, permno in by_key:
        now, before = by_key[month, permno], by_key.get((shift(month, -1), permno))
        if before is None or not before["in_universe"]:
            continue
        further = now["dlret"]
        if now["delisted"] and further is None and now["dlstcd"] in (500, 574):
            further = PROFILES[profile].returns.get(before["exchange"])
        elif layout == "ciz" and now["ret"] is not None:
            further = None
        parts = [part for part in (now["ret"], further) if part is not None]
        if parts:
            expected[month, permno] = np.prod([1 + part for part in parts]) - 1
    found = {(month, permno): ret for month, permno, ret in together.select("month", "permno", "ret").iter_rows()}
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(value, abs=1e-14) for key, value in expected.items())
