"""Launching Dagster runs in this process, recorded in the home's instance.

Belongs here: one run, and what assets say meanwhile. Does not: which assets and when (``pipeline.running``,
``pipeline.bundles``), or what a run does (``assets``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import dagster as dg

from pipeline.definitions import build_defs
from pipeline.partitions import key_of, months_of
from resources.home import Home

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

Say = Callable[[str], None]
"""Takes a line that an asset says of its progress."""


class _Progress(logging.Handler):
    """Passes on what assets themselves log, none of Dagster's own events."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        if meta and not meta.get("dagster_event"):
            self._say(meta.get("orig_message", record.getMessage()))


def _quiet(say: Say) -> dg.LoggerDefinition:
    @dg.logger({}, description="What assets say, for a person at a terminal.")
    def progress(context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("progress", logging.INFO)
        logger.addHandler(_Progress(say))
        return logger

    return progress


class Launcher:
    """Launches runs over a home in this process, recorded in the home's Dagster instance.

    Parameters
    ----------
    home : Home
        Its ``dagster`` folder must have been prepared.
    say : callable
        Told what assets say.
    tags : mapping of str to str
        Tags of every run.
    """

    def __init__(self, home: Home, say: Say, tags: Mapping[str, str]) -> None:
        loggers = dg.Definitions(loggers={"console": _quiet(say)})
        definitions = dg.Definitions.merge(build_defs(home), loggers)
        self._job = definitions.resolve_implicit_global_asset_job_def()
        self._instance = dg.DagsterInstance.get()
        self._tags = dict(tags)

    def reported(self, name: str) -> set[date]:
        """Months of an asset that the instance knows to be materialised."""
        return set(months_of(self._instance.get_materialized_partitions(dg.AssetKey(name))))

    def range(self, names: Sequence[str], first: date, last: date) -> None:
        """Materialise assets for every month of a range, in one run."""
        self.run(names, {_RANGE_START: key_of(first), _RANGE_END: key_of(last)})

    def run(self, names: Sequence[str], tags: Mapping[str, str]) -> None:
        """Materialise assets in one run; a failure is raised."""
        self._job.execute_in_process(
            instance=self._instance,
            asset_selection=[dg.AssetKey(name) for name in names],
            tags={**self._tags, **tags},
            run_config={"loggers": {"console": {"config": {}}}},
            raise_on_error=True,
        )
