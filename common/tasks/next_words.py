"""Tables of next words `[B, places, words, words]`: read at the true word before, or at the one just written."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from common.data_spec.reports import END


def written(outputs: torch.Tensor) -> torch.Tensor:
    """Return the likeliest word at every place after the one written before, `[B, places]`."""
    following = outputs.argmax(3)
    rows = torch.arange(len(outputs), device=outputs.device)
    word = torch.full_like(rows, END)
    words = []
    for place in range(outputs.shape[1]):
        word = following[rows, place, word]
        words.append(word)
    return torch.stack(words, 1)


def is_read(targets: torch.Tensor) -> torch.Tensor:
    """Tell which places are the report's: its words and its end, `[B, places]`."""
    return _before(targets).eq(END).cumsum(1).eq(1)


def _before(targets: torch.Tensor) -> torch.Tensor:
    """Return the true word before each place, `[B, places]`."""
    return F.pad(targets[:, :-1], (1, 0), value=END)


def log_losses(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the log loss of the true word at every place, `[B, places]`, 0 after the report's end."""
    batch, places, _, words = outputs.shape
    before = _before(targets).view(batch, places, 1, 1).expand(-1, -1, 1, words)
    log_odds = outputs.gather(2, before).squeeze(2)
    losses = F.cross_entropy(log_odds.transpose(1, 2), targets, reduction="none")
    return losses.masked_fill(~is_read(targets), 0.0)
