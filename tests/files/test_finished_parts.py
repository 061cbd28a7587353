"""The parts of an interrupted run are used by the same run, and by no other."""

import pytest

from losslandscape.errors import LossLandscapeError
from losslandscape.files.finished_parts import finished_parts
from losslandscape.files.journal import Journal

RECIPE = {"of": "squares", "bounds": (0, 3)}


def interrupted(path, *numbers, error=KeyboardInterrupt, recipe=RECIPE):
    def run():
        with finished_parts(path, recipe, 1, "rows") as (_, keep):
            for number in numbers:
                keep(number, bytes([number]))
            raise error("as it was")

    with pytest.raises(error) as caught:
        run()
    return str(caught.value)


def found(path, recipe=RECIPE, record_bytes=1):
    with finished_parts(path, recipe, record_bytes, "rows") as (records, _):
        return dict(records)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_same_run_has_all_parts_again_and_leaves_nothing(tmp_path, error):
    path = tmp_path / "x.journal"
    interrupted(path, 3, 1, error=error)
    interrupted(path, 2, error=error)
    assert found(path) == {3: b"\x03", 1: b"\x01", 2: b"\x02"}
    assert list(tmp_path.iterdir()) == []
    assert found(path) == {}


def test_an_interrupt_says_how_many_are_saved(tmp_path):
    path = tmp_path / "x.journal"
    assert interrupted(path) == "as it was"
    assert interrupted(path, 1, 2).startswith("2 rows are saved in ")
    assert interrupted(path, 3).startswith("3 rows are saved in ")
    assert interrupted(path).startswith("3 rows are saved in ")
    assert interrupted(path, 4, error=ValueError) == "as it was"


@pytest.mark.parametrize(
    ("recipe", "record_bytes"), [({**RECIPE, "of": "cubes"}, 1), (RECIPE, 2), ({}, 1)]
)
def test_another_run_starts_anew(tmp_path, recipe, record_bytes):
    path = tmp_path / "x.journal"
    interrupted(path, 3)
    assert found(path, recipe, record_bytes) == {}


def test_a_damaged_journal_is_replaced(tmp_path):
    path = tmp_path / "x.journal"
    interrupted(path, 3)
    path.write_bytes(path.read_bytes()[:30])
    interrupted(path, 4)
    assert found(path) == {4: b"\x04"}


@pytest.mark.parametrize("content", [b"", b"something else"])
def test_a_file_that_is_no_journal_stays(tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(LossLandscapeError, match="not a losslandscape journal"):
        found(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_journal_of_other_work_stays(tmp_path):
    path = tmp_path / "x.nc.journal"
    with Journal.create(path, {"recipe": {}, "record_bytes": 4}) as journal:
        journal.append(0, b"1234")
    before = path.read_bytes()
    with pytest.raises(LossLandscapeError, match="finished parts of other work"):
        found(path)
    assert path.read_bytes() == before


def test_a_folder_at_the_path_is_refused(tmp_path):
    with pytest.raises(LossLandscapeError, match="is a folder"):
        found(tmp_path)


def test_two_runs_at_once_are_refused(tmp_path):
    path = tmp_path / "x.journal"
    with (
        finished_parts(path, RECIPE, 1),
        pytest.raises(LossLandscapeError, match="has been writing it since") as caught,
        finished_parts(path, RECIPE, 1),
    ):
        pass
    assert "another output" not in str(caught.value)


def test_without_a_file_nothing_is_kept():
    with finished_parts(None, RECIPE, 1) as (records, keep):
        keep(1, b"\x01")
        assert records == {}
    assert interrupted(None, 1) == "as it was"


def test_a_path_is_taken_as_text(tmp_path):
    interrupted(str(tmp_path / "x.journal"), 1, 2)
    assert found(str(tmp_path / "x.journal")) == {1: b"\x01", 2: b"\x02"}
