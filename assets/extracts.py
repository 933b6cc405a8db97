"""Vendor tables as observable assets: observing one stages what changed and reports its data version.

Belongs here: one asset a table or family that some monthly asset reads. Does not: reading and validating vendor files
(``pipeline.extracts``), staging (``resources.extracts``).
"""

from collections.abc import Iterable, Iterator

import dagster as dg

from assets.building import Workshop
from assets.monthly import OWNERS, extract_key
from assets.reads import ABSENT, Partitions, Vintages
from resources.content import combine
from resources.extracts import ExtractStore
from resources.home import HomeResource

GROUP = "extracts"


def sources(workshop: Workshop) -> dict[str, bool]:
    """Names of all sources that monthly assets read from extracts, and whether each is a family of tables."""
    reads = [read for name in workshop.assets for read in workshop.reads(name).values()]
    found = {read.source: isinstance(read, Vintages) for read in reads if not isinstance(read, Partitions)}
    return dict(sorted(found.items()))


def members(store: ExtractStore, source: str, family: bool) -> list[str]:
    """Tables on disk behind a source."""
    return store.family(f"{source}.") if family else [source] * (source in store.available())


def file_wanted(store: ExtractStore, source: str, family: bool) -> str:
    """File, below the extracts' folder, that a source wants."""
    return store.lacking(f"{source}." if family else source)


def observable_extracts(workshop: Workshop) -> Iterator[dg.SourceAsset]:
    """One observable asset a source; the version of a file that is not there is ``absent``."""
    for source, family in sources(workshop).items():
        yield _observable(source, family, file_wanted(workshop.home.extracts, source, family))


def _observable(source: str, family: bool, file: str) -> dg.SourceAsset:
    @dg.observable_source_asset(
        key=extract_key(source),
        group_name=GROUP,
        description=f"Vendor table, dropped into the extracts folder as `{file}`.",
        metadata={"file": file, "owners": ", ".join(OWNERS)},
        tags={"dagster/kind/extract": ""},
    )
    def observe(home: HomeResource) -> dg.ObserveResult:
        store = home.open().extracts
        tables = members(store, source, family)
        store.refresh(tables)
        return dg.ObserveResult(data_version=dg.DataVersion(version(store, tables)), metadata=counts(store, tables))

    return observe


def counts(store: ExtractStore, tables: Iterable[str]) -> dict[str, int]:
    """Rows staged and, where the vendor's files are tables, rows in them and how many of these give no row here."""
    names = list(tables)
    staged = sum(sum(store.rows(name).values()) for name in names)
    in_files = [rows for name in names if (rows := store.rows_in_files(name)) is not None]
    if not names or len(in_files) < len(names):
        return {"rows staged": staged}
    whole = sum(in_files)
    return {"rows staged": staged, "rows in the files": whole, "rows left out": whole - staged}


def version(store: ExtractStore, tables: Iterable[str]) -> str:
    """One data version of staged tables."""
    staged = sorted(tables)
    return combine(f"{table}:{store.version(table)}" for table in staged) if staged else ABSENT
