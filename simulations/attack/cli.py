"""`consilium audit attack`: does a study's training path keep its promise?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.audit.options import AsJson, Html

if TYPE_CHECKING:
    from client.site import Site
    from common.study import Study
    from simulations.attack.audit import Say


def attack(
    study: Annotated[
        str, typer.Argument(help="A bundled study's name, or the path of a study file.")
    ],
    hospitals: Annotated[
        Path | None,
        typer.Option(
            "--hospitals",
            "--sites",
            help="A hospital's folder, or one of hospitals, of which the first is taken; bundled studies make one up.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="Override a key of the study; repeatable."
        ),
    ] = None,
    canaries: Annotated[
        int, typer.Option(min=100, max=100_000, help="Made-up patients, half of them in.")
    ] = 2000,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Repeat the attack; otherwise the operating system's randomness."),
    ] = None,
    as_json: AsJson = False,
    html: Html = None,
) -> None:
    """Attack a study's own training path: canaries in one run, and every privacy rule by itself.

    Trains on the hospital's patients and on made-up ones, through the agent with a ledger that is thrown away. Nothing
    leaves the machine and nothing is charged.

    Exit code: 0 sound, 10 leaking.
    """
    from client.audit.html import require_free
    from client.audit.render import emit
    from common.study_file import load_study
    from simulations.attack.audit import audit
    from simulations.attack.report import document
    from simulations.attack.subject import Subject
    from simulations.bundled import study_path

    if html is not None:
        require_free(html)  # before minutes of training, not after
    path = study_path(study)
    loaded = load_study(path, overrides or [])
    with _hospital(path, loaded, hospitals) as (site, scratch), _status() as say:
        found = audit(Subject(loaded, site, scratch, seed), canaries, say)
        report = document(found)
    emit(report, as_json=as_json, html=html)
    raise typer.Exit(report.exit_code)


@contextmanager
def _hospital(path: Path, study: Study, given: Path | None) -> Iterator[tuple[Site, Path]]:
    """Yield a hospital and a folder for what the attack writes, both gone afterwards if they were made here."""
    import tempfile

    from client.site import load_site
    from simulations.sites import find_sites

    with tempfile.TemporaryDirectory(prefix="consilium-attack-") as made:
        folder = given if given is not None else _generated(path, Path(made) / "hospitals")
        yield load_site(find_sites(folder)[0]), Path(made) / "agents"


def _generated(path: Path, folder: Path) -> Path:
    """Generate one hospital of a bundled study."""
    from common.errors import StudyError
    from simulations.bundled import recipe_for
    from simulations.hospitals import create

    recipe = recipe_for(path)
    if recipe is None:
        raise StudyError(
            "The study does not say at which hospital to attack it.",
            where=str(path),
            fix="Add --hospitals DIR, a folder with a site.toml or with one folder a hospital.",
        )
    create(
        folder,
        sites=1,
        patients=recipe.patients,
        seed=recipe.seed,
        archives=[recipe.archive],
    )
    return folder


@contextmanager
def _status() -> Iterator[Say]:
    """Show on the error stream what is being done, where a person looks at it."""
    from rich.console import Console

    terminal = Console(stderr=True)
    with terminal.status("reading the patients") as status:
        yield status.update
