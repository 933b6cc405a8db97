"""Other price sources, links and the truth about prices and returns, against plain dates and plain loops."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import QuantLib as ql

from pipeline.simulation.bond_coupons import accrued_interest, coupons
from pipeline.simulation.bond_sources import NOISE, bond_source_tables
from pipeline.simulation.bond_terms import bond_events, bond_terms
from pipeline.simulation.market import ON_REQUEST, Market, simulate

TABLES = ("bonds.lehman", "bonds.mergent", "bonds.datastream")


def _back(day: date, months: int) -> date:
    total = 12 * day.year + day.month - 1 - months
    return date(total // 12, total % 12 + 1, day.day)


def _calendar(row: dict) -> list[date]:
    """Coupon days, first to last."""
    days, step = [row["maturity"]], 12 // row["frequency"]
    while _back(days[0], step) >= row["first_coupon"]:
        days.insert(0, _back(days[0], step))
    return days


def _slow_interest(row: dict, start: date, end: date) -> float:
    """Interest from one day to a later one at most one coupon later, day by day where the count is of days."""
    coupon = row["coupon"]
    if row["day_count"] == "30/360":
        last = 30 if end.day == 31 and start.day >= 30 else end.day
        months = 12 * (end.year - start.year) + end.month - start.month
        return coupon * (30 * months + last - start.day) / 360
    if row["day_count"] != "ACT/ACT":
        return coupon * (end - start).days / float(row["day_count"][-3:])
    step, total, finish = 12 // row["frequency"], 0.0, row["maturity"]
    while finish > start:
        begin = _back(finish, step)
        for place in range((finish - begin).days):
            if start <= begin + timedelta(days=place) < end:
                total += coupon * step / 12 / (finish - begin).days
        finish = begin
    return total


def _slow_accrued(row: dict, day: date) -> float:
    if not row["frequency"] or day < row["dated"]:
        return 0.0
    return _slow_interest(row, max([row["dated"], *(due for due in _calendar(row) if due <= day)]), day)


def _slow_coupons(row: dict, after: date, through: date) -> float:
    if not row["frequency"]:
        return 0.0
    days = [row["dated"], *_calendar(row)]
    return sum(_slow_interest(row, start, due) for start, due in pairwise(days) if after < due <= through)


def _terms(market: Market) -> list[dict]:
    terms = bond_terms(market.economy)
    names = ("coupon", "frequency", "day_count", "dated", "first_coupon", "maturity", "offered")
    return [{name: getattr(terms, name)[i].item() for name in names} for i in range(terms.n_index)]


def test_interest_and_coupons_by_plain_dates(tiny: Market) -> None:
    terms, rows = bond_terms(tiny.economy), _terms(tiny)
    rng = np.random.default_rng(0)
    bond = np.repeat(np.arange(terms.n_index), 12)
    life = (terms.maturity[bond] - terms.offered[bond]).astype(int)
    day = terms.offered[bond] + np.floor(rng.random(len(bond)) * life).astype(int)
    # Some in the first year, where coupons are odd.
    day[::3] = (terms.offered[bond] + rng.integers(0, 400, len(bond)))[::3]
    later = np.minimum(day + rng.integers(0, 70, len(bond)), terms.maturity[bond])
    fast, paid = accrued_interest(terms, bond, day), coupons(terms, bond, day, later)
    for i, one, two, interest, coupon in zip(
        bond.tolist(), day.tolist(), later.tolist(), fast, paid, strict=True
    ):  # fmt: skip
        assert interest == pytest.approx(_slow_accrued(rows[i], one), abs=1e-12), rows[i]
        assert coupon == pytest.approx(_slow_coupons(rows[i], one, two), abs=1e-12), rows[i]


def _quantlib(row: dict) -> ql.FixedRateBond:
    """The bond as QuantLib knows it."""
    days = {
        name: ql.Date(row[name].day, row[name].month, row[name].year) for name in ("dated", "first_coupon", "maturity")
    }
    schedule = ql.Schedule(
        days["dated"], days["maturity"], ql.Period(12 // row["frequency"], ql.Months), ql.NullCalendar(), ql.Unadjusted,
        ql.Unadjusted, ql.DateGeneration.Backward, False, days["first_coupon"],
    )  # fmt: skip
    counts = {
        "30/360": ql.Thirty360(ql.Thirty360.BondBasis), "ACT/360": ql.Actual360(), "ACT/365": ql.Actual365Fixed(),
        "ACT/ACT": ql.ActualActual(ql.ActualActual.ISMA, schedule),
    }  # fmt: skip
    return ql.FixedRateBond(0, 100.0, schedule, [row["coupon"] / 100], counts[row["day_count"]])


def test_interest_of_month_ends_agrees_with_quantlib(demo: Market) -> None:
    terms, rows, clock = bond_terms(demo.economy), _terms(demo), demo.economy.clock
    prices = demo.economy.bonds.lives.prices
    month, bond = np.nonzero(~np.isnan(prices))
    # Regular first coupons, short and long ones, over the whole book; stubs of another basis are a matter of taste.
    keep = (terms.frequency[bond] > 0) & (np.arange(len(bond)) % 23 == 0)
    month, bond = month[keep], bond[keep]
    day = clock.last_sessions[month]
    fast = accrued_interest(terms, bond, day)
    known = {i: _quantlib(rows[i]) for i in set(bond.tolist())}
    for i, one, interest in zip(bond.tolist(), day.tolist(), fast, strict=True):
        settled = ql.Date(one.day, one.month, one.year)
        expected = known[i].accruedAmount(settled) if one >= rows[i]["dated"] else 0.0
        assert interest == pytest.approx(expected, abs=1e-8), (rows[i], one)


def test_true_returns_by_plain_loops(tiny: Market) -> None:
    economy, rows = tiny.economy, _terms(tiny)
    terms = bond_terms(economy)
    events = bond_events(economy, terms)
    truth = tiny.truth["bond_month_prices"]
    place = {nine[:8]: i for i, nine in enumerate(economy.issues.cusips)}
    before: dict[str, tuple[date, float, float]] = {}
    n = 0
    for row in truth.sort("cusip", "month").iter_rows(named=True):
        i = place[row["cusip"]]
        default, reinstated = events.default[i].item(), events.reinstated[i].item()
        flat = default is not None and default <= row["date"] and (reinstated is None or row["date"] < reinstated)
        interest = 0.0 if flat else _slow_accrued(rows[i], row["date"])
        assert row["accrued_interest"] == pytest.approx(interest, abs=1e-12)
        last = before.get(row["cusip"])
        before[row["cusip"]] = (row["date"], row["price"], interest)
        if last is None:
            assert row["ret"] is None
            continue
        through = row["date"] if default is None or reinstated else min(row["date"], default - timedelta(days=1))
        paid = _slow_coupons(rows[i], last[0], through)
        assert row["coupon_paid"] == pytest.approx(paid, abs=1e-12)
        assert row["ret"] == pytest.approx((row["price"] + interest + paid) / (last[1] + last[2]) - 1, abs=1e-12)
        n += 1
    assert n > 3_000
    assert set(before) == set(place)


def test_truth_covers_the_index_at_its_prices(demo: Market) -> None:
    truth, bonds = demo.truth["bond_month_prices"], demo.economy.bonds
    assert not truth.select("month", "cusip").is_duplicated().any()
    index = pl.DataFrame(
        {
            "month": demo.economy.clock.months.astype("datetime64[D]")[bonds.month],
            "cusip": np.array([nine[:8] for nine in demo.economy.issues.cusips])[bonds.bond],
            "shown": bonds.clean["Price_BOM"],
            "following": bonds.excess + np.concatenate([demo.economy.states.rf[1:], [np.nan]])[bonds.month],
        }
    )
    both = index.join(truth, on=["month", "cusip"])
    assert both.height == index.height
    assert (both["price"] == both["shown"]).all()
    earned = index.with_columns(pl.col("month").dt.offset_by("1mo")).join(truth, on=["month", "cusip"])
    assert earned.height == index["following"].is_not_nan().sum()
    # Monthly coupons on the clean price there, dirty prices and coupon days here: nearly the same.
    ours, index_return = earned["ret"].to_numpy(), earned["following"].to_numpy()
    assert np.corrcoef(ours, index_return)[0, 1] > 0.99
    assert abs(np.mean(ours - index_return)) < 2e-4


@pytest.mark.parametrize("table", TABLES)
def test_sources(demo: Market, table: str) -> None:
    frame = demo.tables[table].with_columns(code=pl.col("cusip").str.head(8), month=pl.col("date").dt.month_start())
    truth = demo.truth["bond_month_prices"]
    joined = frame.join(truth, left_on=["month", "code"], right_on=["month", "cusip"], suffix="_true")
    assert joined.height == frame.height > 5_000
    assert not frame.select("month", "code").is_duplicated().any()
    share = frame["code"].n_unique() / truth["cusip"].n_unique()
    assert 0.1 < share < 0.5
    months = demo.economy.clock.dates[demo.economy.clock.first_snapshot :]
    third = len(months) // 3
    bounds = {"bonds.lehman": months[:third], "bonds.mergent": months, "bonds.datastream": months[third:]}[table]
    assert (frame["month"].min(), frame["month"].max()) == (bounds[0], bounds[-1])
    sessions = set(demo.economy.clock.sessions.tolist())
    if table == "bonds.mergent":
        assert set(frame["date"]) <= sessions
        assert frame["accrued_interest"].null_count() == frame.height
        at_end = (joined["date"] == joined["date_true"]).mean()
        assert 0.05 < at_end < 0.5
        return
    assert (frame["date"] == frame["date"].dt.month_end()).all()
    assert not set(frame["date"]) <= sessions
    error = (joined["price"] / joined["price_true"] - 1).to_numpy()
    assert np.abs(error).max() < 6 * NOISE
    assert error.std() == pytest.approx(NOISE, rel=0.05)
    assert 0.05 < frame["accrued_interest"].null_count() / frame.height < 0.15
    assert (frame["accrued_interest"].is_null() == frame["coupon_paid"].is_null()).all()


def test_sources_pay_by_calendar_months(tiny: Market) -> None:
    rows = dict(zip([nine[:8] for nine in tiny.economy.issues.cusips], _terms(tiny), strict=True))
    failed = {code for code, *_ in tiny.tables["bonds.recovery"].iter_rows()}
    terms = bond_terms(tiny.economy)
    events = bond_events(tiny.economy, terms)
    troubled = {terms.cusips[i][:8] for i in np.flatnonzero(~np.isnat(events.default)).tolist()}
    assert {code[:8] for code in failed} <= troubled
    n = 0
    for code, day, _, interest, paid in tiny.tables["bonds.lehman"].drop_nulls().iter_rows():
        if code not in troubled:
            assert interest == pytest.approx(_slow_accrued(rows[code], day), abs=1e-6)
            assert paid == pytest.approx(
                _slow_coupons(rows[code], day.replace(day=1) - timedelta(days=1), day), abs=1e-6
            )
            n += 1
    assert n > 300


def test_recoveries(demo: Market) -> None:
    frame, lives = demo.tables["bonds.recovery"], demo.economy.bonds.lives
    place = {nine: i for i, nine in enumerate(demo.economy.issues.cusips)}
    assert 5 < frame.height < (lives.default < demo.economy.clock.n).sum()
    for code, day, price in frame.iter_rows():
        month = lives.default[place[code]]
        assert demo.economy.clock.dates[month] == day.replace(day=1)
        assert price == pytest.approx(lives.prices[month, place[code]], abs=0.0051)


def test_links_come_on_request_only(tiny: Market, another: Market) -> None:
    assert list(ON_REQUEST) == ["bond_links"]
    assert not any(name.startswith("wrdsapps") for name in tiny.tables)
    links, truth = another.tables["wrdsapps.bondcrsp_link"], another.truth["bond_issuers"]
    joined = links.with_columns(code=pl.col("cusip").str.head(8)).join(truth, left_on="code", right_on="cusip")
    assert joined.height == links.height > 40
    assert (joined["permno"] == joined["permno_right"]).all()
    assert (joined["permco"] == joined["permco_right"]).all()
    assert (links["link_startdt"] < links["link_enddt"]).all()
    assert 0 < links["link_enddt"].null_count() < links.height
    assert links["link_enddt"].max() <= another.economy.clock.month_ends[-1].item()


def test_deterministic(tiny: Market, another: Market) -> None:
    again = bond_source_tables(tiny.economy)
    assert list(again) == [*TABLES, "bonds.recovery"]
    for name, frame in again.items():
        assert frame.equals(tiny.tables[name]), name
        assert not frame.equals(another.tables[name]), name


def test_another_end_has_the_same_kinds_of_rows() -> None:
    market = simulate("tiny", end=date(2014, 12, 1), vendors=("fisd", "bond_sources"))
    for name, frame in market.tables.items():
        assert frame.height > 0, name
    assert market.tables["bonds.lehman"]["date"].min() == date(2008, 1, 31)
    assert market.truth["bond_month_prices"]["ret"].drop_nulls().is_finite().all()
