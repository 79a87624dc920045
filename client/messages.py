"""What a site is asked, without the transport."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from common.errors import PolicyError
from common.study import Study
from common.weights import Layout, Vector, digest


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

    def check(self, study: Study, layout: Layout, site: str) -> None:
        """Refuse what does not belong to the study; nothing is spent then.

        Raises:
            PolicyError: another study, a round outside it, or weights that are not the model's.
        """
        if self.fingerprint != study.fingerprint:
            raise PolicyError(
                "The coordinator asks for another study than the one approved here.",
                where=f"site '{site}', study '{study.name}'",
                fix="Compare the two study files; approve the new one if you agree with it.",
            )
        last = study.federation.rounds + (0 if self.train else 1)
        if not 1 <= self.round <= last:
            raise PolicyError(
                f"Round {self.round} is outside the study's {study.federation.rounds} rounds.",
                where=f"site '{site}', study '{study.name}'",
            )
        if self.weights.shape != (layout.size,):
            raise PolicyError(
                f"The coordinator sent weights of shape {self.weights.shape} where the study's model has "
                f"{layout.size} values.",
                where=f"site '{site}', round {self.round}",
                fix="Install the same version of consilium at the coordinator and at the site.",
            )
        if not np.isfinite(self.weights).all():
            raise PolicyError(
                "The coordinator sent weights that are not finite.",
                where=f"site '{site}', round {self.round}",
                fix="Training diverged elsewhere: lower the learning rate.",
            )
