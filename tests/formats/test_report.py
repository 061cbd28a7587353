"""Reports as JSON, CSV and lines."""

import json
from pathlib import Path

import numpy as np

from losslandscape import Grid, Landscape
from losslandscape.formats.report import loss_sha256, plain, table_lines, write_csv, write_json


def test_numbers_that_json_lacks_are_null_or_text(tmp_path):
    report = {
        "a": np.array([[1, 2], [3, 4]]), 1: (np.nan, np.inf, -np.inf), "p": Path("x/y"),
        "n": np.float32(0.5), "b": np.bool_(True), "none": None, "s": "text",
    }  # fmt: skip
    expected = {
        "a": [[1, 2], [3, 4]], "1": [None, "Infinity", "-Infinity"], "p": str(Path("x/y")),
        "n": 0.5, "b": True, "none": None, "s": "text",
    }  # fmt: skip
    assert plain(report) == expected
    write_json(tmp_path / "r.json", report)
    assert json.loads((tmp_path / "r.json").read_text()) == expected


def test_words_go_to_the_left_and_numbers_to_the_right():
    rows = [
        ("a", 1.0, True, None),
        ("long", 123456.0, False, float("nan")),
        ("b", 2, True, (1, 2.5)),
    ]
    header, first, *others = table_lines(("name", "n", "ok", "where"), rows)
    assert header == "name          n   ok     where"
    assert first.startswith("a             1  yes     ")
    assert len(first) == len(header)
    assert others[0].startswith("long  1.235e+05   no     ")
    assert others[1] == "b             2  yes  (1, 2.5)"
    assert list(table_lines(("a", "longer"), [])) == ["a  longer"]
    mixed = list(table_lines(("x", "y"), [("a", "word"), (1, 2)]))
    assert mixed == ["x  y", "a  word", "1  2"]


def test_a_table_as_csv(tmp_path):
    write_csv(tmp_path / "t.csv", ("a", "b"), [(1, None), ("x,y", 2.5)])
    assert (tmp_path / "t.csv").read_text() == 'a,b\n1,\n"x,y",2.5\n'


def test_the_hash_is_of_the_losses_alone():
    def of(loss, **options):
        return Landscape(
            Grid.line(2), {"loss": np.array(loss), **options}, np.ones(2, int), np.eye(1)
        )

    assert loss_sha256(of([1.0, 2.0])) == loss_sha256(of([1.0, 2.0], accuracy=np.ones(2)))
    assert loss_sha256(of([1.0, 2.0])) != loss_sha256(of([1.0, 2.5]))
