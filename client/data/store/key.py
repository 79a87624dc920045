"""What an entry of the cache is called: a keyed digest of everything that a cohort is made of.

Files of images count by their names and content, so that an archive which is copied or restored keeps its entries;
other files count by path, size and time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from client.data.files import walk
from client.data.split import keyed

VERSION = "4"
"""To be counted up whenever the same files are read otherwise, so that no site goes on with what was read before."""


def cache_key(secret: bytes, description: str, sources: Iterable[Path], content: str = "") -> str:
    """Return the entry's name (64 hex digits).

    Args:
        secret: the site's secret; without it the name says nothing about the sources.
        description: the data section, data set and classes as canonical text.
        sources: files and folders that the data set reads, besides those that `content` is about.
        content: digest of the content of the others.
    """
    digest = hashlib.sha256(f"{VERSION}\n{description}\n{content}\n".encode())
    for source in sources:
        digest.update(f"{source}\0{source.exists()}\n".encode("utf-8", "surrogateescape"))
        for file in walk(source):
            line = f"{file.name}\0{file.size}\0{file.modified_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return keyed(secret, "cache", digest.hexdigest()).hex()
