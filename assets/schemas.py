"""What each monthly asset holds: columns, keys and ranges as dataframely schemas.

A frame that breaks its schema is not written. Belongs here: the contract of every partition on disk, from which the
data dictionary is generated. Does not: schemas of vendor tables (``pipeline.extracts``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import dataframely as dy
import polars as pl

from pipeline.bonds import issuer_link, issues, portfolio_characteristics, portfolios, prices, registry, snapshot
from pipeline.bonds import trace_daily as trace
from pipeline.equity import firm_names as names
from pipeline.equity.common import macro_columns
from pipeline.equity.registry import DAILY_NAMES, SETS
from pipeline.equity.registry import NAMES as FIRM_NAMES
from pipeline.evaluation import sdf_months
from pipeline.extracts.compustat import ANNUAL_CODES, ANNUAL_ITEMS, QUARTERLY_ITEMS
from pipeline.macro import cochrane_piazzesi as bond_factor
from pipeline.macro.french import MONTHLY_FACTORS
from pipeline.macro.goyal_welch import PREDICTORS
from pipeline.macro.published_factors import COUNTS_SCHEMA
from pipeline.macro.treasury import FORWARD_YEARS, PAR_BONDS, TREASURY_SERIES, ZERO_YEARS
from pipeline.models import linear_tables, tree_settings
from pipeline.sdf import tables
from resources.settings import Settings

SchemaOf = Callable[[Settings], type[dy.Schema]]


# A factor or bond can't lose more than everything.
_RETURN: dict[str, Any] = {"min": -1.0}
_GAIN: dict[str, Any] = {"min": 0.0, "max": 1.0}
_RANK: dict[str, Any] = {"min": -0.5, "max": 0.5, "nullable": False}
_SIMILARITIES = {name: {"min": 0.0, "max": 1.0} for name in ("similarity", "runner_up_similarity")}


def _month(**options: Any) -> dy.Date:
    return dy.Date(primary_key=True, **options)


def _value(**options: Any) -> dy.Float64:
    return dy.Float64(nullable=True, **options)


def _values(*names: str, **options: Any) -> dict[str, dy.Column]:
    return {name: _value(**options) for name in names}


def _ranks(names: Iterable[str]) -> dict[str, dy.Column]:
    return {f"{name}_r": dy.Float64(**_RANK) for name in names}


def _vector() -> dy.List:
    return dy.List(dy.Float64(), nullable=True)


def _fixed(name: str, columns: Mapping[str, dy.Column]) -> SchemaOf:
    schema = type(name, (dy.Schema,), dict(columns))
    return lambda settings: schema


_COLUMNS: dict[Any, type[dy.Column]] = {
    pl.Date(): dy.Date,
    pl.Time(): dy.Time,
    pl.String(): dy.String,
    pl.Boolean(): dy.Bool,
    pl.Int32(): dy.Int32,
    pl.Int64(): dy.Int64,
    pl.Float64(): dy.Float64,
}


def _of_types(name: str, types: Mapping[str, pl.DataType], key: Iterable[str], **ranges: Mapping[str, Any]) -> SchemaOf:
    """Make a schema of the columns that a function says its result has; all but the key may be missing."""
    keys = set(key)
    columns = {
        column: _COLUMNS[dtype](
            **{"primary_key": column in keys, "nullable": column not in keys, **ranges.get(column, {})}
        )
        for column, dtype in types.items()
    }
    return _fixed(name, columns)


french_factors = _fixed("FrenchFactors", {"month": _month(), **_values(*MONTHLY_FACTORS), "mkt": _value(**_RETURN)})
french_factors_daily = _fixed(
    "FrenchFactorsDaily",
    {"month": dy.Date(), "date": dy.Date(primary_key=True), **_values("mkt_rf", "smb", "hml", "rf")},
)
fred_md = _fixed(
    "FredMd",
    {
        "month": _month(),
        "series": dy.String(primary_key=True),
        "reference_month": dy.Date(),
        "tcode": dy.Int8(min=1, max=7),
        "value": dy.Float64(),
        "vintage": dy.String(regex=r"^\d{4}-\d{2}$"),
    },
)
goyal_welch = _fixed("GoyalWelch", {"month": _month(), **_values(*PREDICTORS), "source": dy.String(nullable=True)})
treasury_curve = _fixed(
    "TreasuryCurve",
    {
        "month": _month(),
        **_values(*(f"y_{tenor}" for tenor in TREASURY_SERIES)),
        **_values(*(f"dy_{tenor}" for tenor in TREASURY_SERIES)),
        **_values("term_spread_change", "term_spread"),
        **_values(*(f"par_return_{tenor}" for tenor in PAR_BONDS), **_RETURN),
        **_values(*(f"zero_{year}" for year in range(1, ZERO_YEARS + 1))),
        **_values(*(f"forward_spread_{year}" for year in range(1, FORWARD_YEARS + 1))),
    },
)
vix_innovation = _fixed(
    "VixInnovation",
    {
        "month": _month(),
        "vix": _value(min=0.0),
        **_values("vix_innovation", "intercept", "slope"),
        "n_obs": dy.Int32(nullable=True, min=0),
    },
)
bond_returns = _fixed(
    "BondReturns",
    {
        "month": _month(),
        "isin": dy.String(primary_key=True),
        "ret": dy.Float64(**_RETURN),
        "ret_excess": _value(),
        "sector": dy.String(nullable=True),
        "value_start": _value(min=0.0),
        "source": dy.String(),
    },
)
bond_universe = _fixed(
    "BondUniverse", {"month": _month(), "isin": dy.String(primary_key=True), "first_seen": dy.Date()}
)
bond_characteristics = _of_types(
    "BondCharacteristics",
    registry.schema(),
    ("month", "isin"),
    **dict.fromkeys(registry.ranked(registry.STANDARDISED), _RANK),
)
bond_training_panel = _fixed(
    "BondTrainingPanel",
    {
        "month": _month(),
        "isin": dy.String(primary_key=True),
        "ret_excess": dy.Float64(),
        **{f"present_{name}": dy.Float64(min=0.0, max=1.0) for name in registry.SETS},
        **_ranks(registry.STANDARDISED),
    },
)
trace_daily = _of_types(
    "TraceDaily",
    trace.SCHEMA,
    ("month", "cusip", "date"),
    **{f"price{which}": {"min_exclusive": 0.0} for which in ("", "_corrected")},
    **{f"volume{which}": {"min_exclusive": 0.0} for which in ("", "_corrected")},
    **{f"trades{which}": {"min": 1} for which in ("", "_corrected")},
)
_ORDINAL: dict[str, Any] = {"min": 1.0, "max": 22.0}
bond_issues = _of_types(
    "BondIssues",
    issues.SCHEMA,
    ("month", "cusip"),
    coupon={"min": 0.0},
    amount_outstanding={"min": 0.0},
    sp_rating=_ORDINAL,
    moody_rating=_ORDINAL,
    rating=_ORDINAL,
)
bond_prices = _of_types(
    "BondPrices", prices.SCHEMA, ("month", "cusip"), price={"min_exclusive": 0.0}, volume={"min": 0.0}
)
firm_names = _of_types("FirmNames", names.SCHEMA, ("month", "permno", "name"))
bond_issuer_link = _of_types("BondIssuerLink", issuer_link.LINK_SCHEMA, ("month", "cusip"), **_SIMILARITIES)
bond_issuer_candidates = _of_types(
    "BondIssuerCandidates", issuer_link.CANDIDATES_SCHEMA, ("month", "issuer_id", "permco"), **_SIMILARITIES
)
bond_portfolios = _of_types(
    "BondPortfolios", portfolios.SCHEMA, ("month", "portfolio"), ret=_RETURN, n={"min": 0}, value={"min": 0.0}
)
bond_portfolio_characteristics = _of_types(
    "BondPortfolioCharacteristics", portfolio_characteristics.SCHEMA, ("month", "portfolio")
)
bond_snapshot = _of_types(
    "BondSnapshot",
    snapshot.SCHEMA,
    ("month", "isin"),
    **dict.fromkeys(("rating", "sp_rating", "moody_rating"), _ORDINAL),
)
crsp_monthly = _fixed(
    "CrspMonthly",
    {
        "month": _month(),
        "permno": dy.Int64(primary_key=True),
        "permco": dy.Int64(nullable=True),
        "date": dy.Date(nullable=True),
        **_values("prc", min_exclusive=0.0),
        **_values("ret", "retx", "dlret", **_RETURN),
        "dlstcd": dy.Int64(nullable=True),
        "delreason": dy.String(nullable=True),
        "delisted": dy.Bool(),
        **_values("shrout", "volume", "me", "me_permco", min=0.0),
        **_values("cfacpr", "cfacshr"),
        "siccd": dy.Int64(nullable=True),
        "exchange": dy.String(nullable=True),
        "common": dy.Bool(),
        "in_universe": dy.Bool(),
        "ncusip": dy.String(nullable=True),
        "ticker": dy.String(nullable=True),
        "comnam": dy.String(nullable=True),
        "layout": dy.String(),
    },
)
crsp_daily = _fixed(
    "CrspDaily",
    {
        "month": dy.Date(),
        "permno": dy.Int64(primary_key=True),
        "date": dy.Date(primary_key=True),
        **_values("ret", **_RETURN),
        **_values("prc", min_exclusive=0.0),
        **_values("volume", "shrout", min=0.0),
        **_values("bid", "ask", "high", "low", "cfacpr"),
    },
)
stock_returns = _fixed(
    "StockReturns",
    {
        "month": _month(),
        "permno": dy.Int64(primary_key=True),
        **_values("ret", **_RETURN),
        "ret_excess": _value(),
        "me_start": _value(min=0.0),
    },
)
firm_links = _fixed(
    "FirmLinks",
    {
        "month": _month(),
        "permno": dy.Int64(primary_key=True),
        "permco": dy.Int64(nullable=True),
        "gvkey": dy.String(),
    },
)
compustat_annual = _fixed(
    "CompustatAnnual",
    {
        "month": dy.Date(),
        "gvkey": dy.String(primary_key=True),
        "datadate": dy.Date(primary_key=True),
        **{name: dy.Int64(nullable=True) for name in ANNUAL_CODES},
        **_values(*ANNUAL_ITEMS, "book_equity"),
    },
)
compustat_quarterly = _fixed(
    "CompustatQuarterly",
    {
        "month": dy.Date(),
        "gvkey": dy.String(primary_key=True),
        "datadate": dy.Date(primary_key=True),
        **{name: dy.Int64(nullable=True) for name in ("fyearq", "fqtr", "fyr")},
        "rdq": dy.Date(nullable=True),
        **_values(*QUARTERLY_ITEMS),
    },
)
stock_weekly_returns = _fixed(
    "StockWeeklyReturns",
    {
        "month": _month(),
        "permno": dy.Int64(primary_key=True),
        "week": dy.Date(primary_key=True),
        "gross_return": dy.Float64(min=0.0),
    },
)
compustat_history = _fixed(
    "CompustatHistory", {"month": _month(), "gvkey": dy.String(primary_key=True), "n_years": dy.Int64(min=1)}
)
stock_daily_characteristics = _fixed(
    "StockDailyCharacteristics",
    {"month": _month(), "permno": dy.Int64(primary_key=True), **_values(*DAILY_NAMES)},
)
firm_characteristics = _fixed(
    "FirmCharacteristics",
    {
        "month": _month(),
        "permno": dy.Int64(primary_key=True),
        **_values(*FIRM_NAMES, *(f"{name}_w" for name in FIRM_NAMES)),
        **_ranks(FIRM_NAMES),
    },
)
stock_training_panel = _fixed(
    "StockTrainingPanel",
    {
        "month": _month(),
        "permno": dy.Int64(primary_key=True),
        "ret_excess": dy.Float64(),
        **{f"present_{name}": dy.Float64(min=0.0, max=1.0) for name in SETS},
        **_ranks(FIRM_NAMES),
    },
)
common_factors = _fixed(
    "CommonFactors",
    {"month": _month(), **_values(*macro_columns()), **_values(*(f"mean_{name}" for name in FIRM_NAMES))},
)
managed_portfolios = _fixed(
    "ManagedPortfolios",
    {"month": _month(), "n": dy.Int64(min=0), "yy": dy.Float64(min=0.0), "x": _vector(), "w": _vector()},
)
ipca = _fixed(
    "Ipca",
    {
        "month": _month(),
        "status": dy.String(),
        "n_months": dy.Int64(min=0),
        "n_factors": dy.Int64(min=1),
        "iterations": dy.Int64(nullable=True, min=0),
        "converged": dy.Bool(nullable=True),
        **_values("loss", min=0.0),
        **_values("total_r2", "predictive_r2", max=1.0),
        "gamma": _vector(),
        "gamma_alpha": _vector(),
        "factors_mean": _vector(),
        "factor": _vector(),
        **_values("oos_sse_total", "oos_sse_predictive", "oos_sst", min=0.0),
        **_values("oos_total_r2", "oos_predictive_r2", max=1.0),
    },
)
forecasts = _fixed(
    "Forecasts",
    {
        "month": _month(),
        "target_month": dy.Date(),
        "model": dy.String(primary_key=True),
        "asset_id": dy.String(primary_key=True),
        "forecast": dy.Float64(),
    },
)

test_portfolios = _fixed(
    "TestPortfolios",
    {"month": _month(), "portfolio": dy.String(primary_key=True), "ret_excess": dy.Float64()},
)
factor_models = _fixed(
    "FactorModels",
    {
        "month": _month(),
        "model": dy.String(primary_key=True),
        "n_factors": dy.Int64(primary_key=True, min=0),
        "n_months": dy.Int64(min=1),
        "refitted": dy.Bool(),
        "iterations": dy.Int64(min=0),
        "converged": dy.Bool(),
        "loss": dy.Float64(min=0.0),
        **_values("total_r2", max=1.0),
        "n_parameters": dy.Int64(min=0),
        "n_loadings": dy.Int64(min=0),
        "factor": _vector(),
        "expected_factor": _vector(),
        "gamma": _vector(),
        "omega": _vector(),
        "ar": _vector(),
    },
)
_SDF = ("month", "objective", "environment")
sdf_search = _of_types(
    "SdfSearch", tables.SEARCH_SCHEMA, (*_SDF, "network", "configuration"), batch_size={"min": 1}, rate={"min": 0.0}
)
sdf_weights = _of_types("SdfWeights", tables.WEIGHTS_SCHEMA, (*_SDF, "asset_id"))
sdf_returns = _of_types("SdfReturns", sdf_months.SCHEMA, _SDF, n={"min": 1}, leverage={"min": 0.0})
trees = _of_types(
    "Trees",
    tree_settings.SEARCH_SCHEMA,
    ("month", "feature"),
    gain=_GAIN,
    rounds={"min": 0},
    validation_r2={"max": 1.0},
)
factor_forecasts = _fixed(
    "FactorForecasts",
    {
        "month": _month(),
        "target_month": dy.Date(),
        "model": dy.String(primary_key=True),
        "n_factors": dy.Int64(primary_key=True, min=0),
        "asset_id": dy.String(primary_key=True),
        "forecast": dy.Float64(),
    },
)
forecast_moments = _fixed(
    "ForecastMoments",
    {
        "month": _month(),
        **{
            name: column
            for side in ("a", "b")
            for name, column in (
                (f"model_{side}", dy.String(primary_key=True)),
                (f"n_factors_{side}", dy.Int64(primary_key=True, min=0)),
            )
        },
        "n": dy.Int64(min=0),
        **{name: dy.Float64() for name in ("yy", "ya", "yb", "aa", "ab", "bb")},
    },
)
direction_moments = _fixed(
    "DirectionMoments",
    {
        "month": _month(),
        "model": dy.String(primary_key=True),
        "n_factors": dy.Int64(primary_key=True, min=1),
        "n": dy.Int64(min=0),
        "log_loss": dy.Float64(min=0.0),
        "brier": dy.Float64(min=0.0),
        "hits": dy.Int64(min=0),
        "positives": dy.Int64(min=0),
    },
)

# The exponential of a logarithm, or a sum of shares, may exceed one by rounding.
_SHARE: dict[str, Any] = {"min": 0.0, "max": 1.0 + 1e-12}
_TESTED = dict.fromkeys(("p", "p_difference"), _SHARE)
macro_factor_counts = _of_types(
    "MacroFactorCounts", COUNTS_SCHEMA, ("month", "criterion", "penalty_scale", "most"), explained=_SHARE
)
bond_portfolio_linear_sdf = _of_types(
    "BondPortfolioLinearSdf", linear_tables.KERNELS_SCHEMA, ("month", "n_factors", "cp"), r2={"max": 1.0}, **_TESTED
)
bond_portfolio_predictive_regressions = _of_types(
    "BondPortfolioPredictiveRegressions",
    linear_tables.REGRESSIONS_SCHEMA,
    ("month", "factors", "specification", "portfolio", "predictor"),
    standard_error={"min": 0.0},
    p=_SHARE,
)
bond_portfolio_regimes = _of_types(
    "BondPortfolioRegimes", linear_tables.REGIMES_SCHEMA, ("month", "n_states", "state"), probability=_SHARE
)


def factor_instruments(settings: Settings) -> type[dy.Schema]:
    """One column an instrument of the settings."""
    columns = {"month": _month(), **_values(*settings.factor_instruments.names), "stand_in": dy.String(nullable=True)}
    return type("FactorInstruments", (dy.Schema,), columns)


def bond_market_factor(settings: Settings) -> type[dy.Schema]:
    """One slope a Treasury tenor of the settings."""
    slopes = _values(*(f"beta_{tenor}" for tenor in settings.bond_market_factor.tenors))
    columns = {
        "month": _month(),
        "lqd_return": _value(**_RETURN),
        "bond_market_factor": _value(),
        **slopes,
        "n_obs": dy.Int32(nullable=True, min=0),
    }
    return type("BondMarketFactor", (dy.Schema,), columns)


def cochrane_piazzesi(settings: Settings) -> type[dy.Schema]:
    """One slope a forward rate of the settings."""
    return _of_types("CochranePiazzesi", bond_factor.schema(settings.cochrane_piazzesi), ("month",))(settings)


def macro_factors(settings: Settings) -> type[dy.Schema]:
    """One column a factor of the settings."""
    factors = range(1, settings.macro_factors.n_factors + 1)
    columns = {
        "month": _month(),
        "reference_month": dy.Date(nullable=True),
        "vintage": dy.String(nullable=True),
        "n_series": dy.Int32(nullable=True, min=0),
        "n_months": dy.Int32(nullable=True, min=0),
        "n_bai_ng": dy.Int32(nullable=True, min=0),
        "iterations": dy.Int32(nullable=True, min=0),
        "converged": dy.Bool(nullable=True),
        "series": dy.String(nullable=True),
        "loadings": _vector(),
        **_values(*(f"pc_{factor}" for factor in factors)),
        **_values(*(f"explained_{factor}" for factor in factors), min=0.0, max=1.0),
    }
    return type("MacroFactors", (dy.Schema,), columns)
