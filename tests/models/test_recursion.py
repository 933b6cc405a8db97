"""Factor models as months arrive: one month at a time, every family, the chain, forecasts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.models.factor_model import AssetReturns, CrossSection, FactorModelResult, MonthlySeries, Sample
from pipeline.models.families import FAMILIES, FactorModelSettings, Specification
from pipeline.models.managed_portfolios import CONSTANT
from pipeline.models.observed_factors import OBSERVED, ZeroForecast
from pipeline.models.recursion import FORECAST_SCHEMA, SCHEMA, RecursionState, forecasts, model_month
from pipeline.panel.calendar import shift
from pipeline.simulation.factor_model import FactorModelSettings as Truth
from pipeline.simulation.factor_model import simulate_factor_model

SETTINGS = FactorModelSettings(
    n_factors=(1, 2),
    direction_factors=(1,),
    min_months=48,
    refit_months=3,
    asset_months=24,
    starts=1,
    max_iterations=20,
)
OBSERVED_NAMES = tuple(dict.fromkeys(name for factors in OBSERVED.values() for name in factors))


@pytest.fixture(scope="module")
def sample() -> Sample:
    simulated = simulate_factor_model(Truth(n_months=56, n_assets=30, seed=3)).sample
    rng = np.random.default_rng(0)
    values = 0.05 * rng.standard_normal((56, len(OBSERVED_NAMES)))
    return replace(simulated, observed=MonthlySeries(months=simulated.months, names=OBSERVED_NAMES, values=values))


def _run(family: str, sample: Sample, months: list[date]) -> tuple[pl.DataFrame, list[RecursionState]]:
    state, frames, states = None, [], []
    for month in months:
        frame, state = model_month(
            FAMILIES[family].specifications(SETTINGS), sample.through(month), state, month, SETTINGS
        )
        frames.append(frame)
        states.append(state)
    return pl.concat(frames), states


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_estimates_and_forecasts(family: str, sample: Sample) -> None:
    months = list(sample.months[45:52])
    frame, states = _run(family, sample, months)
    assert frame.schema == SCHEMA
    assert frame["month"].unique().sort().to_list() == months[2:]
    sizes = FAMILIES[family].specifications(SETTINGS)
    assert frame.height == 5 * len(sizes)
    assert frame.group_by("month").agg(pl.col("refitted").any()).sort("month")["refitted"].to_list()[0]
    panel = sample.panel
    rows = slice(int(panel.bounds[51]), int(panel.bounds[52]))
    section = CrossSection(assets=panel.assets[rows], characteristics=panel.characteristics[rows])
    made = forecasts([states[-1]], section, months[-1])
    assert made.schema == FORECAST_SCHEMA
    assert made["target_month"].unique().to_list() == [shift(months[-1], 1)]
    assert made.select("model", "n_factors").unique().height == len(sizes)
    assert made["forecast"].is_finite().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_estimated_every_so_many_months(family: str, sample: Sample) -> None:
    frame, _ = _run(family, sample, list(sample.months[47:54]))
    refitted = frame.group_by("month").agg(pl.col("refitted").all()).sort("month")["refitted"].to_list()
    assert refitted == [True, False, False, True, False, False, True]


def test_between_estimations_factors_are_carried_on_under_the_last_parameters(sample: Sample) -> None:
    frame, states = _run("rdcfm", sample, list(sample.months[47:50]))
    first, _, third = (state.results["rdcfm.2"] for state in states)
    assert np.array_equal(first.loadings.gamma, third.loadings.gamma)
    assert np.array_equal(first.parameters["omega"], third.parameters["omega"])
    assert len(third.factors) == len(first.factors) + 2
    np.testing.assert_allclose(third.factors[: len(first.factors)], first.factors, rtol=0, atol=1e-14)
    assert frame.filter(n_factors=2)["iterations"].to_list()[1:] == [0, 0]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_model_learns_between_estimations(family: str, sample: Sample) -> None:
    """What was estimated stays, closed forms as well, and is counted over its own months."""
    frame, states = _run(family, sample, list(sample.months[47:50]))
    for name, first in states[0].results.items():
        third = states[2].results[name]
        for kind in ("gamma", "betas"):
            assert np.array_equal(getattr(first.loadings, kind, 0), getattr(third.loadings, kind, 0), equal_nan=True)
        assert (first.n_carried, third.n_carried, third.n_estimated) == (0, 2, 48), name
        assert third.months == sample.months[:50]
    own = ["n_months", "loss", "total_r2", "n_parameters", "n_loadings"]
    for _, rows in frame.group_by("model", "n_factors"):
        assert rows.select(own).unique().height == 1
    assert frame["n_months"].unique().to_list() == [48]


@pytest.mark.parametrize("family", FAMILIES)
def test_estimated_every_month_every_result_is_a_fit(family: str, sample: Sample) -> None:
    settings = replace(SETTINGS, refit_months=1)
    before = None
    for month in sample.months[47:50]:
        used = sample.through(month)
        last = before
        frame, before = model_month(FAMILIES[family].specifications(settings), used, last, month, settings)
        assert frame["refitted"].all()
        assert frame["n_months"].unique().to_list() == [len(used.months)]
        for each in FAMILIES[family].specifications(settings):
            plain = each.estimator.fit(used.begun(each.observed), None if last is None else last.results[each.name])
            found, expected = before.results[each.name].to_arrays(), plain.to_arrays()
            assert found[1] == expected[1]
            assert all(np.array_equal(found[0][key], expected[0][key], equal_nan=True) for key in expected[0])


def test_an_estimation_starts_from_the_last_result(sample: Sample) -> None:
    starts: list[FactorModelResult | None] = []

    class Watched(ZeroForecast):
        def fit(self, sample: Sample, start: FactorModelResult | None = None) -> FactorModelResult:
            starts.append(start)
            return super().fit(sample, start)

    settings, state, given = replace(SETTINGS, refit_months=2), None, []
    for month in sample.months[47:52]:
        given.append(None if state is None else state.results["zero.0"])
        _, state = model_month([Specification("zero", 0, Watched())], sample.through(month), state, month, settings)
    assert starts == given[::2]
    assert starts[0] is None
    assert starts[1] is not None


def test_the_weight_of_the_means_is_that_of_the_settings() -> None:
    for family, gamma in (("rp_pca", 3.5), ("pca", -1.0)):
        found = FAMILIES[family].specifications(replace(SETTINGS, rp_gamma=3.5))
        assert [each.estimator.gamma for each in found] == [gamma] * 2


def test_later_months_of_the_sample_change_nothing(sample: Sample) -> None:
    month = sample.months[49]
    for family in ("cfm", "observed", "pca", "ipca_sizes"):
        alone, _ = _run(family, sample.through(month), [month])
        within, _ = _run(family, sample, [month])
        assert alone.equals(within), family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_state_survives_being_stored(family: str, sample: Sample) -> None:
    _, states = _run(family, sample, [sample.months[47]])
    again = RecursionState.from_arrays(*states[0].to_arrays())
    assert again.month == states[0].month
    for name, result in states[0].results.items():
        np.testing.assert_array_equal(again.results[name].factors, result.factors)
        np.testing.assert_array_equal(again.results[name].expected_factor, result.expected_factor)
        assert again.results[name].loadings.__class__ is result.loadings.__class__


def test_a_series_that_begins_late_holds_up_its_models_alone(sample: Sample) -> None:
    values = sample.observed.values.copy()
    values[:10, OBSERVED_NAMES.index("q_roe")] = np.nan
    late = replace(sample, observed=replace(sample.observed, values=values))
    frame, _ = _run("observed", late, [late.months[50]])
    assert set(OBSERVED) - set(frame["model"]) == {"q"}
    later, _ = _run("observed", late, [late.months[55]])
    assert set(later["model"]) == set(OBSERVED) - {"q"}
    assert late.begun(OBSERVED["q"]).months == late.months[10:]


def test_a_series_that_ends_early_holds_up_later_months_alone(sample: Sample) -> None:
    values = sample.instruments.values.copy()
    values[52:] = np.nan
    ended = replace(sample, instruments=replace(sample.instruments, values=values))
    within, _ = _run("dcfm", ended, [ended.months[51]])
    whole, _ = _run("dcfm", sample, [sample.months[51]])
    assert within.equals(whole)
    with pytest.raises(ValueError, match=f"of {ended.months[52]:%Y-%m} is missing"):
        _run("dcfm", ended, [ended.months[52]])


def test_a_gap_in_a_series_is_named() -> None:
    months = tuple(shift(date(2001, 1, 1), each) for each in range(3))
    with pytest.raises(ValueError, match="smb of 2001-02 is missing"):
        MonthlySeries(months=months, names=("smb",), values=np.array([[0.1], [np.nan], [0.2]])).complete()


def test_the_chain_is_checked(sample: Sample) -> None:
    stale = RecursionState(month=sample.months[40])
    with pytest.raises(ValueError, match="not of the month before"):
        model_month(FAMILIES["cfm"].specifications(SETTINGS), sample, stale, sample.months[50], SETTINGS)
    with pytest.raises(ValueError, match="which comes later"):
        model_month(FAMILIES["cfm"].specifications(SETTINGS), sample, None, sample.months[50], SETTINGS)
    section = CrossSection(assets=np.array(["a"]))
    with pytest.raises(ValueError, match="states of that month"):
        forecasts([stale], section, sample.months[50])


def test_assets_without_characteristics_have_their_own_families(sample: Sample) -> None:
    returns = replace(sample.returns, values=np.nan_to_num(sample.returns.values))
    parts = {"instruments": sample.instruments, "observed": sample.observed, "returns": returns}
    for family in FAMILIES.values():
        if family.needs_without is None:
            continue
        bare = Sample(**{name: parts[name] for name in family.needs_without})
        frame, state = model_month(family.specifications(SETTINGS), bare.first(50), None, bare.months[49], SETTINGS)
        assert frame.height == len(family.specifications(SETTINGS))
        assets = np.array(sample.returns.assets)
        made = forecasts([state], CrossSection(assets=assets), bare.months[49])
        assert made.filter(model="zero")["forecast"].to_list() == [0.0] * made.filter(model="zero").height
        assert made.height > 0


def test_the_prevailing_mean_is_each_assets_own(sample: Sample) -> None:
    _, states = _run("naive", sample, [sample.months[55]])
    result = states[0].results["mean.1"]
    values = sample.returns.values
    means = np.where((~np.isnan(values)).sum(axis=0) >= SETTINGS.asset_months, np.nanmean(values, axis=0), np.nan)
    np.testing.assert_allclose(result.loadings.betas[:, 0], means, rtol=1e-12)
    assert CONSTANT not in OBSERVED_NAMES


def test_settings_that_no_history_satisfies_are_refused() -> None:
    for wrong in ({"n_factors": ()}, {"n_factors": (0,)}, {"refit_months": 0}, {"min_months": 12}, {"norm": "none"}):
        with pytest.raises(ValueError, match=r"n_factors|refit_months|min_months|norm"):
            FactorModelSettings(**wrong)


def test_returns_without_months_have_no_assets() -> None:
    returns = AssetReturns(months=(), assets=(), values=np.empty((0, 0)))
    assert returns.take(slice(0, 0)).assets == ()
