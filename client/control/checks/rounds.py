"""Does the work in hand move on, and does anybody want it to?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time

from client.control.health import PROGRESS_ONLY, STUCK, Reason, Stillness
from client.hours import within
from client.service.state import Doing, Snapshot, Work

_PLACES = {
    Doing.QUEUED: "waits for the device",
    Doing.DESCRIBING: "prepares its data",
    Doing.EVALUATING: "evaluates",
    Doing.TRAINING: "trains",
}


def will_reasons(now: Snapshot) -> Iterator[Reason]:
    """Say when people asked for no work, and when the machine refused the last task."""
    if now.stopping:
        yield Reason(
            "stopping", "The service is being stopped.", "Start it again when that is done."
        )
    if now.paused:
        yield Reason(
            "paused",
            "The site is paused and takes no new task.",
            "Run 'consilium site resume' to go on.",
        )
    if now.problem:
        yield Reason(
            "task",
            f"The last task could not be answered: {now.problem.rstrip('.')}.",
            "Mend that; this line goes away with the next task that is answered.",
        )


def hours_notes(hours: str | None, now: time | None = None) -> Iterator[str]:
    """Say when the policy's hours keep the site from training: it is meant so, and no fault."""
    if hours is not None and not within(hours, now or datetime.now().time()):
        yield f"Outside the policy's hours ({hours}): the site is up, and refuses to train until then."


def round_reasons(now: Snapshot, stall_seconds: float, still: Stillness) -> Iterator[Reason]:
    """Say which tasks have not moved for too long."""
    busy = any(work.doing != Doing.QUEUED for work in now.work.values())
    for connection, work in sorted(now.work.items()):
        place = (work.fingerprint, work.round, work.doing, work.step, work.began, work.moved)
        quiet = still.seconds(f"work {connection}", place)
        waits_its_turn = work.doing == Doing.QUEUED and busy
        if quiet > stall_seconds and not waits_its_turn:
            yield _stalled(work, quiet)


def _stalled(work: Work, quiet: float) -> Reason:
    """Only training reports each of its steps, so only there a silence is worth a restart."""
    step = f", step {work.step} of {work.steps}" if work.steps else ""
    return Reason(
        "round",
        f"Study '{work.study}' {_PLACES[work.doing]} in round {work.round}{step}, without progress for "
        f"{quiet / 60:.0f} min.",
        "See the agent's log and the device's load. If it is only slow, raise [service] stall_minutes; otherwise start "
        "the service again, which spends nothing twice.",
        STUCK if work.doing == Doing.TRAINING else PROGRESS_ONLY,
    )
