"""The promise: the partition of month m is a function of raw rows dated up to m, and of nothing later.

Every monthly asset of the definitions is enumerated, so that a later one is covered without a new line here.
"""

from __future__ import annotations

import zlib
from datetime import date

import numpy as np
import polars as pl
import pytest
from promise import END, INDEX, build, contents, later, with_late_returns

from assets.all import MONTHLY_ASSETS
from pipeline.panel.calendar import shift

MONTHS = [date(2021, 3, 1), date(2025, 2, 1)]
NAMES = {asset.name for asset in MONTHLY_ASSETS}
IDENTIFIERS = ("ISIN", "Cusip")


def _texts(frame: pl.DataFrame) -> list[str]:
    """Columns that say something about a bond in words: sectors, rating, index, country."""
    return [name for name, dtype in frame.schema.items() if dtype == pl.String and name not in IDENTIFIERS]


def _changed(table: str, frame: pl.DataFrame, month: date) -> pl.DataFrame:
    """Every number of a later row is another one and its words are those of other later rows; keys and dates stay."""
    generator = np.random.default_rng(zlib.crc32(f"{table} {month}".encode()))
    factors = pl.Series(generator.uniform(0.4, 0.9, frame.height))
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric()]
    is_later = frame.select(later(table, frame, month)).to_series()
    touched = pl.when(is_later).then(pl.col(numbers) * factors).otherwise(pl.col(numbers))
    rows, swapped = np.flatnonzero(is_later.to_numpy()), np.arange(frame.height)
    swapped[rows] = generator.permutation(rows)
    words = [frame[name].gather(swapped) for name in _texts(frame)]
    return with_late_returns(table, frame.with_columns(touched, *words), month, lambda value: value * 0.3 - 0.2)


def _thinned(table: str, frame: pl.DataFrame, month: date) -> pl.DataFrame:
    """A third of the later rows is gone."""
    generator = np.random.default_rng(3)
    kept = pl.Series(generator.uniform(size=frame.height) > 1 / 3)
    thinned = frame.filter(~later(table, frame, month) | kept)
    return with_late_returns(table, thinned, month, lambda value: value + 1.5)


def _ended(table: str, frame: pl.DataFrame, month: date) -> pl.DataFrame:
    """There is no later row."""
    return with_late_returns(table, frame.filter(~later(table, frame, month)), month, lambda value: pl.lit(None))


def _home(future, month, market, factory):
    tables = {table: future(table, frame, month) for table, frame in market.items()}
    # A vintage without a row up to the month says nothing about it; it would not be a file.
    return factory.home(f"{future.__name__}-{month}", {name: frame for name, frame in tables.items() if frame.height})


@pytest.mark.parametrize("month", MONTHS, ids=str)
@pytest.mark.parametrize("future", [_changed, _thinned], ids=["changed", "thinned"])
def test_partitions_do_not_depend_on_later_rows_that_are_read_with_them(future, month, market, factory, baseline):
    # One range through the end: the later rows are in the frames from which the earlier partitions come.
    home = _home(future, month, market, factory)
    build(home, END)
    expected = contents(baseline, month)
    assert {asset for asset, _ in expected} == NAMES
    assert contents(home, month) == expected
    whole = contents(baseline)
    different = {asset for (asset, each), content in contents(home).items() if content != whole[asset, each]}
    # Changed numbers and words leave membership as it is.
    assert different == NAMES - ({"bond_universe"} if future is _changed else set())


@pytest.mark.parametrize("month", MONTHS, ids=str)
def test_partitions_do_not_depend_on_whether_there_are_later_rows(month, market, factory, baseline):
    home = _home(_ended, month, market, factory)
    build(home, month)
    assert contents(home) == contents(baseline, month)


def test_the_perturbation_reaches_every_table(market):
    month = MONTHS[0]
    for table, frame in market.items():
        assert not _changed(table, frame, month).equals(frame), table
        assert _ended(table, frame, month).height < frame.height, table
    bonds, changed = market[INDEX], _changed(INDEX, market[INDEX], month)
    constant = {name for name in _texts(bonds) if bonds[name].n_unique() == 1}
    assert {name for name in _texts(bonds) if changed[name].equals(bonds[name])} == constant
    assert {"Sector_Level_3", "Rating", "Index_Name"} <= set(_texts(bonds)) - constant


def test_a_row_of_the_month_itself_matters(market, factory, baseline):
    month = MONTHS[1]
    tables = {table: _changed(table, frame, shift(month, -1)) for table, frame in market.items()}
    home = factory.home("present", tables)
    build(home, month)
    expected = contents(baseline)
    changed = {key for key, content in contents(home).items() if expected[key] != content}
    # Changed rows leave membership as it is, and no series of FRED-MD is published in the month it is about.
    late = {"bond_universe", "fred_md", "macro_factors"}
    assert changed == {(name, month) for name in NAMES - late}
