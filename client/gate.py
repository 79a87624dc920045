"""The last gate of a study at a site: a reply is looked at, and noted in the egress log, before it leaves."""

from __future__ import annotations

from dataclasses import dataclass

from client.guard.egress import Declared, Parcel, inspect
from client.guard.egress_log import EgressLog, Release
from client.messages import Request
from common.errors import PolicyError
from common.study import Study


@dataclass(frozen=True)
class Gate:
    """What every reply passes.

    Attributes:
        study: whose replies.
        declared: what may leave.
        log: of what left; None where none is kept.
    """

    study: Study
    declared: Declared
    log: EgressLog | None

    def check_size(self, *, weights: bool, statistics: bool) -> None:
        """Refuse, before anything is spent, what would be too large: see `Declared.check_size`."""
        self.declared.check_size(weights=weights, statistics=statistics)

    def look(self, request: Request, key: str, parcel: Parcel) -> None:
        """Check a reply, a spooled one as well: the policy may have changed since, or the file.

        Raises:
            PolicyError: it may not leave; the log says why.
        """
        try:
            inspect(parcel, self.declared, weights=request.train, statistics=request.evaluate)
        except PolicyError as error:
            if self.log is not None:
                self.log.refused(self._release(request, key, parcel, reason=error.what))
            raise

    def note(self, request: Request, key: str, parcel: Parcel) -> None:
        """Note what is about to leave.

        Raises:
            MachineError: it could not be noted, so that it must not leave.
        """
        if self.log is not None:
            again = self.log.released(key) == parcel.digest
            self.log.leaving(self._release(request, key, parcel, resent=again))

    def _release(
        self, request: Request, key: str, parcel: Parcel, *, resent: bool = False, reason: str = ""
    ) -> Release:
        parts = self.declared.parts(parcel)
        return Release(
            study=self.study.name,
            fingerprint=self.study.fingerprint,
            round=request.round,
            key=key,
            sha256=parcel.digest,
            bytes=sum(parts.values()),
            parts=parts,
            layout=self.declared.layout.digest,
            resent=resent,
            reason=reason,
        )
