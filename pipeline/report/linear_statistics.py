"""What the page says of linear kernels, predictive regressions, trees and market states: frames in, small frames out.

Belongs here: choosing rows, fitting the states of a picture, collecting tests with the reason where one cannot be run.
Does not: the tests and estimators themselves (``pipeline.evaluation``, ``pipeline.models``), which frames there are
(``numbers_linear``), words and formats (``tables_linear``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipeline.evaluation import pricing
from pipeline.evaluation.comparison_pairs import Specification, specifications
from pipeline.evaluation.comparisons import Comparison, diebold_mariano, prediction_errors
from pipeline.evaluation.forecasts import NETWORKS, network_forecasts, with_realised
from pipeline.evaluation.residual_comparisons import residual_comparison
from pipeline.models.estimation_sample import complete_months, portfolios_of_sample
from pipeline.models.linear_settings import RegimeSettings
from pipeline.models.predictive_regressions import out_of_sample_fit
from pipeline.report.sdf_statistics import ENVIRONMENTS, OBJECTIVES

MEAN, ZERO, REGRESSION, TREES = "mean", "zero", "predictive_macro_cp", "xgboost"
FORECASTS, RESIDUALS = "forecasts", "residuals"

TESTS_SCHEMA = {
    "benchmark": pl.String(),
    "model": pl.String(),
    "of": pl.String(),
    "n_months": pl.Int64(),
    "lags": pl.Int64(),
    "mspe_benchmark": pl.Float64(),
    "mspe_model": pl.Float64(),
    "statistic": pl.Float64(),
    "p": pl.Float64(),
    "stars": pl.String(),
    "why_not": pl.String(),
}


def network_of(model: str) -> tuple[str, str] | None:
    """Return objective and environment of a forecast that networks made, None of any other."""
    name = model.removeprefix(NETWORKS)
    objective = next((each for each in OBJECTIVES if name.startswith(f"{each}_")), "")
    return (objective, name.removeprefix(f"{objective}_")) if objective and name != model else None


def newest(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the newest month."""
    return frame.filter(pl.col("month") == pl.col("month").max())


def predictive_fit(forecasts: pl.DataFrame, returns: pl.DataFrame) -> pl.DataFrame:
    """Measure recursive forecasts of portfolios out of sample.

    Parameters
    ----------
    forecasts : pl.DataFrame
        ``month``, ``target_month``, ``model``, ``n_factors``, ``asset_id``, ``forecast``, the models :data:`MEAN` and
        :data:`ZERO` among them.
    returns : pl.DataFrame
        ``month``, ``portfolio``, ``ret_excess``.

    Returns
    -------
    pl.DataFrame
        A row a model but :data:`ZERO`: ``model``, ``n_factors``, ``first``, ``last``, ``n_months``, ``r2_zero`` and
        ``r2_mean`` (1 - squared errors / squared returns, or squared errors of the mean of the months so far, over all
        portfolios and months that both cover), ``median`` of the portfolios' own ``r2_mean`` and ``positive``, the
        share of the portfolios in which it is above zero. Empty where no forecast has a return yet; the last three are
        null for the mean itself.
    """
    evaluated = with_realised(forecasts, returns, key="portfolio").drop_nulls(["forecast", "realised"])
    if evaluated.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(_FIT, pl.Float64()))
    mean = evaluated.filter(model=MEAN).select("month", "asset_id", mean="forecast")
    shared = evaluated.filter(pl.col("model") != ZERO).join(mean, on=["month", "asset_id"])
    errors, zero, benchmark = (
        (pl.col("realised") - each).pow(2).sum() for each in (pl.col("forecast"), 0.0, pl.col("mean"))
    )
    own = pl.col("model") == MEAN
    pooled = shared.group_by("model").agg(
        first=pl.col("month").min(),
        last=pl.col("month").max(),
        n_months=pl.col("month").n_unique().cast(pl.Int64),
        r2_zero=1.0 - errors / zero,
        r2_mean=1.0 - errors / benchmark,
    )
    single = out_of_sample_fit(evaluated.filter(pl.col("model") != ZERO), MEAN)
    spread = single.group_by("model").agg(
        median=pl.col("r2_benchmark").median(), positive=(pl.col("r2_benchmark") > 0.0).mean()
    )
    blank = pl.when(~own).then(pl.col("r2_mean")).alias("r2_mean")
    sizes = forecasts.select("model", "n_factors").unique()
    return (
        pooled.join(spread, on="model", how="left")
        .join(sizes, on="model")
        .with_columns(blank)
        .select(_FIT)
        .sort("n_factors", "model")
    )


_FIT = ("model", "n_factors", "first", "last", "n_months", "r2_zero", "r2_mean", "median", "positive")


def forecast_tests(moments: pl.DataFrame) -> pl.DataFrame:
    """Test the networks' forecasts against those of the regressions and the trees, and the trees' against the former.

    Parameters
    ----------
    moments : pl.DataFrame
        As :func:`pipeline.evaluation.forecast_moments.forecast_moments` gives them.

    Returns
    -------
    pl.DataFrame
        A row a pair: ``benchmark``, ``model``, ``of`` (:data:`FORECASTS`), ``n_months``, ``lags``, mean squared errors
        of both (decimals squared), ``statistic`` (Diebold and Mariano; below zero where the model errs less, the
        source's sign), ``p``, ``stars``. Where it cannot be run these are null and ``why_not`` says why.
    """
    held = specifications(moments)
    networks = sorted((each for each in held if each.model.startswith(NETWORKS)), key=_place)
    regressions, trees = ([each for each in held if each.model == name] for name in (REGRESSION, TREES))
    pairs = [(benchmark, model) for benchmark in regressions for model in (*networks, *trees)]
    pairs += [(benchmark, model) for benchmark in trees for model in networks]
    return _tested(FORECASTS, pairs, lambda benchmark, model: diebold_mariano(moments, benchmark, model))


def _place(network: Specification) -> tuple[int, int, str]:
    """Return what sorts networks as the tables of their returns do."""
    objective, environment = network_of(network.model) or ("", "")
    return (
        ENVIRONMENTS.index(environment) if environment in ENVIRONMENTS else len(ENVIRONMENTS),
        OBJECTIVES.index(objective) if objective in OBJECTIVES else len(OBJECTIVES),
        network.model,
    )


def residual_tests(held: pl.DataFrame, forecasts: pl.DataFrame, returns: pl.DataFrame) -> pl.DataFrame:
    """Test the residuals of the networks' betas against the errors of the predictive regressions, as the source does.

    Parameters
    ----------
    held : pl.DataFrame
        As :func:`pipeline.report.sdf_statistics.held_assets` gives it.
    forecasts, returns
        As in :func:`predictive_fit`.

    Returns
    -------
    pl.DataFrame
        As :func:`forecast_tests`, ``of`` being :data:`RESIDUALS`. The residuals are those of each month's returns
        projected on the betas in the same month (equation 4 of the source): the return of the month sets their level.
        No forecast knows it.
    """
    own_forecasts = forecasts.filter(model=REGRESSION)
    made = with_realised(own_forecasts, returns, key="portfolio").drop_nulls("realised")
    if made.is_empty():
        return pl.DataFrame(schema=TESTS_SCHEMA)
    errors = made.select("month", "asset_id", residual=pl.col("realised") - pl.col("forecast"))
    benchmark = Specification(REGRESSION, own_forecasts["n_factors"][0])
    projected = {}
    for _, own in held.group_by("objective", "environment", maintain_order=True):
        named = network_forecasts(
            own.select(pl.exclude("month"), target_month="month", month="known", forecast="loading")
        )
        projected[Specification(named["model"][0], named["n_factors"][0])] = pricing.residuals(own)
    return _tested(
        RESIDUALS,
        [(benchmark, model) for model in sorted(projected, key=_place)],
        lambda benchmark, model: residual_comparison(projected[model], errors, benchmark, model),
    )


def _tested(
    of: str,
    pairs: Sequence[tuple[Specification, Specification]],
    test: Callable[[Specification, Specification], Comparison],
) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for benchmark, model in pairs:
        row: dict[str, object] = {"benchmark": benchmark.model, "model": model.model, "of": of}
        try:
            found = test(benchmark, model)
        except ValueError as error:
            rows.append({**row, "why_not": str(error)})
            continue
        measured = {name: getattr(found, name) for name in TESTS_SCHEMA if hasattr(found, name) and name not in row}
        rows.append({**row, **measured, "statistic": None if found.t is None else -found.t})
    return pl.DataFrame(rows, schema=TESTS_SCHEMA)


@dataclass(frozen=True, kw_only=True)
class TreesFound:
    """What table A.27 says of one cross-section.

    Attributes
    ----------
    month : date
        Of the newest search.
    validation_r2 : float or None
        Of its winner, against zero.
    rounds : int
        Trees of the winner; 0 where the forecast zero is best.
    features : tuple of str
        The three most important, as many as were used.
    r2 : float or None
        Of the forecasts since the first search, against zero; None where none has a return yet.
    first : date or None
        First month of these.
    n_months : int or None
        How many there are.
    """

    month: date
    validation_r2: float | None
    rounds: int
    features: tuple[str, ...]
    r2: float | None
    first: date | None
    n_months: int | None


def tree_row(search: pl.DataFrame, moments: pl.DataFrame) -> TreesFound:
    """Return what table A.27 says of one cross-section.

    Parameters
    ----------
    search : pl.DataFrame
        Searches of the trees, a row a feature and search: ``month``, ``feature``, ``rank``, ``validation_r2``,
        ``rounds`` and more, of at least one search.
    moments : pl.DataFrame
        Moments of the forecasts; those of the trees are read.
    """
    own = newest(search).sort("rank")
    held = moments.filter((pl.col("model_a") == TREES) & (pl.col("model_b") == TREES))
    tested = prediction_errors(held).row(0, named=True) if held.height else {}
    return TreesFound(
        month=own["month"][0],
        validation_r2=own["validation_r2"][0],
        rounds=own["rounds"][0],
        features=tuple(own.filter(pl.col("gain") > 0.0)["feature"].head(3)),
        r2=tested.get("r2"),
        first=held.select(pl.col("month").min()).item(),
        n_months=tested.get("n_months"),
    )


@dataclass(frozen=True, kw_only=True)
class MarketStates:
    """States of the market, estimated on all months at once: for a picture only.

    Attributes
    ----------
    n_portfolios : int
        Portfolios of the estimation.
    path : pl.DataFrame
        ``month``, ``value`` of a dollar held in equal parts in all portfolios (excess returns reinvested), ``state``
        (from 1, the highest mean, down) with the largest smoothed probability, ``probability``.
    description : pl.DataFrame
        As :meth:`pipeline.models.regimes.Regimes.description` gives it; decimals.
    """

    n_portfolios: int
    path: pl.DataFrame
    description: pl.DataFrame


def market_states(portfolios: pl.DataFrame, n_states: int, settings: RegimeSettings) -> MarketStates:
    """Estimate the states of the market on all months in which every portfolio has a return.

    Portfolios with fewer returns than ``min_months`` of the settings, or none in the last year, are left out, as where
    the states are estimated month by month.

    Parameters
    ----------
    portfolios : pl.DataFrame
        ``month``, ``portfolio``, ``ret_excess``.
    n_states : int
        Of the chain.
    settings : RegimeSettings
        Of the estimation.

    Raises
    ------
    ValueError
        If the months are too few, or no portfolio has enough of them.
    """
    # Here, because the library of the states is slow to import and every process reads the definitions of the pages.
    from pipeline.models.regimes import estimate_regimes

    held = portfolios.select("month", asset_id="portfolio", ret="ret_excess").drop_nulls()
    last = max(held["month"].to_list(), default=date.min)
    kept = portfolios_of_sample(held, last, settings.min_months) if held.height else ()
    if not kept:
        raise ValueError(f"no portfolio has returns in {settings.min_months} months and one of them in the last year")
    wide = complete_months(held, kept, last)
    returns = wide.drop("month").to_numpy()
    regimes = estimate_regimes(returns, n_states, settings)
    smoothed = regimes.smoothed(returns)
    path = wide.select("month").with_columns(
        value=pl.Series(np.cumprod(1.0 + returns.mean(axis=1))),
        state=pl.Series(smoothed.argmax(axis=1) + 1).cast(pl.Int64),
        probability=pl.Series(smoothed.max(axis=1)),
    )
    return MarketStates(n_portfolios=returns.shape[1], path=path, description=regimes.description(returns))
