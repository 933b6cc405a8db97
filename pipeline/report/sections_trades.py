"""Sections of the page of bonds from trades: cleaning, coverage, composition, spreads, portfolios, issuers, truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import polars as pl

from pipeline.bonds.month_end import PRIORITY, RECOVERY
from pipeline.bonds.portfolios import BOND_SORTS
from pipeline.bonds.source import INDEX
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.report import (
    charts_sorts,
    charts_trades,
    firm_statistics,
    portfolio_statistics,
    statistics,
    tables_firms,
    tables_trades,
    trade_statistics,
    trade_truth,
)
from pipeline.report.blocks import Block, Content, Figure, Section, Table, Words
from pipeline.report.numbers_trades import LINK, NARROWED, TradeNumbers
from pipeline.report.sections_shared import settings, sources
from pipeline.report.sort_statistics import LEAST_MONTHS
from pipeline.report.trade_statistics import EVENTS, FEWEST, MATURITIES, NO_MATURITY, RATING_CLASSES, UNRATED, eras

_SOURCES = (*PRIORITY, RECOVERY, INDEX)
_NO_SPREAD = Words(text="No bond of the panel has a spread, a yield or a duration.")
#: Settings of the cleaning that do not change what is clean.
_OF_MEMORY = frozenset({"rows_at_once"})


def _cleaning(numbers: TradeNumbers) -> Sequence[Content]:
    steps = numbers.cleaning
    if steps.is_empty():
        return [Words(text="No manifest says what the filters let through.")]
    regime = numbers.cleaning_settings["regime"]
    old, new = eras(regime)
    table = trade_statistics.cleaning_by_era(steps, regime)
    shown = [era for era in (old, new) if era in set(steps["era"])]
    return [
        Figure(
            charts=[charts_trades.dropped(steps, table["step"].to_list(), shown)],
            caption="Share of all reports of the regime that each step drops, one step after the other, reports about "
            "trades of their own month. Decimal shifts are mended, not dropped.",
        ),
        Table(
            html=tables_trades.cleaning(table, old, new),
            caption=f"The same in numbers of reports. The present regime began on {regime.day} {regime:%B %Y}; that "
            "month counts as one of it, the reports of its first days as of the old.",
        ),
    ]


def _reports(numbers: TradeNumbers) -> Sequence[Content]:
    monthly = numbers.reports
    if monthly.is_empty():
        return []
    return [
        Figure(
            charts=[charts_trades.reports(monthly)],
            caption="Reports about trades of the month that arrived in it, and clean trades made of them.",
        ),
        Figure(
            charts=[charts_trades.event(monthly, name, words) for name, words in EVENTS.items()],
            columns=3,
            caption="Counts a month. What arrives late changes the corrected prices of earlier days, never those that "
            "were known at the end of their own month.",
        ),
    ]


def _universe(numbers: TradeNumbers) -> Content:
    figures = {name: numbers.figures(name) for name in NARROWED}
    steps = firm_statistics.waterfalls(figures)
    if steps.is_empty():
        return Words(text="No manifest says what the filters let through.")
    return Table(
        html=tables_firms.waterfall(firm_statistics.waterfall_totals(steps)),
        caption="Issues outstanding that each filter lets through: the universe, its bonds with a price, and, of the "
        "universe of the month before, those with a return. All months: from the first month of this page on.",
    )


def _coverage(numbers: TradeNumbers) -> Content:
    counts = numbers.coverage
    return Figure(
        charts=[
            charts_trades.coverage(counts, "bonds", "bonds", "Bonds"),
            charts_trades.coverage(counts, "amount", "billions of dollars of face", "Amount outstanding"),
        ],
        columns=2,
        caption="Eligible: what the filters on FISD leave. With a price: the panel's bonds at the end of the month. "
        "With a return: held from the end of the month before, at what was outstanding then.",
    )


def _by_source(numbers: TradeNumbers) -> Content:
    prices = trade_statistics.priced_by_source(numbers.figures("bond_prices"), _SOURCES)
    drawn = [charts_trades.stacked(prices, "bonds", title="bonds", heading="Prices of the universe, by source")]
    if numbers.data.has("bond_returns"):
        returns = trade_statistics.returns_by_source(numbers.data.panel("bond_returns"), _SOURCES)
        drawn.append(charts_trades.stacked(returns, "bonds", title="bonds", heading="Returns, by source"))
    return Figure(
        charts=drawn,
        columns=2,
        caption="A return is made of prices of one source at both ends, the first in priority that has both: "
        f"{', '.join(PRIORITY)}. A bond that defaults without a price afterwards is worth its recovery.",
    )


def _composition(numbers: TradeNumbers) -> Content:
    snapshot = numbers.data.panel("bond_snapshot")
    of = trade_statistics.composition
    ratings = of(snapshot, trade_statistics.rating_class(), (*RATING_CLASSES, UNRATED))
    maturities = of(snapshot, trade_statistics.maturity_bucket(), (*MATURITIES, NO_MATURITY))
    return Figure(
        charts=[
            charts_trades.composition(ratings, "By rating", (*RATING_CLASSES, UNRATED)),
            charts_trades.composition(maturities, "By time to maturity", (*MATURITIES, NO_MATURITY)),
        ],
        columns=2,
        caption="Shares of the amount outstanding of the panel's bonds. The rating is that of S&P, else Moody's, as "
        "it stood at the end of the month.",
    )


def _spreads(numbers: TradeNumbers) -> Content:
    snapshot = numbers.data.panel("bond_snapshot")
    bands = statistics.cross_section_bands(snapshot, ["spread", "ytm", "duration"])
    if bands.is_empty():
        return _NO_SPREAD
    medians = trade_statistics.spread_by_rating(snapshot)
    return Figure(
        charts=[
            charts_trades.band(bands, "spread", "Spread", "basis points"),
            charts_trades.spread_by_rating(medians, (*RATING_CLASSES, UNRATED)),
            charts_trades.band(bands, "ytm", "Yield to maturity", "percent a year"),
            charts_trades.band(bands, "duration", "Effective duration", "years"),
        ],
        columns=2,
        caption="Median (line) and quartiles (band) of each month's bonds, every bond alike. The spread is the yield "
        "less that of a Treasury with the same payments, priced off the zero curve. Medians by rating: classes with at "
        f"least {FEWEST} bonds in the month.",
    )


def _portfolios(numbers: TradeNumbers) -> Content:
    simulated = " The market is simulated, so the two need not agree." if numbers.data.simulated else ""
    return Table(
        html=tables_trades.portfolios(portfolio_statistics.portfolio_summary(numbers.data.panel("bond_portfolios"))),
        caption="Total returns of the portfolios, percent a month, beside those of Duraj and Giesecke (2025), table "
        f"A.8: 484 months from February 1977 to December 2018.{simulated}",
    )


def _sorts(numbers: TradeNumbers) -> Sequence[Content]:
    means = portfolio_statistics.mean_returns(numbers.portfolios)
    if means.is_empty():
        return [Words(text=f"No portfolio has the {LEAST_MONTHS} months of returns yet that its mean needs.")]
    domain = charts_sorts.block_domain(means)
    spreads = numbers.high_minus_low
    told = {
        name: f"{name}: {_signed(mean * 100, 2)}%, t {_signed(t, 1)}"
        for name, mean, t in spreads.select("sort", "mean", "t").iter_rows()
    }
    held = set(means["sort"])
    words = pl.DataFrame(
        [(sort.name, sort.definition, sort.source) for sort in BOND_SORTS],
        schema=["sort", "last", "source"],
        orient="row",
    )
    return [
        Figure(
            charts=[
                charts_trades.bins(means.filter(sort=sort.name), told.get(sort.name, sort.name), domain)
                for sort in BOND_SORTS
                if sort.name in held
            ],
            columns=4,
            caption="Mean excess return a month by portfolio, from the first to the last, with 95% confidence "
            "intervals from Newey-West errors. Above each: what the last earns over the first.",
        ),
        Table(
            html=tables_trades.high_minus_low(
                spreads.join(words, on="sort", how="left", maintain_order="left").select(
                    "sort", "last", "source", "months", "mean", "t", "low", "high"
                )
            ),
            caption="What the last portfolio earns over the first, t-statistics from Newey-West errors; |t| above 1.96 "
            "in bold. Before any cost of trading.",
        ),
    ]


def _signed(value: float, digits: int) -> str:
    """Write a number with its sign, zero without one."""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def _match(numbers: TradeNumbers) -> Sequence[Content]:
    figures = numbers.figures(LINK)
    outcomes = trade_statistics.match_outcomes(figures)
    if outcomes.is_empty():
        return [Words(text="No manifest says how the issuers were matched.")]
    return [
        Figure(
            charts=[charts_trades.match_shares(numbers.match_shares)],
            caption="Share of the universe whose issuer has a listed stock and accounts, as known at the end of the "
            "month. An issuer counts with one matched bond.",
        ),
        Table(
            html=tables_trades.match_outcomes(outcomes),
            caption=f"All bonds outstanding, in the universe or not, in {max(figures):%B %Y} and over all months of "
            "this page. A private company rightly has no match.",
        ),
    ]


def _rejected(numbers: TradeNumbers) -> Content:
    nearest = trade_statistics.nearest_rejected(numbers.candidates, numbers.similarity)
    if nearest.is_empty():
        return Words(text="No company was considered and rejected.")
    return Table(
        html=tables_trades.rejected(nearest),
        caption="Companies that were considered and not taken: first those nearest to the similarity that a match "
        f"needs, {numbers.similarity:g}.",
    )


def _true_days(numbers: TradeNumbers) -> Content:
    default = asdict(TraceSettings())
    changed = [
        name for name in default if name not in _OF_MEMORY and numbers.cleaning_settings.get(name) != default[name]
    ]
    if changed:
        return Words(text=f"The truth does not say which trades are clean under another {', '.join(changed)}.")
    names = ("trace_daily", "truth.bond_days", "truth.trace_planted", "truth.trace_trades")
    return Table(
        html=tables_trades.planted(trade_truth.days_by_kind(*(numbers.data.panel(name) for name in names))),
        caption="Bond-days whose price, volume and number of trades are those of the true clean trades, in all and "
        "where the reports hold a planted peculiarity, as known at the end of the month and finally; fewer than there "
        "are in orange.",
    )


def _true_returns(numbers: TradeNumbers) -> Content:
    names = ("bond_returns", "bond_snapshot", "truth.bond_month_prices")
    found = trade_truth.returns_beside_truth(*(numbers.data.panel(name) for name in names))
    if found.is_empty():
        return Words(text="No return has a true one beside it yet.")
    return Table(
        html=tables_trades.returns(found),
        caption="Returns beside those between the true prices on the last days of the months. The last trade is "
        "neither at the month's end nor at the middle of bid and ask, so that they need not be equal.",
    )


def _true_issuers(numbers: TradeNumbers) -> Content:
    found = trade_truth.issuer_match(numbers.data.panel(LINK), numbers.data.panel("truth.bond_issuers"))
    if found.is_empty():
        return Words(text="No bond with an issuer that is known stands in the panel yet.")
    return Table(
        html=tables_trades.issuers(found),
        caption="Bond-months by the kind of the issuer's name. Precision: matched right over matched; recall: found "
        "over what can be found, where the name leads to one company whose stock trades and that has accounts; fewer "
        "than that in orange.",
    )


SECTIONS = (
    Section(
        title="Cleaning of the trade reports",
        anchor="cleaning",
        intro="What becomes of the reports of TRACE before a price is made of them: filters in their order, as counted "
        "when each month was built.",
        blocks=(Block(build=_cleaning, needs=("trace_daily",)), Block(build=_reports, needs=("trace_daily",))),
    ),
    Section(
        title="Universe",
        anchor="universe",
        intro="How the issues that are outstanding narrow down to bonds with a price and a return.",
        blocks=(Block(build=_universe, needs=("bond_issues",), wants=("bond_prices", "bond_returns")),),
    ),
    Section(
        title="Coverage",
        anchor="coverage",
        intro="How much of what is outstanding the panel covers, and from where.",
        blocks=(
            Block(build=_coverage, either=("bond_snapshot", "bond_returns"), wants=("bond_snapshot", "bond_returns")),
            Block(build=_by_source, either=("bond_prices", "bond_returns")),
        ),
    ),
    Section(
        title="Composition",
        anchor="composition",
        intro="What the panel is made of.",
        blocks=(Block(build=_composition, needs=("bond_snapshot",)),),
    ),
    Section(
        title="Spreads, yields, duration",
        anchor="spreads",
        intro="What the prices say at the end of each month.",
        blocks=(Block(build=_spreads, needs=("bond_snapshot",)),),
    ),
    Section(
        title="Portfolios",
        anchor="portfolios",
        intro="Bonds are sorted for the return of a month on a characteristic's mean over a year that ends two months "
        "earlier, and weighted by their value at the start of the month. The last portfolio holds the riskiest.",
        blocks=(Block(build=_sorts, needs=("bond_portfolios",)), Block(build=_portfolios, needs=("bond_portfolios",))),
    ),
    Section(
        title="Issuers",
        anchor="issuers",
        intro="Which bonds lead to the stock and the accounts of their issuer, and why the others do not.",
        blocks=(Block(build=_match, needs=(LINK,)), Block(build=_rejected, needs=("bond_issuer_candidates",))),
    ),
)
TRUTH = Section(
    title="Simulated truth",
    anchor="truth",
    intro="The market is simulated, so the clean trades, the prices and the issuers are known. No asset reads them; "
    "they are shown beside the panel's only here.",
    blocks=(
        Block(
            build=_true_days,
            needs=("trace_daily", "truth.bond_days", "truth.trace_planted", "truth.trace_trades"),
        ),
        Block(build=_true_returns, needs=("bond_returns", "bond_snapshot", "truth.bond_month_prices")),
        Block(build=_true_issuers, needs=(LINK, "truth.bond_issuers")),
    ),
)
REFERENCE = Section(
    title="Settings",
    anchor="settings",
    intro="With which settings and files this page was made.",
    blocks=(Block(build=settings), Block(build=sources)),
)
