"""FISD's tables: terms, defaults, ratings, amounts and names, each against a plain reading of the economy."""

import re
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from stdnum import cusip, isin

from pipeline.simulation.bond_terms import EXCLUDED, bond_events, bond_terms
from pipeline.simulation.fisd import SCALES, fisd_tables
from pipeline.simulation.fisd_governments import GOVERNMENTS
from pipeline.simulation.identifiers import SECTORS, firm_names, twins
from pipeline.simulation.market import Market

ISSUES, ISSUERS, DEFAULTS = "fisd.fisd_mergedissue", "fisd.fisd_mergedissuer", "fisd.fisd_issue_default"
RATINGS, AMOUNTS = "fisd.fisd_ratings", "fisd.fisd_amt_out_hist"
OPTIONS = ("convertible", "putable", "exchangeable", "asset_backed", "foreign_currency", "perpetual")


def _index(market: Market) -> pl.DataFrame:
    """Issues of FISD that are in the index, with their position among the economy's."""
    place = pl.DataFrame({"complete_cusip": market.economy.issues.cusips}).with_row_index("bond")
    return market.tables[ISSUES].join(place, on="complete_cusip").sort("bond")


def test_terms_are_those_of_the_economy(demo: Market) -> None:
    issues, frame = demo.economy.issues, _index(demo)
    assert frame.height == issues.n
    np.testing.assert_array_equal(frame["coupon"].to_numpy(), issues.coupon)
    np.testing.assert_array_equal(frame["offering_amt"].to_numpy(), issues.par)
    assert frame["maturity"].to_list() == issues.maturity.astype("datetime64[D]").tolist()
    given = frame.drop_nulls("isin")
    assert given["isin"].to_list() == [issues.isins[i] for i in given["bond"]]
    assert 0 < frame["isin"].null_count() < 60
    assert demo.tables[ISSUES]["issue_id"].is_unique().all()
    for nine in demo.tables[ISSUES]["complete_cusip"]:
        assert cusip.is_valid(nine)
    assert demo.tables[ISSUES]["complete_cusip"].is_unique().all()
    assert all(isin.is_valid(code) for code in demo.tables[ISSUES]["isin"].drop_nulls())
    called = demo.economy.bonds.lives.reason == "call"
    assert (frame.filter(pl.Series(called))["redeemable"] == "Y").all()


def test_bonds_of_the_index_are_plain_and_the_others_are_not(demo: Market) -> None:
    frame = demo.tables[ISSUES].with_columns(floating=pl.when(pl.col("coupon_type") == "V").then(pl.lit("Y")))
    flags = frame.select(pl.sum_horizontal((pl.col(name) == "Y") for name in (*OPTIONS, "floating"))).to_series()
    government = frame["bond_type"].is_in(list(GOVERNMENTS))
    inside = frame["complete_cusip"].is_in(demo.economy.issues.cusips) | government
    assert (flags == (~inside).cast(pl.UInt32)).all()
    assert (~inside).sum() == len(demo.economy.issues.cusips) // 25
    counts = {name: (frame[name] == "Y").sum() for name in (*OPTIONS, "floating")}
    assert min(counts.values()) >= 3
    assert len(counts) == len(EXCLUDED)
    assert (frame["maturity"].is_null() == (frame["perpetual"] == "Y")).all()
    zero = frame.filter(pl.col("coupon") == 0)
    assert zero.height >= 1
    assert (zero["coupon_type"] == "Z").all()
    assert (zero["interest_frequency"] == "0").all()
    assert zero["first_interest_date"].null_count() == zero.height


def test_governments_and_agencies_are_plain_in_all_but_their_type(tiny: Market, demo: Market) -> None:
    for market in (tiny, demo):
        rows = market.tables[ISSUES].filter(pl.col("bond_type").is_in(list(GOVERNMENTS)))
        assert dict(rows["bond_type"].value_counts().iter_rows()) == {"USTC": 3, "ADEB": 3}
        assert (rows.select((pl.col(name) == "N").all() for name in OPTIONS)).row(0) == (True,) * len(OPTIONS)
        assert set(rows["coupon_type"]) == {"F"}
        taken = {nine[:6] for nine in market.economy.issues.cusips}
        assert taken.isdisjoint(nine[:6] for nine in rows["complete_cusip"])
        for table in (RATINGS, AMOUNTS):
            assert set(rows["issue_id"]) <= set(market.tables[table]["issue_id"])
        assert set(rows["issuer_id"]) <= set(market.tables[ISSUERS]["issuer_id"])


def test_every_convention_occurs(tiny: Market, demo: Market) -> None:
    frame = demo.tables[ISSUES]
    assert set(frame["interest_frequency"]) == {"0", "1", "2", "4", "12"}
    assert set(frame["day_count_basis"]) == {"30/360", "ACT/ACT", "ACT/360", "ACT/365"}
    for name, usual in (("interest_frequency", "2"), ("day_count_basis", "30/360"), ("security_level", "SEN")):
        assert (frame[name] == usual).mean() > 0.75
    small = tiny.tables[ISSUES]
    assert small["interest_frequency"].n_unique() >= 3
    assert small["day_count_basis"].n_unique() >= 3


def test_first_coupons_come_early_late_and_on_time(demo: Market) -> None:
    frame = _index(demo).filter(pl.col("interest_frequency") != "0").drop_nulls("first_interest_date")
    lengths = set()
    for row in frame.iter_rows(named=True):
        period = 12 // int(row["interest_frequency"])
        first, end = row["first_interest_date"], row["maturity"]
        months = 12 * (end.year - first.year) + end.month - first.month
        assert first.day == end.day
        assert months % period == 0
        accrues = (first - row["dated_date"]).days / (30.44 * period)
        lengths.add("long" if accrues > 1.2 else "short" if accrues < 0.97 else "regular")
        issued = row["offering_date"] or row["dated_date"]
        assert abs((row["dated_date"] - issued).days) < 63
    assert lengths == {"long", "short", "regular"}
    lost = demo.tables[ISSUES].filter(pl.col("offering_date").is_null())
    assert 1 <= lost.height < 40
    assert lost["dated_date"].null_count() == 0


def test_issuers_and_their_industries(demo: Market) -> None:
    issuers, truth = demo.tables[ISSUERS], demo.truth["bond_issuers"]
    assert issuers["issuer_id"].is_unique().all()
    joined = (
        demo.tables[ISSUES].select("issue_id", "issuer_id").join(issuers, on="issuer_id").join(truth, on="issue_id")
    )
    assert joined.height == demo.tables[ISSUES].height - 3 * len(GOVERNMENTS)
    groups = {"Industrials": "1", "Financial": "2", "Utility": "3"}
    for row in joined.iter_rows(named=True):
        own = groups[SECTORS[demo.economy.firms.sector[row["issuer"]]][0]]
        finance = row["spelling"] in ("finance", "capital", "funding")
        assert row["industry_group"] == ("2" if finance else own)
    assert {"CAN", "USA"} == set(issuers["country_domicile"])


def test_defaults_in_earnest_and_on_paper(demo: Market) -> None:
    economy = demo.economy
    lives, clock = economy.bonds.lives, economy.clock
    frame = _index(demo).join(demo.tables[DEFAULTS], on="issue_id")
    assert frame.height == demo.tables[DEFAULTS].height
    earnest = frame.filter(pl.col("reinstated_date").is_null())
    assert earnest.height == (lives.default < clock.n).sum() > 10
    for bond, day in earnest.select("bond", "default_date").iter_rows():
        assert clock.dates[lives.default[bond]] == day.replace(day=1)
    paper = frame.drop_nulls("reinstated_date")
    assert paper.height >= 10
    for row in paper.iter_rows(named=True):
        assert timedelta(days=40) < row["reinstated_date"] - row["default_date"] < timedelta(days=100)
        first = clock.dates[economy.issues.entry[row["bond"]]]
        last = clock.dates[min(lives.left[row["bond"]], clock.n - 1)]
        assert first < row["default_date"] < row["reinstated_date"] < last
        day = row["default_date"]
        while day <= row["reinstated_date"]:
            due = day.day == row["maturity"].day and (day.month - row["maturity"].month) % 6 == 0
            assert not due, row
            day += timedelta(days=1)


def _letters(agency: str) -> dict[str, int]:
    return {letters: ordinal for ordinal, letters in reversed(list(enumerate(SCALES[agency], start=1)))}


def _standing(rows: list[tuple[date, str]], day: date) -> str | None:
    """Letters of the newest row up to a day."""
    known = [letters for rated, letters in sorted(rows) if rated <= day]
    return known[-1] if known else None


@pytest.mark.parametrize("agency", ["SPR", "MR"])
def test_ratings_follow_the_issuer(demo: Market, agency: str) -> None:
    economy, letters = demo.economy, _letters(agency)
    lives, clock, rating = economy.bonds.lives, economy.clock, economy.firms.rating
    rows = demo.tables[RATINGS].filter(pl.col("rating_type") == agency)
    assert not rows.select("issue_id", "rating_date").is_duplicated().any()
    history = {
        issue: list(zip(group["rating_date"], group["rating"], strict=True))
        for (issue,), group in rows.group_by("issue_id")
    }
    frame = _index(demo)[::7]
    apart, withdrawn, unrated, behind, n = [], 0, 0, 0, 0
    for issue, bond in frame.select("issue_id", "bond").iter_rows():
        if issue not in history:
            unrated += 1
            continue
        firm = economy.issues.issuer[bond]
        for t in range(economy.issues.entry[bond], min(lives.left[bond], clock.n - 1)):
            shown = _standing(history[issue], clock.month_ends[t].item())
            assert shown is not None
            if shown == "NR":
                withdrawn += 1
                continue
            n += 1
            if t >= lives.default[bond]:
                assert shown == {"SPR": "D", "MR": "Ca"}[agency]
            else:
                late = agency == "MR" and letters[shown] - rating[t, firm] not in (-1, 0, 1)
                behind += late
                apart.append(letters[shown] - rating[t, firm])
    assert n > 5000
    assert 0 < unrated < 0.15 * frame.height
    if agency == "SPR":
        assert withdrawn > 0
        assert set(apart) == {0}
    else:
        assert {-1, 0, 1} <= set(apart)
        assert 0.6 < np.mean(np.array(apart) == 0) < 0.85
        assert behind < 0.01 * n


def test_ratings_begin_with_the_issue_and_say_each_thing_once(demo: Market) -> None:
    rows = demo.tables[RATINGS].join(
        demo.tables[ISSUES].select("issue_id", "offering_date", "dated_date"), on="issue_id"
    )
    for (_, agency), group in rows.group_by("issue_id", "rating_type"):
        assert group["rating_date"].is_sorted()
        letters = group["rating"].to_list()
        assert agency == "MR" or all(a != b for a, b in pairwise(letters))
        if group["offering_date"][0] is not None:
            assert group["rating_date"][0] == group["offering_date"][0]


def test_other_rows_of_the_rating_table(demo: Market) -> None:
    rows = demo.tables[RATINGS]
    assert set(rows["rating_type"]) == {"SPR", "MR", "FR"}
    for agency in ("SPR", "MR", "FR"):
        shown = set(rows.filter(pl.col("rating_type") == agency)["rating"])
        assert shown <= {*SCALES[agency], "NR"}
        assert ("NR" in shown) == (agency == "SPR")
    by_issue = rows.group_by("issue_id").agg(pl.col("rating_type").unique())
    only_moodys = by_issue.filter(~pl.col("rating_type").list.contains("SPR"))
    assert 0.03 < only_moodys.height / by_issue.height < 0.13
    assert SCALES["SPR"][:5] == ("AAA", "AA+", "AA", "AA-", "A+")
    assert SCALES["SPR"][7:10] == ("BBB+", "BBB", "BBB-")
    assert SCALES["SPR"][16:] == ("CCC+", "CCC", "CCC-", "CC", "C", "D")
    assert SCALES["MR"][:5] == ("Aaa", "Aa1", "Aa2", "Aa3", "A1")
    assert SCALES["MR"][7:10] == ("Baa1", "Baa2", "Baa3")
    assert SCALES["MR"][16:] == ("Caa1", "Caa2", "Caa3", "Ca", "C", "C")


def test_amounts_outstanding(demo: Market) -> None:
    economy, truth = demo.economy, demo.truth["bond_month_prices"]
    lives, clock = economy.bonds.lives, economy.clock
    history: dict[int, list[tuple[date, str, float]]] = {}
    for issue, *row in demo.tables[AMOUNTS].iter_rows():
        history.setdefault(issue, []).append(tuple(row))
    known = dict(zip(zip(truth["month"], truth["cusip"], strict=True), truth["amount_outstanding"], strict=True))
    actions = {"call": "B", "exchange": "T", "default": "R", "short": "IM"}
    for row in _index(demo)[::3].iter_rows(named=True):
        rows, bond = history[row["issue_id"]], row["bond"]
        reason = str(lives.reason[bond])
        assert [each[1:] for each in rows if each[0] == rows[0][0]] == [("I", row["offering_amt"])]
        assert all(kind == actions[reason] for _, kind, amount in rows if amount == 0)
        for t in range(economy.issues.entry[bond], min(lives.left[bond], clock.n - 1) + 1):
            newest = max(day for day, *_ in rows if day <= clock.month_ends[t].item())
            amount = min(left for day, _, left in rows if day == newest)
            assert known[clock.dates[t], row["complete_cusip"][:8]] == amount
            gone = t == lives.left[bond] and reason in ("call", "exchange")
            assert amount == 0 if gone else amount > 0 or reason == "default"
    table = demo.tables[AMOUNTS]
    days = table.group_by("issue_id", "effective_date").agg(pl.len(), pl.col("action_type").n_unique())
    assert (days["len"] == 2).sum() > 20
    assert ((days["len"] == 2) & (days["action_type"] == 1)).any()
    assert {"I", "P", "S", "RO", "B", "R", "IM"} <= set(table["action_type"])
    assert table["effective_date"].max() <= clock.month_ends[-1].item()


FORMS = {"INC", "INCORPORATED", "CORP", "CORPORATION", "CO", "COMPANY", "HLDGS", "HOLDINGS", "LP", "LLC", "AND"}


def _bare(name: str) -> str:
    """What is left of a name without articles, punctuation, states and legal forms."""
    words = re.sub(r"[^A-Z0-9 ]", " ", re.sub(r" /[A-Z]+/$", "", name.upper().replace("&", " AND "))).split()
    words = words[1:] if words[0] == "THE" else words
    while len(words) > 1 and words[-1] in FORMS:
        words.pop()
    return " ".join(words)


@pytest.mark.parametrize("name", ["tiny", "another", "demo"])
def test_a_name_is_matchable_where_it_says_so(name: str, request: pytest.FixtureRequest) -> None:
    market = request.getfixturevalue(name)
    crsp = market.tables["crsp.msenames"]
    owner = dict(market.truth["securities"].select("permno", "permco").iter_rows())
    permco = np.array([owner[permno] for permno in crsp["permno"]])
    first, last = (crsp[column].to_numpy() for column in ("namedt", "nameendt"))
    rows = market.tables[ISSUES].join(market.truth["bond_issuers"], on="issue_id")
    scores = cdist(
        [_bare(name) for name in rows["prospectus_issuer_name"]],
        [_bare(name) for name in crsp["comnam"]],
        scorer=Levenshtein.normalized_similarity,
        dtype=np.float64,
    )
    # Names of the day of issue; those at the beginning of the data for older bonds.
    issued = rows.select(pl.coalesce("offering_date", "dated_date")).to_series().to_numpy()
    day = np.maximum(issued, first.min())[:, None]
    scores = np.where((first <= day) & (day <= last), scores, 0)
    for score, row in zip(scores, rows.iter_rows(named=True), strict=True):
        best = permco[np.argmax(score)]
        runner_up = score[permco != best].max()
        found = score.max() >= 0.9 and score.max() - runner_up > 0.05
        assert found == row["matchable"], row
        if found:
            assert best == row["permco"], row
    kinds = rows.group_by("kind").agg(pl.len(), matchable=pl.col("matchable").mean())
    share = dict(kinds.select("kind", "matchable").iter_rows())
    if name != "another":
        assert set(share) == {"same", "abbreviated", "subsidiary", "private", "renamed", "ambiguous"}
        assert 0 < share["abbreviated"] < 1
        assert 0 < share["subsidiary"] < 1
    assert share["private"] == 0
    assert share["same"] == 1
    private = rows.filter(pl.col("kind") == "private")
    assert (private["permco"].is_null() == (private["spelling"] == "stock")).all()
    gone = rows.filter(pl.col("delisted") < pl.coalesce("offering_date", "dated_date").dt.month_start())
    assert (gone["spelling"] == "delisted").all()


def test_renamed_issuers_have_the_name_of_the_day(demo: Market) -> None:
    rows = demo.tables[ISSUES].join(demo.truth["bond_issuers"], on="issue_id").filter(pl.col("kind") == "renamed")
    spells = demo.tables["crsp.msenames"]
    seen = set()
    for row in rows.iter_rows(named=True):
        day = row["offering_date"] or row["dated_date"]
        own = spells.filter(pl.col("permno") == row["permno"]).sort("namedt")
        assert own["comnam"].n_unique() == 2
        begun = own.filter(pl.col("namedt") <= day)
        assert row["prospectus_issuer_name"] == (begun["comnam"][-1] if begun.height else own["comnam"][0])
        seen.add(row["prospectus_issuer_name"].startswith("NEW "))
    assert seen == {True, False}


def test_twins_are_the_only_names_that_are_nearly_alike() -> None:
    for n in (88, 500, 4_000):
        names = firm_names(n, np.random.default_rng(5))
        assert len(set(names)) == n
        pairs = twins(n)
        assert len(pairs) == len(range(8, n - 1, 40))
        for one, other in pairs:
            assert Levenshtein.distance(_bare(names[one].upper()), _bare(names[other].upper())) <= 1
        if n < 1_000:
            bare = [_bare(name) for name in names]
            scores = cdist(bare, bare, scorer=Levenshtein.normalized_similarity, dtype=np.float64)
            np.fill_diagonal(scores, 0)
            for one, other in pairs:
                scores[one, other] = scores[other, one] = 0
            assert scores.max() < 0.9


def test_deterministic(tiny: Market, another: Market) -> None:
    again = fisd_tables(tiny.economy)
    for name, frame in again.items():
        assert frame.equals(tiny.tables[name]), name
        assert not frame.equals(another.tables[name]), name
    terms = bond_terms(tiny.economy)
    assert terms.n == len(terms.cusips) == tiny.tables[ISSUES].height - 3 * len(GOVERNMENTS)
    assert len(bond_events(tiny.economy, terms).left) == terms.n_index == tiny.economy.issues.n
