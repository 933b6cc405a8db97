"""The annual, monthly and industry characteristics of Green, Hand and Zhang (2017), stock by stock; see ``slow_firm``.

``r`` is the annual statement in use, ``l`` the one of the fiscal year before. Names are the published ones here, the
prefix is put before them at the end.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.equity.slow_gkx_quarterly import roavol, sgrvol
from tests.equity.slow_records import NAN, NOTHING, Month, MonthlyRows, Record, finite, first_known, or_zero
from tests.equity.slow_windows import cumulative

CPI = {
    1949: 23.8, 1950: 24.1, 1951: 26.0, 1952: 26.5, 1953: 26.7, 1954: 26.9, 1955: 26.8, 1956: 27.2, 1957: 28.1,
    1958: 28.9, 1959: 29.1, 1960: 29.6, 1961: 29.9, 1962: 30.2, 1963: 30.6, 1964: 31.0, 1965: 31.5, 1966: 32.4,
    1967: 33.4, 1968: 34.8, 1969: 36.7, 1970: 38.8, 1971: 40.5, 1972: 41.8, 1973: 44.4, 1974: 49.3, 1975: 53.8,
    1976: 56.9, 1977: 60.6, 1978: 65.2, 1979: 72.6, 1980: 82.4, 1981: 90.9, 1982: 96.5, 1983: 99.6, 1984: 103.9,
    1985: 107.6, 1986: 109.6, 1987: 113.6, 1988: 118.3, 1989: 124.0, 1990: 130.7, 1991: 136.2, 1992: 140.3,
    1993: 144.5, 1994: 148.2, 1995: 152.4, 1996: 156.9, 1997: 160.5, 1998: 163.0, 1999: 166.6, 2000: 172.2,
    2001: 177.1, 2002: 179.9, 2003: 184.0, 2004: 188.9, 2005: 195.3, 2006: 201.6, 2007: 207.342, 2008: 215.303,
    2009: 214.537, 2010: 218.056, 2011: 224.939, 2012: 229.594, 2013: 232.957, 2014: 236.736, 2015: 237.017,
    2016: 240.007, 2017: 245.120, 2018: 251.107, 2019: 255.657, 2020: 258.811, 2021: 270.970, 2022: 292.655,
    2023: 304.702, 2024: 313.689,
}  # fmt: skip
"""Consumer prices of the United States, all urban consumers, annual average, 1982-84 = 100 (BLS)."""

ORGANISATION_YEARS = 10


def _prefixed(values: dict[str, float]) -> dict[str, float]:
    return {f"gkx_{name}": value for name, value in values.items()}


def growth(now: float, before: float) -> float:
    return (now - before) / before


def market_equity(r: Record) -> float:
    """Market equity at the end of the fiscal year by the firm's own report."""
    return r.csho * abs(r.prcc_f)


def mean_assets(r: Record, lag: int = 0) -> float:
    return (r.lag(lag).at + r.lag(lag + 1).at) / 2.0


def current_assets(r: Record) -> float:
    return first_known(r.act, r.che + r.rect + r.invt)


def current_liabilities(r: Record) -> float:
    return first_known(r.lct, r.ap)


def current_ratio(r: Record) -> float:
    return current_assets(r) / current_liabilities(r)


def quick_ratio(r: Record) -> float:
    return (current_assets(r) - r.invt) / current_liabilities(r)


def capital_expenditure(r: Record, lag: int) -> float:
    """Capital expenditure ``lag`` fiscal years back; where it is missing, the change in property then."""
    return first_known(r.lag(lag).capx, r.lag(lag).ppent - r.lag(lag + 1).ppent)


def balance_sheet_accruals(r: Record) -> float:
    l = r.lag(1)  # noqa: E741
    change_of_assets = (r.act - l.act) - (r.che - l.che)
    change_of_liabilities = (r.lct - l.lct) - (r.dlc - l.dlc) - (r.txp - l.txp)
    return change_of_assets - change_of_liabilities - r.dp


def accruals(r: Record) -> float:
    return balance_sheet_accruals(r) if np.isnan(r.oancf) else r.ib - r.oancf


def cash_flow(r: Record) -> float:
    return first_known(r.oancf, r.ib - balance_sheet_accruals(r))


def convertible_debt(r: Record) -> float:
    """Convertible debt, else what convertible debt and preferred stock together exceed preferred stock by."""
    if not np.isnan(r.dcvt):
        return r.dcvt
    beyond_preferred = r.dcpstk - or_zero(r.pstk)
    return beyond_preferred if beyond_preferred > 0.0 else NAN


def long_term_operating_assets(r: Record) -> float:
    return r.rect + r.invt + r.ppent + r.aco + r.intan + r.ao - r.ap - r.lco - r.lo


def organisation_capital(r: Record) -> float:
    """Stock of deflated selling expenses that loses 15% a year, over mean assets."""

    def expense(lag: int) -> float:
        year = int(r.fyear) - lag - 1
        return or_zero(r.lag(lag).xsga / CPI[min(max(year, min(CPI)), max(CPI))])

    on_record = [lag for lag in range(1, ORGANISATION_YEARS + 1) if r.lag(lag) is not NOTHING]
    if not on_record:
        return NAN
    stock = expense(max(on_record)) / (0.10 + 0.15)
    for lag in reversed(range(max(on_record))):
        stock = 0.85 * stock + expense(lag)
    return stock / mean_assets(r)


def highest_tax_rate(fiscal_year: float) -> float:
    for last, rate in ((1978, 0.48), (1986, 0.46), (1987, 0.40), (1992, 0.34), (2017, 0.35)):
        if fiscal_year <= last:
            return rate
    return 0.21


def tax_over_income(r: Record) -> float:
    paid, not_deferred = r.txfo + r.txfed, r.txt - r.txdi
    if r.ib <= 0.0 and max(or_zero(paid), or_zero(not_deferred)) > 0.0:
        return np.float64(1.0)
    base = not_deferred if np.isnan(r.txfo) or np.isnan(r.txfed) else paid
    return base / highest_tax_rate(r.fyear) / r.ib


def piotroski(r: Record) -> float:
    l = r.lag(1)  # noqa: E741
    if l is NOTHING or np.isnan(r.at) or np.isnan(r.ni):
        return NAN

    def profitability(x: Record) -> float:
        return finite(x.ni / x.at)

    def leverage(x: Record) -> float:
        return finite(x.dltt / x.at)

    def liquidity(x: Record) -> float:
        return finite(current_ratio(x))

    def margin(x: Record) -> float:
        return finite((x.sale - x.cogs) / x.sale)

    def turnover(x: Record) -> float:
        return finite(x.sale / x.at)

    signals = (
        r.ni > 0.0,
        r.oancf > 0.0,
        profitability(r) > profitability(l),
        r.oancf > r.ni,
        leverage(r) < leverage(l),
        liquidity(r) > liquidity(l),
        margin(r) > margin(l),
        turnover(r) > turnover(l),
        r.scstkc == 0.0,
    )
    return np.float64(sum(map(bool, signals)))


def _indicators(r: Record) -> dict[str, float]:
    """Return the characteristics that are 1 or 0, missing without a statement or the one before where it is needed."""
    l = r.lag(1)  # noqa: E741
    change_of_research = finite(growth(r.xrd / r.at, l.xrd / l.at))
    dividend, dividend_before = or_zero(r.dvt), or_zero(l.dvt)
    own = {
        "convind": any(not np.isnan(x) and x != 0.0 for x in (convertible_debt(r), r.cshrc)),
        "securedind": or_zero(r.dm) != 0.0,
    }
    with_past = {
        "divi": dividend > 0.0 and dividend_before == 0.0,
        "divo": dividend == 0.0 and dividend_before > 0.0,
        "rd": change_of_research > 0.05,
    }
    return {
        **{name: NAN if r is NOTHING else np.float64(value) for name, value in own.items()},
        **{name: NAN if l is NOTHING else np.float64(value) for name, value in with_past.items()},
    }


def _hiring(r: Record) -> float:
    l = r.lag(1)  # noqa: E741
    if l is NOTHING:
        return NAN
    return np.float64(0.0) if np.isnan(r.emp + l.emp) else growth(r.emp, l.emp)


def _over_market(r: Record) -> dict[str, float]:
    me = market_equity(r)
    return {
        "bm": r.ceq / me,
        "cashpr": (me + r.dltt - r.at) / r.che,
        "cfp": cash_flow(r) / me,
        "dy": r.dvt / me,
        "ep": r.ib / me,
        "lev": r.lt / me,
        "rd_mve": r.xrd / me,
        "sp": r.sale / me,
    }


def _growth(r: Record) -> dict[str, float]:
    l = r.lag(1)  # noqa: E741
    of_sales = growth(r.sale, l.sale)
    change_of_property = r.ppent - l.ppent if np.isnan(r.ppegt) else r.ppegt - l.ppegt
    noncurrent = long_term_operating_assets(r) - long_term_operating_assets(l)
    current = (r.rect - l.rect) + (r.invt - l.invt) + (r.aco - l.aco) - (r.ap - l.ap) - (r.lco - l.lco)
    return {
        "agr": growth(r.at, l.at),
        "chcsho": growth(r.csho, l.csho),
        "chinv": (r.invt - l.invt) / mean_assets(r),
        "egr": growth(r.ceq, l.ceq),
        "grcapx": growth(capital_expenditure(r, 0), capital_expenditure(r, 2)),
        "grltnoa": (noncurrent - current + r.dp) / mean_assets(r),
        "hire": _hiring(r),
        "invest": (change_of_property + r.invt - l.invt) / l.at,
        "lgr": growth(r.lt, l.lt),
        "pchcurrat": growth(current_ratio(r), current_ratio(l)),
        "pchdepr": growth(r.dp / r.ppent, l.dp / l.ppent),
        "pchgm_pchsale": growth(r.sale - r.cogs, l.sale - l.cogs) - of_sales,
        "pchquick": growth(quick_ratio(r), quick_ratio(l)),
        "pchsale_pchinvt": of_sales - growth(r.invt, l.invt),
        "pchsale_pchrect": of_sales - growth(r.rect, l.rect),
        "pchsale_pchxsga": of_sales - growth(r.xsga, l.xsga),
        "pchsaleinv": growth(r.sale / r.invt, l.sale / l.invt),
        "sgr": of_sales,
    }


def _ratios(r: Record) -> dict[str, float]:
    l = r.lag(1)  # noqa: E741
    return {
        "acc": accruals(r) / mean_assets(r),
        "absacc": abs(accruals(r) / mean_assets(r)),
        "cashdebt": (r.ib + r.dp) / ((r.lt + l.lt) / 2.0),
        "currat": current_ratio(r),
        "depr": r.dp / r.ppent,
        "gma": (r.revt - r.cogs) / l.at,
        "operprof": (r.revt - r.cogs - or_zero(r.xsga) - or_zero(r.xint)) / l.ceq,
        "orgcap": organisation_capital(r) if r is not NOTHING else NAN,
        "pctacc": accruals(r) / (0.01 if r.ib == 0.0 else abs(r.ib)),
        "quick": quick_ratio(r),
        "rd_sale": r.xrd / r.sale,
        "realestate": (r.fatb + r.fatl) / (r.ppent if np.isnan(r.ppegt) else r.ppegt),
        "roic": (r.ebit - r.nopi) / (r.ceq + r.lt - r.che),
        "salecash": r.sale / r.che,
        "saleinv": r.sale / r.invt,
        "salerec": r.sale / r.rect,
        "secured": r.dm / r.dltt,
        "tang": (r.che + 0.715 * r.rect + 0.547 * r.invt + 0.535 * r.ppent) / r.at,
    }


def sinful(sic: float, naics: float) -> float:
    """Whether the firm sells alcohol or tobacco or runs casinos; the gambling codes are the text of the program."""
    gambling = ("7132", "71312", "713210", "71329", "713290", "72112", "721120")
    if not np.isnan(naics) and str(int(naics)) in gambling:
        return np.float64(1.0)
    return NAN if np.isnan(sic) else np.float64(sic in range(2080, 2086) or sic // 100 == 21)


def gkx_of_record(r: Record, sic: float) -> dict[str, float]:
    """Return the characteristics of an annual statement that need no other firm."""
    return _prefixed(
        {
            **_over_market(r),
            **_growth(r),
            **_ratios(r),
            **_indicators(r),
            "age": r.age(),
            "ps": piotroski(r),
            "sin": sinful(sic, r.naicsh),
        }
    )


def gkx_of_month(crsp: MonthlyRows, permno: int, m: Month) -> dict[str, float]:
    """Return the characteristics of monthly prices; m is the month before the predicted one."""
    volumes = crsp.window(permno, "volume", m, 3)
    shares = 1000.0 * crsp.value(permno, m, "shrout")
    dollars = crsp.value(permno, m - 1, "volume") * crsp.value(permno, m - 1, "prc")
    return _prefixed(
        {
            "mom1m": crsp.value(permno, m, "ret"),
            "mom6m": cumulative(crsp, permno, m - 5, m - 1),
            "mom12m": cumulative(crsp, permno, m - 11, m - 1),
            "mom36m": cumulative(crsp, permno, m - 35, m - 12),
            "chmom": cumulative(crsp, permno, m - 5, m) - cumulative(crsp, permno, m - 11, m - 6),
            "dolvol": np.log(dollars),
            "mvel1": crsp.value(permno, m, "prc") * crsp.value(permno, m, "shrout") / 1000.0,
            "turn": sum(volumes) / 3.0 / shares,
        }
    )


def carried_by_stock(r: Record, q: Record) -> dict[str, float]:
    """Return what the industry characteristics compare between stocks."""
    l = r.lag(1)  # noqa: E741
    return {
        "chpm": r.ib / r.sale - l.ib / l.sale,
        "chato": r.sale / mean_assets(r) - l.sale / mean_assets(r, 1),
        "pchcapx": growth(capital_expenditure(r, 0), capital_expenditure(r, 1)),
        "tb_1": tax_over_income(r),
        "mve_f": market_equity(r),
        "sale": r.sale,
        "has_both": NAN if r is NOTHING or q is NOTHING else 1.0,
        "oancf_beats_ni": np.float64(r.oancf > r.ni),
        "roa": r.ni / mean_assets(r),
        "cfroa": first_known(r.oancf, r.ib + r.dp) / mean_assets(r),
        "xrdint": r.xrd / mean_assets(r),
        "capxint": capital_expenditure(r, 0) / mean_assets(r),
        "xadint": r.xad / mean_assets(r),
        "roavol": roavol(q),
        "sgrvol": sgrvol(q),
    }


def mohanram(peers: pd.DataFrame) -> pd.Series:
    """Count eight signals of each stock of an industry against the industry's medians."""
    median = peers.median(skipna=True)
    above = sum((peers[name] > median[name]).astype(float) for name in ("roa", "cfroa", "xrdint", "capxint", "xadint"))
    below = sum((peers[name] < median[name]).astype(float) for name in ("roavol", "sgrvol"))
    return (above + below + peers["oancf_beats_ni"]) * peers["has_both"]


def gkx_of_industry(own: pd.DataFrame, needed: pd.DataFrame) -> pd.DataFrame:
    """Return the characteristics that compare a stock with those of the month that share its two-digit industry."""
    blocks = []
    for _, peers in needed.groupby("sic2"):
        theirs = own.loc[peers.index]
        block = pd.DataFrame(
            {
                "gkx_bm_ia": theirs["gkx_bm"] - theirs["gkx_bm"].mean(),
                "gkx_cfp_ia": theirs["gkx_cfp"] - theirs["gkx_cfp"].mean(),
                "gkx_chatoia": peers["chato"] - peers["chato"].mean(),
                "gkx_chempia": theirs["gkx_hire"] - theirs["gkx_hire"].mean(),
                "gkx_chpmia": peers["chpm"] - peers["chpm"].mean(),
                "gkx_mve_ia": peers["mve_f"] - peers["mve_f"].mean(),
                "gkx_pchcapx_ia": peers["pchcapx"] - peers["pchcapx"].mean(),
                "gkx_tb": peers["tb_1"] - peers["tb_1"].mean(),
                "gkx_herf": (peers["sale"] ** 2).sum(min_count=1) / peers["sale"].sum(min_count=1) ** 2,
                "gkx_indmom": theirs["gkx_mom12m"].mean(),
                "gkx_ms": mohanram(peers),
            }
        )
        blocks.append(block)
    return pd.concat(blocks).reindex(own.index)
