"""Bond portfolios and their characteristics once more in plain loops, sharing no code with the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction

import numpy as np
import polars as pl
from sklearn.linear_model import LinearRegression

# name, column, number of portfolios, whether the lowest values go last
SORTS = (
    ("spread", "spread", 10, False),
    ("hkm", "intermediary_beta", 5, False),
    ("rating", "rating", 5, False),
    ("downside", "var_5pct", 5, True),
    ("maturity", "tau", 5, False),
    ("idiovol", "idiosyncratic_volatility", 5, False),
    ("reversal", "long_term_reversal", 5, False),
)


def back(month: date, months: int) -> date:
    """The first day of the month that lies so many months earlier."""
    year, number = month.year, month.month
    for _ in range(months):
        year, number = (year, number - 1) if number > 1 else (year - 1, 12)
    return date(year, number, 1)


def _quantile(ordered: list[Fraction], level: Fraction) -> Fraction:
    """Linear interpolation between order statistics, exactly."""
    place = (len(ordered) - 1) * level
    below = int(place)
    if place == below:
        return ordered[below]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)


def _sort(values: Mapping[str, float], bins: int) -> dict[str, int]:
    """Number of the bin of each bond."""
    exact = {isin: Fraction(value) for isin, value in values.items()}
    ordered = sorted(exact.values())
    if len(ordered) < bins:
        return {}
    breaks = [_quantile(ordered, Fraction(k, bins)) for k in range(1, bins)]
    return {isin: 1 + sum(value > point for point in breaks) for isin, value in exact.items()}


def slow_portfolios(
    characteristics: pl.DataFrame, returns: pl.DataFrame, months: Sequence[date]
) -> dict[tuple[date, str], tuple[float | None, float | None, int, float | None]]:
    """Return, excess return, bonds and value by month and portfolio."""
    known = {(row["month"], row["isin"]): row for row in characteristics.iter_rows(named=True)}
    found = {}
    earned = {(row["month"], row["isin"]): row for row in returns.iter_rows(named=True) if row["ret"] is not None}
    for month in sorted(months):
        # Everything up to the bins is what an investor has at hand on the last day of the month before.
        worth = {
            isin: row["bond_price"] / 100 * row["face_value"]
            for (when, isin), row in known.items()
            if when == back(month, 1) and (row["bond_price"] or 0) > 0 and (row["face_value"] or 0) > 0
        }
        for name, column, bins, reverse in SORTS:
            means = {}
            for isin in worth:
                past = [known.get((back(month, k), isin), {}).get(column) for k in range(13, 1, -1)]
                past = [value for value in past if value is not None]
                if len(past) >= 6:
                    means[isin] = (-1 if reverse else 1) * sum(past) / len(past)
            numbers = _sort(means, bins)
            for number in range(1, bins + 1):
                bonds = [isin for isin in sorted(worth) if numbers.get(isin) == number and (month, isin) in earned]
                members = [earned[month, isin] | {"worth": worth[isin]} for isin in bonds]
                found[month, f"{name}_{number}"] = _weighted(members)
    return found


def _weighted(members: list[dict]) -> tuple[float | None, float | None, int, float | None]:
    if not members:
        return None, None, 0, None
    value = sum(row["worth"] for row in members)
    ret = sum(row["worth"] * row["ret"] for row in members) / value
    excess = [row["ret_excess"] for row in members]
    if None in excess:
        return ret, None, len(members), value
    return ret, sum(row["worth"] * e for row, e in zip(members, excess, strict=True)) / value, len(members), value


def slow_features(
    portfolios: pl.DataFrame,
    treasury_curve: pl.DataFrame,
    french_factors: pl.DataFrame,
    baa: Mapping[date, float | None],
    treasury: Mapping[date, float | None],
    portfolio: str,
    month: date,
) -> dict[str, float | None]:
    """The features of one portfolio at the end of one month; ``baa`` and ``treasury`` are yields in percent."""
    own = portfolios.filter(pl.col("portfolio") == portfolio)
    ret = dict(zip(own["month"], own["ret"], strict=True))
    excess = dict(zip(own["month"], own["ret_excess"], strict=True))
    curve = {row["month"]: row for row in treasury_curve.iter_rows(named=True)}
    riskless = dict(zip(french_factors["month"], french_factors["rf"], strict=True))

    def earned(first: int, last: int) -> float | None:
        product = 1.0
        for lag in range(first, last - 1, -1):
            one = ret.get(back(month, lag - 1))
            if one is None:
                return None
            product *= 1.0 + one
        return product - 1.0

    y, x = [], []
    for lag in range(60):
        t = back(month, lag)
        quoted = [curve.get(t, {}).get(f"par_return_{n}y") for n in (10, 20, 30)]
        quoted = [value for value in quoted if value is not None]
        yields = [table.get(when) for when in (t, back(t, 1)) for table in (baa, treasury)]
        if None in (*yields, excess.get(t), riskless.get(t)) or not quoted:
            continue
        y.append(excess[t])
        change = (yields[0] - yields[1]) - (yields[2] - yields[3])
        x.append([sum(quoted) / len(quoted) - riskless[t], change / 100])
    slopes = LinearRegression().fit(np.array(x), np.array(y)).coef_ if len(y) >= 24 else (None, None)
    year = [ret.get(back(month, lag)) for lag in range(10, -1, -1)]
    long = [value for value in (ret.get(back(month, lag)) for lag in range(40)) if value is not None]
    return {
        "b_treasury": slopes[0],
        "b_creditspread": slopes[1],
        "rel2high": None if None in year else _closeness(year),
        "lt_rev": earned(60, 13),
        "r12_2": earned(12, 2),
        "r12_7": earned(12, 7),
        "r2_1": earned(1, 1),
        "r36_13": earned(36, 13),
        "variance40": float(np.var(long, ddof=1)) if len(long) >= 20 else None,
    }


def _closeness(returns: Sequence[float]) -> float:
    """Last level over the highest, by the largest fall from any month end to the last."""
    worst = 1.0
    for start in range(len(returns)):
        worst = min(worst, float(np.prod([1.0 + value for value in returns[start:]])))
    return worst
