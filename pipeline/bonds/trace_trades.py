"""Clean trades of a month, as known at its own end or at that of a later month.

Belongs here: applying the filters to reports, and judging prices beside those before. Does not: the filters themselves
(``trace_filters``), daily prices and which months are looked at again (``trace_daily``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from pipeline.bonds.trace_filters import BOUNCE_BACK, BY_EXECUTION, BY_REPORT, DECIMAL_SHIFT, applied, marks
from pipeline.bonds.trace_prices import in_order, last_of_each, mended
from pipeline.bonds.trace_reports import first_issues, groups, read
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

TRADE = {
    "bond": pl.UInt32(),
    "date": pl.Date(),
    "time": pl.Time(),
    "number": pl.String(),
    "price": pl.Float64(),
    "volume": pl.Float64(),
    "side": pl.String(),
}
"""What is left of a report once it has passed the filters."""


@dataclass(frozen=True)
class CleanTrades:
    """Trades that passed every filter.

    Attributes
    ----------
    trades : pl.DataFrame
        cusip, date, time, price (per 100 of face, mended), volume (dollars of face), side, msg_seq_nb, ``corrected``
        (a decimal shift was mended); sorted by cusip, date, time and message number.
    waterfall : list of dict
        ``step``, ``rows_in``, ``rows_out`` of each filter, in their order; ``unmatched`` where it pairs reports.
    """

    trades: pl.DataFrame
    waterfall: Counts


class Judged(NamedTuple):
    """Trades whose prices were judged.

    Attributes
    ----------
    trades : pl.DataFrame
        Those that stay, in order: the columns of :data:`TRADE`, the price mended, and ``corrected`` (it was).
    counts : list of dict
        The two steps of the waterfall.
    mended : int
        Prices that were mended.
    """

    trades: pl.DataFrame
    counts: Counts
    mended: int


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
    (bonds,) = groups(window, first_issues(issues))
    rows = read(window, bonds, marks(settings), settings)
    alive, counts = of_reports(rows, month, as_of)
    trades, more = of_executions(rows, alive, month, as_of)
    before, _ = of_executions(rows, alive, earlier, earlier)
    judged = judge(trades, final_trades(before, settings), settings)
    cusip = bonds.cusips.gather(judged.trades["bond"])
    result = judged.trades.with_columns(cusip=cusip).rename({"number": "msg_seq_nb"}).select(*TRADES_SCHEMA)
    return CleanTrades(result, [*counts, *more, *judged.counts])


def of_reports(rows: pl.DataFrame, month: date, as_of: date) -> tuple[pl.Series, Counts]:
    """Apply the filters within a report date to all rows.

    Parameters
    ----------
    rows : pl.DataFrame
        All reports of some bonds in some months.
    month, as_of : datetime.date
        The waterfall counts reports up to ``as_of`` of trades executed in ``month``.
    """
    return applied(BY_REPORT, rows, pl.repeat(True, rows.height, eager=True), _about(rows, month, as_of))


def of_executions(rows: pl.DataFrame, alive: pl.Series, month: date, as_of: date) -> tuple[pl.DataFrame, Counts]:
    """Apply the other filters to the reports, up to ``as_of``, of trades executed in ``month``.

    Returns
    -------
    tuple
        The columns of :data:`TRADE`, in order (:func:`~pipeline.bonds.trace_prices.in_order`), and the waterfall.
    """
    about = _about(rows, month, as_of)
    alive, counts = applied(BY_EXECUTION, rows, alive & about, about)
    trades = rows.select(*TRADE).filter(alive)
    return trades[in_order(trades)], counts


def _about(rows: pl.DataFrame, month: date, as_of: date) -> pl.Series:
    executed = pl.col("date").is_between(month, shift(month, 1), closed="left")
    return rows.select(executed & pl.col("month").is_between(month, as_of)).to_series()


def final_trades(trades: pl.DataFrame, settings: TraceSettings) -> pl.DataFrame:
    """Return the trades of a month that are neighbours of the next one's first, and their neighbours in turn."""
    return trades[last_of_each(trades["bond"].to_numpy(), 2 * settings.shift_neighbours)]


def judge(trades: pl.DataFrame, before: pl.DataFrame, settings: TraceSettings) -> Judged:
    """Mend decimal shifts and drop bounce-backs.

    Parameters
    ----------
    trades : pl.DataFrame
        The columns of :data:`TRADE`, in order.
    before : pl.DataFrame
        The trades of each bond before, in order, in which the first of ``trades`` see their neighbours.
    settings : TraceSettings
        Thresholds.
    """
    bond, price = (np.r_[before[name].to_numpy(), trades[name].to_numpy()] for name in ("bond", "price"))
    order = np.argsort(bond, kind="stable")
    found = mended(bond[order], price[order], settings)
    own = order >= before.height
    judged = trades.with_columns(
        price=pl.Series(found.price[own], dtype=pl.Float64), corrected=pl.Series(found.corrected[own], dtype=pl.Boolean)
    )
    stays = judged.filter(pl.Series(~found.bounced[own], dtype=pl.Boolean))
    counts = [
        {"step": DECIMAL_SHIFT.name, "rows_in": trades.height, "rows_out": trades.height},
        {"step": BOUNCE_BACK.name, "rows_in": trades.height, "rows_out": stays.height},
    ]
    return Judged(stays, counts, int(found.corrected[own].sum()))
