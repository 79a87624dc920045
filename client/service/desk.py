"""Decides on every task that a coordinator sends: refused with a reason, or answered by the study's own agent."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from flwr.app import Error, Message

from client.agent import Agent
from client.app import InTime, build
from client.due import Due
from client.service.agents import WarmAgents
from client.service.executor import Lost, Task, Unreachable
from client.service.queue import Queue
from client.service.state import Doing, ServiceState, Snapshot, Work
from client.service.studies import Studies
from client.training.workspace import Progress
from common import wire
from common.bundle import Bundle, read_bundle
from common.deadline import ends
from common.errors import ConsiliumError, Interrupted, MachineError, PolicyError, TamperedError
from common.study import Study

log = logging.getLogger(__name__)

DESCRIBE, TRAIN, EVALUATE = "query.describe", "train", "evaluate"
_DOING = {DESCRIBE: Doing.DESCRIBING, TRAIN: Doing.TRAINING, EVALUATE: Doing.EVALUATING}
_SLACK = 1 << 20
"""Bytes of a request beside its weights."""


class Steps:
    """Progress of a round, noted in the service's state."""

    def __init__(self, state: ServiceState, fingerprint: str, round_: int) -> None:
        self._state, self._fingerprint, self._round = state, fingerprint, round_

    def step(self, taken: int, planned: int) -> None:
        """Note the step."""
        for name, work in self._state.snapshot().work.items():
            if work.fingerprint == self._fingerprint and work.doing is Doing.TRAINING:
                self._state.work(name, moved(work, self._round, taken, planned))

    def loss(self, value: float) -> None:
        """Exact figures stay out of the state."""


class Desk:
    """What all executors of a site share.

    Args:
        studies: what is approved.
        agents: who answers.
        state: what the site's people see.
        stopping: whether the service is being stopped.
    """

    def __init__(
        self,
        studies: Studies,
        agents: WarmAgents,
        state: ServiceState,
        stopping: Callable[[], bool],
    ) -> None:
        self._studies, self._agents = studies, agents
        self._state, self._stopping = state, stopping
        self._queue = Queue()

    def answer(self, connection: str, task: Task) -> Message:
        """Return the reply to a task; an error reply tells a fixed sentence, and the log tells the rest.

        Raises:
            Unreachable, Lost: the SuperNode is gone, so there is nobody to answer.
        """
        try:
            return self._answer(connection, task)
        except (Unreachable, Lost):
            raise
        except ConsiliumError as error:
            return self._refusal(connection, task, error)
        except Exception as error:  # told by its class: its text may quote a patient's record
            place = traceback.extract_tb(error.__traceback__)[-1]
            unforeseen = ConsiliumError(
                f"An unforeseen {type(error).__name__} stopped the answer; nothing was sent.",
                where=f"{Path(place.filename).name}, line {place.lineno}",
                fix="Please report it with this place in the code.",
            )
            return self._refusal(connection, task, unforeseen)
        finally:
            self._state.work(connection, None)

    def _answer(self, connection: str, task: Task) -> Message:
        if self._stopping():
            raise Interrupted("The site's service is being stopped.")
        if task.kind not in _DOING:
            raise PolicyError(f"The coordinator asks for '{task.kind[:40]}', which no site does.")
        bundle = read_bundle(task.bundle)
        self._admit(connection, bundle)
        agent = self._agents.get(bundle.study)
        message = task.pull(self._most(task.kind, agent))
        with self._turn(connection, bundle.study, task.kind):
            self._note(connection, bundle.study, _DOING[task.kind])
            reply = build(lambda _: agent, _deadline(task, bundle.study))(message, task.context)
        self._told(connection, bundle.study, reply, agent)
        return reply

    def _admit(self, connection: str, bundle: Bundle) -> None:
        """Note a study that is new, and refuse one that nobody here approved."""
        try:
            self._studies.require(bundle)
        except PolicyError:
            name = bundle.study.name
            if self._studies.inbox.put(bundle, connection):
                text = f"A study '{name}' has arrived and waits for approval: consilium site show."
                self._state.tell("study", text, connection=connection, study=name)
            raise

    def _most(self, kind: str, agent: Agent) -> int:
        return _SLACK if kind == DESCRIBE else _SLACK + 4 * agent.space.layout.size

    def _turn(self, connection: str, study: Study, kind: str) -> AbstractContextManager[None]:
        if kind == DESCRIBE:
            return nullcontext()
        self._note(connection, study, Doing.QUEUED)
        return self._queue.turn(self._stopping)

    def _note(self, connection: str, study: Study, doing: Doing) -> None:
        self._state.work(connection, Work(connection, study.name, study.fingerprint, 0, doing))

    def _told(self, connection: str, study: Study, reply: Message, agent: Agent) -> None:
        """Note how the agent answered."""
        if not reply.has_error():
            self._state.update(lambda now: replace(now, problem="", answered=now.answered + 1))
            self._tell_round(connection, study)
            return
        error = agent.refusals.read()
        reason = error or ConsiliumError(reply.error.reason or "refused")
        self._count_refusal(connection, study.name, reason)

    def _tell_round(self, connection: str, study: Study) -> None:
        work = self._state.snapshot().work.get(connection)
        if work is not None and work.round:
            text = f"Round {work.round} of '{study.name}' was trained: {work.steps:,} steps."
            self._state.tell("round", text, connection=connection, study=study.name)

    def _refusal(self, connection: str, task: Task, error: ConsiliumError) -> Message:
        log.error("connection '%s': %s", connection, error)
        self._count_refusal(connection, "", error)
        return task.reply(Error(wire.SITE_ERROR + error.exit_code, error.told))

    def _count_refusal(self, connection: str, study: str, error: ConsiliumError) -> None:
        self._state.tell("refused", str(error), connection=connection, study=study)

        def change(now: Snapshot) -> Snapshot:
            machine = isinstance(error, MachineError | TamperedError)
            problem = error.what if machine else now.problem
            return replace(now, problem=problem, refused=now.refused + 1)

        self._state.update(change)


def _deadline(task: Task, study: Study) -> InTime:
    """Return the check whether an answer to a task would still count."""
    sent = task.message.metadata
    end = ends(sent.created_at, sent.ttl, study.federation.deadline_seconds)
    return lambda round_: Due(round_, end, task.time_there).check()


def watch(state: ServiceState) -> Callable[[Study, int], Progress]:
    """Return what makes the progress of a round."""
    return lambda study, round_: Steps(state, study.fingerprint, round_)


def moved(work: Work, round_: int, taken: int, planned: int) -> Work:
    """Return a task's state after a step."""
    return replace(work, round=round_, step=taken, steps=planned, moved=time.time())
