"""The ClientApp: errors in full at home and in one fixed sentence elsewhere; identifiers nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from client.agent import Agent
from client.app import build
from client.refusals import Refusals
from common import errors, wire
from common.errors import ConsiliumError, TamperedError
from common.study import Study
from common.wire import Instructions

Make = Callable[..., Agent]
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


def send(app: ClientApp, kind: str, content: RecordDict) -> Message:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    context = Context(1, 2, {}, RecordDict({"state": ConfigRecord()}), {})
    message = Message(content, 2, kind)
    message.metadata.__dict__["_message_id"] = "1"
    return app(message, context)


def question(agent: Agent, round_: int = 1, evaluate: bool = True) -> RecordDict:
    weights = np.zeros(agent.space.layout.size, np.float32)
    return wire.request(Instructions(agent.study.fingerprint, round_, evaluate), weights)


def content_of(kind: str, agent: Agent, round_: int = 1, evaluate: bool = True) -> RecordDict:
    return RecordDict() if kind == "query.describe" else question(agent, round_, evaluate)


def app_for(agent: Agent) -> ClientApp:
    return build(lambda _: agent)


def test_a_whole_conversation(make_agent: Make) -> None:
    agent = make_agent(statistics="exact")
    app = app_for(agent)
    told = wire.read_introduction(send(app, "query.describe", RecordDict()).content)
    assert (told.site, told.statistics) == ("north", "exact")
    assert told.layout == agent.space.layout.digest
    trained = wire.read_reply(send(app, "train", question(agent)).content)
    assert trained.weights is not None
    assert trained.tally is not None
    last = wire.read_reply(send(app, "evaluate", question(agent, 3)).content)
    assert last.weights is None
    assert last.tally is not None


@pytest.mark.parametrize("kind", ["introduction", "reply"])
def test_a_record_with_more_in_it_than_the_guard_passed_is_not_sent(
    make_agent: Make, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    honest = getattr(wire, kind)

    def chatty(told: Any) -> RecordDict:
        content: RecordDict = honest(told)
        content["more"] = ConfigRecord({"patients": "ZQX-0001"})
        return content

    monkeypatch.setattr(wire, kind, chatty)
    agent = make_agent()
    asked = "query.describe" if kind == "introduction" else "train"
    reply = send(app_for(agent), asked, content_of(asked, agent))
    assert reply.has_error()
    assert "did not pass" in (agent.folders.state / "refusal.json").read_text()


@pytest.mark.parametrize("kind", ["query.describe", "train", "evaluate"])
def test_refusals_say_little_outside_and_all_at_home(make_agent: Make, kind: str) -> None:
    agent = make_agent(min_patients=39)
    reply = send(app_for(agent), kind, content_of(kind, agent))
    assert reply.error.code == wire.SITE_ERROR + errors.PolicyError.exit_code
    assert reply.error.reason == errors.PolicyError.told
    kept = Refusals(agent.folders.state).read()
    assert isinstance(kept, errors.PolicyError)
    assert "39" in kept.what


def test_damaged_messages_are_refused(make_agent: Make) -> None:
    agent = make_agent()
    described = send(app_for(agent), "query.describe", question(agent))
    assert described.error.code == wire.SITE_ERROR + errors.PolicyError.exit_code
    reply = send(app_for(agent), "train", RecordDict())
    assert reply.error.code == wire.SITE_ERROR + errors.PolicyError.exit_code


def test_an_unforeseen_exception_is_told_by_its_class_alone(
    make_agent: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    agent = make_agent()

    def burst(*_: Any) -> None:
        raise KeyError("ZQX-patient-0001-Meier")

    monkeypatch.setattr(agent, "handle", burst)
    with caplog.at_level(logging.DEBUG):
        reply = send(app_for(agent), "train", question(agent))
    assert reply.error.code == wire.SITE_ERROR + 1
    assert reply.error.reason == ConsiliumError.told
    kept = (agent.folders.state / "refusal.json").read_text()
    assert "KeyError" in kept
    assert "test_app.py" in kept
    assert "ZQX" not in caplog.text + kept


def test_an_agent_that_cannot_be_made_is_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    def find(_: Context) -> Agent:
        raise TamperedError("The ledger does not hold together.", where="/secret/place")

    caplog.set_level(logging.WARNING, logger="client")  # a simulation in this process silenced it
    reply = send(build(find), "query.describe", RecordDict())
    assert reply.error.code == wire.SITE_ERROR + TamperedError.exit_code
    assert reply.error.reason == TamperedError.told
    assert "/secret/place" in caplog.text


def test_identifiers_stay_in_the_private_folder(
    make_agent: Make,
    make_study: Callable[..., Study],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Distinctive names go in; every byte that is written or said outside is searched for them."""
    caplog.set_level(logging.DEBUG)
    sent: list[str] = []
    for statistics in ("exact", "noisy"):
        agent = make_agent(make_study(study={"name": f"s-{statistics}"}), statistics=statistics)
        app = app_for(agent)
        for kind, round_ in (("query.describe", 1), ("train", 1), ("train", 2), ("evaluate", 3)):
            reply = send(app, kind, content_of(kind, agent, round_, evaluate=round_ > 1))
            assert reply.has_content(), reply.error
            sent.append(raw(reply.content))
        send(app, "train", RecordDict())  # and a refusal
    own = agent.site.folder
    assert b"ZQX" in (own / "scans.npz").read_bytes() or names_are_stored(own)
    outside = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and own not in path.parents and tmp_path / "cache" not in path.parents
    ]
    assert {"site.ledger", "status.json", "refusal.json"} <= {path.name for path in outside}
    said = "".join([*sent, caplog.text, *capfd.readouterr(), repr(agent.cohort), repr(agent.site)])
    for text in [said, *(path.read_bytes().decode("latin-1") for path in outside)]:
        assert "zqx" not in text.lower()
        assert "meier" not in text.lower()


def names_are_stored(folder: Path) -> bool:
    with np.load(folder / "scans.npz") as stored:
        return bool(any("ZQX" in name for name in stored["patients"]))


def raw(content: RecordDict) -> str:
    """Every byte of a message, as text."""
    parts = [json.dumps({key: str(dict(record)) for key, record in content.items()})]
    for record in content.array_records.values():
        parts += [array.data.decode("latin-1") for array in record.values()]
    for config in content.config_records.values():
        parts += [v.decode("latin-1") for v in config.values() if isinstance(v, bytes)]
    return "".join(parts)


def test_what_a_bundle_names_refuses_everything(caplog: pytest.LogCaptureFixture) -> None:
    from client.app import app

    with caplog.at_level(
        logging.ERROR, logger="client"
    ):  # a simulation in this process has silenced it
        for kind in ("query.describe", "train", "evaluate"):
            reply = send(app, kind, RecordDict())
            assert reply.error.code == wire.SITE_ERROR + 6
    assert "consilium site start" in caplog.text
