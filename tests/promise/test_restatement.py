"""A restated row or an appended month recomputes exactly the partitions that depend on it.

What has to be built is counted by hand from the windows of the design; the models estimate from the fortieth month of
the training panel on, which begins in December 2019.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import polars as pl
import pytest
from promise import END, INDEX, build, contents, later, with_late_returns

from assets.all import MONTHLY_ASSETS
from pipeline.panel.calendar import month_range, shift

# Late enough that every characteristic is there, early enough that a window of 66 months ends before the market does.
MONTH = date(2020, 12, 1)
FIRST_SNAPSHOT = date(2019, 11, 1)
FIRST_ESTIMATE = date(2023, 3, 1)
MODELS = ("bond_ipca", "bond_ipca_intercept")


def _months(first: date, last: date) -> set[date]:
    return set(month_range(first, min(last, END)))


def _after(months: Iterable[date]) -> set[date]:
    return {shift(month, 1) for month in months} - {shift(END, 1)}


def _in(column: str, month: date) -> pl.Expr:
    return pl.col(column).dt.truncate("1mo") == month


def _restated(tables, table: str, row: pl.Expr, column: str, value: pl.Expr):
    frame = tables[table]
    assert frame.filter(row).height == 1
    return {**tables, table: frame.with_columns(pl.when(row).then(value).otherwise(column).alias(column))}


@dataclass(frozen=True)
class Restatement:
    """Months that were built again after a change, and those whose content came out different, by asset."""

    built: dict[str, set[date]]
    changed: dict[str, set[date]]


def _downstream(found: Restatement, characteristics: set[date]) -> dict[str, set[date]]:
    """Months built downstream of these changed months of the characteristics."""
    panel = _after(characteristics)
    # From the first changed month on, every month goes on from another state; until the first estimate it is the same.
    forecasts = characteristics | _months(max(min(panel), FIRST_ESTIMATE), END)
    return {
        "bond_training_panel": panel,
        # The panel holds ranks. Whether a small change makes two bonds swap theirs can't be told by hand.
        "bond_managed_portfolios": found.changed["bond_training_panel"],
        **dict.fromkeys(MODELS, _months(min(panel), END)),
        **dict.fromkeys([f"{model}_forecasts" for model in MODELS], forecasts),
    }


@pytest.fixture
def restate(factory, baseline, request):
    """Change the extracts of a home in which everything is built, and build again."""

    def run(after, names: Iterable[str] | None = None) -> Restatement:
        name = re.sub(r"\W", "-", request.node.name)
        home = factory.copy(baseline, name)
        before = contents(home)
        factory.home(name, after)
        built = {asset: set(months) for asset, months in build(home, END, names=names).items() if months}
        now = contents(home)
        different = [key for key, content in now.items() if before[key] != content]
        return Restatement(built, {asset: {m for a, m in different if a == asset} for asset, _ in different})

    return run


def test_nothing_is_built_without_a_change(restate, market):
    assert restate(market).built == {}


def test_a_restated_market_return(restate, market):
    table = "french/F-F_Research_Data_Factors"
    found = restate(_restated(market, table, _in("date", MONTH), "Mkt-RF", pl.col("Mkt-RF") + 20.0))
    # The slope on the VIX looks at the market of the 60 months up to its own; the industry adjustment looks 66 months
    # back: 60 before a return that lies up to 6 months before.
    characteristics = _months(MONTH, shift(MONTH, 66))
    assert max(characteristics) < END
    # Returns read the bill rate of the same partition and come out as they were.
    assert found.built == {
        "french_factors": {MONTH},
        "bond_returns": {MONTH},
        "bond_characteristics": characteristics,
        **_downstream(found, characteristics),
    }
    assert "bond_returns" not in found.changed
    assert found.changed["bond_characteristics"] == characteristics
    assert found.changed["bond_training_panel"] >= _months(shift(MONTH, 1), shift(MONTH, 60))


def test_a_restated_vix_close(restate, market):
    last_day = market["prices/VIX"].filter(_in("Date", MONTH))["Date"].max()
    found = restate(_restated(market, "prices/VIX", pl.col("Date") == last_day, "Close", pl.col("Close") + 10.0))
    # The innovation of m is the residual of a regression on the 60 months before, whose oldest needs the one before it.
    innovations = _months(MONTH, shift(MONTH, 61))
    assert max(innovations) < END
    assert found.changed["vix_innovation"] == innovations
    characteristics = _months(MONTH, END)
    assert found.changed["bond_characteristics"] == characteristics
    assert found.changed["bond_training_panel"] == _after(characteristics)
    assert found.built == {
        "vix_innovation": innovations,
        "bond_characteristics": characteristics,
        **_downstream(found, characteristics),
    }


def test_a_restated_spread(restate, market):
    priced = shift(MONTH, 1)
    bond = market[INDEX].filter(pl.col("Pricing_Date") == priced)["ISIN"][0]
    row = (pl.col("Pricing_Date") == priced) & (pl.col("ISIN") == bond)
    found = restate(_restated(market, INDEX, row, "oas_BOM", pl.col("oas_BOM") * 3.0))
    # The spread is in the month's own row and in momentum 2 and 6 months later.
    changed = {shift(MONTH, lag) for lag in (0, 2, 6)}
    assert found.changed["bond_characteristics"] == changed
    assert found.changed["bond_training_panel"] == {shift(MONTH, lag) for lag in (1, 3, 7)}
    # The snapshot of the month is read by the next month's return and by characteristics up to 60 months later.
    assert found.built == {
        "bond_returns": {priced},
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
    found = restate(_restated(market, "fred/DGS10", row, "DGS10", pl.col("DGS10") + 1.0))
    # The change over the next month starts from the yield, too. The market factor regresses on the 60 months before its
    # own, the last time in 2021-01; the slope on it looks at the 60 months up to its own, the last time in 2025-12, and
    # exists once a bond has eight returns.
    curve, factor = {month, shift(month, 1)}, _months(month, date(2021, 1, 1))
    changed = _months(date(2020, 7, 1), date(2025, 12, 1))
    assert found.changed["treasury_curve"] == curve
    assert found.changed["bond_market_factor"] == factor
    assert found.changed["bond_characteristics"] == changed
    assert found.changed["bond_training_panel"] >= _after(changed) - {date(2026, 1, 1)}
    assert found.built == {
        "treasury_curve": curve,
        "bond_market_factor": factor,
        "bond_characteristics": _months(FIRST_SNAPSHOT, date(2025, 12, 1)),
        **_downstream(found, changed),
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
