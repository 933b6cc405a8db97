"""How large a simulated market is: one registered size a use.

Only counts and lengths belong here; what the economy does with them is the business of the other modules.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MarketSize:
    """Dimensions of a simulated market.

    Parameters
    ----------
    name : str
        Name under which the size is registered.
    months : int
        Months with a bond snapshot; the last one is the market's end, so returns are earned in `months - 1` of them.
    lead : int
        Months of macro and stock history before the first snapshot. Sixty let a 60-month window on VIX be full when the
        first bond is seen.
    bonds : int
        Bonds that are ever seen.
    alive : int
        Bonds in the index in an average month.
    issuers : int
        Firms that issue bonds; some of them are private.
    other_firms : int
        Listed firms without bonds, so that stock portfolios hold more than the issuers.
    sectors : int
        Names in use at the third sector level, at most 18.
    series : int
        FRED-MD series in a vintage, including the one that is replaced.
    vintages : int
        FRED-MD vintages, at least two, the newest published in the last month.
    hazard : float
        Multiplies every default intensity; small markets need a larger one to hold a default at all.
    daily_lead : int or None
        Months of daily stock rows before the first snapshot, at most `lead`; None: no daily stock file.
    """

    name: str
    months: int
    lead: int
    bonds: int
    alive: int
    issuers: int
    other_firms: int
    sectors: int
    series: int
    vintages: int
    hazard: float = 1.0
    daily_lead: int | None = 24

    def __post_init__(self) -> None:
        """Refuse dimensions that no market can have."""
        if self.months < 24 or self.lead < 24:
            raise ValueError(f"size {self.name}: at least 24 months and lead, got {self.months} and {self.lead}")
        if not 0 < self.alive <= self.bonds:
            raise ValueError(f"size {self.name}: alive must lie in 1..bonds, got {self.alive} of {self.bonds}")
        if not 1 <= self.sectors <= 18:
            raise ValueError(f"size {self.name}: sectors must lie in 1..18, got {self.sectors}")
        if self.daily_lead is not None and not 0 <= self.daily_lead <= self.lead:
            raise ValueError(f"size {self.name}: daily_lead must lie in 0..lead, got {self.daily_lead} of {self.lead}")
        if self.vintages < 2:
            raise ValueError(f"size {self.name}: at least 2 vintages, so that a series can come and go")


SIZES: dict[str, MarketSize] = {
    size.name: size
    for size in (
        MarketSize(
            name="tiny", months=84, lead=60, bonds=80, alive=50, issuers=28, other_firms=60,
            sectors=4, series=12, vintages=3, hazard=1.5,
        ),
        MarketSize(
            name="demo", months=126, lead=60, bonds=800, alive=400, issuers=220, other_firms=60,
            sectors=14, series=40, vintages=4, daily_lead=48,
        ),
        MarketSize(
            name="notebook", months=195, lead=120, bonds=17_000, alive=3_700, issuers=2_600, other_firms=400,
            sectors=18, series=40, vintages=4, daily_lead=None,
        ),
    )
}  # fmt: skip


def market_size(size: str | MarketSize) -> MarketSize:
    """Look a size up by name; a `MarketSize` is passed through.

    Parameters
    ----------
    size : str or MarketSize
        Registered name, or a size of one's own.

    Returns
    -------
    MarketSize

    Raises
    ------
    ValueError
        If the name is not registered.
    """
    if isinstance(size, MarketSize):
        return size
    if size not in SIZES:
        raise ValueError(f"no market size {size!r}; registered are {', '.join(SIZES)}")
    return SIZES[size]
