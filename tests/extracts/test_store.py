"""Staging: digests follow content and nothing else, months stand for themselves, readers are never disturbed."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import resources.extracts
from pipeline.extracts.errors import BadExtract
from resources.content import month_digests
from resources.extracts import ExtractStore
from tests.extracts import layout_samples as samples

Drop = Callable[..., Path]
JUN, JUL, AUG, SEP = (date(2008, month, 1) for month in (6, 7, 8, 9))
CSV = "bonds.index_constituents.csv"
SNAPSHOT, RETURNS = "bonds.index_snapshot", "bonds.index_returns"


def test_available_lacking_family(drop: Drop, store: ExtractStore) -> None:
    assert store.available() == {}
    assert store.family("fred_md.") == []
    files = [drop(f"fred_md/{name}.csv", samples.FRED_MD) for name in ("2009-01", "2008-07")]
    index = drop(CSV, samples.index_rows(samples.MONTHS))
    assert store.available() == {
        RETURNS: [index],
        SNAPSHOT: [index],
        "fred_md.2008-07": [files[1]],
        "fred_md.2009-01": [files[0]],
    }
    assert store.family("fred_md.") == ["fred_md.2008-07", "fred_md.2009-01"]
    assert store.lacking("prices.VIX") == "prices/VIX.csv"
    assert store.lacking("fred.GS10") == "fred/GS10.csv"
    assert store.lacking("fred_md.") == "fred_md/YYYY-MM.csv"
    assert store.lacking(RETURNS) == "bonds.index_constituents.parquet"
    assert store.lacking("french.factors_5").startswith("french/")
    with pytest.raises(ValueError, match="no vendor"):
        store.lacking("nobody.knows")


def test_a_description_among_anomalies_is_left_alone(drop: Drop, store: ExtractStore) -> None:
    file = drop("anomalies/SignalDoc.csv", "Acronym,Authors\nAccruals,Sloan\n")
    assert store.refresh() == {}
    assert list(store.unusable()) == [file]


def test_nothing_is_staged_before_refresh(store: ExtractStore) -> None:
    asked = (store.digests, store.rows, store.first_month, store.last_month, store.last_day, store.version, store.scan)
    for method in asked:
        with pytest.raises(LookupError, match=r"fred/DGS10\.csv"):
            method("fred.DGS10")


def test_scan_by_month(drop: Drop, store: ExtractStore) -> None:
    drop(CSV, samples.index_rows(samples.MONTHS))
    drop("fred/DGS10.csv", samples.FRED)
    store.refresh()
    assert store.rows(SNAPSHOT) == {JUN: 6, JUL: 6, AUG: 6}
    assert (store.first_month(RETURNS), store.last_month(RETURNS)) == (JUL, SEP)
    for table, months in ((SNAPSHOT, [JUN, JUL, AUG]), ("fred.DGS10", [JUN, JUL])):
        whole = store.scan(table).collect()
        assert whole.get_column("month").unique(maintain_order=True).to_list() == months
        for month in months:
            expected = whole.filter(pl.col("month") == month)
            assert store.scan(table, month, month).collect().equals(expected)
        assert store.scan(table, JUL).collect().equals(whole.filter(pl.col("month") >= JUL))
        assert store.scan(table, None, JUN).collect().equals(whole.filter(pl.col("month") <= JUN))
        empty = store.scan(table, date(1990, 1, 1), date(1990, 1, 1)).collect()
        assert (empty.height, empty.schema) == (0, whole.schema)


def test_last_day(drop: Drop, store: ExtractStore) -> None:
    drop("fred/DGS10.csv", samples.FRED)
    drop("crsp.dsi.csv", "date,vwretd,vwretx,totval,sprtrn\n20080613,0,0,1,0\n20080530,0,0,1,0\n20080612,0,0,1,0\n")
    drop(CSV, samples.index_rows(samples.MONTHS))
    drop("french/F-F_Research_Data_Factors.csv", samples.FACTORS_3)
    store.refresh()
    assert store.last_day("crsp.dsi") == date(2008, 6, 13)
    assert store.last_day("fred.DGS10") == store.scan("fred.DGS10").collect().get_column("date").max()
    assert store.last_day(SNAPSHOT) is None
    assert store.last_day("french.factors_3") is None


@pytest.mark.parametrize(("home", "sibling"), [("wrds *", "wrds 2"), ("wrds [2024]", "wrds 2"), ("wrds ?", "wrds 2")])
@pytest.mark.parametrize("extension", ["csv", "csv.gz", "parquet"])
def test_a_path_is_no_pattern(home: str, sibling: str, extension: str, tmp_path: Path) -> None:
    """Brackets and stars in folders and files mean themselves: a sibling that they would match is not read."""
    frame = samples.index_rows(samples.MONTHS)
    stores = {}
    for place, rows in ((sibling, frame.with_columns(Return=pl.lit(77.0))), (home, frame)):
        store = stores[place] = ExtractStore(tmp_path / place / "extracts", tmp_path / place / "staged")
        folder = store.folder / "bonds.index_constituents"
        folder.mkdir(parents=True)
        written = folder / f"part {place[-1]}.{extension}"
        if extension == "parquet":
            with written.open("wb") as stream:
                rows.write_parquet(stream)
        else:
            raw = rows.write_csv().encode()
            written.write_bytes(gzip.compress(raw) if extension.endswith("gz") else raw)
        (store.folder / "fred").mkdir()
        with (store.folder / "fred" / "DGS10.parquet").open("wb") as stream:
            pl.DataFrame({"date": [date(2008, 6, 2)], "DGS10": [float(len(place))]}).write_parquet(stream)
        assert all(store.refresh().values())
    returns = stores[home].scan(RETURNS).collect().get_column("return_pct")
    assert sorted(returns) == sorted(frame.get_column("Return"))
    assert stores[home].scan("fred.DGS10").collect().get_column("value").to_list() == [float(len(home))]


def test_a_bad_cell_below_a_folder_named_like_a_pattern(tmp_path: Path) -> None:
    store = ExtractStore(tmp_path / "wrds [2024] *" / "extracts", tmp_path / "wrds [2024] *" / "staged")
    store.folder.mkdir(parents=True)
    path = store.folder / CSV
    path.write_text(samples.index_rows(samples.MONTHS).write_csv().replace("AAA1", "").replace("2031-04-15", "soon"))
    with pytest.raises(BadExtract, match="unparseable dates") as caught:
        store.refresh()
    assert caught.value.files == (path,)


def test_a_touched_file_changes_the_fingerprint_and_no_digest(drop: Drop, store: ExtractStore) -> None:
    path = drop(CSV, samples.index_rows(samples.MONTHS))
    assert store.refresh() == {RETURNS: True, SNAPSHOT: True}
    before = store.fingerprint(RETURNS), store.digests(RETURNS), store.version(RETURNS)
    os.utime(path, (1, 1))
    assert store.fingerprint(RETURNS) != before[0]
    assert store.refresh() == {RETURNS: False, SNAPSHOT: False}
    assert (store.digests(RETURNS), store.version(RETURNS)) == before[1:]


def test_a_fresh_table_is_not_read_again(drop: Drop, store: ExtractStore, monkeypatch: pytest.MonkeyPatch) -> None:
    drop("fred/DGS10.csv", samples.FRED)
    store.refresh()

    def read_again(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(resources.extracts, "read_rows", read_again)
    assert store.refresh() == {"fred.DGS10": False}
    monkeypatch.setattr(resources.extracts, "reader_version", lambda: "other")
    with pytest.raises(AssertionError, match="read again"):
        store.refresh()


def test_appended_and_restated_months(drop: Drop, store: ExtractStore) -> None:
    frame = samples.index_rows(samples.MONTHS)
    drop(CSV, frame[:12])
    store.refresh()
    before, version = store.digests(RETURNS), store.version(RETURNS)
    drop(CSV, frame)
    assert store.refresh() == {RETURNS: True, SNAPSHOT: True}
    after = store.digests(RETURNS)
    assert {month: after[month] for month in before} == before
    assert store.version(RETURNS) != version
    restated = frame.with_row_index().with_columns(
        pl.when(pl.col("index") == 1).then(9.9).otherwise(pl.col("Return")).alias("Return")
    )
    drop(CSV, restated.drop("index"))
    assert store.refresh() == {RETURNS: True, SNAPSHOT: False}
    assert [month for month, digest in store.digests(RETURNS).items() if digest != after[month]] == [JUL]


def test_a_reader_at_work_keeps_its_rows_through_a_refresh(drop: Drop, store: ExtractStore) -> None:
    drop("fred/DGS10.csv", samples.FRED)
    store.refresh()
    lazy, rows = store.scan("fred.DGS10"), store.scan("fred.DGS10").collect()
    drop("fred/DGS10.csv", samples.FRED.replace("4.01", "4.02"))
    store.refresh()
    assert lazy.collect().equals(rows)
    for number in (3, 4, 5):
        drop("fred/DGS10.csv", samples.FRED.replace("4.01", f"4.0{number}"))
        store.refresh()
    assert len(list((store.stage / "fred.DGS10").glob("*.parquet"))) == 2


def test_a_removed_file_leaves_the_table_unavailable(drop: Drop, store: ExtractStore) -> None:
    path = drop("fred/DGS10.csv", samples.FRED)
    store.refresh()
    path.unlink()
    assert store.available() == {}
    assert store.refresh() == {}
    for ask in (lambda: store.refresh(["fred.DGS10"]), lambda: store.fingerprint("fred.DGS10")):
        with pytest.raises(BadExtract, match="missing"):
            ask()


def test_a_failure_while_writing_leaves_the_stage(
    drop: Drop, store: ExtractStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop("fred/DGS10.csv", samples.FRED)
    store.refresh()
    before = store.digests("fred.DGS10"), store.scan("fred.DGS10").collect()
    drop("fred/DGS10.csv", samples.FRED.replace("4.01", "4.02"))

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        store.refresh()
    monkeypatch.undo()
    assert store.digests("fred.DGS10") == before[0]
    assert store.scan("fred.DGS10").collect().equals(before[1])
    assert not list(store.stage.glob(".incoming-*"))


def test_leftovers_of_a_killed_refresh_are_swept(drop: Drop, store: ExtractStore) -> None:
    """Those of the tables at hand and no others: another process may be at work on these."""
    drop("fred_md/2008-07.csv", samples.FRED_MD)
    drop(CSV, samples.index_rows(samples.MONTHS))
    started = multiprocessing.get_context("forkserver").Process(target=_killed, args=(store.folder, store.stage))
    started.start()
    started.join()
    assert started.exitcode == -signal.SIGKILL
    (left,) = store.stage.glob(".incoming-*")
    assert left.name.startswith(f".incoming-{RETURNS}-")
    others = [store.stage / f".incoming-{name}-a1b2c3_4" for name in ("fred_md.2008", "fred_md.2008-07-x", "fred.GS10")]
    for other in others:
        other.mkdir()
    assert store.refresh(["fred_md.2008-07"]) == {"fred_md.2008-07": True}
    assert set(store.stage.glob(".incoming-*")) == {left, *others}
    assert store.refresh() == {RETURNS: True, SNAPSHOT: True, "fred_md.2008-07": False}
    assert set(store.stage.glob(".incoming-*")) == set(others)


class _Killed(ExtractStore):
    """Killed before anything is moved into place."""

    def _move_in(self, *_: object) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return False


def _killed(folder: Path, stage: Path) -> None:
    _Killed(folder, stage).refresh([RETURNS])


def _refresh(folder: Path, stage: Path) -> dict[str, bool]:
    return ExtractStore(folder, stage).refresh()


def test_processes_do_not_collide(drop: Drop, store: ExtractStore) -> None:
    drop(CSV, samples.index_rows(samples.MONTHS))
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        results = pool.starmap(_refresh, [(store.folder, store.stage)] * 4)
    assert sorted(result[RETURNS] for result in results) == [False, False, False, True]
    assert store.scan(RETURNS).collect().height == 18


def test_month_digests_tell_cells_nulls_and_columns_apart() -> None:
    def digest(**columns: pl.Series) -> str:
        frame = pl.DataFrame({"month": [JUN, JUN], **columns})
        ((rows, digest),) = month_digests(frame).values()
        assert rows == 2
        return digest

    ab = digest(a=pl.Series(["ab", "c"]))
    assert ab != digest(a=pl.Series(["a", "bc"]))
    assert ab != digest(b=pl.Series(["ab", "c"]))
    assert digest(a=pl.Series([None, ""])) != digest(a=pl.Series(["", None], dtype=pl.String))
    assert digest(a=pl.Series([None, 0.0])) != digest(a=pl.Series([0.0, 0.0]))
    assert digest(a=pl.Series([1, 0])) != digest(a=pl.Series([1.0, 0.0]))
    whole = pl.DataFrame({"month": [JUN, JUL, JUL], "a": ["é", None, "x"], "b": [1.5, None, 2.0]})
    apart = {**month_digests(whole[:1]), **month_digests(whole[1:])}
    assert month_digests(whole) == apart


FRAME = samples.index_rows([date(2008, 7, 1), date(2008, 8, 1)], bonds=3)


@settings(max_examples=5)
@given(order=st.permutations(range(6)), cut=st.integers(1, 5), row=st.integers(0, 5), upper=st.booleans())
def test_order_and_split_change_no_digest_and_a_row_changes_its_month(
    order: list[int], cut: int, row: int, upper: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ExtractStore(Path(folder) / "extracts", Path(folder) / "staged")
        drops = store.folder / "bonds.index_constituents"
        drops.mkdir(parents=True)
        FRAME.write_csv(drops / "1.csv")
        store.refresh()
        before = store.digests(SNAPSHOT), store.digests(RETURNS)
        shuffled = FRAME[order]
        if upper:
            shuffled = shuffled.rename(str.upper)
        shuffled[:cut].write_csv(drops / "1.csv")
        shuffled[cut:].write_parquet(drops / "2.parquet")
        assert store.refresh() == {SNAPSHOT: False, RETURNS: False}
        assert (store.digests(SNAPSHOT), store.digests(RETURNS)) == before
        changed = FRAME.with_columns(
            pl.when(pl.int_range(pl.len()) == row).then(pl.lit(0.5)).otherwise(pl.col("Return")).alias("Return")
        )
        (drops / "2.parquet").unlink()
        changed.write_csv(drops / "1.csv")
        assert store.refresh() == {SNAPSHOT: False, RETURNS: True}
        earned = FRAME.get_column("Pricing_Date")[row]
        assert [month for month, digest in store.digests(RETURNS).items() if digest != before[1][month]] == [earned]
