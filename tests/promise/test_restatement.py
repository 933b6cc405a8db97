"""A restated row or an appended month recomputes exactly the partitions that depend on it."""

from __future__ import annotations

from datetime import date

import polars as pl
from promise import END, INDEX, build, contents, later, with_late_returns

from assets.all import MONTHLY_ASSETS
from pipeline.panel.calendar import month_range, shift

MONTH = date(2021, 6, 1)
CHAIN = ("bond_training_panel", "bond_managed_portfolios")
MODELS = ("bond_ipca", "bond_ipca_forecasts", "bond_ipca_intercept", "bond_ipca_intercept_forecasts")


def _months(first: date, last: date) -> list[date]:
    return month_range(first, min(last, END))


def _downstream_of_characteristics(first: date, last: date) -> dict[str, list[date]]:
    """Assets after characteristics that changed in ``first`` .. ``last``: a month later, and models for ever."""
    pairs = _months(shift(first, 1), shift(last, 1))
    estimated = _months(shift(first, 1), END)
    forecasts = _months(first, END)
    return {
        **dict.fromkeys(CHAIN, pairs),
        "bond_ipca": estimated,
        "bond_ipca_intercept": estimated,
        "bond_ipca_forecasts": forecasts,
        "bond_ipca_intercept_forecasts": forecasts,
    }


def _restated(tables, table: str, row: pl.Expr, column: str, value: pl.Expr):
    frame = tables[table]
    assert frame.filter(row).height == 1
    return {**tables, table: frame.with_columns(pl.when(row).then(value).otherwise(column).alias(column))}


def _rebuilt(factory, name: str, before, after) -> dict[str, list[date]]:
    home = factory.home(name, before)
    build(home, END)
    factory.home(name, after)
    return {asset: months for asset, months in build(home, END).items() if months}


def test_nothing_changes_without_a_change(factory, market):
    assert _rebuilt(factory, "same", market, market) == {}


def test_a_restated_market_return(factory, market):
    table = "french/F-F_Research_Data_Factors"
    after = _restated(market, table, pl.col("date").dt.truncate("1mo") == MONTH, "Mkt-RF", pl.col("Mkt-RF") + 1.0)
    # Returns read the month's bill rate from the same partition and come out as they were: nothing below them moves.
    # The industry adjustment looks 66 months back: 60 before a return that lies up to 6 months before.
    characteristics = _months(MONTH, shift(MONTH, 66))
    assert _rebuilt(factory, "restated-market", market, after) == {
        "french_factors": [MONTH],
        "bond_returns": [MONTH],
        "bond_characteristics": characteristics,
        **_downstream_of_characteristics(characteristics[0], characteristics[-1]),
    }


def test_a_restated_vix_close(factory, market):
    last_day = market["prices/VIX"].filter(pl.col("Date").dt.truncate("1mo") == MONTH)["Date"].max()
    after = _restated(market, "prices/VIX", pl.col("Date") == last_day, "Adj Close", pl.col("Adj Close") + 3.0)
    rebuilt = _rebuilt(factory, "restated-vix", market, after)
    # The innovation of m is a residual of a regression on 60 months before m, whose oldest needs the month before it.
    assert rebuilt["vix_innovation"] == _months(MONTH, shift(MONTH, 61))
    assert set(rebuilt) == {"vix_innovation", "bond_characteristics", *CHAIN, *MODELS}
    assert rebuilt["bond_characteristics"][0] == MONTH


def test_a_restated_spread(factory, market):
    bond = market[INDEX].filter(pl.col("Pricing_Date") == shift(MONTH, 1))["ISIN"][0]
    row = (pl.col("Pricing_Date") == shift(MONTH, 1)) & (pl.col("ISIN") == bond)
    rebuilt = _rebuilt(
        factory, "restated-spread", market, _restated(market, INDEX, row, "oas_BOM", pl.col("oas_BOM") + 25.0)
    )
    # The snapshot of the month is read by the return of the next month and by characteristics up to 60 months later;
    # the spread itself enters momentum, and thereby ranks, six months long.
    assert rebuilt["bond_returns"] == [shift(MONTH, 1)]
    assert rebuilt["bond_universe"] == [MONTH]
    assert rebuilt["bond_characteristics"] == _months(MONTH, shift(MONTH, 60))
    assert set(rebuilt["bond_training_panel"]) <= {shift(MONTH, k) for k in range(1, 8)}
    assert "french_factors" not in rebuilt
    assert "fred_md" not in rebuilt


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
