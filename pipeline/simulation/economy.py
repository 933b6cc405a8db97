"""The whole economy in one object, drawn in the order in which its parts read each other.

A later vendor (CRSP, Compustat, TRACE, FISD) adds one module with one function of the economy, and one entry in the
registry of `market`.
"""

from dataclasses import dataclass
from datetime import date

from pipeline.simulation.bonds import BondPanel, simulate_bonds
from pipeline.simulation.clock import Clock, make_clock
from pipeline.simulation.compustat_coverage import usable_years
from pipeline.simulation.firms import Firms, simulate_firms
from pipeline.simulation.issuance import Issues, simulate_issuance
from pipeline.simulation.links import Links, simulate_links
from pipeline.simulation.listings import Listings, simulate_listings
from pipeline.simulation.macro import MacroStates, simulate_macro
from pipeline.simulation.rates import Rates, published_rates
from pipeline.simulation.shares import Shares, simulate_shares
from pipeline.simulation.sizes import MarketSize
from pipeline.simulation.stock_factors import Accounts, StockFactors, stock_factors
from pipeline.simulation.stock_months import StockMonths, simulate_stock_months
from pipeline.simulation.stock_names import StockNames, simulate_names
from pipeline.simulation.trading import Trading


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
    listings : Listings
        Securities, and when each one is listed.
    links : Links
        To which company's accounts each one belongs.
    names : StockNames
        What they are called, and their codes.
    shares : Shares
        What they are worth month by month.
    trading : Trading
        Makes their days, a month at a time.
    stock_months : StockMonths
        Their months as published and as they truly were.
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
    listings: Listings
    links: Links
    names: StockNames
    shares: Shares
    trading: Trading
    stock_months: StockMonths
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
    listings = simulate_listings(clock, firms, size, seed)
    links = simulate_links(clock, firms, listings)
    names = simulate_names(clock, firms, listings, seed)
    shares = simulate_shares(clock, firms, listings, seed)
    trading = Trading(clock, states, firms, listings, names, shares, seed)
    stock_months, market = simulate_stock_months(trading)
    accounts = Accounts(usable_years(clock, firms, listings, seed), links.held(clock, listings))
    issues = simulate_issuance(clock, size, firms, states, seed)
    return Economy(
        size=size,
        seed=seed,
        clock=clock,
        states=states,
        rates=published_rates(clock, states, seed),
        firms=firms,
        listings=listings,
        links=links,
        names=names,
        shares=shares,
        trading=trading,
        stock_months=stock_months,
        stocks=stock_factors(trading, stock_months, market, accounts, states, seed),
        issues=issues,
        bonds=simulate_bonds(clock, issues, firms, states, size.alive, seed),
    )
