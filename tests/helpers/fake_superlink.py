"""A SuperLink that only remembers what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from server.deployment.flower_records import FINISHED, PENDING, FlowerRun, NodeState


@dataclass
class FakeSuperLink:
    """Answers like `Control`, from memory; when it is down, nobody can connect."""

    down: bool = False
    keys: dict[str, int] = field(default_factory=dict)
    known: list[NodeState] = field(default_factory=list)
    started: list[FlowerRun] = field(default_factory=list)
    bundles: list[bytes] = field(default_factory=list)

    def register(self, public: str, name: str) -> int:
        node = self.keys.setdefault(public, 100 + len(self.keys))
        self.known.append(NodeState(node, name, "registered", datetime.now(UTC)))
        return node

    def unregister(self, node: int) -> None:
        self.known = [each for each in self.known if each.node != node]

    def nodes(self) -> list[NodeState]:
        return list(self.known)

    def start_run(self, bundle: bytes, sha256: str, run: str) -> int:
        self.bundles.append(bundle)
        flower = 1 + len(self.started)
        self.started.append(FlowerRun(flower, PENDING, "", "", datetime.now(UTC), sha256))
        return flower

    def stop_run(self, run: int) -> None:
        self.change(run, FINISHED)

    def runs(self, limit: int = 1000) -> list[FlowerRun]:
        return list(reversed(self.started))[:limit]

    def change(self, run: int, status: str) -> None:
        """Give a run another status."""
        self.started = [
            replace(each, status=status) if each.id == run else each for each in self.started
        ]
