"""Month by month, in one range, or after kill -9: the same files to the last byte."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date

from promise import END, build, files

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.panel.calendar import month_range, shift

# From here on every month is a build of its own: models estimate, windows are full.
START = date(2026, 4, 1)
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


def test_month_by_month_equals_one_range(factory, baseline):
    """The months before are those of the one range: that they are what a shorter one gives is the promise itself.

    ``test_restatement.test_an_appended_month`` builds through an earlier month from nothing and finds them the same.
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


def test_a_killed_range_resumes_to_the_same_files(market, factory, request):
    home = factory.home("killed", market)
    finished = 0
    # Among prices and accounts, among characteristics, among models: there are some 4,800 partitions.
    for partitions in (1_700, 2_400, 4_400):
        process = subprocess.Popen([sys.executable, "-c", _BUILD_ALL, str(home.folder), str(END)])
        while process.poll() is None and _finished(home) < partitions:
            # Seldom: looking through thousands of folders takes a while, too.
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the build ended before it could be killed"
        finished, before = _finished(home), finished
        assert finished > before
    built = build(home, END)
    baseline = request.getfixturevalue("baseline")
    total = sum(len(baseline.lake.months(asset.name)) for asset in MONTHLY_ASSETS)
    assert sum(map(len, built.values())) == total - finished
    resumed = {path: content for path, content in files(home).items() if "/." not in path}
    assert resumed == files(baseline)


def _finished(home) -> int:
    return len(list(home.folder.glob("lake/*/*/manifest.json")))
