"""Mergent's Fixed Income Securities Database: issues, issuers, defaults, ratings, amounts outstanding.

Belongs here: columns, keys and the month in which a row became known. Does not: the universe or the scales of ratings
(``pipeline.bonds``). Coupons are percent, amounts are thousands of dollars.

An issue is known from its offering, else from the day from which interest accrues; one that has neither counts as known
from the first month there is, since nothing in its row says otherwise. Issuers have no date: of their columns only
``industry_group``, which does not change, says what was so at an earlier day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.copies import COPY, with_copies
from pipeline.extracts.cusip import cusip_column, eight
from pipeline.extracts.events import events
from pipeline.extracts.parsing import month_of
from pipeline.extracts.table import Column, Table, Tabular, View, columns
from pipeline.panel.calendar import FIRST_MONTH

_FLAGS = (
    "convertible",
    "putable",
    "redeemable",
    "exchangeable",
    "asset_backed",
    "rule_144a",
    "foreign_currency",
    "perpetual",
)
_WHOLE = ("issue_id", "issuer_id")
_DEFAULT_KEY = ("issue_id", "default_date")
_RATING_KEY = ("issue_id", "rating_type", "rating_date")
_AMOUNT_KEY = ("issue_id", "effective_date", "action_type")


class Issues(dy.Schema):
    """Terms of an issue at its offering; flags are Y and N."""

    month = dy.Date()
    issue_id = dy.Int64(primary_key=True)
    cusip = cusip_column(nullable=True)
    complete_cusip = dy.String(nullable=True)
    isin = dy.String(nullable=True)
    issuer_id = dy.Int64(nullable=True)
    issuer_cusip = dy.String(nullable=True)
    prospectus_issuer_name = dy.String(nullable=True)
    coupon = dy.Float64(nullable=True)
    coupon_type = dy.String(nullable=True)
    interest_frequency = dy.String(nullable=True)
    dated_date = dy.Date(nullable=True)
    first_interest_date = dy.Date(nullable=True)
    offering_date = dy.Date(nullable=True)
    offering_amt = dy.Float64(nullable=True)
    maturity = dy.Date(nullable=True)
    principal_amt = dy.Float64(nullable=True)
    day_count_basis = dy.String(nullable=True)
    bond_type = dy.String(nullable=True)
    security_level = dy.String(nullable=True)
    convertible = dy.String(nullable=True)
    putable = dy.String(nullable=True)
    redeemable = dy.String(nullable=True)
    exchangeable = dy.String(nullable=True)
    asset_backed = dy.String(nullable=True)
    rule_144a = dy.String(nullable=True)
    private_placement = dy.String(nullable=True)
    foreign_currency = dy.String(nullable=True)
    perpetual = dy.String(nullable=True)


class Issuers(dy.Schema):
    """Headers of issuers: today's values."""

    month = dy.Date()
    issuer_id = dy.Int64(primary_key=True)
    cusip_name = dy.String(nullable=True)
    industry_group = dy.String(nullable=True)
    country_domicile = dy.String(nullable=True)


class Defaults(dy.Schema):
    """Defaults of issues as events: the day of the default, and the day on which the issue was reinstated.

    An issue may default in several ways on one day, which is one default here, and over when all of them are mended. A
    reinstatement dated before the default mends nothing and is left out; so is a default without a day.
    """

    month = dy.Date()
    issue_id = dy.Int64(primary_key=True)
    default_date = dy.Date(primary_key=True)
    event = dy.String(primary_key=True)
    reinstated_date = dy.Date(nullable=True)


class Ratings(dy.Schema):
    """Ratings as given, by agency (``rating_type``: SPR, MR, FR, DPR) and day; ``copy`` numbers the rows of one day.

    A rating without a day is left out.
    """

    month = dy.Date()
    issue_id = dy.Int64(primary_key=True)
    rating_type = dy.String(primary_key=True)
    rating_date = dy.Date(primary_key=True)
    rating = dy.String(nullable=True)
    copy = dy.Int64(primary_key=True)


class Amounts(dy.Schema):
    """Amounts outstanding after an action; ``copy`` numbers the rows of one day and action.

    ``transaction_id`` numbers the actions in their order. An amount without a day is left out.
    """

    month = dy.Date()
    issue_id = dy.Int64(primary_key=True)
    effective_date = dy.Date(primary_key=True)
    action_type = dy.String(primary_key=True)
    transaction_id = dy.Int64(nullable=True)
    amount_outstanding = dy.Float64(nullable=True, min=0.0)
    copy = dy.Int64(primary_key=True)


Derive = Callable[[pl.DataFrame], pl.DataFrame]


def _issues(block: pl.DataFrame) -> pl.DataFrame:
    days = [month_of(pl.col(name)) for name in ("offering_date", "dated_date")]
    return block.with_columns(
        cusip=eight("complete_cusip"),
        complete_cusip=pl.col("complete_cusip").str.to_uppercase(),
        isin=pl.col("isin").str.to_uppercase(),
        month=pl.coalesce(*days, FIRST_MONTH),
    )


def _issuers(block: pl.DataFrame) -> pl.DataFrame:
    return block.with_columns(month=pl.lit(FIRST_MONTH))


def _defaults(block: pl.DataFrame) -> pl.DataFrame:
    ended = pl.col("reinstated_date")
    dated = block.filter(pl.col("default_date").is_not_null()).with_columns(
        pl.when(ended >= pl.col("default_date")).then(ended).alias("reinstated_date")
    )
    mended = pl.when(ended.is_not_null().all()).then(ended.max())
    one = dated.group_by(_DEFAULT_KEY).agg(mended.alias("reinstated_date"))
    return events(one, _DEFAULT_KEY, "default_date", "reinstated_date")


def _ratings(block: pl.DataFrame) -> pl.DataFrame:
    dated = block.filter(pl.col("rating_date").is_not_null())
    return with_copies(dated.with_columns(month=month_of(pl.col("rating_date"))), _RATING_KEY)


def _amounts(block: pl.DataFrame) -> pl.DataFrame:
    dated = block.filter(pl.col("effective_date").is_not_null())
    numbered = dated.with_columns(pl.col("transaction_id").cast(pl.Int64), month=month_of(pl.col("effective_date")))
    return with_copies(numbered, _AMOUNT_KEY)


def _table(
    stem: str,
    schema: type[dy.Schema],
    key: Sequence[str],
    derive: Derive,
    wanted: Sequence[Column],
    date: str,
    *,
    published: dict[str, str] | None = None,
    otherwise: Sequence[str] = (),
) -> Tabular:
    """Describe a table; rows that no date column dates are known from the first month, if the view keeps them."""

    def with_identifiers(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
        mine = [name for name in _WHOLE if name in block.columns]
        return derive(block.with_columns(pl.col(mine).cast(pl.Int64)))

    return Tabular(
        stem=stem,
        columns=tuple(wanted),
        date=date,
        instead=tuple(otherwise),
        undated=FIRST_MONTH,
        views=(
            View(
                table=Table(name=stem, key=tuple(key), schema=schema, published=published or {}),
                derive=with_identifiers,
            ),
        ),
    )


TABULARS = (
    _table(
        "fisd.fisd_mergedissue",
        Issues,
        ("issue_id",),
        _issues,
        (
            *columns(
                dates=("offering_date", "dated_date", "first_interest_date", "maturity"),
                texts=(
                    "complete_cusip",
                    "isin",
                    "prospectus_issuer_name",
                    "coupon_type",
                    "day_count_basis",
                    "bond_type",
                    "security_level",
                    *_FLAGS,
                ),
                numbers=("coupon", "offering_amt"),
                whole_numbers=_WHOLE,
            ),
            *columns(texts=("issuer_cusip", "private_placement"), numbers=("principal_amt",), optional=True),
            Column(name="interest_frequency", kind="text", whole=True),
        ),
        "offering_date",
        published={"cusip": "complete_cusip"},
        otherwise=("dated_date",),
    ),
    _table(
        "fisd.fisd_mergedissuer",
        Issuers,
        ("issuer_id",),
        _issuers,
        (
            *columns(whole_numbers=("issuer_id",)),
            Column(name="industry_group", kind="text", whole=True),
            *columns(texts=("cusip_name", "country_domicile"), optional=True),
        ),
        "",
    ),
    _table(
        "fisd.fisd_issue_default",
        Defaults,
        ("issue_id", "default_date", "event"),
        _defaults,
        columns(dates=("default_date", "reinstated_date"), whole_numbers=("issue_id",)),
        "default_date",
    ),
    _table(
        "fisd.fisd_ratings",
        Ratings,
        (*_RATING_KEY, COPY),
        _ratings,
        columns(dates=("rating_date",), texts=("rating_type", "rating"), whole_numbers=("issue_id",)),
        "rating_date",
    ),
    _table(
        "fisd.fisd_amt_out_hist",
        Amounts,
        (*_AMOUNT_KEY, COPY),
        _amounts,
        (
            *columns(
                dates=("effective_date",),
                texts=("action_type",),
                numbers=("amount_outstanding",),
                whole_numbers=("issue_id",),
            ),
            *columns(whole_numbers=("transaction_id",), optional=True),
        ),
        "effective_date",
    ),
)
