"""Three walk-forward betas of a bond panel: VIX (7 regressors), bond market (1), market and industry (2).

The panel has the shape of the notebook's: 17,000 bonds, 195 months, about 720,000 bond-months, 60-month windows. Every
bond's months are contiguous, so that the row windows of the peers are calendar windows and the results comparable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import polars_ols  # noqa: F401  (registers the least_squares namespace)
from sklearn.linear_model import LinearRegression
from statsmodels.regression.rolling import RollingOLS

from benchmarks.comparison import Comparison, alternate
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.dense import MonthlyPanel, MonthlySeries
from pipeline.panel.regression import WalkForwardSettings, walk_forward_betas
from pipeline.panel.windows import Window

MONTHS = month_range(date(2008, 7, 1), date(2024, 9, 1))
WINDOW = 60
FACTORS = ["mkt_rf", "smb", "hml", "default_spread", "term_spread", "vix_innovation", "vix_innovation_lag"]


@dataclass(frozen=True)
class Beta:
    """One of the three regressions; a lag of 1 ends the window before the month."""

    response: str
    common: tuple[str, ...]
    own: tuple[str, ...]
    min_obs: int
    lag: int

    @property
    def regressors(self) -> list[str]:
        """Names in the order of the slopes."""
        return [*self.common, *self.own]


BETAS = {
    "vix": Beta("ret_excess", tuple(FACTORS), (), 12, 0),
    "bond": Beta("ret_excess", ("bond_factor",), (), 8, 0),
    "industry": Beta("ret", ("mkt",), ("industry_return",), 24, 1),
}


def made_up_panel(bonds: int, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return (panel sorted by bond and month with the factors joined, factors by month)."""
    rng = np.random.default_rng(seed)
    count = len(MONTHS)
    names = [*FACTORS, "bond_factor", "mkt"]
    scales = np.array([0.045, 0.025, 0.03, 0.02, 0.3, 4.0, 4.0, 0.015, 0.045])
    factors = rng.normal(size=(count, len(names))) * scales
    factors[1:, 6] = factors[:-1, 5]
    length = np.clip(rng.exponential(43.5, bonds).round().astype(int), 1, count)
    start = rng.integers(0, count - length + 1)
    bond = np.repeat(np.arange(bonds), length)
    month = np.arange(len(bond)) - np.repeat(np.cumsum(length) - length, length) + start[bond]
    loadings = rng.normal(size=(bonds, len(names))) * 0.1 / scales * 0.02
    industry = rng.normal(0.004, 0.02, (18, count))[bond % 18, month]
    returns = np.einsum("ij,ij->i", loadings[bond], factors[month]) + 0.5 * industry + rng.normal(0, 0.02, len(bond))
    series = pl.DataFrame({"month": MONTHS}).hstack(pl.DataFrame(factors, schema=names))
    isins = pl.Series([f"XS{number:010d}" for number in range(bonds)])
    panel = pl.DataFrame({"month": series["month"].gather(month), "isin": isins.gather(bond), "ret": returns})
    panel = panel.with_columns(ret_excess=pl.col("ret") - 0.002, industry_return=pl.Series(industry))
    return panel.join(series, on="month", how="left", maintain_order="left"), series


def ours(panel: pl.DataFrame, series: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Betas of every bond in every month in which it has a return."""
    first = shift(MONTHS[0], -WINDOW)
    arrays = MonthlyPanel.from_frame(panel, panel["isin"], ["ret", "ret_excess", "industry_return"], first, MONTHS[-1])
    common = MonthlySeries.from_frame(series, series.columns[1:], first, MONTHS[-1])
    here = ~np.isnan(arrays.arrays["ret"][WINDOW:])
    requested = {month: np.flatnonzero(row) for month, row in zip(MONTHS, here, strict=True)}
    return {
        name: walk_forward_betas(
            arrays,
            common,
            requested,
            response=beta.response,
            common=beta.common,
            own=beta.own,
            settings=WalkForwardSettings(window=Window(WINDOW, beta.min_obs), lag=beta.lag),
        )
        for name, beta in BETAS.items()
    }


def with_polars_ols(panel: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Betas by ``polars_ols`` rolling least squares over each bond's rows."""
    return {
        name: panel.select(
            "month",
            "isin",
            pl.col(beta.response)
            .least_squares.rolling_ols(  # type: ignore[attr-defined]
                *[pl.col(column) for column in beta.regressors],
                window_size=WINDOW,
                min_periods=beta.min_obs,
                add_intercept=True,
                mode="coefficients",
            )
            .over("isin")
            .alias("fit"),
        ).unnest("fit")
        for name, beta in BETAS.items()
    }


def with_statsmodels(panel: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Betas by ``statsmodels`` RollingOLS, one model a bond."""
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in BETAS}
    for bond in panel.partition_by("isin", maintain_order=True):
        for name, beta in BETAS.items():
            if len(bond) <= beta.min_obs:
                continue
            design = np.column_stack([bond.select(beta.regressors).to_numpy(), np.ones(len(bond))])
            window = min(WINDOW, len(bond))
            model = RollingOLS(
                bond[beta.response].to_numpy(), design, window=window, min_nobs=beta.min_obs, expanding=True
            )
            fit = model.fit(params_only=True).params[:, :-1]
            parts[name].append(bond.select("month", "isin").hstack(pl.DataFrame(fit, schema=beta.regressors)))
    return {name: pl.concat(frames) for name, frames in parts.items()}


def with_the_notebook_loop(panel: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Betas by the loop of the notebook: pandas slices of a (bond, month) index, one scikit-learn model each."""
    frame = (
        panel.to_pandas().assign(month=lambda x: pd.to_datetime(x["month"])).set_index(["isin", "month"]).sort_index()
    )
    index = pd.IndexSlice
    results = {}
    for name, beta in BETAS.items():
        x, y = frame[beta.regressors], frame[[beta.response]]
        rows = []
        for isin in frame.index.get_level_values("isin").unique():
            dates = frame.loc[index[isin, :], :].index.get_level_values("month")
            for month in dates[beta.min_obs - 1 + beta.lag :]:
                last = month - pd.DateOffset(months=beta.lag)
                sample = index[isin, last - pd.DateOffset(months=WINDOW - 1) : last]
                model = LinearRegression().fit(x.loc[sample, :], y.loc[sample, :])
                rows.append((month.date(), isin, *model.coef_[0]))
        # A window that ends a month earlier is labelled like the others: by its last month.
        results[name] = pl.DataFrame(rows, schema=["month", "isin", *beta.regressors], orient="row").with_columns(
            pl.col("month").dt.offset_by(f"-{beta.lag}mo")
        )
    return results


def largest_difference(mine: dict[str, pl.DataFrame], theirs: dict[str, pl.DataFrame]) -> float:
    """Compare the slopes of all bond-months that both have; the peers label a window by its last month."""
    worst = 0.0
    for name, beta in BETAS.items():
        other = theirs[name].with_columns(pl.col("month").dt.offset_by(f"{beta.lag}mo"))
        both = mine[name].join(other, on=["month", "isin"])
        for column in beta.regressors:
            gap = (both[f"beta_{column}"] - both[column].cast(pl.Float64).fill_nan(None)).abs()
            worst = max(worst, float(gap.max() or 0.0))
    return worst


def _against(
    work: str, peer: str, panel: pl.DataFrame, series: pl.DataFrame, run, share: float, repetitions: int
) -> Comparison:
    """Time all of ours beside a peer on a share of the bonds, whose seconds are scaled by rows."""
    isins = panel["isin"].unique(maintain_order=True)
    slice_ = panel.filter(pl.col("isin").is_in(isins.gather_every(round(1 / share)).implode()))
    scale = panel.height / slice_.height
    mine, theirs, seconds, peer_seconds, spread = alternate(
        lambda: ours(panel, series), lambda: run(slice_), repetitions
    )
    note = f"peer on {1 / scale:.1%} of the rows, scaled; {spread}" if scale > 1 else spread
    return Comparison(work, peer, seconds, peer_seconds * scale, largest_difference(mine, theirs), note)


def comparisons(quick: bool = False) -> Iterator[Comparison]:
    """Yield the table's rows; ``quick`` uses a panel of 400 bonds."""
    panel, series = made_up_panel(400 if quick else 17_000)
    work = f"three walk-forward betas, {panel.height:,} bond-months"
    repetitions = 1 if quick else 3
    yield _against(work, "polars-ols", panel, series, with_polars_ols, 1.0, repetitions)
    yield _against(work, "statsmodels RollingOLS", panel, series, with_statsmodels, 1.0 if quick else 0.1, repetitions)
    yield _against(
        work, "notebook's scikit-learn loop", panel, series, with_the_notebook_loop, 0.05 if quick else 0.01, 1
    )
