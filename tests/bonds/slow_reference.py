"""The bond characteristics once more, bond by bond in plain pandas and scikit-learn, sharing no code with the project.

It takes the frames that ``bond_characteristics`` takes, so that it can be pointed at any staged market.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
from sklearn.linear_model import LinearRegression

RATING_KEY = {
    "AAA": 1, "AA1": 2, "AA2": 3, "AA3": 4, "A1": 5, "A2": 6, "A3": 7, "BBB1": 8, "BBB2": 9, "BBB3": 10, "BB1": 11,
    "BB2": 12, "BB3": 13, "B1": 14, "B2": 15, "B3": 16, "CCC1": 17, "CCC2": 18, "CCC3": 19, "CC": 20, "C": 21, "D": 22,
}  # fmt: skip


def to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Convert by way of Python lists, months as periods, missing numbers as NaN."""
    result = pd.DataFrame({name: frame[name].to_list() for name in frame.columns})
    for name, dtype in frame.schema.items():
        if dtype.is_numeric():
            result[name] = result[name].astype(float)
    result["month"] = pd.PeriodIndex(pd.to_datetime(result["month"]), freq="M")
    return result


def ols(y: pd.Series, x: pd.DataFrame, min_obs: int) -> dict[str, float]:
    """Slopes over the complete rows; empty when there are too few or the regressors are linearly dependent."""
    both = pd.concat([y.rename("y"), x], axis=1).dropna()
    if len(both) < min_obs:
        return {}
    regressors = both[list(x.columns)].to_numpy()
    standard = (regressors - regressors.mean(axis=0)) / np.maximum(regressors.std(axis=0), 1e-300)
    if np.linalg.matrix_rank(standard, tol=1e-8) < regressors.shape[1]:
        return {}
    return dict(zip(x.columns, LinearRegression().fit(regressors, both["y"].to_numpy()).coef_, strict=True))


def quotient(a: float, b: float) -> float:
    """Divide; NaN unless the result is finite."""
    return a / b if np.isfinite(a) and np.isfinite(b) and b != 0.0 and np.isfinite(a / b) else np.nan


def nonzero(a: float) -> float:
    return a if a != 0.0 else np.nan


class SlowMarket:
    """The input frames by month and bond, and the quantities that average over bonds."""

    def __init__(self, snapshot, returns, french_factors, treasury_curve, vix_innovation, bond_market_factor, seen):
        self.snapshot = to_pandas(snapshot).set_index(["month", "isin"])
        self.rows = {isin: rows.droplevel("isin") for isin, rows in self.snapshot.groupby(level="isin")}
        earned = to_pandas(returns)
        self.returns = {isin: rows.set_index("month") for isin, rows in earned.groupby("isin")}
        factors = to_pandas(french_factors).set_index("month")[["mkt_rf", "smb", "hml", "mkt"]]
        curve = to_pandas(treasury_curve).set_index("month")
        vix = to_pandas(vix_innovation).set_index("month")["vix_innovation"]
        everything = pd.period_range(min(factors.index.min(), curve.index.min()) - 120, factors.index.max(), freq="M")
        self.factors = factors.reindex(everything)
        treasuries = (curve["par_return_10y"] + curve["par_return_20y"] + curve["par_return_30y"]) / 3
        self.factors["default_spread"] = earned.groupby("month")["ret"].mean() - treasuries
        self.factors["term"] = curve["term_spread_change"]
        self.factors["vix"] = vix
        self.factors["vix_lag"] = vix.reindex(everything).shift(1)
        self.factors["bond"] = to_pandas(bond_market_factor).set_index("month")["bond_market_factor"]
        self.seen = to_pandas(seen).groupby("isin")["month"].min()
        weighted = earned[(earned["value_start"] > 0) & earned["ret"].notna() & earned["sector"].notna()]
        self.sectors = {
            key: np.average(rows["ret"], weights=rows["value_start"])
            for key, rows in weighted.groupby(["month", "sector"])
        }

    def history(self, isin: str, last: pd.Period, months: int) -> pd.PeriodIndex:
        return pd.period_range(last - months + 1, last, freq="M")

    def item(self, isin: str, month: pd.Period, column: str) -> float:
        rows = self.rows[isin]
        return rows.at[month, column] if month in rows.index else np.nan

    def returns_of(self, isin: str, last: pd.Period, months: int, column: str = "ret") -> pd.Series:
        index = self.history(isin, last, months)
        if isin not in self.returns:
            return pd.Series(np.nan, index=index)
        return self.returns[isin][column].reindex(index).astype(float)

    def sector_return(self, isin: str, month: pd.Period) -> float:
        rows = self.returns.get(isin)
        if rows is None or month not in rows.index:
            return np.nan
        return self.sectors.get((month, rows.at[month, "sector"]), np.nan)


def revenue(market: SlowMarket, isin: str, month: pd.Period) -> float:
    return quotient(market.item(isin, month, "ebit"), market.item(isin, month, "ebitmargin"))


def assets(market: SlowMarket, isin: str, month: pd.Period) -> float:
    book = quotient(market.item(isin, month, "marketcap"), market.item(isin, month, "pricetobook"))
    return market.item(isin, month, "debt") + book


def profitability(market: SlowMarket, isin: str, month: pd.Period) -> float:
    gross = revenue(market, isin, month) * market.item(isin, month, "grossmargin")
    return quotient(gross, assets(market, isin, month))


def stock_price(market: SlowMarket, isin: str, month: pd.Period) -> float:
    return nonzero(market.item(isin, month, "stock_price"))


def industry_adjusted(market: SlowMarket, isin: str, month: pd.Period) -> float:
    window = market.history(isin, month - 1, 60)
    x = pd.DataFrame(
        {"mkt": market.factors["mkt"].reindex(window), "sector": [market.sector_return(isin, t) for t in window]},
        index=window,
    )
    slopes = ols(market.returns_of(isin, month - 1, 60), x, 24)
    own = market.returns_of(isin, month, 1).iloc[0]
    return own - slopes["sector"] * market.sector_return(isin, month) if slopes else np.nan


def one_bond(market: SlowMarket, isin: str, month: pd.Period) -> dict[str, float]:
    """Every raw characteristic of one bond in one month, missing as NaN."""
    now = lambda column: market.item(isin, month, column)  # noqa: E731
    end = month.to_timestamp(how="end").normalize()
    issued = market.seen[isin].to_timestamp(how="end").normalize()
    maturity = pd.Timestamp(now("maturity"))
    life = (maturity - issued).days if not pd.isna(maturity) else np.nan
    out = {
        "bond_age_years": (end - issued).days / 365.25,
        "bond_age_pct": (end - issued).days / life if life > 0 else np.nan,
        "coupon": now("coupon"),
        "face_value": now("paramount"),
        "duration": now("dur"),
        "rating": float(RATING_KEY.get(now("rating"), np.nan)),
        "spread": now("oas_bom"),
        "default_probability": now("pd_drisk") if now("pd_drisk") > -0.99 else np.nan,
        "book_to_price": quotient(1.0, now("pricetobook")),
        "debt_to_ebitda": quotient(now("debt"), now("ebitda")),
        "earnings_to_price": quotient(1.0, now("pricetoearnings")),
        "marketcap": now("marketcap"),
        "debt": now("debt"),
        "profitability": profitability(market, isin, month),
        "operating_leverage": quotient(now("ebitgrowth"), now("revenuegrowth")),
        "book_leverage": now("leverageratio"),
        "market_leverage": quotient(now("debt"), now("marketcap")),
    }
    out["spread_to_default_probability"] = quotient(out["spread"], out["default_probability"])
    before = profitability(market, isin, month - 60)
    out["profitability_change"] = 100 * (out["profitability"] - before)
    return (
        out
        | _moments(market, isin, month)
        | _momentum(market, isin, month, out["rating"])
        | _betas(market, isin, month)
    )


def _moments(market: SlowMarket, isin: str, month: pd.Period) -> dict[str, float]:
    turnover = pd.Series(
        [quotient(revenue(market, isin, t), assets(market, isin, t)) for t in market.history(isin, month, 12)]
    )
    prices = pd.Series([stock_price(market, isin, t) for t in market.history(isin, month, 61)])
    stock = (prices / prices.shift(1) - 1).iloc[1:]
    earned = market.returns_of(isin, month, 60).dropna()
    short = market.returns_of(isin, month, 36).dropna()
    return {
        "turnover_volatility": turnover.std() if turnover.count() >= 6 else np.nan,
        "stock_volatility": stock.std() if stock.count() >= 6 else np.nan,
        "bond_volatility": earned.std() if len(earned) >= 6 else np.nan,
        "bond_skew": earned.skew() if len(earned) >= 6 and earned.nunique() > 1 else np.nan,
        "var_5pct": np.percentile(short, 5) if len(short) >= 12 else np.nan,
    }


def _momentum(market: SlowMarket, isin: str, month: pd.Period, rating: float) -> dict[str, float]:
    def change(get) -> float:
        return 100 * quotient(get(month - 2) - get(month - 6), get(month - 6))

    bond = change(lambda t: market.item(isin, t, "price_bom"))
    near, far = market.item(isin, month - 2, "oas_bom"), market.item(isin, month - 6, "oas_bom")
    return {
        "mom_6m_equity": change(lambda t: stock_price(market, isin, t)),
        "mom_6m_bond": bond,
        "mom_6m_bond_x_rating": bond * rating,
        "mom_6m_log_spread": 100 * (np.log(near) - np.log(far)) if near > 0 and far > 0 else np.nan,
        "mom_6m_industry_adj": sum(industry_adjusted(market, isin, month - k) for k in range(2, 7)),
    }


def _betas(market: SlowMarket, isin: str, month: pd.Period) -> dict[str, float]:
    excess = market.returns_of(isin, month, 60, "ret_excess")
    window = market.factors.reindex(excess.index)
    vix = ols(excess, window[["mkt_rf", "smb", "hml", "default_spread", "term", "vix", "vix_lag"]], 12)
    bond = ols(excess, window[["bond"]], 8)
    return {
        "vix_beta": vix["vix"] + vix["vix_lag"] if vix else np.nan,
        "bond_beta": bond["bond"] if bond else np.nan,
    }


def slow_characteristics(
    snapshot: pl.DataFrame,
    returns: pl.DataFrame,
    french_factors: pl.DataFrame,
    treasury_curve: pl.DataFrame,
    vix_innovation: pl.DataFrame,
    bond_market_factor: pl.DataFrame,
    seen: pl.DataFrame,
    months: Sequence[date],
) -> pd.DataFrame:
    """Raw, winsorised (``_w``) and ranked (``_r``) characteristics with the columns month, isin; NaN is missing."""
    market = SlowMarket(snapshot, returns, french_factors, treasury_curve, vix_innovation, bond_market_factor, seen)
    blocks = []
    for month in sorted(pd.Period(m, freq="M") for m in months):
        isins = sorted(isin for t, isin in market.snapshot.index if t == month)
        raw = pd.DataFrame([one_bond(market, isin, month) for isin in isins], index=pd.Index(isins, name="isin"))
        clipped = raw.apply(lambda x: x.clip(*np.nanpercentile(x, [1, 99])) if x.notna().any() else x)
        ranked = raw.apply(lambda x: ((x.rank() - 0.5) / x.count() - 0.5).fillna(0.0))
        block = pd.concat([raw, clipped.add_suffix("_w"), ranked.add_suffix("_r")], axis=1).reset_index()
        blocks.append(block.assign(month=month.to_timestamp().date()))
    return pd.concat(blocks, ignore_index=True)
