"""Every layout of the real public files is read, and gives figures that one finds in the files by eye."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from resources.extracts import ExtractStore

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data are not at {DATA}")

PLACES = {
    "french": "french",
    "factors": "factors",
    "goyal_welch": "goyal_welch",
    "fred_md": "fred_md",
    "anomalies": "anomalies",
    "treasury/DGS*.csv": "fred",
    "treasury/*.xlsx": "treasury",
    "lqd": "prices",
    "vix/VIX.csv": "prices",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ExtractStore:
    folder = tmp_path_factory.mktemp("extracts")
    for source, place in PLACES.items():
        (folder / place).mkdir(exist_ok=True)
        found = list((DATA / source).iterdir()) if (DATA / source).is_dir() else list(DATA.glob(source))
        assert found, source
        for file in found:
            shutil.copyfile(file, folder / place / file.name)
    store = ExtractStore(folder, tmp_path_factory.mktemp("staged"))
    store.refresh()
    return store


COVERAGE = {
    "french.factors_3": (1133, "1926-07-01", "2020-11-01"),
    "french.factors_5": (738, "1963-07-01", "2024-12-01"),
    "french.momentum": (1127, "1927-01-01", "2020-11-01"),
    "french.factors_3_daily": (24140, "1926-07-01", "2017-12-01"),
    "french.10_industry_portfolios_monthly": (1196 * 10, "1926-07-01", "2026-02-01"),
    "factors.q": (684, "1967-01-01", "2023-12-01"),
    "factors.liquidity": (737, "1962-08-01", "2023-12-01"),
    "factors.intermediary": (587, "1970-01-01", "2018-11-01"),
    "goyal_welch.predictors": (1824, "1871-01-01", "2022-12-01"),
    "treasury.zero_yields": (None, "1961-06-01", "2022-12-01"),
    "fred_md.2023-01": (768 * 127, "1959-01-01", "2022-12-01"),
    "prices.LQD": (5829, "2002-07-01", "2025-09-01"),
    "prices.VIX": (5052, "2005-01-01", "2024-12-01"),
    "anomalies.predictorlsretwide": (None, "1926-01-01", "2022-12-01"),
}


@pytest.mark.parametrize("table", COVERAGE)
def test_coverage(table: str, store: ExtractStore) -> None:
    rows, first, last = COVERAGE[table]
    assert (str(store.first_month(table)), str(store.last_month(table))) == (first, last)
    assert rows is None or sum(store.rows(table).values()) == rows


def test_only_the_description_of_signals_is_left_alone(store: ExtractStore) -> None:
    assert [path.name for path in store.unusable()] == ["SignalDoc.csv"]


@pytest.mark.parametrize(
    ("table", "where", "expected"),
    [
        ("french.factors_3", {"month": date(1926, 7, 1)}, {"mkt_rf": 2.96, "smb": -2.3, "hml": -2.87, "rf": 0.22}),
        ("french.factors_5", {"month": date(2024, 12, 1)}, {"mkt_rf": -3.17, "smb": -3.87, "rmw": 1.82, "rf": 0.37}),
        ("french.momentum", {"month": date(1927, 2, 1)}, {"wml": -1.32}),
        ("french.factors_3_daily", {"date": date(2017, 12, 29)}, {"mkt_rf": -0.57, "rf": 0.004}),
        ("factors.q", {"month": date(1967, 1, 1)}, {"r_f": 0.3927, "r_mkt": 8.1852, "r_eg": -2.5511}),
        ("factors.liquidity", {"month": date(1962, 8, 1)}, {"innov_liq": 0.00426023, "traded_liq": None}),
        ("factors.liquidity", {"month": date(2023, 12, 1)}, {"traded_liq": 0.03728561}),
        ("goyal_welch.predictors", {"month": date(2022, 12, 1)}, {"index": 3839.5, "bm": 0.216198725, "csp": None}),
        ("prices.LQD", {"date": date(2002, 7, 31)}, {"adj_close": 38.31938171386719, "close": 101.98999786376953}),
        ("fred_md.2023-01", {"month": date(2022, 12, 1), "series": "RPI"}, {"value": 17806.643, "tcode": 5}),
        ("fred_md.2023-01", {"month": date(2022, 12, 1), "series": "CMRMTSPLx"}, {"value": None}),
        ("treasury.zero_yields", {"month": date(1961, 6, 1), "maturity_months": 2}, {"zero_yield": 2.193761991}),
        ("fred.DGS10", {"date": date(2005, 1, 3)}, {"value": 4.23}),
    ],
)
def test_figures(table: str, where: dict[str, object], expected: dict[str, object], store: ExtractStore) -> None:
    keys = [pl.col(name) == value for name, value in where.items()]
    (row,) = store.scan(table).filter(*keys).collect().to_dicts()
    assert {name: row[name] for name in expected} == expected


def test_both_layouts_of_the_vix_agree(store: ExtractStore, tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    shutil.copyfile(DATA / "vix" / "VIX_History.csv", tmp_path / "prices" / "VIX_History.csv")
    other = ExtractStore(tmp_path, tmp_path / "staged")
    other.refresh()
    closes = [one.scan("prices.VIX").select("date", "close").collect() for one in (store, other)]
    joined = closes[0].join(closes[1], on="date")
    assert joined.height == closes[0].height
    assert (joined["close"] - joined["close_right"]).abs().max() < 0.006


def test_zero_yields_reach_eleven_years_from_the_start_of_the_longer_maturities(store: ExtractStore) -> None:
    recent = store.scan("treasury.zero_yields", date(2008, 6, 1), date(2008, 6, 1)).collect()
    assert set(range(12, 133, 12)) <= set(recent.get_column("maturity_months"))
    assert recent.get_column("date").unique().to_list() == [date(2008, 6, 30)]
