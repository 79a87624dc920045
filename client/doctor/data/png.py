"""Small grey and coloured pictures as PNG, for the page's thumbnails."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 96


def thumbnail(sample: NDArray[np.float32]) -> str:
    """Return a sample [C, H, W] or [C, D, H, W] as a data URI, made small; of layers the middle one is shown."""
    import numpy as np

    image = sample[:, sample.shape[1] // 2] if sample.ndim == 4 else sample
    planes = image if len(image) == 3 else image[len(image) // 2][None]
    step = max(1, -(-max(planes.shape[1:]) // SIDE))
    grey = np.clip((planes[:, ::step, ::step] + 1.0) * 127.5, 0, 255).astype(np.uint8)
    return "data:image/png;base64," + base64.b64encode(encoded(grey)).decode("ascii")


def encoded(planes: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of one or three planes [C, rows, columns]."""
    import numpy as np

    channels, rows, columns = planes.shape
    lines = planes.transpose(1, 2, 0).reshape(rows, columns * channels)
    raw = np.concatenate([np.zeros((rows, 1), np.uint8), lines], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0 if channels == 1 else 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
