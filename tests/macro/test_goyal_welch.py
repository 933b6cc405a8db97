import math
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.macro.goyal_welch import PREDICTORS, RECIPES, GoyalWelchSettings, goyal_welch
from pipeline.panel.calendar import month_range

FIRST, LAST = date(2000, 1, 1), date(2003, 12, 31)
MONTHS = month_range(FIRST, LAST.replace(day=1))
N = len(MONTHS)


@pytest.fixture(scope="module")
def tables(daily) -> dict[str, pl.DataFrame]:
    rng = np.random.default_rng(5)
    without = rng.normal(0.005, 0.04, N)
    issues = rng.normal(0.001, 0.004, N)
    msi = pl.DataFrame(
        {
            "month": MONTHS,
            "vwretx": without,
            "vwretd": without + rng.uniform(0.0005, 0.003, N),
            "totval": 1e9 * np.cumprod(1 + without + issues),
        }
    )
    days = daily(FIRST, LAST, 6, "level")
    noise = np.random.default_rng(7).normal(0, 0.01, len(days))
    fred = {
        f"fred.{name}": pl.DataFrame({"month": MONTHS, "value": level + rng.normal(0, 0.2, N)})
        for name, level in {"GS10": 5.0, "TB3MS": 3.0, "BAA": 7.0, "AAA": 6.0}.items()
    }
    walk = {c: 0.05 + rng.normal(0, 0.001, N).cumsum() for c in ("tbl", "lty", "aaa", "baa", "ntis")}
    published = pl.DataFrame(
        {
            "month": MONTHS,
            "index": 1000 + rng.normal(0, 20, N).cumsum(),
            "d12": 16 + rng.normal(0, 0.1, N).cumsum(),
            "bm": rng.uniform(0.2, 0.4, N),
            "svar": rng.uniform(0.001, 0.01, N),
            **walk,
        }
    )
    return {
        "crsp.msi": msi,
        "crsp.dsi": days.select("date", "month", vwretd=noise),
        "french.factors_3_daily": days.select("date", "month", mkt_rf=100 * noise[::-1] - 0.01, rf=pl.lit(0.01)),
        "goyal_welch.predictors": published,
        **fred,
    }


def test_dividends_and_issues_agree_with_index_levels(tables: dict[str, pl.DataFrame]) -> None:
    msi = tables["crsp.msi"].to_dicts()
    level, dividend, issue, cap = [100.0], [], [], []
    for t, row in enumerate(msi):
        dividend.append(level[-1] * (row["vwretd"] - row["vwretx"]))
        level.append(level[-1] * (1 + row["vwretx"]))
        cap.append(row["totval"])
        issue.append(cap[t] - cap[t - 1] * (1 + row["vwretx"]) if t else math.nan)
    out = goyal_welch({"crsp.msi": tables["crsp.msi"]}, MONTHS)
    for t in range(N):
        dp = [math.log(sum(dividend[s - 11 : s + 1]) / level[s + 1]) for s in (t - 1, t)] if t >= 12 else None
        assert out["dp"][t] == (pytest.approx(dp[1] - dp[0], abs=1e-11) if dp else None)
        ntis = [sum(issue[s - 11 : s + 1]) / cap[s] for s in (t - 1, t)] if t >= 13 else None
        assert out["ntis"][t] == (pytest.approx(ntis[1] - ntis[0], abs=1e-11) if ntis else None)


def test_realised_variance_is_the_sum_of_squared_daily_returns(tables: dict[str, pl.DataFrame]) -> None:
    squares = tables["crsp.dsi"].to_pandas().assign(square=lambda d: d["vwretd"] ** 2)
    expected = np.log(squares.groupby("month")["square"].sum()).diff().to_numpy()
    out = goyal_welch({"crsp.dsi": tables["crsp.dsi"]}, MONTHS)
    np.testing.assert_allclose(out["svar"].to_numpy()[1:], expected[1:], atol=1e-12)
    french = goyal_welch({"french.factors_3_daily": tables["french.factors_3_daily"]}, MONTHS)
    percent = tables["french.factors_3_daily"].to_pandas().assign(square=lambda d: (d["mkt_rf"] + d["rf"]) ** 2)
    expected = np.log(percent.groupby("month")["square"].sum()).diff().to_numpy()
    np.testing.assert_allclose(french["svar"].to_numpy()[1:], expected[1:], atol=1e-12)


def test_published_columns(tables: dict[str, pl.DataFrame]) -> None:
    file = tables["goyal_welch.predictors"]
    p = file.to_pandas()
    out = goyal_welch({"goyal_welch.predictors": file}, MONTHS).to_pandas()
    expected = {
        "dp": np.log(p["d12"] / p["index"]).diff(),
        "bm": np.log(p["bm"]).diff(),
        "ntis": p["ntis"].diff(),
        "tms": 100 * (p["lty"] - p["tbl"]),
        "dfy": 100 * (p["baa"] - p["aaa"]).diff(),
        "svar": np.log(p["svar"]).diff(),
    }
    for name, series in expected.items():
        np.testing.assert_allclose(out[name], series, atol=1e-12)
    assert out["source"][0] == "tms:published"
    assert out["source"][1] == " ".join(f"{name}:published" for name in PREDICTORS)


def test_raw_series_come_first_and_the_file_fills_their_months(tables: dict[str, pl.DataFrame]) -> None:
    ended = tables | {"fred.GS10": tables["fred.GS10"].filter(pl.col("month") < date(2003, 1, 1))}
    out = goyal_welch(ended, [date(2002, 12, 1), date(2003, 1, 1)])
    assert out["source"].to_list() == [
        "dp:crsp bm:published ntis:crsp tms:fred dfy:fred svar:crsp",
        "dp:crsp bm:published ntis:crsp tms:published dfy:fred svar:crsp",
    ]
    gs10, tb3ms = (
        tables[f"fred.{s}"].filter(pl.col("month") == date(2002, 12, 1))["value"].item() for s in ("GS10", "TB3MS")
    )
    assert out["tms"][0] == gs10 - tb3ms


def test_nothing_on_disk_is_a_row_of_nulls() -> None:
    out = goyal_welch({}, MONTHS[:2])
    assert out["month"].to_list() == MONTHS[:2]
    assert out.select(PREDICTORS).null_count().sum_horizontal().item() == 2 * len(PREDICTORS)
    assert out["source"].to_list() == ["", ""]


def test_a_month_of_few_days_has_no_variance(tables: dict[str, pl.DataFrame]) -> None:
    short = tables["crsp.dsi"].filter((pl.col("month") != date(2001, 5, 1)) | (pl.col("date").dt.day() < 8))
    out = goyal_welch({"crsp.dsi": short}, month_range(date(2001, 4, 1), date(2001, 7, 1)), GoyalWelchSettings())
    assert out["svar"].is_null().to_list() == [False, True, True, False]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: f"{r.series}-{r.source}")
def test_every_recipe_keeps_the_promise(recipe, tables: dict[str, pl.DataFrame], check_promise) -> None:
    used = {name: tables[name] for name in recipe.tables}
    months = [MONTHS[0], MONTHS[12], MONTHS[13], MONTHS[20], MONTHS[-1]]
    check_promise(lambda f, m: goyal_welch(f, m).select("month", recipe.series, "source"), used, months)
    assert goyal_welch(used, [MONTHS[-1]])[recipe.series].null_count() == 0


def test_settings_refuse_no_days() -> None:
    with pytest.raises(ValueError, match="min_days 0"):
        GoyalWelchSettings(min_days=0)
