"""A random market that is nasty to characteristics: statements and prices that no simulation of firms would write.

Items are independent random numbers, many of them missing, zero or negative; firms miss years and quarters, change
their fiscal year forwards and backwards and report up to a year late; stocks miss months, prices, returns and links,
some leave, some share a firm. The frames have the columns of the assets that ``firm_characteristics`` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
from dateutil.relativedelta import relativedelta

from tests.equity.slow_firm import DAILY

ANNUAL_ITEMS = (
    "aco", "act", "ajex", "ao", "ap", "at", "capx", "ceq", "che", "cogs", "csho", "cshrc", "dcpstk", "dcvt", "dlc",
    "dltt", "dm", "dp", "dvt", "ebit", "emp", "fatb", "fatl", "gp", "ib", "intan", "invt", "ivao", "lco", "lct", "lo",
    "lt", "mib", "ni", "nopi", "oancf", "oiadp", "ppegt", "ppent", "prcc_f", "pstk", "pstkl", "pstkrv", "rect", "revt",
    "sale", "scstkc", "seq", "tie", "txdb", "txdi", "txditc", "txfed", "txfo", "txp", "txt", "wcapch", "xad", "xint",
    "xrd", "xsga",
)  # fmt: skip
QUARTERLY_ITEMS = (
    "actq", "atq", "ceqq", "cheq", "cshoq", "dlcq", "ibq", "lctq", "ltq", "ppentq", "prccq", "pstkq", "pstkrq",
    "saleq", "seqq", "txtq",
)  # fmt: skip
SIGNED = frozenset((
    "ni", "ib", "oancf", "txt", "txdi", "txfed", "txfo", "ceq", "seq", "nopi", "ebit", "ibq", "oiadp", "wcapch",
    "saleq", "txtq", "ceqq", "seqq",
))  # fmt: skip
# Three of gaming, one beside them.
NAICS = (713210, 7132, 721120, 721110, 325412, 511210)
INDUSTRIES = (2082, 2111, 2821, 2834, 3571, 3579, 6021, 7372)
MISSING, ZERO, NEGATIVE = 0.06, 0.03, 0.15


def _shift(day: date, months: int) -> date:
    return day.replace(day=1) + relativedelta(months=months)


def _month_end(day: date) -> date:
    return _shift(day, 1) - timedelta(days=1)


def _items(draw: np.random.Generator, names: Sequence[str], scale: dict[str, float]) -> dict[str, float | None]:
    """Draw the items of one statement, positive but for accidents."""
    row: dict[str, float | None] = {}
    for name in names:
        accident = draw.random()
        value = scale[name] * np.exp(0.3 * draw.standard_normal())
        sign = -1.0 if name in SIGNED and draw.random() < NEGATIVE else 1.0
        row[name] = None if accident < MISSING else 0.0 if accident < MISSING + ZERO else round(sign * value, 3)
    return row


def _book_equity(row: dict[str, float | None]) -> float | None:
    def difference(a: float | None, b: float | None, sign: float) -> float | None:
        return None if a is None or b is None else a + sign * b

    equity = (row["seq"], difference(row["ceq"], row["pstk"], 1.0), difference(row["at"], row["lt"], -1.0))
    shareholders = next((value for value in equity if value is not None), None)
    preferred = next((row[name] for name in ("pstkrv", "pstkl", "pstk") if row[name] is not None), 0.0)
    return None if shareholders is None else shareholders + (row["txditc"] or 0.0) - preferred


def _annual_statements(draw: np.random.Generator, gvkey: str, first: int, last: int) -> list[dict]:
    """One firm's years; one firm in three changes its fiscal year once."""
    scale = {name: np.exp(4.0 + draw.standard_normal()) for name in ANNUAL_ITEMS}
    fyr, changes = int(draw.integers(1, 13)), int(draw.integers(first, last)) if draw.random() < 0.3 else None
    ends = []
    for year in range(first, last + 1):
        if draw.random() >= 0.12:
            ends.append((date(year, fyr, 1), fyr))
        if year == changes:
            fyr = (fyr + int(draw.integers(3, 9)) - 1) % 12 + 1
            ends.append((date(year + int(fyr < ends[-1][1]) if ends else year, fyr, 1), fyr))
    rows, sich = {}, int(draw.choice(INDUSTRIES))
    for end, fyr_then in ends:
        sich = int(draw.choice(INDUSTRIES)) if draw.random() < 0.1 else sich
        items = _items(draw, ANNUAL_ITEMS, scale)
        rows[end] = {
            "month": _shift(end, 4), "gvkey": gvkey, "datadate": _month_end(end),
            "fyear": end.year if fyr_then >= 6 else end.year - 1, "fyr": fyr_then,
            "sich": None if draw.random() < 0.1 else sich,
            "naicsh": None if draw.random() < 0.1 else int(draw.choice(NAICS)), **items,
            "book_equity": _book_equity(items),
        }  # fmt: skip
    return list(rows.values())


def _report_date(draw: np.random.Generator, end: date) -> date | None:
    """Announcement of a quarter: usually within weeks, sometimes missing or up to a year late."""
    kind = draw.random()
    if kind < 0.08:
        return None
    return _month_end(end) + timedelta(days=int(draw.integers(10, 75) if kind < 0.9 else draw.integers(75, 365)))


def _quarterly_statements(draw: np.random.Generator, gvkey: str, first: int, last: int) -> list[dict]:
    """One firm's quarters; their numbers jump up to three back or two ahead when the fiscal year changes."""
    scale = {name: np.exp(3.0 + draw.standard_normal()) for name in QUARTERLY_ITEMS}
    end, number, rows = date(first, int(draw.integers(1, 4)), 1), 4 * first, []
    while end.year <= last:
        if draw.random() >= 0.1:
            rdq = _report_date(draw, end)
            rows.append(
                {
                    "month": _shift(end, 3) if rdq is None else rdq.replace(day=1),
                    "gvkey": gvkey, "datadate": _month_end(end), "fyearq": number // 4, "fqtr": number % 4 + 1,
                    "rdq": rdq, **_items(draw, QUARTERLY_ITEMS, scale),
                }
            )  # fmt: skip
        end, number = _shift(end, 3), number + 1 + (int(draw.integers(-3, 3)) if draw.random() < 0.03 else 0)
    return rows


def _stock_months(draw: np.random.Generator, permno: int, permco: int, months: Sequence[date]) -> list[dict]:
    price, shares, sic = np.exp(3.0 + draw.standard_normal()), float(round(np.exp(9.0 + draw.standard_normal()))), None
    rows = []
    for number, month in enumerate(months):
        growth, dividend = 0.01 + 0.1 * draw.standard_normal(), 0.004 * (number % 3 == 0) * (permno % 2)
        price = max(price * (1.0 + growth - dividend), 0.5)
        if draw.random() < 0.02:
            continue
        sic = int(draw.choice(INDUSTRIES)) if number == 0 or draw.random() < 0.01 else sic
        priced, earned, split = draw.random() >= 0.02, draw.random() >= 0.01, draw.random() >= 0.02
        rows.append(
            {
                "month": month, "permno": permno, "permco": permco, "prc": price if priced else None,
                "ret": growth if priced and earned else None,
                "retx": growth - dividend if priced and earned and split else None,
                "shrout": shares, "volume": float(draw.choice([0.0, 1.0], p=[0.02, 0.98]) * round(50.0 * shares)),
                "me": price * shares / 1000.0 if priced else None, "cfacpr": 1.0, "cfacshr": 1.0,
                "siccd": sic, "exchange": "N", "in_universe": bool(draw.random() > 0.03),
                "delisted": number == len(months) - 1,
            }
        )  # fmt: skip
    return rows


def _linked(rows: Sequence[dict], gvkeys: Sequence[str]) -> list[dict]:
    """Link stocks to firms: one in eleven shares its neighbour's firm, one in thirteen has none, some change it."""
    links = []
    for row in rows:
        stock = row["permno"] - 10_001
        firm = stock - 1 if stock % 11 == 3 else stock
        firm = firm + 1 if stock % 9 == 4 and row["month"] >= date(2013, 1, 1) else firm
        if stock % 13 != 5:
            keys = {name: row[name] for name in ("month", "permno", "permco")}
            links.append({**keys, "gvkey": gvkeys[firm % len(gvkeys)]})
    return links


def random_market(seed: int, stocks: int = 60, months: int = 132) -> dict[str, pl.DataFrame]:
    """Draw the frames that ``slow_firm_characteristics`` takes, under its names for them; months begin in 2005."""
    draw = np.random.default_rng(seed)
    calendar = [_shift(date(2005, 1, 1), number) for number in range(months)]
    gvkeys = [f"{1000 + number:06d}" for number in range(stocks)]
    prices, annual, quarterly = [], [], []
    for number, gvkey in enumerate(gvkeys):
        listed = 0 if number % 3 == 0 else int(draw.integers(0, months // 2))
        left = months if number % 5 else int(draw.integers(months // 2, months))
        prices += _stock_months(draw, 10_001 + number, 20_001 + number - (number % 7 == 3), calendar[listed:left])
        first = int(draw.integers(1996, 2010))
        annual += _annual_statements(draw, gvkey, first, 2016)
        quarterly += _quarterly_statements(draw, gvkey, first, 2016)
    known = pl.col("me").is_not_null().any().over("month", "permco")
    crsp = pl.DataFrame(prices, infer_schema_length=None).sort("month", "permno")
    crsp = crsp.with_columns(me_permco=pl.when(known).then(pl.col("me").sum().over("month", "permco")))
    daily = [pl.Series(name, draw.standard_normal(crsp.height)) for name in DAILY]
    return {
        "crsp_monthly": crsp,
        "compustat_annual": pl.DataFrame(annual, infer_schema_length=None).sort("month", "gvkey", "datadate"),
        "compustat_quarterly": pl.DataFrame(quarterly, infer_schema_length=None).sort("month", "gvkey", "datadate"),
        "firm_links": pl.DataFrame(_linked(prices, gvkeys)).sort("month", "permno"),
        "daily_characteristics": crsp.select("month", "permno").with_columns(daily),
    }


def annual_history(annual: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Count each firm's annual statements that are out by each month: month, gvkey, n_years."""
    counts = [
        annual.filter(pl.col("month") <= month).group_by("gvkey").len("n_years").with_columns(month=pl.lit(month))
        for month in months
    ]
    return pl.concat(counts).select("month", "gvkey", pl.col("n_years").cast(pl.Int64)).sort("month", "gvkey")
