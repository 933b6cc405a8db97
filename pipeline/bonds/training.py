"""The panel that bond models are trained on: the characteristics of one month with the return of the next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipeline.bonds.registry import SETS, STANDARDISED, ranked
from pipeline.panel.training import share_present, with_next_return


def bond_training_panel(
    characteristics: pl.DataFrame | pl.LazyFrame, returns: pl.DataFrame, months: Sequence[date]
) -> pl.DataFrame:
    """Pair the excess return of each month with the ranked characteristics of the month before.

    Parameters
    ----------
    characteristics : pl.DataFrame or pl.LazyFrame
        ``bond_characteristics``: columns month, isin, the raw ``<name>`` and the ranked ``<name>_r``; the month before
        each built one is read.
    returns : pl.DataFrame
        ``bond_returns``: columns month, isin, ret_excess (decimal).
    months : sequence of date
        Months of the returns.

    Returns
    -------
    pl.DataFrame
        Columns month (of the return), isin, ret_excess, ``present_<set>``, the share of each set's characteristics
        that the bond has at m-1, and ``<name>_r`` of m-1 for every characteristic that is ranked, of all sets; sorted
        by month and isin. The universe is that of m-1: a bond not in it then, or without an excess
        return, has no row.
    """
    known = characteristics.lazy().select(
        "month",
        "isin",
        *(share_present(names).alias(f"present_{name}") for name, names in SETS.items()),
        *ranked(STANDARDISED),
    )
    return with_next_return(known, returns, "isin", months)
