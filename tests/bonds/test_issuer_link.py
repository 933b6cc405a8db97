from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from pipeline.bonds.issuer_link import (
    CANDIDATES_SCHEMA,
    LINK_SCHEMA,
    REASONS,
    bond_issuer_candidates,
    bond_issuer_link,
    issuer_link_figures,
    lookback,
)
from pipeline.bonds.issuer_match import IssuerMatchSettings
from pipeline.panel.calendar import shift

MAY = date(2008, 5, 1)
OFFERED = date(2004, 3, 15)

ISSUES = {
    "month": pl.Date, "cusip": pl.String, "issuer_id": pl.Int64, "issuer_name": pl.String, "offering_date": pl.Date,
    "dated_date": pl.Date, "amount_outstanding": pl.Float64, "eligible": pl.Boolean,
}  # fmt: skip
CRSP = {
    "month": pl.Date, "permno": pl.Int64, "permco": pl.Int64, "common": pl.Boolean, "delisted": pl.Boolean,
    "me": pl.Float64, "comnam": pl.String,
}  # fmt: skip
NAMES = {
    "month": pl.Date, "permno": pl.Int64, "name": pl.String, "permco": pl.Int64, "first": pl.Date, "last": pl.Date,
}  # fmt: skip
LINKS = {"month": pl.Date, "permno": pl.Int64, "permco": pl.Int64, "gvkey": pl.String}
ACCOUNTS = {"month": pl.Date, "gvkey": pl.String, "datadate": pl.Date, "at": pl.Float64}
WRDS = {
    "month": pl.Date, "cusip": pl.String, "link_startdt": pl.Date, "permno": pl.Int64, "permco": pl.Int64,
    "event": pl.String, "link_enddt": pl.Date,
}  # fmt: skip


def frame(rows: list[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema)


def issue(name: str | None, cusip: str = "B1", offered: date | None = OFFERED, **said: Any) -> dict[str, Any]:
    plain = {"month": MAY, "issuer_id": 1, "dated_date": None, "amount_outstanding": 100.0, "eligible": True}
    return {**plain, "cusip": cusip, "issuer_name": name, "offering_date": offered, **said}


def wrds(cusip: str, start: date, permno: int | None, permco: int | None, end: date | None = None) -> list[dict]:
    key = {"cusip": cusip, "link_startdt": start}
    events = [{"month": start.replace(day=1), **key, "event": "start", "permno": permno, "permco": permco}]
    if end:
        events.append({"month": end.replace(day=1), **key, "event": "end", "permno": permno, "link_enddt": end})
    return events


class Market:
    """A market in one month: each firm has a stock 10 * permco + 1, accounts and one name, unless it says otherwise."""

    def __init__(self) -> None:
        self.names: list[dict[str, Any]] = []
        self.crsp: list[dict[str, Any]] = []
        self.links: list[dict[str, Any]] = []
        self.accounts: list[dict[str, Any]] = []
        self.wrds: list[dict[str, Any]] | None = None

    def firm(self, permco: int, name: str, first: date = date(1990, 1, 1), last: date = MAY) -> Market:
        permno = 10 * permco + 1
        self.named(permco, name, first, last)
        self.stock(permno, permco)
        self.links.append({"month": MAY, "permno": permno, "permco": permco, "gvkey": f"G{permco}"})
        self.accounted(permco)
        return self

    def named(self, permco: int, name: str, first: date, last: date) -> Market:
        row = {"month": MAY, "permno": 10 * permco + 1, "name": name, "permco": permco, "first": first, "last": last}
        self.names.append(row)
        return self

    def stock(self, permno: int, permco: int, **said: Any) -> Market:
        plain = {"month": MAY, "common": True, "delisted": False, "me": 500.0}
        self.crsp.append({**plain, "permno": permno, "permco": permco, **said})
        return self

    def accounted(self, permco: int, month: date = date(2008, 4, 1), at: float | None = 9.0) -> Market:
        ended = shift(month, -4)
        self.accounts.append({"month": month, "gvkey": f"G{permco}", "datadate": ended.replace(day=28), "at": at})
        return self

    def inputs(self, *issues: dict[str, Any]) -> tuple[Any, ...]:
        return (
            frame(list(issues), ISSUES),
            frame(self.names, NAMES),
            frame(self.crsp, CRSP),
            frame(self.links, LINKS),
            frame(self.accounts, ACCOUNTS),
            None if self.wrds is None else frame(self.wrds, WRDS),
        )

    def match(self, *issues: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
        return bond_issuer_link(*self.inputs(*issues), [MAY], IssuerMatchSettings(**settings)).to_dicts()

    def audit(self, *issues: dict[str, Any], **settings: Any) -> dict[int, dict[str, Any]]:
        found = bond_issuer_candidates(*self.inputs(*issues), [MAY], IssuerMatchSettings(**settings))
        return {row["permco"]: row for row in found.to_dicts()}


def plain() -> Market:
    return Market().firm(1, "NORVANE MOTOR CO DEL").firm(2, "VALDALE ELECTRIC INC")


def reason(market: Market, *args: Any, **said: Any) -> str | None:
    (found,) = market.match(issue(*args, **said))
    assert (found["permno"] is None) == (found["permco"] is None) == (found["gvkey"] is None)
    assert (found["permno"] is None) == (found["reason"] is not None)
    assert found["reason"] is None or found["reason"] in REASONS
    return found["reason"] or f"permco {found['permco']}"


def test_by_hand():
    inputs = plain().inputs(issue("The Norvane Motor Company", "B2"), issue("VALDALE TRACTION INC.", "B1"))
    found = bond_issuer_link(*inputs, [MAY])
    assert dict(found.schema) == LINK_SCHEMA
    assert found.rows() == [
        (MAY, "B1", 1, "VALDALE TRACTION INC.", None, None, None, "name", None, None, None, "no candidate"),
        (MAY, "B2", 1, "The Norvane Motor Company", 11, 1, "G1", "name", "NORVANE MOTOR CO DEL", 1.0, None, None),
    ]
    audit = bond_issuer_candidates(*inputs, [MAY])
    assert dict(audit.schema) == CANDIDATES_SCHEMA
    assert audit.rows() == [
        (MAY, 1, 1, "The Norvane Motor Company", "name", "NORVANE MOTOR CO DEL", 1.0, True, True, None, 1)
    ]


def test_one_letter_in_thirteen_and_no_more():
    (found,) = plain().match(issue("NORVANE MOTER CO"))
    assert (found["permco"], found["similarity"], found["matched_name"]) == (1, 1 - 1 / 13, "NORVANE MOTOR CO DEL")
    (found,) = plain().match(issue("NORVANE MOTER CO"), similarity=0.95)
    assert (found["permco"], found["similarity"], found["matched_name"]) == (None, 1 - 1 / 13, None)
    assert found["reason"] == "below similarity"
    assert plain().audit(issue("NORVANE MOTER CO"), similarity=0.95)[1]["rejection"] == "below similarity"
    assert reason(plain(), "NORWANE MOTER CO") == "no candidate"  # 2 / 13 is beyond similarity less margin


@pytest.mark.parametrize("name", [None, "", " .. "])
def test_no_name(name):
    assert reason(plain(), name) == "no name"


def test_no_candidate():
    assert reason(plain(), "CESMONT CORP") == "no candidate"
    assert reason(Market(), "CESMONT CORP") == "no candidate"


def test_a_subsidiary_with_a_name_of_its_own_is_not_its_parent():
    assert reason(plain(), "NORVANE MOTOR CREDIT CO") == "no candidate"
    assert reason(plain(), "NORVANE MOTOR LP") == "permco 1"  # the partnership through which it borrows


def test_ambiguous_names_are_never_guessed():
    twins = Market().firm(1, "NORVANE CONSOLIDATED MINES INC").firm(2, "NORVANI CONSOLIDATED MINES INC")
    assert reason(twins, "NORVANY CONSOLIDATED MINES INC") == "ambiguous"
    # Right to the letter, but another one is less than the margin away: 1 / 26 letters.
    (found,) = twins.match(issue("NORVANE CONSOLIDATED MINES INC"))
    assert (found["reason"], found["similarity"], found["runner_up_similarity"]) == ("ambiguous", 1.0, 1 - 1 / 26)
    assert found["matched_name"] is None
    assert {row["rejection"] for row in twins.audit(issue("NORVANE CONSOLIDATED MINES INC")).values()} == {"ambiguous"}
    assert twins.match(issue("NORVANE CONSOLIDATED MINES INC"), margin=0.03)[0]["permco"] == 1
    short = Market().firm(1, "NORVANE MINES INC").firm(2, "NORVANI MINES INC")
    assert reason(short, "NORVANE MINES INC") == "permco 1"  # 1 / 13 letters
    assert short.audit(issue("NORVANE MINES INC"))[2]["rejection"] == "less similar"


def test_the_margin_itself_is_enough():
    twenty = Market().firm(1, "NORVANE ABCDEFGHIJKL INC").firm(2, "NORVANI ABCDEFGHIJKL INC")
    (found,) = twenty.match(issue("NORVANE ABCDEFGHIJKL INC"))
    assert (found["permco"], found["runner_up_similarity"]) == (1, 0.95)


def test_two_securities_of_one_company_are_no_rivals():
    market = plain()
    market.names.append({**market.names[0], "permno": 12, "name": "NORVANE MOTOR CO CL B"})
    assert reason(market, "NORVANE MOTOR CO") == "permco 1"


def test_the_legal_form_decides_between_namesakes_and_only_then():
    market = Market().firm(1, "NORVANE INC").firm(2, "NORVANE CORP")
    assert reason(market, "NORVANE INCORPORATED") == "permco 1"
    assert reason(market, "NORVANE CORPORATION") == "permco 2"
    assert reason(market, "NORVANE CO") == "ambiguous"
    assert reason(market, "NORVANE") == "ambiguous"
    assert market.audit(issue("NORVANE INC"))[2]["rejection"] == "other legal form"
    assert reason(Market().firm(1, "NORVANE INC").firm(2, "NORVANE"), "NORVANE INC") == "ambiguous"


def test_a_renamed_firm_is_known_by_the_name_at_the_offering():
    renamed = date(2005, 6, 1)
    market = Market().firm(1, "VALDALE GROUP", first=renamed)
    market.named(1, "NORVANE INC", date(1990, 1, 1), shift(renamed, -1))
    assert reason(market, "NORVANE INC", offered=date(2004, 3, 15)) == "permco 1"
    assert reason(market, "VALDALE GROUP", offered=date(2006, 3, 15)) == "permco 1"
    # A name that it gave up, or had not taken yet, is another's.
    assert reason(market, "NORVANE INC", offered=date(2006, 3, 15)) == "no candidate"
    assert reason(market, "VALDALE GROUP", offered=date(2004, 3, 15)) == "no candidate"
    audit = market.audit(issue("VALDALE GROUP", offered=date(2004, 3, 15)))
    assert (audit[1]["rejection"], audit[1]["accepted"]) == ("name not in force", False)
    # In the month of the change both names were borne.
    assert reason(market, "NORVANE INC", offered=date(2005, 6, 10)) == "permco 1"
    assert reason(market, "VALDALE GROUP", offered=date(2005, 6, 10)) == "permco 1"
    (found,) = market.match(issue("NORVANE INC", offered=date(2005, 6, 10)), name_slack=0)
    assert found["reason"] == "no candidate"
    # The day from which interest runs stands in for the offering; without any day every name counts.
    assert reason(market, "NORVANE INC", offered=None, dated_date=date(2006, 3, 15)) == "no candidate"
    assert reason(market, "NORVANE INC", offered=None, dated_date=date(2004, 3, 15)) == "permco 1"
    assert reason(market, "NORVANE INC", offered=None) == "permco 1"
    assert reason(market, "VALDALE GROUP", offered=None) == "permco 1"


def test_a_name_that_two_firms_bore_in_turn():
    market = Market().firm(1, "CESMONT INC", first=date(2000, 1, 1)).firm(2, "NORVANE INC", first=date(2002, 1, 1))
    market.named(1, "NORVANE INC", date(1990, 1, 1), date(1999, 12, 1))
    assert reason(market, "NORVANE INC", offered=date(1995, 1, 9)) == "permco 1"
    assert reason(market, "NORVANE INC", offered=date(2003, 1, 9)) == "permco 2"
    assert reason(market, "NORVANE INC", offered=None) == "ambiguous"
    # In 2000 nobody bore it, and the one who took it later was not in CRSP yet.
    assert reason(market, "NORVANE INC", offered=date(2000, 8, 9)) == "permco 2"
    (found,) = market.match(issue("NORVANE INC", offered=date(1995, 1, 9)))
    assert (found["similarity"], found["runner_up_similarity"]) == (1.0, 1.0)
    assert market.audit(issue("NORVANE INC", offered=date(1995, 1, 9)))[2]["rejection"] == "later name"


def test_a_firm_that_was_not_in_crsp_yet_is_known_by_its_later_names():
    listed = date(2006, 1, 1)
    market = Market().firm(1, "NORVANE MOTOR INC", first=listed)
    assert reason(market, "NORVANE MOTOR INC", offered=date(2004, 3, 15)) == "permco 1"
    assert market.audit(issue("NORVANE MOTOR INC"))[1]["in_force"] is False
    # A later name that is more similar than one in force leaves the bond open.
    market.firm(2, "NORVANE MOTER INC")
    assert reason(market, "NORVANE MOTOR INC", offered=date(2004, 3, 15)) == "ambiguous"
    assert reason(market, "NORVANE MOTER INC", offered=date(2004, 3, 15)) == "permco 2"
    assert reason(market, "NORVANE MOTOR INC", offered=date(2007, 3, 15)) == "permco 1"


def test_a_firm_that_had_left_crsp_before_the_offering_is_not_meant():
    market = Market().firm(1, "NORVANE INC", last=date(1999, 12, 1))
    assert reason(market, "NORVANE INC") == "no candidate"


def test_a_merged_firm_has_no_stock_left():
    market = Market().firm(1, "NORVANE INC", last=date(2007, 8, 1)).firm(2, "VALDALE INC")
    market.crsp = [row for row in market.crsp if row["permco"] != 1]
    (found,) = market.match(issue("NORVANE INC"))
    assert (found["reason"], found["matched_name"], found["permco"]) == ("not listed", "NORVANE INC", None)
    audit = market.audit(issue("NORVANE INC"))
    assert (audit[1]["accepted"], audit[1]["rejection"]) == (False, "not listed")


@pytest.mark.parametrize("said", [{"common": False}, {"delisted": True}, {"me": None}])
def test_a_stock_that_does_not_count(said):
    market = plain()
    market.crsp[0] = {**market.crsp[0], **said}
    assert reason(market, "NORVANE MOTOR CO") == "not listed"


def test_the_largest_common_stock_and_its_accounts():
    market = plain()
    market.stock(12, 1, me=900.0).stock(13, 1, me=5000.0, common=False).stock(14, 1, me=900.0)
    (found,) = market.match(issue("NORVANE MOTOR CO"))
    assert (found["permno"], found["gvkey"]) == (12, "G1")  # its own has none: that of its sister
    market.links.append({"month": MAY, "permno": 13, "permco": 1, "gvkey": "G9"})
    assert market.match(issue("NORVANE MOTOR CO"))[0]["gvkey"] == "G1"  # a common stock's before a larger other's
    market.links.append({"month": MAY, "permno": 12, "permco": 1, "gvkey": "G2"})
    assert market.match(issue("NORVANE MOTOR CO"))[0]["gvkey"] == "G2"


def test_no_company_link():
    market = plain()
    market.links = []
    assert reason(market, "NORVANE MOTOR CO") == "no company link"


@pytest.mark.parametrize(
    ("accounts", "expected"),
    [
        ([], "no accounts"),
        ([(date(2006, 11, 1), 9.0)], "no accounts"),
        ([(date(2006, 12, 1), 9.0)], "permco 1"),
        ([(date(2008, 5, 1), 9.0)], "permco 1"),
        ([(date(2008, 6, 1), 9.0)], "no accounts"),
        ([(date(2008, 4, 1), None)], "no assets"),
        ([(date(2008, 4, 1), 0.0)], "no assets"),
        ([(date(2007, 4, 1), 9.0), (date(2008, 4, 1), None)], "no assets"),
        ([(date(2007, 4, 1), 0.0), (date(2008, 4, 1), 9.0)], "permco 1"),
        ([(date(2008, 4, 1), 9.0), (date(2008, 6, 1), None)], "permco 1"),
    ],
)
def test_the_last_accounts_that_are_available(accounts, expected):
    market = plain()
    market.accounts = []
    for month, at in accounts:
        market.accounted(1, month, at)
    assert reason(market, "NORVANE MOTOR CO") == expected


def test_wrds_decides_alone_while_its_link_holds():
    market = plain()
    start = date(2004, 3, 20)
    for end, expected in [
        (None, "permco 2"), (date(2008, 5, 31), "permco 2"), (date(2008, 5, 30), "permco 1"),
        (date(2008, 6, 2), "permco 2"),
    ]:  # fmt: skip
        market.wrds = wrds("B1", start, 21, 2, end)
        assert reason(market, "NORVANE MOTOR CO") == expected
    market.wrds = wrds("B1", date(2008, 6, 1), 21, 2)
    assert reason(market, "NORVANE MOTOR CO") == "permco 1"
    market.wrds = wrds("B1", start, 21, 2)
    (found,) = market.match(issue("NORVANE MOTOR CO"))
    assert (found["method"], found["matched_name"], found["similarity"]) == ("wrds", None, None)
    assert market.match(issue(None))[0]["permco"] == 2  # no name needed
    audit = market.audit(issue("NORVANE MOTOR CO"), issue("NORVANE MOTOR CO", "B2"))
    assert {permco: (row["method"], row["accepted"], row["n_bonds"]) for permco, row in audit.items()} == {
        1: ("name", True, 1),
        2: ("wrds", True, 1),
    }


def test_wrds_links_to_two_stocks_from_one_day():
    market = plain()
    market.wrds = [*wrds("B1", OFFERED, 21, 2), *wrds("B1", OFFERED, 22, 2, date(2006, 1, 31))]
    assert reason(market, "NORVANE MOTOR CO") == "permco 2"
    # Two companies from one day: the link says nothing, and the name decides.
    market.wrds = [*wrds("B1", OFFERED, 21, 2), *wrds("B1", OFFERED, 11, 1)]
    (found,) = market.match(issue("NORVANE MOTOR CO"))
    assert (found["method"], found["permco"]) == ("name", 1)
    market.wrds = [*wrds("B1", OFFERED, 21, 2), *wrds("B1", OFFERED, 11, 1, date(2006, 1, 31))]
    assert reason(market, "NORVANE MOTOR CO") == "permco 2"


NAMESAKES = [
    ("Northern Natural Gas Company", "SOUTHERN NATURAL GAS CO"),
    ("US Bancorp", "UST BANCORP"),
    ("Northern Illinois Gas Co", "SOUTHERN ILLINOIS GAS CO"),
    ("Texas Eastern Transmission LP", "TEXAS WESTERN TRANSMISSION CORP"),
    ("Northeastern Norvane Traction", "NORTHWESTERN NORVANE TRACTION"),
    ("Norvane National Bank II", "NORVANE NATIONAL BANK I"),
    ("Norvane Equipment Trust VIII", "NORVANE EQUIPMENT TRUST XIII"),
    ("Norvane Equipment Trust 2004", "NORVANE EQUIPMENT TRUST 2005"),
    ("TCI Valdale Communications", "TCA VALDALE COMMUNICATIONS INC"),
    ("Consolidated Norvane Natural Gas", "CONSOLIDATED NORVANE NATURAL GAS NO"),
]


@pytest.mark.parametrize(("name", "namesake"), NAMESAKES)
def test_a_name_that_differs_by_a_word_is_another_company(name, namesake):
    market = Market().firm(1, namesake)
    assert market.match(issue(name))[0]["similarity"] >= 0.9 - 1e-9
    assert reason(market, name) == "other word"
    assert market.audit(issue(name))[1]["rejection"] == "other word"
    # Nor does it stand in the way of the right one.
    assert reason(market.firm(2, name.upper()), name) == "permco 2"
    assert market.audit(issue(name))[1]["rejection"] == "other word"


def test_a_name_more_like_than_the_one_taken_leaves_the_case_open():
    market = Market().firm(1, "NORVANES VALDALES GAS TRACTION").firm(2, "NORVANE VALDALE GAP TRACTION")
    (found,) = market.match(issue("NORVANE VALDALE GAS TRACTION"))
    assert (found["reason"], found["similarity"] < found["runner_up_similarity"]) == ("ambiguous", True)


@pytest.mark.parametrize(
    ("name", "crsp"),
    [
        ("Eli Norvane and Company", "NORVANE ELI & CO"),
        ("The Walt Valdale Company", "VALDALE WALT CO"),
        ("J.P. Norvane & Co.", "NORVANE J P & CO INC"),
        ("E. I. du Norvane de Valdale", "DU NORVANE E I DE VALDALE & CO"),
    ],
)
def test_names_that_crsp_turns_round(name, crsp):
    market = Market().firm(1, crsp)
    (found,) = market.match(issue(name))
    assert (found["permco"], found["similarity"]) == (1, 1.0)
    assert reason(market.firm(2, crsp), name) == "ambiguous"


def test_wrds_newest_link_and_the_company_of_its_stock():
    market = plain()
    market.wrds = [*wrds("B1", date(2004, 3, 20), 21, 2), *wrds("B1", date(2006, 3, 20), 11, None)]
    assert reason(market, "NOBODY") == "permco 1"
    market.wrds = wrds("B1", date(2004, 3, 20), 99, None)
    assert reason(market, "NORVANE MOTOR CO") == "permco 1"  # a link to no company of CRSP: by name
    market.wrds = wrds("B1", date(2004, 3, 20), 99, 9)
    assert reason(market, "NORVANE MOTOR CO") == "not listed"


def test_an_issuers_bonds_may_differ():
    market = plain()
    bonds = (
        issue("NORVANE MOTOR CO", "B1"),
        issue("NORVANE MOTER CO", "B2"),
        issue("NORVANE MOTOR CO", "B3", issuer_id=None),
        issue("NORVANE MOTOR CO", "B4", offered=date(2005, 1, 1)),
    )
    assert [row["permco"] for row in market.match(*bonds)] == [1, 1, 1, 1]
    audit = bond_issuer_candidates(*market.inputs(*bonds), [MAY])
    assert audit.select("issuer_id", "permco", "issuer_name", "similarity", "n_bonds").rows() == [
        (1, 1, "NORVANE MOTOR CO", 1.0, 3)
    ]


def test_lookback_counts_the_month_itself():
    assert lookback()["compustat_annual"] == 18
    assert lookback(IssuerMatchSettings(accounts_months=12))["compustat_annual"] == 12


@pytest.mark.parametrize(
    "wrong",
    [{"similarity": 1.1}, {"margin": -0.1}, {"similarity": 0.6, "margin": 0.1}, {"name_slack": -1},
     {"accounts_months": 0}],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=r"similarity|months"):
        IssuerMatchSettings(**wrong)


def test_figures_count_issuers_bonds_and_dollars():
    market = plain()
    bonds = (
        issue("NORVANE MOTOR CO", "B1", issuer_id=1, amount_outstanding=300.0),
        issue("CESMONT CORP", "B2", issuer_id=1, amount_outstanding=50.0, eligible=False),
        issue(None, "B3", issuer_id=2, amount_outstanding=None),
        issue("VALDALE ELECTRIC INC", "B4", issuer_id=3, amount_outstanding=150.0, eligible=False),
    )
    inputs = market.inputs(*bonds)
    figures = issuer_link_figures(bond_issuer_link(*inputs, [MAY]), inputs[0], MAY)
    assert figures["all"] == {
        "issuers": {"n": 3, "matched": 2, "share": 2 / 3},
        "bonds": {"n": 4, "matched": 2, "share": 0.5},
        "amount_outstanding": {"n": 500.0, "matched": 450.0, "share": 0.9},
    }
    assert figures["eligible"]["bonds"] == {"n": 2, "matched": 1, "share": 0.5}
    assert figures["methods"] == {"wrds": 0, "name": 2}
    assert figures["reasons"] == {**dict.fromkeys(REASONS, 0), "no name": 1, "no candidate": 1}
    nothing = issuer_link_figures(bond_issuer_link(*inputs, []), inputs[0].clear(), MAY)
    assert nothing["all"]["bonds"] == {"n": 0, "matched": 0, "share": None}
