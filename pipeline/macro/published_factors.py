"""Macro factors of a whole sample: components of everything published up to a month, and how many there are.

Here belongs what is estimated once on the months up to one and then used for all of them, as regressions and kernels in
sample do. Factors as each month knew them are those of ``pipeline.macro.macro_factors``, whose estimator this uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from pipeline.macro.macro_factors import (
    CleanedPanel,
    FactorEstimate,
    MacroFactorSettings,
    estimate_factors,
    factor_counts,
)

COUNTS_SCHEMA = {
    "month": pl.Date(),
    "criterion": pl.String(),
    "penalty_scale": pl.Float64(),
    "most": pl.Int64(),
    "n_factors": pl.Int64(),
    "explained": pl.Float64(),
    "n_series": pl.Int64(),
    "n_months": pl.Int64(),
}


@dataclass(frozen=True, kw_only=True)
class PublishedFactors:
    """Factors of what was published month by month, estimated on all months up to one.

    Attributes
    ----------
    months : tuple of date
        The T months at whose ends the series were known.
    estimate : FactorEstimate
        Factors (T, K) and what belongs to them.
    """

    months: tuple[date, ...]
    estimate: FactorEstimate

    @property
    def n_series(self) -> int:
        """Series in the panel."""
        return len(self.estimate.loadings)

    @property
    def n_factors(self) -> int:
        """K, fewer than were asked for where the panel is too small for more."""
        return self.estimate.factors.shape[1]

    def frame(self, n_factors: int) -> pl.DataFrame:
        """Give ``month, pc_1 .. pc_<n_factors>``."""
        scores = {f"pc_{k}": self.estimate.factors[:, k - 1] for k in range(1, n_factors + 1)}
        return pl.DataFrame({"month": self.months, **scores}, schema_overrides={"month": pl.Date})


def factors_of_published(
    published: pl.DataFrame, month: date, n_factors: int, settings: MacroFactorSettings | None = None
) -> PublishedFactors | None:
    """Estimate factors of all months up to one on the newest observations known in each of them.

    They use the whole sample up to ``month``: the score of an earlier month rests on loadings that were not known then.
    Real-time scores, each from an estimate of its own month, are those of :func:`macro_factors`.

    Parameters
    ----------
    published : DataFrame
        ``month, series, value``: the newest transformed observation of each series known at the end of the month, as
        :func:`pipeline.macro.fred_md.fred_md` gives it. Rows after ``month`` do not matter.
    month : date
        Last month of the sample.
    n_factors : int
        Factors wanted; one fewer than series or months at most are estimated.
    settings : MacroFactorSettings, optional
        Outliers, EM, criterion and smallest panel; its own ``n_factors`` is not read.

    Returns
    -------
    PublishedFactors or None
        None where the panel is smaller than the settings ask.
    """
    settings = settings or MacroFactorSettings()
    known = published.filter(pl.col("month") <= month).sort("series", "month")
    if known.is_empty():
        return None
    wide = known.pivot("series", index="month", values="value").sort("month")
    cleaned = CleanedPanel.of(wide.drop("month").to_numpy().astype(np.float64), settings)
    n_months, n_series = cleaned.values.shape
    if n_months < settings.min_months or n_series < settings.min_series:
        return None
    carried = min(n_factors, n_months - 1, n_series - 1)
    whole = replace(settings, n_factors=carried, min_months=n_months, min_series=n_series)
    return PublishedFactors(
        months=tuple(wide["month"].gather(cleaned.months)), estimate=estimate_factors(cleaned.values, whole)
    )


def published_counts(
    published: pl.DataFrame, month: date, most: Sequence[int], settings: MacroFactorSettings | None = None
) -> pl.DataFrame:
    """Count the factors by the criteria of Bai and Ng with scaled penalties, for several largest numbers.

    The criteria in levels scale their penalty by the residual variance with the most factors, so that their answer
    depends on how many are allowed; the source of the networks finds 45 factors, and 30 when 39 are allowed.

    Parameters
    ----------
    published, month, settings
        As in :func:`factors_of_published`.
    most : sequence of int
        Largest numbers allowed.

    Returns
    -------
    DataFrame
        ``COUNTS_SCHEMA``: ``n_factors`` chosen by each criterion and scale and the share of the panel's variance that
        they explain, null where the panel carries fewer than ``most`` factors; no rows where it is smaller than the
        settings ask.

    References
    ----------
    Bai and Ng (2002), Determining the Number of Factors in Approximate Factor Models, Econometrica 70.
    """
    blocks = []
    for each in most:
        factors = factors_of_published(published, month, each, settings)
        if factors is None:
            continue
        chosen = pl.when(factors.n_factors == each).then("n_factors")
        shares = pl.Series([0.0, *np.cumsum(factors.estimate.explained)])
        counts = factor_counts(factors.estimate).select(
            pl.lit(month).alias("month"),
            "criterion",
            pl.col("scale").alias("penalty_scale"),
            pl.lit(each, pl.Int64).alias("most"),
            chosen.alias("n_factors"),
            pl.lit(shares).gather(chosen).alias("explained"),
            pl.lit(factors.n_series, pl.Int64).alias("n_series"),
            pl.lit(len(factors.months), pl.Int64).alias("n_months"),
        )
        blocks.append(counts)
    return pl.concat(blocks) if blocks else pl.DataFrame(schema=COUNTS_SCHEMA)
