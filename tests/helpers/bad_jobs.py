"""Jobs for worker processes: some answer, some crash, hang or want too much."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from client.data.dicom.unusable import Unusable
from client.data.workers.wire import Answer


def do(job: tuple[str, int]) -> Answer:
    """Do what the job says."""
    what, number = job
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        time.sleep(1000)
    if what == "unusable":
        raise Unusable("a reason")
    if what == "gone":
        Path("/nowhere/zz-1").read_bytes()
    if what == "bomb":
        np.ones(1 << 40)
    if what == "odd":
        raise BaseException("zz-1 in a message")
    if what == "print":
        os.write(1, b"a library talks to the terminal\n" * 3)
    return Answer([number, what], [np.full((2, number), number, np.float32), np.arange(number)])
