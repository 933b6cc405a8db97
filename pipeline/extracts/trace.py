"""TRACE Enhanced (``trace.trace_enhanced``): reports of trades in corporate bonds, as they came in.

Belongs here: columns, types and the month in which a report became known. Does not: which reports are trades
(``pipeline.bonds``): cancelled, corrected and mistaken reports, prices of zero and repeated rows are staged, for the
cleaning to count and drop. Prices are per 100 of face, volumes dollars of face.

Message numbers are staged without leading zeros: files of different years, or programs, write them with or without, and
reports name each other by them.

A report without a CUSIP names no bond and is left out. A report is known from the day it was made, ``trd_rpt_dt``,
however old the trade.
"""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.copies import COPY, with_copies
from pipeline.extracts.cusip import cusip_column, eight
from pipeline.extracts.parsing import month_of
from pipeline.extracts.table import Column, Table, Tabular, View, columns

_NUMBERED = ("msg_seq_nb", "orig_msg_seq_nb", "days_to_sttl_ct")
_TEXTS = (
    "cusip_id",
    "trc_st",
    "asof_cd",
    "wis_fl",
    "cmsn_trd",
    "lckd_in_ind",
    "sale_cndtn_cd",
    "rpt_side_cd",
    "cntra_mp_id",
    "buy_cpcty_cd",
    "sell_cpcty_cd",
)
_KEY = ("cusip", "trd_exctn_dt", "msg_seq_nb", "trc_st", "trd_rpt_dt", "trd_rpt_tm")
"""What tells reports apart: a cancellation repeats the message number of what it cancels."""


class TraceEnhanced(dy.Schema):
    """Reports of trades, one row a report; ``copy`` numbers the rows that have one key."""

    month = dy.Date()
    cusip = cusip_column(primary_key=True)
    cusip_id = dy.String()
    trd_exctn_dt = dy.Date(primary_key=True)
    trd_exctn_tm = dy.Time(nullable=True)
    trd_rpt_dt = dy.Date(primary_key=True)
    trd_rpt_tm = dy.Time(primary_key=True)
    msg_seq_nb = dy.String(primary_key=True)
    orig_msg_seq_nb = dy.String(nullable=True)
    trc_st = dy.String(primary_key=True)
    asof_cd = dy.String(nullable=True)
    wis_fl = dy.String(nullable=True)
    cmsn_trd = dy.String(nullable=True)
    lckd_in_ind = dy.String(nullable=True)
    sale_cndtn_cd = dy.String(nullable=True)
    days_to_sttl_ct = dy.String(nullable=True)
    stlmnt_dt = dy.Date(nullable=True)
    entrd_vol_qt = dy.Float64(nullable=True)
    rptd_pr = dy.Float64(nullable=True)
    yld_pt = dy.Float64(nullable=True)
    rpt_side_cd = dy.String(nullable=True)
    cntra_mp_id = dy.String(nullable=True)
    buy_cpcty_cd = dy.String(nullable=True)
    sell_cpcty_cd = dy.String(nullable=True)
    pr_trd_dt = dy.Date(nullable=True)
    copy = dy.Int64(primary_key=True)


def _without_zeros(name: str) -> pl.Expr:
    """Drop leading zeros; of a number that is zero one stays."""
    stripped = pl.col(name).str.strip_chars_start("0")
    return pl.when(stripped == "").then(pl.lit("0")).otherwise(stripped).alias(name)


def _reports(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    named = block.lazy().filter(pl.col("cusip_id").is_not_null())
    dated = named.with_columns(
        *(_without_zeros(name) for name in ("msg_seq_nb", "orig_msg_seq_nb")),
        cusip=eight("cusip_id"),
        month=month_of(pl.col("trd_rpt_dt")),
    )
    return with_copies(dated.collect(), _KEY)


TRACE_ENHANCED = Tabular(
    stem="trace.trace_enhanced",
    columns=(
        *columns(
            dates=("trd_rpt_dt", "trd_exctn_dt"),
            texts=_TEXTS,
            numbers=("entrd_vol_qt", "rptd_pr"),
        ),
        *columns(dates=("stlmnt_dt", "pr_trd_dt"), numbers=("yld_pt",), optional=True),
        *(Column(name=name, kind="text", whole=True) for name in _NUMBERED),
        *(Column(name=name, kind="time") for name in ("trd_exctn_tm", "trd_rpt_tm")),
    ),
    date="trd_rpt_dt",
    views=(
        View(
            table=Table(
                name="trace.trace_enhanced",
                key=(*_KEY, COPY),
                schema=TraceEnhanced,
                by_month=True,
                published={"cusip": "cusip_id"},
            ),
            derive=_reports,
        ),
    ),
)
