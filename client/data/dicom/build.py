"""Makes samples: reads the slices of a cut, resamples them in the plane and joins them to layers."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from client.data.dicom.cut import Cut, Part
from client.data.dicom.display import shown
from client.data.dicom.draw import grid
from client.data.dicom.pixels import coloured, rescaled
from client.data.dicom.resample import Image, Patch, Region, patch, windowed
from client.data.dicom.slices import Slice
from client.data.dicom.unusable import Unusable
from client.data.files import Reader
from client.data.quarantine import QuarantineLog
from common.data_spec import ImageSpec

AIR_HU = -1000.0
_Key = tuple[str, str | None, int]
_Read = tuple[_Key, Region | None]


class Builder:
    """Makes the samples of a study; keeps the last images, because stacks share slices."""

    def __init__(self, spec: ImageSpec, reader: Reader, log: QuarantineLog) -> None:
        self._spec = spec
        self._reader = reader
        self._log = log
        self._images: OrderedDict[_Read, Image] = OrderedDict()
        self._unreadable: set[_Key] = set()
        self._colours = 3 if spec.colour == "rgb" else 1
        self._pad = _pad(spec)

    def sample(self, cut: Cut) -> Image | None:
        """Return a sample in [-1, 1] of the study's shape; none if a slice of it cannot be read."""
        size = cut.turn.size(self._spec.image_size)
        layers = np.zeros((len(cut.layers), self._colours, *size), dtype=np.float32)
        for part, uses in _by_slice(cut).values():
            cut_out = self._patch(part, size)
            if cut_out is None:
                return None
            for number, weight in uses:
                layers[number] += cut_out if weight == 1.0 else cut_out * np.float32(weight)
        for number, layer in enumerate(cut.layers):
            lack = 1.0 - sum(part.weight for part in layer.parts)
            if lack > 1e-6:
                layers[number] += np.float32(lack * self._pad)
        if self._spec.intensity == "window":
            layers = windowed(layers, self._spec.window_centre, self._spec.window_width)
        turned = cut.turn.of(layers)
        ordered = turned.swapaxes(0, 1) if self._spec.depth is not None else turned
        return ordered.reshape(self._spec.input_shape)

    def _patch(self, part: Part, size: tuple[int, int]) -> Image | None:
        """Return the patch [colours, rows, columns] of a slice; none if it cannot be read."""
        made = patch(*grid(part, size, self._spec), size, part.slice.shape)
        image = self._image(part.slice, made)
        if image is None:
            return None
        return np.stack([made.of(plane, self._pad) for plane in image])

    def _image(self, found: Slice, wanted: Patch) -> Image | None:
        """Return the pixels [colours, rows, columns] that a patch touches, read or remembered.

        What must be decoded is decoded as a whole and remembered so: other patches may need it.
        """
        key = (found.file.path, found.file.member, found.frame)
        if key in self._unreadable:
            return None
        region = wanted.region if found.native is not None else None
        if (key, region) not in self._images:
            image = self._read(found, region)
            if image is None:
                self._unreadable.add(key)
                return None
            self._images[key, region] = image
            if len(self._images) > self._spec.planes + 1:
                self._images.popitem(last=False)
        self._images.move_to_end((key, region))
        image = self._images[key, region]
        if region is not None:
            return image
        inside = wanted.region
        return image[:, inside.top : inside.bottom, inside.left : inside.right]

    def _read(self, found: Slice, region: Region | None) -> Image | None:
        try:
            if found.colour and self._spec.colour == "rgb":
                image = coloured(found, self._reader, region)
            else:
                image = rescaled(found, self._reader, region)
            if self._spec.intensity == "voi":
                image = shown(image, found, self._reader)
        except Unusable as reason:
            self._log.add(found.file.name, str(reason))
            return None
        except OSError:
            self._log.add(found.file.name, "cannot be read")
            return None
        planes = image.transpose(2, 0, 1) if image.ndim == 3 else image[None]
        return np.broadcast_to(planes, (self._colours, *planes.shape[1:]))


def _pad(spec: ImageSpec) -> float:
    """Return the value outside the image: air, or the darkest there is."""
    if spec.intensity == "voi":
        return -1.0
    return AIR_HU if spec.modality == "CT" else spec.window_centre - spec.window_width / 2.0


def _by_slice(cut: Cut) -> dict[int, tuple[Part, list[tuple[int, float]]]]:
    """Collect in which layers, and with what weight, each slice is used."""
    found: dict[int, tuple[Part, list[tuple[int, float]]]] = {}
    for number, layer in enumerate(cut.layers):
        for part in layer.parts:
            found.setdefault(id(part.slice), (part, []))[1].append((number, part.weight))
    return found
