"""The panel that stock models are trained on: the characteristics of one month with the return of the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from pipeline.panel.training import share_present, with_next_return


def stock_training_panel(
    characteristics: pl.DataFrame | pl.LazyFrame,
    returns: pl.DataFrame,
    names: Sequence[str],
    sets: Mapping[str, Sequence[str]],
    months: Sequence[date],
) -> pl.DataFrame:
    """Pair the excess return of each month with the ranked characteristics of the month before.

    Parameters
    ----------
    characteristics : pl.DataFrame or pl.LazyFrame
        ``firm_characteristics``: columns month, permno, the raw ``<name>`` and the ranked ``<name>_r``; the month
        before each built one is read, of a lazy frame those columns alone.
    returns : pl.DataFrame
        ``stock_returns``: columns month, permno, ret_excess (decimal).
    names : sequence of str
        The characteristics.
    sets : mapping of str to sequence of str
        Names of the characteristics of each set.
    months : sequence of date
        Months of the returns.

    Returns
    -------
    pl.DataFrame
        Columns month (of the return), permno, ret_excess, ``present_<set>``, the share of each set's characteristics
        that the stock has at m-1, and ``<name>_r`` of m-1 for every characteristic; sorted by month and permno. A stock
        without characteristics at m-1, or without an excess return in m, has no row.
    """
    known = characteristics.lazy().select(
        "month",
        "permno",
        *(share_present(members).alias(f"present_{name}") for name, members in sets.items()),
        *(f"{name}_r" for name in names),
    )
    return with_next_return(known, returns, "permno", months)
