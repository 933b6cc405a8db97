from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sklearn.linear_model import LinearRegression

from pipeline.bonds.industry import industry_returns, with_industry_adjusted_returns
from pipeline.panel.calendar import month_range
from pipeline.panel.dense import MonthlyPanel, MonthlySeries
from pipeline.panel.windows import Window

MAY, JUNE = date(2008, 5, 1), date(2008, 6, 1)


def test_value_weights_by_hand():
    returns = pl.DataFrame(
        {
            "month": [JUNE, MAY, MAY, MAY, MAY, MAY, MAY],
            "isin": ["A", "D", "C", "B", "A", "E", "F"],
            "ret": [0.5, 0.3, 0.02, 0.04, 0.01, 0.09, 0.2],
            "sector": ["Energy", None, "Energy", "Energy", "Energy", "Energy", "Utility"],
            "value_start": [10.0, 5.0, 300.0, 100.0, 600.0, None, 0.0],
        }
    )
    result = industry_returns(returns)
    assert result.select("month", "isin").rows() == [*[(MAY, isin) for isin in "ABCDEF"], (JUNE, "A")]
    energy = (600 * 0.01 + 100 * 0.04 + 300 * 0.02) / 1000
    expected = [energy, energy, energy, None, energy, None, 0.5]
    assert result["industry_return"].to_list() == pytest.approx(expected, abs=1e-16)


def test_a_month_alone_gets_the_same_bits(market):
    returns = market["bond_returns"]
    together = industry_returns(returns)
    for month in (date(2010, 7, 1), date(2015, 6, 1)):
        one = pl.col("month") == month
        assert_frame_equal(industry_returns(returns.filter(one).reverse()), together.filter(one), check_exact=True)


def test_adjusted_returns_against_scikit_learn():
    rng = np.random.default_rng(4)
    months = month_range(date(2008, 1, 1), date(2009, 6, 1))
    ret, sector = rng.normal(size=(18, 3)), rng.normal(size=(18, 3))
    market = rng.normal(size=(18, 1))
    ret[3, 0] = sector[17, 1] = np.nan
    ret[:8, 2] = np.nan
    panel = MonthlyPanel(first=months[0], assets=("A", "B", "C"), arrays={"ret": ret, "industry_return": sector})
    series = MonthlySeries(first=months[0], values=market, names=("mkt",))
    result = with_industry_adjusted_returns(panel, series, [months[16], months[17]], Window(12, 10))
    adjusted = result.arrays["industry_adjusted"]
    assert np.isnan(adjusted[:16]).all()
    assert np.isnan(adjusted[16:, 2]).all()  # nine observations
    assert np.isnan(adjusted[17, 1])  # no return of the sector
    for row, asset in ((16, 0), (16, 1), (17, 0)):
        window = np.arange(row - 12, row)  # ends the month before
        window = window[~np.isnan(ret[window, asset])]
        x = np.column_stack([market[window, 0], sector[window, asset]])
        slope = LinearRegression().fit(x, ret[window, asset]).coef_[1]
        assert adjusted[row, asset] == pytest.approx(ret[row, asset] - slope * sector[row, asset], rel=1e-10)
