"""The stochastic discount factors of one market as months arrive: a search once a year, a step every month.

Here belong what one search and one month do and what is handed on. When searches are due and where anything is kept is
the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from pipeline.models.storage import below
from pipeline.panel.calendar import shift
from pipeline.sdf.assembly import with_columns, with_seen_columns
from pipeline.sdf.beta import BetaResult, estimate_betas, labels
from pipeline.sdf.ensemble import refit
from pipeline.sdf.environments import in_environment
from pipeline.sdf.model import kernel_scale
from pipeline.sdf.panel import SdfPanel, divided, refuse_later
from pipeline.sdf.portfolios import ESTIMATORS, Portfolio
from pipeline.sdf.search import PieceProgress, Pieces, SearchResult, Stored, quiet_pieces
from pipeline.sdf.settings import SdfSettings
from pipeline.sdf.tables import SEARCH_SCHEMA, WEIGHTS_SCHEMA

WEIGHTS, BETAS, KAPPA = "weights", "betas", "kappa"


@dataclass(frozen=True, kw_only=True)
class SdfModel:
    """What is known of one objective in one environment.

    Attributes
    ----------
    weights : Portfolio
        Weights w of the factor F = w'r.
    betas : BetaResult
        Networks that forecast F r.
    kappa : float
        Of M = 1 - kappa F, so that expected excess returns are kappa E[F r]: of all months that the networks were
        estimated or carried on with, see :func:`pipeline.sdf.model.kernel_scale`.
    """

    weights: Portfolio
    betas: BetaResult
    kappa: float


Models = Mapping[str, SdfModel]
"""By ``objective.environment``."""


def to_arrays(models: Models) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return models as named arrays and named strings, without loss of precision."""
    arrays: dict[str, np.ndarray] = {}
    text: dict[str, str] = {"models": ",".join(models)}
    for name, model in models.items():
        for part, (own, words) in ((WEIGHTS, model.weights.to_arrays()), (BETAS, model.betas.to_arrays())):
            arrays |= {f"{name}/{part}/{key}": array for key, array in own.items()}
            text |= {f"{name}/{part}/{key}": value for key, value in words.items()}
        arrays[f"{name}/{KAPPA}"] = np.array([model.kappa])
    return arrays, text


def from_arrays(arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> dict[str, SdfModel]:
    """Return what :func:`to_arrays` was given."""
    return {
        name: SdfModel(
            weights=ESTIMATORS[name.split(".")[0]].restored(
                below(arrays, f"{name}/{WEIGHTS}/"), below(text, f"{name}/{WEIGHTS}/")
            ),
            betas=BetaResult.from_arrays(below(arrays, f"{name}/{BETAS}/"), below(text, f"{name}/{BETAS}/")),
            kappa=float(arrays[f"{name}/{KAPPA}"][0]),
        )
        for name in text["models"].split(",")
        if name
    }


@dataclass(frozen=True)
class _Named:
    """Pieces of one of several searches."""

    pieces: Pieces
    prefix: str

    def get(self, name: str) -> Stored | None:
        return self.pieces.get(f"{self.prefix}.{name}")

    def put(self, name: str, arrays: dict[str, np.ndarray], text: dict[str, str]) -> None:
        self.pieces.put(f"{self.prefix}.{name}", arrays, text)


def searched(
    panel: SdfPanel, month: date, settings: SdfSettings, pieces: Pieces, progress: PieceProgress = quiet_pieces
) -> tuple[pl.DataFrame, dict[str, SdfModel]]:
    """Search for every objective in every environment, for weights and then for betas on their factor.

    Parameters
    ----------
    panel : SdfPanel
        All months up to ``month``, returns known. The first ``training_share`` of them train, the others validate.
    month : date
        The month of the search.
    settings : SdfSettings
        What is searched.
    pieces : Pieces
        What earlier runs of this search have finished.
    progress : callable
        Told of every piece.

    Returns
    -------
    tuple of pl.DataFrame and dict
        One row a configuration with the columns of :data:`pipeline.sdf.tables.SEARCH_SCHEMA` (``score``: validation
        Sharpe ratio for weights, mean squared error with its sign turned for betas; ``equal_share`` of the weights of
        the generative adversarial estimation, null elsewhere), and the winners' ensembles.

    Raises
    ------
    ArithmeticError
        If no configuration of a search is of use.
    ValueError
        If the panel goes past ``month`` or is too short to be divided.
    """
    refuse_later(panel, month)
    rows, models = [pl.DataFrame(schema=SEARCH_SCHEMA)], {}
    for objective, environment in settings.specifications:
        name = f"{objective}.{environment}"
        own = with_seen_columns(in_environment(panel, environment, settings.financials))
        parts = divided(own, settings.training_share)
        estimate = ESTIMATORS[objective].estimate
        weights, chosen = estimate(parts, settings, _Named(pieces, f"{name}.{WEIGHTS}"), progress)
        fitted = parts[0].take(slice(weights.lookback, None)), parts[1]
        factors = [weights.factor(each, parts[0]) for each in fitted]
        betas, best = estimate_betas(fitted, factors, settings.of_betas(), _Named(pieces, f"{name}.{BETAS}"), progress)
        models[name] = SdfModel(weights=weights, betas=betas, kappa=kernel_scale(np.concatenate(factors)))
        for network, result in ((WEIGHTS, chosen), (BETAS, best)):
            about = {"month": month, "objective": objective, "environment": environment, "network": network}
            begun = {"training_from": parts[0].months[0], "validation_from": parts[1].months[0]}
            rows.append(pl.DataFrame(list(_candidates(result, about | begun)), schema=SEARCH_SCHEMA))
    return pl.concat(rows), models


def _candidates(result: SearchResult, about: Mapping[str, object]) -> Iterator[dict[str, object]]:
    for place, each in enumerate(result.configurations):
        score, equal_share = float(result.scores[place]), float(result.equal_shares[place])
        yield {
            **about,
            "configuration": place,
            **vars(each),
            "score": score if np.isfinite(score) else None,
            "best_epoch": int(result.epochs[place]),
            "epochs": int(result.run[place]),
            "ending": result.endings[place],
            "winner": each == result.winner,
            "equal_share": equal_share if np.isfinite(equal_share) else None,
        }


def carried_on(models: Models, panel: SdfPanel, settings: SdfSettings) -> dict[str, SdfModel]:
    """Carry the networks on over a panel that has become longer by a month.

    Scaling, configurations and seeds stay those of the search.

    Parameters
    ----------
    models : mapping of str to SdfModel
        Of the month before.
    panel : SdfPanel
        All months up to now, returns known.
    settings : SdfSettings
        ``refit_epochs`` 0 returns the models as they are.
    """
    if not settings.refit_epochs:
        return dict(models)
    return {name: _carried_on(name, model, panel, settings) for name, model in models.items()}


def _carried_on(name: str, model: SdfModel, panel: SdfPanel, settings: SdfSettings) -> SdfModel:
    own = _in_columns(panel, name, model.weights, settings)
    weights = model.weights.carried_on(own, settings.refit_epochs)
    held, fitted = model.betas, own.take(slice(weights.lookback, None))
    factor = weights.factor(fitted, own)
    of_betas = replace(fitted, returns=labels(fitted, factor) / held.scale)
    betas = replace(held, ensemble=refit(held.ensemble, of_betas, settings.refit_epochs))
    return SdfModel(weights=weights, betas=betas, kappa=kernel_scale(factor))


def _in_columns(panel: SdfPanel, name: str, portfolio: Portfolio, settings: SdfSettings) -> SdfPanel:
    """Return what a model's environment leaves of a panel, in the columns that its networks take."""
    scaling = portfolio.standardisation
    own = in_environment(panel, name.split(".")[1], settings.financials)
    return with_columns(own, scaling.names, scaling.macro_names)


def weights(models: Models, panel: SdfPanel, month: date, settings: SdfSettings) -> pl.DataFrame:
    """Return the portfolio held from the end of ``month`` on, and what it says of next month's returns.

    Parameters
    ----------
    models : mapping of str to SdfModel
        As of ``month``.
    panel : SdfPanel
        The target month after ``month``, without which there are no rows, and the months before it whose macro series
        the portfolios look at, at most :data:`pipeline.sdf.settings.LOOKBACK`. No return is looked at.
    month : date
        The month that has ended.
    settings : SdfSettings
        Which groups an environment leaves out.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`pipeline.sdf.tables.WEIGHTS_SCHEMA`, one row an asset, objective and environment:
        ``weight`` of the currency invested, ``forecast`` the expected excess return kappa E[F r] (decimal), ``kappa``
        that of the model.

    Raises
    ------
    ValueError
        If a portfolio looks at months that are not there.
    """
    frames, coming = [pl.DataFrame(schema=WEIGHTS_SCHEMA)], shift(month, 1)
    for name, model in models.items():
        first = shift(coming, -model.weights.lookback)
        window = _in_columns(panel.between(first, coming), name, model.weights, settings)
        own = window.between(coming, coming)
        if own.months:
            frames.append(_held(name, model, own, window))
    return pl.concat(frames)


def _held(name: str, model: SdfModel, own: SdfPanel, window: SdfPanel) -> pl.DataFrame:
    """Rows of one model for the one month of ``own``, whose lookback ``window`` holds."""
    objective, environment = name.split(".")
    target = own.months[0]
    columns = {
        "month": shift(target, -1),
        "target_month": target,
        "objective": objective,
        "environment": environment,
        "asset_id": own.assets.tolist(),
        "weight": model.weights.weights(own, window),
        "forecast": model.kappa * model.betas.forecast(own),
        "kappa": model.kappa,
    }
    return pl.DataFrame(columns, schema=WEIGHTS_SCHEMA)
