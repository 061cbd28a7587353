"""A trajectory's list: what is read, and what is refused."""

import hashlib
import json

import pytest
import torch

from losslandscape.errors import FileFormatError
from losslandscape.training.manifest import (
    FORMAT,
    MANIFEST,
    VERSION,
    WITH_BASE,
    descriptions,
    file_sha256,
    manifest_sha256,
    read_manifest,
)


def manifest():
    checkpoints = [
        {"step": step, "file": f"{step}", "bytes": 8, "sha256": "0", "numbers": {"loss": "nan"}}
        for step in (0, 0.5, 3.0)
    ]
    return {
        "format": FORMAT,
        "format_version": VERSION,
        "parameters": [{"name": "weight", "dtype": "float32", "shape": [2, 3]}],
        "buffers": [{"name": "count", "dtype": "int64", "shape": []}],
        "checkpoints": checkpoints,
    }


@pytest.fixture
def read(tmp_path):
    def written_and_read(content, sealed=False):
        if sealed:
            content["sha256"] = manifest_sha256(content)
        (tmp_path / MANIFEST).write_text(json.dumps(content))
        return read_manifest(tmp_path / MANIFEST)

    return written_and_read


@pytest.mark.parametrize("sealed", [False, True])
def test_a_list_is_read_as_it_is(read, sealed):
    found = read(manifest(), sealed)
    found.pop("sha256", None)
    assert found == manifest()


def test_a_list_of_no_checkpoint_and_a_shape_of_no_length_are_read(read):
    content = manifest()
    content["checkpoints"] = []
    content["parameters"][0]["shape"] = [0]
    assert read(content)["checkpoints"] == []


def test_the_checksum_is_of_everything_but_itself():
    content = {"b": 1, "a": "é"}
    expected = hashlib.sha256(rb'{"a": "\u00e9", "b": 1}').hexdigest()
    assert manifest_sha256(content) == manifest_sha256({**content, "sha256": "x"}) == expected


def test_a_changed_list_is_damaged(read):
    content = manifest()
    content["sha256"] = manifest_sha256(content)
    content["checkpoints"][1]["step"] = 1
    with pytest.raises(FileFormatError, match="its checksum differs"):
        read(content)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("format", "another", "expected format 'losslandscape trajectory', found 'another'"),
        ("format", None, "found None"),
        (
            "format_version",
            WITH_BASE + 1,
            f"format version {WITH_BASE + 1}, .* reads versions 1 and 2",
        ),
        ("format_version", VERSION - 1, f"format version {VERSION - 1}, .* reads versions 1 and 2"),
        ("format_version", WITH_BASE, "not the list of a trajectory"),
    ],
)
def test_another_format_or_version_is_named(read, entry, value, message):
    with pytest.raises(FileFormatError, match=message):
        read({**manifest(), entry: value}, sealed=True)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("parameters",), None),
        (("parameters", 0, "name"), 1),
        (("parameters", 0, "dtype"), None),
        (("parameters", 0, "shape"), 3),
        (("parameters", 0, "shape", 1), -1),
        (("parameters", 0, "shape", 1), 2.0),
        (("parameters", 0, "shape", 1), True),
        (("buffers", 0, "name"), None),
        (("buffers", 0, "shape"), ["2"]),
        (("buffers",), 3),
        (("checkpoints",), None),
        (("checkpoints", 1, "step"), 0),
        (("checkpoints", 1, "step"), 4),
        (("checkpoints", 1, "step"), "inf"),
        (("checkpoints", 1, "step"), 10**400),
        (("checkpoints", 2, "step"), "nan"),
        (("checkpoints", 0, "bytes"), 8.0),
        (("checkpoints", 0, "sha256"), 1),
        (("checkpoints", 0, "numbers"), [1]),
        (("checkpoints", 2, "numbers", "loss"), "low"),
        (("checkpoints", 2, "numbers", "loss"), None),
    ],
)
def test_a_wrong_entry_is_refused(read, place, value):
    content = manifest()
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(FileFormatError, match="damaged, or not the list of a trajectory"):
        read(content, sealed=True)


@pytest.mark.parametrize(
    "place", [(), ("parameters", 0), ("buffers", 0), ("checkpoints", 0), ("checkpoints", 2)]
)
def test_a_missing_entry_is_refused(read, place):
    inner = manifest()
    for key in place:
        inner = inner[key]
    for name in set(inner) - {"format", "format_version", "file"}:
        content = manifest()
        inner = content
        for key in place:
            inner = inner[key]
        del inner[name]
        with pytest.raises(FileFormatError, match="damaged, or not the list"):
            read(content, sealed=True)


def test_a_folder_without_a_list_is_no_trajectory(tmp_path):
    with pytest.raises(FileFormatError, match=r"not a recorded trajectory \(trajectory\.json is"):
        read_manifest(tmp_path / MANIFEST)


def test_tensors_are_described_by_name_shape_and_type():
    tensors = {"a": torch.zeros(2, 3), "b": torch.tensor(1), "c": torch.zeros(0).bfloat16()}
    assert descriptions(tensors) == [
        {"name": "a", "shape": [2, 3], "dtype": "float32"},
        {"name": "b", "shape": [], "dtype": "int64"},
        {"name": "c", "shape": [0], "dtype": "bfloat16"},
    ]


@pytest.mark.parametrize("size", [0, 5, 2**20, 2**21 + 3])
def test_the_checksum_of_a_file_is_that_of_its_bytes(tmp_path, size):
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "x").write_bytes(content)
    assert file_sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileFormatError, match="cannot be read: No such file"):
        file_sha256(tmp_path / "x")
