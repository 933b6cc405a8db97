"""Letters of the rating agencies as ordinals, and the rating of every issue at the end of a month.

Belongs here: the agencies' scales, what counts as no rating, which agency goes first. Does not: the index extract's
composite rating, which comes with letters of its own too (``snapshot``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from types import MappingProxyType
from typing import Any

import polars as pl

from pipeline.bonds.spells import in_force, spells

_SP = ("AAA", *(f"{grade}{sign}" for grade in ("AA", "A", "BBB", "BB", "B", "CCC") for sign in ("+", "", "-")))
_MOODYS = ("AAA", *(f"{grade}{step}" for grade in ("AA", "A", "BAA", "BA", "B", "CAA") for step in "123"))
_MOODYS_WHOLE = ("AA", "A", "BAA", "BA", "B", "CAA")


def _ordinals(scale: tuple[str, ...]) -> dict[str, int]:
    return {letter: ordinal for ordinal, letter in enumerate(scale, start=1)}


@dataclass(frozen=True, kw_only=True)
class RatingScale:
    """Letters of one agency.

    Attributes
    ----------
    agency : str
        Its name.
    column : str
        Column of ``bond_issues`` that holds its ordinals.
    ordinals : mapping of str to int
        Letter in upper case -> 1 (best) to 22.
    """

    agency: str
    column: str
    ordinals: Mapping[str, int]


SCALES: Mapping[str, RatingScale] = MappingProxyType(
    {
        "SPR": RatingScale(
            agency="S&P",
            column="sp_rating",
            # SD is a default on some of the issuer's obligations.
            ordinals=MappingProxyType({**_ordinals((*_SP, "CC", "C", "D")), "SD": 22}),
        ),
        "MR": RatingScale(
            agency="Moody's",
            column="moody_rating",
            # Before April 1982, and for Caa before June 1997, a grade had no steps: it takes the middle one.
            ordinals=MappingProxyType(
                _ordinals((*_MOODYS, "CA", "C")) | {grade: _ordinals(_MOODYS)[f"{grade}2"] for grade in _MOODYS_WHOLE}
            ),
        ),
    }
)
"""FISD's ``rating_type`` -> scale, in the order in which agencies are asked: S&P, else Moody's. D is 22 and only S&P
has it; Moody's lowest is C, 21. Other agencies of the file (Fitch, Duff & Phelps) are not read."""

WITHDRAWN = frozenset({"NR", "NAV", "NA", "N/A", "WR", "WD", "RWD", "WITHDRAWN", "SUSP", "SUSPENDED", "NONE"})
"""Texts by which an agency says that it does not rate the issue (any longer)."""

# A provisional rating is the one that Moody's expects to give when the documents are final.
_PROVISIONAL = r"^\(P\)"

COLUMNS = ("sp_rating", "moody_rating", "rating")


def letters(rating: str) -> pl.Expr:
    """Letters of a rating in upper case, without spaces and the mark of a provisional one."""
    return pl.col(rating).str.to_uppercase().str.replace_all(r"\s", "").str.replace(_PROVISIONAL, "")


def rating_spells(ratings: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Turn FISD's rating history into spells, one table an agency.

    Parameters
    ----------
    ratings : pl.DataFrame
        ``fisd.fisd_ratings``: month, issue_id, rating_type, rating_date, rating.

    Returns
    -------
    dict of str to pl.DataFrame
        Column of :data:`SCALES` -> its spells, for :func:`ratings_at`.

    Notes
    -----
    The ordinal is null from the date of a row that says that the issue is not rated, of a blank one, and of one whose
    text is on no scale; :func:`ratings_figures` counts the latter. Of several rows of an agency on one day the worst
    rating holds, since the order of rows in a file says nothing; a row without an ordinal gives way.
    """
    found = {}
    for kind, scale in SCALES.items():
        ordinal = letters("rating").replace_strict(scale.ordinals, default=None, return_dtype=pl.Float64)
        rows = ratings.filter(pl.col("rating_type") == kind)
        dated = rows.select("month", "issue_id", "rating_date", ordinal.alias(scale.column))
        # Of several rows of one day the worst rating holds; one without a rating gives way.
        found[scale.column] = spells(dated, ("issue_id",), ("rating_date", pl.col(scale.column).fill_null(0.0)))
    return found


def ratings_at(found: Mapping[str, pl.DataFrame], month: date) -> pl.DataFrame:
    """Return the ratings of every issue at the end of a month.

    Parameters
    ----------
    found : mapping of str to pl.DataFrame
        From :func:`rating_spells`; rows dated after the month change nothing.
    month : datetime.date
        The month.

    Returns
    -------
    pl.DataFrame
        issue_id, one column an agency, and ``rating``: S&P's ordinal, else Moody's. Issues of which neither agency has
        said anything by then have no row.
    """
    held = [in_force(table, month).select("issue_id", column) for column, table in found.items()]
    rows = reduce(lambda left, right: left.join(right, on="issue_id", how="full", coalesce=True), held)
    return rows.with_columns(rating=pl.coalesce(*found))


def ratings_figures(ratings: pl.DataFrame, month: date) -> dict[str, Any]:
    """Count what the ratings dated in a month say.

    Parameters
    ----------
    ratings : pl.DataFrame
        As in :func:`rating_spells`.
    month : datetime.date
        The month.

    Returns
    -------
    dict
        ``ratings``: agency -> number of ``rated``, ``not_rated`` (withdrawn or blank) and ``unrecognised`` rows;
        ``ratings_unrecognised``: their texts, sorted, at most ten.
    """
    counts: dict[str, dict[str, int]] = {}
    unknown: set[str] = set()
    for kind, scale in SCALES.items():
        rows = ratings.filter(pl.col("month") == month, pl.col("rating_type") == kind).select(
            "rating", text=letters("rating")
        )
        rated = rows["text"].is_in(list(scale.ordinals)).fill_null(False)
        silent = rows["text"].is_null() | rows["text"].is_in(["", *WITHDRAWN]).fill_null(True)
        strange = rows.filter(~rated & ~silent)
        unknown |= set(strange["rating"])
        counts[scale.agency] = {
            "rated": int(rated.sum()),
            "not_rated": int(silent.sum()),
            "unrecognised": strange.height,
        }
    return {"ratings": counts, "ratings_unrecognised": sorted(unknown)[:10]}
