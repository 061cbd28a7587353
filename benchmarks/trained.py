"""Networks trained for benchmarks; a finished or interrupted training continues."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from losslandscape import load_weights
from losslandscape.study.datasets import digits
from losslandscape.study.networks import build_network
from losslandscape.study.training import train

RUNS = Path("study_runs", "trained")
_QUICK_SAMPLES = 16
LENGTH = 128  # characters of a text
TEXTS = 256


class NextCharacter(nn.Module):
    """GPT-2 (transformers) with 10.7 million parameters, on bytes: six layers of width 384.

    Returns logits of shape (texts, 256, positions), as PyTorch's cross-entropy wants them.
    """

    def __init__(self) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        self.gpt2 = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=256, n_positions=LENGTH, n_embd=384, n_layer=6, n_head=6,
                bos_token_id=0, eos_token_id=0, use_cache=False,
            )
        )  # fmt: skip

    def forward(self, characters: Tensor) -> Tensor:
        return self.gpt2(characters).logits.movedim(-1, 1)


def texts() -> tuple[Tensor, Tensor]:
    """Pieces of Python's own documentation as bytes, and the bytes that follow each.

    Returns
    -------
    characters, next characters : int64 tensors, shape (256, 128)
    """
    from pydoc_data.topics import topics

    whole = torch.frombuffer(bytearray("".join(topics.values()), "utf-8"), dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    starts = torch.randint(len(whole) - LENGTH - 1, (TEXTS,), generator=generator)
    pieces = torch.stack([whole[start : start + LENGTH + 1] for start in starts]).long()
    return pieces[:, :-1].contiguous(), pieces[:, 1:].contiguous()


@dataclass(frozen=True)
class Network:
    """A network, its training data and how it is trained."""

    build: Callable[[], nn.Module]
    data: Callable[[], tuple[Tensor, Tensor]]
    data_name: str
    epochs: int
    learning_rate: float


NETWORKS = {
    "vgg11": Network(lambda: build_network("vgg11"), digits, "digits", 5, 5e-4),
    "resnet50": Network(lambda: build_network("resnet50"), digits, "digits", 5, 5e-4),
    "small_transformer": Network(
        lambda: build_network("small_transformer"), digits, "digits", 20, 2e-3
    ),
    "small_resnet": Network(lambda: build_network("small_resnet"), digits, "digits", 10, 5e-3),
    "mlp": Network(lambda: build_network("mlp"), digits, "digits", 10, 2e-3),
    "gpt2": Network(NextCharacter, texts, f"texts of {LENGTH} characters", 20, 1e-3),
}

DATA_NAMES = {name: network.data_name for name, network in NETWORKS.items()}


def trained(name: str, quick: bool = False) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A network in eval mode and its data; with `quick` few samples, and one epoch on them."""
    network = NETWORKS[name]
    torch.manual_seed(0)
    model, data = network.build(), network.data()
    if quick:
        data = (data[0][:_QUICK_SAMPLES], data[1][:_QUICK_SAMPLES])
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run") if quick else RUNS / name
        train(
            model,
            data,
            run,
            epochs=1 if quick else network.epochs,
            learning_rate=network.learning_rate,
            trajectory=False,
            name=name,
            quiet=quick,
        )
        load_weights(model, run / "weights.safetensors")
    return model.eval(), data
