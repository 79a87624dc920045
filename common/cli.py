"""The root command. Sub-commands are found through entry points; none is imported upward."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from common.commands import group_of
from common.errors import ConsiliumError


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"consilium {version('consilium')}")
        raise typer.Exit


def build() -> typer.Typer:
    """Return the command with every sub-command that is installed."""
    app = typer.Typer(
        cls=group_of("commands"),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Federated learning for hospitals: the patients stay, the ledger tells what was spent.",
    )

    @app.callback()
    def root(
        version: Annotated[
            bool,
            typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
        ] = False,
    ) -> None:
        pass

    return app


def main() -> None:
    """Run the command; every error that a user can mend ends in one message and its exit code."""
    try:
        build()(standalone_mode=True)
    except ConsiliumError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.secho("stopped", fg="red", err=True)
        sys.exit(130)
    except OSError as error:
        from pathlib import Path

        from common.files import explain_os_error

        problem = explain_os_error(error, Path(str(error.filename or "?")))
        _complain(problem)
        sys.exit(problem.exit_code)


def _complain(error: ConsiliumError) -> None:
    typer.secho(f"error: {error.what}", fg="red", err=True)
    if error.where:
        typer.echo(f"where: {error.where}", err=True)
    if error.fix:
        typer.echo(f"  fix: {error.fix}", err=True)
    typer.echo(f" code: {error.exit_code} (docs/exit-codes/{error.exit_code}.md)", err=True)


if __name__ == "__main__":
    main()
