"""Draws new images with a run's final model, writes them, and compares them with a site's own."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from client.data.cohort import Cohort, Role
from client.doctor.data.look import StudyLook, secret_of
from client.doctor.data.png import encoded
from client.site import Site
from client.site_folder import SiteFolder
from client.synthesis.compare import Comparison, compare
from client.synthesis.groups import Group, Images, Numbers
from client.use.writing import make_folder
from common import diffusion
from common.errors import StudyError
from common.files import write_atomically
from common.privacy.noise import SecureRandom
from common.tasks.synthesis import Synthesis
from common.trained import Trained

PICTURE, ARRAY, FOUND = "samples.png", "samples.npz", "comparison.json"
BATCH = 64
SIDE = 84
"""Pixels that an image's longer side has at least in the picture."""
OPEN = "note: the model was trained without privacy: its images may show patients. Keep them in the house."
OTHER_SPLIT = (
    "note: the site has no secret, as a generated hospital: other patients are held out here than were in training, "
    "so nearness to them says nothing."
)
DECLARED_SPLIT = "note: who is held out stands in the data; where that was not drawn by lot, nearness says little."


@dataclass(frozen=True)
class Order:
    """What is wanted.

    Attributes:
        trained: the model.
        out: folder of the images, new or empty.
        device: where the network runs.
        count: images of each class.
        of_class: the only class to draw; none: all.
        steps: of the sampler.
        seed: of the noise that the images are drawn from.
        site: whose images they are compared with; none: nobody's.
    """

    trained: Trained
    out: Path
    device: torch.device
    count: int = 16
    of_class: str | None = None
    steps: int = 50
    seed: int = 1
    site: Site | None = None


@dataclass(frozen=True)
class Outcome:
    """How many images were drawn, and what there is to say of them."""

    images: int
    lines: tuple[str, ...]


def sample(order: Order) -> Outcome:
    """Draw images and write `samples.png` and `samples.npz`; with a site also `comparison.json`.

    Raises:
        StudyError: the run is of another task, or has no such class.
        DataError: the folder is not empty, or the site's data cannot be used.
        MachineError: the results cannot be written.
    """
    numbers = _numbers(_task_of(order.trained), order.of_class)
    make_folder(order.out)
    classes = np.repeat(np.array(numbers, dtype=np.int64), order.count)
    images = draw(order, classes)
    own = Group(images, np.maximum(classes - 1, 0), np.arange(len(images)))
    lines = [] if order.trained.study.privacy.enabled else [OPEN]
    found = None
    if (
        order.site is not None
    ):  # before anything is written: what cannot be compared leaves the folder empty
        found, notes = _compared(order, own, order.site)
        lines += [*notes, *found.lines()]
    _write(order, own, found)
    return Outcome(len(images), tuple(lines))


def _write(order: Order, drawn: Group, found: Comparison | None) -> None:
    write_atomically(order.out / PICTURE, encoded(_sheet(drawn.images, order.count)))
    content = io.BytesIO()
    np.savez_compressed(content, images=drawn.images, labels=drawn.labels)
    write_atomically(order.out / ARRAY, content.getvalue())
    if found is not None:
        write_atomically(order.out / FOUND, json.dumps(asdict(found), indent=2) + "\n")


def draw(order: Order, classes: Numbers) -> Images:
    """Return one image of each class number, `[N, C, H, W]` float32 in [-1, 1]."""
    shape = tuple(order.trained.study.data.model_shape)
    network = order.trained.network.to(order.device).eval()
    normal = SecureRandom.fixed(order.seed, "sample").normal(len(classes) * int(np.prod(shape)))
    noise = torch.from_numpy(normal).float().reshape(-1, *shape)
    found = []
    with torch.inference_mode():
        for start in range(0, len(classes), BATCH):
            part = slice(start, start + BATCH)
            told = torch.from_numpy(classes[part]).to(order.device)
            made = diffusion.drawn(network, noise[part].to(order.device), told, order.steps)
            found.append(made.float().cpu())
    return torch.cat(found).numpy()


def _task_of(trained: Trained) -> Synthesis:
    task = getattr(trained.task, "whole", trained.task)  # under the figures by subgroup
    if isinstance(task, Synthesis):
        return task
    raise StudyError(
        f"The run is of task '{trained.study.task.name}', which draws no images.",
        where="[task] name",
        fix="Name the folder of a run whose study has task 'synthesis'.",
    )


def _numbers(task: Synthesis, of_class: str | None) -> list[int]:
    """Return the class numbers that the network is told."""
    names = task.classes or ()
    if of_class is None:
        return [number + 1 for number in range(len(names))] or [diffusion.CLASS_FREE]
    if of_class in names:
        return [names.index(of_class) + 1]
    raise StudyError(
        f"The study has no class '{of_class}'.",
        where="--class",
        fix=f"Its classes: {', '.join(names)}." if names else "Its images have no classes.",
    )


def _compared(order: Order, drawn: Group, site: Site) -> tuple[Comparison, list[str]]:
    """Compare with the site's patients; of a class alone with its patients alone."""
    folder = SiteFolder(site.folder)
    cohort = StudyLook(order.trained.study).prepare(site, folder)
    sides = (_side(cohort, role, drawn, order.of_class is not None) for role in ("train", "test"))
    found = compare(drawn, *sides, seed=order.seed, device=order.device)
    if cohort.split_id == "declared":
        return found, [DECLARED_SPLIT]
    return found, [OTHER_SPLIT] if secret_of(folder) is None else []


def _side(cohort: Cohort, role: Role, drawn: Group, one_class: bool) -> Group:
    rows = cohort.rows(role)
    if one_class:
        rows = rows[cohort.targets[rows] == drawn.labels[0]]
    labels = cohort.targets[rows].astype(np.int64)
    return Group(np.asarray(cohort.inputs[rows]), labels, cohort.patient[rows])


def _sheet(images: Images, columns: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Return images side by side, `[1 or 3, rows, columns]`; each made larger by a whole number."""
    shown = images if images.shape[1] == 3 else images[:, images.shape[1] // 2][:, None]
    times = max(1, -(-SIDE // max(shown.shape[2:])))
    grey = np.clip((shown + 1.0) * 127.5, 0, 255).astype(np.uint8)
    grey = np.pad(grey.repeat(times, 2).repeat(times, 3), ((0, 0), (0, 0), (1, 1), (1, 1)))
    width = min(columns, 16)
    rows = -(-len(grey) // width)
    filled = np.zeros((rows * width, *grey.shape[1:]), np.uint8)
    filled[: len(grey)] = grey
    _, planes, high, wide = filled.shape
    grid = filled.reshape(rows, width, planes, high, wide).transpose(2, 0, 3, 1, 4)
    return grid.reshape(planes, rows * high, width * wide)
