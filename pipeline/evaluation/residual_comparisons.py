"""Residuals after the fact against forecast errors, as the source compares networks with predictive regressions.

Here belongs the comparison of residuals, which are no forecasts; forecasts are compared with forecasts in
:mod:`pipeline.evaluation.comparisons`.
"""

from __future__ import annotations

import polars as pl

from pipeline.evaluation.comparison_pairs import Specification
from pipeline.evaluation.comparisons import DIEBOLD_MARIANO, Comparison, HacSettings, mean_test, two_sided

_KEY = ["month", "asset_id"]


def residual_comparison(
    residuals: pl.DataFrame,
    errors: pl.DataFrame,
    benchmark: Specification,
    model: Specification,
    settings: HacSettings | None = None,
) -> Comparison:
    """Test whether what a model leaves unexplained is as large as a benchmark's forecast errors.

    Parameters
    ----------
    residuals : pl.DataFrame
        Of the model: `month` (in which the return is earned), `asset_id`, `residual` (decimal), as
        :func:`pipeline.evaluation.pricing.residuals` gives them.
    errors : pl.DataFrame
        Of the benchmark: the same columns, `residual` the realised return less the forecast.
    benchmark, model : Specification
        Their names.
    settings : HacSettings, optional
        Lags and fewest months.

    Returns
    -------
    Comparison
        As of :func:`pipeline.evaluation.comparisons.diebold_mariano`, on the asset-months of both; one in which either
        lacks its value (null, NaN) does not count.

    Raises
    ------
    ValueError
        If an asset stands twice in a month, a value is infinite, or the two share no month, or too few.

    Notes
    -----
    Table 10 of Duraj and Giesecke (2025) sets residuals of the projection on the beta network (equation 4) against
    errors of predictive regressions. The projection takes its coefficient from the very returns that it explains, the
    forecast has to do without: residuals come out smaller even where betas say nothing of expected returns.
    """
    sums = _monthly(_squares(errors, benchmark, "benchmark"), _squares(residuals, model, "model"))
    if sums.is_empty():
        raise ValueError(f"{benchmark.words} and {model.words} have no month in common; give both the same months")
    difference = (sums["benchmark"] - sums["model"]).to_numpy()
    try:
        statistic, standard_error, lags = mean_test(difference, settings or HacSettings())
    except ValueError as error:
        raise ValueError(f"{benchmark.words} against {model.words}: {error}") from error
    # Without products of sums to round, only the same residuals leave nothing to test.
    t = statistic / standard_error if standard_error > 0.0 else None
    return Comparison(
        test=DIEBOLD_MARIANO,
        benchmark=benchmark,
        model=model,
        n_months=sums.height,
        n=int(sums["n"].sum()),
        mspe_benchmark=float(sums["benchmark"].to_numpy().mean()),
        mspe_model=float(sums["model"].to_numpy().mean()),
        difference=statistic,
        statistic=statistic,
        standard_error=standard_error,
        t=t,
        p=None if t is None else two_sided(t, sums.height),
        lags=lags,
    )


def _squares(rows: pl.DataFrame, whose: Specification, column: str) -> pl.DataFrame:
    """Return the squared residuals of the asset-months that have one."""
    given = rows.select(*_KEY, pl.col("residual").fill_nan(None)).drop_nulls("residual")
    repeated = int(given.select(_KEY).is_duplicated().sum())
    if repeated:
        raise ValueError(f"{whose.words}: {repeated} rows share {_KEY}; keep one each")
    if not given["residual"].is_finite().all():
        raise ValueError(f"{whose.words}: a residual is infinite; make it null")
    return given.select(*_KEY, pl.col("residual").pow(2).alias(column))


def _monthly(benchmark: pl.DataFrame, model: pl.DataFrame) -> pl.DataFrame:
    """Return the number of assets of each month and the means of both squares over them."""
    return (
        benchmark.join(model, on=_KEY, how="inner")
        .sort(_KEY)
        .group_by("month", maintain_order=True)
        .agg(pl.len().alias("n"), pl.col("benchmark", "model").mean())
    )
