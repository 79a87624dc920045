"""Whether a process holds a lock, found out without touching it."""

from __future__ import annotations

from pathlib import Path

LOCKS = Path("/proc/locks")


def held(path: Path) -> bool | None:
    """Return whether a process holds a file's lock; None where the system does not tell.

    Trying to take the lock would tell, too, but a process that takes it at that moment would be refused.
    """
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        text = LOCKS.read_text()
    except OSError:
        return None
    return any(_is_of(line.split(), inode) for line in text.splitlines())


def _is_of(words: list[str], inode: int) -> bool:
    """Read a line such as `7: FLOCK  ADVISORY  WRITE 4711 00:2b:9876 0 EOF`; one that waits has an arrow."""
    place = next((word for word in words if word.count(":") == 2), "")
    return "FLOCK" in words and "->" not in words and place.rpartition(":")[2] == str(inode)
