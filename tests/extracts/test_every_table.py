"""Every plain table, whatever its vendor, refuses the same mistakes and leaves what was staged as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, time
from pathlib import Path

import polars as pl
import pytest

from pipeline.extracts.copies import COPY
from pipeline.extracts.errors import BadExtract
from pipeline.extracts.registry import TABULARS
from pipeline.extracts.table import Tabular
from resources.extracts import ExtractStore

Drop = Callable[..., Path]
Refused = Callable[..., BadExtract]
JUNE, JULY = date(2008, 6, 1), date(2008, 7, 1)
# What a column holds of which not every text or number will do.
TEXTS = {
    "gvkey": "001001",
    "complete_cusip": "00184AAB1",
    **dict.fromkeys(("cusip", "Cusip", "cusip_id"), "00184AAB1"),
    "ISIN": "US00184AAB17",
    "recovery_price": 41.5,
}
PLAIN = {"text": "7", "number": 1.0, "time": time(9, 30, 15)}
TABLES = pytest.mark.parametrize("tabular", TABULARS, ids=lambda tabular: tabular.stem)


def row(tabular: Tabular, month: date, number: int = 0) -> dict[str, object]:
    """A row that nothing is wrong with; ``number`` tells rows apart by the first key that is no date."""
    day = month if tabular.first_day else month.replace(day=30)
    cells = {
        column.name: day if column.kind == "date" else TEXTS.get(column.name, PLAIN[column.kind])
        for column in tabular.columns
    }
    told_apart = identifier(tabular)
    if told_apart is not None:
        cells[told_apart] = f"{number:06d}" if told_apart == "gvkey" else with_number(cells[told_apart], number)
    return cells


def with_number(cell: object, number: int) -> object:
    return cell + number if isinstance(cell, float) else f"{str(cell)[:-3]}{'ABCDEFGH'[number]}{str(cell)[-2:]}"


def identifier(tabular: Tabular) -> str | None:
    """First column of the key that the file has and that is no date."""
    keyed = tabular.views[0].table.key
    names = {column.name.lower(): column for column in tabular.columns if column.kind in ("text", "number")}
    return next((names[name].name for name in keyed if name in names), None)


def good(tabular: Tabular) -> pl.DataFrame:
    """Two months of up to four rows."""
    numbers = (range(1), range(1)) if identifier(tabular) is None else (range(4), range(4, 8))
    months = zip((JUNE, JULY), numbers, strict=True)
    return pl.DataFrame([row(tabular, month, number) for month, some in months for number in some])


def text(tabular: Tabular) -> pl.DataFrame:
    return good(tabular).with_columns(pl.all().cast(pl.String))


def first_cell(frame: pl.DataFrame, column: str, value: str) -> pl.DataFrame:
    first = pl.int_range(pl.len()) == 0
    return frame.with_columns(pl.when(first).then(pl.lit(value)).otherwise(column).alias(column))


def staged(store: ExtractStore) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted(store.stage.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def stage_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Tabular], Path]:
    """The stage of a good file, made once for all tests of a table."""
    stages: dict[str, Path] = {}

    def stage(tabular: Tabular) -> Path:
        if tabular.stem not in stages:
            home = tmp_path_factory.mktemp("good")
            (home / "extracts").mkdir()
            good(tabular).write_parquet(home / "extracts" / f"{tabular.stem}.parquet")
            assert all(ExtractStore(home / "extracts", home / "staged").refresh().values())
            stages[tabular.stem] = home / "staged"
        return stages[tabular.stem]

    return stage


@pytest.fixture
def refused(drop: Drop, store: ExtractStore, stage_of: Callable[[Tabular], Path]) -> Refused:
    """Refuse a file where a good one was staged: named in the sentence, with a remedy, and the stage as it was."""

    def refuse(tabular: Tabular, bad: pl.DataFrame | bytes, kind: str = "csv") -> BadExtract:
        shutil.copytree(stage_of(tabular), store.stage, dirs_exist_ok=True)
        before = staged(store)
        assert before
        path = drop(f"{tabular.stem}.{kind}", bad)
        with pytest.raises(BadExtract) as caught:
            store.refresh()
        assert str(caught.value).startswith(str(path))
        assert "\nRemedy: " in str(caught.value)
        assert staged(store) == before
        return caught.value

    return refuse


def of_kind(tabular: Tabular, kind: str) -> list[str]:
    return [column.name for column in tabular.columns if column.kind == kind]


@TABLES
def test_missing_columns(tabular: Tabular, refused: Refused) -> None:
    needed = [column.name for column in tabular.columns if not column.optional]
    gone = [needed[0], needed[-1]]
    error = refused(tabular, text(tabular).drop(gone))
    assert error.column == ", ".join(gone)
    assert error.problem.startswith("missing; the file has")


@TABLES
def test_every_column_is_needed(tabular: Tabular, drop: Drop, store: ExtractStore) -> None:
    drop(f"{tabular.stem}.parquet", pl.DataFrame({"other": [1]}))
    with pytest.raises(BadExtract) as caught:
        store.refresh()
    assert caught.value.column == ", ".join(column.name for column in tabular.columns if not column.optional)


def test_a_file_may_lack_optional_columns(drop: Drop, store: ExtractStore) -> None:
    lacking = {one.stem: [column.name for column in one.columns if column.optional] for one in TABULARS}
    lacking = {stem: names for stem, names in lacking.items() if names}
    for stem, names in lacking.items():
        drop(f"{stem}.csv", text(tabular_of(stem)).drop(names))
    store.refresh()
    for stem, names in lacking.items():
        found = store.scan(stem).collect()
        assert found.height == 8, stem
        assert (found.select(name.lower() for name in names).null_count().row(0)) == (8,) * len(names), stem
    # A column that comes later is read.
    drop("bonds.lehman.csv", text(tabular_of("bonds.lehman")))
    assert store.refresh()["bonds.lehman"]
    assert store.scan("bonds.lehman").collect()["accrued_interest"].null_count() == 0
    assert set(lacking) == {
        "trace.trace_enhanced", "fisd.fisd_mergedissue", "fisd.fisd_mergedissuer", "fisd.fisd_amt_out_hist",
        "bonds.lehman", "bonds.mergent", "bonds.datastream",
    }  # fmt: skip


@TABLES
def test_cells_of_another_type(tabular: Tabular, refused: Refused) -> None:
    dates, numbers = of_kind(tabular, "date"), of_kind(tabular, "number")
    assert dates or numbers
    for column, says in ((dates[:1], "unparseable dates"), (numbers[-1:], "no number")):
        for name in column:
            error = refused(tabular, first_cell(text(tabular), name, "about 7"))
            assert (error.column, error.count) == (name, 1)
            assert says in error.problem
            assert error.rows[0][name] == "about 7"


@TABLES
def test_columns_of_another_type(tabular: Tabular, refused: Refused) -> None:
    name = (of_kind(tabular, "number") or of_kind(tabular, "date"))[0]
    error = refused(tabular, good(tabular).with_columns(pl.lit(True).alias(name)), "parquet")
    assert (error.column, "has type BOOLEAN" in error.problem) == (name, True)


@TABLES
def test_duplicate_keys(tabular: Tabular, refused: Refused, drop: Drop, store: ExtractStore) -> None:
    twice = pl.concat([text(tabular), text(tabular)[:1]])
    if COPY in tabular.views[0].table.key:
        # Two reports or actions may be alike in every cell: all are kept.
        drop(f"{tabular.stem}.csv", twice)
        store.refresh()
        assert store.scan(tabular.stem).collect()[COPY].max() == 1
        return
    if tabular.stem == "fisd.fisd_issue_default":
        # Two kinds of default on one day are one default.
        drop(f"{tabular.stem}.csv", twice)
        store.refresh()
        assert store.scan(tabular.stem).collect().height == 2 * text(tabular).height
        return
    error = refused(tabular, twice)
    # The start and the end of an interval are counted each.
    counted = 4 if "event" in tabular.views[0].table.key else 2
    assert (error.problem, error.count) == ("duplicate key", counted)
    assert error.column
    assert "event" not in error.column
    assert "event" not in error.remedy
    assert error.rows
    assert all("event" not in row for row in error.rows)


@TABLES
def test_numbers_that_are_not_finite(tabular: Tabular, refused: Refused) -> None:
    numbers = of_kind(tabular, "number")
    for name in numbers[-1:]:
        error = refused(tabular, first_cell(text(tabular), name, "-inf"))
        assert (error.column, error.problem, error.count) == (name, "holds non-finite numbers", 1)


@TABLES
def test_no_rows(tabular: Tabular, refused: Refused) -> None:
    error = refused(tabular, text(tabular).clear())
    assert (error.problem, error.count) == ("holds no rows", 0)


@TABLES
def test_files_cut_short(tabular: Tabular, refused: Refused, drop: Drop, store: ExtractStore) -> None:
    whole = drop(f"{tabular.stem}.parquet", good(tabular)).read_bytes()
    error = refused(tabular, whole[:-40], "parquet")
    assert "cannot be read to its end" in error.problem
    (store.folder / f"{tabular.stem}.parquet").unlink()
    path = drop(f"{tabular.stem}.csv.gz", text(tabular))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadExtract, match=r"decompressed|read to its end"):
        store.refresh()


SNAPSHOTS = [one for one in TABULARS if any(view.table.snapshot for view in one.views)]


@pytest.mark.parametrize("tabular", SNAPSHOTS, ids=lambda tabular: tabular.stem)
def test_months_of_which_half_is_gone(tabular: Tabular, refused: Refused) -> None:
    error = refused(tabular, text(tabular)[:5])
    assert "fewer than half the rows of the month before" in error.problem
    assert error.rows[0]["rows"] == 1
    assert error.rows[0]["rows of the month before"] == 4
    assert str(error.rows[0][tabular.date]) == "2008-07-01"


def test_the_cross_sections_are_snapshots() -> None:
    assert {one.stem for one in SNAPSHOTS} == {"crsp.msf", "crsp.msf_v2", "bonds.index_constituents"}


def bounded() -> list[tuple[Tabular, str, float]]:
    """Columns of returns, with what nothing can return less than."""
    found = []
    for one in TABULARS:
        spelled = {column.name.lower(): column.name for column in one.columns} | {"return_pct": "Return"}
        for view in one.views:
            for name, column in view.table.schema.columns().items():
                if getattr(column, "min", None) in (-1.0, -100.0):
                    found.append((one, spelled[name], column.min))
    return found


RETURNS = {
    "crsp.msi": {"vwretd", "vwretx", "sprtrn"},
    "crsp.dsi": {"vwretd", "vwretx", "sprtrn"},
    "crsp.msf": {"ret", "retx"},
    "crsp.dsf": {"ret"},
    "crsp.msedelist": {"dlret"},
    "crsp.msf_v2": {"mthret", "mthretx"},
    "crsp.dsf_v2": {"dlyret"},
    "crsp.stkdelists": {"delret"},
    "bonds.index_constituents": {"Return"},
}


def test_every_return_is_bounded() -> None:
    assert {(one.stem, name) for one, name, _ in bounded()} == {
        (t, name) for t, names in RETURNS.items() for name in names
    }


@pytest.mark.parametrize(("tabular", "name", "least"), bounded(), ids=lambda value: getattr(value, "stem", str(value)))
def test_returns_that_cannot_be(
    tabular: Tabular, name: str, least: float, refused: Refused, drop: Drop, store: ExtractStore
) -> None:
    error = refused(tabular, first_cell(text(tabular), name, str(least * 1.001)))
    assert (error.column, error.count) == (name, 1)
    assert "holds returns below -1" in error.problem
    drop(f"{tabular.stem}.csv", first_cell(text(tabular), name, str(least)))
    assert any(store.refresh().values())


def whole_numbers() -> list[tuple[Tabular, str]]:
    return [
        (one, column.name) for one in TABULARS for column in one.columns if column.whole and column.kind == "number"
    ]


def test_every_identifier_is_a_whole_number() -> None:
    kinds: dict[str, set[str]] = {}
    for one, name in whole_numbers():
        kinds.setdefault(one.stem.split(".")[0], set()).add(name)
    assert kinds == {
        "crsp": {"permno", "permco", "shrcd", "exchcd", "siccd", "dlstcd", "lpermno", "lpermco"},
        "comp": {"fyear", "fyr", "sich", "naicsh", "fyearq", "fqtr"},
        "fisd": {"issue_id", "issuer_id", "transaction_id"},
        "wrdsapps": {"permno", "permco"},
    }


@pytest.mark.parametrize(("tabular", "name"), whole_numbers(), ids=lambda value: getattr(value, "stem", value))
def test_fractions_of_identifiers(tabular: Tabular, name: str, refused: Refused) -> None:
    error = refused(tabular, first_cell(text(tabular), name, "10010.5"))
    assert (error.column, error.problem, error.count) == (name, "holds numbers that are not whole", 1)
    assert error.rows[0][name] == "10010.5"
    assert error.remedy == "write these identifiers and codes as the vendor does"


@pytest.mark.parametrize("cell", ["-0.25", "1e17"])
def test_identifiers_of_which_a_decimal_number_holds_no_unit(cell: str, refused: Refused) -> None:
    error = refused(tabular_of("crsp.msf"), first_cell(text(tabular_of("crsp.msf")), "permco", cell))
    assert (error.column, error.problem) == ("permco", "holds numbers that are not whole")


def tabular_of(stem: str) -> Tabular:
    return next(one for one in TABULARS if one.stem == stem)


@pytest.mark.parametrize("name", ["permno", "permco"])
def test_fractions_in_a_typed_column(name: str, drop: Drop, store: ExtractStore) -> None:
    frame = good(tabular_of("crsp.msf")).with_columns((pl.col(name) + 0.5).alias(name))
    drop("crsp.msf.parquet", frame)
    with pytest.raises(BadExtract, match=rf"column {name}: holds numbers that are not whole \(8 rows\)"):
        store.refresh()


GVKEYS = ("comp.funda", "comp.fundq", "crsp.ccmxpf_lnkhist")


@pytest.mark.parametrize("stem", GVKEYS)
@pytest.mark.parametrize(
    ("spelled", "extension"),
    [
        (pl.Series([1001.0] * 8), "parquet"),
        (pl.Series([1001] * 8), "parquet"),
        (pl.Series(["001001"] * 8), "parquet"),
        (pl.Series(["1001.0", "1001", " 001001 ", "01001", "001001.0", "1001", "1001", "1001"]), "csv"),
    ],
    ids=["decimal", "whole", "text", "csv"],
)
def test_spellings_of_a_gvkey(stem: str, spelled: pl.Series, extension: str, drop: Drop, store: ExtractStore) -> None:
    frame = good(tabular_of(stem)).with_columns(gvkey=spelled)
    day = "linkdt" if stem == "crsp.ccmxpf_lnkhist" else "datadate"
    days = pl.Series([date(2008, 1, number) for number in range(1, 9)])
    drop(f"{stem}.{extension}", frame.with_columns(days.alias(day)))
    store.refresh()
    assert store.scan(stem).collect()["gvkey"].unique().to_list() == ["001001"]


@pytest.mark.parametrize("stem", GVKEYS)
@pytest.mark.parametrize("spelled", ["001001A", "IBM", "1001.5", "1234567", "-1001", "1e3"])
def test_what_is_no_gvkey(stem: str, spelled: str, refused: Refused) -> None:
    error = refused(tabular_of(stem), first_cell(text(tabular_of(stem)), "gvkey", spelled))
    assert (error.column, error.problem) == ("gvkey", "is no company key of up to six digits")
    assert error.rows[0]["gvkey"] == spelled
    assert error.remedy == "write the gvkey as the vendor does"


@pytest.mark.parametrize(("stem", "day"), [("crsp.msf", "date"), ("crsp.msf_v2", "mthcaldt")])
def test_two_days_of_a_security_in_one_month(stem: str, day: str, refused: Refused) -> None:
    tabular = tabular_of(stem)
    other = text(tabular)[1:2].with_columns(pl.lit("2008-06-27").alias(day))
    error = refused(tabular, pl.concat([text(tabular), other]))
    assert (error.column, error.problem, error.count) == (f"permno, {day}", "duplicate key", 2)
    assert error.rows == ({"permno": 2, day: date(2008, 6, 27)}, {"permno": 2, day: date(2008, 6, 30)})
    assert error.remedy == "keep one row for each permno, month"


@pytest.mark.parametrize(
    ("stem", "start", "end"),
    [
        ("crsp.msenames", "namedt", "nameendt"),
        ("crsp.ccmxpf_lnkhist", "linkdt", "linkenddt"),
        ("wrdsapps.bondcrsp_link", "link_startdt", "link_enddt"),
    ],
)
def test_an_interval_that_ends_before_it_starts(stem: str, start: str, end: str, refused: Refused) -> None:
    tabular = tabular_of(stem)
    error = refused(tabular, first_cell(text(tabular), end, "2008-06-29"))
    assert (error.column, error.problem, error.count) == (end, "ends before it starts", 1)
    assert (error.rows[0][start], error.rows[0][end]) == (date(2008, 6, 30), date(2008, 6, 29))
    assert error.remedy == "correct these days, or leave the rows out"
