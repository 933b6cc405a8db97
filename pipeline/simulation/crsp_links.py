"""CCM's link history as a vendor table."""

from collections.abc import Mapping

import polars as pl

from pipeline.simulation.economy import Economy

SCHEMA = {
    "gvkey": pl.String, "linkprim": pl.String, "linktype": pl.String, "lpermno": pl.Int64, "lpermco": pl.Int64,
    "linkdt": pl.Date, "linkenddt": pl.Date,
}  # fmt: skip


def link_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Link history.

    Parameters
    ----------
    economy : Economy
        Securities and their links.

    Returns
    -------
    Mapping of str to DataFrame
        crsp.ccmxpf_lnkhist : gvkey, linkprim, linktype, lpermno, lpermco, linkdt, linkenddt (null while it lasts).
    """
    frame = pl.DataFrame(economy.links.rows, schema=SCHEMA)
    return {"crsp.ccmxpf_lnkhist": frame.sort("gvkey", "linkdt", "lpermno", "linktype", nulls_last=True)}
