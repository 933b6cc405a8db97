"""Annual entries of set ``gkx94`` that are changes from one fiscal year to another.

A percent change is (x - x_1) / x_1 whatever the sign of x_1, null where x_1 is zero. Belongs here: growth and changes.
Does not: accruals and scores (``gkx_health``), industry-adjusted changes (``gkx_industry``).
"""

from __future__ import annotations

import polars as pl

from pipeline.equity.gkx_accounts import (
    AVERAGE_ASSETS,
    YEAR_BEFORE,
    capital_expenditure,
    current_ratio,
    gross_margin,
    net_operating_assets,
    quick_ratio,
)
from pipeline.equity.gkx_form import annual, change, flag, growth, item, item_growth, joint, ratio

_PAYS = item("dvt").fill_null(0.0)
_PAID = item("dvt", 1).fill_null(0.0)
_ADDED_PLANT = pl.when(item("ppegt").is_null()).then(change("ppent")).otherwise(change("ppegt"))
# Growth of net operating assets less its accruals: what depreciation took from long-term assets is added back.
_OPERATING_ACCRUALS = joint([change("rect"), change("invt"), change("aco")]) - (change("ap") + change("lco"))
_LONG_TERM_GROWTH = net_operating_assets(0) - net_operating_assets(1) - (_OPERATING_ACCRUALS - item("dp"))


def _research_share(lag: int) -> pl.Expr:
    return ratio(item("xrd", lag), item("at", lag))


def _sales_to_inventory(lag: int) -> pl.Expr:
    return ratio(item("sale", lag), item("invt", lag))


def _depreciation_rate(lag: int) -> pl.Expr:
    return ratio(item("dp", lag), item("ppent", lag))


HIRE = annual(
    "hire",
    "percent change of emp; 0 where emp is missing in either year; null if the fiscal year before is not on record",
    pl.when(YEAR_BEFORE & (item("emp").is_null() | item("emp", 1).is_null()))
    .then(0.0)
    .when(YEAR_BEFORE)
    .then(item_growth("emp")),
    unit="decimal",
    reference="Bazdresch, Belo and Lin 2014",
)

CHANGES = (
    HIRE,
    annual(
        "agr",
        "percent change of at, positive when assets grow",
        item_growth("at"),
        unit="decimal",
        reference="Cooper, Gulen and Schill 2008",
    ),
    annual(
        "chcsho",
        "percent change of csho, not adjusted for splits",
        item_growth("csho"),
        unit="decimal",
        reference="Pontiff and Woodgate 2008",
    ),
    annual(
        "chinv",
        "change of invt / mean of at at the end and at the beginning of the fiscal year",
        ratio(change("invt"), AVERAGE_ASSETS),
        reference="Thomas and Zhang 2002",
    ),
    annual(
        "divi",
        "1 if dvt is positive and was zero or missing the fiscal year before, else 0; null if that year is not on "
        "record",
        pl.when(YEAR_BEFORE).then(flag((_PAYS > 0.0) & (_PAID == 0.0))),
        unit="1 or 0",
        reference="Michaely, Thaler and Womack 1995",
    ),
    annual(
        "divo",
        "1 if dvt is zero or missing and was positive the fiscal year before, else 0; null if that year is not on "
        "record",
        pl.when(YEAR_BEFORE).then(flag((_PAYS == 0.0) & (_PAID > 0.0))),
        unit="1 or 0",
        reference="Michaely, Thaler and Womack 1995",
    ),
    annual(
        "egr",
        "percent change of ceq",
        item_growth("ceq"),
        unit="decimal",
        reference="Richardson, Sloan, Soliman and Tuna 2005",
    ),
    annual(
        "grcapx",
        "percent change of capital expenditure over two fiscal years; it is capx, or where that is missing the change "
        "of ppent from the fiscal year before",
        growth(capital_expenditure, 2),
        unit="decimal",
        reference="Anderson and Garcia-Feijoo 2006",
        history="looks at 2 earlier fiscal years; 3 where capx is missing",
    ),
    annual(
        "grltnoa",
        "(change of net operating assets - (change of rect + invt + aco - ap - lco) + dp) / mean of at at the end and "
        "at the beginning of the fiscal year; net operating assets are rect + invt + ppent + aco + intan + ao - ap - "
        "lco - lo, all of which must be there",
        ratio(_LONG_TERM_GROWTH, AVERAGE_ASSETS),
        reference="Fairfield, Whisenant and Yohn 2003",
    ),
    annual(
        "invest",
        "(change of ppegt + change of invt) / at of the fiscal year before; change of ppent where this year's ppegt is "
        "missing",
        ratio(_ADDED_PLANT + change("invt"), item("at", 1)),
        reference="Chen and Zhang 2010",
    ),
    annual(
        "lgr",
        "percent change of lt",
        item_growth("lt"),
        unit="decimal",
        reference="Richardson, Sloan, Soliman and Tuna 2005",
    ),
    annual(
        "pchcurrat",
        "percent change of act / lct; a missing act is che + rect + invt, a missing lct is ap, in either year",
        growth(current_ratio),
        unit="decimal",
        reference="Ou and Penman 1989",
    ),
    annual(
        "pchdepr",
        "percent change of dp / ppent",
        growth(_depreciation_rate),
        unit="decimal",
        reference="Holthausen and Larcker 1992",
    ),
    annual(
        "pchgm_pchsale",
        "percent change of sale - cogs, less percent change of sale",
        growth(gross_margin) - item_growth("sale"),
        unit="decimal",
        reference="Abarbanell and Bushee 1998",
    ),
    annual(
        "pchquick",
        "percent change of (act - invt) / lct; a missing act is che + rect + invt, a missing lct is ap, in either year",
        growth(quick_ratio),
        unit="decimal",
        reference="Ou and Penman 1989",
    ),
    annual(
        "pchsale_pchinvt",
        "percent change of sale, less percent change of invt",
        item_growth("sale") - item_growth("invt"),
        unit="decimal",
        reference="Abarbanell and Bushee 1998",
    ),
    annual(
        "pchsale_pchrect",
        "percent change of sale, less percent change of rect",
        item_growth("sale") - item_growth("rect"),
        unit="decimal",
        reference="Abarbanell and Bushee 1998",
    ),
    annual(
        "pchsale_pchxsga",
        "percent change of sale, less percent change of xsga",
        item_growth("sale") - item_growth("xsga"),
        unit="decimal",
        reference="Abarbanell and Bushee 1998",
    ),
    annual(
        "pchsaleinv",
        "percent change of sale / invt",
        growth(_sales_to_inventory),
        unit="decimal",
        reference="Ou and Penman 1989",
    ),
    annual(
        "rd",
        "1 if xrd / at is more than 5 percent above its value of the fiscal year before, else 0, also where either is "
        "missing; null if that year is not on record. The value before is xrd_1 / at_1 as the paper has it, not the "
        "xrd_1 / at_2 of the program",
        pl.when(YEAR_BEFORE).then(flag(growth(_research_share) > 0.05)),
        unit="1 or 0",
        reference="Eberhart, Maxwell and Siddique 2004",
    ),
    annual(
        "sgr",
        "percent change of sale",
        item_growth("sale"),
        unit="decimal",
        reference="Lakonishok, Shleifer and Vishny 1994",
    ),
)
