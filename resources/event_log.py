"""Dagster's SQLite event log, with the batch write that Dagster itself offers only for Postgres.

A run over 600 months reports 600 materialisations an asset. One transaction each costs more than the work they report,
so a batch goes into one transaction of the run's file and one of the index. The template in ``pipeline/instance`` names
this class; batches form when ``DAGSTER_EVENT_BATCH_SIZE`` is set, which ``resources.home`` does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import func, select

_BATCHED = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_OBSERVATION,
}


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """SQLite event log that stores a batch of asset events of one run in two transactions."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No settings: the databases lie where Dagster's own storage puts them."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]
    ) -> BatchedSqliteEventLogStorage:
        """Build the storage below ``DAGSTER_HOME``."""
        return cls(os.path.join(os.environ["DAGSTER_HOME"], "history", "runs"), inst_data=inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events together; kinds that need more than an insert are stored one by one."""
        batched = []
        for event in events:
            if event.is_dagster_event and event.dagster_event_type in _BATCHED:
                batched.append(event)
            else:
                self.store_event(event)
        for run_id in dict.fromkeys(e.run_id for e in batched):
            self._store_run_batch(run_id, [e for e in batched if e.run_id == run_id])

    def _store_run_batch(self, run_id: str, events: list[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_transaction() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
            # SQLite has one writer at a time: the rows of this transaction have the last ids, in their order.
            last = connection.execute(select(func.max(SqlEventLogStorageTable.c.id))).scalar_one()
            ids = range(last - len(rows) + 1, last + 1)
            self._store_asset_event_tags(connection, events, ids)
            # The asset's own row remembers only its newest event of a kind.
            newest = {
                (event.get_dagster_event().asset_key, event.dagster_event_type): (event, event_id)
                for event, event_id in zip(events, ids, strict=True)
            }
            for event, event_id in newest.values():
                self._store_asset_event(connection, event, event_id)
