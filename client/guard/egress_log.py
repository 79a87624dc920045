"""The log of everything that left a site: append-only, chained by hashes, in a file of its own.

| kind | body |
|---|---|
| `open` | log: "egress", site, schema |
| `reply` | study, fingerprint, round, key, sha256, bytes, parts, layout, resent |
| `refused` | the same, and reason: a reply was made, and the guard kept it |
| `migrated` | from, to: schema versions |

`sha256` is the digest that the ledger's settlement names, `parts` the bytes by part, `layout` the digest of the
declared layout. An entry is on the disk before the first byte leaves: what cannot be logged does not leave.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from client.guard.chain import Chain
from client.guard.entries import Entry, Mark
from client.guard.schema import ORIGIN, SCHEMA_VERSION
from common.errors import StudyError, TamperedError

Kind = Literal["reply", "refused"]


@dataclass(frozen=True)
class Release:
    """A reply, as the log describes it; no value of it is kept.

    Attributes:
        study, fingerprint, round: what it answers.
        key: the release's name, which begins those of its charges in the ledger.
        sha256: of its content, in hex.
        bytes: of patient-dependent content, as it travels.
        parts: the same by part: weights, statistics.
        layout: digest of the declared layout of the weights.
        resent: the same bytes left before.
        reason: why the guard kept it; empty where it left.
    """

    study: str
    fingerprint: str
    round: int
    key: str
    sha256: str
    bytes: int
    parts: Mapping[str, int]
    layout: str
    resent: bool = False
    reason: str = ""

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Release:
        """Return what an entry's body says.

        Raises:
            TypeError, KeyError: the body is not that of a release.
        """
        made = cls(**{**body, "parts": dict(body["parts"])})
        texts = (made.study, made.fingerprint, made.key, made.sha256, made.layout, made.reason)
        numbers = (made.round, made.bytes, *made.parts.values())
        if not all(isinstance(text, str) for text in texts) or not isinstance(made.resent, bool):
            raise TypeError("a field has another type")
        if any(type(number) is not int or number < 0 for number in numbers):
            raise TypeError("a number is missing")
        return made

    def to_json(self) -> dict[str, Any]:
        """Return the body of an entry."""
        return {**asdict(self), "parts": dict(self.parts)}


class EgressBook:
    """A running summary of a log.

    Attributes:
        seq, head: number and hash of the last entry read.
        site: whose log it is; empty before the first entry.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.head = ORIGIN
        self.site = ""
        self._released: dict[str, str] = {}

    def apply(self, entry: Entry) -> Release | None:
        """Read the next entry; return the release that it is about, if it is about one.

        Raises:
            TamperedError: it makes no sense here, although its hash holds.
        """
        try:
            release = self._read(entry)
        except (KeyError, TypeError, ValueError) as error:
            raise TamperedError(
                f"Entry {entry.seq} makes no sense in an egress log ({error}).",
                fix="Keep the file as evidence and go back to a copy that verifies.",
            ) from error
        self.seq, self.head = entry.seq, entry.hash
        return release

    def released(self, key: str) -> str | None:
        """The digest of the bytes that left last under a key."""
        return self._released.get(key)

    def _read(self, entry: Entry) -> Release | None:
        if (entry.kind == "open") != (entry.seq == 1):
            raise ValueError("a log opens once, with its first entry")
        if entry.kind == "open":
            if entry.body["log"] != "egress" or not isinstance(entry.body["site"], str):
                raise ValueError("it is a log of another kind")
            self.site = entry.body["site"]
        if entry.kind in ("open", "migrated"):
            return None
        if entry.kind not in ("reply", "refused"):
            raise ValueError(f"an entry '{entry.kind}' is not known")
        release = Release.from_json(entry.body)
        if (entry.kind == "refused") != bool(release.reason):
            raise ValueError("what is refused has a reason, and what left has none")
        if entry.kind == "reply":
            self._released[release.key] = release.sha256
        return release


class EgressLog:
    """The egress log of a site, made when it does not exist.

    Args:
        path: its file, readable by its owner only.
        site: the site's name.

    Raises:
        StudyError: the file is the log of another site.
        TamperedError: the file does not hold together.
        MachineError: the file cannot be used now.
    """

    def __init__(self, path: Path, site: str) -> None:
        self.path = path
        self._chain = Chain(path)
        self._book = EgressBook()
        self._lock = threading.Lock()
        self._chain.create("open", {"log": "egress", "site": site, "schema": SCHEMA_VERSION})
        with self._lock:
            self._refresh()
        if self._book.site != site:
            raise StudyError(
                f"The egress log belongs to site '{self._book.site}'; this is site '{site}'.",
                where=str(path),
                fix="Give every site a log of its own.",
            )

    def newest(self) -> Mark:
        """The newest entry, for the ledger to remember."""
        with self._lock:
            self._refresh()
            return Mark(self._book.seq, self._book.head)

    def released(self, key: str) -> str | None:
        """The digest of the bytes that left last under a key, or None."""
        with self._lock:
            self._refresh()
            return self._book.released(key)

    def leaving(self, release: Release) -> None:
        """Note what is about to leave; when this returns, the disk has it.

        Raises:
            MachineError: it could not be noted, so that nothing may leave.
        """
        self._append("reply", release)

    def refused(self, release: Release) -> None:
        """Note what was made and kept, with its `reason`."""
        self._append("refused", release)

    def _append(self, kind: Kind, release: Release) -> None:
        body = release.to_json()
        with self._lock:
            added = self._chain.write(lambda writer: writer.append(kind, body))
            self._follow([added] if added.seq == self._book.seq + 1 else ())

    def _refresh(self) -> None:
        self._follow(self._chain.read(self._book.seq, self._book.head))
        if self._book.head == ORIGIN:
            raise TamperedError(
                "The egress log is empty: even its first entry is missing.",
                where=str(self.path),
                fix="Keep the file as evidence and go back to a copy that verifies.",
            )

    def _follow(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._book.apply(entry)
