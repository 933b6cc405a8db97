from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.equity.crsp_daily import SCHEMA, crsp_daily

NUMBERS = ("prc", "ret", "vol", "shrout", "bid", "ask", "askhi", "bidlo", "cfacpr", "cfacshr")
DSF = {"month": pl.Date, "permno": pl.Int64, "date": pl.Date, **dict.fromkeys(NUMBERS, pl.Float64)}
CIZ_NUMBERS = ("dlyprc", "dlyret", "dlyvol", "shrout", "dlybid", "dlyask", "dlyhigh", "dlylow", "dlycumfacpr")
DSF_V2 = {
    "month": pl.Date, "permno": pl.Int64, "dlycaldt": pl.Date, **dict.fromkeys(CIZ_NUMBERS, pl.Float64),
    "primaryexch": pl.String,
}  # fmt: skip
NAMES = {
    "month": pl.Date, "permno": pl.Int64, "namedt": pl.Date, "event": pl.String, "nameendt": pl.Date,
    "shrcd": pl.Int64, "exchcd": pl.Int64, "siccd": pl.Int64, "ncusip": pl.String, "ticker": pl.String,
    "comnam": pl.String,
}  # fmt: skip


def dsf(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {"prc": 10.0, "ret": 0.01, "vol": 360.0, "shrout": 1000.0, "bid": 9.9, "ask": 10.1, "askhi": 10.5}
    filled = [{"month": row["date"].replace(day=1), **plain, "bidlo": 9.5, "cfacpr": 1.0, **row} for row in rows]
    return pl.DataFrame(filled, schema=DSF)


def names(*spells: tuple[int, date, date | None, int]) -> pl.DataFrame:
    events = []
    for permno, start, end, exchcd in spells:
        key = {"permno": permno, "namedt": start}
        events.append({"month": start.replace(day=1), **key, "event": "start", "exchcd": exchcd, "shrcd": 11})
        if end:
            events.append({"month": end.replace(day=1), **key, "event": "end", "nameendt": end})
    return pl.DataFrame(events, schema=NAMES)


MARCH = date(2001, 3, 1)


def test_signs_units_and_missing_prices_by_hand():
    day = date(2010, 3, 4)
    rows = dsf(
        {"permno": 1, "date": day, "prc": -7.5, "askhi": -8.0, "bidlo": -7.0, "ret": None},
        {"permno": 2, "date": day, "prc": 0.0, "bid": 0.0, "ask": 0.0, "shrout": 0.0, "vol": None},
    )
    found = crsp_daily(rows, None, names((1, date(1990, 1, 2), None, 3)), [date(2010, 3, 1)])
    assert dict(found.schema) == SCHEMA
    first, second = found.to_dicts()
    assert first == {
        "month": date(2010, 3, 1), "permno": 1, "date": day, "ret": None, "prc": 7.5, "volume": 360.0, "shrout": 1000.0,
        "bid": 9.9, "ask": 10.1, "high": 8.0, "low": 7.0, "cfacpr": 1.0,
    }  # fmt: skip
    assert [second[column] for column in ("prc", "bid", "ask", "shrout", "volume")] == [None] * 5


@pytest.mark.parametrize(
    ("day", "volume"),
    [
        (date(2001, 1, 31), 180.0),
        (date(2001, 2, 1), 200.0),
        (date(2001, 12, 31), 200.0),
        (date(2002, 1, 2), 225.0),
        (date(2003, 12, 31), 225.0),
        (date(2004, 1, 2), 360.0),
    ],
)
def test_nasdaq_volume_by_exact_dates_in_both_layouts(day, volume):
    month = day.replace(day=1)
    listed = names((1, date(1990, 1, 2), None, 3), (2, date(1990, 1, 2), None, 1))
    found = crsp_daily(dsf({"permno": 1, "date": day}, {"permno": 2, "date": day}), None, listed, [month])
    assert found["volume"].to_list() == [volume, 360.0]
    row = {"month": month, "dlycaldt": day, "dlyvol": 360.0}
    other = pl.DataFrame(
        [{**row, "permno": 1, "primaryexch": "Q"}, {**row, "permno": 2, "primaryexch": "N"}], schema=DSF_V2
    )
    assert crsp_daily(None, other, None, [month])["volume"].to_list() == [volume, 360.0]


def test_the_exchange_is_that_of_the_day():
    days = [date(2001, 3, day) for day in (8, 9, 12, 20, 21)]
    listed = names(
        (1, date(1990, 1, 2), date(2001, 3, 8), 1),
        (1, date(2001, 3, 9), date(2001, 3, 20), 3),
        (1, date(2001, 4, 2), None, 3),
    )
    found = crsp_daily(dsf(*({"permno": 1, "date": day} for day in days)), None, listed, [MARCH])
    assert found["volume"].to_list() == [360.0, 200.0, 200.0, 200.0, 360.0]


def test_ciz_columns_by_hand():
    day = date(2010, 3, 4)
    values = dict(zip(CIZ_NUMBERS, (5.0, 0.02, 77.0, 9.0, 4.9, 5.1, 5.5, 4.5, 2.0), strict=True))
    row = {"month": date(2010, 3, 1), "permno": 1, "dlycaldt": day, "primaryexch": "Q", **values}
    found = crsp_daily(None, pl.DataFrame([row], schema=DSF_V2), None, [date(2010, 3, 1)])
    assert found.row(0) == (date(2010, 3, 1), 1, day, 0.02, 5.0, 77.0, 9.0, 4.9, 5.1, 5.5, 4.5, 2.0)


def test_refusals():
    rows = dsf({"permno": 1, "date": date(2010, 3, 4)})
    with pytest.raises(ValueError, match=r"crsp\.dsf and crsp\.dsf_v2 are both on disk"):
        crsp_daily(rows, pl.DataFrame(schema=DSF_V2), names(), [MARCH])
    with pytest.raises(ValueError, match=r"neither crsp\.dsf nor crsp\.dsf_v2"):
        crsp_daily(None, None, names(), [MARCH])
    with pytest.raises(ValueError, match=r"crsp\.msenames is not on disk, and crsp\.dsf"):
        crsp_daily(rows, None, None, [MARCH])


def _random(seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    first = date(2003, 10, 1)
    rows, spells = [], []
    for permno in range(1, 13):
        for number in range(150):
            if rng.random() > 0.3:
                numbers = {name: float(rng.normal(0, 20)) for name in NUMBERS}
                rows.append({"permno": permno, "date": first + timedelta(days=number), **numbers})
        change = first + timedelta(days=int(rng.integers(1, 150)))
        spells += [(permno, date(2000, 1, 3), change, int(rng.integers(1, 4)))]
        spells += [(permno, change + timedelta(days=1), None, int(rng.integers(1, 4)))]
    return dsf(*rows), names(*spells)


def test_a_range_equals_its_months_and_later_rows_do_not_matter():
    months = [date(2003, 10, 1), date(2003, 11, 1), date(2003, 12, 1), date(2004, 1, 1), date(2004, 2, 1)]
    rows, listed = _random(1)
    other_rows, other_names = _random(2)
    together = crsp_daily(rows, None, listed, months)
    assert together["month"].n_unique() == len(months)
    for month in months:
        later = pl.col("month") > month
        changed = pl.concat([rows.filter(~later), other_rows.filter(later)])
        renamed = pl.concat([listed.filter(~later), other_names.filter(later)])
        own = together.filter(pl.col("month") == month)
        assert_frame_equal(own, crsp_daily(changed, None, renamed, [month]), check_exact=True)
        assert_frame_equal(
            own, crsp_daily(rows.filter(pl.col("month") == month), None, renamed, [month]), check_exact=True
        )
    assert crsp_daily(rows, None, listed, []).height == 0
