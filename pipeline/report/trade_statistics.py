"""The numbers behind the page of bonds from trades: filters, coverage, composition, spreads, issuers.

Panels come lazily, and of each a few columns are read. Belongs here: what is counted. Does not: portfolios
(``portfolio_statistics``), comparisons with the truth (``trade_truth``), anything drawn (``charts_trades``,
``tables_trades``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from pipeline.bonds.issuer_link import REASONS, REJECTIONS
from pipeline.bonds.trace_filters import RULES
from pipeline.report import firm_statistics
from pipeline.report.data import Figures

TRACE = "trace_daily"
#: Figures of ``trace_daily`` that count what was reported late and what was mended, in words.
EVENTS: Mapping[str, str] = {
    "late_reports": "Reports about earlier months",
    "days_changed": "Earlier days that they changed",
    "decimal_shifts": "Decimal shifts mended",
}
ELIGIBLE, PRICED, EARNED = "eligible", "with a price", "with a return"
COVERAGE = (ELIGIBLE, PRICED, EARNED)

#: Class of ratings -> ordinal of its worst one, 1 being AAA.
RATING_CLASSES: Mapping[str, int] = {"AAA to AA": 4, "A": 7, "BBB": 10, "BB": 13, "B": 16, "CCC and below": 22}
UNRATED = "unrated"
#: Years to maturity -> those at which the bucket ends, which is not in it.
MATURITIES: Mapping[str, float] = {
    "under 3 years": 3, "3 to 5": 5, "5 to 7": 7, "7 to 10": 10, "10 to 20": 20, "20 and more": float("inf"),
}  # fmt: skip
NO_MATURITY = "maturity unknown"
#: Bonds without which a class of ratings has no median.
FEWEST = 5
_YEAR = 365.25
#: Ways in which a bond's issuer was found, in words.
METHODS: Mapping[str, str] = {"wrds": "matched by the link of WRDS", "name": "matched by name"}


def eras(regime: date) -> tuple[str, str]:
    """Return the words for the months before the present reporting regime, and for those since its first month."""
    return f"before {regime:%B %Y}", f"since {regime:%B %Y}"


def cleaning(figures: Figures, regime: date) -> pl.DataFrame:
    """Add up the filters of the trade reports over the months of each reporting regime.

    Parameters
    ----------
    figures : mapping
        Month -> figures of ``trace_daily``, among them ``waterfall``.
    regime : datetime.date
        First report date of the present regime, whose month counts as one of it.

    Returns
    -------
    pl.DataFrame
        era (one of :func:`eras`), place (of the step, from 0), step, drops (in words), source, rows_in, rows_out,
        share (dropped reports over all reports of the era; null without any); by era and place.
    """
    before, since = eras(regime)
    words = {rule.name: (rule.drops, rule.source) for rule in RULES}
    known = pl.col("step").is_in(list(words))
    steps = firm_statistics.waterfalls({TRACE: figures})
    era = pl.when(pl.col("month") < regime.replace(day=1)).then(pl.lit(before)).otherwise(pl.lit(since))
    summed = (
        steps.group_by(era.alias("era"), "place", "step", maintain_order=True)
        .agg(pl.col("rows_in", "rows_out").sum())
        .with_columns(all=pl.col("rows_in").filter(pl.col("place") == 0).sum().over("era"))
    )
    explained = [
        pl.when(known)
        .then(pl.col("step").replace_strict({name: text[k] for name, text in words.items()}, default=None))
        .alias(column)
        for k, column in enumerate(("drops", "source"))
    ]
    share = pl.when(pl.col("all") > 0).then((pl.col("rows_in") - pl.col("rows_out")) / pl.col("all"))
    return summed.sort("era", "place").select(
        "era", "place", "step", *explained, "rows_in", "rows_out", share=share
    )  # fmt: skip


def cleaning_by_era(steps: pl.DataFrame, regime: date) -> pl.DataFrame:
    """Put what each step drops in the two regimes side by side.

    Returns
    -------
    pl.DataFrame
        place, step, drops, source, then of each regime (``old_`` and ``new_``) in, dropped, share: reports that go into
        the step, that it drops, and these over all reports of the regime.
    """
    table = steps.select("place", "step", "drops", "source").unique("place", keep="first").sort("place")
    for prefix, era in zip(("old", "new"), eras(regime), strict=True):
        own = steps.filter(pl.col("era") == era).select(
            "place",
            pl.col("rows_in").alias(f"{prefix}_in"),
            (pl.col("rows_in") - pl.col("rows_out")).alias(f"{prefix}_dropped"),
            pl.col("share").alias(f"{prefix}_share"),
        )
        table = table.join(own, on="place", how="left", maintain_order="left")
    return table


def reports_by_month(figures: Figures) -> pl.DataFrame:
    """Return what went into the cleaning of each month and what came out.

    Returns
    -------
    pl.DataFrame
        month, reports, trades, and the columns of :data:`EVENTS`; sorted.
    """
    rows = [
        (month, steps[0]["rows_in"], steps[-1]["rows_out"], *(months[name] for name in EVENTS))
        for month, months in sorted(figures.items())
        if (steps := months.get("waterfall"))
    ]
    schema = {"month": pl.Date, **dict.fromkeys(("reports", "trades", *EVENTS), pl.Int64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def coverage(snapshot: pl.LazyFrame | None, returns: pl.LazyFrame | None, issues: Figures) -> pl.DataFrame:
    """Count bonds and the amounts that they stand for.

    Parameters
    ----------
    snapshot : pl.LazyFrame or None
        ``bond_snapshot``: month, isin, face_value (thousands).
    returns : pl.LazyFrame or None
        ``bond_returns``: month, isin.
    issues : mapping
        Month -> figures of ``bond_issues``; empty where the panel is not made of trades.

    Returns
    -------
    pl.DataFrame
        month, kind (one of :data:`COVERAGE`), bonds, amount (billions of dollars of face; of a return what was
        outstanding at its start; a bond without an amount counts as nothing); by kind in their order and month, from
        the first month with a price or a return on.
    """
    parts = []
    if snapshot is not None:
        parts.append(_held(snapshot.select("month", "face_value"), PRICED))
    if returns is not None:
        held = returns.select("month", "isin")
        if snapshot is not None:
            before = snapshot.select(pl.col("month").dt.offset_by("1mo"), "isin", "face_value")
            held = held.join(before, on=["month", "isin"], how="left")
        else:
            held = held.with_columns(face_value=pl.lit(None, dtype=pl.Float64))
        parts.append(_held(held, EARNED))
    counted = pl.concat(parts)
    rows = [
        (month, ELIGIBLE, steps[-1]["rows_out"], (months["eligible_amount"] or 0.0) * 1e-6)
        for month, months in issues.items()
        if (steps := months.get("waterfall"))
    ]
    universe = pl.DataFrame(rows, schema=counted.schema, orient="row")
    universe = universe.filter(pl.col("month") >= counted["month"].min())
    order = pl.col("kind").replace_strict({name: place for place, name in enumerate(COVERAGE)})
    return pl.concat([universe, counted]).sort(order, "month")


def _held(bonds: pl.LazyFrame, kind: str) -> pl.DataFrame:
    amounts = bonds.group_by("month").agg(
        bonds=pl.len().cast(pl.Int64), amount=pl.col("face_value").sort().sum() * 1e-6
    )
    return amounts.select("month", pl.lit(kind).alias("kind"), "bonds", "amount").collect()


def priced_by_source(figures: Figures, order: Sequence[str]) -> pl.DataFrame:
    """Return where the universe's prices are from.

    Parameters
    ----------
    figures : mapping
        Month -> figures of ``bond_prices``, among them ``sources``.
    order : sequence of str
        Sources in the order of the result.

    Returns
    -------
    pl.DataFrame
        month, name (of the source), bonds; every month has every source that ever occurs.
    """
    rows = [
        (month, name, bonds) for month, months in figures.items() for name, bonds in months.get("sources", {}).items()
    ]
    return _dense(pl.DataFrame(rows, schema=_SOURCES, orient="row"), order)


def returns_by_source(returns: pl.LazyFrame, order: Sequence[str]) -> pl.DataFrame:
    """Return where returns are from: month, name (of the source), bonds; as :func:`priced_by_source`."""
    counted = returns.group_by("month", name="source").agg(bonds=pl.len().cast(pl.Int64)).collect()
    return _dense(counted, order)


_SOURCES = {"month": pl.Date, "name": pl.String, "bonds": pl.Int64}


def _dense(counted: pl.DataFrame, order: Sequence[str], value: str = "bonds") -> pl.DataFrame:
    """Give every month every name that has a value in any, in the order of the names, which an area needs."""
    present = set(counted.filter(pl.col(value) > 0)["name"])
    names = [name for name in order if name in present]
    grid = pl.DataFrame({"name": names}, schema={"name": pl.String}).join(
        counted.select("month").unique().sort("month"), how="cross"
    )
    filled = grid.join(counted, on=["month", "name"], how="left", maintain_order="left")
    return filled.select("month", "name", pl.col(value).fill_null(0))


def rating_class() -> pl.Expr:
    """Class of the column ``rating``, one of :data:`RATING_CLASSES` or :data:`UNRATED`."""
    return _bucket(pl.col("rating"), RATING_CLASSES, closed=True).fill_null(UNRATED)


def maturity_bucket() -> pl.Expr:
    """Bucket of the column ``maturity`` seen from the end of ``month``, one of :data:`MATURITIES`."""
    days = (pl.col("maturity") - pl.col("month").dt.month_end()).dt.total_days()
    return _bucket(days / _YEAR, MATURITIES, closed=False).fill_null(NO_MATURITY)


def _bucket(value: pl.Expr, ends: Mapping[str, float], *, closed: bool) -> pl.Expr:
    """Name of the first bucket that ends above the value, or at it where buckets hold their end; null of nothing."""
    below = {name: value <= end if closed else value < end for name, end in ends.items()}
    return pl.coalesce([pl.when(inside).then(pl.lit(name)) for name, inside in below.items()])


def composition(snapshot: pl.LazyFrame, bucket: pl.Expr, order: Sequence[str]) -> pl.DataFrame:
    """Return what the panel is made of, by amount outstanding.

    Parameters
    ----------
    snapshot : pl.LazyFrame
        ``bond_snapshot``: month, face_value and what ``bucket`` reads.
    bucket : pl.Expr
        :func:`rating_class` or :func:`maturity_bucket`.
    order : sequence of str
        Buckets in the order of the result.

    Returns
    -------
    pl.DataFrame
        month, name, share (of the month's amount; a bond without one counts as nothing); every month with an amount has
        every bucket that ever occurs.
    """
    amounts = (
        snapshot.select("month", bucket.alias("name"), amount=pl.col("face_value").fill_null(0.0))
        .group_by("month", "name")
        .agg(pl.col("amount").sort().sum())
        .collect()
        .sort("month", "name")
        .with_columns(total=pl.col("amount").sum().over("month"))
        .filter(pl.col("total") > 0)
    )
    return _dense(amounts.select("month", "name", share=pl.col("amount") / pl.col("total")), order, "share")


def spread_by_rating(snapshot: pl.LazyFrame) -> pl.DataFrame:
    """Return the median spread of every class of ratings.

    Parameters
    ----------
    snapshot : pl.LazyFrame
        ``bond_snapshot``: month, rating, spread (basis points; null is missing).

    Returns
    -------
    pl.DataFrame
        month, name, spread (null with fewer than :data:`FEWEST` bonds); sorted by name and month.
    """
    return (
        snapshot.filter(pl.col("spread").is_not_null())
        .group_by("month", rating_class().alias("name"))
        .agg(spread=pl.when(pl.len() >= FEWEST).then(pl.col("spread").median()))
        .sort("name", "month")
        .collect()
    )


def match_shares(figures: Figures, universe: str = "eligible") -> pl.DataFrame:
    """Return how much of the bonds of a universe belongs to a company.

    Parameters
    ----------
    figures : mapping
        Month -> figures of ``bond_issuer_link``.
    universe : str, optional
        ``eligible`` or ``all``.

    Returns
    -------
    pl.DataFrame
        month, name (issuers, bonds, amount outstanding), n, matched, share (null of nothing); by name and month.
    """
    rows = [
        (month, name.replace("_", " "), counts["n"], counts["matched"], counts["share"])
        for month, months in figures.items()
        for name, counts in months.get(universe, {}).items()
    ]
    schema = {"month": pl.Date, "name": pl.String, **dict.fromkeys(("n", "matched", "share"), pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("name", "month")


def match_outcomes(figures: Figures) -> pl.DataFrame:
    """Count how bonds were matched and why others were not.

    Parameters
    ----------
    figures : mapping
        Month -> figures of ``bond_issuer_link``, among them ``methods`` and ``reasons``: bonds by each.

    Returns
    -------
    pl.DataFrame
        outcome, meaning, newest (bonds of the newest month), newest_share, all (bond-months), all_share; ways of
        matching first, reasons in the order in which they are tried.
    """
    told = {month: months for month, months in figures.items() if "reasons" in months}
    if not told:
        return pl.DataFrame(schema=_OUTCOMES)
    newest = told[max(told)]
    rows = [
        (outcome, meaning, newest[group].get(name, 0), sum(months[group].get(name, 0) for months in told.values()))
        for group, names in (("methods", METHODS), ("reasons", REASONS))
        for name, outcome, meaning in (
            (name, words, "") if group == "methods" else (name, name, words) for name, words in names.items()
        )
    ]
    counted = pl.DataFrame(rows, schema=["outcome", "meaning", "newest", "all"], orient="row")
    shares = (
        pl.when(pl.col(name).sum() > 0).then(pl.col(name) / pl.col(name).sum()).alias(f"{name}_share")
        for name in ("newest", "all")
    )
    return counted.with_columns(shares).select(*_OUTCOMES).cast(_OUTCOMES)  # type: ignore[arg-type]


_OUTCOMES = {
    "outcome": pl.String(), "meaning": pl.String(), "newest": pl.Int64(), "newest_share": pl.Float64(),
    "all": pl.Int64(), "all_share": pl.Float64(),
}  # fmt: skip


def nearest_rejected(candidates: pl.LazyFrame, threshold: float, most: int = 20) -> pl.DataFrame:
    """Return the companies that nearly were, or nearly were not, an issuer by name.

    Parameters
    ----------
    candidates : pl.LazyFrame
        ``bond_issuer_candidates``.
    threshold : float
        Similarity that a match needs.
    most : int, optional
        How many.

    Returns
    -------
    pl.DataFrame
        issuer_name, name (of the company), similarity, in_force, rejection, meaning (of it), month (the newest of
        the three together), n_bonds (then); the nearest to the threshold first.
    """
    case = ["issuer_name", "name", "rejection"]
    columns = ("month", "issuer_name", "name", "similarity", "in_force", "rejection", "n_bonds")
    return (
        candidates.filter(~pl.col("accepted"), pl.col("similarity").is_not_null())
        .select(columns)
        .sort("month", "n_bonds")
        .unique(case, keep="last", maintain_order=True)
        .with_columns(
            distance=(pl.col("similarity") - threshold).abs(),
            meaning=pl.col("rejection").replace_strict(REJECTIONS, default=None, return_dtype=pl.String),
        )
        .sort("distance", *case, nulls_last=True)
        .head(most)
        .select("issuer_name", "name", "similarity", "in_force", "rejection", "meaning", "month", "n_bonds")
        .collect()
    )
