"""Bonds of the economy: issuance, the index's monthly universe, true conditional betas, returns and prices.

The return of bond i in month m + 1 is `rf + c' Gamma f + e`, where c holds the ranked characteristics of the index row
at the end of m, as published with its missing values and outliers, and a constant. The price follows the return,
`P(m+1) = P(m) (1 + return) - coupon / 12`: coupons are paid monthly, nothing accrues, nothing pulls the price to par;
bonds whose price leaves [22, 175] leave the index. Vendor layout belongs elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.bond_math import modified_duration
from pipeline.simulation.clock import Clock
from pipeline.simulation.curve import zero_yields
from pipeline.simulation.firms import Firms
from pipeline.simulation.issuance import Issues
from pipeline.simulation.macro import MacroStates
from pipeline.simulation.nuisances import spoil
from pipeline.simulation.paths import Array, centred_ranks, stream

TOTAL_R2 = 0.20
"""Share of the second moment of monthly excess returns that the true factors explain."""

GAMMA: dict[str, tuple[float, float, float]] = {
    "coupon": (-0.5, 0.3, 0.0),
    "face_value": (0.0, 0.0, -1.9),
    "duration": (2.2, -0.3, 0.0),
    "rating": (0.0, 1.6, 0.0),
    "spread": (0.0, 1.9, 0.0),
    "default_probability": (0.0, 1.0, 0.0),
    "book_to_price": (0.0, 0.0, 2.2),
    "debt": (0.4, 0.0, -0.3),
    "earnings_to_price": (0.0, -0.3, 1.6),
    "marketcap": (0.0, 0.0, -0.8),
    "market_leverage": (0.0, 0.6, 0.0),
    "constant": (0.9, 0.2, 0.1),
}
"""True Gamma, characteristic by factor; rows not named are zero."""

LOSS = 0.20
"""Return lost by a bond in the month of its default."""

EXITS = ("short", "default", "exchange", "call")
"""Less than 366 days to maturity; months after a default; a price out of all bounds; called."""

COMMON_NOISE = 0.4
"""Correlation of a bond's idiosyncratic return with its issuer's credit shock."""

OBSERVED = tuple(name for name in GAMMA if name != "constant")


@dataclass(frozen=True)
class BondLives:
    """What became of every bond, in the order of `Issues`.

    Parameters
    ----------
    prices : ndarray, shape (T, B)
        Clean price at the end of the month per 100 of face, from the first month in the index to the one at whose end
        the bond leaves it, both included; NaN before and after.
    default : ndarray of int, shape (B,)
        Month index in which it defaults; T where it never does.
    left : ndarray of int, shape (B,)
        Month index at whose end it leaves; T where it is still there.
    reason : ndarray of str, shape (B,)
        Why it leaves: a value of `EXITS`; empty where it is still there.
    """

    prices: Array
    default: NDArray[np.intp]
    left: NDArray[np.intp]
    reason: NDArray[np.str_]


@dataclass(frozen=True)
class BondPanel:
    """Bond-months of the index, one row each in the order of month and issue.

    Parameters
    ----------
    month, bond : ndarray of int, shape (n,)
        Month index of the snapshot and position in `Issues`.
    columns : dict of str to ndarray, shape (n,)
        The index row's numeric columns as published, NaN where the provider has none.
    clean : dict of str to ndarray, shape (n,)
        The same columns before missing values and outliers.
    ranks : ndarray, shape (n, 11)
        Instruments in the order of `OBSERVED`.
    excess : ndarray, shape (n,)
        Excess return earned in the month after the snapshot, decimals; NaN in the last month.
    beta : ndarray, shape (n, 3)
        True conditional betas.
    lives : BondLives
        What became of every bond, in the index's months and in those in which the index passes it over.
    """

    month: NDArray[np.intp]
    bond: NDArray[np.intp]
    columns: dict[str, Array]
    clean: dict[str, Array]
    ranks: Array
    excess: Array
    beta: Array
    lives: BondLives


@dataclass
class _Book:
    """What the loop over months carries from one to the next; arrays over all bonds."""

    price: Array
    liquidity: Array
    beta: Array
    gone: NDArray[np.bool_]
    default_left: NDArray[np.intp]
    hidden_left: NDArray[np.intp]
    lives: BondLives


def simulate_bonds(clock: Clock, issues: Issues, firms: Firms, states: MacroStates, alive: int, seed: int) -> BondPanel:
    """Let the bonds live through the months of the market.

    Parameters
    ----------
    clock : Clock
        Months of the market.
    issues : Issues
        Terms of every bond.
    firms : Firms
        Their issuers.
    states : MacroStates
        Curve, factors and bill returns.
    alive : int
        Bonds in the index in an average month; calls keep the number near it.
    seed : int
        Seed of the market.

    Returns
    -------
    BondPanel
    """
    rng = stream(seed, "bonds")
    n = issues.n
    book = _Book(
        price=issues.price.copy(), liquidity=rng.standard_normal(n), beta=np.zeros((n, 3)), gone=np.zeros(n, bool),
        default_left=np.full(n, -1), hidden_left=np.zeros(n, np.intp),
        lives=BondLives(
            prices=np.full((clock.n, n), np.nan), default=np.full(n, clock.n), left=np.full(n, clock.n),
            reason=np.full(n, "", dtype="U8"),
        ),
    )  # fmt: skip
    gamma = np.array(list(GAMMA.values()))
    earned = states.factors[clock.first_snapshot + 1 :]
    second_moment = earned.T @ earned / len(earned)
    blocks = []
    for t in range(clock.first_snapshot, clock.n):
        members = _members(t, clock, issues, book, alive, rng)
        seen = members[book.hidden_left[members] == 0]
        clean = _snapshot(t, seen, clock, issues, firms, states, book)
        columns = spoil(clean, firms.private[issues.issuer[seen]], issues.issuer[seen], rng)
        ranks = np.column_stack([centred_ranks(values) for values in observed_characteristics(columns)])
        book.beta[seen] = ranks @ gamma[:-1] + gamma[-1]
        excess = np.full(n, np.nan)
        if t + 1 < clock.n:
            excess[members] = _earn(t + 1, members, issues, firms, states, book, second_moment, rng)
        blocks.append((np.full(len(seen), t), seen, columns, clean, ranks, excess[seen], book.beta[seen]))
    return _panel(blocks, book.lives)


def observed_characteristics(columns: dict[str, Array]) -> list[Array]:
    """Characteristics behind the true betas from the index's columns, in the order of `OBSERVED`; NaN is missing."""

    def nonzero(name: str) -> Array:
        return np.where(columns[name] == 0, np.nan, columns[name])

    probability = columns["PD_DRISK"]
    formulas = {
        "coupon": columns["Coupon"],
        "face_value": columns["ParAmount"],
        "duration": columns["DUR"],
        "rating": columns["rating"],
        "spread": columns["oas_BOM"],
        "default_probability": np.where(probability <= -0.99, np.nan, probability),
        "book_to_price": 1 / nonzero("pricetobook"),
        "debt": columns["debt"],
        "earnings_to_price": 1 / nonzero("pricetoearnings"),
        "marketcap": columns["marketcap"],
        "market_leverage": columns["debt"] / nonzero("marketcap"),
    }
    return [formulas[name] for name in OBSERVED]


def _members(
    t: int, clock: Clock, issues: Issues, book: _Book, alive: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Bonds outstanding at the end of month t, after maturities, calls, distressed exchanges and ended defaults."""
    here = (issues.entry <= t) & ~book.gone
    book.lives.prices[t, here] = book.price[here]
    short = issues.maturity.astype("datetime64[D]") - clock.month_ends[t] < np.timedelta64(366, "D")
    extreme = (book.price < 22) | (book.price > 175)
    _leave(t, book, here & extreme & (book.default_left < 0), "exchange")
    _leave(t, book, here & (book.default_left == 0), "default")
    _leave(t, book, here & short, "short")
    here &= ~book.gone
    share = (t - clock.first_snapshot) / (clock.n - clock.first_snapshot)
    surplus = int(here.sum() - round(alive * (0.88 + 0.24 * share)))
    callable_ = np.flatnonzero(here & (book.default_left < 0) & (t - issues.entry >= 12))
    if surplus > 0 and len(callable_):
        # The dearest bonds are called first, with some chance in it.
        appeal = book.price[callable_] + 8 * rng.standard_normal(len(callable_))
        called = np.zeros(issues.n, bool)
        called[callable_[np.argsort(-appeal, kind="stable")[:surplus]]] = True
        _leave(t, book, called, "call")
    members = np.flatnonzero((issues.entry <= t) & ~book.gone)
    book.hidden_left[members] = np.maximum(book.hidden_left[members] - 1, 0)
    idle = (book.hidden_left[members] == 0) & (issues.entry[members] < t - 6) & (rng.random(len(members)) < 0.003)
    book.hidden_left[members[idle]] = rng.integers(1, 5, idle.sum())
    return members


def _leave(t: int, book: _Book, leaving: NDArray[np.bool_], reason: str) -> None:
    """Let bonds leave at the end of month t."""
    book.gone |= leaving
    book.lives.left[leaving] = t
    book.lives.reason[leaving] = reason


def _snapshot(
    t: int, seen: NDArray[np.intp], clock: Clock, issues: Issues, firms: Firms, states: MacroStates, book: _Book
) -> dict[str, Array]:
    """Clean columns of the index rows at the end of month t."""
    firm = issues.issuer[seen]
    years = (issues.maturity[seen].astype("datetime64[D]") - clock.month_ends[t]).astype(float) / 365.25
    in_default = book.default_left[seen] > 0
    rating = np.where(in_default, 22, firms.rating[t, firm])
    log_spread = np.log(120.0) + 0.19 * (rating - 8) + 0.45 * states.credit[t] + 0.18 * firms.credit_state[t, firm]
    oas = np.exp(log_spread + 0.12 * np.log(years / 7) + 0.16 * book.liquidity[seen])
    curve = zero_yields(states.level[t], states.slope[t], states.curvature[t], years)
    earlier = max(t - 12, 0)
    revenue, ebit = firms.revenue[t, firm], (firms.revenue * firms.ebit_margin)[t, firm]
    old_revenue, old_ebit = firms.revenue[earlier, firm], (firms.revenue * firms.ebit_margin)[earlier, firm]
    cap, equity, debt = firms.marketcap[t, firm], firms.book_equity[t, firm], firms.debt[t, firm]
    vol = np.log(states.vix[t] / 18.5)
    pd = np.exp(-2.0 + 0.17 * (rating - 8) + 0.5 * vol + 0.5 * firms.credit_state[t, firm] + 0.3 * np.log(debt / cap))
    return {
        "rating": rating.astype(float), "Coupon": issues.coupon[seen], "ParAmount": issues.par[seen],
        "DUR": np.round(modified_duration(issues.coupon[seen], years, curve + oas / 100), 4),
        "oas_BOM": np.round(oas, 4), "Price_BOM": book.price[seen], "PD_DRISK": np.round(pd, 9),
        "Stock_Price": np.round(cap / firms.shares[t, firm], 4),
        "pricetobook": np.round(cap / equity, 4), "pricetoearnings": np.round(cap / firms.net_income[t, firm], 4),
        "debt": np.round(debt, 3), "ebitda": np.round(revenue * firms.ebitda_margin[t, firm], 3),
        "ebit": np.round(ebit, 3), "ebitmargin": np.round(firms.ebit_margin[t, firm], 6),
        "grossmargin": np.round(firms.gross_margin[t, firm], 6),
        "ebitgrowth": np.round(100 * (ebit - old_ebit) / np.abs(old_ebit), 4),
        "revenuegrowth": np.round(100 * (revenue / old_revenue - 1), 4),
        "leverageratio": np.round((debt + equity) / equity, 4), "marketcap": np.round(cap, 3),
    }  # fmt: skip


def _earn(
    t: int, members: NDArray[np.intp], issues: Issues, firms: Firms, states: MacroStates, book: _Book,
    second_moment: Array, rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Excess returns of month t, decimals, for betas known at its start; prices, liquidity and defaults move on."""
    firm = issues.issuer[members]
    beta = book.beta[members]
    sound = book.default_left[members] < 0
    intensity = np.where(sound, firms.intensity[t - 1, firm], 0.0)
    struck = sound & firms.defaulted[t, firm]
    signal = np.einsum("ik,kl,il->i", beta, second_moment, beta).mean()
    shape = (0.6 + 0.4 * np.sqrt(issues.years[members] / 10)) * np.exp(0.03 * (firms.rating[t - 1, firm] - 8))
    # Jumps are compensated, so that idiosyncratic returns have mean zero given what was known; their variance counts.
    noise_variance = signal * (1 - TOTAL_R2) / TOTAL_R2 - (intensity * LOSS**2).mean()
    sd = shape * np.sqrt(noise_variance / (shape**2).mean())
    own = rng.standard_t(8, len(members)) / np.sqrt(8 / 6)
    standard = -COMMON_NOISE * firms.credit_shock[t, firm] + np.sqrt(1 - COMMON_NOISE**2) * own
    residual = sd * standard + LOSS * (intensity - struck)
    excess = np.maximum(beta @ states.factors[t] + residual, -0.95)
    book.price[members] = book.price[members] * (1 + excess + states.rf[t]) - issues.coupon[members] / 12
    book.liquidity[members] = 0.9 * book.liquidity[members] - 0.43 * standard
    book.default_left[members] = np.where(sound, -1, book.default_left[members] - 1)
    # Some leave the index at once, their last return the bad one; the others stay some months rated D.
    book.default_left[members[struck]] = rng.integers(0, 4, struck.sum())
    book.lives.default[members[struck]] = t
    return excess


def _panel(blocks: list[tuple], lives: BondLives) -> BondPanel:
    """Stack the months."""
    month, bond, columns, clean, ranks, excess, beta = zip(*blocks, strict=True)
    return BondPanel(
        month=np.concatenate(month),
        bond=np.concatenate(bond),
        columns={name: np.concatenate([block[name] for block in columns]) for name in columns[0]},
        clean={name: np.concatenate([block[name] for block in clean]) for name in clean[0]},
        ranks=np.concatenate(ranks),
        excess=np.concatenate(excess),
        beta=np.concatenate(beta),
        lives=lives,
    )
