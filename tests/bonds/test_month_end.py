from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.month_end import (
    SCHEMA,
    BondPriceSettings,
    first_source,
    month_end_prices,
    month_end_window,
    recovery_lookback,
    recovery_prices,
    recovery_values,
    traded_prices,
)
from pipeline.panel.calendar import month_range, shift
from tests.bonds.slow_bonds import month_end

MAY, JUNE, JULY = date(2008, 5, 1), date(2008, 6, 1), date(2008, 7, 1)
SETTINGS = BondPriceSettings()


def daily(*rows: tuple[date, str, date, float | None]) -> pl.DataFrame:
    schema = {"month": pl.Date, "cusip": pl.String, "date": pl.Date, "price_corrected": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def quotes(*rows: tuple[str, date, float | None]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema={"cusip": pl.String, "date": pl.Date, "price": pl.Float64}, orient="row")
    return frame.select(
        pl.col("date").dt.truncate("1mo").alias("month"),
        pl.all(),
        accrued_interest=pl.lit(1.5),
        coupon_paid=pl.lit(2.5),
    )


def prices(rows: pl.DataFrame) -> dict[str, tuple[date, float]]:
    return {row["cusip"]: (row["date"], row["price"]) for row in rows.to_dicts()}


@pytest.mark.parametrize(
    ("month", "first", "last"),
    [
        (JUNE, date(2008, 6, 24), date(2008, 6, 30)),  # ends on a Monday
        (date(2008, 5, 1), date(2008, 5, 23), date(2008, 5, 31)),  # Memorial Day inside, a Saturday at the end
        (date(2012, 12, 1), date(2012, 12, 24), date(2012, 12, 31)),  # Christmas inside
        (date(2001, 9, 1), date(2001, 9, 24), date(2001, 9, 30)),
        (date(2013, 3, 1), date(2013, 3, 22), date(2013, 3, 31)),  # Good Friday and Easter at the end
        (date(1951, 5, 1), date(1951, 5, 25), date(1951, 5, 31)),  # sessions on Saturdays, none on the 30th
    ],
)
def test_windows_by_the_calendar(month, first, last):
    assert month_end_window(month, 5) == (first, last)


def test_windows_of_a_century_against_another_way_of_counting():
    for month in month_range(date(1973, 1, 1), date(2030, 12, 1))[::5]:
        assert month_end_window(month, 5) == month_end(month)


def test_more_sessions_than_the_month_has_start_with_its_first():
    assert month_end_window(JUNE, 99) == (date(2008, 6, 2), date(2008, 6, 30))


def test_a_price_at_the_edge_of_the_window():
    rows = daily(
        (JUNE, "IN", date(2008, 6, 24), 99.0),
        (JUNE, "OUT", date(2008, 6, 23), 98.0),
        (JUNE, "LAST", date(2008, 6, 24), 90.0),
        (JUNE, "LAST", date(2008, 6, 30), 91.0),
        (JULY, "LATER", date(2008, 7, 1), 97.0),
    )
    found = traded_prices(rows, JUNE, JULY, SETTINGS)
    assert prices(found) == {"IN": (date(2008, 6, 24), 99.0), "LAST": (date(2008, 6, 30), 91.0)}
    assert prices(traded_prices(rows, JUNE, JUNE, BondPriceSettings(sessions=6)))["OUT"] == (date(2008, 6, 23), 98.0)


def test_the_newest_partition_up_to_a_month_holds():
    day, before = date(2008, 6, 27), date(2008, 6, 26)
    rows = daily(
        (date(2008, 8, 1), "A", day, 70.0),
        (JULY, "A", day, 80.0),
        (JUNE, "A", day, 90.0),
        (JUNE, "B", day, 60.0),
        (JUNE, "B", before, 61.0),
        (JULY, "B", day, None),
        (JULY, "C", day, 50.0),
    )
    assert prices(traded_prices(rows, JUNE, JUNE, SETTINGS)) == {"A": (day, 90.0), "B": (day, 60.0)}
    assert prices(traded_prices(rows, JUNE, JULY, SETTINGS)) == {
        "A": (day, 80.0),
        "B": (before, 61.0),
        "C": (day, 50.0),
    }


def test_quotes_on_days_without_sessions_count():
    rows = quotes(("A", date(2008, 5, 31), 99.0), ("A", date(2008, 5, 15), 90.0), ("B", date(2008, 5, 22), 80.0))
    found = month_end_prices(None, {"lehman": rows}, MAY, JUNE, SETTINGS)
    assert dict(found.schema) == SCHEMA
    assert found.rows() == [("lehman", "A", date(2008, 5, 31), 99.0, 1.5, 2.5)]


def test_a_blank_quote_is_passed_over():
    rows = quotes(("A", date(2008, 5, 29), 99.0), ("A", date(2008, 5, 30), None))
    assert prices(month_end_prices(None, {"mergent": rows}, MAY, MAY, SETTINGS)) == {"A": (date(2008, 5, 29), 99.0)}


def test_the_first_source_goes_first():
    day = date(2008, 6, 30)
    sources = {
        name: quotes(("A", day, price)) for name, price in (("datastream", 1.0), ("mergent", 2.0), ("lehman", 4.0))
    }
    found = month_end_prices(daily((JUNE, "A", day, 3.0), (JUNE, "B", day, 5.0)), sources, JUNE, JUNE, SETTINGS)
    assert found.height == 5
    assert first_source(found).select("cusip", "source", "price").rows() == [("A", "lehman", 4.0), ("B", "trace", 5.0)]
    rest = first_source(found.filter(pl.col("source") != "lehman"))
    assert rest["source"].to_list() == ["trace", "trace"]
    last = first_source(found.filter(~pl.col("source").is_in(["lehman", "trace"])))
    assert last["source"].to_list() == ["mergent"]


@pytest.mark.parametrize("name", ["bloomberg", "trace"])
def test_unknown_sources_are_refused(name):
    with pytest.raises(ValueError, match=name):
        month_end_prices(None, {name: quotes()}, JUNE, JUNE, SETTINGS)


def test_nothing_on_disk():
    assert_frame_equal(month_end_prices(None, {}, JUNE, JUNE, SETTINGS), pl.DataFrame(schema=SCHEMA))


def test_recovery_needs_a_default_that_becomes_known_in_the_month():
    table = pl.DataFrame(
        {
            "month": [JUNE, JUNE, JUNE, JUNE, MAY],
            "cusip": ["A", "A", "B", "C", "D"],
            "default_date": [date(2008, 6, 9), date(2008, 6, 20), date(2008, 6, 9), date(2008, 6, 9), date(2008, 5, 9)],
            "recovery_price": [40.0, 35.0, 20.0, None, 10.0],
        }
    )
    defaulted = pl.DataFrame(
        {"cusip": ["A", "B", "C", "D"], "default_date": [date(2008, 6, 3), MAY, date(2008, 6, 3), date(2008, 5, 9)]}
    )
    found = recovery_values(table, defaulted, JUNE, SETTINGS)
    assert dict(found.schema) == SCHEMA
    assert sorted(found.rows()) == [
        ("recovery", "A", date(2008, 6, 20), 35.0, None, None),
        ("recovery", "B", date(2008, 6, 9), 20.0, None, None),
    ]
    same_month = recovery_values(table, defaulted, JUNE, BondPriceSettings(recovery_months=0))
    assert same_month["cusip"].to_list() == ["A"]
    assert recovery_values(table, defaulted, MAY, SETTINGS).rows() == [
        ("recovery", "D", date(2008, 5, 9), 10.0, None, None)
    ]
    assert recovery_values(None, defaulted, JUNE, SETTINGS).height == 0


@pytest.mark.parametrize(
    ("theirs", "ours", "observed"),
    [
        (date(2008, 6, 1), date(2008, 6, 3), date(2008, 7, 1)),
        (date(2008, 5, 31), date(2008, 6, 3), date(2008, 6, 30)),
        (date(2009, 1, 30), date(2009, 1, 30), date(2009, 3, 1)),
        (date(2008, 6, 5), date(2008, 8, 31), date(2008, 7, 5)),
        (date(2008, 6, 5), date(2008, 9, 1), None),
        (date(2008, 6, 5), None, None),
    ],
)
def test_recovery_prices_are_observed_thirty_days_after_the_default(theirs, ours, observed):
    table = pl.DataFrame(
        {"month": [theirs.replace(day=1)], "cusip": ["A"], "default_date": [theirs], "recovery_price": [40.0]}
    )
    issues = pl.DataFrame({"cusip": ["A"], "default_date": [ours]}, schema_overrides={"default_date": pl.Date})
    for month in month_range(date(2008, 4, 1), date(2009, 4, 1)):
        found = recovery_prices(table, issues, month, SETTINGS)
        there = observed is not None and observed.replace(day=1) == month
        assert found.rows() == ([("recovery", "A", observed, 40.0, None, None)] if there else [])
        if there:
            near = table.filter(pl.col("month") >= shift(month, -recovery_lookback()))
            assert_frame_equal(recovery_prices(near, issues, month, SETTINGS), found)
    assert recovery_prices(None, issues, JUNE, SETTINGS).height == 0


def test_how_far_back_recoveries_count():
    assert recovery_lookback() == 2
    assert recovery_lookback(BondPriceSettings(recovery_months=0)) == 2
    assert recovery_lookback(BondPriceSettings(recovery_months=5)) == 5


@pytest.mark.parametrize("wrong", [{"sessions": 0}, {"lowest": -1.0}, {"lowest": 10.0, "highest": 10.0},
                                    {"recovery_months": -1}])  # fmt: skip
def test_settings_refuse_nonsense(wrong):
    with pytest.raises(ValueError, match=r"sessions?|lowest|recovery_months"):
        BondPriceSettings(**wrong)
