from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from killed_pieces import Killed, KilledAfter

from pipeline.sdf.configurations import Grid, SearchSettings, TrainingSettings
from pipeline.sdf.search import PiecesInMemory, fingerprint, search
from pipeline.sdf.training import NO_SCORE, NOT_FINITE

GRID = Grid(
    architectures=("shallow", "elastic_net"), batch_sizes=(30, 60), rates=(1e-3, 5e-3), l1=(0.0,), l2=(0.0, 0.01)
)
SETTINGS = SearchSettings(grid=GRID, training=TrainingSettings(epochs=2), ensemble=(1, 2))


@pytest.fixture
def parts(draw):
    panel = draw(D=36)
    return panel.take(slice(0, 22)), panel.take(slice(22, 36))


def same(one, other):
    assert one.winner == other.winner
    assert one.score == other.score
    assert one.endings == other.endings
    for name in ("scores", "epochs", "run"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_killed_search_goes_on_where_it_stopped(parts, after):
    whole = search(*parts, SETTINGS, PiecesInMemory())
    pieces, computed = KilledAfter(after), []
    with pytest.raises(Killed):
        search(*parts, SETTINGS, pieces)

    def note(name, number, count):
        computed.append((name, number, count))
        return lambda epoch, running, best: None

    same(search(*parts, SETTINGS, pieces, note), whole)
    names = list(GRID.pieces)
    assert computed == [(names[place], place + 1, 4) for place in range(after, 4)]


def test_the_winner_has_the_best_score_and_ties_go_by_order(parts):
    found = search(*parts, SETTINGS, PiecesInMemory())
    assert found.configurations == GRID.configurations
    assert found.score == found.scores.max()
    assert found.winner == GRID.configurations[int(np.argmax(found.scores))]
    # A grid with the same point twice: equal scores, the first wins.
    twice = replace(SETTINGS, grid=replace(GRID, architectures=("elastic_net",), l2=(0.0, 0.0), batch_sizes=(30,)))
    tied = search(*parts, twice, PiecesInMemory())
    assert tied.scores[0] == tied.scores[1]
    assert tied.winner == tied.configurations[int(np.argmax(tied.scores))]


def test_flagged_configurations_do_not_win(parts):
    pieces = PiecesInMemory()
    honest = search(*parts, SETTINGS, pieces)
    for name, (arrays, text) in pieces.kept.items():
        endings = json.loads(text["endings"])
        for place, configuration in enumerate(GRID.pieces[name]):
            if configuration == honest.winner:
                endings[place] = NOT_FINITE
        pieces.kept[name] = arrays, text | {"endings": json.dumps(endings)}
    second = search(*parts, SETTINGS, pieces)
    assert second.winner != honest.winner
    assert second.score == sorted(honest.scores)[-2]
    assert second.usable.sum() == len(GRID.configurations) - 1
    for name, (arrays, text) in pieces.kept.items():
        pieces.kept[name] = arrays, text | {"endings": json.dumps([NO_SCORE] * len(arrays["scores"]))}
    with pytest.raises(ArithmeticError, match="none of 16"):
        search(*parts, SETTINGS, pieces)


@pytest.mark.parametrize("change", ["a return", "a characteristic", "a setting", "the seed"])
def test_pieces_of_another_search_are_computed_anew(parts, change):
    training, validation = parts
    pieces = PiecesInMemory()
    before = search(training, validation, SETTINGS, pieces)
    settings, returns, features = SETTINGS, training.returns.copy(), training.features.copy()
    match change:
        case "a return":
            returns[3] += 0.5
        case "a characteristic":
            features[3] = 5.0
        case "a setting":
            settings = replace(settings, training=replace(settings.training, gamma=0.5))
        case "the seed":
            settings = replace(settings, seed=9)
    changed = replace(training, returns=returns, features=features)
    after = search(changed, validation, settings, pieces)
    assert not np.array_equal(before.scores, after.scores)
    same(after, search(changed, validation, settings, PiecesInMemory()))


def test_a_larger_grid_takes_the_pieces_it_shares(parts):
    pieces, computed = PiecesInMemory(), []
    search(*parts, SETTINGS, pieces)
    larger = replace(SETTINGS, grid=replace(GRID, batch_sizes=(30, 60, 90)), ensemble=(5,))
    search(*parts, larger, pieces, lambda name, number, count: computed.append(name) or (lambda *told: None))
    assert computed == ["shallow_90", "elastic_net_90"]


def test_the_device_is_no_part_of_the_digest(parts):
    elsewhere = replace(SETTINGS, training=replace(SETTINGS.training, device="cuda"))
    assert fingerprint(*parts, SETTINGS) == fingerprint(*parts, elsewhere)


def test_validation_must_follow_training(parts):
    with pytest.raises(ValueError, match="must follow"):
        search(parts[1], parts[0], SETTINGS, PiecesInMemory())
    returns = parts[1].returns.copy()
    returns[0] = np.nan
    with pytest.raises(ValueError, match="missing"):
        search(parts[0], replace(parts[1], returns=returns), SETTINGS, PiecesInMemory())


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_ensembles_that_cannot_be(seeds):
    with pytest.raises(ValueError, match="seeds"):
        SearchSettings(ensemble=seeds)
