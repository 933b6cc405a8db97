"""Which forecasts are better: prediction errors and tests of equal accuracy.

Everything is computed from the monthly sums of :mod:`pipeline.evaluation.forecast_moments`; no forecast is read here.
Residuals after the fact, which are no forecasts, are compared in :mod:`pipeline.evaluation.residual_comparisons`.
Errors are in decimals squared: times 10,000 they are in percent squared, the unit of the published tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from scipy.stats import t as student
from statsmodels.regression.linear_model import OLS

from pipeline.evaluation.comparison_pairs import Pair, Specification, same_forecast, specifications

CLARK_WEST, DIEBOLD_MARIANO = "clark_west", "diebold_mariano"

LEVELS: tuple[tuple[float, str], ...] = ((0.01, "***"), (0.05, "**"), (0.10, "*"))

# A standard error that is this small beside the squared errors themselves is rounding: the two forecasts are the same.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A test of equal accuracy of two forecasts on the asset-months that both cover.

    Attributes
    ----------
    test : str
        ``clark_west`` or ``diebold_mariano``.
    benchmark, model : Specification
        The two forecasts; the model is to beat the benchmark.
    n_months, n : int
        Months and asset-months compared.
    mspe_benchmark, mspe_model : float
        Equation 14 on these asset-months, decimals squared.
    difference : float
        ``mspe_benchmark - mspe_model``: positive where the model errs less.
    statistic : float
        Mean over months of the tested series. For Diebold-Mariano the difference, for Clark-West the difference plus
        what the larger model loses by estimating parameters that are zero under the null.
    standard_error : float
        Newey-West standard error of the statistic, corrected for few months, decimals squared; see :func:`mean_test`.
    t, p : float or None
        None where the forecasts are the same but for rounding, which leaves nothing to test.
    lags : int
        Of the Newey-West weights.
    """

    test: str
    benchmark: Specification
    model: Specification
    n_months: int
    n: int
    mspe_benchmark: float
    mspe_model: float
    difference: float
    statistic: float
    standard_error: float
    t: float | None
    p: float | None
    lags: int

    @property
    def stars(self) -> str:
        """Three, two or one for p below 1%, 5% or 10%; the sign of the difference says in whose favour."""
        return significance_stars(self.p)


def significance_stars(p: float | None) -> str:
    """Return the stars of a p-value, none where there is no p-value."""
    return next((stars for level, stars in LEVELS if p is not None and p < level), "")


def newey_west_lags(n_months: int) -> int:
    """Return floor(4 (T / 100)^(2/9)), the lags that Newey and West (1994) start from."""
    return int(4.0 * (n_months / 100.0) ** (2.0 / 9.0))


@dataclass(frozen=True, kw_only=True)
class HacSettings:
    """How the mean of a monthly series is tested.

    Attributes
    ----------
    lags : int or None
        Lags of the Bartlett weights; None for :func:`newey_west_lags` of the months there are.
    min_months : int
        Fewer months are refused: a long-run variance means nothing then.
    """

    lags: int | None = None
    min_months: int = 12

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.lags is not None and self.lags < 0:
            raise ValueError(f"lags is {self.lags}; give 0 or more, or None for the rule of thumb")
        if self.min_months < 2:
            raise ValueError(f"min_months is {self.min_months}; a variance needs at least 2")


def mean_test(series: np.ndarray, settings: HacSettings) -> tuple[float, float, int]:
    """Return mean, standard error and lags of a monthly series.

    Months that are not there (nothing was forecast) are passed over: lags count the months that are.

    Raises
    ------
    ValueError
        If the series has fewer months than the settings ask for, or no more than there are lags.

    Notes
    -----
    The standard error is that of Newey and West (1987) with Bartlett weights, divided by the factor of Harvey,
    Leybourne and Newbold (1997), sqrt((T + 1 - 2h + h(h - 1) / T) / T), with h = lags + 1, the horizon whose errors
    would be correlated over so many lags. Without it and under the normal distribution, a two-sided test at 5% of 14
    independent months rejects 12% of true nulls; with it and Student's t with T - 1 degrees of freedom, 5%.
    """
    lags = newey_west_lags(len(series)) if settings.lags is None else settings.lags
    needed = max(settings.min_months, lags + 2)
    if len(series) < needed:
        raise ValueError(f"{len(series)} months are too few for a test with {lags} lags; give at least {needed}")
    fit = OLS(series, np.ones(len(series))).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    return float(fit.params[0]), float(fit.bse[0]) / _few_months(len(series), lags), lags


def _few_months(n_months: int, lags: int) -> float:
    horizon = lags + 1
    return float(np.sqrt((n_months + 1 - 2 * horizon + horizon * (horizon - 1) / n_months) / n_months))


def clark_west(
    moments: pl.DataFrame, benchmark: Specification, model: Specification, settings: HacSettings | None = None
) -> Comparison:
    """Test whether a model forecasts better than a benchmark nested in it.

    Parameters
    ----------
    moments : pl.DataFrame
        Of :func:`pipeline.evaluation.forecast_moments.forecast_moments`, all months.
    benchmark, model : Specification
        The smaller and the larger model.
    settings : HacSettings, optional
        Lags and fewest months.

    Returns
    -------
    Comparison
        With the one-sided p-value of Student's t with as many degrees of freedom as months less one.

    Raises
    ------
    ValueError
        If the two share no month, or too few.

    Notes
    -----
    Clark and West (2007): the mean over months of the cross-sectional means of e1^2 - [e2^2 - (f1 - f2)^2]. The null is
    that what the model has more is zero. Rejecting it does not say that the model, estimated from so many months, errs
    less: the difference can be negative.
    """
    return _compared(CLARK_WEST, oriented(moments, [(benchmark, model)])[benchmark, model], benchmark, model, settings)


def diebold_mariano(
    moments: pl.DataFrame, benchmark: Specification, model: Specification, settings: HacSettings | None = None
) -> Comparison:
    """Test whether two forecasts, neither nested in the other, are equally accurate.

    Parameters
    ----------
    moments, benchmark, model, settings
        As in :func:`clark_west`.

    Returns
    -------
    Comparison
        With the two-sided p-value of Student's t with as many degrees of freedom as months less one; exchanging the
        two changes only the sign.

    Raises
    ------
    ValueError
        If the two share no month, or too few.

    Notes
    -----
    Diebold and Mariano (1995) on the cross-sectional means of e1^2 - e2^2 (Gu, Kelly and Xiu 2020), with the correction
    of Harvey, Leybourne and Newbold (1997).
    """
    pairs = oriented(moments, [(benchmark, model)])
    return _compared(DIEBOLD_MARIANO, pairs[benchmark, model], benchmark, model, settings)


def compare(
    moments: pl.DataFrame, pairs: Sequence[Pair], test: str, settings: HacSettings | None = None
) -> pl.DataFrame:
    """Return one test for each pair as a table.

    Parameters
    ----------
    moments : pl.DataFrame
        Monthly sums of all pairs.
    pairs : sequence of (Specification, Specification)
        Benchmark and model; see :mod:`pipeline.evaluation.comparison_pairs`.
    test : str
        ``clark_west`` or ``diebold_mariano``.
    settings : HacSettings, optional
        Lags and fewest months.

    Returns
    -------
    pl.DataFrame
        `test`, `benchmark`, `n_factors_benchmark`, `model`, `n_factors`, then the numbers of :class:`Comparison` and
        `stars`; in the order of `pairs`.

    Raises
    ------
    ValueError
        If a pair shares no month, or too few, or there is no such test.
    """
    if test not in _TESTS:
        raise ValueError(f"there is no test {test!r}; there are {', '.join(_TESTS)}")
    tables = oriented(moments, pairs)
    return pl.DataFrame([_row(_compared(test, tables[pair], *pair, settings)) for pair in pairs], schema=_TABLE)


def prediction_errors(moments: pl.DataFrame, covered_by: Specification | None = None) -> pl.DataFrame:
    """Return the mean squared prediction error and the R-squared against zero of every forecast.

    Parameters
    ----------
    moments : pl.DataFrame
        Monthly sums of all pairs.
    covered_by : Specification, optional
        Count only the asset-months that this forecast covers too. Models with loadings of single assets leave out
        young assets, whose returns differ; with one of them here all errors are of the same assets. None counts for
        each forecast all that it covers.

    Returns
    -------
    pl.DataFrame
        `model`, `n_factors`, `n_months`, `n` (asset-months), `mspe` (equation 14: mean over months of the mean squared
        error of the month; decimals squared) and `r2` (1 - sum of squared errors / sum of squared returns over all
        asset-months; null where every return is zero), sorted by model and K.

    Raises
    ------
    ValueError
        If no forecast is of `covered_by`.
    """
    error = (pl.col("yy") - 2.0 * pl.col("y") + pl.col("ff")).alias("error")
    return (
        _own(moments, covered_by)
        .sort("model", "n_factors", "month")
        .with_columns(error)
        .group_by("model", "n_factors", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("n_months"),
            pl.col("n").sum(),
            (pl.col("error") / pl.col("n")).mean().alias("mspe"),
            pl.when(pl.col("yy").sum() > 0.0).then(1.0 - pl.col("error").sum() / pl.col("yy").sum()).alias("r2"),
        )
    )


def classification_scores(moments: pl.DataFrame) -> pl.DataFrame:
    """Return how good the probabilities of every classification model were.

    Parameters
    ----------
    moments : pl.DataFrame
        Of :func:`pipeline.evaluation.forecast_moments.classification_moments`.

    Returns
    -------
    pl.DataFrame
        `model`, `n_factors`, `n_months`, `n`, and as means over months of the means of the month: `log_loss`, `brier`,
        `hit_rate` and `base_rate` (share of positive returns); sorted by model and K.
    """
    names = {"log_loss": "log_loss", "brier": "brier", "hits": "hit_rate", "positives": "base_rate"}
    return (
        moments.filter(pl.col("n") > 0)
        .sort("model", "n_factors", "month")
        .group_by("model", "n_factors", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("n_months"),
            pl.col("n").sum(),
            *((pl.col(column) / pl.col("n")).mean().alias(name) for column, name in names.items()),
        )
    )


def oriented(moments: pl.DataFrame, pairs: Sequence[Pair]) -> dict[Pair, pl.DataFrame]:
    """Return the monthly sums of each pair, with the benchmark as 1 and the model as 2.

    Parameters
    ----------
    moments : pl.DataFrame
        Monthly sums of all pairs, each stored once.
    pairs : sequence of (Specification, Specification)
        In either order.

    Returns
    -------
    dict
        From the pair to `month`, `n`, `yy`, `y1`, `y2`, `f11`, `f12`, `f22`, months ascending.

    Raises
    ------
    ValueError
        If a pair has no month.
    """
    stored = pl.DataFrame(
        [(*a, *b) for a, b in {(min(pair), max(pair)) for pair in pairs}], schema=_STORED, orient="row"
    )
    blocks = moments.join(stored, on=list(_STORED), how="semi").partition_by(list(_STORED), as_dict=True)
    tables = {}
    for benchmark, model in pairs:
        first, second = ("a", "b") if benchmark <= model else ("b", "a")
        small, large = min(benchmark, model), max(benchmark, model)
        block = blocks.get((*small, *large))
        if block is None:
            raise ValueError(
                f"{benchmark.words} and {model.words} have no month in common; build the moments with both"
            )
        tables[benchmark, model] = block.sort("month").select(
            "month",
            "n",
            "yy",
            pl.col(f"y{first}").alias("y1"),
            pl.col(f"y{second}").alias("y2"),
            pl.col(first * 2).alias("f11"),
            pl.col("ab").alias("f12"),
            pl.col(second * 2).alias("f22"),
        )
    return tables


_STORED = {"model_a": pl.String(), "n_factors_a": pl.Int64(), "model_b": pl.String(), "n_factors_b": pl.Int64()}

_TABLE = {
    "test": pl.String(),
    "benchmark": pl.String(),
    "n_factors_benchmark": pl.Int64(),
    "model": pl.String(),
    "n_factors": pl.Int64(),
    "n_months": pl.Int64(),
    "n": pl.Int64(),
    "mspe_benchmark": pl.Float64(),
    "mspe_model": pl.Float64(),
    "difference": pl.Float64(),
    "statistic": pl.Float64(),
    "standard_error": pl.Float64(),
    "t": pl.Float64(),
    "p": pl.Float64(),
    "lags": pl.Int64(),
    "stars": pl.String(),
}


def _own(moments: pl.DataFrame, covered_by: Specification | None) -> pl.DataFrame:
    """Return each forecast's own sums month by month: n, yy, y (times the forecast) and ff."""

    def side(letter: str, rows: pl.DataFrame) -> pl.DataFrame:
        named = {f"model_{letter}": "model", f"n_factors_{letter}": "n_factors", f"y{letter}": "y", letter * 2: "ff"}
        return rows.select("month", "n", "yy", *(pl.col(old).alias(new) for old, new in named.items()))

    if covered_by is None:
        return side("a", moments.filter(same_forecast()))
    is_a = (pl.col("model_a") == covered_by.model) & (pl.col("n_factors_a") == covered_by.n_factors)
    is_b = (pl.col("model_b") == covered_by.model) & (pl.col("n_factors_b") == covered_by.n_factors)
    own = pl.concat([side("b", moments.filter(is_a)), side("a", moments.filter(is_b & ~is_a))])
    if not own.height:
        raise ValueError(f"no forecast is of {covered_by.words}; name one of {specifications(moments)}")
    return own


def _squared_error_difference(sums: pl.DataFrame) -> np.ndarray:
    total = sums.select(2.0 * (pl.col("y2") - pl.col("y1")) + (pl.col("f11") - pl.col("f22")))
    return total.to_series().to_numpy() / sums["n"].to_numpy()


def _adjusted_difference(sums: pl.DataFrame) -> np.ndarray:
    # e1^2 - e2^2 + (f1 - f2)^2 multiplied out is 2 (r - f1)(f2 - f1).
    total = sums.select(2.0 * ((pl.col("y2") - pl.col("y1")) - (pl.col("f12") - pl.col("f11"))))
    return total.to_series().to_numpy() / sums["n"].to_numpy()


def _one_sided(t: float, n_months: int) -> float:
    return float(student.sf(t, n_months - 1))


def two_sided(t: float, n_months: int) -> float:
    """Return the two-sided p-value of the t-statistic of a mean over so many months."""
    return float(2.0 * student.sf(abs(t), n_months - 1))


_TESTS: Mapping[str, tuple[Callable[[pl.DataFrame], np.ndarray], Callable[[float, int], float]]] = {
    CLARK_WEST: (_adjusted_difference, _one_sided),
    DIEBOLD_MARIANO: (_squared_error_difference, two_sided),
}


def _compared(
    test: str, sums: pl.DataFrame, benchmark: Specification, model: Specification, settings: HacSettings | None
) -> Comparison:
    series_of, p_of = _TESTS[test]
    n = sums["n"].to_numpy()
    yy, y1, y2, f11, f22 = (sums[name].to_numpy() for name in ("yy", "y1", "y2", "f11", "f22"))
    mspe_benchmark, mspe_model = (float(np.mean((yy - 2.0 * y + ff) / n)) for y, ff in ((y1, f11), (y2, f22)))
    try:
        statistic, standard_error, lags = mean_test(series_of(sums), settings or HacSettings())
    except ValueError as error:
        raise ValueError(f"{benchmark.words} against {model.words}: {error}") from error
    testable = standard_error > _ROUNDING * float(np.mean(yy / n))
    t = statistic / standard_error if testable else None
    return Comparison(
        test=test,
        benchmark=benchmark,
        model=model,
        n_months=len(n),
        n=int(n.sum()),
        mspe_benchmark=mspe_benchmark,
        mspe_model=mspe_model,
        difference=float(np.mean(_squared_error_difference(sums))),
        statistic=statistic,
        standard_error=standard_error,
        t=t,
        p=None if t is None else p_of(t, len(n)),
        lags=lags,
    )


def _row(comparison: Comparison) -> dict[str, object]:
    numbers = {name: value for name, value in asdict(comparison).items() if name not in ("benchmark", "model")}
    (benchmark, n_factors_benchmark), (model, n_factors) = comparison.benchmark, comparison.model
    named = {
        "benchmark": benchmark,
        "n_factors_benchmark": n_factors_benchmark,
        "model": model,
        "n_factors": n_factors,
        "stars": comparison.stars,
    }
    return numbers | named
