"""Bond assets, from trade reports or the index extract to characteristics and portfolios.

Functions of ``pipeline.bonds`` over declared windows. The settings say which of the two sources the panel is made of;
everything from ``bond_snapshot`` and ``bond_returns`` on is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial

import polars as pl

from assets import schemas
from assets.building import Counted, MonthlyAsset, Previous, Step
from assets.figures import missing
from assets.reads import Beginning, Inputs, Partitions, Read, Rows
from pipeline.bonds import issuer_accounts as accounts
from pipeline.bonds import issuer_link
from pipeline.bonds.characteristics import bond_characteristics
from pipeline.bonds.common_columns import FUNDAMENTALS
from pipeline.bonds.issues import bond_issues, issues_figures
from pipeline.bonds.month_end import PRIORITY, TRACE, recovery_lookback
from pipeline.bonds.portfolio_characteristics import CREDIT_TABLES, bond_portfolio_characteristics
from pipeline.bonds.portfolio_characteristics import lookback as portfolio_lookback
from pipeline.bonds.portfolios import SORTED_BY, VALUED_BY, bond_portfolios
from pipeline.bonds.portfolios import lookback as sort_lookback
from pipeline.bonds.prices import bond_prices, prices_figures
from pipeline.bonds.ratings import ratings_figures
from pipeline.bonds.registry import NAMES, lookback
from pipeline.bonds.returns import bond_returns
from pipeline.bonds.snapshot import snapshot_from_index, snapshot_from_trades
from pipeline.bonds.trace_daily import lookback as trace_lookback
from pipeline.bonds.trace_daily import trace_months
from pipeline.bonds.trade_returns import trade_returns, trade_returns_figures
from pipeline.bonds.universe import bonds_seen
from pipeline.equity.firm_names import firm_names
from resources.settings import Settings

GROUP = "bonds"
# The panel has more than three hundred columns.
_PANEL_CHUNK = 24
QUOTES = tuple(source for source in PRIORITY if source != TRACE)
_PRICES = "prices"


def _fisd(table: str, **options: bool) -> Rows:
    """Read what FISD has dated up to the month."""
    return Rows(source=f"fisd.fisd_{table}", lookback=None, sparse=True, **options)


def _quotes(lookback: int = 0) -> dict[str, Read]:
    """Month-end prices beside TRACE; the asset begins with the first source of prices that is on disk."""
    return {
        name: Rows(source=f"bonds.{name}", lookback=lookback, optional=True, sparse=True, spine=_PRICES)
        for name in QUOTES
    }


def _recovery(settings: Settings) -> Read:
    """Recovery prices of defaults that may lie some months back."""
    return Rows(source="bonds.recovery", lookback=recovery_lookback(settings.bond_prices), optional=True, sparse=True)


def _present(inputs: Inputs) -> dict[str, pl.DataFrame]:
    return {name: frame for name in QUOTES if (frame := inputs.get(name)) is not None}


def _trace_daily(inputs: Inputs, months: Sequence[date], settings: Settings) -> Counted:
    built = list(trace_months(inputs.lazy("reports"), inputs["issues"], months, settings.trace_daily))
    return Counted(pl.concat(each.daily for each in built), {each.month: each.figures for each in built})


def _bond_issues(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return bond_issues(
        inputs["issues"],
        inputs.get("issuers"),
        inputs.get("defaults"),
        inputs.get("ratings"),
        inputs.get("amounts"),
        months,
        settings.bond_issues,
    )


def _issues_figures(rows: pl.DataFrame, inputs: Inputs, month: date, settings: Settings) -> dict[str, object]:
    ratings = inputs.get("ratings")
    return issues_figures(rows) | ({} if ratings is None else ratings_figures(ratings, month))


def _bond_prices(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return bond_prices(
        inputs["bond_issues"],
        inputs["trace_daily"],
        _present(inputs),
        inputs.get("recovery"),
        inputs["treasury_curve"],
        months,
        settings.bond_prices,
    )


def _firm_names(inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    rows = inputs.at("crsp_monthly", month).select("month", "permno", "permco", "comnam").collect()
    return Step(firm_names(rows, month, previous.frame if previous else None))


def _issuers(
    function: Callable[..., pl.DataFrame], inputs: Inputs, months: Sequence[date], settings: Settings
) -> pl.DataFrame:
    return function(
        inputs["bond_issues"],
        inputs["firm_names"],
        inputs["crsp_monthly"],
        inputs["firm_links"],
        inputs["compustat_annual"],
        inputs.get("wrds_links"),
        months,
        settings.issuer_match,
    )


def _price_sources(settings: Settings) -> dict[str, Read]:
    """Where prices begin: FISD tells of issues decades before."""
    if not settings.bonds.trades:
        return {}
    sources = ("trace.trace_enhanced", *(f"bonds.{name}" for name in QUOTES))
    return {source: Beginning(source=source, optional=True, spine=_PRICES) for source in sources}


def _issuer_reads(settings: Settings) -> dict[str, Read]:
    back = {asset: months - 1 for asset, months in issuer_link.lookback(settings.issuer_match).items()}
    return {
        **{asset: Partitions(source=asset, lookback=back[asset]) for asset in back},
        "bond_issues": Partitions(source="bond_issues", spine=True),
        "crsp_monthly": Partitions(source="crsp_monthly", spine=True),
        "wrds_links": Rows(source="wrdsapps.bondcrsp_link", lookback=None, optional=True, sparse=True),
    }


def _bond_returns(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    if not settings.bonds.trades:
        return bond_returns(inputs["index_returns"], inputs["index_snapshot"], inputs["french_factors"], months)
    return trade_returns(
        inputs["bond_issues"],
        inputs["trace_daily"],
        _present(inputs),
        inputs.get("recovery"),
        inputs["french_factors"],
        months,
        settings.bond_prices,
    )


def _returns_reads(settings: Settings) -> dict[str, Read]:
    if not settings.bonds.trades:
        return {
            "index_returns": Rows(source="bonds.index_returns", spine=True),
            "index_snapshot": Rows(source="bonds.index_snapshot", lag=1),
            "french_factors": Partitions(source="french_factors"),
        }
    return {
        "bond_issues": Partitions(source="bond_issues", lookback=1, spine=True),
        "trace_daily": Partitions(source="trace_daily", lookback=1, spine=_PRICES),
        **_quotes(lookback=1),
        "recovery": _recovery(settings),
        "french_factors": Partitions(source="french_factors"),
    }


def _returns_figures(rows: pl.DataFrame, inputs: Inputs, month: date, settings: Settings) -> dict[str, object]:
    return trade_returns_figures(rows, inputs["bond_issues"], month) if settings.bonds.trades else {}


def _bond_snapshot(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    if not settings.bonds.trades:
        return snapshot_from_index(inputs["index_snapshot"], months)
    link = inputs.get("bond_issuer_link")
    issuers = (
        None
        if link is None
        else accounts.issuer_accounts(inputs["compustat_annual"], inputs["crsp_monthly"], link, months)
    )
    return snapshot_from_trades(inputs["bond_issues"], inputs["bond_prices"], issuers, months)


def _snapshot_reads(settings: Settings) -> dict[str, Read]:
    if not settings.bonds.trades:
        return {"index_snapshot": Rows(source="bonds.index_snapshot", spine=True)}
    return {
        "bond_issues": Partitions(source="bond_issues", spine=True),
        "bond_prices": Partitions(source="bond_prices", spine=True),
        **{
            asset: Partitions(source=asset, lookback=months - 1, optional=True)
            for asset, months in accounts.lookback().items()
        },
    }


def _bond_universe(inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    present = inputs.at("bond_snapshot", month).select("month", "isin").collect()
    return Step(bonds_seen(present, month, previous.frame if previous else None))


def _bond_characteristics(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    universe = inputs.lazy("bond_universe").filter(pl.col("month") == months[-1])
    firms = inputs.scanned("firm_characteristics") if settings.bonds.trades else None
    return bond_characteristics(
        inputs["bond_snapshot"],
        inputs["bond_returns"],
        inputs["french_factors"],
        inputs["treasury_curve"],
        inputs["vix_innovation"],
        inputs["bond_market_factor"],
        None if firms is None else firms.select("month", "permno", *FUNDAMENTALS).collect(),
        universe.select("isin", pl.col("first_seen").alias("month")).collect(),
        months,
        settings.bond_characteristics,
    )


def _characteristics_reads(settings: Settings) -> dict[str, Read]:
    back = {table: months - 1 for table, months in lookback(settings.bond_characteristics).items()}
    # The index extract has its issuers' figures itself and knows no stocks.
    optional = ["firm_characteristics"] if settings.bonds.trades else []
    return {
        "bond_universe": Partitions(source="bond_universe"),
        "bond_snapshot": Partitions(source="bond_snapshot", lookback=back["bond_snapshot"], spine=True),
        **{
            asset: Partitions(source=asset, lookback=back[asset])
            for asset in ("bond_returns", "french_factors", "treasury_curve", "vix_innovation", "bond_market_factor")
        },
        **{asset: Partitions(source=asset, lookback=back[asset], optional=True) for asset in optional},
    }


def _bond_portfolios(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    characteristics = inputs.lazy("bond_characteristics").select("month", "isin", *SORTED_BY, *VALUED_BY).collect()
    return bond_portfolios(characteristics, inputs["bond_returns"], months, settings.bond_portfolios)


def _sort_reads(settings: Settings) -> dict[str, Read]:
    # Of the month before, bonds' values count; what they are sorted by begins before the gap.
    sorts = settings.bond_portfolios
    oldest = sort_lookback(sorts)["bond_characteristics"] - 1
    return {
        "bond_characteristics": Partitions(
            source="bond_characteristics", lookback=oldest - 1, lag=1, history=sorts.gap + 1, spine=True
        ),
        "bond_returns": Partitions(source="bond_returns"),
    }


def _bond_portfolio_characteristics(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return bond_portfolio_characteristics(
        inputs["bond_portfolios"],
        inputs["treasury_curve"],
        inputs["french_factors"],
        {table: frame for table in CREDIT_TABLES if (frame := inputs.get(table)) is not None},
        months,
        settings.bond_portfolio_characteristics,
    )


def _portfolio_reads(settings: Settings) -> dict[str, Read]:
    back = {table: months - 1 for table, months in portfolio_lookback(settings.bond_portfolio_characteristics).items()}
    return {
        "bond_portfolios": Partitions(source="bond_portfolios", lookback=back["bond_portfolios"], spine=True),
        **{asset: Partitions(source=asset, lookback=back[asset]) for asset in ("treasury_curve", "french_factors")},
        **{table: Rows(source=table, lookback=back[table], optional=True) for table in CREDIT_TABLES},
    }


ASSETS = (
    MonthlyAsset(
        name="trace_daily",
        group=GROUP,
        code_version="2",
        description=(
            "Volume-weighted daily prices from cleaned trade reports, as known at the end of the day's own month and, "
            "beside it, as corrected by what was reported since."
        ),
        schema=schemas.trace_daily,
        reads=lambda settings: {
            "reports": Rows(
                source="trace.trace_enhanced",
                lookback=trace_lookback(settings.trace_daily)["trace_enhanced"] - 1,
                spine=True,
            ),
            "issues": _fisd("mergedissue"),
        },
        compute=_trace_daily,
        settings=("trace_daily",),
        chunk_months=_PANEL_CHUNK,
    ),
    MonthlyAsset(
        name="bond_issues",
        group=GROUP,
        code_version="2",
        description=(
            "Terms, amount outstanding, ratings and default of every issue outstanding in the month, as known at its "
            "end, and whether it belongs to the universe."
        ),
        schema=schemas.bond_issues,
        reads=lambda settings: {
            **_price_sources(settings),
            "issues": _fisd("mergedissue", spine=True),
            "issuers": _fisd("mergedissuer", optional=True),
            "defaults": _fisd("issue_default", optional=True),
            "ratings": _fisd("ratings", optional=True),
            "amounts": _fisd("amt_out_hist", optional=True),
        },
        compute=_bond_issues,
        figures=_issues_figures,
        settings=("bond_issues",),
    ),
    MonthlyAsset(
        name="bond_prices",
        group=GROUP,
        code_version="2",
        description=(
            "Price at the end of the month from the first source that has one, what accrued on it, and what follows: "
            "yield, duration, convexity, spread over the zero curve."
        ),
        schema=schemas.bond_prices,
        reads=lambda settings: {
            "bond_issues": Partitions(source="bond_issues", spine=True),
            "trace_daily": Partitions(source="trace_daily", spine=_PRICES),
            **_quotes(),
            "recovery": _recovery(settings),
            "treasury_curve": Partitions(source="treasury_curve"),
        },
        compute=_bond_prices,
        figures=lambda rows, inputs, month, settings: prices_figures(rows, inputs["bond_issues"], month),
        settings=("bond_prices",),
    ),
    MonthlyAsset(
        name="firm_names",
        group=GROUP,
        description="Every name under which CRSP has known a security up to the month, and since when.",
        schema=schemas.firm_names,
        reads=lambda settings: {"crsp_monthly": Partitions(source="crsp_monthly")},
        compute=_firm_names,
        recursive=True,
    ),
    MonthlyAsset(
        name="bond_issuer_link",
        group=GROUP,
        code_version="2",
        description="The stock and the accounts of every bond's issuer at the end of the month, or why there are none.",
        schema=schemas.bond_issuer_link,
        reads=_issuer_reads,
        compute=partial(_issuers, issuer_link.bond_issuer_link),
        figures=lambda rows, inputs, month, settings: issuer_link.issuer_link_figures(
            rows, inputs["bond_issues"], month
        ),
        settings=("issuer_match",),
    ),
    MonthlyAsset(
        name="bond_issuer_candidates",
        group=GROUP,
        code_version="2",
        description="Every company that was considered as a bond's issuer, how alike the names are, and the verdict.",
        schema=schemas.bond_issuer_candidates,
        reads=_issuer_reads,
        compute=partial(_issuers, issuer_link.bond_issuer_candidates),
        settings=("issuer_match",),
    ),
    MonthlyAsset(
        name="bond_returns",
        group=GROUP,
        code_version="2",
        description=(
            "What every bond earned in the month, total and above the bill rate, with its sector and value at the "
            "start of the month, and where its prices come from. Decimals; never winsorised."
        ),
        schema=schemas.bond_returns,
        reads=_returns_reads,
        compute=_bond_returns,
        figures=_returns_figures,
        settings=("bonds", "bond_prices"),
    ),
    MonthlyAsset(
        name="bond_snapshot",
        group=GROUP,
        code_version="2",
        description=(
            "The bonds of the panel as known at the end of the month, whichever source they come from: price, yield, "
            "terms, ratings, and their issuer's accounts and equity."
        ),
        schema=schemas.bond_snapshot,
        reads=_snapshot_reads,
        compute=_bond_snapshot,
        settings=("bonds",),
    ),
    MonthlyAsset(
        name="bond_universe",
        group=GROUP,
        description="Every bond seen up to the month and the month in which it was first seen.",
        schema=schemas.bond_universe,
        reads=lambda settings: {"bond_snapshot": Partitions(source="bond_snapshot")},
        compute=_bond_universe,
        recursive=True,
    ),
    MonthlyAsset(
        name="bond_characteristics",
        group=GROUP,
        description=(
            "The characteristics of every bond of the month as known at its end: raw, winsorised and ranked within the "
            "month. What each is stands in the data dictionary."
        ),
        schema=schemas.bond_characteristics,
        reads=_characteristics_reads,
        compute=_bond_characteristics,
        figures=missing(NAMES),
        settings=("bonds", "bond_characteristics"),
        chunk_months=_PANEL_CHUNK,
    ),
    MonthlyAsset(
        name="bond_portfolios",
        group=GROUP,
        code_version="2",
        description=(
            "Value-weighted returns of 40 portfolios of bonds, sorted on what was known of them in the year that ended "
            "two months before."
        ),
        schema=schemas.bond_portfolios,
        reads=_sort_reads,
        compute=_bond_portfolios,
        settings=("bond_portfolios",),
    ),
    MonthlyAsset(
        name="bond_portfolio_characteristics",
        group=GROUP,
        description="What is known of each bond portfolio at the end of the month from its own past returns.",
        schema=schemas.bond_portfolio_characteristics,
        reads=_portfolio_reads,
        compute=_bond_portfolio_characteristics,
        settings=("bond_portfolio_characteristics",),
    ),
)
