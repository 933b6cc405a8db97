"""Accounts of the economy's firms by calendar quarter: balance sheets, income statements, cash flows.

All amounts are whole thousands of dollars (or of shares), so that every identity between items holds exactly and a
fiscal year is the sum of its quarters. What the economy knows is taken from it at the fiscal year end: revenue,
margins, debt, book equity, net income, shares and market equity. Which of the items a vendor publishes is the business
of `compustat_items`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.simulation.compustat_coverage import Coverage
from pipeline.simulation.firms import Firms
from pipeline.simulation.paths import Array, ar1, stream

Amounts = NDArray[np.int64]

ASSET_SHARES = {
    "che": 0.12, "rect": 0.14, "invt": 0.12, "aco": 0.04, "ppent": 0.34, "intan": 0.15, "ivao": 0.03, "ao": 0.06,
}  # fmt: skip
"""Share of total assets in an average firm."""

LIABILITY_SHARES = {"ap": 0.09, "txp": 0.012, "lco": 0.08, "lo": 0.06}
"""Liabilities other than debt and deferred taxes, as a fraction of annual revenue in an average firm."""

SMALLEST_ASSETS = 0.3
"""Total assets are at least this fraction of annual revenue; other liabilities grow where equity is negative."""

SEASONS = 0.12
"""Standard deviation over firms of the log seasonal factor of a calendar quarter's sales."""

QUARTER_MEMORY = 0.97
"""Persistence of the accounts' own noise from quarter to quarter."""


@dataclass(frozen=True)
class Accounts:
    """Items on the grid of quarters, whole thousands.

    Parameters
    ----------
    stocks : dict of str to ndarray of int, shape (Q, I)
        Amounts at the end of the quarter, under the names of the annual items.
    flows : dict of str to ndarray of int, shape (Q, I)
        Amounts of the quarter. In the first quarter the changes of stocks, and what contains them, are zero.
    """

    stocks: dict[str, Amounts]
    flows: dict[str, Amounts]


@dataclass(frozen=True)
class Habits:
    """What a firm has or reports throughout its life, arrays of shape (I,).

    Parameters
    ----------
    deferred_taxes, minority, preferred, inventories, convertibles, deferred_revenue, backlog : ndarray of bool
        Whether the firm has them at all. A firm whose deferred taxes are null has none.
    redemption_value, liquidating_value : ndarray of bool
        Whether the vendor publishes `pstkrv` and `pstkl`.
    """

    deferred_taxes: NDArray[np.bool_]
    minority: NDArray[np.bool_]
    preferred: NDArray[np.bool_]
    inventories: NDArray[np.bool_]
    convertibles: NDArray[np.bool_]
    deferred_revenue: NDArray[np.bool_]
    backlog: NDArray[np.bool_]
    redemption_value: NDArray[np.bool_]
    liquidating_value: NDArray[np.bool_]


def firm_habits(n: int, seed: int) -> Habits:
    """Draw what firms have and report throughout; shape (n,) each."""
    draws = stream(seed, "compustat habits").random((9, n))
    return Habits(
        deferred_taxes=draws[0] < 0.88,
        minority=draws[1] < 0.15,
        preferred=draws[2] < 0.14,
        inventories=draws[3] < 0.88,
        convertibles=draws[4] < 0.18,
        deferred_revenue=draws[5] < 0.30,
        backlog=draws[6] < 0.25,
        redemption_value=draws[7] < 0.80,
        liquidating_value=draws[8] < 0.75,
    )


def firm_accounts(firms: Firms, coverage: Coverage, price: Array, seed: int) -> Accounts:
    """Draw up the accounts of all firms.

    Parameters
    ----------
    firms : Firms
        Revenue, margins, debt, book equity, net income, shares and market equity by month.
    coverage : Coverage
        Quarters and fiscal years.
    price : ndarray, shape (T, I)
        Price of a share at month end in dollars of that day; market equity over it is the number of shares.
    seed : int
        Seed of the market.

    Returns
    -------
    Accounts
        Also of quarters that no table holds.
    """
    rng = stream(seed, "compustat accounts")
    habits = firm_habits(len(firms.names), seed)
    stocks = _balance_sheet(firms, coverage, price, habits, rng)
    flows = _income(firms, coverage, habits, stocks, rng)
    flows |= _cash_flows(firms, coverage, stocks, flows)
    return Accounts(stocks, flows)


def whole(values: Array | Amounts) -> Amounts:
    """Round to whole thousands."""
    return np.rint(values).astype(np.int64)


def _noise(shape: tuple[int, ...], sd: float, rng: np.random.Generator) -> Array:
    """Draw persistent factors around 1, partly fixed by firm, partly moving along the first axis."""
    return np.exp(sd * (rng.standard_normal(shape[1:]) + 0.4 * ar1(rng.standard_normal(shape), QUARTER_MEMORY)))


def _change(stock: Amounts) -> Amounts:
    """Change over the quarter, zero in the first one."""
    return np.diff(stock, axis=0, prepend=stock[:1])


def _balance_sheet(
    firms: Firms, coverage: Coverage, price: Array, habits: Habits, rng: np.random.Generator
) -> dict[str, Amounts]:
    """Liabilities and equity from debt, revenue and book equity; assets as shares of their sum."""
    revenue = 1000 * firms.revenue[coverage.months]
    stocks = {
        name: whole(share * revenue * _noise(revenue.shape, 0.35, rng)) for name, share in LIABILITY_SHARES.items()
    }
    debt = whole(1000 * firms.debt[coverage.months])
    stocks["dlc"] = whole(debt * np.minimum(0.15 * _noise(debt.shape, 0.5, rng), 0.8))
    stocks["dltt"] = debt - stocks["dlc"]
    stocks["txditc"] = whole(habits.deferred_taxes * 0.03 * revenue * _noise(debt.shape, 0.5, rng))
    stocks["mib"] = whole(habits.minority * 0.02 * revenue * _noise(debt.shape, 0.5, rng))
    stocks |= _equity(whole(1000 * firms.book_equity[coverage.months]), stocks["txditc"], revenue, habits, rng)
    owed = sum(stocks[name] for name in ("ap", "txp", "lco", "lo", "dlc", "dltt", "txditc", "mib", "seq"))
    stocks["lo"] += np.maximum(whole(SMALLEST_ASSETS * revenue) - owed, 0)
    stocks["lct"] = stocks["dlc"] + stocks["ap"] + stocks["txp"] + stocks["lco"]
    stocks["lt"] = stocks["lct"] + stocks["dltt"] + stocks["txditc"] + stocks["lo"]
    stocks["at"] = stocks["lt"] + stocks["mib"] + stocks["seq"]
    stocks |= _assets(stocks["at"], habits, rng)
    stocks["prcc"] = whole(1000 * price[coverage.months])
    stocks["csho"] = whole(1000 * firms.marketcap[coverage.months] / price[coverage.months])
    return stocks | _details(stocks, habits, revenue, rng)


def _equity(
    book: Amounts, deferred: Amounts, revenue: Array, habits: Habits, rng: np.random.Generator
) -> dict[str, Amounts]:
    """Shareholders' equity such that equity + deferred taxes - preferred stock is the economy's book equity.

    Preferred stock counts by its redemption value, else its liquidating value, else its par value, whichever the
    vendor publishes first.
    """
    par = whole(habits.preferred * 0.03 * revenue * _noise(revenue.shape, 0.5, rng))
    redemption, liquidating = whole(1.08 * par), whole(1.03 * par)
    counted = np.where(habits.redemption_value, redemption, np.where(habits.liquidating_value, liquidating, par))
    seq = book - deferred + counted
    return {"pstk": par, "pstkrv": redemption, "pstkl": liquidating, "seq": seq, "ceq": seq - par}


def _assets(total: Amounts, habits: Habits, rng: np.random.Generator) -> dict[str, Amounts]:
    """Divide total assets; other assets take what rounding leaves."""
    logits = np.log(list(ASSET_SHARES.values())) + 0.35 * rng.standard_normal((total.shape[1], len(ASSET_SHARES)))
    logits = logits + 0.10 * ar1(rng.standard_normal((*total.shape, len(ASSET_SHARES))), QUARTER_MEMORY)
    logits[:, ~habits.inventories, list(ASSET_SHARES).index("invt")] = -np.inf
    shares = softmax(logits, axis=2)
    assets = {name: whole(total * shares[:, :, k]) for k, name in enumerate(ASSET_SHARES)}
    assets["ao"] = total - sum(values for name, values in assets.items() if name != "ao")
    assets["act"] = assets["che"] + assets["rect"] + assets["invt"] + assets["aco"]
    return assets


def _details(
    stocks: dict[str, Amounts], habits: Habits, revenue: Array, rng: np.random.Generator
) -> dict[str, Amounts]:
    """Parts of the items above, and what is counted beside the accounts."""
    shape = revenue.shape

    def part(whole_item: Amounts | Array, share: float, owners: NDArray[np.bool_] | bool = True) -> Amounts:
        return whole(whole_item * owners * np.minimum(share * _noise(shape, 0.3, rng), 0.9))

    convertible = part(stocks["dltt"], 0.15, habits.convertibles)
    gross = stocks["ppent"] + part(stocks["ppent"], 0.6)
    ivst = part(stocks["che"], 0.3)
    return {
        "ivst": ivst, "ch": stocks["che"] - ivst,
        "ppegt": gross, "fatb": part(gross, 0.3), "fatl": part(gross, 0.1),
        "gdwl": part(stocks["intan"], 0.55),
        "xpp": part(stocks["aco"], 0.4), "dc": part(stocks["ao"], 0.2),
        "xacc": part(stocks["lco"], 0.35), "drc": part(stocks["lco"], 0.2, habits.deferred_revenue),
        "drlt": part(stocks["lo"], 0.2, habits.deferred_revenue), "txdb": part(stocks["txditc"], 0.8),
        "dm": part(stocks["dltt"], 0.2, rng.random(shape[1]) < 0.6),
        "dcvt": convertible, "dcpstk": convertible + part(stocks["pstk"], 0.4),
        "ob": part(revenue, 0.3, habits.backlog), "emp": part(revenue, 0.004),
        "cshrc": part(stocks["csho"], 0.03, habits.convertibles),
    }  # fmt: skip


def _positions(coverage: Coverage) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Position of each quarter, and of the end of its fiscal year or, where that year is not over, of itself."""
    n = len(coverage.months)
    position = np.broadcast_to(np.arange(n)[:, None], coverage.closing.shape)
    return position, np.where(coverage.closing < n, coverage.closing, position)


def _yearly(values: Array, coverage: Coverage) -> Array:
    """Value at the end of the quarter's fiscal year, or of the quarter itself where that year is not over."""
    return np.take_along_axis(values[coverage.months], _positions(coverage)[1], axis=0)


def _since_year_start(values: Array, coverage: Coverage, at: NDArray[np.intp]) -> Array:
    """Sum from the start of each quarter's fiscal year through the quarter at position `at`."""
    sums = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    start = np.maximum(coverage.previous + 1, 0)
    return np.take_along_axis(sums, at + 1, axis=0) - np.take_along_axis(sums, start, axis=0)


def _of_quarter(until: Amounts, unfinished: Array, coverage: Coverage) -> Amounts:
    """Amounts of the quarters from amounts of the year to date; `unfinished` where the fiscal year is not over."""
    position, _ = _positions(coverage)
    first = position == np.maximum(coverage.previous + 1, 0)
    before = np.where(first, 0, np.vstack([np.zeros_like(until[:1]), until[:-1]]))
    return np.where(coverage.closing < len(coverage.months), until - before, whole(unfinished))


def spread_over_year(total: Amounts, weight: Array, coverage: Coverage) -> Amounts:
    """Quarterly amounts that sum to the total of their fiscal year.

    Parameters
    ----------
    total : ndarray of int, shape (Q, I)
        Amount of the fiscal year that holds the quarter, the same in all its quarters.
    weight : ndarray, shape (Q, I)
        Relative size of the quarters, around 1; where the year is not over its quarters count a quarter of the total.
    coverage : Coverage
        Fiscal years.

    Returns
    -------
    ndarray of int, shape (Q, I)
    """
    position, closing = _positions(coverage)
    fraction = _since_year_start(weight, coverage, position) / _since_year_start(weight, coverage, closing)
    return _of_quarter(whole(total * fraction), total * weight / 4, coverage)


def _income(
    firms: Firms, coverage: Coverage, habits: Habits, stocks: dict[str, Amounts], rng: np.random.Generator
) -> dict[str, Amounts]:
    """Income statement by quarter; its yearly sums are the economy's revenue, margins and net income."""
    shape = coverage.closing.shape
    part_of_year = np.where(coverage.closing < shape[0], coverage.length / 4, 1.0)
    seasons = np.exp(SEASONS * rng.standard_normal((4, shape[1])))[(coverage.months // 3) % 4]
    weight = firms.revenue[coverage.months] * seasons * np.exp(0.02 * rng.standard_normal(shape))
    weight = weight / _yearly(firms.revenue, coverage)
    year = whole(1000 * part_of_year * _yearly(firms.revenue, coverage))
    cogs = whole(year * (1 - _yearly(firms.gross_margin, coverage)))
    oiadp = whole(year * _yearly(firms.ebit_margin, coverage))
    dp = whole(year * _yearly(firms.ebitda_margin, coverage)) - oiadp
    even = 0.5 + 0.5 * weight
    flows = {
        "sale": spread_over_year(year, weight, coverage),
        "cogs": spread_over_year(cogs, weight * np.exp(0.02 * rng.standard_normal(shape)), coverage),
        "xsga": spread_over_year(year - cogs - dp - oiadp, even, coverage),
        "dp": spread_over_year(dp, np.ones(shape), coverage),
        "xint": spread_over_year(
            whole(50 * part_of_year * _yearly(firms.debt, coverage)), np.ones(shape), coverage
        ),
    }  # fmt: skip
    flows["revt"], flows["gp"] = flows["sale"], flows["sale"] - flows["cogs"]
    flows["oibdp"] = flows["gp"] - flows["xsga"]
    flows["oiadp"] = flows["oibdp"] - flows["dp"]
    flows["xrd"] = whole(flows["xsga"] * np.minimum(0.25 * _noise(shape, 0.6, rng), 0.6))
    flows["xad"] = whole(flows["xsga"] * np.minimum(0.10 * _noise(shape, 0.6, rng), 0.3))
    net_income = whole(1000 * part_of_year * _yearly(firms.net_income, coverage))
    flows["ib"] = _income_before_extraordinary(net_income, flows, coverage, rng)
    return flows | _below_operating_income(flows, stocks, habits, rng)


def _income_before_extraordinary(
    year: Amounts, flows: dict[str, Amounts], coverage: Coverage, rng: np.random.Generator
) -> Amounts:
    """Follow operating income after interest and taxes, with shocks that cancel within the fiscal year."""
    path = 0.75 * (flows["oiadp"] - flows["xint"])
    path = path + 0.010 * flows["sale"] * rng.standard_normal(path.shape)
    position, closing = _positions(coverage)
    gap = year - _since_year_start(path, coverage, closing)
    elapsed = (position - coverage.previous) / coverage.length
    return _of_quarter(whole(_since_year_start(path, coverage, position) + gap * elapsed), path, coverage)


def _below_operating_income(
    flows: dict[str, Amounts], stocks: dict[str, Amounts], habits: Habits, rng: np.random.Generator
) -> dict[str, Amounts]:
    """Taxes, special items, minority income and extraordinary items; non-operating income closes the statement."""
    shape = flows["ib"].shape
    rate = rng.uniform(0.15, 0.30, shape[1])
    txt = whole(flows["ib"] * np.where(flows["ib"] > 0, rate / (1 - rate), 0.5 * rate))
    txdi = _change(stocks["txditc"])
    current = txt - txdi
    txfed, txfo = whole(0.75 * current), whole(0.15 * current)
    rare = rng.random((4, *shape))
    spi = whole(np.where(rare[0] < 0.12, -0.02 * flows["sale"] * rng.exponential(1.0, shape), 0.0))
    mii = whole(0.03 * flows["ib"] * (stocks["mib"] > 0))
    xido = whole(np.where(rare[1] < 0.03, 0.02 * flows["sale"] * rng.standard_normal(shape), 0.0))
    pi = flows["ib"] + txt + mii
    amortised = whole(np.where(rare[2] < 0.02, -0.05 * stocks["gdwl"], 0.0))
    written_off = whole(np.where(rare[3] < 0.01, -0.10 * stocks["gdwl"], 0.0))
    return {
        "txt": txt, "txdi": txdi, "txfed": txfed, "txfo": txfo, "txs": current - txfed - txfo,
        "spi": spi, "mii": mii, "xido": xido, "ni": flows["ib"] + xido,
        "pi": pi, "nopi": pi - flows["oiadp"] + flows["xint"] - spi,
        "gdwlia": amortised, "gdwlip": written_off, "gwo": written_off,
    }  # fmt: skip


def _cash_flows(
    firms: Firms, coverage: Coverage, stocks: dict[str, Amounts], flows: dict[str, Amounts]
) -> dict[str, Amounts]:
    """Cash flow statement: operations, investing and financing sum to the change of cash and short-term investments."""
    working = (stocks["act"] - stocks["che"]) - (stocks["lct"] - stocks["dlc"])
    wcapch = _change(working)
    oancf = flows["ib"] + flows["dp"] + flows["txdi"] - wcapch
    capx = np.maximum(_change(stocks["ppent"]) + flows["dp"], whole(0.2 * flows["dp"]))
    longer = _change(stocks["dltt"])
    dltr = np.maximum(whole(0.02 * stocks["dltt"]), -longer)
    sold = _sold_shares(firms, coverage)
    sstk, prstkc = whole(np.maximum(sold, 0.0)), whole(np.maximum(-sold, 0.0))
    dvc, dvp = _dividends(firms, coverage), whole(0.015 * stocks["pstk"])
    financing = {
        "dltr": dltr, "dltis": longer + dltr, "dlcch": _change(stocks["dlc"]),
        "sstk": sstk, "scstkc": sstk, "prstkc": prstkc, "dvc": dvc, "dvp": dvp, "dv": dvc + dvp, "dvt": dvc + dvp,
    }  # fmt: skip
    fincf = financing["dltis"] - dltr + financing["dlcch"] + sstk - prstkc - financing["dv"]
    chech = _change(stocks["che"])
    return financing | {
        "wcapch": wcapch, "oancf": oancf, "capx": capx, "fincf": fincf, "chech": chech, "ivncf": chech - oancf - fincf,
    }  # fmt: skip


def _sold_shares(firms: Firms, coverage: Coverage) -> Array:
    """Value of the shares sold over the quarter, negative where shares are bought back, before splits."""
    shares, cap = firms.shares[coverage.months], firms.marketcap[coverage.months]
    return 1000 * np.diff(shares, axis=0, prepend=shares[:1]) * cap / shares


def _dividends(firms: Firms, coverage: Coverage) -> Amounts:
    """Dividends that the stock returns of the quarter's months imply."""
    start = np.vstack([firms.marketcap[:1], firms.marketcap[:-1]])
    paid = np.vstack([np.zeros((3, start.shape[1])), np.cumsum((firms.ret - firms.retx) * start, axis=0)])
    quarter = paid[coverage.months + 3] - paid[coverage.months]
    return whole(1000 * np.maximum(quarter, 0.0))
