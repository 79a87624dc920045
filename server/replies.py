"""The replies of one round: checked, kept, witnessed, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from flwr.app import Message

from common import witness
from common.errors import ConsiliumError, SitesError
from common.study import Federation
from common.weights import Layout, Vector
from common.wire import Answer, read_reply
from common.witness import Witnessed
from server.incoming import Incoming
from server.members import Member
from server.questions import Heard
from server.tallies import Tallies


@dataclass(frozen=True)
class Reader:
    """Reads what a site said, and refuses what the study does not declare.

    Attributes:
        wire: type of the weights on the wire.
        layout: of the packed weights.
        tallies: checks statistics.
        train: whether weights were asked for.
    """

    wire: str
    layout: Layout
    tallies: Tallies
    train: bool = field(kw_only=True)

    def read(self, reply: Message, member: Member) -> Answer:
        """Return a sound answer.

        Raises:
            SitesError: with what is wrong.
        """
        answer = self.content(reply)
        if answer.site != member.name or answer.declared_patients != member.declared_patients:
            raise SitesError("the reply names another site, or another number of patients")
        if self.train:
            self._check_weights(answer.weights)
        try:
            self.tallies.check(answer)
        except ConsiliumError as error:
            raise SitesError(error.what) from None
        return answer

    def content(self, reply: Message) -> Answer:
        """Return what a reply says, unchecked.

        Raises:
            SitesError: a part is missing or damaged.
        """
        try:
            return read_reply(reply.content, self.wire)
        except ConsiliumError as error:
            raise SitesError(error.what) from None

    def _check_weights(self, weights: Vector | None) -> None:
        if weights is None or weights.shape != (self.layout.size,):
            raise SitesError("the weights do not have the study's layout")
        if not np.isfinite(weights).all():
            raise SitesError("the weights hold values that are not finite")


@dataclass
class Witness:
    """Writes down the heads of the sites' ledgers, whatever becomes of the round.

    Attributes:
        run: the run's folder.
        at_once: with every reply; else together, when the block is left.
    """

    run: Path
    at_once: bool
    seen: list[Witnessed] = field(default_factory=list)

    def __enter__(self) -> Witness:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._write()

    def note(self, round_: int, answer: Answer) -> None:
        """Remember the head that came with an answer."""
        self.seen.append(Witnessed(answer.site, round_, answer.ledger_head, answer.size))
        if self.at_once:
            self._write()

    def _write(self) -> None:
        seen = sorted(self.seen, key=lambda each: (each.round, each.site))
        self.seen.clear()
        if seen:
            witness.append(self.run, seen)


@dataclass
class Replies:
    """What came back in a round.

    Attributes:
        round: its number.
        incoming: keeps the sound answers.
        reader: tells the sound from the others.
        witness: notes the ledgers' heads.
        asked: the members that were asked, by name, in the order of their names.
        failures: reasons of the sites that are missing.
    """

    round: int
    incoming: Incoming
    reader: Reader
    witness: Witness
    asked: dict[str, Member]
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def answers(self) -> dict[str, Answer]:
        """The sound answers, in the order of the sites' names."""
        return dict(sorted(self.incoming.answers.items()))

    def take(self, heard: Heard, members: Mapping[str, Member]) -> str:
        """Keep a sound answer; return "", or what is wrong: the site's failure, by name.

        Args:
            heard: what became of the question to a site.
            members: as they are known now; a site that came back may declare another number.
        """
        if heard.round != self.round:
            return self._note_late(heard)
        name = heard.site
        try:
            if heard.reply is None:
                raise SitesError(heard.reason)
            member = members.get(name, self.asked[name])
            answer = self.reader.read(heard.reply, member)
            self.witness.note(self.round, answer)
            self.incoming.put(answer)
            self.asked[name] = member
        except SitesError as error:
            self.failures[name] = error.what
        return self.failures.get(name, "")

    def _note_late(self, heard: Heard) -> str:
        """An answer to a round that is over changes no weights; that it came is kept."""
        if heard.reply is None or heard.reply.has_error():
            return "the site answered an earlier round with an error"
        try:
            answer = self.reader.content(heard.reply)
        except SitesError as error:
            return error.what
        if answer.site == heard.site:
            self.witness.note(heard.round, answer)
        return "the site answered after the deadline"

    def enough(self, federation: Federation) -> bool:
        """Whether enough sites, with enough declared patients, have answered."""
        answers = self.incoming.answers
        share = federation.min_patient_share * self._patients(self.asked)
        return len(answers) >= federation.min_sites and self._patients(answers) >= share

    def check_enough(self, federation: Federation) -> None:
        """End the round where too few answered.

        Raises:
            SitesError: with the reasons of those that are missing.
        """
        if self.enough(federation):
            return
        answers = self.answers
        reasons = "; ".join(f"{name}: {why}" for name, why in sorted(self.failures.items()))
        raise SitesError(
            f"{len(answers)} of {len(self.asked)} sites answered, "
            f"with {self._patients(answers)} of {self._patients(self.asked)} declared patients.",
            where=f"round {self.round}",
            fix=f"{reasons}. Mend that and continue with --resume.",
        )

    def _patients(self, names: Mapping[str, object]) -> int:
        return sum(self.asked[name].declared_patients for name in names)
