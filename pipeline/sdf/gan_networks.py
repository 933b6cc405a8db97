"""The two networks of the generative adversarial estimation and the loss over which they compete.

Here belong what a network sees (own characteristics beside twelve months of macro series), its layers and the
generalised mispricing loss. Who learns when, and what is made of it, stands in :mod:`pipeline.sdf.gan_training` and
:mod:`pipeline.sdf.gan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.panel.calendar import shift
from pipeline.sdf.batches import Batch
from pipeline.sdf.gan_settings import HISTORY
from pipeline.sdf.objectives import factor
from pipeline.sdf.panel import SdfPanel

STATES = 6
"""Hidden states of the macro series."""

MOMENTS = 6
"""Test assets."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Units of a network's layers.

    Attributes
    ----------
    own : tuple of int
        Hidden layers through which the characteristics go alone.
    merged : tuple of int
        Hidden layers through which they go together with the macro state.
    outputs : int
        Of the last, linear layer.
    """

    own: tuple[int, ...] = ()
    merged: tuple[int, ...]
    outputs: int = 1


SDF_SHAPES: dict[str, Shape] = {
    "joined": Shape(merged=(64, 32, 16, 8)),
    "separate": Shape(own=(32, 16), merged=(64, 64, 32, 32, 16, 8)),
}
"""The source's models 1 and 2 of the weights."""

MOMENT_SHAPE = Shape(merged=(32, 16, 8), outputs=MOMENTS)
"""The source's one network of test assets."""


class StateNetwork(nn.Module):
    """A recurrent layer over the macro series and feed-forward layers over its state and the characteristics.

    Every hidden layer is linear, normalised over the batch, SiLU and dropout; normalisation makes a bias redundant.
    The state is computed once a month. What evaluation normalises by are the mean moments of the last epoch's batches.
    An exponential average that starts at 0 and 1, as is usual, would need tens of batches to come near, more than the
    epochs of a small panel have, and until then every layer shrinks what distinguishes the assets.

    Parameters
    ----------
    n_features, n_macro : int
        P own characteristics and Q macro series.
    shape : Shape
        Of the layers.
    dropout : float
        Share of hidden outputs set to zero in training.

    Raises
    ------
    ValueError
        If there is no macro series or no characteristic.
    """

    def __init__(self, n_features: int, n_macro: int, shape: Shape, dropout: float) -> None:
        super().__init__()
        if min(n_features, n_macro) < 1:
            raise ValueError(f"{n_features} characteristics and {n_macro} macro series: both networks need both")
        self.recurrent = nn.GRU(n_macro, STATES, batch_first=True)
        self.own = _hidden((n_features, *shape.own), dropout)
        together = (n_features, *shape.own)[-1] + STATES
        self.merged = _hidden((together, *shape.merged), dropout)
        self.last = nn.Linear(shape.merged[-1], shape.outputs)

    def forward(self, batch: Batch) -> Tensor:
        """Return (outputs, R) unbounded values of a batch of a panel that :func:`sequenced` gave."""
        _, states = self.recurrent(batch.macro.view(batch.n_dates, HISTORY, -1))
        of_row = states[0].repeat_interleave(batch.counts, dim=0)
        return self.last(self.merged(torch.cat([self.own(batch.features), of_row], dim=1))).t()

    def begin_epoch(self) -> None:
        """Go into training and forget the moments of earlier batches."""
        self.train()
        for each in self.modules():
            if isinstance(each, nn.BatchNorm1d):
                each.reset_running_stats()

    @property
    def penalised(self) -> list[Tensor]:
        """The matrices of the linear and of the recurrent layers: what L1 and L2 penalties act on."""
        return [each for each in self.parameters() if each.ndim > 1]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return parameters and running moments."""
        state = {name: value for name, value in self.state_dict().items() if not name.endswith("num_batches_tracked")}
        return {name: value.cpu().numpy().copy() for name, value in state.items()}

    def load(self, arrays: dict[str, np.ndarray]) -> StateNetwork:
        """Take over what :meth:`arrays` gave and return the network."""
        self.load_state_dict(self.state_dict() | {name: torch.from_numpy(each) for name, each in arrays.items()})
        return self


def _hidden(units: Sequence[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(units):
        # Without a momentum the running moments are plain means over the batches since they were forgotten.
        normalised = nn.BatchNorm1d(after, momentum=None)
        layers += [nn.Linear(before, after, bias=False), normalised, nn.SiLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def networks_for(architecture: str, n_features: int, n_macro: int, dropout: float) -> dict[str, StateNetwork]:
    """Return the networks ``weights`` and ``moments``, with first weights of torch's generator.

    Raises
    ------
    ValueError
        If there is no such architecture.
    """
    if architecture not in SDF_SHAPES:
        raise ValueError(f"there is no architecture {architecture!r}; there are {list(SDF_SHAPES)}")
    shapes = {"weights": SDF_SHAPES[architecture], "moments": MOMENT_SHAPE}
    return {name: StateNetwork(n_features, n_macro, shape, dropout) for name, shape in shapes.items()}


def sequenced(panel: SdfPanel, history: SdfPanel | None = None) -> SdfPanel:
    """Return the months that have twelve months of macro series, with these as their macro values.

    A row of a panel's macro values was known at the end of the month before. The target month m thus sees what was
    known at the end of the months m - 12 to m - 1.

    Parameters
    ----------
    panel : SdfPanel
        D target months.
    history : SdfPanel or None
        Whose months before the panel's first are looked at for their macro series, and for nothing else. Without it
        the panel's first eleven months are left out. Of idle months both panels' macro series are looked at.

    Returns
    -------
    SdfPanel
        ``macro`` is (D', 12 Q), the oldest month first, then by series.

    Raises
    ------
    ValueError
        If a month within is missing, or the history has other series.
    """
    shared = panel.calendar
    if history is not None:
        if history.macro_names != panel.macro_names:
            raise ValueError("the history's macro series are not the panel's; give both the same columns")
        first, end = shift(panel.months[0], 1 - HISTORY), panel.months[0]
        shared = {month: row for month, row in history.calendar.items() if first <= month < end} | shared
    months = sorted(shared)
    for one, other in pairwise(months):
        if shift(one, 1) != other:
            raise ValueError(
                f'{shift(one, 1):%Y-%m} is missing; the objective "gan" reads macro series of {HISTORY} months in a '
                'row. Hand over every month, or leave "gan" out of the objectives'
            )
    lost = sum(shift(month, 1 - HISTORY) < months[0] for month in panel.months)
    kept = panel.take(slice(lost, None))
    windows = [
        np.concatenate([shared[shift(month, -lag)] for lag in range(HISTORY - 1, -1, -1)]) for month in kept.months
    ]
    names = tuple(f"{name}, {lag} months before" for lag in range(HISTORY, 0, -1) for name in panel.macro_names)
    stacked = np.stack(windows) if windows else np.zeros((0, len(names)), dtype=np.float32)
    return replace(kept, macro_names=names, macro=stacked, idle={})


def generalised_mispricing(weights: Tensor, test_assets: Tensor, batch: Batch) -> Tensor:
    """Return the generalised mispricing loss of a batch (equation 12), a scalar.

    The mean over assets of |T_i| / T times the squared norm, over the K test assets, of the mean over the asset's T_i
    months of (1 - F) r g.

    Parameters
    ----------
    weights : Tensor
        (R,) portfolio weights.
    test_assets : Tensor
        (K, R) values of g; ones give equation 5.
    batch : Batch
        R rows of D months.
    """
    errors = batch.by_row(1.0 - factor(weights[None], batch)) * batch.returns * test_assets
    known, place = torch.unique(batch.codes, return_inverse=True)
    times = torch.bincount(place, minlength=len(known))
    sums = torch.zeros(len(errors), len(known), dtype=errors.dtype, device=errors.device).index_add(1, place, errors)
    # |T_i| / T (sum / |T_i|)^2
    return (sums.square().sum(dim=0) / (times * batch.n_dates)).mean()
