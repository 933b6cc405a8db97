"""Links from bonds to the stock and the accounts of their issuer.

WRDS' own link decides where it is on disk, else the names (``issuer_match``). Belongs here: putting both together, the
test whether the company has a stock and accounts, the audit, the match rates. Does not: the comparison of names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from pipeline.bonds.issuer_match import (
    AMBIGUOUS,
    BELOW,
    LATER_NAME,
    LESS_SIMILAR,
    NO_CANDIDATE,
    NO_NAME,
    UNDATED,
    IssuerMatchSettings,
    alike_names,
    candidates,
    cases_of,
    outcomes,
    spelled,
)
from pipeline.extracts.events import intervals
from pipeline.panel.calendar import shift

WRDS, NAME = "wrds", "name"
NOT_LISTED, NO_LINK, NO_ACCOUNTS, NO_ASSETS = "not listed", "no company link", "no accounts", "no assets"

REASONS = {
    NO_NAME: "the bond has no issuer's name",
    NO_CANDIDATE: "no company bore a similar name at the offering, or later if it had no stock then",
    BELOW: "the most similar name is not similar enough",
    AMBIGUOUS: "another company's name fits nearly as well",
    NOT_LISTED: "the company has no common stock with a market value at the end of the month",
    NO_LINK: "no link leads from the company's securities to Compustat",
    NO_ACCOUNTS: "no annual accounts became available in the months that count",
    NO_ASSETS: "the last annual accounts have no total assets, or zero",
}
"""Why a bond has no issuer; of several the first holds."""

REJECTIONS = {
    **REASONS,
    UNDATED: "the company bore the name at another time, and another one at the offering",
    LATER_NAME: "a company that bore its name at the offering goes before one that took it later",
    LESS_SIMILAR: "another company's name is more similar",
}
"""Why a candidate was not taken."""

LINK_SCHEMA = {
    "month": pl.Date(),
    "cusip": pl.String(),
    "issuer_id": pl.Int64(),
    "issuer_name": pl.String(),
    "permno": pl.Int64(),
    "permco": pl.Int64(),
    "gvkey": pl.String(),
    "method": pl.String(),
    "matched_name": pl.String(),
    "similarity": pl.Float64(),
    "runner_up_similarity": pl.Float64(),
    "reason": pl.String(),
}
_OF_ISSUE = ("month", "cusip", "issuer_id", "issuer_name", "offering_date", "dated_date")
CANDIDATES_SCHEMA = {
    "month": pl.Date(),
    "issuer_id": pl.Int64(),
    "permco": pl.Int64(),
    "issuer_name": pl.String(),
    "method": pl.String(),
    "name": pl.String(),
    "similarity": pl.Float64(),
    "in_force": pl.Boolean(),
    "accepted": pl.Boolean(),
    "rejection": pl.String(),
    "n_bonds": pl.Int64(),
}


def lookback(settings: IssuerMatchSettings | None = None) -> dict[str, int]:
    """Months of each input that a month needs, itself included; of ``wrdsapps.bondcrsp_link`` all up to the month."""
    accounts = (settings or IssuerMatchSettings()).accounts_months
    return {"bond_issues": 1, "firm_names": 1, "crsp_monthly": 1, "firm_links": 1, "compustat_annual": accounts}


@dataclass(frozen=True)
class _Matched:
    """A month's issues with the company each was matched to, all candidates by case, and the companies' standing."""

    month: date
    issues: pl.DataFrame
    found: pl.DataFrame
    standing: pl.DataFrame


def bond_issuer_link(
    issues: pl.DataFrame,
    firm_names: pl.DataFrame,
    crsp_monthly: pl.DataFrame,
    firm_links: pl.DataFrame,
    compustat_annual: pl.DataFrame,
    wrds_links: pl.DataFrame | None,
    months: Sequence[date],
    settings: IssuerMatchSettings | None = None,
) -> pl.DataFrame:
    """Return the stock and the accounts of every bond's issuer at the end of each month.

    Parameters
    ----------
    issues : pl.DataFrame
        ``bond_issues``: month, cusip, issuer_id, issuer_name, offering_date, dated_date; one row a month and cusip.
    firm_names : pl.DataFrame
        The asset of that name, of each built month.
    crsp_monthly : pl.DataFrame
        month, permno, permco, common, delisted, me (millions); each built month is read.
    firm_links : pl.DataFrame
        month, permno, gvkey; each built month is read.
    compustat_annual : pl.DataFrame
        month (of availability), gvkey, datadate, at; of each built month the ``accounts_months`` that end with it.
    wrds_links : pl.DataFrame or None
        ``wrdsapps.bondcrsp_link`` as events: cusip, link_startdt, permno, permco, event, link_enddt, month. All up to
        the built month are read; an end dated after it is open in it.
    months : sequence of date
        The months to build.
    settings : IssuerMatchSettings, optional
        Similarity, margin, age of accounts.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`LINK_SCHEMA`, a row for every issue of the month, sorted by month and cusip. ``permco``
        the company, ``permno`` its common stock with the highest market equity, ``gvkey`` that stock's, or that of the
        company's largest security that has one: all null where ``reason``, one of :data:`REASONS`, says why. ``method``
        is ``wrds`` where a link of WRDS to a company held on the month's last day (of several the one that began last),
        which then decides alone; else ``name``. ``matched_name`` is CRSP's name of the company that the issuer's name
        decided for, with stock and accounts or without; ``similarity`` that of the two names, or of the most similar
        candidate where the name decided for none; ``runner_up_similarity`` the highest of another company.
    """
    parts = [pl.DataFrame(schema=LINK_SCHEMA)]
    for matched in _matched(
        issues, firm_names, crsp_monthly, firm_links, compustat_annual, wrds_links, months, settings
    ):
        linked = matched.issues.join(matched.standing, on="permco", how="left").with_columns(
            reason=_first_reason("reason", "fault")
        )
        unmatched = pl.col("reason").is_not_null()
        linked = linked.with_columns(
            pl.when(~unmatched).then(pl.col(name)).alias(name) for name in ("permno", "permco", "gvkey")
        )
        parts.append(_shaped(linked, matched.month, LINK_SCHEMA).sort("cusip"))
    return pl.concat(parts)


def bond_issuer_candidates(
    issues: pl.DataFrame,
    firm_names: pl.DataFrame,
    crsp_monthly: pl.DataFrame,
    firm_links: pl.DataFrame,
    compustat_annual: pl.DataFrame,
    wrds_links: pl.DataFrame | None,
    months: Sequence[date],
    settings: IssuerMatchSettings | None = None,
) -> pl.DataFrame:
    """Return every company that was considered as an issuer's in each month, and why it was not taken.

    Parameters
    ----------
    issues, firm_names, crsp_monthly, firm_links, compustat_annual, wrds_links, months, settings
        As in :func:`bond_issuer_link`.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`CANDIDATES_SCHEMA`, one row a month, issuer and company, sorted by them; issues without
        an issuer_id have none. The bonds of an issuer may have other names and offering dates: the row is that of the
        bonds for which the company was accepted, else was most similar, and ``n_bonds`` counts all for which it was
        considered. ``in_force``: the company bore ``name`` at the offering. ``rejection`` is one of
        :data:`REJECTIONS`, null where ``accepted``. Names less similar than ``similarity - margin`` are not considered.
        A company that WRDS links has method ``wrds`` and no similarity.
    """
    parts = [pl.DataFrame(schema=CANDIDATES_SCHEMA)]
    for matched in _matched(
        issues, firm_names, crsp_monthly, firm_links, compustat_annual, wrds_links, months, settings
    ):
        by_name = matched.issues.filter(pl.col("method") == NAME).select("issuer_id", "issuer_name", "method", "case")
        by_link = matched.issues.filter(pl.col("method") == WRDS)
        considered = pl.concat(
            [
                by_name.join(matched.found, on="case"),
                by_link.select("issuer_id", "issuer_name", "method", "permco", rejection="reason"),
            ],
            how="diagonal",
        ).filter(pl.col("issuer_id").is_not_null())
        judged = considered.join(matched.standing, on="permco", how="left").with_columns(
            rejection=_first_reason("rejection", "fault")
        )
        judged = judged.with_columns(accepted=pl.col("rejection").is_null())
        parts.append(_shaped(_one_a_company(judged), matched.month, CANDIDATES_SCHEMA).sort("issuer_id", "permco"))
    return pl.concat(parts)


def _one_a_company(judged: pl.DataFrame) -> pl.DataFrame:
    """Keep the most telling row of every issuer and company, with the number of bonds."""
    counted = judged.group_by("issuer_id", "permco").agg(n_bonds=pl.len())
    ordered = judged.sort(
        "issuer_id", "permco", "accepted", "similarity", "in_force", "issuer_name", "rejection",
        descending=[False, False, True, True, True, False, False], nulls_last=True,
    )  # fmt: skip
    first = ordered.unique(["issuer_id", "permco"], keep="first", maintain_order=True)
    return first.join(counted, on=["issuer_id", "permco"])


def _shaped(rows: pl.DataFrame, month: date, schema: dict[str, Any]) -> pl.DataFrame:
    return rows.with_columns(month=pl.lit(month)).select(*schema).cast(schema)  # type: ignore[arg-type]


def _first_reason(own: str, of_company: str) -> pl.Expr:
    """Take the reason of the match, else that of the company; one not in CRSP in the month has no stock."""
    of_shown = pl.when(pl.col("shown").is_null()).then(pl.lit(NOT_LISTED)).otherwise(pl.col(of_company))
    return pl.coalesce(own, of_shown)


def _of(frame: pl.DataFrame, month: date) -> pl.DataFrame:
    return frame.filter(pl.col("month") == month)


def _matched(
    issues: pl.DataFrame,
    firm_names: pl.DataFrame,
    crsp_monthly: pl.DataFrame,
    firm_links: pl.DataFrame,
    compustat_annual: pl.DataFrame,
    wrds_links: pl.DataFrame | None,
    months: Sequence[date],
    settings: IssuerMatchSettings | None,
) -> Iterator[_Matched]:
    """Match month by month; names are compared once for all of them, since what is alike doesn't change."""
    settings = settings or IssuerMatchSettings()
    built = sorted(set(months))
    wanted = pl.col("month").is_in(pl.Series(built, dtype=pl.Date).implode())
    issues, firm_names = issues.filter(wanted).select(_OF_ISSUE), firm_names.filter(wanted)
    texts, firm_texts = spelled(issues["issuer_name"]), spelled(firm_names["name"])
    pairs = alike_names(issues["issuer_name"], firm_names["name"], settings)
    # Of the names of firms only those matter that are like an issuer's.
    alike = firm_texts.rename({"text": "firm_text"}).join(pairs.select("firm_text").unique(), on="firm_text")
    names = firm_names.join(alike, on="name")
    companies_in = firm_names.filter(pl.col("permco").is_in(names["permco"].unique().implode()))
    everyone = companies_in.join(alike, on="name", how="left")
    for month in built:
        linked = _wrds_companies(wrds_links, _of(crsp_monthly, month), month)
        rows = cases_of(_of(issues, month).join(linked, on="cusip", how="left"), texts)
        by_name = rows.filter(pl.col("wrds_permco").is_null(), pl.col("case").is_not_null())
        cases = by_name.select("case", "text", "offered").unique()
        found = candidates(cases, _of(everyone, month), pairs, settings)
        yield _Matched(
            month,
            _decided(rows, outcomes(found)),
            found,
            _standing(_of(crsp_monthly, month), _of(firm_links, month), compustat_annual, month, settings),
        )


def _decided(rows: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    """Add to issues the company that WRDS or the name gives: permco, method, what the match says, reason."""
    by_link = pl.col("wrds_permco").is_not_null()
    without = (
        pl.when(pl.col("case").is_null())
        .then(pl.lit(NO_NAME))
        .when(pl.col("similarity").is_null())
        .then(pl.lit(NO_CANDIDATE))
    )
    of_name = rows.filter(~by_link).join(decided, on="case", how="left")
    of_name = of_name.with_columns(method=pl.lit(NAME), reason=pl.coalesce("reason", without))
    of_link = rows.filter(by_link).with_columns(permco="wrds_permco", method=pl.lit(WRDS))
    return pl.concat([of_name, of_link], how="diagonal")


def _wrds_companies(wrds_links: pl.DataFrame | None, crsp: pl.DataFrame, month: date) -> pl.DataFrame:
    """Give the company that WRDS links to each bond on the month's last day: cusip, wrds_permco."""
    if wrds_links is None:
        return pl.DataFrame(schema={"cusip": pl.String, "wrds_permco": pl.Int64})
    links = intervals(
        wrds_links.filter(pl.col("month") <= month), ("cusip", "link_startdt"), "link_enddt", ("permno", "permco")
    )
    last_day = pl.lit(month).dt.month_end()
    held = (pl.col("link_startdt") <= last_day) & (pl.col("link_enddt").is_null() | (pl.col("link_enddt") >= last_day))
    named = links.filter(held).join(crsp.select("permno", of_stock="permco"), on="permno", how="left")
    return (
        named.select("cusip", "link_startdt", wrds_permco=pl.coalesce("permco", "of_stock"))
        .filter(pl.col("wrds_permco").is_not_null())
        .sort("cusip", "link_startdt")
        .unique("cusip", keep="last", maintain_order=True)
        .select("cusip", "wrds_permco")
    )


def _standing(
    crsp: pl.DataFrame,
    links: pl.DataFrame,
    compustat_annual: pl.DataFrame,
    month: date,
    settings: IssuerMatchSettings,
) -> pl.DataFrame:
    """Say of every company in CRSP in a month: permno, gvkey, and as ``fault`` what it lacks to be an issuer."""
    first = shift(month, 1 - settings.accounts_months)
    accounts = (
        compustat_annual.filter(pl.col("month").is_between(first, month))
        .sort("gvkey", "datadate")
        .unique("gvkey", keep="last", maintain_order=True)
        .select("gvkey", assets="at", accounts=pl.lit(True))
    )
    companies = _stocks(crsp).join(_gvkeys(crsp, links), on="permco", how="left").join(accounts, on="gvkey", how="left")
    faults = {
        NOT_LISTED: pl.col("permno").is_null(),
        NO_LINK: pl.col("gvkey").is_null(),
        NO_ACCOUNTS: pl.col("accounts").is_null(),
        NO_ASSETS: pl.col("assets").is_null() | (pl.col("assets") == 0.0),
    }
    fault = pl.coalesce(pl.when(holds).then(pl.lit(reason)) for reason, holds in faults.items())
    return companies.select("permco", "permno", "gvkey", fault=fault, shown=pl.lit(True))


def _stocks(crsp: pl.DataFrame) -> pl.DataFrame:
    """Give every company of the month its common stock with the highest market equity, null where it has none."""
    counted = pl.col("common") & ~pl.col("delisted") & pl.col("me").is_not_null()
    largest = (
        crsp.filter(counted)
        .sort("permco", "me", "permno", descending=[False, True, False])
        .unique("permco", keep="first", maintain_order=True)
    )
    companies = crsp.select("permco").filter(pl.col("permco").is_not_null()).unique()
    return companies.join(largest.select("permco", "permno"), on="permco", how="left")


def _gvkeys(crsp: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Give every company the gvkey of its largest security that has one, common stocks that are listed first."""
    counted = pl.col("common") & ~pl.col("delisted")
    return (
        crsp.filter(pl.col("permco").is_not_null())
        .join(links.select("permno", "gvkey"), on="permno")
        .sort("permco", counted, "me", "permno", descending=[False, True, True, False], nulls_last=True)
        .unique("permco", keep="first", maintain_order=True)
        .select("permco", "gvkey")
    )


def issuer_link_figures(link: pl.DataFrame, issues: pl.DataFrame, month: date) -> dict[str, Any]:
    """Say how many issuers, bonds and dollars of a month are matched, and why the others are not.

    Parameters
    ----------
    link : pl.DataFrame
        What :func:`bond_issuer_link` made of the month.
    issues : pl.DataFrame
        ``bond_issues`` of the month: month, cusip, amount_outstanding (thousands), eligible.
    month : datetime.date
        The month.

    Returns
    -------
    dict
        ``all`` and ``eligible`` (the bonds of the universe), each with ``issuers``, ``bonds`` and
        ``amount_outstanding``: their number (thousands of dollars), how much of it is matched, and the share, null of
        nothing; an issuer counts as matched with one bond. ``methods`` and ``reasons``: bonds by each, all bonds.
    """
    terms = _of(issues, month).select("cusip", "amount_outstanding", "eligible")
    rows = _of(link, month).join(terms, on="cusip", how="left").sort("cusip")
    matched = pl.col("reason").is_null()
    return {
        "all": _rates(rows),
        "eligible": _rates(rows.filter("eligible")),
        "methods": _counts(rows.filter(matched), "method", [WRDS, NAME]),
        "reasons": _counts(rows, "reason", list(REASONS)),
    }


def _counts(rows: pl.DataFrame, column: str, values: Sequence[str]) -> dict[str, int]:
    return {value: rows.filter(pl.col(column) == value).height for value in values}


def _rates(rows: pl.DataFrame) -> dict[str, dict[str, float | None]]:
    matched = rows.filter(pl.col("reason").is_null())
    measures = {
        "issuers": lambda of: of["issuer_id"].drop_nulls().n_unique(),
        "bonds": lambda of: of.height,
        "amount_outstanding": lambda of: sum(of["amount_outstanding"].drop_nulls().to_list()),
    }
    return {
        name: {"n": (n := measure(rows)), "matched": (hit := measure(matched)), "share": hit / n if n else None}
        for name, measure in measures.items()
    }
