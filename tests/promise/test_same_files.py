"""Month by month, in one range, or after kill -9: the same files to the last byte."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date

import pytest
from promise import EARLY, END, build, contents, files

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.panel.calendar import month_range, shift
from pipeline.simulation.history import history
from resources.home import Home

BEFORE = shift(END, -1)
# Among accounts, among characteristics, among models.
KILLED = ("compustat_quarterly", "bond_characteristics", "stock_ipca_dg41")
# After this month every month is a build of its own: models estimate, windows are full. What is estimated anew every
# three months is so in one of the three; the month after goes on from a state that is the one range's to the last byte,
# as all of them are.
START = shift(END, -3)
# What is killed works with several threads, the processes of a test run with one each: no file knows.
THREADS = {"POLARS_MAX_THREADS": "2"}
_BUILD_ALL = """
import sys
from datetime import date
from pathlib import Path
from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.panel.calendar import month_range
from resources.home import Home
workshop = Workshop(MONTHLY_ASSETS, Home(Path(sys.argv[1])))
workshop.refresh(workshop.buildable())
for name in workshop.buildable():
    list(workshop.build(name, month_range(workshop.origin(name), date.fromisoformat(sys.argv[2]))))
"""


@dataclass(frozen=True)
class Grown:
    """What was seen of a home that was built in three stages, two of them onto what the stage before left.

    Attributes
    ----------
    home : Home
        As the last stage left it.
    early : dict
        Content of its partitions when the files ended with `EARLY`.
    before : dict
        Content of its partitions when the files ended a month before the market does.
    finished : list of int
        Partitions that were there at the start of the second stage and whenever it was killed.
    resumed, appended : dict
        Months that were built after the last kill, and when the last month came, by asset.
    """

    home: Home
    early: dict[tuple[str, date], str]
    before: dict[tuple[str, date], str]
    finished: list[int]
    resumed: dict[str, list[date]]
    appended: dict[str, list[date]]


@pytest.fixture(scope="module")
def grown(market, factory) -> Grown:
    """Built through `EARLY` from files that end there, killed on the way to the last month but one, then completed."""
    # A table without a row up to the month says nothing about it; it would not be a file.
    home = factory.home("grown", {name: frame for name, frame in history(market, EARLY).items() if frame.height})
    build(home, EARLY)
    early = contents(home)
    factory.home("grown", history(market, BEFORE))
    finished = [_finished(home)]
    for asset in KILLED:
        finished.append(_finished_when_killed(home, asset))
    resumed = build(home, BEFORE)
    before = contents(home)
    factory.home("grown", market)
    return Grown(home, early, before, finished, resumed, build(home, END))


def _finished_when_killed(home: Home, asset: str) -> int:
    """Build in a process of its own, kill it once it is among the months of an asset, and count the partitions."""
    command = [sys.executable, "-c", _BUILD_ALL, str(home.folder), str(BEFORE)]
    process = subprocess.Popen(command, env=os.environ | THREADS)
    enough = len(month_range(EARLY, BEFORE)) // 4
    while process.poll() is None and _months_after(home, asset, EARLY) < enough:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the build ended before it could be killed"
    return _finished(home)


def _months_after(home: Home, asset: str, month: date) -> int:
    return sum(path.parent.name > f"month={month:%Y-%m}" for path in home.folder.glob(f"lake/{asset}/*/manifest.json"))


def _finished(home: Home) -> int:
    return len(list(home.folder.glob("lake/*/*/manifest.json")))


# The first needs no other home: another process may be building that meanwhile.
def test_an_appended_month_is_built_alone(grown):
    built = {asset: set(months) for asset, months in grown.appended.items()}
    # The vendor ends a name that goes on with the data; the two readers of names see that it has not ended.
    names = {"crsp_monthly": {BEFORE, END}, "crsp_daily": {BEFORE, END}}
    assert built == {asset.name: {END} for asset in MONTHLY_ASSETS} | names


def test_partitions_do_not_depend_on_whether_there_are_later_rows(grown, baseline):
    """Where most of the months lie ahead, and where all but one are there, whose files go on from the first."""
    assert grown.early == contents(baseline, EARLY)
    assert grown.before == contents(baseline, BEFORE)


def test_a_killed_range_builds_nothing_twice(grown, baseline):
    assert grown.finished == sorted(set(grown.finished)), "something was finished before every kill"
    assert sum(map(len, grown.resumed.values())) == len(grown.before) - grown.finished[-1]


def test_what_was_killed_and_grew_by_years_and_by_a_month_is_one_range_to_the_last_byte(grown, baseline):
    resumed = {path: content for path, content in files(grown.home).items() if "/." not in path}
    assert resumed == files(baseline)


def test_month_by_month_equals_one_range(factory, baseline):
    """The months before are those of the one range: that they are what a shorter one gives is the promise itself.

    `grown` builds through an earlier month from nothing and finds them the same.
    """
    home = factory.copy(baseline, "month-by-month")
    whole = files(home)
    for asset in MONTHLY_ASSETS:
        for month in month_range(shift(START, 1), END):
            partition = home.lake.partition(asset.name, month)
            shutil.rmtree(partition)
            shutil.rmtree(home.folder / "models" / asset.name / partition.name, ignore_errors=True)
    assert len(files(home)) < len(whole)
    workshop = Workshop(MONTHLY_ASSETS, home)
    for month in month_range(shift(START, 1), END):
        for name in workshop.buildable():
            assert [outcome.status for outcome in workshop.build(name, [month])] == ["built"]
    assert files(home) == whole
