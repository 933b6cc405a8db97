"""Numbers of the page of stochastic discount factors: which markets, which frames, what the source prints.

Belongs here: memory of results and the step from stored rows to ``sdf_statistics``. Does not: measures, formats
(``tables_sdf``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import polars as pl

from pipeline.bonds.french_industries import NAMES as INDUSTRY_NAMES
from pipeline.evaluation.alphas import FACTOR_SETS
from pipeline.report import sdf_statistics
from pipeline.report.data import ReportData
from pipeline.report.numbers import Numbers
from pipeline.report.numbers_linear import LinearNumbers
from pipeline.report.sdf_statistics import GAN

FACTORS, INDEX, TRUE_FACTORS = "french_factors", "crsp.msi", "truth.factors"
PORTFOLIOS = "bond_portfolios"
#: Benchmarks beside those of the evaluation: the market factor where there is no index, and the 40 bond portfolios.
MARKET, SPANNING = "market", "portfolios"
WEIGHTS, BETAS = "weights", "betas"
#: What is shown of the generative adversarial networks.
GAN_WEIGHTS, GAN_PERFORMANCE, GAN_ALPHAS = "gan_weights", "gan_performance", "gan_alphas"
GAN_CUMULATIVE = "gan_cumulative"
#: Column of the bonds' characteristics -> industry.
INDUSTRIES = {f"industry_{number}": name for number, name in enumerate(INDUSTRY_NAMES, start=1)}


@dataclass(frozen=True, kw_only=True)
class Market:
    """A cross-section and its assets.

    Attributes
    ----------
    name, title : str
        Beginning of the assets' names, and heading.
    returns, key : str
        Asset with the returns, and the identifier in it.
    industries : str
        Asset with a column for each of :data:`INDUSTRIES`; empty where there is none.
    spanned : bool
        Whether the portfolio is tested against the 40 bond portfolios.
    numbers : mapping of str to str
        What is shown -> number of the source's table or figure; without numbers nothing was published.
    months : str
        Test months of the source.
    """

    name: str
    title: str
    returns: str
    key: str
    industries: str = ""
    spanned: bool = False
    numbers: Mapping[str, str] = field(default_factory=dict, hash=False)
    months: str = ""

    @property
    def search(self) -> str:
        """Asset of the searches."""
        return f"{self.name}_sdf_search"

    @property
    def weights(self) -> str:
        """Asset of the weights."""
        return f"{self.name}_sdf"

    @property
    def earned(self) -> str:
        """Asset of what the portfolios earned."""
        return f"{self.name}_sdf_returns"

    @property
    def assets(self) -> tuple[str, ...]:
        """All of these, the returns and the industries."""
        spanning = PORTFOLIOS if self.spanned else ""
        own = (self.search, self.weights, self.earned, self.returns, self.industries, spanning)
        return tuple(name for name in own if name)


MARKETS = (
    Market(
        name="bond_portfolio",
        title="Bond portfolios",
        returns=PORTFOLIOS,
        key="portfolio",
        numbers={
            "performance": "3", "alphas": "4", "pricing": "5", "cumulative": "2", WEIGHTS: "A.1", BETAS: "A.2",
            GAN_WEIGHTS: "A.5", GAN_PERFORMANCE: "A.6", GAN_ALPHAS: "A.7", GAN_CUMULATIVE: "7",
        },
        months="August 2008 to December 2018",
    ),
    Market(
        name="bond",
        title="Bonds",
        returns="bond_returns",
        key="isin",
        industries="bond_characteristics",
        spanned=True,
        numbers={
            "performance": "6", "alphas": "7", "pricing": "8", "cumulative": "3", WEIGHTS: "A.3", BETAS: "A.4",
            "industries": "4", "shares": "5",
        },
        months="February 2006 to January 2020",
    ),
    Market(name="stock", title="Stocks", returns="stock_returns", key="permno"),
)  # fmt: skip

_PORTFOLIO_MODELS = (("mispricing", "full"), ("sharpe", "full"), ("mispricing", "no_macro"), ("sharpe", "no_macro"))
_BOND_MODELS = (*_PORTFOLIO_MODELS, ("mispricing", "no_financials"), ("sharpe", "no_financials"))
_GAN_MODELS = (
    ("gan", "bond portfolios"),
    ("sharpe", "bond portfolios"),
    ("gan", "stock portfolios"),
    ("sharpe", "stock portfolios"),
)
_ALPHA_COLUMNS = ("sp500", "sp500_t", "ff3", "ff3_t", "ff5", "ff5_t")
_PRICING_COLUMNS = ("explained_variation", "cross_sectional_r2")
_CONFIGURATION = ("architecture", "batch_size", "rate", "l2", "l1")

#: Number of the source's table -> its columns, its rows' models, its cells as printed.
PUBLISHED: Mapping[str, tuple[tuple[str, ...], tuple[tuple[str, str], ...], tuple[tuple[float | str, ...], ...]]] = {
    "3": (sdf_statistics.RATIOS, _PORTFOLIO_MODELS, (
        (0.25, 14.09, 0.03, 0.06, 0.02, 1.15, 0.44), (0.24, 12.28, 0.03, 0.07, 0.02, 1.14, 0.44),
        (0.22, 5.10, 0.03, 0.17, 0.05, 2.70, 0.99), (0.22, 12.04, 0.03, 0.09, 0.03, 1.23, 0.56),
    )),
    "4": (_ALPHA_COLUMNS, _PORTFOLIO_MODELS, (
        (0.001, 2.22, 0.001, 2.07, 0.001, 1.85), (0.001, 2.10, 0.001, 1.90, 0.001, 1.70),
        (0.003, 1.92, 0.003, 1.77, 0.002, 1.57), (0.002, 1.90, 0.001, 1.80, 0.001, 1.67),
    )),
    "5": (_PRICING_COLUMNS, _PORTFOLIO_MODELS, ((0.64, 0.88), (0.70, 0.92), (0.40, 0.71), (0.65, 0.88))),
    "6": (sdf_statistics.RATIOS, _BOND_MODELS, (
        (0.17, 6.30, 0.02, 0.20, 0.04, 3.15, 1.29), (0.27, 3.93, 0.03, 0.27, 0.12, 4.62, 2.42),
        (0.12, 0.46, 0.02, 0.56, 0.08, 4.66, 3.51), (0.29, 2.54, 0.05, 0.29, 0.16, 4.29, 2.58),
        (0.25, 2.83, 0.03, 0.28, 0.10, 2.70, 2.19), (0.26, 2.02, 0.03, 0.39, 0.14, 3.97, 3.20),
    )),
    "7": ((*_ALPHA_COLUMNS, "portfolios", "portfolios_t"), _BOND_MODELS, (
        (0.003, 1.87, 0.003, 1.92, 0.003, 1.82, 0.001, 0.38), (0.007, 2.70, 0.006, 2.38, 0.006, 2.29, 0.001, 1.00),
        (0.001, 0.18, 0.002, 0.53, 0.002, 0.48, -0.001, 0.71), (0.010, 3.04, 0.008, 2.78, 0.009, 2.50, 0.003, 3.28),
        (0.005, 2.41, 0.005, 2.10, 0.005, 1.93, 0.000, 0.70), (0.008, 2.47, 0.007, 2.14, 0.007, 1.96, 0.001, 0.70),
    )),
    "8": (_PRICING_COLUMNS, _BOND_MODELS, (
        (0.23, 0.45), (0.19, 0.39), (0.20, 0.27), (0.12, 0.18), (0.22, 0.36), (0.16, 0.30),
    )),
    "A.1": (_CONFIGURATION, _PORTFOLIO_MODELS, (
        ("shallow", 256, 0.005, 0.001, 0.0), ("deeper", 256, 0.005, 0.0, 0.0), ("deep", 256, 0.001, 0.001, 0.0),
        ("deep", 512, 0.001, 0.0, 0.001),
    )),
    "A.2": (_CONFIGURATION, _PORTFOLIO_MODELS, (
        ("deep", 256, 0.0001, 0.1, 0.1), ("deeper", 256, 0.0001, 0.1, 0.1), ("elastic_net", 256, 0.0001, 0.1, 0.1),
        ("deeper", 256, 0.0001, 0.1, 0.1),
    )),
    "A.3": (_CONFIGURATION, _BOND_MODELS, (
        ("shallow", 1024, 0.0001, 0.0, 0.001), ("deeper", 512, 0.0001, 0.0, 0.001),
        ("elastic_net", 512, 0.005, 0.001, 0.0), ("elastic_net", 2048, 0.005, 0.001, 0.001),
        ("shallow", 1024, 0.0001, 0.0, 0.001), ("deeper", 512, 0.0001, 0.0, 0.001),
    )),
    "A.4": (_CONFIGURATION, _BOND_MODELS, (
        ("shallow", 256, 0.0001, 0.0, 0.1), ("elastic_net", 512, 0.0001, 0.1, 0.001),
        ("deep", 512, 0.005, 0.001, 0.0), ("deep", 1024, 0.0001, 0.1, 0.1),
        ("shallow", 256, 0.0001, 0.0, 0.1), ("elastic_net", 512, 0.0001, 0.1, 0.001),
    )),
    "A.5": (_CONFIGURATION, _GAN_MODELS[::2], (
        ("separate", 2048, 0.001, 0.01, 0.01), ("separate", 1024, 0.005, 0.0, 0.01),
    )),
    "A.6": (sdf_statistics.RATIOS, _GAN_MODELS, (
        (0.30, 47.23, 0.06, 0.04, 0.03, 0.59, 0.55), (0.24, 12.28, 0.03, 0.07, 0.02, 1.14, 0.44),
        (0.14, 1.85, 0.01, 0.52, 0.07, 1.91, 0.95), (0.08, 2.82, 0.01, 0.11, 0.01, 0.92, 0.25),
    )),
    "A.7": (_ALPHA_COLUMNS, _GAN_MODELS, (
        (0.001, 1.96, 0.001, 1.74, 0.001, 1.59), (0.001, 2.10, 0.001, 1.90, 0.001, 1.70),
        (-0.001, -2.08, -0.001, -0.67, -0.001, -1.20), (0.001, 0.43, 0.001, 0.73, 0.001, 0.46),
    )),
}  # fmt: skip


def published(market: Market, what: str) -> pl.DataFrame | None:
    """Return what the source prints of a table of the page, by objective and environment; None where it has none."""
    number = market.numbers.get(what, "")
    if number not in PUBLISHED:
        return None
    columns, models, cells = PUBLISHED[number]
    rows = [(*model, *row) for model, row in zip(models, cells, strict=True)]
    return pl.DataFrame(rows, schema=(*sdf_statistics.MODEL, *columns), orient="row")


class SdfNumbers(Numbers):
    """Numbers of the stochastic discount factors of every market."""

    def __init__(self, data: ReportData) -> None:
        super().__init__(data)
        self._held: dict[tuple[str, str], pl.DataFrame] = {}

    def _once(self, what: str, market: Market, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        if (what, market.name) not in self._held:
            self._held[what, market.name] = make()
        return self._held[what, market.name]

    def earned(self, market: Market) -> pl.DataFrame:
        """Return what the portfolios earned, all months."""
        return self._once("earned", market, lambda: self.data.frame(market.earned))

    def months(self, market: Market) -> tuple[date, date, int]:
        """Return the first and the last month out of sample, and how many there are."""
        months = self.earned(market)["month"].unique().sort()
        return months[0], months[-1], len(months)

    def performance(self, market: Market) -> pl.DataFrame:
        """Return tables 3 and 6; see :func:`pipeline.report.sdf_statistics.performance_table`."""
        return self._once("performance", market, lambda: sdf_statistics.performance_table(self.earned(market)))

    def unpaid(self, market: Market) -> float:
        """Return the share of the positions that had no return in their month."""
        earned = self.earned(market)
        return float(earned["n_without_return"].sum()) / float(earned["n"].sum())

    def alphas(self, market: Market) -> pl.DataFrame:
        """Return tables 4 and 7; see :func:`pipeline.report.sdf_statistics.alpha_table`."""
        return self._once("alphas", market, lambda: self._alphas(market, self.earned(market)))

    def _alphas(self, market: Market, earned: pl.DataFrame) -> pl.DataFrame:
        factors, sets = self.data.frame(FACTORS), dict(FACTOR_SETS)
        if self.data.has(INDEX):
            index = self.data.panel(INDEX).select("month", "sprtrn").collect()
            factors = factors.join(index, on="month", how="left").with_columns(sp500=pl.col("sprtrn") - pl.col("rf"))
        else:
            sets = {MARKET: ("mkt_rf",), **{name: columns for name, columns in sets.items() if name != "sp500"}}
        if market.spanned and self.data.has(PORTFOLIOS):
            long = self.data.panel(PORTFOLIOS).select("month", "portfolio", "ret_excess").collect()
            wide = long.pivot("portfolio", index="month", values="ret_excess", sort_columns=True)
            factors = factors.join(wide, on="month", how="left")
            sets[SPANNING] = tuple(name for name in wide.columns if name != "month")
        return sdf_statistics.alpha_table(earned, factors, sets)

    def positions(self, market: Market) -> pl.DataFrame:
        """Return what was held beside what it earned; see :func:`pipeline.report.sdf_statistics.held_assets`."""
        weights, returns = self.data.panel(market.weights), self.data.panel(market.returns)
        return self._once("held", market, lambda: sdf_statistics.held_assets(weights, returns, market.key))

    def pricing(self, market: Market) -> pl.DataFrame:
        """Return tables 5 and 8; see :func:`pipeline.report.sdf_statistics.pricing_table`."""
        return self._once("pricing", market, lambda: sdf_statistics.pricing_table(self.positions(market)))

    def cumulative(self, market: Market) -> pl.DataFrame:
        """Return figures 2 and 3; see :func:`pipeline.report.sdf_statistics.cumulative_returns`."""
        return sdf_statistics.cumulative_returns(self.earned(market))

    def industries(self, market: Market) -> pl.DataFrame:
        """Return figures 4 and 5; see :func:`pipeline.report.sdf_statistics.industry_table`."""
        found = self.data.panel(market.industries).select("month", market.key, *INDUSTRIES)
        return self._once(
            "industries",
            market,
            lambda: sdf_statistics.industry_table(self.positions(market), found, market.key, INDUSTRIES),
        )

    def searches(self, market: Market, network: str) -> pl.DataFrame:
        """Return every configuration of every search for the weights or the betas."""
        rows = self._once("searches", market, lambda: self.data.table(market.search))
        return sdf_statistics.in_order(rows.filter(network=network), "month", "configuration")

    def newest_search(self, market: Market, network: str) -> pl.DataFrame:
        """Return every configuration of the newest search."""
        return self.searches(market, network).filter(pl.col("month") == pl.col("month").max())

    def has_gan(self, market: Market) -> bool:
        """Whether a GAN has earned anything."""
        return GAN in self.earned(market)["objective"]

    def beside_gan(self, market: Market) -> pl.DataFrame:
        """Return what every objective earned where there is a GAN, in the months that all of them share."""

        def shared() -> pl.DataFrame:
            environments = self.earned(market).filter(objective=GAN)["environment"].unique().to_list()
            return sdf_statistics.common_months(self.earned(market).filter(pl.col("environment").is_in(environments)))

        return self._once("beside_gan", market, shared)

    def gan_alphas(self, market: Market) -> pl.DataFrame:
        """Return table A.7: the GAN's alphas and those of the Sharpe ratio in the same months."""
        return self._once("gan_alphas", market, lambda: self._alphas(market, self.gan_and_sharpe(market)))

    def gan_and_sharpe(self, market: Market) -> pl.DataFrame:
        """Return the rows of :meth:`beside_gan` that tables A.6 and A.7 are about."""
        return self.beside_gan(market).filter(pl.col("objective").is_in([GAN, "sharpe"]))

    @cached_property
    def linear(self) -> LinearNumbers:
        """Numbers of the linear benchmarks, the trees and the states of the market."""
        return LinearNumbers(self.data)

    def preferred(self, market: Market) -> tuple[str, str]:
        """Return the objective and environment whose winner validated best in the first search, known before it earned.

        Of several with the same score the first in the order of the tables.
        """
        winners = self.searches(market, WEIGHTS).filter("winner").filter(pl.col("month") == pl.col("month").min())
        best = winners.sort("score", descending=True, nulls_last=True, maintain_order=True)
        objective, environment = best.select(sdf_statistics.MODEL).row(0)
        return objective, environment
