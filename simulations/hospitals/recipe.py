"""What was asked for, and the two files that say how far it came: `hospitals.json` and a marker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common.errors import RunError, StudyError
from common.plugins import nearest, registry

MANIFEST = "hospitals.json"
MARKER = ".hospitals-being-written"
VERSION = 1


@dataclass(frozen=True)
class Recipe:
    """Which hospitals to generate; the same recipe gives the same bytes.

    Attributes:
        sites: how many hospitals.
        patients: of each, in each archive (people with glucose readings are fewer).
        seed: of everything drawn.
        archives: names of the data sets, sorted.
        version: of the generator.
    """

    sites: int
    patients: int
    seed: int
    archives: tuple[str, ...]
    version: int = VERSION

    def as_json(self) -> str:
        """Return the canonical text."""
        return json.dumps(asdict(self), sort_keys=True)


def make_recipe(sites: int, patients: int, seed: int, archives: Sequence[str] | None) -> Recipe:
    """Check what was asked for.

    Raises:
        StudyError: an archive is unknown, or a number is out of range.
    """
    known = registry("hospitals")
    chosen = sorted(set(known if archives is None else archives))
    for name in chosen:
        if name not in known:
            raise StudyError(
                f"Unknown archive '{name}'.",
                where="archives",
                fix=f"{nearest(name, known)}Known: {', '.join(sorted(known))}.",
            )
    for name, value, least in (("sites", sites, 1), ("patients", patients, 1), ("seed", seed, 0)):
        if value < least:
            raise StudyError(f"{name} is {value}.", where=name, fix=f"Use {least} or more.")
    if not chosen:
        raise StudyError("No archive is chosen.", where="archives", fix="Name at least one.")
    return Recipe(sites, patients, seed, tuple(chosen))


def prepare(directory: Path, recipe: Recipe) -> bool:
    """Make `directory` ready to be written; returns False if it holds the finished recipe already.

    A folder that an interrupted run left half written is emptied.

    Raises:
        RunError: the folder holds something else.
    """
    if _finished(directory, recipe):
        return False
    if (directory / MARKER).is_file():
        _remove_ours(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RunError(
            "The folder is not empty and does not hold these hospitals.",
            where=str(directory),
            fix="Choose another folder, or remove this one.",
        )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARKER).write_text(recipe.as_json() + "\n", encoding="utf-8")
    return True


def finish(directory: Path, recipe: Recipe, names: Sequence[str]) -> None:
    """Write the manifest, last of all, and take the marker away."""
    files = {name: _count(directory / name) for name in names}
    manifest = {"recipe": json.loads(recipe.as_json()), "files": files}
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    part = directory / (MANIFEST + ".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(directory / MANIFEST)
    (directory / MARKER).unlink()


def is_generated(folder: Path) -> bool:
    """Tell whether a site's folder is one of generated hospitals: the manifest beside it names it."""
    try:
        manifest = json.loads((folder.parent / MANIFEST).read_text(encoding="utf-8"))
        return folder.name in manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _finished(directory: Path, recipe: Recipe) -> bool:
    """The manifest is there, it is of this recipe, and no site has lost or gained a file."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        same = bool(manifest["recipe"] == json.loads(recipe.as_json()))
        return same and all(_count(directory / n) == k for n, k in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _remove_ours(directory: Path) -> None:
    """Remove the site folders of an interrupted run; anything else stays, and is then refused."""
    for folder in directory.glob("hospital-*"):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
    for name in (MANIFEST, MANIFEST + ".part", MARKER):
        (directory / name).unlink(missing_ok=True)


def _count(folder: Path) -> int:
    """Count what was generated; what a site keeps for itself beside it, in hidden folders, is its own."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sum(not any(part.startswith(".") for part in file.parts) for file in files)
