"""One round's questions and answers: short polls, a deadline, and no answer lost without a word.

Replies are told apart by the message that they answer, never by their source: an error that Flower makes carries the
server's own node. A site that goes away is asked again when it is back; it re-sends what it had ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict

from server.flower_messages import Word, question_id, why, word
from server.post import Post
from server.roster import Roster

FIRST_PAUSE, LONGEST_PAUSE, PAUSES_GROW = 0.02, 0.2, 1.5
"""Seconds between looks for replies: short after one came, then longer."""

PATIENCE = 60.0
"""Seconds that a round which could end waits for a site that went away."""

DOUBT = 10.0
"""Seconds after a failed fetch until its site is asked again, in case that the reply was lost with it."""

MOST_TRIES = 20
LATE = 60.0
"""Seconds after the deadline in which an answer is still accepted, to be noted only."""


@dataclass(frozen=True)
class Question:
    """What every site is asked in a round.

    Attributes:
        round: its number.
        kind: Flower's type of the message.
        content: the same for every site.
        seconds: until the deadline.
    """

    round: int
    kind: str
    content: RecordDict
    seconds: float

    @property
    def lifetime(self) -> float:
        """Seconds after which nobody hands the message on any more."""
        return self.seconds + min(self.seconds, LATE)


@dataclass(frozen=True)
class Heard:
    """What became of a question to a site.

    Attributes:
        site: its name.
        round: that the question belonged to; an earlier one where the answer is late.
        reply: the answer, or None.
        reason: why there is none.
    """

    site: str
    round: int
    reply: Message | None
    reason: str = ""


@dataclass
class Exchange:
    """Asks sites, round after round; remembers what is still out from earlier rounds.

    Attributes:
        post: carries the messages.
        roster: knows the sites' nodes.
        patience: see `PATIENCE`.
        late: site and round of the questions whose round is over, by id, with the time until which they may come.
    """

    post: Post
    roster: Roster
    patience: float = PATIENCE
    late: dict[str, tuple[str, int, float]] = field(default_factory=dict)

    def ask(
        self, question: Question, sites: Iterable[str], enough: Callable[[], bool]
    ) -> Iterator[Heard]:
        """Ask sites and give what they say as it comes; at the end, who said nothing.

        Args:
            question: what is asked.
            sites: the names of those who are asked.
            enough: whether the round could end with what has come so far.
        """
        asking = _Asking(self, question, set(sites), enough)
        yield from asking.run()

    def overtaken(self, reply: Message) -> Heard | None:
        """Return what a late answer is, or None where the reply answers no earlier question."""
        entry = self.late.pop(question_id(reply), None)
        return None if entry is None else Heard(entry[0], entry[1], reply)

    def put_off(self, asked: dict[str, str], question: Question) -> None:
        """Remember questions whose round is over; those that nobody has begun are taken back."""
        gone = self.post.withdraw(asked)
        until = self.post.now() + LATE
        still = {i: e for i, e in self.late.items() if e[2] > self.post.now()}
        still |= {i: (s, question.round, until) for i, s in asked.items() if i not in gone}
        self.late = still


@dataclass
class _Asking:
    """The state of one round.

    Attributes:
        open: sites without an answer so far.
        asked: sites by the ids of their messages; a site that was asked again has several.
        due: when a site is to be asked (again); whoever is not in it has been asked.
        away: since when a site is not there.
        reasons: what is known of those that are open.
    """

    exchange: Exchange
    question: Question
    open: set[str]
    enough: Callable[[], bool]
    asked: dict[str, str] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    away: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.post, self.roster = self.exchange.post, self.exchange.roster
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
            self.exchange.put_off(self.asked, self.question)

    def _over(self) -> bool:
        now = self.post.now()
        if now >= self.end:
            return True
        lost = all(now - self.away.get(name, now) > self.exchange.patience for name in self.open)
        return lost and self.enough()

    def _send(self) -> None:
        """Ask those whose turn it is and who are connected."""
        now = self.post.now()
        ready: dict[str, Message] = {}
        for name in sorted(n for n, when in self.due.items() if when <= now and n in self.open):
            node = self.roster.node(name)
            if node is None:
                self.away.setdefault(name, now)
                self.reasons.setdefault(name, "the site is not connected")
                continue
            ready[name] = Message(
                self.question.content, node, self.question.kind, ttl=self.question.lifetime
            )
        ids = self.post.send(list(ready.values()))
        if ids is None:
            return
        for message_id, name in zip(ids, ready, strict=True):
            self.asked[message_id] = name
            del self.due[name]
            if self.away.pop(name, None) is not None:
                self.reasons.pop(name, None)

    def _listen(self) -> Iterator[Heard]:
        """Give the answers that are there now."""
        ids = [*self.asked, *self.exchange.late, *self.roster.questions]
        for reply in self.post.fetch(ids):
            if self.roster.take(reply):
                continue
            heard = self.exchange.overtaken(reply) or self._answer(reply)
            if heard is not None:
                yield heard
        self._doubt()

    def _answer(self, reply: Message) -> Heard | None:
        """Close the question of a site, or put it off; a second answer to one question is none."""
        name = self.asked.pop(question_id(reply), None)
        if name is None or name not in self.open:
            return None
        said = word(reply)
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
