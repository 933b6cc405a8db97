"""The characteristics from daily rows once more: one stock and one month at a time, in pandas and statsmodels.

Nothing here is shared with the project but the names of the columns.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import statsmodels.api as sm

DAY = pd.offsets.BDay()


def slow_daily(
    daily: pd.DataFrame, market: pd.DataFrame, announcements: pd.DataFrame, months: list[pd.Timestamp]
) -> pd.DataFrame:
    """Frames as the project takes them, dates as Timestamps; rows by month and permno."""
    days = pd.DatetimeIndex(sorted(set(daily["date"]) | set(market["date"])))
    factors = market.set_index("date")[["mkt_rf", "smb", "hml", "rf"]].reindex(days)
    stocks = {permno: rows.set_index("date").sort_index() for permno, rows in daily.groupby("permno")}
    weeks = _weekly_returns(daily)
    out = []
    for month in months:
        end = month + pd.offsets.MonthEnd(0)
        for permno, rows in stocks.items():
            past = rows.reindex(days[days <= end])
            own = rows.loc[(rows.index >= month) & (rows.index <= end)]
            if own.empty:
                continue
            events = announcements[announcements["permno"] == permno]
            out.append(
                {
                    "month": month,
                    "permno": permno,
                    **_of_the_month(own),
                    **_over_days(past, factors, month),
                    **_over_weeks(weeks[permno], weeks.mean(axis=1), month, end),
                    **_around_announcement(rows, events, month, end),
                }
            )
    return pd.DataFrame(out)


def _of_the_month(own: pd.DataFrame) -> dict[str, float]:
    quoted = own[(own["bid"] > 0) & (own["ask"] > own["bid"])]
    quoted = (quoted["ask"] - quoted["bid"]) / ((quoted["ask"] + quoted["bid"]) / 2)
    ranged = own[(own["low"] > 0) & (own["high"] >= own["low"])]
    dollars = (own["prc"] * own["volume"]).where(lambda x: x > 0)
    turnover = own["volume"] / (own["shrout"] * 1000)
    total = turnover.sum()
    zero_days = (own["volume"] == 0).sum()
    return {
        "spread": quoted[quoted < 0.5].mean(),
        "gkx_maxret": own["ret"].max(),
        "gkx_retvol": own["ret"].std(),
        "gkx_baspread": ((ranged["high"] - ranged["low"]) / ((ranged["high"] + ranged["low"]) / 2)).mean(),
        "gkx_std_dolvol": np.log(dollars).std(),
        "gkx_std_turn": turnover.std(),
        "gkx_ill": (own["ret"].abs() / dollars).mean(),
        "gkx_zerotrade": (zero_days + 1 / total / 480_000) * 21 / len(own) if total > 0 else np.nan,
    }


def _over_days(past: pd.DataFrame, factors: pd.DataFrame, month: pd.Timestamp) -> dict[str, float]:
    out = dict.fromkeys(["capm_b_mkt", "ff3_ivol", "variance40", "rel2high", "suv"], np.nan)
    year = past.iloc[-252:]
    sample = pd.DataFrame({"excess": year["ret"] - factors["rf"].loc[year.index]}).join(factors)
    capm, three = sample[["excess", "mkt_rf"]].dropna(), sample[["excess", "mkt_rf", "smb", "hml"]].dropna()
    if len(capm) >= 126:
        out["capm_b_mkt"] = sm.OLS(capm["excess"], sm.add_constant(capm["mkt_rf"])).fit().params["mkt_rf"]
    if len(three) >= 126:
        fit = sm.OLS(three["excess"], sm.add_constant(three[["mkt_rf", "smb", "hml"]])).fit()
        out["ff3_ivol"] = np.sqrt((fit.resid**2).sum() / (len(three) - 4))
    recent = past["ret"].iloc[-40:].dropna()
    if len(recent) >= 20:
        out["variance40"] = recent.var()
    prices = (year["prc"] / year["cfacpr"]).where((year["prc"] > 0) & (year["cfacpr"] > 0)).dropna()
    if len(prices) and prices.index[-1] >= month:
        out["rel2high"] = prices.iloc[-1] / prices.max()
    before = past[past.index < month].iloc[-60:][["volume", "ret"]].dropna()
    now = past[past.index >= month][["volume", "ret"]].dropna()
    if len(before) >= 40 and len(now) and before["volume"].nunique() > 1:
        fit = sm.OLS(before["volume"], _parts(before["ret"])).fit()
        out["suv"] = ((now["volume"] - _parts(now["ret"]) @ fit.params) / np.sqrt(fit.mse_resid)).mean()
    return out


def _parts(returns: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"one": 1.0, "rise": returns.clip(lower=0), "fall": (-returns).clip(lower=0)})


def _weekly_returns(daily: pd.DataFrame) -> pd.DataFrame:
    wide = daily.pivot(index="date", columns="permno", values="ret")
    return (1 + wide).resample("W-SAT").prod(min_count=1) - 1


def _over_weeks(own: pd.Series, market: pd.Series, month: pd.Timestamp, end: pd.Timestamp) -> dict[str, float]:
    sample = pd.DataFrame({"own": own, "lag0": market})
    sample = sample[(sample.index >= month - pd.DateOffset(months=35)) & (sample.index <= end)]
    for lag in range(1, 5):
        sample[f"lag{lag}"] = sample["lag0"].shift(lag)
    short, long = sample[["own", "lag0"]].dropna(), sample.dropna()
    if len(short) < 52:
        return {}
    one = sm.OLS(short["own"], sm.add_constant(short["lag0"])).fit()
    five = sm.OLS(long["own"], sm.add_constant(long.drop(columns="own"))).fit()
    beta = one.params["lag0"]
    return {
        "gkx_beta": beta,
        "gkx_betasq": beta**2,
        "gkx_idiovol": one.resid.std(),
        "gkx_pricedelay": 1 - one.rsquared_adj / five.rsquared_adj,
    }


def _around_announcement(
    rows: pd.DataFrame, events: pd.DataFrame, month: pd.Timestamp, end: pd.Timestamp
) -> dict[str, float]:
    best = None
    for event in events.sort_values(["datadate", "rdq"]).itertuples():
        age = (month.year - event.datadate.year) * 12 + month.month - event.datadate.month
        if pd.isna(event.rdq) or event.rdq < event.datadate or event.month > month or not 4 <= age <= 9:
            continue
        weekday = DAY.rollback(event.rdq)
        if weekday + DAY <= end:
            best = weekday
    if best is None:
        return {}
    usual = rows["volume"].loc[best - 30 * DAY : best - 10 * DAY].mean()
    three = rows.loc[best - DAY : best + DAY]
    return {
        "gkx_aeavol": three["volume"].mean() / usual - 1 if usual > 0 else np.nan,
        "gkx_ear": three["ret"].sum(min_count=1),
    }
