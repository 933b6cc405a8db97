"""Month partitions: the one partitions definition, its keys, and the mappings from a partition to what it reads.

Belongs here: what Dagster must know about months. Does not: month arithmetic (``pipeline.panel.calendar``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import dagster as dg

FIRST_MONTH = date(1926, 1, 1)

# Open-ended: with an end date the schedule would ask for the last month again for ever.
MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH.isoformat())


def key_of(month: date) -> str:
    """Partition key of a month, its first day."""
    return month.isoformat()


def months_of(keys: Iterable[str]) -> list[date]:
    """Months of partition keys, ascending."""
    return sorted(date.fromisoformat(key) for key in keys)


def last_closed_month(today: date) -> date:
    """Return the first day of the month before the one that ``today`` lies in."""
    return date(today.year - (today.month == 1), (today.month - 2) % 12 + 1, 1)


def window(lookback: int, lag: int = 0) -> dg.TimeWindowPartitionMapping:
    """Map month m to upstream months m - lag - lookback .. m - lag; months before the first partition do not exist."""
    return dg.TimeWindowPartitionMapping(
        start_offset=-(lookback + lag), end_offset=-lag, allow_nonexistent_upstream_partitions=True
    )
