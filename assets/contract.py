"""Holding a frame against its schema before it is written.

Belongs here: the check and its words. Does not: the schemas (``assets.schemas``).
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache

import dataframely as dy
import polars as pl

from pipeline.panel.rules import holds


class InvalidRows(ValueError):
    """Rows break the schema of their asset."""


def validated(name: str, schema: type[dy.Schema], frame: pl.DataFrame) -> pl.DataFrame:
    """Cast a frame to the schema of an asset.

    Raises
    ------
    InvalidRows
        Where a column is missing or rows break a rule, naming the rules, how many rows break each, and the first ones.
    """
    with suppress(pl.exceptions.PolarsError, dy.exc.SchemaError):
        cast = frame if frame.schema == _types(schema) else schema.cast(frame)
        if holds(schema, cast):
            return cast
    raise InvalidRows(f"{name}: {broken_rules(schema, frame)}. Nothing was written.")


@cache
def primary_key(schema: type[dy.Schema]) -> list[str]:
    """Columns that identify a row; a build asks for them with every partition."""
    return schema.primary_key()


@cache
def _types(schema: type[dy.Schema]) -> pl.Schema:
    """Columns in their order and types, which most frames have as they come."""
    return schema.create_empty().schema


def broken_rules(schema: type[dy.Schema], frame: pl.DataFrame) -> str:
    """Say which rules how many rows break, and which rows are the first."""
    try:
        _, failures = schema.filter(frame, cast=True)
    except dy.exc.SchemaError as error:
        return str(error).splitlines()[0]
    rules = "; ".join(f"{count} row(s) break {rule}" for rule, count in sorted(failures.counts().items()))
    return f"{rules}; first {failures.invalid().select(primary_key(schema)).head(5).rows()}"
