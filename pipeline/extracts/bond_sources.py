"""Bond tables beside TRACE and FISD: other month-end prices, prices after default, links to CRSP.

Belongs here: columns, keys and the month in which a row became known. Does not: which source counts
(``pipeline.bonds``). Prices, accrued interest and coupons paid are per 100 of face; prices are clean.
"""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.cusip import cusip_column, eight
from pipeline.extracts.errors import BadExtract
from pipeline.extracts.events import end_column, events
from pipeline.extracts.parsing import month_of
from pipeline.extracts.table import Table, Tabular, View, columns

_LINK = ("cusip", "link_startdt", "permno")
"""A bond may be linked to several stocks from one day, the classes of its issuer."""


class Prices(dy.Schema):
    """Prices of bonds; the coupon is what was paid in the month."""

    month = dy.Date()
    cusip = cusip_column(primary_key=True)
    date = dy.Date(primary_key=True)
    price = dy.Float64(nullable=True, min=0.0)
    accrued_interest = dy.Float64(nullable=True)
    coupon_paid = dy.Float64(nullable=True)


class Recovery(dy.Schema):
    """What a defaulted bond was worth."""

    month = dy.Date()
    cusip = cusip_column(primary_key=True)
    default_date = dy.Date(primary_key=True)
    recovery_price = dy.Float64(nullable=True, min=0.0)


class BondLinks(dy.Schema):
    """Links of bonds to their issuers' stocks, as events: each begins, and ends if it does."""

    month = dy.Date()
    cusip = cusip_column(primary_key=True)
    link_startdt = dy.Date(primary_key=True)
    permno = dy.Int64(primary_key=True)
    permco = dy.Int64(nullable=True)
    event = dy.String(primary_key=True)
    link_enddt = end_column("link_startdt")


def _prices(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    return block.with_columns(cusip=eight("cusip"), month=month_of(pl.col("date")))


def _recovery(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    """Prices after default, per 100 of face; none above 1 means that all of them are shares of face."""
    highest = block.select(pl.col("recovery_price").max()).item()
    if highest is not None and 0.0 < highest <= 1.0:
        raise BadExtract(
            file=files,
            column="recovery_price",
            problem=f"holds no price above 1, the highest being {highest}: these are shares of face",
            count=block["recovery_price"].count(),
            remedy="write prices per 100 of face, 40 for a recovery of 0.4",
        )
    return block.with_columns(cusip=eight("cusip"), month=month_of(pl.col("default_date")))


def _links(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    """Links as events; one to no stock links nothing and is left out."""
    linked = block.filter(pl.col("permno").is_not_null())
    identified = linked.with_columns(pl.col("permno", "permco").cast(pl.Int64), cusip=eight("cusip"))
    return events(identified, _LINK, "link_startdt", "link_enddt")


def _source(stem: str) -> Tabular:
    return Tabular(
        stem=stem,
        columns=(
            *columns(dates=("date",), texts=("cusip",), numbers=("price",)),
            *columns(numbers=("accrued_interest", "coupon_paid"), optional=True),
        ),
        date="date",
        views=(View(table=Table(name=stem, key=("cusip", "date"), schema=Prices, by_month=True), derive=_prices),),
    )


TABULARS = (
    *(_source(stem) for stem in ("bonds.lehman", "bonds.mergent", "bonds.datastream")),
    Tabular(
        stem="bonds.recovery",
        columns=columns(dates=("default_date",), texts=("cusip",), numbers=("recovery_price",)),
        date="default_date",
        views=(
            View(table=Table(name="bonds.recovery", key=("cusip", "default_date"), schema=Recovery), derive=_recovery),
        ),
    ),
    Tabular(
        stem="wrdsapps.bondcrsp_link",
        columns=columns(dates=("link_startdt", "link_enddt"), texts=("cusip",), whole_numbers=("permno", "permco")),
        date="link_startdt",
        views=(
            View(table=Table(name="wrdsapps.bondcrsp_link", key=(*_LINK, "event"), schema=BondLinks), derive=_links),
        ),
    ),
)
