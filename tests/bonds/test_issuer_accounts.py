from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.issuer_accounts import SCHEMA, VALUES, issuer_accounts, lookback
from pipeline.panel.calendar import month_range, shift

INPUTS = ("compustat_annual", "crsp_monthly", "bond_issuer_link")
MONTHS = month_range(date(2011, 1, 1), date(2014, 12, 1))


def _take(tables, months):
    return issuer_accounts(*(tables[name] for name in INPUTS), months)


@pytest.fixture(scope="module")
def ours(traded):
    return _take(traded, MONTHS)


def _number(month):
    return 12 * month.year + month.month


def _over(a, b):
    return None if a is None or b is None or b == 0 else a / b


def _less(a, b):
    return None if a is None or b is None else a - b


def _plus(a, b):
    return None if a is None or b is None else a + b


def _growth(now, before):
    return None if now is None or before is None or before <= 0 else 100 * (now / before - 1)


def _year_before(earlier, now):
    months = _number(now["datadate"]) - _number(earlier["datadate"])
    return earlier["fyear"] == now["fyear"] - 1 and 0 < months <= 24


def _slow(tables):
    """Every linked bond of MONTHS, one after another in plain Python."""
    statements, stocks, rows = {}, {}, {}
    for row in tables["compustat_annual"].iter_rows(named=True):
        statements.setdefault(row["gvkey"], []).append(row)
    for row in tables["crsp_monthly"].iter_rows(named=True):
        stocks[row["month"], row["permno"]] = row
    for link in tables["bond_issuer_link"].filter(pl.col("month").is_in(MONTHS)).iter_rows(named=True):
        if link["permno"] is None:
            continue
        month, stock = link["month"], stocks.get((link["month"], link["permno"]), {})
        known = [each for each in statements.get(link["gvkey"], []) if each["month"] <= month]
        fit = [each for each in known if 6 <= _number(month) - _number(each["datadate"]) <= 18]
        now = max(fit, key=lambda each: each["datadate"], default={})
        earlier = [each for each in known if now and _year_before(each, now)]
        before = max(earlier, key=lambda each: each["datadate"], default={})
        me, factor = stock.get("me_permco"), stock.get("cfacpr")
        rows[month, link["cusip"]] = {
            "permno": link["permno"],
            "sic": stock.get("siccd"),
            "stock_price": _over(stock.get("prc"), factor) if factor is not None and factor > 0 else None,
            "price_to_book": _over(me, now.get("ceq")),
            "price_to_earnings": _over(me, now.get("ib")),
            "debt": _plus(now.get("dltt"), now.get("dlc")),
            "ebitda": _plus(now.get("oiadp"), now.get("dp")),
            "ebit": now.get("ebit"),
            "ebit_margin": _over(now.get("ebit"), now.get("sale")),
            "gross_margin": _over(_less(now.get("sale"), now.get("cogs")), now.get("sale")),
            "revenue": now.get("sale"),
            "ebit_growth": _growth(now.get("ebit"), before.get("ebit")),
            "revenue_growth": _growth(now.get("sale"), before.get("sale")),
            "leverage_ratio": _over(now.get("at"), now.get("ceq")),
            "book_equity": now.get("ceq"),
            "marketcap": me,
        }
    return rows


def test_agrees_with_plain_loops(ours, traded):
    slow = _slow(traded)
    assert list(zip(ours["month"], ours["cusip"], strict=True)) == sorted(slow)
    for name in ("permno", "sic"):
        assert ours[name].to_list() == [slow[key][name] for key in sorted(slow)]
    for name in VALUES:
        expected = np.array([slow[key][name] for key in sorted(slow)], dtype=float)
        mine = ours[name].to_numpy()
        assert np.isfinite(mine).sum() > 300, name
        assert np.isnan(mine).any(), name
        np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-12, err_msg=name)


def test_a_firm_by_hand():
    month = date(2012, 6, 1)
    items = {
        "at": 300.0, "ceq": 80.0, "cogs": 60.0, "dlc": 10.0, "dltt": 90.0, "dp": 5.0, "ebit": 22.0, "ib": 8.0,
        "oiadp": 20.0, "sale": 110.0,
    }  # fmt: skip
    earlier, too_new = {**items, "ebit": 20.0, "sale": 100.0}, {**items, "at": 999.0}
    annual = pl.DataFrame(
        [
            {"month": date(2011, 4, 1), "datadate": date(2010, 12, 31), "fyear": 2010, **earlier},
            {"month": date(2012, 4, 1), "datadate": date(2011, 12, 31), "fyear": 2011, **items},
            {"month": date(2012, 6, 1), "datadate": date(2012, 2, 29), "fyear": 2012, **too_new},
        ]
    ).with_columns(gvkey=pl.lit("001"))
    crsp = pl.DataFrame({
        "month": [month], "permno": [7], "prc": [30.0], "cfacpr": [2.0], "me_permco": [160.0], "siccd": [2834],
    })  # fmt: skip
    link = pl.DataFrame({"month": [month] * 2, "cusip": ["A", "B"], "permno": [7, None], "gvkey": ["001", None]})
    found = issuer_accounts(annual, crsp, link, [month])
    assert found.height == 1
    row = found.row(0, named=True)
    assert row.pop("ebit_growth") == pytest.approx(10.0)
    assert row.pop("revenue_growth") == pytest.approx(10.0)
    assert row == {
        "month": month, "cusip": "A", "permno": 7, "sic": 2834, "stock_price": 15.0, "price_to_book": 2.0,
        "price_to_earnings": 20.0, "debt": 100.0, "ebitda": 25.0, "ebit": 22.0, "ebit_margin": 0.2,
        "gross_margin": 50.0 / 110.0, "revenue": 110.0, "leverage_ratio": 3.75, "book_equity": 80.0,
        "marketcap": 160.0,
    }  # fmt: skip


def test_a_range_equals_its_months_one_by_one(ours, traded):
    assert_frame_equal(ours, pl.concat([_take(traded, [month]) for month in MONTHS]), check_exact=True)


def test_one_bond_gets_the_same_bits_alone(ours, traded):
    month = MONTHS[-1]
    for cusip in ours.filter(pl.col("month") == month)["cusip"]:
        own = (pl.col("cusip") == cusip) & (pl.col("month") == month)
        alone = _take({**traded, "bond_issuer_link": traded["bond_issuer_link"].filter(own)}, [month])
        assert_frame_equal(alone, ours.filter(own), check_exact=True)


def _cut(tables, month, reach):
    return {
        name: tables[name].filter(pl.col("month") > shift(month, -reach[name]), pl.col("month") <= month)
        for name in INPUTS
    }


@pytest.mark.parametrize("month", [date(2013, 4, 1), date(2014, 9, 1)])
def test_only_the_window_matters(ours, traded, month):
    expected = ours.filter(pl.col("month") == month)
    assert_frame_equal(_take(_cut(traded, month, lookback()), [month]), expected, check_exact=True)
    late = {
        name: frame.with_columns(
            pl.when(pl.col("month") > month).then(pl.col(column) * 3.0 + 1.0).otherwise(column).alias(column)
            for column, dtype in frame.schema.items()
            if dtype == pl.Float64
        ).sample(fraction=1.0, shuffle=True, seed=4)
        for name, frame in traded.items()
        if name in INPUTS
    }
    assert_frame_equal(_take(late, [month]), expected, check_exact=True)


def test_the_oldest_record_of_the_lookback_matters():
    month, reach = date(2014, 12, 1), lookback()["compustat_annual"]
    items = dict.fromkeys(("at", "ceq", "cogs", "dlc", "dltt", "dp", "ebit", "ib", "oiadp", "sale"), 1.0)
    last = shift(month, -18)
    annual = pl.DataFrame(
        [
            {"month": shift(dated, 4), "datadate": dated.replace(day=28), "fyear": year, "gvkey": "1", **items}
            for dated, year in ((shift(last, -24), 2012), (last, 2013))
        ]
    )
    assert reach == 43
    assert annual["month"].min() > shift(month, -reach)

    def revenue(at):
        crsp = pl.DataFrame({"month": [at], "permno": [7], "prc": 1.0, "cfacpr": 1.0, "me_permco": 1.0, "siccd": 100})
        link = pl.DataFrame({"month": [at], "cusip": ["A"], "permno": [7], "gvkey": ["1"]})
        return issuer_accounts(annual, crsp, link, [at]).select("revenue", "revenue_growth").row(0)

    assert revenue(month) == (1.0, 0.0)
    assert revenue(shift(month, 1)) == (None, None)


def test_no_months_and_no_links_give_no_rows(traded):
    assert dict(_take(traded, []).schema) == SCHEMA
    none = _take({**traded, "bond_issuer_link": traded["bond_issuer_link"].clear()}, MONTHS)
    assert none.height == 0
    assert dict(none.schema) == SCHEMA
