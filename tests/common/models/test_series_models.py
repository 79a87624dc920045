"""Networks over series and signals, and the attention that several families share."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import torch
from battery import check_private

from common.errors import StudyError
from common.models import build_model
from common.models.attention import Encoder, EncoderBlock, LearnedPositions, SelfAttention
from common.models.base import ModelOptions
from common.models.series import CHANGE_SCALE
from common.plugins import load, parse_options
from common.study import Study
from common.study_file import parse_study
from common.study_template import template

SMALL: dict[str, dict[str, Any]] = {
    "lstm": {"hidden_size": 3, "layers": 2},
    "gru": {"hidden_size": 3},
    "temporal-convolution": {"channels": 3, "blocks": 2},
    "series-transformer": {"width": 4, "heads": 2, "blocks": 2, "patch": 3},
    "series-mlp": {"hidden": [4, 3]},
    "cnn-1d": {"channels": [4, 4], "kernel_size": 3},
    "cnn-lstm": {"channels": [4], "kernel_size": 3, "hidden_size": 3},
}


def forecasting(name: str, **options: Any) -> Study:
    content = tomllib.loads(template("series", "x"))
    content["model"] = {"name": name, **options}
    return parse_study(content, where="x")


def rhythms(name: str, **options: Any) -> Study:
    content = tomllib.loads(template("signals", "x"))
    content["model"] = {"name": name, **options}
    leads = [{"name": lead, "minimum": -2, "maximum": 2} for lead in ("I", "II")]
    content["data"] |= {"channels": leads, "sampling_hz": 12.0, "window_seconds": 2.0}
    return parse_study(content, where="x")


@pytest.mark.parametrize("name", SMALL)
def test_forecasts_are_learned_from_one_patient_at_a_time(name: str) -> None:
    study = forecasting(name, **SMALL[name], residual=True)
    targets = torch.randn(7, len(study.data.horizons_minutes))
    check_private(study, targets)


@pytest.mark.parametrize("name", SMALL)
def test_signals_are_classified_from_one_patient_at_a_time(name: str) -> None:
    study = rhythms(name, **SMALL[name])
    classes = len(study.task.options["classes"])
    check_private(study, torch.arange(7) % classes)


@pytest.mark.parametrize("name", SMALL)
def test_an_unknown_option_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(StudyError) as caught:
        build_model(forecasting(name, colour=3), 1)
    told = f"{caught.value.what} {caught.value.fix}"
    assert "colour" in told
    assert "residual" in told


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # lead to 3 channels, 3 to 3, across; then two blocks' worth of 3 to 3; the head has 2 outputs
        ("temporal-convolution", (3 * 3 + 3) + (3 * 9 + 3) + (3 + 3) + 2 * (3 * 9 + 3) + 8),
        # 24 steps to 4, 4 to 3, the head
        ("series-mlp", (24 * 4 + 4) + (4 * 3 + 3) + (3 * 2 + 2)),
        # conv 1 to 4 and 4 to 4 of 3 taps, their GroupNorms, mean and maximum into 2 outputs
        ("cnn-1d", (3 * 4 + 4) + 8 + (3 * 16 + 4) + 8 + (8 * 2 + 2)),
        # conv, GroupNorm, an LSTM of 4 to 3 with both biases, the head
        ("cnn-lstm", (3 * 4 + 4) + 8 + 4 * 3 * (4 + 3 + 2) + (3 * 2 + 2)),
        # patches of 3, 8 places, two blocks of width 4, the last norm, the head
        (
            "series-transformer",
            (3 * 4 + 4) + 8 * 4 + 2 * (2 * 8 + 5 * 12 + 5 * 4 + 5 * 8 + 9 * 4) + 8 + (4 * 2 + 2),
        ),
    ],
)
def test_parameters_are_counted(name: str, parameters: int) -> None:
    network = build_model(forecasting(name, **SMALL[name]), 2)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_a_temporal_convolution_sees_the_past_and_no_more_than_its_reach() -> None:
    network = build_model(forecasting("temporal-convolution", channels=4, blocks=2), 1)
    windows = torch.randn(2, 24, 1, requires_grad=True)
    network(windows).sum().backward()
    assert windows.grad is not None
    seen = windows.grad[0, :, 0].abs() > 0
    assert seen.nonzero().min() >= 24 - (1 + 2 * 2 * 3)
    first = torch.nn.Sequential(*network.encoder.blocks)(windows.transpose(1, 2))  # type: ignore[union-attr]
    changed = windows.detach().clone()
    changed[:, 12:] = 5.0
    again = torch.nn.Sequential(*network.encoder.blocks)(changed.transpose(1, 2))  # type: ignore[union-attr]
    torch.testing.assert_close(first[:, :, :12], again[:, :, :12])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("series-transformer", {"patch": 5}, "do not divide a window"),
        ("series-transformer", {"width": 6, "heads": 4}, "heads cannot share"),
        ("cnn-1d", {"kernel_size": 4}, "has no middle"),
        ("cnn-1d", {"channels": [4] * 5}, "too short"),
        ("cnn-lstm", {"pool": 8}, "too short"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        build_model(forecasting(name, **options), 1)
    assert caught.value.fix


def test_a_residual_network_sees_values_and_changes() -> None:
    options = parse_options(load("models", "gru").Options, {"residual": True}, where="[model]")
    assert isinstance(options, ModelOptions)
    network = load("models", "gru").build(options, (4, 2), 1)
    seen: list[torch.Tensor] = []
    network.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    windows = torch.randn(3, 4, 2)
    network(windows)
    torch.testing.assert_close(seen[0][:, :, :2], windows)
    torch.testing.assert_close(seen[0][:, :, 2:], CHANGE_SCALE * (windows - windows[:, -1:]))


def test_attention_is_pytorchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = SelfAttention(8, 2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        ours.project.weight.copy_(theirs.in_proj_weight)
        ours.project.bias.copy_(theirs.in_proj_bias)
        ours.merge.load_state_dict(theirs.out_proj.state_dict())
    tokens = torch.randn(3, 5, 8)
    present = torch.tensor([[True] * 5, [True, False, True, True, False], [False] * 4 + [True]])
    for mask in (None, present):
        hidden = None if mask is None else ~mask
        out, shares = theirs(
            tokens, tokens, tokens, key_padding_mask=hidden, average_attn_weights=False
        )
        torch.testing.assert_close(ours(tokens, mask), out)
        torch.testing.assert_close(ours.shares(tokens, mask), shares)


def test_a_sample_without_tokens_gives_numbers_and_disturbs_nobody() -> None:
    encoder = Encoder(8, 2, blocks=2)
    tokens = torch.randn(2, 4, 8)
    present = torch.tensor([[True, True, False, True], [False] * 4])
    out = encoder(tokens, present)
    assert out.isfinite().all()
    torch.testing.assert_close(out[:1], encoder(tokens[:1], present[:1]))
    moved = tokens.clone()
    moved[0, 2] += 10.0
    torch.testing.assert_close(encoder(moved, present)[0, [0, 1, 3]], out[0, [0, 1, 3]])


def test_places_make_order_matter() -> None:
    torch.manual_seed(0)
    block, places = EncoderBlock(8, 2), LearnedPositions(4, 8)
    tokens = torch.randn(1, 4, 8)
    turned = tokens.flip(1)
    torch.testing.assert_close(block(turned).flip(1), block(tokens))
    assert not torch.allclose(block(places(turned)).flip(1), block(places(tokens)))


@pytest.mark.parametrize("width", [6, 9])
def test_heads_that_cannot_share_a_token_are_refused(width: int) -> None:
    with pytest.raises(StudyError, match="heads cannot share"):
        EncoderBlock(width, 4)
