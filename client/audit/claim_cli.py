"""`consilium audit claim`."""

from __future__ import annotations

from typing import Annotated

import typer

from client.audit.options import AsJson, Html


def claim(
    sampler: Annotated[
        str, typer.Option(help="How batches were drawn: poisson, shuffled or fixed.")
    ],
    sigma: Annotated[float, typer.Option(help="Noise multiplier, in units of the clip norm.")],
    delta: Annotated[float, typer.Option(help="δ of the figures.")],
    q: Annotated[str | None, typer.Option("--q", help="Sampling rate: 1/50 or 0.02.")] = None,
    n: Annotated[int | None, typer.Option("--n", help="Units (patients) in the data.")] = None,
    batch: Annotated[int | None, typer.Option(help="(Expected) units in a batch.")] = None,
    steps: Annotated[int | None, typer.Option(help="Noisy steps in all.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Epochs, instead of steps.")] = None,
    max_batch: Annotated[
        int | None, typer.Option(help="Largest batch, where Poisson batches were cut.")
    ] = None,
    claimed: Annotated[float | None, typer.Option(help="The ε that was published.")] = None,
    best_of: Annotated[
        int, typer.Option(min=1, help="Runs that the published one was chosen from, on average.")
    ] = 1,
    as_json: AsJson = False,
    html: Html = None,
) -> None:
    """Account somebody's stated run anew, by the theorem that its way of drawing batches allows.

    Shuffled batches are not Poisson batches: the amplification that most accountants compute does not hold for them.

    Exit code: 0 sound, 2 the statement cannot be used, 3 under-accounted: more is provable than was claimed.
    """
    from client.audit.claim import audit
    from client.audit.render import emit
    from client.audit.statement import read_claim

    stated = read_claim(
        sampler=sampler,
        sigma=sigma,
        delta=delta,
        q=q,
        n=n,
        batch=batch,
        steps=steps,
        epochs=epochs,
        max_batch=max_batch,
        claimed=claimed,
        best_of=best_of,
    )
    document = audit(stated)
    emit(document, as_json=as_json, html=html)
    raise typer.Exit(document.exit_code)
