"""The last price of every bond in a month, source by source.

A month-end price is that of the last day with one within the last sessions of the month. Belongs here: the window, and
which of a source's prices stands for the month as known at the end of a later one. Does not: which source goes first
(``prices``, ``trade_returns``), what accrues on the price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache

import exchange_calendars
import numpy as np
import polars as pl

TRACE, RECOVERY = "trace", "recovery"

PRIORITY = ("lehman", TRACE, "mergent", "datastream")
"""The sources of month-end prices, the first one that can answer going first."""

COLUMNS = ("source", "cusip", "date", "price", "accrued_interest", "coupon_paid")

SCHEMA = {
    "source": pl.String(),
    "cusip": pl.String(),
    "date": pl.Date(),
    "price": pl.Float64(),
    "accrued_interest": pl.Float64(),
    "coupon_paid": pl.Float64(),
}

RECOVERY_DAYS = 30
"""Days after a default at which the recovery table measures the price."""

# From the last day of a January so many days reach into March.
_MONTHS_TO_MEASURE = 2

# A calendar of fifty years takes as long to make as one of a single year.
_BLOCK = 50


@dataclass(frozen=True, kw_only=True)
class BondPriceSettings:
    """Which prices stand for a month's end and count as prices of the universe.

    Attributes
    ----------
    sessions : int
        NYSE sessions at the end of the month in one of which the price must lie.
    lowest, highest : float
        Bounds of a clean price per 100 of face, both admitted. They say which bonds are in the universe, and so bind
        the price from which a return starts, as known when it starts, never the one to which it leads.
    recovery_months : int
        A recovery price belongs to a default of FISD's that lies at most so many calendar months before or after the
        day that the recovery table gives for it: the two sources often differ by some weeks.
    """

    sessions: int = 5
    lowest: float = 5.0
    highest: float = 1000.0
    recovery_months: int = 2

    def __post_init__(self) -> None:
        if self.sessions < 1:
            raise ValueError(f"a month's end needs at least one session, not {self.sessions}")
        if not 0.0 <= self.lowest < self.highest:
            raise ValueError(f"prices are bounded by 0 <= lowest < highest, not {self.lowest} and {self.highest}")
        if self.recovery_months < 0:
            raise ValueError(f"recovery_months counts months between two dates, not {self.recovery_months}")

    def in_bounds(self) -> pl.Expr:
        """Whether ``price`` is one of the universe."""
        return pl.col("price").is_between(self.lowest, self.highest)


@cache
def _sessions(block: int) -> np.ndarray:
    first, last = block * _BLOCK, (block + 1) * _BLOCK - 1
    calendar = exchange_calendars.get_calendar("XNYS", start=f"{first}-01-01", end=f"{last}-12-31")
    return calendar.sessions.to_numpy().astype("datetime64[D]")


@cache
def month_end_window(month: date, sessions: int) -> tuple[date, date]:
    """Return the first and the last day on which a price stands for the end of a month.

    Parameters
    ----------
    month : datetime.date
        The month.
    sessions : int
        NYSE sessions counted back from its end.

    Returns
    -------
    tuple of datetime.date
        The ``sessions``-th last session of the month, or its first one where there are fewer, and the month's last
        calendar day: some sources date a month-end price by a day on which nobody traded.
    """
    days = _sessions(month.year // _BLOCK)
    first = np.datetime64(month, "M")
    inside = days[np.searchsorted(days, first.astype("datetime64[D]")) : np.searchsorted(days, first + 1)]
    last = (first + 1).astype("datetime64[D]") - 1
    return inside[-sessions:][0].item(), last.item()


def _last_day(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the last row of every bond."""
    return rows.sort("cusip", "date").unique("cusip", keep="last", maintain_order=True)


def traded_prices(trace_daily: pl.DataFrame, month: date, as_of: date, settings: BondPriceSettings) -> pl.DataFrame:
    """Return the month-end prices of trades as known at the end of a month that is not earlier.

    Parameters
    ----------
    trace_daily : pl.DataFrame
        month (of the partition), cusip, date, price_corrected; the partitions of ``month`` to ``as_of``. Others make no
        difference.
    month : datetime.date
        Month of the trades.
    as_of : datetime.date
        Month at whose end they are looked at.
    settings : BondPriceSettings
        The window.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, at most one row a bond. Of a day the newest partition holds; one that says that
        no trade is left takes the day away.
    """
    first, last = month_end_window(month, settings.sessions)
    rows = trace_daily.filter(pl.col("month").is_between(month, as_of), pl.col("date").is_between(first, last))
    newest = rows.sort("cusip", "date", "month").unique(["cusip", "date"], keep="last", maintain_order=True)
    traded = newest.filter(pl.col("price_corrected").is_not_null())
    blank = pl.lit(None, dtype=pl.Float64)
    return _last_day(traded).select(
        pl.lit(TRACE).alias("source"),
        "cusip",
        "date",
        price="price_corrected",
        accrued_interest=blank,
        coupon_paid=blank,
    )


def quoted_prices(rows: pl.DataFrame, source: str, month: date, settings: BondPriceSettings) -> pl.DataFrame:
    """Return the month-end prices of another source.

    Parameters
    ----------
    rows : pl.DataFrame
        ``bonds.lehman``, ``bonds.mergent`` or ``bonds.datastream``: month, cusip, date, price, accrued_interest,
        coupon_paid.
    source : str
        Its name.
    month : datetime.date
        Month of the prices.
    settings : BondPriceSettings
        The window.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, at most one row a bond.
    """
    window = month_end_window(month, settings.sessions)
    priced = rows.filter(pl.col("date").is_between(*window), pl.col("price").is_not_null())
    return _last_day(priced).select(pl.lit(source).alias("source"), *COLUMNS[1:])


def month_end_prices(
    trace_daily: pl.DataFrame | None,
    quotes: Mapping[str, pl.DataFrame],
    month: date,
    as_of: date,
    settings: BondPriceSettings,
) -> pl.DataFrame:
    """Return the month-end prices of all sources as known at the end of a month that is not earlier.

    Parameters
    ----------
    trace_daily : pl.DataFrame or None
        As in :func:`traded_prices`.
    quotes : mapping of str to pl.DataFrame
        Source -> rows as in :func:`quoted_prices`, for sources of :data:`PRIORITY`. They are not corrected later.
    month, as_of : datetime.date
        Month of the prices, and month at whose end they are looked at.
    settings : BondPriceSettings
        The window.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, at most one row a bond and source.

    Raises
    ------
    ValueError
        When a source is unknown: it has no place in the order.
    """
    unknown = sorted(set(quotes) - set(PRIORITY) | set(quotes) & {TRACE})
    if unknown:
        raise ValueError(f"no source of quotes is called {', '.join(unknown)}: the order is {', '.join(PRIORITY)}")
    parts = [quoted_prices(rows, source, month, settings) for source, rows in quotes.items()]
    if trace_daily is not None:
        parts.append(traded_prices(trace_daily, month, as_of, settings))
    return pl.concat([pl.DataFrame(schema=SCHEMA), *(part.cast(SCHEMA) for part in parts)])  # type: ignore[arg-type]


def priority() -> pl.Expr:
    """Return the place of ``source`` in the order, 0 going first."""
    places = {source: place for place, source in enumerate(PRIORITY)}
    return pl.col("source").replace_strict(places, return_dtype=pl.Int8)


def first_source(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the row of the first source of every bond; sorted by cusip."""
    return rows.sort("cusip", priority()).unique("cusip", keep="first", maintain_order=True)


def recovery_lookback(settings: BondPriceSettings | None = None) -> int:
    """Return how many months of ``bonds.recovery`` before the built one count."""
    settings = settings or BondPriceSettings()
    return max(settings.recovery_months, _MONTHS_TO_MEASURE)


def _recoveries(recovery: pl.DataFrame, issues: pl.DataFrame, settings: BondPriceSettings) -> pl.DataFrame:
    """Pair recovery prices with FISD's defaults (``default_fisd``); each bond's last one stays last."""
    known = issues.filter(pl.col("default_date").is_not_null()).select("cusip", default_fisd="default_date")
    rows = recovery.filter(pl.col("recovery_price").is_not_null()).join(known, on="cusip", how="inner")
    theirs, ours = (
        pl.col(name).dt.year().cast(pl.Int32) * 12 + pl.col(name).dt.month()
        for name in ("default_date", "default_fisd")
    )
    return rows.filter((theirs - ours).abs() <= settings.recovery_months).sort("cusip", "default_date")


def _as_prices(rows: pl.DataFrame, day: pl.Expr) -> pl.DataFrame:
    """Bring recoveries into the columns of :data:`SCHEMA`, the last one of each bond."""
    blank = pl.lit(None, dtype=pl.Float64)
    last = rows.unique("cusip", keep="last", maintain_order=True)
    return last.select(
        pl.lit(RECOVERY).alias("source"),
        "cusip",
        date=day,
        price="recovery_price",
        accrued_interest=blank,
        coupon_paid=blank,
    ).cast(SCHEMA)  # type: ignore[arg-type]


def recovery_values(
    recovery: pl.DataFrame | None, issues: pl.DataFrame, month: date, settings: BondPriceSettings
) -> pl.DataFrame:
    """Return what bonds whose default became known in a month fetched after it: the last values of their returns.

    Parameters
    ----------
    recovery : pl.DataFrame or None
        ``bonds.recovery``: month, cusip, default_date, recovery_price; the months of :func:`recovery_lookback`. Later
        ones make no difference.
    issues : pl.DataFrame
        cusip, default_date: defaults by FISD as known at the end of the month. A bond without one has no recovery.
    month : datetime.date
        The month.
    settings : BondPriceSettings
        How far the two default dates may lie apart.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, dated by the recovery table's own default date; at most one row a bond, that of
        the last such date. The month is that by whose end both sources date the default: the later one of the two.

    Notes
    -----
    The price is measured about :data:`RECOVERY_DAYS` after the default, so that the return of the month of default
    holds a price of the month after. It is what the holder of a bond that nobody quotes any longer is left with; a
    return of a later month could not hold it, for lack of a first price.
    """
    if recovery is None:
        return pl.DataFrame(schema=SCHEMA)
    rows = _recoveries(recovery.filter(pl.col("month") <= month), issues, settings)
    known = pl.max_horizontal("default_date", "default_fisd").dt.truncate("1mo")
    return _as_prices(rows.filter(known == month), pl.col("default_date"))


def recovery_prices(
    recovery: pl.DataFrame | None, issues: pl.DataFrame, month: date, settings: BondPriceSettings
) -> pl.DataFrame:
    """Return the recovery prices that were observed in a month.

    Parameters
    ----------
    recovery, issues, month, settings
        As in :func:`recovery_values`.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, dated :data:`RECOVERY_DAYS` after the recovery table's default date; at most one
        row a bond, the last one of the month.
    """
    if recovery is None:
        return pl.DataFrame(schema=SCHEMA)
    observed = pl.col("default_date").dt.offset_by(f"{RECOVERY_DAYS}d")
    rows = _recoveries(recovery.filter(pl.col("month") <= month), issues, settings)
    return _as_prices(rows.filter(observed.dt.truncate("1mo") == month), observed)
