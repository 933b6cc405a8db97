"""Every kind of bad input is refused with file, column, count, rows and remedy, and what was staged stays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipeline.extracts.errors import BadExtract
from resources.extracts import ExtractStore
from tests.extracts import layout_samples as samples

Drop = Callable[..., Path]
INDEX = "bonds.index_constituents"


def tree(folder: Path) -> dict[str, bytes]:
    """Every staged file with its bytes; locks hold no content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def index() -> pl.DataFrame:
    return samples.index_rows(samples.MONTHS)


def at(frame: pl.DataFrame, column: str, row: int, value: object) -> pl.DataFrame:
    """The frame as text with one cell replaced."""
    text = frame.with_columns(pl.all().cast(pl.String))
    cells = text.get_column(column).to_list()
    cells[row] = value
    return text.with_columns(pl.Series(column, cells, dtype=pl.String))


@dataclass(frozen=True)
class Bad:
    """A bad file in place of a good one, and what its message must say."""

    file: str
    good: str | pl.DataFrame
    bad: str | bytes | pl.DataFrame
    says: tuple[str, ...]
    column: str | None
    count: int | None
    rows: bool = True


F3, DAILY, LQD = samples.FACTORS_3, samples.DAILY, samples.YFINANCE
MD, Q, VINTAGE = samples.FRED_MD, samples.Q_FACTORS, "fred_md/2008-07.csv"
FF = "french/F-F_Research_Data_Factors.csv"
CSV, PARQUET = f"{INDEX}.csv", f"{INDEX}.parquet"

CASES = {
    "missing column, text layout": Bad(
        FF, F3, F3.replace(",Mkt-RF,SMB,HML,RF", ",Mkt-RF,SMB,XYZ,RF"), ("missing",), "HML", 3, False
    ),
    "missing column, tabular": Bad(
        CSV, index(), index().drop("Rating", "debt"), ("missing",), "Rating, debt", None, False
    ),
    "missing column, parquet": Bad(PARQUET, index(), index().drop("ISIN"), ("missing",), "ISIN", None, False),
    "missing column, prices": Bad(
        "prices/LQD.csv", LQD, LQD.replace("Close,High", "Shut,High"), ("missing",), "Close", 3, False
    ),
    "missing maturity": Bad(
        "treasury/z.csv", samples.zero_yields(), samples.zero_yields(years=10), ("11 years",), None, 3, False
    ),
    "missing transform row": Bad(
        "fred_md/2008-07.csv",
        samples.FRED_MD,
        samples.FRED_MD.replace("Transform:,5,5,4\n", ""),
        ("Transform",),
        "sasdate",
        1,
    ),
    "wrong transformation code": Bad(VINTAGE, MD, MD.replace(",5,5,4", ",5,9,4"), ("1 to 7",), "S&P 500", 1),
    "wrong type, text layout": Bad(FF, F3, F3.replace("2.45", "abc"), ("no number", "abc"), "SMB", 1),
    "wrong type, tabular": Bad(CSV, index(), at(index(), "debt", 3, "n.a.?"), ("no number", "n.a.?"), "debt", 1),
    "wrong type, parquet": Bad(
        PARQUET, index(), index().with_columns(Coupon=pl.lit(True)), ("BOOLEAN",), "Coupon", None, False
    ),
    "duplicate key, monthly": Bad(FF, F3, F3.replace("200807", "200806", 1), ("duplicate key",), "month", 2),
    "duplicate key, daily": Bad(
        "french/d.csv", DAILY, DAILY.replace("2008/06/03", "2008/06/02"), ("duplicate key", "2008-06-02"), "date", 2
    ),
    "duplicate key, tabular": Bad(
        CSV,
        index(),
        pl.concat([index(), index()[10:11]]),
        ("duplicate key", "Pricing_Date=2008-08-01, ISIN=US00184AA040"),
        "Pricing_Date, ISIN",
        2,
    ),
    "duplicate key, first month of a year": Bad(
        CSV,
        samples.index_rows([date(2009, 1, 1)]),
        samples.index_rows([date(2009, 1, 1)])[[0, 0, 1]],
        ("duplicate key", "Pricing_Date=2009-01-01"),
        "Pricing_Date, ISIN",
        2,
    ),
    "unparseable date, month 13": Bad(FF, F3, F3.replace("200807", "200813"), ("unparseable", "200813"), "date", 1),
    "a year before 1800, text layout": Bad(
        "fred/DGS10.csv",
        samples.FRED,
        samples.FRED.replace("2008-06-27", "0202-06-27"),
        ("unparseable", "0202-06-27"),
        "date",
        1,
    ),
    "a year after 2200, monthly": Bad(FF, F3, F3.replace("200807", "220101"), ("unparseable", "220101"), "date", 1),
    "a year before 1800, tabular": Bad(
        CSV, index(), at(index(), "Pricing_Date", 2, "0202-05-01"), ("unparseable", "0202-05-01"), "Pricing_Date", 1
    ),
    "a year after 2200, tabular": Bad(
        CSV, index(), at(index(), "Maturity", 2, "20310-04-15"), ("unparseable", "20310-04-15"), "Maturity", 1
    ),
    "a year before 1800, parquet": Bad(
        PARQUET,
        index(),
        index().with_columns(Pricing_Date=pl.date(pl.int_range(pl.len()) + 1783, 7, 1)),
        ("unparseable", "1783-07-01"),
        "Pricing_Date",
        17,
    ),
    "unparseable date, first row": Bad(
        "fred/DGS10.csv",
        samples.FRED,
        samples.FRED.replace("2008-06-27", "27.6.08"),
        ("unparseable", "27.6.08"),
        "date",
        1,
    ),
    "unparseable dates, all": Bad(
        "factors/q.csv",
        samples.Q_FACTORS,
        samples.Q_FACTORS.replace("2008,", "MMVIII,"),
        ("readable",),
        "year, month",
        3,
    ),
    "unparseable date, tabular": Bad(
        CSV, index(), at(index(), "Maturity", 2, "2031-13-45"), ("unparseable", "2031-13-45"), "Maturity", 1
    ),
    "blank date, tabular": Bad(CSV, index(), at(index(), "Pricing_Date", 2, None), ("unparseable",), "Pricing_Date", 1),
    "not the first of a month": Bad(
        CSV, index(), at(index(), "Pricing_Date", 0, "2008-07-31"), ("first of a month",), "Pricing_Date", 1
    ),
    "empty, no bytes": Bad(CSV, index(), b"", ("empty",), None, 0, False),
    "empty, header only": Bad(CSV, index(), index().clear(), ("no rows",), None, 0, False),
    "empty, parquet": Bad(PARQUET, index(), index().clear(), ("no rows",), None, 0, False),
    "empty, text layout": Bad("fred/DGS10.csv", samples.FRED, "observation_date,DGS10\n", ("no row",), None, 1),
    "empty, all missing": Bad(
        "fred/DGS10.csv", samples.FRED, "observation_date,DGS10\n2008-01-02,.\n", ("no rows",), None, 0, False
    ),
    "non-finite, text layout": Bad("prices/LQD.csv", LQD, LQD.replace("100.7", "inf"), ("non-finite",), "Close", 1),
    "non-finite, csv": Bad(CSV, index(), at(index(), "ebitda", 1, "-inf"), ("non-finite",), "ebitda", 1),
    "non-finite, overflow": Bad(CSV, index(), at(index(), "ebitda", 1, "1e999"), ("non-finite",), "ebitda", 1),
    "non-finite, parquet": Bad(
        PARQUET, index(), index().with_columns(ebitda=pl.lit(float("inf"))), ("non-finite",), "ebitda", 18
    ),
    "return below -1, percent": Bad(
        CSV, index(), at(index(), "Return", 5, "-100.01"), ("below -1", "percent"), "Return", 1
    ),
    "return below -1, factors": Bad(FF, F3, F3.replace("-8.44", "-844"), ("below -1",), "Mkt-RF", 1),
    "return below -1, decimals": Bad(
        "crsp.msi.csv",
        "date,vwretd,vwretx,totval,sprtrn\n20080630,-0.08,-0.08,1,-0.08\n",
        "date,vwretd,vwretx,totval,sprtrn\n20080630,-8.44,-0.08,1,-0.08\n",
        ("below -1",),
        "vwretd",
        1,
    ),
    "duplicate month, in the words of the file": Bad(
        "crsp.msi.csv",
        "date,vwretd,vwretx,totval,sprtrn\n20080630,-0.08,-0.08,1,-0.08\n",
        "date,vwretd,vwretx,totval,sprtrn\n20080630,-0.08,-0.08,1,-0.08\n20080629,-0.08,-0.08,1,-0.08\n",
        ("duplicate key", "  date=2008-06-29\n  date=2008-06-30"),
        "date",
        2,
    ),
    "column named like the date": Bad(
        "anomalies/ls.csv",
        samples.ANOMALIES,
        samples.ANOMALIES.replace("BM", "date"),
        ("repeats",),
        "date",
        None,
        False,
    ),
    "price of zero": Bad("prices/LQD.csv", LQD, LQD.replace("60.5", "0.0"), ("at or below 0",), "Adj Close", 1),
    "shrunken month": Bad(
        CSV,
        index(),
        pl.concat([index()[:6], index()[6:8], index()[12:]]),
        ("half", "Pricing_Date=2008-08-01"),
        "Pricing_Date",
        2,
    ),
    "shrunken last month": Bad(CSV, index(), index()[:14], ("half", "Pricing_Date=2008-09-01"), "Pricing_Date", 2),
    "month without rows": Bad(
        CSV, index(), pl.concat([index()[:6], index()[12:]]), ("half", "Pricing_Date=2008-08-01"), "Pricing_Date", 0
    ),
    "no key to complete": Bad(
        CSV, index(), at(index(), "ISIN", 1, None), ("CUSIP", "Pricing_Date=2008-07-01, Cusip=Cusip 1"), "ISIN", 1
    ),
    "truncated csv": Bad(
        CSV, index(), index().write_csv()[:-60].encode(), ("cannot be read to its end",), None, None, False
    ),
    "truncated text layout": Bad(FF, F3, F3[: F3.index("3.70") + 2], ("truncated",), None, 1),
    "truncated in a date": Bad(FF, F3, F3[: F3.index("200808") + 4], ("truncated",), None, 1),
    "truncated vintage": Bad(VINTAGE, MD, MD[:82], ("truncated",), None, 1),
    "corrupt text": Bad(
        "fred/DGS10.csv", samples.FRED, b"observation_date,DGS10\n\x00\x01", ("no text",), None, None, False
    ),
    "corrupt parquet": Bad(PARQUET, index(), b"PAR1 nothing like it", ("cannot be read",), None, None, False),
    "corrupt small parquet": Bad("fred/X.parquet", "", b"PAR1 nothing", ("Parquet",), None, None, False),
    "corrupt workbook": Bad("treasury/z.xlsx", "", b"PK\x03\x04 nothing", ("workbook",), None, None, False),
    "repeated column": Bad(
        FF, F3, F3.replace(",Mkt-RF,SMB,HML,RF", ",Mkt-RF,SMB,SMB,RF", 1), ("repeats",), "SMB", None, False
    ),
    "repeated column, tabular": Bad(
        CSV, index(), index().with_columns(pl.col("debt").alias("DEBT")), ("twice",), "debt", None, False
    ),
    "weeks": Bad(
        "french/d.csv",
        DAILY,
        "Date,Mkt-RF,SMB,HML,RF\n" + "".join(f"2008/06/{day:02d},1,1,1,0.1\n" for day in (2, 9, 16, 23)),
        ("7 days apart",),
        "date",
        4,
        False,
    ),
    "series under another name": Bad(
        "fred/DGS10.csv", samples.FRED, samples.FRED.replace("DGS10", "GS10"), ("holds GS10",), "DGS10", 5, False
    ),
    "name without a vintage": Bad("fred_md/current.csv", "", samples.FRED_MD, ("vintage",), None, None, False),
    "unknown factors": Bad("factors/x.csv", "", "date,UMO\n200806,0.1\n", ("r_ia",), None, 1, False),
}


@pytest.fixture(scope="module")
def stage_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str | pl.DataFrame], Path]:
    """A stage of a good file; the many cases that share one share its stage."""
    stages: dict[tuple[str, str], Path] = {}

    def stage(name: str, good: str | pl.DataFrame) -> Path:
        text = good.write_csv() if isinstance(good, pl.DataFrame) else good
        if (name, text) not in stages:
            home = tmp_path_factory.mktemp("good")
            path = home / "extracts" / name
            path.parent.mkdir(parents=True)
            if name.endswith(".parquet"):
                assert isinstance(good, pl.DataFrame)
                good.write_parquet(path)
            else:
                path.write_bytes(text.encode())
            assert all(ExtractStore(home / "extracts", home / "staged").refresh().values())
            stages[name, text] = home / "staged"
        return stages[name, text]

    return stage


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_refused_with_the_whole_sentence_and_nothing_touched(
    case: Bad, drop: Drop, store: ExtractStore, stage_of: Callable[[str, str | pl.DataFrame], Path]
) -> None:
    if isinstance(case.good, pl.DataFrame) or case.good:
        shutil.copytree(stage_of(case.file, case.good), store.stage)
    drop("fred/GS10.csv", "observation_date,GS10\n2008-06-01,4.1\n")
    store.refresh()
    before = tree(store.stage)
    path = drop(case.file, case.bad)
    with pytest.raises(BadExtract) as caught:
        store.refresh()
    message = str(caught.value)
    assert str(path) in message
    assert all(words in message for words in case.says), message
    assert "Remedy: " in message
    assert caught.value.count == case.count
    assert bool(caught.value.rows) == case.rows
    if case.column is not None:
        assert caught.value.column == case.column
        assert f"column {case.column}:" in message
    assert tree(store.stage) == before


@pytest.mark.parametrize("cut", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", ["fred/DGS10.csv.gz", f"{INDEX}.csv.gz"])
def test_truncated_gzip(name: str, cut: float, drop: Drop, store: ExtractStore) -> None:
    content = index() if INDEX in name else samples.FRED
    path = drop(name, content)
    store.refresh()
    before = tree(store.stage)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * cut)])
    with pytest.raises(BadExtract, match=r"decompressed|read to its end"):
        store.refresh()
    assert tree(store.stage) == before


@pytest.mark.parametrize("name", ["fred/DGS10.csv.gz", f"{INDEX}.csv.gz"])
def test_gzip_with_a_wrong_checksum(name: str, drop: Drop, store: ExtractStore) -> None:
    path = drop(name, index() if INDEX in name else samples.FRED)
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF
    path.write_bytes(bytes(raw))
    with pytest.raises(BadExtract, match="CRC check failed"):
        store.refresh()


def test_truncated_parquet(drop: Drop, store: ExtractStore) -> None:
    path = drop(PARQUET, index())
    store.refresh()
    before = tree(store.stage)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadExtract, match="cannot be read to its end"):
        store.refresh()
    assert tree(store.stage) == before


def test_one_bad_file_of_a_folder_is_the_one_named(drop: Drop, store: ExtractStore) -> None:
    drop(f"{INDEX}/2008.csv", index()[:6])
    bad = drop(f"{INDEX}/2009.csv", at(index()[6:], "Coupon", 2, "x"))
    with pytest.raises(BadExtract) as caught:
        store.refresh()
    assert caught.value.files == (bad,)


@pytest.mark.parametrize(
    ("day", "taken"), [("1799-12-31", False), ("1800-01-01", True), ("2200-12-31", True), ("2201-01-01", False)]
)
def test_first_and_last_day_that_a_date_may_be(day: str, taken: bool, drop: Drop, store: ExtractStore) -> None:
    drop(CSV, at(index(), "Maturity", 2, day))
    drop("fred/DGS10.csv", samples.FRED.replace("2008-06-27", day))
    if taken:
        assert all(store.refresh().values())
        whole = [store.scan("fred.DGS10").collect()["date"], store.scan("bonds.index_snapshot").collect()["maturity"]]
        assert all(date.fromisoformat(day) in days.to_list() for days in whole)
        return
    # What never ends, as a perpetual bond, is dated far away: only the date that a row is known by ends in 2200.
    early = {"bonds.index_snapshot"} if date.fromisoformat(day) < date(1800, 1, 1) else set()
    for table in {"fred.DGS10", *early}:
        with pytest.raises(BadExtract, match=f"unparseable dates .*\n.*{day}"):
            store.refresh([table])


@pytest.mark.parametrize("name", [CSV, PARQUET])
def test_a_perpetual_bond_matures_after_all_others(name: str, drop: Drop, store: ExtractStore) -> None:
    perpetual = pl.col("ISIN") == "US00184AA020"
    far = pl.when(perpetual).then(date(9999, 12, 31)).otherwise("Maturity").alias("Maturity")
    drop(name, index().with_columns(far))
    store.refresh()
    bonds = store.scan("bonds.index_snapshot").collect()
    assert bonds.filter(pl.col("maturity") == bonds["maturity"].max())["isin"].unique().to_list() == ["US00184AA020"]
    assert bonds["maturity"].null_count() == 0
    assert bonds["maturity"].max() == date(9999, 12, 31)


@pytest.mark.parametrize("name", [CSV, PARQUET])
def test_no_row_is_dated_far_away(name: str, drop: Drop, store: ExtractStore) -> None:
    drop(name, index().with_columns(Pricing_Date=pl.date(9999, 12, 1)))
    with pytest.raises(BadExtract, match=r"column Pricing_Date: holds unparseable dates \(18 rows\)"):
        store.refresh()


@pytest.mark.parametrize("bad", [CSV, PARQUET, "crsp.msi.csv", "fred/DGS10.csv", VINTAGE, FF])
def test_a_wrong_year_stops_no_other_table(bad: str, drop: Drop, store: ExtractStore) -> None:
    contents: dict[str, str | pl.DataFrame] = {
        CSV: at(index(), "Pricing_Date", 2, "0202-05-01"),
        PARQUET: index().with_columns(Pricing_Date=pl.date(202, 5, 1)),
        "crsp.msi.csv": "date,vwretd,vwretx,totval,sprtrn\n0202-05-30,-0.08,-0.08,1,-0.08\n",
        "fred/DGS10.csv": samples.FRED.replace("2008-06-27", "0202-06-27"),
        VINTAGE: MD.replace("2008", "0202"),
        FF: F3.replace("200807", "020207"),
    }
    drop(bad, contents[bad])
    drop("prices/LQD.csv", LQD)
    with pytest.raises(BadExtract, match="unparseable dates"):
        store.refresh()
    assert store.rows("prices.LQD")


def test_missing_file_is_named(store: ExtractStore) -> None:
    with pytest.raises(BadExtract, match=r"prices/VIX\.csv: missing.*\nRemedy: drop in this file"):
        store.refresh(["prices.VIX"])


def test_a_table_asked_for_by_name_says_what_is_wrong_with_its_file(drop: Drop, store: ExtractStore) -> None:
    drop(FF, F3.replace("HML", "XYZ"))
    drop("fred/GS10.csv", "bad")
    with pytest.raises(BadExtract, match="column HML: missing"):
        store.refresh(["french.factors_3"])
    with pytest.raises(BadExtract, match="observation_date: missing"):
        store.refresh(["fred.GS10"])
    with pytest.raises(BadExtract, match=r"fred/DGS10\.csv: missing: no file"):
        store.refresh(["fred.DGS10"])


def test_an_empty_folder_of_a_table(store: ExtractStore) -> None:
    (store.folder / INDEX).mkdir()
    with pytest.raises(BadExtract, match="holds no files"):
        store.refresh(["bonds.index_returns"])


@pytest.mark.parametrize(("name", "table"), [("fred/DGS10.csv", "fred.DGS10"), (CSV, "bonds.index_snapshot")])
def test_a_link_out_of_the_folder_is_refused(
    name: str, table: str, drop: Drop, store: ExtractStore, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text(samples.FRED if "fred" in name else index().write_csv())
    link = store.folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    assert store.available() == {}
    for tables in (None, [table]):
        with pytest.raises(BadExtract, match="leaves the extracts folder") as caught:
            store.refresh(tables)
        assert str(link) in str(caught.value)
    assert not store.stage.exists()


def test_a_linked_folder_out_of_the_folder_is_refused(store: ExtractStore, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "1.csv").write_text(index().write_csv())
    (store.folder / INDEX).symlink_to(tmp_path / "away")
    with pytest.raises(BadExtract, match="leaves the extracts folder"):
        store.refresh()


def test_a_link_within_the_folder_is_followed(drop: Drop, store: ExtractStore) -> None:
    drop("archive/today.csv", samples.FRED)
    (store.folder / "fred").mkdir()
    (store.folder / "fred" / "DGS10.csv").symlink_to(store.folder / "archive" / "today.csv")
    assert store.refresh() == {"fred.DGS10": True}


def test_a_broken_link_is_refused(store: ExtractStore) -> None:
    (store.folder / "fred").mkdir()
    os.symlink(store.folder / "nothing.csv", store.folder / "fred" / "DGS10.csv")
    with pytest.raises(BadExtract, match="not there"):
        store.refresh()


@pytest.mark.parametrize(
    ("first", "second", "content"),
    [
        (FF, "french/copy.csv", F3),
        (CSV, PARQUET, index()),
        (CSV, f"{INDEX}/1.csv", index()),
        ("fred/DGS10.csv", "fred/DGS10.csv.gz", samples.FRED),
    ],
)
def test_two_files_that_claim_a_table_are_both_named(
    first: str, second: str, content: str | pl.DataFrame, drop: Drop, store: ExtractStore
) -> None:
    paths = [drop(first, content), drop(second, content)]
    with pytest.raises(BadExtract, match="claim the table") as caught:
        store.refresh()
    assert all(str(path) in str(caught.value) for path in paths)


def test_every_bad_file_is_told_at_once_and_good_ones_are_staged(drop: Drop, store: ExtractStore) -> None:
    drop(FF, F3.replace("2.45", "abc"))
    drop("prices/LQD.csv", LQD.replace("100.7", "inf"))
    drop("fred/DGS10.csv", samples.FRED)
    with pytest.raises(BadExtract) as caught:
        store.refresh()
    assert "no number" in str(caught.value)
    assert "non-finite" in str(caught.value)
    assert store.last_month("fred.DGS10") == date(2008, 7, 1)


@pytest.mark.parametrize("name", ["../outside", "fred.", "fred/DGS10", "fred.DGS10/../../x", ""])
def test_names_cannot_leave_the_stage(name: str, store: ExtractStore) -> None:
    with pytest.raises(ValueError, match="no table name"):
        store.scan(name)


def test_a_file_name_that_gives_no_table_name(drop: Drop, store: ExtractStore) -> None:
    drop("prices/VIX (1).csv", samples.CBOE)
    with pytest.raises(BadExtract, match=r"table name 'prices\.VIX \(1\)'"):
        store.refresh()


def test_at_most_five_rows_are_shown_and_all_are_counted(drop: Drop, store: ExtractStore) -> None:
    drop(CSV, index().with_columns(Return=pl.lit(-150.0)))
    with pytest.raises(BadExtract) as caught:
        store.refresh()
    assert caught.value.count == 18
    assert len(caught.value.rows) == 5
    assert str(caught.value).count("Return=-150.0") == 5
