from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tools.numdiff import approx_fprime

from pipeline.models import conditional_factors, factor_constraints, factor_recursion
from pipeline.models.conditional_factors import ConditionalFactorModel, instrument_matrix
from pipeline.models.factor_constraints import SMALLEST
from pipeline.models.factor_model import AssetReturns, CrossSection, FactorModelResult, MonthlySeries, Sample
from pipeline.models.factor_recursion import Parameters
from pipeline.simulation.factor_model import FactorModelSettings, SimulatedFactorModel, simulate_factor_model

SWITCHES = {
    "cfm": {"recurrent": False, "conditional": False},
    "rcfm": {"recurrent": True, "conditional": False},
    "dcfm": {"recurrent": False, "conditional": True},
    "rdcfm": {"recurrent": True, "conditional": True},
}
NAMES = list(SWITCHES)


def model(name: str, n_factors: int = 2, **more) -> ConditionalFactorModel:
    defaults = {"starts": 1, "asset_months": 40}
    return ConditionalFactorModel(n_factors, **SWITCHES[name], **defaults | more)


@pytest.fixture(scope="module")
def truth() -> SimulatedFactorModel:
    return simulate_factor_model(FactorModelSettings(n_months=120, n_assets=25))


@pytest.fixture(scope="module")
def fitted(truth) -> dict[str, FactorModelResult]:
    return {name: model(name).fit(truth.sample) for name in NAMES}


def fitted_returns(result: FactorModelResult, sample: Sample) -> np.ndarray:
    """(rows,) B f of every row of the panel, NaN where the asset has no loadings."""
    panel = sample.panel
    of_row = np.repeat(result.factors, np.diff(panel.bounds), axis=0)
    one = [
        result.loadings.index(CrossSection(assets=panel.assets, characteristics=panel.characteristics), unit)
        for unit in np.eye(result.n_factors)
    ]
    return np.sum(np.column_stack(one) * of_row, axis=1)


class Minimised(Exception):
    """Carries the function that a fit would have minimised out of it."""

    def __init__(self, function, origin, hessian) -> None:
        super().__init__()
        self.function, self.origin, self.hessian = function, origin, hessian


def minimised(name: str, sample: Sample, monkeypatch, **limits) -> Minimised:
    """The function a warm start minimises, around parameters that break limits of one twentieth."""

    search = conditional_factors.minimize

    def escape(function, origin, *, jac, hess, **options):
        assert jac is True
        if SWITCHES[name]["recurrent"] and not function.__self__.limits.limits:
            # The nested model without memory, which has no limits.
            return search(function, origin, jac=jac, hess=hess, **options)
        raise Minimised(function, origin, hess)

    rng = np.random.default_rng(1)
    arrays = {"omega": 0.7 * rng.normal(size=(4, 2)), "centre": np.zeros(3)}
    if SWITCHES[name]["recurrent"]:
        arrays |= {"ar": 0.4 * rng.normal(size=(2, 2)), "initial": rng.normal(size=2)}
    estimator = model(name, **limits)
    start = replace(model(name, max_iterations=1).fit(sample), parameters=arrays)
    monkeypatch.setattr(conditional_factors, "minimize", escape)
    with pytest.raises(Minimised) as caught:
        estimator.fit(sample, start)
    return caught.value


LIMITS = {"kept": {"max_norm": 50.0, "max_inflation": 50.0}, "broken": {"max_norm": 0.05, "max_inflation": 1.0001}}


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("name", NAMES)
def test_gradient_and_hessian_against_finite_differences(truth, name, limits, monkeypatch):
    found = minimised(name, truth.sample, monkeypatch, **LIMITS[limits])
    point = found.origin + 0.1 * np.random.default_rng(2).normal(size=len(found.origin))
    value, gradient = found.function(point)
    if SWITCHES[name]["recurrent"]:
        assert (value > 1.0) == (limits == "broken")
    numeric = approx_fprime(point, lambda x: found.function(x)[0], centered=True)
    np.testing.assert_allclose(gradient, numeric, rtol=0, atol=1e-6 * np.abs(numeric).max())
    numeric = approx_fprime(point, lambda x: found.function(x)[1], centered=True)
    hessian = found.hessian(point)
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-10 * np.abs(hessian).max())
    np.testing.assert_allclose(hessian, numeric, rtol=0, atol=1e-5 * np.abs(numeric).max())


@pytest.mark.parametrize("name", NAMES)
def test_names_and_needs(fitted, name):
    assert fitted[name].model == model(name).model == name
    assert model(name).needs == ("instruments", "statistics" if name.startswith(("d", "rd")) else "returns")


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_that_of_the_panel(truth, fitted, name):
    result, realised = fitted[name], truth.sample.panel.returns
    explained = fitted_returns(result, truth.sample)
    there = np.isfinite(explained)
    assert there.all() or not SWITCHES[name]["conditional"]
    errors = realised[there] - explained[there]
    assert result.converged
    assert result.loss == pytest.approx(errors @ errors, rel=1e-12)
    assert result.squares == pytest.approx(realised[there] @ realised[there], rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_factors_are_what_the_parameters_say(truth, fitted, name):
    held, result = fitted[name].parameters, fitted[name]
    instruments = truth.sample.instruments
    np.testing.assert_allclose(held["centre"], instruments.values.mean(axis=0), atol=1e-15)
    parameters = Parameters(held["omega"], held.get("ar"), held.get("initial"))
    matrix = np.column_stack([np.ones(120), instruments.values - held["centre"]])
    np.testing.assert_allclose(factor_recursion.run(matrix, parameters).factors, result.factors, atol=1e-12)
    memory = np.tanh(result.factors[-1]) @ held["ar"] if "ar" in held else 0.0
    np.testing.assert_allclose(result.expected_factor, held["omega"][0] + memory, rtol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_counted(fitted, name):
    loadings = fitted[name].loadings.gamma if SWITCHES[name]["conditional"] else fitted[name].loadings.betas
    held = int(np.isfinite(loadings).sum())
    assert fitted[name].n_parameters == held + 4 * 2 + (2 * 2 + 2 if SWITCHES[name]["recurrent"] else 0)


@pytest.mark.parametrize("name", ["cfm", "dcfm"])
def test_without_memory_the_rotation_is_fixed(fitted, name):
    result = fitted[name]
    loadings = result.loadings.gamma if name == "dcfm" else result.loadings.betas
    loadings = loadings[np.isfinite(loadings).all(axis=1)]
    scale = 1 if name == "dcfm" else len(loadings)
    second = result.factors.T @ result.factors / 120
    assert abs(second[0, 1]) < 1e-12 * second[0, 0]
    assert second[0, 0] > second[1, 1]
    assert (result.factors.mean(axis=0) >= 0.0).all()
    np.testing.assert_allclose(loadings.T @ loadings / scale, np.eye(2), atol=1e-10)


@pytest.mark.parametrize("name", ["rcfm", "rdcfm"])
def test_with_memory_order_and_signs_are_fixed(fitted, name):
    result = fitted[name]
    loadings = result.loadings.gamma if name == "rdcfm" else result.loadings.betas
    explained = np.mean(result.factors**2, axis=0) * np.nansum(loadings**2, axis=0)
    assert explained[0] > explained[1]
    assert (result.factors.mean(axis=0) >= 0.0).all()


def stacked(truth: SimulatedFactorModel, conditional: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows c_it x z_t (or indicator of the asset x z_t) and returns, of the assets with 40 months or more."""
    panel = truth.sample.panel
    matrix = instrument_matrix(truth.sample.instruments, np.zeros(3))
    of_row = np.repeat(matrix, np.diff(panel.bounds), axis=0)
    names, which, counts = np.unique(panel.assets, return_inverse=True, return_counts=True)
    rows = np.ones(len(which), dtype=bool) if conditional else counts[which] >= 40
    left = panel.characteristics if conditional else np.eye(len(names))[which]
    design = np.einsum("il,ip->ilp", left[rows], of_row[rows]).reshape(rows.sum(), -1)
    return design, panel.returns[rows]


@pytest.mark.parametrize("name", ["cfm", "dcfm"])
def test_as_many_factors_as_instruments_is_least_squares(truth, name):
    """With K = P, Gamma Omega' is any matrix, so the fit is that of returns on all products."""
    design, realised = stacked(truth, name == "dcfm")
    coefficients, *_ = np.linalg.lstsq(design, realised, rcond=None)
    errors = realised - design @ coefficients
    result = model(name, 4).fit(truth.sample)
    assert result.loss == pytest.approx(errors @ errors, rel=1e-10)
    explained = fitted_returns(result, truth.sample)
    np.testing.assert_allclose(explained[np.isfinite(explained)], design @ coefficients, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["cfm", "dcfm"])
def test_fewer_factors_are_reduced_rank_regression(truth, name):
    """Alternating least squares on the stacked rows, loadings given factors and back, ends at the same loss."""
    design, realised = stacked(truth, name == "dcfm")
    cube = design.reshape(len(realised), -1, 4)
    omega = np.random.default_rng(0).normal(size=(4, 2))
    for _ in range(60):
        by_loading = np.einsum("ilp,pk->ilk", cube, omega).reshape(len(realised), -1)
        loadings = np.linalg.lstsq(by_loading, realised, rcond=None)[0].reshape(-1, 2)
        by_omega = np.einsum("ilp,lk->ipk", cube, loadings).reshape(len(realised), -1)
        omega = np.linalg.lstsq(by_omega, realised, rcond=None)[0].reshape(4, 2)
    errors = realised - by_omega @ omega.ravel()
    assert model(name).fit(truth.sample).loss == pytest.approx(errors @ errors, rel=1e-9)


def test_memory_explains_more_than_none(fitted):
    assert fitted["rdcfm"].loss < 0.95 * fitted["dcfm"].loss
    assert fitted["rcfm"].loss < fitted["cfm"].loss


@pytest.mark.parametrize("memory", [0.0, 1.5, 4.0])
@pytest.mark.parametrize(("recurrent", "plain"), [("rcfm", "cfm"), ("rdcfm", "dcfm")])
def test_a_poor_start_does_not_end_above_the_nested_model(truth, fitted, recurrent, plain, memory):
    start = fitted[recurrent]
    # Above a memory of about one and a half the recursion is chaotic and the loss too rough to search.
    stuck = {**start.parameters, "ar": start.parameters["ar"] + memory * np.array([[1.0, -1.0], [1.0, 1.0]])}
    found = model(recurrent, max_iterations=3).fit(truth.sample, replace(start, parameters=stuck))
    nested = model(plain, starts=1).fit(truth.sample)
    assert found.loss <= nested.loss * (1.0 + 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_extending_keeps_parameters_and_carries_the_factors_on(truth, name):
    sample, estimator = truth.sample, model(name)
    before = estimator.fit(sample.first(100))
    same, later = estimator.extend(before, sample.first(100)), estimator.extend(before, sample)
    np.testing.assert_allclose(same.factors, before.factors, atol=1e-13)
    np.testing.assert_allclose(same.expected_factor, before.expected_factor, atol=1e-13)
    assert later.months == sample.months
    assert (later.n_estimated, later.n_carried) == (100, 20)
    assert estimator.extend(later, sample).n_carried == 20
    assert np.array_equal(later.factors[:100], same.factors)
    assert all(later.parameters[key] is array for key, array in before.parameters.items())
    held = later.parameters
    driven = held["omega"][0] + (sample.instruments.values[100] - held["centre"]) @ held["omega"][1:]
    memory = np.tanh(later.factors[99]) @ held["ar"] if "ar" in held else 0.0
    np.testing.assert_allclose(later.factors[100], driven + memory, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_a_warm_start_ends_where_a_cold_one_does(truth, name):
    sample, estimator = truth.sample, model(name)
    cold = estimator.fit(sample)
    warm = estimator.fit(sample, estimator.fit(sample.first(119)))
    assert warm.converged
    assert warm.loss == pytest.approx(cold.loss, rel=1e-6)
    np.testing.assert_allclose(fitted_returns(warm, sample), fitted_returns(cold, sample), atol=1e-5)
    assert warm.iterations <= cold.iterations
    assert estimator.fit(sample, cold).iterations <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_sample_gives_the_same_bits(truth, fitted, name):
    again, _ = model(name).fit(truth.sample).to_arrays()
    before, _ = fitted[name].to_arrays()
    assert {key: array.tobytes() for key, array in again.items()} == {
        key: array.tobytes() for key, array in before.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_later_months_do_not_change_an_estimation(truth, name):
    later = truth.sample.instruments.values.copy()
    later[100:] *= -5.0
    changed = replace(truth.sample, instruments=replace(truth.sample.instruments, values=later))
    one, other = (model(name, max_iterations=3).fit(sample.first(100)) for sample in (truth.sample, changed))
    assert np.array_equal(one.factors, other.factors)
    assert one.loss == other.loss


@pytest.mark.parametrize("name", NAMES)
def test_units_and_means_of_the_instruments_do_not_matter(truth, fitted, name):
    instruments = truth.sample.instruments
    units = np.array([100.0, 1.0, 0.01])
    moved = replace(instruments, values=instruments.values * units + np.array([3.0, -1.0, 0.5]))
    result = model(name).fit(replace(truth.sample, instruments=moved))
    np.testing.assert_allclose(result.factors, fitted[name].factors, atol=1e-6)
    np.testing.assert_allclose(
        result.parameters["omega"][1:] * units[:, None], fitted[name].parameters["omega"][1:], atol=1e-6
    )


def test_limits_hold_where_they_bind():
    truth = simulate_factor_model(FactorModelSettings(n_months=120, n_assets=25, factor_sd=1.5, memory=0.9))
    slack = model("rdcfm", max_norm=5.0, max_inflation=20.0).fit(truth.sample)
    tight = model("rdcfm", max_norm=0.8).fit(truth.sample)
    sizes = np.sqrt(np.mean(slack.factors**2, axis=0)), np.sqrt(np.mean(tight.factors**2, axis=0))
    assert sizes[0].max() > 1.0
    assert tight.converged
    assert sizes[1].max() <= 0.8 * 1.005
    assert tight.loss > slack.loss


@pytest.mark.parametrize("seed", [3, 36])
def test_factors_do_not_vanish_where_there_is_no_memory(seed):
    """Histories on which the loss falls as the factor shrinks towards zero."""
    settings = FactorModelSettings(
        n_months=120, n_assets=25, n_factors=1, n_characteristics=2, n_instruments=2, memory=0.0, seed=seed
    )
    result = model("rdcfm", 1).fit(simulate_factor_model(settings).sample)
    assert SMALLEST * 0.99 < np.sqrt(np.mean(result.factors**2)) < SMALLEST * 1.01


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_assets_does_not_matter(truth, fitted, seed):
    returns, order = truth.sample.returns, np.random.default_rng(seed).permutation(25)
    shuffled = AssetReturns(
        months=returns.months, assets=tuple(f"B{i:02d}" for i in range(25)), values=returns.values[:, order]
    )
    result = model("rcfm").fit(Sample(instruments=truth.sample.instruments, returns=shuffled))
    assert result.loss == pytest.approx(fitted["rcfm"].loss, rel=1e-10)
    np.testing.assert_allclose(result.loadings.betas, fitted["rcfm"].loadings.betas[order], atol=1e-6)


def test_a_forecast_is_the_loadings_times_the_expected_factor(truth, fitted):
    panel = truth.sample.panel
    section = CrossSection(assets=np.array(["A0000", "unknown"]), characteristics=panel.characteristics[:2])
    conditional, own = fitted["rdcfm"], fitted["rcfm"]
    expected = panel.characteristics[:2] @ conditional.loadings.gamma @ conditional.expected_factor
    np.testing.assert_allclose(conditional.forecast(section), expected, atol=1e-15)
    forecast = own.forecast(section)
    assert forecast[0] == pytest.approx(own.loadings.betas[0] @ own.expected_factor, abs=1e-15)
    assert np.isnan(forecast[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_result_starts_the_next_estimation(truth, fitted, name, tmp_path):
    fitted[name].save(tmp_path / "model.safetensors")
    read = FactorModelResult.load(tmp_path / "model.safetensors")
    one, other = (model(name).fit(truth.sample, start) for start in (read, fitted[name]))
    assert np.array_equal(one.factors, other.factors)
    assert model(name).extend(read, truth.sample).months == truth.sample.months


# Input that is wrong


def test_a_missing_part_is_named(truth):
    with pytest.raises(ValueError, match="needs statistics"):
        model("rdcfm").fit(Sample(instruments=truth.sample.instruments, returns=truth.sample.returns))
    with pytest.raises(ValueError, match="needs instruments"):
        model("rcfm").fit(Sample(returns=truth.sample.returns))


def test_an_instrument_that_does_not_vary_is_named(truth):
    instruments = truth.sample.instruments
    values = np.column_stack([instruments.values, np.full(120, 0.25)])
    constant = MonthlySeries(months=instruments.months, names=(*instruments.names, "flat"), values=values)
    with pytest.raises(ValueError, match=r"\['flat'\] do not vary"):
        model("dcfm").fit(replace(truth.sample, instruments=constant))


@pytest.mark.parametrize("name", NAMES)
def test_a_month_without_an_instrument_is_named(truth, name):
    values = truth.sample.instruments.values.copy()
    values[:5, 1] = np.nan
    with pytest.raises(ValueError, match=r"z01 of 1960-01 is missing \(5 months"):
        model(name).fit(replace(truth.sample, instruments=replace(truth.sample.instruments, values=values)))


@pytest.mark.parametrize("name", NAMES)
def test_more_factors_than_instruments_are_refused(truth, name):
    with pytest.raises(ValueError, match="5 factors need as many factor instruments and"):
        model(name, 5).fit(truth.sample)


def test_too_few_months_are_refused(truth):
    with pytest.raises(ValueError, match="6 months for 3 factor instruments and 2 factors"):
        model("dcfm").fit(truth.sample.first(6))


def test_assets_that_are_all_too_young_are_refused(truth):
    with pytest.raises(ValueError, match="every asset has fewer months"):
        model("rcfm", asset_months=121).fit(truth.sample)


@pytest.mark.parametrize("name", ["dcfm", "rdcfm"])
def test_a_start_of_another_model_is_refused(truth, fitted, name):
    with pytest.raises(ValueError, match=f"another model than {name}"):
        model(name).fit(truth.sample, fitted["rcfm"])
    with pytest.raises(ValueError, match=f"another model than {name}"):
        model(name, 1).fit(truth.sample, fitted[name])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"n_factors": 0}, "n_factors"),
        ({"starts": 0}, "starts"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"norm": "euclid"}, "rms, over_periods"),
        ({"max_inflation": 1.0}, "max_inflation"),
        ({"max_norm": 0.0}, "max_norm"),
        ({"tolerance": 0.0}, "tolerance"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        ConditionalFactorModel(**{"n_factors": 1, "recurrent": True, "conditional": True} | wrong)


def test_a_search_that_is_stopped_says_so(truth):
    assert not model("rdcfm", max_iterations=1).fit(truth.sample).converged


def test_a_search_that_ends_where_a_limit_is_broken_says_so(truth, monkeypatch):
    estimator = model("rdcfm", max_norm=0.2)
    found = estimator.fit(truth.sample)
    sizes = np.sqrt(np.mean(found.factors**2, axis=0))
    assert (sizes > 0.2 * np.sqrt(1.0 + factor_constraints.TOLERANCE)).all()
    assert not found.converged
    # The search itself came to an end: nothing but the limits is amiss.
    monkeypatch.setattr(factor_constraints, "TOLERANCE", 1.0)
    assert estimator.fit(truth.sample).converged


@pytest.mark.parametrize("n_factors", [2, 3])
@pytest.mark.parametrize("name", ["cfm", "rcfm"])
def test_an_asset_whose_instruments_are_collinear_is_left_out(truth, name, n_factors):
    """One instrument says nothing while the first asset lives; the others are estimated as if it were not there."""
    held, returns = truth.sample.instruments, truth.sample.returns
    late = replace(held, values=np.where(np.arange(120)[:, None] < 80, [1.0, 1.0, 0.0], 1.0) * held.values)
    values = returns.values.copy()
    values[:, 0] = np.where(np.arange(120) < 80, 0.01 * np.arange(120) % 0.07, np.nan)
    sample = replace(truth.sample, instruments=late, returns=replace(returns, values=values))
    fewer = replace(sample, returns=replace(returns, assets=returns.assets[1:], values=values[:, 1:]))
    estimator = model(name, n_factors, max_iterations=30)
    found, without = estimator.fit(sample), estimator.fit(fewer)
    assert np.isnan(found.loadings.betas[0]).all()
    assert found.n_parameters == without.n_parameters
    assert found.loss == pytest.approx(without.loss, rel=1e-6)
    assert found.squares == pytest.approx(without.squares, rel=1e-12)


@pytest.mark.parametrize("name", ["dcfm", "rdcfm"])
def test_instruments_that_repeat_each_other_are_named(truth, name):
    held = truth.sample.instruments
    twice = replace(held, values=held.values[:, [0, 0, 0]] * [1.0, 2.0, -3.0])
    with pytest.raises(ValueError, match=r"3 factors of \['z00', 'z01', 'z02'\] come out collinear"):
        model(name, 3).fit(replace(truth.sample, instruments=twice))


@pytest.mark.parametrize("value", [0.1, 1e6, -3.3])
def test_an_instrument_that_varies_by_rounding_alone_is_named(truth, value):
    held = truth.sample.instruments
    flat = replace(held, values=np.column_stack([held.values[:, :-1], np.full(len(held.months), value)]))
    with pytest.raises(ValueError, match=rf"\['{held.names[-1]}'\] do not vary"):
        model("rdcfm").fit(replace(truth.sample, instruments=flat))


@pytest.mark.parametrize("name", ["cfm", "rcfm"])
def test_infinite_returns_and_wrong_identifiers_are_named(truth, name):
    held = truth.sample.returns
    with pytest.raises(ValueError, match=rf"1 returns are infinite, the first of {held.assets[3]} in"):
        replace(held, values=np.where(np.arange(held.values.size).reshape(held.values.shape) == 3, np.inf, held.values))
    for wrong in (range(len(held.assets)), ["A"] * len(held.assets)):
        with pytest.raises(ValueError, match="identified by text, each once"):
            replace(held, assets=tuple(wrong))
    with pytest.raises(ValueError, match="identified by text, not by int"):
        CrossSection(assets=np.arange(5))
    with pytest.raises(ValueError, match="or all are zero"):
        model(name).fit(replace(truth.sample, returns=replace(held, values=np.zeros_like(held.values))))


def test_forecasts_find_their_assets_in_any_order(truth):
    held = truth.sample.returns
    turned = replace(held, assets=held.assets[::-1], values=held.values[:, ::-1])
    wanted = CrossSection(assets=np.array([*held.assets[::2], "nobody"]))
    forecasts = [model("cfm").fit(replace(truth.sample, returns=each)).forecast(wanted) for each in (held, turned)]
    np.testing.assert_allclose(forecasts[0], forecasts[1], rtol=1e-8, atol=0)
    assert np.isnan(forecasts[0]).sum() == 1


def test_sums_that_are_not_finite_and_characteristics_never_seen_are_named(truth):
    held = truth.sample.statistics
    with pytest.raises(ValueError, match=rf"X is not finite in 1 month\(s\), the first {held.months[2]:%Y-%m}"):
        replace(held, X=np.where(np.arange(held.X.size).reshape(held.X.shape) == 2 * held.X.shape[1], np.nan, held.X))
    unseen = np.zeros_like(held.W)
    unseen[:, -1, -1] = held.W[:, -1, -1]
    constant = replace(held, X=held.X * (np.arange(held.X.shape[1]) == held.X.shape[1] - 1), W=unseen)
    with pytest.raises(ValueError, match="2 factors need as many statistics with enough months; there are 1"):
        model("dcfm").fit(replace(truth.sample, statistics=constant))
