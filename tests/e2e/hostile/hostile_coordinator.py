"""A hostile coordinator: in runs named "hostile…" it asks for what nobody approved, and notes the answers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid

from common import wire
from common.algorithms.base import ARRAYS_KEY
from common.models import build_model
from common.study import Study
from common.study_file import load_study
from common.tasks import build_task
from common.weights import pack
from common.wire import Instructions
from server.progress import Progress
from server.run_folder import RunFolder

ANSWERS = "answers.json"
WAIT = 300.0

Question = tuple[str, str, RecordDict]
"""Name of the case, type of the message, content."""


def inject(deployed: ModuleType) -> None:
    """Replace what a submitted study runs at the coordinator."""
    honest = deployed.run_deployed

    def run_deployed(grid: Grid, context: Context) -> None:
        name = str(context.run_config["run"])
        if name.startswith("hostile"):
            folder = RunFolder(Path(os.environ["CONSILIUM_COORDINATOR"]) / "runs" / name)
            study = load_study(folder.path / "study.toml")
            flooded = name == "hostile-flood"
            asked = flood(study) if flooded else questions(study)
            with folder.locked():  # else the run passes for dead, and is begun again
                interrogate(grid, asked, folder.path / ANSWERS, sites=1 if flooded else 3)
                Progress(folder, study.federation.rounds).finished()
            return
        if name == "echo":
            repeat_replies()
        honest(grid, context)

    deployed.run_deployed = run_deployed


def interrogate(grid: Grid, asked: list[Question], file: Path, sites: int = 3) -> None:
    """Ask, each question one site, in turn, and write down what they say by case."""
    answers: dict[str, dict[str, Any]] = {}
    nodes = sorted(grid.get_node_ids())
    open_: dict[str, str] = {}
    for number, (case, kind, content) in enumerate(asked):
        message = Message(content, nodes[number % sites], kind, ttl=WAIT)
        grid.push_messages([message])
        open_[message.metadata.message_id] = case
    end = time.monotonic() + WAIT
    while open_ and time.monotonic() < end:
        for reply in grid.pull_messages(list(open_)):
            answers[open_.pop(reply.metadata.reply_to_message_id)] = told(reply)
        time.sleep(0.1)
    file.with_suffix(".part").write_text(json.dumps(answers))
    file.with_suffix(".part").rename(file)


def told(reply: Message) -> dict[str, Any]:
    """Return what a site said."""
    if reply.has_error():
        return {"code": reply.error.code, "reason": reply.error.reason}
    return {"code": 0, "reason": "", "records": sorted(reply.content)}


def initial(study: Study) -> wire.Vector:
    """Return the study's first weights."""
    return pack(build_model(study, build_task(study).outputs).state_dict())


def flood(study: Study) -> list[Question]:
    """Ask for the first round again and again, with other weights, trained and evaluated."""
    weights = initial(study)
    return [
        (f"{kind} {n}", kind, _of(study, 1, kind == "evaluate", weights + np.float32(n / 1000)))
        for n in range(1, study.federation.rounds + 3)
        for kind in ("train", "evaluate")
    ]


def questions(study: Study) -> list[Question]:
    """Return requests of an approved study of which each holds one thing that was not approved."""
    return [*_unknown(study), *_other_weights(study), *_other_rounds(study), *_kinds(study)]


def _unknown(study: Study) -> Iterator[Question]:
    """Wishes beside the instructions."""
    wishes = {
        "more steps": {"local-steps": 1000},
        "another q": {"sampling-rate": "1/1"},
        "lower sigma": {"noise-multiplier": 0.0},
        "other statistics": {"statistics": "exact"},
        "code": {"code": b"import os"},
    }
    for case, wish in wishes.items():
        for kind in ("train", "evaluate"):
            yield f"{case} ({kind})", kind, _changed(study, _with_keys(wish))
        yield f"{case} (describe)", "query.describe", RecordDict({"config": ConfigRecord(wish)})
    yield "a record", "train", _changed(study, _with_record("more", ConfigRecord({"a": 1})))
    yield "metrics", "train", _changed(study, _with_record("metrics", MetricRecord({"steps": 9})))
    yield "arrays", "train", _changed(study, _with_record("more", ArrayRecord()))
    yield "an array", "train", _changed(study, _with_array)
    yield "nothing at all", "train", RecordDict()


def _other_weights(study: Study) -> Iterator[Question]:
    """Weights that are not those of the study's model."""
    size = initial(study).size
    vectors = {
        "a bigger layout": np.zeros(size + 1, np.float32),
        "a smaller layout": np.zeros(size - 1, np.float32),
        "a huge layout": np.zeros(size + (4 << 20), np.float32),
        "another shape": np.zeros((1, size), np.float32),
        "another type": np.zeros(size, np.float64),
        "text": np.full(size, "x"),
        "not finite": np.full(size, np.nan, np.float32),
    }
    for case, vector in vectors.items():
        yield case, "train", _changed(study, _with_weights(vector))


def _other_rounds(study: Study) -> Iterator[Question]:
    """Rounds outside the study, and rounds that are over, with other weights."""
    last = study.federation.rounds
    for round_ in (0, -1, last + 1, last + 100):
        yield f"round {round_}", "train", _request(study, round_)
    for round_ in (0, last + 2):
        yield f"evaluate round {round_}", "evaluate", _request(study, round_)
    for n in (1, 2):
        for kind in ("train", "evaluate"):
            yield f"{kind} again {n}", kind, _request(study, 1, moved=n / 100)
    other = Instructions("0" * 64, 1, evaluate=False)
    yield "another study", "train", wire.request(other, initial(study))


def _kinds(study: Study) -> Iterator[Question]:
    """Message types that no site answers."""
    for kind in ("train.more", "evaluate.more", "query", "query.patients"):
        yield f"type {kind}", kind, _request(study, 1)


def _request(study: Study, round_: int, moved: float = 0.0) -> RecordDict:
    return _of(study, round_, True, initial(study) + np.float32(moved))


def _of(study: Study, round_: int, evaluate: bool, weights: wire.Vector) -> RecordDict:
    return wire.request(Instructions(study.fingerprint, round_, evaluate), weights)


def _changed(study: Study, change: Callable[[RecordDict], None]) -> RecordDict:
    content = _request(study, 1)
    change(content)
    return content


def _with_keys(wish: dict[str, Any]) -> Callable[[RecordDict], None]:
    return lambda content: content.config_records["config"].update(wish)


def _with_record(name: str, record: Any) -> Callable[[RecordDict], None]:
    return lambda content: content.update({name: record})


def _with_array(content: RecordDict) -> None:
    content.array_records[ARRAYS_KEY]["more"] = Array(np.zeros(3, np.float32))


def _with_weights(vector: Any) -> Callable[[RecordDict], None]:
    def change(content: RecordDict) -> None:
        content[ARRAYS_KEY] = ArrayRecord({"flat": Array(vector)})

    return change


def repeat_replies() -> None:
    """Have every reply arrive twice, and once more with all that come after it."""
    from server.post import Post

    fetch, seen = Post.fetch, []

    def doubled(self: Post, ids: Any) -> Iterator[Message]:
        for reply in fetch(self, ids):
            seen.append(reply)
            yield reply
            yield from seen

    Post.fetch = doubled  # type: ignore[method-assign]
