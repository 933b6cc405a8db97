"""Forecasts by name, and the pairs of them that the tables of the source compare.

Here belong the lists alone; the tests stand in :mod:`pipeline.evaluation.comparisons`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from pipeline.models.observed_factors import OBSERVED

FAMILY_SIZES = tuple(range(1, 7))
"""The numbers of factors that the published tables show."""


class Specification(NamedTuple):
    """A model with its number of factors, e.g. ``Specification("rdcfm", 5)``."""

    model: str
    n_factors: int

    @property
    def words(self) -> str:
        """As messages name it."""
        return f"{self.model} with {self.n_factors} factors"


Pair = tuple[Specification, Specification]
"""The benchmark (of nested models the smaller), then the model that is to beat it."""


def specifications(moments: pl.DataFrame) -> list[Specification]:
    """Return the forecasts that the moments hold, sorted."""
    own = moments.filter(same_forecast()).select("model_a", "n_factors_a").unique().sort("model_a", "n_factors_a")
    return [Specification(*row) for row in own.iter_rows()]


def available(pairs: Iterable[Pair], moments: pl.DataFrame) -> list[Pair]:
    """Return the pairs of which the moments hold both forecasts."""
    there = set(specifications(moments))
    return [pair for pair in pairs if there.issuperset(pair)]


def feature_pairs(sizes: Sequence[int] = FAMILY_SIZES) -> dict[str, list[Pair]]:
    """Return the pairs that tell which feature matters, by panel of table 4; not all are :func:`nested`.

    Panel A sets the full model (memory and loadings on characteristics) against each of the others, panel B adds
    loadings on characteristics to a model without memory, panel C memory to one with loadings of single assets.
    """
    panels = {"A": ("rdcfm", ("dcfm", "rcfm", "cfm")), "B": ("dcfm", ("cfm",)), "C": ("rcfm", ("cfm",))}
    return {
        panel: [(Specification(small, K), Specification(large, K)) for small in benchmarks for K in sizes]
        for panel, (large, benchmarks) in panels.items()
    }


def size_pairs(model: str = "rdcfm", sizes: Sequence[int] = FAMILY_SIZES) -> list[Pair]:
    """Return the pairs of K factors against every larger number of them (table 5)."""
    return [(Specification(model, K), Specification(model, more)) for K in sizes for more in sizes if more > K]


CONSTANT_BENCHMARKS: Mapping[str, int] = {"mean": 1, "zero": 0}
"""Forecasts that do not depend on K, with the K they are stored under."""

_CONDITIONAL = "_conditional"
_OWN_LOADINGS = ("cfm", "rcfm")
_WITHOUT_MEMORY = {"rdcfm": "dcfm", "rcfm": "cfm"}

STATISTICAL_BENCHMARKS = ("pca", "rp_pca", "ipca")
"""Factors from the returns themselves, any K."""


def benchmark_pairs(model: str = "rdcfm", sizes: Sequence[int] = FAMILY_SIZES) -> list[Pair]:
    """Return the pairs of table 9: each benchmark against the model with as many factors.

    Mean and zero stand against every K; an observed-factor model, with loadings of single assets or on characteristics,
    against the model with its number of factors.
    """
    observed = [(f"{name}{kind}", len(factors)) for kind in ("", _CONDITIONAL) for name, factors in OBSERVED.items()]
    return [
        *(
            (Specification(name, K), Specification(model, size))
            for name, K in CONSTANT_BENCHMARKS.items()
            for size in sizes
        ),
        *((Specification(name, K), Specification(model, K)) for name, K in observed if K in sizes),
        *((Specification(name, K), Specification(model, K)) for name in STATISTICAL_BENCHMARKS for K in sizes),
    ]


def nested(pair: Pair, instruments: Sequence[str] = ()) -> bool:
    """Say whether the benchmark of a pair is its model with some parameters fixed.

    Parameters
    ----------
    pair : (Specification, Specification)
        A benchmark, and one of the four conditional factor models.
    instruments : sequence of str, optional
        Factor instruments of that model.

    Returns
    -------
    bool
        Fewer factors are nested in more, a model without memory in the one with it (AR = 0), the forecast zero in every
        model. Free loadings of single assets are not nested in loadings on characteristics, nor these in those. The
        prevailing mean is a constant factor under free loadings. Observed factors that are all factor instruments are a
        choice of Omega, under loadings of the same kind.
    """
    benchmark, model = pair
    if benchmark.n_factors > model.n_factors:
        return False
    name, own_loadings = benchmark.model, model.model in _OWN_LOADINGS
    factors = OBSERVED.get(name.removesuffix(_CONDITIONAL))
    if factors is not None:
        return set(factors) <= set(instruments) and name.endswith(_CONDITIONAL) != own_loadings
    if name == "mean":
        return own_loadings
    return name in ("zero", model.model, _WITHOUT_MEMORY.get(model.model))


def same_forecast() -> pl.Expr:
    """Say which rows of the moments pair a forecast with itself."""
    return (pl.col("model_a") == pl.col("model_b")) & (pl.col("n_factors_a") == pl.col("n_factors_b"))
