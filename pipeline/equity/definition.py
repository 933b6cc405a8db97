"""What a firm characteristic is: one registry entry, and what its formula is given.

A formula reads one of four things, said by its ``level``:

* ``annual`` and ``quarterly``: an expression over the records of Compustat (:mod:`pipeline.equity.records`), one row a
  firm and fiscal period, earlier periods beside it as ``<item>_1``, ``<item>_2`` ...; it is evaluated once a record,
  and a stock takes the value of the record that the timing chooses for it;
* ``stock``: an expression over the stocks of one month, which sees what the records carry (``carries``), market equity,
  exchange and industry, and may compare stocks of the month (``over("sic2")``);
* ``window``: a function of :class:`~pipeline.panel.dense.PanelMonth`, windows of calendar months;
* ``daily``: nothing, the value is a column of ``stock_daily_characteristics`` of the same name.

Belongs here: the entry. Does not: the entries (``annual``, ``price``, ``gkx_*``), which
:mod:`pipeline.equity.registry` gathers, or their evaluation (:mod:`pipeline.equity.characteristics`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from pipeline.panel.dense import Floats, PanelMonth

Level = Literal["annual", "quarterly", "stock", "window", "daily"]
Timing = Literal["annual", "quarterly", "monthly", "daily"]

DG41, KPS36, GKX94 = "dg41", "kps36", "gkx94"


MONTHLY_COLUMNS = ("ret", "retx", "prc", "me", "me_permco", "shrout", "volume", "cfacpr", "cfacshr")
"""Columns of ``crsp_monthly`` that windows are cut from; returns are those reported, without delisting returns."""

WindowFormula = Callable[[PanelMonth], Floats]


@dataclass(frozen=True, kw_only=True)
class FirmCharacteristic:
    """One firm characteristic.

    Attributes
    ----------
    name : str
        Column name; those of set ``gkx94`` begin with ``gkx_``.
    sets : tuple of str
        Sets it belongs to.
    definition : str
        What it is, in one sentence.
    unit : str
        Unit of the raw value.
    timing : str
        ``annual``, ``quarterly``, ``monthly`` or ``daily``: how often its inputs are renewed.
    inputs : tuple of str
        ``asset.column`` of everything that it reads.
    level : str
        What the formula is given; see the module.
    formula : pl.Expr or callable, optional
        As its level asks for; None for ``daily``.
    carries : mapping of str to pl.Expr
        Columns of the record, evaluated at level ``annual`` (or ``quarterly`` when ``timing`` is), that a ``stock``
        formula refers to by these names. Equal names of different entries must be equal expressions.
    months : int
        Calendar months of ``crsp_monthly`` that a ``window`` formula reads, m included.
    history : str
        What it needs before it has a value, in words.
    reference : str
        Paper that it comes from.
    """

    name: str
    sets: tuple[str, ...]
    definition: str
    unit: str
    timing: Timing
    inputs: tuple[str, ...]
    level: Level
    reference: str
    formula: pl.Expr | WindowFormula | None = None
    carries: Mapping[str, pl.Expr] = field(default_factory=dict)
    months: int = 1
    history: str = ""

    def __post_init__(self) -> None:
        if (self.level == "daily") != (self.formula is None):
            raise ValueError(f"{self.name}: a formula is given to every level but daily")
