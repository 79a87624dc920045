"""The Flower ServerApp: gathers the sites, runs the rounds, writes the outcome."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from common.algorithms import build_algorithm
from common.files import write_atomically
from common.fit import network_for
from common.study import Study
from common.tasks import build_task
from common.tasks.base import Tally, Task
from common.weights import Layout, exchanged, frozen, pack, unpack
from server import checkpoint
from server.checkpoint import Checkpoint
from server.conduct import SIMULATED, Conduct
from server.exchange import Exchange
from server.gathering import Gathering
from server.listener import Listener
from server.members import Member, load_members
from server.post import Post
from server.roster import Roster
from server.rounds import Rounds
from server.run_folder import RunFolder
from server.subgroups import by_hospital
from server.tallies import pooled


@dataclass(frozen=True)
class Job:
    """What a ServerApp is to do.

    Attributes:
        study: the study.
        folder: the run's folder, made already.
        listener: hears about progress.
        conduct: how sites are treated.
    """

    study: Study
    folder: RunFolder
    listener: Listener
    conduct: Conduct = SIMULATED


_SLACK = 1 << 20
"""Bytes of a reply beside its weights and statistics."""

app = ServerApp()
"""For deployments: the bundle of every study names it."""


@app.main()
def _deployed(grid: Grid, context: Context) -> None:
    from server.deployed import run_deployed

    run_deployed(grid, context)


def build(job: Job) -> ServerApp:
    """Return a ServerApp that runs a job, from its newest checkpoint where there is one."""
    simulated = ServerApp()

    @simulated.main()
    def main(grid: Grid, context: Context) -> None:
        run(job, grid)

    return simulated


def run(job: Job, grid: Grid) -> None:
    """Run a job to its end and write the model and the outcome."""
    began, started = time.monotonic(), _now()
    study, task = job.study, build_task(job.study)
    network = network_for(study, task)
    layout = Layout.of(exchanged(network))
    newest = checkpoint.latest(job.folder.checkpoints, layout, study.fingerprint)
    start = newest or Checkpoint(0, pack(exchanged(network)), {})
    most = 4 * layout.size + 8 * _values(task) + _SLACK
    job.conduct.allow(most)
    exchange = _meet(job, grid, layout, most)
    members = _gather(job, exchange)
    job.listener.ready(members, start.round + 1)
    algorithm = build_algorithm(study)
    rounds = Rounds(exchange, study, task, algorithm, layout, job.folder, job.listener, job.conduct)
    weights, tallies = rounds.run(start)
    _write_model(job.folder, network, unpack(weights, layout))
    outcome = _outcome(study, task, rounds.members, tallies)
    outcome |= {
        "parameters": layout.size,
        "frozen": frozen(network),
        "seconds": round(time.monotonic() - began, 3),
        "started": started,
        "finished": _now(),
    }
    job.folder.write_json(job.folder.outcome, outcome)


def _values(task: Task) -> int:
    return sum(math.prod(shape) for shape in task.tally_layout.values())


def _meet(job: Job, grid: Grid, layout: Layout, most: int) -> Exchange:
    post = Post(grid, most=most)
    roster = Roster(post, layout, job.study.federation.deadline_seconds, job.conduct.enrolled)
    roster.remember(load_members(job.folder.members))
    return Exchange(post, roster, job.conduct.patience)


def _gather(job: Job, exchange: Exchange) -> list[Member]:
    return Gathering(
        exchange.post,
        exchange.roster,
        job.study,
        job.listener,
        everyone=job.conduct.everyone,
        patient=job.conduct.patient,
    ).members()


def _write_model(folder: RunFolder, network: nn.Module, learned: Mapping[str, Tensor]) -> None:
    """Write the whole network, its frozen part too: who uses it needs no other file."""
    network.load_state_dict(dict(learned), strict=False)
    content: bytes = save_tensors({n: v.contiguous() for n, v in network.state_dict().items()})
    write_atomically(folder.model, content, durable=True, mode=0o644)


def _outcome(
    study: Study, task: Task, members: list[Member], tallies: dict[str, Tally]
) -> dict[str, Any]:
    total = Tally.zeros(task.tally_layout)
    for tally in tallies.values():
        total = total + tally
    site_metrics = {name: task.metrics(tally) for name, tally in tallies.items()}
    curves = task.curves(total) if tallies else {}
    hospitals = by_hospital(task, site_metrics, study.evaluation.smallest_group)
    return {
        "study": study.name,
        "fingerprint": study.fingerprint,
        "final": pooled(task, tallies),
        "curves": curves | {"subgroups": hospitals + curves.get("subgroups", [])},
        "sites": {
            member.name: {"declared_patients": member.declared_patients} for member in members
        },
        "site_metrics": site_metrics,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
