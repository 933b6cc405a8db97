"""What is true of the bonds and in no vendor table: their issuers, month-end prices and returns.

Nothing in a panel or a model may read these tables.
"""

import numpy as np
import polars as pl

from pipeline.simulation.bond_coupons import accrued_interest
from pipeline.simulation.bond_sources import first_classes, paid_coupons
from pipeline.simulation.bond_terms import BondEvents, BondTerms, bond_events, bond_terms
from pipeline.simulation.economy import Economy
from pipeline.simulation.fisd import amount_rows
from pipeline.simulation.fisd_names import issuer_names
from pipeline.simulation.listings import gvkey


def bond_truth(economy: Economy) -> dict[str, pl.DataFrame]:
    """Collect the truth about the bonds.

    Parameters
    ----------
    economy : Economy
        The market as drawn.

    Returns
    -------
    dict of str to DataFrame
        bond_issuers : one row an issue of FISD: cusip (eight characters), issue_id, in_index, issuer (position among
        the firms), permco, permno (of the first class; null where there never is a stock), gvkey, kind (of name, see
        `fisd_names.KINDS`), spelling, matchable (whether the name leads to this stock and to no other), delisted (month
        in which the stock leaves; null while it trades).
        bond_month_prices : one row a bond of the index and month, from its first month to the one at whose end it
        leaves: month, cusip (eight characters), date (last session), price (clean), accrued_interest (at `date`, 0 from
        a default to its reinstatement), coupon_paid (in the sessions since the month before), all per 100, ret (from
        month end to month end, decimals; null in the first month), amount_outstanding (thousands, at the calendar month
        end).
    """
    terms = bond_terms(economy)
    events = bond_events(economy, terms)
    return {
        "bond_issuers": _issuers(economy, terms),
        "bond_month_prices": _month_prices(economy, terms, events),
    }


def _issuers(economy: Economy, terms: BondTerms) -> pl.DataFrame:
    """Issuers and the kinds of their names."""
    names, listings, clock = issuer_names(economy, terms), economy.listings, economy.clock
    security = first_classes(economy)[terms.issuer]
    listed = pl.Series(security >= 0)
    gone = pl.Series(clock.months[clock.month_of_session[listings.delisted[security]]].astype("datetime64[D]"))
    return pl.DataFrame(
        {
            "cusip": [nine[:8] for nine in terms.cusips],
            "issue_id": terms.issue_id,
            "in_index": terms.kind == "index",
            "issuer": terms.issuer,
            "permco": pl.Series(listings.permco[security]).set(~listed, None),
            "permno": pl.Series(listings.permno[security]).set(~listed, None),
            "gvkey": [gvkey(firm) for firm in terms.issuer.tolist()],
            "kind": names.kind,
            "spelling": names.spelling,
            "matchable": names.matchable,
            "delisted": gone.set(~listed | pl.Series(listings.active[security]), None),
        }
    ).sort("issue_id")


def _month_prices(economy: Economy, terms: BondTerms, events: BondEvents) -> pl.DataFrame:
    """Month-end prices and what a holder earns between them."""
    clock, prices = economy.clock, economy.bonds.lives.prices
    month, bond = np.nonzero(~np.isnan(prices))
    day, before = clock.last_sessions[month], clock.last_sessions[np.maximum(month - 1, 0)]
    price, old = prices[month, bond], prices[np.maximum(month - 1, 0), bond]
    interest = np.where(events.flat(bond, day), 0.0, accrued_interest(terms, bond, day))
    old_interest = np.where(events.flat(bond, before), 0.0, accrued_interest(terms, bond, before))
    paid = paid_coupons(terms, events, bond, before, day)
    ret = (price + interest + paid) / (old + old_interest) - 1
    frame = pl.DataFrame(
        {
            "month": clock.months.astype("datetime64[D]")[month],
            "cusip": np.array([nine[:8] for nine in terms.cusips])[bond],
            "issue_id": terms.issue_id[bond],
            "date": day,
            "price": price,
            "accrued_interest": interest,
            "coupon_paid": paid,
            "ret": ret,
            "end": clock.month_ends[month],
        }
    ).with_columns(pl.selectors.float().fill_nan(None))
    amounts = (
        amount_rows(economy, terms, events)
        .group_by("issue_id", "effective_date")
        .agg(pl.col("amount_outstanding").min())
    )
    joined = frame.sort("end").join_asof(
        amounts.sort("effective_date"), left_on="end", right_on="effective_date", by="issue_id", check_sortedness=False
    )
    return joined.drop("issue_id", "end", "effective_date").sort("month", "cusip")
