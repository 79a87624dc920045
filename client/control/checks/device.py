"""Is the device that the site computes with still there?"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from client.control.health import Reason


class DeviceCheck:
    """Looks for the device that site.toml names, or for the GPU that `auto` once found.

    A process without torch has computed nothing yet; it is then left to the first task to load it.

    Args:
        configured: auto, cpu, cuda, cuda:N or mps.
    """

    def __init__(self, configured: str) -> None:
        self._configured = configured
        self._most = 0

    def reasons(self) -> Iterator[Reason]:
        """Say when a GPU is gone."""
        if "torch" not in sys.modules or self._configured in ("cpu", "mps"):
            return
        problem = lost_gpu(self._index())
        count = 0 if problem else gpus()
        self._most = max(self._most, count)
        wanted = self._most if self._configured == "auto" else self._index() + 1
        if problem or count < wanted:
            yield Reason(
                "device",
                f"The GPU '{self._configured}' cannot be used: "
                f"{problem or f'the driver shows {count}, {wanted} are needed'}.",
                "See what 'nvidia-smi' says; when the driver is back, start the service again. To go on without it, "
                'set [compute] device = "cpu".',
            )

    def _index(self) -> int:
        _, _, number = self._configured.partition(":")
        return int(number or 0)


def gpus() -> int:
    """Return how many GPUs the driver shows, without claiming memory on any."""
    import torch

    return int(torch.cuda.device_count())


def lost_gpu(index: int) -> str:
    """Return why a GPU that this process works with no longer answers; empty when it does, or none is in use."""
    import torch

    if not torch.cuda.is_initialized():
        return ""
    try:
        torch.cuda.mem_get_info(index)
    except Exception as error:  # whatever the driver raises, the device is of no use
        return str(error).strip().splitlines()[0].rstrip(".")
    return ""
