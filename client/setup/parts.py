"""What `consilium site init` must know of the parts of fused data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import typer

from client.setup.answers import Answers, typed
from client.setup.asking import Asking, filled
from client.setup.questions import ORDINARY, PART, TIME_UNITS
from common.errors import StudyError
from common.plugins import nearest

KEYS = {
    "kind": "data_kind",
    "path": "data_path",
    **{
        key: key
        for key in ("labels", "patient", "outcomes", "record", "time", "time_unit", "value")
    },
}
"""Keys of a part in site.toml, and what they are called among the answers."""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
HOW = "--part NAME=KIND:PATH, and --part NAME.KEY=VALUE for what else there is to say."


def parts_of(flags: Sequence[str]) -> dict[str, Answers]:
    """Return what flags say of each part: `NAME=KIND:PATH`, `NAME.KEY=VALUE`.

    Raises:
        StudyError: one says neither, or there is no such key.
    """
    found: dict[str, Answers] = {}
    for text in flags:
        left, separator, value = text.partition("=")
        name, dot, key = left.partition(".")
        if not separator:
            raise StudyError(f"'{text}' says nothing of a part.", where="--part", fix=f"Give {HOW}")
        said = {key: value}
        if not dot:
            kind, colon, path = value.partition(":")
            if not colon:
                raise StudyError(f"'{text}' has no kind.", where="--part", fix=f"Give {HOW}")
            said = {"kind": kind, "path": path}
        for key, each in said.items():
            if key not in KEYS:
                fix = f"{nearest(key, KEYS)}Known: {', '.join(KEYS)}."
                raise StudyError(f"There is no key '{key}'.", where=f"--part {left}", fix=fix)
            known = found.get(_named(name), Answers())
            found[name] = replace(known, **{KEYS[key]: typed(KEYS[key], each)})
    return found


def complete_parts(given: Mapping[str, Answers], *, ask: bool) -> dict[str, Answers]:
    """Return what must be known of every part.

    Args:
        given: what the flags said.
        ask: ask for the rest; otherwise take the defaults.

    Raises:
        StudyError: there are no parts, or something without a default is missing or makes no sense.
    """
    if not given:
        given = dict.fromkeys(_names(ask), Answers())
    words = {"data_kind": ORDINARY, "time_unit": (*TIME_UNITS, "")}
    return {
        name: filled(part, PART, Asking(ask, f"{name}: ", f"--part {name}.", words))
        for name, part in given.items()
    }


def _names(ask: bool) -> list[str]:
    """Ask what the parts are called."""
    if not ask:
        raise StudyError(
            "'--part' is missing: fused data have parts.",
            where="consilium site init --yes",
            fix=f"Give {HOW}",
        )
    while True:
        text = typer.prompt("Names of the parts, as the studies call them (such as film, ecg)")
        try:
            return [_named(name.strip()) for name in text.split(",") if name.strip()]
        except StudyError as error:
            typer.secho(f"{error.what} {error.fix}", fg="red", err=True)


def _named(name: str) -> str:
    if not NAME.fullmatch(name):
        raise StudyError(
            f"'{name}' cannot be the name of a part.",
            where="--part",
            fix="Use lower-case letters, digits, '-' and '_', a letter first.",
        )
    return name
