from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl
import pytest

Build = Callable[[Mapping[str, pl.DataFrame], Sequence[date]], pl.DataFrame]


def _changed(frame: pl.DataFrame, after: date) -> pl.DataFrame:
    """Every number dated after the month becomes another."""
    floats = pl.selectors.float()
    later = pl.col("month") > after
    return frame.with_columns(pl.when(later).then(floats * 1.7 + 3.1).otherwise(floats))


@pytest.fixture(scope="session")
def check_promise() -> Callable[[Build, Mapping[str, pl.DataFrame], Sequence[date]], None]:
    """Each month's block is the same, bit for bit, in a range, alone, and whatever the later rows say."""

    def check(build: Build, frames: Mapping[str, pl.DataFrame], months: Sequence[date]) -> None:
        whole = build(frames, months)
        rng = np.random.default_rng(1)
        for month in months:
            block = whole.filter(pl.col("month") == month)
            variants = {
                "alone": frames,
                "later rows deleted": {k: f.filter(pl.col("month") <= month) for k, f in frames.items()},
                "later rows changed": {k: _changed(f, month) for k, f in frames.items()},
                "rows shuffled": {k: f[rng.permutation(len(f))] for k, f in frames.items()},
            }
            for name, variant in variants.items():
                assert build(variant, [month]).equals(block), f"{month}: {name}"

    return check


@pytest.fixture(scope="session")
def daily() -> Callable[..., pl.DataFrame]:
    """A random walk on the weekdays of a span of months, with the columns asked for."""

    def make(first: date, last: date, seed: int, *columns: str, start: float = 20.0, step: float = 0.3) -> pl.DataFrame:
        days = pl.date_range(first, last, "1d", eager=True)
        days = days.filter(days.dt.weekday() <= 5)
        rng = np.random.default_rng(seed)
        walks = {c: start + rng.normal(0, step, len(days)).cumsum() for c in columns}
        return pl.DataFrame({"date": days, **walks}).with_columns(month=pl.col("date").dt.month_start())

    return make
