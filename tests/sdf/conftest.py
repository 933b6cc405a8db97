from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import pytest
import torch

from pipeline.sdf.panel import SdfPanel


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Sums in one order, and no quarrel over processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(
    D: int = 24, P: int = 5, Q: int = 3, seed: int = 0, largest: int = 14, missing: float = 0.1, smallest: int = 6
) -> SdfPanel:
    """A ragged panel whose returns depend on the first characteristic times the first macro series."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(smallest, largest + 1, D)
    assets = [np.sort(rng.choice(largest + 4, size=n, replace=False)) for n in counts]
    bounds = np.concatenate([[0], np.cumsum(counts)])
    n = int(bounds[-1])
    features = rng.normal(size=(n, P)).astype(np.float32)
    macro = rng.normal(size=(D, Q)).astype(np.float32)
    signal = (features[:, 0] if P else 0.0) * (1.0 + 0.5 * np.repeat(macro[:, 0], counts) if Q else 1.0)
    returns = 0.01 * signal + 0.03 * rng.normal(size=n)
    features[rng.random(features.shape) < missing] = np.nan
    return SdfPanel(
        months=tuple(date(1990 + i // 12, i % 12 + 1, 1) for i in range(D)),
        bounds=bounds,
        assets=np.array([f"A{number:03d}" for number in np.concatenate(assets)]),
        names=tuple(f"c{i}" for i in range(P)),
        features=features,
        macro_names=tuple(f"z{i}" for i in range(Q)),
        macro=macro,
        returns=returns,
        groups=np.array([["Finance", "Industry", "Utilities"][number % 3] for number in np.concatenate(assets)]),
    )


@pytest.fixture(scope="session")
def draw() -> Callable[..., SdfPanel]:
    return drawn
