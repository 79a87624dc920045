"""The text of a new site.toml, with the comments that a hospital's IT needs at five in the afternoon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from client.setup.answers import Answers

AUTHORITY_NAME = "coordinator-ca.crt"
"""The copy of the coordinator's authority beside site.toml."""

ABOUT = (
    *("data_path", "labels", "outcomes", "record", "patient", "episode", "order"),
    *("time", "time_unit", "value"),
)
"""Answers about a data set, in the order in which site.toml says them."""

_TEXT = """\
# Consilium: what this hospital has, what it allows, and who may ask.
# After a change: 'consilium site doctor', then start the site again.

[site]
name = {name}

# What studies can be trained on. Add a table [data.NAME] for each further data set.
[data.{data_name}]
kind = {data_kind}
{about}# The number of patients that everybody may know: round it. Studies weight and divide by it.
declared_patients = {declared_patients}
{parts}
# Limits that no study and no coordinator can change.
[policy]
# The privacy budget of all studies together. 1 is cautious; it is spent once and does not come back.
max_epsilon = {max_epsilon}
delta = 1e-5
# Do not take part with fewer training patients than this.
min_patients = 20
# Evaluation statistics that may leave: "none", "noisy" (counted against the budget) or "exact".
statistics = "noisy"
# Train without noise when a study asks for it. Leave this off for real patients.
allow_non_private = false
# hours = "20:00-06:00"            # train at night only, local time
# max_epsilon_per_study = 0.5      # a limit for any one study, too
# max_bytes_per_round = 50_000_000

[compute]
# auto takes a GPU when there is one; or: cpu, cuda, cuda:1
device = "auto"

{connection}
[service]
# "unix": the commands 'consilium site status' and others work on this machine, for this user.
control = "unix"
# metrics = "127.0.0.1:9477"       # a page for Prometheus
"""

_PARTS = """\
# absent = ["NAME"]                # parts of a study that this site does not have

# The parts, by the studies' names for them. All of them call a patient by the same identifier.
"""

_CONNECTION = """\
# A coordinator that this site answers. All connections go outward; the hospital opens no port to it.
[connection.coordinator]
server = {server}
{certificates}runtime = {runtime}
{runtime_certificates}"""

_NO_CONNECTION = """\
# A coordinator that this site answers; uncomment when you know it.
# [connection.coordinator]
# server = "fl.example.org:443"
# certificates = "coordinator-ca.crt"
"""


def site_text(answers: Answers, *, split: bool) -> str:
    """Return the text of site.toml.

    Args:
        answers: complete ones.
        split: the two halves of the service run on two machines, with TLS between them.
    """
    connection = _connection(answers, split) if answers.server else _NO_CONNECTION
    return _TEXT.format(
        name=_toml(answers.name),
        data_name=_key(answers.data_name),
        data_kind=_toml(answers.data_kind),
        about="".join(_about(answers)),
        declared_patients=_toml(answers.declared_patients),
        parts=_parts(answers),
        max_epsilon=_toml(answers.max_epsilon),
        connection=connection,
    )


def _about(answers: Answers) -> Iterator[str]:
    """Yield the lines that only some kinds of data have."""
    for key in ABOUT:
        answer = getattr(answers, key)
        if answer:
            told = str(answer.resolve()) if isinstance(answer, Path) else answer
            yield f"{key.removeprefix('data_')} = {_toml(told)}\n"


def _parts(answers: Answers) -> str:
    """Return the tables of the parts of fused data."""
    tables = [
        f"[data.{_key(answers.data_name)}.parts.{_key(name)}]\n"
        f"kind = {_toml(part.data_kind)}\n{''.join(_about(part))}"
        for name, part in answers.parts.items()
    ]
    return _PARTS + "\n".join(tables) if tables else ""


def _connection(answers: Answers, split: bool) -> str:
    own = f"certificates = {_toml(AUTHORITY_NAME)}\n" if answers.certificates else ""
    between = f"runtime_certificates = {_toml('.consilium/tls/ca.crt')}\n" if split else ""
    return _CONNECTION.format(
        server=_toml(answers.server),
        certificates=own,
        runtime=_toml(answers.runtime),
        runtime_certificates=between,
    )


def _toml(value: Any) -> str:
    return tomli_w.dumps({"v": value}).partition("=")[2].strip()


def _key(name: str) -> str:
    return tomli_w.dumps({name: 1}).partition(" =")[0]
