"""The bond factor on the zero yields of Liu and Wu, beside what was published on those of Fama and Bliss.

Cochrane and Piazzesi (2005) report, for annual returns of 1964 to 2003, R-squared of 0.32 to 0.37 for bonds of 2 to 5
years and 0.35 for their average, up to 0.44 with three lags. Smoothed curves give less: part of what Fama and Bliss's
unsmoothed forward rates forecast is idiosyncratic to neighbouring maturities. On these yields the average has 0.31, and
bonds of 2 to 10 years have 0.27 to 0.38 on nine spreads from the ten-year yields' start in 1971 to 2003. Over all years
to 2022 about a third of it is gone.
"""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.extracts import treasury as reader
from pipeline.extracts.reading import read_rows
from pipeline.macro.cochrane_piazzesi import (
    FACTOR_OF_2005,
    CochranePiazzesiSettings,
    annual_excess_returns,
    cochrane_piazzesi,
    fit_return_regressions,
)
from pipeline.macro.treasury import treasury_curve
from pipeline.panel.calendar import month_range

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "treasury" / "liu_wu_zero_yields_monthly.xlsx"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="the public data of ../shared/data are not here")

PUBLISHED_2005 = np.array([0.32, 0.34, 0.37, 0.35])
"""Unrestricted regressions of bonds of 2 to 5 years, their table 1."""


@pytest.fixture(scope="module")
def curve() -> pl.DataFrame:
    staged = reader.read(FILE, read_rows(FILE, ()))["treasury.zero_yields"]
    return treasury_curve({}, staged, month_range(date(1961, 6, 1), date(2022, 12, 1)))


def _yields(curve: pl.DataFrame, last: date, longest: int) -> np.ndarray:
    rows = curve.filter(pl.col("month").is_between(date(1964, 1, 1), last))
    return rows.select(f"zero_{n}" for n in range(1, longest + 1)).to_numpy() / 100.0


def test_the_regressions_of_2005(curve) -> None:
    fit = fit_return_regressions(_yields(curve, date(2003, 12, 1), 5), FACTOR_OF_2005)
    assert fit.n_months == 468
    np.testing.assert_allclose(fit.r2, [0.279, 0.294, 0.323, 0.315], atol=0.001)
    assert fit.factor_r2 == pytest.approx(0.310, abs=0.001)
    # Below the published ones by about the same for every bond, with the same bond in front.
    gap = PUBLISHED_2005 - fit.r2
    assert (gap > 0.03).all()
    assert (gap < 0.05).all()
    assert fit.r2.argmax() == PUBLISHED_2005.argmax()


def test_one_factor_carries_the_expected_returns(curve) -> None:
    """Table 1 of the paper: the restricted regressions lose next to nothing. So do longer bonds."""
    settings = CochranePiazzesiSettings()
    fit = fit_return_regressions(_yields(curve, date(2003, 12, 1), 10), settings)
    assert fit.dominance == pytest.approx(0.992, abs=0.001)
    assert fit.factor_r2 == pytest.approx(0.371, abs=0.001)
    assert (fit.r2.min(), fit.r2.max()) == pytest.approx((0.268, 0.381), abs=0.001)
    # Loadings on the factor rise with maturity.
    assert (np.diff(fit.weights) > 0.0).all()
    later = fit_return_regressions(_yields(curve, date(2022, 12, 1), 10), settings)
    assert later.factor_r2 == pytest.approx(0.246, abs=0.001)


@pytest.mark.parametrize(
    ("settings", "before", "after"), [(CochranePiazzesiSettings(), 0.22, -0.19), (FACTOR_OF_2005, 0.46, -0.21)]
)
def test_the_recursive_factor_forecast_until_2003_and_not_since(curve, settings, before, after) -> None:
    """Correlation of a month's factor with the average excess return of its bonds over the year that followed."""
    for first, last, expected in [(1985, 2003, before), (2004, 2021, after)]:
        months = month_range(date(first, 1, 1), date(last, 12, 1))
        made = cochrane_piazzesi(curve, months, settings)["cochrane_piazzesi"].to_numpy()
        rows = curve.filter(pl.col("month").is_between(months[0], date(last + 1, 12, 1)))
        y = rows.select(f"zero_{n}" for n in range(1, settings.longest + 1)).to_numpy() / 100.0
        came = annual_excess_returns(y).mean(axis=1)
        assert len(made) == len(came)
        assert np.corrcoef(made, came)[0, 1] == pytest.approx(expected, abs=0.01)
