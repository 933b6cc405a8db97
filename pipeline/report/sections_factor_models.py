"""Sections of the page of factor models: errors, features, importance, dynamics, benchmarks, directions, convergence.

Each section goes through the markets that have what it shows. Here belong captions and what is said where a number is
not there yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import polars as pl
from great_tables import GT

from pipeline.evaluation.comparison_pairs import CONSTANT_BENCHMARKS, Pair
from pipeline.evaluation.comparisons import CLARK_WEST, DIEBOLD_MARIANO, LEVELS, HacSettings
from pipeline.evaluation.forecast_moments import CLASSIFICATION_SUFFIX
from pipeline.models.families import FAMILIES
from pipeline.report import charts_factor_models as charts
from pipeline.report import tables_factor_models as tables
from pipeline.report import tables_learned
from pipeline.report.blocks import Block, Content, Figure, Pairs, Section, Words
from pipeline.report.market_blocks import (
    MarketBuild,
    identifier,
    market_block,
    market_table,
    market_words,
    moments_of,
)
from pipeline.report.numbers_factor_models import (
    INSTRUMENTS,
    MARKETS,
    Explained,
    FactorModelNumbers,
    Market,
    published_table,
)
from pipeline.report.sections_shared import settings, sources
from pipeline.report.tables_factor_models import words

SUMMARY = "truth.summary"
#: Market of which the total R-squared is known where the data are simulated.
TRUE_MARKET = MARKETS[0]

#: Its parts do not break over lines.
LEGEND = ", ".join(f"{stars} p < {level:.0%}".replace(" ", "\u00a0") for level, stars in LEVELS) + "."
#: Characteristics on the page; the files have all.
SHOWN = 20
_SIGNIFICANT = 0.05
_PAPER = (
    " Published: what the text of the paper tells, of American stocks 1963 to 2014; other data, so not comparable one "
    "to one."
)
_NEGATIVE = (
    "The test makes good for the noise of parameters that are zero: stars say that what the larger model has more is "
    "not zero, and a negative difference can have them, where the larger model, being estimated, errs more."
)
_UNCONVERGED = (
    " Not converged: the search stopped early or a limit on the factors is broken, so that these figures, p-values "
    "included, say little."
)
_OBSERVED = f"{tables.SHARED}: 1 CAPM, 3 FF3, 4 Carhart, 5 FF5, 6 FF6."


def _p_notes(frame: pl.DataFrame) -> str:
    return f"{int((frame['p'] < _SIGNIFICANT).sum())} of {frame.height} have p < {_SIGNIFICANT:.0%}. {LEGEND}"


def _errors(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    if numbers.moments(market).is_empty():
        return [market_words(market, "no factor model has made a forecast whose month has come.")]
    fewest, frame = numbers.errors(market)
    covered = frame.filter(model=fewest.model, n_factors=fewest.n_factors).row(0, named=True)
    published = published_table(market, 2)
    note = (
        f"Percent squared. All forecasts of the same {covered['n']:,} asset-months in {covered['n_months']:,} months: "
        f"those that {words(fewest.model)} forecasts too, which has fewest. {_OBSERVED} The CSV adds R² against zero "
        "and each forecast on all that it covers."
    ) + (_PAPER if published.height else "")
    table = tables.by_size(frame, identifier(market, "2"), published, value="mspe", decimals=2)
    return [market_table(market, "2", table, frame, "Mean squared prediction error out of sample", note)]


def _parameters(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    skipped = pl.col("model").is_in(list(CONSTANT_BENCHMARKS)) | pl.col("model").str.ends_with(CLASSIFICATION_SUFFIX)
    newest = numbers.newest(market).filter(~skipped)
    if newest.is_empty():
        return [market_words(market, "no model has the months that its first estimation needs.")]
    conditional = newest["model"].map_elements(tables.group, return_dtype=pl.String) == tables.group("rdcfm")
    contents: list[Content] = []
    for number, kept, what, note in (
        ("3", conditional, "conditional factor models", ""),
        ("10", ~conditional, "benchmark models", _OBSERVED),
    ):
        frame = newest.filter(kept).select("model", "n_factors", "n_parameters", "n_loadings", "n_months", "month")
        if frame.is_empty():
            continue
        published = published_table(market, int(number))
        table = tables.by_size(frame, identifier(market, number), published, value="n_parameters", decimals=0)
        note = (note + (_PAPER if published.height else "")).strip()
        contents.append(
            market_table(market, number, table, frame, f"Free parameters of {what}, newest estimation", note)
        )
    return contents


def _tested(
    market: Market,
    numbers: FactorModelNumbers,
    pairs: Sequence[Pair],
    frame: pl.DataFrame,
    number: str,
    make: Callable[[pl.DataFrame, str], GT],
    title: str,
    note: str,
) -> Sequence[Content]:
    """Show tests of pairs, or say why nothing can be tested."""
    if frame.is_empty():
        return [market_words(market, f"nothing to test: {_untested(market, numbers, pairs)}.")]
    months = " to ".join(str(count) for count in dict.fromkeys((frame["n_months"].min(), frame["n_months"].max())))
    note = f"{note} {months} months; Newey-West errors, Student's t. {LEGEND}"
    return [market_table(market, number, make(frame, identifier(market, number)), frame, title, note)]


def _untested(market: Market, numbers: FactorModelNumbers, pairs: Sequence[Pair]) -> str:
    shared = numbers.common_months(market, pairs)
    if shared:
        least = HacSettings().min_months
        return f"it takes two of these forecasts with {least} months in common; there are {max(shared.values())}"
    sizes = numbers.sizes(market)
    if not sizes:
        return "no conditional factor model has made a forecast"
    if not pairs:
        return f"it takes two numbers of factors, and K = {sizes[0]} alone is estimated"
    return "of no two models that are compared here are both forecasts there"


def _nested(frame: pl.DataFrame, pair: Callable[[str, str], str]) -> str:
    """Say which pairs are nested and how they and the others are tested."""
    tests = {
        test: list(dict.fromkeys(pair(*row) for row in frame.filter(test=test).select("model", "benchmark").rows()))
        for test in (CLARK_WEST, DIEBOLD_MARIANO)
    }
    parts = []
    if tests[CLARK_WEST]:
        parts.append(f"Nested, so Clark-West, one-sided: {'; '.join(tests[CLARK_WEST])}. {_NEGATIVE}")
    if tests[DIEBOLD_MARIANO]:
        parts.append(f"Not nested, so Diebold-Mariano, two-sided: {'; '.join(tests[DIEBOLD_MARIANO])}.")
    return " ".join(parts)


def _features(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    frame = numbers.features(market)
    note = (
        "By how much the model with more features errs less, percent squared. Panel A: all features against fewer; B: "
        "loadings on characteristics; C: memory. "
        f"{_nested(frame, lambda model, benchmark: f'{words(model)} against {words(benchmark)}')}"
    )
    pairs = [pair for panel in numbers.feature_pairs(market).values() for pair in panel]
    return _tested(market, numbers, pairs, frame, "4", tables.features, "Tests of model features", note)


def _more_factors(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    title = f"Clark-West tests of the number of factors of {words(numbers.main(market))}"
    note = (
        "By how much the model with more errs less, percent squared; on the diagonal with one more. One-sided. "
        f"{_NEGATIVE}"
    )
    pairs = numbers.size_pairs(market)
    return _tested(market, numbers, pairs, numbers.tests(market, pairs), "5", tables.more_factors, title, note)


def _benchmarks(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    main, pairs = numbers.main(market), numbers.benchmark_pairs(market)
    frame = numbers.tests(market, pairs)
    note = (
        "By how much the benchmark errs more, percent squared, on the asset-months that both forecast; negative where "
        f"the benchmark is better. Each stands against {words(main)} with as many factors. {_OBSERVED} "
        f"{_nested(tables.in_order(frame, 'benchmark'), lambda _, benchmark: words(benchmark))}"
    )
    make = partial(tables.benchmarks, main=main)
    return _tested(market, numbers, pairs, frame, "9", make, f"Tests of {words(main)} against benchmarks", note)


def _learned(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    frame = numbers.learned(market)
    if frame.is_empty():
        return [market_words(market, "no network and no trees have made a forecast whose month has come.")]
    note = (
        "Percent squared. Forecasts of beta networks and boosted trees, each on all that it forecasts; to the right, "
        "on the asset-months of both, by how much the benchmark errs more, negative where it is better. "
        "Diebold-Mariano, two-sided, Newey-West errors, Student's t; no number with fewer than "
        f"{HacSettings().min_months} months in common. {LEGEND}"
    )
    table = tables_learned.learned(frame, identifier(market, "learned"))
    return [market_table(market, "learned", table, frame, "Networks and trees against benchmarks", note)]


def _explained(
    build: Callable[[Explained], Sequence[Content]],
    holds: Callable[[Explained], bool] = lambda _: True,
    lacking: str = "",
) -> MarketBuild:
    """Build from the newest model with memory, or say that there is none, or what it is lacking."""

    def built(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
        explained = numbers.explained(market)
        if isinstance(explained, str):
            return [market_words(market, explained)]
        if not holds(explained):
            return [market_words(market, f"{explained.model} {lacking}")]
        return build(explained)

    return built


def _caution(explained: Explained) -> str:
    return "" if explained.result.converged else _UNCONVERGED


def _characteristics(explained: Explained) -> Sequence[Content]:
    market, frame = explained.market, explained.characteristics
    published = published_table(market, 6)
    note = (
        "Increase of the mean squared error in sample when a characteristic is shuffled within each month, percent "
        "squared: the exact expectation over all orders; beside it the standard deviation of one order. p: bootstrap "
        f"of a row of Gamma that is zero. {_p_notes(frame)}{_caution(explained)}"
    ) + (" The paper finds 17 of 36." + _PAPER if published.height else "")
    make = partial(tables.ranking, name=identifier(market, "6"), what="characteristic", published=published)
    title = f"Importance of characteristics, {explained.name}"
    made = market_table(market, "6", make(frame.head(SHOWN)), frame, title, note, whole=make(frame))
    if frame.height > SHOWN:
        made = replace(made, caption=f"{made.caption} The {SHOWN} most important; the files have all {frame.height}.")
    return [made]


def _factor_instruments(explained: Explained) -> Sequence[Content]:
    market, frame = explained.market, explained.factor_instruments
    published = published_table(market, 7)
    stand_ins = f" In the place of what is not there: {', '.join(explained.stand_ins)}." if explained.stand_ins else ""
    note = (
        "Increase of the mean squared error in sample when the months of an instrument are shuffled, percent squared: "
        "mean and standard deviation of 100 orders. Of two that nearly repeat each other each alone looks important. "
        f"p: bootstrap of a row of Omega that is zero. {_p_notes(frame)}{stand_ins}{_caution(explained)}"
    ) + (" The paper finds five." + _PAPER if published.height else "")
    table = tables.ranking(frame, identifier(market, "7"), "instrument", published)
    return [market_table(market, "7", table, frame, f"Importance of factor instruments, {explained.name}", note)]


def _granger(explained: Explained) -> Sequence[Content]:
    market, published = explained.market, published_table(explained.market, 8)
    try:
        frame = explained.granger
    except ValueError as error:
        return [market_words(market, f"no Granger test: {error}.")]
    note = (
        "Coefficients of a VAR(1) of the factors, p-values in brackets. A row is a factor, a column what it responds "
        f"to. {LEGEND}{_caution(explained)}"
    ) + (_PAPER if published.height else "")
    table = tables.granger(frame, identifier(market, "8"), published)
    return [market_table(market, "8", table, frame, f"Granger tests, {explained.name}", note)]


def _responses(explained: Explained) -> Sequence[Content]:
    numbers = range(1, explained.result.n_factors + 1)
    newest = f"{explained.newest:%Y-%m}"
    return [
        Figure(
            charts=[charts.factor_responses(explained.factor_responses, number) for number in numbers],
            columns=3,
            caption=f"Figure 2. Responses of the factors of {explained.name} to an impulse of one standard deviation "
            f"in each factor in {newest}, in standard deviations of the responding factor.{_caution(explained)}",
        ),
        Figure(
            charts=[charts.instrument_responses(explained.instrument_responses, number) for number in numbers],
            columns=3,
            caption=f"Figure 3. Responses of the factors of {explained.name} to an impulse of one standard deviation "
            "in one factor instrument in the month after, the others at their means, in standard deviations of the "
            f"responding factor. Month 0 is the impulse itself, later ones are memory.{_caution(explained)}",
        ),
    ]


def _dynamics(explained: Explained) -> Sequence[Content]:
    return [*_granger(explained), *_responses(explained)]


def _directions(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    frame = numbers.scores(market)
    note = (
        "Out of sample. Log loss: the less the better; beside it the loss of always saying the share of positive "
        "returns, known only afterwards (even odds lose 0.6931). Right: share of forecasts on the side that came."
    )
    table = tables.directions(frame, identifier(market, "directions"))
    return [
        market_table(market, "directions", table, frame, "Forecast probabilities of a positive excess return", note)
    ]


def _convergence(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    frame = numbers.convergence(market)
    if frame.is_empty():
        return []
    stopped, estimations = int(frame["stopped"].sum()), int(frame["estimations"].sum())
    note = (
        f"{stopped:,} of {estimations:,} estimations stopped before they converged, or break a limit on the factors. "
        "Estimations start from the last parameters; between them factors are carried on. R² of directions is that of "
        "the logistic loss, against even odds."
    )
    table = tables.convergence(frame, identifier(market, "convergence"))
    return [market_table(market, "convergence", table, frame, "Convergence", note)]


def _estimation(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    return [*_parameters(market, numbers), *_convergence(market, numbers)]


def _truth(market: Market, numbers: FactorModelNumbers) -> Sequence[Content]:
    newest = numbers.newest(market).drop_nulls("total_r2")
    newest = newest.filter(~pl.col("model").str.ends_with(CLASSIFICATION_SUFFIX))
    if newest.is_empty():
        return [market_words(market, "no model has the months that its first estimation needs.")]
    true = numbers.data.table(SUMMARY).filter(statistic="total_r2")["value"].item()
    frame = newest.select("model", "n_factors", "n_months", "month", total_r2=100.0 * pl.col("total_r2"))
    note = (
        f"The true factors explain {100.0 * true:.1f} percent of the squared returns. Factors that are functions of "
        "observed series reach no more than these series say of the true ones; loadings of single assets fit noise. "
        f"{_OBSERVED}"
    )
    table = tables.by_size(frame, identifier(market, "truth"), published_table(market, 0), value="total_r2", decimals=1)
    return [market_table(market, "truth", table, frame, "Total R² in sample of the newest estimates, percent", note)]


def _vintage(numbers: FactorModelNumbers) -> Sequence[Content]:
    vintage = numbers.single_vintage
    if vintage is None:
        return []
    told = (
        f"Factor instruments are FRED-MD series of one vintage, {vintage}, for all months: as of each month they are "
        "cut at what had been published, but the values are those revised since. Models that take them know a little "
        "of what came after, which no forecaster could."
    )
    return [Words(text=told)]


def _models(numbers: FactorModelNumbers) -> Content:
    return Pairs(heading="Models", pairs=[(words(family.name), family.title) for family in FAMILIES.values()])


def _sums(market: Market) -> tuple[str, ...]:
    return (market.sums,)


def _has_sums(explained: Explained) -> bool:
    return explained.statistics is not None


def _on_characteristics(explained: Explained) -> bool:
    return explained.on_characteristics and _has_sums(explained)


_WITH_CHARACTERISTICS = tuple(market for market in MARKETS if market.characteristics)

SECTIONS = (
    Section(
        title="Prediction errors",
        anchor="errors",
        intro="Conditional factor models explain returns by factors that are functions of observed series "
        "(instruments), with or without memory, and by loadings that are functions of characteristics or each asset's "
        "own. Every model is estimated on the months up to one, and forecasts the next.",
        blocks=(
            Block(build=_vintage),
            market_block(_errors, moments_of, wants=tuple(market.moments for market in MARKETS)),
        ),
    ),
    Section(
        title="Features that matter",
        anchor="features",
        intro="A model without memory is nested in the one with it. Loadings of single assets are not nested in "
        "loadings on characteristics, nor these in those; between them the errors are compared as they are.",
        blocks=(market_block(_features, moments_of),),
    ),
    Section(
        title="Number of factors",
        anchor="number",
        intro="A model with fewer factors is nested in one with more.",
        blocks=(market_block(_more_factors, moments_of),),
    ),
    Section(
        title="Characteristics that matter",
        anchor="characteristics",
        intro="What drives the loadings of the newest model with memory and most factors.",
        blocks=(
            market_block(
                _explained(_characteristics, _on_characteristics, "has no loadings on characteristics."),
                _sums,
                needs=(INSTRUMENTS,),
                markets=_WITH_CHARACTERISTICS,
            ),
        ),
    ),
    Section(
        title="Instruments that matter",
        anchor="instruments",
        intro="What drives its factors, at once and through their memory.",
        blocks=(
            market_block(
                _explained(_factor_instruments, _has_sums, "has no returns here that its errors could be measured on."),
                _sums,
                needs=(INSTRUMENTS,),
            ),
        ),
    ),
    Section(
        title="Dynamics of the factors",
        anchor="dynamics",
        intro="How long the factors remember, and which moves which.",
        blocks=(market_block(_explained(_dynamics), lambda market: market.recurrent, needs=(INSTRUMENTS,)),),
    ),
    Section(
        title="Against benchmarks",
        anchor="benchmarks",
        intro="The forecast zero is nested in every model, and so are observed factors that are among its instruments, "
        "and the prevailing mean where assets have loadings of their own. No other benchmark and model are nested; "
        "their errors are compared as they are.",
        blocks=(market_block(_benchmarks, moments_of),),
    ),
    Section(
        title="Networks and trees",
        anchor="learned",
        intro="What the networks of the stochastic discount factor and boosted trees expect of the same assets. None "
        "of them is nested in a factor model; how they come about is told on their own page.",
        blocks=(market_block(_learned, moments_of),),
    ),
    Section(
        title="Directions",
        anchor="directions",
        intro="The same models with the logistic loss: will the excess return be positive?",
        blocks=(market_block(_directions, lambda market: (market.directions,), markets=_WITH_CHARACTERISTICS),),
    ),
    Section(
        title="Parameters and convergence",
        anchor="parameters",
        intro="How much each model estimates, and whether the search ended where it should.",
        blocks=(market_block(_estimation, lambda market: market.families),),
    ),
)
TRUTH = Section(
    title="Simulated truth",
    anchor="truth",
    intro="The market is simulated, so it is known how much of the bonds' returns is due to factors. No asset reads "
    "it.",
    blocks=(market_block(_truth, lambda market: market.families, needs=(SUMMARY,), markets=(TRUE_MARKET,)),),
)
REFERENCE = Section(
    title="Models and settings",
    anchor="models",
    intro="Which models there are, and with which settings this page was made. Stars stand for p-values, the same "
    f"everywhere: {LEGEND}",
    blocks=(Block(build=_models), Block(build=settings), Block(build=sources)),
)
