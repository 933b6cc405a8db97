"""Annual entries of set gkx94 against firm-years worked out by hand; money in millions, three fiscal years a firm."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from pipeline.equity.gkx_annual import GKX_ANNUAL
from pipeline.equity.gkx_orgcap import CPI
from pipeline.equity.records import ANNUAL, lags_of, with_earlier_periods

FORMULAS = {entry.name: entry.formula for entry in GKX_ANNUAL if entry.level == "annual"}
CARRIED = {name: each for entry in GKX_ANNUAL for name, each in entry.carries.items()}
EXPRESSIONS = {**FORMULAS, **CARRIED}
LAGS = lags_of(EXPRESSIONS.values())
ROOTS = {root for each in EXPRESSIONS.values() for root in each.meta.root_names()}
ITEMS = sorted({root for root in ROOTS if not root[-1].isdigit()} | {i for each in LAGS.values() for i in each})


def evaluate(years: dict[int, dict[str, float | None]], n_years: int = 3, drop: frozenset[str] = frozenset()) -> dict:
    """Evaluate every expression on the last of a firm's fiscal years, items that are not named missing."""
    rows = [
        {"month": date(year + 1, 4, 1), "gvkey": "001001", "datadate": date(year, 12, 31), "fyear": year}
        | {item: None if item in drop else values.get(item) for item in ITEMS if item not in ("fyear", "n_years")}
        for year, values in years.items()
    ]
    floats = dict.fromkeys((item for item in ITEMS if item != "fyear"), pl.Float64)
    records = pl.DataFrame(rows, schema_overrides={"fyear": pl.Int64} | floats).drop("n_years", strict=False)
    last = max(years)
    chosen = pl.DataFrame(
        {"month": [date(last + 1, 6, 1)], "gvkey": ["001001"], "datadate": [date(last, 12, 31)], "n_years": [n_years]}
    )
    held = with_earlier_periods(chosen, records, ANNUAL, LAGS)
    return held.select(each.cast(pl.Float64).alias(name) for name, each in EXPRESSIONS.items()).row(0, named=True)


def items(**values: float | None) -> dict[str, float | None]:
    """Write a fiscal year down by its items."""
    return values


# fmt: off
GROWING = {
    2003: items(
        at=200, ceq=80, lt=110, csho=10, prcc_f=-16, ib=12, ni=10, oancf=20, dp=8, che=30, act=90, lct=45, dlc=5,
        txp=4, dltt=55, dvt=3.2, sale=250, revt=250, cogs=150, xsga=60, xint=5, ebit=30, nopi=2, xrd=10, rect=40,
        invt=20, ppent=80, ppegt=120, capx=24, emp=5.5, aco=6, ao=4, intan=10, ap=12, lco=9, lo=7, dm=11, dcpstk=7,
        pstk=3, fatb=30, fatl=6, scstkc=0, xad=2, txfo=1, txfed=7.4, txt=6, txdi=1.5, naicsh=721120,
    ),
    2002: items(
        at=160, ceq=64, lt=90, csho=8, prcc_f=10, ib=8, ni=6, oancf=9, dp=3, che=20, act=70, lct=28, dlc=4, txp=3,
        dltt=40, dvt=0, sale=200, revt=200, cogs=130, xsga=40, xrd=4, rect=25, invt=10, ppent=60, ppegt=100, capx=16,
        emp=5, aco=5, ao=3, intan=8, ap=10, lco=8, lo=6,
    ),
    2001: items(at=120, sale=150, xsga=20, capx=12, ppent=40),
}
# Market equity at the year end 10 * 16 = 160, mean assets (200 + 160) / 2 = 180.
GROWING_VALUES = {
    "gkx_bm": 0.5,                      # 80 / 160
    "gkx_ep": 0.075,                    # 12 / 160
    "gkx_cfp": 0.125,                   # 20 / 160
    "gkx_cashpr": 0.5,                  # (160 + 55 - 200) / 30
    "gkx_dy": 0.02,                     # 3.2 / 160
    "gkx_lev": 0.6875,                  # 110 / 160
    "gkx_rd_mve": 0.0625,               # 10 / 160
    "gkx_sp": 1.5625,                   # 250 / 160
    "gkx_age": 3.0,
    "gkx_cashdebt": 0.2,                # (12 + 8) / ((110 + 90) / 2)
    "gkx_convind": 1.0,                 # dcvt missing, 7 - 3 > 0
    "gkx_currat": 2.0,                  # 90 / 45
    "gkx_depr": 0.1,                    # 8 / 80
    "gkx_quick": 70 / 45,               # (90 - 20) / 45
    "gkx_rd_sale": 0.04,                # 10 / 250
    "gkx_realestate": 0.3,              # (30 + 6) / 120
    "gkx_roic": 0.175,                  # (30 - 2) / (80 + 110 - 30)
    "gkx_salecash": 250 / 30,
    "gkx_saleinv": 12.5,                # 250 / 20
    "gkx_salerec": 6.25,                # 250 / 40
    "gkx_secured": 0.2,                 # 11 / 55
    "gkx_securedind": 1.0,
    "gkx_tang": 0.5617,                 # (30 + 28.6 + 10.94 + 42.8) / 200
    "gkx_hire": 0.1,                    # 0.5 / 5
    "gkx_agr": 0.25,                    # 40 / 160
    "gkx_chcsho": 0.25,                 # 2 / 8
    "gkx_chinv": 10 / 180,
    "gkx_divi": 1.0,                    # pays 3.2, paid nothing
    "gkx_divo": 0.0,
    "gkx_egr": 0.25,                    # 16 / 64
    "gkx_grcapx": 1.0,                  # (24 - 12) / 12
    # Net operating assets 40+20+80+6+10+4-12-9-7 = 132, before 25+10+60+5+8+3-10-8-6 = 87; accruals 15+10+1-2-1 = 23.
    "gkx_grltnoa": 30 / 180,            # (132 - 87 - 23 + 8) / 180
    "gkx_invest": 0.1875,               # (20 + 10) / 160
    "gkx_lgr": 20 / 90,
    "gkx_pchcurrat": -0.2,              # 2 / 2.5 - 1
    "gkx_pchdepr": 1.0,                 # 0.1 / 0.05 - 1
    "gkx_pchgm_pchsale": 30 / 70 - 0.25,
    "gkx_pchquick": (70 / 45) / (60 / 28) - 1,
    "gkx_pchsale_pchinvt": -0.75,       # 0.25 - 10 / 10
    "gkx_pchsale_pchrect": -0.35,       # 0.25 - 15 / 25
    "gkx_pchsale_pchxsga": -0.25,       # 0.25 - 20 / 40
    "gkx_pchsaleinv": -0.375,           # 12.5 / 20 - 1
    "gkx_rd": 1.0,                      # 0.05 / 0.025 - 1 > 0.05
    "gkx_sgr": 0.25,                    # 50 / 200
    "gkx_acc": -8 / 180,                # 12 - 20
    "gkx_absacc": 8 / 180,
    "gkx_pctacc": -8 / 12,
    "gkx_gma": 0.625,                   # 100 / 160
    "gkx_operprof": 0.546875,           # (250 - 150 - 60 - 5) / 64
    # Yes: ni, oancf, ni/at 0.05 > 0.0375, oancf > ni, margin 0.4 > 0.35, scstkc. No: leverage, current ratio, turnover.
    "gkx_ps": 6.0,
    "gkx_chpm": 0.008,                  # 12 / 250 - 8 / 200
    "gkx_chato": 250 / 180 - 200 / 140,
    "gkx_mve_f": 160.0,
    "gkx_pchcapx": 0.5,                 # (24 - 16) / 16
    "gkx_tax_to_book": 2.0,             # 8.4 / 0.35 / 12
    "gkx_sale": 250.0,
    "gkx_roa": 10 / 180,
    "gkx_cfroa": 20 / 180,
    "gkx_cash_above_income": 1.0,
    "gkx_xrdint": 10 / 180,
    "gkx_capxint": 24 / 180,
    "gkx_xadint": 2 / 180,
    "gkx_fyear": 2003.0,
    "gkx_naicsh": 721120.0,
}

SHRINKING = {
    2018: items(
        at=90, ceq=-20, lt=110, csho=5, prcc_f=2, ib=-9, ni=-10, oancf=-1, dp=4, che=5, act=30, lct=40, dlc=10, txp=1,
        dltt=30, dvt=0, sale=100, revt=98, cogs=80, xsga=20, xint=4, ebit=-3, nopi=1, xrd=2.05, rect=10, invt=15,
        ppent=50, ppegt=80, capx=6, emp=1.8, aco=1, ao=2, intan=3, ap=9, lco=4, lo=2, dm=0, dcvt=0, dcpstk=9, fatb=20,
        fatl=0, cshrc=0, scstkc=1.5, xad=1, txfo=0.5, txfed=0.25, txt=9,
    ),
    2017: items(
        at=110, ceq=10, lt=100, csho=5, prcc_f=4, ib=3, ni=3, oancf=5, dp=5, che=10, act=40, lct=32, dlc=6, txp=2,
        dltt=33, dvt=1, sale=125, revt=125, cogs=90, xsga=25, xrd=2.5, rect=20, invt=10, ppent=52, ppegt=79, capx=8,
        emp=2, aco=2, ao=1, intan=4, ap=11, lco=5, lo=3,
    ),
    2016: items(at=100, sale=130, xsga=24, capx=4, ppent=50),
}
# Market equity 10, mean assets 100.
SHRINKING_VALUES = {
    "gkx_bm": -2.0,                     # -20 / 10: a negative book equity stays
    "gkx_ep": -0.9,
    "gkx_cfp": -0.1,
    "gkx_cashpr": -10.0,                # (10 + 30 - 90) / 5
    "gkx_dy": 0.0,
    "gkx_lev": 11.0,
    "gkx_sp": 10.0,
    "gkx_cashdebt": -5 / 105,
    "gkx_convind": 0.0,                 # dcvt is there and zero: dcpstk is not looked at; no shares are reserved
    "gkx_currat": 0.75,
    "gkx_depr": 0.08,
    "gkx_quick": 0.375,
    "gkx_roic": -4 / 85,                # (-3 - 1) / (-20 + 110 - 5)
    "gkx_secured": 0.0,
    "gkx_securedind": 0.0,
    "gkx_realestate": 0.25,             # (20 + 0) / 80
    "gkx_tang": (5 + 7.15 + 8.205 + 26.75) / 90,
    "gkx_hire": -0.1,
    "gkx_agr": -20 / 110,
    "gkx_chcsho": 0.0,
    "gkx_chinv": 0.05,
    "gkx_divi": 0.0,
    "gkx_divo": 1.0,                    # paid 1, pays nothing
    "gkx_egr": -3.0,                    # (-20 - 10) / 10
    "gkx_grcapx": 0.5,                  # (6 - 4) / 4
    # 10+15+50+1+3+2-9-4-2 = 66, before 20+10+52+2+4+1-11-5-3 = 70; accruals -10+5-1+2+1 = -3.
    "gkx_grltnoa": 0.03,                # (66 - 70 + 3 + 4) / 100
    "gkx_invest": 6 / 110,              # (1 + 5) / 110
    "gkx_lgr": 0.1,
    "gkx_pchcurrat": -0.4,              # 0.75 / 1.25 - 1
    "gkx_pchdepr": 0.08 / (5 / 52) - 1,
    "gkx_pchgm_pchsale": -15 / 35 + 0.2,
    "gkx_pchquick": 0.375 / 0.9375 - 1,
    "gkx_pchsale_pchinvt": -0.7,        # -0.2 - 0.5
    "gkx_pchsale_pchrect": 0.3,         # -0.2 + 0.5
    "gkx_pchsale_pchxsga": 0.0,         # -0.2 + 0.2
    "gkx_pchsaleinv": (100 / 15) / 12.5 - 1,
    "gkx_rd": 0.0,                      # (2.05 / 90) / (2.5 / 110) - 1 = 0.0022
    "gkx_sgr": -0.2,
    "gkx_acc": -0.08,                   # (-9 + 1) / 100
    "gkx_absacc": 0.08,
    "gkx_pctacc": -8 / 9,
    "gkx_gma": 18 / 110,
    "gkx_operprof": -0.6,               # (98 - 80 - 20 - 4) / 10
    "gkx_ps": 1.0,                      # oancf -1 > ni -10 alone; 30 / 90 > 33 / 110
    "gkx_chpm": -0.09 - 0.024,
    "gkx_chato": 1.0 - 125 / 105,
    "gkx_pchcapx": -0.25,
    "gkx_tax_to_book": 1.0,             # tax of 0.75 without income
    "gkx_cfroa": -0.01,
    "gkx_cash_above_income": 1.0,
}
# fmt: on


@pytest.mark.parametrize(
    ("firm", "expected"),
    [(GROWING, GROWING_VALUES), (SHRINKING, SHRINKING_VALUES)],
    ids=["growing", "shrinking"],
)
def test_firm_years_by_hand(firm: dict, expected: dict[str, float]) -> None:
    values = evaluate(firm)
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_every_expression_is_worked_out_by_hand() -> None:
    assert set(GROWING_VALUES) | {"gkx_orgcap"} == set(EXPRESSIONS)


def changed(firm: dict, year: int, **items: float | None) -> dict:
    return {**firm, year: {**firm[year], **items}}


def test_accruals_and_cash_flow_come_from_the_balance_sheet_without_a_cash_flow_statement() -> None:
    values = evaluate(GROWING, drop=frozenset({"oancf"}))
    # (20 - 10) - (17 - 1 - 1) - 8 = -13, depreciation taken off.
    assert values["gkx_acc"] == pytest.approx(-13 / 180)
    assert values["gkx_absacc"] == pytest.approx(13 / 180)
    assert values["gkx_pctacc"] == pytest.approx(-13 / 12)
    assert values["gkx_cfp"] == pytest.approx(25 / 160)  # 12 + 13
    assert values["gkx_cfroa"] == pytest.approx(20 / 180)  # 12 + 8
    assert values["gkx_cash_above_income"] == 0.0
    assert values["gkx_ps"] == 4.0  # without its two signals on cash flow


def test_missing_tax_payable_leaves_balance_sheet_accruals_missing() -> None:
    values = evaluate(GROWING, drop=frozenset({"oancf", "txp"}))
    assert (values["gkx_acc"], values["gkx_pctacc"], values["gkx_cfp"]) == (None, None, None)


def test_zero_income_is_divided_by_a_hundredth() -> None:
    assert evaluate(changed(GROWING, 2003, ib=0))["gkx_pctacc"] == pytest.approx(-2000.0)


def test_current_items_fall_back_in_either_year() -> None:
    values = evaluate(GROWING, drop=frozenset({"act", "lct"}))
    # 30 + 40 + 20 = 90 over ap 12; before 20 + 25 + 10 = 55 over ap 10.
    assert values["gkx_currat"] == pytest.approx(7.5)
    assert values["gkx_pchcurrat"] == pytest.approx(7.5 / 5.5 - 1)
    assert values["gkx_quick"] == pytest.approx(70 / 12)
    assert values["gkx_pchquick"] == pytest.approx((70 / 12) / 4.5 - 1)
    assert values["gkx_ps"] == 7.0  # the current ratio now rises


def test_plant_falls_back_to_net() -> None:
    values = evaluate(changed(GROWING, 2003, ppegt=None, capx=None))
    assert values["gkx_invest"] == pytest.approx(30 / 160)  # (80 - 60 + 10) / 160
    assert values["gkx_realestate"] == pytest.approx(36 / 80)
    assert values["gkx_grcapx"] == pytest.approx((20 - 12) / 12)
    assert values["gkx_pchcapx"] == pytest.approx((20 - 16) / 16)
    assert values["gkx_capxint"] == pytest.approx(20 / 180)
    assert evaluate(changed(GROWING, 2002, ppegt=None))["gkx_invest"] is None


def test_earlier_capital_expenditure_falls_back_too() -> None:
    values = evaluate(changed(GROWING, 2002, capx=None))
    assert values["gkx_pchcapx"] == pytest.approx((24 - 20) / 20)  # ppent 60 - 40


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (items(dcvt=None, dcpstk=3, pstk=3), 0.0),
        (items(dcvt=None, dcpstk=2, pstk=3), 0.0),
        (items(dcvt=None, dcpstk=2, pstk=None), 1.0),
        (items(dcvt=4, dcpstk=None, pstk=None), 1.0),
        (items(dcvt=None, dcpstk=None, pstk=3), 0.0),
        (items(dcvt=None, dcpstk=None, cshrc=0.5), 1.0),
        (items(dcvt=0, cshrc=0.5), 1.0),
        (items(dcvt=0, cshrc=0), 0.0),
        (items(dcvt=4, cshrc=0), 1.0),
        (items(dcvt=4, cshrc=None), 1.0),
    ],
)
def test_convertible_debt(items: dict, expected: float) -> None:
    assert evaluate(changed(GROWING, 2003, **items))["gkx_convind"] == expected


@pytest.mark.parametrize(
    ("now", "before", "divi", "divo"),
    [(2.0, None, 1.0, 0.0), (None, 2.0, 0.0, 1.0), (2.0, 1.0, 0.0, 0.0), (None, None, 0.0, 0.0), (0.0, 1.0, 0.0, 1.0)],
)
def test_a_missing_dividend_is_none(now: float | None, before: float | None, divi: float, divo: float) -> None:
    values = evaluate(changed(changed(GROWING, 2003, dvt=now), 2002, dvt=before))
    assert (values["gkx_divi"], values["gkx_divo"]) == (divi, divo)


def test_missing_employees_count_as_no_hiring_but_a_missing_year_does_not() -> None:
    assert evaluate(changed(GROWING, 2002, emp=None))["gkx_hire"] == 0.0
    assert evaluate(changed(GROWING, 2003, emp=None))["gkx_hire"] == 0.0
    assert evaluate({2003: GROWING[2003]})["gkx_hire"] is None


AFTER_THE_FIRST_YEAR = """
    cashdebt hire agr chcsho chinv divi divo egr grcapx grltnoa invest lgr pchcurrat pchdepr pchgm_pchsale pchquick
    pchsale_pchinvt pchsale_pchrect pchsale_pchxsga pchsaleinv rd sgr acc absacc gma operprof orgcap ps chpm chato
    pchcapx roa cfroa xrdint capxint xadint
"""


def test_first_year_on_record() -> None:
    values = evaluate({2003: GROWING[2003]}, n_years=1)
    missing = {name for name, value in values.items() if value is None}
    # What Green, Hand and Zhang set to missing in a firm's first year, and what needs two earlier years.
    assert missing == {f"gkx_{name}" for name in AFTER_THE_FIRST_YEAR.split()}
    assert values["gkx_age"] == 1.0


def test_a_year_without_a_record_is_not_bridged() -> None:
    values = evaluate({2003: GROWING[2003], 2001: GROWING[2002]})
    assert (values["gkx_agr"], values["gkx_ps"]) == (None, None)
    assert values["gkx_grcapx"] == pytest.approx((24 - 16) / 16)


def test_zero_denominators_are_missing_everywhere() -> None:
    zero = dict.fromkeys(ITEMS, 0.0)
    values = evaluate({2003: zero, 2002: zero, 2001: zero})
    defined = {name: value for name, value in values.items() if value is not None}
    # scstkc = 0 is the one signal of Piotroski that holds.
    assert defined == {
        **dict.fromkeys(("gkx_convind", "gkx_securedind", "gkx_divi", "gkx_divo", "gkx_rd", "gkx_pctacc"), 0.0),
        **dict.fromkeys(("gkx_mve_f", "gkx_sale", "gkx_cash_above_income", "gkx_naicsh"), 0.0),
        "gkx_ps": 1.0,
        "gkx_age": 3.0,
        "gkx_fyear": 2003.0,
    }


@pytest.mark.parametrize(
    ("year", "rate"),
    [(1978, 0.48), (1979, 0.46), (1986, 0.46), (1987, 0.40), (1988, 0.34), (1992, 0.34), (1993, 0.35), (2017, 0.35)],
)
def test_tax_rate_of_the_fiscal_year(year: int, rate: float) -> None:
    assert evaluate({year: GROWING[2003]})["gkx_tax_to_book"] == pytest.approx(8.4 / rate / 12)


@pytest.mark.parametrize("absent", ["txfo", "txfed"])
def test_tax_falls_back_to_total_tax_less_deferred(absent: str) -> None:
    # (6 - 1.5) / 0.21 / 12
    assert evaluate({2018: {**GROWING[2003], absent: None}})["gkx_tax_to_book"] == pytest.approx(4.5 / 0.21 / 12)
    assert evaluate({2018: {**GROWING[2003], absent: None, "txdi": None}})["gkx_tax_to_book"] is None


@pytest.mark.parametrize(
    ("tax", "expected"),
    [
        # Neither tax nor income is positive: the quotient stands, -0.7 / 0.35 / -2.
        (items(ib=-2, txt=-0.6, txdi=0.1), 1.0),
        (items(ib=-4, txfo=-0.5, txfed=-0.2, txt=-1, txdi=0), 0.5),
        # Tax is paid: by its own items, by what is not deferred, or by the latter where the former say that none is.
        (items(ib=-4, txfo=1, txfed=-0.3, txt=-1, txdi=0), 1.0),
        (items(ib=-4, txt=0.7, txdi=0.2), 1.0),
        (items(ib=-4, txfo=-0.5, txfed=-0.2, txt=0.7, txdi=0.2), 1.0),
        (items(ib=0, txt=0.7, txdi=0.2), 1.0),
        # More tax is deferred than there is.
        (items(ib=-2, txt=0.7, txdi=1.4), 1.0),
        (items(ib=-4, txt=0.7, txdi=1.4), 0.5),
        # What is not known says nothing of tax, and nothing of income.
        (items(ib=-4, txt=0.7), None),
        (items(txfo=1, txfed=1), None),
    ],
)
def test_tax_without_income(tax: dict, expected: float | None) -> None:
    assert evaluate({2003: tax})["gkx_tax_to_book"] == (None if expected is None else pytest.approx(expected))


def test_real_estate_needs_buildings_and_leases() -> None:
    for absent in ("fatb", "fatl"):
        assert evaluate(changed(GROWING, 2003, **{absent: None}))["gkx_realestate"] is None


def test_organisational_capital_is_the_recursion_from_the_first_year() -> None:
    stock = 20 / CPI[2000] / 0.25
    for expense, year in ((40, 2001), (60, 2002)):
        stock = 0.85 * stock + expense / CPI[year]
    assert evaluate(GROWING)["gkx_orgcap"] == pytest.approx(stock / 180, rel=1e-12)


def test_organisational_capital_reaches_back_ten_years() -> None:
    years = {year: items(at=100, xsga=float(year - 1990)) for year in range(1991, 2004)}
    stock = 3 / CPI[1992] / 0.25
    for year in range(1994, 2004):
        stock = 0.85 * stock + (year - 1990) / CPI[year - 1]
    assert evaluate(years)["gkx_orgcap"] == pytest.approx(stock / 100, rel=1e-12)


def test_missing_expense_and_missing_years_add_nothing_to_organisational_capital() -> None:
    years = {2003: items(at=100, xsga=6), 2002: items(at=100), 2000: items(at=100, xsga=4)}
    stock = (4 / CPI[1999] / 0.25) * 0.85**3 + 6 / CPI[2002]
    assert evaluate(years)["gkx_orgcap"] == pytest.approx(stock / 100, rel=1e-12)


def test_price_index_outside_the_table_is_its_end() -> None:
    values = evaluate({2040: items(at=100, xsga=6), 2039: items(at=100, xsga=4)})
    assert values["gkx_orgcap"] == pytest.approx((0.85 * 4 / 0.25 + 6) / CPI[2024] / 100, rel=1e-12)


def test_price_index_at_known_years() -> None:
    # Yearly averages of CPIAUCNS as the Bureau of Labor Statistics publishes them.
    assert (CPI[1950], CPI[1967], CPI[1983], CPI[2000], CPI[2024]) == (24.1, 33.4, 99.6, 172.2, 313.689)
    assert sorted(CPI) == list(range(1949, 2025))


def test_score_needs_assets_and_income() -> None:
    assert evaluate(changed(GROWING, 2003, ni=None))["gkx_ps"] is None
    assert evaluate(changed(GROWING, 2003, scstkc=None))["gkx_ps"] == 5.0
    assert evaluate(changed(GROWING, 2002, dltt=None))["gkx_ps"] == 6.0
