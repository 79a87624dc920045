"""The round loop: ask, keep what comes, combine in a fixed order, remember."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from flwr.app import MessageType, RecordDict
from flwr.serverapp.strategy import Strategy

from common.algorithms.base import Algorithm
from common.errors import SitesError
from common.privacy.plan import evaluated_rounds
from common.study import Study
from common.tasks.base import Tally, Task
from common.weights import Layout, Vector, digest
from common.wire import Instructions, from_array_record, request
from server import checkpoint
from server.aggregate import weighted_mean
from server.checkpoint import Checkpoint
from server.conduct import Conduct
from server.exchange import Exchange
from server.flower_messages import strategy_reply, training_request
from server.incoming import IN_MEMORY, Incoming, request_key
from server.listener import Listener
from server.members import Member, choose, save_members
from server.questions import Question
from server.replies import Reader, Replies, Witness
from server.run_folder import RunFolder
from server.stopping import learned_enough
from server.tallies import Tallies, pooled


@dataclass
class Rounds:
    """One run of a study.

    Attributes:
        exchange: asks the sites.
        study: what is trained.
        task: gives metrics from tallies.
        algorithm: gives the strategy.
        layout: of the packed weights.
        folder: where the run is kept.
        listener: hears about progress.
        conduct: how sites are treated.
    """

    exchange: Exchange
    study: Study
    task: Task
    algorithm: Algorithm
    layout: Layout
    folder: RunFolder
    listener: Listener
    conduct: Conduct
    strategy: Strategy = field(init=False)

    def __post_init__(self) -> None:
        self.strategy = self.algorithm.strategy()
        self.evaluated = set(evaluated_rounds(self.study))
        self.tallies = Tallies(self.study, self.task)

    @property
    def members(self) -> list[Member]:
        """The sites that take part, in the order of their names."""
        members = self.exchange.roster.members.values()
        return sorted(members, key=lambda member: member.name)

    def run(self, start: Checkpoint) -> tuple[Vector, dict[str, Tally]]:
        """Run the rounds after `start`, or fewer; return the final weights and every site's tally of them.

        Raises:
            SitesError: too few sites answered a round. The last checkpoint stands.
        """
        self.algorithm.restore(self.strategy, start.strategy)
        weights = start.weights
        for round_ in range(start.round + 1, self.study.federation.rounds + 1):
            if learned_enough(self.study, self.task, self.folder.read_rounds):
                break
            weights = self._round(round_, weights)
        return weights, self._evaluate(weights)

    def _round(self, round_: int, weights: Vector) -> Vector:
        began = time.monotonic()
        save_members(self.folder.members, self.members)
        chosen = choose(self.members, self.study, round_)
        said = Instructions(self.study.fingerprint, round_, round_ - 1 in self.evaluated)
        content = training_request(self.strategy, round_, weights, said.to_record())
        replies = self._ask(chosen, content, said, weights, train=True)
        weights = self._combine(round_, replies)
        record = self._record(round_, replies, time.monotonic() - began)
        # The checkpoint comes last: a stop before it repeats the round, one after it loses nothing.
        self._keep(round_, weights)
        replies.incoming.clear()
        self.listener.round_finished(record)
        return weights

    def _evaluate(self, weights: Vector) -> dict[str, Tally]:
        """Have every site evaluate the final weights."""
        said = Instructions(self.study.fingerprint, self.study.federation.rounds + 1, evaluate=True)
        replies = self._ask(self.members, request(said, weights), said, weights, train=False)
        tallies = self.tallies.read(replies.answers, replies.asked)
        replies.incoming.clear()
        return tallies

    def _ask(
        self,
        chosen: list[Member],
        content: RecordDict,
        said: Instructions,
        weights: Vector,
        *,
        train: bool,
    ) -> Replies:
        """Send and wait; check that enough sites, and enough declared patients, answered soundly."""
        self.listener.round_started(said.round, [member.name for member in chosen])
        replies = Replies(
            said.round,
            self._incoming(said, weights, len(chosen), train=train),
            Reader(self.study.federation.wire, self.layout, self.tallies, train=train),
            Witness(self.folder.path, at_once=self.conduct.durable),
            {member.name: member for member in chosen},
        )
        for name in set(replies.incoming.answers) - set(replies.asked):
            replies.asked[name] = self.exchange.roster.members[name]  # of an earlier attempt
        kind = MessageType.TRAIN if train else MessageType.EVALUATE
        question = Question(said.round, kind, content, self.study.federation.deadline_seconds)
        missing = set(replies.asked) - set(replies.answers)
        federation, roster = self.study.federation, self.exchange.roster
        roster.forgive()
        with replies.witness:
            for heard in self.exchange.ask(question, missing, lambda: replies.enough(federation)):
                reason = replies.take(heard, roster.members)
                self.listener.site(heard.round, heard.site, reason)
        replies.check_enough(federation)
        return replies

    def _incoming(
        self, said: Instructions, weights: Vector, sites: int, *, train: bool
    ) -> Incoming:
        key = request_key(
            said.fingerprint,
            said.round,
            train=train,
            evaluate=said.evaluate,
            weights=digest(weights),
        )
        on_disk = self.conduct.durable or 4 * self.layout.size * sites > IN_MEMORY
        folder = self.folder.incoming / f"round-{said.round:04d}" if on_disk else None
        incoming = Incoming(folder, self.conduct.durable, key, self.layout)
        incoming.open(set(self.exchange.roster.members))
        return incoming

    def _combine(self, round_: int, replies: Replies) -> Vector:
        """Have the strategy make the next global weights; one that averages gets the mean itself."""
        names = list(replies.answers)
        weights = [float(replies.answers[name].declared_patients) for name in names]
        vectors = [replies.incoming.vector(name) for name in names]
        if self.algorithm.averages:
            weights, vectors = [sum(weights)], [weighted_mean(weights, vectors)]
        messages = [strategy_reply(w, v) for w, v in zip(weights, vectors, strict=True)]
        combined, _ = self.strategy.aggregate_train(round_, messages)
        if combined is None:
            raise SitesError("The sites' weights could not be combined.", where=f"round {round_}")
        return from_array_record(combined)

    def _keep(self, round_: int, weights: Vector) -> None:
        point = Checkpoint(round_, weights, self.algorithm.save(self.strategy))
        checkpoint.save(self.folder.checkpoints, point, self.layout, self.study.fingerprint)

    def _record(self, round_: int, replies: Replies, seconds: float) -> dict[str, Any]:
        answers = replies.answers
        absent = self.exchange.roster.absent
        tallies = self.tallies.read(answers, replies.asked)
        sizes = replies.incoming.sizes
        record = {
            "round": round_,
            "metrics": pooled(self.task, tallies),
            "sites": {
                name: self.tallies.site_record(answer, sizes[name], round_)
                for name, answer in answers.items()
            },
            "bytes_sent": sum(sizes[name] for name in answers),
            "seconds": round(seconds, 3),
            "failures": dict(sorted((absent | replies.failures).items())),
        }
        self.folder.append_round(record)
        return record
