"""Delistings: the return of the month in which a security leaves its exchange.

CRSP often has no return from the last price on the exchange to what holders got, mostly where the exchange dropped a
firm for poor performance; leaving those months out overstates returns (Shumway 1997). Belongs here: which delistings
count, what stands in for a missing return, and how it enters the month's return. Does not: the universe, excess returns
(``returns``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from pipeline.equity.layout import CIZ

DROPPED = "GDR"
"""CIZ delisting action: dropped by the exchange. Others are mergers, exchanges of shares and liquidations."""

DROP_CODES: dict[str, int] = {
    "UNAV": 500,
    "MVNM": 502,
    "MVMF": 505,
    "MVB": 510,
    "MVCHI": 513,
    "MVMO": 514,
    "MVPAC": 516,
    "MVPH": 517,
    "MVTO": 519,
    "MVOT": 520,
    "MTMK": 550,
    "SHLD": 551,
    "LP": 552,
    "INSC": 560,
    "INSF": 561,
    "CORQ": 570,
    "DERE": 573,
    "BKPY": 574,
    "OFFRE": 575,
    "DELQ": 580,
    "FARG": 581,
    "EQRQ": 582,
    "DEEX": 583,
    "FING": 584,
    "PUBI": 585,
    "VIO": 587,
    "FDCV": 588,
    "UNL": 589,
    "SERQ": 591,
}
"""CIZ delisting reason of a security that was dropped -> the delisting code of the SIZ layout.

From CRSP's table of delisting codes in the two layouts (DelistCode, in the documentation of Flat File Format 2.0)."""

NO_DELISTINGS = pl.DataFrame(
    schema={
        "month": pl.Date(),
        "permno": pl.Int64(),
        "delisted_on": pl.Date(),
        "dlret": pl.Float64(),
        "dlstcd": pl.Int64(),
        "delreason": pl.String(),
    }
)
"""What delistings look like, and what is known of them without a table."""


@dataclass(frozen=True, kw_only=True)
class DelistingProfile:
    """What a missing delisting return of a performance delisting is taken to be.

    Attributes
    ----------
    returns : mapping of str to float
        Exchange (letter, at the end of the month before) -> return as a decimal; empty: it stays missing.
    reference : str
        Where the numbers are from.
    """

    returns: Mapping[str, float] = field(default_factory=dict)
    reference: str


PROFILES: dict[str, DelistingProfile] = {
    "shumway30": DelistingProfile(
        returns={"N": -0.30, "A": -0.30, "Q": -0.30}, reference="Shumway (1997), applied to every exchange"
    ),
    "osap35_55": DelistingProfile(
        returns={"N": -0.35, "A": -0.35, "Q": -0.55},
        reference="Chen and Zimmermann (2022), after Shumway (1997) and Shumway and Warther (1999)",
    ),
    "none": DelistingProfile(reference="only delisting returns that are in the file"),
}
"""Delisting profiles; ``shumway30`` is the default."""


def siz_delistings(msedelist: pl.DataFrame) -> pl.DataFrame:
    """Return the delistings of the SIZ layout, one row a permno and month.

    ``crsp.msedelist`` has a row for every security; codes 100 to 199 say that it still traded when the file was made.

    Parameters
    ----------
    msedelist : pl.DataFrame
        month, permno, dlstdt, dlstcd, dlret.

    Returns
    -------
    pl.DataFrame
        month, permno, delisted_on, dlret, dlstcd, delreason (null); the last of a month if there are several.
    """
    gone = msedelist.filter(~pl.col("dlstcd").is_between(100, 199).fill_null(False))
    return _last_of_month(gone.with_columns(delisted_on="dlstdt", delreason=pl.lit(None, dtype=pl.String)))


def ciz_delistings(stkdelists: pl.DataFrame) -> pl.DataFrame:
    """Return the delistings of the CIZ layout, one row a permno and month.

    Parameters
    ----------
    stkdelists : pl.DataFrame
        month, permno, delistingdt, delret, delreasontype, delactiontype.

    Returns
    -------
    pl.DataFrame
        As :func:`siz_delistings`; delreason as reported, and dlstcd the code of the SIZ layout for securities that
        their exchange dropped (:data:`DROP_CODES`), null otherwise: the reason alone does not tell, ``UNAV`` stands
        beside mergers as well.
    """
    code = pl.col("delreasontype").replace_strict(DROP_CODES, default=None, return_dtype=pl.Int64)
    dropped = pl.col("delactiontype") == DROPPED
    return _last_of_month(
        stkdelists.with_columns(
            delisted_on="delistingdt",
            dlret="delret",
            delreason="delreasontype",
            dlstcd=pl.when(dropped).then(code),
        )
    )


def _last_of_month(delistings: pl.DataFrame) -> pl.DataFrame:
    last = delistings.sort("month", "permno", "delisted_on").unique(
        ["month", "permno"], keep="last", maintain_order=True
    )
    return last.select(*NO_DELISTINGS.columns).cast(NO_DELISTINGS.schema)


FOR_PERFORMANCE = (pl.col("dlstcd") == 500) | pl.col("dlstcd").is_between(520, 584)
"""Delistings that Shumway (1997) counts as due to poor performance."""


def filled_return(profile: DelistingProfile) -> pl.Expr:
    """Return what a profile puts in place of a missing delisting return.

    Reads delisted, dlret, dlstcd and exchange (of the month before); null where nothing is to be filled.
    """
    value = pl.col("exchange").replace_strict(dict(profile.returns), default=None, return_dtype=pl.Float64)
    return pl.when(pl.col("delisted") & pl.col("dlret").is_null() & FOR_PERFORMANCE).then(value)


def total_return(profile: DelistingProfile) -> pl.Expr:
    """Return of a month with the delisting in it.

    In the SIZ layout ``(1 + ret)(1 + dlret) - 1``. In the CIZ layout the reported return has the delisting return in it
    already, so that only one that was missing and is filled compounds; a reported one stands in where the month has no
    return. A missing ``ret`` takes the delisting return; nobody loses more than everything.

    Parameters
    ----------
    profile : DelistingProfile
        Stands in for missing delisting returns.

    Returns
    -------
    pl.Expr
        Decimal; null where there is neither return. Reads layout, ret, delisted, dlret, dlstcd and exchange (of the
        month before).
    """
    reported = pl.when(pl.col("delisted")).then(pl.col("dlret"))
    contained = (pl.col("layout") == CIZ) & pl.col("ret").is_not_null()
    further = pl.when(~contained | reported.is_null()).then(pl.coalesce(reported, filled_return(profile)))
    compounded = (1.0 + pl.col("ret")) * (1.0 + further) - 1.0
    return pl.coalesce(compounded, pl.col("ret"), further).clip(lower_bound=-1.0)
