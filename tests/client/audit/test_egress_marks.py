"""The ledger remembers the egress log: a log that is cut, changed or replaced afterwards shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from client.agent import Agent
from client.audit.egress_report import EgressReport, audit
from client.guard.chain import Chain
from client.guard.egress_log import EgressLog, Release
from client.guard.entries import Mark
from client.messages import Request
from common.errors import TamperedError

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


@pytest.fixture
def agent(make_agent: Callable[..., Agent], ask: Callable[..., Request]) -> Agent:
    """A site that answered both rounds of a study, and the first of them twice."""
    made = make_agent()
    for round_ in (1, 1, 2):
        made.handle(ask(made, round_, evaluate=True))
    return made


def look(agent: Agent) -> EgressReport:
    assert agent.folders.egress is not None
    (report,) = audit(agent.folders.egress)
    return report


def rewrite(agent: Agent, change: Callable[[list[Release]], list[Release]]) -> None:
    """Put a sound log of other entries in the place of the log."""
    path = agent.folders.egress
    assert path is not None
    bodies = [entry.body for entry in Chain(path).read() if entry.kind == "reply"]
    path.unlink()
    log = EgressLog(path, agent.site.name)
    for release in change([Release.from_json(body) for body in bodies]):
        log.leaving(release)


def test_every_settlement_names_the_newest_entry(agent: Agent) -> None:
    bodies = [e.body for e in Chain(agent.folders.ledger).read() if e.kind == "settle"]
    assert agent.egress is not None
    hashes = {entry.seq: entry.hash for entry in Chain(agent.egress.path).read()}
    assert [body["egress"]["entries"] for body in bodies] == [2, 2, 4, 4]
    assert all(hashes[b["egress"]["entries"]] == b["egress"]["head"] for b in bodies)
    assert bodies[-1]["egress"] == asdict(agent.egress.newest())
    assert (look(agent).verdict, look(agent).notes) == ("sound", ())


@pytest.mark.parametrize("gone", [1, 2])
def test_a_tail_that_is_cut_off_is_noticed(agent: Agent, gone: int) -> None:
    rewrite(agent, lambda releases: releases[:-gone])
    report = look(agent)
    assert (report.chain.intact, report.verdict) == (True, "tampered")
    assert "settled when the log had" in report.contradictions[0]


def test_an_older_copy_of_the_log_is_noticed(
    make_agent: Callable[..., Agent], ask: Callable[..., Request], tmp_path: Path
) -> None:
    agent = make_agent()
    path = agent.folders.egress
    assert path is not None
    agent.handle(ask(agent, 1))
    shutil.copy(path, tmp_path / "copy")
    agent.handle(ask(agent, 2))
    shutil.copy(tmp_path / "copy", path)
    report = look(agent)
    assert "ends at entry 2: its newest entries were cut off" in report.contradictions[0]


def test_a_log_that_says_less_than_left_is_noticed(agent: Agent) -> None:
    """The very replies, in order, with fewer bytes: nothing but the ledger's memory tells."""
    rewrite(
        agent, lambda releases: [replace(each, bytes=1, parts={"weights": 1}) for each in releases]
    )
    report = look(agent)
    assert report.verdict == "tampered"
    assert "has another entry 2 now: it was written anew" in report.contradictions[0]
    assert "3 later settlements" in report.contradictions[0]


def test_what_is_newer_than_the_last_settlement_is_told(
    agent: Agent, ask: Callable[..., Request]
) -> None:
    agent.handle(ask(agent, 2, evaluate=True))  # sent again
    assert "1 of 4 entries about replies are newer" in look(agent).notes[0]
    assert look(agent).verdict == "sound"


def test_a_ledger_without_marks_is_read_as_before(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Request]
) -> None:
    """What an earlier version wrote."""
    monkeypatch.setattr(type(agent.charging), "_mark", lambda self: None)
    for file in (agent.folders.ledger, agent.folders.egress):
        assert file is not None
        file.unlink()
    shutil.rmtree(agent.folders.state)
    for file in agent.folders.anchors:
        file.unlink(missing_ok=True)
    old = Agent(
        agent.site,
        agent.study,
        agent.folders,
        secret=b"the secret of a house, 32 bytes.",
        randomness=agent.randomness,
        simulated=True,
    )
    old.handle(ask(old))
    assert look(old).verdict == "sound"
    assert "newer than what the ledger remembers" in look(old).notes[0]


@pytest.mark.parametrize(
    "mark",
    [
        *({}, None, 3, {"entries": True}, {"entries": 1, "head": "x"}),
        *({"entries": 0, "head": "a" * 64}, {"entries": 1, "head": "a" * 64, "more": 1}),
    ],
)
def test_a_mark_that_makes_no_sense_breaks_the_ledger(agent: Agent, mark: Any) -> None:
    body = {"key": "round-9/training", "steps": 0, "released": None, "egress": mark}
    with pytest.raises((TypeError, KeyError, ValueError)):
        Mark.from_json(mark)
    made = agent.ledger.charges()[0]
    agent.ledger.reserve(
        body["key"],
        study=made.study,
        fingerprint=made.fingerprint,
        round=2,
        group=made.group,
        event=made.event,
        delta=made.delta,
        randomness=made.randomness,
    )
    agent.ledger._chain.write(lambda writer: writer.append("settle", body))
    with pytest.raises(TamperedError, match="makes no sense"):
        agent.ledger.charges()
