"""Puts a model card's chapters together from a run's folder."""

from __future__ import annotations

from common.charts.numbers import MISSING, count, moment
from common.study import Study, Training
from common.transfer.section import Transfer
from server.card.data import data_part
from server.card.limits import limits_part
from server.card.parts import Card, Part, Words
from server.card.performance import groups_part, performance_part, sites_part
from server.card.privacy import privacy_part
from server.report.facts import Fact, weights
from server.report.run_folder import Run
from server.report.verdict import verdict


def content(run: Run, study: Study, digest: str, words: Words, frozen: int = 0) -> Card:
    """Return the card.

    Args:
        run: the run's figures.
        study: its study.
        digest: sha256 of the file of weights.
        words: what only people can say.
        frozen: weights of the network that this run did not train.
    """
    chapters = (
        _use(study, words),
        _model(run, study, digest, frozen),
        data_part(run, study),
        _training(run, study),
        privacy_part(run),
        performance_part(run, study),
        groups_part(run),
        sites_part(run),
        limits_part(run, words),
        _further_use(study),
    )
    return Card(
        title=study.study.title or study.name,
        lede=f"{verdict(run.metrics)}",
        parts=tuple(part for part in chapters if part is not None),
    )


def _use(study: Study, words: Words) -> Part:
    said = words.intended_use or study.study.description
    missing = "Not stated. Say it with `--intended-use`, or as `description` of the study."
    asked = (Fact("Contact", words.contact),) if words.contact else ()
    return Part("Intended use", sentences=(said or missing,), facts=asked)


def _model(run: Run, study: Study, digest: str, frozen: int) -> Part:
    options = ", ".join(f"{key} = {value}" for key, value in study.model.options.items())
    facts = [
        Fact("Study", study.name),
        Fact("Fingerprint of the study", study.fingerprint, True),
        Fact("Weights, sha256", digest, True),
        Fact("Network", f"{study.model.name}{f' ({options})' if options else ''}"),
        Fact("Weights", weights(run.metrics.parameters, frozen)),
        Fact("Task", study.task.name),
        Fact("Classes", ", ".join(run.metrics.classes) or MISSING),
        Fact("Finished", moment(run.metrics.finished)),
        Fact("Made with", _versions(run)),
    ]
    return Part("Model", facts=tuple(fact for fact in facts if fact.value != MISSING))


def _versions(run: Run) -> str:
    shown = (f"{name} {text}" for name, text in sorted(run.metrics.versions.items()) if text)
    return ", ".join(shown) or MISSING


def _training(run: Run, study: Study) -> Part:
    training = study.training if study.privacy.enabled else study.without_privacy().training
    facts = (
        Fact("Algorithm", run.metrics.algorithm or study.federation.algorithm.name),
        Fact("Rounds", count(run.metrics.rounds or len(run.rounds))),
        Fact("Optimiser", _optimiser(training)),
        Fact("Steps or passes a round", f"{training.local_steps or training.local_epochs:g}"),
        Fact("Augmentation", ", ".join(each.name for each in training.augment) or "none"),
        *_start(study.transfer),
    )
    return Part("Training", facts=facts)


def _optimiser(training: Training) -> str:
    """Return the optimiser with what the study sets beside its rate."""
    schedule = training.schedule
    parts = [
        f"{training.optimizer}, learning rate {training.learning_rate:g}",
        f"{schedule.name} schedule" if schedule else "",
        f"momentum {training.momentum:g}" if training.momentum else "",
        f"weight decay {training.weight_decay:g}" if training.weight_decay else "",
        f"moving average of weights {training.ema:g}" if training.ema else "",
        "mixed precision" if training.precision == "mixed" else "",
    ]
    return ", ".join(part for part in parts if part)


def _start(transfer: Transfer | None) -> list[Fact]:
    """Return what the network knew before and what of it stayed."""
    if transfer is None:
        return []
    rank = f"rank {transfer.lora_rank} in {', '.join(transfer.lora_layers)}"
    facts = (
        Fact("Starts from", transfer.checkpoint or MISSING),
        Fact("Its sha256", transfer.sha256 or MISSING, True),
        Fact("Frozen", ", ".join(transfer.freeze) or MISSING, True),
        Fact("Low-rank changes", rank if transfer.lora_rank else MISSING, True),
    )
    return [fact for fact in facts if fact.value != MISSING]


def _further_use(study: Study) -> Part:
    return Part(
        "How to use it",
        points=(
            "`consilium predict RUN INPUT` prepares new cases as the study does and writes predictions.",
            "`consilium export RUN` writes the network as ONNX or torch.export, for other programs.",
            f"`consilium simulate {study.name}` or the study file with the same hospitals trains it again.",
        ),
    )
