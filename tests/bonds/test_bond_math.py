from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
import QuantLib as ql
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as arrays_of

from pipeline.bonds import bond_math
from pipeline.bonds.bond_math import (
    BUMP,
    accrued_interest,
    convexity,
    coupons_paid,
    dirty_price,
    effective_duration,
    modified_duration,
    yield_of_dirty_price,
    yield_to_maturity,
)
from pipeline.bonds.coupon_calendar import BondTerms, CouponCalendar
from pipeline.bonds.day_count import CODES, MISSING
from tests.bonds.quantlib_bonds import FREQUENCIES, as_arrays, draw_bonds, quantlib_date

TOLERANCE = 1e-8


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


def _distance(ours, theirs):
    """Largest distance; missing on one side only is infinitely far."""
    theirs = np.asarray(theirs)
    gap = np.where(np.isnan(ours) & np.isnan(theirs), 0.0, np.abs(ours - theirs))
    return np.max(np.where(np.isnan(gap), np.inf, gap))


@pytest.fixture(scope="module")
def drawn():
    return draw_bonds(2000, seed=1)


@pytest.fixture(scope="module")
def arrays(drawn):
    return as_arrays(drawn)


@pytest.fixture(scope="module")
def ytm(arrays):
    return yield_to_maturity(*arrays)


@pytest.fixture(scope="module")
def quantlib(drawn):
    """What QuantLib says of every bond: yield, modified duration, convexity, price change for the bump."""
    rows = []
    for bond in drawn:
        peer = bond.peer
        try:
            theirs = peer.ytm()
        except RuntimeError:
            rows.append([np.nan] * 4)
            continue
        fall = peer.price(theirs - BUMP) - peer.price(theirs + BUMP)
        effective = fall / peer.price(theirs) / (2.0 * BUMP / 100.0)
        rows.append([theirs, peer.duration(theirs), peer.convexity(theirs), effective])
    return np.array(rows)


def test_the_draw_covers_every_convention(drawn):
    for name in CODES:
        for frequency in (0, *FREQUENCIES):
            some = [bond for bond in drawn if bond.day_count == name and bond.frequency == frequency]
            assert len(some) > 10
            assert {bond.odd for bond in some} == {True, False}
    assert sum(bond.month_end for bond in drawn) > 300
    assert sum(bond.maturity.day > 28 and not bond.month_end for bond in drawn) > 50
    assert sum(bond.on in {bond.coupon_date(k) for k in range(bond.life)} for bond in drawn) > 300
    assert min(bond.clean for bond in drawn) < 10
    assert max(bond.clean for bond in drawn) > 170


def test_accrued_interest_is_quantlibs(drawn, arrays):
    terms, on, _ = arrays
    theirs = [bond.quantlib.accruedAmount(quantlib_date(bond.on)) for bond in drawn]
    assert _distance(accrued_interest(terms, on), theirs) < 1e-12


@pytest.mark.slow
def test_yield_and_its_derivatives_are_quantlibs(arrays, ytm, quantlib):
    terms, on, _ = arrays
    assert np.isnan(ytm).sum() < 3  # a price a 30/360 day count of nought before maturity
    assert _distance(ytm, quantlib[:, 0]) < TOLERANCE
    assert _distance(modified_duration(terms, on, ytm), quantlib[:, 1]) < TOLERANCE
    assert _distance(convexity(terms, on, ytm), quantlib[:, 2]) < TOLERANCE
    assert _distance(effective_duration(terms, on, ytm), quantlib[:, 3]) < TOLERANCE


def test_quantlib_itself_answers_for_nearly_every_bond(drawn):
    composed = [bond for bond in drawn if bond.unequal_thirty]
    assert 0 < len(composed) < 0.05 * len(drawn)
    for bond in composed:
        # The reason: a period into the end of February, or out of one, has not 360 / frequency days.
        assert any(day.month() == 2 and day.dayOfMonth() >= 28 for day in bond.schedule)
        assert bond.maturity.day > 28 or bond.month_end


def test_coupons_are_quantlibs_amounts(drawn, arrays):
    terms, _, _ = arrays
    rng = np.random.default_rng(2)
    paying = [row for row, bond in enumerate(drawn[:600]) if bond.frequency and not bond.unequal_thirty]
    after, through, theirs = [], [], []
    for row in paying:
        bond = drawn[row]
        days = (bond.maturity - bond.dated).days
        first, last = sorted(int(k) for k in rng.integers(-20, days + 20, 2))
        after.append(bond.dated + timedelta(first))
        through.append(bond.dated + timedelta(last))
        flows = [ql.as_fixed_rate_coupon(flow) for flow in bond.quantlib.cashflows()]
        inside = [f for f in flows if f and quantlib_date(after[-1]) < f.date() <= quantlib_date(through[-1])]
        theirs.append(sum(flow.amount() for flow in inside))
    ours = coupons_paid(terms[paying], np.array(after, "datetime64[D]"), np.array(through, "datetime64[D]"))
    assert _distance(ours, theirs) < 1e-11


def test_zero_coupon_yield_is_quantlibs_for_a_zero_coupon_bond():
    on, maturity = ql.Date(10, 3, 2009), ql.Date(24, 11, 2031)
    peer = ql.ZeroCouponBond(0, ql.NullCalendar(), 100.0, maturity, ql.Unadjusted, 100.0, ql.Date(24, 11, 2001))
    ql.Settings.instance().evaluationDate = on
    price = ql.BondPrice(31.5, ql.BondPrice.Clean)
    theirs = 100 * peer.bondYield(
        price, ql.Thirty360(ql.Thirty360.BondBasis), ql.Compounded, ql.Semiannual, on, 1e-14, 1000
    )
    terms = _terms(maturity="2031-11-24", dated="2001-11-24", frequency=0, coupon=0.0)
    ours = yield_to_maturity(terms, _dates("2009-03-10"), np.array([31.5]))
    assert ours.tolist() == pytest.approx([theirs], abs=1e-11)
    assert accrued_interest(terms, _dates("2009-03-10")).tolist() == [0.0]
    assert coupons_paid(terms, _dates("2009-03-10"), _dates("2032-01-01")).tolist() == [0.0]


def test_the_market_pays_equal_coupons_where_quantlib_counts_days():
    dates = [ql.Date(31, 8, 2011), ql.Date(29, 2, 2012), ql.Date(31, 8, 2012), ql.Date(28, 2, 2013)]
    schedule = ql.Schedule(dates, ql.NullCalendar(), ql.Unadjusted)
    rule = ql.Thirty360(ql.Thirty360.BondBasis)
    theirs = [flow.amount() for flow in ql.FixedRateBond(0, 100.0, schedule, [0.06], rule).cashflows()][:3]
    assert theirs == pytest.approx([6 * 179 / 360, 6 * 182 / 360, 6 * 178 / 360], abs=1e-12)
    terms = _terms(maturity="2013-02-28", dated="2011-08-31")[[0, 0, 0]]
    through = _dates("2012-02-29", "2012-08-31", "2013-02-28")
    ours = coupons_paid(terms, _dates("2011-08-31", "2012-02-29", "2012-08-31"), through)
    assert ours.tolist() == [3.0, 3.0, 3.0]
    # Interest accrues up to the coupon: 177 and 180 days of 30/360 on the day before.
    accrued = accrued_interest(terms, through - np.timedelta64(1, "D"))
    assert accrued.tolist() == pytest.approx([6 * 178 / 360, 3.0, 6 * 177 / 360], abs=1e-14)


def test_the_examples_of_excels_manual():
    # YIELD: 15 February 2008 to 15 November 2016, 5.75%, at 95.04287, 30/360 -> 6.5%.
    terms = _terms(maturity="2016-11-15", dated="2006-11-15", coupon=5.75)
    ytm = yield_to_maturity(terms, _dates("2008-02-15"), np.array([95.04287]))
    assert ytm.tolist() == pytest.approx([6.5], abs=1e-5)
    # DURATION: 1 July 2018 to 1 January 2048, 8%, yield 9%, actual -> 10.9191453 before division by 1 + y/2.
    terms = _terms(maturity="2048-01-01", dated="2018-01-01", coupon=8.0, day_count="ACT/ACT")
    duration = modified_duration(terms, _dates("2018-07-01"), np.array([9.0])) * 1.045
    assert duration.tolist() == pytest.approx([10.9191453], abs=1e-7)
    # MDURATION: 1 January 2008 to 1 January 2016, 8%, yield 9%, actual -> 5.73567.
    terms = _terms(maturity="2016-01-01", dated="2006-01-01", coupon=8.0, day_count="ACT/ACT")
    assert modified_duration(terms, _dates("2008-01-01"), np.array([9.0])).tolist() == pytest.approx(
        [5.73567], abs=1e-5
    )


def test_by_hand():
    # One year and a half to go, half a period in: w = 1/2.
    terms = _terms(maturity="2012-11-15", dated="2008-11-15", coupon=6.0)
    on, y = _dates("2011-08-15"), np.array([8.0])
    v = 1 / 1.04
    value = (3 + 3 * v + 103 * v**2) * v**0.5
    times = [(0.5, 3.0), (1.5, 3.0), (2.5, 103.0)]
    slope = sum(t / 2 * c * v**t for t, c in times) * v / value
    curve = sum(t * (t + 1) / 4 * c * v ** (t + 2) for t, c in times) / value
    assert accrued_interest(terms, on).tolist() == [1.5]
    assert dirty_price(terms, on, y).tolist() == pytest.approx([value], abs=1e-12)
    assert yield_to_maturity(terms, on, np.array([value - 1.5])).tolist() == pytest.approx([8.0], abs=1e-12)
    assert modified_duration(terms, on, y).tolist() == pytest.approx([slope], abs=1e-13)
    assert convexity(terms, on, y).tolist() == pytest.approx([curve], abs=1e-12)


@pytest.mark.parametrize(
    ("day_count", "first_half", "second_half"),
    [
        ("30/360", 3.0, 3.0),
        ("ACT/ACT", 3.0, 3.0),
        ("ACT/360", 6 * 181 / 360, 6 * 184 / 360),
        ("ACT/365", 6 * 181 / 365, 6 * 184 / 365),
    ],
)
def test_coupons_and_accrual_by_day_count(day_count, first_half, second_half):
    terms = _terms(maturity="2012-11-15", dated="2008-11-15", day_count=day_count)
    november, may, autumn = _dates("2010-11-15"), _dates("2011-05-15"), _dates("2011-11-15")
    assert coupons_paid(terms, november, may).tolist() == pytest.approx([first_half], abs=1e-14)
    assert coupons_paid(terms, may, autumn).tolist() == pytest.approx([second_half], abs=1e-14)
    assert coupons_paid(terms, november, autumn).tolist() == pytest.approx([first_half + second_half], abs=1e-14)
    assert coupons_paid(terms, may, autumn - 1).tolist() == [0.0]
    assert accrued_interest(terms, may).tolist() == [0.0]
    assert accrued_interest(terms, may + 92).tolist() == pytest.approx(
        [{"30/360": 1.5, "ACT/ACT": 1.5, "ACT/360": 6 * 92 / 360, "ACT/365": 6 * 92 / 365}[day_count]], abs=1e-14
    )


def test_around_the_first_and_the_last_day():
    terms = _terms(maturity="2012-11-15", dated="2011-03-01", first="2011-11-15")
    three = terms[[0, 0, 0]]
    # Bought before interest accrues: as on the dated date.
    early = _dates("2011-01-10", "2011-03-01", "2012-11-15")
    assert _distance(accrued_interest(three, early), [0.0, 0.0, np.nan]) == 0.0
    ytm = yield_to_maturity(three, early, np.full(3, 98.0))
    assert ytm[0] == ytm[1]
    assert np.isnan(ytm[2])  # matured
    for after, through, paid in (
        ("2011-01-01", "2011-11-14", 0.0),
        ("2011-01-01", "2011-11-15", 6.0 * 254 / 360),
        ("2012-11-14", "2012-11-15", 3.0),
        ("2012-11-15", "2013-11-15", 0.0),
        ("2011-01-01", "2099-01-01", 6.0 * 254 / 360 + 6.0),
    ):
        assert coupons_paid(terms, _dates(after), _dates(through)).tolist() == pytest.approx([paid], abs=1e-14)
    with pytest.raises(ValueError, match=r"1 rows, the first 0 \(2012-01-02 to 2012-01-01\)"):
        coupons_paid(terms, _dates("2012-01-02"), _dates("2012-01-01"))


def test_missing_inputs_stay_missing():
    terms = _terms(maturity="2012-11-15", dated="2008-11-15")
    nowhere, on = _dates("NaT"), _dates("2011-08-15")
    price = np.array([99.0])
    assert np.isnan(accrued_interest(terms, nowhere)).all()
    assert np.isnan(coupons_paid(terms, nowhere, on)).all()
    assert np.isnan(coupons_paid(terms, on, nowhere)).all()
    assert np.isnan(yield_to_maturity(terms, nowhere, price)).all()
    for bad in (np.nan, np.inf, -5.0):
        assert np.isnan(yield_to_maturity(terms, on, np.array([bad]))).all()
    for measure in (dirty_price, modified_duration, convexity, effective_duration):
        assert np.isnan(measure(terms, nowhere, np.array([5.0]))).all()
        assert np.isnan(measure(terms, on, np.array([np.nan]))).all()
        assert np.isnan(measure(terms, on, np.array([-200.0]))).all()
    unknown = BondTerms(
        coupon=terms.coupon,
        frequency=terms.frequency,
        dated=terms.dated,
        first_coupon=terms.first_coupon,
        maturity=terms.maturity,
        day_count=np.array([MISSING]),
    )
    assert np.isnan(yield_to_maturity(unknown, on, price)).all()


def test_no_yield_where_none_exists():
    # 30 to 31 July is no day of 30/360: what is paid on the 31st is paid at once.
    terms = _terms(maturity="2015-07-31", dated="2005-07-31", coupon=6.0)
    at_once = _dates("2015-07-30")
    assert np.isnan(yield_to_maturity(terms, at_once, np.array([99.0]))).all()
    assert dirty_price(terms, at_once, np.array([7.0])).tolist() == [103.0]
    earlier = _dates("2014-07-30")
    assert np.isnan(yield_of_dirty_price(terms, earlier, np.array([2.999]))).all()
    high = yield_of_dirty_price(terms, earlier, np.array([3.001]))
    assert dirty_price(terms, earlier, high).tolist() == pytest.approx([3.001], abs=1e-12)


MEASURES = (
    lambda terms, on, clean, ytm: accrued_interest(terms, on),
    lambda terms, on, clean, ytm: coupons_paid(terms, on, on + 200),
    lambda terms, on, clean, ytm: yield_to_maturity(terms, on, clean),
    lambda terms, on, clean, ytm: dirty_price(terms, on, ytm),
    lambda terms, on, clean, ytm: modified_duration(terms, on, ytm),
    lambda terms, on, clean, ytm: convexity(terms, on, ytm),
    lambda terms, on, clean, ytm: effective_duration(terms, on, ytm),
)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_bond_does_not_see_the_others(arrays, ytm, measure, monkeypatch):
    terms, on, clean = arrays
    together = measure(terms, on, clean, ytm)
    rng = np.random.default_rng(4)
    for row in rng.choice(len(terms), 60, replace=False).tolist():
        alone = measure(terms[[row]], on[[row]], clean[[row]], ytm[[row]])
        assert alone.tobytes() == together[[row]].tobytes()
    for size in (2, 3, 5, 7, 13, 64, 501):
        rows = rng.choice(len(terms), size)
        some = measure(terms[rows], on[rows], clean[rows], ytm[rows])
        assert some.tobytes() == together[rows].tobytes()
    monkeypatch.setattr("pipeline.bonds.coupon_calendar.TABLE_CELLS", 700)
    assert measure(terms, on, clean, ytm).tobytes() == together.tobytes()


def test_newton_needs_few_steps(arrays, ytm, monkeypatch):
    monkeypatch.setattr(bond_math, "MAX_STEPS", 9)
    assert yield_to_maturity(*arrays).tobytes() == ytm.tobytes()


SIZE = 40
"""Bonds in one example."""


def _many(elements):
    return arrays_of(np.int64, SIZE, elements=elements)


@st.composite
def bonds(draw, *, with_coupons=False):
    """Terms of many bonds, and a day in the life of each."""
    maturity = np.datetime64("2000-01-01") + draw(_many(st.integers(0, 15000)))
    life = draw(_many(st.integers(30, 11000)))
    dated = maturity - life
    frequency = draw(_many(st.sampled_from([1, 2, 4, 12] if with_coupons else [0, 1, 2, 4, 12])))
    first = dated + draw(_many(st.integers(1, 600)))
    coupon = draw(_many(st.integers(0, 15000))) / 1000.0
    return BondTerms(
        coupon=np.where(frequency > 0, coupon, 0.0),
        frequency=frequency,
        dated=dated,
        first_coupon=np.where(draw(_many(st.booleans())) > 0, first, np.datetime64("NaT", "D")),
        maturity=maturity,
        day_count=draw(_many(st.sampled_from(sorted(CODES.values())))),
    ), dated + draw(_many(st.integers(0, 20000))) % life


YIELDS = _many(st.integers(-300, 6000)).map(lambda hundredths: hundredths / 100.0)
LAW = settings(max_examples=15)


def _close(left, right, *, rel=0.0, absolute=0.0):
    return (np.abs(left - right) <= absolute + rel * np.abs(right)).all()


@LAW
@given(bonds(), YIELDS)
def test_price_and_yield_undo_each_other(bond, y):
    terms, on = bond
    price = dirty_price(terms, on, y)
    again = yield_of_dirty_price(terms, on, price)
    at_once = np.isnan(again)
    assert (price[at_once] == dirty_price(terms, on, y + 1.0)[at_once]).all()  # whatever the yield
    rows = np.flatnonzero(~at_once)
    assert _close(dirty_price(terms, on, again)[rows], price[rows], rel=1e-12)
    clean = price - accrued_interest(terms, on)
    assert _close(yield_to_maturity(terms, on, clean)[rows], again[rows], rel=1e-9, absolute=1e-8)


@LAW
@given(bonds(), YIELDS, st.floats(0.01, 1.0))
def test_price_falls_in_the_yield_and_is_convex(bond, y, step):
    terms, on = bond
    low, mid, high = (dirty_price(terms, on, y + k * step) for k in (-1, 0, 1))
    slope = modified_duration(terms, on, y)
    rows = np.flatnonzero(slope > 0.05)
    assert ((low > mid) & (mid > high))[rows].all()
    assert (low - mid > mid - high)[rows].all()
    tangent = mid * slope * step / 100
    assert ((low > mid + tangent) & (high > mid - tangent))[rows].all()


@LAW
@given(bonds(), YIELDS)
def test_durations_are_the_slope_and_the_curve_of_the_price(bond, y):
    terms, on = bond
    step = 1e-3
    low, mid, high = (dirty_price(terms, on, y + k * step) for k in (-1, 0, 1))
    duration, curve = modified_duration(terms, on, y), convexity(terms, on, y)
    assert _close(duration, (low - high) / (2 * step / 100) / mid, rel=1e-6, absolute=1e-7)
    effective = effective_duration(terms, on, y)
    assert (effective >= duration * (1 - 1e-9)).all()
    assert _close(effective, duration, rel=5e-3, absolute=1e-9)
    assert (curve >= duration * duration * (1 - 1e-9)).all()  # the spread of the times is not negative


@LAW
@given(bonds(), _many(st.integers(0, 4000)), _many(st.integers(0, 4000)))
def test_coupons_add_up(bond, first, second):
    terms, on = bond
    middle, last = on + np.minimum(first, second), on + np.maximum(first, second)
    whole = coupons_paid(terms, on, last)
    parts = coupons_paid(terms, on, middle) + coupons_paid(terms, middle, last)
    assert _close(whole, parts, absolute=1e-10)
    assert (whole >= 0.0).all()


@LAW
@given(bonds(with_coupons=True))
def test_coupons_over_life(bond):
    terms, _ = bond
    calendar = CouponCalendar(terms)
    whole = coupons_paid(terms, terms.dated, terms.maturity)
    years = (terms.maturity - terms.dated).astype(int) / 365.25
    assert _close(whole, terms.coupon * years, rel=0.02, absolute=0.9)
    level = np.isin(terms.day_count, [CODES["30/360"], CODES["ACT/ACT"]])
    first = coupons_paid(terms, terms.dated, calendar.date(calendar.coupons - 1))
    regular = terms.coupon / terms.frequency * (calendar.coupons - 1)
    assert _close(whole[level], (first + regular)[level], rel=1e-13)


@LAW
@given(bonds(with_coupons=True))
def test_accrued_interest_grows_up_to_the_coupon(bond):
    terms, on = bond
    accrued = accrued_interest(terms, on)
    assert (accrued >= 0.0).all()
    calendar = CouponCalendar(terms)
    coming = calendar.date(np.minimum(calendar.left(on), calendar.coupons) - 1)
    assert (accrued <= coupons_paid(terms, on, coming) * (1 + 1e-12)).all()
    before_maturity = coming < terms.maturity
    assert (accrued_interest(terms, coming)[before_maturity] == 0.0).all()
    same_period = on + 1 < coming
    assert (accrued_interest(terms, on + 1) >= accrued * (1 - 1e-14))[same_period].all()
