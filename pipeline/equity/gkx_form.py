"""How the entries of set ``gkx94`` are written down: terms of a record, and one builder a level.

An expression names the item of k fiscal periods before as ``<item>_<k>`` (:mod:`pipeline.equity.records`). What an
entry reads is found in its formula, so that ``inputs`` cannot disagree with it. Belongs here: terms and builders.
Does not: any characteristic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

import polars as pl

from pipeline.equity.definition import GKX94, FirmCharacteristic, Timing, WindowFormula
from pipeline.equity.records import item, items_of, lags_of

ANNUAL_ASSET, QUARTERLY_ASSET = "compustat_annual", "compustat_quarterly"

_COUNTED = "n_years"
# Columns of the stock frame that are made from several inputs, or stand in it under their own name.
_STOCK_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sic": (f"{ANNUAL_ASSET}.sich", "crsp_monthly.siccd"),
    "sic2": (f"{ANNUAL_ASSET}.sich", "crsp_monthly.siccd"),
    "me": ("crsp_monthly.me",),
}


def change(name: str, lag: int = 0) -> pl.Expr:
    """Item less the item of the period before, ``lag`` periods ago."""
    return item(name, lag) - item(name, lag + 1)


def average(name: str, lag: int = 0) -> pl.Expr:
    """Mean of the item at the end and at the beginning of a period, ``lag`` periods ago."""
    return 0.5 * (item(name, lag) + item(name, lag + 1))


def ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Quotient, null where the denominator is zero, so that no infinity enters a comparison, a mean or a deviation."""
    return pl.when(denominator != 0.0).then(numerator / denominator)


def growth(term: Callable[[int], pl.Expr], periods: int = 1) -> pl.Expr:
    """Change of a term over ``periods``, relative to where it began."""
    return ratio(term(0) - term(periods), term(periods))


def item_growth(name: str, periods: int = 1) -> pl.Expr:
    """Change of an item over ``periods``, relative to where it began."""
    return growth(lambda lag: item(name, lag), periods)


def flag(condition: pl.Expr) -> pl.Expr:
    """1 where a condition holds, 0 where it does not or cannot be decided."""
    return pl.when(condition).then(1.0).otherwise(0.0)


def joint(terms: Sequence[pl.Expr]) -> pl.Expr:
    """Add terms from the first to the last: horizontal sums of polars may add in any order."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def over_industry(statistic: pl.Expr) -> pl.Expr:
    """Statistic of the stocks of the month that share the two-digit industry; null without an industry."""
    return pl.when(pl.col("sic2").is_not_null()).then(statistic.over("sic2"))


def read_from(asset: str, *expressions: pl.Expr) -> tuple[str, ...]:
    """Return the inputs of expressions over the records of an asset, ``asset.column``, ascending and without lags."""
    names = items_of(expressions)
    return tuple(sorted(f"{'compustat_history' if name == _COUNTED else asset}.{name}" for name in names))


def _history(expressions: Iterable[pl.Expr], period: str) -> str:
    """Say how many earlier records the formula looks at."""
    reach = max(lags_of(expressions), default=0)
    return f"looks at {reach} earlier fiscal {period}{'s' if reach > 1 else ''}" if reach else f"one fiscal {period}"


def _on_records(
    level: Literal["annual", "quarterly"],
    name: str,
    definition: str,
    formula: pl.Expr,
    *,
    reference: str,
    unit: str = "ratio",
    history: str = "",
) -> FirmCharacteristic:
    """Return an entry evaluated on records; ``gkx_`` is put before its name."""
    return FirmCharacteristic(
        name=f"gkx_{name}",
        sets=(GKX94,),
        definition=definition,
        unit=unit,
        timing=level,
        inputs=read_from(_asset_of(level), formula),
        level=level,
        reference=reference,
        formula=formula,
        history=history or _history([formula], _period_of(level)),
    )


annual = partial(_on_records, "annual")
quarterly = partial(_on_records, "quarterly")


def _asset_of(timing: Timing) -> str:
    return QUARTERLY_ASSET if timing == "quarterly" else ANNUAL_ASSET


def _period_of(timing: Timing) -> str:
    return "quarter" if timing == "quarterly" else "year"


def _inputs_on_stocks(
    formula: pl.Expr, carries: Mapping[str, pl.Expr], timing: Timing, uses: Sequence[FirmCharacteristic]
) -> tuple[str, ...]:
    sources = {name: read_from(_asset_of(timing), each) for name, each in carries.items()}
    for entry in uses:
        sources[entry.name] = entry.inputs
        sources |= {name: read_from(_asset_of(entry.timing), each) for name, each in entry.carries.items()}
    known = {**sources, **_STOCK_COLUMNS}
    return tuple(sorted({read for root in formula.meta.root_names() for read in known[root]}))


def on_stocks(
    name: str,
    definition: str,
    formula: pl.Expr,
    *,
    reference: str,
    unit: str = "ratio",
    timing: Timing = "annual",
    carries: Mapping[str, pl.Expr] | None = None,
    uses: Sequence[FirmCharacteristic] = (),
    history: str = "",
) -> FirmCharacteristic:
    """Return an entry evaluated on the stocks of a month; ``gkx_`` is put before its name.

    Parameters
    ----------
    name, definition, formula, reference, unit, timing, carries, history
        As in :class:`~pipeline.equity.definition.FirmCharacteristic`.
    uses : sequence of FirmCharacteristic
        Entries whose values, or carried columns, the formula names.

    Raises
    ------
    KeyError
        If the formula names a column that is neither carried, nor of ``uses``, nor the stock frame's own.
    """
    carried, period = carries or {}, _period_of(timing)
    return FirmCharacteristic(
        name=f"gkx_{name}",
        sets=(GKX94,),
        definition=definition,
        unit=unit,
        timing=timing,
        inputs=_inputs_on_stocks(formula, carried, timing, uses),
        level="stock",
        reference=reference,
        formula=formula,
        carries=carried,
        history=history or (_history(carried.values(), period) if carried else "; ".join(e.history for e in uses)),
    )


def window(
    name: str,
    definition: str,
    formula: WindowFormula,
    *,
    columns: Sequence[str],
    months: int,
    reference: str,
    unit: str = "decimal",
) -> FirmCharacteristic:
    """Return an entry evaluated on windows of ``crsp_monthly``; ``gkx_`` is put before its name."""
    return FirmCharacteristic(
        name=f"gkx_{name}",
        sets=(GKX94,),
        definition=definition,
        unit=unit,
        timing="monthly",
        inputs=tuple(f"crsp_monthly.{column}" for column in columns),
        level="window",
        reference=reference,
        formula=formula,
        months=months,
        history=f"{months} calendar month{'s' if months > 1 else ''}",
    )


def daily(
    name: str, definition: str, *, inputs: Sequence[str], reference: str, unit: str = "decimal", history: str
) -> FirmCharacteristic:
    """Return an entry whose value is computed from daily rows elsewhere; ``gkx_`` is put before its name."""
    return FirmCharacteristic(
        name=f"gkx_{name}",
        sets=(GKX94,),
        definition=definition,
        unit=unit,
        timing="daily",
        inputs=tuple(inputs),
        level="daily",
        reference=reference,
        history=history,
    )
