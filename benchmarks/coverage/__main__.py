"""``python -m benchmarks.coverage``: run the study, or one trial again."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.coverage import page, registry, runner

JOURNAL = Path("study_runs/coverage.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the trials; minutes")
    parser.add_argument("--size", type=float, help="share of the trials, 1 by default")
    parser.add_argument("--only", action="append", default=[], help="key of a claim; repeatable")
    parser.add_argument("--list", action="store_true", help="print the keys of the claims")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run finished")
    parser.add_argument("--journal", type=Path, default=JOURNAL)
    parser.add_argument(
        "--again", nargs=3, metavar=("SEED", "CLAIM", "FAMILY"), help="repeat one trial"
    )
    arguments = parser.parse_args()
    if arguments.list:
        for claim in registry.claims():
            print(f"{claim.key}: {claim.sentence}")
        return
    if arguments.again:
        seed, key, name = arguments.again
        print(registry.claim(key).family(name).trial(int(seed)))
        return
    share = arguments.size or (1 / runner._QUICK if arguments.quick else 1.0)
    runner.run(arguments.journal, arguments.only, share, arguments.processes, fresh=arguments.fresh)
    page.main()


if __name__ == "__main__":
    main()
