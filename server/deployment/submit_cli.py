"""`consilium server submit`: start a run of a study on the enrolled hospitals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def submit(
    study: Annotated[str, typer.Argument(help="The study file, or a bundled study's name.")],
    coordinator: Annotated[Path, typer.Argument(help="The coordinator's folder.")],
    run: Annotated[
        str | None, typer.Option(help="The run's name; otherwise that of the study.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a key.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Check a study, submit it, and print what the hospitals compare before they approve it."""
    import json

    from common.studies import study_path
    from common.study_check import check_study, render
    from common.study_file import load_study
    from server.deployment.folder import open_folder
    from server.deployment.sites import read_sites
    from server.deployment.submission import submit as submit_study

    folder = open_folder(coordinator)
    loaded = load_study(study_path(study), overrides or [])
    facts = check_study(loaded, [100, 400, 1000])
    name = run or loaded.name
    submitted = submit_study(folder, loaded, name)
    enrolled, wanted = len(read_sites(folder)), loaded.federation.min_sites
    if as_json:
        found = {"run": name, "bundle": submitted.bundle, "fingerprint": submitted.fingerprint}
        typer.echo(json.dumps(found | {"sites_enrolled": enrolled}, indent=1))
        return
    lines = [
        render(facts),
        "",
        f"Submitted as run '{name}'. Hospitals approve it with 'consilium site approve' once they have compared:",
        f"  bundle       {submitted.bundle}",
        f"  fingerprint  {submitted.fingerprint}",
        "",
        f"Watch it: consilium server watch {coordinator} {name}",
    ]
    if enrolled < wanted:
        lines.append(f"note: it waits for {wanted} sites, and {enrolled} are enrolled")
    typer.echo("\n".join(lines))
