"""Reads NumPy's file format from several threads.

The format's header is Python text. CPython up to 3.11 counts the depth of its parser for all threads together, so that
two of them parsing at once may end in a SystemError that has nothing to do with the file.
"""

from __future__ import annotations

import threading

ONE_AT_A_TIME = threading.Lock()
"""Held while an array is read from a file or from bytes."""
