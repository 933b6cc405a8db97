"""The quick yes or no agrees with dataframely's own."""

from __future__ import annotations

import dataframely as dy
import polars as pl
import pytest

from pipeline.panel.rules import holds


class Prices(dy.Schema):
    """Every kind of rule there is."""

    day = dy.Int64(primary_key=True)
    name = dy.String(primary_key=True)
    price = dy.Float64(nullable=True, min_exclusive=0.0)
    size = dy.Int8(min=1, max=7)

    @dy.rule()
    def big_is_priced(cls) -> pl.Expr:
        """A rule over two columns."""
        return (pl.col("size") < 7) | pl.col("price").is_not_null()

    @dy.rule()
    def few_a_day(cls) -> pl.Expr:
        """A rule of a group."""
        return pl.len().over("day") <= 3


GOOD = pl.DataFrame(
    {"day": [1, 1, 2], "name": ["a", "b", "a"], "price": [1.0, None, 3.0], "size": [1, 2, 7]},
    schema_overrides={"size": pl.Int8},
)
FRAMES = {
    "good": GOOD,
    "empty": GOOD.clear(),
    "columns in another order, and more": GOOD.select(*reversed(GOOD.columns), more=1),
    "a column missing": GOOD.drop("price"),
    "another type": GOOD.with_columns(pl.col("size").cast(pl.Int64)),
    "null in the key": GOOD.with_columns(name=pl.Series(["a", None, "a"])),
    "null where none may be": GOOD.with_columns(size=pl.Series([1, None, 1], dtype=pl.Int8)),
    "at an exclusive bound": GOOD.with_columns(price=pl.Series([0.0, 1.0, 1.0])),
    "above a bound": GOOD.with_columns(size=pl.Series([1, 8, 7], dtype=pl.Int8)),
    "infinite": GOOD.with_columns(price=pl.Series([1.0, float("inf"), 1.0])),
    "not a number": GOOD.with_columns(price=pl.Series([1.0, float("nan"), 1.0])),
    "duplicate key": GOOD.with_columns(name=pl.Series(["a", "a", "a"])),
    "a rule over two columns": GOOD.with_columns(price=pl.Series([1.0, 1.0, None])),
    "a rule of a group": pl.concat([GOOD.with_columns(pl.col("name") + end, day=1) for end in ("x", "y")])[:5][1:],
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_agrees_with_dataframely(frame: pl.DataFrame) -> None:
    assert holds(Prices, frame) == Prices.is_valid(frame)


def test_the_frames_are_told_apart() -> None:
    assert [name for name, frame in FRAMES.items() if holds(Prices, frame)] == list(FRAMES)[:3]
