"""The paper's networks, data sets and training, and the way to a user's own."""
