from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sdf.batches import TensorPanel, gathered, shuffled


@given(
    counts=st.lists(st.integers(1, 40), min_size=4, max_size=60),
    batch_size=st.integers(1, 120),
    fewest=st.integers(2, 4),
    seed=st.integers(0, 5),
)
@settings(max_examples=50, deadline=None)
def test_batches_are_whole_months_once_each(counts, batch_size, fewest, seed):
    counts = np.array(counts)
    batches = shuffled(counts, batch_size, fewest, seed, epoch=3)
    assert sorted(date for batch in batches for date in batch) == list(range(len(counts)))
    assert min(len(batch) for batch in batches) >= fewest
    for batch in batches[:-1]:
        assert counts[batch].sum() >= batch_size
        # No month more than needed.
        assert len(batch) == fewest or counts[batch[:-1]].sum() < batch_size
    assert 2 * counts[batches[-1]].sum() >= batch_size or len(batches) == 1


def test_the_order_is_that_of_seed_and_epoch():
    counts = np.full(30, 5)

    def order(seed, epoch):
        return shuffled(counts, 20, 2, seed, epoch)

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


def test_what_is_left_joins_or_stands_alone():
    counts = np.array([4, 4, 4, 4, 2, 1])
    assert gathered(range(6), counts, 8, 2) == [[0, 1], [2, 3, 4, 5]]
    assert gathered(range(6), counts, 6, 2) == [[0, 1], [2, 3], [4, 5]]
    assert gathered(range(3), counts, 100, 2) == [[0, 1, 2]]


@pytest.mark.parametrize(("fewest", "said"), [(1, "standard deviation"), (5, "too few")])
def test_too_few_months_are_refused(fewest, said):
    with pytest.raises(ValueError, match=said):
        gathered(range(4), np.full(4, 3), 6, fewest)


def test_a_batch_is_the_rows_of_its_months(draw):
    panel = draw(missing=0.0)
    batch = TensorPanel(panel).batch([7, 2, 11])
    rows = np.concatenate([np.arange(panel.bounds[d], panel.bounds[d + 1]) for d in (7, 2, 11)])
    np.testing.assert_array_equal(batch.features, panel.features[rows])
    np.testing.assert_array_equal(batch.macro, panel.macro[[7, 2, 11]])
    np.testing.assert_array_equal(batch.returns, panel.returns[rows].astype(np.float32))
    np.testing.assert_array_equal(panel.assets[rows], np.unique(panel.assets)[batch.codes])
    np.testing.assert_array_equal(batch.counts, panel.counts[[7, 2, 11]])
    values = torch.arange(2.0 * len(rows)).view(2, -1)
    splits = np.cumsum(panel.counts[[7, 2]])
    expected = [[part.sum() for part in np.split(row.numpy(), splits)] for row in values]
    np.testing.assert_allclose(batch.by_date(values), expected)
    per_date = torch.tensor([[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(batch.by_row(per_date)[0], np.repeat([1.0, 2.0, 3.0], panel.counts[[7, 2, 11]]))


@pytest.mark.parametrize("rows", [1, 30, 10_000])
def test_stretches_cover_all_months(draw, rows):
    panel = draw()
    found = list(TensorPanel(panel).stretches(rows))
    assert [place for where, _ in found for place in range(where.start, min(where.stop, 24))] == list(range(24))
    assert sum(batch.n_rows for _, batch in found) == len(panel.assets)
    assert all(batch.n_rows <= rows or batch.n_dates == 1 for _, batch in found)


def test_a_device_that_is_not_there_is_refused(draw, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="take 'cpu'"):
        TensorPanel(draw(), "cuda")
