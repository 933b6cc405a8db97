"""The conditional factor models beside the same loss in torch, and what a month of their recursion costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize

from benchmarks.comparison import Comparison, alternate
from pipeline.models.conditional_factors import ConditionalFactorModel
from pipeline.models.factor_model import FactorModelResult, Sample
from pipeline.simulation.factor_model import FactorModelSettings, simulate_factor_model

# Of the peer's search; about what separates two losses in the seventh digit.
PEER_GRADIENT = 1e-6


@dataclass(frozen=True)
class Size:
    """Months of the whole and the short history, first month of the recursion, and the sizes of both markets."""

    months: int
    short: int
    first: int
    assets: int
    characteristics: int
    instruments: int
    factors: int
    own_assets: int
    own_factors: int

    @property
    def words(self) -> str:
        """The size as the table prints it."""
        return f"T={self.months}, L={self.characteristics + 1}, P={self.instruments + 1}, K={self.factors}"

    def sample(self) -> Sample:
        """Return managed portfolios from an RDCFM whose factors are of size one."""
        settings = FactorModelSettings(
            n_months=self.months,
            n_assets=self.assets,
            n_factors=self.factors,
            n_characteristics=self.characteristics,
            n_instruments=self.instruments,
            memory=0.6,
        )
        sample = simulate_factor_model(settings).sample
        return Sample(statistics=sample.statistics, instruments=sample.instruments)

    def own_sample(self) -> Sample:
        """Return the returns of single assets from an RCFM."""
        settings = FactorModelSettings(
            n_months=self.months,
            n_assets=self.own_assets,
            n_factors=self.own_factors,
            n_characteristics=self.own_factors,
            n_instruments=self.instruments,
            conditional=False,
            memory=0.6,
        )
        sample = simulate_factor_model(settings).sample
        return Sample(returns=sample.returns, instruments=sample.instruments)


FULL = Size(
    months=600, short=240, first=120, assets=250, characteristics=36, instruments=10, factors=5, own_assets=1000,
    own_factors=3,
)  # fmt: skip
QUICK = Size(
    months=96, short=60, first=72, assets=30, characteristics=4, instruments=3, factors=2, own_assets=40, own_factors=2
)


def rdcfm(size: Size, **more: Any) -> ConditionalFactorModel:
    """Our estimator, one start."""
    return ConditionalFactorModel(size.factors, recurrent=True, conditional=True, starts=1, **more)


# The peer: the loss written down plainly, derivatives by torch, search by BFGS


def standardised(sample: Sample) -> np.ndarray:
    """(T, P) instruments, a constant first."""
    values = sample.instruments.values
    return np.column_stack([np.ones(len(values)), (values - values.mean(axis=0)) / values.std(axis=0)])


def regression_start(sample: Sample, n_factors: int) -> np.ndarray:
    """Omega of a reduced rank regression of returns on the instruments at the size 0.3, AR and f_0 zero."""
    responses = (
        np.nan_to_num(sample.returns.values)
        if sample.statistics is None
        else sample.statistics.X / sample.statistics.n[:, None]
    )
    matrix = standardised(sample)
    slopes = np.linalg.lstsq(matrix, responses, rcond=None)[0]
    omega = slopes @ np.linalg.svd(matrix @ slopes, full_matrices=False)[2][:n_factors].T
    omega *= 0.3 / np.linalg.norm(omega, axis=0)
    return np.concatenate([omega.ravel(), np.zeros(n_factors * n_factors + n_factors)])


class Portfolios:
    """What factors and the best Gamma leave unexplained, from the managed portfolios."""

    def __init__(self, sample: Sample) -> None:
        statistics = sample.statistics
        self.squares = float(statistics.yy.sum())
        self._X, self._W = torch.from_numpy(statistics.X), torch.from_numpy(statistics.W)

    def loss(self, factors: torch.Tensor) -> torch.Tensor:
        """Return the sum of squared errors of (T, K) factors."""
        (T, K), L = factors.shape, self._X.shape[1]
        products = (factors[:, :, None] * factors[:, None, :]).reshape(T, K * K)
        normal = (products.T @ self._W.reshape(T, L * L)).reshape(K, K, L, L).permute(0, 2, 1, 3)
        right = (factors.T @ self._X).reshape(K * L, 1)
        return self.squares - (right * torch.linalg.solve(normal.reshape(K * L, K * L), right)).sum()


class Assets:
    """What factors and the best betas of each asset leave unexplained."""

    def __init__(self, sample: Sample, asset_months: int = 60) -> None:
        values = sample.returns.values
        values = values[:, (~np.isnan(values)).sum(axis=0) >= asset_months]
        self.squares = float(np.nansum(values**2))
        self._returns, self._seen = torch.from_numpy(np.nan_to_num(values)), torch.from_numpy(1.0 - np.isnan(values))

    def loss(self, factors: torch.Tensor) -> torch.Tensor:
        """Return the sum of squared errors of (T, K) factors."""
        T, K = factors.shape
        products = (factors[:, :, None] * factors[:, None, :]).reshape(T, K * K)
        right = (self._returns.T @ factors)[:, :, None]
        return self.squares - (right * torch.linalg.solve((self._seen.T @ products).reshape(-1, K, K), right)).sum()


@dataclass(frozen=True)
class PeerFit:
    """Loss without the penalty, iterations, and parameters to start from."""

    loss: float
    iterations: int
    vector: np.ndarray


def peer_fit(sample: Sample, n_factors: int, start: np.ndarray | None = None) -> PeerFit:
    """Minimise the loss and the penalty of our limits."""
    torch.set_num_threads(1)
    instruments = torch.from_numpy(standardised(sample))
    concentrated = Assets(sample) if sample.statistics is None else Portfolios(sample)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        vector = torch.from_numpy(x).clone().requires_grad_(True)
        factors = peer_path(vector, instruments, n_factors)
        value = concentrated.loss(factors) / concentrated.squares + peer_penalty(factors)
        return value.item(), torch.autograd.grad(value, vector)[0].numpy()

    begin = regression_start(sample, n_factors) if start is None else start
    options = {"gtol": PEER_GRADIENT, "maxiter": 2_000}
    found = minimize(value_and_gradient, begin, jac=True, method="BFGS", options=options)
    with torch.no_grad():
        loss = float(concentrated.loss(peer_path(torch.from_numpy(found.x), instruments, n_factors)))
    return PeerFit(loss, int(found.nit), found.x)


def peer_path(vector: torch.Tensor, instruments: torch.Tensor, K: int) -> torch.Tensor:
    """Run the recursion of Omega, AR and f_0, in this order in the vector."""
    split = instruments.shape[1] * K
    omega, ar, last = vector[:split].reshape(-1, K), vector[split:-K].reshape(K, K), vector[-K:]
    factors = []
    for driven in instruments @ omega:
        last = driven + torch.tanh(last) @ ar
        factors.append(last)
    return torch.stack(factors)


def peer_penalty(factors: torch.Tensor) -> torch.Tensor:
    """Squared excesses over one of the mean square and over two of the variance inflation factor."""
    covariance = torch.cov(factors.T)
    inflation = torch.diag(covariance) * torch.diag(torch.linalg.inv(covariance))
    return (torch.relu(torch.cat([(factors**2).mean(dim=0) - 1.0, inflation - 2.0])) ** 2).sum()


# The lines of the table


def against_torch(
    work: str,
    sample: Sample,
    model: ConditionalFactorModel,
    repetitions: int,
    start: FactorModelResult | None = None,
    peer_start: np.ndarray | None = None,
) -> Comparison:
    """Return the times of one estimation; the difference is of the losses, relative to ours."""
    ours, theirs, mine, other, spread = alternate(
        lambda: model.fit(sample, start), lambda: peer_fit(sample, model.n_factors, peer_start), repetitions
    )
    return Comparison(
        work=work,
        peer="torch autograd through time and BFGS",
        ours=mine,
        theirs=other,
        difference=abs(theirs.loss / ours.loss - 1.0),
        note=f"{ours.iterations} steps of ours, {theirs.iterations} of the peer; difference of the losses relative to "
        f"ours, the peer's {'higher' if theirs.loss > ours.loss else 'lower'}; {spread}",
    )


def one_more_month(sample: Sample, size: Size, repetitions: int) -> Comparison:
    """Return the time of a month of the recursion after the short and after the long history, at equal steps."""
    steps = rdcfm(size, tolerance=1e-300, max_iterations=2)

    def after(periods: int) -> tuple[Sample, FactorModelResult]:
        return sample.first(periods), rdcfm(size).fit(sample.first(periods - 1))

    short, long = after(size.short), after(size.months)
    early_result, late_result, early, late, spread = alternate(
        lambda: steps.fit(*short), lambda: steps.fit(*long), repetitions
    )
    return Comparison(
        work=f"one more month of the RDCFM recursion after {size.short} months, {size.words}",
        peer=f"itself after {size.months} months",
        ours=early,
        theirs=late,
        note=f"{early_result.iterations} and {late_result.iterations} steps; {spread}",
    )


def recursion(sample: Sample, size: Size) -> Comparison:
    """Return the time of every month's estimation from the one before, and beside it cold at every tenth."""
    model, result, warm, cold, gaps, steps, failed = rdcfm(size), None, 0.0, 0.0, [], 0, 0
    for periods in range(size.first + 1, size.months + 1):
        known = sample.first(periods)
        begun = time.perf_counter()
        result = model.fit(known, result)
        warm += time.perf_counter() - begun
        steps, failed = steps + result.iterations, failed + (not result.converged)
        if (periods - size.first) % 10 == 0:
            begun = time.perf_counter()
            again = model.fit(known)
            cold += time.perf_counter() - begun
            gaps.append(result.loss / again.loss - 1.0)
    months = size.months - size.first
    return Comparison(
        work=f"the whole RDCFM recursion, {months} months after {size.first}, {size.words}",
        peer="itself, cold every month",
        ours=warm,
        theirs=cold / len(gaps) * months,
        difference=max(abs(gap) for gap in gaps),
        note=f"cold timed at every tenth month; difference of the losses there, relative, {min(gaps):+.1e} to "
        f"{max(gaps):+.1e}; {steps / months:.1f} steps a month, {failed} months not converged",
    )


def comparisons(quick: bool = False) -> Iterator[Comparison]:
    """Yield the lines of the table; `quick` shrinks the history to a few years."""
    size = QUICK if quick else FULL
    sample, repetitions = size.sample(), 1 if quick else 3
    yield one_more_month(sample, size, 3 if quick else 7)
    yield against_torch(f"RDCFM, cold, {size.words}", sample, rdcfm(size), 1)
    before = sample.first(size.months - 1)
    starts = rdcfm(size).fit(before), peer_fit(before, size.factors).vector
    yield against_torch(f"RDCFM, one more month, {size.words}", sample, rdcfm(size), repetitions, *starts)
    own = size.own_sample()
    rcfm = ConditionalFactorModel(size.own_factors, recurrent=True, conditional=False, starts=1)
    work = f"RCFM, cold, N={size.own_assets}, T={size.months}, P={size.instruments + 1}, K={size.own_factors}"
    yield against_torch(work, own, rcfm, 1)
    yield recursion(sample, size)
