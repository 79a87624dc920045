"""What can be heard of a run while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.members import Member


class Listener:
    """Hears what the server does; by itself it does nothing."""

    def gathering(self, here: list[str], absent: Mapping[str, str]) -> None:
        """Sites are still awaited; `absent` tells why some cannot take part."""

    def ready(self, members: list[Member], first_round: int) -> None:
        """Enough sites are described; rounds begin."""

    def round_started(self, round_: int, sites: list[str]) -> None:
        """A round's messages are about to leave."""

    def site(self, round_: int, name: str, reason: str) -> None:
        """A site answered a round soundly; or not, for a reason; an earlier round's answer came too late."""

    def round_finished(self, record: dict[str, Any]) -> None:
        """A round's record is written."""
