"""Vendor file layouts: how each logical table of a market looks on disk.

One layout a vendor, registered by the table's name or folder; the layouts are those of the published files, text above
the data, annual sections below and missing codes included. Whoever reads the files must be able to read these.
"""

from collections.abc import Callable, Collection, Mapping
from io import StringIO
from pathlib import Path

import polars as pl

from pipeline.simulation.fred_md import SERIES

TICKERS = {"VIX": "^VIX"}
"""Symbols that differ from the file's name."""

DOT_FOR_MISSING = ("DGS20", "DGS30")
"""FRED series written in the older download layout: the first column `DATE`, a dot for a missing day."""

DATE_COLUMNS: dict[str, str] = {
    "bonds.": "date",
    "bonds.index_constituents": "Pricing_Date",
    "bonds.recovery": "default_date",
    "fisd.fisd_mergedissue": "offering_date",
    "fisd.fisd_issue_default": "default_date",
    "fisd.fisd_ratings": "rating_date",
    "fisd.fisd_amt_out_hist": "effective_date",
    "wrdsapps.bondcrsp_link": "link_startdt",
    "trace.trace_enhanced": "trd_rpt_dt",
    "fred_md/": "sasdate",
    "fred/": "observation_date",
    "prices/": "Date",
    "french/": "date",
    "factors/": "date",
    "anomalies/": "date",
    "goyal_welch/": "date",
    "treasury/": "Date",
    "crsp.": "date",
    "crsp.msenames": "namedt",
    "crsp.msedelist": "dlstdt",
    "crsp.msf_v2": "mthcaldt",
    "crsp.stkdelists": "delistingdt",
    "crsp.dsf_v2": "dlycaldt",
    "crsp.ccmxpf_lnkhist": "linkdt",
    "comp.": "datadate",
}
"""Date column of the logical tables, by the beginning of their names."""

UNDATED = ("comp.company", "fisd.fisd_mergedissuer")
"""Tables of current values, without a date at which a row became known."""

INTERVAL_ENDS: dict[str, str] = {
    "crsp.msenames": "nameendt",
    "crsp.ccmxpf_lnkhist": "linkenddt",
    "fisd.fisd_issue_default": "reinstated_date",
    "wrdsapps.bondcrsp_link": "link_enddt",
}
"""Column with the end of the interval that a row of the table is about; it is known only when it comes."""


def date_column(table: str) -> str:
    """Name of a logical table's date column, a `Date`.

    Parameters
    ----------
    table : str
        Key in `Market.tables`.

    Returns
    -------
    str

    Raises
    ------
    KeyError
        If no layout is registered for the table, or its rows have no date.
    """
    if table in UNDATED:
        raise KeyError(f"the rows of {table} are not dated")
    return DATE_COLUMNS[_registered(table, DATE_COLUMNS)]


def write_extracts(tables: Mapping[str, pl.DataFrame], folder: Path, parquet: Collection[str] = ()) -> list[Path]:
    """Write logical tables as the files that a vendor would deliver.

    Parameters
    ----------
    tables : Mapping of str to DataFrame
        `Market.tables`, or some of them, or frames perturbed in between.
    folder : Path
        Root of the extracts; subfolders are made, files of the same name replaced.
    parquet : collection of str
        Tables written as Parquet instead of CSV; only those that are plain tables, whose names have a dot.

    Returns
    -------
    list of Path
        The files, in the order of the tables.

    Raises
    ------
    KeyError
        If a table has no registered layout.
    ValueError
        If a table with a layout of its own is asked for as Parquet.
    """
    written = []
    for table, frame in tables.items():
        kind = _registered(table, LAYOUTS)
        suffix, layout = LAYOUTS[kind]
        if table in parquet and layout is not _plain:
            raise ValueError(f"{table} has a layout of its own and can't be written as Parquet")
        path = folder / (table + (".parquet" if table in parquet else suffix))
        path.parent.mkdir(parents=True, exist_ok=True)
        if table in parquet:
            frame.write_parquet(path, compression="zstd", compression_level=1)
        else:
            path.write_text(layout(table, frame), encoding="utf-8", newline="")
        written.append(path)
    return written


def _registered(table: str, registry: Mapping[str, object]) -> str:
    """Longest registered beginning of a table's name."""
    kinds = [kind for kind in registry if table.startswith(kind)]
    if not kinds:
        raise KeyError(f"no layout for table {table!r}; known are {', '.join(registry)}")
    return max(kinds, key=len)


def _plain(table: str, frame: pl.DataFrame) -> str:
    """Header and rows; dates in ISO form."""
    return frame.write_csv()


def _fred(table: str, frame: pl.DataFrame) -> str:
    """FRED's download, in its newer or its older form."""
    series = table.split("/")[1]
    if series in DOT_FOR_MISSING:
        return frame.rename({"observation_date": "DATE"}).write_csv(null_value=".", float_precision=2)
    return frame.write_csv(float_precision=2)


def _yfinance(table: str, frame: pl.DataFrame) -> str:
    """Three header lines: fields, ticker, the word Date."""
    stem = table.split("/")[1]
    fields = frame.columns[1:]
    head = [
        "Price," + ",".join(fields),
        "Ticker" + f",{TICKERS.get(stem, stem)}" * len(fields),
        "Date" + "," * len(fields),
    ]
    return "\n".join(head) + "\n" + frame.write_csv(include_header=False)


def _fred_md(table: str, frame: pl.DataFrame) -> str:
    """Names, the `Transform:` row of codes, months as m/d/yyyy, two rows that hold only commas."""
    codes = {series.name: series.tcode for series in SERIES}
    names = frame.columns[1:]
    head = "sasdate," + ",".join(names) + "\n" + "Transform:," + ",".join(str(codes[name]) for name in names) + "\n"
    dates = frame["sasdate"]
    text = frame.with_columns(pl.format("{}/{}/{}", dates.dt.month(), dates.dt.day(), dates.dt.year()).alias("sasdate"))
    return head + text.write_csv(include_header=False) + ("," * len(names) + "\n") * 2


def _french_line(label: object, values: tuple, digits: int = 2) -> str:
    return f"{label}," + ",".join(f"{value:>8.{digits}f}" for value in values) + "\r\n"


def _french_monthly(table: str, frame: pl.DataFrame) -> str:
    """Text, the monthly section, the annual section of compounded returns, the copyright line."""
    names = frame.columns[1:]
    out = StringIO()
    out.write("This file was created by CMPT_ME_BEME_RETS using the simulated database.\r\n")
    out.write("The 1-month TBill return is simulated too.\r\n\r\n")
    out.write("Missing data are indicated by -99.99 or -999.\r\n\r\n," + ",".join(names) + "\r\n")
    for day, *values in frame.iter_rows():
        out.write(_french_line(f"{day:%Y%m}", tuple(values)))
    out.write("\r\n Annual Factors: January-December \r\n," + ",".join(names) + "\r\n")
    for year, *values in _annual(frame).iter_rows():
        out.write(_french_line(f"  {year}", tuple(values)))
    out.write("\r\nCopyright Simulated Data Library\r\n")
    return out.getvalue()


def _annual(frame: pl.DataFrame) -> pl.DataFrame:
    """Calendar-year compounded returns, percent, of the years with twelve months; missing codes stay."""
    names = frame.columns[1:]
    compounded = [
        pl.when((pl.col(name) > -99).all())
        .then(100 * ((1 + pl.col(name) / 100).product() - 1))
        .otherwise(-99.99)
        .alias(name)
        for name in names
    ]
    years = frame.group_by(pl.col("date").dt.year().alias("year")).agg(*compounded, months=pl.len()).sort("year")
    return years.filter(pl.col("months") == 12).drop("months")


def _french_daily(table: str, frame: pl.DataFrame) -> str:
    """Plain table, slashes in the dates."""
    return frame.rename({"date": "Date"}).write_csv(date_format="%Y/%m/%d", line_terminator="\r\n")


def _yyyymm(table: str, frame: pl.DataFrame) -> str:
    """Plain table whose first column is the month as a number."""
    return _numbered(frame).write_csv()


def _predictors(table: str, frame: pl.DataFrame) -> str:
    """Goyal and Welch's monthly sheet: the month as a number, `NaN` where a series has no value."""
    return _numbered(frame).write_csv(null_value="NaN")


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Months as integers yyyymm."""
    return frame.with_columns(pl.col("date").dt.strftime("%Y%m").cast(pl.Int64)).rename({"date": "yyyymm"})


def _q_factors(table: str, frame: pl.DataFrame) -> str:
    """Year and month in two columns."""
    day = pl.col("date")
    keys = (day.dt.year().alias("year"), day.dt.month().alias("month"))
    return frame.select(*keys, *frame.columns[1:]).write_csv(float_precision=4)


def _liquidity(table: str, frame: pl.DataFrame) -> str:
    """Comment lines behind percent signs, then tab-separated columns; -99 written as a whole number."""
    head = ["% SIMULATED LIQUIDITY FACTORS", "% Column 1: Month", "%", "% Month\t" + "\t".join(frame.columns[1:])]
    rows = [
        f"{day:%Y%m}\t" + "\t".join("-99" if value == -99 else f"{value:>12.8f}" for value in values)
        for day, *values in frame.iter_rows()
    ]
    return "\n".join(head + rows) + "\n"


LAYOUTS: dict[str, tuple[str, Callable[[str, pl.DataFrame], str]]] = {
    "bonds.": (".csv", _plain),
    "crsp.": (".csv", _plain),
    "comp.": (".csv", _plain),
    "anomalies/": (".csv", _plain),
    "fisd.": (".csv", _plain),
    "trace.": (".csv", _plain),
    "wrdsapps.": (".csv", _plain),
    "treasury/": (".csv", _plain),
    "fred_md/": (".csv", _fred_md),
    "fred/": (".csv", _fred),
    "prices/": (".csv", _yfinance),
    "french/": (".CSV", _french_monthly),
    "french/F-F_Research_Data_Factors_daily": (".CSV", _french_daily),
    "factors/": (".csv", _yyyymm),
    "factors/q5_factors_monthly": (".csv", _q_factors),
    "factors/liq_data": (".txt", _liquidity),
    "goyal_welch/": (".csv", _predictors),
}
"""Suffix and layout of a table, by the beginning of its name; the longest beginning wins."""
