"""Share volume made comparable across exchanges and through time.

NASDAQ's dealers reported each trade on both sides, so that its volume overstates trading against NYSE and AMEX until
the end of 2003. Gao and Ritter (2010, appendix B) divide it by 2.0 before February 2001, by 1.8 to the end of 2001 and
by 1.6 in 2002 and 2003. Belongs here: that division. Does not: units, which depend on the table.
"""

from __future__ import annotations

from datetime import date

import polars as pl

DIVISORS: tuple[tuple[date, float], ...] = (
    (date(2001, 2, 1), 2.0),
    (date(2002, 1, 1), 1.8),
    (date(2004, 1, 1), 1.6),
)
"""(first day on which it no longer holds, divisor), oldest first."""

COUNTED_ONCE = DIVISORS[-1][0]
"""From this day on, volume is taken as it is on every exchange."""


def nasdaq_adjusted(volume: pl.Expr, nasdaq: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Return share volume without NASDAQ's double counting.

    Parameters
    ----------
    volume : pl.Expr
        Shares.
    nasdaq : pl.Expr
        Whether the security is listed on NASDAQ; null counts as no.
    day : pl.Expr
        The trading day, or the first day of the month for monthly volume: divisors change with a month.

    Returns
    -------
    pl.Expr
        Shares; null where volume is.
    """
    # Multiplied, not divided: where all rows of a frame share a divisor, Polars takes it for a constant and divides
    # differently in the last bit, so that a volume would depend on what is built together with it.
    share = pl.lit(1.0)
    for end, divisor in reversed(DIVISORS):
        share = pl.when(nasdaq & (day < end)).then(1.0 / divisor).otherwise(share)
    return volume * share
