"""Sections about the factor models of bonds: factors, Gamma, truth; and the glossary at the end of their page."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.bonds.registry import data_dictionary
from pipeline.report import charts_models, factor_statistics, tables
from pipeline.report.blocks import Block, Content, Figure, Section, Table
from pipeline.report.factor_statistics import ROLLING_MONTHS
from pipeline.report.numbers_bonds import INTERCEPT, PLAIN, TRUE_FACTORS, BondNumbers
from pipeline.report.sections_shared import WARMING_UP, deciles, fit, settings, sources

#: Rows of Gamma followed through time.
_FOLLOWED = 6


def _factors(numbers: BondNumbers) -> Sequence[Content]:
    if PLAIN not in numbers.recursions:
        return [WARMING_UP]
    recursion = numbers.recursions[PLAIN]
    basis = "under the newest Gamma" if recursion.statistics is not None else "each under its own month's Gamma"
    columns = recursion.factors.columns[1:]
    return [
        Figure(
            charts=[charts_models.factor_path(recursion.factors, name, k) for k, name in enumerate(columns)],
            columns=3,
            caption=f"Factors realised in each month, {basis} ({recursion.newest:%Y-%m}).",
        ),
        Figure(
            charts=[charts_models.cumulative_paths(recursion.factors)],
            caption="Running sums of the factors. Their second moments are diagonal and descending, their means "
            "positive; the scale is set by Gamma'Gamma = I.",
        ),
    ]


def _gamma(numbers: BondNumbers) -> Sequence[Content]:
    if PLAIN not in numbers.recursions:
        return [WARMING_UP]
    recursion = numbers.recursions[PLAIN]
    followed = list(dict.fromkeys(numbers.gamma["name"]))[:_FOLLOWED]
    paths = factor_statistics.gamma_paths(recursion, followed)
    return [
        Figure(
            charts=[charts_models.gamma_heatmap(numbers.gamma), charts_models.importance_bars(numbers.gamma)],
            columns=2,
            caption=f"Gamma of {recursion.newest:%Y-%m}, sorted by importance: the size of the returns moved by a "
            "characteristic one rank unit away from the middle, √(γ E[ff'] γ'), whatever the rotation of the factors.",
        ),
        Figure(
            charts=[charts_models.gamma_path(paths, name) for name in followed],
            columns=3,
            caption="The most important rows of Gamma as estimated month by month, turned onto the newest Gamma so "
            "that exchanges of factors or signs do not show.",
        ),
    ]


def _alpha(numbers: BondNumbers) -> Content:
    recursion = numbers.recursions.get(INTERCEPT)
    if recursion is None or recursion.gamma_alpha is None:
        return WARMING_UP
    return Figure(
        charts=[charts_models.alpha_bars(recursion.names, recursion.gamma_alpha.tolist())],
        caption=f"Intercepts by characteristic in {recursion.newest:%Y-%m}, orthogonal to the loadings: expected "
        "return that goes with a characteristic but not with its exposure to the factors.",
    )


def _truth(numbers: BondNumbers) -> Sequence[Content]:
    truth = numbers.truth
    if truth is None:
        return [WARMING_UP]
    names = list(dict.fromkeys(truth.gamma["factor"]))
    gamma_correlations = truth.gamma.group_by("factor", maintain_order=True).agg(r=pl.corr("true", "estimated"))
    rows = pl.concat(
        [
            _r_squared_rows(numbers),
            gamma_correlations.select(
                statistic="correlation of Gamma, " + pl.col("factor").str.replace("_", " "),
                true=pl.lit(1.0),
                estimated="r",
            ),
        ]
    )
    contents: list[Content] = [
        Table(html=tables.truth(truth.correlations.tolist(), rows), caption="What is true beside what was estimated."),
        Figure(
            charts=[charts_models.true_factor(truth.factors, name) for name in names],
            caption="True factors (grey) and estimated factors rotated onto them by least squares (blue).",
        ),
        Figure(
            charts=[charts_models.true_gamma(truth.gamma, name) for name in names],
            columns=2,
            caption="Loadings under the same rotation. Characteristics that the truth does not name have zero.",
        ),
    ]
    months = _monthly_r2(numbers)
    if months.height:
        contents.append(
            Figure(
                charts=[charts_models.r2_beside_truth(months)],
                caption="Total R² of each month's cross-section, mean of the last 12 months.",
            )
        )
    return contents


def _r_squared_rows(numbers: BondNumbers) -> pl.DataFrame:
    """Total R-squared, the true one beside those in and out of sample."""
    held: dict[str, float] = {}
    if numbers.data.has("truth.summary"):
        held = dict(numbers.data.table("truth.summary").select("statistic", "value").iter_rows())
    newest = numbers.recursions[PLAIN].rows.row(-1, named=True)
    return pl.DataFrame(
        {
            "statistic": ["total R², in sample", "total R², out of sample"],
            "true": [held.get("total_r2")] * 2,
            "estimated": [newest["total_r2"], newest["oos_total_r2"]],
        },
        schema_overrides={"true": pl.Float64, "estimated": pl.Float64},
    )


def _monthly_r2(numbers: BondNumbers) -> pl.DataFrame:
    estimated = numbers.recursions[PLAIN].in_sample_r2
    if estimated is None or not numbers.data.has("truth.total_r2"):
        return pl.DataFrame()
    true = numbers.data.frame("truth.total_r2")
    both = pl.concat(
        [
            true.select("month", pl.lit("true").alias("kind"), r2="total_r2"),
            estimated.select("month", pl.lit("estimated").alias("kind"), "r2"),
        ]
    ).sort("kind", "month")
    return both.with_columns(pl.col("r2").rolling_mean(ROLLING_MONTHS).over("kind")).drop_nulls()


def _dictionary(numbers: BondNumbers) -> Content:
    dictionary = data_dictionary()
    definitions = ", ".join(dict.fromkeys(dictionary["source"]))
    return Table(
        html=tables.dictionary(dictionary.drop("source")),
        caption="Every characteristic of the panel, from the registry that computes it; m is the month of the row. "
        f"Definitions: {definitions}.",
    )


SECTIONS = (
    Section(
        title="Fit of the factor models",
        anchor="fit",
        intro="Instrumented principal components (Kelly, Pruitt and Su 2019): the excess return of a bond is its "
        "ranked characteristics times Gamma times latent factors. The model is estimated anew each month on all months "
        "up to it.",
        blocks=(Block(build=fit, either=tuple(BondNumbers.models)),),
    ),
    Section(
        title="Factors",
        anchor="ipca-factors",
        intro="Each factor is a portfolio of bonds weighted by their characteristics; returns are decimals a month.",
        blocks=(Block(build=_factors, needs=(PLAIN,)),),
    ),
    Section(
        title="Gamma",
        anchor="gamma",
        intro="How characteristics map into exposures to the factors.",
        blocks=(Block(build=_gamma, needs=(PLAIN,)), Block(build=_alpha, needs=(INTERCEPT,))),
    ),
    Section(
        title="Forecasts",
        anchor="forecasts",
        intro="The forecast for a month is made at the end of the month before, from that month's Gamma, factor means "
        "and characteristics.",
        blocks=(
            Block(
                build=deciles,
                needs=("bond_returns",),
                either=tuple(model.forecasts for model in BondNumbers.models.values()),
            ),
        ),
    ),
)
TRUTH = Section(
    title="Simulated truth",
    anchor="truth",
    intro="The market is simulated, so the true factors and loadings are known. No asset reads them; they are shown "
    "beside the estimates only here.",
    blocks=(Block(build=_truth, needs=(PLAIN, *TRUE_FACTORS)),),
)
REFERENCE = Section(
    title="Data dictionary and settings",
    anchor="dictionary",
    intro="What each characteristic is, and with which settings this page was made.",
    blocks=(Block(build=_dictionary), Block(build=settings), Block(build=sources)),
)
