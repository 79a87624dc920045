"""Which layer is recorded by which rule, and which cannot be trained privately at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils import parametrize

from common.errors import StudyError
from common.privacy.bookkeeping import attention, recurrent
from common.privacy.bookkeeping.convolution import convolution
from common.privacy.bookkeeping.dense_layers import embedding, linear
from common.privacy.bookkeeping.fallback import by_vmap
from common.privacy.bookkeeping.normalisation import (
    group_norm,
    instance_norm,
    layer_norm,
    prelu,
    rms_norm,
)
from common.privacy.bookkeeping.tape import Rule, Tape, Watched

RULES: Mapping[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Conv3d: convolution,
    nn.ConvTranspose1d: convolution,
    nn.ConvTranspose2d: convolution,
    nn.ConvTranspose3d: convolution,
    nn.GroupNorm: group_norm,
    nn.LayerNorm: layer_norm,
    nn.RMSNorm: rms_norm,
    nn.InstanceNorm1d: instance_norm,
    nn.InstanceNorm2d: instance_norm,
    nn.InstanceNorm3d: instance_norm,
    nn.Embedding: embedding,
    nn.PReLU: prelu,
}
"""A rule holds for a layer of this very forward pass; whatever else has weights goes through `vmap`."""

_NAMES = frozenset({"weight", "bias"})


@dataclass(frozen=True)
class Found:
    """A module with weights.

    Attributes:
        name: its dotted name.
        layer: the module.
        kind: "rule", "recurrent", "attention" or "vmap".
    """

    name: str
    layer: nn.Module
    kind: str


def watch(tape: Tape, network: nn.Module) -> list[Callable[[], None]]:
    """Let the tape record every layer with weights; return what undoes it.

    Raises:
        StudyError: a layer cannot be trained privately; named, with the fix.
    """
    refuse(network)
    undo: list[Callable[[], None]] = []
    for found in layers_with_weights(network):
        layer = found.layer
        if isinstance(layer, nn.RNNBase) and found.kind == "recurrent":
            undo.append(recurrent.install(tape, found.name, layer))
        elif isinstance(layer, nn.MultiheadAttention) and found.kind == "attention":
            undo.append(attention.install(tape, found.name, layer))
        else:
            rule = rule_of(layer) if found.kind == "rule" else by_vmap
            undo.append(tape.watch(Watched(found.name, layer, rule or by_vmap)).remove)
    return undo


def layers_with_weights(network: nn.Module) -> list[Found]:
    """Return the modules that are recorded; what lies inside one that goes through `vmap` is not listed."""
    return list(_walk("", network))


def _walk(name: str, module: nn.Module) -> Iterator[Found]:
    own = {n for n, p in module.named_parameters(recurse=False) if p.requires_grad}
    kind = _kind(module, own)
    if kind:
        yield Found(name, module, kind)
    if kind != "vmap":
        for child_name, child in module.named_children():
            yield from _walk(f"{name}.{child_name}" if name else child_name, child)


def _kind(module: nn.Module, own: set[str]) -> str:
    if parametrize.is_parametrized(module):
        return "vmap" if any(p.requires_grad for p in module.parameters()) else ""
    if isinstance(module, nn.RNNBase):
        return "recurrent" if own else ""
    if isinstance(module, nn.MultiheadAttention):
        return "attention" if any(p.requires_grad for p in module.parameters()) else ""
    if not own:
        return ""
    return "rule" if own <= _NAMES and rule_of(module) else "vmap"


def rule_of(module: nn.Module) -> Rule | None:
    """Return the rule of a layer; None where its forward pass is not the one that the rule is for."""
    for known, rule in RULES.items():
        if isinstance(module, known) and type(module).forward is known.forward:
            return rule
    return None


def refuse(network: nn.Module) -> None:
    """Refuse what mixes the samples of a batch, or keeps what it saw of them.

    Raises:
        StudyError: naming the layer and the fix.
    """
    for name, module in network.named_modules():
        for kind, wrong, why, fix in _REFUSALS:
            if isinstance(module, kind) and wrong(module):
                raise StudyError(
                    f"Layer '{name}' ({type(module).__name__}) cannot be trained privately: {why}.",
                    where="[model]",
                    fix=fix,
                )
    for found in layers_with_weights(network):
        if found.kind == "vmap":
            _refuse_inside(found)


def _refuse_inside(found: Found) -> None:
    """Refuse random or recurrent layers in a module that is run a second time, sample by sample."""
    for inner in found.layer.modules():
        random = isinstance(inner, _DropoutNd) and inner.p > 0
        if random or isinstance(inner, nn.RNNBase):
            raise StudyError(
                f"Layer '{found.name}' ({type(found.layer).__name__}) has weights of its own beside a "
                f"{type(inner).__name__}, which the book-keeping engine cannot run sample by sample.",
                where="[model]",
                fix="Put these weights into a module of their own, or set [privacy] engine = 'hooks'.",
            )


_GROUP_NORM = "Use GroupNorm, or LayerNorm, in its place."
_Refusal = tuple[type[nn.Module], Callable[..., bool], str, str]
_REFUSALS: tuple[_Refusal, ...] = (
    (_BatchNorm, lambda _: True, "it mixes the samples of a batch", _GROUP_NORM),
    (
        _InstanceNorm,
        lambda layer: layer.track_running_stats,
        "it keeps statistics of the samples",
        "Set track_running_stats = False.",
    ),
    (
        nn.Embedding,
        lambda layer: layer.max_norm is not None or layer.scale_grad_by_freq or layer.sparse,
        "it changes its weights, or their gradients, by what the batch holds",
        "Set max_norm = None, scale_grad_by_freq = False and sparse = False.",
    ),
    (
        _ConvNd,
        lambda layer: isinstance(layer, nn.modules.lazy.LazyModuleMixin),
        "its size is not known yet",
        "Give the layer its number of inputs.",
    ),
)
