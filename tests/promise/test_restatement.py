"""A restated row or a changed setting recomputes exactly the partitions that depend on it.

What has to be built is counted by hand from the windows of the design; the bond models estimate from the fortieth month
of the training panel on, which begins in December 2019, the stock models from March 2026 on. Where a test names assets
or a last month, it builds those, what is upstream of them and the months up to that one; the others tell of everything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from promise import END, FROM_INDEX, INDEX, INDEX_ASSETS, SETTINGS, build, contents

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.panel.calendar import month_range, shift
from resources.home import Home

# Late enough that every characteristic is there, early enough that a window of 66 months ends before the market does.
MONTH = date(2020, 12, 1)
FIRST_SNAPSHOT = date(2019, 11, 1)
FIRST_SORT = date(2020, 1, 1)
FIRST_ESTIMATE = date(2023, 3, 1)
FIRST_STOCK_ESTIMATE = date(2026, 3, 1)
MODELS = ("bond_ipca", "bond_ipca_intercept")
STOCK_SETS = ("dg41", "kps36", "gkx94")
# A firm whose fiscal years end in December, and its stock: in the universe, with a return, in every month from 2016 on.
FIRM, STOCK = "001010", 10010
TRACE = "trace.trace_enhanced"


def _months(first: date, last: date) -> set[date]:
    return set(month_range(first, min(last, END)))


def _after(months: Iterable[date]) -> set[date]:
    return {shift(month, 1) for month in months} - {shift(END, 1)}


def _in(column: str, month: date) -> pl.Expr:
    return pl.col(column).dt.truncate("1mo") == month


def _restated(tables, table: str, row: pl.Expr, column: str, value: pl.Expr):
    frame = tables[table]
    assert frame.filter(row).height == 1
    assert not frame.filter(row).select(value.alias(column)).equals(frame.filter(row).select(column))
    return {**tables, table: frame.with_columns(pl.when(row).then(value).otherwise(column).alias(column))}


@dataclass(frozen=True)
class Restatement:
    """Months that were built again after a change, and those whose content came out different, by asset.

    The factor models are not among them: :func:`_estimates` says for all tests alike which must be built.
    """

    home: Home
    built: dict[str, set[date]]
    changed: dict[str, set[date]]


def _sorted_again(
    found: Restatement, characteristics: set[date], read: set[date] | None = None
) -> dict[str, set[date]]:
    """Months of portfolios that are built downstream of these changed months of the characteristics.

    ``read``: months in which the portfolios' own characteristics read what was restated.
    """
    # Sorted on the twelve months that end two before, valued a month before; what is known of a portfolio looks 60
    # months back.
    sorts = {shift(month, lag) for month in characteristics for lag in range(1, 14)}
    own = {shift(month, lag) for month in found.changed.get("bond_portfolios", set()) for lag in range(60)}
    portfolios = {"bond_portfolios": sorts, "bond_portfolio_characteristics": own | (read or set())}
    sorted_again = {
        asset: {month for month in months if FIRST_SORT <= month <= END} for asset, months in portfolios.items()
    }
    return {asset: months for asset, months in sorted_again.items() if months}


def _downstream(found: Restatement, characteristics: set[date], read: set[date] | None = None) -> dict[str, set[date]]:
    """All months built downstream of these changed months of the characteristics; ``read`` as in `_sorted_again`."""
    panel = _after(characteristics)
    # From the first changed month on, every month goes on from another state; until the first estimate it is the same.
    forecasts = characteristics | _months(max(min(panel), FIRST_ESTIMATE), END)
    return {
        **_sorted_again(found, characteristics, read),
        "bond_training_panel": panel,
        # The panel holds ranks. Whether a small change makes two bonds swap theirs can't be told by hand.
        "bond_managed_portfolios": found.changed["bond_training_panel"],
        **dict.fromkeys(MODELS, _months(min(panel), END)),
        **dict.fromkeys([f"{model}_forecasts" for model in MODELS], forecasts),
    }


# What the families read beside the managed portfolios, which say which months have assets.
FAMILIES = {
    "cfm": {"factor_instruments", "panel"},
    "rcfm": {"factor_instruments", "panel"},
    "dcfm": {"factor_instruments"},
    "rdcfm": {"factor_instruments"},
    "direction": {"factor_instruments", "panel"},
    "observed": {"french_factors", "panel"},
    "observed_conditional": {"french_factors"},
    "pca": {"panel"},
    "rp_pca": {"panel"},
    "ipca_sizes": set(),
    "naive": {"panel"},
}
# Market -> managed portfolios, training panel, characteristics, returns, first month of its models.
MARKETS = {
    "bond": (
        "bond_managed_portfolios",
        "bond_training_panel",
        "bond_characteristics",
        "bond_returns",
        date(2026, 2, 1),
    ),
    "stock": (
        "stock_managed_portfolios_kps36",
        "stock_training_panel",
        "firm_characteristics",
        "stock_returns",
        date(2023, 8, 1),
    ),
    # Portfolios have no characteristics, and no managed portfolios but themselves.
    "portfolio": ("test_portfolios", "test_portfolios", "test_portfolios", "test_portfolios", date(2025, 11, 1)),
}
WITHOUT_CHARACTERISTICS = {"cfm", "rcfm", "observed", "pca", "rp_pca", "naive", "factor_forecasts", "forecast_moments"}


# Market -> first month of its networks, its returns, its characteristics, what the medians of fundamentals come from.
NETWORKS = {
    "bond_portfolio": (date(2025, 9, 1), "bond_portfolios", "bond_portfolio_characteristics", "bond_characteristics"),
    "bond": (date(2026, 1, 1), "bond_returns", "bond_characteristics", "bond_snapshot"),
    "stock": (date(2026, 2, 1), "stock_returns", "firm_characteristics"),
}
SHARED = ("fred_md", "goyal_welch", "treasury_curve")
SDF_ASSETS = ("sdf_search", "sdf", "sdf_returns")
# What is estimated on the whole past of its sources -> its first month, and these.
LINEAR = {
    "cochrane_piazzesi": (date(2019, 10, 1), "treasury_curve"),
    "macro_factor_counts": (date(2025, 8, 1), "bond_portfolios", "fred_md"),
    "bond_portfolio_linear_sdf": (date(2025, 8, 1), "bond_portfolios", "fred_md", "treasury_curve"),
    "bond_portfolio_predictive_regressions": (
        date(2025, 6, 1), "bond_portfolios", "fred_md", "treasury_curve", "macro_factors", "cochrane_piazzesi",
    ),
    "bond_portfolio_predictive_forecasts": (
        date(2025, 6, 1), "bond_portfolios", "macro_factors", "cochrane_piazzesi",
    ),
    "bond_portfolio_regimes": (date(2025, 6, 1), "bond_portfolios"),
}  # fmt: skip
COMPARED = ("factor_forecasts", "forecast_moments", "direction_moments")


# Market -> first month of its trees, its returns, what is known of its assets.
TREES = {
    "bond_portfolio": (date(2025, 12, 1), "bond_portfolios", "bond_portfolio_characteristics", "bond_characteristics"),
    "bond": (date(2026, 4, 1), "bond_returns", "bond_characteristics"),
}
TREE_ASSETS = ("trees", "tree_forecasts")
# Market -> first month in which forecasts are compared, its returns, the forecasts.
COMPARISONS = {
    "bond": (date(2026, 2, 1), "bond_returns", ("bond_factor_forecasts", "bond_sdf", "bond_tree_forecasts")),
    "stock": (date(2023, 9, 1), "stock_returns", ("stock_factor_forecasts", "stock_sdf")),
    "portfolio": (date(2025, 12, 1), "test_portfolios", ("portfolio_factor_forecasts",)),
    "bond_portfolio": (
        date(2025, 7, 1),
        "bond_portfolios",
        ("bond_portfolio_predictive_forecasts", "bond_portfolio_sdf", "bond_portfolio_tree_forecasts"),
    ),
}


def _estimates(changed: dict[str, set[date]], last: date) -> dict[str, set[date]]:
    """Months of factor models, networks, their forecasts and evaluations that are built after these changes."""
    expected: dict[str, set[date]] = {}
    for market, (portfolios, panel, characteristics, returns, first) in MARKETS.items():
        for family, beside in FAMILIES.items():
            sources = {portfolios} | {panel if name == "panel" else name for name in beside}
            since = [month for name in sources for month in changed.get(name, ())]
            expected[f"{market}_{family}"] = _months(max(first, min(since)), last) if since else set()
        # A forecast reads the parameters and the characteristics of its month, a comparison what was forecast for it.
        estimates = set().union(*(changed.get(f"{market}_{family}", set()) for family in FAMILIES))
        made = {month for month in estimates | changed.get(characteristics, set()) if first <= month <= last}
        forecast = {shift(month, 1) for month in changed.get(f"{market}_factor_forecasts", set())}
        compared = {month for month in forecast | changed.get(returns, set()) if first < month <= last}
        expected |= {f"{market}_factor_forecasts": made, f"{market}_direction_moments": compared}
    for market, (first, *sources) in NETWORKS.items():
        search, weights, earned = (f"{market}_{asset}" for asset in SDF_ASSETS)
        since = [month for name in (*sources, *SHARED) for month in changed.get(name, ())]
        networks = _months(max(first, min(since)), last) if since else set()
        held = {shift(month, 1) for month in changed.get(weights, set())}
        returns = {month for month in held | changed.get(sources[0], set()) if first < month <= last}
        expected |= {search: networks, weights: networks, earned: returns}
    for asset, (first, *sources) in LINEAR.items():
        since = [month for source in sources for month in changed.get(source, ())]
        expected[asset] = _months(max(first, min(since)), last) if since else set()
    for market, (first, *sources) in TREES.items():
        since = [month for name in (*sources, *SHARED) for month in changed.get(name, ())]
        # A forecast reads what was known in its own month and all searches so far.
        searched = {each for month in changed.get(f"{market}_trees", ()) for each in _months(month, last)}
        known = {month for name in (*sources[1:], *SHARED) for month in changed.get(name, ())}
        expected[f"{market}_trees"] = _months(max(first, min(since)), last) if since else set()
        expected[f"{market}_tree_forecasts"] = {month for month in searched | known if first <= month <= last}
    for market, (first, returns, sources) in COMPARISONS.items():
        held = {shift(month, 1) for name in sources for month in changed.get(name, ())}
        compared = {month for month in held | changed.get(returns, set()) if first <= month <= last}
        expected[f"{market}_forecast_moments"] = compared
    none = {f"portfolio_{asset}" for asset in (*FAMILIES, *COMPARED) if asset not in WITHOUT_CHARACTERISTICS}
    return {asset: months for asset, months in expected.items() if months and asset not in none}


def _name(request) -> str:
    return re.sub(r"\W", "-", request.node.name)


@cache
def _as_built(folder: Path) -> dict[tuple[str, date], str]:
    """Contents of a home that nothing is changed in; a copy has those of its assets."""
    return contents(Home(folder))


def _built_again(whole: Home, home: Home, names: Iterable[str] | None = None, last: date = END) -> Restatement:
    """Build a copy of ``whole`` again."""
    before = _as_built(whole.folder)
    built = {asset: set(months) for asset, months in build(home, last, names=names).items() if months}
    different = [key for key, content in contents(home).items() if before[key] != content]
    changed = {asset: {m for a, m in different if a == asset} for asset, _ in different}
    models = {f"{market}_{asset}" for market in MARKETS for asset in (*FAMILIES, *COMPARED)}
    models |= {f"{market}_{asset}" for market in NETWORKS for asset in SDF_ASSETS} | set(LINEAR)
    models |= {f"{market}_{asset}" for market in TREES for asset in TREE_ASSETS}
    models |= {f"{market}_forecast_moments" for market in COMPARISONS}
    instruments = changed.get("french_factors", set())
    assert built.pop("factor_instruments", set()) == (_months(min(instruments), last) if instruments else set())
    # The bill rate is of the same partition.
    assert built.pop("test_portfolios", set()) == instruments
    workshop = Workshop(MONTHLY_ASSETS, home)
    wanted = set(workshop.buildable() if names is None else workshop.closure(names))
    asked = {asset: months for asset, months in _estimates(changed, last).items() if asset in wanted}
    assert {asset: built.pop(asset) for asset in models & set(built)} == asked
    return Restatement(home, built, {asset: months for asset, months in changed.items() if asset not in models})


def _restating(built: Home, factory, market, name: str, text: str = SETTINGS):
    def run(after, names: Iterable[str] | None = None, last: date = END, beside: Iterable[str] = ()) -> Restatement:
        # Those beside the named ones are there as they were.
        closure = None if names is None else Workshop(MONTHLY_ASSETS, built).closure([*names, *beside])
        factory.copy(built, name, closure)
        written = {table: frame for table, frame in after.items() if frame is not market[table]}
        home = factory.home(name, written)
        factory.settings(name, text)
        return _built_again(built, home, names, last)

    return run


@pytest.fixture
def restate(factory, market, baseline, request):
    """Change the extracts of a home in which everything is built, and build again."""
    return _restating(baseline, factory, market, _name(request))


@pytest.fixture
def restate_index(factory, market, index_baseline, request):
    """The same where the bonds are those of the index extract."""
    return _restating(index_baseline, factory, market, _name(request), SETTINGS + FROM_INDEX)


def test_nothing_is_built_without_a_change(restate, market):
    # Written again, so that every file is newer.
    assert restate({table: frame.clone() for table, frame in market.items()}).built == {}


# The dearest of all; built again where the returns of a stock change.
STOCK_MODELS = {f"stock_{asset}" for asset in (*FAMILIES, *COMPARED)}


def _wait(found: Restatement, assets: set[str]) -> dict[str, date]:
    """First month that is out of date of the assets that were not built again."""
    workshop = Workshop(MONTHLY_ASSETS, found.home)
    firsts = {name: workshop.first_outdated(name, month_range(workshop.origin(name), END)) for name in assets}
    return {name: month for name, month in firsts.items() if month is not None}


def test_a_restated_market_return(restate, market):
    table = "french/F-F_Research_Data_Factors"
    names = {asset.name for asset in MONTHLY_ASSETS} - STOCK_MODELS
    restated = _restated(market, table, _in("date", MONTH), "Mkt-RF", pl.col("Mkt-RF") + 20.0)
    found = restate(restated, names, beside=STOCK_MODELS)
    waiting = {asset: months for asset, months in _estimates(found.changed, END).items() if asset in STOCK_MODELS}
    assert len(waiting) > 5
    assert _wait(found, STOCK_MODELS) == {asset: min(months) for asset, months in waiting.items()}
    # The slope on the VIX looks at the market of the 60 months up to its own; the industry adjustment looks 66 months
    # back: 60 before a return that lies up to 6 months before.
    characteristics = _months(MONTH, shift(MONTH, 66))
    assert max(characteristics) < END
    # Returns read the bill rate of the same partition and come out as they were.
    assert found.built == {
        "french_factors": {MONTH},
        "bond_returns": {MONTH},
        "stock_returns": {MONTH},
        "bond_characteristics": characteristics,
        **_downstream(found, characteristics, _months(MONTH, shift(MONTH, 59))),
    }
    assert found.changed.keys().isdisjoint({"bond_returns", "stock_returns"})
    assert found.changed["bond_characteristics"] == characteristics
    assert found.changed["bond_training_panel"] >= _months(shift(MONTH, 1), shift(MONTH, 60))


def test_a_restated_spread(restate_index, market):
    priced = shift(MONTH, 1)
    bond = market[INDEX].filter(pl.col("Pricing_Date") == priced)["ISIN"][0]
    row = (pl.col("Pricing_Date") == priced) & (pl.col("ISIN") == bond)
    found = restate_index(_restated(market, INDEX, row, "oas_BOM", pl.col("oas_BOM") * 3.0), INDEX_ASSETS)
    # The spread is in the month's own row and in momentum 2 and 6 months later.
    changed = {shift(MONTH, lag) for lag in (0, 2, 6)}
    assert found.changed["bond_characteristics"] == changed
    assert found.changed["bond_training_panel"] == {shift(MONTH, lag) for lag in (1, 3, 7)}
    # The snapshot of the month is read by the next month's return and by characteristics up to 60 months later.
    assert found.built == {
        "bond_returns": {priced},
        "bond_snapshot": {MONTH},
        "bond_universe": {MONTH},
        "bond_characteristics": _months(MONTH, shift(MONTH, 60)),
        **_downstream(found, changed),
    }
    assert "bond_returns" not in found.changed


def test_a_restated_treasury_yield(restate, market):
    # Years before the first bond, so that the windows' far ends lie within the market.
    month = date(2015, 12, 1)
    quoted = market["fred/DGS10"].drop_nulls().filter(_in("observation_date", month))
    row = pl.col("observation_date") == quoted["observation_date"].max()
    restated = _restated(market, "fred/DGS10", row, "DGS10", pl.col("DGS10") + 1.0)
    found = restate(restated, ["common_factors", "bond_portfolio_characteristics"])
    # The change over the next month starts from the yield, too. The market factor regresses on the 60 months before its
    # own, the last time in 2021-01; the slope on it looks at the 60 months up to its own, the last time in 2025-12, and
    # exists once a bond has eight returns.
    curve, factor = {month, shift(month, 1)}, _months(month, date(2021, 1, 1))
    changed = _months(date(2020, 7, 1), date(2025, 12, 1))
    assert found.changed["treasury_curve"] == curve
    assert found.changed["bond_market_factor"] == factor
    assert found.changed["bond_characteristics"] == changed
    assert found.built == {
        "treasury_curve": curve,
        "common_factors": curve,
        "bond_market_factor": factor,
        "bond_characteristics": _months(FIRST_SNAPSHOT, date(2025, 12, 1)),
        **_sorted_again(found, changed, _months(FIRST_SORT, date(2020, 12, 1))),
    }


@pytest.mark.parametrize(
    ("row", "first"),
    [(date(2022, 5, 1), date(2022, 5, 1)), (date(2020, 12, 1), date(2021, 9, 1))],
    ids=["within", "before"],
)
def test_a_restated_row_of_a_vintage(restate, market, row, first):
    # Files of 2021-08, 2024-03 and 2026-10: the one in the middle serves 2021-09 to 2024-03, each month cut at itself.
    readers = ("fred_md", "macro_factors")
    vintage = "fred_md/2024-03"
    restated = _restated(market, vintage, pl.col("sasdate") == row, "INDPRO", pl.col("INDPRO") * 1.02)
    found = restate(restated, readers)
    assert found.built == dict.fromkeys(readers, _months(first, date(2024, 3, 1)))
    # Industrial production is published in the month after; its newest growth rate holds a level for two months.
    published = shift(row, 1)
    assert found.changed["macro_factors"] == _months(max(first, published), date(2024, 3, 1))
    assert found.changed.get("fred_md", set()) == {m for m in (published, shift(published, 1)) if m >= first}


def test_a_restated_corporate_yield(restate, market):
    found = restate(
        _restated(market, "fred/BAA", _in("observation_date", MONTH), "BAA", pl.col("BAA") + 1.0), ["common_factors"]
    )
    # A change of the spread from the month before; other predictors look back a year and a month.
    changed = {MONTH, shift(MONTH, 1)}
    assert found.changed == {"goyal_welch": changed, "common_factors": changed}
    assert found.built == {"goyal_welch": _months(MONTH, shift(MONTH, 13)), "common_factors": changed}


def test_a_restated_monthly_return(restate, market):
    month = date(2018, 6, 1)
    row = _in("date", month) & (pl.col("permno") == STOCK)
    found = restate(
        _restated(market, "crsp.msf", row, "ret", pl.lit("0.25")), ["common_factors", "stock_training_panel"]
    )
    # The longest reversal compounds returns up to 59 months before.
    characteristics = _months(month, shift(month, 59))
    assert found.changed["crsp_monthly"] == found.changed["stock_returns"] == {month}
    assert found.changed["firm_characteristics"] == characteristics
    # A month reads the one before it for identifiers and for the universe.
    assert found.built == {
        "crsp_monthly": {month, shift(month, 1)},
        "stock_returns": {month, shift(month, 1)},
        "firm_characteristics": characteristics,
        "common_factors": characteristics,
        "stock_training_panel": {month} | _after(characteristics),
    }


def test_a_restated_daily_return(restate, market):
    # A Tuesday, whose week ends on Saturday, July 4.
    day = date(2020, 6, 30)
    row = (pl.col("date") == day) & (pl.col("permno") == STOCK)
    found = restate(_restated(market, "crsp.dsf", row, "ret", pl.lit("0.11")), ["firm_characteristics"])
    # Of 36 months of weeks July 2020 is the first in June 2023.
    characteristics = _months(date(2020, 6, 1), date(2023, 6, 1))
    readers = dict.fromkeys(["stock_daily_characteristics", "firm_characteristics"], characteristics)
    here = {"crsp_daily": {date(2020, 6, 1)}, "stock_weekly_returns": {date(2020, 6, 1)}}
    assert found.built == found.changed == here | readers


def test_a_restated_day_of_the_market(restate, market):
    table, day, month = "french/F-F_Research_Data_Factors_daily", date(2020, 6, 30), date(2020, 6, 1)
    names = ["firm_characteristics", "goyal_welch"]
    found = restate(_restated(market, table, pl.col("date") == day, "SMB", pl.col("SMB") + 3.0), names)
    # A year's beta looks at 252 trading days, which may take up to thirteen months.
    days = market[table]["date"]
    read = _months(month, shift(month, 12))
    inside = {each for each in read if ((days >= day) & (days < shift(each, 1))).sum() <= 252}
    assert {shift(month, 10)} < inside < read
    assert found.changed == {
        "french_factors_daily": {month},
        "stock_daily_characteristics": inside,
        "firm_characteristics": inside,
    }
    # The variance of the market comes from CRSP where that is there.
    assert found.built == found.changed | {
        "stock_daily_characteristics": read,
        "goyal_welch": _months(month, shift(month, 13)),
    }


_STATEMENT = (pl.col("indfmt") == "INDL") & (pl.col("datafmt") == "STD")


def test_a_restated_annual_item(restate, market):
    row = _STATEMENT & (pl.col("gvkey") == FIRM) & (pl.col("datadate") == date(2018, 12, 31))
    last = date(2021, 12, 1)
    restated = _restated(market, "comp.funda", row, "emp", pl.col("emp") * 2.0)
    found = restate(restated, ["firm_characteristics"], last)
    # Growth of employees, from six months after the fiscal year's end; for twelve months the year counts as the newest,
    # for twelve more as the one before. Other items are looked at ten years later still.
    here = {date(2019, 4, 1)}
    assert found.changed == {
        "compustat_annual": here,
        "firm_characteristics": _months(date(2019, 6, 1), date(2021, 5, 1)),
    }
    assert found.built == {
        "compustat_annual": here,
        "compustat_history": here,
        "firm_characteristics": _months(date(2019, 4, 1), last),
    }


def test_a_restated_item_of_a_quarter_reported_late(restate, market):
    row = _STATEMENT & (pl.col("gvkey") == "001017") & (pl.col("datadate") == date(2019, 6, 30))
    month, last = date(2020, 4, 1), date(2022, 6, 1)
    assert market["comp.fundq"].filter(row)["rdq"].dt.truncate("1mo").to_list() == [month]
    restated = _restated(market, "comp.fundq", row, "txtq", pl.col("txtq") + 50.0)
    found = restate(restated, ["firm_characteristics"], last)
    # Reported ten months after its end, the quarter is never the newest; its taxes are those of a year before from four
    # months after the end of June 2020 on, and for three months, until the next quarter is the newest.
    assert found.changed == {
        "compustat_quarterly": {month},
        "firm_characteristics": _months(date(2020, 10, 1), date(2020, 12, 1)),
    }
    # Another row of the quarter counts up to 24 months later; report dates up to nine; quarters up to six years.
    assert found.built == {
        "compustat_quarterly": _months(month, shift(month, 24)),
        "stock_daily_characteristics": _months(month, shift(month, 9)),
        "firm_characteristics": _months(month, last),
    }


def test_a_link_that_ended_later(restate, market):
    # It ended on 2020-10-28; the stock goes on, and another link to its company starts in August 2021.
    row = (pl.col("lpermno") == 10020) & (pl.col("linkenddt") == date(2020, 10, 28))
    last = date(2022, 6, 1)
    moved = _restated(market, "crsp.ccmxpf_lnkhist", row, "linkenddt", pl.lit(date(2021, 3, 15)))
    found = restate(moved, ["firm_characteristics"], last)
    linked = _months(date(2020, 10, 1), date(2021, 2, 1))
    # Quarters that ended in September and December were reported in them, and count four to nine months after their
    # end.
    announced = _months(date(2021, 1, 1), date(2021, 9, 1))
    assert found.changed == {
        "firm_links": linked,
        "stock_daily_characteristics": announced,
        "firm_characteristics": linked | announced,
    }
    # Links are read from the beginning, so that every later month is looked at again.
    assert found.built == {
        "firm_links": _months(date(2020, 10, 1), last),
        "stock_daily_characteristics": _months(date(2020, 10, 1), shift(date(2021, 2, 1), 9)),
        "firm_characteristics": linked | announced,
    }


def test_a_restated_vix_close_and_a_restated_delisting_return(restate, market):
    """One of bonds, one of stocks, in one build: no asset comes out otherwise for both."""
    last_day = market["prices/VIX"].filter(_in("Date", MONTH))["Date"].max()
    closed = _restated(market, "prices/VIX", pl.col("Date") == last_day, "Close", pl.col("Close") + 10.0)
    month = date(2026, 1, 1)
    row = (pl.col("permno") == 10069) & _in("dlstdt", month)
    found = restate(_restated(closed, "crsp.msedelist", row, "dlret", pl.lit("-0.75")))
    # The innovation of m is the residual of a regression on the 60 months before, whose oldest needs the one before it.
    innovations = _months(MONTH, shift(MONTH, 61))
    assert max(innovations) < END
    assert found.changed["vix_innovation"] == innovations
    characteristics = _months(MONTH, END)
    assert found.changed["bond_characteristics"] == characteristics
    assert found.changed["bond_training_panel"] == _after(characteristics)
    bonds = {
        "vix_innovation": innovations,
        "common_factors": innovations,
        "bond_characteristics": characteristics,
        **_downstream(found, characteristics),
    }
    # Of stocks nothing but the return of the month changes, and with it the models from this month on: their estimates,
    # and what they forecast, once there are any.
    models = [f"stock_ipca_{name}" for name in STOCK_SETS]
    estimated = _months(FIRST_STOCK_ESTIMATE, END)
    portfolios = [f"stock_managed_portfolios_{name}" for name in STOCK_SETS]
    here = {name: {month} for name in ("crsp_monthly", "stock_returns", "stock_training_panel", *portfolios)}
    forecasts = dict.fromkeys([f"{model}_forecasts" for model in models], estimated)
    stocks = (
        here
        | forecasts
        | dict.fromkeys(models, _months(month, END))
        | {
            "stock_returns": {month, shift(month, 1)},
            "firm_characteristics": _months(month, END),
            **{name: {month} for name in ("firm_names", "bond_issuer_link", "bond_issuer_candidates", "bond_snapshot")},
        }
    )
    assert not bonds.keys() & stocks.keys()
    assert found.built == bonds | stocks
    assert {asset: months for asset, months in found.changed.items() if asset not in bonds} == (
        here | dict.fromkeys(models, estimated) | forecasts
    )


# The stretch in which reports are restated, long after the first trades and long before the last.
TRADED = date(2022, 3, 1)


def _lone_trades(market, first: date, last: date) -> pl.DataFrame:
    """Trades of customers, the only ones of their bond and day, that nothing keeps out."""
    reports = market[TRACE].with_columns(n=pl.len().over("cusip_id", "trd_exctn_dt"))
    plain = (pl.col("n") == 1) & (pl.col("trc_st") == "T") & (pl.col("cntra_mp_id") == "C")
    usual = plain & (pl.col("entrd_vol_qt") >= 50_000.0) & (pl.col("wis_fl") == "N") & (pl.col("buy_cpcty_cd") == "P")
    return reports.filter(usual, pl.col("trd_exctn_dt").is_between(first, last)).drop("n").sort("cusip_id")


def test_a_restated_trade(restate, market):
    trade = _lone_trades(market, TRADED, date(2022, 3, 15)).head(1)
    same = [pl.col(name) == trade[name][0] for name in ("cusip_id", "trd_exctn_dt", "msg_seq_nb", "trc_st")]
    restated = _restated(market, TRACE, pl.all_horizontal(same), "rptd_pr", pl.col("rptd_pr") * 1.01)
    found = restate(restated, ["bond_portfolios"])
    # It is not among the last sessions of the month, so that no month-end price changes; corrections are looked for in
    # the reports of the thirteen months before.
    assert found.changed == {"trace_daily": {TRADED}}
    assert found.built == {
        "trace_daily": _months(TRADED, shift(TRADED, 13)),
        "bond_prices": {TRADED},
        "bond_returns": {TRADED, shift(TRADED, 1)},
    }


def test_a_trade_cancelled_a_month_later(restate, market, baseline):
    month = shift(TRADED, 1)
    returns = baseline.lake.read("bond_returns", month).filter(pl.col("source") == "trace")["isin"]
    held = baseline.lake.read("bond_issues", TRADED).filter(pl.col("isin").is_in(returns.implode()))
    last_days = baseline.lake.read("trace_daily", TRADED).filter(pl.col("date") == pl.col("date").max().over("cusip"))
    # Trades that alone make their bond's price at the end of the month, from which its next return starts.
    trades = (
        _lone_trades(market, date(2022, 3, 25), date(2022, 3, 31))
        .with_columns(cusip=pl.col("cusip_id").str.head(8), date=pl.col("trd_exctn_dt"))
        .join(last_days.filter(pl.col("trades") == 1), on=["cusip", "date"], how="semi")
        .join(held, on="cusip", how="semi")
    )
    assert trades.height
    last = trades["date"][0]
    cancelled = (
        trades.head(1)
        .drop("cusip", "date")
        .with_columns(trc_st=pl.lit("X"), trd_rpt_dt=pl.lit(date(2022, 4, 5)), trd_rpt_tm=pl.lit("10:00:00"))
    )
    found = restate({**market, TRACE: pl.concat([market[TRACE], cancelled])}, ["bond_characteristics"])
    assert found.changed["trace_daily"] == {month}
    # The price at the end of March stands as it was known then; the return of April starts from the corrected one, and
    # with it change the windows that hold it. Nothing dated before the cancellation does.
    assert "bond_prices" not in found.changed
    assert found.changed["bond_returns"] == {month}
    assert min(found.changed["bond_characteristics"]) == month
    assert found.built == {
        "trace_daily": _months(month, shift(month, 13)),
        "bond_prices": {month},
        "bond_returns": {month, shift(month, 1)},
        "bond_characteristics": _months(month, shift(month, 66)),
    }
    day = baseline.lake.read("trace_daily", TRADED).filter(
        pl.col("cusip") == trades["cusip"][0], pl.col("date") == last
    )
    late = found.home.lake.read("trace_daily", month).join(day, on=["cusip", "date"], how="semi")
    assert late["price"].to_list() == day["price"].to_list()
    assert late["price_corrected"].to_list() == late["trades_corrected"].to_list() == [None]


def test_a_restated_rating(restate, market, baseline):
    priced = baseline.lake.read("bond_snapshot", TRADED).join(
        baseline.lake.read("bond_issues", TRADED).select("cusip", "issue_id"), on="cusip"
    )
    ratings = market["fisd.fisd_ratings"].filter(
        pl.col("rating_type") == "SPR", pl.col("issue_id").is_in(priced["issue_id"].implode())
    )
    spells = ratings.sort("issue_id", "rating_date").with_columns(
        following=pl.col("rating_date").shift(-1).over("issue_id")
    )
    chosen = spells.filter(
        pl.col("rating_date") < TRADED, pl.col("following") > shift(TRADED, 1), pl.col("rating").is_in(["BBB", "BBB-"])
    ).head(1)
    row = pl.all_horizontal(pl.col(name) == chosen[name][0] for name in ("issue_id", "rating_type", "rating_date"))
    restated = _restated(market, "fisd.fisd_ratings", row, "rating", pl.lit("B+"))
    found = restate(restated, ["bond_snapshot", "bond_returns"])
    issued, following = chosen["rating_date"][0], chosen["following"][0]
    # What holds at the end of a month: up to the month before that of the next rating.
    held = _months(issued.replace(day=1), shift(following.replace(day=1), -1))
    assert found.changed["bond_issues"] == held
    assert found.changed["bond_snapshot"] <= held
    assert TRADED in found.changed["bond_snapshot"]
    # Ratings are read from the beginning, so that every later month is looked at again.
    assert found.built["bond_issues"] == _months(issued.replace(day=1), END)
    assert "bond_returns" not in found.changed


def _outdated(home: Home) -> set[str]:
    """Assets of which a month is out of date before anything is built again."""
    workshop = Workshop(MONTHLY_ASSETS, home)
    names = workshop.buildable()
    workshop.refresh(names)
    return {name for name in names if workshop.first_outdated(name, month_range(workshop.origin(name), END))}


@pytest.fixture
def with_settings(factory, baseline, request):
    """Give a home in which everything is built further settings."""

    def run(text: str) -> Home:
        factory.copy(baseline, _name(request))
        factory.settings(_name(request), SETTINGS + text)
        return Home(factory.folder / _name(request))

    return run


def test_another_timing_profile(with_settings, baseline):
    home, last = with_settings('[firm_characteristics]\ntiming = "lag6m"\n'), date(2018, 6, 1)
    assert _outdated(home) == {"firm_characteristics"}
    found = _built_again(baseline, home, ["common_factors", "stock_training_panel"], last)
    changed = found.changed["firm_characteristics"]
    assert found.built == {
        "firm_characteristics": _months(date(2014, 11, 1), last),
        "common_factors": changed,
        "stock_training_panel": {month for month in _after(changed) if month <= last},
    }
    # In June both profiles count dividends over the same months; the first accounts, of December 2015, are used from
    # June 2016 on in both.
    assert changed == _months(date(2014, 12, 1), last) - {date(2015, 6, 1), date(2016, 6, 1)}
    before, now = (each.lake.read("firm_characteristics", date(2018, 3, 1)) for each in (baseline, home))
    own = [name for name in before.columns if name.startswith("gkx_")]
    assert before.select(own).equals(now.select(own))
    assert not before.drop(own).equals(now.drop(own))


def test_another_delisting_profile(with_settings, market, baseline):
    home = with_settings('[stock_returns]\ndelisting = "none"\n')
    assert _outdated(home) == {"stock_returns"}
    found = _built_again(baseline, home, ["stock_training_panel"])
    # Months in which a stock was dropped for poor performance and the vendor has no return; letters and whole numbers
    # below -1 are the vendor's codes for why.
    filled = {
        row["dlstdt"].replace(day=1)
        for row in market["crsp.msedelist"].to_dicts()
        if (row["dlstcd"] == 500 or 520 <= row["dlstcd"] <= 584) and not _is_return(row["dlret"])
    }
    assert len(filled) > 5
    assert found.changed == dict.fromkeys(["stock_returns", "stock_training_panel"], filled)
    assert found.built == {"stock_returns": _months(date(2014, 12, 1), END), "stock_training_panel": filled}


def _is_return(text: str | None) -> bool:
    try:
        value = float(text or "nan")
    except ValueError:
        return False
    return not math.isnan(value) and value >= -1.0
