"""Several processes that build bundles side by side, each with a launcher of its own for the whole of a run.

Belongs here: starting and ending the processes, handing out bundles, carrying back what is said and what failed. Does
not: which bundle is next (``pipeline.bundles``) or how one is built (``pipeline.launching``).

Processes are spawned, not forked: Polars does not outlive a fork. A process is interrupted by its parent alone, not by
the terminal, so that it has the time to report the months it finished; it ends when its parent is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from dagster import DagsterExecutionInterruptedError, DagsterInstance

from pipeline.bundles import Agenda, Bundle
from pipeline.failures import LostWorker, WorkerFailure
from pipeline.launching import Launcher, Say
from resources.home import Home

# An interrupted process finishes the step of native code that it is in and reports; after so many seconds it is killed.
_GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Orders:
    """What every process of a fleet is told when it starts.

    Attributes
    ----------
    home : pathlib.Path
        The home's folder.
    last : datetime.date
        Last month of every bundle that has months.
    tags : mapping of str to str
        Tags of every run.
    """

    home: Path
    last: date
    tags: Mapping[str, str]


class Crew(Protocol):
    """Whoever builds bundles: this process, or a fleet of others."""

    def idle(self) -> bool:
        """Whether it can be given one more bundle."""

    def start(self, bundle: Bundle) -> None:
        """Begin with a bundle."""

    def finished(self) -> Bundle:
        """Wait for a bundle to be finished and return it."""


def build_all(agenda: Agenda, crew: Crew, told: Callable[[Bundle], None]) -> None:
    """Build everything on an agenda.

    Parameters
    ----------
    agenda : Agenda
        What there is to build.
    crew : Crew
        Who builds it.
    told : callable
        Told of every bundle that is begun.

    Raises
    ------
    Exception
        Whatever stopped an asset, a `WorkerFailure` where it was in another process.
    """
    while agenda.unfinished:
        while crew.idle() and (bundle := agenda.take()):
            told(bundle)
            crew.start(bundle)
        agenda.finish(crew.finished())


def build_bundle(launcher: Launcher, bundle: Bundle, last: date) -> None:
    """Build a bundle in one run, up to the last month where its assets have months."""
    if bundle.first is None:
        launcher.run(bundle.names, {})
    else:
        launcher.range(bundle.names, bundle.first, last)


class Alone:
    """A crew of this process alone, which is busy from `start` until a bundle is finished."""

    def __init__(self, launcher: Launcher, last: date) -> None:
        self._launcher, self._last = launcher, last
        self._built: list[Bundle] = []

    def idle(self) -> bool:
        """Whether the bundle before has been asked for."""
        return not self._built

    def start(self, bundle: Bundle) -> None:
        """Build a bundle."""
        build_bundle(self._launcher, bundle, self._last)
        self._built.append(bundle)

    def finished(self) -> Bundle:
        """Return the bundle that was built."""
        return self._built.pop()


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    bundle: Bundle | None = None


class Fleet:
    """A crew of other processes, started as they are needed. It is a context manager, which ends them.

    Parameters
    ----------
    processes : int
        How many there are at most.
    orders : Orders
        Told to each; the home's ``dagster`` folder must have been prepared.
    say : callable
        Told what assets say in any of them.
    """

    def __init__(self, processes: int, orders: Orders, say: Say) -> None:
        self._most, self._orders, self._say = processes, orders, say
        self._workers: list[_Worker] = []

    def __enter__(self) -> Fleet:
        # Two processes that set up the same new databases at once spoil them.
        DagsterInstance.get().dispose()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._dismiss()
        else:
            self._interrupt()

    @property
    def pids(self) -> list[int]:
        """Process ids of those that were started."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def idle(self) -> bool:
        """Whether a process has nothing to do or one more may be started."""
        return sum(worker.bundle is not None for worker in self._workers) < self._most

    def start(self, bundle: Bundle) -> None:
        """Give a bundle to a process that has nothing to do, started if there is none."""
        worker = next((worker for worker in self._workers if worker.bundle is None), None)
        if worker is None:
            worker = _started(self._orders)
            self._workers.append(worker)
        worker.bundle = bundle
        try:
            worker.connection.send(bundle)
        except ConnectionError:
            raise _lost(worker) from None

    def finished(self) -> Bundle:
        """Wait for a bundle to be finished, passing on what is said meanwhile.

        Raises
        ------
        WorkerFailure
            If an asset failed.
        LostWorker
            If a process ended without a word.
        """
        while True:
            ready = wait([worker.connection for worker in self._workers])
            for worker in [each for each in self._workers if each.connection in ready]:
                bundle = self._heard(worker)
                if bundle is not None:
                    return bundle

    def _heard(self, worker: _Worker) -> Bundle | None:
        """Take one message: a line, a failure, or word that the worker's bundle, which is returned, is finished."""
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionError):
            raise _lost(worker) from None
        if isinstance(message, str):
            self._say(message)
            return None
        if isinstance(message, WorkerFailure):
            raise message
        bundle, worker.bundle = worker.bundle, None
        return bundle

    def _dismiss(self) -> None:
        for worker in self._workers:
            worker.connection.send(None)
        for worker in self._workers:
            worker.process.join()

    def _interrupt(self) -> None:
        """Stop the processes as Ctrl-C would: what is finished is reported, runs are marked as failed."""
        try:
            for worker in self._workers:
                # An id is the process's own until it is joined, even if it has ended.
                if worker.process.exitcode is None and worker.process.pid is not None:
                    os.kill(worker.process.pid, signal.SIGINT)
            for worker in self._workers:
                worker.process.join(_GRACE_SECONDS)
        finally:
            for worker in self._workers:
                worker.process.kill()


def _lost(worker: _Worker) -> LostWorker:
    worker.process.join()
    names = ", ".join(worker.bundle.names) if worker.bundle else "nothing"
    return LostWorker(
        f"a process ended with exit code {worker.process.exitcode} while it built {names}. What is finished stays: run "
        f"again to go on. Where memory is short, one process (PROCESSES=1) takes the least."
    )


def _started(orders: Orders) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, orders), daemon=True)
    # The process inherits the mask: an interrupt that comes while it imports waits until it can be dealt with. Starting
    # the tracker would clear the mask again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Worker(process, ours)


def _work(connection: Connection, orders: Orders) -> None:
    """Build bundles as they come in until there is a None, a failure, an interrupt or no parent."""
    os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        launcher = Launcher(Home(orders.home), connection.send, orders.tags)
        while (bundle := connection.recv()) is not None:
            build_bundle(launcher, bundle, orders.last)
            connection.send(bundle)
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        # The parent interrupts, and says why.
        return
    except Exception as error:
        # The answer to a failure is an interrupt; by then this process has nothing left to do.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        connection.send(WorkerFailure.of(error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
