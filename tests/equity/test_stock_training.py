from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.equity.training import stock_training_panel

MAY, JUNE, JULY = (date(2008, month, 1) for month in (5, 6, 7))
NAMES = ("beme", "lme")
SETS = {"both": NAMES, "value": ("beme",)}


@pytest.fixture
def characteristics():
    rows = [(MAY, 1, 0.1), (MAY, 2, 0.2), (MAY, 3, 0.3), (JUNE, 1, 9.0), (JUNE, 2, 8.0)]
    frame = pl.DataFrame(rows, schema={"month": pl.Date, "permno": pl.Int64, "beme_r": pl.Float64}, orient="row")
    return frame.with_columns(
        lme_r=pl.col("beme_r") + 1.0,
        lme=pl.lit(5.0),
        beme=pl.when(pl.col("permno") == 1).then(pl.lit(0.7)),
    )


@pytest.fixture
def returns():
    rows = [(JUNE, 2, -0.01), (JUNE, 1, 0.02), (JUNE, 9, 0.05), (JUNE, 3, None), (MAY, 1, 0.5), (JULY, 2, 0.7)]
    frame = pl.DataFrame(rows, schema={"month": pl.Date, "permno": pl.Int64, "ret_excess": pl.Float64}, orient="row")
    return frame.with_columns(ret=pl.lit(0.0))


@pytest.mark.parametrize("form", [pl.DataFrame, pl.LazyFrame])
def test_the_return_of_a_month_meets_the_characteristics_of_the_month_before(form, characteristics, returns):
    panel = stock_training_panel(form(characteristics), returns, NAMES, SETS, [JUNE])
    assert panel.columns == ["month", "permno", "ret_excess", "present_both", "present_value", "beme_r", "lme_r"]
    assert panel.rows() == [(JUNE, 1, 0.02, 1.0, 1.0, 0.1, 1.1), (JUNE, 2, -0.01, 0.5, 0.0, 0.2, 1.2)]


def test_a_range_equals_its_months(characteristics, returns):
    together = stock_training_panel(characteristics, returns, NAMES, SETS, [JULY, JUNE])
    assert together["month"].to_list() == [JUNE, JUNE, JULY]
    singly = [stock_training_panel(characteristics, returns, NAMES, SETS, [month]) for month in (JUNE, JULY)]
    assert_frame_equal(together, pl.concat(singly), check_exact=True)
    assert stock_training_panel(characteristics, returns, NAMES, SETS, []).height == 0
