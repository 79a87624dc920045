"""Runs a site: a SuperNode for each coordinator and one agent, or one half of it, under one supervisor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path

from client.service.probes import AgentProbe, SuperNodeProbe
from client.site import Connection, Site, load_site
from client.site_folder import SiteFolder
from common.errors import MachineError, StudyError
from common.flower_env import flower_environment
from common.supervise import Program, Supervisor, locked, run_in_foreground

AGENT_GRACE = 75.0
"""The agent ends the step in hand, settles and tells the coordinator: a minute at most."""


class Half(StrEnum):
    """One half of a site's service."""

    SUPERNODE = "supernode"
    AGENT = "agent"


def half_named(name: str | None) -> Half | None:
    """Return the half that `--only` names; none: both.

    Raises:
        StudyError: there is no such half.
    """
    if name is not None and name not in list(Half):
        raise StudyError(
            f"There is no half '{name}'.", where="--only", fix="Give supernode or agent."
        )
    return None if name is None else Half(name)


def start_site(
    path: Path, say: Callable[[str], None], *, only: Half | None, testing_seed: int | None
) -> None:
    """Run a site until SIGTERM or SIGINT, then stop it cleanly.

    Args:
        path: the site's folder.
        say: told one line a change.
        only: the half to run; none: both.
        testing_seed: makes everything repeatable, as in a simulation, and protects nobody.

    Raises:
        RunError: it runs already.
        StudyError: the site.toml cannot be used, or names no coordinator.
        MachineError: a key is missing.
    """
    site = load_site(path)
    folder = SiteFolder(site.folder)
    check_startable(site, folder, only)
    halves = [only] if only else list(Half)
    with ExitStack() as held:
        for half in halves[1:]:
            held.enter_context(locked(lock_of(folder, half)))
        programs = programs_of(site, folder, say, halves=halves, testing_seed=testing_seed)
        say(f"site '{site.name}' starts; its logs are in {folder.logs}")
        run_in_foreground(Supervisor(programs, lock_of(folder, halves[0]), say))
        say(f"site '{site.name}' stopped")


def lock_of(folder: SiteFolder, half: Half) -> Path:
    """Return the file whose lock tells that a half runs."""
    return folder.running / f"{half}.lock"


def check_startable(site: Site, folder: SiteFolder, only: Half | None) -> None:
    """Refuse what could not work.

    Raises:
        StudyError: the site names no coordinator, or two of its SuperNodes share a port.
        MachineError: a key is missing.
    """
    if not site.connections:
        raise StudyError(
            "The site knows no coordinator.",
            where=str(site.file),
            fix="Add a table [connection.coordinator] with server = 'host:port'.",
        )
    addresses = [each.runtime for each in site.connections.values()]
    if len(set(addresses)) < len(addresses):
        raise StudyError(
            "Two connections have the same runtime address.",
            where=str(site.file),
            fix="Give each [connection.NAME] a runtime of its own, such as '127.0.0.1:9096'.",
        )
    needed = [folder.superexec_secret]
    needed += [folder.node_key] if only is not Half.AGENT else []
    needed += [folder.secret, folder.signing_key] if only is not Half.SUPERNODE else []
    for key in needed:
        if not key.exists():
            raise MachineError(
                "A key of the site is missing.",
                where=str(key),
                fix="Restore it with 'consilium site restore', or make a site with 'consilium site init'.",
            )


def programs_of(
    site: Site,
    folder: SiteFolder,
    say: Callable[[str], None],
    *,
    halves: list[Half],
    testing_seed: int | None = None,
) -> list[Program]:
    """Return the processes of a site, in the order in which they start."""
    programs = []
    if Half.SUPERNODE in halves:
        several = len(site.connections) > 1
        for name, connection in sorted(site.connections.items()):
            shown = f"supernode {name}" if several else "supernode"
            programs.append(_supernode(folder, name, connection, shown, say))
    if Half.AGENT in halves:
        programs.append(_agent(site, folder, testing_seed))
    return programs


def _supernode(
    folder: SiteFolder, name: str, connection: Connection, shown: str, say: Callable[[str], None]
) -> Program:
    probe = SuperNodeProbe(
        connection, folder.superexec_secret, lambda text: say(f"{shown}: {text}")
    )
    return Program(
        name=shown,
        command=_python("client.service.supernode", str(folder.path), "--connection", name),
        environment=_environment(folder),
        log=folder.logs / f"supernode-{name}.log",
        ready=probe.ready,
        alive=probe.alive,
    )


def _agent(site: Site, folder: SiteFolder, testing_seed: int | None) -> Program:
    probe = AgentProbe(site, folder)
    seed = [] if testing_seed is None else ["--testing-seed", str(testing_seed)]
    return Program(
        name="agent",
        command=_python("client.service.agent_process", str(folder.path), *seed),
        environment=_environment(folder),
        log=folder.logs / "agent.log",
        ready=probe.ready,
        alive=probe.alive,
        patience=120.0,
        grace=AGENT_GRACE,
    )


def _python(module: str, *arguments: str) -> list[str]:
    """Run a module without looking into the current folder, which may hold one of the same name."""
    return [sys.executable, "-P", "-m", module, *arguments]


def _environment(folder: SiteFolder) -> dict[str, str]:
    return flower_environment(folder.flower_home, PYTHONUNBUFFERED="1")
