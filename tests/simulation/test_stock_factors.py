"""Sorted portfolios: against slow loops, and SMB and HML once more from the files of CRSP, CCM and Compustat."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from pipeline.simulation.market import Market
from pipeline.simulation.stock_factors import last_fiscal_year, long_short


def test_long_short_against_a_slow_loop() -> None:
    rng = np.random.default_rng(1)
    months, stocks = 30, 60
    value, cap = rng.standard_normal((months, stocks)), np.exp(rng.standard_normal((months, stocks)))
    value[:, 0], cap[3, 5], nyse = np.nan, np.nan, rng.random((months, stocks)) < 0.5
    ret, formation = 0.1 * rng.standard_normal((months, stocks)), np.arange(months) % 6 == 0
    ret[9, 4] = np.nan
    sort = long_short(value, cap, ret, nyse, formation)
    for t in range(1, months):
        formed = max(s for s in range(t) if formation[s])
        breaks = nyse[formed] & ~np.isnan(value[formed])
        low, high = np.quantile(value[formed][breaks], [0.3, 0.7])
        middle = np.median(cap[formed][breaks])
        held = ~np.isnan(cap[t - 1]) & ~np.isnan(ret[t])
        means = {}
        for big in (False, True):
            for third, inside in (
                ("low", value[formed] <= low),
                ("mid", (value[formed] > low) & (value[formed] <= high)),
                ("high", value[formed] > high),
            ):
                chosen = inside & ((cap[formed] > middle) == big) & held
                means[big, third] = np.average(ret[t, chosen], weights=cap[t - 1, chosen])
        spread = (means[False, "high"] + means[True, "high"] - means[False, "low"] - means[True, "low"]) / 2
        assert sort.high_low[t] == pytest.approx(spread, abs=1e-14)
        small, large = (np.mean([means[big, third] for third in ("low", "mid", "high")]) for big in (False, True))
        assert sort.small_big[t] == pytest.approx(small - large, abs=1e-14)
    assert np.isnan(sort.high_low[0])


def test_fiscal_years_are_used_from_june(tiny: Market) -> None:
    clock = tiny.economy.clock
    values = np.arange(clock.n)[:, None] + np.array([0.0, 1000.0, 2000.0])
    ends = np.zeros(values.shape, bool)
    month = clock.months.astype(int) % 12 + 1
    ends[month == 12, 0] = ends[month == 6, 1] = True
    ends[:24] = False
    used = last_fiscal_year(values, ends, clock)
    for t, day in enumerate(clock.dates):
        year = day.year - 1 if day.month >= 6 else day.year - 2
        inside = [i for i, other in enumerate(clock.dates) if other.year == year]
        for firm in (0, 1):
            candidates = [i for i in inside if ends[i, firm]]
            started = year >= clock.dates[0].year + 2
            expected = values[candidates[-1], firm] if candidates else np.nan if started else values[0, firm]
            assert used[t, firm] == expected or (np.isnan(used[t, firm]) and np.isnan(expected))


def _book_equity(market: Market) -> dict[tuple[str, int], float]:
    """Fama and French's book equity by gvkey and calendar year of the fiscal year end, from the items."""
    rows = market.tables["comp.funda"].filter(
        pl.col("indfmt") == "INDL", pl.col("datafmt") == "STD", pl.col("consol") == "C", pl.col("popsrc") == "D",
        pl.col("curcd") == "USD",
    )  # fmt: skip
    found = {}
    for row in rows.sort("gvkey", "datadate").iter_rows(named=True):
        equity = row["seq"]
        if equity is None and row["ceq"] is not None and row["pstk"] is not None:
            equity = row["ceq"] + row["pstk"]
        if equity is None and row["at"] is not None and row["lt"] is not None:
            equity = row["at"] - row["lt"]
        preferred = next((row[name] for name in ("pstkrv", "pstkl", "pstk") if row[name] is not None), 0.0)
        if equity is not None:
            found[row["gvkey"], row["datadate"].year] = equity + (row["txditc"] or 0.0) - preferred
    return found


def test_smb_and_hml_come_back_from_the_files(demo: Market) -> None:
    book = _book_equity(demo)
    links = {(m, p): g for m, p, g in demo.truth["firm_links"].select("month", "permno", "gvkey").iter_rows()}
    stocks = demo.stocks.drop_nulls("marketcap")
    returns = {(m, p): r for m, p, r in demo.truth["stock_returns"].select("month", "permno", "ret").iter_rows()}
    names = demo.tables["crsp.msenames"].filter(pl.col("exchcd") == 1)
    caps, company, universe = {}, defaultdict(float), defaultdict(set)
    for m, permno, permco, cap, inside in stocks.select(
        "month", "permno", "permco", "marketcap", "universe"
    ).iter_rows():
        caps[m, permno] = cap
        company[m, permco] += cap
        if inside:
            universe[m].add((permno, permco))
    published = demo.tables["french/F-F_Research_Data_Factors"]
    months = [month for month in demo.economy.clock.dates if month.year >= demo.economy.clock.dates[0].year + 4]
    groups: dict[int, tuple[bool, int]] = {}
    mine = []
    for before, month in pairwise(months):
        if before.month == 6:
            ratios = {}
            for permno, permco in universe[before]:
                december = company.get((before.replace(year=before.year - 1, month=12), permco))
                equity = book.get((links.get((before, permno), ""), before.year - 1), np.nan)
                if (before.replace(year=before.year - 1, month=12), permno) in caps and equity > 0:
                    ratios[permno] = equity / december
            # As listed on the day: with few stocks a breakpoint moves with every one that has changed exchanges.
            last_day = month - timedelta(days=1)
            nyse = set(names.filter(pl.lit(last_day).is_between("namedt", "nameendt"))["permno"])
            breaks = [permno for permno in ratios if permno in nyse]
            low, high = np.quantile([ratios[p] for p in breaks], [0.3, 0.7])
            middle = np.median([caps[before, p] for p in breaks])
            groups = {
                p: (bool(caps[before, p] > middle), int(ratio > low) + int(ratio > high)) for p, ratio in ratios.items()
            }
        if groups:
            sums = {(big, third): [0.0, 0.0] for big in (False, True) for third in range(3)}
            for permno, group in groups.items():
                weight, ret = caps.get((before, permno)), returns.get((month, permno))
                if weight is not None and ret is not None:
                    sums[group][0] += weight
                    sums[group][1] += weight * ret
            r = {group: total / weight for group, (weight, total) in sums.items()}
            hml = (r[False, 2] + r[True, 2] - r[False, 0] - r[True, 0]) / 2
            smb = sum(r[False, k] - r[True, k] for k in range(3)) / 3
            mine.append((month, 100 * smb, 100 * hml))
    frame = pl.DataFrame(mine, schema=["month", "smb", "hml"], orient="row").join(
        published, left_on="month", right_on="date"
    )
    assert frame.height > 120
    # Published to a hundredth of a percent.
    for name in ("smb", "hml"):
        assert (frame[name] - frame[name.upper()]).abs().max() < 0.005 + 1e-9
