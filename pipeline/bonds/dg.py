"""The set ``dg``: features of single bonds after Duraj and Giesecke (2025), the fundamentals of the issuer among them.

Coupon and rating, which the set shares with the notebook's, stand in ``contract``. Firm characteristics keep the
definition and the timing that they have in the registry of firms.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from pipeline.bonds.common_columns import FORWARD_SPREADS, FUNDAMENTALS, MEDIANS
from pipeline.bonds.contract import AGE_DAYS, AGE_DEFINITION, AGE_INPUTS, AGE_TIMING, MATURITY_DAYS, YEARS_A_DAY
from pipeline.bonds.definition import DG, ISSUER, Characteristic
from pipeline.bonds.french_industries import NAMES, membership
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.equity.registry import BY_NAME

_SOURCE = "Duraj and Giesecke 2025"


def _this_curve(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"treasury_curve": 1}


def _this_firm(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_snapshot": 1, "firm_characteristics": 1}


def _of_bond(name: str, definition: str, unit: str, column: str) -> Characteristic:
    """Return the entry of a column of the snapshot."""
    return Characteristic(
        name=name,
        sets=(DG,),
        definition=definition,
        unit=unit,
        inputs=(f"bond_snapshot.{column}",),
        formula=pl.col(column),
        source=_SOURCE,
    )


def _forward_spread(name: str, years: int) -> Characteristic:
    return Characteristic(
        name=name,
        sets=(DG,),
        form="raw",
        definition=f"forward rate from year {years} to {years + 1} less the one-year yield, Treasury zero curve; the "
        "same for all bonds",
        unit="percent",
        inputs=(f"treasury_curve.{name}",),
        formula=pl.col(name),
        lookback=_this_curve,
        source=_SOURCE,
    )


def _industry(number: int, industry: str) -> Characteristic:
    return Characteristic(
        name=f"industry_{number}",
        sets=(DG,),
        form="raw",
        definition=f"1 where the issuer is in industry {industry} of the ten of Fama and French, 0 where it is in "
        "another; by the SIC code of its stock at the end of m",
        unit="dummy",
        inputs=("bond_snapshot.sic",),
        formula=membership(industry),
        source=_SOURCE,
    )


def _median(name: str) -> Characteristic:
    firm = BY_NAME[name]
    return Characteristic(
        name=f"med_{name}",
        sets=(DG,),
        form="raw",
        definition=f"median of {name} over the issuers of the month's bonds, each counted once; the same for all bonds",
        unit=firm.unit,
        inputs=("bond_snapshot.permno", f"firm_characteristics.{name}"),
        formula=pl.col(f"med_{name}"),
        lookback=_this_firm,
        source=_SOURCE,
    )


def _issuer(name: str) -> Characteristic:
    firm = BY_NAME[name]
    return Characteristic(
        name=f"issuer_{name}",
        sets=(DG, ISSUER) if name in MEDIANS else (ISSUER,),
        definition=f"{name} of the issuer's stock: {firm.definition}",
        unit=firm.unit,
        inputs=("bond_snapshot.permno", f"firm_characteristics.{name}"),
        timing=f"end of m, {firm.timing} inputs; as timed for firms",
        formula=pl.col(f"issuer_{name}"),
        lookback=_this_firm,
        source=firm.reference,
    )


BOND_LEVEL: tuple[Characteristic, ...] = (
    _of_bond("sp_rating", "S&P's ordinal rating, 1 (AAA) to 21 (C), 22 (D)", "notches", "sp_rating"),
    _of_bond("moody_rating", "Moody's ordinal rating, 1 (Aaa) to 21 (C)", "notches", "moody_rating"),
    _of_bond("amt_out", "amount outstanding: face_value under the set's name", "thousands of dollars", "face_value"),
    _of_bond(
        "accrued_interest",
        "accrued interest at the end of m per 100 of face, by the issue's day count; 0 in default",
        "dollars per 100",
        "accrued_interest",
    ),
    Characteristic(
        name="tau",
        sets=(DG,),
        definition="(maturity - month end) / 365.25",
        unit="years",
        inputs=("bond_snapshot.maturity",),
        formula=MATURITY_DAYS * YEARS_A_DAY,
        source=_SOURCE,
    ),
    Characteristic(
        name="age",
        sets=(DG,),
        definition=f"{AGE_DEFINITION}: bond_age_years under the set's name",
        unit="years",
        inputs=AGE_INPUTS,
        timing=AGE_TIMING,
        formula=AGE_DAYS * YEARS_A_DAY,
        source=_SOURCE,
    ),
    _of_bond("ytm", "yield to maturity", "percent", "ytm"),
    _of_bond("bond_price", "clean price per 100 of face at the end of m", "dollars per 100", "price"),
)

DURAJ_GIESECKE: tuple[Characteristic, ...] = (
    *BOND_LEVEL,
    *(_forward_spread(name, years) for years, name in enumerate(FORWARD_SPREADS, start=1)),
    *(_industry(number, industry) for number, industry in enumerate(NAMES, start=1)),
    *(_median(name) for name in MEDIANS),
    *(_issuer(name) for name in FUNDAMENTALS),
)
