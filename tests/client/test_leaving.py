"""What leaves is logged first, nothing leaves without that, and a site that is stopped or revoked pays nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from client.agent import Agent
from client.guard.book import Charge
from client.guard.chain import Chain
from client.guard.egress import Parcel
from client.guard.egress_log import Release
from client.guard.entries import Entry
from client.messages import Request
from client.training import evaluation
from client.training.workspace import Silent, Stopped
from common.errors import MachineError, PolicyError
from common.study import Study
from common.weights import rounded

Make = Callable[..., Agent]
Ask = Callable[..., Request]
MakeStudy = Callable[..., Study]

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


def entries(agent: Agent) -> list[Entry]:
    assert agent.folders.egress is not None
    return list(Chain(agent.folders.egress, writable=False).read())[1:]


def steps(charges: list[Charge]) -> list[int]:
    return [charge.event.steps for charge in charges if charge.settled]


def test_an_entry_names_the_bytes_that_the_ledger_settled(make_agent: Make, ask: Ask) -> None:
    agent = make_agent(statistics="noisy")
    request = ask(agent, evaluate=True)
    answer = agent.handle(request)
    (entry,) = entries(agent)
    release = Release.from_json(entry.body)
    assert entry.kind == "reply"
    assert (release.study, release.fingerprint) == (agent.study.name, agent.study.fingerprint)
    assert (release.round, release.key, release.resent) == (1, request.key, False)
    assert release.sha256 == Parcel(answer.weights, answer.tally).digest
    assert release.layout == agent.space.layout.digest
    assert release.bytes == answer.size == sum(release.parts.values())
    assert set(release.parts) == {"weights", "statistics"}
    settled = [e.body["released"] for e in Chain(agent.folders.ledger).read() if e.kind == "settle"]
    assert settled == [release.sha256] * 2


def test_what_is_sent_again_is_noted_again(make_agent: Make, ask: Ask) -> None:
    agent = make_agent()
    for again in (agent, agent, make_agent(site=agent.site)):
        again.handle(ask(again))
    noted = [Release.from_json(entry.body) for entry in entries(agent)]
    assert [release.resent for release in noted] == [False, True, True]
    assert len({release.sha256 for release in noted}) == 1
    assert len(agent.ledger.charges()) == 1


def test_what_cannot_be_noted_does_not_leave_and_leaves_later_for_one_charge(
    make_agent: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent()

    def full(*_: Any) -> None:
        raise MachineError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(agent.egress, "_append", full)
        for _ in range(2):
            with pytest.raises(MachineError):
                agent.handle(ask(agent))
    assert entries(agent) == []
    assert [charge.settled for charge in agent.ledger.charges()] == [False]
    agent.handle(ask(agent))
    assert [charge.settled for charge in agent.ledger.charges()] == [True]
    assert [entry.body["resent"] for entry in entries(agent)] == [False]


def test_what_the_guard_keeps_is_noted_with_its_reason(
    make_agent: Make, make_study: MakeStudy, ask: Ask
) -> None:
    agent = make_agent(make_study(training={"learning_rate": 1e38}))
    with pytest.raises(PolicyError) as caught:
        agent.handle(ask(agent))
    (entry,) = entries(agent)
    assert (entry.kind, entry.body["reason"]) == ("refused", caught.value.what)


def test_a_larger_reply_than_the_policy_allows_costs_nothing(make_agent: Make, ask: Ask) -> None:
    agent = make_agent(max_bytes_per_round=100)
    for attempt in (agent.describe, lambda: agent.handle(ask(agent))):
        with pytest.raises(PolicyError, match="lets out"):
            attempt()
    assert agent.ledger.charges() == []
    assert entries(agent) == []


def test_statistics_that_the_policy_keeps_now_do_not_leave_from_the_spool(
    make_agent: Make, ask: Ask
) -> None:
    before = make_agent(statistics="noisy")
    before.handle(ask(before, evaluate=True))
    policy = before.site.policy.model_copy(update={"statistics": "none"})
    after = make_agent(site=replace(before.site, policy=policy))
    with pytest.raises(PolicyError):
        after.handle(ask(after, evaluate=True))
    assert [entry.kind for entry in entries(after)] == ["reply", "refused"]


def test_what_travels_as_bfloat16_is_rounded_before_it_is_looked_at_and_charged(
    make_agent: Make, make_study: MakeStudy, ask: Ask
) -> None:
    agent = make_agent(make_study(federation={"wire": "bfloat16"}))
    answer = agent.handle(ask(agent))
    assert answer.weights is not None
    assert np.array_equal(answer.weights, rounded(answer.weights, "bfloat16"))
    (entry,) = entries(agent)
    assert entry.body["sha256"] == Parcel(answer.weights, None).digest
    assert entry.body["bytes"] == 2 * answer.weights.size == answer.size
    again = agent.handle(ask(agent))
    assert again.weights is not None
    assert again.weights.tobytes() == answer.weights.tobytes()


class Once(Silent):
    """Stops the agent, once, at a step."""

    def __init__(self, at: int) -> None:
        self.agent: Agent | None = None
        self.at = at
        self.steps: list[int] = []

    def step(self, taken: int, planned: int) -> None:
        self.steps.append(taken)
        if taken == self.at and self.agent is not None:
            self.agent.stop()


@pytest.mark.parametrize("private", [True, False])
def test_a_site_that_is_stopped_ends_at_the_next_step_and_pays_nothing(
    make_agent: Make, make_study: MakeStudy, ask: Ask, private: bool
) -> None:
    study = None if private else make_study(privacy={"enabled": False})
    watch = Once(1)
    agent = make_agent(study, watch=lambda _: watch, allow_non_private=not private)
    watch.agent = agent
    for _ in range(2):
        with pytest.raises(Stopped):
            agent.handle(ask(agent))
    assert watch.steps == [0, 1]
    assert entries(agent) == []
    assert not list(agent.folders.state.glob("spool/*"))
    assert steps(agent.ledger.charges()) == [0]
    restarted = make_agent(study, site=agent.site)
    restarted.handle(ask(restarted))
    planned = 1 if restarted.plan is None else restarted.plan.steps_per_round
    assert steps(restarted.ledger.charges()) == [0, planned]
    restarted.handle(ask(restarted))
    assert steps(restarted.ledger.charges()) == [0, planned], "the same bytes again"


def test_a_stop_while_evaluating_ends_between_two_batches(
    make_agent: Make, make_study: MakeStudy, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(make_study(training={"physical_batch": 1}), statistics="noisy")
    seen: list[int] = []

    honest = evaluation.outputs_of

    def watched(task: Any, network: Any, inputs: Any, targets: Any) -> Any:
        seen.append(len(inputs))
        agent.stop()
        return honest(task, network, inputs, targets)

    monkeypatch.setattr(evaluation, "outputs_of", watched)
    assert agent.cohort.count("test") > 1
    with pytest.raises(Stopped):
        agent.handle(ask(agent, evaluate=True))
    assert seen == [1]
    assert steps(agent.ledger.charges()) == [0, 0]


def test_every_answer_asks_whether_the_study_is_approved(make_agent: Make, ask: Ask) -> None:
    standing = [True]

    def approved() -> None:
        if not standing[0]:
            raise PolicyError("The approval was taken back.")

    agent = make_agent(approved=approved)
    agent.handle(ask(agent))
    standing[0] = False
    for attempt in (agent.describe, lambda: agent.handle(ask(agent))):
        with pytest.raises(PolicyError, match="taken back"):
            attempt()
    assert len(entries(agent)) == 1


def test_an_approval_that_is_taken_back_while_training_keeps_the_result_in_the_house(
    make_agent: Make, ask: Ask
) -> None:
    standing = [True]

    class Revoking(Silent):
        def step(self, taken: int, planned: int) -> None:
            standing[0] = False

    def approved() -> None:
        if not standing[0]:
            raise PolicyError("The approval was taken back.")

    agent = make_agent(approved=approved, watch=lambda _: Revoking())
    with pytest.raises(PolicyError, match="taken back"):
        agent.handle(ask(agent))
    assert entries(agent) == []
    assert not list(agent.folders.state.glob("spool/*"))
    assert steps(agent.ledger.charges()) == [0]
