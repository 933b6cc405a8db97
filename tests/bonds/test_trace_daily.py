"""Daily prices from made-up reports full of collisions, against plain loops, and the promise about time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds import trace_group
from pipeline.bonds.trace_daily import lookback, trace_daily, trace_months
from pipeline.bonds.trace_filters import RULES
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.bonds.trace_trades import clean_trades
from pipeline.panel.calendar import month_range, shift
from tests.bonds.slow_trace import LONELY, Slow
from tests.bonds.test_trace_filters import BOND, NEW, OLD, M, N, report, staged

FIRST, LAST = date(2011, 12, 1), date(2012, 4, 1)
MONTHS = month_range(FIRST, LAST)
CODES = {
    "trc_st": (["T", "C", "W", "R", "X", "Y", None], [0.62, 0.1, 0.1, 0.06, 0.06, 0.05, 0.01]),
    "asof_cd": ([None, "A", "R", "X", "D"], [0.8, 0.04, 0.12, 0.02, 0.02]),
    "wis_fl": (["N", "Y", None], [0.9, 0.03, 0.07]),
    "lckd_in_ind": ([None, "Y"], [0.97, 0.03]),
    "sale_cndtn_cd": ([None, "@", "R"], [0.5, 0.47, 0.03]),
    "days_to_sttl_ct": ([None, "000", "2", "003", "10"], [0.4, 0.3, 0.25, 0.03, 0.02]),
    "rpt_side_cd": (["B", "S"], [0.5, 0.5]),
    "cntra_mp_id": (["C", "D", None], [0.45, 0.5, 0.05]),
    "buy_cpcty_cd": (["P", "A", None], [0.7, 0.2, 0.1]),
    "sell_cpcty_cd": (["P", "A", None], [0.7, 0.2, 0.1]),
    "cmsn_trd": (["N", "Y", None], [0.6, 0.3, 0.1]),
}
NAMES = [
    "month", "cusip", "trd_exctn_dt", "trd_exctn_tm", "trd_rpt_dt", "trd_rpt_tm", "msg_seq_nb", "orig_msg_seq_nb",
    *CODES, "entrd_vol_qt", "rptd_pr", "copy",
]  # fmt: skip
KEY = ["cusip", "trd_exctn_dt", "msg_seq_nb", "trc_st", "trd_rpt_dt", "trd_rpt_tm"]


def _pick(rng, values, n, p=None):
    places = rng.choice(len(values), n, p=p)
    return [values[k] for k in places]


def made_up(seed: int, n: int = 700, bonds: int = 4, first: date = FIRST, last: date = LAST) -> pl.DataFrame:
    """Reports whose numbers, prices and volumes coincide far more often than they should."""
    rng = np.random.default_rng(seed)
    days = [first + timedelta(k) for k in range((shift(last, 1) - first).days)]
    days = [day for day in days if day.day in (1, 2, 3, 27, 28, 29, 30, 31)]
    executed = _pick(rng, days, n)
    delay = _pick(rng, [0, 0, 0, 0, 0, 0, 0, 1, 5, 31, 62, 150], n)
    report = [
        min(day + timedelta(wait), shift(last, 1) - timedelta(1)) for day, wait in zip(executed, delay, strict=True)
    ]
    price = rng.choice(
        [100.0, 99.5, 100.25, 98.125, 1003.0, 0.0, 9.95, 1000.0, 60.0, 55.5, 1.01],
        n,
        p=np.array([30, 30, 20, 30, 1, 1, 3, 3, 3, 3, 2]) / 126,
    )
    clock = [time(9, 30), time(9, 30, 1), time(12), time(16, 59, 59), None]
    rows = pl.DataFrame(
        {
            "cusip": _pick(rng, [f"0000000{k}" for k in range(bonds)], n),
            "trd_exctn_dt": executed,
            "trd_exctn_tm": _pick(rng, clock, n),
            "trd_rpt_dt": report,
            "trd_rpt_tm": _pick(rng, [time(10), time(17), time(18, 15)], n),
            "msg_seq_nb": _pick(rng, ["1", "2", "3", "0000004", "5", "12", "A7", None], n),
            "orig_msg_seq_nb": _pick(rng, ["1", "2", "3", "0000004", "5", "12", "A7", None, None, None], n),
            **{name: _pick(rng, values, n, p) for name, (values, p) in CODES.items()},
            "entrd_vol_qt": _pick(rng, [10_000.0, 25_000.0, 5e5, 9_999.0, None], n, [0.4, 0.4, 0.15, 0.03, 0.02]),
            "rptd_pr": pl.Series(price),
        },
        schema_overrides={"trd_exctn_tm": pl.Time, "trd_rpt_tm": pl.Time},
    )
    # Cancellations and reversals that find something: a share repeats an earlier row's terms.
    again = rng.random(n) < 0.35
    source = rows[pl.Series(np.where(again, rng.integers(0, n, n), np.arange(n)))]
    named = pl.Series(rng.random(n) < 0.5) & pl.Series(again)
    soon, end = pl.Series(_pick(rng, [timedelta(k) for k in (0, 0, 1, 2, 40)], n)), shift(last, 1) - timedelta(1)
    back = pl.Series(again) & (rows["asof_cd"] == "R").fill_null(False)
    terms = ["cusip", "trd_exctn_dt", "trd_exctn_tm", "entrd_vol_qt", "rptd_pr", "rpt_side_cd", "cntra_mp_id"]
    rows = rows.with_columns(
        *(source[name] for name in terms),
        trc_st=pl.when(back).then(pl.lit("T")).otherwise(rows["trc_st"]),
        msg_seq_nb=pl.when(back).then(pl.lit("90")).otherwise(source["msg_seq_nb"]),
        orig_msg_seq_nb=pl.when(named).then(source["msg_seq_nb"]).otherwise(rows["orig_msg_seq_nb"]),
        trd_rpt_dt=pl.min_horizontal(
            pl.when(pl.Series(again)).then(source["trd_rpt_dt"] + soon).otherwise(rows["trd_rpt_dt"]), end
        ),
    )
    rows = rows.with_columns(
        month=pl.col("trd_rpt_dt").dt.month_start(),
        copy=pl.int_range(pl.len(), dtype=pl.Int64).over(KEY),
    )
    return rows.select(NAMES).sort("month", *KEY, "copy")


ISSUES = pl.DataFrame(
    {
        "month": [date(2005, 1, 1), date(2006, 1, 1), date(2012, 3, 1), date(2012, 4, 1)],
        "cusip": ["00000000", "00000001", "00000002", "00000001"],
        "maturity": [date(2020, 1, 1), date(2012, 3, 29), date(2012, 1, 5), date(2030, 1, 1)],
    }
)


LONG_LIVED = pl.DataFrame({"month": [date(2005, 1, 1)], "cusip": [BOND], "maturity": [date(2030, 1, 1)]})


def _rows(frame: pl.DataFrame) -> list[tuple]:
    return frame.drop("month").rows()


def _close(mine: list[tuple], slow: list[tuple]) -> None:
    assert [row[:2] for row in mine] == [row[:2] for row in slow]
    for a, b in zip(mine, slow, strict=True):
        assert [value is None for value in a] == [value is None for value in b], a
        assert [x for x in a[2:] if x is not None] == pytest.approx([x for x in b[2:] if x is not None], rel=1e-13), a


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_plain_loops_in_both_regimes(seed):
    reports = made_up(seed)
    slow = Slow(reports, ISSUES)
    earlier = 0
    for month in MONTHS:
        mine = trace_daily(reports, ISSUES, [month])
        _close(_rows(mine), slow.partition(month))
        earlier += mine.filter(pl.col("date") < month).height
    assert earlier > 25


def test_the_waterfall_counts_what_plain_loops_count():
    reports = made_up(20, n=1_500)
    dropped, lonely = dict.fromkeys((rule.name for rule in RULES), 0), dict.fromkeys(LONELY, 0)
    for built in trace_months(reports, ISSUES, MONTHS):
        slow = Slow(reports, ISSUES)
        for cusip in slow.bonds:
            slow.trades(cusip, built.month, built.month)
        found = {row["step"]: [row["rows_in"], row["rows_out"]] for row in built.figures["waterfall"]}
        assert found == dict(slow.counts)
        assert built.figures["unmatched"] == slow.unmatched
        for step, count in slow.unmatched.items():
            lonely[step] += count
        for step, (rows_in, rows_out) in found.items():
            dropped[step] += rows_in - rows_out
    assert all(count > 0 for step, count in dropped.items() if step != "decimal shifts mended"), dropped
    assert all(count > 0 for count in lonely.values()), lonely


@pytest.mark.parametrize("as_of", [0, 1, 3])
def test_clean_trades_are_those_of_plain_loops(as_of):
    reports = made_up(7)
    for month in MONTHS[: -as_of or None]:
        mine = clean_trades(reports, ISSUES, month, shift(month, as_of))
        slow = Slow(reports, ISSUES)
        rows = [
            (cusip, row["trd_exctn_dt"], row["trd_exctn_tm"], row["price"], row["entrd_vol_qt"], row["mended"])
            for cusip in sorted(slow.bonds)
            for row in slow.trades(cusip, month, shift(month, as_of))
        ]
        assert mine.trades.select("cusip", "date", "time", "price", "volume", "corrected").rows() == rows
        assert {row["step"]: [row["rows_in"], row["rows_out"]] for row in mine.waterfall} == dict(slow.counts)
        assert {row["step"]: row["unmatched"] for row in mine.waterfall if "unmatched" in row} == slow.unmatched


def test_a_range_and_single_months_agree_bit_for_bit():
    reports = made_up(8, n=1_500, bonds=7)
    range_ = trace_daily(reports, ISSUES, MONTHS)
    assert_frame_equal(range_, pl.concat(trace_daily(reports, ISSUES, [month]) for month in MONTHS), check_exact=True)
    some = [MONTHS[0], MONTHS[3], MONTHS[4]]
    assert_frame_equal(trace_daily(reports, ISSUES, some), range_.filter(pl.col("month").is_in(some)), check_exact=True)


def test_nothing_dated_later_matters():
    reports = made_up(9, n=1_500)
    for month in MONTHS[1:-1]:
        expected = trace_daily(reports, ISSUES, [month])
        later = made_up(99, n=500).with_columns(trd_rpt_dt=pl.col("trd_rpt_dt").dt.offset_by("12mo"))
        later = later.with_columns(month=pl.col("trd_rpt_dt").dt.month_start())
        known = reports.filter(pl.col("month") <= month)
        issues = ISSUES.with_columns(
            maturity=pl.when(pl.col("month") > month).then(date(1999, 1, 1)).otherwise("maturity")
        )
        assert_frame_equal(trace_daily(pl.concat([known, later]), issues, [month]), expected, check_exact=True)


def test_nothing_older_than_the_lookback_matters():
    reports = made_up(10, n=1_500)
    settings = TraceSettings(correction_months=2)
    back = lookback(settings)["trace_enhanced"]
    expected = trace_daily(reports, ISSUES, [LAST], settings)
    window = reports.filter(pl.col("month") > shift(LAST, -back))
    assert_frame_equal(trace_daily(window, ISSUES, [LAST], settings), expected, check_exact=True)
    assert expected.height < trace_daily(reports, ISSUES, [LAST]).height


@pytest.mark.parametrize("rows_at_once", [1, 37, 500])
def test_the_size_of_groups_changes_nothing(rows_at_once):
    reports = made_up(11, n=1_500, bonds=9)
    expected = list(trace_months(reports, ISSUES, MONTHS))
    found = trace_months(reports, ISSUES, MONTHS, TraceSettings(rows_at_once=rows_at_once))
    for one, other in zip(expected, found, strict=True):
        assert_frame_equal(one.daily, other.daily, check_exact=True)
        assert one.figures == other.figures


def test_about_as_many_reports_are_read_at_once_as_wanted(monkeypatch):
    reports, read, heights = made_up(11, n=1_500, bonds=30), trace_group.read, []

    def counting(*arguments):
        heights.append(read(*arguments).height)
        return read(*arguments)

    monkeypatch.setattr(trace_group, "read", counting)
    list(trace_months(reports, ISSUES, MONTHS, TraceSettings(rows_at_once=50)))
    of_bond = reports.group_by("cusip", "month").len()["len"].max()
    of_month = reports.group_by("month").len()["len"].max()
    assert max(heights) < 2 * 50 + of_bond < of_month / 2


def test_the_order_of_rows_changes_nothing():
    reports = made_up(12, n=1_500)
    expected = trace_daily(reports, ISSUES, MONTHS)
    for seed in range(2):
        shuffled = reports.sample(fraction=1.0, shuffle=True, seed=seed)
        assert_frame_equal(trace_daily(shuffled, ISSUES, MONTHS), expected, check_exact=True)


def test_other_bonds_change_nothing():
    reports = made_up(13, n=1_500, bonds=5)
    expected = trace_daily(reports, ISSUES, MONTHS)
    alone = trace_daily(reports.filter(pl.col("cusip") == "00000003"), ISSUES, MONTHS)
    assert_frame_equal(alone, expected.filter(pl.col("cusip") == "00000003"), check_exact=True)


def test_the_newest_partition_has_the_days_as_finally_corrected():
    reports = made_up(14, n=1_500)
    daily = trace_daily(reports, ISSUES, MONTHS, replace(TraceSettings(), correction_months=len(MONTHS)))
    newest = daily.sort("month").unique(["cusip", "date"], keep="last").filter(pl.col("price_corrected").is_not_null())
    slow = Slow(reports, ISSUES)
    final = {
        (cusip, day): values
        for cusip in slow.bonds
        for month in MONTHS
        for day, values in slow.days(cusip, month, LAST).items()
    }
    found = {
        row[:2]: row[2:]
        for row in newest.select("cusip", "date", "price_corrected", "volume_corrected", "trades_corrected").rows()
    }
    assert set(found) == set(final)
    for key, values in final.items():
        assert found[key] == pytest.approx(values, rel=1e-13)


def test_no_reports_give_no_rows_and_a_waterfall_of_nothing():
    (built,) = trace_months(made_up(15).clear(), ISSUES, [FIRST])
    assert built.daily.is_empty()
    assert built.daily.columns[:3] == ["month", "cusip", "date"]
    assert built.figures["waterfall"][0] == {"step": RULES[0].name, "rows_in": 0, "rows_out": 0}
    assert trace_daily(made_up(15), ISSUES, []).is_empty()


# By hand


def test_daily_prices_are_weighted_by_volume():
    rows = [report(N, 1, price=100.0, volume=1e5), report(N, 2, price=101.0, volume=3e5), report(M, 3, price=99.0)]
    found = trace_daily(staged(rows), LONG_LIVED, [NEW])
    assert found.rows() == [
        (NEW, BOND, N, 100.75, 4e5, 2, 100.75, 4e5, 2),
        (NEW, BOND, M, 99.0, 1e5, 1, 99.0, 1e5, 1),
    ]


def test_late_reports_change_earlier_days_in_the_month_in_which_they_arrive():
    may, late = date(2013, 5, 1), date(2013, 6, 4)
    day, other = date(2013, 5, 20), date(2013, 5, 21)
    rows = [
        report(day, 1, price=100.0),
        report(day, 2, price=102.0),
        report(day, 2, price=102.0, status="X", reported=late),
        report(other, 3, price=101.0),
        report(other, 3, price=101.0, status="C", reported=late),
        report(date(2013, 5, 22), 4, price=103.0, reported=late),
        report(date(2013, 5, 23), 5, price=104.0),
        report(date(2013, 5, 22), 4, price=103.0, status="X", reported=date(2013, 8, 5)),
    ]
    frame = staged(rows)
    assert trace_daily(frame, LONG_LIVED, [may]).select("date", "price", "price_corrected").rows() == [
        (day, 101.0, 101.0),
        (other, 101.0, 101.0),
        (date(2013, 5, 23), 104.0, 104.0),
    ]
    june = trace_daily(frame, LONG_LIVED, [NEW])
    assert june.drop("month", "cusip").rows() == [
        (day, 101.0, 2e5, 2, 100.0, 1e5, 1),
        (other, 101.0, 1e5, 1, None, None, None),
        (date(2013, 5, 22), None, None, None, 103.0, 1e5, 1),
    ]
    assert trace_daily(frame, LONG_LIVED, [date(2013, 7, 1)]).is_empty()
    august = trace_daily(frame, LONG_LIVED, [date(2013, 8, 1)])
    assert august.drop("month", "cusip").rows() == [(date(2013, 5, 22), None, None, None, None, None, None)]
    settings = TraceSettings(correction_months=2)
    assert trace_daily(frame, LONG_LIVED, [date(2013, 8, 1)], settings).is_empty()


def test_a_late_trade_may_reveal_a_bounce_back_of_another_day():
    first, second, third = date(2013, 5, 20), date(2013, 5, 21), date(2013, 5, 22)
    rows = [
        report(first, 1, price=100.0),
        report(second, 2, price=60.0),
        report(third, 3, price=100.0, reported=date(2013, 6, 3)),
    ]
    found = trace_daily(staged(rows), LONG_LIVED, [NEW])
    assert found.select("date", "price", "price_corrected").rows() == [(second, 60.0, None), (third, None, 100.0)]


@pytest.mark.parametrize("others", [[], [report(date(2013, 5, 20), 9, cusip="00000000")]])
def test_a_bond_may_be_seen_first_in_a_late_report(others):
    may, day = date(2013, 5, 1), date(2013, 5, 22)
    frame = staged([*others, report(day, 1, reported=N), report(day, 1, reported=date(2013, 8, 1), status="X")])
    months = [may, NEW, date(2013, 7, 1), date(2013, 8, 1)]
    for found in (
        trace_daily(frame, LONG_LIVED, months),
        pl.concat(trace_daily(frame, LONG_LIVED, [m]) for m in months),
    ):
        assert found.filter(pl.col("cusip") == BOND).drop("cusip").rows() == [
            (NEW, day, None, None, None, 100.0, 1e5, 1),
            (date(2013, 8, 1), day, None, None, None, None, None, None),
        ]


def test_a_trade_that_a_correction_moved_to_another_month_stays_away_from_later_revisions():
    day, moved, months = date(2011, 6, 30), date(2011, 7, 1), [OLD, date(2011, 7, 1), date(2011, 8, 1)]
    rows = [
        report(day, 3, price=100.0),
        report(day, 1, price=90.0, reported=moved),
        report(moved, 2, price=90.0, status="W", original="1"),
        report(day, 4, price=102.0, reported=date(2011, 8, 2), as_of="A"),
    ]
    expected = [(OLD, 100.0, 100.0), (date(2011, 7, 1), 90.0, 90.0), (date(2011, 8, 1), 100.0, 101.0)]
    frame = staged(rows)
    for found in (
        trace_daily(frame, LONG_LIVED, months),
        pl.concat(trace_daily(frame, LONG_LIVED, [m]) for m in months),
    ):
        assert found.select("month", "price", "price_corrected").rows() == expected


def test_without_late_reports_nothing_older_than_the_month_before_is_read():
    days = [date(2013, 1, 15) + timedelta(30 * k) for k in range(6)]
    frame = staged([report(day, 1) for day in days])
    poisoned = frame.lazy().with_columns(
        rptd_pr=pl.when(pl.col("month") < date(2013, 5, 1)).then(None).otherwise("rptd_pr")
    )
    assert trace_daily(poisoned, LONG_LIVED, [NEW]).equals(trace_daily(frame, LONG_LIVED, [NEW]))
