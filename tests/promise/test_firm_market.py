"""The firm panel gives back what the simulator made of its stocks: the market's return and the French factors.

The simulator's French files come from its own sorts of the economy's stocks; here the same portfolios are formed from
the lake alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import pytest
from promise import END, Factory, Tables, build

from pipeline.equity.returns import stock_returns
from pipeline.panel.calendar import shift
from pipeline.simulation.market import simulate
from resources.home import Home

# One worker builds the larger market.
pytestmark = pytest.mark.xdist_group("firm market")

FACTORS = "french/F-F_Research_Data_Factors"
VENDORS = ("crsp", "crsp_index", "ccm", "compustat", "french")
READ = ("crsp.msf", "crsp.msenames", "crsp.msedelist", "crsp.ccmxpf_lnkhist", "comp.funda")
# Published to a hundredth of a percent; half of that, and what adding up numbers costs.
ROUNDING = 0.5e-4 + 1e-9


@dataclass(frozen=True)
class World:
    """Published tables, the lake's ``crsp_monthly``, and what stocks are sorted on at the end of June."""

    tables: Tables
    monthly: pl.DataFrame
    june: pl.DataFrame

    def returns(self) -> pl.DataFrame:
        """Returns, delistings included, and sizes a month ago of all securities: those of no other universe."""
        months = self.monthly["month"].unique().sort().to_list()[1:]
        riskless = self.tables[FACTORS].select(month="date", rf=pl.col("RF") / 100)
        return stock_returns(self.monthly.with_columns(in_universe=True), riskless, months).drop_nulls("me_start")


def _june(monthly: pl.DataFrame, book_to_market: pl.DataFrame) -> pl.DataFrame:
    """Size, book-to-market and exchange of the stocks of the universe whose book equity is positive."""
    stocks = monthly.filter(pl.col("month").dt.month() == 6, "in_universe")
    stocks = stocks.select("month", "permno", size="me", nyse=pl.col("exchange") == "N")
    return stocks.join(book_to_market, on=["month", "permno"]).filter(pl.col("beme") > 0).drop_nulls("size")


@pytest.fixture(scope="module")
def tiny(market: Tables, baseline: Home) -> World:
    """The panel itself, that of the smallest market."""
    lake = baseline.lake
    junes = [month for month in lake.months("firm_characteristics") if month.month == 6]
    panel = lake.scan("firm_characteristics", junes).select("month", "permno", "beme").collect()
    monthly = lake.read_all("crsp_monthly")
    return World(market, monthly, _june(monthly, panel))


@pytest.fixture(scope="module")
def demo(factory: Factory) -> World:
    """Five times as many stocks over twenty-two years: tables before the panel, since daily rows would take minutes."""
    tables = simulate("demo", end=END, vendors=VENDORS).tables
    home = factory.home("demo", {name: tables[name] for name in READ})
    build(home, END, names=["crsp_monthly", "compustat_annual", "firm_links"])
    monthly, links, annual = (home.lake.read_all(name) for name in ("crsp_monthly", "firm_links", "compustat_annual"))
    year = pl.col("datadate").dt.year()
    book = annual.sort("gvkey", "datadate").group_by("gvkey", year=year).agg(pl.col("book_equity").last())
    december = monthly.filter(pl.col("month").dt.month() == 12)
    december = december.select("permno", year=pl.col("month").dt.year(), size="me_permco")
    used = links.select("month", "permno", "gvkey", year=pl.col("month").dt.year() - 1)
    used = used.join(book, on=["gvkey", "year"]).join(december, on=["permno", "year"])
    ratios = used.select("month", "permno", beme=pl.col("book_equity") / pl.col("size"))
    return World(tables, monthly, _june(monthly, ratios))


@pytest.fixture(scope="module", params=["tiny", pytest.param("demo", marks=pytest.mark.slow)])
def world(request: pytest.FixtureRequest) -> World:
    return request.getfixturevalue(request.param)


def test_value_weighted_return_of_all_stocks_is_the_index(world):
    """Sizes of the month before, delisting returns included, in every month."""
    returns = world.returns()
    weighted = returns.group_by("month").agg(
        vwretd=(pl.col("ret") * pl.col("me_start")).sum() / pl.col("me_start").sum(), n=pl.len()
    )
    index = world.tables["crsp.msi"].select(pl.col("date").dt.truncate("1mo").alias("month"), index="vwretd")
    both = index.join(weighted, on="month", how="left")
    assert both.height == world.monthly["month"].n_unique() - 1
    assert both["n"].min() > 50
    assert (both["vwretd"] - both["index"]).abs().max() < 1e-12
    # Without the delistings, or with today's sizes for those of the month before, it is another index.
    held = world.monthly.select("month", "permno", "me", trading="ret").join(returns, on=["month", "permno"])
    for value, weight in (("trading", "me_start"), ("ret", "me")):
        known = held.drop_nulls([value, weight])
        other = known.group_by("month").agg(other=(pl.col(value) * pl.col(weight)).sum() / pl.col(weight).sum())
        assert index.join(other, on="month").select((pl.col("other") - pl.col("index")).abs().max()).item() > 1e-4


def _portfolios(stocks: pl.DataFrame) -> pl.DataFrame:
    """Fama and French's (1993) six: size below and above the NYSE median, book-to-market by NYSE's 30% and 70%."""
    nyse = stocks.filter("nyse")
    median, (low, high) = np.median(nyse["size"]), np.quantile(nyse["beme"], [0.3, 0.7])
    third = (pl.col("beme") > low).cast(pl.Int8) + (pl.col("beme") > high).cast(pl.Int8)
    return stocks.select("permno", big=pl.col("size") > median, third=third)


def _factors(june: pl.DataFrame, returns: pl.DataFrame) -> pl.DataFrame:
    """SMB and HML from portfolios held from July to June, weighted by the size of the month before."""
    rows = []
    for (formed,), stocks in june.group_by("month", maintain_order=True):
        held = returns.filter(pl.col("month") > formed, pl.col("month") <= shift(formed, 12))
        held = held.join(_portfolios(stocks), on="permno")
        means = held.group_by("month", "big", "third").agg(
            ret=(pl.col("ret") * pl.col("me_start")).sum() / pl.col("me_start").sum()
        )
        for (month,), six in means.group_by("month"):
            ret = {(big, third): value for big, third, value in six.select("big", "third", "ret").iter_rows()}
            assert len(ret) == 6
            smb = sum(ret[False, third] - ret[True, third] for third in range(3)) / 3
            hml = sum(ret[big, 2] - ret[big, 0] for big in (False, True)) / 2
            rows.append({"month": month, "smb": smb, "hml": hml})
    return pl.DataFrame(rows).sort("month")


@pytest.fixture(scope="module")
def factors(world: World) -> pl.DataFrame:
    """Ours beside the published ones, decimals, from the first June for which there is a fiscal year."""
    ours = _factors(world.june, world.returns())
    published = world.tables[FACTORS].select(
        month="date", **{f"french_{name.lower()}": pl.col(name) / 100 for name in ("SMB", "HML")}
    )
    both = ours.join(published, on="month")
    assert both["month"].to_list() == [month for month in published["month"] if month >= ours["month"][0]]
    assert both["month"][0].month == 7
    # The first sort that has accounts is that of the second June.
    assert both["month"][0] <= shift(world.monthly["month"].min(), 26)
    return both


@pytest.mark.parametrize("name", ["smb", "hml"])
def test_sorting_the_panel_gives_the_french_factors_back(factors, name):
    ours, published = factors[name].to_numpy(), factors[f"french_{name}"].to_numpy()
    correlation = np.corrcoef(ours, published)[0, 1]
    same = np.abs(ours - published) < ROUNDING
    print(f"{name}: correlation {correlation:.7f} over {len(ours)} months, {same.sum()} of them equal as published")
    assert correlation > 0.9995
    assert same.all()


def test_sorting_needs_what_the_rules_say(tiny):
    """Breakpoints of all exchanges, or the market equity of another June, give other factors."""
    returns = tiny.returns()
    published = tiny.tables[FACTORS].select(month="date", french=pl.col("HML") / 100)

    def correlation(june: pl.DataFrame) -> float:
        both = _factors(june, returns).join(published, on="month")
        return float(np.corrcoef(both["hml"], both["french"])[0, 1])

    assert correlation(tiny.june) > 0.9995
    assert correlation(tiny.june.with_columns(nyse=pl.lit(True))) < 0.9995
    late = tiny.june.with_columns(pl.col("month").dt.offset_by("1y")).filter(pl.col("month") < date(2026, 6, 1))
    assert correlation(late) < 0.99
