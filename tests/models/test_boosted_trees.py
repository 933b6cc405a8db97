from __future__ import annotations

import numpy as np
import pytest
import xgboost

from pipeline.models.boosted_trees import BoostedTrees, PanelRows, fit_boosted_trees
from pipeline.models.storage import load_arrays, save_arrays
from pipeline.models.tree_settings import BoostedTreesSettings

NAMES = ("size", "value", "noise")
SETTINGS = BoostedTreesSettings(max_rounds=150, patience=20)


def _rows(seed: int, n: int = 3000, signal: float = 1.0) -> PanelRows:
    """Returns with a step in size, a product with value, some features missing."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(-0.5, 0.5, (n, 3))
    mean = 0.02 * (features[:, 0] > 0.1) + 0.04 * features[:, 0] * features[:, 1]
    returns = signal * mean + 0.03 * rng.normal(size=n)
    features[rng.random((n, 3)) < 0.05] = np.nan
    return PanelRows(features=features, returns=returns, names=NAMES)


TRAINING, VALIDATION, TEST = _rows(0), _rows(1), _rows(2)


@pytest.fixture(scope="module")
def trees() -> BoostedTrees:
    return fit_boosted_trees(TRAINING, VALIDATION, SETTINGS)


def test_the_signal_is_found_out_of_sample(trees) -> None:
    rng = np.random.default_rng(2)
    features = rng.uniform(-0.5, 0.5, (3000, 3))
    truth = 0.02 * (features[:, 0] > 0.1) + 0.04 * features[:, 0] * features[:, 1]
    attainable = 1 - np.sum((TEST.returns - truth) ** 2) / np.sum(TEST.returns**2)
    found = trees.out_of_sample_r2(TEST)
    assert 0.7 * attainable < found < attainable
    assert trees.importance()["feature"].to_list()[0] == "size"


def test_the_measure_by_a_plain_loop(trees) -> None:
    forecast = trees.forecast(TEST.features)
    above = sum((r - f) ** 2 for r, f in zip(TEST.returns, forecast, strict=True))
    below = sum(r**2 for r in TEST.returns)
    assert trees.out_of_sample_r2(TEST) == pytest.approx(1 - above / below, rel=1e-10)


def test_agrees_with_the_regressor_of_the_library(trees) -> None:
    theirs = xgboost.XGBRegressor(
        n_estimators=trees.rounds,
        max_depth=trees.depth,
        learning_rate=trees.learning_rate,
        base_score=0.0,
        tree_method="hist",
        subsample=0.5,
        colsample_bytree=0.5,
        reg_lambda=1.0,
        min_child_weight=20,
        max_bin=64,
        random_state=0,
        n_jobs=1,
    ).fit(TRAINING.features, TRAINING.returns)
    np.testing.assert_array_equal(trees.forecast(TEST.features), theirs.predict(TEST.features).astype(float))
    gains = theirs.get_booster().get_score(importance_type="total_gain")
    shares = {name: gains[f"f{k}"] / sum(gains.values()) for k, name in enumerate(NAMES)}
    table = trees.importance()
    assert dict(table.select("feature", "gain").rows()) == pytest.approx(shares)
    assert table["gain"].is_sorted(descending=True)


def test_the_best_candidate_is_chosen_on_validation_rows(trees) -> None:
    assert trees.candidates.select("depth", "learning_rate").rows() == [
        (depth, rate) for depth in (1, 2, 4) for rate in (0.01, 0.1)
    ]
    assert trees.validation_r2 == trees.candidates["validation_r2"].max()
    assert trees.out_of_sample_r2(VALIDATION) == pytest.approx(trees.validation_r2, rel=1e-10)
    row = trees.candidates.filter(validation_r2=trees.validation_r2).row(0)
    assert row == (trees.depth, trees.learning_rate, trees.rounds, trees.validation_r2)


def test_rounds_end_where_the_validation_error_is_least() -> None:
    settings = BoostedTreesSettings(depths=(2,), learning_rates=(0.1,), max_rounds=60, patience=60)
    chosen = fit_boosted_trees(TRAINING, VALIDATION, settings)
    errors = []
    for rounds in range(1, 61):
        cut = BoostedTrees(**(vars(chosen) | {"rounds": rounds}))
        errors.append(np.mean((VALIDATION.returns - cut.forecast(VALIDATION.features)) ** 2))
    assert chosen.rounds == int(np.argmin(errors)) + 1 < 60


def test_pure_noise_is_left_alone() -> None:
    """Where no tree helps on the validation rows the forecast is zero, and nothing is important."""
    rng = np.random.default_rng(5)
    centred = rng.normal(size=2000)
    noise = PanelRows(features=rng.normal(size=(2000, 3)), returns=centred + 0.3, names=NAMES)
    opposite = PanelRows(features=rng.normal(size=(2000, 3)), returns=centred - 0.3, names=NAMES)
    none = fit_boosted_trees(noise, opposite, SETTINGS)
    assert (none.rounds, none.validation_r2, none.out_of_sample_r2(TEST)) == (0, 0.0, 0.0)
    assert none.importance()["gain"].to_list() == [0.0, 0.0, 0.0]
    assert none.importance()["feature"].to_list() == ["noise", "size", "value"]


def test_zero_returns_have_no_measure(trees) -> None:
    zero = PanelRows(features=TEST.features, returns=np.zeros(len(TEST.returns)), names=NAMES)
    assert trees.out_of_sample_r2(zero) is None
    assert fit_boosted_trees(TRAINING, zero, SETTINGS).rounds == 0


def test_fits_repeat_and_travel(trees, tmp_path) -> None:
    again = fit_boosted_trees(TRAINING, VALIDATION, SETTINGS)
    assert again.booster == trees.booster
    save_arrays(tmp_path / "trees.safetensors", *trees.to_arrays())
    back = BoostedTrees.from_arrays(*load_arrays(tmp_path / "trees.safetensors"))
    assert back.candidates.equals(trees.candidates)
    assert (back.names, back.rounds, back.validation_r2) == (trees.names, trees.rounds, trees.validation_r2)
    np.testing.assert_array_equal(back.forecast(TEST.features), trees.forecast(TEST.features))


def test_a_forecast_does_not_depend_on_the_other_rows(trees) -> None:
    whole = trees.forecast(TEST.features)
    order = np.random.default_rng(0).permutation(len(whole))
    np.testing.assert_array_equal(trees.forecast(TEST.features[order]), whole[order])
    np.testing.assert_array_equal(trees.forecast(TEST.features[:7]), whole[:7])


def test_bad_rows_and_settings_are_refused(trees) -> None:
    with pytest.raises(ValueError, match="expected"):
        PanelRows(features=np.zeros((3, 2)), returns=np.zeros(3), names=NAMES)
    with pytest.raises(ValueError, match="finite"):
        PanelRows(features=np.zeros((3, 3)), returns=np.full(3, np.nan), names=NAMES)
    with pytest.raises(ValueError, match=r"\['a'\] stand twice"):
        PanelRows(features=np.zeros((3, 3)), returns=np.zeros(3), names=("a", "b", "a"))
    other = PanelRows(features=TEST.features, returns=TEST.returns, names=("a", "b", "c"))
    with pytest.raises(ValueError, match="different features"):
        fit_boosted_trees(TRAINING, other, SETTINGS)
    with pytest.raises(ValueError, match="take 3 features"):
        trees.forecast(np.zeros((4, 2)))
    for wrong in ({"depths": ()}, {"max_rounds": 0}, {"row_share": 0.0}, {"learning_rates": (0.0,)}):
        with pytest.raises(ValueError, match="must"):
            BoostedTreesSettings(**wrong)
    with pytest.raises(ValueError, match="at least one"):
        BoostedTreesSettings(depths=())
    for wrong in ({"n_bins": 1}, {"penalty": -1.0}, {"min_leaf_rows": -0.5}):
        with pytest.raises(ValueError, match="n_bins must be at least 2"):
            BoostedTreesSettings(**wrong)
