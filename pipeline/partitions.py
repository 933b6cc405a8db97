"""Month partitions: the one partitions definition, its keys, and the mappings from a partition to what it reads.

Belongs here: what Dagster must know about months. Does not: month arithmetic (``pipeline.panel.calendar``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import dagster as dg

from pipeline.panel.calendar import FIRST_MONTH

# Open-ended: with an end date the schedule would ask for the last month again for ever.
MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH.isoformat())


def key_of(month: date) -> str:
    """Partition key of a month, its first day."""
    return month.isoformat()


def months_of(keys: Iterable[str]) -> list[date]:
    """Months of partition keys, ascending."""
    return sorted(date.fromisoformat(key) for key in keys)


def window(lookback: int, lag: int = 0) -> dg.TimeWindowPartitionMapping:
    """Map month m to upstream months m - lag - lookback .. m - lag; months before the first partition do not exist."""
    return dg.TimeWindowPartitionMapping(
        start_offset=-(lookback + lag), end_offset=-lag, allow_nonexistent_upstream_partitions=True
    )
