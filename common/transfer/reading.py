"""Reads checkpoints: safetensors, state dicts of torch, MONAI bundles. No code in them is ever run."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from common.errors import StudyError

State = dict[str, torch.Tensor]

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network")
"""Keys under which training programs put the state dict beside their own notes."""

BUNDLED = ("models/model.safetensors", "models/model.pt")
"""Where a MONAI bundle keeps its weights."""


def read_checkpoint(path: Path) -> State:
    """Return the tensors of a checkpoint by name.

    Raises:
        StudyError: it is none, or one that would have to be run to be read.
    """
    try:
        return _tensors(path.suffix.lower(), path.read_bytes())
    except StudyError as error:
        raise StudyError(error.what, where=str(path), fix=error.fix) from None
    except Exception as error:  # readers of damaged files raise whatever they run into
        raise StudyError(
            f"The checkpoint cannot be read ({type(error).__name__}).",
            where=str(path),
            fix="Give a safetensors file, a state dict saved with torch.save, or a MONAI bundle as a zip archive.",
        ) from None


def _tensors(suffix: str, content: bytes) -> State:
    from safetensors.torch import load

    if suffix == ".safetensors":
        loaded: State = load(content)
        return loaded
    if suffix in (".pt", ".pth", ".bin", ".ckpt"):
        return _state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    if suffix == ".zip":
        return _bundle(content)
    raise StudyError(
        f"A checkpoint that ends in '{suffix}' is not read.",
        fix="Give .safetensors, .pt, .pth, .bin, .ckpt, or the .zip of a MONAI bundle.",
    )


def _bundle(content: bytes) -> State:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for wanted in BUNDLED:
            for name in archive.namelist():
                if name == wanted or name.endswith(f"/{wanted}"):
                    return _tensors(Path(wanted).suffix, archive.read(name))
    raise StudyError(f"The archive holds neither {' nor '.join(BUNDLED)}.")


def _state_dict(content: Any) -> State:
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    named = isinstance(content, Mapping) and content
    if not named or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise StudyError("The file holds no state dict: names with tensors.")
    return dict(content)
