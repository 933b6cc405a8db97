"""Compustat's annual and quarterly files.

Belongs here: columns, keys and the month in which a row became known. Does not: filters and accounting
(``pipeline.equity``). Money is millions, shares are millions, prices dollars.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.gvkey import GVKEY, gvkey_column, six_digits
from pipeline.extracts.parsing import month_of
from pipeline.extracts.table import Table, Tabular, View, columns

FORMATS = ("indfmt", "datafmt", "popsrc", "consol")

ANNUAL_ITEMS = (
    "aco", "act", "ajex", "ao", "ap", "at", "capx", "ceq", "che", "cogs", "csho", "cshrc", "dcpstk", "dcvt", "dlc",
    "dltt", "dm", "dp", "dvt", "ebit", "emp", "fatb", "fatl", "gp", "ib", "intan", "invt", "ivao", "lco", "lct", "lo",
    "lt", "mib", "ni", "nopi", "oancf", "oiadp", "ppegt", "ppent", "prcc_f", "pstk", "pstkl", "pstkrv", "rect",
    "revt", "sale", "scstkc", "seq", "tie", "txdb", "txdi", "txditc", "txfed", "txfo", "txp", "txt", "wcapch", "xad",
    "xint", "xrd", "xsga",
)  # fmt: skip
"""Items of ``comp.funda`` that characteristics are made of."""

ANNUAL_CODES = ("fyear", "fyr", "sich", "naicsh")
"""Whole numbers of ``comp.funda``: fiscal year, month of its end, industry codes by date."""

_QUARTERLY_CODES = ("fyr", "fyearq", "fqtr")

QUARTERLY_ITEMS = (
    "actq", "atq", "ceqq", "cheq", "cshoq", "dlcq", "ibq", "lctq", "ltq", "ppentq", "prccq", "pstkq", "pstkrq",
    "saleq", "seqq", "txtq",
)  # fmt: skip
"""Items of ``comp.fundq`` that characteristics are made of."""

QUARTER_DELAY = 3
"""Months after its end at which a quarter without a report date counts as known."""


def _whole(*names: str) -> dict[str, dy.Column]:
    return {name: dy.Int64(nullable=True) for name in names}


def _values(names: Sequence[str]) -> dict[str, dy.Column]:
    return {name: dy.Float64(nullable=True) for name in names}


_KEYS: dict[str, dy.Column] = {
    "gvkey": gvkey_column(),
    "datadate": dy.Date(primary_key=True),
    **{name: dy.String(primary_key=True) for name in FORMATS},
}
_TEXT = dy.String(nullable=True)

Funda = type(
    "Funda",
    (dy.Schema,),
    {
        "month": dy.Date(),
        **_KEYS,
        **_whole(*ANNUAL_CODES),
        "curcd": _TEXT,
        "cusip": dy.String(nullable=True),
        "conm": dy.String(nullable=True),
        **_values(ANNUAL_ITEMS),
    },
)
Fundq = type(
    "Fundq",
    (dy.Schema,),
    {
        "month": dy.Date(),
        **_KEYS,
        "fyr": dy.Int64(primary_key=True),
        **_whole("fyearq", "fqtr"),
        "rdq": dy.Date(nullable=True),
        "curcdq": dy.String(nullable=True),
        **_values(QUARTERLY_ITEMS),
    },
)


def _identified(block: pl.DataFrame, *whole: str) -> pl.DataFrame:
    """Keys and codes as Compustat writes them, whatever the export made of them."""
    return block.with_columns(six_digits("gvkey"), *(pl.col(name).cast(pl.Int64) for name in whole))


def _funda(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    return _identified(block, *ANNUAL_CODES).with_columns(month=month_of(pl.col("datadate")))


def _fundq(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    reported = pl.when(pl.col("rdq") >= pl.col("datadate")).then(month_of(pl.col("rdq")))
    assumed = month_of(pl.col("datadate")).dt.offset_by(f"{QUARTER_DELAY}mo")
    return _identified(block, *_QUARTERLY_CODES).with_columns(month=pl.coalesce(reported, assumed))


TABULARS = (
    Tabular(
        stem="comp.funda",
        columns=(
            GVKEY,
            *columns(
                dates=("datadate",),
                texts=(*FORMATS, "curcd", "cusip", "conm"),
                numbers=ANNUAL_ITEMS,
                whole_numbers=ANNUAL_CODES,
            ),
        ),
        date="datadate",
        views=(
            View(
                table=Table(name="comp.funda", key=("gvkey", "datadate", *FORMATS), schema=Funda, by_month=True),
                derive=_funda,
            ),
        ),
    ),
    Tabular(
        stem="comp.fundq",
        columns=(
            GVKEY,
            *columns(
                dates=("datadate", "rdq"),
                texts=(*FORMATS, "curcdq"),
                numbers=QUARTERLY_ITEMS,
                whole_numbers=_QUARTERLY_CODES,
            ),
        ),
        date="datadate",
        reported="rdq",
        delay=QUARTER_DELAY,
        views=(
            View(
                table=Table(name="comp.fundq", key=("gvkey", "datadate", "fyr", *FORMATS), schema=Fundq, by_month=True),
                derive=_fundq,
            ),
        ),
    ),
)
