"""The market as it stood at the end of an earlier month, and what of its rows becomes known later."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from promise import changeable, later, with_late_returns

from pipeline.simulation.history import history, known_day
from pipeline.simulation.layouts import INTERVAL_ENDS, UNDATED, date_column, write_extracts
from pipeline.simulation.market import Market

MONTH = date(2022, 12, 1)
FOLLOWING = date(2023, 1, 1)
LAST_DAY = date(2022, 12, 31)
OTHERS = (
    "bonds.index_constituents", "comp.fundq", "crsp.msedelist", "fisd.fisd_mergedissue", *INTERVAL_ENDS, *UNDATED,
)  # fmt: skip
ENDED = ("fred_md/", "bonds.lehman", "bonds.recovery")
"""Tables all of whose rows may lie before the month: older vintages, a source that ended, defaults."""


@pytest.fixture(scope="module")
def cut(tiny: Market) -> dict[str, pl.DataFrame]:
    return history(tiny.tables, date(2022, 12, 15))


def test_rows_up_to_the_month_are_as_they_were(tiny: Market, cut: dict[str, pl.DataFrame], tmp_path: Path) -> None:
    assert cut.keys() == tiny.tables.keys()
    for name, frame in tiny.tables.items():
        if name not in OTHERS:
            assert cut[name].equals(frame.filter(pl.col(date_column(name)) < FOLLOWING)), name
            assert cut[name].height < frame.height or name.startswith(ENDED)
    for name in UNDATED:
        assert cut[name].equals(tiny.tables[name])
    written = write_extracts(cut, tmp_path, parquet=["crsp.dsf"])
    assert len(written) == len(cut)


def test_index_rows_lose_the_return_of_the_next_month(tiny: Market, cut: dict[str, pl.DataFrame]) -> None:
    bonds = cut["bonds.index_constituents"]
    assert bonds["Pricing_Date"].max() == FOLLOWING
    last = bonds.filter(pl.col("Pricing_Date") == FOLLOWING)
    assert last.height > 0
    assert last["Return"].null_count() == last.height
    assert last["Price_BOM"].null_count() < last.height
    before = tiny.tables["bonds.index_constituents"].filter(pl.col("Pricing_Date") < FOLLOWING)
    assert bonds.head(before.height).equals(before)


def test_issues_are_known_from_their_issue_or_their_first_interest(tiny: Market, cut: dict[str, pl.DataFrame]) -> None:
    issues = tiny.tables["fisd.fisd_mergedissue"]
    kept = [
        (offered or dated) < FOLLOWING for offered, dated in issues.select("offering_date", "dated_date").iter_rows()
    ]
    assert cut["fisd.fisd_mergedissue"].equals(issues.filter(pl.Series(kept)))
    assert 0 < sum(kept) < issues.height
    assert issues.filter(pl.Series(kept))["offering_date"].null_count() > 0


def test_defaults_are_mended_when_it_comes(tiny: Market) -> None:
    defaults = tiny.tables["fisd.fisd_issue_default"]
    mended = defaults.drop_nulls("reinstated_date")
    assert mended.height > 0
    for issue, default, reinstated in mended.iter_rows():
        for month, shown in ((default, None), (reinstated, reinstated)):
            known = history({"fisd.fisd_issue_default": defaults}, month)["fisd.fisd_issue_default"]
            assert known.filter(pl.col("issue_id") == issue).rows() == [(issue, default, shown)]
            assert known["default_date"].max() < later_month(month)


def later_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def test_ends_after_the_month_are_open(tiny: Market, cut: dict[str, pl.DataFrame]) -> None:
    names, links = tiny.tables["crsp.msenames"], tiny.tables["crsp.ccmxpf_lnkhist"]
    assert cut["crsp.msenames"]["nameendt"].max() == LAST_DAY
    assert cut["crsp.msenames"].height == (names["namedt"] < FOLLOWING).sum() < names.height
    ended = names.filter(pl.col("nameendt") < FOLLOWING)
    assert ended.join(cut["crsp.msenames"], on=names.columns, nulls_equal=True).height == ended.height
    late = links.filter(pl.col("linkdt") < FOLLOWING, pl.col("linkenddt") >= FOLLOWING)
    assert late.height >= 2
    shown = cut["crsp.ccmxpf_lnkhist"].join(
        late.select("gvkey", "lpermno", "linkdt"), on=["gvkey", "lpermno", "linkdt"]
    )
    assert shown.height == shown["linkenddt"].null_count() == late.height
    assert cut["crsp.ccmxpf_lnkhist"]["linkenddt"].max() < FOLLOWING


def test_securities_delisted_later_are_active(tiny: Market, cut: dict[str, pl.DataFrame]) -> None:
    now, then = tiny.tables["crsp.msedelist"], cut["crsp.msedelist"]
    for (permno, day, code, text), seen in zip(now.iter_rows(), then.iter_rows(), strict=True):
        assert seen == ((permno, day, code, text) if day < FOLLOWING else (permno, LAST_DAY, 100, None))
    assert ((now["dlstdt"] >= FOLLOWING) & (now["dlstcd"] != 100)).sum() >= 2


def test_quarterly_accounts_are_known_when_announced(tiny: Market, cut: dict[str, pl.DataFrame]) -> None:
    quarterly = tiny.tables["comp.fundq"]
    kept = set()
    for place, (day, announced) in enumerate(quarterly.select("datadate", "rdq").iter_rows()):
        if announced is not None and announced >= day:
            known = announced < FOLLOWING
        else:
            known = (day.year, day.month) <= (2022, 9)
        if known:
            kept.add(place)
    assert cut["comp.fundq"].equals(quarterly[sorted(kept)])
    assert cut["comp.fundq"].height < (quarterly["datadate"] < FOLLOWING).sum()
    days = quarterly.select(known_day("comp.fundq")).to_series()
    assert (days >= quarterly["datadate"]).all()


def test_later_rows_are_those_that_history_takes_away(tiny: Market, cut: dict[str, pl.DataFrame]) -> None:
    for name, frame in tiny.tables.items():
        is_later = frame.select(later(name, frame, MONTH)).to_series()
        assert len(is_later) == frame.height
        if name != "crsp.msedelist":
            assert cut[name].height == frame.height - is_later.sum(), name
        numbers, words = changeable(name, frame)
        assert not {"permno", "gvkey", "ISIN", "lpermno"} & {*numbers, *words}
        assert numbers or words or name in INTERVAL_ENDS, name


@pytest.mark.parametrize("table", list(INTERVAL_ENDS))
def test_late_ends_can_be_moved_and_opened(tiny: Market, another: Market, table: str) -> None:
    frame, end = (another if table.startswith("wrdsapps.") else tiny).tables[table], INTERVAL_ENDS[table]
    month = _within(frame, table) if table.startswith("fisd.") else MONTH
    following = later_month(month)
    kept = frame.filter(~later(table, frame, month))
    moved = with_late_returns(table, kept, month, lambda value: value * 0.3 - 0.2)
    assert moved.height == kept.height
    late = (kept[end] >= following).fill_null(False)
    assert late.any()
    assert moved.filter(~late).equals(kept.filter(~late))
    assert (moved.filter(late)[end] >= following).all()
    # The names of active securities end with the data, whatever else ends when.
    movable = late & (kept[end] < kept[end].max()) if table == "crsp.msenames" else late
    assert (moved.filter(movable)[end] < kept.filter(movable)[end]).mean() > 0.5
    opened = with_late_returns(table, kept, month, lambda _: pl.lit(None, dtype=pl.Float64))
    expected = history({table: frame}, month)[table]
    columns = frame.columns
    assert opened.sort(columns, nulls_last=True).equals(expected.sort(columns, nulls_last=True))


def _within(frame: pl.DataFrame, table: str) -> date:
    """Month in which an interval of a table with few of them begins."""
    return frame.drop_nulls(INTERVAL_ENDS[table])[date_column(table)][0].replace(day=1)


def test_undated_tables_are_always_known(tiny: Market) -> None:
    for name in UNDATED:
        frame = tiny.tables[name]
        assert not frame.select(later(name, frame, date(1990, 1, 1))).to_series().any()
