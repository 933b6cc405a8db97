"""Dagster's SQLite event log, with the batch write that Dagster itself offers only for Postgres.

A run over 600 months plans and reports 600 materialisations an asset. One transaction each costs more than the work
they report, so a batch goes into one transaction of the run's file and one of the index, and a range is planned in one
event whose months are spelled out in the index only, where the UI looks up which of them are under way or failed. The
template in ``pipeline/instance`` names this class; batches form when ``DAGSTER_EVENT_BATCH_SIZE`` is set, which
``resources.home`` does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData, serialize_value
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

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """One planned event may stand for all partitions of a range."""
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event; one that stands for many partitions as a batch of its own."""
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events together; kinds that need more than an insert are stored one by one."""
        batched = []
        for event in events:
            if event.is_dagster_event and event.dagster_event_type in _BATCHED:
                batched.append(event)
            else:
                super().store_event(event)
        for run_id in dict.fromkeys(e.run_id for e in batched):
            self._store_run_batch(run_id, [e for e in batched if e.run_id == run_id])

    def _store_run_batch(self, run_id: str, events: list[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_transaction() as connection:
            months = [month for event, row in zip(events, rows, strict=True) for month in _planned(event, row)]
            if months:
                connection.execute(SqlEventLogStorageTable.insert(), months)
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

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Plan a check for every month of a range; Dagster's own serialises the same event once for each of them."""
        planned = event.get_dagster_event().asset_check_planned_data
        shared = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": self._event_insert_timestamp(event),
            "evaluation_event_storage_id": event_id,
        }
        subset = planned.partitions_subset
        keys = subset.get_partition_keys() if subset else [None]
        with self.index_connection() as connection:
            connection.execute(AssetCheckExecutionsTable.insert(), [{**shared, "partition": key} for key in keys])


def _planned(event: EventLogEntry, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the index for the months that a planned event stands for; none for other events."""
    if event.dagster_event_type != DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
        return []
    subset = event.get_dagster_event().asset_materialization_planned_data.partitions_subset
    return [{**row, "partition": key} for key in subset.get_partition_keys()] if subset else []
