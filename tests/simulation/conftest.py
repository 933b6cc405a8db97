from pathlib import Path

import pytest

from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import Market, simulate


@pytest.fixture(scope="session")
def tiny() -> Market:
    return simulate("tiny")


@pytest.fixture(scope="session")
def demo() -> Market:
    return simulate("demo")


@pytest.fixture(scope="session")
def extracts(tiny: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extracts")
    write_extracts(tiny.tables, folder)
    return folder
