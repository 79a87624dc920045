"""`consilium explain`: what of a case a run's final model answered to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.use import options

Inputs = Annotated[
    Path | None,
    typer.Argument(
        metavar="[INPUT]",
        help="Data of the study's kind, as for `consilium predict`; left out: the site's own data set.",
    ),
]
Cases = Annotated[
    list[str] | None,
    typer.Option(help="A case: the house's name, or the one in predictions.csv. Repeatable."),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        help="saliency, integrated-gradients, grad-cam, occlusion, attention. Repeatable; left out: all."
    ),
]
Target = Annotated[
    str | None, typer.Option(help="The class, finding, time, action or structure to explain.")
]


def explain(
    run: options.Run,
    inputs: Inputs = None,
    part: options.Parts = None,
    case: Cases = None,
    method: Methods = None,
    target: Target = None,
    out: Annotated[Path, typer.Option(help="Folder of the pages; new, or empty.")] = Path(
        "explanations"
    ),
    samples: Annotated[int, typer.Option(min=1, max=20, help="Of a case, at most.")] = 2,
    site: options.Folder = None,
    own_names: options.OwnNames = False,
    case_column: Annotated[str | None, typer.Option(help=options.CASE_COLUMN)] = None,
    points: options.Points = None,
    masks: options.Masks = None,
    records: options.Records = None,
    device: options.Device = "auto",
) -> None:
    """Show what a run's final model answered to in a case: pictures, curves or bars on a page.

    Nothing is sent anywhere, and no budget is spent: what is written stays in the house.
    """
    from client.explain.explainer import Order
    from client.explain.methods import require_methods
    from client.explain.page import FILE_NAME
    from client.explain.run import explain as run_explanation
    from client.site import load_site
    from client.training.workspace import choose_device
    from client.use.datasets import Beside
    from common.trained import load_trained

    order = Order(
        methods=require_methods(method or []),
        trained=load_trained(run),
        out=out,
        device=choose_device(device),
        cases=tuple(case or ()),
        target=target,
        samples=samples,
        site=None if site is None else load_site(site),
        own_names=own_names,
        beside=Beside(points, masks, records, case_column, tuple(part or ())),
    )
    outcome = run_explanation(order, inputs)
    if outcome.left_out.total:
        typer.echo(f"left out: {outcome.left_out.summary()}")
    typer.echo(f"{outcome.cases} cases explained: {out / FILE_NAME}")
