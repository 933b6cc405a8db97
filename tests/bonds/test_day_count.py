from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import QuantLib as ql

from pipeline.bonds.day_count import (
    CODES,
    DAY_COUNTS,
    actual_days,
    elapsed_days,
    fisd_day_count,
    month_and_day,
    month_length,
    thirty_360_days,
)

ANY_START, MONTH_END_COUPONS = False, True


def _dates(*texts):
    return np.array(texts, "datetime64[D]")


def _pairs(number=4000):
    """Pairs of dates of which many lie at the end of a month, of February above all."""
    rng = np.random.default_rng(5)
    start = np.datetime64("1960-01-01") + rng.integers(0, 25000, number)
    end = start + rng.integers(0, 3000, number)
    for dates, rows in ((start, rng.random(number) < 0.5), (end, rng.random(number) < 0.5)):
        close = (dates.astype("datetime64[M]") + 1).astype("datetime64[D]") - 1
        dates[rows] = close[rows] - rng.integers(0, 2, rows.sum())
    february = rng.random(number) < 0.3
    year = start[february].astype("datetime64[Y]").astype("datetime64[M]")
    start[february] = (year + 2).astype("datetime64[D]") - 1
    return start, np.maximum(start, end)


def _quantlib_days(rule, start, end):
    return [
        rule.dayCount(ql.Date(a.day, a.month, a.year), ql.Date(b.day, b.month, b.year))
        for a, b in zip(start.tolist(), end.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("rule", "february_end"),
    [(ql.Thirty360.BondBasis, ANY_START), (ql.Thirty360.USA, MONTH_END_COUPONS)],
)
def test_thirty_360_is_quantlibs(rule, february_end):
    start, end = _pairs()
    ours = thirty_360_days(start, end, np.full(len(start), february_end))
    assert ours.tolist() == _quantlib_days(ql.Thirty360(rule), start, end)


def test_actual_days_are_quantlibs():
    start, end = _pairs()
    ours = actual_days(start, end, np.full(len(start), ANY_START))
    assert ours.tolist() == _quantlib_days(ql.Actual360(), start, end)


@pytest.mark.parametrize(
    ("start", "end", "month_ends", "days"),
    [
        ("2007-01-15", "2007-01-30", ANY_START, 15),
        ("2007-01-15", "2007-01-31", ANY_START, 16),
        ("2007-01-31", "2007-03-31", ANY_START, 60),
        ("2007-01-30", "2007-01-31", ANY_START, 0),
        ("2007-02-28", "2007-03-31", ANY_START, 33),
        ("2007-02-28", "2007-03-31", MONTH_END_COUPONS, 30),
        ("2007-02-28", "2007-08-28", ANY_START, 180),
        ("2007-02-28", "2008-02-29", MONTH_END_COUPONS, 360),
        ("2008-02-28", "2008-08-31", MONTH_END_COUPONS, 183),
        ("2007-08-31", "2008-02-29", MONTH_END_COUPONS, 179),
    ],
)
def test_thirty_360_by_hand(start, end, month_ends, days):
    assert thirty_360_days(_dates(start), _dates(end), np.array([month_ends])).tolist() == [days]


def test_each_pair_is_counted_by_its_own_rule():
    start, end = _dates(*["2007-01-31"] * 4), _dates(*["2007-03-31"] * 4)
    code = np.array([CODES[name] for name in ("ACT/365", "30/360", "ACT/ACT", "ACT/360")])
    assert elapsed_days(code, start, end, np.zeros(4, bool)).tolist() == [59, 60, 59, 59]
    assert list(CODES.values()) == list(range(len(DAY_COUNTS)))


def test_months_are_numpys():
    dates = np.arange("1792-01-01", "2300-01-01", dtype="datetime64[D]")
    month, day = month_and_day(dates)
    numpy_month = dates.astype("datetime64[M]")
    assert (month == numpy_month.astype(np.int64)).all()
    assert (day == (dates - numpy_month.astype("datetime64[D]")).astype(np.int64) + 1).all()
    length = (numpy_month + 1).astype("datetime64[D]") - numpy_month.astype("datetime64[D]")
    assert (month_length(month) == length.astype(np.int64)).all()


def test_fisds_spellings():
    published = pl.DataFrame({"basis": ["30/360", " act/act ", "ACT/360", "ACT/365", "ACT/366", "", "  ", None, "x"]})
    read = published.select(
        strict=fisd_day_count(pl.col("basis")), lenient=fisd_day_count(pl.col("basis"), blank="30/360")
    )
    known = ["30/360", "ACT/ACT", "ACT/360", "ACT/365", None]
    assert read["strict"].to_list() == [*known, None, None, None, None]
    assert read["lenient"].to_list() == [*known, "30/360", "30/360", "30/360", None]
    with pytest.raises(ValueError, match=r"no day count is called '30E/360': use 30/360, ACT/ACT"):
        fisd_day_count(pl.col("basis"), blank="30E/360")
