"""Where checkpoints are looked for: folders that the commands name, handed on to the processes that they start."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from common.errors import MachineError, TamperedError
from common.transfer.section import Transfer

VARIABLE = "CONSILIUM_PRETRAINED"
"""The environment variable with the folders; processes started later, Ray's too, find them there."""

FOLDER = "pretrained"
"""Of a site and of a coordinator."""


def look_in(*folders: Path) -> None:
    """Have checkpoints found in some folders from now on, as far as these exist."""
    known = {str(place): None for place in places()}
    known |= {str(folder.absolute()): None for folder in folders if folder.is_dir()}
    os.environ[VARIABLE] = os.pathsep.join(known)


def places() -> list[Path]:
    """Return the folders, in the order in which they are searched."""
    return [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]


def find(transfer: Transfer) -> Path:
    """Return the checkpoint of a study.

    Raises:
        MachineError: it is not here.
        TamperedError: there is another file of that name, and none with the right content.
    """
    name = str(transfer.checkpoint)
    found = [place / name for place in places() if (place / name).is_file()]
    for path in found:
        about = path.stat()
        if _sha256(path, about.st_mtime_ns, about.st_size) == transfer.sha256:
            return path
    if found:
        raise TamperedError(
            f"The file '{name}' is not the checkpoint that the study names.",
            where=", ".join(map(str, found)),
            fix=f"Get the one whose sha256 is {transfer.sha256}.",
        )
    raise MachineError(
        f"The study starts from the checkpoint '{name}', which is not here.",
        where="[transfer] checkpoint",
        fix=f"Put the file whose sha256 is {transfer.sha256} into the folder '{FOLDER}' beside the study file, "
        "of the coordinator, and of every site.",
    )


@cache
def _sha256(path: Path, changed_ns: int, size: int) -> str:
    """Hash a file; once, as long as it does not change."""
    del changed_ns, size
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
