"""What a network of the stochastic discount factor may look at: a ragged panel, its split in time and its scaling.

Here belong NumPy arrays and dates. Tensors and batches stand in :mod:`pipeline.sdf.batches`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

import numpy as np

# A column whose scale is below this share of its largest value is constant but for rounding.
_CONSTANT = 1e-6

_MOMENTS = ("mean", "scale", "macro_mean", "macro_scale")

# Rows that are summed in double precision, or scaled, at once.
_CHUNK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class SdfPanel:
    """Assets, month by month, with what was known a month before and the returns that were earned.

    Attributes
    ----------
    months : tuple of date
        D target months, ascending: the months in which the returns are earned. Everything else of a month was known
        at the end of the month before.
    bounds : np.ndarray
        (D + 1,) month d has the rows bounds[d] to bounds[d + 1], at least one.
    assets : np.ndarray
        (n,) identifiers, str, unique within a month.
    names : tuple of str
        The P own characteristics.
    features : np.ndarray
        (n, P) float32 own characteristics, NaN where missing.
    macro_names : tuple of str
        The Q series that all assets share.
    macro : np.ndarray
        (D, Q) float32, one row a month, NaN where missing.
    returns : np.ndarray
        (n,) excess returns, decimals; NaN where they are not known (yet), which only :meth:`SdfResult.weights` admits.
    groups : np.ndarray or None
        (n,) labels of an industry, str.
    idle : mapping of date to np.ndarray
        (Q,) series of the target months in between that have no row: for networks that read a history of them.

    Raises
    ------
    ValueError
        If a shape is wrong, months do not ascend, a month has no row or an asset twice.
    """

    months: tuple[date, ...]
    bounds: np.ndarray
    assets: np.ndarray
    names: tuple[str, ...]
    features: np.ndarray
    macro_names: tuple[str, ...]
    macro: np.ndarray
    returns: np.ndarray
    groups: np.ndarray | None = None
    idle: Mapping[date, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check shapes and order."""
        D, n = len(self.months), len(self.assets)
        expected = {
            "bounds": (D + 1,),
            "features": (n, len(self.names)),
            "macro": (D, len(self.macro_names)),
            "returns": (n,),
            "groups": (n,),
        }
        for name, shape in expected.items():
            found = getattr(self, name)
            if found is not None and found.shape != shape:
                raise ValueError(f"{name} has shape {found.shape}, expected {shape}")
        if list(self.months) != sorted(set(self.months)):
            raise ValueError("months must ascend and be unique; sort the panel by month")
        if self.bounds[0] != 0 or self.bounds[-1] != n:
            raise ValueError(f"bounds run from {self.bounds[0]} to {self.bounds[-1]}, the panel has {n} rows")
        for place in np.flatnonzero(np.diff(self.bounds) < 1)[:1]:
            raise ValueError(f"{self.months[place]:%Y-%m} has no row; leave the month out")
        for month, row in self.idle.items():
            if month in self.months or row.shape != (len(self.macro_names),):
                raise ValueError(f"{month:%Y-%m} is idle: it has no row, and {len(self.macro_names)} series")
        codes = self.asset_codes + (len(self.assets) + 1) * self.date_of_row
        if len(np.unique(codes)) != n:
            raise ValueError("an asset stands twice in a month; (month, asset) is the key")

    @property
    def counts(self) -> np.ndarray:
        """(D,) assets of each month."""
        return np.diff(self.bounds)

    @cached_property
    def date_of_row(self) -> np.ndarray:
        """(n,) place of the row's month."""
        return np.repeat(np.arange(len(self.months)), self.counts)

    @cached_property
    def asset_codes(self) -> np.ndarray:
        """(n,) number of the row's asset in the sorted list of all."""
        return np.unique(self.assets, return_inverse=True)[1].astype(np.int64)

    def take(self, which: slice) -> SdfPanel:
        """Return consecutive months, as views; the panel itself where these are all.

        Idle months go with the first month that follows them.
        """
        first, last, _ = which.indices(len(self.months))
        last = max(first, last)
        if last - first == len(self.months):
            return self
        rows = slice(int(self.bounds[first]), int(self.bounds[last]))
        months = self.months[first:last]
        after, before = self.months[first - 1] if first else date.min, months[-1] if months else date.min
        return replace(
            self,
            months=months,
            bounds=self.bounds[first : last + 1] - self.bounds[first],
            assets=self.assets[rows],
            features=self.features[rows],
            macro=self.macro[first:last],
            returns=self.returns[rows],
            groups=None if self.groups is None else self.groups[rows],
            idle={month: row for month, row in self.idle.items() if after < month < before},
        )

    def through(self, month: date) -> SdfPanel:
        """Return the months up to and including ``month``."""
        return self.take(slice(0, sum(each <= month for each in self.months)))

    def between(self, first: date, last: date) -> SdfPanel:
        """Return the months from ``first`` to ``last``, both included."""
        return self.take(slice(sum(each < first for each in self.months), sum(each <= last for each in self.months)))

    def keep(self, rows: np.ndarray) -> SdfPanel:
        """Return the rows of a boolean mask; months in between that are left without a row are idle, others go."""
        counts = np.bincount(self.date_of_row[rows], minlength=len(self.months))
        there = counts > 0
        months = tuple(np.array(self.months, dtype=object)[there])
        between = self.calendar.items() if len(months) > 1 else ()
        held = set(months)
        return replace(
            self,
            months=months,
            bounds=np.concatenate([[0], np.cumsum(counts[there])]),
            assets=self.assets[rows],
            features=self.features[rows],
            macro=self.macro[there],
            returns=self.returns[rows],
            groups=None if self.groups is None else self.groups[rows],
            idle={month: row for month, row in between if months[0] < month < months[-1] and month not in held},
        )

    @property
    def calendar(self) -> dict[date, np.ndarray]:
        """The series of every month, (Q,) each, idle months included."""
        return dict(sorted({**self.idle, **dict(zip(self.months, self.macro, strict=True))}.items()))

    def with_macro(self, names: Sequence[str], change: Callable[[np.ndarray], np.ndarray]) -> SdfPanel:
        """Return the panel with other series, which ``change`` makes of (months, Q) values, each month by itself."""
        idle = {month: change(row[None])[0] for month, row in self.idle.items()}
        return replace(self, macro_names=tuple(names), macro=change(self.macro), idle=idle)

    def known_returns(self) -> np.ndarray:
        """Return the returns, all of which must be there.

        Raises
        ------
        ValueError
            If one is missing.
        """
        bad = np.flatnonzero(~np.isfinite(self.returns))
        if len(bad):
            month = self.months[int(self.date_of_row[bad[0]])]
            raise ValueError(
                f"the return of {self.assets[bad[0]]} in {month:%Y-%m} is missing ({len(bad)} in all); leave the rows "
                "out or end the sample earlier"
            )
        return self.returns


def refuse_later(panel: SdfPanel, month: date) -> None:
    """Refuse to search in a month on a panel that goes past it.

    Raises
    ------
    ValueError
        If it does.
    """
    if panel.months and panel.months[-1] > month:
        raise ValueError(f"the panel of a search in {month} holds {panel.months[-1]}, which comes later")


def divided(panel: SdfPanel, training_share: float) -> tuple[SdfPanel, SdfPanel]:
    """Return the first months of a panel, a share of all, to train on, and the later ones to validate.

    Raises
    ------
    ValueError
        If one of them has no month.
    """
    first = int(len(panel.months) * training_share)
    if not 0 < first < len(panel.months):
        raise ValueError(f"{len(panel.months)} months are too few to train on and to validate")
    return panel.take(slice(0, first)), panel.take(slice(first, None))


def split_months(
    months: Sequence[date], shares: Sequence[float] = (0.42, 0.28, 0.30)
) -> tuple[tuple[date, ...], tuple[date, ...], tuple[date, ...]]:
    """Divide months into training, validation and test, in time.

    The stretches are half-open: training has the first floor(share * D), validation those up to the floor of both
    shares, test the rest, so that the source's 437 months give 183, 122 and 132.

    Parameters
    ----------
    months : sequence of date
        Ascending.
    shares : sequence of float
        Of training, validation and test; they sum to one.

    Raises
    ------
    ValueError
        If the shares do not sum to one or a part is empty.
    """
    if len(shares) != 3 or min(shares) <= 0.0 or not math.isclose(sum(shares), 1.0):
        raise ValueError(f"the shares {tuple(shares)} are not three positive numbers that sum to one")
    first, second = (math.floor(len(months) * share + 1e-9) for share in (shares[0], shares[0] + shares[1]))
    parts = tuple(months[:first]), tuple(months[first:second]), tuple(months[second:])
    if not all(parts):
        raise ValueError(f"{len(months)} months are too few to be divided into {tuple(shares)}")
    return parts


@dataclass(frozen=True, kw_only=True)
class Standardisation:
    """Means and scales of the training months; missing values become the mean.

    Characteristics are scaled over rows, macro series over months. A column that is constant or never seen in the
    training months is zero everywhere: a network cannot have learned anything of it.

    Attributes
    ----------
    names, macro_names : tuple of str
        Of the P characteristics and Q series it was fitted on.
    mean, scale : np.ndarray
        (P,) float64; a scale of 0 marks a column that is left out.
    macro_mean, macro_scale : np.ndarray
        (Q,) float64.
    """

    names: tuple[str, ...]
    macro_names: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    macro_mean: np.ndarray
    macro_scale: np.ndarray

    @classmethod
    def fit(cls, training: SdfPanel) -> Standardisation:
        """Return the means and standard deviations (of the population) of a panel's values, missing ones left out."""
        mean, scale = _moments(training.features)
        macro_mean, macro_scale = _moments(training.macro)
        return cls(
            names=training.names,
            macro_names=training.macro_names,
            mean=mean,
            scale=scale,
            macro_mean=macro_mean,
            macro_scale=macro_scale,
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return means and scales under names of their own; the columns' names are kept beside them."""
        return {f"standardisation.{name}": getattr(self, name) for name in _MOMENTS}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], names: Sequence[str], macro_names: Sequence[str]
    ) -> Standardisation:
        """Return what :meth:`to_arrays` was called on."""
        held = {name: arrays[f"standardisation.{name}"] for name in _MOMENTS}
        return cls(names=tuple(names), macro_names=tuple(macro_names), **held)

    def apply(self, panel: SdfPanel) -> SdfPanel:
        """Return the panel scaled, float32 without missing values.

        Raises
        ------
        ValueError
            If the panel has other columns.
        """
        for ours, theirs in ((self.names, panel.names), (self.macro_names, panel.macro_names)):
            if ours != theirs:
                missing, more = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
                raise ValueError(f"the panel's columns are not those of training: lacking {missing}, more {more}")
        scaled = replace(panel, features=_scaled(panel.features, self.mean, self.scale))
        return scaled.with_macro(panel.macro_names, lambda macro: _scaled(macro, self.macro_mean, self.macro_scale))


def _chunks(n: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, n, _CHUNK)]


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of the columns, in double precision and in two passes; 0 for constant columns."""
    total, seen = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for rows in _chunks(len(values)):
        there = np.isfinite(values[rows])
        total += np.where(there, values[rows], 0.0).sum(axis=0, dtype=np.float64)
        seen += there.sum(axis=0)
    mean = total / np.maximum(seen, 1)
    squares, largest = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for rows in _chunks(len(values)):
        block = values[rows].astype(np.float64)
        there = np.isfinite(block)
        squares += np.where(there, (block - mean) ** 2, 0.0).sum(axis=0)
        largest = np.maximum(largest, np.where(there, np.abs(block), 0.0).max(axis=0, initial=0.0))
    scale = np.sqrt(squares / np.maximum(seen, 1))
    return mean, np.where(scale > _CONSTANT * largest, scale, 0.0)


def _scaled(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0).astype(np.float32)
    scaled = np.empty(values.shape, dtype=np.float32)
    for rows in _chunks(len(values)):
        block = (values[rows] - mean.astype(np.float32)) * inverse
        scaled[rows] = np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return scaled
