"""The bond extract: timing, price path, entries and exits, and every planted nuisance."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from stdnum import cusip, isin

from pipeline.simulation.market import Market
from pipeline.simulation.nuisances import EQUITY_COLUMNS, MISSING, OUTLIERS, SHOWN_AS_SENTINEL, ZEROS
from pipeline.simulation.sizes import market_size

INDEX = "bonds.index_constituents"
NUMBERS = [name for name in MISSING if name != "rating"]


def test_last_month_has_values_and_no_return(tiny: Market) -> None:
    index = tiny.tables[INDEX]
    last = index.filter(pl.col("Pricing_Date") == index["Pricing_Date"].max())
    assert last["Pricing_Date"][0] == date(2025, 1, 1)
    assert last["Return"].null_count() == last.height
    assert last["Price_BOM"].null_count() < last.height / 4
    before = index.filter(pl.col("Pricing_Date") == date(2024, 12, 1))
    assert before["Return"].null_count() < before.height / 4
    assert index["Pricing_Date"].n_unique() == tiny.economy.size.months
    assert (index["Pricing_Date"].dt.day() == 1).all()


def test_stock_price_date_is_the_last_session_before_pricing(tiny: Market) -> None:
    rows = tiny.tables[INDEX].drop_nulls("Stock_Price_Date")
    gap = rows["Pricing_Date"] - rows["Stock_Price_Date"]
    assert gap.dt.total_days().is_between(1, 4).all()
    assert rows.filter(pl.col("Pricing_Date") == date(2024, 4, 1))["Stock_Price_Date"][0] == date(2024, 3, 28)


def test_prices_follow_returns_less_coupons(tiny: Market) -> None:
    rows = tiny.tables[INDEX].select("ISIN", "Pricing_Date", "Price_BOM", "Return", "Coupon")
    following = rows.select("ISIN", pl.col("Pricing_Date").dt.offset_by("-1mo"), after="Price_BOM")
    pairs = rows.join(following, on=["ISIN", "Pricing_Date"]).drop_nulls()
    assert pairs.height > 3000
    implied = pairs["Price_BOM"] * (1 + pairs["Return"] / 100) - pairs["Coupon"] / 12
    np.testing.assert_allclose(pairs["after"].to_numpy(), implied.to_numpy(), rtol=1e-12)


def test_keys_are_unique_and_sorted_and_months_complete(demo: Market) -> None:
    index = demo.tables[INDEX]
    assert not index.select("Pricing_Date", "ISIN").is_duplicated().any()
    assert index.equals(index.sort("Pricing_Date", "ISIN"))
    counts = index.group_by("Pricing_Date").len().sort("Pricing_Date")["len"].to_numpy()
    assert (counts[1:] > counts[:-1] / 2).all()
    assert 380 * 0.9 < counts.mean() < 420
    assert index["ISIN"].n_unique() == market_size("demo").bonds


def test_identifiers_have_valid_check_digits(demo: Market) -> None:
    identifiers = demo.tables[INDEX].select("ISIN", "Cusip").unique()
    for code in identifiers["ISIN"]:
        assert isin.is_valid(code), code
    lengths = identifiers["Cusip"].str.len_chars()
    assert set(lengths.unique()) == {8, 9}
    for code in identifiers.filter(lengths == 9)["Cusip"]:
        assert cusip.is_valid(code), code
    domestic = identifiers.filter(pl.col("ISIN").str.starts_with("US"))
    assert (domestic["ISIN"].str.slice(2, 8) == domestic["Cusip"].str.slice(0, 8)).all()
    assert 0 < identifiers["ISIN"].str.starts_with("XS").sum() < identifiers.height / 20


@pytest.mark.parametrize("name", [*NUMBERS, "Rating", "Description", "Maturity", "Sector_Level_3", "Stock_Price_Date"])
def test_every_column_has_missing_values(demo: Market, name: str) -> None:
    missing = demo.tables[INDEX][name].null_count() / demo.tables[INDEX].height
    assert 0 < missing < 0.3


@pytest.mark.parametrize("name", list(SHOWN_AS_SENTINEL))
def test_sentinels(demo: Market, name: str) -> None:
    assert (demo.tables[INDEX][name] == -99.99).sum() > 0


@pytest.mark.parametrize("name", list(ZEROS))
def test_zeros(demo: Market, name: str) -> None:
    share = (demo.tables[INDEX][name] == 0).sum() / demo.tables[INDEX].height
    assert share == pytest.approx(ZEROS[name], rel=0.5)


@pytest.mark.parametrize("name", list(OUTLIERS))
def test_outliers_lie_away_from_the_truth(demo: Market, name: str) -> None:
    bonds = demo.economy.bonds
    published, clean = bonds.columns[name], bonds.clean[name]
    changed = ~np.isnan(published) & (published != 0) & (published != clean)
    assert 0 < changed.mean() < 0.01


def test_risk_numbers_turn_negative(demo: Market) -> None:
    index = demo.tables[INDEX]
    assert ((index["PD_DRISK"] < 0) & (index["PD_DRISK"] > -0.99)).any()
    assert (index["oas_BOM"] < -500).any()


def test_private_issuers_have_no_equity_columns(demo: Market) -> None:
    private = demo.issuers.filter("private")["issuer"]
    bonds = demo.bonds.filter(pl.col("issuer").is_in(private.to_list()))["isin"]
    rows = demo.tables[INDEX].filter(pl.col("ISIN").is_in(bonds.to_list()))
    assert rows.height > 0
    for name in EQUITY_COLUMNS:
        assert rows[name].drop_nulls().is_in([-99.99]).all(), name
    assert rows["Stock_Price_Date"].null_count() == rows.height


def test_bonds_enter_leave_and_return(demo: Market) -> None:
    spans = (
        demo.tables[INDEX]
        .group_by("ISIN")
        .agg(first=pl.col("Pricing_Date").min(), last=pl.col("Pricing_Date").max(), rows=pl.len())
        .with_columns(
            span=12 * (pl.col("last").dt.year() - pl.col("first").dt.year())
            + pl.col("last").dt.month().cast(pl.Int32)
            - pl.col("first").dt.month().cast(pl.Int32)
            + 1
        )
    )
    assert spans["first"].n_unique() > 125
    assert spans["last"].n_unique() > 100
    gaps = spans.filter(pl.col("span") > pl.col("rows"))
    assert 50 < gaps.height < 1000
    assert spans["rows"].min() < 13 < 100 < spans["rows"].max()


def test_defaults_lose_and_leave(demo: Market) -> None:
    index = demo.tables[INDEX]
    rated = index.filter(pl.col("Rating") == "D")
    assert rated["ISIN"].n_unique() > 5
    losses = []
    for code in rated["ISIN"].unique(maintain_order=True):
        rows = index.filter(pl.col("ISIN") == code).sort("Pricing_Date")
        assert rows["Rating"][-1] in ("D", None)
        first = rows.filter(pl.col("Rating") == "D")["Pricing_Date"][0]
        before = rows.filter(pl.col("Pricing_Date") == pl.lit(first).dt.offset_by("-1mo"))
        losses += before["Return"].drop_nulls().to_list()
    # The month before is not that of the default when the first rating D itself is missing.
    assert np.mean(np.array(losses) < -5) > 0.9
    assert -30 < np.median(losses) < -12
    assert (index.sort("Pricing_Date").group_by("ISIN").last()["Return"] < -15).any()


def test_bonds_under_a_year_are_out(demo: Market) -> None:
    rows = demo.tables[INDEX].drop_nulls("Maturity")
    assert (rows["Maturity"] - rows["Pricing_Date"]).dt.total_days().min() >= 364


def test_nothing_is_nan_or_infinite(demo: Market) -> None:
    for name, frame in demo.tables.items():
        for column in frame.select(pl.selectors.float()):
            assert column.drop_nulls().is_finite().all(), (name, column.name)


def test_returns_are_above_minus_one_and_prices_positive(demo: Market) -> None:
    index = demo.tables[INDEX]
    assert index["Return"].min() > -96
    assert index["Price_BOM"].min() > 15
