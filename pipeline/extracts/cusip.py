"""CUSIPs in the eight characters by which tables of bonds join.

Belongs here: the spellings that vendors use and what is refused of them. Does not: ISINs (``index_constituents``).
The ninth character is a check digit: some vendors write it, some don't.
"""

from __future__ import annotations

import dataframely as dy
import polars as pl

_EIGHT, _NINE = r"^[0-9A-Z*@#]{8}$", r"^[0-9A-Z*@#]{9}$"


def eight(published: str) -> pl.Expr:
    """First eight characters of a CUSIP of eight or nine, in upper case; any other text as it is, to be refused."""
    upper = pl.col(published).str.to_uppercase()
    return pl.when(upper.str.contains(_NINE)).then(upper.str.head(8)).otherwise(upper)


def cusip_column(*, primary_key: bool = False, nullable: bool = False) -> dy.String:
    """Column of a schema that holds what :func:`eight` gives and refuses what is no CUSIP."""
    return dy.String(primary_key=primary_key, nullable=nullable, check={"cusip": _spelled})


def _spelled(cusip: pl.Expr) -> pl.Expr:
    return cusip.str.contains(_EIGHT)
