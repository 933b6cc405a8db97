"""The cleaning of trade reports once more, a row at a time in plain Python, sharing no code with the project.

It takes staged reports and issues, so that it can be pointed at any staged market.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, time
from math import log
from statistics import median

import polars as pl

REGIME = date(2012, 2, 6)
SIX = ("cusip", "trd_exctn_dt", "rptd_pr", "entrd_vol_qt", "rpt_side_cd", "cntra_mp_id")


def month(day: date) -> date:
    return day.replace(day=1)


def back(day: date, months: int) -> date:
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


def number(row: dict) -> tuple:
    """Message numbers count by value; what is no number comes first."""
    text = row["msg_seq_nb"]
    if text is None:
        return (-2, "")
    return (int(text) if text.isdigit() else -1, text)


def when(value: time | None) -> tuple:
    return (value is not None, value or time(0))


def executed(row: dict) -> tuple:
    return (row["trd_exctn_dt"], *when(row["trd_exctn_tm"]), number(row), row["rptd_pr"], row["entrd_vol_qt"])


def reported(row: dict) -> tuple:
    reversal = row["asof_cd"] == "R"
    return (row["trd_rpt_dt"], *when(row["trd_rpt_tm"]), reversal, number(row), *when(row["trd_exctn_tm"]))


class Slow:
    """Staged reports, one bond at a time."""

    def __init__(self, reports: pl.DataFrame, issues: pl.DataFrame) -> None:
        self.bonds = defaultdict(list)
        for row in reports.to_dicts():
            self.bonds[row["cusip"]].append(row)
        self.maturity = {}
        for row in sorted(issues.to_dicts(), key=lambda row: row["month"]):
            self.maturity.setdefault(row["cusip"], (row["month"], row["maturity"]))
        self.counts = defaultdict(lambda: [0, 0])
        self.unmatched = dict.fromkeys(LONELY, 0)

    def count(self, step: str, before: list[dict], after: list[dict], inside) -> list[dict]:
        self.counts[step][0] += sum(map(inside, before))
        self.counts[step][1] += sum(map(inside, after))
        return after

    def known(self, cusip: str, in_month: date, as_of: date) -> list[dict]:
        """Trades of a month that pass everything but the judgement of their prices."""
        rows = [row for row in self.bonds[cusip] if row["month"] <= as_of]

        def inside(row):
            return month(row["trd_exctn_dt"]) == in_month <= row["month"]

        for step, keep in STEPS.items():
            if step in LONELY:
                self.unmatched[step] += sum(map(inside, LONELY[step](rows)))
            rows = self.count(step, rows, keep(rows, self.maturity.get(cusip)), inside)
            if step == "as corrected, to 2012":
                rows = [row for row in rows if inside(row)]
        return sorted(rows, key=executed)

    def trades(self, cusip: str, in_month: date, as_of: date) -> list[dict]:
        """Trades with their mended prices, bounce-backs taken out."""
        own = self.known(cusip, in_month, as_of)
        counts, unmatched = {step: list(values) for step, values in self.counts.items()}, dict(self.unmatched)
        before = self.known(cusip, back(in_month, 1), back(in_month, 1))[-6:]
        self.counts.clear()
        self.counts.update(counts)
        self.unmatched = unmatched
        rows = [dict(row, own=False) for row in before] + [dict(row, own=True) for row in own]
        prices = [row["rptd_pr"] for row in rows]
        for k, row in enumerate(rows):
            row["price"], row["mended"] = mended(prices, k), False
            row["mended"] = row["price"] != row["rptd_pr"]
        final = [row["price"] for row in rows]
        kept = [row for k, row in enumerate(rows) if row["own"] and not bounced(final, k)]
        self.count("decimal shifts mended", own, own, bool)
        self.count("no bounce-back", own, kept, bool)
        return kept

    def days(self, cusip: str, in_month: date, as_of: date) -> dict[date, tuple[float, float, int]]:
        """Volume-weighted price, volume and number of trades by day."""
        days = defaultdict(list)
        for row in self.trades(cusip, in_month, as_of):
            days[row["trd_exctn_dt"]].append(row)
        return {
            day: (
                sum(row["price"] * row["entrd_vol_qt"] for row in rows) / sum(row["entrd_vol_qt"] for row in rows),
                sum(row["entrd_vol_qt"] for row in rows),
                len(rows),
            )
            for day, rows in days.items()
        }

    def partition(self, of: date, correction_months: int = 12) -> list[tuple]:
        """Rows of ``trace_daily``: cusip, date, three values as first known, three as corrected."""
        rows = []
        nothing = (None, None, None)
        for cusip in sorted(self.bonds):
            rows += [(cusip, day, *values, *values) for day, values in self.days(cusip, of, of).items()]
            for ago in range(1, correction_months + 1):
                earlier = back(of, ago)
                before, now = self.days(cusip, earlier, back(of, 1)), self.days(cusip, earlier, of)
                first = self.days(cusip, earlier, earlier)
                for day in set(before) | set(now):
                    if before.get(day) != now.get(day):
                        rows.append((cusip, day, *first.get(day, nothing), *now.get(day, nothing)))
        return sorted(rows, key=lambda row: row[:2])


def early(row: dict) -> bool:
    return row["trd_rpt_dt"] < REGIME


def is_trade(row: dict) -> bool:
    return row["trc_st"] in (("T", "W") if early(row) else ("T", "R"))


def one_row(rows, _):
    return [row for row in rows if row["copy"] == 0]


def not_cancelled_early(rows, _):
    gone = {
        (row["trd_rpt_dt"], row["orig_msg_seq_nb"])
        for row in rows
        if early(row) and row["trc_st"] == "C" and row["orig_msg_seq_nb"] is not None
    }
    kept = [row for row in rows if not (early(row) and row["trc_st"] == "C")]
    for row in rows:
        # A cancelled correction still shows that what it replaced is gone.
        row["was_first"] = True
    cancelled = [row for row in kept if early(row) and is_trade(row) and (row["trd_rpt_dt"], row["msg_seq_nb"]) in gone]
    survivors = [row for row in kept if not any(row is other for other in cancelled)]
    for row in survivors:
        row["cancelled_beside"] = [
            (other["trd_rpt_dt"], other["orig_msg_seq_nb"]) for other in cancelled if other["trc_st"] == "W"
        ]
    return survivors


def as_corrected(rows, _):
    def place(row):
        return (row["trd_rpt_dt"], row["msg_seq_nb"])

    def target(row):
        return (row["trd_rpt_dt"], row["orig_msg_seq_nb"])

    old = [row for row in rows if early(row) and is_trade(row)]
    corrections = [row for row in old if row["trc_st"] == "W"]
    named = {target(row) for row in corrections if row["orig_msg_seq_nb"] is not None}
    named |= {each for row in rows for each in row["cancelled_beside"] if each[1] is not None}

    def leads_to_a_trade(row, seen=()):
        if row["orig_msg_seq_nb"] is None or place(row) in seen:
            return False
        targets = [other for other in old if place(other) == target(row)]
        return any(other["trc_st"] == "T" or leads_to_a_trade(other, (*seen, place(row))) for other in targets)

    def stays(row):
        if not (early(row) and is_trade(row)):
            return True
        if row["msg_seq_nb"] is not None and place(row) in named:
            return False
        return row["trc_st"] == "T" or leads_to_a_trade(row)

    return [row for row in rows if stays(row)]


def not_reversed_early(rows, _):
    waiting = defaultdict(list)
    gone = []
    for row in sorted((row for row in rows if early(row) and is_trade(row)), key=reported):
        key = tuple(row[name] for name in SIX)
        if row["asof_cd"] == "R":
            if waiting[key]:
                gone.append(waiting[key].pop(0))
        elif row["asof_cd"] not in ("X", "D"):
            waiting[key].append(row)
    return [row for row in rows if not any(row is other for other in gone)]


def no_as_of(rows, _):
    return [row for row in rows if not (early(row) and row["asof_cd"] in ("R", "X", "D"))]


def _terms(row, named):
    return (*(row[name] for name in SIX), row["trd_exctn_tm"], row[named])


def not_cancelled(rows, _):
    gone = {_terms(row, "msg_seq_nb") for row in rows if not early(row) and row["trc_st"] in ("X", "C")}
    return _without(rows, gone, ("X", "C"))


def not_reversed(rows, _):
    gone = {_terms(row, "orig_msg_seq_nb") for row in rows if not early(row) and row["trc_st"] == "Y"}
    return _without(rows, gone, ("Y",))


def _without(rows, gone, statuses):
    def stays(row):
        if not early(row) and row["trc_st"] in statuses:
            return False
        return not (is_trade(row) and row["msg_seq_nb"] is not None and _terms(row, "msg_seq_nb") in gone)

    return [row for row in rows if stays(row)]


def once_between_dealers(rows, _):
    sales = defaultdict(int)

    def key(row):
        return tuple(row[name] for name in ("trd_exctn_dt", "rptd_pr", "entrd_vol_qt"))

    for row in rows:
        if row["cntra_mp_id"] == "D" and row["rpt_side_cd"] == "S" and None not in key(row):
            sales[key(row)] += 1
    gone = []
    purchases = [row for row in rows if row["cntra_mp_id"] == "D" and row["rpt_side_cd"] == "B"]
    for row in sorted(purchases, key=lambda row: (*when(row["trd_exctn_tm"]), number(row))):
        if sales[key(row)]:
            sales[key(row)] -= 1
            gone.append(row)
    return [row for row in rows if not any(row is other for other in gone)]


def _agency(row) -> bool:
    capacity = {"B": row["buy_cpcty_cd"], "S": row["sell_cpcty_cd"]}.get(row["rpt_side_cd"])
    return capacity == "A" and row["cntra_mp_id"] == "C" and row["cmsn_trd"] == "N"


def _each(test):
    return lambda rows, maturity: [row for row in rows if test(row)]


def _matured(row, issue) -> bool:
    if issue is None or issue[1] is None or row["trd_exctn_dt"] < issue[0]:
        return False
    return row["trd_exctn_dt"] > issue[1]


def lonely_cancellations_early(rows):
    there = {(row["trd_rpt_dt"], row["msg_seq_nb"]) for row in rows if early(row) and is_trade(row)}
    asking = [row for row in rows if early(row) and row["trc_st"] == "C"]
    return [row for row in asking if _blank(row, "orig_msg_seq_nb") or _asked(row) not in there]


def _blank(row, name):
    return row[name] is None


def _asked(row):
    return (row["trd_rpt_dt"], row["orig_msg_seq_nb"])


def lonely_corrections_early(rows):
    old = [row for row in rows if early(row) and is_trade(row)]
    founded = {(row["trd_rpt_dt"], row["msg_seq_nb"]) for row in old if row["trc_st"] == "T" and row["msg_seq_nb"]}
    corrections = [row for row in old if row["trc_st"] == "W"]
    grown = True
    while grown:
        more = {(row["trd_rpt_dt"], row["msg_seq_nb"]) for row in corrections if _asked(row) in founded}
        more = {place for place in more if place[1] is not None} - founded
        grown, founded = bool(more), founded | more
    return [row for row in corrections if _blank(row, "orig_msg_seq_nb") or _asked(row) not in founded]


def lonely_reversals_early(rows):
    free = defaultdict(int)
    lonely = []
    for row in sorted((row for row in rows if early(row) and is_trade(row)), key=reported):
        key = tuple(row[name] for name in SIX)
        if row["asof_cd"] == "R" and not free[key]:
            lonely.append(row)
        elif row["asof_cd"] not in ("X", "D"):
            free[key] += -1 if row["asof_cd"] == "R" else 1
    return lonely


def _lonely(statuses, named):
    def find(rows):
        there = {_terms(row, "msg_seq_nb") for row in rows if is_trade(row) and row["msg_seq_nb"] is not None}
        asking = [row for row in rows if not early(row) and row["trc_st"] in statuses]
        return [row for row in asking if _terms(row, named) not in there]

    return find


# What cancels, corrects or reverses a report that is not there, before each of these steps.
LONELY = {
    "not cancelled, to 2012": lonely_cancellations_early,
    "as corrected, to 2012": lonely_corrections_early,
    "not reversed, to 2012": lonely_reversals_early,
    "not cancelled or corrected, from 2012": _lonely(("X", "C"), "msg_seq_nb"),
    "not reversed, from 2012": _lonely(("Y",), "orig_msg_seq_nb"),
}

STEPS = {
    "one row a report": one_row,
    "not cancelled, to 2012": not_cancelled_early,
    "as corrected, to 2012": as_corrected,
    "not reversed, to 2012": not_reversed_early,
    "no reversal or delayed report, to 2012": no_as_of,
    "not cancelled or corrected, from 2012": not_cancelled,
    "not reversed, from 2012": not_reversed,
    "a trade": _each(is_trade),
    "regular settlement": _each(lambda row: row["days_to_sttl_ct"] is None or int(row["days_to_sttl_ct"]) <= 2),
    "not when-issued": _each(lambda row: row["wis_fl"] != "Y"),
    "not locked in": _each(lambda row: row["lckd_in_ind"] != "Y"),
    "no special condition": _each(lambda row: row["sale_cndtn_cd"] in (None, "@")),
    "once between dealers": once_between_dealers,
    "no agency trade": _each(lambda row: not _agency(row)),
    "price in range": _each(lambda row: row["rptd_pr"] is not None and 0 < row["rptd_pr"] <= 1000),
    "large enough": _each(lambda row: row["entrd_vol_qt"] is not None and row["entrd_vol_qt"] >= 10_000),
    "not after maturity": lambda rows, issue: [row for row in rows if not _matured(row, issue)],
}


def mended(prices: list[float], k: int) -> float:
    around = prices[max(k - 3, 0) : k] + prices[k + 1 : k + 4]
    if len(around) < 3:
        return prices[k]
    if k == 0 or k == len(prices) - 1:
        # Neighbours on one side alone may be those of a price that has changed for good.
        return prices[k]
    middle = median(around)

    def far(one, other):
        # In units of percent, so to say.
        return abs(log(one / other))

    for candidate in (prices[k] / 10, prices[k] * 10, prices[k] / 100, prices[k] * 100):
        agrees = all(far(beside, candidate) <= far(beside, prices[k]) for beside in (prices[k - 1], prices[k + 1]))
        if agrees and abs(candidate - middle) <= 0.03 * middle:
            return candidate
    return prices[k]


def bounced(prices: list[float], k: int) -> bool:
    if k == 0 or k == len(prices) - 1:
        return False
    before, here, after = prices[k - 1 : k + 2]
    away = abs(here - before) >= 0.35 * before and abs(here - after) >= 0.35 * after
    return away and abs(after - before) <= 0.05 * before
