"""The way to the trained model: checkpoints and weights."""
