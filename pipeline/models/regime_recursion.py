"""Market regimes month by month: parameters estimated now and then, probabilities filtered every month.

Here belongs what is carried from one month to the next. How states are estimated stands in ``pipeline.models.regimes``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipeline.models.estimation_sample import complete_months, portfolios_of_sample
from pipeline.models.linear_settings import RegimeSettings
from pipeline.models.linear_tables import REGIMES_SCHEMA
from pipeline.models.regimes import Regimes, estimate_regimes
from pipeline.models.storage import below


@dataclass(frozen=True, kw_only=True)
class CarriedRegimes:
    """An estimated chain and what it was estimated on.

    Attributes
    ----------
    regimes : Regimes
        The chain.
    portfolios : tuple of str
        In the order of its columns.
    estimated_in : date
        Month in which it was estimated; the last month of its sample is an earlier one where a portfolio had no return
        in it.
    """

    regimes: Regimes
    portfolios: tuple[str, ...]
    estimated_in: date

    def rows(self, returns: pl.DataFrame, month: date) -> pl.DataFrame:
        """Give the states with their probabilities of a month; see :func:`regimes_of_month`."""
        sample = complete_months(returns, self.portfolios, month)
        values = _values(sample)
        described = self.regimes.description(values)
        there = sample.height > 0 and sample["month"][-1] == month
        now = self.regimes.filtered(values)[-1] if there else [None] * self.regimes.n_states
        return described.select(
            pl.lit(month).alias("month"),
            pl.lit(self.regimes.n_states, pl.Int64).alias("n_states"),
            "state",
            pl.Series("probability", now, dtype=pl.Float64),
            "mean",
            "volatility",
            "largest_eigenvalue",
            "expected_months",
            pl.lit(self.regimes.log_likelihood).alias("log_likelihood"),
            pl.lit(self.regimes.converged).alias("converged"),
            pl.lit(self.regimes.n_months, pl.Int64).alias("n_months"),
            pl.lit(self.estimated_in).alias("estimated_in"),
        )


Carried = Mapping[int, CarriedRegimes]
"""By number of states."""


def regimes_of_month(
    returns: pl.DataFrame, month: date, carried: Carried, due: bool, settings: RegimeSettings | None = None
) -> tuple[pl.DataFrame, Carried]:
    """Filter the probabilities of a month, under new parameters where they are due.

    Parameters
    ----------
    returns : pl.DataFrame
        `month`, `asset_id`, `ret`: returns of the portfolios, decimals; null is missing. Rows after `month` do not
        matter.
    month : date
        Month wanted.
    carried : mapping of int to CarriedRegimes
        What the month before left; empty where nothing has been estimated.
    due : bool
        Whether the parameters are estimated in this month: on the portfolios with at least `min_months` returns and one
        in the last 12 months (:func:`pipeline.models.estimation_sample.portfolios_of_sample`), in the months in which
        all of these have one. Where these are fewer than `start_months` for each state what there was is carried on.
    settings : RegimeSettings, optional
        Numbers of states, fewest months, EM.

    Returns
    -------
    pl.DataFrame
        `REGIMES_SCHEMA`, one row a state: its filtered `probability`, null where a portfolio has no return in the
        month; `mean` and `volatility` of the equally weighted portfolio within it, monthly decimals; what else is known
        of the estimate, `estimated_in` being the month in which it was made. No rows before the first estimate.
    mapping of int to CarriedRegimes
        For the next month.

    Notes
    -----
    A month in which a portfolio has no return is left out and the months around it are taken as adjacent: the chain
    makes one step from the one to the other, in the estimate as in the filter.
    """
    settings = settings or RegimeSettings()
    known = returns.filter(pl.col("month") <= month).drop_nulls("ret")
    if due:
        carried = {**carried, **_estimated(known, month, settings)}
    blocks = [carried[n_states].rows(known, month) for n_states in sorted(carried)]
    return pl.concat(blocks) if blocks else pl.DataFrame(schema=REGIMES_SCHEMA), carried


def _estimated(known: pl.DataFrame, month: date, settings: RegimeSettings) -> dict[int, CarriedRegimes]:
    portfolios = portfolios_of_sample(known, month, settings.min_months)
    if not portfolios:
        return {}
    sample = complete_months(known, portfolios, month)
    values = _values(sample)
    return {
        n_states: CarriedRegimes(
            regimes=estimate_regimes(values, n_states, settings), portfolios=portfolios, estimated_in=month
        )
        for n_states in settings.n_states
        if sample.height >= n_states * settings.start_months
    }


def _values(sample: pl.DataFrame) -> np.ndarray:
    return np.ascontiguousarray(sample.drop("month").to_numpy())


def to_arrays(carried: Carried) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what is carried as named arrays and named strings, without loss of precision."""
    arrays: dict[str, np.ndarray] = {}
    text: dict[str, str] = {}
    for n_states, each in carried.items():
        own, words = each.regimes.to_arrays()
        arrays |= {f"{n_states}.{name}": value for name, value in own.items()}
        text |= {f"{n_states}.{name}": value for name, value in words.items()}
        text[f"{n_states}.sample"] = json.dumps([each.estimated_in.isoformat(), *each.portfolios])
    return arrays, text


def from_arrays(arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> Carried:
    """Rebuild what :func:`to_arrays` gave."""
    carried = {}
    for n_states in sorted({int(name.split(".")[0]) for name in text}):
        own, words = below(arrays, f"{n_states}."), below(text, f"{n_states}.")
        estimated_in, *portfolios = json.loads(words["sample"])
        carried[n_states] = CarriedRegimes(
            regimes=Regimes.from_arrays(own, words),
            portfolios=tuple(portfolios),
            estimated_in=date.fromisoformat(estimated_in),
        )
    return carried
