"""The six predictors of Goyal and Welch, each from raw series or from the published file, whichever has the month.

A registry of recipes (one a predictor and source) and the merge. Definitions are those of Welch and Goyal (2008); the
transformations make the series stationary: first differences of logs, of levels, or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.macro.monthly import difference, lagged, log_of_positive, wanted_months, without_nan
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.dense import MonthlySeries

Values = NDArray[np.float64]
Tables = Mapping[str, pl.DataFrame]

#: Months in the sums of dividends and of net issues.
YEAR = 12
#: Months before m that a value of m may need: a year of net issues ending at m - 1, and the market value before it.
LOOKBACK = YEAR + 1
PERCENT = 100.0


@dataclass(frozen=True, kw_only=True)
class GoyalWelchSettings:
    """Settings of :func:`goyal_welch`.

    Attributes
    ----------
    min_days : int
        Fewest daily returns of a month for its variance.
    """

    min_days: int = 10

    def __post_init__(self) -> None:
        if self.min_days < 1:
            raise ValueError(f"min_days {self.min_days} must be at least 1")


@dataclass(frozen=True)
class Recipe:
    """One way to compute a predictor.

    Attributes
    ----------
    series : str
        Predictor.
    source : str
        Name of the source in the ``source`` column.
    tables : tuple of str
        Staged tables it needs, all of them.
    compute : callable
        ``(tables, calendar, settings) -> (T,)`` transformed values, NaN where missing. A value must rest on the
        ``LOOKBACK`` months before its month and on no other.
    """

    series: str
    source: str
    tables: tuple[str, ...]
    compute: Callable[[Tables, Sequence[date], GoyalWelchSettings], Values]


def _log_difference(values: Values) -> Values:
    """First difference of the log."""
    return difference(log_of_positive(values))


def _fred(tables: Tables, series: str, grid: Sequence[date]) -> Values:
    """Put a monthly FRED series (percent) on the calendar, (T,)."""
    return MonthlySeries.from_frame(tables[f"fred.{series}"], ["value"], grid[0], grid[-1]).values[:, 0]


def _published(tables: Tables, column: str, grid: Sequence[date]) -> Values:
    """Put a column of the published file on the calendar, (T,)."""
    return MonthlySeries.from_frame(tables["goyal_welch.predictors"], [column], grid[0], grid[-1]).values[:, 0]


def dividend_price_ratio(with_dividends: Values, without_dividends: Values) -> Values:
    """Log of twelve months of dividends over the index level, from returns with and without dividends.

    With an index of level P and ``P[t] = P[t-1] (1 + x[t])``, the dividend of month s is ``P[s-1] (r[s] - x[s])``;
    the level cancels in the ratio, which is summed from the twelve months of its own window.

    Parameters
    ----------
    with_dividends, without_dividends : (T,) float
        Monthly returns r and x of an index, decimals, on consecutive months; NaN is missing.

    Returns
    -------
    (T,) float
        Log ratio; NaN where a month of the window is missing or no dividend was paid in it.
    """
    growth = np.ones_like(with_dividends)
    paid = np.zeros_like(with_dividends)
    for k in range(YEAR):
        price_return = lagged(without_dividends, k)
        growth = growth * (1.0 + price_return)
        paid = paid + (lagged(with_dividends, k) - price_return) / growth
    return log_of_positive(paid)


def net_issues(market_value: Values, without_dividends: Values) -> Values:
    """Twelve months of net issues over the market value at their end.

    Net issue of a month: market value less the previous one grown at the return without dividends.

    Parameters
    ----------
    market_value : (T,) float
        Total market value at month ends, any unit; NaN is missing.
    without_dividends : (T,) float
        Monthly return without dividends, decimal.

    Returns
    -------
    (T,) float
        Ratio; NaN where a month of the window is missing.
    """
    issue = market_value - lagged(market_value, 1) * (1.0 + without_dividends)
    total = np.zeros_like(issue)
    for k in reversed(range(YEAR)):
        total = total + lagged(issue, k)
    return total / market_value


def realised_variance(months: pl.Series, returns: Values, grid: Sequence[date], min_days: int) -> Values:
    """Sum of squared daily returns of each month.

    Parameters
    ----------
    months : Series
        Month of each of D days, in any order.
    returns : (D,) float
        Daily returns, decimal; NaN is missing.
    grid : sequence of date
        T months.
    min_days : int
        Fewest returns of a month.

    Returns
    -------
    (T,) float
        Exactly rounded sums, so that the order of rows does not matter; NaN for a month with too few days.
    """
    squares = pl.DataFrame({"month": months, "square": returns**2}).filter(pl.col("square").is_finite())
    days = dict(squares.group_by("month").agg("square").iter_rows())
    return np.array([math.fsum(days[m]) if len(days.get(m, ())) >= min_days else np.nan for m in grid])


def _dp_crsp(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    returns = MonthlySeries.from_frame(tables["crsp.msi"], ["vwretd", "vwretx"], grid[0], grid[-1]).values
    return difference(dividend_price_ratio(returns[:, 0], returns[:, 1]))


def _dp_published(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    return _log_difference(_published(tables, "d12", grid) / _published(tables, "index", grid))


def _bm_published(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    return _log_difference(_published(tables, "bm", grid))


def _ntis_crsp(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    index = MonthlySeries.from_frame(tables["crsp.msi"], ["totval", "vwretx"], grid[0], grid[-1]).values
    return difference(net_issues(index[:, 0], index[:, 1]))


def _ntis_published(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    return difference(_published(tables, "ntis", grid))


def _tms_fred(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    return _fred(tables, "GS10", grid) - _fred(tables, "TB3MS", grid)


def _tms_published(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    return PERCENT * (_published(tables, "lty", grid) - _published(tables, "tbl", grid))


def _dfy_fred(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    return difference(_fred(tables, "BAA", grid) - _fred(tables, "AAA", grid))


def _dfy_published(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    return PERCENT * difference(_published(tables, "baa", grid) - _published(tables, "aaa", grid))


def _svar_crsp(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    days = tables["crsp.dsi"]
    return _log_difference(realised_variance(days["month"], days["vwretd"].to_numpy(), grid, settings.min_days))


def _svar_french(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    days = tables["french.factors_3_daily"]
    market = (days["mkt_rf"].to_numpy() + days["rf"].to_numpy()) / PERCENT
    return _log_difference(realised_variance(days["month"], market, grid, settings.min_days))


def _svar_published(tables: Tables, grid: Sequence[date], settings: GoyalWelchSettings) -> Values:
    return _log_difference(_published(tables, "svar", grid))


_FILE = ("goyal_welch.predictors",)

#: Recipes in order of preference within a predictor: raw series first, the published file last.
RECIPES: tuple[Recipe, ...] = (
    Recipe("dp", "crsp", ("crsp.msi",), _dp_crsp),
    Recipe("dp", "published", _FILE, _dp_published),
    Recipe("bm", "published", _FILE, _bm_published),
    Recipe("ntis", "crsp", ("crsp.msi",), _ntis_crsp),
    Recipe("ntis", "published", _FILE, _ntis_published),
    Recipe("tms", "fred", ("fred.GS10", "fred.TB3MS"), _tms_fred),
    Recipe("tms", "published", _FILE, _tms_published),
    Recipe("dfy", "fred", ("fred.BAA", "fred.AAA"), _dfy_fred),
    Recipe("dfy", "published", _FILE, _dfy_published),
    Recipe("svar", "crsp", ("crsp.dsi",), _svar_crsp),
    Recipe("svar", "french", ("french.factors_3_daily",), _svar_french),
    Recipe("svar", "published", _FILE, _svar_published),
)

#: The predictors, in the order of the output.
PREDICTORS: tuple[str, ...] = tuple(dict.fromkeys(r.series for r in RECIPES))
#: Every staged table that ``goyal_welch`` can use.
TABLES: tuple[str, ...] = tuple(sorted({t for r in RECIPES for t in r.tables}))


def goyal_welch(tables: Tables, months: Sequence[date], settings: GoyalWelchSettings | None = None) -> pl.DataFrame:
    """Compute the six predictors, transformed.

    ``dp``: first difference of the log of twelve months of dividends over the index level. ``bm``: first difference
    of the log book-to-market of the Dow. ``ntis``: first difference of net issues over market value. ``tms``:
    ten-year yield less three-month bill, percent. ``dfy``: first difference of BAA less AAA yield, percentage points.
    ``svar``: first difference of the log sum of squared daily market returns. In the published file ``tms`` is its
    long-term yield less its bill rate, whose bond is not FRED's, and its ``d12`` is interpolated between quarters by
    its authors.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Staged tables by name, whichever there are (``TABLES``); yields of ``fred.*`` in percent, of the published
        file in decimals. The months ``m - 13 .. m`` are used.
    months : sequence of date
        Months wanted.
    settings : GoyalWelchSettings, optional
        Smallest month of daily returns.

    Returns
    -------
    DataFrame
        One row a month: ``month, dp, bm, ntis, tms, dfy, svar, source``. A predictor takes the first of its
        ``RECIPES`` that has a value in the month; ``source`` names it, as ``tms:fred dp:published``, and leaves out
        predictors without a value, which are null.
    """
    settings = settings or GoyalWelchSettings()
    wanted = wanted_months(months)
    grid = month_range(shift(wanted[0], -LOOKBACK), wanted[-1])
    value = {name: np.full(len(grid), np.nan) for name in PREDICTORS}
    source = {name: np.full(len(grid), None, dtype=object) for name in PREDICTORS}
    for recipe in RECIPES:
        if not set(recipe.tables) <= tables.keys():
            continue
        computed = recipe.compute(tables, grid, settings)
        fill = np.isnan(value[recipe.series]) & np.isfinite(computed)
        value[recipe.series][fill] = computed[fill]
        source[recipe.series][fill] = f"{recipe.series}:{recipe.source}"
    named = [" ".join(source[p][t] for p in PREDICTORS if source[p][t]) for t in range(len(grid))]
    frame = pl.DataFrame({"month": grid, **value, "source": named})
    return without_nan(frame.filter(pl.col("month").is_in(wanted)))
