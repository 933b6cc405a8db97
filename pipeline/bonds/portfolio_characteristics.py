"""Characteristics of bond portfolios, each of the portfolio's own returns: the set ``portfolio``.

Lags count from the predicted month m+1, as the names do and as for firms: ``r12_2`` of month m is earned over m-11 to
m-1. Belongs here: the registry of these characteristics and the series that they are exposed to. Does not: how the
portfolios are formed (``portfolios``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipeline.bonds.default_spread import PAR_RETURNS
from pipeline.bonds.portfolios import PORTFOLIOS
from pipeline.equity.price import cumulative_return
from pipeline.macro.monthly import difference
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.cross_section import finite
from pipeline.panel.dense import Floats, MonthlyPanel, MonthlySeries, PanelMonth
from pipeline.panel.regression import WalkForwardSettings, walk_forward_month
from pipeline.panel.windows import Window, window_std, window_sum

REGRESSORS = ("treasury_excess", "credit_spread_change")
_RETURNS = ("ret", "ret_excess")
_SOURCE = "Duraj and Giesecke 2025"


@dataclass(frozen=True, kw_only=True)
class PortfolioCharacteristicsSettings:
    """Windows of :func:`bond_portfolio_characteristics`.

    Attributes
    ----------
    betas : Window
        Months of the exposure regression, the month itself included.
    variance : Window
        Months of the variance.
    high : int
        Month ends, the last included, among which the highest level is looked for.
    """

    betas: Window = field(default=Window(60, 24))
    variance: Window = field(default=Window(40, 20))
    high: int = 12

    def __post_init__(self) -> None:
        if self.high < 2:
            raise ValueError(f"high compares two month ends at least, not {self.high}")


@dataclass(frozen=True, kw_only=True)
class PortfolioMonth(PanelMonth):
    """What is known of the portfolios at the end of one month.

    Attributes
    ----------
    series : MonthlySeries
        The regressors.
    settings : PortfolioCharacteristicsSettings
        Windows.
    """

    series: MonthlySeries
    settings: PortfolioCharacteristicsSettings


@dataclass(frozen=True, kw_only=True)
class PortfolioCharacteristic:
    """One characteristic of a portfolio.

    Attributes
    ----------
    name : str
        Column name.
    definition : str
        What it is, in one sentence.
    unit : str
        Unit of the value.
    inputs : tuple of str
        ``table.column`` of everything that it reads.
    timing : str
        Which months it reads, m being the month of the partition.
    formula : callable
        One value a portfolio, NaN missing.
    lookback : callable
        Months of each input table, m included, as a function of the settings.
    source : str
        Where the definition comes from.
    """

    name: str
    definition: str
    unit: str
    inputs: tuple[str, ...]
    timing: str
    formula: Callable[[PortfolioMonth], Floats]
    lookback: Callable[[PortfolioCharacteristicsSettings], Mapping[str, int]]
    source: str = _SOURCE


@dataclass(frozen=True, kw_only=True)
class CreditSource:
    """Where the yield of BAA bonds and that of Treasuries stand.

    Attributes
    ----------
    baa, treasury : tuple of str
        Staged table and column.
    unit : float
        What 1 of the published value is as a decimal.
    """

    baa: tuple[str, str]
    treasury: tuple[str, str]
    unit: float


CREDIT_SOURCES: tuple[CreditSource, ...] = (
    CreditSource(baa=("fred.BAA", "value"), treasury=("fred.GS10", "value"), unit=0.01),
    CreditSource(baa=("goyal_welch.predictors", "baa"), treasury=("goyal_welch.predictors", "lty"), unit=1.0),
)
"""The preferred first. One source serves all months: the two take Treasuries of different length, and a spread that
changed hands would jump."""

CREDIT_TABLES: tuple[str, ...] = tuple(dict.fromkeys(s[0] for c in CREDIT_SOURCES for s in (c.baa, c.treasury)))
"""Staged tables that the credit spread can come from."""


def credit_spread_change(yields: Mapping[str, pl.DataFrame], first: date, last: date) -> Floats:
    """Change over each month of the BAA yield less that of Treasuries.

    Parameters
    ----------
    yields : mapping of str to DataFrame
        Staged tables by name, whichever of :data:`CREDIT_TABLES` there are.
    first, last : date
        Months of the first and the last change; the yields of the month before are read.

    Returns
    -------
    ndarray of shape (T,)
        Decimals; NaN where one of the four yields is missing, all NaN without a source.
    """
    start = shift(first, -1)
    for source in CREDIT_SOURCES:
        if {source.baa[0], source.treasury[0]} <= yields.keys():
            baa, treasury = (
                MonthlySeries.from_frame(yields[table], [column], start, last).values[:, 0] * source.unit
                for table, column in (source.baa, source.treasury)
            )
            return difference(baa - treasury)[1:]
    return np.full(len(month_range(first, last)), np.nan)


def treasury_excess(treasury_curve: pl.DataFrame, french_factors: pl.DataFrame, first: date, last: date) -> Floats:
    """Mean return of 10-, 20- and 30-year par Treasuries less the riskless rate.

    Parameters
    ----------
    treasury_curve : pl.DataFrame
        month, ``par_return_10y``, ``_20y``, ``_30y`` (decimals).
    french_factors : pl.DataFrame
        month, rf (decimal).
    first, last : date
        Months of the first and the last value.

    Returns
    -------
    ndarray of shape (T,)
        Decimals. The mean is over the maturities that have a return, since 20- and 30-year bonds were not quoted for
        years on end; NaN without any, or without the rate.
    """
    returns = MonthlySeries.from_frame(treasury_curve, PAR_RETURNS, first, last).values.T
    riskless = MonthlySeries.from_frame(french_factors, ["rf"], first, last).values[:, 0]
    count = (~np.isnan(returns)).sum(axis=0)
    return window_sum(returns, 1) / np.maximum(count, 1) - riskless


def _slope(regressor: str) -> Callable[[PortfolioMonth], Floats]:
    position = REGRESSORS.index(regressor)

    def formula(portfolios: PortfolioMonth) -> Floats:
        fit = walk_forward_month(
            portfolios.panel,
            portfolios.series,
            portfolios.month,
            portfolios.positions,
            response="ret_excess",
            common=REGRESSORS,
            settings=WalkForwardSettings(window=portfolios.settings.betas),
        )
        return fit.slopes[:, position]

    return formula


def _closeness_to_high(portfolios: PortfolioMonth) -> Floats:
    growth = 1.0 + portfolios.window("ret", portfolios.settings.high - 1)
    levels = [np.ones(growth.shape[1])]
    for month in growth:
        levels.append(levels[-1] * month)
    return levels[-1] / np.max(np.stack(levels), axis=0)


def _variance(portfolios: PortfolioMonth) -> Floats:
    window = portfolios.settings.variance
    deviation = window_std(portfolios.window("ret", window.months), window.min_obs)
    return deviation * deviation


def _beta_lookback(settings: PortfolioCharacteristicsSettings) -> Mapping[str, int]:
    tables = ("bond_portfolios", "treasury_curve", "french_factors")
    return dict.fromkeys(tables, settings.betas.months) | dict.fromkeys(CREDIT_TABLES, settings.betas.months + 1)


def _beta(name: str, regressor: str, definition: str) -> PortfolioCharacteristic:
    credit = (".".join(series) for source in CREDIT_SOURCES for series in (source.baa, source.treasury))
    return PortfolioCharacteristic(
        name=name,
        definition=definition,
        unit="none",
        inputs=(
            "bond_portfolios.ret_excess",
            *(f"treasury_curve.{column}" for column in PAR_RETURNS),
            "french_factors.rf",
            *credit,
        ),
        timing="m-59 to m; the yields from m-60",
        formula=_slope(regressor),
        lookback=_beta_lookback,
    )


def _past_return(name: str, first: int, last: int, source: str) -> PortfolioCharacteristic:
    """Return the entry of the cumulative return over months -first to -last, counted from the predicted month."""

    def formula(portfolios: PortfolioMonth) -> Floats:
        return cumulative_return(portfolios.window("ret", first - last + 1, last - 1))

    return PortfolioCharacteristic(
        name=name,
        definition=f"cumulative return over months -{first} to -{last} counted from the predicted month, each of which "
        "must have a return"
        if first > last
        else "return of the month before the predicted one",
        unit="decimal",
        inputs=("bond_portfolios.ret",),
        timing=f"m-{first - 1} to m-{last - 1}" if first > last else "m",
        formula=formula,
        lookback=lambda settings: {"bond_portfolios": first},
        source=source,
    )


PORTFOLIO_CHARACTERISTICS: tuple[PortfolioCharacteristic, ...] = (
    _beta(
        "b_treasury",
        "treasury_excess",
        "slope of the portfolio's excess return on the mean excess return of 10-, 20- and 30-year par Treasuries, "
        "those of them that are quoted, beside the change of the credit spread; 60 months, at least 24",
    ),
    _beta(
        "b_creditspread",
        "credit_spread_change",
        "slope of the portfolio's excess return on the change of the BAA yield less that of ten-year Treasuries, "
        "beside the mean Treasury excess return, since spreads narrow as yields rise; 60 months, at least 24",
    ),
    PortfolioCharacteristic(
        name="rel2high",
        definition="value index of the portfolio at the end of m over its highest level at the 12 month ends to m",
        unit="ratio",
        inputs=("bond_portfolios.ret",),
        timing="returns of m-10 to m",
        formula=_closeness_to_high,
        lookback=lambda settings: {"bond_portfolios": settings.high - 1},
        source="George and Hwang 2004",
    ),
    _past_return("lt_rev", 60, 13, "Jegadeesh and Titman 1993"),
    _past_return("r12_2", 12, 2, "Fama and French 1996"),
    _past_return("r12_7", 12, 7, "Novy-Marx 2012"),
    _past_return("r2_1", 1, 1, "Jegadeesh and Titman 1993"),
    _past_return("r36_13", 36, 13, "De Bondt and Thaler 1985"),
    PortfolioCharacteristic(
        name="variance40",
        definition="sample variance (n - 1) of the portfolio's monthly returns over 40 months, at least 20",
        unit="decimal squared a month",
        inputs=("bond_portfolios.ret",),
        timing="m-39 to m",
        formula=_variance,
        lookback=lambda settings: {"bond_portfolios": settings.variance.months},
        source="Ang et al. 2006",
    ),
)

NAMES: tuple[str, ...] = tuple(entry.name for entry in PORTFOLIO_CHARACTERISTICS)

SCHEMA = {"month": pl.Date(), "portfolio": pl.String(), **dict.fromkeys(NAMES, pl.Float64())}


def lookback(settings: PortfolioCharacteristicsSettings | None = None) -> dict[str, int]:
    """Return how many months of each input table a month needs, itself included.

    Returns
    -------
    dict of str to int
        Keys ``bond_portfolios``, ``treasury_curve``, ``french_factors`` and each of :data:`CREDIT_TABLES`.
    """
    settings = settings or PortfolioCharacteristicsSettings()
    longest: dict[str, int] = {}
    for entry in PORTFOLIO_CHARACTERISTICS:
        for table, months in entry.lookback(settings).items():
            longest[table] = max(longest.get(table, 0), months)
    return longest


def data_dictionary() -> pl.DataFrame:
    """Describe every characteristic in one row: name, definition, unit, inputs (comma separated), timing, source."""
    return pl.DataFrame(
        [
            {
                "name": entry.name,
                "definition": entry.definition,
                "unit": entry.unit,
                "inputs": ", ".join(entry.inputs),
                "timing": entry.timing,
                "source": entry.source,
            }
            for entry in PORTFOLIO_CHARACTERISTICS
        ]
    )


def bond_portfolio_characteristics(
    portfolios: pl.DataFrame,
    treasury_curve: pl.DataFrame,
    french_factors: pl.DataFrame,
    yields: Mapping[str, pl.DataFrame],
    months: Sequence[date],
    settings: PortfolioCharacteristicsSettings | None = None,
) -> pl.DataFrame:
    """Build the characteristics of every bond portfolio at the end of each month.

    Parameters
    ----------
    portfolios : pl.DataFrame
        ``bond_portfolios``: month, portfolio, ret, ret_excess (decimals); the months of :func:`lookback`.
    treasury_curve : pl.DataFrame
        month, ``par_return_10y``, ``_20y``, ``_30y`` (decimals).
    french_factors : pl.DataFrame
        month, rf (decimal).
    yields : mapping of str to DataFrame
        Staged tables of :data:`CREDIT_TABLES`, whichever there are; without them both slopes are null.
    months : sequence of date
        The months to build.
    settings : PortfolioCharacteristicsSettings, optional
        Windows.

    Returns
    -------
    pl.DataFrame
        Columns month, portfolio and :data:`NAMES`; every portfolio has a row in every month, in the order of
        :data:`pipeline.bonds.portfolios.PORTFOLIOS`. A value that cannot be computed is null.
    """
    settings = settings or PortfolioCharacteristicsSettings()
    wanted = sorted(set(months))
    if not wanted:
        return pl.DataFrame(schema=SCHEMA)
    first, last = shift(wanted[0], 1 - max(lookback(settings).values())), wanted[-1]
    names = pl.Series("portfolio", PORTFOLIOS)
    panel = MonthlyPanel.from_frame(portfolios, names, _RETURNS, first, last, key="portfolio")
    regressors = [
        treasury_excess(treasury_curve, french_factors, first, last),
        credit_spread_change(yields, first, last),
    ]
    series = MonthlySeries(first=first, values=np.stack(regressors, axis=1), names=REGRESSORS)
    positions = panel.positions(names)
    parts = []
    for month in wanted:
        held = PortfolioMonth(month=month, positions=positions, panel=panel, series=series, settings=settings)
        values = {entry.name: entry.formula(held) for entry in PORTFOLIO_CHARACTERISTICS}
        parts.append(pl.DataFrame({"month": [month] * len(names), "portfolio": names, **values}, schema=SCHEMA))
    return pl.concat(parts).with_columns(finite(name) for name in NAMES)
