"""The numbers behind the charts of the factor models, and the comparison with a known truth.

Belongs here: reading the rows of a recursion, factors under its newest Gamma, R-squared by month, rotation onto true
factors. Does not: estimating anything (``pipeline.models``) and drawing (``charts_models``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from scipy.linalg import orthogonal_procrustes

from pipeline.evaluation.r2 import canonical_correlations
from pipeline.models.ipca import IPCAResult
from pipeline.models.ipca_recursion import ESTIMATED
from pipeline.models.managed_portfolios import SufficientStatistics, instrument_names

ROLLING_MONTHS = 12


@dataclass(frozen=True, kw_only=True)
class Recursion:
    """One model's recursion as the report reads it.

    Attributes
    ----------
    rows : pl.DataFrame
        The rows with an estimate, at least one, sorted by month.
    statistics : SufficientStatistics or None
        Managed portfolios up to the newest row, the constant last; None when they were not given.
    names : tuple of str
        Rows of Gamma as displayed, the constant last.
    """

    rows: pl.DataFrame
    statistics: SufficientStatistics | None
    names: tuple[str, ...]

    @classmethod
    def from_frames(
        cls, frame: pl.DataFrame, portfolios: pl.DataFrame | None, instruments: Sequence[str]
    ) -> Recursion | None:
        """Read a recursion; None when no month is estimated yet.

        Parameters
        ----------
        frame : pl.DataFrame
            Rows of :func:`pipeline.models.ipca_recursion.ipca_frame`.
        portfolios : pl.DataFrame or None
            Managed portfolios with the same instruments.
        instruments : sequence of str
            Ranked columns without the constant.

        Raises
        ------
        ValueError
            If Gamma does not have a row for each instrument and the constant.
        """
        rows = frame.filter(pl.col("status") == ESTIMATED).sort("month")
        if rows.is_empty():
            return None
        names = instrument_names(tuple(name.removesuffix("_r") for name in instruments))
        newest = rows.row(-1, named=True)
        if len(newest["gamma"]) != len(names) * newest["n_factors"]:
            raise ValueError(
                f"Gamma of {newest['month']} holds {len(newest['gamma'])} values, not {len(names)} instruments times "
                f"{newest['n_factors']} factors; give the report the instruments that the model was estimated with"
            )
        statistics = None
        if portfolios is not None:
            statistics = SufficientStatistics.from_frame(portfolios, instruments).through(newest["month"])
        return cls(rows=rows, statistics=statistics, names=names)

    @property
    def newest(self) -> date:
        """Month of the newest estimate."""
        return self.rows["month"][-1]

    @property
    def n_factors(self) -> int:
        """K of the newest estimate."""
        return int(self.rows["n_factors"][-1])

    @cached_property
    def gamma(self) -> np.ndarray:
        """Newest Gamma, (L, K)."""
        return np.array(self.rows["gamma"][-1].to_list()).reshape(len(self.names), self.n_factors)

    @cached_property
    def gamma_alpha(self) -> np.ndarray | None:
        """Newest intercepts (L,), None in the model without."""
        alpha = self.rows["gamma_alpha"][-1]
        return None if alpha is None else np.array(alpha.to_list())

    @cached_property
    def factors(self) -> pl.DataFrame:
        """Realised factors: month, factor_1 .. factor_K, decimals.

        Of every month under the newest Gamma where there are managed portfolios; else of each estimated month under
        that month's own Gamma. Months that do not determine K factors are left out.
        """
        if self.statistics is None:
            known = self.rows.filter(pl.col("factor").is_not_null())
            months, values = tuple(known["month"]), np.array(known["factor"].to_list()).reshape(-1, self.n_factors)
        else:
            months, values = self.statistics.months, self._result.realised_factors(self.statistics)
        columns = {f"factor_{k + 1}": values[:, k] for k in range(self.n_factors)}
        return pl.DataFrame({"month": months, **columns}, schema_overrides={"month": pl.Date}).filter(
            pl.col("factor_1").is_not_nan()
        )

    @property
    def _result(self) -> IPCAResult:
        newest = self.rows.row(-1, named=True)
        return IPCAResult(
            names=self.names,
            months=(),
            gamma=self.gamma,
            gamma_alpha=self.gamma_alpha,
            factors=np.empty((0, self.n_factors)),
            iterations=newest["iterations"],
            converged=newest["converged"],
            loss=newest["loss"],
        )

    @cached_property
    def monthly_r2(self) -> pl.DataFrame:
        """R-squared against zero of the last twelve months at each month: month, kind, r2.

        ``in sample`` under the newest Gamma (with managed portfolios only), ``out of sample`` and ``out of sample,
        predictive`` from the recursion's own account. The sums of errors and of squared returns run over the months
        of the window before they are divided; windows that lack a month are left out.
        """
        account = self.rows.select("month", "oos_sse_total", "oos_sse_predictive", "oos_sst").drop_nulls()
        parts = [
            _rolling(account.select("month", error="oos_sse_total", squares="oos_sst"), "out of sample"),
            _rolling(
                account.select("month", error="oos_sse_predictive", squares="oos_sst"), "out of sample, predictive"
            ),
        ]
        if self._in_sample is not None:
            parts.append(_rolling(self._in_sample, "in sample"))
        return pl.concat(parts)

    @property
    def in_sample_r2(self) -> pl.DataFrame | None:
        """Total R-squared of each month under the newest Gamma: month, r2; None without managed portfolios."""
        if self._in_sample is None:
            return None
        return self._in_sample.filter(pl.col("squares") > 0).select("month", r2=1 - pl.col("error") / pl.col("squares"))

    @cached_property
    def _in_sample(self) -> pl.DataFrame | None:
        """Squared errors and squared returns of each month that determines the factors, under the newest Gamma."""
        if self.statistics is None:
            return None
        used = self.statistics.determined(self.n_factors)
        factors = self._result.realised_factors(used)
        errors = used.squared_errors(self._result.loadings, self._result.multipliers(factors))
        return pl.DataFrame({"month": used.months, "error": errors, "squares": used.yy})


def _rolling(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    sums = (
        frame.sort("month")
        .rolling("month", period=f"{ROLLING_MONTHS}mo")
        .agg(pl.col("error").sum(), pl.col("squares").sum(), pl.len().alias("months"))
    )
    return sums.filter((pl.col("months") == ROLLING_MONTHS) & (pl.col("squares") > 0)).select(
        "month", pl.lit(kind).alias("kind"), r2=1 - pl.col("error") / pl.col("squares")
    )


def loadings(recursion: Recursion) -> pl.DataFrame:
    """Return the newest Gamma in long form with the importance of each characteristic.

    Returns
    -------
    pl.DataFrame
        name, factor (``factor_1`` ..), value, importance. Importance is the root of gamma_l E[f f'] gamma_l', the
        size in decimals a month of the returns that a characteristic at distance one from the middle of the ranks
        moves; it does not depend on the rotation of the factors. Descending by importance.
    """
    realised = recursion.factors.drop("month").to_numpy()
    moment = realised.T @ realised / len(realised)
    importance = np.sqrt(np.einsum("lk,kj,lj->l", recursion.gamma, moment, recursion.gamma))
    return (
        pl.DataFrame(
            {
                "name": recursion.names,
                "importance": importance,
                **{f"factor_{k + 1}": recursion.gamma[:, k] for k in range(recursion.n_factors)},
            }
        )
        .unpivot(index=["name", "importance"], variable_name="factor")
        .sort(["importance", "name", "factor"], descending=[True, False, False])
    )


def gamma_paths(recursion: Recursion, names: Sequence[str]) -> pl.DataFrame:
    """Return how rows of Gamma moved from month to month.

    Parameters
    ----------
    recursion : Recursion
        Months with other numbers of factors than the newest are left out.
    names : sequence of str
        Rows to follow.

    Returns
    -------
    pl.DataFrame
        month, name, factor, value. Each month's Gamma is turned by the orthogonal matrix that brings it closest to the
        newest one, so that an exchange of factors or signs is not shown as a change.
    """
    rows = recursion.rows.filter(pl.col("n_factors") == recursion.n_factors)
    positions = [recursion.names.index(name) for name in names]
    records = []
    for month, values in zip(rows["month"], rows["gamma"], strict=True):
        gamma = np.array(values.to_list()).reshape(recursion.gamma.shape)
        aligned = gamma @ orthogonal_procrustes(gamma, recursion.gamma)[0]
        records += [
            (month, name, f"factor_{k + 1}", float(aligned[position, k]))
            for name, position in zip(names, positions, strict=True)
            for k in range(recursion.n_factors)
        ]
    return pl.DataFrame(records, schema=["month", "name", "factor", "value"], orient="row")


def r2_table(models: Mapping[str, Recursion]) -> pl.DataFrame:
    """Return R-squared and convergence of each model.

    Returns
    -------
    pl.DataFrame
        model, n_factors, n_months (of the newest estimation), total, predictive, oos_total, oos_predictive (decimals,
        against zero), estimations, iterations (their mean), not_converged.
    """
    return pl.DataFrame(
        [
            {
                "model": name,
                "n_factors": (newest := recursion.rows.row(-1, named=True))["n_factors"],
                "n_months": newest["n_months"],
                "total": newest["total_r2"],
                "predictive": newest["predictive_r2"],
                "oos_total": newest["oos_total_r2"],
                "oos_predictive": newest["oos_predictive_r2"],
                "estimations": recursion.rows.height,
                "iterations": recursion.rows["iterations"].mean(),
                "not_converged": int((~recursion.rows["converged"]).sum()),
            }
            for name, recursion in models.items()
        ],
        schema_overrides=dict.fromkeys(("total", "predictive", "oos_total", "oos_predictive"), pl.Float64),
    )


def forecast_deciles(
    forecasts: pl.LazyFrame, returns: pl.LazyFrame, groups: int = 10, key: str = "isin"
) -> pl.DataFrame:
    """Average realised and forecast returns by decile of the forecast.

    Parameters
    ----------
    forecasts : pl.LazyFrame
        ``target_month, asset_id, forecast``.
    returns : pl.LazyFrame
        ``month, ret_excess`` and the identifier.
    groups : int, optional
        Equal groups of each month's cross-section, lowest forecast first.
    key : str, optional
        The identifier, ``isin`` or ``permno``; forecasts have it as text.

    Returns
    -------
    pl.DataFrame
        decile (1 ..), realised, forecast (mean over months of the groups' means, decimals a month), months. Months with
        fewer assets than groups are left out.
    """
    rank = (pl.col("forecast").rank("ordinal") - 1).over("target_month")
    size = pl.len().over("target_month")
    joined = forecasts.select("target_month", "asset_id", "forecast").join(
        returns.select(target_month="month", asset_id=pl.col(key).cast(pl.String), realised="ret_excess").drop_nulls(),
        on=["target_month", "asset_id"],
        maintain_order="left",
    )
    # Sums depend on their order, hence the care for it.
    return (
        joined.filter(size >= groups)
        .with_columns(decile=(rank * groups // size + 1).cast(pl.Int64))
        .group_by("target_month", "decile", maintain_order=True)
        .agg(pl.col("realised", "forecast").mean())
        .sort("decile", "target_month")
        .group_by("decile", maintain_order=True)
        .agg(pl.col("realised", "forecast").mean(), months=pl.len().cast(pl.Int64))
        .collect()
    )


@dataclass(frozen=True, kw_only=True)
class TruthComparison:
    """Estimates beside the truth of a simulated market.

    Attributes
    ----------
    correlations : np.ndarray
        Canonical correlations of estimated and true factors, descending.
    factors : pl.DataFrame
        month, factor, kind (``true`` or ``estimated``), value: the estimated ones rotated by least squares.
    gamma : pl.DataFrame
        name, factor, true, estimated: the estimated Gamma under the inverse rotation.
    """

    correlations: np.ndarray
    factors: pl.DataFrame
    gamma: pl.DataFrame


def compare_with_truth(recursion: Recursion, gamma: pl.DataFrame, factors: pl.DataFrame) -> TruthComparison:
    """Rotate estimates onto the truth.

    Parameters
    ----------
    recursion : Recursion
        The estimated model.
    gamma : pl.DataFrame
        ``characteristic, factor_1 ..``; characteristics that are not named have zeros.
    factors : pl.DataFrame
        ``month, factor_1 ..``, decimals.

    Returns
    -------
    TruthComparison
        Over the months that both have.

    Raises
    ------
    ValueError
        If the truth names a characteristic that is not an instrument.

    Notes
    -----
    A = argmin ||F_true - F A||, so that f_true is about A'f; then C Gamma f = C Gamma_true f_true gives Gamma_true
    about Gamma (A')^+, the pseudo-inverse standing in where the numbers of factors differ.
    """
    unknown = sorted(set(gamma["characteristic"]) - set(recursion.names))
    if unknown:
        raise ValueError(f"the true Gamma has rows for {', '.join(unknown)}, which are not instruments of the model")
    true_names = [column for column in gamma.columns if column != "characteristic"]
    renamed = recursion.factors.rename(lambda column: column if column == "month" else f"estimated_{column}")
    both = factors.select("month", *true_names).join(renamed, on="month").sort("month")
    true = both.select(true_names).to_numpy()
    estimated = both.select(renamed.columns[1:]).to_numpy()
    rotation = np.linalg.lstsq(estimated, true, rcond=None)[0]
    wide = {"true": true, "estimated": estimated @ rotation}
    long = pl.concat(
        pl.DataFrame({"month": both["month"], "factor": name, "kind": kind, "value": values[:, k]})
        for kind, values in wide.items()
        for k, name in enumerate(true_names)
    )
    rows = pl.DataFrame({"characteristic": recursion.names}).join(
        gamma, on="characteristic", how="left", maintain_order="left"
    )
    true_gamma = rows.select(pl.col(true_names).fill_null(0.0)).to_numpy()
    turned = recursion.gamma @ np.linalg.pinv(rotation.T)
    pairs = pl.concat(
        pl.DataFrame({"name": recursion.names, "factor": name, "true": true_gamma[:, k], "estimated": turned[:, k]})
        for k, name in enumerate(true_names)
    )
    return TruthComparison(correlations=canonical_correlations(estimated, true), factors=long, gamma=pairs)
