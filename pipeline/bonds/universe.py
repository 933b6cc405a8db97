"""The bonds ever seen up to a month, and since when.

The age of a bond whose source gives no offering date counts from the month in which it was first seen. Kept as an
asset of its own, so that a restated price doesn't put the whole later history out of date: this partition changes only
when membership does.
Belongs here: first sightings. Does not: the universe of a month, which is its snapshot.
"""

from __future__ import annotations

from datetime import date

import polars as pl


def bonds_seen(snapshot: pl.DataFrame, month: date, before: pl.DataFrame | None) -> pl.DataFrame:
    """Add the bonds of a month's snapshot to those seen before.

    Parameters
    ----------
    snapshot : polars.DataFrame
        ``bond_snapshot``: columns ``month`` and ``isin``; rows of other months are ignored.
    month : datetime.date
        Month of the partition.
    before : polars.DataFrame or None
        This function's result for the month before; None in the first month.

    Returns
    -------
    polars.DataFrame
        ``month`` (the partition's), ``isin``, ``first_seen`` (month), one row a bond, sorted by ``isin``.
    """
    present = snapshot.filter(pl.col("month") == month).select("isin", first_seen="month")
    known = present if before is None else pl.concat([before.select("isin", "first_seen"), present])
    return (
        known.group_by("isin")
        .agg(pl.col("first_seen").min())
        .sort("isin")
        .select(pl.lit(month).alias("month"), "isin", "first_seen")
    )
