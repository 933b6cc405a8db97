"""Month by month, in one range, or after kill -9: the same files to the last byte."""

from __future__ import annotations

import os
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
START = date(2023, 6, 1)
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


def test_month_by_month_equals_one_range(market, factory, baseline):
    home = factory.home("month-by-month", market)
    build(home, START)
    workshop = Workshop(MONTHLY_ASSETS, home)
    for month in month_range(shift(START, 1), END):
        for name in workshop.buildable():
            assert [outcome.status for outcome in workshop.build(name, [month])] == ["built"]
    assert files(home) == files(baseline)


def test_a_killed_range_resumes_to_the_same_files(market, factory, baseline):
    total = sum(len(baseline.lake.months(asset.name)) for asset in MONTHLY_ASSETS)
    home = factory.home("killed", market)
    for share in (0.2, 0.6, 0.9):
        process = subprocess.Popen([sys.executable, "-c", _BUILD_ALL, str(home.folder), str(END)])
        while process.poll() is None and len(list(home.folder.glob("lake/*/*/manifest.json"))) < share * total:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the build ended before it could be killed"
    finished = len(list(home.folder.glob("lake/*/*/manifest.json")))
    built = build(home, END)
    assert sum(map(len, built.values())) == total - finished
    resumed = {path: content for path, content in files(home).items() if "/." not in path}
    assert resumed == files(baseline)
