"""The quarterly entries of set ``gkx94``: characteristics of Green, Hand and Zhang (2017) on quarterly records.

All of them read the newest fiscal quarter that ended at least four and at most nine months before the end of m and is
reported by then; ``x_k`` is the item of k fiscal quarters before. Belongs here: entries on Compustat's quarterly file.
Does not: volume and returns around announcements, which need daily rows (``gkx_daily`` names them).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from pipeline.equity.definition import FirmCharacteristic
from pipeline.equity.gkx_form import change, flag, item, joint, on_stocks, quarterly, ratio
from pipeline.panel.windows import window_std

VOLATILITY_QUARTERS = 16
"""Quarters of a standard deviation; of sales surprises, one less."""

EARNINGS_QUARTERS = 8
"""Most quarters of rising earnings that are counted."""

_VOLATILITY_RULE = (
    "of the last 16 fiscal quarters, those that are missing left out; null if the quarter 16 before is not on record "
    "(the program asks for 17 quarters) or fewer than two values are there"
)
_SCALED = "over saleq, or over 0.01 where saleq is not positive; null if saleq is missing"


def _by_sales(amount: pl.Expr, lag: int) -> pl.Expr:
    sales = item("saleq", lag)
    return pl.when(sales > 0.0).then(amount / sales).when(sales <= 0.0).then(amount * 100.0)


def _accruals(lag: int) -> pl.Expr:
    amount = (change("actq", lag) - change("cheq", lag)) - (change("lctq", lag) - change("dlcq", lag))
    return _by_sales(amount, lag)


def _cash_flow(lag: int) -> pl.Expr:
    return _by_sales(item("ibq", lag), lag) - _accruals(lag)


def _return_on_assets(lag: int) -> pl.Expr:
    return ratio(item("ibq", lag), item("atq", lag + 1))


def _sales_surprise(lag: int) -> pl.Expr:
    return ratio(item("saleq", lag) - item("saleq", lag + 4), item("cshoq", lag) * item("prccq", lag).abs())


def _book_equity(lag: int) -> pl.Expr:
    preferred = pl.coalesce(item("pstkrq", lag), item("pstkq", lag))
    return pl.coalesce(item("seqq", lag), item("ceqq", lag) + preferred, item("atq", lag) - item("ltq", lag))


def _deviation(quarters: Sequence[pl.Series]) -> pl.Series:
    values = window_std(np.stack([quarter.to_numpy() for quarter in quarters]), min_obs=2)
    return pl.Series(values, dtype=pl.Float64, nan_to_null=True)


def _volatility(term: Callable[[int], pl.Expr], quarters: int = VOLATILITY_QUARTERS) -> pl.Expr:
    """Sample standard deviation of the values that are there, for firms with a record of 16 quarters before."""
    values = [term(lag).cast(pl.Float64) for lag in reversed(range(quarters))]
    deviation = pl.map_batches(values, _deviation, return_dtype=pl.Float64)
    return pl.when(item("fyearq", VOLATILITY_QUARTERS).is_not_null()).then(deviation)


def _mean_of_seen(terms: Sequence[pl.Expr]) -> pl.Expr:
    return ratio(joint([term.fill_null(0.0) for term in terms]), joint([flag(term.is_not_null()) for term in terms]))


def _investment() -> pl.Expr:
    before = _mean_of_seen([ratio(change("ppentq", lag), item("saleq", lag)) for lag in (1, 2, 3)])
    unscaled = _mean_of_seen([change("ppentq", lag) * 100.0 for lag in (1, 2, 3)])
    usual = pl.when(item("saleq") > 0.0).then(before).when(item("saleq") <= 0.0).then(unscaled)
    return pl.when(item("fyearq", 4).is_not_null()).then(_by_sales(change("ppentq"), 0) - usual)


def _rising_quarters() -> pl.Expr:
    rises = [item("ibq", lag) > item("ibq", lag + 1) for lag in range(EARNINGS_QUARTERS)]
    streaks = [
        pl.all_horizontal(rise.fill_null(False) for rise in rises[: lag + 1]) for lag in range(EARNINGS_QUARTERS)
    ]
    comparable = item("ibq").is_not_null() & item("ibq", 1).is_not_null()
    return pl.when(comparable).then(joint([flag(streak) for streak in streaks]))


ROAVOL = quarterly(
    "roavol",
    f"standard deviation of ibq / atq of the quarter before, {_VOLATILITY_RULE}",
    _volatility(_return_on_assets),
    reference="Francis, LaFond, Olsson and Schipper 2004",
)
RSUP = on_stocks(
    "rsup",
    "(saleq - saleq of four quarters before) / (cshoq * |prccq|)",
    pl.col("gkx_sales_surprise"),
    timing="quarterly",
    # The Mohanram score compares the deviation of rsup with the industry's, and stands with the annual entries.
    carries={
        "gkx_sales_surprise": _sales_surprise(0),
        "gkx_sgrvol": _volatility(_sales_surprise, VOLATILITY_QUARTERS - 1),
        "gkx_fyearq": item("fyearq"),
    },
    reference="Kama 2009",
    history="looks at 4 earlier fiscal quarters",
)

GKX_QUARTERLY: tuple[FirmCharacteristic, ...] = (
    ROAVOL,
    RSUP,
    quarterly(
        "cash",
        "cheq / atq (the paper's table says average atq, the program the quarter's own)",
        ratio(item("cheq"), item("atq")),
        reference="Palazzo 2012",
    ),
    quarterly(
        "chtx",
        "(txtq - txtq of four quarters before) / atq of four quarters before",
        ratio(item("txtq") - item("txtq", 4), item("atq", 4)),
        reference="Thomas and Zhang 2011",
    ),
    quarterly(
        "cinvest",
        "change of ppentq / saleq, less the mean of the same ratio over the three quarters before, each with its own "
        "saleq and those that are missing left out; all four over 0.01 instead where this quarter's saleq is not "
        "positive; null if the quarter four before is not on record",
        _investment(),
        reference="Titman, Wei and Xie 2004",
    ),
    quarterly(
        "nincr",
        "consecutive fiscal quarters, at most eight, in which ibq rose over the quarter before, as the program has it "
        "(the paper's table: over the same quarter of the year before); a missing quarter ends the count; null if ibq "
        "of this or the quarter before is missing",
        _rising_quarters(),
        unit="quarters, 0 to 8",
        reference="Barth, Elliott and Finn 1999",
        history=f"looks at up to {EARNINGS_QUARTERS} earlier fiscal quarters",
    ),
    quarterly(
        "roaq",
        "ibq / atq of the quarter before",
        _return_on_assets(0),
        reference="Balakrishnan, Bartov and Faurel 2010",
    ),
    quarterly(
        "roeq",
        "ibq / book equity of the quarter before, which is seqq, else ceqq + preferred stock (pstkrq, else pstkq), "
        "else atq - ltq",
        ratio(item("ibq"), _book_equity(1)),
        reference="Hou, Xue and Zhang 2015",
    ),
    quarterly(
        "stdacc",
        "standard deviation of accruals, (change of actq - change of cheq) - (change of lctq - change of dlcq), "
        f"{_SCALED}, {_VOLATILITY_RULE}",
        _volatility(_accruals),
        reference="Bandyopadhyay, Huang and Wirjanto 2010",
    ),
    quarterly(
        "stdcf",
        f"standard deviation of ibq {_SCALED}, less the accruals of gkx_stdacc, {_VOLATILITY_RULE}",
        _volatility(_cash_flow),
        reference="Huang 2009",
    ),
)
