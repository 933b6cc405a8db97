"""Building by manifest: what is refused, and in which words."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date

import dataframely as dy
import numpy as np
import polars as pl
import pytest

from assets.building import BrokenChain, Counted, MissingExtracts, MonthlyAsset, Step, Workshop
from assets.contract import InvalidRows
from assets.reads import Partitions, Rows
from pipeline.panel.calendar import month_range
from resources.home import Home
from resources.lake import Lake, MissingPartitions
from resources.models import MissingState

FIRST, LAST = date(2020, 1, 1), date(2020, 6, 1)


class Level(dy.Schema):
    """A month and a level."""

    month = dy.Date(primary_key=True)
    level = dy.Float64(min=0.0)


def _level(inputs, months, settings):
    prices = inputs["prices"].filter(pl.col("month").is_in(months))
    return prices.group_by("month").agg(level=pl.col("adj_close").last())


def _sum(inputs, month, settings, previous):
    now = inputs["level"].filter(pl.col("month") == month)["level"].sum()
    before = previous.frame["level"][0] if previous else 0.0
    return Step(pl.DataFrame({"month": [month], "level": [before + now]}))


LEVEL = MonthlyAsset(
    name="level",
    group="g",
    description="d",
    schema=lambda settings: Level,
    reads=lambda settings: {"prices": Rows(source="prices.VIX")},
    compute=_level,
)
TOTAL = MonthlyAsset(
    name="total",
    group="g",
    description="d",
    schema=lambda settings: Level,
    reads=lambda settings: {"level": Partitions(source="level")},
    compute=_sum,
    recursive=True,
)
MEAN = MonthlyAsset(
    name="mean",
    group="g",
    description="d",
    schema=lambda settings: Level,
    reads=lambda settings: {"level": Partitions(source="level", lookback=2)},
    compute=lambda inputs, months, settings: pl.DataFrame(
        {"month": list(months), "level": [inputs["level"]["level"].mean()] * len(months)}
    ),
)


def prices(folder, rows, ticker="VIX"):
    lines = ["Price,Adj Close,Close,High,Low,Open,Volume", "Ticker" + f",{ticker}" * 6, "Date" + "," * 6]
    lines += [f"{day},{value},{value},{value},{value},{value},0" for day, value in rows]
    (folder / "extracts" / "prices").mkdir(parents=True, exist_ok=True)
    (folder / "extracts" / "prices" / f"{ticker}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path):
    prices(tmp_path, [(month.replace(day=28), 10.0 + i) for i, month in enumerate(month_range(FIRST, LAST))])
    return tmp_path


def workshop(folder, *assets):
    return Workshop(assets or (LEVEL, TOTAL, MEAN), Home(folder))


def statuses(shop, name, months, **options):
    return [outcome.status for outcome in shop.build(name, months, **options)]


def test_up_to_date_months_are_left_alone_and_rebuild_from_does_not(folder):
    shop = workshop(folder)
    months = month_range(FIRST, LAST)
    assert statuses(shop, "level", months) == ["built"] * 6
    assert statuses(shop, "level", months) == ["current"] * 6
    rebuilt = statuses(shop, "level", months, rebuild_from=date(2020, 4, 1))
    assert sorted(rebuilt) == ["built"] * 3 + ["current"] * 3


def test_months_before_the_data_are_said_to_be(folder):
    shop = workshop(folder)
    assert statuses(shop, "level", month_range(date(2019, 11, 1), FIRST)) == ["before data"] * 2 + ["built"]
    assert shop.home.lake.months("level") == [FIRST]


def test_a_month_without_rows_is_an_empty_partition(folder):
    shop = workshop(folder)
    assert statuses(shop, "level", [date(2020, 7, 1)]) == ["built"]
    assert shop.home.lake.read("level", date(2020, 7, 1)).height == 0


def test_rebuild_from_cascades_through_a_recursive_asset(folder):
    shop = workshop(folder)
    months = month_range(FIRST, LAST)
    statuses(shop, "level", months)
    assert statuses(shop, "total", months) == ["built"] * 6
    assert shop.home.lake.read("total", LAST)["level"][0] == sum(range(10, 16))
    assert statuses(shop, "total", months, rebuild_from=date(2020, 5, 1)) == ["current"] * 4 + ["built"] * 2
    prices(folder, [(month.replace(day=28), 10.0 + i + (i == 3)) for i, month in enumerate(months)])
    shop = workshop(folder)
    assert sorted(statuses(shop, "level", months)) == ["built"] + ["current"] * 5
    assert statuses(shop, "total", months) == ["current"] * 3 + ["built"] * 3
    assert shop.home.lake.read("total", LAST)["level"][0] == sum(range(10, 16)) + 1


class Crash(BaseException):
    """What kill -9 is to a process."""


STATE = MonthlyAsset(
    name="state",
    group="g",
    description="d",
    schema=lambda settings: Level,
    reads=lambda settings: {"level": Partitions(source="level")},
    compute=lambda inputs, month, settings, previous: Step(
        _sum(inputs, month, settings, previous).frame,
        {"sum": np.array([(previous.arrays["sum"][0] if previous else 0.0) + 1.0])},
        {"month": str(month)},
    ),
    recursive=True,
)


def test_a_crash_between_state_and_manifest_leaves_the_old_pair(folder, monkeypatch):
    shop = workshop(folder, LEVEL, STATE)
    months = month_range(FIRST, LAST)
    statuses(shop, "level", months)
    statuses(shop, "state", months)
    before = shop.home.lake.manifest("state", LAST)
    states = sorted(folder.rglob("*.safetensors"))
    prices(folder, [(month.replace(day=28), 20.0 + i) for i, month in enumerate(months)])
    shop = workshop(folder, LEVEL, STATE)
    statuses(shop, "level", months)
    write = Lake.write

    def crash(self, asset, month, *args, **options):
        if month == LAST:
            raise Crash
        return write(self, asset, month, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "write", crash)
        with pytest.raises(Crash):
            statuses(shop, "state", months)
    prices(folder, [(month.replace(day=28), 10.0 + i) for i, month in enumerate(months)])
    shop = workshop(folder, LEVEL, STATE)
    statuses(shop, "level", months)
    statuses(shop, "state", months)
    assert shop.home.lake.manifest("state", LAST) == before
    assert sorted(folder.rglob("*.safetensors")) == states


def test_a_lost_or_damaged_state_is_built_again(folder):
    shop = workshop(folder, LEVEL, STATE)
    months = month_range(FIRST, LAST)
    statuses(shop, "level", months)
    statuses(shop, "state", months)
    before = {path: path.read_bytes() for path in folder.rglob("*.safetensors")}
    manifest = shop.home.lake.manifest("state", months[3])
    lost = shop.home.models.path("state", months[3], manifest.state)
    lost.unlink()
    with pytest.raises(MissingState, match=r"state has lost its state of 2020-04. Materialise it for that month again"):
        statuses(shop, "state", [months[4]], rebuild_from=months[4])
    assert statuses(shop, "state", months) == ["current"] * 3 + ["built"] + ["current"] * 2
    assert {path: path.read_bytes() for path in folder.rglob("*.safetensors")} == before
    shutil.copy(shop.home.models.path("state", months[2], shop.home.lake.manifest("state", months[2]).state), lost)
    with pytest.raises(MissingState, match="was damaged and has been removed"):
        statuses(shop, "state", [months[4]], rebuild_from=months[4])


def test_partitions_before_the_data_go_when_the_extract_begins_later(folder):
    shop = workshop(folder)
    months = month_range(FIRST, LAST)
    statuses(shop, "level", months)
    prices(folder, [(month.replace(day=28), 10.0) for month in months[2:]])
    shop = workshop(folder)
    statuses(shop, "level", months)
    assert shop.home.lake.months("level") == months[2:]


def test_a_missing_upstream_month_is_named(folder):
    shop = workshop(folder)
    statuses(shop, "level", [FIRST, LAST])
    with pytest.raises(MissingPartitions, match=r"mean reads 2 month\(s\) of level .*: 2020-04, 2020-05"):
        statuses(shop, "mean", [LAST])


def test_a_missing_state_is_named(folder):
    shop = workshop(folder)
    statuses(shop, "level", month_range(FIRST, LAST))
    with pytest.raises(BrokenChain, match="total for 2020-06 goes on from 2020-05, which is not in the lake"):
        statuses(shop, "total", [LAST])


def test_missing_extracts_are_named(tmp_path):
    shop = workshop(tmp_path)
    assert shop.lacking("mean") == ["prices/VIX.csv"]
    assert shop.buildable() == []
    with pytest.raises(MissingExtracts, match=r"level needs prices/VIX.csv in extracts/"):
        statuses(shop, "level", [FIRST])


def test_rows_that_break_the_schema_are_not_written(folder):
    broken = MonthlyAsset(
        name="broken",
        group="g",
        description="d",
        schema=lambda settings: Level,
        reads=LEVEL.reads,
        compute=lambda inputs, months, settings: pl.DataFrame({"month": list(months), "level": [-1.0] * len(months)}),
    )
    shop = workshop(folder, broken)
    with pytest.raises(
        InvalidRows, match=r"broken: 2 row\(s\) break level\|min; first .*2020, 1, 1.*Nothing was written"
    ):
        statuses(shop, "broken", month_range(FIRST, date(2020, 2, 1)))
    assert shop.home.lake.months("broken") == []


def test_windows_reach_back_for_what_is_wanted(folder):
    shop = workshop(folder)
    shop.refresh(shop.assets)
    assert shop.first_needed(["mean"], LAST) == {"mean": LAST, "level": date(2020, 4, 1)}
    assert shop.first_needed(["total"], LAST) == {"total": FIRST, "level": FIRST}


def _counted(*figures):
    """The asset ``level``, whose figures for the first months are a by-product."""
    said = dict(zip(month_range(FIRST, LAST), figures, strict=False))
    return MonthlyAsset(
        name="level",
        group="g",
        description="d",
        schema=lambda settings: Level,
        reads=LEVEL.reads,
        compute=lambda inputs, months, settings: Counted(
            _level(inputs, months, settings), {month: said[month] for month in months if month in said}
        ),
        figures=lambda rows, inputs, month, settings: {"rows": rows.height, "month": f"{month:%Y-%m}"},
        chunk_months=4,
    )


def test_figures_counted_by_month_reach_the_manifests(folder):
    """Across chunks; a month that nothing was counted for, an empty count being one, says what the asset says."""
    figures = [{"read": 10, "dropped": {"late": 1}}, {"read": 20}, {}, {"read": 30}, {"read": 40}]
    shop = workshop(folder, _counted(*figures))
    months = month_range(FIRST, LAST)
    assert statuses(shop, "level", months) == ["built"] * 6
    said = [shop.home.lake.manifest("level", month).metadata for month in months]
    assert said == [*figures, {"rows": 1, "month": "2020-06"}]
    assert statuses(shop, "level", months) == ["current"] * 6


def test_what_was_counted_is_no_part_of_the_contents(folder):
    shop, other = workshop(folder, LEVEL), workshop(folder, _counted({"read": 10}))
    statuses(shop, "level", [FIRST])
    plain = shop.home.lake.manifest("level", FIRST)
    statuses(other, "level", [FIRST], rebuild_from=FIRST)
    counted = other.home.lake.manifest("level", FIRST)
    assert (plain.metadata, counted.metadata) == ({}, {"read": 10})
    assert (plain.content, plain.digest) == (counted.content, counted.digest)


def test_counted_rows_are_held_to_the_schema_too(folder):
    broken = replace(
        _counted(),
        compute=lambda inputs, months, settings: Counted(
            pl.DataFrame({"month": list(months), "level": [-1.0] * len(months)}), {month: {} for month in months}
        ),
    )
    with pytest.raises(InvalidRows, match=r"break level\|min"):
        statuses(workshop(folder, broken), "level", [FIRST])


def _reading(**reads):
    """An asset of prices; each read of ticker, lag, spine and whether it may be absent."""
    return MonthlyAsset(
        name="quotes",
        group="g",
        description="d",
        schema=lambda settings: Level,
        reads=lambda settings: {
            ticker: Rows(source=f"prices.{ticker}", lag=lag, spine=spine, optional=optional)
            for ticker, (lag, spine, optional) in reads.items()
        },
        compute=_level,
    )


@pytest.mark.parametrize(
    ("reads", "origin"),
    [
        # VIX begins in January, LQD in March, SPY in May; of EEM there is no file.
        ({"VIX": (0, True, False), "SPY": (0, True, False)}, 5),
        ({"VIX": (0, "prices", False), "SPY": (0, "prices", False)}, 1),
        ({"SPY": (0, "prices", False), "LQD": (0, "prices", True)}, 3),
        ({"SPY": (0, "prices", False), "EEM": (0, "prices", True)}, 5),
        ({"LQD": (0, True, False), "VIX": (0, "prices", False), "SPY": (0, "prices", True)}, 3),
        ({"SPY": (0, True, False), "VIX": (0, "prices", False), "LQD": (0, "prices", True)}, 5),
        ({"VIX": (0, "bonds", False), "LQD": (0, "stocks", False), "SPY": (0, "stocks", False)}, 3),
        ({"LQD": (3, "prices", False), "SPY": (0, "prices", False)}, 5),
        ({"LQD": (1, "prices", False), "SPY": (0, "prices", False)}, 4),
        # What is no spine does not count where there is one; without any, all must have begun.
        ({"LQD": (0, "prices", False), "SPY": (0, False, False)}, 3),
        ({"LQD": (0, False, False), "SPY": (0, False, False)}, 5),
    ],
)
def test_an_asset_begins_where_the_first_of_spines_with_one_word_does(folder, reads, origin):
    for ticker, begins in (("LQD", date(2020, 3, 28)), ("SPY", date(2020, 5, 28))):
        prices(folder, [(begins, 10.0), (date(2020, 6, 26), 11.0)], ticker)
    shop = workshop(folder, _reading(**reads))
    shop.refresh(["quotes"])
    assert shop.lacking("quotes") == []
    assert shop.origin("quotes") == date(2020, origin, 1)


def test_an_asset_whose_required_spine_is_not_there_has_no_beginning(folder):
    shop = workshop(folder, _reading(VIX=(0, "prices", False), EEM=(0, "prices", False)))
    assert shop.lacking("quotes") == ["prices/EEM.csv"]
    assert shop.origin("quotes") is None
