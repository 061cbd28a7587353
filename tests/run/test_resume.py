"""Where resuming is decided: every row of the table in losslandscape/run/resume.py."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.files.journal import Journal, journal_path
from losslandscape.run.resume import claim_output

GRID = Grid.square(3)
RECIPE = {"grid": GRID.to_json(), "subspace": {"seed": 1}, "objective": {"loss": "mse"}}
SETTINGS = {"batch_size": 7, "threads": 1, "names": ["loss"], "passes": 2}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.nc"


def write_landscape(path, grid=GRID):
    fields, status = {"loss": np.zeros(grid.shape)}, np.ones(grid.shape, np.int8)
    about = {"grid": grid.to_json(), "subspace": RECIPE["subspace"]}
    Landscape(grid, fields, status, np.eye(2), about).save(path)


def unfinished(path, recipe=RECIPE):
    header = {"recipe": recipe, "settings": SETTINGS, "record_bytes": 8}
    with Journal.create(journal_path(path), header) as journal:
        journal.append(4, b"8 bytes.")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_the_same_recipe_goes_on(path, overwrite, there):
    unfinished(path)
    if there:  # the unfinished landscape, for people to look at
        write_landscape(path)
    begun = claim_output(path, RECIPE, overwrite)
    with begun.journal as journal:
        journal.append(5, b"further.")
    assert begun.records == {4: b"8 bytes."}
    assert begun.settings.batch_size == 7
    assert begun.settings.observed == {}  # which older journals do not have
    assert len(claim_output(path, RECIPE).records) == 2


def test_another_recipe_is_refused_by_name_and_deleted_only_on_request(path):
    unfinished(path)
    other = {**RECIPE, "grid": {"shape": [5, 5]}}
    with pytest.raises(
        LossLandscapeError,
        match=r"x\.nc: an unfinished run .*x\.nc\.journal.* grid\.shape is not the same "
        r"\(the number of points\)",
    ):
        claim_output(path, other)
    assert claim_output(path, RECIPE).records  # still there
    begun = claim_output(path, other, overwrite=True)
    assert (begun.journal, begun.records, begun.settings) == (None, {}, None)
    assert not journal_path(path).exists()


def test_a_damaged_journal_is_refused_and_deleted_only_on_request(path):
    unfinished(path)
    data = bytearray(journal_path(path).read_bytes())
    data[60] ^= 1  # in the header
    journal_path(path).write_bytes(data)
    with pytest.raises(FileFormatError, match=r"x\.nc\.journal"):
        claim_output(path, RECIPE)
    assert journal_path(path).read_bytes() == data
    assert claim_output(path, RECIPE, overwrite=True).journal is None
    assert not journal_path(path).exists()


def test_a_finished_file_is_refused_and_stays_until_its_successor_is_whole(path):
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        claim_output(path, RECIPE)
    assert claim_output(path, RECIPE, overwrite=True).records == {}
    assert path.read_text() == "precious"


def test_a_journal_of_another_recipe_beside_a_finished_file(path):
    unfinished(path)
    path.write_text("precious")
    with pytest.raises(LossLandscapeError, match="unfinished run"):
        claim_output(path, {})
    assert claim_output(path, {}, overwrite=True).journal is None
    assert path.read_text() == "precious"


def test_a_free_path_and_no_path(path):
    assert claim_output(path, RECIPE).journal is None
    assert claim_output(None, RECIPE).journal is None


@pytest.mark.parametrize("kind", ["text", "landscape"])
def test_a_file_that_is_not_of_the_run_is_replaced_only_on_request(path, kind):
    unfinished(path)
    if kind == "text":
        path.write_text("precious")
    else:
        write_landscape(path, Grid.square(4))
    before = path.read_bytes()
    with pytest.raises(OutputExistsError, match="move the file away"):
        claim_output(path, RECIPE)
    assert path.read_bytes() == before
    with claim_output(path, RECIPE, overwrite=True).journal:
        pass
    assert path.read_bytes() == before
