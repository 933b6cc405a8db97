from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.returns import SCHEMA, bond_returns
from pipeline.panel.calendar import month_range, shift

APRIL, MAY, JUNE = date(2008, 4, 1), date(2008, 5, 1), date(2008, 6, 1)


@pytest.fixture
def snapshot():
    return pl.DataFrame(
        {
            "month": [APRIL, APRIL, APRIL, MAY],
            "isin": ["A", "B", "C", "A"],
            "sector_level_3": ["Energy", None, "Energy", "Banking"],
            "price_bom": [101.5, 98.0, None, 55.0],
            "paramount": [400_000.0, 250_000.0, 100_000.0, 1.0],
        }
    )


@pytest.fixture
def index_returns():
    return pl.DataFrame(
        {"month": [MAY, MAY, JUNE, MAY], "isin": ["B", "A", "A", "Z"], "return_pct": [-1.25, 0.5, 2.0, 3.0]}
    )


@pytest.fixture
def factors():
    return pl.DataFrame({"month": [APRIL, MAY], "rf": [0.9, 0.0018]})


def test_by_hand(index_returns, snapshot, factors):
    expected = pl.DataFrame(
        {
            "month": [MAY, MAY, MAY],
            "isin": ["A", "B", "Z"],
            "ret": [0.005, -0.0125, 0.03],
            "ret_excess": [0.0032, -0.0143, 0.0282],
            "sector": ["Energy", None, None],
            "value_start": [406_000.0, 245_000.0, None],
            "source": ["index"] * 3,
        }
    )
    result = bond_returns(index_returns, snapshot, factors, [MAY])
    assert dict(result.schema) == SCHEMA
    assert_frame_equal(result, expected, check_exact=False, rel_tol=1e-14, abs_tol=1e-16)


def test_a_month_without_riskless_rate_keeps_its_return(index_returns, snapshot, factors):
    row = bond_returns(index_returns, snapshot, factors, [JUNE]).row(0, named=True)
    assert (row["ret"], row["ret_excess"]) == (0.02, None)
    assert (row["sector"], row["value_start"]) == ("Banking", 0.55)


def test_a_bond_alone_gets_the_same_bits(market):
    month = date(2012, 5, 1)
    together = bond_returns(market["index_returns"], market["index_snapshot"], market["french_factors"], [month])
    for row in together.iter_slices(1):
        own = pl.col("isin") == row["isin"][0]
        alone = bond_returns(
            market["index_returns"].filter(own),
            market["index_snapshot"].filter(own),
            market["french_factors"].filter(pl.col("month") == month),
            [month],
        )
        assert_frame_equal(alone, row, check_exact=True)


def test_months_without_returns_give_no_rows(index_returns, snapshot, factors):
    empty = bond_returns(index_returns, snapshot, factors, [date(2009, 1, 1)])
    assert empty.height == 0
    assert dict(empty.schema) == SCHEMA
    assert bond_returns(index_returns, snapshot, factors, []).height == 0


def test_a_range_equals_its_months_and_needs_only_the_lookback(market):
    tables = market["index_returns"], market["index_snapshot"], market["french_factors"]
    months = month_range(date(2012, 1, 1), date(2012, 12, 1))
    together = bond_returns(*tables, months)
    assert together.height > 100
    parts = []
    for month in months:
        cut = [
            frame.filter(pl.col("month").is_between(shift(month, 1 - reach), month))
            for frame, reach in zip(tables, (1, 2, 1), strict=True)
        ]
        parts.append(bond_returns(*cut, [month]))
    assert_frame_equal(together, pl.concat(parts), check_exact=True)
