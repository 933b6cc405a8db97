"""The numbers behind the charts of the firm panel, against pandas and by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.equity.registry import NAMES, SETS
from pipeline.report import firm_statistics, statistics
from pipeline.report.data import ReportData
from pipeline.report.numbers_firms import GROUPS, FirmNumbers

JANUARY, FEBRUARY = date(2020, 1, 1), date(2020, 2, 1)


def test_universe_against_pandas(firms: ReportData) -> None:
    ours = firm_statistics.universe(firms.panel("crsp_monthly")).to_pandas().set_index(["month", "name"])
    frame = firms.frame("crsp_monthly").to_pandas()
    frame = frame[frame["in_universe"]].replace({"exchange": {"N": "NYSE", "A": "AMEX", "Q": "NASDAQ"}})
    grouped = frame.groupby(["month", "exchange"])["me"]
    for key, stocks in grouped.size().items():
        assert ours.loc[key, "stocks"] == stocks
        assert ours.loc[key, "me"] == pytest.approx(grouped.sum()[key] / 1e6, rel=1e-12)
        assert ours.loc[key, "median"] == pytest.approx(grouped.median()[key], rel=1e-12)
    assert len(ours) == len(grouped)


def test_links_by_hand() -> None:
    crsp = pl.LazyFrame(
        {
            "month": [JANUARY] * 4 + [FEBRUARY] * 2,
            "permno": [1, 2, 3, 4, 1, 2],
            "me": [1.0, 3.0, None, 50.0, 1.0, 1.0],
            "in_universe": [True, True, True, False, True, True],
        }
    )
    links = pl.LazyFrame({"month": [JANUARY, JANUARY, JANUARY], "permno": [2, 3, 4]})
    assert firm_statistics.linked(crsp, links).rows() == [
        (JANUARY, "market equity", 0.75),
        (JANUARY, "stocks", pytest.approx(2 / 3)),
    ]


def test_waterfalls_by_hand() -> None:
    def step(name: str, rows_in: int, rows_out: int) -> dict[str, object]:
        return {"step": name, "rows_in": rows_in, "rows_out": rows_out}

    figures = {
        "a": {
            FEBRUARY: {"rows": 3, "waterfall": [step("x", 10, 8), step("y", 8, 3)]},
            JANUARY: {"rows": 2, "waterfall": [step("x", 20, 4), step("y", 4, 2)]},
            date(2020, 3, 1): {"rows": 0, "waterfall": [step("x", 0, 0), step("y", 0, 0)]},
        },
        "b": {JANUARY: {"rows": 5}},
        "c": {JANUARY: {"rows": 0, "waterfall": [step("z", 0, 0)]}},
    }
    steps = firm_statistics.waterfalls(figures)
    assert steps.filter(asset="a")["month"].is_sorted()
    assert firm_statistics.waterfall_totals(steps).rows() == [
        ("a", "x", "2020-02", 10, 8, 30, 12, pytest.approx(0.4)),
        ("a", "y", "2020-02", 8, 3, 12, 5, pytest.approx(5 / 12)),
        ("c", "z", None, None, None, 0, 0, None),
    ]
    left = firm_statistics.securities(steps, "a").filter(pl.col("month") < date(2020, 3, 1))
    assert left.rows() == [
        (JANUARY, "all securities", 20),
        (FEBRUARY, "all securities", 10),
        (JANUARY, "x", 4),
        (FEBRUARY, "x", 8),
        (JANUARY, "y", 2),
        (FEBRUARY, "y", 3),
    ]
    assert firm_statistics.waterfall_totals(firm_statistics.waterfalls({})).is_empty()


def test_delistings_by_hand() -> None:
    def month(reported: int, filled: int, missing: int) -> dict[str, int]:
        return {
            "delisting_return_reported": reported,
            "delisting_return_filled": filled,
            "delisting_return_missing": missing,
        }

    counted = firm_statistics.delistings(
        {date(2021, 5, 1): month(1, 0, 0), JANUARY: month(2, 1, 0), FEBRUARY: month(3, 0, 4), date(2019, 1, 1): {}}
    )
    held = {(year, name): stocks for year, name, stocks in counted.iter_rows()}
    assert held == {
        (2020, "return in the file"): 5,
        (2020, "filled by the profile"): 1,
        (2020, "neither"): 4,
        (2021, "return in the file"): 1,
        (2021, "filled by the profile"): 0,
        (2021, "neither"): 0,
    }


def test_coverage_by_set_against_pandas(firms: ReportData) -> None:
    missing = statistics.missing_shares(firms.panel("firm_characteristics"), NAMES)
    ours = firm_statistics.present_by_set(missing, SETS)
    frame = firms.frame("firm_characteristics").to_pandas().set_index("month")
    for label, names in SETS.items():
        expected = frame[list(names)].notna().groupby("month").mean().mean(axis=1)
        np.testing.assert_allclose(ours.filter(name=label)["present"].to_numpy(), expected.to_numpy(), rtol=1e-12)


def test_groups_hold_every_characteristic_once() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(NAMES)


def test_every_characteristic_in_figures(firms: ReportData) -> None:
    numbers = FirmNumbers(firms)
    table = numbers.characteristics
    assert table["name"].to_list() == list(NAMES)
    frame = firms.frame("firm_characteristics")
    row = table.row(by_predicate=pl.col("name") == "beme", named=True)
    assert row["present"] == pytest.approx(1 - frame["beme"].null_count() / frame.height)
    assert row["first"] == f"{frame['month'].min():%Y-%m}"
    value = numbers.summary.row(by_predicate=(pl.col("name") == "beme") & (pl.col("weighting") == "value"), named=True)
    equal = numbers.summary.row(by_predicate=(pl.col("name") == "beme") & (pl.col("weighting") == "equal"), named=True)
    assert (row["mean_value"], row["t_value"], row["sharpe"]) == (value["mean"], value["t"], value["sharpe"])
    assert (row["mean_equal"], row["t_equal"]) == (equal["mean"], equal["t"])
    near = numbers.sorts.persistence.filter(name="beme", lag=1)["correlation"].mean()
    assert row["near"] == pytest.approx(near)
    never = table.row(by_predicate=pl.col("name") == "gkx_sin", named=True)
    assert (never["present"], never["first"], never["near"], never["mean_value"]) == (0.0, None, None, None)
