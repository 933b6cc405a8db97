"""Clean trades of a month, as known at its own end or at that of a later month.

Belongs here: applying the filters to the reports of a month or of several at once, and judging prices beside those
before. Does not: the filters themselves (``trace_filters``), daily prices and which months are looked at again
(``trace_daily``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from pipeline.bonds.trace_filters import BOUNCE_BACK, BY_EXECUTION, BY_REPORT, DECIMAL_SHIFT, applied, marks
from pipeline.bonds.trace_prices import in_order, last_trades, mended
from pipeline.bonds.trace_reports import Reports, first_issues, read
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.panel.calendar import shift

Counts = list[dict[str, Any]]

TRADES_SCHEMA = {
    "cusip": pl.String(),
    "date": pl.Date(),
    "time": pl.Time(),
    "price": pl.Float64(),
    "volume": pl.Float64(),
    "side": pl.String(),
    "msg_seq_nb": pl.String(),
    "corrected": pl.Boolean(),
}

TRADE = ("bond", "date", "time", "number", "price", "volume", "side")


@dataclass(frozen=True)
class CleanTrades:
    """Trades that passed every filter.

    Attributes
    ----------
    trades : pl.DataFrame
        cusip, date, time, price (per 100 of face, mended), volume (dollars of face), side, msg_seq_nb, ``corrected``
        (a decimal shift was mended); sorted by cusip, date, time and message number.
    waterfall : list of dict
        ``step``, ``rows_in``, ``rows_out`` of each filter, in their order.
    """

    trades: pl.DataFrame
    waterfall: Counts


def clean_trades(
    reports: pl.DataFrame | pl.LazyFrame,
    issues: pl.DataFrame,
    month: date,
    as_of: date | None = None,
    settings: TraceSettings | None = None,
) -> CleanTrades:
    """Return the trades executed in a month as far as they are known at the end of another.

    Parameters
    ----------
    reports : pl.DataFrame or pl.LazyFrame
        Staged ``trace.trace_enhanced``: at least the reports of the month before ``month`` up to ``as_of``; others
        make no difference. Reports dated before the month in which the trade was executed are not used.
    issues : pl.DataFrame
        Staged ``fisd.fisd_mergedissue``: month, cusip, maturity; an issue counts from its month on.
    month : datetime.date
        The month of execution.
    as_of : datetime.date, optional
        The month at whose end the trades are known; ``month`` itself by default.
    settings : TraceSettings, optional
        Thresholds.

    Returns
    -------
    CleanTrades
        Prices are judged beside the trades of the month and, before its first, the last ones of the month before as
        known at its end.
    """
    settings, as_of = settings or TraceSettings(), as_of or month
    earlier = shift(month, -1)
    window = reports.lazy().filter(pl.col("month").is_between(earlier, as_of))
    found = read(window, first_issues(issues), marks(settings), settings)
    asked = pl.DataFrame({"executed": [earlier, month], "known": [earlier, as_of]})
    bonds = pl.DataFrame({"bond": pl.int_range(len(found.cusips), dtype=pl.UInt32, eager=True)})
    cases = numbered(bonds.join(asked, how="cross"))
    mine = (pl.col("executed") == month) & pl.col("month").is_between(month, as_of)
    trades, counts = screened_cases(found, cases, mine)
    wanted = cases.filter(pl.col("executed") == month)
    before = tails(trades, cases, wanted, settings)
    priced, more, _ = judged(trades.join(wanted, left_on="bond", right_on="case", how="semi"), before, settings)
    cusip = found.cusips.gather(cases["bond"].gather(priced["bond"]))
    result = priced.with_columns(cusip=cusip).rename({"number": "msg_seq_nb"})
    return CleanTrades(result.select(*TRADES_SCHEMA), [*counts, *more])


def screened_month(found: Reports, month: date) -> tuple[pl.DataFrame, Counts]:
    """Return the trades executed in a month, from the reports of the same month, and the waterfall.

    The columns are :data:`TRADE`; rows are in no particular order.
    """
    rows = found.rows
    executed = rows["date"].is_between(month, shift(month, 1), closed="left")
    alive, counts = applied(BY_REPORT, rows, _all(rows), executed)
    alive, more = applied(BY_EXECUTION, rows, alive & executed, executed)
    return rows.select(TRADE).filter(alive), [*counts, *more]


def _all(rows: pl.DataFrame) -> pl.Series:
    return pl.repeat(True, rows.height, eager=True)


def numbered(cases: pl.DataFrame) -> pl.DataFrame:
    """Give a number to each case to clean: bond, month of execution, month at whose end the trades are known."""
    return cases.unique().sort("bond", "executed", "known").with_row_index("case")


def screened_cases(found: Reports, cases: pl.DataFrame, counted: pl.Expr) -> tuple[pl.DataFrame, Counts]:
    """Return the trades of several months of execution, each as known at the end of its own or a later month.

    What belongs to different cases never meets: every filter works within a bond, and from the second group on the
    case takes the bond's place.

    Parameters
    ----------
    found : Reports
        Reports of all months from the first execution to the last knowledge.
    cases : pl.DataFrame
        What :func:`numbered` gives.
    counted : pl.Expr
        The reports that the waterfall is of, by ``month`` of report and month ``executed``.

    Returns
    -------
    tuple
        :data:`TRADE` with the case's number as ``bond``, and the waterfall.
    """
    rows = found.rows.with_columns(executed=pl.col("date").dt.month_start())
    alive, counts = applied(BY_REPORT, rows, _all(rows), rows.select(counted).to_series())
    stacked = (
        rows.filter(alive)
        .join(cases, on=["bond", "executed"], how="inner")
        .filter(pl.col("month").is_between("executed", "known"))
        .with_columns(bond="case")
    )
    alive, more = applied(BY_EXECUTION, stacked, _all(stacked), stacked.select(counted).to_series())
    return stacked.select(TRADE).filter(alive), [*counts, *more]


def tails(trades: pl.DataFrame, cases: pl.DataFrame, wanted: pl.DataFrame, settings: TraceSettings) -> pl.DataFrame:
    """Return the last trades of the month before each wanted case, as known at that month's end.

    Parameters
    ----------
    trades, cases : pl.DataFrame
        From :func:`screened_cases` and :func:`numbered`; the month before, known at its end, is among the cases.
    wanted : pl.DataFrame
        Cases.
    settings : TraceSettings
        How many trades.

    Returns
    -------
    pl.DataFrame
        :data:`TRADE` with the wanted case's number as ``bond``.
    """
    month_before = pl.col("executed").dt.offset_by("-1mo")
    pairs = wanted.select("bond", wanted="case", executed=month_before, known=month_before).join(
        cases, on=["bond", "executed", "known"]
    )
    own = trades.join(pairs, left_on="bond", right_on="case", how="semi")
    last = final_trades(in_order(own), settings)
    return (
        last.join(pairs.select("case", "wanted"), left_on="bond", right_on="case")
        .with_columns(bond="wanted")
        .select(TRADE)
    )


def final_trades(ordered: pl.DataFrame, settings: TraceSettings) -> pl.DataFrame:
    """Return the trades of a month that are neighbours of the next one's first, and their neighbours in turn."""
    return last_trades(ordered, 2 * settings.shift_neighbours).select(TRADE)


def judged(
    trades: pl.DataFrame, before: pl.DataFrame, settings: TraceSettings
) -> tuple[pl.DataFrame, Counts, Mapping[str, Any]]:
    """Mend decimal shifts and drop bounce-backs.

    Parameters
    ----------
    trades : pl.DataFrame
        :data:`TRADE`, in any order.
    before : pl.DataFrame
        The trades of each bond before, in which the first of ``trades`` see their neighbours.
    settings : TraceSettings
        Thresholds.

    Returns
    -------
    tuple
        The trades that stay, in order, with ``corrected``; the two steps of the waterfall; and ``last``, the last
        trades of each bond as reported, with ``mended``, the number of prices mended.
    """
    own = [trades.with_columns(own=pl.lit(True)), before.with_columns(own=pl.lit(False))]
    ordered = in_order(pl.concat(own))
    found = mended(ordered, settings)
    mine = ordered["own"].to_numpy()
    stays = pl.Series(mine & ~found.bounced, dtype=pl.Boolean)
    result = ordered.with_columns(price=pl.Series(found.price), corrected=pl.Series(found.corrected, dtype=pl.Boolean))
    result = result.filter(stays).drop("own")
    counts = [
        {"step": DECIMAL_SHIFT.name, "rows_in": trades.height, "rows_out": trades.height},
        {"step": BOUNCE_BACK.name, "rows_in": trades.height, "rows_out": result.height},
    ]
    last = final_trades(ordered.filter(ordered["own"]), settings)
    return result, counts, {"last": last, "mended": int((found.corrected & mine).sum())}
