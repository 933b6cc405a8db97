"""Settings of the pipeline: one section a concept, read from ``settings.toml`` in the home, defaults in the code.

An asset names the sections it depends on; only their hash stands in its manifests, so that a changed setting puts
exactly the partitions that use it out of date. Belongs here: gathering and reading. Does not: what a setting means,
which the dataclass beside the function that uses it says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.bonds.characteristics import BondCharacteristicsSettings
from pipeline.bonds.issue_universe import IssueSettings
from pipeline.bonds.issuer_match import IssuerMatchSettings
from pipeline.bonds.month_end import BondPriceSettings
from pipeline.bonds.portfolio_characteristics import PortfolioCharacteristicsSettings
from pipeline.bonds.portfolios import BondPortfolioSettings
from pipeline.bonds.source import BondSourceSettings
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.equity.daily import DailySettings
from pipeline.equity.settings import StockReturnsSettings
from pipeline.equity.test_portfolios import TestPortfolioSettings
from pipeline.equity.timing import FirmCharacteristicsSettings
from pipeline.evaluation.forecasts import ComparisonSettings
from pipeline.macro.bond_market import BondMarketSettings
from pipeline.macro.cochrane_piazzesi import CochranePiazzesiSettings
from pipeline.macro.fred_md import FredMdSettings
from pipeline.macro.goyal_welch import GoyalWelchSettings
from pipeline.macro.macro_factors import MacroFactorSettings
from pipeline.macro.vix import VixInnovationSettings
from pipeline.models.factor_instruments import FactorInstrumentSettings
from pipeline.models.families import FactorModelSettings
from pipeline.models.ipca_recursion import IPCASettings
from pipeline.models.linear_settings import LinearSdfSettings, PredictiveSettings, RegimeSettings
from pipeline.models.tree_settings import TreesSettings
from pipeline.panel.training import ModelPanelSettings
from pipeline.sdf.environments import ENVIRONMENTS, FINANCIAL
from pipeline.sdf.settings import SdfSettings
from resources.content import settings_hash

_KINDS = {tuple: "list", int: "whole number", float: "number", str: "text", bool: "true or false"}
"""Types in the words of a settings file."""


class BadSettings(ValueError):
    """``settings.toml`` names something that does not exist or has a value that can't be."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every section with its defaults; see each section's class for its fields."""

    fred_md: FredMdSettings = field(default_factory=FredMdSettings)
    macro_factors: MacroFactorSettings = field(default_factory=MacroFactorSettings)
    goyal_welch: GoyalWelchSettings = field(default_factory=GoyalWelchSettings)
    vix_innovation: VixInnovationSettings = field(default_factory=VixInnovationSettings)
    bond_market_factor: BondMarketSettings = field(default_factory=BondMarketSettings)
    stock_returns: StockReturnsSettings = field(default_factory=StockReturnsSettings)
    stock_daily_characteristics: DailySettings = field(default_factory=DailySettings)
    firm_characteristics: FirmCharacteristicsSettings = field(default_factory=FirmCharacteristicsSettings)
    bonds: BondSourceSettings = field(default_factory=BondSourceSettings)
    trace_daily: TraceSettings = field(default_factory=TraceSettings)
    bond_issues: IssueSettings = field(default_factory=IssueSettings)
    bond_prices: BondPriceSettings = field(default_factory=BondPriceSettings)
    issuer_match: IssuerMatchSettings = field(default_factory=IssuerMatchSettings)
    bond_characteristics: BondCharacteristicsSettings = field(default_factory=BondCharacteristicsSettings)
    bond_portfolios: BondPortfolioSettings = field(default_factory=BondPortfolioSettings)
    bond_portfolio_characteristics: PortfolioCharacteristicsSettings = field(
        default_factory=PortfolioCharacteristicsSettings
    )
    bond_models: ModelPanelSettings = field(default_factory=lambda: ModelPanelSettings(min_present=0.0))
    bond_ipca: IPCASettings = field(default_factory=IPCASettings)
    stock_models: ModelPanelSettings = field(default_factory=ModelPanelSettings)
    stock_ipca: IPCASettings = field(default_factory=IPCASettings)
    factor_instruments: FactorInstrumentSettings = field(default_factory=FactorInstrumentSettings)
    bond_factor_models: FactorModelSettings = field(default_factory=FactorModelSettings)
    stock_factor_models: FactorModelSettings = field(default_factory=FactorModelSettings)
    portfolio_factor_models: FactorModelSettings = field(default_factory=FactorModelSettings)
    test_portfolios: TestPortfolioSettings = field(default_factory=TestPortfolioSettings)
    bond_portfolio_sdf: SdfSettings = field(default_factory=lambda: SdfSettings(bound=1.0))
    bond_sdf: SdfSettings = field(
        default_factory=lambda: SdfSettings(environments=tuple(ENVIRONMENTS), financials=(FINANCIAL,))
    )
    stock_sdf: SdfSettings = field(default_factory=SdfSettings)
    bond_portfolio_trees: TreesSettings = field(default_factory=TreesSettings)
    bond_trees: TreesSettings = field(default_factory=TreesSettings)
    cochrane_piazzesi: CochranePiazzesiSettings = field(default_factory=CochranePiazzesiSettings)
    linear_sdf: LinearSdfSettings = field(default_factory=LinearSdfSettings)
    predictive_regressions: PredictiveSettings = field(default_factory=PredictiveSettings)
    regimes: RegimeSettings = field(default_factory=RegimeSettings)
    comparisons: ComparisonSettings = field(default_factory=ComparisonSettings)
    bond_ipca_intercept: IPCASettings = field(default_factory=lambda: IPCASettings(intercept=True))

    def digest(self, sections: Sequence[str]) -> str:
        """Hash of the named sections."""
        return settings_hash({section: asdict(getattr(self, section)) for section in sections})


def load_settings(path: Path) -> Settings:
    """Read ``settings.toml``; a file that is not there gives the defaults.

    Raises
    ------
    BadSettings
        For an unknown section or field, or a value that its section refuses, naming the file and what is known.
    """
    if not path.exists():
        return Settings()
    try:
        written = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{path.name} is not valid TOML: {error}.") from error
    return _replaced(Settings(), written, path.name, "")


def _replaced(default: Any, written: Any, file: str, section: str) -> Any:
    """``default`` with the fields that are written, nested sections included."""
    if not isinstance(written, dict):
        raise BadSettings(f"{file} has {section} = {written!r}; it is a section of its own: write [{section}].")
    known = [each.name for each in fields(default)]
    unknown = sorted(set(written) - set(known))
    if unknown:
        place, kind = (f"{file} [{section}]", "fields") if section else (file, "sections")
        raise BadSettings(f"{place} has {', '.join(unknown)}; its {kind} are {', '.join(known)}.")
    values = {}
    for name, value in written.items():
        before = getattr(default, name)
        if is_dataclass(before):
            values[name] = _replaced(before, value, file, f"{section}.{name}".lstrip("."))
        elif isinstance(before, Mapping):
            strange = sorted(set(value) - set(before)) if isinstance(value, dict) else [repr(value)]
            if strange:
                raise BadSettings(f"{file} [{section}.{name}] has {', '.join(strange)}, which is none of its names.")
            values[name] = {**before, **value}
        else:
            values[name] = _typed(before, value, f"{file} [{section}] {name}")
    try:
        return replace(default, **values)
    except (TypeError, ValueError) as error:
        raise BadSettings(f"{file} [{section}]: {error}.") from error


def _typed(before: Any, value: Any, where: str) -> Any:
    """Return a written value as the default's type; a whole number will do for a decimal one."""
    wanted = type(before)
    if wanted is tuple and isinstance(value, list):
        return tuple(_typed(before[0], each, where) for each in value) if before else tuple(value)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        shown = list(before) if wanted is tuple else before
        raise BadSettings(f"{where} has {value!r}; it must be a {_KINDS.get(wanted, wanted.__name__)} like {shown!r}.")
    return value
