"""Names, JSON and archives of unknown origin."""

import zipfile

import pytest

from losslandscape.errors import FileFormatError
from losslandscape.files import guarded_reading
from losslandscape.files.guarded_reading import check_zip, file_inside, read_json_object


@pytest.mark.parametrize("name", ["a", "a/b.safetensors", "a..b/c", ".hidden"])
def test_names_inside_of_the_folder(tmp_path, name):
    assert file_inside(tmp_path, name, "list") == tmp_path / name


@pytest.mark.parametrize(
    "name",
    ["", "/a", "..", "a/../b", "../a", "C:a", "C:\\a", "\\\\host\\a", "a\\..\\b", "\\a", "a\0", 3,
     None, ["a"]],
)  # fmt: skip
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(FileFormatError, match=r"some\.json"):
        file_inside(tmp_path, name, "some.json")


def test_a_json_object_and_what_is_none(tmp_path, monkeypatch):
    file = tmp_path / "x.json"
    file.write_text('{"a": [1, 2]}')
    assert read_json_object(file, "a list") == {"a": [1, 2]}
    for text in ("[1]", "3", '"a"', "null", "{", "[" * 100_000):
        file.write_text(text)
        with pytest.raises(FileFormatError, match=r"x\.json.*a list"):
            read_json_object(file, "a list")
    file.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(FileFormatError, match="a list"):
        read_json_object(file, "a list")
    with pytest.raises(FileFormatError, match=r"none\.json"):
        read_json_object(tmp_path / "none.json", "a list")
    monkeypatch.setattr(guarded_reading, "MAX_TEXT_BYTES", 8)
    file.write_text('{"a": 1}')
    assert read_json_object(file, "a list") == {"a": 1}
    file.write_text('{"a": 12}')
    with pytest.raises(FileFormatError, match="larger"):
        read_json_object(file, "a list")


def archive(path, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("first", b"abc" * 100)
        file.writestr("second", bytes(5000))
    return path


def test_archives_that_are_stored_and_whole_pass(tmp_path):
    check_zip(archive(tmp_path / "x.pt"), "torch.save")


def test_compressed_and_damaged_archives_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"torch\.save .*not read"):
        check_zip(archive(tmp_path / "c.pt", zipfile.ZIP_DEFLATED), "torch.save")
    whole = archive(tmp_path / "x.pt").read_bytes()
    place = whole.index(b"abcabc")
    (tmp_path / "y.pt").write_bytes(whole[:place] + b"x" + whole[place + 1 :])
    with pytest.raises(FileFormatError, match="'first'"):
        check_zip(tmp_path / "y.pt", "torch.save")
    (tmp_path / "z.pt").write_bytes(whole[:-30])
    with pytest.raises(FileFormatError, match=r"torch\.save"):
        check_zip(tmp_path / "z.pt", "torch.save")


def test_an_archive_that_claims_more_than_its_bytes_is_refused(tmp_path):
    whole = bytearray(archive(tmp_path / "x.pt").read_bytes())
    # the size after unpacking, in the central directory's entry of the second member
    entry = whole.rindex(b"PK\x01\x02")
    whole[entry + 24 : entry + 28] = (len(whole)).to_bytes(4, "little")
    (tmp_path / "y.pt").write_bytes(bytes(whole))
    with pytest.raises(FileFormatError, match="not read"):
        check_zip(tmp_path / "y.pt", "torch.save")
