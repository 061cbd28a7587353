"""Verbs that are killed end with their children, and the same command gives the same bytes."""

import shutil
import signal

import pytest
from benchmarks.kill_verbs import COMMANDS, VerbKills

from losslandscape.errors import LossLandscapeError
from losslandscape.paraview.programs import find_pvpython

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kills(tmp_path_factory):
    return VerbKills(tmp_path_factory.mktemp("kills"), seed=1)


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb(kills, verb, kind):
    if verb == "render":
        try:
            find_pvpython()
        except LossLandscapeError as error:
            pytest.skip(str(error))
        if shutil.which("Xvfb") is None:
            pytest.skip("no Xvfb")
    number = list(COMMANDS).index(verb) * 10 + int(kind)
    killed = kills.kill(verb, number, kind)
    assert killed.right, killed
