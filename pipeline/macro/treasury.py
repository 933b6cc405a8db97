"""The Treasury curve: month-end par yields and their changes, par-bond returns, zero yields and forward spreads.

Par yields are FRED's constant-maturity series, zero yields a table of their own; one never stands in for the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.macro.monthly import lagged, wanted_months, without_nan
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.dense import MonthlySeries

#: Tenor -> FRED series of the constant-maturity par yield.
TREASURY_SERIES: Mapping[str, str] = MappingProxyType(
    {
        "1m": "DGS1MO",
        "3m": "DGS3MO",
        "6m": "DGS6MO",
        "1y": "DGS1",
        "2y": "DGS2",
        "3y": "DGS3",
        "5y": "DGS5",
        "7y": "DGS7",
        "10y": "DGS10",
        "20y": "DGS20",
        "30y": "DGS30",
    }
)

#: Tenor -> years, of the bonds whose returns are computed.
PAR_BONDS: Mapping[str, int] = MappingProxyType({"10y": 10, "20y": 20, "30y": 30})

#: Longest zero yield, in years: that of the longest bonds priced off the curve. Tables may end earlier, at eleven.
ZERO_YEARS = 30

#: Longest maturity from which a forward spread starts: the forward rate from year 10 to 11 needs eleven years.
FORWARD_YEARS = 10


def treasury_curve(
    par_yields: Mapping[str, pl.DataFrame], zero_yields: pl.DataFrame | None, months: Sequence[date]
) -> pl.DataFrame:
    """Month-end Treasury curve.

    Parameters
    ----------
    par_yields : mapping of str to DataFrame
        Tenor (a key of ``TREASURY_SERIES``) to the daily series ``date, month, value`` (percent; null is missing).
        Tenors may be absent. The months ``m - 1`` and ``m`` are used.
    zero_yields : DataFrame or None
        ``month, date, maturity_months, zero_yield`` (percent, continuously compounded); None when there is no such
        table.
    months : sequence of date
        Months wanted.

    Returns
    -------
    DataFrame
        One row a month. ``y_<tenor>``: par yields (percent) of the month's last trading day, which is the last day of
        the month on which any of the tenors was quoted; a tenor not quoted on that day is null, so that a series
        discontinued in mid-month gives no stale yield. ``dy_<tenor>``: change over the month. ``term_spread_change``,
        ``term_spread``: 10 years less one month. ``par_return_<tenor>``: :func:`par_bond_return`, decimal.
        ``zero_<n>``: zero yields (percent) of n years. ``forward_spread_<n>``: forward rate from year n to n + 1 less
        the one-year zero yield (percent). Null where an input is missing.

    Raises
    ------
    ValueError
        If a tenor is unknown.
    """
    unknown = sorted(set(par_yields) - set(TREASURY_SERIES))
    if unknown:
        raise ValueError(f"unknown tenors {', '.join(unknown)}: use {', '.join(TREASURY_SERIES)}")
    wanted = wanted_months(months)
    grid = month_range(shift(wanted[0], -1), wanted[-1])
    level = MonthlySeries.from_frame(
        month_end_curve(par_yields), [f"y_{t}" for t in TREASURY_SERIES], grid[0], grid[-1]
    ).values
    change = level - lagged(level, 1)
    column = {tenor: k for k, tenor in enumerate(TREASURY_SERIES)}
    short, long = column["1m"], column["10y"]
    returns = {
        f"par_return_{t}": par_bond_return(lagged(level, 1)[:, column[t]], level[:, column[t]], years)
        for t, years in PAR_BONDS.items()
    }
    frame = pl.DataFrame(
        {
            "month": grid,
            **{f"y_{t}": level[:, k] for t, k in column.items()},
            **{f"dy_{t}": change[:, k] for t, k in column.items()},
            "term_spread_change": change[:, long] - change[:, short],
            "term_spread": level[:, long] - level[:, short],
            **returns,
            **_zeros_and_forwards(zero_yields, grid),
        }
    )
    return without_nan(frame.filter(pl.col("month").is_in(wanted)))


def month_end_curve(par_yields: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """All tenors on the last day of each month on which any was quoted.

    Parameters
    ----------
    par_yields : mapping of str to DataFrame
        As in :func:`treasury_curve`.

    Returns
    -------
    DataFrame
        ``month, y_<tenor>...`` for every tenor of ``TREASURY_SERIES``, percent; null where a tenor was not quoted on
        that day.
    """
    schema = {"date": pl.Date, "month": pl.Date, "value": pl.Float64}
    quotes = [
        par_yields.get(tenor, pl.DataFrame(schema=schema))
        .select(pl.col(name).cast(dtype) for name, dtype in schema.items())
        .filter(pl.col("value").is_not_null())
        .with_columns(tenor=pl.lit(tenor))
        for tenor in TREASURY_SERIES
    ]
    last_day = pl.concat(quotes).filter(pl.col("date") == pl.col("date").max().over("month"))
    per_tenor = [pl.col("value").filter(pl.col("tenor") == t).first().alias(f"y_{t}") for t in TREASURY_SERIES]
    return last_day.group_by("month").agg(per_tenor).sort("month")


def par_bond_return(
    yield_before: NDArray[np.float64], yield_now: NDArray[np.float64], years: int
) -> NDArray[np.float64]:
    """Return over one month of a Treasury bought at par.

    The bond is bought at 100 with ``years`` to go and a semi-annual coupon at its yield; a month later it has ``years
    - 1/12`` to go and is priced, accrued interest included, at the new par yield of the tenor. With c and y the old
    and new yield as decimals and ``v = 1 / (1 + y/2)`` the dirty price is ``v**(-1/6) * sum_{k=1..2n} 100 c/2 v**k +
    100 v**(2n)``, each flow being a sixth of a half-year nearer.

    Parameters
    ----------
    yield_before, yield_now : (T,) float
        Par yields (percent, semi-annual compounding) at the end of the previous month and of this one; NaN is missing.
    years : int
        Maturity n at purchase.

    Returns
    -------
    (T,) float
        Dirty price / 100 - 1, decimal; NaN where a yield is missing.
    """
    coupon, half_yield = yield_before / 200.0, yield_now / 200.0
    log_discount = -2.0 * years * np.log1p(half_yield)
    at_zero = half_yield == 0.0
    annuity = np.where(at_zero, 2.0 * years, -np.expm1(log_discount) / np.where(at_zero, 1.0, half_yield))
    return (1.0 + half_yield) ** (1.0 / 6.0) * (coupon * annuity + np.exp(log_discount)) - 1.0


def _zeros_and_forwards(zero_yields: pl.DataFrame | None, grid: Sequence[date]) -> dict[str, NDArray[np.float64]]:
    """Zero yields of whole years and forward spreads, (T,) each, NaN where missing."""
    years = range(1, ZERO_YEARS + 1)
    zero = np.full((len(grid), ZERO_YEARS), np.nan)
    if zero_yields is not None:
        last = zero_yields.filter(pl.col("date") == pl.col("date").max().over("month"))
        per_year = [
            pl.col("zero_yield").filter(pl.col("maturity_months") == 12 * n).first().alias(f"zero_{n}") for n in years
        ]
        zero = MonthlySeries.from_frame(
            last.group_by("month").agg(per_year), [f"zero_{n}" for n in years], grid[0], grid[-1]
        ).values
    spreads = {
        f"forward_spread_{n}": (n + 1) * zero[:, n] - n * zero[:, n - 1] - zero[:, 0]
        for n in range(1, FORWARD_YEARS + 1)
    }
    return {f"zero_{n}": zero[:, n - 1] for n in years} | spreads
