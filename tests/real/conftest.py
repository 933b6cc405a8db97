from __future__ import annotations

import polars as pl
import pytest
from industries import benchmark_factors, industry_panel, published_predictors

from pipeline.sdf.panel import SdfPanel, split_months


@pytest.fixture(scope="session")
def factors() -> pl.DataFrame:
    return benchmark_factors()


@pytest.fixture(scope="session")
def published() -> pl.DataFrame:
    return published_predictors()


@pytest.fixture(scope="session")
def industries(factors: pl.DataFrame, published: pl.DataFrame) -> SdfPanel:
    return industry_panel(factors, published)


@pytest.fixture(scope="session")
def industry_parts(industries: SdfPanel) -> list[SdfPanel]:
    """Training, validation and test months."""
    return [industries.between(each[0], each[-1]) for each in split_months(industries.months)]
