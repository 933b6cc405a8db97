"""Which of CRSP's two layouts is on disk: SIZ (``ret``, ``shrcd``) or CIZ (``mthret``, ``securitytype``).

Belongs here: the choice, and refusing two answers or none. Does not: how a layout is read (``crsp_monthly``,
``crsp_daily``).
"""

from __future__ import annotations

import polars as pl

SIZ, CIZ = "siz", "ciz"


def table_on_disk(
    siz: pl.DataFrame | None, ciz: pl.DataFrame | None, *, siz_table: str, ciz_table: str
) -> tuple[str, pl.DataFrame]:
    """Return the one of two tables of the same content that is there.

    Parameters
    ----------
    siz, ciz : pl.DataFrame or None
        The table in each layout; None where it is not on disk.
    siz_table, ciz_table : str
        Their names, for the message.

    Returns
    -------
    str
        ``siz`` or ``ciz``.
    pl.DataFrame
        The table.

    Raises
    ------
    ValueError
        When both are there, since one would silently win, or none is.
    """
    if siz is not None and ciz is not None:
        raise ValueError(
            f"{siz_table} and {ciz_table} are both on disk: they hold the same history in two layouts, and nothing "
            f"says which one to believe. Remove {siz_table} to use the CIZ layout, {ciz_table} to use the SIZ layout."
        )
    if siz is not None:
        return SIZ, siz
    if ciz is not None:
        return CIZ, ciz
    raise ValueError(f"neither {siz_table} nor {ciz_table} is on disk: put one of them into the extracts.")


def required(table: pl.DataFrame | None, name: str, beside: str) -> pl.DataFrame:
    """Return a table that another one cannot do without.

    Raises
    ------
    ValueError
        When it is not on disk.
    """
    if table is None:
        raise ValueError(f"{name} is not on disk, and {beside} can't be read without it: put it into the extracts.")
    return table
