"""Links from bonds to the stock and the accounts of their issuer.

WRDS' own link decides where it is on disk, else the names (``issuer_match``). Belongs here: putting both together, the
test whether the company has a stock and accounts, the audit, the match rates. Does not: the comparison of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from pipeline.bonds.issuer_match import (
    AMBIGUOUS,
    BELOW,
    CASE,
    LATER_NAME,
    LESS_SIMILAR,
    NO_CANDIDATE,
    NO_NAME,
    OTHER_FORM,
    OTHER_WORD,
    UNDATED,
    IssuerMatchSettings,
    alike,
    candidates,
    cases_of,
    outcomes,
    spelled,
)
from pipeline.bonds.issuer_standing import NO_ACCOUNTS, NO_ASSETS, NO_LINK, NOT_LISTED, standing
from pipeline.extracts.events import intervals

WRDS, NAME = "wrds", "name"

REASONS = {
    NO_NAME: "the bond has no issuer's name",
    NO_CANDIDATE: "no company bore a similar name at the offering, or later if it had no stock then",
    BELOW: "the most similar name is not similar enough",
    OTHER_WORD: "the most similar name differs by a whole word",
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
    OTHER_FORM: "a company with the legal form that the bond states goes before one with another",
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
    """Issues with the company each was matched to, all candidates by case, and how the companies of both stand."""

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
        is ``wrds`` where a link of WRDS to a company held on the month's last day (of several the one that began last;
        none where those that began last name different companies), which then decides alone; else ``name``.
        ``matched_name`` is CRSP's name of the company that the issuer's name decided for, with stock and accounts or
        without; ``similarity`` that of the two names, or of the most similar candidate where the name decided for none;
        ``runner_up_similarity`` the highest of another company.
    """
    matched = _matched(issues, firm_names, crsp_monthly, firm_links, compustat_annual, wrds_links, months, settings)
    linked = matched.issues.join(matched.standing, on=["month", "permco"], how="left").with_columns(
        reason=pl.coalesce("reason", "fault")
    )
    whole = pl.col("reason").is_null()
    linked = linked.with_columns(
        pl.when(whole).then(pl.col(name)).alias(name) for name in ("permno", "permco", "gvkey")
    )
    return linked.select(*LINK_SCHEMA).cast(LINK_SCHEMA).sort("month", "cusip")  # type: ignore[arg-type]


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
    matched = _matched(issues, firm_names, crsp_monthly, firm_links, compustat_annual, wrds_links, months, settings)
    columns = ("month", "issuer_id", "issuer_name", "method")
    by_name = matched.issues.filter(pl.col("method") == NAME).select(*columns, "case")
    by_link = matched.issues.filter(pl.col("method") == WRDS).select(*columns, "permco", rejection="reason")
    considered = pl.concat([by_name.join(matched.found.drop("month"), on="case"), by_link], how="diagonal")
    judged = (
        considered.filter(pl.col("issuer_id").is_not_null())
        .join(matched.standing, on=["month", "permco"], how="left")
        .with_columns(rejection=pl.coalesce("rejection", "fault"))
        .with_columns(accepted=pl.col("rejection").is_null())
    )
    told = _one_a_company(judged)
    return told.select(*CANDIDATES_SCHEMA).cast(CANDIDATES_SCHEMA)  # type: ignore[arg-type]


def _one_a_company(judged: pl.DataFrame) -> pl.DataFrame:
    """Keep the most telling row of every month, issuer and company, with the number of bonds."""
    key = ["month", "issuer_id", "permco"]
    counted = judged.group_by(key).agg(n_bonds=pl.len())
    ordered = judged.sort(
        *key, "accepted", "similarity", "in_force", "issuer_name", "rejection",
        descending=[False, False, False, True, True, True, False, False], nulls_last=True,
    )  # fmt: skip
    first = ordered.unique(key, keep="first", maintain_order=True)
    return first.join(counted, on=key, maintain_order="left")


def _matched(
    issues: pl.DataFrame,
    firm_names: pl.DataFrame,
    crsp_monthly: pl.DataFrame,
    firm_links: pl.DataFrame,
    compustat_annual: pl.DataFrame,
    wrds_links: pl.DataFrame | None,
    months: Sequence[date],
    settings: IssuerMatchSettings | None,
) -> _Matched:
    settings = settings or IssuerMatchSettings()
    wanted = pl.col("month").is_in(pl.Series(sorted(set(months)), dtype=pl.Date).implode())
    issues, firm_names = issues.filter(wanted).select(_OF_ISSUE), firm_names.filter(wanted)
    crsp_monthly, firm_links = crsp_monthly.filter(wanted), firm_links.filter(wanted)
    spellings, firm_spellings = (spelled(each) for each in (issues["issuer_name"], firm_names["name"]))
    # Names are compared once for all months, since what is alike doesn't change.
    pairs = alike(spellings["core"].to_list(), firm_spellings["core"].to_list(), settings)
    near = firm_spellings.rename({"core": "firm_core", "form": "firm_form"}).join(pairs, on="firm_core", how="semi")
    # Of the companies only those matter that have a name like an issuer's; of these all names, like it or not.
    names = firm_names.join(near, on="name", how="left")
    companies = names.filter(pl.col("firm_core").is_not_null())["permco"].unique()
    names = names.filter(pl.col("permco").is_in(companies.implode()))
    rows = cases_of(_with_wrds_company(issues, wrds_links, crsp_monthly), spellings)
    by_name = rows.filter(pl.col("wrds_permco").is_null(), pl.col("case").is_not_null())
    found = candidates(by_name.select("case", *CASE).unique(), names, pairs, settings)
    decided = _decided(rows, outcomes(found))
    considered = pl.concat([found.select("month", "permco"), decided.select("month", "permco")]).drop_nulls().unique()
    return _Matched(decided, found, standing(considered, crsp_monthly, firm_links, compustat_annual, settings))


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


def _with_wrds_company(
    issues: pl.DataFrame, wrds_links: pl.DataFrame | None, crsp_monthly: pl.DataFrame
) -> pl.DataFrame:
    """Add wrds_permco, the company that WRDS links to an issue on the month's last day; null without one, or two."""
    if wrds_links is None:
        return issues.with_columns(wrds_permco=pl.lit(None, dtype=pl.Int64))
    links = intervals(wrds_links, ("cusip", "link_startdt", "permno"), "link_enddt", ("permco",))
    last_day = pl.col("month").dt.month_end()
    held = (pl.col("link_startdt") <= last_day) & (pl.col("link_enddt").is_null() | (pl.col("link_enddt") >= last_day))
    of_stock = crsp_monthly.select("month", "permno", of_stock="permco")
    companies = (
        issues.select("month", "cusip")
        .join(links, on="cusip")
        .filter(held)
        .join(of_stock, on=["month", "permno"], how="left")
        .with_columns(wrds_permco=pl.coalesce("permco", "of_stock"))
        .filter(pl.col("wrds_permco").is_not_null())
        .filter(pl.col("link_startdt") == pl.col("link_startdt").max().over("month", "cusip"))
        .group_by("month", "cusip")
        .agg(pl.col("wrds_permco").unique())
        .filter(pl.col("wrds_permco").list.len() == 1)
        .with_columns(pl.col("wrds_permco").list.first())
    )
    return issues.join(companies.select("month", "cusip", "wrds_permco"), on=["month", "cusip"], how="left")


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
    terms = issues.filter(pl.col("month") == month).select("cusip", "amount_outstanding", "eligible")
    rows = link.filter(pl.col("month") == month).join(terms, on="cusip", how="left").sort("cusip")
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
