"""What FISD says of every bond outstanding in a month, and which bonds make up the universe.

Belongs here: terms, identifiers, amounts, ratings, defaults and industry as known at the end of a month. Does not:
prices (``month_end``, ``prices``), the issuer's stock (``issuer_link``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from pipeline.bonds.coupon_calendar import FREQUENCIES
from pipeline.bonds.day_count import fisd_day_count
from pipeline.bonds.issue_universe import FILTERS, IssueSettings, passes
from pipeline.bonds.ratings import COLUMNS as RATINGS
from pipeline.bonds.ratings import rating_spells, ratings_at
from pipeline.bonds.spells import in_force, spells
from pipeline.equity.waterfall import waterfall
from pipeline.extracts.events import intervals
from pipeline.extracts.index_constituents import isin_of_cusip
from pipeline.panel.calendar import shift

ZERO_COUPON = "Z"

QUOTED = "30/360"
"""Day count of a zero-coupon bond for which FISD gives none: nothing accrues on it, and yields are quoted so."""

PAYMENTS = {str(number): number for number in FREQUENCIES}
"""FISD's ``interest_frequency`` where it counts payments a year at equal distances. The others are codes: not
applicable, at maturity, variable (13), and some that FISD's dictionary does not explain (14 to 16)."""

LATEST_FIRST_COUPON = (2, 2)
"""Coupon periods and, beyond them, months after the dated date by which a bond has paid its first coupon. A long first
period has up to two of them; interest may accrue from a little before the offering."""

SCHEMA = {
    "month": pl.Date(),
    "cusip": pl.String(),
    "issue_id": pl.Int64(),
    "isin": pl.String(),
    "issuer_id": pl.Int64(),
    "issuer_name": pl.String(),
    "offering_date": pl.Date(),
    "dated_date": pl.Date(),
    "first_interest_date": pl.Date(),
    "unlikely_first_interest": pl.Boolean(),
    "maturity": pl.Date(),
    "coupon": pl.Float64(),
    "coupon_type": pl.String(),
    "interest_frequency": pl.Int32(),
    "day_count": pl.String(),
    "bond_type": pl.String(),
    "security_level": pl.String(),
    "redeemable": pl.Boolean(),
    "amount_outstanding": pl.Float64(),
    "sp_rating": pl.Float64(),
    "moody_rating": pl.Float64(),
    "rating": pl.Float64(),
    "default_date": pl.Date(),
    "industry_group": pl.String(),
    "eligible": pl.Boolean(),
    **dict.fromkeys(FILTERS, pl.Boolean()),
    "issues_of_cusip": pl.Int32(),
}

_KEPT_AS_PUBLISHED = (
    *("issue_id", "issuer_id", "offering_date", "dated_date", "first_interest_date", "maturity", "offering_amt"),
    *("coupon_type", "bond_type", "security_level"),
    *("convertible", "putable", "exchangeable", "asset_backed", "rule_144a", "foreign_currency", "perpetual"),
)


def bond_issues(
    issues: pl.DataFrame,
    issuers: pl.DataFrame | None,
    defaults: pl.DataFrame | None,
    ratings: pl.DataFrame | None,
    amounts: pl.DataFrame | None,
    months: Sequence[date],
    settings: IssueSettings | None = None,
) -> pl.DataFrame:
    """Return the terms and the standing of every issue outstanding in each month, as known at its end.

    Parameters
    ----------
    issues : pl.DataFrame
        ``fisd.fisd_mergedissue``, all rows up to the built month.
    issuers : pl.DataFrame or None
        ``fisd.fisd_mergedissuer``: issuer_id, industry_group.
    defaults : pl.DataFrame or None
        ``fisd.fisd_issue_default`` as events: month, issue_id, default_date, event, reinstated_date. All events up to
        the built month; a reinstatement dated later makes no difference.
    ratings : pl.DataFrame or None
        ``fisd.fisd_ratings``, all rows up to the built month.
    amounts : pl.DataFrame or None
        ``fisd.fisd_amt_out_hist``, all rows up to the built month: month, issue_id, effective_date, transaction_id,
        amount_outstanding (thousands). Of several rows of one day the one with the highest transaction_id holds; of
        those without, or with the same, the smallest amount.
    months : sequence of date
        The months to build.
    settings : IssueSettings, optional
        The universe.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, sorted by month and cusip (eight characters). An issue has a row from the month
        in which FISD dates it to the one in which it matures or its amount falls to zero. A table that is None leaves
        its columns null.

        ``coupon`` percent, 0 for zero-coupon bonds, whose ``interest_frequency`` is 0 too; interest_frequency payments
        a year, null where FISD's code is no frequency; ``day_count`` a name of ``pipeline.bonds.day_count``, null where
        FISD has none or another (:data:`QUOTED` for a zero-coupon bond without one). ``isin`` FISD's, else computed
        from a United States CUSIP. ``unlikely_first_interest``: FISD's day of the first coupon can't be right, and
        ``first_interest_date`` is null for it: a bond with coupons can't pay the first one by its dated date, after
        its maturity, or later than :data:`LATEST_FIRST_COUPON`. ``amount_outstanding`` thousands, the latest at or
        before the month's end, else the offering amount. Ratings are ordinals, 1 (AAA) to 22 (D); ``rating`` is S&P's,
        else Moody's. ``default_date`` is the latest default not reinstated by the month's end. One column a filter of
        ``issue_universe.FILTERS``; ``eligible``: all of them.

    Notes
    -----
    Of several outstanding issues that share a CUSIP, or an ISIN, the one offered first keeps it (then the lower
    issue_id): later ones are reopenings under a number of their own. With the CUSIP they lose their row,
    ``issues_of_cusip`` counting them; with the ISIN alone they lose the ISIN, and so are not eligible.
    """
    settings = settings or IssueSettings()
    wanted = sorted(set(months))
    if not wanted:
        return pl.DataFrame(schema=SCHEMA)
    terms = _terms(issues.filter(pl.col("month") <= wanted[-1]), issuers)
    defaulted = None if defaults is None else _default_spells(defaults)
    rated = None if ratings is None else rating_spells(ratings)
    outstanding = None if amounts is None else _amount_spells(amounts)
    parts = []
    for month in wanted:
        rows = _outstanding(terms, outstanding, month)
        rows = _in_default(rows, defaulted, month)
        rows = _rated(rows, rated, month)
        parts.append(_universe(_one_issue_a_cusip(rows), settings))
    return pl.concat(parts)


def _terms(issues: pl.DataFrame, issuers: pl.DataFrame | None) -> pl.DataFrame:
    """Bring the terms that do not change into the columns of the result, with the month since which they are known."""
    no_coupon = (pl.col("coupon_type") == ZERO_COUPON) | (pl.col("coupon") == 0.0)
    payments = pl.col("interest_frequency").str.strip_chars()
    frequency = payments.replace_strict(PAYMENTS, default=None, return_dtype=pl.Int32)
    basis = pl.col("day_count_basis")
    found = issues.filter(pl.col("cusip").is_not_null()).select(
        "cusip",
        _isin(),
        *_KEPT_AS_PUBLISHED,
        known="month",
        issuer_name="prospectus_issuer_name",
        coupon=pl.when(no_coupon).then(0.0).otherwise(pl.col("coupon")),
        interest_frequency=pl.when(no_coupon).then(0).otherwise(frequency).cast(pl.Int32),
        day_count=pl.when(no_coupon).then(fisd_day_count(basis, blank=QUOTED)).otherwise(fisd_day_count(basis)),
        redeemable=pl.col("redeemable").replace_strict({"Y": True, "N": False}, default=None, return_dtype=pl.Boolean),
    )
    unlikely = _unlikely_first_interest()
    found = found.with_columns(
        unlikely_first_interest=unlikely,
        first_interest_date=pl.when(~unlikely).then(pl.col("first_interest_date")),
    )
    if issuers is None:
        return found.with_columns(industry_group=pl.lit(None, dtype=pl.String))
    return found.join(issuers.select("issuer_id", "industry_group"), on="issuer_id", how="left", maintain_order="left")


def _unlikely_first_interest() -> pl.Expr:
    """Whether the first coupon's day can't be right; not without that day, and not of a bond without coupons."""
    first, since = pl.col("first_interest_date"), pl.coalesce("dated_date", "offering_date")
    periods, months = LATEST_FIRST_COUPON
    payments = pl.col("interest_frequency")
    reach = periods * 12 // pl.when(payments > 0).then(payments) + months
    latest = since.dt.offset_by(pl.format("{}mo", reach.cast(pl.Int64)))
    wrong = (first <= since) | (first > pl.col("maturity")) | (first > latest)
    return ((payments > 0) & wrong).fill_null(False)


def _isin() -> pl.Expr:
    unnamed = pl.when(pl.col("isin").is_null()).then(pl.col("complete_cusip"))
    computed = unnamed.map_elements(isin_of_cusip, return_dtype=pl.String)
    return pl.coalesce(pl.col("isin"), computed).alias("isin")


def _default_spells(defaults: pl.DataFrame) -> pl.DataFrame:
    """One row a default, with its month and the day of its reinstatement where one is known."""
    found = intervals(defaults, ("issue_id", "default_date"), "reinstated_date", ("month",))
    return found.filter(pl.col("default_date").is_not_null())


def _amount_spells(amounts: pl.DataFrame) -> pl.DataFrame:
    known = amounts.filter(pl.col("amount_outstanding").is_not_null())
    rows = known.select("month", "issue_id", "effective_date", "transaction_id", "amount_outstanding")
    # Rows without a number come first, so that one that has one goes before them.
    order = ("effective_date", pl.col("transaction_id").fill_null(-1), -pl.col("amount_outstanding"))
    return spells(rows, ("issue_id",), order)


def _amount_at(rows: pl.DataFrame, outstanding: pl.DataFrame | None, month: date, name: str) -> pl.DataFrame:
    """Add the latest amount at or before the end of a month, else the offering amount, in which zero is no amount."""
    offered = pl.when(pl.col("offering_amt") > 0.0).then(pl.col("offering_amt"))
    if outstanding is None:
        return rows.with_columns(offered.alias(name))
    held = in_force(outstanding, month).select("issue_id", pl.col("amount_outstanding").alias(name))
    joined = rows.join(held, on="issue_id", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce(pl.col(name), offered).alias(name))


def _outstanding(terms: pl.DataFrame, outstanding: pl.DataFrame | None, month: date) -> pl.DataFrame:
    """Issues that are known by a month and neither matured nor wholly redeemed before it."""
    alive = pl.col("maturity").is_null() | (pl.col("maturity") >= month)
    rows = terms.filter(pl.col("known") <= month, alive).with_columns(month=pl.lit(month))
    rows = _amount_at(rows, outstanding, shift(month, -1), "amount_before")
    rows = _amount_at(rows, outstanding, month, "amount_outstanding")
    gone = (pl.col("amount_before") == 0.0) & (pl.col("amount_outstanding") == 0.0)
    return rows.filter(~gone.fill_null(False))


def _in_default(rows: pl.DataFrame, defaulted: pl.DataFrame | None, month: date) -> pl.DataFrame:
    """Add the latest default by the end of a month that was not reinstated by then."""
    if defaulted is None:
        return rows.with_columns(default_date=pl.lit(None, dtype=pl.Date))
    last_day = pl.lit(month).dt.month_end()
    reinstated = (pl.col("reinstated_date") <= last_day).fill_null(False)
    open_ = defaulted.filter(pl.col("month") <= month, ~reinstated)
    held = open_.group_by("issue_id").agg(pl.col("default_date").max())
    return rows.join(held, on="issue_id", how="left", maintain_order="left")


def _rated(rows: pl.DataFrame, rated: dict[str, pl.DataFrame] | None, month: date) -> pl.DataFrame:
    if rated is None:
        return rows.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in RATINGS)
    return rows.join(ratings_at(rated, month), on="issue_id", how="left", maintain_order="left")


def _one_issue_a_cusip(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the issue of each CUSIP that was offered first, and each ISIN with the issue that was; sorted by cusip."""
    ordered = rows.sort("cusip", "offering_date", "issue_id", nulls_last=True)
    single = ordered.with_columns(issues_of_cusip=pl.len().over("cusip").cast(pl.Int32)).unique(
        "cusip", keep="first", maintain_order=True
    )
    owners = single.filter(pl.col("isin").is_not_null()).sort("isin", "offering_date", "issue_id", nulls_last=True)
    owners = owners.unique("isin", keep="first", maintain_order=True).select("isin", owner="issue_id")
    named = single.join(owners, on="isin", how="left", maintain_order="left")
    return named.with_columns(isin=pl.when(pl.col("owner") == pl.col("issue_id")).then(pl.col("isin")))


def _universe(rows: pl.DataFrame, settings: IssueSettings) -> pl.DataFrame:
    found = rows.with_columns(passes(settings)).with_columns(eligible=pl.all_horizontal(list(FILTERS)))
    return found.select(*SCHEMA).cast(SCHEMA).sort("cusip")  # type: ignore[arg-type]


def issues_figures(rows: pl.DataFrame) -> dict[str, Any]:
    """Say how the issues of a month narrow down to the universe.

    Parameters
    ----------
    rows : pl.DataFrame
        ``bond_issues`` of one month.

    Returns
    -------
    dict
        ``waterfall``: step, rows_in and rows_out of each filter, ending with the universe; ``duplicate_cusips``: issues
        left out because an earlier one has their CUSIP; ``unlikely_first_interest``: bonds of the universe whose day
        of the first coupon is not used; ``eligible_amount``: thousands outstanding in the universe;
        ``rated``: bonds of the universe with a rating; ``in_default``: those in default.
    """
    universe = rows.filter(pl.col("eligible"))
    steps = {entry.meaning: pl.col(name) for name, entry in FILTERS.items()}
    return {
        "waterfall": waterfall(rows, steps),
        "duplicate_cusips": int((rows["issues_of_cusip"] - 1).sum()),
        "unlikely_first_interest": int(universe["unlikely_first_interest"].sum()),
        "eligible_amount": universe["amount_outstanding"].sum(),
        "rated": universe["rating"].count(),
        "in_default": universe["default_date"].count(),
    }
