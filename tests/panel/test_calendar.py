from __future__ import annotations

from datetime import date

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.panel.calendar import month_number, month_number_expr, month_of, month_range, month_runs, shift, span

MONTHS = st.builds(lambda year, month: date(year, month, 1), st.integers(1900, 2100), st.integers(1, 12))


@given(month=MONTHS, months=st.integers(-700, 700))
def test_shift_agrees_with_pandas_and_undoes_itself(month, months):
    shifted = shift(month, months)
    assert pd.Timestamp(shifted) == pd.Timestamp(month) + pd.DateOffset(months=months)
    assert shift(shifted, -months) == month
    assert month_of(month_number(month)) == month


def test_month_range_holds_both_ends():
    assert month_range(date(2007, 11, 1), date(2008, 2, 1)) == [
        date(2007, 11, 1),
        date(2007, 12, 1),
        date(2008, 1, 1),
        date(2008, 2, 1),
    ]
    assert month_range(date(2008, 2, 1), date(2008, 1, 1)) == []


def test_month_number_of_a_column():
    frame = pl.DataFrame({"month": [date(1926, 7, 1), None, date(2024, 12, 1)]})
    assert frame.select(month_number_expr()).to_series().to_list() == [12 * 1926 + 6, None, 12 * 2024 + 11]


def test_a_day_within_the_month_is_refused():
    with pytest.raises(ValueError, match="2008-06-02 is not the first day of a month: pass 2008-06-01"):
        month_number(date(2008, 6, 2))


def test_span_keeps_the_lookback_of_the_first_month_to_the_last():
    frame = pl.DataFrame({"month": month_range(date(2008, 1, 1), date(2008, 12, 1))})
    kept = span(frame, [date(2008, 9, 1), date(2008, 6, 1)], 3)["month"].to_list()
    assert kept == month_range(date(2008, 4, 1), date(2008, 9, 1))


@given(st.sets(st.integers(23_000, 23_060), max_size=40), st.integers(1, 7))
def test_runs_are_consecutive_short_enough_and_lose_nothing(numbers, longest):
    months = [month_of(number) for number in sorted(numbers)]
    runs = list(month_runs(months, longest))
    assert [month for run in runs for month in run] == months
    assert all(run == month_range(run[0], run[-1]) and len(run) <= longest for run in runs)
    # No run could have gone on: it is full, or the month after it is not wanted.
    assert all(len(run) == longest or shift(run[-1], 1) not in months for run in runs)
