"""Pieces of unfinished work: there wholly or not at all, and never those of other data."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from resources.pieces import PieceStore

MONTH = date(2010, 5, 1)
ARRAYS = {"sharpe": np.array([0.1, np.nan, 1 / 3]), "epochs": np.array([3, 1, 50], dtype=np.int32)}


@pytest.fixture
def pieces(tmp_path):
    return PieceStore(tmp_path, "bond_sdf_search", MONTH, "a")


def test_round_trip_to_the_last_bit(pieces):
    assert pieces.get("model_1-256") is None
    pieces.put("model_1-256", ARRAYS, {"flags": "[]"})
    arrays, text = pieces.get("model_1-256")
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in ARRAYS.items()
    }
    assert text == {"flags": "[]"}


def test_pieces_of_other_data_are_not_seen_and_go_with_the_first_new_one(pieces, tmp_path):
    pieces.put("first", ARRAYS, {})
    changed = PieceStore(tmp_path, "bond_sdf_search", MONTH, "b")
    assert changed.get("first") is None
    changed.put("second", ARRAYS, {})
    assert pieces.get("first") is None
    assert changed.get("second") is not None


def test_partitions_and_assets_have_their_own(pieces, tmp_path):
    pieces.put("first", ARRAYS, {})
    for asset, month in (("bond_sdf_search", date(2010, 6, 1)), ("stock_sdf_search", MONTH)):
        other = PieceStore(tmp_path, asset, month, "a")
        assert other.get("first") is None
        other.put("first", {}, {})
        other.clear()
    assert pieces.get("first") is not None


def test_nothing_is_left_of_a_finished_partition(pieces, tmp_path):
    pieces.put("first", ARRAYS, {})
    pieces.clear()
    assert pieces.get("first") is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_damaged_piece_is_worked_out_again(pieces, tmp_path):
    pieces.put("first", ARRAYS, {})
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:40])
    assert pieces.get("first") is None
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "../first", "a/b", ".hidden"])
def test_names_cannot_leave_the_folder(pieces, name):
    with pytest.raises(ValueError, match="is no name of a piece"):
        pieces.put(name, ARRAYS, {})
