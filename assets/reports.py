"""Reports: unpartitioned assets that read whole histories from the lake and write pages under ``reports/``.

A page may speak of assets that are not defined; it then reads, and says, nothing of them.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.building import Workshop
from assets.monthly import OWNERS
from pipeline.models.recursion import RecursionState
from pipeline.report.blocks import Page
from pipeline.report.data import TRUTH, Figures, Panel, ReportData
from pipeline.report.page import compose
from pipeline.report.pages import PAGES
from resources.home import HomeResource
from resources.lake import replace_file

GROUP = "reports"
REPORTS = tuple(page.asset for page in PAGES)


def report_data(page: Page, workshop: Workshop) -> ReportData:
    """Gather from the lake what a page shows; what is not there stays absent with the reason."""
    home = workshop.home
    buildable = set(workshop.buildable())
    reads = _defined(page, workshop)
    manifests = {name: home.lake.manifests(name) if name in buildable else {} for name in reads}
    scans = {name: home.lake.scan(name, manifests[name]) for name in page.assets if name in manifests}
    frames: dict[str, Panel] = {name: frame for name, frame in scans.items() if frame is not None}
    frames |= _tables(page, workshop) | _truth(page, home.truth)
    figures: dict[str, Figures] = {
        name: {month: {"rows": each.rows, **each.metadata} for month, each in manifests[name].items()}
        for name in page.figures
    }
    newest = max((month for held in manifests.values() for month in held), default=None)
    absent = {name: _why_absent(workshop, name, newest) for name in reads if not manifests[name]}
    absent |= {name: f"it needs {home.extracts.lacking(name)}" for name in page.tables if name not in frames}
    used = workshop.closure(reads)
    sections = {section for name in used for section in workshop.assets[name].settings}
    tables = {table for name in used for table in workshop.tables(name)} | set(page.tables)
    available = home.extracts.available()
    return ReportData(
        market="the simulated market" if home.truth.is_dir() else home.extracts_folder.resolve().name,
        frames=frames,
        figures=figures,
        states=_states([name for name in page.states if name in manifests], workshop),
        sources={name: ", ".join(file.name for file in available[name]) for name in sorted(tables & set(available))},
        absent=absent,
        settings={name: values for name, values in asdict(home.settings).items() if name in sections},
    )


def _defined(page: Page, workshop: Workshop) -> list[str]:
    """Assets of the page that exist in these definitions."""
    return [name for name in page.reads if name in workshop.assets]


def _states(names: Sequence[str], workshop: Workshop) -> dict[str, RecursionState]:
    """Newest state of each of the assets that has one."""
    home = workshop.home
    found = {}
    for name in names:
        months = home.lake.months(name)
        manifest = home.lake.manifest(name, months[-1]) if months else None
        if manifest is not None and manifest.state:
            found[name] = RecursionState.from_arrays(*home.models.load(name, months[-1], manifest.state))
    return found


def _tables(page: Page, workshop: Workshop) -> dict[str, Panel]:
    """Extract tables of the page that are on disk."""
    extracts = workshop.home.extracts
    held = [table for table in page.tables if table in workshop.on_disk]
    extracts.refresh(held)
    return {table: extracts.scan(table) for table in held}


def _truth(page: Page, folder: Path) -> dict[str, Panel]:
    """Tables of the truth that the page reads, where the market is simulated."""
    files = {name: folder / f"{name}.parquet" for name in page.truth_tables}
    return {TRUTH + name: pl.scan_parquet(file) for name, file in files.items() if file.exists()}


def _why_absent(workshop: Workshop, name: str, newest: date | None) -> str:
    lacking = workshop.lacking(name)
    if lacking:
        return f"it needs {', '.join(lacking)}"
    origin = workshop.origin(name)
    if origin is not None and newest is not None and origin > newest:
        return f"with these settings the history is long enough from {origin:%Y-%m} on"
    begun = workshop.home.lake.first_month(name) is not None
    return "their history is too short so far" if begun else "not materialised for these months"


def write_report(page: Page, workshop: Workshop) -> Path:
    """Write a page and the files it leads to, the page last, and return where it lies."""
    folder = workshop.home.reports
    texts = compose(page, report_data(page, workshop))
    for name in sorted(texts, key=lambda name: name == page.file):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        replace_file(folder / name, partial(_write_text, texts[name]))
    return folder / page.file


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def report_asset(workshop: Workshop, page: Page) -> dg.AssetsDefinition:
    """Make the asset of a page over the monthly assets that it reads."""
    everything = tuple(workshop.assets.values())

    @dg.asset(
        name=page.asset,
        group_name=GROUP,
        description=f"{page.subject}, on one self-contained page, {page.file}: {', '.join(_headings(page))}.",
        owners=OWNERS,
        kinds={"html", "altair"},
        deps=[dg.AssetDep(name, partition_mapping=dg.LastPartitionMapping()) for name in _defined(page, workshop)],
    )
    def report(home: HomeResource) -> dg.MaterializeResult:
        opened = Workshop(everything, home.open())
        file = write_report(page, opened)
        metadata: dict[str, Any] = {"page": dg.MetadataValue.path(str(file)), "bytes": file.stat().st_size}
        return dg.MaterializeResult(metadata=metadata)

    return report


def report_assets(workshop: Workshop) -> list[dg.AssetsDefinition]:
    """Make the assets of all pages."""
    return [report_asset(workshop, page) for page in PAGES]


def _headings(page: Page) -> list[str]:
    """Headings of the page's sections, as parts of a sentence."""
    return [section.title.lower() for section in page.sections]
