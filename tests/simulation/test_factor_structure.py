"""The true factor structure, recomputed from the written files and recovered by plain alternating least squares."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pipeline.simulation.bonds import GAMMA, OBSERVED
from pipeline.simulation.identifiers import RATINGS
from pipeline.simulation.market import Market

FACTORS = ["factor_1", "factor_2", "factor_3"]


def _instruments(index: pd.DataFrame) -> pd.DataFrame:
    """Ranked characteristics by pandas, straight from the definitions of the index extract's columns."""
    raw = index.replace(-99.99, np.nan)
    values = pd.DataFrame(
        {
            "coupon": raw.Coupon,
            "face_value": raw.ParAmount,
            "duration": raw.DUR,
            "rating": raw.Rating.map({letter: position + 1 for position, letter in enumerate(RATINGS)}),
            "spread": raw.oas_BOM,
            "default_probability": raw.PD_DRISK.where(raw.PD_DRISK > -0.99),
            "book_to_price": 1 / raw.pricetobook.replace(0, np.nan),
            "debt": raw.debt,
            "earnings_to_price": 1 / raw.pricetoearnings.replace(0, np.nan),
            "marketcap": raw.marketcap,
            "market_leverage": raw.debt / raw.marketcap.replace(0, np.nan),
        }
    )
    by_month = values.groupby(index.Pricing_Date)
    ranks = (by_month.rank(method="average") - 0.5) / by_month.transform("count") - 0.5
    return ranks.fillna(0.0)[list(OBSERVED)].assign(constant=1.0)


def _canonical_correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    bases = [np.linalg.qr(x - x.mean(axis=0))[0] for x in (a, b)]
    return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)


def _least_squares_factors(groups: list[tuple[np.ndarray, np.ndarray]], k: int, steps: int) -> np.ndarray:
    """IPCA by alternating least squares on the panel's cross-products, from the leading managed portfolios."""
    w = np.array([c.T @ c for c, _ in groups])
    x = np.array([c.T @ r for c, r in groups])
    gamma = np.linalg.svd(x)[2][:k].T
    for _ in range(steps):
        f = np.array([np.linalg.solve(gamma.T @ wt @ gamma, gamma.T @ xt) for wt, xt in zip(w, x, strict=True)])
        left = sum(np.kron(wt, np.outer(ft, ft)) for wt, ft in zip(w, f, strict=True))
        right = sum(np.kron(xt, ft) for xt, ft in zip(x, f, strict=True))
        gamma = np.linalg.qr(np.linalg.solve(left, right).reshape(-1, k))[0]
    return np.array([np.linalg.solve(gamma.T @ wt @ gamma, gamma.T @ xt) for wt, xt in zip(w, x, strict=True)])


def test_written_files_satisfy_the_return_equation(tiny: Market, extracts: Path) -> None:
    index = pd.read_csv(extracts / "bonds.index_constituents.csv", parse_dates=["Pricing_Date"])
    french = pd.read_csv(extracts / "french" / "F-F_Research_Data_Factors.CSV", skiprows=5, index_col=0)
    monthly = french[french.index.astype(str).str.fullmatch(r"\d{6}")]
    rf = pd.Series(
        monthly["RF"].astype(float).to_numpy() / 100, pd.to_datetime(monthly.index.astype(str), format="%Y%m")
    )
    gamma = np.array(list(GAMMA.values()))
    beta = _instruments(index).to_numpy() @ gamma
    truth = tiny.truth["bond_betas"].to_pandas()
    assert (truth["isin"] == index["ISIN"]).all()
    np.testing.assert_allclose(beta, truth[["beta_1", "beta_2", "beta_3"]], atol=1e-12)
    factors = tiny.truth["factors"].to_pandas().set_index("month")[FACTORS].reindex(index.Pricing_Date).to_numpy()
    expected = index.Pricing_Date.map(rf) + (beta * factors).sum(axis=1) + truth["residual"]
    there = index.Return.notna()
    assert there.sum() > 3000
    np.testing.assert_allclose(index.Return[there] / 100, expected[there], atol=1e-12)


def test_total_r2_is_near_one_fifth(tiny: Market, demo: Market) -> None:
    for market, tolerance in ((tiny, 0.03), (demo, 0.02)):
        earned = market.truth["bond_betas"].drop_nulls("ret_excess")
        excess, systematic = earned["ret_excess"].to_numpy(), earned["systematic_return"].to_numpy()
        r2 = 1 - ((excess - systematic) ** 2).sum() / (excess**2).sum()
        assert abs(r2 - 0.20) < tolerance
        reported = dict(market.truth["summary"].iter_rows())
        assert reported["total_r2"] == pytest.approx(r2, abs=1e-12)


def test_true_instruments_recover_the_factors(demo: Market) -> None:
    index = demo.tables["bonds.index_constituents"].to_pandas()
    instruments = _instruments(index).to_numpy()
    excess = demo.truth["bond_betas"]["ret_excess"].to_numpy()
    months = index.Pricing_Date.to_numpy()
    groups = [(instruments[months == m], excess[months == m]) for m in np.unique(months)[:-1]]
    recovered = _least_squares_factors(groups, k=3, steps=12)
    true = demo.truth["factors"].select(FACTORS).to_numpy()
    assert _canonical_correlations(recovered, true)[-1] > 0.95


def test_factors_have_comparable_variance_and_means_that_move(demo: Market) -> None:
    factors = demo.truth["factors"]
    sd = factors.select(pl.col(FACTORS).std()).to_numpy().ravel()
    assert sd.max() / sd.min() < 1.5
    for k in (1, 2, 3):
        mean = factors[f"mean_{k}"].to_numpy()
        assert mean.mean() > 0
        assert np.corrcoef(mean[1:], mean[:-1])[0, 1] > 0.7
        surprise = (factors[f"factor_{k}"] - factors[f"mean_{k}"]).to_numpy()
        assert abs(surprise.mean()) < 1e-12


def test_expected_returns_are_unbiased_and_residuals_have_mean_zero(demo: Market) -> None:
    earned = demo.truth["bond_betas"].drop_nulls("ret_excess")
    residual = earned["residual"].to_numpy()
    # Residuals of an issuer's bonds move together, hence a standard error over months.
    by_month = earned.group_by("month").agg(pl.col("residual").mean())["residual"].to_numpy()
    assert abs(by_month.mean()) < 3.5 * by_month.std() / np.sqrt(len(by_month))
    betas = earned.select("beta_1", "beta_2", "beta_3").to_numpy()
    for beta in betas.T:
        assert abs(np.corrcoef(beta, residual)[0, 1]) < 0.02
    means = demo.truth["factors"].select("month", "mean_1", "mean_2", "mean_3")
    joined = earned.with_columns(pl.col("month").dt.offset_by("1mo")).join(means, on="month", how="left")
    by_hand = (betas * joined.select("mean_1", "mean_2", "mean_3").to_numpy()).sum(axis=1)
    np.testing.assert_allclose(earned["expected_return"].to_numpy(), by_hand, atol=1e-14)


def test_characteristics_persist_but_move(demo: Market) -> None:
    index = demo.tables["bonds.index_constituents"].to_pandas()
    ranks = _instruments(index).assign(isin=index.ISIN, month=index.Pricing_Date.dt.to_period("M"))
    later = ranks.assign(month=ranks.month + 12)
    pairs = ranks.merge(later, on=["isin", "month"], suffixes=("", "_before"))
    for name in ("duration", "rating", "spread", "book_to_price", "marketcap", "market_leverage"):
        correlation = np.corrcoef(pairs[name], pairs[f"{name}_before"])[0, 1]
        assert 0.4 < correlation < 0.999, name
