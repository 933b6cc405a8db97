"""The daily entries of set ``gkx94``: their place in the registry.

Three years of weeks, the days of m, and the days around an announcement, as Green, Hand and Zhang (2017) count them;
they match daily rows of the month before the return, our m. Belongs here: what the values are. Does not: computing them
(:mod:`pipeline.equity.daily`), whose windows are settings; the definitions give the defaults.
"""

from __future__ import annotations

from pipeline.equity.definition import FirmCharacteristic
from pipeline.equity.gkx_form import daily

_WEEKS = "weekly returns (weeks end on Saturday) of the 36 months to the end of m, at least 52"
_WEEK_INPUTS = ("crsp_daily.ret",)
_ANNOUNCED = "rdq of the newest fiscal quarter that ended four to nine months before the end of m"

GKX_DAILY: tuple[FirmCharacteristic, ...] = (
    daily(
        "beta",
        f"slope on the equal-weighted mean return of all stocks, {_WEEKS}",
        inputs=_WEEK_INPUTS,
        unit="ratio",
        reference="Fama and MacBeth 1973",
        history="52 weeks with a return",
    ),
    daily(
        "betasq",
        "square of gkx_beta",
        inputs=_WEEK_INPUTS,
        unit="ratio",
        reference="Fama and MacBeth 1973",
        history="52 weeks with a return",
    ),
    daily(
        "idiovol",
        f"standard deviation of the residuals of gkx_beta's regression, {_WEEKS}; the program takes those of the "
        "regression with lags",
        inputs=_WEEK_INPUTS,
        reference="Ali, Hwang and Trombley 2003",
        history="52 weeks with a return",
    ),
    daily(
        "pricedelay",
        "1 - adjusted R squared of gkx_beta's regression / adjusted R squared with four weekly lags of the market "
        f"return added, {_WEEKS}",
        inputs=_WEEK_INPUTS,
        unit="fraction",
        reference="Hou and Moskowitz 2005",
        history="52 weeks with a return",
    ),
    daily(
        "maxret",
        "largest daily return of m",
        inputs=("crsp_daily.ret",),
        reference="Bali, Cakici and Whitelaw 2011",
        history="1 calendar month",
    ),
    daily(
        "retvol",
        "standard deviation of the daily returns of m",
        inputs=("crsp_daily.ret",),
        reference="Ang, Hodrick, Xing and Zhang 2006",
        history="1 calendar month",
    ),
    daily(
        "baspread",
        "mean over the days of m of (high - low) / mean of high and low; CRSP has the ask and the bid there on days "
        "without a trade",
        inputs=("crsp_daily.high", "crsp_daily.low"),
        reference="Amihud and Mendelson 1989",
        history="1 calendar month",
    ),
    daily(
        "std_dolvol",
        "standard deviation over the days of m of the log of price times volume",
        inputs=("crsp_daily.prc", "crsp_daily.volume"),
        unit="log points",
        reference="Chordia, Subrahmanyam and Anshuman 2001",
        history="1 calendar month",
    ),
    daily(
        "std_turn",
        "standard deviation over the days of m of volume / shares outstanding",
        inputs=("crsp_daily.volume", "crsp_daily.shrout"),
        reference="Chordia, Subrahmanyam and Anshuman 2001",
        history="1 calendar month",
    ),
    daily(
        "ill",
        "mean over the days of m of |return| / (price * volume), days without volume left out",
        inputs=("crsp_daily.ret", "crsp_daily.prc", "crsp_daily.volume"),
        unit="per dollar",
        reference="Amihud 2002",
        history="1 calendar month",
    ),
    daily(
        "zerotrade",
        "(days of m without volume + 1 / (480000 * turnover of m)) * 21 / days of m; turnover is a fraction of the "
        "shares, where the program divides by thousands of shares",
        inputs=("crsp_daily.volume", "crsp_daily.shrout"),
        unit="days",
        reference="Liu 2006",
        history="1 calendar month",
    ),
    daily(
        "aeavol",
        f"mean volume of the trading days from one weekday before to one after {_ANNOUNCED} / mean volume of those "
        "from 30 to 10 weekdays before, less 1; an announcement whose days reach past m does not count yet",
        inputs=("crsp_daily.volume", "compustat_quarterly.rdq"),
        reference="Lerman, Livnat and Mendenhall 2008",
        history="one announcement",
    ),
    daily(
        "ear",
        f"sum of the returns of the trading days from one weekday before to one after {_ANNOUNCED}; an announcement "
        "whose days reach past m does not count yet",
        inputs=("crsp_daily.ret", "compustat_quarterly.rdq"),
        reference="Kishore, Brandt, Santa-Clara and Venkatachalam 2008",
        history="one announcement",
    ),
)
