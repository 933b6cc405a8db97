"""Fixtures of the promise: the market, a maker of homes, and a home in which everything was built in one range."""

from __future__ import annotations

import os

import pytest
from filelock import FileLock
from promise import END, Factory, Tables, build

from pipeline.simulation.market import simulate
from resources.home import Home


@pytest.fixture(scope="session")
def market() -> Tables:
    """Raw vendor tables of the tiny market."""
    return simulate("tiny", end=END).tables


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """Homes of this session."""
    return Factory(tmp_path_factory.mktemp("homes"))


@pytest.fixture(scope="session")
def baseline(market: Tables, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Every asset, every month, in one range. Processes that share a test run share it, too; nothing may be changed."""
    own = tmp_path_factory.getbasetemp()
    # Of several processes each has a folder of its own below that of the run.
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    built = folder / "baseline-is-built"
    with FileLock(folder / "baseline.lock"):
        if not built.exists():
            build(Factory(folder).home("baseline", market), END)
            built.touch()
    return Home(folder / "baseline")
