"""Trade reports as the cleaning reads them: what a row is, and groups of bonds small enough to hold.

Belongs here: reading staged ``trace.trace_enhanced``. Does not: which reports go (``trace_filters``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
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


class Reports(NamedTuple):
    """Reports of some bonds.

    Attributes
    ----------
    rows : pl.DataFrame
        month (of the report), ``bond`` (a number for each CUSIP, in their order), the report's columns under short
        names, ``token`` (a hash of the message number), and Boolean columns: the kinds of report, the filters that look
        at one report alone, ``matured`` (the bond had matured before the day of execution).
    cusips : pl.Series
        What the numbers stand for.
    """

    rows: pl.DataFrame
    cusips: pl.Series


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


def read(reports: pl.LazyFrame, issues: pl.DataFrame, marks: Mapping[str, pl.Expr], settings: TraceSettings) -> Reports:
    """Read staged reports, no wider than the filters need them.

    Parameters
    ----------
    reports : pl.LazyFrame
        Rows of ``trace.trace_enhanced``.
    issues : pl.DataFrame
        What :func:`first_issues` gives.
    marks : mapping of str to pl.Expr
        Boolean columns that the filters ask for, from the columns of a staged row.
    settings : TraceSettings
        The regime's first day.
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
    cusips = rows["cusip"].unique().sort()
    bond = rows["cusip"].cast(pl.Enum(cusips)).to_physical().cast(pl.UInt32)
    matured = _matured(rows["date"], bond, cusips, issues)
    return Reports(rows.drop("cusip").with_columns(bond=bond, matured=matured), cusips)


def first_issues(issues: pl.DataFrame) -> pl.DataFrame:
    """Return cusip, maturity and the month from which an issue counts (``since``), one row a CUSIP.

    Of several issues with one CUSIP the first counts, of those of one month the one that matures last: an issue that
    becomes known later changes nothing about earlier trades.
    """
    ordered = issues.sort("cusip", "month", "maturity", descending=[False, False, True], nulls_last=True)
    return ordered.unique("cusip", keep="first", maintain_order=True).select("cusip", "maturity", since="month")


def _matured(executed: pl.Series, bond: pl.Series, cusips: pl.Series, issues: pl.DataFrame) -> pl.Series:
    """Whether the bond had matured before the day of execution."""
    issue = cusips.to_frame().join(issues, on="cusip", how="left", maintain_order="left")
    days = issue.select(pl.col("maturity", "since").to_physical().fill_null(np.iinfo(np.int32).max))
    day, which = executed.to_physical().to_numpy(), bond.to_numpy()
    maturity, since = (days[name].to_numpy()[which] for name in days.columns)
    return pl.Series((day > maturity) & (day >= since))


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
        Ranges of CUSIPs that together make up ``reports``; at least one, which is empty where ``reports`` is.
    """
    rows = reports.select(pl.len()).collect().item()
    if rows <= rows_at_once:
        yield reports
        return
    counted = reports.group_by("cusip").len().collect(engine="streaming").sort("cusip")
    group = (counted["len"].cum_sum() - 1) // rows_at_once
    for _, part in counted.with_columns(group=group).group_by("group", maintain_order=True):
        yield reports.filter(pl.col("cusip").is_between(pl.lit(part["cusip"][0]), pl.lit(part["cusip"][-1])))


def ahead(parts: Iterable[T]) -> Iterator[T]:
    """Yield the parts, the next of which is read while the last is worked on; two are then held at once."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = iter(parts)
        coming = pool.submit(next, waiting, None)
        while (part := coming.result()) is not None:
            coming = pool.submit(next, waiting, None)
            yield part
