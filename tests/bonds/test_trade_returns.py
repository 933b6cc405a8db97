from __future__ import annotations

from datetime import date, time, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.issues import SCHEMA as ISSUES
from pipeline.bonds.issues import bond_issues
from pipeline.bonds.month_end import BondPriceSettings, recovery_lookback
from pipeline.bonds.returns import SCHEMA
from pipeline.bonds.trace_daily import trace_daily
from pipeline.bonds.trade_returns import LOOKBACK, trade_returns, trade_returns_figures
from pipeline.panel.calendar import month_range, shift
from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import simulate
from resources.extracts import ExtractStore
from tests.bonds.slow_bonds import daily_prices, slow_returns

MAY, JUNE = date(2008, 5, 1), date(2008, 6, 1)
START, END = date(2008, 5, 30), date(2008, 6, 27)

BOND = {
    "cusip": "AAAAAAAA", "isin": "US-A", "issue_id": 1, "offering_date": date(2004, 12, 1),
    "dated_date": date(2004, 12, 15), "first_interest_date": date(2005, 6, 15), "maturity": date(2014, 12, 15),
    "coupon": 6.0, "coupon_type": "F", "interest_frequency": 2, "day_count": "30/360", "amount_outstanding": 400_000.0,
    "industry_group": "10", "eligible": True, "default_date": None,
}  # fmt: skip


def issues(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame([{**dict.fromkeys(ISSUES), **BOND, **row} for row in rows], schema=ISSUES)


def both(**change) -> pl.DataFrame:
    """One bond in May and June."""
    return issues({"month": MAY, **change}, {"month": JUNE, **change})


def trades(*rows: tuple[date, float | None], partition: date | None = None, cusip: str = "AAAAAAAA") -> pl.DataFrame:
    return pl.DataFrame(
        [(partition or day.replace(day=1), cusip, day, price) for day, price in rows],
        schema={"month": pl.Date, "cusip": pl.String, "date": pl.Date, "price_corrected": pl.Float64},
        orient="row",
    )


def quote(*rows: tuple[date, float, float | None, float | None], cusip: str = "AAAAAAAA") -> pl.DataFrame:
    names = ("month", "cusip", "date", "price", "accrued_interest", "coupon_paid")
    types = dict(zip(names, (pl.Date, pl.String, pl.Date, pl.Float64, pl.Float64, pl.Float64), strict=True))
    return pl.DataFrame([(row[0].replace(day=1), cusip, *row) for row in rows], schema=types, orient="row")


def recovered(day: date, price: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"month": [day.replace(day=1)], "cusip": ["AAAAAAAA"], "default_date": [day], "recovery_price": [price]}
    )


RF = pl.DataFrame({"month": [MAY, JUNE], "rf": [0.5, 0.0017]})
PLAIN = trades((START, 98.0), (END, 99.0))


def one(bonds: pl.DataFrame, daily: pl.DataFrame | None = PLAIN, sources=None, recovery=None) -> dict | None:
    found = trade_returns(bonds, daily, sources or {}, recovery, RF, [JUNE])
    assert dict(found.schema) == SCHEMA
    assert found.height <= 1
    return found.row(0, named=True) if found.height else None


def test_a_coupon_between_the_two_days_by_hand():
    # 15 Dec to 30 May are 165 of 360 days, 15 Jun to 27 Jun 12; 3 paid on 15 June.
    expected = (99.0 + 6 * 12 / 360 + 3.0) / (98.0 + 6 * 165 / 360) - 1
    row = one(both())
    assert row["ret"] == pytest.approx(expected, abs=1e-15)
    assert row["ret_excess"] == pytest.approx(expected - 0.0017, abs=1e-15)
    assert (row["isin"], row["sector"], row["source"]) == ("US-A", "10", "trace")
    assert row["value_start"] == pytest.approx(0.98 * 400_000)


def test_no_coupon_before_its_day():
    row = one(both(), trades((START, 98.0), (date(2008, 6, 24), 99.0)))
    assert row["ret"] == pytest.approx((99.0 + 6 * 9 / 360 + 3.0) / (98.0 + 6 * 165 / 360) - 1, abs=1e-15)
    early = both(maturity=date(2014, 12, 28), dated_date=date(2004, 12, 28), first_interest_date=None)
    assert one(early)["ret"] == pytest.approx((99.0 + 6 * 179 / 360) / (98.0 + 6 * 152 / 360) - 1, abs=1e-15)


def test_a_coupon_on_the_day_of_the_first_price_was_paid_before():
    bond = both(maturity=date(2014, 11, 30), dated_date=date(2004, 11, 30), first_interest_date=None)
    paid_before = one(bond, trades((date(2008, 5, 30), 98.0), (END, 99.0)))
    # The end of the month falls on 31 May: the coupon comes after the price of the 30th.
    assert paid_before["ret"] == pytest.approx((99.0 + 6 * 27 / 360 + 3.0) / (98.0 + 6 * 180 / 360) - 1, abs=1e-15)
    quoted = quote((date(2008, 5, 31), 98.0, None, None), (END, 99.0, None, None))
    assert one(bond, None, {"lehman": quoted})["ret"] == pytest.approx((99.0 + 6 * 27 / 360) / 98.0 - 1, abs=1e-15)


def test_zero_coupon():
    row = one(both(coupon=0.0, interest_frequency=0))
    assert row["ret"] == 99.0 / 98.0 - 1.0


@pytest.mark.parametrize(
    ("daily", "there"),
    [
        (trades((date(2008, 5, 23), 98.0), (date(2008, 6, 24), 99.0)), True),
        (trades((date(2008, 5, 22), 98.0), (date(2008, 6, 24), 99.0)), False),
        (trades((date(2008, 5, 23), 98.0), (date(2008, 6, 23), 99.0)), False),
        (trades((END, 99.0)), False),
        (trades((START, 98.0)), False),
    ],
)
def test_the_five_day_rule_at_its_edge(daily, there):
    assert (one(both(), daily) is not None) is there


def test_a_late_correction_of_the_first_price_counts():
    late = pl.concat([PLAIN, trades((START, 97.0), partition=JUNE)])
    assert one(both(), late)["ret"] == pytest.approx((99.0 + 0.2 + 3.0) / (97.0 + 2.75) - 1, abs=1e-15)
    # The weight is what was known when the month began.
    assert one(both(), late)["value_start"] == pytest.approx(0.98 * 400_000)


@pytest.mark.parametrize(("known", "corrected", "there"), [(4.0, 6.0, False), (6.0, 4.0, True), (999.0, 1001.0, True)])
def test_a_late_correction_does_not_choose_the_universe(known, corrected, there):
    rows = pl.concat([trades((START, known), (END, 99.0)), trades((START, corrected), partition=JUNE)])
    row = one(both(), rows)
    assert (row is not None) is there
    if row:
        assert row["ret"] == pytest.approx((99.0 + 0.2 + 3.0) / (corrected + 2.75) - 1, abs=1e-15)
        assert row["value_start"] == pytest.approx(known / 100 * 400_000)


def test_a_first_price_that_came_in_late_starts_nothing():
    assert one(both(), pl.concat([trades((END, 99.0)), trades((START, 98.0), partition=JUNE)])) is None


def test_a_correction_that_comes_later_does_not():
    later = pl.concat([PLAIN, trades((START, 1.0), (END, 2.0), partition=date(2008, 7, 1))])
    assert one(both(), later) == one(both())


def test_a_cancelled_first_day_gives_way_to_the_one_before():
    rows = pl.concat([PLAIN, trades((date(2008, 5, 28), 90.0)), trades((START, None), partition=JUNE)])
    assert one(both(), rows)["ret"] == pytest.approx((99.0 + 0.2 + 3.0) / (90.0 + 6 * 163 / 360) - 1, abs=1e-15)


def test_no_return_across_sources():
    first, second = quote((START, 98.0, None, None)), quote((END, 99.0, None, None))
    assert one(both(), trades((END, 99.0)), {"lehman": first}) is None
    assert one(both(), trades((START, 98.0)), {"mergent": second, "datastream": first}) is None


def test_the_first_source_with_both_prices():
    full = quote((START, 98.0, None, None), (END, 100.0, None, None))
    half = quote((START, 50.0, None, None))
    assert one(both(), PLAIN, {"lehman": half, "mergent": full})["source"] == "trace"
    assert one(both(), PLAIN, {"lehman": full, "mergent": full})["source"] == "lehman"
    row = one(both(), trades((END, 99.0)), {"lehman": half, "mergent": full, "datastream": full})
    # What the bond was worth does not depend on who prices it a month later.
    assert (row["source"], row["value_start"]) == ("mergent", pytest.approx(0.50 * 400_000))


def test_a_sources_own_accrual_and_coupon():
    stated = quote((START, 98.0, 1.25, 9.0), (END, 99.0, 0.5, 2.0))
    assert one(both(), None, {"lehman": stated})["ret"] == pytest.approx(
        (99.0 + 0.5 + 2.0) / (98.0 + 1.25) - 1, abs=1e-15
    )
    partly = quote((START, 98.0, None, None), (END, 99.0, 0.5, None))
    assert one(both(), None, {"lehman": partly})["ret"] == pytest.approx(
        (99.0 + 0.5 + 3.0) / (98.0 + 2.75) - 1, abs=1e-15
    )


def test_a_stated_coupon_that_the_price_does_not_reach_belongs_to_the_next_return():
    # Due on the 30th, three days after the price.
    bond = both(maturity=date(2014, 12, 30), dated_date=date(2004, 12, 30), first_interest_date=None)
    stated = quote((START, 98.0, 2.5, None), (END, 98.0, 2.95, 3.0))
    assert one(bond, None, {"lehman": stated})["ret"] == pytest.approx((98.0 + 2.95) / (98.0 + 2.5) - 1, abs=1e-15)
    # The month after, whose own figure is that nothing was paid, gets it by the calendar.
    due_in_may = both(maturity=date(2014, 11, 30), dated_date=date(2004, 11, 30), first_interest_date=None)
    early = quote((date(2008, 5, 27), 98.0, 2.95, 3.0), (END, 98.0, 0.45, 0.0))
    assert one(due_in_may, None, {"lehman": early})["ret"] == pytest.approx(
        (98.0 + 0.45 + 3.0) / (98.0 + 2.95) - 1, abs=1e-15
    )


def test_without_terms_what_the_source_says_was_paid_counts():
    unknown = both(day_count=None)
    stated = quote((START, 98.0, 1.25, None), (END, 99.0, 0.5, 2.0))
    assert one(unknown, None, {"lehman": stated})["ret"] == pytest.approx(101.5 / 99.25 - 1, abs=1e-15)
    assert one(unknown, None, {"lehman": stated.with_columns(coupon_paid=pl.lit(None, dtype=pl.Float64))}) is None


@pytest.mark.parametrize(
    ("default", "carry"),
    [
        (date(2008, 6, 20), 3.0),  # the coupon of the 15th was still paid, nothing accrues any longer
        (date(2008, 6, 16), 3.0),
        (date(2008, 6, 15), 0.0),
        (date(2008, 6, 27), 3.0),
        (date(2008, 6, 28), 3.0 + 0.2),
    ],
)
def test_default_in_the_month(default, carry):
    bonds = issues({"month": MAY}, {"month": JUNE, "default_date": default})
    assert one(bonds, trades((START, 98.0), (END, 40.0)))["ret"] == pytest.approx(
        (40.0 + carry) / 100.75 - 1, abs=1e-15
    )
    stated = quote((START, 98.0, 2.75, None), (END, 40.0, 0.2, 7.0))
    # The coupon of the 15th is the source's own unless the bond is in default.
    own = carry if default <= END else 0.2 + 7.0
    assert one(bonds, None, {"datastream": stated})["ret"] == pytest.approx((40.0 + own) / 100.75 - 1, abs=1e-15)


def test_flat_after_default_and_again_with_interest_when_reinstated():
    default = date(2008, 4, 10)
    assert one(both(default_date=default))["ret"] == 99.0 / 98.0 - 1.0
    reinstated = issues({"month": MAY, "default_date": default}, {"month": JUNE})
    assert one(reinstated)["ret"] == pytest.approx((99.0 + 0.2 + 3.0) / 98.0 - 1, abs=1e-15)


def test_recovery_where_nobody_prices_the_default():
    struck = issues({"month": MAY}, {"month": JUNE, "default_date": date(2008, 6, 20)})
    row = one(struck, trades((START, 98.0)), recovery=recovered(date(2008, 6, 20), 3.5))
    assert row["ret"] == pytest.approx((3.5 + 3.0) / 100.75 - 1, abs=1e-15)
    assert row["source"] == "recovery"
    earlier = one(struck, trades((START, 98.0)), recovery=recovered(date(2008, 6, 12), 3.5))
    assert earlier["ret"] == pytest.approx(3.5 / 100.75 - 1, abs=1e-15)


def test_recovery_only_then():
    struck = issues({"month": MAY}, {"month": JUNE, "default_date": date(2008, 6, 20)})
    table = recovered(date(2008, 6, 20), 3.5)
    assert one(struck, recovery=table)["source"] == "trace"
    assert one(both(), trades((START, 98.0)), recovery=table) is None
    assert one(struck, trades((START, 98.0)), recovery=recovered(date(2008, 7, 20), 3.5)) is None
    assert one(struck, trades((date(2008, 5, 2), 98.0)), recovery=table) is None
    early = struck.with_columns(default_date=pl.col("default_date").dt.offset_by("-1mo"))
    assert one(early, trades((START, 98.0)), recovery=recovered(date(2008, 5, 20), 3.5)) is None


@pytest.mark.parametrize(
    ("theirs", "ours", "there"),
    [
        (date(2008, 5, 29), date(2008, 6, 2), True),
        (date(2008, 4, 1), date(2008, 6, 30), True),
        (date(2008, 3, 31), date(2008, 6, 1), False),
        # A default that Moody's dates later is over when both are known.
        (date(2008, 6, 5), date(2008, 5, 20), True),
        (date(2008, 6, 5), date(2008, 4, 20), True),
        (date(2008, 6, 5), date(2008, 3, 31), False),
        (date(2008, 5, 5), date(2008, 5, 20), False),
    ],
)
def test_recovery_tables_and_fisd_date_defaults_some_months_apart(theirs, ours, there):
    struck = issues({"month": MAY}, {"month": JUNE, "default_date": ours})
    row = one(struck, trades((START, 98.0)), recovery=recovered(theirs, 30.0))
    assert (row is not None) is there
    if row:
        # The coupon of 15 June falls due unless one of the dates comes before it.
        paid = 3.0 if min(theirs, ours) > date(2008, 6, 15) else 0.0
        assert (row["source"], row["ret"]) == ("recovery", pytest.approx((30.0 + paid) / 100.75 - 1, abs=1e-15))


def test_recovery_where_no_source_has_both_prices():
    struck = issues({"month": MAY}, {"month": JUNE, "default_date": date(2008, 6, 20)})
    start = quote((START, 98.0, None, None))
    row = one(struck, trades((END, 30.0)), {"lehman": start}, recovered(date(2008, 6, 20), 25.0))
    assert (row["source"], row["ret"]) == ("recovery", pytest.approx(28.0 / 100.75 - 1, abs=1e-15))
    assert one(struck, trades((END, 30.0)), {"lehman": start}) is None


@pytest.mark.parametrize(("price", "there"), [(4.999, False), (5.0, True), (1000.0, True), (1000.1, False)])
def test_bounds_bind_the_first_price(price, there):
    assert (one(both(), trades((START, price), (END, 99.0))) is not None) is there


@pytest.mark.parametrize("price", [0.01, 1500.0])
def test_bounds_do_not_bind_the_last_price(price):
    row = one(both(), trades((START, 98.0), (END, price)))
    assert row["ret"] == pytest.approx((price + 0.2 + 3.0) / 100.75 - 1, rel=1e-14)


def test_the_universe_is_that_of_the_month_before():
    left = issues({"month": MAY}, {"month": JUNE, "eligible": False})
    assert one(left) == one(both())
    assert one(issues({"month": MAY, "eligible": False}, {"month": JUNE})) is None
    assert one(issues({"month": MAY})) == one(both())


def test_what_is_not_known_is_null():
    row = one(both(amount_outstanding=None, industry_group=None))
    assert (row["value_start"], row["sector"]) == (None, None)
    found = trade_returns(both(), PLAIN, {}, None, RF.filter(pl.col("month") == MAY), [JUNE])
    assert found["ret_excess"].to_list() == [None]
    assert found["ret"].null_count() == 0


def test_no_months_and_no_prices():
    assert dict(trade_returns(both(), PLAIN, {}, None, RF, []).schema) == SCHEMA
    assert one(both(), None) is None


# A made-up market against plain loops.

FIRST, LAST = date(2008, 1, 1), date(2009, 12, 1)
FOREVER = date(2100, 1, 1)


def _bonds(rng: np.random.Generator, n: int) -> list[dict]:
    bonds = []
    for k in range(n):
        frequency = int(rng.choice([0, 1, 2, 2, 2, 4, 12]))
        maturity = date(2012 + k % 9, 1 + k % 12, 1) + timedelta(days=int(rng.choice([0, 14, 27, 30])) - 1)
        dated = date(2007, 1 + int(rng.integers(12)), 1 + int(rng.integers(28)))
        default = FIRST + timedelta(days=int(rng.integers(60, 600))) if k % 4 == 0 else None
        bonds.append(
            {
                "cusip": f"{k:08d}", "isin": f"US{k:09d}0", "coupon": float(rng.uniform(2, 9)) if frequency else 0.0,
                "interest_frequency": frequency, "maturity": maturity, "dated_date": dated if k % 5 else None,
                "offering_date": dated, "first_interest_date": None,
                "day_count": str(rng.choice(["30/360", "ACT/ACT", "ACT/360", "ACT/365"])), "default": default,
                "reinstated": default + timedelta(days=100) if default and k % 8 == 0 else FOREVER,
            }
        )  # fmt: skip
    return bonds


def _issues(rng: np.random.Generator, bonds: list[dict]) -> pl.DataFrame:
    rows = []
    for month in month_range(FIRST, LAST):
        last = shift(month, 1) - timedelta(days=1)
        for bond in bonds:
            struck = bond["default"] is not None and bond["default"] <= last < bond["reinstated"]
            rows.append(
                {
                    "month": month, "eligible": bool(rng.random() < 0.95),
                    "default_date": bond["default"] if struck else None,
                    "amount_outstanding": float(rng.uniform(1e5, 9e5)) if rng.random() < 0.97 else None,
                    **{name: value for name, value in bond.items() if name not in ("default", "reinstated")},
                }
            )  # fmt: skip
    return issues(*rows)


def _trades(rng: np.random.Generator, bonds: list[dict]) -> pl.DataFrame:
    """True trades with the months in which each becomes known and, where it is cancelled late, goes."""
    rows = []
    for bond in bonds:
        price, day = 100.0, FIRST
        while day < shift(LAST, 1):
            price = max(1.0, price * (1 + float(rng.normal(0, 0.01))))
            if bond["default"] and day >= bond["default"] > day - timedelta(days=4):
                price *= 0.4
            for _ in range(int(rng.integers(1, 4))):
                month = day.replace(day=1)
                known = shift(month, int(rng.choice([0, 1, 2, 3], p=[0.9, 0.05, 0.03, 0.02])))
                gone = shift(known, int(rng.integers(1, 3))) if rng.random() < 0.05 else FOREVER
                at = time(int(rng.integers(8, 18)), int(rng.integers(60)))
                paid = price * (1 + float(rng.normal(0, 1e-3)))
                rows.append((bond["cusip"], day, at, paid, float(rng.integers(10, 900) * 1e3), known, gone))
            day += timedelta(days=int(rng.integers(1, 12 if int(bond["cusip"]) % 3 else 4)))
    names = ("cusip", "date", "time", "price", "volume", "known", "gone")
    return pl.DataFrame(rows, schema=list(names), orient="row")


def _known(all_trades: pl.DataFrame, month: date) -> pl.DataFrame:
    return all_trades.filter(pl.col("known") <= month, pl.col("gone") > month)


def _daily(all_trades: pl.DataFrame) -> pl.DataFrame:
    """``trace_daily`` by its definition: the month's days, and earlier ones that became others."""
    rows, before = [], {}
    for month in month_range(FIRST, LAST):
        # Nothing is known or goes more than five months late.
        near = all_trades.filter(pl.col("date") >= shift(month, -6))
        now = daily_prices(_known(near, month))
        before = {key: value for key, value in before.items() if key[1] >= shift(month, -6)}
        for key in sorted(now.keys() | before.keys()):
            if key[1].replace(day=1) == month or now.get(key) != before.get(key):
                price, volume, _ = now.get(key, (None, None, 0))
                rows.append((month, *key, price, volume))
        before = now
    names = ("month", "cusip", "date", "price_corrected", "volume_corrected")
    types = dict(zip(names, (pl.Date, pl.String, pl.Date, pl.Float64, pl.Float64), strict=True))
    return pl.DataFrame(rows, schema=types, orient="row")


def _quotes(rng: np.random.Generator, bonds: list[dict]) -> dict[str, pl.DataFrame]:
    tables = {}
    for source, share in (("lehman", 0.5), ("mergent", 0.6), ("datastream", 0.5)):
        rows = []
        for month in month_range(FIRST, LAST)[: 8 if source == "lehman" else None]:
            for bond in bonds[::2]:
                if rng.random() < share:
                    day = shift(month, 1) - timedelta(days=int(rng.choice([1, 1, 1, 3, 8])))
                    stated = [float(v) if rng.random() < 0.5 else None for v in rng.uniform(0, 3, 2)]
                    rows.append((month, bond["cusip"], day, float(rng.uniform(60, 120)), *stated))
        names = ("month", "cusip", "date", "price", "accrued_interest", "coupon_paid")
        types = dict(zip(names, (pl.Date, pl.String, pl.Date, *[pl.Float64] * 3), strict=True))
        tables[source] = pl.DataFrame(rows, schema=types, orient="row")
    return tables


@pytest.fixture(scope="module")
def world() -> dict:
    rng = np.random.default_rng(11)
    bonds = _bonds(rng, 30)
    # Without these nobody would ever need a recovery price.
    quiet = {bond["cusip"]: bond["default"] for bond in bonds if bond["default"] and int(bond["cusip"]) % 3 == 0}
    all_trades = _trades(rng, bonds).filter(
        ~pl.any_horizontal((pl.col("cusip") == cusip) & (pl.col("date") >= day) for cusip, day in quiet.items())
    )
    quotes = {
        source: table.filter(~pl.col("cusip").is_in(list(quiet))) for source, table in _quotes(rng, bonds).items()
    }
    recovery = [
        {"month": day.replace(day=1), "cusip": bond["cusip"], "default_date": day,
         "recovery_price": float(rng.uniform(1, 60))}
        for bond in bonds if bond["default"]
        for day in [bond["default"] + timedelta(days=int(rng.choice([0, 0, -25, 25, -80])))]
    ]  # fmt: skip
    months = month_range(FIRST, LAST)
    rates = pl.DataFrame({"month": months, "rf": rng.uniform(0, 0.003, len(months))})
    tables = (_issues(rng, bonds), _daily(all_trades), quotes, pl.DataFrame(recovery), rates)
    return {"trades": all_trades, "tables": tables, "months": months[1:], "recovery": recovery}


@pytest.fixture(scope="module")
def found(world) -> pl.DataFrame:
    return trade_returns(*world["tables"], world["months"])


def test_made_up_trades_against_plain_loops(world, found):
    bonds, _, quotes, _, rates = world["tables"]
    by_month = {key[0]: part.to_dicts() for key, part in bonds.partition_by("month", as_dict=True).items()}
    checked = 0
    for month in world["months"]:
        known = lambda at: _known(world["trades"], at)  # noqa: E731
        expected = slow_returns(by_month, known, quotes, world["recovery"], month)
        ours = {row["isin"]: row for row in found.filter(pl.col("month") == month).to_dicts()}
        assert ours.keys() == expected.keys()
        rate = rates.filter(pl.col("month") == month)["rf"].item()
        for isin, row in expected.items():
            assert ours[isin]["source"] == row["source"]
            assert ours[isin]["ret"] == pytest.approx(row["ret"], rel=0, abs=1e-12)
            assert ours[isin]["ret_excess"] == pytest.approx(row["ret"] - rate, rel=0, abs=1e-12)
            if row["value_start"] is None:
                assert ours[isin]["value_start"] is None
            else:
                assert ours[isin]["value_start"] == pytest.approx(row["value_start"], rel=1e-12)
            checked += 1
    assert checked > 400
    assert set(found["source"]) == {"lehman", "trace", "mergent", "datastream", "recovery"}


def test_a_range_equals_its_months_and_needs_only_the_lookback(world, found):
    bonds, daily, quotes, recovery, rates = world["tables"]
    for month in world["months"]:
        near = pl.col("month").is_between(shift(month, -LOOKBACK), month)
        now = pl.col("month") == month
        alone = trade_returns(
            bonds.filter(near),
            daily.filter(near).sample(fraction=1.0, shuffle=True, seed=5),
            {name: rows.filter(near) for name, rows in quotes.items()},
            recovery.filter(pl.col("month").is_between(shift(month, -recovery_lookback()), month)),
            rates.filter(now),
            [month],
        )
        assert_frame_equal(found.filter(now), alone, check_exact=True)


def test_later_rows_make_no_difference(world, found):
    month = date(2009, 3, 1)
    later = pl.col("month") > month
    bonds, daily, quotes, recovery, rates = world["tables"]
    changed = (
        bonds.with_columns(
            pl.when(later).then(9.9).otherwise("coupon").alias("coupon"), eligible=pl.col("eligible") & ~later
        ),
        daily.with_columns(pl.when(later).then(1.0).otherwise("price_corrected").alias("price_corrected")),
        {name: rows.filter(~later) for name, rows in quotes.items()},
        recovery.with_columns(pl.when(later).then(1.0).otherwise("recovery_price").alias("recovery_price")),
        rates.filter(~later),
    )
    assert_frame_equal(trade_returns(*changed, world["months"]).filter(~later), found.filter(~later), check_exact=True)


def test_a_bond_alone_gets_the_same_bits(world, found):
    bonds, daily, quotes, recovery, rates = world["tables"]
    months = world["months"][::4]
    for cusip in bonds["cusip"].unique().sort()[::6]:
        own = pl.col("cusip") == cusip
        isin = bonds.filter(own)["isin"][0]
        alone = trade_returns(
            bonds.filter(own),
            daily.filter(own),
            {name: rows.filter(own) for name, rows in quotes.items()},
            recovery.filter(own),
            rates,
            months,
        )
        own_rows = found.filter(pl.col("isin") == isin, pl.col("month").is_in(months))
        assert_frame_equal(alone, own_rows, check_exact=True)


def test_keys_are_unique_and_sorted(found):
    assert not found.select("month", "isin").is_duplicated().any()
    assert found.equals(found.sort("month", "isin"))


def test_settings_move_the_window(world):
    month = world["months"][5]
    wide = trade_returns(*world["tables"], [month], BondPriceSettings(sessions=15))
    assert wide.height > trade_returns(*world["tables"], [month], BondPriceSettings(sessions=1)).height


def test_figures_count_what_is_there(world, found):
    month = date(2008, 9, 1)
    bonds = world["tables"][0]
    rows = found.filter(pl.col("month") == month)
    figures = trade_returns_figures(rows, bonds, month)
    held = bonds.filter(pl.col("month") == shift(month, -1), pl.col("eligible"))
    assert figures["waterfall"] == [
        {"step": "a price at both month ends", "rows_in": held.height, "rows_out": rows.height}
    ]
    assert sum(figures["sources"].values()) == rows.height
    assert 0.0 < figures["value_share"] <= 1.0
    struck = both().with_columns(default_date=pl.lit(date(2008, 6, 20)))
    nothing = trade_returns_figures(found.clear(), struck, JUNE)
    assert (nothing["defaulted"], nothing["defaulted_without_return"], nothing["value_share"]) == (1, 1, 0.0)
    assert trade_returns_figures(found.clear(), struck.clear(), JUNE)["value_share"] is None


@pytest.mark.parametrize(
    ("now", "redeemed", "unpriced"),
    [
        ({"month": JUNE}, 0, 1),
        ({"month": JUNE, "amount_outstanding": None}, 0, 1),
        ({"month": JUNE, "amount_outstanding": 0.0}, 1, 0),
        ({"month": JUNE, "maturity": date(2008, 6, 30)}, 1, 0),
        (None, 1, 0),
        ({"month": JUNE, "default_date": date(2008, 6, 20)}, 0, 0),
    ],
)
def test_figures_tell_a_called_bond_from_one_without_a_price(now, redeemed, unpriced):
    before = {"month": MAY, **({"maturity": now["maturity"]} if now and "maturity" in now else {})}
    bonds = issues(before, *([now] if now else []))
    found = trade_returns(bonds, trades((START, 98.0)), {}, None, RF, [JUNE])
    figures = trade_returns_figures(found, bonds, JUNE)
    assert (figures["redeemed_without_return"], figures["unpriced"]) == (redeemed, unpriced)
    priced = trade_returns(bonds, PLAIN, {}, None, RF, [JUNE])
    figures = trade_returns_figures(priced, bonds, JUNE)
    assert (figures["redeemed_without_return"], figures["unpriced"]) == (0, 0)


# The simulated market: from reports with errors to returns, against loops over the trades that truly took place.


def _known_truly(trades: pl.DataFrame, month: date) -> pl.DataFrame:
    """Clean trades as known at the end of a month, on the terms of that day."""
    settled = pl.coalesce("event_month", "report_month") <= month
    counts = pl.when(settled).then("kept_finally").otherwise("kept_at_once")
    return trades.filter(pl.col("month") <= month, counts).select(
        "cusip",
        "date",
        "time",
        price=pl.when(settled).then("price_finally").otherwise("price_at_once"),
        volume=pl.when(settled).then("volume_finally").otherwise("volume_at_once"),
    )


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> dict:
    market = simulate("tiny", vendors=("trace", "fisd", "bond_sources"))
    folder = tmp_path_factory.mktemp("market")
    write_extracts(market.tables, folder / "extracts", parquet=list(market.tables))
    store = ExtractStore(folder / "extracts", folder / "staged")
    store.refresh()
    table = {name: store.scan(name).collect() for name in market.tables if name != "trace.trace_enhanced"}
    first = market.truth["trace_trades"]["month"].min()
    # Lehman's prices end within these months.
    months = month_range(shift(first, 16), shift(first, 46))
    fisd_tables = ("mergedissue", "mergedissuer", "issue_default", "ratings", "amt_out_hist")
    fisd = [table[f"fisd.fisd_{name}"] for name in fisd_tables]
    return {
        "trades": market.truth["trace_trades"],
        "days": market.truth["bond_days"],
        "daily": trace_daily(store.scan("trace.trace_enhanced"), fisd[0], months),
        "issues": bond_issues(*fisd, months),
        "quotes": {name: table[f"bonds.{name}"] for name in ("lehman", "mergent", "datastream")},
        "recovery": table["bonds.recovery"],
        "months": months[1:],
    }


@pytest.mark.slow
def test_simulated_trades_against_plain_loops_over_the_true_ones(simulated):
    months, bonds = simulated["months"], simulated["issues"]
    rates = pl.DataFrame({"month": months, "rf": [0.001] * len(months)})
    found = trade_returns(bonds, simulated["daily"], simulated["quotes"], simulated["recovery"], rates, months)
    by_month = {key[0]: part.to_dicts() for key, part in bonds.partition_by("month", as_dict=True).items()}
    for month in months:
        expected = slow_returns(
            by_month,
            lambda at: _known_truly(simulated["trades"], at),
            simulated["quotes"],
            simulated["recovery"].to_dicts(),
            month,
        )
        ours = {row["isin"]: row for row in found.filter(pl.col("month") == month).to_dicts()}
        assert ours.keys() == expected.keys()
        for isin, row in expected.items():
            assert ours[isin]["source"] == row["source"]
            assert ours[isin]["ret"] == pytest.approx(row["ret"], rel=0, abs=1e-10)
    assert found.height > 500
    assert set(found["source"]) >= {"lehman", "trace", "mergent", "datastream"}


@pytest.mark.slow
def test_the_simulated_market_corrects_prices_late(simulated):
    """Without these the test above would not tell what was known when."""
    late = simulated["daily"].filter(pl.col("date").dt.truncate("1mo") < pl.col("month"))
    assert late.height > 20
    assert (late["price"] != late["price_corrected"]).sum() > 0
