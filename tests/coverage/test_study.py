"""The study's own machinery: counts, verdicts, resuming after a kill, and the page."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks.coverage import claim as claims_module
from benchmarks.coverage import page, registry, runner
from benchmarks.coverage.claim import (
    CONSERVATIVE,
    FAILS,
    FEW,
    HOLDS,
    Claim,
    Family,
    Outcome,
    clopper_pearson,
    row_of,
    seed_of,
    verdict,
)
from benchmarks.coverage.journal import TrialJournal
from scipy import stats

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("times", "trials"), [(0, 20), (3, 20), (20, 20), (950, 1000)])
def test_the_interval_is_that_of_the_binomial_test(times, trials):
    exact = stats.binomtest(times, trials).proportion_ci(0.95, method="exact")
    assert clopper_pearson(times, trials) == pytest.approx((exact.low, exact.high))


def test_a_verdict_needs_the_whole_interval():
    assert verdict(930, 1000, 0.954, 0.954) == FAILS
    assert verdict(930, 1000, 0.954, 0.93) == HOLDS
    assert verdict(990, 1000, 0.954, 0.93) == CONSERVATIVE
    assert verdict(999, 1000, 1.0, 1.0) == FAILS  # one is too many
    assert verdict(1000, 1000, 1.0, 1.0) == HOLDS
    assert verdict(9, 10, 0.95, 0.93) == FEW


def test_a_row_counts_claims_and_lists_the_seeds_of_failures():
    outcomes = [Outcome(True, 1.0), Outcome(None, 9.0), Outcome(False, 3.0, "off"), Outcome(False)]
    row = row_of("c", "f", outcomes)
    assert (row.trials, row.claimed, row.right) == (4, 3, 1)
    assert row.numbers == (3.0, 9.0)
    assert row.failures == ((seed_of("c", "f", 2), "off"), (seed_of("c", "f", 3), ""))


def test_seeds_differ_between_claims_families_and_trials():
    seeds = {seed_of(c, f, i) for c in "ab" for f in "ab" for i in range(100)}
    assert len(seeds) == 400


def test_blocks_hold_every_trial_once():
    trials = {}
    for (key, name, first), size in runner.blocks((), 1.0):
        trials.setdefault((key, name), []).extend(range(first, first + size))
    expected = {(c.key, f.name): list(range(f.repetitions)) for c, f in registry.families()}
    assert {place: sorted(numbers) for place, numbers in trials.items()} == expected


def test_a_line_that_a_kill_cut_off_is_written_again(tmp_path):
    path, block = tmp_path / "trials.jsonl", ("c", "f", 0)
    whole = TrialJournal(path, "code")
    whole.append(block, [Outcome(True, 0.5, "note"), Outcome(None)])
    whole.append(("c", "f", 2), [Outcome(False)])
    content = path.read_bytes()
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        left = TrialJournal(path, "code")
        assert set(left.blocks) <= set(whole.blocks)
        for missing in set(whole.blocks) - set(left.blocks):
            left.append(missing, whole.blocks[missing])
        assert TrialJournal(path, "code").blocks == whole.blocks
    assert TrialJournal(path, "other code").blocks == {}


def test_a_line_with_a_changed_digit_is_not_used(tmp_path):
    path = tmp_path / "trials.jsonl"
    TrialJournal(path, "code").append(("c", "f", 0), [Outcome(True, 0.5)])
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.6"))
    assert TrialJournal(path, "code").blocks == {}


STUDY = """
import sys, time
from pathlib import Path
from benchmarks.coverage import registry, runner
from benchmarks.coverage.claim import Claim, Family, Outcome

def trial(seed):
    time.sleep(0.02)
    return Outcome(seed % 3 > 0, seed / 7.0, f"seed {seed}")

CLAIMS = (Claim("c", "S", "s", 0.6, (Family("f", trial, 40), Family("g", trial, 40))),)
registry.claims = lambda: CLAIMS
runner.code_hash = lambda: "code"

if __name__ == "__main__":
    store = runner.store
    runner.store = lambda *a, **k: store(*a, **k, path=Path(sys.argv[2]))
    runner.run(Path(sys.argv[1]), (), 1.0, 1)
"""


def _runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc of Linux")
def test_a_killed_study_goes_on_to_the_same_results(tmp_path):
    (tmp_path / "study.py").write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'compute'}", "OMP_NUM_THREADS": "1"}

    def start(name):
        command = [sys.executable, str(tmp_path / "study.py"), *(
            str(tmp_path / f"{name}{end}") for end in (".jsonl", ".json")
        )]  # fmt: skip
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    killed = start("killed")
    journal, deadline = tmp_path / "killed.jsonl", time.monotonic() + 300
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        assert time.monotonic() < deadline, "no block was finished"
        time.sleep(0.02)
    workers = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    deadline = time.monotonic() + 100
    while any(_runs(worker) for worker in workers):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.02)
    assert not (tmp_path / "killed.json").exists()
    continued = start("killed")
    said, _ = continued.communicate(timeout=300)
    assert not said.startswith("0 of")
    found = json.loads((tmp_path / "killed.json").read_text())["rows"]
    for row, name in zip(found, "fg"):
        seeds = [seed_of("c", name, i) for i in range(40)]
        wrong = [seed for seed in seeds if seed % 3 == 0]
        assert (row["claim"], row["family"], row["trials"]) == ("c", name, 40)
        assert row["right"] == 40 - len(wrong)
        assert row["numbers"] == pytest.approx([np.median(seeds) / 7, max(seeds) / 7])
        assert row["failures"] == [[seed, f"seed {seed}"] for seed in wrong[:3]]


def test_the_page_is_that_of_the_stored_results():
    content = page.load()
    assert page.PAGE.read_text() == page.text(content)
    stored = {(row.claim, row.family) for row in page.rows_of(content)}
    assert stored == {(claim.key, family.name) for claim, family in registry.families()}


def test_every_claim_that_does_not_hold_is_explained():
    for row in page.rows_of(page.load()):
        one = registry.claim(row.claim)
        if page.judged(one, row) == FAILS:
            assert one.why or one.family(row.family).why, f"{row.claim}, {row.family}"


def test_the_page_shows_verdicts_failures_and_reasons(monkeypatch):
    def never(seed):
        return Outcome(False)

    bad = Claim(
        "bad", "Things", "Nothing is |wrong|.", 1.0, (Family("a|b", never, 9, why="It is."),)
    )
    good = Claim("good", "Things", "All is well.", 0.9, (Family("c", never, 9),), number="size")
    monkeypatch.setattr(registry, "claims", lambda: (bad, good))
    rows = [
        {"claim": "bad", "family": "a|b", "trials": 9, "claimed": 9, "right": 8, "numbers": [],
         "failures": [[5, "it broke"]], "code": "x"},
        {"claim": "good", "family": "c", "trials": 90, "claimed": 80, "right": 80,
         "numbers": [0.123, 4.0], "failures": [], "code": "x"},
    ]  # fmt: skip
    text = page.text({"rows": rows, "versions": {"numpy": "2"}})
    assert "a\\|b" in text
    assert "**does not hold**" in text
    assert "a|b: 1 wrong, for example it broke (seed 5). It is." in text
    assert "100.0 [95.5, 100.0] | 80 of 90 | conservative | 0.12, 4" in text
    assert "all together" not in text  # of one family each


def test_trials_repeat_themselves():
    for one in registry.claims():
        if one.key in ("mean", "position", "oblique directions", "Wasserstein"):
            family = one.families[0]
            first, second = (family.trial(seed_of("again", family.name, 3)) for _ in range(2))
            assert first == second


def test_outcomes_are_pythons_own_types():
    plain = runner._plain(Outcome(np.bool_(True), np.float64(2.0)))
    assert json.dumps([plain.right, plain.number]) == "[true, 2.0]"
    assert claims_module.row_of("c", "f", [plain]).right == 1
