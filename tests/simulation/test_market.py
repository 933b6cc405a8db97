"""The market as a whole: deterministic, consistent between its tables, refusing what it can't simulate."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pipeline.simulation.__main__ import last_closed_month, main
from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import Market, simulate
from pipeline.simulation.sizes import MarketSize

STOCK_TABLES = ("crsp.msi", "crsp.msf", "crsp.msenames", "crsp.msedelist", "crsp.dsf", "comp.funda")
TRADED_TABLES = ("trace.trace_enhanced", "fisd.fisd_mergedissue", "bonds.lehman")


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_seed_same_bytes(extracts: Path, tmp_path: Path) -> None:
    again = simulate("tiny")
    write_extracts(again.tables, tmp_path, parquet=["crsp.dsf"])
    assert _bytes(tmp_path) == _bytes(extracts)


def test_another_seed_differs(tiny: Market) -> None:
    other = simulate("tiny", seed=1)
    for name in (
        "bonds.index_constituents",
        "fred/GS10",
        "prices/VIX",
        "french/F-F_Momentum_Factor",
        *STOCK_TABLES,
        *TRADED_TABLES,
    ):
        assert not tiny.tables[name].equals(other.tables[name]), name
    assert not tiny.truth["factors"].equals(other.truth["factors"])
    assert tiny.truth["gamma"].equals(other.truth["gamma"])


def test_command_line_writes_extracts_and_truth(tiny: Market, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    main(["--size", "tiny", "--out", str(tmp_path / "extracts"), "--end", "2024-12"])
    rows = tiny.tables["bonds.index_constituents"].height
    assert f"{rows} bond-months" in capsys.readouterr().out
    written = pl.read_parquet(tmp_path / "extracts" / "bonds.index_constituents.parquet")
    assert written.equals(tiny.tables["bonds.index_constituents"])
    assert pl.read_parquet(tmp_path / "extracts" / "crsp.dsf.parquet").equals(tiny.tables["crsp.dsf"])
    for name, frame in tiny.truth.items():
        assert pl.read_parquet(tmp_path / "truth" / f"{name}.parquet").equals(frame)


def test_last_closed_month() -> None:
    assert last_closed_month(date(2026, 1, 1)) == date(2025, 12, 1)
    assert last_closed_month(date(2026, 11, 30)) == date(2026, 10, 1)


def test_market_return_is_the_value_weighted_stock_return(tiny: Market) -> None:
    stocks = tiny.stocks.to_pandas()
    stocks["period"] = pd.to_datetime(stocks.month).dt.to_period("M")
    weights = stocks.assign(period=stocks.period + 1).set_index(["permno", "period"]).marketcap.rename("weight")
    returns = tiny.truth["stock_returns"].to_pandas()
    returns["period"] = pd.to_datetime(returns.month).dt.to_period("M")
    held = returns.join(weights, on=["permno", "period"]).dropna(subset=["ret", "weight"])
    by_hand = held.groupby("period")[["ret", "weight"]].apply(lambda g: np.average(g.ret, weights=g.weight))
    np.testing.assert_allclose(tiny.tables["crsp.msi"]["vwretd"].to_numpy(), by_hand, atol=1e-12)
    french = tiny.tables["french/F-F_Research_Data_Factors"].to_pandas()
    np.testing.assert_allclose(french["Mkt-RF"] + french["RF"], 100 * by_hand, atol=0.0051)


def test_spy_follows_the_basket(tiny: Market) -> None:
    economy, spy = tiny.economy, tiny.tables["prices/SPY"].to_pandas().set_index("Date")["Adj Close"]
    total = spy.groupby(pd.to_datetime(spy.index).to_period("M")).last().pct_change().dropna()
    listed = ~economy.firms.private
    cap, ret = economy.firms.marketcap[:, listed], economy.firms.ret[:, listed]
    by_hand = [np.average(ret[t], weights=cap[t - 1]) for t in range(1, economy.clock.n)]
    np.testing.assert_allclose(total, by_hand, atol=1e-12)
    assert np.corrcoef(total, tiny.tables["crsp.msi"]["vwretd"])[0, 1] > 0.98


def test_month_end_yields_lie_on_the_curve(tiny: Market) -> None:
    zeros = tiny.tables["treasury/zero_yields"].to_pandas()
    tenth = tiny.tables["fred/DGS10"].drop_nulls().to_pandas()
    last = tenth.groupby(pd.to_datetime(tenth.observation_date).dt.to_period("M")).DGS10.last().to_numpy()
    years = np.arange(1, 31)
    for row, published in zip(zeros.itertuples(index=False), last, strict=True):
        at = np.interp(np.arange(0.5, 10.1, 0.5), years, np.array(row[1:]))
        discount = np.exp(-at / 100 * np.arange(0.5, 10.1, 0.5))
        assert 200 * (1 - discount[-1]) / discount.sum() == pytest.approx(published, abs=0.03)


def test_bond_returns_feel_the_macro_shocks(demo: Market) -> None:
    returns = demo.tables["bonds.index_constituents"].group_by("Pricing_Date").agg(pl.col("Return").mean())
    bonds = returns.sort("Pricing_Date").drop_nulls()["Return"].to_numpy()
    n = len(bonds)

    def month_ends(table: str, column: str) -> np.ndarray:
        frame = demo.tables[table].drop_nulls()
        day = frame.columns[0]
        return frame.group_by(pl.col(day).dt.truncate("1mo")).agg(pl.col(column).last()).sort(day)[column].to_numpy()

    lqd = np.diff(np.log(month_ends("prices/LQD", "Adj Close")))[-n:]
    ten = np.diff(month_ends("fred/DGS10", "DGS10"))[-n:]
    assert np.corrcoef(bonds, lqd)[0, 1] > 0.4
    assert np.corrcoef(bonds, ten)[0, 1] < -0.3
    vix = np.log(month_ends("prices/VIX", "Close"))
    assert 0.6 < np.corrcoef(vix[1:], vix[:-1])[0, 1] < 0.97
    assert vix.min() > np.log(4)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="no market size 'huge'; registered are tiny, demo, notebook"):
        simulate("huge")
    with pytest.raises(ValueError, match="seed must be 0 or more"):
        simulate("tiny", seed=-1)
    counts = {"bonds": 10, "alive": 5, "issuers": 5, "other_firms": 20, "sectors": 2, "series": 4}
    fields = {"name": "own", "months": 36, "lead": 36, **counts}
    with pytest.raises(ValueError, match="at least 2 vintages"):
        MarketSize(**fields, vintages=1)
    with pytest.raises(ValueError, match="alive must lie in"):
        MarketSize(**{**fields, "alive": 11}, vintages=2)
    with pytest.raises(ValueError, match="sectors must lie in"):
        MarketSize(**{**fields, "sectors": 19}, vintages=2)
    with pytest.raises(ValueError, match=r"daily_lead must lie in 0\.\.lead, got 40 of 36"):
        MarketSize(**fields, vintages=2, daily_lead=40)
    with pytest.raises(ValueError, match="at least 24 months"):
        MarketSize(**{**fields, "lead": 12}, vintages=2)


def test_security_frames_belong_together(tiny: Market) -> None:
    issuers, stocks, bonds = tiny.issuers, tiny.stocks, tiny.bonds
    assert (issuers["permno"].is_null() == issuers["private"]).all()
    assert issuers["private"].any()
    assert issuers["name"].n_unique() == issuers.height
    assert issuers["issuer_code"].n_unique() == issuers.height
    assert set(issuers["permno"].drop_nulls()) <= set(stocks["permno"])
    company = stocks.join(issuers.select("issuer", "name"), on="issuer")
    assert company.height == stocks.height
    assert (company.group_by("permco").agg(pl.col("issuer").n_unique())["issuer"] == 1).all()
    assert not stocks.select("month", "permno").is_duplicated().any()
    counts = bonds.group_by("issuer").len().join(issuers, on="issuer")
    assert (counts["len"] == counts["n_bonds"]).all()
    codes = bonds.join(issuers, on="issuer")
    assert (codes["cusip"].str.slice(0, 6) == codes["issuer_code"]).all()
    assert bonds["isin"].n_unique() == bonds.height == tiny.economy.size.bonds
    seen = (
        tiny.tables["bonds.index_constituents"]
        .select("ISIN", "Pricing_Date")
        .join(bonds, left_on="ISIN", right_on="isin", how="left")
    )
    assert (seen["entry"] < seen["Pricing_Date"]).all()


def test_layouts_and_vendors_can_be_chosen(tiny: Market, another: Market) -> None:
    some = simulate("tiny", layout="ciz", vendors=("crsp", "ccm"))
    assert set(some.tables) == {"crsp.msf_v2", "crsp.stkdelists", "crsp.ccmxpf_lnkhist"}
    with pytest.raises(ValueError, match="no stock layout 'sas'; registered are siz, ciz"):
        simulate("tiny", layout="sas")
    # The truth about the reports comes with the reports, the ready-made links on request.
    for market, traded in ((tiny, True), (another, False), (some, False)):
        assert ("trace.trace_enhanced" in market.tables) == ("trace_trades" in market.truth) == traded
        assert ("wrdsapps.bondcrsp_link" in market.tables) == (market is another)
        assert "bond_issuers" in market.truth
    with pytest.raises(ValueError, match="no vendor mergent; registered are bonds"):
        simulate("tiny", vendors=("mergent",))
