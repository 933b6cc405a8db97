"""On the demo market the whole way from vendor files to IPCA finds the factors that made the returns."""

from __future__ import annotations

import polars as pl
import pytest
from promise import END, FROM_INDEX, SETTINGS, Factory

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.bonds.registry import RANKED
from pipeline.evaluation.r2 import canonical_correlations
from pipeline.models.ipca import IPCA
from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.panel.calendar import month_range
from pipeline.simulation.market import simulate

PORTFOLIOS = "bond_managed_portfolios"
VENDORS = ("bonds", "fred", "prices", "french", "treasury")


@pytest.mark.slow
def test_true_factors_are_found(tmp_path):
    market = simulate("demo", end=END, vendors=VENDORS)
    factory = Factory(tmp_path)
    home = factory.home("demo", market.tables)
    # The true loadings are those on the characteristics that the index publishes.
    factory.settings("demo", SETTINGS + FROM_INDEX)
    workshop = Workshop(MONTHLY_ASSETS, home)
    workshop.refresh([PORTFOLIOS])
    first = workshop.first_needed([PORTFOLIOS], workshop.origin(PORTFOLIOS))
    for name in workshop.closure([PORTFOLIOS]):
        list(workshop.build(name, month_range(first[name], END)))
    statistics = SufficientStatistics.from_frame(home.lake.read_all(PORTFOLIOS), RANKED)
    fitted = IPCA(3, starts=8).fit(statistics.determined(3))
    factors = [name for name in market.truth["factors"].columns if name.startswith("factor_")]
    true = market.truth["factors"].filter(pl.col("month").is_in(list(fitted.months))).sort("month")
    assert true.height == len(fitted.months) > 120
    found = canonical_correlations(fitted.factors, true.select(factors).to_numpy())
    assert min(found) > 0.95
    total_r2 = 1 - fitted.loss / statistics.determined(3).yy.sum()
    assert 0.15 < total_r2 < 0.25
