"""The cells of a small file, held in columns so that a file of any layout is looked at without a loop over its rows.

Belongs here: the container. Does not: reading files (``reading``) or what the cells mean (``wide``, the vendors).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import polars as pl

LINE = "line"
"""Name of the helper column that holds a row's number in its file, from 1."""


class Rows:
    """The cells of a file as text, header lines and blank lines included; rows may differ in length.

    Parameters
    ----------
    cells : polars.Series
        A list of stripped texts for every line; blank cells are empty texts. Nothing is null. A blank line is an empty
        list or one of blank cells.
    """

    def __init__(self, cells: pl.Series) -> None:
        self.cells = cells

    @classmethod
    def of(cls, rows: Iterable[Sequence[str]]) -> Rows:
        """Take rows one by one; cells are stripped already."""
        return cls(pl.Series(list(rows), dtype=pl.List(pl.String), strict=True))

    def __len__(self) -> int:
        return self.cells.len()

    def __getitem__(self, line: int) -> list[str]:
        return self.cells[int(line)].to_list()

    def tail(self, start: int) -> list[list[str]]:
        """Rows from ``start`` on."""
        return self.cells[start:].to_list()

    @cached_property
    def first(self) -> pl.Series:
        """First cell of every row, empty where a row has none."""
        return self._looks.get_column("first")

    @cached_property
    def widths(self) -> np.ndarray:
        """Number of cells of every row."""
        return self._looks.get_column("width").to_numpy()

    @cached_property
    def filled(self) -> np.ndarray:
        """Whether a row has a cell that is not blank."""
        return self._looks.get_column("filled").to_numpy()

    @cached_property
    def _looks(self) -> pl.DataFrame:
        row = pl.col("cells").list
        return self.cells.to_frame("cells").select(
            first=row.first().fill_null(""), width=row.len(), filled=row.join("") != ""
        )

    def first_filled(self) -> list[str]:
        """First row that is not blank; an empty list where all are."""
        lines = np.flatnonzero(self.filled)
        return self[lines[0]] if lines.size else []

    def columns(self, lines: np.ndarray, names: Sequence[str]) -> pl.DataFrame:
        """Leading cells of some rows as text columns, after their numbers from 1 as `LINE`; none has fewer cells."""
        cells = (pl.col("cells").list.get(i).alias(name) for i, name in enumerate(names))
        numbers = pl.Series(LINE, lines + 1, dtype=pl.Int64)
        return self.cells.gather(lines).to_frame("cells").select(numbers, *cells)

    def blanked(self, lines: Sequence[int]) -> Rows:
        """Return the same rows with some of them blank, so that line numbers stay."""
        blank = pl.int_range(self.cells.len(), eager=True).is_in(list(lines))
        emptied = pl.select(pl.when(blank).then(pl.lit([""])).otherwise(self.cells)).to_series()
        return Rows(emptied)
