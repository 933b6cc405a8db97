"""The ten industries of Fama and French by SIC code, as published in Kenneth French's data library (``Siccodes10``).

Belongs here: which codes make up an industry. Does not: whose code it is, or as of when.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

INDUSTRIES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "NoDur": ((100, 999), (2000, 2399), (2700, 2749), (2770, 2799), (3100, 3199), (3940, 3989)),
    "Durbl": (
        (2500, 2519), (2590, 2599), (3630, 3659), (3710, 3711), (3714, 3714), (3716, 3716), (3750, 3751), (3792, 3792),
        (3900, 3939), (3990, 3999),
    ),
    "Manuf": (
        (2520, 2589), (2600, 2699), (2750, 2769), (2800, 2829), (2840, 2899), (3000, 3099), (3200, 3569), (3580, 3621),
        (3623, 3629), (3700, 3709), (3712, 3713), (3715, 3715), (3717, 3749), (3752, 3791), (3793, 3799), (3860, 3899),
    ),
    "Enrgy": ((1200, 1399), (2900, 2999)),
    "HiTec": (
        (3570, 3579), (3622, 3622), (3660, 3692), (3694, 3699), (3810, 3839), (7370, 7379), (7391, 7391), (8730, 8734),
    ),
    "Telcm": ((4800, 4899),),
    "Shops": ((5000, 5999), (7200, 7299), (7600, 7699)),
    "Hlth": ((2830, 2839), (3693, 3693), (3840, 3859), (8000, 8099)),
    "Utils": ((4900, 4949),),
}  # fmt: skip
"""Industry -> first and last code of each of its ranges; an industry's number is its place, from 1."""

OTHER = "Other"
"""The tenth industry: mines, construction, building materials, transport, hotels, business services, entertainment,
finance; every code that no other industry has."""

NAMES: tuple[str, ...] = (*INDUSTRIES, OTHER)

# CRSP writes 0 where it knows no code; the smallest code that there is is 0100.
_KNOWN = pl.col("sic") >= 100


def _in(industry: str) -> pl.Expr:
    return pl.any_horizontal(pl.col("sic").is_between(first, last) for first, last in INDUSTRIES[industry])


def membership(industry: str) -> pl.Expr:
    """Whether a firm with the code in column ``sic`` belongs to an industry of :data:`NAMES`; null without a code."""
    named = ~pl.any_horizontal(_in(each) for each in INDUSTRIES) if industry == OTHER else _in(industry)
    return pl.when(_KNOWN).then(named)
