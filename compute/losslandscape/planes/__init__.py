"""Where the loss is measured: parameters, directions, subspaces and grids."""
