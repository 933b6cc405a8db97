"""Regressions of next month's returns on what is known today, asset by asset, in sample and month by month.

Here belong ordinary least squares on predictors common to all assets. The predictors (macro factors, the bond factor)
are made in ``pipeline.macro``; tests that compare forecasts with others stand in ``pipeline.evaluation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from scipy.stats import norm
from statsmodels.regression.linear_model import OLS

from pipeline.evaluation.forecasts import SCHEMA
from pipeline.macro.monthly import wanted_months
from pipeline.models.linear_settings import HAC, PredictiveSettings
from pipeline.models.linear_tables import CONSTANT, REGRESSIONS_SCHEMA
from pipeline.panel.calendar import month_number, shift
from pipeline.panel.dense import MonthlySeries

Specifications = Mapping[str, Sequence[str]]
"""Name of a regression -> its predictors. None at all makes the mean."""


def predictive_regressions(
    returns: pl.DataFrame,
    predictors: pl.DataFrame,
    specifications: Specifications,
    settings: PredictiveSettings | None = None,
) -> pl.DataFrame:
    """Regress each asset's return of month t + 1 on a constant and predictors of month t, over all months.

    With predictors that were estimated on the whole sample these are tables A.14 to A.16 of the source; with predictors
    estimated recursively they are its tables A.17 to A.19, which it calls out of sample although their coefficients are
    not. Forecasts that are: :func:`recursive_forecasts`.

    Parameters
    ----------
    returns : pl.DataFrame
        `month` (when earned), `asset_id`, `ret` (the source: log excess return, decimal); null is missing.
    predictors : pl.DataFrame
        `month` (at whose end they are known) and a column each; null is missing.
    specifications : mapping of str to sequence of str
        Regressions wanted.
    settings : PredictiveSettings, optional
        Covariance and fewest months.

    Returns
    -------
    pl.DataFrame
        `asset_id`, `specification`, `predictor` (the constant first), `coefficient`, `standard_error`, `p` (two-sided,
        standard normal), `r2` (centred, of the regression), `n_months`; sorted by asset, then as the specifications
        stand. Each regression uses the months in which the return and all its predictors are there.
        Numbers are null beside `n_months` where these are fewer than the settings ask for, or where the predictors of
        these months are linearly dependent with each other or the constant.

    Raises
    ------
    ValueError
        If a predictor is absent or not finite, or a row is doubled.
    """
    settings = settings or PredictiveSettings()
    sample = _Sample.of(returns, predictors, specifications)
    rows: list[dict[str, object]] = []
    for asset in sample.assets:
        for name, columns in specifications.items():
            pairs = sample.complete(asset, columns)
            y, X = pairs.y, pairs.X
            names = (CONSTANT, *columns)
            common = {"asset_id": asset, "specification": name, "n_months": len(y)}
            if len(y) < max(settings.min_months, len(names) + 1) or _dependent(X):
                rows.extend(common | {"predictor": predictor} for predictor in names)
                continue
            fit = OLS(y, X).fit(cov_type=settings.covariance, cov_kwds=_options(settings), use_t=False)
            spread = float(np.sum((y - y.mean()) ** 2))
            r2 = 1.0 - float(np.sum(fit.resid**2)) / spread if spread > 0.0 else None
            for predictor, coefficient, error in zip(names, fit.params.tolist(), fit.bse.tolist(), strict=True):
                p = float(2.0 * norm.sf(abs(coefficient / error))) if error > 0.0 else None
                rows.append(
                    common
                    | {
                        "predictor": predictor,
                        "coefficient": coefficient,
                        "standard_error": error,
                        "p": p,
                        "r2": r2,
                    }
                )
    return pl.DataFrame(rows, schema=_TABLE)


def _options(settings: PredictiveSettings) -> dict[str, int]:
    """Give what statsmodels asks of a covariance beside its name."""
    return {"maxlags": settings.lags} if settings.covariance == HAC else {}


def log_excess_returns(returns: pl.DataFrame) -> pl.DataFrame:
    """Return what the source regresses: log returns less the log of the bill's.

    Parameters
    ----------
    returns : pl.DataFrame
        `month`, `asset_id`, `ret`, `ret_excess`, decimals; null is missing.

    Returns
    -------
    pl.DataFrame
        `month`, `asset_id`, `ret`: log(1 + ret) - log(1 + ret - ret_excess); null where either is missing or everything
        was lost.
    """
    bill = pl.col("ret") - pl.col("ret_excess")
    logs = pl.col("ret").log1p() - bill.log1p()
    return returns.select("month", "asset_id", pl.when(logs.is_finite()).then(logs).alias("ret"))


def regression_tables(
    returns: pl.DataFrame,
    predictors: Mapping[str, pl.DataFrame],
    month: date,
    specifications: Specifications,
    settings: PredictiveSettings | None = None,
) -> pl.DataFrame:
    """Make the tables of predictive regressions as of a month.

    Parameters
    ----------
    returns, specifications, settings
        As in :func:`predictive_regressions`.
    predictors : mapping of str to pl.DataFrame
        By how they were estimated; each as in :func:`predictive_regressions`.
    month : date
        Last month of the returns. Rows after it do not matter.

    Returns
    -------
    pl.DataFrame
        `REGRESSIONS_SCHEMA`.
    """
    past = pl.col("month") <= month
    blocks = [
        predictive_regressions(returns.filter(past), frame.filter(past), specifications, settings).select(
            pl.lit(month).alias("month"),
            pl.lit(name).alias("factors"),
            "specification",
            pl.col("asset_id").alias("portfolio"),
            pl.exclude("asset_id", "specification"),
        )
        for name, frame in predictors.items()
    ]
    return pl.concat(blocks).select(*REGRESSIONS_SCHEMA)


def recursive_forecasts(
    returns: pl.DataFrame,
    predictors: pl.DataFrame,
    months: Sequence[date],
    specifications: Specifications,
    settings: PredictiveSettings | None = None,
) -> pl.DataFrame:
    """Forecast next month's returns with coefficients of the months so far.

    At the end of month m: the regressions of :func:`predictive_regressions` on returns up to m, applied to the
    predictors of m. Rows dated after m do not matter to m.

    Parameters
    ----------
    returns, predictors, specifications, settings
        As in :func:`predictive_regressions`.
    months : sequence of date
        Months at whose ends forecasts are made.

    Returns
    -------
    pl.DataFrame
        `month` (when made), `target_month`, `model` (the specification), `n_factors` (its predictors), `asset_id`,
        `forecast`; sorted by month, model in the order given and asset. An asset has a forecast once it has had as many
        months as the settings ask for, where all predictors of m are there and those of its months are not linearly
        dependent.

    Raises
    ------
    ValueError
        As in :func:`predictive_regressions`.
    """
    settings = settings or PredictiveSettings()
    wanted = wanted_months(months)
    past = pl.col("month") <= wanted[-1]
    sample = _Sample.of(returns.filter(past), predictors.filter(past), specifications)
    pairs = {
        name: [(asset, sample.complete(asset, columns)) for asset in sample.assets]
        for name, columns in specifications.items()
    }
    rows: list[tuple[object, ...]] = []
    for month in wanted:
        place = month_number(month) - month_number(sample.predictors.first)
        for name, columns in specifications.items():
            today = sample.predictors_of(place, columns)
            if today is None:
                continue
            for asset, own in pairs[name]:
                known = own.through(place)
                if len(known.y) < max(settings.min_months, len(columns) + 2):
                    continue
                coefficients = known.coefficients()
                if coefficients is not None:
                    forecast = float(np.dot(today, coefficients))
                    rows.append((month, shift(month, 1), name, len(columns), asset, forecast))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def out_of_sample_fit(evaluated: pl.DataFrame, benchmark: str) -> pl.DataFrame:
    """Return each model's out-of-sample R-squared for each asset.

    Parameters
    ----------
    evaluated : pl.DataFrame
        `model`, `month` (the target), `asset_id`, `forecast`, `realised`, as
        :func:`pipeline.evaluation.forecasts.with_realised` gives them.
    benchmark : str
        Model whose squared errors the others are measured against; the recursive mean for Campbell and Thompson (2008).

    Returns
    -------
    pl.DataFrame
        `asset_id`, `model`, `n_months`, `r2_zero` (1 - squared errors / squared returns), `r2_benchmark` (1 - squared
        errors / those of the benchmark), over the months that the model and the benchmark both cover; null where the
        denominator is zero. Sorted by asset and model; the benchmark itself is left out.

    Raises
    ------
    ValueError
        If no forecast is the benchmark's.
    """
    complete = evaluated.drop_nulls(["forecast", "realised"])
    if benchmark not in complete["model"]:
        raise ValueError(f"no forecast is of the benchmark {benchmark!r}; forecast with it, or name another")
    key = ["month", "asset_id"]
    theirs = complete.filter(pl.col("model") == benchmark).select(*key, pl.col("forecast").alias("benchmark"))
    joined = complete.filter(pl.col("model") != benchmark).join(theirs, on=key, how="inner")
    errors, zero, other = (
        (pl.col("realised") - each).pow(2).sum() for each in (pl.col("forecast"), 0.0, pl.col("benchmark"))
    )
    return (
        joined.sort("asset_id", "model", "month")
        .group_by("asset_id", "model", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("n_months"),
            pl.when(zero > 0.0).then(1.0 - errors / zero).alias("r2_zero"),
            pl.when(other > 0.0).then(1.0 - errors / other).alias("r2_benchmark"),
        )
    )


_TABLE = {
    "asset_id": pl.String(),
    "specification": pl.String(),
    "predictor": pl.String(),
    "coefficient": pl.Float64(),
    "standard_error": pl.Float64(),
    "p": pl.Float64(),
    "r2": pl.Float64(),
    "n_months": pl.Int64(),
}


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """Returns of an asset (T,), rising in time, with a constant and the predictors of the month before (T, 1 + K)."""

    place: np.ndarray
    y: np.ndarray
    X: np.ndarray

    def through(self, place: int) -> _Pairs:
        """Cut at a month, counted from the first of the sample."""
        count = int(np.searchsorted(self.place, place, side="right"))
        return _Pairs(place=self.place[:count], y=self.y[:count], X=self.X[:count])

    def coefficients(self) -> np.ndarray | None:
        """Estimate by least squares; None where the predictors are linearly dependent."""
        coefficients, _, rank, _ = np.linalg.lstsq(self.X, self.y, rcond=None)
        return None if rank < self.X.shape[1] and _dependent(self.X) else coefficients


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Returns of each asset and predictors on one calendar; row t of the predictors is known at the end of month t."""

    predictors: MonthlySeries
    returns: Mapping[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, returns: pl.DataFrame, predictors: pl.DataFrame, specifications: Specifications) -> _Sample:
        names = sorted({name for columns in specifications.values() for name in columns})
        absent = [name for name in names if name not in predictors.columns]
        if absent:
            raise ValueError(f"the predictors have no columns {absent}; there are {predictors.columns}")
        known = returns.drop_nulls("ret").sort("asset_id", "month")
        if known.select("asset_id", "month").is_duplicated().any():
            raise ValueError("an asset has two returns in one month; keep one row each")
        infinite = predictors.select(pl.col(names).cast(pl.Float64).is_finite().not_().any())
        if not known["ret"].is_finite().all() or any(infinite.row(0) if names else ()):
            raise ValueError("a return or predictor is NaN or infinite; make it null")
        earliest = [month for month in (known["month"].min(), predictors["month"].min()) if isinstance(month, date)]
        latest = [month for month in (known["month"].max(), predictors["month"].max()) if isinstance(month, date)]
        first, last = (min(earliest), max(latest)) if earliest else (date(1970, 1, 1), date(1970, 1, 1))
        series = MonthlySeries.from_frame(predictors, names, first, last)
        assets = {
            str(asset): (
                np.array([month_number(month) - month_number(first) for month in rows["month"]], dtype=np.int64),
                rows["ret"].cast(pl.Float64).to_numpy(),
            )
            for (asset,), rows in known.group_by("asset_id", maintain_order=True)
        }
        return cls(predictors=series, returns=assets)

    @property
    def assets(self) -> list[str]:
        return sorted(self.returns)

    def complete(self, asset: str, columns: Sequence[str]) -> _Pairs:
        """Return the months in which the return and the predictors of the month before are there."""
        place, y = self.returns[asset]
        y, place = y[place > 0], place[place > 0]
        X = np.column_stack([np.ones(len(y)), self._columns(columns)[place - 1]])
        there = np.isfinite(X).all(axis=1)
        return _Pairs(place=place[there], y=y[there], X=X[there])

    def predictors_of(self, place: int, columns: Sequence[str]) -> np.ndarray | None:
        """Return the constant and the predictors of a month, None where one is missing."""
        if not columns:
            return np.ones(1)
        if not 0 <= place < len(self.predictors.values):
            return None
        row = np.concatenate([[1.0], self._columns(columns)[place]])
        return row if np.isfinite(row).all() else None

    def _columns(self, columns: Sequence[str]) -> np.ndarray:
        return self.predictors.values[:, [self.predictors.names.index(name) for name in columns]]


def _dependent(X: np.ndarray) -> bool:
    """Whether columns are linearly dependent, whatever their units."""
    scaled = X / np.linalg.norm(X, axis=0).clip(min=np.finfo(float).tiny)
    return bool(np.linalg.matrix_rank(scaled) < X.shape[1])
