import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.macro.fred_md import FredMdSettings, fred_md, publication_lags, transform, vintage_of_month
from pipeline.panel.calendar import month_range, shift

MONTHS = month_range(date(2010, 1, 1), date(2012, 12, 1))


def _one_by_one(x: list[float], t: int, tcode: int) -> float:
    """The definition at one month, written out."""
    log = math.log
    if tcode == 1:
        return x[t]
    if tcode == 2:
        return x[t] - x[t - 1] if t >= 1 else math.nan
    if tcode == 3:
        return x[t] - 2 * x[t - 1] + x[t - 2] if t >= 2 else math.nan
    if tcode == 4:
        return log(x[t])
    if tcode == 5:
        return log(x[t] / x[t - 1]) if t >= 1 else math.nan
    if tcode == 6:
        return log(x[t] * x[t - 2] / x[t - 1] ** 2) if t >= 2 else math.nan
    return x[t] / x[t - 1] - x[t - 1] / x[t - 2] if t >= 2 else math.nan


@given(x=st.lists(st.floats(0.5, 50), min_size=4, max_size=12), tcode=st.integers(1, 7))
def test_codes_are_their_definitions(x: list[float], tcode: int) -> None:
    expected = [_one_by_one(x, t, tcode) for t in range(len(x))]
    np.testing.assert_allclose(transform(np.array(x), tcode), expected, rtol=0, atol=1e-10)


def test_codes_by_hand() -> None:
    x = np.array([100.0, 110.0, 99.0])
    # Code 7: growth of 10%, then of -10%.
    np.testing.assert_allclose(transform(x, 7), [np.nan, np.nan, -0.2], atol=1e-15)
    np.testing.assert_allclose(transform(x, 3), [np.nan, np.nan, -21.0])


def test_a_gap_or_an_impossible_log_is_missing() -> None:
    gap = transform(np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0]), 3)
    assert np.isfinite(gap).tolist() == [False, False, False, False, False, True]
    log = transform(np.array([1.0, -2.0, 4.0, 8.0]), 5)
    assert np.isfinite(log).tolist() == [False, False, False, True]
    growth = transform(np.array([0.0, 2.0, 4.0, 8.0]), 7)
    assert np.isfinite(growth).tolist() == [False, False, False, True]


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match="code 8"):
        transform(np.ones(3), 8)


def test_the_vintage_is_the_months_own_else_the_next() -> None:
    labels = ["2012-01", "2012-06", "2015-03"]
    assert vintage_of_month(date(2012, 1, 1), labels) == "2012-01"
    assert vintage_of_month(date(2012, 2, 1), labels) == "2012-06"
    assert vintage_of_month(date(1990, 2, 1), labels) == "2012-01"
    assert vintage_of_month(date(2015, 4, 1), labels) is None


def _vintage(seed: int, last: date, series: dict[str, int]) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    months = [m for m in MONTHS if m <= last]
    return pl.concat(
        pl.DataFrame(
            {
                "month": months,
                "series": [name] * len(months),
                "tcode": pl.Series([code] * len(months), dtype=pl.Int8),
                "value": 50 + rng.normal(0, 1, len(months)).cumsum(),
            }
        )
        for name, code in series.items()
    )


SERIES = {"INDPRO": 5, "HWI": 2, "S&P PE ratio": 5, "CPIAUCSL": 6, "NEVER SEEN": 1}


@pytest.fixture
def vintages() -> dict[str, pl.DataFrame]:
    old = {k: v for k, v in SERIES.items() if k != "CPIAUCSL"}
    return {
        "2011-06": _vintage(1, date(2011, 5, 1), old),
        "2012-12": _vintage(2, date(2012, 11, 1), SERIES),
    }


def test_each_series_is_cut_at_its_own_lag(vintages: dict[str, pl.DataFrame]) -> None:
    month = date(2011, 4, 1)
    out = fred_md(vintages, [month])
    assert out["vintage"].unique().to_list() == ["2011-06"]
    reference = dict(out.select("series", "reference_month").iter_rows())
    assert reference == {
        "HWI": date(2011, 2, 1),
        "INDPRO": date(2011, 3, 1),
        "NEVER SEEN": date(2011, 2, 1),
        "S&P PE ratio": date(2011, 1, 1),
    }
    raw = dict(vintages["2011-06"].filter(pl.col("series") == "INDPRO").select("month", "value").iter_rows())
    value = out.filter(pl.col("series") == "INDPRO")["value"].item()
    assert value == pytest.approx(math.log(raw[date(2011, 3, 1)] / raw[date(2011, 2, 1)]), abs=1e-12)


def test_series_come_with_their_vintage(vintages: dict[str, pl.DataFrame]) -> None:
    out = fred_md(vintages, [date(2011, 6, 1), date(2011, 7, 1)])
    assert "CPIAUCSL" not in out.filter(pl.col("month") == date(2011, 6, 1))["series"].to_list()
    assert "CPIAUCSL" in out.filter(pl.col("month") == date(2011, 7, 1))["series"].to_list()
    assert out.columns == ["month", "series", "reference_month", "tcode", "value", "vintage"]


def test_the_newest_value_that_there_is(vintages: dict[str, pl.DataFrame]) -> None:
    gone = (pl.col("series") == "INDPRO") & (pl.col("month") == date(2012, 9, 1))
    frame = vintages["2012-12"].with_columns(value=pl.when(~gone).then("value"))
    out = fred_md({"2012-12": frame}, [date(2012, 10, 1)]).filter(pl.col("series") == "INDPRO")
    assert out["reference_month"].item() == date(2012, 8, 1)


def test_a_month_after_the_newest_vintage_or_before_the_first_value_has_no_rows(
    vintages: dict[str, pl.DataFrame],
) -> None:
    assert fred_md(vintages, [date(2013, 1, 1)]).is_empty()
    assert fred_md(vintages, [date(2009, 1, 1), date(2010, 1, 1)]).is_empty()
    # Second differences and log changes are not there yet; levels are.
    assert fred_md(vintages, [date(2010, 3, 1)])["series"].to_list() == ["INDPRO", "NEVER SEEN"]


def test_keeps_the_promise(vintages: dict[str, pl.DataFrame], check_promise) -> None:
    months = [date(2009, 1, 1), date(2010, 3, 1), date(2011, 6, 1), date(2011, 7, 1), date(2012, 12, 1)]
    check_promise(fred_md, vintages, months)


def test_the_registry_and_the_unknown() -> None:
    lags = publication_lags()
    assert lags["S&P PE ratio"] == 3
    assert lags["CMRMTSPLx"] == 2
    assert lags["INDPRO"] == 1
    assert min(lags.values()) == 1
    assert FredMdSettings().lag("a series of tomorrow") == 2
    with pytest.raises(ValueError, match="below 0"):
        FredMdSettings(lags={"INDPRO": -1})


def test_bad_vintages_are_refused(vintages: dict[str, pl.DataFrame]) -> None:
    frame = vintages["2012-12"]
    first_row = frame.filter((pl.col("series") == "CPIAUCSL") & (pl.col("month") == MONTHS[0]))
    repeated = {"2012-12": pl.concat([frame, first_row])}
    with pytest.raises(ValueError, match=r"2012-12: 2 rows repeat a month, first CPIAUCSL in 2010-01"):
        fred_md(repeated, [date(2012, 1, 1)])
    code = pl.when(pl.col("series") == "HWI").then(9).otherwise("tcode").cast(pl.Int8)
    miscoded = {"2012-12": frame.with_columns(tcode=code)}
    with pytest.raises(ValueError, match="no code 1 to 7 for HWI"):
        fred_md(miscoded, [date(2012, 1, 1)])


def test_a_lag_counts_months_not_rows() -> None:
    frame = _vintage(3, MONTHS[-1], {"HWI": 1}).filter(pl.col("month") != date(2012, 5, 1))
    month = date(2012, 8, 1)
    out = fred_md({"2012-12": frame}, [month])
    assert out["reference_month"].item() == shift(month, -2)
