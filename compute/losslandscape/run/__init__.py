"""The loss on a whole grid: recipe, journal, executors."""
