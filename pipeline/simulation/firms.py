"""Firms of the economy: fundamentals, stocks with a conditional factor structure, credit state, rating, default.

Firms come first in the order of time: bonds read them, they read only the macro states. Issuers are the first
`size.issuers` firms; some of those are private and have no stock that anybody sees.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.identifiers import SECTORS, firm_names, issuer_codes
from pipeline.simulation.macro import MacroStates
from pipeline.simulation.paths import Array, ar1, centred_ranks, stream
from pipeline.simulation.sizes import MarketSize

PRIVATE_SHARE = 0.15
"""Issuers without a listed stock."""

STOCK_FACTOR_MEAN = np.array([0.0060, 0.0015, 0.0025])
STOCK_FACTOR_SD = np.array([0.0, 0.022, 0.024])
"""Market, size and value, decimals a month; the market's deviation is the VIX of the month before."""

DEFAULT_INTENSITY = 0.00010
"""Monthly default intensity of a BBB1 issuer in average times; it doubles about every two notches."""


@dataclass(frozen=True)
class Firms:
    """Firm-month arrays, all of shape (T, I) unless said; money in millions.

    Parameters
    ----------
    names, codes : list of str
        Names and six-character CUSIP issuer codes.
    sector : ndarray of int, shape (I,)
        Position in `SECTORS`.
    private : ndarray of bool, shape (I,)
        Firms without a listed stock.
    ret, retx : ndarray
        Stock return with and without dividends, decimals.
    marketcap, shares, book_equity, debt, revenue : ndarray
        Month-end market equity, shares in millions, and the last reported book equity, total debt and annual revenue.
    ebit_margin, ebitda_margin, gross_margin : ndarray
        Last reported margins, fractions of revenue.
    net_income : ndarray
        Last reported annual net income.
    credit_shock : ndarray
        Unit-variance innovation of the firm's credit state, bad news above zero.
    credit_state : ndarray
        Deviation of credit quality from the firm's own norm, unit variance, high when weak.
    rating : ndarray of int
        Ordinal rating 1 .. 20; default is the bond's business.
    intensity : ndarray
        Probability at the end of the month of default in the month after.
    defaulted : ndarray of bool
        Whether the firm defaults in the month.
    betas : ndarray, shape (T, I, 3)
        Loadings on market, size and value known at the end of the month.
    """

    names: list[str]
    codes: list[str]
    sector: NDArray[np.intp]
    private: NDArray[np.bool_]
    ret: Array
    retx: Array
    marketcap: Array
    shares: Array
    book_equity: Array
    debt: Array
    revenue: Array
    ebit_margin: Array
    ebitda_margin: Array
    gross_margin: Array
    net_income: Array
    credit_shock: Array
    credit_state: Array
    rating: NDArray[np.intp]
    intensity: Array
    defaulted: NDArray[np.bool_]
    betas: Array


def simulate_firms(clock: Clock, size: MarketSize, states: MacroStates, seed: int) -> Firms:
    """Draw the firms of a market.

    Parameters
    ----------
    clock : Clock
        Months of the market.
    size : MarketSize
        Numbers of firms and sectors.
    states : MacroStates
        The economy that they live in.
    seed : int
        Seed of the market.

    Returns
    -------
    Firms
    """
    rng = stream(seed, "firms")
    n = size.issuers + size.other_firms
    scale = rng.normal(0.0, 1.1, n)
    private = (np.arange(n) < size.issuers) & (np.arange(n) % 20 < 20 * PRIVATE_SHARE)
    reported = _reported(clock, scale, states, rng)
    idiosyncratic = rng.standard_normal((clock.n, n))
    stocks = _stocks(clock, reported["book_equity"], states, idiosyncratic, scale, rng)
    shock = -0.6 * idiosyncratic + 0.8 * rng.standard_normal((clock.n, n))
    credit_state = ar1(shock, 0.97)
    rating = _ratings(9.3 - 0.9 * scale + 3.0 * rng.standard_normal(n), credit_state)
    weakness = 0.33 * (rating - 8) + 0.4 * states.credit[:, None] + 0.4 * credit_state
    intensity = np.minimum(DEFAULT_INTENSITY * size.hazard * np.exp(weakness), 0.05)
    defaulted = np.vstack([np.zeros((1, n), bool), rng.random((clock.n - 1, n)) < intensity[:-1]])
    return Firms(
        names=firm_names(n, rng),
        codes=issuer_codes(n, rng),
        sector=rng.permutation(np.arange(n) % min(size.sectors, len(SECTORS))),
        private=private,
        credit_shock=shock,
        credit_state=credit_state,
        rating=rating,
        intensity=intensity,
        defaulted=defaulted,
        **reported,
        **stocks,
    )


def _reported(clock: Clock, scale: Array, states: MacroStates, rng: np.random.Generator) -> dict[str, Array]:
    """Accounting items as last reported: every firm reports once a quarter, in its own month of the quarter."""
    shape = (clock.n, len(scale))

    def noise() -> Array:
        return rng.standard_normal(shape)

    trend = np.arange(clock.n)[:, None]
    activity = np.cumsum(states.growth)[:, None] * 0.002
    revenue = np.exp(8.0 + scale + 0.003 * trend + activity + 0.25 * ar1(noise(), 0.985))
    ebit_margin = 0.13 + 0.06 * rng.standard_normal(len(scale)) + 0.05 * ar1(noise(), 0.96)
    debt = revenue * np.exp(-0.6 + 0.6 * rng.standard_normal(len(scale)) + 0.25 * ar1(noise(), 0.985))
    book_equity = revenue * np.exp(-0.7 + 0.5 * rng.standard_normal(len(scale)) + 0.25 * ar1(noise(), 0.985))
    negative = rng.random(len(scale)) < 0.02
    exact = {
        "revenue": revenue,
        "ebit_margin": ebit_margin,
        "ebitda_margin": ebit_margin + 0.04 + 0.05 * rng.random(len(scale)),
        "gross_margin": ebit_margin + 0.15 + 0.2 * rng.random(len(scale)),
        "debt": debt,
        "book_equity": np.where(negative, -0.1, 1.0) * book_equity,
        "net_income": 0.75 * (revenue * ebit_margin - 0.05 * debt),
    }
    months, firms = np.indices(shape)
    last_report = np.maximum(months - (months + firms) % 3, 0)
    return {name: values[last_report, firms] for name, values in exact.items()}


def _stocks(
    clock: Clock, book: Array, states: MacroStates, shocks: Array, scale: Array, rng: np.random.Generator
) -> dict[str, Array]:
    """Stock returns with loadings on last month's size and book-to-market ranks, and what they leave behind."""
    shape = book.shape
    factors = STOCK_FACTOR_MEAN + STOCK_FACTOR_SD * rng.standard_normal((clock.n, 3))
    lagged_vol = np.concatenate([states.vix[:1], states.vix[:-1]]) / 100 / np.sqrt(12)
    factors[:, 0] += lagged_vol * states.market_shock + 0.004 * (lagged_vol - lagged_vol.mean()) / lagged_vol.std()
    tilt = 0.2 * rng.standard_normal((shape[1],))
    own_sd = 0.05 + 0.05 * rng.random(shape[1])
    yearly_yield = np.where(rng.random(shape[1]) < 0.7, 0.01 + 0.03 * rng.random(shape[1]), 0.0)
    dividend = (np.indices(shape).sum(axis=0) % 3 == 0) * yearly_yield / 4
    norm = np.log(np.abs(book)) + 0.8 + 0.5 * rng.standard_normal(shape[1])
    ret: Array = np.zeros(shape)
    log_cap: Array = np.empty(shape)
    betas: Array = np.empty((*shape, 3))
    log_cap[0] = norm[0]
    betas[0] = _loadings(log_cap[0], book[0], tilt)
    for t in range(1, clock.n):
        systematic = (betas[t - 1] * factors[t]).sum(axis=1)
        ret[t] = np.maximum(states.rf[t] + systematic + own_sd * shocks[t], -0.9)
        issuance = 0.01 * (norm[t] - log_cap[t - 1])
        log_cap[t] = log_cap[t - 1] + np.log1p(np.maximum(ret[t] - dividend[t], -0.9)) + issuance
        betas[t] = _loadings(log_cap[t], book[t], tilt)
    retx = np.where(np.arange(clock.n)[:, None] > 0, np.maximum(ret - dividend, -0.9), 0.0)
    price = np.exp(np.log(25.0) + 0.3 * scale + np.cumsum(np.log1p(retx), axis=0))
    marketcap = np.exp(log_cap)
    return {"ret": ret, "retx": retx, "marketcap": marketcap, "shares": marketcap / price, "betas": betas}


def _loadings(log_cap: Array, book: Array, tilt: Array) -> Array:
    """Return loadings on market, size and value, shape (I, 3), from cross-sectional ranks."""
    value = centred_ranks(np.log(np.abs(book)) - log_cap)
    return np.column_stack([1.0 + tilt + 0.2 * value, -1.3 * centred_ranks(log_cap), 1.3 * value])


def _ratings(norm: Array, credit_state: Array) -> NDArray[np.intp]:
    """Ordinal ratings that move a notch at a time, and only when credit quality has left the notch clearly."""
    latent = np.clip(norm, 1.0, 17.0) + 1.3 * credit_state
    rating = np.empty(latent.shape, dtype=np.intp)
    rating[0] = np.clip(np.rint(latent[0]), 1, 20)
    for t in range(1, len(latent)):
        gap = latent[t] - rating[t - 1]
        rating[t] = np.clip(rating[t - 1] + np.sign(gap) * (np.abs(gap) > 0.9), 1, 20)
    return rating
