"""Trades, issues, ratings, prices and links: every layout gives its rows, and what is bad is refused."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date, time, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.extracts import counts
from pipeline.extracts.copies import with_copies
from pipeline.extracts.errors import BadExtract
from pipeline.extracts.registry import TABULARS
from pipeline.extracts.survey import TABLE_NAME
from resources.extracts import ExtractStore
from tests.extracts import bond_samples as samples

Drop = Callable[..., Path]
TRACE, ISSUE = "trace.trace_enhanced", "fisd.fisd_mergedissue"
AMOUNTS = "fisd.fisd_amt_out_hist"
REPORTS = samples.SAMPLES[TRACE][:2]


def rows(store: ExtractStore, table: str) -> list[tuple[object, ...]]:
    return store.scan(table).collect().rows()


def cell(frame: pl.DataFrame, column: str, row: int, value: object) -> pl.DataFrame:
    chosen = pl.int_range(pl.len()) == row
    return frame.with_columns(pl.when(chosen).then(pl.lit(value, pl.String)).otherwise(column).alias(column))


def test_every_table_is_sampled() -> None:
    vendors = ("trace.", "fisd.", "wrdsapps.", "bonds.")
    stems = {tabular.stem for tabular in TABULARS if tabular.stem.startswith(vendors)}
    assert stems - {"bonds.index_constituents"} == set(samples.SAMPLES) == set(samples.EXPECTED)
    assert all(TABLE_NAME.match(stem) for stem in stems)


@pytest.mark.parametrize("container", ["upper csv.gz", "typed parquet", "folder"])
def test_every_layout_gives_the_rows_one_reads_in_it(container: str, drop: Drop, store: ExtractStore) -> None:
    for stem, frame in samples.SAMPLES.items():
        if container == "upper csv.gz":
            upper = frame.with_columns(ignored=pl.lit("x")).rename(str.upper)
            drop(f"{stem.upper()}.CSV.GZ", upper.select(reversed(upper.columns)))
        elif container == "typed parquet":
            drop(f"{stem}.parquet", samples.typed(stem).reverse())
        else:
            drop(f"{stem}/new.csv", frame[1:])
            drop(f"{stem}/old.parquet", frame[:1])
    assert store.refresh() == dict.fromkeys(samples.SAMPLES, True)
    for stem, expected in samples.EXPECTED.items():
        assert rows(store, stem) == expected, stem
        # Rows that give none here, such as a rating without a day, are counted.
        height, staged = samples.SAMPLES[stem].height, len(expected)
        found = {"rows staged": staged, "rows in the files": height, "rows left out": height - staged}
        assert counts(store, [stem]) == found, stem


TIMES = {
    "09:30:15": time(9, 30, 15),
    "9:30:15": time(9, 30, 15),
    "093015": time(9, 30, 15),
    "34215": time(9, 30, 15),
    "34215.0": time(9, 30, 15),
    " 16:00:00 ": time(16),
    "0": time(0),
    "86399": time(23, 59, 59),
    "16:00:00.250": time(16, 0, 0, 250_000),
    ".": None,
    "": None,
}
NO_TIMES = ("24:00:00", "25:00:00", "09:61:00", "9:30", "9:30:15 PM", "246060", "93015", "86400", "noon", "-1")


def test_times_of_day_as_text(drop: Drop, store: ExtractStore) -> None:
    numbers = pl.Series([f"{i:07d}" for i in range(1_000_000, 1_000_000 + len(TIMES))])
    drop(
        f"{TRACE}.csv", REPORTS[[0] * len(TIMES)].with_columns(trd_exctn_tm=pl.Series(list(TIMES)), msg_seq_nb=numbers)
    )
    store.refresh()
    assert store.scan(TRACE).collect()["trd_exctn_tm"].to_list() == list(TIMES.values())


def test_a_text_that_is_no_time_of_day_is_refused(drop: Drop, store: ExtractStore) -> None:
    path = drop(f"{TRACE}.csv", REPORTS[[0] * len(NO_TIMES)].with_columns(trd_exctn_tm=pl.Series(NO_TIMES)))
    with pytest.raises(BadExtract) as caught:
        store.refresh()
    message = str(caught.value)
    assert message.startswith(f"{path}: column trd_exctn_tm: holds unparseable times ({len(NO_TIMES)} rows).")
    assert "msg_seq_nb=0000123, trc_st=T, trd_rpt_tm=16:01:59, trd_exctn_tm=-1\n" in message
    assert "Remedy: write times of day as HH:MM:SS or HHMMSS" in message


SECONDS = [34215.0, 57719.0]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(SECONDS, dtype=pl.Float64),
        pl.Series(SECONDS).cast(pl.Int32),
        pl.Series(SECONDS, dtype=pl.Float64).cast(pl.Decimal(9, 2)),
        pl.Series([time(9, 30, 15), time(16, 1, 59)]),
    ],
    ids=["seconds", "whole seconds", "decimal seconds", "times"],
)
def test_times_of_day_as_a_typed_column(column: pl.Series, drop: Drop, store: ExtractStore) -> None:
    drop(f"{TRACE}.parquet", REPORTS.with_columns(trd_exctn_tm=column))
    store.refresh()
    assert store.scan(TRACE).collect()["trd_exctn_tm"].to_list() == [time(9, 30, 15), time(16, 1, 59)]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pl.Series([34215, 86400]), r"unparseable times \(1 row\)"),
        (pl.Series([-0.5, float("inf")]), r"unparseable times \(2 rows\)"),
        (pl.Series([True, False]), "has type BOOLEAN where a time is needed"),
        (pl.Series([date(2008, 6, 27)] * 2), "has type DATE where a time is needed"),
    ],
)
def test_a_typed_column_that_holds_no_times_is_refused(
    column: pl.Series, says: str, drop: Drop, store: ExtractStore
) -> None:
    drop(f"{TRACE}.parquet", REPORTS.with_columns(trd_exctn_tm=column))
    with pytest.raises(BadExtract, match=f"column trd_exctn_tm: .*{says}"):
        store.refresh()


PACKED = {80501: time(8, 5, 1), 93000: time(9, 30), 153001: time(15, 30, 1), 0: time(0), 235959: time(23, 59, 59)}


@pytest.mark.parametrize("extension", ["csv", "parquet"])
@pytest.mark.parametrize("kind", [pl.Int32, pl.Float64])
def test_numbers_that_are_digits_of_times(extension: str, kind: type, drop: Drop, store: ExtractStore) -> None:
    numbers = pl.Series(list(PACKED)).cast(kind)
    frame = REPORTS[[0] * len(PACKED)].with_columns(
        trd_exctn_tm=numbers, trd_rpt_tm=pl.lit(34215), msg_seq_nb=pl.Series([f"{i:07d}" for i in range(len(PACKED))])
    )
    drop(f"{TRACE}.{extension}", frame)
    store.refresh()
    found = store.scan(TRACE).collect().sort("msg_seq_nb")
    assert found["trd_exctn_tm"].to_list() == list(PACKED.values())
    # Every column by itself: this one counts seconds.
    assert set(found["trd_rpt_tm"]) == {time(9, 30, 15)}


def test_digits_of_times_that_all_lie_before_ten(drop: Drop, store: ExtractStore) -> None:
    early = [80501, 80511, 81500, 82007, 83010, 84959, 85013, 85959]
    frame = REPORTS[[0] * 8].with_columns(trd_exctn_tm=pl.Series(early), msg_seq_nb=pl.Series(list("12345678")))
    drop(f"{TRACE}.csv", frame)
    store.refresh()
    assert store.scan(TRACE).collect().sort("msg_seq_nb")["trd_exctn_tm"].to_list() == [
        time(number // 10000, number // 100 % 100, number % 100) for number in early
    ]
    # Eight numbers of which one is no time of day are seconds after midnight.
    drop(f"{TRACE}.csv", frame.with_columns(trd_exctn_tm=pl.Series([*early[:7], 85960])))
    store.refresh()
    assert store.scan(TRACE).collect().sort("msg_seq_nb")["trd_exctn_tm"][0] == time(22, 21, 41)


def test_a_missing_number_of_seconds_is_a_missing_time(drop: Drop, store: ExtractStore) -> None:
    drop(f"{TRACE}.parquet", REPORTS.with_columns(trd_exctn_tm=pl.Series([float("nan"), None])))
    store.refresh()
    assert store.scan(TRACE).collect()["trd_exctn_tm"].null_count() == 2


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_whole_numbers_that_a_tool_made_decimal_are_whole_again(
    extension: str, drop: Drop, store: ExtractStore
) -> None:
    numbers = {"msg_seq_nb": [123.0, 4567890.0], "orig_msg_seq_nb": [None, 123.0], "days_to_sttl_ct": [0.0, 10.0]}
    drop(f"{TRACE}.{extension}", REPORTS.with_columns(**{name: pl.Series(cells) for name, cells in numbers.items()}))
    issues = samples.SAMPLES[ISSUE].with_columns(interest_frequency=pl.lit(12.0), day_count_basis=pl.lit("v1.0"))
    drop(f"{ISSUE}.{extension}", issues)
    store.refresh()
    reports = store.scan(TRACE).collect()
    assert reports["msg_seq_nb"].to_list() == ["123", "4567890"]
    assert reports["orig_msg_seq_nb"].to_list() == [None, "123"]
    assert reports["days_to_sttl_ct"].to_list() == ["0", "10"]
    staged = store.scan(ISSUE).collect()
    assert staged["interest_frequency"].unique().to_list() == ["12"]
    # A text that is no number stays as it is.
    assert staged["day_count_basis"].unique().to_list() == ["v1.0"]


@pytest.mark.parametrize(
    ("stem", "column"),
    [(TRACE, "cusip_id"), (ISSUE, "complete_cusip"), ("bonds.mergent", "cusip"), ("bonds.recovery", "cusip")],
)
def test_spellings_of_a_cusip(stem: str, column: str, drop: Drop, store: ExtractStore) -> None:
    spelled = pl.Series(["00184AAB", "00184AAC1", "00184aad1", " 00184AAE1 "])
    frame = samples.SAMPLES[stem][[0] * 4].with_columns(spelled.alias(column))
    if stem == ISSUE:
        frame = frame.with_columns(issue_id=pl.Series(["1", "2", "3", "4"]))
    drop(f"{stem}.csv", frame)
    store.refresh()
    assert store.scan(stem).collect()["cusip"].to_list() == ["00184AAB", "00184AAC", "00184AAD", "00184AAE"]


@pytest.mark.parametrize(
    ("stem", "column", "spelled"),
    [
        (TRACE, "cusip_id", "184AAB1"),
        (TRACE, "cusip_id", "US00184AAB17"),
        (ISSUE, "complete_cusip", "00184-AB1"),
        ("bonds.lehman", "cusip", "00184éAB1"),
        ("bonds.recovery", "cusip", "184AAB1"),
        ("wrdsapps.bondcrsp_link", "cusip", "184AAB1"),
    ],
)
def test_what_is_no_cusip_is_refused(stem: str, column: str, spelled: str, drop: Drop, store: ExtractStore) -> None:
    path = drop(f"{stem}.csv", cell(samples.SAMPLES[stem], column, 0, spelled))
    with pytest.raises(BadExtract) as caught:
        store.refresh()
    message = str(caught.value)
    assert message.startswith(f"{path}: column {column}: is no CUSIP of eight or nine characters (")
    assert f"{column}={spelled.upper()}" in message
    assert "Remedy: write the CUSIP as the vendor does" in message
    assert not any(store.stage.glob("*/*"))


PRICES = samples.SAMPLES["bonds.lehman"]
REFUSED: dict[str, tuple[str, pl.DataFrame, str]] = {
    "missing column": (TRACE, REPORTS.drop("asof_cd", "yld_pt"), "column asof_cd: missing; the file has"),
    "no day of report": (
        TRACE,
        cell(REPORTS, "trd_rpt_dt", 1, None),
        r"column trd_rpt_dt: holds unparseable dates \(1 row\).\n.*trd_rpt_dt=\(empty\), .*msg_seq_nb=0000123",
    ),
    "wrong day of report": (TRACE, cell(REPORTS, "trd_rpt_dt", 1, "0208-06-30"), r"trd_rpt_dt: .*\(1 row\).\n.*0208"),
    "no day of trade": (TRACE, cell(REPORTS, "trd_exctn_dt", 1, None), r"trd_exctn_dt: is empty \(1 row\)"),
    "no number of the message": (TRACE, cell(REPORTS, "msg_seq_nb", 0, " "), r"msg_seq_nb: is empty \(1 row\)"),
    "no number": (TRACE, cell(REPORTS, "entrd_vol_qt", 1, "1MM+"), r"entrd_vol_qt: holds what is no number.*\n.*1MM\+"),
    "infinite": (TRACE, cell(REPORTS, "rptd_pr", 1, "inf"), r"rptd_pr: holds non-finite numbers \(1 row\)"),
    "empty": (TRACE, REPORTS.clear(), "holds no rows"),
    "no bond at all": (TRACE, REPORTS.with_columns(cusip_id=pl.lit("")), f"holds no rows for {TRACE}"),
    "issue twice": (
        ISSUE,
        cell(samples.SAMPLES[ISSUE], "issue_id", 1, "1"),
        r"issue_id: duplicate key \(2 rows\).\n  issue_id=1\n",
    ),
    "no issue": (ISSUE, cell(samples.SAMPLES[ISSUE], "issue_id", 1, None), r"issue_id: is empty \(1 row\)"),
    "wrong offering date": (
        ISSUE,
        cell(samples.SAMPLES[ISSUE], "offering_date", 1, "soon"),
        r"offering_date: holds unparseable dates \(1 row\).\n  offering_date=soon, issue_id=2",
    ),
    "dated far away": (ISSUE, cell(samples.SAMPLES[ISSUE], "dated_date", 1, "9999-12-31"), "dated_date: .*unparseable"),
    "issuer twice": (
        "fisd.fisd_mergedissuer",
        samples.SAMPLES["fisd.fisd_mergedissuer"][[0, 0]],
        r"issuer_id: duplicate key \(2 rows\)",
    ),
    "issuer without a number": (
        "fisd.fisd_mergedissuer",
        cell(samples.SAMPLES["fisd.fisd_mergedissuer"], "issuer_id", 0, "seven"),
        r"issuer_id: holds what is no number \(1 row\).\n  issuer_id=seven",
    ),
    "wrong day of default": (
        "fisd.fisd_issue_default",
        cell(samples.SAMPLES["fisd.fisd_issue_default"], "default_date", 1, "June"),
        r"default_date: holds unparseable dates \(1 row\)",
    ),
    "no default with a day": (
        "fisd.fisd_issue_default",
        samples.SAMPLES["fisd.fisd_issue_default"].with_columns(default_date=pl.lit(None, pl.String)),
        "holds no rows for fisd.fisd_issue_default",
    ),
    "recovery as a share": (
        "bonds.recovery",
        samples.SAMPLES["bonds.recovery"][[0, 0]].with_columns(recovery_price=pl.Series(["0.415", "1"])),
        r"recovery_price: holds no price above 1, the highest being 1.0: .*\(2 rows\)",
    ),
    "negative amount": (
        AMOUNTS,
        cell(samples.SAMPLES[AMOUNTS], "amount_outstanding", 0, "-1"),
        r"amount_outstanding: holds values below 0.0 \(1 row\)",
    ),
    "negative price": ("bonds.lehman", cell(PRICES, "price", 1, "-0.01"), r"price: holds values below 0.0 \(1 row\)"),
    "price twice": ("bonds.datastream", PRICES[[0, 0]], r"cusip, date: duplicate key \(2 rows\)"),
    "price of no bond": ("bonds.mergent", cell(PRICES, "cusip", 1, None), r"cusip: is empty \(1 row\)"),
    "negative recovery": (
        "bonds.recovery",
        cell(samples.SAMPLES["bonds.recovery"], "recovery_price", 0, "-1"),
        r"recovery_price: holds values below 0.0 \(1 row\)",
    ),
    "link twice": (
        "wrdsapps.bondcrsp_link",
        samples.SAMPLES["wrdsapps.bondcrsp_link"][[1, 1]],
        r"column cusip, link_startdt, permno: duplicate key \(2 rows\)"
        r".\n  cusip=00184AAB, link_startdt=2008-06-17, permno=10108\n(.*\n)*Remedy: keep one row for each cusip, link_"
        r"startdt, permno",
    ),
}


@pytest.mark.parametrize(("stem", "bad", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_in_the_words_of_the_file(
    stem: str, bad: pl.DataFrame, says: str, drop: Drop, store: ExtractStore
) -> None:
    path = drop(f"{stem}.csv", bad)
    with pytest.raises(BadExtract, match=says) as caught:
        store.refresh()
    assert str(path) in str(caught.value)
    assert "Remedy: " in str(caught.value)
    assert not any(store.stage.glob("*/*"))


def test_prices_that_are_no_prices_are_left_to_the_cleaning(drop: Drop, store: ExtractStore) -> None:
    drop(f"{TRACE}.csv", REPORTS.with_columns(rptd_pr=pl.Series(["0", "-101.5"]), entrd_vol_qt=pl.lit("0")))
    store.refresh()
    assert store.scan(TRACE).collect()["rptd_pr"].to_list() == [0.0, -101.5]


def test_repeated_reports_are_kept_and_numbered_in_any_order(drop: Drop, store: ExtractStore) -> None:
    frame = pl.concat([REPORTS[[0, 0]], cell(REPORTS[:1], "rptd_pr", 0, "50"), REPORTS[1:]])
    drop(f"{TRACE}.csv", frame)
    store.refresh()
    staged = store.scan(TRACE).collect()
    assert staged.select("copy", "rptd_pr").rows() == [(0, 50.0), (1, 101.625), (2, 101.625), (0, -1.5)]
    drop(f"{TRACE}.csv", frame[[2, 3, 0, 1]])
    assert store.refresh() == {TRACE: False}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(0, 2), st.none() | st.integers(0, 2))))
def test_copies_are_those_of_a_loop(cells: list[tuple[str, int | None, int | None]]) -> None:
    frame = pl.DataFrame(cells, schema={"k": pl.String, "l": pl.Int64, "z": pl.Int64}, orient="row")
    seen: dict[object, int] = {}
    expected = []
    for k, key, z in sorted(cells, key=lambda row: [(cell is not None, cell) for cell in row]):
        expected.append((k, key, z, seen.get((k, key), 0)))
        seen[k, key] = seen.get((k, key), 0) + 1
    assert with_copies(frame, ["k", "l"]).sort("k", "l", "z", "copy").rows() == expected


def test_message_numbers_lose_their_leading_zeros(drop: Drop, store: ExtractStore) -> None:
    numbers = ["0000012", "12", "0000000", "0A7", "1200"]
    drop(
        f"{TRACE}.csv", REPORTS[[0] * 5].with_columns(msg_seq_nb=pl.Series(numbers), orig_msg_seq_nb=pl.Series(numbers))
    )
    store.refresh()
    found = store.scan(TRACE).select("msg_seq_nb", "orig_msg_seq_nb", "copy").collect().sort("msg_seq_nb", "copy")
    # The second row has the key of the first: it is the same report.
    expected = [("0", 0), ("12", 0), ("12", 1), ("1200", 0), ("A7", 0)]
    assert found.rows() == [(number, number, copy) for number, copy in expected]


def test_an_undated_table_is_known_from_the_first_month(drop: Drop, store: ExtractStore) -> None:
    sample = samples.SAMPLES["fisd.fisd_mergedissuer"]
    issuers = sample[[0, 0, 0]].with_columns(issuer_id=pl.Series(["1", "2", "3"]))
    drop("fisd.fisd_mergedissuer.csv", issuers)
    store.refresh()
    assert store.rows("fisd.fisd_mergedissuer") == {date(1926, 1, 1): 3}


MONTHS = [date(2008, month, 1) for month in (6, 7, 8)]
DAILY = pl.concat(
    REPORTS[[0]].with_columns(
        trd_rpt_dt=pl.lit(str(month + timedelta(days=day))), msg_seq_nb=pl.lit(f"{number:07d}"), cusip_id=pl.lit(cusip)
    )
    for month in MONTHS
    for day in (1, 4)
    for number in range(2)
    for cusip in ("00184AAB1", "00206RJR2")
)


def staged(store: ExtractStore) -> dict[str, object]:
    store.refresh()
    return {table: (store.digests(table), store.rows(table), rows(store, table)) for table in store.available()}


def from_nothing(store: ExtractStore) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as stage:
        return staged(ExtractStore(store.folder, Path(stage)))


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_only_the_months_of_changed_reports_are_staged_again(extension: str, drop: Drop, store: ExtractStore) -> None:
    drop(f"{TRACE}.{extension}", DAILY[:16])
    staged(store)
    files = {path: path.stat().st_mtime_ns for path in store.stage.rglob("month=2008-06/*.parquet")}
    # A report of July is repeated and August comes.
    drop(f"{TRACE}.{extension}", pl.concat([DAILY, DAILY[[9]]]))
    assert staged(store) == from_nothing(store)
    assert files
    assert all(path.stat().st_mtime_ns == mark for path, mark in files.items())
    assert store.scan(TRACE, MONTHS[1], MONTHS[1]).collect()["copy"].sum() == 1


@settings(max_examples=4, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 23), st.sampled_from(["T", "X"]), st.sampled_from(["99", "1e2", "-0.0"])),
            min_size=1,
        ),
        min_size=2,
        max_size=3,
    )
)
def test_any_sequence_of_stagings_of_reports_ends_in_that_from_nothing(steps: list[list[tuple[int, str, str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ExtractStore(Path(folder) / "extracts", Path(folder) / "staged")
        store.folder.mkdir()
        for step in steps:
            numbers, codes, prices = zip(*step, strict=True)
            frame = DAILY[list(numbers)].with_columns(trc_st=pl.Series(codes), rptd_pr=pl.Series(prices))
            frame.write_csv(store.folder / f"{TRACE}.csv")
            assert staged(store) == from_nothing(store)
