"""Every rule of the cleaning on a few reports written by hand."""

from __future__ import annotations

from datetime import date, time
from itertools import pairwise

import polars as pl
import pytest

from pipeline.bonds import trace_corrections
from pipeline.bonds.trace_daily import trace_months
from pipeline.bonds.trace_filters import RULES
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.bonds.trace_trades import clean_trades
from pipeline.panel.calendar import shift

OLD, NEW = date(2011, 6, 1), date(2013, 6, 1)
BOND = "12345678"
SCHEMA = {
    "month": pl.Date, "cusip": pl.String, "trd_exctn_dt": pl.Date, "trd_exctn_tm": pl.Time, "trd_rpt_dt": pl.Date,
    "trd_rpt_tm": pl.Time, "msg_seq_nb": pl.String, "orig_msg_seq_nb": pl.String, "trc_st": pl.String,
    "asof_cd": pl.String, "wis_fl": pl.String, "cmsn_trd": pl.String, "lckd_in_ind": pl.String,
    "sale_cndtn_cd": pl.String, "days_to_sttl_ct": pl.String, "entrd_vol_qt": pl.Float64, "rptd_pr": pl.Float64,
    "rpt_side_cd": pl.String, "cntra_mp_id": pl.String, "buy_cpcty_cd": pl.String, "sell_cpcty_cd": pl.String,
    "copy": pl.Int64,
}  # fmt: skip
ISSUES = pl.DataFrame({"month": [date(2005, 1, 1)], "cusip": [BOND], "maturity": [date(2030, 1, 1)]})
NAMES = {
    "number": "msg_seq_nb", "original": "orig_msg_seq_nb", "status": "trc_st", "as_of": "asof_cd", "price": "rptd_pr",
    "volume": "entrd_vol_qt", "side": "rpt_side_cd", "contra": "cntra_mp_id",
}  # fmt: skip


def report(day: date, number: int | str, hour: int = 10, reported: date | None = None, **changes) -> dict:
    """One report of a customer's purchase, made the same day unless said otherwise."""
    row = {
        "cusip": BOND,
        "trd_exctn_dt": day,
        "trd_exctn_tm": time(hour, int(number) % 60),
        "trd_rpt_dt": reported or day,
        "trd_rpt_tm": time(hour + 1, int(number) % 60),
        "msg_seq_nb": str(number),
        "trc_st": "T",
        "wis_fl": "N",
        "cmsn_trd": "Y",
        "entrd_vol_qt": 1e5,
        "rptd_pr": 100.0,
        "rpt_side_cd": "S",
        "cntra_mp_id": "C",
        "copy": 0,
    }
    return row | {NAMES.get(name, name): value for name, value in changes.items()}


def staged(rows: list[dict]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema={name: kind for name, kind in SCHEMA.items() if name != "month"})
    return frame.with_columns(month=pl.col("trd_rpt_dt").dt.month_start()).select(*SCHEMA)


def kept(rows: list[dict], month: date, as_of: date | None = None, issues: pl.DataFrame = ISSUES) -> list[str]:
    """Numbers of the reports that stay."""
    return sorted(clean_trades(staged(rows), issues, month, as_of).trades["msg_seq_nb"].to_list())


def dropped_by(rows: list[dict], month: date) -> dict[str, int]:
    found = clean_trades(staged(rows), ISSUES, month).waterfall
    return {row["step"]: row["rows_in"] - row["rows_out"] for row in found if row["rows_in"] != row["rows_out"]}


D, E = date(2011, 6, 7), date(2011, 6, 9)


# The old regime


def test_an_old_cancellation_takes_its_original_of_the_same_report_day():
    rows = [report(D, 1), report(D, 2), report(D, 3, status="C", original="1")]
    assert kept(rows, OLD) == ["2"]
    assert dropped_by(rows, OLD) == {"not cancelled, to 2012": 2}
    # The numbers start again every day: on another one there is nothing to cancel.
    assert kept([report(E, 1), report(D, 3, status="C", original="1")], OLD) == ["1"]


def test_a_number_belongs_to_a_bond():
    rows = [report(D, 1), report(D, 3, status="C", original="1", cusip="87654321")]
    assert kept(rows, OLD) == ["1"]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_the_last_of_a_chain_of_corrections_replaces_the_trade(length):
    chain = [report(D, 10 + k, status="W", original=str(9 + k), price=99.0 + k) for k in range(1, length + 1)]
    rows = [report(D, 10), *chain, report(D, 50)]
    assert kept(rows, OLD) == sorted([str(10 + length), "50"])
    assert dropped_by(rows, OLD) == {"as corrected, to 2012": length}
    assert clean_trades(staged(rows), ISSUES, OLD).trades["price"].to_list() == [99.0 + length, 100.0]


def test_a_correction_of_nothing_goes():
    rows = [report(D, 1), report(D, 12, status="W", original="11"), report(D, 13, status="W", original="12")]
    assert kept(rows, OLD) == ["1"]


def test_a_cancelled_correction_leaves_nothing_behind():
    rows = [report(D, 1), report(D, 2, status="W", original="1"), report(D, 3, status="C", original="2")]
    assert kept(rows, OLD) == []
    assert dropped_by(rows, OLD) == {"not cancelled, to 2012": 2, "as corrected, to 2012": 1}


def test_a_correction_may_move_the_trade_into_another_month():
    first, last = date(2011, 7, 1), date(2011, 6, 30)
    rows = [report(last, 1, reported=first), report(first, 2, status="W", original="1")]
    assert kept(rows, OLD, date(2011, 7, 1)) == []
    assert kept(rows, date(2011, 7, 1)) == ["2"]


def test_a_reversal_takes_one_original_on_six_keys():
    alike = [report(D, k, hour=9 + k) for k in (1, 2, 3)]
    back = report(D, 9, hour=15, reported=E, as_of="R")
    assert kept([*alike, back], OLD) == ["2", "3"]
    assert dropped_by([*alike, back], OLD) == {
        "not reversed, to 2012": 1,
        "no reversal or delayed report, to 2012": 1,
    }
    assert kept([*alike, back, report(D, 10, hour=15, reported=E, as_of="R")], OLD) == ["3"]


@pytest.mark.parametrize(
    "change", [{"price": 100.5}, {"volume": 2e5}, {"side": "B"}, {"contra": "D"}, {"cusip": "87654321"}, {"day": E}]
)
def test_a_reversal_without_an_original_takes_nothing(change):
    day = change.pop("day", D)
    rows = [report(D, 1), report(day, 9, reported=date(2011, 6, 20), as_of="R") | _named(change)]
    assert kept(rows, OLD) == ["1"]
    assert dropped_by(rows, OLD) == {"no reversal or delayed report, to 2012": 1}


def _named(change: dict) -> dict:
    return {NAMES.get(name, name): value for name, value in change.items()}


def test_a_reversal_takes_nothing_that_was_reported_after_it():
    rows = [report(D, 1, reported=date(2011, 6, 20), as_of="A"), report(D, 9, reported=E, as_of="R")]
    assert kept(rows, OLD) == ["1"]
    # The one before it goes; the one after stays, although a reversal was left over in between.
    two = [*rows, report(D, 2), report(D, 10, reported=E, as_of="R")]
    assert kept(two, OLD) == ["1"]


def test_a_reversal_reported_in_the_same_second_finds_its_original():
    back = report(D, 9, as_of="R") | {"trd_rpt_tm": time(11, 20), "msg_seq_nb": "1"}
    assert kept([back, report(D, 20)], OLD) == []


def test_delayed_reports_of_the_old_regime_go_and_as_of_trades_stay():
    rows = [report(D, 1, as_of="A"), report(D, 2, as_of="X"), report(D, 3, as_of="D")]
    assert kept(rows, OLD) == ["1"]
    # A delayed report is no original.
    assert kept([report(D, 2, as_of="D"), report(D, 1), report(D, 9, reported=E, as_of="R")], OLD) == []


# The present regime

N, M = date(2013, 6, 11), date(2013, 6, 13)


@pytest.mark.parametrize("reported", [N, M])
def test_a_cancellation_repeats_the_trade(reported):
    rows = [report(N, 1), report(N, 2), report(N, 1, reported=reported, status="X")]
    assert kept(rows, NEW) == ["2"]
    assert dropped_by(rows, NEW) == {"not cancelled or corrected, from 2012": 2}


@pytest.mark.parametrize(
    "change",
    [{"price": 100.5}, {"volume": 2e5}, {"side": "B"}, {"contra": "D"}, {"trd_exctn_tm": time(9)}, {"number": "4"}],
)
def test_a_cancellation_that_differs_takes_nothing(change):
    assert kept([report(N, 1), report(N, 1, status="X") | _named(change)], NEW) == ["1"]


def test_missing_codes_match_each_other_but_missing_numbers_do_not():
    missing = {"contra": None, "trd_exctn_tm": None}
    assert kept([report(N, 1, **missing), report(N, 1, status="X", **missing)], NEW) == []
    unnumbered = report(N, 1, msg_seq_nb=None)
    assert len(clean_trades(staged([unnumbered, unnumbered | {"trc_st": "X"}]), ISSUES, NEW).trades) == 1


def test_a_chain_of_corrections_leaves_its_last():
    rows = [
        report(N, 1),
        report(N, 1, status="C"),
        report(N, 2, status="R", original="1", price=101.0),
        report(N, 2, status="C", price=101.0),
        report(N, 3, status="R", original="2", price=102.0),
    ]
    assert kept(rows, NEW) == ["3"]
    assert kept([*rows, report(N, 3, status="X", price=102.0)], NEW) == []


def test_a_reversal_names_its_original():
    rows = [report(N, 1), report(N, 2, hour=10), report(N, 1, status="Y", original="1", reported=M, msg_seq_nb="7")]
    assert kept(rows, NEW) == ["2"]
    assert dropped_by(rows, NEW) == {"not reversed, from 2012": 2}
    # By its number alone: another trade alike in everything else stays.
    assert kept([report(N, 1), report(N, 1, status="Y", original="5", reported=M, msg_seq_nb="7")], NEW) == ["1"]


def test_a_trade_reported_before_the_regime_may_be_cancelled_after():
    day, later = date(2012, 2, 3), date(2012, 2, 7)
    month = date(2012, 2, 1)
    assert kept([report(day, 1), report(day, 1, reported=later, status="X")], month) == []
    assert kept([report(day, 1), report(day, 1, reported=later, status="Y", original="1", msg_seq_nb="8")], month) == []
    corrected = [report(day, 1), report(day, 2, status="W", original="1")]
    assert kept([*corrected, report(day, 2, reported=later, status="X")], month) == []
    # What the letters mean is decided by the day of the report: W is no status of the present regime, R none of the old
    assert kept([report(day, 1, status="R"), report(later, 2, status="W", original="1")], month) == []


# Both


def test_a_repeated_row_counts_once():
    rows = [report(N, 1), report(N, 1, copy=1), report(N, 2)]
    assert kept(rows, NEW) == ["1", "2"]
    assert dropped_by(rows, NEW) == {"one row a report": 1}
    # A repeated original is not left over by its only reversal.
    assert kept([report(D, 1), report(D, 1, copy=1), report(D, 9, reported=E, as_of="R")], OLD) == []


@pytest.mark.parametrize("month", [OLD, NEW])
@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"days_to_sttl_ct": "003"}, "regular settlement"),
        ({"wis_fl": "Y"}, "not when-issued"),
        ({"lckd_in_ind": "Y"}, "not locked in"),
        ({"sale_cndtn_cd": "C"}, "no special condition"),
        ({"sell_cpcty_cd": "A", "cmsn_trd": "N"}, "no agency trade"),
        ({"side": "B", "buy_cpcty_cd": "A", "cmsn_trd": "N"}, "no agency trade"),
        ({"price": 0.0}, "price in range"),
        ({"price": None}, "price in range"),
        ({"price": 1000.01}, "price in range"),
        ({"volume": 9_999.99}, "large enough"),
        ({"volume": None}, "large enough"),
        ({"status": "Z"}, "a trade"),
        ({"status": None}, "a trade"),
    ],
)
def test_each_screen_drops_what_it_says(month, change, step):
    day = D if month == OLD else N
    rows = [report(day, 1), report(day, 2, **change)]
    assert kept(rows, month) == ["1"]
    assert dropped_by(rows, month) == {step: 1}


@pytest.mark.parametrize(
    "change",
    [
        {"days_to_sttl_ct": "002"},
        {"days_to_sttl_ct": None},
        {"sale_cndtn_cd": "@"},
        {"wis_fl": None},
        {"cmsn_trd": "N"},
        {"sell_cpcty_cd": "A"},
        {"buy_cpcty_cd": "A", "cmsn_trd": "N"},
        {"sell_cpcty_cd": "A", "cmsn_trd": "N", "contra": "D"},
        {"price": 1000.0},
        {"volume": 10_000.0},
    ],
)
def test_what_lies_on_the_edge_stays(change):
    assert kept([report(N, 2, **change)], NEW) == ["2"]


def test_trades_after_maturity_go_as_far_as_the_issue_is_known():
    def issues(month: date, maturity: date | None) -> pl.DataFrame:
        return pl.DataFrame(
            {"month": [month], "cusip": [BOND], "maturity": [maturity]}, schema_overrides={"maturity": pl.Date}
        )

    rows = [report(N, 1), report(M, 2)]
    assert kept(rows, NEW, issues=issues(date(2001, 1, 1), N)) == ["1"]
    assert kept(rows, NEW, issues=issues(NEW, N)) == ["1"]
    assert kept(rows, NEW, issues=issues(shift(NEW, 1), N)) == ["1", "2"]
    assert kept(rows, NEW, issues=issues(date(2001, 1, 1), None)) == ["1", "2"]
    assert kept(rows, NEW, issues=ISSUES.clear()) == ["1", "2"]


def _pair(number: int, **changes) -> list[dict]:
    sale = report(N, number, side="S", contra="D", **changes)
    return [sale, report(N, number + 1, side="B", contra="D", **changes)]


def test_a_trade_between_dealers_is_kept_once():
    rows = [*_pair(1), *_pair(11, price=99.0)]
    assert kept(rows, NEW) == ["1", "11"]
    assert dropped_by(rows, NEW) == {"once between dealers": 2}
    # The customer's trade at the same price is another one.
    assert kept([*rows, report(N, 5)], NEW) == ["1", "11", "5"]


def test_each_sale_between_dealers_takes_one_purchase():
    sale, purchase = _pair(1)
    more = [purchase | {"msg_seq_nb": str(k), "trd_exctn_tm": time(12, k)} for k in (3, 4)]
    assert kept([sale, purchase, *more], NEW) == ["1", "3", "4"]
    assert kept([purchase, *more], NEW) == ["2", "3", "4"]
    assert kept([sale, sale | {"msg_seq_nb": "9"}, purchase], NEW) == ["1", "9"]


@pytest.mark.parametrize("change", [{"price": 99.0}, {"volume": 2e5}, {"cusip": "87654321"}, {"trd_exctn_dt": M}])
def test_a_purchase_without_its_sale_stays(change):
    sale, purchase = _pair(1)
    assert kept([sale, purchase | _named(change)], NEW) == ["1", "2"]


def test_pairs_are_found_even_if_every_hash_is_the_same(monkeypatch):
    rows = [row for k in range(6) for row in _pair(2 * k + 1, price=100.0 + k % 3)] + [
        report(N, 50, side="B", contra="D")
    ]
    expected = kept(rows, NEW)
    monkeypatch.setattr(trace_corrections, "_likeness", lambda *columns: pl.col(columns[0]).cast(pl.UInt64) * 0)
    assert kept(rows, NEW) == expected
    assert len(expected) == 7


def test_a_pair_that_was_screened_out_does_not_take_another():
    sale, purchase = _pair(1)
    assert kept([sale | {"lckd_in_ind": "Y"}, purchase], NEW) == ["2"]


# Prices


def _prices(values: list[float], day: date = N, start: int = 1, **changes) -> list[dict]:
    return [report(day, start + k, hour=9, price=value, **changes) for k, value in enumerate(values)]


def _clean(rows: list[dict], month: date = NEW, as_of: date | None = None) -> list[tuple[float, bool]]:
    return clean_trades(staged(rows), ISSUES, month, as_of).trades.select("price", "corrected").rows()


@pytest.mark.parametrize(("wrong", "right"), [(1.004, 100.4), (10.04, 100.4), (987.0, 98.7)])
def test_a_decimal_shift_is_mended(wrong, right):
    found = _clean(_prices([100.0, 100.2, wrong, 99.8]))
    assert [corrected for _, corrected in found] == [False, False, True, False]
    assert [price for price, _ in found] == pytest.approx([100.0, 100.2, right, 99.8], rel=1e-15)


def test_a_decimal_shift_needs_three_neighbours_and_three_per_cent():
    assert _clean(_prices([100.0, 100.2, 10.04])) == [(100.0, False), (100.2, False), (10.04, False)]
    # 9.7 and 10.3 are at the edge of three per cent, 9.6 and 10.4 beyond; a bounce-back beyond it goes.
    assert len(_clean(_prices([100.0, 100.0, 9.71, 100.0]))) == 4
    assert len(_clean(_prices([100.0, 100.0, 9.6, 100.0]))) == 3


def test_the_last_trades_of_the_month_before_are_neighbours_as_known_at_its_end():
    before = _prices([100.0, 100.2, 99.9], day=date(2013, 5, 30))
    late = report(date(2013, 5, 31), 40, reported=date(2013, 6, 3), price=11.0)
    rows = [*before, late, *_prices([10.05, 98.0], start=20)]
    assert _clean(rows) == [(100.5, True), (98.0, False)]
    assert _clean(_prices([10.05, 98.0], start=20)) == [(10.05, False), (98.0, False)]
    assert _clean(rows, as_of=date(2013, 9, 1)) == [(100.5, True), (98.0, False)]


def test_the_last_trade_before_is_mended_beside_three_more_of_its_month():
    # 10 is a decimal shift of 100 by the median of 100, 100, 60 before and 60, 100 after; without the first it is not,
    # and then nothing says that 60 in June is a bounce-back.
    before = _prices([100.0, 100.0, 60.0, 10.0], day=date(2013, 5, 30))
    rows = [*before, *_prices([60.0, 100.0], start=20)]
    assert _clean(rows) == [(100.0, False)]
    assert _clean(rows[1:]) == [(60.0, False), (100.0, False)]
    daily = [month.daily for month in trace_months(staged(rows), ISSUES, [date(2013, 5, 1), NEW])]
    assert daily[1]["trades"].to_list() == [1]
    assert next(trace_months(staged(rows), ISSUES, [NEW])).daily.equals(daily[1])


def test_trades_of_the_next_month_are_no_neighbours():
    after = _prices([100.0, 100.2, 99.9], day=date(2013, 7, 1), start=20)
    assert _clean([*_prices([10.05]), *after], as_of=date(2013, 7, 1)) == [(10.05, False)]
    before = _prices([100.0, 100.2, 99.9], day=date(2013, 5, 30))
    assert _clean([*before, *_prices([10.05], start=10), *after], as_of=date(2013, 7, 1)) == [(10.05, False)]
    assert [price for price, _ in _clean([*_prices([100.0, 60.0]), *after], as_of=date(2013, 7, 1))] == [100.0, 60.0]


def test_a_default_is_no_decimal_shift():
    values = [90.0, 91.0, 90.5, 30.0, 29.0, 31.0, 30.0]
    assert [price for price, _ in _clean(_prices(values))] == values


@pytest.mark.parametrize(
    "values",
    [
        [95.0, 95.2, 95.1, 9.5],
        [95.0, 95.2, 95.1, 9.5, 9.4],
        [95.0, 95.2, 95.1, 9.5, 9.9],
        [95.0, 95.2, 95.1, 9.5, 12.0],
        [95.0, 95.2, 95.1, 9.5, 9.4, 9.6],
        [95.0, 95.2, 95.1, 9.5, 9.4, 9.6, 9.5],
        [9.5, 95.0, 95.2, 95.1],
    ],
)
def test_a_collapse_to_a_tenth_is_no_decimal_shift(values):
    assert _clean(_prices(values)) == [(value, False) for value in values]


def test_a_decimal_shift_with_a_trade_on_either_side_is_mended_however_late():
    assert _clean(_prices([95.0, 95.2, 95.1, 9.5, 94.0]))[3] == (95.0, True)
    # Half way between 9.5 and 95, in ratio, lies 30.04.
    for following, mended in ((30.1, True), (30.0, False)):
        rows = _clean(_prices([95.0, 95.2, 95.1, 9.5, following]))
        assert rows[3] == ((95.0, True) if mended else (9.5, False))


@pytest.mark.parametrize(
    ("wrong", "stays"), [(64.9, False), (65.0, False), (65.1, True), (135.0, False), (134.9, True)]
)
def test_a_bounce_back_is_35_per_cent_away_from_both(wrong, stays):
    found = [price for price, _ in _clean(_prices([100.0, wrong, 100.0]))]
    assert found == ([100.0, wrong, 100.0] if stays else [100.0, 100.0])


def test_a_jump_that_stays_is_no_bounce_back():
    assert len(_clean(_prices([100.0, 60.0, 60.0, 60.0]))) == 4
    # Beside a neighbour that disagrees by more than 5 per cent nothing is said.
    assert len(_clean(_prices([100.0, 60.0, 94.9]))) == 3
    assert len(_clean(_prices([100.0, 60.0, 95.0]))) == 2


def test_the_first_trade_of_the_month_bounces_beside_the_month_before():
    before = _prices([100.0], day=date(2013, 5, 30))
    assert _clean([*before, *_prices([50.0, 99.0], start=20)]) == [(99.0, False)]


def test_time_decides_the_order_and_numbers_decide_ties():
    rows = [report(N, k, hour=9, trd_exctn_tm=time(9), price=100.0 + k) for k in (1, 2, 10)]
    rows += [report(N, 3, hour=8, price=50.0)]
    assert clean_trades(staged(rows), ISSUES, NEW).trades["msg_seq_nb"].to_list() == ["3", "1", "2", "10"]


def test_figures_say_how_reports_narrow_down():
    rows = [report(N, 1), report(N, 2, status="X"), *_pair(11), report(N, 30, reported=date(2013, 7, 2))]
    june, july = trace_months(staged(rows), ISSUES, [NEW, date(2013, 7, 1)])
    waterfall = june.figures["waterfall"]
    assert [row["step"] for row in waterfall] == [rule.name for rule in RULES]
    assert (waterfall[0]["rows_in"], waterfall[-1]["rows_out"]) == (4, 2)
    assert all(one["rows_out"] == other["rows_in"] for one, other in pairwise(waterfall))
    assert (june.figures["late_reports"], july.figures["late_reports"]) == (0, 1)
    assert (june.figures["days_changed"], july.figures["days_changed"]) == (0, 1)
    # The cancellation of number 2 finds nothing; the others have nothing to look for.
    assert june.figures["unmatched"] == {
        "not cancelled, to 2012": 0,
        "as corrected, to 2012": 0,
        "not reversed, to 2012": 0,
        "not cancelled or corrected, from 2012": 1,
        "not reversed, from 2012": 0,
    }


def test_figures_tell_late_reports_from_those_that_come_too_late():
    built, late = date(2013, 7, 1), date(2013, 7, 9)
    days = [date(2012, 6, 29), date(2012, 7, 2), date(2013, 6, 28), date(2013, 7, 1)]
    rows = [report(day, 1 + k, reported=late) for k, day in enumerate(days)]
    rows.append(rows[2] | {"copy": 1})
    for settings, expected in (
        (TraceSettings(), (3, 1)),
        (TraceSettings(correction_months=1), (2, 2)),
        (TraceSettings(correction_months=0), (0, 4)),
    ):
        (july,) = trace_months(staged(rows), ISSUES, [built], settings)
        assert (july.figures["late_reports"], july.figures["too_late_reports"]) == expected
        # A row that is repeated is a report that came late, and changes nothing twice.
        assert july.figures["days_changed"] == expected[0] - (settings.correction_months > 0)
    (june,) = trace_months(staged(rows), ISSUES, [NEW])
    assert (june.figures["late_reports"], june.figures["too_late_reports"]) == (0, 0)


@pytest.mark.parametrize(
    ("rows", "month", "step"),
    [
        ([report(D, 1), report(D, 3, status="C", original="2")], OLD, "not cancelled, to 2012"),
        ([report(E, 1), report(D, 3, status="C", original="1")], OLD, "not cancelled, to 2012"),
        ([report(D, 1), report(D, 3, status="C")], OLD, "not cancelled, to 2012"),
        ([report(D, 1), report(D, 12, status="W", original="11")], OLD, "as corrected, to 2012"),
        ([report(D, 1), report(D, 9, reported=E, as_of="R", price=99.0)], OLD, "not reversed, to 2012"),
        ([report(N, 1), report(N, 1, status="X", price=99.0)], NEW, "not cancelled or corrected, from 2012"),
        ([report(N, 1), report(N, 5, status="Y", original="4")], NEW, "not reversed, from 2012"),
    ],
)
def test_figures_count_what_finds_nothing(rows, month, step):
    (built,) = trace_months(staged(rows), ISSUES, [month])
    assert {name: count for name, count in built.figures["unmatched"].items() if count} == {step: 1}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"smallest_volume": 0.0}, "smallest_volume must be above 0"),
        ({"rows_at_once": 0}, "rows_at_once must be at least 1"),
        ({"correction_months": -1}, "correction_months counts months"),
        ({"shift_tolerance": 1.0}, "are fractions"),
        ({"shift_factors": (1.02,)}, "well above 1"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        TraceSettings(**wrong)
