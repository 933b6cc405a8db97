"""Characteristics from windows of calendar months of ``crsp_monthly``, stock by stock; see ``slow_firm``."""

from __future__ import annotations

import numpy as np

from tests.equity.slow_records import NAN, Month, MonthlyRows


def cumulative(crsp: MonthlyRows, permno: int, first: Month, last: Month) -> float:
    """Return of a dollar held from the start of the first to the end of the last month; every month is needed."""
    wealth = np.float64(1.0)
    month = first
    while month <= last:
        wealth = wealth * (1.0 + crsp.value(permno, month, "ret"))
        month = month + 1
    return wealth - 1.0


def dividend_yield(crsp: MonthlyRows, permno: int, month: Month, profile: str) -> float:
    """Dividends of twelve months over market equity at their end.

    Under ``ff_june`` the twelve months end in the last June that opened an accounting year, else with the month.
    """
    end = month
    if profile == "ff_june":
        end = Month(year=month.year if month.month >= 6 else month.year - 1, month=6, freq="M")
    dividends, seen = 0.0, False
    for back in range(12):
        at = end - back
        paid = crsp.value(permno, at, "ret") - crsp.value(permno, at, "retx")
        price, shares = crsp.value(permno, at - 1, "prc"), crsp.value(permno, at - 1, "shrout")
        amount = paid * price * shares / 1000.0
        seen = seen or not np.isnan(amount)
        dividends += 0.0 if np.isnan(amount) else amount
    return np.float64(dividends) / crsp.value(permno, end, "me") if seen else NAN


def price_characteristics(crsp: MonthlyRows, permno: int, m: Month, profile: str) -> dict[str, float]:
    """Return the seven windows of the sets dg41 and kps36, and d2p; month m precedes the predicted one."""
    return {
        "lme": crsp.value(permno, m, "prc") * crsp.value(permno, m, "shrout") / 1000.0,
        "lturnover": crsp.value(permno, m, "volume") / (1000.0 * crsp.value(permno, m, "shrout")),
        "lt_rev": cumulative(crsp, permno, m - 59, m - 12),
        "r12_2": cumulative(crsp, permno, m - 11, m - 1),
        "r12_7": cumulative(crsp, permno, m - 11, m - 6),
        "r2_1": crsp.value(permno, m, "ret"),
        "r36_13": cumulative(crsp, permno, m - 35, m - 12),
        "d2p": dividend_yield(crsp, permno, m, profile),
    }
