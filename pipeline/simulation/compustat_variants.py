"""Rows of the accounting tables that a reader must not use: other formats, sources and levels of consolidation.

Each is a copy of a standard statement with numbers of its own, under the same company and date.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

STANDARD = {"indfmt": "INDL", "datafmt": "STD", "popsrc": "D", "consol": "C"}
"""Codes of the statements that count."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One kind of row beside the standard one.

    Parameters
    ----------
    name : str
        Name of the trap.
    codes : dict of str to str
        Codes that differ from the standard ones.
    firms : str
        Which firms have it: `financial` or `all`.
    every : int
        One firm in this many has it.
    rows : float
        Probability that a statement of such a firm has it.
    level, spread : float
        Its amounts are those of the standard statement times `level * exp(spread * z)`, z standard normal by row.
    """

    name: str
    codes: dict[str, str] = field(default_factory=dict)
    firms: str = "all"
    every: int = 1
    rows: float = 1.0
    level: float = 1.0
    spread: float = 0.0


VARIANTS: tuple[Variant, ...] = (
    Variant(name="financial_format", codes={"indfmt": "FS"}, firms="financial", every=2, level=0.96, spread=0.01),
    Variant(name="restated", codes={"datafmt": "SUMM_STD"}, every=3, rows=0.15, level=1.02, spread=0.10),
    Variant(name="parent_only", codes={"consol": "P"}, every=40, rows=0.6, level=0.55, spread=0.05),
    Variant(name="other_source", codes={"popsrc": "I"}, every=50, rows=0.5, level=1.30, spread=0.02),
)
"""Rows that are there to be filtered out; a restated row is the later view of a year beside the one first published."""


def with_variants(
    standard: pl.DataFrame, financial: pl.Series, amounts: list[str], rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Add the rows that must not be used.

    Parameters
    ----------
    standard : DataFrame
        Standard statements with a column `firm`.
    financial : Series of bool
        Whether each statement is one of a financial firm.
    amounts : list of str
        Columns that differ between a row and its copy.
    rng : numpy.random.Generator
        Decides which statements are copied, and the copies' numbers.

    Returns
    -------
    rows : DataFrame
        Standard statements with their codes, then the copies.
    copies : DataFrame
        trap and the columns of `rows`, the copies only.
    """
    frames = []
    for place, variant in enumerate(VARIANTS):
        chosen = (pl.col("firm") % variant.every == place % variant.every) & pl.Series(
            rng.random(standard.height) < variant.rows
        )
        if variant.firms == "financial":
            chosen &= financial
        factor = pl.Series("factor", variant.level * np.exp(variant.spread * rng.standard_normal(standard.height)))
        copies = standard.with_columns(factor).filter(chosen)
        copies = copies.with_columns((pl.col(amounts) * pl.col("factor")).round(3)).drop("factor")
        codes = [pl.lit(code).alias(name) for name, code in (STANDARD | variant.codes).items()]
        frames.append(copies.with_columns(pl.lit(variant.name).alias("trap"), *codes))
    copies = pl.concat(frames)
    rows = standard.with_columns(pl.lit(code).alias(name) for name, code in STANDARD.items())
    return pl.concat([rows, copies.select(rows.columns)]), copies
