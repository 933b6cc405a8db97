"""Macro factors of one month after the other as series: the sign of each month's estimate is that of the month before.

Components are estimated anew every month, and their sign is fixed by a rule that reads that month's loadings alone.
Where positive and negative loadings all but balance the rule changes its mind from one month to the next, and a
regression on the scores would read noise. Here belongs what puts that right from loadings that were known at the time.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.macro.macro_factors import SEPARATOR

Values = NDArray[np.float64]


def aligned_factors(factors: pl.DataFrame) -> pl.DataFrame:
    """Give every month's factors the sign in which their loadings are like those of the month before.

    Parameters
    ----------
    factors : DataFrame
        ``month, series, loadings, pc_1 .. pc_K`` as :func:`pipeline.macro.macro_factors.macro_factors` gives them, null
        where nothing was estimated. The first month with an estimate keeps its signs.

    Returns
    -------
    DataFrame
        ``month, pc_1 .. pc_K``, by month. Rows of a month depend on no later one. A factor changes its sign where the
        products of its loadings with those of the last estimate, both on the series that these share and the latter
        with the sign it was given, sum to less than zero.
    """
    names = [name for name in factors.columns if name.startswith("pc_")]
    ordered = factors.sort("month")
    signs = np.ones((ordered.height, len(names)))
    before: dict[str, Values] = {}
    for place, (series, loadings) in enumerate(ordered.select("series", "loadings").iter_rows()):
        if series is None:
            continue
        held = series.split(SEPARATOR)
        now = dict(zip(held, np.array(loadings).reshape(len(held), -1), strict=True))
        shared = [name for name in held if name in before]
        if shared:
            products = sum(now[name] * before[name] for name in shared)
            signs[place] = np.where(products < 0.0, -1.0, 1.0)
        before = {name: row * signs[place] for name, row in now.items()}
    return ordered.select("month", *(pl.col(name) * signs[:, k] for k, name in enumerate(names)))
