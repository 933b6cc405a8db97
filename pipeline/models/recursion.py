"""Factor models re-estimated as months arrive: one month's rows, the state handed on, next month's forecasts.

Here belong waiting for enough months, the warm start from last month's state and its checks. Which models there are
stands in :mod:`pipeline.models.families`; where states are kept is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipeline.evaluation.forecasts import SCHEMA as FORECAST_SCHEMA
from pipeline.models.factor_model import CharacteristicLoadings, CrossSection, FactorModelResult, Sample
from pipeline.models.families import FactorModelSettings, Specification
from pipeline.models.storage import below
from pipeline.panel.calendar import month_number

SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "model": pl.String(),
    "n_factors": pl.Int64(),
    "n_months": pl.Int64(),
    "refitted": pl.Boolean(),
    "iterations": pl.Int64(),
    "converged": pl.Boolean(),
    "loss": pl.Float64(),
    "total_r2": pl.Float64(),
    "n_parameters": pl.Int64(),
    "n_loadings": pl.Int64(),
    "factor": pl.List(pl.Float64()),
    "expected_factor": pl.List(pl.Float64()),
    "gamma": pl.List(pl.Float64()),
    "omega": pl.List(pl.Float64()),
    "ar": pl.List(pl.Float64()),
}


@dataclass(frozen=True, kw_only=True)
class RecursionState:
    """What one month hands to the next.

    Attributes
    ----------
    month : date
        Month the state belongs to.
    results : mapping of str to FactorModelResult
        By name of the specification; empty while there are too few months.
    """

    month: date
    results: Mapping[str, FactorModelResult] = field(default_factory=dict)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the state as named arrays and named strings, without loss of precision."""
        arrays: dict[str, np.ndarray] = {"n_results": np.array([len(self.results)], dtype=np.int32)}
        text = {"month": self.month.isoformat(), "results": json.dumps(list(self.results))}
        for name, result in self.results.items():
            own_arrays, own_text = result.to_arrays()
            arrays |= {f"{name}/{key}": array for key, array in own_arrays.items()}
            text |= {f"{name}/{key}": value for key, value in own_text.items()}
        return arrays, text

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> RecursionState:
        """Rebuild what :meth:`to_arrays` gave."""
        results = {
            name: FactorModelResult.from_arrays(below(arrays, f"{name}/"), below(text, f"{name}/"))
            for name in json.loads(text["results"])
        }
        return cls(month=date.fromisoformat(text["month"]), results=results)


def model_month(
    specifications: Sequence[Specification],
    sample: Sample,
    previous: RecursionState | None,
    month: date,
    settings: FactorModelSettings,
) -> tuple[pl.DataFrame, RecursionState]:
    """Estimate every specification on the months up to ``month``, or carry its factors on.

    Parameters
    ----------
    specifications : sequence of Specification
        Of one family.
    sample : Sample
        Months with assets up to ``month``; parts that the family needs.
    previous : RecursionState or None
        State of the month before; None for the first month of the recursion.
    month : date
        The month being built.
    settings : FactorModelSettings
        Months needed, and how often parameters are estimated.

    Returns
    -------
    tuple of pl.DataFrame and RecursionState
        One row a specification with the columns of :data:`SCHEMA` (lists row major; `gamma` null for loadings of single
        assets, `omega` and `ar` null for models without), none while its series have too few months; and the state.
        Where factors are carried on, `n_months`, `loss`, `total_r2` and the numbers of parameters are those of the
        estimation.

    Raises
    ------
    ValueError
        If ``previous`` is not the state of the month before, the sample goes past ``month``, or an estimation is
        impossible.

    Notes
    -----
    Whether parameters are estimated in a month depends on the number of months alone, never on when the pipeline ran.
    """
    if previous is not None and month_number(previous.month) != month_number(month) - 1:
        raise ValueError(
            f"the state handed to {month} is of {previous.month}, not of the month before; rebuild the months between"
        )
    if sample.months and sample.months[-1] > month:
        raise ValueError(f"the sample of {month} holds {sample.months[-1]}, which comes later")
    before = {} if previous is None else previous.results
    rows, results = [], {}
    for each in specifications:
        used = sample.begun(each.observed)
        n_months = len(used.months)
        if n_months < settings.min_months:
            continue
        last = before.get(each.name)
        due = (n_months - settings.min_months) % settings.refit_months == 0
        carried = None if last is None or due else each.estimator.extend(last, used)
        result = carried or each.estimator.fit(used, last)
        results[each.name] = result
        rows.append(_row(month, each, result, carried is None))
    return pl.DataFrame(rows, schema=SCHEMA), RecursionState(month=month, results=results)


def _row(month: date, each: Specification, result: FactorModelResult, refitted: bool) -> dict[str, object]:
    held = result.loadings
    loadings = held.gamma if isinstance(held, CharacteristicLoadings) else held.betas
    return {
        "month": month,
        "model": each.model,
        "n_factors": each.n_factors,
        "n_months": result.n_estimated,
        "refitted": refitted,
        "iterations": result.iterations if refitted else 0,
        "converged": result.converged,
        "loss": result.loss,
        "total_r2": result.total_r2,
        "n_parameters": result.n_parameters,
        "n_loadings": int(np.isfinite(loadings).all(axis=1).sum()),
        "factor": result.factors[-1].tolist(),
        "expected_factor": result.expected_factor.tolist(),
        "gamma": loadings.ravel().tolist() if isinstance(held, CharacteristicLoadings) else None,
        "omega": _flat(result, "omega"),
        "ar": _flat(result, "ar"),
    }


def _flat(result: FactorModelResult, name: str) -> list[float] | None:
    array = result.parameters.get(name)
    return None if array is None else array.ravel().tolist()


def forecasts(states: Sequence[RecursionState], cross_section: CrossSection, month: date) -> pl.DataFrame:
    """Return what every specification expects, at the end of ``month``, of the month after.

    Parameters
    ----------
    states : sequence of RecursionState
        States of ``month``, one a family.
    cross_section : CrossSection
        Assets and their characteristics at the end of ``month``.
    month : date
        Month in which the forecasts are made.

    Returns
    -------
    pl.DataFrame
        `month` (when made), `target_month`, `model`, `n_factors`, `asset_id`, `forecast` (decimal excess return, or the
        probability of a positive one for models ending in ``_logit``). Assets without loadings have no row.

    Raises
    ------
    ValueError
        If a state is of another month.
    """
    frames = [pl.DataFrame(schema=FORECAST_SCHEMA)]
    for state in states:
        if state.month != month:
            raise ValueError(f"forecasts of {month} need the states of that month, not of {state.month}")
        for name, result in state.results.items():
            model, n_factors = name.rsplit(".", 1)
            values = result.forecast(cross_section)
            known = np.isfinite(values)
            frames.append(
                pl.DataFrame({"asset_id": cross_section.assets[known].tolist(), "forecast": values[known]}).select(
                    pl.lit(month).alias("month"),
                    pl.lit(month).dt.offset_by("1mo").alias("target_month"),
                    pl.lit(model).alias("model"),
                    pl.lit(int(n_factors), dtype=pl.Int64).alias("n_factors"),
                    pl.col("asset_id").cast(pl.String),
                    pl.col("forecast").cast(pl.Float64),
                )
            )
    return pl.concat(frames)
