"""Files of other tools are parsed by a process of its own: same landscape, or an error."""

import pickle
import struct
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz import landscape_files
from tests.fuzz.forked_child import forked_children
from tests.fuzz.mutations import mutated

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.formats import guarded_child
from losslandscape.formats.imports import readers
from losslandscape.formats.imports.source import Options, Source
from losslandscape.landscape.landscape import Landscape

needs_limits = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits of a process as Linux keeps them"
)
BOUNDS = [(-1.0, 1.0), (0.0, 6.0)]
SECONDS = 20.0  # far below the limits; a damaged file that takes longer would be a finding


def write_h5(path):
    """A surface as Li et al.'s program leaves it, chunked and compressed in part."""
    axis = np.linspace(-1, 1, 7)
    losses = np.random.default_rng(0).random((7, 7))
    losses[2, 3] = np.nan
    with h5py.File(path, "w") as file:
        file["dir_file"] = "weights.h5"
        file["xcoordinates"], file["ycoordinates"] = axis, axis
        file["train_loss"] = losses
        file.create_dataset("train_acc", data=100 - losses, chunks=(7, 7), compression="gzip")
        file.attrs["note"] = "x" * 40
        group = file.create_group("more")
        group["deep"] = np.arange(20)
    return {}


def write_npz(path):
    values = np.random.default_rng(1).random((4, 5))
    with open(path, "wb") as file:
        np.savez_compressed(
            file, loss=values, other=values.astype("f4"), alpha=np.arange(5.0), beta=np.arange(4.0)
        )
    return {}


def write_npy(path):
    with open(path, "wb") as file:
        np.save(file, np.asfortranarray(np.random.default_rng(2).random((4, 5)).astype(">f4")))
    return {"bounds": BOUNDS}


def write_csv(path):
    path.write_text("alpha,beta,loss,n\n0,0,1,5\n1,0,nan,6\n0,1,inf,7\n", encoding="utf-8")
    return {}


def write_vti(path):
    landscape = landscape_files.small_landscape()
    (exported,) = landscape.export(path.parent, ["vti"])
    exported.rename(path)
    return {}


def write_vtp(path):
    path.write_text(
        '<VTKFile type="PolyData"><PolyData><Piece><PointData><DataArray Name="zvalue" '
        'format="ascii">1 2 3 nan</DataArray></PointData><Points><DataArray Name="Points" '
        'format="ascii">0 0 1 1 0 2 0 1 3 1 1 4</DataArray></Points></Piece></PolyData></VTKFile>',
        encoding="utf-8",
    )
    return {}


WRITERS = [write_h5, write_npz, write_npy, write_csv, write_vti, write_vtp]


@pytest.mark.parametrize("write", WRITERS)
def test_the_process_of_its_own_finds_what_this_one_finds(tmp_path, write):
    options = write(tmp_path / "x")
    here = readers.read(Source(tmp_path / "x"), None, Options(**options), "a title")
    found = Landscape.imported(tmp_path / "x", title="a title", **options)
    assert landscape_files.everything(found) == landscape_files.everything(here)
    assert found.path is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(scope="module", params=WRITERS)
def whole(request, folder):
    """A file's content and the options that it needs."""
    options = request.param(folder / "whole")
    return (folder / "whole").read_bytes(), options


def imported(path, **options):
    """What a damaged file gives: a landscape, whose values nobody can vouch for, or an error."""
    started = time.monotonic()
    try:
        with forked_children():
            found = Landscape.imported(path, **options)
    except LossLandscapeError as error:
        found, message = None, str(error)
    if found is None:
        assert str(path) in message
        assert len(message) < 2000
    assert time.monotonic() - started < SECONDS
    return found


@needs_limits
@given(number=st.integers(0, 10**6))
@settings(deadline=None, max_examples=100)
def test_damaged_hdf5(folder, number):
    if not (folder / "whole.h5").exists():
        write_h5(folder / "whole.h5")
    (folder / "x.h5").write_bytes(mutated((folder / "whole.h5").read_bytes(), number))
    imported(folder / "x.h5")


@needs_limits
@given(share=st.floats(0, 1, exclude_max=True))
@settings(deadline=None, max_examples=40)
def test_truncated_hdf5(folder, share):
    if not (folder / "whole.h5").exists():
        write_h5(folder / "whole.h5")
    content = (folder / "whole.h5").read_bytes()
    (folder / "x.h5").write_bytes(content[: int(share * len(content))])
    assert imported(folder / "x.h5") is None


@needs_limits
def test_damaged_files_of_each_kind(folder, whole):
    content, options = whole
    refused = 0
    for number in range(30):
        (folder / "x").write_bytes(mutated(content, number))
        refused += imported(folder / "x", **options) is None
    assert refused > 2  # it can see damage


@needs_limits
@given(content=st.binary(max_size=200), start=st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"PK"]))
@settings(deadline=None, max_examples=25)
def test_any_bytes_are_one_message(folder, content, start):
    (folder / "any").write_bytes(start + content)
    for format_name in (None, "npy", "npz", "csv", "li-h5", "li-vtp", "landscaper", "vti"):
        with forked_children(), pytest.raises(LossLandscapeError):
            Landscape.imported(folder / "any", format_name)


def npy_header(shape):
    text = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def test_headers_that_declare_terabytes(tmp_path):
    for shape in ((2**20, 2**20), (2**62, 2**62), (-1, 5)):
        (tmp_path / "x.npy").write_bytes(npy_header(shape) + bytes(800))
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.write(tmp_path / "x.npy", "loss.npy")
        for name in ("x.npy", "x.npz"):
            with forked_children(), pytest.raises(FileFormatError):
                Landscape.imported(tmp_path / name, bounds=BOUNDS)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["xcoordinates"] = file["ycoordinates"] = np.linspace(-1, 1, 2**10)
        file.create_dataset("train_loss", (2**10, 2**10, 2**20), "f8", chunks=(64, 64, 64))
        file.create_dataset("test_loss", (2**20, 2**20), "f8", chunks=(64, 64))
    with forked_children(), pytest.raises(FileFormatError, match="no array of numbers on a grid"):
        Landscape.imported(tmp_path / "x.h5")


class Runs:
    """A pickle of it creates a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_pickled_objects_are_not_run(tmp_path):
    marker = tmp_path / "ran"
    hostile = np.array([[Runs(marker)] * 2] * 2, object)
    np.save(tmp_path / "x.npy", hostile, allow_pickle=True)
    np.savez(tmp_path / "x.npz", loss=hostile)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(hostile))
    for name, words in (("npy", "Python objects"), ("npz", "Python objects"), ("pkl", "a pickle")):
        with forked_children(), pytest.raises(FileFormatError, match=words):
            Landscape.imported(tmp_path / f"x.{name}", bounds=BOUNDS)
    assert not marker.exists()
    np.load(tmp_path / "x.npy", allow_pickle=True)  # it would have
    assert marker.exists()


READER = """\
import os, signal, time
from losslandscape.formats.limited_process import Limits
LIMITS = Limits(10, 10**6, 2, computing=(2, 1e9), clock=({seconds}, 1e9))
prepare = lambda: None
def send(files, options, most, sender):
    {does}
"""


@needs_limits
@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed the library.*SIGSEGV"),
        ("time.sleep(60)", "could not be read within 3 s"),
        ("while True: pass", "more computing time"),
        ("x = [bytearray(2**28) for _ in range(100)]", "needs more memory"),
        ("f = open(files[0]); open(files[0])", "Too many open files"),
        ("os.write(os.open(files[0] + '.new', os.O_CREAT | os.O_WRONLY), b'x')", "File too large"),
        ("sender.start([['a', ['x'], '<f8', [2**40]]])", "larger than declared"),
        ("sender.start([['a', ['x'], '<f8', [3]]])", "fewer variables than announced"),
        ("sender.start([['a', ['x'], '|O', [3]]])", "larger than declared"),
        ("raise ValueError('at 3')", r"\(ValueError: at 3\)"),
        ("os._exit(3)", "exit code 3"),
    ],
)
def test_a_reader_that_crashes_hangs_or_lies_is_an_error(tmp_path, monkeypatch, does, words):
    name = f"reader_{tmp_path.name}".replace("[", "_").replace("]", "_").replace("-", "_")
    seconds = 3 if "sleep" in does else 60
    (tmp_path / f"{name}.py").write_text(READER.format(does=does, seconds=seconds))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "x").write_bytes(b"content")
    with pytest.raises(FileFormatError, match=words):
        guarded_child.read(name, [tmp_path / "x"])
