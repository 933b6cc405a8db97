"""Characteristics from daily rows: the regressions beside other libraries, and memory and time at the size of CRSP.

The second part simulates daily rows on disk, a Parquet file a month as the lake holds them (about 9 GB at the full
size, under the temporary folder), and builds the characteristics in a process of its own, whose peak memory is read
from the kernel.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import polars_ols  # noqa: F401  (registers the least_squares namespace)
from statsmodels.regression.rolling import RollingOLS

from benchmarks.comparison import Comparison, alternate
from pipeline.equity.daily import BLOCK, DAILY_COLUMNS, chunk_months, daily_characteristics, lookback
from pipeline.equity.daily_arrays import DailyArrays, DayWindow, TradingCalendar
from pipeline.equity.daily_weekly import weekly_returns
from pipeline.equity.daily_windows import FACTORS, market_models
from pipeline.panel.calendar import month_range, shift

FIRST = np.datetime64("2005-01-03")
WINDOW = DayWindow(252, 126)
THREE = list(FACTORS[:3])


def comparisons(quick: bool = False) -> Iterator[Comparison]:
    """Yield the table's rows; ``quick`` takes 200 stocks and three and a half years."""
    yield from regressions(200 if quick else 2_000, 1 if quick else 3)
    stocks, days = (200, 900) if quick else (25_000, 4_000)
    with tempfile.TemporaryDirectory() as folder:
        yield from at_scale(Path(folder), stocks, days)


# Regressions beside peers


def regressions(stocks: int, repetitions: int) -> Iterator[Comparison]:
    """Betas and idiosyncratic volatility at the twelve month ends of a year."""
    days = weekdays(520)
    rng = np.random.default_rng(0)
    market = factor_rows(days, rng)
    rows = pl.concat(
        [stock_rows(part, stocks, rng).select("month", "permno", "date", "ret") for part in by_month(days)]
    )
    gaps = pl.Series(rng.random(rows.height) < 0.02)
    rows = rows.with_columns(ret=pl.when(~gaps).then("ret")).sort("permno", "date")
    months = rows["month"].unique().sort().to_list()[-12:]
    work = f"capm_b_mkt and ff3_ivol, {stocks:,} stocks, {len(months)} month ends, 252-day windows"
    for peer, run, share in (
        ("polars-ols, one fit a window", with_polars_ols, 1.0),
        ("statsmodels RollingOLS, every day", with_statsmodels, 0.1 if stocks <= 200 else 0.05),
    ):
        part = rows.filter(pl.col("permno") < 10_000 + round(stocks * share))
        mine, theirs, seconds, peer_seconds, spread = alternate(
            partial(ours, rows, market, months), partial(run, part, market, months), repetitions
        )
        note = spread if share == 1.0 else f"peer on {share:.0%} of the stocks, scaled; {spread}"
        yield Comparison(work, peer, seconds, peer_seconds / share, largest_difference(mine, theirs), note)


def ours(rows: pl.DataFrame, market: pl.DataFrame, months: list[date]) -> pl.DataFrame:
    """Spread the rows and fit every month, as the pipeline does."""
    calendar = TradingCalendar.of(rows, market)
    stocks = DailyArrays.from_frame(rows, calendar, ["ret"])
    factors = calendar.aligned(market, FACTORS)
    parts = []
    for month in months:
        for start in range(0, len(stocks.permnos), BLOCK):
            block = np.arange(start, min(start + BLOCK, len(stocks.permnos)))
            found = market_models(stocks, factors, month, block, WINDOW)
            parts.append(pl.DataFrame({"permno": stocks.permnos[block], **found}).with_columns(month=pl.lit(month)))
    return pl.concat(parts)


def _with_factors(rows: pl.DataFrame, market: pl.DataFrame) -> pl.DataFrame:
    joined = rows.join(market.drop("month"), on="date", how="left", maintain_order="left")
    return joined.with_columns(excess=pl.col("ret") - pl.col("rf"))


def with_polars_ols(rows: pl.DataFrame, market: pl.DataFrame, months: list[date]) -> pl.DataFrame:
    """One group of rows a stock and window, each fitted at once."""
    joined, parts = _with_factors(rows, market), []
    response = pl.col("excess").least_squares  # type: ignore[attr-defined]
    for month in months:
        dates = market.filter(pl.col("month") <= month)["date"].tail(WINDOW.days)
        window = joined.filter(pl.col("date").is_between(dates[0], dates[-1])).drop_nulls()
        fits = window.group_by("permno").agg(
            response.ols("mkt_rf", add_intercept=True, mode="coefficients").struct.field("mkt_rf").first(),
            response.ols(*THREE, add_intercept=True, mode="residuals").pow(2).sum().alias("squares"),
            pl.len().alias("n"),
        )
        parts.append(
            fits.filter(pl.col("n") >= WINDOW.min_obs).select(
                "permno",
                capm_b_mkt="mkt_rf",
                ff3_ivol=(pl.col("squares") / (pl.col("n") - 4)).sqrt(),
                month=pl.lit(month),
            )
        )
    return pl.concat(parts)


def with_statsmodels(rows: pl.DataFrame, market: pl.DataFrame, months: list[date]) -> pl.DataFrame:
    """One rolling model a stock, which fits every day; the month ends are taken from it."""
    parts = []
    for stock in _with_factors(rows, market).partition_by("permno", maintain_order=True):
        response, design = stock["excess"].to_numpy(), stock.select(THREE).to_numpy()
        ones = np.ones(len(stock))
        fits = [
            RollingOLS(
                response,
                np.column_stack([x, ones]),
                window=WINDOW.days,
                min_nobs=WINDOW.min_obs,
            )
            for x in (design[:, :1], design)
        ]
        capm, three = (fit.fit() for fit in fits)
        found = stock.select("permno", "month").with_columns(
            capm_b_mkt=pl.Series(capm.params[:, 0]),
            ff3_ivol=pl.Series(np.sqrt(three.mse_resid)),
        )
        parts.append(found.group_by("month", maintain_order=True).last().filter(pl.col("month").is_in(months)))
    return pl.concat(parts)


def largest_difference(mine: pl.DataFrame, theirs: pl.DataFrame) -> float:
    """Compare every stock-month that the peer was given; infinite where only one of the two has a value."""
    both = mine.join(theirs, on=["month", "permno"], suffix="_peer")
    names = ("capm_b_mkt", "ff3_ivol")
    pairs = [both.select(a=pl.col(name).fill_nan(None), b=pl.col(f"{name}_peer").fill_nan(None)) for name in names]
    gaps = pl.concat(pairs).filter(~(pl.col("a").is_null() & pl.col("b").is_null()))
    return gaps.select((pl.col("a") - pl.col("b")).abs().fill_null(float("inf")).max()).item()


# The size of CRSP


@dataclass(frozen=True)
class Build:
    """What a process that built characteristics reports; rows are those of the months built, not of their lookback."""

    seconds: float
    processor_seconds: float
    peak: int
    rows: int

    def __str__(self) -> str:
        """Say memory and time a row in words."""
        pace = self.processor_seconds / self.rows * 1e6
        return f"{self.peak / 2**30:.2f} GiB peak, {pace:.2f} us of processor a daily row built"


def at_scale(folder: Path, stocks: int, days: int) -> Iterator[Comparison]:
    """Build one year, all years, and one year of a quarter of the stocks, each in its own process."""
    _process("simulate", folder / "all", stocks, days)
    months = sorted(date.fromisoformat(path.stem) for path in (folder / "all" / "daily").iterdir())
    year, everything = (_build(folder / "all", months[-count], months[-1]) for count in (12, len(months)))
    work = f"daily characteristics of one year, {stocks:,} stocks x {days:,} days on disk"
    yield Comparison(
        work, f"itself: all {len(months)} months", year.seconds, everything.seconds, note=f"{year}; all: {everything}"
    )
    _process("simulate", folder / "quarter", stocks // 4, min(days, 1_100))
    quarter = _build(folder / "quarter", *_last_year(folder / "quarter"))
    work = f"daily characteristics of one year, {stocks // 4:,} stocks"
    yield Comparison(work, f"itself: {stocks:,} stocks", quarter.seconds, year.seconds, note=f"{quarter}; all: {year}")


def _last_year(folder: Path) -> tuple[date, date]:
    months = sorted(date.fromisoformat(path.stem) for path in (folder / "daily").iterdir())
    return months[-12], months[-1]


def _build(folder: Path, first: date, last: date) -> Build:
    return Build(**json.loads(_process("build", folder, first, last)))


def _process(*arguments: object) -> str:
    command = [sys.executable, "-m", "benchmarks.daily", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def build(folder: Path, first: date, last: date) -> Build:
    """Build weekly pieces a month at a time, then the characteristics in chunks, reading no more than each needs."""
    start, processor, needed = time.perf_counter(), time.process_time(), lookback()
    months = month_range(first, last)
    have = [date.fromisoformat(path.stem) for path in (folder / "daily").iterdir()]
    for name in ("weekly", "characteristics"):
        (folder / name).mkdir(exist_ok=True)
    built = 0
    for month in month_range(max(min(have), shift(first, 1 - needed["weekly"])), last):
        rows = pl.read_parquet(folder / "daily" / f"{month}.parquet", columns=["month", "permno", "date", "ret"])
        weekly_returns(rows, [month]).write_parquet(folder / "weekly" / f"{month}.parquet")
    market, announcements = (pl.read_parquet(folder / f"{name}.parquet") for name in ("market", "announcements"))
    size = chunk_months(max(_height(folder, month) for month in months))
    for chunk in (months[place : place + size] for place in range(0, len(months), size)):
        daily = _read(folder / "daily", chunk, needed["daily"], list(DAILY_COLUMNS))
        weekly = _read(folder / "weekly", chunk, needed["weekly"], None)
        built += sum(_height(folder, month) for month in chunk)
        found = daily_characteristics(daily, weekly, market, announcements, chunk)
        del daily, weekly  # or the next chunk is read while this one is still held
        for part in found.partition_by("month"):
            part.write_parquet(folder / "characteristics" / f"{part['month'][0]}.parquet")
    return Build(time.perf_counter() - start, time.process_time() - processor, peak_memory(), built)


def _height(folder: Path, month: date) -> int:
    return pl.scan_parquet(folder / "daily" / f"{month}.parquet").select(pl.len()).collect().item()


def _read(folder: Path, months: list[date], lookback_months: int, columns: list[str] | None) -> pl.DataFrame:
    wanted = month_range(shift(months[0], 1 - lookback_months), months[-1])
    files = [path for month in wanted if (path := folder / f"{month}.parquet").exists()]
    return pl.concat([pl.read_parquet(path, columns=columns) for path in files], rechunk=False)


def peak_memory() -> int:
    """Peak resident bytes of this process; ``ru_maxrss`` would count what the parent held when it started us."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# Simulated rows


def weekdays(count: int) -> np.ndarray:
    """Mondays to Fridays from the first day on, less the last, unfinished month."""
    days = np.busday_offset(FIRST, np.arange(count))
    return days[days < days[-1].astype("datetime64[M]")]


def by_month(days: np.ndarray) -> list[np.ndarray]:
    return np.split(days, np.flatnonzero(np.diff(days.astype("datetime64[M]").astype(int))) + 1)


def factor_rows(days: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    """Return three factors and a riskless rate."""
    factors = rng.normal(0.0003, 0.01, (len(days), 3))
    frame = pl.DataFrame({"date": days, **dict(zip(THREE, factors.T, strict=True)), "rf": np.full(len(days), 1e-4)})
    return frame.with_columns(month=pl.col("date").dt.month_start())


def stock_rows(days: np.ndarray, stocks: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return the rows of one month as the lake holds them: by stock and day, returns to six digits, prices to cents."""
    shape = stocks, len(days)
    ret = rng.normal(0.0005, 0.02, shape).round(6)
    price = (30.0 * np.exp(np.cumsum(ret, axis=1))).round(2)
    half = (price * np.abs(rng.normal(0.0, 0.003, shape))).round(2) + 0.01
    values = {
        "ret": ret,
        "prc": price,
        "volume": np.floor(rng.lognormal(10.0, 1.0, shape)),
        "shrout": np.full(shape, 50_000.0),
        "bid": price - half,
        "ask": price + half,
        "high": (price * 1.01).round(2),
        "low": (price * 0.99).round(2),
        "cfacpr": np.ones(shape),
    }
    frame = pl.DataFrame(
        {
            "permno": np.repeat(np.arange(10_000, 10_000 + stocks), len(days)),
            "date": np.tile(days, stocks),
            **{name: value.ravel() for name, value in values.items()},
        }
    )
    return frame.select(pl.col("date").dt.month_start().alias("month"), pl.all())


def announcement_rows(days: np.ndarray, stocks: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return one announcement a stock and quarter, three to eleven weeks after the quarter."""
    quarters = np.arange(days[0].astype("datetime64[M]"), days[-1].astype("datetime64[M]"), 3)
    ends = (quarters + 3).astype("datetime64[D]") - 1
    frame = pl.DataFrame({"permno": np.arange(10_000, 10_000 + stocks)}).join(
        pl.DataFrame({"datadate": ends}), how="cross"
    )
    delay = rng.integers(21, 77, frame.height).astype("timedelta64[D]")
    frame = frame.with_columns(rdq=pl.Series(frame["datadate"].to_numpy().astype("datetime64[D]") + delay))
    return frame.with_columns(month=pl.col("rdq").dt.month_start())


def simulate(folder: Path, stocks: int, days: int) -> None:
    """Write daily rows by month, factors and announcements."""
    rng, dates = np.random.default_rng(1), weekdays(days)
    (folder / "daily").mkdir(parents=True)
    factor_rows(dates, rng).write_parquet(folder / "market.parquet")
    announcement_rows(dates, stocks, rng).write_parquet(folder / "announcements.parquet")
    for part in by_month(dates):
        month = part[0].astype("datetime64[M]").astype("datetime64[D]")
        stock_rows(part, stocks, rng).write_parquet(folder / "daily" / f"{month}.parquet", compression="lz4")


def main() -> None:
    """Run one step in this process: ``simulate FOLDER STOCKS DAYS`` or ``build FOLDER FIRST LAST``."""
    step, folder, *rest = sys.argv[1:]
    if step == "simulate":
        simulate(Path(folder), *map(int, rest))
    else:
        print(json.dumps(vars(build(Path(folder), *map(date.fromisoformat, rest)))))


if __name__ == "__main__":
    main()
