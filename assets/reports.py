"""Reports: unpartitioned assets that read whole histories from the lake and write pages under ``reports/``."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.building import Workshop
from assets.monthly import OWNERS
from pipeline.report.data import FRAMES, ReportData
from pipeline.report.page import render
from resources.home import HomeResource
from resources.lake import replace_file

GROUP = "reports"
REPORT = "report"
PAGE = "index.html"


def report_data(workshop: Workshop) -> ReportData:
    """Gather from the lake what the page shows; what is not there stays absent with the reason."""
    home = workshop.home
    buildable = set(workshop.buildable())
    frames: dict[str, Any] = {
        name: home.lake.scan(name, home.lake.months(name) if name in buildable else []) for name in FRAMES
    }
    absent = {name: _why_absent(workshop, name) for name, frame in frames.items() if frame is None}
    truth = _truth(home.truth)
    kind = "the simulated market" if truth else home.extracts_folder.resolve().name
    return ReportData(
        title=f"Bond factor report: {kind}",
        sources={name: ", ".join(file.name for file in files) for name, files in home.extracts.available().items()},
        absent=absent,
        settings=asdict(home.settings),
        truth=truth,
        **{name: frame for name, frame in frames.items() if frame is not None},
    )


def _why_absent(workshop: Workshop, name: str) -> str:
    lacking = workshop.lacking(name)
    return f"it needs {', '.join(lacking)}" if lacking else "it has not been materialised"


def _truth(folder: Path) -> Mapping[str, pl.DataFrame] | None:
    tables = {file.stem: pl.read_parquet(file) for file in sorted(folder.glob("*.parquet"))}
    return tables or None


def write_report(workshop: Workshop) -> Path:
    """Write the page and return where it lies."""
    page = workshop.home.reports / PAGE
    text = render(report_data(workshop))
    replace_file(page, lambda path: path.write_text(text, encoding="utf-8"))
    return page


def report_asset(workshop: Workshop) -> dg.AssetsDefinition:
    """Make the asset of the page over all monthly assets."""
    everything = tuple(workshop.assets.values())

    @dg.asset(
        name=REPORT,
        group_name=GROUP,
        description="One self-contained page: coverage, distributions, exposures, macro series, factors, fit.",
        owners=OWNERS,
        kinds={"html", "altair"},
        deps=[dg.AssetDep(name, partition_mapping=dg.LastPartitionMapping()) for name in FRAMES],
    )
    def report(home: HomeResource) -> dg.MaterializeResult:
        opened = Workshop(everything, home.open())
        page = write_report(opened)
        return dg.MaterializeResult(metadata={"page": dg.MetadataValue.path(str(page)), "bytes": page.stat().st_size})

    return report
