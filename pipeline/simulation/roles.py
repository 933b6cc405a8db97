"""Parts that listed securities play: what makes each one hard to read, as a registry.

A role says which codes a security carries and how its listing begins and ends; when all this happens is in `listings`.
"""

from dataclasses import dataclass

MERGER_CODES = (231, 241, 233)
FAILURE_CODES = (574, 580, 551, 560, 520)


@dataclass(frozen=True, kw_only=True)
class Role:
    """One part.

    Parameters
    ----------
    name : str
        Key.
    shrcd : int
        CRSP share code.
    exchcd : int or None
        Exchange code that is not the firm's usual one.
    enters : bool
        The listing begins inside the market's months.
    codes : tuple of int
        Delisting codes to choose from; empty: the listing is active at the end.
    dlret : tuple of float or None
        Bounds of the delisting return; None: missing in the file.
    row : str
        Monthly row of the delisting month: `return` (with the return to the last trading day), `coded` (a code instead
        of the return) or `none`.
    change : str
        Names change: `renamed`, `moved`, `reshared`, `flag_share` and `flag_exchange` (in the delisting month),
        `halted`; empty: none.
    trading : str
        Irregular trading: `suspended` (months with a code for a return), `silent` (months without a row), `illiquid`
        (bid-ask midpoints, zero returns), `gappy` (days without a row); empty: regular.
    """

    name: str
    shrcd: int = 11
    exchcd: int | None = None
    enters: bool = False
    codes: tuple[int, ...] = ()
    dlret: tuple[float, float] | None = None
    row: str = "return"
    change: str = ""
    trading: str = ""


_LOSS = (-0.6, -0.1)
_PREMIUM = (-0.03, 0.06)

SCRIPTED: tuple[Role, ...] = (
    Role(name="adr", shrcd=31),
    Role(name="reit", shrcd=18),
    Role(name="fund", shrcd=14),
    Role(name="foreign", shrcd=12),
    Role(name="arca", exchcd=4),
    Role(name="merger", codes=MERGER_CODES, dlret=_PREMIUM),
    Role(name="merger_without_row", codes=MERGER_CODES, dlret=_PREMIUM, row="none"),
    Role(name="merger_without_dlret", codes=MERGER_CODES),
    Role(name="merger_coded_return", codes=MERGER_CODES, dlret=(-0.05, 0.2), row="coded"),
    Role(name="failure", codes=FAILURE_CODES, dlret=_LOSS),
    Role(name="failure_without_dlret", codes=FAILURE_CODES),
    Role(name="failure_without_row", codes=FAILURE_CODES, row="none"),
    Role(name="failure_coded_return", codes=FAILURE_CODES, row="coded"),
    Role(name="total_loss", codes=(574,), dlret=(-1.0, -1.0)),
    Role(name="other_drop_without_dlret", codes=(510, 516)),
    Role(name="flag_share", codes=FAILURE_CODES, dlret=_LOSS, change="flag_share"),
    Role(name="flag_exchange", codes=FAILURE_CODES, dlret=_LOSS, change="flag_exchange"),
    Role(name="renamed", change="renamed"),
    Role(name="moved", exchcd=3, change="moved"),
    Role(name="reshared", change="reshared"),
    Role(name="halted", change="halted"),
    Role(name="suspended", trading="suspended"),
    Role(name="silent", trading="silent"),
    Role(name="illiquid", trading="illiquid"),
    Role(name="gappy", exchcd=3, trading="gappy"),
    Role(name="newcomer", enters=True),
)
"""Roles that every market holds at least twice."""

PLAIN = Role(name="plain")
SECOND_CLASS = Role(name="second_class")
NEW_CLASS = Role(name="new_class", enters=True)
CLOSED_CLASS = Role(name="closed_class", codes=(251,), dlret=(0.0, 0.0))
DEFAULTED = Role(name="defaulted", codes=(574,), dlret=_LOSS)
DEFAULTED_WITHOUT_DLRET = Role(name="defaulted_without_dlret", codes=(574,))

EVERYDAY: tuple[tuple[Role, float], ...] = (
    (PLAIN, 0.42),
    (Role(name="newcomer", enters=True), 0.20),
    (Role(name="merger", codes=MERGER_CODES, dlret=_PREMIUM), 0.10),
    (Role(name="failure", codes=FAILURE_CODES, dlret=_LOSS), 0.05),
    (Role(name="failure_without_dlret", codes=FAILURE_CODES), 0.02),
    (Role(name="adr", shrcd=31), 0.03),
    (Role(name="reit", shrcd=18), 0.03),
    (Role(name="fund", shrcd=14), 0.02),
    (Role(name="illiquid", trading="illiquid"), 0.05),
    (Role(name="renamed", change="renamed"), 0.05),
    (Role(name="moved", exchcd=3, change="moved"), 0.03),
)
"""Roles of the further listed firms without bonds and how often each one occurs."""
