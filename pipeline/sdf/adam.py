"""Adam for a stack of networks, each with its own learning rate and penalties, and for one module.

All parameters lie in one vector, so that a step is a handful of operations whatever the number of layers. Here belong
the step and its penalties; losses stand in :mod:`pipeline.sdf.objectives`, when to stop in
:mod:`pipeline.sdf.training`. Torch's own optimisers load its compiler, which takes as long as a small search.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pipeline.sdf.networks import Stack

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Decay of the first and second moments and the guard of the denominator, as is usual."""


class Moments:
    """Running moments of the gradient of a vector of parameters.

    Parameters
    ----------
    values : Tensor
        The vector.
    """

    def __init__(self, values: Tensor) -> None:
        self.first, self.second, self._steps = torch.zeros_like(values), torch.zeros_like(values), 0

    def step(self, values: Tensor, gradient: Tensor, rates: Tensor | float) -> None:
        """Move ``values`` in place by their gradient and the moments of those before it."""
        self._steps += 1
        self.first.lerp_(gradient, 1.0 - BETA_1)
        self.second.mul_(BETA_2).addcmul_(gradient, gradient, value=1.0 - BETA_2)
        denominator = (self.second.sqrt() / (1.0 - BETA_2**self._steps) ** 0.5).add_(EPSILON)
        values.addcdiv_(self.first * (rates / -(1.0 - BETA_1**self._steps)), denominator)


class ModuleAdam:
    """The optimiser of one module, whose parameters it leaves where they are.

    Parameters
    ----------
    module : nn.Module
        All of its parameters take part in every loss.
    rate : float
        Learning rate.
    """

    def __init__(self, module: nn.Module, rate: float) -> None:
        self._parameters, self._rate = list(module.parameters()), rate
        self._moments = Moments(self._vector(self._parameters))

    def _vector(self, pieces: Iterable[Tensor]) -> Tensor:
        return torch.cat([each.detach().reshape(-1) for each in pieces])

    def step(self, loss: Tensor) -> None:
        """Move the parameters by the gradient of a scalar loss."""
        gradient = self._vector(torch.autograd.grad(loss, self._parameters))
        values = self._vector(self._parameters)
        self._moments.step(values, gradient, self._rate)
        with torch.no_grad():
            pieces = values.split([each.numel() for each in self._parameters])
            for each, piece in zip(self._parameters, pieces, strict=True):
                each.copy_(piece.view(each.shape))


class StackedAdam:
    """The optimiser of a stack, whose parameters it takes over as views of its own vector.

    Parameters
    ----------
    stack : Stack
        S networks.
    rates : Tensor
        (S,) learning rates.
    l1, l2 : Tensor
        (S,) factors of the sum of absolute values and of squares of the linear layers' weights.
    """

    def __init__(self, stack: Stack, rates: Tensor, l1: Tensor, l2: Tensor) -> None:
        self.stack = stack
        self._settings = (rates, l1, l2)
        self._lay_out()
        self._moments = Moments(self._values)

    def _lay_out(self) -> None:
        """Copy the stack's parameters into one vector, with a gradient and settings beside every entry."""
        rates, l1, l2 = self._settings
        parameters, design = self.stack.parameters, self.stack.design
        self._sizes = [value[0].numel() for value in parameters.values()]
        self._values = torch.cat([value.detach().reshape(-1) for value in parameters.values()])
        self._gradient = torch.zeros_like(self._values)
        whole = [size * self.stack.size for size in self._sizes]
        pieces = zip(parameters.items(), self._values.split(whole), self._gradient.split(whole), strict=True)
        for (name, value), own, gradient in list(pieces):
            parameters[name] = own.view(value.shape).requires_grad_(True)
            parameters[name].grad = gradient.view(value.shape)
        penalised = [float(name in design.penalised) for name in parameters]
        self._rates = self._spread(rates, [1.0] * len(penalised))
        self._l1 = self._spread(l1, penalised) if bool(l1.any()) else None
        self._l2 = self._spread(2.0 * l2, penalised) if bool(l2.any()) else None

    def _spread(self, values: Tensor, factors: list[float]) -> Tensor:
        """Repeat the networks' (S,) values over the vector, times a factor for each kind of parameter."""
        pairs = zip(self._sizes, factors, strict=True)
        return torch.cat([(values * factor).repeat_interleave(size) for size, factor in pairs])

    def step(self, losses: Tensor) -> None:
        """Move all parameters by the gradient of (S,) losses and of the penalties.

        The subgradient of the absolute value at zero is zero.
        """
        self._gradient.zero_()
        losses.sum().backward()
        with torch.no_grad():
            gradient = self._gradient
            if self._l1 is not None:
                gradient.addcmul_(self._l1, self._values.sign())
            if self._l2 is not None:
                gradient.addcmul_(self._l2, self._values)
            self._moments.step(self._values, gradient, self._rates)

    def keep(self, which: Tensor) -> None:
        """Go on with some of the networks, given by their places."""
        whole = [size * self.stack.size for size in self._sizes]

        def kept(vector: Tensor) -> Tensor:
            pieces = vector.split(whole)
            return torch.cat([piece.view(self.stack.size, -1)[which].reshape(-1) for piece in pieces])

        rates, l1, l2 = self._settings
        self._moments.first, self._moments.second = kept(self._moments.first), kept(self._moments.second)
        self._settings = (rates[which], l1[which], l2[which])
        self.stack = self.stack.take(which)
        self._lay_out()
