"""A coordinator without hospitals: scripted sites that answer as told, in any order, with any damage."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from common import wire
from common.models import build_model
from common.study import Study
from common.study_file import parse_study
from common.tasks import build_task
from common.weights import Layout, Vector
from common.wire import Answer, Introduction
from server.app import Job
from server.app import run as run_job
from server.conduct import SIMULATED, Conduct
from server.listener import Listener
from server.run_folder import RunFolder

Reply = RecordDict | Error | None
Fault = Callable[[RecordDict], Reply]
"""Turns a sound reply into a damaged one, an error, or silence."""

STUDY: dict[str, Any] = {
    "study": {"name": "scripted", "seed": 3},
    "task": {"name": "classification", "classes": ["no", "yes"]},
    "model": {"name": "linear"},
    "data": {"kind": "arrays", "image_size": 4, "test_fraction": 0.25},
    "training": {"learning_rate": 0.1, "local_steps": 1},
    "privacy": {"enabled": False},
    "federation": {"rounds": 3, "min_sites": 2, "deadline_seconds": 0.3},
    "evaluation": {"score_bins": 4},
}


def make_study(**sections: dict[str, Any]) -> Study:
    """Return the study with some keys of its sections replaced."""
    content = {name: {**table, **sections.get(name, {})} for name, table in STUDY.items()}
    return parse_study(content, where="test")


@dataclass
class ScriptedSite:
    """A site that adds a drift of its own to the weights it is sent.

    Attributes:
        name: as it introduces itself.
        patients: declared.
        faults: by round; what happens to its reply then.
        asked: the rounds in which it was asked, with what.
    """

    name: str
    patients: int = 100
    faults: dict[int, Fault] = field(default_factory=dict)
    asked: list[tuple[int, str, bool]] = field(default_factory=list)

    def introduce(self, layout: Layout) -> RecordDict:
        """Answer `describe`."""
        return wire.introduction(Introduction(self.name, self.patients, layout.digest, "exact"))

    def answer(self, content: RecordDict, kind: str, tally_size: int) -> Reply:
        """Answer a round."""
        said, weights = wire.read_request(content)
        self.asked.append((said.round, kind, said.evaluate))
        tally = np.full(tally_size, float(self.patients)) if said.evaluate else None
        trained = self.drift(weights, said.round) if kind == "train" else None
        reply = wire.reply(Answer(self.name, self.patients, "0" * 64, trained, tally))
        return self.faults.get(said.round, lambda sound: sound)(reply)

    def drift(self, weights: Vector, round_: int) -> Vector:
        """Awkward float32 values, so that the order of a sum shows in its last bits."""
        seed = [sum(self.name.encode()), round_]
        step = np.random.default_rng(seed).standard_normal(weights.shape)
        return (0.9 * weights + step * 10.0 ** np.random.default_rng(seed).integers(-3, 3)).astype(
            np.float32
        )


class ScriptedGrid(Grid):
    """Delivers to scripted sites; `order` arranges the replies as if they had come in that order."""

    def __init__(
        self,
        sites: list[ScriptedSite],
        study: Study,
        order: Callable[[list[Message]], list[Message]] = list,
    ) -> None:
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
        task = build_task(study)
        self.sites = {10 + number: site for number, site in enumerate(sites)}
        self.layout = Layout.of(build_model(study, task.outputs).state_dict())
        self.tally_size = sum(int(np.prod(shape)) for shape in task.tally_layout.values())
        self.order = order
        self.replies: list[Message] = []
        self._numbers = itertools.count(1)

    def get_node_ids(self) -> Iterable[int]:
        return list(self.sites)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = f"message-{next(self._numbers)}"
            reply = self._reply(message)
            self.replies += [] if reply is None else [reply]
            pushed.append(message.metadata.message_id)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        asked = set(message_ids)
        there = [r for r in self.replies if r.metadata.reply_to_message_id in asked]
        self.replies = [r for r in self.replies if r.metadata.reply_to_message_id not in asked]
        return self.order(there)

    def _reply(self, message: Message) -> Message | None:
        site, kind = self.sites[message.metadata.dst_node_id], message.metadata.message_type
        if kind.startswith("query"):
            return Message(site.introduce(self.layout), reply_to=message)
        made = site.answer(message.content, kind, self.tally_size)
        return None if made is None else Message(made, reply_to=message)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        raise NotImplementedError

    @property
    def run(self) -> Run:
        raise NotImplementedError

    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    def create_message(self, *args: Any, **keys: Any) -> Message:
        raise NotImplementedError


class Quiet(Listener):
    """A listener that remembers the rounds."""

    def __init__(self) -> None:
        self.first = 0
        self.finished: list[int] = []
        self.said: list[tuple[int, str, str]] = []

    def ready(self, members: list[Any], first_round: int) -> None:
        self.first = first_round

    def site(self, round_: int, name: str, reason: str) -> None:
        self.said.append((round_, name, reason))

    def round_finished(self, record: dict[str, Any]) -> None:
        self.finished.append(record["round"])


@dataclass
class Bench:
    """Runs a coordinator against scripted sites in one folder."""

    path: Path
    study: Study = field(default_factory=make_study)
    conduct: Conduct = SIMULATED

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)

    def start(self, sites: list[ScriptedSite], **keys: Any) -> Quiet:
        """Begin a run in a new folder and carry it to its end."""
        self.folder.create(self.study)
        return self.go_on(sites, **keys)

    def go_on(self, sites: list[ScriptedSite], **keys: Any) -> Quiet:
        """Carry a run to its end from its newest checkpoint."""
        listener = Quiet()
        run_job(
            Job(self.study, self.folder, listener, self.conduct),
            ScriptedGrid(sites, self.study, **keys),
        )
        return listener

    @property
    def model(self) -> bytes:
        return self.folder.model.read_bytes()


def three_sites() -> list[ScriptedSite]:
    """Three sites of different size."""
    return [ScriptedSite("ada", 100), ScriptedSite("bea", 250), ScriptedSite("cy", 70)]


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    """Makes benches, each with a folder of its own: `bench(federation={...})`."""
    made: list[Bench] = []

    def make(**sections: dict[str, Any]) -> Bench:
        made.append(Bench(tmp_path / f"run-{len(made)}", make_study(**sections)))
        return made[-1]

    return make


@pytest.fixture
def sites() -> Callable[[], list[ScriptedSite]]:
    """Makes three fresh sites: ada (100 patients), bea (250), cy (70)."""
    return three_sites


@pytest.fixture
def site() -> type[ScriptedSite]:
    """The class of scripted sites."""
    return ScriptedSite


@pytest.fixture
def grid_of() -> type[ScriptedGrid]:
    """The class of scripted grids."""
    return ScriptedGrid
