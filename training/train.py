"""The training loop: one seed, a fixed number of rounds, a checkpoint now and then from which it can go on."""

import time
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor

from . import vocabulary
from .batch import Batch, collate
from .curriculum import PHASES, batches_of_round, plan
from .model import Config, Model
from .optimizer import Optimizer
from .tokenizer import Encoder

SEED = 1
ROUNDS_PER_CHECKPOINT = 10

# The words on which a run turns are few among many, so they weigh more.
DECISIVE_WORDS = (" hit", "hit", " answer")


class Score:
    """How one kind of unit went in a round: loss, share of tokens right, share of decisive words right."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.batches = self.right = self.tokens = self.decisive_right = self.decisive = 0

    def __str__(self) -> str:
        decisive = 100 * self.decisive_right / max(1, self.decisive)
        return f"{self.loss / self.batches:.3f}/{100 * self.right / self.tokens:.2f}%/{decisive:.0f}%"


def train(folder: Path, most_rounds: int | None = None) -> Model:
    """Trains from nothing, or on from the last checkpoint in the folder; returns the trained model."""
    torch.manual_seed(SEED)
    model = Model(Config())
    optimizer = Optimizer(model)
    encode = Encoder()
    checkpoint = folder / "checkpoint.pt"
    first = _resume(checkpoint, model, optimizer) if checkpoint.exists() else 0
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters", flush=True)
    last = sum(phase.rounds for phase in PHASES) if most_rounds is None else first + most_rounds
    for number in range(first, last):
        _round(number, model, optimizer, encode)
        if (number + 1) % ROUNDS_PER_CHECKPOINT == 0 or number + 1 == last:
            _save(checkpoint, number + 1, model, optimizer)
    return model


def _round(number: int, model: Model, optimizer: Optimizer, encode: Encoder) -> None:
    started, cpu = time.monotonic(), time.process_time()
    rate, decisive_weight, mix = plan(number)
    scores: dict[str, Score] = defaultdict(Score)
    tokens = 0
    for kind, units in batches_of_round(SEED, number, mix, encode):
        batch = collate(units)
        loss = _loss(model, batch, decisive_weight, scores[kind])
        loss.backward()
        optimizer.step(rate)
        tokens += sum(map(len, units))
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    details = " ".join(f"{kind} {score}" for kind, score in sorted(scores.items()))
    print(f"round {number} rate {rate:.2f} {tokens} tokens {seconds:.1f} s ({cpu:.1f} s cpu): {details}", flush=True)


def _loss(model: Model, batch: Batch, decisive_weight: float, score: Score) -> Tensor:
    targets = batch.weights.nonzero().squeeze(1)
    expected = batch.ids[targets]
    logits = model(batch.ids, batch.positions, batch.attend, selected=targets - 1)
    decisive = torch.isin(expected, torch.tensor([vocabulary.word_id(word) for word in DECISIVE_WORDS]))
    weight = batch.weights[targets].masked_fill(decisive, decisive_weight)
    loss = (functional.cross_entropy(logits, expected, reduction="none") * weight).sum() / weight.sum()
    right = logits.argmax(-1) == expected
    score.loss += loss.item()
    score.batches += 1
    score.right += int(right.sum())
    score.tokens += len(expected)
    score.decisive_right += int(right[decisive].sum())
    score.decisive += int(decisive.sum())
    return loss


def _resume(checkpoint: Path, model: Model, optimizer: Optimizer) -> int:
    saved = torch.load(checkpoint)
    model.load_state_dict(saved["model"])
    optimizer.restore(saved["optimizer"])
    return saved["round"]


def _save(checkpoint: Path, rounds: int, model: Model, optimizer: Optimizer) -> None:
    """Writes aside first, so that a stop in the middle leaves the last checkpoint whole."""
    aside = checkpoint.with_suffix(".tmp")
    torch.save({"round": rounds, "model": model.state_dict(), "optimizer": optimizer.state()}, aside)
    aside.replace(checkpoint)
