from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
import QuantLib as ql
from polars.testing import assert_frame_equal

from pipeline.bonds.issues import SCHEMA as ISSUES
from pipeline.bonds.prices import ANALYTICS, SCHEMA, bond_prices, prices_figures
from pipeline.panel.calendar import month_range, shift

JUNE, JULY = date(2008, 6, 1), date(2008, 7, 1)
DAY = date(2008, 6, 27)

BOND = {
    "month": JUNE, "cusip": "AAAAAAAA", "isin": "US-A", "issue_id": 1, "offering_date": date(2004, 12, 1),
    "dated_date": date(2004, 12, 15), "maturity": date(2014, 12, 15), "coupon": 6.0, "coupon_type": "F",
    "interest_frequency": 2, "day_count": "30/360", "amount_outstanding": 400.0, "eligible": True,
    "fixed_or_zero_coupon": True,
}  # fmt: skip


def issues(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame([{**dict.fromkeys(ISSUES), **BOND, **row} for row in rows or ({},)], schema=ISSUES)


def daily(*rows: tuple, cusip: str = "AAAAAAAA") -> pl.DataFrame:
    """Days of trades: date, price, volume and, where it is not the day's own month, the partition."""
    names = {"month": pl.Date, "cusip": pl.String, "date": pl.Date, "price_corrected": pl.Float64,
             "volume_corrected": pl.Float64}  # fmt: skip
    return pl.DataFrame(
        [(row[3] if len(row) > 3 else row[0].replace(day=1), cusip, *row[:3]) for row in rows],
        schema=names,
        orient="row",
    )


def quote(price: float, day: date = DAY, accrued: float | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {"month": [day.replace(day=1)], "cusip": ["AAAAAAAA"], "date": [day], "price": [price],
         "accrued_interest": [accrued], "coupon_paid": [None]},
        schema_overrides={"accrued_interest": pl.Float64, "coupon_paid": pl.Float64},
    )  # fmt: skip


def curve(level: float | None = 3.0, months=(JUNE,)) -> pl.DataFrame:
    zeros = {f"zero_{n}": [level] * len(months) for n in range(1, 12)}
    return pl.DataFrame({"month": list(months), **zeros}, schema_overrides=dict.fromkeys(zeros, pl.Float64))


TRADES = daily((DAY, 98.0, 5000.0))


def one(bonds=None, trades=TRADES, sources=None, recovery=None, zeros=None) -> dict | None:
    found = bond_prices(
        issues() if bonds is None else bonds,
        trades,
        sources or {},
        recovery,
        curve() if zeros is None else zeros,
        [JUNE],
    )
    assert dict(found.schema) == SCHEMA
    return found.row(0, named=True) if found.height else None


def test_a_bond_at_par_by_hand():
    row = one(trades=daily((date(2008, 6, 30), 100.0, 1.0)), bonds=issues({"maturity": date(2014, 12, 31)}))
    assert row["ytm"] == pytest.approx(6.0, abs=1e-10)
    assert row["accrued_interest"] == 0.0
    assert (row["source"], row["flat"], row["date"], row["isin"]) == ("trace", False, date(2008, 6, 30), "US-A")
    annuity = sum(1.03**-k for k in range(1, 14))
    assert row["modified_duration"] == pytest.approx(annuity / 2, abs=1e-10)
    assert row["duration"] == pytest.approx(row["modified_duration"], rel=1e-4)
    treasury = 200 * (np.exp(0.015) - 1)
    assert row["spread"] == pytest.approx(100 * (6.0 - treasury), abs=1e-8)


def test_yield_and_duration_against_quantlib():
    rng = np.random.default_rng(2)
    rows = [
        {
            "cusip": f"{k:08d}", "coupon": round(float(rng.uniform(1, 9)), 3), "dated_date": date(2004, 1 + k % 12, 15),
            "maturity": date(2009 + int(rng.integers(1, 25)), 1 + k % 12, 15),
        }
        for k in range(12)
    ]  # fmt: skip
    clean = rng.uniform(60, 130, len(rows))
    trades = pl.concat([daily((DAY, price, 1.0), cusip=row["cusip"]) for price, row in zip(clean, rows, strict=True)])
    found = bond_prices(issues(*rows), trades, {}, None, curve(), [JUNE])
    today, counting = ql.Date(DAY.day, DAY.month, DAY.year), ql.Thirty360(ql.Thirty360.BondBasis)
    for ours, row, price in zip(found.to_dicts(), rows, clean, strict=True):
        start, end = (ql.Date(d.day, d.month, d.year) for d in (row["dated_date"], row["maturity"]))
        schedule = ql.Schedule(
            start, end, ql.Period(ql.Semiannual), ql.NullCalendar(), ql.Unadjusted, ql.Unadjusted,
            ql.DateGeneration.Backward, False,
        )  # fmt: skip
        bond = ql.FixedRateBond(0, 100.0, schedule, [row["coupon"] / 100], counting)
        quoted = ql.BondPrice(float(price), ql.BondPrice.Clean)
        ytm = ql.BondFunctions.bondYield(bond, quoted, counting, ql.Compounded, ql.Semiannual, today, 1e-14, 1000)
        modified = ql.BondFunctions.duration(
            bond, ytm, counting, ql.Compounded, ql.Semiannual, ql.Duration.Modified, today
        )
        assert ours["accrued_interest"] == pytest.approx(bond.accruedAmount(today), abs=1e-9)
        assert ours["ytm"] == pytest.approx(100 * ytm, abs=1e-8)
        assert ours["modified_duration"] == pytest.approx(modified, abs=1e-8)


def test_a_month_is_priced_as_known_then():
    rows = pl.concat([TRADES, daily((DAY, 55.0, 7.0, JULY))])
    assert one(trades=rows)["price"] == 98.0


def test_the_last_days_price_and_the_whole_months_volume():
    rows = daily((date(2008, 6, 2), 90.0, 3e4), (date(2008, 6, 26), 97.0, 2e4), (DAY, 98.0, 1e4),
                 (date(2008, 5, 30), 96.0, 9e9, JUNE), (date(2008, 5, 30), 96.0, 8e9))  # fmt: skip
    row = one(trades=rows)
    assert (row["price"], row["date"], row["volume"]) == (98.0, DAY, 6e4)


def test_a_bond_priced_elsewhere_keeps_its_volume_in_trace():
    row = one(trades=daily((date(2008, 6, 2), 90.0, 3e4)), sources={"mergent": quote(97.0)})
    assert (row["source"], row["price"], row["volume"]) == ("mergent", 97.0, 3e4)
    assert one(trades=None, sources={"mergent": quote(97.0)})["volume"] is None


def test_the_first_source_within_bounds():
    sources = {"lehman": quote(99.0), "mergent": quote(97.0)}
    assert one(sources=sources)["source"] == "lehman"
    assert one(sources={"lehman": quote(4.9), "mergent": quote(97.0)})["source"] == "trace"
    assert one(trades=daily((DAY, 4.9, 1.0))) is None
    assert one(trades=daily((DAY, 1001.0, 1.0)), sources={"mergent": quote(97.0)})["source"] == "mergent"


def test_a_sources_own_accrual():
    assert one(trades=None, sources={"lehman": quote(99.0, accrued=1.75)})["accrued_interest"] == 1.75
    assert one(trades=None, sources={"lehman": quote(99.0)})["accrued_interest"] == pytest.approx(6 * 12 / 360)


@pytest.mark.parametrize(
    ("change", "days"),
    [
        ({}, 15.0),  # 15 to 30 June
        ({"day_count": "ACT/360"}, 15.0),
        ({"day_count": "ACT/365"}, 15.0 * 360 / 365),
        ({"default_date": date(2008, 6, 30)}, 0.0),
        ({"maturity": date(2014, 12, 30), "dated_date": date(2004, 12, 30)}, 0.0),
        ({"maturity": date(2014, 12, 29), "dated_date": date(2004, 12, 29)}, 1.0),
        ({"maturity": date(2008, 6, 30), "dated_date": date(2004, 6, 30)}, 0.0),
        ({"day_count": None}, None),
    ],
)
def test_interest_by_the_month_end_follows_the_terms(change, days):
    for row in (one(issues(change)), one(issues(change), None, {"lehman": quote(99.0, accrued=1.75)})):
        expected = None if days is None else pytest.approx(6.0 * days / 360, abs=1e-13)
        assert row["accrued_month_end"] == expected


@pytest.mark.parametrize(("default", "flat"), [(DAY, True), (date(2008, 6, 28), False), (date(2007, 1, 1), True)])
def test_a_bond_in_default_is_flat_and_has_no_yield(default, flat):
    bonds = issues({"default_date": default})
    for row in (one(bonds), one(bonds, None, {"lehman": quote(99.0, accrued=1.5)})):
        assert row["flat"] is flat
        assert (row["accrued_interest"] == 0.0) is flat
        assert all((row[name] is None) is flat for name in ANALYTICS)


def test_recovery_prices_of_the_default_month():
    table = pl.DataFrame(
        {"month": [date(2008, 5, 1)], "cusip": ["AAAAAAAA"], "default_date": [date(2008, 5, 6)],
         "recovery_price": [31.0]}
    )  # fmt: skip
    struck = issues({"default_date": date(2008, 5, 7)})
    row = one(struck, None, recovery=table)
    assert (row["source"], row["price"], row["date"], row["flat"]) == ("recovery", 31.0, date(2008, 6, 5), True)
    # Thirty days after a default of June it is July.
    assert one(struck, None, recovery=table.with_columns(month=JUNE, default_date=date(2008, 6, 2))) is None
    assert (row["accrued_interest"], row["ytm"]) == (0.0, None)
    assert one(struck, recovery=table)["source"] == "trace"
    assert one(struck, daily((DAY, 1.0, 1.0)), recovery=table) is None
    assert one(trades=None, recovery=table) is None
    assert one(struck, None, recovery=table.with_columns(recovery_price=2.0)) is None


def test_no_promise_to_value():
    row = one(issues({"fixed_or_zero_coupon": False, "coupon_type": "V"}))
    assert row["price"] == 98.0
    assert all(row[name] is None for name in ANALYTICS)
    unknown = one(issues({"day_count": None}))
    assert unknown["accrued_interest"] is None
    assert unknown["ytm"] is None


def test_no_curve_no_spread():
    for zeros in (curve(None), curve(months=(JULY,))):
        row = one(zeros=zeros)
        assert row["spread"] is None
        assert row["ytm"] is not None


def test_issues_of_other_kinds_have_their_row_and_strangers_have_none():
    assert one(issues({"eligible": False})) is not None
    assert one(issues({"cusip": "BBBBBBBB"})) is None
    assert bond_prices(issues(), TRADES, {}, None, curve(), []).height == 0


@pytest.fixture(scope="module")
def world() -> tuple:
    rng = np.random.default_rng(4)
    months = month_range(date(2008, 1, 1), date(2009, 3, 1))
    rows, trades, quotes = [], [], []
    for month in months:
        for k in range(30):
            cusip = f"{k:08d}"
            defaulted = date(2008, 8, 12) if k % 7 == 0 and month > JULY else None
            rows.append(
                {
                    "month": month, "cusip": cusip, "isin": f"US{k}", "maturity": date(2011 + k, 1 + k % 12, 15),
                    "coupon": 2.0 + k / 5, "default_date": defaulted, "eligible": k % 6 > 0,
                    "day_count": ("30/360", "ACT/ACT", "ACT/360")[k % 3],
                }
            )  # fmt: skip
            for _ in range(3):
                day = month + timedelta(days=int(rng.integers(28)))
                trades.append((month, cusip, day, float(rng.uniform(3, 130)), float(rng.uniform(1, 9)) / 3))
            trades.append((shift(month, 1), *trades[-1][1:3], 77.0, 1.0))
            if rng.random() < 0.4:
                quotes.append((month, cusip, month + timedelta(days=27), float(rng.uniform(70, 130)), None, None))
    traded = pl.DataFrame(trades, schema=daily().schema, orient="row").unique(["month", "cusip", "date"], keep="first")
    quoted = pl.DataFrame(quotes, schema=quote(1.0).schema, orient="row")
    zeros = curve(months=months).with_columns(zero_5=pl.Series(rng.uniform(2, 5, len(months))))
    return issues(*rows), traded, {"datastream": quoted}, None, zeros, months


@pytest.fixture(scope="module")
def together(world) -> pl.DataFrame:
    return bond_prices(*world)


def test_a_range_equals_its_months_whatever_comes_later_and_in_any_order(world, together):
    bonds, traded, quotes, _, zeros, months = world
    assert together.height > 200
    assert set(together["source"]) == {"trace", "datastream"}
    assert together.null_count()["spread"].item() == together["flat"].sum() > 0
    for month in months[::2]:
        now, known = pl.col("month") == month, pl.col("month") <= month
        exact = bond_prices(
            bonds.filter(now), traded.filter(now), {"datastream": quotes["datastream"].filter(now)}, None,
            zeros.filter(now), [month],
        )  # fmt: skip
        assert_frame_equal(together.filter(now), exact, check_exact=True)
        cut = bond_prices(
            bonds.filter(known).sample(fraction=1.0, shuffle=True, seed=1),
            traded.filter(known).sample(fraction=1.0, shuffle=True, seed=2),
            quotes,
            None,
            zeros,
            [month],
        )
        assert_frame_equal(exact, cut, check_exact=True)


def test_a_bond_alone_gets_the_same_bits(world, together):
    bonds, traded, quotes, _, zeros, months = world
    for cusip in ("00000004", "00000007", "00000017"):
        own = pl.col("cusip") == cusip
        alone = bond_prices(bonds.filter(own), traded.filter(own), quotes, None, zeros, months[::5])
        assert_frame_equal(alone, together.filter(own, pl.col("month").is_in(months[::5])), check_exact=True)


def test_no_number_is_nan(together):
    numbers = together.select(pl.col(pl.Float64).fill_null(0.0).is_finite().all())
    assert all(numbers.row(0))
    assert not together.select("month", "cusip").is_duplicated().any()


def test_figures(world, together):
    bonds, *_ = world
    found = together.filter(pl.col("month") == JUNE)
    figures = prices_figures(found, bonds, JUNE)
    universe = bonds.filter(pl.col("month") == JUNE, pl.col("eligible"))
    priced = set(found["cusip"]) & set(universe["cusip"])
    assert figures["waterfall"][0]["rows_in"] == universe.height
    assert figures["waterfall"][0]["rows_out"] == len(priced) == sum(figures["sources"].values())
    assert figures["outside_universe"] == found.height - len(priced)
    assert figures["value_share"] == pytest.approx(len(priced) / universe.height)
    assert prices_figures(found.clear(), bonds.clear(), JUNE)["value_share"] is None
