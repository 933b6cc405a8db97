"""The issuer match on the names of the simulated market, of which the truth is known."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.bonds.issuer_link import bond_issuer_candidates, bond_issuer_link
from pipeline.bonds.issues import bond_issues
from pipeline.equity.compustat import compustat_annual
from pipeline.equity.crsp_monthly import crsp_monthly
from pipeline.equity.firm_names import firm_names
from pipeline.equity.links import firm_links
from pipeline.panel.calendar import month_range
from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import simulate
from resources.extracts import ExtractStore

TABLES = (
    "crsp.msf", "crsp.msenames", "crsp.msedelist", "crsp.ccmxpf_lnkhist", "comp.funda", "fisd.fisd_mergedissue",
)  # fmt: skip
pytestmark = pytest.mark.slow
NOT_OF_THE_NAME = ("no company link", "no accounts", "no assets")


@pytest.fixture(scope="module")
def matched(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Links of the tiny market beside what is true of each bond, and the candidates."""
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
    return found, bond_issuer_candidates(*inputs, months)


def test_whatever_is_matched_is_right(matched):
    found = matched[0].filter(pl.col("reason").is_null())
    assert found.height > 1000
    assert (found["permco"] == found["true_permco"]).all()
    assert (found["gvkey"] == found["true_gvkey"]).all()
    assert found["matchable"].all()


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
    found, audit = matched
    accepted = audit.filter("accepted").select("month", "issuer_id", "permco")
    links = found.filter(pl.col("reason").is_null()).select("month", "issuer_id", "permco").unique()
    assert accepted.height == links.height
    assert links.join(accepted, on=["month", "issuer_id", "permco"], how="anti").is_empty()
    open_cases = found.filter(pl.col("reason") == "ambiguous").select("month", "issuer_id").unique()
    rivals = audit.filter(pl.col("rejection") == "ambiguous").group_by("month", "issuer_id").len()
    assert open_cases.join(rivals.filter(pl.col("len") >= 2), on=["month", "issuer_id"], how="anti").is_empty()
