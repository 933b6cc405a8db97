"""Every published layout, in every accepted container, gives the rows a person reads in it."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extracts.index_constituents import isin_of_cusip
from pipeline.extracts.reading import read_rows
from pipeline.extracts.registry import LAYOUTS, TABULARS
from resources.extracts import ExtractStore
from tests.extracts import layout_samples as samples

JUN, JUL, AUG = date(2008, 6, 1), date(2008, 7, 1), date(2008, 8, 1)
Drop = Callable[..., Path]

EXPECTED: dict[str, list[tuple[object, ...]]] = {
    "french.factors_3": [(JUN, -8.44, 1.16, -2.55, 0.17), (JUL, -0.77, 2.45, 5.36, 0.15), (AUG, 1.53, 3.7, None, 0.13)],
    "french.factors_5": [(JUN, -8.44, 0.72, -2.68, 3.01, 1.83, 0.17), (JUL, -0.77, 2.98, 5.36, -0.9, -2.97, 0.15)],
    "french.momentum": [(JUN, 12.7)],
    "french.factors_3_daily": [
        (date(2008, 6, 2), JUN, -1.0, 0.1, 0.2, 0.008),
        (date(2008, 6, 3), JUN, -0.5, 0.2, 0.1, 0.008),
        (date(2008, 6, 4), JUN, 0.1, 0.3, -0.1, 0.008),
        (date(2008, 7, 1), JUL, 0.2, 0.3, -0.2, 0.007),
    ],
    "french.10_industry_portfolios": [
        (JUN, "Durbl", 2.0),
        (JUN, "NoDur", 1.0),
        (JUL, "Durbl", 4.0),
        (JUL, "Hlth", 5.0),
        (JUL, "NoDur", 3.0),
    ],
    "factors.q": [
        (JUN, 0.17, -8.44, 1.1, -2.0, 3.0, 1.5),
        (date(2008, 10, 1), 0.08, -17.23, -2.0, 1.0, 2.0, 2.5),
    ],
    "factors.liquidity": [(JUN, -0.1, 0.02, None), (JUL, -0.2, -0.03, 0.01)],
    "factors.intermediary": [(JUN, 0.0691, -0.0727, -0.096, 209.179)],
    "factors.hml_devil": [(JUN, -0.0123), (JUL, 0.0456)],
    "prices.LQD": [
        (date(2008, 6, 27), JUN, 100.2, 101.0, 100.0, 100.5, 60.5, 21200.0),
        (date(2008, 6, 30), JUN, 100.3, 101.1, 100.1, 100.6, 60.6, 21300.0),
        (date(2008, 7, 1), JUL, 100.4, 101.2, 100.2, 100.7, 60.7, 21400.0),
    ],
    "prices.VIX": [
        (date(2008, 6, 30), JUN, 23.9, 24.3, 23.0, 23.95, 23.95, None),
        (date(2008, 7, 1), JUL, 24.0, 25.0, 23.5, 23.65, 23.65, None),
    ],
    "fred.DGS10": [(date(2008, 6, 27), JUN, 3.99), (date(2008, 6, 30), JUN, 3.99), (date(2008, 7, 1), JUL, 4.01)],
    "fred_md.2008-07": [
        (date(2008, 5, 1), "HOUST", 4, 982.0),
        (date(2008, 5, 1), "RPI", 5, 12000.5),
        (date(2008, 5, 1), "S&P 500", 5, 1403.2),
        (JUN, "HOUST", 4, 1089.0),
        (JUN, "RPI", 5, None),
        (JUN, "S&P 500", 5, 1341.3),
    ],
    "treasury.zero_yields": [(JUN, date(2008, 6, 30), 12 * (n + 1), 3.0 + n / 10) for n in range(11)],
    "anomalies.ls": [(JUN, "BM", -166.06), (JUL, "Accruals", 1.5), (JUL, "BM", 2.5)],
}


@pytest.fixture
def everything(drop: Drop, store: ExtractStore) -> ExtractStore:
    for name, text in samples.SAMPLES.items():
        drop(name, text)
    store.refresh()
    return store


def test_every_layout_gives_the_rows_one_reads_in_it(everything: ExtractStore) -> None:
    for table, rows in EXPECTED.items():
        assert everything.scan(table).collect().rows() == rows, table


def test_every_sample_is_recognised(everything: ExtractStore) -> None:
    assert set(everything.available()) == {*EXPECTED, "goyal_welch.predictors"}
    assert everything.unusable() == {}


def test_predictors(everything: ExtractStore) -> None:
    frame = everything.scan("goyal_welch.predictors").collect()
    assert frame.get_column("index").to_list() == [1280.0, 1267.38]
    assert frame.get_column("bm").to_list() == [0.35, 0.34]
    assert frame.get_column("infl").to_list() == [None, 0.005]
    assert frame.get_column("csp").to_list() == [None, None]
    assert "user_column" not in frame.columns


def _recased(text: str) -> str:
    """Upper-case the header of a plain table."""
    head, _, body = text.partition("\n")
    return f"{head.upper()}\n{body}"


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("fred/DGS10.csv", "fred.DGS10"),
        ("factors/q5.csv", "factors.q"),
        ("factors/hkm.csv", "factors.intermediary"),
        ("french/F-F_Research_Data_Factors_daily.csv", "french.factors_3_daily"),
        ("goyal_welch/PredictorData2022.csv", "goyal_welch.predictors"),
        ("prices/VIX.csv", "prices.VIX"),
    ],
)
@pytest.mark.parametrize("container", [".CSV.GZ", ".parquet", ".CSV"])
def test_containers_and_case_do_not_matter(
    name: str, table: str, container: str, drop: Drop, store: ExtractStore
) -> None:
    text = samples.SAMPLES[name]
    plain = drop(name, text)
    store.refresh([table])
    before = store.digests(table)
    plain.unlink()
    target = str(Path(name).with_suffix("")) + container
    if container == ".parquet":
        rows = list(csv.reader(io.StringIO(text)))
        drop(target, pl.DataFrame(rows[1:], schema=rows[0], orient="row"))
    else:
        drop(target, _recased(text))
    store.refresh([table])
    assert store.digests(table) == before


@pytest.mark.parametrize(
    "name", ["fred/DGS10.csv", "factors/q5.csv", "anomalies/ls.csv", "prices/LQD.csv", "fred_md/2008-07.csv"]
)
def test_order_of_rows_does_not_matter(name: str, drop: Drop, store: ExtractStore) -> None:
    text = samples.SAMPLES[name]
    drop(name, text)
    (table,) = store.refresh()
    before = store.digests(table)
    lines = text.splitlines()
    head = {"prices/LQD.csv": 3, "fred_md/2008-07.csv": 2}.get(name, 1)
    drop(name, "\n".join([*lines[:head], *reversed(lines[head:])]))
    assert store.refresh() == {table: False}
    assert store.digests(table) == before


def test_numbers_in_parquet_keep_every_bit(drop: Drop, store: ExtractStore) -> None:
    values = [0.1 + 0.2, 1 / 3, 1e-17, 123456789.123456789]
    days = [date(2008, 6, 2), date(2008, 6, 3), date(2008, 6, 4), date(2008, 6, 5)]
    drop("fred/X.parquet", pl.DataFrame({"DATE": days, "X": values}))
    store.refresh()
    assert store.scan("fred.X").collect().get_column("value").to_list() == values


def test_a_merged_file_of_factors_gives_every_table(drop: Drop, store: ExtractStore) -> None:
    drop(
        "french/all.csv",
        "date,Mkt-RF,SMB,HML,RF,SMB_5,RMW,CMA,MOM\n"
        "1926-07-31,2.96,-2.3,-2.87,0.22,,,,\n1963-07-31,-0.39,-0.46,-0.81,0.27,-0.41,0.68,-1.18,0.9\n",
    )
    store.refresh()
    assert store.scan("french.factors_3").collect().get_column("smb").to_list() == [-2.3, -0.46]
    assert store.scan("french.factors_5").collect().get_column("smb").to_list() == [None, -0.41]
    assert store.scan("french.momentum").collect().rows() == [(date(1963, 7, 1), 0.9)]


def test_french_text_files_with_blanks_between_columns(drop: Drop, store: ExtractStore) -> None:
    drop("french/F-F.txt", "Created by someone\n\n        Mkt-RF   SMB   HML    RF\n200806  -8.44  1.16 -2.55  0.17\n")
    store.refresh()
    assert store.scan("french.factors_3").collect().rows() == [(JUN, -8.44, 1.16, -2.55, 0.17)]


def test_a_blank_line_inside_a_section_ends_nothing(drop: Drop, store: ExtractStore) -> None:
    drop("french/F-F_Momentum_Factor.csv", ",Mom\n200806,1.0\n\n200807,2.0\n")
    store.refresh()
    assert store.scan("french.momentum").collect().rows() == [(JUN, 1.0), (JUL, 2.0)]


def test_predictors_from_the_monthly_sheet_of_a_workbook(drop: Drop, store: ExtractStore) -> None:
    rows = list(csv.reader(io.StringIO(samples.PREDICTORS)))
    drop("goyal_welch/PredictorData2022.csv", samples.PREDICTORS)
    store.refresh()
    before = store.digests("goyal_welch.predictors")
    (store.folder / "goyal_welch/PredictorData2022.csv").unlink()
    other = [["yyyy", "Index"], ["2008", "9"]]
    drop("goyal_welch/PredictorData2022.XLSX", samples.workbook({"List1": other, "Monthly": rows}))
    store.refresh()
    assert store.digests("goyal_welch.predictors") == before


def test_devil_from_its_sheet_among_others(drop: Drop, store: ExtractStore) -> None:
    sheet = [["Asness and Frazzini"], ["DATE", "AUS", "USA"], ["06/30/2008", "0.1", "-0.0123"]]
    drop("factors/devil.xlsx", samples.workbook({"MKT": [["DATE", "USA"], ["06/30/2008", "9"]], "HML Devil": sheet}))
    store.refresh()
    assert store.scan("factors.hml_devil").collect().rows() == [(JUN, -0.0123)]


def test_liu_wu_yields(drop: Drop, store: ExtractStore) -> None:
    header = ["", *(f"{n:3d} m" for n in range(1, 133))]
    rows = [["Data source: Liu and Wu"], header, ["200806", *(str(n / 100) for n in range(1, 133))]]
    drop("treasury/LW_monthly.xlsx", samples.workbook({"Sheet1": rows}))
    store.refresh()
    frame = store.scan("treasury.zero_yields").collect()
    assert frame.rows()[11] == (JUN, date(2008, 6, 30), 12, 0.12)
    assert frame.height == 132


def test_cboe_keeps_the_name_of_its_download(drop: Drop, store: ExtractStore) -> None:
    drop("prices/VIX_History.csv", samples.CBOE)
    assert list(store.available()) == ["prices.VIX"]


def test_index_rows_are_known_a_month_before_they_are_earned(drop: Drop, store: ExtractStore) -> None:
    frame = samples.index_rows(samples.MONTHS, bonds=2).with_columns(
        Return=pl.Series([1.5, -99.99, 2.5, 3.5, 4.5, 5.5]), PD_DRISK=pl.Series([-99.99, 0.1, 0.2, 0.3, 0.4, 0.5])
    )
    drop("bonds.index_constituents.csv", frame)
    store.refresh()
    snapshot = store.scan("bonds.index_snapshot").collect()
    assert snapshot.get_column("month").unique().sort().to_list() == [JUN, JUL, AUG]
    assert snapshot.get_column("pd_drisk").to_list() == [None, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert "return" not in snapshot.columns
    assert store.scan("bonds.index_returns").collect().rows()[:2] == [
        (JUL, "US00184AA000", 1.5),
        (AUG, "US00184AA000", 2.5),
    ]


def test_index_columns_in_any_case_and_order_and_container(drop: Drop, store: ExtractStore) -> None:
    frame = samples.index_rows(samples.MONTHS)
    path = drop("bonds.index_constituents.csv", frame)
    store.refresh()
    before = store.digests("bonds.index_snapshot"), store.digests("bonds.index_returns")
    path.unlink()
    upper = frame.rename(str.upper).select(reversed(frame.rename(str.upper).columns)).sample(fraction=1, shuffle=True)
    drop("bonds.index_constituents/1.CSV.GZ", upper[:7])
    drop("bonds.index_constituents/2.parquet", upper[7:12].rename(str.lower))
    drop("bonds.index_constituents/3.csv", upper[12:].with_columns(pl.col("PRICING_DATE").dt.strftime("%m/%d/%Y")))
    assert not any(store.refresh().values())
    assert (store.digests("bonds.index_snapshot"), store.digests("bonds.index_returns")) == before


def test_the_missing_code_in_single_precision_is_missing(drop: Drop, store: ExtractStore) -> None:
    frame = samples.index_rows(samples.MONTHS).with_columns(pl.lit(-99.99).cast(pl.Float32).alias("debt"))
    drop("bonds.index_constituents.parquet", frame)
    store.refresh()
    assert store.scan("bonds.index_snapshot").collect().get_column("debt").null_count() == frame.height


@pytest.mark.parametrize(
    ("cusip", "isin"),
    [
        ("00184AAB1", "US00184AAB17"),
        ("00184AAB", "US00184AAB17"),
        ("98978VAU", "US98978VAU70"),
        ("00184AAB2", None),
        ("1234", None),
        (None, None),
    ],
)
def test_isin_from_cusip_as_the_notebook_prints_them(cusip: str | None, isin: str | None) -> None:
    assert isin_of_cusip(cusip) == isin


def test_a_blank_isin_is_computed_and_a_given_one_kept(drop: Drop, store: ExtractStore) -> None:
    frame = samples.index_rows(samples.MONTHS, bonds=2).with_columns(
        ISIN=pl.Series([None, "XS2091666748"] * 3), Cusip=pl.Series(["00184AAB", "00206RJR"] * 3)
    )
    drop("bonds.index_constituents.csv", frame)
    store.refresh()
    isins = store.scan("bonds.index_snapshot").collect().get_column("isin").unique().sort().to_list()
    assert isins == ["US00184AAB17", "XS2091666748"]


@pytest.mark.parametrize("container", [".csv", ".parquet"])
def test_crsp_index(container: str, drop: Drop, store: ExtractStore) -> None:
    frame = pl.DataFrame(
        {"DATE": [20080630, 20080731], "VWRETD": [-0.0789, None], "vwretx": [-0.08, -0.01]}
    ).with_columns(totval=pl.lit(1e10), sprtrn=pl.lit(-0.086))
    drop(f"CRSP.MSI{container}", frame)
    store.refresh()
    assert store.scan("crsp.msi").collect().rows() == [
        (date(2008, 6, 30), JUN, -0.0789, -0.08, 1e10, -0.086),
        (date(2008, 7, 31), JUL, None, -0.01, 1e10, -0.086),
    ]


def test_a_long_text_above_the_numbers_is_passed_over(drop: Drop, store: ExtractStore) -> None:
    drop("treasury/zero_yields.csv", "A line of notes without a number\n" * 2000 + samples.zero_yields())
    assert store.refresh() == {"treasury.zero_yields": True}


@given(st.text(alphabet="ab1,. \n\r\té", max_size=60))
def test_cells_without_quotation_marks_are_those_of_the_csv_module(text: str) -> None:
    expected = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        Path(file.name).write_bytes(text.encode())
        rows = read_rows(Path(file.name))
    # A blank line is a row without cells there and one of a blank cell here.
    assert [rows[line] for line in range(len(rows))] == [row or [""] for row in expected]
    assert rows.filled.tolist() == [any(row) for row in expected]


def test_the_registry_is_consistent() -> None:
    for tabular in TABULARS:
        names = {column.name for column in tabular.columns}
        assert names >= set(tabular.dated_by)
        assert tabular.dated_by or tabular.undated is not None
        for view in tabular.views:
            assert set(view.table.key) <= set(view.table.schema.column_names())
            assert "month" in view.table.schema.column_names()
    assert len({layout.folder for layout in LAYOUTS}) == len(LAYOUTS)
    assert all(wanted.startswith(f"{layout.folder}/") for layout in LAYOUTS for wanted in layout.wants.values())
