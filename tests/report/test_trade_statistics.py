"""The numbers of the page of bonds from trades, against pandas, plain loops and by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from pipeline.bonds.portfolios import BOND_SORTS, PORTFOLIOS
from pipeline.bonds.portfolios import SCHEMA as PORTFOLIO_SCHEMA
from pipeline.bonds.snapshot import INDEX_RATINGS
from pipeline.report import portfolio_statistics, trade_statistics, trade_truth
from pipeline.report.data import ReportData
from pipeline.report.trade_statistics import MATURITIES, NO_MATURITY, RATING_CLASSES, UNRATED

JANUARY, FEBRUARY, MARCH = date(2012, 1, 1), date(2012, 2, 1), date(2012, 3, 1)
REGIME = date(2012, 2, 6)


def _month(*counts: int) -> dict[str, object]:
    names = ("one row a report", "large enough")
    steps = [
        {"step": name, "rows_in": before, "rows_out": after}
        for name, before, after in zip(names, counts, counts[1:], strict=False)
    ]
    return {"waterfall": steps, "late_reports": 4, "days_changed": 2, "decimal_shifts": 1}


def test_cleaning_by_hand() -> None:
    figures = {MARCH: _month(50, 50, 40), JANUARY: _month(100, 90, 60), FEBRUARY: _month(50, 45, 45)}
    steps = trade_statistics.cleaning(figures, REGIME)
    assert steps.select("era", "step", "rows_in", "rows_out", "share").rows() == [
        ("before February 2012", "one row a report", 100, 90, pytest.approx(0.1)),
        ("before February 2012", "large enough", 90, 60, pytest.approx(0.3)),
        ("since February 2012", "one row a report", 100, 95, pytest.approx(0.05)),
        ("since February 2012", "large enough", 95, 85, pytest.approx(0.1)),
    ]
    assert steps["drops"].null_count() == 0
    beside = trade_statistics.cleaning_by_era(steps, REGIME)
    assert beside.drop("drops", "source").rows() == [
        (0, "one row a report", 100, 10, pytest.approx(0.1), 100, 5, pytest.approx(0.05)),
        (1, "large enough", 90, 30, pytest.approx(0.3), 95, 10, pytest.approx(0.1)),
    ]
    monthly = trade_statistics.reports_by_month(figures)
    assert monthly.rows()[0] == (JANUARY, 100, 60, 4, 2, 1)
    assert monthly["month"].is_sorted()


def test_a_regime_without_months_has_no_counts() -> None:
    steps = trade_statistics.cleaning({MARCH: _month(0, 0, 0)}, REGIME)
    assert steps["share"].to_list() == [None, None]
    assert trade_statistics.cleaning_by_era(steps, REGIME)["old_in"].to_list() == [None, None]


def test_nothing_counted_is_empty() -> None:
    assert trade_statistics.cleaning({}, REGIME).is_empty()
    assert trade_statistics.cleaning_by_era(trade_statistics.cleaning({}, REGIME), REGIME).is_empty()
    assert trade_statistics.reports_by_month({JANUARY: {"rows": 0}}).is_empty()
    assert trade_statistics.priced_by_source({JANUARY: {"rows": 0}}, ("trace",)).is_empty()
    assert trade_statistics.match_shares({}).is_empty()
    assert trade_statistics.match_outcomes({JANUARY: {"rows": 0}}).is_empty()


def test_coverage_against_pandas(trades: ReportData) -> None:
    snapshot, returns = (trades.panel(name) for name in ("bond_snapshot", "bond_returns"))
    found = trade_statistics.coverage(snapshot, returns, trades.figures["bond_issues"])
    ours = found.to_pandas().set_index(["kind", "month"])
    held = trades.frame("bond_snapshot").to_pandas()
    for month, part in held.groupby("month"):
        assert ours.loc[("with a price", month), "bonds"] == len(part)
        assert ours.loc[("with a price", month), "amount"] == pytest.approx(part["face_value"].sum() / 1e6)
    face = {(row.month.to_period("M"), row.isin): row.face_value for row in held.itertuples()}
    for month, part in trades.frame("bond_returns").to_pandas().groupby("month"):
        start = month.to_period("M") - 1
        amount = sum(face[(start, isin)] for isin in part["isin"])
        assert ours.loc[("with a return", month), "amount"] == pytest.approx(amount / 1e6)
    assert found.filter(kind="eligible")["month"].min() == held["month"].min().date()
    assert found["kind"].unique(maintain_order=True).to_list() == ["eligible", "with a price", "with a return"]


def test_coverage_without_issues_or_snapshot(trades: ReportData) -> None:
    returns = trades.panel("bond_returns")
    found = trade_statistics.coverage(None, returns, {})
    assert set(found["kind"]) == {"with a return"}
    assert found["bonds"].sum() == returns.collect().height


def test_sources_are_dense_and_in_order(trades: ReportData) -> None:
    found = trade_statistics.returns_by_source(trades.panel("bond_returns"), ("lehman", "trace", "mergent"))
    months = trades.frame("bond_returns")["month"].n_unique()
    assert found["name"].unique(maintain_order=True).to_list() == ["lehman", "trace"]
    assert found.group_by("name").len()["len"].to_list() == [months, months]
    counted = trades.frame("bond_returns").group_by("source").len()
    assert dict(found.group_by("name").agg(pl.col("bonds").sum()).iter_rows()) == dict(counted.iter_rows())
    figures = {FEBRUARY: {"sources": {"trace": 3, "mergent": 0}}, JANUARY: {"sources": {"lehman": 2, "trace": 0}}}
    assert trade_statistics.priced_by_source(figures, ("lehman", "trace", "mergent")).rows() == [
        (JANUARY, "lehman", 2), (FEBRUARY, "lehman", 0), (JANUARY, "trace", 0), (FEBRUARY, "trace", 3),
    ]  # fmt: skip


def test_every_letter_is_in_its_class() -> None:
    frame = pl.DataFrame({"letter": list(INDEX_RATINGS), "rating": list(INDEX_RATINGS.values())})
    named = dict(frame.select("letter", trade_statistics.rating_class().alias("name")).iter_rows())
    for letter, name in named.items():
        grade = letter.rstrip("123+-")
        expected = {"AAA": "AAA to AA", "AA": "AAA to AA", "BAA": "BBB", "BA": "BB"}.get(grade, grade)
        assert name == (expected if expected in RATING_CLASSES else "CCC and below")
    assert pl.select(rating=pl.lit(None, pl.Float64)).select(trade_statistics.rating_class()).item() == UNRATED


def test_maturities_by_hand() -> None:
    rows = {
        date(2013, 1, 1): "under 3 years", date(2015, 1, 30): "under 3 years", date(2015, 2, 1): "3 to 5",
        date(2018, 1, 1): "5 to 7", date(2019, 6, 1): "7 to 10", date(2031, 12, 31): "10 to 20",
        date(2032, 2, 1): "20 and more", date(2111, 1, 1): "20 and more", None: NO_MATURITY,
    }  # fmt: skip
    frame = pl.DataFrame({"month": [JANUARY] * len(rows), "maturity": list(rows)})
    assert frame.select(trade_statistics.maturity_bucket()).to_series().to_list() == list(rows.values())


def test_composition_against_loops(trades: ReportData) -> None:
    order = (*RATING_CLASSES, UNRATED)
    found = trade_statistics.composition(trades.panel("bond_snapshot"), trade_statistics.rating_class(), order)
    sums: dict[date, dict[str, float]] = {}
    for row in trades.frame("bond_snapshot").iter_rows(named=True):
        worst = row["rating"]
        name = UNRATED if worst is None else next(name for name, end in RATING_CLASSES.items() if worst <= end)
        month = sums.setdefault(row["month"], dict.fromkeys(order, 0.0))
        month[name] += row["face_value"]
    for month, name, share in found.iter_rows():
        assert share == pytest.approx(sums[month][name] / sum(sums[month].values()))
    assert found.height == len(sums) * len(order)
    assert found["name"].unique(maintain_order=True).to_list() == list(order)
    nothing = trades.panel("bond_snapshot").with_columns(face_value=pl.lit(None, pl.Float64))
    assert trade_statistics.composition(nothing, trade_statistics.maturity_bucket(), tuple(MATURITIES)).is_empty()


def test_spreads_by_rating_need_bonds() -> None:
    spreads = [10.0, 20.0, 30.0, 40.0, 50.0, None, 7.0]
    ratings = [1.0, 2.0, 3.0, 4.0, 4.0, 4.0, None]
    frame = pl.LazyFrame({"month": [JANUARY] * 7, "rating": ratings, "spread": spreads})
    assert trade_statistics.spread_by_rating(frame).rows() == [(JANUARY, "AAA to AA", 30.0), (JANUARY, UNRATED, None)]


def test_matches_by_hand(trades: ReportData) -> None:
    figures = trades.figures["bond_issuer_link"]
    link = trades.frame("bond_issuer_link")
    shares = trade_statistics.match_shares(figures)
    matched = link.filter(pl.col("reason").is_null()).height / link.height
    assert shares.filter(name="bonds")["share"].to_list() == pytest.approx([matched] * len(figures))
    outcomes = {row["outcome"]: row for row in trade_statistics.match_outcomes(figures).iter_rows(named=True)}
    for reason, count in link.filter(pl.col("reason").is_not_null()).group_by("reason").len().iter_rows():
        assert outcomes[reason]["all"] == count
        assert outcomes[reason]["newest"] == count / len(figures)
    assert sum(row["all"] for row in outcomes.values()) == link.height
    assert sum(row["all_share"] for row in outcomes.values()) == pytest.approx(1.0)


def test_nearest_rejected_by_hand() -> None:
    rows = [
        (JANUARY, "A CO", "A", 0.95, True, False, "ambiguous", 1),
        (FEBRUARY, "A CO", "A", 0.95, True, False, "ambiguous", 2),
        (JANUARY, "B CO", "B", 0.88, False, False, "below similarity", 3),
        (JANUARY, "C CO", "C", 0.91, True, True, None, 1),
        (JANUARY, "D CO", "D", None, None, False, "not listed", 1),
        (JANUARY, "E CO", "E", 1.0, True, False, "a reason of nobody", 1),
    ]
    columns = ["month", "issuer_name", "name", "similarity", "in_force", "accepted", "rejection", "n_bonds"]
    frame = pl.LazyFrame(rows, schema=columns, orient="row")
    found = trade_statistics.nearest_rejected(frame, 0.9)
    assert found.select("name", "month", "n_bonds").rows() == [("B", JANUARY, 3), ("A", FEBRUARY, 2), ("E", JANUARY, 1)]
    assert found["meaning"].to_list()[2] is None
    assert trade_statistics.nearest_rejected(frame, 0.9, most=1).height == 1
    assert trade_statistics.nearest_rejected(frame.filter("accepted"), 0.9).is_empty()


def test_published_portfolios_are_the_forty() -> None:
    table = portfolio_statistics.published()
    assert sorted(table["portfolio"]) == sorted(PORTFOLIOS)
    assert (table["p25"] < table["median"]).all()
    assert (table["median"] < table["p75"]).all()
    assert table.filter(portfolio="spread_10").row(0)[1:] == (1.043, 3.751, -0.118, 2.4)


def test_portfolio_summary_against_pandas(trades: ReportData) -> None:
    found = portfolio_statistics.portfolio_summary(trades.panel("bond_portfolios"))
    assert found["portfolio"].to_list() == list(PORTFOLIOS)
    frame = trades.frame("bond_portfolios").to_pandas()
    for row in found.iter_rows(named=True):
        ret = 100 * frame.loc[frame["portfolio"] == row["portfolio"], "ret"]
        own = (ret.median(), ret.std(), ret.quantile(0.25), ret.quantile(0.75))
        assert [row[name] for name in portfolio_statistics.MOMENTS] == pytest.approx(own, rel=1e-12)
    assert found.filter(portfolio="hkm_3")["std_published"].item() == 1.867


def test_means_and_spreads_against_statsmodels(trades: ReportData) -> None:
    frame = trades.frame("bond_portfolios").with_columns(
        pl.when((pl.col("month") == JANUARY) & (pl.col("portfolio") == "rating_1")).then(None).otherwise(
            pl.col("ret")
        ).alias("ret")
    )  # fmt: skip
    spreads = portfolio_statistics.high_minus_low(frame)
    assert spreads["sort"].to_list() == [sort.name for sort in BOND_SORTS]
    months = frame["month"].n_unique()
    wide = frame.to_pandas().pivot(index="month", columns="portfolio", values="ret")
    for row in spreads.iter_rows(named=True):
        last = {sort.name: sort.portfolios[-1] for sort in BOND_SORTS}[row["sort"]]
        series = (wide[last] - wide[f"{row['sort']}_1"]).dropna()
        lags = int(4 * (len(series) / 100) ** (2 / 9))
        fit = sm.OLS(series.to_numpy(), np.ones(len(series))).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
        assert row["months"] == len(series) == months - (row["sort"] == "rating")
        assert (row["mean"], row["t"]) == pytest.approx((fit.params[0], fit.tvalues[0]), rel=1e-9)
        assert (row["low"], row["high"]) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-9)
    means = portfolio_statistics.mean_returns(frame)
    assert means.height == len(PORTFOLIOS)
    own = frame.filter(portfolio="spread_7")["ret_excess"].mean()
    assert means.filter(sort="spread", bin=7)["mean"].item() == pytest.approx(own, rel=1e-12)


def test_young_and_empty_portfolios_have_no_means(trades: ReportData) -> None:
    young = trades.frame("bond_portfolios").filter(pl.col("month") <= FEBRUARY)
    empty = pl.DataFrame(schema=PORTFOLIO_SCHEMA)
    for frame in (young, empty):
        assert portfolio_statistics.mean_returns(frame).is_empty()
        assert portfolio_statistics.high_minus_low(frame).is_empty()
    assert portfolio_statistics.portfolio_summary(empty.lazy()).is_empty()
    nulls = young.with_columns(ret=pl.lit(None, pl.Float64), n=pl.lit(0, pl.Int64))
    found = portfolio_statistics.portfolio_summary(nulls.lazy())
    assert set(found["months"]) == {0}
    assert found["median"].null_count() == len(PORTFOLIOS)


def _days(trades: ReportData) -> list[pl.LazyFrame]:
    return [
        trades.panel(name) for name in ("trace_daily", "truth.bond_days", "truth.trace_planted", "truth.trace_trades")
    ]


def test_a_day_with_a_trade_too_many_is_not_right(trades: ReportData) -> None:
    found = {row["kind"]: row for row in trade_truth.days_by_kind(*_days(trades)).iter_rows(named=True)}
    days = trades.table("truth.bond_days").height
    assert found["all days with a trade"]["days"] == days
    assert found["all days with a trade"]["planted"] == 2 * days
    assert found["all days with a trade"]["right"] == found["all days with a trade"]["right_finally"] == days - 1
    assert found["cancelled"]["planted"] == found["cancelled"]["days"] == 48
    assert found["cancelled"]["right"] == 47
    assert found["below the smallest volume"]["days"] == days / 2


def test_days_that_should_not_be_there_and_days_that_are_not() -> None:
    values = {"price": 100.0, "volume": 1e4, "trades": 1}
    on = {"kept": date(2012, 1, 3), "late": date(2012, 1, 4), "lost": date(2012, 1, 5), "extra": date(2012, 1, 6),
          "none": date(2012, 1, 9), "open": date(2012, 1, 10)}  # fmt: skip
    blank = dict.fromkeys(values)

    def own(month: date, day: str, first: dict, corrected: dict) -> dict:
        return {
            "month": month,
            "cusip": "A",
            "date": on[day],
            **first,
            **{f"{k}_corrected": v for k, v in corrected.items()},
        }

    def true(day: str, once: dict, end: dict) -> dict:
        return {"cusip": "A", "date": on[day], **once, **{f"{name}_finally": value for name, value in end.items()}}

    daily = pl.LazyFrame(
        [own(JANUARY, "kept", values, values), own(FEBRUARY, "kept", values, blank),
         own(FEBRUARY, "late", blank, values), own(JANUARY, "extra", values, values),
         own(JANUARY, "open", values, values)],
        schema_overrides=dict.fromkeys(("price", "volume"), pl.Float64),
    )  # fmt: skip
    days = pl.LazyFrame(
        [true("kept", values, blank), true("late", blank, values), true("lost", values, values),
         true("open", values, blank)]
    )  # fmt: skip
    trades = pl.LazyFrame(
        [("A", each, None, JANUARY, MARCH if name == "open" else None) for name, each in on.items() if name != "extra"],
        schema={"cusip": pl.String, "date": pl.Date, "screened": pl.String, "report_month": pl.Date,
                "event_month": pl.Date},
        orient="row",
    )  # fmt: skip
    planted = pl.LazyFrame(
        [(name, "A", each, "?") for name, each in on.items()], schema=["kind", "cusip", "date", "outcome"], orient="row"
    )
    found = {row["kind"]: row for row in trade_truth.days_by_kind(daily, days, planted, trades).iter_rows(named=True)}
    right = {name: (row["right"], row["right_finally"]) for name, row in found.items()}
    assert right == {
        "all days with a trade": (3, 3), "kept": (1, 1), "late": (1, 1), "lost": (0, 0), "extra": (0, 0),
        "none": (1, 1),
    }  # fmt: skip


def test_returns_beside_the_truth_against_pandas(trades: ReportData) -> None:
    names = ("bond_returns", "bond_snapshot", "truth.bond_month_prices")
    found = trade_truth.returns_beside_truth(*(trades.panel(name) for name in names))
    assert found["source"].to_list() == ["lehman", "trace", "all"]
    own = trades.frame("bond_returns").to_pandas()
    own["cusip"] = own["isin"].str[2:10]
    both = own.merge(trades.frame("truth.bond_month_prices").to_pandas(), on=["month", "cusip"], suffixes=("", "_true"))
    assert found.filter(source="all")["bond_months"].item() == len(both)
    for row in found.head(2).iter_rows(named=True):
        part = both[both["source"] == row["source"]]
        assert row["correlation"] == pytest.approx(part["ret"].corr(part["ret_true"]))
        assert row["difference"] == pytest.approx((part["ret"] - part["ret_true"]).mean())
        assert row["largest"] == pytest.approx((part["ret"] - part["ret_true"]).abs().max())
    apart = trades.panel("truth.bond_month_prices").with_columns(cusip=pl.lit("elsewher"))
    assert trade_truth.returns_beside_truth(trades.panel(names[0]), trades.panel(names[1]), apart).is_empty()


def test_precision_and_recall_against_loops(trades: ReportData) -> None:
    link, truth = trades.table("bond_issuer_link"), trades.table("truth.bond_issuers")
    found = {row["kind"]: row for row in trade_truth.issuer_match(link.lazy(), truth.lazy()).iter_rows(named=True)}
    true = {row["cusip"]: row for row in truth.iter_rows(named=True)}
    matched = right = findable = reached = 0
    for row in link.iter_rows(named=True):
        same = row["permco"] is not None and row["permco"] == true[row["cusip"]]["permco"]
        matched += row["permco"] is not None
        right += same
        findable += true[row["cusip"]]["matchable"]
        reached += true[row["cusip"]]["matchable"] and same
    assert found["all"]["precision"] == pytest.approx(right / matched)
    assert found["all"]["recall"] == pytest.approx(reached / findable)
    assert 0 < found["all"]["recall"] < 1
    assert found["private"]["precision"] is None
    assert found["private"]["recall"] is None


def test_bonds_that_rightly_have_no_match() -> None:
    link = pl.LazyFrame(
        {
            "month": [JANUARY, FEBRUARY, JANUARY, JANUARY],
            "cusip": ["A", "A", "B", "C"],
            "permco": [1, None, None, None],
            "reason": [None, "not listed", "no accounts", "below similarity"],
        }
    )
    truth = pl.LazyFrame(
        {
            "cusip": ["A", "B", "C"],
            "permco": [1, 2, 3],
            "kind": ["same"] * 3,
            "matchable": [True] * 3,
            "delisted": [FEBRUARY, None, None],
        }
    )
    whole = trade_truth.issuer_match(link, truth).row(-1, named=True)
    assert (whole["findable"], whole["found"], whole["precision"], whole["recall"]) == (2, 1, 1.0, 0.5)
    assert trade_truth.issuer_match(link, truth.filter(pl.col("cusip") == "Z")).is_empty()
