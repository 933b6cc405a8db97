"""A table that is staged by month is staged again where its rows changed, and comes out as if staged from nothing."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import resources.extracts
from pipeline.extracts import survey, tabular
from pipeline.extracts.errors import BadExtract
from pipeline.extracts.table import Column, Table, Tabular, View, columns
from pipeline.extracts.tabular import added
from pipeline.extracts.validation import Inspection
from resources.extracts import ExtractStore
from tests.extracts import layout_samples as samples

Drop = Callable[..., Path]
SNAPSHOT, RETURNS = "bonds.index_snapshot", "bonds.index_returns"
FOLDER = "bonds.index_constituents"
CSV, PARQUET = f"{FOLDER}.csv", f"{FOLDER}.parquet"
JUL, AUG, SEP, OCT = (date(2008, month, 1) for month in (7, 8, 9, 10))
FRAME = samples.index_rows([JUL, AUG, SEP, OCT], bonds=3)


def of(*months: date) -> pl.DataFrame:
    return FRAME.filter(pl.col("Pricing_Date").is_in(list(months)))


def restated(frame: pl.DataFrame, row: int, column: str, value: float) -> pl.DataFrame:
    chosen = pl.int_range(pl.len()) == row
    return frame.with_columns(pl.when(chosen).then(pl.lit(value)).otherwise(column).alias(column))


def staged(store: ExtractStore) -> dict[str, object]:
    """Everything that a reader can ask of the two tables."""
    tables = (SNAPSHOT, RETURNS)
    return {table: (store.digests(table), store.rows(table), store.scan(table).collect().rows()) for table in tables}


def from_nothing(store: ExtractStore) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as stage:
        other = ExtractStore(store.folder, Path(stage))
        other.refresh()
        return staged(other)


def outcome(stage: Callable[[], dict[str, object]]) -> dict[str, object] | str:
    try:
        return stage()
    except BadExtract as error:
        return str(error)


@pytest.fixture
def inspected(monkeypatch: pytest.MonkeyPatch) -> list[date]:
    """Staged months that are looked at, in the order they are."""
    months: list[date] = []
    take = Inspection.take

    def spy(self: Inspection, block: pl.DataFrame) -> pl.DataFrame:
        months.extend(block.get_column("month").unique().sort())
        return take(self, block)

    monkeypatch.setattr(Inspection, "take", spy)
    return months


@pytest.mark.parametrize("name", [CSV, f"{CSV}.gz", PARQUET])
def test_only_the_months_that_changed_are_staged(
    name: str, drop: Drop, store: ExtractStore, inspected: list[date]
) -> None:
    drop(name, of(JUL, AUG, SEP))
    store.refresh()
    files = {path: path.stat().st_mtime_ns for path in store.stage.rglob("*.parquet")}
    inspected.clear()
    drop(name, restated(FRAME, 4, "debt", 7.0))
    assert store.refresh() == {RETURNS: True, SNAPSHOT: True}
    # August's and October's rows; the snapshot of a row is known a month earlier.
    assert inspected == [JUL, SEP, AUG, OCT]
    assert staged(store) == from_nothing(store)
    kept = {path: mark for path, mark in files.items() if "2008-07" not in str(path) or RETURNS in str(path)}
    assert all(path.stat().st_mtime_ns == mark for path, mark in kept.items() if "2008-08" not in str(path))


def test_a_file_that_did_not_change_is_not_read(drop: Drop, store: ExtractStore) -> None:
    old = drop(f"{FOLDER}/old.csv", of(JUL, AUG))
    drop(f"{FOLDER}/new.csv", of(SEP))
    store.refresh()
    # Other bytes under the same signature: whoever reads the file trips over them.
    mark = old.stat()
    with old.open("r+b") as stream:
        stream.write(b"\0" * mark.st_size)
    os.utime(old, ns=(mark.st_atime_ns, mark.st_mtime_ns))
    before = store.digests(RETURNS)
    drop(f"{FOLDER}/new.csv", of(SEP, OCT))
    assert store.refresh() == {RETURNS: True, SNAPSHOT: True}
    assert {month: digest for month, digest in store.digests(RETURNS).items() if month != OCT} == before


def test_a_month_of_two_files_is_read_from_both(drop: Drop, store: ExtractStore) -> None:
    drop(f"{FOLDER}/1.csv", pl.concat([of(JUL), of(AUG)[:2]]))
    drop(f"{FOLDER}/2.parquet", of(AUG)[2:])
    store.refresh()
    drop(f"{FOLDER}/2.parquet", pl.concat([of(AUG)[2:], of(SEP)]))
    assert store.refresh() == {RETURNS: True, SNAPSHOT: True}
    drop(f"{FOLDER}/2.parquet", pl.concat([restated(of(AUG)[2:], 0, "Return", 0.25), of(SEP)]))
    assert store.refresh() == {RETURNS: True, SNAPSHOT: False}
    assert staged(store) == from_nothing(store)


def test_a_month_that_vanished_takes_its_stage_with_it(drop: Drop, store: ExtractStore) -> None:
    drop(CSV, FRAME)
    store.refresh()
    drop(CSV, of(AUG, SEP, OCT))
    assert store.refresh() == {RETURNS: True, SNAPSHOT: True}
    assert (store.first_month(SNAPSHOT), store.first_month(RETURNS)) == (JUL, AUG)
    assert staged(store) == from_nothing(store)
    drop(CSV, of(AUG, SEP))
    store.refresh()
    # The files of the stage before last are gone.
    assert not (store.stage / RETURNS / "month=2008-07").exists()
    assert (store.stage / RETURNS / "month=2008-10").exists()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (FRAME.with_columns(Maturity=pl.lit("soon")), r"Maturity: holds unparseable dates \(12 rows\)"),
        (pl.concat([FRAME, of(OCT)[:1]]), r"duplicate key \(2 rows\)"),
        (pl.concat([of(JUL, AUG, SEP), of(OCT)[:1]]), "fewer than half .*\n.*Pricing_Date=2008-10-01"),
        (of(JUL, AUG, OCT), "fewer than half .*\n.*Pricing_Date=2008-09-01"),
        (FRAME.clear(), "holds no rows"),
        (restated(FRAME, 11, "Return", -101.0), r"below -1 \(-100 percent\) \(1 row\)"),
        (FRAME.with_columns(Pricing_Date=pl.col("Pricing_Date").cast(pl.String).replace("2008-10-01", "x")), "parse"),
    ],
    ids=["cells", "key", "shrunken", "gone", "empty", "return", "undated"],
)
def test_what_is_refused_of_a_whole_table_is_refused_of_a_month(
    bad: pl.DataFrame, says: str, drop: Drop, store: ExtractStore
) -> None:
    drop(CSV, of(JUL, AUG, SEP))
    store.refresh()
    before = staged(store)
    drop(CSV, bad)
    fresh = ExtractStore(store.folder, store.stage.with_name("fresh"))
    messages = []
    for one in (store, fresh):
        with pytest.raises(BadExtract, match=says) as caught:
            one.refresh()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert staged(store) == before


def test_a_number_spelled_otherwise_is_no_change(drop: Drop, store: ExtractStore) -> None:
    drop(CSV, FRAME.with_columns(Return=pl.lit("-0.0"), debt=pl.lit("1.50")))
    store.refresh()
    before = staged(store)
    drop(CSV, FRAME.with_columns(Return=pl.lit("0"), debt=pl.lit("15e-1")))
    assert store.refresh() == {RETURNS: False, SNAPSHOT: False}
    assert staged(store) == before == from_nothing(store)


def test_the_sign_of_zero_is_no_content(drop: Drop, store: ExtractStore) -> None:
    drop(PARQUET, FRAME.with_columns(Return=pl.lit(-0.0)))
    store.refresh()
    drop(PARQUET, FRAME.with_columns(Return=pl.lit(0.0)))
    assert store.refresh() == {RETURNS: False, SNAPSHOT: False}
    assert staged(store) == from_nothing(store)


@pytest.mark.parametrize("columns", [("Return",), ("Return", "debt"), ("Description", "Rating"), ("ISIN",)])
def test_cells_swapped_between_rows_are_a_change(columns: tuple[str, ...], drop: Drop, store: ExtractStore) -> None:
    drop(PARQUET, FRAME)
    store.refresh()
    rows = pl.int_range(pl.len())
    swapped = pl.when(rows == 0).then(1).when(rows == 1).then(0).otherwise(rows)
    drop(PARQUET, FRAME.with_columns(pl.col(name).gather(swapped) for name in columns))
    assert any(store.refresh().values())
    assert staged(store) == from_nothing(store)


@pytest.mark.parametrize("damage", ["reader", "sources", "other refresh", "one table", "digests of an earlier release"])
def test_without_notes_that_count_all_is_read(
    damage: str, drop: Drop, store: ExtractStore, monkeypatch: pytest.MonkeyPatch, inspected: list[date]
) -> None:
    drop(CSV, of(JUL, AUG, SEP))
    store.refresh()
    sources, digests = store.stage / RETURNS / "sources.json", store.stage / RETURNS / "digests.json"
    if damage == "reader":
        monkeypatch.setattr(resources.extracts, "reader_version", lambda: "other")
    elif damage == "sources":
        sources.unlink()
    elif damage == "other refresh":
        sources.write_text(json.dumps(json.loads(sources.read_text()) | {"fingerprint": "another"}))
    elif damage == "one table":
        shutil.rmtree(store.stage / RETURNS)
    else:
        digests.write_text(json.dumps({"fingerprint": "f", "reader": "r", "months": {"2008-07": {"rows": 1}}}))
    inspected.clear()
    drop(CSV, FRAME)
    store.refresh()
    assert len(inspected) == 8
    assert staged(store) == from_nothing(store)


@pytest.mark.parametrize(
    ("chunk", "block", "blocks"),
    [(1, 1, [1, 1, 1, 1]), (9, 3, [1, 1, 1, 1]), (9, 6, [2, 1, 1]), (6, 9, [2, 2]), (99, 6, [2, 2]), (99, 99, [4])],
)
def test_months_that_are_read_together_make_no_difference(
    chunk: int, block: int, blocks: list[int], drop: Drop, store: ExtractStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(CSV, FRAME.sample(fraction=1, shuffle=True, seed=chunk))
    expected = from_nothing(store)
    taken: list[int] = []
    take = Inspection.take

    def spy(self: Inspection, rows: pl.DataFrame) -> pl.DataFrame:
        taken.append(rows.get_column("month").n_unique())
        return take(self, rows)

    monkeypatch.setattr(Inspection, "take", spy)
    monkeypatch.setattr(tabular, "_CHUNK_ROWS", chunk)
    monkeypatch.setattr(tabular, "_BLOCK_ROWS", block)
    store.refresh()
    # Each block gives rows of both tables.
    assert taken[::2] == taken[1::2] == blocks
    assert staged(store) == expected


def test_fingerprints_of_files_add_up_to_those_of_the_table() -> None:
    one, other = {JUL: (2, 5, 2**64 - 1)}, {JUL: (1, 2**64 - 3, 2), AUG: (4, 0, 1)}
    assert added([one, other]) == {JUL: (3, 2, 1), AUG: (4, 0, 1)} == added([other, one])


class Known(dy.Schema):
    """What was known a month before."""

    month = dy.Date(primary_key=True)
    name = dy.String(primary_key=True)
    size = dy.Float64(nullable=True)


class Earned(dy.Schema):
    """What came of it; a row without is absent."""

    month = dy.Date(primary_key=True)
    name = dy.String(primary_key=True)
    ret = dy.Float64(min=-1.0)


def _known(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    return block.select(pl.col("date").dt.offset_by("-1mo").alias("month"), "name", "size")


def _earned(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    return block.filter(pl.col("ret").is_not_null()).select(month="date", name="name", ret="ret")


NARROW = Tabular(
    stem="demo.rows",
    columns=(
        Column(name="date", kind="date"),
        Column(name="name", kind="text"),
        Column(name="size", kind="number"),
        Column(name="ret", kind="number"),
    ),
    date="date",
    views=(
        View(
            table=Table(name="demo.known", key=("month", "name"), schema=Known, by_month=True, snapshot=True, lead=1),
            derive=_known,
        ),
        View(
            table=Table(name="demo.earned", key=("month", "name"), schema=Earned, by_month=True),
            derive=_earned,
        ),
    ),
    missing=(-99.0,),
)


class Terms(dy.Schema):
    """What was known from one day or, where that is blank, from another."""

    month = dy.Date(primary_key=True)
    name = dy.String(primary_key=True)
    offered = dy.Date(nullable=True)
    dated = dy.Date(nullable=True)


FIRST = date(1926, 1, 1)
FALLING_BACK = Tabular(
    stem="demo.terms",
    columns=columns(dates=("offered", "dated"), texts=("name",)),
    date="offered",
    instead=("dated",),
    undated=FIRST,
    views=(
        View(
            table=Table(name="demo.terms", key=("month", "name"), schema=Terms, by_month=True),
            derive=lambda block, files: block.with_columns(
                month=pl.coalesce("offered", "dated", FIRST).dt.truncate("1mo")
            ),
        ),
    ),
)


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_months_of_rows_that_another_day_dates(
    extension: str, drop: Drop, store: ExtractStore, monkeypatch: pytest.MonkeyPatch, inspected: list[date]
) -> None:
    monkeypatch.setattr(survey, "TABULARS", (FALLING_BACK,))
    terms = pl.DataFrame(
        {"name": list("abcd"), "offered": [JUL, AUG, None, None], "dated": [JUL, JUL, SEP, None]},
        schema={"name": pl.String, "offered": pl.Date, "dated": pl.Date},
    )
    drop(f"demo.terms.{extension}", terms)
    store.refresh()
    assert store.rows("demo.terms") == {FIRST: 1, JUL: 1, AUG: 1, SEP: 1}
    before = store.digests("demo.terms")
    inspected.clear()
    # What was offered in August is known from July now, and another row has no day at all.
    blank = pl.when(pl.col("name") != "b").then("offered").alias("offered")
    drop(f"demo.terms.{extension}", pl.concat([terms.with_columns(blank), terms[3:].with_columns(name=pl.lit("e"))]))
    assert store.refresh() == {"demo.terms": True}
    assert inspected == [FIRST, JUL]
    assert store.rows("demo.terms") == {FIRST: 2, JUL: 2, SEP: 1}
    assert store.digests("demo.terms")[SEP] == before[SEP]
    fresh = ExtractStore(store.folder, store.stage.with_name("fresh"))
    fresh.refresh()
    assert fresh.digests("demo.terms") == store.digests("demo.terms")


ROWS = pl.DataFrame(
    [
        {"date": month, "name": name, "size": float(i + 10 * j), "ret": (i - j) / 10}
        for i, month in enumerate([JUL, AUG, SEP, OCT])
        for j, name in enumerate("abc")
    ]
)
changes = st.lists(
    st.tuples(
        st.sets(st.sampled_from([JUL, AUG, SEP, OCT]), min_size=1),
        st.lists(st.integers(0, 11), min_size=7, max_size=14),
        st.booleans(),
        st.integers(0, 12),
        st.tuples(st.integers(0, 11), st.sampled_from(["ret", "size"]), st.sampled_from([-99.0, -0.0, 0.5, -2.0])),
        st.sampled_from(["csv", "csv.gz", "parquet"]),
    ),
    min_size=2,
    max_size=4,
)


def _staged(store: ExtractStore) -> dict[str, object]:
    tables = ("demo.known", "demo.earned")
    return {table: (store.digests(table), store.rows(table), store.scan(table).collect().rows()) for table in tables}


def _refreshed(store: ExtractStore) -> dict[str, object]:
    store.refresh()
    return _staged(store)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes)
def test_any_sequence_of_stagings_ends_in_the_digests_of_the_first(steps: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "TABULARS", (NARROW,))
        store = ExtractStore(Path(folder) / "extracts", Path(folder) / "staged")
        for number, (months, some, whole, cut, restatement, kind) in enumerate(steps):
            # Rows missing or twice, in any order: what is refused is refused in the same words.
            order = list(reversed(range(12))) if whole else some
            table = restated(ROWS, *restatement)[order].filter(pl.col("date").is_in(list(months)))
            _drop_in_two(store.folder / "demo.rows", table, cut, kind)
            fresh = ExtractStore(store.folder, Path(folder) / f"fresh {number}")
            assert outcome(lambda: _refreshed(store)) == outcome(lambda fresh=fresh: _refreshed(fresh))


def _drop_in_two(folder: Path, table: pl.DataFrame, cut: int, kind: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, part in enumerate((table[:cut], table[cut:])):
        path = folder / f"{number}.{kind}"
        if kind == "parquet":
            part.write_parquet(path)
        else:
            raw = part.write_csv().encode()
            path.write_bytes(gzip.compress(raw, mtime=0) if kind == "csv.gz" else raw)
