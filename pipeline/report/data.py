"""What the report reads: one frozen bundle of frames, any of which may be absent.

Belongs here: the fields, their shapes, and how an absent one is recognised. Does not: numbers computed from them
(``statistics``, ``factor_statistics``) and what is drawn (``charts_*``, ``tables``, ``page``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from pipeline.bonds.registry import RANKED, data_dictionary

Panel = pl.DataFrame | pl.LazyFrame

#: Fields that hold one frame each, under the name of the asset it comes from.
FRAMES: tuple[str, ...] = (
    "french_factors",
    "macro_factors",
    "goyal_welch",
    "treasury_curve",
    "vix_innovation",
    "bond_market_factor",
    "bond_returns",
    "bond_characteristics",
    "bond_training_panel",
    "bond_managed_portfolios",
    "bond_ipca",
    "bond_ipca_intercept",
    "bond_ipca_forecasts",
    "bond_ipca_intercept_forecasts",
)


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that :func:`pipeline.report.page.render` shows.

    Attributes
    ----------
    title : str
        Heading of the page.
    sources : mapping of str to str
        What the panel was made of, in words, by name (an extract table and its file, say).
    absent : mapping of str to str
        Why an asset is not there, by asset: the sentence that its part of the page ends with.
    settings : mapping of str to mapping
        Settings by section, each a mapping of field to value.
    instruments : tuple of str
        Rows of Gamma without the constant, which comes last; the ranked columns of the training panel.
    dictionary : pl.DataFrame
        ``name, definition, unit, inputs, timing, window, source`` of every characteristic, in the order of display.
    french_factors, macro_factors, goyal_welch, treasury_curve, vix_innovation, bond_market_factor : pl.DataFrame
        The macro assets, one row a month; None where not built, as for every frame below.
    bond_returns, bond_characteristics, bond_training_panel : pl.DataFrame or pl.LazyFrame
        The panels by month and isin. Given lazily, no more than a few of their columns are in memory at once.
    bond_managed_portfolios : pl.DataFrame
        Sufficient statistics by month: from them come the factors of all months under the newest Gamma.
    bond_ipca, bond_ipca_intercept : pl.DataFrame
        The recursions, one row a month.
    bond_ipca_forecasts, bond_ipca_intercept_forecasts : pl.DataFrame or pl.LazyFrame
        Forecasts by month, model and asset.
    truth : mapping of str to pl.DataFrame
        What is true in the simulated market: ``gamma``, ``factors`` and, if there, ``total_r2`` and ``summary``, as
        :func:`pipeline.simulation.truth.truth_tables` writes them; None on real data.
    """

    title: str
    sources: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    instruments: tuple[str, ...] = RANKED
    dictionary: pl.DataFrame = field(default_factory=data_dictionary)
    french_factors: pl.DataFrame | None = None
    macro_factors: pl.DataFrame | None = None
    goyal_welch: pl.DataFrame | None = None
    treasury_curve: pl.DataFrame | None = None
    vix_innovation: pl.DataFrame | None = None
    bond_market_factor: pl.DataFrame | None = None
    bond_returns: Panel | None = None
    bond_characteristics: Panel | None = None
    bond_training_panel: Panel | None = None
    bond_managed_portfolios: pl.DataFrame | None = None
    bond_ipca: pl.DataFrame | None = None
    bond_ipca_intercept: pl.DataFrame | None = None
    bond_ipca_forecasts: Panel | None = None
    bond_ipca_intercept_forecasts: Panel | None = None
    truth: Mapping[str, pl.DataFrame] | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.absent) - set(FRAMES))
        if unknown:
            raise ValueError(f"absent names {', '.join(unknown)}; the frames of the report are {', '.join(FRAMES)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Characteristics in the order of the dictionary."""
        return tuple(self.dictionary["name"])

    def panel(self, name: str) -> pl.LazyFrame:
        """Return a frame lazily, whatever it was given as.

        Raises
        ------
        LookupError
            If it is absent.
        """
        frame = getattr(self, name)
        if frame is None:
            raise LookupError(f"the report was given no {name}; check has({name!r}) first")
        return frame.lazy()

    def frame(self, name: str) -> pl.DataFrame:
        """Return a monthly series sorted by month, read into memory.

        Raises
        ------
        LookupError
            If it is absent.
        """
        return self.panel(name).collect().sort("month")

    def has(self, name: str) -> bool:
        """Whether a frame was given and holds a row; ``truth`` counts when it holds Gamma and the factors."""
        if name == "truth":
            return self.truth is not None and {"gamma", "factors"} <= set(self.truth)
        frame = getattr(self, name)
        return frame is not None and frame.lazy().head(1).collect().height > 0
