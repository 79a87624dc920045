"""A network that starts from a checkpoint, and the part of it that learns."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from battery import check_private
from safetensors.torch import save
from torch import nn

from common.errors import ConsiliumError, MachineError, StudyError, TamperedError
from common.models import build_model
from common.study import Study
from common.transfer.lora import adapt
from common.transfer.places import VARIABLE, look_in
from common.weights import Layout, exchanged

Make = Callable[..., Study]
TARGETS = torch.tensor([0, 1, 1, 0, 1, 0, 0])
MODEL = {"name": "mlp", "hidden": [6, 5]}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that is searched."""
    monkeypatch.setenv(VARIABLE, "")
    look_in(tmp_path)
    return tmp_path


@pytest.fixture
def known(make_study: Make) -> dict[str, torch.Tensor]:
    """What another study learned."""
    return build_model(make_study(model=MODEL, study={"seed": 99}), 2).state_dict()


def kept(folder: Path, name: str, content: bytes) -> dict[str, str]:
    (folder / name).write_bytes(content)
    return {"checkpoint": name, "sha256": hashlib.sha256(content).hexdigest()}


def torch_bytes(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def bundle(state: dict[str, torch.Tensor]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("spleen/configs/metadata.json", "{}")
        archive.writestr("spleen/models/model.pt", torch_bytes(state))
    return stream.getvalue()


FORMS: dict[str, Callable[[dict[str, torch.Tensor]], bytes]] = {
    "run.safetensors": save,
    "plain.pt": torch_bytes,
    "trained.pth": lambda state: torch_bytes({"epoch": 3, "state_dict": state}),
    "spleen.zip": bundle,
}


@pytest.mark.parametrize("name", FORMS)
def test_a_network_starts_where_the_checkpoint_ended(
    make_study: Make, known: dict[str, torch.Tensor], places: Path, name: str
) -> None:
    study = make_study(model=MODEL, transfer=kept(places, name, FORMS[name](known)))
    found = build_model(study, 2).state_dict()
    assert all(torch.equal(found[key], value) for key, value in known.items())


def test_names_may_differ_and_a_new_last_layer_starts_anew(
    make_study: Make, known: dict[str, torch.Tensor], places: Path
) -> None:
    theirs = {f"module.{name}": value for name, value in known.items()}
    theirs["module.5.weight"] = torch.zeros(14, 5)
    theirs["module.norm.running_mean"] = torch.zeros(3)
    about = kept(places, "a.safetensors", save(theirs))
    study = make_study(model=MODEL, transfer=about | {"rename": {"module.": ""}, "skip": ["5.*"]})
    found, fresh = build_model(study, 2).state_dict(), build_model(make_study(model=MODEL), 2)
    assert torch.equal(found["1.weight"], known["1.weight"])
    assert torch.equal(found["5.weight"], fresh.state_dict()["5.weight"])


def test_what_is_frozen_is_not_exchanged_and_the_rest_is_private(make_study: Make) -> None:
    study = make_study(model=MODEL, transfer={"freeze": ["1.*", "3.weight"]})
    network = build_model(study, 2)
    assert list(exchanged(network)) == ["3.bias", "5.weight", "5.bias"]
    assert Layout.of(exchanged(network)).size == 5 + 10 + 2
    check_private(study, TARGETS)


@pytest.mark.parametrize("model", [MODEL, {"name": "compact-cnn", "channels": [4, 4]}], ids=str)
def test_low_rank_changes_start_at_nothing_are_few_and_private(
    make_study: Make, model: dict[str, Any]
) -> None:
    adapted = make_study(model=model, transfer={"freeze": ["*"], "lora_rank": 1})
    plain, network = build_model(make_study(model=model), 2), build_model(adapted, 2)
    inputs = torch.randn(3, *adapted.data.model_shape)
    torch.testing.assert_close(network(inputs), plain(inputs))
    assert Layout.of(exchanged(network)).size < Layout.of(exchanged(plain)).size
    assert all(name.split(".")[-2] in ("down", "up") for name in exchanged(network))
    check_private(adapted, TARGETS)


def test_an_attention_layers_own_projection_is_not_adapted() -> None:
    with pytest.raises(StudyError, match="reads its weights itself"):
        adapt(nn.Sequential(nn.MultiheadAttention(4, 2)), 1, ("*",))


WRONG: dict[str, tuple[dict[str, Any], type[ConsiliumError], str]] = {
    "not here": ({"checkpoint": "b.pt", "sha256": "0" * 64}, MachineError, "not here"),
    "another": ({"sha256": "0" * 64}, TamperedError, "not the checkpoint"),
    "no hash": ({"sha256": None}, StudyError, "belong together"),
    "a path": ({"checkpoint": "../a.safetensors"}, StudyError, "checkpoint"),
    "missing": ({"rename": {"1.": "one."}}, StudyError, "2 of the network's 6"),
    "no such layer": ({"freeze": ["feature.*"]}, StudyError, "No tensor .* 'feature"),
    "all frozen": ({"freeze": ["*"]}, StudyError, "nothing is left to train"),
    "nothing": ({"checkpoint": None, "sha256": None}, StudyError, "leave \\[transfer\\] out"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_said(
    make_study: Make, known: dict[str, torch.Tensor], places: Path, case: str
) -> None:
    changes, kind, text = WRONG[case]
    about: dict[str, Any] = kept(places, "a.safetensors", save(known)) | changes
    with pytest.raises(kind, match=text):
        build_model(make_study(model=MODEL, transfer=about), 2)


def test_another_shape_is_said(
    make_study: Make, known: dict[str, torch.Tensor], places: Path
) -> None:
    about = kept(places, "a.safetensors", save(known))
    with pytest.raises(StudyError, match=r"'5.weight' has shape \(3, 5\)"):
        build_model(make_study(model=MODEL, transfer=about), 3)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.zip", "a.onnx"])
def test_junk_is_no_checkpoint_and_code_in_it_is_not_run(
    make_study: Make, places: Path, name: str
) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return Path.touch, (places / "ran",)

    for content in (b"junk", torch_bytes({"a": Runs()})):
        with pytest.raises(StudyError):
            build_model(make_study(model=MODEL, transfer=kept(places, name, content)), 2)
    assert not (places / "ran").exists()


def test_a_study_without_transfer_keeps_its_fingerprint(make_study: Make) -> None:
    assert "transfer" not in make_study().content()
