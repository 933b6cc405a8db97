"""Sections about the bond panel: coverage, missing values, distributions, correlations, betas."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.bonds.definition import NOTEBOOK
from pipeline.bonds.registry import SETS
from pipeline.report import charts_panel, statistics, tables
from pipeline.report.blocks import Block, Content, Figure, Section, Table
from pipeline.report.numbers_bonds import BondNumbers

_BETAS = {"vix_beta": "VIX beta", "bond_beta": "Bond-market beta"}
#: Characteristics whose correlations are followed through time, half from either end of the ranking.
_FOLLOWED = 6


def _coverage(numbers: BondNumbers) -> Content:
    counts = statistics.coverage(numbers.panel_or_none("bond_characteristics"), numbers.panel_or_none("bond_returns"))
    drawn = [charts_panel.coverage(counts)]
    if numbers.data.has("bond_characteristics"):
        drawn.append(charts_panel.present(statistics.present_by_month(numbers.missing)))
    return Figure(
        charts=drawn,
        columns=2,
        caption="Bonds in the snapshot of the month's end and bonds with a return of the month (left); share of all "
        "bond-months and characteristics that hold a value (right). Windows of up to 60 months fill up at the start.",
    )


def _sectors(numbers: BondNumbers) -> Content:
    return Table(
        html=tables.sectors(statistics.sectors(numbers.data.panel("bond_returns"))),
        caption="Sectors by bond-months. Mean and standard deviation of the monthly excess return, every bond-month "
        "weighing alike.",
    )


def _missing(numbers: BondNumbers) -> Content:
    return Figure(
        charts=[charts_panel.missing_heatmap(statistics.missing_by_year(numbers.missing), SETS[NOTEBOOK])],
        caption="Share of bond-months of a year without a value. Missing values take the middle rank, 0.",
    )


def _histograms(numbers: BondNumbers) -> Content:
    bars = numbers.distributions.histogram
    held = [name for name in SETS[NOTEBOOK] if name in set(bars["name"])]
    return Figure(
        charts=[charts_panel.histogram(bars.filter(name=name), name) for name in held],
        columns=4,
        caption="Grey: raw values; blue line: winsorised. The axis spans the winsorised values, and raw values "
        "beyond it are counted in the outermost bar. Heights are shares of the values, all months pooled.",
    )


def _summary(numbers: BondNumbers) -> Content:
    return Table(
        html=tables.summary(numbers.distributions.summary),
        caption="Summary statistics, all months pooled, in the units of the data dictionary.",
    )


def _correlations(numbers: BondNumbers) -> Sequence[Content]:
    averages = numbers.correlations
    followed = averages.sort("t", descending=True)["name"].to_list()
    ends = list(dict.fromkeys([*followed[: _FOLLOWED // 2], *followed[-(_FOLLOWED // 2) :]]))
    return [
        Figure(
            charts=[charts_panel.correlation_bars(averages)],
            caption="Average over months of the cross-sectional rank correlation between a characteristic at the end "
            "of a month and the excess return of the next, with 95% confidence intervals from Newey-West errors.",
        ),
        Figure(
            charts=[charts_panel.correlation_paths(numbers.monthly_correlations, ends)],
            caption="Running sums of the monthly correlations of the characteristics with the highest and lowest "
            "t-statistics: a straight line is a steady relation.",
        ),
        Table(html=tables.correlations(averages), caption="The same averages in figures; |t| above 1.96 in bold."),
    ]


def _betas(numbers: BondNumbers) -> Content:
    panel = numbers.data.panel("bond_characteristics")
    held = [name for name in _BETAS if name in SETS[NOTEBOOK]]
    bands = statistics.cross_section_bands(panel, [f"{name}_w" for name in held])
    return Figure(
        charts=[charts_panel.beta_band(bands, name, _BETAS[name]) for name in held],
        columns=2,
        caption="Cross-section mean (line), median (dashed) and interquartile range (band) of the winsorised betas.",
    )


SECTIONS = (
    Section(
        title="Coverage",
        anchor="coverage",
        intro="How many bonds there are, and how many of their characteristics are known. A month's characteristics "
        "are those of the bonds in the snapshot of its end, its returns those of the bonds held over from the month "
        "before.",
        blocks=(
            Block(build=_coverage, either=("bond_characteristics", "bond_returns")),
            Block(build=_sectors, needs=("bond_returns",)),
        ),
    ),
    Section(
        title="Missing values",
        anchor="missing",
        intro="Which characteristics are missing, and when.",
        blocks=(Block(build=_missing, needs=("bond_characteristics",)),),
    ),
    Section(
        title="Distributions",
        anchor="distributions",
        intro="Characteristics are winsorised at the lower and upper quantile of each month's cross-section, so that a "
        "pooled winsorised value may lie beyond the pooled quantile. Returns are never winsorised.",
        blocks=(
            Block(build=_histograms, needs=("bond_characteristics",)),
            Block(build=_summary, needs=("bond_characteristics",)),
        ),
    ),
    Section(
        title="Characteristics and the next return",
        anchor="correlations",
        intro="Each month the ranked characteristics of the month before are correlated with the ranked excess returns "
        "of the month. A bond without the characteristic counts with the middle rank.",
        blocks=(Block(build=_correlations, needs=("bond_training_panel",)),),
    ),
    Section(
        title="Betas",
        anchor="betas",
        intro="Exposures from walk-forward regressions on at most 60 months that end with the month itself. VIX beta "
        "is the sum of the slopes on the VIX innovation and its lag; bond-market beta the slope on the bond-market "
        "factor.",
        blocks=(Block(build=_betas, needs=("bond_characteristics",)),),
    ),
)
