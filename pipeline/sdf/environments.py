"""The data environments: everything, no macro series, no financial firms.

Here belongs what an environment leaves out of a panel; the choice among environments is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from pipeline.sdf.panel import SdfPanel


def _full(panel: SdfPanel, financials: Collection[str]) -> SdfPanel:
    return panel


def _no_macro(panel: SdfPanel, financials: Collection[str]) -> SdfPanel:
    return replace(panel, macro_names=(), macro=panel.macro[:, :0])


def _no_financials(panel: SdfPanel, financials: Collection[str]) -> SdfPanel:
    if panel.groups is None or not financials:
        raise ValueError(
            "an environment without financial firms needs the groups of the rows and the groups to leave out"
        )
    return panel.keep(~np.isin(panel.groups, sorted(financials)))


ENVIRONMENTS: dict[str, Callable[[SdfPanel, Collection[str]], SdfPanel]] = {
    "full": _full,
    "no_macro": _no_macro,
    "no_financials": _no_financials,
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
        Groups that ``no_financials`` leaves out: financial firms and real estate trusts.

    Raises
    ------
    ValueError
        If there is no such environment, or ``no_financials`` is asked for without groups.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"there is no environment {name!r}; there are {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name](panel, financials)
