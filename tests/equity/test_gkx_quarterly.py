"""Quarterly entries of set gkx94 against quarters worked out by hand and plain loops over random ones."""

from __future__ import annotations

import statistics
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pipeline.equity.gkx_quarterly import GKX_QUARTERLY
from pipeline.equity.records import QUARTERLY, lags_of, with_earlier_periods

EXPRESSIONS = {entry.name: entry.formula for entry in GKX_QUARTERLY if entry.level == "quarterly"} | {
    name: each for entry in GKX_QUARTERLY for name, each in entry.carries.items()
}
LAGS = lags_of(EXPRESSIONS.values())
ROOTS = {root for each in EXPRESSIONS.values() for root in each.meta.root_names()}
ITEMS = sorted({root for root in ROOTS if not root[-1].isdigit()} | {i for each in LAGS.values() for i in each})
LAST = (2005, 4)

Quarters = list[dict[str, float | None] | None]


def month_end(year: int, month: int) -> date:
    return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


def records_of(quarters: Quarters, gvkey: str = "001001") -> pl.DataFrame:
    """Quarterly records of a firm, the newest first in ``quarters``, None where the firm has no record."""
    rows = []
    for lag, items in enumerate(quarters):
        year, quarter = divmod(LAST[0] * 4 + LAST[1] - 1 - lag, 4)
        if items is not None:
            held = {item: items.get(item) for item in ITEMS if item not in ("fyearq", "fqtr")}
            dated = month_end(year, 3 * (quarter + 1))
            known = {"month": date(2006, 2, 1) if lag == 0 else dated.replace(day=1), "gvkey": gvkey, "datadate": dated}
            rows.append(known | {"fyearq": year, "fqtr": quarter + 1} | held)
    floats = dict.fromkeys((item for item in ITEMS if item not in ("fyearq", "fqtr")), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=floats)


def evaluated(records: pl.DataFrame) -> pl.DataFrame:
    firms = records["gvkey"].unique().sort()
    chosen = pl.DataFrame({"gvkey": firms}).select(
        pl.lit(date(2006, 5, 1)).alias("month"), "gvkey", pl.lit(date(2005, 12, 31)).alias("datadate")
    )
    held = with_earlier_periods(chosen, records, QUARTERLY, LAGS)
    return held.select("gvkey", *(each.cast(pl.Float64).alias(name) for name, each in EXPRESSIONS.items()))


def evaluate(quarters: Quarters) -> dict[str, float | None]:
    return evaluated(records_of(quarters)).drop("gvkey").row(0, named=True)


def items(**values: float | None) -> dict[str, float | None]:
    """Write a fiscal quarter down by its items."""
    return values


# fmt: off
FIVE_QUARTERS: Quarters = [
    items(ibq=6, saleq=50, txtq=4, atq=120, cheq=30, ppentq=60, cshoq=10, prccq=-2, actq=70, lctq=40, dlcq=8,
         seqq=50, ceqq=45, ltq=70),
    items(ibq=5, saleq=40, txtq=2, atq=100, cheq=25, ppentq=55, cshoq=10, prccq=2, actq=60, lctq=35, dlcq=6,
         seqq=40, ceqq=38, pstkq=3, ltq=60),
    items(ibq=4, saleq=20, atq=95, ppentq=53, cheq=20),
    items(ibq=4, saleq=25, atq=90, ppentq=52, cheq=20),
    items(ibq=1, saleq=40, txtq=3, atq=80, ppentq=50, cheq=20),
]
# fmt: on


def test_quarters_by_hand() -> None:
    values = evaluate(FIVE_QUARTERS)
    expected = {
        "gkx_cash": 0.25,  # 30 / 120
        "gkx_chtx": 0.0125,  # (4 - 3) / 80
        "gkx_roaq": 0.06,  # 6 / 100
        "gkx_roeq": 0.15,  # 6 / 40
        "gkx_sales_surprise": 0.5,  # (50 - 40) / (10 * 2)
        # (60 - 55) / 50 = 0.1, before (55 - 53) / 40 = 0.05, (53 - 52) / 20 = 0.05, (52 - 50) / 25 = 0.08.
        "gkx_cinvest": 0.04,
        "gkx_nincr": 2.0,  # 6 > 5 > 4, then 4 = 4
        "gkx_fyearq": 2005.0,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert [values[f"gkx_{name}"] for name in ("stdacc", "stdcf", "roavol", "sgrvol")] == [None] * 4


def test_every_expression_is_tested() -> None:
    by_hand = {"cash", "chtx", "roaq", "roeq", "sales_surprise", "cinvest", "nincr", "fyearq"}
    assert set(EXPRESSIONS) == {f"gkx_{name}" for name in by_hand | {"stdacc", "stdcf", "roavol", "sgrvol"}}


def with_quarter(lag: int, **items: float | None) -> Quarters:
    return [{**each, **items} if position == lag and each else each for position, each in enumerate(FIVE_QUARTERS)]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (items(seqq=None, pstkrq=2), 6 / 40),  # 38 + 2
        (items(seqq=None), 6 / 41),  # 38 + 3
        (items(seqq=None, pstkq=None), 6 / 40),  # 100 - 60
        (items(seqq=None, ceqq=None, ltq=70), 6 / 30),
        (items(seqq=None, ceqq=None, ltq=None), None),
        (items(seqq=0), None),
    ],
)
def test_book_equity_of_a_quarter(items: dict, expected: float | None) -> None:
    assert evaluate(with_quarter(1, **items))["gkx_roeq"] == (expected and pytest.approx(expected))


def test_investment_without_sales_is_scaled_by_a_hundredth() -> None:
    # (5 - (2 + 1 + 2) / 3) / 0.01
    assert evaluate(with_quarter(0, saleq=0))["gkx_cinvest"] == pytest.approx(1000 / 3)
    assert evaluate(with_quarter(0, saleq=-3))["gkx_cinvest"] == pytest.approx(1000 / 3)
    assert evaluate(with_quarter(0, saleq=None))["gkx_cinvest"] is None


def test_investment_leaves_missing_quarters_out_of_the_mean() -> None:
    assert evaluate(with_quarter(2, saleq=0))["gkx_cinvest"] == pytest.approx(0.1 - (0.05 + 0.08) / 2)
    assert evaluate(with_quarter(4, ppentq=None))["gkx_cinvest"] == pytest.approx(0.1 - 0.05)
    assert evaluate(FIVE_QUARTERS[:4])["gkx_cinvest"] is None


def test_changes_over_four_quarters_need_the_fifth() -> None:
    values = evaluate(FIVE_QUARTERS[:4])
    assert (values["gkx_chtx"], values["gkx_sales_surprise"]) == (None, None)
    assert evaluate([FIVE_QUARTERS[0], None, *FIVE_QUARTERS[2:]])["gkx_roaq"] is None


def test_rising_quarters() -> None:
    cases: list[tuple[list[float | None], float | None]] = [
        ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, -1], 8.0),
        ([9, 8, 7, 7, 5], 2.0),
        ([9, 8, None, 6, 5], 1.0),
        ([9, 8], 1.0),
        ([9, 9, 5], 0.0),
        ([1, 2, 1], 0.0),
        ([None, 2, 1], None),
        ([2, None, 1], None),
        ([2], None),
    ]
    records = [records_of([items(ibq=each) for each in incomes], f"{n:06d}") for n, (incomes, _) in enumerate(cases)]
    assert evaluated(pl.concat(records))["gkx_nincr"].to_list() == [expected for _, expected in cases]


def test_surprise_needs_market_equity() -> None:
    assert evaluate(with_quarter(0, prccq=0))["gkx_sales_surprise"] is None


# The quantities under the standard deviations, written with None as Python has it.
def accruals(quarters: Quarters, lag: int) -> float | None:
    now, before = quarters[lag] or {}, quarters[lag + 1] or {}
    names = ("actq", "cheq", "lctq", "dlcq")
    if now.get("saleq") is None or any(each.get(name) is None for each in (now, before) for name in names):
        return None
    moved = {name: now[name] - before[name] for name in names}
    amount = moved["actq"] - moved["cheq"] - moved["lctq"] + moved["dlcq"]
    return amount / now["saleq"] if now["saleq"] > 0 else amount / 0.01


def cash_flow(quarters: Quarters, lag: int) -> float | None:
    accrued, now = accruals(quarters, lag), quarters[lag] or {}
    if accrued is None or now.get("ibq") is None:
        return None
    return (now["ibq"] / now["saleq"] if now["saleq"] > 0 else now["ibq"] / 0.01) - accrued


def return_on_assets(quarters: Quarters, lag: int) -> float | None:
    income, assets = (quarters[lag] or {}).get("ibq"), (quarters[lag + 1] or {}).get("atq")
    return None if income is None or not assets else income / assets


def sales_surprise(quarters: Quarters, lag: int) -> float | None:
    now, before = quarters[lag] or {}, quarters[lag + 4] or {}
    if any(each is None for each in (now.get("saleq"), before.get("saleq"), now.get("cshoq"), now.get("prccq"))):
        return None
    return (now["saleq"] - before["saleq"]) / (now["cshoq"] * abs(now["prccq"]))


DEVIATIONS = {
    "gkx_stdacc": (accruals, 16),
    "gkx_stdcf": (cash_flow, 16),
    "gkx_roavol": (return_on_assets, 16),
    "gkx_sgrvol": (sales_surprise, 15),
}


def random_quarters(seed: int, gaps: float) -> Quarters:
    rng = np.random.default_rng(seed)
    drawn: Quarters = []
    for lag in range(22):
        items = {item: float(rng.uniform(1, 9)) for item in ITEMS if item not in ("fyearq", "fqtr")}
        items["saleq"] -= 2.0 if rng.random() < 0.2 else 0.0
        items |= {item: None for item in items if rng.random() < gaps}
        drawn.append(None if lag in (5, 6) and seed % 2 else items)
    return drawn


def test_standard_deviations_against_a_loop() -> None:
    firms = {f"{number:06d}": random_quarters(number, gaps) for number, gaps in enumerate([0.0, 0.1, 0.6] * 6)}
    rows = evaluated(pl.concat([records_of(each, gvkey) for gvkey, each in firms.items()])).rows_by_key(
        "gvkey", named=True, unique=True
    )
    for name, (term, length) in DEVIATIONS.items():
        for gvkey, quarters in firms.items():
            seen = [value for lag in range(length) if (value := term(quarters, lag)) is not None]
            expected = pytest.approx(statistics.stdev(seen), rel=1e-9) if len(seen) > 1 else None
            assert rows[gvkey][name] == expected, (name, gvkey)


def test_standard_deviations_need_the_quarter_sixteen_before() -> None:
    quarters = random_quarters(0, 0.0)
    assert all(evaluate(quarters[:17])[name] is not None for name in DEVIATIONS)
    assert [evaluate(quarters[:16])[name] for name in DEVIATIONS] == [None] * 4
    unrecorded = [*quarters[:16], None, *quarters[17:]]
    assert [evaluate(unrecorded)[name] for name in DEVIATIONS] == [None] * 4


def test_one_value_has_no_deviation() -> None:
    quarters: Quarters = [items(ibq=2.0), items(atq=10.0), *[items() for _ in range(15)]]
    values = evaluate(quarters)
    assert (values["gkx_roaq"], values["gkx_roavol"]) == (0.2, None)


def test_a_firm_is_evaluated_alike_alone_and_among_others() -> None:
    quarters = {f"{gvkey:06d}": random_quarters(gvkey, 0.1) for gvkey in range(40)}
    records = pl.concat([records_of(each, gvkey) for gvkey, each in quarters.items()])
    together = evaluated(records)
    for gvkey in ("000000", "000003", "000039"):
        alone = evaluated(records.filter(pl.col("gvkey") == gvkey))
        assert alone.equals(together.filter(pl.col("gvkey") == gvkey))
