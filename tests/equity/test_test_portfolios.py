"""Excess returns of the portfolios that models are tested on."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from pipeline.equity.test_portfolios import TestPortfolioSettings, test_portfolio_returns

MONTHS = [date(2001, 1, 1), date(2001, 2, 1)]
SETTINGS = TestPortfolioSettings(long_short=("anomalies.signals",), long_only=("french.sorts",))
FACTORS = pl.DataFrame({"month": MONTHS, "rf": [0.004, None]}, schema_overrides={"rf": pl.Float64})
TABLES = {
    "anomalies.signals": pl.DataFrame(
        {"month": [*MONTHS, date(2001, 3, 1)], "portfolio": ["size"] * 3, "return_pct": [1.0, -2.0, 9.0]}
    ),
    "french.sorts": pl.DataFrame({"month": MONTHS, "portfolio": ["small"] * 2, "return_pct": [1.0, 3.0]}),
}


def test_only_long_portfolios_pay_the_bill_rate() -> None:
    found = test_portfolio_returns(TABLES, FACTORS, MONTHS, SETTINGS)
    assert found.rows() == [
        (MONTHS[0], "signals:size", pytest.approx(0.01)),
        (MONTHS[0], "sorts:small", pytest.approx(0.006)),
        # February has no bill rate, so the sort has no excess return.
        (MONTHS[1], "signals:size", pytest.approx(-0.02)),
    ]


def test_a_range_is_its_months_one_by_one() -> None:
    alone = [test_portfolio_returns(TABLES, FACTORS, [month], SETTINGS) for month in MONTHS]
    assert pl.concat(alone).equals(test_portfolio_returns(TABLES, FACTORS, MONTHS, SETTINGS))


def test_months_before_the_beginning_are_left_out() -> None:
    late = TestPortfolioSettings(begin=MONTHS[1], long_short=("anomalies.signals",), long_only=("french.sorts",))
    assert test_portfolio_returns(TABLES, FACTORS, MONTHS, late)["month"].unique().to_list() == [MONTHS[1]]
