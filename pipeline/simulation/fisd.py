"""FISD of the simulated market: issues, issuers, defaults, ratings, amounts outstanding.

Vendor columns and spellings: flags are Y and N, amounts thousands, coupons percent. What the agencies say follows the
issuer's rating in the economy; what their letters mean is in `SCALES`.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.simulation.bond_terms import BondEvents, BondTerms, Days, bond_events, bond_terms
from pipeline.simulation.economy import Economy
from pipeline.simulation.fisd_names import IssuerNames, issuer_names
from pipeline.simulation.identifiers import SECTORS
from pipeline.simulation.paths import stream

INDUSTRY_GROUPS = {"Industrials": "1", "Financial": "2", "Utility": "3"}
"""FISD's groups by the index's second sector level."""

_LETTERS = ("AA", "A", "BBB", "BB", "B", "CCC")
SCALES: dict[str, tuple[str, ...]] = {
    "SPR": ("AAA", *(f"{letters}{sign}" for letters in _LETTERS for sign in ("+", "", "-")), "CC", "C", "D"),
    "MR": (
        "Aaa", *(f"{letters}{n}" for letters in ("Aa", "A", "Baa", "Ba", "B", "Caa") for n in (1, 2, 3)),
        "Ca", "C", "C",
    ),
    "FR": ("AAA", *(f"{letters}{sign}" for letters in _LETTERS for sign in ("+", "", "-")), "CC", "C", "D"),
}  # fmt: skip
"""Letters of the agencies, best first; position 0 is ordinal 1. Moody's has none for a default."""

ONLY_MOODYS, SPLIT, WITHDRAWN, LATE_SP = 0.08, 0.25, 0.03, 0.02
"""Shares of issues without S&P, with Moody's a notch apart, whose S&P rating is withdrawn, or comes after the issue."""

NO_OFFERING_DATE, NO_ISIN, NO_FIRST_DATE = 0.01, 0.03, 0.01
"""Shares of issues whose row lacks the date, the ISIN, the first interest date."""

PARTIAL, REOPENED = 0.06, 0.05
"""Shares of issues of which a part is called, or more is sold later."""

_OPTION_COLUMNS = ("convertible", "putable", "exchangeable", "asset_backed", "foreign_currency", "perpetual")


def fisd_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Write FISD's tables.

    Parameters
    ----------
    economy : Economy
        Where the bonds live.

    Returns
    -------
    Mapping of str to DataFrame
        fisd.fisd_mergedissue, fisd.fisd_mergedissuer, fisd.fisd_issue_default, fisd.fisd_ratings and
        fisd.fisd_amt_out_hist with the vendor's columns, by issue and date. An issue in default shows the day of its
        reinstatement in the same row; on some days an amount has two rows, of which the smaller holds.
    """
    terms = bond_terms(economy)
    names = issuer_names(economy, terms)
    events = bond_events(economy, terms)
    return {
        "fisd.fisd_mergedissue": _issues(economy, terms, names),
        "fisd.fisd_mergedissuer": _issuers(economy, terms, names),
        "fisd.fisd_issue_default": _defaults(terms, events),
        "fisd.fisd_ratings": rating_rows(economy, terms, events),
        "fisd.fisd_amt_out_hist": amount_rows(economy, terms, events),
    }


def _yes(flag: NDArray[np.bool_]) -> NDArray[np.str_]:
    return np.where(flag, "Y", "N")


def _issues(economy: Economy, terms: BondTerms, names: IssuerNames) -> pl.DataFrame:
    """Terms of every issue."""
    rng = stream(economy.seed, "fisd issues")
    gaps = rng.random((3, terms.n))
    # Interest that accrues from another day would date the row by that one.
    no_offering = (gaps[0] < NO_OFFERING_DATE) & (terms.dated == terms.offered)
    no_offering[np.argmax(terms.dated == terms.offered)] = True
    lost = {
        "offering_date": no_offering,
        "isin": gaps[1] < NO_ISIN,
        "first_interest_date": gaps[2] < NO_FIRST_DATE,
    }
    coupon_type = np.select([terms.has("floating"), terms.frequency == 0], ["V", "Z"], "F")
    frame = pl.DataFrame(
        {
            "issue_id": terms.issue_id, "complete_cusip": terms.cusips, "isin": terms.isins,
            "issuer_id": names.issuer_id, "issuer_cusip": [nine[:6] for nine in terms.cusips],
            "prospectus_issuer_name": names.prospectus, "coupon": terms.coupon, "coupon_type": coupon_type,
            "interest_frequency": terms.frequency.astype(str), "dated_date": terms.dated,
            "first_interest_date": terms.first_coupon, "offering_date": terms.offered, "offering_amt": terms.amount,
            "maturity": terms.maturity, "principal_amt": np.full(terms.n, 1000.0),
            "day_count_basis": terms.day_count, "bond_type": terms.bond_type, "security_level": terms.security_level,
            "redeemable": _yes(terms.redeemable), "rule_144a": _yes(terms.rule_144a),
            "private_placement": _yes(terms.private_placement),
            **{option: _yes(terms.has(option)) for option in _OPTION_COLUMNS},
        }
    )  # fmt: skip
    return frame.with_columns(
        pl.when(pl.Series(~missing)).then(pl.col(name)).alias(name) for name, missing in lost.items()
    ).sort("issue_id")


def _issuers(economy: Economy, terms: BondTerms, names: IssuerNames) -> pl.DataFrame:
    """Issuers as they are called now, each one once."""
    firms = economy.firms
    _, newest = np.unique(names.issuer_id[::-1], return_index=True)
    newest = terms.n - 1 - newest
    firm = terms.issuer[newest]
    group = np.array([INDUSTRY_GROUPS[SECTORS[sector][0]] for sector in firms.sector[firm].tolist()])
    return pl.DataFrame(
        {
            "issuer_id": names.issuer_id[newest],
            "cusip_name": [names.prospectus[i] for i in newest.tolist()],
            "industry_group": np.where(names.finance[newest], INDUSTRY_GROUPS["Financial"], group),
            "country_domicile": np.where(firm % 25 == 0, "CAN", "USA"),
        }
    )


def _defaults(terms: BondTerms, events: BondEvents) -> pl.DataFrame:
    """Defaults, with the day from which each is mended."""
    failed = np.flatnonzero(~np.isnat(events.default))
    return pl.DataFrame(
        {
            "issue_id": terms.issue_id[failed],
            "default_date": events.default[failed],
            "reinstated_date": events.reinstated[failed],
        }
    ).sort("issue_id")


def _lives(economy: Economy, terms: BondTerms, events: BondEvents) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Month of issue (-1 before the clock) and last whole month of every issue; shape (N,) each."""
    clock = economy.clock
    issued = (terms.offered.astype("datetime64[M]") - clock.months[0]).astype(np.intp)
    left = np.concatenate([events.left, terms.maturity[terms.n_index :]])
    gone = (np.where(np.isnat(left), clock.months[-1] + 1, left.astype("datetime64[M]")) - clock.months[0]).astype(int)
    return np.maximum(issued, -1), np.minimum(gone, clock.n) - 1


def rating_rows(economy: Economy, terms: BondTerms, events: BondEvents) -> pl.DataFrame:
    """Write the rating history.

    Parameters
    ----------
    economy : Economy
        The market as drawn; the agencies follow the issuers' ratings.
    terms : BondTerms
        Issues.
    events : BondEvents
        Defaults.

    Returns
    -------
    DataFrame
        issue_id, rating_type (SPR, MR, FR), rating_date, rating: letters, or NR where an agency rates no longer or not
        yet. A change shows in the month in which the economy has it, with Moody's in three of ten cases a month later.
        A bond that fails in earnest is D with S&P and Ca with Moody's from that day.
    """
    rng = stream(economy.seed, "fisd ratings")
    n, clock = terms.n, economy.clock
    traits = rng.random((5, n))
    apart = np.where(traits[0] < SPLIT, np.where(traits[1] < 0.5, -1, 1), 0)
    has = {"SPR": traits[2] >= ONLY_MOODYS, "MR": traits[2] < 0.94, "FR": traits[3] < 0.4}
    place, lag = rng.random((clock.n, len(economy.firms.names))), rng.random((clock.n, len(economy.firms.names))) < 0.3
    failed = np.full(n, np.datetime64("NaT"), dtype="datetime64[D]")
    failed[: terms.n_index] = np.where(np.isnat(events.reinstated), events.default, np.datetime64("NaT"))
    frames = []
    for agency, rated in has.items():
        offset = apart if agency == "MR" else np.zeros(n, dtype=int)
        issue, day, ordinal = _ratings_of(economy, terms, events, place, lag & (agency == "MR"))
        keep = rated[issue] & ~(day >= failed[issue])
        issue, day = issue[keep], day[keep]
        ordinal = np.clip(ordinal[keep] + offset[issue], 1, 20)
        struck = np.flatnonzero(rated & ~np.isnat(failed))
        worst = np.full(len(struck), 20 if agency == "MR" else 22)
        issue, day = np.concatenate([issue, struck]), np.concatenate([day, failed[struck]])
        letters = np.array(SCALES[agency])[np.concatenate([ordinal, worst]) - 1]
        frames.append(_rating_frame(terms, agency, issue, day, letters))
    frames.append(_not_rated(economy, terms, events, has["SPR"], traits[4]))
    withdrawn = frames[-1].filter(pl.col("until").is_null()).select("issue_id", gone="rating_date")
    pending = frames[-1].drop_nulls("until").select("issue_id", "until")
    rows = pl.concat([*frames[:-1], frames[-1].drop("until")])
    rows = rows.join(withdrawn, on="issue_id", how="left").join(pending, on="issue_id", how="left")
    is_sp, rating = pl.col("rating_type") == "SPR", pl.col("rating") != "NR"
    # After S&P has withdrawn its rating it says nothing; before it rates an issue neither.
    unsaid = is_sp & rating & ((pl.col("rating_date") >= pl.col("gone")) | (pl.col("rating_date") < pl.col("until")))
    return rows.filter(~unsaid.fill_null(False)).drop("gone", "until").sort("issue_id", "rating_type", "rating_date")


def _rating_frame(
    terms: BondTerms, agency: str, issue: NDArray[np.intp], day: Days, letters: NDArray[np.str_]
) -> pl.DataFrame:
    return pl.DataFrame(
        {"issue_id": terms.issue_id[issue], "rating_type": np.full(len(issue), agency), "rating_date": day,
         "rating": letters}
    )  # fmt: skip
