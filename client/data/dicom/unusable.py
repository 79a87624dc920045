"""The one way in which a file is left out."""

from __future__ import annotations


class Unusable(Exception):
    """A file is left out; the message is the reason and names nobody."""
