"""Right answers to the traps in the simulated Compustat tables; no extract shows them and no panel may read them."""

import numpy as np
import polars as pl

from pipeline.simulation.compustat import Compustat, compustat
from pipeline.simulation.compustat_announcements import ASSUMED_LAG
from pipeline.simulation.compustat_variants import STANDARD
from pipeline.simulation.economy import Economy
from pipeline.simulation.listings import gvkey

KEYS = ("gvkey", "datadate", "fyr", *STANDARD)

ANNUAL_ITEMS = ("fyear", "pddur", "sich", "at", "ni", "invt", "seq", "ceq", "pstkrv", "pstkl")
"""Columns of an annual statement that tell which trap it is."""


def compustat_truth(economy: Economy) -> dict[str, pl.DataFrame]:
    """Collect the truth about the accounting tables.

    Parameters
    ----------
    economy : Economy
        The market as drawn.

    Returns
    -------
    dict of str to DataFrame
        compustat_annual : one row a usable annual statement (standard, in US dollars): gvkey, datadate, month (of
        datadate), fyear, pddur (months), book_equity (Fama and French's, millions, to three decimals; the economy's
        book equity of the month), equity_from (`seq`, `ceq + pstk` or `at - lt`, by what is published), preferred_from
        (`pstkrv`, `pstkl` or `pstk`), market_equity (the economy's, millions; null where no stock trades), and
        last_of_year: whether no later fiscal year ends in the same calendar year, so that this one counts for it.
        compustat_quarterly : one row a usable quarter: gvkey, datadate, fyr (of the row that counts where a quarter is
        there twice), known (first month in which it may be used), rdq_case.
        compustat_traps : trap, table, gvkey, datadate, fyr, indfmt, datafmt, popsrc, consol, right: one row a planted
        trap with its answer in words; codes are null where the trap is that there is no row.
    """
    known = compustat(economy)
    annual, quarterly = _annual(known), _quarterly(known)
    traps = [*_unused(known), *_annual_traps(known, annual), *_quarterly_traps(known, quarterly)]
    return {
        "compustat_annual": annual,
        "compustat_quarterly": quarterly.select("gvkey", "datadate", "fyr", "known", "rdq_case"),
        "compustat_traps": pl.concat(traps).sort("trap", "table", *KEYS),
    }


def _standard(rows: pl.DataFrame, currency: str, columns: tuple[str, ...] = ()) -> pl.DataFrame:
    """Rows that count, the standard ones in US dollars, with their keys and some columns."""
    rows = rows.select("firm", *KEYS, currency, *columns)
    return rows.filter(**STANDARD).filter(pl.col(currency) == "USD")


def _annual(known: Compustat) -> pl.DataFrame:
    """Usable annual statements."""
    economy, coverage = known.economy, known.coverage
    quarter, firm = known.annual_rows
    month = coverage.months[quarter]
    cap = np.where(coverage.listed[quarter, firm], economy.firms.marketcap[month, firm], np.nan)
    truth = pl.DataFrame(
        {
            "firm": firm,
            "datadate": pl.Series(coverage.dates[quarter]).cast(pl.Date),
            "book_equity": np.rint(1000 * economy.firms.book_equity[month, firm]) / 1000,
            "market_equity": pl.Series(cap).fill_nan(None),
        }
    )
    rows = _standard(known.annual[0], "curcd", ANNUAL_ITEMS).join(truth, on=["firm", "datadate"], maintain_order="left")
    later = pl.col("datadate").dt.year().shift(-1).over("gvkey")
    return rows.sort("gvkey", "datadate").select(
        "gvkey",
        "datadate",
        pl.col("datadate").dt.month_start().alias("month"),
        "fyear",
        "pddur",
        "book_equity",
        pl.when(pl.col("seq").is_not_null())
        .then(pl.lit("seq"))
        .when(pl.col("ceq").is_not_null())
        .then(pl.lit("ceq + pstk"))
        .otherwise(pl.lit("at - lt"))
        .alias("equity_from"),
        pl.when(pl.col("pstkrv").is_not_null())
        .then(pl.lit("pstkrv"))
        .when(pl.col("pstkl").is_not_null())
        .then(pl.lit("pstkl"))
        .otherwise(pl.lit("pstk"))
        .alias("preferred_from"),
        "market_equity",
        later.ne_missing(pl.col("datadate").dt.year()).alias("last_of_year"),
    )


def _quarterly(known: Compustat) -> pl.DataFrame:
    """Usable quarters of the table, one row each, with the keys of the row."""
    quarter, firm = known.quarterly_rows
    known_from = (known.economy.clock.months[0] + known.announcements.known).astype("datetime64[D]")
    truth = pl.DataFrame(
        {
            "firm": firm,
            "datadate": known.coverage.dates[quarter],
            "fyr": known.coverage.fyr[quarter, firm],
            "known": known_from,
            "rdq_case": known.announcements.case,
        }
    ).with_columns(pl.col("datadate", "known").cast(pl.Date))
    rows = _standard(known.quarterly[0], "curcdq")
    return rows.join(truth, on=["firm", "datadate", "fyr"]).sort("gvkey", "datadate")


def _planted(rows: pl.DataFrame, trap: str | pl.Expr, table: str, right: str | pl.Expr) -> pl.DataFrame:
    """Rows of the frame of traps."""
    name = pl.lit(trap) if isinstance(trap, str) else trap
    answer = pl.lit(right) if isinstance(right, str) else right
    return rows.select(name.alias("trap"), pl.lit(table).alias("table"), *KEYS, answer.alias("right"))


def _unused(known: Compustat) -> list[pl.DataFrame]:
    """Rows that a reader must leave out, of both tables."""
    frames = []
    for table, (rows, copies), currency in (
        ("comp.funda", known.annual, "curcd"),
        ("comp.fundq", known.quarterly, "curcdq"),
    ):
        foreign = rows.select(*KEYS, currency).filter(**STANDARD).filter(pl.col(currency) != "USD")
        frames += [
            _planted(copies, pl.col("trap"), table, "not used"),
            _planted(foreign, "foreign_currency", table, "not used"),
        ]
    return frames


def _annual_traps(known: Compustat, annual: pl.DataFrame) -> list[pl.DataFrame]:
    """Traps in annual statements that are used."""
    rows = _standard(known.annual[0], "curcd", ANNUAL_ITEMS).sort("gvkey", "datadate")
    rows = rows.join(annual.drop("fyear", "pddur"), on=["gvkey", "datadate"], maintain_order="left")
    rows = rows.with_columns(following=pl.col("datadate").shift(-1).over("gvkey"))
    code, fyear = pl.col("sich"), pl.col("fyear")
    changed = code.forward_fill().over("gvkey").shift(1).over("gvkey") != code
    chosen: dict[str, tuple[pl.Expr, str | pl.Expr]] = {
        "transition_year": (pl.col("pddur") < 12, pl.format("flows of {} months", "pddur")),
        "two_in_calendar_year": (~pl.col("last_of_year"), pl.format("{} counts for the year", "following")),
        "repeated_fyear": (fyear == fyear.shift(1).over("gvkey"), "a statement of its own, told apart by datadate"),
        "missing_seq": (pl.col("equity_from") != "seq", pl.col("equity_from")),
        "no_redemption_value": (pl.col("preferred_from") != "pstkrv", pl.col("preferred_from")),
        "negative_book_equity": (pl.col("book_equity") < 0, pl.col("book_equity").cast(pl.String)),
        "industry_change": (changed, pl.format("{} from this statement on", code)),
        "first_year": (pl.col("datadate") == pl.col("datadate").min().over("gvkey"), "nothing lagged"),
        "no_inventories": (pl.col("invt") == 0, "zero, not missing"),
        "no_assets": (pl.col("at").is_null(), "a statement without total assets"),
        "no_net_income": (pl.col("ni").is_null(), "a statement without net income"),
    }
    planted = [_planted(rows.filter(which), trap, "comp.funda", right) for trap, (which, right) in chosen.items()]
    return [*planted, _gaps(known, annual)]


def _gaps(known: Compustat, annual: pl.DataFrame) -> pl.DataFrame:
    """Fiscal years that end between a firm's first and last usable statement and have none."""
    coverage = known.coverage
    firm, quarter = np.nonzero(coverage.year_end.T)
    ends = pl.DataFrame(
        {
            "gvkey": [gvkey(f) for f in firm.tolist()],
            "datadate": pl.Series(coverage.dates[quarter]).cast(pl.Date),
            "fyr": coverage.fyr[quarter, firm],
        }
    )
    span = annual.group_by("gvkey").agg(first=pl.col("datadate").min(), last=pl.col("datadate").max())
    gaps = (
        ends.join(span, on="gvkey")
        .filter(pl.col("datadate").is_between("first", "last"))
        .join(annual, on=["gvkey", "datadate"], how="anti")
        .with_columns(pl.lit(None, pl.String).alias(name) for name in STANDARD)
    )
    return _planted(gaps, "missing_year", "comp.funda", "no statement")


def _quarterly_traps(known: Compustat, quarterly: pl.DataFrame) -> list[pl.DataFrame]:
    """Announcement dates that mislead, and quarters that are there twice."""
    odd = quarterly.filter(pl.col("rdq_case") != "on_time")
    answers = {
        "missing": f"datadate + {ASSUMED_LAG} months: {{}}",
        "before_quarter_end": f"datadate + {ASSUMED_LAG} months: {{}}",
        "late": "the month of rdq: {}",
    }
    month = pl.col("known").dt.strftime("%Y-%m")
    planted = [
        _planted(odd.filter(rdq_case=case), f"rdq_{case}", "comp.fundq", pl.format(answer, month))
        for case, answer in answers.items()
    ]
    twice = _standard(known.quarterly[0], "curcdq").join(quarterly, on=["gvkey", "datadate", "fyr"], how="anti")
    right = "the row with the larger fqtr counts, with the same items"
    return [*planted, _planted(twice, "old_calendar", "comp.fundq", right)]
