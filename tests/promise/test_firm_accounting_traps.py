"""Every trap planted in the simulated Compustat files has its right answer in the lake.

Right is what the economy says: the simulator's frame of traps and the frames of statements beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from promise import END, Tables

from pipeline.simulation.market import simulate
from resources.home import Home

pytestmark = pytest.mark.xdist_group("firm traps")

KEYS = ["gvkey", "datadate"]
CODES = ["indfmt", "datafmt", "popsrc", "consol"]
STANDARD = {"indfmt": "INDL", "datafmt": "STD", "popsrc": "D", "consol": "C"}
ANNUAL, QUARTERLY = "comp.funda", "comp.fundq"
# The earliest month in which any timing uses a fiscal year; the newest statements are not in the lake yet.
ANNUAL_LAG = "4mo"


@dataclass(frozen=True)
class World:
    """What the vendor wrote, what is true, what the lake has."""

    tables: Tables
    truth: Tables
    home: Home

    def lake(self, table: str) -> pl.DataFrame:
        return self.home.lake.read_all({ANNUAL: "compustat_annual", QUARTERLY: "compustat_quarterly"}[table])

    def items(self, table: str) -> list[str]:
        """Items that the lake has of the vendor's."""
        vendor = self.tables[table]
        return [name for name in self.lake(table).columns if vendor.schema.get(name) == pl.Float64]

    def vendor(self, table: str) -> pl.DataFrame:
        """The vendor's rows that count, those of quarters in the calendar that the economy says."""
        currency = {ANNUAL: "curcd", QUARTERLY: "curcdq"}[table]
        rows = self.tables[table].filter(**STANDARD).filter(pl.col(currency) == "USD")
        right = self.truth["compustat_quarterly"].select(*KEYS, "fyr")
        return rows if table == ANNUAL else rows.join(right, on=[*KEYS, "fyr"])

    def traps(self, trap: str, table: str) -> pl.DataFrame:
        rows = self.truth["compustat_traps"].filter(trap=trap, table=table)
        return rows.filter(pl.col("datadate").dt.offset_by(ANNUAL_LAG) < END) if table == ANNUAL else rows

    def in_june(self, statements: pl.DataFrame, *names: str) -> pl.DataFrame:
        """Characteristics, in the June after the year in which they end, of the stocks that statements belong to."""
        june = pl.date(pl.col("datadate").dt.year() + 1, 6, 1)
        links = self.home.lake.read_all("firm_links").select("month", "permno", "gvkey")
        lake = self.home.lake
        panel = lake.scan("firm_characteristics", lake.months("firm_characteristics")).select("month", "permno", *names)
        used = statements.with_columns(month=june).join(links, on=["month", "gvkey"])
        return used.join(panel.collect(), on=["month", "permno"])


@pytest.fixture(scope="module")
def world(market: Tables, baseline: Home) -> World:
    return World(market, simulate("tiny", end=END, vendors=()).truth, baseline)


def _same_items(world: World, table: str, keys: pl.DataFrame) -> None:
    """Assert that the lake has the statements with the vendor's numbers."""
    items, keys = world.items(table), keys.select(KEYS).unique()
    assert len(items) > 15
    found = world.lake(table).join(keys, on=KEYS, how="semi").select(*KEYS, *items).sort(KEYS)
    wanted = world.vendor(table).join(keys, on=KEYS, how="semi").select(*KEYS, *items).sort(KEYS)
    assert found.height == keys.height
    assert_frame_equal(found, wanted, check_exact=True)


def _left_out(world: World, table: str, traps: pl.DataFrame) -> None:
    """The copy is not used; the standard statement beside it is, as it stands."""
    _same_items(world, table, traps.join(world.vendor(table), on=KEYS, how="semi"))
    items = world.items(table)
    copies = world.tables[table].join(traps, on=[*KEYS, "fyr", *CODES], how="semi").select(*KEYS, *items)
    assert copies.height == traps.height
    both = world.lake(table).join(copies, on=KEYS, suffix="_copy")
    assert both.height > 0
    differs = pl.any_horizontal(pl.col(item).ne_missing(pl.col(f"{item}_copy")) for item in items)
    assert both.select(differs.all()).item()


def _not_there(world: World, table: str, traps: pl.DataFrame) -> None:
    assert world.lake(table).join(traps, on=KEYS, how="semi").is_empty()


def _missing_year(world: World, table: str, traps: pl.DataFrame) -> None:
    """No older year stands in for one that is missing."""
    _not_there(world, table, traps)
    june = world.in_june(traps, "at", "beme")
    assert june.height > 0
    assert june["at"].is_null().all()
    assert june["beme"].is_null().all()


def _as_published(world: World, table: str, traps: pl.DataFrame) -> None:
    _same_items(world, table, traps)


def _repeated_fyear(world: World, table: str, traps: pl.DataFrame) -> None:
    """Both statements of the fiscal year are there."""
    lake = world.lake(table).select(*KEYS, "fyear")
    years = lake.join(traps, on=KEYS, how="semi").select("gvkey", "fyear")
    both = lake.join(years, on=["gvkey", "fyear"], how="semi")
    assert both.group_by("gvkey", "fyear").len()["len"].to_list() == [2] * traps.height
    _same_items(world, table, both)


def _two_in_calendar_year(world: World, table: str, traps: pl.DataFrame) -> None:
    """June uses the one that ended last."""
    counts = traps.select("gvkey", datadate=pl.col("right").str.head(10).str.to_date())
    _same_items(world, table, pl.concat([traps.select(KEYS), counts]))
    june = world.in_june(counts, "at").join(world.vendor(table).select(*KEYS, right="at"), on=KEYS)
    assert june.height > 0
    assert june["at"].equals(june["right"].rename("at"))


def _book_equity(world: World, table: str, traps: pl.DataFrame) -> None:
    """Book equity is the economy's, whatever the items it has to be put together from."""
    right = world.truth["compustat_annual"].select(*KEYS, "book_equity")
    both = traps.join(world.lake(table), on=KEYS).join(right, on=KEYS, suffix="_true")
    assert both.height == traps.height
    assert (both["book_equity"] - both["book_equity_true"]).abs().max() < 1e-9


def _industry_change(world: World, table: str, traps: pl.DataFrame) -> None:
    """The code of the statement, and the other one before."""
    codes = world.lake(table).sort(KEYS).drop_nulls("sich")
    codes = codes.with_columns(before=pl.col("sich").shift(1).over("gvkey")).join(traps, on=KEYS)
    assert codes.height == traps.height
    assert codes["sich"].to_list() == [int(text.split()[0]) for text in codes["right"].to_list()]
    assert (codes["before"] != codes["sich"]).all()


def _nothing_lagged(world: World, table: str, traps: pl.DataFrame) -> None:
    _same_items(world, table, traps)
    june = world.in_june(traps, "at", "investment", "roa", "ni")
    assert june["at"].is_not_null().sum() > 20
    assert june.select("investment", "roa", "ni").null_count().row(0) == (june.height,) * 3


def _holds(item: str, value: float | None, *without: str) -> Callable[[World, str, pl.DataFrame], None]:
    """An item is 0, or missing; characteristics that need a missing one are missing, too."""

    def check(world: World, table: str, traps: pl.DataFrame) -> None:
        found = world.lake(table).join(traps, on=KEYS, how="semi")
        assert found[item].to_list() == [value] * traps.height
        for name in without:
            june = world.in_june(traps.join(world.truth["compustat_annual"].filter("last_of_year"), on=KEYS), name)
            assert june.height > 0
            assert june[name].is_null().all()

    return check


def _known_from(world: World, table: str, traps: pl.DataFrame) -> None:
    """A quarter is there from the month of its announcement, else three months after its end, and under no other."""
    found = world.lake(table).join(traps, on=KEYS)
    assert found.height == traps.height
    assert found["month"].dt.strftime("%Y-%m").to_list() == found["right"].str.tail(7).to_list()
    announced = found["right"].str.starts_with("the month of rdq").to_list()
    assert found["rdq"].is_not_null().to_list() == announced
    _same_items(world, table, traps)


def _new_calendar(world: World, table: str, traps: pl.DataFrame) -> None:
    """Of a quarter that is there twice, the row of the fiscal year that came to be counts."""
    right = world.truth["compustat_quarterly"].select(*KEYS, "fyr")
    found = world.lake(table).join(traps.select(KEYS), on=KEYS).join(right, on=KEYS, suffix="_true")
    rows = world.tables[table].filter(**STANDARD).group_by(KEYS).agg(larger=pl.col("fqtr").max())
    found = found.join(rows, on=KEYS)
    assert found.height == traps.height
    assert found["fqtr"].to_list() == found["larger"].to_list()
    assert found["fyr"].to_list() == found["fyr_true"].to_list()
    _same_items(world, table, traps)


CHECKS: dict[tuple[str, str], Callable[[World, str, pl.DataFrame], None]] = {
    **{
        (trap, table): _left_out
        for trap in ("financial_format", "restated", "parent_only", "other_source")
        for table in (ANNUAL, QUARTERLY)
    },
    ("foreign_currency", ANNUAL): _not_there,
    ("foreign_currency", QUARTERLY): _not_there,
    ("missing_year", ANNUAL): _missing_year,
    ("transition_year", ANNUAL): _as_published,
    ("repeated_fyear", ANNUAL): _repeated_fyear,
    ("two_in_calendar_year", ANNUAL): _two_in_calendar_year,
    ("missing_seq", ANNUAL): _book_equity,
    ("no_redemption_value", ANNUAL): _book_equity,
    ("negative_book_equity", ANNUAL): _book_equity,
    ("industry_change", ANNUAL): _industry_change,
    ("first_year", ANNUAL): _nothing_lagged,
    ("no_inventories", ANNUAL): _holds("invt", 0.0),
    ("no_assets", ANNUAL): _holds("at", None, "at", "c"),
    ("no_net_income", ANNUAL): _holds("ni", None, "cf"),
    ("rdq_missing", QUARTERLY): _known_from,
    ("rdq_before_quarter_end", QUARTERLY): _known_from,
    ("rdq_late", QUARTERLY): _known_from,
    ("old_calendar", QUARTERLY): _new_calendar,
}


def test_every_trap_is_checked(world):
    planted = world.truth["compustat_traps"].select("trap", "table").unique()
    assert set(planted.iter_rows()) == set(CHECKS)


@pytest.mark.parametrize(("trap", "table"), CHECKS)
def test_right_answer_of(world, trap, table):
    traps = world.traps(trap, table)
    assert traps.height > 0
    CHECKS[trap, table](world, table, traps)


def test_statements_are_those_of_the_economy(world):
    """Every usable statement is there in its month, and nothing else."""
    wanted = world.truth["compustat_annual"].with_columns(pl.col("month").dt.offset_by(ANNUAL_LAG))
    wanted = wanted.filter(pl.col("month") <= END).sort("month", *KEYS)
    found = world.lake(ANNUAL)
    assert found.select("month", *KEYS, "fyear").equals(wanted.select("month", *KEYS, "fyear"))
    assert (found["book_equity"] - wanted["book_equity"]).abs().max() < 1e-9
    quarters = world.truth["compustat_quarterly"].select(pl.col("known").alias("month"), *KEYS).sort("month", *KEYS)
    assert world.lake(QUARTERLY).select("month", *KEYS).equals(quarters)


def test_book_to_market_of_the_panel_is_that_of_the_economy(world):
    """Book equity of the fiscal year over what the company's listed shares are worth in the December of that year."""
    used = world.truth["compustat_annual"].filter("last_of_year")
    used = used.with_columns(december=pl.date(pl.col("datadate").dt.year(), 12, 1))
    stocks = world.truth["stock_returns"].select("month", "permno", me="me_start").with_columns(
        pl.col("month").dt.offset_by("-1mo")
    )  # fmt: skip
    company = stocks.join(world.truth["securities"].select("permno", "permco"), on="permno").with_columns(
        me=pl.col("me").sum().over("month", "permco"), own="me"
    )
    june = world.in_june(used, "beme").join(
        company.drop_nulls("own"), left_on=["december", "permno"], right_on=["month", "permno"]
    )
    assert june.height > 300
    assert june["beme"].is_not_null().all()
    assert june.select(((pl.col("beme") * pl.col("me") / pl.col("book_equity")) - 1).abs().max()).item() < 1e-9
