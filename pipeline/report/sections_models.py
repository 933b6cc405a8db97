"""Sections about the factor models: R-squared, factors, Gamma, forecasts, truth; and the glossary at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from pipeline.report import charts_models, factor_statistics, tables
from pipeline.report.blocks import Block, Content, Figure, Pairs, Section, Table, Words
from pipeline.report.factor_statistics import ROLLING_MONTHS
from pipeline.report.numbers import MODELS, Numbers

#: Rows of Gamma followed through time.
_FOLLOWED = 6
#: Entries of a setting that are shown one by one.
_LISTED = 8
_PLAIN, _INTERCEPT = "bond_ipca", "bond_ipca_intercept"
_WARMING_UP = Words(text="The model is still warming up: no month has the history that its first estimation needs.")


def _r_squared(numbers: Numbers) -> Sequence[Content]:
    recursions = numbers.recursions
    if not recursions:
        return [_WARMING_UP]
    contents: list[Content] = [
        Table(
            html=tables.r_squared(factor_statistics.r2_table(recursions), MODELS),
            caption="R² against zero. Total: explained by the factors realised in the month; predictive: by the "
            "factors' means. Out of sample, each month is explained with the Gamma and means of the month before.",
        )
    ]
    if _PLAIN in recursions:
        contents.append(
            Figure(
                charts=[charts_models.rolling_r2(recursions[_PLAIN].monthly_r2)],
                caption=f"R² of the last {ROLLING_MONTHS} months, model without intercept.",
            )
        )
    charts = [charts_models.iterations(each.rows, MODELS[name]) for name, each in recursions.items()]
    caption = "Iterations of each month's estimation, started from last month's; orange bars did not converge."
    return [*contents, Figure(charts=charts, columns=2, caption=caption)]


def _factors(numbers: Numbers) -> Sequence[Content]:
    if _PLAIN not in numbers.recursions:
        return [_WARMING_UP]
    recursion = numbers.recursions[_PLAIN]
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


def _gamma(numbers: Numbers) -> Sequence[Content]:
    if _PLAIN not in numbers.recursions:
        return [_WARMING_UP]
    recursion = numbers.recursions[_PLAIN]
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


def _alpha(numbers: Numbers) -> Content:
    recursion = numbers.recursions.get(_INTERCEPT)
    if recursion is None or recursion.gamma_alpha is None:
        return _WARMING_UP
    return Figure(
        charts=[charts_models.alpha_bars(recursion.names, recursion.gamma_alpha.tolist())],
        caption=f"Intercepts by characteristic in {recursion.newest:%Y-%m}, orthogonal to the loadings: expected "
        "return that goes with a characteristic but not with its exposure to the factors.",
    )


def _deciles(numbers: Numbers) -> Content:
    returns = numbers.data.panel("bond_returns")
    charts = []
    for name, words in MODELS.items():
        if numbers.data.has(f"{name}_forecasts"):
            deciles = factor_statistics.forecast_deciles(numbers.data.panel(f"{name}_forecasts"), returns)
            charts.append(charts_models.decile_bars(deciles, words) if deciles.height else None)
    return Figure(
        charts=charts,
        columns=2,
        caption="Bonds sorted each month by the forecast made a month earlier. Bars: mean realised excess return; "
        "orange points: mean forecast.",
    )


def _truth(numbers: Numbers) -> Sequence[Content]:
    truth = numbers.truth
    if truth is None:
        return [_WARMING_UP]
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


def _r_squared_rows(numbers: Numbers) -> pl.DataFrame:
    """Total R-squared, the true one beside those in and out of sample."""
    summary = (numbers.data.truth or {}).get("summary")
    held = {} if summary is None else dict(zip(summary["statistic"], summary["value"], strict=True))
    newest = numbers.recursions[_PLAIN].rows.row(-1, named=True)
    return pl.DataFrame(
        {
            "statistic": ["total R², in sample", "total R², out of sample"],
            "true": [held.get("total_r2")] * 2,
            "estimated": [newest["total_r2"], newest["oos_total_r2"]],
        },
        schema_overrides={"true": pl.Float64, "estimated": pl.Float64},
    )


def _monthly_r2(numbers: Numbers) -> pl.DataFrame:
    true = (numbers.data.truth or {}).get("total_r2")
    estimated = numbers.recursions[_PLAIN].in_sample_r2
    if true is None or estimated is None:
        return pl.DataFrame()
    both = pl.concat(
        [
            true.select("month", pl.lit("true").alias("kind"), r2="total_r2"),
            estimated.select("month", pl.lit("estimated").alias("kind"), "r2"),
        ]
    ).sort("kind", "month")
    return both.with_columns(pl.col("r2").rolling_mean(ROLLING_MONTHS).over("kind")).drop_nulls()


def _dictionary(numbers: Numbers) -> Content:
    dictionary = numbers.data.dictionary
    sources = ", ".join(dict.fromkeys(dictionary["source"]))
    return Table(
        html=tables.dictionary(dictionary.drop("source")),
        caption="Every characteristic of the panel, from the registry that computes it; m is the month of the row. "
        f"Definitions: {sources}.",
    )


def _settings(numbers: Numbers) -> Sequence[Content]:
    return [
        Pairs(heading=section, pairs=[(name, _plain(value)) for name, value in values.items()])
        for section, values in numbers.data.settings.items()
    ]


def _plain(value: object) -> str:
    """Return a setting in words; a long mapping as how often it holds each of its values."""
    if isinstance(value, Mapping):
        if len(value) > _LISTED and not any(isinstance(each, Mapping) for each in value.values()):
            counts = Counter(_plain(each) for each in value.values())
            return f"{len(value)} entries: " + ", ".join(f"{each} ({times})" for each, times in counts.most_common())
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each) for each in value)
    return str(value)


def _sources(numbers: Numbers) -> Content | Sequence[Content]:
    if not numbers.data.sources:
        return []
    return Pairs(heading="Sources", pairs=list(numbers.data.sources.items()))


SECTIONS = (
    Section(
        title="Fit of the factor models",
        anchor="fit",
        intro="Instrumented principal components (Kelly, Pruitt and Su 2019): the excess return of a bond is its "
        "ranked characteristics times Gamma times latent factors. The model is estimated anew each month on all months "
        "up to it.",
        blocks=(Block(build=_r_squared, either=tuple(MODELS)),),
    ),
    Section(
        title="Factors",
        anchor="ipca-factors",
        intro="Each factor is a portfolio of bonds weighted by their characteristics; returns are decimals a month.",
        blocks=(Block(build=_factors, needs=(_PLAIN,)),),
    ),
    Section(
        title="Gamma",
        anchor="gamma",
        intro="How characteristics map into exposures to the factors.",
        blocks=(Block(build=_gamma, needs=(_PLAIN,)), Block(build=_alpha, needs=(_INTERCEPT,))),
    ),
    Section(
        title="Forecasts",
        anchor="forecasts",
        intro="The forecast for a month is made at the end of the month before, from that month's Gamma, factor means "
        "and characteristics.",
        blocks=(Block(build=_deciles, needs=("bond_returns",), either=tuple(f"{name}_forecasts" for name in MODELS)),),
    ),
)
TRUTH = Section(
    title="Simulated truth",
    anchor="truth",
    intro="The market is simulated, so the true factors and loadings are known. No asset reads them; they are shown "
    "beside the estimates only here.",
    blocks=(Block(build=_truth, needs=(_PLAIN,)),),
)
REFERENCE = Section(
    title="Data dictionary and settings",
    anchor="dictionary",
    intro="What each characteristic is, and with which settings this page was made.",
    blocks=(Block(build=_dictionary), Block(build=_settings), Block(build=_sources)),
)
