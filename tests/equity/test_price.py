"""Monthly windows of sets dg41 and kps36 against plain loops and hand arithmetic; the entries of the daily ones."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.equity.annual import ANNUAL
from pipeline.equity.daily import DAILY_CHARACTERISTICS
from pipeline.equity.daily_entries import DAILY
from pipeline.equity.definition import DG41, KPS36, MONTHLY_COLUMNS
from pipeline.equity.price import PRICE, cumulative_return
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.dense import MonthlyPanel, PanelMonth

ENTRIES = {entry.name: entry for entry in PRICE}
MONTH = date(2010, 3, 1)
STOCKS = 7

# First and last month of the returns, as months before m.
RETURN_WINDOWS = {"r2_1": (0, 0), "r12_2": (11, 1), "r12_7": (11, 6), "r36_13": (35, 12), "lt_rev": (59, 12)}
WINDOWS = {"lme", "lturnover", *RETURN_WINDOWS}


def made_up(months: int = 72, seed: int = 3) -> dict[str, np.ndarray]:
    """Columns by month (the last one is m) and stock, the first stock without any gap."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(1.0, 50.0, (months, STOCKS)) for name in MONTHLY_COLUMNS}
    columns["ret"] = rng.normal(0.01, 0.1, (months, STOCKS))
    columns["ret"][-20, 4] = -1.0
    for values in columns.values():
        values[rng.random(values.shape) < 0.02] = np.nan
    for name in columns:
        columns[name][:, 0] = np.where(np.isnan(columns[name][:, 0]), 0.02, columns[name][:, 0])
    columns["shrout"][-1, 5] = 0.0
    return columns


def stocks_of(columns: dict[str, np.ndarray], last: date = MONTH, month: date = MONTH) -> PanelMonth:
    first = shift(last, 1 - len(columns["ret"]))
    names = tuple(f"{permno}" for permno in range(10001, 10001 + columns["ret"].shape[1]))
    panel = MonthlyPanel(first=first, assets=names, arrays=columns)
    return PanelMonth(month=month, positions=np.arange(len(names)), panel=panel)


def compounded(returns: np.ndarray, stock: int, first: int, last: int) -> float:
    """Loop over calendar months; NaN where one has no return."""
    growth = 1.0
    for ago in range(first, last - 1, -1):
        growth = growth * (1.0 + returns[len(returns) - 1 - ago, stock])
    return growth - 1.0


@pytest.mark.parametrize("name", RETURN_WINDOWS)
def test_cumulative_returns_against_a_loop(name):
    columns = made_up()
    values = ENTRIES[name].formula(stocks_of(columns))
    expected = [compounded(columns["ret"], stock, *RETURN_WINDOWS[name]) for stock in range(STOCKS)]
    assert np.isfinite(expected[0])
    np.testing.assert_array_equal(values, expected)


def test_months_of_each_window_by_their_return():
    """A return of 100% in one month shows in a window exactly when the month is in it."""
    for name, (first, last) in RETURN_WINDOWS.items():
        for ago in range(72):
            columns = {"ret": np.zeros((72, 1))}
            columns["ret"][71 - ago] = 1.0
            doubled = ENTRIES[name].formula(stocks_of(columns))[0] == 1.0
            assert doubled == (last <= ago <= first), (name, ago)


def test_a_missing_month_makes_a_cumulative_return_missing():
    for name, (first, last) in RETURN_WINDOWS.items():
        for ago in range(72):
            columns = {"ret": np.full((72, 2), 0.01)}
            columns["ret"][71 - ago, 1] = np.nan
            whole, holed = ENTRIES[name].formula(stocks_of(columns))
            assert np.isfinite(whole)
            assert np.isnan(holed) == (last <= ago <= first), (name, ago)


def test_cumulative_return_by_hand():
    # 1.10 * 0.50 * 1.20 = 0.66; 1.5 * 0 * 3 = 0; one month alone.
    returns = np.array([[0.10, 0.5], [-0.50, -1.0], [0.20, 2.0]])
    assert cumulative_return(returns) == pytest.approx([-0.34, -1.0], abs=1e-15)
    assert cumulative_return(np.array([[0.25]])) == pytest.approx([0.25], abs=1e-15)


def test_inputs_are_left_as_they_were():
    returns = np.array([[0.1], [0.2]])
    cumulative_return(returns)
    assert returns.tolist() == [[0.1], [0.2]]


@given(st.lists(st.floats(-0.9, 3.0), min_size=2, max_size=40), st.data())
def test_windows_that_follow_one_another_compound(returns, data):
    """Growth over a window is growth over its first part times growth over the rest."""
    cut = data.draw(st.integers(1, len(returns) - 1))
    column = np.array(returns)[:, None]
    whole = 1.0 + cumulative_return(column)
    parts = (1.0 + cumulative_return(column[:cut])) * (1.0 + cumulative_return(column[cut:]))
    assert whole == pytest.approx(parts, rel=1e-9, abs=1e-9)


def test_size_and_turnover_by_hand():
    columns = {
        "me": np.array([[1.0, 2.0, 3.0], [10.0, np.nan, 30.0]]),
        # 50,000 of 200 thousand shares; no volume known; no shares outstanding.
        "volume": np.array([[1.0, 1.0, 1.0], [50_000.0, np.nan, 500.0]]),
        "shrout": np.array([[1.0, 1.0, 1.0], [200.0, 200.0, 0.0]]),
        "ret": np.zeros((2, 3)),
    }
    stocks = stocks_of(columns)
    np.testing.assert_array_equal(ENTRIES["lme"].formula(stocks), [10.0, np.nan, 30.0])
    turnover = ENTRIES["lturnover"].formula(stocks)
    assert turnover[0] == 0.25
    assert not np.isfinite(turnover[1:]).any()


@pytest.mark.parametrize("name", sorted(WINDOWS))
def test_months_say_how_far_back_a_window_reaches(name):
    """So many months are enough, one less is refused, and what is older doesn't matter."""
    entry, columns = ENTRIES[name], made_up()
    enough = {column: values[-entry.months :] for column, values in columns.items()}
    np.testing.assert_array_equal(entry.formula(stocks_of(enough)), entry.formula(stocks_of(columns)))
    if entry.months > 1:
        short = {column: values[1:] for column, values in enough.items()}
        with pytest.raises(ValueError, match="build the array from an earlier month on"):
            entry.formula(stocks_of(short))


@pytest.mark.parametrize("name", sorted(WINDOWS))
def test_later_months_and_other_stocks_leave_every_bit(name):
    entry, columns = ENTRIES[name], made_up()
    values = entry.formula(stocks_of(columns))
    rng = np.random.default_rng(8)
    longer = {column: np.vstack([array, rng.normal(size=(5, STOCKS))]) for column, array in columns.items()}
    np.testing.assert_array_equal(entry.formula(stocks_of(longer, last=shift(MONTH, 5))), values)
    for stock in range(STOCKS):
        alone = {column: array[:, [stock]].copy() for column, array in columns.items()}
        np.testing.assert_array_equal(entry.formula(stocks_of(alone)), values[[stock]])


@pytest.mark.parametrize("name", sorted(WINDOWS))
def test_consecutive_months_are_the_same_panel_looked_at_later(name):
    entry, columns = ENTRIES[name], made_up()
    for month in month_range(shift(MONTH, -5), MONTH):
        back = (MONTH.year - month.year) * 12 + MONTH.month - month.month
        cut = {column: array[: len(array) - back] for column, array in columns.items()}
        expected = entry.formula(stocks_of(cut, last=month, month=month))
        np.testing.assert_array_equal(entry.formula(stocks_of(columns, month=month)), expected)


def test_dividend_to_price_by_hand():
    # 3 / 60; a stock that paid nothing; nothing known of dividends; no market equity in June.
    rows = {"dividends": [3.0, 0.0, None, 3.0], "me_june": [60.0, 50.0, 50.0, None]}
    values = pl.DataFrame(rows).select(ENTRIES["d2p"].formula.alias("d2p"))["d2p"].to_list()
    assert values == [0.05, 0.0, None, None]


def test_entries():
    names = [entry.name for entry in (*ANNUAL, *PRICE, *DAILY)]
    assert len(names) == len(set(names)) == 44
    assert sum(DG41 in entry.sets for entry in (*ANNUAL, *PRICE, *DAILY)) == 41
    assert sum(KPS36 in entry.sets for entry in (*ANNUAL, *PRICE, *DAILY)) == 36
    assert {name for name, entry in ENTRIES.items() if entry.level == "window"} == WINDOWS
    assert {name for name, entry in ENTRIES.items() if entry.sets == (DG41,)} == {"d2p", "lt_rev"}
    assert {name for name, entry in ENTRIES.items() if entry.timing == "annual"} == {"d2p"}
    for entry in (*PRICE, *DAILY):
        assert all((entry.definition, entry.unit, entry.reference, entry.history, entry.inputs))


def test_daily_entries_are_columns_of_the_daily_characteristics():
    assert {entry.name for entry in DAILY} == {
        "rel2high", "spread", "variance40", "suv", "capm_b_mkt", "ff3_ivol",
    }  # fmt: skip
    for entry in DAILY:
        assert (entry.level, entry.timing, entry.formula) == ("daily", "daily", None)
        assert entry.name in DAILY_CHARACTERISTICS
