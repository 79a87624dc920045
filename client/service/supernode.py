"""Starts Flower's stock SuperNode for a connection: `python -m client.service.supernode SITE --connection NAME`.

Flower's own code does the transport, TLS and the node's authentication. What is changed here, and why:

- It waits less between polls (`[service] poll_seconds`); stock, an idle SuperNode asks every 3 seconds.
- It tries again where the stock one ends, or drops a reply: an unknown key, a TLS fault, an error of the server.
- It ends when one of its threads died, where the stock one lives on without heartbeats; it is then started again.
- After a crash it signs the old node off; stock, a new one is refused for a minute.
- It forgets the message of a run that ended while it was fetched; stock, its task would keep the agent for ever.
- It tells the agent when it last reached the coordinator, and begins anew with a new agent (`client.service.pages`).

With the executor, this is the only module of a hospital that touches Flower's internals; `broken_by_flower` names what
another version of Flower changed.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from client.service.fleet import watched_client
from client.service.link import ContactLog, is_here, listening_host
from client.service.pages import with_pages
from client.service.remainders import tidying
from client.setup.tls import SiteTls
from client.site import Connection, load_site
from client.site_folder import SiteFolder
from common.errors import ConsiliumError, MachineError, StudyError
from common.flower_env import FLOWER_VERSION, flower_environment

REPLY_POLL_SECONDS = 0.02
"""How often the SuperNode looks for the agent's reply, in its own memory."""

_LONGEST_RETRY = 5  # seconds between tries to reach the coordinator
_FIRST_PULL_PAUSE = 0.05  # before asking again for a part of a message that is not there yet


class Clock:
    """Stands in for `time` in Flower's main loop, with shorter pauses.

    Args:
        idle: seconds between polls of the coordinator.
    """

    def __init__(self, idle: float) -> None:
        self._idle = idle

    def sleep(self, seconds: float) -> None:
        """Pause: Flower asks for 3 s between polls, and for 0.5 s while it waits for the agent."""
        time.sleep(self._idle if seconds >= 1 else min(seconds, REPLY_POLL_SECONDS))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def broken_by_flower() -> list[str]:
    """Return what this module relies on and the installed Flower does not have; nothing: all is there."""
    import inspect

    import flwr

    modules = _modules()
    loop = inspect.getsource(modules.loop)
    arguments = inspect.getsource(modules.command)
    pulls = inspect.signature(getattr(modules.loop, "pull_objects", lambda: None))
    relied_on = {
        f"its version is {FLOWER_VERSION}": flwr.__version__ == FLOWER_VERSION,
        "the main loop sleeps through its module's `time`": "time.sleep(3)" in loop,
        "pull_objects takes initial_backoff": "initial_backoff" in pulls.parameters,
        "the API is made by main.create_app": "create_app" in arguments
        and callable(getattr(modules.api, "create_app", None)),
        "calls go through FleetHttpClient._unary_unary": hasattr(
            getattr(modules.connection, "FleetHttpClient", None), "_unary_unary"
        ),
        "answers pass the hooks of the client's httpx.Client": "self._client = httpx.Client("
        in inspect.getsource(modules.http.ProtobufClient),
        "the API is made of a state_factory": "state_factory=state_factory" in arguments,
        "its state keeps tasks, their tokens, and messages": _keeps_tasks(modules.state),
        "messages are fetched by _pull_and_store_message": "run_id = _pull_and_store_message("
        in loop,
        "pauses grow to MAX_RETRY_DELAY": hasattr(modules.retry, "MAX_RETRY_DELAY"),
        **{f"it takes {each}": f'"{each}"' in arguments for each in ("--host", "--superlink")},
    }
    return [what for what, there in relied_on.items() if not there]


def _keeps_tasks(state: Any) -> bool:
    made = state.InMemoryNodeState(None)
    return all(hasattr(made, f"{each}_store") for each in ("task", "task_token", "msg"))


def _modules() -> SimpleNamespace:
    """Return Flower's modules whose names are looked at or replaced; it exports few of them."""
    return SimpleNamespace(
        loop=import_module("flwr.supernode.start_client_internal"),
        command=import_module("flwr.supernode.cli.flower_supernode"),
        connection=import_module("flwr.supernode.fleet_http_connection"),
        api=import_module("flwr.supernode.main"),
        retry=import_module("flwr.supercore.retry.http_retry"),
        state=import_module("flwr.supernode.nodestate.in_memory_nodestate"),
        http=import_module("flwr.supercore.protobuf.client"),
    )


def arguments_of(connection: Connection, folder: SiteFolder) -> list[str]:
    """Return the command line of the stock SuperNode; it names files, never secrets.

    Raises:
        StudyError: the runtime API would be plain HTTP beyond this machine.
    """
    host, _, port = connection.runtime.rpartition(":")
    chosen = ["--superlink", connection.server, "--isolation", "process"]
    chosen += ["--auth-supernode-private-key", str(folder.node_key)]
    chosen += ["--superexec-auth-secret-file", str(folder.superexec_secret)]
    chosen += ["--port", port]
    if connection.certificates is not None:
        chosen += ["--root-certificates", str(connection.certificates)]
    if connection.runtime_certificates is None:
        _only_here(host, folder)
        return [*chosen, "--host", host.strip("[]")]
    tls = SiteTls(folder)
    chosen += ["--ssl-certfile", str(tls.runtime.certificate)]
    chosen += ["--ssl-keyfile", str(tls.runtime.key)]
    chosen += ["--ssl-ca-certfile", str(connection.runtime_certificates)]
    return [*chosen, "--host", listening_host(host)]


def _only_here(host: str, folder: SiteFolder) -> None:
    if not is_here(host):
        raise StudyError(
            "The runtime API would send patients' gradients over the network in the clear.",
            where=f"{folder.path}/site.toml, [connection] runtime",
            fix="Set runtime_certificates to the authority of its certificate: .consilium/tls/ca.crt.",
        )


def launch(folder: SiteFolder, name: str) -> NoReturn:
    """Become the SuperNode of a connection, for ever.

    Raises:
        StudyError: there is no such connection.
        MachineError: a key is missing, the port is taken, or Flower is not the one that this was written for.
    """
    site = load_site(folder.path)
    if name not in site.connections:
        raise StudyError(
            f"The site has no connection '{name}'.",
            where=str(site.file),
            fix=f"It has: {', '.join(sorted(site.connections)) or 'none'}.",
        )
    connection = site.connections[name]
    for needed in (folder.node_key, folder.superexec_secret):
        if not needed.exists():
            raise MachineError(
                "A key of the site is missing.",
                where=str(needed),
                fix="Restore it from the site's backup, or make the site anew with 'consilium site init'.",
            )
    arguments = arguments_of(connection, folder)
    if problems := broken_by_flower():
        raise MachineError(
            f"The installed Flower is not the one this was written for; not so any more: {'; '.join(problems)}.",
            where="flwr",
            fix=f"Install it again: pip install flwr=={FLOWER_VERSION}.",
        )
    contacts = ContactLog(connection.server, _say)
    _prepare(
        contacts,
        folder.superexec_secret.read_bytes(),
        folder.running / f"{name}.node",
        site.service.poll_seconds,
    )
    _run(["flower-supernode", *arguments], connection)


def _prepare(contacts: ContactLog, secret: bytes, node_file: Path, idle: float) -> None:
    """Change what is to be changed in Flower's modules."""
    modules = _modules()
    modules.loop.time = Clock(idle)
    modules.loop.pull_objects = partial(
        modules.loop.pull_objects, initial_backoff=_FIRST_PULL_PAUSE
    )
    modules.loop._pull_and_store_message = tidying(modules.loop._pull_and_store_message)
    modules.retry.MAX_RETRY_DELAY = _LONGEST_RETRY
    modules.connection.FleetHttpClient = watched_client(contacts, node_file)
    modules.api.create_app = with_pages(modules.api.create_app, contacts, secret, _begin_anew)
    threading.excepthook = _end_with_thread


def _run(command: list[str], connection: Connection) -> NoReturn:
    """Run Flower's own entry point, and end when it ends, whatever threads it leaves."""
    sys.argv = command
    code = 1
    try:
        _modules().command.flower_supernode()
        _say("Flower's main loop ended")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except RuntimeError as error:
        _say(f"The runtime API cannot listen on {connection.runtime}: {error}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_with_thread(died: threading.ExceptHookArgs) -> None:
    thread = died.thread.name if died.thread else "a thread"
    _say(f"{thread} died of {died.exc_type.__name__}: {died.exc_value}; the SuperNode ends")
    os._exit(1)


def _begin_anew() -> None:
    _say("the agent was started again and left a task behind; the SuperNode begins anew")
    os._exit(0)


def _say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)


def main() -> None:
    """Read the command line and start."""
    parser = argparse.ArgumentParser(prog="client.service.supernode")
    parser.add_argument("site", type=Path)
    parser.add_argument("--connection", default="default")
    given = parser.parse_args()
    folder = SiteFolder(given.site.resolve())
    os.environ.update(flower_environment(folder.flower_home))
    try:
        launch(folder, given.connection)
    except ConsiliumError as error:
        _say(f"error: {error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
