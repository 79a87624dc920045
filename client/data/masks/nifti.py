"""NIfTI-1 and NIfTI-2 masks, plain or gzipped; written to the public format's own description."""

from __future__ import annotations

import math
import struct
import zlib
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.slices import Geometry
from client.data.dicom.unusable import Unusable
from client.data.masks.grid import GridRegion, Plane
from client.data.masks.regions import ANY, NOWHERE, Mask

MAX_BYTES = 1 << 29
MAX_STRUCTURES = 255
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_TO_LPS = np.array([-1.0, -1.0, 1.0])  # NIfTI's axes point right and front, DICOM's left and back


def read_nifti(stream: IO[bytes], patients: tuple[str, ...]) -> list[Mask]:
    """Return one structure for each number in the voxels; of an empty mask one that is nowhere.

    Args:
        stream: the file.
        patients: whom the file may be of.

    Raises:
        Unusable: with the reason.
    """
    content = _content(stream)
    try:
        voxels, axes, origin = _parsed(content)
    except (struct.error, KeyError, ValueError):
        raise Unusable("damaged NIfTI file") from None
    values = np.unique(voxels)
    values = values[values != 0]
    if len(values) > MAX_STRUCTURES or (values != np.rint(values)).any():
        raise Unusable("a NIfTI image, not a mask")
    if not len(values):
        return [Mask(patients, ANY, "", NOWHERE)]
    return [
        Mask(patients, str(int(value)), "", _region(voxels == value, axes, origin))
        for value in values
    ]


def _content(stream: IO[bytes]) -> bytes:
    """Read the file, unpacked within a bound."""
    content = stream.read(MAX_BYTES + 1)
    if content[:2] == b"\x1f\x8b":
        machine = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            content = machine.decompress(content, MAX_BYTES + 1)
        except zlib.error:
            raise Unusable("damaged NIfTI file") from None
        if not machine.eof and len(content) <= MAX_BYTES:
            raise Unusable("truncated")
    if len(content) > MAX_BYTES:
        raise Unusable("too large when it is unpacked")
    return content


def _parsed(content: bytes) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Return voxels [x, y, z], the steps along each axis [3, 3] and the place of the first (LPS, mm)."""
    order: Literal["<", ">"] = "<" if content[:4] in (b"\x5c\x01\0\0", b"\x1c\x02\0\0") else ">"
    (size,) = struct.unpack_from(f"{order}i", content)
    if size == 348:
        dims = struct.unpack_from(f"{order}8h", content, 40)
        (kind,) = struct.unpack_from(f"{order}h", content, 70)
        pixdim = struct.unpack_from(f"{order}8f", content, 76)
        (offset,) = struct.unpack_from(f"{order}f", content, 108)
        qform, sform = struct.unpack_from(f"{order}2h", content, 252)
        quaternion = struct.unpack_from(f"{order}6f", content, 256)
        rows = struct.unpack_from(f"{order}12f", content, 280)
    elif size == 540:
        (kind,) = struct.unpack_from(f"{order}h", content, 12)
        dims = struct.unpack_from(f"{order}8q", content, 16)
        pixdim = struct.unpack_from(f"{order}8d", content, 104)
        (offset,) = struct.unpack_from(f"{order}q", content, 168)
        qform, sform = struct.unpack_from(f"{order}2i", content, 344)
        quaternion = struct.unpack_from(f"{order}6d", content, 352)
        rows = struct.unpack_from(f"{order}12d", content, 400)
    else:
        raise Unusable("not NIfTI")
    shape = dims[1:4]
    if not 3 <= dims[0] <= 7 or math.prod(dims[4 : dims[0] + 1]) != 1 or min(shape) < 1:
        raise Unusable("a NIfTI file that is not three-dimensional")
    dtype = np.dtype(_TYPES[kind]).newbyteorder(order)
    count = math.prod(shape)
    if not 0 <= offset <= len(content) or count * dtype.itemsize > len(content) - int(offset):
        raise Unusable("truncated")
    voxels = np.frombuffer(content, dtype, count, int(offset)).reshape(shape, order="F")
    if sform > 0:
        affine = np.array(rows, dtype=np.float64).reshape(3, 4)
    elif qform > 0:
        affine = _from_quaternion(quaternion, pixdim)
    else:
        raise Unusable("geometry missing: the NIfTI file does not say where it lies")
    axes = affine[:, :3].T * _TO_LPS
    return voxels, axes, affine[:, 3] * _TO_LPS


def _from_quaternion(
    quaternion: tuple[float, ...], pixdim: tuple[float, ...]
) -> NDArray[np.float64]:
    b, c, d, *origin = quaternion
    a = math.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    steps = np.array(pixdim[1:4]) * [1.0, 1.0, -1.0 if pixdim[0] < 0 else 1.0]
    return np.column_stack([turn * steps, origin])


def _region(
    inside: NDArray[np.bool_], axes: NDArray[np.float64], origin: NDArray[np.float64]
) -> GridRegion:
    """Return the voxels as planes: x grows with the columns, y with the rows."""
    lengths = np.linalg.norm(axes, axis=1)
    if not (np.isfinite(axes).all() and np.isfinite(origin).all() and (lengths > 1e-4).all()):
        raise Unusable("impossible geometry")
    across, down, through = axes / lengths[:, None]
    if max(abs(across @ down), abs(across @ through), abs(down @ through)) > 1e-3:
        raise Unusable("a NIfTI file with sheared axes")
    planes = [
        Plane(
            Geometry(origin + number * axes[2], across, down), np.packbits(inside[:, :, number].T)
        )
        for number in np.flatnonzero(inside.any(axis=(0, 1)))
    ]
    shape = inside.shape[1], inside.shape[0]
    return GridRegion(planes, shape, (float(lengths[1]), float(lengths[0])), float(lengths[2]))
