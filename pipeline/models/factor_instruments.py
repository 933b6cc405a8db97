"""Factor instruments: what the factors of conditional models are functions of, month by month.

Here belongs the choice of series and the rule for one that is not on disk. Centring on the estimation window is the
estimator's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipeline.models.factor_model import MonthlySeries

EMPIRICAL, MACRO, PREDICTORS = "empirical", "macro", "predictors"

INSTRUMENTS: Mapping[str, tuple[str, ...]] = {
    EMPIRICAL: ("mkt_rf", "smb", "hml", "hml_devil", "rmw", "cma", "wml", "q_me", "q_ia", "q_roe"),
    MACRO: (
        "INDPRO",
        "PAYEMS",
        "UNRATE",
        "HOUST",
        "M2SL",
        "CPIAUCSL",
        "FEDFUNDS",
        "T10YFFM",
        "BAAFFM",
        "S&P 500",
    ),
    PREDICTORS: ("dp", "bm", "ntis", "tms", "dfy", "svar"),
}
"""Ten empirical asset pricing factors (the appendix of the source that names its ten is not public; table 7 and the
text name most); ten series of FRED-MD, transformed, one or two of each of its groups, as known in the month; or the
predictors of Goyal and Welch (2008)."""

STAND_INS: Mapping[str, str] = {"hml_devil": "q_eg"}
"""What takes the place of a series that is not there when a sample could begin."""


@dataclass(frozen=True, kw_only=True)
class FactorInstrumentSettings:
    """Which series the factors of conditional models are functions of.

    Attributes
    ----------
    source : str
        ``empirical``, ``macro`` or ``predictors``; see :data:`INSTRUMENTS`.
    """

    source: str = EMPIRICAL

    def __post_init__(self) -> None:
        """Refuse a source that does not exist."""
        if self.source not in INSTRUMENTS:
            raise ValueError(f"source is {self.source!r}; there are {', '.join(INSTRUMENTS)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The series in their order."""
        return INSTRUMENTS[self.source]


def factor_instruments(
    series: pl.DataFrame, months: Sequence[date], settings: FactorInstrumentSettings
) -> pl.DataFrame:
    """Select the instruments of each month.

    Parameters
    ----------
    series : pl.DataFrame
        `month` and the series of the source and its stand-ins, decimals; all months up to the last of `months`, from
        the earliest on.
    months : sequence of date
        Months to give.
    settings : FactorInstrumentSettings
        Which series.

    Returns
    -------
    pl.DataFrame
        `month`, the series, and `stand_in`: the months in which a series is replaced by its stand-in under its own
        name say so here; null where nothing is replaced. One row a month, null where a series has no value.

    Raises
    ------
    ValueError
        If a series is not in the source at all.

    Notes
    -----
    A series and its stand-in are never mixed in one sample. Samples begin when all instruments have begun. If in the
    first month in which they could, with the stand-in for one of them, that one has not begun itself, then the stand-in
    is taken for good, also after the series has begun; otherwise never, also not where the series ends early. The
    choice is the same in every month from then on and depends on no later one.
    """
    stand_ins = {name: STAND_INS[name] for name in settings.names if name in STAND_INS}
    absent = [name for name in (*settings.names, *stand_ins.values()) if name not in series.columns]
    if absent:
        raise ValueError(
            f"the series {absent} of the {settings.source} instruments are not in their source, which has "
            f"{[name for name in series.columns if name != 'month']}; choose another source in [factor_instruments]"
        )
    calendar = pl.DataFrame({"month": list(months)}, schema={"month": pl.Date()})
    ordered = series.join(calendar, on="month", how="full", coalesce=True).sort("month")
    given_up = {name: _stood_in(name, other, settings.names) for name, other in stand_ins.items()}
    replaced = [
        pl.when(given_up[name]).then(pl.col(other)).otherwise(pl.col(name)).alias(name)
        for name, other in stand_ins.items()
    ]
    notes = [
        pl.when(given_up[name] & pl.col(other).is_not_null()).then(pl.lit(f"{other} for {name}"))
        for name, other in stand_ins.items()
    ]
    stand_in = pl.concat_str(notes, separator=", ", ignore_nulls=True) if notes else pl.lit("")
    named = ordered.with_columns(*replaced, pl.when(stand_in != "").then(stand_in).alias("stand_in"))
    return named.filter(pl.col("month").is_in(list(months))).select("month", *settings.names, "stand_in")


def _stood_in(name: str, other: str, names: Sequence[str]) -> pl.Expr:
    """Say from which month on ``other`` stands for ``name``: all else had begun by it, ``name`` had not."""
    begun = {each: pl.col(each).is_not_null().cum_sum() > 0 for each in (*names, other)}
    rest = [seen for each, seen in begun.items() if each != name and (each == other or each not in STAND_INS)]
    return (pl.all_horizontal(rest) & ~begun[name]).cum_sum() > 0


def instrument_series(frame: pl.DataFrame, names: Sequence[str], months: Sequence[date]) -> MonthlySeries:
    """Return the instruments of some months as arrays.

    Raises
    ------
    ValueError
        If a series is not a column, or none of the months is there, as where they are not first days of months.
    """
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise ValueError(f"the series {absent} are not in the table, which has {frame.columns}")
    if months and not set(months) & set(frame["month"]):
        raise ValueError(
            f"none of the months from {min(months)} to {max(months)} is in the table of instruments; a month is named "
            "by its first day"
        )
    rows = pl.DataFrame({"month": list(months)}, schema={"month": pl.Date()}).join(frame, on="month", how="left")
    values = rows.sort("month").select(pl.col(list(names)).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    return MonthlySeries(months=tuple(sorted(months)), names=tuple(names), values=values)
