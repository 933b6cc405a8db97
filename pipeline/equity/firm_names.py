"""Every name under which CRSP has known a security up to a month.

Whoever matches a bond's issuer to a stock by name asks for the names in force when the bond was offered, which may be
decades ago. Kept as an asset of its own, so that a restated price doesn't put the matches out of date.
Belongs here: names and when they were used. Does not: how names are compared (``pipeline.bonds.issuer_names``).
"""

from __future__ import annotations

from datetime import date

import polars as pl

SCHEMA = {
    "month": pl.Date(),
    "permno": pl.Int64(),
    "name": pl.String(),
    "permco": pl.Int64(),
    "first": pl.Date(),
    "last": pl.Date(),
}


def firm_names(crsp_monthly: pl.DataFrame, month: date, previous: pl.DataFrame | None) -> pl.DataFrame:
    """Add the names of a month to those known before.

    Parameters
    ----------
    crsp_monthly : pl.DataFrame
        The asset of that name: columns month, permno, permco, comnam; rows of other months are ignored.
    month : datetime.date
        Month of the partition.
    previous : pl.DataFrame or None
        This function's result for the month before; None in the first month.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, one row a security and name, sorted by them. ``name`` is CRSP's without blanks
        at its ends; a security without a name has no row in that month. ``first`` and ``last`` are the first and the
        last month up to this one at whose end the security bore the name; one that came back counts as borne in
        between. ``permco`` is the company of the last month that says one, null before.
    """
    borne = crsp_monthly.filter(pl.col("month") == month).select(
        "permno", "permco", name=pl.col("comnam").str.strip_chars(), first="month", last="month"
    )
    borne = borne.filter(pl.col("name").str.len_chars() > 0)
    old = pl.DataFrame(schema=SCHEMA) if previous is None else previous
    known = pl.concat([old.drop("month"), borne.select(old.drop("month").columns)])
    return (
        known.sort("permno", "name", "last")
        .group_by("permno", "name", maintain_order=True)
        .agg(pl.col("permco").drop_nulls().last(), pl.col("first").min(), pl.col("last").max())
        .with_columns(month=pl.lit(month))
        .select(*SCHEMA)
        .cast(SCHEMA)  # type: ignore[arg-type]
    )
