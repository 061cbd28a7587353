"""Measure every family and write the table of docs/model_families.md.

Run ``python -m benchmarks.families`` for all, or with names to measure these again, then
``python -m benchmarks.report``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

import losslandscape as ll
from benchmarks import results
from benchmarks.families import others, sequences, vision
from benchmarks.families.family import Family

FAMILIES: dict[str, Callable[[], Family]] = {
    "MLP": vision.mlp,
    "CNN with hardswish": vision.cnn,
    "ResNet (batch norm)": vision.resnet,
    "vision transformer": vision.vit,
    "U-Net, ignored pixels": vision.unet,
    "LSTM": sequences.lstm,
    "GRU": sequences.gru,
    "transformer encoder": sequences.encoder,
    "GPT-2": sequences.gpt2,
    "Llama": sequences.llama,
    "T5": sequences.t5,
    "BERT, classification": sequences.bert_classification,
    "BERT, tokens": sequences.bert_tokens,
    "BERT, masked": sequences.bert_masked,
    "LoRA on BERT": sequences.lora_classifier,
    "LoRA on GPT-2": sequences.lora_language,
    "variational autoencoder": vision.vae,
    "GAN, generator": vision.gan_generator,
    "GAN, discriminator": vision.gan_discriminator,
    "physics-informed network": others.physics,
    "graph network": others.graph,
    "detector (SSDlite)": vision.detector,
    "pairs, contrastive": others.pairs,
    "quantile regression": others.quantile,
    "spectral norm": vision.spectral_norm,
    "weight norm": vision.weight_norm,
    "mixture of experts": others.experts,
    "DQN": others.q_network,
}
COLUMNS = [
    "model",
    "loss at the origin",
    "by PyTorch",
    "surface",
    "PCA plane",
    "verify",
    "sharpness",
]
# The center of a grid of odd size is the model itself.
GRID, HALF_WIDTH = 9, 0.5


def one_line(error: Exception) -> str:
    """The refusal's first sentences, for a cell of a table."""
    return "refused: " + " ".join(str(error).split()).replace("|", "\\|")


def attempt(work: Callable[[], str]) -> str:
    """What `work` says, or the refusal's sentence. Any other error is a fault, and named as one."""
    try:
        return work()
    except ll.LossLandscapeError as error:
        return one_line(error)
    except Exception as error:  # the table shows faults instead of ending at the first
        traceback.print_exc()
        return f"FAULT: {type(error).__name__}: {error}"


def measure(name: str) -> list[str]:
    """The row of one family."""
    torch.manual_seed(0)
    family = FAMILIES[name]()
    measured: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trajectory = family.train(Path(folder) / "trajectory")
        with torch.enable_grad():
            expected = family.reference().item()

        def evaluate(plane: ll.Subspace) -> ll.Landscape:
            grid = ll.Grid.square(GRID, half_width=HALF_WIDTH)
            return ll.evaluate(family.objective(), plane, grid, quiet=True)

        def center(landscape: ll.Landscape) -> float:
            return float(landscape.values()[GRID // 2, GRID // 2])

        def surface() -> str:
            plane = ll.Subspace.random(family.model, seed=0)
            landscape = evaluate(plane)
            measured.update(plane=plane, landscape=landscape, center=center(landscape))
            values = landscape.values()
            return f"{values.min():.4g} to {values.max():.4g}"

        def pca() -> str:
            landscape = evaluate(ll.Subspace.pca(trajectory))
            off = abs(center(landscape) - expected) / abs(expected)
            return f"model within {off:.0e}" if off < 1e-4 else f"model {off:.1%} OFF"

        def verify() -> str:
            landscape, plane = measured["landscape"], measured["plane"]
            points = ll.find_critical_points(landscape, draws=100)
            found = ll.verify(landscape, points, family.objective(), plane)
            return ", ".join(f"{count} {kind}" for kind, count in found.counts.items() if count)

        def sharpness() -> str:
            found = ll.epsilon_sharpness(family.objective(), measured["plane"], (0.0, 0.0))
            low, high = found.hessian_eigenvalues[0], found.hessian_eigenvalues[-1]
            return f"{found.value:.2g}%, curvature {low:.2g} to {high:.2g}"

        cells = [attempt(surface)]
        if "center" in measured:
            cells += [attempt(pca), attempt(verify), attempt(sharpness)]
        else:
            cells += [attempt(pca), "-", "-"]
    value = f"{measured['center']:.6g}" if "center" in measured else "-"
    return [name, value, f"{expected:.6g}", *cells]


def main(names: list[str]) -> None:
    """Measure, print and keep rows; those of other families stay as they are."""
    for name in names or FAMILIES:
        row = measure(name)
        print(" | ".join(row), flush=True)
        keep([row])


def keep(new: list[list[str]]) -> None:
    """Put rows into results/families.json, in the order of the families."""
    stored = results.FOLDER / "families.json"
    rows = (
        {row[0]: row for row in json.loads(stored.read_text())["rows"]} if stored.exists() else {}
    )
    rows.update((row[0], row) for row in new)
    results.write(
        "families",
        "Model families: the value at the model beside PyTorch's own",
        COLUMNS,
        [rows[name] for name in FAMILIES if name in rows],
        [
            f"{GRID} x {GRID} points over ±{HALF_WIDTH} in a random plane and in that of the "
            "training trajectory; critical points of the random plane by verification; "
            "epsilon-sharpness at the model and the eigenvalues of its in-plane Hessian."
        ],
    )


if __name__ == "__main__":
    main(sys.argv[1:])
