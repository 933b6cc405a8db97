"""Links from stocks to the accounts of their companies: CRSP/Compustat Merged.

Belongs here: which link holds at the end of a month. Does not: which accounts are used then (``timing``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from pipeline.equity.waterfall import waterfall
from pipeline.extracts.events import intervals

LINK_TYPES = ("LC", "LU")
"""Links researched and confirmed by CRSP, and links by CUSIP that are unresearched but usable; the first goes first."""

PRIMARY = ("P", "C")
"""The issue that Compustat names as primary, and the one that CRSP does where Compustat names none."""

SCHEMA = {"month": pl.Date(), "permno": pl.Int64(), "permco": pl.Int64(), "gvkey": pl.String()}


def firm_links(lnkhist: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Return the company whose accounts belong to each stock at the end of each month.

    Parameters
    ----------
    lnkhist : pl.DataFrame
        ``crsp.ccmxpf_lnkhist`` as events: gvkey, lpermno, linkdt, event ("start" or "end"), linkenddt of end events,
        linktype, linkprim and lpermco of start events. All events up to the built month are read; an end dated after a
        month is open in it.
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        month, permno, permco, gvkey; sorted by month and permno. Links of type LC or LU, marked P or C, that hold on
        the month's last day. One company a stock: of several links that hold, one marked P comes before C, then LC
        before LU, then the one that started last. Several stocks of one company each have their row.

    Raises
    ------
    ValueError
        When those rules leave a stock with two companies.
    """
    links = _links(lnkhist)
    parts = [_one_company(_in_force(links, month), month) for month in sorted(set(months))]
    found = pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA)
    return found.select(*SCHEMA).cast(SCHEMA)  # type: ignore[arg-type]


def _links(lnkhist: pl.DataFrame) -> pl.DataFrame:
    """Put start and end of every link to a stock into one row, with the ranks by which links are preferred."""
    stocks = lnkhist.filter(pl.col("lpermno").is_not_null())
    links = intervals(stocks, ("gvkey", "lpermno", "linkdt"), "linkenddt", ("linktype", "linkprim", "lpermco"))
    return links.with_columns(
        primary=pl.col("linkprim").replace_strict(dict(zip(PRIMARY, (0, 1), strict=True)), default=None),
        kind=pl.col("linktype").replace_strict(dict(zip(LINK_TYPES, (0, 1), strict=True)), default=None),
    )


def _held(month: date) -> pl.Expr:
    last_day = pl.lit(month).dt.month_end()
    return (pl.col("linkdt") <= last_day) & (pl.col("linkenddt").is_null() | (pl.col("linkenddt") >= last_day))


def _in_force(links: pl.DataFrame, month: date) -> pl.DataFrame:
    return links.filter(_held(month), pl.col("primary").is_not_null(), pl.col("kind").is_not_null())


def _one_company(links: pl.DataFrame, month: date) -> pl.DataFrame:
    """Keep the preferred link of every stock."""
    rank = ["primary", "kind", "linkdt"]
    ordered = links.sort("lpermno", *rank, "gvkey", descending=[False, False, False, True, False])
    chosen = ordered.unique("lpermno", keep="first", maintain_order=True)
    tied = ordered.join(chosen.select("lpermno", *rank, first="gvkey"), on=["lpermno", *rank], how="inner")
    tied = tied.filter(pl.col("gvkey") != pl.col("first"))
    if tied.height:
        shown = "; ".join(
            f"permno {row['lpermno']}: gvkey {row['first']} and {row['gvkey']} since {row['linkdt']}"
            for row in tied.head(5).to_dicts()
        )
        raise ValueError(
            f"crsp.ccmxpf_lnkhist: {tied['lpermno'].n_unique()} stocks have links of equal rank to two companies at "
            f"the end of {month:%Y-%m}: {shown}. Correct linkprim, linkdt or linkenddt of one of them."
        )
    return chosen.select(month=pl.lit(month), permno="lpermno", permco="lpermco", gvkey="gvkey").sort("permno")


def links_figures(lnkhist: pl.DataFrame, month: date) -> dict[str, Any]:
    """Say how links narrow down to one company a stock in a month.

    Parameters
    ----------
    lnkhist : pl.DataFrame
        As in :func:`firm_links`.
    month : datetime.date
        The month.

    Returns
    -------
    dict
        ``waterfall``: step, rows_in and rows_out of each filter.
    """
    links = _links(lnkhist).filter(pl.col("linkdt") <= pl.lit(month).dt.month_end())
    steps = waterfall(
        links,
        {
            "in force at the end of the month": _held(month),
            f"linktype {' or '.join(LINK_TYPES)}": pl.col("kind").is_not_null(),
            f"linkprim {' or '.join(PRIMARY)}": pl.col("primary").is_not_null(),
        },
    )
    chosen = _one_company(_in_force(links, month), month)
    return {
        "waterfall": [
            *steps,
            {"step": "one company a stock", "rows_in": steps[-1]["rows_out"], "rows_out": chosen.height},
        ]
    }
