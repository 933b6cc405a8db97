"""The cleaning against the simulated market's truth: every planted error removed or mended, no clean trade lost."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.trace_daily import TraceMonth, trace_months
from pipeline.bonds.trace_trades import clean_trades
from pipeline.extracts.trace import TRACE_ENHANCED
from pipeline.panel.calendar import month_range
from pipeline.simulation.economy import simulate_economy
from pipeline.simulation.sizes import market_size
from pipeline.simulation.trace import trace_tables
from pipeline.simulation.trace_truth import trace_truth

pytestmark = pytest.mark.slow

LAST = date(2014, 12, 1)
REGIME_MONTH = date(2012, 2, 1)


@pytest.fixture(scope="module")
def economy():
    """A market in both reporting regimes."""
    return simulate_economy(market_size("tiny"), 0, LAST)


@pytest.fixture(scope="module")
def reports(economy) -> pl.DataFrame:
    vendor = trace_tables(economy)["trace.trace_enhanced"]
    timed = vendor.with_columns(pl.col("trd_exctn_tm", "trd_rpt_tm").str.to_time("%H:%M:%S"))
    return TRACE_ENHANCED.views[0].derive(timed, ())


@pytest.fixture(scope="module")
def issues(economy) -> pl.DataFrame:
    terms = economy.issues
    columns = {"cusip": [cusip[:8] for cusip in terms.cusips], "maturity": pl.Series(terms.maturity).cast(pl.Date)}
    return pl.DataFrame(columns).with_columns(month=pl.lit(date(1990, 1, 1)))


@pytest.fixture(scope="module")
def truth(economy) -> dict[str, pl.DataFrame]:
    return trace_truth(economy)


@pytest.fixture(scope="module")
def built(reports, issues) -> list[TraceMonth]:
    return list(trace_months(reports, issues, month_range(reports["month"].min(), LAST)))


@pytest.fixture(scope="module")
def daily(built) -> pl.DataFrame:
    return pl.concat(month.daily for month in built)


def _same_days(found: pl.DataFrame, days: pl.DataFrame, ending: str) -> None:
    values = ["price", "volume", "trades"]
    right = days.select(
        "cusip", "date", *(pl.col(f"{name}{ending}").cast(found.schema[name]).alias(name) for name in values)
    )
    right = right.filter(pl.col("price").is_not_null())
    key = ["cusip", "date"]
    assert_frame_equal(found.sort(key), right.sort(key), check_exact=False, rel_tol=1e-12, abs_tol=0.0)


def test_days_as_known_at_the_end_of_their_month_are_the_true_ones(daily, truth):
    own = daily.filter(pl.col("date").dt.month_start() == pl.col("month"))
    assert own.height > 10_000
    _same_days(own.select("cusip", "date", "price", "volume", "trades"), truth["bond_days"], "")
    assert own.select((pl.col("price") == pl.col("price_corrected")).all()).item()


def test_the_newest_rows_are_the_days_as_finally_corrected(daily, truth):
    newest = daily.sort("month").unique(["cusip", "date"], keep="last").filter(pl.col("price_corrected").is_not_null())
    assert newest.height > 10_000
    values = {name: f"{name}_corrected" for name in ("price", "volume", "trades")}
    _same_days(newest.select("cusip", "date", **values), truth["bond_days"], "_finally")


def test_a_day_keeps_what_was_known_first(daily):
    known = daily.filter(pl.col("date").dt.month_start() == pl.col("month"))
    later = daily.filter(pl.col("date").dt.month_start() < pl.col("month"))
    assert later.height > 300
    assert later.filter(pl.col("price").is_null()).height > 10
    assert later.filter(pl.col("price_corrected").is_null()).height > 10
    values = ["cusip", "date", "price", "volume", "trades"]
    first = later.select("cusip", "date").join(
        known.select(values), on=["cusip", "date"], how="left", maintain_order="left"
    )
    assert_frame_equal(later.select(values), first, check_exact=True)


@pytest.mark.parametrize("month", [date(2009, 5, 1), REGIME_MONTH, date(2013, 10, 1)])
@pytest.mark.parametrize("ending", ["at_once", "finally"])
def test_the_trades_themselves_are_the_true_ones(reports, issues, truth, month, ending):
    as_of = month if ending == "at_once" else LAST
    found = clean_trades(reports, issues, month, as_of).trades.select(
        "cusip", "date", "time", "side", "price", "volume"
    )
    right = truth["trace_trades"].filter(pl.col("month") == month, pl.col(f"kept_{ending}"))
    right = right.select("cusip", "date", "time", "side", price=f"price_{ending}", volume=f"volume_{ending}")
    assert found.height > 50
    order = ["cusip", "date", "time", "price", "volume", "side"]
    assert_frame_equal(found.sort(order), right.sort(order), check_exact=False, rel_tol=1e-12, abs_tol=0.0)


def test_every_filter_has_something_to_do(built):
    dropped: dict[str, int] = {}
    for month in built:
        for row in month.figures["waterfall"]:
            dropped[row["step"]] = dropped.get(row["step"], 0) + row["rows_in"] - row["rows_out"]
    # The market has no status of its own invention, and a decimal shift loses no row.
    idle = {step for step, count in dropped.items() if count == 0}
    assert idle == {"a trade", "decimal shifts mended"}
    assert sum(month.figures["decimal_shifts"] for month in built) > 50
