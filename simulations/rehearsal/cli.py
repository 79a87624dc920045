"""`consilium rehearse`: a study on the whole deployment, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def rehearse(
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
        Path | None, typer.Option(help="Folder of the rehearsal; otherwise rehearsals/STUDY.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="Override a key of the study; repeatable."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of sampling and noise; otherwise the study's.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Give up after so long.")] = 60.0,
) -> None:
    """Try the real thing before the real thing: server, proxy, TLS, node keys, one service a hospital, all on loopback.

    The hospitals' data are linked, not changed. Sampling and noise are repeatable, so that the model is, bit by bit,
    the one of `consilium simulate` with this seed; the ledgers say so, and nobody is protected.
    """
    from common.studies import study_path
    from common.study_file import load_study
    from simulations.bundled import hospitals_for
    from simulations.rehearsal.federation import rehearsed
    from simulations.sites import find_sites

    path = study_path(study)
    loaded = load_study(path, overrides or [])
    originals = find_sites(hospitals if hospitals is not None else hospitals_for(path, typer.echo))
    folder = (run or Path("rehearsals") / loaded.name).absolute()
    chosen = loaded.study.seed if seed is None else seed
    typer.echo("Starting a coordinator and the hospitals …")
    with rehearsed(folder, originals, seed=chosen) as federation:
        file = federation.approve(loaded)
        started = federation.coordinator.submit(file, loaded.name)
        federation.follow(started, 60 * minutes, _show)
    typer.echo(f"The run: {started.path}")


def _show(state: dict[str, Any]) -> None:
    waiting = ", ".join(state.get("waiting_for") or [])
    round_ = f"round {state.get('round', 0)} of {state.get('rounds', '?')}"
    typer.echo(
        f"{state.get('phase', 'starting')}: {round_}"
        + (f", waiting for {waiting}" if waiting else "")
    )
