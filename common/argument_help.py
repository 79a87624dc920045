"""Puts the help of arguments back: typer 0.20 sets it, and click from 8.5 on overwrites it with an empty one."""

from __future__ import annotations

from typing import Any

from typer.models import ParameterInfo
from typer.utils import get_params_from_function


def with_argument_help(command: Any) -> Any:
    """Return a command, or a group with all its commands, whose arguments say what they are."""
    inner = getattr(command, "commands", None)
    for each in (
        inner.values() if isinstance(inner, dict) else ()
    ):  # others are entry points: not imported for this
        with_argument_help(each)
    function = getattr(command.callback, "__wrapped__", None)
    if function is None:
        return command
    said = get_params_from_function(function)
    for parameter in command.params:
        found = said[parameter.name].default if parameter.name in said else None
        if isinstance(found, ParameterInfo) and not getattr(parameter, "help", None):
            parameter.help = found.help
    return command
