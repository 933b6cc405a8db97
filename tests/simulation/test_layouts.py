"""Written files against a plain reading of the vendors' layouts, with csv and pandas alone."""

import csv
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pipeline.simulation.fred_md import REPLACED, REPLACEMENT
from pipeline.simulation.layouts import UNDATED, date_column, write_extracts
from pipeline.simulation.market import Market


def _rows(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [[cell.strip() for cell in row] for row in csv.reader(file, delimiter=delimiter)]


def test_every_table_has_a_date_column_and_one_file(tiny: Market, extracts: Path) -> None:
    for name, frame in tiny.tables.items():
        if name in UNDATED:
            with pytest.raises(KeyError, match=f"the rows of {name} are not dated"):
                date_column(name)
            continue
        assert frame[date_column(name)].dtype == pl.Date, name
        # Some issues have only the day from which their interest accrues.
        assert (frame[date_column(name)].null_count() == 0) == (name != "fisd.fisd_mergedissue"), name
    assert len([path for path in extracts.rglob("*") if path.is_file()]) == len(tiny.tables)


def test_index_constituents(tiny: Market, extracts: Path) -> None:
    frame = tiny.tables["bonds.index_constituents"]
    read = pd.read_csv(extracts / "bonds.index_constituents.csv")
    assert list(read.columns) == frame.columns
    for name in ("Price_BOM", "Return", "marketcap"):
        expected = frame[name].to_numpy()
        np.testing.assert_array_equal(read[name].to_numpy(), expected)
    assert list(read["Maturity"].dropna()) == frame["Maturity"].drop_nulls().cast(pl.String).to_list()


def test_yfinance_header(tiny: Market, extracts: Path) -> None:
    rows = _rows(extracts / "prices" / "VIX.csv")
    assert rows[0] == ["Price", "Adj Close", "Close", "High", "Low", "Open", "Volume"]
    assert rows[1] == ["Ticker"] + ["^VIX"] * 6
    assert rows[2] == ["Date"] + [""] * 6
    frame = tiny.tables["prices/VIX"]
    assert [float(row[2]) for row in rows[3:]] == frame["Close"].to_list()
    assert [date.fromisoformat(row[0]) for row in rows[3:]] == frame["Date"].to_list()
    assert (frame["Low"] <= frame["Close"]).all()
    assert (frame["High"] >= frame["Close"]).all()


def test_french_sections(tiny: Market, extracts: Path) -> None:
    path = extracts / "french" / "F-F_Research_Data_5_Factors_2x3.CSV"
    rows = _rows(path)
    assert b"\r\n" in path.read_bytes()
    header = rows.index(["", "Mkt-RF", "SMB", "HML", "RMW", "CMA", "RF"])
    assert header > 2
    monthly = [row for row in rows[header + 1 :] if row and len(row[0]) == 6 and row[0].isdigit()]
    frame = tiny.tables["french/F-F_Research_Data_5_Factors_2x3"]
    assert [row[0] for row in monthly] == [f"{day:%Y%m}" for day in frame["date"]]
    np.testing.assert_allclose([[float(x) for x in row[1:]] for row in monthly], frame.drop("date").to_numpy())
    annual = [row for row in rows if row and len(row[0]) == 4 and row[0].isdigit()]
    year = frame.filter(pl.col("date").dt.year() == 2020)["Mkt-RF"].to_numpy()
    published = next(float(row[1]) for row in annual if row[0] == "2020")
    assert published == pytest.approx(100 * (np.prod(1 + year / 100) - 1), abs=0.0051)
    assert rows[-1][0].startswith("Copyright")


def test_momentum_is_missing_until_a_year_has_passed(tiny: Market, extracts: Path) -> None:
    rows = _rows(extracts / "french" / "F-F_Momentum_Factor.CSV")
    values = [float(row[1]) for row in rows if row and len(row[0]) == 6 and row[0].isdigit()]
    assert values[:12] == [-99.99] * 12
    assert min(values[12:]) > -60
    assert len(values) == tiny.economy.clock.n - 1


def test_french_daily_has_slashes(tiny: Market, extracts: Path) -> None:
    rows = _rows(extracts / "french" / "F-F_Research_Data_Factors_daily.CSV")
    assert rows[0] == ["Date", "Mkt-RF", "SMB", "HML", "RF"]
    days = [datetime.strptime(row[0], "%Y/%m/%d").date() for row in rows[1:]]
    assert days == tiny.tables["french/F-F_Research_Data_Factors_daily"]["date"].to_list()


def test_factor_files(tiny: Market, extracts: Path) -> None:
    q = _rows(extracts / "factors" / "q5_factors_monthly.csv")
    assert q[0] == ["year", "month", "R_F", "R_MKT", "R_ME", "R_IA", "R_ROE", "R_EG"]
    assert q[-1][:2] == ["2024", "12"]
    text = (extracts / "factors" / "liq_data.txt").read_text().splitlines()
    comments = [line for line in text if line.startswith("%")]
    data = [line.split("\t") for line in text[len(comments) :]]
    assert data[0][3] == "-99"
    assert float(data[-1][2]) == tiny.tables["factors/liq_data"]["Innov Liq (eq8)"][-1]
    intermediary = _rows(extracts / "factors" / "He_Kelly_Manela_Factors_monthly.csv")
    assert intermediary[0][0] == "yyyymm"
    assert intermediary[-1][0] == "202412"


def test_goyal_welch_sheet(extracts: Path) -> None:
    rows = _rows(extracts / "goyal_welch" / "PredictorData.csv")
    assert {"Index", "D12", "b/m", "tbl", "AAA", "BAA", "ntis", "svar", "CRSP_SPvwx"} <= set(rows[0])
    column = rows[0].index("csp")
    assert all(row[column] == "NaN" for row in rows[1:])
    d12 = rows[0].index("D12")
    assert [row[d12] == "NaN" for row in rows[1:]].count(True) == 10


def test_fred_files(tiny: Market, extracts: Path) -> None:
    older, newer = _rows(extracts / "fred" / "DGS20.csv"), _rows(extracts / "fred" / "DGS10.csv")
    assert older[0] == ["DATE", "DGS20"]
    assert newer[0] == ["observation_date", "DGS10"]
    christmas = [row[1] for row in older if row[0] == "2023-12-25"], [row[1] for row in newer if row[0] == "2023-12-25"]
    assert christmas == (["."], [""])
    days = [date.fromisoformat(row[0]) for row in newer[1:]]
    assert all(day.weekday() < 5 for day in days)
    assert _rows(extracts / "fred" / "GS10.csv")[-1][0] == "2024-12-01"


def test_fred_md_vintages(tiny: Market, extracts: Path) -> None:
    paths = sorted((extracts / "fred_md").iterdir())
    assert [path.stem for path in paths][-1] == "2024-12"
    seen = []
    for path in paths:
        rows = _rows(path)
        names, codes = rows[0], rows[1]
        assert codes[0] == "Transform:"
        assert {int(code) for code in codes[1:]} == {1, 2, 4, 5, 6, 7}
        assert all(cell == "" for cell in rows[-1])
        data = [row for row in rows[2:] if row[0]]
        month, _, year = data[-1][0].split("/")
        published = pd.Period(path.stem, "M")
        assert published - 1 == pd.Period(f"{year}-{int(month):02d}", "M")
        ends = {name: max(i for i, row in enumerate(data) if row[j]) for j, name in enumerate(names) if j}
        lags = {name: len(data) - last for name, last in ends.items()}
        assert lags["INDPRO"] == 1
        assert lags["CMRMTSPLx"] == 2
        assert lags["S&P PE ratio"] == 3
        seen.append(set(names))
    assert {REPLACED, REPLACEMENT} & seen[0] == {REPLACED}
    assert {REPLACED, REPLACEMENT} & seen[-1] == {REPLACEMENT}


def test_fred_md_revises_recent_values(tiny: Market) -> None:
    vintages = [name for name in tiny.tables if name.startswith("fred_md/")]
    first, last = tiny.tables[vintages[0]], tiny.tables[vintages[-1]]
    pairs = first.join(last, on="sasdate", suffix="_later")
    change = (pairs["INDPRO"] / pairs["INDPRO_later"] - 1).abs().to_numpy()
    assert change[-1] > 0
    assert change[-12:].mean() > 5 * change[:-48].mean()
    assert (pairs["GS10"] == pairs["GS10_later"]).all()


def test_parquet_only_for_plain_tables(tiny: Market, tmp_path: Path) -> None:
    one = {"prices/VIX": tiny.tables["prices/VIX"]}
    with pytest.raises(ValueError, match="prices/VIX has a layout of its own"):
        write_extracts(one, tmp_path, parquet=["prices/VIX"])
    with pytest.raises(KeyError, match="no layout for table 'compustat'"):
        write_extracts({"compustat": one["prices/VIX"]}, tmp_path)
