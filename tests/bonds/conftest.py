"""Two small made-up markets with every nuisance that the characteristics must survive: one in the layout of the index
extract, one whose bonds come from trades, FISD, Compustat and CRSP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pipeline.bonds.characteristics import bond_characteristics
from pipeline.bonds.common_columns import FUNDAMENTALS
from pipeline.bonds.issuer_accounts import issuer_accounts
from pipeline.bonds.returns import bond_returns
from pipeline.bonds.snapshot import snapshot_from_index, snapshot_from_trades
from pipeline.panel.calendar import month_range, shift

FIRST, LAST = date(2008, 1, 1), date(2015, 6, 1)
RATINGS = ["AAA", "AA2", "A1", "BBB1", "BBB3", "BB2", "B3", "CCC1", "CC", "C", "D", "NR", None]
SECTORS = ["Energy", "Banking", "Utility", "Retail"]
ISSUER_COLUMNS = [
    "pricetobook", "pricetoearnings", "debt", "ebitda", "ebit", "ebitmargin", "grossmargin", "ebitgrowth",
    "revenuegrowth", "leverageratio", "marketcap",
]  # fmt: skip


def _presence(rng: np.random.Generator, bonds: int, months: int) -> np.ndarray:
    """Bonds that are there throughout, enter, leave, and leave to come back."""
    there = np.ones((bonds, months), dtype=bool)
    for bond in range(bonds // 3, bonds):
        start, stop = sorted(rng.choice(months + 1, 2, replace=False))
        there[bond, :start] = there[bond, stop:] = False
    for bond in range(0, bonds, 4):
        gap = int(rng.integers(5, months - 10))
        there[bond, gap : gap + int(rng.integers(1, 9))] = False
    there[:4, -20:] = True
    return there


def _snapshot(rng: np.random.Generator, bonds: int, months: list[date], there: np.ndarray) -> pl.DataFrame:
    shape = there.shape
    walk = lambda scale: np.exp(np.cumsum(rng.normal(0, scale, shape), axis=1))  # noqa: E731
    columns = {
        "coupon": np.repeat(rng.uniform(2, 9, (bonds, 1)), shape[1], axis=1),
        "paramount": np.repeat(rng.uniform(1e5, 2e6, (bonds, 1)), shape[1], axis=1),
        "dur": rng.uniform(1, 15, shape),
        "oas_bom": 150 * walk(0.1),
        "price_bom": 100 * walk(0.02),
        "pd_drisk": rng.uniform(0.01, 2, shape),
        "stock_price": 40 * walk(0.08),
        **{name: rng.uniform(0.5, 3, shape) * walk(0.05) for name in ISSUER_COLUMNS},
    }
    for values in columns.values():
        values[rng.random(shape) < 0.04] = np.nan
    for name in ("pricetobook", "pricetoearnings", "ebitda", "revenuegrowth", "marketcap", "stock_price", "ebitmargin"):
        columns[name][rng.random(shape) < 0.03] = 0.0
    columns["pd_drisk"][rng.random(shape) < 0.05] = -0.99
    columns["pd_drisk"][rng.random(shape) < 0.03] = 0.0
    columns["oas_bom"][rng.random(shape) < 0.03] *= -1.0
    columns["oas_bom"][rng.random(shape) < 0.02] = 0.0
    columns["debt"][rng.random(shape) < 0.01] *= 1e4
    bond, row = np.nonzero(there)
    maturity = [date(2009 + 2 * (b % 15), 6, 15) for b in range(bonds)]
    sectors, ratings = rng.integers(0, len(SECTORS), shape), rng.integers(0, len(RATINGS), shape)
    sectors[:, :] = np.where(rng.random(shape) < 0.05, sectors, np.arange(bonds)[:, None] % len(SECTORS))
    return pl.DataFrame(
        {
            "month": [months[r] for r in row],
            "isin": [f"XS{b:010d}" for b in bond],
            "cusip": [f"{b:07d}X9" for b in bond],
            "maturity": [maturity[b] for b in bond],
            "rating": [RATINGS[ratings[b, r]] for b, r in zip(bond, row, strict=True)],
            "sector_level_3": [
                None if sectors[b, r] == 3 and r % 11 == 0 else SECTORS[sectors[b, r]]
                for b, r in zip(bond, row, strict=True)
            ],
            **{name: pl.Series(values[bond, row]).fill_nan(None) for name, values in columns.items()},
        }
    ).sort("month", "isin")


def _macro(rng: np.random.Generator, months: list[date]) -> dict[str, pl.DataFrame]:
    def series(**scales: float) -> pl.DataFrame:
        values = {name: rng.normal(0.0, scale, len(months)) for name, scale in scales.items()}
        return pl.DataFrame({"month": months, **values})

    factors = series(mkt_rf=0.04, smb=0.03, hml=0.03, rf=0.0, intermediary=0.05).with_columns(
        rf=pl.Series(rng.uniform(0.0, 0.004, len(months)))
    )
    forwards = {f"forward_spread_{n}": 0.2 * n for n in range(1, 11)}
    treasury = series(par_return_10y=0.02, par_return_20y=0.03, par_return_30y=0.04, term_spread_change=0.3, **forwards)
    vix = series(vix_innovation=4.0).with_columns(
        vix_innovation=pl.when(pl.int_range(pl.len()) >= 3).then(pl.col("vix_innovation"))
    )
    return {
        "french_factors": factors.with_columns(mkt=pl.col("mkt_rf") + pl.col("rf")),
        "treasury_curve": treasury.with_columns(
            par_return_30y=pl.when(pl.col("month") != date(2012, 9, 1)).then(pl.col("par_return_30y"))
        ),
        "vix_innovation": vix,
        "bond_market_factor": series(bond_market_factor=0.01),
    }


def made_up_market(seed: int = 0, bonds: int = 26) -> dict[str, pl.DataFrame]:
    """Return the staged frames and macro assets of a small market with gaps, entries, zeros and sentinels."""
    rng = np.random.default_rng(seed)
    months = month_range(FIRST, LAST)
    there = _presence(rng, bonds, len(months))
    snapshot = _snapshot(rng, bonds, months, there)
    macro = _macro(rng, months)
    market = macro["french_factors"]["mkt_rf"].to_numpy()
    earned = 100 * (rng.uniform(0, 0.5, (bonds, 1)) * market + rng.normal(0.003, 0.02, there.shape))
    earned[1] = 0.25
    earned[rng.random(there.shape) < 0.03] = np.nan
    bond, row = np.nonzero(there[:, :-1])
    index_returns = pl.DataFrame(
        {
            "month": [months[r + 1] for r in row],
            "isin": [f"XS{b:010d}" for b in bond],
            "return_pct": earned[bond, row + 1],
        }
    ).filter(pl.col("return_pct").is_not_nan())
    seen = snapshot.group_by("isin").agg(pl.col("month").min()).sort("isin")
    return {"index_snapshot": snapshot, "index_returns": index_returns.sort("month", "isin"), "seen": seen, **macro}


@pytest.fixture(scope="session")
def market() -> dict[str, pl.DataFrame]:
    """The market of the index extract with its snapshots and returns."""
    tables = made_up_market()
    months = month_range(FIRST, LAST)
    return {
        **tables,
        "bond_snapshot": snapshot_from_index(tables["index_snapshot"], months),
        "bond_returns": bond_returns(
            tables["index_returns"], tables["index_snapshot"], tables["french_factors"], months[1:]
        ),
    }


STOCKS = 9
ITEMS = ["at", "ceq", "cogs", "dlc", "dltt", "dp", "ebit", "ib", "oiadp", "sale"]
FISD_GROUPS = ["1", "2", "3"]


def _issues(rng: np.random.Generator, bond: np.ndarray, row: np.ndarray, months: list[date]) -> pl.DataFrame:
    """What FISD says of each bond-month: some without offering date, some not eligible."""
    bonds = bond.max() + 1
    offered = [FIRST - timedelta(days=int(d)) for d in rng.integers(40, 3000, bonds)]
    maturity = [date(2014 + 2 * (b % 9), 3, 31) for b in range(bonds)]
    coupon, amount = rng.uniform(0, 9, bonds), rng.uniform(1e5, 2e6, (bonds, 3))
    ratings = rng.integers(1, 23, (bonds, len(months), 2)).astype(float)
    ratings[rng.random(ratings.shape) < 0.2] = np.nan
    sp, moody = (pl.Series(ratings[bond, row, k]).fill_nan(None) for k in (0, 1))
    frame = pl.DataFrame(
        {
            "month": [months[r] for r in row],
            "cusip": [f"{b:06d}AB" for b in bond],
            "isin": [f"US{b:06d}AB00" for b in bond],
            "offering_date": [None if b % 7 == 3 else offered[b] for b in bond],
            "maturity": [maturity[b] for b in bond],
            "coupon": coupon[bond],
            "amount_outstanding": amount[bond, row // 40],
            "sp_rating": sp,
            "moody_rating": moody,
            "industry_group": [FISD_GROUPS[b % 3] for b in bond],
            "eligible": rng.random(len(bond)) < 0.95,
        }
    )
    return frame.with_columns(rating=pl.coalesce("sp_rating", "moody_rating")).sort("month", "cusip")


def _prices(rng: np.random.Generator, issues: pl.DataFrame) -> pl.DataFrame:
    """A month-end price of most bond-months."""
    count = issues.height
    frame = issues.select("month", "cusip").with_columns(
        price=pl.Series(100 * np.exp(rng.normal(0, 0.1, count))),
        accrued_month_end=pl.Series(rng.uniform(0, 3, count)),
        ytm=pl.Series(rng.uniform(0.5, 12, count)),
        duration=pl.Series(rng.uniform(0.5, 15, count)),
        spread=pl.Series(rng.normal(200, 150, count)),
    )
    blank = pl.Series(rng.random(count) < 0.03)
    frame = frame.with_columns(pl.when(~blank).then(pl.col(name)).alias(name) for name in ("ytm", "duration", "spread"))
    return frame.filter(pl.Series(rng.random(count) < 0.94))


def _links(rng: np.random.Generator, issues: pl.DataFrame, bonds: int) -> pl.DataFrame:
    """Stock and company of each bond: several bonds a firm, some unmatched or without accounts, one changing hands."""
    owner = {f"{b:06d}AB": int(rng.integers(0, STOCKS)) for b in range(bonds)}
    rows = []
    for month, cusip in issues.select("month", "cusip").iter_rows():
        firm = owner[cusip]
        if cusip == "000002AB" and month >= date(2013, 5, 1):
            firm = (firm + 1) % STOCKS
        matched = cusip not in ("000004AB", "000011AB") and rng.random() > 0.01
        permno, gvkey = (10000 + firm, f"{firm:06d}") if matched else (None, None)
        rows.append((month, cusip, permno, None if firm == 5 and month.year == 2013 else gvkey))
    schema = {"month": pl.Date, "cusip": pl.String, "permno": pl.Int64, "gvkey": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _stocks(rng: np.random.Generator, months: list[date]) -> pl.DataFrame:
    """Stocks with splits, missing prices, codes that change and codes that are unknown."""
    rows = []
    codes = [2050, 3711, 2821, 1311, 7372, 4813, 5411, 2834, 4911]
    for stock in range(STOCKS):
        prices = 40 * np.exp(np.cumsum(rng.normal(0, 0.08, len(months))))
        factor = np.where(np.arange(len(months)) < rng.integers(20, 70), 1.5, 1.0)
        for k, month in enumerate(months):
            price = None if rng.random() < 0.03 else float(prices[k] * factor[k])
            code = 6020 if stock == 1 and k > 70 else 0 if stock == 6 and k % 5 == 0 else codes[stock]
            me = None if price is None else price * 100.0
            rows.append((month, 10000 + stock, price, 0.0 if rng.random() < 0.02 else factor[k], me, code))
    columns = {"month": pl.Date, "permno": pl.Int64, "prc": pl.Float64, "cfacpr": pl.Float64, "me_permco": pl.Float64}
    return pl.DataFrame(rows, schema={**columns, "siccd": pl.Int64}, orient="row").sort("month", "permno")


def _annual(rng: np.random.Generator) -> pl.DataFrame:
    """Annual records by month of availability, with gaps, zeros, losses, and a change of fiscal year."""
    rows = []
    for firm in range(STOCKS):
        for year in range(2003, 2016):
            if rng.random() < 0.05:
                continue
            month = 6 if firm == 3 and year >= 2011 else 12
            dated = date(year, month, 30)
            items = dict(zip(ITEMS, rng.uniform(50, 500, len(ITEMS)), strict=True))
            for name in ITEMS:
                draw = rng.random()
                items[name] = None if draw < 0.03 else 0.0 if draw < 0.05 else items[name] * (-1 if draw > 0.95 else 1)
            available = shift(dated.replace(day=1), 4)
            rows.append({"month": available, "gvkey": f"{firm:06d}", "datadate": dated, "fyear": year, **items})
    numbers = dict.fromkeys(ITEMS, pl.Float64)
    schema = {"month": pl.Date, "gvkey": pl.String, "datadate": pl.Date, "fyear": pl.Int64, **numbers}
    return pl.DataFrame(rows, schema=schema).sort("month", "gvkey", "datadate")


def _firms(rng: np.random.Generator, months: list[date]) -> pl.DataFrame:
    """Firm characteristics of most stocks, and of others that issued no bond."""
    keys = pl.DataFrame({"month": months}).join(
        pl.DataFrame({"permno": [10000 + stock for stock in range(STOCKS + 3)]}), how="cross"
    )
    values = rng.normal(size=(keys.height, len(FUNDAMENTALS)))
    values[rng.random(values.shape) < 0.2] = np.nan
    frame = keys.hstack([pl.Series(name, values[:, k]).fill_nan(None) for k, name in enumerate(FUNDAMENTALS)])
    return frame.filter(pl.Series(rng.random(keys.height) < 0.9))


def made_up_trades(seed: int = 1, bonds: int = 36) -> dict[str, pl.DataFrame]:
    """Return the assets that a snapshot from trades reads, and the macro assets."""
    rng = np.random.default_rng(seed)
    months = month_range(FIRST, LAST)
    bond, row = np.nonzero(_presence(rng, bonds, len(months)))
    issues = _issues(rng, bond, row, months)
    returns = issues.select(pl.col("month").dt.offset_by("1mo"), "isin", sector="industry_group").with_columns(
        ret=pl.Series(rng.normal(0.004, 0.02, issues.height)),
        value_start=pl.Series(rng.uniform(1e5, 1e6, issues.height)),
    )
    return {
        "bond_issues": issues,
        "bond_prices": _prices(rng, issues),
        "bond_issuer_link": _links(rng, issues, bonds),
        "crsp_monthly": _stocks(rng, months),
        "compustat_annual": _annual(rng),
        "firm_characteristics": _firms(rng, months),
        "bond_returns": returns.with_columns(ret_excess=pl.col("ret") - 0.001).sort("month", "isin"),
        **_macro(rng, months),
    }


@pytest.fixture(scope="session")
def take_snapshot():
    """Make the snapshots of months from the assets of :func:`made_up_trades`."""

    def take(tables: Mapping[str, pl.DataFrame], months: list[date]) -> pl.DataFrame:
        accounts = issuer_accounts(
            tables["compustat_annual"], tables["crsp_monthly"], tables["bond_issuer_link"], months
        )
        return snapshot_from_trades(tables["bond_issues"], tables["bond_prices"], accounts, months)

    return take


@pytest.fixture(scope="session")
def traded(take_snapshot) -> dict[str, pl.DataFrame]:
    """The market of trades with its snapshots."""
    tables = made_up_trades()
    snapshot = take_snapshot(tables, month_range(FIRST, LAST))
    seen = snapshot.group_by("isin").agg(pl.col("month").min()).sort("isin")
    return {**tables, "bond_snapshot": snapshot, "seen": seen}


@pytest.fixture(scope="session")
def build():
    """Call ``bond_characteristics`` on a mapping of frames."""

    def call(tables: Mapping[str, pl.DataFrame], months: list[date], settings=None) -> pl.DataFrame:
        return bond_characteristics(
            tables["bond_snapshot"],
            tables["bond_returns"],
            tables["french_factors"],
            tables["treasury_curve"],
            tables["vix_innovation"],
            tables["bond_market_factor"],
            tables.get("firm_characteristics"),
            tables["seen"],
            months,
            settings,
        )

    return call
