"""The market as its files stood at the end of an earlier month: every dated row after it taken away.

Used to append months to a market and to prove that nothing depends on later rows.
"""

from collections.abc import Mapping
from datetime import date

import polars as pl

from pipeline.simulation.layouts import date_column


def history(tables: Mapping[str, pl.DataFrame], month: date) -> dict[str, pl.DataFrame]:
    """Cut logical tables after a month.

    Parameters
    ----------
    tables : Mapping of str to DataFrame
        `Market.tables`.
    month : date
        Any day of the last month that stays.

    Returns
    -------
    dict of str to DataFrame
        The same tables with the rows dated up to the end of `month`. The bond extract keeps the rows priced on the
        first day of the next month, which describe the end of `month`, without their returns, which are earned
        later. FRED-MD vintages are cut by rows, never left out.
    """
    following = pl.lit(date(month.year + month.month // 12, month.month % 12 + 1, 1))
    cut = {}
    for table, frame in tables.items():
        day = pl.col(date_column(table))
        if table.startswith("bonds."):
            known = pl.when(day < following).then(pl.col("Return"))
            cut[table] = frame.filter(day <= following).with_columns(known.alias("Return"))
        else:
            cut[table] = frame.filter(day < following)
    return cut
