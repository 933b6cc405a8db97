"""Macro factors of a whole sample, and their signs from month to month."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA

from pipeline.macro.factor_signs import aligned_factors
from pipeline.macro.macro_factors import SEPARATOR, MacroFactorSettings, macro_factors
from pipeline.macro.published_factors import factors_of_published, published_counts
from pipeline.panel.calendar import month_range, shift

FIRST, N_MONTHS, N_SERIES, TRUE_FACTORS = date(1990, 1, 1), 140, 24, 3
MONTHS = month_range(FIRST, shift(FIRST, N_MONTHS - 1))
SMALL = MacroFactorSettings(n_factors=4, min_series=10)


def _values(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(N_MONTHS, TRUE_FACTORS)) * [3.0, 2.0, 1.5]
    common = factors @ rng.normal(size=(TRUE_FACTORS, N_SERIES))
    return common + 0.5 * common.std(axis=0) * rng.normal(size=common.shape)


def _published(values: np.ndarray) -> pl.DataFrame:
    wide = pl.DataFrame({"month": MONTHS, **{f"S{k:02d} x": values[:, k] for k in range(values.shape[1])}})
    return wide.unpivot(index="month", variable_name="series", value_name="value")


PUBLISHED = _published(_values())


def test_factors_are_the_components_of_what_was_known() -> None:
    month = MONTHS[100]
    factors = factors_of_published(PUBLISHED, month, 3, SMALL)
    values = _values()[:101]
    z = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    theirs = PCA(n_components=3, svd_solver="full").fit_transform(z) / np.sqrt(N_SERIES)
    frame = factors.frame(3)
    assert frame["month"].to_list() == MONTHS[:101]
    ours = frame.drop("month").to_numpy()
    np.testing.assert_allclose(ours, theirs * np.sign((ours * theirs).sum(axis=0)), atol=1e-10)
    assert (factors.n_series, factors.n_factors) == (N_SERIES, 3)
    assert factors.frame(2).columns == ["month", "pc_1", "pc_2"]


def test_later_rows_do_not_matter() -> None:
    month = MONTHS[90]
    first = factors_of_published(PUBLISHED, month, 3, SMALL).frame(3)
    later = pl.col("month") > month
    changed = PUBLISHED.with_columns(pl.when(later).then(pl.col("value") * 3 + 1).otherwise("value").alias("value"))
    extra = pl.DataFrame({"month": [MONTHS[91]], "series": ["A new one"], "value": [1.0]})
    for variant in (
        PUBLISHED.filter(~later),
        pl.concat([changed, extra]),
        PUBLISHED.sample(fraction=1.0, shuffle=True, seed=1),
    ):
        assert factors_of_published(variant, month, 3, SMALL).frame(3).equals(first)
        counts = published_counts(variant, month, (4, 6), SMALL)
        assert counts.equals(published_counts(PUBLISHED, month, (4, 6), SMALL))


def test_a_panel_carries_fewer_factors_than_series() -> None:
    few = PUBLISHED.filter(pl.col("series") < "S12")
    assert factors_of_published(few, MONTHS[-1], 30, SMALL).n_factors == 11
    assert factors_of_published(few.filter(pl.col("series") < "S08"), MONTHS[-1], 3, SMALL) is None
    assert factors_of_published(PUBLISHED, MONTHS[40], 3, SMALL) is None
    assert factors_of_published(PUBLISHED, date(1980, 1, 1), 3, SMALL) is None


def test_counts_find_the_true_number_and_say_where_they_cannot() -> None:
    counts = published_counts(PUBLISHED, MONTHS[-1], (8, 23, 24), SMALL)
    assert counts.height == 3 * 4 * 4
    by_most = counts.filter((pl.col("criterion") == "pc_p2") & (pl.col("penalty_scale") == 1.0))
    assert by_most["n_factors"].to_list() == [TRUE_FACTORS, 23, None]
    assert counts["n_factors"].null_count() == 16
    explained = factors_of_published(PUBLISHED, MONTHS[-1], 8, SMALL).estimate.explained
    assert by_most["explained"][0] == pytest.approx(explained[:TRUE_FACTORS].sum(), rel=1e-12)
    assert by_most["explained"][2] is None
    assert counts.select("n_series", "n_months").unique().row(0) == (N_SERIES, N_MONTHS)
    assert published_counts(PUBLISHED, MONTHS[10], (8,), SMALL).is_empty()


def _estimates(signs: np.ndarray) -> pl.DataFrame:
    """Four months of two factors on three or four series, each month's estimate with the sign it happened to have."""
    loadings = np.array([[1.0, 0.2], [0.8, -1.0], [-0.1, 0.9], [0.3, 0.3]])
    held = [[0, 1, 2], [0, 1, 2, 3], [1, 2, 3], [0, 1, 2, 3]]
    scores = np.array([[0.5, -1.0], [0.6, -0.8], [0.4, 0.1], [0.3, 0.2]])
    return pl.DataFrame(
        {
            "month": MONTHS[:4],
            "series": [SEPARATOR.join(f"S{k} x" for k in own) for own in held],
            "loadings": [(loadings[own] * sign).ravel().tolist() for own, sign in zip(held, signs, strict=True)],
            "pc_1": scores[:, 0] * signs[:, 0],
            "pc_2": scores[:, 1] * signs[:, 1],
        }
    )


def test_signs_are_those_of_the_first_month() -> None:
    same = np.ones((4, 2))
    expected = aligned_factors(_estimates(same))
    assert expected["pc_1"].to_list() == [0.5, 0.6, 0.4, 0.3]
    for flipped in ([[1, 1], [-1, 1], [1, -1], [-1, -1]], [[1, 1], [1, -1], [1, -1], [1, 1]]):
        assert aligned_factors(_estimates(np.array(flipped, dtype=float))).equals(expected)
    turned = aligned_factors(_estimates(np.array([[-1.0, 1.0]] + [[1.0, 1.0]] * 3)))
    assert turned["pc_1"].to_list() == (-expected["pc_1"]).to_list()


def test_a_month_without_an_estimate_is_passed_over() -> None:
    frame = _estimates(np.array([[1.0, 1.0], [1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0]]))
    names = ("series", "loadings", "pc_1", "pc_2")
    gone = frame.with_columns(pl.when(pl.col("month") != MONTHS[1]).then(name).alias(name) for name in names)
    aligned = aligned_factors(gone)
    assert aligned["pc_1"].to_list() == [0.5, None, 0.4, 0.3]
    # Nothing later changes what a month was given.
    assert aligned_factors(gone.head(3)).equals(aligned.head(3))


def test_aligned_scores_of_real_time_follow_the_whole_sample() -> None:
    """Loadings that all but balance turn the rule of single months round; aligned scores keep to the factors' path."""
    rng = np.random.default_rng(2)
    loadings = np.where(np.arange(N_SERIES) % 2, -1.0, 1.0)
    values = rng.normal(size=(N_MONTHS, 1)) * loadings + 0.7 * rng.normal(size=(N_MONTHS, N_SERIES))
    staged = _published(values).with_columns(tcode=pl.lit(1, dtype=pl.Int8))
    monthly = macro_factors({"2010-01": staged}, MONTHS[66:], SMALL)
    aligned = aligned_factors(monthly)
    # Unknown series are published two months late: the newest score of a month is that of two months before.
    truth = dict(zip(MONTHS, values @ loadings, strict=True))
    there = np.array([truth[shift(month, -2)] for month in aligned["month"]])
    assert abs(np.corrcoef(aligned["pc_1"], there)[0, 1]) > 0.99
    turns = (monthly["pc_1"] * aligned["pc_1"]).sign().diff().fill_null(0.0) != 0.0
    assert turns.sum() == 7
    assert abs(np.corrcoef(monthly["pc_1"], there)[0, 1]) < 0.2


@pytest.mark.parametrize("n_factors", [1, 4])
def test_loadings_reproduce_explained_variance(n_factors: int) -> None:
    """Squared loadings on a standardised panel are what a component explains: sums over series equal N."""
    settings = MacroFactorSettings(n_factors=n_factors, min_series=10)
    staged = PUBLISHED.with_columns(tcode=pl.lit(1, dtype=pl.Int8))
    row = macro_factors({"2010-01": staged}, [MONTHS[-1]], settings).row(0, named=True)
    names = row["series"].split(SEPARATOR)
    loadings = np.array(row["loadings"]).reshape(len(names), n_factors)
    assert names == sorted(PUBLISHED["series"].unique())
    np.testing.assert_allclose((loadings**2).sum(axis=0), N_SERIES, rtol=1e-10)
