"""Entries of set gkx94 that compare stocks of a month: small months by hand, and random ones against plain loops."""

from __future__ import annotations

import statistics

import numpy as np
import polars as pl
import pytest

from pipeline.equity.gkx_annual import GKX_ANNUAL
from pipeline.equity.gkx_monthly import GKX_MONTHLY
from pipeline.equity.gkx_quarterly import GKX_QUARTERLY

ENTRIES = {entry.name: entry for entry in (*GKX_ANNUAL, *GKX_QUARTERLY, *GKX_MONTHLY) if entry.level == "stock"}
ADJUSTED = {
    "gkx_bm_ia": "gkx_bm",
    "gkx_cfp_ia": "gkx_cfp",
    "gkx_chempia": "gkx_hire",
    "gkx_chatoia": "gkx_chato",
    "gkx_chpmia": "gkx_chpm",
    "gkx_mve_ia": "gkx_mve_f",
    "gkx_pchcapx_ia": "gkx_pchcapx",
    "gkx_tb": "gkx_tax_to_book",
}
MOHANRAM_HIGH = ("gkx_roa", "gkx_cfroa", "gkx_xrdint", "gkx_capxint", "gkx_xadint")
MOHANRAM_LOW = ("gkx_roavol", "gkx_sgrvol")


def values_of(name: str, **columns: list) -> list[float | None]:
    frame = pl.DataFrame(columns, schema_overrides={"sic2": pl.Int64}, strict=False)
    return frame.select(ENTRIES[name].formula.cast(pl.Float64)).to_series().to_list()


@pytest.mark.parametrize(("name", "column"), ADJUSTED.items())
def test_industry_adjustment_takes_the_mean_off(name: str, column: str) -> None:
    adjusted = values_of(name, sic2=[20, 20, 20, 35, None, 20], **{column: [1.0, 2.0, 6.0, 4.0, 5.0, None]})
    assert adjusted == [-2.0, -1.0, 3.0, 0.0, None, None]


def test_concentration_of_sales() -> None:
    # 1 + 9 over 4 squared; a stock without sales has its industry's; no industry, no value; no sales, no value.
    sales = [1.0, 3.0, None, 7.0, 5.0, None, 0.0]
    concentration = values_of("gkx_herf", sic2=[20, 20, 20, 35, None, 36, 37], gkx_sale=sales)
    assert concentration == [0.625, 0.625, 0.625, 1.0, None, None, None]


def test_industry_momentum_is_the_industry_mean() -> None:
    momentum = values_of("gkx_indmom", sic2=[20, 20, 20, 35, None], gkx_mom12m=[0.5, -0.25, None, 0.125, 0.75])
    assert momentum == [0.125, 0.125, 0.125, 0.125, None]
    assert values_of("gkx_indmom", sic2=[20], gkx_mom12m=[None]) == [None]


def test_sin_stocks() -> None:
    codes = [2079, 2080, 2085, 2086, 2099, 2100, 2199, 2200, 7990, None]
    none = [None] * len(codes)
    expected = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, None]
    assert values_of("gkx_sin", sic=codes, gkx_naicsh=none) == expected
    assert values_of("gkx_sin", sic=codes, gkx_naicsh=[721110.0] * len(codes)) == expected
    gaming = [7132.0, 71312.0, 713210.0, 71329.0, 713290.0, 72112.0, 721120.0]
    assert values_of("gkx_sin", sic=[7011] * 7, gkx_naicsh=gaming) == [1.0] * 7
    assert values_of("gkx_sin", sic=[None, None, 2111], gkx_naicsh=[713290.0, None, 713290.0]) == [1.0, None, 1.0]
    beside = [713.0, 71321.0, 713291.0, 72111.0, 721121.0, 7132100.0]
    assert values_of("gkx_sin", sic=[7990] * 6, gkx_naicsh=beside) == [0.0] * 6


def test_size_is_market_equity_of_the_month() -> None:
    assert values_of("gkx_mvel1", me=[12.5, None]) == [12.5, None]


def test_revenue_surprise_is_what_its_record_carries() -> None:
    assert values_of("gkx_rsup", gkx_sales_surprise=[0.5, None]) == [0.5, None]


def mohanram(**changes: list) -> list[float | None]:
    rising, falling = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]
    columns = {
        **dict.fromkeys(MOHANRAM_HIGH, rising),
        **dict.fromkeys(MOHANRAM_LOW, falling),
        "gkx_cash_above_income": [0.0, 1.0, 1.0],
        "gkx_fyear": [2003.0] * 3,
        "gkx_fyearq": [2003.0] * 3,
        "sic2": [20] * 3,
    }
    return values_of("gkx_ms", **{**columns, **changes})


def test_mohanram_score_by_hand() -> None:
    assert mohanram() == [0.0, 1.0, 8.0]
    # A missing input is a signal that does not hold, and leaves the median to the others (1.5: the second is above).
    assert mohanram(gkx_xrdint=[1.0, 2.0, None]) == [0.0, 2.0, 7.0]
    # A quarterly deviation that is missing is not a low one.
    assert mohanram(gkx_sgrvol=[None, 2.0, 1.0]) == [0.0, 1.0, 8.0]


def test_mohanram_score_needs_both_records_and_an_industry() -> None:
    assert mohanram(gkx_fyear=[None, 2003.0, 2003.0])[0] is None
    assert mohanram(gkx_fyearq=[2003.0, None, 2003.0])[1] is None
    assert mohanram(sic2=[20, 20, None])[2] is None


def random_month(seed: int) -> dict[str, list]:
    rng = np.random.default_rng(seed)
    names = sorted({*ADJUSTED.values(), *MOHANRAM_HIGH, *MOHANRAM_LOW, "gkx_sale", "gkx_mom12m"})
    drawn = {name: [float(x) if rng.random() < 0.9 else None for x in rng.normal(size=60)] for name in names}
    present = {
        name: [2000.0 if rng.random() < 0.9 else None for _ in range(60)] for name in ("gkx_fyear", "gkx_fyearq")
    }
    sic2 = [int(x) if rng.random() < 0.9 else None for x in rng.integers(20, 26, size=60)]
    return drawn | present | {"sic2": sic2, "gkx_cash_above_income": [float(x) for x in rng.integers(0, 2, size=60)]}


def peers(month: dict[str, list], stock: int, column: str) -> list[float]:
    same = [i for i, code in enumerate(month["sic2"]) if code == month["sic2"][stock]]
    return [month[column][i] for i in same if month[column][i] is not None]


def looped(month: dict[str, list], name: str, stock: int) -> float | None:
    if month["sic2"][stock] is None:
        return None
    if name in ADJUSTED:
        value = month[ADJUSTED[name]][stock]
        return None if value is None else value - statistics.mean(peers(month, stock, ADJUSTED[name]))
    if name == "gkx_indmom":
        return statistics.mean(peers(month, stock, "gkx_mom12m"))
    if name == "gkx_herf":
        sales = peers(month, stock, "gkx_sale")
        return sum((sale / sum(sales)) ** 2 for sale in sales)
    if month["gkx_fyear"][stock] is None or month["gkx_fyearq"][stock] is None:
        return None
    score = month["gkx_cash_above_income"][stock]
    for column in (*MOHANRAM_HIGH, *MOHANRAM_LOW):
        value, median = month[column][stock], statistics.median(peers(month, stock, column))
        score += value is not None and (value > median if column in MOHANRAM_HIGH else value < median)
    return score


@pytest.mark.parametrize("name", [*ADJUSTED, "gkx_indmom", "gkx_herf", "gkx_ms"])
def test_against_a_loop_over_stocks(name: str) -> None:
    month = random_month(7)
    expected = [looped(month, name, stock) for stock in range(60)]
    computed = values_of(name, **month)
    assert [value is None for value in computed] == [value is None for value in expected]
    assert [x for x in computed if x is not None] == pytest.approx([x for x in expected if x is not None], rel=1e-10)
