"""How a run treats its sites: in a simulation, and in a deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.exchange import PATIENCE


def _ignored(most: int) -> None:
    """A simulation stores nothing that it did not ask for."""


@dataclass(frozen=True)
class Conduct:
    """How a run treats its sites.

    Attributes:
        everyone: a site that cannot take part ends the run before its first round.
        patient: where too many refuse, wait until the deadline for them to approve.
        durable: every reply is on the disk before it counts.
        enrolled: names by node, as the coordinator enrolled them.
        patience: seconds that a round which could end waits for a site that went away.
        allow: told, before anybody is asked, how many bytes a reply may have.
    """

    everyone: bool = False
    patient: bool = False
    durable: bool = False
    enrolled: Callable[[], Mapping[int, str]] = dict
    patience: float = PATIENCE
    allow: Callable[[int], None] = _ignored


SIMULATED = Conduct(everyone=True)
"""All sites are at hand: one that cannot take part is a mistake to be mended, and asking again costs nothing."""
