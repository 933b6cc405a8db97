"""The issuer match on the names of the simulated market, of which the truth is known."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.bonds.issuer_link import bond_issuer_candidates, bond_issuer_link
from pipeline.bonds.issuer_names import company_name
from pipeline.bonds.issues import bond_issues
from pipeline.equity.compustat import compustat_annual
from pipeline.equity.crsp_monthly import crsp_monthly
from pipeline.equity.firm_names import firm_names
from pipeline.equity.links import firm_links
from pipeline.panel.calendar import month_range
from pipeline.simulation.fisd_governments import GOVERNMENTS
from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import simulate
from resources.extracts import ExtractStore

TABLES = (
    "crsp.msf", "crsp.msenames", "crsp.msedelist", "crsp.ccmxpf_lnkhist", "comp.funda", "fisd.fisd_mergedissue",
)  # fmt: skip
pytestmark = pytest.mark.slow
NOT_OF_THE_NAME = ("no company link", "no accounts", "no assets")


Matched = tuple[pl.DataFrame, pl.DataFrame, tuple]


@pytest.fixture(scope="module")
def matched(tmp_path_factory: pytest.TempPathFactory) -> Matched:
    """Links of the tiny market beside what is true of each bond, the candidates, and what both were made from."""
    market = simulate("tiny", vendors=("crsp", "ccm", "compustat", "fisd"))
    folder = tmp_path_factory.mktemp("issuers")
    write_extracts({name: market.tables[name] for name in TABLES}, folder / "extracts")
    store = ExtractStore(folder / "extracts", folder / "staged")
    store.refresh(TABLES)
    msf, names, delistings, links, funda, issues = (store.scan(name).collect() for name in TABLES)
    months = month_range(store.first_month("crsp.msf"), store.last_month("crsp.msf"))
    stocks = crsp_monthly(msf, names, delistings, None, None, months)
    borne, known = [], None
    for month in months:
        known = firm_names(stocks, month, known)
        borne.append(known)
    inputs = (
        bond_issues(issues, None, None, None, None, months),
        pl.concat(borne),
        stocks,
        firm_links(links, months),
        compustat_annual(funda, months),
        None,
    )
    truth = market.truth["bond_issuers"].select(
        "cusip", "kind", "spelling", "matchable", "delisted", true_permco="permco", true_gvkey="gvkey"
    )
    found = bond_issuer_link(*inputs, months).join(truth, on="cusip", how="left")
    return found, bond_issuer_candidates(*inputs, months), inputs


def test_whatever_is_matched_is_right(matched):
    found = matched[0].filter(pl.col("reason").is_null())
    assert found.height > 1000
    assert (found["permco"] == found["true_permco"]).all()
    assert (found["gvkey"] == found["true_gvkey"]).all()
    assert found["matchable"].all()


def test_governments_and_agencies_have_no_stock(matched):
    untold = matched[0].filter(pl.col("kind").is_null())
    assert set(untold["issuer_name"]) == {name for _, name in GOVERNMENTS.values()}
    assert set(untold["reason"]) == {"no candidate"}


def test_namesakes_of_simulated_names_are_never_taken_and_turned_names_are_found(matched):
    *_, (issues, names, *rest) = matched
    month = issues["month"].max()
    names = names.filter(pl.col("month") == month)
    bonds = issues.filter(pl.col("month") == month)[:1]
    own = company_names(names.filter(pl.col("last") == month))
    # Long enough that what is added is a tenth of the whole at most.
    longer = [f"{core} 7" for core in own if len(core) >= 18] + [f"{core} II" for core in own if len(core) >= 27]
    assert len(longer) > 5

    def linked(of: list[str]) -> pl.DataFrame:
        rows = pl.concat(
            bonds.with_columns(cusip=pl.lit(f"{i:08d}"), issuer_name=pl.lit(name), offering_date=pl.lit(month))
            for i, name in enumerate(of)
        )
        return bond_issuer_link(rows, names, *rest, [month])

    namesakes = linked(longer)
    assert set(namesakes["reason"]) == {"other word"}
    assert namesakes["similarity"].min() >= 0.9 - 1e-9
    # A NEW at the end is a remark and would be dropped.
    words = [core.split() for core in own if " " in core and not core.startswith("NEW ")]
    straight, turned = (linked([" ".join(each[k:] + each[:k]) for each in words]) for k in (0, 1))
    for column in ("reason", "permco", "similarity"):
        assert turned[column].to_list() == straight[column].to_list()
    assert straight["permco"].count() > 5


def company_names(names: pl.DataFrame) -> list[str]:
    return sorted({company_name(name).core for name in names["name"]})


def test_whatever_can_be_told_from_the_name_is_found(matched):
    found = matched[0]
    listed = pl.col("delisted").is_null() | (pl.col("month") < pl.col("delisted"))
    left_out = found.filter(pl.col("matchable") & listed & pl.col("reason").is_not_null())
    assert set(left_out["reason"]) <= set(NOT_OF_THE_NAME)
    kinds = found.filter(pl.col("reason").is_null())["kind"].unique()
    assert set(kinds) == {"same", "abbreviated", "renamed", "subsidiary"}


def test_what_the_name_leaves_open_is_not_guessed(matched):
    found = matched[0]
    assert set(found.filter(pl.col("kind") == "ambiguous")["reason"]) == {"ambiguous"}
    private = found.filter(pl.col("kind") == "private")
    assert set(private["reason"]) <= {"no candidate", "below similarity"}
    gone = found.filter(pl.col("matchable") & (pl.col("month") >= pl.col("delisted")))
    assert set(gone["reason"]) == {"not listed"}


def test_every_match_and_every_ambiguity_is_in_the_audit(matched):
    found, audit, _ = matched
    accepted = audit.filter("accepted").select("month", "issuer_id", "permco")
    links = found.filter(pl.col("reason").is_null()).select("month", "issuer_id", "permco").unique()
    assert accepted.height == links.height
    assert links.join(accepted, on=["month", "issuer_id", "permco"], how="anti").is_empty()
    open_cases = found.filter(pl.col("reason") == "ambiguous").select("month", "issuer_id").unique()
    rivals = audit.filter(pl.col("rejection") == "ambiguous").group_by("month", "issuer_id").len()
    assert open_cases.join(rivals.filter(pl.col("len") >= 2), on=["month", "issuer_id"], how="anti").is_empty()
