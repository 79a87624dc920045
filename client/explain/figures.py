"""The figures of one explained sample: pictures of images, bars of tables, curves of what runs over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from client.explain import drawings, pictures
from client.explain.fields import Fields
from client.explain.methods import METHODS
from client.explain.molecules import Molecule
from client.explain.page import Figure, svg

Floats = NDArray[np.float32]


def figures_of(
    stem: str, sample: Floats, found: dict[str, Floats], fields: Fields | None
) -> list[Figure]:
    """Return one figure a method; of an image the image itself first.

    Args:
        stem: of the files' names.
        sample: as the network sees it.
        found: values by method.
        fields: what columns mean; none: the sample is an image.
    """
    if fields is None:
        return _pictures(stem, sample, found)
    figures = []
    for name, values in found.items():
        method = METHODS[name]
        if sample.ndim == 1:
            drawn = drawings.bars(values, sample, fields, method.signed)
            content = svg("bars", drawn, method.signed)
        else:
            content = svg("curves", drawings.curves(method.shown(values), sample, fields))
        figures.append(Figure(f"{stem}-{name}.svg", method.title, method.reading, content))
    return figures


def of_atoms(name: str, values: Floats, molecule: Molecule) -> Floats:
    """Return what a method, by name, says of a molecule as what it says of its atoms, `[atoms]`."""
    if name == "occlusion":  # it takes away atoms
        return values
    return molecule.by_atom(values, additive=name == "integrated-gradients")


def molecule_figures(stem: str, found: dict[str, Floats], molecule: Molecule) -> list[Figure]:
    """Return one picture of the structure a method.

    Args:
        stem: of the files' names.
        found: values of the atoms by method.
        molecule: whose they are.

    Raises:
        DataError: it cannot be drawn.
    """
    figures = []
    for name, values in found.items():
        method = METHODS[name]
        content = molecule.picture(method.shown(values), signed=method.signed)
        figures.append(Figure(f"{stem}-{name}.png", method.title, method.reading, content))
    return figures


def _pictures(stem: str, sample: Floats, found: dict[str, Floats]) -> list[Figure]:
    volume = sample.ndim == 4
    middle = sample.shape[1] // 2 if volume else None
    seen = Figure(
        f"{stem}.png",
        "As the network sees it",
        "Before anything is laid over it.",
        pictures.plain(sample, middle),
    )
    figures = [seen]
    for name, values in found.items():
        method = METHODS[name]
        plane = pictures.strongest_plane(values) if volume else None
        where = (
            f" Plane {plane + 1} of {len(values)}, where it is most." if plane is not None else ""
        )
        content = pictures.overlaid(sample, method.shown(values), plane)
        figures.append(Figure(f"{stem}-{name}.png", method.title, method.reading + where, content))
    return figures
