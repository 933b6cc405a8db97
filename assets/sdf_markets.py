"""Markets of the stochastic discount factor and the panels that their models look at: networks and trees alike.

Belongs here: where a market finds its data. Does not: the models' assets (``assets.sdf``, ``assets.trees``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import reduce

import polars as pl

from assets.reads import Inputs, Partitions, Read
from assets.training import set_instruments
from pipeline.bonds.portfolio_characteristics import NAMES as PORTFOLIO_CHARACTERISTICS
from pipeline.bonds.registry import DG
from pipeline.bonds.registry import SETS as BOND_SETS
from pipeline.macro.treasury import FORWARD_YEARS
from pipeline.panel.calendar import shift
from pipeline.sdf.assembly import sdf_panel
from pipeline.sdf.environments import issuer_group
from pipeline.sdf.panel import SdfPanel
from pipeline.sdf.settings import SdfSettings
from resources.settings import Settings

_FORWARDS = tuple(f"forward_spread_{year}" for year in range(1, FORWARD_YEARS + 1))
_MEDIANS = tuple(name for name in BOND_SETS[DG] if name.startswith("med_"))
_BOND_OWN = tuple(name for name in BOND_SETS[DG] if name not in (*_FORWARDS, *_MEDIANS))


@dataclass(frozen=True, kw_only=True)
class Market:
    """Where the networks and trees of a market find their data.

    Attributes
    ----------
    name, words : str
        Beginning of the assets' names; whose returns, for descriptions.
    returns, characteristics : str
        Assets: returns of the month, and what is known of each asset at its end.
    key : str
        Identifier of an asset of the cross-section.
    features : tuple of str
        The assets' own characteristics.
    medians : str or None
        Asset with the medians of fundamentals.
    issuers : str or None
        Asset with the columns ``sic`` and ``sector`` of each asset's issuer, by which financial firms are told apart.
    """

    name: str
    words: str
    returns: str
    characteristics: str
    key: str
    features: tuple[str, ...]
    medians: str | None = None
    issuers: str | None = None

    @property
    def section(self) -> str:
        """Section of the settings of the networks."""
        return f"{self.name}_sdf"

    def settings(self, settings: Settings) -> SdfSettings:
        """Give the settings of the market's networks."""
        return getattr(settings, self.section)


MARKETS = (
    Market(
        name="bond_portfolio",
        words="the 40 bond portfolios",
        returns="bond_portfolios",
        characteristics="bond_portfolio_characteristics",
        key="portfolio",
        features=PORTFOLIO_CHARACTERISTICS,
        medians="bond_characteristics",
    ),
    Market(
        name="bond",
        words="single bonds",
        returns="bond_returns",
        characteristics="bond_characteristics",
        key="isin",
        features=_BOND_OWN,
        medians="bond_characteristics",
        issuers="bond_snapshot",
    ),
    Market(
        name="stock",
        words="single stocks",
        returns="stock_returns",
        characteristics="firm_characteristics",
        key="permno",
        features=set_instruments("dg41"),
    ),
)


# When models are searched for


# What networks and trees look at


def panel_reads(market: Market, min_months: int) -> dict[str, Read]:
    """Give all that a panel of the market is made of; the asset begins once there are so many months of returns."""
    returns = Partitions(source=market.returns, lookback=None, spine=True, history=min_months)
    return {"returns": returns, **known_reads(market, None)}


def known_reads(market: Market, lookback: int | None) -> dict[str, Read]:
    """Give what is known of a month's assets at its end, of so many months before it too; None for all."""
    sources = {"characteristics": market.characteristics, "medians": market.medians}
    sources |= {name: name for name in ("fred_md", "goyal_welch", "treasury_curve")}
    if market.medians == market.characteristics:
        del sources["medians"]
    return {name: Partitions(source=source, lookback=lookback) for name, source in sources.items() if source}


def _macro(market: Market, inputs: Inputs) -> pl.DataFrame:
    """Everything that all assets share, one row a month: what was known at its end."""
    published = inputs["fred_md"].pivot("series", index="month", values="value")
    tables = [published, inputs["goyal_welch"].drop("source"), inputs["treasury_curve"].select("month", *_FORWARDS)]
    if market.medians:
        name = "characteristics" if market.medians == market.characteristics else "medians"
        medians = inputs.lazy(name).select("month", *_MEDIANS)
        tables.append(medians.group_by("month").agg(pl.col(_MEDIANS).max()).collect())
    joined = reduce(lambda left, right: left.join(right, on="month", how="full", coalesce=True), tables)
    return joined.sort("month")


def issuer_reads(market: Market) -> dict[str, Read]:
    """Give what tells the financial firms of a market apart, where it has that."""
    return {"issuers": Partitions(source=market.issuers, lookback=None)} if market.issuers else {}


def market_panel(market: Market, inputs: Inputs, earned: bool = True, grouped: bool = False) -> SdfPanel:
    """Put together all target months of a range, the one after it included.

    Not ``earned``, no return is known; ``grouped``, which needs :func:`issuer_reads`, rows have their issuer's group.
    """
    key = market.key
    own = inputs.lazy("characteristics").select("month", key, *market.features)
    if grouped:
        groups = inputs.lazy("issuers").select("month", key, issuer_group().alias("group"))
        own = own.join(groups, on=["month", key], how="left")
    characteristics = own.collect()
    months = [shift(month, 1) for month in characteristics["month"].unique().sort()]
    returns = inputs["returns"] if earned else characteristics.clear().with_columns(ret_excess=pl.lit(0.0))
    shared, group = _macro(market, inputs), "group" if grouped else None
    return sdf_panel(characteristics, returns, shared, months, key=key, names=market.features, group=group)


def target_months(market: Market, inputs: Inputs) -> list[date]:
    """Find the months of a range in which any asset of the panel has a return, without putting it together."""
    before = inputs.lazy("characteristics").select(pl.col("month").dt.offset_by("1mo"), market.key)
    earned = inputs.lazy("returns").filter(pl.col("ret_excess").is_finite()).select("month", market.key)
    months = earned.join(before, on=["month", market.key], how="semi").select(pl.col("month").unique()).collect()
    return months["month"].to_list()
