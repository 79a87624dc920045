"""What sites are asked, what becomes of it, and what is still out when a round is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict

from common.deadline import LATE, lifetime
from server.flower_messages import question_id
from server.post import Post

__all__ = ["LATE", "Heard", "Late", "Question"]


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
        return self.lifetime_with(self.seconds)

    def lifetime_with(self, left: float) -> float:
        """Return the same for a message that is sent when `left` seconds remain until the deadline."""
        return lifetime(left, self.seconds)


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
class Late:
    """Questions whose round is over while their answers may still come.

    Attributes:
        out: site, round and the time until which the answer may come, by the question's id.
    """

    out: dict[str, tuple[str, int, float]] = field(default_factory=dict)

    @property
    def questions(self) -> list[str]:
        """The questions' ids."""
        return list(self.out)

    def add(self, asked: Mapping[str, str], round_: int, post: Post) -> None:
        """Remember questions, by id with the site's name; they are taken back from those who have not begun."""
        gone, now = post.withdraw(asked), post.now()
        self.out = {i: entry for i, entry in self.out.items() if entry[2] > now}
        self.out |= {i: (s, round_, now + LATE) for i, s in asked.items() if i not in gone}

    def take(self, reply: Message) -> Heard | None:
        """Return what a late answer is, or None where the reply answers no earlier question."""
        entry = self.out.pop(question_id(reply), None)
        return None if entry is None else Heard(entry[0], entry[1], reply)
