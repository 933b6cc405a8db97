"""Fixtures of the promise: the market, a maker of homes, and a home in which everything was built in one range."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from filelock import FileLock
from promise import END, FROM_INDEX, INDEX_ASSETS, SETTINGS, Factory, Tables, build

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


def _shared(name: str, tmp_path_factory: pytest.TempPathFactory, make: Callable[[Factory], None]) -> Home:
    """Make a home once for all processes that share a test run; nothing in it may be changed."""
    own = tmp_path_factory.getbasetemp()
    # Of several processes each has a folder of its own below that of the run.
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    built = folder / f"{name}-is-built"
    with FileLock(folder / f"{name}.lock"):
        if not built.exists():
            make(Factory(folder))
            built.touch()
    return Home(folder / name)


@pytest.fixture(scope="session")
def baseline(market: Tables, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Every asset, every month, in one range; the bonds from trades."""
    return _shared("baseline", tmp_path_factory, lambda factory: build(factory.home("baseline", market), END))


@pytest.fixture(scope="session")
def index_baseline(market: Tables, baseline: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The same with the bonds from the index extract."""

    def make(factory: Factory) -> None:
        home = factory.copy(baseline, "index-baseline")
        factory.settings("index-baseline", SETTINGS + FROM_INDEX)
        build(Home(home.folder), END, names=INDEX_ASSETS)

    return _shared("index-baseline", tmp_path_factory, make)
