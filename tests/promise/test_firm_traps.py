"""Every trap planted in the simulated CRSP and CCM files has its right answer in the lake.

Right is what the economy says: the simulator's frames of traps, returns and links, which no reader sees.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
import pytest
from promise import END, Factory, Tables, build

from pipeline.equity.returns import stock_returns
from pipeline.equity.settings import StockReturnsSettings
from pipeline.simulation.market import Market, simulate
from resources.home import Home

# One worker builds the older market.
pytestmark = pytest.mark.xdist_group("firm traps")

KEYS = ["month", "permno"]
# Twelve years, so that they hold every one of the three factors by which NASDAQ counted too much, and none.
OLD_END = date(2005, 6, 1)
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def truth() -> Tables:
    return simulate("tiny", end=END, vendors=()).truth


@pytest.fixture(scope="module")
def monthly(baseline: Home) -> pl.DataFrame:
    return baseline.lake.read_all("crsp_monthly")


@pytest.fixture(scope="module")
def earned(baseline: Home) -> pl.DataFrame:
    return baseline.lake.read_all("stock_returns")


@pytest.fixture(scope="module")
def days(baseline: Home) -> pl.DataFrame:
    return baseline.lake.read_all("crsp_daily")


def _traps(truth: Tables, trap: str) -> pl.DataFrame:
    found = truth["stock_traps"].filter(trap=trap)
    return found.join(truth["stock_returns"].select(*KEYS, "universe_start"), on=KEYS, how="left")


def _same(found: pl.Series, right: pl.Series) -> None:
    assert found.is_null().to_list() == right.is_null().to_list()
    np.testing.assert_allclose(found.to_numpy(), right.to_numpy(), rtol=ROUNDING, atol=ROUNDING)


DELISTINGS = (
    "delisting_with_dlret",
    "delisting_without_dlret",
    "delisting_without_dlret_not_failed",
    "delisting_without_row",
    "delisting_without_row_or_dlret",
    "delisting_with_coded_return",
    "total_loss",
    "flags_change_when_delisted",
)


@pytest.mark.parametrize("trap", DELISTINGS)
def test_return_of_a_delisting_month(truth, monthly, earned, trap):
    traps = _traps(truth, trap)
    assert traps["permno"].n_unique() >= 2
    assert traps["universe_start"].all()
    found = traps.join(earned, on=KEYS)
    assert found.height == traps.height
    _same(found["ret"], found["value"])
    rows = traps.join(monthly, on=KEYS)
    assert rows["delisted"].all()
    assert not rows["in_universe"].any()
    # What stands in for a delisting return is a matter of the profile, and not written beside those of the vendor.
    if "without_dlret" in trap or "or_dlret" in trap:
        assert rows["dlret"].is_null().all()
    later = monthly.join(traps.select("permno", gone="month"), on="permno").filter(pl.col("month") > pl.col("gone"))
    assert later.is_empty()


def test_nothing_is_made_up_for_a_merger_without_a_delisting_return(truth, monthly):
    """The month keeps the return to the last trading day."""
    both = _traps(truth, "delisting_without_dlret_not_failed").join(monthly, on=KEYS)
    _same(both["ret"], both["value"])


def _row_is_missing(rows: pl.DataFrame) -> None:
    assert rows["layout"].is_null().all()


def _return_is_missing(rows: pl.DataFrame) -> None:
    assert rows["layout"].is_not_null().all()
    assert rows.select("ret", "retx").null_count().row(0) == (rows.height,) * 2


def _column_is_right(rows: pl.DataFrame) -> None:
    assert rows["value"].is_not_null().all()
    _same(rows[rows["column"][0]], rows["value"])


MONTHLY: dict[str, Callable[[pl.DataFrame], None]] = {
    "coded_return": _return_is_missing,
    "month_without_trade": _return_is_missing,
    "month_without_row": _row_is_missing,
    "return_after_silence": _column_is_right,
    "negative_price": _column_is_right,
    "split": _column_is_right,
    "several_permnos": _column_is_right,
    "monthly_volume": _column_is_right,
}


@pytest.mark.parametrize("trap", MONTHLY)
def test_month_of(truth, monthly, trap):
    traps = _traps(truth, trap)
    assert traps["permno"].n_unique() >= 2
    MONTHLY[trap](traps.join(monthly, on=KEYS, how="left"))


@pytest.mark.parametrize("trap", ["coded_return", "month_without_trade", "month_without_row"])
def test_no_return_is_earned_in_a_month_without_one(truth, earned, trap):
    assert earned.join(_traps(truth, trap), on=KEYS, how="semi").is_empty()


def test_negative_prices_are_prices_in_the_panel(truth, market, monthly):
    """They were negative in the file, and no size or price is."""
    raw = market["crsp.msf"].with_columns(month=pl.col("date").dt.truncate("1mo"))
    planted = _traps(truth, "negative_price").join(raw, on=KEYS)
    assert (planted["prc"] < 0).all()
    assert (monthly.drop_nulls("prc")["prc"] > 0).all()
    assert (monthly.drop_nulls("me")["me"] > 0).all()


def test_days_without_a_trade(truth, days, baseline):
    """They are there, with a price, without volume; the count of them in a month is that of the economy."""
    planted = _traps(truth, "zero_return_gap").filter(pl.col("month") >= days["month"].min())
    assert planted["permno"].n_unique() >= 2
    idle = days.filter(pl.col("volume") == 0.0)
    assert idle["prc"].is_not_null().all()
    found = planted.join(idle.group_by(KEYS).len("idle"), on=KEYS)
    assert found.height == planted.height > 30
    assert found["idle"].cast(pl.Float64).to_list() == found["value"].to_list()
    illiquid = baseline.lake.read_all("stock_daily_characteristics").join(found, on=KEYS)
    traded = days.group_by(KEYS).agg(n=pl.len(), turnover=(pl.col("volume") / (1000.0 * pl.col("shrout"))).sum())
    illiquid = illiquid.join(traded, on=KEYS)
    right = (pl.col("value") + 1.0 / pl.col("turnover") / 480_000.0) * 21.0 / pl.col("n")
    _same(illiquid["gkx_zerotrade"], illiquid.select(right).to_series())


def test_every_trap_is_checked(truth):
    checked = {*DELISTINGS, *MONTHLY, "zero_return_gap"}
    # NASDAQ has counted as others do since 2004.
    assert set(truth["stock_traps"]["trap"]) == checked
    assert set(simulate("tiny", end=OLD_END, vendors=()).truth["stock_traps"]["trap"]) == {*checked, "nasdaq_volume"}


@pytest.mark.parametrize(("profile", "column"), [("shumway30", "ret"), ("osap35_55", "ret_osap")])
def test_returns_are_those_of_the_economy(truth, baseline, monthly, earned, profile, column):
    """Every stock that was in the universe a month ago, with its return, the delisting in it, and its size then."""
    months = earned["month"].unique().sort().to_list()
    if profile != "shumway30":
        factors = baseline.lake.read_all("french_factors")
        earned = stock_returns(monthly, factors, months, StockReturnsSettings(delisting=profile))
    right = truth["stock_returns"].filter("universe_start").drop_nulls(column).sort(KEYS)
    assert months == right["month"].unique().sort().to_list()
    assert earned.select(KEYS).equals(right.select(KEYS))
    _same(earned["ret"], right[column])
    _same(earned["me_start"], right["me_start"])


def test_the_profiles_differ_where_a_failure_has_no_delisting_return(truth):
    differ = truth["stock_returns"].filter(pl.col("ret") != pl.col("ret_osap"), "universe_start")
    failures = pl.concat(
        [_traps(truth, trap) for trap in ("delisting_without_dlret", "delisting_without_row_or_dlret")]
    )
    coded = _traps(truth, "delisting_with_coded_return")
    assert set(failures.select(KEYS).iter_rows()) <= set(differ.select(KEYS).iter_rows())
    assert set(differ.select(KEYS).iter_rows()) <= set(pl.concat([failures, coded]).select(KEYS).iter_rows())


def test_links_are_those_of_the_economy(truth, baseline):
    found = baseline.lake.read_all("firm_links")
    assert found.select("month", "permno", "gvkey").equals(truth["firm_links"].sort(KEYS))
    # Companies that changed, and links that were closed for a while, are among them.
    stays = found.group_by("permno").agg(n=pl.len(), first=pl.col("month").min(), last=pl.col("month").max())
    span = (pl.col("last").dt.year() - pl.col("first").dt.year()) * 12 + (
        pl.col("last").dt.month().cast(pl.Int32) - pl.col("first").dt.month() + 1
    )
    assert stays.filter(pl.col("n") < span).height >= 2
    assert found.group_by("gvkey").agg(pl.col("permno").n_unique())["permno"].max() == 2


@pytest.fixture(scope="module")
def old() -> Market:
    return simulate("tiny", end=OLD_END, vendors=("crsp", "crsp_daily"))


@pytest.fixture(scope="module")
def old_home(old: Market, factory: Factory) -> Home:
    home = factory.home("nasdaq", old.tables)
    build(home, OLD_END, names=["crsp_monthly", "crsp_daily"])
    return home


def test_nasdaq_counted_trades_twice(old, old_home):
    planted = _traps(old.truth, "nasdaq_volume")
    assert planted["permno"].n_unique() >= 5
    raw = old.tables["crsp.msf"].with_columns(month=pl.col("date").dt.truncate("1mo"))
    found = planted.join(old_home.lake.read_all("crsp_monthly"), on=KEYS).join(
        raw.select(*KEYS, published=100.0 * pl.col("vol")), on=KEYS
    )
    assert found.height == planted.height
    _same(found["volume"], found["value"])
    times = found.filter(pl.col("value") > 0).select("month", times=(pl.col("published") / pl.col("value")).round(9))
    eras = times.group_by("times").agg(first=pl.col("month").min(), last=pl.col("month").max()).sort("first")
    assert eras["times"].to_list() == [2.0, 1.8, 1.6]
    assert eras["last"].to_list() == [date(2001, 1, 1), date(2001, 12, 1), date(2003, 12, 1)]


def test_daily_volume_adds_up_to_the_month(old, old_home):
    """Also across a year's end, and on every exchange."""
    planted = _traps(old.truth, "monthly_volume")
    daily = old_home.lake.read_all("crsp_daily")
    found = planted.join(daily.group_by(KEYS).agg(pl.col("volume").sum()), on=KEYS)
    assert found.filter(pl.col("month") < date(2001, 2, 1)).height > 500
    assert found.filter(pl.col("month") >= date(2004, 1, 1)).height > 500
    _same(found["volume"], found["value"])


def test_daily_volume_of_a_security_that_left_nasdaq(old, old_home):
    """From the day of the move on it counts once, in the middle of a month."""
    names = old.tables["crsp.msenames"].sort("permno", "namedt")
    moved = names.with_columns(before=pl.col("exchcd").shift(1).over("permno"))
    moved = moved.filter(pl.col("before") == 3, pl.col("exchcd") == 1, pl.col("namedt") < date(2003, 12, 1))
    daily, checked = old_home.lake.read_all("crsp_daily"), 0
    for permno, day in moved.select("permno", "namedt").iter_rows():
        published = old.tables["crsp.dsf"].filter(permno=permno).select("permno", "date", "vol")
        both = daily.join(published, on=["permno", "date"]).filter(
            pl.col("date").dt.truncate("1mo") == day.replace(day=1)
        )
        for at, volume, vol in both.select("date", "volume", "vol").iter_rows():
            times = 1.0 if at >= day else 2.0 if at < date(2001, 2, 1) else 1.8 if at < date(2002, 1, 1) else 1.6
            assert volume == pytest.approx(vol / times, rel=ROUNDING)
            checked += times == 1.0
    assert moved.height > 0
    assert checked > 0
