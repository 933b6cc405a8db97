"""IPCA beside the ``ipca`` package, and one more month of the recursion after 20 and after 50 years."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from ipca import InstrumentedPCA

from benchmarks.comparison import Comparison, alternate
from pipeline.models.ipca import IPCA, IPCAResult
from pipeline.models.ipca_recursion import IPCASettings, IPCAState, ipca_month
from pipeline.models.managed_portfolios import SufficientStatistics, managed_portfolios

TIGHT = 1e-10
# A panel-mode fit to TIGHT takes minutes, so that mode runs to the package's own default.
PEER_DEFAULT = 1e-5


@dataclass(frozen=True)
class Size:
    """Months, assets a month, instruments with the constant, factors; months of the short and the long history."""

    months: int
    assets: int
    instruments: int
    factors: int
    short: int

    @property
    def words(self) -> str:
        """The size as the table prints it."""
        return f"{self.months * self.assets:,} rows, T={self.months}, L={self.instruments}, K={self.factors}"


FULL = Size(months=600, assets=720, instruments=37, factors=5, short=240)
QUICK = Size(months=60, assets=40, instruments=7, factors=2, short=24)


@dataclass(frozen=True)
class Panel:
    """The same rows for both: a frame for the project, arrays for the package."""

    frame: pl.DataFrame
    names: list[str]
    months: list[date]
    matrix: np.ndarray
    returns: np.ndarray
    indices: np.ndarray

    @classmethod
    def simulate(cls, size: Size, seed: int = 0) -> Panel:
        """Draw persistent ranked characteristics, K factors and normal noise; the same in every run."""
        rng = np.random.default_rng(seed)
        count = size.instruments - 1
        gamma = np.linalg.qr(rng.normal(size=(size.instruments, size.factors)))[0]
        factors = rng.normal(size=(size.months, size.factors)) * np.linspace(0.08, 0.04, size.factors) + 0.01
        latent = rng.normal(size=(size.assets, count))
        matrix = np.ones((size.months, size.assets, size.instruments))
        for t in range(size.months):
            latent = 0.95 * latent + np.sqrt(1 - 0.95**2) * rng.normal(size=latent.shape)
            matrix[t, :, :-1] = (latent.argsort(axis=0).argsort(axis=0) + 0.5) / size.assets - 0.5
        noise = 0.08 * rng.normal(size=(size.months, size.assets))
        returns = (np.einsum("tnl,tl->tn", matrix, factors @ gamma.T) + noise).ravel()
        matrix = matrix.reshape(-1, size.instruments)
        months = [date(1960 + i // 12, i % 12 + 1, 1) for i in range(size.months)]
        names = [f"c{i:02d}_r" for i in range(count)]
        asset, month = np.tile(np.arange(size.assets), size.months), np.repeat(np.arange(size.months), size.assets)
        keys = pl.DataFrame({"month": pl.Series(months).gather(month), "isin": asset, "ret_excess": returns})
        frame = keys.hstack(pl.DataFrame(matrix[:, :-1], schema=names).get_columns())
        return cls(frame, names, months, matrix, returns, np.column_stack([asset, month]))

    def statistics(self) -> SufficientStatistics:
        """Return the managed portfolios of every month."""
        return SufficientStatistics.from_frame(managed_portfolios(self.frame, self.names, self.months), self.names)

    def peer(self, factors: int, intercept: bool, mode: str, tolerance: float) -> InstrumentedPCA:
        """Fit the package silently on a copy of the indices, which it overwrites."""
        model = InstrumentedPCA(n_factors=factors, intercept=intercept, iter_tol=tolerance, max_iter=1000)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return model.fit(self.matrix, self.returns, indices=self.indices.copy(), data_type=mode)


def largest_difference(ours: IPCAResult, theirs: InstrumentedPCA) -> float:
    """Largest entry of the differences of Gamma and factors; both are identified, so only signs are aligned."""
    K = ours.gamma.shape[1]
    signs = np.sign(np.sum(ours.gamma * theirs.Gamma[:, :K], axis=0))
    gaps = [ours.gamma * signs - theirs.Gamma[:, :K], ours.factors * signs - theirs.Factors[:K].T]
    if ours.gamma_alpha is not None:
        gaps.append(ours.gamma_alpha - theirs.Gamma[:, K])
    return max(float(np.abs(gap).max()) for gap in gaps)


def against_the_package(panel: Panel, size: Size, quick: bool) -> Iterator[Comparison]:
    """Yield one line a mode of the package, cold."""
    small = Panel.simulate(QUICK)
    statistics = panel.statistics()
    cases = [("portfolio", False, TIGHT, 3), ("portfolio", True, TIGHT, 1), ("panel", False, PEER_DEFAULT, 1)]
    for mode, intercept, tolerance, repetitions in cases:
        small.peer(QUICK.factors, intercept, mode, 1e-2)
        model = IPCA(size.factors, intercept=intercept)
        ours, theirs, mine, other, spread = alternate(
            lambda model=model: model.fit(statistics),
            lambda mode=mode, intercept=intercept, tolerance=tolerance: panel.peer(
                size.factors, intercept, mode, tolerance
            ),
            1 if quick else repetitions,
        )
        yield Comparison(
            work=f"IPCA {'with intercept ' if intercept else ''}from the sufficient statistics, cold, {size.words}",
            peer=f"ipca package, {mode} mode",
            ours=mine,
            theirs=other,
            difference=largest_difference(ours, theirs),
            note=f"{ours.iterations} steps of ours; peer's tolerance {tolerance:g}, compiled before; {spread}"
            + ("; one repetition" if repetitions == 1 else ""),
        )
    ours, theirs, mine, other, spread = alternate(
        lambda: IPCA(size.factors).fit(panel.statistics()),
        lambda: panel.peer(size.factors, False, "portfolio", TIGHT),
        1,
    )
    yield Comparison(
        work=f"IPCA from the panel, managed portfolios included, cold, {size.words}",
        peer="ipca package, portfolio mode",
        ours=mine,
        theirs=other,
        difference=largest_difference(ours, theirs),
        note=f"one repetition; {spread}",
    )


def one_more_month(panel: Panel, size: Size, repetitions: int) -> Comparison:
    """Return the time of a month of the recursion after the short and after the long history, at equal steps."""
    statistics = panel.statistics()
    settings = IPCASettings(n_factors=size.factors, min_months=12, tolerance=0.0, max_iterations=3)

    def after(periods: int) -> tuple[SufficientStatistics, IPCAState]:
        history = statistics.through(panel.months[periods - 1])
        before = IPCA(size.factors).fit(statistics.through(panel.months[periods - 2]))
        return history, IPCAState(month=panel.months[periods - 2], result=before, oos_sums=np.zeros(3))

    short, long = after(size.short), after(size.months)
    ipca_month(*short, settings)
    _, _, early, late, spread = alternate(
        lambda: ipca_month(*short, settings), lambda: ipca_month(*long, settings), repetitions
    )
    return Comparison(
        work=f"one more month of the IPCA recursion after {size.short} months, L={size.instruments}, K={size.factors}",
        peer=f"itself after {size.months} months",
        ours=early,
        theirs=late,
        note=f"3 steps each; {spread}",
    )


def comparisons(quick: bool = False) -> Iterator[Comparison]:
    """Yield the lines of the table; `quick` shrinks the panel to a few thousand rows."""
    size = QUICK if quick else FULL
    panel = Panel.simulate(size)
    yield one_more_month(panel, size, 3 if quick else 15)
    yield from against_the_package(panel, size, quick)
