"""All 138 firm characteristics once more, stock by stock in plain Python, sharing no code with the project.

The function takes the monthly and annual tables that ``firm_characteristics`` is made of, so that it can be pointed at
any staged market; the characteristics of daily rows are taken as they are (``slow_daily`` has them). The definitions
are those of the specification for the 44 of dg41 and kps36, and Green, Hand and Zhang's (2017) for the 94 of gkx94.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
import polars as pl

from tests.equity.slow_gkx import carried_by_stock, gkx_of_industry, gkx_of_month, gkx_of_record
from tests.equity.slow_gkx_quarterly import gkx_of_quarter
from tests.equity.slow_records import (
    NAN,
    NOTHING,
    Firm,
    Month,
    MonthlyRows,
    Record,
    Statements,
    finite,
    first_known,
    or_zero,
    to_pandas,
)
from tests.equity.slow_windows import price_characteristics

MONTHS_AFTER_YEAR_END = {"lag6m": 6, "lag4m": 4}
STALE_AFTER = 18

DAILY = (
    "rel2high", "spread", "variance40", "suv", "capm_b_mkt", "ff3_ivol",
    "gkx_beta", "gkx_betasq", "gkx_idiovol", "gkx_pricedelay", "gkx_maxret", "gkx_retvol", "gkx_baspread",
    "gkx_std_dolvol", "gkx_std_turn", "gkx_ill", "gkx_zerotrade", "gkx_aeavol", "gkx_ear",
)  # fmt: skip


def record_in_use(firm: Firm, m: Month, profile: str) -> Record:
    """Choose the annual statement of the sets dg41 and kps36."""
    if profile == "ff_june":
        year = m.year - 1 if m.month >= 6 else m.year - 2
        return firm.newest(lambda record: record.datadate.year == year)
    lag = MONTHS_AFTER_YEAR_END[profile]
    return firm.newest(lambda record: record.datadate + lag <= m <= record.datadate + STALE_AFTER)


def market_equity_in_use(crsp: MonthlyRows, permno: int, record: Record, m: Month, profile: str) -> float:
    """Market equity, all share classes, that accounting items of the sets dg41 and kps36 are compared with."""
    if profile == "ff_june":
        december = Month(year=m.year - 1 if m.month >= 6 else m.year - 2, month=12, freq="M")
        return crsp.value(permno, december, "me_permco")
    return crsp.value(permno, record.datadate, "me_permco") if record is not NOTHING else NAN


def book_equity(r: Record) -> float:
    """Fama and French's book equity: shareholders' equity plus deferred taxes less preferred stock."""
    shareholders = first_known(r.seq, r.ceq + r.pstk, r.at - r.lt)
    preferred = first_known(r.pstkrv, r.pstkl, r.pstk, 0.0)
    return shareholders + or_zero(r.txditc) - preferred


def working_capital(r: Record) -> float:
    """Operating working capital: current assets but cash, less current liabilities but debt and taxes payable."""
    return (r.act - r.che) - (r.lct - r.dlc - r.txp)


def net_operating_assets(r: Record) -> float:
    operating_assets = r.at - r.che - r.ivao
    operating_liabilities = r.at - r.dlc - r.dltt - r.mib - r.pstk - r.ceq
    return operating_assets - operating_liabilities


def accounting_characteristics(r: Record, me: float) -> dict[str, float]:
    """Return the 31 of dg41 and kps36 that come from statements; ``l`` is the fiscal year before."""
    l = r.lag(1)  # noqa: E741
    be = book_equity(r)
    shares, shares_before = r.csho * r.ajex, l.csho * l.ajex
    return {
        "at": r.at,
        "a2me": r.at / me,
        "ac": (working_capital(r) / shares - working_capital(l) / shares_before) / (be / shares),
        "ato": r.sale / net_operating_assets(l),
        "beme": be / me,
        "c": r.che / r.at,
        "cf": (r.ni + r.dp - r.wcapch - r.capx) / be,
        "cf2p": (r.ib + r.dp + r.txdb) / me,
        "cto": r.sale / l.at,
        "d2a": r.dp / r.at,
        "dpi2a": ((r.ppegt - l.ppegt) + (r.invt - l.invt)) / l.at,
        "e2p": r.ib / me,
        "fc2y": (r.xsga + or_zero(r.xrd) + or_zero(r.xad)) / r.sale,
        "investment": r.at / l.at - 1.0,
        "lev": (r.dltt + r.dlc) / (r.dltt + r.dlc + r.seq),
        "ni": np.log(shares) - np.log(shares_before),
        "noa": net_operating_assets(r) / l.at,
        "oa": (working_capital(r) - working_capital(l) - r.dp) / l.at,
        "ol": (r.cogs + r.xsga) / r.at,
        "op": (r.revt - r.cogs - first_known(r.tie, r.xint) - r.xsga) / be,
        "pcm": (r.sale - r.cogs) / r.sale,
        "pm": r.oiadp / r.sale,
        "prof": first_known(r.gp, r.sale - r.cogs) / be,
        "q": (r.at + me - r.ceq - r.txdb) / r.at,
        "rna": r.oiadp / net_operating_assets(l),
        "roa": r.ib / l.at,
        "roe": r.ib / book_equity(l),
        "s2p": r.sale / me,
        "sga2s": r.xsga / r.sale,
        "sga2m": r.xsga / me,
    }


def annual_in_gkx(firm: Firm, m: Month) -> Record:
    """Choose the annual statement of gkx94: out for six months, not older than eighteen."""
    return firm.newest(lambda record: record.datadate + 6 <= m <= record.datadate + 18)


def quarter_in_gkx(firm: Firm, m: Month) -> Record:
    """Choose the quarterly statement of gkx94: four to nine months old, and announced."""
    return firm.newest(
        lambda record: (
            record.datadate + 4 <= m <= record.datadate + 9
            and (record.items["rdq"] is pd.NaT or record.items["rdq"] <= m)
        ),
    )


def one_stock(
    crsp: MonthlyRows, permno: int, annual: Firm, quarters: Firm, m: Month, profile: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what a stock's own past says: characteristics, and what comparisons within the industry still need."""
    record = record_in_use(annual, m, profile)
    me = market_equity_in_use(crsp, permno, record, m, profile)
    gkx_record, gkx_quarter = annual_in_gkx(annual, m), quarter_in_gkx(quarters, m)
    sic = first_known(gkx_record.sich, crsp.value(permno, m, "siccd"))
    own = {
        **accounting_characteristics(record, me),
        **price_characteristics(crsp, permno, m, profile),
        **gkx_of_record(gkx_record, sic),
        **gkx_of_quarter(gkx_quarter),
        **gkx_of_month(crsp, permno, m),
    }
    return own, {"sic2": sic // 100, **carried_by_stock(gkx_record, gkx_quarter)}


def slow_firm_characteristics(
    crsp_monthly: pl.DataFrame,
    compustat_annual: pl.DataFrame,
    compustat_quarterly: pl.DataFrame,
    firm_links: pl.DataFrame,
    daily_characteristics: pl.DataFrame,
    months: Sequence[date],
    profile: str = "ff_june",
) -> pd.DataFrame:
    """Raw, winsorised (``_w``) and ranked (``_r``) characteristics with the columns month, permno; NaN is missing."""
    crsp, daily = MonthlyRows(crsp_monthly), MonthlyRows(daily_characteristics)
    annual = Statements(compustat_annual, annual=True)
    quarterly = Statements(compustat_quarterly, annual=False)
    links = to_pandas(firm_links)
    gvkeys = {(int(row.permno), row.month): row.gvkey for row in links.itertuples()}
    blocks = []
    for m in sorted(Month(month, freq="M") for month in months):
        with np.errstate(all="ignore"):
            raw = one_month(crsp, daily, annual, quarterly, gvkeys, m, profile)
        clipped = raw.apply(lambda x: x.clip(*np.nanpercentile(x, [1, 99])) if x.notna().any() else x)
        ranked = raw.apply(lambda x: ((x.rank() - 0.5) / x.count() - 0.5).fillna(0.0))
        block = pd.concat([raw, clipped.add_suffix("_w"), ranked.add_suffix("_r")], axis=1).reset_index()
        blocks.append(block.assign(month=m.to_timestamp().date()))
    return pd.concat(blocks, ignore_index=True)


def one_month(
    crsp: MonthlyRows,
    daily: MonthlyRows,
    annual: Statements,
    quarterly: Statements,
    gvkeys: dict[tuple[int, Month], str],
    m: Month,
    profile: str,
) -> pd.DataFrame:
    """Return the raw characteristics of the stocks that are in the universe at the end of a month, one row each."""
    rows = crsp.months[m]
    universe = rows[rows["in_universe"].astype(bool) & ~rows["delisted"].astype(bool)]
    characteristics, carried = {}, {}
    for permno in universe["permno"].astype(int):
        gvkey = gvkeys.get((permno, m))
        firm, quarters = annual.known(gvkey, m), quarterly.known(gvkey, m)
        own, needed = one_stock(crsp, permno, firm, quarters, m, profile)
        own |= {name: daily.value(permno, m, name) for name in DAILY}
        characteristics[permno], carried[permno] = own, needed
    own = pd.DataFrame.from_dict(characteristics, orient="index").rename_axis("permno").map(finite)
    needed = pd.DataFrame.from_dict(carried, orient="index").map(finite)
    return pd.concat([own, gkx_of_industry(own, needed)], axis=1)
