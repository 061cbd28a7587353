"""Training trajectories (recorded checkpoints) and weights files."""
