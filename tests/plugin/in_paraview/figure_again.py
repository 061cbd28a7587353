"""The same figure on a log scale twice in one session: plugin, landscape."""

import json
import sys


def main(plugin, path):
    sys.path.insert(0, plugin)
    import losslandscape_paraview as llpv

    tables = [list(llpv.surface(path, log=True).quantity_table.RGBPoints) for _ in range(2)]
    print(json.dumps(tables))


if __name__ == "__main__":
    main(*sys.argv[1:])
