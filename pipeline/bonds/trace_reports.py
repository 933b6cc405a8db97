"""Trade reports as the cleaning reads them: what a row is, and groups of bonds small enough to hold.

Belongs here: reading staged ``trace.trace_enhanced``. Does not: which reports go (``trace_filters``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

from pipeline.bonds.trace_settings import TraceSettings

T = TypeVar("T")

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


class Bonds(NamedTuple):
    """Some bonds, numbered in the order of their CUSIPs.

    Attributes
    ----------
    cusips : pl.Series
        What the numbers stand for, in ascending order.
    maturity, since : ndarray
        Day of maturity, and first day of the month from which it is known, in days since 1970; the largest number
        where there is none.
    """

    cusips: pl.Series
    maturity: np.ndarray
    since: np.ndarray


def kinds(settings: TraceSettings) -> dict[str, pl.Expr]:
    """Say what a staged report is, by the regime of its report date.

    Returns
    -------
    dict of str to pl.Expr
        Boolean columns: ``first`` (not a repeated row), ``early`` (of the old regime), ``trade`` (a trade or its
        corrected version: T, W in the old regime, R in the present one), ``early_cancellation`` (C),
        ``early_correction`` (W), ``reversal`` (as-of R of the old regime), ``as_of_dropped`` (as-of R, X, D of the old
        regime), ``late_cancellation`` (X, and C of a trade that is corrected), ``late_reversal`` (Y).
    """
    early = pl.col("trd_rpt_dt") < settings.regime
    # Comparing a letter at a time takes half as long as looking it up in a list.
    status, as_of = (
        {code: pl.col(column).fill_null("") == code for code in codes}
        for column, codes in (("trc_st", "TWRXCY"), ("asof_cd", "RXD"))
    )
    return {
        "first": pl.col("copy") == 0,
        "early": early,
        "trade": status["T"] | (early & status["W"]) | (~early & status["R"]),
        "early_cancellation": early & status["C"],
        "early_correction": early & status["W"],
        "reversal": early & as_of["R"],
        "as_of_dropped": early & (as_of["R"] | as_of["X"] | as_of["D"]),
        "late_cancellation": ~early & (status["X"] | status["C"]),
        "late_reversal": ~early & status["Y"],
    }


def read(reports: pl.LazyFrame, bonds: Bonds, marks: Mapping[str, pl.Expr], settings: TraceSettings) -> pl.DataFrame:
    """Read staged reports, no wider than the filters need them.

    Parameters
    ----------
    reports : pl.LazyFrame
        Rows of ``trace.trace_enhanced``; fast where those of a bond lie together.
    bonds : Bonds
        At least the bonds that ``reports`` are about.
    marks : mapping of str to pl.Expr
        Boolean columns that the filters ask for, from the columns of a staged row.
    settings : TraceSettings
        The regime's first day.

    Returns
    -------
    pl.DataFrame
        month (of the report), ``bond`` (its number in ``bonds``), the report's columns under short names, ``token`` (a
        hash of the message number), and Boolean columns: the kinds of report, the filters that look at one report
        alone, ``matured`` (the bond had matured before the day of execution).
    """
    rows = reports.select(
        "month",
        *(pl.col(column).alias(name) for name, column in _COLUMNS.items()),
        *(kind.alias(name) for name, kind in kinds(settings).items()),
        *(mark.alias(name) for name, mark in marks.items()),
        token=pl.col("msg_seq_nb").hash(),
    ).collect(engine="streaming")
    # Rows are picked from many times, which takes ten times as long from pieces.
    rows = rows.rechunk()
    runs = rows["cusip"].rle().struct.unnest()
    bond = np.repeat(runs["value"].cast(pl.Enum(bonds.cusips)).to_physical().to_numpy(), runs["len"].to_numpy())
    day = rows["date"].to_physical().to_numpy()
    matured = (day > bonds.maturity[bond]) & (day >= bonds.since[bond])
    return rows.drop("cusip").with_columns(bond=pl.Series(bond, dtype=pl.UInt32), matured=pl.Series(matured))


def first_issues(issues: pl.DataFrame) -> pl.DataFrame:
    """Return cusip, maturity and the month from which an issue counts (``since``), one row a CUSIP.

    Of several issues with one CUSIP the first counts, of those of one month the one that matures last: an issue that
    becomes known later changes nothing about earlier trades.
    """
    ordered = issues.sort("cusip", "month", "maturity", descending=[False, False, True], nulls_last=True)
    return ordered.unique("cusip", keep="first", maintain_order=True).select("cusip", "maturity", since="month")


def groups(reports: pl.LazyFrame, issues: pl.DataFrame, rows: float = math.inf) -> list[Bonds]:
    """Split bonds into groups with about so many reports each; a bond is never split.

    Parameters
    ----------
    reports : pl.LazyFrame
        Rows of ``trace.trace_enhanced``, of which the column ``cusip`` is read.
    issues : pl.DataFrame
        What :func:`first_issues` gives.
    rows : float
        Reports a group.

    Returns
    -------
    list of Bonds
        In the order of their CUSIPs; at least one, which is empty where ``reports`` is.
    """
    counted = reports.group_by("cusip").len().collect(engine="streaming").sort("cusip")
    known = counted.join(issues, on="cusip", how="left", maintain_order="left")
    days = known.select(pl.col("maturity", "since").to_physical().fill_null(np.iinfo(np.int32).max))
    group = (counted["len"].cast(pl.Int64).cum_sum().to_numpy() - 1) // rows
    starts = [0, *(np.flatnonzero(group[1:] != group[:-1]) + 1).tolist(), len(group)]
    return [
        Bonds(known["cusip"][start:end], *(days[name].to_numpy()[start:end] for name in days.columns))
        for start, end in pairwise(starts)
    ]


def ahead(parts: Iterable[T]) -> Iterator[T]:
    """Yield the parts, the next of which is read while the last is worked on; two are then held at once."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = iter(parts)
        coming = pool.submit(next, waiting, None)
        while (part := coming.result()) is not None:
            coming = pool.submit(next, waiting, None)
            yield part
