"""Numbers of the linear benchmarks, the trees and the market's states on the page of stochastic discount factors.

Belongs here: which assets are read, memory of results, what the source prints. Does not: measures
(``linear_statistics``), formats (``tables_linear``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from importlib import resources

import polars as pl

from pipeline.evaluation.forecast_moments import SCHEMA as MOMENTS_SCHEMA
from pipeline.models.linear_settings import RegimeSettings
from pipeline.report import linear_statistics
from pipeline.report.data import ReportData
from pipeline.report.linear_statistics import MarketStates, TreesFound

PORTFOLIOS, NETWORKS = "bond_portfolios", "bond_portfolio_sdf"
KERNELS, COUNTS = "bond_portfolio_linear_sdf", "macro_factor_counts"
REGRESSIONS, PREDICTED = "bond_portfolio_predictive_regressions", "bond_portfolio_predictive_forecasts"
REGIMES, MOMENTS = "bond_portfolio_regimes", "bond_portfolio_forecast_moments"
#: Cross-sections with trees: words, searches, moments of the forecasts.
TREE_MARKETS: Mapping[str, tuple[str, str, str]] = {
    "bond_portfolio": ("bond portfolios", "bond_portfolio_trees", MOMENTS),
    "bond": ("bonds", "bond_trees", "bond_forecast_moments"),
}
ASSETS = (
    PORTFOLIOS, NETWORKS, KERNELS, COUNTS, REGRESSIONS, PREDICTED, REGIMES, MOMENTS,
    *(name for _, *names in TREE_MARKETS.values() for name in names),
)  # fmt: skip
WHOLE_SAMPLE, REAL_TIME = "whole_sample", "real_time"
CP, MACRO_CP = "cp", "macro_cp"
#: Table 9 as printed: macro factors, whether the bond factor is there, then its columns.
_KERNELS = (
    (0, True, -0.09, 0.04, 0.02, 0.01, None),
    (7, False, 0.10, 0.37, 0.35, 0.57, None), (7, True, 0.07, 0.37, 0.36, 0.60, 0.0),
    (8, False, 0.07, 0.37, 0.36, 0.53, None), (8, True, 0.05, 0.37, 0.36, 0.56, 0.0),
    (9, False, 0.08, 0.38, 0.36, 0.47, None), (9, True, 0.06, 0.38, 0.37, 0.69, 0.0),
    (30, False, 0.04, 0.54, 0.53, 0.97, None), (30, True, -0.03, 0.54, 0.53, 0.99, 0.0),
)  # fmt: skip
KERNEL_COLUMNS = ("sharpe", "explained_variation", "r2", "p", "p_difference")
#: Table 10 as printed: Diebold-Mariano statistics against the predictive regressions.
PUBLISHED_TESTS = {"sdf_sharpe_full": -4.82, "sdf_mispricing_full": -4.82}
#: Appendix A.2 as printed: state -> mean of its 40 means (percent), largest eigenvalue (percent squared).
PUBLISHED_STATES = {1: (1.618, 277.05), 2: (0.242, 46.64), 3: (-0.387, 262.82)}
#: Table A.27 as printed: best validation R2, test R2, first month of testing, features.
PUBLISHED_TREES = {
    "bond_portfolio": ("0.04", "0.003", "2004-01", ("med_s2p", "med_r2", "avg_ereturn_treasury")),
    "bond": ("−0.01", "−0.006", "2006-01", ("med_lme", "med_op", "GS1")),
}
_REGRESSIONS_FILE = "published_sdf_regressions.csv"


def published_kernels() -> pl.DataFrame:
    """Return table 9 as printed: ``n_factors``, ``cp`` and :data:`KERNEL_COLUMNS`."""
    return pl.DataFrame(_KERNELS, schema=("n_factors", "cp", *KERNEL_COLUMNS), orient="row")


@cache
def published_regressions() -> pl.DataFrame:
    """Return tables A.14 to A.19 as printed, a row a portfolio in the source's order.

    ``factors``, ``portfolio``; ``cp``, ``cp_error``, ``cp_r2``: coefficient of the bond factor alone, its standard
    error (returns in percent), R-squared; ``macro_cp`` .. the same beside the macro factors, whose own coefficients are
    left out because the sign and the order of a component are a matter of the sample.
    """
    text = resources.files("pipeline.report").joinpath(_REGRESSIONS_FILE).read_text(encoding="utf-8")
    return pl.read_csv(text.encode())


class LinearNumbers:
    """Numbers of the linear benchmarks, the trees and the states.

    Parameters
    ----------
    data : ReportData
        What there is. A member raises LookupError where its frame is absent.
    """

    def __init__(self, data: ReportData) -> None:
        self.data = data

    @cached_property
    def kernels(self) -> pl.DataFrame:
        """Rows of table 9, the newest estimates."""
        return linear_statistics.newest(self.data.frame(KERNELS)).sort("n_factors", "cp")

    @cached_property
    def counts(self) -> pl.DataFrame:
        """Numbers of factors by criterion, scale of the penalty and largest number allowed, the newest ones."""
        return linear_statistics.newest(self.data.frame(COUNTS))

    @cached_property
    def _newest_regressions(self) -> pl.DataFrame:
        return linear_statistics.newest(self.data.frame(REGRESSIONS))

    def regressions(self, factors: str) -> pl.DataFrame:
        """Return the newest regressions with factors of the whole sample or of their own months, a row a predictor."""
        places = {
            name: place for place, name in enumerate(published_regressions()["portfolio"].unique(maintain_order=True))
        }
        own = self._newest_regressions.filter(factors=factors)
        place = pl.col("portfolio").replace_strict(places, default=len(places), return_dtype=pl.Int64)
        return own.sort(place, "portfolio", "specification", maintain_order=True)

    @property
    def portfolios(self) -> pl.DataFrame:
        """Excess returns of the portfolios: month, portfolio, ret_excess."""
        return self.data.panel(PORTFOLIOS).select("month", "portfolio", "ret_excess").collect()

    @cached_property
    def fit(self) -> pl.DataFrame:
        """Out-of-sample R-squared of the predictive regressions."""
        return linear_statistics.predictive_fit(self.data.table(PREDICTED), self.portfolios)

    @cached_property
    def forecast_tests(self) -> pl.DataFrame:
        """Table 10 with forecasts against forecasts."""
        return linear_statistics.forecast_tests(self.data.table(MOMENTS))

    def residual_tests(self, held: pl.DataFrame) -> pl.DataFrame:
        """Return table 10 as in the source; ``held`` are the networks' positions with their betas."""
        return linear_statistics.residual_tests(held, self.data.table(PREDICTED), self.portfolios)

    def trees(self, market: str) -> TreesFound:
        """Return a column of table A.27; see :func:`pipeline.report.linear_statistics.tree_row`."""
        _, search, moments = TREE_MARKETS[market]
        held = self.data.panel(moments) if self.data.has(moments) else pl.LazyFrame(schema=MOMENTS_SCHEMA)
        trees = pl.lit(linear_statistics.TREES)
        own = held.filter(pl.col("model_a") == trees, pl.col("model_b") == trees).collect()
        return linear_statistics.tree_row(self.data.frame(search), own)

    @property
    def n_states(self) -> int:
        """States of the picture: the most that the settings ask for."""
        return max(RegimeSettings(**self.data.settings.get("regimes", {})).n_states)  # type: ignore[arg-type]

    @cached_property
    def states(self) -> MarketStates:
        """States of the market on all months; ValueError where they are too few.

        With the settings of the asset of the states where the page was given them.
        """
        settings = RegimeSettings(**self.data.settings.get("regimes", {}))  # type: ignore[arg-type]
        return linear_statistics.market_states(self.portfolios, self.n_states, settings)

    @cached_property
    def filtered(self) -> pl.DataFrame:
        """Filtered probabilities of the states by month, months without one left out."""
        return self.data.frame(REGIMES).drop_nulls("probability").sort("month", "n_states", "state")
