"""Builds the figures of a job file, each in a new session, and prints what is said of each."""

import json
from pathlib import Path


def answer_builds(job, draw, describe):
    """Print a JSON list with an answer for each build.

    Args:
        job: path of a JSON list of `{"figure", "inputs", "options"}`; `save` is the path of a file
            to write the figure into.
        draw: gives the function of a figure's name.
        describe: what is said of a figure, besides its report; a refused one has its `error` alone.
    """
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.session import end_session, new_session

    answers = []
    for build in json.loads(Path(job).read_text(encoding="utf-8")):
        new_session()
        try:
            figure = draw(build["figure"])(*build["inputs"], **build.get("options", {}))
        except LandscapeError as error:
            answers.append({"error": str(error)})
        else:
            answers.append({"report": figure.report(), **describe(figure)})
            if "save" in build:
                figure.save(build["save"])
    end_session()
    print(json.dumps(answers))


def count_layers():
    """How many objects each layer has, by its name."""
    from losslandscape_paraview.layers.shown import find_layers

    return {name: len(shown) for name, shown in find_layers().items()}
