"""Which files of an extracts folder hold which tables.

Belongs here: walking the folder by the vendors' names, recognising files by their first rows, links that leave the
folder. Does not: reading whole files (the vendors' modules) or staging them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.reading import read_head, stem, suffix
from pipeline.extracts.registry import LAYOUTS, TABULARS
from pipeline.extracts.table import Layout, Table, Tabular

Signature = tuple[str, int, int, int]
TABLE_NAME = re.compile(r"^[a-z][a-z_]*\.[A-Za-z0-9][A-Za-z0-9_-]*$")
_HEAD_BYTES, _LONG_HEAD_BYTES = 1 << 14, 1 << 18
_TABULAR_SUFFIXES = ("csv", "csv.gz", "parquet")


@dataclass(frozen=True)
class Source:
    """Files that are read together, their signatures, and the tables they give."""

    files: tuple[Path, ...]
    marks: tuple[Signature, ...]
    tables: tuple[Table, ...]
    reader: Layout | Tabular


@dataclass(frozen=True)
class Survey:
    """What an extracts folder holds.

    Attributes
    ----------
    claims : dict of str to list of Source
        Table name -> its sources; more than one is a conflict.
    refused : list of BadExtract
        Files that ought to hold a table and do not.
    left_alone : list of Path
        Files that are no table of ours.
    """

    claims: dict[str, list[Source]] = field(default_factory=dict)
    refused: list[BadExtract] = field(default_factory=list)
    left_alone: list[Path] = field(default_factory=list)


Known = dict[Signature, tuple[Table, ...] | BadExtract]


def signature(file: Path | os.DirEntry[str]) -> Signature:
    """Path, size, modification time in nanoseconds and inode of a file."""
    stat = file.stat()
    return os.fspath(file), stat.st_size, stat.st_mtime_ns, stat.st_ino


def survey(folder: Path, known: Known) -> Survey:
    """Look at every file of an extracts folder.

    Parameters
    ----------
    folder : Path
        The folder; one that does not exist holds nothing.
    known : dict
        What earlier surveys found of files by their signature; read and extended.

    Returns
    -------
    Survey
        Nothing is raised for a bad file: it stands in ``refused``.
    """
    found = Survey()
    if not folder.is_dir():
        return found
    root = folder.resolve()
    top = _entries(folder)
    by_stem: dict[str, list[os.DirEntry[str]]] = {}
    for entry in top:
        by_stem.setdefault(stem(entry.name).lower(), []).append(entry)
    for tabular in TABULARS:
        for drop in by_stem.get(tabular.stem, ()):
            if drop.is_dir() or suffix(drop.name) in _TABULAR_SUFFIXES:
                _claim_tabular(found, tabular, drop, root)
    folders = {entry.name: entry for entry in top if entry.is_dir()}
    for layout in LAYOUTS:
        if layout.folder in folders:
            for file in _files(folders[layout.folder]):
                _claim_file(found, layout, file, root, known, folders[layout.folder])
    return found


def _entries(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _files(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    return [
        entry
        for entry in _entries(folder)
        if not entry.name.startswith((".", "_")) and suffix(entry.name) and (entry.is_file() or entry.is_symlink())
    ]


def _claim_tabular(found: Survey, tabular: Tabular, drop: os.DirEntry[str], root: Path) -> None:
    files = [drop]
    if drop.is_dir():
        files = [file for file in _files(drop) if suffix(file.name) in _TABULAR_SUFFIXES]
    refused = [error for error in (_leaving(file, root, drop) for file in files) if error]
    if not files:
        remedy = "put its files there as .parquet, .csv or .csv.gz"
        refused = [BadExtract(file=Path(drop), problem="holds no files of the table", count=0, remedy=remedy)]
    if refused:
        found.refused.extend(refused)
        return
    tables = tuple(view.table for view in tabular.views)
    source = Source(tuple(map(Path, files)), tuple(map(signature, files)), tables, tabular)
    for table in source.tables:
        found.claims.setdefault(table.name, []).append(source)


def _claim_file(
    found: Survey, layout: Layout, entry: os.DirEntry[str], root: Path, known: Known, parent: os.DirEntry[str]
) -> None:
    leaving = _leaving(entry, root, parent)
    if leaving:
        found.refused.append(leaving)
        return
    file, mark = Path(entry), signature(entry)
    if mark not in known:
        known[mark] = _recognised(layout, file)
    tables = known[mark]
    if isinstance(tables, BadExtract):
        found.refused.append(tables)
    elif tables:
        source = Source((file,), (mark,), tables, layout)
        for table in tables:
            found.claims.setdefault(table.name, []).append(source)
    else:
        found.left_alone.append(file)


def _recognised(layout: Layout, file: Path) -> tuple[Table, ...] | BadExtract:
    try:
        tables = _from_head(layout, file)
    except BadExtract as error:
        return error
    unnamed = [table.name for table in tables if not TABLE_NAME.match(table.name)]
    if unnamed:
        return BadExtract(
            file=file,
            problem=f"its name gives the table name {unnamed[0]!r}",
            remedy="use letters, digits, - and _ in the file's name",
        )
    return tables


def _from_head(layout: Layout, file: Path) -> tuple[Table, ...]:
    """Recognise a file by a few rows; a long text above them is read to its end."""
    try:
        return layout.recognise(file, read_head(file, layout.sheets, _HEAD_BYTES))
    except BadExtract:
        return layout.recognise(file, read_head(file, layout.sheets, _LONG_HEAD_BYTES))


def _leaving(entry: os.DirEntry[str], root: Path, parent: os.DirEntry[str]) -> BadExtract | None:
    """Refuse a link whose target is missing or outside the folder."""
    # Only a link can leave, and asking whether it is one costs a tenth of resolving it.
    if not (entry.is_symlink() or parent.is_symlink()):
        return None
    file = Path(entry)
    target = file.resolve()
    if not target.is_relative_to(root):
        problem, remedy = f"is a symbolic link that leaves the extracts folder (to {target})", "copy the file instead"
    elif not target.is_file():
        problem, remedy = "is a symbolic link to a file that is not there", "remove it or drop in the file"
    else:
        return None
    return BadExtract(file=file, problem=problem, remedy=remedy)
