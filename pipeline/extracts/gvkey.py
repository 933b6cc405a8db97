"""Compustat's company key in the six digits by which its tables and the links to CRSP join.

Belongs here: the spellings that exports use and what is refused of them. Does not: links (``crsp_stocks``), accounts
(``compustat``). A tool that takes the key for a number drops its leading zeros and may write 1001.0 for 001001.
"""

from __future__ import annotations

import dataframely as dy
import polars as pl

from pipeline.extracts.table import Column

DIGITS = 6
GVKEY = Column(name="gvkey", kind="text", whole=True)
_FEWER, _ALL = rf"^[0-9]{{1,{DIGITS}}}$", rf"^[0-9]{{{DIGITS}}}$"


def six_digits(published: str) -> pl.Expr:
    """Key with its leading zeros; any text that is no number of up to six digits as it is, to be refused."""
    key = pl.col(published)
    return pl.when(key.str.contains(_FEWER)).then(key.str.zfill(DIGITS)).otherwise(key)


def gvkey_column() -> dy.String:
    """Column of a schema, part of its key, that holds what :func:`six_digits` gives and refuses what is no key."""
    return dy.String(primary_key=True, check={"gvkey": _spelled})


def _spelled(gvkey: pl.Expr) -> pl.Expr:
    return gvkey.str.contains(_ALL)
