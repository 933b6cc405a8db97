"""The content hash: a function of rows, names and types, and of nothing else."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.content import combine, content_hash, settings_hash

rows = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.none() | st.floats(allow_nan=False, width=64),
        st.none() | st.text(max_size=4),
        st.none() | st.lists(st.floats(allow_nan=False), max_size=3),
        st.none() | st.dates(date(1926, 1, 1), date(2030, 1, 1)),
        st.none() | st.booleans(),
    ),
    unique_by=lambda row: row[0],
    max_size=12,
)
SCHEMA = {"k": pl.Int64, "x": pl.Float64, "s": pl.String, "v": pl.List(pl.Float64), "d": pl.Date, "b": pl.Boolean}


@given(rows, st.randoms())
def test_order_of_rows_and_columns_does_not_matter(values, random):
    frame = pl.DataFrame(values, schema=SCHEMA, orient="row")
    shuffled = list(values)
    random.shuffle(shuffled)
    other = pl.DataFrame(shuffled, schema=SCHEMA, orient="row").select(list(SCHEMA)[::-1])
    assert content_hash(frame, ["k"]) == content_hash(other, ["k"])


@given(rows, rows)
def test_different_rows_have_different_hashes(one, two):
    a, b = (pl.DataFrame(values, schema=SCHEMA, orient="row").sort("k") for values in (one, two))
    same = a.equals(b, null_equal=True) and str(a.to_dicts()) == str(b.to_dicts())
    assert (content_hash(a, ["k"]) == content_hash(b, ["k"])) == same


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pl.Series("x", [0.0, None]), pl.Series("x", [None, 0.0])),
        (pl.Series("x", ["ab", "c"]), pl.Series("x", ["a", "bc"])),
        (pl.Series("x", [[1.0], [2.0, 3.0]]), pl.Series("x", [[1.0, 2.0], [3.0]])),
        (pl.Series("x", [[1.0], []]), pl.Series("x", [[1.0], None])),
        (pl.Series("x", [1, 2]), pl.Series("x", [1.0, 2.0])),
        (pl.Series("x", [1, 2]), pl.Series("y", [1, 2])),
    ],
)
def test_what_looks_alike_is_told_apart(one, two):
    assert content_hash(one.to_frame(), []) != content_hash(two.to_frame(), [])


def test_a_type_without_canonical_bytes_is_refused():
    with pytest.raises(TypeError, match="no canonical bytes"):
        content_hash(pl.DataFrame({"x": [{"a": 1}]}), [])


def test_sequences_do_not_run_together():
    assert combine(["ab", "c"]) != combine(["a", "bc"])
    assert combine([]) != combine([""])


def test_settings_are_compared_by_value():
    assert settings_hash({"a": {"x": 1, "y": 2.0}}) == settings_hash({"a": {"y": 2.0, "x": 1}})
    assert settings_hash({"a": 1}) != settings_hash({"a": 2})
