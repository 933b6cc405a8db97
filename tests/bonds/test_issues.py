from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.issue_universe import FILTERS, IssueSettings
from pipeline.bonds.issues import SCHEMA, bond_issues, issues_figures
from pipeline.extracts.events import events
from pipeline.panel.calendar import month_range, shift
from pipeline.simulation.bond_terms import bond_terms
from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import simulate
from resources.extracts import ExtractStore

MAY, JUNE, JULY = date(2008, 5, 1), date(2008, 6, 1), date(2008, 7, 1)

ISSUE = {
    "issue_id": 1, "cusip": "03783310", "complete_cusip": "037833100", "isin": None, "issuer_id": 7,
    "issuer_cusip": "037833", "prospectus_issuer_name": "APPLE INC", "coupon": 5.0, "coupon_type": "F",
    "interest_frequency": "2", "dated_date": date(2005, 3, 1), "first_interest_date": date(2005, 9, 1),
    "offering_date": date(2005, 2, 20), "offering_amt": 300_000.0,
    "maturity": date(2015, 3, 1), "principal_amt": 1000.0,
    "day_count_basis": "30/360", "bond_type": "CDEB", "security_level": "SEN", "convertible": "N", "putable": "N",
    "redeemable": "Y", "exchangeable": "N", "asset_backed": "N", "rule_144a": "N", "private_placement": "N",
    "foreign_currency": "N", "perpetual": "N",
}  # fmt: skip
TYPES = {
    **dict.fromkeys(ISSUE, pl.String),
    **dict.fromkeys(("issue_id", "issuer_id"), pl.Int64),
    **dict.fromkeys(("coupon", "offering_amt", "principal_amt"), pl.Float64),
    **dict.fromkeys(("dated_date", "first_interest_date", "offering_date", "maturity"), pl.Date),
}


def fisd(*changes: dict) -> pl.DataFrame:
    rows = [{**ISSUE, **change} for change in changes]
    since = pl.coalesce("offering_date", "dated_date", pl.lit(date(1926, 1, 1))).dt.truncate("1mo")
    return pl.DataFrame(rows, schema=TYPES).select(since.alias("month"), pl.all())


def amounts(*rows: tuple) -> pl.DataFrame:
    """History from issue_id, day, amount and, where the rows have it, transaction_id."""
    schema = {
        "issue_id": pl.Int64, "effective_date": pl.Date, "amount_outstanding": pl.Float64, "transaction_id": pl.Int64,
    }  # fmt: skip
    frame = pl.DataFrame([(*row, None)[:4] for row in rows], schema=schema, orient="row")
    return frame.select(pl.col("effective_date").dt.truncate("1mo").alias("month"), pl.all(), action_type=pl.lit("X"))


def defaults(*rows: tuple[int, date, date | None]) -> pl.DataFrame:
    schema = {"issue_id": pl.Int64, "default_date": pl.Date, "reinstated_date": pl.Date}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return events(frame, ("issue_id", "default_date"), "default_date", "reinstated_date")


def one(issues: pl.DataFrame, month: date = JUNE, settings: IssueSettings | None = None, **tables) -> dict:
    found = build(issues, [month], settings, **tables)
    assert found.height == 1
    return found.row(0, named=True)


def build(issues: pl.DataFrame, months: list[date], settings: IssueSettings | None = None, **tables) -> pl.DataFrame:
    return bond_issues(
        issues,
        tables.get("issuers"),
        tables.get("defaults"),
        tables.get("ratings"),
        tables.get("amounts"),
        months,
        settings,
    )


def test_a_plain_bond_by_hand():
    issuers = pl.DataFrame({"month": [date(1926, 1, 1)], "issuer_id": [7], "industry_group": ["10"]})
    row = one(fisd({}), issuers=issuers)
    assert row == {
        "month": JUNE, "cusip": "03783310", "issue_id": 1, "isin": "US0378331005", "issuer_id": 7,
        "issuer_name": "APPLE INC", "offering_date": date(2005, 2, 20), "dated_date": date(2005, 3, 1),
        "first_interest_date": date(2005, 9, 1), "unlikely_first_interest": False, "maturity": date(2015, 3, 1),
        "coupon": 5.0, "coupon_type": "F",
        "interest_frequency": 2, "day_count": "30/360", "bond_type": "CDEB", "security_level": "SEN",
        "redeemable": True, "amount_outstanding": 300_000.0, "sp_rating": None, "moody_rating": None, "rating": None,
        "default_date": None, "industry_group": "10", "eligible": True, **dict.fromkeys(FILTERS, True),
        "issues_of_cusip": 1,
    }  # fmt: skip
    assert dict(build(fisd({}), [JUNE]).schema) == SCHEMA


@pytest.mark.parametrize(
    ("change", "filtered"),
    [
        ({"bond_type": "USTC"}, "corporate"),
        ({"bond_type": "ADEB"}, "corporate"),
        ({"bond_type": "fgov"}, "corporate"),
        ({"bond_type": None}, "corporate"),
        ({"foreign_currency": "Y"}, "us_dollar"),
        ({"foreign_currency": None}, "us_dollar"),
        ({"coupon_type": "V"}, "fixed_or_zero_coupon"),
        ({"coupon_type": None}, "fixed_or_zero_coupon"),
        ({"convertible": "Y"}, "not_convertible"),
        ({"exchangeable": "Y"}, "not_exchangeable"),
        ({"asset_backed": "Y"}, "not_asset_backed"),
        ({"putable": "Y"}, "not_putable"),
        ({"perpetual": "Y"}, "not_perpetual"),
        ({"interest_frequency": "13"}, "scheduled"),
        ({"interest_frequency": None}, "scheduled"),
        ({"coupon": None}, "scheduled"),
        ({"day_count_basis": None}, "scheduled"),
        ({"day_count_basis": "ACT/366"}, "scheduled"),
        ({"complete_cusip": "037833*00", "cusip": "037833*0"}, "identified"),
    ],
)
def test_each_filter_alone_leaves_a_bond_out(change, filtered):
    row = one(fisd(change))
    assert not row["eligible"]
    assert [name for name in FILTERS if not row[name]] == [filtered]


@pytest.mark.parametrize(("column", "value"), [("redeemable", "N"), ("rule_144a", "Y"), ("private_placement", "Y")])
def test_what_makes_no_difference(column, value):
    assert one(fisd({column: value}))["eligible"]


@pytest.mark.parametrize("kind", ["CMTN", "CMTZ", "CZ", "USBN", "RNT", "CPAS", "TPCS", "PS"])
def test_what_corporations_owe_stays(kind):
    assert one(fisd({"bond_type": kind}))["eligible"]


def test_the_types_left_out_are_a_setting():
    chosen = IssueSettings(excluded_bond_types=("cpas", "TPCS"))
    assert not one(fisd({"bond_type": "CPAS"}), settings=chosen)["eligible"]
    assert one(fisd({"bond_type": "USTC"}), settings=chosen)["eligible"]
    for wrong in ("USTC", ("",)):
        with pytest.raises(ValueError, match="excluded_bond_types"):
            IssueSettings(excluded_bond_types=wrong)


# Interest runs from 1 March 2005, paid twice a year: 14 months reach to 1 May 2006.
@pytest.mark.parametrize(
    ("change", "unlikely"),
    [
        ({"first_interest_date": date(2006, 5, 1)}, False),
        ({"first_interest_date": date(2006, 5, 2)}, True),
        ({"first_interest_date": date(2015, 3, 1)}, True),
        ({"first_interest_date": date(2015, 9, 1)}, True),
        ({"first_interest_date": date(2005, 3, 1)}, True),
        ({"first_interest_date": date(1900, 1, 1)}, True),
        ({"first_interest_date": None}, False),
        ({"first_interest_date": date(2007, 5, 1), "interest_frequency": "1"}, False),
        ({"first_interest_date": date(2007, 5, 2), "interest_frequency": "1"}, True),
        ({"first_interest_date": date(2005, 7, 2), "interest_frequency": "12"}, True),
        ({"first_interest_date": date(2006, 5, 21), "dated_date": None}, True),
        ({"first_interest_date": date(2015, 9, 1), "coupon": 0.0}, False),
        (
            {"first_interest_date": date(2009, 9, 1), "maturity": date(2009, 9, 1), "dated_date": date(2009, 3, 1)},
            False,
        ),
    ],
)  # fmt: skip
def test_a_day_of_the_first_coupon_that_can_not_be_right_counts_as_unknown(change, unlikely):
    found = build(fisd(change), [JUNE])
    row = found.row(0, named=True)
    published = change["first_interest_date"]
    assert row["unlikely_first_interest"] is unlikely
    assert row["first_interest_date"] == (None if unlikely else published)
    assert row["eligible"]
    assert issues_figures(found)["unlikely_first_interest"] == unlikely


def test_rule_144a_is_a_setting():
    assert not one(fisd({"rule_144a": "Y"}), settings=IssueSettings(rule_144a=False))["eligible"]
    assert one(fisd({"rule_144a": "N"}), settings=IssueSettings(rule_144a=False))["eligible"]


def test_settings_refuse_negative_years():
    with pytest.raises(ValueError, match="years_to_maturity"):
        IssueSettings(years_to_maturity=-1)


def test_zero_coupons():
    row = one(fisd({"coupon_type": "Z", "coupon": None, "interest_frequency": None, "day_count_basis": None}))
    assert (row["coupon"], row["interest_frequency"], row["day_count"], row["eligible"]) == (0.0, 0, "30/360", True)
    assert one(fisd({"coupon": 0.0}))["interest_frequency"] == 0


@pytest.mark.parametrize(
    ("maturity", "kept"), [(date(2009, 6, 30), True), (date(2009, 6, 29), False), (date(2009, 7, 1), True)]
)
def test_at_least_a_year_to_maturity_at_the_month_end(maturity, kept):
    assert one(fisd({"maturity": maturity}))["eligible"] is kept


def test_a_leap_year_ends_on_the_last_of_february():
    assert one(fisd({"maturity": date(2009, 2, 28)}), date(2008, 2, 1))["eligible"]


def test_rows_from_the_offering_to_maturity():
    issues = fisd({"maturity": date(2008, 6, 15)})
    months = month_range(date(2005, 1, 1), date(2008, 8, 1))
    assert build(issues, months)["month"].to_list() == month_range(date(2005, 2, 1), JUNE)


def test_a_bond_that_matures_on_the_first_day_of_a_month_has_a_row_in_it():
    assert build(fisd({"maturity": JUNE}), [JUNE, JULY])["month"].to_list() == [JUNE]


def test_undated_issues_count_from_their_dated_date_or_ever():
    assert one(fisd({"offering_date": None}), date(2005, 3, 1))["eligible"]
    row = one(fisd({"offering_date": None, "dated_date": None}), JUNE)
    assert not row["scheduled"]


def test_amounts_hold_from_their_day_and_of_one_day_the_smallest():
    history = amounts(
        (1, date(2008, 6, 20), 100.0), (1, date(2008, 6, 20), 80.0), (1, date(2008, 6, 2), 250.0), (1, JULY, None),
        (1, date(2008, 8, 30), 0.0), (1, date(2009, 1, 5), 40.0),
    )  # fmt: skip
    found = build(fisd({}), month_range(MAY, date(2009, 2, 1)), amounts=history)
    assert dict(zip(found["month"], found["amount_outstanding"], strict=True)) == {
        MAY: 300_000.0, JUNE: 80.0, JULY: 80.0, date(2008, 8, 1): 0.0, date(2009, 1, 1): 40.0, date(2009, 2, 1): 40.0,
    }  # fmt: skip
    assert dict(zip(found["month"], found["outstanding"], strict=True))[date(2008, 8, 1)] is False


@pytest.mark.parametrize("back", [False, True])
def test_of_one_day_the_amount_of_the_highest_transaction_holds(back):
    day = date(2008, 6, 2)
    rows = [(1, day, 300.0, 12), (1, day, 500.0, 13), (1, day, 100.0, None), (1, date(2008, 5, 2), 50.0, 99)]
    rows = rows[::-1] if back else rows
    assert one(fisd({}), amounts=amounts(*rows))["amount_outstanding"] == 500.0
    same = amounts(*((*row[:3], 12) for row in rows))
    assert one(fisd({}), amounts=same)["amount_outstanding"] == 100.0


def test_an_unknown_amount_is_not_zero():
    for unknown in (None, 0.0):
        row = one(fisd({"offering_amt": unknown}))
        assert row["amount_outstanding"] is None
        assert row["eligible"]


def test_defaults_hold_until_they_are_reinstated():
    table = defaults((1, date(2008, 5, 10), date(2008, 7, 31)), (1, date(2009, 1, 2), None), (2, MAY, None))
    found = build(fisd({}), month_range(date(2008, 4, 1), date(2009, 1, 1)), defaults=table)
    by_month = dict(zip(found["month"], found["default_date"], strict=True))
    assert by_month[date(2008, 4, 1)] is None
    assert by_month[MAY] == by_month[JUNE] == date(2008, 5, 10)
    assert by_month[JULY] is None
    assert by_month[date(2009, 1, 1)] == date(2009, 1, 2)
    assert found["eligible"].all()


def test_of_two_issues_with_one_cusip_the_first_offered_keeps_it():
    issues = fisd(
        {"issue_id": 3, "offering_date": date(2008, 6, 5), "coupon": 6.0},
        {"issue_id": 2},
        {"issue_id": 1, "offering_date": date(2006, 1, 1)},
    )
    found = build(issues, [MAY, JUNE])
    assert found["issue_id"].to_list() == [2, 2]
    assert found["issues_of_cusip"].to_list() == [2, 3]
    assert issues_figures(found.filter(pl.col("month") == JUNE))["duplicate_cusips"] == 2


def test_of_two_issues_with_one_isin_the_first_offered_keeps_it():
    issues = fisd(
        {"issue_id": 1, "isin": "US0000000001", "offering_date": date(2006, 1, 1)},
        {"issue_id": 2, "isin": "US0000000001", "cusip": "99999999", "offering_date": date(2005, 1, 1)},
    )
    found = build(issues, [JUNE])
    assert found.select("cusip", "isin", "eligible").rows() == [
        ("03783310", None, False), ("99999999", "US0000000001", True),
    ]  # fmt: skip


def test_issues_without_cusip_have_no_row():
    assert build(fisd({"cusip": None}), [JUNE]).height == 0
    assert build(fisd({}), []).height == 0


def test_figures():
    found = build(
        fisd({"cusip": "A0000000", "isin": "A"}, {"cusip": "B0000000", "isin": "B", "putable": "Y"},
             {"cusip": "C0000000", "isin": "C", "convertible": "Y", "putable": "Y"}),
        [JUNE],
    )  # fmt: skip
    figures = issues_figures(found)
    steps = {step["step"]: (step["rows_in"], step["rows_out"]) for step in figures["waterfall"]}
    assert list(steps) == [entry.meaning for entry in FILTERS.values()]
    assert steps["not convertible"] == (3, 2)
    assert steps["not putable"] == (2, 1)
    assert steps["at least a year to maturity"] == (1, 1)
    assert figures["eligible_amount"] == 300_000.0
    assert (figures["rated"], figures["in_default"], figures["duplicate_cusips"]) == (0, 0, 0)


@pytest.fixture(scope="module")
def history() -> dict[str, pl.DataFrame]:
    """A made-up FISD with everything that changes through time."""
    rng = np.random.default_rng(8)
    changes, owed, ratings, struck = [], {}, {}, []
    for issue in range(1, 61):
        offered = shift(date(2004, 1, 1), int(rng.integers(0, 60))).replace(day=int(rng.integers(1, 28)))
        changes.append(
            {
                "issue_id": issue, "cusip": f"{issue // 1.15:08.0f}", "isin": f"US{issue // 1.05:09.0f}0",
                "issuer_id": issue % 9, "offering_date": offered if issue % 7 else None, "dated_date": offered,
                "maturity": offered.replace(year=offered.year + int(rng.integers(2, 7))),
                "coupon_type": "FZV"[int(rng.choice(3, p=[0.8, 0.1, 0.1]))], "putable": "NY"[int(rng.random() < 0.1)],
            }
        )  # fmt: skip
        for _ in range(int(rng.integers(0, 4))):
            day = shift(date(2004, 1, 1), int(rng.integers(0, 70))).replace(day=int(rng.integers(1, 28)))
            owed[issue, day] = float(rng.choice([0.0, 1e5, 2e5], p=[0.1, 0.5, 0.4]))
            ratings[issue, "SPR" if rng.random() < 0.6 else "MR", day] = str(rng.choice(["A", "B", "C", "NR"]))
        if rng.random() < 0.3:
            day = shift(date(2005, 1, 1), int(rng.integers(0, 50))).replace(day=11)
            struck.append((issue, day, shift(day.replace(day=1), 5) if rng.random() < 0.5 else None))
    table = pl.DataFrame(
        [(*key, text) for key, text in ratings.items()],
        schema=["issue_id", "rating_type", "rating_date", "rating"],
        orient="row",
    )
    return {
        "issues": fisd(*changes),
        "issuers": pl.DataFrame({"issuer_id": list(range(8)), "industry_group": [str(k) for k in range(8)]}),
        "amounts": amounts(*((*key, value) for key, value in owed.items())),
        "defaults": defaults(*struck),
        "ratings": table.select(pl.col("rating_date").dt.truncate("1mo").alias("month"), pl.all()),
    }


def test_a_range_equals_its_months_and_later_rows_make_no_difference(history):
    months = month_range(date(2004, 6, 1), date(2010, 6, 1))
    together = build(history["issues"], months, **{k: v for k, v in history.items() if k != "issues"})
    assert together.height > 1500
    assert together["default_date"].count() > 50
    assert 0 < together["eligible"].sum() < together.height
    assert (together["issues_of_cusip"] > 1).any()
    for month in months[::4]:
        cut = {
            name: table.filter(pl.col("month") <= month).sample(fraction=1.0, shuffle=True, seed=1)
            for name, table in history.items()
            if name != "issuers"
        }
        alone = build(cut.pop("issues"), [month], issuers=history["issuers"], **cut)
        assert_frame_equal(together.filter(pl.col("month") == month), alone, check_exact=True)


def test_keys_are_unique(history):
    found = build(history["issues"], month_range(date(2004, 6, 1), date(2010, 6, 1)))
    assert not found.select("month", "cusip").is_duplicated().any()
    assert not found.filter(pl.col("isin").is_not_null()).select("month", "isin").is_duplicated().any()
    assert found["month"].is_sorted()


def test_the_simulated_market_has_the_universe_it_should(tmp_path):
    market = simulate("tiny", vendors=("fisd",))
    write_extracts(market.tables, tmp_path / "extracts")
    store = ExtractStore(tmp_path / "extracts", tmp_path / "staged")
    store.refresh()
    tables = {name.removeprefix("fisd.fisd_"): store.scan(name).collect() for name in market.tables}
    months = market.economy.clock.dates[market.economy.clock.first_snapshot :][::6]
    order = ("mergedissue", "mergedissuer", "issue_default", "ratings", "amt_out_hist")
    found = bond_issues(*(tables[name] for name in order), months)
    terms = bond_terms(market.economy)
    kind = dict(zip([cusip[:8] for cusip in terms.cusips], terms.kind.tolist(), strict=True))
    plain = pl.Series([kind.get(cusip) == "index" for cusip in found["cusip"]])
    governments = found.filter(pl.col("bond_type").is_in(["USTC", "ADEB"]))
    assert governments.height > 20
    assert (~governments["corporate"]).all()
    others = [name for name in FILTERS if name not in ("corporate", "years_to_maturity")]
    assert governments.select(pl.all_horizontal(others).all()).item()
    assert not found["unlikely_first_interest"].any()
    ends = found["month"].dt.month_end().dt.offset_by("1y")
    expected = plain & (found["maturity"] >= ends).fill_null(False) & (found["amount_outstanding"] > 0)
    assert found["eligible"].to_list() == expected.to_list()
    assert found["eligible"].sum() > 300
    assert (~plain).sum() > 20
    true = market.truth["bond_month_prices"].select("month", "cusip", amount="amount_outstanding")
    compared = found.join(true, on=["month", "cusip"]).filter(pl.col("amount").is_not_null())
    assert compared.height > 200
    assert compared["amount"].to_list() == compared["amount_outstanding"].to_list()
