"""Characteristics of the sets ``dg41`` and ``kps36`` that are read off annual statements, per market equity or not.

``<item>_1`` is the item of the fiscal year before; "lagged" in a definition means that. A missing item makes the
characteristic missing unless its definition says otherwise. Book equity is used with its sign: where it is negative, so
is a ratio of something positive to it.
Belongs here: the formulas. Does not: which record a stock takes (``timing``), the record of the year before
(``records``), book equity (``compustat``), market equity at the date that the timing profile asks for.
"""

from __future__ import annotations

import polars as pl

from pipeline.equity.definition import DG41, KPS36, FirmCharacteristic
from pipeline.equity.records import item, items_of, lags_of

BOTH = (DG41, KPS36)

MARKET_EQUITY = "market equity of all share classes at the end of December t-1 (lag profiles: of the fiscal year)"
WORKING_CAPITAL = "non-cash working capital (act - che) - (lct - dlc - txp)"
NET_OPERATING_ASSETS = "net operating assets (at - che - ivao) - (at - dlc - dltt - mib - pstk - ceq)"


def working_capital(years_ago: int = 0) -> pl.Expr:
    """Return operating working capital, without cash, short-term debt and taxes payable, in millions (Sloan 1996)."""
    act, che, lct, dlc, txp = (item(name, years_ago) for name in ("act", "che", "lct", "dlc", "txp"))
    return (act - che) - (lct - dlc - txp)


def net_operating_assets(years_ago: int = 0) -> pl.Expr:
    """Return operating assets less operating liabilities, in millions (Hirshleifer et al. 2004)."""
    at, che, ivao = (item(name, years_ago) for name in ("at", "che", "ivao"))
    dlc, dltt, mib, pstk, ceq = (item(name, years_ago) for name in ("dlc", "dltt", "mib", "pstk", "ceq"))
    return (at - che - ivao) - (at - dlc - dltt - mib - pstk - ceq)


def split_adjusted_shares(years_ago: int = 0) -> pl.Expr:
    """Return shares outstanding, in millions, of which a split makes no more (Pontiff and Woodgate 2008)."""
    return item("csho", years_ago) * item("ajex", years_ago)


BOOK_EQUITY = pl.col("book_equity")
INTEREST = pl.coalesce("tie", "xint")
GROSS_PROFIT = pl.coalesce(pl.col("gp"), pl.col("sale") - pl.col("cogs"))


def _inputs(formula: pl.Expr) -> tuple[str, ...]:
    return tuple(f"compustat_annual.{name}" for name in items_of([formula]))


def _history(formula: pl.Expr) -> str:
    return "two fiscal years in a row" if lags_of([formula]) else "one fiscal year"


def _accounting(
    *, name: str, sets: tuple[str, ...], definition: str, reference: str, formula: pl.Expr, unit: str = "ratio"
) -> FirmCharacteristic:
    """Return the entry of a characteristic of the statements alone."""
    return FirmCharacteristic(
        name=name,
        sets=sets,
        definition=definition,
        unit=unit,
        timing="annual",
        inputs=_inputs(formula),
        level="annual",
        formula=formula,
        history=_history(formula),
        reference=reference,
    )


def _price_scaled(
    *, name: str, sets: tuple[str, ...], definition: str, reference: str, numerator: pl.Expr
) -> FirmCharacteristic:
    """Return the entry of an accounting quantity per dollar of market equity."""
    carried = f"{name}_numerator"
    return FirmCharacteristic(
        name=name,
        sets=sets,
        definition=f"{definition} / {MARKET_EQUITY}",
        unit="ratio",
        timing="annual",
        inputs=(*_inputs(numerator), "crsp_monthly.me_permco"),
        level="stock",
        formula=pl.col(carried) / pl.col("me_annual"),
        carries={carried: numerator},
        history=f"{_history(numerator)}, a price in the month of market equity",
        reference=reference,
    )


TOBINS_Q = FirmCharacteristic(
    name="q",
    sets=BOTH,
    definition=f"(at + me - ceq - txdb) / at, me {MARKET_EQUITY}; some sources print che, a slip for ceq",
    unit="ratio",
    timing="annual",
    inputs=(
        "compustat_annual.at",
        "compustat_annual.ceq",
        "compustat_annual.txdb",
        "crsp_monthly.me_permco",
    ),
    level="stock",
    formula=(pl.col("q_at") + pl.col("me_annual") - pl.col("q_ceq") - pl.col("q_txdb")) / pl.col("q_at"),
    carries={"q_at": pl.col("at"), "q_ceq": pl.col("ceq"), "q_txdb": pl.col("txdb")},
    history="one fiscal year, a price in the month of market equity",
    reference="Kaldor 1966",
)

ANNUAL: tuple[FirmCharacteristic, ...] = (
    _accounting(
        name="at",
        sets=BOTH,
        definition="total assets; sources that use log(at) have the same ranks, the logarithm being monotone",
        unit="millions of dollars",
        formula=pl.col("at"),
        reference="Gandhi and Lustig 2015",
    ),
    _price_scaled(
        name="a2me",
        sets=BOTH,
        definition="at",
        numerator=pl.col("at"),
        reference="Bhandari 1988",
    ),
    _accounting(
        name="ac",
        sets=(DG41,),
        definition=f"change over the fiscal year in {WORKING_CAPITAL} per split-adjusted share (csho * ajex), over "
        "book equity per split-adjusted share",
        formula=(working_capital() / split_adjusted_shares() - working_capital(1) / split_adjusted_shares(1))
        / (BOOK_EQUITY / split_adjusted_shares()),
        reference="Sloan 1996",
    ),
    _accounting(
        name="ato",
        sets=BOTH,
        definition=f"sale / lagged {NET_OPERATING_ASSETS}",
        formula=pl.col("sale") / net_operating_assets(1),
        reference="Soliman 2008",
    ),
    _price_scaled(
        name="beme",
        sets=BOTH,
        definition="book equity",
        numerator=BOOK_EQUITY,
        reference="Fama and French 1992",
    ),
    _accounting(
        name="c",
        sets=BOTH,
        definition="che / at",
        formula=pl.col("che") / pl.col("at"),
        reference="Palazzo 2012",
    ),
    _accounting(
        name="cf",
        sets=BOTH,
        definition="(ni + dp - wcapch - capx) / book equity",
        formula=(pl.col("ni") + pl.col("dp") - pl.col("wcapch") - pl.col("capx")) / BOOK_EQUITY,
        reference="Hou Karolyi and Kho 2011",
    ),
    _price_scaled(
        name="cf2p",
        sets=(DG41,),
        definition="(ib + dp + txdb)",
        numerator=pl.col("ib") + pl.col("dp") + pl.col("txdb"),
        reference="Desai Rajgopal and Venkatachalam 2004",
    ),
    _accounting(
        name="cto",
        sets=BOTH,
        definition="sale / lagged at",
        formula=pl.col("sale") / pl.col("at_1"),
        reference="Haugen and Baker 1996",
    ),
    _accounting(
        name="d2a",
        sets=BOTH,
        definition="dp / at",
        formula=pl.col("dp") / pl.col("at"),
        reference="Gorodnichenko and Weber 2016",
    ),
    _accounting(
        name="dpi2a",
        sets=BOTH,
        definition="(change in ppegt + change in invt) / lagged at",
        formula=((pl.col("ppegt") - pl.col("ppegt_1")) + (pl.col("invt") - pl.col("invt_1"))) / pl.col("at_1"),
        reference="Lyandres Sun and Zhang 2008",
    ),
    _price_scaled(
        name="e2p",
        sets=BOTH,
        definition="ib",
        numerator=pl.col("ib"),
        reference="Basu 1983",
    ),
    _accounting(
        name="fc2y",
        sets=BOTH,
        definition="(xsga + xrd + xad) / sale; a missing xrd or xad counts as 0",
        formula=(pl.col("xsga") + pl.col("xrd").fill_null(0.0) + pl.col("xad").fill_null(0.0)) / pl.col("sale"),
        reference="D'Acunto et al. 2018",
    ),
    _accounting(
        name="investment",
        sets=BOTH,
        definition="at / lagged at - 1",
        formula=pl.col("at") / pl.col("at_1") - 1.0,
        reference="Cooper Gulen and Schill 2008",
    ),
    _accounting(
        name="lev",
        sets=BOTH,
        definition="(dltt + dlc) / (dltt + dlc + seq)",
        formula=(pl.col("dltt") + pl.col("dlc")) / (pl.col("dltt") + pl.col("dlc") + pl.col("seq")),
        reference="Lewellen 2015",
    ),
    _accounting(
        name="ni",
        sets=(DG41,),
        definition="net share issues, the change over the fiscal year in log(csho * ajex); net income, which some "
        "tables print under this name, is another thing",
        unit="log change",
        formula=split_adjusted_shares().log() - split_adjusted_shares(1).log(),
        reference="Pontiff and Woodgate 2008",
    ),
    _accounting(
        name="noa",
        sets=BOTH,
        definition=f"{NET_OPERATING_ASSETS} / lagged at",
        formula=net_operating_assets() / pl.col("at_1"),
        reference="Hirshleifer et al. 2004",
    ),
    _accounting(
        name="oa",
        sets=BOTH,
        definition=f"(change over the fiscal year in {WORKING_CAPITAL} - dp) / lagged at",
        formula=(working_capital() - working_capital(1) - pl.col("dp")) / pl.col("at_1"),
        reference="Sloan 1996",
    ),
    _accounting(
        name="ol",
        sets=BOTH,
        definition="(cogs + xsga) / at",
        formula=(pl.col("cogs") + pl.col("xsga")) / pl.col("at"),
        reference="Novy-Marx 2011",
    ),
    _accounting(
        name="op",
        sets=(DG41,),
        definition="(revt - cogs - tie - xsga) / book equity; a missing tie is replaced by xint",
        formula=(pl.col("revt") - pl.col("cogs") - INTEREST - pl.col("xsga")) / BOOK_EQUITY,
        reference="Fama and French 2015",
    ),
    _accounting(
        name="pcm",
        sets=BOTH,
        definition="(sale - cogs) / sale",
        formula=(pl.col("sale") - pl.col("cogs")) / pl.col("sale"),
        reference="Bustamante and Donangelo 2017",
    ),
    _accounting(
        name="pm",
        sets=BOTH,
        definition="oiadp / sale",
        formula=pl.col("oiadp") / pl.col("sale"),
        reference="Soliman 2008",
    ),
    _accounting(
        name="prof",
        sets=BOTH,
        definition="gp / book equity; a missing gp is replaced by sale - cogs",
        formula=GROSS_PROFIT / BOOK_EQUITY,
        reference="Ball et al. 2015",
    ),
    TOBINS_Q,
    _accounting(
        name="rna",
        sets=BOTH,
        definition=f"oiadp / lagged {NET_OPERATING_ASSETS}",
        formula=pl.col("oiadp") / net_operating_assets(1),
        reference="Soliman 2008",
    ),
    _accounting(
        name="roa",
        sets=BOTH,
        definition="ib / lagged at",
        formula=pl.col("ib") / pl.col("at_1"),
        reference="Balakrishnan Bartov and Faurel 2010",
    ),
    _accounting(
        name="roe",
        sets=BOTH,
        definition="ib / lagged book equity",
        formula=pl.col("ib") / pl.col("book_equity_1"),
        reference="Haugen and Baker 1996",
    ),
    _price_scaled(
        name="s2p",
        sets=BOTH,
        definition="sale",
        numerator=pl.col("sale"),
        reference="Lewellen 2015",
    ),
    _accounting(
        name="sga2s",
        sets=(DG41,),
        definition="xsga / sale",
        formula=pl.col("xsga") / pl.col("sale"),
        reference="Freyberger Neuhierl and Weber 2020",
    ),
    _price_scaled(
        name="sga2m",
        sets=(KPS36,),
        definition="xsga",
        numerator=pl.col("xsga"),
        reference="Freyberger Neuhierl and Weber 2020",
    ),
)
"""The thirty characteristics of the two sets that read Compustat, in the order of the published table."""
