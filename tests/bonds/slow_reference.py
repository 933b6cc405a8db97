"""The bond characteristics once more, bond by bond in plain pandas and scikit-learn, sharing no code with the project.

It takes the frames that ``bond_characteristics`` takes, so that it can be pointed at any staged market.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
from sklearn.linear_model import LinearRegression

FRENCH = """
 1 NoDur 0100-0999 2000-2399 2700-2749 2770-2799 3100-3199 3940-3989
 2 Durbl 2500-2519 2590-2599 3630-3659 3710-3711 3714-3714 3716-3716 3750-3751 3792-3792 3900-3939 3990-3999
 3 Manuf 2520-2589 2600-2699 2750-2769 2800-2829 2840-2899 3000-3099 3200-3569 3580-3621 3623-3629 3700-3709 3712-3713
   3715-3715 3717-3749 3752-3791 3793-3799 3860-3899
 4 Enrgy 1200-1399 2900-2999
 5 HiTec 3570-3579 3622-3622 3660-3692 3694-3699 3810-3839 7370-7372 7373-7373 7374-7374 7375-7375 7376-7376 7377-7377
   7378-7378 7379-7379 7391-7391 8730-8734
 6 Telcm 4800-4899
 7 Shops 5000-5999 7200-7299 7600-7699
 8 Hlth  2830-2839 3693-3693 3840-3859 8000-8099
 9 Utils 4900-4949
"""


def french_industry(code: float) -> float:
    """Number of the industry of a SIC code in the published table, 10 for the rest, NaN without a code."""
    if np.isnan(code) or code < 100:
        return np.nan
    number = 0
    for word in FRENCH.split():
        if word.isdigit():
            number = int(word)
        elif "-" in word and int(word[:4]) <= code <= int(word[5:]):
            return number
    return 10


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

    def __init__(
        self, snapshot, returns, french_factors, treasury_curve, vix_innovation, bond_market_factor, firms, seen
    ):
        self.snapshot = to_pandas(snapshot).set_index(["month", "isin"])
        self.rows = self.snapshot.to_dict("index")
        earned = to_pandas(returns)
        self.returns = {isin: rows.set_index("month") for isin, rows in earned.groupby("isin")}
        factors = to_pandas(french_factors).set_index("month")[["mkt_rf", "smb", "hml", "mkt", "intermediary"]]
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
        self.curve = curve
        self.firms = {} if firms is None else to_pandas(firms).set_index(["month", "permno"]).to_dict("index")
        self.firm_names = [] if firms is None else [name for name in firms.columns if name not in ("month", "permno")]
        self.seen = to_pandas(seen).groupby("isin")["month"].min()
        weighted = earned[(earned["value_start"] > 0) & earned["ret"].notna() & earned["sector"].notna()]
        self.sectors = {
            key: np.average(rows["ret"], weights=rows["value_start"])
            for key, rows in weighted.groupby(["month", "sector"])
        }

    def history(self, isin: str, last: pd.Period, months: int) -> pd.PeriodIndex:
        return pd.period_range(last - months + 1, last, freq="M")

    def item(self, isin: str, month: pd.Period, column: str) -> float:
        row = self.rows.get((month, isin))
        return np.nan if row is None else np.float64(row[column]) if isinstance(row[column], float) else row[column]

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
    return market.item(isin, month, "revenue")


def assets(market: SlowMarket, isin: str, month: pd.Period) -> float:
    return market.item(isin, month, "debt") + market.item(isin, month, "book_equity")


def profitability(market: SlowMarket, isin: str, month: pd.Period) -> float:
    gross = revenue(market, isin, month) * market.item(isin, month, "gross_margin")
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


def issue_date(market: SlowMarket, isin: str, month: pd.Period) -> pd.Timestamp:
    offered = market.item(isin, month, "issue_date")
    return market.seen[isin].to_timestamp(how="end").normalize() if pd.isna(offered) else pd.Timestamp(offered)


def same_stock(market: SlowMarket, isin: str, one: pd.Period, other: pd.Period) -> bool:
    """Whether the bond is linked to the same stock in two months; the index names none, which counts as one."""
    stocks = [market.item(isin, month, "permno") for month in (one, other)]
    return stocks[0] == stocks[1] or bool(np.isnan(stocks).all())


def one_bond(market: SlowMarket, isin: str, month: pd.Period) -> dict[str, float]:
    """Every raw characteristic of one bond in one month, missing as NaN."""
    now = lambda column: market.item(isin, month, column)  # noqa: E731
    end = month.to_timestamp(how="end").normalize()
    issued = issue_date(market, isin, month)
    maturity = pd.Timestamp(now("maturity"))
    life = (maturity - issued).days if not pd.isna(maturity) else np.nan
    out = {
        "bond_age_years": (end - issued).days / 365.25,
        "bond_age_pct": (end - issued).days / life if life > 0 else np.nan,
        "coupon": now("coupon"),
        "face_value": now("face_value"),
        "duration": now("duration"),
        "rating": now("rating"),
        "spread": now("spread"),
        "default_probability": now("default_probability") if now("default_probability") > -0.99 else np.nan,
        "book_to_price": quotient(1.0, now("price_to_book")),
        "debt_to_ebitda": quotient(now("debt"), now("ebitda")),
        "earnings_to_price": quotient(1.0, now("price_to_earnings")),
        "marketcap": now("marketcap"),
        "debt": now("debt"),
        "profitability": profitability(market, isin, month),
        "operating_leverage": quotient(now("ebit_growth"), now("revenue_growth")),
        "book_leverage": now("leverage_ratio"),
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
        | _sorted_by(market, isin, month)
    )


def deviation(values: pd.Series) -> float:
    """Sample standard deviation, exactly 0 of equal values: within a fiscal year accounts stand still."""
    return values.std() if values.nunique() > 1 else 0.0


def _moments(market: SlowMarket, isin: str, month: pd.Period) -> dict[str, float]:
    turnover = pd.Series(
        [quotient(revenue(market, isin, t), assets(market, isin, t)) for t in market.history(isin, month, 12)]
    )
    prices = pd.Series([stock_price(market, isin, t) for t in market.history(isin, month, 61)])
    stock = (prices / prices.shift(1) - 1).iloc[1:]
    months = market.history(isin, month, 61)
    kept = [same_stock(market, isin, one, other) for one, other in pairwise(months)]
    stock = stock[kept]
    earned = market.returns_of(isin, month, 60).dropna()
    short = market.returns_of(isin, month, 36).dropna()
    return {
        "turnover_volatility": deviation(turnover) if turnover.count() >= 6 else np.nan,
        "stock_volatility": stock.std() if stock.count() >= 6 else np.nan,
        "bond_volatility": earned.std() if len(earned) >= 6 else np.nan,
        "bond_skew": earned.skew() if len(earned) >= 6 and earned.nunique() > 1 else np.nan,
        "var_5pct": np.percentile(short, 5) if len(short) >= 12 else np.nan,
    }


def _momentum(market: SlowMarket, isin: str, month: pd.Period, rating: float) -> dict[str, float]:
    def change(get) -> float:
        return 100 * quotient(get(month - 2) - get(month - 6), get(month - 6))

    one_stock = same_stock(market, isin, month - 2, month - 6)
    bond = change(lambda t: market.item(isin, t, "price"))
    near, far = market.item(isin, month - 2, "spread"), market.item(isin, month - 6, "spread")
    return {
        "mom_6m_equity": change(lambda t: stock_price(market, isin, t)) if one_stock else np.nan,
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


def _sorted_by(market: SlowMarket, isin: str, month: pd.Period) -> dict[str, float]:
    excess = market.returns_of(isin, month, 60, "ret_excess").rename("y")
    window = market.factors.reindex(excess.index)
    both = ols(excess, window[["mkt_rf", "intermediary"]], 24)
    names = ["mkt_rf", "smb", "hml", "default_spread", "term"]
    complete = pd.concat([excess, window[names]], axis=1).dropna()
    noise = np.nan
    if ols(excess, window[names], 24):
        x = np.column_stack([np.ones(len(complete)), complete[names].to_numpy()])
        _, squares, _, _ = np.linalg.lstsq(x, complete["y"].to_numpy(), rcond=None)
        noise = np.sqrt(squares[0] / (len(complete) - 6))
    predicted = month + 1
    far = market.returns_of(isin, predicted - 12, 37).dropna()
    assert not len(far) or predicted - 48 <= far.index[0] <= far.index[-1] <= predicted - 12
    return {
        "intermediary_beta": both["intermediary"] if both else np.nan,
        "idiosyncratic_volatility": noise,
        "long_term_reversal": 1.0 - np.prod(1.0 + far.to_numpy()) if len(far) >= 24 else np.nan,
    }


def _features(market: SlowMarket, isin: str, month: pd.Period) -> dict[str, float]:
    """The features of Duraj and Giesecke that are not in the notebook, but the medians."""
    now = lambda column: market.item(isin, month, column)  # noqa: E731
    end = month.to_timestamp(how="end").normalize()
    industry = french_industry(now("sic"))
    firm = market.firms.get((month, now("permno")), {})
    maturity = now("maturity")
    return {
        "sp_rating": now("sp_rating"),
        "moody_rating": now("moody_rating"),
        "amt_out": now("face_value"),
        "accrued_interest": now("accrued_interest"),
        "tau": np.nan if pd.isna(maturity) else (pd.Timestamp(maturity) - end).days / 365.25,
        "age": (end - issue_date(market, isin, month)).days / 365.25,
        "ytm": now("ytm"),
        "bond_price": now("price"),
        **{f"forward_spread_{n}": market.curve.at[month, f"forward_spread_{n}"] for n in range(1, 11)},
        **{f"industry_{n}": np.nan if np.isnan(industry) else float(n == industry) for n in range(1, 11)},
        **{f"issuer_{name}": firm.get(name, np.nan) for name in market.firm_names},
    }


def _medians(market: SlowMarket, isins: Sequence[str], month: pd.Period) -> dict[str, float]:
    """Median of every fundamental over the stocks that the month's bonds name, each once."""
    stocks = {market.item(isin, month, "permno") for isin in isins}
    held = [market.firms[month, stock] for stock in stocks if (month, stock) in market.firms]
    found = {}
    for name in market.firm_names:
        known = sorted(firm[name] for firm in held if not np.isnan(firm[name]))
        middle = len(known) // 2
        found[f"med_{name}"] = np.nan if not known else (known[middle] + known[-middle - 1]) / 2
    return found


def slow_characteristics(
    snapshot: pl.DataFrame,
    returns: pl.DataFrame,
    french_factors: pl.DataFrame,
    treasury_curve: pl.DataFrame,
    vix_innovation: pl.DataFrame,
    bond_market_factor: pl.DataFrame,
    firm_characteristics: pl.DataFrame | None,
    seen: pl.DataFrame,
    months: Sequence[date],
) -> pd.DataFrame:
    """Raw, winsorised (``_w``) and ranked (``_r``) characteristics with the columns month, isin; NaN is missing.

    ``firm_characteristics`` has the columns month, permno and the raw fundamentals, no others.
    """
    market = SlowMarket(
        snapshot,
        returns,
        french_factors,
        treasury_curve,
        vix_innovation,
        bond_market_factor,
        firm_characteristics,
        seen,
    )
    blocks = []
    for month in sorted(pd.Period(m, freq="M") for m in months):
        isins = sorted(isin for t, isin in market.snapshot.index if t == month)
        medians = _medians(market, isins, month)
        bonds = [one_bond(market, isin, month) | _features(market, isin, month) | medians for isin in isins]
        raw = pd.DataFrame(bonds, index=pd.Index(isins, name="isin"))
        clipped = raw.apply(lambda x: x.clip(*np.nanpercentile(x, [1, 99])) if x.notna().any() else x)
        ranked = raw.apply(lambda x: ((x.rank() - 0.5) / x.count() - 0.5).fillna(0.0))
        block = pd.concat([raw, clipped.add_suffix("_w"), ranked.add_suffix("_r")], axis=1).reset_index()
        blocks.append(block.assign(month=month.to_timestamp().date()))
    return pd.concat(blocks, ignore_index=True)
