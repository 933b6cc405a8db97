"""FISD of the simulated market: issues, issuers, defaults, ratings, amounts outstanding.

Vendor columns and spellings: flags are Y and N, amounts thousands, coupons percent. What the agencies say follows the
issuer's rating in the economy; what their letters mean is in `SCALES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.simulation.bond_terms import BondEvents, BondTerms, Days, bond_events, bond_terms
from pipeline.simulation.economy import Economy
from pipeline.simulation.fisd_governments import government_rows
from pipeline.simulation.fisd_names import IssuerNames, issuer_names
from pipeline.simulation.identifiers import SECTORS
from pipeline.simulation.paths import Array, stream

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
        reinstatement in the same row; on some days an amount has two rows, of which the smaller holds. After the issues
        of the economy come those of `government_rows`.
    """
    terms = bond_terms(economy)
    names = issuer_names(economy, terms)
    events = bond_events(economy, terms)
    tables = {
        "fisd.fisd_mergedissue": _issues(economy, terms, names),
        "fisd.fisd_mergedissuer": _issuers(economy, terms, names),
        "fisd.fisd_issue_default": _defaults(terms, events),
        "fisd.fisd_ratings": rating_rows(economy, terms, events),
        "fisd.fisd_amt_out_hist": amount_rows(economy, terms, events),
    }
    governments = government_rows(economy)
    return {
        name: pl.concat([rows, governments[name].select(rows.columns)], how="vertical_relaxed")
        if name in governments
        else rows
        for name, rows in tables.items()
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


def rating_rows(economy: Economy, terms: BondTerms, events: BondEvents) -> pl.DataFrame:
    """Write the rating history.

    Parameters
    ----------
    economy : Economy
        The market as drawn; the agencies follow the issuers' ratings.
    terms : BondTerms
        Issues.
    events : BondEvents
        Defaults and exits.

    Returns
    -------
    DataFrame
        issue_id, rating_type (SPR, MR, FR), rating_date, rating: letters, or NR where S&P rates no longer or not yet. A
        change is dated in the month in which the economy has it, with Moody's in three of ten cases a month later. A
        bond that fails in earnest is D with S&P and Fitch and Ca with Moody's from that day.
    """
    rng = stream(economy.seed, "fisd ratings")
    n, rating = terms.n, economy.firms.rating
    traits, wait, when = rng.random((5, n)), rng.integers(60, 120, n), rng.random(n)
    place, lag = rng.random(rating.shape), rng.random(rating.shape) < 0.3
    late, withdrawn = traits[3] < LATE_SP, traits[3] > 1 - WITHDRAWN
    slow = rating.copy()
    slow[1:] = np.where(lag[1:], rating[:-1], rating[1:])
    notch = np.where(traits[0] < SPLIT, np.where(traits[1] < 0.5, -1, 1), 0)
    has_sp = traits[2] >= ONLY_MOODYS
    gone = np.where(withdrawn & has_sp, _inside(economy, terms, events, when), np.datetime64("NaT"))
    begins = np.where(late & has_sp, terms.offered + wait, terms.offered)
    failed = np.full(n, np.datetime64("NaT"), dtype="datetime64[D]")
    failed[: terms.n_index] = np.where(np.isnat(events.reinstated), events.default, np.datetime64("NaT"))
    never = np.full(n, np.datetime64("NaT"), dtype="datetime64[D]")
    agencies = {
        "SPR": _Agency(rating, np.zeros(n, dtype=int), has_sp, begins, np.fmin(gone, failed), gone, 22),
        "MR": _Agency(slow, notch, traits[2] < 0.94, terms.offered, failed, never, 20),
        "FR": _Agency(rating, np.zeros(n, dtype=int), traits[4] < 0.4, terms.offered, failed, never, 22),
    }
    rows = [_of_agency(name, agency, economy, terms, events, failed, place) for name, agency in agencies.items()]
    unrated = np.flatnonzero(late & has_sp)
    ends = np.flatnonzero(~np.isnat(gone))
    rows.append(_rows(terms, "SPR", unrated, terms.offered[unrated], np.full(len(unrated), "NR")))
    rows.append(_rows(terms, "SPR", ends, gone[ends], np.full(len(ends), "NR")))
    known = pl.col("rating_date") <= economy.clock.month_ends[-1].item()
    return pl.concat(rows).filter(known).sort("issue_id", "rating_type", "rating_date")


@dataclass(frozen=True)
class _Agency:
    """What one agency thinks: issuers' ordinals by month, notches apart, issues rated, from when until when."""

    path: NDArray[np.intp]
    notch: NDArray[np.intp]
    rates: NDArray[np.bool_]
    begins: Days
    ends: Days
    withdraws: Days
    worst: int


def _of_agency(
    name: str, agency: _Agency, economy: Economy, terms: BondTerms, events: BondEvents, failed: Days, place: Array
) -> pl.DataFrame:
    """First ratings, changes and defaults of the issues that an agency rates."""
    clock = economy.clock
    start = np.clip((agency.begins.astype("datetime64[M]") - clock.months[0]).astype(np.intp), 0, clock.n - 1)
    first = np.flatnonzero(agency.rates & ~(agency.begins >= agency.ends))
    changed = np.vstack([np.zeros((1, agency.path.shape[1]), bool), agency.path[1:] != agency.path[:-1]])
    month, issue = np.nonzero(changed[:, terms.issuer] & agency.rates & (np.arange(clock.n)[:, None] > start))
    firm = terms.issuer[issue]
    session = clock.starts[month] + np.floor(place[month, firm] * np.diff(clock.starts)[month]).astype(np.intp)
    day = clock.sessions[session]
    stays = ~(day >= agency.ends[issue]) & ~(day >= _gone(terms, events)[issue])
    month, issue, day = month[stays], issue[stays], day[stays]
    struck = np.flatnonzero(agency.rates & ~np.isnat(failed) & ~(failed >= agency.withdraws))
    ordinal = np.concatenate(
        [
            np.clip(agency.path[start[first], terms.issuer[first]] + agency.notch[first], 1, 20),
            np.clip(agency.path[month, terms.issuer[issue]] + agency.notch[issue], 1, 20),
            np.full(len(struck), agency.worst),
        ]
    )
    days = np.concatenate([agency.begins[first], day, failed[struck]])
    return _rows(terms, name, np.concatenate([first, issue, struck]), days, np.array(SCALES[name])[ordinal - 1])


def _rows(terms: BondTerms, agency: str, issue: NDArray[np.intp], day: Days, letters: NDArray[np.str_]) -> pl.DataFrame:
    ids = terms.issue_id[issue]
    return pl.DataFrame(
        {"issue_id": ids, "rating_type": np.full(len(ids), agency), "rating_date": day, "rating": letters}
    )


def _gone(terms: BondTerms, events: BondEvents) -> Days:
    """Day from which nothing of an issue is outstanding; shape (N,)."""
    return np.concatenate([events.left, terms.maturity[terms.n_index :]])


def _inside(economy: Economy, terms: BondTerms, events: BondEvents, place: Array) -> Days:
    """Day inside every issue's life, in its middle two thirds, within the clock's end."""
    end = np.fmin(_gone(terms, events), economy.clock.month_ends[-1])
    days = (end - terms.offered).astype(np.int64)
    return terms.offered + np.floor((1 / 6 + 2 / 3 * place) * days).astype(np.int64)


def amount_rows(economy: Economy, terms: BondTerms, events: BondEvents) -> pl.DataFrame:
    """Write the history of amounts outstanding.

    Parameters
    ----------
    economy : Economy
        The market as drawn.
    terms : BondTerms
        Issues.
    events : BondEvents
        Exits.

    Returns
    -------
    DataFrame
        issue_id, effective_date, action_type, amount_outstanding (thousands), from the issue (I) over calls of a part
        (P, S), more of the same (RO) to the end (B called, T exchanged, R reorganised, IM matured). Every other call of
        a part, and of the whole, has two rows on its day, of which the smaller amount holds.
    """
    rng = stream(economy.seed, "fisd amounts")
    n, b = terms.n, terms.n_index
    draw, place = rng.random(n), rng.random(n)
    middle = _inside(economy, terms, events, place)
    part, more = np.flatnonzero(draw < PARTIAL), np.flatnonzero(draw > 1 - REOPENED)
    gone = _gone(terms, events)
    reason = np.concatenate([economy.bonds.lives.reason, np.full(n - b, "")])
    end = np.flatnonzero(gone <= economy.clock.month_ends[-1])
    action = np.select([reason[end] == "call", reason[end] == "exchange", reason[end] == "default"], list("BTR"), "IM")
    twice, called = part[::2], end[action == "B"][::2]
    amount = terms.amount
    # Whatever is left of an issue before it is called as a whole.
    rest = np.where(draw < PARTIAL, 0.6, np.where(draw > 1 - REOPENED, 1.25, 1.0)) * amount
    pieces = [
        (np.arange(n), terms.offered, np.full(n, "I"), amount),
        (twice, middle[twice], np.where(np.arange(len(twice)) % 2, "P", "S"), 0.8 * amount[twice]),
        (part, middle[part], np.full(len(part), "P"), 0.6 * amount[part]),
        (more, middle[more], np.full(len(more), "RO"), 1.25 * amount[more]),
        (called, gone[called], np.full(len(called), "P"), 0.5 * rest[called]),
        (end, gone[end], action, np.zeros(len(end))),
    ]
    frames = [
        pl.DataFrame(
            {"issue_id": terms.issue_id[issue], "effective_date": day, "action_type": kind, "amount_outstanding": left}
        )
        for issue, day, kind, left in pieces
    ]
    return pl.concat(frames).sort("issue_id", "effective_date", "action_type", "amount_outstanding")
