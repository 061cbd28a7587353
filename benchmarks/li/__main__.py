"""``python -m benchmarks.li``: train, measure, and write the score card with its figure."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import results
from benchmarks.li import claims, kept, page
from benchmarks.li.measures import convexity, measured, raw_line
from benchmarks.li.networks import Data, Network, data_of, trained
from benchmarks.li.presets import (
    OPTIMIZERS,
    PRESETS,
    SAMPLES,
    VGG,
    Preset,
    Recipe,
    mapped_recipes,
    recipes,
)
from benchmarks.studies import exit_status, kept_numbers
from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import replace_file
from losslandscape.files.output_lock import OutputLock

RESULTS = results.FOLDER / "li" / "score_card.json"
FOLDER = Path("study_runs/li")


@dataclass(frozen=True)
class Study:
    """What is to be made, where, and by which means."""

    preset: Preset
    data: Data
    folder: Path
    device: str = "cpu"
    executor: Executor | None = None
    maps: bool = True
    new_networks: bool = True

    def place(self, recipe: Recipe, seed: int) -> Path:
        """The folder of a network, by everything that its weights depend on."""
        sizes = {"pixels": self.preset.pixels, "epochs": self.preset.epochs,
                 "channels": [self.preset.channels, self.preset.vgg_channels]}  # fmt: skip
        made = kept.digest(
            [recipe.to_json(), sizes, OPTIMIZERS, self.data.name, SAMPLES], "networks"
        )
        return self.folder / f"{recipe.name}_seed{seed}_{made}"

    def measures(self, place: Path) -> Path:
        """The folder of the measurements of a network, by how they are made."""
        sizes = {key: value for key, value in asdict(self.preset).items() if key != "seeds"}
        found = place / f"measured_{kept.digest(sizes, 'measures')}"
        found.mkdir(parents=True, exist_ok=True)
        return found

    def network(self, recipe: Recipe, seed: int) -> Network:
        run = self.place(recipe, seed) / "run"
        run.parent.mkdir(parents=True, exist_ok=True)
        return trained(recipe, self.preset, seed, self.data, run, self.device)

    def is_measured(self, recipe: Recipe, seed: int) -> bool:
        return (self.measures(self.place(recipe, seed)) / "numbers.json").exists()

    def numbers(self, recipe: Recipe, seed: int) -> dict[str, Any]:
        """Of a network, made if they are not there."""
        folder = self.measures(self.place(recipe, seed))

        def make() -> dict[str, Any]:
            began = time.process_time()
            network = self.network(recipe, seed)
            found = measured(network, self.preset, self.data, folder, self.device, self.executor)
            print(
                f"{recipe.name}, seed {seed}: test error "
                f"{100 * claims.test_error(found):.1f}%, flat length {found['flat_length']:.3f}, "
                f"{time.process_time() - began:.0f} s",
                flush=True,
            )  # fmt: skip
            return found

        return kept_numbers(folder / "numbers.json", make)

    def mapped(self, recipe: Recipe, seed: int) -> dict[str, Any]:
        """Its convexity map and its start; empty if they are not there and no map is to be made."""
        folder = self.measures(self.place(recipe, seed))
        path = folder / "convexity.json"
        if not self.maps and not path.exists():
            return {}

        def make() -> dict[str, Any]:
            began = time.process_time()
            found = convexity(
                self.network(recipe, seed), self.preset, self.data, folder, self.device
            )
            print(
                f"{recipe.name}, seed {seed}: {100 * found['not_convex']:.0f}% of the map above "
                f"0.1, at the start {found['ratio_at_start']:.3f}, "
                f"{time.process_time() - began:.0f} s",
                flush=True,
            )  # fmt: skip
            return found

        return kept_numbers(path, make)

    def pair(self, small: Recipe, large: Recipe, seed: int) -> dict[str, Any]:
        """Of the minima of two batch sizes, made if they are not there."""
        folder = self.measures(self.place(large, seed))

        def make() -> dict[str, Any]:
            both = [self.network(recipe, seed) for recipe in (small, large)]
            return raw_line(*both, self.preset, self.data, folder / "raw_line.nc", self.device)

        return kept_numbers(folder / "raw_line.json", make)

    def pairs(self, seed: int) -> list[dict[str, Any]]:
        vggs = [recipe for recipe in recipes(self.preset) if recipe.kind == VGG]
        found = []
        for small in vggs:
            for large in vggs:
                same = (small.optimizer, small.weight_decay) == (
                    large.optimizer, large.weight_decay
                )  # fmt: skip
                ready = self.new_networks or all(self.is_measured(r, seed) for r in (small, large))
                if same and small.batch < large.batch and ready:
                    found.append(self.pair(small, large, seed))
        return found


def content_of(study: Study, name: str) -> dict[str, Any]:
    """The score card, from networks that are made where they are missing."""
    preset = study.preset
    rows = [
        study.numbers(recipe, seed)
        for seed in range(preset.seeds)
        for recipe in recipes(preset)
        if study.new_networks or study.is_measured(recipe, seed)
    ]
    pairs = [pair for seed in range(preset.seeds) for pair in study.pairs(seed)]
    for row in rows:
        for recipe in mapped_recipes(preset):
            if row["network"] == recipe.name:
                row.update(study.mapped(recipe, row["seed"]))
    return {
        "title": "Score card of Li et al. 2018",
        "preset": name,
        "data": study.data.name,
        "samples": [len(study.data.train[1]), len(study.data.test[1])],
        "sizes": asdict(preset),
        "learning_rates": OPTIMIZERS,
        "claims": claims.score_card(rows, pairs, preset.deepest),
        "pairs": pairs,
        "rows": rows,
    }


def make_part(study: Study, part: tuple[int, int]) -> None:
    """Every N-th network of the study, from the K-th on."""
    every = [(seed, r) for seed in range(study.preset.seeds) for r in recipes(study.preset)]
    mapped = mapped_recipes(study.preset)
    for seed, recipe in every[part[0] - 1 :: part[1]]:
        study.numbers(recipe, seed)
        if recipe in mapped:
            study.mapped(recipe, seed)


def arguments_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="full", help="the sizes")
    parser.add_argument(
        "--quick", dest="preset", action="store_const", const="quick", help="--preset quick"
    )
    parser.add_argument("--seeds", type=int, help="networks of each kind, instead of the preset's")
    parser.add_argument("--data", choices=tuple(SAMPLES), default="digits")
    parser.add_argument("--data-root", default="data", help="folder of CIFAR-10")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of everything that is made")
    parser.add_argument("--device", default="cpu", help="such as cuda")
    parser.add_argument("--dask", metavar="ADDRESS", help="scheduler whose workers share surfaces")
    parser.add_argument(
        "--part", type=_part, metavar="K/N",
        help="make only every N-th network, beginning with the K-th, and no table; run the parts "
        "at the same time, then the command without --part",
    )  # fmt: skip
    parser.add_argument(
        "--finished", action="store_true",
        help="judge what is there: no more networks are trained, and no more maps made",
    )  # fmt: skip
    parser.add_argument(
        "--no-maps", dest="maps", action="store_false",
        help="make no more convexity maps, which take most of the time; finished ones count",
    )  # fmt: skip
    parser.add_argument(
        "--write", action="store_true", help="store table and figure in the repository"
    )
    return parser.parse_args(words)


def main() -> int:
    arguments = arguments_of()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return exit_status(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Make what is missing, print the table, and draw the figure."""
    preset = PRESETS[arguments.preset]
    if arguments.seeds is not None:
        if arguments.seeds < 1:
            raise LossLandscapeError(f"--seeds is {arguments.seeds}; give at least 1")
        preset = replace(preset, seeds=arguments.seeds)
    data = data_of(arguments.data, preset.pixels, arguments.data_root)
    folder = arguments.folder / f"{arguments.preset}_{arguments.data}"
    folder.mkdir(parents=True, exist_ok=True)
    part = arguments.part
    name = "study" if part is None else f"part{part[0]}of{part[1]}"
    with OutputLock(folder / name), _workers(arguments.dask) as executor:
        study = Study(
            preset,
            data,
            folder,
            arguments.device,
            executor,
            arguments.maps and not arguments.finished,
            not arguments.finished,
        )
        if part is not None:
            return make_part(study, part)
        content = content_of(study, arguments.preset)
        path = RESULTS if arguments.write else folder / "score_card.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
        print("\n".join(page.table(content)))
        from benchmarks.li import exports, figures  # matplotlib is slow to import

        print(figures.draw(study, figures.FOLDER if arguments.write else folder))
        of_figure = arguments.write and exports.is_of_figure(study)
        print(*exports.export(study, exports.FOLDER if of_figure else folder / "figure8"))
        if arguments.write:
            page.write(content)
        if arguments.write and not of_figure:
            print("the data of Figure 8 stay: it has the networks of --preset tiny")


@contextmanager
def _workers(address: str | None) -> Iterator[Executor | None]:
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise LossLandscapeError(f"--dask needs Dask ({error}): pip install distributed") from error
    with Client(address) as client:
        yield client.get_executor()


def _part(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r}: give K/N with K from 1 to N, such as 1/2")
    return int(found[1]), int(found[2])


if __name__ == "__main__":
    sys.exit(main())
