"""The windows and lags of the bond characteristics, with their defaults from the design."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.panel.cross_section import CrossSectionSettings
from pipeline.panel.windows import Window


@dataclass(frozen=True, kw_only=True)
class BondCharacteristicsSettings:
    """Windows, lags and cross-section of :func:`pipeline.bonds.characteristics.bond_characteristics`.

    Attributes
    ----------
    turnover_volatility : Window
        Months of asset turnover.
    stock_volatility : Window
        Months of stock returns; each needs the price of the month before.
    bond_volatility, bond_skew, value_at_risk : Window
        Months of bond returns, the month itself included.
    value_at_risk_level : float
        Quantile of the bond's value at risk.
    profitability_lag : int
        Months over which profitability changes.
    momentum_near, momentum_far : int
        Momentum runs from the end of month m - far to the end of m - near.
    industry : Window
        Months before the adjusted return in which its industry slope is estimated.
    vix_beta, bond_beta : Window
        Months of the exposure regressions, the month itself included.
    intermediary_beta, idiosyncratic_volatility : Window
        Months of the regressions that bonds are sorted by, the month itself included.
    long_term_reversal : Window
        Months of the return that long-term reversal turns round.
    reversal_near : int
        The last of them, counted back from the month predicted, which is 1 month after m.
    cross_section : CrossSectionSettings
        How a month's values are winsorised.
    """

    turnover_volatility: Window = field(default=Window(12, 6))
    stock_volatility: Window = field(default=Window(60, 6))
    bond_volatility: Window = field(default=Window(60, 6))
    bond_skew: Window = field(default=Window(60, 6))
    value_at_risk: Window = field(default=Window(36, 12))
    value_at_risk_level: float = 0.05
    profitability_lag: int = 60
    momentum_near: int = 2
    momentum_far: int = 6
    industry: Window = field(default=Window(60, 24))
    vix_beta: Window = field(default=Window(60, 12))
    bond_beta: Window = field(default=Window(60, 8))
    intermediary_beta: Window = field(default=Window(60, 24))
    idiosyncratic_volatility: Window = field(default=Window(60, 24))
    long_term_reversal: Window = field(default=Window(37, 24))
    reversal_near: int = 12
    cross_section: CrossSectionSettings = field(default_factory=CrossSectionSettings)

    def __post_init__(self) -> None:
        if not 0.0 < self.value_at_risk_level < 1.0:
            raise ValueError(f"value_at_risk_level is a probability, not {self.value_at_risk_level}")
        if not 0 <= self.momentum_near < self.momentum_far:
            raise ValueError(f"momentum needs 0 <= near < far, not {self.momentum_near} and {self.momentum_far}")
        if self.profitability_lag < 1:
            raise ValueError(f"profitability_lag counts months before this one, not {self.profitability_lag}")
        if self.reversal_near < 1:
            raise ValueError(f"reversal_near counts months before the one predicted, not {self.reversal_near}")
