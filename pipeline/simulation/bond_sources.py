"""The other sources of month-end prices, recoveries of failed bonds, and the ready-made link of bonds to stocks.

Each vendor has some of the bonds, its own noise and its own days: month ends by the calendar, or the last deal of the
month. Interest and coupons are the vendor's own where it gives them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.simulation.bond_coupons import accrued_interest, coupons
from pipeline.simulation.bond_terms import BondEvents, BondTerms, Days, bond_events, bond_terms
from pipeline.simulation.economy import Economy
from pipeline.simulation.paths import Array, stream

NOISE = 0.0005
"""Standard deviation of a vendor's price around the true one, as a share of it."""

GAP = 0.1
"""Share of a vendor's rows without its own interest and coupon."""

RECOVERIES, LINKED = 0.6, 0.9
"""Share of the failed bonds with a recovery price, and of the bonds of listed issuers in the ready-made link."""


@dataclass(frozen=True)
class Source:
    """What a vendor covers.

    Parameters
    ----------
    name : str
        Table.
    bonds, rows : float
        Share of the bonds that it has, and of their months.
    first, last : float
        Where in the index's months its own begin and end, 0 and 1 being the ends.
    by_deal : bool
        Dated by the last deal, on any session of the month, and without interest; else by the last calendar day.
    characters : int
        Length of its CUSIPs.
    """

    name: str
    bonds: float
    rows: float
    first: float
    last: float
    by_deal: bool
    characters: int


SOURCES = (
    Source("bonds.lehman", 0.45, 0.95, 0.0, 1 / 3, False, 8),
    Source("bonds.mergent", 0.30, 0.50, 0.0, 1.0, True, 9),
    Source("bonds.datastream", 0.25, 0.95, 1 / 3, 1.0, False, 9),
)


def bond_source_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Write the tables of the other price sources.

    Parameters
    ----------
    economy : Economy
        Where the bonds live.

    Returns
    -------
    Mapping of str to DataFrame
        bonds.lehman (the oldest third of the index's months), bonds.mergent, bonds.datastream : cusip, date, price
        (clean, per 100), accrued_interest, coupon_paid (in the calendar month), both per 100, 0 from a default on, null
        where the vendor has none.
        bonds.recovery : cusip, default_date, recovery_price (per 100).
    """
    terms = bond_terms(economy)
    events = bond_events(economy, terms)
    tables = {source.name: _prices(source, economy, terms, events) for source in SOURCES}
    return {**tables, "bonds.recovery": _recoveries(economy, terms, events)}


def bond_link_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Write the ready-made link of bonds to stocks, which a market has on request only.

    Parameters
    ----------
    economy : Economy
        Where bonds and stocks live.

    Returns
    -------
    Mapping of str to DataFrame
        wrdsapps.bondcrsp_link : cusip (nine characters), link_startdt, permno, permco, link_enddt (null while it
        lasts).
    """
    rng = stream(economy.seed, "bond links")
    terms, listings, days = bond_terms(economy), economy.listings, economy.clock.sessions
    events = bond_events(economy, terms)
    security = first_classes(economy)[terms.issuer[: terms.n_index]]
    bond = np.flatnonzero((security >= 0) & (rng.random(terms.n_index) < LINKED))
    s = security[bond]
    delisted = np.where(listings.active[s], np.datetime64("NaT"), days[listings.delisted[s]])
    end = np.fmin(events.left[bond], delisted)
    start = np.maximum(terms.offered[bond], days[listings.first[s]])
    frame = pl.DataFrame(
        {
            "cusip": [terms.cusips[i] for i in bond.tolist()],
            "link_startdt": start,
            "permno": listings.permno[s],
            "permco": listings.permco[s],
            "link_enddt": np.where(end > days[-1], np.datetime64("NaT"), end),
        }
    )
    return {"wrdsapps.bondcrsp_link": frame.filter(pl.Series(start < end)).sort("cusip", "link_startdt")}


def first_classes(economy: Economy) -> NDArray[np.intp]:
    """Position of every firm's first class among the securities, -1 without one; shape (I,)."""
    listings = economy.listings
    security = np.full(len(economy.firms.names), -1)
    first = np.flatnonzero(~listings.second)
    security[listings.firm[first]] = first
    return security


def _prices(source: Source, economy: Economy, terms: BondTerms, events: BondEvents) -> pl.DataFrame:
    """Prices of one vendor."""
    rng = stream(economy.seed, source.name)
    clock, prices = economy.clock, economy.bonds.lives.prices
    span = np.round(np.array([source.first, source.last]) * economy.size.months).astype(np.intp)
    covered = np.zeros(prices.shape, bool)
    covered[clock.first_snapshot + span[0] : clock.first_snapshot + span[1]] = True
    covered &= ~np.isnan(prices) & (rng.random(terms.n_index) < source.bonds) & (rng.random(prices.shape) < source.rows)
    month, bond = np.nonzero(covered)
    share = rng.random(len(month)) if source.by_deal else np.ones(len(month))
    day, price = _on(economy, month, bond, share, by_deal=source.by_deal)
    noisy = np.round(price * (1 + NOISE * rng.standard_normal(len(price))), 4)
    flat = events.flat(bond, day)
    interest = np.where(flat, 0.0, accrued_interest(terms, bond, day))
    paid = paid_coupons(terms, events, bond, clock.months[month].astype("datetime64[D]") - 1, clock.month_ends[month])
    given = (rng.random(len(month)) >= GAP) & (not source.by_deal)
    return pl.DataFrame(
        {
            "cusip": np.array([nine[: source.characters] for nine in terms.cusips])[bond],
            "date": day,
            "price": noisy,
            "accrued_interest": pl.Series(np.where(given, np.round(interest, 6), np.nan)).fill_nan(None),
            "coupon_paid": pl.Series(np.where(given, np.round(paid, 6), np.nan)).fill_nan(None),
        }
    ).sort("cusip", "date")


def paid_coupons(
    terms: BondTerms, events: BondEvents, bond: NDArray[np.intp], after: Days, through: Days
) -> np.ndarray:
    """Coupons that bonds of `Issues` pay in (after, through]: none from a default in earnest on."""
    failed = np.where(np.isnat(events.reinstated), events.default, np.datetime64("NaT"))[bond]
    return coupons(terms, bond, after, np.fmax(np.fmin(through, failed - 1), after))


def _on(
    economy: Economy, month: NDArray[np.intp], bond: NDArray[np.intp], share: Array, *, by_deal: bool
) -> tuple[Days, Array]:
    """Days and prices: at the calendar month end, or on a session a share of the way through the month."""
    clock, prices = economy.clock, economy.bonds.lives.prices
    after = prices[month, bond]
    if not by_deal:
        return clock.month_ends[month], after
    sessions = np.diff(clock.starts)[month]
    # Most of the last deals of a month are done near its end.
    place = np.floor(np.sqrt(np.sqrt(share)) * sessions).astype(np.intp)
    before = prices[np.maximum(month - 1, 0), bond]
    way = (place + 1) / sessions
    between = np.exp(way * np.log(after) + (1 - way) * np.log(before))
    return clock.sessions[clock.starts[month] + place], np.where(np.isnan(before), after, between)


def _recoveries(economy: Economy, terms: BondTerms, events: BondEvents) -> pl.DataFrame:
    """Recovery prices of bonds that failed in earnest: what they are worth at the end of the month."""
    rng = stream(economy.seed, "recoveries")
    lives = economy.bonds.lives
    failed = lives.default < economy.clock.n
    failed &= rng.random(terms.n_index) < RECOVERIES
    bond = np.flatnonzero(failed)
    return pl.DataFrame(
        {
            "cusip": [terms.cusips[i] for i in bond.tolist()],
            "default_date": events.default[bond],
            "recovery_price": np.round(lives.prices[lives.default[bond], bond], 2),
        },
        schema_overrides={"cusip": pl.String},
    ).sort("cusip")
