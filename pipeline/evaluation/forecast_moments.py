"""What one month tells about every pair of forecasts, so that no later test reads a forecast again.

Here belong sums over the assets of a month. Means over months, tests and tables stand in
:mod:`pipeline.evaluation.comparisons`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipeline.panel.calendar import shift

CLASSIFICATION_SUFFIX = "_logit"
"""Models whose name ends so forecast the probability of a positive excess return, not the return."""

SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "model_a": pl.String(),
    "n_factors_a": pl.Int64(),
    "model_b": pl.String(),
    "n_factors_b": pl.Int64(),
    "n": pl.Int64(),
    "yy": pl.Float64(),
    "ya": pl.Float64(),
    "yb": pl.Float64(),
    "aa": pl.Float64(),
    "ab": pl.Float64(),
    "bb": pl.Float64(),
}

CLASSIFICATION_SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "model": pl.String(),
    "n_factors": pl.Int64(),
    "n": pl.Int64(),
    "log_loss": pl.Float64(),
    "brier": pl.Float64(),
    "hits": pl.Int64(),
    "positives": pl.Int64(),
}

_SPECIFICATION = ["model", "n_factors"]
# A probability rounded to 0 or 1 would make the logarithm infinite; scikit-learn draws the same line.
_NEAREST_TO_CERTAIN = float(np.finfo(np.float64).eps)


def forecast_moments(
    forecasts: pl.DataFrame,
    returns: pl.DataFrame,
    months: Sequence[date],
    *,
    key: str = "isin",
    response: str = "ret_excess",
) -> pl.DataFrame:
    """Return the sums of squares and products of all pairs of forecasts and the realised return.

    Parameters
    ----------
    forecasts : pl.DataFrame
        `month` (when made), `target_month` (the month after), `model`, `n_factors`, `asset_id`, `forecast` (decimal
        excess return). A null or NaN forecast is none. Models ending in ``_logit`` are left out; see
        :func:`classification_moments`.
    returns : pl.DataFrame
        `month` (when earned), `key` and `response`, one row an asset and month; decimals, a null is no return.
    months : sequence of date
        Target months to compute. Rows of other months are ignored.
    key, response : str, optional
        Asset identifier and return column of `returns`.

    Returns
    -------
    pl.DataFrame
        `month` (the target), `model_a`, `n_factors_a`, `model_b`, `n_factors_b`, then over the `n` assets that both
        forecast and that have a return the sums `yy` of r^2, `ya` and `yb` of r times either forecast, `aa`, `ab` and
        `bb` of products of the forecasts. One row a month and pair with (model, K) of a not after that of b, the
        pair of a forecast with itself included; sorted by all five. A pair without a common asset has no row.

    Raises
    ------
    ValueError
        If a column is absent, a forecast is infinite or not for the month after it was made, a return is not finite, or
        a row is doubled.

    Notes
    -----
    With forecasts F (N x P, zero where there is none) and their mask M the sums of all pairs are the products M'M,
    M'diag(r^2)M, (rF)'M, (F^2)'M and F'F. Each month is computed from its own rows alone, in the order of the asset.
    """
    _refuse_absent(forecasts, returns, key, response)
    wanted = ~pl.col("model").str.ends_with(CLASSIFICATION_SUFFIX)
    blocks = [_pairs(_matched(forecasts, wanted, returns, month, key, response)) for month in sorted(set(months))]
    return pl.concat([pl.DataFrame(schema=SCHEMA), *blocks])


def classification_moments(
    forecasts: pl.DataFrame,
    returns: pl.DataFrame,
    months: Sequence[date],
    *,
    key: str = "isin",
    response: str = "ret_excess",
) -> pl.DataFrame:
    """Return what the probabilities of a positive excess return were worth, by month and model.

    Parameters
    ----------
    forecasts, returns, months, key, response
        As in :func:`forecast_moments`; only models ending in ``_logit`` count, their `forecast` lies in [0, 1].

    Returns
    -------
    pl.DataFrame
        `month` (the target), `model`, `n_factors` and over the `n` assets with a forecast and a return: sum of the
        logarithmic losses `log_loss` (natural logarithm; a probability of what happened below 2e-16 counts as
        2e-16), sum of the
        squared errors of the probability `brier` (Brier 1950), number of `hits` (probability above one half exactly
        where the return is positive), number of positive returns `positives` (the base rate is positives / n).

    Raises
    ------
    ValueError
        As :func:`forecast_moments`, and if a probability lies outside [0, 1].
    """
    _refuse_absent(forecasts, returns, key, response)
    wanted = pl.col("model").str.ends_with(CLASSIFICATION_SUFFIX)
    blocks = [_scores(_matched(forecasts, wanted, returns, month, key, response)) for month in sorted(set(months))]
    return pl.concat([pl.DataFrame(schema=CLASSIFICATION_SCHEMA), *blocks])


def _refuse_absent(forecasts: pl.DataFrame, returns: pl.DataFrame, key: str, response: str) -> None:
    needed = {"forecasts": ["month", "target_month", *_SPECIFICATION, "asset_id", "forecast"]}
    needed["returns"] = ["month", key, response]
    for name, frame in (("forecasts", forecasts), ("returns", returns)):
        absent = [column for column in needed[name] if column not in frame.columns]
        if absent:
            raise ValueError(f"the {name} lack the columns {absent}; they have {frame.columns}")


@dataclass(frozen=True)
class _Month:
    """The forecasts of one target month that have a return.

    ``specifications`` (sorted) and ``realised`` (in the order of the asset) are looked up by ``column`` and ``row``,
    one of each a forecast, sorted by column and row.
    """

    month: date
    specifications: pl.DataFrame
    realised: np.ndarray
    column: np.ndarray
    row: np.ndarray
    forecast: np.ndarray


def _matched(
    forecasts: pl.DataFrame, wanted: pl.Expr, returns: pl.DataFrame, month: date, key: str, response: str
) -> _Month:
    earned = (
        returns.filter(pl.col("month") == month, pl.col(response).is_not_null())
        .select(pl.col(key).cast(pl.String).alias("asset_id"), pl.col(response).cast(pl.Float64).alias("realised"))
        .sort("asset_id")
        .with_row_index("row")
    )
    made = forecasts.filter(pl.col("target_month") == month).filter(wanted)
    _refuse_other_horizons(made, month)
    given = made.with_columns(pl.col("forecast").cast(pl.Float64).fill_nan(None)).drop_nulls("forecast")
    _refuse_infinite(f"returns of {month:%Y-%m}", earned, "realised")
    _refuse_infinite(f"forecasts of {month:%Y-%m}", given, "forecast")
    _refuse_doubled(f"returns of {month:%Y-%m}", earned, ["asset_id"], pl.col("asset_id"))
    matched = given.join(earned.select("asset_id", "row"), on="asset_id", how="inner")
    specifications = matched.select(_SPECIFICATION).unique().sort(_SPECIFICATION)
    places = matched.join(specifications.with_row_index("column"), on=_SPECIFICATION, how="inner").sort("column", "row")
    place = pl.col("column").cast(pl.Int64) * earned.height + pl.col("row")
    _refuse_doubled(f"forecasts of {month:%Y-%m}", places, [*_SPECIFICATION, "asset_id"], place)
    arrays = (places[name].to_numpy() for name in ("column", "row", "forecast"))
    return _Month(month, specifications, earned["realised"].to_numpy(), *arrays)


def _refuse_other_horizons(made: pl.DataFrame, month: date) -> None:
    early = made.filter(pl.col("month") != shift(month, -1))
    if early.height:
        raise ValueError(
            f"{early.height} forecasts for {month:%Y-%m} were not made the month before, first {early['model'][0]} "
            f"made in {early['month'][0]:%Y-%m}; moments are of forecasts one month ahead"
        )


def _refuse_infinite(name: str, frame: pl.DataFrame, column: str) -> None:
    infinite = frame.filter(~pl.col(column).is_finite())
    if infinite.height:
        raise ValueError(
            f"the {name} hold {infinite.height} values that are not finite, first of the asset "
            f"{infinite['asset_id'][0]}; make them null"
        )


def _refuse_doubled(name: str, frame: pl.DataFrame, columns: list[str], identity: pl.Expr) -> None:
    repeated = int(frame.select(identity.is_duplicated().sum()).item())
    if repeated:
        raise ValueError(f"the {name} have {repeated} rows that share {columns}; keep one each")


def _pairs(given: _Month) -> pl.DataFrame:
    values = np.zeros((len(given.realised), given.specifications.height))
    mask = np.zeros_like(values)
    values[given.row, given.column] = given.forecast
    mask[given.row, given.column] = 1.0
    y = given.realised[:, None]
    ya, aa, ab = (y * values).T @ mask, (values**2).T @ mask, values.T @ values
    # The same sum in another order of addition would make a forecast differ from itself.
    np.fill_diagonal(ab, np.diagonal(aa))
    i, j = np.triu_indices(given.specifications.height)
    model, n_factors = given.specifications["model"], given.specifications["n_factors"]
    table = pl.DataFrame(
        {
            "month": pl.Series([given.month], dtype=pl.Date).new_from_index(0, len(i)),
            "model_a": model.gather(i),
            "n_factors_a": n_factors.gather(i),
            "model_b": model.gather(j),
            "n_factors_b": n_factors.gather(j),
            "n": (mask.T @ mask)[i, j].astype(np.int64),
            "yy": ((y**2 * mask).T @ mask)[i, j],
            "ya": ya[i, j],
            "yb": ya[j, i],
            "aa": aa[i, j],
            "ab": ab[i, j],
            "bb": aa[j, i],
        },
        schema=SCHEMA,
    )
    return table.filter(pl.col("n") > 0)


def _scores(given: _Month) -> pl.DataFrame:
    outside = given.forecast[(given.forecast < 0.0) | (given.forecast > 1.0)]
    if len(outside):
        raise ValueError(
            f"{len(outside)} forecasts of {given.month:%Y-%m} are no probabilities, first {outside[0]}; only models "
            f"with the logistic link may end in {CLASSIFICATION_SUFFIX}"
        )
    rows = []
    for column, specification in enumerate(given.specifications.iter_rows()):
        of = given.column == column
        probability, positive = given.forecast[of], given.realised[given.row[of]] > 0.0
        certain = np.clip(np.where(positive, probability, 1.0 - probability), _NEAREST_TO_CERTAIN, 1.0)
        brier = float(np.sum((probability - positive) ** 2))
        hits = int(np.sum((probability > 0.5) == positive))
        loss = -float(np.sum(np.log(certain)))
        rows.append((given.month, *specification, len(positive), loss, brier, hits, int(positive.sum())))
    return pl.DataFrame(rows, schema=CLASSIFICATION_SCHEMA, orient="row")
