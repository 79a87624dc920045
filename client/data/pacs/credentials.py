"""Reads a PACS's credentials from a file that nobody else may read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from common.errors import StudyError


@dataclass(frozen=True)
class Credentials:
    """What proves this site to the PACS.

    Attributes:
        user, password: of basic authentication.
        token: of bearer authentication, instead of them.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


def read_credentials(path: Path | None) -> Credentials | None:
    """Return the credentials, or None where the site has none.

    Raises:
        StudyError: the file is missing, readable by others, or holds something else.
    """
    if path is None:
        return None
    where = str(path)
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise StudyError(f"The PACS credentials cannot be read: {why}.", where=where) from None
    if mode & 0o077:
        raise StudyError(
            "Other users of this machine can read the PACS credentials.",
            where=where,
            fix=f"chmod 600 {path}",
        )
    line = lines[0].strip() if lines else ""
    kind, _, rest = line.partition(" ")
    if kind.casefold() == "bearer" and rest.strip():
        return Credentials(token=rest.strip())
    user, colon, password = line.partition(":")
    if not (user and colon):
        raise StudyError(
            "The PACS credentials are not understood.",
            where=where,
            fix="The first line is user:password, or Bearer and the token.",
        )
    return Credentials(user, password)
