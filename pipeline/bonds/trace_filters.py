"""The cleaning of trade reports as a sequence of named filters, in the order in which they are applied.

The waterfall and the page are made from :data:`FILTERS`. Belongs here: the registry, what a report's own columns
decide, and applying filters one after another. Does not: pairs of reports (``trace_corrections``), prices beside their
neighbours (``trace_prices``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipeline.bonds import trace_corrections as corrections
from pipeline.bonds.trace_corrections import Outcome
from pipeline.bonds.trace_settings import TraceSettings

Mark = Callable[[TraceSettings], pl.Expr]

DICK_NIELSEN = "Dick-Nielsen (2009, 2014)"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One step of the cleaning.

    Attributes
    ----------
    name : str
        As in the waterfall.
    drops : str
        What does not pass, or what is done to it, in words.
    source : str
        Where the rule comes from, or why it is there.
    """

    name: str
    drops: str
    source: str


@dataclass(frozen=True, kw_only=True)
class TraceFilter(Rule):
    """A step that looks at reports.

    Attributes
    ----------
    stays : callable
        ``stays(rows, alive)`` gives an :class:`~pipeline.bonds.trace_corrections.Outcome`.
    mark : callable or None
        For a filter that looks at one report alone: from the settings to a Boolean expression over a staged row, true
        where it passes and never null; it is worked out while reading.
    """

    stays: Callable[[pl.DataFrame, pl.Series], Outcome]
    mark: Mark | None = None


def _screen(name: str, drops: str, source: str, mark: Mark) -> TraceFilter:
    return TraceFilter(name=name, drops=drops, source=source, stays=lambda rows, alive: Outcome(rows[name]), mark=mark)


_AS_AGENT = ((pl.col("rpt_side_cd") == "B") & (pl.col("buy_cpcty_cd") == "A")) | (
    (pl.col("rpt_side_cd") == "S") & (pl.col("sell_cpcty_cd") == "A")
)
_AGENCY = _AS_AGENT & (pl.col("cntra_mp_id") == "C") & (pl.col("cmsn_trd") == "N")

BY_REPORT: tuple[TraceFilter, ...] = (
    TraceFilter(
        name="one row a report",
        drops="further rows with the bond, day of execution, number, status, day and time of report of another",
        source="a report has one row: the same key twice is the file's doing",
        stays=lambda rows, alive: Outcome(rows["first"]),
    ),
    TraceFilter(
        name="not cancelled, to 2012",
        drops="cancellations (C) and the report of the same day whose number they name",
        source=DICK_NIELSEN,
        stays=corrections.not_cancelled_early,
    ),
    TraceFilter(
        name="as corrected, to 2012",
        drops="reports that a correction (W) of the same day replaces, and corrections of nothing",
        source=DICK_NIELSEN,
        stays=corrections.not_corrected_early,
    ),
)
"""Filters within a report date: their outcome does not depend on what is reported later."""

BY_EXECUTION: tuple[TraceFilter, ...] = (
    TraceFilter(
        name="not reversed, to 2012",
        drops="one original for each as-of reversal, alike in all but the time of execution",
        source=DICK_NIELSEN,
        stays=corrections.not_reversed_early,
    ),
    TraceFilter(
        name="no reversal or delayed report, to 2012",
        drops="as-of codes R, X and D",
        source=DICK_NIELSEN,
        stays=lambda rows, alive: Outcome(~rows["as_of_dropped"]),
    ),
    TraceFilter(
        name="not cancelled or corrected, from 2012",
        drops="cancellations (X), those of corrected trades (C), and the trades that they repeat",
        source=DICK_NIELSEN,
        stays=corrections.not_cancelled,
    ),
    TraceFilter(
        name="not reversed, from 2012",
        drops="reversals (Y) and the trades whose number they name",
        source=DICK_NIELSEN,
        stays=corrections.not_reversed,
    ),
    TraceFilter(
        name="a trade",
        drops="any other status than T and W (to 2012) or T and R (from 2012)",
        source=DICK_NIELSEN,
        stays=lambda rows, alive: Outcome(rows["trade"]),
    ),
    _screen(
        "regular settlement",
        "trades that settle later than usual; a missing number of days passes",
        "Dick-Nielsen (2009); days_to_sttl_ct alone, since stlmnt_dt would drop what settled after three days",
        lambda settings: (
            pl.col("days_to_sttl_ct").cast(pl.Float64, strict=False).fill_null(0.0) <= settings.longest_settlement
        ),
    ),
    _screen(
        "not when-issued",
        "when-issued trades",
        "Dick-Nielsen (2009)",
        lambda settings: pl.col("wis_fl").ne_missing("Y"),
    ),
    _screen(
        "not locked in",
        "locked-in trades",
        "Dick-Nielsen (2009)",
        lambda settings: pl.col("lckd_in_ind").ne_missing("Y"),
    ),
    _screen(
        "no special condition",
        "trades with a sale condition; blank and @ pass",
        "Dick-Nielsen (2009)",
        lambda settings: pl.col("sale_cndtn_cd").fill_null("@") == "@",
    ),
    TraceFilter(
        name="once between dealers",
        drops="the buyer's report of a trade between dealers where the seller's is there",
        source=DICK_NIELSEN,
        stays=corrections.once_between_dealers,
    ),
    _screen(
        "no agency trade",
        "trades without commission that a dealer passed on to a customer as agent",
        "Dick-Nielsen (2009): the trade between dealers behind it has the price already",
        lambda settings: ~_AGENCY.fill_null(False),
    ),
    _screen(
        "price in range",
        "prices that are missing, not positive or above the highest",
        "a price per 100 of face",
        lambda settings: ((pl.col("rptd_pr") > 0.0) & (pl.col("rptd_pr") <= settings.highest_price)).fill_null(False),
    ),
    _screen(
        "large enough",
        "volumes that are missing or below the smallest",
        "Bessembinder, Kahle, Maxwell and Xu (2009): small trades carry large markups",
        lambda settings: (pl.col("entrd_vol_qt") >= settings.smallest_volume).fill_null(False),
    ),
    TraceFilter(
        name="not after maturity",
        drops="trades executed after the bond matured; a maturity that is not known passes",
        source="nothing trades then",
        stays=lambda rows, alive: Outcome(~rows["matured"]),
    ),
)
"""Filters within a day of execution, which later reports about it may change."""

FILTERS = (*BY_REPORT, *BY_EXECUTION)

DECIMAL_SHIFT = Rule(
    name="decimal shifts mended",
    drops="nothing: a price 10 or 100 times, or such a part of, the median of its neighbours is divided or multiplied, "
    "unless the trade before or after is nearer to it as it is",
    source="a decimal point in the wrong place",
)
BOUNCE_BACK = Rule(
    name="no bounce-back",
    drops="prices far from both the trade before and the trade after, which agree with each other",
    source="a mistyped price: Rossi (2014), Edwards, Harris and Piwowar (2007)",
)

RULES: tuple[Rule, ...] = (*FILTERS, DECIMAL_SHIFT, BOUNCE_BACK)
"""Every step of the cleaning, as in the waterfall."""


def marks(settings: TraceSettings) -> dict[str, pl.Expr]:
    """Gather the expressions of the filters that look at one report alone, by name of the filter."""
    return {each.name: each.mark(settings) for each in FILTERS if each.mark is not None}


def applied(
    filters: Sequence[TraceFilter], rows: pl.DataFrame, alive: pl.Series, counted: pl.Series
) -> tuple[pl.Series, list[dict[str, Any]]]:
    """Apply filters one after another.

    Parameters
    ----------
    filters : sequence of TraceFilter
        In their order.
    rows : pl.DataFrame
        What ``trace_reports.read`` gives.
    alive : pl.Series
        The rows that go in.
    counted : pl.Series
        The rows that the counts are of; others are there because filters look at them.

    Returns
    -------
    tuple
        The rows that stay, as a Boolean series, and ``step``, ``rows_in``, ``rows_out`` of each filter, with
        ``unmatched`` for one that pairs reports: the cancellations, corrections or reversals that found nothing.
    """
    counts: list[dict[str, Any]] = []
    before = int((alive & counted).sum())
    about = counted.to_numpy()
    for each in filters:
        found = each.stays(rows, alive)
        alive = alive & found.stays
        after = int((alive & counted).sum())
        counts.append({"step": each.name, "rows_in": before, "rows_out": after})
        if found.unmatched is not None:
            counts[-1]["unmatched"] = int(about[found.unmatched].sum())
        before = after
    return alive, counts
