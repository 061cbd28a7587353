"""Which points are evaluated, and how many samples each takes."""
