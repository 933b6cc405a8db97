from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.bonds.bond_math import accrued_interest, coupons_paid
from pipeline.bonds.coupon_calendar import TABLE_CELLS, BondTerms, CouponCalendar, cash_flows
from pipeline.bonds.day_count import CODES, MISSING
from tests.bonds.quantlib_bonds import as_arrays, draw_bonds


def _dates(*texts):
    return np.array(texts, "datetime64[D]")


def _terms(*, maturity, dated, first="NaT", frequency=2, coupon=6.0, day_count="30/360"):
    return BondTerms(
        coupon=np.array([coupon]),
        frequency=np.array([frequency]),
        dated=_dates(dated),
        first_coupon=_dates(first),
        maturity=_dates(maturity),
        day_count=np.array([CODES[day_count]]),
    )


def _coupon_dates(terms):
    calendar = CouponCalendar(terms)
    numbers = np.arange(calendar.coupons[0])[::-1, None]
    return calendar.date(numbers)[:, 0].astype(str).tolist()


@pytest.fixture(scope="module")
def drawn():
    return draw_bonds(400, seed=11)


def test_dates_are_quantlibs_schedule(drawn):
    terms, _, _ = as_arrays(drawn)
    calendar = CouponCalendar(terms)
    paying = 0
    for row, bond in enumerate(drawn):
        if bond.frequency:
            number = np.arange(calendar.coupons[row])[::-1]
            ours = CouponCalendar(terms[[row]]).date(number[:, None])[:, 0].tolist()
            assert ours == [date(day.year(), day.month(), day.dayOfMonth()) for day in list(bond.schedule)[1:]]
            assert calendar.odd_first[row] == bond.odd
            paying += 1
    assert paying > 300


@pytest.mark.parametrize(
    ("maturity", "first", "expected"),
    [
        ("2012-06-30", "NaT", ["2011-06-30", "2011-12-31", "2012-06-30"]),
        ("2012-06-30", "2011-06-30", ["2011-06-30", "2011-12-31", "2012-06-30"]),
        ("2012-12-30", "2011-06-30", ["2011-06-30", "2011-12-30", "2012-06-30", "2012-12-30"]),
        ("2012-06-30", "2011-12-30", ["2011-12-30", "2012-06-30"]),
        ("2012-08-31", "NaT", ["2011-02-28", "2011-08-31", "2012-02-29", "2012-08-31"]),
        ("2012-02-29", "NaT", ["2011-02-28", "2011-08-31", "2012-02-29"]),
        ("2012-02-29", "2011-08-29", ["2011-08-29", "2012-02-29"]),
        ("2012-08-29", "NaT", ["2011-02-28", "2011-08-29", "2012-02-29", "2012-08-29"]),
        ("2012-02-28", "NaT", ["2011-02-28", "2011-08-28", "2012-02-28"]),
    ],
)
def test_end_of_month_rule(maturity, first, expected):
    terms = _terms(maturity=maturity, dated="2011-02-01", first=first)
    assert _coupon_dates(terms) == expected


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("NaT", "2011-05-15"),  # short: the first date after the dated date
        ("2011-05-15", "2011-05-15"),
        ("2011-11-15", "2011-11-15"),  # long
        ("2011-11-16", "2011-11-15"),  # moved past a holiday when published
        ("2011-11-13", "2011-11-15"),
        ("2011-08-15", "2011-11-15"),  # 92 days from either side: the later
        ("2011-08-14", "2011-05-15"),
        ("2010-11-15", "2011-05-15"),  # before the dated date
        ("2030-01-01", "2012-11-15"),  # after maturity
    ],
)
def test_first_coupon(first, expected):
    terms = _terms(maturity="2012-11-15", dated="2011-02-01", first=first)
    assert _coupon_dates(terms)[0] == expected


def test_periods_and_tables_by_hand():
    terms = _terms(maturity="2012-11-15", dated="2011-02-01", first="2011-11-15")
    calendar = CouponCalendar(terms)
    assert calendar.odd_first.tolist() == [True]
    # 284 days of 30/360 from 1 February to 15 November, 104 of them left.
    assert calendar.first_amount.tolist() == pytest.approx([6.0 * 284 / 360], abs=1e-14)
    (table,) = cash_flows(terms, _dates("2011-08-01"))
    assert table.count.tolist() == [3]
    assert table.coupons[:, 0].tolist() == pytest.approx([3.0, 3.0, 6.0 * 284 / 360], abs=1e-14)
    assert table.to_next.tolist() == pytest.approx([104 / 180], abs=1e-14)
    (table,) = cash_flows(terms, _dates("2011-11-15"))
    assert table.count.tolist() == [2]
    assert table.to_next.tolist() == [1.0]


def test_a_table_holds_each_bond_once_and_never_more_than_its_share():
    number = 3000
    rng = np.random.default_rng(3)
    maturity = np.datetime64("2030-01-15") + rng.integers(0, 30000, number)
    terms = BondTerms(
        coupon=np.full(number, 5.0),
        frequency=rng.choice([1, 2, 4, 12], number),
        dated=np.full(number, np.datetime64("2020-01-15")),
        first_coupon=np.full(number, np.datetime64("NaT", "D")),
        maturity=maturity,
        day_count=rng.integers(0, 4, number),
    )
    tables = list(cash_flows(terms, np.full(number, np.datetime64("2020-01-15"))))
    assert len(tables) > 1
    assert sorted(np.concatenate([table.rows for table in tables]).tolist()) == list(range(number))
    for table in tables:
        assert table.coupons.size <= max(TABLE_CELLS, len(table.coupons))
        assert (np.diff(table.count) <= 0).all()
        assert table.widths == [int((table.count > k).sum()) for k in range(len(table.coupons))]
        below = np.arange(len(table.coupons))[:, None] < table.count
        assert (table.coupons[below] > 0).all()
        assert (table.coupons[~below] == 0).all()


def test_terms_from_a_table_of_issues():
    issues = pl.DataFrame(
        {
            "coupon": [5.0, 0.0, None],
            "interest_frequency": pl.Series([2, 0, None], dtype=pl.Int32),
            "dated_date": [date(2010, 1, 15), None, date(2010, 1, 15)],
            "offering_date": [date(2010, 1, 10), date(2011, 3, 1), None],
            "first_interest_date": [date(2010, 7, 15), None, None],
            "maturity": [date(2020, 1, 15), date(2021, 3, 1), None],
            "day_count": ["ACT/360", "30/360", None],
        }
    )
    terms = BondTerms.from_frame(issues)
    assert terms.complete.tolist() == [True, True, False]
    assert terms.dated.tolist() == [date(2010, 1, 15), date(2011, 3, 1), date(2010, 1, 15)]
    assert terms.day_count.tolist() == [CODES["ACT/360"], CODES["30/360"], MISSING]
    assert np.isnan(terms.coupon[2])
    assert np.isnat(terms.first_coupon[1])
    assert len(terms[[0, 0, 1]]) == 3
    assert terms[np.array([False, True, False])].maturity.tolist() == [date(2021, 3, 1)]
    assert len(BondTerms.from_frame(issues.clear())) == 0
    with pytest.raises(ValueError, match=r"column day_count has 1 rows .* the first 'ACTUAL'"):
        BondTerms.from_frame(issues.with_columns(day_count=pl.Series(["ACT/360", "ACTUAL", None])))


def test_terms_of_unequal_shape_or_unit_are_refused():
    terms = _terms(maturity="2012-11-15", dated="2011-02-01")
    parts = {name: getattr(terms, name) for name in ("frequency", "dated", "first_coupon", "maturity", "day_count")}
    with pytest.raises(ValueError, match="one length"):
        BondTerms(coupon=np.array([5.0, 6.0]), **parts)
    with pytest.raises(ValueError, match=r"datetime64\[D\]"):
        BondTerms(coupon=np.array([5.0]), **(parts | {"maturity": terms.maturity.astype("datetime64[ns]")}))


@pytest.mark.parametrize(
    "change",
    [
        {"coupon": -1.0},
        {"coupon": np.nan},
        {"coupon": np.inf},
        {"frequency": 5},
        {"frequency": MISSING},
        {"frequency": 0},  # a coupon, but no payments
        {"dated": "NaT"},
        {"dated": "2012-11-15"},
        {"dated": "1700-01-01"},
        {"maturity": "NaT"},
        {"maturity": "9999-12-31"},
        {"first": "0001-01-01"},
    ],
)
def test_incomplete_terms_give_nothing(change):
    terms = _terms(**({"maturity": "2012-11-15", "dated": "2011-02-01"} | change))
    on, later = _dates("2011-03-01"), _dates("2011-12-01")
    assert terms.complete.tolist() == [False]
    assert list(cash_flows(terms, on)) == []
    assert np.isnan(accrued_interest(terms, on)).all()
    assert np.isnan(coupons_paid(terms, on, later)).all()
