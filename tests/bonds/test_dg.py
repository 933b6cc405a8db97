from __future__ import annotations

import csv
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds import french_industries
from pipeline.bonds.common_columns import FUNDAMENTALS, with_common_columns
from pipeline.bonds.registry import BY_NAME, NAMES, SETS, STANDARDISED, names_of, ranked
from pipeline.panel.calendar import month_range
from tests.bonds.slow_reference import french_industry


def test_a_median_counts_an_issuer_once(traded, build):
    month = date(2014, 12, 1)
    stocks = {"US000001AB00": 1, "US000003AB00": 1, "US000005AB00": 1, "US000009AB00": 2, "US000013AB00": 3}
    snapshot = traded["bond_snapshot"].with_columns(
        permno=pl.col("isin").replace_strict(stocks, default=None, return_dtype=pl.Int64)
    )
    present = snapshot.filter(pl.col("month") == month).drop_nulls("permno")["permno"].to_list()
    assert present.count(1) > 1
    assert {2, 3} <= set(present)
    firms = pl.DataFrame({"month": [month] * 4, "permno": [1, 2, 3, 4], "at": [5.0, 9.0, 7.0, 100.0]})
    others = [pl.lit(None, dtype=pl.Float64).alias(name) for name in FUNDAMENTALS if name != "at"]
    panel = build(
        {**traded, "bond_snapshot": snapshot, "firm_characteristics": firms.with_columns(others)}, [month]
    ).join(snapshot.select("month", "isin", "permno"), on=["month", "isin"])
    assert panel["med_at"].unique().to_list() == [7.0]
    assert set(panel.select("permno", "issuer_at").unique().iter_rows()) == {(None, None), (1, 5.0), (2, 9.0), (3, 7.0)}
    assert panel["med_beme"].null_count() == panel.height


def _spec(request, table):
    path = request.config.rootpath.parent / "shared" / "spec" / table
    if not path.exists():
        pytest.skip(f"{table} is not there")
    with path.open() as lines:
        return list(csv.DictReader(lines))


def test_the_set_dg_is_the_spec(request):
    firms = [row["name"] for row in _spec(request, "firm_characteristics.csv") if row["dg41"] == "1"]
    expected = [f"issuer_{name}" for name in firms]
    for name in (row["name"] for row in _spec(request, "bond_characteristics.csv") if "dg" in row["set"].split()):
        stem = name.removesuffix("1..10")
        if stem != name:
            expected += [f"{stem}{n}" for n in range(1, 11)]
        elif name == "med_<fundamental>":
            expected += [f"med_{firm}" for firm in firms]
        else:
            expected.append(name)
    assert sorted(SETS["dg"]) == sorted(expected)


def test_the_issuer_set_is_every_fundamental(request):
    firms = [row["name"] for row in _spec(request, "firm_characteristics.csv")]
    assert sorted(SETS["issuer"]) == sorted(f"issuer_{name}" for name in firms)


def test_only_what_varies_over_bonds_is_ranked():
    raw = set(NAMES) - set(STANDARDISED)
    assert raw == {name for name in NAMES if name.startswith(("forward_spread_", "industry_", "med_"))}
    assert ranked(["age", "industry_3", "ytm"]) == ("age_r", "ytm_r")
    assert all(BY_NAME[name].sets for name in NAMES)
    with pytest.raises(LookupError, match=r"'nosuch'.*notebook, dg, issuer"):
        names_of("nosuch")


def test_every_code_has_one_industry_and_the_published_one():
    codes = [None, 0, 99, *range(100, 10000)]
    found = pl.DataFrame({"sic": codes}, schema={"sic": pl.Int64}).select(
        french_industries.membership(name).cast(pl.Int64).alias(name) for name in french_industries.NAMES
    )
    assert found.select(pl.all().head(3).null_count()).row(0) == (3,) * 10
    rows = found.slice(3).rows()
    assert {sum(row) for row in rows} == {1}
    assert [row.index(1) + 1 for row in rows] == [french_industry(code) for code in codes[3:]]


def test_columns_beside_a_bonds_own_do_not_depend_on_other_months(traded):
    months = month_range(date(2013, 1, 1), date(2014, 6, 1))
    tables = traded["treasury_curve"], traded["firm_characteristics"]
    bonds = traded["bond_snapshot"].filter(pl.col("month").is_in(months))
    together = with_common_columns(bonds, *tables)
    assert_frame_equal(together.select(bonds.columns), bonds, check_exact=True)
    for month in months:
        own = pl.col("month") == month
        alone = with_common_columns(bonds.filter(own), *(table.filter(own) for table in tables))
        assert_frame_equal(together.filter(own), alone, check_exact=True)


def test_without_firms_or_a_curve_the_columns_are_null(traded):
    bonds = traded["bond_snapshot"].tail(5)
    bare = with_common_columns(bonds, traded["treasury_curve"].clear(), None)
    added = [name for name in bare.columns if name not in bonds.columns]
    assert len(added) == 44 + 41 + 10
    assert bare.select(pl.col(added).null_count()).row(0) == (5,) * len(added)
