"""Which portfolios a joint estimate uses, by frames small enough to read."""

from __future__ import annotations

from datetime import date

import polars as pl

from pipeline.models.estimation_sample import RECENT_MONTHS, complete_months, portfolios_of_sample
from pipeline.panel.calendar import month_range, shift

FIRST = date(2015, 11, 1)
MONTHS = month_range(FIRST, shift(FIRST, 35))
NOW = MONTHS[23]


def _returns(of: dict[str, list[int]]) -> pl.DataFrame:
    """Every portfolio has a row each month; its return is missing but in the months counted."""
    return pl.DataFrame(
        {
            "month": [month for _ in of for month in MONTHS],
            "asset_id": [name for name in of for _ in MONTHS],
            "ret": [t / 100 if t in own else None for own in of.values() for t in range(len(MONTHS))],
        }
    )


def test_portfolios_have_returns_enough_and_one_within_the_year() -> None:
    returns = _returns(
        {
            "whole": list(range(36)),
            "ends_a_year_ago": list(range(12)),
            "ends_within_the_year": list(range(13)),
            "back_later": [*range(12), *range(24, 36)],
            "too_few_so_far": list(range(15, 36)),
            "just_enough": list(range(14, 24)),
            "never": [],
        }
    )
    assert RECENT_MONTHS == 12
    assert portfolios_of_sample(returns, NOW, 10) == ("ends_within_the_year", "just_enough", "whole")
    assert portfolios_of_sample(returns, NOW, 14) == ("whole",)
    assert portfolios_of_sample(returns.filter(pl.col("month") <= NOW), NOW, 10) == portfolios_of_sample(
        returns, NOW, 10
    )
    assert portfolios_of_sample(returns.head(0), NOW, 10) == ()


def test_complete_months_are_those_of_all() -> None:
    returns = _returns({"a": list(range(36)), "b": [3, 4, 20, 23, 24, 30], "c": [4, 5, 20, 22, 23, 30], "never": []})
    made = complete_months(returns.sample(fraction=1.0, shuffle=True, seed=0), ("c", "b"), NOW)
    assert made.columns == ["month", "c", "b"]
    assert made.rows() == [(MONTHS[t], t / 100, t / 100) for t in (4, 20, 23)]
    assert complete_months(returns, ("a", "never"), NOW).is_empty()
    assert complete_months(returns, ("a", "elsewhere"), NOW).columns == ["month", "a", "elsewhere"]
    assert complete_months(returns, (), NOW).columns == ["month"]
