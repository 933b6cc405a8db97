"""Trade reports as the cleaning reads them: what a row is, and groups of bonds small enough to hold.

Belongs here: reading staged ``trace.trace_enhanced``. Does not: which reports go (``trace_filters``).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from pipeline.bonds.trace_settings import TraceSettings

KEY = ("bond", "date", "price", "volume", "side", "contra")
"""What a reversal has in common with its original: six columns, the time of execution not among them."""

_COLUMNS = {
    "cusip": "cusip",
    "date": "trd_exctn_dt",
    "time": "trd_exctn_tm",
    "report_date": "trd_rpt_dt",
    "report_time": "trd_rpt_tm",
    "number": "msg_seq_nb",
    "original": "orig_msg_seq_nb",
    "price": "rptd_pr",
    "volume": "entrd_vol_qt",
    "side": "rpt_side_cd",
    "contra": "cntra_mp_id",
}

EARLY_TRADES, EARLY_CANCELLATION, EARLY_CORRECTION = ("T", "W"), "C", "W"
LATE_TRADES, LATE_CANCELLATIONS, LATE_REVERSAL = ("T", "R"), ("X", "C"), "Y"
AS_OF_REVERSAL, AS_OF_DROPPED = "R", ("R", "X", "D")


def kinds(settings: TraceSettings) -> dict[str, pl.Expr]:
    """Say what a staged report is, by the regime of its report date.

    Returns
    -------
    dict of str to pl.Expr
        Boolean columns: ``first`` (not a repeated row), ``early`` (of the old regime), ``trade`` (a trade or its
        corrected version), ``early_cancellation``, ``early_correction``, ``reversal`` and ``as_of_dropped`` (codes of
        the old regime), ``late_cancellation`` (also of a trade that is corrected), ``late_reversal``.
    """
    early = pl.col("trd_rpt_dt") < settings.regime
    status, as_of = pl.col("trc_st"), pl.col("asof_cd")
    found = {
        "first": pl.col("copy") == 0,
        "early": early,
        "trade": pl.when(early).then(status.is_in(EARLY_TRADES)).otherwise(status.is_in(LATE_TRADES)),
        "early_cancellation": early & (status == EARLY_CANCELLATION),
        "early_correction": early & (status == EARLY_CORRECTION),
        "reversal": early & (as_of == AS_OF_REVERSAL),
        "as_of_dropped": early & as_of.is_in(AS_OF_DROPPED),
        "late_cancellation": ~early & status.is_in(LATE_CANCELLATIONS),
        "late_reversal": ~early & (status == LATE_REVERSAL),
    }
    return {name: kind.fill_null(False) for name, kind in found.items()}


def read(reports: pl.LazyFrame, marks: dict[str, pl.Expr], settings: TraceSettings) -> pl.DataFrame:
    """Read staged reports, no wider than the filters need them.

    Parameters
    ----------
    reports : pl.LazyFrame
        Rows of ``trace.trace_enhanced``.
    marks : dict of str to pl.Expr
        Boolean columns that the filters ask for, from the columns of a staged row.
    settings : TraceSettings
        The regime's first day.

    Returns
    -------
    pl.DataFrame
        month (of the report), cusip, ``bond`` (a number for each CUSIP, in their order), the trade's columns under
        short names, ``token`` (a hash of the message number) and the Boolean columns of :func:`kinds` and ``marks``.
    """
    rows = reports.select(
        "month",
        *(pl.col(column).alias(name) for name, column in _COLUMNS.items()),
        *(kind.alias(name) for name, kind in kinds(settings).items()),
        *(mark.alias(name) for name, mark in marks.items()),
        token=pl.col("msg_seq_nb").hash(),
    ).collect(engine="streaming")
    bonds = pl.Enum(rows["cusip"].unique().sort())
    return rows.with_columns(bond=pl.col("cusip").cast(bonds).to_physical().cast(pl.UInt32))


def groups(reports: pl.LazyFrame, rows_at_once: int) -> Iterator[pl.LazyFrame]:
    """Split reports into groups of bonds with about so many rows; a bond is never split.

    Parameters
    ----------
    reports : pl.LazyFrame
        Rows with a column ``cusip``; it is read once more to count them where they are too many.
    rows_at_once : int
        Rows a group.

    Yields
    ------
    pl.LazyFrame
        Ranges of CUSIPs that together make up ``reports``; nothing where that is empty.
    """
    rows = reports.select(pl.len()).collect().item()
    if rows <= rows_at_once:
        yield from [reports] * (rows > 0)
        return
    counted = reports.group_by("cusip").len().collect(engine="streaming").sort("cusip")
    group = (counted["len"].cum_sum() - 1) // rows_at_once
    for _, part in counted.with_columns(group=group).group_by("group", maintain_order=True):
        yield reports.filter(pl.col("cusip").is_between(part["cusip"][0], part["cusip"][-1]))
