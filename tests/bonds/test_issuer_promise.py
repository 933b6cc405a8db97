"""The issuer match against plain loops over everything, month by month and with other later rows."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.issuer_link import REASONS, bond_issuer_candidates, bond_issuer_link
from pipeline.bonds.issuer_names import LEGAL_FORMS, company_name
from pipeline.equity.firm_names import firm_names
from pipeline.panel.calendar import month_number, month_range, shift

FIRST, LAST = date(2004, 1, 1), date(2006, 6, 1)
MONTHS = month_range(FIRST, LAST)
BUILT = MONTHS[6:]
STEMS = ("NORVANE MINES", "NORVANI MINES", "NORVANE MINING WORKS", "VALDALE CONSOLIDATED POWER",
         "VALDALA CONSOLIDATED POWER", "CESMONT", "CESMONT RAIL", "TORGATE OIL EXPLORATION", "TORGATI OIL EXPLORATION",
         "NORTHERN OIL EXPLORATION", "SOUTHERN OIL EXPLORATION", "OIL NORTHERN EXPLORATION", "QUINLEAF STORES",
         "HARBROOK PAPER MILLS", "HARBROOM PAPER MILLS")  # fmt: skip
FORMS = (" INC", " CORP", " CO", "")


class Draw:
    """A small market whose firms change names, leave, come back, merge and lose their accounts."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.crsp = self._crsp(rng)
        self.links = self._links(rng)
        self.accounts = self._accounts(rng)
        self.issues = self._issues(rng)
        self.wrds = self._wrds(rng)

    @staticmethod
    def _name(rng: np.random.Generator) -> str:
        return str(rng.choice(STEMS)) + str(rng.choice(FORMS))

    def _crsp(self, rng: np.random.Generator) -> pl.DataFrame:
        rows = []
        for permno in range(1, 26):
            permco = 100 + permno * 4 // 5  # some companies have two stocks
            start, stop = sorted(rng.integers(0, len(MONTHS) + 12, 2).tolist())
            if permno % 3 == 0:
                start, stop = 0, len(MONTHS) + 12
            name = self._name(rng)
            for number, month in enumerate(MONTHS):
                if rng.random() < 0.03:
                    name = self._name(rng)
                if start <= number <= stop and rng.random() < 0.97:
                    me = None if rng.random() < 0.05 else float(rng.integers(1, 6))
                    rows.append((month, permno, permco, rng.random() < 0.9, number == stop, me, name))
        columns = {"month": pl.Date, "permno": pl.Int64, "permco": pl.Int64, "common": pl.Boolean,
                   "delisted": pl.Boolean, "me": pl.Float64, "comnam": pl.String}  # fmt: skip
        return pl.DataFrame(rows, schema=columns, orient="row")

    def _links(self, rng: np.random.Generator) -> pl.DataFrame:
        held = self.crsp.select("month", "permno", "permco").filter(pl.Series(rng.random(self.crsp.height) < 0.85))
        return held.with_columns(gvkey=pl.format("G{}", pl.col("permco") + pl.col("permno") % 2))

    @staticmethod
    def _accounts(rng: np.random.Generator) -> pl.DataFrame:
        rows = [
            (shift(ended, 4), f"G{key}", ended.replace(day=28), [None, 0.0, 5.0, 5.0, 5.0, 5.0][rng.integers(6)])
            for key in range(100, 122)
            for ended in (date(2002, 12, 1), date(2003, 12, 1), date(2004, 12, 1), date(2005, 12, 1))
            if rng.random() < 0.75
        ]
        columns = {"month": pl.Date, "gvkey": pl.String, "datadate": pl.Date, "at": pl.Float64}
        return pl.DataFrame(rows, schema=columns, orient="row")

    def _issues(self, rng: np.random.Generator) -> pl.DataFrame:
        rows = []
        for number in range(40):
            offered = date(2003, 10, 1) + timedelta(days=int(rng.integers(0, 850)))
            name = None if rng.random() < 0.03 else self._name(rng)
            if name and rng.random() < 0.3:
                place = int(rng.integers(0, len(name)))
                name = name[:place] + name[place + 1 :]
            dates = (None, offered) if number % 7 == 0 else (offered, offered - timedelta(days=90))
            dates = (None, None) if number == 20 else dates
            rows += [
                (month, f"B{number:02d}", number // 3, name, *dates)
                for month in BUILT
                if month >= offered.replace(day=1) or dates == (None, None)
            ]
        columns = {"month": pl.Date, "cusip": pl.String, "issuer_id": pl.Int64, "issuer_name": pl.String,
                   "offering_date": pl.Date, "dated_date": pl.Date}  # fmt: skip
        return pl.DataFrame(rows, schema=columns, orient="row")

    @staticmethod
    def _wrds(rng: np.random.Generator) -> pl.DataFrame:
        rows = []
        for number in range(0, 40, 5):
            start = date(2004, 2, 1) + timedelta(days=int(rng.integers(0, 600)))
            end = start + timedelta(days=int(rng.integers(30, 500)))
            permno = int(rng.integers(1, 26))
            permco = None if number % 2 else 100 + permno * 4 // 5
            rows.append((start.replace(day=1), f"B{number:02d}", start, permno, permco, "start", None))
            rows.append((end.replace(day=1), f"B{number:02d}", start, permno, None, "end", end))
        columns = {"month": pl.Date, "cusip": pl.String, "link_startdt": pl.Date, "permno": pl.Int64,
                   "permco": pl.Int64, "event": pl.String, "link_enddt": pl.Date}  # fmt: skip
        return pl.DataFrame(rows, schema=columns, orient="row")

    def names(self) -> pl.DataFrame:
        parts, known = [], None
        for month in MONTHS:
            known = firm_names(self.crsp, month, known)
            parts.append(known)
        return pl.concat(parts)

    def inputs(self) -> tuple[Any, ...]:
        return self.issues, self.names(), self.crsp, self.links, self.accounts, self.wrds


def edits(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


COMPASS = {
    a + b + c for a in ("", "NORTH", "SOUTH") for b in ("", "EAST", "WEST") for c in ("", "ERN") if a + b + c
}  # fmt: skip


def slow_same_word(one: str, other: str) -> bool:
    if one == other:
        return True
    if min(len(one), len(other)) <= 3 or set(one + other) & set("0123456789"):
        return False
    if {one, other} <= COMPASS or set(one + other) <= set("IVXLC"):
        return False
    cut = one[: len(other)] == other or other[: len(one)] == one
    return cut or 5 * edits(one, other) <= max(len(one), len(other))


def slow_other_word(one: list[str], other: list[str]) -> bool:
    """Whether no reading of two names, word by word, lets all their words be the same ones."""
    if one == other:
        return False
    if one and other and one[0] == other[0]:
        return slow_other_word(one[1:], other[1:])
    if one and other and one[-1] == other[-1]:
        return slow_other_word(one[:-1], other[:-1])
    if len(one) == len(other):
        return not all(slow_same_word(*pair) for pair in zip(one, other, strict=True))
    if one and other:
        return "".join(one) != "".join(other) and not slow_same_word("".join(one), "".join(other))
    return not set(one + other) <= {"AND", "OF", "THE", *LEGAL_FORMS}


def slow_spells(crsp: list[dict], month: date) -> list[dict]:
    """First and last month of every stock's every name."""
    spells: dict[tuple[int, str], dict] = {}
    for row in crsp:
        if row["month"] <= month:
            new = {"name": row["comnam"], "first": row["month"]}
            spell = spells.setdefault((row["permno"], row["comnam"]), new)
            spell.update(last=row["month"], permco=row["permco"])
    return list(spells.values())


def slow_issuer(name: str | None, offered: date | None, spells: list[dict]) -> tuple[str | None, int | None]:
    """Reason, company: the rule in whole numbers of twentieths, by comparing with every name."""
    spelled = company_name(name)
    if not spelled.core:
        return "no name", None

    def borne(spell: dict) -> bool:
        return offered is not None and spell["first"] <= offered and spell["last"] >= shift(offered, -1)

    best: dict[int, tuple] = {}
    for permco in {spell["permco"] for spell in spells}:
        own = [spell for spell in spells if spell["permco"] == permco]
        then = [spell for spell in own if borne(spell)]
        later = [spell for spell in own if offered is None or spell["last"] >= offered]
        for spell in then or later:
            firm = company_name(spell["name"])
            longer = max(len(spelled.core), len(firm.core))
            ours, theirs = spelled.core.split(), firm.core.split()
            readings = [
                (slow_other_word(one, other), edits(" ".join(one), " ".join(other)))
                for one, other in ((ours, theirs), (sorted(ours), sorted(theirs)))
            ]
            near = [(word, apart) for word, apart in readings if 20 * apart <= 3 * longer]
            if not near:
                continue
            word, apart = min(near)
            both = spelled.form != "" and firm.form != ""
            same, other = both and spelled.form == firm.form, both and spelled.form != firm.form
            claim = (not word, 1 - apart / longer, same, other)
            best[permco] = max(best.get(permco, claim), claim)
            best[permco] = (*best[permco][:4], bool(then))
    if not best:
        return "no candidate", None

    def order(permco: int) -> tuple:
        right, alike, same, _, then = best[permco]
        return right, then and alike > 0.9 - 1e-9, alike, then, same, -permco

    permco = max(best, key=order)
    right, top, same, _, in_force = best[permco]
    if top < 0.9 - 1e-9:
        return "below similarity", None
    if not right:
        return "other word", None
    for rival, (right, alike, _, other, then) in best.items():
        excused = alike < top + 1e-9 and ((in_force and not then) or (same and other) or not right)
        if rival != permco and alike > top - 0.05 + 1e-9 and not excused:
            return "ambiguous", None
    return None, permco


def slow_company(draw: Draw, permco: int, month: date) -> tuple[str | None, int | None, str | None]:
    """Reason, stock, accounts of a company."""
    rows = [row for row in draw.crsp.to_dicts() if row["month"] == month and row["permco"] == permco]
    stocks = [row for row in rows if row["common"] and not row["delisted"] and row["me"] is not None]
    if not stocks:
        return "not listed", None, None
    stock = min(stocks, key=lambda row: (-row["me"], row["permno"]))
    links = {row["permno"]: row["gvkey"] for row in draw.links.to_dicts() if row["month"] == month}
    rows.sort(key=lambda row: (not (row["common"] and not row["delisted"]), -(row["me"] or 0.0), row["permno"]))
    linked = [links[row["permno"]] for row in rows if row["permno"] in links]
    if not linked:
        return "no company link", None, None
    gvkey = linked[0]
    known = [
        row for row in draw.accounts.to_dicts()
        if row["gvkey"] == gvkey and 0 <= month_number(month) - month_number(row["month"]) < 18
    ]  # fmt: skip
    if not known:
        return "no accounts", None, None
    if not max(known, key=lambda row: row["datadate"])["at"]:
        return "no assets", None, None
    return None, stock["permno"], gvkey


def slow_wrds(draw: Draw, cusip: str, month: date) -> int | None:
    last_day = shift(month, 1) - timedelta(days=1)
    ends = {(r["cusip"], r["link_startdt"]): r["link_enddt"] for r in draw.wrds.to_dicts() if r["event"] == "end"}
    for row in draw.wrds.to_dicts():
        if row["event"] == "start" and row["cusip"] == cusip:
            held = row["link_startdt"] <= last_day <= ends[cusip, row["link_startdt"]]
            companies = [
                each["permco"] for each in draw.crsp.to_dicts()
                if each["month"] == month and each["permno"] == row["permno"]
            ]  # fmt: skip
            permco = row["permco"] or (companies[0] if companies else None)
            if held and permco:
                return permco
    return None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equals_plain_loops(seed):
    draw = Draw(seed)
    months = BUILT[::8]
    found = bond_issuer_link(*draw.inputs(), months).select("month", "cusip", "permno", "permco", "gvkey", "reason")
    expected = []
    for month in months:
        spells = slow_spells(draw.crsp.to_dicts(), month)
        for bond in draw.issues.filter(pl.col("month") == month).sort("cusip").to_dicts():
            day = bond["offering_date"] or bond["dated_date"]
            permco = slow_wrds(draw, bond["cusip"], month)
            reason = None
            if permco is None:
                reason, permco = slow_issuer(bond["issuer_name"], day and day.replace(day=1), spells)
            permno = gvkey = None
            if permco is not None:
                reason, permno, gvkey = slow_company(draw, permco, month)
            expected.append((month, bond["cusip"], permno, None if reason else permco, gvkey, reason))
    assert found.rows() == expected


def test_the_draws_have_every_outcome():
    reasons: Counter[str] = Counter()
    rejections: Counter[str] = Counter()
    for seed in (1, 2, 3):
        inputs = Draw(seed).inputs()
        reasons.update(bond_issuer_link(*inputs, BUILT)["reason"].to_list())
        rejections.update(bond_issuer_candidates(*inputs, BUILT)["rejection"].to_list())
    assert set(reasons) == {None, *REASONS}
    assert set(rejections) >= {None, "name not in force", "later name", "other legal form", "less similar"}
    assert min(reasons.values()) >= 5


@pytest.mark.parametrize("function", [bond_issuer_link, bond_issuer_candidates])
def test_a_range_equals_its_months(function):
    inputs = Draw(1).inputs()
    together = function(*inputs, BUILT)
    assert together["month"].n_unique() == len(BUILT)
    for month in BUILT:
        assert_frame_equal(together.filter(pl.col("month") == month), function(*inputs, [month]), check_exact=True)
    assert function(*inputs, []).is_empty()
    assert function(*inputs, BUILT[::-1] * 2).equals(together)


@pytest.mark.parametrize("function", [bond_issuer_link, bond_issuer_candidates])
def test_later_rows_do_not_matter(function):
    draw, other = Draw(1), Draw(9)
    inputs, others = draw.inputs(), other.inputs()
    together = function(*inputs, BUILT)
    for month in BUILT[::3]:
        later = pl.col("month") > month
        cut = [each.filter(~later) for each in inputs]
        changed = [pl.concat([each, theirs.filter(later)]) for each, theirs in zip(cut, others, strict=True)]
        own = together.filter(pl.col("month") == month)
        for rows in (cut, changed):
            assert_frame_equal(own, function(*rows, [month]), check_exact=True)


@pytest.mark.parametrize("function", [bond_issuer_link, bond_issuer_candidates])
def test_the_order_of_rows_does_not_matter(function):
    inputs = Draw(2).inputs()
    shuffled = [each.sample(fraction=1.0, shuffle=True, seed=3) for each in inputs]
    assert_frame_equal(function(*inputs, BUILT), function(*shuffled, BUILT), check_exact=True)


def test_the_audit_agrees_with_the_link():
    inputs = Draw(3).inputs()
    links, audit = bond_issuer_link(*inputs, BUILT), bond_issuer_candidates(*inputs, BUILT)
    matched = links.filter(pl.col("reason").is_null()).select("month", "issuer_id", "permco").unique()
    accepted = audit.filter("accepted").select("month", "issuer_id", "permco")
    assert_frame_equal(matched, accepted, check_row_order=False)
    assert audit.select("month", "issuer_id", "permco").is_unique().all()
    assert (audit["accepted"] == audit["rejection"].is_null()).all()
