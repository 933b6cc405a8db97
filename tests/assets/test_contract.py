"""The quick check of a schema against dataframely's own."""

from __future__ import annotations

from datetime import date

import dataframely as dy
import polars as pl
import pytest

from assets.all import MONTHLY_ASSETS
from assets.contract import InvalidRows, holds, validated
from resources.settings import Settings


class Rows(dy.Schema):
    """One column of each kind that assets use."""

    month = dy.Date(primary_key=True)
    isin = dy.String(primary_key=True)
    value = dy.Float64(nullable=True, min=-1.0, max=1.0)
    vintage = dy.String(regex=r"^\d{4}$")
    flag = dy.Bool(nullable=True)
    vector = dy.List(dy.Float64(), nullable=True)


GOOD = pl.DataFrame(
    {
        "month": [date(2020, 1, 1)] * 3,
        "isin": ["A", "B", "C"],
        "value": [0.5, None, -1.0],
        "vintage": ["2020", "2021", "2022"],
        "flag": [True, None, False],
        "vector": [[1.0, 2.0], None, []],
    }
)
BROKEN = {
    "primary_key": GOOD.with_columns(isin=pl.lit("A")),
    "value|min": GOOD.with_columns(value=pl.lit(-1.5)),
    "value|max": GOOD.with_columns(value=pl.lit(1.5)),
    "value|nan": GOOD.with_columns(value=pl.lit(float("nan"))),
    "value|inf": GOOD.with_columns(value=pl.lit(float("inf"))),
    "vintage|regex": GOOD.with_columns(vintage=pl.lit("soon")),
    "vintage|nullability": GOOD.with_columns(vintage=pl.lit(None, dtype=pl.String)),
    "isin|nullability": GOOD.with_columns(isin=pl.lit(None, dtype=pl.String)),
    "vector|inner_nullability": GOOD.with_columns(vector=pl.lit([None, 1.0])),
}


def test_good_rows_hold():
    assert Rows.is_valid(GOOD)
    assert holds(Rows, GOOD)
    assert validated("asset", Rows, GOOD.with_columns(extra=1)).equals(GOOD)
    assert holds(Rows, GOOD.clear())


@pytest.mark.parametrize("rule", BROKEN)
def test_broken_rows_are_seen_and_named(rule):
    assert not Rows.is_valid(BROKEN[rule])
    assert not holds(Rows, BROKEN[rule])
    column = rule.split("|")[0]
    with pytest.raises(InvalidRows, match=rf"asset: .*row\(s\) break .*{column}.*Nothing was written"):
        validated("asset", Rows, BROKEN[rule])


def test_a_missing_column_or_a_wrong_type_is_named():
    with pytest.raises(InvalidRows, match=r"missing columns.*value"):
        validated("asset", Rows, GOOD.drop("value"))
    with pytest.raises(InvalidRows, match=r"row\(s\) break .*value"):
        validated("asset", Rows, GOOD.with_columns(value=pl.lit("much")))


@pytest.mark.parametrize("asset", MONTHLY_ASSETS, ids=lambda asset: asset.name)
def test_schemas_hold_rules_of_columns_only(asset):
    # The quick check asks columns and key; a rule over several columns would need more.
    schema = asset.schema(Settings())
    assert not [name for name, value in vars(schema).items() if type(value).__name__ == "RuleFactory"]
