"""Traps in the simulated accounting tables: planted, and their right answers found again by plain loops."""

from collections.abc import Mapping
from datetime import date
from itertools import pairwise

import polars as pl
import pytest

from pipeline.simulation.compustat import compustat_tables
from pipeline.simulation.compustat_truth import compustat_truth
from pipeline.simulation.market import Market

Row = dict[str, object]
Tables = Mapping[str, pl.DataFrame]

CODES = ("indfmt", "datafmt", "popsrc", "consol")
STANDARD = ("INDL", "STD", "D", "C")


@pytest.fixture(scope="module")
def tables(tiny: Market) -> Tables:
    return compustat_tables(tiny.economy)


@pytest.fixture(scope="module")
def truth(tiny: Market) -> Tables:
    return compustat_truth(tiny.economy)


def planted(truth: Tables, *traps: str, table: str = "comp.funda") -> list[Row]:
    return truth["compustat_traps"].filter(pl.col("trap").is_in(traps), table=table).to_dicts()


def standard(table: pl.DataFrame) -> list[Row]:
    return [row for row in table.to_dicts() if tuple(row[code] for code in CODES) == STANDARD]


def usable(tables: Tables) -> list[Row]:
    return [row for row in standard(tables["comp.funda"]) if row["curcd"] == "USD"]


def key(row: Row) -> tuple:
    return (row["gvkey"], row["datadate"], row["fyr"], *(row[code] for code in CODES))


def month_number(day: date) -> int:
    return 12 * day.year + day.month


def test_keys_are_unique_as_in_the_vendors_tables(tables: Tables) -> None:
    funda, fundq = tables["comp.funda"], tables["comp.fundq"]
    assert not funda.select("gvkey", "datadate", *CODES).is_duplicated().any()
    assert not fundq.select("gvkey", "datadate", "fyr", *CODES).is_duplicated().any()
    assert fundq.select("gvkey", "datadate", *CODES).is_duplicated().any()


@pytest.mark.parametrize(
    ("name", "amount", "currency"), [("comp.funda", "at", "curcd"), ("comp.fundq", "atq", "curcdq")]
)
def test_rows_that_must_not_be_used(tables: Tables, truth: Tables, name: str, amount: str, currency: str) -> None:
    beside = {(row["gvkey"], row["datadate"]): row[amount] for row in standard(tables[name])}
    kinds = {
        "financial_format": ("FS", "STD", "D", "C"),
        "restated": ("INDL", "SUMM_STD", "D", "C"),
        "parent_only": ("INDL", "STD", "D", "P"),
        "other_source": ("INDL", "STD", "I", "C"),
    }
    for trap, codes in kinds.items():
        found = [row for row in tables[name].to_dicts() if tuple(row[code] for code in CODES) == codes]
        rows = planted(truth, trap, table=name)
        assert sorted(key(row) for row in found) == sorted(key(row) for row in rows)
        assert {row["right"] for row in rows} == {"not used"}
        assert len({row["gvkey"] for row in rows}) >= 2
        other = [row[amount] != beside[row["gvkey"], row["datadate"]] for row in found if row[amount] is not None]
        assert sum(other) > 0.9 * len(found)
    foreign = [row for row in standard(tables[name]) if row[currency] != "USD"]
    assert sorted(key(row) for row in foreign) == sorted(
        key(row) for row in planted(truth, "foreign_currency", table=name)
    )
    assert {row[currency] for row in foreign} == {"CAD"}
    codes = {tuple(row[code] for code in CODES) for row in tables[name].to_dicts()}
    assert codes == {STANDARD, *kinds.values()}


def test_canadian_statements_become_american(tables: Tables, tiny: Market) -> None:
    economy = tiny.economy
    changed = 0
    currencies: dict[str, list[str]] = {}
    for row in standard(tables["comp.funda"]):
        currencies.setdefault(str(row["gvkey"]), []).append(str(row["curcd"]))
        if row["curcd"] == "CAD" and row["sale"] is not None:
            t, f = economy.clock.dates.index(row["datadate"].replace(day=1)), int(str(row["gvkey"])) - 1001
            in_dollars = economy.firms.revenue[t, f] * row["pddur"] / 12
            assert row["sale"] == pytest.approx(1.35 * in_dollars, abs=0.002)
            changed += 1
    assert changed >= 4
    both = [seen for seen in currencies.values() if "CAD" in seen]
    assert len(both) >= 2
    assert all(seen == sorted(seen) and seen[-1] == "USD" for seen in both)


def test_quarters_are_known_when_announced_or_three_months_later(tables: Tables, truth: Tables, tiny: Market) -> None:
    answers = {(row["gvkey"], row["datadate"], row["fyr"]): row for row in truth["compustat_quarterly"].to_dicts()}
    seen: dict[str, int] = {}
    overtaken, latest = 0, {}
    for row in standard(tables["comp.fundq"]):
        answer = answers.pop((row["gvkey"], row["datadate"], row["fyr"]), None)
        if answer is None:
            continue
        end, rdq = row["datadate"], row["rdq"]
        if rdq is None:
            case, known = "missing", month_number(end) + 3
        elif rdq <= end:
            case, known = "before_quarter_end", month_number(end) + 3
        else:
            case, known = "late" if (rdq - end).days > 82 else "on_time", month_number(rdq)
            assert rdq.weekday() < 5
            assert (rdq - end).days <= 82 + 366
            if answer["rdq_case"] == "late":
                case = "late"
                assert (rdq - end).days >= 18 + 30
        assert answer["rdq_case"] == case
        assert month_number(answer["known"]) == known
        assert answer["known"] <= tiny.economy.clock.dates[-1]
        seen[case] = seen.get(case, 0) + 1
        overtaken += known < latest.get(row["gvkey"], 0)
        latest[row["gvkey"]] = max(known, latest.get(row["gvkey"], 0))
    assert not answers
    assert min(seen.values()) >= 5
    assert seen["on_time"] > 0.85 * sum(seen.values())
    # A late quarter becomes known after the one that follows it.
    assert overtaken >= 5
    right = {(row["gvkey"], row["datadate"]): row["right"] for row in planted(truth, "rdq_late", table="comp.fundq")}
    assert len(right) == seen["late"]


def test_fiscal_calendar_of_every_statement(tables: Tables, truth: Tables, tiny: Market) -> None:
    transitions, repeated, two = set(), set(), set()
    before: Row = {}
    for row in usable(tables):
        end = row["datadate"]
        assert row["fyear"] == end.year - (end.month <= 5)
        assert row["fyr"] == end.month
        if row["pddur"] != 12:
            transitions.add(key(row))
            assert row["pddur"] in (3, 6, 9)
        if before.get("gvkey") == row["gvkey"]:
            apart = month_number(end) - month_number(before["datadate"])
            assert apart == row["pddur"] or apart > 12
            if before["fyear"] == row["fyear"]:
                repeated.add(key(row))
            if before["datadate"].year == end.year:
                two.add((key(before), f"{end} counts for the year"))
        before = row
    assert transitions == {key(row) for row in planted(truth, "transition_year")}
    assert repeated == {key(row) for row in planted(truth, "repeated_fyear")}
    assert two == {(key(row), row["right"]) for row in planted(truth, "two_in_calendar_year")}
    assert len(transitions) >= 4
    assert len(repeated) >= 2
    assert two
    counting = {(row["gvkey"], row["datadate"].year): row["datadate"] for row in usable(tables)}
    last = truth["compustat_annual"].filter("last_of_year").to_dicts()
    assert {(row["gvkey"], row["datadate"].year): row["datadate"] for row in last} == counting


def test_transition_quarters_are_there_under_both_calendars(tables: Tables, truth: Tables) -> None:
    quarters: dict[tuple, list[Row]] = {}
    for row in standard(tables["comp.fundq"]):
        if row["curcdq"] == "USD":
            quarters.setdefault((row["gvkey"], row["datadate"]), []).append(row)
    answers = {(row["gvkey"], row["datadate"]): row["fyr"] for row in truth["compustat_quarterly"].to_dicts()}
    assert answers.keys() == quarters.keys()
    twice = set()
    for place, rows in quarters.items():
        newest = max(rows, key=lambda row: row["fqtr"])
        assert newest["fyr"] == answers[place]
        for row in rows:
            end = row["datadate"]
            to_go = 3 * (4 - row["fqtr"])
            assert (end.month + to_go - 1) % 12 + 1 == row["fyr"]
            closing = month_number(end) + to_go - 1
            assert row["fyearq"] == closing // 12 - (row["fyr"] <= 5)
            if row is not newest:
                twice.add(key(row))
                differ = {name for name in row if row[name] != newest[name]}
                assert differ <= {"fyr", "fqtr", "fyearq"}
                assert "fyr" in differ
    assert twice == {key(row) for row in planted(truth, "old_calendar", table="comp.fundq")}
    assert len(twice) >= 4


def test_industry_changes_over_time_and_the_header_shows_the_end(tables: Tables, truth: Tables) -> None:
    header = {row["gvkey"]: row["sic"] for row in tables["comp.company"].to_dicts()}
    codes: dict[str, list[tuple[tuple, int]]] = {}
    missing = 0
    for row in usable(tables):
        missing += row["sich"] is None
        if row["sich"] is not None:
            codes.setdefault(str(row["gvkey"]), []).append((key(row), row["sich"]))
    changes = {(here, f"{new} from this statement on") for seen in codes.values()
               for (_, old), (here, new) in pairwise(seen) if new != old}  # fmt: skip
    assert changes == {(key(row), row["right"]) for row in planted(truth, "industry_change")}
    assert len(changes) >= 2
    assert missing >= 2
    stale = [gvkey for gvkey, seen in codes.items() if int(header[gvkey]) != seen[0][1]]
    assert len(stale) >= len(changes)


def test_missing_first_and_last_years(tables: Tables, truth: Tables, tiny: Market) -> None:
    economy = tiny.economy
    listings, clock = economy.listings, economy.clock
    years: dict[str, list[Row]] = {}
    for row in usable(tables):
        years.setdefault(str(row["gvkey"]), []).append(row)
    assert {key(seen[0]) for seen in years.values()} == {key(row) for row in planted(truth, "first_year")}
    gaps = {
        row["gvkey"] for seen in years.values() for old, row in pairwise(seen)
        if (row["datadate"] - old["datadate"]).days > 370
    }  # fmt: skip
    assert gaps == {row["gvkey"] for row in planted(truth, "missing_year")}
    assert len(gaps) >= 2
    newcomers = left = late = 0
    for s, firm in enumerate(listings.firm.tolist()):
        seen = years.get(f"{1001 + firm:06d}", [])
        if listings.second[s] or not seen:
            continue
        enters, leaves = clock.sessions[listings.first[s]].item(), clock.sessions[listings.delisted[s]].item()
        newcomers += listings.first[s] > 0 and seen[0]["datadate"] < enters and seen[0]["prcc_f"] is None
        late += listings.first[s] == 0 and month_number(seen[0]["datadate"]) > month_number(clock.dates[0]) + 30
        left += not listings.active[s]
        if not listings.active[s]:
            bought = 200 <= listings.dlstcd[s] < 300
            assert month_number(seen[-1]["datadate"]) <= month_number(leaves) + (0 if bought else 6)
    assert newcomers >= 2
    assert late >= 2
    assert left >= 5


def test_private_firms_have_statements_and_no_price(tables: Tables, tiny: Market) -> None:
    private = {f"{1001 + f:06d}" for f in tiny.economy.firms.private.nonzero()[0].tolist()}
    rows = [row for row in usable(tables) if row["gvkey"] in private]
    covered = {row["gvkey"] for row in rows}
    assert 2 <= len(covered) < len(private)
    assert all(row["prcc_f"] is None and row["csho"] is None for row in rows)
    assert sum(row["at"] is not None for row in rows) > 0.9 * len(rows)


def test_zeros_and_negatives(tables: Tables, truth: Tables, tiny: Market, demo: Market) -> None:
    empty = {key(row) for row in usable(tables) if row["invt"] == 0.0}
    assert empty == {key(row) for row in planted(truth, "no_inventories")}
    assert len(empty) >= 2
    for trap, item in {"no_assets": "at", "no_net_income": "ni"}.items():
        absent = {key(row) for row in usable(tables) if row[item] is None}
        assert absent == {key(row) for row in planted(truth, trap)}
    negative = planted(compustat_truth(demo.economy), "negative_book_equity")
    assert len({row["gvkey"] for row in negative}) >= 5
    for row in negative:
        t = demo.economy.clock.dates.index(row["datadate"].replace(day=1))
        book = demo.economy.firms.book_equity[t, int(row["gvkey"]) - 1001]
        assert float(row["right"]) == pytest.approx(book, abs=0.00051)
        assert book < 0
