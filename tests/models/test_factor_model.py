from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from pipeline.models.factor_model import (
    LOGISTIC,
    AssetLoadings,
    AssetReturns,
    CharacteristicLoadings,
    CrossSection,
    FactorModelResult,
    MonthlySeries,
    PooledPanel,
    Sample,
)

MONTHS = tuple(date(2000, month, 1) for month in range(1, 6))


def series(months: tuple[date, ...] = MONTHS) -> MonthlySeries:
    values = np.arange(2.0 * len(months)).reshape(-1, 2)
    return MonthlySeries(months=months, names=("mkt_rf", "smb"), values=values)


def returns() -> AssetReturns:
    values = np.arange(15.0).reshape(5, 3)
    values[:3, 1] = np.nan
    return AssetReturns(months=MONTHS, assets=("A", "B", "C"), values=values)


def panel() -> PooledPanel:
    return PooledPanel(
        months=MONTHS,
        bounds=np.array([0, 2, 2, 5, 6, 8]),
        characteristics=np.arange(16.0).reshape(8, 2),
        returns=np.arange(8.0),
        assets=np.array(list("ABABCAAB")),
        names=("size_r", "constant"),
    )


def result(loadings: AssetLoadings | CharacteristicLoadings) -> FactorModelResult:
    rng = np.random.default_rng(0)
    return FactorModelResult(
        model="rdcfm", months=MONTHS, factors=rng.normal(size=(5, 2)), expected_factor=rng.normal(size=2),
        loadings=loadings, n_parameters=17, loss=0.1 + 0.2, squares=1.0 / 3.0, iterations=4, converged=False,
        parameters={"omega": rng.normal(size=(3, 2)), "centre": rng.normal(size=2)}, link=LOGISTIC, n_carried=2,
    )  # fmt: skip


CONDITIONAL = CharacteristicLoadings(names=("size_r", "constant"), gamma=np.array([[1.0, 2.0], [3.0, 4.0]]))
OWN = AssetLoadings(assets=("A", "C"), betas=np.array([[1.0, 2.0], [np.nan, np.nan]]))


def test_a_gap_in_a_series_is_named():
    values = series().values.copy()
    values[2, 1], values[4, 0] = np.nan, np.inf
    gaps = MonthlySeries(months=MONTHS, names=("mkt_rf", "smb"), values=values)
    with pytest.raises(ValueError, match=r"smb of 2000-03 is missing \(2 months"):
        gaps.complete()
    with pytest.raises(ValueError, match="mkt_rf of 2000-05"):
        gaps.columns(("mkt_rf",))
    assert gaps.take(slice(0, 2)).complete().names == ("mkt_rf", "smb")


def test_months_before_all_series_have_begun_are_counted():
    values = series().values.copy()
    values[:2, 1], values[0, 0], values[4, 0] = np.nan, np.nan, np.nan
    assert MonthlySeries(months=MONTHS, names=("mkt_rf", "smb"), values=values).n_before == 2
    assert series().n_before == 0


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"shape \(5, 2\), expected \(5, 1\)"):
        MonthlySeries(months=MONTHS, names=("mkt_rf",), values=series().values)
    with pytest.raises(ValueError, match=r"shape \(5, 3\), expected \(5, 2\)"):
        AssetReturns(months=MONTHS, assets=("A", "B"), values=returns().values)


def test_columns_come_in_the_order_asked_for():
    found = series().columns(("smb", "mkt_rf"))
    assert found.names == ("smb", "mkt_rf")
    assert np.array_equal(found.values, series().values[:, ::-1])
    with pytest.raises(ValueError, match="hml"):
        series().columns(("smb", "hml"))


def test_assets_without_a_return_in_the_months_are_dropped():
    early = returns().take(slice(0, 3))
    assert early.assets == ("A", "C")
    assert early.values.shape == (3, 2)
    assert returns().take(slice(0, 4)).assets == ("A", "B", "C")


def test_consecutive_months_of_a_panel():
    middle = panel().take(slice(1, 4))
    assert middle.months == MONTHS[1:4]
    assert middle.bounds.tolist() == [0, 0, 3, 4]
    assert middle.returns.tolist() == [2.0, 3.0, 4.0, 5.0]
    assert "".join(middle.assets) == "ABCA"
    assert np.array_equal(middle.characteristics, panel().characteristics[2:6])


def test_a_sample_cuts_all_its_parts():
    sample = Sample(instruments=series(), returns=returns(), panel=panel())
    cut = sample.through(date(2000, 3, 15))
    assert cut.months == MONTHS[:3]
    assert {name: part.months for name, part in cut.parts.items()} == dict.fromkeys(
        ("instruments", "returns", "panel"), MONTHS[:3]
    )
    assert cut.statistics is None
    assert np.array_equal(sample.first(3).panel.returns, cut.panel.returns)


def test_parts_of_other_months_are_refused():
    with pytest.raises(ValueError, match="2000-01 to 2000-05, 5 months, returns 2000-01 to 2000-04, 4 months"):
        Sample(instruments=series(), returns=returns().take(slice(0, 4)))
    with pytest.raises(ValueError, match="empty"):
        Sample()


def test_a_part_that_is_needed_and_absent_is_named():
    sample = Sample(instruments=series(), returns=returns())
    sample.require("returns", "instruments")
    with pytest.raises(ValueError, match="needs statistics, the sample has instruments, returns"):
        sample.require("returns", "statistics")


def test_the_index_of_characteristics():
    section = CrossSection(assets=np.array(["X", "Y"]), characteristics=np.array([[0.5, 1.0], [-0.5, 1.0]]))
    # C Gamma f by hand: Gamma f = (1 + 2 * 0.1, 3 + 4 * 0.1).
    np.testing.assert_allclose(CONDITIONAL.index(section, np.array([1.0, 0.1])), [0.6 + 3.4, -0.6 + 3.4], rtol=1e-14)
    with pytest.raises(ValueError, match="take 2 characteristics, the cross-section has none"):
        CONDITIONAL.index(CrossSection(assets=np.array(["X"])), np.ones(2))
    with pytest.raises(ValueError, match="has 1"):
        CONDITIONAL.index(CrossSection(assets=np.array(["X"]), characteristics=np.ones((1, 1))), np.ones(2))


def test_the_index_of_single_assets():
    section = CrossSection(assets=np.array(["Z", "A", "B", "C"]))
    found = OWN.index(section, np.array([1.0, 0.1]))
    assert found[1] == pytest.approx(1.2)
    assert np.isnan(found[[0, 2, 3]]).all()
    nobody = AssetLoadings(assets=(), betas=np.empty((0, 2)))
    assert np.isnan(nobody.index(section, np.ones(2))).all()


def test_a_forecast_goes_through_the_link():
    section = CrossSection(assets=np.array(["X"]), characteristics=np.array([[0.5, 1.0]]))
    probability = result(CONDITIONAL)
    index = CONDITIONAL.index(section, probability.expected_factor)
    np.testing.assert_allclose(probability.forecast(section), 1.0 / (1.0 + np.exp(-index)), rtol=1e-14)
    assert np.array_equal(replace(probability, link="identity").forecast(section), index)


def test_r2_is_against_zero():
    assert result(OWN).total_r2 == pytest.approx(1.0 - 0.3 * 3.0)
    assert replace(result(OWN), squares=0.0).total_r2 is None


@pytest.mark.parametrize("loadings", [CONDITIONAL, OWN], ids=["conditional", "own"])
def test_a_saved_result_is_read_back_bit_for_bit(loadings, tmp_path):
    saved = result(loadings)
    saved.save(tmp_path / "model.safetensors")
    read = FactorModelResult.load(tmp_path / "model.safetensors")
    arrays, text = saved.to_arrays()
    again, words = read.to_arrays()
    assert words == text
    assert {name: array.tobytes() for name, array in again.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }
    assert read.loss == 0.1 + 0.2
    assert (read.months, read.n_parameters, read.iterations, read.converged) == (MONTHS, 17, 4, False)
    assert type(read.loadings) is type(loadings)


def test_a_sample_begins_where_what_is_used_has_begun():
    late = series().values.copy()
    late[:2, 1] = np.nan
    observed = MonthlySeries(months=MONTHS, names=("mkt_rf", "smb"), values=late)
    sample = Sample(instruments=series(), observed=observed, returns=returns())
    assert sample.begun(["smb"]).months == MONTHS[2:]
    assert sample.begun(["smb"]).returns.values.shape == (3, 3)
    assert sample.begun(["mkt_rf"]).months == MONTHS
    assert replace(sample, instruments=observed).begun([]).months == MONTHS[2:]
