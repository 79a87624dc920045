"""The studies that come with the project, and the generated hospitals that they run on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import plugins
from common.errors import StudyError
from common.study_file import read_toml

STUDIES = Path(__file__).parent / "studies"


@dataclass(frozen=True)
class Recipe:
    """How to generate the hospitals of a bundled study.

    Attributes:
        archive: the data set to generate.
        sites, patients, seed: how many sites, patients a site, and the seed.
    """

    archive: str
    sites: int
    patients: int
    seed: int

    @property
    def folder(self) -> Path:
        """Where they are generated when the user names no place."""
        return Path("hospitals") / f"{self.archive}-{self.sites}x{self.patients}-seed{self.seed}"


def bundled_names() -> list[str]:
    """Return the names of the bundled studies."""
    return sorted(path.parent.name for path in STUDIES.glob("*/study.toml"))


def study_path(named: str) -> Path:
    """Return the file of a study given by name or by path.

    Raises:
        StudyError: there is neither.
    """
    bundled = STUDIES / named / "study.toml"
    if "/" not in named and bundled.exists():
        return bundled
    path = Path(named)
    if path.is_dir() and (path / "study.toml").exists():
        return path / "study.toml"
    if path.exists() or path.suffix == ".toml":
        return path
    known = bundled_names()
    raise StudyError(
        f"There is no study '{named}'.",
        fix=f"{plugins.nearest(named, known)}Give the path of a study file, or one of: {', '.join(known)}.",
    )


def recipe_for(study: Path) -> Recipe | None:
    """Return the recipe beside a bundled study's file, or None for a study of the user's own."""
    file = study.parent / "hospitals.toml"
    return Recipe(**read_toml(file, "hospitals")) if file.exists() else None


def hospitals_for(path: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of a bundled study's hospitals, generated if need be.

    Args:
        path: the study file.
        say: told where they are.

    Raises:
        StudyError: the study is the user's own.
    """
    from simulations.hospitals import create

    recipe = recipe_for(path)
    if recipe is None:
        raise StudyError(
            "The study does not say on which hospitals to run.",
            where=str(path),
            fix="Add --hospitals DIR, a folder with one folder a hospital and a site.toml in each.",
        )
    say(f"Hospitals: {recipe.sites} × {recipe.patients} patients in {recipe.folder}")
    create(
        recipe.folder,
        sites=recipe.sites,
        patients=recipe.patients,
        seed=recipe.seed,
        archives=[recipe.archive],
    )
    return recipe.folder
