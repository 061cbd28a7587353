"""A user's own functions by name."""

import os.path

import pytest

from losslandscape.errors import LossLandscapeError
from losslandscape.study.resolve import resolve


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    package = tmp_path / "users_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "code.py").write_text(
        "def build():\n    return 1\n"
        "class Factory:\n    def make():\n        return 2\n"
        "number = 3\n"
    )
    (package / "lacking.py").write_text("import surely_not_installed\n")
    (package / "failing.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)


def test_a_function_in_the_current_folder():
    assert resolve("users_package.code:build")() == 1
    assert resolve("users_package.code:Factory.make")() == 2


def test_an_installed_function():
    assert resolve("os.path:join") is os.path.join


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("users_package.code.build", "not of the form package.module:function"),
        (":build", "not of the form package.module:function"),
        ("users_package:", "not of the form package.module:function"),
        ("users_package/code.py:build", "write users_package.code:build"),
        ("users_package.cod:build", "no module 'users_package.cod' in .*PYTHONPATH"),
        ("nowhere.code:build", "no module 'nowhere'"),
        ("users_package.code:biuld", "no function 'biuld'; it contains build"),
        ("users_package.code:number", "is of type int, not a function"),
    ],
)
def test_what_cannot_be_found(name, message):
    with pytest.raises(LossLandscapeError, match=message):
        resolve(name)


def test_errors_of_the_users_module_show_its_own_line():
    with pytest.raises(LossLandscapeError, match=r"NotFoundError: .*surely_not_ins") as error:
        resolve("users_package.lacking:build")
    assert isinstance(error.value.__cause__, ModuleNotFoundError)
    assert "lacking.py:1: import surely_not_installed" in str(error.value)
    with pytest.raises(LossLandscapeError, match=r"importing users_package\.failing: your code"):
        resolve("users_package.failing:build")
