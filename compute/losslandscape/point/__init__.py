"""The loss at one point, fast."""
