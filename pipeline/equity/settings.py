"""What can be chosen about stock returns, with its defaults from the design."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.equity.delisting import PROFILES


@dataclass(frozen=True, kw_only=True)
class StockReturnsSettings:
    """How the return of a month is made up.

    Attributes
    ----------
    delisting : str
        Profile that stands in for the missing delisting return of a performance delisting: ``shumway30`` (-30%),
        ``osap35_55`` (-35% on NYSE and AMEX, -55% on NASDAQ) or ``none``.
    """

    delisting: str = "shumway30"

    def __post_init__(self) -> None:
        if self.delisting not in PROFILES:
            raise ValueError(f"delisting is {self.delisting!r}; the profiles are {', '.join(PROFILES)}")
