"""Spreads jobs over the cores; workers are kept for the next use and end by themselves when there is none."""

from __future__ import annotations

import atexit
import os
import selectors
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from client.data.workers.wire import Answer, Outcome
from client.data.workers.worker import Job, Worker
from common.errors import MachineError


@dataclass(frozen=True)
class Limits:
    """What one job may take.

    Attributes:
        seconds: then its worker is ended.
        memory: bytes of address space of a worker.
    """

    seconds: int = 60
    memory: int = 4 << 30


LIMITS = Limits()
BATCH = 8
"""Jobs on their way to a worker at once: so many that it seldom waits, so few that they weigh nothing."""
MOST_FALSE_STARTS = 5
"""Workers in a row that may fail before they begin: the system may want its memory just now."""
PIPE_BYTES, ALL_PIPES = 1 << 20, 16 << 20
"""Of a worker's answers on their way, and of all workers': Linux gives a user 64 MiB of pipes in all."""
_idle: list[Worker] = []
_taken = [0]
_lock = threading.Lock()


def cores() -> int:
    """Return how many cores this process may use."""
    return max(1, len(os.sched_getaffinity(0)))


def outcomes(
    function: Callable[[Any], Answer], jobs: Iterable[Any], limits: Limits = LIMITS
) -> Iterator[tuple[int, Outcome]]:
    """Do jobs in worker processes; yield (number of the job, outcome) in the order in which they are done.

    Neither a job that crashes its worker nor one that hangs stops the others: it is refused.
    Workers that end before they begin with a job are another matter: then the installation is to blame, not the jobs.

    Args:
        function: of a module; it gets a job and returns plain data and arrays.
        jobs: taken as workers become free, never all at once.
        limits: of each job.

    Raises:
        MachineError: one worker after the other cannot begin.
    """
    name = f"{function.__module__}:{function.__qualname__}"
    waiting: deque[Job] = deque()
    numbered = enumerate(jobs)
    team: list[Worker] = []
    false_starts = 0
    try:
        with selectors.DefaultSelector() as selector:
            while True:
                _staff(team, selector, waiting, numbered, name, limits)
                if not selector.get_map():
                    break
                for key, _ in selector.select():
                    found = _received(key.data, team, selector, waiting)
                    false_starts = 0 if found is not None else false_starts + key.data.failed
                    if false_starts > MOST_FALSE_STARTS:
                        raise _cannot_begin(limits)
                    if found is not None:
                        yield found
    finally:
        for worker in team:
            _give_back(worker)


def _staff(
    team: list[Worker],
    selector: selectors.BaseSelector,
    waiting: deque[Job],
    numbered: Iterator[Job],
    name: str,
    limits: Limits,
) -> None:
    """Give every free worker its next jobs; take on another worker while there are jobs and cores."""
    while True:
        free = next((worker for worker in team if not worker.busy), None)
        if free is None and not _may_grow(team):
            return
        # After a crash jobs go out one at a time, so that none is held up behind another that crashes.
        batch = [waiting.popleft()] if waiting else list(islice(numbered, BATCH))
        if not batch:
            return
        if free is None:
            free = _take(limits.memory)
            team.append(free)
        free.send(name, limits.seconds, batch)
        selector.register(free.answers, selectors.EVENT_READ, free)


def _received(
    worker: Worker,
    team: list[Worker],
    selector: selectors.BaseSelector,
    waiting: deque[Job],
) -> tuple[int, Outcome] | None:
    """Take what a worker has to say; none: it ended before it began, and its jobs wait for another."""
    answers = worker.answers
    found = worker.receive()
    ended = not worker.is_alive()
    if ended:
        waiting.extend(worker.left())
    if not worker.busy:
        selector.unregister(answers)
    if ended:
        team.remove(worker)
        _give_back(worker)
    return found


def _cannot_begin(limits: Limits) -> MachineError:
    return MachineError(
        "The programs that read files cannot start.",
        fix=f"See what this prints: {sys.executable} -P -m client.data.workers.child {limits.memory} < /dev/null; "
        "if it prints nothing, free some memory; else install Consilium anew.",
    )


def _may_grow(team: list[Worker]) -> bool:
    """Tell whether another worker fits: everybody gets one, and all together no more than there are cores."""
    with _lock:
        return not team or _taken[0] < cores()


def _take(memory: int) -> Worker:
    """Return an idle worker, or a new one."""
    with _lock:
        _taken[0] += 1
        found = next((worker for worker in _idle if worker.memory == memory), None)
        if found is not None:
            _idle.remove(found)
    if found is not None and found.is_alive():
        return found
    if found is not None:
        found.kill()
    return Worker(memory, max(1 << 16, min(PIPE_BYTES, ALL_PIPES // cores())))


def _give_back(worker: Worker) -> None:
    """Keep a worker that has nothing to do; end one that was left in the middle of something."""
    with _lock:
        _taken[0] -= 1
        keep = not worker.busy and worker.is_alive() and len(_idle) < cores()
        if keep:
            worker.rest()
            _idle.append(worker)
    if not keep:
        worker.kill()


@atexit.register
def end() -> None:
    """End the workers that are kept for the next use."""
    with _lock:
        for worker in _idle:
            worker.kill()
        _idle.clear()
