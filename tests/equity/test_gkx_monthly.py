"""Monthly entries of set gkx94 against plain loops over calendar months."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.equity.definition import MONTHLY_COLUMNS
from pipeline.equity.gkx_monthly import GKX_MONTHLY
from pipeline.panel.dense import MonthlyPanel, PanelMonth

WINDOWS = {entry.name: entry for entry in GKX_MONTHLY if entry.level == "window"}
FIRST, MONTH, MONTHS, STOCKS = date(2001, 1, 1), date(2005, 4, 1), 52, 8


def random_columns(seed: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = {
        "ret": rng.normal(0.01, 0.1, size=(MONTHS, STOCKS)),
        "prc": rng.uniform(5, 50, size=(MONTHS, STOCKS)),
        "volume": rng.uniform(1e5, 1e6, size=(MONTHS, STOCKS)),
        "shrout": rng.uniform(1e3, 1e4, size=(MONTHS, STOCKS)),
    }
    columns |= {name: np.full((MONTHS, STOCKS), np.nan) for name in MONTHLY_COLUMNS if name not in columns}
    columns["ret"][MONTHS - 4, 1] = np.nan  # m-3
    columns["ret"][MONTHS - 20, 2] = np.nan  # m-19
    columns["ret"][MONTHS - 1, 3] = np.nan  # m
    columns["volume"][MONTHS - 2, 4] = 0.0
    columns["volume"][MONTHS - 3, 5] = np.nan
    columns["shrout"][MONTHS - 1, 6] = 0.0
    columns["prc"][MONTHS - 2, 7] = np.nan
    return columns


def stock_month(columns: dict[str, np.ndarray], keep: slice = slice(None)) -> PanelMonth:
    kept = {name: values[keep] for name, values in columns.items()}
    start = MONTHS - len(kept["ret"])
    first = date(FIRST.year + start // 12, start % 12 + 1, 1)
    panel = MonthlyPanel(first=first, assets=tuple(str(i) for i in range(STOCKS)), arrays=kept)
    return PanelMonth(month=MONTH, positions=np.arange(STOCKS), panel=panel)


def compounded(column: np.ndarray, newest: int, oldest: int) -> float:
    """Return over m-oldest to m-newest."""
    wealth = 1.0
    for lag in range(oldest, newest - 1, -1):
        wealth *= 1.0 + column[MONTHS - 1 - lag]
    return wealth - 1.0


def loop(name: str, columns: dict[str, np.ndarray], stock: int) -> float:
    ret, prc, volume, shrout = (columns[each][:, stock] for each in ("ret", "prc", "volume", "shrout"))
    if name == "gkx_dolvol":
        return math.log(volume[-2] * prc[-2]) if volume[-2] * prc[-2] > 0 else math.nan
    if name == "gkx_turn":
        return (volume[-1] + volume[-2] + volume[-3]) / 3 / (1000 * shrout[-1]) if shrout[-1] > 0 else math.nan
    if name == "gkx_chmom":
        return compounded(ret, 0, 5) - compounded(ret, 6, 11)
    newest, oldest = {"gkx_mom1m": (0, 0), "gkx_mom6m": (1, 5), "gkx_mom12m": (1, 11), "gkx_mom36m": (12, 35)}[name]
    return compounded(ret, newest, oldest)


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_against_a_loop(name: str) -> None:
    columns = random_columns()
    expected = [loop(name, columns, stock) for stock in range(STOCKS)]
    np.testing.assert_allclose(WINDOWS[name].formula(stock_month(columns)), expected, rtol=1e-12)


def test_gaps_are_missing_where_their_window_has_them() -> None:
    stocks = stock_month(random_columns())
    missing = {name: set(np.flatnonzero(np.isnan(entry.formula(stocks)))) for name, entry in WINDOWS.items()}
    assert missing == {
        "gkx_mom1m": {3},
        "gkx_mom6m": {1},
        "gkx_mom12m": {1},
        "gkx_mom36m": {2},
        "gkx_chmom": {1, 3},
        "gkx_dolvol": {4, 7},
        "gkx_turn": {5, 6},
    }


@pytest.mark.parametrize("name", WINDOWS)
def test_months_are_exact(name: str) -> None:
    entry, columns = WINDOWS[name], random_columns()
    whole = entry.formula(stock_month(columns))
    np.testing.assert_array_equal(entry.formula(stock_month(columns, slice(MONTHS - entry.months, None))), whole)
    with pytest.raises(ValueError, match="build the array from an earlier month on"):
        entry.formula(stock_month(columns, slice(MONTHS - entry.months + 1, None)))


@pytest.mark.parametrize("name", WINDOWS)
def test_inputs_are_the_columns_that_are_read(name: str) -> None:
    entry, read = WINDOWS[name], set()

    class Spy(PanelMonth):
        def window(self, column: str, months: int, lag: int = 0) -> np.ndarray:
            read.add(f"crsp_monthly.{column}")
            return super().window(column, months, lag)

    plain = stock_month(random_columns())
    entry.formula(Spy(month=plain.month, positions=plain.positions, panel=plain.panel))
    assert read == set(entry.inputs)


def test_stocks_do_not_depend_on_one_another() -> None:
    columns = random_columns()
    whole = stock_month(columns)
    alone = PanelMonth(month=MONTH, positions=np.array([2]), panel=whole.panel)
    for entry in WINDOWS.values():
        np.testing.assert_array_equal(entry.formula(alone), entry.formula(whole)[[2]])


def test_timing_in_terms_of_the_partition_month() -> None:
    # Green, Hand and Zhang's lag of k months from the month t of the return is t-k; the partition before it is m = t-1.
    rows = [(date(2004 + (9 + k) // 12, (9 + k) % 12 + 1, 1), float(k)) for k in range(7)]
    frame = pl.DataFrame(rows, schema=["month", "ret"], orient="row").with_columns(stock=pl.lit("1"))
    panel = MonthlyPanel.from_frame(frame, frame["stock"], ["ret"], rows[0][0], MONTH, key="stock")
    stocks = PanelMonth(month=MONTH, positions=np.array([0]), panel=panel)
    # t = May 2005: lag2 to lag6 are March back to November 2004, whose returns are 5, 4, 3, 2 and 1.
    assert WINDOWS["gkx_mom6m"].formula(stocks)[0] == 6 * 5 * 4 * 3 * 2 - 1
    assert WINDOWS["gkx_mom1m"].formula(stocks)[0] == 6.0
