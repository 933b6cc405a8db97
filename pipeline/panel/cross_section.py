"""The cross-section of a month: winsorising, ranking, counting what is missing.

Each function works month by month on the rows of that month alone, so that a month comes out the same whatever else is
in the frame. Statistics through time live in :mod:`pipeline.panel.windows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, kw_only=True)
class CrossSectionSettings:
    """Quantiles at which a cross-section is winsorised.

    Attributes
    ----------
    lower, upper : float
        Levels of the linear-interpolation quantiles; 0 and 1 leave the values as they are.
    """

    lower: float = 0.01
    upper: float = 0.99

    def __post_init__(self) -> None:
        if not 0.0 <= self.lower < self.upper <= 1.0:
            raise ValueError(f"winsorising needs 0 <= lower < upper <= 1, not {self.lower} and {self.upper}")


def finite(column: str) -> pl.Expr:
    """Return a column with NaN and the infinities as null, under its own name."""
    return pl.when(pl.col(column).is_finite()).then(pl.col(column)).alias(column)


def _by_month(frame: pl.DataFrame, expressions: Sequence[pl.Expr]) -> pl.DataFrame:
    """Add expressions evaluated on one month at a time; rows come back ordered by month, stable within it."""
    parts = frame.partition_by("month", maintain_order=True)
    parts.sort(key=lambda part: part["month"][0])
    return pl.concat([part.with_columns(expressions) for part in parts or [frame]])


def winsorise(
    frame: pl.DataFrame, columns: Sequence[str], settings: CrossSectionSettings | None = None, suffix: str = "_w"
) -> pl.DataFrame:
    """Add every column clipped at the quantiles of its month.

    Parameters
    ----------
    frame : pl.DataFrame
        Column ``month`` and ``columns`` (f64; null where missing, no NaN).
    columns : sequence of str
        What to winsorise.
    settings : CrossSectionSettings, optional
        The quantiles; 1% and 99% by default.
    suffix : str
        Appended to the names; empty to replace the columns.

    Returns
    -------
    pl.DataFrame
        The rows ordered by month. Quantiles are those of the month's non-missing values, linearly interpolated; a
        missing value stays missing.
    """
    settings = settings or CrossSectionSettings()
    return _by_month(
        frame,
        [
            pl.col(column)
            .clip(
                pl.col(column).quantile(settings.lower, interpolation="linear"),
                pl.col(column).quantile(settings.upper, interpolation="linear"),
            )
            .alias(column + suffix)
            for column in columns
        ],
    )


def rank_transform(frame: pl.DataFrame, columns: Sequence[str], suffix: str = "_r") -> pl.DataFrame:
    """Add every column as its rank within the month, mapped to [-0.5, 0.5].

    Parameters
    ----------
    frame : pl.DataFrame
        Column ``month`` and ``columns`` (f64; null where missing, no NaN).
    columns : sequence of str
        What to rank.
    suffix : str
        Appended to the names; empty to replace the columns.

    Returns
    -------
    pl.DataFrame
        The rows ordered by month. A rank is ``(rank - 0.5) / N - 0.5``, ties averaged, N the month's non-missing
        values; a missing value ranks 0, the middle of the cross-section.
    """
    return _by_month(
        frame,
        [
            ((pl.col(column).rank("average") - 0.5) / pl.col(column).count() - 0.5)
            .fill_null(0.0)
            .alias(column + suffix)
            for column in columns
        ],
    )
