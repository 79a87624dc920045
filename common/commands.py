"""Command groups whose sub-commands are entry points, each imported only when it is called or listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from common import plugins
from common.argument_help import with_argument_help
from common.errors import MachineError

_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


def group_of(kind: str) -> type[TyperGroup]:
    """Return the group class whose commands are the entry points of a kind, for `typer.Typer(cls=…)`.

    Args:
        kind: such as "commands" for the entry points of `consilium.commands`; each is a `typer.Typer` or a function.
    """

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands: Any = Installed(kind)

        def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
            return list(self.commands)

    return Group


class Installed(Mapping[str, Any]):
    """Name → command, imported when it is asked for.

    Args:
        kind: of the entry points.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __getitem__(self, name: str) -> Any:
        if name not in plugins.registry(self.kind):
            raise KeyError(name)
        return _command(self.kind, name)

    def __contains__(self, name: object) -> bool:
        return name in plugins.registry(self.kind)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(plugins.registry(self.kind)))

    def __len__(self) -> int:
        return len(plugins.registry(self.kind))


def _command(kind: str, name: str) -> Any:
    """Turn an entry point into a command."""
    around = typer.Typer(add_completion=False)
    try:
        found = plugins.load(kind, name)
    except Exception as error:  # whatever is wrong with one package, the other commands must work
        around.command(name, context_settings=_ANYTHING)(_broken(name, error))
    else:
        if isinstance(found, typer.Typer):
            around.add_typer(found, name=name)
        else:
            around.command(name)(found)
    return with_argument_help(get_group(around).commands[name])


def _broken(name: str, error: Exception) -> Any:
    def broken() -> None:
        raise MachineError(
            f"The command '{name}' cannot be loaded: {error}.", fix="Install its package again."
        ) from error

    broken.__doc__ = "(cannot be loaded)"
    return broken
