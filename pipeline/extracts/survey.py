"""Which files of an extracts folder hold which tables.

Belongs here: walking the folder by the vendors' names, recognising files by their first rows, links that leave the
folder. Does not: reading whole files (the vendors' modules) or staging them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.reading import read_head, stem, suffix
from pipeline.extracts.registry import LAYOUTS, TABULARS
from pipeline.extracts.table import Layout, Table, Tabular

TABLE_NAME = re.compile(r"^[a-z][a-z_]*\.[A-Za-z0-9][A-Za-z0-9_-]*$")
_TABULAR_SUFFIXES = ("csv", "csv.gz", "parquet")


@dataclass(frozen=True)
class Source:
    """Files that are read together and the tables they give."""

    files: tuple[Path, ...]
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


Signature = tuple[str, int, int, int]
Known = dict[Signature, tuple[Table, ...] | BadExtract]


def signature(file: Path) -> Signature:
    """Path, size, modification time in nanoseconds and inode of a file."""
    stat = file.stat()
    return str(file), stat.st_size, stat.st_mtime_ns, stat.st_ino


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
    for tabular in TABULARS:
        for drop in _drops(folder, tabular):
            _claim_tabular(found, tabular, drop, root)
    for layout in LAYOUTS:
        for file in _files(folder / layout.folder):
            _claim_file(found, layout, file, root, known)
    return found


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if not path.name.startswith((".", "_")) and suffix(path) and (path.is_file() or path.is_symlink()):
                yield path


def _drops(folder: Path, tabular: Tabular) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if stem(path).lower() == tabular.stem and (path.is_dir() or suffix(path) in _TABULAR_SUFFIXES):
            yield path


def _claim_tabular(found: Survey, tabular: Tabular, drop: Path, root: Path) -> None:
    files = tuple(path for path in _files(drop) if suffix(path) in _TABULAR_SUFFIXES) if drop.is_dir() else (drop,)
    refused = [error for error in (_leaving(file, root) for file in files) if error]
    if not files:
        remedy = "put its files there as .parquet, .csv or .csv.gz"
        refused = [BadExtract(file=drop, problem="holds no files of the table", count=0, remedy=remedy)]
    if refused:
        found.refused.extend(refused)
        return
    source = Source(files, tuple(view.table for view in tabular.views), tabular)
    for table in source.tables:
        found.claims.setdefault(table.name, []).append(source)


def _claim_file(found: Survey, layout: Layout, file: Path, root: Path, known: Known) -> None:
    leaving = _leaving(file, root)
    if leaving:
        found.refused.append(leaving)
        return
    mark = signature(file)
    if mark not in known:
        known[mark] = _recognised(layout, file)
    tables = known[mark]
    if isinstance(tables, BadExtract):
        found.refused.append(tables)
    elif tables:
        for table in tables:
            found.claims.setdefault(table.name, []).append(Source((file,), tables, layout))
    else:
        found.left_alone.append(file)


def _recognised(layout: Layout, file: Path) -> tuple[Table, ...] | BadExtract:
    try:
        tables = layout.recognise(file, read_head(file, layout.sheets))
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


def _leaving(file: Path, root: Path) -> BadExtract | None:
    """Refuse a link whose target is missing or outside the folder."""
    # Only a link can leave, and asking whether it is one costs a tenth of resolving it.
    if not (file.is_symlink() or file.parent.is_symlink()):
        return None
    target = file.resolve()
    if not target.is_relative_to(root):
        problem, remedy = f"is a symbolic link that leaves the extracts folder (to {target})", "copy the file instead"
    elif not target.is_file():
        problem, remedy = "is a symbolic link to a file that is not there", "remove it or drop in the file"
    else:
        return None
    return BadExtract(file=file, problem=problem, remedy=remedy)
