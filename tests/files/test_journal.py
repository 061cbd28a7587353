"""What a journal keeps of a run cut off anywhere, and what it refuses."""

import errno

import pytest

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.journal import Journal, journal_path, trajectory_journal_path

RECORDS = {3: b"abcd", 0: b"\x00\x01\x02\x03", 7: b"wxyz"}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.nc.journal"
    with Journal.create(path, {"record_bytes": 4, "of": "numbers"}) as journal:
        for number, payload in RECORDS.items():
            journal.append(number, payload)
    return path


def resumed(path):
    journal, records = Journal.resume(path)
    journal.__exit__()
    return records


def test_records_come_back_with_the_header(path):
    assert resumed(path) == RECORDS
    assert Journal.header_of(path) == {"record_bytes": 4, "of": "numbers"}
    journal, _ = Journal.resume(path)
    assert journal.header["of"] == "numbers"
    journal.append(9, b"more")
    journal.__exit__()
    assert resumed(path) == {**RECORDS, 9: b"more"}


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_record_cut_short_is_dropped_and_the_next_takes_its_place(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert resumed(path) == {3: b"abcd", 0: b"\x00\x01\x02\x03"}
    assert path.read_bytes() == whole[:-12]
    journal, _ = Journal.resume(path)
    journal.append(7, b"wxyz")
    journal.__exit__()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("place", range(1, 25))
def test_a_changed_byte_ends_the_records_before_it(path, place):
    content = bytearray(path.read_bytes())
    content[-place] ^= 1
    path.write_bytes(bytes(content))
    expected = dict(list(RECORDS.items())[: 2 if place <= 12 else 1])
    assert resumed(path) == expected


def test_a_changed_header_or_another_file_is_refused(path):
    whole = path.read_bytes()
    header = len(whole) - 3 * 12
    for place in range(header):
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(bytes(content))
        with pytest.raises(FileFormatError, match=r"x\.nc\.journal"):
            Journal.resume(path)
    for length in range(header):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            Journal.header_of(path)
    path.write_bytes(whole[:header])
    assert resumed(path) == {}


class Full:
    """A file on a disk without room."""

    closed = False

    def __init__(self, number):
        self.number = number

    def write(self, data):
        raise OSError(self.number, "what the system says")

    flush = close = lambda self: None


@pytest.mark.parametrize(
    ("number", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)]
)
def test_a_disk_that_cannot_be_written_is_explained(path, number, full):
    journal, _ = Journal.resume(path)
    journal._file.close()
    journal._file = Full(number)
    with pytest.raises(LossLandscapeError, match="what the system says") as caught:
        journal.append(1, b"abcd")
    assert ("space" in str(caught.value)) == full


def test_records_are_on_the_disk_within_two_seconds_of_appending(path, monkeypatch):
    now, synced = [100.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("os.fsync", synced.append)
    journal, _ = Journal.resume(path)
    for later, count in ((1.9, 0), (0.1, 1), (1.9, 1), (2.5, 2)):
        now[0] += later
        journal.append(1, b"abcd")
        assert len(synced) == count
    journal.__exit__()
    assert len(synced) == 3
    journal.__exit__()  # again: it is closed
    assert len(synced) == 3


def test_a_finished_journal_is_removed(path):
    journal, _ = Journal.resume(path)
    journal.remove()
    assert not path.exists()


def test_where_journals_lie():
    assert str(journal_path("a/x.nc")) == "a/x.nc.journal"
    assert str(trajectory_journal_path("a/x.nc")) == "a/x.nc.trajectory.journal"


class OwnError(Exception):
    pass


@pytest.mark.parametrize("error", [OwnError, None])
def test_of_two_errors_the_first_is_reported_and_the_file_is_closed(path, error, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "what the system says")

    def write():
        with journal:
            monkeypatch.setattr("os.fsync", fail)
            if error is not None:
                raise error

    journal, _ = Journal.resume(path)
    with pytest.raises(error or LossLandscapeError):
        write()
    assert journal._file.closed
