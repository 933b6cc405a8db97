"""For how many fiscal years a firm has been covered by Compustat.

The count needs the whole history, so each month adds its new records to the count of the month before.
"""

from __future__ import annotations

from datetime import date

import polars as pl

SCHEMA = {"month": pl.Date(), "gvkey": pl.String(), "n_years": pl.Int64()}


def compustat_history(available: pl.DataFrame, month: date, previous: pl.DataFrame | None) -> pl.DataFrame:
    """Count the annual records of every firm that are available by a month.

    Parameters
    ----------
    available : pl.DataFrame
        ``compustat_annual`` of the month: month, gvkey, datadate. Rows of other months are left out.
    month : datetime.date
        The month.
    previous : pl.DataFrame, optional
        The counts of the month before; None in the first month.

    Returns
    -------
    pl.DataFrame
        month, gvkey, n_years; one row a firm ever covered, sorted by gvkey.
    """
    new = available.filter(pl.col("month") == month).group_by("gvkey").agg(n_years=pl.len().cast(pl.Int64))
    old = pl.DataFrame(schema=SCHEMA) if previous is None else previous
    counts = pl.concat([old.select("gvkey", "n_years"), new]).group_by("gvkey").agg(pl.col("n_years").sum())
    return counts.select(pl.lit(month).alias("month"), "gvkey", "n_years").sort("gvkey")
