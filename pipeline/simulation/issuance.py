"""Terms of every bond that the economy ever issues: issuer, dates, coupon, face amount, identifiers.

Terms are set once, from the curve and the issuer's rating in the month of issue; how a bond then fares is in `bonds`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.bond_math import price
from pipeline.simulation.clock import Clock
from pipeline.simulation.curve import zero_yields
from pipeline.simulation.firms import Firms
from pipeline.simulation.identifiers import bond_cusip, domestic_isin, foreign_isin
from pipeline.simulation.macro import MacroStates
from pipeline.simulation.paths import Array, stream
from pipeline.simulation.sizes import MarketSize

TENORS = np.array([3, 5, 7, 10, 20, 30])
ZERO_COUPON = 0.004
TENOR_SHARES = np.array([0.03, 0.14, 0.14, 0.40, 0.07, 0.22])


@dataclass(frozen=True)
class Issues:
    """Terms, one entry a bond in the order of entry; arrays of shape (B,).

    Parameters
    ----------
    issuer : ndarray of int
        Position of the issuer among the firms.
    entry : ndarray of int
        Month index at whose end the bond is first in the index.
    offered : ndarray of datetime64[D]
        Day of issue, a whole number of years before the maturity; before the clock where the bond is seasoned.
    maturity : ndarray of datetime64[D]
        Maturity date.
    years : ndarray
        Years to maturity at entry.
    coupon : ndarray
        Annual coupon, percent.
    par : ndarray
        Amount outstanding, thousands.
    price : ndarray
        Clean price at entry per 100 of face.
    cusips, isins : list of str
        Nine-character CUSIPs and ISINs.
    """

    issuer: NDArray[np.intp]
    entry: NDArray[np.intp]
    offered: NDArray[np.datetime64]
    maturity: NDArray[np.datetime64]
    years: Array
    coupon: Array
    par: Array
    price: Array
    cusips: list[str]
    isins: list[str]

    @property
    def n(self) -> int:
        """Number of bonds, B."""
        return len(self.issuer)


def simulate_issuance(clock: Clock, size: MarketSize, firms: Firms, states: MacroStates, seed: int) -> Issues:
    """Draw the bonds of a market.

    Seasoned bonds fill the first snapshot; the others enter evenly over the later months.

    Parameters
    ----------
    clock : Clock
        Months of the market.
    size : MarketSize
        Number of bonds.
    firms : Firms
        Possible issuers; larger ones issue more often.
    states : MacroStates
        Curve in the month of issue.
    seed : int
        Seed of the market.

    Returns
    -------
    Issues
    """
    rng = stream(seed, "issuance")
    n, seasoned = size.bonds, round(0.88 * size.alive)
    later = np.linspace(clock.first_snapshot + 1, clock.n, n - seasoned, endpoint=False).astype(np.intp)
    entry = np.concatenate([np.full(seasoned, clock.first_snapshot), later])
    weight = firms.debt[clock.first_snapshot, : size.issuers] ** 0.35
    issuer = rng.choice(size.issuers, size=n, p=weight / weight.sum())
    tenor = rng.choice(TENORS, size=n, p=TENOR_SHARES)
    age = np.where(np.arange(n) < seasoned, np.floor(rng.random(n) * (12 * tenor - 18)), 0).astype(np.intp)
    issue_month = clock.months[entry] - age
    day = np.where(rng.random(n) < 0.5, 0, 14)
    maturity = (issue_month + 12 * tenor).astype("datetime64[D]") + day
    years = (maturity - clock.month_ends[entry]).astype(float) / 365.25
    at_issue = _yields(np.maximum(entry - age, 0), tenor.astype(float), issuer, firms, states)
    coupon = np.clip(np.round(8 * (at_issue + 0.2 * rng.standard_normal(n))) / 8, 0.5, 14.0)
    coupon[rng.random(n) < ZERO_COUPON] = 0.0
    cusips = _cusips(issuer, firms.codes)
    foreign = rng.random(n) < 0.012
    numbers = rng.choice(900_000_000, size=n, replace=False) + 10_000_000
    return Issues(
        issuer=issuer,
        entry=entry,
        offered=issue_month.astype("datetime64[D]") + day,
        maturity=maturity,
        years=years,
        coupon=coupon,
        par=np.round(np.exp(rng.normal(np.log(600.0), 0.55, n)) / 50).clip(5) * 50_000.0,
        price=np.round(price(coupon, years, _yields(entry, years, issuer, firms, states)).clip(30, 160), 3),
        cusips=cusips,
        isins=[
            foreign_isin(number) if abroad else domestic_isin(nine)
            for nine, abroad, number in zip(cusips, foreign.tolist(), numbers.tolist(), strict=True)
        ],
    )


def _yields(
    month: NDArray[np.intp], years: Array, issuer: NDArray[np.intp], firms: Firms, states: MacroStates
) -> Array:
    """Return yields in percent of bonds of the given issuers, by the curve and the rating of each one's month."""
    curve = zero_yields(states.level[month], states.slope[month], states.curvature[month], years)
    return curve + 1.2 * np.exp(0.19 * (firms.rating[month, issuer] - 8))


def _cusips(issuer: NDArray[np.intp], codes: list[str]) -> list[str]:
    """CUSIPs, issue codes counted up within each issuer."""
    issued: dict[int, int] = {}
    cusips = []
    for firm in issuer.tolist():
        issued[firm] = issued.get(firm, -1) + 1
        cusips.append(bond_cusip(codes[firm], issued[firm]))
    return cusips
