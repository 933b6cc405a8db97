"""What reports of later months change about the days of an earlier one.

Every filter but those within a report date works within a bond's day of execution, so that a late report makes only its
own day be cleaned again; prices are judged again over the bond's month. Belongs here: versions of a bond's month and
their differences. Does not: finding the late reports (``trace_group``).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipeline.bonds.trace_filters import BY_EXECUTION, applied
from pipeline.bonds.trace_prices import daily_prices, in_order
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.bonds.trace_trades import TRADE, judge

VALUES = ("price", "volume", "trades")


def revised_days(
    first: pl.DataFrame, days: pl.DataFrame, reports: pl.DataFrame, before: pl.DataFrame, settings: TraceSettings
) -> pl.DataFrame:
    """Return the days of one month of execution that later months change, once for each month that does.

    Parameters
    ----------
    first : pl.DataFrame
        Trades (:data:`~pipeline.bonds.trace_trades.TRADE`), in order, as known at the end of the month of execution,
        before their prices were judged.
    days : pl.DataFrame
        Their daily prices.
    reports : pl.DataFrame
        Reports of any month from that of execution on, about days of which at least one report came later; they passed
        the filters within a report date. ``late`` says which came later.
    before : pl.DataFrame
        The last trades of the month before, in order, of any bonds.
    settings : TraceSettings
        Thresholds.

    Returns
    -------
    pl.DataFrame
        bond, date, month (of the reports that made the change), price, volume and trades as known first, the same as
        known at the end of ``month`` (``_corrected``); null where there was or is no trade.
    """
    late = reports.filter("late")
    since = late.group_by("bond", "date").agg(since=pl.col("month").min())
    versions = late.select("bond", known="month").unique().sort("bond", "known").with_row_index("case")
    versions = versions.with_columns(version=pl.int_range(1, pl.len() + 1).over("bond"))
    places = reports.select("bond", "date", "month").with_row_index("row").join(since, on=["bond", "date"])
    places = places.join(versions, on="bond").filter(pl.max_horizontal("since", "month") <= pl.col("known"))
    # What belongs to different versions never meets: the version takes the bond's place.
    again = reports[places["row"]].with_columns(bond=places["case"])
    everything = pl.repeat(True, again.height, eager=True)
    alive, _ = applied(BY_EXECUTION, again, everything, everything)
    trades = pl.concat([_untouched(first, since, versions), again.select(*TRADE).filter(alive)])
    judged = judge(trades[in_order(trades)], _of_versions(before, versions)[0], settings)
    return _differences(days, daily_prices(judged.trades).rename({"bond": "case"}), versions)


def _untouched(first: pl.DataFrame, since: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return the trades of each version on days about which no late report is known yet, in order."""
    dated = first.select("bond", "date").join(since, on=["bond", "date"], how="left", maintain_order="left")
    trades, row = _of_versions(first, versions)
    unknown = dated["since"].to_physical().fill_null(np.iinfo(np.int32).max).to_numpy()[row]
    known = versions["known"].to_physical().to_numpy()[trades["bond"].to_numpy()]
    return trades.filter(pl.Series(unknown > known, dtype=pl.Boolean))


def _of_versions(trades: pl.DataFrame, versions: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
    """Repeat trades, in order, for each version of their bond, which takes the bond's place; return also their rows."""
    bonds, sought = trades["bond"].to_numpy(), versions["bond"].to_numpy()
    start, end = (np.searchsorted(bonds, sought, side=side) for side in ("left", "right"))
    count = end - start
    row = np.arange(count.sum()) + np.repeat(start - np.cumsum(count) + count, count)
    return trades[row].with_columns(bond=pl.Series(np.repeat(versions["case"].to_numpy(), count), dtype=pl.UInt32)), row


def _differences(days: pl.DataFrame, revised: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Hold each version of a bond's month against the one before it; the first is ``days``."""
    now = revised.join(versions, on="case").select("bond", "version", "date", *VALUES)
    known_first = days.join(versions.select("bond").unique(), on="bond", how="semi")
    known_first = known_first.select("bond", "date", *VALUES)
    zeroth = known_first.with_columns(version=pl.lit(0, dtype=now.schema["version"])).select(now.columns)
    before = pl.concat([zeroth, now]).with_columns(pl.col("version") + 1)
    before = before.join(versions, on=["bond", "version"], how="semi")
    both = before.join(now, on=["bond", "version", "date"], how="full", coalesce=True, suffix="_corrected")
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_corrected")) for name in VALUES)
    changed = both.filter(differs).drop(VALUES).join(versions, on=["bond", "version"])
    changed = changed.join(known_first, on=["bond", "date"], how="left").rename({"known": "month"})
    return changed.select("bond", "date", "month", *VALUES, *(f"{name}_corrected" for name in VALUES))
