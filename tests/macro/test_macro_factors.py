from datetime import date

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA

from pipeline.macro.macro_factors import (
    CRITERIA,
    MacroFactorSettings,
    bai_ng_count,
    estimate_factors,
    factor_counts,
    fix_signs,
    macro_factors,
    without_outliers,
)
from pipeline.panel.calendar import month_range, shift

SMALL = MacroFactorSettings(n_factors=5, min_series=10)
FIRST, N_MONTHS, N_SERIES, TRUE_FACTORS = date(1990, 1, 1), 150, 40, 3


def _panel(seed: int, missing: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A panel of a known number of factors, and the factors."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(N_MONTHS, TRUE_FACTORS)) * [3.0, 2.0, 1.5]
    common = factors @ rng.normal(size=(TRUE_FACTORS, N_SERIES))
    # Noise in proportion: a series of little but noise would count as a factor of its own.
    values = common + 0.6 * common.std(axis=0) * rng.normal(size=common.shape)
    values = 10 + 5 * values
    values[rng.random(values.shape) < missing] = np.nan
    return values, factors


def _slow_em(values: np.ndarray, settings: MacroFactorSettings) -> tuple[np.ndarray, int]:
    """The same algorithm from whole singular value decompositions, nothing shared with the module."""
    missing = np.isnan(values)
    filled = np.where(missing, np.nanmean(values, axis=0), values)
    n_months, n_series = values.shape
    old = np.full(missing.sum(), 0.0)
    while True:
        mean, deviation = filled.mean(axis=0), filled.std(axis=0, ddof=1)
        z = (filled - mean) / deviation
        u, s, vt = np.linalg.svd(z, full_matrices=False)
        v = [((z - (u[:, :k] * s[:k]) @ vt[:k]) ** 2).mean() for k in range(settings.n_factors + 1)]
        unit = (n_series + n_months) / (n_series * n_months) * np.log(min(n_series, n_months))
        chosen = int(np.argmin([v[k] + k * v[-1] * unit for k in range(len(v))]))
        if not missing.any():
            return (u * s)[:, : settings.n_factors] / np.sqrt(n_series), chosen
        k = max(chosen, 1)
        common = ((u[:, :k] * s[:k]) @ vt[:k])[missing]
        if ((common - old) ** 2).sum() < 1e-26 * (common**2).sum():
            return (u * s)[:, : settings.n_factors] / np.sqrt(n_series), chosen
        old = common
        filled[missing] = (mean + deviation * ((u[:, :k] * s[:k]) @ vt[:k]))[missing]


def test_complete_panel_agrees_with_scikit_learn() -> None:
    values, _ = _panel(1)
    fit = estimate_factors(values, SMALL)
    z = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    other = PCA(n_components=5, svd_solver="full").fit(z)
    scores = other.transform(z) / np.sqrt(N_SERIES)
    signs = np.sign((scores * fit.factors).sum(axis=0))
    np.testing.assert_allclose(fit.factors, scores * signs, atol=1e-10)
    np.testing.assert_allclose(fit.explained, other.explained_variance_ratio_, atol=1e-12)
    np.testing.assert_allclose(fit.loadings.T @ fit.loadings / N_SERIES, np.eye(5), atol=1e-12)
    assert (fit.iterations, fit.converged) == (0, True)


def test_em_ends_where_slow_decompositions_end() -> None:
    values, _ = _panel(2, missing=0.08)
    settings = MacroFactorSettings(n_factors=5, min_series=10, tolerance=1e-26, max_iterations=500)
    fit = estimate_factors(values, settings)
    factors, chosen = _slow_em(values, settings)
    assert fit.converged
    assert fit.n_bai_ng == chosen
    # Beyond the true three the eigenvalues are close together, so that their vectors amplify what EM leaves.
    signs = np.sign((factors * fit.factors).sum(axis=0))
    np.testing.assert_allclose(fit.factors[:, :3], (factors * signs)[:, :3], atol=1e-9)
    np.testing.assert_allclose(fit.factors, factors * signs, atol=1e-6)


def test_the_logarithmic_criterion_finds_the_true_number() -> None:
    settings = MacroFactorSettings(n_factors=8, min_series=10, criterion="ic_p2")
    counts = [estimate_factors(_panel(seed)[0], settings).n_bai_ng for seed in range(5)]
    assert counts == [TRUE_FACTORS] * 5


def test_factors_span_the_true_ones_with_a_tenth_missing() -> None:
    values, truth = _panel(3, missing=0.1)
    fit = estimate_factors(values, SMALL)
    coefficients, *_ = np.linalg.lstsq(fit.factors[:, :3], truth - truth.mean(axis=0), rcond=None)
    fitted = fit.factors[:, :3] @ coefficients
    r2 = 1 - ((truth - truth.mean(axis=0) - fitted) ** 2).sum(axis=0) / truth.var(axis=0) / N_MONTHS
    assert r2.min() > 0.9


def test_reaching_the_last_iteration_is_recorded() -> None:
    values, _ = _panel(2, missing=0.08)
    fit = estimate_factors(values, MacroFactorSettings(n_factors=5, min_series=10, tolerance=1e-26, max_iterations=3))
    assert (fit.iterations, fit.converged) == (3, False)


@pytest.mark.parametrize("criterion", ["pc_p2", "ic_p2"])
def test_bai_ng_by_hand(criterion: str) -> None:
    n_months, n_series = 100, 50
    v = np.array([1.0, 0.5, 0.3, 0.29])
    unit = 150 / 5000 * np.log(50)
    written_out = {
        "pc_p2": [1.0, 0.5 + 0.29 * unit, 0.3 + 2 * 0.29 * unit, 0.29 + 3 * 0.29 * unit],
        "ic_p2": [0.0, np.log(0.5) + unit, np.log(0.3) + 2 * unit, np.log(0.29) + 3 * unit],
    }[criterion]
    assert bai_ng_count(v, n_months, n_series, criterion) == int(np.argmin(written_out)) == 2


@pytest.mark.parametrize("scale", [1.0, 0.7])
@pytest.mark.parametrize(
    ("number", "unit"), [(1, 150 / 5000 * np.log(5000 / 150)), (2, 150 / 5000 * np.log(50)), (3, np.log(50) / 50)]
)
def test_all_criteria_and_scales_by_hand(number: int, unit: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    counts = set()
    for _ in range(40):
        v = np.cumprod(np.concatenate([[1.0], 1 - rng.uniform(0, 0.2, 6)]))
        levels = [v[k] + scale * k * v[6] * unit for k in range(7)]
        logs = [np.log(v[k]) + scale * k * unit for k in range(7)]
        counts |= {levels.index(min(levels)), logs.index(min(logs))}
        assert bai_ng_count(v, 100, 50, f"pc_p{number}", scale) == levels.index(min(levels))
        assert bai_ng_count(v, 100, 50, f"ic_p{number}", scale) == logs.index(min(logs))
    assert len(counts) > 2


def test_counts_of_an_estimate() -> None:
    settings = MacroFactorSettings(n_factors=8, min_series=10)
    for seed in range(3):
        fit = estimate_factors(_panel(seed)[0], settings)
        table = factor_counts(fit, criteria=tuple(CRITERIA))
        found = {(criterion, scale): n for criterion, scale, n in table.iter_rows()}
        assert len(found) == 6 * 4
        assert found["pc_p2", 1.0] == fit.n_bai_ng
        assert found["ic_p2", 1.0] == TRUE_FACTORS
        for criterion in CRITERIA:
            # A lighter penalty never asks for fewer factors.
            by_scale = [found[criterion, scale] for scale in (1.0, 0.9, 0.8, 0.7)]
            assert by_scale == sorted(by_scale)
        scaled = MacroFactorSettings(n_factors=8, min_series=10, criterion="pc_p3", penalty_scale=0.7)
        assert estimate_factors(_panel(seed)[0], scaled).n_bai_ng == found["pc_p3", 0.7]
    assert set(factor_counts(fit)["criterion"]) == {"pc_p1", "pc_p2", "pc_p3", "ic_p3"}


def test_signs_do_not_depend_on_the_sign_given() -> None:
    loadings = np.random.default_rng(0).normal(size=(30, 4))
    np.testing.assert_array_equal(loadings * fix_signs(loadings), -loadings * fix_signs(-loadings))


def test_outliers_are_missing_and_a_series_without_spread_keeps_its_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3))
    values[5, 0], values[6, 0], values[7, 1] = 60.0, np.nan, -60.0
    values[:, 2] = 0.0
    values[9, 2] = 1.0
    cleaned = without_outliers(values, 10.0)
    assert np.argwhere(np.isnan(cleaned)).tolist() == [[5, 0], [6, 0], [7, 1]]
    q25, q75 = np.nanpercentile(values[:, 0], [25, 75])
    edge = np.nanmedian(values[:, 0]) + 10 * (q75 - q25)
    values[5, 0] = edge * (1 - 1e-9)
    assert np.isfinite(without_outliers(values, 10.0)[5, 0])


def _vintage(seed: int, n_months: int = N_MONTHS) -> pl.DataFrame:
    values, _ = _panel(seed, missing=0.02)
    values[5, 3] = 1e4
    months = month_range(FIRST, shift(FIRST, n_months - 1))
    names = ["HWI", "CMRMTSPLx", "INDPRO", *(f"PAYEMS{k}" for k in range(N_SERIES - 3))]
    wide = pl.DataFrame({"month": months, **{n: values[:n_months, k] for k, n in enumerate(names)}})
    return wide.unpivot(index="month", variable_name="series", value_name="value").with_columns(
        value=pl.col("value").fill_nan(None), tcode=pl.lit(1, dtype=pl.Int8)
    )


def test_a_month_is_estimated_on_what_was_published_by_its_end() -> None:
    frame = _vintage(4)
    month = shift(FIRST, 120)
    out = macro_factors({"2020-01": frame}, [month], SMALL).row(0, named=True)
    assert out["reference_month"] == shift(month, -1)
    assert out["vintage"] == "2020-01"
    assert (out["n_series"], out["n_months"]) == (N_SERIES, 118)
    lag = pl.when(pl.col("series") == "INDPRO").then(1).otherwise(2)
    months = pl.col("month").dt.year() * 12 + pl.col("month").dt.month()
    known = frame.filter(months + lag <= month.year * 12 + month.month)
    wide = known.sort("series").pivot(on="series", index="month", values="value", sort_columns=True).sort("month")
    values = wide.drop("month").to_numpy()[2:].astype(float)
    values = values[:, np.argsort(sorted(frame["series"].unique()))]
    fit = estimate_factors(without_outliers(values, 10.0), SMALL)
    assert [out[f"pc_{k}"] for k in range(1, 6)] == pytest.approx(fit.factors[-1].tolist(), abs=1e-8)
    assert out["n_bai_ng"] == fit.n_bai_ng


def test_keeps_the_promise(check_promise) -> None:
    vintages = {"2000-06": _vintage(4, 125), "2005-01": _vintage(5)}
    months = [
        date(1989, 5, 1),
        date(1990, 2, 1),
        shift(FIRST, 61),
        shift(FIRST, 90),
        date(2000, 6, 1),
        date(2000, 7, 1),
    ]
    check_promise(lambda f, m: macro_factors(f, m, SMALL), vintages, months)


def test_a_small_panel_or_no_vintage_is_a_row_of_nulls() -> None:
    vintages = {"2003-01": _vintage(4)}
    out = macro_factors(vintages, [date(1985, 1, 1), shift(FIRST, 50), date(2003, 1, 1), date(2003, 2, 1)], SMALL)
    assert len(out) == 4
    assert out["pc_1"].is_null().to_list() == [True, True, False, True]
    assert out["vintage"].to_list() == [None, "2003-01", "2003-01", None]
    assert out["n_series"].to_list() == [None, N_SERIES, N_SERIES, None]
    assert out["converged"].to_list() == [None, None, True, None]


def test_settings_refuse_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="criterion 'aic'"):
        MacroFactorSettings(criterion="aic")
    with pytest.raises(ValueError, match="penalty_scale 0"):
        MacroFactorSettings(penalty_scale=0.0)
    with pytest.raises(ValueError, match="n_factors 20"):
        MacroFactorSettings(n_factors=20)
