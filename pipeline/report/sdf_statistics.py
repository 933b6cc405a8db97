"""What the page of stochastic discount factors says of returns, weights and searches: frames in, small frames out.

Belongs here: measuring every objective and environment, and why something cannot be measured yet. Does not: the
measures themselves (``pipeline.evaluation``), which frames there are (``numbers_sdf``), words and formats
(``tables_sdf``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from pipeline.evaluation import pricing
from pipeline.evaluation.alphas import alpha
from pipeline.evaluation.comparisons import significance_stars
from pipeline.evaluation.performance import cumulative_value, drawdowns, performance

MODEL = ("objective", "environment")
#: Objective of the generative adversarial networks.
GAN = "gan"
OBJECTIVES, ENVIRONMENTS = ("mispricing", "sharpe", GAN), ("full", "no_macro", "no_financials")
#: Industry of an asset of which none is known.
UNKNOWN = "not known"

RATIOS = (
    "sharpe",
    "sortino",
    "calmar",
    "maximum_drawdown",
    "cagr",
    "maximum_leverage",
    "mean_leverage",
)
"""Columns of the source's tables 3 and 6, in their order."""

_PERFORMANCE = {
    "objective": pl.String(),
    "environment": pl.String(),
    "first": pl.Date(),
    "last": pl.Date(),
    "n_months": pl.Int64(),
    **dict.fromkeys(RATIOS, pl.Float64()),
}
_ALPHAS = {
    "objective": pl.String(),
    "environment": pl.String(),
    "benchmark": pl.String(),
    "n_months": pl.Int64(),
    "lags": pl.Int64(),
    "alpha": pl.Float64(),
    "standard_error": pl.Float64(),
    "t": pl.Float64(),
    "p": pl.Float64(),
    "stars": pl.String(),
    "r2": pl.Float64(),
    "why_not": pl.String(),
}
_PRICING = {
    "objective": pl.String(),
    "environment": pl.String(),
    "n_months": pl.Int64(),
    "n": pl.Int64(),
    "explained_variation": pl.Float64(),
    "cross_sectional_r2": pl.Float64(),
}


def in_order(frame: pl.DataFrame, *then: str) -> pl.DataFrame:
    """Sort by environment and objective as the source's tables do, names that it has not last, then by ``then``."""
    places = [
        pl.col(column).replace_strict({name: i for i, name in enumerate(names)}, default=len(names))
        for column, names in (("environment", ENVIRONMENTS), ("objective", OBJECTIVES))
    ]
    return frame.sort(*places, "environment", "objective", *then, maintain_order=True)


def _models(frame: pl.DataFrame) -> Iterator[tuple[tuple[str, str], pl.DataFrame]]:
    """Yield the rows of each objective and environment, in order of month."""
    for (objective, environment), own in in_order(frame, "month").group_by(*MODEL, maintain_order=True):
        yield (str(objective), str(environment)), own


def performance_table(earned: pl.DataFrame) -> pl.DataFrame:
    """Measure the portfolio of each objective and environment.

    Parameters
    ----------
    earned : pl.DataFrame
        ``month``, ``objective``, ``environment``, ``factor`` (excess return, decimal), ``leverage``.

    Returns
    -------
    pl.DataFrame
        ``objective``, ``environment``, ``first`` and ``last`` month, ``n_months`` and :data:`RATIOS`, null where a
        ratio is not defined. A portfolio with a single month is left out.
    """
    rows = []
    for model, own in _models(earned):
        if own.height < 2:
            continue
        found = performance(own["factor"].to_numpy(), own["leverage"].to_numpy())
        ratios = tuple(getattr(found, name) for name in RATIOS)
        rows.append((*model, own["month"][0], own["month"][-1], found.n_months, *ratios))
    return pl.DataFrame(rows, schema=_PERFORMANCE, orient="row")


def alpha_table(earned: pl.DataFrame, factors: pl.DataFrame, sets: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Test the intercept of each portfolio against each set of factors.

    Parameters
    ----------
    earned : pl.DataFrame
        As in :func:`performance_table`.
    factors : pl.DataFrame
        ``month`` and the columns that the sets name, excess returns, decimals.
    sets : mapping of str to sequence of str
        Benchmark -> columns of ``factors``.

    Returns
    -------
    pl.DataFrame
        A row a portfolio and benchmark: ``n_months`` (in which the portfolio and all factors are there), ``lags``,
        ``alpha``, ``standard_error``, ``t``, ``p``, ``stars``, ``r2``. Where the regression cannot be run these are
        null and ``why_not`` says why.
    """
    rows: list[dict[str, object]] = []
    for (objective, environment), own in _models(earned):
        joined = own.select("month", "factor").join(factors, on="month", maintain_order="left")
        for benchmark, names in sets.items():
            held = joined.select("factor", *names).cast(pl.Float64).drop_nulls()
            row = {"objective": objective, "environment": environment, "benchmark": benchmark, "n_months": held.height}
            try:
                fit = alpha(held["factor"].to_numpy(), held.select(names).to_numpy())
            except ValueError as error:
                rows.append({**row, "why_not": str(error)})
                continue
            measured = {name: getattr(fit, name) for name in _ALPHAS if hasattr(fit, name)}
            rows.append({**row, **measured, "stars": significance_stars(fit.p)})
    return pl.DataFrame(rows, schema=_ALPHAS)


def held_assets(weights: pl.LazyFrame, returns: pl.LazyFrame, key: str) -> pl.DataFrame:
    """Return what was held in each month beside what it earned.

    Parameters
    ----------
    weights : pl.LazyFrame
        ``month`` (at the end of which they are known), ``target_month``, ``objective``, ``environment``, ``asset_id``,
        ``weight``, ``forecast``.
    returns : pl.LazyFrame
        ``month``, ``key``, ``ret_excess``.
    key : str
        Identifier of an asset in ``returns``.

    Returns
    -------
    pl.DataFrame
        ``month`` (in which the return is earned), ``known`` (the month before), ``objective``, ``environment``,
        ``asset_id``, ``weight``, ``loading`` (the expected return: a multiple of the beta), ``realised``, null where
        the asset has no return. Months of which no return is known yet are left out.
    """
    earned = returns.select("month", asset_id=pl.col(key).cast(pl.String), realised="ret_excess")
    held = weights.select(
        "objective",
        "environment",
        "asset_id",
        "weight",
        month="target_month",
        known="month",
        loading="forecast",
    )
    months = earned.select(pl.col("month").unique())
    return held.join(months, on="month", how="semi").join(earned, on=["month", "asset_id"], how="left").collect()


def pricing_table(held: pl.DataFrame) -> pl.DataFrame:
    """Measure how much of the returns of single assets the betas explain.

    Parameters
    ----------
    held : pl.DataFrame
        As :func:`held_assets` gives it.

    Returns
    -------
    pl.DataFrame
        ``objective``, ``environment``, ``n_months``, ``n`` (assets and months with a return),
        ``explained_variation`` and ``cross_sectional_r2`` (equations 8 and 9 of the source).
    """
    rows = []
    for model, own in _models(held):
        errors = pricing.residuals(own)
        found = (pricing.explained_variation(errors), pricing.cross_sectional_r2(errors))
        rows.append((*model, errors["month"].n_unique(), errors.height, *found))
    return pl.DataFrame(rows, schema=_PRICING, orient="row")


def cumulative_returns(earned: pl.DataFrame) -> pl.DataFrame:
    """Return ``objective``, ``environment``, ``month``, ``cumulative``: gains on a dollar, zero before the first."""
    pieces = []
    for (objective, environment), own in _models(earned):
        value = np.concatenate([[0.0], cumulative_value(own["factor"].to_numpy()) - 1.0])
        before = own["month"][:1].dt.offset_by("-1mo")
        pieces.append(
            pl.DataFrame({"month": pl.concat([before, own["month"]]), "cumulative": value}).select(
                pl.lit(objective).alias("objective"), pl.lit(environment).alias("environment"), "month", "cumulative"
            )
        )
    return pl.concat(pieces)


def drawdown_series(earned: pl.DataFrame) -> pl.DataFrame:
    """Return ``objective``, ``environment``, ``month``, ``drawdown``: fall from the highest value, below zero."""
    pieces = [
        own.select(*MODEL, "month", drawdown=pl.Series(-drawdowns(own["factor"].to_numpy())))
        for _, own in _models(earned)
    ]
    return pl.concat(pieces)


def common_months(earned: pl.DataFrame) -> pl.DataFrame:
    """Keep the months in which every portfolio of the frame earned something."""
    models = earned.select(MODEL).unique().height
    held = earned.group_by("month").len().filter(pl.col("len") == models)
    return earned.join(held, on="month", how="semi", maintain_order="left")


def industry_table(held: pl.DataFrame, industries: pl.LazyFrame, key: str, names: Mapping[str, str]) -> pl.DataFrame:
    """Split each portfolio by industry.

    Parameters
    ----------
    held : pl.DataFrame
        As :func:`held_assets` gives it.
    industries : pl.LazyFrame
        ``month`` (at the end of which it is known), ``key`` and a column for each industry, 1 where the asset belongs
        to it.
    key : str
        Identifier of an asset.
    names : mapping of str to str
        Column -> industry.

    Returns
    -------
    pl.DataFrame
        ``objective``, ``environment``, ``industry``, ``month``, ``contribution``, ``cumulative`` (see
        :func:`pipeline.evaluation.pricing.industry_returns`; assets without a return earn nothing) and ``share`` (see
        :func:`pipeline.evaluation.pricing.signed_leverage_shares`). Assets of no known industry are :data:`UNKNOWN`.
    """
    member = pl.coalesce(pl.when(pl.col(column) == 1.0).then(pl.lit(name)) for column, name in names.items())
    known = (
        industries.join(held.lazy().select(month="known").unique(), on="month", how="semi")
        .select(known="month", asset_id=pl.col(key).cast(pl.String), industry=member)
        .collect()
    )
    labelled = held.join(known, on=["known", "asset_id"], how="left").with_columns(
        pl.col("industry").fill_null(UNKNOWN), pl.col("realised").fill_null(0.0)
    )
    pieces = []
    for (objective, environment), own in _models(labelled):
        both = pricing.industry_returns(own).join(
            pricing.signed_leverage_shares(own), on=["month", "industry"], maintain_order="left"
        )
        pieces.append(
            both.select(
                pl.lit(objective).alias("objective"),
                pl.lit(environment).alias("environment"),
                "industry",
                "month",
                "contribution",
                "cumulative",
                "share",
            )
        )
    return pl.concat(pieces)


def attainable_sharpe(factors: pl.DataFrame) -> float:
    """Return the largest monthly Sharpe ratio of any fixed combination of factors over all their months.

    Parameters
    ----------
    factors : pl.DataFrame
        One column a factor, excess returns, one row a month, more months than factors.

    Returns
    -------
    float
        The root of m' S^-1 m with the factors' own means m and covariances S (T - 1).
    """
    values = factors.to_numpy()
    means, covariances = values.mean(axis=0), np.atleast_2d(np.cov(values, rowvar=False))
    return float(np.sqrt(means @ np.linalg.solve(covariances, means)))
