"""How a run of everything in several processes fails: what another process has to say, or that it is gone.

Belongs here: the failures, so that the command line knows them without all that a run needs. Does not: where they come
from (``pipeline.fleet``).
"""

from __future__ import annotations

import traceback


class WorkerFailure(Exception):
    """What stopped an asset in another process. Not every exception can be sent itself, so its words are.

    Attributes
    ----------
    kind, text : str
        Name of the exception's class, and its message.
    trace : str
        Its traceback as Python prints it.
    """

    def __init__(self, kind: str, text: str, trace: str) -> None:
        super().__init__(kind, text, trace)
        self.kind, self.text, self.trace = kind, text, trace

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"

    @classmethod
    def of(cls, error: BaseException) -> WorkerFailure:
        """Put an exception into words."""
        return cls(type(error).__name__, str(error), "".join(traceback.format_exception(error)).rstrip())


class LostWorker(RuntimeError):
    """A process ended without a word: it was killed from outside, or memory ran out."""
