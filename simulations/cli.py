"""`consilium simulate`: a study on many hospitals, on this machine."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from simulations.console import Console
    from simulations.simulate import Simulation

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="Override a key of the study; repeatable."
    ),
]


def simulate(
    study: Annotated[
        str, typer.Argument(help="A bundled study's name, or the path of a study file.")
    ],
    hospitals: Annotated[
        Path | None,
        typer.Option(
            "--hospitals",
            "--sites",
            help="Folder with one folder a hospital; bundled studies generate theirs.",
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the run; otherwise runs/STUDY.")
    ] = None,
    overrides: Set = None,
    engine: Annotated[
        Literal["in-process", "ray"], typer.Option(help="What carries the messages.")
    ] = "in-process",
    workers: Annotated[int, typer.Option(min=1, help="Sites that train at once.")] = min(
        2, os.cpu_count() or 1
    ),
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of sampling and noise; otherwise the study's.")
    ] = None,
    system_randomness: Annotated[
        bool,
        typer.Option(
            "--system-randomness",
            help="Draw sampling and noise from the operating system, as hospitals do.",
        ),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Run a study on simulated hospitals: training, ledgers, model, report.

    STUDY is the path of a study file, or the name of a bundled one, such as lung-nodule, heart or glucose; a wrong name
    lists them all.
    """
    from simulations.bundled import study_path
    from simulations.console import Console

    console = Console(quiet=quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    path = study_path(study)
    job = _simulation(path, hospitals, run, overrides or [], engine, workers, console)
    chosen_seed = None if system_randomness else (job.study.study.seed if seed is None else seed)
    _run(job, chosen_seed, resume, console)


def _simulation(
    path: Path,
    hospitals: Path | None,
    run: Path | None,
    overrides: list[str],
    engine: str,
    workers: int,
    console: Console,
) -> Simulation:
    from common.study_file import load_study
    from simulations.bundled import hospitals_for
    from simulations.engines import InProcess, Ray
    from simulations.simulate import Simulation
    from simulations.sites import find_sites

    loaded = load_study(path, overrides)
    folder = hospitals if hospitals is not None else hospitals_for(path, console.note)
    return Simulation(
        study=loaded,
        hospitals=find_sites(folder),
        run=(run or Path("runs") / loaded.name).absolute(),
        engine=Ray(workers) if engine == "ray" else InProcess(workers),
        engine_name=engine,
        seed=None,
    )


def _run(job: Simulation, seed: int | None, resume: bool, console: Console) -> None:
    from dataclasses import replace

    from common.errors import Interrupted
    from simulations.simulate import simulate as run_simulation

    try:
        metrics = run_simulation(replace(job, seed=seed, resume=resume), console)
    except KeyboardInterrupt:
        if job.engine_name == "ray":
            _end_soon(Interrupted.exit_code)
        raise Interrupted(
            "Stopped. Everything that was spent is in the ledgers.",
            where=str(job.run),
            fix="Run the same command with --resume to go on.",
        ) from None
    console.close(metrics, job.run)


def _end_soon(code: int) -> None:
    """End the process in spite of Flower's threads, which wait for ever for actors that Ray has killed."""
    end = threading.Timer(2.0, os._exit, [code])
    end.daemon = True
    end.start()
