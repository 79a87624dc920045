"""Who is there: asks nodes for their description, knows the sites by name, and keeps those that cannot take part.

A node is Flower's connection of a site. It may come late, go, and come back under another number; the site is the same
as long as its name is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from flwr.app import Message, MessageType, RecordDict

from common import wire
from common.errors import ConsiliumError, SitesError
from common.weights import Layout
from server.flower_messages import Word, question_id, why, word
from server.members import Member
from server.post import Post

LOOK_SECONDS = 1.0
"""Between looks at who is connected."""

AGAIN_SECONDS = 15.0
"""After which a site that refused is asked again: an approval may have come since."""


@dataclass
class Roster:
    """The sites of a run.

    Attributes:
        post: carries the questions.
        layout: of the packed weights, which every site must build alike.
        lifetime: seconds that a question stays valid.
        enrolled: names by node, as the coordinator enrolled them; empty where nobody is enrolled.
        members: the sites that can take part, by name; one that is away has node 0.
        absent: why the others cannot, by name, or by node where the name is not known.
        online: the connected nodes, and since when they are.
    """

    post: Post
    layout: Layout
    lifetime: float
    enrolled: Callable[[], Mapping[int, str]] = dict
    members: dict[str, Member] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    online: dict[int, str] = field(default_factory=dict)
    _looked: float = float("-inf")
    _names: dict[int, str] = field(default_factory=dict)
    _asked: dict[str, tuple[int, str]] = field(default_factory=dict)
    _refused: dict[int, float] = field(default_factory=dict)

    @property
    def questions(self) -> list[str]:
        """Ids of the descriptions that are still to come."""
        return list(self._asked)

    def node(self, name: str) -> int | None:
        """Return the node of a site that is connected, else None."""
        node = self.members[name].node if name in self.members else 0
        return node if node in self.online else None

    def forgive(self) -> None:
        """Ask those that refused once more at the next look."""
        self._refused = dict.fromkeys(self._refused, float("-inf"))

    def look(self) -> None:
        """Find out who is connected, at most once a second, and ask the unknown for their description."""
        now = self.post.now()
        if now - self._looked < LOOK_SECONDS:
            return
        nodes = self.post.nodes()
        if nodes is None:
            return
        self._looked, self.online = now, nodes
        # A node that connected anew may never have seen its question.
        self._asked = {i: line for i, line in self._asked.items() if line in nodes.items()}
        self._describe(now)

    def take(self, reply: Message) -> bool:
        """Take a description in; False where the reply is no answer to a question of the roster."""
        node, _ = self._asked.pop(question_id(reply), (None, ""))
        if node is None:
            return False
        if word(reply) is Word.LOST or word(reply) is Word.BUSY:
            self._refused[node] = self.post.now() - AGAIN_SECONDS + LOOK_SECONDS
            self.absent.setdefault(self.label(node), why(reply))
            return True
        try:
            self._welcome(node, self._read(reply))
        except ConsiliumError as error:
            self._refused[node] = self.post.now()
            self.absent[self.label(node)] = error.what
        return True

    def label(self, node: int) -> str:
        """Name a node for people: by its enrolment where there is one."""
        return self.enrolled().get(node, f"node {node}")

    def _describe(self, now: float) -> None:
        waiting = {node for node, _ in self._asked.values()}
        nodes = [
            node
            for node in sorted(set(self.online) - set(self._names) - waiting)
            if now - self._refused.get(node, float("-inf")) >= AGAIN_SECONDS
        ]
        asked = [
            Message(RecordDict(), node, f"{MessageType.QUERY}.describe", ttl=self.lifetime)
            for node in nodes
        ]
        ids = self.post.send(asked)
        if ids is not None:
            lines = [(node, self.online[node]) for node in nodes]
            self._asked |= dict(zip(ids, lines, strict=True))

    def _read(self, reply: Message) -> wire.Introduction:
        if reply.has_error():
            raise SitesError(why(reply))
        told = wire.read_introduction(reply.content)
        if told.layout != self.layout.digest:
            raise SitesError(f"Site '{told.site}' builds another network from this study.")
        return told

    def _welcome(self, node: int, told: wire.Introduction) -> None:
        """Bind a name to a node: a new site, or one that is back.

        Raises:
            SitesError: the node was enrolled under another name, or a connected node has the name already.
        """
        name = told.site
        if self.enrolled().get(node, name) != name:
            raise SitesError(f"The site calls itself '{name}', which is not its enrolled name.")
        before = self.node(name)
        if before is not None and before != node:
            raise SitesError(f"Two sites call themselves '{name}'.")
        self._names = {n: other for n, other in self._names.items() if other != name}
        self._names[node] = name
        self.absent = {k: v for k, v in self.absent.items() if k not in (name, f"node {node}")}
        self._refused.pop(node, None)
        self.members[name] = Member(name, node, told.declared_patients, told.statistics)

    def remember(self, members: list[Member]) -> None:
        """Know sites of an earlier attempt at the run: they count, and are waited for, until they are back."""
        for member in members:
            self.members.setdefault(member.name, replace(member, node=0))
