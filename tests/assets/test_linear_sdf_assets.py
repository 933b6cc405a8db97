"""The linear side as monthly assets: what each month reads, that nothing later matters, and plain loops beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from assets.building import Previous
from assets.linear_sdf import ASSETS
from assets.reads import Inputs
from pipeline.macro.cochrane_piazzesi import CochranePiazzesiSettings, whole_sample_factor
from pipeline.macro.factor_signs import aligned_factors
from pipeline.macro.macro_factors import MacroFactorSettings, macro_factors
from pipeline.macro.published_factors import factors_of_published
from pipeline.models.linear_sdf import estimate_linear_sdf
from pipeline.models.linear_settings import LinearSdfSettings, PredictiveSettings, RegimeSettings
from pipeline.panel.calendar import month_range, shift
from resources.settings import Settings

FIRST, T, N, SERIES = date(2010, 1, 1), 96, 5, 9
MONTHS = month_range(FIRST, shift(FIRST, T - 1))
BEGUN = 24
"""Month in which the portfolios begin."""
SETTINGS = Settings(
    macro_factors=MacroFactorSettings(n_factors=2, min_months=24, min_series=5, min_observations=20),
    cochrane_piazzesi=CochranePiazzesiSettings(longest=3, min_months=12),
    linear_sdf=LinearSdfSettings(sizes=(2, 8), min_months=48, refit_months=6, counted_most=(3, 5)),
    predictive_regressions=PredictiveSettings(min_months=48, refit_months=6),
    regimes=RegimeSettings(n_states=(2,), min_months=48, refit_months=6, start_months=24, n_starts=1),
)
BY_NAME = {asset.name: asset for asset in ASSETS}
ESTIMATED = [MONTHS[BEGUN + 47 + 6 * k] for k in range(5) if BEGUN + 47 + 6 * k < T]

Frames = dict[str, pl.DataFrame]


class Held:
    """A read of the whole past."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.held = frame

    def frame(self, first: date, last: date) -> pl.LazyFrame:
        """Rows up to the last month."""
        return self.held.lazy().filter(pl.col("month") <= last)


def build(name: str, frames: Mapping[str, pl.DataFrame], months: Sequence[date]) -> pl.DataFrame:
    """Rows of months, built in one range and checked against the schema; a recursive asset from its beginning."""
    asset = BY_NAME[name]
    sources = {key: Held(frames[read.source]) for key, read in asset.reads(SETTINGS).items()}
    if not asset.recursive:
        made = asset.compute(Inputs(sources, months[0], months[-1]), months, SETTINGS)
    else:
        blocks, previous = [], None
        every = month_range(min(MONTHS[BEGUN + 47], months[0]), months[-1])
        inputs = Inputs(sources, every[0], every[-1])
        for month in every:
            step = asset.compute(inputs, month, SETTINGS, previous)
            previous = Previous(step.frame, dict(step.arrays), dict(step.text))
            blocks.append(step.frame)
        made = pl.concat(blocks).filter(pl.col("month").is_in(list(months)))
    schema = asset.schema(SETTINGS)
    return schema.validate(made).sort("month", *schema.primary_key())


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Five portfolios whose returns follow last month's second macro factor, a curve, and series behind the factors."""
    rng = np.random.default_rng(0)
    macro = np.zeros((T, 2))
    for t in range(1, T):
        macro[t] = 0.6 * macro[t - 1] + rng.normal(size=2)
    series = macro @ rng.normal(size=(2, SERIES)) + 0.4 * rng.normal(size=(T, SERIES))
    bill = 0.001 + 0.0005 * rng.random(T)
    excess = 0.01 * rng.normal(size=(T, N)) + 0.002
    excess[1:] += 0.004 * macro[:-1, [1]]
    portfolios = [
        {"month": MONTHS[t], "portfolio": f"p{n}", "ret": excess[t, n] + bill[t], "ret_excess": excess[t, n]}
        for n in range(N)
        for t in range(BEGUN, T)
    ]
    level, slope = 0.02 + 0.002 * rng.normal(size=T).cumsum(), 0.01 + 0.001 * rng.normal(size=T).cumsum()
    curve = {f"zero_{n}": 100 * (level + slope * n / 3) + 0.05 * rng.normal(size=T) for n in range(1, 4)}
    wide = pl.DataFrame({"month": MONTHS, **{f"S{k}": series[:, k] for k in range(SERIES)}})
    published = wide.unpivot(index="month", variable_name="series", value_name="value")
    made: Frames = {
        "bond_portfolios": pl.DataFrame(portfolios),
        "fred_md": published,
        "treasury_curve": pl.DataFrame({"month": MONTHS, **curve}),
    }
    staged = published.with_columns(tcode=pl.lit(1, dtype=pl.Int8))
    made["macro_factors"] = macro_factors({"2020-01": staged}, MONTHS, SETTINGS.macro_factors)
    made["cochrane_piazzesi"] = build("cochrane_piazzesi", made, MONTHS)
    return made


@pytest.fixture(scope="module")
def built(frames: Frames) -> Frames:
    """Every asset, all months in one range."""
    return {name: build(name, frames, MONTHS[BEGUN + 44 :]) for name in BY_NAME}


def test_what_is_estimated_now_and_then_depends_on_the_number_of_months_alone(frames, built) -> None:
    for name in ("bond_portfolio_linear_sdf", "macro_factor_counts", "bond_portfolio_predictive_regressions"):
        assert built[name]["month"].unique().sort().to_list() == ESTIMATED
    regimes = built["bond_portfolio_regimes"]
    assert regimes["estimated_in"].unique().sort().to_list() == ESTIMATED
    assert regimes["month"].unique().sort().to_list() == MONTHS[BEGUN + 47 :]
    # A month without returns counts for nothing, and nothing is estimated in it.
    gone = frames | {"bond_portfolios": frames["bond_portfolios"].filter(pl.col("month") != ESTIMATED[1])}
    kernels = build("bond_portfolio_linear_sdf", gone, MONTHS[BEGUN + 44 :])
    assert kernels["month"].unique().sort().to_list() == [ESTIMATED[0], *(shift(m, 1) for m in ESTIMATED[1:])][:4]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_month_alone_is_that_of_the_range_whatever_comes_later(name, frames, built) -> None:
    floats = pl.selectors.float()
    for month in (ESTIMATED[1], shift(ESTIMATED[2], 1)):
        later = pl.col("month") > month
        expected = built[name].filter(pl.col("month") == month)
        assert expected.height or month not in ESTIMATED
        for variant in (
            frames,
            {key: frame.filter(~later) for key, frame in frames.items()},
            {
                key: frame.with_columns(pl.when(later).then(floats * 1.7 + 0.1).otherwise(floats))
                for key, frame in frames.items()
            },
        ):
            assert build(name, variant, [month]).equals(expected)


def test_the_kernels_are_those_of_a_direct_call(frames, built) -> None:
    month = ESTIMATED[-1]
    rows = built["bond_portfolio_linear_sdf"].filter(pl.col("month") == month)
    assert rows.select("n_factors", "cp").rows() == [(0, True), (2, False), (2, True), (8, False), (8, True)]
    macro = factors_of_published(frames["fred_md"], month, 8, SETTINGS.macro_factors).frame(2)
    bond_factor = whole_sample_factor(frames["treasury_curve"], month, SETTINGS.cochrane_piazzesi)
    wide = frames["bond_portfolios"].pivot("portfolio", index="month", values="ret_excess")
    sample = wide.join(macro, on="month").join(bond_factor, on="month").filter(pl.col("month") <= month).sort("month")
    names = ["pc_1", "pc_2", "cochrane_piazzesi"]
    fit = estimate_linear_sdf(
        sample.select(f"p{n}" for n in range(N)).to_numpy(), sample.select(names).to_numpy(), names
    )
    found = rows.filter((pl.col("n_factors") == 2) & pl.col("cp")).row(0, named=True)
    assert found["n_months"] == fit.n_months == BEGUN + 47 + 6 * 4 - BEGUN + 1
    assert (found["j"], found["p"], found["r2"]) == pytest.approx((fit.j, fit.p, fit.r2), rel=1e-9)
    too_many = rows.filter(pl.col("n_factors") == 8)
    assert too_many["reason"].to_list() == [
        f"{K} factors, 5 assets, 72 months: the moments ask for at least one factor, no more factors than assets and "
        "more months than assets"
        for K in (8, 9)
    ]


def _regressed(frames: Frames, month: date, portfolio: str, names: list[str]) -> sm.regression.linear_model.OLSResults:
    """Least squares of statsmodels on pairs looked up one by one."""
    own = frames["bond_portfolios"].filter((pl.col("portfolio") == portfolio) & (pl.col("month") <= month))
    aligned = aligned_factors(frames["macro_factors"]).join(frames["cochrane_piazzesi"], on="month")
    known = {row["month"]: row for row in aligned.iter_rows(named=True)}
    pairs = [
        (excess, [1.0, *(known[shift(earned, -1)][name] for name in names)])
        for earned, excess in own.select("month", "ret_excess").iter_rows()
        if all(known[shift(earned, -1)][name] is not None for name in names)
    ]
    return sm.OLS(np.array([y for y, _ in pairs]), np.array([x for _, x in pairs])).fit()


def test_forecasts_are_those_of_a_plain_loop(frames, built) -> None:
    forecasts = built["bond_portfolio_predictive_forecasts"]
    month = MONTHS[-3]
    found = {
        (model, asset): forecast
        for model, asset, forecast in forecasts.filter(pl.col("month") == month)
        .select("model", "asset_id", "forecast")
        .iter_rows()
    }
    models = {
        "mean": [],
        "predictive_cp": ["cochrane_piazzesi"],
        "predictive_macro": ["pc_1", "pc_2"],
        "predictive_macro_cp": ["pc_1", "pc_2", "cochrane_piazzesi"],
    }
    aligned = aligned_factors(frames["macro_factors"]).join(frames["cochrane_piazzesi"], on="month")
    today = aligned.filter(pl.col("month") == month).row(0, named=True)
    assert len(found) == 5 * N
    for (model, asset), forecast in found.items():
        if model == "zero":
            assert forecast == 0.0
            continue
        fit = _regressed(frames, month, asset, models[model])
        assert forecast == pytest.approx(fit.params @ [1.0, *(today[name] for name in models[model])], abs=1e-12)
    counts = dict(forecasts.select("model", "n_factors").unique().iter_rows())
    assert counts == {"zero": 0, "mean": 0, "predictive_cp": 1, "predictive_macro": 2, "predictive_macro_cp": 3}
    assert (forecasts["target_month"] == forecasts["month"].dt.offset_by("1mo")).all()


def test_predictors_of_real_time_and_of_the_whole_sample_are_told_apart(frames, built) -> None:
    month = ESTIMATED[-1]
    rows = built["bond_portfolio_predictive_regressions"].filter(pl.col("month") == month)
    assert rows.height == 2 * N * (2 + 4)
    logs = frames["bond_portfolios"].with_columns(
        ret_excess=(1 + pl.col("ret")).log() - (1 + pl.col("ret") - pl.col("ret_excess")).log()
    )
    names = ["cochrane_piazzesi", "pc_1", "pc_2"]
    fit = _regressed(frames | {"bond_portfolios": logs}, month, "p3", names)
    own = rows.filter((pl.col("portfolio") == "p3") & (pl.col("specification") == "macro_cp"))
    by_kind = {
        kind: dict(own.filter(pl.col("factors") == kind).select("predictor", "coefficient").iter_rows())
        for kind in ("real_time", "whole_sample")
    }
    theirs = dict(zip(["constant", *names], fit.params, strict=True))
    assert by_kind["real_time"] == pytest.approx(theirs, rel=1e-7)
    robust = fit.get_robustcov_results("HC1")
    errors = own.filter(pl.col("factors") == "real_time").select("predictor", "standard_error")
    assert dict(errors.iter_rows()) == pytest.approx(dict(zip(theirs, robust.bse, strict=True)), rel=1e-7)
    assert by_kind["whole_sample"]["cochrane_piazzesi"] != pytest.approx(theirs["cochrane_piazzesi"], rel=1e-3)
    # Next month's returns do follow a macro factor.
    p = rows.filter((pl.col("factors") == "whole_sample") & pl.col("predictor").is_in(["pc_1", "pc_2"]))
    assert p.group_by("portfolio").agg(pl.col("p").min())["p"].max() < 0.05


def test_a_panel_too_small_for_factors_leaves_nulls(frames) -> None:
    few = {
        "fred_md": frames["fred_md"].filter(pl.col("series") < "S4"),
        "macro_factors": frames["macro_factors"].with_columns(
            pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in frames["macro_factors"].schema.items()
            if name != "month"
        ),
    }
    rows = build("bond_portfolio_predictive_regressions", frames | few, ESTIMATED[-1:])
    assert rows.filter(pl.col("specification") == "cp")["coefficient"].null_count() == 0
    assert rows.filter(pl.col("specification") == "macro_cp")["coefficient"].is_null().all()
    forecasts = build("bond_portfolio_predictive_forecasts", frames | few, ESTIMATED[-1:])
    assert set(forecasts["model"]) == {"zero", "mean", "predictive_cp"}
    kernels = build("bond_portfolio_linear_sdf", frames | few, ESTIMATED[-1:])
    assert kernels["reason"].is_null().to_list() == [True, False, False, False, False]
    assert build("macro_factor_counts", frames | few, ESTIMATED[-1:]).is_empty()
