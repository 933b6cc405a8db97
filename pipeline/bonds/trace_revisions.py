"""What reports of later months change about the days of an earlier one.

Every filter but those within a report date works within a bond's day of execution, so that a late report makes only its
own day be cleaned again; prices are judged again over the bond's month. Belongs here: versions of a bond's month and
their differences. Does not: finding the late reports (``trace_daily``).
"""

from __future__ import annotations

import polars as pl

from pipeline.bonds.trace_filters import BY_EXECUTION, applied
from pipeline.bonds.trace_prices import daily_prices
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
        Trades (:data:`~pipeline.bonds.trace_trades.TRADE`) as known at the end of the month of execution, before their
        prices were judged.
    days : pl.DataFrame
        Their daily prices.
    reports : pl.DataFrame
        Reports of any month from that of execution on, about days of which at least one report came later; they passed
        the filters within a report date. ``late`` says which came later.
    before : pl.DataFrame
        The last trades of the month before, of any bonds.
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
    again = reports.join(since, on=["bond", "date"]).join(versions, on="bond")
    again = again.filter(pl.col("since") <= pl.col("known"), pl.col("month") <= pl.col("known"))
    # What belongs to different versions never meets: the version takes the bond's place.
    again = again.with_columns(bond="case")
    everything = pl.repeat(True, again.height, eager=True)
    alive, _ = applied(BY_EXECUTION, again, everything, everything)
    untouched = first.join(versions, on="bond").join(since, on=["bond", "date"], how="left")
    untouched = untouched.filter(pl.col("since").is_null() | (pl.col("since") > pl.col("known")))
    trades = pl.concat([again.select(*TRADE).filter(alive), untouched.with_columns(bond="case").select(*TRADE)])
    judged = judge(trades, before.join(versions, on="bond").with_columns(bond="case").select(*TRADE), settings)
    return _differences(days, daily_prices(judged.trades).rename({"bond": "case"}), versions)


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
