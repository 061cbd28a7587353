"""Nothing that is read is trusted: damaged and hostile files become errors, never values."""

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import torch
from tests.fuzz import landscape_files
from tests.fuzz.mutations import mutated

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.guarded_reading import check_zip, file_inside, read_json_object
from losslandscape.formats import (
    file_seal,
    guarded_child,
    guarded_netcdf,
    netcdf,
    netcdf_content,
)
from losslandscape.landscape.landscape import Landscape
from losslandscape.training.weights import read_weights

needs_limits = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits of a process as Linux keeps them"
)


@pytest.fixture
def of_another(monkeypatch):
    """No file counts as this process's own."""
    monkeypatch.setattr(guarded_netcdf, "remember_own", lambda path: None)
    monkeypatch.setattr(guarded_netcdf, "_written", {})


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("kind", ["sealed", "unsealed", "old"])
def test_a_whole_file_is_read_by_the_child_to_the_bit(tmp_path, of_another, dimensions, kind):
    landscape = landscape_files.small_landscape(dimensions)
    path = landscape_files.write(landscape, tmp_path / "x.nc", kind)
    found = Landscape.open(path)
    assert landscape_files.everything(found) == landscape_files.everything(landscape)
    assert found.fields["loss"].flags.writeable


@needs_limits
@pytest.mark.parametrize(("kind", "first"), [("sealed", 0), ("unsealed", 1000)])
def test_150_damaged_files_of_each_kind(tmp_path, of_another, kind, first):
    landscape = landscape_files.small_landscape()
    expected = landscape_files.everything(landscape)
    content = landscape_files.write(landscape, tmp_path / "x.nc", kind).read_bytes()
    found = {}
    for number in range(first, first + 150):
        (tmp_path / "damaged.nc").write_bytes(mutated(content, number))
        found[number] = landscape_files.outcome(tmp_path / "damaged.nc", expected)
    good = (landscape_files.REFUSED, landscape_files.UNCHANGED)
    assert {n: o for n, o in found.items() if o not in good} == {}
    assert list(found.values()).count(landscape_files.REFUSED) > 75  # it can see damage


def test_the_judge_sees_a_change(tmp_path, of_another):
    landscape = landscape_files.small_landscape()
    expected = landscape_files.everything(landscape)
    landscape.fields["accuracy"].flat[3] += 1e-15
    path = landscape_files.write(landscape, tmp_path / "x.nc")
    assert landscape_files.outcome(path, expected) == "taken for good, but changed"


def test_own_files_need_no_child_until_they_change(tmp_path, monkeypatch):
    def no_child(*_):
        raise AssertionError("a child was started")

    monkeypatch.setattr(guarded_child, "read", no_child)
    path = landscape_files.write(landscape_files.small_landscape(), tmp_path / "x.nc")
    Landscape.open(path)
    path.write_bytes(path.read_bytes())
    with pytest.raises(AssertionError, match="child was started"):
        Landscape.open(path)


def test_what_fletcher32_does_not_cover_is_covered(tmp_path, of_another):
    path = landscape_files.write(landscape_files.small_landscape(), tmp_path / "x.nc", "unsealed")
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["loss"].units = "2"
    with pytest.raises(FileFormatError, match="its contents differ from what was written"):
        Landscape.open(path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.delncattr(netcdf_content.CHECKSUM)
    Landscape.open(path)


def test_a_file_without_its_last_line_is_still_a_landscape_file(tmp_path):
    path = landscape_files.write(landscape_files.small_landscape(), tmp_path / "x.nc")
    assert file_seal.check(path) is True
    with netCDF4.Dataset(path) as dataset:
        assert dataset["loss"].shape == (5, 6)


@needs_limits
def test_a_small_file_that_declares_much_is_refused_before_memory_is_taken(tmp_path, of_another):
    path = tmp_path / "bomb.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        for name in ("alpha", "beta"):
            dataset.createDimension(name, 2**20)
        dataset.createVariable("loss", "f8", ("beta", "alpha"), chunksizes=(64, 64))
    assert path.stat().st_size < 100_000
    with pytest.raises(FileFormatError, match="declares 8,796,093,022,208 bytes"):
        Landscape.open(path)


@needs_limits
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed the library.*SIGSEGV"),
        ("import time; time.sleep(60)", "could not be read within 1 s"),
        (
            "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass",
            "computing time|could not be read within",
        ),
        ("raise SystemExit(3)", "exit code 3"),
        ("import sys; sys.stdout.buffer.write(b'\\xff' * 100)", "could not be read"),
    ],
)
def test_a_child_that_crashes_hangs_or_lies_is_an_error(
    tmp_path, of_another, monkeypatch, program, words
):
    path = landscape_files.write(landscape_files.small_landscape(), tmp_path / "x.nc")
    (tmp_path / "child.py").write_text(program)
    monkeypatch.setattr(guarded_child, "_PROGRAM", tmp_path / "child.py")
    if "SIGSEGV" not in program and "SystemExit" not in program:
        clock = (1.0 if "sleep" in program else 5.0, 1e9)
        monkeypatch.setattr(netcdf_content, "LIMITS", netcdf_content.LIMITS._replace(clock=clock))
    with pytest.raises(FileFormatError, match=words):
        Landscape.open(path)


@needs_limits
def test_the_child_opens_no_other_file(tmp_path):
    """External links and storage name other files; the limit leaves no descriptor for them."""
    program = (
        "import sys\n"
        "from losslandscape.formats import limited_process, netcdf_content\n"
        "limited_process.limit_this_process(netcdf_content.LIMITS, 1000)\n"
        "first = open(sys.argv[1])\n"
        "try: open(sys.argv[1]); print('opened')\n"
        "except OSError as error: print(error.errno)\n"
        "first.close()\n"
        "try: open(sys.argv[1] + '.new', 'w').write('x' * 9); print('written')\n"
        "except BaseException as error: print('not written')\n"
    )
    (tmp_path / "x").write_text("x")
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.stdout.splitlines()[0] == "24"  # too many open files
    assert not (tmp_path / "x.new").exists() or (tmp_path / "x.new").stat().st_size == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v, p: v.update(status=v["status"]._replace(dimensions=("beta", "x"))), "status"),
        (lambda v, p: v["trajectory_index"].values.__setitem__(0, 2**30), "trajectory_index"),
        (lambda v, p: v["alpha"].values.__setitem__(1, 5.0), "'alpha' differs from the grid's"),
        (lambda v, p: p.update(title=["x"]), "'title' in its provenance has the wrong type, list"),
        (
            lambda v, p: p.update(grid={"shape": [10**18, 6], "bounds": [[-1, 1]] * 2}),
            "not different",
        ),
        (lambda v, p: p.update(grid={"shape": [5], "bounds": 1}), "pass a pair of numbers"),
        (lambda v, p: p.update(format_version="1"), "'format_version' in its provenance"),
    ],
)
def test_content_that_does_not_fit_together(tmp_path, monkeypatch, change, words):
    import json

    path = landscape_files.write(landscape_files.small_landscape(), tmp_path / "x.nc")
    variables = guarded_netcdf.read(path)
    provenance = json.loads(variables["provenance"].values.tobytes())
    change(variables, provenance)
    text = np.frombuffer(json.dumps(provenance).encode(), "S1")
    variables["provenance"] = variables["provenance"]._replace(values=text)
    monkeypatch.setattr(guarded_netcdf, "read", lambda path: variables)
    with pytest.raises(FileFormatError, match=words):
        netcdf.read(path)


def test_a_pause_is_no_time(monkeypatch):
    """The limit is counted in slices, each of which a pause of this process shortens or ends."""

    class Child:
        killed = False

        def kill(self):
            self.killed = True

    class Event:
        def __init__(self, ends_after):
            self.left = ends_after

        def wait(self, seconds):
            assert seconds == guarded_child._SLICE
            self.left -= 1
            return self.left < 0

    for ends_after, killed in ((9, False), (10, True)):
        child = Child()
        guarded_child.end_late(child, 10 * guarded_child._SLICE, Event(ends_after))
        assert child.killed == killed


class Runs:
    """A pickle of it creates a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_malicious_weights_are_not_run(tmp_path, protocol, zipped):
    marker = tmp_path / "ran"
    torch.save(
        {"weight": torch.zeros(2), "x": Runs(marker)}, tmp_path / "x.pt",
        pickle_protocol=protocol, _use_new_zipfile_serialization=zipped,
    )  # fmt: skip
    with pytest.raises(FileFormatError):
        read_weights(tmp_path / "x.pt")
    assert not marker.exists()
    torch.load(tmp_path / "x.pt", weights_only=False)  # it would have
    assert marker.exists()


@pytest.mark.parametrize("name", ["x.pt", "x.npy", "x.safetensors", "x.ckpt"])
def test_malicious_pickles_by_any_name_are_not_run(tmp_path, name):
    marker = tmp_path / "ran"
    if name.endswith(".npy"):
        np.save(tmp_path / name, np.array([Runs(marker)], object), allow_pickle=True)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(Runs(marker)))
    for read in (read_weights, Landscape.open):
        with pytest.raises(LossLandscapeError):
            read(tmp_path / name)
    assert not marker.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_weights_are_errors(tmp_path, suffix):
    weights = {"a": torch.arange(50.0), "b": torch.ones(3, 4)}
    path = tmp_path / f"x{suffix}"
    if suffix == ".pt":
        torch.save(weights, path)
    else:
        from losslandscape.training.weights import save_weights

        save_weights(weights, path)
    content = path.read_bytes()
    refused = 0
    for number in range(150):
        path.write_bytes(mutated(content, number))
        try:
            found = read_weights(path)
        except LossLandscapeError:
            refused += 1
            continue
        if suffix == ".pt":  # its members have checksums; safetensors has none
            assert {n: (t.shape, t.tolist()) for n, t in found.items()} == {
                n: (t.shape, t.tolist()) for n, t in weights.items()
            }, number
    assert refused > 40


def test_an_archive_that_unfolds_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**7)
    with pytest.raises(FileFormatError, match="more content than the file can hold"):
        read_weights(tmp_path / "x.pt")
    whole = io.BytesIO()
    torch.save({"a": torch.ones(3)}, whole)
    (tmp_path / "y.pt").write_bytes(whole.getvalue())
    check_zip(tmp_path / "y.pt", "torch.save")


def test_a_safetensors_header_that_declares_much(tmp_path):
    header = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (tmp_path / "y.safetensors").write_bytes(struct.pack("<Q", 2**63) + header)
    for name in "xy":
        with pytest.raises(FileFormatError, match="damaged, or not a safetensors file"):
            read_weights(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/x", "\\\\host\\x", "C:x", "a\0b", "", None]
)
def test_names_that_leave_the_folder(name):
    with pytest.raises(FileFormatError, match="outside its folder"):
        file_inside(Path("f"), name, "list")


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{", "\xff", '"x"'])
def test_json_that_is_no_object(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FileFormatError, match=r"x\.json: damaged, or not a list"):
        read_json_object(tmp_path / "x.json", "a list")


def test_json_larger_than_any(tmp_path):
    with open(tmp_path / "x.json", "wb") as file:
        file.truncate(2**40)
    assert os.path.getsize(tmp_path / "x.json") == 2**40
    with pytest.raises(FileFormatError, match="larger than any such file"):
        read_json_object(tmp_path / "x.json", "a list")
