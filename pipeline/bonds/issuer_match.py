"""Which company issued a bond, by the names that companies bore when it was offered.

A name decides only if it stands clear of every other company's. Belongs here: the choice among candidates. Does not:
spelling and likeness of names (``issuer_names``, ``issuer_candidates``), and whether the company found has a stock and
accounts (``issuer_link``).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipeline.bonds.issuer_candidates import TOLERANCE, similar_names
from pipeline.bonds.issuer_names import company_name

NO_NAME, NO_CANDIDATE, BELOW, AMBIGUOUS = "no name", "no candidate", "below similarity", "ambiguous"
UNDATED, LATER_NAME, LESS_SIMILAR = "name not in force", "later name", "less similar"

CASE = ("text", "offered")
"""What decides a match besides the month: the name on the bond, and the month in which it was offered."""


@dataclass(frozen=True, kw_only=True)
class IssuerMatchSettings:
    """How alike names have to be, and how old accounts may be.

    Attributes
    ----------
    similarity : float
        Lowest normalised Levenshtein similarity of a match.
    margin : float
        By which it has to be above that of every other company; names less similar than ``similarity - margin`` are
        not looked at.
    name_slack : int
        Months before that of the offering whose names count as in force: a name that changed during the month was
        still borne on some of its days.
    accounts_months : int
        Months, the month of the match included, in which the company's last annual accounts became available.
    """

    similarity: float = 0.9
    margin: float = 0.05
    name_slack: int = 1
    accounts_months: int = 18

    def __post_init__(self) -> None:
        if not 0.0 <= self.margin < 0.5 < self.similarity - self.margin or self.similarity > 1.0:
            raise ValueError(
                f"similarity {self.similarity} and margin {self.margin}: similarity is at most 1, the margin not "
                "negative, and similarity less margin above 0.5, below which names can't be blocked"
            )
        if self.name_slack < 0 or self.accounts_months < 1:
            raise ValueError(
                f"name_slack {self.name_slack} and accounts_months {self.accounts_months} are at least 0 and 1 months"
            )


def spelled(names: pl.Series) -> pl.DataFrame:
    """Give the one spelling of names: columns ``name`` and ``text``, a row for each distinct name that has one."""
    distinct = names.drop_nulls().unique().sort()
    texts = [company_name(name).text for name in distinct]
    return pl.DataFrame({"name": distinct, "text": texts}, schema={"name": pl.String, "text": pl.String}).filter(
        pl.col("text") != ""
    )


def alike_names(issuer_names: pl.Series, firm_names: pl.Series, settings: IssuerMatchSettings) -> pl.DataFrame:
    """Compare the distinct names of issuers and of firms, both as vendors write them; see ``similar_names``."""
    issuers, firms = (
        [company_name(name) for name in names.drop_nulls().unique()] for names in (issuer_names, firm_names)
    )
    return similar_names(issuers, firms, settings.similarity - settings.margin)


def candidates(
    cases: pl.DataFrame, names: pl.DataFrame, pairs: pl.DataFrame, settings: IssuerMatchSettings
) -> pl.DataFrame:
    """Find the companies whose names are like that on a bond, and what speaks against each.

    Parameters
    ----------
    cases : pl.DataFrame
        case (an integer), text (the name's one spelling), offered (month; null where unknown); one row a case.
    names : pl.DataFrame
        ``firm_names`` of one month with ``firm_text``, the name's one spelling.
    pairs : pl.DataFrame
        As :func:`pipeline.bonds.issuer_candidates.similar_names` gives them, of these names at least.
    settings : IssuerMatchSettings
        Similarity and margin.

    Returns
    -------
    pl.DataFrame
        case, permco, name (CRSP's, the most similar that counts), similarity, in_force (at the offering), rejection;
        one row a case and company, sorted by them. The company that the name decides for has no rejection.

    Notes
    -----
    Names in force at the offering count, and of companies that bore none then those borne later. One of the former
    that reaches ``similarity`` goes before the latter. It stays ambiguous when another company's name of the same kind
    is less than ``margin`` below, or a later name is more similar.
    """
    found = _dated(cases, names, pairs, settings)
    counting = found.filter("dated").with_columns(
        claims=pl.col("in_force") & _at_least("similarity", settings.similarity)
    )
    best = counting.sort(
        "case", "claims", "similarity", "in_force", "permco", descending=[False, True, True, True, False]
    ).unique("case", keep="first", maintain_order=True)
    beside = found.join(
        best.select("case", best="permco", top="similarity", top_in_force="in_force"), on="case", how="left"
    ).with_columns(chosen=(pl.col("dated") & (pl.col("permco") == pl.col("best"))).fill_null(False))
    near = pl.col("similarity") > pl.col("top") - settings.margin + TOLERANCE
    of_weight = pl.col("in_force") | ~pl.col("top_in_force") | (pl.col("similarity") > pl.col("top") + TOLERANCE)
    rival = (pl.col("dated") & ~pl.col("chosen") & near & of_weight).fill_null(False)
    judged = beside.with_columns(rival=rival).with_columns(contested=pl.col("rival").any().over("case"))
    rejections = {
        UNDATED: ~pl.col("dated"),
        BELOW: ~_at_least("similarity", settings.similarity),
        AMBIGUOUS: pl.col("contested") & (pl.col("rival") | pl.col("chosen")),
        LATER_NAME: ~pl.col("chosen") & near & ~of_weight,
        LESS_SIMILAR: ~pl.col("chosen"),
    }
    rejection = pl.coalesce(pl.when(holds).then(pl.lit(reason)) for reason, holds in rejections.items())
    return judged.select("case", "permco", "name", "similarity", "in_force", rejection=rejection).sort("case", "permco")


def _at_least(column: str, bound: float) -> pl.Expr:
    return pl.col(column) >= bound - TOLERANCE


def _dated(
    cases: pl.DataFrame, names: pl.DataFrame, pairs: pl.DataFrame, settings: IssuerMatchSettings
) -> pl.DataFrame:
    """Give the name of every company like that of a case which counts, or else the most similar one that doesn't."""
    known = names.filter(pl.col("permco").is_not_null())
    in_force = (
        (pl.col("first") <= pl.col("offered"))
        & (pl.col("last") >= pl.col("offered").dt.offset_by(f"-{settings.name_slack}mo"))
    ).fill_null(False)
    rows = cases.join(pairs, on="text").join(known, on="firm_text").with_columns(in_force=in_force)
    # A company that bore another name at the offering is not meant by a name that it took later.
    then = rows.select("case", "offered", "permco").unique().join(known.select("permco", "first", "last"), on="permco")
    listed = then.filter(in_force).select("case", "permco").unique().with_columns(listed=pl.lit(True))
    rows = rows.join(listed, on=["case", "permco"], how="left")
    later = pl.col("listed").is_null() & (pl.col("last") >= pl.col("offered")).fill_null(True)
    ordered = rows.with_columns(dated=pl.col("in_force") | later).sort(
        "case", "permco", "dated", "in_force", "similarity", "last", "name", "permno",
        descending=[False, False, True, True, True, True, False, False],
    )  # fmt: skip
    return ordered.unique(["case", "permco"], keep="first", maintain_order=True)


def outcomes(found: pl.DataFrame) -> pl.DataFrame:
    """Say for every case with candidates which company it is, or why none.

    Parameters
    ----------
    found : pl.DataFrame
        As :func:`candidates` returns them.

    Returns
    -------
    pl.DataFrame
        case, permco and matched_name (null without a match), similarity (of the company, else of the most similar
        candidate), runner_up_similarity (the highest of another company whose name counts; null without one), reason
        (null with a match); sorted by case.
    """
    counting = found.filter(pl.col("rejection").is_null() | (pl.col("rejection") != UNDATED))
    ordered = counting.sort(
        "case", pl.col("rejection").is_not_null(), "similarity", "in_force", "permco",
        descending=[False, False, True, True, False],
    )  # fmt: skip
    best = ordered.unique("case", keep="first", maintain_order=True)
    others = ordered.join(best.select("case", "permco"), on=["case", "permco"], how="anti")
    runner_up = others.group_by("case").agg(runner_up_similarity=pl.col("similarity").max())
    matched = pl.col("rejection").is_null()
    return (
        best.join(runner_up, on="case", how="left")
        .select(
            "case",
            pl.when(matched).then(pl.col("permco")).alias("permco"),
            pl.when(matched).then(pl.col("name")).alias("matched_name"),
            "similarity",
            "runner_up_similarity",
            reason="rejection",
        )
        .sort("case")
    )


def cases_of(issues: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Add to the issues of a month what decides their match: text, offered and the number of the case.

    Parameters
    ----------
    issues : pl.DataFrame
        issuer_name, offering_date, dated_date (the offering counts, else the day from which interest runs).
    texts : pl.DataFrame
        As :func:`spelled` returns them, of these names at least.

    Returns
    -------
    pl.DataFrame
        The rows with text (null without a name), offered (month), case (null without a name).
    """
    offered = pl.coalesce("offering_date", "dated_date").dt.month_start()
    rows = issues.join(texts.rename({"name": "issuer_name"}), on="issuer_name", how="left").with_columns(
        offered=offered
    )
    numbered = rows.select(CASE).filter(pl.col("text").is_not_null()).unique().sort(CASE).with_row_index("case")
    return rows.join(numbered, on=list(CASE), how="left", nulls_equal=True)
