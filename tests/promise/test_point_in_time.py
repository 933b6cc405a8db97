"""The promise: the partition of month m is a function of raw rows dated up to m, and of nothing later.

Every monthly asset of the definitions is enumerated, so that a later one is covered without a new line here.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from promise import build, contents, later, with_late_returns

from assets.all import MONTHLY_ASSETS
from pipeline.panel.calendar import shift

MONTHS = [date(2021, 3, 1), date(2025, 2, 1)]


def _changed(table: str, frame: pl.DataFrame, month: date) -> pl.DataFrame:
    """Every number of a later row is another one; keys, dates and text stay."""
    generator = np.random.default_rng(abs(hash((table, month))) % 2**32)
    factors = pl.Series(generator.uniform(0.4, 0.9, frame.height))
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric()]
    touched = pl.when(later(table, frame, month)).then(pl.col(numbers) * factors).otherwise(pl.col(numbers))
    return with_late_returns(table, frame.with_columns(touched), month, lambda value: value * 0.3 - 0.2)


def _thinned(table: str, frame: pl.DataFrame, month: date) -> pl.DataFrame:
    """A third of the later rows is gone."""
    generator = np.random.default_rng(3)
    kept = pl.Series(generator.uniform(size=frame.height) > 1 / 3)
    thinned = frame.filter(~later(table, frame, month) | kept)
    return with_late_returns(table, thinned, month, lambda value: value + 1.5)


def _ended(table: str, frame: pl.DataFrame, month: date) -> pl.DataFrame:
    """There is no later row."""
    return with_late_returns(table, frame.filter(~later(table, frame, month)), month, lambda value: pl.lit(None))


@pytest.mark.parametrize("month", MONTHS, ids=str)
@pytest.mark.parametrize("future", [_changed, _thinned, _ended], ids=["changed", "thinned", "ended"])
def test_partitions_do_not_depend_on_later_rows(future, month, market, factory, baseline):
    tables = {table: future(table, frame, month) for table, frame in market.items()}
    # A vintage without a row up to the month says nothing about it; it would not be a file.
    tables = {table: frame for table, frame in tables.items() if frame.height}
    home = factory.home(f"{future.__name__}-{month}", tables)
    build(home, month)
    expected = contents(baseline, month)
    assert {asset for asset, _ in expected} == {asset.name for asset in MONTHLY_ASSETS}
    assert contents(home) == expected


def test_the_perturbation_reaches_every_table(market):
    for table, frame in market.items():
        month = MONTHS[0]
        assert not _changed(table, frame, month).equals(frame), table
        assert _ended(table, frame, month).height < frame.height, table


def test_a_row_of_the_month_itself_matters(market, factory, baseline):
    month = MONTHS[1]
    tables = {table: _changed(table, frame, shift(month, -1)) for table, frame in market.items()}
    home = factory.home("present", tables)
    build(home, month)
    expected = contents(baseline)
    changed = {key for key, content in contents(home).items() if expected[key] != content}
    # Changed numbers leave membership as it is, and no series of FRED-MD is published in the month it is about.
    late = {"bond_universe", "fred_md", "macro_factors"}
    assert changed == {(asset.name, month) for asset in MONTHLY_ASSETS if asset.name not in late}
