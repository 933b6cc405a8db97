from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.macro.treasury import TREASURY_SERIES, par_bond_return, treasury_curve
from pipeline.panel.calendar import month_range

FIRST, LAST = date(2001, 1, 1), date(2002, 12, 31)
MONTHS = month_range(FIRST, LAST.replace(day=1))


def _by_cash_flows(before: float, now: float, years: int) -> float:
    price = 0.0
    for k in range(1, 2 * years + 1):
        flow = 100 * before / 100 / 2 + (100.0 if k == 2 * years else 0.0)
        years_away = k / 2 - 1 / 12
        price += flow / (1 + now / 200) ** (2 * years_away)
    return price / 100 - 1


@given(before=st.floats(0, 18), now=st.floats(-1, 18), years=st.sampled_from([1, 10, 20, 30]))
def test_par_bond_return_is_the_sum_of_its_cash_flows(before: float, now: float, years: int) -> None:
    result = par_bond_return(np.array([before]), np.array([now]), years)[0]
    assert result == pytest.approx(_by_cash_flows(before, now, years), abs=1e-11)


def test_par_bond_returns_by_hand() -> None:
    # An unchanged yield of 6% earns one month of it: 1.03^(1/6) - 1.
    assert par_bond_return(np.array([6.0]), np.array([6.0]), 10)[0] == pytest.approx(0.0049386220, abs=1e-9)
    # At a yield of zero the flows are added up: 30 years of 4% and the face value.
    assert par_bond_return(np.array([4.0]), np.array([0.0]), 30)[0] == pytest.approx(1.2, abs=1e-12)
    # One year at 4%, repriced at 5%: 2 / 1.025^(5/6) + 102 / 1.025^(11/6) = 99.446295.
    assert par_bond_return(np.array([4.0]), np.array([5.0]), 1)[0] == pytest.approx(
        (2 / 1.025 ** (5 / 6) + 102 / 1.025 ** (11 / 6)) / 100 - 1, abs=1e-13
    )
    assert np.isnan(par_bond_return(np.array([np.nan]), np.array([5.0]), 10)[0])


@pytest.fixture(scope="module")
def par_yields(daily) -> dict[str, pl.DataFrame]:
    return {
        tenor: daily(FIRST, LAST, seed, "value", start=4 + seed / 10, step=0.02)
        for seed, tenor in enumerate(TREASURY_SERIES)
    }


@pytest.fixture(scope="module")
def zero_yields() -> pl.DataFrame:
    maturities = list(range(1, 361))
    rng = np.random.default_rng(4)
    return pl.concat(
        pl.DataFrame(
            {
                "month": [m] * 360,
                "date": [m.replace(day=28)] * 360,
                "maturity_months": pl.Series(maturities, dtype=pl.Int32),
                "zero_yield": 3 + np.log(maturities) / 4 + rng.normal(0, 0.05, 360),
            }
        )
        for m in MONTHS
    )


def test_the_curve_of_a_month_is_its_last_trading_day(par_yields, zero_yields) -> None:
    out = treasury_curve(par_yields, zero_yields, MONTHS)
    assert out["month"].to_list() == MONTHS
    for tenor, frame in par_yields.items():
        last = frame.to_pandas().groupby("month")["value"].last()
        np.testing.assert_array_equal(out[f"y_{tenor}"].to_numpy(), last.to_numpy())
        np.testing.assert_array_equal(out[f"dy_{tenor}"].to_numpy()[1:], last.diff().to_numpy()[1:])
        assert out[f"dy_{tenor}"][0] is None
    np.testing.assert_allclose(out["term_spread"], out["y_10y"] - out["y_1m"], atol=0)
    np.testing.assert_allclose(out["term_spread_change"][1:], (out["dy_10y"] - out["dy_1m"])[1:], atol=0)
    expected = [_by_cash_flows(a, b, 20) for a, b in zip(out["y_20y"][:-1], out["y_20y"][1:], strict=True)]
    np.testing.assert_allclose(out["par_return_20y"].to_numpy()[1:], expected, atol=1e-13)


def test_forward_spreads_reprice_the_zero_bonds(par_yields, zero_yields) -> None:
    out = treasury_curve(par_yields, zero_yields, MONTHS[5:7])
    for row in out.iter_rows(named=True):
        z = zero_yields.filter(pl.col("month") == row["month"])["zero_yield"].to_numpy()
        price = [np.exp(-n * z[12 * n - 1] / 100) for n in range(1, 12)]
        for n in range(1, 11):
            forward = 100 * np.log(price[n - 1] / price[n])
            assert row[f"zero_{n}"] == z[12 * n - 1]
            assert row[f"forward_spread_{n}"] == pytest.approx(forward - z[11], abs=1e-10)


def test_without_zero_yields_the_zeros_are_null_and_the_rest_stands(par_yields) -> None:
    out = treasury_curve(par_yields, None, MONTHS[3:4])
    assert out["forward_spread_1"][0] is None
    assert out["zero_11"][0] is None
    assert out["y_10y"][0] is not None


def test_a_tenor_not_quoted_on_the_last_day_is_null(par_yields) -> None:
    stopped = par_yields["30y"].filter(pl.col("date") <= date(2002, 2, 15))
    without = {t: f for t, f in par_yields.items() if t not in {"7y", "30y"}}
    out = treasury_curve({**without, "30y": stopped}, None, month_range(date(2002, 1, 1), date(2002, 3, 1)))
    assert out["y_30y"].is_null().to_list() == [False, True, True]
    assert out["par_return_30y"].is_null().to_list() == [False, True, True]
    assert out["y_7y"].null_count() == 3
    assert out["y_20y"].null_count() == 0


def test_keeps_the_promise(par_yields, zero_yields, check_promise) -> None:
    frames = {**par_yields, "zero": zero_yields}

    def build(f, months):
        return treasury_curve({t: f[t] for t in TREASURY_SERIES}, f["zero"], months)

    check_promise(build, frames, [MONTHS[0], MONTHS[1], MONTHS[12], MONTHS[-1]])


def test_an_unknown_tenor_is_refused(par_yields) -> None:
    with pytest.raises(ValueError, match="4y"):
        treasury_curve({"4y": par_yields["3y"]}, None, MONTHS)
