"""Numbers of the page of factor models: moments, newest estimates and what is computed from them, by market.

Belongs here: which markets the page knows, memory of results, and the step from stored rows to the functions of
``pipeline.evaluation``. Does not: the tests themselves, number formats (``tables_factor_models``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, cached_property
from importlib import resources

import numpy as np
import polars as pl

from pipeline.bonds.registry import RANKED
from pipeline.equity.definition import KPS36
from pipeline.equity.registry import SETS, ranked
from pipeline.evaluation import comparison_pairs, comparisons, factor_dynamics, importance, significance
from pipeline.evaluation.comparison_pairs import Pair, Specification
from pipeline.evaluation.comparisons import HacSettings
from pipeline.evaluation.learned_forecasts import learned_against, of_factor_models
from pipeline.models import factor_recursion
from pipeline.models.conditional_factors import instrument_matrix
from pipeline.models.factor_instruments import MACRO, instrument_series
from pipeline.models.factor_model import (
    AssetLoadings,
    CharacteristicLoadings,
    FactorModelResult,
    Loadings,
    MonthlySeries,
)
from pipeline.models.factor_recursion import FactorPath, Parameters
from pipeline.models.families import FAMILIES
from pipeline.models.managed_portfolios import CONSTANT, RETURN, SufficientStatistics
from pipeline.report.data import ReportData
from pipeline.report.numbers import Numbers

INSTRUMENTS, PUBLISHED = "factor_instruments", "published_factor_models.csv"
#: Extract tables that are vintages of FRED-MD begin so.
_VINTAGES = "fred_md."
#: The conditional factor models from most features to fewest: the first one there is explained and compared.
CONDITIONAL = ("rdcfm", "dcfm", "rcfm", "cfm")
RECURRENT = ("rdcfm", "rcfm")
#: Percent squared a decimal squared: the unit of the published tables.
PERCENT_SQUARED = 10_000.0


@dataclass(frozen=True, kw_only=True)
class Market:
    """A cross-section and its assets.

    Attributes
    ----------
    name, title : str
        Beginning of the assets' names, and words.
    sums : str
        Asset with what the models were estimated on: the sufficient statistics, or without characteristics the returns.
    characteristics : tuple of str
        Ranked columns in the order of the rows of Gamma, without the constant; none where there are none.
    key : str
        Identifier in the returns of a market without characteristics.
    """

    name: str
    title: str
    sums: str
    characteristics: tuple[str, ...] = ()
    key: str = ""

    @property
    def moments(self) -> str:
        """Asset of the sums of squares and products of forecasts."""
        return f"{self.name}_forecast_moments"

    @property
    def directions(self) -> str:
        """Asset of the scores of forecast directions, where there are characteristics."""
        return f"{self.name}_direction_moments"

    @property
    def families(self) -> tuple[str, ...]:
        """Assets of the estimates; without characteristics there are fewer."""
        return tuple(
            f"{self.name}_{family.name}"
            for family in FAMILIES.values()
            if self.characteristics or family.needs_without is not None
        )

    @property
    def recurrent(self) -> tuple[str, ...]:
        """Assets of the estimates of models with memory."""
        own = (f"{self.name}_{family}" for family in RECURRENT)
        return tuple(name for name in own if name in self.families)

    @property
    def assets(self) -> tuple[str, ...]:
        """All of these."""
        directions = (self.directions,) if self.characteristics else ()
        return (self.moments, *self.families, *directions, self.sums)


MARKETS = (
    Market(name="bond", title="Bonds", sums="bond_managed_portfolios", characteristics=RANKED),
    Market(
        name="stock",
        title="Stocks",
        sums=f"stock_managed_portfolios_{KPS36}",
        characteristics=ranked(SETS[KPS36]),
    ),
    Market(name="portfolio", title="Test portfolios", sums="test_portfolios", key="portfolio"),
)


@cache
def published() -> pl.DataFrame:
    """Return what the text of the source tells of its tables: market, table, row, column, value, p.

    Stocks, 1963 to 2014, 36 characteristics, errors in percent squared; rows and columns under the names used here,
    of table 6 and 7 the source's own name as the column.
    """
    text = resources.files("pipeline.report").joinpath(PUBLISHED).read_bytes()
    return pl.read_csv(text, schema_overrides={"column": pl.String, "row": pl.String, "value": pl.Float64})


def published_table(market: Market, table: int) -> pl.DataFrame:
    """Return the rows of one table: row, column, value, p; none for a market that was not published."""
    return published().filter(market=market.name, table=table).select("row", "column", "value", "p")


@dataclass(frozen=True, kw_only=True)
class Explained:
    """The newest model with memory of a market and what it was estimated on.

    Attributes
    ----------
    market : Market
        Of which market.
    result : FactorModelResult
        The newest one with most factors.
    path : FactorPath
        Its recursion over the months of the estimation; those to which factors were carried on since do not count.
    instruments : MonthlySeries
        Factor instruments of those months, without the constant.
    stand_ins : tuple of str
        What stood in for an instrument that was not there.
    statistics : SufficientStatistics or None
        What the errors of those months follow from: managed portfolios; for loadings of single assets the same sums
        with the loadings in the place of characteristics. None where the page has no frame to make them of.
    """

    market: Market
    result: FactorModelResult
    path: FactorPath
    instruments: MonthlySeries
    stand_ins: tuple[str, ...]
    statistics: SufficientStatistics | None

    @property
    def model(self) -> str:
        """The model and its number of factors."""
        return f"{self.result.model.upper()} with K = {self.result.n_factors}"

    @property
    def name(self) -> str:
        """The same, and that it did not converge where it did not."""
        return self.model if self.result.converged else f"{self.model} (not converged)"

    @property
    def newest(self) -> date:
        """Last month of the estimation."""
        return self.instruments.months[-1]

    @property
    def on_characteristics(self) -> bool:
        """Whether the loadings are functions of characteristics."""
        return isinstance(self.result.loadings, CharacteristicLoadings)

    @property
    def gamma(self) -> np.ndarray:
        """(L, K) loadings on what the statistics are of: characteristics, or the loadings of assets themselves."""
        held = self.result.loadings
        return held.gamma if isinstance(held, CharacteristicLoadings) else np.eye(self.result.n_factors)

    @cached_property
    def characteristics(self) -> pl.DataFrame:
        """Importance of characteristics with p-values: name, importance, standard_deviation (percent squared), p."""
        assert self.statistics is not None
        found = importance.expected_characteristic_importance(self.statistics, self.gamma, self.path.factors)
        tested = significance.characteristic_p_values(self.statistics, self.gamma, self.path.factors)
        bare = pl.col("name").str.strip_suffix("_r")
        return _scaled(found.join(tested, on="name", how="left").with_columns(bare))

    @cached_property
    def factor_instruments(self) -> pl.DataFrame:
        """Importance of factor instruments with p-values, as :attr:`characteristics`."""
        assert self.statistics is not None
        found = importance.instrument_importance(self.instruments, self._error)
        tested = significance.instrument_p_values(
            self.statistics,
            self.gamma,
            self.path.factors,
            self.path.sensitivities(),
            self.path.parameters.omega,
            (CONSTANT, *self.instruments.names),
        )
        return _scaled(found.join(tested, on="name", how="left"))

    def _error(self, instruments: np.ndarray) -> float:
        assert self.statistics is not None
        matrix = instrument_matrix(replace(self.instruments, values=instruments), self.result.parameters["centre"])
        factors = factor_recursion.run(matrix, self.path.parameters).factors
        return importance.mean_squared_error(self.statistics, self.gamma, factors)

    @cached_property
    def granger(self) -> pl.DataFrame:
        """Coefficients and p-values of the VAR(1) of the factors."""
        return factor_dynamics.granger(self.path.factors)

    @cached_property
    def factor_responses(self) -> pl.DataFrame:
        """Responses to shocks to factors, in standard deviations of the responding factor."""
        mean = self.path.instruments.mean(axis=0)
        return self._in_deviations(factor_dynamics.factor_responses(self.path.parameters, mean, self.path.factors))

    @cached_property
    def instrument_responses(self) -> pl.DataFrame:
        """Responses to shocks to instruments, in standard deviations of the responding factor."""
        found = factor_dynamics.instrument_responses(
            self.path.parameters,
            self.path.instruments.mean(axis=0),
            self.path.factors[-1],
            self.path.instruments,
            (CONSTANT, *self.instruments.names),
        )
        return self._in_deviations(found)

    def _in_deviations(self, responses: pl.DataFrame) -> pl.DataFrame:
        sizes = self.path.factors.std(axis=0, ddof=1)
        size = pl.col("response").replace_strict(dict(enumerate(sizes.tolist(), 1)), return_dtype=pl.Float64)
        return responses.with_columns(pl.col("value") / size)


def _scaled(found: pl.DataFrame) -> pl.DataFrame:
    stars = pl.col("p").map_elements(comparisons.significance_stars, return_dtype=pl.String, skip_nulls=False)
    return found.sort("importance", descending=True).select(
        "name",
        pl.col("importance") * PERCENT_SQUARED,
        pl.col("standard_deviation") * PERCENT_SQUARED,
        "p",
        stars.alias("stars"),
    )


def _path(instruments: MonthlySeries, result: FactorModelResult) -> FactorPath | None:
    """Run the recursion over the estimation again; None where it does not give the factors that were stored."""
    held = result.parameters
    if len(held["centre"]) != len(instruments.names) or not np.isfinite(instruments.values).all():
        return None
    parameters = Parameters(held["omega"], held.get("ar"), held.get("initial"))
    path = factor_recursion.run(instrument_matrix(instruments, held["centre"]), parameters)
    return path if np.allclose(path.factors, result.factors[: result.n_estimated], rtol=1e-9, atol=0.0) else None


class FactorModelNumbers(Numbers):
    """Numbers of the factor models of every market."""

    def __init__(self, data: ReportData) -> None:
        super().__init__(data)
        self._moments: dict[str, pl.DataFrame] = {}
        self._newest: dict[str, pl.DataFrame] = {}
        self._explained: dict[str, Explained | str] = {}

    def moments(self, market: Market) -> pl.DataFrame:
        """Return the sums of squares and products of all pairs of forecasts of factor models, all months."""
        if market.name not in self._moments:
            self._moments[market.name] = of_factor_models(self.data.table(market.moments))
        return self._moments[market.name]

    def learned(self, market: Market) -> pl.DataFrame:
        """Measure networks and trees, errors in percent squared; against zero, mean and the main model with most K."""
        constants = [Specification(name, K) for name, K in comparison_pairs.CONSTANT_BENCHMARKS.items()]
        main = [Specification(self.main(market), K) for K in self.sizes(market)[-1:]]
        found = learned_against(self.data.table(market.moments), [*constants, *main])
        return found.with_columns(pl.col("mspe", "difference") * PERCENT_SQUARED)

    def specifications(self, market: Market) -> list[Specification]:
        """Return the forecasts of the market."""
        return comparison_pairs.specifications(self.moments(market))

    def sizes(self, market: Market) -> tuple[int, ...]:
        """Return the numbers of factors of the conditional models that made forecasts."""
        return tuple(sorted({each.n_factors for each in self.specifications(market) if each.model in CONDITIONAL}))

    def main(self, market: Market) -> str:
        """Return the forecasting model with most features."""
        there = {each.model for each in self.specifications(market)}
        return next((model for model in CONDITIONAL if model in there), CONDITIONAL[0])

    def errors(self, market: Market) -> tuple[Specification, pl.DataFrame]:
        """Measure all forecasts on the asset-months of the forecast that covers fewest and on their own.

        Returns
        -------
        tuple of Specification and pl.DataFrame
            The forecast that covers fewest; model, n_factors, n_months, n, mspe, r2 and with the ending ``_own`` the
            same for all that the forecast covers; errors in percent squared.
        """
        moments = self.moments(market)
        own = comparisons.prediction_errors(moments)
        fewest = Specification(*own.sort("n", "model", "n_factors").select("model", "n_factors").row(0))
        common = comparisons.prediction_errors(moments, covered_by=fewest)
        both = common.join(own, on=["model", "n_factors"], how="right", suffix="_own")
        return fewest, both.with_columns(pl.col("mspe", "mspe_own") * PERCENT_SQUARED)

    def common_months(self, market: Market, pairs: Iterable[Pair]) -> dict[Pair, int]:
        """Count the months of each of the pairs that share one."""
        sides = ["model_a", "n_factors_a", "model_b", "n_factors_b"]
        counts = {row[:4]: row[4] for row in self.moments(market).group_by(sides).len().select(*sides, "len").rows()}
        held = {pair: counts.get((*min(pair), *max(pair)), 0) for pair in pairs}
        return {pair: count for pair, count in held.items() if count}

    def tests(self, market: Market, pairs: Iterable[Pair]) -> pl.DataFrame:
        """Test the pairs that have months enough, in their order; errors and differences in percent squared.

        Nested ones by Clark-West, one-sided, the others by Diebold-Mariano, two-sided; the column test says which.
        """
        least, instruments = HacSettings().min_months, self._instruments
        kept = [pair for pair, months in self.common_months(market, pairs).items() if months >= least]
        by_test: dict[str, list[Pair]] = {comparisons.CLARK_WEST: [], comparisons.DIEBOLD_MARIANO: []}
        for pair in kept:
            is_nested = comparison_pairs.nested(pair, instruments)
            by_test[comparisons.CLARK_WEST if is_nested else comparisons.DIEBOLD_MARIANO].append(pair)
        found = [comparisons.compare(self.moments(market), pairs, test) for test, pairs in by_test.items()]
        place = {(*small, *large): position for position, (small, large) in enumerate(kept)}
        sides = pl.struct("benchmark", "n_factors_benchmark", "model", "n_factors")
        order = sides.map_elements(lambda pair: place[tuple(pair.values())], return_dtype=pl.Int64)
        errors = pl.col("mspe_benchmark", "mspe_model", "difference", "statistic", "standard_error")
        return pl.concat(found).sort(order).with_columns(errors * PERCENT_SQUARED)

    @property
    def _instruments(self) -> tuple[str, ...]:
        """Factor instruments, none where they are not there: then no observed factor is known to be one."""
        if not self.data.has(INSTRUMENTS):
            return ()
        return tuple(self.data.panel(INSTRUMENTS).drop("month", "stand_in").collect_schema().names())

    def feature_pairs(self, market: Market) -> dict[str, list[Pair]]:
        """Return the pairs of table 4 by panel."""
        return comparison_pairs.feature_pairs(self.sizes(market))

    def size_pairs(self, market: Market) -> list[Pair]:
        """Return the pairs of table 5."""
        return comparison_pairs.size_pairs(self.main(market), self.sizes(market))

    def benchmark_pairs(self, market: Market) -> list[Pair]:
        """Return the pairs of table 9."""
        return comparison_pairs.benchmark_pairs(self.main(market), self.sizes(market))

    def features(self, market: Market) -> pl.DataFrame:
        """Test features (table 4); with the column panel."""
        panels = self.feature_pairs(market)
        return pl.concat(self.tests(market, pairs).with_columns(panel=pl.lit(panel)) for panel, pairs in panels.items())

    def rows(self, market: Market) -> pl.DataFrame:
        """Return all months of all estimates, short columns alone; no row where nothing is estimated."""
        if market.name not in self._newest:
            columns = (
                "month", "model", "n_factors", "n_months", "refitted", "iterations", "converged", "total_r2",
                "n_parameters", "n_loadings",
            )  # fmt: skip
            frames = [self.data.panel(name).select(columns) for name in market.families if self.data.has(name)]
            self._newest[market.name] = pl.concat(frames).collect()
        return self._newest[market.name]

    def newest(self, market: Market) -> pl.DataFrame:
        """Return each model's newest estimation."""
        keys = ["model", "n_factors"]
        rows = self.rows(market).filter("refitted")
        return rows.filter(pl.col("month") == pl.col("month").max().over(keys)).sort(keys)

    def convergence(self, market: Market) -> pl.DataFrame:
        """Count how the estimations of models that iterate ended.

        Returns
        -------
        pl.DataFrame
            model, n_factors, first and newest month, months, estimations, iterations (mean of an estimation), stopped
            (estimations that did not converge), total_r2 (of the newest estimation, in sample).
        """
        rows = self.rows(market).sort("model", "n_factors", "month")
        found = rows.group_by("model", "n_factors", maintain_order=True).agg(
            pl.col("month").first().alias("first"),
            pl.col("month").last().alias("newest"),
            pl.len().alias("months"),
            pl.col("refitted").sum().alias("estimations"),
            pl.col("iterations").filter("refitted").mean(),
            (pl.col("refitted") & ~pl.col("converged")).sum().alias("stopped"),
            pl.col("total_r2").last(),
        )
        return found.filter(pl.col("iterations") > 0)

    @property
    def single_vintage(self) -> str | None:
        """The vintage of FRED-MD whose values are the factor instruments of all months, None where there are more."""
        if self.data.settings.get(INSTRUMENTS, {}).get("source") != MACRO:
            return None
        vintages = [name.removeprefix(_VINTAGES) for name in self.data.sources if name.startswith(_VINTAGES)]
        return vintages[0] if len(vintages) == 1 else None

    def scores(self, market: Market) -> pl.DataFrame:
        """Score forecast directions, with the loss of always saying the share of positive returns (base_loss)."""
        found = comparisons.classification_scores(self.data.table(market.directions))
        rate = pl.col("base_rate")
        entropy = -(rate * rate.log() + (1.0 - rate) * (1.0 - rate).log())
        return found.with_columns(
            base_loss=pl.when(rate.is_between(0.0, 1.0, closed="none")).then(entropy).otherwise(0.0)
        )

    def explained(self, market: Market) -> Explained | str:
        """Return the newest model with memory and most factors, or why there is none."""
        if market.name not in self._explained:
            self._explained[market.name] = self._explain(market)
        return self._explained[market.name]

    def _explain(self, market: Market) -> Explained | str:
        found = [
            result
            for name in market.recurrent
            if name in self.data.states
            for result in self.data.states[name].results.values()
        ]
        if not found:
            return "still warming up: no model with memory has been estimated."
        result = max(found, key=lambda each: (each.model == CONDITIONAL[0], each.n_factors))
        months = result.months[: result.n_estimated]
        series = self.data.frame(INSTRUMENTS).filter(pl.col("month").is_in(list(months)))
        instruments = instrument_series(series, self._instruments, months)
        path = _path(instruments, result)
        if path is None:
            return (
                f"{INSTRUMENTS} is no longer what {market.name}_{result.model} was estimated on; materialise the model "
                "again."
            )
        return Explained(
            market=market,
            result=result,
            path=path,
            instruments=instruments,
            stand_ins=tuple(series["stand_in"].drop_nulls().unique(maintain_order=True)),
            statistics=self._statistics(market, result.loadings, months),
        )

    def _statistics(self, market: Market, loadings: Loadings, months: tuple[date, ...]) -> SufficientStatistics | None:
        on_characteristics = bool(market.characteristics)
        if isinstance(loadings, CharacteristicLoadings) != on_characteristics or not self.data.has(market.sums):
            return None
        rows = self.data.frame(market.sums).filter(pl.col("month").is_in(list(months)))
        if isinstance(loadings, CharacteristicLoadings):
            return SufficientStatistics.from_frame(rows, market.characteristics)
        return _asset_sums(rows, market.key, loadings, months)


def _asset_sums(
    returns: pl.DataFrame, key: str, loadings: AssetLoadings, months: tuple[date, ...]
) -> SufficientStatistics:
    """Sum returns times loadings, and loadings times loadings, over the assets of each month that have both."""
    known = np.isfinite(loadings.betas).all(axis=1)
    assets = [asset for asset, there in zip(loadings.assets, known, strict=True) if there]
    betas = loadings.betas[known]
    grid = pl.DataFrame({"month": list(months)}, schema={"month": pl.Date()})
    wide = returns.with_columns(pl.col(key).cast(pl.String)).pivot(key, index="month", values=RETURN, on_columns=assets)
    values = grid.join(wide, on="month", how="left").sort("month").select(assets).to_numpy().astype(np.float64)
    there = np.isfinite(values)
    filled, K = np.where(there, values, 0.0), betas.shape[1]
    squares = (betas[:, :, None] * betas[:, None, :]).reshape(len(assets), K * K)
    return SufficientStatistics(
        months=months,
        n=there.sum(axis=1),
        yy=np.sum(filled**2, axis=1),
        X=filled @ betas,
        W=(there.astype(np.float64) @ squares).reshape(-1, K, K),
        names=tuple(f"loading {number}" for number in range(1, K + 1)),
    )
