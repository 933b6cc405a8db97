from __future__ import annotations

import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq

from pipeline.bonds.bond_math import dirty_price, yield_to_maturity
from pipeline.bonds.coupon_calendar import BondTerms
from pipeline.bonds.credit_spread import credit_spread, curve_price
from pipeline.bonds.day_count import CODES
from tests.bonds.quantlib_bonds import as_arrays, draw_bonds, quantlib_date


def _dates(*texts):
    return np.array(texts, "datetime64[D]")


def _annual(maturity, coupon=5.0):
    """A bond with annual coupons on 15 June."""
    return BondTerms(
        coupon=np.array([coupon]),
        frequency=np.array([1]),
        dated=_dates("2005-06-15"),
        first_coupon=_dates("NaT"),
        maturity=_dates(maturity),
        day_count=np.array([CODES["ACT/ACT"]]),
    )


def _curve(**months):
    """Zero yields by month, given as lists."""
    years = len(next(iter(months.values())))
    return pl.DataFrame(
        [[date.fromisoformat(f"{month[1:]}-01".replace("_", "-")), *zeros] for month, zeros in months.items()],
        schema={"month": pl.Date} | {f"zero_{n}": pl.Float64 for n in range(1, years + 1)},
        orient="row",
    )


def test_by_hand():
    curve = _curve(m2011_06=[1.0, 2.0, 4.0], m2011_05=[9.0, 9.0, 9.0])
    bond, on = _annual("2014-06-15"), _dates("2011-06-15")
    price = 5 * math.exp(-0.01) + 5 * math.exp(-2 * 0.02) + 105 * math.exp(-3 * 0.04)
    assert curve_price(bond, on, curve).tolist() == pytest.approx([price], abs=1e-12)
    treasury = 100 * brentq(lambda y: 5 / (1 + y) + 5 / (1 + y) ** 2 + 105 / (1 + y) ** 3 - price, 0, 1, xtol=1e-14)
    own = 100 * brentq(lambda y: 5 / (1 + y) + 5 / (1 + y) ** 2 + 105 / (1 + y) ** 3 - 97, 0, 1, xtol=1e-14)
    spread = credit_spread(bond, on, np.array([97.0]), curve)
    assert spread.tolist() == pytest.approx([100 * (own - treasury)], abs=1e-8)


@pytest.mark.parametrize(
    ("maturity", "years", "zero"),
    [
        ("2011-12-15", 0.5, 1.0),
        ("2012-06-15", 1.0, 1.0),
        ("2012-12-15", 1.5, 1.75),
        ("2013-06-15", 2.0, 2.5),
        ("2014-03-15", 2.75, 3.625),
        ("2014-06-15", 3.0, 4.0),
        ("2015-06-15", 4.0, 4.0),
        ("2041-06-15", 30.0, 4.0),
    ],
)
def test_linear_between_the_years_and_flat_beyond(maturity, years, zero):
    single = BondTerms(
        coupon=np.array([0.0]),
        frequency=np.array([0]),
        dated=_dates("2005-06-15"),
        first_coupon=_dates("NaT"),
        maturity=_dates(maturity),
        day_count=np.array([CODES["30/360"]]),
    )
    price = curve_price(single, _dates("2011-06-15"), _curve(m2011_06=[1.0, None, 4.0]))
    assert price.tolist() == pytest.approx([100 * math.exp(-zero / 100 * years)], abs=1e-12)


@pytest.fixture(scope="module")
def drawn():
    return [bond for bond in draw_bonds(250, seed=21) if not bond.unequal_thirty]


@pytest.fixture(scope="module")
def market(drawn):
    terms, on, clean = as_arrays(drawn)
    months = np.unique(on.astype("datetime64[M]"))
    rng = np.random.default_rng(6)
    zeros = 3.0 + np.cumsum(rng.normal(0.1, 0.3, (len(months), 11)), axis=1)
    zeros[rng.random(zeros.shape) < 0.1] = np.nan
    zeros[5] = np.nan
    frame = pl.DataFrame(
        {"month": months.astype("datetime64[D]")} | {f"zero_{n}": zeros[:, n - 1] for n in range(1, 12)}
    ).with_columns(pl.col("^zero_.*$").fill_nan(None))
    return terms, on, clean, frame


def _flows(bond):
    """Times in years and amounts of a bond's cash flows, by QuantLib."""
    on = quantlib_date(bond.on)
    flows = [flow for flow in bond.quantlib.cashflows() if flow.date() > on]
    after = next(day for day in bond.schedule if day > on)
    wait = bond.time.yearFraction(bond.period_start, after) - bond.time.yearFraction(bond.period_start, on)
    number = {day: k for k, day in enumerate(day for day in bond.schedule if day > on)}
    return [(wait + number[flow.date()] / bond.periods, flow.amount()) for flow in flows]


def test_a_loop_over_bonds_and_flows_agrees(drawn, market):
    terms, on, clean, curve = market
    ours = curve_price(terms, on, curve)
    spread = credit_spread(terms, on, clean, curve)
    own_yield = yield_to_maturity(terms, on, clean)
    by_month = {row["month"]: row for row in curve.iter_rows(named=True)}
    compared = 0
    for row, bond in enumerate(drawn):
        zeros = by_month[bond.on.replace(day=1)]
        known = [(n, zeros[f"zero_{n}"]) for n in range(1, 12) if zeros[f"zero_{n}"] is not None]
        if not known:
            assert np.isnan(ours[row])
            assert np.isnan(spread[row])
            continue
        years, values = zip(*known, strict=True)
        price = sum(amount * math.exp(-t * np.interp(t, years, values) / 100) for t, amount in _flows(bond))
        assert ours[row] == pytest.approx(price, abs=1e-10)
        if np.isfinite(own_yield[row]):
            treasury = own_yield[row] - spread[row] / 100
            assert bond.peer.price(treasury) == pytest.approx(price, abs=1e-10)
            compared += 1
    assert compared > 200


def test_off_a_flat_curve_there_is_no_spread(market):
    terms, on, _, curve = market
    flat = curve.with_columns(pl.lit(4.5).alias(f"zero_{n}") for n in range(1, 12))
    periods = np.where(terms.frequency == 0, 2, terms.frequency)
    ytm = 100 * periods * np.expm1(0.045 / periods)
    assert np.nanmax(np.abs(curve_price(terms, on, flat) - dirty_price(terms, on, ytm))) < 1e-11


def test_a_bond_does_not_see_other_bonds_or_months(market):
    terms, on, clean, curve = market
    together = credit_spread(terms, on, clean, curve)
    for row in range(0, len(terms), 17):
        month = on[row].astype("datetime64[M]").astype("datetime64[D]").item()
        alone = credit_spread(terms[[row]], on[[row]], clean[[row]], curve.filter(pl.col("month") == month))
        assert alone.tobytes() == together[[row]].tobytes()
    shuffled = credit_spread(terms, on, clean, curve.sample(fraction=1.0, shuffle=True, seed=1))
    assert shuffled.tobytes() == together.tobytes()
    month = np.datetime64("2015-06", "M")
    other = curve.with_columns(
        pl.when(pl.col("month") > month.astype(date)).then(99.0).otherwise(pl.col(f"zero_{n}")).alias(f"zero_{n}")
        for n in range(1, 12)
    )
    past = on.astype("datetime64[M]") <= month
    assert past.any()
    assert credit_spread(terms, on, clean, other)[past].tobytes() == together[past].tobytes()


def test_no_curve_no_spread():
    on = _dates("2011-05-15", "2011-06-15", "2011-07-15", "2011-08-15", "2011-09-15", "2011-10-15")
    bond, clean = _annual("2014-06-15")[[0] * 6], np.full(6, 97.0)
    curve = _curve(m2011_06=[1.0, 2.0], m2011_08=[None, None], m2011_09=[2.0, 3.0])
    # Before the curve, in a gap of it, without a yield, after it.
    expected = [True, False, True, True, False, True]
    assert np.isnan(credit_spread(bond, on, clean, curve)).tolist() == expected
    assert np.isnan(credit_spread(bond, on, clean, curve.clear())).all()
    assert np.isnan(credit_spread(bond, np.full(6, np.datetime64("NaT", "D")), clean, curve)).all()


def test_bad_curves_are_refused():
    bond, on, clean = _annual("2014-06-15"), _dates("2011-06-15"), np.array([97.0])
    curve = _curve(m2011_06=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"years \[1, 3\]"):
        credit_spread(bond, on, clean, curve.drop("zero_2"))
    with pytest.raises(ValueError, match=r"years \[\]"):
        credit_spread(bond, on, clean, curve.select("month"))
    with pytest.raises(ValueError, match=r"2 rows of months that occur twice, the first 2011-06-01"):
        credit_spread(bond, on, clean, pl.concat([curve, curve]))
