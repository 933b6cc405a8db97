"""What is true in the simulated economy and in no extract: for tests and for the report beside the estimates.

Nothing in a panel or a model may read these tables.
"""

import numpy as np
import polars as pl

from pipeline.simulation.bonds import GAMMA, OBSERVED, observed_characteristics
from pipeline.simulation.economy import Economy
from pipeline.simulation.macro import FACTORS

BETAS = tuple(name.replace("factor", "beta") for name in FACTORS)


def truth_tables(economy: Economy) -> dict[str, pl.DataFrame]:
    """Collect the truth.

    Parameters
    ----------
    economy : Economy
        The market as drawn.

    Returns
    -------
    dict of str to DataFrame
        gamma : characteristic, factor_1 .. factor_3 (rows not named are zero).
        factors : month, factor_1 .. factor_3, mean_1 .. mean_3: factors realised in the month and their conditional
        means at the end of the month before; decimals, over the months in which bonds earn returns.
        bond_betas : month, isin, beta_1 .. beta_3 and expected_return known at the end of month; systematic_return,
        residual and ret_excess of month + 1, null in the last month; decimals.
        clean_characteristics : month, isin and the true values behind the betas before missing values and outliers.
        total_r2 : month (of the return), n, total_r2.
        summary : statistic, value.
    """
    bond_betas = _bond_betas(economy)
    earned = bond_betas.drop_nulls("ret_excess").with_columns(pl.col("month").dt.offset_by("1mo"))
    r2 = 1 - (pl.col("residual") ** 2).sum() / (pl.col("ret_excess") ** 2).sum()
    whole = earned.select(
        total_r2=r2, n_returns=pl.len().cast(pl.Float64), n_bonds=pl.col("isin").n_unique().cast(pl.Float64)
    )
    return {
        "gamma": pl.DataFrame(
            {"characteristic": list(GAMMA), **dict(zip(FACTORS, np.array(list(GAMMA.values())).T, strict=True))}
        ),
        "factors": _factors(economy),
        "bond_betas": bond_betas,
        "clean_characteristics": _clean(economy),
        "total_r2": earned.group_by("month").agg(n=pl.len(), total_r2=r2).sort("month"),
        "summary": whole.unpivot(variable_name="statistic"),
    }


def _factors(economy: Economy) -> pl.DataFrame:
    """Realised factors and their conditional means."""
    first = economy.clock.first_snapshot + 1
    columns: dict[str, np.ndarray] = {}
    for k, name in enumerate(FACTORS):
        columns[name] = economy.states.factors[first:, k]
    for k, name in enumerate(FACTORS):
        columns[name.replace("factor", "mean")] = economy.states.factor_means[first:, k]
    return pl.DataFrame({"month": economy.clock.dates[first:], **columns})


def _keys(economy: Economy) -> dict[str, np.ndarray]:
    """Month and isin of every bond-month."""
    bonds, issues = economy.bonds, economy.issues
    return {
        "month": economy.clock.months.astype("datetime64[D]")[bonds.month],
        "isin": np.array(issues.isins)[bonds.bond],
    }


def _bond_betas(economy: Economy) -> pl.DataFrame:
    """Betas, expected returns and the parts of the realised return."""
    bonds, states = economy.bonds, economy.states
    following = np.minimum(bonds.month + 1, economy.clock.n - 1)
    systematic = (bonds.beta * states.factors[following]).sum(axis=1)
    systematic[bonds.month + 1 >= economy.clock.n] = np.nan
    lead_means = np.vstack([states.factor_means[1:], np.full(3, np.nan)])
    columns = {
        **dict(zip(BETAS, bonds.beta.T, strict=True)),
        "expected_return": (bonds.beta * lead_means[bonds.month]).sum(axis=1),
        "systematic_return": systematic,
        "residual": bonds.excess - systematic,
        "ret_excess": bonds.excess,
    }
    frame = pl.DataFrame({**_keys(economy), **columns}).with_columns(pl.selectors.float().fill_nan(None))
    return frame.sort("month", "isin")


def _clean(economy: Economy) -> pl.DataFrame:
    """Characteristics before missing values and outliers."""
    values = dict(zip(OBSERVED, observed_characteristics(economy.bonds.clean), strict=True))
    frame = pl.DataFrame({**_keys(economy), **values}).with_columns(pl.selectors.float().fill_nan(None))
    return frame.sort("month", "isin")
