"""The monthly panel of firm characteristics: every entry of the registry, raw, winsorised and ranked.

What each characteristic is stands with its entry; this module brings records, market equity and windows to the stocks
of a month and evaluates the entries level by level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from pipeline.equity.definition import GKX94, MONTHLY_COLUMNS, FirmCharacteristic
from pipeline.equity.records import ANNUAL, QUARTERLY, Periods, lags_of, with_earlier_periods
from pipeline.equity.records import lookback as records_lookback
from pipeline.equity.registry import CHARACTERISTICS, DAILY_NAMES, NAMES, schema
from pipeline.equity.timing import (
    FISCAL_STALE,
    GKX_ANNUAL,
    GKX_QUARTER_STALE,
    GKX_QUARTERLY,
    PROFILES,
    FirmCharacteristicsSettings,
    chosen_records,
)
from pipeline.panel.calendar import month_number_expr, shift, span
from pipeline.panel.cross_section import finite, rank_transform, winsorise
from pipeline.panel.dense import MonthlyPanel, PanelMonth
from pipeline.panel.windows import window_sum

# December of t-1 and July of t-1 stand so many months before May of t+1, the last month of an accounting year.
_JULY_BEFORE = 23
_YEAR = 12


def _entries(level: str) -> list[FirmCharacteristic]:
    return [entry for entry in CHARACTERISTICS if entry.level == level]


def _gkx(entry: FirmCharacteristic) -> bool:
    return GKX94 in entry.sets


def _at_record(entries: Iterable[FirmCharacteristic], level: str) -> dict[str, pl.Expr]:
    """Columns evaluated on records of a level: characteristics, and what stock formulas carry."""
    found: dict[str, pl.Expr] = {}
    for entry in entries:
        if entry.timing == level:
            found |= entry.carries
        if entry.level == level and isinstance(entry.formula, pl.Expr):
            found[entry.name] = entry.formula
    return found


_ON_PROFILE = _at_record([entry for entry in CHARACTERISTICS if not _gkx(entry)], "annual")
_ON_GKX_ANNUAL = _at_record([entry for entry in CHARACTERISTICS if _gkx(entry)], "annual")
_ON_GKX_QUARTERLY = _at_record(CHARACTERISTICS, "quarterly")
_STOCK = {entry.name: entry.formula for entry in _entries("stock") if isinstance(entry.formula, pl.Expr)}
_WINDOWS = {entry.name: entry.formula for entry in _entries("window") if callable(entry.formula)}


def lookback() -> dict[str, int]:
    """Months of each input that a month needs, itself included."""
    annual = lags_of([*_ON_PROFILE.values(), *_ON_GKX_ANNUAL.values()])
    months = max([_JULY_BEFORE + 2, *(entry.months for entry in _entries("window"))])
    return {
        "crsp_monthly": months,
        "compustat_annual": records_lookback(ANNUAL, annual, FISCAL_STALE),
        "compustat_quarterly": records_lookback(QUARTERLY, lags_of(_ON_GKX_QUARTERLY.values()), GKX_QUARTER_STALE),
    }


def _evaluated(
    chosen: pl.DataFrame, records: pl.DataFrame, periods: Periods, columns: Mapping[str, pl.Expr], keep: Sequence[str]
) -> pl.DataFrame:
    """Evaluate expressions on chosen records: month, gvkey, the columns and the kept ones, non-finite values null."""
    held = with_earlier_periods(chosen, records, periods, lags_of(columns.values()))
    values = held.select("month", "gvkey", *keep, *(each.cast(pl.Float64).alias(n) for n, each in columns.items()))
    return values.with_columns(finite(name) for name in columns)


def _counted(chosen: pl.DataFrame, records: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """Add ``n_years``: annual records of the firm up to and including the chosen one."""
    later = (
        chosen.select("month", "gvkey", chosen="datadate")
        .join(records.select("gvkey", "datadate", known="month"), on="gvkey", how="inner")
        .filter((pl.col("datadate") > pl.col("chosen")) & (pl.col("known") <= pl.col("month")))
        .group_by("month", "gvkey")
        .agg(later=pl.len())
    )
    total = history.select("month", "gvkey", total="n_years")
    return (
        chosen.join(total, on=["month", "gvkey"], how="left", maintain_order="left")
        .join(later, on=["month", "gvkey"], how="left", maintain_order="left")
        .with_columns(n_years=(pl.col("total") - pl.col("later").fill_null(0)).cast(pl.Float64))
        .drop("total", "later")
    )


def _annual(records: pl.DataFrame, history: pl.DataFrame, months: Sequence[date], timing: str) -> list[pl.DataFrame]:
    """Characteristics and carried columns of the profile's record, and of the record that ``gkx94`` uses."""
    frames = []
    for profile, columns, suffix in (
        (PROFILES[timing], _ON_PROFILE, ""),
        (GKX_ANNUAL, _ON_GKX_ANNUAL, "gkx_"),
    ):
        chosen = chosen_records(records, months, profile)
        counted = _counted(chosen, records, history).select("month", "gvkey", "datadate", "n_years")
        pool = records.drop("n_years", strict=False)
        values = _evaluated(counted, pool, ANNUAL, columns, ["datadate", "sich"])
        frames.append(values.rename({"datadate": f"{suffix}datadate", "sich": f"{suffix}sich"}))
    return frames


def _quarterly(records: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    chosen = chosen_records(records, months, GKX_QUARTERLY)
    return _evaluated(chosen, records, QUARTERLY, _ON_GKX_QUARTERLY, [])


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """Add ``stock``, the permno as text: dense panels have text for names."""
    return frame.with_columns(stock=pl.col("permno").cast(pl.String))


def _dividends(crsp_monthly: pl.DataFrame) -> pl.DataFrame:
    """Monthly rows with ``dividends``, millions: (ret - retx) times market equity at the end of the month before."""
    before = crsp_monthly.select("permno", pl.col("month").dt.offset_by("1mo"), me_before="me")
    joined = crsp_monthly.join(before, on=["permno", "month"], how="left", maintain_order="left")
    return joined.with_columns(dividends=(pl.col("ret") - pl.col("retx")) * pl.col("me_before")).drop("me_before")


def _since_june(month: date) -> int:
    """Months since the June in which the accounting year of a month began."""
    return (month.month - 6) % _YEAR


def _windows(stocks: PanelMonth, timing: str) -> dict[str, np.ndarray]:
    """Window characteristics of a month, and dividends over a year with market equity at its end."""
    lag = _since_june(stocks.month) if timing == "ff_june" else 0
    values = {name: formula(stocks) for name, formula in _WINDOWS.items()}
    paid = window_sum(stocks.window("dividends", _YEAR, lag), min_obs=1)
    return {**values, "dividends": paid, "me_june": stocks.at("me", lag)}


def _market_equity(universe: pl.DataFrame, crsp_monthly: pl.DataFrame, timing: str) -> pl.DataFrame:
    """Add ``me_annual``, the market equity that accounting items of the profile are scaled by."""
    if timing == "ff_june":
        number = month_number_expr()
        june_year = (number - 5) // _YEAR
        dated = (june_year - 1) * _YEAR + 11
    else:
        dated = month_number_expr("datadate")
    equity = crsp_monthly.select("permno", scaled=month_number_expr(), me_annual="me_permco")
    keyed = universe.with_columns(scaled=dated.cast(pl.Int32))
    return keyed.join(equity, on=["permno", "scaled"], how="left", maintain_order="left").drop("scaled")


def _industry(universe: pl.DataFrame) -> pl.DataFrame:
    """Add ``sic`` and ``sic2``: Compustat's historical code by availability, else CRSP's by date."""
    sic = pl.coalesce("gkx_sich", "siccd").cast(pl.Int64)
    return universe.with_columns(sic=sic).with_columns(sic2=pl.col("sic") // 100)


def _of_month(part: pl.DataFrame, panel: MonthlyPanel, timing: str) -> pl.DataFrame:
    """Evaluate the entries that look at windows or at other stocks, for the stocks of one month."""
    stocks = PanelMonth(month=part["month"][0], positions=panel.positions(part["stock"]), panel=panel)
    columns = [pl.Series(name, values, dtype=pl.Float64) for name, values in _windows(stocks, timing).items()]
    frame = part.hstack(columns)
    frame = frame.with_columns(finite(column.name) for column in columns)
    values = frame.with_columns(formula.cast(pl.Float64).alias(name) for name, formula in _STOCK.items())
    return values.with_columns(finite(name) for name in _STOCK)


def firm_characteristics(
    crsp_monthly: pl.DataFrame,
    compustat_annual: pl.DataFrame,
    compustat_quarterly: pl.DataFrame,
    compustat_history: pl.DataFrame,
    firm_links: pl.DataFrame,
    daily: pl.DataFrame,
    months: Sequence[date],
    settings: FirmCharacteristicsSettings | None = None,
) -> pl.DataFrame:
    """Build the characteristics of every stock of the universe at the end of each month.

    Parameters
    ----------
    crsp_monthly, compustat_annual, compustat_quarterly : pl.DataFrame
        The assets of those names; rows of the months in :func:`lookback`.
    compustat_history : pl.DataFrame
        month, gvkey, n_years: annual records of the firm available by the month; rows of ``months``.
    firm_links : pl.DataFrame
        month, permno, gvkey in force at the end of the month; rows of ``months``.
    daily : pl.DataFrame
        ``stock_daily_characteristics`` of ``months``.
    months : sequence of date
        The months to build, in any order.
    settings : FirmCharacteristicsSettings, optional
        Timing profile and quantiles.

    Returns
    -------
    pl.DataFrame
        month, permno, and for each characteristic the raw ``<name>``, ``<name>_w`` winsorised and ``<name>_r`` ranked
        within the month; sorted by month and permno. A value that cannot be computed, or is not finite, is null; its
        rank is 0.
    """
    settings = settings or FirmCharacteristicsSettings()
    months = sorted(set(months))
    rows = crsp_monthly.filter(pl.col("month").is_in(months) & pl.col("in_universe") & ~pl.col("delisted"))
    if rows.is_empty():
        return pl.DataFrame(schema=schema())
    reach = lookback()
    universe = rows.select("month", "permno", "permco", "me", "me_permco", "prc", "exchange", "siccd")
    universe = universe.sort("month", "permno").join(
        firm_links.select("month", "permno", "gvkey"), on=["month", "permno"], how="left", maintain_order="left"
    )
    annual = span(compustat_annual, months, reach["compustat_annual"])
    quarterly = span(compustat_quarterly, months, reach["compustat_quarterly"])
    for values in (*_annual(annual, compustat_history, months, settings.timing), _quarterly(quarterly, months)):
        universe = universe.join(values, on=["month", "gvkey"], how="left", maintain_order="left")
    universe = universe.join(
        daily.select("month", "permno", *DAILY_NAMES), on=["month", "permno"], how="left", maintain_order="left"
    )
    monthly = span(crsp_monthly, months, reach["crsp_monthly"])
    universe = _named(_industry(_market_equity(universe, monthly, settings.timing)))
    first, last = shift(months[0], 1 - reach["crsp_monthly"]), months[-1]
    panel = MonthlyPanel.from_frame(
        _named(_dividends(monthly)), universe["stock"], (*MONTHLY_COLUMNS, "dividends"), first, last, key="stock"
    )
    parts = [_of_month(part, panel, settings.timing) for part in universe.partition_by("month", maintain_order=True)]
    raw = pl.concat(parts).select("month", "permno", *(pl.col(name) for name in NAMES))
    return rank_transform(winsorise(raw, NAMES, settings.cross_section), NAMES).select(list(schema()))
