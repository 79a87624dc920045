"""The Flower ServerApp: gathers the sites, runs the rounds, writes the outcome."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.algorithms import build_algorithm
from common.files import write_atomically
from common.models import build_model
from common.study import Study
from common.tasks import build_task
from common.tasks.base import Tally, Task
from common.weights import Layout, Vector, pack
from server import checkpoint
from server.checkpoint import Checkpoint
from server.members import Member, gather, require_own_names
from server.rounds import Listener, Rounds, pooled
from server.run_folder import RunFolder


@dataclass(frozen=True)
class Job:
    """What a ServerApp is to do.

    Attributes:
        study: the study.
        folder: the run's folder, made already.
        listener: hears about progress.
    """

    study: Study
    folder: RunFolder
    listener: Listener


def build(job: Job) -> ServerApp:
    """Return a ServerApp that runs a job, from its newest checkpoint where there is one."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        run(job, grid)

    return app


def run(job: Job, grid: Grid) -> None:
    """Run a job to its end and write the model and the outcome."""
    began, started = time.monotonic(), _now()
    study, task = job.study, build_task(job.study)
    network = build_model(study, task.outputs)
    layout = Layout.of(network.state_dict())
    newest = checkpoint.latest(job.folder.checkpoints, layout, study.fingerprint)
    start = newest or Checkpoint(0, pack(network.state_dict()), {})
    members = gather(grid, study, layout)
    require_own_names([member.name for member in members])
    job.listener.ready(members, start.round + 1)
    rounds = Rounds(
        grid, study, task, build_algorithm(study), layout, job.folder, members, job.listener
    )
    weights, tallies = rounds.run(start)
    _write_model(job.folder, weights, layout)
    outcome = _outcome(study, task, members, tallies)
    outcome |= {
        "parameters": layout.size,
        "seconds": round(time.monotonic() - began, 3),
        "started": started,
        "finished": _now(),
    }
    job.folder.write_json(job.folder.outcome, outcome)


def _write_model(folder: RunFolder, weights: Vector, layout: Layout) -> None:
    content = checkpoint.save_model_bytes(weights, layout)
    write_atomically(folder.model, content, durable=True, mode=0o644)


def _outcome(
    study: Study, task: Task, members: list[Member], tallies: dict[str, Tally]
) -> dict[str, Any]:
    total = Tally.zeros(task.tally_layout)
    for tally in tallies.values():
        total = total + tally
    return {
        "study": study.name,
        "fingerprint": study.fingerprint,
        "final": pooled(task, tallies),
        "curves": task.curves(total) if tallies else {},
        "sites": {
            member.name: {"declared_patients": member.declared_patients} for member in members
        },
        "site_metrics": {name: task.metrics(tally) for name, tally in tallies.items()},
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
