"""The numbers printed in the bond notebook, from the assets' own functions given the notebook's series.

The notebook samples VIX and LQD on the first trading day of a month and labels a Treasury change with the month after
the one it happens in; the series are relabelled so here. Two printed facts stand apart: its 30-year change repeats
the 20-year one, yet its factor is only met with the true 30-year change.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipeline.extracts import fred, prices
from pipeline.extracts.reading import read_rows
from pipeline.macro.bond_market import BondMarketSettings, bond_market_factor_of_series
from pipeline.macro.treasury import TREASURY_SERIES, treasury_curve
from pipeline.macro.vix import VixInnovationSettings, vix_innovation_of_series
from pipeline.panel.calendar import month_range

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the public data of ../shared/data are not here")

NOTEBOOK_START = date(2007, 3, 1)
FACTOR = {
    date(2018, 1, 1): -0.006134,
    date(2018, 2, 1): 0.001982,
    date(2018, 3, 1): -0.006762,
    date(2018, 4, 1): -0.006740,
    date(2018, 5, 1): -0.007839,
    date(2024, 3, 1): 0.001238,
    date(2024, 5, 1): 0.023151,
    date(2024, 6, 1): 0.011337,
    date(2024, 7, 1): -0.020069,
    date(2024, 8, 1): 0.012830,
}


def _staged(reader: Callable[..., dict[str, pl.DataFrame]], file: str) -> pl.DataFrame:
    path = DATA / file
    (frame,) = reader(path, read_rows(path)).values()
    return frame


def _first_of_month(daily: pl.DataFrame) -> pl.DataFrame:
    return daily.sort("date").group_by("month", maintain_order=True).agg(pl.col("adj_close").first())


@pytest.fixture(scope="module")
def curve() -> pl.DataFrame:
    """Month-end Treasury curve of the notebook's years, labelled with the month the change happens in."""
    tenors = {t: s for t, s in TREASURY_SERIES.items() if (DATA / "treasury" / f"{s}.csv").is_file()}
    par = {tenor: _staged(fred.read, f"treasury/{series}.csv") for tenor, series in tenors.items()}
    return treasury_curve(par, None, month_range(date(2007, 2, 1), date(2024, 12, 1)))


def test_vix_innovations() -> None:
    first_days = _first_of_month(_staged(prices.read, "vix/VIX.csv")).rename({"adj_close": "vix"})
    months = month_range(date(2008, 7, 1), date(2008, 11, 1))
    out = vix_innovation_of_series(first_days, months, VixInnovationSettings())
    assert out["vix_innovation"].round(2).to_list() == [4.35, -0.29, 0.10, 18.42, 13.61]
    # The notebook loses January 2005 to the lag.
    assert out["n_obs"].to_list() == [41, 42, 43, 44, 45]


def test_treasury_change_over_february_2007(curve: pl.DataFrame) -> None:
    row = curve.filter(pl.col("month") == date(2007, 2, 1)).row(0, named=True)
    printed = {"1m": 0.24, "3m": 0.04, "6m": -0.04, "1y": -0.13, "2y": -0.29, "5y": -0.30, "10y": -0.27, "20y": -0.24}
    assert {t: round(row[f"dy_{t}"], 2) for t in printed} == printed
    # Printed as -0.24, a copy of the 20-year column.
    assert round(row["dy_30y"], 2) == -0.25
    assert round(row["term_spread_change"], 2) == -0.51


def test_bond_market_factor(curve: pl.DataFrame) -> None:
    closes = _first_of_month(_staged(prices.read, "lqd/LQD.csv"))
    returns = closes.select("month", lqd_return=pl.col("adj_close").pct_change())
    notebook_label = curve.with_columns(pl.col("month").dt.offset_by("1mo"))
    late = pl.col("month") >= NOTEBOOK_START
    out = bond_market_factor_of_series(
        returns.filter(late), notebook_label.filter(late), list(FACTOR), BondMarketSettings()
    )
    errors = [v - FACTOR[m] for m, v in out.select("month", "bond_market_factor").iter_rows()]
    assert max(map(abs, errors)) < 2e-4
    assert out["n_obs"].to_list() == [60] * len(FACTOR)
