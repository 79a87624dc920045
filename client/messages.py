"""What a site is asked, without the transport."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from common.weights import Vector, digest


@dataclass(frozen=True)
class Request:
    """One instruction of the coordinator.

    Attributes:
        fingerprint: of the study that it belongs to.
        round: 1 … rounds; the evaluation of the last model counts as rounds + 1.
        weights: the global weights that enter the round.
        train: train on them.
        evaluate: evaluate them on the held-out patients.
    """

    fingerprint: str
    round: int
    weights: Vector
    train: bool
    evaluate: bool

    @property
    def key(self) -> str:
        """Name the release that answers this request: the same request, the same release."""
        asked = (
            f"{self.fingerprint}|{self.round}|{self.train}|{self.evaluate}|{digest(self.weights)}"
        )
        return f"round-{self.round}-{hashlib.sha256(asked.encode()).hexdigest()[:24]}"
