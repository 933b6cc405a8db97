"""The whole economy in one object, drawn in the order in which its parts read each other.

A later vendor (CRSP, Compustat, TRACE, FISD) adds one module with one function of the economy, and one entry in the
registry of `market`.
"""

from dataclasses import dataclass
from datetime import date

from pipeline.simulation.bonds import BondPanel, simulate_bonds
from pipeline.simulation.clock import Clock, make_clock
from pipeline.simulation.firms import Firms, simulate_firms
from pipeline.simulation.issuance import Issues, simulate_issuance
from pipeline.simulation.macro import MacroStates, simulate_macro
from pipeline.simulation.rates import Rates, published_rates
from pipeline.simulation.sizes import MarketSize
from pipeline.simulation.stock_factors import StockFactors, stock_factors


@dataclass(frozen=True)
class Economy:
    """Everything that was drawn, on the month index of its clock.

    Parameters
    ----------
    size : MarketSize
        Dimensions.
    seed : int
        Seed; table writers draw their own noise from it.
    clock : Clock
        Months and sessions.
    states : MacroStates
        Macro states and true bond factors.
    firms : Firms
        Fundamentals, stocks and credit.
    rates : Rates
        Published yields.
    stocks : StockFactors
        Market return and sorted portfolios of the economy's stocks.
    issues : Issues
        Terms of the bonds.
    bonds : BondPanel
        Bond-months of the index.
    """

    size: MarketSize
    seed: int
    clock: Clock
    states: MacroStates
    rates: Rates
    firms: Firms
    stocks: StockFactors
    issues: Issues
    bonds: BondPanel


def simulate_economy(size: MarketSize, seed: int, end: date) -> Economy:
    """Draw an economy whose last month is that of `end`.

    Parameters
    ----------
    size : MarketSize
        Dimensions.
    seed : int
        Seed; the same seed, size and end give the same economy.
    end : date
        Any day of the last month.

    Returns
    -------
    Economy
    """
    clock = make_clock(size, end)
    states = simulate_macro(clock, seed)
    firms = simulate_firms(clock, size, states, seed)
    issues = simulate_issuance(clock, size, firms, states, seed)
    return Economy(
        size=size,
        seed=seed,
        clock=clock,
        states=states,
        rates=published_rates(clock, states, seed),
        firms=firms,
        stocks=stock_factors(clock, firms, states, seed),
        issues=issues,
        bonds=simulate_bonds(clock, issues, firms, states, size.alive, seed),
    )
