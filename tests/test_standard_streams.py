"""Standard output and error that cannot be written to."""

import io
import os
import sys

import pytest

from losslandscape.standard_streams import StandardStreams


@pytest.fixture
def streams(monkeypatch):
    """Runs the block with this as standard output."""

    def of(stream):
        monkeypatch.setattr(sys, "stdout", stream)
        return StandardStreams()

    return of


def test_what_can_be_written_is_written_unchanged(streams, tmp_path):
    file = (tmp_path / "out.txt").open("w", encoding="utf-8")
    with file, streams(file) as found:
        print("é☃", flush=True)
        sys.stdout.writelines(["a\n", "b\n"])
        assert not sys.stdout.isatty()
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "é☃\na\nb\n"
    assert not found.lost
    assert sys.stdout is file


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_does_not_raise_when_the_buffer_is_written(streams):
    file = open("/dev/full", "w")  # noqa: SIM115
    with streams(file) as found:
        print("x" * 100_000)
        print("more", flush=True)
    file.close()  # raises if text is still waiting
    assert found.lost


def test_a_closed_pipe(streams):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as file, streams(file) as found:
        print("nobody reads this")
    assert found.lost


def test_a_stream_that_was_closed_before_the_process_began(streams):
    with streams(None) as found:
        sys.stdout.flush()
        assert not found.lost  # nothing was lost yet
        print("text")
        assert not sys.stdout.isatty()
    assert found.lost


def test_a_closed_file_object(streams):
    file = io.StringIO()
    file.close()
    with streams(file) as found:
        print("text")
    assert found.lost


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", r"\xe9\u2603 \udcff"), ("utf-8", "é☃ " + r"\udcff")]
)
def test_letters_that_the_encoding_lacks_are_escaped(streams, encoding, shown):
    raw = io.BytesIO()
    with streams(io.TextIOWrapper(raw, encoding=encoding)) as found:
        print("é☃ \udcff")
        sys.stdout.flush()
        assert raw.getvalue().decode(encoding) == f"{shown}\n"
    assert not found.lost
