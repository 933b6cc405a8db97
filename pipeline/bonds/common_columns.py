"""Columns beside a bond's own: fundamentals of its issuer, their medians over issuers, forward spreads of the month.

Belongs here: bringing them to the rows of bonds under names of their own. Does not: what is computed of them
(``dg``).
"""

from __future__ import annotations

import polars as pl

from pipeline.equity.definition import DG41, KPS36
from pipeline.equity.registry import SETS
from pipeline.macro.treasury import FORWARD_YEARS

FORWARD_SPREADS: tuple[str, ...] = tuple(f"forward_spread_{n}" for n in range(1, FORWARD_YEARS + 1))
"""Columns of ``treasury_curve``."""

FUNDAMENTALS: tuple[str, ...] = tuple(dict.fromkeys((*SETS[DG41], *SETS[KPS36])))
"""Firm characteristics that a bond has of its issuer."""

MEDIANS: tuple[str, ...] = SETS[DG41]
"""Firm characteristics whose median over issuers is a feature."""


def _issuers(bonds: pl.DataFrame, firms: pl.DataFrame) -> pl.DataFrame:
    """Fundamentals of the stocks that bonds are linked to, one row a month and stock."""
    linked = bonds.select("month", "permno").filter(pl.col("permno").is_not_null()).unique()
    held = firms.select("month", "permno", *FUNDAMENTALS)
    return linked.join(held, on=["month", "permno"], how="inner").sort("month", "permno")


def _medians(issuers: pl.DataFrame) -> pl.DataFrame:
    """Median of each fundamental over the issuers of a month that have it, a month at a time."""
    parts = issuers.partition_by("month", maintain_order=True)
    medians = [
        part.select(pl.col("month").first(), *(pl.col(name).median().alias(f"med_{name}") for name in MEDIANS))
        for part in parts or [issuers]
    ]
    return pl.concat(medians)


def with_common_columns(
    bonds: pl.DataFrame, treasury_curve: pl.DataFrame, firm_characteristics: pl.DataFrame | None
) -> pl.DataFrame:
    """Add what a bond takes from its issuer, from all issuers and from the Treasury curve.

    Parameters
    ----------
    bonds : pl.DataFrame
        ``bond_snapshot``; month, isin, permno.
    treasury_curve : pl.DataFrame
        month and :data:`FORWARD_SPREADS` (percent), of the months of ``bonds``.
    firm_characteristics : pl.DataFrame or None
        month, permno and the raw :data:`FUNDAMENTALS`, of the months of ``bonds``; None where there are none.

    Returns
    -------
    pl.DataFrame
        The rows in their order with ``issuer_<name>`` of the linked stock, ``med_<name>``, the median over the stocks
        that the bonds of the month are linked to, each counted once whatever the number of its bonds, and the forward
        spreads. Null where the stock, the firm characteristics or the month of the curve is missing.
    """
    if firm_characteristics is None:
        schema = {"month": pl.Date(), "permno": pl.Int64(), **dict.fromkeys(FUNDAMENTALS, pl.Float64())}
        firm_characteristics = pl.DataFrame(schema=schema)
    issuers = _issuers(bonds, firm_characteristics)
    own = issuers.rename({name: f"issuer_{name}" for name in FUNDAMENTALS})
    return (
        bonds.join(own, on=["month", "permno"], how="left", maintain_order="left", validate="m:1")
        .join(_medians(issuers), on="month", how="left", maintain_order="left", validate="m:1")
        .join(
            treasury_curve.select("month", *FORWARD_SPREADS),
            on="month",
            how="left",
            maintain_order="left",
            validate="m:1",
        )
    )
