"""Every planted trap of the stock files is there at least twice, and its right answer is what a reader should find."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.simulation.crsp_siz import DLRET_CODES
from pipeline.simulation.market import Market, simulate
from pipeline.simulation.roles import SCRIPTED
from pipeline.simulation.stock_months import CODES

OLD_END = date(2005, 12, 1)


@pytest.fixture(scope="module")
def old() -> Market:
    """A market that ends in 2005, whose NASDAQ volume is counted twice at first."""
    return simulate("tiny", end=OLD_END, vendors=("crsp",))


def _traps(market: Market, name: str) -> pl.DataFrame:
    found = market.truth["stock_traps"].filter(pl.col("trap") == name)
    assert found["permno"].n_unique() >= 2, name
    return found


def _published(market: Market) -> dict[tuple[int, date], dict]:
    rows = market.tables["crsp.msf"].with_columns(month=pl.col("date").dt.truncate("1mo"))
    return {(row["permno"], row["month"]): row for row in rows.to_dicts()}


def _delistings(market: Market) -> dict[tuple[int, date], tuple[int, str | None]]:
    rows = market.tables["crsp.msedelist"].filter(pl.col("dlstcd") != 100)
    return {(permno, day.replace(day=1)): (code, text) for permno, day, code, text in rows.iter_rows()}


def test_every_role_is_played_twice(tiny: Market) -> None:
    counts = Counter(tiny.truth["securities"]["role"].to_list())
    assert all(counts[role.name] >= 2 for role in SCRIPTED)
    assert counts["second_class"] + counts["new_class"] + counts["closed_class"] >= 8
    assert min(counts[name] for name in ("second_class", "new_class", "closed_class")) >= 2
    shrcd = tiny.tables["crsp.msenames"].group_by("shrcd").agg(pl.col("permno").n_unique())
    assert set(shrcd["shrcd"]) >= {10, 11, 12, 14, 18, 31, 73}
    assert shrcd["permno"].min() >= 2


def test_delistings(tiny: Market) -> None:
    rows, gone = _published(tiny), _delistings(tiny)
    for permno, month, value in _traps(tiny, "delisting_with_dlret").select("permno", "month", "value").iter_rows():
        ret, dlret = float(rows[permno, month]["ret"]), float(gone[permno, month][1])
        assert value == pytest.approx((1 + ret) * (1 + dlret) - 1, abs=1e-14)
    for permno, month, value in _traps(tiny, "delisting_without_dlret").select("permno", "month", "value").iter_rows():
        assert gone[permno, month][1] in DLRET_CODES
        assert value == pytest.approx((1 + float(rows[permno, month]["ret"])) * 0.7 - 1, abs=1e-14)
    for permno, month, value in _traps(tiny, "delisting_without_row").select("permno", "month", "value").iter_rows():
        assert (permno, month) not in rows
        assert value == float(gone[permno, month][1])
    for permno, month, value in (
        _traps(tiny, "delisting_without_row_or_dlret").select("permno", "month", "value").iter_rows()
    ):
        assert (permno, month) not in rows
        assert value == -0.30
    for permno, month, value in _traps(tiny, "total_loss").select("permno", "month", "value").iter_rows():
        assert float(gone[permno, month][1]) == value == -1


def test_delistings_that_stay_as_they_are(tiny: Market) -> None:
    rows, gone = _published(tiny), _delistings(tiny)
    for permno, month, value in (
        _traps(tiny, "delisting_without_dlret_not_failed").select("permno", "month", "value").iter_rows()
    ):
        code, text = gone[permno, month]
        assert text in DLRET_CODES
        assert code not in (500, *range(520, 585))
        assert value == float(rows[permno, month]["ret"])
    coded = _traps(tiny, "delisting_with_coded_return")
    for permno, month, value in coded.select("permno", "month", "value").iter_rows():
        assert rows[permno, month]["ret"] in CODES
        text = gone[permno, month][1]
        assert value == (-0.30 if text in DLRET_CODES else float(text))
    texts = [text for code, text in gone.values()]
    assert {"S", "T", "-55.0", None} <= set(texts)


def test_flags_of_the_delisting_month_would_lose_the_return(tiny: Market) -> None:
    names = tiny.tables["crsp.msenames"]
    truth = tiny.truth["stock_returns"]
    for permno, month, value in (
        _traps(tiny, "flags_change_when_delisted").select("permno", "month", "value").iter_rows()
    ):
        last = names.filter(pl.col("permno") == permno).sort("namedt")[-1]
        assert last["namedt"].dt.truncate("1mo")[0] == month
        assert last["shrcd"][0] not in (10, 11) or last["exchcd"][0] not in (1, 2, 3)
        row = truth.filter(pl.col("permno") == permno, pl.col("month") == month)
        assert row["universe_start"][0]
        assert row["ret"][0] == value
        assert abs(value) > 0.005


def test_returns_under_the_other_profile(tiny: Market) -> None:
    truth = tiny.truth["stock_returns"].drop_nulls("ret")
    different = truth.filter(pl.col("ret") != pl.col("ret_osap"))
    assert different.height >= 6
    ratio = (1 + different["ret_osap"]) / (1 + different["ret"]) * 0.7
    assert set(ratio.round(9)) == {0.65, 0.45}


def test_prices_and_codes(tiny: Market) -> None:
    rows = _published(tiny)
    for permno, month, value in _traps(tiny, "negative_price").select("permno", "month", "value").iter_rows():
        assert rows[permno, month]["prc"] == -value < 0
    codes = Counter(
        rows[permno, month]["ret"]
        for permno, month in _traps(tiny, "coded_return").select("permno", "month").iter_rows()
    )
    assert set(codes) == {"C", *CODES}
    assert min(codes.values()) >= 2
    for permno, month in _traps(tiny, "month_without_trade").select("permno", "month").iter_rows():
        row = rows[permno, month]
        assert row["prc"] in (None, 0.0)
        assert row["vol"] == 0
        assert row["ret"] in CODES
    prices = [row["prc"] for row in rows.values()]
    assert prices.count(0.0) >= 2
    assert prices.count(None) >= 2
    for permno, month in _traps(tiny, "month_without_row").select("permno", "month").iter_rows():
        assert (permno, month) not in rows


def test_the_return_after_a_gap_is_since_the_last_price(tiny: Market) -> None:
    rows, economy = _published(tiny), tiny.economy
    permnos, months = economy.listings.permno.tolist(), economy.clock.dates
    spans = Counter()
    for permno, month, value in _traps(tiny, "return_after_silence").select("permno", "month", "value").iter_rows():
        t, firm = months.index(month), economy.listings.firm[permnos.index(permno)]
        start = t - 1
        while (permno, months[start]) not in rows or rows[permno, months[start]]["prc"] in (None, 0.0):
            start -= 1
        gross = np.prod(1 + economy.firms.ret[start + 1 : t + 1, firm])
        assert value == pytest.approx(gross - 1, abs=1e-12)
        spans[t - start] += 1
    assert spans[2] >= 2
    assert spans[3] >= 2


def test_gaps_of_days_without_trade(tiny: Market) -> None:
    days = tiny.tables["crsp.dsf"].with_columns(month=pl.col("date").dt.truncate("1mo"))
    quiet = days.filter(pl.col("vol") == 0).group_by("permno", "month").agg(pl.len(), zero=(pl.col("ret") == 0).sum())
    found = {(permno, month): (count, zero) for permno, month, count, zero in quiet.iter_rows()}
    first, checked = days["month"].min(), 0
    for permno, month, value in _traps(tiny, "zero_return_gap").select("permno", "month", "value").iter_rows():
        if month >= first:
            count, zero = found[permno, month]
            assert count == value
            assert zero >= 8
            checked += 1
    assert checked >= 4


def test_splits(tiny: Market) -> None:
    rows, months = _published(tiny), tiny.economy.clock.dates
    checked = 0
    for permno, month, value in _traps(tiny, "split").select("permno", "month", "value").iter_rows():
        now, before = rows[permno, month], rows[permno, months[months.index(month) - 1]]
        raw = abs(now["prc"]) / abs(before["prc"])
        factor = before["cfacpr"] / now["cfacpr"]
        assert factor != 1
        assert value == pytest.approx(raw * factor - 1, abs=1e-11)
        checked += abs(raw - 1 - value) > 0.03
    assert checked > 10


def test_companies_with_two_classes(tiny: Market) -> None:
    gone, classes = _delistings(tiny), defaultdict(list)
    permco = {}
    for (permno, month), row in _published(tiny).items():
        classes[row["permco"], month].append(row)
        permco[permno] = row["permco"]
    months = {month: t for t, month in enumerate(tiny.economy.clock.dates)}
    for permno, month, value in _traps(tiny, "several_permnos").select("permno", "month", "value").iter_rows():
        same = classes[permco[permno], month]
        assert len(same) >= 2
        assert value == pytest.approx(sum(abs(row["prc"] or 0) * row["shrout"] / 1000 for row in same), rel=1e-12)
        if not any((row["permno"], month) in gone for row in same):
            equity = tiny.economy.firms.marketcap[months[month], permco[permno] - 20_001]
            assert value == pytest.approx(equity, rel=2e-3)


def test_volume_of_nasdaq(old: Market) -> None:
    rows = _published(old)
    factors = Counter()
    for permno, month, value in _traps(old, "nasdaq_volume").select("permno", "month", "value").iter_rows():
        factor = 2.0 if month < date(2001, 2, 1) else 1.8 if month < date(2002, 1, 1) else 1.6
        assert month < date(2004, 1, 1)
        assert rows[permno, month]["vol"] * 100 / factor == pytest.approx(value, rel=1e-12)
        factors[factor] += 1
    assert len(factors) == 3
    units = {key: row["vol"] for key, row in rows.items()}
    for permno, month, value in _traps(old, "monthly_volume").select("permno", "month", "value").iter_rows():
        assert units[permno, month] * 100 >= value
    turnover = {key: row["vol"] / row["shrout"] for key, row in rows.items() if row["vol"]}
    names = old.tables["crsp.msenames"].sort("namedt").group_by("permno", maintain_order=True).agg("exchcd")
    steady = {p: codes[0] for p, codes in names.iter_rows() if len(set(codes)) == 1}

    def mean(exchange: int, late: bool) -> float:
        chosen = [
            np.log(value)
            for (permno, month), value in turnover.items()
            if steady.get(permno) == exchange and (month.year >= 2004) == late and (late or month < date(2001, 2, 1))
        ]
        return float(np.mean(chosen))

    excess = (mean(3, False) - mean(1, False)) - (mean(3, True) - mean(1, True))
    assert np.exp(excess) == pytest.approx(2.0, rel=0.15)


def test_links(tiny: Market) -> None:
    links = tiny.tables["crsp.ccmxpf_lnkhist"]
    truth = tiny.truth["firm_links"]
    assert not truth.select("month", "permno").is_duplicated().any()
    assert not truth.select("month", "gvkey").is_duplicated().any()
    usable = [
        row
        for row in links.to_dicts()
        if row["linktype"] in ("LC", "LU") and row["linkprim"] in ("P", "C") and row["lpermno"] is not None
    ]
    held = set()
    for month, end in zip(tiny.economy.clock.dates, tiny.economy.clock.month_ends.tolist(), strict=True):
        for row in usable:
            if row["linkdt"] <= end and (row["linkenddt"] is None or end <= row["linkenddt"]):
                held.add((month, row["lpermno"], row["gvkey"]))
    assert held == set(truth.select("month", "permno", "gvkey").iter_rows())


def test_links_that_must_be_ignored_or_handled(tiny: Market) -> None:
    links = tiny.tables["crsp.ccmxpf_lnkhist"]
    assert {"LC", "LU", "LN", "LS", "LD", "LX", "NR"} <= set(links["linktype"])
    assert {"P", "C", "J", "N"} <= set(links["linkprim"])
    assert links.filter(pl.col("linktype") == "NR")["lpermno"].is_null().all()
    closed = links.filter(pl.col("linkenddt").is_not_null())
    again = closed.join(links, on=["gvkey", "lpermno"], suffix="_next").filter(
        pl.col("linkdt_next") > pl.col("linkenddt")
    )
    assert again["gvkey"].n_unique() >= 2
    overlap = links.join(links, on=["gvkey", "lpermno"], suffix="_other").filter(
        pl.col("linkdt_other") > pl.col("linkdt")
    )
    overlap = overlap.filter(pl.col("linkenddt").is_null() | (pl.col("linkdt_other") <= pl.col("linkenddt")))
    assert overlap["gvkey"].n_unique() >= 2
    primary = tiny.truth["firm_links"].group_by("gvkey").agg(pl.col("permno").n_unique())
    assert (primary["permno"] == 2).sum() >= 1
    wrong = links.filter(~pl.col("linktype").is_in(["LC", "LU", "NR"]) | (pl.col("linkprim") == "N"))
    right = tiny.truth["firm_links"].select(pl.col("permno").alias("lpermno"), "gvkey").unique()
    assert wrong.join(right, on=["lpermno", "gvkey"]).is_empty()
    assert wrong["lpermno"].n_unique() >= 2
