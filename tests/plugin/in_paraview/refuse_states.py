"""Loads states that cannot be whole, and prints each one's error message: plugin, files."""

import json
import sys


def main(plugin, *files):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.export.states import load_state
    from losslandscape_paraview.session import end_session, new_session

    messages = {}
    for file in files:
        new_session()
        try:
            load_state(file)
            messages[file] = None
        except LandscapeError as error:
            messages[file] = str(error)
    end_session()
    print(json.dumps(messages))


if __name__ == "__main__":
    main(*sys.argv[1:])
