"""Networks of the stochastic discount factor beside a DataLoader loop, stacked beside one at a time, and their memory.

The peer is the ordinary way: a DataLoader over all rows, macro series repeated on each, and torch's own modules and
optimiser. Everything runs on one thread; peak memory is read in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.comparison import Comparison, alternate
from benchmarks.daily import peak_memory
from pipeline.panel.calendar import month_range, shift
from pipeline.sdf.adam import StackedAdam
from pipeline.sdf.batches import TensorPanel, shuffled
from pipeline.sdf.configurations import GRID, Configuration, TrainingSettings
from pipeline.sdf.networks import ARCHITECTURES, first_stack
from pipeline.sdf.panel import SdfPanel, Standardisation
from pipeline.sdf.training import design_for, optimiser_for, train_epoch

# Without dropout both sides see the same numbers, and their losses can be compared.
SETTINGS = TrainingSettings(dropout=0.0)
CONFIGURATION = Configuration(architecture="shallow", batch_size=1024, rate=1e-3, l1=0.0, l2=0.0)


@dataclass(frozen=True)
class Size:
    """Months, assets of each, own characteristics and macro series."""

    months: int
    assets: int
    own: int
    macro: int

    @property
    def rows(self) -> int:
        """Of the panel."""
        return self.months * self.assets

    @property
    def words(self) -> str:
        """The size as the table prints it."""
        return f"{self.rows:,} rows x ({self.own} own + {self.macro} macro)"

    def panel(self) -> SdfPanel:
        """Draw a panel of noise."""
        rng = np.random.default_rng(0)
        return SdfPanel(
            months=tuple(month_range(shift(END, 1 - self.months), END)),
            bounds=np.arange(self.months + 1) * self.assets,
            assets=np.tile([f"A{i:05d}" for i in range(self.assets)], self.months),
            names=tuple(f"c{i}" for i in range(self.own)),
            features=rng.standard_normal((self.rows, self.own), dtype=np.float32),
            macro_names=tuple(f"z{i}" for i in range(self.macro)),
            macro=rng.standard_normal((self.months, self.macro), dtype=np.float32),
            returns=rng.normal(0.005, 0.05, self.rows),
        )


END = date(2024, 12, 1)
SHARED, OWN = Size(240, 1000, 120, 120), Size(240, 1000, 240, 0)
PORTFOLIOS, SMALL, LARGE = Size(183, 40, 20, 130), Size(110, 1000, 120, 120), Size(440, 1000, 120, 120)
QUICK = Size(24, 50, 6, 4)


def optimiser_of(size: Size, configurations: list[Configuration]) -> StackedAdam:
    """Return a fresh stack and its optimiser."""
    design = design_for(configurations[0], size.own, size.macro, SETTINGS)
    return optimiser_for(first_stack(design, len(configurations), seed=0), configurations)


# The peer: rows from a DataLoader, months one after another


class Loop:
    """An epoch of the same network on rows that carry their macro series and their month."""

    def __init__(self, size: Size, panel: SdfPanel) -> None:
        of_row = panel.date_of_row
        rows = np.concatenate([panel.features, panel.macro[of_row]], axis=1)
        returns = torch.from_numpy(panel.returns.astype(np.float32))
        self.data = TensorDataset(torch.from_numpy(rows), returns, torch.from_numpy(of_row))
        self.bounds, self.size = panel.bounds, size

    def module(self) -> nn.Module:
        """Return the network with our first weights."""
        network = optimiser_of(self.size, [CONFIGURATION]).stack.arrays(0)
        modules: list[nn.Module] = []
        hidden = ARCHITECTURES[CONFIGURATION.architecture]
        inputs = self.size.own + self.size.macro
        for k, units in enumerate((*hidden, 1)):
            last = k == len(hidden)
            linear = nn.Linear(inputs, units, bias=last)
            parts = [network[f"weight_{k}"], *([network["macro"]] if k == 0 else [])]
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(np.concatenate(parts, axis=1)))
                if last:
                    linear.bias.copy_(torch.from_numpy(network["bias"]))
            modules += [linear] if last else [linear, nn.BatchNorm1d(units), nn.SiLU()]
            inputs = units
        return nn.Sequential(*modules)

    def epoch(self) -> float:
        """Train once through all batches and return the mean loss."""
        counts = np.diff(self.bounds)
        batches = shuffled(counts, CONFIGURATION.batch_size, SETTINGS.fewest_dates, 0, 1)
        rows = [[row for d in dates for row in range(self.bounds[d], self.bounds[d + 1])] for dates in batches]
        module = self.module()
        optimiser = torch.optim.Adam(module.parameters(), lr=CONFIGURATION.rate)
        losses = []
        for features, returns, months in DataLoader(self.data, batch_sampler=rows):
            outputs = module(features)[:, 0]
            weights = outputs * torch.clamp(SETTINGS.bound / outputs.norm(), max=1.0)
            earned = torch.stack([(weights * returns)[months == month].sum() for month in months.unique()])
            loss = SETTINGS.gamma * earned.std() - earned.mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return float(np.mean(losses))


# The lines of the table


def epoch_against_loader(size: Size, repetitions: int) -> Comparison:
    """Return the times of one epoch; the difference is of the mean losses."""
    panel = size.panel()
    tensors, loop = TensorPanel(panel), Loop(size, panel)
    # What torch imports with its first optimiser is nobody's epoch.
    torch.optim.Adam(loop.module().parameters())
    ours, theirs, mine, other, spread = alternate(
        lambda: train_epoch(optimiser_of(size, [CONFIGURATION]), tensors, CONFIGURATION, SETTINGS, 0, 1),
        loop.epoch,
        repetitions,
    )
    return Comparison(
        work=f"SDF network, one epoch, {size.words}, batch {CONFIGURATION.batch_size}",
        peer="torch modules in a DataLoader loop",
        ours=mine,
        theirs=other,
        difference=abs(float(ours[0]) - theirs),
        note=f"one thread; difference of the mean losses; {spread}",
    )


def piece_seconds(size: Size, tensors: TensorPanel, configurations: list[Configuration]) -> float:
    """Return the seconds of one epoch of configurations that train together, dropout included."""
    optimiser, settings = optimiser_of(size, configurations), TrainingSettings()
    start = time.perf_counter()
    train_epoch(optimiser, tensors, configurations[0], settings, 0, 1)
    return time.perf_counter() - start


def stacked_against_single(size: Size) -> Comparison:
    """Return the cost of a configuration's epoch, stacked and alone, over all architectures and batch sizes."""
    tensors = TensorPanel(size.panel())
    piece_seconds(size, tensors, [CONFIGURATION])
    together, alone, n_configurations = 0.0, 0.0, len(GRID.configurations)
    for configurations in GRID.pieces.values():
        together += piece_seconds(size, tensors, list(configurations))
        # The last has both penalties, as most have one.
        alone += piece_seconds(size, tensors, [configurations[-1]]) * len(configurations)
    epochs = TrainingSettings().epochs
    return Comparison(
        work=f"a configuration's epoch, {size.words}, {n_configurations // len(GRID.pieces)} configurations stacked",
        peer="itself, one at a time",
        ours=together / n_configurations,
        theirs=alone / n_configurations,
        note=f"mean of the source's grid; all {n_configurations} for {epochs} epochs {together * epochs / 60:.0f} min "
        f"stacked, {alone * epochs / 60:.0f} min one at a time; early stopping makes it less",
    )


def memory(small: Size, large: Size) -> Comparison:
    """Return the seconds of two panels, drawn, scaled and trained on for an epoch, and in the note their memory."""
    one, four = (json.loads(_process(size)) for size in (small, large))
    note = ", ".join(
        f"{size.rows:,} rows {found['peak'] / 2**30:.2f} GiB peak" for size, found in ((small, one), (large, four))
    )
    raw = large.rows * (large.own + large.macro) * 4 / 2**30
    return Comparison(
        work=f"scaling and an epoch, {small.words}, in a process of its own",
        peer=f"itself: {large.rows:,} rows",
        ours=one["seconds"],
        theirs=four["seconds"],
        note=f"{note}; the larger with macro series on every row would be {raw:.2f} GiB before any copy",
    )


def _process(size: Size) -> str:
    command = [sys.executable, "-m", "benchmarks.sdf", *map(str, vars(size).values())]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def comparisons(quick: bool = False) -> Iterator[Comparison]:
    """Yield the lines of the table; ``quick`` takes a few months of a few assets."""
    torch.set_num_threads(1)
    for size in [QUICK] if quick else [SHARED, OWN]:
        yield epoch_against_loader(size, 1 if quick else 3)
    yield stacked_against_single(QUICK if quick else PORTFOLIOS)
    small, large = (QUICK, replace(QUICK, months=96)) if quick else (SMALL, LARGE)
    yield memory(small, large)
    yield memory(
        replace(small, own=small.own + small.macro, macro=0), replace(large, own=large.own + large.macro, macro=0)
    )


def main() -> None:
    """Draw a panel of the size given, scale it, train for an epoch and print seconds and peak memory."""
    torch.set_num_threads(1)
    size = Size(*map(int, sys.argv[1:]))
    panel = size.panel()
    start = time.perf_counter()
    tensors = TensorPanel(Standardisation.fit(panel).apply(panel))
    train_epoch(optimiser_of(size, [CONFIGURATION]), tensors, CONFIGURATION, TrainingSettings(), 0, 1)
    print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak_memory()}))


if __name__ == "__main__":
    main()
