"""Completes the answers that a new site is made from."""

from __future__ import annotations

from dataclasses import replace

from client.setup.answers import Answers
from client.setup.asking import Asking, filled
from client.setup.parts import complete_parts
from client.setup.questions import DATA, LIMITS, SITE


def complete(given: Answers, *, ask: bool) -> Answers:
    """Return the answers with nothing missing.

    Args:
        given: what the flags said.
        ask: ask for the rest; otherwise take the defaults.

    Raises:
        StudyError: something without a default is missing, or makes no sense.
    """
    how = Asking(ask)
    given = filled(given, SITE, how)
    if given.data_kind == "fused":
        given = replace(given, parts=complete_parts(given.parts, ask=ask))
    else:
        given = filled(given, DATA, how)
    return filled(given, LIMITS, how)
