"""The default spread: what corporate bonds earned more than long Treasuries."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipeline.panel.calendar import month_number_expr

PAR_RETURNS = ("par_return_10y", "par_return_20y", "par_return_30y")


def default_spread(returns: pl.DataFrame, treasury_curve: pl.DataFrame) -> pl.DataFrame:
    """Return the mean bond return less the mean return of 10-, 20- and 30-year par Treasuries, a month.

    Parameters
    ----------
    returns : pl.DataFrame
        ``bond_returns``: columns month, isin, ret (decimal).
    treasury_curve : pl.DataFrame
        Columns month and ``par_return_10y``, ``_20y``, ``_30y`` (decimals).

    Returns
    -------
    pl.DataFrame
        Columns month, default_spread (decimal), one row for every month of ``treasury_curve``. Null where a month has
        no bond return or lacks one of the three Treasury returns.

    Notes
    -----
    The mean is over all bonds with a return, equally weighted. Bonds are added in the order of their isin.
    """
    rows = returns.filter(pl.col("ret").is_not_null()).sort("month", "isin")
    numbers = rows.select(month_number_expr()).to_series().to_numpy()
    first = int(numbers.min()) if len(numbers) else 0
    # bincount adds one row after another, so that a month's sum does not depend on what else is in the frame.
    total = np.bincount(numbers - first, weights=rows["ret"].to_numpy())
    count = np.bincount(numbers - first)
    present = np.flatnonzero(count)
    means = pl.DataFrame({"number": present + first, "bonds": total[present] / count[present]})
    ten, twenty, thirty = (pl.col(column) for column in PAR_RETURNS)
    # Polars divides by a constant in a frame of one row and multiplies by its reciprocal in longer ones.
    treasuries = (ten + twenty + thirty) * (1.0 / 3.0)
    return (
        treasury_curve.with_columns(month_number_expr().cast(pl.Int64).alias("number"))
        .join(means.cast({"number": pl.Int64}), on="number", how="left")
        .select("month", (pl.col("bonds") - treasuries).alias("default_spread"))
        .sort("month")
    )
