"""The studies that a site knows: pending, approved, changed, revoked. Works with and without a running service."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from client.guard.approvals import Decision, NotApproved, approved, standing
from client.guard.ledger import Ledger
from client.service.inbox import Arrival, Inbox
from client.site import Site
from client.site_folder import SiteFolder
from common.bundle import Bundle, make_bundle, read_bundle
from common.errors import MachineError, StudyError
from common.keys import load_signing_key, public_text
from common.study import Study

StudyStanding = Literal["pending", "approved", "revoked", "changed"]


@dataclass(frozen=True)
class StudyRecord:
    """A study, and what the site thinks of it.

    Attributes:
        bundle: sha256 of its bundle.
        study: the study itself.
        connection: the coordinator that sent it; empty: it was handed over as a file.
        first_seen: seconds since 1970.
        standing: pending; approved; revoked; or changed: pending, and not the approved study of the same name.
        changed_from: keys that differ from that one; empty otherwise.
        by, at: who decided last, and when (ISO); empty while pending.
    """

    bundle: str
    study: Study
    connection: str
    first_seen: float
    standing: StudyStanding
    changed_from: tuple[str, ...] = ()
    by: str = ""
    at: str = ""


@dataclass(frozen=True)
class Difference:
    """A key that two studies do not share.

    Attributes:
        key: such as "privacy.epsilon".
        old, new: its values; "—" where it is absent.
    """

    key: str
    old: str
    new: str


class Studies:
    """The studies of a site.

    Args:
        site: the hospital.
        folder: where its inbox, its ledger and its key are.
        ledger: the ledger, where it is open already.
    """

    def __init__(self, site: Site, folder: SiteFolder, ledger: Ledger | None = None) -> None:
        self.site = site
        self.folder = folder
        self.inbox = Inbox(folder.inbox)
        self.ledger = ledger or open_ledger(site, folder)

    def all(self) -> list[StudyRecord]:
        """Return every study, in the order of arrival."""
        decisions, public = self.ledger.decisions(), self._public()
        arrivals = self.inbox.all()
        return [self._record(each, arrivals, decisions, public) for each in arrivals]

    def find(self, wanted: str) -> StudyRecord:
        """Return the study of a bundle's sha256, of a unique beginning of it, or of a study's unique name.

        Raises:
            StudyError: there is none, or more than one.
        """
        records = self.all()
        exact = [each for each in records if each.study.name == wanted and _current(each)]
        found = exact or [each for each in records if _matches(each, wanted)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise StudyError(
                f"No study '{wanted}' has arrived here.",
                where=str(self.folder.inbox),
                fix="See 'consilium site studies', or name the study file that you were sent.",
            )
        listed = ", ".join(f"{each.bundle[:12]} ({each.standing})" for each in found)
        raise StudyError(
            f"'{wanted}' means {len(found)} studies.",
            where=str(self.folder.inbox),
            fix=f"Name one by the beginning of its sha256: {listed}.",
        )

    def take_file(self, study: Study) -> StudyRecord:
        """Note a study that came as a file, such as by e-mail, before its bundle has arrived."""
        bundle = read_bundle(make_bundle(study))
        self.inbox.put(bundle, "")
        return self.find(bundle.sha256)

    def approve(self, wanted: str, by: str) -> StudyRecord:
        """Approve a study, signed with the site's key.

        Raises:
            StudyError: no such study.
            MachineError: the key or the ledger cannot be used.
        """
        return self._decide("approve", self.find(wanted), by)

    def revoke(self, wanted: str, by: str) -> StudyRecord:
        """Take an approval back; a round in hand ends before anything leaves.

        Raises:
            StudyError: no such study, or it was never approved.
            MachineError: the key or the ledger cannot be used.
        """
        record = self.find(wanted)
        if record.standing not in ("approved", "revoked"):
            raise StudyError(
                f"The study '{record.study.name}' was not approved, so there is nothing to revoke.",
                where=f"bundle {record.bundle[:12]}",
            )
        return self._decide("revoke", record, by)

    def require(self, bundle: Bundle) -> None:
        """Refuse a bundle that is not approved as it is.

        Raises:
            NotApproved: bundle or fingerprint are not those that somebody here approved.
        """
        found = standing(self.ledger.decisions(), bundle.sha256, self._public())
        if (
            found is None
            or found.kind != "approve"
            or found.fingerprint != bundle.study.fingerprint
        ):
            raise _not_approved(bundle.study, "revoked" if found else "not approved")

    def require_study(self, study: Study) -> None:
        """Refuse a study of which no bundle is approved any more.

        Raises:
            NotApproved: none is.
        """
        standing_now = approved(self.ledger.decisions(), self._public())
        if not any(each.fingerprint == study.fingerprint for each in standing_now):
            raise _not_approved(study, "not approved, or not any more")

    def approved_before(self, record: StudyRecord) -> Study | None:
        """Return the approved study of the same name, where it is another one; the newest where there are several."""
        return _other_approved(
            record.bundle,
            record.study,
            self.inbox.all(),
            approved(self.ledger.decisions(), self._public()),
        )

    def _decide(
        self, kind: Literal["approve", "revoke"], record: StudyRecord, by: str
    ) -> StudyRecord:
        said = {
            "study": record.study.name,
            "fingerprint": record.study.fingerprint,
            "bundle": record.bundle,
            "by": by or "unknown",
        }
        wished = "approved" if kind == "approve" else "revoked"
        if record.standing != wished:
            self.ledger.decide(kind, said, load_signing_key(self.folder.signing_key))
        return self.find(record.bundle)

    def _record(
        self, arrival: Arrival, arrivals: list[Arrival], decisions: list[Decision], public: str
    ) -> StudyRecord:
        decision = standing(decisions, arrival.bundle, public)
        mine = (arrival.bundle, arrival.study, arrival.connection, arrival.first_seen)
        if decision is not None and decision.fingerprint == arrival.study.fingerprint:
            word: StudyStanding = "approved" if decision.kind == "approve" else "revoked"
            return StudyRecord(*mine, standing=word, by=decision.by, at=decision.at)
        before = _other_approved(
            arrival.bundle, arrival.study, arrivals, approved(decisions, public)
        )
        if before is None:
            return StudyRecord(*mine, standing="pending")
        keys = tuple(each.key for each in differences(before, arrival.study))
        return StudyRecord(*mine, standing="changed", changed_from=keys)

    def _public(self) -> str:
        return public_text(load_signing_key(self.folder.signing_key))


def open_ledger(site: Site, folder: SiteFolder) -> Ledger:
    """Open a site's ledger; it is made when there is none.

    Raises:
        StudyError, TamperedError, MachineError: it cannot be used.
    """
    beside = folder.ledger.with_name(f".{folder.ledger.name}.head")
    folder.private.mkdir(exist_ok=True, mode=0o700)
    return Ledger(folder.ledger, site=site.name, population=site.name, anchors=(beside,))


def differences(old: Study, new: Study) -> list[Difference]:
    """Return the keys whose values differ, in the order of their names."""
    before, after = _flat(old), _flat(new)
    return [
        Difference(key, before.get(key, "—"), after.get(key, "—"))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def whoami() -> str:
    """Return the name under which the machine knows its user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise MachineError(
            "The machine does not know who you are.", fix="Say it with --by NAME."
        ) from error


def _other_approved(
    bundle: str, study: Study, arrivals: list[Arrival], approvals: list[Decision]
) -> Study | None:
    known = {each.bundle: each.study for each in arrivals if each.study.name == study.name}
    before = [known[each.bundle] for each in approvals if each.bundle in known]
    others = [each for each in before if each.fingerprint != study.fingerprint]
    return others[-1] if others else None


def _flat(study: Study) -> dict[str, str]:
    return dict(_walk("", study.model_dump(mode="json")))


def _walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _walk(f"{path}.{key}" if path else str(key), each)
    elif value is not None:
        yield path, str(value)


def _current(record: StudyRecord) -> bool:
    return record.standing != "revoked"


def _matches(record: StudyRecord, wanted: str) -> bool:
    return record.study.name == wanted or (len(wanted) >= 4 and record.bundle.startswith(wanted))


def _not_approved(study: Study, how: str) -> NotApproved:
    return NotApproved(
        f"The study '{study.name}' is {how} here.",
        where=f"fingerprint {study.fingerprint[:12]}",
        fix="Read it with 'consilium site show', then 'consilium site approve'.",
    )


def bundle_file(path: Path) -> bool:
    """Return whether somebody means a study file rather than a study that has arrived."""
    return path.suffix == ".toml" and path.is_file()
