"""The table of linear kernels: what each row is, what it rests on, and why a row is missing."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from linearmodels.iv import IVGMM

from pipeline.macro.macro_factors import MacroFactorSettings
from pipeline.macro.published_factors import PublishedFactors, factors_of_published
from pipeline.models.kernel_table import kernel_table
from pipeline.models.linear_sdf import difference_j, estimate_linear_sdf
from pipeline.models.linear_settings import FIRST_STAGE, GmmSettings, LinearSdfSettings
from pipeline.models.linear_tables import BOND_FACTOR, KERNELS_SCHEMA
from pipeline.panel.calendar import month_range, shift

FIRST, T, N = date(1990, 1, 1), 120, 9
MONTHS = month_range(FIRST, shift(FIRST, T - 1))
SETTINGS = LinearSdfSettings(sizes=(2, 4, 30), min_months=60)


@pytest.fixture(scope="module")
def data() -> dict[str, pl.DataFrame]:
    """Nine portfolios that load on two macro factors and the bond factor, one begun late, one short and one of gaps."""
    rng = np.random.default_rng(0)
    macro = rng.normal(size=(T, 4))
    series = macro @ rng.normal(size=(4, 12)) + 0.5 * rng.normal(size=(T, 12))
    cp = 0.01 * rng.normal(size=T)
    shared = np.column_stack([macro[:, :2], 100 * cp]) @ rng.normal(size=(3, N))
    returns = 0.002 + 0.01 * shared + 0.01 * rng.normal(size=(T, N))
    begun = [0] * (N - 2) + [20, 90]
    rows = [
        {"month": MONTHS[t], "asset_id": f"p{n}", "ret": returns[t, n]}
        for n in range(N)
        for t in range(begun[n], T)
        if (n, t) != (3, 50)
    ]
    wide = pl.DataFrame({"month": MONTHS, **{f"S{k}": series[:, k] for k in range(12)}})
    return {
        "returns": pl.DataFrame(rows),
        "published": wide.unpivot(index="month", variable_name="series", value_name="value"),
        "bond_factor": pl.DataFrame({"month": MONTHS, BOND_FACTOR: [None] * 30 + cp[30:].tolist()}),
    }


def _macro(data: dict[str, pl.DataFrame], month: date) -> PublishedFactors | None:
    return factors_of_published(data["published"], month, 30, MacroFactorSettings(n_factors=4, min_series=8))


def _table(data: dict[str, pl.DataFrame], month: date, settings: LinearSdfSettings = SETTINGS) -> pl.DataFrame:
    return kernel_table(data["returns"], _macro(data, month), data["bond_factor"], month, settings)


@pytest.fixture(scope="module")
def table(data) -> pl.DataFrame:
    return _table(data, MONTHS[-1])


def _sample(data, columns: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Months in which eight portfolios and the factors are there, looked up one by one."""
    factors = _macro(data, MONTHS[-1]).frame(4).join(data["bond_factor"], on="month")
    known = {row["month"]: row for row in factors.iter_rows(named=True)}
    earned = {(month, asset): ret for month, asset, ret in data["returns"].iter_rows()}
    names = [f"p{n}" for n in range(N - 1)]
    kept = [
        month
        for month in MONTHS
        if all((month, name) in earned for name in names) and all(known[month][c] is not None for c in columns)
    ]
    R = np.array([[earned[month, name] for name in names] for month in kept])
    return R, np.array([[known[month][c] for c in columns] for month in kept])


def test_every_row_is_a_kernel_of_linearmodels(data, table) -> None:
    for n_factors, cp in [(0, True), (2, False), (2, True), (4, False), (4, True)]:
        names = (*(f"pc_{k}" for k in range(1, n_factors + 1)), *((BOND_FACTOR,) if cp else ()))
        R, F = _sample(data, names)
        row = table.filter((pl.col("n_factors") == n_factors) & (pl.col("cp") == cp)).row(0, named=True)
        theirs = IVGMM(np.ones(len(R)), None, F, R).fit(iter_limit=2, initial_weight=np.eye(N - 1))
        assert (row["j"], row["p"]) == pytest.approx((theirs.j_stat.stat, theirs.j_stat.pval), rel=1e-7)
        assert (row["n_months"], row["n_assets"], row["n_series"]) == (len(R), N - 1, 12)
        assert row["degrees_of_freedom"] == N - 1 - len(names)
        direct = estimate_linear_sdf(R, F, names, SETTINGS.gmm)
        for measure in ("sharpe", "explained_variation", "r2", "cross_sectional_r2"):
            assert row[measure] == pytest.approx(getattr(direct, measure), rel=1e-12)
        assert row["reason"] is None
        if cp and n_factors:
            test = difference_j(R, F, names, [BOND_FACTOR], SETTINGS.gmm)
            assert (row["difference"], row["p_difference"]) == pytest.approx((test.statistic, test.p), rel=1e-12)
        else:
            assert (row["difference"], row["p_difference"]) == (None, None)
    # The gap and the late portfolio take months away, and so does the bond factor where it is there.
    assert table["n_months"].to_list() == [89, 99, 89, 99, 89, None, None]


def test_a_kernel_that_the_data_cannot_carry_says_why(data, table) -> None:
    assert dict(table.schema) == KERNELS_SCHEMA
    assert table.select("n_factors", "cp").rows() == list(SETTINGS.specifications)
    large = table.filter(pl.col("n_factors") == 30)
    assert large["reason"].unique().to_list() == ["30 macro factors are asked for, the published series carry 11"]
    assert large.drop("month", "n_factors", "cp", "n_series", "n_assets", "reason").null_count().row(0) == (2,) * 11
    more_factors_than_assets = _table(data, MONTHS[-1], LinearSdfSettings(sizes=(8, 9), min_months=60))
    assert more_factors_than_assets["reason"].is_null().to_list() == [True, True, False, False, False]
    assert "9 factors, 8 assets" in more_factors_than_assets["reason"][2]
    no_macro = kernel_table(data["returns"], None, data["bond_factor"], MONTHS[-1], SETTINGS)
    assert no_macro["reason"].is_null().to_list() == [True] + [False] * 6
    constant = data["bond_factor"].with_columns(pl.lit(None, pl.Float64).alias(BOND_FACTOR))
    no_bond_factor = kernel_table(data["returns"], _macro(data, MONTHS[-1]), constant, MONTHS[-1], SETTINGS)
    assert no_bond_factor.filter("cp")["reason"].str.contains("8 assets, 0 months").sum() == 3
    assert no_bond_factor.filter(~pl.col("cp"))["p"].to_list()[:2] == table.filter(~pl.col("cp"))["p"].to_list()[:2]
    nobody = _table(data, MONTHS[-1], LinearSdfSettings(sizes=(2,), min_months=121))
    assert nobody["reason"].unique().to_list() == ["no asset has had 121 returns and one of them in the last 12 months"]


def test_a_portfolio_that_has_ended_is_left_out_after_a_year(data, table) -> None:
    ended = pl.col("asset_id") == "p0"
    for months_without, n_assets, n_months in [(0, 8, 99), (11, 8, 88), (12, 7, 99)]:
        returns = data["returns"].filter(~ended | (pl.col("month") <= MONTHS[-1 - months_without]))
        rows = kernel_table(returns, _macro(data, MONTHS[-1]), data["bond_factor"], MONTHS[-1], SETTINGS)
        two = rows.filter((pl.col("n_factors") == 2) & ~pl.col("cp"))
        assert two.select("n_assets", "n_months").row(0) == (n_assets, n_months)
    never = kernel_table(
        data["returns"].filter(~ended), _macro(data, MONTHS[-1]), data["bond_factor"], MONTHS[-1], SETTINGS
    )
    assert rows.equals(never)


def test_portfolios_that_others_make_up_are_named_in_place_of_numbers(data) -> None:
    """A mixture of two portfolios, the moments of which would be inverted to noise."""
    pair = data["returns"].filter(pl.col("asset_id").is_in(["p0", "p1"]))
    weight = pl.when(pl.col("asset_id") == "p0").then(0.3).otherwise(0.7)
    mixture = pair.group_by("month").agg((weight * pl.col("ret")).sum().alias("ret"))
    returns = pl.concat([data["returns"], mixture.select("month", pl.lit("p01").alias("asset_id"), "ret")])
    rows = kernel_table(returns, _macro(data, MONTHS[-1]), data["bond_factor"], MONTHS[-1], SETTINGS)
    carried = rows.filter(pl.col("n_factors") < 30)
    assert carried["reason"].str.contains(r"9 assets are linearly dependent \(rank 8\).*leave out 1").all()
    assert carried.select("n_months", "j", "p", "difference", "converged").null_count().row(0) == (5,) * 5


def test_later_rows_do_not_matter(data) -> None:
    month = MONTHS[90]
    first = _table(data, month)
    assert first["n_assets"][0] == N - 1
    floats, later = pl.selectors.float(), pl.col("month") > month
    for variant in (
        {name: frame.filter(~later) for name, frame in data.items()},
        {
            name: frame.with_columns(pl.when(later).then(floats * 1.7 + 3.1).otherwise(floats))
            for name, frame in data.items()
        },
        {name: frame.sample(fraction=1.0, shuffle=True, seed=1) for name, frame in data.items()},
    ):
        assert _table(variant, month).equals(first)


def test_settings_refuse_what_cannot_be() -> None:
    assert LinearSdfSettings().specifications[:3] == ((0, True), (7, False), (7, True))
    for wrong, words in [
        ({"sizes": ()}, "sizes"),
        ({"sizes": (0, 7)}, "sizes"),
        ({"counted_most": (5, 5)}, "counted_most"),
        ({"min_months": 2}, "min_months"),
        ({"refit_months": 0}, "refit_months"),
        ({"gmm": GmmSettings(stage=FIRST_STAGE)}, "first_stage"),
    ]:
        with pytest.raises(ValueError, match=words):
            LinearSdfSettings(**wrong)
