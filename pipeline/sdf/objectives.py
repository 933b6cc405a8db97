"""What a network is trained for and selected by: mispricing, the linearised Sharpe ratio, squared errors.

Here belong the bounds on portfolio weights, the losses of a batch and the scores of a validation sample. How outputs
come about and how parameters move stands in the other modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.sdf.batches import FEWEST_DATES, Batch


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The limit on the L2 norm of portfolio weights.

    Attributes
    ----------
    size : float
        C: 1 for portfolios, 0.1 for single assets in the source.
    batch_size : int
        n of the leverage heuristic C m / sqrt(n).
    """

    size: float
    batch_size: int


def clipped_batch(outputs: Tensor, batch: Batch, bound: Bound) -> Tensor:
    """Scale the (S, R) outputs of a batch down to the norm C where it is larger: the source's rule.

    A row's weight then depends on who else is in the batch, which is why this rule is for training alone.
    """
    square = outputs.square().sum(dim=1, keepdim=True)
    return outputs * (bound.size / square.clamp(min=bound.size**2).sqrt())


def clipped_dates(outputs: Tensor, batch: Batch, bound: Bound) -> Tensor:
    """Scale each month's outputs down to the norm C sqrt(n_t / n) where it is larger, n_t being its assets.

    Months that all lie at their bound and fill a batch of n rows have the norm C together, and a month's leverage is
    at most C n_t / sqrt(n), the source's heuristic. Evaluation uses this rule alone: a weight depends on nothing but
    its month.
    """
    square = batch.by_date(outputs.square())
    limit = bound.size**2 / bound.batch_size * batch.counts.to(outputs.dtype)
    return outputs * batch.by_row((limit / square.clamp(min=limit)).sqrt())


NORM_RULES: dict[str, Callable[[Tensor, Batch, Bound], Tensor]] = {"batch": clipped_batch, "date": clipped_dates}
"""The bounds that training may use."""


def factor(weights: Tensor, batch: Batch) -> Tensor:
    """Return F = w'r of each month, (S, D), from (S, R) weights."""
    return batch.by_date(weights * batch.returns)


def mispricing(weights: Tensor, batch: Batch) -> Tensor:
    """Return the mispricing loss of a batch (equation 5), (S,).

    The mean over assets of |T_i| / T times the squared mean over the asset's T_i months of (1 - F) r. An asset that is
    in the batch once has no mean to speak of: there the loss prices realised returns, and only batches of many months
    of the same assets say anything of expected ones.
    """
    S = len(weights)
    errors = batch.by_row(1.0 - factor(weights, batch)) * batch.returns
    known, place = torch.unique(batch.codes, return_inverse=True)
    N = len(known)
    times = torch.bincount(place, minlength=N)
    flat = (place + N * torch.arange(S, device=place.device)[:, None]).view(-1)
    sums = torch.zeros(S * N, dtype=errors.dtype, device=errors.device).index_add(0, flat, errors.view(-1)).view(S, N)
    # |T_i| / T (sum / |T_i|)^2
    return (sums.square() / (times * batch.n_dates)).mean(dim=1)


def linearised_sharpe(weights: Tensor, batch: Batch, gamma: float) -> Tensor:
    """Return the mean less gamma times the standard deviation of F over the months (equation 7), (S,).

    Raises
    ------
    ValueError
        If the batch has a single month.
    """
    if batch.n_dates < FEWEST_DATES:
        raise ValueError("the standard deviation of one month is not defined; a batch needs two months or more")
    factors = factor(weights, batch)
    return factors.mean(dim=1) - gamma * factors.std(dim=1)


def sharpe_ratios(factors: np.ndarray) -> np.ndarray:
    """Return mean over standard deviation (divisor D - 1) of (..., D) returns; NaN where they do not vary."""
    sd = factors.std(axis=-1, ddof=1)
    return np.divide(factors.mean(axis=-1), sd, out=np.full_like(sd, np.nan), where=sd > 0.0)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What an objective needs to know besides outputs and batch.

    Attributes
    ----------
    bound : Bound
        On portfolio weights.
    norm_rule : str
        Of :data:`NORM_RULES`, in training.
    gamma : float
        Of the linearised Sharpe ratio.
    """

    bound: Bound
    norm_rule: str
    gamma: float


def _mispricing(outputs: Tensor, batch: Batch, rules: Rules) -> Tensor:
    return mispricing(NORM_RULES[rules.norm_rule](outputs, batch, rules.bound), batch)


def _sharpe(outputs: Tensor, batch: Batch, rules: Rules) -> Tensor:
    return -linearised_sharpe(NORM_RULES[rules.norm_rule](outputs, batch, rules.bound), batch, rules.gamma)


def _squared_error(outputs: Tensor, batch: Batch, rules: Rules) -> Tensor:
    return (outputs - batch.returns).square().mean(dim=1)


def _factor_parts(outputs: Tensor, batch: Batch, rules: Rules) -> Tensor:
    return factor(clipped_dates(outputs, batch, rules.bound), batch)


def _error_parts(outputs: Tensor, batch: Batch, rules: Rules) -> Tensor:
    return batch.by_date((outputs - batch.returns).square())


def _sharpe_score(parts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return sharpe_ratios(parts)


def _error_score(parts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return -parts.sum(axis=1) / counts.sum()


@dataclass(frozen=True)
class Objective:
    """A loss to be made small in training and a score to be made large in validation.

    Attributes
    ----------
    loss : callable
        (S, R) outputs, batch and rules to (S,).
    parts : callable
        The same to (S, D): what one month contributes to the score.
    score : callable
        (S, D) parts of all months in double precision and (D,) assets a month to (S,); NaN where undefined.
    """

    loss: Callable[[Tensor, Batch, Rules], Tensor]
    parts: Callable[[Tensor, Batch, Rules], Tensor]
    score: Callable[[np.ndarray, np.ndarray], np.ndarray]


OBJECTIVES: dict[str, Objective] = {
    "mispricing": Objective(_mispricing, _factor_parts, _sharpe_score),
    "sharpe": Objective(_sharpe, _factor_parts, _sharpe_score),
    "squared_error": Objective(_squared_error, _error_parts, _error_score),
}
"""Approach 1, approach 2 and the beta networks' of section 3.2. The first two are selected by the Sharpe ratio."""
