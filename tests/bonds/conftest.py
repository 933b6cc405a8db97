"""A small made-up market in the staged layout, with every nuisance that the characteristics must survive."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl
import pytest

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

    factors = series(mkt_rf=0.04, smb=0.03, hml=0.03, rf=0.0).with_columns(
        rf=pl.Series(rng.uniform(0.0, 0.004, len(months)))
    )
    treasury = series(par_return_10y=0.02, par_return_20y=0.03, par_return_30y=0.04, term_spread_change=0.3)
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
    """The made-up market with its bond returns."""
    from pipeline.bonds.returns import bond_returns

    tables = made_up_market()
    months = month_range(shift(FIRST, 1), LAST)
    returns = bond_returns(tables["index_returns"], tables["index_snapshot"], tables["french_factors"], months)
    return {**tables, "bond_returns": returns}


@pytest.fixture(scope="session")
def build():
    """Call ``bond_characteristics`` on a mapping of frames."""
    from pipeline.bonds.characteristics import bond_characteristics

    def call(tables: Mapping[str, pl.DataFrame], months: list[date], settings=None) -> pl.DataFrame:
        return bond_characteristics(
            tables["index_snapshot"],
            tables["bond_returns"],
            tables["french_factors"],
            tables["treasury_curve"],
            tables["vix_innovation"],
            tables["bond_market_factor"],
            tables["seen"],
            months,
            settings,
        )

    return call
