"""The quarterly characteristics of Green, Hand and Zhang (2017), stock by stock; see ``slow_firm``.

``q`` is the quarterly statement in use; ``q.lag(k)`` the one k fiscal quarters before.
"""

from __future__ import annotations

import numpy as np

from tests.equity.slow_records import NAN, NOTHING, Record, deviation_of_known, finite, first_known, mean_of_known

SMALL_SALES = 0.01


def market_equity(q: Record) -> float:
    return q.cshoq * abs(q.prccq)


def book_equity(q: Record) -> float:
    preferred = first_known(q.pstkrq, q.pstkq)
    return first_known(q.seqq, q.ceqq + preferred, q.atq - q.ltq)


def sales_or_small(q: Record) -> float:
    """Sales to divide by: those of the quarter, a small number where they are not positive."""
    return np.float64(SMALL_SALES) if q.saleq <= 0.0 else q.saleq


def return_on_assets(q: Record, lag: int = 0) -> float:
    return q.lag(lag).ibq / q.lag(lag + 1).atq


def revenue_surprise(q: Record, lag: int = 0) -> float:
    return (q.lag(lag).saleq - q.lag(lag + 4).saleq) / market_equity(q.lag(lag))


def accruals(q: Record, lag: int = 0) -> float:
    now, before = q.lag(lag), q.lag(lag + 1)
    change_of_assets = (now.actq - before.actq) - (now.cheq - before.cheq)
    change_of_liabilities = (now.lctq - before.lctq) - (now.dlcq - before.dlcq)
    return (change_of_assets - change_of_liabilities) / sales_or_small(now)


def cash_flow(q: Record, lag: int = 0) -> float:
    return q.lag(lag).ibq / sales_or_small(q.lag(lag)) - accruals(q, lag)


def deviation(q: Record, quantity, quarters: int) -> float:
    """Standard deviation over the last quarters, given a history of seventeen."""
    if q.lag(16) is NOTHING:
        return NAN
    return deviation_of_known([quantity(q, lag) for lag in range(quarters)], at_least=2)


def roavol(q: Record) -> float:
    return deviation(q, return_on_assets, 16)


def sgrvol(q: Record) -> float:
    return deviation(q, revenue_surprise, 15)


def corporate_investment(q: Record) -> float:
    """Investment over sales, less its mean over the three quarters before."""
    if q.lag(4) is NOTHING:
        return NAN

    def investment(lag: int) -> float:
        sales = np.float64(SMALL_SALES) if q.saleq <= 0.0 else q.lag(lag).saleq
        return finite((q.lag(lag).ppentq - q.lag(lag + 1).ppentq) / sales)

    return investment(0) - mean_of_known([investment(1), investment(2), investment(3)])


def earnings_increases(q: Record) -> float:
    """Count the quarters, one after another and at most eight, in which earnings rose over the quarter before."""
    if np.isnan(q.ibq) or np.isnan(q.lag(1).ibq):
        return NAN
    count = 0
    while count < 8 and q.lag(count).ibq > q.lag(count + 1).ibq:
        count += 1
    return np.float64(count)


def gkx_of_quarter(q: Record) -> dict[str, float]:
    """Return the characteristics of a quarterly statement."""
    return {
        "gkx_cash": q.cheq / q.atq,
        "gkx_chtx": (q.txtq - q.lag(4).txtq) / q.lag(4).atq,
        "gkx_cinvest": corporate_investment(q),
        "gkx_nincr": earnings_increases(q),
        "gkx_roaq": return_on_assets(q),
        "gkx_roavol": roavol(q),
        "gkx_roeq": q.ibq / book_equity(q.lag(1)),
        "gkx_rsup": revenue_surprise(q),
        "gkx_stdacc": deviation(q, accruals, 16),
        "gkx_stdcf": deviation(q, cash_flow, 16),
    }
