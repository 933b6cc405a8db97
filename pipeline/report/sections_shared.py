"""Parts that are made the same way on every page: fit and forecasts of the models, settings and sources.

Every builder takes the page's :class:`pipeline.report.numbers.Numbers` and goes through its ``models``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.report import charts_models, factor_statistics, tables
from pipeline.report.blocks import Content, Figure, Pairs, Table, Words
from pipeline.report.charts import FULL, HALF, THIRD
from pipeline.report.factor_statistics import ROLLING_MONTHS
from pipeline.report.numbers import Numbers

#: Entries of a setting that are shown one by one.
_LISTED = 8
WARMING_UP = Words(text="The model is still warming up: no month has the history that its first estimation needs.")


def fit(numbers: Numbers) -> Sequence[Content]:
    """R-squared and convergence of every model, R-squared through time of those without intercept."""
    recursions = numbers.recursions
    if not recursions:
        return [WARMING_UP]
    plain = {name: recursion for name, recursion in recursions.items() if recursion.gamma_alpha is None}
    wide = FULL if len(plain) == 1 else HALF
    columns, width = _columns(len(recursions))
    rolling = [
        charts_models.rolling_r2(each.monthly_r2, numbers.words[name], width=wide) for name, each in plain.items()
    ]
    steps = [charts_models.iterations(each.rows, numbers.words[name], width=width) for name, each in recursions.items()]
    return [
        Table(
            html=tables.r_squared(factor_statistics.r2_table(recursions), numbers.words),
            caption="R² against zero. Total: explained by the factors realised in the month; predictive: by the "
            "factors' means. Out of sample, each month is explained with the Gamma and means of the month before.",
        ),
        Figure(
            charts=rolling,
            columns=min(len(plain), 2) or 1,
            caption=f"R² of the last {ROLLING_MONTHS} months, models without intercept.",
        ),
        Figure(
            charts=steps,
            columns=columns,
            caption="Iterations of each month's estimation, started from last month's; orange bars did not converge.",
        ),
    ]


def _columns(charts: int) -> tuple[int, int]:
    """Return how many charts stand beside each other, and how wide one is."""
    return (3, THIRD) if charts > 2 else (2, HALF)


def deciles(numbers: Numbers) -> Content:
    """Realised returns by decile of the forecast, of every model with forecasts."""
    held = [model for model in numbers.models.values() if numbers.data.has(model.forecasts)]
    columns, width = _columns(len(held))
    charts = []
    for model in held:
        returns = numbers.data.panel(model.returns)
        sorted_ = factor_statistics.forecast_deciles(numbers.data.panel(model.forecasts), returns, key=model.key)
        charts.append(charts_models.decile_bars(sorted_, model.words, width=width) if sorted_.height else None)
    return Figure(
        charts=charts,
        columns=columns,
        caption="Sorted each month by the forecast made a month earlier. Bars: mean realised excess return; orange "
        "points: mean forecast.",
    )


def settings(numbers: Numbers) -> Sequence[Content]:
    """Every setting that the page depends on."""
    return [
        Pairs(heading=section, pairs=[(name, _plain(value)) for name, value in values.items()])
        for section, values in numbers.data.settings.items()
    ]


def _plain(value: object) -> str:
    """Return a setting in words; a long mapping of few values as how often it holds each of them."""
    if isinstance(value, Mapping):
        counts = Counter(_plain(each) for each in value.values())
        if len(value) > max(_LISTED, 2 * len(counts)):
            return f"{len(value)} entries: " + ", ".join(f"{each} ({times})" for each, times in counts.most_common())
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each) for each in value)
    return str(value)


def sources(numbers: Numbers) -> Content | Sequence[Content]:
    """Files that the page was made of."""
    if not numbers.data.sources:
        return []
    return Pairs(heading="Sources", pairs=list(numbers.data.sources.items()))
