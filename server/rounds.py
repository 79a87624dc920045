"""The round loop: send, wait, combine in a fixed order, keep."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from flwr.app import Message, MessageType
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from common import witness
from common.algorithms.base import Algorithm
from common.errors import ConsiliumError, SitesError
from common.privacy.plan import evaluated_rounds, plan_site
from common.study import Study
from common.tasks.base import Tally, Task
from common.weights import Layout, Vector
from common.wire import (
    Answer,
    Instructions,
    for_strategy,
    from_array_record,
    read_reply,
    request,
    strategy_content,
    strategy_view,
    to_array_record,
)
from common.witness import Witnessed
from server import checkpoint
from server.checkpoint import Checkpoint
from server.members import ChosenNodes, Member, choose, why
from server.run_folder import RunFolder

WAVE = 128
"""Sites asked together; more than that are asked group by group, so that their weights need not be held at once."""


class Listener(Protocol):
    """Hears what the server does."""

    def ready(self, members: list[Member], first_round: int) -> None:
        """All sites are described; rounds begin."""

    def round_started(self, round_: int, sites: list[str]) -> None:
        """A round's messages are about to leave."""

    def round_finished(self, record: dict[str, Any]) -> None:
        """A round's record is written."""


@dataclass(frozen=True)
class Replies:
    """What came back in a round, in the order of the sites' names.

    Attributes:
        messages: as Flower's strategies take them, by site.
        answers: what they say, by site, without the weights.
        sizes: bytes of what they sent, by site.
        failures: reasons of the sites that are missing.
    """

    messages: dict[str, Message]
    answers: dict[str, Answer]
    sizes: dict[str, int]
    failures: dict[str, str]


@dataclass
class Rounds:
    """One run of a study over a grid.

    Attributes:
        grid: Flower's connection to the sites.
        study: what is trained.
        task: gives metrics from tallies.
        algorithm: gives the strategy.
        layout: of the packed weights.
        folder: where the run is kept.
        members: the sites.
        listener: hears about progress.
    """

    grid: Grid
    study: Study
    task: Task
    algorithm: Algorithm
    layout: Layout
    folder: RunFolder
    members: list[Member]
    listener: Listener
    strategy: Strategy = field(init=False)

    def __post_init__(self) -> None:
        self.strategy = self.algorithm.strategy()
        self.evaluated = set(evaluated_rounds(self.study))

    def run(self, start: Checkpoint) -> tuple[Vector, dict[str, Tally]]:
        """Run the rounds after `start`; return the final weights and every site's tally of them.

        Raises:
            SitesError: too few sites answered a round. The last checkpoint stands.
        """
        self.algorithm.restore(self.strategy, start.strategy)
        weights = start.weights
        for round_ in range(start.round + 1, self.study.federation.rounds + 1):
            weights = self._round(round_, weights)
        return weights, self._evaluate(weights)

    def _round(self, round_: int, weights: Vector) -> Vector:
        began = time.monotonic()
        chosen = choose(self.members, self.study, round_)
        self.listener.round_started(round_, [member.name for member in chosen])
        instructions = self._instructions(round_, evaluate=round_ - 1 in self.evaluated).to_record()
        view = ChosenNodes(self.grid, [member.node for member in chosen])
        arrays = to_array_record(weights)
        messages = self.strategy.configure_train(round_, arrays, instructions, view)
        replies = self._ask(chosen, list(messages), round_, training=True)
        combined, _ = self.strategy.aggregate_train(round_, list(replies.messages.values()))
        if combined is None:
            raise SitesError("The sites' weights could not be combined.", where=f"round {round_}")
        weights = from_array_record(combined)
        record = self._record(round_, replies, time.monotonic() - began)
        # The checkpoint comes last: a stop before it repeats the round, one after it loses nothing.
        self._keep(round_, weights)
        self.listener.round_finished(record)
        return weights

    def _evaluate(self, weights: Vector) -> dict[str, Tally]:
        """Have every site evaluate the final weights."""
        round_ = self.study.federation.rounds + 1
        content = request(self._instructions(round_, evaluate=True), weights)
        messages = [Message(content, member.node, MessageType.EVALUATE) for member in self.members]
        return self._tallies(self._ask(self.members, messages, round_, training=False))

    def _instructions(self, round_: int, *, evaluate: bool) -> Instructions:
        return Instructions(self.study.fingerprint, round_, evaluate)

    def _ask(
        self, chosen: list[Member], messages: list[Message], round_: int, *, training: bool
    ) -> Replies:
        """Send and wait; check that enough sites, and enough declared patients, answered soundly."""
        end = time.monotonic() + self.study.federation.deadline_seconds
        asked = {message.metadata.dst_node_id: message for message in messages}
        replies = Replies({}, {}, {}, {})
        for wave in _waves(chosen, WAVE if self.algorithm.averages else len(chosen)):
            left = max(0.0, end - time.monotonic())
            sent = [asked[member.node] for member in wave]
            came = self.grid.send_and_receive(sent, timeout=left)
            self._take(replies, wave, came, training=training)
            self._witness(replies, wave, round_)
            if training and len(chosen) > WAVE and self.algorithm.averages:
                fold(replies.messages)
        self._check_enough(chosen, replies, round_)
        return replies

    def _take(
        self, replies: Replies, wave: list[Member], came: Iterable[Message], *, training: bool
    ) -> None:
        """Sort what came into sound answers and failures; of the weights only the message is kept."""
        by_node = {reply.metadata.src_node_id: reply for reply in came}
        for member in wave:
            try:
                answer = self._read(by_node.get(member.node), member, training)
                reply = replies.messages[member.name] = by_node[member.node]
                reply.content = for_strategy(reply.content, answer)
                replies.sizes[member.name] = answer.size
                replies.answers[member.name] = replace(answer, weights=None)
            except ConsiliumError as error:
                replies.failures[member.name] = error.what

    def _witness(self, replies: Replies, wave: list[Member], round_: int) -> None:
        """Keep the heads of the sites' ledgers, whatever becomes of the round."""
        heard = [member.name for member in wave if member.name in replies.answers]
        witness.append(
            self.folder.path,
            [
                Witnessed(name, round_, replies.answers[name].ledger_head, replies.sizes[name])
                for name in heard
            ],
        )

    def _read(self, reply: Message | None, member: Member, training: bool) -> Answer:
        """Return what a site said; whatever is wrong with it is the site's failure, by name."""
        if reply is None:
            raise SitesError("the site did not answer before the deadline")
        if reply.has_error():
            raise SitesError(why(reply))
        answer = read_reply(reply.content)
        if answer.site != member.name or answer.declared_patients != member.declared_patients:
            raise SitesError("the reply names another site, or another number of patients")
        if training:
            self._check_weights(answer.weights)
        if answer.tally is not None:
            self._check_tally(answer)
        return answer

    def _check_weights(self, weights: Vector | None) -> None:
        if weights is None or weights.shape != (self.layout.size,):
            raise SitesError("the weights do not have the study's layout")
        if not np.isfinite(weights).all():
            raise SitesError("the weights hold values that are not finite")

    def _check_tally(self, answer: Answer) -> None:
        values = answer.tally
        if values is None or not np.isfinite(values).all():
            raise SitesError("the statistics hold values that are not finite")
        Tally.from_flat(values, self.task.tally_layout)

    def _check_enough(self, chosen: list[Member], replies: Replies, round_: int) -> None:
        federation = self.study.federation
        asked = sum(member.declared_patients for member in chosen)
        answered = sum(answer.declared_patients for answer in replies.answers.values())
        enough_sites = len(replies.answers) >= federation.min_sites
        if enough_sites and answered >= federation.min_patient_share * asked:
            return
        reasons = "; ".join(f"{name}: {reason}" for name, reason in replies.failures.items())
        raise SitesError(
            f"{len(replies.answers)} of {len(chosen)} sites answered, "
            f"with {answered} of {asked} declared patients.",
            where=f"round {round_}",
            fix=f"{reasons}. Mend that and continue with --resume.",
        )

    def _tallies(self, replies: Replies) -> dict[str, Tally]:
        """Return the tallies in the replies, by site."""
        layout = self.task.tally_layout
        return {
            name: Tally.from_flat(answer.tally, layout, self._variance(name))
            for name, answer in replies.answers.items()
            if answer.tally is not None
        }

    def _variance(self, name: str) -> float:
        """Return the variance of the noise on a site's statistics, which follows from public numbers."""
        member = next(member for member in self.members if member.name == name)
        if member.statistics != "noisy" or not self.study.privacy.enabled:
            return 0.0
        plan = plan_site(self.study, member.declared_patients)
        return (plan.evaluation_noise * self.task.tally_bound) ** 2

    def _keep(self, round_: int, weights: Vector) -> None:
        point = Checkpoint(round_, weights, self.algorithm.save(self.strategy))
        checkpoint.save(self.folder.checkpoints, point, self.layout, self.study.fingerprint)

    def _record(self, round_: int, replies: Replies, seconds: float) -> dict[str, Any]:
        sites = {
            name: self._site(answer, replies.sizes[name], round_)
            for name, answer in replies.answers.items()
        }
        record = {
            "round": round_,
            "metrics": pooled(self.task, self._tallies(replies)),
            "sites": sites,
            "bytes_sent": sum(replies.sizes.values()),
            "seconds": round(seconds, 3),
            "failures": replies.failures,
        }
        self.folder.append_round(record)
        return record

    def _site(self, answer: Answer, size: int, round_: int) -> dict[str, Any]:
        """What the coordinator knows of a site's part: ε follows from public numbers."""
        record = {"bytes_sent": size, "ledger_head": answer.ledger_head}
        if not self.study.privacy.enabled:
            return record
        plan = plan_site(self.study, answer.declared_patients)
        steps = plan.steps_per_round * round_
        return record | {"steps": steps, "epsilon": plan.epsilon_after(round_)}


def _waves(chosen: list[Member], size: int) -> Iterator[list[Member]]:
    """Cut the members into groups that are asked together."""
    for start in range(0, len(chosen), max(1, size)):
        yield chosen[start : start + size]


def fold(messages: dict[str, Message]) -> None:
    """Replace the replies by one with their weighted mean and their total weight, in place.

    An averaging strategy makes of it what it would make of them all; memory no longer grows with the sites.
    """
    if len(messages) < 2:
        return
    first = next(iter(messages))
    parts = [strategy_view(message.content) for message in messages.values()]
    total = sum(weight for weight, _ in parts)
    mean = np.zeros_like(parts[0][1], dtype=np.float64)
    for weight, vector in parts:
        mean += (weight / total) * vector
    kept = messages[first]
    kept.content = strategy_content(total, mean.astype(np.float32))
    messages.clear()
    messages[first] = kept


def pooled(task: Task, tallies: dict[str, Tally]) -> dict[str, float] | None:
    """Return the metrics of all sites' patients together, or None where no site sent statistics."""
    if not tallies:
        return None
    total = Tally.zeros(task.tally_layout)
    for tally in tallies.values():
        total = total + tally
    return task.metrics(total)
