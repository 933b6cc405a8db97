"""The index extract of the simulated market: one row a bond and month, as an index provider delivers it.

The row dated the first day of month m + 1 holds values at the end of m and, in `Return`, the return earned in m + 1.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipeline.simulation.economy import Economy
from pipeline.simulation.identifiers import RATINGS, SECTORS
from pipeline.simulation.nuisances import show_missing
from pipeline.simulation.paths import stream

RETURN_MISSING = 0.002
"""Share of bond-months without a published return."""

LOST_CHECK_DIGIT = 0.4
"""Share of bonds whose `Cusip` is published with eight characters."""

TEXT_MISSING = {"Description": 0.001, "Maturity": 0.0005, "Sector_Level_3": 0.0005, "Sector_Level_4": 0.002}
"""Share of bond-months without the text or date column."""


def bond_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Build `bonds.index_constituents`, sorted by `Pricing_Date` and `ISIN`.

    Parameters
    ----------
    economy : Economy
        Where the bonds live.

    Returns
    -------
    Mapping of str to DataFrame
        One table: dates as dates, ratings as text, numbers in the provider's units (percent, basis points, thousands of
        face, millions), -99.99 or null where missing; `Return` null in the last month.
    """
    rng = stream(economy.seed, "index extract")
    bonds, issues, clock = economy.bonds, economy.issues, economy.clock
    bond, month = bonds.bond, bonds.month
    issuer = issues.issuer[bond]
    numbers = {name: show_missing(name, values, rng) for name, values in bonds.columns.items() if name != "rating"}
    returns = np.concatenate([economy.states.rf[1:], [np.nan]])[month] + bonds.excess
    returns[rng.random(len(returns)) < RETURN_MISSING] = np.nan
    short = rng.random(issues.n) < LOST_CHECK_DIGIT
    sector = economy.firms.sector[issuer]
    has_stock = ~np.isnan(bonds.columns["Stock_Price"])
    texts = {
        "Pricing_Date": (clock.months[month] + 1).astype("datetime64[D]"),
        "ISIN": np.array(issues.isins)[bond],
        "Index_Name": np.where(bonds.clean["rating"] <= 10, "C0A0", "H0A0"),
        "Cusip": np.array([c[:8] if cut else c for c, cut in zip(issues.cusips, short, strict=True)])[bond],
        "Description": np.char.upper(np.array(economy.firms.names))[issuer],
        "Maturity": issues.maturity.astype("datetime64[D]")[bond],
        "Sector_Level_1": np.full(len(bond), "Corporate"),
        "Sector_Level_2": np.array([pair[0] for pair in SECTORS])[sector],
        "Sector_Level_3": np.array([pair[1] for pair in SECTORS])[sector],
        "Sector_Level_4": np.array([f"{name} - {part}" for _, name in SECTORS for part in "AB"])[
            2 * sector + issuer % 2
        ],
        "Country": np.where(issuer % 25 == 0, "CA", "US"),
    }
    frame = pl.DataFrame(texts).with_columns(
        Rating=_ratings(bonds.columns["rating"]),
        Stock_Price_Date=pl.when(pl.Series(has_stock)).then(pl.Series(clock.last_sessions[month])),
        Return=pl.Series(100 * returns, nan_to_null=True),
        **{name: pl.Series(values, nan_to_null=True) for name, values in numbers.items()},
    )
    gaps = rng.random((len(TEXT_MISSING), len(bond)))
    frame = frame.with_columns(
        pl.when(pl.Series(gaps[row] >= rate)).then(pl.col(name)).alias(name)
        for row, (name, rate) in enumerate(TEXT_MISSING.items())
    )
    return {"bonds.index_constituents": frame.sort("Pricing_Date", "ISIN")}


def _ratings(ordinals: np.ndarray) -> pl.Series:
    """Rating letters of ordinals 1 .. 22, null where NaN."""
    return pl.Series(np.array(RATINGS)[np.nan_to_num(ordinals, nan=1).astype(int) - 1]).set(
        pl.Series(np.isnan(ordinals)), None
    )
