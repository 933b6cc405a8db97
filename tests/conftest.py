"""What every test shares: where the real data lie, and how hypothesis searches."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Before Polars is loaded: several processes share the cores among them, and threads that wait for each other cost.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("POLARS_MAX_THREADS", "1")

# No deadline: a slow machine is not a failure. Derandomised: the same search everywhere.
settings.register_profile("pipeline", deadline=None, derandomize=True)
settings.load_profile("pipeline")


# The first builds the home that most of the others read; the next two first build homes of their own, so that two
# processes need not wait for it.
_FIRST = ("test_restatement", "test_same_files", "test_point_in_time")


def _turn(item: pytest.Item) -> int:
    if item.path.parent.name != "promise":
        return len(_FIRST) + 1
    return _FIRST.index(item.path.stem) if item.path.stem in _FIRST else len(_FIRST)


def pytest_configure(config: pytest.Config) -> None:
    """Let several processes take the files in this order, too; xdist would begin with those of the most tests."""
    if config.pluginmanager.hasplugin("xdist"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files whose markets take minutes to build first, so that no process waits for the last of them."""
    items.sort(key=_turn)
