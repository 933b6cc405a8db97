"""FRED-MD: transformation codes, publication lags, the vintage of a month, and what was known of each series.

Here belongs everything about one vintage and its series. Factors estimated on all series together are in
``pipeline.macro.macro_factors``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib import resources

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.macro.monthly import difference, lagged, log_of_positive, wanted_months
from pipeline.panel.calendar import month_number, month_number_expr, month_of

Values = NDArray[np.float64]

_FRED_MD_SCHEMA = {
    "month": pl.Date,
    "series": pl.String,
    "reference_month": pl.Date,
    "tcode": pl.Int8,
    "value": pl.Float64,
    "vintage": pl.String,
}

#: Publication lag of a series that nobody has classified: late rather than early, so that nothing is used before it
#: was published.
UNKNOWN_LAG = 2


@cache
def publication_lags() -> Mapping[str, int]:
    """Read the registry of publication lags.

    A lag is the number of months between the end of a reference month and the month whose vintage first holds it.

    It is a property of the series, not of a file: cut at an earlier month, a file would show another ragged edge than
    its own. The numbers are the ragged edge of published vintages.

    Returns
    -------
    mapping of str to int
        Series to months.
    """
    text = resources.files("pipeline.macro").joinpath("publication_lags.csv").read_text(encoding="utf-8")
    return {row["series"]: int(row["lag_months"]) for row in csv.DictReader(text.splitlines())}


@dataclass(frozen=True, kw_only=True)
class FredMdSettings:
    """Settings of :func:`fred_md`.

    Attributes
    ----------
    lags : mapping of str to int
        Publication lag of a series in months; the registry of the package by default.
    unknown_lag : int
        Lag of a series not in ``lags``.
    """

    lags: Mapping[str, int] = field(default_factory=lambda: dict(publication_lags()))
    unknown_lag: int = UNKNOWN_LAG

    def __post_init__(self) -> None:
        if min([*self.lags.values(), self.unknown_lag]) < 0:
            raise ValueError("a publication lag below 0 would use values before their month")

    def lag(self, series: str) -> int:
        """Publication lag of a series, months."""
        return self.lags.get(series, self.unknown_lag)


def _growth(values: Values) -> Values:
    before = lagged(values, 1)
    return values / np.where(before == 0, np.nan, before) - 1.0


#: Transformation code -> function of a (T,) series (McCracken and Ng 2016, appendix).
TRANSFORMATIONS: Mapping[int, Callable[[Values], Values]] = {
    1: lambda x: x.copy(),
    2: difference,
    3: lambda x: difference(difference(x)),
    4: log_of_positive,
    5: lambda x: difference(log_of_positive(x)),
    6: lambda x: difference(difference(log_of_positive(x))),
    7: lambda x: difference(_growth(x)),
}


def transform(values: Values, tcode: int) -> Values:
    """Apply a FRED-MD transformation code.

    1: level; 2: first difference; 3: second difference; 4: log; 5: difference of log; 6: second difference of log; 7:
    difference of the growth rate ``x[t]/x[t-1] - 1``.

    Parameters
    ----------
    values : (T,) float
        One series on consecutive calendar months; NaN is missing.
    tcode : int
        Code 1 to 7.

    Returns
    -------
    (T,) float
        Transformed values; NaN where an input is missing, a log is taken of a value not above 0, or growth from 0.

    Raises
    ------
    ValueError
        If the code is unknown.

    References
    ----------
    McCracken and Ng (2016), FRED-MD: A Monthly Database for Macroeconomic Research, JBES 34.
    """
    if tcode not in TRANSFORMATIONS:
        raise ValueError(f"transformation code {tcode} is not one of {', '.join(map(str, TRANSFORMATIONS))}")
    return TRANSFORMATIONS[tcode](np.asarray(values, dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class VintagePanel:
    """A vintage, transformed.

    Attributes
    ----------
    label : str
        ``YYYY-MM`` of the vintage.
    months : tuple of date
        T consecutive reference months.
    series : tuple of str
        N names, sorted.
    tcodes : (N,) int8
        Transformation codes.
    values : (T, N) float
        Transformed values; NaN is missing.
    """

    label: str
    months: tuple[date, ...]
    series: tuple[str, ...]
    tcodes: NDArray[np.int8]
    values: Values


def vintage_panel(label: str, frame: pl.DataFrame) -> VintagePanel:
    """Arrange a staged vintage as a matrix and transform it.

    Parameters
    ----------
    label : str
        ``YYYY-MM`` of the vintage, for messages and for the result.
    frame : DataFrame
        ``month, series, tcode, value``; months may be missing, values null. At least one value.

    Returns
    -------
    VintagePanel
        All months and series that have a value.

    Raises
    ------
    ValueError
        If a month of a series has several rows, or a code is not 1 to 7.
    """
    seen = frame.filter(pl.col("value").is_not_null()).sort("series", "month")
    repeated = seen.filter(pl.struct("series", "month").is_duplicated())
    if len(repeated):
        where = f"{repeated['series'][0]} in {repeated['month'][0]:%Y-%m}"
        raise ValueError(f"FRED-MD vintage {label}: {len(repeated)} rows repeat a month, first {where}: keep one")
    # A code stands in the head of the file; the earliest row of the series carries it whatever later rows say.
    codes = seen.group_by("series", maintain_order=True).agg(pl.col("tcode").first())
    wrong = codes.filter(~pl.col("tcode").is_in(list(TRANSFORMATIONS)) | pl.col("tcode").is_null())
    if len(wrong):
        raise ValueError(f"FRED-MD vintage {label}: no code 1 to 7 for {', '.join(wrong['series'].to_list()[:5])}")
    number = seen.select(month_number_expr()).to_series().to_numpy()
    first, last = int(number.min()), int(number.max())
    raw = np.full((len(codes), last - first + 1), np.nan)
    raw[seen["series"].rle_id().to_numpy(), number - first] = seen["value"].to_numpy()
    tcodes = codes["tcode"].to_numpy().astype(np.int8)
    values = np.column_stack([transform(raw[k], int(code)) for k, code in enumerate(tcodes)])
    return VintagePanel(
        label=label,
        months=tuple(month_of(k) for k in range(first, last + 1)),
        series=tuple(codes["series"]),
        tcodes=tcodes,
        values=np.ascontiguousarray(values),
    )


def vintage_of_month(month: date, labels: Iterable[str]) -> str | None:
    """Choose the vintage that stands for a month: the one published in it, else the earliest dated after it.

    Parameters
    ----------
    month : date
        The month m.
    labels : iterable of str
        Vintages there are, ``YYYY-MM``.

    Returns
    -------
    str or None
        Its label; None when every vintage is older than m, for an older vintage lacks what was published since and is
        never used silently.
    """
    return min((label for label in labels if label >= f"{month:%Y-%m}"), default=None)


def known_values(panel: VintagePanel, month: date, settings: FredMdSettings) -> Values:
    """Cut a vintage to what was published by the end of a month.

    Parameters
    ----------
    panel : VintagePanel
        T months, N series.
    month : date
        The month m.
    settings : FredMdSettings
        Publication lags.

    Returns
    -------
    (S, N) float
        The first S months of the panel, up to m; NaN where a value is missing or after m less the lag of its series.
    """
    span = month_number(month) - month_number(panel.months[0])
    known = panel.values[: max(0, min(len(panel.months), span + 1))].copy()
    newest = np.array([span - settings.lag(name) for name in panel.series])
    known[np.arange(len(known))[:, None] > newest] = np.nan
    return known


def panels_of_months(vintages: Mapping[str, pl.DataFrame], months: Sequence[date]) -> dict[date, VintagePanel]:
    """Transform the vintage of every month that has one.

    Parameters
    ----------
    vintages : mapping of str to DataFrame
        Label ``YYYY-MM`` to the staged vintage.
    months : sequence of date
        Months wanted.

    Returns
    -------
    dict of date to VintagePanel
        Months without a vintage (all are older), or whose vintage holds no value at all, are absent.
    """
    label_of = {m: vintage_of_month(m, vintages) for m in wanted_months(months)}
    with_values = {label for label in label_of.values() if label and vintages[label]["value"].count()}
    panels = {label: vintage_panel(label, vintages[label]) for label in with_values}
    return {m: panels[label] for m, label in label_of.items() if label in panels}


def fred_md(
    vintages: Mapping[str, pl.DataFrame], months: Sequence[date], settings: FredMdSettings | None = None
) -> pl.DataFrame:
    """Newest transformed observation of every series, as known at the end of each month.

    The vintage is the one published in the month, else the earliest published after it; either way a series is cut at
    m less its own publication lag, and the newest transformed value at or before that is taken.

    Parameters
    ----------
    vintages : mapping of str to DataFrame
        Label ``YYYY-MM`` to the staged vintage ``month, series, tcode, value``. Rows after m do not matter to m.
    months : sequence of date
        Months wanted.
    settings : FredMdSettings, optional
        Publication lags.

    Returns
    -------
    DataFrame
        ``month, series, reference_month, tcode, value, vintage`` sorted by month and series. A series that the
        vintage lacks, or that has no transformed value yet, has no row; a month later than the newest vintage has
        none at all.
    """
    settings = settings or FredMdSettings()
    blocks = []
    for month, panel in panels_of_months(vintages, months).items():
        known = known_values(panel, month, settings)
        seen = np.isfinite(known)
        kept = np.flatnonzero(seen.any(axis=0))
        if not len(kept):
            continue
        row = len(known) - 1 - seen[::-1, kept].argmax(axis=0)
        blocks.append(
            pl.DataFrame(
                {
                    "month": [month] * len(kept),
                    "series": [panel.series[k] for k in kept],
                    "reference_month": [panel.months[r] for r in row],
                    "tcode": panel.tcodes[kept],
                    "value": known[row, kept],
                    "vintage": [panel.label] * len(kept),
                },
                schema=_FRED_MD_SCHEMA,
            )
        )
    return pl.concat(blocks) if blocks else pl.DataFrame(schema=_FRED_MD_SCHEMA)
