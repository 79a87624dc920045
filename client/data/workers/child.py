"""A worker process: does the jobs that arrive on its input one after the other, and answers each."""

from __future__ import annotations

import importlib
import os
import pickle
import resource
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from client.data.dicom.unusable import Unusable
from client.data.workers.wire import (
    UNREADABLE,
    Answer,
    Outcome,
    Refused,
    Whole,
    read_frame,
    write_frame,
    write_outcome,
)

IDLE_SECONDS = 20
"""A worker without work ends after so long; one whose parent died ends at once."""


def main() -> None:
    """Serve until the input ends."""
    # pydicom can fetch example files; a worker fetches nothing, and starts sooner without the means.
    sys.modules["requests"] = None  # type: ignore[assignment]
    jobs, answers = _streams()
    _limit_memory(int(sys.argv[1]))
    while select.select([jobs], [], [], IDLE_SECONDS)[0]:
        try:
            name, seconds, batch = pickle.loads(read_frame(jobs))
        except EOFError:
            break
        function = _function(name)
        with suppress(BrokenPipeError):  # the empty frame says: from now on a job is to blame
            write_frame(answers)
        for job in batch:
            # The kernel ends a job that takes too long, wherever it hangs: a decoder in C hears no exception.
            signal.alarm(seconds)
            outcome = _done(function, job)
            signal.alarm(0)
            with suppress(BrokenPipeError):
                write_outcome(answers, outcome)


def _streams() -> tuple[Whole, IO[bytes]]:
    """Take input and output for frames; what a decoder prints goes nowhere."""
    jobs, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    return Whole(jobs), answers


def _limit_memory(size: int) -> None:
    """Make the kernel refuse what a decompression bomb asks for, and leave no core file with patients in it."""
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _function(name: str) -> Callable[[Any], Answer]:
    module, _, attribute = name.partition(":")
    found: Callable[[Any], Answer] = getattr(importlib.import_module(module), attribute)
    return found


def _done(function: Callable[[Any], Answer], job: Any) -> Outcome:
    try:
        return function(job)
    except Unusable as reason:
        return Refused(str(reason))
    except OSError:
        return UNREADABLE
    except MemoryError:
        return Refused("needs too much memory")
    except BaseException:  # of any kind: a panic in a decoder written in Rust is no Exception
        return Refused("cannot be read: damaged")


if __name__ == "__main__":
    main()
