"""Characteristics from daily rows: against slow loops, and bit for bit whatever else is loaded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.equity.daily import (
    DAILY_CHARACTERISTICS,
    DAILY_COLUMNS,
    DailySettings,
    chunk_months,
    daily_characteristics,
    lookback,
)
from pipeline.equity.daily_announcements import AnnouncementSettings, counting_announcements
from pipeline.equity.daily_arrays import DailyArrays, DayWindow, TradingCalendar
from pipeline.equity.daily_month import COLUMNS, MonthOfDays, month_characteristics
from pipeline.equity.daily_weekly import WeeklySettings, saturday, weekly_returns
from pipeline.equity.daily_windows import DayWindowSettings
from pipeline.panel.calendar import month_range, shift, span
from tests.equity.slow_daily import slow_daily

FIRST, LAST = date(2015, 1, 1), date(2018, 8, 1)
MONTHS = month_range(FIRST, LAST)
# April 2017 begins on a Saturday, and so does July: a week that ends in a month none of whose trading days it holds.
BUILT = [
    date(2015, 4, 1),
    date(2016, 5, 1),
    date(2017, 3, 1),
    date(2017, 7, 1),
    date(2017, 12, 1),
    date(2018, 1, 1),
    date(2018, 5, 1),
    date(2018, 6, 1),
]
STOCKS = 14
# The day on which the factor file has no row although stocks trade.
UNPRICED_DAY = date(2018, 4, 17)
HOLIDAYS = [date(2018, 1, 1), date(2018, 5, 28), date(2017, 12, 25), date(2016, 3, 25)]
WEEKLY = ("gkx_beta", "gkx_betasq", "gkx_idiovol", "gkx_pricedelay")


def trading_days() -> list[date]:
    days = (FIRST + timedelta(days=number) for number in range((shift(LAST, 1) - FIRST).days))
    return [day for day in days if day.weekday() < 5 and day not in HOLIDAYS]


def _rows(rng: np.random.Generator, permno: int, days: list[date], market: np.ndarray) -> pl.DataFrame:
    count = len(days)
    ret = rng.normal(0.0005, 0.02, count) + rng.uniform(0.3, 1.8) * market + 0.2 * np.roll(market, 3)
    factor = np.where(np.arange(count) < count // 2, 2.0, 1.0) if permno % 3 == 0 else np.ones(count)
    price = 20.0 * np.exp(np.cumsum(np.log1p(ret))) * factor
    half = np.abs(rng.normal(0.002, 0.002, count)) * price
    volume = np.floor(rng.lognormal(10.0, 0.8, count) * (1.0 + 20.0 * np.abs(ret)))
    return pl.DataFrame(
        {
            "month": [day.replace(day=1) for day in days],
            "permno": pl.Series([permno] * count, dtype=pl.Int64),
            "date": days,
            "ret": ret,
            "prc": price,
            "volume": np.where(rng.random(count) < 0.06, 0.0, volume),
            "shrout": np.full(count, 5_000.0) / factor,
            "bid": price - half,
            "ask": price + half * np.where(rng.random(count) < 0.05, -1.0, 1.0),
            "high": price * (1.0 + np.abs(rng.normal(0.0, 0.01, count))),
            "low": price * (1.0 - np.abs(rng.normal(0.0, 0.01, count))),
            "cfacpr": factor,
        }
    )


def made_up_market(seed: int = 3) -> dict[str, pl.DataFrame]:
    rng, days = np.random.default_rng(seed), trading_days()
    factors = rng.normal(0.0003, 0.01, (len(days), 3))
    market = pl.DataFrame(
        {
            "date": days,
            "month": [day.replace(day=1) for day in days],
            **dict(zip(("mkt_rf", "smb", "hml"), factors.T, strict=True)),
            "rf": 0.0001,
        }
    ).filter(pl.col("date") != UNPRICED_DAY)
    frames = [_rows(rng, 10_000 + number, days, factors[:, 0]) for number in range(STOCKS)]
    daily = pl.concat(frames).with_columns(
        pl.when(pl.Series(rng.random(len(days) * STOCKS) >= 0.02)).then(pl.col(column)).alias(column)
        for column in ("ret", "prc", "volume", "bid", "ask", "high", "low")
    )
    permno, day = pl.col("permno"), pl.col("date")
    daily = daily.filter(
        ~((permno == 10_001) & day.is_between(date(2017, 8, 1), date(2018, 1, 10))),  # leaves and comes back
        ~((permno == 10_002) & (day < date(2017, 3, 1))),  # listed late
        ~((permno == 10_003) & (day > date(2018, 5, 10))),  # delisted within a month
        ~((permno == 10_004) & (day < date(2018, 5, 25))),  # a few days of history
        pl.Series(rng.random(daily.height) >= 0.01),  # stray days without a row
    ).with_columns(
        volume=pl.when((permno == 10_005) & (day >= date(2018, 5, 1))).then(0.0).otherwise("volume"),
        bid=pl.when(permno == 10_006).then(None).otherwise("bid"),
        prc=pl.when((permno == 10_007) & (day >= date(2018, 5, 20))).then(0.0).otherwise("prc"),
        ask=pl.when((permno == 10_008) & (day.dt.day() < 4)).then(pl.col("bid") * 3.0).otherwise("ask"),
    )
    return {
        "daily": daily.sort("month", "permno", "date"),
        "weekly": weekly_returns(daily, MONTHS),
        "market": market,
        "announcements": _announcements(rng),
    }


def _announcements(rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for permno in range(10_000, 10_000 + STOCKS - 1):
        for end in [date(year, month, 30) for year in range(2014, 2019) for month in (3, 6, 9, 12)]:
            rdq: date | None = end + timedelta(days=int(rng.integers(-3, 130)))
            if rng.random() < 0.15:
                rdq = None
            if permno == 10_009 and end == date(2017, 9, 30):
                rdq = date(2018, 1, 31)  # the day after it is not known in January
            if permno == 10_010:
                rdq = end + timedelta(days=40 + (5 - (end + timedelta(days=40)).weekday()) % 7)  # a Saturday
            known = rdq if rdq is not None and rdq >= end else shift(end.replace(day=1), 3)
            rows.append((permno, rdq, end, known.replace(day=1)))
    return pl.DataFrame(
        rows, schema={"permno": pl.Int64, "rdq": pl.Date, "datadate": pl.Date, "month": pl.Date}, orient="row"
    )


@pytest.fixture(scope="module")
def frames() -> dict[str, pl.DataFrame]:
    return made_up_market()


@pytest.fixture(scope="module")
def ours(frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return daily_characteristics(**frames, months=BUILT)


@pytest.fixture(scope="module")
def slow(frames: dict[str, pl.DataFrame]) -> pd.DataFrame:
    names = ("daily", "market", "announcements")
    pandas = [frames[name].with_columns(pl.col(pl.Date).cast(pl.Datetime("ns"))).to_pandas() for name in names]
    return slow_daily(*pandas, months=[pd.Timestamp(month) for month in BUILT])


@pytest.mark.parametrize("name", DAILY_CHARACTERISTICS)
def test_agrees_with_the_slow_loops(ours: pl.DataFrame, slow: pd.DataFrame, name: str) -> None:
    assert ours["month"].to_list() == [month.date() for month in slow["month"]]
    assert ours["permno"].to_list() == slow["permno"].tolist()
    mine, reference = ours[name].to_numpy(), slow[name].to_numpy(dtype=float)
    np.testing.assert_array_equal(np.isnan(mine), np.isnan(reference))
    np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-12)
    # Both kinds must have been compared.
    assert np.isfinite(mine).sum() > 20
    assert len(np.unique(mine[np.isfinite(mine)])) > 10


def test_columns_keys_and_no_nan(ours: pl.DataFrame) -> None:
    assert ours.columns == ["month", "permno", *DAILY_CHARACTERISTICS]
    assert len(DAILY_CHARACTERISTICS) == len(set(DAILY_CHARACTERISTICS)) == 19
    assert not ours.select("month", "permno").is_duplicated().any()
    assert ours.select(pl.col(DAILY_CHARACTERISTICS).is_finite().all()).row(0) == (True,) * 19


def test_every_missing_case_is_there(ours: pl.DataFrame) -> None:
    june = ours.filter(pl.col("month") == BUILT[-1]).drop("month").rows_by_key("permno", named=True, unique=True)
    assert 10_003 not in june
    assert june[10_004]["capm_b_mkt"] is None
    assert june[10_004]["gkx_beta"] is None
    assert june[10_004]["rel2high"] is not None
    assert june[10_005]["gkx_zerotrade"] is None
    assert june[10_006]["spread"] is None
    assert june[10_007]["rel2high"] is None
    assert june[10_013]["gkx_ear"] is None


@pytest.mark.parametrize("month", BUILT)
def test_a_month_alone_is_the_same_to_the_bit(frames: dict[str, pl.DataFrame], ours: pl.DataFrame, month: date) -> None:
    needed = lookback()
    cut = {name: span(frame, [month], needed[name]) for name, frame in frames.items()}
    alone = daily_characteristics(**cut, months=[month])
    assert alone.equals(ours.filter(pl.col("month") == month))


def test_rows_after_the_month_do_not_matter(frames: dict[str, pl.DataFrame], ours: pl.DataFrame) -> None:
    month = date(2018, 1, 1)
    after = pl.col("month") > month
    changed = {
        name: frame.with_columns(pl.when(after).then(pl.col(pl.Float64) * -3.7 + 0.1).otherwise(pl.col(pl.Float64)))
        for name, frame in frames.items()
    }
    changed["daily"] = changed["daily"].filter(~after | (pl.col("permno") % 2 == 0))
    changed["announcements"] = frames["announcements"].with_columns(
        pl.when(after).then(pl.col("rdq").dt.offset_by("-2mo")).otherwise("rdq").alias("rdq")
    )
    changed["weekly"] = weekly_returns(changed["daily"], MONTHS)
    again = daily_characteristics(**changed, months=BUILT)
    upto = pl.col("month") <= month
    assert again.filter(upto).equals(ours.filter(upto))
    assert not again.filter(~upto).equals(ours.filter(~upto))


def test_other_stocks_do_not_matter(frames: dict[str, pl.DataFrame], ours: pl.DataFrame) -> None:
    for few in ([10_000], [10_001, 10_012], list(range(10_003, 10_011))):
        mine = pl.col("permno").is_in(few)
        # The unpriced day is a trading day because a stock has a row on it.
        part = daily_characteristics(**{**frames, "daily": frames["daily"].filter(mine)}, months=BUILT)
        assert part.equals(ours.filter(mine))


def test_order_of_rows_does_not_matter(frames: dict[str, pl.DataFrame], ours: pl.DataFrame) -> None:
    shuffled = {name: frame.sample(fraction=1.0, shuffle=True, seed=1) for name, frame in frames.items()}
    assert daily_characteristics(**shuffled, months=BUILT[::-1]).equals(ours)


def test_blocks_of_stocks_do_not_matter(
    frames: dict[str, pl.DataFrame], ours: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.equity.daily.BLOCK", 3)
    assert daily_characteristics(**frames, months=BUILT).equals(ours)


def test_nothing_to_build(frames: dict[str, pl.DataFrame]) -> None:
    nothing = daily_characteristics(**frames, months=[])
    assert nothing.height == 0
    assert daily_characteristics(**frames, months=[date(2030, 1, 1)]).schema == nothing.schema


def test_without_factors_the_rest_is_there(frames: dict[str, pl.DataFrame], ours: pl.DataFrame) -> None:
    """Before the factor file begins, stocks have trading days but no market return."""
    month = date(2017, 3, 1)
    found = daily_characteristics(**{**frames, "market": frames["market"].head(0)}, months=[month])
    expected = ours.filter(pl.col("month") == month).with_columns(
        pl.lit(None, dtype=pl.Float64).alias(name) for name in ("capm_b_mkt", "ff3_ivol")
    )
    assert found.equals(expected)


def test_weekly_pieces_by_month_and_at_once(frames: dict[str, pl.DataFrame]) -> None:
    daily = frames["daily"].filter(pl.col("permno") < 10_005)
    parts = [weekly_returns(daily.filter(pl.col("month") == month), [month]) for month in MONTHS]
    assert pl.concat(parts).equals(weekly_returns(daily, MONTHS))
    assert not parts[0].select("month", "permno", "week").is_duplicated().any()
    # 29 January 2018 is a Monday: the week has three days in January and two in February.
    week = pl.concat(parts).filter((pl.col("week") == date(2018, 2, 3)) & (pl.col("permno") == 10_000))
    days = daily.filter((pl.col("permno") == 10_000) & pl.col("date").is_between(date(2018, 1, 28), date(2018, 2, 3)))
    assert week["month"].to_list() == [date(2018, 1, 1), date(2018, 2, 1)]
    np.testing.assert_allclose(week["gross_return"].product(), (1.0 + days["ret"]).product(), rtol=1e-14)


@given(st.integers(-20_000, 40_000))
def test_saturday_ends_the_week(number: int) -> None:
    day = np.datetime64(number, "D")
    end = saturday(np.array([day]))[0]
    assert 0 <= (end - day).astype(int) <= 6
    assert end.item().weekday() == 5


def test_an_announcement_counts_when_its_days_are_over() -> None:
    rows = [(1, date(2018, 1, 31), date(2017, 9, 30)), (1, date(2017, 8, 7), date(2017, 6, 30))]
    frame = pl.DataFrame(rows, schema=["permno", "rdq", "datadate"], orient="row").with_columns(
        month=pl.col("rdq").dt.month_start()
    )
    by_month = {
        month: counting_announcements(frame, month, AnnouncementSettings())["rdq"].to_list()
        for month in month_range(date(2017, 9, 1), date(2018, 7, 1))
    }
    assert by_month[date(2017, 9, 1)] == []  # a quarter counts four months after its end
    assert by_month[date(2017, 10, 1)] == [date(2017, 8, 7)]
    assert by_month[date(2018, 1, 1)] == [date(2017, 8, 7)]  # 1 February belongs to the new announcement
    assert by_month[date(2018, 2, 1)] == [date(2018, 1, 31)]
    assert by_month[date(2018, 7, 1)] == []  # and until nine months after it


def hand_month(**changed: list[float]) -> dict[str, float]:
    columns = {
        "ret": [0.01, -0.03, 0.02],
        "prc": [10.0, 10.0, 20.0],
        "volume": [1_000.0, 0.0, 2_000.0],
        "shrout": [100.0, 100.0, 100.0],
        "bid": [9.9, 0.0, 19.0],
        "ask": [10.1, 10.0, 21.0],
        "high": [11.0, 10.0, 22.0],
        "low": [9.0, 10.0, 18.0],
    }
    arrays = {name: np.array([values]).T for name, values in (columns | changed).items()}
    found = month_characteristics(MonthOfDays(columns={name: arrays[name] for name in COLUMNS}, rows=np.array([3.0])))
    return {name: float(values[0]) for name, values in found.items()}


def test_a_month_by_hand() -> None:
    found = hand_month()
    assert found["spread"] == pytest.approx((0.2 / 10 + 2 / 20) / 2)
    assert found["gkx_baspread"] == pytest.approx((0.2 + 0.0 + 0.2) / 3)
    assert found["gkx_maxret"] == 0.02
    assert found["gkx_ill"] == pytest.approx((0.01 / 10_000 + 0.02 / 40_000) / 2)
    assert found["gkx_std_dolvol"] == pytest.approx(np.log(4.0) / np.sqrt(2.0))
    assert found["gkx_std_turn"] == pytest.approx(0.01)
    assert found["gkx_zerotrade"] == pytest.approx((1 + 1 / 0.03 / 480_000) * 21 / 3)


@given(st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_units_of_price_and_volume(price: float, volume: float) -> None:
    base = hand_month()
    scaled = hand_month(
        prc=[10.0 * price, 10.0 * price, 20.0 * price], volume=[1_000.0 * volume, 0.0, 2_000.0 * volume]
    )
    assert scaled["gkx_ill"] == pytest.approx(base["gkx_ill"] / price / volume, rel=1e-12)
    assert scaled["gkx_std_dolvol"] == pytest.approx(base["gkx_std_dolvol"], rel=1e-9)
    assert scaled["gkx_std_turn"] == pytest.approx(base["gkx_std_turn"] * volume, rel=1e-12)


@given(st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_laws_of_scale(scale: float) -> None:
    """Powers of two leave every digit: a stock that moves twice as much has twice the beta and deviation."""
    base, market, weekly = LAW
    moved = base.with_columns(ret=pl.col("ret") * scale)
    names = ["capm_b_mkt", "ff3_ivol", "variance40", "gkx_retvol", "gkx_maxret", "rel2high", "suv", "gkx_zerotrade"]
    powers = np.array([1, 1, 2, 1, 1, 0, 0, 0])
    found = [
        daily_characteristics(rows, weekly, market, NO_EVENTS, [LAW_MONTH]).select(names).to_numpy()
        for rows in (base, moved)
    ]
    np.testing.assert_allclose(found[1], found[0] * scale**powers, rtol=1e-11)


LAW_MONTH = date(2018, 3, 1)
NO_EVENTS = pl.DataFrame(schema={"permno": pl.Int64, "rdq": pl.Date, "datadate": pl.Date, "month": pl.Date})


def _law_frames() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    made = made_up_market(seed=8)
    daily = span(made["daily"], [LAW_MONTH], 13).filter(pl.col("permno").is_in([10_000, 10_009, 10_011]))
    # Without a riskless rate excess returns scale like returns.
    return daily, span(made["market"], [LAW_MONTH], 13).with_columns(rf=0.0), made["weekly"].head(0)


LAW = _law_frames()


def test_beta_of_the_market_is_one(frames: dict[str, pl.DataFrame]) -> None:
    month, market = date(2018, 3, 1), frames["market"]
    one = frames["daily"].filter(pl.col("permno") == 10_000).join(market.drop("month"), on="date")
    one = one.with_columns(ret=pl.col("mkt_rf") + pl.col("rf"))
    found = daily_characteristics(one, frames["weekly"], market, NO_EVENTS, [month]).row(0, named=True)
    assert found["capm_b_mkt"] == pytest.approx(1.0, abs=1e-12)
    assert found["ff3_ivol"] == pytest.approx(0.0, abs=1e-14)


def test_a_split_leaves_the_distance_to_the_high(frames: dict[str, pl.DataFrame], ours: pl.DataFrame) -> None:
    split = (pl.col("date") >= date(2018, 1, 20)) & (pl.col("permno") == 10_009)
    daily = frames["daily"].with_columns(
        pl.when(split).then(pl.col(name) / 4.0).otherwise(name).alias(name) for name in ("prc", "cfacpr")
    )
    again = daily_characteristics(**{**frames, "daily": daily}, months=BUILT)
    assert again["rel2high"].equals(ours["rel2high"])


def test_two_rows_on_a_day_are_refused(frames: dict[str, pl.DataFrame]) -> None:
    month = BUILT[-1]
    daily = span(frames["daily"], [month], 2)
    extra = {**frames, "daily": pl.concat([daily, daily.tail(1)])}
    with pytest.raises(ValueError, match=r"permno, date .*10013.* occur twice"):
        daily_characteristics(**extra, months=[month])
    market = pl.concat([frames["market"], frames["market"].filter(pl.col("month") == month).head(1)])
    with pytest.raises(ValueError, match=r"date .* occur twice"):
        daily_characteristics(**{**frames, "market": market}, months=[month])


@pytest.mark.parametrize(
    ("name", "fewest", "before"),
    [("capm_b_mkt", 126, False), ("ff3_ivol", 126, False), ("variance40", 20, False), ("suv", 40, True)],
)
def test_fewest_days(frames: dict[str, pl.DataFrame], name: str, fewest: int, before: bool) -> None:
    """One day below the minimum leaves the value out; the window of ``suv`` ends before the month."""
    month, market = date(2018, 3, 1), frames["market"]
    rows = frames["daily"].filter((pl.col("permno") == 10_000) & (pl.col("month") <= month)).drop_nulls()
    counted = rows.filter(pl.col("month") < month) if before else rows
    found = []
    for count in (fewest - 1, fewest):
        kept = rows.filter(pl.col("date") >= counted["date"][-count])
        found.append(daily_characteristics(kept, frames["weekly"], market, NO_EVENTS, [month])[name][0])
    assert found[0] is None
    assert found[1] is not None


def test_fewest_weeks(frames: dict[str, pl.DataFrame]) -> None:
    month = date(2018, 3, 1)
    daily = frames["daily"].filter((pl.col("permno") == 10_000) & (pl.col("month") == month))
    weeks = frames["weekly"].filter((pl.col("permno") == 10_000) & (pl.col("week") < shift(month, 1)))
    others = frames["weekly"].filter(pl.col("permno") != 10_000)
    found = []
    for count in (51, 52):
        first = weeks["week"].unique().sort()[-count]
        weekly = pl.concat([others, weeks.filter(pl.col("week") >= first)])
        found.append(daily_characteristics(daily, weekly, frames["market"], NO_EVENTS, [month]).select(WEEKLY))
    assert found[0].row(0) == (None,) * 4
    assert None not in found[1].row(0)


def test_windows_stay_within_the_lookback() -> None:
    days = np.array(trading_days(), dtype="datetime64[D]")
    thin = TradingCalendar(days[::3])
    month, window = date(2018, 6, 1), DayWindow(252, 126)
    rows = thin.window_rows(month, window)
    assert thin.days[rows][0] >= np.datetime64(shift(month, 1 - window.months))
    full = TradingCalendar(days)
    assert full.window_rows(month, window).stop - full.window_rows(month, window).start == 252
    before = full.window_rows(month, DayWindow(60, 40), before=True)
    assert full.days[before.stop - 1] < np.datetime64(month)
    assert before.stop - before.start == 60


def test_lookback_follows_the_settings() -> None:
    assert lookback() == {"daily": 13, "weekly": 37, "market": 13, "announcements": 10}
    longer = DailySettings(windows=DayWindowSettings(beta=DayWindow(504, 252)), weekly=WeeklySettings(months=12))
    assert lookback(longer) == {"daily": 25, "weekly": 13, "market": 25, "announcements": 10}


def test_chunks_fit_the_budget() -> None:
    assert chunk_months(525_000, memory=1) == 1
    assert chunk_months(525_000) >= 12
    assert chunk_months(525_000, memory=2 * 2**30) < chunk_months(525_000)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: DayWindow(10, 11), "window of 10 days"),
        (lambda: WeeklySettings(min_weeks=2), "min_weeks >= 3"),
        (lambda: AnnouncementSettings(quarter_lag=10), "no month is left"),
        (lambda: AnnouncementSettings(normal=(-30, -1)), "must lie before"),
    ],
)
def test_impossible_settings_are_refused(wrong: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wrong()


def test_columns_read_are_enough(frames: dict[str, pl.DataFrame]) -> None:
    assert set(DAILY_COLUMNS) == set(frames["daily"].columns)
    arrays = DailyArrays.from_frame(frames["daily"], TradingCalendar.of(frames["daily"]), ["ret"])
    assert np.isfinite(arrays.arrays["ret"]).sum() == frames["daily"]["ret"].count()
