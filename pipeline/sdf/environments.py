"""The data environments: everything, no macro series, no financial firms.

Here belong what an environment leaves out of a panel and who is a financial firm; the choice among environments is the
caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import polars as pl

from pipeline.sdf.panel import SdfPanel

FULL, NO_MACRO, NO_FINANCIALS = "full", "no_macro", "no_financials"

FINANCIAL, OTHER = GROUPS = "financial", "other"
"""Groups of issuers: financial firms and real estate trusts, and all others."""

_FINANCIAL_CODES = 6000, 6999
_FINANCIAL_SECTORS = ("Banking", "Financial Services", "Insurance", "Real Estate", "2")
"""In the words of the bond index (its third level), and the bond database's number of the industry group finance."""

# CRSP writes 0 where it knows no code; the smallest code that there is is 0100.
_LEAST_CODE = 100


def issuer_group() -> pl.Expr:
    """Return the group of an issuer: :data:`FINANCIAL`, ``other``, or null where nothing is known of it.

    The SIC code of the issuer's stock decides, column ``sic``, 6000 to 6999 being finance, insurance and real estate;
    without one the vendor's column ``sector``.
    """
    by_code = pl.when(pl.col("sic") >= _LEAST_CODE).then(pl.col("sic").is_between(*_FINANCIAL_CODES))
    financial = pl.coalesce(by_code, pl.col("sector").is_in(_FINANCIAL_SECTORS))
    return pl.when(financial).then(pl.lit(FINANCIAL)).when(~financial).then(pl.lit(OTHER))


def _full(panel: SdfPanel, financials: Collection[str]) -> SdfPanel:
    return panel


def _no_macro(panel: SdfPanel, financials: Collection[str]) -> SdfPanel:
    return panel.with_macro((), lambda macro: macro[:, :0])


def _no_financials(panel: SdfPanel, financials: Collection[str]) -> SdfPanel:
    if panel.groups is None or not financials:
        raise ValueError(
            "an environment without financial firms needs the groups of the rows and the groups to leave out"
        )
    return panel.keep(~np.isin(panel.groups, sorted(financials)))


ENVIRONMENTS: dict[str, Callable[[SdfPanel, Collection[str]], SdfPanel]] = {
    FULL: _full,
    NO_MACRO: _no_macro,
    NO_FINANCIALS: _no_financials,
}
"""The environments of section 3.2, by name."""


def in_environment(panel: SdfPanel, name: str, financials: Collection[str] = ()) -> SdfPanel:
    """Return what an environment leaves of a panel.

    Parameters
    ----------
    panel : SdfPanel
        Everything.
    name : str
        One of :data:`ENVIRONMENTS`.
    financials : collection of str
        Groups that ``no_financials`` leaves out: financial firms and real estate trusts. A row of no known group stays.

    Raises
    ------
    ValueError
        If there is no such environment, or ``no_financials`` is asked for without groups.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"there is no environment {name!r}; there are {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name](panel, financials)
