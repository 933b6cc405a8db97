"""Factors built from the panel against slow sorts written out here, and comparisons by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pipeline.panel.calendar import shift
from pipeline.report import replication
from pipeline.report.data import ReportData

JANUARY, FEBRUARY, MARCH = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)


def test_market_return_against_a_loop(firms: ReportData) -> None:
    ours = dict(replication.market_return(firms.panel("crsp_monthly"), "shumway30").select("month", "ret").iter_rows())
    crsp = {month: part for (month,), part in firms.frame("crsp_monthly").group_by("month")}
    assert set(ours) == {month for month in crsp if shift(month, -1) in crsp}
    gone = 0
    for month, found in ours.items():
        rows = {row["permno"]: row for row in crsp[month].iter_rows(named=True)}
        total = weight = 0.0
        for before in crsp[shift(month, -1)].iter_rows(named=True):
            row = rows.get(before["permno"])
            if row is None:
                continue
            ret = row["ret"]
            if row["delisted"]:
                further = row["dlret"] if row["dlret"] is not None else -0.3
                ret = further if ret is None else (1 + ret) * (1 + further) - 1
                gone += 1
            if ret is not None:
                total += ret * before["me"]
                weight += before["me"]
        assert found == pytest.approx(total / weight, rel=1e-12)
    assert gone > 5


def test_universe_return_against_numpy(firms: ReportData) -> None:
    ours = dict(replication.universe_return(firms.panel("stock_returns")).select("month", "ret").iter_rows())
    for (month,), part in firms.frame("stock_returns").group_by("month"):
        assert ours[month] == pytest.approx(np.average(part["ret"], weights=part["me_start"]), rel=1e-12)


def test_size_value_factors_against_a_loop(firms: ReportData) -> None:
    frames = [firms.panel(name) for name in ("crsp_monthly", "firm_characteristics", "stock_returns")]
    found = replication.size_value_factors(*frames).to_pandas().set_index(["month", "name"])["ret"]
    crsp, characteristics, returns = (frame.collect().to_pandas() for frame in frames)
    checked = 0
    for stamp, held in returns.groupby("month"):
        june = pd.Timestamp(stamp.year - (stamp.month <= 6), 6, 1)
        stocks = crsp[crsp["month"] == june].merge(
            characteristics[characteristics["month"] == june][["permno", "beme"]]
        )
        stocks = stocks[stocks["beme"] > 0]
        nyse = stocks[stocks["exchange"] == "N"]
        if nyse.empty:
            continue
        low, high = np.quantile(nyse["beme"], [0.3, 0.7])
        big = stocks["me"] > np.median(nyse["me"])
        means = {}
        for size, inside in (("small", ~big), ("big", big)):
            for value, chosen in (
                ("low", stocks["beme"] <= low),
                ("middle", (stocks["beme"] > low) & (stocks["beme"] <= high)),
                ("high", stocks["beme"] > high),
            ):
                part = held[held["permno"].isin(stocks["permno"][inside & chosen])]
                if len(part):
                    means[size, value] = np.average(part["ret"], weights=part["me_start"])
        if len(means) < 6:
            assert (stamp, "SMB") not in found.index
            continue
        smb = np.mean([means[key] for key in means if key[0] == "small"]) - np.mean(
            [means[key] for key in means if key[0] == "big"]
        )
        hml = (means["small", "high"] + means["big", "high"] - means["small", "low"] - means["big", "low"]) / 2
        assert found[stamp, "SMB"] == pytest.approx(smb, rel=1e-9)
        assert found[stamp, "HML"] == pytest.approx(hml, rel=1e-9)
        checked += 1
    assert checked > 20
    assert len(found) == 2 * checked


def test_comparison_by_hand() -> None:
    own = pl.DataFrame(
        {"month": [JANUARY, FEBRUARY, MARCH] * 2, "name": ["SMB"] * 3 + ["HML"] * 3, "ret": [0.01, 0.02, 0.03] * 2}
    )
    french = pl.DataFrame({"month": [FEBRUARY, MARCH], "mkt": [None, 0.1], "smb": [0.03, 0.05], "hml": [None, 0.03]})
    others = replication.published(french.cast({"mkt": pl.Float64, "hml": pl.Float64}), None)
    assert replication.compare(own, others).rows() == [
        ("SMB", "2020-02", "2020-03", 2, 0.025, 0.04, pytest.approx(1.0), pytest.approx(0.015), pytest.approx(0.02))
    ]
    index = pl.DataFrame({"month": [JANUARY], "vwretd": [0.5]})
    assert replication.published(None, index).rows() == [(JANUARY, "all securities", 0.5)]
    assert replication.published(None, None).is_empty()


def test_true_returns_by_hand() -> None:
    own = pl.LazyFrame({"month": [FEBRUARY] * 4, "permno": [1, 2, 3, 9], "ret": [0.1, 0.2, -0.30, 0.0]})
    truth = pl.LazyFrame(
        {
            "month": [JANUARY] + [FEBRUARY] * 6,
            "permno": [1, 1, 2, 3, 4, 5, 6],
            "ret": [0.9, 0.1, 0.25, -0.30, 0.4, None, 0.6],
            "ret_osap": [0.9, 0.1, 0.25, -0.55, 0.4, None, 0.6],
            "universe_start": [True] * 6 + [False],
        }
    )
    found = replication.true_returns(own, truth, "shumway30")
    assert found == {"true": 4, "right": 2, "absent": 1, "extra": 1, "largest": pytest.approx(0.05)}
    assert replication.true_returns(own, truth, "osap35_55")["largest"] == pytest.approx(0.25)


def test_traps_by_hand() -> None:
    planted = pl.LazyFrame(
        {
            "trap": ["coded"] * 4 + ["price"] * 3 + ["other"],
            "permno": [1, 2, 3, 1, 1, 2, 3, 1],
            "month": [FEBRUARY, FEBRUARY, FEBRUARY, MARCH, FEBRUARY, FEBRUARY, FEBRUARY, FEBRUARY],
            "column": ["ret"] * 4 + ["prc"] * 3 + ["shrout"],
            "value": [None, 0.5, 0.1, 0.2, 3.0, 4.0, None, 1.0],
        }
    )
    returns = pl.LazyFrame({"month": [FEBRUARY], "permno": [2], "ret": [0.5]})
    prices = pl.LazyFrame({"month": [FEBRUARY] * 3, "permno": [1, 2, 3], "prc": [3.0 + 1e-7, 5.0, None]})
    universe = pl.LazyFrame({"month": [FEBRUARY, FEBRUARY, MARCH], "permno": [1, 2, 1]})
    found = replication.traps({"ret": returns, "prc": prices}, planted, universe)
    assert found.rows() == [("coded", "ret", 4, 2, 2), ("price", "prc", 3, 3, 2)]
