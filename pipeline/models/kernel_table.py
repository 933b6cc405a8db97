"""Kernels side by side: the bond factor alone, macro factors without and with it, priced on the same portfolios.

Here belong the specifications of the linear benchmark and their sample as of a month. How one kernel is estimated
stands in ``pipeline.models.linear_sdf``, where factors come from in ``pipeline.macro``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from pipeline.macro.published_factors import PublishedFactors
from pipeline.models.estimation_sample import RECENT_MONTHS, complete_months, portfolios_of_sample
from pipeline.models.linear_sdf import UnidentifiedKernel, difference_j, estimate_linear_sdf
from pipeline.models.linear_settings import LinearSdfSettings
from pipeline.models.linear_tables import BOND_FACTOR, KERNELS_SCHEMA

_OF_FIT = (
    "n_months",
    "sharpe",
    "explained_variation",
    "r2",
    "cross_sectional_r2",
    "j",
    "degrees_of_freedom",
    "p",
    "converged",
)


def kernel_table(
    returns: pl.DataFrame,
    macro: PublishedFactors | None,
    bond_factor: pl.DataFrame,
    month: date,
    settings: LinearSdfSettings | None = None,
) -> pl.DataFrame:
    """Estimate every kernel on the months up to one.

    Parameters
    ----------
    returns : DataFrame
        ``month, asset_id, ret``: excess returns of the test assets, decimals; null is missing. Rows after ``month`` do
        not matter.
    macro : PublishedFactors or None
        Macro factors of the months up to ``month``; None where there are none.
    bond_factor : DataFrame
        ``month, cochrane_piazzesi``; null is missing.
    month : date
        Month of the estimate.
    settings : LinearSdfSettings, optional
        Specifications, fewest months, GMM.

    Returns
    -------
    DataFrame
        ``KERNELS_SCHEMA``, one row a specification. Each kernel uses the assets with at least ``min_months`` returns
        and one in the last ``RECENT_MONTHS`` months, and the months in which all of these and its factors are there,
        more than there are assets; ``sharpe`` is monthly;
        ``explained_variation``, ``r2``, ``cross_sectional_r2``, ``j`` and ``p`` are those of
        :class:`pipeline.models.linear_sdf.LinearSdf`; ``difference`` and ``p_difference`` test the macro factors'
        prices where the bond factor is there, null elsewhere. A kernel that the data can't carry has null numbers and
        a ``reason``.

    Notes
    -----
    The factors of a month are of what was published by its end, so that a kernel prices with what investors could know;
    the source's are of the series' own months, and where prices move with the month's news it can fit better.

    References
    ----------
    Duraj and Giesecke (2025), equation 10 and table 9.
    """
    settings = settings or LinearSdfSettings()
    wide = complete_months(returns, portfolios_of_sample(returns, month, settings.min_months), month)
    common = {
        "month": month,
        "n_series": macro.n_series if macro else None,
        "n_assets": wide.width - 1,
    }
    rows = []
    for n_factors, cp in settings.specifications:
        row = common | {"n_factors": n_factors, "cp": cp}
        try:
            rows.append(row | _estimated(wide, _factors(macro, n_factors, bond_factor if cp else None), settings))
        except UnidentifiedKernel as reason:
            rows.append(row | {"reason": str(reason)})
    return pl.DataFrame(rows, schema=KERNELS_SCHEMA)


def _factors(macro: PublishedFactors | None, n_factors: int, bond_factor: pl.DataFrame | None) -> pl.DataFrame:
    """Months with all factors of a kernel; the bond factor comes last."""
    carried = macro.n_factors if macro else 0
    if n_factors > carried:
        raise UnidentifiedKernel(f"{n_factors} macro factors are asked for, the published series carry {carried}")
    tables = [macro.frame(n_factors)] if macro and n_factors else []
    if bond_factor is not None:
        tables.append(bond_factor.select("month", BOND_FACTOR).drop_nulls())
    return tables[0] if len(tables) == 1 else tables[0].join(tables[1], on="month", how="inner")


def _estimated(wide: pl.DataFrame, factors: pl.DataFrame, settings: LinearSdfSettings) -> dict[str, object]:
    """Numbers of a kernel; see :func:`kernel_table`."""
    assets, names = wide.columns[1:], factors.columns[1:]
    sample = wide.join(factors, on="month", how="inner").sort("month")
    if not assets:
        raise UnidentifiedKernel(
            f"no asset has had {settings.min_months} returns and one of them in the last {RECENT_MONTHS} months"
        )
    R, F = (np.ascontiguousarray(sample.select(each).to_numpy()) for each in (assets, names))
    fit = estimate_linear_sdf(R, F, names, settings.gmm)
    test = difference_j(R, F, names, [BOND_FACTOR], settings.gmm) if _tested(names) else None
    return {name: getattr(fit, name) for name in _OF_FIT} | {
        "difference": test.statistic if test else None,
        "p_difference": test.p if test else None,
    }


def _tested(names: Sequence[str]) -> bool:
    """Whether a kernel has the bond factor and others beside it."""
    return BOND_FACTOR in names and len(names) > 1
