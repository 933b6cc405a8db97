"""All monthly assets, in one tuple: what the definitions, the command line and the tests enumerate."""

from __future__ import annotations

from assets import bonds, comparisons, equity, factor_models, linear_sdf, macro, models, sdf, training, trees
from assets.building import MonthlyAsset

MONTHLY_ASSETS: tuple[MonthlyAsset, ...] = (
    *macro.ASSETS,
    *equity.ASSETS,
    *bonds.ASSETS,
    *training.ASSETS,
    *models.ASSETS,
    *factor_models.ASSETS,
    *sdf.ASSETS,
    *linear_sdf.ASSETS,
    *trees.ASSETS,
    *comparisons.ASSETS,
)
