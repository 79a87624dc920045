"""How site.toml names its tables, and the private folder beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from client.site import Site
from common.errors import MachineError


def section(site: Site, name: str) -> str:
    """Return the heading under which site.toml describes a data set: "[data]" where it has only one, unnamed."""
    try:
        data = tomllib.loads(site.file.read_text(encoding="utf-8-sig")).get("data")
    except (OSError, ValueError):
        data = None
    unnamed = isinstance(data, dict) and isinstance(data.get("kind"), str)
    return "[data]" if unnamed else f"[data.{name}]"


def private_folder(site: Site) -> Path:
    """Return the folder for what must stay at the site; it is made (mode 700) where there is none.

    Raises:
        MachineError: it cannot be made.
    """
    try:
        site.private_folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"The private folder cannot be made ({error.strerror}).",
            where=str(site.private_folder),
            fix="Let the user who runs the doctor write in the site's folder.",
        ) from None
    return site.private_folder
