"""Industry codes in the accounting tables: by sector, changing over time for some firms.

The codes are the vendor's, dated by statement; where a security trades under which code is the business of the
listings.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.compustat_coverage import Coverage
from pipeline.simulation.firms import Firms
from pipeline.simulation.identifiers import SECTORS
from pipeline.simulation.paths import stream

INDUSTRIES: dict[str, tuple[tuple[int, int], ...]] = {
    "Energy": ((1311, 211111), (2911, 324110), (1381, 213111)),
    "Banking": ((6020, 522110), (6021, 522110), (6035, 522120)),
    "Healthcare": ((2834, 325412), (3841, 339112), (8062, 622110)),
    "Utility": ((4911, 221112), (4923, 221210), (4941, 221310)),
    "Technology & Electronics": ((3674, 334413), (7372, 511210), (3571, 334111)),
    "Basic Industry": ((2821, 325211), (3312, 331110), (2621, 322121)),
    "Consumer Goods": ((2111, 312230), (2082, 312120), (2844, 325620), (2000, 311999)),
    "Capital Goods": ((3531, 333120), (3724, 336412), (3585, 333415)),
    "Telecommunications": ((4813, 517110), (4812, 517210), (4899, 517410)),
    "Insurance": ((6311, 524113), (6331, 524126), (6324, 524114)),
    "Media": ((4833, 515120), (2711, 511110), (7812, 512110)),
    "Retail": ((5311, 452111), (5411, 445110), (5812, 722511)),
    "Transportation": ((4011, 482111), (4512, 481111), (4213, 484121)),
    "Financial Services": ((6211, 523110), (6141, 522210), (6282, 523930)),
    "Automotive": ((3711, 336111), (3714, 336390), (5500, 441110)),
    "Leisure": ((7011, 721120), (7990, 713290), (7011, 721110)),
    "Real Estate": ((6798, 531120), (6552, 237210), (6512, 531120)),
    "Services": ((7389, 561499), (7363, 561320), (8200, 611310)),
}
"""SIC and NAICS codes of the index provider's third-level sectors; tobacco, beer and casinos are among them."""

FINANCIAL = ("Banking", "Insurance", "Financial Services")
"""Sectors whose statements do not tell current from other assets and liabilities."""


def financial(firms: Firms) -> NDArray[np.bool_]:
    """Firms of the financial sectors; shape (I,)."""
    return np.array([SECTORS[sector][1] in FINANCIAL for sector in firms.sector.tolist()])


def industry_codes(firms: Firms, coverage: Coverage, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """SIC and NAICS codes by quarter.

    Parameters
    ----------
    firms : Firms
        Sectors.
    coverage : Coverage
        Quarters.
    seed : int
        Seed of the market.

    Returns
    -------
    sic, naics : ndarray of int, shape (Q, I)
        One firm in twelve changes to another industry of its sector once, in the middle half of the quarters.
    """
    rng = stream(seed, "compustat industries")
    n_quarters, n = coverage.closing.shape
    sectors = [SECTORS[sector][1] for sector in firms.sector.tolist()]
    start, step = rng.integers(0, 12, (n,)), rng.integers(1, 3, (n,))
    change = n_quarters // 4 + rng.integers(0, max(n_quarters // 2, 1), n)
    codes = []
    for firm, sector in enumerate(sectors):
        industries = INDUSTRIES[sector]
        before = start[firm] % len(industries)
        codes.append((industries[before], industries[(before + step[firm]) % len(industries)]))
    before_after: NDArray[np.intp] = np.array(codes)
    changed = (np.arange(n) % 12 == 3) & (np.arange(n_quarters)[:, None] >= change)
    sic, naics = np.where(changed[..., None], before_after[:, 1], before_after[:, 0]).transpose(2, 0, 1)
    return sic, naics
