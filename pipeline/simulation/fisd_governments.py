"""Issues of governments and agencies in FISD's tables, which no filter but that on the type of bond leaves out.

They have no price, no stock and no place in the economy, and are drawn from a stream of their own, so that nothing else
depends on how many there are. What is owed by corporations is in `bond_terms` and `fisd`.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipeline.simulation.economy import Economy
from pipeline.simulation.identifiers import bond_cusip, domestic_isin
from pipeline.simulation.paths import stream

GOVERNMENTS = {"USTC": ("990001", "FEDERAL TREASURY NOTES"), "ADEB": ("990002", "FEDERAL HOME CREDIT AGENCY")}
"""FISD's type of bond -> the issuer's CUSIP code, which no firm has, and its name."""

_EACH = 3
_FIRST_ISSUE, _FIRST_ISSUER = 900_001, 90_001
_FEATURES = (
    "convertible", "putable", "redeemable", "exchangeable", "asset_backed", "rule_144a", "private_placement",
    "foreign_currency", "perpetual",
)  # fmt: skip


def government_rows(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Write what governments and agencies owe.

    Parameters
    ----------
    economy : Economy
        The market; its clock and seed are used.

    Returns
    -------
    Mapping of str to DataFrame
        Rows of fisd.fisd_mergedissue, fisd.fisd_mergedissuer, fisd.fisd_ratings and fisd.fisd_amt_out_hist: plain
        semi-annual bonds of ten years, rated AAA, offered within the first half of the clock, larger than any
        corporation's.
    """
    rng = stream(economy.seed, "fisd governments")
    kinds = np.repeat(list(GOVERNMENTS), _EACH)
    n = len(kinds)
    months = economy.clock.months[np.sort(rng.integers(0, economy.clock.n // 2, n))]
    offered = months.astype("datetime64[D]") + 14
    matures = (months.astype("datetime64[M]") + 120).astype("datetime64[D]") + 14
    first = (months.astype("datetime64[M]") + 6).astype("datetime64[D]") + 14
    codes, names = zip(*(GOVERNMENTS[kind] for kind in kinds.tolist()), strict=True)
    cusips = [bond_cusip(code, place) for place, code in enumerate(codes)]
    ids, amount = _FIRST_ISSUE + np.arange(n), 1e7 * (1 + rng.integers(0, 3, n))
    issuer = _FIRST_ISSUER + np.repeat(np.arange(len(GOVERNMENTS)), _EACH)
    issues = pl.DataFrame(
        {
            "issue_id": ids, "complete_cusip": cusips, "isin": [domestic_isin(nine) for nine in cusips],
            "issuer_id": issuer, "issuer_cusip": codes, "prospectus_issuer_name": names,
            "coupon": np.round(8 * (2 + 3 * rng.random(n))) / 8, "coupon_type": "F", "interest_frequency": "2",
            "dated_date": offered, "first_interest_date": first, "offering_date": offered, "offering_amt": amount,
            "maturity": matures, "principal_amt": 1000.0, "day_count_basis": "30/360", "bond_type": kinds,
            "security_level": "SEN", **dict.fromkeys(_FEATURES, "N"),
        }
    )  # fmt: skip
    issuers = {
        "issuer_id": _FIRST_ISSUER + np.arange(len(GOVERNMENTS)),
        "cusip_name": [name for _, name in GOVERNMENTS.values()],
        "industry_group": "4",
        "country_domicile": "USA",
    }
    dated = {"issue_id": ids, "rating_type": "SPR", "rating_date": offered, "rating": "AAA"}
    owed = {"issue_id": ids, "effective_date": offered, "action_type": "I", "amount_outstanding": amount}
    return {
        "fisd.fisd_mergedissue": issues,
        "fisd.fisd_mergedissuer": pl.DataFrame(issuers),
        "fisd.fisd_ratings": pl.DataFrame(dated),
        "fisd.fisd_amt_out_hist": pl.DataFrame(owed),
    }
