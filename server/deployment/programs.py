"""The three programs of a coordinator's server and how each is seen to make progress."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from common.flower_env import flower_environment
from common.supervise import Program
from server.deployment import proxy
from server.deployment.control import beside_the_proxies
from server.deployment.folder import CoordinatorFolder
from server.deployment.pulse import Pulse

COORDINATOR = "CONSILIUM_COORDINATOR"
"""Environment variable that tells `server.app:app` where its coordinator's folder is."""


def programs(folder: CoordinatorFolder, pulse: Pulse) -> list[Program]:
    """Return the programs in the order in which they start.

    Args:
        folder: the coordinator's.
        pulse: tells whether they make progress.
    """
    settings = folder.settings()
    environment = _environment(folder)
    return [
        Program(
            name="superlink",
            command=_superlink(folder),
            environment=environment,
            log=folder.logs / "superlink.log",
            ready=pulse.superlink_answers,
            alive=pulse.superlink_problem,
            patience=settings.superlink.answer_seconds,
        ),
        Program(
            name="superexec",
            command=_superexec(folder),
            environment=environment,
            log=folder.logs / "superexec.log",
            alive=pulse.superexec_problem,
            patience=settings.superlink.pending_seconds,
            orphaned=signal.SIGTERM,
        ),
        Program(
            name="proxy",
            command=proxy.command(folder),
            environment=environment,
            log=folder.logs / "proxy.log",
            ready=lambda: proxy.answers(settings.server.bound),
            alive=lambda: (
                "" if proxy.answers(settings.server.bound) else "its port does not answer"
            ),
            patience=30.0,
            orphaned=signal.SIGTERM,
        ),
    ]


def _superlink(folder: CoordinatorFolder) -> list[str]:
    return [
        *(sys.executable, "-m", "server.deployment.superlink"),
        "--host=127.0.0.1",
        f"--port={folder.settings().superlink.port}",
        f"--ssl-certfile={folder.loopback_certificate}",
        f"--ssl-keyfile={folder.loopback_key}",
        f"--ssl-ca-certfile={folder.authority}",
        "--enable-supernode-auth",
        f"--database={folder.database}",
        "--isolation=process",
        "--disable-runtime-dependency-installation",
        f"--superexec-auth-secret-file={folder.superexec_secret}",
    ]


def _superexec(folder: CoordinatorFolder) -> list[str]:
    return [
        _beside("flower-superexec"),
        f"--runtime-api-address=127.0.0.1:{folder.settings().superlink.port}",
        f"--root-certificates={folder.authority}",
        f"--superexec-auth-secret-file={folder.superexec_secret}",
    ]


def _environment(folder: CoordinatorFolder) -> Mapping[str, str]:
    found = flower_environment(folder.flower_home)
    found["FLWR_SUPEREXEC_TASK_POLL_INTERVAL"] = str(folder.settings().superlink.poll_seconds)
    found[COORDINATOR] = str(folder.path)
    # SuperExec looks for the ServerApp's program on PATH.
    found["PATH"] = os.pathsep.join([str(_bin()), found.get("PATH", os.defpath)])
    beside_the_proxies(found)
    return found


def _beside(program: str) -> str:
    return str(_bin() / program)


def _bin() -> Path:
    return Path(sys.executable).parent
