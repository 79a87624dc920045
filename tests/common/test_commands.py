"""Groups of commands: found by entry point, imported when called, none taking the others with it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from common import plugins
from common.commands import group_of
from common.errors import MachineError

POINTS = {
    "good": "tests_commands_good:command",
    "missing": "no_such_package.at_all:command",
    "empty": "json:no_such_function",
}


def command(
    word: str = "hello", at: Annotated[str, typer.Argument(help="Whom to say it to.")] = ""
) -> None:
    """Say a word.

    And more.
    """
    typer.echo(word + at)


@pytest.fixture(autouse=True)
def _points(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(kind: str, name: str) -> Any:
        return command if name == "good" else EntryPoint(name, POINTS[name], kind).load()

    registry = {name: EntryPoint(name, value, "x") for name, value in POINTS.items()}
    monkeypatch.setattr(plugins, "registry", lambda kind: registry)
    monkeypatch.setattr(plugins, "load", load)


def invoke(*arguments: str) -> Any:
    app = typer.Typer(cls=group_of("things"), no_args_is_help=True)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, list(arguments))


def test_help_lists_all_with_a_line_each() -> None:
    lines = [line.strip("│ ") for line in invoke("--help").stdout.splitlines()]
    listed = [" ".join(line.split()) for line in lines]
    assert {"good Say a word.", "missing (cannot be loaded)", "empty (cannot be loaded)"} <= {
        *listed
    }


def test_a_function_is_a_command() -> None:
    assert invoke("good", "--word", "well").stdout == "well\n"


def test_help_tells_what_an_argument_is() -> None:
    assert "Whom to say it to." in invoke("good", "--help").stdout


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_broken_command_says_so_whatever_it_is_given(name: str) -> None:
    error = invoke(name, "file", "--option", "3").exception
    assert isinstance(error, MachineError)
    assert f"'{name}' cannot be loaded" in error.what


def test_an_unknown_command_gets_the_nearest_name() -> None:
    ended = invoke("godo")
    assert ended.exit_code == 2
    assert "good" in ended.stderr


def test_only_the_called_command_is_imported() -> None:
    script = (
        "import sys\n"
        "from common.cli import main\n"
        "sys.argv = ['consilium', 'audit', 'ledger', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "names = ('simulations', 'server', 'common.study_cli', 'client.audit.export_cli', 'jinja2')\n"
        "print('LOADED', *[name for name in names if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.splitlines()[-1] == "LOADED"
