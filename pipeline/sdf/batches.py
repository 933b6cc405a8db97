"""Batches of whole months, as slices of tensors.

A network of the stochastic discount factor needs all assets of a month at once, and its batch normalisation needs
several months: within one month every macro series is a constant that normalisation takes out again. Here belong the
tensors of a panel and the order in which batches go through it; nothing here knows a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.sdf.panel import SdfPanel

FEWEST_DATES = 2
"""Months of a batch at least: one has no standard deviation, and its macro series are constants."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some whole months.

    Attributes
    ----------
    features : Tensor
        (R, P).
    macro : Tensor
        (D, Q), one row a month.
    returns : Tensor
        (R,) or, where not all are known, None.
    counts : Tensor
        (D,) int64 assets of each month.
    indicator : Tensor
        (D, R) one where the row belongs to the month.
    codes : Tensor
        (R,) int64 number of the row's asset within the panel.
    """

    features: Tensor
    macro: Tensor
    returns: Tensor
    counts: Tensor
    indicator: Tensor
    codes: Tensor

    @property
    def n_dates(self) -> int:
        """Months."""
        return len(self.counts)

    @property
    def n_rows(self) -> int:
        """Rows."""
        return len(self.features)

    def by_date(self, values: Tensor) -> Tensor:
        """Return the sums (S, D) over each month's rows of (S, R) values."""
        return values @ self.indicator.t()

    def by_row(self, values: Tensor) -> Tensor:
        """Return each row's month's value (S, R) of (S, D) values."""
        return values @ self.indicator


class TensorPanel:
    """The tensors of a scaled panel on one device; batches are cut from it.

    Parameters
    ----------
    panel : SdfPanel
        Scaled, without missing features; returns may be missing where nothing is trained or scored.
    device : str
        ``cpu`` or ``cuda``.

    Raises
    ------
    ValueError
        If the device is not there.
    """

    def __init__(self, panel: SdfPanel, device: str = "cpu") -> None:
        if torch.device(device).type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"the device {device!r} is asked for and there is none; take 'cpu'")
        self.device = device
        self.counts = panel.counts
        self._bounds = panel.bounds
        self._features = torch.from_numpy(np.ascontiguousarray(panel.features, dtype=np.float32)).to(device)
        self._macro = torch.from_numpy(np.ascontiguousarray(panel.macro, dtype=np.float32)).to(device)
        self._returns = torch.from_numpy(panel.returns.astype(np.float32)).to(device)
        self._codes = torch.from_numpy(panel.asset_codes).to(device)

    @property
    def widths(self) -> tuple[int, int]:
        """P and Q."""
        return self._features.shape[1], self._macro.shape[1]

    def batch(self, dates: Sequence[int]) -> Batch:
        """Return the months at these places, in this order."""
        rows = [slice(int(self._bounds[d]), int(self._bounds[d + 1])) for d in dates]
        counts = torch.as_tensor(self.counts[list(dates)], device=self.device)
        place = torch.repeat_interleave(torch.arange(len(dates), device=self.device), counts)
        indicator = torch.zeros(len(dates), len(place), device=self.device)
        indicator.scatter_(0, place[None], 1.0)
        return Batch(
            features=torch.cat([self._features[each] for each in rows]),
            macro=self._macro[torch.as_tensor(list(dates), device=self.device)],
            returns=torch.cat([self._returns[each] for each in rows]),
            counts=counts,
            indicator=indicator,
            codes=torch.cat([self._codes[each] for each in rows]),
        )

    def stretches(self, rows: int) -> Iterator[tuple[slice, Batch]]:
        """Yield consecutive months of about so many rows, with their places: what evaluation goes through."""
        first = 0
        while first < len(self.counts):
            size = np.cumsum(self.counts[first:])
            last = first + max(1, int(np.searchsorted(size, rows, side="right")))
            yield slice(first, last), self.batch(range(first, last))
            first = last


def gathered(order: Sequence[int], counts: np.ndarray, batch_size: int, fewest_dates: int) -> list[list[int]]:
    """Divide months, in the order given, into batches.

    A batch is closed once it has ``batch_size`` rows and ``fewest_dates`` months. What is left at the end is a batch
    of its own if it has half the rows and enough months, else it joins the one before it.

    Parameters
    ----------
    order : sequence of int
        Places of the months.
    counts : np.ndarray
        (D,) rows of each month.
    batch_size : int
        Rows of a batch at least.
    fewest_dates : int
        Months of a batch at least.

    Raises
    ------
    ValueError
        If fewer than two months a batch are asked for, or there are fewer months than a batch needs.
    """
    if fewest_dates < FEWEST_DATES:
        raise ValueError(f"a batch of {fewest_dates} months has no standard deviation; take {FEWEST_DATES} or more")
    if len(order) < fewest_dates:
        raise ValueError(f"{len(order)} months are too few for a batch of {fewest_dates}")
    batches: list[list[int]] = []
    current: list[int] = []
    rows = 0
    for date in order:
        current.append(date)
        rows += int(counts[date])
        if rows >= batch_size and len(current) >= fewest_dates:
            batches.append(current)
            current, rows = [], 0
    if batches and (2 * rows < batch_size or len(current) < fewest_dates):
        batches[-1] += current
    elif current:
        batches.append(current)
    return batches


def shuffled(counts: np.ndarray, batch_size: int, fewest_dates: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of an epoch: months in an order that depends on seed and epoch alone.

    Parameters
    ----------
    counts : np.ndarray
        (D,) rows of each month.
    batch_size, fewest_dates : int
        See :func:`gathered`.
    seed, epoch : int
        Of the order.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(counts))
    return gathered(order.tolist(), counts, batch_size, fewest_dates)
