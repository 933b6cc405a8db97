from __future__ import annotations

import contextlib
import io

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipca import InstrumentedPCA
from ipca import ipca as peer

from pipeline.evaluation.r2 import canonical_correlations
from pipeline.models import ipca_steps
from pipeline.models.ipca import IPCA, IPCAResult
from pipeline.models.managed_portfolios import SufficientStatistics, instrument_matrix, managed_portfolios


def peer_fit(market, n_factors: int, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Gamma (L, M) and factors (T, K) of the ipca package, iterated to rounding."""
    keys = market.panel.select("isin", pl.col("month").dt.year() * 12 + pl.col("month").dt.month())
    indices = np.column_stack([keys["isin"].rank("dense").to_numpy(), keys["month"].to_numpy()]).astype(int)
    matrix = instrument_matrix(market.panel, market.instruments)
    model = InstrumentedPCA(n_factors=n_factors, intercept=intercept, iter_tol=1e-13, max_iter=1500)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model.fit(matrix, market.panel["ret_excess"].to_numpy(), indices=indices)
    return model.Gamma, model.Factors[:n_factors].T


def moments_of(statistics: SufficientStatistics, n_factors: int, intercept: bool) -> ipca_steps.Moments:
    total = float(statistics.yy.sum())
    return ipca_steps.Moments(statistics.X, statistics.W, statistics.n, total, n_factors, intercept)


def random_gamma(statistics: SufficientStatistics, n_factors: int, intercept: bool, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    gamma = rng.normal(size=(len(statistics.names), n_factors + intercept))
    gamma[:, n_factors:] *= 0.05
    return ipca_steps.orthonormal(gamma, n_factors)


@pytest.fixture
def peer_without_compilation(monkeypatch):
    """Compiling the package's helpers takes longer than running them on a small panel."""
    for name, helper in list(vars(peer).items()):
        if hasattr(helper, "py_func"):
            monkeypatch.setattr(peer, name, helper.py_func)


@pytest.mark.usefixtures("peer_without_compilation")
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("n_factors", [1, 2, 3, 4, 5])
def test_agrees_with_the_ipca_package(make_market, n_factors, intercept):
    market = make_market(n_months=40, n_assets=40, alpha=0.05, seed=4)
    gamma, factors = peer_fit(market, n_factors, intercept)
    ours = IPCA(n_factors, intercept=intercept, starts=8).fit(market.statistics())
    assert ours.converged
    signs = np.sign(np.sum(ours.gamma * gamma[:, :n_factors], axis=0))
    np.testing.assert_allclose(ours.gamma * signs, gamma[:, :n_factors], rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.factors * signs, factors, rtol=0, atol=1e-8)
    if intercept:
        np.testing.assert_allclose(ours.gamma_alpha, gamma[:, n_factors], rtol=0, atol=1e-8)


def test_recovers_the_simulated_factors_and_gamma(make_market):
    truth = make_market(n_months=200, n_assets=150, noise=0.015, seed=3)
    result = IPCA(3).fit(truth.statistics())
    assert canonical_correlations(result.factors, truth.factors).min() > 0.99
    angles = np.linalg.svd(result.gamma.T @ truth.gamma)[1]
    assert angles.min() > 0.99


def test_recovers_the_simulated_intercept(make_market):
    truth = make_market(n_months=200, n_assets=150, noise=0.03, alpha=0.05, seed=3)
    result = IPCA(3, intercept=True).fit(truth.statistics())
    alpha = np.zeros(7)
    alpha[0] = 0.05
    expected = alpha - truth.gamma @ (truth.gamma.T @ alpha)
    assert np.corrcoef(result.gamma_alpha, expected)[0, 1] > 0.98
    np.testing.assert_allclose(result.gamma_alpha, expected, atol=0.01)


@pytest.mark.parametrize("intercept", [False, True])
def test_identified_form(market_with_alpha, intercept):
    result = IPCA(3, intercept=intercept).fit(market_with_alpha.statistics())
    np.testing.assert_allclose(result.gamma.T @ result.gamma, np.eye(3), atol=1e-12)
    second = result.factors.T @ result.factors
    np.testing.assert_allclose(second, np.diag(np.diag(second)), atol=1e-12)
    assert (np.diff(np.diag(second)) < 0).all()
    assert (result.mean_factor >= 0).all()
    if intercept:
        np.testing.assert_allclose(result.gamma.T @ result.gamma_alpha, 0, atol=1e-12)


@pytest.mark.parametrize("intercept", [False, True])
def test_the_optimum_is_stationary(market, intercept):
    """No small change of Gamma or of a factor lowers the loss, and central differences vanish."""
    statistics = market.statistics()
    result = IPCA(2, intercept=intercept).fit(statistics)
    rng = np.random.default_rng(0)
    multipliers = result.multipliers(result.factors)
    best = statistics.loss(result.loadings, multipliers)
    assert best == pytest.approx(result.loss, rel=1e-12)
    for _ in range(10):
        direction, other = rng.normal(size=result.loadings.shape), 0.05 * rng.normal(size=multipliers.shape)
        other[:, 2:] = 0.0
        step = 1e-4
        up = statistics.loss(result.loadings + step * direction, multipliers + step * other)
        down = statistics.loss(result.loadings - step * direction, multipliers - step * other)
        assert min(up, down) > best
        assert abs(up - down) / (2 * step) < 1e-6 * best


@pytest.mark.parametrize("intercept", [False, True])
def test_newtons_step_against_a_numerical_hessian(market, intercept):
    """The analytic step solves the linear system of finite differences of the concentrated loss."""
    statistics = market.statistics()
    moments = moments_of(statistics, 2, intercept)
    optimum = IPCA(2, intercept=intercept).fit(statistics).loadings
    nudge = random_gamma(statistics, 2, intercept, 5)
    point = ipca_steps.evaluate(moments, ipca_steps.orthonormal(optimum + 0.02 * nudge, 2))
    damping, step = next(ipca_steps.steps(moments, point))
    assert damping == 0.0
    normal = np.linalg.qr(point.gamma[:, :2], mode="complete")[0][:, 2:]

    def loss(z: np.ndarray) -> float:
        return ipca_steps.evaluate(moments, point.gamma + normal @ z.reshape(normal.shape[1], -1)).loss

    size, h = normal.shape[1] * point.gamma.shape[1], 1e-4
    unit = h * np.eye(size)
    zero = np.zeros(size)
    gradient = np.array([loss(u) - loss(-u) for u in unit]) / (2 * h)
    hessian = np.array([[loss(u + v) - loss(u - v) - loss(v - u) + loss(-u - v) for v in unit] for u in unit]) / (
        4 * h * h
    )
    expected = (normal @ np.linalg.solve(hessian, -gradient).reshape(normal.shape[1], -1)).reshape(point.gamma.shape)
    assert loss(zero) == point.loss
    np.testing.assert_allclose(step, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_factors=st.integers(1, 5), intercept=st.booleans())
def test_alternating_least_squares_never_raises_the_loss(market, seed, n_factors, intercept):
    statistics = market.statistics(market.months[:30])
    moments = moments_of(statistics, n_factors, intercept)
    point = ipca_steps.evaluate(moments, random_gamma(statistics, n_factors, intercept, seed))
    for _ in range(5):
        moved = ipca_steps.advance(moments, point, dampings=(1.0,))
        assert moved is not None
        assert moved[0].loss <= point.loss * (1 + 1e-12)
        point = moved[0]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), intercept=st.booleans())
def test_every_start_leads_to_the_same_optimum(market, seed, intercept):
    statistics = market.statistics()
    cold = IPCA(3, intercept=intercept).fit(statistics)
    gamma = random_gamma(statistics, 3, intercept, seed)
    elsewhere = IPCAResult(
        names=cold.names,
        months=cold.months,
        gamma=gamma[:, :3],
        gamma_alpha=gamma[:, 3] if intercept else None,
        factors=cold.factors,
        iterations=0,
        converged=False,
        loss=float("nan"),
    )
    warm = IPCA(3, intercept=intercept).fit(statistics, start=elsewhere)
    assert warm.converged
    assert warm.loss == pytest.approx(cold.loss, rel=1e-10)
    np.testing.assert_allclose(warm.loadings, cold.loadings, atol=1e-8)


def test_a_rotated_start_gives_the_same_result(market):
    statistics = market.statistics()
    cold = IPCA(3).fit(statistics)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    arrays, text = cold.to_arrays()
    rotated = IPCAResult.from_arrays({**arrays, "gamma": cold.gamma @ rotation}, text)
    assert statistics.loss(rotated.gamma, cold.factors @ rotation) == pytest.approx(cold.loss, rel=1e-12)
    again = IPCA(3).fit(statistics, start=rotated)
    np.testing.assert_allclose(again.gamma, cold.gamma, atol=1e-10)
    np.testing.assert_allclose(again.factors, cold.factors, atol=1e-10)


def test_the_order_of_the_instruments_permutes_the_rows_of_gamma(market):
    cold = IPCA(3).fit(market.statistics())
    order = market.instruments[::-1]
    statistics = SufficientStatistics.from_frame(managed_portfolios(market.panel, order, market.months), order)
    permuted = IPCA(3).fit(statistics)
    np.testing.assert_allclose(permuted.gamma, cold.gamma[[5, 4, 3, 2, 1, 0, 6]], atol=1e-9)


@pytest.mark.parametrize("intercept", [False, True])
def test_a_warm_start_ends_where_a_cold_one_does_in_fewer_steps(market, intercept):
    statistics = market.statistics()
    model = IPCA(3, intercept=intercept)
    before = model.fit(statistics.through(market.months[-2]))
    warm, cold = model.fit(statistics, start=before), model.fit(statistics)
    assert warm.loss == pytest.approx(cold.loss, rel=1e-10)
    np.testing.assert_allclose(warm.loadings, cold.loadings, atol=1e-9)
    assert warm.iterations <= cold.iterations
    assert model.fit(statistics, start=cold).iterations == 1


def test_later_months_do_not_change_an_estimation(market):
    cut = market.months[70]
    whole = IPCA(2).fit(market.statistics().through(cut))
    changed = market.panel.with_columns(
        pl.when(pl.col("month") > cut).then(pl.col("ret_excess") * -7).otherwise("ret_excess").alias("ret_excess")
    )
    frame = managed_portfolios(changed, market.instruments, market.months)
    again = IPCA(2).fit(SufficientStatistics.from_frame(frame, market.instruments).through(cut))
    assert np.array_equal(whole.gamma, again.gamma)
    assert np.array_equal(whole.factors, again.factors)


def test_an_instrument_that_is_always_zero_gets_a_zero_row(market):
    flat = market.panel.with_columns(pl.lit(0.0).alias("flat_r"))
    names = ["flat_r", *market.instruments]
    statistics = SufficientStatistics.from_frame(managed_portfolios(flat, names, market.months), names)
    without, result = IPCA(3, intercept=True).fit(market.statistics()), IPCA(3, intercept=True).fit(statistics)
    np.testing.assert_allclose(result.loadings[0], 0.0, atol=1e-14)
    np.testing.assert_allclose(result.loadings[1:], without.loadings, atol=1e-9)
    warm = IPCA(3, intercept=True).fit(statistics, start=result)
    np.testing.assert_allclose(warm.loadings, result.loadings, atol=1e-12)


def test_an_instrument_seen_in_one_month_is_left_out(market):
    """Its row of Gamma has K unknowns and one equation; asked for all the same, the flat loss is recorded."""
    once = pl.when(pl.col("month") == market.months[40]).then("c0_r").otherwise(0.0)
    rare = market.panel.with_columns((once * pl.col("c1_r")).alias("rare_r"))
    names = ["rare_r", *market.instruments]
    statistics = SufficientStatistics.from_frame(managed_portfolios(rare, names, market.months), names)
    left_out, asked_for = IPCA(2).fit(statistics), IPCA(2, instrument_months=1, max_iterations=20).fit(statistics)
    assert left_out.converged
    assert (left_out.gamma[0] == 0.0).all()
    np.testing.assert_allclose(left_out.gamma[1:], IPCA(2).fit(market.statistics()).gamma, atol=1e-9)
    assert not asked_for.converged


def test_twin_instruments_share_their_weight(market):
    twin = market.panel.with_columns(pl.col("c0_r").alias("twin_r"))
    names = ["twin_r", *market.instruments]
    statistics = SufficientStatistics.from_frame(managed_portfolios(twin, names, market.months), names)
    result = IPCA(3).fit(statistics)
    np.testing.assert_allclose(result.gamma[0], result.gamma[1], atol=1e-12)
    assert result.loss == pytest.approx(IPCA(3).fit(market.statistics()).loss, rel=1e-12)


def test_months_with_fewer_assets_than_factors_are_left_out(market):
    thin, rest = market.months[10], [m for m in market.months if m != market.months[10]]
    few = pl.concat(
        [market.panel.filter(pl.col("month") != thin), market.panel.filter(pl.col("month") == thin).head(2)]
    )
    statistics = SufficientStatistics.from_frame(
        managed_portfolios(few, market.instruments, market.months), market.instruments
    )
    result, without = IPCA(3).fit(statistics), IPCA(3).fit(market.statistics(rest))
    assert result.months == tuple(rest)
    assert np.array_equal(result.gamma, without.gamma)
    realised = result.realised_factors(statistics)
    assert np.isnan(realised[10]).all()
    np.testing.assert_allclose(np.delete(realised, 10, axis=0), result.factors, atol=1e-12)


def test_as_many_factors_as_instruments_fit_every_month_by_least_squares(market):
    result = IPCA(7).fit(market.statistics())
    slow = 0.0
    for rows in market.panel.partition_by("month"):
        matrix = instrument_matrix(rows, market.instruments)
        slow += np.linalg.lstsq(matrix, rows["ret_excess"].to_numpy(), rcond=None)[1][0]
    assert result.converged
    assert result.loss == pytest.approx(slow, rel=1e-10)


def test_loadings_that_are_zero_for_a_whole_month_are_an_error(market):
    month = market.months[4]
    flat = market.panel.with_columns(pl.when(pl.col("month") == month).then(0.0).otherwise("c0_r").alias("c0_r"))
    frame = managed_portfolios(flat, market.instruments, market.months)
    statistics = SufficientStatistics.from_frame(frame, market.instruments)
    arrays, text = IPCA(1).fit(statistics).to_arrays()
    only_c0 = IPCAResult.from_arrays({**arrays, "gamma": np.eye(7)[:, :1]}, text)
    with pytest.raises(ValueError, match="Gamma'W Gamma is singular in a month of 1990-01-01 to 1996-12-01"):
        IPCA(1).fit(statistics, start=only_c0)
    with pytest.raises(ValueError, match="singular in a month of 1990-05-01 to 1990-05-01"):
        only_c0.realised_factors(statistics.take(slice(4, 5)))


def test_several_starts_find_the_lower_minimum(make_market):
    """Five factors and an intercept on seven instruments of a three-factor market: a loss with two minima."""
    statistics = make_market(n_months=40, n_assets=40, alpha=0.05, seed=4).statistics()
    one, several = IPCA(5, intercept=True).fit(statistics), IPCA(5, intercept=True, starts=8).fit(statistics)
    assert one.converged
    assert several.converged
    assert several.loss < one.loss * 0.999
    again = IPCA(5, intercept=True, starts=8).fit(statistics)
    assert np.array_equal(again.gamma, several.gamma)


def test_no_convergence_is_recorded(market):
    result = IPCA(3, max_iterations=1).fit(market.statistics())
    assert not result.converged
    assert result.iterations == 1


def test_what_cannot_be_estimated_is_refused(market):
    statistics = market.statistics()
    with pytest.raises(ValueError, match="at least one factor"):
        IPCA(0)
    with pytest.raises(ValueError, match="must be positive"):
        IPCA(1, max_iterations=0)
    with pytest.raises(ValueError, match="7 independent instruments cannot span 8 factors"):
        IPCA(8).fit(statistics)
    with pytest.raises(ValueError, match="3 months determine 3 factors"):
        IPCA(3).fit(statistics.through(market.months[2]))
    with pytest.raises(ValueError, match="other instruments, factors or intercept"):
        IPCA(2).fit(statistics, start=IPCA(3).fit(statistics))


@pytest.mark.parametrize("intercept", [False, True])
def test_save_and_load_keep_every_bit(market, tmp_path, intercept):
    result = IPCA(3, intercept=intercept).fit(market.statistics())
    result.save(tmp_path / "a.safetensors")
    loaded = IPCAResult.load(tmp_path / "a.safetensors")
    loaded.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    for field in ("gamma", "factors", "loadings", "mean_factor"):
        assert getattr(loaded, field).tobytes() == getattr(result, field).tobytes()
    for field in ("names", "months", "iterations", "converged", "loss"):
        assert getattr(loaded, field) == getattr(result, field)
    rows = market.panel.filter(pl.col("month") == market.months[-1])
    assert np.array_equal(loaded.forecast(rows), result.forecast(rows))


def test_a_file_of_another_kind_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"gamma": np.ones(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not a stored model"):
        IPCAResult.load(tmp_path / "other.safetensors")


def test_forecast_by_hand(market):
    fitted = IPCA(1, intercept=True).fit(market.statistics())
    arrays, text = fitted.to_arrays()
    gamma = np.array([[0.6], [0.0], [0.0], [0.0], [0.0], [0.0], [0.8]])
    alpha = np.array([0.0, 0.02, 0.0, 0.0, 0.0, 0.0, 0.0])
    by_hand = IPCAResult.from_arrays(
        {**arrays, "gamma": gamma, "gamma_alpha": alpha, "factors": np.array([[0.01], [0.03]])}, text
    )
    assets = pl.DataFrame({name: [0.5, -0.5, 0.0] for name in market.instruments})
    # beta = 0.6 c0 + 0.8, lambda = 0.02, alpha = 0.02 c1
    np.testing.assert_allclose(by_hand.forecast(assets), [0.022 + 0.01, 0.010 - 0.01, 0.016], atol=1e-16)
    with pytest.raises(ValueError, match="lacks the instrument columns"):
        by_hand.forecast(assets.drop("c3_r"))
    assert by_hand.forecast(assets.clear()).shape == (0,)
