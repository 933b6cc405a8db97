"""Goyal and Welch's predictors against published statistics of their transformed values, 1973-02 to 2020-09.

``tms`` and ``dfy`` agree, from the yields of FRED. The others differ, for reasons that the tests below hold to:

* ``tms`` from the published file is another spread: its long-term yield is that of a twenty-year government bond,
about 0.36 points above GS10
  less TB3MS.
* ``dp``: the published file divides S&P dividends, interpolated between quarters by its authors, by the S&P index.
The table's is of the CRSP
  index: built from returns with and without dividends, even of CRSP's S&P 500, the deviation comes closer to it.
* ``bm`` and ``ntis``: median and quartiles agree, the deviation is larger in the table. The file has been revised
since; what differs is a few
  extreme months, for ``bm`` those of March, when book values change.
* ``svar``: the table's ``rvar_crsp`` varies four times as much. It is the log change of the squared *monthly* market
return, not of the sum of
  squared daily ones.
"""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.extracts import fred_md, french
from pipeline.extracts import goyal_welch as reader
from pipeline.extracts.reading import read_rows
from pipeline.macro.french import french_factors
from pipeline.macro.goyal_welch import dividend_price_ratio, goyal_welch
from pipeline.panel.calendar import month_range

SHARED = Path(__file__).resolve().parents[3] / "shared"
DATA = SHARED / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the public data of ../shared/data are not here")

MONTHS = month_range(date(1973, 2, 1), date(2020, 9, 1))
QUARTILES = ("p25", "median", "p75")


def _statistics(values: np.ndarray) -> dict[str, float]:
    quartiles = dict(zip(QUARTILES, np.quantile(values, [0.25, 0.5, 0.75]), strict=True))
    return {"mean": values.mean(), "std": values.std(ddof=1), **quartiles}


def _differing(values: np.ndarray, published: dict[str, float]) -> set[str]:
    ours = _statistics(values)
    return {s for s in ours if abs(ours[s] - published[s]) > 0.0011 + 0.02 * abs(published[s])}


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, float]]:
    rows = pl.read_csv(SHARED / "spec" / "fred_md_transformed_stats.csv").to_dicts()
    return {row["series"].removesuffix("_tr_gw"): row for row in rows}


@pytest.fixture(scope="module")
def file() -> pl.DataFrame:
    path = DATA / "goyal_welch" / "PredictorData2022.xlsx"
    return reader.read(path, read_rows(path, ("monthly",)))["goyal_welch.predictors"]


@pytest.fixture(scope="module")
def published(file: pl.DataFrame) -> pl.DataFrame:
    return goyal_welch({"goyal_welch.predictors": file}, MONTHS)


@pytest.fixture(scope="module")
def from_fred() -> pl.DataFrame:
    """The yields that FRED-MD carries are the FRED series themselves."""
    path = DATA / "fred_md" / "2023-01.csv"
    vintage = fred_md.read(path, read_rows(path))["fred_md.2023-01"]
    tables = {
        f"fred.{name}": vintage.filter(pl.col("series") == name).select("month", "value")
        for name in ("GS10", "TB3MS", "BAA", "AAA")
    }
    return goyal_welch(tables, MONTHS)


@pytest.mark.parametrize("name", ["tms", "dfy"])
def test_yields_of_fred_reproduce_the_table(name: str, from_fred: pl.DataFrame, table) -> None:
    assert from_fred[name].null_count() == 0
    assert _differing(from_fred[name].to_numpy(), table[name]) == set()


def test_the_published_file_reproduces_the_default_spread_but_another_term_spread(
    published: pl.DataFrame, from_fred: pl.DataFrame, table
) -> None:
    assert _differing(published["dfy"].to_numpy(), table["dfy"]) == set()
    np.testing.assert_allclose(published["dfy"], from_fred["dfy"], atol=0.02)
    gap = published["tms"] - from_fred["tms"]
    assert gap.mean() == pytest.approx(0.358, abs=0.002)


def test_dividend_price_of_another_index(published: pl.DataFrame, file: pl.DataFrame, table) -> None:
    assert _differing(published["dp"].to_numpy(), table["dp"]) == {"std"}
    window = file.filter(pl.col("month").is_between(date(1972, 1, 1), MONTHS[-1]))
    ratio = dividend_price_ratio(window["crsp_spvw"].to_numpy(), window["crsp_spvwx"].to_numpy())
    from_returns = np.diff(ratio)[-len(MONTHS) :]
    target = table["dp"]["std"]
    assert abs(from_returns.std(ddof=1) - target) < 0.4 * abs(published["dp"].std() - target)


@pytest.mark.parametrize("name", ["bm", "ntis"])
def test_book_to_market_and_net_issues_differ_in_extreme_months_only(name: str, published: pl.DataFrame, table) -> None:
    assert _differing(published[name].to_numpy(), table[name]) == {"std"}
    assert published[name].std() < table[name]["std"]


def test_book_to_market_jumps_in_march(published: pl.DataFrame) -> None:
    by_month = published.group_by(pl.col("month").dt.month() == 3).agg(pl.col("bm").std())
    deviation = dict(by_month.iter_rows())
    assert deviation[True] > 2.5 * deviation[False]


def test_the_tables_variance_is_a_squared_monthly_return(published: pl.DataFrame, table) -> None:
    target = table["rvar_crsp"]
    assert published["svar"].std() < 0.3 * target["std"]
    path = DATA / "french" / "F-F_Research_Data_Factors.CSV"
    tables = french.read(path, read_rows(path))
    months = month_range(date(1973, 1, 1), MONTHS[-1])
    market = french_factors(tables, months)["mkt"].to_numpy()
    squared = _statistics(np.diff(np.log(market**2)))
    assert squared["std"] == pytest.approx(target["std"], rel=0.02)
    assert squared["p25"] == pytest.approx(target["p25"], rel=0.02)
    assert squared["p75"] == pytest.approx(target["p75"], rel=0.10)
