"""`consilium server watch`, `stop`, `resume`, `fetch` and `runs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from server.deployment.folder import CoordinatorFolder

CoordinatorArgument = Annotated[Path, typer.Argument(help="The coordinator's folder.")]
RunArgument = Annotated[str, typer.Argument(help="The run's name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


def runs(coordinator: CoordinatorArgument, as_json: JsonOption = False) -> None:
    """List the runs and how they stand."""
    import json
    from dataclasses import asdict

    from server.deployment.control import runs_if_running
    from server.deployment.folder import open_folder
    from server.deployment.runs import all_runs

    folder = open_folder(coordinator)
    found = all_runs(folder, runs_if_running(folder))
    if as_json:
        typer.echo(json.dumps([asdict(run) for run in found], indent=1))
        return
    if not found:
        typer.echo("No run yet: consilium server submit STUDY COORDINATOR")
    for run in found:
        progress = f"round {min(run.round, run.rounds)} of {run.rounds}" if run.rounds else ""
        waiting = f"waits for {', '.join(run.waiting_for)}" if run.waiting_for else run.problem
        typer.echo(f"{run.name:<24} {run.standing.value:<17} {progress:<18} {waiting}".rstrip())


def watch(coordinator: CoordinatorArgument, run: RunArgument, as_json: JsonOption = False) -> None:
    """Follow a run to its end: who answered, who is awaited, what failed and why."""
    import json

    from server.deployment import watching
    from server.deployment.folder import open_folder
    from server.deployment.telling import sentence

    folder = open_folder(coordinator)
    ended = watching.watch(
        folder,
        run,
        lambda event: typer.echo(json.dumps(event) if as_json else sentence(event)),
    )
    problem = watching.ending(folder, ended)
    if problem is not None:
        raise problem
    if not as_json:
        typer.echo(f"Finished. Take the model: consilium server fetch {coordinator} {run} DEST")


def stop(coordinator: CoordinatorArgument, run: RunArgument) -> None:
    """Stop a run; it can be resumed from its last round."""
    from server.deployment.folder import open_folder
    from server.deployment.submission import stop as stop_run

    folder = open_folder(coordinator)
    _require_unfinished(folder, run)
    stop_run(folder, run)
    typer.echo(f"Run '{run}' is stopped. Go on with: consilium server resume {coordinator} {run}")


def resume(coordinator: CoordinatorArgument, run: RunArgument) -> None:
    """Go on with a run that was stopped, failed or was interrupted, from its last round."""
    from server.deployment.folder import open_folder
    from server.deployment.submission import resume as resume_run

    folder = open_folder(coordinator)
    _require_unfinished(folder, run)
    resume_run(folder, run)
    typer.echo(f"Run '{run}' goes on. Watch it: consilium server watch {coordinator} {run}")


def fetch(
    coordinator: CoordinatorArgument,
    run: RunArgument,
    destination: Annotated[Path, typer.Argument(help="A new folder for the results.")],
    as_json: JsonOption = False,
) -> None:
    """Copy a finished run's model, report, metrics and study."""
    import json

    from server.deployment.fetching import fetch as fetch_run
    from server.deployment.folder import open_folder

    copied = fetch_run(open_folder(coordinator), run, destination)
    if as_json:
        typer.echo(json.dumps({"files": [str(path) for path in copied]}, indent=1))
        return
    for path in copied:
        typer.echo(str(path))


def _require_unfinished(folder: CoordinatorFolder, name: str) -> None:
    from common.errors import RunError
    from server.deployment.runs import Standing, find_run

    if find_run(folder, name, None).standing is Standing.FINISHED:
        raise RunError(
            "The run is finished.",
            where=name,
            fix="To have another, submit the study again with another --run name.",
        )
