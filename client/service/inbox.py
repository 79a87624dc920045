"""The inbox: studies that coordinators sent or that were handed over as files, one folder each.

What lies here was written by others and was read within bounds (`common.bundle`); it is kept as the study file alone.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

from common.bundle import Bundle
from common.errors import ConsiliumError
from common.files import make_private, write_atomically
from common.study import Study
from common.study_file import dump_study, load_study

MOST = 500
"""Studies that are kept; a coordinator that sends more finds them refused, but not noted."""

_STUDY, _ARRIVAL = "study.toml", "arrival.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Arrival:
    """A study as it came.

    Attributes:
        bundle: sha256 of its bundle.
        study: the study.
        connection: the coordinator, by the site's name for it; empty: handed over as a file.
        first_seen: seconds since 1970.
    """

    bundle: str
    study: Study
    connection: str
    first_seen: float


class Inbox:
    """The folder of studies.

    Args:
        folder: `SiteFolder.inbox`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, bundle: Bundle, connection: str) -> bool:
        """Keep a study; False when it is known, or when there are too many.

        Raises:
            MachineError: the folder cannot be written.
        """
        place = self._folder / bundle.sha256
        if (place / _ARRIVAL).exists() or len(self._names()) >= MOST:
            return False
        make_private(self._folder)
        place.mkdir(exist_ok=True, mode=0o700)
        write_atomically(place / _STUDY, dump_study(bundle.study), durable=True)
        arrival = {"connection": connection, "first_seen": time.time()}
        write_atomically(place / _ARRIVAL, json.dumps(arrival), durable=True)
        return True

    def all(self) -> list[Arrival]:
        """Return what is readable, in the order of arrival."""
        found = [each for name in self._names() if (each := self.get(name)) is not None]
        return sorted(found, key=lambda each: (each.first_seen, each.bundle))

    def get(self, bundle: str) -> Arrival | None:
        """Return one study; None: not here, or damaged."""
        place = self._folder / bundle
        try:
            said = json.loads((place / _ARRIVAL).read_text(encoding="utf-8"))
            study = load_study(place / _STUDY)
            return Arrival(bundle, study, str(said["connection"]), float(said["first_seen"]))
        except (OSError, ValueError, KeyError, TypeError, ConsiliumError):
            return None

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self._folder.iterdir() if _SHA256.fullmatch(path.name)]
        except OSError:
            return []
