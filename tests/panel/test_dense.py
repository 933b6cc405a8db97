from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.panel.calendar import month_range
from pipeline.panel.dense import MonthlyPanel, MonthlySeries

FIRST, LAST = date(2008, 1, 1), date(2008, 6, 1)


@pytest.fixture
def frame():
    return pl.DataFrame(
        {
            "month": [date(2008, 6, 1), date(2008, 1, 1), date(2008, 3, 1), date(2008, 3, 1), date(2007, 12, 1)],
            "isin": ["B", "B", "C", "A", "A"],
            "x": [1.0, 2.0, None, 4.0, 5.0],
        }
    )


@pytest.fixture
def panel(frame):
    return MonthlyPanel.from_frame(frame, pl.Series(["B", "A", "D"]), ["x"], FIRST, LAST)


def test_rows_land_on_their_month_and_asset(panel):
    expected = np.full((6, 3), np.nan)
    expected[2, 0], expected[0, 1], expected[5, 1] = 4.0, 2.0, 1.0
    assert panel.assets == ("A", "B", "D")
    np.testing.assert_array_equal(panel.arrays["x"], expected)


def test_windows_count_calendar_months(panel):
    positions = panel.positions(pl.Series(["D", "B"]))
    np.testing.assert_array_equal(
        panel.window("x", LAST, positions, 3), [[np.nan, np.nan], [np.nan, np.nan], [np.nan, 1.0]]
    )
    np.testing.assert_array_equal(panel.window("x", LAST, positions, 2, lag=4)[:, 1], [2.0, np.nan])


@pytest.mark.parametrize(("month", "length", "lag"), [(LAST, 7, 0), (LAST, 6, 1), (date(2008, 7, 1), 1, 0)])
def test_a_window_outside_the_array_is_refused(panel, month, length, lag):
    with pytest.raises(ValueError, match=f"{length} months ending {lag} months before .* from 2008-01"):
        panel.window("x", month, np.array([0]), length, lag)


def test_merging_needs_the_same_months_and_assets(panel, frame):
    other = MonthlyPanel.from_frame(frame, pl.Series(["A"]), ["x"], FIRST, LAST)
    with pytest.raises(ValueError, match="different months or assets"):
        panel.merged(other)
    doubled = panel.with_array("y", 2 * panel.arrays["x"])
    assert set(panel.merged(doubled).arrays) == {"x", "y"}


def test_series_keeps_missing_months_missing():
    frame = pl.DataFrame({"month": month_range(date(2007, 11, 1), date(2008, 2, 1)), "f": [1.0, 2.0, 3.0, None]})
    frame = frame.with_columns(g=pl.Series([5.0, 6.0, 7.0, 8.0]))
    series = MonthlySeries.from_frame(frame, ["f", "g"], FIRST, LAST)
    expected = [[7, 3], [8, np.nan], [np.nan, np.nan]]
    np.testing.assert_array_equal(series.window(["g", "f"], date(2008, 3, 1), 3), expected)


def test_a_month_twice_in_a_series_is_refused():
    frame = pl.DataFrame({"month": [FIRST, FIRST], "f": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"months occur twice.*\['f'\]"):
        MonthlySeries.from_frame(frame, ["f"], FIRST, LAST)
