"""Annual entries of set ``gkx94`` that compare items of one fiscal year: prices, balance sheet, income.

Belongs here: entries without a change over years. Does not: changes (``gkx_changes``), earnings quality and scores
(``gkx_health``), industry comparisons (``gkx_industry``).
"""

from __future__ import annotations

import polars as pl

from pipeline.equity.gkx_accounts import (
    CONVERTIBLE_DEBT,
    MARKET_EQUITY,
    OPERATING_CASH_FLOW,
    current_ratio,
    quick_ratio,
)
from pipeline.equity.gkx_form import annual, average, flag, item, joint, ratio

BM = annual(
    "bm",
    "ceq / fiscal-year-end market equity; market equity is csho * |prcc_f| here and wherever an entry says so",
    ratio(item("ceq"), MARKET_EQUITY),
    reference="Rosenberg, Reid and Lanstein 1985",
)
CFP = annual(
    "cfp",
    "oancf / fiscal-year-end market equity; where oancf is missing, (ib - balance-sheet accruals of gkx_acc) over it",
    ratio(OPERATING_CASH_FLOW, MARKET_EQUITY),
    reference="Desai, Rajgopal and Venkatachalam 2004",
    history="one fiscal year; one more where oancf is missing",
)

RATIOS = (
    BM,
    CFP,
    annual(
        "cashpr",
        "(fiscal-year-end market equity + dltt - at) / che",
        ratio(MARKET_EQUITY + item("dltt") - item("at"), item("che")),
        reference="Chandrashekar and Rao 2009",
    ),
    annual(
        "dy",
        "dvt / fiscal-year-end market equity",
        ratio(item("dvt"), MARKET_EQUITY),
        reference="Litzenberger and Ramaswamy 1982",
    ),
    annual("ep", "ib / fiscal-year-end market equity", ratio(item("ib"), MARKET_EQUITY), reference="Basu 1977"),
    annual("lev", "lt / fiscal-year-end market equity", ratio(item("lt"), MARKET_EQUITY), reference="Bhandari 1988"),
    annual(
        "rd_mve",
        "xrd / fiscal-year-end market equity",
        ratio(item("xrd"), MARKET_EQUITY),
        reference="Guo, Lev and Shi 2006",
    ),
    annual(
        "sp",
        "sale / fiscal-year-end market equity",
        ratio(item("sale"), MARKET_EQUITY),
        reference="Barbee, Mukherji and Raines 1996",
    ),
    annual(
        "age",
        "annual records of the firm up to and including the one in use, those available in the month",
        pl.col("n_years"),
        unit="years",
        reference="Jiang, Lee and Zhang 2005",
        history="all annual records",
    ),
    annual(
        "cashdebt",
        "(ib + dp) / mean of lt at the end and at the beginning of the fiscal year",
        ratio(item("ib") + item("dp"), average("lt")),
        reference="Ou and Penman 1989",
    ),
    annual(
        "convind",
        "1 if convertible debt is there and not zero, or shares reserved for conversion (cshrc) are, else 0; "
        "convertible debt is dcvt, or where that is missing dcpstk less pstk (a missing pstk is none) if positive",
        flag((CONVERTIBLE_DEBT != 0.0) | (item("cshrc") != 0.0)),
        unit="1 or 0",
        reference="Valta 2016",
    ),
    annual(
        "currat",
        "act / lct; a missing act is che + rect + invt, a missing lct is ap",
        current_ratio(0),
        reference="Ou and Penman 1989",
    ),
    annual("depr", "dp / ppent", ratio(item("dp"), item("ppent")), reference="Holthausen and Larcker 1992"),
    annual(
        "quick",
        "(act - invt) / lct; a missing act is che + rect + invt, a missing lct is ap",
        quick_ratio(0),
        reference="Ou and Penman 1989",
    ),
    annual("rd_sale", "xrd / sale", ratio(item("xrd"), item("sale")), reference="Guo, Lev and Shi 2006"),
    annual(
        "realestate",
        "(fatb + fatl) / ppegt, over ppent where ppegt is missing: buildings and leases at cost",
        ratio(item("fatb") + item("fatl"), pl.coalesce(item("ppegt"), item("ppent"))),
        reference="Tuzel 2010",
    ),
    annual(
        "roic",
        "(ebit - nopi) / (ceq + lt - che)",
        ratio(item("ebit") - item("nopi"), item("ceq") + item("lt") - item("che")),
        reference="Brown and Rowe 2007",
    ),
    annual("salecash", "sale / che", ratio(item("sale"), item("che")), reference="Ou and Penman 1989"),
    annual("saleinv", "sale / invt", ratio(item("sale"), item("invt")), reference="Ou and Penman 1989"),
    annual("salerec", "sale / rect", ratio(item("sale"), item("rect")), reference="Ou and Penman 1989"),
    annual("secured", "dm / dltt", ratio(item("dm"), item("dltt")), reference="Valta 2016"),
    annual(
        "securedind",
        "1 if dm is there and not zero, else 0",
        flag(item("dm") != 0.0),
        unit="1 or 0",
        reference="Valta 2016",
    ),
    annual(
        "tang",
        "(che + 0.715 rect + 0.547 invt + 0.535 ppent) / at",
        ratio(joint([item("che"), 0.715 * item("rect"), 0.547 * item("invt"), 0.535 * item("ppent")]), item("at")),
        reference="Almeida and Campello 2007",
    ),
)
