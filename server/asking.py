"""One round's conversation: whom to ask when, which reply is an answer, and when to stop waiting."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

from flwr.app import Message

from server.flower_messages import Word, question_id, why, word
from server.post import Post
from server.questions import Heard, Late, Question
from server.roster import Roster

FIRST_PAUSE, LONGEST_PAUSE, PAUSES_GROW = 0.02, 0.2, 1.5
"""Seconds between looks for replies: short after one came, then longer."""

DOUBT = 10.0
"""Seconds after a failed fetch until its site is asked again, in case that the reply was lost with it."""

MOST_TRIES = 20
"""After so many lost answers in a round a site counts as failed."""


@dataclass
class Asking:
    """The state of one round.

    Attributes:
        post: carries the messages.
        roster: knows the sites' nodes.
        late: what is still out from earlier rounds.
        patience: seconds that a round which could end waits for a site that went away.
        question: what is asked.
        open: sites without an answer so far.
        enough: whether the round could end with what has come so far.
        asked: sites by the ids of their messages; a site that was asked again has several.
        due: when a site is to be asked (again); whoever is not in it has been asked.
        away: since when a site is not there.
        reasons: what is known of those that are open.
        tries: how often an answer was lost, by site.
        doubts: when to ask again after a failed call, by site.
        lines: node of a site, and since when it was connected, when it was last asked.
        recalled: ids of messages in whose place the same site got a later one.
    """

    post: Post
    roster: Roster
    late: Late
    patience: float
    question: Question
    open: set[str]
    enough: Callable[[], bool]
    asked: dict[str, str] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    away: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, float] = field(default_factory=dict)
    lines: dict[str, tuple[int, str]] = field(default_factory=dict)
    recalled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.end = self.post.now() + self.question.seconds
        self.due = dict.fromkeys(self.open, 0.0)

    def run(self) -> Iterator[Heard]:
        """Ask, and listen until the round is over."""
        pause = FIRST_PAUSE
        try:
            while self.open:
                self.roster.look()
                self._send()
                came = False
                for heard in self._listen():
                    came = True
                    yield heard
                if not self.open or self._over():
                    break
                pause = FIRST_PAUSE if came else min(LONGEST_PAUSE, pause * PAUSES_GROW)
                self.post.wait(self.asked, min(pause, max(0.0, self.end - self.post.now())))
            for name in sorted(self.open):
                reason = self.reasons.get(name, "the site did not answer before the deadline")
                yield Heard(name, self.question.round, None, reason)
        finally:
            self.late.add(self.asked, self.question.round, self.post)

    def _over(self) -> bool:
        now = self.post.now()
        if now >= self.end:
            return True
        lost = all(now - self.away.get(name, now) > self.patience for name in self.open)
        return lost and self.enough()

    def _send(self) -> None:
        """Ask those whose turn it is and who are connected."""
        now = self.post.now()
        self._ask_who_reconnected(now)
        left = max(0.0, self.end - now)
        ready: dict[str, Message] = {}
        for name in sorted(n for n, when in self.due.items() if when <= now and n in self.open):
            node = self.roster.node(name)
            if node is None:
                self.away.setdefault(name, now)
                self.reasons.setdefault(name, "the site is not connected")
                continue
            ready[name] = Message(
                self.question.content,
                node,
                self.question.kind,
                ttl=self.question.lifetime_with(left),
            )
        ids = self.post.send(list(ready.values()))
        if ids is None:
            return
        self._recall(ready)
        for message_id, name in zip(ids, ready, strict=True):
            self.asked[message_id] = name
            del self.due[name]
            self.lines[name] = self._line(name)
            if self.away.pop(name, None) is not None:
                self.reasons.pop(name, None)

    def _recall(self, names: Container[str]) -> None:
        """Take back what sites were asked before, so that nobody answers twice; an answer on its way still counts."""
        before = {i for i, name in self.asked.items() if name in names}
        self.recalled |= before
        for gone in self.post.withdraw(before) if before else ():
            del self.asked[gone]

    def _line(self, name: str) -> tuple[int, str]:
        node = self.roster.node(name) or 0
        return node, self.roster.online.get(node, "")

    def _ask_who_reconnected(self, now: float) -> None:
        """A site that was connected anew since it was asked may never have seen the question."""
        for name in self.open.intersection(self.lines) - set(self.due):
            if self.roster.node(name) is not None and self._line(name) != self.lines[name]:
                self.due[name] = now

    def _listen(self) -> Iterator[Heard]:
        """Give the answers that are there now."""
        ids = [*self.asked, *self.late.questions, *self.roster.questions]
        for reply in self.post.fetch(ids):
            if self.roster.take(reply):
                continue
            heard = self.late.take(reply) or self._answer(reply)
            if heard is not None:
                yield heard
        self._doubt()

    def _answer(self, reply: Message) -> Heard | None:
        """Close the question of a site, or put it off; a second answer to one question is none."""
        name = self.asked.pop(question_id(reply), None)
        if name is None or name not in self.open:
            return None
        said = word(reply)
        if (
            said is Word.LOST
            and question_id(reply) in self.recalled
            and name in self.asked.values()
        ):
            return None  # it was taken back, and the later message stands
        if said is Word.LOST or said is Word.BUSY:
            self.reasons[name] = why(reply)
            tries = self.tries[name] = self.tries.get(name, 0) + 1
            if said is Word.BUSY or tries < MOST_TRIES:
                self._again(name, said)
                return None
        self.open.discard(name)
        if said is Word.ANSWER:
            return Heard(name, self.question.round, reply)
        return Heard(name, self.question.round, None, why(reply))

    def _again(self, name: str, said: Word) -> None:
        """Have a site asked once more, later with every attempt."""
        now = self.post.now()
        if said is Word.LOST:
            self.away.setdefault(name, now)
        if name not in self.asked.values():
            self.due[name] = now + min(5.0, 0.1 * 2 ** min(self.tries[name], 10))

    def _doubt(self) -> None:
        """Ask again where a failed call may have swallowed an answer; the site re-sends the same bytes."""
        now = self.post.now()
        for message_id in self.post.doubtful:
            if message_id in self.asked:
                self.doubts.setdefault(self.asked[message_id], now + DOUBT)
        self.post.doubtful.clear()
        for name in [n for n, when in self.doubts.items() if when <= now]:
            del self.doubts[name]
            if name in self.open:
                self.due.setdefault(name, now)
