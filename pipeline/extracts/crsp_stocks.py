"""CRSP's stock files in both layouts, SIZ (``msf``, ``dsf``, ``msenames``, ``msedelist``) and CIZ (``*_v2``).

Belongs here: columns, keys and codes of the tables as exported. Does not: cleaning (``pipeline.equity``). Returns are
decimals, shares outstanding thousands; volume of ``msf`` is hundreds of shares, of all others shares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.events import end_column, events
from pipeline.extracts.gvkey import GVKEY, gvkey_column, six_digits
from pipeline.extracts.parsing import month_of
from pipeline.extracts.table import Column, Table, Tabular, View

RETURN_CODES = (-44.0, -55.0, -66.0, -77.0, -88.0, -99.0)
"""Reasons, written as numbers, for which a return is missing; letters say them in other exports."""

VOLUME_CODES = (-99.0,)

_IDENTIFIERS = {"permno", "permco", "shrcd", "exchcd", "siccd", "dlstcd", "lpermno", "lpermco"}
_RETURNS = {"ret", "retx", "dlret", "mthret", "mthretx", "delret", "dlyret"}
_VOLUMES = {"vol", "mthvol", "dlyvol"}


def _column(name: str, kind: str) -> Column:
    if name in _RETURNS:
        return Column(name=name, kind="number", missing=RETURN_CODES, letters=True)
    if name in _VOLUMES:
        return Column(name=name, kind="number", missing=VOLUME_CODES)
    return Column(name=name, kind=kind, letters=kind == "date", whole=name in _IDENTIFIERS)  # type: ignore[arg-type]


def _cast(block: pl.DataFrame) -> pl.DataFrame:
    """Turn identifiers into integers: the reader gives every number as a decimal one."""
    return block.with_columns(pl.col(name).cast(pl.Int64) for name in block.columns if name in _IDENTIFIERS)


def _schema(  # type: ignore[no-untyped-def]
    stem: str,
    keys: Sequence[str],
    date: str,
    texts: Sequence[str],
    numbers: Sequence[str],
    own_columns: Mapping[str, dy.Column] | None = None,
):
    given = {date: dy.Date(primary_key=date in keys), **(own_columns or {})}
    columns: dict[str, dy.Column] = {"month": dy.Date(primary_key="month" in keys)}
    for column in (*keys, *given, *texts, *numbers):
        if column in columns:
            continue
        own = column in keys
        if column in given:
            columns[column] = given[column]
        elif column in texts:
            columns[column] = dy.String(primary_key=own, nullable=not own)
        elif column in _IDENTIFIERS:
            columns[column] = dy.Int64(primary_key=own, nullable=not own)
        else:
            bound = -1.0 if column in _RETURNS else 0.0 if column in _VOLUMES or column == "shrout" else None
            columns[column] = dy.Float64(nullable=True, min=bound)
    return type(stem.replace(".", "_").title(), (dy.Schema,), columns)


def _dated(day: str) -> Callable[[pl.DataFrame, tuple[Path, ...]], pl.DataFrame]:
    def derive(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
        return _cast(block).with_columns(month=month_of(pl.col(day)))

    return derive


def _table(
    stem: str,
    key: tuple[str, ...],
    day: str,
    numbers: Sequence[str],
    texts: Sequence[str] = (),
    *,
    by_month: bool = True,
    snapshot: bool = False,
) -> Tabular:
    """Describe a table of dated rows; a snapshot has one row a month for each of the key's other columns."""
    staged_key = tuple("month" if snapshot and name == day else name for name in key)
    table = Table(
        name=stem,
        key=staged_key,
        schema=_schema(stem, staged_key, day, texts, numbers),
        by_month=by_month,
        snapshot=snapshot,
        published={"month": day},
    )
    names = [name for name in (*key, *numbers) if name != day]
    return Tabular(
        stem=stem,
        columns=(
            _column(day, "date"),
            *(_column(name, "number") for name in names),
            *(_column(name, "text") for name in texts),
        ),
        date=day,
        views=(View(table=table, derive=_dated(day)),),
    )


def _intervals(
    stem: str, key: tuple[str, ...], start: str, end: str, numbers: Sequence[str], texts: Sequence[str]
) -> Tabular:
    """Describe a table of intervals, which is staged as events."""
    own = (GVKEY,) if GVKEY.name in key else ()
    columns: dict[str, dy.Column] = {end: end_column(start)}
    if own:
        columns[GVKEY.name] = gvkey_column()
    schema = _schema(stem, (*key, "event"), start, ("event", *texts), numbers, columns)

    def derive(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
        known = _cast(block).filter(pl.col(name).is_not_null() for name in key if name.endswith("permno"))
        if own:
            known = known.with_columns(six_digits(GVKEY.name))
        return events(known, key, start, end)

    numeric = [name for name in (*key, *numbers) if name not in (start, GVKEY.name)]
    return Tabular(
        stem=stem,
        columns=(
            _column(start, "date"),
            _column(end, "date"),
            *(_column(name, "number") for name in numeric),
            *own,
            *(_column(name, "text") for name in texts),
        ),
        date=start,
        views=(View(table=Table(name=stem, key=(*key, "event"), schema=schema), derive=derive),),
    )


TABULARS = (
    _table(
        "crsp.msf",
        ("permno", "date"),
        "date",
        ("permco", "prc", "ret", "retx", "shrout", "vol", "cfacpr", "cfacshr"),
        snapshot=True,
    ),
    _table(
        "crsp.dsf",
        ("permno", "date"),
        "date",
        ("prc", "ret", "vol", "shrout", "bid", "ask", "askhi", "bidlo", "cfacpr", "cfacshr"),
    ),
    _table("crsp.msedelist", ("permno", "dlstdt"), "dlstdt", ("dlstcd", "dlret"), by_month=False),
    _intervals(
        "crsp.msenames",
        ("permno", "namedt"),
        "namedt",
        "nameendt",
        ("shrcd", "exchcd", "siccd"),
        ("ncusip", "ticker", "comnam"),
    ),
    _table(
        "crsp.msf_v2",
        ("permno", "mthcaldt"),
        "mthcaldt",
        (
            "permco",
            "mthprc",
            "mthret",
            "mthretx",
            "mthvol",
            "shrout",
            "mthcap",
            "mthcumfacpr",
            "mthcumfacshr",
            "siccd",
        ),
        (
            "mthretflg",
            "sharetype",
            "securitytype",
            "securitysubtype",
            "usincflg",
            "issuertype",
            "primaryexch",
            "conditionaltype",
            "tradingstatusflg",
            "cusip",
            "ticker",
            "issuernm",
        ),
        snapshot=True,
    ),
    _table(
        "crsp.dsf_v2",
        ("permno", "dlycaldt"),
        "dlycaldt",
        ("dlyprc", "dlyret", "dlyvol", "shrout", "dlybid", "dlyask", "dlyhigh", "dlylow", "dlycumfacpr"),
        ("primaryexch",),
    ),
    _table(
        "crsp.stkdelists",
        ("permno", "delistingdt"),
        "delistingdt",
        ("delret",),
        ("delreasontype", "delactiontype", "delstatustype"),
        by_month=False,
    ),
    _intervals(
        "crsp.ccmxpf_lnkhist",
        ("gvkey", "lpermno", "linkdt"),
        "linkdt",
        "linkenddt",
        ("lpermco",),
        ("linktype", "linkprim"),
    ),
)
