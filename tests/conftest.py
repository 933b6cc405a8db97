"""What every test shares: where the real data lie, and how hypothesis searches."""

from __future__ import annotations

from hypothesis import settings

# No deadline: a slow machine is not a failure. Derandomised: the same search everywhere.
settings.register_profile("pipeline", deadline=None, derandomize=True)
settings.load_profile("pipeline")
