"""Rows that share the key by which a vendor tells rows apart.

Belongs here: numbering them. Does not: which of them counts, which is for whoever cleans the table.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

COPY = "copy"


def with_copies(block: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Give the rows of one key numbers, so that all of them are kept.

    Parameters
    ----------
    block : pl.DataFrame
        All rows of a key or none.
    key : sequence of str
        Columns that ought to identify a row.

    Returns
    -------
    pl.DataFrame
        The rows in another order, with `COPY` (Int64): 0 in a row that is alone with its key, else 0, 1, ... in the
        order of all other columns, so that the order of rows in the file says nothing.
    """
    # Hardly any row is repeated: only those that may be are sorted. Rows of one key have one hash.
    repeated = block.select(key).hash_rows().is_duplicated()
    alone = block.filter(~repeated).with_columns(pl.lit(0, pl.Int64).alias(COPY))
    if not repeated.any():
        return alone
    order = list(dict.fromkeys((*key, *sorted(block.columns))))
    twins = block.filter(repeated).sort(order)
    return pl.concat([alone, twins.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).over(*key).alias(COPY))])
