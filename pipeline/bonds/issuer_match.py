"""Which company issued a bond, by the names that companies bore when it was offered.

A name decides only if it stands clear of every other company's. Belongs here: the choice among candidates. Does not:
spelling and likeness of names (``issuer_names``, ``issuer_candidates``), and whether the company found has a stock and
accounts (``issuer_link``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.bonds.issuer_candidates import TOLERANCE, similar_texts, sorted_words
from pipeline.bonds.issuer_names import another_word, company_name

NO_NAME, NO_CANDIDATE, BELOW, AMBIGUOUS = "no name", "no candidate", "below similarity", "ambiguous"
UNDATED, LATER_NAME, OTHER_FORM = "name not in force", "later name", "other legal form"
LESS_SIMILAR, OTHER_WORD = "less similar", "other word"

CASE = ("month", "core", "form", "offered")
"""What decides a match: the month, the name on the bond, and the month in which it was offered."""


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
    """Give the one spelling of names: columns name, core, form; a row for each distinct name of which any is left."""
    distinct = names.drop_nulls().unique().sort()
    spellings = [company_name(name) for name in distinct]
    columns = {
        "name": distinct,
        "core": [spelling.core for spelling in spellings],
        "form": [spelling.form for spelling in spellings],
    }
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).filter(pl.col("core") != "")


def alike(cores: Sequence[str], firm_cores: Sequence[str], settings: IssuerMatchSettings) -> pl.DataFrame:
    """Pair the names of issuers and of companies that are alike enough to be looked at.

    Parameters
    ----------
    cores, firm_cores : sequence of str
        Names in their one spelling, without legal forms.
    settings : IssuerMatchSettings
        Similarity and margin.

    Returns
    -------
    pl.DataFrame
        core, firm_core, similarity, other_word (whether a whole word differs); one row a pair, sorted by both. Names
        are compared as they stand and with their words sorted; the comparison in which no word differs counts, then the
        one in which they are more alike.
    """
    floor = settings.similarity - settings.margin
    parts = []
    for order in (str, sorted_words):
        ours, theirs = (
            pl.DataFrame({name: texts, key: [order(text) for text in texts]}, schema=[name, key])
            .cast(pl.String)
            .unique()
            for name, key, texts in (("core", "left", cores), ("firm_core", "right", firm_cores))
        )
        found = similar_texts(ours["left"].to_list(), theirs["right"].to_list(), floor)
        differs = [another_word(*pair) for pair in found.select("left", "right").iter_rows()]
        judged = found.with_columns(other_word=pl.Series(differs, dtype=pl.Boolean))
        parts.append(judged.join(ours, on="left").join(theirs, on="right"))
    best = pl.concat(parts).sort("core", "firm_core", "other_word", -pl.col("similarity"))
    single = best.unique(["core", "firm_core"], keep="first", maintain_order=True)
    return single.select("core", "firm_core", "similarity", "other_word")


def candidates(
    cases: pl.DataFrame, names: pl.DataFrame, pairs: pl.DataFrame, settings: IssuerMatchSettings
) -> pl.DataFrame:
    """Find the companies whose names are like that on a bond, and what speaks against each.

    Parameters
    ----------
    cases : pl.DataFrame
        case (an integer), month, core and form of the name, offered (month; null where unknown); one row a case.
    names : pl.DataFrame
        ``firm_names`` with firm_core and firm_form of the name, null where it is like no issuer's.
    pairs : pl.DataFrame
        As :func:`alike` returns them.
    settings : IssuerMatchSettings
        Similarity and margin.

    Returns
    -------
    pl.DataFrame
        case, month, permco, name (CRSP's, the most similar that counts), similarity, in_force (at the offering),
        chosen (the one before all others of the case; none where no name counts), rejection; one row a case and
        company, sorted by them. The company that the name decides for has no rejection.

    Notes
    -----
    Names in force at the offering count, and of companies that bore none then those borne later. One of the former
    that reaches ``similarity`` goes before all of the latter. Names are compared without their legal forms. The most
    similar one is ambiguous when another company's is less than ``margin`` below, unless

    * its own was in force at the offering, and the other one was not and is no more similar; or
    * it has the legal form that the bond states, and the other one has a different one; or
    * the other one differs by a whole word and is no more similar. Such a name is never taken.
    """
    found = _dated(cases, names, pairs, settings)
    counting = found.filter("dated").with_columns(
        claims=pl.col("in_force") & _at_least("similarity", settings.similarity)
    )
    best = counting.sort(
        "case", "other_word", "claims", "similarity", "in_force", "same_form", "permco",
        descending=[False, False, True, True, True, True, False],
    ).unique("case", keep="first", maintain_order=True)  # fmt: skip
    top = best.select("case", best="permco", top="similarity", top_in_force="in_force", top_same_form="same_form")
    beside = found.join(top, on="case", how="left").with_columns(
        chosen=(pl.col("dated") & (pl.col("permco") == pl.col("best"))).fill_null(False)
    )
    near = pl.col("similarity") > pl.col("top") - settings.margin + TOLERANCE
    later = pl.col("top_in_force") & ~pl.col("in_force") & (pl.col("similarity") <= pl.col("top") + TOLERANCE)
    other = pl.col("top_same_form") & pl.col("other_form") & (pl.col("similarity") <= pl.col("top") + TOLERANCE)
    word = pl.col("other_word") & (pl.col("similarity") <= pl.col("top") + TOLERANCE)
    rival = (pl.col("dated") & ~pl.col("chosen") & near & ~later & ~other & ~word).fill_null(False)
    judged = beside.with_columns(rival=rival).with_columns(contested=pl.col("rival").any().over("case"))
    rejections = {
        UNDATED: ~pl.col("dated"),
        BELOW: ~_at_least("similarity", settings.similarity),
        OTHER_WORD: pl.col("other_word") & ~pl.col("rival"),
        AMBIGUOUS: pl.col("contested") & (pl.col("rival") | pl.col("chosen")),
        LATER_NAME: ~pl.col("chosen") & near & later,
        OTHER_FORM: ~pl.col("chosen") & near & other,
        LESS_SIMILAR: ~pl.col("chosen"),
    }
    rejection = pl.coalesce(pl.when(holds).then(pl.lit(reason)) for reason, holds in rejections.items())
    columns = ("case", "month", "permco", "name", "similarity", "in_force", "chosen")
    return judged.select(*columns, rejection=rejection).sort("case", "permco")


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
    stated = (pl.col("form") != "") & (pl.col("firm_form") != "")
    rows = (
        cases.join(pairs, on="core")
        .join(known, on=["month", "firm_core"])
        .with_columns(
            in_force=in_force,
            same_form=stated & (pl.col("form") == pl.col("firm_form")),
            other_form=stated & (pl.col("form") != pl.col("firm_form")),
        )
    )
    # A company that bore another name at the offering is not meant by a name that it took later.
    then = rows.select("case", "month", "offered", "permco").unique()
    then = then.join(known.select("month", "permco", "first", "last"), on=["month", "permco"])
    listed = then.filter(in_force).select("case", "permco").unique().with_columns(listed=pl.lit(True))
    rows = rows.join(listed, on=["case", "permco"], how="left")
    later = pl.col("listed").is_null() & (pl.col("last") >= pl.col("offered")).fill_null(True)
    ordered = rows.with_columns(dated=pl.col("in_force") | later).sort(
        "case", "permco", "dated", "other_word", "in_force", "similarity", "same_form", "last", "name", "permno",
        descending=[False, False, True, False, True, True, True, True, False, False],
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
        case, permco and matched_name (null without a match), similarity (of the chosen candidate),
        runner_up_similarity (the highest of another company whose name counts; null without one), reason (null with a
        match); sorted by case.
    """
    counting = found.filter(pl.col("rejection").is_null() | (pl.col("rejection") != UNDATED))
    best, others = counting.filter("chosen"), counting.filter(~pl.col("chosen"))
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


def cases_of(issues: pl.DataFrame, spellings: pl.DataFrame) -> pl.DataFrame:
    """Add to issues what decides their match: core, form, offered and the number of the case.

    Parameters
    ----------
    issues : pl.DataFrame
        month, issuer_name, offering_date, dated_date (the offering counts, else the day from which interest runs).
    spellings : pl.DataFrame
        As :func:`spelled` returns them, of these names at least.

    Returns
    -------
    pl.DataFrame
        The rows with core and form (null without a name), offered (month), case (null without a name).
    """
    offered = pl.coalesce("offering_date", "dated_date").dt.month_start()
    rows = issues.join(spellings.rename({"name": "issuer_name"}), on="issuer_name", how="left").with_columns(
        offered=offered
    )
    numbered = rows.select(CASE).filter(pl.col("core").is_not_null()).unique().sort(CASE).with_row_index("case")
    return rows.join(numbered, on=list(CASE), how="left", nulls_equal=True)
