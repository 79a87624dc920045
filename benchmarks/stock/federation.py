"""Starts stock Flower with TLS, node keys and SQLite, and times rounds over it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from common.flower_env import flower_environment
from common.keys import make_node_key
from simulations.rehearsal.processes import free_ports, wait_until

BIN = Path(sys.executable).parent
APP = {
    "project": {"name": "stock", "version": "1.0.0", "description": "", "license": "Apache-2.0"},
    "tool": {
        "flwr": {
            "app": {
                "publisher": "bench",
                "fab-include": ["README.md"],
                "components": {
                    "serverapp": "benchmarks.stock.apps:server",
                    "clientapp": "benchmarks.stock.apps:client",
                },
                "config": {"rounds": 1, "sites": 2, "tensors": 1, "values": 1, "result": ""},
            }
        }
    },
}


@dataclass(frozen=True)
class Stock:
    """A running stock federation.

    Attributes:
        folder: its files.
        environment: of its commands.
        sites: how many there are.
    """

    folder: Path
    environment: dict[str, str]
    sites: int

    def rounds(self, count: int, tensors: int, values: int) -> list[float]:
        """Run rounds of `values` float32 in `tensors` arrays; return the seconds of each."""
        result = self.folder / f"seconds-{tensors}-{values}-{time.time_ns()}.json"
        settings = (
            f'rounds={count} sites={self.sites} tensors={tensors} values={values} result="{result}"'
        )
        self._flwr("run", str(self.folder / "app"), "bench", "--run-config", settings)
        end = time.monotonic() + 900
        while not result.exists():
            if time.monotonic() > end:
                raise RuntimeError("the stock run did not end")
            time.sleep(0.5)
        time.sleep(0.2)
        seconds: list[float] = json.loads(result.read_text())
        return seconds

    def answers(self) -> bool:
        """Whether the SuperLink answers."""
        self._flwr("supernode", "list", "bench")
        return True

    def _flwr(self, *arguments: str) -> None:
        done = subprocess.run(
            [str(BIN / "flwr"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(done.stdout + done.stderr)


@contextmanager
def stock(folder: Path, sites: int, tls: Path) -> Iterator[Stock]:
    """Start a SuperLink and SuperNodes as their documentation says; stop them at the end.

    Args:
        folder: a new folder for their files.
        sites: number of SuperNodes.
        tls: folder with ca.crt, server.crt and server.key for 127.0.0.1.
    """
    link, *runtimes = free_ports(1 + sites)
    home = folder / "home"
    (folder / "app").mkdir(parents=True)
    home.mkdir()
    (folder / "app" / "README.md").write_text("stock\n")
    (folder / "app" / "pyproject.toml").write_text(tomli_w.dumps(APP))
    address = f"127.0.0.1:{link}"
    reached = {"address": address, "root-certificates": str(tls / "ca.crt")}
    (home / "config.toml").write_text(
        tomli_w.dumps({"superlink": {"default": "bench", "bench": reached}})
    )
    environment = flower_environment(home) | {
        "PYTHONPATH": os.getcwd(),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    running = Stock(folder, environment, sites)
    with ExitStack() as stack:

        def start(*command: str) -> None:
            log = stack.enter_context((folder / f"{command[0]}-{time.time_ns()}.log").open("ab"))
            process = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)

        start(
            *("flower-superlink", "--host", "127.0.0.1", "--port", str(link)),
            *("--ssl-certfile", str(tls / "server.crt"), "--ssl-keyfile", str(tls / "server.key")),
            *("--ssl-ca-certfile", str(tls / "ca.crt"), "--enable-supernode-auth"),
            *(
                "--database",
                str(folder / "superlink.db"),
                "--disable-runtime-dependency-installation",
            ),
        )
        wait_until(running.answers, "The stock SuperLink's start", 60)
        for number, runtime in enumerate(runtimes, start=1):
            key = folder / f"node{number}"
            make_node_key(key, key.with_suffix(".pub"), "bench")
            name = f"hospital-{number}"
            running._flwr(
                "supernode", "register", str(key.with_suffix(".pub")), "bench", "--name", name
            )
            start(
                *(
                    "flower-supernode",
                    "--superlink",
                    address,
                    "--root-certificates",
                    str(tls / "ca.crt"),
                ),
                *("--auth-supernode-private-key", str(key)),
                *("--host", "127.0.0.1", "--port", str(runtime)),
            )
        yield running
