"""What every test shares: where the real data lie, and how hypothesis searches."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No deadline: a slow machine is not a failure. Derandomised: the same search everywhere.
settings.register_profile("pipeline", deadline=None, derandomize=True)
settings.load_profile("pipeline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files whose markets take minutes to build first, so that no process waits for the last of them."""
    items.sort(key=lambda item: item.path.parent.name != "promise")
