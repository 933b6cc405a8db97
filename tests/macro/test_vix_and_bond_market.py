from datetime import date

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from pipeline.macro.bond_market import BondMarketSettings, bond_market_factor, fund_returns
from pipeline.macro.vix import VixInnovationSettings, vix_innovation
from pipeline.panel.calendar import month_range, shift

FIRST, LAST = date(2000, 1, 1), date(2007, 12, 31)
MONTHS = month_range(FIRST, LAST.replace(day=1))


@pytest.fixture(scope="module")
def vix(daily) -> pl.DataFrame:
    return daily(FIRST, LAST, 1, "close")


@pytest.fixture(scope="module")
def market(daily) -> dict[str, pl.DataFrame]:
    rng = np.random.default_rng(7)
    changes = {f"dy_{t}": rng.normal(0, 0.2, len(MONTHS)) for t in ("1m", "2y", "10y", "30y")}
    treasury = pl.DataFrame({"month": MONTHS, **changes})
    holes = pl.when(pl.col("month") != date(2004, 5, 1)).then(pl.col("dy_30y"))
    return {"lqd": daily(FIRST, LAST, 2, "adj_close", start=80.0), "treasury": treasury.with_columns(dy_30y=holes)}


def test_vix_innovation_agrees_with_a_loop_over_months(vix: pl.DataFrame) -> None:
    level = vix.to_pandas().groupby("month")["close"].last()
    out = vix_innovation(vix, MONTHS, VixInnovationSettings())
    assert out["month"].to_list() == MONTHS
    for t, row in enumerate(out.iter_rows(named=True)):
        known = list(range(max(1, t - 60), t))
        assert row["vix"] == level.iloc[t]
        assert row["n_obs"] == len(known)
        if len(known) < 36:
            assert row["vix_innovation"] is None
            assert row["slope"] is None
            continue
        before, now = level.iloc[[s - 1 for s in known]].to_numpy(), level.iloc[known].to_numpy()
        fit = LinearRegression().fit(before[:, None], now)
        assert row["slope"] == pytest.approx(fit.coef_[0], abs=1e-10)
        forecast = fit.predict([[level.iloc[t - 1]]])[0]
        assert row["vix_innovation"] == pytest.approx(level.iloc[t] - forecast, abs=1e-10)


def test_vix_keeps_the_promise(vix: pl.DataFrame, check_promise) -> None:
    gone = vix.filter(pl.col("month") != date(2004, 3, 1))
    months = [date(2003, 1, 1), date(2003, 2, 1), date(2004, 3, 1), date(2004, 4, 1), date(2007, 12, 1)]
    check_promise(lambda f, m: vix_innovation(f["vix"], m, VixInnovationSettings()), {"vix": gone}, months)


def test_a_month_without_quotes_is_a_row_of_nulls(vix: pl.DataFrame) -> None:
    gone = vix.filter(pl.col("month") != date(2006, 3, 1))
    out = vix_innovation(gone, month_range(date(2006, 2, 1), date(2006, 4, 1)), VixInnovationSettings())
    assert out["vix"].is_null().to_list() == [False, True, False]
    # April has a level but no forecast: its regressor is March.
    assert out["vix_innovation"].is_null().to_list() == [False, True, True]
    assert out["n_obs"].to_list() == [60, 60, 59]


def test_fund_returns_compound_to_the_whole_change(market: dict[str, pl.DataFrame]) -> None:
    closes = market["lqd"].group_by("month", maintain_order=True).agg(pl.col("adj_close").last())["adj_close"]
    returns = fund_returns(market["lqd"])
    assert returns["month"].to_list() == MONTHS[1:]
    assert (1 + returns["lqd_return"]).product() == pytest.approx(closes[-1] / closes[0], rel=1e-12)


def test_a_missing_month_breaks_two_returns(market: dict[str, pl.DataFrame]) -> None:
    returns = fund_returns(market["lqd"].filter(pl.col("month") != date(2003, 6, 1)))
    missing = returns.filter(pl.col("lqd_return").is_null())["month"].to_list()
    assert missing == [date(2003, 6, 1), date(2003, 7, 1)]


def test_no_prices_give_rows_of_nulls(market: dict[str, pl.DataFrame]) -> None:
    out = bond_market_factor(market["lqd"].clear(), market["treasury"], MONTHS[-3:], BondMarketSettings())
    assert out["month"].to_list() == MONTHS[-3:]
    assert out["bond_market_factor"].null_count() == 3


def test_bond_market_factor_agrees_with_a_loop_over_months(market: dict[str, pl.DataFrame]) -> None:
    x = market["treasury"].drop("month").to_pandas().to_numpy()
    y = fund_returns(market["lqd"])["lqd_return"].to_numpy()
    y = np.concatenate([[np.nan], y])
    out = bond_market_factor(market["lqd"], market["treasury"], MONTHS, BondMarketSettings())
    complete = np.isfinite(y) & np.isfinite(x).all(axis=1)
    for t, row in enumerate(out.iter_rows(named=True)):
        rows = [s for s in range(max(0, t - 60), t) if complete[s]]
        assert row["n_obs"] == len(rows)
        if len(rows) < 8:
            assert row["bond_market_factor"] is None
            continue
        fit = LinearRegression(fit_intercept=False).fit(x[rows], y[rows])
        assert row["beta_10y"] == pytest.approx(fit.coef_[2], abs=1e-12)
        expected = y[t] - fit.predict(np.nan_to_num(x[t : t + 1]))[0] if complete[t] else None
        assert row["bond_market_factor"] == pytest.approx(expected, abs=1e-12)


def test_bond_market_factor_keeps_the_promise(market: dict[str, pl.DataFrame], check_promise) -> None:
    months = [date(2000, 9, 1), date(2000, 10, 1), date(2004, 5, 1), date(2004, 6, 1), date(2007, 12, 1)]
    check_promise(lambda f, m: bond_market_factor(f["lqd"], f["treasury"], m, BondMarketSettings()), market, months)


def test_a_constructed_residual_is_found() -> None:
    rng = np.random.default_rng(0)
    months = month_range(date(2010, 1, 1), date(2012, 12, 1))
    x = rng.normal(0, 0.3, (len(months), 4))
    y = x @ np.array([0.01, -0.02, -0.03, -0.05])
    y[-1] += 0.02
    prices = 100 * np.cumprod(np.concatenate([[1.0], 1 + y]))
    ends = [shift(months[0], -1), *months]
    lqd = pl.DataFrame({"date": ends, "month": ends, "adj_close": prices})
    treasury = pl.DataFrame({"month": months, **{f"dy_{t}": x[:, k] for k, t in enumerate(("1m", "2y", "10y", "30y"))}})
    out = bond_market_factor(lqd, treasury, months[-2:], BondMarketSettings())
    assert out["bond_market_factor"].to_list() == pytest.approx([0.0, 0.02], abs=1e-12)


def test_settings_refuse_windows_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="min_obs"):
        VixInnovationSettings(window=24)
    with pytest.raises(ValueError, match="must exceed the 4 regressors"):
        BondMarketSettings(min_obs=4)
    with pytest.raises(ValueError, match="4y"):
        BondMarketSettings(tenors=("4y",))


def test_months_must_be_first_days(vix: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="first day"):
        vix_innovation(vix, [date(2005, 1, 31)], VixInnovationSettings())
    with pytest.raises(ValueError, match="no month"):
        vix_innovation(vix, [], VixInnovationSettings())
