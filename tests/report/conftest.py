"""Made-up frames with the schemas of the assets: bonds whose returns follow two known factors, and stocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from factor_model_frames import SERIES, factor_model_report
from sdf_report_frames import sdf_report

from pipeline.bonds.issuer_link import issuer_link_figures
from pipeline.bonds.portfolios import BOND_SORTS
from pipeline.bonds.portfolios import SCHEMA as PORTFOLIO_SCHEMA
from pipeline.bonds.registry import NAMES, RANKED
from pipeline.bonds.trace_filters import RULES
from pipeline.equity.registry import NAMES as FIRM_NAMES
from pipeline.equity.registry import SETS, ranked
from pipeline.equity.returns import stock_returns
from pipeline.equity.training import stock_training_panel
from pipeline.macro.french import MONTHLY_FACTORS
from pipeline.macro.goyal_welch import PREDICTORS
from pipeline.macro.treasury import PAR_BONDS, TREASURY_SERIES
from pipeline.models.ipca_recursion import IPCASettings, forecasts, ipca_month
from pipeline.models.managed_portfolios import SufficientStatistics, managed_portfolios
from pipeline.panel.calendar import month_range
from pipeline.panel.cross_section import rank_transform, winsorise
from pipeline.report.data import ReportData
from pipeline.report.numbers_firms import FILTERED

FIRST, LAST = date(2015, 1, 1), date(2019, 12, 1)
MONTHS = month_range(FIRST, LAST)
BONDS = 40
TRUE_GAMMA = {"coupon": (2.0, 0.0), "spread": (0.0, 2.0), "duration": (1.0, -1.0), "constant": (0.5, 0.2)}
MALICIOUS = '"><script>alert("sector")</script>'


def _series(columns: list[str], generator: np.random.Generator, scale: float = 0.02) -> pl.DataFrame:
    return pl.DataFrame({"month": MONTHS, **{name: generator.normal(0.003, scale, len(MONTHS)) for name in columns}})


def _characteristics(generator: np.random.Generator) -> pl.DataFrame:
    rows = len(MONTHS) * BONDS
    keys = pl.DataFrame(
        {
            "month": np.repeat(np.array(MONTHS, dtype="datetime64[D]"), BONDS),
            "isin": [f"XS{i:010d}" for i in range(BONDS)] * len(MONTHS),
        }
    )
    values = {}
    for place, name in enumerate(NAMES):
        value = generator.standard_t(3, rows) * 10.0 ** (place % 5)
        value[generator.random(rows) < 0.02 * place] = np.nan
        values[name] = value
    frame = keys.with_columns(pl.Series(name, value).fill_nan(None) for name, value in values.items())
    return rank_transform(winsorise(frame, NAMES), NAMES).sort("month", "isin")


def _returns(characteristics: pl.DataFrame, factors: np.ndarray, generator: np.random.Generator) -> pl.DataFrame:
    beta = np.array(TRUE_GAMMA["constant"]) + sum(
        np.outer(characteristics[f"{name}_r"].to_numpy(), gamma)
        for name, gamma in TRUE_GAMMA.items()
        if name != "constant"
    )
    later = characteristics.select(pl.col("month").dt.offset_by("1mo"), "isin")
    place = ((later["month"].dt.year() - FIRST.year) * 12 + later["month"].dt.month() - 1).to_numpy()
    known = place < len(MONTHS)
    excess = np.einsum("ij,ij->i", beta[known], factors[place[known]]) + generator.normal(0, 0.01, known.sum())
    sector = pl.Series("sector", ["Energy", MALICIOUS, None, "Banking"] * BONDS)
    return later.filter(pl.Series(known)).with_columns(
        ret=pl.Series(excess) + 0.001,
        ret_excess=pl.Series(excess),
        sector=sector.gather(np.arange(known.sum()) % len(sector)),
        value_start=pl.lit(1000.0),
        source=pl.lit("index"),
    )


def _recursion(portfolios: pl.DataFrame, characteristics: pl.DataFrame, settings: IPCASettings) -> list[pl.DataFrame]:
    statistics = SufficientStatistics.from_frame(portfolios, RANKED)
    state, rows, made = None, [], []
    for month in statistics.months:
        frame, state = ipca_month(statistics.through(month), state, settings)
        rows.append(frame)
        made.append(forecasts(state, characteristics, month, model="bond_ipca"))
    return [pl.concat(rows), pl.concat(made)]


def _macro(generator: np.random.Generator) -> dict[str, pl.DataFrame]:
    tenors = list(TREASURY_SERIES)
    walk = np.cumsum(generator.normal(0, 0.1, (len(MONTHS), 1)), axis=0)
    curve = pl.DataFrame(
        {"month": MONTHS, **{f"y_{tenor}": 3 + walk[:, 0] + 0.1 * place for place, tenor in enumerate(tenors)}}
    ).with_columns(term_spread=pl.col("y_10y") - pl.col("y_1m"))
    curve = curve.join(_series([f"par_return_{t}" for t in PAR_BONDS], generator), on="month")
    curve = curve.join(_series([f"forward_spread_{y}" for y in range(1, 11)], generator), on="month")
    components = _series([f"pc_{k}" for k in range(1, 9)] + [f"explained_{k}" for k in range(1, 9)], generator)
    return {
        "french_factors": _series([*MONTHLY_FACTORS, "mkt"], generator).with_columns(
            hml_devil=pl.lit(None, dtype=pl.Float64)
        ),
        "macro_factors": components.with_columns(n_series=pl.lit(100), n_bai_ng=pl.lit(4), vintage=pl.lit("2020-01")),
        "goyal_welch": _series(list(PREDICTORS), generator).with_columns(source=pl.lit("dp:crsp bm:file")),
        "treasury_curve": curve,
        "vix_innovation": _series(["vix", "vix_innovation"], generator, 5.0),
        "bond_market_factor": _series(["lqd_return", "bond_market_factor", "beta_1m", "beta_10y"], generator),
    }


@pytest.fixture(scope="session")
def full() -> ReportData:
    """Return a report of bonds with every frame."""
    generator = np.random.default_rng(3)
    characteristics = _characteristics(generator)
    factors = generator.normal(0.004, (0.02, 0.01), (len(MONTHS), 2))
    returns = _returns(characteristics, factors, generator)
    ranked = characteristics.select(pl.col("month").dt.offset_by("1mo"), "isin", *RANKED)
    training = returns.select("month", "isin", "ret_excess").join(ranked, on=["month", "isin"])
    portfolios = managed_portfolios(training, RANKED, MONTHS[1:])
    plain = _recursion(portfolios, characteristics, IPCASettings(n_factors=2, min_months=36))
    intercept = _recursion(portfolios, characteristics, IPCASettings(n_factors=2, min_months=36, intercept=True))
    names = ("factor_1", "factor_2")
    true_gamma = dict(zip(names, np.array(list(TRUE_GAMMA.values())).T, strict=True))
    return ReportData(
        market="a market <of tests>",
        sources={"bonds.index_constituents": "constituents <one>.parquet"},
        settings={"bond_ipca": {"n_factors": 2, "window": {"months": 60, "least": (1, 2)}}},
        frames={
            "bond_returns": returns,
            "bond_characteristics": characteristics,
            "bond_training_panel": training,
            "bond_managed_portfolios": portfolios,
            "bond_ipca": plain[0],
            "bond_ipca_intercept": intercept[0],
            "bond_ipca_forecasts": plain[1],
            "bond_ipca_intercept_forecasts": intercept[1],
            "truth.gamma": pl.DataFrame({"characteristic": list(TRUE_GAMMA), **true_gamma}),
            "truth.factors": pl.DataFrame({"month": MONTHS, **dict(zip(names, factors.T, strict=True))}),
            "truth.summary": pl.DataFrame({"statistic": ["total_r2"], "value": [0.8]}),
            "truth.total_r2": pl.DataFrame({"month": MONTHS[1:], "total_r2": [0.8] * (len(MONTHS) - 1)}),
            **_macro(generator),
        },
    )


def less(data: ReportData, *names: str, **changes: object) -> ReportData:
    """Return a report less the frames, figures and states that are named, with other fields changed."""
    kept = {
        field: {name: value for name, value in getattr(data, field).items() if name not in names}
        for field in ("frames", "figures", "states")
    }
    return replace(data, **(kept | changes))


@pytest.fixture
def without(full: ReportData) -> Callable[..., ReportData]:
    """Return the full report of bonds less the frames that are named."""
    return lambda *names, **changes: less(full, *names, **changes)


@pytest.fixture
def firms_without(firms: ReportData) -> Callable[..., ReportData]:
    """Return the full report of firms less the frames and figures that are named."""
    return lambda *names, **changes: less(firms, *names, **changes)


FIRM_MONTHS = month_range(date(2016, 5, 1), date(2019, 8, 1))
STOCKS = 60


def _securities(generator: np.random.Generator) -> pl.DataFrame:
    """Rows of ``crsp_monthly``: stocks come and go, some outside the universe, some delisted."""
    rows = []
    for permno in range(10_000, 10_000 + STOCKS):
        first = int(generator.integers(0, 6))
        last = int(generator.integers(len(FIRM_MONTHS) - 12, len(FIRM_MONTHS) + 12))
        me = float(np.exp(generator.normal(6, 1.5)))
        for place in range(first, min(last, len(FIRM_MONTHS) - 1) + 1):
            ret = None if generator.random() < 0.03 else float(np.clip(generator.normal(0.01, 0.1), -0.9, 0.9))
            me *= 1 + (ret or 0.0)
            gone = place == last
            dlret = -0.2 if gone and permno % 2 else None
            exchange = ("N", "Q", "N", "A", "Q")[permno % 5]
            rows.append(
                (FIRM_MONTHS[place], permno, ret, me, exchange, gone, dlret, 500 if gone else None, permno % 9 > 0)
            )
    frame = pl.DataFrame(
        rows,
        schema=["month", "permno", "ret", "me", "exchange", "delisted", "dlret", "dlstcd", "in_universe"],
        orient="row",
        infer_schema_length=None,
        schema_overrides={"dlret": pl.Float64, "dlstcd": pl.Int64},
    )  # fmt: skip
    return frame.with_columns(
        layout=pl.lit("siz"), prc=pl.col("me") * 0.01, retx=pl.col("ret"), me_permco=pl.col("me"), volume=pl.col("me")
    ).sort("month", "permno")


def _firm_characteristics(securities: pl.DataFrame, generator: np.random.Generator) -> pl.DataFrame:
    """Characteristics of different persistence and coverage; one is an indicator, one is never there."""
    keys = securities.filter("in_universe").select("month", "permno")
    shocks = generator.normal(size=(len(FIRM_MONTHS), STOCKS, len(FIRM_NAMES)))
    slowness = np.linspace(0.0, 0.99, len(FIRM_NAMES))
    for place in range(1, len(FIRM_MONTHS)):
        shocks[place] = slowness * shocks[place - 1] + np.sqrt(1 - slowness**2) * shocks[place]
    month = keys["month"].replace_strict({m: k for k, m in enumerate(FIRM_MONTHS)}, return_dtype=pl.Int64).to_numpy()
    values = shocks[month, keys["permno"].to_numpy() - 10_000]
    values[generator.random(values.shape) < np.linspace(0, 0.5, len(FIRM_NAMES))] = np.nan
    columns = dict(zip(FIRM_NAMES, values.T, strict=True))
    columns["beme"] = np.exp(columns["beme"])
    columns["gkx_convind"] = (columns["gkx_convind"] > 0.8).astype(float)
    columns["gkx_sin"] = np.full(len(values), np.nan)
    frame = keys.with_columns(pl.Series(name, value).fill_nan(None) for name, value in columns.items())
    return rank_transform(winsorise(frame, FIRM_NAMES), FIRM_NAMES).sort("month", "permno")


def _firm_figures(securities: pl.DataFrame) -> dict[str, dict[date, dict[str, object]]]:
    figures: dict[str, dict[date, dict[str, object]]] = {name: {} for name in FILTERED}
    for place, month in enumerate(FIRM_MONTHS):
        for name in FILTERED:
            steps = [
                {"step": f"a step of {name}", "rows_in": 20 + place, "rows_out": 10 + place},
                {"step": MALICIOUS, "rows_in": 10 + place, "rows_out": 10},
            ]
            figures[name][month] = {"rows": 10, "waterfall": steps}
        figures["stock_returns"][month] |= {
            "delisted": 3, "delisting_return_reported": 1, "delisting_return_filled": place % 2,
            "delisting_return_missing": 1,
        }  # fmt: skip
    return figures


def _firm_models(training: pl.DataFrame, characteristics: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Three models with one factor, estimated in the last months alone."""
    settings = IPCASettings(n_factors=1, min_months=len(FIRM_MONTHS) - 8, max_iterations=20, starts=1)
    frames = {}
    for set_name, names in SETS.items():
        instruments = ranked(names)
        portfolios = managed_portfolios(training, instruments, FIRM_MONTHS[1:], key="permno")
        statistics = SufficientStatistics.from_frame(portfolios, instruments)
        state, rows, made = None, [], []
        for month in statistics.months:
            frame, state = ipca_month(statistics.through(month), state, settings)
            rows.append(frame)
            made.append(forecasts(state, characteristics, month, model=f"stock_ipca_{set_name}", key="permno"))
        frames |= {
            f"stock_managed_portfolios_{set_name}": portfolios,
            f"stock_ipca_{set_name}": pl.concat(rows),
            f"stock_ipca_{set_name}_forecasts": pl.concat(made),
        }
    return frames


@pytest.fixture(scope="session")
def firms() -> ReportData:
    """Return a report of the firm panel with every frame."""
    generator = np.random.default_rng(5)
    securities = _securities(generator)
    characteristics = _firm_characteristics(securities, generator)
    rates = pl.DataFrame({"month": FIRM_MONTHS, "rf": [0.001] * len(FIRM_MONTHS)})
    returns = stock_returns(securities, rates, FIRM_MONTHS)
    training = stock_training_panel(characteristics, returns, FIRM_NAMES, SETS, FIRM_MONTHS[1:])
    true_returns = returns.select(
        "month", "permno", "ret", "me_start", ret_osap="ret", universe_start=pl.lit(value=True)
    )
    planted = true_returns.head(6).select(
        pl.lit("coded_return").alias("trap"), "permno", "month", pl.lit("ret").alias("column"), value="ret"
    )
    return ReportData(
        market="a market <of tests>",
        sources={"crsp.msf": "monthly <one>.parquet"},
        settings={"stock_returns": {"delisting": "shumway30"}},
        figures=_firm_figures(securities),
        frames={
            "crsp_monthly": securities,
            "stock_returns": returns,
            "firm_characteristics": characteristics,
            "firm_links": securities.filter(pl.col("permno") % 4 > 0).select("month", "permno"),
            "french_factors": pl.DataFrame(
                {"month": FIRM_MONTHS, **{name: generator.normal(0.01, 0.04, 40) for name in ("mkt", "smb", "hml")}}
            ),
            "crsp.msi": pl.DataFrame({"month": FIRM_MONTHS, "vwretd": generator.normal(0.01, 0.04, 40)}),
            "truth.stock_returns": true_returns,
            "truth.stock_traps": planted,
            **_firm_models(training, characteristics),
        },
    )


TRADE_MONTHS = month_range(date(2011, 11, 1), date(2014, 4, 1))
ISSUES = 24
REGIME_MONTH = date(2012, 2, 1)


def _terms(generator: np.random.Generator) -> pl.DataFrame:
    """Bonds with what does not change."""
    return pl.DataFrame(
        {
            "cusip": [f"{k:06d}AA" for k in range(ISSUES)],
            "isin": [f"US{k:06d}AA{k % 10}{k % 7}" for k in range(ISSUES)],
            "issuer_id": [100 + k // 2 for k in range(ISSUES)],
            "face_value": generator.integers(1, 9, ISSUES) * 1e5,
            "rating": [None if k == 5 else float(1 + k % 22) for k in range(ISSUES)],
            "maturity": [date(2015 + k, 1 + k % 12, 15) for k in range(ISSUES)],
        }
    )


def _bond_days(terms: pl.DataFrame, generator: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Days with trades, the truth about them, and a day on which a cancelled trade was kept."""
    keys = terms.select("cusip").join(
        pl.DataFrame({"date": [month.replace(day=day) for month in TRADE_MONTHS for day in (3, 17)]}), how="cross"
    )
    clean = keys.with_columns(
        price=pl.Series(generator.normal(100, 5, keys.height)),
        volume=pl.Series(generator.integers(1, 50, keys.height) * 1e4),
        trades=pl.lit(2, pl.Int64),
    )
    values = ["price", "volume", "trades"]
    wrong = (pl.col("cusip") == "000003AA") & (pl.col("date") == date(2013, 5, 3))
    own = clean.with_columns(
        pl.col("date").dt.month_start().alias("month"), trades=pl.when(wrong).then(3).otherwise("trades")
    )
    daily = own.with_columns(pl.col(name).alias(f"{name}_corrected") for name in values)
    days = clean.with_columns(pl.col(name).alias(f"{name}_finally") for name in values)
    month = pl.col("date").dt.month_start()
    trades = keys.with_columns(
        screened=pl.when(pl.col("date").dt.day() == 3).then(pl.lit("volume")),
        report_month=month,
        event_month=pl.lit(None, dtype=pl.Date),
    )
    planted = keys.filter(month == date(2013, 5, 1)).select(
        pl.lit("cancelled").alias("kind"), "cusip", "date", pl.lit("removed").alias("outcome")
    )
    return {
        "trace_daily": daily.sort("month", "cusip", "date"),
        "truth.bond_days": days,
        "truth.trace_trades": trades,
        "truth.trace_planted": planted,
    }


def _bond_months(terms: pl.DataFrame, generator: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Snapshot, returns and true returns; every third bond has no price in every fourth month."""
    keys = pl.DataFrame({"month": TRADE_MONTHS}).join(terms, how="cross").with_row_index("row")
    size = keys.height
    snapshot = keys.with_columns(
        spread=pl.Series(np.abs(generator.normal(300, 200, size))),
        ytm=pl.Series(generator.normal(5, 1, size)),
        duration=pl.Series(generator.uniform(1, 12, size)),
    ).filter(pl.col("row") % 12 > 0)
    true = keys.select("month", "cusip", "isin", ret=pl.Series(generator.normal(0.004, 0.02, size)))
    held = snapshot.select(pl.col("month").dt.offset_by("1mo"), "isin", value_start="face_value")
    returns = true.join(held, on=["month", "isin"]).select(
        "month",
        "isin",
        pl.col("ret") + 0.001,
        ret_excess=pl.col("ret"),
        source=pl.when(pl.col("month") < date(2012, 6, 1)).then(pl.lit("lehman")).otherwise(pl.lit("trace")),
    )
    portfolios = [
        (month, name, sort.name, place + 1, *generator.normal(0.004, 0.02, 2), 5, 1e6)
        for month in TRADE_MONTHS
        for sort in BOND_SORTS
        for place, name in enumerate(sort.portfolios)
    ]
    return {
        "bond_snapshot": snapshot.drop("row").sort("month", "isin"),
        "bond_returns": returns.sort("month", "isin"),
        "bond_portfolios": pl.DataFrame(portfolios, schema=PORTFOLIO_SCHEMA, orient="row"),
        "truth.bond_month_prices": true.drop("isin"),
    }


def _issuers(terms: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Links and candidates: every fourth issuer is private, every eighth ambiguous, one wrongly matched."""
    place = pl.col("issuer_id") % 8
    named = terms.select("cusip", "issuer_id", "face_value").with_columns(
        issuer_name=pl.when(place == 1).then(pl.lit(MALICIOUS)).otherwise(pl.format("ISSUER {}", "issuer_id")),
        reason=pl.when(place % 4 == 0)
        .then(pl.lit("no candidate"))
        .when(place == 1)
        .then(pl.lit("ambiguous")),
    )  # fmt: skip
    matched = pl.col("reason").is_null()
    linked = named.with_columns(
        method=pl.lit("name"),
        permco=pl.when(matched).then(pl.col("issuer_id") + 900 + (pl.col("cusip") == "000005AA").cast(pl.Int64)),
        similarity=pl.when(matched).then(1.0),
    )
    months = pl.DataFrame({"month": TRADE_MONTHS})
    truth = named.select(
        "cusip",
        permco=pl.col("issuer_id") + 900,
        kind=pl.when(place % 4 == 0).then(pl.lit("private")).when(place == 1).then(pl.lit("ambiguous")).otherwise(
            pl.lit("same")
        ),
        matchable=place % 4 != 0,
        delisted=pl.lit(None, dtype=pl.Date),
    )  # fmt: skip
    rejected = named.filter(place == 1).select(
        "issuer_id", "issuer_name", name=pl.lit("ISSUER & CO"), similarity=pl.lit(0.93), in_force=pl.lit(value=True),
        accepted=pl.lit(value=False), rejection=pl.lit("ambiguous"), n_bonds=pl.lit(2),
    )  # fmt: skip
    return {
        "bond_issuer_link": months.join(linked, how="cross"),
        "bond_issuer_candidates": months.join(rejected, how="cross"),
        "truth.bond_issuers": truth,
    }


def _trade_figures(frames: dict[str, pl.DataFrame], terms: pl.DataFrame) -> dict[str, dict[date, dict[str, object]]]:
    figures: dict[str, dict[date, dict[str, object]]] = {}
    issues = pl.DataFrame({"month": TRADE_MONTHS}).join(
        terms.select("cusip", eligible=pl.lit(value=True), amount_outstanding="face_value"), how="cross"
    )
    amount = float(terms["face_value"].sum())
    for month in TRADE_MONTHS:
        early = month < REGIME_MONTH
        rules = [
            {"step": rule.name, "rows_in": 1000 - 10 * k - early, "rows_out": 990 - 10 * k - early}
            for k, rule in enumerate(RULES)
        ]
        priced = frames["bond_snapshot"].filter(month=month).height
        universe = [{"step": MALICIOUS, "rows_in": ISSUES + 3, "rows_out": ISSUES}]
        narrowed = [{"step": "a price at the month end", "rows_in": ISSUES, "rows_out": priced}]
        of_month: dict[str, dict[str, object]] = {
            "trace_daily": {"waterfall": rules, "decimal_shifts": 2, "late_reports": 3, "days_changed": 1},
            "bond_issues": {"waterfall": universe, "eligible_amount": amount},
            "bond_prices": {"waterfall": narrowed, "sources": {"lehman": 0, "trace": priced, "recovery": 0}},
            "bond_returns": {"waterfall": narrowed},
            "bond_issuer_link": issuer_link_figures(frames["bond_issuer_link"], issues, month),
        }
        for name, told in of_month.items():
            figures.setdefault(name, {})[month] = {"rows": 1, **told}
    # Issues are outstanding before there are prices; the page does not speak of these months.
    figures["bond_issues"] = {date(1990, 1, 1): figures["bond_issues"][TRADE_MONTHS[0]], **figures["bond_issues"]}
    return figures


@pytest.fixture(scope="session")
def trades() -> ReportData:
    """Return a report of bonds from trades with every frame."""
    generator = np.random.default_rng(11)
    terms = _terms(generator)
    frames = {**_bond_days(terms, generator), **_bond_months(terms, generator), **_issuers(terms)}
    return ReportData(
        market="a market <of tests>",
        sources={"trace.trace_enhanced": "monthly <one>.parquet"},
        settings={"issuer_match": {"similarity": 0.9}},
        figures=_trade_figures(frames, terms),
        frames=frames,
    )


@pytest.fixture
def trades_without(trades: ReportData) -> Callable[..., ReportData]:
    """Return the full report of bonds from trades less the frames and figures that are named."""
    return lambda *names, **changes: less(trades, *names, **changes)


@pytest.fixture(scope="session")
def factor_models(full: ReportData, firms: ReportData) -> ReportData:
    """Return a report of factor models with every frame: of bonds, of stocks, of bonds as if they were portfolios."""
    series = _series(list(SERIES), np.random.default_rng(17), 0.04)
    return factor_model_report(full, firms, series, stand_in=MALICIOUS)


@pytest.fixture
def factor_models_without(factor_models: ReportData) -> Callable[..., ReportData]:
    """Return the full report of factor models less the frames that are named."""
    return lambda *names, **changes: less(factor_models, *names, **changes)


@pytest.fixture(scope="session")
def sdf() -> ReportData:
    """Return a report of stochastic discount factors with every frame."""
    return sdf_report(named=MALICIOUS)
