from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.equity.crsp_monthly import SCHEMA, crsp_monthly
from pipeline.equity.universe import universe_figures
from pipeline.panel.calendar import month_range, shift

APRIL, MAY, JUNE = (date(2008, month, 1) for month in (4, 5, 6))
MAY_END = date(2008, 5, 30)

MSF = {
    "month": pl.Date, "permno": pl.Int64, "date": pl.Date, "permco": pl.Int64, "prc": pl.Float64, "ret": pl.Float64,
    "retx": pl.Float64, "shrout": pl.Float64, "vol": pl.Float64, "cfacpr": pl.Float64, "cfacshr": pl.Float64,
}  # fmt: skip
MSENAMES = {
    "month": pl.Date, "permno": pl.Int64, "namedt": pl.Date, "event": pl.String, "nameendt": pl.Date,
    "shrcd": pl.Int64, "exchcd": pl.Int64, "siccd": pl.Int64, "ncusip": pl.String, "ticker": pl.String,
    "comnam": pl.String,
}  # fmt: skip
MSEDELIST = {"month": pl.Date, "permno": pl.Int64, "dlstdt": pl.Date, "dlstcd": pl.Int64, "dlret": pl.Float64}
CIZ_TEXT = (
    "sharetype", "securitytype", "securitysubtype", "usincflg", "issuertype", "primaryexch", "conditionaltype",
    "tradingstatusflg", "cusip", "ticker", "issuernm", "mthretflg",
)  # fmt: skip
MSF_V2 = {
    "month": pl.Date, "permno": pl.Int64, "mthcaldt": pl.Date, "permco": pl.Int64,
    **dict.fromkeys(("mthprc", "mthret", "mthretx", "mthvol", "shrout", "mthcap", "mthcumfacpr"), pl.Float64),
    "mthcumfacshr": pl.Float64, "siccd": pl.Int64, **dict.fromkeys(CIZ_TEXT, pl.String),
}  # fmt: skip
STKDELISTS = {
    "month": pl.Date, "permno": pl.Int64, "delistingdt": pl.Date, "delret": pl.Float64, "delreasontype": pl.String,
    "delactiontype": pl.String, "delstatustype": pl.String,
}  # fmt: skip


def month_of(day: date) -> date:
    return day.replace(day=1)


def msf(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {"date": MAY_END, "permco": 1, "prc": 10.0, "ret": 0.01, "retx": 0.01, "shrout": 1000.0, "vol": 5.0}
    filled = [{**plain, "cfacpr": 1.0, "cfacshr": 1.0, **row} for row in rows]
    return pl.DataFrame([{"month": month_of(row["date"]), **row} for row in filled], schema=MSF)


def name(permno: int, start: date, end: date | None = None, **said: Any) -> list[dict[str, Any]]:
    said = {"shrcd": 11, "exchcd": 1, "siccd": 100, "ncusip": "C", "ticker": "T", "comnam": "N", **said}
    events = [{"month": month_of(start), "permno": permno, "namedt": start, "event": "start", **said}]
    if end:
        events.append({"month": month_of(end), "permno": permno, "namedt": start, "event": "end", "nameendt": end})
    return events


def msenames(*names: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([event for events in names for event in events], schema=MSENAMES)


def msedelist(*rows: tuple[int, date, int | None, float | None]) -> pl.DataFrame:
    return pl.DataFrame([(month_of(row[1]), *row) for row in rows], schema=MSEDELIST, orient="row")


def msf_v2(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {
        "mthcaldt": MAY_END, "permco": 1, "mthprc": 10.0, "mthret": 0.01, "mthretx": 0.01, "mthvol": 500.0,
        "shrout": 1000.0, "mthcumfacpr": 1.0, "mthcumfacshr": 1.0, "siccd": 100, "sharetype": "NS",
        "securitytype": "EQTY", "securitysubtype": "COM", "usincflg": "Y", "issuertype": "CORP", "primaryexch": "N",
        "conditionaltype": "RW", "tradingstatusflg": "A", "cusip": "C", "ticker": "T", "issuernm": "N",
    }  # fmt: skip
    filled = [{**plain, **row} for row in rows]
    return pl.DataFrame([{"month": month_of(row["mthcaldt"]), **row} for row in filled], schema=MSF_V2)


def stkdelists(*rows: tuple[int, date, float | None, str, str]) -> pl.DataFrame:
    return pl.DataFrame([(month_of(row[1]), *row, "VCL") for row in rows], schema=STKDELISTS, orient="row")


OLD = name(1, date(1990, 1, 2))
NONE_GONE = msedelist()


def siz(rows: pl.DataFrame, names: pl.DataFrame, delistings: pl.DataFrame = NONE_GONE, months=(MAY,)) -> pl.DataFrame:
    return crsp_monthly(rows, names, delistings, None, None, months)


def ciz(rows: pl.DataFrame, delistings: pl.DataFrame | None = None, months=(MAY,)) -> pl.DataFrame:
    return crsp_monthly(None, None, None, rows, delistings, months)


def test_units_signs_and_missing_codes_by_hand():
    rows = msf(
        {"permno": 1, "prc": -12.5, "shrout": 2000.0, "vol": 30.0, "ret": None, "cfacpr": 2.0, "cfacshr": 4.0},
        {"permno": 2, "permco": 2, "prc": 0.0, "vol": None},
        {"permno": 3, "permco": 3, "shrout": 0.0},
    )
    found = siz(rows, msenames(OLD, name(2, date(2000, 1, 3)), name(3, date(2000, 1, 3))))
    assert dict(found.schema) == SCHEMA
    first, second, third = found.to_dicts()
    assert first == {
        "month": MAY, "permno": 1, "permco": 1, "date": MAY_END, "prc": 12.5, "ret": None, "retx": 0.01, "dlret": None,
        "dlstcd": None, "delreason": None, "delisted": False, "shrout": 2000.0, "volume": 3000.0, "me": 25.0,
        "me_permco": 25.0, "cfacpr": 2.0, "cfacshr": 4.0, "siccd": 100, "exchange": "N", "common": True,
        "in_universe": True, "ncusip": "C", "ticker": "T", "comnam": "N", "layout": "siz",
    }  # fmt: skip
    assert (second["prc"], second["me"], second["me_permco"], second["volume"]) == (None, None, None, None)
    assert (third["shrout"], third["me"]) == (None, None)


def test_ciz_reads_the_same_month_into_the_same_row():
    by_siz = siz(msf({"permno": 1, "prc": -12.5}), msenames(OLD))
    by_ciz = ciz(msf_v2({"permno": 1, "mthprc": 12.5}))
    assert_frame_equal(by_siz.drop("layout"), by_ciz.drop("layout"), check_exact=True)
    assert by_ciz["layout"].to_list() == ["ciz"]


def test_company_size_sums_securities_in_the_order_of_permno():
    shrout = {11: 1000.0, 12: 0.1, 13: 0.2, 14: 0.3}
    rows = msf(
        *({"permno": permno, "permco": 5, "prc": 3.3, "shrout": each} for permno, each in reversed(shrout.items())),
        {"permno": 15, "permco": 5, "prc": 0.0},
        {"permno": 16, "permco": 6, "prc": 1.1, "shrout": 7.0},
        {"permno": 17, "permco": None, "prc": 1.0},
    )
    found = siz(rows, msenames(*(name(permno, date(1990, 1, 2)) for permno in range(11, 18))))
    sizes = [3.3 * each * 0.001 for each in shrout.values()]
    total = ((sizes[0] + sizes[1]) + sizes[2]) + sizes[3]
    assert total != ((sizes[3] + sizes[2]) + sizes[1]) + sizes[0]  # so that the order shows
    assert found.filter(pl.col("permco") == 5)["me_permco"].to_list() == [total] * 5
    assert found.filter(pl.col("permco") == 6)["me_permco"].to_list() == [1.1 * 7.0 * 0.001]
    assert found.filter(pl.col("permno") == 17)["me_permco"].to_list() == [None]


def test_company_size_is_of_one_month():
    rows = msf(*({"permno": 1, "date": day, "prc": prc} for day, prc in ((date(2008, 4, 30), 1.0), (MAY_END, 2.0))))
    assert siz(rows, msenames(OLD), months=[APRIL, MAY])["me_permco"].to_list() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("month", "exchcd", "volume"),
    [
        (date(2001, 1, 1), 3, 400.0),
        (date(2001, 2, 1), 3, 800.0 * (1.0 / 1.8)),
        (date(2001, 12, 1), 3, 800.0 * (1.0 / 1.8)),
        (date(2002, 1, 1), 3, 500.0),
        (date(2003, 12, 1), 3, 500.0),
        (date(2004, 1, 1), 3, 800.0),
        (date(1995, 1, 1), 1, 800.0),
        (date(1995, 1, 1), 2, 800.0),
    ],
)
def test_nasdaq_volume_is_divided_until_2003(month, exchcd, volume):
    day = month.replace(day=28)
    rows = msf({"permno": 1, "date": day, "vol": 8.0}, {"permno": 2, "date": day, "vol": 8.0})
    names = [name(permno, date(1990, 1, 2), exchcd=exchcd) for permno in (1, 2)]
    assert siz(rows, msenames(*names), months=[month])["volume"].to_list() == [volume, volume]
    alone = siz(rows.head(1), msenames(*names), months=[month])
    assert alone["volume"].to_list() == [volume]
    letter = {1: "N", 2: "A", 3: "Q"}[exchcd]
    other = ciz(msf_v2({"permno": 1, "mthcaldt": day, "mthvol": 800.0, "primaryexch": letter}), months=[month])
    assert other["volume"].to_list() == [volume]


@pytest.mark.parametrize(
    ("shrcd", "exchcd", "common", "exchange", "in_universe"),
    [
        (10, 1, True, "N", True),
        (11, 2, True, "A", True),
        (11, 3, True, "Q", True),
        (11, 4, True, "R", False),
        (11, -2, True, None, False),
        (11, 31, True, None, False),
        (12, 1, False, "N", False),
        (18, 3, False, "Q", False),
        (31, 3, False, "Q", False),
        (None, 1, False, "N", False),
    ],
)
def test_siz_universe(shrcd, exchcd, common, exchange, in_universe):
    found = siz(msf({"permno": 1}), msenames(name(1, date(2000, 1, 3), shrcd=shrcd, exchcd=exchcd))).row(0, named=True)
    assert (found["common"], found["exchange"], found["in_universe"]) == (common, exchange, in_universe)


@pytest.mark.parametrize(
    ("said", "common", "in_universe"),
    [
        ({}, True, True),
        ({"issuertype": "ACOR", "primaryexch": "Q", "conditionaltype": "NW"}, True, True),
        ({"sharetype": "AD"}, False, False),
        ({"securitytype": "FUND"}, False, False),
        ({"securitysubtype": "REIT"}, False, False),
        ({"usincflg": "N"}, False, False),
        ({"issuertype": "REIT"}, False, False),
        ({"issuertype": None}, False, False),
        ({"primaryexch": "R"}, True, False),
        ({"conditionaltype": "WI"}, True, False),
        ({"tradingstatusflg": "H"}, True, False),
    ],
)
def test_ciz_universe(said, common, in_universe):
    found = ciz(msf_v2({"permno": 1, **said})).row(0, named=True)
    assert (found["common"], found["in_universe"]) == (common, in_universe)


def test_the_last_name_of_the_month_counts():
    names = msenames(
        name(1, date(1990, 1, 2), date(2008, 4, 20), ticker="OLD"),
        name(1, date(2008, 4, 21), date(2008, 5, 14), ticker="MID", exchcd=2),
        name(1, date(2008, 5, 15), ticker="NEW", exchcd=3),
        name(1, date(2008, 6, 2), ticker="LATER", shrcd=73),
    )
    rows = msf(*({"permno": 1, "date": day} for day in (date(2008, 4, 30), MAY_END, date(2008, 6, 30))))
    found = siz(rows, names, months=[APRIL, MAY, JUNE])
    assert found["ticker"].to_list() == ["MID", "NEW", "LATER"]
    assert found["exchange"].to_list() == ["A", "Q", "N"]
    assert found["in_universe"].to_list() == [True, True, False]


@pytest.mark.parametrize(
    ("end", "ticker", "in_universe"),
    [
        (date(2008, 5, 30), "T", True),  # the vendor's end of a name that lasts: the last day of the data
        (date(2008, 5, 31), "T", True),
        (date(2009, 1, 5), "T", True),
        (date(2008, 5, 29), "T", False),
        (date(2008, 4, 30), None, False),
    ],
)
def test_a_name_that_has_ended_leaves_the_universe(end, ticker, in_universe):
    names = msenames(name(1, date(1990, 1, 2), end), name(2, date(1990, 1, 2)))
    found = siz(msf({"permno": 1}, {"permno": 2}), names).row(0, named=True)
    assert (found["ticker"], found["in_universe"]) == (ticker, in_universe)


def test_names_that_end_before_the_month_are_refused():
    april = date(2008, 4, 30)
    names = msenames(*(name(permno, date(1990, 1, 2), april) for permno in (1, 2, 3)), name(4, date(2008, 6, 2)))
    rows = msf(*({"permno": permno, "date": day} for permno in (1, 2, 3, 4) for day in (april, MAY_END)))
    assert siz(rows, names, months=[APRIL])["in_universe"].to_list() == [True, True, True, False]
    message = (
        r"crsp\.msenames: fewer than half of the rows of crsp\.msf have a name in force \(2008-05: 0 of 4 rows\)\. "
        r"Export crsp\.msenames again, to the same day as crsp\.msf\."
    )
    with pytest.raises(ValueError, match=message):
        siz(rows, names, months=[APRIL, MAY])


def test_half_of_the_names_are_enough_and_delisted_securities_do_not_count():
    ended = date(2008, 5, 16)
    names = msenames(OLD, *(name(permno, date(1990, 1, 2), ended) for permno in (2, 3, 4)))
    rows = msf(*({"permno": permno} for permno in (1, 2, 3, 4)))
    gone = msedelist(*((permno, ended, 500, None) for permno in (3, 4)))
    assert siz(rows, names, gone)["in_universe"].to_list() == [True, False, False, False]
    with pytest.raises(ValueError, match="2008-05: 1 of 4 rows"):
        siz(rows, names)


def test_a_security_without_a_name_is_kept_outside_the_universe():
    found = siz(msf({"permno": 1}, {"permno": 9}), msenames(OLD)).row(1, named=True)
    assert (found["permno"], found["common"], found["in_universe"], found["exchange"]) == (9, False, False, None)


def test_delisting_with_a_row_and_without_one():
    rows = msf(
        {"permno": 1, "ret": -0.2},
        {"permno": 2, "date": date(2008, 4, 30), "permco": 22},
        {"permno": 3, "date": date(2008, 4, 30), "permco": 33},
    )
    names = msenames(
        name(1, date(1990, 1, 2), date(2008, 5, 20)), name(2, date(1990, 1, 2), date(2008, 5, 12), ticker="TWO")
    )
    gone = msedelist((1, date(2008, 5, 20), 574, None), (2, date(2008, 5, 12), 231, 0.02), (3, MAY_END, 100, None))
    found = siz(rows, names, gone)
    first, second = found.to_dicts()
    assert found["permno"].to_list() == [1, 2]  # code 100 is no delisting
    assert (first["ret"], first["delisted"], first["dlstcd"], first["dlret"]) == (-0.2, True, 574, None)
    assert (first["ticker"], first["common"], first["in_universe"]) == ("T", True, False)
    assert (second["permco"], second["date"], second["ticker"]) == (22, date(2008, 5, 12), "TWO")
    assert (second["ret"], second["prc"], second["me"], second["dlret"]) == (None, None, None, 0.02)
    assert (second["dlstcd"], second["delisted"], second["in_universe"]) == (231, True, False)
    assert not siz(rows, names, gone, months=[APRIL])["delisted"].any()


def test_ciz_delisting_takes_its_identifiers_from_the_month_before():
    rows = msf_v2({"permno": 1, "mthret": -0.4}, {"permno": 2, "mthcaldt": date(2008, 4, 30), "primaryexch": "Q"})
    gone = stkdelists((1, date(2008, 5, 20), -0.3, "BKPY", "GDR"), (2, date(2008, 5, 12), None, "UNAV", "MER"))
    first, second = ciz(rows, gone).to_dicts()
    assert (first["delisted"], first["dlret"], first["delreason"], first["dlstcd"]) == (True, -0.3, "BKPY", 574)
    assert (second["delisted"], second["delreason"], second["dlstcd"]) == (True, "UNAV", None)
    assert (second["permco"], second["exchange"], second["common"], second["ret"]) == (1, "Q", True, None)
    assert not first["in_universe"]
    assert not second["in_universe"]
    without = ciz(rows)
    assert without["permno"].to_list() == [1]
    assert not without["delisted"].any()


def test_both_layouts_or_none_are_refused():
    with pytest.raises(ValueError, match=r"crsp\.msf and crsp\.msf_v2 are both on disk.*Remove crsp\.msf "):
        crsp_monthly(msf({"permno": 1}), msenames(OLD), NONE_GONE, msf_v2({"permno": 1}), None, [MAY])
    with pytest.raises(ValueError, match=r"neither crsp\.msf nor crsp\.msf_v2"):
        crsp_monthly(None, None, None, None, None, [MAY])
    with pytest.raises(ValueError, match=r"crsp\.msenames is not on disk"):
        crsp_monthly(msf({"permno": 1}), None, NONE_GONE, None, None, [MAY])
    with pytest.raises(ValueError, match=r"crsp\.msedelist is not on disk"):
        crsp_monthly(msf({"permno": 1}), msenames(OLD), None, None, None, [MAY])


def test_figures_narrow_down_to_the_universe():
    rows = msf(*({"permno": permno} for permno in range(1, 7)))
    names = [name(permno, date(2000, 1, 3)) for permno in (1, 2)]
    names += [name(3, date(2000, 1, 3), shrcd=31), name(4, date(2000, 1, 3), exchcd=4)]
    names += [name(5, date(2000, 1, 3), date(2008, 5, 20)), name(6, date(2000, 1, 3), date(2008, 5, 20))]
    gone = msedelist((5, date(2008, 5, 20), 580, None), (6, date(2008, 5, 20), 231, 0.1))
    assert universe_figures(siz(rows, msenames(*names), gone)) == {
        "waterfall": [
            {"step": "common stock", "rows_in": 6, "rows_out": 5},
            {"step": "listed on NYSE, AMEX or NASDAQ", "rows_in": 5, "rows_out": 4},
            {"step": "trading at the end of the month", "rows_in": 4, "rows_out": 2},
        ],
        "delisted": 2,
        "delisted_without_return": 1,
    }


def test_no_month_gives_no_row():
    assert dict(siz(msf({"permno": 1}), msenames(OLD), months=[]).schema) == SCHEMA
    assert siz(msf({"permno": 1}), msenames(OLD), months=[date(2020, 1, 1)]).height == 0
    assert ciz(msf_v2({"permno": 1}), months=[]).height == 0


MONTHS = month_range(date(2001, 1, 1), date(2002, 6, 1))


def _random_siz(seed: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Forty securities of a dozen companies that enter, change names, vanish for months and are delisted."""
    rng = np.random.default_rng(seed)
    rows, names, gone = [], [], []
    for permno in range(1, 41):
        last = int(rng.integers(6, 30))
        for number, month in enumerate(MONTHS):
            if number <= last and rng.random() > 0.1:
                rows.append(
                    {
                        "permno": permno, "permco": permno % 12, "date": month.replace(day=28),
                        "prc": float(rng.normal(0, 30)), "ret": float(rng.normal(0, 0.1)),
                        "vol": float(rng.uniform(0, 9)), "shrout": float(rng.uniform(1, 1e5)),
                    }
                )  # fmt: skip
        start = date(1999, 1, 4)
        for change in sorted(rng.choice(len(MONTHS), 2, replace=False)):
            end = MONTHS[change].replace(day=int(rng.integers(1, 28)))
            names.append(name(permno, start, end, exchcd=int(rng.integers(1, 5)), shrcd=int(rng.choice([10, 11, 31]))))
            start = end.replace(day=end.day + 1)
        end = MONTHS[last].replace(day=9) if last < len(MONTHS) else MONTHS[-1].replace(day=28)
        names.append(name(permno, start, max(start, end), exchcd=3, ticker=f"L{permno}"))
        if last < len(MONTHS):
            gone.append((permno, MONTHS[last].replace(day=9), 574, None if permno % 2 else -0.5))
    return msf(*rows), msenames(*names), msedelist(*gone)


def test_a_range_equals_its_months_and_later_rows_do_not_matter():
    tables = _random_siz(3)
    together = siz(*tables, months=MONTHS)
    assert together["delisted"].sum() > 10
    assert together.filter("delisted")["prc"].null_count() > 0
    assert together["in_universe"].sum() > 50
    changed = _random_siz(4)
    for month in MONTHS:
        kept = [
            pl.concat([mine.filter(pl.col("month") <= month), other.filter(pl.col("month") > month)])
            for mine, other in zip(tables, changed, strict=True)
        ]
        own = together.filter(pl.col("month") == month)
        assert_frame_equal(own, siz(*kept, months=[month]), check_exact=True)
        rows, names, gone = tables
        needed = rows.filter(pl.col("month").is_between(shift(month, -1), month)).sample(fraction=1, shuffle=True)
        cut = siz(needed, names.filter(pl.col("month") <= month), gone.filter(pl.col("month") == month), [month])
        assert_frame_equal(own, cut, check_exact=True)


def test_the_size_of_companies_against_a_plain_loop():
    found = siz(*_random_siz(5), months=MONTHS)
    for month, company, size in found.select("month", "permco", "me_permco").iter_rows():
        parts = found.filter(pl.col("month") == month, pl.col("permco") == company)["me"].drop_nulls().to_list()
        assert size == (None if not parts else pytest.approx(sum(parts), rel=1e-14))
