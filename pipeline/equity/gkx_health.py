"""Annual entries of set ``gkx94`` on earnings: accruals, profitability, organisational capital, Piotroski's score.

Belongs here: what is made of a firm's own earnings. Does not: the industry comparisons of Mohanram's score and of tax
(``gkx_industry``).
"""

from __future__ import annotations

import polars as pl

from pipeline.equity.gkx_accounts import ACCRUALS, AVERAGE_ASSETS, YEAR_BEFORE, current_ratio, gross_margin
from pipeline.equity.gkx_form import annual, flag, item, joint, ratio
from pipeline.equity.gkx_orgcap import ORGCAP_YEARS, expense_stock

_ACCRUAL_RATIO = ratio(ACCRUALS, AVERAGE_ASSETS)
# In millions, as all items are.
_INCOME_SIZE = pl.when(item("ib") == 0.0).then(0.01).otherwise(item("ib").abs())
_OPERATING_INCOME = joint([item("revt"), -item("cogs"), -item("xsga").fill_null(0.0), -item("xint").fill_null(0.0)])


def _over_assets(name: str, lag: int) -> pl.Expr:
    return ratio(item(name, lag), item("at", lag))


def _margin(lag: int) -> pl.Expr:
    return ratio(gross_margin(lag), item("sale", lag))


PIOTROSKI_SIGNALS = (
    item("ni") > 0.0,
    item("oancf") > 0.0,
    _over_assets("ni", 0) > _over_assets("ni", 1),
    item("oancf") > item("ni"),
    _over_assets("dltt", 0) < _over_assets("dltt", 1),
    current_ratio(0) > current_ratio(1),
    _margin(0) > _margin(1),
    _over_assets("sale", 0) > _over_assets("sale", 1),
    item("scstkc") == 0.0,
)

HEALTH = (
    annual(
        "acc",
        "(ib - oancf) / mean of at at the end and at the beginning of the fiscal year; where oancf is missing, "
        "the numerator is the balance-sheet accruals (change of act - change of che) - (change of lct - change of dlc "
        "- change of txp) - dp; depreciation is taken off as in the paper and in Sloan, a misplaced bracket of the "
        "program adds it",
        _ACCRUAL_RATIO,
        reference="Sloan 1996",
    ),
    annual(
        "absacc",
        "absolute value of gkx_acc",
        _ACCRUAL_RATIO.abs(),
        reference="Bandyopadhyay, Huang and Wirjanto 2010",
    ),
    annual(
        "pctacc",
        "the numerator of gkx_acc / |ib|; over 0.01 where ib is zero",
        ratio(ACCRUALS, _INCOME_SIZE),
        reference="Hafzalla, Lundholm and Van Winkle 2011",
        history="one fiscal year; one more where oancf is missing",
    ),
    annual(
        "gma",
        "(revt - cogs) / at of the fiscal year before",
        ratio(item("revt") - item("cogs"), item("at", 1)),
        reference="Novy-Marx 2013",
    ),
    annual(
        "operprof",
        "(revt - cogs - xsga - xint) / ceq of the fiscal year before; a missing xsga or xint is none; the paper's "
        "denominator, later versions of the program divide by this year's book equity",
        ratio(_OPERATING_INCOME, item("ceq", 1)),
        reference="Fama and French 2015",
    ),
    annual(
        "orgcap",
        "O / mean of at at the end and at the beginning of the fiscal year; O = sum over k = 0..j of 0.85^k e_k, plus "
        "3 * 0.85^j e_j, where j <= 10 is the oldest fiscal year before that is on record and e_k = xsga_k / CPI "
        "of the calendar year before the fiscal year k years back: the recursion O = 0.85 O_1 + e that starts at e / "
        "(0.10 + 0.15) in year j. A missing xsga, or a year in between that is not on record, adds nothing. The "
        "program starts with the firm's first year and takes the fiscal year's own CPI, which is not out when an early "
        "year end is used; years outside the table of 1949 to 2024 take its first or last value",
        ratio(expense_stock(), AVERAGE_ASSETS),
        unit="expense at 1982-84 prices over assets",
        reference="Eisfeldt and Papanikolaou 2013",
        history=f"at least 1 earlier fiscal year, up to {ORGCAP_YEARS}",
    ),
    annual(
        "ps",
        "number of nine signals that hold: ni > 0; oancf > 0; ni / at up; oancf > ni; dltt / at down; current ratio of "
        "gkx_currat up; (sale - cogs) / sale up; sale / at up; scstkc = 0; up and down are from the fiscal year "
        "before. A signal with a missing input does not hold (SAS lets a missing value be the smallest number); null "
        "if at or ni is missing or the fiscal year before is not on record",
        pl.when(YEAR_BEFORE & item("at").is_not_null() & item("ni").is_not_null()).then(
            joint([flag(signal) for signal in PIOTROSKI_SIGNALS])
        ),
        unit="signals, 0 to 9",
        reference="Piotroski 2000",
    ),
)
