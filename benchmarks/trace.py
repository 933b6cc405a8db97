"""Trade reports cleaned: beside pandas and beside a mere scan of the file, and memory as the file grows.

Reports come from ``pipeline.simulation.trace_bulk``, ten months around February 2012, so that both reporting regimes
are there, and are written as staged: one Parquet file a month of report, sorted by bond. The large file has four times
the reports of the same months. Each build runs in a process of its own, whose peak memory is read from the kernel.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl

from benchmarks.comparison import Comparison, alternate
from benchmarks.daily import peak_memory
from pipeline.bonds.trace_daily import trace_months
from pipeline.bonds.trace_reports import ahead
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.extracts.trace import TRACE_ENHANCED
from pipeline.panel.calendar import month_range, shift
from pipeline.simulation.trace_bulk import random_bonds, random_reports

END, MONTHS, BONDS = date(2012, 6, 1), 10, 8_000
REGIME = pd.Timestamp("2012-02-06")
COLUMNS = (
    "month", "cusip", "trd_exctn_dt", "trd_exctn_tm", "trd_rpt_dt", "trd_rpt_tm", "msg_seq_nb", "orig_msg_seq_nb",
    "trc_st", "asof_cd", "wis_fl", "cmsn_trd", "lckd_in_ind", "sale_cndtn_cd", "days_to_sttl_ct", "entrd_vol_qt",
    "rptd_pr", "rpt_side_cd", "cntra_mp_id", "buy_cpcty_cd", "sell_cpcty_cd", "copy",
)  # fmt: skip
"""What the cleaning reads."""


def comparisons(quick: bool = False) -> Iterator[Comparison]:
    """Yield the table's rows; ``quick`` takes a hundredth of the reports."""
    rows, bonds = (100_000, 200) if quick else (10_000_000, BONDS)
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        _process("simulate", small, rows, bonds)
        yield against_pandas(small, 0.2 if quick else 0.05)
        for correction_months in (0, TraceSettings().correction_months):
            yield against_a_scan(small, correction_months, 1 if quick else 3)
        _process("simulate", large, 4 * rows, bonds)
        yield as_it_grows(small, large)


# Beside others


def tables(folder: Path) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Open reports and issues."""
    return pl.scan_parquet(folder / "reports" / "*.parquet"), pl.read_parquet(folder / "issues.parquet")


def against_pandas(folder: Path, share: float) -> Comparison:
    """Clean all reports as known at each month's end, and with pandas those of some bonds, whose seconds are scaled."""
    reports, issues = tables(folder)
    cusips = issues["cusip"].unique().sort().gather_every(round(1 / share))
    part = reports.filter(pl.col("cusip").is_in(cusips.implode())).select(COLUMNS).collect()
    frame = part.to_pandas()
    mine, theirs, seconds, peer_seconds, spread = alternate(
        partial(ours, reports, issues, 0), partial(with_pandas, frame, issues.to_pandas()), 1
    )
    total = reports.select(pl.len()).collect().item()
    scale = total / part.height
    note = f"peer on {1 / scale:.1%} of the rows, already in memory, scaled; {spread}"
    difference = largest_difference(mine.filter(pl.col("cusip").is_in(cusips.implode())), theirs)
    work = f"{total:,} trade reports cleaned, {MONTHS} months"
    return Comparison(work, "pandas, the same filters", seconds, peer_seconds * scale, difference, note)


def against_a_scan(folder: Path, correction_months: int, repetitions: int) -> Comparison:
    """Clean all reports, and let DuckDB look at every value of the same columns."""
    reports, issues = tables(folder)
    files = str(folder / "reports" / "*.parquet")
    _, counted, seconds, peer_seconds, spread = alternate(
        partial(ours, reports, issues, correction_months), partial(scanned, files), repetitions
    )
    extent = f"and as corrected for {correction_months} months" if correction_months else "as known at their end"
    work = f"{counted:,} trade reports cleaned, {MONTHS} months, {extent}"
    return Comparison(work, "DuckDB, scanning the columns", seconds, peer_seconds, note=spread)


def ours(reports: pl.LazyFrame, issues: pl.DataFrame, correction_months: int) -> pl.DataFrame:
    """Build every month as the pipeline does."""
    months, settings = month_range(shift(END, 1 - MONTHS), END), TraceSettings(correction_months=correction_months)
    return pl.concat(built.daily for built in trace_months(reports, issues, months, settings))


def scanned(files: str) -> int:
    """Return the number of rows, having read every value."""
    largest = ", ".join(f"max({column})" for column in COLUMNS)
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        return connection.execute(f"select count(*), {largest} from read_parquet(?)", [files]).fetchall()[0][0]


def largest_difference(mine: pl.DataFrame, theirs: pd.DataFrame) -> float:
    """Compare price, volume and number of trades of every day; infinite where only one of the two has it."""
    other = pl.from_pandas(theirs).with_columns(pl.col("date").cast(pl.Date))
    both = mine.join(other, on=["cusip", "date"], how="full", suffix="_peer")
    gaps = [
        (pl.col(name) - pl.col(f"{name}_peer")).abs().fill_null(float("inf")) for name in ("price", "volume", "trades")
    ]
    return both.select(pl.max_horizontal(gaps).max()).item()


# With pandas


def with_pandas(reports: pd.DataFrame, issues: pd.DataFrame) -> pd.DataFrame:
    """Clean the trades of every month, known at its end."""
    reports = reports.assign(
        executed=reports["trd_exctn_dt"].to_numpy().astype("datetime64[M]").astype("datetime64[ns]"),
        reported=reports["trd_rpt_dt"].to_numpy().astype("datetime64[M]").astype("datetime64[ns]"),
    )
    for column in ("trd_exctn_dt", "trd_rpt_dt"):
        reports[column] = pd.to_datetime(reports[column])
    maturity = issues.set_index("cusip")["maturity"]
    days, before = [], None
    for _, month in reports.groupby("reported", sort=True):
        trades = _trades(month[month["copy"] == 0], maturity)
        trades = trades.sort_values(["cusip", "trd_exctn_dt", "trd_exctn_tm", "msg_seq_nb"], kind="stable")
        both = pd.concat([before, trades.assign(own=True)]).sort_values("cusip", kind="stable")
        before = trades.groupby("cusip").tail(6).assign(own=False)
        days.append(_daily(_judged(both)))
    return pd.concat(days, ignore_index=True)


def _trades(month: pd.DataFrame, maturity: pd.Series) -> pd.DataFrame:
    early = _old_regime(month[month["trd_rpt_dt"] < REGIME])
    late = month[month["trd_rpt_dt"] >= REGIME]
    month = _present_regime(early, late)
    month = month[month["executed"] == month["reported"]]
    settlement = pd.to_numeric(month["days_to_sttl_ct"])
    month = month[
        (settlement.isna() | (settlement <= 2))
        & month["wis_fl"].ne("Y")
        & month["lckd_in_ind"].ne("Y")
        & (month["sale_cndtn_cd"].isna() | month["sale_cndtn_cd"].eq("@"))
    ]
    month = _once_between_dealers(month)
    capacity = month["buy_cpcty_cd"].where(month["rpt_side_cd"].eq("B"), month["sell_cpcty_cd"])
    agency = capacity.eq("A") & month["cntra_mp_id"].eq("C") & month["cmsn_trd"].eq("N")
    matured = pd.to_datetime(month["cusip"].map(maturity)) < month["trd_exctn_dt"]
    return month[
        ~agency & month["rptd_pr"].gt(0) & month["rptd_pr"].le(1_000) & month["entrd_vol_qt"].ge(10_000) & ~matured
    ]


def _without(frame: pd.DataFrame, other: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    found = frame.merge(other[keys].drop_duplicates(), on=keys, how="left", indicator=True)["_merge"]
    return frame[found.to_numpy() == "left_only"]


def _old_regime(rows: pd.DataFrame) -> pd.DataFrame:
    number = ["cusip", "trd_rpt_dt", "msg_seq_nb"]
    renamed = rows.drop(columns="msg_seq_nb").rename(columns={"orig_msg_seq_nb": "msg_seq_nb"})
    cancelled, corrected = (renamed[renamed["trc_st"] == status] for status in "CW")
    trades = _without(rows[rows["trc_st"].isin(["T", "W"])], cancelled, number)
    # The simulated chains of corrections all begin with a trade, so that the last link is what is left.
    trades = _without(trades, corrected, number)
    six = ["cusip", "trd_exctn_dt", "rptd_pr", "entrd_vol_qt", "rpt_side_cd", "cntra_mp_id"]
    trades = trades.sort_values(["trd_rpt_dt", "trd_rpt_tm", "msg_seq_nb"], kind="stable")
    reversals = trades[trades["asof_cd"] == "R"]
    rest = trades[~trades["asof_cd"].isin(["R", "X", "D"])]
    reversals = reversals.assign(place=reversals.groupby(six).cumcount())
    return _without(rest.assign(place=rest.groupby(six).cumcount()), reversals, [*six, "place"]).drop(columns="place")


def _present_regime(early: pd.DataFrame, late: pd.DataFrame) -> pd.DataFrame:
    keys = [
        "cusip", "trd_exctn_dt", "trd_exctn_tm", "rptd_pr", "entrd_vol_qt", "rpt_side_cd", "cntra_mp_id", "msg_seq_nb",
    ]  # fmt: skip
    trades = pd.concat([early, late[late["trc_st"].isin(["T", "R"])]])
    trades = _without(trades, late[late["trc_st"].isin(["X", "C"])], keys)
    reversals = late[late["trc_st"] == "Y"].drop(columns="msg_seq_nb").rename(columns={"orig_msg_seq_nb": "msg_seq_nb"})
    return _without(trades, reversals, keys)


def _once_between_dealers(trades: pd.DataFrame) -> pd.DataFrame:
    leg = ["cusip", "trd_exctn_dt", "rptd_pr", "entrd_vol_qt"]
    trades = trades.sort_values(["trd_exctn_tm", "msg_seq_nb"], kind="stable")
    dealer = trades["cntra_mp_id"].eq("D")
    buy, sale = dealer & trades["rpt_side_cd"].eq("B"), dealer & trades["rpt_side_cd"].eq("S")
    sales, buys = trades[sale], trades[buy]
    sales = sales.assign(place=sales.groupby(leg).cumcount())
    buys = _without(buys.assign(place=buys.groupby(leg).cumcount()), sales, [*leg, "place"])
    return pd.concat([trades[~buy], buys.drop(columns="place")])


def _judged(trades: pd.DataFrame) -> pd.DataFrame:
    bonds = trades.groupby("cusip")["rptd_pr"]
    around = pd.concat([bonds.shift(lag) for lag in (-3, -2, -1, 1, 2, 3)], axis=1)
    middle = around.median(axis=1).where(around.notna().sum(axis=1) >= 3)
    price = reported = trades["rptd_pr"]
    beside = (bonds.shift(1), bonds.shift(-1))
    for factor in (10.0, 100.0):
        for candidate in (reported / factor, reported * factor):
            right = (candidate - middle).abs() <= 0.03 * middle
            for one in beside:
                # Comparisons with a missing neighbour are false.
                right &= _distance(one, candidate) <= _distance(one, reported)
            price = candidate.where(right, price)
    before, after = (price.groupby(trades["cusip"]).shift(lag) for lag in (1, -1))
    bounced = (
        ((price - before).abs() >= 0.35 * before)
        & ((price - after).abs() >= 0.35 * after)
        & ((after - before).abs() <= 0.05 * before)
    )
    return trades.assign(price=price)[~bounced & trades["own"]]


def _distance(one: pd.Series, other: pd.Series) -> np.ndarray:
    return np.maximum(one.to_numpy(), other.to_numpy()) / np.minimum(one.to_numpy(), other.to_numpy())


def _daily(trades: pd.DataFrame) -> pd.DataFrame:
    weighted = trades.assign(value=trades["price"] * trades["entrd_vol_qt"])
    days = weighted.groupby(["cusip", "trd_exctn_dt"], as_index=False).agg(
        value=("value", "sum"), volume=("entrd_vol_qt", "sum"), trades=("value", "size")
    )
    days["price"] = days["value"] / days["volume"]
    return days.rename(columns={"trd_exctn_dt": "date"})[["cusip", "date", "price", "volume", "trades"]]


# As the file grows


@dataclass(frozen=True)
class Build:
    """What a process that cleaned all months reports."""

    seconds: float
    processor_seconds: float
    peak: int
    rows: int

    def __str__(self) -> str:
        """Say memory and time a row in words."""
        return (
            f"{self.peak / 2**30:.2f} GiB peak, {self.processor_seconds / self.rows * 1e6:.2f} us of processor a report"
        )


def as_it_grows(small: Path, large: Path) -> Comparison:
    """Clean a file and one of four times its size, each in its own process."""
    one, four = (Build(**json.loads(_process("build", folder))) for folder in (small, large))
    work = f"{one.rows:,} trade reports cleaned, in a process of its own"
    return Comparison(work, f"itself: {four.rows:,}", one.seconds, four.seconds, note=f"{one}; the larger: {four}")


def _process(*arguments: object) -> str:
    command = [sys.executable, "-m", "benchmarks.trace", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def build(folder: Path) -> Build:
    """Clean every month, writing each as the lake does."""
    start, processor = time.perf_counter(), time.process_time()
    reports, issues = tables(folder)
    (folder / "daily").mkdir(exist_ok=True)
    for built in trace_months(reports, issues, month_range(shift(END, 1 - MONTHS), END)):
        built.daily.write_parquet(folder / "daily" / f"{built.month}.parquet")
    seconds = time.perf_counter() - start, time.process_time() - processor
    return Build(*seconds, peak_memory(), reports.select(pl.len()).collect().item())


def simulate(folder: Path, rows: int, bonds: int) -> None:
    """Write reports as staged, and the issues."""
    parts = folder / "parts"
    for number, piece in enumerate(ahead(random_reports(rows, MONTHS, bonds, end=END))):
        timed = piece.with_columns(pl.col("trd_exctn_tm", "trd_rpt_tm").str.to_time("%H:%M:%S"))
        for (month,), frame in TRACE_ENHANCED.views[0].derive(timed, ()).group_by("month"):
            (parts / f"{month}").mkdir(parents=True, exist_ok=True)
            frame.write_parquet(parts / f"{month}" / f"{number}.parquet", compression="lz4")
    (folder / "reports").mkdir()
    for month in parts.iterdir():
        ordered = pl.read_parquet(month / "*.parquet").sort("cusip", "trd_exctn_dt", "msg_seq_nb", "trc_st")
        ordered.write_parquet(folder / "reports" / f"{month.name}.parquet")
        for part in month.iterdir():
            part.unlink()
    known = random_bonds(bonds, MONTHS, end=END).select(pl.lit(date(2000, 1, 1)).alias("month"), "cusip", "maturity")
    known.write_parquet(folder / "issues.parquet")


def main() -> None:
    """Run one step in this process: ``simulate FOLDER ROWS BONDS`` or ``build FOLDER``."""
    step, folder, *rest = sys.argv[1:]
    if step == "simulate":
        simulate(Path(folder), *map(int, rest))
    else:
        print(json.dumps(vars(build(Path(folder)))))


if __name__ == "__main__":
    main()
