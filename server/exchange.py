"""Questions and answers, round after round: short polls, a deadline, and no answer lost without a word.

Replies are told apart by the message that they answer, never by their source: an error that Flower makes carries the
server's own node. A site that goes away is asked again when it is back; it re-sends what it had ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from server.asking import Asking
from server.post import Post
from server.questions import Heard, Late, Question
from server.roster import Roster

PATIENCE = 60.0
"""Seconds that a round which could end waits for a site that went away."""


@dataclass
class Exchange:
    """Asks sites; remembers what is still out from earlier rounds.

    Attributes:
        post: carries the messages.
        roster: knows the sites' nodes.
        patience: see `PATIENCE`.
        late: what is still out.
    """

    post: Post
    roster: Roster
    patience: float = PATIENCE
    late: Late = field(default_factory=Late)

    def ask(
        self, question: Question, sites: Iterable[str], enough: Callable[[], bool]
    ) -> Iterator[Heard]:
        """Ask sites and give what they say as it comes; at the end, who said nothing.

        Args:
            question: what is asked.
            sites: the names of those who are asked.
            enough: whether the round could end with what has come so far.
        """
        asking = Asking(
            self.post, self.roster, self.late, self.patience, question, set(sites), enough
        )
        yield from asking.run()
