"""The names of the enrolled sites, by their nodes, as the coordinator keeps them in sites.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Enrolled:
    """Reads sites.json anew whenever it changed: sites may be enrolled while a run goes on.

    Attributes:
        file: the file; without one, nobody is enrolled.
    """

    file: Path
    _seen: tuple[int, int] = (0, 0)
    _names: dict[int, str] = field(default_factory=dict)

    def __call__(self) -> Mapping[int, str]:
        """Return the names by node; a file that cannot be read leaves what was known."""
        try:
            about = self.file.stat()
            if (about.st_mtime_ns, about.st_size) == self._seen:
                return self._names
            content = json.loads(self.file.read_text(encoding="utf-8"))
            names = {int(site["node"]): str(name) for name, site in content.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return self._names
        self._seen, self._names = (about.st_mtime_ns, about.st_size), names
        return names
