"""Which assets are built together in one run, and when: bundles of assets whose upstream is finished.

Belongs here: the order of a run of everything. Does not: what has to be built (``pipeline.running``), building it
(``pipeline.launching``) or the processes that do (``pipeline.fleet``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

# A bundle is at most this part of a process's fair share of what is left: large while there is much to do, since a run
# costs most of a second whatever it builds, and single assets towards the end, so that no process waits for another.
_PART_OF_SHARE = 3


@dataclass(frozen=True)
class Bundle:
    """Assets, upstream first, that one run builds from ``first`` on; ``first`` is None for unpartitioned ones."""

    names: tuple[str, ...]
    first: date | None


class Agenda:
    """What is left of a run of everything; gives out bundles, those first that most others wait for.

    Parameters
    ----------
    firsts : mapping of str to datetime.date or None
        First month of each asset that has to be built, upstream first; None for an unpartitioned one.
    upstream : mapping of str to collection of str
        What each of them reads; names that are not to be built count as finished.
    processes : int
        How many bundles are built at once. One process is given as much in one run as can go into it.
    """

    def __init__(
        self, firsts: Mapping[str, date | None], upstream: Mapping[str, Collection[str]], processes: int
    ) -> None:
        self._waiting = dict(firsts)
        self._upstream = {name: {each for each in upstream[name] if each in firsts} - {name} for name in firsts}
        self._unfinished = set(firsts)
        self._processes = processes
        downstream = _downstream(self._upstream)
        order = {name: place for place, name in enumerate(firsts)}
        self._urgency = {name: (-len(downstream[name]), order[name]) for name in firsts}

    @property
    def unfinished(self) -> bool:
        """Whether anything is left, being built or waiting."""
        return bool(self._unfinished)

    def take(self) -> Bundle | None:
        """Take out the next bundle; None while all that is left waits for what is being built.

        The bundle starts with the asset that most others wait for, and goes on with those of the same first month
        that wait for nothing outside the bundle.
        """
        head = self._next(self._waiting, ())
        if head is None:
            return None
        first = self._waiting[head]
        alike = [name for name, month in self._waiting.items() if month == first]
        names = [head]
        while len(names) < self._longest():
            following = self._next([name for name in alike if name not in names], names)
            if following is None:
                break
            names.append(following)
        for name in names:
            del self._waiting[name]
        return Bundle(tuple(names), first)

    def finish(self, bundle: Bundle) -> None:
        """Take note that a bundle was built; what waited for it need not wait any longer."""
        self._unfinished.difference_update(bundle.names)

    def _longest(self) -> int:
        left = len(self._waiting)
        return left if self._processes == 1 else math.ceil(left / (self._processes * _PART_OF_SHARE))

    def _next(self, names: Iterable[str], before: Collection[str]) -> str | None:
        """Most urgent of the names whose upstream is finished, or built before it in the same bundle."""
        ready = [name for name in names if (self._upstream[name] & self._unfinished).issubset(before)]
        return min(ready, key=self._urgency.__getitem__, default=None)


def _downstream(upstream: dict[str, set[str]]) -> dict[str, set[str]]:
    """Everything that waits for each name, directly or not; names come upstream first."""
    found: dict[str, set[str]] = {name: set() for name in upstream}
    for name in reversed(upstream):
        for source in upstream[name]:
            found[source] |= {name} | found[name]
    return found
