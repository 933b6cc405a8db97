"""Whether a company has what an issuer needs at the end of a month: a stock, a link to its accounts, assets.

Belongs here: the stock, the accounts and what is missing. Does not: which company issued a bond (``issuer_match``).
"""

from __future__ import annotations

import polars as pl

from pipeline.bonds.issuer_match import IssuerMatchSettings
from pipeline.equity.timing import chosen_records
from pipeline.panel.calendar import month_number_expr

NOT_LISTED, NO_LINK, NO_ACCOUNTS, NO_ASSETS = "not listed", "no company link", "no accounts", "no assets"

_COUNTED = pl.col("common") & ~pl.col("delisted") & pl.col("me").is_not_null()


def standing(
    companies: pl.DataFrame,
    crsp_monthly: pl.DataFrame,
    firm_links: pl.DataFrame,
    compustat_annual: pl.DataFrame,
    settings: IssuerMatchSettings,
) -> pl.DataFrame:
    """Say of companies which stock and accounts they have in a month, and what they lack.

    Parameters
    ----------
    companies : pl.DataFrame
        month, permco; one row each.
    crsp_monthly : pl.DataFrame
        month, permno, permco, common, delisted, me (millions).
    firm_links : pl.DataFrame
        month, permno, gvkey.
    compustat_annual : pl.DataFrame
        month (of availability), gvkey, datadate, at.
    settings : IssuerMatchSettings
        Age of the accounts.

    Returns
    -------
    pl.DataFrame
        month, permco, permno (of several common stocks that are listed the one with the highest market equity, then the
        lowest number), gvkey (that stock's, else that of the company's largest security that has one), fault: null, or
        the first of ``not listed``, ``no company link``, ``no accounts``, ``no assets`` that holds.
    """
    securities = crsp_monthly.select("month", "permno", "permco", "common", "delisted", "me").join(
        companies, on=["month", "permco"], how="semi"
    )
    stocks = _largest(securities.filter(_COUNTED)).select("month", "permco", "permno")
    linked = securities.join(firm_links.select("month", "permno", "gvkey"), on=["month", "permno"])
    gvkeys = _largest(linked).select("month", "permco", "gvkey")
    found = companies.join(stocks, on=["month", "permco"], how="left").join(gvkeys, on=["month", "permco"], how="left")
    accounts = _last_assets(compustat_annual, companies["month"], settings)
    faults = {
        NOT_LISTED: pl.col("permno").is_null(),
        NO_LINK: pl.col("gvkey").is_null(),
        NO_ACCOUNTS: pl.col("datadate").is_null(),
        NO_ASSETS: pl.col("at").is_null() | (pl.col("at") == 0.0),
    }
    fault = pl.coalesce(pl.when(holds).then(pl.lit(reason)) for reason, holds in faults.items())
    return found.join(accounts, on=["month", "gvkey"], how="left").select(
        "month", "permco", "permno", "gvkey", fault=fault
    )


def _largest(securities: pl.DataFrame) -> pl.DataFrame:
    """Keep one security of every company and month: listed common stock first, then by market equity."""
    ordered = securities.sort(
        "month", "permco", _COUNTED, "me", "permno", descending=[False, False, True, True, False], nulls_last=True
    )
    return ordered.unique(["month", "permco"], keep="first", maintain_order=True)


def _last_assets(compustat_annual: pl.DataFrame, months: pl.Series, settings: IssuerMatchSettings) -> pl.DataFrame:
    """Give the last annual accounts of every company that became available in the months that count."""
    records = compustat_annual.select("month", "gvkey", "datadate", "at")
    chosen = chosen_records(
        records, months.to_list(), lambda: (month_number_expr(), month_number_expr() + settings.accounts_months - 1)
    )
    return chosen.join(records.drop("month"), on=["gvkey", "datadate"], how="left")
