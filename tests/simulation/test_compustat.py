"""Statements of the simulated firms: accounts that add up, quarters that sum to years, the economy's own numbers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pipeline.simulation.compustat import compustat_tables
from pipeline.simulation.compustat_truth import compustat_truth
from pipeline.simulation.economy import Economy
from pipeline.simulation.market import Market

Row = dict[str, object]
Tables = Mapping[str, pl.DataFrame]

STANDARD = {"indfmt": "INDL", "datafmt": "STD", "popsrc": "D", "consol": "C"}

# Left side, then the signed terms of the right side; an item that is not published can't be checked.
BALANCE = {
    "at": ("lt", "mib", "seq"),
    "seq": ("ceq", "pstk"),
    "lct": ("dlc", "ap", "txp", "lco"),
    "act": ("che", "rect", "invt", "aco"),
}
OPERATIONS = {"oibdp": ("sale", "-cogs", "-xsga"), "oiadp": ("oibdp", "-dp"), "revt": ("sale",)}
RESULT = {"pi": ("oiadp", "-xint", "nopi", "spi"), "ib": ("pi", "-txt", "-mii")}
ANNUAL_ONLY = {
    "at": ("act", "ppent", "intan", "ivao", "ao"),
    "che": ("ch", "ivst"),
    "gp": ("sale", "-cogs"),
    "ebit": ("oiadp",),
    "ebitda": ("oibdp",),
    "chech": ("oancf", "ivncf", "fincf"),
    "dv": ("dvc", "dvp"),
    "dvt": ("dv",),
    "fincf": ("dltis", "-dltr", "dlcch", "sstk", "-prstkc", "-dv"),
}
PARTS = {
    "gdwl": "intan", "ivst": "che", "xpp": "aco", "xacc": "lco", "drc": "lco", "drlt": "lo", "txdb": "txditc",
    "dcvt": "dltt", "dm": "dltt", "xrd": "xsga", "xad": "xsga", "fatb": "ppegt", "ppent": "ppegt", "dc": "ao",
}  # fmt: skip


@pytest.fixture(scope="module")
def tables(tiny: Market) -> Tables:
    return compustat_tables(tiny.economy)


def usable(table: pl.DataFrame, currency: str) -> list[Row]:
    return table.filter(**STANDARD).filter(pl.col(currency) == "USD").to_dicts()


def thousandths(value: object) -> int:
    """Published decimal as a whole number, refusing more than three decimals."""
    whole = round(1000 * float(value))  # type: ignore[arg-type]
    assert whole / 1000 == value
    return whole


def gaps(row: Row, identities: Mapping[str, tuple[str, ...]], suffix: str = "") -> Iterator[tuple[str, int]]:
    """Differences between the sides of the identities that can be checked in a row."""
    for left, terms in identities.items():
        names = [left, *(term.lstrip("-") for term in terms)]
        if any(row[name + suffix] is None for name in names):
            continue
        right = sum((-1 if term[0] == "-" else 1) * thousandths(row[term.lstrip("-") + suffix]) for term in terms)
        yield left, thousandths(row[left + suffix]) - right


def position(economy: Economy, row: Row) -> tuple[int, int]:
    """Month index and firm of a statement."""
    return economy.clock.dates.index(row["datadate"].replace(day=1)), int(str(row["gvkey"])) - 1001


def test_annual_accounts_add_up_on_every_row(tables: Tables) -> None:
    checked: dict[str, int] = {}
    rows = usable(tables["comp.funda"], "curcd")
    for row in rows:
        for identities in (BALANCE, OPERATIONS, RESULT, ANNUAL_ONLY):
            for name, gap in gaps(row, identities):
                assert gap == 0, (row["gvkey"], row["datadate"], name, gap)
                checked[name] = checked.get(name, 0) + 1
        deferred = row["txditc"] if row["txditc"] is not None else 0.0
        if None not in (row["lt"], row["lct"], row["dltt"], row["lo"]):
            parts = (row["lct"], row["dltt"], row["lo"], deferred)
            assert thousandths(row["lt"]) == sum(thousandths(part) for part in parts)
        for part, container in PARTS.items():
            if row[part] is not None and row[container] is not None:
                assert 0 <= row[part] <= row[container], (row["gvkey"], row["datadate"], part)
        assert row["at"] is None or row["at"] > 0
    assert min(checked.values()) > len(rows) // 3
    assert set(checked) == {*BALANCE, *OPERATIONS, *RESULT, *ANNUAL_ONLY}


def test_quarterly_accounts_add_up_on_every_row(tables: Tables) -> None:
    checked: dict[str, int] = {}
    rows = usable(tables["comp.fundq"], "curcdq")
    for row in rows:
        for identities in (BALANCE, OPERATIONS, RESULT):
            for name, gap in gaps(row, identities, "q"):
                assert gap == 0, (row["gvkey"], row["datadate"], name, gap)
                checked[name] = checked.get(name, 0) + 1
        if row["ibq"] is not None and row["cshoq"] is not None:
            assert row["epspxq"] == pytest.approx(row["ibq"] / row["cshoq"], abs=0.00501)
    assert min(checked.values()) > len(rows) // 3


def test_quarters_sum_to_the_fiscal_year(tables: Tables) -> None:
    quarters: dict[tuple, list[Row]] = {}
    for row in usable(tables["comp.fundq"], "curcdq"):
        quarters.setdefault((row["gvkey"], row["fyearq"], row["fyr"]), []).append(row)
    summed = 0
    for year in usable(tables["comp.funda"], "curcd"):
        own = quarters.get((year["gvkey"], year["fyear"], year["fyr"]), [])
        if len(own) != year["pddur"] // 3:
            continue
        for item in ("sale", "revt", "cogs", "xsga", "dp", "xint", "oiadp", "nopi", "spi", "pi", "txt", "ib", "ni"):
            values = [row[item + "q"] for row in own]
            if year[item] is not None and None not in values:
                assert sum(thousandths(value) for value in values) == thousandths(year[item])
                summed += 1
        (last,) = [row for row in own if row["datadate"] == year["datadate"]]
        for item in ("at", "lt", "seq", "ceq", "dlc", "dltt", "che", "rect", "invt", "ppent"):
            if year[item] is not None and last[item + "q"] is not None:
                assert last[item + "q"] == year[item]
    assert summed > 5000


def test_changes_of_balances_are_in_the_cash_flow_statement(tables: Tables) -> None:
    before: Row = {}
    checked = 0
    for row in usable(tables["comp.funda"], "curcd"):
        whole = before.get("gvkey") == row["gvkey"] and row["pddur"] == 12
        follows = whole and (row["datadate"] - before["datadate"]).days < 370
        for balance, flows in {"che": ("chech",), "dltt": ("dltis", "-dltr"), "dlc": ("dlcch",)}.items():
            names = [flow.lstrip("-") for flow in flows]
            if not follows or None in (row[balance], before[balance], *(row[name] for name in names)):
                continue
            change = sum((-1 if flow[0] == "-" else 1) * thousandths(row[flow.lstrip("-")]) for flow in flows)
            assert thousandths(row[balance]) - thousandths(before[balance]) == change
            checked += 1
        assert row["capx"] is None or row["capx"] >= 0
        before = row
    assert checked > 1000


def test_items_are_the_economys(tables: Tables, tiny: Market) -> None:
    economy = tiny.economy
    firms, shares = economy.firms, economy.shares
    first_class = {f: s for s, f in enumerate(economy.listings.firm.tolist()) if not economy.listings.second[s]}
    priced = 0
    for row in usable(tables["comp.funda"], "curcd"):
        t, f = position(economy, row)
        part = row["pddur"] / 12
        expected = {
            "sale": part * firms.revenue[t, f],
            "ib": part * firms.net_income[t, f],
            "oiadp": part * firms.revenue[t, f] * firms.ebit_margin[t, f],
            "oibdp": part * firms.revenue[t, f] * firms.ebitda_margin[t, f],
            "gp": part * firms.revenue[t, f] * firms.gross_margin[t, f],
            "xint": part * 0.05 * firms.debt[t, f],
        }
        for item, value in expected.items():
            assert row[item] is None or row[item] == pytest.approx(value, abs=0.0021), item
        if row["dltt"] is not None and row["dlc"] is not None:
            assert row["dltt"] + row["dlc"] == pytest.approx(firms.debt[t, f], abs=0.0011)
        if row["csho"] is not None and row["prcc_f"] is not None:
            rounding = 0.0006 / row["csho"] + 0.0006 / row["prcc_f"]
            assert row["csho"] * row["prcc_f"] == pytest.approx(firms.marketcap[t, f], rel=rounding)
            assert row["prcc_f"] == pytest.approx(shares.price[t, first_class[f]], abs=0.00051)
            assert row["ajex"] == pytest.approx(shares.cfacpr[t, first_class[f]], abs=1e-6)
            priced += 1
    assert priced > 300


def fama_french_book_equity(row: Row) -> tuple[float, str, str]:
    """Book equity and where shareholders' equity and preferred stock were taken from."""
    if row["seq"] is not None:
        equity, source = row["seq"], "seq"
    elif row["ceq"] is not None and row["pstk"] is not None:
        equity, source = row["ceq"] + row["pstk"], "ceq + pstk"
    else:
        equity, source = row["at"] - row["lt"], "at - lt"
    preferred = next(name for name in ("pstkrv", "pstkl", "pstk") if row[name] is not None)
    return equity + (row["txditc"] or 0.0) - row[preferred], source, preferred


def test_book_equity_is_the_economys_whatever_is_missing(tables: Tables, tiny: Market) -> None:
    economy = tiny.economy
    truth = {(row["gvkey"], row["datadate"]): row for row in compustat_truth(economy)["compustat_annual"].to_dicts()}
    sources: dict[str, int] = {}
    rows = usable(tables["comp.funda"], "curcd")
    for row in rows:
        t, f = position(economy, row)
        book, source, preferred = fama_french_book_equity(row)
        assert book == pytest.approx(economy.firms.book_equity[t, f], abs=0.00051)
        right = truth[row["gvkey"], row["datadate"]]
        assert right["book_equity"] == pytest.approx(book, abs=1e-6)
        assert (right["equity_from"], right["preferred_from"]) == (source, preferred)
        for name in (source, preferred):
            sources[name] = sources.get(name, 0) + 1
        sources["no deferred taxes"] = sources.get("no deferred taxes", 0) + (row["txditc"] is None)
    assert len(truth) == len(rows)
    assert set(sources) == {"seq", "ceq + pstk", "at - lt", "pstkrv", "pstkl", "pstk", "no deferred taxes"}
    assert min(sources.values()) >= 2


def test_accounts_grow_smoothly_and_sales_have_seasons(tables: Tables) -> None:
    years = tables["comp.funda"].filter(**STANDARD).filter(pl.col("pddur") == 12).sort("gvkey", "datadate")
    growth = years.select(
        (pl.col(name) / pl.col(name).shift(1).over("gvkey")).log().alias(name)
        for name in ("at", "sale", "ppent", "che")
    )
    for name in growth.columns:
        change = growth[name].drop_nulls().to_numpy()
        assert 0.02 < np.median(np.abs(change)) < 0.3, name
        assert -0.05 < np.median(change) < 0.12, name
    quarters = tables["comp.fundq"].filter(**STANDARD).sort("gvkey", "datadate")
    sale = quarters.select(
        (pl.col("saleq") / pl.col("saleq").shift(lag).over("gvkey")).log().abs().median().alias(str(lag))
        for lag in (1, 4)
    )
    # A quarter is nearer to that of the year before than the much shorter distance in time suggests.
    assert sale["4"].item() < 1.5 * sale["1"].item()


def _assert_missing(table: pl.DataFrame, expected: dict[str, tuple[float, float]]) -> None:
    """As often as registered, to three standard errors: firms and their statements are independent draws."""
    statements = table.group_by("gvkey").len("n")["n"]
    # As many firms of equally many statements would leave the same doubt about a share of them.
    firms = statements.sum() ** 2 / (statements**2).sum()
    for name, (never, sometimes) in expected.items():
        share = never + (1 - never) * sometimes
        variance = never * (1 - never) * (1 - sometimes) ** 2 / firms
        variance += (1 - never) * sometimes * (1 - sometimes) / table.height
        missing = table[name].null_count() / table.height
        assert missing == pytest.approx(share, abs=3 * math.sqrt(variance)), name


def test_missing_values_come_as_often_as_registered(demo: Market) -> None:
    tables = compustat_tables(demo.economy)
    annual = tables["comp.funda"].filter(**STANDARD)
    # Shares of the firms that never have an item, and of the other firms' statements that lack it.
    in_years = {
        "sale": (0.0, 0.002), "xrd": (0.45, 0.02), "xad": (0.55, 0.03), "txditc": (0.12, 0.0), "pstkrv": (0.20, 0.0),
        "pstkl": (0.25, 0.0), "seq": (0.0, 0.03), "ceq": (0.0, 0.0125), "oancf": (0.0, 0.04), "act": (0.20, 0.01),
        "ob": (0.75, 0.03), "tie": (0.60, 0.05), "sich": (0.0, 0.03), "pstk": (0.0, 0.0), "dcvt": (0.20, 0.05),
    }  # fmt: skip
    _assert_missing(annual, in_years)
    quarterly = tables["comp.fundq"].filter(**STANDARD)
    in_quarters = {
        "rdq": (0.0, 0.055), "seqq": (0.0, 0.05), "pstkrq": (0.68, 0.05), "xrdq": (0.50, 0.05), "txditcq": (0.12, 0.05),
    }  # fmt: skip
    _assert_missing(quarterly, in_quarters)
    zero = annual.filter(pl.col("invt") == 0).height / annual.height
    assert 0.06 < zero < 0.2
    for table, suffix in ((annual, ""), (quarterly, "q")):
        last_resort = table.filter(pl.col(f"seq{suffix}").is_null() & pl.col(f"ceq{suffix}").is_null())
        assert last_resort.height > 0.005 * table.height
        assert last_resort.select(f"at{suffix}", f"lt{suffix}").null_count().row(0) == (0, 0)
    for table in tables.values():
        for column in table.select(pl.selectors.float()).iter_columns():
            assert column.is_finite().all(), column.name


def test_deterministic_in_the_seed(tables: Tables, tiny: Market) -> None:
    again, other = replace(tiny.economy), replace(tiny.economy, seed=1)
    for name, table in compustat_tables(again).items():
        assert table.equals(tables[name]), name
    for name, table in compustat_tables(other).items():
        assert not table.equals(tables[name]), name
    truth = compustat_truth(tiny.economy)
    for name, table in compustat_truth(again).items():
        assert table.equals(truth[name]), name


def test_vendor_names_and_types(tables: Tables) -> None:
    funda, fundq, company = (tables[name] for name in ("comp.funda", "comp.fundq", "comp.company"))
    for table in (funda, fundq):
        assert table.columns[0] == "gvkey"
        assert table.schema["datadate"] == pl.Date
        assert table.columns == [name.lower() for name in table.columns]
        assert (table["gvkey"].str.len_chars() == 6).all()
        assert (table["cusip"].str.len_chars() == 9).all()
    assert funda.schema["sich"] == funda.schema["fyear"] == funda.schema["fyr"] == pl.Int64
    assert fundq.schema["rdq"] == pl.Date
    assert company["gvkey"].n_unique() == company.height
    assert set(funda["gvkey"]) <= set(company["gvkey"])
    needed = (
        "at lt seq ceq pstk pstkrv pstkl txditc txdb che act lct dlc dltt txp dp ib ni capx wcapch sale revt cogs xsga "
        "xrd xad xint tie oiadp gp ppegt ppent invt rect intan ivao mib csho ajex emp oancf ao aco ap lo lco drc drlt "
        "dc dcvt dcpstk dm dvt fatb fatl gdwl gdwlia gdwlip gwo nopi ob pi prcc_f scstkc spi txfo txfed txdi txt xacc "
        "xpp ebit ebitda cshrc ivst sstk prstkc dltis dltr dlcch dvc"
    )
    assert set(needed.split()) <= set(funda.columns)
    quarterly = (
        "ibq saleq txtq revtq cogsq xsgaq atq actq cheq lctq dlcq ppentq ceqq seqq pstkq pstkrq txditcq ltq cshoq "
        "prccq ajexq rectq invtq apq lcoq loq aoq acoq dpq epspxq niq oiadpq xrdq dlttq"
    )
    assert set(quarterly.split()) <= set(fundq.columns)
