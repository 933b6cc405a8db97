from __future__ import annotations

import math
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.issuer_accounts import VALUES
from pipeline.bonds.snapshot import SCHEMA, snapshot_from_index, snapshot_from_trades
from pipeline.panel.calendar import month_range

MONTHS = month_range(date(2013, 7, 1), date(2014, 6, 1))
SOURCES = ("bond_issues", "bond_prices", "bond_issuer_link", "crsp_monthly", "compustat_annual")

RATING_KEY = {
    "AAA": 1, "AA1": 2, "AA2": 3, "AA3": 4, "A1": 5, "A2": 6, "A3": 7, "BBB1": 8, "BBB2": 9, "BBB3": 10, "BB1": 11,
    "BB2": 12, "BB3": 13, "B1": 14, "B2": 15, "B3": 16, "CCC1": 17, "CCC2": 18, "CCC3": 19, "CC": 20, "C": 21, "D": 22,
}  # fmt: skip
INDEX_NAMES = {
    "maturity": "maturity", "coupon": "coupon", "face_value": "paramount", "duration": "dur", "spread": "oas_bom",
    "price": "price_bom", "sector": "sector_level_3", "default_probability": "pd_drisk", "stock_price": "stock_price",
    "price_to_book": "pricetobook", "price_to_earnings": "pricetoearnings", "debt": "debt", "ebitda": "ebitda",
    "ebit": "ebit", "ebit_margin": "ebitmargin", "gross_margin": "grossmargin", "ebit_growth": "ebitgrowth",
    "revenue_growth": "revenuegrowth", "leverage_ratio": "leverageratio", "marketcap": "marketcap",
}  # fmt: skip


def _quotient(a, b):
    return None if a is None or b is None or b == 0 else a / b


def test_the_index_keeps_its_numbers_under_other_names(market):
    ours = snapshot_from_index(market["index_snapshot"], MONTHS)
    assert dict(ours.schema) == SCHEMA
    theirs = {(row["month"], row["isin"]): row for row in market["index_snapshot"].iter_rows(named=True)}
    keys = sorted(key for key in theirs if key[0] in MONTHS)
    assert [(row["month"], row["isin"]) for row in ours.iter_rows(named=True)] == keys
    for row, key in zip(ours.iter_rows(named=True), keys, strict=True):
        their = theirs[key]
        filled = {name: their[old] for name, old in INDEX_NAMES.items()} | {
            "month": key[0],
            "isin": key[1],
            "cusip": their["cusip"][:8],
            "source": "index",
            "rating": RATING_KEY.get(their["rating"]),
            "revenue": _quotient(their["ebit"], their["ebitmargin"]),
            "book_equity": _quotient(their["marketcap"], their["pricetobook"]),
        }
        assert row == {name: filled.get(name) for name in SCHEMA}
    assert ours["rating"].n_unique() > 8
    assert (ours["default_probability"] == -0.99).any()


def test_every_rating_letter_has_its_ordinal(market):
    row = market["index_snapshot"].head(1).drop("rating")
    letters = pl.DataFrame({"rating": [*RATING_KEY, "NR", "AAA1", None]})
    found = snapshot_from_index(row.join(letters, how="cross"), row["month"].to_list())
    assert sorted(found["rating"].drop_nulls()) == list(range(1, 23))
    assert found["rating"].null_count() == 3


@pytest.mark.parametrize(
    "scale",
    [
        "AAA AA+ AA AA- A+ A A- BBB+ BBB BBB- BB+ BB BB- B+ B B- CCC+ CCC CCC- CC C D",
        "Aaa Aa1 Aa2 Aa3 A1 A2 A3 Baa1 Baa2 Baa3 Ba1 Ba2 Ba3 B1 B2 B3 Caa1 Caa2 Caa3 Ca C D",
        "aaa aa1 aa2 aa3 a1 a2 a3 bbb1 bbb2 bbb3 bb1 bb2 bb3 b1 b2 b3 ccc1 ccc2 ccc3 cc c d",
    ],
    ids=["S&P", "Moody's", "the vendor's in lower case"],
)
def test_composite_ratings_may_be_written_as_the_agencies_do(market, scale):
    row = market["index_snapshot"].head(1).drop("rating")
    for ordinal, letters in enumerate(scale.split(), start=1):
        named = row.with_columns(rating=pl.lit(f" {letters} "))
        assert snapshot_from_index(named, row["month"].to_list())["rating"].to_list() == [ordinal], letters


def test_trades_agree_with_plain_loops(traded, take_snapshot):
    ours = take_snapshot(traded, MONTHS)
    assert dict(ours.schema) == SCHEMA
    prices = {(row["month"], row["cusip"]): row for row in traded["bond_prices"].iter_rows(named=True)}
    links = {(row["month"], row["cusip"]): row for row in traded["bond_issuer_link"].iter_rows(named=True)}
    stocks = {(row["month"], row["permno"]): row for row in traded["crsp_monthly"].iter_rows(named=True)}
    expected = {}
    for row in traded["bond_issues"].iter_rows(named=True):
        key = row["month"], row["cusip"]
        if row["month"] in MONTHS and row["eligible"] and key in prices:
            expected[row["month"], row["isin"]] = row, prices[key], links[key]
    assert [(row["month"], row["isin"]) for row in ours.iter_rows(named=True)] == sorted(expected)
    for row in ours.iter_rows(named=True):
        issue, price, link = expected[row["month"], row["isin"]]
        stock = stocks.get((row["month"], link["permno"]), {})
        assert row["source"] == "trades"
        assert row["default_probability"] is None
        assert row["permno"] == link["permno"]
        assert row["sic"] == stock.get("siccd")
        assert row["marketcap"] == stock.get("me_permco")
        assert [row[name] for name in ("cusip", "maturity", "coupon", "rating", "sp_rating", "moody_rating")] == [
            issue[name] for name in ("cusip", "maturity", "coupon", "rating", "sp_rating", "moody_rating")
        ]
        assert (row["issue_date"], row["face_value"], row["sector"]) == (
            issue["offering_date"], issue["amount_outstanding"], issue["industry_group"],
        )  # fmt: skip
        for name in ("price", "ytm", "duration", "spread"):
            assert row[name] == price[name]
        assert row["accrued_interest"] == price["accrued_month_end"]
    missing = {name: ours[name].null_count() for name in ours.columns}
    assert 0 < missing["permno"] < ours.height
    assert 0 < missing["issue_date"] < ours.height


def test_bonds_without_a_link_keep_their_row(traded, take_snapshot):
    linked = take_snapshot(traded, MONTHS)
    bare = snapshot_from_trades(traded["bond_issues"], traded["bond_prices"], None, MONTHS)
    issuer = ["permno", "sic", *VALUES]
    assert_frame_equal(bare.drop(issuer), linked.drop(issuer), check_exact=True)
    assert bare.select(pl.col(issuer).null_count()).row(0) == (bare.height,) * len(issuer)


def test_a_range_equals_its_months_one_by_one(traded, market, take_snapshot):
    singly = pl.concat([take_snapshot(traded, [month]) for month in MONTHS])
    assert_frame_equal(take_snapshot(traded, MONTHS[::-1]), singly, check_exact=True)
    index = market["index_snapshot"]
    singly = pl.concat([snapshot_from_index(index.filter(pl.col("month") == month), [month]) for month in MONTHS])
    assert_frame_equal(snapshot_from_index(index, MONTHS), singly, check_exact=True)


def test_later_rows_do_not_matter(traded, market, take_snapshot):
    month = MONTHS[3]
    late = pl.col("month") > month

    def scrambled(frame):
        numbers = [name for name, dtype in frame.schema.items() if dtype == pl.Float64]
        return frame.with_columns(
            pl.when(late).then(pl.col(name) * -2.5 + 1).otherwise(name).alias(name) for name in numbers
        ).sample(fraction=1.0, shuffle=True, seed=7)

    expected = take_snapshot(traded, [month])
    assert_frame_equal(take_snapshot({name: scrambled(traded[name]) for name in SOURCES}, [month]), expected)
    deleted = {name: traded[name].filter(~late) for name in SOURCES}
    assert_frame_equal(take_snapshot(deleted, [month]), expected, check_exact=True)
    index = market["index_snapshot"]
    assert_frame_equal(
        snapshot_from_index(scrambled(index), [month]), snapshot_from_index(index, [month]), check_exact=True
    )


def test_numbers_that_are_not_finite_are_null(market, traded):
    index = market["index_snapshot"].head(3).with_columns(ebit=1e308, ebitmargin=1e-10, oas_bom=math.inf, dur=math.nan)
    rows = snapshot_from_index(index, index["month"].to_list())
    assert rows.select(pl.col("revenue", "spread", "duration").null_count()).row(0) == (3, 3, 3)
    prices = traded["bond_prices"].with_columns(ytm=math.nan)
    assert snapshot_from_trades(traded["bond_issues"], prices, None, MONTHS)["ytm"].is_null().all()


def test_a_bond_priced_twice_is_refused(traded):
    prices = pl.concat([traded["bond_prices"], traded["bond_prices"]])
    with pytest.raises(pl.exceptions.ComputeError):
        snapshot_from_trades(traded["bond_issues"], prices, None, MONTHS)


def test_no_months_give_no_rows(traded, market, take_snapshot):
    for empty in (take_snapshot(traded, []), snapshot_from_index(market["index_snapshot"], [])):
        assert empty.height == 0
        assert dict(empty.schema) == SCHEMA
