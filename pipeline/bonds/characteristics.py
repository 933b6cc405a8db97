"""The monthly panel of bond characteristics: every entry of the registry, raw, winsorised and ranked.

What each characteristic is stands with its entry in the registry; this module gathers their inputs and evaluates them
month by month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from pipeline.bonds.common_columns import with_common_columns
from pipeline.bonds.default_spread import PAR_RETURNS, default_spread
from pipeline.bonds.definition import BondMonth
from pipeline.bonds.fundamentals import ASSET_TURNOVER
from pipeline.bonds.industry import industry_returns, with_industry_adjusted_returns
from pipeline.bonds.registry import CHARACTERISTICS, STANDARDISED, lookback, schema
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.calendar import month_range, shift, span
from pipeline.panel.cross_section import finite, rank_transform, winsorise
from pipeline.panel.dense import MonthlyPanel, MonthlySeries

_EXPRESSIONS = {entry.name: entry.formula for entry in CHARACTERISTICS if isinstance(entry.formula, pl.Expr)}
_FORMULAS = {entry.name: entry.formula for entry in CHARACTERISTICS if not isinstance(entry.formula, pl.Expr)}
_HISTORY = {
    # Which stock the price is of; an index extract does not say, so that its bonds keep one.
    "stock": pl.col("permno").fill_null(0),
    "stock_price": pl.when(pl.col("stock_price") > 0.0).then(pl.col("stock_price")),
    "price": pl.col("price"),
    "asset_turnover": ASSET_TURNOVER,
    **{name: _EXPRESSIONS[name] for name in ("profitability", "rating", "spread")},
}
_RETURNS = ("ret", "ret_excess", "industry_return")
_FACTORS = ("mkt_rf", "smb", "hml", "mkt", "intermediary")


def _evaluate(bonds: pl.DataFrame, expressions: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Return month, isin and the expressions under their names, null where not finite."""
    values = bonds.select("month", "isin", *[formula.cast(pl.Float64).alias(n) for n, formula in expressions.items()])
    return values.with_columns(finite(name) for name in expressions)


def _dated(universe: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with ``first_month``, refusing bonds that ``seen`` does not know by the month of their row."""
    known = seen.join(universe.select("isin").unique(), on="isin", how="semi")
    first = known.group_by("isin").agg(pl.col("month").min().alias("first_month"))
    dated = universe.join(first, on="isin", how="left", maintain_order="left")
    late = dated.filter(pl.col("first_month").is_null() | (pl.col("first_month") > pl.col("month")))
    if len(late):
        raise ValueError(
            f"{len(late)} rows of bond_snapshot are of bonds that `seen` does not hold up to their month, the first "
            f"{late['isin'][0]} in {late['month'][0]:%Y-%m}: pass the first sightings up to the last of the months"
        )
    return dated


def _common_series(
    returns: pl.DataFrame,
    french_factors: pl.DataFrame,
    treasury_curve: pl.DataFrame,
    vix_innovation: pl.DataFrame,
    bond_market_factor: pl.DataFrame,
    first: date,
    last: date,
) -> MonthlySeries:
    """Line the factors up by calendar month; a month that a table does not have is missing."""
    lagged = vix_innovation.select(
        pl.col("month").dt.offset_by("1mo"), pl.col("vix_innovation").alias("vix_innovation_lag")
    )
    tables = [
        french_factors.select("month", *_FACTORS),
        treasury_curve.select("month", "term_spread_change"),
        default_spread(returns, treasury_curve.select("month", *PAR_RETURNS)),
        vix_innovation.select("month", "vix_innovation"),
        lagged,
        bond_market_factor.select("month", "bond_market_factor"),
    ]
    calendar = pl.DataFrame({"month": month_range(first, last)}, schema={"month": pl.Date})
    for table in tables:
        calendar = calendar.join(table, on="month", how="left", validate="1:1")
    return MonthlySeries.from_frame(calendar, calendar.columns[1:], first, last)


def _with_formulas(
    built: pl.DataFrame, panel: MonthlyPanel, series: MonthlySeries, settings: BondCharacteristicsSettings
) -> pl.DataFrame:
    """Add the characteristics that look back, month by month, to rows sorted by month and isin."""
    located = built.with_columns(pl.Series("position", panel.positions(built["isin"]), dtype=pl.Int64))
    parts = []
    for universe in located.partition_by("month", maintain_order=True):
        bonds = BondMonth(
            month=universe["month"][0],
            positions=universe["position"].to_numpy(),
            panel=panel,
            series=series,
            settings=settings,
        )
        columns = [pl.Series(name, formula(bonds), dtype=pl.Float64) for name, formula in _FORMULAS.items()]
        parts.append(universe.drop("position").hstack(columns))
    return pl.concat(parts).with_columns(finite(name) for name in _FORMULAS)


def bond_characteristics(
    snapshot: pl.DataFrame,
    returns: pl.DataFrame,
    french_factors: pl.DataFrame,
    treasury_curve: pl.DataFrame,
    vix_innovation: pl.DataFrame,
    bond_market_factor: pl.DataFrame,
    firm_characteristics: pl.DataFrame | None,
    seen: pl.DataFrame,
    months: Sequence[date],
    settings: BondCharacteristicsSettings | None = None,
) -> pl.DataFrame:
    """Build the characteristics of every bond in the snapshot of each month.

    Parameters
    ----------
    snapshot : pl.DataFrame
        ``bond_snapshot``; rows of the months in :func:`pipeline.bonds.registry.lookback`.
    returns : pl.DataFrame
        ``bond_returns``, all bonds of the months looked back on (sectors and the default spread are averages over
        them).
    french_factors, treasury_curve, vix_innovation, bond_market_factor : pl.DataFrame
        The macro assets of those names.
    firm_characteristics : pl.DataFrame or None
        The asset of that name, of ``months``: month, permno and the raw columns that bonds take from their issuers;
        None where there is none.
    seen : pl.DataFrame
        Columns isin, month: months whose snapshot held the bond, over the whole history up to the last of ``months``.
        Its age counts from the first of them, so that one row a bond with its first month will do.
    months : sequence of date
        The months to build, in any order.
    settings : BondCharacteristicsSettings, optional
        Windows and lags.

    Returns
    -------
    pl.DataFrame
        Columns month, isin, and for each characteristic the raw ``<name>`` and, unless its form is raw, ``<name>_w``
        winsorised and ``<name>_r`` ranked within the month; sorted by month and isin. A value that cannot be computed,
        or is not finite, is null; its rank is 0. Rows older than the lookback and rows dated after a month do not
        enter it.

    Raises
    ------
    ValueError
        When a bond of a built month is not in ``seen`` by that month.
    """
    settings = settings or BondCharacteristicsSettings()
    months = sorted(set(months))
    if not months:
        return pl.DataFrame(schema=schema())
    reach = lookback(settings)
    first, last = shift(months[0], 1 - max(reach.values())), months[-1]
    universe = snapshot.filter(pl.col("month").is_in(months)).sort("month", "isin")
    if universe.is_empty():
        return pl.DataFrame(schema=schema())
    history = _evaluate(span(snapshot, months, reach["bond_snapshot"]), _HISTORY)
    earned = industry_returns(span(returns, months, reach["bond_returns"]))
    panel = MonthlyPanel.from_frame(history, universe["isin"], tuple(_HISTORY), first, last).merged(
        MonthlyPanel.from_frame(earned, universe["isin"], _RETURNS, first, last)
    )
    series = _common_series(earned, french_factors, treasury_curve, vix_innovation, bond_market_factor, first, last)
    lags = range(settings.momentum_near, settings.momentum_far + 1)
    adjusted = sorted({shift(month, -lag) for month in months for lag in lags})
    panel = with_industry_adjusted_returns(panel, series, adjusted, settings.industry)
    bonds = with_common_columns(_dated(universe, seen), treasury_curve, firm_characteristics)
    raw = _with_formulas(_evaluate(bonds, _EXPRESSIONS), panel, series, settings)
    standardised = rank_transform(winsorise(raw, STANDARDISED, settings.cross_section), STANDARDISED)
    return standardised.select(list(schema()))
