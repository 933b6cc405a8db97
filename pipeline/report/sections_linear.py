"""Sections of the linear benchmarks, of forecasts against each other and of the market's states.

Here belong captions and what is said where a number is not there yet: tables 9, 10, A.14 to A.19 and A.27 and figure 6
of the source. Does not: tables of the networks themselves (``sections_sdf``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import polars as pl
from great_tables import GT

from pipeline.report import charts_linear as charts
from pipeline.report import tables_linear as tables
from pipeline.report.blocks import Block, Content, Figure, Section, Table, Words
from pipeline.report.downloads import downloads
from pipeline.report.linear_statistics import FORECASTS, TESTS_SCHEMA, MarketStates
from pipeline.report.numbers_linear import (
    COUNTS,
    CP,
    KERNELS,
    MACRO_CP,
    MOMENTS,
    NETWORKS,
    PORTFOLIOS,
    PREDICTED,
    REAL_TIME,
    REGIMES,
    REGRESSIONS,
    TREE_MARKETS,
    WHOLE_SAMPLE,
    published_kernels,
    published_regressions,
)
from pipeline.report.numbers_sdf import MARKETS, SdfNumbers
from pipeline.report.sections_sdf import LEGEND
from pipeline.report.tables import html_of

_PORTFOLIOS = MARKETS[0]
_SECTION = "predictive_regressions"
_SETTINGS = ("covariance", "lags")
_FACTORS = {
    WHOLE_SAMPLE: (
        "Tables A.14 to A.16",
        "Predictive regressions, factors of the whole sample",
        "The factors of every month are estimated on all months to {month:%Y-%m}, which no one knew then.",
    ),
    REAL_TIME: (
        "Tables A.17 to A.19",
        "Predictive regressions, factors in real time",
        "The factors of every month are those estimated in it; the coefficients are of all months to {month:%Y-%m}.",
    ),
}


def _table(what: str, table: GT, numbers: pl.DataFrame, title: str, note: str, font_size: str = "12.5px") -> Table:
    """Put a table on the page with its files."""
    return Table(
        html=html_of(table, font_size),
        caption=note,
        heading=title,
        downloads=downloads(f"linear_{what}", numbers, table, title, note),
    )


def _id(what: str) -> str:
    return f"table-linear-{what}"


# Linear kernels


def _kernels(numbers: SdfNumbers) -> Sequence[Content]:
    frame = numbers.linear.kernels
    estimated = frame.filter(pl.col("reason").is_null())
    contents: list[Content] = []
    if estimated.height:
        month = estimated["month"][0]
        sample, portfolios = (max(estimated[name].to_list()) for name in ("n_months", "n_assets"))
        note = (
            f"Table 9. Kernels 1 - b'F - c CP of macro factors (principal components of {_series(estimated)} "
            "macroeconomic series) and the bond factor of Cochrane and Piazzesi (CP), estimated by GMM on the "
            f"{sample:,} months to {month:%Y-%m} of {portfolios} portfolios, in sample. Sharpe: mean "
            "over standard deviation of b'F + c CP, monthly; EV and R²: share of the squared returns, and mean share "
            "of the portfolios' variance, that regressions on a constant and the factors explain; J: all moments; "
            "p, CP only: difference of J to CP alone. The source does not say how it computes Sharpe, EV and R². "
            "Published: 1977 to 2018."
        )
        held = _told(estimated.filter(~pl.col("converged")), "Iteration did not end by its tolerance with {}.")
        table = tables.kernels(estimated, published_kernels(), _id("kernels"))
        contents.append(_table("kernels", table, frame, "Linear kernels by GMM", f"{note}{held}"))
    reasons = frame.drop_nulls("reason").group_by("reason", maintain_order=True)
    told = [_told(rows, f"Not estimated with {{}}: {reason}.").strip() for (reason,), rows in reasons]
    return [*contents, *(Words(text=each) for each in told)]


def _series(estimated: pl.DataFrame) -> str:
    few, most = min(estimated["n_series"].to_list()), max(estimated["n_series"].to_list())
    return f"{most}" if few == most else f"{few} to {most}"


def _told(rows: pl.DataFrame, text: str) -> str:
    """Name specifications of the kernel in a sentence; nothing where there are none."""
    names = [
        " and ".join([*([f"{size} macro factors"] * (size > 0)), *(["CP"] * cp)])
        for size, cp in rows.select("n_factors", "cp").iter_rows()
    ]
    return f" {text.format('; '.join(names))}" if names else ""


def _counts(numbers: SdfNumbers) -> Content:
    frame = numbers.linear.counts
    series, months = (max(frame[name].to_list()) for name in ("n_series", "n_months"))
    note = (
        f"Criteria of Bai and Ng (2002) on {series} series in the {months:,} months "
        f"to {frame['month'][0]:%Y-%m}, with the penalty and with shares of it. The source, with 132 series, finds 45, "
        "and 30 where at most 39 are allowed; it names no criterion for the first. Without a number: not fewer than "
        "there are series or months."
    )
    return _table("counts", tables.counts(frame, _id("counts")), frame, "Number of macro factors", note)


# Predictive regressions


def _regressions(factors: str, numbers: SdfNumbers) -> Content:
    frame = numbers.linear.regressions(factors)
    number, title, of = _FACTORS[factors]
    if frame.is_empty():
        return Words(text=f"{title}: no portfolio has enough months yet.")
    printed = published_regressions().filter(factors=factors)
    whole = frame.unique(["portfolio", "specification"], maintain_order=True)
    means = ", ".join(
        f"{_mean(whole.filter(specification=each)['r2'])} {what} (published {_mean(printed[f'{each}_r2'])})"
        for each, what in ((CP, "with CP alone"), (MACRO_CP, "with the macro factors too"))
    )
    months = sorted({min(whole["n_months"].to_list()), max(whole["n_months"].to_list())})
    note = (
        f"{number}. Log excess return of the next month, percent: for each portfolio first on the bond factor CP "
        "(decimal) alone, then with the macro factors PC1 and so on; "
        f"a constant is in every regression. {of.format(month=frame['month'][0])} "
        f"{' to '.join(str(each) for each in months)} months. {_errors(numbers)} {LEGEND} Mean R²: {means}. Published: "
        "1977 to 2018, CP's coefficients alone; those of components depend on the sample's rotation."
    )
    table = tables.regressions(frame, printed, _id(factors))
    return _table(f"regressions_{factors}", table, frame, title, note, font_size="11.5px")


def _mean(values: pl.Series) -> str:
    held = values.drop_nulls().to_list()
    return f"{sum(held) / len(held):.2f}" if held else "none"


def _errors(numbers: SdfNumbers) -> str:
    """Say which standard errors are in brackets."""
    covariance, lags = (numbers.data.settings.get(_SECTION, {}).get(name) for name in _SETTINGS)
    if covariance is None:
        return "Standard errors in brackets."
    kind = f"Newey-West, {lags} lags" if covariance == "HAC" else f"robust to heteroskedasticity, {covariance}"
    return f"Standard errors ({kind}) in brackets."


def _fit(numbers: SdfNumbers) -> Content:
    frame = numbers.linear.fit
    if frame.is_empty():
        return Words(text="Out of sample: no forecast of the predictive regressions has a return yet.")
    first, last = min(frame["first"].to_list()), max(frame["last"].to_list())
    note = (
        f"Recursive forecasts of the portfolios' excess returns, {first:%Y-%m} to {last:%Y-%m}: coefficients of the "
        "months before, factors in real time. R² against zero and against the mean of the months so far: 1 - squared "
        "errors over squared returns, and over squared errors of that mean, all portfolios and months together. Then "
        "the median of the portfolios' own R² against the mean, and the share of those above zero. The source's R² out "
        "of sample are in-sample R² with factors in real time, as in tables A.17 to A.19."
    )
    return _table("fit", tables.fit(frame, _id("fit")), frame, "Predictive regressions out of sample", note)


# Forecasts against each other


def _tests(numbers: SdfNumbers) -> Sequence[Content]:
    found = [pl.DataFrame(schema=TESTS_SCHEMA)]
    if numbers.data.has(MOMENTS):
        found.append(numbers.linear.forecast_tests)
    if numbers.data.has(NETWORKS, PREDICTED, PORTFOLIOS):
        found.append(numbers.linear.residual_tests(numbers.positions(_PORTFOLIOS)))
    frame = pl.concat(found)
    tested = frame.drop_nulls("statistic")
    told = _untested(frame.drop_nulls("why_not"))
    if tested.is_empty():
        return told or [Words(text="No two of these forecasts share a month yet.")]
    note = (
        "Table 10. Diebold-Mariano statistics of squared errors, mean by month, Newey-West; below zero the row errs "
        f"less. {LEGEND} Forecast against forecast: both sides knew the months before. Residuals, as in the source: "
        "the network's side is what a projection of the month's returns on its betas leaves (equation 4), and that "
        "projection knows the month's mean along the betas; the regression's side is a forecast error. So the "
        "source's comparison, which has no forecast on one side, flatters the networks: any factor that the portfolios "
        "share would win it."
    )
    table = tables.tests(tested, _id("tests"))
    return [_table("tests", table, frame, "Networks, regressions and trees", note), *told]


def _untested(refused: pl.DataFrame) -> list[Content]:
    """Say which pairs could not be tested, those of one reason together; most reasons begin with the pair's names."""
    after_names = pl.col("why_not").str.splitn(": ", 2).struct[1]
    reasons = refused.with_columns(reason=after_names.fill_null(pl.col("why_not")))
    told: list[Content] = []
    for (of, benchmark, reason), own in reasons.group_by("of", "benchmark", "reason", maintain_order=True):
        names = "; ".join(tables.model_words(model) for model in own["model"])
        what = "Forecasts" if of == FORECASTS else "Residuals"
        against = tables.BENCHMARKS.get(str(benchmark), str(benchmark))
        told.append(Words(text=f"{what} not tested against {against}: {reason} ({names})."))
    return told


def _trees(numbers: SdfNumbers) -> Content:
    there = [market for market, (_, search, _) in TREE_MARKETS.items() if numbers.data.has(search)]
    found = {market: numbers.linear.trees(market) for market in there}
    searched = ", ".join(f"{TREE_MARKETS[market][0]} {row.month:%Y-%m}" for market, row in found.items())
    note = (
        f"Table A.27. Boosted trees (XGBoost) on all features: newest searches, {searched}. R² against zero; that of "
        "the test is of the forecasts made since the first search, each month by the newest trees. Features by their "
        "share of the gain in training, of the newest search; none where the forecast zero validates best. Published "
        "trees were fitted once."
    )
    numbers_of = pl.DataFrame(
        [{"market": market, **asdict(row), "features": " ".join(row.features)} for market, row in found.items()]
    )
    return _table("trees", tables.trees(found, _id("trees")), numbers_of, "Boosted trees", note)


# States of the market


def _states(numbers: SdfNumbers) -> Sequence[Content]:
    try:
        found = numbers.linear.states
    except ValueError as error:
        return [Words(text=f"No states of the whole sample: {error}.")]
    first, last = found.path["month"][0], found.path["month"][-1]
    figure = Figure(
        charts=[charts.index_by_state(found)],
        caption=f"Figure 6. A Gaussian hidden Markov model of {found.n_portfolios} portfolios with "
        f"{numbers.linear.n_states} states, estimated for this picture on all {found.path.height} months, "
        f"{first:%Y-%m} to {last:%Y-%m}. A month has the state of its largest smoothed probability, which knows the "
        "months after it: nothing else here uses it.",
    )
    return [figure]


def _filtered(numbers: SdfNumbers) -> Content:
    held = numbers.linear.filtered.filter(n_states=numbers.linear.n_states)
    if held.is_empty():
        return Words(text=f"No chain of {numbers.linear.n_states} states is estimated month by month.")
    return Figure(
        charts=[charts.filtered_probabilities(held, numbers.linear.n_states)],
        caption="Probability of each state given the returns up to the month, under parameters estimated on months no "
        "later than it; states are ordered by their mean anew at each estimation.",
    )


def _descriptions(numbers: SdfNumbers) -> Sequence[Content]:
    parts: dict[str, pl.DataFrame] = {}
    whole = _whole_sample(numbers)
    if whole is not None:
        parts["whole sample, ex post"] = whole.description
    if numbers.data.has(REGIMES):
        newest = numbers.linear.filtered.filter(pl.col("month") == pl.col("month").max().over("n_states"))
        for (n_states, estimated), own in newest.group_by("n_states", "estimated_in", maintain_order=True):
            parts[f"{n_states} states, estimated in {estimated:%Y-%m}"] = own
    if not parts:
        return []
    note = (
        "States in the order of their means over the portfolios: mean and volatility of the equally weighted portfolio "
        "within the state, monthly; largest eigenvalue of the portfolios' covariance, which the source calls the "
        "state's volatility; expected length of a visit; share of the months by smoothed probabilities. Published "
        "means are averages of the 40 printed ones."
    )
    frame = pl.concat(
        [own.select(pl.lit(heading).alias("estimation"), *_common(own)) for heading, own in parts.items()],
        how="diagonal",
    )
    return [_table("states", tables.states(parts, _id("states")), frame, "What the states are like", note)]


def _common(own: pl.DataFrame) -> list[str]:
    columns = ("state", "mean", "volatility", "largest_eigenvalue", "expected_months", "share", "probability")
    return [each for each in columns if each in own.columns]


def _whole_sample(numbers: SdfNumbers) -> MarketStates | None:
    """Return the states of the whole sample; None where there are too few months, which the figure says."""
    try:
        return numbers.linear.states if numbers.data.has(PORTFOLIOS) else None
    except ValueError:
        return None


LINEAR = Section(
    title="Linear kernels and predictive regressions",
    anchor="linear",
    intro="What is customary, on the 40 bond portfolios: a stochastic discount factor linear in macro factors and the "
    "bond factor, and regressions of next month's return on them.",
    blocks=(
        Block(build=_kernels, needs=(KERNELS,)),
        Block(build=_counts, needs=(COUNTS,)),
        Block(build=partial(_regressions, WHOLE_SAMPLE), needs=(REGRESSIONS,)),
        Block(build=partial(_regressions, REAL_TIME), needs=(REGRESSIONS,)),
        Block(build=_fit, needs=(PREDICTED, PORTFOLIOS)),
    ),
)
COMPARED = Section(
    title="Forecasts against each other",
    anchor="compared",
    intro="Do networks say more of next month's returns of the bond portfolios than regressions or boosted trees?",
    blocks=(
        Block(build=_tests, either=(MOMENTS, PREDICTED), wants=(MOMENTS, NETWORKS, PREDICTED, PORTFOLIOS)),
        Block(
            build=_trees,
            either=tuple(search for _, search, _ in TREE_MARKETS.values()),
            wants=tuple(name for _, *names in TREE_MARKETS.values() for name in names),
        ),
    ),
)
STATES = Section(
    title="States of the bond market",
    anchor="states",
    intro="A hidden Markov model of the 40 bond portfolios, from their returns alone.",
    blocks=(
        Block(build=_states, needs=(PORTFOLIOS,)),
        Block(build=_filtered, needs=(REGIMES,)),
        Block(build=_descriptions, either=(PORTFOLIOS, REGIMES)),
    ),
)
SECTIONS = (LINEAR, COMPARED, STATES)
