"""Profile of ResNet-50's forward pass: operators of torch.profiler, and convolutions by kind.

Run ``python -m benchmarks.profile``; ``--model vgg11`` selects another model. For each kind of
convolution the rate of its floating-point operations is given.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks import models, results
from benchmarks.evaluation import matrix_rate


def layer_rates(model: nn.Module, images: torch.Tensor) -> dict[str, tuple[float, float]]:
    """Kind of convolution -> seconds and operations in a pass; the fastest of three calls."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def hook(layer: nn.Conv2d, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            layer._conv_forward(inputs[0], layer.weight, layer.bias)
            seconds.append(time.perf_counter() - start)
        n, channels, height, width = output.shape
        kernel = layer.weight[0].numel()
        kind = f"{layer.kernel_size[0]}x{layer.kernel_size[1]} on {height}x{width} maps"
        found[kind][0] += min(seconds)
        found[kind][1] += 2.0 * n * channels * height * width * kernel

    hooks = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, nn.Conv2d)]
    model(images)
    for handle in hooks:
        handle.remove()
    return {kind: (seconds, operations) for kind, (seconds, operations) in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet50", choices=models.SAMPLES)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--quick", action="store_true", help="64 images")
    arguments = parser.parse_args()
    size = 64 if arguments.quick else arguments.batch_size
    model = models.build(arguments.model).to(memory_format=torch.channels_last)
    images = models.data(size)[0].contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        model(images)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            model(images)
        rates = layer_rates(model, images)
    peak = matrix_rate("cpu")
    events = [e for e in profiler.key_averages() if e.self_cpu_time_total > 0]
    total = sum(e.self_cpu_time_total for e in events)
    rows = [
        [event.key, event.count, f"{100 * event.self_cpu_time_total / total:.1f}%"]
        for event in sorted(events, key=lambda e: -e.self_cpu_time_total)[:8]
    ]
    results.write(
        "profile_operators",
        f"Operators of a pass of {arguments.model}, {size} images, channels-last",
        ["operator", "calls", "share of the time"],
        rows,
    )
    whole = sum(seconds for seconds, _ in rates.values())
    layers = [
        [
            kind,
            f"{100 * seconds / whole:.0f}%",
            f"{operations / 1e9:.2f}",
            f"{100 * operations / seconds / peak:.0f}%",
        ]
        for kind, (seconds, operations) in sorted(rates.items(), key=lambda item: -item[1][0])
    ]
    results.write(
        "profile_convolutions",
        f"Convolutions of {arguments.model}, {size} images",
        ["kind", "share of convolutions' time", "GFLOP", "share of the matrix rate"],
        layers,
        ["Operations include the zeros of the padding, as in torch.utils.flop_counter."],
    )
    for row in (*rows, *layers):
        print(*row, sep=" | ")


if __name__ == "__main__":
    main()
