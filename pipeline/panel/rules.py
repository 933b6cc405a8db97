"""Holding a frame against the rules of a dataframely schema, quickly where nothing is wrong.

Belongs here: the yes or no. Does not: which rows break which rule, and its words (``pipeline.extracts.validation`` for
vendor tables, ``assets.contract`` for partitions).
"""

from __future__ import annotations

from functools import cache

import dataframely as dy
import polars as pl


def holds(schema: type[dy.Schema], frame: pl.DataFrame) -> bool:
    """Whether a frame has the columns and types of a schema and keeps every rule, of rows and of groups of rows.

    ``Schema.is_valid`` answers the same, but takes forty times as long as the rules themselves: here all of them are
    one select. A rule that gives null counts as kept, as dataframely has it.

    Parameters
    ----------
    schema : type of dataframely.Schema
        The schema; its columns in any order.
    frame : polars.DataFrame
        Columns beyond the schema's are not looked at.

    Returns
    -------
    bool
        False, too, where a column is missing or has another type.
    """
    types = frame.schema
    if not all(name in types and column.validate_dtype(types[name]) for name, column in _columns(schema).items()):
        return False
    return all(frame.select(_kept(schema)).row(0)) if frame.height else True


@cache
def _columns(schema: type[dy.Schema]) -> dict[str, dy.Column]:
    # Dataframely collects them from the classes each time.
    return schema.columns()


@cache
def _kept(schema: type[dy.Schema]) -> list[pl.Expr]:
    # The one list that has the key's rule and those of ``dy.rule`` beside the columns'; dataframely names it privately.
    rules = schema._validation_rules(with_cast=False)
    return [rule.expr.all().alias(name) for name, rule in rules.items()]
