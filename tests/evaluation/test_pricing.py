from __future__ import annotations

from collections import defaultdict
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.evaluation.pricing import (
    cross_sectional_r2,
    explained_variation,
    industry_returns,
    leverage,
    residuals,
    signed_leverage_shares,
)
from pipeline.panel.calendar import month_of


@pytest.fixture(scope="module")
def panel() -> pl.DataFrame:
    """A ragged panel with one factor, each asset there for months of its own."""
    rng = np.random.default_rng(0)
    rows = []
    for t in range(30):
        factor = rng.normal(0.01, 0.05)
        for asset in rng.permutation(20)[: rng.integers(5, 20)]:
            loading = 0.5 + asset / 20
            rows.append(
                {
                    "month": month_of(24000 + t),
                    "asset_id": f"a{asset:02d}",
                    "industry": ("energy", "banks", "utilities")[asset % 3],
                    "loading": loading,
                    "size": rng.normal(),
                    "weight": rng.normal(),
                    "realised": loading * factor + rng.normal(0, 0.03),
                }
            )
    return pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=1)


def _by(frame: pl.DataFrame, key: str, *columns: str) -> dict:
    groups = defaultdict(list)
    for row in frame.iter_rows(named=True):
        groups[row[key]].append([row[column] for column in columns])
    return {name: np.array(values) for name, values in groups.items()}


def test_residuals_are_those_of_the_projection_matrix(panel) -> None:
    ours = residuals(panel, ["loading", "size"])
    found = {(m, a): e for m, a, e in ours.select("month", "asset_id", "residual").iter_rows()}
    for month in panel["month"].unique():
        rows = panel.filter(pl.col("month") == month)
        B, r = rows.select("loading", "size").to_numpy(), rows["realised"].to_numpy()
        e = (np.eye(len(r)) - B @ np.linalg.inv(B.T @ B) @ B.T) @ r
        for asset, each in zip(rows["asset_id"], e, strict=True):
            assert found[month, asset] == pytest.approx(each, abs=1e-14)


def test_a_month_does_not_depend_on_the_others(panel) -> None:
    whole = residuals(panel)
    for month in panel["month"].unique().head(3):
        alone = residuals(panel.filter(pl.col("month") == month))
        assert alone.equals(whole.filter(pl.col("month") == month))


def test_explained_variation_by_plain_loops(panel) -> None:
    errors = residuals(panel)
    months = _by(errors, "month", "residual", "realised")
    top = np.mean([np.mean(v[:, 0] ** 2) for v in months.values()])
    bottom = np.mean([np.mean(v[:, 1] ** 2) for v in months.values()])
    ours = explained_variation(errors)
    assert ours == pytest.approx(1 - top / bottom, rel=1e-12)
    assert 0.3 < ours < 0.95


def test_cross_sectional_r2_by_plain_loops(panel) -> None:
    errors = residuals(panel)
    n_months = errors["month"].n_unique()
    assets = _by(errors, "asset_id", "residual", "realised")
    top = sum(len(v) / n_months * v[:, 0].mean() ** 2 for v in assets.values()) / len(assets)
    bottom = sum(len(v) / n_months * v[:, 1].mean() ** 2 for v in assets.values()) / len(assets)
    assert cross_sectional_r2(errors) == pytest.approx(1 - top / bottom, rel=1e-12)


def test_perfect_and_useless_loadings() -> None:
    months = [month_of(24000 + t) for t in range(6) for _ in range(2)]
    frame = pl.DataFrame(
        {"month": months, "asset_id": ["a", "b"] * 6, "loading": [1.0, 2.0] * 6, "realised": [0.01, 0.02] * 6}
    )
    exact = residuals(frame)
    assert explained_variation(exact) == pytest.approx(1.0)
    assert cross_sectional_r2(exact) == pytest.approx(1.0)
    nothing = residuals(frame.with_columns(loading=pl.lit(0.0)))
    assert nothing["residual"].to_list() == nothing["realised"].to_list()
    assert (explained_variation(nothing), cross_sectional_r2(nothing)) == (0.0, 0.0)
    orthogonal = residuals(frame.with_columns(pl.Series("loading", [2.0, -1.0] * 6)))
    assert explained_variation(orthogonal) == pytest.approx(0.0)


def test_without_returns_nothing_is_measured(panel) -> None:
    zero = residuals(panel.with_columns(realised=pl.lit(0.0)))
    assert (explained_variation(zero), cross_sectional_r2(zero)) == (None, None)
    empty = residuals(panel.head(0))
    assert empty.is_empty()
    assert explained_variation(empty) is None


def test_rows_that_lack_a_value_do_not_count(panel) -> None:
    hole = pl.when(pl.int_range(pl.len()) % 7 > 0).then("loading").alias("loading")
    holed = panel.with_columns(hole)
    assert residuals(holed).equals(residuals(holed.drop_nulls()))


def test_contributions_add_up_to_the_portfolio(panel) -> None:
    split = industry_returns(panel)
    assert len(split) == 3 * 30
    total = split.group_by("month").agg(pl.col("contribution").sum()).sort("month")["contribution"].to_numpy()
    portfolio = [sum(w * r for w, r in rows) for _, rows in sorted(_by(panel, "month", "weight", "realised").items())]
    np.testing.assert_allclose(total, portfolio, atol=1e-14)
    energy = split.filter(pl.col("industry") == "energy")
    value, expected = 1.0, []
    for contribution in energy["contribution"]:
        value *= 1 + contribution
        expected.append(value - 1)
    np.testing.assert_allclose(energy["cumulative"].to_numpy(), expected, atol=1e-13)


def test_an_industry_that_is_not_held_contributes_nothing() -> None:
    frame = pl.DataFrame(
        {
            "month": [date(2000, 1, 1), date(2000, 1, 1), date(2000, 2, 1)],
            "asset_id": ["a", "b", "a"],
            "industry": ["energy", "banks", "energy"],
            "weight": [1.0, -3.0, 0.0],
            "realised": [0.1, 0.1, 0.2],
        }
    )
    assert industry_returns(frame).select("industry", "contribution").rows() == [
        ("banks", pytest.approx(-0.3)),
        ("banks", 0.0),
        ("energy", pytest.approx(0.1)),
        ("energy", 0.0),
    ]
    assert signed_leverage_shares(frame)["share"].to_list() == [-0.75, None, 0.25, None]
    assert leverage(frame)["leverage"].to_list() == [4.0, 0.0]


def test_signed_shares_by_plain_loops(panel) -> None:
    shares = {(m, i): s for m, i, s in signed_leverage_shares(panel).iter_rows()}
    for month in panel["month"].unique():
        rows = panel.filter(pl.col("month") == month)
        total = sum(abs(w) for w in rows["weight"])
        held = _by(rows, "industry", "weight")
        for industry in ("energy", "banks", "utilities"):
            w = held.get(industry, np.zeros((1, 1)))[:, 0]
            assert shares[month, industry] == pytest.approx(np.sign(w.sum()) * np.abs(w).sum() / total, abs=1e-14)
    gross = leverage(panel)
    assert gross["month"].is_sorted()
    assert gross["leverage"][0] == pytest.approx(
        np.abs(panel.filter(pl.col("month") == gross["month"][0])["weight"].to_numpy()).sum()
    )


def test_bad_panels_are_refused(panel) -> None:
    with pytest.raises(ValueError, match="occurs twice in 200"):
        residuals(pl.concat([panel, panel.head(1)]))
    with pytest.raises(ValueError, match=f"realised is not finite in {len(panel)} rows"):
        residuals(panel.with_columns(realised=pl.lit(float("nan"))))
    with pytest.raises(ValueError, match="rows have no industry"):
        industry_returns(panel.with_columns(industry=pl.lit(None, dtype=pl.String)))
