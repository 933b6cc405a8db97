"""Fixtures of the promise: the market, a maker of homes, and a home in which everything was built in one range."""

from __future__ import annotations

import pytest
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
def baseline(market: Tables, factory: Factory) -> Home:
    """Every asset, every month, in one range."""
    home = factory.home("baseline", market)
    build(home, END)
    return home
