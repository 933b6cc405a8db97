"""Trade reports against the truth beside them: replayed message by message, in plain loops."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.simulation.economy import Economy, simulate_economy
from pipeline.simulation.market import Market
from pipeline.simulation.sizes import market_size
from pipeline.simulation.trace import trace_tables
from pipeline.simulation.trace_bulk import random_bonds, random_reports
from pipeline.simulation.trace_errors import CLEAN_MOVE, ERROR_MOVE, FATES, QUIET_MOVE, SCREENS
from pipeline.simulation.trace_truth import trace_truth

NEWER = date(2012, 2, 6)
TABLE = "trace.trace_enhanced"
KEY = ("cusip_id", "trd_exctn_dt", "msg_seq_nb", "trc_st", "trd_rpt_dt", "trd_rpt_tm")


@pytest.fixture(scope="module")
def economy() -> Economy:
    """A market in both reporting regimes."""
    return simulate_economy(market_size("tiny"), 0, date(2014, 12, 1))


@pytest.fixture(scope="module")
def reports(economy: Economy) -> pl.DataFrame:
    return trace_tables(economy)[TABLE]


@pytest.fixture(scope="module")
def truth(economy: Economy) -> dict[str, pl.DataFrame]:
    return trace_truth(economy)


@pytest.fixture(scope="module")
def trades(truth: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return truth["trace_trades"]


@dataclass
class Tape:
    """What is in force: rows by bond, report date and number; the state of each month at its own end."""

    rows: dict[tuple, dict]
    at_once: dict[date, list[dict]]


def _month(day: date) -> date:
    return day.replace(day=1)


def _sent(row: dict) -> tuple:
    # Of the messages of one second, what takes back comes before what takes its place.
    back = row["asof_cd"] == "R" or row["trc_st"] in "CXY"
    return row["trd_rpt_dt"], row["trd_rpt_tm"], not back, row["msg_seq_nb"]


def _alike(row: dict, other: dict, columns: tuple[str, ...]) -> bool:
    return all(row[name] == other[name] for name in columns)


TERMS = ("cusip_id", "trd_exctn_dt", "rptd_pr", "entrd_vol_qt", "rpt_side_cd", "cntra_mp_id")


def _take_back(live: dict[tuple, dict], row: dict, number: str) -> None:
    """Remove the report that a message of the newer system repeats."""
    same = [
        key
        for key, other in live.items()
        if key[2] == number
        and _alike(row, other, (*TERMS, "trd_exctn_tm"))
        and other["trd_rpt_dt"] <= row["trd_rpt_dt"]
    ]
    assert len(same) <= 1
    for key in same:
        del live[key]


def _reverse(live: dict[tuple, dict], row: dict) -> None:
    """Remove one earlier report of the same terms, at whatever time of the day."""
    for key, other in live.items():
        if _alike(row, other, TERMS) and other["trd_rpt_dt"] < row["trd_rpt_dt"]:
            del live[key]
            return


def _apply(live: dict[tuple, dict], row: dict) -> None:
    """One message."""
    bond, day, number = row["cusip_id"], row["trd_rpt_dt"], row["msg_seq_nb"]
    status, as_of = row["trc_st"], row["asof_cd"]
    if day < NEWER:
        if status in ("C", "W"):
            del live[bond, day, row["orig_msg_seq_nb"]]
        if as_of == "R":
            _reverse(live, row)
        if status == "W" or (status == "T" and as_of in (None, "A")):
            live[bond, day, number] = row
    elif status in ("T", "R"):
        live[bond, day, number] = row
    else:
        _take_back(live, row, row["orig_msg_seq_nb"] if status == "Y" else number)


@pytest.fixture(scope="module")
def tape(reports: pl.DataFrame) -> Tape:
    """Replay bond by bond in the order in which the messages came; a repeated key counts once."""
    by_bond = defaultdict(list)
    for row in reports.iter_rows(named=True):
        by_bond[row["cusip_id"]].append(row)
    rows: dict[tuple, dict] = {}
    at_once = defaultdict(list)
    for messages in by_bond.values():
        live: dict[tuple, dict] = {}
        month = None
        for row in sorted(messages, key=_sent):
            if month is not None and _month(row["trd_rpt_dt"]) != month:
                at_once[month] += [one for one in live.values() if _month(one["trd_exctn_dt"]) == month]
            month = _month(row["trd_rpt_dt"])
            _apply(live, row)
        at_once[month] += [one for one in live.values() if _month(one["trd_exctn_dt"]) == month]
        rows |= live
    return Tape(rows, at_once)


def _screened(row: dict, maturities: dict[str, date], sales: set[tuple]) -> str | None:
    """The screens of the design, one by one; a purchase whose sale is there is `pair`."""
    mine = row["buy_cpcty_cd"] if row["rpt_side_cd"] == "B" else row["sell_cpcty_cd"]
    leg = tuple(row[name] for name in TERMS[:4])
    screens = {
        "settlement": row["days_to_sttl_ct"] not in (None, "000", "001", "002"),
        "when_issued": row["wis_fl"] == "Y",
        "locked_in": row["lckd_in_ind"] == "Y",
        "sale_condition": row["sale_cndtn_cd"] not in (None, "@"),
        "pair": row["cntra_mp_id"] == "D" and row["rpt_side_cd"] == "B" and leg in sales,
        "agency": mine == "A" and row["cntra_mp_id"] == "C" and row["cmsn_trd"] == "N",
        "price": not 0 < row["rptd_pr"] <= 1000,
        "volume": row["entrd_vol_qt"] < 10_000,
        "maturity": row["trd_exctn_dt"] > maturities[row["cusip_id"]],
    }
    return next((name for name, fails in screens.items() if fails), None)


def _clean(rows: list[dict], economy: Economy) -> dict[tuple, tuple[float, float]]:
    """Price and volume by bond, day, time and side of the rows that pass the screens."""
    issues = economy.issues
    maturities = dict(zip(issues.cusips, issues.maturity.astype("datetime64[D]").tolist(), strict=True))
    sales = {
        tuple(row[name] for name in TERMS[:4])
        for row in rows
        if row["cntra_mp_id"] == "D" and row["rpt_side_cd"] == "S"
    }
    return {
        (row["cusip_id"][:8], row["trd_exctn_dt"], row["trd_exctn_tm"], row["rpt_side_cd"]): (
            row["rptd_pr"],
            row["entrd_vol_qt"],
        )
        for row in rows
        if _screened(row, maturities, sales) is None
    }


def _told(trades: pl.DataFrame, end: str) -> dict[tuple, tuple]:
    """True price and volume, and fate, by the same key; fat fingers are still in."""
    told = trades.filter(pl.col(f"kept_{end}") | (pl.col("screened") == "bounce_back"))
    return {
        (cusip, day, f"{time:%H:%M:%S}", side): (price, volume, fate)
        for cusip, day, time, side, price, volume, fate in told.select(
            "cusip", "date", "time", "side",
            pl.coalesce(f"price_{end}", "price"), pl.coalesce(f"volume_{end}", "volume"), "fate",
        ).iter_rows()
    }  # fmt: skip


def _same(found: dict[tuple, tuple], told: dict[tuple, tuple]) -> None:
    assert found.keys() == told.keys()
    wrong = {"fat_finger", "decimal_shift"}
    for key, (price, volume, fate) in told.items():
        assert found[key][1] == volume
        assert (found[key][0] == price) != (fate in wrong)


def test_what_is_left_of_the_messages_are_the_true_trades(tape: Tape, trades: pl.DataFrame, economy: Economy) -> None:
    told = _told(trades, "finally")
    assert len(told) > 8000
    _same(_clean(list(tape.rows.values()), economy), told)


def test_at_the_end_of_its_month_a_trade_is_as_reported_until_then(
    tape: Tape, trades: pl.DataFrame, economy: Economy
) -> None:
    found = _clean([row for rows in tape.at_once.values() for row in rows], economy)
    told = _told(trades, "at_once")
    _same(found, told)
    assert set(told) - set(_told(trades, "finally"))


def test_screens_have_the_names_of_what_fails(reports: pl.DataFrame, trades: pl.DataFrame, economy: Economy) -> None:
    issues = economy.issues
    maturities = dict(zip(issues.cusips, issues.maturity.astype("datetime64[D]").tolist(), strict=True))
    first = {
        (row["cusip_id"][:8], row["trd_exctn_dt"], row["trd_exctn_tm"], row["rpt_side_cd"]): row
        for row in reports.filter(trc_st="T").iter_rows(named=True)
    }
    plain = trades.filter(~pl.col("fate").str.starts_with("corrected") & (pl.col("fate") != "late_correction"))
    for cusip, day, time, side, screened in plain.select("cusip", "date", "time", "side", "screened").iter_rows():
        failed = _screened(first[cusip, day, f"{time:%H:%M:%S}", side], maturities, set())
        assert failed == (None if screened == "bounce_back" else screened)
    assert set(trades["screened"].drop_nulls()) == set(SCREENS)


def test_every_kind_is_planted_several_times_in_both_regimes(truth: dict[str, pl.DataFrame]) -> None:
    planted = truth["trace_planted"]
    counts = planted.group_by("kind", newer=pl.col("trd_rpt_dt") >= NEWER).len()
    found = {(kind, newer): n for kind, newer, n in counts.iter_rows()}
    for fate in FATES[1:]:
        if fate.name != "after_maturity":
            assert found[fate.name, False] >= 5, fate.name
            assert fate.before_only or found[fate.name, True] >= 5, fate.name
            share = (found[fate.name, False] + found.get((fate.name, True), 0)) / truth["trace_trades"].height
            assert 0.002 < share < 0.015, fate.name
    assert planted.filter(kind="after_maturity").height >= 5
    assert {"inter_dealer_pair", "buy_without_sell", "agency"} < {kind for kind, _ in found}


def test_planted_rows_are_rows_of_the_file(reports: pl.DataFrame, truth: dict[str, pl.DataFrame]) -> None:
    keys = reports.select(
        pl.col("cusip_id").str.head(8).alias("cusip"),
        pl.col("trd_exctn_dt").alias("date"),
        pl.col("trd_exctn_tm").str.to_time("%H:%M:%S").alias("time"),
        "msg_seq_nb",
        "trd_rpt_dt",
    ).unique()
    planted = truth["trace_planted"]
    assert planted.join(keys, on=keys.columns, how="anti").is_empty()
    pairs = reports.filter(pl.col("cntra_mp_id") == "D", trc_st="T", rpt_side_cd="B")
    assert pairs.height > planted.filter(kind="buy_without_sell").height > 100


def test_rows_look_as_published(reports: pl.DataFrame, economy: Economy) -> None:
    assert reports.height < 60_000
    assert reports["trd_rpt_dt"].max() <= economy.clock.sessions[-1].item()
    assert reports.select("trd_exctn_dt", "trd_rpt_dt", "stlmnt_dt", "pr_trd_dt").dtypes == [pl.Date] * 4
    assert (reports["trd_rpt_dt"] >= reports["trd_exctn_dt"]).all()
    assert (reports["msg_seq_nb"].str.len_chars() == 7).all()
    numbers = pl.col("rptd_pr", "entrd_vol_qt")
    assert reports.select(numbers.is_finite().all()).row(0) == (True, True)
    assert reports["yld_pt"].drop_nulls().is_finite().all()
    older = reports.filter(pl.col("trd_rpt_dt") < NEWER)
    newer = reports.filter(pl.col("trd_rpt_dt") >= NEWER)
    assert set(older["trc_st"]) == {"T", "C", "W"}
    assert set(older["asof_cd"].drop_nulls()) == {"A", "R", "X", "D"}
    assert set(newer["trc_st"]) == {"T", "R", "X", "C", "Y"}
    assert set(newer["asof_cd"].drop_nulls()) == {"A", "R"}
    assert older.filter(pl.col("trc_st") != "T")["orig_msg_seq_nb"].null_count() == 0
    crossing = newer.filter(pl.col("trd_exctn_dt") < NEWER, pl.col("trc_st").is_in(["C", "Y"]))
    assert crossing.height > 0


def test_numbers_are_given_once_a_day_and_repeated_on_purpose(reports: pl.DataFrame) -> None:
    own = reports.filter(pl.col("trc_st").is_in(["T", "W", "R", "Y"]) | (pl.col("trd_rpt_dt") < NEWER))
    repeated = own.filter(own.select("trd_rpt_dt", "msg_seq_nb").is_duplicated())
    twice = reports.filter(reports.select(KEY).is_duplicated())
    assert repeated.height == twice.height > 100
    exact = reports.filter(reports.is_duplicated()).height
    assert 0 < exact < twice.height
    # Rows of one key differ in nothing that a price is made of.
    assert twice.select(pl.exclude("yld_pt")).is_duplicated().all()


def test_errors_stand_apart_from_clean_moves(reports: pl.DataFrame, trades: pl.DataFrame, economy: Economy) -> None:
    clean = trades.filter("kept_finally", fate="none").sort("cusip", "date", "time")
    before = clean.select(pl.col("cusip", "date", "price").shift(1).over("cusip").name.suffix("_before"))
    lives, months = economy.bonds.lives, economy.clock.dates
    default = {
        nine[:8]: months[t] for nine, t in zip(economy.issues.cusips, lives.default.tolist(), strict=True)
        if t < len(months)
    }  # fmt: skip
    pairs = clean.hstack(before).filter(pl.col("date") - pl.col("date_before") <= timedelta(days=31))
    largest = 0.0
    for cusip, day, day_before, price, price_before in pairs.select(
        "cusip", "date", "date_before", "price", "price_before"
    ).iter_rows():
        if default.get(cusip) not in (_month(day), _month(day_before)):
            largest = max(largest, abs(price / price_before - 1))
    assert 0.03 < largest < CLEAN_MOVE

    reported = {
        (row["cusip_id"][:8], row["trd_exctn_dt"], row["trd_exctn_tm"]): row["rptd_pr"]
        for row in reports.filter(pl.col("trc_st") == "T", pl.col("rpt_side_cd") == "S").iter_rows(named=True)
    }
    counting = trades.filter(pl.col("kept_finally") | (pl.col("screened") == "bounce_back"))
    checked = defaultdict(int)
    for group in counting.sort("cusip", "date", "time").partition_by("cusip"):
        rows = group.select("date", "time", "price", "fate", "cusip").rows()
        last = -100
        for place, (day, time, price, fate, cusip) in enumerate(rows):
            if fate not in ("fat_finger", "decimal_shift"):
                continue
            assert place - last >= 4
            last = place
            after = [row for row in rows[place + 1 : place + 4] if _month(row[0]) == _month(day)]
            near = rows[place - 3 : place] + after
            assert len(near) == 6
            assert all(abs(row[2] / price - 1) <= QUIET_MOVE for row in near)
            wrong = reported.get((cusip, day, f"{time:%H:%M:%S}"))
            if wrong is not None:
                away = max if fate == "decimal_shift" else min
                assert away(abs(wrong / row[2] - 1) for row in near) >= ERROR_MOVE
                checked[fate] += 1
    assert min(checked["fat_finger"], checked["decimal_shift"]) > 10


def test_days_are_the_volume_weighted_trades(truth: dict[str, pl.DataFrame]) -> None:
    for end, ending in (("at_once", ""), ("finally", "_finally")):
        value, volume, number = defaultdict(float), defaultdict(float), defaultdict(int)
        for row in truth["trace_trades"].filter(pl.col(f"kept_{end}")).iter_rows(named=True):
            day = row["cusip"], row["date"]
            value[day] += row[f"price_{end}"] * row[f"volume_{end}"]
            volume[day] += row[f"volume_{end}"]
            number[day] += 1
        days = truth["bond_days"].filter(pl.col(f"price{ending}").is_not_null())
        assert days.height == len(value)
        for row in days.iter_rows(named=True):
            day = row["cusip"], row["date"]
            assert row[f"price{ending}"] == pytest.approx(value[day] / volume[day], rel=1e-13)
            assert (row[f"volume{ending}"], row[f"trades{ending}"]) == (volume[day], number[day])


def test_late_reports_come_one_to_three_months_later(trades: pl.DataFrame) -> None:
    def months(column: str) -> pl.Expr:
        return (pl.col(column).dt.year() - pl.col("month").dt.year()) * 12 + (
            pl.col(column).dt.month() - pl.col("month").dt.month()
        )

    for fate, column in (
        ("late_report", "report_month"), ("late_cancellation", "event_month"), ("late_correction", "event_month"),
    ):  # fmt: skip
        assert set(trades.filter(pl.col("fate") == fate).select(months(column)).to_series()) == {1, 2, 3}
    assert trades.filter(fate="late_report").select((~pl.col("kept_at_once")).all()).item()
    assert trades.filter(fate="late_cancellation").select((~pl.col("real") & ~pl.col("kept_finally")).all()).item()
    changed = trades.filter("kept_at_once", "kept_finally", fate="late_correction")
    assert (changed["price_at_once"] != changed["price_finally"]).all()
    others = trades.filter(~pl.col("fate").is_in(["late_report", "late_cancellation", "late_correction"]))
    assert (others["kept_at_once"] == others["kept_finally"]).all()


def test_bonds_trade_near_their_month_end_prices_from_issue_to_maturity(economy: Economy, trades: pl.DataFrame) -> None:
    issues, clock, lives = economy.issues, economy.clock, economy.bonds.lives
    real = trades.filter(pl.col("fate") != "after_maturity")
    spans = {
        row[0]: row[1:] for row in real.group_by("cusip").agg(first=pl.min("date"), last=pl.max("date")).iter_rows()
    }
    beyond = 0
    for bond, nine in enumerate(issues.cusips):
        if nine[:8] in spans:
            first, last = spans[nine[:8]]
            assert first >= issues.offered[bond].astype("datetime64[D]").item()
            assert last <= issues.maturity[bond].astype("datetime64[D]").item()
            beyond += lives.left[bond] < clock.n and last > clock.month_ends[lives.left[bond]].item()
    assert beyond > 5
    place = {nine[:8]: bond for bond, nine in enumerate(issues.cusips)}
    month = {first: t for t, first in enumerate(clock.dates)}
    ends = set(clock.last_sessions.tolist())
    last_day = real.filter(pl.col("date").is_in(ends))
    gaps = [
        abs(price / lives.prices[month[first], place[cusip]] - 1)
        for cusip, first, price in last_day.select("cusip", "month", "price").iter_rows()
        if np.isfinite(lives.prices[month[first], place[cusip]])
    ]
    assert len(gaps) > 200
    assert max(gaps) < 0.008


def test_habits_differ_and_months_are_partial(economy: Economy, trades: pl.DataFrame) -> None:
    clock, lives = economy.clock, economy.bonds.lives
    alive = np.isfinite(lives.prices).sum(axis=0)
    counts = dict(trades.group_by("cusip").len().iter_rows())
    rates = [
        counts.get(nine[:8], 0) / months for nine, months in zip(economy.issues.cusips, alive, strict=True) if months
    ]
    assert min(rates) < 2
    assert max(rates) > 30
    last_five = {t: set(clock.sessions[clock.starts[t + 1] - 5 : clock.starts[t + 1]].tolist()) for t in range(clock.n)}
    month = {first: t for t, first in enumerate(clock.dates)}
    busy = trades.group_by("cusip", "month").agg("date").filter(pl.col("date").list.len() >= 5)
    none = [not last_five[month[first]] & set(days) for _, first, days in busy.iter_rows()]
    assert 0.05 < np.mean(none) < 0.4


def test_deterministic_in_seed(economy: Economy, reports: pl.DataFrame, truth: dict[str, pl.DataFrame]) -> None:
    again = simulate_economy(market_size("tiny"), 0, date(2014, 12, 1))
    assert_frame_equal(trace_tables(again)[TABLE], reports)
    for name, frame in trace_truth(again).items():
        assert_frame_equal(frame, truth[name])
    other = trace_tables(simulate_economy(market_size("tiny"), 1, date(2014, 12, 1)))[TABLE]
    assert not other.equals(reports)


def test_a_demo_market_has_hundreds_of_thousands_of_reports(demo: Market) -> None:
    reports = trace_tables(demo.economy)[TABLE]
    assert 700_000 < reports.height < 1_000_000
    # Its bonds begin to trade after the change of 2012, before which W told of corrections.
    assert reports["trd_rpt_dt"].min() > NEWER
    assert set(reports["trc_st"]) == {"T", "C", "R", "X", "Y"}


def test_bulk_reports_are_about_as_many_as_asked_for() -> None:
    pieces = list(random_reports(60_000, 48, 300, seed=3, rows_at_once=20_000))
    assert len(pieces) == 3
    reports = pl.concat(pieces)
    assert reports.height == pytest.approx(60_000, rel=0.03)
    own = reports.filter(pl.col("trc_st").is_in(["T", "W", "R", "Y"])).unique(KEY)
    assert not own.select("trd_rpt_dt", "msg_seq_nb").is_duplicated().any()
    assert set(reports["trc_st"]) == {"T", "C", "W", "R", "X", "Y"}
    bonds = random_bonds(300, 48, seed=3)
    assert bonds["cusip"].n_unique() == 300
    assert set(reports["cusip_id"]) <= set(bonds["cusip_id"])
    late = reports.join(bonds, on="cusip_id").filter(pl.col("trd_exctn_dt") > pl.col("maturity"))
    assert 0 < late.height < 0.01 * reports.height
    assert_frame_equal(pl.concat(random_reports(60_000, 48, 300, seed=3, rows_at_once=20_000)), reports)


def test_bulk_reports_are_as_many_where_bonds_mature_on_the_way() -> None:
    bonds = random_bonds(200, 120, seed=3)
    assert (bonds["maturity"] < date(2012, 1, 1)).mean() > 0.15
    assert sum(piece.height for piece in random_reports(40_000, 120, 200, seed=3)) == pytest.approx(40_000, rel=0.04)
