from pathlib import Path

import pytest

from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import STOCK_LAYOUTS, TABLES, Market, simulate

LARGE = ("crsp_daily", "trace")


@pytest.fixture(scope="session")
def tiny() -> Market:
    return simulate("tiny")


@pytest.fixture(scope="session")
def another() -> Market:
    return simulate("tiny", seed=3, vendors=("crsp", "fisd", "bond_sources", "bond_links"))


@pytest.fixture(scope="session")
def demo() -> Market:
    # Daily rows and trade reports are a matter of the tiny market; here they would only take time.
    return simulate("demo", vendors=[vendor for vendor in (*TABLES, *STOCK_LAYOUTS["siz"]) if vendor not in LARGE])


@pytest.fixture(scope="session")
def extracts(tiny: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extracts")
    write_extracts(tiny.tables, folder, parquet=["crsp.dsf"])
    return folder
