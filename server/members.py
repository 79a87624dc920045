"""The sites of a run: who is there, by name, and what they declare in public."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass

from flwr.app import Message, MessageType, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from common import wire
from common.errors import SitesError
from common.study import Study
from common.weights import Layout

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Member:
    """A site in a run.

    Attributes:
        name: the site's own name; the same in every report.
        node: Flower's id of its node, which changes from run to run.
        declared_patients: the site's public number of patients.
        statistics: none, noisy or exact: how it lets its statistics out.
    """

    name: str
    node: int
    declared_patients: int
    statistics: str = "exact"


def gather(grid: Grid, study: Study, layout: Layout) -> list[Member]:
    """Ask every node for its description and return the members in the order of their names.

    Raises:
        SitesError: too few nodes came before the deadline, or a site cannot take part. No round starts then: a run
            that silently loses a site would report success on the wrong patients.
    """
    nodes = wait_for_nodes(grid, study)
    asked = [Message(RecordDict(), node, f"{MessageType.QUERY}.describe") for node in nodes]
    replies = list(grid.send_and_receive(asked, timeout=study.federation.deadline_seconds))
    failed = [reply for reply in replies if reply.has_error()]
    if failed or len(replies) < len(nodes):
        raise SitesError(
            f"{len(failed)} of {len(nodes)} sites cannot take part and {len(nodes) - len(replies)} did not answer.",
            where=f"study '{study.name}'",
            fix=f"They said: {'; '.join(sorted({why(reply) for reply in failed})) or 'nothing'}.",
        )
    return sorted((_member(reply, layout) for reply in replies), key=lambda member: member.name)


def wait_for_nodes(grid: Grid, study: Study) -> list[int]:
    """Return the connected nodes, once there are enough of them.

    Raises:
        SitesError: the deadline passed first.
    """
    end = time.monotonic() + study.federation.deadline_seconds
    while len(nodes := sorted(grid.get_node_ids())) < study.federation.min_sites:
        if time.monotonic() > end:
            raise SitesError(
                f"Only {len(nodes)} of at least {study.federation.min_sites} sites are connected.",
                where="[federation] min_sites",
                fix="Start the missing sites, or lower min_sites.",
            )
        time.sleep(POLL_SECONDS)
    return nodes


def _member(reply: Message, layout: Layout) -> Member:
    told = wire.read_introduction(reply.content)
    if told.layout != layout.digest:
        raise SitesError(
            f"Site '{told.site}' builds another network from this study.",
            fix="Install the same version of consilium at the coordinator and at the site.",
        )
    return Member(told.site, reply.metadata.src_node_id, told.declared_patients, told.statistics)


def why(reply: Message) -> str:
    """Return the reason of an error reply in words."""
    if reply.error.code >= wire.SITE_ERROR and reply.error.reason:
        return reply.error.reason
    return "the site's process failed without saying why"


def choose(members: list[Member], study: Study, round_: int) -> list[Member]:
    """Return the members of a round, drawn with the study's public seed, in the order of their names."""
    federation = study.federation
    count = max(federation.min_sites, round(len(members) * federation.sites_per_round))
    if count >= len(members):
        return members
    drawn = random.Random(f"{study.fingerprint}/{round_}").sample(members, count)
    return sorted(drawn, key=lambda member: member.name)


class ChosenNodes(Grid):
    """A view of a grid in which only some nodes exist, for Flower's strategies to address."""

    def __init__(self, grid: Grid, nodes: list[int]) -> None:
        self.grid = grid
        self.nodes = nodes

    def get_node_ids(self) -> Iterable[int]:
        """Return the chosen nodes."""
        return self.nodes

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Return the chosen nodes."""
        return (NodeInfo(node_id=node) for node in self.nodes)

    def set_run(self, run: Run) -> None:
        """Pass on."""
        self.grid.set_run(run)

    @property
    def run(self) -> Run:
        """The grid's run."""
        return self.grid.run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Pass on."""
        return self.grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Pass on."""
        return self.grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pass on."""
        return self.grid.pull_messages(message_ids)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Pass on."""
        return self.grid.send_and_receive(messages, timeout=timeout)


def require_own_names(names: list[str]) -> None:
    """Refuse two sites of one name: their ledgers and figures could not be told apart.

    Raises:
        SitesError: naming the first.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SitesError(
            f"Two sites call themselves '{repeated[0]}'.",
            where="[site] name in site.toml",
            fix="Give every site a name of its own.",
        )
