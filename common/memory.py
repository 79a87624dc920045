"""Keeps freed memory in the process, so that every training step need not ask the system for it anew."""

from __future__ import annotations

import ctypes
from functools import cache

# Numbers of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
KEPT_BYTES = 1 << 30


@cache
def keep_freed_memory() -> None:
    """Tell glibc's allocator to reuse large blocks, before any thread has allocated; elsewhere do nothing.

    By default it maps every large block anew and gives it back when it is freed. The per-sample gradients of one
    step are hundreds of megabytes, and faulting them in again took longer than computing them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_ARENA_MAX, 1)
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
