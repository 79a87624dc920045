"""`consilium sample`: new images from a run's final model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sample(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of image synthesis.")],
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Images of each class.")] = 16,
    of_class: Annotated[str | None, typer.Option("--class", help="Draw this class only.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the images; new, or empty.")] = Path(
        "samples"
    ),
    site: Annotated[
        Path | None,
        typer.Option(help="The site's folder: compare the images with its patients'."),
    ] = None,
    steps: Annotated[int, typer.Option(min=2, max=1000, help="Of the sampler.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same images.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Draw new images with a run's final model: pictures and an array.

    With --site they are compared with the site's own images, which never leave; what is found stays in the house.
    """
    from client.site import load_site
    from client.synthesis.sample import PICTURE, Order
    from client.synthesis.sample import sample as draw
    from client.training.workspace import choose_device
    from common.trained import load_trained

    order = Order(
        trained=load_trained(run),
        out=out,
        device=choose_device(device),
        count=count,
        of_class=of_class,
        steps=steps,
        seed=seed,
        site=None if site is None else load_site(site),
    )
    outcome = draw(order)
    for line in outcome.lines:
        typer.echo(line)
    typer.echo(f"{outcome.images} images: {out / PICTURE}")
