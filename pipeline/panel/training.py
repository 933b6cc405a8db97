"""Panels that models are trained on: what was known at the end of one month beside the return of the next.

Where hardly any instrument of a month varies, the factors of a conditional model hardly load on anything and can be of
any size. So an asset enters the models of a set of characteristics only with enough of them.
Belongs here: the pairing. Does not: which columns a market's panel has (``pipeline.bonds``, ``pipeline.equity``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl


@dataclass(frozen=True, kw_only=True)
class ModelPanelSettings:
    """Which assets enter models.

    Attributes
    ----------
    min_present : float
        Least share of a set's characteristics that an asset must have. Kelly, Pruitt and Su (2019) ask for all of them
        (1), Gu, Kelly and Xiu (2020) for none (0); missing ones count as the middle of the cross-section.
    """

    min_present: float = 0.8

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_present <= 1.0:
            raise ValueError(f"min_present is {self.min_present}; it is a share between 0 and 1")


def share_present(names: Sequence[str]) -> pl.Expr:
    """Share of characteristics that an asset has, from their raw columns; exactly 1 where it has all."""
    there = pl.sum_horizontal(pl.col(name).is_not_null() for name in names)
    # 49 * (1 / 49) is less than 1.
    return pl.when(there == len(names)).then(1.0).otherwise(there.cast(pl.Float64) * (1.0 / len(names)))


def with_next_return(known: pl.LazyFrame, returns: pl.DataFrame, key: str, months: Sequence[date]) -> pl.DataFrame:
    """Pair the excess return of each month with what was known at the end of the month before.

    Parameters
    ----------
    known : pl.LazyFrame
        month, ``key`` and the columns to take; the month before each built one is read.
    returns : pl.DataFrame
        month, ``key``, ret_excess (decimal).
    key : str
        Identifier of an asset.
    months : sequence of date
        Months of the returns.

    Returns
    -------
    pl.DataFrame
        month (of the return), ``key``, ret_excess, then the other columns of ``known``; sorted by month and ``key``. An
        asset that was not known at m-1, or has no excess return in m, has no row.
    """
    wanted = pl.Series("month", sorted(set(months)), dtype=pl.Date).implode()
    earned = returns.filter(pl.col("month").is_in(wanted) & pl.col("ret_excess").is_not_null())
    before = known.with_columns(pl.col("month").dt.offset_by("1mo")).filter(pl.col("month").is_in(wanted)).collect()
    return earned.select("month", key, "ret_excess").join(before, on=["month", key]).sort("month", key)
