"""Factors of the macroeconomy: principal components of a FRED-MD vintage, as McCracken and Ng estimate them.

Here belong the outlier rule, the EM algorithm, the count of factors and their sign. The vintage of a month and what
was published of it come from ``pipeline.macro.fred_md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import linalg

from pipeline.macro.fred_md import FredMdSettings, VintagePanel, known_values, panels_of_months
from pipeline.macro.monthly import wanted_months, without_nan

Values = NDArray[np.float64]

#: Months at the start of a vintage that second differences cannot fill.
LOST_TO_DIFFERENCES = 2
#: Vectors of the subspace iteration for each factor: twice as many, so that the last factor settles as fast as the
#: first.
SUBSPACE = 2
#: Between the names of series.
SEPARATOR = "|"


def _penalised_level(residual: Values, penalty: Values) -> Values:
    return residual + residual[-1] * penalty


def _penalised_log(residual: Values, penalty: Values) -> Values:
    return np.log(residual) + penalty


def _unit_p1(n_months: int, n_series: int) -> float:
    harmonic = n_series * n_months / (n_series + n_months)
    return float(np.log(harmonic) / harmonic)


def _unit_p2(n_months: int, n_series: int) -> float:
    return float((n_series + n_months) / (n_series * n_months) * np.log(min(n_series, n_months)))


def _unit_p3(n_months: int, n_series: int) -> float:
    return float(np.log(min(n_series, n_months)) / min(n_series, n_months))


#: Criterion of Bai and Ng (2002) -> how residual variances V(0..kmax) and penalties k * unit combine, and the unit from
#: T and N. The PC criteria scale the penalty by V(kmax), so they depend on the most factors allowed.
CRITERIA: Mapping[str, tuple[Callable[[Values, Values], Values], Callable[[int, int], float]]] = {
    "pc_p1": (_penalised_level, _unit_p1),
    "pc_p2": (_penalised_level, _unit_p2),
    "pc_p3": (_penalised_level, _unit_p3),
    "ic_p1": (_penalised_log, _unit_p1),
    "ic_p2": (_penalised_log, _unit_p2),
    "ic_p3": (_penalised_log, _unit_p3),
}

#: What the penalty may be multiplied by without touching the criterion's consistency; the source of the networks tries
#: these, for its criteria see ``COUNTED``.
PENALTY_SCALES = (1.0, 0.9, 0.8, 0.7)
COUNTED = ("pc_p1", "pc_p2", "pc_p3", "ic_p3")


@dataclass(frozen=True, kw_only=True)
class MacroFactorSettings:
    """Settings of :func:`macro_factors`.

    Attributes
    ----------
    n_factors : int
        Factor columns, and the most factors that the criterion may choose.
    criterion : str
        ``pc_p1`` to ``pc_p3`` or ``ic_p1`` to ``ic_p3`` of Bai and Ng (2002).
    penalty_scale : float
        Multiplies the criterion's penalty; the criterion stays consistent whatever the constant.
    outlier_iqr : float
        A value further than this many interquartile ranges from the median of its series is missing.
    tolerance : float
        EM stops when the common components of the missing values change, squared and summed, by less than this share of
        themselves.
    max_iterations : int
        Most EM iterations; reaching it is recorded in ``converged``.
    min_months, min_series, min_observations : int
        Fewest months of the panel, series in it, and values of a series; a series with fewer is left out, a month
        with a smaller panel has no factors.
    fred_md : FredMdSettings
        Publication lags.
    """

    n_factors: int = 8
    criterion: str = "pc_p2"
    penalty_scale: float = 1.0
    outlier_iqr: float = 10.0
    tolerance: float = 1e-6
    max_iterations: int = 100
    min_months: int = 60
    min_series: int = 20
    min_observations: int = 36
    fred_md: FredMdSettings = field(default_factory=FredMdSettings)

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise ValueError(f"criterion {self.criterion!r} is not one of {', '.join(CRITERIA)}")
        if not self.penalty_scale > 0.0:
            raise ValueError(f"penalty_scale {self.penalty_scale} must be positive")
        if not 1 <= self.n_factors < min(self.min_months, self.min_series):
            raise ValueError(
                f"n_factors {self.n_factors} must lie between 1 and the smaller of min_months and min_series"
            )


@dataclass(frozen=True, kw_only=True)
class FactorEstimate:
    """Principal components of a panel with missing values.

    Attributes
    ----------
    factors : (T, K) float
        Scores: standardised panel times loadings / N.
    loadings : (N, K) float
        Eigenvectors scaled to ``loadings' loadings / N = I``, signed by :func:`fix_signs`.
    explained : (K,) float
        Share of the variance of the filled panel.
    n_bai_ng : int
        Factors that the criterion chooses, 0 to K.
    iterations : int
        EM iterations used.
    converged : bool
        Whether they ended by the tolerance.
    """

    factors: Values
    loadings: Values
    explained: Values
    n_bai_ng: int
    iterations: int
    converged: bool


def without_outliers(values: Values, multiple: float) -> Values:
    """Make values far from the median of their series missing.

    Parameters
    ----------
    values : (T, N) float
        NaN is missing; every column has a value.
    multiple : float
        Interquartile ranges (linear quantiles) from the median beyond which a value is an outlier.

    Returns
    -------
    (T, N) float
        Values, outliers NaN. A series whose interquartile range is 0 keeps everything: the range says nothing about
        its scale.
    """
    low, median, high = (_column_quantile(np.sort(values, axis=0), level) for level in (0.25, 0.5, 0.75))
    spread = high - low
    outlier = (np.abs(values - median) > multiple * spread) & (spread > 0)
    return np.where(outlier, np.nan, values)


@dataclass(frozen=True, kw_only=True)
class CleanedPanel:
    """What is left of a panel for components to be estimated on.

    Attributes
    ----------
    values : (S, M) float
        Months with a value and series with enough of them that differ; outliers NaN.
    months, series : (S,) int and (M,) int
        Which they were, counted from 0.
    """

    values: Values
    months: NDArray[np.int64]
    series: NDArray[np.int64]

    @classmethod
    def of(cls, values: Values, settings: MacroFactorSettings) -> CleanedPanel:
        """Leave out what no component is estimated on, of (T, N) transformed values, NaN where missing."""
        series = np.flatnonzero(np.isfinite(values).sum(axis=0) >= settings.min_observations)
        if not len(series):
            return cls(values=values[:0, :0], months=series, series=series)
        cleaned = without_outliers(values[:, series], settings.outlier_iqr)
        varying = np.nanmax(cleaned, axis=0) > np.nanmin(cleaned, axis=0)
        cleaned, series = cleaned[:, varying], series[varying]
        months = np.flatnonzero(np.isfinite(cleaned).any(axis=1))
        return cls(values=np.ascontiguousarray(cleaned[months]), months=months, series=series)


def _column_quantile(ordered: Values, level: float) -> Values:
    """Linear quantile of every column, (N,), columns rising with NaN last; numpy's own takes ten times as long."""
    position = level * (np.isfinite(ordered).sum(axis=0) - 1)
    below = np.floor(position).astype(np.int64)
    columns = np.arange(ordered.shape[1])
    low, high = ordered[below, columns], ordered[np.ceil(position).astype(np.int64), columns]
    return low + (high - low) * (position - below)


def fix_signs(loadings: Values) -> Values:
    """Choose the sign of each factor: positive loadings outweigh negative ones in the sum of their squares.

    The rule reads only the loadings themselves, of one month. Squares let all the series that dominate a factor
    decide together; a single largest loading changes hands between months more often.

    Parameters
    ----------
    loadings : (N, K) float
        Loadings of any sign.

    Returns
    -------
    (K,) float
        1 or -1, to multiply loadings and factors with.
    """
    return np.where((loadings * np.abs(loadings)).sum(axis=0) < 0, -1.0, 1.0)


def bai_ng_count(residual: Values, n_months: int, n_series: int, criterion: str, scale: float = 1.0) -> int:
    """Count the factors that minimise a criterion of Bai and Ng.

    Parameters
    ----------
    residual : (K + 1,) float
        Mean squared residual of the standardised panel with 0 to K factors.
    n_months, n_series : int
        T and N.
    criterion : str
        A key of ``CRITERIA``.
    scale : float
        Multiplies the penalty.

    Returns
    -------
    int
        0 to K.

    References
    ----------
    Bai and Ng (2002), Determining the Number of Factors in Approximate Factor Models, Econometrica 70, eq. 9 and the
    three IC criteria after it.
    """
    combine, unit = CRITERIA[criterion]
    penalty = scale * unit(n_months, n_series) * np.arange(len(residual), dtype=np.float64)
    return int(np.argmin(combine(residual, penalty)))


def factor_counts(
    estimate: FactorEstimate, criteria: Sequence[str] = COUNTED, scales: Sequence[float] = PENALTY_SCALES
) -> pl.DataFrame:
    """Count the factors of an estimate by several criteria, with penalties scaled down.

    Parameters
    ----------
    estimate : FactorEstimate
        With as many factors as may be chosen.
    criteria : sequence of str
        Keys of ``CRITERIA``.
    scales : sequence of float
        Multiples of the penalty.

    Returns
    -------
    DataFrame
        ``criterion, scale, n_factors``, one row a criterion and scale.
    """
    n_series, n_months = len(estimate.loadings), len(estimate.factors)
    residual = _residual_variances(estimate.explained, n_months)
    rows = [
        (each, scale, bai_ng_count(residual, n_months, n_series, each, scale)) for each in criteria for scale in scales
    ]
    return pl.DataFrame(rows, schema={"criterion": pl.String, "scale": pl.Float64, "n_factors": pl.Int64}, orient="row")


def estimate_factors(values: Values, settings: MacroFactorSettings) -> FactorEstimate:
    """Estimate principal components of a panel whose missing values are filled by EM.

    Missing values start at the mean of their series. Then, until they settle: standardise the filled panel (T - 1 in
    the deviation), take the components of its N x N moment matrix, choose their number by the criterion (at least
    one), and replace the missing values by the common component, brought back to the units of the series. Within the
    loop the components are refined from those of the iteration before by subspace iteration; the last ones are exact.

    Parameters
    ----------
    values : (T, N) float
        Transformed series, NaN where missing; every column has at least two different values.
    settings : MacroFactorSettings
        Tolerance, criterion and number of factors.

    Returns
    -------
    FactorEstimate
        The components of the last filled panel.

    References
    ----------
    McCracken and Ng (2016), section 3; Stock and Watson (2002), Macroeconomic Forecasting Using Diffusion Indexes,
    JBES 20, appendix A.
    """
    # Series-major, so that the few series with gaps are contiguous rows.
    panel = np.ascontiguousarray(values.T)
    column, row = np.nonzero(np.isnan(panel))
    panel = np.where(np.isnan(panel), np.nanmean(panel, axis=1, keepdims=True), panel)
    gaps = np.unique(column)
    mean, deviation, standard = _standardised(panel)
    basis = _leading_vectors(standard @ standard.T, SUBSPACE * settings.n_factors)
    common = np.zeros(len(row))
    iterations, converged = 0, len(row) == 0
    while not converged and iterations < settings.max_iterations:
        iterations += 1
        share, basis = _refined(standard @ standard.T, basis)
        kept = max(_chosen(share, panel.shape, settings), 1)
        before, scores = common, basis[:, :kept].T @ standard
        common = (basis[column, :kept] * scores[:, row].T).sum(axis=1)
        panel[column, row] = common * deviation[column] + mean[column]
        mean[gaps], deviation[gaps], standard[gaps] = _standardised(panel[gaps])
        converged = bool(((common - before) ** 2).sum() <= settings.tolerance * (common**2).sum())
    share, vectors = _shares(standard @ standard.T, settings.n_factors)
    loadings = vectors * np.sqrt(len(panel))
    loadings *= fix_signs(loadings)
    return FactorEstimate(
        factors=standard.T @ loadings / len(panel),
        loadings=loadings,
        explained=share,
        n_bai_ng=_chosen(share, panel.shape, settings),
        iterations=iterations,
        converged=converged,
    )


def _standardised(panel: Values) -> tuple[Values, Values, Values]:
    """Mean and deviation of each series (N,), and the standardised (N, T) panel."""
    mean = panel.mean(axis=1)
    centred = panel - mean[:, None]
    deviation = np.sqrt((centred**2).sum(axis=1) / (panel.shape[1] - 1))
    return mean, deviation, centred / deviation[:, None]


def _leading_vectors(moment: Values, count: int) -> Values:
    """Compute unit eigenvectors (N, count) of the largest eigenvalues, falling; fewer when N is smaller."""
    first = max(0, len(moment) - count)
    _, vectors = linalg.eigh(moment, subset_by_index=[first, len(moment) - 1], check_finite=False)
    return np.ascontiguousarray(vectors[:, ::-1])


def _refined(moment: Values, basis: Values) -> tuple[Values, Values]:
    """One subspace iteration with Rayleigh-Ritz: shares of variance and vectors, in falling order."""
    orthonormal, _ = np.linalg.qr(moment @ basis)
    value, rotation = np.linalg.eigh(orthonormal.T @ moment @ orthonormal)
    return value[::-1] / np.trace(moment), orthonormal @ rotation[:, ::-1]


def _shares(moment: Values, n_factors: int) -> tuple[Values, Values]:
    """Shares of variance (K,) and unit eigenvectors (N, K) of the largest components, exactly."""
    vectors = _leading_vectors(moment, n_factors)
    return ((moment @ vectors) * vectors).sum(axis=0) / np.trace(moment), vectors


def _chosen(share: Values, shape: tuple[int, int], settings: MacroFactorSettings) -> int:
    """Factors that the criterion chooses, from the shares of variance of the components and the (N, T) shape."""
    n_series, n_months = shape
    residual = _residual_variances(share[: settings.n_factors], n_months)
    return bai_ng_count(residual, n_months, n_series, settings.criterion, settings.penalty_scale)


def _residual_variances(share: Values, n_months: int) -> Values:
    """Mean squared residual of the standardised panel with 0, 1, .. of the components."""
    left = 1.0 - np.cumsum(share)
    variance = (n_months - 1) / n_months
    return variance * np.maximum(np.concatenate([[1.0], left]), np.finfo(float).tiny)


def macro_factors(
    vintages: Mapping[str, pl.DataFrame], months: Sequence[date], settings: MacroFactorSettings | None = None
) -> pl.DataFrame:
    """Macro factors of each month, estimated on what was published by its end.

    For month m: the vintage of m, every series up to m less its publication lag, outliers removed, and
    :func:`estimate_factors` from scratch, so that no month rests on another. Of the estimate the newest month's
    factors are kept.

    Parameters
    ----------
    vintages : mapping of str to DataFrame
        Label ``YYYY-MM`` to the staged vintage ``month, series, tcode, value``. Rows after m do not matter to m.
    months : sequence of date
        Months wanted.
    settings : MacroFactorSettings, optional
        Number of factors, tolerance, smallest panel.

    Returns
    -------
    DataFrame
        One row a month: ``month, reference_month, vintage, n_series, n_months, n_bai_ng, iterations, converged,
        series, loadings, pc_1.., explained_1..``. Factors are scores of the standardised panel of m, so their units
        and signs are those of m's estimate: :func:`pipeline.macro.factor_signs.aligned_factors` makes a series of them,
        from the ``loadings`` (series by series, K of each) on ``series`` (names, joined by ``SEPARATOR``). All but
        ``month`` null when every vintage is older than m; what is estimated is null when the panel is smaller than the
        settings ask.
    """
    settings = settings or MacroFactorSettings()
    wanted = wanted_months(months)
    panels = panels_of_months(vintages, wanted)
    rows = [_month_row(m, panels.get(m), settings) for m in wanted]
    return without_nan(pl.DataFrame(rows, schema=_schema(settings.n_factors)))


def _month_row(month: date, panel: VintagePanel | None, settings: MacroFactorSettings) -> dict[str, object]:
    """One month's row; what it lacks becomes null."""
    if panel is None:
        return {"month": month}
    known = known_values(panel, month, settings.fred_md)[LOST_TO_DIFFERENCES:]
    cleaned = CleanedPanel.of(known, settings)
    if not len(cleaned.months):
        return {"month": month}
    n_months, n_series = cleaned.values.shape
    counts = {
        "month": month,
        "reference_month": panel.months[LOST_TO_DIFFERENCES + cleaned.months[-1]],
        "vintage": panel.label,
        "n_series": n_series,
        "n_months": n_months,
    }
    if n_months < settings.min_months or n_series < settings.min_series:
        return counts
    estimate = estimate_factors(cleaned.values, settings)
    numbers = range(1, settings.n_factors + 1)
    return counts | {
        "n_bai_ng": estimate.n_bai_ng,
        "iterations": estimate.iterations,
        "converged": estimate.converged,
        "series": SEPARATOR.join(panel.series[k] for k in cleaned.series),
        "loadings": estimate.loadings.ravel().tolist(),
        **{f"pc_{k}": float(estimate.factors[-1, k - 1]) for k in numbers},
        **{f"explained_{k}": float(estimate.explained[k - 1]) for k in numbers},
    }


def _schema(n_factors: int) -> dict[str, type[pl.DataType] | pl.DataType]:
    """Columns of :func:`macro_factors`."""
    numbers = range(1, n_factors + 1)
    return {
        "month": pl.Date,
        "reference_month": pl.Date,
        "vintage": pl.String,
        "n_series": pl.Int64,
        "n_months": pl.Int64,
        "n_bai_ng": pl.Int64,
        "iterations": pl.Int64,
        "converged": pl.Boolean,
        "series": pl.String,
        "loadings": pl.List(pl.Float64),
        **{f"pc_{k}": pl.Float64 for k in numbers},
        **{f"explained_{k}": pl.Float64 for k in numbers},
    }
