"""Feed-forward networks of many configurations at once: the parameters are stacked, the batch is shared.

Activations lie as (configuration, unit, row), so that one matrix product feeds the first layer of all configurations
and batch normalisation runs along contiguous memory. The macro part of the first layer is computed once a month.
Here belong architectures, first weights, dropout masks and the forward pass; losses and optimisation do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from pipeline.sdf.batches import Batch

ARCHITECTURES: dict[str, tuple[int, ...]] = {
    "shallow": (64, 32, 16, 8),
    "deep": (64, 64, 32, 32, 16, 16, 8, 8),
    "deeper": (64, 64, 64, 32, 32, 32, 16, 16, 16, 8, 8, 4),
    "elastic_net": (),
}
"""Units of the hidden layers of the source's models 1 to 4; the last is linear and has no batch normalisation."""

EPSILON = 1e-5
"""Of batch normalisation, as is usual."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Sizes of a network and the names of its parameters.

    Attributes
    ----------
    n_features, n_macro : int
        P own characteristics and Q macro series; at least one in all.
    hidden : tuple of int
        Units of the hidden layers; none for a linear network.
    dropout : float
        Share of hidden outputs that are set to zero in training.
    """

    n_features: int
    n_macro: int
    hidden: tuple[int, ...]
    dropout: float = 0.01

    def __post_init__(self) -> None:
        """Refuse a network without inputs and impossible shares."""
        if self.n_features + self.n_macro < 1:
            raise ValueError("the network has no inputs; the panel needs a characteristic or a macro series")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}; it is a share below 1")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter of one configuration, in the order in which they are stored.

        ``weight_k`` (outputs, inputs) of layer k; the first layer has its weights on macro series apart, ``macro``.
        A hidden layer has ``scale_k`` and ``shift_k`` of its batch normalisation, which make a bias redundant; the
        last has ``bias``.
        """
        sizes, inputs = [*self.hidden, 1], [self.n_features, *self.hidden]
        found: dict[str, tuple[int, ...]] = {"macro": (sizes[0], self.n_macro)}
        found |= {f"weight_{k}": pair for k, pair in enumerate(zip(sizes, inputs, strict=True))}
        for k, size in enumerate(self.hidden):
            found |= {f"scale_{k}": (size,), f"shift_{k}": (size,)}
        return found | {"bias": (1,)}

    @property
    def penalised(self) -> tuple[str, ...]:
        """The weights of linear layers: what L1 and L2 penalties act on."""
        return ("macro", *(f"weight_{k}" for k in range(len(self.hidden) + 1)))

    @property
    def running(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the running means and variances of batch normalisation."""
        return {
            f"{kind}_{k}": (size,)
            for k, size in enumerate(self.hidden)
            for kind in ("running_mean", "running_variance")
        }


@dataclass
class Stack:
    """Parameters and running statistics of S networks of one design.

    Attributes
    ----------
    design : Design
        Of all S.
    parameters : dict of str to Tensor
        (S, *shape) each.
    running : dict of str to Tensor
        (S, units) each.
    """

    design: Design
    parameters: dict[str, Tensor]
    running: dict[str, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """S."""
        return len(self.parameters["bias"])

    def take(self, which: Tensor) -> Stack:
        """Return copies of some of the networks."""
        return Stack(
            self.design,
            {name: value.detach()[which].clone() for name, value in self.parameters.items()},
            {name: value[which].clone() for name, value in self.running.items()},
        )

    def arrays(self, place: int) -> dict[str, np.ndarray]:
        """Return one network as named arrays."""
        both = {**self.parameters, **self.running}
        return {name: value.detach()[place].cpu().numpy().copy() for name, value in both.items()}


def first_stack(design: Design, n_configurations: int, seed: int, device: str = "cpu") -> Stack:
    """Return equal networks with the first weights of a seed.

    Weights and the last bias are uniform within 1/sqrt(inputs) of zero, the usual start of a linear layer; they are
    drawn on the CPU, so that the device does not matter.

    Parameters
    ----------
    design : Design
        Of the networks.
    n_configurations : int
        S.
    seed : int
        Of the weights.
    device : str
        Where the stack shall be.
    """
    generator = np.random.default_rng([seed, len(design.hidden)])
    inputs = [design.n_features + design.n_macro, *design.hidden]
    limits = {f"weight_{k}": size for k, size in enumerate(inputs)} | {"macro": inputs[0], "bias": inputs[-1]}
    arrays = {}
    for name, shape in design.shapes.items():
        if name in limits:
            arrays[name] = generator.uniform(-1.0, 1.0, shape) / math.sqrt(limits[name])
        else:
            arrays[name] = np.full(shape, float(name.startswith("scale")))
    running = {name: np.full(shape, float("variance" in name)) for name, shape in design.running.items()}
    return stacked(design, [arrays | running] * n_configurations, device)


def stacked(design: Design, networks: Sequence[dict[str, np.ndarray]], device: str = "cpu") -> Stack:
    """Return networks that :meth:`Stack.arrays` gave, side by side."""

    def side_by_side(name: str) -> Tensor:
        return torch.from_numpy(np.stack([network[name] for network in networks]).astype(np.float32)).to(device)

    return Stack(
        design,
        {name: side_by_side(name) for name in design.shapes},
        {name: side_by_side(name) for name in design.running},
    )


def dropout_masks(design: Design, n_rows: int, generator: np.random.Generator, device: str = "cpu") -> list[Tensor]:
    """Return for each hidden layer a mask (units, rows) of 0 and 1 / (1 - dropout), shared by all configurations.

    Independent draws for every entry, found by the geometric gaps between the few zeros.
    """
    if design.dropout == 0.0:
        return []
    size = sum(design.hidden) * n_rows
    mask = np.full(size, 1.0 / (1.0 - design.dropout), dtype=np.float32)
    place = -1
    while place < size:
        gaps = generator.geometric(design.dropout, size=max(16, int(size * design.dropout * 1.2)))
        places = place + np.cumsum(gaps)
        mask[places[places < size]] = 0.0
        place = int(places[-1])
    whole = torch.from_numpy(mask).to(device)
    sizes = [units * n_rows for units in design.hidden]
    return [part.view(-1, n_rows) for part in torch.split(whole, sizes)] if sizes else []


def outputs(stack: Stack, batch: Batch, masks: Sequence[Tensor] | None = None, number: int = 1) -> Tensor:
    """Run all networks over a batch.

    Parameters
    ----------
    stack : Stack
        S networks.
    batch : Batch
        R rows of D months.
    masks : sequence of Tensor or None
        Of :func:`dropout_masks` in training (empty without dropout): normalisation by the batch's own moments, which
        the running ones follow. None in evaluation: normalisation by the running moments, no dropout.
    number : int
        Of the batch in its epoch, from 1. The running moments are the plain means over the batches of an epoch so far:
        the usual weight of a tenth needs tens of batches before it forgets where it started, and until then every
        layer shrinks the differences between assets.

    Returns
    -------
    Tensor
        (S, R) unbounded portfolio weights or forecasts.
    """
    parameters, running = stack.parameters, stack.running
    S, R = stack.size, batch.n_rows
    values = _first_layer(stack, batch)
    for k in range(len(stack.design.hidden)):
        values = functional.batch_norm(
            values.view(1, -1, R),
            running[f"running_mean_{k}"].view(-1),
            running[f"running_variance_{k}"].view(-1),
            parameters[f"scale_{k}"].view(-1),
            parameters[f"shift_{k}"].view(-1),
            training=masks is not None,
            momentum=1.0 / number,
            eps=EPSILON,
        )
        values = functional.silu(values).view(S, -1, R)
        if masks:
            values = values * masks[k]
        values = torch.bmm(parameters[f"weight_{k + 1}"], values)
    return (values + parameters["bias"][:, :, None]).view(S, R)


def _first_layer(stack: Stack, batch: Batch) -> Tensor:
    """W_x x + (W_z z) of the row's month, (S, units, R)."""
    S, R = stack.size, batch.n_rows
    own = stack.parameters["weight_0"]
    units = own.shape[1]
    values = own.reshape(S * units, -1) @ batch.features.t()
    if stack.design.n_macro:
        shared = stack.parameters["macro"].reshape(S * units, -1) @ batch.macro.t()
        values = torch.addmm(values, shared, batch.indicator)
    return values.view(S, units, R)
