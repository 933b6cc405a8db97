"""What every entry of set gkx94 must keep to, whatever it computes."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from pipeline.equity.definition import GKX94, FirmCharacteristic
from pipeline.equity.gkx_annual import GKX_ANNUAL
from pipeline.equity.gkx_form import on_stocks
from pipeline.equity.gkx_monthly import GKX_MONTHLY
from pipeline.equity.gkx_quarterly import GKX_QUARTERLY
from pipeline.equity.records import lags_of

ENTRIES: tuple[FirmCharacteristic, ...] = (*GKX_ANNUAL, *GKX_QUARTERLY, *GKX_MONTHLY)
BY_NAME = {entry.name: entry for entry in ENTRIES}

# The characteristics of Gu, Kelly and Xiu (2020), appendix table A.6, under the names of their data.
_TABLE = """
    absacc acc aeavol age agr baspread beta betasq bm bm_ia cash cashdebt cashpr cfp cfp_ia chatoia chcsho chempia chinv
    chmom chpmia chtx cinvest convind currat depr divi divo dolvol dy ear egr ep gma grcapx grltnoa herf hire idiovol
    ill indmom invest lev lgr maxret mom12m mom1m mom36m mom6m ms mvel1 mve_ia nincr operprof orgcap pchcapx_ia
    pchcurrat pchdepr pchgm_pchsale pchquick pchsale_pchinvt pchsale_pchrect pchsale_pchxsga pchsaleinv pctacc
    pricedelay ps quick rd rd_mve rd_sale realestate retvol roaq roavol roeq roic rsup salecash saleinv salerec secured
    securedind sgr sin sp std_dolvol std_turn stdacc stdcf tang tb turn zerotrade
"""
PUBLISHED = _TABLE.split()
STOCK_FRAME = {
    "sic": {"compustat_annual.sich", "crsp_monthly.siccd"},
    "sic2": {"compustat_annual.sich", "crsp_monthly.siccd"},
    "me": {"crsp_monthly.me"},
}
RECORD_LEVELS = {"annual": "compustat_annual", "quarterly": "compustat_quarterly"}
CARRIED = {name: (entry.timing, each) for entry in ENTRIES for name, each in entry.carries.items()}


def on_records() -> dict[str, tuple[str, pl.Expr]]:
    """Every expression over records: name -> (level, expression)."""
    direct = {entry.name: (entry.level, entry.formula) for entry in ENTRIES if entry.level in RECORD_LEVELS}
    return {**direct, **CARRIED}


def test_the_94_characteristics() -> None:
    assert len(PUBLISHED) == len(ENTRIES) == 94
    assert sorted(BY_NAME) == sorted(f"gkx_{name}" for name in PUBLISHED)
    assert all(entry.sets == (GKX94,) for entry in ENTRIES)
    assert sum(entry.level == "daily" for entry in ENTRIES) == 13


def test_every_entry_is_described() -> None:
    for entry in ENTRIES:
        assert all((entry.definition, entry.unit, entry.inputs, entry.history, entry.reference)), entry.name
        assert re.search(r"[12]\d{3}$", entry.reference), entry.name
        assert entry.timing == {"window": "monthly", "daily": "daily"}.get(entry.level, entry.timing), entry.name


def items_read(level: str, expression: pl.Expr) -> set[str]:
    bare = {re.sub(r"_[0-9]+$", "", root) for root in expression.meta.root_names()}
    return {"compustat_history.n_years" if name == "n_years" else f"{RECORD_LEVELS[level]}.{name}" for name in bare}


def leaves(name: str) -> set[str]:
    """Inputs that a column of the stock frame goes back to, followed through the registry."""
    if name in STOCK_FRAME:
        return STOCK_FRAME[name]
    if name in CARRIED:
        return items_read(*CARRIED[name])
    entry = BY_NAME[name]
    if entry.level in RECORD_LEVELS:
        return items_read(entry.level, entry.formula)
    if entry.level == "stock":
        return {leaf for root in entry.formula.meta.root_names() for leaf in leaves(root)}
    return set(entry.inputs)


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES if isinstance(entry.formula, pl.Expr)])
def test_inputs_are_what_the_formula_reads(name: str) -> None:
    assert set(BY_NAME[name].inputs) == leaves(name)


def test_stock_formulas_read_only_what_is_there_before_them() -> None:
    for entry in ENTRIES:
        if entry.level == "stock":
            for root in entry.formula.meta.root_names():
                assert root in STOCK_FRAME or root in CARRIED or BY_NAME[root].level != "stock", (entry.name, root)


def test_carried_columns_have_names_of_their_own() -> None:
    carried = [name for entry in ENTRIES for name in entry.carries]
    assert len(carried) == len(set(carried))
    assert all(name.startswith("gkx_") and name not in BY_NAME for name in carried)
    assert {entry.timing for entry in ENTRIES if entry.carries} == {"annual", "quarterly"}
    assert all(entry.level == "stock" for entry in ENTRIES if entry.carries)


def test_a_formula_that_names_an_unknown_column_is_refused() -> None:
    with pytest.raises(KeyError, match="gkx_nothing"):
        on_stocks("probe", "probe", pl.col("gkx_nothing"), reference="none")


def test_reach_into_the_past() -> None:
    reach = {
        level: max(lags_of(each for held, each in on_records().values() if held == level)) for level in RECORD_LEVELS
    }
    assert reach == {"annual": 10, "quarterly": 18}


def random_records(level: str, rows: int) -> pl.DataFrame:
    rng = np.random.default_rng(11)
    roots = sorted({root for held, each in on_records().values() if held == level for root in each.meta.root_names()})
    columns = {}
    for root in roots:
        counts = root.startswith(("fyear", "n_years"))
        drawn = rng.integers(1970, 2030, size=rows) if counts else rng.normal(1.0, 2.0, size=rows).round(1)
        missing = rng.random(rows) < 0.05
        columns[root] = pl.Series([None if m else value for m, value in zip(missing, drawn.tolist(), strict=True)])
    return pl.DataFrame(columns)


@pytest.mark.parametrize("level", RECORD_LEVELS)
def test_records_are_evaluated_alike_alone_and_together(level: str) -> None:
    # Polars may divide by a constant in one row and multiply by its reciprocal in many, or add in another order.
    frame = random_records(level, 500)
    expressions = [each.alias(name) for name, (held, each) in on_records().items() if held == level]
    together = frame.select(expressions)
    for row in range(0, 500, 41):
        assert frame[row : row + 1].select(expressions).equals(together[row : row + 1])
    assert frame[:0].select(expressions).shape == (0, len(expressions))


@pytest.mark.parametrize("level", RECORD_LEVELS)
def test_records_give_numbers_or_null(level: str) -> None:
    values = random_records(level, 500).select(
        each.cast(pl.Float64).alias(name) for name, (held, each) in on_records().items() if held == level
    )
    for column in values.iter_columns():
        assert column.drop_nulls().is_finite().all(), column.name
        assert column.null_count() < 500, column.name


def test_flags_and_counts_stay_within_their_units() -> None:
    bounds = {"1 or 0": 1, "signals, 0 to 9": 9, "signals, 0 to 8": 8, "quarters, 0 to 8": 8}
    frame = {level: random_records(level, 500) for level in RECORD_LEVELS}
    for entry in ENTRIES:
        if entry.unit in bounds and entry.level in RECORD_LEVELS:
            values = set(frame[entry.level].select(entry.formula).to_series().drop_nulls().to_list())
            assert values <= set(range(bounds[entry.unit] + 1)), entry.name
            assert len(values) > 1, entry.name
