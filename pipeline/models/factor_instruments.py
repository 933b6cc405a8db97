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
"""What takes the place of a series whose file is not there."""


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
        `month` and the series of the source and its stand-ins, decimals; all months up to the last of `months`.
    months : sequence of date
        Months to give.
    settings : FactorInstrumentSettings
        Which series.

    Returns
    -------
    pl.DataFrame
        `month`, the series, and `stand_in`: a series that has no value up to this month is replaced by its stand-in
        under its own name, and this column says so; null where nothing is replaced. One row a month, null where a
        series has no value.

    Raises
    ------
    ValueError
        If a series is not in the source at all.
    """
    absent = [name for name in settings.names if name not in series.columns and name not in STAND_INS]
    if absent:
        raise ValueError(f"the series {absent} of the {settings.source} instruments are not in their source")
    calendar = pl.DataFrame({"month": list(months)}, schema={"month": pl.Date()})
    ordered = series.join(calendar, on="month", how="full", coalesce=True).sort("month")
    ever = {name: pl.col(name).is_not_null().cum_sum() > 0 for name in settings.names if name in STAND_INS}
    replaced = [
        pl.when(seen).then(pl.col(name)).otherwise(pl.col(STAND_INS[name])).alias(name) for name, seen in ever.items()
    ]
    notes = [
        pl.when(~seen & pl.col(STAND_INS[name]).is_not_null()).then(pl.lit(f"{STAND_INS[name]} for {name}"))
        for name, seen in ever.items()
    ]
    stand_in = pl.concat_str(notes, separator=", ", ignore_nulls=True) if notes else pl.lit("")
    named = ordered.with_columns(*replaced, pl.when(stand_in != "").then(stand_in).alias("stand_in"))
    return named.filter(pl.col("month").is_in(list(months))).select("month", *settings.names, "stand_in")


def instrument_series(frame: pl.DataFrame, names: Sequence[str], months: Sequence[date]) -> MonthlySeries:
    """Return the instruments of some months as arrays.

    Raises
    ------
    ValueError
        If a month is not there or a series is missing in it.
    """
    rows = pl.DataFrame({"month": list(months)}, schema={"month": pl.Date()}).join(frame, on="month", how="left")
    values = rows.sort("month").select(pl.col(list(names)).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    return MonthlySeries(months=tuple(sorted(months)), names=tuple(names), values=values)
