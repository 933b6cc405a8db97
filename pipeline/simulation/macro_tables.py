"""Published macro and market tables of the simulated economy, other than FRED-MD: FRED, prices, Goyal-Welch, Treasury.

Every frame has vendor column names, vendor units and a real date column; the files' layouts are in `layouts`.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipeline.simulation.economy import Economy
from pipeline.simulation.paths import Array, bridge, daily_returns, stream

LQD_DURATION = 8.2


def fred_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Daily constant-maturity yields on all weekdays (null on holidays) and four monthly yields.

    Parameters
    ----------
    economy : Economy
        Curve and credit conditions.

    Returns
    -------
    Mapping of str to DataFrame
        `fred/<SERIES>`: observation_date, <SERIES> in percent.
    """
    clock = economy.clock
    sessions = pl.DataFrame({"observation_date": clock.sessions})
    weekdays = pl.DataFrame(
        {"observation_date": pl.date_range(clock.dates[0], clock.month_ends[-1].item(), eager=True)}
    ).filter(pl.col("observation_date").dt.weekday() <= 5)
    tables = {
        f"fred/{name}": weekdays.join(
            sessions.with_columns(pl.Series(name, path)), on="observation_date", how="left", maintain_order="left"
        )
        for name, path in economy.rates.daily.items()
    }
    for name in ("GS10", "TB3MS", "BAA", "AAA"):
        tables[f"fred/{name}"] = pl.DataFrame({"observation_date": clock.dates, name: economy.rates.monthly[name]})
    return tables


def price_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Daily VIX, LQD and SPY.

    LQD's monthly return is carry, less its duration times the change of the ten-year yield, plus the true credit
    factor; SPY's is the return of the fixed basket of firms with listed stock.

    Parameters
    ----------
    economy : Economy
        States and stocks.

    Returns
    -------
    Mapping of str to DataFrame
        `prices/<TICKER>`: Date, Adj Close, Close, High, Low, Open, Volume.
    """
    rng = stream(economy.seed, "prices")
    clock, states, stocks = economy.clock, economy.states, economy.stocks
    vix = np.round(np.exp(bridge(np.log(states.vix), clock, np.full(clock.n, 0.06), rng)), 2)
    ten = states.par(10.0)
    carry = (np.concatenate([ten[:1], ten[:-1]]) + 1.2) / 1200
    change = np.diff(ten, prepend=ten[0]) / 100
    credit = 0.9 * states.factors[:, 1] + 0.5 * states.factors[:, 2] + 0.003 * rng.standard_normal(clock.n)
    lqd = daily_returns(carry - LQD_DURATION * change + credit, clock, np.full(clock.n, 0.004), rng)
    lqd_price = daily_returns(-LQD_DURATION * change + credit, clock, np.full(clock.n, 0.004), rng)
    return {
        "prices/VIX": _price_frame(clock.sessions, vix, vix, np.zeros(len(vix)), 0.03, rng),
        "prices/LQD": _price_frame(
            clock.sessions, 40 * np.cumprod(1 + lqd), 100 * np.cumprod(1 + lqd_price),
            np.full(len(vix), 2e6), 0.002, rng,
        ),
        "prices/SPY": _price_frame(
            clock.sessions, 30 * np.cumprod(1 + stocks.basket_daily), 45 * np.cumprod(1 + stocks.basket_ex_daily),
            np.full(len(vix), 5e7), 0.005, rng,
        ),
    }  # fmt: skip


def _price_frame(
    sessions: np.ndarray, adjusted: Array, close: Array, volume: Array, spread: float, rng: np.random.Generator
) -> pl.DataFrame:
    """Daily bars around a closing price, columns in the order of the vendor's file."""
    opening = close * (1 + spread * rng.standard_normal(len(close)) / 2)
    top, bottom = np.maximum(opening, close), np.minimum(opening, close)
    return pl.DataFrame(
        {
            "Date": sessions,
            "Adj Close": adjusted,
            "Close": close,
            "High": top * (1 + spread * np.abs(rng.standard_normal(len(close)))),
            "Low": bottom * (1 - spread * np.abs(rng.standard_normal(len(close))) / 2),
            "Open": opening,
            "Volume": np.round(volume * np.exp(0.3 * rng.standard_normal(len(close)))),
        }
    )


def treasury_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Zero-coupon curve on the last trading day of each month.

    Parameters
    ----------
    economy : Economy
        Curve states.

    Returns
    -------
    Mapping of str to DataFrame
        `treasury/zero_yields`: Date, SVENY01 .. SVENY30, percent, continuously compounded.
    """
    years = np.arange(1.0, 31.0)
    zeros = np.round(economy.states.zeros(years), 4)
    columns = {f"SVENY{int(year):02d}": zeros[:, i] for i, year in enumerate(years)}
    return {"treasury/zero_yields": pl.DataFrame({"Date": economy.clock.last_sessions, **columns})}


def crsp_index_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Market index by month and by day, `crsp.msi` and `crsp.dsi`: date, vwretd, vwretx, totval, sprtrn.

    Parameters
    ----------
    economy : Economy
        Stocks.

    Returns
    -------
    Mapping of str to DataFrame
        Returns in decimals, values in thousands; from the second month, the first in which stocks earn returns.
        `vwretd` and `vwretx` are those of all securities, weighted by market equity at the end of the month before,
        delisting returns included, with every digit; `sprtrn` is about the return of the fixed basket.
    """
    rng = stream(economy.seed, "crsp index")
    clock, stocks = economy.clock, economy.stocks

    def index(dates: np.ndarray, total: Array, price: Array, value: Array, basket: Array, noise: float) -> pl.DataFrame:
        composite = np.round(basket + noise * rng.standard_normal(len(price)), 6)
        frame = pl.DataFrame({"date": dates, "vwretd": total, "vwretx": price, "totval": value, "sprtrn": composite})
        return frame.filter(pl.col("date") >= clock.dates[1])

    return {
        "crsp.msi": index(
            clock.last_sessions, stocks.market, stocks.market_ex, stocks.total_value, stocks.basket_ex, 0.002
        ),
        "crsp.dsi": index(
            clock.sessions, stocks.market_daily, stocks.market_ex_daily, stocks.value_daily, stocks.basket_ex_daily,
            0.0005,
        ),
    }  # fmt: skip


def goyal_welch_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Goyal and Welch's monthly predictors, `goyal_welch/PredictorData`.

    Parameters
    ----------
    economy : Economy
        Stocks, rates and inflation.

    Returns
    -------
    Mapping of str to DataFrame
        date and the published columns, rates as decimals; `csp` is null, as it has long ended, and the first months
        lack what needs twelve months.
    """
    clock, states, stocks, firms = economy.clock, economy.states, economy.stocks, economy.firms
    listings = economy.listings
    # Every firm counts once, while its first class of shares has monthly rows.
    listed, firm = economy.stock_months.row & ~listings.second, listings.firm
    rates = {name: values / 100 for name, values in economy.rates.monthly.items()}
    level = 300 * np.cumprod(1 + stocks.market_ex)
    start = np.concatenate([[300.0], level[:-1]])
    year = np.convolve(start * (stocks.market - stocks.market_ex), np.ones(12))[: clock.n]
    payout = ((firms.net_income[:, firm] * listed).sum(axis=1) / (stocks.total_value / 1000)) * level
    issuance = np.diff(np.log(stocks.total_value), prepend=np.nan) - np.log1p(stocks.market_ex)
    daily_squares = np.add.reduceat(stocks.market_daily**2, clock.starts[:-1])
    change = np.diff(states.par(20.0), prepend=np.nan) / 100
    columns = {
        "Index": level, "D12": np.where(np.arange(clock.n) < 11, np.nan, year), "E12": payout,
        "b/m": (firms.book_equity[:, firm] * listed).sum(axis=1) / (stocks.total_value / 1000),
        "tbl": rates["TB3MS"], "AAA": rates["AAA"], "BAA": rates["BAA"], "lty": np.round(states.par(20.0), 2) / 100,
        "ntis": np.convolve(np.nan_to_num(issuance), np.ones(12))[: clock.n], "Rfree": states.rf,
        "infl": 0.002 + 0.0025 * states.inflation, "ltr": states.par(20.0) / 1200 - 13.0 * change,
        "corpr": states.par(20.0) / 1200 + 0.001 - 10.0 * change + states.factors[:, 1], "svar": daily_squares,
        "csp": np.full(clock.n, np.nan), "CRSP_SPvw": stocks.market, "CRSP_SPvwx": stocks.market_ex,
    }  # fmt: skip
    frame = pl.DataFrame({"date": clock.dates, **{k: np.round(v, 9) for k, v in columns.items()}})
    return {"goyal_welch/PredictorData": frame[1:].with_columns(pl.selectors.float().fill_nan(None))}
