"""The running server of a coordinator: its programs, supervised, and what is told about them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from common.certificates import describe
from common.supervise import Supervisor, run_in_foreground
from server.deployment import proxy
from server.deployment.config import split_address
from server.deployment.folder import CoordinatorFolder
from server.deployment.init import SOON_DAYS
from server.deployment.keeper import Keeper
from server.deployment.metrics import Metrics, serve
from server.deployment.programs import programs
from server.deployment.pulse import Pulse


def run_server(folder: CoordinatorFolder, metrics: str | None, say: Callable[[str], None]) -> None:
    """Run the server until a signal ends it.

    Args:
        folder: the coordinator's.
        metrics: host:port of the Prometheus page; None: as server.toml says.
        say: told one line a change.

    Raises:
        RunError: it runs already.
        MachineError: nginx or a certificate cannot be used.
    """
    proxy.write_config(folder)
    proxy.check(folder)
    warn_of_expiry(folder, say)
    pulse = Pulse(folder)
    supervisor = Supervisor(programs(folder, pulse), folder.lock, say)
    page = metrics or folder.settings().server.metrics
    with ExitStack() as stack:
        if page is not None:
            stack.enter_context(serve(split_address(page), Metrics(folder, pulse, supervisor)))
        stack.enter_context(pulse)
        stack.enter_context(Keeper(folder, pulse, say))
        run_in_foreground(supervisor)


def warn_of_expiry(folder: CoordinatorFolder, say: Callable[[str], None]) -> None:
    """Say so when a certificate expires soon, or has."""
    for path in (folder.certificate, folder.authority):
        found = describe(path)
        if found.days_left < 0:
            say(
                f"{path.name} expired on {found.expires:%Y-%m-%d}: no hospital can connect; renew it"
            )
        elif found.days_left < SOON_DAYS:
            say(f"{path.name} expires in {found.days_left} days: run 'consilium server renew'")
