"""Puts a checkpoint into a network, and says in full where the two do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from torch import nn

from common import plugins
from common.errors import StudyError
from common.transfer.reading import State
from common.transfer.section import Transfer

SHOWN = 5

Translate = Callable[[str], str]
"""From names of tensors elsewhere to names in the network."""


def as_it_is(name: str) -> str:
    """Return the name: tensors are called in the network what they are called elsewhere."""
    return name


def fill(
    network: nn.Module, state: State, transfer: Transfer, translated: Translate = as_it_is
) -> None:
    """Load a checkpoint into a network.

    Tensors that the network has no use for are left: a BatchNorm's running means, the old last layer.

    Args:
        network: changed in place.
        state: tensors of the checkpoint.
        transfer: says what is renamed and what is skipped.
        translated: from the names of other libraries to those of the network, after what the study renames.

    Raises:
        StudyError: a tensor of the network is not in the checkpoint, or has another shape there.
    """
    given = {translated(_renamed(name, transfer.rename)): value for name, value in state.items()}
    own = network.state_dict()
    skipped = set(matching(own, transfer.skip, "skip"))
    wanted = {name: value for name, value in own.items() if name not in skipped}
    missing = [name for name in wanted if name not in given]
    if missing:
        raise StudyError(
            f"{len(missing)} of the network's {len(wanted)} tensors are not in the checkpoint: {_some(missing)}.",
            where="[transfer] rename, skip",
            fix=f"The checkpoint has {_some(given)}. Rename beginnings of names, or skip what is new.",
        )
    for name, value in wanted.items():
        if given[name].shape != value.shape:
            raise StudyError(
                f"Tensor '{name}' has shape {tuple(value.shape)} in the network and {tuple(given[name].shape)} in the "
                "checkpoint.",
                where="[transfer] skip",
                fix="Skip it, or choose the model's options so that they agree.",
            )
    network.load_state_dict({name: given[name] for name in wanted}, strict=False)


def freeze(network: nn.Module, patterns: Iterable[str]) -> None:
    """Have some parameters neither trained nor exchanged.

    Raises:
        StudyError: a pattern fits nothing.
    """
    parameters = dict(network.named_parameters())
    for name in matching(parameters, patterns, "freeze"):
        parameters[name].requires_grad_(False)


def matching(names: Iterable[str], patterns: Iterable[str], key: str) -> list[str]:
    """Return the names that fit any of the patterns.

    Raises:
        StudyError: a pattern fits none.
    """
    known = list(names)
    found: dict[str, None] = {}
    for pattern in patterns:
        fitting = [name for name in known if fnmatchcase(name, pattern)]
        if not fitting:
            raise StudyError(
                f"No tensor of the network is called '{pattern}'.",
                where=f"[transfer] {key}",
                fix=f"{plugins.nearest(pattern, known)}It has {_some(known)}.",
            )
        found |= dict.fromkeys(fitting)
    return list(found)


def _renamed(name: str, rename: dict[str, str]) -> str:
    for old, new in rename.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
