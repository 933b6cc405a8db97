"""An extract that turns bad stops the build and leaves every file of a built lake as it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from promise import END, Factory, build, files

from pipeline.extracts.errors import BadExtract
from pipeline.panel.calendar import shift
from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import simulate
from resources.home import Home

FIRST = shift(END, -2)
MSF, NAMES, LINKS, ACCOUNTS = "crsp.msf", "crsp.msenames", "crsp.ccmxpf_lnkhist", "comp.funda"
ASSETS = ("crsp_monthly", "firm_links", "compustat_annual")
Mistake = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """Raw tables of the tiny market that the assets read."""
    market = simulate("tiny", end=END).tables
    return {name: market[name] for name in (MSF, NAMES, "crsp.msedelist", LINKS, ACCOUNTS)}


@pytest.fixture(scope="module")
def home(tables: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which three months are built; whoever changes its extracts puts them back."""
    made = Factory(tmp_path_factory.mktemp("homes")).home("home", tables)
    built = build(made, END, FIRST, names=ASSETS)
    assert built == {name: [FIRST, shift(FIRST, 1), END] for name in ASSETS}
    return made


def on_first_row(change: pl.Expr, column: str) -> Mistake:
    """One cell is another; its column may be of another type."""
    first = pl.int_range(pl.len()) == 0
    return lambda frame: frame.with_columns(pl.when(first).then(change).otherwise(column).alias(column))


MISTAKES: dict[str, tuple[str, Mistake, str]] = {
    "a column is missing": (MSF, lambda frame: frame.drop("shrout"), "column shrout: missing"),
    "there are no rows": (MSF, lambda frame: frame.clear(), "holds no rows"),
    "a number is none": (MSF, on_first_row(pl.lit("x"), "prc"), "column prc: holds what is no number"),
    "a return is below -1": (MSF, on_first_row(pl.lit("-1.5"), "ret"), "column ret: holds returns below -1"),
    "a permno is cut in half": (MSF, on_first_row(pl.lit(10010.5), "permno"), "column permno: holds numbers that are"),
    "a security has two rows in a month": (
        MSF,
        lambda frame: pl.concat([frame, frame[:1].with_columns(pl.col("date") - timedelta(days=1))]),
        "column permno, date: duplicate key",
    ),
    "half of the last month is gone": (
        MSF,
        lambda frame: pl.concat([frame.filter(pl.col("date") < END), frame.filter(pl.col("date") >= END)[:9]]),
        "fewer than half the rows of the month before",
    ),
    "a name ends before it starts": (
        NAMES,
        on_first_row(pl.col("namedt") - timedelta(days=1), "nameendt"),
        "column nameendt: ends before it starts",
    ),
    "a link's gvkey is no number": (
        LINKS,
        lambda frame: frame.with_columns(pl.col("gvkey") + "A"),
        "column gvkey: is no company key",
    ),
    "a fiscal year is no number": (ACCOUNTS, on_first_row(pl.lit("2020?"), "fyear"), "column fyear: holds what is no"),
}


@pytest.mark.parametrize(("table", "mistake", "says"), MISTAKES.values(), ids=MISTAKES.keys())
def test_nothing_is_touched(
    table: str, mistake: Mistake, says: str, home: Home, tables: dict[str, pl.DataFrame]
) -> None:
    before = files(home)
    assert len(before) > len(ASSETS)
    try:
        write_extracts({table: mistake(tables[table])}, home.extracts_folder)
        with pytest.raises(BadExtract, match=says):
            build(Home(home.folder), END, FIRST, names=ASSETS)
        assert files(home) == before
    finally:
        write_extracts({table: tables[table]}, home.extracts_folder)
    assert not any(build(Home(home.folder), END, FIRST, names=ASSETS).values())
    assert files(home) == before


def test_names_of_an_older_file_build_nothing(home: Home, tables: dict[str, pl.DataFrame]) -> None:
    before = files(home)
    names = tables[NAMES]
    day = date(2026, 9, 30)
    older = names.filter(pl.col("namedt") <= day).with_columns(pl.min_horizontal("nameendt", pl.lit(day)))
    try:
        write_extracts({NAMES: older}, home.extracts_folder)
        with pytest.raises(ValueError, match=r"crsp\.msenames: fewer than half .* \(2026-10: 0 of \d+ rows\)"):
            build(Home(home.folder), END, END, names=["crsp_monthly"])
        assert files(home) == before
    finally:
        write_extracts({NAMES: names}, home.extracts_folder)


def test_where_the_lake_lies(home: Home) -> None:
    assert {Path(name).parts[0] for name in files(home)} == {"lake"}
