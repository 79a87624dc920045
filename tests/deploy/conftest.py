"""Where the files of deploy/ are, and whether a command that they name exists."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def deploy() -> Path:
    """The folder deploy/."""
    return ROOT / "deploy"


@pytest.fixture(scope="session")
def load() -> Callable[[Path], Any]:
    """The function that parses a YAML file."""
    return lambda path: yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def _root_command() -> click.Command:
    from common.cli import build

    return typer.main.get_command(build())


def problem_with(tokens: Sequence[str]) -> str:
    """Say what is wrong with the arguments of a `consilium` command, or nothing.

    Options must exist and choices be among the known ones; arguments are placeholders and not looked at.
    """
    command, rest = _root_command(), list(tokens)
    while isinstance(command, click.Group):
        if not rest or rest[0] == "--version":
            return ""
        found = command.commands.get(rest[0])
        if found is None:
            return f"there is no command '{' '.join(tokens)}' ({rest[0]})"
        if "cannot be loaded" in (found.help or ""):
            return f"the command '{rest[0]}' cannot be loaded"
        command, rest = found, rest[1:]
    options = {name: each for each in command.params for name in (*each.opts, *each.secondary_opts)}
    for token, following in pairwise([*rest, ""]):
        if not token.startswith("--"):
            continue
        name, _, value = token.partition("=")
        if name not in options:
            return f"'{' '.join(tokens)}': there is no option {name}"
        kind = options[name].type
        given = value or following
        if (
            isinstance(kind, click.Choice)
            and not given.isupper()
            and given not in map(str, kind.choices)
        ):
            return f"'{' '.join(tokens)}': {name} does not take '{given}'"
    return ""


@pytest.fixture(scope="session")
def check_command() -> Callable[[Sequence[str]], str]:
    """The function that says what is wrong with the arguments of a `consilium` command."""
    return problem_with


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The function that runs a program and returns what it said."""

    def go(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(each) for each in command],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )

    return go
