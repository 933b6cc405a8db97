"""FRED-MD vintages of the simulated economy: series with the published names, codes and publication lags.

A vintage published in month v has rows to the month before; each series ends at v minus its own lag, recent values are
revised in later vintages, and one series is replaced by another between vintages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.simulation.economy import Economy
from pipeline.simulation.paths import Array, ar1, stream

REPLACED, REPLACEMENT = "VXOCLSx", "VIXCLSx"
"""The series that ends with the older half of the vintages, and the one that appears with the newer half."""

LATE_START = {"ACOGNO": 24}
"""Months without values at the beginning of a series."""

CRISIS = 0.62
"""Position in the sample of the one extreme month, whose changes lie beyond any outlier rule."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One FRED-MD series.

    Parameters
    ----------
    name : str
        Published name.
    tcode : int
        Published transformation code, 1 to 7.
    process : str
        Name of the process in `PROCESSES` that its history follows.
    start : float
        Level about which, or from which, it moves.
    drift : float
        Mean monthly log change.
    noise : float
        Deviation of its own shocks, in logs or in its unit.
    activity : float
        Loading on real activity, in the same unit.
    prices : float
        Loading on inflation.
    lag : int
        Months between the end of the last month with a value and the end of the month of publication.
    digits : int
        Decimals published.
    revised : float
        Deviation of the first revision, a fraction of the level.
    """

    name: str
    tcode: int
    process: str
    start: float = 0.0
    drift: float = 0.0
    noise: float = 0.0
    activity: float = 0.0
    prices: float = 0.0
    lag: int = 1
    digits: int = 3
    revised: float = 0.0


def _trend(
    name: str, start: float, drift: float, noise: float, activity: float, lag: int = 1, digits: int = 3
) -> Series:
    return Series(
        name=name, tcode=5, process="trend", start=start, drift=drift, noise=noise, activity=activity,
        lag=lag, digits=digits, revised=0.002,
    )  # fmt: skip


def _price(name: str, start: float, drift: float, noise: float, prices: float, lag: int = 1, digits: int = 3) -> Series:
    return Series(
        name=name, tcode=6, process="trend", start=start, drift=drift, noise=noise, prices=prices,
        lag=lag, digits=digits, revised=0.0004,
    )  # fmt: skip


def _rate(name: str, tcode: int = 2) -> Series:
    return Series(name=name, tcode=tcode, process="rate", digits=2)


SERIES: tuple[Series, ...] = (
    _trend("INDPRO", 90.0, 0.0015, 0.005, 0.004, digits=4),
    _trend("PAYEMS", 130_000.0, 0.001, 0.001, 0.0015, digits=0),
    Series(name="UNRATE", tcode=2, process="level", start=5.5, noise=0.25, activity=-1.0, digits=1),
    Series(name="HOUST", tcode=4, process="log level", start=1400.0, noise=0.12, activity=0.15, digits=0, revised=0.01),
    _price("CPIAUCSL", 190.0, 0.002, 0.001, 0.002),
    _price("M2SL", 6_000.0, 0.005, 0.003, 0.001, digits=1),
    Series(name="NONBORRES", tcode=7, process="wandering growth", start=45_000.0, noise=0.004, digits=0),
    _trend("CMRMTSPLx", 1_200_000.0, 0.0015, 0.006, 0.004, lag=2, digits=0),
    Series(name="S&P PE ratio", tcode=5, process="valuation", start=20.0, noise=0.02, lag=3, digits=6),
    _rate("GS10"),
    Series(name=REPLACED, tcode=1, process="volatility", start=1.04, digits=4),
    Series(name=REPLACEMENT, tcode=1, process="volatility", start=1.0, digits=4),
    _trend("RPI", 12_000.0, 0.002, 0.005, 0.002),
    _trend("RETAILx", 300_000.0, 0.003, 0.008, 0.004, digits=0),
    _trend("IPMANSICS", 92.0, 0.0014, 0.006, 0.004, digits=4),
    Series(name="CUMFNS", tcode=2, process="level", start=77.0, noise=0.8, activity=2.5, digits=4, revised=0.001),
    Series(name="HWI", tcode=2, process="level", start=5_000.0, noise=250.0, activity=500.0, lag=2, digits=0),
    Series(name="HWIURATIO", tcode=2, process="level", start=0.8, noise=0.04, activity=0.12, lag=2, digits=9),
    Series(name="CLAIMSx", tcode=5, process="log level", start=330_000.0, noise=0.06, activity=-0.15, digits=0),
    _trend("MANEMP", 13_000.0, -0.0005, 0.0015, 0.002, digits=0),
    Series(name="AWHMAN", tcode=1, process="level", start=41.0, noise=0.2, activity=0.3, digits=1),
    Series(name="PERMIT", tcode=4, process="log level", start=1500.0, noise=0.1, activity=0.18, digits=0, revised=0.01),
    _trend("ACOGNO", 180_000.0, 0.002, 0.012, 0.005, lag=2, digits=0),
    _trend("AMDMNOx", 200_000.0, 0.0015, 0.02, 0.006, digits=0),
    _trend("BUSINVx", 1_300_000.0, 0.002, 0.002, 0.002, lag=2, digits=0),
    Series(name="ISRATIOx", tcode=2, process="level", start=1.35, noise=0.02, activity=-0.03, lag=2, digits=2),
    _price("BUSLOANS", 1_000.0, 0.004, 0.006, 0.001, digits=4),
    _price("NONREVSL", 1_200.0, 0.004, 0.003, 0.0005, lag=2, digits=5),
    Series(name="CONSPI", tcode=2, process="level", start=0.15, noise=0.002, activity=-0.003, lag=2, digits=9),
    Series(name="S&P 500", tcode=5, process="stocks", start=1_100.0, digits=2),
    _rate("FEDFUNDS"),
    _rate("TB3MS"),
    _rate("GS1"),
    _rate("GS5"),
    _rate("AAA"),
    _rate("BAA"),
    _rate("T10YFFM", tcode=1),
    _price("WPSFD49207", 150.0, 0.002, 0.004, 0.003),
    _price("OILPRICEx", 45.0, 0.003, 0.06, 0.02, digits=2),
    _price("PCEPI", 85.0, 0.0018, 0.0008, 0.0018),
)
"""Series in the order in which sizes take them: the first twelve hold every code, every lag and the replaced series."""


def _trend_path(series: Series, economy: Economy, own: Array) -> Array:
    states = economy.states
    change = series.drift + series.noise * own + series.activity * states.growth + series.prices * states.inflation
    if series.activity:
        crisis = round(CRISIS * economy.clock.n)
        change[crisis] -= 25 * series.noise
        change[crisis + 1 : crisis + 4] += 8 * series.noise
    return series.start * np.exp(np.cumsum(change))


def _level_path(series: Series, economy: Economy, own: Array) -> Array:
    return series.start + series.activity * ar1(economy.states.growth, 0.95) + series.noise * ar1(own, 0.9)


def _log_level_path(series: Series, economy: Economy, own: Array) -> Array:
    return series.start * np.exp(series.activity * ar1(economy.states.growth, 0.9) + series.noise * ar1(own, 0.9))


def _wandering_growth_path(series: Series, economy: Economy, own: Array) -> Array:
    return series.start * np.exp(np.cumsum(0.003 + series.noise * ar1(own, 0.9)))


def _valuation_path(series: Series, economy: Economy, own: Array) -> Array:
    price = np.cumsum(np.log1p(economy.stocks.basket_ex))
    slow = np.arange(economy.clock.n) * (price[-1] / economy.clock.n)
    return series.start * np.exp(0.5 * (price - slow) + series.noise * own)


def _stock_path(series: Series, economy: Economy, own: Array) -> Array:
    return series.start * np.cumprod(1 + economy.stocks.basket_ex)


def _volatility_path(series: Series, economy: Economy, own: Array) -> Array:
    previous = np.concatenate([economy.states.vix[:1], economy.states.vix[:-1]])
    return series.start * (previous + economy.states.vix) / 2


def _rate_path(series: Series, economy: Economy, own: Array) -> Array:
    return economy.rates.monthly[series.name]


PROCESSES: dict[str, Callable[[Series, Economy, Array], Array]] = {
    "trend": _trend_path,
    "level": _level_path,
    "log level": _log_level_path,
    "wandering growth": _wandering_growth_path,
    "valuation": _valuation_path,
    "stocks": _stock_path,
    "volatility": _volatility_path,
    "rate": _rate_path,
}


def vintage_months(economy: Economy) -> list[int]:
    """Month indices in which vintages are published: evenly over the bond months, the newest in the last month."""
    first = economy.clock.first_snapshot
    steps = np.linspace(first + (economy.clock.n - first) / 4, economy.clock.n - 1, economy.size.vintages)
    return np.rint(steps).astype(int).tolist()


def fred_md_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Build the vintages `fred_md/YYYY-MM`.

    Parameters
    ----------
    economy : Economy
        States, rates and stocks.

    Returns
    -------
    Mapping of str to DataFrame
        sasdate and one column a series, null where the vintage has no value. The codes stand in `SERIES`.
    """
    chosen = SERIES[: economy.size.series]
    rng = stream(economy.seed, "fred-md")
    shocks = rng.standard_normal((len(SERIES), economy.clock.n))
    paths = {s.name: PROCESSES[s.process](s, economy, shocks[i]) for i, s in enumerate(chosen)}
    published = vintage_months(economy)
    tables = {}
    for number, month in enumerate(published):
        outdated = REPLACED if number >= len(published) / 2 else REPLACEMENT
        columns = {s.name: _as_published(s, paths[s.name], month, rng) for s in chosen if s.name != outdated}
        frame = pl.DataFrame({"sasdate": economy.clock.dates[:month], **columns})
        label = f"{economy.clock.dates[month]:%Y-%m}"
        tables[f"fred_md/{label}"] = frame.with_columns(pl.selectors.float().fill_nan(None))
    return tables


def _as_published(series: Series, path: Array, month: int, rng: np.random.Generator) -> Array:
    """Rows of a series in the vintage of a month: the newest values still to be revised, the newest of all missing."""
    age = month - np.arange(month)
    revision = series.revised * rng.standard_normal(month) * np.exp(-age / 6)
    values = np.round(path[:month] * (1 + revision), series.digits)
    values[age < series.lag] = np.nan
    values[: LATE_START.get(series.name, 0)] = np.nan
    return values
