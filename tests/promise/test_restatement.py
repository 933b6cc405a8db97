"""A restated row or an appended month recomputes exactly the partitions that depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl
import pytest
from promise import END, INDEX, build, contents, later, with_late_returns

from assets.all import MONTHLY_ASSETS
from pipeline.panel.calendar import month_range, shift

MONTH = date(2021, 6, 1)
MODELS = ("bond_ipca", "bond_ipca_intercept")


def _months(first: date, last: date) -> set[date]:
    return set(month_range(first, min(last, END)))


def _restated(tables, table: str, row: pl.Expr, column: str, value: pl.Expr):
    frame = tables[table]
    assert frame.filter(row).height == 1
    return {**tables, table: frame.with_columns(pl.when(row).then(value).otherwise(column).alias(column))}


@dataclass(frozen=True)
class Restatement:
    """Months that were built again after a change, and those whose content came out different, by asset."""

    built: dict[str, set[date]]
    changed: dict[str, set[date]]


@pytest.fixture
def restate(market, factory, request):
    """Build every asset from the market, change the extracts, build again."""

    def run(after) -> Restatement:
        home = factory.home(request.node.name, market)
        build(home, END)
        before = contents(home)
        factory.home(request.node.name, after)
        built = {asset: set(months) for asset, months in build(home, END).items() if months}
        now = contents(home)
        different = [key for key, content in now.items() if before[key] != content]
        return Restatement(built, {asset: {m for a, m in different if a == asset} for asset, _ in different})

    return run


def _follows(found: Restatement) -> dict[str, set[date]]:
    """What has to be built downstream of characteristics and returns, worked out from what came out different."""
    characteristics = found.changed.get("bond_characteristics", set())
    panel = {shift(m, 1) for m in characteristics} | found.changed.get("bond_returns", set())
    portfolios = found.changed.get("bond_training_panel", set())
    estimated = found.changed.get("bond_managed_portfolios", set())
    expected = {"bond_training_panel": panel - {shift(END, 1)}, "bond_managed_portfolios": portfolios}
    for model in MODELS:
        # From the first changed month on, every month goes on from another state.
        expected[model] = _months(min(estimated), END) if estimated else set()
        expected[f"{model}_forecasts"] = found.changed.get(model, set()) | {
            m for m in characteristics if m > min(characteristics, default=m) or m >= date(2019, 12, 1)
        }
    return {asset: months for asset, months in expected.items() if months}


def test_nothing_is_built_without_a_change(restate, market):
    assert restate(market).built == {}


def test_a_restated_market_return(restate, market):
    table = "french/F-F_Research_Data_Factors"
    row = pl.col("date").dt.truncate("1mo") == MONTH
    found = restate(_restated(market, table, row, "Mkt-RF", pl.col("Mkt-RF") + 1.0))
    # Returns read the bill rate of the same partition and come out as they were. The industry adjustment looks 66
    # months back: 60 before a return that lies up to 6 months before.
    assert found.built == {
        "french_factors": {MONTH},
        "bond_returns": {MONTH},
        "bond_characteristics": _months(MONTH, shift(MONTH, 66)),
        **_follows(found),
    }
    assert "bond_returns" not in found.changed
    assert MONTH in found.changed["bond_characteristics"]


def test_a_restated_vix_close(restate, market):
    last_day = market["prices/VIX"].filter(pl.col("Date").dt.truncate("1mo") == MONTH)["Date"].max()
    found = restate(_restated(market, "prices/VIX", pl.col("Date") == last_day, "Close", pl.col("Close") + 3.0))
    # The innovation of m is the residual of a regression on the 60 months before, whose oldest needs the one before it.
    innovations = _months(MONTH, shift(MONTH, 61))
    assert found.changed["vix_innovation"] == innovations
    assert found.built == {
        "vix_innovation": innovations,
        "bond_characteristics": _months(MONTH, shift(MONTH, 61 + 60)),
        **_follows(found),
    }


def test_a_restated_spread(restate, market):
    priced = shift(MONTH, 1)
    bond = market[INDEX].filter(pl.col("Pricing_Date") == priced)["ISIN"][0]
    row = (pl.col("Pricing_Date") == priced) & (pl.col("ISIN") == bond)
    found = restate(_restated(market, INDEX, row, "oas_BOM", pl.col("oas_BOM") + 25.0))
    # The snapshot of the month is read by the next month's return and by characteristics up to 60 months later; the
    # spread itself is in the month's own row and in momentum from 2 to 6 months later.
    assert found.built == {
        "bond_returns": {priced},
        "bond_universe": _months(MONTH, MONTH),
        "bond_characteristics": _months(MONTH, shift(MONTH, 60)),
        **_follows(found),
    }
    assert found.changed["bond_characteristics"] <= {shift(MONTH, lag) for lag in (0, 2, 6)}
    assert MONTH in found.changed["bond_characteristics"]


def test_an_appended_month(factory, market):
    end = shift(END, -1)
    before = {
        table: with_late_returns(table, frame.filter(~later(table, frame, end)), end, lambda _: pl.lit(None))
        for table, frame in market.items()
    }
    home = factory.home("appended", before)
    build(home, end)
    old = contents(home)
    factory.home("appended", market)
    built = build(home, END)
    assert built == {asset.name: [END] for asset in MONTHLY_ASSETS}
    assert {key: content for key, content in contents(home).items() if key[1] < END} == old
