"""A phantom of the chest around one candidate point: parenchyma, vessels, chest wall, one nodule.

Volumes are float32 Hounsfield units (Z, Y, X); positions are millimetres (z, y, x) in the volume's own
frame. The two classes share density, size and place by construction. What tells them apart is
what radiologists look at: benign nodules have a smooth edge and an even (or calcified) inside,
malignant ones radiate spicules, bulge in lobes and are uneven inside. Every nodule has a
*character* from 0 (textbook benign) to 1 (textbook malignant); the classes overlap in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Volume = NDArray[np.float32]
Vector = NDArray[np.float64]

AIR_HU = -1000.0
LUNG_HU = -860.0
SOFT_HU = 40.0
FAT_HU = -90.0


@dataclass(frozen=True)
class Grid:
    """Where the voxels lie. Sizes in voxels, spacings in mm.

    Attributes:
        slices, size: the volume is (slices, size, size).
        spacing, thickness: in-plane and between slices, mm.
    """

    slices: int
    size: int
    spacing: float
    thickness: float

    @property
    def steps(self) -> Vector:
        """Voxel edge lengths (z, y, x) in mm."""
        return np.array([self.thickness, self.spacing, self.spacing])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y and x."""
        return (self.slices, self.size, self.size)

    @property
    def extent(self) -> Vector:
        """The last voxel's position in mm."""
        return (np.array(self.shape) - 1) * self.steps


@dataclass(frozen=True)
class Nodule:
    """One nodule, in the volume's frame.

    Attributes:
        centre: (z, y, x) in mm.
        radius: mm.
        character: 0 textbook benign to 1 textbook malignant.
        density: mean Hounsfield units inside.
        calcified: the core holds calcium (benign pattern).
    """

    centre: Vector
    radius: float
    character: float
    density: float
    calcified: bool


def soft(distance: Volume | Vector, width: float) -> NDArray[np.float32]:
    """Partial volume: 1 well inside (negative distance, mm), 0 well outside, smooth over `width`."""
    return (1.0 / (1.0 + np.exp(np.clip(distance / width, -30.0, 30.0)))).astype(np.float32)


def points(grid: Grid, box: tuple[slice, slice, slice]) -> tuple[Vector, Vector, Vector]:
    """Broadcastable (z, y, x) coordinates in mm of the voxels in `box`."""
    z, y, x = (
        np.arange(part.start, part.stop) * step for part, step in zip(box, grid.steps, strict=True)
    )
    return z[:, None, None], y[None, :, None], x[None, None, :]


def box_around(grid: Grid, low: Vector, high: Vector) -> tuple[slice, slice, slice]:
    """Voxels between two corners in mm, cut to the volume; may be empty."""
    first = np.clip(np.floor(low / grid.steps), 0, grid.shape).astype(int)
    last = np.clip(np.ceil(high / grid.steps) + 1, 0, grid.shape).astype(int)
    z, y, x = (slice(int(a), int(max(a, b))) for a, b in zip(first, last, strict=True))
    return z, y, x


def parenchyma(grid: Grid, rng: np.random.Generator, mean: float = LUNG_HU) -> Volume:
    """Air-filled lung with its fine and coarse unevenness."""
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    fine = gaussian_filter(noise, (0.0, 1.5 / grid.spacing, 1.5 / grid.spacing), mode="wrap")
    coarse = gaussian_filter(noise[:, ::-1], (0.5, 4 / grid.spacing, 4 / grid.spacing), mode="wrap")
    field = 22.0 * fine / fine.std() + 18.0 * coarse / coarse.std()
    lung: Volume = (mean + rng.normal(0.0, 15.0) + field).astype(np.float32)
    return lung


def add_vessels(volume: Volume, grid: Grid, rng: np.random.Generator, trees: int) -> None:
    """Branching tubes (in place): bright lines and dots that look like spicules to a short filter."""
    for _ in range(trees):
        start = rng.uniform(0.0, 1.0, 3) * grid.extent
        heading = rng.standard_normal(3)
        heading[0] *= 0.35
        _branch(volume, grid, rng, start, _unit(heading), rng.uniform(1.0, 2.4), 3)


def _branch(
    volume: Volume,
    grid: Grid,
    rng: np.random.Generator,
    start: Vector,
    heading: Vector,
    radius: float,
    depth: int,
) -> None:
    end = start + heading * rng.uniform(10.0, 22.0)
    add_tube(volume, grid, start, end, radius, SOFT_HU - rng.uniform(0.0, 90.0))
    if depth == 1:
        return
    for _ in range(2 if rng.random() < 0.6 else 1):
        bend = rng.standard_normal(3) * np.array([0.2, 0.5, 0.5])
        child = _unit(heading + bend)
        _branch(volume, grid, rng, end, child, radius * rng.uniform(0.6, 0.85), depth - 1)


def add_tube(
    volume: Volume,
    grid: Grid,
    start: Vector,
    end: Vector,
    radius: float,
    hu: float,
    tip: float = 1.0,
) -> None:
    """A straight tube (in place) whose radius goes from `radius` to `radius * tip` at its end, mm."""
    margin = radius + 2.0
    box = box_around(grid, np.minimum(start, end) - margin, np.maximum(start, end) + margin)
    z, y, x = points(grid, box)
    axis = end - start
    length = float(np.linalg.norm(axis)) + 1e-9
    dz, dy, dx = z - start[0], y - start[1], x - start[2]
    along = np.clip((dz * axis[0] + dy * axis[1] + dx * axis[2]) / length**2, 0.0, 1.0)
    away = np.sqrt(
        (dz - along * axis[0]) ** 2 + (dy - along * axis[1]) ** 2 + (dx - along * axis[2]) ** 2
    )
    mask = soft(away - radius * (1.0 + (tip - 1.0) * along), 0.35)
    part = volume[box]
    part += mask * np.maximum(hu - part, 0.0)


def add_wall(volume: Volume, grid: Grid, centre: Vector, angle: float, distance: float) -> None:
    """Pleura, muscle and fat beyond a curved front `distance` mm from `centre` at `angle` (in place)."""
    curvature = 70.0
    _, y, x = points(grid, box_around(grid, np.zeros(3), grid.extent))
    middle = centre[1:] + (distance - curvature) * np.array([np.sin(angle), np.cos(angle)])
    depth = np.hypot(y - middle[0], x - middle[1]) - curvature
    muscle = soft(-depth, 0.5)
    fat = soft(14.0 - depth, 1.5)
    tissue = SOFT_HU + (FAT_HU - SOFT_HU) * fat
    volume += muscle * (tissue - volume)


def add_nodule(
    volume: Volume, grid: Grid, nodule: Nodule, rng: np.random.Generator, grain: float = 1.1
) -> NDArray[np.bool_]:
    """Draw the nodule (in place): its body, mottled at a scale of `grain` mm, then what radiates from it.

    Returns:
        the voxels of its body.
    """
    directions = _flat_directions(rng, 16)
    reach = nodule.radius * 1.8 + 4.0
    box = box_around(grid, nodule.centre - reach, nodule.centre + reach)
    z, y, x = points(grid, box)
    dz, dy, dx = z - nodule.centre[0], y - nodule.centre[1], x - nodule.centre[2]
    stretch = rng.uniform(0.85, 1.18, 3)
    stretch /= np.cbrt(stretch.prod())
    away = np.sqrt((dz / stretch[0]) ** 2 + (dy / stretch[1]) ** 2 + (dx / stretch[2]) ** 2)
    lobes = _lobes(dz, dy, dx, away, directions[:6], rng)
    edge = away - nodule.radius * (0.96 + nodule.character * (0.34 * lobes - 0.16))
    mask = soft(edge, 0.45)
    part = volume[box]
    part += mask * (nodule.density + _inside(away, nodule, grid, rng, grain) - part)
    _add_spicules(volume, grid, nodule, directions, rng)
    body = np.zeros(grid.shape, dtype=np.bool_)
    body[box] = mask > 0.5
    return body


def _lobes(
    dz: Vector, dy: Vector, dx: Vector, away: Vector, directions: Vector, rng: np.random.Generator
) -> Vector:
    """How far the edge bulges towards each of a few directions, 0 to 1."""
    bulge = np.zeros(np.broadcast_shapes(dz.shape, dy.shape, dx.shape))
    for towards in directions:
        cosine = (dz * towards[0] + dy * towards[1] + dx * towards[2]) / (away + 1e-6)
        bulge = np.maximum(bulge, rng.uniform(0.5, 1.0) * np.exp(7.0 * (cosine - 1.0)))
    return bulge


def _inside(
    away: Vector, nodule: Nodule, grid: Grid, rng: np.random.Generator, grain: float
) -> Volume:
    """Hounsfield units to add to the mean density: mottle, or a calcified core; both sum to about 0."""
    noise = rng.standard_normal(away.shape, dtype=np.float32)
    mottle = gaussian_filter(noise, (0.3, grain / grid.spacing, grain / grid.spacing), mode="wrap")
    mottle *= (20.0 + 210.0 * nodule.character) / (mottle.std() + 1e-6)
    if nodule.calcified:
        core = soft(away - 0.45 * nodule.radius, 0.6)
        mottle += 260.0 * (core - 0.12)
    added: Volume = mottle.astype(np.float32)
    return added


def _add_spicules(
    volume: Volume, grid: Grid, nodule: Nodule, directions: Vector, rng: np.random.Generator
) -> None:
    """Thin strands from the edge outward; a textbook benign nodule has none."""
    count = round(len(directions) * max(nodule.character - 0.1, 0.0))
    for towards in directions[:count]:
        start = nodule.centre + towards * nodule.radius * 0.7
        length = nodule.radius * rng.uniform(0.6, 1.2) + 2.0
        width = rng.uniform(0.5, 0.9)
        add_tube(volume, grid, start, start + towards * length, width, nodule.density - 100, 0.4)


def _flat_directions(rng: np.random.Generator, count: int) -> Vector:
    """Unit vectors all round, near the slice plane so that thick slices still show them."""
    angles = np.sort(rng.uniform(0.0, 2 * np.pi, count))
    angles = 0.5 * angles + 0.5 * (np.arange(count) + rng.random()) * 2 * np.pi / count
    lift = rng.normal(0.0, 0.35, count)
    vectors = np.stack([lift, np.sin(angles), np.cos(angles)], axis=1)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rng.permutation(directions)


def _unit(vector: Vector) -> Vector:
    return vector / (np.linalg.norm(vector) + 1e-9)
