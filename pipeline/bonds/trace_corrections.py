"""Reports that take back, replace or repeat other reports, and the pairs that they form.

Each function gets all rows of some bonds (``trace_reports.read``) and which of them are still in, and says which stay
and, where reports take back others, which of them found nothing to take back (:class:`Outcome`). Pairs are found within
a bond; a missing number matches nothing, other missing values match each other. Belongs here: matching reports to
reports. Does not: what a single report's own columns decide (``trace_filters``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.bonds.trace_reports import KEY

_NUMBER = ("bond", "report_date", "number")
_TERMS = (*KEY, "time")
_LEG = ("bond", "date", "price", "volume")
DEALER = "D"

_NONE = np.array([], dtype=np.int64)
_BITS = 20
_ODD = 0x9E3779B97F4A7C15
"""An odd number with well-spread bits, so that what it multiplies is shifted far apart."""

_VALUE = pl.col("number").cast(pl.Int64, strict=False)
"""Message numbers count by value; what is no number comes first, by its text."""


class Outcome(NamedTuple):
    """What a filter makes of reports.

    Attributes
    ----------
    stays : pl.Series
        Boolean: the rows that pass, of those that passed all filters before. Rows that did not may have either value.
    unmatched : ndarray or None
        Positions of the rows that cancel, correct or reverse a report that is not there; None for a filter that pairs
        no reports so.
    """

    stays: pl.Series
    unmatched: np.ndarray | None = None


class _Pairs(NamedTuple):
    """Rows that others name, and the rows that name none."""

    named: pl.Series
    unmatched: np.ndarray


def not_cancelled_early(rows: pl.DataFrame, alive: pl.Series) -> Outcome:
    """Drop cancellations of the old regime and what they cancel: the number they name, reported on the same day."""
    cancellations = rows["early_cancellation"]
    originals = alive & rows["early"] & rows["trade"]
    found = _named(rows, originals, "report_date", alive & cancellations, "original", ["bond", "report_date"])
    return Outcome(_without(~cancellations, found.named), found.unmatched)


def not_corrected_early(rows: pl.DataFrame, alive: pl.Series) -> Outcome:
    """Keep the last of a chain of corrections of the old regime in place of the trade that it started from.

    A correction names the number of the trade, or of the correction, that it replaces on its report date. What is
    named goes, also where the correction was itself cancelled; a correction whose chain does not lead back to a trade
    that is still in goes too, and counts as unmatched.
    """
    corrections = rows["first"] & rows["early_correction"]
    if not corrections.any():
        return Outcome(alive, _NONE)
    originals = alive & rows["early"] & rows["trade"]
    replaced = _named(rows, originals, "report_date", corrections, "original", ["bond", "report_date"]).named
    chain = rows.select(*_NUMBER, "original").with_row_index("row")
    trades = chain[replaced].join(chain.filter(corrections), on="row", how="anti")
    unfounded = _unfounded(chain.filter(alive & corrections), trades)
    return Outcome(_without(_without(alive, replaced), unfounded), unfounded.to_numpy())


def _unfounded(corrections: pl.DataFrame, trades: pl.DataFrame) -> pl.Series:
    """Rows of corrections from which no chain leads to a trade."""
    founded = trades.select(_NUMBER)
    while corrections.height and founded.height:
        found = corrections.join(
            founded, left_on=["bond", "report_date", "original"], right_on=list(_NUMBER), how="semi"
        )
        corrections = corrections.join(found.select("row"), on="row", how="anti")
        founded = found.select(_NUMBER)
    return corrections["row"]


def not_reversed_early(rows: pl.DataFrame, alive: pl.Series) -> Outcome:
    """Drop one original for each as-of reversal of the old regime that has one.

    An original is a trade alike in six columns (:data:`~pipeline.bonds.trace_reports.KEY`) that was reported before
    the reversal and is no reversal or delayed report itself. Each reversal takes one; of several alike, those that
    were reported first go. The reversals themselves are dropped by the next filter.
    """
    reversals = alive & rows["reversal"] & rows["trade"]
    if not reversals.any():
        return Outcome(alive, _NONE)
    likeness = rows.select(_likeness(*KEY)).to_series().to_numpy()
    originals = alive & rows["early"] & rows["trade"] & ~rows["as_of_dropped"]
    originals &= pl.Series(_perhaps_among(likeness, likeness[reversals.to_numpy()]))
    both = (
        rows.select(*KEY, "time", "number", "report_date", "report_time", "early_correction", reversal=reversals)
        .with_row_index("row")
        .filter(reversals | originals)
        .with_columns(alike=pl.col("row").first().over(KEY))
        .sort("alike", "report_date", "report_time", "reversal", _VALUE, "number", "time", "early_correction")
    )
    reversal, row = both["reversal"].to_numpy(), both["row"].to_numpy()
    taken, lonely = _taken(both["alike"].to_numpy(), reversal)
    return Outcome(_without(alive, row[taken]), row[lonely])


def _taken(alike: np.ndarray, reversal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say which originals reversals take, and which reversals find none.

    Parameters
    ----------
    alike : ndarray
        The same number for reports that are alike; these lie together, by time of report.
    reversal : ndarray of bool
        Which are reversals; the others are originals.
    """
    start = np.flatnonzero(np.r_[True, alike[1:] != alike[:-1]])
    end = np.append(start[1:], len(alike)) - 1
    run = np.repeat(np.arange(len(start)), end - start + 1)
    reversals, originals = (
        counted - (counted - flags)[start][run] for flags in (reversal, ~reversal) for counted in [np.cumsum(flags)]
    )
    # A reversal that finds no original left is spent: it is one more than ever before were without one. Each run lies
    # above all before it, so that the highest number so far never comes from another.
    floor = run * (len(alike) + 1)
    spent = np.maximum.accumulate(np.where(reversal, reversals - originals, 0).clip(0) + floor) - floor
    earlier = np.append(0, spent[:-1])
    earlier[start] = 0
    return ~reversal & (originals <= (reversals - spent)[end][run]), reversal & (spent > earlier)


def not_cancelled(rows: pl.DataFrame, alive: pl.Series) -> Outcome:
    """Drop cancellations of the present regime and what they cancel, of either regime.

    A cancellation (X), and that of a corrected trade (C), repeats the trade's number, bond, day and time of execution,
    price, volume, side and contra party.
    """
    cancellations = rows["late_cancellation"]
    found = _named(rows, alive & rows["trade"], "date", alive & cancellations, "number", _TERMS)
    return Outcome(_without(~cancellations, found.named), found.unmatched)


def not_reversed(rows: pl.DataFrame, alive: pl.Series) -> Outcome:
    """Drop reversals of the present regime (Y) and the trades, of either regime, whose number they name."""
    reversals = rows["late_reversal"]
    found = _named(rows, alive & rows["trade"], "date", alive & reversals, "original", _TERMS)
    return Outcome(_without(~reversals, found.named), found.unmatched)


def once_between_dealers(rows: pl.DataFrame, alive: pl.Series) -> Outcome:
    """Drop the buyer's report of a trade between two dealers where the seller's is there.

    Two reports are of one trade when bond, day of execution, price and volume agree. Each sale takes one purchase; of
    several alike, those executed first go.
    """
    sale = pl.col("side") == "S"
    leg = (pl.col("contra") == DEALER) & (sale | (pl.col("side") == "B"))
    known = pl.col("price").is_not_null() & pl.col("volume").is_not_null()
    found = rows.select(leg=(leg & known).fill_null(False), sale=sale.fill_null(False))
    legs = np.flatnonzero((alive & found["leg"]).to_numpy())
    if not len(legs):
        return Outcome(alive)
    order, run = _runs(rows.select(_LEG)[legs])
    legs = legs[order]
    sold = found["sale"].to_numpy()[legs]
    sales, purchases = np.bincount(run, weights=sold), np.bincount(run, weights=~sold)
    paired = ~sold & (sales[run] > 0)
    unequal = paired & (purchases[run] > sales[run])
    first = (
        rows.select("time", "number", "report_date", "report_time")[legs[unequal]]
        .with_columns(row=legs[unequal], run=run[unequal], sales=sales[run[unequal]])
        .sort("time", _VALUE, "number", "report_date", "report_time")
        .filter(pl.int_range(pl.len()).over("run") < pl.col("sales"))
    )
    return Outcome(_without(alive, np.r_[legs[paired & ~unequal], first["row"].to_numpy()]))


def _runs(keys: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Order rows so that equal ones lie together; return the order and the number of each row's run."""
    likeness = keys.select(_likeness(*keys.columns)).to_series().to_numpy()
    order = np.argsort(likeness)
    equal = _equal_to_last(keys[order])
    if np.any(equal != (likeness[order][1:] == likeness[order][:-1])):
        # Two different keys with one hash may lie mixed.
        order = keys.with_row_index("row").sort(keys.columns)["row"].to_numpy()
        equal = _equal_to_last(keys[order])
    return order, np.cumsum(np.r_[False, ~equal])


def _equal_to_last(ordered: pl.DataFrame) -> np.ndarray:
    columns = (ordered[name].to_physical().to_numpy() for name in ordered.columns)
    return np.logical_and.reduce([column[1:] == column[:-1] for column in columns])


def _named(
    rows: pl.DataFrame, which: pl.Series, day: str, naming: pl.Series, column: str, key: Sequence[str]
) -> _Pairs:
    """Return positions of the rows that other rows name by their number, and of those that name none.

    Parameters
    ----------
    rows : pl.DataFrame
        All reports.
    which : pl.Series
        Limits the rows that may be named.
    day : str
        The day that both have in common, one of ``key``.
    naming : pl.Series
        The rows that name others.
    column : str
        Where these have the number.
    key : sequence of str
        What both have in common; a missing value equals another.
    """
    by = np.flatnonzero(naming.to_numpy())
    if not len(by):
        return _Pairs(pl.Series(dtype=pl.Int64), _NONE)
    pointers = rows.select(*key, named=column)[by]
    shift = pl.col(day).to_physical().cast(pl.UInt64) * _ODD
    marks = rows.select(pl.col("token") + shift).to_series().to_numpy()
    sought = pointers.select(pl.col("named").hash() + shift).to_series().to_numpy()
    at = np.flatnonzero(which.to_numpy() & _perhaps_among(marks, sought))
    pairs = pl.DataFrame({"mark": marks[at], "at": at}).join(
        pl.DataFrame({"mark": sought, "by": np.arange(len(by))}), on="mark"
    )
    other = pointers[pairs["by"]].rename({name: f"{name}_of_pointer" for name in key})
    agree = pl.all_horizontal(
        pl.col("number") == pl.col("named"), *(pl.col(name).eq_missing(pl.col(f"{name}_of_pointer")) for name in key)
    )
    found = pl.concat([rows.select(*key, "number")[pairs["at"]], other, pairs], how="horizontal")
    found = found.filter(agree)
    return _Pairs(found["at"], np.delete(by, found["by"].to_numpy()))


def _perhaps_among(hashes: np.ndarray, sought: np.ndarray) -> np.ndarray:
    """Whether each hash is one of those sought, for sure where it says no: some bits tell nearly all of them apart."""
    table = np.zeros(1 << _BITS, dtype=bool)
    table[sought >> (64 - _BITS)] = True
    return table[hashes >> (64 - _BITS)]


def _likeness(*columns: str) -> pl.Expr:
    """One hash of several columns: rows that agree have the same."""
    total: pl.Expr = pl.lit(0, dtype=pl.UInt64)
    for column in columns:
        total = total * pl.lit(_ODD, dtype=pl.UInt64) + pl.col(column).hash()
    return total


def _without(stays: pl.Series, rows: np.ndarray | pl.Series) -> pl.Series:
    """Take some positions out of a Boolean series."""
    if not len(rows):
        return stays
    kept = stays.to_numpy(writable=True)
    kept[np.asarray(rows)] = False
    return pl.Series(kept)
