"""CRSP's tables against one another and against the economy, recomputed with pandas from what the files say."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pipeline.simulation.market import Market, simulate
from pipeline.simulation.stock_names import HALTED

FAILED = {500, *range(520, 585)}


def _months(days: pd.Series) -> pd.Series:
    """Months since year 0."""
    dates = pd.to_datetime(days)
    return 12 * dates.dt.year + dates.dt.month - 1


def _month(day: date) -> int:
    return 12 * day.year + day.month - 1


@pytest.fixture(scope="module")
def ciz() -> Market:
    return simulate("tiny", layout="ciz", vendors=("crsp", "crsp_daily"))


@pytest.fixture(scope="module")
def msf(tiny: Market) -> pd.DataFrame:
    """Monthly rows with numbers, NaN where the file has a code."""
    frame = tiny.tables["crsp.msf"].to_pandas()
    for name in ("ret", "retx"):
        number = pd.to_numeric(frame[name], errors="coerce")
        frame[name] = number.where(number > -44)
    frame["month"] = _months(frame.date)
    frame["me"] = frame.prc.abs().where(frame.prc != 0) * frame.shrout / 1000
    return frame


@pytest.fixture(scope="module")
def dsf(tiny: Market) -> pd.DataFrame:
    frame = tiny.tables["crsp.dsf"].to_pandas()
    frame["month"] = _months(frame.date)
    return frame


@pytest.fixture(scope="module")
def delistings(tiny: Market) -> dict[tuple[int, int], tuple[int, float]]:
    """Code and return of the delistings by permno and month; NaN where the return is missing."""
    frame = tiny.tables["crsp.msedelist"]
    found = {}
    for permno, day, code, text in frame.filter(pl.col("dlstcd") != 100).iter_rows():
        number = pd.to_numeric(text, errors="coerce") if text is not None else np.nan
        found[permno, _month(day)] = (code, number if number >= -1 else np.nan)
    return found


def _with_delisting(ret: float, delisting: tuple[int, float] | None) -> float:
    """Month's return with the delisting in it, the replacement of a failure's missing one included."""
    if delisting is None:
        return ret
    code, dlret = delisting
    if np.isnan(dlret) and code in FAILED:
        dlret = -0.30
    if np.isnan(ret) or np.isnan(dlret):
        return dlret if np.isnan(ret) else ret
    return (1 + ret) * (1 + dlret) - 1


def test_value_weighted_market_is_the_index(tiny: Market, msf: pd.DataFrame, delistings: dict) -> None:
    equity, rows = {}, {}
    for permno, month, me, ret, retx in msf[["permno", "month", "me", "ret", "retx"]].itertuples(index=False):
        equity.setdefault(month, {})[permno] = me
        rows[permno, month] = ret, retx
    months = sorted(equity)
    index = tiny.tables["crsp.msi"].to_pandas()
    assert _months(index.date).tolist() == months[1:]
    for place, month in enumerate(months[1:]):
        weights = total_sum = ex_sum = 0.0
        for permno, weight in equity[month - 1].items():
            ret, retx = rows.get((permno, month), (np.nan, np.nan))
            total = _with_delisting(ret, delistings.get((permno, month)))
            if not np.isnan(weight) and not np.isnan(total):
                weights += weight
                total_sum += weight * total
                ex_sum += weight * _with_delisting(retx, delistings.get((permno, month)))
        assert index.vwretd[place] == pytest.approx(total_sum / weights, abs=1e-12)
        assert index.vwretx[place] == pytest.approx(ex_sum / weights, abs=1e-12)
        assert index.totval[place] == pytest.approx(1000 * msf.me[msf.month == month].sum(), rel=1e-12)


def test_true_returns_are_those_of_the_files(tiny: Market, msf: pd.DataFrame, delistings: dict) -> None:
    rows = dict(zip(zip(msf.permno, msf.month, strict=True), msf.ret, strict=True))
    truth = tiny.truth["stock_returns"]
    assert truth.height == len(set(rows) | set(delistings))
    for month, permno, ret in truth.select("month", "permno", "ret").iter_rows():
        key = permno, _month(month)
        mine = _with_delisting(rows.get(key, np.nan), delistings.get(key))
        assert (np.isnan(mine) and ret is None) or ret == pytest.approx(mine, abs=1e-14)


def test_days_compound_to_months(msf: pd.DataFrame, dsf: pd.DataFrame) -> None:
    gross = (1 + dsf.ret).where(dsf.ret > -44)
    days = gross.groupby([dsf.permno, dsf.month]).agg("prod", min_count=1) - 1
    coded = dsf[dsf.ret <= -44]
    days = days.drop(list(zip(coded.permno, coded.month, strict=True)))
    both = msf.set_index(["permno", "month"]).ret.to_frame("monthly").join(days.rename("daily"), how="inner").dropna()
    assert len(both) > 8000
    np.testing.assert_allclose(both.daily, both.monthly, atol=1e-12)


def test_months_have_the_days_volume_and_the_last_days_price(msf: pd.DataFrame, dsf: pd.DataFrame) -> None:
    volume = dsf.groupby(["permno", "month"]).vol.sum()
    last = dsf.sort_values("date").groupby(["permno", "month"])[["prc", "shrout", "cfacpr", "cfacshr"]].last()
    monthly = msf.set_index(["permno", "month"]).join(last.add_suffix("_d"), how="inner").join(volume.rename("shares"))
    assert (monthly.vol * 100 == monthly.shares).all()
    priced = monthly[monthly.me.notna()]
    np.testing.assert_allclose(priced.prc, priced.prc_d, rtol=1e-12)
    for name in ("shrout", "cfacpr", "cfacshr"):
        np.testing.assert_allclose(monthly[name], monthly[f"{name}_d"], rtol=1e-12)


def test_split_adjusted_prices_follow_returns_without_dividends(msf: pd.DataFrame, dsf: pd.DataFrame) -> None:
    ordered = msf[msf.me.notna()].sort_values(["permno", "month"])
    adjusted = ordered.prc.abs() / ordered.cfacpr
    same = ordered.permno.eq(ordered.permno.shift(1)) & ordered.retx.notna()
    # Returns after months without a price are since the last price, as in the file.
    np.testing.assert_allclose((adjusted / adjusted.shift(1) - 1)[same], ordered.retx[same], atol=1e-11)
    factors = ordered.cfacpr / ordered.cfacpr.shift(1)
    assert {2.0, 1.5, 0.2} <= set(np.round(1 / factors[same & (factors != 1)], 9))
    assert (ordered.cfacpr != ordered.cfacshr).any()
    growth = dsf.sort_values(["permno", "date"])
    price = (growth.prc.abs() / growth.cfacpr).groupby(growth.permno).pct_change()
    near = (growth.ret > -44) & price.notna()
    # A day's price and total return differ by dividends only.
    assert ((price - growth.ret)[near].abs() > 1e-9).mean() < 0.02
    assert (growth.ret - price)[near].min() > -1e-9


def test_days_have_plausible_quotes_ranges_and_gaps(tiny: Market, dsf: pd.DataFrame) -> None:
    traded, price = dsf.prc > 0, dsf.prc.abs()
    assert (price > 0).all()
    assert ((dsf.vol > 0) == traded).all()
    assert (dsf.vol % 100 == 0).all()
    assert ((dsf.askhi >= price) & (dsf.bidlo <= price)).all()
    quoted = dsf.bid.notna() & dsf.ask.notna() & (dsf.bid > 0)
    crossed = quoted & (dsf.ask < dsf.bid)
    assert 0 < crossed.mean() < 0.005
    assert 0 < (~quoted).mean() < 0.01
    inside = quoted & ~crossed
    slack = 1e-9 * price
    assert ((dsf.bid <= price + slack) & (price <= dsf.ask + slack))[inside].all()
    midpoints = ~traded
    assert (midpoints & quoted).sum() > 200
    np.testing.assert_allclose(((dsf.bid + dsf.ask) / 2)[midpoints], price[midpoints], rtol=1e-12)
    assert 0.01 < (dsf.ret == 0).mean() < 0.05
    role = dict(tiny.truth["securities"].select("permno", "role").iter_rows())
    sessions = dsf.groupby("month").date.nunique()
    days = dsf.groupby(["permno", "month"]).size().reset_index(name="days")
    short = days.days < days.month.map(sessions)
    assert short[days.permno.map(role) == "gappy"].mean() > 0.5
    runs = [_longest_run(group.ret == 0) for p, group in dsf.groupby("permno") if role[p] == "illiquid"]
    assert len(runs) >= 2
    assert min(runs) >= 10


def _longest_run(flags: pd.Series) -> int:
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


def test_daily_betas_are_those_of_the_firms(tiny: Market, dsf: pd.DataFrame) -> None:
    market = tiny.tables["crsp.dsi"].to_pandas().set_index("date").vwretd
    firms, listings = tiny.economy.firms, tiny.economy.listings
    first = tiny.economy.clock.first_snapshot - 24
    firm = dict(zip(listings.permno.tolist(), listings.firm.tolist(), strict=True))
    estimated, true = [], []
    for permno, group in dsf[dsf.ret > -44].groupby("permno"):
        if len(group) > 2000:
            y, x = group.ret.to_numpy(), market.loc[group.date].to_numpy()
            estimated.append(np.cov(y, x)[0, 1] / x.var())
            true.append(firms.betas[first:, firm[permno], 0].mean())
    assert len(true) > 40
    assert np.corrcoef(estimated, true)[0, 1] > 0.7
    assert np.mean(estimated) == pytest.approx(1.0, abs=0.15)


def test_the_daily_index_holds_the_market_of_the_month(tiny: Market) -> None:
    daily, monthly = tiny.tables["crsp.dsi"].to_pandas(), tiny.tables["crsp.msi"].to_pandas()
    month = pd.to_datetime(daily.date).dt.to_period("M")
    for column in ("vwretd", "vwretx"):
        compounded = (1 + daily[column]).groupby(month).prod() - 1
        np.testing.assert_allclose(compounded, monthly[column], atol=1e-12)
    french = tiny.tables["french/F-F_Research_Data_Factors_daily"].to_pandas()
    np.testing.assert_allclose(french["Mkt-RF"] + french.RF, 100 * daily.vwretd, atol=0.006)
    published = tiny.tables["french/F-F_Research_Data_Factors"].to_pandas()
    for name in ("SMB", "HML"):
        summed = french.groupby(pd.to_datetime(french.date).dt.to_period("M"))[name].sum().to_numpy()
        assert np.corrcoef(summed, published[name])[0, 1] > 0.98


def test_names_are_spells_that_meet(tiny: Market, msf: pd.DataFrame) -> None:
    names = tiny.tables["crsp.msenames"].to_pandas().sort_values(["permno", "namedt"])
    end_of_data = tiny.economy.clock.last_sessions[-1]
    assert (names.nameendt >= names.namedt).all()
    followed = names.permno.eq(names.permno.shift(-1))
    gap = pd.to_datetime(names.namedt.shift(-1)) - pd.to_datetime(names.nameendt)
    assert (gap[followed].dt.days == 1).all()
    gone = {p: day for p, day, code, _ in tiny.tables["crsp.msedelist"].iter_rows() if code != 100}
    for permno, last in names[~followed][["permno", "nameendt"]].values.tolist():
        assert pd.Timestamp(last) == pd.Timestamp(gone.get(permno, end_of_data))
    first = names.groupby("permno").namedt.min()
    assert (pd.to_datetime(msf.date) >= pd.to_datetime(msf.permno.map(first))).all()


def test_universe_is_read_from_the_names_of_the_month_before(tiny: Market, msf: pd.DataFrame) -> None:
    names = tiny.tables["crsp.msenames"].to_pandas()
    spells: dict[int, list[tuple[int, int, int]]] = {}
    for permno, day, shrcd, exchcd in names.sort_values("namedt")[["permno", "namedt", "shrcd", "exchcd"]].itertuples(
        index=False
    ):
        spells.setdefault(permno, []).append((_month(day), shrcd, exchcd))
    universe = set()
    for permno, month in zip(msf.permno, msf.month, strict=True):
        _, shrcd, exchcd = [spell for spell in spells[permno] if spell[0] <= month][-1]
        if shrcd in (10, 11) and exchcd in (1, 2, 3):
            universe.add((permno, month))
    truth = tiny.truth["stock_returns"]
    flags = truth.select("permno", "month", "universe_start").iter_rows()
    before = {(permno, _month(month) - 1): inside for permno, month, inside in flags}
    assert {key for key, inside in before.items() if inside} == universe & set(before)
    assert 0.05 < 1 - len(universe) / len(msf) < 0.3


def test_both_layouts_tell_the_same_history(tiny: Market, ciz: Market) -> None:
    siz, new = tiny.tables["crsp.msf"], ciz.tables["crsp.msf_v2"]
    keys = ["permno", "date"]
    rows = new.rename({"mthcaldt": "date"}).join(siz, on=keys, how="full", coalesce=True, suffix="_siz")
    only_new = rows.filter(pl.col("permco_siz").is_null())
    assert only_new.height >= 2
    assert only_new["mthprc"].null_count() == only_new["mthcap"].null_count() == only_new.height
    both = rows.filter(pl.col("permco_siz").is_not_null())
    assert both.height == siz.height
    price = both["prc"].abs().set(both["prc"] == 0, None)
    assert both["mthprc"].equals(price, null_equal=True, check_names=False)
    assert (both["mthvol"] == both["vol"] * 100).all()
    np.testing.assert_allclose(both["mthcap"].drop_nulls(), (price * both["shrout_siz"]).drop_nulls())
    truth = tiny.truth["stock_returns"].with_columns(pl.col("month").dt.month_end())
    joined = new.with_columns(pl.col("mthcaldt").dt.month_end().alias("month")).join(truth, on=["permno", "month"])
    missing = ciz.tables["crsp.stkdelists"].filter(pl.col("delret").is_null())["permno"]
    whole = joined.filter(~pl.col("permno").is_in(missing.to_list()))
    assert whole["mthret"].is_null().equals(whole["ret"].is_null(), check_names=False)
    np.testing.assert_allclose(whole["mthret"].drop_nulls(), whole["ret"].drop_nulls(), atol=1e-14)
    assert (joined["mthret"].is_null() == (joined["mthretflg"] != "")).all()


def test_ciz_flags_say_what_the_codes_say(tiny: Market, ciz: Market) -> None:
    flags = ciz.tables["crsp.msf_v2"]
    common = (
        (pl.col("sharetype") == "NS") & (pl.col("securitytype") == "EQTY") & (pl.col("securitysubtype") == "COM")
        & (pl.col("usincflg") == "Y") & pl.col("issuertype").is_in(["ACOR", "CORP"])
        & pl.col("primaryexch").is_in(["N", "A", "Q"]) & pl.col("conditionaltype").is_in(["RW", "NW"])
        & (pl.col("tradingstatusflg") == "A")
    )  # fmt: skip
    inside = flags.with_columns(universe=common, month=pl.col("mthcaldt").dt.truncate("1mo"))
    truth = tiny.stocks.select("month", "permno", pl.col("universe").alias("true"))
    joined = inside.join(truth, on=["month", "permno"])
    assert (joined["universe"] == joined["true"]).all()
    assert (flags["tradingstatusflg"] == "H").sum() >= 2
    halted = tiny.tables["crsp.msenames"].filter(pl.col("exchcd") == HALTED)
    assert halted["permno"].n_unique() >= 2


def test_daily_layouts_agree(tiny: Market, ciz: Market) -> None:
    siz, new = tiny.tables["crsp.dsf"], ciz.tables["crsp.dsf_v2"]
    assert siz.height == new.height
    assert siz["permno"].equals(new["permno"])
    assert siz["date"].equals(new["dlycaldt"], check_names=False)
    assert siz["prc"].abs().equals(new["dlyprc"], check_names=False)
    known = new["dlyret"].is_not_null()
    assert siz.filter(known)["ret"].equals(new.filter(known)["dlyret"], check_names=False)
    assert set(siz.filter(~known)["ret"]) <= {-66.0, -77.0, -88.0, -99.0}
    pairs = {
        "dlyvol": "vol",
        "dlybid": "bid",
        "dlyask": "ask",
        "dlyhigh": "askhi",
        "dlylow": "bidlo",
        "dlycumfacpr": "cfacpr",
    }
    for name, other in pairs.items():
        assert new[name].equals(siz[other], null_equal=True, check_names=False), name
    assert set(new["primaryexch"].unique()) == {"N", "A", "Q", "R", "X"}
