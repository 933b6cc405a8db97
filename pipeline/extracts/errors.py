"""The one exception of the extracts and the sentence it speaks.

Belongs here: how a refusal is worded. Does not: when to refuse (``validation``, the vendors' modules).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SHOWN_ROWS = 5


class BadExtract(Exception):
    """An extract that cannot be used, said so that a person can mend it.

    Parameters
    ----------
    file : Path or sequence of Path
        The offending file, or every file of the table.
    problem : str
        What is wrong, in the words of the file.
    remedy : str
        What to do about it.
    column : str, optional
        The column as the vendor spells it.
    count : int, optional
        Number of offending rows.
    rows : sequence of mapping, optional
        The first offending rows, at most five are shown.
    """

    def __init__(
        self,
        *,
        file: Path | Sequence[Path],
        problem: str,
        remedy: str,
        column: str | None = None,
        count: int | None = None,
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.files = (file,) if isinstance(file, Path) else tuple(file)
        self.problem = problem
        self.remedy = remedy
        self.column = column
        self.count = count
        self.rows = tuple(dict(row) for row in rows[:SHOWN_ROWS])
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        where = ", ".join(str(file) for file in self.files)
        parts = [where]
        if self.column is not None:
            parts.append(f"column {self.column}")
        number = "" if self.count is None else f" ({self.count} row{'' if self.count == 1 else 's'})"
        lines = [": ".join([*parts, f"{self.problem}{number}."])]
        lines += [f"  {_shown(row)}" for row in self.rows]
        lines.append(f"Remedy: {self.remedy}.")
        return "\n".join(lines)

    @classmethod
    def together(cls, errors: Sequence[BadExtract]) -> BadExtract:
        """Join several refusals into one, so that a user mends all his files at once."""
        if len(errors) == 1:
            return errors[0]
        first = errors[0]
        joined = cls(
            file=[file for error in errors for file in error.files], problem=first.problem, remedy=first.remedy
        )
        joined.args = ("\n\n".join(str(error) for error in errors),)
        return joined


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={'(empty)' if value is None else value}" for name, value in row.items())
